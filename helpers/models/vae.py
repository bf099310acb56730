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
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, code: int):
        super().__init__()
        self.encoder, self.decoder, self.code = encoder, decoder, code
        # A buffer moves with the model, to a GPU or to float64.
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    @property
    def prior(self) -> Normal:
        """p(z), a standard Normal; it broadcasts to (N, K)."""
        return Normal(self.zero, self.zero + 1, validate_args=False)

    def decode(self, z, c=None, x=None):
        """p(x|z, c): a distribution over data."""
        if getattr(self.decoder, "autoregressive", False):
            return self.decoder(z, c, x)
        return self.decoder(z, c)

    def terms(self, x, c=None, generator=None):
        """-log p(x|z, c) (N,) for one drawn code each, and the KL divergence of each number of the code (N, K)."""
        q = self.encoder(x, c)
        z = reparameterised(q, generator)
        return -log_likelihood(self.decode(z, c, x), x), kl_to_standard_normal(q, z)

    def elbo(self, x, c=None, generator=None, samples: int = 1):
        """The two terms of the negative ELBO, (nll, kl), each (N,), in nats per example."""
        nll, kl = self.terms(x, c, generator)
        for _ in range(samples - 1):
            more = self.terms(x, c, generator)
            nll, kl = nll + more[0], kl + more[1]  # the KL is drawn, too, where it has no formula
        return nll / samples, kl.sum(dim=1) / samples

    def loss(self, batch, beta: float = 1.0, free_bits: float = 0.0):
        """What training minimises, and what to report: (loss, metrics), in nats per example.

        batch: (x, c). beta weighs the KL term (1 is the bound; Higgins et al., 2017). free_bits: nats that
        each number of the code may spend, on average over the batch, before they count (Kingma et al., 2016).
        """
        nll, kl = self.terms(*batch)
        nll, spent = nll.mean(), kl.mean(dim=0)  # over the batch first, so that single examples may differ
        kl = spent.sum()
        priced = spent.clamp(min=free_bits).sum() if free_bits else kl
        return nll + beta * priced, {"nll": nll.detach(), "kl": kl.detach()}

    def log_prob(self, x, c=None, k: int = 100, generator=None):
        """The importance-weighted bound on log p(x|c) from k codes each: (N,), in nats; k = 1 is the ELBO.

        Burda, Grosse and Salakhutdinov (2016). At most log p(x) on average, and rising towards it with k.
        """
        q = self.encoder(x, c)
        total = None
        for _ in range(k):  # one after the other: memory does not grow with k
            z = reparameterised(q, generator)
            log_w = log_likelihood(self.decode(z, c, x), x) + per_example(self.prior.log_prob(z) - q.log_prob(z))
            total = log_w if total is None else torch.logaddexp(total, log_w)
        return total - math.log(k)

    @torch.no_grad()
    def reconstruct(self, x, c=None):
        """What the decoder makes of the mean code of x: probabilities, means or symbols, in the shape of x."""
        return expected(self.decode(self.encoder(x, c).mean, c, x))

    @torch.no_grad()
    def sample(self, n: int, c=None, generator=None, mean: bool = False):
        """n examples from codes drawn from the prior; with ``mean``, what the decoder expects, not a draw."""
        z = torch.randn(n, self.code, dtype=self.zero.dtype, device=self.zero.device, generator=generator)
        if getattr(self.decoder, "autoregressive", False):
            return self.decoder.generate(z, c, generator)
        p = self.decode(z, c)
        return expected(p) if mean else draw(p, generator)
