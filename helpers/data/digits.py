"""1,797 real handwritten digits of 8 × 8 pixels, as they ship inside scikit-learn.

Thirteen people wrote them on paper forms; each pixel counts the inked dots in a 4 × 4 cell of a 32 × 32
bitmap, 0 to 16. It is the test part of Alpaydin and Kaynak's Optical Recognition of Handwritten Digits
(UCI, 1998).
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.data.dataset import Dataset
from helpers.data.glyphs import REACH, SIDE, Array

if TYPE_CHECKING:  # slow to import
    import torch

THRESHOLD = 0.5  # a pixel is ink when at least half of its cell was inked


def load(binary: bool = True) -> Dataset:
    """The digits as rows of 64 pixels, labelled 0 to 9: 1,250 train, 250 validation, 250 test.

    ``binary=True`` gives pixels 0 or 1; ``binary=False`` gives the same images, in the same splits, in
    grey from 0 to 1. Images that are equal once they are binary count as duplicates in both forms.
    """
    from sklearn.datasets import load_digits  # slow to import, and needed only here

    raw = load_digits()
    grey = raw.data / 16.0  # (1797, 64)
    ink = grey >= THRESHOLD
    return Dataset.make(
        "digits, binary" if binary else "digits, grey",
        ink.astype(float) if binary else grey,
        raw.target,
        key=ink,
        names=tuple("0123456789"),
        shape=(8, 8),
        low=0,
        high=1,
        kind="image",
        source="scikit-learn (Alpaydin and Kaynak, 1998)",
    )


def fields() -> Dataset:
    """The digits in the form of the glyphs: distances to the outline, (N, 784), from -2 to 2 pixels of 28 × 28.

    Each grey image is enlarged smoothly to 20 × 20 in the middle, in quarters of a pixel, and is ink where it is
    dark enough. The splits are those of :func:`load`.
    """
    from PIL import Image
    from scipy.ndimage import distance_transform_edt

    grey = load(binary=False)
    x = np.empty((len(grey), SIDE, SIDE), np.float32)
    for field, image in zip(x, grey.x.reshape(-1, 8, 8)):
        large = Image.fromarray((255 * image).astype(np.uint8)).resize((80, 80), Image.Resampling.BICUBIC)
        inside = np.pad(np.asarray(large) > 110, 16)  # (112, 112)
        distance = (distance_transform_edt(inside) - distance_transform_edt(~inside)) / 4
        field[:] = distance.reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3)).clip(-REACH, REACH)
    notes = ("enlarged from 8 × 8 pixels",)
    return replace(grey, name="digits, distances", x=x.reshape(-1, SIDE**2), shape=(SIDE, SIDE), notes=notes)


def threshold_jitter(grey: Array, rng: "np.random.Generator | torch.Generator", width: float = 0.1) -> Array:
    """Draw the digits' ink anew: binarise each grey image (N, 64) at its own threshold, 0.5 ± ``width``.

    A slightly higher threshold gives a thinner stroke, a lower one a thicker stroke: a new binary image
    of the same digit. For training only; the data that we score is binarised at 0.5. Takes arrays with a
    NumPy generator, or tensors with a torch generator.
    """
    x: Any = grey  # an array or a tensor, as the generator is
    if isinstance(rng, np.random.Generator):
        return (x >= THRESHOLD + width * rng.uniform(-1, 1, size=(len(x), 1))).astype(x.dtype)
    import torch

    shift = 2 * torch.rand(len(x), 1, generator=rng, dtype=x.dtype).to(x.device) - 1
    return (x >= THRESHOLD + width * shift).to(x.dtype)
