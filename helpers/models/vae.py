"""The variational autoencoder, once for images, sounds and text.

The encoder names a distribution over codes, the decoder a distribution over data; the class knows nothing
else about either. Notebook 04 builds it; the bound is that of notebook 03 (Kingma and Welling, 2014).
"""

import math

import torch
from torch import nn
from torch.distributions import Normal

from helpers.models.likelihoods import (
    draw,
    expected,
    kl_to_standard_normal,
    log_likelihood,
    per_example,
    reparameterised,
)


class VAE(nn.Module):
    """Any encoder and any decoder, trained by the evidence lower bound.

    ``encoder(x, c)`` returns a distribution over codes whose log_prob has shape (N, K);
    ``decoder(z, c)`` returns a distribution over data whose log_prob has the shape of x (or one number less
    for each symbol, if it is categorical). Which distribution it is, is the likelihood.

    A decoder with ``autoregressive = True`` is called as ``decoder(z, c, x)`` and may look at the part of x
    before each symbol; it must also offer ``generate(z, c, generator)``.

    ``code`` is K. The prior is a standard Normal over codes.

    With ``shared=True`` an example is a set, such as the letters of one font or the notes of one instrument,
    and all its members have one code: x is (N, M, …) and c is (N, M), with -1 where a member is missing.
    Encoder and decoder are the same as ever and see single members; what the encoder says of each member,
    a Normal, is multiplied with the prior (:func:`product_of_normals`). The KL divergence counts once a set.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, code: int, shared: bool = False):
        super().__init__()
        self.encoder, self.decoder, self.code, self.shared = encoder, decoder, code, shared
        # A buffer moves with the model, to a GPU or to float64.
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    @property
    def prior(self) -> Normal:
        """p(z), a standard Normal; it broadcasts to (N, K)."""
        return Normal(self.zero, self.zero + 1, validate_args=False)

    def posterior(self, x, c=None):
        """q(z|x, c): a distribution over codes (N, K); with ``shared``, from all members that are there."""
        if not self.shared:
            return self.encoder(x, c)
        here = c >= 0  # (N, M)
        q = self.encoder(x.flatten(0, 1), c.clamp(min=0).flatten())  # (N · M, K)
        return product_of_normals(*(part.unflatten(0, c.shape) for part in (q.loc, q.scale)), here)

    def decode(self, z, c=None, x=None):
        """p(x|z, c): a distribution over data; with ``shared``, over N · M members, set after set."""
        if self.shared:
            z, c = z.repeat_interleave(c.shape[1], dim=0), c.clamp(min=0).flatten()
            x = None if x is None else x.flatten(0, 1)
        if getattr(self.decoder, "autoregressive", False):
            return self.decoder(z, c, x)
        return self.decoder(z, c)

    def expect(self, z, c=None):
        """What the decoder expects from codes z (N, K): probabilities or means, in the shape of x.

        With ``shared``, c is (N, M), or (M,) if it is the same for all: every code under every condition.
        """
        if not self.shared:
            return expected(self.decode(z, c))
        c = c.expand(len(z), -1)
        return expected(self.decode(z, c)).unflatten(0, c.shape)

    def log_likelihood(self, z, x, c=None):
        """log p(x|z, c) in nats: (N,); with ``shared``, of all members that are there together."""
        p = self.decode(z, c, x)
        if not self.shared:
            return log_likelihood(p, x)
        each = log_likelihood(p, x.flatten(0, 1)).view(c.shape)  # (N, M)
        return each.masked_fill(c < 0, 0.0).sum(dim=1)

    def terms(self, x, c=None, generator=None, q=None):
        """-log p(x|z, c) (N,) for one drawn code each, and the KL divergence of each number of the code (N, K).

        ``q`` is the distribution to draw from, if it is not that of x and c.
        """
        q = self.posterior(x, c) if q is None else q
        z = reparameterised(q, generator)
        return -self.log_likelihood(z, x, c), kl_to_standard_normal(q, z)

    def elbo(self, x, c=None, generator=None, samples: int = 1):
        """The two terms of the negative ELBO, (nll, kl), each (N,), in nats per example."""
        nll, kl = self.terms(x, c, generator)
        for _ in range(samples - 1):
            more = self.terms(x, c, generator)
            nll, kl = nll + more[0], kl + more[1]  # the KL is drawn, too, where it has no formula
        return nll / samples, kl.sum(dim=1) / samples

    def loss(self, batch, beta: float = 1.0, free_bits: float = 0.0, members: int | None = None, seen=None):
        """What training minimises, and what to report: (loss, metrics), in nats per example.

        batch: (x, c). beta weighs the KL term (1 is the bound; Higgins et al., 2017). free_bits: nats that
        each number of the code may spend, on average over the batch, before they count (Kingma et al., 2016).

        For sets: ``members`` of each, drawn at random, stand for the whole (their nats count accordingly
        more), and the encoder sees only 1 to ``seen`` of those, so that it learns to make do with few.
        """
        x, c = batch
        if not self.shared:
            nll, kl = self.terms(x, c)
        else:
            present = (c >= 0).sum(dim=1)  # (N,)
            x, c = draw_members(x, c, c.shape[1] if members is None else members)
            few = c.shape[1] if seen is None else int(torch.randint(min(seen, c.shape[1]), ())) + 1
            nll, kl = self.terms(x, c, q=self.posterior(x[:, :few], c[:, :few]))
            nll = nll * present / (c >= 0).sum(dim=1).clamp(min=1)
        nll, spent = nll.mean(), kl.mean(dim=0)  # over the batch first, so that single examples may differ
        kl = spent.sum()
        priced = spent.clamp(min=free_bits).sum() if free_bits else kl
        return nll + beta * priced, {"nll": nll.detach(), "kl": kl.detach()}

    def log_prob(self, x, c=None, k: int = 100, generator=None):
        """The importance-weighted bound on log p(x|c) from k codes each: (N,), in nats; k = 1 is the ELBO.

        Burda, Grosse and Salakhutdinov (2016). At most log p(x) on average, and rising towards it with k.
        """
        q = self.posterior(x, c)
        total = None
        for _ in range(k):  # one after the other: memory does not grow with k
            z = reparameterised(q, generator)
            log_w = self.log_likelihood(z, x, c) + per_example(self.prior.log_prob(z) - q.log_prob(z))
            total = log_w if total is None else torch.logaddexp(total, log_w)
        return total - math.log(k)

    @torch.no_grad()
    def reconstruct(self, x, c=None):
        """What the decoder makes of the mean code of x: probabilities, means or symbols, in the shape of x."""
        p = expected(self.decode(self.posterior(x, c).mean, c, x))
        return p.unflatten(0, c.shape) if self.shared else p

    @torch.no_grad()
    def sample(self, n: int, c=None, generator=None, mean: bool = False):
        """n examples from codes drawn from the prior; with ``mean``, what the decoder expects, not a draw.

        With ``shared``, n sets: (n, M, …), each from one code under the conditions c, (M,) or (n, M).
        """
        z = torch.randn(n, self.code, dtype=self.zero.dtype, device=self.zero.device, generator=generator)
        c = c.expand(n, -1) if self.shared else c
        if getattr(self.decoder, "autoregressive", False):
            if not self.shared:
                return self.decoder.generate(z, c, generator)
            x = self.decoder.generate(z.repeat_interleave(c.shape[1], dim=0), c.flatten(), generator)
        else:
            p = self.decode(z, c)
            x = expected(p) if mean else draw(p, generator)
        return x.unflatten(0, c.shape) if self.shared else x


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


def draw_members(x, c, n: int):
    """n members of each set, drawn without replacement, in random order; a set that has fewer is filled with -1."""
    keys = torch.rand(c.shape, device=c.device).masked_fill(c < 0, -1.0)
    order = keys.topk(min(n, c.shape[1]), dim=1).indices  # (N, n)
    rows = torch.arange(len(c), device=c.device)[:, None]
    return x[rows, order], c[rows, order]
