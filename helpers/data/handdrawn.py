"""A letter drawn by hand, as strokes of a round pen: the field of signed distances that a font's letter would have.

Strokes are lists of points (x, y) in pixels of the 28 × 28 image, y downwards; capitals stand on the line at 21.5 and
are 17 high. Inside a stroke the distance is what is left of half the pen's width: pen / 2 - distance to the pen's path.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from helpers.data.dataset import DataError
from helpers.data.outlines import BASELINE, CAPITAL, CHARACTERS, FINE, REACH, SIDE

X_HEIGHT = 12.0  # of small letters, where the canvas has its line, in pixels
PENS = (0.8, 6.0)  # the widths that a pen may have, in pixels
MOST = 20_000  # points of one drawing

Strokes = Sequence[Any]  # (points, 2) each


def field(strokes: Strokes, pen: float = 2.2, letter: str | None = None) -> np.ndarray:
    """The field (784,) of a drawn letter, centred like those of fonts.

    pen: its width in pixels. letter: which one it is. Capitals and digits are made as high as those of fonts, and put
    on the line; small letters keep the size that they have beside the canvas's lines, since it belongs to their style.
    Raises DataError where nothing is drawn, or what is given is no drawing.
    """
    paths = checked(strokes)
    if not paths:
        raise DataError("nothing is drawn yet; draw a letter first.")
    if not PENS[0] <= pen <= PENS[1]:
        raise DataError(f"the pen is {pen:g} pixels wide; take one from {PENS[0]:g} to {PENS[1]:g}.")
    if letter is not None and (len(letter) != 1 or letter not in CHARACTERS):
        raise DataError(f"{letter!r} is none of the 62 characters; give one of A to Z, a to z, 0 to 9.")
    points = np.concatenate(paths)
    low, high = points.min(axis=0), points.max(axis=0)
    times, foot = 1.0, 0.0  # foot: where y = 0 is put
    if letter is not None and not letter.islower() and letter not in "JQ" and high[1] - low[1] > 2:
        times = float((CAPITAL - pen) / (high[1] - low[1]))
        foot = BASELINE - pen / 2 - times * high[1]
    times = min(times, (SIDE - 2 - pen) / max(high[0] - low[0], 1e-6))
    if letter is not None and foot:
        foot = BASELINE - pen / 2 - times * high[1]
    middle = (low[0] + high[0]) / 2
    placed = [(path - (middle, 0)) * times + (SIDE / 2, foot) for path in paths]
    centres = (np.arange(SIDE * FINE) + 0.5) / FINE
    away = distance(placed, np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2))
    fine = np.clip(pen / 2 - away, -REACH, REACH).reshape(SIDE, FINE, SIDE, FINE)
    return fine.mean(axis=(1, 3)).reshape(-1).astype(np.float32)


def checked(strokes: Strokes) -> list[np.ndarray]:
    """Strokes as arrays (points, 2), without those that are empty. Raises DataError for what is no drawing."""
    try:
        paths = [np.asarray(stroke, float).reshape(len(stroke), -1) for stroke in strokes if len(stroke)]
    except (TypeError, ValueError):
        raise DataError("a drawing is a list of strokes, and a stroke a list of points (x, y).") from None
    if any(path.shape[1] != 2 or not np.isfinite(path).all() or np.abs(path).max() > 1000 for path in paths):
        raise DataError("a drawing is a list of strokes, and a stroke a list of points (x, y), in pixels.")
    if sum(map(len, paths)) > MOST:
        raise DataError(f"the drawing has more than {MOST:,} points; draw with fewer.")
    return paths


def distance(paths: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    """How far points (n, 2) are from the nearest of the paths (points, 2): (n,). A path of one point is a dot."""
    nearest = np.full(len(points), np.inf)
    for path in paths:
        starts, ends = (path[:-1], path[1:]) if len(path) > 1 else (path, path)
        for a, b in zip(starts, ends):
            along = b - a
            t = np.clip((points - a) @ along / max(along @ along, 1e-12), 0, 1)[:, None]
            away = points - a - t * along
            nearest = np.minimum(nearest, np.hypot(away[:, 0], away[:, 1]))
    return nearest


def load(file: str | os.PathLike) -> tuple[str, list[np.ndarray], float]:
    """A drawing on disk (JSON, with "letter", "pen" and "strokes"): its letter, its strokes and its pen's width."""
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        letter, strokes, pen = found["letter"], checked(found["strokes"]), float(found["pen"])
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}).") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DataError(f"{file} is no drawing; it should hold a letter, a pen and strokes, as JSON.") from None
    field(strokes, pen, letter)  # what is wrong with it is said now
    return letter, strokes, pen
