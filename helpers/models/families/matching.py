"""Flow matching: a network learns the velocity that carries noise, at time 0, to data, at time 1.

Along a straight path x_t = (1 - t) noise + t x the velocity is x - noise; the network is fitted to it by squared error,
and so learns its mean, v(x_t, t) = E[x - noise | x_t]. Following v from noise gives samples; the same way back gives
log p by the instantaneous change of variables, d log p / dt = -div v. (Lipman, Chen, Ben-Hamu, Nickel and Le, 2023,
Flow Matching for Generative Modeling; Liu, Gong and Liu, 2023, Flow Straight and Fast; the change of variables: Chen,
Rubanova, Bettencourt and Duvenaud, 2018, Neural Ordinary Differential Equations.)
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, silu
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from helpers.data.dataset import Dataset
from helpers.models.contract import everywhere
from helpers.models.families.pixels import check

LARGEST = 3 * 48 * 48  # numbers of an image
FREQUENCIES = 16  # of the waves that tell the network the time
EXACT = 4  # dimensions up to which the divergence is computed and not estimated


def waves(t):
    """Times t (N,) as (N, 2 · FREQUENCIES) sines and cosines, half a wave to many over the unit of time."""
    rates = math.pi * 2 ** torch.linspace(0, 6, FREQUENCIES, device=t.device, dtype=t.dtype)
    return torch.cat([torch.sin(t[:, None] * rates), torch.cos(t[:, None] * rates)], dim=1)


class Block(nn.Module):
    """h (N, W) to h + f(h, told): what the network is told, time and label, scales and shifts the normalised h."""

    def __init__(self, width, told, dropout):
        super().__init__()
        self.norm, self.adapt = nn.LayerNorm(width, elementwise_affine=False), nn.Linear(told, 2 * width)
        self.net = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width))
        for weights in self.net[-1].parameters():  # each block begins as h → h
            nn.init.zeros_(weights)

    def forward(self, h, told):
        scale, shift = self.adapt(told).chunk(2, dim=1)
        return h + self.net(self.norm(h) * (1 + scale) + shift)


class Velocity(nn.Module):
    """The network: points x (N, D), times t (N,) or one, labels c (N,) or None if none is told: velocities (N, D)."""

    def __init__(self, D, labels, hidden, blocks, dropout):
        super().__init__()
        told = 128
        self.first, self.time = nn.Linear(D, hidden), nn.Linear(2 * FREQUENCIES, told)
        self.label = nn.Parameter(torch.randn(labels + 1, told) / math.sqrt(told))  # the last: no label is told
        self.blocks = nn.ModuleList(Block(hidden, told, dropout) for _ in range(blocks))
        self.last = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, D))

    def forward(self, x, t, c=None):
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(len(x))
        label = self.label[-1] if c is None else embedding(c, self.label)
        h, told = self.first(x), silu(self.time(waves(t)) + label)
        for block in self.blocks:
            h = block(h, told)
        return self.last(h)


class ToldTraits(Velocity):
    """The same network, told real numbers c (N, C) in place of a label; those that are not a number are not told."""

    def __init__(self, D: int, condition: int, hidden: int, blocks: int, dropout: float):
        super().__init__(D, 0, hidden, blocks, dropout)
        self.traits = nn.Linear(2 * condition, self.time.out_features)

    def forward(self, x: Tensor, t: Tensor | float, c: Tensor | None = None) -> Tensor:
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(len(x))
        if c is None:
            c = x.new_full((len(x), self.traits.in_features // 2), math.nan)
        missing = c.isnan()  # is told as well: a 0 in its place may be a trait
        traits = self.traits(torch.cat([c.nan_to_num(0.0), missing.to(x.dtype)], dim=1))
        h, told = self.first(x), silu(self.time(waves(t)) + self.label[-1] + traits)
        for block in self.blocks:
            h = block(h, told)
        return self.last(h)


def leave_out(c: Tensor, drop: float, labels: int) -> Tensor:
    """Conditions of which a part ``drop`` is left out: labels c (N,) that become ``labels``, the one for none; of real
    numbers c (N, C) all of some rows, and of half of the other rows as many as chance will, for orders of few traits.
    """
    gone = torch.rand(len(c), device=c.device) < drop
    if c.dim() == 1:
        return torch.where(gone, labels, c)
    few = torch.rand(len(c), 1, device=c.device) < 0.5
    some = few & (torch.rand(c.shape, device=c.device) < torch.rand(len(c), 1, device=c.device))
    return c.masked_fill(gone[:, None] | some, math.nan)


def dequantise(x, levels, generator=None):
    """Numbers of so many levels from 0 to 1, spread evenly over bins of width 2 / levels that fill −1 to 1."""
    noise = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    return 2 * ((x * (levels - 1)).round() + noise) / levels - 1


def quantise(y, levels):
    """The levels, from 0 to 1, in whose bins the numbers y lie; what is outside belongs to the first or the last."""
    return (levels * (y + 1) / 2).floor().clamp(0, levels - 1) / (levels - 1)


def squared_error(velocity, x):
    """Of a field at random times on paths from noise to the points x (N, D), a sum over dimensions: (N,)."""
    noise, t = torch.randn_like(x), torch.rand(len(x), dtype=x.dtype, device=x.device)
    there = (1 - t[:, None]) * noise + t[:, None] * x
    return ((velocity(there, t) - (x - noise)) ** 2).sum(dim=1)


def follow(velocity, x, steps):
    """Points x (N, D) carried from time 0 to 1 by so many midpoint steps."""
    for i in range(steps):
        middle = x + velocity(x, i / steps) / (2 * steps)
        x = x + velocity(middle, (i + 0.5) / steps) / steps
    return x


def with_divergence(velocity, x, t, directions):
    """v at points x (N, D), and the sum of ε · J ε over the directions ε, where J holds the slopes of v: (N,).

    One direction of random signs gives the divergence on average (Hutchinson, 1990), the D unit vectors give it.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        v, total = velocity(x, t), x.new_zeros(len(x))
        for eps in directions:
            total = total + (torch.autograd.grad((v * eps).sum(), x, retain_graph=True)[0] * eps).sum(dim=1)
    return v.detach(), total.detach()


def signs(x, generator=None):
    """One direction for each row of x (N, D), of numbers that are 1 or −1."""
    return [torch.randint(2, x.shape, generator=generator, device=x.device).to(x.dtype) * 2 - 1]


def log_density(velocity, x, steps, directions):
    """log p of points x (N, D), by following the field back to the noise: (N,), in nats."""
    total = x.new_zeros(len(x))
    for i in reversed(range(steps)):
        middle = x - velocity(x, (i + 1) / steps).detach() / (2 * steps)
        v, divergence = with_divergence(velocity, middle, (i + 0.5) / steps, directions(middle))
        x, total = x - v / steps, total - divergence / steps
    return total - 0.5 * (x.square() + math.log(2 * math.pi)).sum(dim=1)


class FlowMatching(nn.Module):
    """A distribution over examples x (N, *shape), told which of ``labels`` they are, if there are any.

    images: x lies between 0 and 1, in so many ``levels``. ``bound`` is then "dequantised": log p of the levels with
    noise added, less D log of the levels' number, bounds log P of the levels from below; else it is "density". Beyond a
    few dimensions the divergence is estimated, without bias, from one direction a step. drop: how often the label is
    left out, so that the network learns velocities without one as well, for guidance. average: of the weights over the
    steps, by which it draws and scores. condition: how many real numbers c (N, condition) it is told, in place of
    labels; a number that is NaN is not told, and training leaves some out at random.

    A minute of one core is enough for 1,750 digits of 8 × 8, two are not for 3,000 letters of 24 × 24 (README.md).
    """

    fills = "approximate"

    def __init__(self, shape: list[int] | tuple[int, ...], labels: int = 0, hidden: int = 512, blocks: int = 3,
                 dropout: float = 0.1, drop: float = 0.1, average: float = 0.99, images: bool = True,
                 levels: int = 256, condition: int = 0):
        super().__init__()
        self.shape, self.D, self.labels, self.images, self.drop = tuple(shape), math.prod(shape), labels, images, drop
        self.levels = levels
        self.network = (ToldTraits(self.D, condition, hidden, blocks, dropout) if condition else
                        Velocity(self.D, labels, hidden, blocks, dropout))
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(average))
        self.average.requires_grad_(False)

    @property
    def bound(self) -> str:
        """What :meth:`log_prob` is."""
        return "dequantised" if self.images else "density"

    @staticmethod
    def look(data: Dataset) -> dict:
        """Raises DataError for what are not images of a size that it can learn."""
        check(data, "flow-matching", "images", LARGEST)
        return {}

    @staticmethod
    def recipe(plan: dict, n: int) -> dict:
        """Arguments for ``training.fit``."""
        return dict(batch_size=128 if n >= 1000 else 64, lr=1.5e-3, weight_decay=0.01, clip=1.0, warmup=0.05)

    @staticmethod
    def says(plan: dict) -> str:
        """What it is, in words, after its name."""
        return "follows a learned velocity from noise to images; its figure is a bound, for pixels with noise added"

    def velocity(self, x: Tensor, t: Tensor | float, c: Tensor | None = None, guidance: float = 0.0) -> Tensor:
        """The velocity at points x (N, D) and times t (N,), or one for all: (N, D).

        guidance w: v(x, t, c) + w · (v(x, t, c) - v(x, t)). 0 leaves it as it is. Some authors write 1 + w for it.
        """
        network = self.network if self.training else self.average
        v = network(x, t, c)
        return v if guidance == 0 or c is None else v + guidance * (v - network(x, t, None))

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """The mean squared error of the velocity, a sum over dimensions: (loss, metrics).

        It cannot fall to 0: what remains at best is the variance of x - noise given x_t.
        """
        x, c = batch[0].reshape(len(batch[0]), self.D), batch[1]
        if self.images:
            x = dequantise(x, self.levels)
        if self.training:
            self.average.update_parameters(self.network)  # as the last step left them
            if c is not None:
                c = leave_out(c, self.drop, self.labels)
        return squared_error(lambda x, t: self.velocity(x, t, c), x).mean(), {}

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None, steps: int = 30,
               guidance: float = 0.0, **options: Any) -> Tensor:
        """n examples by so many midpoint steps, two passes of the network each: (n, *shape)."""
        like = self.network.first.weight
        noise = torch.randn(n, self.D, generator=generator, dtype=like.dtype, device=like.device)
        x = follow(lambda x, t: self.velocity(x, t, c, guidance), noise, steps)
        return (quantise(x, self.levels) if self.images else x).view(n, *self.shape)

    @torch.no_grad()
    def fill_in(self, x: Tensor, known: Tensor, c: Tensor | None = None, n: int = 1,
                generator: torch.Generator | None = None, steps: int = 30, jumps: int = 5, guidance: float = 0.0,
                **options: Any) -> Tensor:
        """n draws of what is not ``known`` of each example (``models.contract``): (n, N, …), approximate.

        At each time the known numbers are replaced by themselves with as much noise as is due (Song et al., 2021,
        Score-Based Generative Modeling), and each of the steps is gone ``jumps`` times, with the noise of its beginning
        put back before it is gone again (Lugmayr et al., 2022, RePaint), so that both parts come to fit. One jump is
        plain replacement. Even the perfect velocity does not make the draws exact.
        """
        shape, known = x.shape, everywhere(known, x).reshape(len(x), self.D).repeat(n, 1)
        x = torch.where(known, x.reshape(len(x), self.D).repeat(n, 1), 0.0)
        noise = lambda: torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        given = dequantise(x, self.levels, generator) if self.images else x
        told = None if c is None else c.repeat(n, *[1] * (c.dim() - 1))
        y = noise()
        for i in range(steps):
            t, s = i / steps, (i + 1) / steps
            for jump in range(jumps):
                if jump:  # from s back to t: what is left of the noise at s, and as much new as is due at t
                    y = t / s * y + math.sqrt((1 - t) ** 2 - (t / s * (1 - s)) ** 2) * noise()
                y = torch.where(known, t * given + (1 - t) * noise(), y)
                middle = y + self.velocity(y, t, told, guidance) / (2 * steps)
                y = y + self.velocity(middle, (t + s) / 2, told, guidance) / steps
        y = quantise(y, self.levels) if self.images else y
        return torch.where(known, x, y).view(n, *shape)

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
                 steps: int = 30) -> Tensor:
        """log p(x|c): (N,), in nats; what it is, ``bound`` says."""
        x, volume = x.reshape(-1, self.D), 0.0
        if self.images:
            x, volume = dequantise(x, self.levels, generator), self.D * math.log(2 / self.levels)
        units = [torch.eye(self.D, dtype=x.dtype, device=x.device)[d] for d in range(self.D)]
        directions = (lambda x: units) if self.D <= EXACT else (lambda x: signs(x, generator))
        return log_density(lambda x, t: self.velocity(x, t, c), x, steps, directions) + volume
