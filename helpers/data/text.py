"""Texts as rows of whole numbers: a vocabulary of characters, and data sets made with it.

A row is one text: its characters, one end symbol, and padding up to the length that all rows share. A piece of a
longer text has no end. The vocabulary knows the characters of the train split and no others; what else turns up is
*unknown*.
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
LATER = ("test", "valid", "train")  # of equal texts in splits that were made by somebody, the first of these stays
BLOCK = 1 << 22  # symbols that are worked on together: memory should grow with the texts, not with what is made of them


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
        x = np.full((len(texts), length), PAD)
        self._fill(x, texts)
        if not quiet and (x == UNKNOWN).any():
            print(told(self.unknown(texts)))
        return x

    def _fill(self, x, texts, ends=True):
        """Write texts into x (N, T), which is padding: looked up for many texts at once."""
        number = np.full(0x110000, UNKNOWN, x.dtype)
        number[_points("".join(self.characters))] = SPECIAL + np.arange(len(self.characters))
        step = max(1, BLOCK // x.shape[1])
        for start in range(0, len(texts), step):
            some = texts[start : start + step]
            size = np.array([len(text) for text in some])
            block = x[start : start + step]
            block[np.arange(x.shape[1]) < size[:, None]] = number[_points("".join(some))]
            if ends:
                block[np.arange(len(some)), size] = END

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
    ends: bool = True,
    small: bool = False,
    source: str = "",
    notes: Sequence[str] = (),
    names: Sequence[str] = (),
    split: Sequence[str] | np.ndarray | None = None,
) -> Dataset:
    """A Dataset of texts: x (N, T) of symbols, with ``dataset.vocabulary`` fitted on its train split.

    Equal texts are removed before splitting; the first stays. Texts for which ``alike`` returns the same are
    kept, but all in one split, so that none of them can be learned by heart from another. c is a condition,
    as ``names`` and ``split`` are in :meth:`Dataset.make`. Unknown characters in the other splits are counted in the
    notes. ends: False where texts are pieces of a longer one, whose ends mean nothing. small: x is int16, or int32
    where there are many characters, a quarter or half the memory of int64.

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
    group = None
    if alike is not None:
        group = np.unique([alike(text) for text in texts], return_inverse=True)[1]
    # Equal texts are found as strings: to compare rows of symbols would take several times the memory.
    label = None if c is None or group is None or np.ndim(c) > 1 else np.asarray(c).tolist()
    first: dict = {}
    for n in range(len(texts)) if split is None else np.argsort([LATER.index(part) for part in split], kind="stable"):
        first.setdefault(texts[n] if label is None else (texts[n], label[n]), n)
    found, kept = len(texts), sorted(first.values())
    del first
    if len(kept) < found:
        texts = [texts[n] for n in kept]
        c, group, split = (None if part is None else np.asarray(part)[kept] for part in (c, group, split))
    # The vocabulary needs the train split, and the split needs numbers: those of all characters will do at first.
    every = Vocabulary.fit(texts)
    dtype = np.int64 if not small else np.int16 if len(every) < 2**15 else np.int32
    x = np.zeros((len(texts), max(map(len, texts)) + ends), dtype)
    every._fill(x, texts, ends)
    data = Dataset.make(name, x, c, key=np.arange(len(texts))[:, None], group=group, valid=valid, test=test, seed=seed,
                        source=source, notes=notes, kind="text", names=names, split=split)
    used = np.zeros(len(every), bool)
    for rows_ in _blocks(data.rows["train"], x):
        used[x[rows_]] = True
    vocabulary = Vocabulary(tuple(c for c, known in zip(every.characters, used[SPECIAL:]) if known))
    number = np.full(len(every), UNKNOWN, dtype)
    number[:SPECIAL] = np.arange(SPECIAL)
    number[SPECIAL:][used[SPECIAL:]] = SPECIAL + np.arange(len(vocabulary.characters))
    for rows_ in _blocks(np.arange(len(x)), x):
        x[rows_] = number[x[rows_]]
    size, known = np.array([len(text) for text in texts]), len(vocabulary.characters)
    notes = [*data.notes, f"texts of {size.min()} to {size.max()} characters, {len(vocabulary)} symbols: pad, end, "
             f"unknown and the {known} characters of train"]
    for split in ("valid", "test"):
        unknown = vocabulary.unknown(texts[i] for i in data.rows[split]) if not used.all() else Counter()
        if unknown:
            notes.append(f"{split}: {told(unknown)}")
    return replace(data, x=x, found=found, notes=tuple(notes), vocabulary=vocabulary)


def _blocks(rows, x):
    """Row numbers, a few at a time."""
    step = max(1, BLOCK // x.shape[1])
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _points(text):
    """The number of each character in Unicode: (n,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


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
