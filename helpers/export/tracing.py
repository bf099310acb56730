"""From a field of signed distances to an outline of lines and smooth curves.

The zero line is found on a grid four times as fine (cubic splines, lightly smoothed). Corners are found where it turns
sharply, and put back where its sides, prolonged, would meet: a field on coarse pixels rounds them. Between corners the
line is fitted by cubic Béziers, by least squares (after Schneider, *An algorithm for automatically fitting digitized
curves*, in Graphics Gems, 1990).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

FINE = 4  # how many times finer the grid is, on which the zero line is found
SMOOTH = 0.15  # standard deviation of the smoothing, in pixels
SPECK = 0.8  # outlines that enclose less are left out, in square pixels
STRAIGHT = 0.1  # how far it may leave a line that is drawn straight, in pixels
TOLERANCE = 0.07  # how far a fitted curve may leave the zero line, in pixels
STEP = 0.2  # between the points that a curve is fitted to, in pixels
REACH = 0.7  # how far on each side of a point it is asked for its direction, in pixels
CORNER = np.radians(38)  # a line that turns by more within that reach has a corner


@dataclass
class Piece:
    """A part of an outline from its first to its last point: a line (2, 2) or a cubic Bézier (4, 2)."""

    points: np.ndarray

    @property
    def straight(self) -> bool:
        """Whether it is a line."""
        return len(self.points) == 2


def refine(field: ArrayLike, times: int = FINE, smooth: float = SMOOTH) -> np.ndarray:
    """A field (H, W) by cubic splines on a grid ``times`` as fine, smoothed by ``smooth`` pixels."""
    from scipy.ndimage import gaussian_filter, zoom

    fine = zoom(np.asarray(field, float), times, order=3, mode="nearest", grid_mode=True)
    return gaussian_filter(fine, smooth * times, mode="nearest") if smooth else fine


def zero_lines(fine: np.ndarray, times: int) -> list[np.ndarray]:
    """The closed lines (points, 2) on which a field is zero, in pixels, y downwards; specks are left out.

    fine (times H, times W) holds ``times`` values a pixel. Paper always lies on the same side of a line, so that a hole
    runs the other way round. The last point is not the first again.
    """
    from contourpy import contour_generator

    fine = np.pad(fine, 1, constant_values=-1.0)  # so that no line leaves the image
    rows, columns = ((np.arange(n) - 0.5) / times for n in fine.shape)
    lines = [np.asarray(line)[:-1] for line in contour_generator(columns, rows, fine).lines(0.0)]
    return [line for line in lines if len(line) > 3 and abs(area(line)) > SPECK]


def area(ring: np.ndarray) -> float:
    """The signed area of a closed line (points, 2)."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def resample(ring: np.ndarray, step: float) -> np.ndarray:
    """A closed line (points, 2), by points evenly ``step`` apart, or a little less."""
    closed = np.concatenate([ring, ring[:1]])
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.linspace(0, along[-1], max(8, int(np.ceil(along[-1] / step))), endpoint=False)
    return np.stack([np.interp(at, along, column) for column in closed.T], axis=1)


def trace(ring: np.ndarray, sharpen: bool = True, step: float = STEP) -> list[Piece]:
    """A closed line (points, 2) as lines and cubic Béziers, each of which begins where the one before it ends.

    sharpen: whether corners are put where their sides would meet.
    """
    points = resample(ring, step)
    reach = min(round(REACH / step), len(points) // 4)
    ahead, behind = np.roll(points, -reach, axis=0) - points, points - np.roll(points, reach, axis=0)
    turn = np.abs(np.arctan2(behind[:, 0] * ahead[:, 1] - behind[:, 1] * ahead[:, 0], (behind * ahead).sum(axis=1)))
    order = np.argsort(-turn, kind="stable")
    corners: list[int] = []
    for i in order[turn[order] > CORNER]:
        if all(min((i - j) % len(points), (j - i) % len(points)) >= reach for j in corners):
            corners.append(int(i))
    if not corners:
        start = int(points[:, 0].argmin())  # an extreme, where a smooth joint does not show
        loop = np.roll(points, -start, axis=0)
        tangent = unit(points[(start + 1) % len(points)] - points[start - 1])
        return fit(np.concatenate([loop, loop[:1]]), tangent, -tangent)
    corners.sort()
    sharp = {i: sharpened(points, i, reach) if sharpen else points[i] for i in corners}
    pieces: list[Piece] = []
    for i, j in zip(corners, corners[1:] + [corners[0] + len(points)]):
        inner = np.arange(i + reach // 2, j - reach // 2 + 1) if j - i > 2 * reach else np.arange(i + 1, j)
        part = np.concatenate([sharp[i][None], points[inner % len(points)], sharp[j % len(points)][None]])
        pieces += fit(part, direction(part), direction(part[::-1]))
    return pieces


def sharpened(points: np.ndarray, i: int, reach: int) -> np.ndarray:
    """Where the two sides of a corner, prolonged, meet: (2,); the corner itself, if that is far from it."""
    span = np.arange(reach // 2 + 1, 2 * reach)
    sides = []
    for side in (points[(i - span) % len(points)], points[(i + span) % len(points)]):
        middle = side.mean(axis=0)
        spread, along = np.linalg.eigh(np.cov((side - middle).T))
        if spread[0] > 0.0025:  # not straight
            return points[i]
        sides.append((middle, along[:, 1]))
    (p, u), (q, v) = sides
    cross = u[0] * v[1] - u[1] * v[0]
    if abs(cross) < 0.3:  # nearly the same direction: they meet too far away
        return points[i]
    meeting = p + u * ((q - p)[0] * v[1] - (q - p)[1] * v[0]) / cross
    return meeting if np.hypot(*(meeting - points[i])) < 0.75 else points[i]


def level_parts(pieces: list[Piece]) -> list[int]:
    """Which pieces of an outline are level: straight, at least a pixel long, and hardly tilted."""
    sides = [piece.points[-1] - piece.points[0] for piece in pieces]
    return [i for i, (x, y) in enumerate(sides) if pieces[i].straight and abs(x) > 1 and abs(y) < 0.12 * abs(x)]


def align(pieces: list[Piece], heights: ArrayLike, reach: float = 0.35) -> None:
    """Move the level parts of an outline onto one of the heights (y, in pixels), where they nearly are, in place.

    So the feet of all letters stand on one line. What joins them moves along: end points, with their directions.
    """
    heights = np.asarray(heights, float)
    for i in level_parts(pieces):
        y = pieces[i].points[:, 1].mean()
        target = heights[np.abs(heights - y).argmin()]
        if abs(target - y) > reach:
            continue
        before, after = pieces[i - 1], pieces[(i + 1) % len(pieces)]
        begin, end = target - pieces[i].points[0, 1], target - pieces[i].points[-1, 1]
        before.points[-1 if before.straight else slice(2, 4), 1] += begin
        after.points[0 if after.straight else slice(0, 2), 1] += end
        pieces[i].points[:, 1] = target


def unit(vector: np.ndarray) -> np.ndarray:
    """A vector of length 1 in the same direction."""
    return vector / max(np.hypot(*vector), 1e-9)


def direction(part: np.ndarray) -> np.ndarray:
    """The direction in which a line (points, 2) sets out: (2,)."""
    return unit(part[min(3, len(part) - 1)] - part[0])


def fit(part: np.ndarray, start: np.ndarray, end: np.ndarray, tolerance: float = TOLERANCE) -> list[Piece]:
    """An open line (points, 2) by lines and cubic Béziers; they leave in direction start, and come in against end."""
    chord = part[-1] - part[0]
    across = unit(np.array([-chord[1], chord[0]]))
    if np.hypot(*chord) > 1e-6 and np.abs((part - part[0]) @ across).max() < STRAIGHT:
        return [Piece(part[[0, -1]].copy())]
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(part, axis=0).T))])
    t = along / along[-1]
    best, worst, where = np.stack([part[0], part[0], part[-1], part[-1]]), np.inf, len(part) // 2
    for _ in range(4):
        curve, drawn = least_squares(part, t, start, end, along[-1])
        away = drawn - part
        miss = np.hypot(away[:, 0], away[:, 1])
        if miss.max() < worst:
            best, worst, where = curve, miss.max(), int(miss.argmax())
        if worst < tolerance or worst > 5 * tolerance:  # good, or no other t would save it
            break
        # Newton's step towards the nearest point of the curve
        speed, bend = derivatives(curve, t)
        below = (speed * speed).sum(axis=1) + (away * bend).sum(axis=1)
        t = np.maximum.accumulate(np.clip(t - (away * speed).sum(axis=1) / np.maximum(below, 1e-9), 0, 1))
    if worst < tolerance or len(part) < 6:
        return [Piece(best)]
    where = min(max(where, 2), len(part) - 3)
    back = unit(part[max(where - 2, 0)] - part[min(where + 2, len(part) - 1)])
    return fit(part[: where + 1], start, back, tolerance) + fit(part[where:], -back, end, tolerance)


def bernstein(t: np.ndarray) -> np.ndarray:
    """The weights (n, 4) of the four points of a cubic at the places t (n,)."""
    s = 1 - t
    return np.stack([s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t], axis=1)


def least_squares(part: np.ndarray, t: np.ndarray, start: np.ndarray, end: np.ndarray,
                  long: float) -> tuple[np.ndarray, np.ndarray]:
    """The cubic (4, 2) with given ends and directions that is nearest to points (n, 2) at places t, and its points."""
    weights = bernstein(t)
    first, last = part[0], part[-1]
    missing = part - weights[:, :2].sum(axis=1)[:, None] * first - weights[:, 2:].sum(axis=1)[:, None] * last
    one, two = weights[:, 1], weights[:, 2]
    a, b, d = one @ one, (one @ two) * (start @ end), two @ two
    u, v = one @ (missing @ start), two @ (missing @ end)
    below = a * d - b * b
    lengths = [(d * u - b * v) / below, (a * v - b * u) / below] if below > 1e-9 else [0.0, 0.0]
    plain = max(np.hypot(*(last - first)), 0.5 * long) / 3
    lengths = [length if 0.01 * long < length < 1.5 * long else plain for length in lengths]
    curve = np.stack([first, first + lengths[0] * start, last + lengths[1] * end, last])
    return curve, weights @ curve


def derivatives(curve: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and second derivatives (n, 2) of a cubic (4, 2) at the places t (n,)."""
    s = 1 - t
    first, second = 3 * np.diff(curve, axis=0), 6 * np.diff(curve, 2, axis=0)
    return np.stack([s * s, 2 * s * t, t * t], axis=1) @ first, np.stack([s, t], axis=1) @ second
