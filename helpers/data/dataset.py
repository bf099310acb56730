"""One object for every data set, ours or the reader's: examples, a condition, and three disjoint splits.

Splits are made (helpers.data.splits) after duplicates are removed, so that nothing in the test split can have been
seen in training. Train is for fitting, validation for choosing, test for reporting.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from helpers.data import splits
from helpers.errors import DataError

MOST_SHOWN = 20  # files left out that describe() names
BLOCK = 1 << 24  # bytes that are looked at together


def as_floats(x: np.ndarray) -> np.ndarray:
    """Bytes are grey levels: uint8 from 0 to 255 becomes float32 from 0 to 1. All else is returned as it is."""
    return x / np.float32(255) if x.dtype == np.uint8 else x


@dataclass(frozen=True)
class Split:
    """One part of a data set: examples x (N, …), their condition c (N,), (N, C) or None, their rows in the whole."""

    x: np.ndarray
    c: np.ndarray | None
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Visit every example once, in random order: yields (x, c) of ``batch_size`` or fewer examples.

        Here grey levels that are stored as bytes become numbers from 0 to 1, see :func:`as_floats`.
        """
        for index in batches(len(self), batch_size, rng):
            yield as_floats(self.x[index]), None if self.c is None else self.c[index]


def batches(n: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the numbers 0 … n-1 in random order, ``batch_size`` at a time; the last batch may be smaller."""
    order = rng.permutation(n)
    for start in range(0, n, batch_size):
        yield order[start : start + batch_size]


@dataclass(frozen=True)
class Dataset:
    """Examples x (N, …), an optional condition c, and disjoint train, valid and test splits.

    Grey levels of images from files stay bytes in x (uint8), a quarter of the memory that they would take as numbers
    from 0 to 1; they become such numbers when a batch is made (:func:`as_floats`).

    The condition is a label for each example, a whole number (N,), or some real numbers for each, (N, C).
    Make one with :meth:`Dataset.make`, which checks, removes duplicates and splits.
    """

    name: str
    x: np.ndarray
    c: np.ndarray | None
    rows: dict[str, np.ndarray]  # split -> row numbers
    names: tuple[str, ...] = ()  # names[c] is what to call condition c
    shape: tuple[int, ...] = ()  # shape of one example when it is shown, such as (8, 8)
    source: str = ""
    found: int = 0  # examples before duplicates were removed
    notes: tuple[str, ...] = field(default=())
    group: np.ndarray | None = None  # (N,): the set that an example belongs to, such as its font
    group_names: tuple[str, ...] = ()
    vocabulary: Any = None  # for texts: what turns x into text and back (helpers.data.text.Vocabulary)
    kind: str = ""  # "image", "sound" or "text": what an example is to be shown as; "" for anything else
    skipped: tuple[tuple[str, str], ...] = ()  # (file, reason) for all that could not be used; the last notes say it
    origin: dict = field(default_factory=dict)  # how it was read, so that it can be read again: path, kind, options, …
    alike: np.ndarray | None = None  # (N,): nearly equal examples share a number; None: none found, or not sought

    @classmethod
    def make(
        cls,
        name: str,
        x: ArrayLike,
        c: ArrayLike | None = None,
        *,
        key: np.ndarray | None = None,
        names: Sequence[str] = (),
        shape: Sequence[int] = (),
        valid: float | Sequence[int] | np.ndarray = 1 / 7,
        test: float | Sequence[int] | np.ndarray = 1 / 7,
        low: float | None = None,
        high: float | None = None,
        seed: int = 0,
        source: str = "",
        notes: Sequence[str] = (),
        group: ArrayLike | None = None,
        group_names: Sequence[str] = (),
        kind: str = "",
        alike: ArrayLike | None = None,
        split: ArrayLike | None = None,
    ) -> "Dataset":
        """Check x and c, remove duplicates, and split what is left, class by class.

        Two examples are duplicates when their rows of ``key`` (by default x itself) are equal; the first
        stays. ``valid`` and ``test`` are fractions. Every class is represented in each split in
        proportion. ``low`` and ``high`` bound the values allowed in x, which for bytes always are from 0 to 1. The
        same seed gives the same split.

        c may also be real numbers (N, C), such as a colour. They take no part in the split, and examples are
        duplicates whatever their numbers.

        With ``group`` (N,), whole groups are held out, so that no example of a test group is ever trained on:
        ``valid`` and ``test`` are then fractions of the groups, or the numbers of the groups themselves. Equal
        examples count as duplicates only if their labels are equal, too.

        With ``alike`` (N,), whole numbers, examples of the same number are nearly equal and stay in one split; a number
        that many share goes to train.

        With ``split`` (N,) of "train", "valid" and "test", the split is that one. Of equal examples the one in test
        stays, or else the one in valid; a split that is missing is taken from train.

        Raises DataError for an empty or ragged x, NaN, values out of range, labels that do not match,
        and for splits that would be empty.
        """
        x = _checked(name, x, low, high)
        c = _checked_condition(name, c, len(x), names)
        group = _checked_group(name, group, len(x), group_names)
        labels = c if _is_label(c) else None
        alike = _checked_group(name, alike, len(x), (), what="alike")
        split = _checked_split(name, split, len(x))
        key = x if key is None else np.asarray(key)
        if len(key) != len(x):
            raise DataError(f"{name}: key has {len(key)} rows and x has {len(x)}; give one row for each.")
        order = None if split is None else np.array([("test", "valid", "train").index(part) for part in split])
        found, notes = len(x), list(notes)
        first, across = _first_of_equals(key, labels if group is not None else None, order)
        if across:
            notes.append(f"{across:,} examples equal one of a later split (test, before valid, before train) and are "
                         "left out")
        if len(first) < found:
            x = np.asarray(x[first])
            c, group, alike, split = (None if a is None else a[first] for a in (c, group, alike, split))
        rng = np.random.default_rng(seed)
        rows = splits.make(name, len(x), c if _is_label(c) else None, group, alike, split, valid, test, rng)
        if alike is not None and (mixed := splits.shared(rows, alike)):
            notes.append(f"{mixed:,} examples of test are nearly equal to one of train: the figures are too good")
        shape = tuple(shape) or x.shape[1:]
        names, group_names = tuple(names), tuple(group_names)
        return cls(name, x, c, rows, names, shape, source, found, tuple(notes), group, group_names, kind=kind,
                   alike=alike)

    def without(self, skipped: Iterable[tuple[str, str]]) -> "Dataset":
        """The same, with the (file, reason) of all that could not be used, which the last of its notes name."""
        # "notes.txt is not a sound file" reads on; "broken.wav: cannot be read" does not.
        skipped = list(skipped)
        lines = [f"left out: {file}{' ' if why.startswith('is not ') else ': '}{why}" for file, why in skipped]
        return replace(self, notes=(*self.notes, *lines), skipped=(*self.skipped, *skipped))

    def _part(self, split):
        index = self.rows[split]
        return Split(self.x[index], None if self.c is None else self.c[index], index)

    @property
    def train(self) -> Split:
        """The split for fitting."""
        return self._part("train")

    @property
    def valid(self) -> Split:
        """The split for choosing between models and settings."""
        return self._part("valid")

    @property
    def test(self) -> Split:
        """The split for reporting, looked at last."""
        return self._part("test")

    def sets(self, split: str, dense: bool = True) -> Split:
        """One split with a group a row: x (groups, M, …), c (groups, M), index: the groups' numbers.

        With ``dense`` there is a column for each label, and label k stands in column k; should a group have
        several examples of it, the first is taken. Else M is the largest number of examples that a group has.
        Where a group has no example, x is 0 and c is -1.
        """
        if self.group is None or not _is_label(self.c):
            raise DataError(f"{self.name}: sets need a group and a label for each example.")
        part = self.rows[split][::-1]  # the first comes last, and stays
        groups, row, counts = np.unique(self.group[part], return_inverse=True, return_counts=True)
        if dense:
            columns, column = max(len(self.names), int(self.c.max()) + 1), self.c[part]
        else:
            order = np.argsort(row, kind="stable")[::-1]
            part, row, columns = part[order], row[order], int(counts.max())
            column = np.arange(len(part)) - (len(part) - np.cumsum(counts))[row]
        x = np.zeros((len(groups), columns, *self.x.shape[1:]), self.x.dtype)
        c = np.full((len(groups), columns), -1)
        x[row, column] = self.x[part]
        c[row, column] = self.c[part]
        return Split(x, c, groups)

    def __len__(self) -> int:
        return len(self.x)

    def describe(self) -> None:
        """Print what is in the data set, where it comes from, and how it is split."""
        size = " × ".join(map(str, self.shape))
        low, high = (float(as_floats(end)) for end in (self.x.min(), self.x.max()))
        print(f"{self.name}: {len(self):,} examples of {size}, values {low:g} to {high:g}")
        if self.source:
            print(f"source: {self.source}")
        if self.found != len(self):
            print(f"{self.found:,} found, {self.found - len(self):,} duplicates removed before splitting")
        if self.c is not None and not _is_label(self.c):
            print(f"condition: {self.c.shape[1]} real numbers each, from {self.c.min():.3g} to {self.c.max():.3g}")
        more = max(0, sum(note.startswith("left out: ") for note in self.notes) - MOST_SHOWN)
        for note in self.notes[: len(self.notes) - more]:  # those of what was left out are the last, see without
            print(note)
        if more:
            print(f"left out: {more:,} more, {len(self.skipped):,} in all; data.skipped names each with its reason")
        if self.group is not None:
            return self._describe_groups(self.group)
        width = max([6, *(len(n) + 1 for n in self._class_names())]) if _is_label(self.c) else 6
        classes = "".join(f"{n:>{width}}" for n in self._class_names()) if _is_label(self.c) else ""
        print(f"{'split':<8}{'total':>7}{classes}")
        for split, index in self.rows.items():
            counts = ""
            if _is_label(self.c):
                tally = np.bincount(self.c[index], minlength=len(self._class_names()))
                counts = "".join(f"{n:>{width}}" for n in tally)
            print(f"{split:<8}{len(index):>7,}{counts}")

    def _describe_groups(self, group: np.ndarray) -> None:
        for split, index in self.rows.items():
            groups = np.unique(group[index])
            print(f"{split:<6}{len(index):>7,} examples in {len(groups):>4} groups", end="")
            few = len(groups) <= 6 and self.group_names
            print(f": {', '.join(self.group_names[g] for g in groups)}" if few else "")

    def _class_names(self):
        return self.names or tuple(str(k) for k in range(0 if self.c is None else self.c.max() + 1))


def _checked(name, x, low, high) -> np.ndarray:
    try:
        x = np.asarray(x)
    except ValueError as error:
        raise DataError(f"{name}: the examples have different shapes; give them all the same one.") from error
    if x.dtype == object:
        raise DataError(f"{name}: the examples have different shapes; give them all the same one.")
    if x.ndim < 2 or len(x) == 0:
        raise DataError(f"{name}: found an array of shape {x.shape}; give x as (examples, …), at least one row.")
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool):
        raise DataError(f"{name}: found values of type {x.dtype}; give numbers.")
    if x.dtype == np.uint8:  # grey levels: none is missing, and all are from 0 to 1
        return x
    # A few rows at a time: the truth values of all would take a quarter of the memory that x does, or all of it.
    bad = np.concatenate([~np.isfinite(block).all(axis=1) for block in _blocks(x)])
    if bad.any():
        raise DataError(
            f"{name}: {bad.sum()} of {len(x)} examples hold NaN or infinity, the first in row {bad.argmax()}; "
            "remove or repair them."
        )
    outside = np.concatenate([_outside(block, low, high) for block in _blocks(x)])
    if outside.any():
        row = outside.argmax()
        raise DataError(
            f"{name}: values must lie between {low} and {high}, but row {row} spans {x[row].min():g} to "
            f"{x[row].max():g} ({outside.sum()} rows are outside); rescale x."
        )
    return x


def _blocks(x):
    """x (N, …) as flat rows (n, D), a few at a time, so that what is computed from them stays small."""
    size = math.prod(x.shape[1:])
    step = max(1, BLOCK // max(1, size * x.dtype.itemsize))
    for start in range(0, len(x), step):
        block = x[start : start + step]
        yield block.reshape(len(block), size)


def _outside(flat, low, high):
    """Which of the rows (n, D) have values below low or above high: (n,)."""
    outside = np.zeros(len(flat), bool)
    if low is not None:
        outside |= (flat < low).any(axis=1)
    if high is not None:
        outside |= (flat > high).any(axis=1)
    return outside


def _is_label(c: np.ndarray | None) -> TypeGuard[np.ndarray]:
    """Whether a condition is a whole number for each example, rather than nothing or real numbers."""
    return c is not None and c.ndim == 1


def _checked_condition(name, c, n, names) -> np.ndarray | None:
    if c is None:
        return None
    c = np.asarray(c)
    if c.ndim == 2 and len(c) == n and c.shape[1] > 0 and np.issubdtype(c.dtype, np.floating):
        bad = ~np.isfinite(c).all(axis=1)
        if bad.any():
            raise DataError(
                f"{name}: the condition of {bad.sum()} of {n} examples holds NaN or infinity, the first in row "
                f"{bad.argmax()}; remove or repair them."
            )
        if names:
            raise DataError(
                f"{name}: names are for labels, and the condition is {c.shape[1]} real numbers; leave them out."
            )
        return c
    if c.shape != (n,):
        raise DataError(f"{name}: c has shape {c.shape} for {n} examples; give one label for each.")
    if not np.issubdtype(c.dtype, np.integer) or c.min() < 0:
        raise DataError(f"{name}: labels must be whole numbers from 0; put what they mean into names.")
    if names and c.max() >= len(names):
        raise DataError(f"{name}: label {c.max()} has no name; {len(names)} names were given.")
    return c


def _checked_split(name, split, n) -> np.ndarray | None:
    if split is None:
        return None
    split = np.asarray(split)
    unknown = set(split.ravel().tolist()) - {"train", "valid", "test"}
    if split.shape != (n,) or unknown:
        raise DataError(f"{name}: split has shape {split.shape} for {n} examples, and holds "
                        f"{sorted(map(str, unknown)) or 'no other words'}; give 'train', 'valid' or 'test' for each.")
    return split


def _checked_group(name, group, n, group_names, what="group") -> np.ndarray | None:
    if group is None:
        return None
    group = np.asarray(group)
    if group.shape != (n,) or not np.issubdtype(group.dtype, np.integer) or group.min() < 0:
        raise DataError(
            f"{name}: {what} has shape {group.shape} and type {group.dtype} for {n} examples; give one whole number "
            "from 0 for each."
        )
    if group_names and group.max() >= len(group_names):
        raise DataError(f"{name}: group {group.max()} has no name; {len(group_names)} names were given.")
    return group


def fingerprints(x: np.ndarray) -> Iterator[bytes]:
    """A few bytes for each row of x (N, …), the same for equal rows."""
    for block in _blocks(x):
        block = np.ascontiguousarray(block)
        if np.issubdtype(block.dtype, np.floating):
            block = block + 0.0  # -0.0 becomes 0.0
        for row in block:
            yield hashlib.blake2b(row, digest_size=16).digest()


def _first_of_equals(key, c, order=None):
    """The rows of key (N, …) that no other row equals, or that come first among equals, by a fingerprint of each.

    With c, equal rows have equal labels. With ``order`` (N,) the smallest number comes first. Returns the rows, and how
    many others equal one of another ``order``.
    """
    seen: dict = {}
    across = 0
    for i, fingerprint in enumerate(fingerprints(key)):
        mark = fingerprint, None if c is None else int(c[i])
        first = seen.setdefault(mark, i)
        if order is not None and order[i] != order[first]:
            across += 1
            seen[mark] = i if order[i] < order[first] else first
    return np.array(sorted(seen.values())), across
