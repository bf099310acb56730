"""The variational autoencoder, once for images, sounds and text.

The encoder names a distribution over codes, the decoder a distribution over data; the class knows nothing
else about either. (Kingma and Welling, 2014.)
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from helpers.models.contract import everywhere, understood
from helpers.models.likelihoods import (
    draw,
    expected,
    kl_to_standard_normal,
    log_likelihood,
    per_example,
    reparameterised,
)
from helpers.models.prior import Prior, StandardNormal
from helpers.models.resampling import fill_in


class VAE(nn.Module):
    """Any encoder and any decoder, trained by the evidence lower bound.

    ``encoder(x, c)`` returns a distribution over codes whose log_prob has shape (N, K);
    ``decoder(z, c)`` returns a distribution over data whose log_prob has the shape of x (or one number less
    for each symbol, if it is categorical). Which distribution it is, is the likelihood.

    A decoder with ``autoregressive = True`` is called as ``decoder(z, c, x)`` and may look at the part of x
    before each symbol; it must also offer ``generate(z, c, generator)``.

    ``code`` is K. ``prior`` is that over codes, the standard Normal unless another is given, or put in its place
    after training (``helpers.models.prior``): bounds and samples are then of the model with that prior. Sets that
    share a code: ``helpers.models.sets``.
    """

    k = 100  # codes an example for the bound
    fills = "approximate"
    encoder: Any  # networks with methods of their own, which the type nn.Module does not have
    decoder: Any
    prior: Prior

    def __init__(self, encoder: nn.Module, decoder: nn.Module, code: int, prior: Prior | None = None):
        super().__init__()
        self.encoder, self.decoder, self.code = encoder, decoder, code
        self.autoregressive = getattr(decoder, "autoregressive", False)
        self.prior = StandardNormal(code) if prior is None else prior

    @property
    def bound(self) -> str:
        """What :meth:`log_prob` is."""
        return f"IWAE-{self.k}"

    def told(self, c: Tensor | None) -> Tensor | None:
        """What of a condition c the prior is told: all of it."""
        return c

    def posterior(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        """q(z|x, c): a distribution over codes (N, K)."""
        return self.encoder(x, c)

    def decode(self, z: Tensor, c: Tensor | None = None, x: Tensor | None = None) -> Distribution:
        """p(x|z, c): a distribution over data."""
        return self.decoder(z, c, x) if self.autoregressive else self.decoder(z, c)

    def expect(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """What the decoder expects from codes z (N, K): probabilities or means, in the shape of x."""
        return expected(self.decode(z, c))

    def log_likelihood(self, z: Tensor, x: Tensor, c: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        """log p(x|z, c) in nats: (N,). weight, in the shape of x: how much each of its numbers counts, if not 1."""
        p = self.decode(z, c, x)
        return log_likelihood(p, x) if weight is None else per_example(weight * p.log_prob(x))

    def terms(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
              q: Distribution | None = None) -> tuple[Tensor, Tensor]:
        """-log p(x|z, c) (N,) for one drawn code each, and the KL divergence of each number of the code (N, K).

        ``q`` is the distribution to draw from, if it is not that of x and c. Under a prior that knows its numbers only
        together, the divergence is one number (N, 1), estimated from the drawn code.
        """
        q = self.posterior(x, c) if q is None else q
        z = reparameterised(q, generator)
        if isinstance(self.prior, StandardNormal):
            kl = kl_to_standard_normal(q, z)
        else:
            kl = (per_example(q.log_prob(z)) - self.prior.log_prob(z, self.told(c)))[:, None]
        return -self.log_likelihood(z, x, c), kl

    def elbo(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
             samples: int = 1) -> tuple[Tensor, Tensor]:
        """The two terms of the negative ELBO, (nll, kl), each (N,), in nats per example."""
        nll, kl = self.terms(x, c, generator)
        for _ in range(samples - 1):
            more = self.terms(x, c, generator)
            nll, kl = nll + more[0], kl + more[1]  # the KL is drawn, too, where it has no formula
        return nll / samples, kl.sum(dim=1) / samples

    def loss(self, batch: tuple[Tensor, Tensor | None], beta: float = 1.0,
             free_bits: float = 0.0) -> tuple[Tensor, dict]:
        """What training minimises, and what to report: (loss, metrics), in nats per example.

        batch: (x, c). beta weighs the KL term (1 is the bound; Higgins et al., 2017). free_bits: nats that
        each number of the code may spend, on average over the batch, before they count (Kingma et al., 2016).
        """
        x, c = batch
        return priced(*self.terms(x, c), beta, free_bits)

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
                 k: int | None = None) -> Tensor:
        """The importance-weighted bound on log p(x|c) from k codes each: (N,), in nats; k = 1 is the ELBO.

        Burda, Grosse and Salakhutdinov (2016). At most log p(x) on average, and rising towards it with k, by
        default ``self.k``.
        """
        q, k = self.posterior(x, c), self.k if k is None else k
        total = None
        for _ in range(k):  # one after the other: memory does not grow with k
            z = reparameterised(q, generator)
            log_w = self.log_likelihood(z, x, c) + self.prior.log_prob(z, self.told(c)) - per_example(q.log_prob(z))
            total = log_w if total is None else torch.logaddexp(total, log_w)
        return total - math.log(k)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """What the decoder makes of the mean code of x: probabilities, means or symbols, in the shape of x."""
        return expected(self.decode(self.posterior(x, c).mean, c, x))

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None, mean: bool = False,
               guidance: float = 0.0, **options: Any) -> Tensor:
        """n examples from codes drawn from the prior; with ``mean``, what the decoder expects, not a draw.

        guidance is for a prior that knows it. Other options, such as a temperature, are for decoders that write symbol
        after symbol.
        """
        z = self.prior.sample(n, self.told(c), generator, guidance=guidance)
        if self.autoregressive:
            return self.decoder.generate(z, c, generator, **options)
        return self.shown(z, c, generator, mean)

    def shown(self, z: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
              mean: bool = False) -> Tensor:
        """Examples drawn from codes z (N, K), or with ``mean`` what the decoder expects: in the shape of x."""
        p = self.decode(z, c)
        return expected(p) if mean else draw(p, generator)

    @torch.no_grad()
    def fill_in(self, x: Tensor, known: Tensor, c: Tensor | None = None, n: int = 1,
                generator: torch.Generator | None = None, **options: Any) -> Tensor:
        """n draws of what is not ``known`` of each example (``models.contract``): (n, N, …).

        Codes from the prior that make the known part likely, and what the decoder makes of them elsewhere: right only
        in the limit of many. options: ``draws``, ``steps``, ``temperature``, ``mean`` (``models.resampling.fill_in``).
        Raises ValueError where the decoder writes symbol after symbol.
        """
        if self.autoregressive:
            raise ValueError("a VAE of texts writes each symbol after those before it, and cannot fill in what is "
                             "missing; use a masked model, or complete beginnings with a language model.")
        known = everywhere(known, x)
        return fill_in(self, x, known, c, n, generator, **understood(fill_in, options))


def priced(nll: Tensor, kl: Tensor, beta: float, free_bits: float) -> tuple[Tensor, dict]:
    """The loss and its metrics, from -log p(x|z) (N,) and the KL of each number of the code (N, K); see VAE.loss."""
    nll, spent = nll.mean(), kl.mean(dim=0)  # over the batch first, so that single examples may differ
    kl = spent.sum()
    price = spent.clamp(min=free_bits).sum() if free_bits else kl
    return nll + beta * price, {"nll": nll.detach(), "kl": kl.detach()}
