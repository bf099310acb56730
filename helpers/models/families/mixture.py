"""A mixture of prototypes for images of ink and paper, as a model that goes everywhere: Start here builds it in NumPy.

log p(x|c) = log Σ_j w_cj Π_d p_cjd^x_d (1 - p_cjd)^(1 - x_d), with prototypes of its own for each label c. Given the
prototype all pixels are independent, so that what is missing has an exact distribution, too: the known pixels say how
probable each prototype is, and the prototype says the rest. Learned by expectation-maximisation
(``helpers.scratch.mixture``; Dempster, Laird and Rubin, 1977).
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from helpers.data.dataset import DataError, Dataset, as_floats
from helpers.models.contract import everywhere
from helpers.models.families.pixels import black_or_white, check
from helpers.scratch import fit_mixture

LARGEST = 64 * 64  # pixels
SURE = 1e-6  # no probability comes closer to 0 or 1


class BernoulliMixture(nn.Module):
    """A distribution over images x (N, *shape) of D pixels, each 0 or 1, told which of ``labels`` they show, if any.

    components: prototypes, of each label if there are labels; by default 10 for each, or 100. Without a label it is the
    mixture over all labels, as often as they came. Every figure is exact, also with pixels missing.
    """

    bound, fills = "exact", "exact"
    log_share: Tensor

    def __init__(self, shape: list[int] | tuple[int, ...], labels: int = 0, components: int | None = None):
        super().__init__()
        self.shape, self.D, self.labels = tuple(shape), math.prod(shape), labels
        C, J = max(1, labels), components or (10 if labels else 100)
        self.register_buffer("log_share", torch.full((C,), -math.log(C)))  # of each label
        self.score = nn.Parameter(torch.zeros(C, J))  # weights are softmax of these
        self.logit = nn.Parameter(0.1 * torch.randn(C, J, self.D))  # the log-odds of ink

    @staticmethod
    def look(data: Dataset) -> dict:
        """For whoever brings it images: two ``levels``. Raises DataError for what are not images of ink and paper."""
        check(data, "mixture", "images of black and white", LARGEST)
        if not black_or_white(data):
            raise DataError(f"{data.name}: mixture is for images whose pixels are all black or white, and these have "
                            "greys between; choose masked or vae.")
        return {"levels": 2}

    @staticmethod
    def recipe(plan: dict, n: int) -> dict:
        """Arguments for ``training.fit``, which goes on where expectation-maximisation has ended, in small steps."""
        return dict(batch_size=100, lr=1e-3, weight_decay=0.0, epochs=10)

    @staticmethod
    def says(plan: dict) -> str:
        """What it is, in words, after its name."""
        return "prototypes of ink and paper; exact, also where pixels are missing"

    def start(self, data: Dataset) -> None:
        """Fit it to the train split."""
        self.fit(as_floats(data.train.x), data.train.c if self.labels else None)

    @torch.no_grad()
    def fit(self, x: np.ndarray | Tensor, c: np.ndarray | Tensor | None = None, seed: int = 0, steps: int = 100,
            s: float = 0.1) -> "BernoulliMixture":
        """Expectation-maximisation on images x (N, …) of labels c (N,), from random beginnings; s: see ``m_step``.

        A label without images stays as it is; one with few has no more prototypes than images.
        """
        x, rng = np.asarray(x, float).reshape(len(x), -1), np.random.default_rng(seed)
        c, (C, J) = np.zeros(len(x), int) if c is None else np.asarray(c), self.score.shape
        for k in range(C):
            own = x[c == k]
            self.log_share[k] = math.log((len(own) + s) / (len(x) + C * s))
            if len(own):
                few = min(J, len(own))
                pi, p = fit_mixture(own, few, rng, steps, s)
                self.score[k].fill_(-1000.0)  # of a prototype that is not there
                self.score[k, :few] = torch.as_tensor(np.log(pi))
                self.logit[k, :few] = torch.logit(torch.as_tensor(p), eps=SURE)
        return self

    def by_prototype(self, x: Tensor, c: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        """log p(x, j|c) of images x (N, …) and prototypes j, of all labels where c is None: (N, J), in nats.

        known, in the shape of x: which pixels count; by default all.
        """
        x = x.reshape(-1, self.D)
        known = torch.ones_like(x) if known is None else known.reshape(-1, self.D).to(x.dtype)
        score = torch.log_softmax(self.score, dim=1)
        if c is None or not self.labels:
            weight = (self.log_share[:, None] + score).flatten()
            return weight + _pixels(x, known, self.logit.flatten(0, 1))
        found = x.new_empty(len(x), self.score.shape[1])
        for k in c.unique():
            found[c == k] = score[k] + _pixels(x[c == k], known[c == k], self.logit[k])
        return found

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x|c), or log p(x): (N,), in nats; exact."""
        return self.by_prototype(x, c).logsumexp(dim=1)

    def conditional_log_prob(self, x: Tensor, known: Tensor, c: Tensor | None = None) -> Tensor:
        """log p of the pixels of x (N, …) that are not ``known``, given those that are: (N,), in nats; exact."""
        part = self.by_prototype(x, c, everywhere(known, x)).logsumexp(dim=1)
        return self.log_prob(x, c) - part

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """-log p(x|c) on average: (loss, metrics), in nats per image."""
        return -self.log_prob(*batch).mean(), {}

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               **options: Any) -> Tensor:
        """n images: a prototype each, and a coin for every pixel: (n, *shape)."""
        nothing = self.logit.new_zeros(n, *self.shape)
        return self.fill_in(nothing, torch.zeros_like(nothing), c, 1, generator)[0]

    @torch.no_grad()
    def fill_in(self, x: Tensor, known: Tensor, c: Tensor | None = None, n: int = 1,
                generator: torch.Generator | None = None, **options: Any) -> Tensor:
        """n draws of what is not ``known`` of each image of x (``models.contract``): (n, N, *shape); exact."""
        known = everywhere(known, x)
        x = torch.where(known, x, torch.zeros_like(x))
        p = torch.softmax(self.by_prototype(x, c, known), dim=1)  # of each prototype, given what is known
        j = torch.multinomial(p, n, replacement=True, generator=generator).T  # (n, N)
        first = 0 if c is None or not self.labels else c * self.score.shape[1]
        ink = torch.sigmoid(self.logit.flatten(0, 1)[j + first]).view(n, *x.shape)
        drawn = torch.rand(ink.shape, generator=generator, dtype=ink.dtype, device=ink.device) < ink
        return torch.where(known, x, drawn.to(x.dtype))


def _pixels(x, known, logit):
    """log p of the known pixels of x (N, D) under each prototype (J, D): (N, J)."""
    return (known * x) @ logit.T - known @ softplus(logit).T
