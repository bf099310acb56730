"""Which examples are for training, for choosing and for the test: at random, by class, by groups, or as they came.

Nearly equal examples (``alike``) stay together, so that none in the test split has a double in training.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from helpers.errors import DataError

Part = float | Sequence[int] | np.ndarray  # a fraction, or with groups the numbers of those held out


def make(
    name: str, n: int, c: np.ndarray | None, group: np.ndarray | None, alike: np.ndarray | None,
    split: np.ndarray | None, valid: Part, test: Part, rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Row numbers of n examples for "train", "valid" and "test"; see ``Dataset.make`` for what decides.

    c, group, alike and split: (n,) or None. Raises DataError, in a sentence that begins with ``name``, where a split
    would be empty.
    """
    wanted = {"test": test, "valid": valid}
    if split is None:
        rows = _chosen(name, n, c, group, alike, wanted, rng)
        return {part: rows[part] for part in ("train", "valid", "test")}
    rows = {part: np.nonzero(split == part)[0] for part in ("train", "valid", "test")}
    missing = {part: wanted[part] for part in wanted if len(rows[part]) == 0}
    if len(rows["train"]) == 0:
        raise DataError(f"{name}: the train split is empty; give it examples that are in no other split.")
    if not missing:
        return rows
    train = rows["train"]
    c, group, alike = (None if a is None else a[train] for a in (c, group, alike))
    found = _chosen(name, len(train), c, group, alike, missing, rng)
    return rows | {part: train[chosen] for part, chosen in found.items()}


def shared(rows: dict[str, np.ndarray], alike: np.ndarray) -> int:
    """How many examples of test have a number in ``alike`` (N,) that one of train has, too."""
    return int(np.isin(alike[rows["test"]], alike[rows["train"]]).sum())


def _chosen(name, n, c, group, alike, wanted, rng):
    """Row numbers for each split in ``wanted``, and for train, which keeps the rest."""
    if group is not None:
        given = any(isinstance(chosen, (Sequence, np.ndarray)) for chosen in wanted.values())
        return _by_groups(name, group if alike is None or given else _joined(group, alike), wanted, rng)
    if alike is None:
        return _by_class(name, n, c, wanted, rng)
    first, unit, counts = np.unique(alike, return_index=True, return_inverse=True, return_counts=True)[1:]
    # One example stands for all that are like it. Numbers that many share would fill a split with one thing.
    small = np.nonzero(counts <= max(1, min(wanted.values()) * n / 2))[0]
    small = small if len(small) >= 10 else np.arange(len(first))
    found = _by_class(name, len(small), None if c is None else c[first[small]], wanted, rng, least=1)
    part = np.full(len(first), "train")
    for split, chosen in found.items():
        part[small[chosen]] = split
    return {split: np.nonzero(part[unit] == split)[0] for split in ("train", *wanted)}


def _joined(group, alike):
    """Groups (N,) in which groups that have nearly equal examples are one: the smallest of their numbers."""
    first = [np.unique(numbers, return_index=True, return_inverse=True)[1:] for numbers in (group, alike)]
    own = np.arange(len(group))
    part = groups_of(np.concatenate([np.stack([own, one[inverse]], axis=1) for one, inverse in first]), len(group))
    smallest = np.full(len(group), group.max())
    np.minimum.at(smallest, part, group)
    return smallest[part]


def groups_of(pairs: ArrayLike, n: int) -> np.ndarray:
    """The group (n,) of each of n examples when the pairs (P, 2) must stay together: its smallest member."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    i, j = np.asarray(pairs, int).reshape(-1, 2).T
    component = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)[1]
    return np.unique(component, return_index=True)[1][component]


def _by_groups(name, group, wanted, rng):
    """Row numbers for each split: whole groups, by their numbers or by a fraction of them."""
    rest, rows = np.unique(group), {}
    for split, how in wanted.items():
        if isinstance(how, (Sequence, np.ndarray)):
            chosen = np.asarray(how, int)
            if len(chosen) and not np.isin(chosen, rest).all():
                gone = sorted(set(chosen.tolist()) - set(rest.tolist()))[0]
                raise DataError(
                    f"{name}: group {gone} cannot be held out for {split}: it is not in the data, or in another split."
                )
        else:
            chosen = rng.permutation(rest)[: round(how * len(np.unique(group)))]
        if len(chosen) == 0:
            raise DataError(f"{name}: the {split} split of {len(np.unique(group))} groups would be empty; give it one.")
        rows[split] = np.nonzero(np.isin(group, chosen))[0]
        rest = np.setdiff1d(rest, chosen)
    if len(rest) == 0:
        raise DataError(f"{name}: no group is left for training; lower valid and test.")
    return {"train": np.nonzero(np.isin(group, rest))[0], **rows}


def _by_class(name, n, c, wanted, rng, least=0):
    """Row numbers for each split: shuffle, line up by class, and take evenly spaced rows for each split."""
    order = rng.permutation(n)
    if c is not None:
        order = order[np.argsort(c[order], kind="stable")]
    rows, rest = {}, order
    for split, fraction in wanted.items():
        count = max(least, round(fraction * n))
        if fraction < 0 or count < 1:
            raise DataError(f"{name}: the {split} split of {n} examples would be empty; raise {split}={fraction:g}.")
        if count >= len(rest):
            raise DataError(f"{name}: nothing of {n} examples is left for training; lower valid and test.")
        picks = ((np.arange(count) + 0.5) * len(rest) / count).astype(int)
        rows[split] = np.sort(rest[picks])
        rest = np.delete(rest, picks)
    return {"train": np.sort(rest), **rows}
