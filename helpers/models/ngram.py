"""Interpolated n-grams of characters: counting, and no gradient anywhere. The baseline for every model of text.

What follows a history is a mixture of what followed it in training and of what its shorter history predicts,
down to a uniform distribution (Witten and Bell, 1991; in this form: Chen and Goodman, 1998):

    P(w | h) = (count(h, w) + types(h) · P(w | h′)) / (count(h) + types(h))

with h′ the history without its oldest symbol, and types(h) the number of different symbols seen after h.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import ArrayLike

from helpers.data.dataset import DataError
from helpers.data.text import END, PAD, UNKNOWN
from helpers.models.texts import probabilities


class NGram:
    """A model of order n: each symbol depends on the n - 1 before it, all of them within the same text.

    ``symbols`` is the length of the vocabulary. An end stands before the first symbol of a text. Padding has
    probability 0; all other symbols, unknown included, have more than that, and together 1.
    """

    def __init__(self, order: int, symbols: int):
        if order < 1:
            raise ValueError(f"order is {order}; give at least 1, where symbols do not depend on each other.")
        self.order, self.symbols = order, symbols
        self.counts: dict[tuple, Counter] = defaultdict(Counter)  # history -> symbol -> how often it followed
        self._known: dict[tuple, np.ndarray] = {}

    def fit(self, x: ArrayLike) -> "NGram":
        """Count the texts x (N, T). What was counted before stays."""
        rows = _rows(x)
        for row in rows:
            for t, symbol in enumerate(row[1:], start=1):
                for n in range(min(self.order, t + 1)):
                    self.counts[row[t - n : t]][symbol] += 1
        self._known.clear()
        return self

    def probabilities(self, history: Iterable[int] = ()) -> np.ndarray:
        """P(symbol | history) of every symbol: (V,). Of the history, as many as count are used: the last n - 1."""
        history = tuple(int(symbol) for symbol in history)
        return self._probabilities(history[len(history) - min(self.order - 1, len(history)) :]).copy()

    def _probabilities(self, history):
        if history not in self._known:
            if history:
                p = self._probabilities(history[1:])
            else:
                p = np.full(self.symbols, 1 / (self.symbols - 1))
                p[PAD] = 0.0
            if history in self.counts:
                seen = self.counts[history]
                p = len(seen) * p
                p[list(seen)] += list(seen.values())
                p /= sum(seen.values()) + len(seen)
            self._known[history] = p
        return self._known[history]

    def log_prob(self, x: ArrayLike) -> np.ndarray:
        """log P of each text of x (N, T), its end included and padding not: (N,), in nats; exact."""
        return np.array([
            sum(math.log(self._probabilities(row[max(0, t - self.order + 1) : t])[row[t]]) for t in range(1, len(row)))
            for row in _rows(x)
        ])

    def sample(self, n: int, rng: np.random.Generator, temperature: float = 1.0, top_p: float = 1.0,
               longest: int = 64) -> np.ndarray:
        """n texts (n, longest) of symbols, drawn one after the other; an unknown symbol is never drawn.

        ``temperature`` and ``top_p`` as in ``probabilities`` of helpers.models.texts. A text that reaches ``longest``
        has no end.
        """
        x = np.full((n, longest), PAD)
        for row in x:
            history: tuple[int, ...] = (END,)
            for t in range(longest):
                p = torch.from_numpy(self.probabilities(history))
                p[UNKNOWN] = 0.0
                row[t] = rng.choice(self.symbols, p=probabilities(p.log(), temperature, top_p).numpy())
                if row[t] == END:
                    break
                history = (*history, int(row[t]))[-self.order :]
        return x


def _rows(x):
    """The texts as tuples without padding, each with an end before it."""
    x = np.asarray(x)
    if x.ndim != 2 or len(x) == 0:
        raise DataError(f"found an array of shape {x.shape}; give texts as symbols (N, T), at least one.")
    return [(END, *row[row != PAD].tolist()) for row in x]
