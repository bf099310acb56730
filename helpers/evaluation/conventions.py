"""One thing, many names: settings of diffusion and flow matching from elsewhere, in the words of this series, and back.

All of them mix data x and noise ε, x_s = α(s) x + σ(s) ε, and train a network on one of x, ε, the score, a velocity or
"v", from which all others follow. Ours has α = t and σ = 1 − t, with t from 0, noise, to 1, data, and predicts the
velocity x − ε. What counts is α / σ alone: the same ratio is the same problem, at another scale. (Kingma, Salimans,
Poole and Ho, 2021, Variational Diffusion Models; Salimans and Ho, 2022, Progressive Distillation for Fast Sampling of
Diffusion Models, for v; Karras, Aittala, Aila and Laine, 2022, Elucidating the Design Space of Diffusion-Based
Generative Models.)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

PREDICTS = ("x", "noise", "score", "v", "velocity")


@dataclass(frozen=True)
class Convention:
    """How a paper or a library writes it. alpha, sigma: of its time s, any numbers. predicts: what its network gives.

    "v" is α ε − σ x, and needs α² + σ² = 1. "velocity" is the derivative of x_s by s, for which slopes, the derivatives
    of alpha and sigma, are needed. no_guidance: the guidance weight with which nothing is guided, 0 or 1. Raises
    ValueError for a prediction that there is not, and for a velocity without slopes.
    """

    alpha: Callable[[np.ndarray], np.ndarray]
    sigma: Callable[[np.ndarray], np.ndarray]
    predicts: str = "noise"
    no_guidance: float = 0.0
    slopes: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None

    def __post_init__(self):
        if self.predicts not in PREDICTS:
            raise ValueError(f"predicts is {self.predicts!r}; say one of {', '.join(PREDICTS)}.")
        if self.predicts == "velocity" and self.slopes is None:
            raise ValueError("a network that predicts the velocity needs slopes, the derivatives of alpha and sigma.")

    def mix(self, s: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """α and σ at times s. Raises ValueError where both are 0, or one is negative."""
        s = np.asarray(s, float)
        alpha, sigma = np.asarray(self.alpha(s), float), np.asarray(self.sigma(s), float)
        if (alpha < 0).any() or (sigma < 0).any() or (alpha + sigma <= 0).any():
            raise ValueError("alpha and sigma must be 0 or more, and not both 0; at some of these times they are not.")
        return alpha, sigma

    def time(self, s: ArrayLike) -> np.ndarray:
        """Our time t for their time s, that with the same α / σ: from 0, noise, to 1, data."""
        alpha, sigma = self.mix(s)
        return alpha / (alpha + sigma)

    def matrix(self, s: float) -> np.ndarray:
        """(2, 2): their point x_s and their prediction are this times (x, ε). Raises ValueError where it tells nothing.

        That is where the noise is 0 and x is predicted, or the like: what they predict does not tell x and ε apart.
        """
        alpha, sigma = (float(part) for part in self.mix(s))
        if self.predicts == "velocity":
            assert self.slopes is not None
            row = [float(part) for part in self.slopes(np.asarray(s, float))]
        elif self.predicts == "score":  # −ε / σ
            if sigma == 0:
                raise ValueError(f"at time {s:g} there is no noise, and no score.")
            row = [0.0, -1 / sigma]
        else:
            row = {"x": [1.0, 0.0], "noise": [0.0, 1.0], "v": [-sigma, alpha]}[self.predicts]
        found = np.array([[alpha, sigma], row])
        if abs(np.linalg.det(found)) < 1e-12:
            raise ValueError(f"at time {s:g} what is predicted ({self.predicts}) does not tell data and noise apart.")
        return found

    def to_ours(self, x: ArrayLike, prediction: ArrayLike, s: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Their points and predictions at time s, each (N, D), as ours: points, velocities x − ε, and the time t."""
        t = float(self.time(s))
        found = np.array([[t, 1 - t], [1.0, -1.0]]) @ np.linalg.inv(self.matrix(s))
        ours = np.einsum("ij,jnd->ind", found, np.stack([np.asarray(x, float), np.asarray(prediction, float)]))
        return ours[0], ours[1], t

    def from_ours(self, x: ArrayLike, velocity: ArrayLike, s: float) -> tuple[np.ndarray, np.ndarray]:
        """Our points and velocities at their time s, each (N, D), as theirs: points and predictions."""
        t = float(self.time(s))
        found = self.matrix(s) @ np.linalg.inv(np.array([[t, 1 - t], [1.0, -1.0]]))
        theirs = np.einsum("ij,jnd->ind", found, np.stack([np.asarray(x, float), np.asarray(velocity, float)]))
        return theirs[0], theirs[1]

    def guidance(self, weight: float) -> float:
        """Our weight w, of v + w (v − v without label), for theirs; 0 guides nothing."""
        return weight - self.no_guidance

    def guidance_from_ours(self, w: float) -> float:
        """Their weight for ours."""
        return w + self.no_guidance


def ddpm(T: int = 1000, low: float = 1e-4, high: float = 0.02) -> Convention:
    """Ho, Jain and Abbeel, 2020: whole times s from 1, nearly data, to T, noise; variances added rise from low to high.

    ᾱ_s is the product over time of 1 − β; α = √ᾱ, σ = √(1 − ᾱ). It predicts the noise. Guidance: Ho and Salimans, 2022.
    """
    bar = np.cumprod(1 - np.linspace(low, high, T))

    def at(s: np.ndarray) -> np.ndarray:
        if (s < 1).any() or (s > T).any() or (s != np.round(s)).any():
            raise ValueError(f"times of this schedule are the whole numbers from 1 to {T}.")  # 0 would wrap around
        return bar[s.astype(int) - 1]

    return Convention(lambda s: np.sqrt(at(s)), lambda s: np.sqrt(1 - at(s)), "noise")


OURS = Convention(lambda t: t, lambda t: 1 - t, "velocity", slopes=lambda t: (np.ones_like(t), -np.ones_like(t)))
CONVENTIONS = {
    "ours": OURS,
    # Time from data, 0, to noise, 1, and the velocity ε − x (Liu, Gong and Liu, 2023, and many libraries).
    "rectified flow from data": Convention(lambda s: 1 - s, lambda s: s, "velocity", 1.0,
                                           lambda s: (-np.ones_like(s), np.ones_like(s))),
    "ddpm": ddpm(),
    # Nichol and Dhariwal, 2021, without their offset; v as Salimans and Ho, 2022.
    "cosine, v": Convention(lambda s: np.cos(math.pi / 2 * s), lambda s: np.sin(math.pi / 2 * s), "v"),
    # Karras et al., 2022: s is σ itself, and the network gives the clean x.
    "edm": Convention(lambda s: np.ones_like(s), lambda s: s, "x", 1.0),
    # Song et al., 2021: noise is added and nothing shrinks; the network gives the score.
    "variance exploding, score": Convention(lambda s: np.ones_like(s), lambda s: s, "score"),
}
