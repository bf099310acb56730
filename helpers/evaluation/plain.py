"""The simplest model of any data: every number by itself. What is odd should be odd beside it (a likelihood ratio).

(Ren et al., 2019, *Likelihood Ratios for Out-of-Distribution Detection*; Serrà et al., 2020, *Input Complexity and
Out-of-Distribution Detection with Likelihood-Based Generative Models*, with a compressor for the simple model.)
"""

import math

import numpy as np

from helpers.data.dataset import as_floats
from helpers.data.text import PAD

BINS = 16  # of grey levels: a histogram of all 256 for each pixel would learn few examples by heart
FEW = 0.5  # imaginary examples of each bin, spread as all numbers together are


class Plain:
    """Independent numbers, fitted to train (N, …): which values there are decides how.

    Whole numbers are symbols of texts, all places alike, and padding does not count; numbers from 0 to 1 are 256
    grey levels, with a histogram of 16 bins for each pixel, or black and white; any others are Normals, one for each.
    """

    def __init__(self, train: np.ndarray):
        self.symbols = train.dtype.kind == "i"
        x = self._numbers(train)
        self.bins = 0
        if self.symbols:
            self.log_p = np.log(np.bincount(x[x != PAD], minlength=2) + 0.5)
            self.log_p -= np.logaddexp.reduce(self.log_p)
        elif x.min() >= 0 and x.max() <= 1:
            self.bins = 2 if np.isin(x, (0, 1)).all() else BINS
            place = self._bin(x)
            everywhere = np.bincount(place.ravel(), minlength=self.bins) + 1.0
            counts = np.tile(FEW * self.bins * everywhere / everywhere.sum(), (x.shape[1], 1))
            np.add.at(counts, (np.arange(x.shape[1]), place), 1)
            self.log_p = np.log(counts / counts.sum(axis=1, keepdims=True))
            self.log_p -= np.log(256 / BINS) if self.bins == BINS else 0  # all levels of a bin alike
        else:
            self.mean, self.sigma = x.mean(axis=0), np.maximum(x.std(axis=0), 0.01 * x.std() + 1e-9)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """log p of each example of x (N, …): (N,), in nats; a density where numbers are real."""
        x = self._numbers(x)
        if self.symbols:
            known = np.where(x < len(self.log_p), x, 0)
            rare = self.log_p.min()
            log_p = np.where(x < len(self.log_p), self.log_p[known], rare)
            return np.where(x == PAD, 0.0, log_p).sum(axis=1)
        if self.bins:
            return self.log_p[np.arange(x.shape[1]), self._bin(x)].sum(axis=1)
        z = (x - self.mean) / self.sigma
        return (-0.5 * z**2 - np.log(self.sigma) - 0.5 * math.log(2 * math.pi)).sum(axis=1)

    def _bin(self, x):
        """The bin of each number from 0 to 1."""
        return np.rint(255 * x.clip(0, 1)).astype(int) * self.bins // 256

    def _numbers(self, x):
        x = np.asarray(x)
        return (x.astype(np.int64) if self.symbols else as_floats(x).astype(float)).reshape(len(x), -1)
