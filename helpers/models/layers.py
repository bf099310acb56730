"""Pieces that networks for several senses share."""

from itertools import pairwise

import torch
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import one_hot


def mlp(sizes):
    """Linear layers with Tanh between them, as in the lesson on learning."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def gelu_mlp(sizes) -> nn.Sequential:
    """Linear layers with GELU between them: faster to train than Tanh where networks are wide."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def to_normal(h: torch.Tensor) -> Normal:
    """2 K numbers for each example, (N, 2 K), as a Normal over codes (N, K): means, and logarithms of variances.

    Kept within what float32 can square and invert, however sure the encoder becomes.
    """
    mu, logvar = h.chunk(2, dim=1)
    return Normal(mu, torch.exp(0.5 * logvar.clamp(-20.0, 20.0)), validate_args=False)


class Unlabelled(nn.Module):
    """A network that asks for a label, for data that have none: the label is always 0."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x, c=None):
        return self.network(x, torch.zeros(len(x), dtype=torch.long, device=x.device))

    def start_from(self, average, sigma: float) -> None:
        """As the decoder inside does."""
        self.network.start_from(average, sigma)


class Labelled(nn.Module):
    """A network of texts, whose condition is real numbers, for labels c (N,) of C: each is one of C numbers."""

    def __init__(self, network: nn.Module, C: int):
        super().__init__()
        self.network, self.labels = network, C
        self.autoregressive = getattr(network, "autoregressive", False)

    def forward(self, x, c, *seen):
        return self.network(x, one_hot(c, self.labels).float(), *seen)

    def generate(self, z, c=None, generator=None, **options):
        """As the decoder inside does."""
        return self.network.generate(z, one_hot(c, self.labels).to(z.dtype), generator, **options)
