"""Encoders and decoders for small images: networks only, for use in a VAE.

Images come and go as rows of pixels, (N, D), like everything else in the series.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.distributions import Bernoulli, Normal


def mlp(sizes):
    """Linear layers with Tanh between them, as in notebook 02."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class MLPEncoder(nn.Module):
    """x (N, D) to a Normal distribution over codes (N, K)."""

    def __init__(self, D, hidden, K):
        super().__init__()
        self.net = mlp([D, *hidden, 2 * K])

    def forward(self, x, c=None):
        mu, logvar = self.net(x).chunk(2, dim=1)  # (N, K) each
        return Normal(mu, torch.exp(0.5 * logvar))


class MLPDecoder(nn.Module):
    """z (N, K) to independent Bernoulli pixels (N, D)."""

    def __init__(self, K, hidden, D):
        super().__init__()
        self.net = mlp([K, *hidden, D])

    def forward(self, z, c=None):
        return Bernoulli(logits=self.net(z))


class ConvEncoder(nn.Module):
    """x (N, 64), images of 8 × 8, to a Normal distribution over codes (N, K)."""

    def __init__(self, K, channels=32, hidden=128):
        super().__init__()
        self.net = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),  # (N, 64) -> (N, 1, 8, 8)
            nn.Conv2d(1, channels, kernel_size=4, stride=2, padding=1),  # (N, 32, 4, 4)
            nn.GELU(),
            nn.Flatten(),  # (N, 512)
            nn.Linear(channels * 16, hidden),
            nn.GELU(),
            nn.Linear(hidden, 2 * K),
        )

    def forward(self, x, c=None):
        mu, logvar = self.net(x).chunk(2, dim=1)
        return Normal(mu, torch.exp(0.5 * logvar))


class ConvDecoder(nn.Module):
    """z (N, K) to independent Bernoulli pixels (N, 64) of images of 8 × 8."""

    def __init__(self, K, channels=32, hidden=128):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(K, hidden),
            nn.GELU(),
            nn.Linear(hidden, channels * 16),
            nn.GELU(),
            nn.Unflatten(1, (channels, 4, 4)),  # (N, 32, 4, 4)
            nn.Conv2d(channels, 4, kernel_size=3, padding=1),  # (N, 4, 4, 4): four logits for each place
            nn.PixelShuffle(2),  # (N, 1, 8, 8): laid out as squares of 2 × 2 pixels
            nn.Flatten(),  # (N, 64)
        )

    def forward(self, z, c=None):
        return Bernoulli(logits=self.net(z))
