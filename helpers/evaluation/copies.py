"""Has a model learned examples by heart? Its samples, and real held-out examples, beside the training data.

What counts is the distance to the nearest training example over that to the second nearest. A copy is far nearer to
one example than to any other, and its ratio goes to 0; a blurred sample, which is near to many, is not a copy. Where
training holds near-duplicates, a copy is near to all of them, so that the second nearest must be another thing.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from helpers.data.dataset import DataError

SUSPICIOUS = 0.05  # the part of real held-out examples that would be called copies
NEARLY_EQUAL = 0.1  # of the distance between any two training examples
MOST_SUSPECTS = 5


def copies(
    samples: Sequence | np.ndarray,
    train: Sequence | np.ndarray,
    held_out: Sequence | np.ndarray,
    distances: Callable[..., np.ndarray],
    same: float,
    report_exact: bool = False,
    alike: np.ndarray | None = None,
    different: int | None = None,
) -> dict[str, Any]:
    """How near samples are to training examples, and how near real examples are that nobody trained on.

    samples (n, …), train (M, …) and held_out (at least n, …, if there are as many): what ``distances(a, b)``
    understands, which returns the distances of each of a to the nearest and the second nearest of b, (len(a), 2);
    :func:`helpers.evaluation.neighbours.two_nearest` is one. alike (M,): numbers of clusters of near-duplicates among
    the training examples; then ``distances(a, b, alike)`` takes the second nearest from another cluster. different: of
    how many clusters the held-out examples are, where some of them are near-duplicates. A sample is a training example
    if it is closer to one than ``same``, in the unit of the distances. A sample is *suspicious* if its ratio is below
    that of all but 5% of the held-out examples. report_exact: the verdict tells of training examples among the samples
    even where chance explains them, as it does for short texts.

    Returns figures (counts, medians of distances and ratios, parts from 0 to 1), whether these are ``copies``, a
    ``verdict``, one sentence, whether it is an ``alarm``, and the ``suspects``: the (up to five) samples of the lowest
    ratios, each with its number, that of its nearest training example, their distance and its ratio. Where more than 5%
    of the held-out examples are nearly equal to a training example, the verdict says so, and where most are, nothing
    else. Nothing is drawn here: which examples to compare is the caller's choice. Raises DataError where one of the
    three is empty.
    """
    if min(len(samples), len(train), len(held_out)) == 0:
        raise DataError(
            f"found {len(samples)} samples, {len(train)} training and {len(held_out)} held-out examples; give at "
            "least one of each."
        )
    known = () if alike is None else (alike,)
    of_samples, of_real = distances(samples, train, *known), distances(held_out, train, *known)
    n, ratio, real_ratio = len(samples), _ratio(of_samples), _ratio(of_real)
    line = np.quantile(real_ratio, SUSPICIOUS)
    suspicious, expected = float((ratio < line).mean()), float((real_ratio < line).mean())
    by_chance = _by_chance(SUSPICIOUS, n, len(held_out))
    enough = by_chance
    if different is not None:  # the lowest of k has a part of 1 / (k + 1) below it; where k is 1 or 2, nearly all count
        enough = min(0.9, _by_chance(max(SUSPICIOUS, 1 / (different + 1)), n, different))
    exact = int((of_samples[:, 0] < same).sum())
    figures = {
        "samples": n,
        "compared with": len(train),
        "exact": exact,
        "nearest": float(np.median(of_samples[:, 0])),
        "nearest, held out": float(np.median(of_real[:, 0])),
        "ratio": float(np.median(ratio)),
        "ratio, held out": float(np.median(real_ratio)),
        "suspicious": suspicious,
        "suspicious, held out": expected,
        "copies": bool(suspicious > enough or exact > by_chance * n),
        "nearly equal, held out": float((of_real[:, 0] < NEARLY_EQUAL * _apart(train, distances)).mean()),
    }
    most = np.argsort(ratio, kind="stable")[:MOST_SUSPECTS].tolist()
    suspects = [
        {"sample": i, "train": row, "distance": float(of_samples[i, 0]), "ratio": float(ratio[i])}
        for i, row in zip(most, _rows(_some(samples, most), train, distances))
    ]
    alarm = figures["copies"] or figures["nearly equal, held out"] > SUSPICIOUS or (report_exact and exact > 0)
    return figures | {"verdict": _verdict(figures, report_exact), "alarm": bool(alarm), "suspects": suspects}


def _by_chance(part, n, held_out):
    """The part of n samples that chance alone may explain: two standard errors more, of samples and of where the line
    is, and at least two samples."""
    return max(part + 2 * math.sqrt(part * (1 - part) * (1 / n + 1 / held_out)), 1.5 / n)


def _apart(train, distances, most=30):
    """The median distance between two training examples, of some that are spread over all; 0 of one alone."""
    some = _some(train, np.unique(np.linspace(0, len(train) - 1, most).astype(int)))
    if len(some) < 2:
        return 0.0
    table = np.stack([distances(some, some[k : k + 1])[:, 0] for k in range(len(some))])
    return float(np.median(table[~np.eye(len(some), dtype=bool)]))


def _rows(samples, train, distances):
    """Which of the training examples is nearest to each of a few samples; distances say how near it is, not which."""
    step = math.isqrt(len(train) - 1) + 1  # blocks first, then the examples of the nearest block
    blocks = [distances(samples, train[start : start + step])[:, 0] for start in range(0, len(train), step)]
    found = []
    for i, block in enumerate(np.argmin(blocks, axis=0)):
        rows = range(block * step, min((block + 1) * step, len(train)))
        found.append(min(rows, key=lambda row: distances(samples[i : i + 1], train[row : row + 1])[0, 0]))
    return [int(row) for row in found]


def _some(x, rows):
    return x[rows] if isinstance(x, np.ndarray) else [x[row] for row in rows]


def _ratio(distances):
    """Nearest over second nearest, (N,); 0 for what is there itself."""
    return np.where(distances[:, 0] > 0, distances[:, 0] / np.maximum(distances[:, 1], 1e-12), 0.0)


def _verdict(figures, report_exact):
    exact, suspicious, expected = figures["exact"], figures["suspicious"], figures["suspicious, held out"]
    if exact and (report_exact or figures["copies"]):
        return f"{exact} of {figures['samples']} samples are training examples, to the last detail."
    if figures["copies"]:
        return (
            f"{suspicious:.0%} of the samples are suspiciously near to one training example, as only "
            f"{expected:.0%} of real held-out ones are: look before you share the model."
        )
    leaked = figures["nearly equal, held out"]
    if leaked > 0.5:
        return (
            f"Whether it copies cannot be said: {leaked:.0%} of the real held-out examples are nearly equal to a "
            "training example themselves; keep such examples in one group, and fit again."
        )
    found = (
        f"No sign of copying: {suspicious:.0%} of the samples are as near to a single training "
        f"example as {expected:.0%} of real held-out ones are"
    )
    if leaked > SUSPICIOUS:
        return f"{found}; but {leaked:.0%} of these are nearly equal to a training example, which hides copies."
    return f"{found}."
