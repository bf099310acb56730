"""Names for a colour, chosen among many draws: best of n, by what models that did not draw them say of them.

A name x for a colour c is worth log p(x|c) - λ log p(x): λ = 1 is the pointwise mutual information (Li et al., 2016),
λ = 0 the likelihood; a model that reads colours in names may add log p(c|x), which is the same quantity backwards.
Among names of about equal worth those go first that share no word with the better ones (maximal marginal relevance;
Carbonell and Goldstein, 1998). The lesson Text: name a colour builds it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict
from torch import Tensor

from helpers.data.colours import Words, alike, parts
from helpers.evaluation.filters import rude

LAMBDA = 0.7  # with 0 the names fit as well and are dull; with 1 they are odd: chosen on the validation colours
DRAWS = 100  # for each colour


def well_made(name, first, last):
    """Whether a name (str) is put together as people's are: one to three words, no two that begin alike.

    The last word must be one of ``last``, the words that end a known name, all others of ``first``, those that do not.
    """
    found = parts(name)
    if not 1 <= len(found) <= 3:
        return False
    differ = len({word[:3] for word in found}) == len(found)
    return differ and found[-1] in last and set(found[:-1]) <= first


def apart(names, worth, n=5, price=0.5):
    """Which n of these names to show, the best first, as numbers: each is to differ from those before it.

    A name is worth ``price`` less for each of its words whose first three letters begin a word that is shown already.
    """
    begin = [{word[:3] for word in parts(name)} for name in names]
    found, shown = [], set()  # type: ignore[var-annotated]  # as in the lesson
    for _ in range(min(n, len(names))):
        now = [worth[i] - price * len(begin[i] & shown) if i not in found else -np.inf for i in range(len(names))]
        found.append(int(np.argmax(now)))
        shown = shown | begin[found[-1]]
    return found


class Judges(NamedTuple):
    """Models that judge names: how to ``encode`` names for them; those told the colour, and those told nothing."""

    encode: Callable[[Sequence[str]], np.ndarray]
    told: Sequence[Any]
    plain: Sequence[Any]


class Meaning:
    """What colour a name means: a Normal in Oklab around the sum of what its words bring, learned from names.

    By least squares with small weights (ridge regression; Hoerl and Kennard, 1970) on which words a name holds and
    which is its last; its spread is that of the errors on names left out of the fit, a fifth at a time.
    names: N texts; c: their colours (N, 3), in Oklab.
    """

    def __init__(self, names: Sequence[str], c: npt.ArrayLike):
        c = np.asarray(c, float)
        self.features = CountVectorizer(analyzer=self._features)
        x = self.features.fit_transform(names)
        folds = KFold(5, shuffle=True, random_state=0)
        errors = c - cross_val_predict(Ridge(), x, c, cv=folds)
        self.precision = np.linalg.inv(np.cov(errors.T))
        self.ridge = Ridge().fit(x, c)

    def __call__(self, names: Sequence[str]) -> np.ndarray:
        """The middle of the colours (N, 3) that names mean."""
        return self.ridge.predict(self.features.transform(names))

    def log_density(self, names: Sequence[str], c: npt.ArrayLike) -> np.ndarray:
        """log p(c|x) of colours c (N, 3) given names, in nats, but for a constant: (N,)."""
        off = np.asarray(c, float) - self(names)
        return -(off @ self.precision * off).sum(axis=1) / 2

    @staticmethod
    def _features(name):
        return [*parts(name), *(word + " (last)" for word in parts(name)[-1:])]


class Namer:
    """Gives the best names among many draws for a colour: new ones, made of known words, none of them rude.

    writer: a model of words that is told a colour; words: their vocabulary. judges: one or more groups of other models,
    each with the same say. known: the names that they have learned from. meaning: whether the colour is what a name
    means, with the say of all judges together; None leaves it out.
    """

    def __init__(self, writer: Any, words: Words, judges: Sequence[Judges], known: Sequence[str],
                 meaning: Meaning | None = None):
        self.writer, self.words, self.judges, self.meaning = writer, words, judges, meaning
        self.known = {alike(name) for name in known}
        self.first = {word for name in known for word in parts(name)[:-1]}
        self.last = {parts(name)[-1] for name in known if parts(name)}

    def may(self, name: str) -> bool:
        """Whether a name may be shown: well made, new however it is spaced, and not rude."""
        return well_made(name, self.first, self.last) and alike(name) not in self.known and not rude(name)

    @torch.no_grad()
    def worth(self, names: Sequence[str], c: Tensor) -> np.ndarray:
        """log p(x|c) - λ log p(x) of names (N) for colours c (N, 3), means over models and groups: (N,), in nats.

        The meaning, if there is one, adds log p(c|x), but for a constant.
        """
        found = torch.zeros(len(names))
        for encode, told, plain in self.judges:
            x = torch.as_tensor(encode(names))
            found += sum(model.log_prob(x, c) for model in told) / len(told) / len(self.judges)
            found -= LAMBDA * sum(model.log_prob(x) for model in plain) / len(plain) / len(self.judges)
        return found.numpy() + (self.meaning.log_density(names, c.numpy()) if self.meaning else 0.0)

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
