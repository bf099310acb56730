"""Broken strokes: what is joined, what stays as it was, on fields drawn by hand."""

import numpy as np
import pytest

from helpers.data import glyphs, strokes


def bar(gap: float = 0.8, letter: str = "l") -> np.ndarray:
    """An alphabet (62, 784) of empty glyphs, but for an upright bar whose middle has the distance ``gap``."""
    alphabet = np.full((62, 28, 28), -2.0, np.float32)
    alphabet[:, 6:21, 14] = 0.8
    alphabet[:, 6:21, 13] = alphabet[:, 6:21, 15] = -0.7
    row = glyphs.CHARACTERS.index(letter)
    alphabet[row, 12:15, 13:16] = max(gap - 1, -2.0) if gap < 0 else -0.7
    alphabet[row, 12:15, 14] = gap
    return alphabet.reshape(62, 784)


@pytest.mark.parametrize("gap", [-0.3, -0.5])
def test_a_faint_ridge_is_joined(gap):
    before = bar(gap)
    after = strokes.mend(before)
    assert glyphs.broken(before).sum() == 1 and not glyphs.broken(after).any()
    changed = np.nonzero(after != before)
    row = glyphs.CHARACTERS.index("l")
    assert set(changed[0]) == {row} and set(changed[1]) == {28 * y + 14 for y in (12, 13, 14)}
    assert np.allclose(after[changed], strokes.THIN)
    assert np.array_equal(before, bar(gap))  # what was given is left alone


def test_whole_letters_and_dots_stay():
    whole = bar()
    assert np.array_equal(strokes.mend(whole), whole)
    dotted = bar(-0.5, "i")
    assert np.array_equal(strokes.mend(dotted), dotted)


def test_an_edge_is_no_ridge():
    slope = np.tile(np.linspace(2, -2, 28, dtype=np.float32), (1, 28, 1))
    noise = np.random.default_rng(0).normal(0, 0.01, slope.shape)
    assert not strokes.ridges(slope + noise)[:, 1:-1, 1:-1].any()


def test_a_gap_without_a_ridge_stays():
    empty = bar(-2.0)
    assert glyphs.broken(strokes.mend(empty)).sum() == 1


def test_a_glyph_too_light_to_be_seen_comes_back():
    light = bar()
    row = glyphs.CHARACTERS.index("l")
    light[row] -= 1.3
    assert glyphs.pieces(light)[row] == 0
    assert glyphs.pieces(strokes.mend(light))[row] == 1


def test_any_leading_shape():
    many = np.stack([bar(-0.5), bar()]).reshape(2, 1, 62, 784)
    assert strokes.mend(many).shape == many.shape
    assert np.array_equal(strokes.mend(many)[0, 0], strokes.mend(bar(-0.5)))


def test_real_fonts_hardly_change():
    valid = glyphs.load().sets("valid").x
    changed = (strokes.mend(valid) != valid).any(axis=-1)
    assert changed.mean() < 0.01
