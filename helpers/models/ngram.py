"""Interpolated n-grams of characters: counting, and no gradient anywhere. The baseline for every model of text.

What follows a history is a mixture of what followed it in training and of what its shorter history predicts,
down to a uniform distribution (Witten and Bell, 1991; in this form: Chen and Goodman, 1998):

    P(w | h) = (count(h, w) + types(h) · P(w | h′)) / (count(h) + types(h))

with h′ the history without its oldest symbol, and types(h) the number of different symbols seen after h.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import ArrayLike

from helpers.data.dataset import DataError
from helpers.data.text import END, PAD, UNKNOWN, lengths
from helpers.models import grams
from helpers.models.texts import probabilities

BLOCK = 1 << 18  # symbols that are looked up together


class NGram:
    """A model of order n: each symbol depends on the n - 1 before it, all of them within the same text.

    ``symbols`` is the length of the vocabulary. An end stands before the first symbol of a text. Padding has
    probability 0; all other symbols, unknown included, have more than that, and together 1.
    """

    def __init__(self, order: int, symbols: int):
        if order < 1:
            raise ValueError(f"order is {order}; give at least 1, where symbols do not depend on each other.")
        self.order, self.symbols = order, symbols
        self._texts: list[np.ndarray] = []
        self._forget()

    def _forget(self):
        self._known: dict[tuple, np.ndarray] = {}
        self._counted: grams.Tree | None = None

    def fit(self, x: ArrayLike) -> "NGram":
        """Count the texts x (N, T). What was counted before stays."""
        self._texts.append(_checked(x))
        self._forget()
        return self

    @property
    def counts(self) -> dict[tuple, Counter]:
        """history -> symbol -> how often it followed."""
        keys, counts = self._tree().keys.tolist(), self._tree().counts.tolist()
        gram: list[tuple] = [(symbol,) for symbol in range(self.symbols)]
        found: dict[tuple, Counter] = defaultdict(Counter)
        for node, (key, n) in enumerate(zip(keys, counts)):
            before, symbol = divmod(key, self.symbols)
            if node >= self.symbols:
                gram.append((*gram[before], symbol))
            if n:
                found[gram[node][:-1]][symbol] = n
        return found

    def _tree(self):
        """What was counted, as helpers.models.grams has it."""
        if self._counted is None:
            texts = self._texts or [np.zeros((1, 1), int)]
            T = max(x.shape[1] for x in texts)
            x = texts[0] if len(texts) == 1 else np.concatenate(
                [np.pad(x, ((0, 0), (0, T - x.shape[1]))) for x in texts])
            self._counted = grams.count(x, self.symbols, self.order)
        return self._counted

    def probabilities(self, history: Iterable[int] = ()) -> np.ndarray:
        """P(symbol | history) of every symbol: (V,). Of the history, as many as count are used: the last n - 1."""
        history = tuple(int(symbol) for symbol in history)
        return self._probabilities(history[len(history) - min(self.order - 1, len(history)) :]).copy()

    def _probabilities(self, history):
        if history not in self._known:
            seen = torch.tensor([history], dtype=torch.long)
            p = grams.following(self._tree(), seen, len(history) + 1, self.symbols)[0]
            self._known[history] = p[0, -1].numpy()
        return self._known[history]

    def log_prob(self, x: ArrayLike) -> np.ndarray:
        """log P of each text of x (N, T), its end included and padding not: (N,), in nats; exact."""
        return self.log_probs(x)[:, -1]

    def log_probs(self, x: ArrayLike) -> np.ndarray:
        """As :meth:`log_prob`, by all n-grams up to this order: (N, order)."""
        texts, found = _checked(x), []
        step = max(1, BLOCK // texts.shape[1])
        for start in range(0, len(texts), step):
            part = texts[start : start + step]
            block = torch.from_numpy(part[:, : max(1, lengths(part).max())].astype(np.int64))
            p = grams.look(self._tree(), block, self.order, self.symbols)[0]
            found.append((p.log() * (block != PAD)[..., None]).sum(dim=1).numpy())
        return np.concatenate(found)

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


def _checked(x: ArrayLike) -> np.ndarray:
    """The texts as an array (N, T); refused in a sentence if they are none."""
    x = np.asarray(x)
    if x.ndim != 2 or len(x) == 0:
        raise DataError(f"found an array of shape {x.shape}; give texts as symbols (N, T), at least one.")
    return x
