"""Codes from p(z|x) ∝ p(z) p(x|z)^(1/T), for any prior: many draws from it, of which the likely ones are kept.

Sampling, importance resampling (Rubin, 1987, *The Calculation of Posterior Distributions by Data Augmentation:
Comment*): z_1 … z_M from p(z), then each is kept with a chance that is proportional to its weight p(x|z)^(1/T). A VAE
that was trained with a β weighs the likelihood like T = β.

Where few of the draws are likely, the few that are kept are copies of each other. Steps that leave p(z|x) as it is move
them on (resample-move: Gilks and Berzuini, 2001, *Following a Moving Target*); here the encoder proposes them, by what
the missing part is at that moment (Metropolis within Gibbs: Mattei and Frellsen, 2018, *Leveraging the Exact Likelihood
of Deep Latent Variable Models*).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from helpers.models.likelihoods import per_example, reparameterised


class Answers(NamedTuple):
    """Codes (n, K) that were kept, and the effective number of draws that they are from, (Σ w)² / Σ w²."""

    z: Tensor
    effective: float


@torch.no_grad()
def answers(vae: Any, z: Tensor, x: Tensor, c: Tensor | None = None, n: int = 64, temperature: float = 1.0,
            generator: torch.Generator | None = None, batch: int = 500, weight: Tensor | None = None) -> Answers:
    """n codes for one example x (1, …) with condition c (1, …), out of the draws z (M, K) from a prior.

    For a set, x (1, M, …) and c (1, M) may be a single letter of a font. A code may be kept more than once; where the
    effective number is small, take more draws, or a higher temperature. weight (1, …): how much each number of x
    counts, 0 for what is missing. Raises ValueError for a temperature that is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature is {temperature}; give one above 0.")
    found = []
    for some in z.split(batch):
        many = [None if part is None else part.expand(len(some), *part.shape[1:]) for part in (x, c, weight)]
        found.append(vae.log_likelihood(some, *many))
    p = torch.softmax(torch.cat(found).double() / temperature, dim=0)
    kept = torch.multinomial(p, n, replacement=True, generator=generator)
    return Answers(z[kept], float(1 / p.square().sum()))


@torch.no_grad()
def fill_in(vae: Any, x: Tensor, known: Tensor, c: Tensor | None = None, n: int = 1,
            generator: torch.Generator | None = None, draws: int = 1000, steps: int = 10, temperature: float = 1.0,
            mean: bool = False) -> Tensor:
    """n draws of each example of x (N, …), of which ``known``, True or False, stays as it is: (n, N, …).

    draws: codes from the prior, n of which are kept by how likely they make what is known; steps: how often these are
    moved on. The more of both, the closer to p(missing | known). mean: what the decoder expects in the missing part.
    """
    x, found = torch.where(known, x, torch.zeros_like(x)), []
    for i in range(len(x)):
        one, seen, told = x[i : i + 1], known[i : i + 1], None if c is None else c[i : i + 1]
        z = vae.prior.sample(draws, _many(vae.told(told), draws), generator)
        z = answers(vae, z, one, told, n, temperature, generator, weight=seen.to(z.dtype)).z
        one, seen, told = (_many(part, n) for part in (one, seen, told))
        z = _moved(vae, z, one, seen, told, generator, steps, temperature)
        found.append(torch.where(seen, one, vae.shown(z, told, generator, mean)))
    return torch.stack(found, dim=1)


def _moved(vae, z, x, known, c, generator, steps, temperature):
    """Codes z (n, K) after so many steps that leave p(z | known) ∝ p(z) p(known|z)^(1/T) as it is.

    Each draws the missing part given z, and then z' from the encoder given all of it, which is taken with the chance
    min(1, f(z') / f(z)), f(z) = p(z) p(known|z)^(1/T) p(missing|z) / q(z|x).
    """
    weight = torch.where(known, 1 / temperature, 1.0).to(z.dtype)

    def worth(z, x, q):
        log_p = vae.log_likelihood(z, x, c, weight) + vae.prior.log_prob(z, vae.told(c))
        return log_p - per_example(q.log_prob(z))

    for _ in range(steps):
        x = torch.where(known, x, vae.shown(z, c, generator, mean=False))
        q = vae.posterior(x, c)
        new = reparameterised(q, generator)
        u = torch.rand(len(z), generator=generator, dtype=z.dtype, device=z.device)
        z = torch.where((u.log() < worth(new, x, q) - worth(z, x, q))[:, None], new, z)
    return z


def _many(part, n):
    return None if part is None else part.expand(n, *part.shape[1:])
