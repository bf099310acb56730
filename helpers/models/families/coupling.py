"""The coupling flow: an invertible network f from images to noise, with log p(v) = log N(f(v); 0, I) + log |det f'(v)|.

Each layer leaves half of the numbers, a, as they are, and scales and shifts the other half, b, by what a network makes
of a: to b · exp(s(a)) + t(a), and log |det| is the sum of s. (Dinh, Sohl-Dickstein and Bengio, 2017, Density estimation
using Real NVP.) Grey levels become numbers by noise (Theis, van den Oord and Bethge, 2016, A note on the evaluation of
generative models), and numbers from 0 to 1 become all real ones by the logit, log v - log(1 - v).
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, one_hot

from helpers.data.dataset import DataError, Dataset, as_floats
from helpers.models.families.pixels import check
from helpers.models.layers import gelu_mlp

LEVELS = 256
LONGEST = 1024  # numbers of an image; for more, the layers learn too little, and the first one is a large matrix
STRONGEST = 2.0  # |s| of a layer, at most: one layer cannot blow up what the next one sees
MOST = 5000  # training images that the first layer is fitted to


class Coupling(nn.Module):
    """One layer: y (N, D), put into another order; the first half scales and shifts the second. It starts as y → y."""

    order: Tensor
    back: Tensor

    def __init__(self, order: Tensor, labels: int, hidden: int, dropout: float):
        super().__init__()
        D = len(order)
        self.kept = D // 2
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort())
        self.net = gelu_mlp([self.kept + labels, hidden, hidden, 2 * (D - self.kept)])
        self.net.insert(2, nn.Dropout(dropout))
        last: Any = self.net[-1]
        nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)

    def scale_and_shift(self, a: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """s and t for the second half, both (N, D - kept), from the first (N, kept) and the label (N, labels)."""
        s, t = self.net(torch.cat([a, told], dim=1)).chunk(2, dim=1)
        return STRONGEST * torch.tanh(s / STRONGEST), t

    def forward(self, y: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """y (N, D) to what the next layer sees (N, D), and log |det| (N,)."""
        a, b = y[:, self.order].tensor_split([self.kept], dim=1)
        s, t = self.scale_and_shift(a, told)
        return torch.cat([a, b * s.exp() + t], dim=1)[:, self.back], s.sum(dim=1)

    def inverse(self, y: Tensor, told: Tensor) -> Tensor:
        """The way back: (N, D) to (N, D)."""
        a, b = y[:, self.order].tensor_split([self.kept], dim=1)
        s, t = self.scale_and_shift(a, told)
        return torch.cat([a, (b - t) * (-s).exp()], dim=1)[:, self.back]


class CouplingFlow(nn.Module):
    """A distribution over images x (N, *shape) of D grey levels 0, 1/255, …, 1, told which of ``labels`` they show.

    ``bound`` is "dequantised": a level that gets noise of one step's width is a number v from 0 to 1, whose density
    is exact (:meth:`density`); by Jensen's inequality its mean, less D log 256, is at most log P of the 256 levels.
    layers: how many couplings. hidden: units of the two layers of each network. In two minutes on a processor it draws
    leaves and digits of 16 × 16 that can be told apart, with noise at their edges; larger ones take longer.
    """

    bound = "dequantised"
    k = 10  # draws of noise an image for the bound
    mean: Tensor
    root: Tensor

    def __init__(self, shape: list[int] | tuple[int, ...], labels: int = 0, layers: int = 8, hidden: int = 128,
                 dropout: float = 0.2):
        super().__init__()
        self.shape, self.D, self.labels = tuple(shape), math.prod(shape), labels
        self.register_buffer("mean", torch.zeros(max(1, labels), self.D))  # of the images of each label
        self.register_buffer("root", torch.eye(self.D))  # a lower triangle, the root of a covariance
        drawn, orders = torch.Generator().manual_seed(0), list[Tensor]()
        for layer in range(layers):  # the same orders in every model; the halves of one change places in the next
            order = orders[-1].roll(-(self.D // 2)) if layer % 2 else torch.randperm(self.D, generator=drawn)
            orders.append(order)
        self.layers = nn.ModuleList(Coupling(order, labels, hidden, dropout) for order in orders)

    @staticmethod
    def look(data: Dataset) -> dict:
        """Nothing more that it must know of the data. Raises DataError for what are not small grey-level images."""
        check(data, "flow", "images of many grey levels", LONGEST)
        if len(np.unique(data.x[:1000])) <= 2:
            raise DataError(f"{data.name}: flow is for images of many grey levels, and these are black and white; "
                            "choose masked or vae, which give each pixel a probability.")
        return {}

    @staticmethod
    def recipe(plan: dict, n: int) -> dict:
        """Arguments for ``training.fit``; sizes, rate and dropout were chosen on validation leaves of 16 × 16."""
        return dict(batch_size=64, lr=2e-3, weight_decay=0.01, clip=1.0)

    @staticmethod
    def says(plan: dict) -> str:
        """What it is, in words, after its name."""
        return (f"{plan['layers']} couplings; its figure is a bound on the 256 levels, from an exact density of "
                "dequantised ones; samples show the large shapes, and are noisy")

    @torch.no_grad()
    def start(self, data: Dataset) -> None:
        """Let learning start from a Normal of the training images, as logits: a mean for each label, one covariance."""
        x = torch.as_tensor(np.asarray(as_floats(data.train.x[:MOST]), np.float32)).reshape(-1, self.D)
        y, _ = to_logits(self.dequantise(x, torch.Generator().manual_seed(0)))
        c = torch.as_tensor(data.train.c[:MOST]) if self.labels else torch.zeros(len(y), dtype=torch.long)
        self.mean.copy_(y.mean(dim=0))  # for labels of which there is no image here
        for label in c.unique():
            self.mean[label] = y[c == label].mean(dim=0)
        n, covariance = len(y), torch.cov((y - self.mean[c]).double().T)
        # Of few images the covariances between pixels are mostly chance; the variances are not.
        covariance *= n / (n + self.D)
        covariance.diagonal().mul_((n + self.D) / n).add_(1e-3)
        self.root.copy_(torch.linalg.cholesky(covariance))

    # --- to noise and back -------------------------------------------------------------------------------

    def forward(self, v: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Numbers v (N, D) between 0 and 1 to noise z (N, D), and log |det dz/dv| (N,)."""
        y, log_det = to_logits(v)
        y = torch.linalg.solve_triangular(self.root, (y - self._centre(c)).T, upper=False).T
        log_det = log_det - self.root.diagonal().log().sum()
        told = self._told(c, y)
        for layer in self.layers:
            y, more = layer(y, told)
            log_det = log_det + more
        return y, log_det

    def inverse(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Noise z (N, D) to numbers v (N, D) between 0 and 1."""
        told = self._told(c, z)
        for layer in reversed(self.layers):
            z = layer.inverse(z, told)  # type: ignore[operator]
        return torch.sigmoid(self._centre(c) + z @ self.root.T)

    def _centre(self, c):
        """The mean of each image's label: (N, D), or (1, D) where there are none."""
        return self.mean if c is None else self.mean[c]

    def _told(self, c, like):
        """Labels as ones and zeros (N, labels); of no width where there are none."""
        return like.new_zeros(len(like), 0) if c is None else one_hot(c, self.labels).to(like.dtype)

    # --- what a model offers -----------------------------------------------------------------------------

    def density(self, v: Tensor, c: Tensor | None = None) -> Tensor:
        """log p(v|c) of numbers v (N, D) between 0 and 1: (N,), in nats, exact. It integrates to one over [0, 1]^D."""
        z, log_det = self(v, c)
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=1) + log_det

    def dequantise(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Levels x (N, D), 0, 1/255, …, 1, to numbers: each anywhere in its own of 256 equal steps from 0 to 1."""
        noise = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        return ((x * (LEVELS - 1)).round() + noise) / LEVELS

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
                 k: int | None = None) -> Tensor:
        """A lower bound on log P(x|c) of images of 256 levels, from k draws of noise: (N,), in nats."""
        x, k = x.reshape(-1, self.D), self.k if k is None else k
        found = torch.stack([self.density(self.dequantise(x, generator), c) for _ in range(k)])  # (k, N)
        return found.mean(dim=0) - self.D * math.log(LEVELS)

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """Minus the bound, from one draw of noise an image: (loss, metrics), in nats per image."""
        return -self.log_prob(*batch, k=1).mean(), {}

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               **options: Any) -> Tensor:
        """n images of 256 levels, one pass of the network for all their pixels: (n, *shape)."""
        z = torch.randn(n, self.D, generator=generator, dtype=self.mean.dtype, device=self.mean.device)
        level = (LEVELS * self.inverse(z, c)).floor().clamp(max=LEVELS - 1)
        return (level / (LEVELS - 1)).view(n, *self.shape)


def to_logits(v: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers v (N, D) between 0 and 1 to all real numbers, log v - log(1 - v), and log |det| of it (N,)."""
    eps = torch.finfo(v.dtype).eps
    v = v.clamp(eps, 1 - eps)  # rounding may reach 0 or 1
    y = torch.log(v) - torch.log1p(-v)
    return y, -(logsigmoid(y) + logsigmoid(-y)).sum(dim=1)  # dy/dv = 1 / (v (1 - v))
