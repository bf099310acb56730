"""Pieces that networks for several senses share."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.nn.functional import one_hot


def mlp(sizes):
    """Linear layers with Tanh between them, as in Losses and gradients."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def gelu_mlp(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers with GELU between them: faster to train than Tanh where networks are wide."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def to_normal(h: Tensor) -> Normal:
    """2 K numbers for each example, (N, 2 K), as a Normal over codes (N, K): means, and logarithms of variances.

    Kept within what float32 can square and invert, however sure the encoder becomes.
    """
    mu, logvar = h.chunk(2, dim=1)
    return Normal(mu, torch.exp(0.5 * logvar.clamp(-20.0, 20.0)), validate_args=False)


class Unlabelled(nn.Module):
    """A network that asks for a label, for data that have none: the label is always 0."""

    network: Any  # it may have methods of its own, which the type nn.Module does not have

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return self.network(x, torch.zeros(len(x), dtype=torch.long, device=x.device))

    def start_from(self, average: ArrayLike, sigma: float) -> None:
        """As the decoder inside does."""
        self.network.start_from(average, sigma)


class Labelled(nn.Module):
    """A network of texts, whose condition is real numbers, for labels c (N,) of C: each is one of C numbers."""

    network: Any  # it may have methods of its own, which the type nn.Module does not have

    def __init__(self, network: nn.Module, C: int):
        super().__init__()
        self.network, self.labels = network, C
        self.autoregressive = getattr(network, "autoregressive", False)

    def forward(self, x: Tensor, c: Tensor, *seen: Tensor) -> Distribution:
        return self.network(x, one_hot(c, self.labels).float(), *seen)

    def generate(self, z: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
                 **options: Any) -> Tensor:
        """As the decoder inside does."""
        return self.network.generate(z, one_hot(c, self.labels).to(z.dtype), generator, **options)
