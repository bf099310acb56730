"""Masked diffusion of texts: symbols are hidden one by one until none is left, and a network learns the way back.

How many characters a text has is drawn first; then they are all hidden, and shown again in random order, each drawn
from what the network makes of those that are seen. With k of the m characters hidden, the mean over all orders is

    log p(x | m) >= E over k of 1 … m, and over which k are hidden, of m / k · Σ over hidden t of log p(x_t | the seen).

(Uria, Murray and Larochelle, 2014, A Deep and Tractable Density Estimator; Austin, Johnson, Ho, Tarlow and van den
Berg, 2021, Structured Denoising Diffusion Models in Discrete State-Spaces; Sahoo et al., 2024, Simple and Effective
Masked Diffusion Language Models; Shi et al., 2024, Simplified and Generalized Masked Diffusion for Discrete Data.)
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot, pad, softmax

from helpers.data.dataset import Dataset
from helpers.data.text import END, PAD, UNKNOWN
from helpers.models.contract import everywhere
from helpers.models.texts import Block, probabilities, trim

MASK = UNKNOWN  # what stands for a hidden character: no training text has it, and a vocabulary shows it as �
PAIRS = 2_000_000  # pairs of places that are looked at together, when texts are scored


class Around(Block):
    """A Block whose places look at all others, and how much also depends on how far and on which side those are.

    ``near`` is added to the scores, a number for each distance (a relative bias: Raffel et al., 2020). Each head begins
    with one neighbour: with few texts, that letters next to each other matter is not learned from scratch.
    """

    def __init__(self, width: int, heads: int, dropout: float, longest: int):
        super().__init__(width, heads, dropout)
        away = torch.arange(1 - longest, longest)
        begin = torch.tensor([(1 + h // 2) * (-1) ** (h + 1) for h in range(heads)])  # -1, 1, -2, 2, …
        self.near = nn.Parameter(-0.75 * (away - begin[:, None]).abs().clamp(max=4))  # (heads, 2 · longest - 1)

    def forward(self, h: Tensor, here: Tensor) -> Tensor:  # type: ignore[override]
        """h (N, T, width) to the same; ``here`` (N, T) says which places there are, padding being none."""
        q, k, v = self.split(h)
        place = torch.arange(h.shape[1], device=h.device)
        away = place - place[:, None] + self.near.shape[1] // 2  # (T, T)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]) + self.near[:, away]  # (N, heads, T, T)
        look = softmax(scores.masked_fill(~here[:, None, None], -math.inf), dim=-1) @ v
        h = h + self.dropout(self.out(look.transpose(1, 2).flatten(2)))
        return h + self.dropout(self.think(self.norm_2(h)))


class MaskedText(nn.Module):
    """A distribution over texts x (N, T) of symbols; told a label or real numbers c (N, condition), if there are any.

    A text of m characters has an end behind them, unless it fills all T places of ``shape``. ``spread``: by what the
    condition is divided; ``noise``: the deviation of Normal noise on it, in training only. ``bound``: the "ELBO" over
    all orders, from ``k`` draws a text.
    """

    bound = "ELBO"
    k = 50
    fills = "approximate"  # exact only where the length of a text is known, see fill_in
    plan: Any

    def __init__(self, symbols: int, labels: int = 0, condition: int = 0, shape: tuple[int, ...] | list[int] = (64,),
                 width: int = 64, layers: int = 2, heads: int = 4, dropout: float = 0.3, spread: float = 1.0,
                 noise: float = 0.0):
        super().__init__()
        if width % heads:
            raise ValueError(f"width is {width} and heads {heads}; choose a width that the heads can share.")
        self.symbols, self.labels, self.condition, self.T = symbols, labels, labels or condition, shape[0]
        self.spread, self.noise = spread, noise
        self.embedding = nn.Embedding(symbols, width)
        self.place = nn.Embedding(self.T + 1, width)  # counted from the end, which is known: names end alike
        self.blocks = nn.ModuleList(Around(width, heads, dropout, self.T) for _ in range(layers))
        self.norm, self.head, self.dropout = nn.LayerNorm(width), nn.Linear(width, symbols), nn.Dropout(dropout)
        for table in (self.embedding, self.place):
            nn.init.normal_(table.weight, std=0.1)
        self.length = nn.Linear(max(1, self.condition), self.T + 1)  # what it is told to the logits of m = 0 … T
        nn.init.zeros_(self.length.weight)
        if self.condition:
            self.to_input = nn.Linear(self.condition, width)

    @staticmethod
    def recipe(plan: dict, n: int) -> dict:
        """Arguments for ``training.fit``, chosen on names for colours: fewer texts a step where they are long."""
        batch = max(8, min(64, 6400 // plan["shape"][0]))
        return dict(batch_size=batch, lr=4e-3, weight_decay=0.02, warmup=0.1,
                    epochs=max(20, min(400, 40_000 // math.ceil(n / batch))))

    @staticmethod
    def says(plan: dict) -> str:
        """What it is, in words, after its name."""
        return "characters are shown in random order; its figure is a bound, on the mean over all orders"

    @torch.no_grad()
    def start(self, data: Dataset) -> None:
        """Lengths begin as they are in the train split, each with one more, and the condition with how it varies."""
        m = characters(torch.as_tensor(data.train.x)).sum(dim=1)
        self.length.bias.copy_(torch.log(torch.bincount(m, minlength=self.T + 1) + 1.0))
        if self.condition and not self.labels:
            self.spread = round(max(1e-6, float(np.asarray(data.train.c).std(axis=0).mean())), 6)
            if hasattr(self, "plan"):
                self.plan |= {"spread": self.spread}

    # --- one pass of the network -------------------------------------------------------------------------

    def predict(self, x: Tensor, hidden: Tensor, c: Tensor | None = None) -> Tensor:
        """log p of every symbol at all places of x (N, T), from those that are not ``hidden`` (N, T): (N, T, V)."""
        here, m = x != PAD, characters(x).sum(dim=1, keepdim=True)
        place = (m - torch.arange(x.shape[1], device=x.device)).clamp(min=0)  # 0 is the end
        h = self.embedding(x.masked_fill(hidden, MASK)) + self.place(place)
        if c is not None:
            h = h + self.to_input(c)[:, None]
        h = self.dropout(h)
        for block in self.blocks:
            h = block(h, here)
        logits = self.head(self.norm(h))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # half precision would cost digits
        never = torch.isin(torch.arange(self.symbols, device=x.device), torch.tensor([PAD, END], device=x.device))
        return log_softmax(logits.masked_fill(never, -math.inf), dim=-1)

    def lengths(self, n: int, c: Tensor | None = None) -> Tensor:
        """log p of a text's number of characters: (n, T + 1)."""
        return log_softmax(self.length(self.length.weight.new_zeros(n, 1) if c is None else c), dim=1)

    # --- training, and the bound -------------------------------------------------------------------------

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """Minus the bound, from one draw a text, in evaluation from four: in nats per text; and bits per character."""
        x, c = trim(batch[0]), self._told(batch[1], len(batch[0]))
        if self.training:  # shares of hidden characters that are spread evenly over the batch
            nats = -self.one_draw(x, c, shares(1, len(x), x.device)[0])
        else:
            nats = -self.bound_on(x, c, k=4)
        return nats.mean(), {"bits per character": nats.detach().sum() / (x != PAD).sum() / math.log(2)}

    def one_draw(self, x: Tensor, c: Tensor | None, share: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """An unbiased estimate of the bound for x (N, T): (N,), in nats. share (N,): how much is hidden, in (0, 1)."""
        m, rank = ranked(x, torch.rand(x.shape, generator=generator, device=x.device))
        k = torch.minimum((share * m).long() + 1, m)  # 1 … m, each as often
        hidden = rank < k[:, None]
        log_p = self._of(x, hidden, hidden, c)
        return self.lengths(len(x), c).gather(1, m[:, None])[:, 0] + m / k.clamp(min=1) * log_p

    def bound_on(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
                 k: int | None = None) -> Tensor:
        """The mean of log p(x|c) over all orders, from k draws a text, whose shares are spread evenly: (N,), in nats.

        c as the network takes it. At most log of the mean of p(x|c) over all orders, by Jensen's inequality.
        """
        share = shares(len(x), self.k if k is None else k, x.device, generator)
        return torch.stack([self.one_draw(x, c, part, generator) for part in share.T]).mean(dim=0)

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
                 k: int | None = None) -> Tensor:
        """The bound on log p(x|c) of each text of x (N, T), its length, and so its end, included: (N,), in nats."""
        c, x = self._told(c, len(x)), trim(x)
        rows = max(1, PAIRS // x.shape[1] ** 2)  # memory should not grow with the batch
        told = [None] * len(x) if c is None else c.split(rows)
        return torch.cat([self.bound_on(a, b, generator, k) for a, b in zip(x.split(rows), told)])

    @torch.no_grad()
    def by_order(self, x: Tensor, c: Tensor | None = None, orders: int = 16) -> Tensor:
        """log p(x|c) along each of so many orders, drawn once for all texts: (N, orders), in nats, exact.

        A model that first draws one of the orders, with equal chances, has log p(x|c) = log of the mean of their p.
        """
        c, x = self._told(c, len(x)), trim(x)
        first = torch.rand(orders, self.T, generator=torch.Generator().manual_seed(0)).to(x.device)
        found = []
        for order in first[:, : x.shape[1]]:
            m, rank = ranked(x, order.expand(len(x), -1))
            log_p = self.lengths(len(x), c).gather(1, m[:, None])[:, 0]
            for step in range(int(m.max())):
                log_p = log_p + self._of(x, (rank >= step) & characters(x), rank == step, c)
            found.append(log_p)
        return torch.stack(found, dim=1)

    def _of(self, x, hidden, asked, c):
        """The sum of log p of the characters of x that are asked for, given those that are not hidden: (N,)."""
        log_p = self.predict(x, hidden, c).gather(2, x[..., None])[..., 0]
        return torch.where(asked, log_p, 0.0).sum(dim=1)

    # --- drawing -----------------------------------------------------------------------------------------

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               temperature: float = 1.0, top_p: float = 1.0, steps: int | None = None) -> Tensor:
        """n texts, under conditions c, (n, C) or (C,) for all, or labels (n,): (n, T). Unknown is never drawn.

        temperature and top_p as in :func:`helpers.models.texts.probabilities`; lengths are drawn at temperature 1.
        steps: in how many the characters are shown, several at once if there are more of them; by default one by one.
        Those of one step are drawn without regard to each other: quicker, and worse.
        """
        for x in self.unmask(n, c, generator, temperature, top_p, steps):
            last = x
        return last

    @torch.no_grad()
    def unmask(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               temperature: float = 1.0, top_p: float = 1.0, steps: int | None = None) -> Iterator[Tensor]:
        """As :meth:`sample`, but one after another all that it writes, (n, T): MASK where a character is hidden."""
        if steps is not None and steps < 1:
            raise ValueError(f"steps is {steps}; give 1 or more, or None for one character a step.")
        if c is not None and c.is_floating_point() and c.dim() == 1:
            c = c.expand(n, -1)
        c = self._told(c, n)
        m = torch.multinomial(self.lengths(n, c).exp(), 1, generator=generator)  # (n, 1)
        x = self._blank(m)
        _, rank = ranked(x, torch.rand(x.shape, generator=generator, device=x.device))
        due = rank if steps is None else rank * m.clamp(max=steps) // m.clamp(min=1)  # when a character is shown
        yield x
        yield from self._show(x, due, x == MASK, c, generator, temperature, top_p)

    @torch.no_grad()
    def fill_in(self, x: Tensor, known: Tensor, c: Tensor | None = None, n: int = 1,
                generator: torch.Generator | None = None, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """n draws of the characters that are not ``known`` of each text of x (N, T) (``models.contract``): (n, N, T).

        They are shown one by one in random order after the known ones: exact, as for :class:`Masked`, where a text's
        length is known, which is where its end is, or its last place. Else a length is drawn among those that have
        room for what is known, by what it is told alone, and not by what is known: an approximation.
        """
        if x.shape[1] > self.T:
            raise ValueError(f"the texts have {x.shape[1]} places, and the model {self.T}; shorten them.")
        known = everywhere(known, x).repeat(n, 1)
        told = None if c is None else c.repeat(n, *[1] * (c.dim() - 1))
        more = (0, self.T - x.shape[1])
        x, given, c = pad(x.repeat(n, 1), more), pad(known, more), self._told(told, len(known))
        place = torch.arange(self.T + 1, device=x.device)
        ends = given & ~characters(x)  # an end, or what comes after it
        full = (given & characters(x))[:, -1]
        room = 1 + torch.where(given & characters(x), place[:-1], -1).max(dim=1).values  # (N,)
        possible = self.lengths(len(x), c).exp() * (place >= room[:, None])
        drawn = torch.multinomial(possible, 1, generator=generator)[:, 0]
        first = torch.where(ends.any(dim=1), ends.long().argmax(dim=1), torch.where(full, self.T, drawn))
        blank = self._blank(first[:, None])
        x = torch.where(given & (blank == MASK), x, blank)
        hidden = ~given & (blank == MASK)
        rank = torch.rand(x.shape, generator=generator, device=x.device).masked_fill(~hidden, math.inf)
        due = rank.argsort(dim=1).argsort(dim=1)
        *_, x = x, *self._show(x, due, hidden, c, generator, temperature, top_p)
        return x.view(n, -1, self.T)

    def _blank(self, m):
        """Texts of m (n, 1) characters that are all hidden: (n, T)."""
        place = torch.arange(self.T, device=m.device).expand(len(m), -1)
        return torch.where(place < m, MASK, torch.where(place == m, END, PAD))

    def _show(self, x, due, hidden, c, generator, temperature, top_p) -> Iterator[Tensor]:
        """Texts x (n, T) one after another, the characters that are ``hidden`` (n, T) drawn at the step ``due``."""
        for step in range(int(due[hidden].max()) + 1 if hidden.any() else 0):
            log_p = self.predict(x, hidden & (due >= step), c)
            log_p[..., UNKNOWN] = -math.inf
            now = (due == step) & hidden
            drawn = torch.multinomial(probabilities(log_p[now], temperature, top_p), 1, generator=generator)[:, 0]
            x = x.masked_scatter(now, drawn)
            yield x

    def _told(self, c, n):
        """What the network is told: labels as one number each, real numbers over their spread; None without."""
        if not self.condition:
            return None
        if self.labels and c is not None and c.dim() == 1:
            c = one_hot(c, self.labels).to(self.head.weight.dtype)
        if c is None or c.shape != (n, self.condition):
            found = "nothing" if c is None else f"of shape {tuple(c.shape)}"
            raise ValueError(f"the condition should be real numbers of shape ({n}, {self.condition}), and is {found}.")
        if self.training and self.noise:
            c = c + self.noise * torch.randn_like(c)
        return c / self.spread


def characters(x: Tensor) -> Tensor:
    """Where in x (N, T) characters stand, unknown ones too, and neither an end nor padding: (N, T)."""
    return (x != PAD) & (x != END)


def ranked(x: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """How many characters texts x (N, T) have, m (N,), and the rank of each by ``first`` (N, T); T for all else."""
    there = characters(x)
    rank = first.masked_fill(~there, math.inf).argsort(dim=1).argsort(dim=1)
    return there.sum(dim=1), rank.masked_fill(~there, x.shape[1])


def shares(n: int, k: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """n rows of k numbers from 0 to 1, each by itself uniform, those of a row spread evenly: (n, k)."""
    u, order = (torch.rand(n, k, generator=generator, device=device) for _ in range(2))
    return (order.argsort(dim=1) + u) / k
