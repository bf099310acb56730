"""Encoders and decoders for small images: networks only, for use in a VAE.

In the lessons images come and go as rows of pixels, (N, D), like everything else in the series; for the reader's
own there are networks for any size, grey or in colour.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Normal
from torch.nn.functional import cross_entropy, one_hot

from helpers.models.layers import gelu_mlp, mlp, to_normal
from helpers.models.likelihoods import GreyLevels


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


class ConditionalEncoder(nn.Module):
    """x (N, D) and a label c (N,) of C to a Normal distribution over codes (N, K)."""

    def __init__(self, D: int, C: int, hidden: Sequence[int], K: int):
        super().__init__()
        self.labels = C
        self.net = gelu_mlp([D + C, *hidden, 2 * K])

    def forward(self, x: Tensor, c: Tensor) -> Normal:
        return to_normal(self.net(torch.cat([x, one_hot(c, self.labels).to(x.dtype)], dim=1)))


class ConditionalDecoder(nn.Module):
    """z (N, K) and a label c (N,) of C to Normal pixels (N, D), with one learned standard deviation for all.

    Learning starts from ``average`` (C, D), such as the mean training image of each label, and from ``sigma``,
    which should be about what images differ from it: far too large, and the code is given up at once.
    """

    def __init__(self, K, C, hidden, D, average=None, sigma=1.0):
        super().__init__()
        self.code = nn.Linear(K, hidden[0])
        self.label = nn.Embedding(C, hidden[0])  # a row of numbers for each label
        self.net = nn.Sequential(nn.GELU(), gelu_mlp([*hidden, D]))
        self.average = nn.Embedding(C, D)
        self.log_sigma = nn.Parameter(torch.zeros(()))
        self.start_from(torch.zeros(C, D) if average is None else average, sigma)

    def forward(self, z, c):
        mean = self.average(c) + self.net(self.code(z) + self.label(c))  # (N, D)
        return Normal(mean, torch.exp(self.log_sigma.clamp(min=-3.0)))  # kept from collapsing

    @torch.no_grad()
    def start_from(self, average, sigma):
        """Let learning start from the average training example of each label (C, D), and from a sigma."""
        self.average.weight.copy_(torch.as_tensor(average).reshape(self.average.weight.shape))
        self.log_sigma.fill_(math.log(sigma))


def halvings(height: int, width: int, smallest: int = 8) -> int:
    """How often an image is halved until no side is longer than ``smallest``; at least once."""
    return max(1, math.ceil(math.log2(max(height, width) / smallest)))


class ImageEncoder(nn.Module):
    """Images (N, *shape) of any size and a label c (N,) of C to a Normal distribution over codes (N, K).

    shape is (H, W), grey, or (3, H, W). Convolutions of stride 2 halve the image until it is at most 8 × 8; one
    layer, which is told the label, too, sees all that is left. Sides are padded with zeros until they can be halved.
    ``centred`` (False for runs of earlier versions): it sees by how much a pixel differs from its average, in
    deviations, so that codes tell images apart from the first step.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, shape: Sequence[int], C: int, K: int, channels: int = 16, hidden: int = 256,
                 dropout: float = 0.0, centred: bool = True):
        super().__init__()
        self.planes, *self.sides = (1, *shape)[-3:]
        self.centred = centred
        if centred:
            self.register_buffer("centre", torch.zeros(self.planes, *self.sides))
            self.register_buffer("scale", torch.ones(()))
        levels = halvings(*self.sides)
        self.padded = [math.ceil(side / 2**levels) * 2**levels for side in self.sides]
        layers, n_in = [], self.planes
        for level in range(levels):
            n_out = channels * min(2**level, 2)
            layers += [nn.Conv2d(n_in, n_out, kernel_size=4, stride=2, padding=1), nn.GELU()]
            n_in = n_out
        self.convolutions = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout))
        self.all = nn.Linear(n_in * math.prod(side >> levels for side in self.padded), hidden)
        self.label = nn.Embedding(C, hidden)
        self.net = nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 2 * K))

    def forward(self, x: Tensor, c: Tensor) -> Normal:
        (height, width), (tall, wide) = self.sides, self.padded
        x = x.reshape(-1, self.planes, height, width)
        if self.centred:
            x = (x - self.centre) / self.scale
        h = self.convolutions(nn.functional.pad(x, (0, wide - width, 0, tall - height)))
        return to_normal(self.net(self.all(h) + self.label(c)))

    @torch.no_grad()
    def start_from(self, centre: ArrayLike, scale: float) -> None:
        """The average training example, and the standard deviation of pixels around it."""
        if self.centred:
            self.centre.copy_(torch.as_tensor(centre).reshape(self.centre.shape))
            self.scale.fill_(max(scale, 0.02))

    @torch.no_grad()
    def rescale(self, mean: Tensor, deviation: Tensor) -> None:
        """Say (z - mean) / deviation, both (K,), where it said z before; see :meth:`ImageDecoder.rescale`."""
        last: Any = self.net[-1]
        K = len(mean)
        last.weight[:K] /= deviation[:, None]
        last.bias[:K] = (last.bias[:K] - mean) / deviation
        last.bias[K:] -= 2 * deviation.log()


class ImageDecoder(nn.Module):
    """z (N, K) and a label c (N,) of C to a distribution over the pixels of images (N, *shape).

    The encoder's way back: a small stack of maps, doubled in size by convolutions whose channels are laid out as
    squares of 2 × 2 (PixelShuffle: Shi et al., 2016), and cut to size. Added to the label's average image, it is
    where a Normal sits, with one learned standard deviation; with ``levels`` that Normal is cut into 256 bins
    (``GreyLevels``), which makes it a likelihood of pixels as files hold them. ``example`` is the shape
    of an example where it is not that of the image, such as (784,). ``pace``: log σ is so many times the number that
    is learned, since Adam moves every number by about as much, and log σ has a long way to go (1 for earlier runs).
    ``toned`` (False for earlier runs): means are shown along a curve, at first as they are (``GreyLevels``).
    """

    tone: Tensor | None

    def __init__(self, shape: Sequence[int], C: int, K: int, channels: int = 16, hidden: int = 256,
                 dropout: float = 0.0, levels: bool = True, average: ArrayLike | None = None, sigma: float = 0.3,
                 example: Sequence[int] | None = None, pace: float = 10.0, toned: bool = False):
        super().__init__()
        self.register_buffer("tone", torch.linspace(0, 1, 256) if toned and levels else None)
        planes, *self.sides = (1, *shape)[-3:]
        self.pace = pace
        self.shape, self.levels = tuple(example or shape), levels
        times = halvings(*self.sides)
        small = [math.ceil(side / 2**times) for side in self.sides]
        width = channels * min(2 ** (times - 1), 2)
        self.code, self.label = nn.Linear(K, hidden), nn.Embedding(C, hidden)
        layers = [nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width * math.prod(small)), nn.GELU(),
                  nn.Unflatten(1, (width, *small))]
        for level in reversed(range(1, times)):
            n_out = channels * min(2 ** (level - 1), 2)
            layers += [nn.Conv2d(width, 4 * n_out, kernel_size=3, padding=1), nn.PixelShuffle(2), nn.GELU()]
            width = n_out
        layers += [nn.Conv2d(width, width, kernel_size=3, padding=1), nn.GELU(),
                   nn.Conv2d(width, 4 * planes, kernel_size=3, padding=1), nn.PixelShuffle(2)]
        self.net = nn.Sequential(*layers)
        average = torch.zeros(C, *self.shape) if average is None else torch.as_tensor(average).float()
        self.average = nn.Parameter(average.reshape(C, *self.shape).clone())
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma) / pace))

    def forward(self, z: Tensor, c: Tensor) -> Distribution:
        maps = self.net(self.code(z) + self.label(c))[..., : self.sides[0], : self.sides[1]]
        mean = self.average[c] + maps.reshape(-1, *self.shape)
        return pixels(mean, self.pace * self.log_sigma, self.levels, self.tone)

    @torch.no_grad()
    def start_from(self, average: ArrayLike, sigma: float) -> None:
        """Let learning start from the average training example of each label, and from a sigma."""
        self.average.copy_(torch.as_tensor(average).float().reshape(self.average.shape))
        self.log_sigma.fill_(math.log(sigma) / self.pace)

    @torch.no_grad()
    def rescale(self, mean: Tensor, deviation: Tensor) -> None:
        """Make of (z - mean) / deviation what it made of z, so that the codes of data can be given mean 0 and
        deviation 1, as those that are drawn have; what is decoded from data stays the same."""
        self.code.bias.add_(self.code.weight @ mean)
        self.code.weight.mul_(deviation)


class PlainImageEncoder(nn.Module):
    """The same as ImageEncoder without convolutions: images as rows of pixels, and layers that see all of them."""

    def __init__(self, shape: Sequence[int], C: int, K: int, hidden: Sequence[int] = (512, 256), dropout: float = 0.0):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Dropout(dropout))
        self.plain = ConditionalEncoder(math.prod(shape), C, hidden, K)

    def forward(self, x: Tensor, c: Tensor) -> Normal:
        return self.plain(self.net(x), c)


class PlainImageDecoder(nn.Module):
    """The same as ImageDecoder without convolutions."""

    def __init__(self, shape: Sequence[int], C: int, K: int, hidden: Sequence[int] = (256, 512), dropout: float = 0.0,
                 levels: bool = True, average: ArrayLike | None = None, sigma: float = 0.3,
                 example: Sequence[int] | None = None):
        super().__init__()
        self.shape, self.levels = tuple(example or shape), levels
        average = None if average is None else torch.as_tensor(average).float().flatten(1)
        self.plain = ConditionalDecoder(K, C, hidden, math.prod(shape), average=average, sigma=sigma)
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: Tensor, c: Tensor) -> Distribution:
        mean = self.plain(self.dropout(z), c).mean.view(-1, *self.shape)
        return pixels(mean, self.plain.log_sigma, self.levels)

    def start_from(self, average: ArrayLike, sigma: float) -> None:
        """As ImageDecoder."""
        self.plain.start_from(average, sigma)


def pixels(mean: Tensor, log_sigma: Tensor, levels: bool, tone: Tensor | None = None) -> Distribution:
    """Normals for pixels, in 256 bins where images have grey ``levels`` from 0 to 1, and shown along a ``tone``."""
    sigma = torch.exp(log_sigma.clamp(min=-5.0))  # kept from collapsing onto what the model knows by heart
    return GreyLevels(mean, sigma, tone=tone) if levels else Normal(mean, sigma, validate_args=False)


class Reader(nn.Module):
    """A classifier for images of 28 × 28: which of C labels is this? Trained apart, to judge what others draw."""

    def __init__(self, C: int, channels: int = 24, hidden: int = 128, dropout: float = 0.3):
        super().__init__()
        self.net = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, channels, kernel_size=5, stride=2, padding=2),  # (N, 24, 14, 14)
            nn.GELU(),
            nn.Conv2d(channels, 2 * channels, kernel_size=3, stride=2, padding=1),  # (N, 48, 7, 7)
            nn.GELU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels * 49, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, C),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # (N, C), log-odds

    def loss(self, batch: Any) -> tuple[Tensor, dict]:
        """Cross-entropy in nats, and the share of labels read right."""
        logits = self(batch.x)
        right = (logits.argmax(dim=1) == batch.c).float().mean()
        return cross_entropy(logits, batch.c, label_smoothing=0.05), {"right": right}

    @torch.no_grad()
    def read(self, x: Tensor) -> Tensor:
        """The likeliest label of each image (N, 784): (N,)."""
        return self(x).argmax(dim=1)
