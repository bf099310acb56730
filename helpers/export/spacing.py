"""How far letters stand from each other: white on both sides of each, and kerning for pairs that need it.

Even spacing means equal *white* between letters, not equal distance. So each side of a glyph gets as much room as makes
its mean white, up to a depth, the same for all; and a pair of which the white is still uneven, such as AV, is moved.
"""

import numpy as np

from helpers.data.outlines import BASELINE, CAPITAL

ROWS = np.arange(-6, 20, 0.25) + 0.125  # heights above the baseline at which glyphs are measured, in pixels
OVERHANG = 1.3  # pixels by which the hook of a j or f may leave its room
EM = 24.3  # pixels: the size at which a font is set, of which capitals are 0.7
FAR = 60.0  # pixels: no ink in this row


def edges(fine: np.ndarray, times: int, slant: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the ink of a field begins and ends at the heights ROWS, in pixels: (rows,) each; FAR where there is none.

    fine (times H, times W). Slanted letters are measured upright, so that their sides are compared like with like.
    """
    row = np.clip(((BASELINE - ROWS) * times).astype(int), 0, len(fine) - 1)
    inside = BASELINE - ROWS < len(fine) / times
    ink = (fine[row] > 0) & inside[:, None]
    any_ink, width = ink.any(axis=1), ink.shape[1]
    lean = slant * (ROWS - CAPITAL / 2)
    left = np.where(any_ink, ink.argmax(axis=1) / times - lean, FAR)
    right = np.where(any_ink, (width - ink[:, ::-1].argmax(axis=1)) / times - lean, -FAR)
    return left, right


def bearings(left: np.ndarray, right: np.ndarray, tall: bool, x_height: float, target: float) -> tuple[float, float]:
    """Where a glyph's room begins and ends, in pixels: so that the mean white on each side is ``target``.

    White counts up to a depth, from the baseline to the x-height, or to the capitals' height where ``tall``.
    """
    high = CAPITAL if tall else x_height
    zone, depth = (ROWS > 0) & (ROWS < high), 0.15 * CAPITAL
    ends = []
    for sign, edge in ((1, left), (-1, -right)):
        near = edge[zone].min() if edge[zone].min() < FAR / 2 else edge.min()
        white = np.clip(edge[zone] - near, 0, depth).mean()
        begin = near - max((1.12 if tall else 1.0) * target - white, 0.3 * target)
        ends.append(sign * min(begin, edge.min() + OVERHANG))
    return ends[0], ends[1]


def kerning(sides: dict[str, tuple[np.ndarray, np.ndarray]], target: float, units: float) -> dict[tuple[str, str], int]:
    """How many units to move pairs of glyphs: (first, second) to units, negative for closer.

    sides: for each glyph its white (left, right) at the heights ROWS, in pixels, from where its room begins and ends.
    A pair should be as near, row for row (by the harmonic mean of squares, where the nearest rows count most), as two
    straight letters are; it moves by 70 % of what is missing, by at most 0.11 of the size, and never nearer than 30 %
    of the distance of straight letters.
    """
    from scipy.ndimage import minimum_filter1d

    zone = (ROWS > 0) & (ROWS < CAPITAL)
    straight, most = 2 * target, 2 * target + 0.3 * CAPITAL
    names = list(sides)
    left = np.array([sides[k][0] for k in names])  # (glyphs, rows)
    right = np.array([sides[k][1] for k in names])
    near = lambda gap: (np.clip(gap, 0.3, most)[..., zone] ** -2.0).mean(axis=-1) ** -0.5
    gaps = right[:, None] + left[None]  # (first, second, rows)
    reach = minimum_filter1d(gaps, 13, axis=2).min(axis=2)  # rows up to 1.5 pixels apart can meet, too
    distance = near(gaps)
    kind = np.array([0 if k.islower() else 1 if k.isalnum() else 2 for k in names])
    ideal = np.array([[distance[names.index(a), names.index(b)] for b in "nH"] for a in "nH"])
    found = {}
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if (a.isdigit() and b.isdigit()) or kind[i] == kind[j] == 2:
                continue
            if kind[i] == 2 or kind[j] == 2:  # a mark: only points and commas move nearer
                move = 0.7 * min(0.0, 0.9 * straight - reach[i, j]) if {a, b} & set(".,") else 0.0
            else:
                move = 0.7 * (ideal[kind[i], kind[j]] - distance[i, j])
            move = float(np.clip(move, -0.11 * EM, 0.04 * EM))
            move = max(move, min(0.3 * straight - reach[i, j], 0.06 * EM))
            if abs(move) * units >= 12:
                found[a, b] = round(move * units)
    return found
