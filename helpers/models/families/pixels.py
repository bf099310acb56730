"""Which data are images that a family of small networks can learn: pixels from 0 to 1, few enough, labels or none."""

import math

import numpy as np

from helpers.data.dataset import DataError, Dataset, as_floats


def black_or_white(data: Dataset) -> bool:
    """Whether all pixels are 0 or 1, or as bytes 0 or 255, and both come."""
    low, high = data.x.min(), data.x.max()
    return as_floats(np.array([low, high])).tolist() == [0, 1] and bool(((data.x == low) | (data.x == high)).all())


def check(data: Dataset, family: str, suits: str, most: int) -> None:
    """Raise DataError, in one sentence, unless the data are images of 2 to ``most`` numbers from 0 to 1.

    family: its name. suits: what it is for, in words, such as "images of many grey levels".
    """
    shape, what = data.x.shape[1:], data.kind or "image"
    D, (low, high) = math.prod(shape), as_floats(np.array([data.x.min(), data.x.max()]))
    if data.vocabulary is not None or data.x.dtype.kind not in "fu" or low < 0 or high > 1:
        raise DataError(f"{data.name}: {family} is for {suits}, with pixels from 0 to 1, and these {what}s are not "
                        "such; choose another family of models.")
    if not 2 <= D <= most:
        raise DataError(f"{data.name}: {family} is for images of at most {most:,} numbers, and these {what}s of shape "
                        f"{shape} have {D:,}; give a smaller size, make them grey, or choose another family.")
    if data.c is not None and data.c.ndim > 1:
        raise DataError(f"{data.name}: {family} is told labels, and its condition is {data.c.shape[1]} real numbers; "
                        "give whole numbers (N,), or c=None.")
