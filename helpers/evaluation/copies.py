"""Has a model learned examples by heart? Its samples, and real held-out examples, beside the training data.

What counts is the distance to the nearest training example over that to the second nearest. A copy is far nearer to
one example than to any other, and its ratio goes to 0; a blurred sample, which is near to many, is not a copy.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from helpers.data.dataset import DataError

SUSPICIOUS = 0.05  # the part of real held-out examples that would be called copies


def copies(
    samples: Sequence | np.ndarray,
    train: Sequence | np.ndarray,
    held_out: Sequence | np.ndarray,
    distances: Callable[[Any, Any], np.ndarray],
    same: float,
    report_exact: bool = False,
) -> dict[str, Any]:
    """How near samples are to training examples, and how near real examples are that nobody trained on.

    samples (n, …), train (M, …) and held_out (at least n, …, if there are as many): what ``distances(a, b)``
    understands, which returns the distances of each of a to the nearest and the second nearest of b, (len(a), 2);
    :func:`helpers.evaluation.neighbours.two_nearest` is one. A sample is a training example if it is closer to one
    than ``same``, in the unit of the distances. A sample is *suspicious* if its ratio is below that of all but 5% of
    the held-out examples. report_exact: the verdict tells of training examples among the samples even where chance
    explains them, as it does for short texts.

    Returns figures (counts, medians of distances and ratios, parts from 0 to 1), whether these are ``copies``, and a
    ``verdict``, one sentence. Nothing is drawn here: which examples to compare is the caller's choice. Raises
    DataError where one of the three is empty.
    """
    if min(len(samples), len(train), len(held_out)) == 0:
        raise DataError(
            f"found {len(samples)} samples, {len(train)} training and {len(held_out)} held-out examples; give at "
            "least one of each."
        )
    of_samples, of_real = distances(samples, train), distances(held_out, train)
    n, ratio, real_ratio = len(samples), _ratio(of_samples), _ratio(of_real)
    line = np.quantile(real_ratio, SUSPICIOUS)
    suspicious, expected = float((ratio < line).mean()), float((real_ratio < line).mean())
    # Two standard errors above the 5% that chance alone would give, of samples and of where the line is, and at least
    # two samples.
    error = math.sqrt(SUSPICIOUS * (1 - SUSPICIOUS) * (1 / n + 1 / len(held_out)))
    by_chance = max(SUSPICIOUS + 2 * error, 1.5 / n)
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
        "copies": bool(suspicious > by_chance or exact > by_chance * n),
    }
    return figures | {"verdict": _verdict(figures, report_exact)}


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
    return (
        f"No sign of copying: {suspicious:.0%} of the samples are as near to a single training "
        f"example as {expected:.0%} of real held-out ones are."
    )
