"""The restricted Boltzmann machine: p(v) = e^(-F(v)) / Z, an energy model of pixels v and a few hidden switches h.

F(v) = -b·v - Σ_j log(1 + e^(c_j + W_j·v)). The gradient of -log p(v) is that of F at data, less its mean under the
model, which chains estimate that go on from step to step (persistent contrastive divergence: Tieleman, 2008, Training
Restricted Boltzmann Machines Using Approximations to the Likelihood Gradient). With at most 20 switches Z is a sum over
all their states, and exact.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from helpers.data.dataset import DataError, Dataset, as_floats

MOST = 20  # switches: a million states
BLOCK = 2**14  # states that are looked at together


class RBM(nn.Module):
    """A distribution over images v (N, *shape) of D pixels, each 0 or 1, by ``hidden`` switches, at most 20.

    chains: how many images the model holds that follow its distribution while it learns; steps: how often each is
    drawn anew, switches and then pixels, before the gradient looks at it. Raises DataError for more than 20 switches.
    """

    bound = "exact"
    chains: Tensor

    def __init__(self, shape: list[int] | tuple[int, ...], hidden: int = 16, chains: int = 100, steps: int = 5):
        super().__init__()
        if hidden > MOST:
            raise DataError(f"rbm: hidden is {hidden}, and its normaliser is a sum over 2 to the power of that; give "
                            f"at most {MOST}.")
        self.shape, self.D, self.hidden, self.steps = tuple(shape), math.prod(shape), hidden, steps
        self.W = nn.Parameter(0.1 * torch.randn(hidden, self.D))
        self.b, self.c = nn.Parameter(torch.zeros(self.D)), nn.Parameter(torch.zeros(hidden))
        self.register_buffer("chains", torch.bernoulli(torch.full((chains, self.D), 0.5)))

    @torch.no_grad()
    def start(self, data: Dataset) -> None:
        """Let learning start from how often each pixel is ink, with switches that do nothing, and chains from there."""
        p = torch.as_tensor(np.asarray(as_floats(data.train.x)).reshape(-1, self.D).mean(axis=0)).float()
        p = p.clamp(0.01, 0.99)
        self.b.copy_(torch.logit(p))
        self.chains.copy_(torch.bernoulli(p.expand_as(self.chains)))

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) of images v (N, D): (N,), in nats; -log p(v) but for log Z, which is the same for all."""
        return -(v @ self.b) - softplus(self.c + v @ self.W.T).sum(dim=1)

    def log_weights(self, h: Tensor) -> Tensor:
        """log Σ_v e^(-E(v, h)) of states of the switches h (M, hidden), the pixels summed out: (M,), in nats."""
        return h @ self.c + softplus(self.b + h @ self.W).sum(dim=1)

    def states(self) -> Tensor:
        """All states of the switches: (2^hidden, hidden), each 0 or 1."""
        bits = torch.arange(self.hidden, device=self.c.device)
        return (torch.arange(2**self.hidden, device=self.c.device)[:, None] >> bits & 1).to(self.c.dtype)

    def log_normaliser(self) -> Tensor:
        """log Z, summed over all 2^hidden states: a number, in nats; exact."""
        return torch.logsumexp(self._all_log_weights(), dim=0)

    def _all_log_weights(self):
        return torch.cat([self.log_weights(h) for h in self.states().split(BLOCK)])

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x) of images: (N,), in nats; exact."""
        return -self.free_energy(x.reshape(-1, self.D)) - self.log_normaliser()

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """While training, F of the batch less F of the chains, whose gradient estimates that of -log p(x); in
        evaluation -log p(x), exact, by which the best epoch is chosen. (loss, metrics), in nats per image."""
        v = batch[0].reshape(-1, self.D)
        if not self.training:
            return -self.log_prob(v).mean(), {}
        self.chains.copy_(self.gibbs(self.chains, self.steps))
        return self.free_energy(v).mean() - self.free_energy(self.chains).mean(), {}

    @torch.no_grad()
    def gibbs(self, v: Tensor, steps: int, generator: torch.Generator | None = None) -> Tensor:
        """Images v (N, D) after so many steps: all switches drawn given the pixels, all pixels given the switches."""
        for _ in range(steps):
            h = flip(self.c + v @ self.W.T, generator)
            v = flip(self.b + h @ self.W, generator)
        return v

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               steps: int | None = None, **options: Any) -> Tensor:
        """n images, (n, *shape): exactly, by a draw from all states of the switches; or, as larger machines must, by
        so many ``steps`` from noise."""
        if steps is None:
            p = torch.softmax(self._all_log_weights(), dim=0)
            h = self.states()[torch.multinomial(p, n, replacement=True, generator=generator)]
            v = flip(self.b + h @ self.W, generator)
        else:
            v = self.gibbs(flip(self.b.new_zeros(n, self.D), generator), steps, generator)
        return v.view(n, *self.shape)


def flip(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draws of 0 or 1, in the shape of the log-odds ``logits`` of 1."""
    p = torch.sigmoid(logits)
    return (torch.rand(p.shape, generator=generator, dtype=p.dtype, device=p.device) < p).to(p.dtype)
