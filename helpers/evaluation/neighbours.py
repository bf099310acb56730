"""Nearest neighbours: the closest examples, near-duplicates, and the groups that they form.

Distances are Euclidean. They are searched with |x|² - 2 x·y + |y|², a product of matrices a block of rows at a time,
which rounds away what is close to 0; the few that win are then computed from differences, so that equal rows are at a
distance of exactly 0, and whole numbers keep their order.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from helpers.data.dataset import DataError
from helpers.data.splits import groups_of as groups_of

BLOCK = 512  # rows whose distances to all others are in memory together
SPARE = 3  # candidates beyond those that are asked for, in case rounding has changed their order


def nearest(x: ArrayLike, reference: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The closest row of ``reference`` (M, …) for each row of x (N, …): row numbers (N,) and squared distances (N,).

    Of equally close rows it is the first. For binary images the squared distance counts the pixels that differ.
    """
    row, squared = _closest(*_matrices(x, reference), k=1)
    return row[:, 0], squared[:, 0]


def two_nearest(x: ArrayLike, train: ArrayLike, alike: ArrayLike | None = None) -> np.ndarray:
    """Distances of each row of x (N, …) to the nearest and the second nearest of ``train`` (M, …): (N, 2).

    alike (M,): numbers of clusters of near-duplicates in ``train``; the second nearest is then the nearest of another
    cluster. Exactly 0 for equal rows; infinite where there is no second.
    """
    x, train = _matrices(x, train)
    if alike is None:
        return np.sqrt(_closest(x, train, k=2)[1])
    alike, row = np.asarray(alike), _closest(x, train, k=1)[0][:, 0]
    return np.sqrt(np.stack([_squared(x, train[row]), _closest(x, train, k=1, not_in=(alike[row], alike))[1][:, 0]], 1))


def neighbour_distances(x: ArrayLike) -> np.ndarray:
    """The distance of each row of x (N, …) to the nearest other row: (N,)."""
    return np.sqrt(_closest(*_matrices(x, x), k=1, itself=False)[1][:, 0])


def near_duplicates(x: ArrayLike, threshold: float, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows of x (N, …) closer than ``threshold``.

    Returns pairs (P, 2) of row numbers, the smaller one first, in order, and their distances (P,). Distances are
    computed ``block`` rows at a time, so that memory grows like N and not like N².
    """
    x, _ = _matrices(x, x)
    rounding = 1e-12 * np.square(x, dtype=float).sum(axis=1).max(initial=0)
    pairs, distances = [np.empty((0, 2), int)], [np.empty(0)]
    for start, squared in _blocks(x, x, block):
        i, j = np.nonzero(squared < threshold**2 * (1 + 1e-6) + rounding)
        found = np.stack([i + start, j], axis=1)[j > i + start]
        apart = np.sqrt(_squared(x[found[:, 0]], x[found[:, 1]]))
        pairs.append(found[apart < threshold])
        distances.append(apart[apart < threshold])
    return np.concatenate(pairs), np.concatenate(distances)


def neighbour_ratio(samples: ArrayLike, held_out: ArrayLike, train: ArrayLike) -> float:
    """Median distance of samples (N, …) to their nearest training example, over that of held-out examples (K, …).

    About 1: samples are as far from the training data (M, …) as new data is. Far below 1: they are copies. Raises
    DataError if half of the held-out examples are in the training data.
    """
    drawn, new = (np.median(np.sqrt(nearest(x, train)[1])) for x in (samples, held_out))
    if new == 0:
        raise DataError("half of the held-out examples are in the training data; remove duplicates before splitting.")
    return float(drawn / new)


def nearest_set(
    x: np.ndarray, c: np.ndarray, train_x: np.ndarray, train_c: np.ndarray, shown: ArrayLike
) -> np.ndarray:
    """For each set of x (N, M, D), the training set that its members ``shown`` resemble most: row numbers (N,).

    train_x (T, M, D), and train_c (T, M), which is -1 for members that a set lacks. shown: columns, the same for all
    sets (S,), or for each (N, S). Training sets that lack one of them are passed over. What counts is the mean
    absolute difference. c is not looked at.
    """
    rows = []
    for one, columns in zip(x, np.broadcast_to(shown, (len(x), np.shape(shown)[-1]))):
        distance = np.abs(train_x[:, columns] - one[columns]).mean(axis=(1, 2))  # (T,)
        distance[(train_c[:, columns] < 0).any(axis=1)] = np.inf
        rows.append(int(distance.argmin()))
    return np.array(rows)


def _matrices(x, reference) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of examples as matrices (N, D) and (M, D) of one floating type, without a copy where they are so."""
    x, reference = np.asarray(x), np.asarray(reference)
    numbers = np.float32 if x.dtype == reference.dtype == np.float32 else float
    x, reference = (a.astype(numbers, copy=False).reshape(len(a), -1) for a in (x, reference))
    return x, reference


def _blocks(x, reference, block) -> Iterator[tuple[int, np.ndarray]]:
    """Squared distances of all rows of x (N, D) to all of reference (M, D), but for rounding: (start, (block, M))."""
    from sklearn.metrics import euclidean_distances

    for start in range(0, len(x), block):
        yield start, euclidean_distances(x[start : start + block], reference, squared=True)


def _squared(a, b):
    """Exact squared distances (N,) of a (N, D) to b (N, D), row by row: 0 for equal ones."""
    return np.square(np.subtract(a, b, dtype=float)).sum(axis=1)


def _closest(x, reference, k, itself=True, not_in=None):
    """The k nearest rows of reference (M, D) for each row of x: their numbers and squared distances, both (N, k).

    itself: whether a row may be its own neighbour, where x and reference are the same. not_in: the cluster that each
    row of x keeps away from, (N,), and those of reference, (M,). Missing ones are infinitely far.
    """
    rows, distances = np.zeros((len(x), k), int), np.full((len(x), k), np.inf)
    candidates = min(k + SPARE, len(reference) - (not itself))
    for start, squared in _blocks(x, reference, BLOCK):
        part = np.arange(start, start + len(squared))
        if not itself:
            squared[part - start, part] = np.inf
        if not_in is not None:
            squared[not_in[0][part, None] == not_in[1]] = np.inf
        row, apart = np.empty((len(part), candidates), int), np.empty((len(part), candidates))
        for r in range(candidates):
            row[:, r] = closest = squared.argmin(axis=1)  # the first of equal ones
            none = np.isinf(squared[part - start, closest])
            squared[part - start, closest] = np.inf
            apart[:, r] = np.where(none, np.inf, _squared(x[part], reference[closest]))
        best = apart.argsort(axis=1, kind="stable")[:, :k]
        rows[part, : best.shape[1]] = np.take_along_axis(row, best, axis=1)
        distances[part, : best.shape[1]] = np.take_along_axis(apart, best, axis=1)
    return rows, distances
