"""Five curved arms in the plane: a distribution whose density, entropy and modes are known exactly.

A point is drawn from a flat Gaussian beside the centre, p ~ N((2.1, 0), diag(0.5², 0.28²)), then turned by the angle of
an arm and by 0.6 |p| more. Turning by an angle that depends on |p| alone keeps areas, so the density of the Gaussian is
carried along unchanged. The arms have unequal weights.
"""

import numpy as np
from numpy.typing import ArrayLike

WEIGHTS = np.array([3, 2, 1, 4, 2]) / 12
MIDDLE, LONG, WIDE, TWIST = 2.1, 0.5, 0.28, 0.6
ANGLES = 2 * np.pi * np.arange(5) / 5


def turn(p: np.ndarray, angle: ArrayLike) -> np.ndarray:
    """Points p (…, 2) turned around the centre by angles (…), in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * p[..., 0] - sin * p[..., 1], sin * p[..., 0] + cos * p[..., 1]], axis=-1)


def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """n points (n, 2) and their arms (n,)."""
    arm = rng.choice(5, n, p=WEIGHTS)
    p = np.array([MIDDLE, 0]) + rng.standard_normal((n, 2)) * [LONG, WIDE]
    return turn(p, ANGLES[arm] + TWIST * np.hypot(*p.T)), arm


def log_arms(x: np.ndarray) -> np.ndarray:
    """log p(x, arm) of points x (N, 2): (N, 5). The logarithm of their sum, log p(x), is ``log_density``."""
    angle = ANGLES + TWIST * np.hypot(*x.T)[:, None]  # (N, 5)
    p = turn(x[:, None], -angle)  # back to the Gaussian of each arm, (N, 5, 2)
    squares = ((p[..., 0] - MIDDLE) / LONG) ** 2 + (p[..., 1] / WIDE) ** 2
    return np.log(WEIGHTS) - squares / 2 - np.log(2 * np.pi * LONG * WIDE)


def log_density(x: np.ndarray) -> np.ndarray:
    """log p(x) of points x (N, 2): (N,), in nats."""
    return np.logaddexp.reduce(log_arms(x), axis=1)
