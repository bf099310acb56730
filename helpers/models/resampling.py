"""Codes from p(z|x) ∝ p(z) p(x|z)^(1/T), for any prior: many draws from it, of which the likely ones are kept.

Sampling, importance resampling (Rubin, 1987, *The Calculation of Posterior Distributions by Data Augmentation:
Comment*): z_1 … z_M from p(z), then each is kept with a chance that is proportional to its weight p(x|z)^(1/T). A VAE
that was trained with a β weighs the likelihood like T = β.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Answers(NamedTuple):
    """Codes (n, K) that were kept, and the effective number of draws that they are from, (Σ w)² / Σ w²."""

    z: Tensor
    effective: float


@torch.no_grad()
def answers(vae: Any, z: Tensor, x: Tensor, c: Tensor | None = None, n: int = 64, temperature: float = 1.0,
            generator: torch.Generator | None = None, batch: int = 500) -> Answers:
    """n codes for one example x (1, …) with condition c (1, …), out of the draws z (M, K) from a prior.

    For a set, x (1, M, …) and c (1, M) may be a single letter of a font. A code may be kept more than once; where the
    effective number is small, take more draws, or a higher temperature. Raises ValueError for a temperature that is not
    above 0.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature is {temperature}; give one above 0.")
    found = []
    for some in z.split(batch):
        many = [None if part is None else part.expand(len(some), *part.shape[1:]) for part in (x, c)]
        found.append(vae.log_likelihood(some, *many))
    weight = torch.softmax(torch.cat(found).double() / temperature, dim=0)
    kept = torch.multinomial(weight, n, replacement=True, generator=generator)
    return Answers(z[kept], float(1 / weight.square().sum()))
