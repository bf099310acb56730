"""Strokes that are broken, joined again where they can still be seen faintly.

The mean of what a thin stroke might be lies below the outline's zero, but stays a ridge: higher than what lies beside
it. A type designer lets a stroke be thin, never absent; so does :func:`mend`, on glyphs that fall apart and no others.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from helpers.data.glyphs import CHARACTERS, SIDE, pieces

THIN = 0.1  # pixels above the outline: what a mended stroke is raised to, a grey of 0.6
DEEPEST = 1.0  # pixels below the outline: deeper ridges are left alone
STEEP = 0.05  # pixels above the mean of two neighbours: less is no ridge, but the noise of an edge
TWO = ["i", "j"]  # characters that are whole in two pieces


def ridges(fields: npt.ArrayLike) -> np.ndarray:
    """Which pixels of fields (N, 28, 28) lie above both their neighbours, and clearly, in one of four directions."""
    fields = np.asarray(fields)
    around = np.pad(fields, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    found = np.zeros(fields.shape, bool)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one = around[:, 1 + down : SIDE + 1 + down, 1 + right : SIDE + 1 + right]
        other = around[:, 1 - down : SIDE + 1 - down, 1 - right : SIDE + 1 - right]
        found |= (fields > np.maximum(one, other)) & (fields > (one + other) / 2 + STEEP)
    return found


def decoded(model: Any, z: Any) -> np.ndarray:
    """The alphabet (62, 784) that a model of fonts, a ``SetVAE``, makes of one code z (1, K), mended."""
    import torch

    with torch.no_grad():
        return mend(model.expect(z, torch.arange(len(CHARACTERS)))[0].numpy())


def mend(alphabets: npt.ArrayLike) -> np.ndarray:
    """Alphabets (…, 62, 784) of distances whose broken glyphs are joined, the shape as it was; whole ones unchanged.

    In a glyph of several pieces, or without ink, ridges are raised to a thin stroke, the highest first: 0.1 pixels
    deeper each time, as long as that leaves fewer pieces. i and j, and what has no ridge to follow, stay as they are.
    """
    alphabets = np.asarray(alphabets, dtype=np.float32).copy()
    fields = alphabets.reshape(-1, SIDE, SIDE)
    judged = np.tile(~np.isin(list(CHARACTERS), TWO), len(fields) // len(CHARACTERS))
    for deep in np.arange(0.2, DEEPEST + 0.05, 0.1):
        count = pieces(fields)
        rows = np.nonzero((count != 1) & judged)[0]
        if not len(rows):
            break
        glyphs = fields[rows]
        raised = np.where(ridges(glyphs) & (glyphs > -deep) & (glyphs < THIN), np.float32(THIN), glyphs)
        now, before = pieces(raised), count[rows]
        better = (now > 0) & ((now < before) | (before == 0))
        fields[rows[better]] = raised[better]
    return alphabets
