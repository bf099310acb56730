"""The masked network: from any known pixels of an image it predicts each of the others.

Along one order of the pixels that is an autoregressive model, p(x) = Π_t p(x_o(t) | x_o(<t)); this one is a mixture,
with equal weights, over a few orders that are drawn once and kept, so that log p(x) is exact. It learns from the bound
on all orders at once. (Uria, Murray and Larochelle, 2014, A Deep and Tractable Density Estimator; Hoogeboom et al.,
2022, Autoregressive Diffusion Models.)
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from helpers.data.dataset import Dataset
from helpers.models.families.pixels import black_or_white, check
from helpers.models.likelihoods import GreyLevels, draw

SHORT = 100  # pixels; the exact likelihood of longer images takes too long, a network pass a pixel and an order
LONGEST = 256  # numbers, 16 × 16 in grey: readable after two minutes, with specks; 28 × 28 managed 8 epochs a minute
ROWS = 8192  # that go through the network together
NORMALS = 5  # in the mixture for a grey level


class Residual(nn.Module):
    """h (N, W) to h + f(h), f having two layers (He et al., 2016)."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout),
                                 nn.Linear(width, width))

    def forward(self, h: Tensor) -> Tensor:
        return h + self.net(h)


class Masked(nn.Module):
    """A distribution over images x (N, *shape) of D pixels, told which of ``labels`` they show, if there are any.

    levels: 2, and pixels are 0 or 1; or 256, and they are grey levels 0, 1/255, …, 1, each drawn from a mixture of
    Normals cut into bins (after Salimans et al., 2017, PixelCNN++). orders: how many are mixed. ``bound``: up to 100
    pixels, "exact"; for more, :meth:`log_prob` is the "ELBO" over all orders, from ``k`` draws an image.
    """

    k = 50  # draws an image for the bound
    fills = "exact"
    orders: Tensor

    def __init__(self, shape: list[int] | tuple[int, ...], labels: int = 0, hidden: int = 384, blocks: int = 2,
                 dropout: float = 0.1, levels: int = 2, orders: int = 16):
        super().__init__()
        self.shape, self.D, self.levels = tuple(shape), math.prod(shape), levels
        self.first = nn.Linear(2 * self.D, hidden)  # what is known, and which pixels that are
        self.label = nn.Embedding(labels, hidden) if labels else None
        self.body = nn.Sequential(*(Residual(hidden, dropout) for _ in range(blocks)), nn.LayerNorm(hidden), nn.GELU(),
                                  nn.Dropout(dropout))
        self.per = 1 if levels == 2 else 3 * NORMALS  # numbers that say how a pixel is distributed
        self.last = nn.Linear(hidden, self.D * self.per)
        drawn = torch.Generator().manual_seed(0)  # the same in every model, whatever its seed
        self.register_buffer("orders", torch.stack([torch.randperm(self.D, generator=drawn) for _ in range(orders)]))

    @property
    def bound(self) -> str:
        """What :meth:`log_prob` is."""
        return "exact" if self.D <= SHORT else "ELBO"

    @staticmethod
    def look(data: Dataset) -> dict:
        """What it must know of the data: ``levels``. Raises DataError for what are not small images."""
        check(data, "masked", "images", LONGEST)
        return {"levels": 2 if black_or_white(data) else 256}

    @staticmethod
    def recipe(plan: dict, n: int) -> dict:
        """Arguments for ``training.fit``; chosen on the validation split of the binary digits."""
        return dict(batch_size=100 if n >= 1000 else 32, lr=1e-3, weight_decay=0.05)

    @staticmethod
    def says(plan: dict) -> str:
        """What it is, in words, after its name."""
        D, scored = math.prod(plan["shape"]), f"exact, a mixture over {plan['orders']} orders of the pixels"
        if D > SHORT:
            scored = f"its figure is a bound, since the exact one takes {D} passes of the network an order"
        return f"{'black and white' if plan['levels'] == 2 else '256 levels'}; {scored}"

    # --- one pass of the network -----------------------------------------------------------------------

    def features(self, x: Tensor, known: Tensor, c: Tensor | None = None) -> Tensor:
        """What the network makes of the known pixels of x, both (N, D), known being 1 or 0: (N, hidden)."""
        h = self.first(torch.cat([(2 * x - 1) * known, known], dim=1))
        return self.body(h if self.label is None else h + self.label(c))

    def predict(self, x: Tensor, known: Tensor, c: Tensor | None = None) -> Tensor:
        """The numbers that say how each pixel is distributed, given the known ones: (N, D, per)."""
        return self.last(self.features(x, known, c)).unflatten(1, (self.D, self.per))

    def at(self, h: Tensor, pixel: Tensor) -> Tensor:
        """The same for one pixel of each image, pixel (N,), from its features h: (N, per)."""
        weight, bias = (part.unflatten(0, (self.D, self.per)) for part in (self.last.weight, self.last.bias))
        found = h.new_empty(len(h), self.per)
        for each in pixel.unique():  # as many as there are orders; all outputs would cost more than the network
            rows = pixel == each
            found[rows] = linear(h[rows], weight[each], bias[each])
        return found

    def log_p(self, numbers: Tensor, value: Tensor) -> Tensor:
        """log p of pixels, value (…), from the numbers (…, per) that say how they are distributed: (…), in nats."""
        if self.levels == 2:
            return -binary_cross_entropy_with_logits(numbers[..., 0], value, reduction="none")
        return greys(numbers).log_prob(value)

    def draw(self, numbers: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of each pixel: (N,)."""
        if self.levels == 2:
            p = torch.sigmoid(numbers[..., 0])
            return (torch.rand(p.shape, generator=generator, dtype=p.dtype, device=p.device) < p).to(p.dtype)
        mixture = greys(numbers)
        which = draw(mixture.mixture_distribution, generator)
        return draw(mixture.component_distribution, generator).gather(-1, which[..., None])[..., 0]

    # --- training ----------------------------------------------------------------------------------------

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """Minus the bound, from one draw an image, in evaluation from four: (loss, metrics), in nats per image."""
        x, c = batch
        if not self.training:  # the best epoch should not be one of lucky draws
            return -self.bound_on(x, c, k=4).mean(), {}
        return -self.one_draw(x.reshape(-1, self.D), c, spread(len(x), self.D, x.device)).mean(), {}

    def one_draw(self, x: Tensor, c: Tensor | None, hidden: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """An unbiased estimate of the bound for x (N, D), ``hidden`` (N,) pixels of each being hidden: (N,), in nats.

        A step of an order whose last n pixels are still hidden is one of D, and each of the n may come next: their
        mean log p, times D.
        """
        known = (ranks(x, generator) >= hidden[:, None]).to(x.dtype)
        log_p = self.log_p(self.predict(x, known, c), x)  # (N, D)
        return self.D / hidden * (log_p * (1 - known)).sum(dim=1)

    def bound_on(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
                 k: int | None = None) -> Tensor:
        """The masked-diffusion bound: the mean of log p(x|c) over all orders, from k draws an image: (N,), in nats.

        At most the log p of the mixture over all orders, by Jensen's inequality.
        """
        x, k = x.reshape(-1, self.D), self.k if k is None else k
        # Row by row, hidden takes k values that are spread evenly over 1 … D.
        hidden = spread(k, self.D, x.device, generator, n=len(x))  # (N, k)
        return torch.stack([self.one_draw(x, c, hidden[:, i], generator) for i in range(k)]).mean(dim=0)

    # --- along orders ------------------------------------------------------------------------------------

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x|c) of images: (N,), in nats; exact up to 100 pixels, else the bound."""
        if self.bound == "ELBO":
            return self.bound_on(x, c, generator)
        return self.conditional_log_prob(x, x.new_zeros(self.D), c)

    def conditional_log_prob(self, x: Tensor, known: Tensor, c: Tensor | None = None) -> Tensor:
        """log p of the pixels of x (N, *shape) that are not ``known``, given those that are: (N,), in nats, exact.

        known: 1 or 0, of the shape of one image or of x. It is that of the mixture over the orders of the model, each
        with the known pixels moved to its beginning: of what :meth:`fill_in` draws. For nothing known, log p(x|c).
        """
        x, known = x.reshape(-1, self.D), self._each(known, len(x))
        return torch.logsumexp(self.by_order(x, known, c), dim=1) - math.log(len(self.orders))

    def by_order(self, x: Tensor, known: Tensor, c: Tensor | None = None) -> Tensor:
        """log p of the unknown pixels of x (N, D), along each of the M orders: (N, M), in nats."""
        M, parts = len(self.orders), []
        for some in torch.arange(len(x), device=x.device).split(max(1, ROWS // M)):
            rows = some.repeat_interleave(M)
            orders = known_first(self.orders.repeat(len(some), 1), known[rows])
            told = None if c is None else c[rows]
            parts.append(self._along(x[rows], known[rows], orders, told).view(-1, M))
        return torch.cat(parts)

    def _along(self, x, known, orders, c):
        """log p of the unknown pixels of x (N, D), each image along its order (N, D): (N,)."""
        rows, known, total = torch.arange(len(x), device=x.device), known.clone(), x.new_zeros(len(x))
        for pixel in orders.T[int(known.sum(dim=1).min()) :]:
            new = 1 - known[rows, pixel]
            numbers = self.at(self.features(x, known, c), pixel)
            total = total + new * self.log_p(numbers, x[rows, pixel])
            known[rows, pixel] = 1
        return total

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               **options: Any) -> Tensor:
        """n images, pixel by pixel, each along one of the orders: (n, *shape). As many passes as there are pixels."""
        nothing = self.last.weight.new_zeros(n, self.D)
        return self.fill_in(nothing, nothing, c, generator=generator)[0].reshape(n, *self.shape)

    @torch.no_grad()
    def fill_in(self, x: Tensor, known: Tensor, c: Tensor | None = None, n: int = 1,
                generator: torch.Generator | None = None, **options: Any) -> Tensor:
        """n draws of what is not ``known`` of each image of x (``models.contract``): (n, N, …), in the shape of x.

        Each along one of the orders: exactly from what :meth:`conditional_log_prob` scores.
        """
        shape, x = x.shape, x.reshape(-1, self.D)
        known = self._each(known, len(x))
        x = torch.where(known == 1, x, 0.0)  # whatever stands in the others, NaN included
        x, known, c = (None if part is None else part.repeat_interleave(n, dim=0) for part in (x, known, c))
        rows = torch.arange(len(x), device=x.device)
        which = torch.randint(len(self.orders), (len(x),), generator=generator, device=x.device)
        orders = known_first(self.orders[which], known)
        for pixel in orders.T[int(known.sum(dim=1).min()) :]:
            drawn = self.draw(self.at(self.features(x, known, c), pixel), generator)
            x[rows, pixel] = torch.where(known[rows, pixel] == 1, x[rows, pixel], drawn)
            known[rows, pixel] = 1
        return x.view(shape[0], n, *shape[1:]).transpose(0, 1)

    def _each(self, known, n):
        """What is known of each image: (n, D), a copy."""
        known = known.reshape(-1, self.D).to(self.last.weight.dtype)
        return known.expand(n, -1).clone()


def spread(k: int, D: int, device: torch.device | str = "cpu", generator: torch.Generator | None = None,
           n: int | None = None) -> Tensor:
    """k whole numbers from 1 to D in random order, each by itself uniform, together spread evenly: (k,), or (n, k)."""
    u = torch.rand(n or 1, k, generator=generator, device=device)
    shuffled = torch.rand(n or 1, k, generator=generator, device=device).argsort(dim=1)
    found = ((shuffled + u) / k * D).long().clamp(max=D - 1) + 1  # rounding may reach D
    return found[0] if n is None else found


def ranks(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """For each row of x (N, D), the numbers 0 … D - 1 in a random order: (N, D)."""
    return torch.rand(x.shape, generator=generator, device=x.device).argsort(dim=1)


def known_first(orders: Tensor, known: Tensor) -> Tensor:
    """Orders (N, D) with the pixels that are known (N, D) moved to the beginning, the others as they come."""
    return orders.gather(1, known.gather(1, orders).argsort(dim=1, descending=True, stable=True))


def greys(numbers: Tensor) -> MixtureSameFamily:
    """Mixtures of Normals cut into 256 bins, from (…, 3 · NORMALS) numbers each: logits, means, log deviations."""
    logits, mean, log_sigma = numbers.unflatten(-1, (3, NORMALS)).unbind(dim=-2)
    start = torch.linspace(0, 1, NORMALS, device=numbers.device)  # learning starts with one for each shade
    sigma = torch.exp((log_sigma - 2).clamp(-7.0, 2.0))
    return MixtureSameFamily(Categorical(logits=logits, validate_args=False), GreyLevels(mean + start, sigma),
                             validate_args=False)
