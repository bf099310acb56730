"""Walks between codes. Codes drawn from a standard normal in many dimensions lie near a sphere around the origin; a
straight line between two of them leaves it, and an arc does not (spherical interpolation: Shoemake 1985).
"""

import numpy as np


def arc(start: np.ndarray, end: np.ndarray, n: int) -> np.ndarray:
    """n codes (n, K) from ``start`` (K,) to ``end`` (K,), both included: even steps of the direction and of the length.

    The origin is the middle of the arc; for codes around another point, subtract it first and add it again. Both must
    differ from the origin, and must not point in opposite directions.
    """
    r0, r1 = np.linalg.norm(start), np.linalg.norm(end)
    u, v = start / r0, end / r1
    angle = np.arccos(np.clip(u @ v, -1, 1))
    t = np.linspace(0, 1, n)[:, None]
    if angle < 1e-6:  # the same direction: only the length changes
        return (1 - t) * start + t * end
    direction = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    return ((1 - t) * r0 + t * r1) * direction
