"""MADE: one pass of one network gives all of p(x) = Π_d p(x_d | x_<d), since its weights are masked.

Every unit has a degree, the number of pixels that it may depend on; a weight stays only where it leads from a degree to
one that is no lower, and into the output for pixel d from degrees below d. (Germain, Gregor, Murray and Larochelle,
2015, MADE: Masked Autoencoder for Distribution Estimation.)
"""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, linear


class MaskedLinear(nn.Linear):
    """A linear layer some of whose weights are held at zero: those from inputs of a higher degree than the output's.

    degrees_in (n_in,) and degrees_out (n_out,) are whole numbers; with ``strict``, equal ones are cut as well.
    """

    mask: Tensor

    def __init__(self, degrees_in: Tensor, degrees_out: Tensor, strict: bool = False):
        super().__init__(len(degrees_in), len(degrees_out))
        a, b = degrees_out[:, None], degrees_in[None]
        self.register_buffer("mask", (a > b if strict else a >= b).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.mask * self.weight, self.bias)


class MADE(nn.Module):
    """A distribution over images x (N, *shape) of D pixels, each 0 or 1, one after another as one reads.

    It is told which of ``labels`` they show, if there are any. hidden: units of each of ``layers``.
    """

    bound = "exact"

    def __init__(self, shape: list[int] | tuple[int, ...], labels: int = 0, hidden: int = 512, layers: int = 2,
                 dropout: float = 0.3):
        super().__init__()
        self.shape, self.D = tuple(shape), math.prod(shape)
        pixels = torch.arange(1, self.D + 1)  # the degree of a pixel is its number, counted from 1
        units = torch.arange(hidden) % max(1, self.D - 1) + 1  # from 1 to D - 1: no unit needs the last pixel
        degrees = [pixels, *[units] * layers]
        self.layers = nn.ModuleList(MaskedLinear(a, b) for a, b in pairwise(degrees))
        self.last = MaskedLinear(units, pixels, strict=True)
        self.label = nn.Embedding(labels, hidden) if labels else None
        self.dropout = nn.Dropout(dropout)

    def logits(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The log-odds of ink of each pixel of x (N, D), given those before it: (N, D)."""
        h = self.layers[0](2 * x - 1)
        h = h if self.label is None else h + self.label(c)
        for layer in self.layers[1:]:
            h = layer(self.dropout(torch.relu(h)))
        return self.last(self.dropout(torch.relu(h)))

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x|c) of images: (N,), in nats; exact."""
        x = x.reshape(-1, self.D)
        return -binary_cross_entropy_with_logits(self.logits(x, c), x, reduction="none").sum(dim=1)

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """-log p(x|c) on average: (loss, metrics), in nats per image."""
        return -self.log_prob(*batch).mean(), {}

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               **options: Any) -> Tensor:
        """n images, pixel by pixel, a pass of the network for each pixel: (n, *shape)."""
        x = self.last.weight.new_zeros(n, self.D)
        for d in range(self.D):
            p = torch.sigmoid(self.logits(x, c)[:, d])
            x[:, d] = (torch.rand(n, generator=generator, dtype=p.dtype, device=p.device) < p).to(p.dtype)
        return x.view(n, *self.shape)
