"""Seven families of generative models, each as small as it can be, for points in the plane.

The lesson A family portrait builds them. Each draws, and all but the GAN score: ``bound`` says what the score is, as on
the board. Their sizes and ``RECIPES`` were chosen by validation, with the same number of trials for each
(``helpers.experiments.portrait``).
"""

import contextlib
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, Normal
from torch.nn.functional import softplus
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

SHARP = 6.0  # how much wider than usual first weights are


def mlp(inputs: int, outputs: int, width: int, depth: int = 3) -> nn.Sequential:
    """Linear layers with SiLU between them, whose first weights are wide: it can bend within a tenth of a unit."""
    layers: list[Any] = []
    for n_in, n_out in pairwise([inputs, *[width] * depth, outputs]):
        layers += [nn.Linear(n_in, n_out), nn.SiLU()]
    with torch.no_grad():
        for weights in layers[0].parameters():
            weights *= SHARP
    return nn.Sequential(*layers[:-1])


def normal(h: Tensor) -> Normal:
    """Numbers h (…, 2 D) as independent Normals (…, D): means, and logarithms of σ, kept between −5 and 2."""
    mu, log_sigma = h.chunk(2, dim=-1)
    return Normal(mu, log_sigma.clamp(-5, 2).exp(), validate_args=False)


def shift_and_scale(h: Tensor) -> tuple[Tensor, Tensor]:
    """Two numbers a point (N, 2) as a shift and a log-scale, both (N, 1), the latter between −2 and 2."""
    shift, log_scale = h.chunk(2, dim=1)
    return shift, 2 * torch.tanh(log_scale / 2)


def waves(t: Tensor) -> Tensor:
    """Times t (N, 1) as eight numbers each (N, 8), which a network can read: sines and cosines of four frequencies."""
    angles = t * torch.tensor([0.5, 1, 2, 4]) * 2 * math.pi
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down a loss."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


@contextlib.contextmanager
def seeded(generator: torch.Generator | None) -> Iterator[None]:
    """torch's random numbers follow a generator, if there is one, and are afterwards as they were."""
    with torch.random.fork_rng(enabled=generator is not None):
        if generator is not None:
            torch.manual_seed(int(torch.randint(1 << 62, (), generator=generator)))
        yield


class Planar(nn.Module):
    """``helpers.models.contract`` for a model that has ``draw(n)`` and, unless bound is None, ``score(x)``."""

    bound: str | None = None
    draw: Any
    score: Any

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n points (n, 2)."""
        with seeded(generator):
            return self.draw(n)

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x) of points (N, 2), or the bound on it: (N,), in nats."""
        with seeded(generator):
            return self.score(x)


class Likelihood(Planar):
    """A model whose score is exact, and is what training makes as large as it can."""

    bound = "exact"

    def loss(self, batch: tuple, **objective: Any) -> tuple[Tensor, dict]:
        """Minus the mean score of the points of a batch (x, c): nats."""
        return -self.score(batch[0], **objective).mean(), {}


class Autoregressive(Likelihood):
    """p(x₁) p(x₂ | x₁): each a mixture of Gaussians, the second with settings from a network."""

    def __init__(self, parts=20, width=128):
        super().__init__()
        self.first = nn.Parameter(torch.cat([torch.zeros(parts), torch.linspace(-3, 3, parts), torch.zeros(parts)]))
        self.second = mlp(1, 3 * parts, width, depth=2)

    def mixture(self, settings):
        logits, mu, log_sigma = settings.chunk(3, dim=-1)
        return MixtureSameFamily(Categorical(logits=logits), Normal(mu, log_sigma.exp()))

    def score(self, x):
        first, second = self.mixture(self.first), self.mixture(self.second(x[:, :1]))
        return first.log_prob(x[:, 0]) + second.log_prob(x[:, 1])

    def draw(self, n):
        x1 = self.mixture(self.first).sample((n, 1))
        return torch.cat([x1, self.mixture(self.second(x1)).sample()[:, None]], dim=1)


class VAE(Planar):
    """∫ p(z) p(x | z) dz with a code z of two numbers: trained on the ELBO, scored with k codes."""

    bound = "IWAE-100"

    def __init__(self, width=64):
        super().__init__()
        self.encoder, self.decoder = mlp(2, 4, width), mlp(2, 4, width)

    def log_weights(self, x, k, beta=1.0):
        q = normal(self.encoder(x))
        z = q.rsample((k,))  # (k, N, 2)
        kl = q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)
        return (normal(self.decoder(z)).log_prob(x) - beta * kl).sum(dim=2)

    def loss(self, batch, beta=1.0):
        return -self.log_weights(batch[0], 1, beta).mean(), {}

    def score(self, x, k=100):
        return torch.logsumexp(self.log_weights(x, k), dim=0) - math.log(k)

    def draw(self, n):
        return normal(self.decoder(torch.randn(n, 2))).sample()


class Flow(Likelihood):
    """Layers that can be undone turn points into Gaussian noise; each says by how much it stretches."""

    def __init__(self, layers=8, width=32):
        super().__init__()
        self.networks = nn.ModuleList(mlp(1, 2, width, depth=2) for _ in range(layers))

    def to_noise(self, x):
        (a, b), log_det = x.T[:, :, None], torch.zeros(len(x))
        for network in self.networks:
            shift, log_scale = shift_and_scale(network(a))
            a, b = (b - shift) * torch.exp(-log_scale), a  # b is moved as a says; then they swap places
            log_det = log_det - log_scale[:, 0]
        return torch.cat([a, b], dim=1), log_det

    def score(self, x):
        noise, log_det = self.to_noise(x)
        return Normal(0.0, 1.0).log_prob(noise).sum(dim=1) + log_det

    def draw(self, n):
        a, b = torch.randn(2, n, 1)
        for network in reversed(self.networks):
            shift, log_scale = shift_and_scale(network(b))
            a, b = b, a * torch.exp(log_scale) + shift
        return torch.cat([a, b], dim=1)


class Energy(Likelihood):
    """exp(−E(x)) / Z: E is any network. Z is a sum over a grid, which only few dimensions allow."""

    def __init__(self, width=128):
        super().__init__()
        self.network = mlp(2, 1, width, depth=2)

    def energy(self, x):
        return self.network(x)[:, 0] + 0.05 * (x**2).sum(dim=1)  # the square: exp(−E) must fall far away

    def log_Z(self, side):
        x1, x2 = 10 * (torch.arange(side) + torch.rand(2, 1)) / side - 5  # shifted at random: no spike hides between
        return torch.logsumexp(-self.energy(torch.cartesian_prod(x1, x2)), dim=0) + 2 * math.log(10 / side)

    def score(self, x, side=400):
        return -self.energy(x) - self.log_Z(side)

    def draw(self, n, steps=1500):
        x = 8 * torch.rand(n, 2) - 4
        for i in range(steps):
            step = 0.1 * 50 ** (-i / steps)  # large steps first, then fine ones
            heat = max(1, 4 - 5 * i / steps)  # first as if E were divided by 4: valleys are easier to leave
            with torch.enable_grad():
                slope = torch.autograd.grad(self.energy(x.requires_grad_()).sum(), x)[0]
            x = x.detach() - step / heat * slope + math.sqrt(2 * step) * torch.randn(n, 2)
        return x


class Players(Planar):
    """Two networks with an optimiser each."""

    betas = (0.5, 0.99)  # of Adam: little momentum, because the other player moves, too
    generator: nn.Module
    discriminator: nn.Module

    def parts(self) -> tuple:
        """The weights of the discriminator, and those of the generator."""
        return self.discriminator.parameters(), self.generator.parameters()


class GAN(Players):
    """A generator of points, and a discriminator that tells them from real ones, and so teaches it."""

    def __init__(self, noise=4, width=64, penalty=0.1):
        super().__init__()
        self.generator, self.discriminator = mlp(noise, 2, width, depth=2), mlp(2, 1, width, depth=2)
        self.average = AveragedModel(self.generator, multi_avg_fn=get_ema_multi_avg_fn(0.995))
        self.noise, self.penalty = noise, penalty

    def fake(self, n, generator):
        return generator(torch.randn(n, self.noise))

    def loss(self, batch):
        fake = self.fake(len(batch[0]), self.generator).detach()
        return (softplus(-self.discriminator(batch[0])) + softplus(self.discriminator(fake))).mean(), {}

    def step(self, batch, optimisers):
        real, loss = batch[0].requires_grad_(), self.loss(batch)[0]
        slope = torch.autograd.grad(self.discriminator(real).sum(), real, create_graph=True)[0]
        update(optimisers[0], loss + self.penalty * (slope**2).sum(dim=1).mean())
        update(optimisers[1], softplus(-self.discriminator(self.fake(len(real), self.generator))).mean())
        self.average.update_parameters(self.generator)
        return loss.detach(), {}

    def draw(self, n):
        return self.fake(n, self.average)


class Denoiser(Planar):
    """A network that takes off noise of T + 1 amounts σ, from almost none to far more than the data."""

    def __init__(self, T=200, width=64):
        super().__init__()
        self.T, self.network = T, mlp(10, 2, width)
        self.sigma = torch.logspace(math.log10(0.08), math.log10(15), T + 1)

    def clean(self, x, i):
        sigma = self.sigma[i]  # (N, 1)
        return x - sigma * self.network(torch.cat([x / torch.sqrt(1 + sigma**2 / 5), waves(i / self.T)], dim=1))

    def error(self, x, i):
        i = torch.as_tensor(i).expand(len(x), 1)
        return ((x - self.clean(x + self.sigma[i] * torch.randn_like(x), i)) ** 2).sum(dim=1)

    def loss(self, batch):
        i = torch.randint(self.T + 1, (len(batch[0]), 1))
        return (self.error(batch[0], i) / self.sigma[i[:, 0]] ** 2).mean(), {}


class Diffusion(Denoiser):
    """A sample is noise, taken off step by step; the score is a bound, from the errors at all amounts."""

    bound = "ELBO"

    def precision(self):
        return self.sigma**-2

    def score(self, x):
        precision = self.precision()
        weights = torch.cat([precision[:1], -torch.diff(precision)])
        errors = torch.stack([self.error(x, i) for i in range(self.T + 1)])  # (T + 1, N)
        return torch.log(precision[0] / (2 * math.pi)) - 0.5 * (weights @ errors + precision[-1] * (x**2).sum(dim=1))

    def draw(self, n):
        x = self.sigma[-1] * torch.randn(n, 2)
        for i in reversed(range(1, self.T + 1)):
            keep = (self.sigma[i - 1] / self.sigma[i]) ** 2
            clean = self.clean(x, torch.full((n, 1), i))
            x = clean + keep * (x - clean) + self.sigma[i - 1] * torch.sqrt(1 - keep) * torch.randn(n, 2)
        return self.clean(x, torch.zeros(n, 1, dtype=torch.long)) + self.sigma[0] * torch.randn(n, 2)


class Field(Planar):
    """A network for the mean velocity of straight paths from Gaussian noise, at time 0, to the data, at time 1."""

    def __init__(self, width=64):
        super().__init__()
        self.network = mlp(10, 2, width)

    def velocity(self, x, t):
        return self.network(torch.cat([x, waves(torch.as_tensor(t).expand(len(x), 1))], dim=1))

    def loss(self, batch):
        x, noise, t = batch[0], torch.randn_like(batch[0]), torch.rand(len(batch[0]), 1)
        return ((self.velocity((1 - t) * noise + t * x, t) - (x - noise)) ** 2).sum(dim=1).mean(), {}


class Matching(Field):
    """The velocities, followed: from noise to samples, and back for the score."""

    bound, steps = "exact", 40

    def draw(self, n):
        x, h = torch.randn(n, 2), 1 / self.steps
        for i in range(self.steps):  # the midpoint rule
            x = x + h * self.velocity(x + h / 2 * self.velocity(x, i * h), (i + 0.5) * h)
        return x

    def trace(self, rows):
        return rows[0][:, 0] + rows[1][:, 1]  # of the Jacobian, from its rows, each (N, 2)

    def score(self, x):
        total, h = 0.0, 1 / self.steps
        for i in reversed(range(self.steps)):
            with torch.enable_grad():
                middle = (x - h / 2 * self.velocity(x, (i + 1) * h)).detach().requires_grad_()
                v = self.velocity(middle, (i + 0.5) * h)
                rows = [torch.autograd.grad(v[:, d].sum(), middle, retain_graph=True)[0] for d in (0, 1)]
            x, total = x - h * v.detach(), total - h * self.trace(rows)
        return Normal(0.0, 1.0).log_prob(x).sum(dim=1) + total


FAMILIES: dict[str, Any] = {"autoregressive": Autoregressive, "VAE": VAE, "flow": Flow, "energy": Energy, "GAN": GAN,
                            "diffusion": Diffusion, "flow matching": Matching}
