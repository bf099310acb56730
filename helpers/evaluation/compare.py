"""Two models, or many, side by side: differences with their errors, and those that no other beats.

What two models share, such as hard images or lucky seeds, is taken out by subtracting pair by pair.
"""

import numpy as np
from numpy.typing import ArrayLike

from helpers.data.dataset import DataError


def paired_difference(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """The mean of a - b over pairs, and its standard error, from a (N,) and b (N,) in the same order.

    The error is the standard deviation of the differences (with N - 1) over √N. Raises DataError unless both have
    the same N of at least 2.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise DataError(f"found shapes {a.shape} and {b.shape}; give two lists of equal length, at least 2.")
    difference = a - b
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))


def pareto_front(seconds: ArrayLike, loss: ArrayLike) -> np.ndarray:
    """Which of N points, seconds (N,) and loss (N,), no other beats: True or False, (N,). Less is better in both.

    One point beats another if it is at least as good in both, and better in one; of equal points neither does. Raises
    DataError for two different shapes.
    """
    seconds, loss = np.asarray(seconds, float), np.asarray(loss, float)
    if seconds.ndim != 1 or seconds.shape != loss.shape:
        raise DataError(f"found shapes {seconds.shape} and {loss.shape}; give two numbers for each point.")
    as_fast = seconds[:, None] <= seconds  # (N, N): row i is at least as fast as column j
    as_good = loss[:, None] <= loss
    better = (seconds[:, None] < seconds) | (loss[:, None] < loss)
    return ~np.any(as_fast & as_good & better, axis=0)
