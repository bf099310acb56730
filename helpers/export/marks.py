"""Punctuation for an alphabet that has none, drawn by rule from its own measures: strokes as thick as its strokes.

Each mark is a field of signed distances, like the letters: the union (maximum) of discs, boxes and strokes.
"""

from dataclasses import dataclass

import numpy as np

from helpers.data.outlines import BASELINE, CAPITAL, SIDE
from helpers.export import tracing

TIMES = 6  # values a pixel; marks are drawn this fine at once
MARKS = ".,:;!?-'\"()/+=\u2018\u2019\u201c\u201d\u2013\u2014"


@dataclass
class Measures:
    """What a typeface's strokes are like, in pixels of the fields (capitals are 17 high).

    stem: upright strokes. bar: level strokes. x_height: of the small letters. slant: a tangent. counter: the white
    inside an n. dot: how wide the dot of the i is. square: whether it has corners.
    """

    stem: float
    bar: float
    x_height: float
    slant: float
    counter: float
    dot: float
    square: bool


def runs(line: np.ndarray) -> list[tuple[int, int]]:
    """Where the stretches of ink (positive values) in a line begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (line > 0).astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2]))


def measures(fine: dict[str, np.ndarray], slant: float) -> Measures:
    """Measure an alphabet: character to its refined field, ``tracing.FINE`` values a pixel."""
    times = tracing.FINE
    row = lambda up: round((BASELINE - up) * times)
    tops = [np.flatnonzero((fine[k] > 0).any(axis=1))[:1] for k in "xz"]
    x_height = float(np.clip(np.median([BASELINE - top[0] / times for top in tops if len(top)] or [12.0]), 6, CAPITAL))
    across = [runs(fine[k][row(0.45 * x_height)]) for k in "Ilihnm"]
    stem = float(np.median([b - a for found in across for a, b in found[:1]] or [2 * times])) / times
    centre = lambda field: int(np.median(np.flatnonzero((field > 0).any(axis=0))))
    down = [runs(fine[k][:, centre(fine[k])]) for k in "HeztTo"]
    bar = float(np.median([b - a for found in down for a, b in found[:1]] or [2 * times])) / times
    inside = runs(fine["n"][row(0.45 * x_height)])
    counter = (inside[1][0] - inside[0][1]) / times if len(inside) > 1 else 0.5 * x_height
    dot, square = 1.2 * stem, False
    body = runs((fine["i"] > 0).any(axis=1).astype(float))
    if len(body) > 1 and body[0][1] < row(0.9 * x_height):  # the topmost part is a dot
        above = fine["i"][body[0][0] : body[0][1]] > 0
        wide = above.any(axis=0).sum()
        dot, square = (wide + len(above)) / 2 / times, above.sum() > 0.87 * wide * len(above)
    stem, bar = float(np.clip(stem, 0.7, 6)), float(np.clip(bar, 0.6, 5))
    return Measures(stem, bar, x_height, slant, float(np.clip(counter, 2.5, 9)),
                    float(np.clip(dot, 0.95 * stem, 1.5 * stem)), bool(square))


def draw(mark: str, m: Measures) -> np.ndarray:
    """A mark as a field (TIMES * 28, TIMES * 28), centred like the letters."""
    at = (np.arange(SIDE * TIMES) + 0.5) / TIMES
    up = BASELINE - at[:, None]
    x = at[None] - SIDE / 2 - m.slant * (up - CAPITAL / 2)
    up = np.broadcast_to(up, x.shape)
    union = lambda *fields: np.maximum.reduce(fields)

    def disc(u, v, radius):
        return radius - np.hypot(x - u, up - v)

    def box(u, v, wide, tall):
        return np.minimum(wide / 2 - np.abs(x - u), tall / 2 - np.abs(up - v))

    def stroke(points, radii):
        return union(*(disc(u, v, r) for (u, v), r in zip(points, radii)))

    def dot(u, v):
        return box(u, v, m.dot, m.dot) if m.square else disc(u, v, m.dot / 2)

    def wedge(u, top, bottom, wide, narrow):
        half = narrow / 2 + (wide - narrow) / 2 * np.clip((up - bottom) / (top - bottom), 0, 1)
        return np.minimum(half - np.abs(x - u), (top - bottom) / 2 - np.abs(up - (top + bottom) / 2))

    def comma(u, v):
        t = np.linspace(0, 1, 14)
        tail = np.stack([u + 0.16 * m.dot * (1 - t) - 0.42 * m.dot * t**2, v - 1.35 * m.dot * t], axis=1)
        return union(dot(u, v), stroke(tail, m.dot * (0.36 - 0.26 * t)))

    def paren(side):
        t = np.linspace(-1, 1, 90)
        middle, half = 0.5 * (CAPITAL + 0.5 - 3.0), 0.5 * (CAPITAL + 0.5 + 3.0)
        points = np.stack([side * 0.28 * half * (np.sqrt(1.15 - t**2) - 0.7), middle + half * t], axis=1)
        return stroke(points, 0.5 * (0.75 * m.bar + (m.stem - 0.75 * m.bar) * (1 - t**2)))

    half, low, centre = m.dot / 2, 1.9 * m.dot, 0.5 * m.x_height
    quote = CAPITAL - half
    apart = 0.5 * m.dot + 0.3 * m.stem
    match mark:
        case ".":
            return dot(0, half)
        case ":":
            return union(dot(0, half), dot(0, m.x_height - half))
        case ",":
            return comma(0, half)
        case ";":
            return union(comma(0, half), dot(0, m.x_height - half))
        case "!":
            return union(wedge(0, CAPITAL, low, 1.15 * m.stem, 0.7 * m.stem), dot(0, half))
        case "?":
            r = 0.24 * CAPITAL
            angle = np.radians(np.linspace(165, -50, 70))
            arc = np.stack([r * np.cos(angle), CAPITAL - r - m.bar / 2 + r * np.sin(angle)], axis=1)
            t = np.linspace(0, 1, 30)[:, None]
            v, lowest = arc[-1, 1], low + m.stem / 2
            turn, end = np.array([0.0, 0.55 * v + 0.45 * lowest]), np.array([0.0, lowest])
            foot = (1 - t) ** 2 * arc[-1] + 2 * t * (1 - t) * turn + t**2 * end
            points = np.concatenate([arc, foot])
            level = np.abs(np.gradient(points[:, 0])) / np.hypot(*np.gradient(points, axis=0).T)
            return union(stroke(points, 0.5 * (m.stem + (m.bar - m.stem) * level)), dot(0, half))
        case "-":
            return box(0, centre, 0.45 * m.x_height, m.bar)
        case "\u2013":
            return box(0, centre, 0.9 * m.x_height, m.bar)
        case "\u2014":
            return box(0, centre, min(1.7 * m.x_height, SIDE - 4), m.bar)
        case "'":
            return wedge(0, CAPITAL + 0.5, 0.68 * CAPITAL, 1.05 * m.stem, 0.6 * m.stem)
        case '"':
            return union(*(wedge(u, CAPITAL + 0.5, 0.68 * CAPITAL, 1.05 * m.stem, 0.6 * m.stem)
                           for u in (-0.9 * m.stem - 0.4, 0.9 * m.stem + 0.4)))
        case "\u2019":
            return comma(0, quote)
        case "\u201d":
            return union(comma(-apart, quote), comma(apart, quote))
        case "\u2018" | "\u201c":  # turned by half a circle, about the middle of the mark
            turned = draw("\u2019" if mark == "\u2018" else "\u201d", Measures(**{**vars(m), "slant": 0.0}))
            shift = round(2 * (BASELINE - quote + 0.4 * m.dot) * TIMES) - len(turned)
            turned = np.roll(turned[::-1, ::-1], shift, axis=0)
            return sheared(turned, m.slant)
        case "(":
            return paren(-1)
        case ")":
            return paren(1)
        case "/":
            t = np.linspace(-1, 1, 90)
            middle, tall = 0.5 * (CAPITAL - 1.5), 0.5 * (CAPITAL + 2.5)
            return stroke(np.stack([3.2 * t, middle + tall * t], axis=1), np.full(90, 0.21 * (m.stem + m.bar) + 0.1))
        case "+":
            return union(box(0, 0.42 * CAPITAL, 9, m.bar), box(0, 0.42 * CAPITAL, min(m.stem, 1.4 * m.bar), 9))
        case "=":
            gap = 1.2 + m.bar
            return union(box(0, 0.42 * CAPITAL + gap, 9, m.bar), box(0, 0.42 * CAPITAL - gap, 9, m.bar))
    raise ValueError(f"there is no rule for {mark!r}")


def sheared(field: np.ndarray, slant: float) -> np.ndarray:
    """A field as fine as TIMES, leaning to the right by a tangent about half the height of capitals."""
    if not slant:
        return field
    from scipy.ndimage import map_coordinates

    rows, columns = np.indices(field.shape)
    up = BASELINE - (rows + 0.5) / TIMES
    return map_coordinates(field, [rows, columns - slant * (up - CAPITAL / 2) * TIMES], order=1, mode="nearest")
