"""Wrong labels, and how good a search for anything is: out-of-fold scores, p(c|x), precision and recall.

Each example is judged by a model that did not see it, by Bayes' rule p(c|x) ∝ p(x, c). The lesson Clean data builds it.
"""

import numpy as np
from numpy.typing import ArrayLike

from helpers.data.dataset import DataError


def cross_fit(score, n, parts, rng):
    """A score (n, …) of each of n examples by a model that did not see it.

    ``score(train, held_out)`` gets two arrays of row numbers, fits on the first, and scores the second; the n
    examples are cut into ``parts`` at random, by the NumPy generator ``rng``. (Chernozhukov et al., 2018, name it.)
    """
    part, out = rng.permutation(np.arange(n) % parts), None
    for f in range(parts):
        held_out = np.nonzero(part == f)[0]
        values = np.asarray(score(np.nonzero(part != f)[0], held_out))
        out = np.empty((n, *values.shape[1:])) if out is None else out
        out[held_out] = values
    return out


def suspicious_labels(log_p, c):
    """-log p(c|x) (N,) in nats of the labels c (N,), from log p(x, c) (N, C) up to a constant for each row."""
    log_p, c = np.asarray(log_p, float), np.asarray(c)
    top = log_p.max(axis=1)
    total = top + np.log(np.exp(log_p - top[:, None]).sum(axis=1))
    return total - log_p[np.arange(len(c)), c]


def precision_recall(found: ArrayLike, truth: ArrayLike) -> tuple[float, float]:
    """Of those found, how many are true; of the true, how many were found: two parts from 0 to 1.

    found, truth: (N,) of True and False. When nothing is found, precision is 1: nothing is claimed that is wrong.
    Raises DataError when the shapes differ, and when none is true.
    """
    found, truth = np.asarray(found, bool), np.asarray(truth, bool)
    _check(found, truth)
    hits = (found & truth).sum()
    return float(hits / found.sum()) if found.any() else 1.0, float(hits / truth.sum())


def precision_recall_curve(score: ArrayLike, truth: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision and recall (M,) when all at or above a threshold count as found, and the thresholds (M,).

    From score and truth (N,). Thresholds are the scores that there are, the highest first; equal scores are found
    together. Raises DataError as :func:`precision_recall` does.
    """
    from sklearn import metrics

    score, truth = np.asarray(score, float), np.asarray(truth, bool)
    _check(score, truth)
    precision, recall, threshold = metrics.precision_recall_curve(truth, score)  # the lowest first, and an end
    return precision[-2::-1], recall[-2::-1], threshold[::-1]


def _check(found, truth):
    if found.shape != truth.shape:
        raise DataError(f"found has shape {found.shape} and truth {truth.shape}; give one of each for every example.")
    if not truth.any():
        raise DataError("none of the examples is true, so that recall has no meaning; give some that are.")
