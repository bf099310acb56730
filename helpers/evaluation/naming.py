"""Names for a colour, chosen among many draws: best of n, by what models that did not draw them say of them.

A name x for a colour c is worth log p(x|c) - λ log p(x): λ = 1 is the pointwise mutual information (Li et al., 2016),
λ = 0 the likelihood. Among names of about equal worth those go first that share no word with the better ones (maximal
marginal relevance; Carbonell and Goldstein, 1998). The lesson Text: name a colour builds it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers.data.colours import Words, alike, parts
from helpers.evaluation.filters import rude

LAMBDA = 0.7  # with 0 the names fit as well and are dull; with 1 they are odd: chosen on the validation colours
DRAWS = 100  # for each colour


def well_made(name, first, last):
    """Whether a name (str) is put together as people's are: one to three words, no two that begin alike.

    The last word must be one of ``last``, the words that end a known name, all others of ``first``, those that do not.
    """
    words = parts(name)
    begin = {word[:3] for word in words}
    return 0 < len(words) == len(begin) <= 3 and words[-1] in last and set(words[:-1]) <= first


def apart(names, worth, n=5, price=0.5):
    """Which n of these names to show, the best first, as numbers: each is to differ from those before it.

    A name is worth ``price`` less for each of its words whose first four letters occur in a name that is shown already.
    """
    stems = [{word[:4] for word in parts(name)} for name in names]
    left = list(range(len(names)))
    found = left[:0]  # none yet
    while left and len(found) < n:
        used = set().union(*(stems[i] for i in found))
        found.append(max(left, key=lambda i: worth[i] - price * len(stems[i] & used)))
        left.remove(found[-1])
    return found


class Judges(NamedTuple):
    """Models that judge names: how to ``encode`` names for them; those told the colour, and those told nothing."""

    encode: Callable[[Sequence[str]], np.ndarray]
    told: Sequence[Any]
    plain: Sequence[Any]


class Namer:
    """Gives the best names among many draws for a colour: new ones, made of known words, none of them rude.

    writer: a model of words that is told a colour; words: their vocabulary. judges: one or more groups of other models,
    each with the same say. known: the names that they have learned from.
    """

    def __init__(self, writer: Any, words: Words, judges: Sequence[Judges], known: Sequence[str]):
        self.writer, self.words, self.judges = writer, words, judges
        self.known = {alike(name) for name in known}
        self.first = {word for name in known for word in parts(name)[:-1]}
        self.last = {parts(name)[-1] for name in known if parts(name)}

    def may(self, name: str) -> bool:
        """Whether a name may be shown: well made, new however it is spaced, and not rude."""
        return well_made(name, self.first, self.last) and alike(name) not in self.known and not rude(name)

    @torch.no_grad()
    def worth(self, names: Sequence[str], c: Tensor) -> np.ndarray:
        """log p(x|c) - λ log p(x) of names (N) for colours c (N, 3), means over models and groups: (N,), in nats."""
        found = torch.zeros(len(names))
        for encode, told, plain in self.judges:
            x = torch.as_tensor(encode(names))
            found += sum(model.log_prob(x, c) for model in told) / len(told) / len(self.judges)
            found -= LAMBDA * sum(model.log_prob(x) for model in plain) / len(plain) / len(self.judges)
        return found.numpy()

    def __call__(self, c: Tensor, generator: torch.Generator, n: int = 5, draws: int = DRAWS,
                 temperature: float = 1.0) -> list[list[str]]:
        """For each colour of c (B, 3), in Oklab, up to n names, the best first."""
        x = self.writer.sample(draws * len(c), c.repeat_interleave(draws, dim=0), generator, temperature)
        drawn = [(i // draws, name) for i, name in enumerate(self.words.decode(x))]
        pairs = list(dict.fromkeys(pair for pair in drawn if self.may(pair[1])))
        found: list[list[str]] = [[] for _ in c]
        if not pairs:
            return found
        of, names = np.array([i for i, _ in pairs]), [name for _, name in pairs]
        worth = self.worth(names, c[of])
        for colour, chosen in enumerate(found):
            mine = np.flatnonzero(of == colour)
            chosen += [names[mine[i]] for i in apart([names[j] for j in mine], worth[mine], n)]
        return found
