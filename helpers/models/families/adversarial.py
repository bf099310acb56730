"""The GAN: a generator makes images from noise, and a critic learns to tell them from real ones, each from the other.

The critic's D(x) is the log-odds of "real", and the generator raises log σ(D(G(z))). (Goodfellow et al., 2014,
Generative Adversarial Nets.) So that the duel comes to rest, the slope of D at real images is held down (Mescheder,
Geiger and Nowozin, 2018, Which Training Methods for GANs do actually Converge?); labels come in by a projection (Miyato
and Koyama, 2018, cGANs with Projection Discriminator). There is no density: it draws, and cannot score.
"""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

from helpers.data.dataset import Dataset
from helpers.models.families.pixels import check

LARGEST = 3 * 48 * 48  # numbers of an image; for more, minutes on a processor are not enough
DENSE = 256  # numbers of an image, at most, for networks without convolutions


def activation() -> nn.Module:
    """What stands between layers: a slope everywhere, since each network learns through the other."""
    return nn.LeakyReLU(0.2)


class Picture(nn.Module):
    """The generator: noise z (N, K) and a label to images (N, *shape) from 0 to 1."""

    def __init__(self, shape: tuple[int, ...], labels: int, K: int, hidden: int, channels: int):
        super().__init__()
        self.shape, D = shape, math.prod(shape)
        self.label = nn.Embedding(labels, hidden) if labels else None
        self.first = nn.Linear(K, hidden)
        self.small = D <= DENSE or len(shape) == 1
        if self.small:
            self.net = nn.Sequential(activation(), nn.Linear(hidden, hidden), activation(), nn.Linear(hidden, D))
            return
        planes, *sides = (1, *shape)[-3:]
        few = [math.ceil(side / 4) for side in sides]
        self.net = nn.Sequential(  # doubled twice in size, by channels that are laid out as squares of 2 × 2
            activation(), nn.Linear(hidden, 2 * channels * math.prod(few)), activation(),
            nn.Unflatten(1, (2 * channels, *few)),
            nn.Conv2d(2 * channels, 4 * channels, kernel_size=3, padding=1), nn.PixelShuffle(2), activation(),
            nn.Conv2d(channels, 4 * planes, kernel_size=3, padding=1), nn.PixelShuffle(2),
        )

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        h = self.first(z)
        x = torch.sigmoid(self.net(h if self.label is None else h + self.label(c)))
        return x.view(-1, *self.shape) if self.small else x[..., : self.shape[-2], : self.shape[-1]].reshape(
            -1, *self.shape)


class Critic(nn.Module):
    """The discriminator: images x (N, *shape) and a label to the log-odds that they are real, (N,)."""

    def __init__(self, shape: tuple[int, ...], labels: int, hidden: int, channels: int):
        super().__init__()
        D = math.prod(shape)
        if D <= DENSE or len(shape) == 1:
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(D, hidden), activation(), nn.Linear(hidden, hidden),
                                     activation())
            self.sides = None
        else:
            planes, *sides = (1, *shape)[-3:]
            few = [math.ceil(side / 4) for side in sides]
            self.sides, self.padded = (planes, *sides), [4 * side for side in few]
            self.net = nn.Sequential(
                nn.Conv2d(planes, channels, kernel_size=4, stride=2, padding=1), activation(),
                nn.Conv2d(channels, 2 * channels, kernel_size=4, stride=2, padding=1), activation(),
                nn.Flatten(), nn.Linear(2 * channels * math.prod(few), hidden), activation(),
            )
        self.odds = nn.Linear(hidden, 1)
        self.label = nn.Embedding(labels, hidden) if labels else None

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        if self.sides is not None:
            planes, height, width = self.sides
            tall, wide = self.padded
            x = pad(x.reshape(-1, planes, height, width), (0, wide - width, 0, tall - height))
        h = self.net(2 * x - 1)
        odds = self.odds(h)[:, 0]
        # The projection: how well what is seen goes with the label is a scalar product.
        return odds if self.label is None else odds + (h * self.label(c)).sum(dim=1) / math.sqrt(h.shape[1])


class GAN(nn.Module):
    """Images (N, *shape) from 0 to 1, up to about 48 × 48, told which of ``labels`` they show, if there are any.

    Two minutes on a processor are enough for leaves of 28 × 28 in colour, and for digits that most people can read. It
    has no likelihood (``bound`` is None). noise: numbers that an image is made from. hidden, channels: sizes of
    both networks, which are plain ones for up to 256 numbers, else convolutional. penalty: of the critic's slope.
    average: samples come from a moving average of the generator's weights, so much of which stays at each step.
    """

    bound = None
    betas = (0.0, 0.99)  # of Adam: momentum would carry each network past what the other has become

    def __init__(self, shape: list[int] | tuple[int, ...], labels: int = 0, noise: int = 32, hidden: int = 256,
                 channels: int = 16, penalty: float = 1.0, average: float = 0.995):
        super().__init__()
        self.shape, self.noise, self.penalty, self.keep = tuple(shape), noise, penalty, average
        self.generator = Picture(self.shape, labels, noise, hidden, channels)
        self.critic = Critic(self.shape, labels, hidden, channels)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)

    @staticmethod
    def look(data: Dataset) -> dict:
        """Nothing more that it must know of the data. Raises DataError for what are not small images."""
        check(data, "gan", "images", LARGEST)
        return {}

    @staticmethod
    def says(plan: dict) -> str:
        """What it is, in words, after its name."""
        return "it draws in one pass, and cannot say how probable an image is"

    @staticmethod
    def recipe(plan: dict, n: int) -> dict:
        """Arguments for ``training.fit``; chosen by the energy distance to validation images."""
        return dict(batch_size=64 if n >= 1000 else 32, lr=2e-3, weight_decay=0.0, warmup=0.0, clip=None)

    def parts(self) -> list:
        """The parameters of each optimiser: those of the generator, and those of the critic."""
        return [self.generator.parameters(), self.critic.parameters()]

    def step(self, batch: tuple[Tensor, Tensor | None], optimisers: list) -> tuple[Tensor, dict]:
        """One step of the critic, and one of the generator: the generator's loss, and figures of both."""
        x, c = batch
        fake = self.generator(self.draw_noise(len(x)), c)
        critic_loss, metrics = self.critic_loss(x, fake.detach(), c)
        descend(optimisers[1], critic_loss, self.critic)
        generator_loss = softplus(-self.critic(fake, c)).mean()  # -log σ(D(G(z))): steep where the critic is sure
        descend(optimisers[0], generator_loss, self.generator)
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                kept.lerp_(new, 1 - self.keep)
        return generator_loss.detach(), metrics

    def critic_loss(self, x: Tensor, fake: Tensor, c: Tensor | None = None) -> tuple[Tensor, dict]:
        """-log σ(D(x)) - log(1 - σ(D(fake))) + penalty / 2 · |dD/dx|² at real x: (loss, metrics), a mean."""
        x = x.detach().requires_grad_()
        real, made = self.critic(x, c), self.critic(fake, c)
        slope = torch.autograd.grad(real.sum(), x, create_graph=True)[0].flatten(1)
        steepness = slope.square().sum(dim=1).mean()
        loss = softplus(-real).mean() + softplus(made).mean() + self.penalty / 2 * steepness
        told_apart = 0.5 * ((real > 0).float().mean() + (made < 0).float().mean())
        return loss, {"critic": loss.detach(), "told apart": told_apart}

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """The generator's loss under the labels of a batch, and how far samples are from it; what validation shows."""
        x, c = batch
        made = self.average(self.draw_noise(len(x)), c)
        return softplus(-self.critic(made, c)).mean(), {"energy distance": energy_distance(x.flatten(1),
                                                                                          made.flatten(1))}

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """There is none: a GAN draws, and cannot say how probable an image is."""
        raise NotImplementedError("a GAN has no likelihood; compare its samples with held-out images")

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               **options: Any) -> Tensor:
        """n images, one pass of the network each: (n, *shape)."""
        return self.average(self.draw_noise(n, generator), c)

    def draw_noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Standard Normal noise: (n, noise)."""
        like = self.generator.first.weight
        return torch.randn(n, self.noise, generator=generator, dtype=like.dtype, device=like.device)


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, network: nn.Module) -> None:
    """One step of one optimiser, for the weights of one network only."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward(inputs=list(network.parameters()))
    optimiser.step()


def energy_distance(a: Tensor, b: Tensor) -> Tensor:
    """2 E|a - b| - E|a - a'| - E|b - b'| of samples a (N, D) and b (M, D): 0 on average if they are of one kind.

    A row is not compared with itself, so that it may be below 0. (Székely and Rizzo, 2013, Energy statistics.)
    """
    within = lambda x: torch.cdist(x, x).sum() / max(1, len(x) * (len(x) - 1))
    return 2 * torch.cdist(a, b).mean() - within(a) - within(b)
