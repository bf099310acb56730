"""One object for every data set, ours or the reader's: examples, a condition, and three disjoint splits.

Splits are made after duplicates are removed, so that nothing in the test split can have been seen in
training. Train is for fitting, validation for choosing, test for reporting.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np


class DataError(ValueError):
    """Data that cannot be used. The message says what was found, where, and what to do."""


@dataclass(frozen=True)
class Split:
    """One part of a data set: examples x (N, …), their condition c (N,) or None, their rows in the whole."""

    x: np.ndarray
    c: np.ndarray | None
    index: np.ndarray

    def __len__(self):
        return len(self.x)

    def batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple]:
        """Visit every example once, in random order: yields (x, c) of ``batch_size`` or fewer examples."""
        for index in batches(len(self), batch_size, rng):
            yield self.x[index], None if self.c is None else self.c[index]


def batches(n: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the numbers 0 … n-1 in random order, ``batch_size`` at a time; the last batch may be smaller."""
    order = rng.permutation(n)
    for start in range(0, n, batch_size):
        yield order[start : start + batch_size]


@dataclass(frozen=True)
class Dataset:
    """Examples x (N, …), an optional condition c (N,), and disjoint train, valid and test splits.

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

    @classmethod
    def make(
        cls, name, x, c=None, *, key=None, names=(), shape=(), valid=1 / 7, test=1 / 7,
        low=None, high=None, seed=0, source="", notes=(),
    ):  # fmt: skip
        """Check x and c, remove duplicates, and split what is left, class by class.

        Two examples are duplicates when their rows of ``key`` (by default x itself) are equal; the first
        stays. ``valid`` and ``test`` are fractions. Every class is represented in each split in
        proportion. ``low`` and ``high`` bound the values allowed in x. The same seed gives the same split.

        Raises DataError for an empty or ragged x, NaN, values out of range, labels that do not match,
        and for splits that would be empty.
        """
        x = _checked(name, x, low, high)
        c = _checked_condition(name, c, len(x), names)
        key = x if key is None else np.asarray(key)
        if len(key) != len(x):
            raise DataError(f"{name}: key has {len(key)} rows and x has {len(x)}; give one row for each.")
        _, first = np.unique(key.reshape(len(key), -1), axis=0, return_index=True)
        first.sort()
        found, x, c = len(x), x[first], None if c is None else c[first]
        rows = _split(name, len(x), c, valid, test, np.random.default_rng(seed))
        shape = tuple(shape) or x.shape[1:]
        return cls(name, x, c, rows, tuple(names), shape, source, found, tuple(notes))

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

    def __len__(self):
        return len(self.x)

    def describe(self):
        """Print what is in the data set, where it comes from, and how it is split."""
        size = " × ".join(map(str, self.shape))
        print(f"{self.name}: {len(self):,} examples of {size}, values {self.x.min():g} to {self.x.max():g}")
        if self.source:
            print(f"source: {self.source}")
        if self.found != len(self):
            print(f"{self.found:,} found, {self.found - len(self):,} duplicates removed before splitting")
        for note in self.notes:
            print(note)
        classes = "" if self.c is None else "".join(f"{n:>6}" for n in self._class_names())
        print(f"{'split':<8}{'total':>7}{classes}")
        for split, index in self.rows.items():
            counts = ""
            if self.c is not None:
                tally = np.bincount(self.c[index], minlength=len(self._class_names()))
                counts = "".join(f"{n:>6}" for n in tally)
            print(f"{split:<8}{len(index):>7,}{counts}")

    def _class_names(self):
        return self.names or tuple(str(k) for k in range(self.c.max() + 1))


def _checked(name, x, low, high):
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
    flat = x.reshape(len(x), -1)
    bad = ~np.isfinite(flat).all(axis=1)
    if bad.any():
        raise DataError(
            f"{name}: {bad.sum()} of {len(x)} examples hold NaN or infinity, the first in row {bad.argmax()}; "
            "remove or repair them."
        )
    outside = np.zeros(len(x), bool)
    if low is not None:
        outside |= (flat < low).any(axis=1)
    if high is not None:
        outside |= (flat > high).any(axis=1)
    if outside.any():
        row = outside.argmax()
        raise DataError(
            f"{name}: values must lie between {low} and {high}, but row {row} spans {flat[row].min():g} to "
            f"{flat[row].max():g} ({outside.sum()} rows are outside); rescale x."
        )
    return x


def _checked_condition(name, c, n, names):
    if c is None:
        return None
    c = np.asarray(c)
    if c.shape != (n,):
        raise DataError(f"{name}: c has shape {c.shape} for {n} examples; give one label for each.")
    if not np.issubdtype(c.dtype, np.integer) or c.min() < 0:
        raise DataError(f"{name}: labels must be whole numbers from 0; put what they mean into names.")
    if names and c.max() >= len(names):
        raise DataError(f"{name}: label {c.max()} has no name; {len(names)} names were given.")
    return c


def _split(name, n, c, valid, test, rng):
    """Row numbers for each split: shuffle, line up by class, and take evenly spaced rows for each split."""
    order = rng.permutation(n)
    if c is not None:
        order = order[np.argsort(c[order], kind="stable")]
    rows, rest = {}, order
    for split, fraction in (("test", test), ("valid", valid)):
        count = round(fraction * n)
        if fraction < 0 or count < 1:
            raise DataError(f"{name}: the {split} split of {n} examples would be empty; raise {split}={fraction:g}.")
        if count >= len(rest):
            raise DataError(f"{name}: nothing of {n} examples is left for training; lower valid and test.")
        picks = ((np.arange(count) + 0.5) * len(rest) / count).astype(int)
        rows[split] = np.sort(rest[picks])
        rest = np.delete(rest, picks)
    return {"train": np.sort(rest), "valid": rows["valid"], "test": rows["test"]}
