"""Texts as rows of whole numbers: a vocabulary of characters, and data sets made with it.

A row is one text: its characters, one end symbol, and padding up to the length that all rows share. The
vocabulary knows the characters of the train split and no others; what else turns up is *unknown*.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from helpers.data.dataset import DataError, Dataset

PAD, END, UNKNOWN = 0, 1, 2  # symbols that are no characters; padding is never predicted and never counted
SPECIAL = 3  # the first character is symbol 3
UNKNOWN_CHARACTER = "�"  # how an unknown symbol is shown: U+FFFD, which is made for this


@dataclass(frozen=True)
class Vocabulary:
    """Characters, and the whole numbers that stand for them: ``characters[k]`` is symbol 3 + k.

    0 is padding, 1 the end of a text, 2 any character that is not in the vocabulary.
    """

    characters: tuple[str, ...]

    @classmethod
    def fit(cls, texts: Iterable[str]) -> "Vocabulary":
        """The characters of these texts, in the order of Unicode. Give it the train split alone."""
        return cls(tuple(sorted(set().union(*_checked(texts)))))

    def __len__(self) -> int:
        """The number of symbols, padding, end and unknown included."""
        return SPECIAL + len(self.characters)

    def names(self) -> tuple[str, ...]:
        """What to call each symbol in a figure."""
        return ("pad", "end", "unknown", *("␣" if character == " " else character for character in self.characters))

    def encode(self, texts: Sequence[str], length: int | None = None, quiet: bool = False) -> np.ndarray:
        """Texts as rows of symbols, each ended and padded: (N, length), int64.

        ``length`` is at least that of the longest text plus one, for its end; by default just that. Characters
        that the vocabulary does not have become symbol 2, and a printed line counts them, unless ``quiet``.

        Raises DataError for no texts at all, for anything but texts, and for a text that does not fit.
        """
        texts = _checked(texts)
        longest = max(range(len(texts)), key=lambda n: len(texts[n]))
        if length is None:
            length = len(texts[longest]) + 1
        elif length <= len(texts[longest]):
            raise DataError(f"text {longest} has {len(texts[longest])} characters, which with its end do not fit into "
                            f"length={length}; raise it or shorten the text.")
        number = {character: SPECIAL + k for k, character in enumerate(self.characters)}
        x = np.full((len(texts), length), PAD)
        for row, text in zip(x, texts):
            row[: len(text)] = [number.get(character, UNKNOWN) for character in text]
            row[len(text)] = END
        if not quiet and (x == UNKNOWN).any():
            print(told(self.unknown(texts)))
        return x

    def decode(self, x: npt.ArrayLike) -> list[str] | str:
        """Rows of symbols (N, T) as texts, each up to its end; one row (T,) as one text. Unknown is shown as �."""
        x = np.asarray(x)
        if x.ndim == 2:
            return [self._decode(row) for row in x]
        return self._decode(x)

    def _decode(self, x):
        stop = np.flatnonzero((x == END) | (x == PAD))
        shown = (UNKNOWN_CHARACTER, *self.characters)
        return "".join(shown[symbol - UNKNOWN] for symbol in x[: stop[0] if len(stop) else None])

    def unknown(self, texts: Iterable[str]) -> Counter:
        """How often each character appears in these texts that the vocabulary does not have."""
        known = set(self.characters)
        return Counter(character for text in _checked(texts) for character in text if character not in known)


def told(unknown: Counter) -> str:
    """What to say of unknown characters: how many, and which are the most frequent."""
    total, most = sum(unknown.values()), ", ".join(f"{c!r} ({n}×)" for c, n in unknown.most_common(5))
    what = "1 character is not in the vocabulary and counts" if total == 1 else (
        f"{total:,} characters are not in the vocabulary and count")
    return f"{what} as unknown: {most}" + (f" and {len(unknown) - 5} others" if len(unknown) > 5 else "")


def lengths(x: npt.ArrayLike) -> np.ndarray:
    """The symbols of each row (N, T) that count, its end included: (N,)."""
    return (np.asarray(x) != PAD).sum(axis=1)


def make(
    name: str,
    texts: Sequence[str],
    c: npt.ArrayLike | None = None,
    *,
    alike: Callable[[str], str] | None = None,
    valid: float = 1 / 7,
    test: float = 1 / 7,
    seed: int = 0,
    longest: int = 1000,
    source: str = "",
    notes: Sequence[str] = (),
) -> Dataset:
    """A Dataset of texts: x (N, T) of symbols, int64, with ``dataset.vocabulary`` fitted on its train split.

    Equal texts are removed before splitting; the first stays. Texts for which ``alike`` returns the same are
    kept, but all in one split, so that none of them can be learned by heart from another. c is a condition,
    as in :meth:`Dataset.make`. Unknown characters in the other splits are counted in the notes.

    Raises DataError for no texts, for empty ones, and for texts of more than ``longest`` characters.
    """
    texts = _checked(texts, name)
    size = np.array([len(text) for text in texts])
    if not size.all():
        raise DataError(f"{name}: {(size == 0).sum()} of {len(texts)} texts are empty, the first in row "
                        f"{size.argmin()}; leave them out.")
    if size.max() > longest:
        raise DataError(f"{name}: text {size.argmax()} has {size.max():,} characters and at most {longest:,} are "
                        "allowed; cut it into shorter texts, or raise longest.")
    # The vocabulary needs the train split, and the split needs numbers: Unicode's own will do.
    points = np.zeros((len(texts), size.max() + 1), np.int64)
    for row, text in zip(points, texts):
        row[: len(text)] = [1 + ord(character) for character in text]
    group = None
    if alike is not None:
        group = np.unique([alike(text) for text in texts], return_inverse=True)[1]
    data = Dataset.make(name, points, c, group=group, valid=valid, test=test, seed=seed, source=source, notes=notes,
                        kind="text")
    texts = ["".join(chr(p - 1) for p in row if p) for row in data.x]
    part = {split: [texts[i] for i in rows] for split, rows in data.rows.items()}
    vocabulary = Vocabulary.fit(part["train"])
    x = vocabulary.encode(texts, points.shape[1], quiet=True)
    shortest, most, known = lengths(x).min() - 1, lengths(x).max() - 1, len(vocabulary.characters)
    notes = [*notes, f"texts of {shortest} to {most} characters, {len(vocabulary)} symbols: pad, end, unknown and the "
             f"{known} characters of train"]
    for split in ("valid", "test"):
        unknown = vocabulary.unknown(part[split])
        if unknown:
            notes.append(f"{split}: {told(unknown)}")
    return replace(data, x=x, notes=tuple(notes), vocabulary=vocabulary)


def _checked(texts, name=None):
    start = f"{name}: " if name else ""
    if isinstance(texts, str):
        raise DataError(f"{start}found one text, not several; give a list of texts, even if it is of one.")
    texts = list(texts)
    if not texts:
        raise DataError(f"{start}found no texts; give a list of at least one.")
    for n, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"{start}item {n} is of type {type(text).__name__}, not a text; give a list of texts.")
    return texts
