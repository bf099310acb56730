"""The outlines of the letters and digits in a font, and their fields of signed distances.

A field holds for every pixel how far the outline is away, in pixels, positive inside the ink (after Green, *Improved
alpha-tested magnification for vector textures*, 2007). Here are also the places where a glyph stands in its image.
"""

import os
import string
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from helpers.data.dataset import DataError

CHARACTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
SIDE = 28  # pixels
CAPITAL = 17.0  # height of an H, in pixels
BASELINE = 21.5  # where the letters stand, in pixels from the top
REACH = 2.0  # distances are cut off here, in pixels
FINE = 2  # the originals are kept at twice the resolution, so that changed copies stay sharp

# Where Unicode keeps whole alphabets for mathematics: first capital, first small letter, first digit (or None).
ALPHABETS = {
    "": (0x41, 0x61, 0x30),
    "script": (0x1D49C, 0x1D4B6, None),
    "bold script": (0x1D4D0, 0x1D4EA, None),
    "fraktur": (0x1D504, 0x1D51E, None),
    "bold fraktur": (0x1D56C, 0x1D586, None),
    "double-struck": (0x1D538, 0x1D552, 0x1D7D8),
    "sans": (0x1D5A0, 0x1D5BA, 0x1D7E2),
    "bold sans": (0x1D5D4, 0x1D5EE, 0x1D7EC),
    "italic sans": (0x1D608, 0x1D622, None),
    "bold italic sans": (0x1D63C, 0x1D656, None),
    "typewriter": (0x1D670, 0x1D68A, 0x1D7F6),
}
# Letters that had a place in Unicode before their alphabet did, and are missing there.
OLDER = {
    "script": dict(B=0x212C, E=0x2130, F=0x2131, H=0x210B, I=0x2110, L=0x2112, M=0x2133, R=0x211B,
                   e=0x212F, g=0x210A, o=0x2134),
    "fraktur": dict(C=0x212D, H=0x210C, I=0x2111, R=0x211C, Z=0x2128),
    "double-struck": dict(C=0x2102, H=0x210D, N=0x2115, P=0x2119, Q=0x211A, R=0x211D, Z=0x2124),
}


def code_point(character: str, alphabet: str = "") -> int | None:
    """Where a character is found in one of Unicode's alphabets, or None."""
    if character in OLDER.get(alphabet, {}):
        return OLDER[alphabet][character]
    for first, run in zip(ALPHABETS[alphabet], (string.ascii_uppercase, string.ascii_lowercase, string.digits),
                          strict=True):
        if character in run:
            return None if first is None else first + run.index(character)
    return None


def outlines(file: str | Path, alphabet: str = "") -> dict[str, list[np.ndarray]]:
    """The outlines of a font: character -> closed polygons (points, 2), y upwards.

    file: the name of one of Matplotlib's fonts, without its ending, or the path of any TTF or OTF file. Characters
    that the font lacks, or holds empty, are left out. Raises OSError when there is no such file.
    """
    import matplotlib
    from matplotlib.font_manager import FontProperties, get_font
    from matplotlib.textpath import TextPath

    path = os.path.join(matplotlib.get_data_path(), "fonts", "ttf", f"{file}.ttf") if isinstance(file, str) else file
    known, properties = get_font(path).get_charmap(), FontProperties(fname=path)
    found = {}
    for character in CHARACTERS:
        point = code_point(character, alphabet)
        if point is None or point not in known:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                rings = TextPath((0, 0), chr(point), size=100, prop=properties).to_polygons(closed_only=True)
            except AttributeError:  # how Matplotlib 3.11 answers to an empty glyph
                continue
        polygons = [ring for ring in map(np.asarray, rings) if len(ring) > 2]
        if polygons:
            found[character] = polygons
    return found


def signed_distance(polygons: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance of every point of the grid x (W,), y (H,) to the nearest outline: (H, W), positive inside.

    The outline is taken as points a twentieth of a pixel apart. Inside is where it winds around a point.
    """
    from scipy.spatial import cKDTree

    rings = [p[:-1] if np.array_equal(p[0], p[-1]) else p for p in polygons]  # no point twice
    a, b = np.concatenate(rings), np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])  # edges from a to b
    steps = np.maximum(1, np.ceil(np.hypot(*(b - a).T) / 0.05).astype(int))
    t = np.concatenate([np.arange(n) / n for n in steps])[:, None]
    points = np.repeat(a, steps, axis=0) * (1 - t) + np.repeat(b, steps, axis=0) * t
    grid = np.stack(np.meshgrid(x, y), axis=-1)  # (H, W, 2)
    distance, _ = cKDTree(points).query(grid, distance_upper_bound=3 * REACH)
    # Scanline: each edge that crosses a row changes the winding number of all that lies to its right.
    winding = np.zeros((len(y), len(x) + 1))
    edge, row = np.nonzero((a[:, 1:] <= y) != (b[:, 1:] <= y))
    (ax, ay), (bx, by) = a[edge].T, b[edge].T
    crossing = ax + (y[row] - ay) / (by - ay) * (bx - ax)
    np.add.at(winding, (row, np.searchsorted(x, crossing)), np.sign(by - ay))
    inside = np.cumsum(winding, axis=1)[:, :-1] != 0
    return np.clip(np.where(inside, distance, -distance), -3 * REACH, 3 * REACH)


def draw_font(file: str | Path, alphabet: str = "") -> dict[str, np.ndarray]:
    """Every character of a font as a field of distances (56, 56), in pixels of the 28 × 28 image.

    Capitals are 17 pixels high and all stand on one baseline; each character is centred. A font whose widest
    character would not fit is made narrower as a whole.
    """
    found = outlines(file, alphabet)
    if "H" not in found:
        raise DataError(f"{file} {alphabet}: there is no H to measure the font by; leave this font out.")
    points = {k: np.concatenate(p) for k, p in found.items()}
    high = CAPITAL / points["H"][:, 1].max()
    widest = max(np.ptp(p[:, 0]) for p in points.values()) * high
    wide = high * min(1, (SIDE - 3) / widest)
    centres = (np.arange(SIDE * FINE) + 0.5) / FINE
    fields = {}
    for character, polygons in found.items():
        middle = (points[character][:, 0].min() + points[character][:, 0].max()) / 2
        placed = [(p - (middle, 0)) * (wide, -high) + (SIDE / 2, BASELINE) for p in polygons]
        fields[character] = signed_distance(placed, centres, centres)
    return fields
