"""What may come out: names without crude words, images that are no copies, and drawing again until enough may.

A filter turns p(x) into p(x) / share for what it lets pass, where share = Σ p(x) over that, and into 0 for the rest
(rejection sampling; von Neumann, 1951). The lesson Models that keep secrets measures
what they are worth.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from helpers.data.dataset import DataError
from helpers.evaluation import crude_names

# A word of crude_names.WHOLE is refused by itself, with an ending, and joined to one of these.
JOINED = (
    "baby dark light deep pale bright dirty dried bull horse dog cat bird cow pig monkey chicken dumb bad mother old "
    "brown green yellow red blue pink orange purple grey gray black white tan gold olive beige hole head hat face wipe "
    "stain bag ball storm"
)
ENDINGS = "s|es|y|ys|ey|ie|ies|ish|ed|er|ers|ing|ier|iest"
LOOKALIKES = {"a": "a4@", "b": "b8", "e": "e3", "g": "g9", "i": "i1!|", "l": "l1|", "o": "o0", "s": "s5$", "t": "t7"}
CYRILLIC = str.maketrans("авеіорсухѕ", "abeiopcyxs")  # letters of another alphabet that look like ours
SHORT = 2  # pieces of a word, as in "b o g" or "bo g", are at most so long
PIECES = 15  # and at most so many are put together


def rude(name: str) -> bool:
    """Whether a name holds a crude word: a swear word, a slur, or what leaves a body.

    If "bog" were one, it would be found in capitals and with accents ("BÖG"), with lookalikes ("b0g"), repeated letters
    ("booog"), a star for a letter ("b*g"), spaces or dots between letters ("b o g"), endings ("boggy"), and joined to a
    colour or a beast ("bogbrown"); but not inside other words ("bogus"). A list finds what is on the list.
    """
    plain = unicodedata.normalize("NFKD", str(name).lower().translate(CYRILLIC)).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9@$!|*]+", plain)
    return any(_crude(word) for word in words) or any(_crude(word) for word in _put_together(words))


def spelled(stem: str) -> str:
    """A pattern for a word: each letter as often as in the word or more, or a lookalike, or a star after the first."""
    pattern = ""
    for run in re.finditer(r"(.)\1*", stem):  # "slimmm" has the runs s, l, i, mmm
        letters = LOOKALIKES.get(run[1], run[1]) + "*" * (pattern != "")
        pattern += f"[{re.escape(letters)}]{{{len(run[0])},}}"
    return pattern


def _put_together(words) -> Iterator[str]:
    """Neighbouring pieces of one or two letters, joined in all ways that leave none out between two."""
    for i, joined in enumerate(words):
        for piece in words[i + 1 : i + PIECES]:
            if max(len(piece), len(words[i])) > SHORT:
                break
            joined += piece
            yield joined


def _crude(word) -> bool:
    harmless, anywhere, whole = _patterns()
    if harmless.fullmatch(word):
        return False
    return any(whole.fullmatch(bare) for bare in (word, word.strip("0123456789!|*$@"))) or bool(anywhere.search(word))


@cache
def _patterns() -> tuple[re.Pattern, re.Pattern, re.Pattern]:
    """Harmless words, what is crude anywhere, and what is crude as a whole word."""
    lists = (crude_names.HARMLESS, crude_names.ANYWHERE, crude_names.WHOLE)
    harmless, anywhere, whole = ("|".join(map(spelled, crude_names.words(stems))) for stems in lists)
    joined = JOINED.replace(" ", "|")
    return (
        re.compile(f"(?:{harmless})s?"),
        re.compile(anywhere),
        re.compile(f"(?:{joined})?(?:(?:{whole})(?:{ENDINGS})?){{1,3}}(?:{joined})?"),
    )


def moved(x, reach=1):
    """Square images (N, D), each shifted by up to ``reach`` pixels both ways, mirrored and not: (N · moves, D).

    What is shifted out is lost, and 0 comes in. The nearest of them is a distance that such copies do not evade.
    """
    side = round(x.shape[1] ** 0.5)
    padded = np.pad(x.reshape(-1, side, side), ((0, 0), (reach, reach), (reach, reach)))
    starts = range(2 * reach + 1)
    shifted = np.concatenate([padded[:, a : a + side, b : b + side] for a in starts for b in starts])
    return np.concatenate([shifted, shifted[:, :, ::-1]]).reshape(-1, side * side)


def redraw(
    draw: Callable[[int], Sequence], allowed: Callable[[Any], bool], n: int, most: int = 100
) -> tuple[list, int]:
    """The first n samples that are allowed, and how many were drawn for them; ``draw(m)`` gives m samples.

    n over the number drawn estimates the share, and log p(x) of what is allowed grows by -log share. Raises DataError
    after ``most`` times n draws: then hardly anything is allowed.
    """
    kept: list = []
    drawn = 0
    for _ in range(most):
        for sample in draw(n):
            drawn += 1
            if allowed(sample):
                kept.append(sample)
            if len(kept) == n:
                return kept, drawn
    if len(kept) == n:  # of 0
        return kept, drawn
    raise DataError(f"of {drawn:,} samples only {len(kept)} were allowed; look at what draw gives and allowed refuses.")
