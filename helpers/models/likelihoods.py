"""What a decoder may answer with: distributions over data, and one way to sample them all from a generator.

Bernoulli, Normal and Categorical come from ``torch.distributions``; the one for 256 grey levels is here.
"""

import functools
import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch import distributions as D
from torch.distributions import constraints
from torch.nn.functional import binary_cross_entropy_with_logits


class DiscretisedNormal(D.Distribution):
    """Whole numbers 0 … levels - 1: each has the probability that a Normal gives to its bin.

    The levels sit at 0, 1/(levels - 1), …, 1 on the scale of ``loc`` and ``scale``; the first and the last
    bin take what lies below and above. So the probabilities sum to 1, and log_prob is a likelihood of grey
    levels (after Salimans et al., 2017, PixelCNN++, with a Normal in place of a logistic).
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support: ClassVar[constraints.Constraint] = constraints.nonnegative_integer

    def __init__(self, loc: Tensor | float, scale: Tensor | float, levels: int = 256,
                 validate_args: bool | None = False):
        self.loc, self.scale = torch.broadcast_tensors(torch.as_tensor(loc), torch.as_tensor(scale))
        self.levels = levels
        super().__init__(self.loc.shape, validate_args=validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(value), for value of whole numbers in the shape of loc; in nats."""
        value = value.to(torch.promote_types(self.loc.dtype, torch.float32))
        step = 1 / (self.levels - 1)
        # Neighbours compute the edge between them alike, so that nothing is lost or counted twice.
        lower = ((value - 0.5) * step - self.loc) / self.scale
        upper = ((value + 0.5) * step - self.loc) / self.scale
        first, last = value <= 0, value >= self.levels - 1
        # Mirror the bins above the mean: log Φ keeps its digits in the lower tail.
        mirror = last | (~first & (lower + upper > 0))
        a, b = torch.where(mirror, -upper, lower), torch.where(mirror, -lower, upper)
        # log(Φ(b) - Φ(a)) = log Φ(b) + log(1 - Φ(a)/Φ(b)); in the first and the last bin there is no a.
        log_b, open_ended = log_ndtr(b), first | last
        ratio = (log_ndtr(a) - log_b).clamp(max=-torch.finfo(log_b.dtype).eps)
        rest = torch.log(-torch.expm1(torch.where(open_ended, -1.0, ratio)))
        return log_b + torch.where(open_ended, 0.0, rest)

    def sample_with(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw for each element, whole numbers as floats."""
        value = self.loc + self.scale * noise_like(self.loc, generator)
        return (value * (self.levels - 1)).round().clamp(0, self.levels - 1)

    @property
    def mean(self) -> Tensor:
        """The mean of the Normal, in levels."""
        return (self.loc * (self.levels - 1)).clamp(0, self.levels - 1)


class GreyLevels(DiscretisedNormal):
    """The same for grey levels on the scale of ``loc``: values 0, 1/(levels - 1), …, 1, as images are read.

    Values between two levels count as the nearer one. Several times faster to learn from than DiscretisedNormal.
    ``tone`` (levels,), from 0 to 1, says how bright a mean is shown that lies at each level; see :attr:`shown`.
    """

    def __init__(self, loc: Tensor | float, scale: Tensor | float, levels: int = 256, tone: Tensor | None = None):
        super().__init__(loc, scale, levels)
        self.tone = tone

    support: ClassVar[constraints.Constraint] = constraints.unit_interval

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(value) in the shape of loc, in nats: a probability, and so at most 0."""
        top = self.levels - 1
        level = (value.to(self.loc.dtype) * top).round()
        lower = ((level - 0.5) / top - self.loc) / self.scale
        upper = ((level + 0.5) / top - self.loc) / self.scale
        return LogMass.apply(lower.masked_fill(level <= 0, -math.inf), upper.masked_fill(level >= top, math.inf))

    def sample_with(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw for each element, from 0 to 1."""
        return super().sample_with(generator) / (self.levels - 1)

    @property
    def mean(self) -> Tensor:
        """The mean of the Normal, kept between 0 and 1."""
        return self.loc.clamp(0, 1)

    @property
    def shown(self) -> Tensor:
        """What to show: the mean along the curve ``tone``, between whose points it goes straight."""
        if self.tone is None:
            return self.mean
        place = self.mean * (self.levels - 1)
        below = place.floor().clamp(max=self.levels - 2).long()
        return torch.lerp(self.tone[below], self.tone[below + 1], place - below)


class LogMass(torch.autograd.Function):
    """log(Φ(upper) - Φ(lower)), what a standard Normal has between two points; with its gradient by formula.

    That is φ(upper) and -φ(lower), divided by the mass: two exponentials in place of all that automatic
    differentiation would go back through.
    """

    @staticmethod
    def forward(ctx: Any, lower: Tensor, upper: Tensor) -> Tensor:
        mirror = lower + upper > 0  # log Φ keeps its digits in the lower tail
        a, b = torch.where(mirror, -upper, lower), torch.where(mirror, -lower, upper)
        log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
        ratio = (log_a - log_b).clamp(max=-torch.finfo(b.dtype).eps)
        mass = log_b + torch.log(-torch.expm1(ratio))
        ctx.save_for_backward(lower, upper, mass)
        return mass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper, mass = ctx.saved_tensors
        slope = lambda x: gradient * torch.exp(-0.5 * x.square() - 0.5 * math.log(2 * math.pi) - mass)
        return -slope(lower), slope(upper)


def log_ndtr(x: Tensor) -> Tensor:
    """log Φ(x), Φ being the standard normal distribution function, with gradients that hold in the far tail.

    Those of ``torch.special.log_ndtr`` are zero or infinite there, in float32 from about x = -10,000.
    """
    low, high = x.clamp(max=-1.0), x.clamp(min=-1.0)  # each formula sees only numbers that suit it
    tail = torch.log(torch.special.erfcx(-low / math.sqrt(2)) / 2) - low.square() / 2
    return torch.where(x < -1, tail, torch.log1p(-torch.special.erfc(high / math.sqrt(2)) / 2))


def noise_like(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal noise in the shape, type and place of ``tensor``."""
    return torch.randn(tensor.shape, dtype=tensor.dtype, device=tensor.device, generator=generator)


def reparameterised(q: D.Distribution, generator: torch.Generator | None = None) -> Tensor:
    """A draw from q through which gradients flow; Normals take their noise from ``generator``."""
    if isinstance(q, D.Normal):
        return q.loc + q.scale * noise_like(q.loc, generator)
    return q.rsample()


@functools.singledispatch
@torch.no_grad()
def draw(distribution: D.Distribution, generator: torch.Generator | None = None) -> Tensor:
    """A draw from any distribution of this module, with randomness from ``generator``; without gradients."""
    if hasattr(distribution, "sample_with"):
        return distribution.sample_with(generator)
    return distribution.sample()


@draw.register
@torch.no_grad()
def _(distribution: D.Bernoulli, generator=None):
    return torch.bernoulli(distribution.probs, generator=generator)


@draw.register
@torch.no_grad()
def _(distribution: D.Normal, generator=None):
    return distribution.loc + distribution.scale * noise_like(distribution.loc, generator)


@draw.register
@torch.no_grad()
def _(distribution: D.Categorical, generator=None):
    flat = distribution.probs.reshape(-1, distribution.probs.shape[-1])
    return torch.multinomial(flat, 1, generator=generator).reshape(distribution.batch_shape)


def expected(distribution: D.Distribution) -> Tensor:
    """What to show of a distribution over data: probabilities of ink, means, or the likeliest symbol."""
    if isinstance(distribution, D.Categorical):
        return distribution.logits.argmax(dim=-1)
    return distribution.shown if isinstance(distribution, GreyLevels) else distribution.mean


def per_example(values: Tensor) -> Tensor:
    """Sum over all dimensions but the first: (N, …) to (N,)."""
    return values.flatten(1).sum(dim=1) if values.dim() > 1 else values


def log_likelihood(distribution: D.Distribution, x: Tensor) -> Tensor:
    """log p(x) of each example, summed over its dimensions: (N,), in nats.

    For Bernoullis without the detour over a log_prob for every pixel and its sign: a few per cent of a step.
    """
    if isinstance(distribution, D.Bernoulli):
        logits = distribution.logits
        return -per_example(binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none"))
    return per_example(distribution.log_prob(x))


def kl_to_standard_normal(q: D.Distribution, z: Tensor) -> Tensor:
    """KL(q || N(0, 1)) of each number of the code: (N, K), in nats; z is a draw from q.

    In closed form for a Normal (the lesson A VAE in NumPy); else log q(z) - log p(z), an unbiased estimate from one
    draw.
    """
    if isinstance(q, D.Normal):
        return 0.5 * (q.loc.square() + q.scale.square() - 1) - q.scale.log()
    return q.log_prob(z) - D.Normal(torch.zeros_like(z), 1.0, validate_args=False).log_prob(z)
