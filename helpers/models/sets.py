"""Sets that share a code, such as the letters of one font or the notes of one instrument.

What the encoder says of each member, a Normal, is multiplied with the prior; the KL divergence counts once a set.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from helpers.models.contract import everywhere
from helpers.models.likelihoods import expected, log_likelihood, per_example
from helpers.models.vae import VAE, priced


class SetVAE(VAE):
    """A VAE whose examples are sets: x is (N, M, …) and c is (N, M), with -1 where a member is missing.

    Encoder and decoder are the same as ever, and see single members.
    """

    sets = True

    def told(self, c: Tensor | None) -> None:
        """What of the conditions c of its members the prior of a set is told: nothing."""

    def posterior(self, x: Tensor, c: Tensor | None = None) -> Normal:
        """q(z|x, c) of each set, from all members that are there: a Normal over codes (N, K)."""
        here = c >= 0  # (N, M)
        q = self.encoder(x.flatten(0, 1), c.clamp(min=0).flatten())  # (N · M, K)
        return product_of_normals(q.loc.unflatten(0, c.shape), q.scale.unflatten(0, c.shape), here)

    def decode(self, z: Tensor, c: Tensor | None = None, x: Tensor | None = None) -> Distribution:
        """p(x|z, c): a distribution over N · M members, set after set."""
        x = None if x is None else x.flatten(0, 1)
        return super().decode(z.repeat_interleave(c.shape[1], dim=0), c.clamp(min=0).flatten(), x)

    def expect(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """What the decoder expects; c is (N, M), or (M,) for every code under every condition."""
        c = c.expand(len(z), -1)
        return expected(self.decode(z, c)).unflatten(0, c.shape)

    def log_likelihood(self, z: Tensor, x: Tensor, c: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        """log p(x|z, c) of all members that are there together: (N,), in nats; weight (N, M, …) as in VAE."""
        p, members = self.decode(z, c, x), x.flatten(0, 1)
        each = log_likelihood(p, members) if weight is None else per_example(weight.flatten(0, 1) * p.log_prob(members))
        return each.view(c.shape).masked_fill(c < 0, 0.0).sum(dim=1)

    def loss(self, batch: tuple[Tensor, Tensor | None], beta: float = 1.0, free_bits: float = 0.0,
             members: int | None = None, seen: int | None = None) -> tuple[Tensor, dict]:
        """As :meth:`VAE.loss`, in nats per set.

        ``members`` of each set, drawn at random, stand for the whole (their nats count accordingly more), and the
        encoder sees only 1 to ``seen`` of those, so that it learns to make do with few.
        """
        x, c = batch
        present = (c >= 0).sum(dim=1)  # (N,)
        x, c = draw_members(x, c, c.shape[1] if members is None else members)
        few = c.shape[1] if seen is None else int(torch.randint(min(seen, c.shape[1]), ())) + 1
        nll, kl = self.terms(x, c, q=self.posterior(x[:, :few], c[:, :few]))
        return priced(nll * present / (c >= 0).sum(dim=1).clamp(min=1), kl, beta, free_bits)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """What the decoder makes of the mean code of each set, in the shape of x."""
        return super().reconstruct(x, c).unflatten(0, c.shape)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None, mean: bool = False,
               guidance: float = 0.0, **options: Any) -> Tensor:
        """n sets, (n, M, …), each from one code drawn from the prior, under the conditions c, (M,) or (n, M)."""
        c = c.expand(n, -1)
        z = self.prior.sample(n, None, generator, guidance=guidance)
        if self.autoregressive:
            z, c_all = z.repeat_interleave(c.shape[1], dim=0), c.flatten()
            return self.decoder.generate(z, c_all, generator, **options).unflatten(0, c.shape)
        return self.shown(z, c, generator, mean)

    def shown(self, z: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
              mean: bool = False) -> Tensor:
        """Sets (N, M, …) drawn from codes z (N, K), or with ``mean`` what the decoder expects."""
        return super().shown(z, c, generator, mean).unflatten(0, c.shape)

    def fill_in(self, x: Tensor, known: Tensor, c: Tensor | None = None, n: int = 1,
                generator: torch.Generator | None = None, **options: Any) -> Tensor:
        """As :meth:`VAE.fill_in`, for sets: (n, N, M, …). known: of each number of x, or which members, (N, M) or (M,).

        c (N, M) names the missing members as well, those that shall be drawn; where it is -1, x stays as it is.
        """
        each = (..., *[None] * (x.dim() - 2))  # number of a member
        known, gone = torch.as_tensor(known), (c < 0)[each]
        known = known[each] if known.shape in (c.shape, c.shape[1:]) else known
        return super().fill_in(x, everywhere(known, x) | gone, c, n, generator, **options)


def product_of_normals(mu, sigma, here=None) -> Normal:
    """The standard Normal prior times the Normals of the members of each set: mu, sigma (N, M, K) to (N, K).

    Precisions add, and means are weighed by them. ``here`` (N, M) says which members are there; a set
    without any has the prior. (Product of experts: Hinton, 2002; for VAEs: Wu and Goodman, 2018.)
    """
    precision = sigma**-2
    if here is not None:
        precision = precision * here[..., None]
    total = 1 + precision.sum(dim=1)
    return Normal((precision * mu).sum(dim=1) / total, total.rsqrt(), validate_args=False)


def draw_members(x: Tensor, c: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """n members of each set, drawn without replacement, in random order; a set that has fewer is filled with -1."""
    keys = torch.rand(c.shape, device=c.device).masked_fill(c < 0, -1.0)
    order = keys.topk(min(n, c.shape[1]), dim=1).indices  # (N, n)
    rows = torch.arange(len(c), device=c.device)[:, None]
    return x[rows, order], c[rows, order]
