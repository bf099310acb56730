"""The Dataset and the digits: what comes in is checked, what comes out is disjoint and balanced."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.data import DataError, Dataset, batches, digits


@pytest.fixture(scope="module")
def both():
    return digits.load(binary=True), digits.load(binary=False)


def test_digits_are_the_1750_different_ones(both):
    binary, grey = both
    assert (binary.found, len(binary)) == (1797, 1750)
    assert len(np.unique(binary.x, axis=0)) == 1750
    assert set(np.unique(binary.x)) == {0.0, 1.0}
    assert np.array_equal(binary.x, (grey.x >= 0.5).astype(float))
    assert [len(part) for part in (binary.train, binary.valid, binary.test)] == [1250, 250, 250]


def test_binary_and_grey_have_the_same_splits_and_labels(both):
    for name in ("train", "valid", "test"):
        a, b = (getattr(data, name) for data in both)
        assert np.array_equal(a.index, b.index) and np.array_equal(a.c, b.c)


def test_splits_are_disjoint_complete_and_by_class(both):
    data = both[0]
    rows = np.concatenate([part.index for part in (data.train, data.valid, data.test)])
    assert np.array_equal(np.sort(rows), np.arange(len(data)))
    share = np.bincount(data.c) / len(data)
    for part in (data.valid, data.test):
        assert np.abs(np.bincount(part.c) - share * len(part)).max() < 2


def test_describe_says_it_in_one_call(both, capsys):
    both[0].describe()
    out = capsys.readouterr().out
    for part in ("1,750", "8 × 8", "47 duplicates", "train", "1,250", "valid", "test", "scikit-learn"):
        assert part in out


def test_threshold_jitter_stays_binary_and_close(both):
    rng = np.random.default_rng(0)
    grey = both[1].train.x
    again = digits.threshold_jitter(grey, rng, width=0.1)
    assert set(np.unique(again)) == {0.0, 1.0} and again.dtype == grey.dtype
    # Only pixels whose grey lies within the jitter may change, and some do.
    changed = again != (grey >= 0.5)
    assert 0 < changed.mean() < 0.1
    assert np.abs(grey[changed] - 0.5).max() <= 0.1
    assert np.array_equal(digits.threshold_jitter(grey, rng, width=0), (grey >= 0.5).astype(float))


@settings(max_examples=40, deadline=None)
@given(st.integers(12, 120), st.integers(1, 5), st.integers(0, 3), st.integers(0, 99))
def test_any_data_is_split_without_overlap_or_duplicates(n, classes, copies, seed):
    rng = np.random.default_rng(seed)
    x = rng.permutation(np.repeat(np.arange(n), copies + 1))[:, None].astype(float)
    data = Dataset.make("toy", x, (x[:, 0] % classes).astype(int), seed=seed)
    values = [set(part.x[:, 0]) for part in (data.train, data.valid, data.test)]
    assert sum(map(len, values)) == len(set.union(*values)) == len(data) == n
    assert len(data.test) == len(data.valid) == round(n / 7)
    again = Dataset.make("toy", x, (x[:, 0] % classes).astype(int), seed=seed)
    assert np.array_equal(again.test.index, data.test.index)


X = np.arange(80.0).reshape(40, 2)
BROKEN = {
    "empty": (dict(x=np.zeros((0, 4))), "at least one row"),
    "no rows": (dict(x=np.zeros(5)), r"shape \(5,\)"),
    "ragged": (dict(x=[[1.0, 2.0], [3.0]]), "different shapes"),
    "objects": (dict(x=np.array([[None, 1]])), "different shapes"),
    "text": (dict(x=np.array([["a", "b"]])), "give numbers"),
    "nan": (dict(x=np.where(X == 6, np.nan, X)), r"1 of 40 examples hold NaN or infinity, the first in row 3"),
    "infinite": (dict(x=np.where(X > 77, np.inf, X)), "NaN or infinity"),
    "too large": (dict(x=X, high=10), r"values must lie between None and 10, but row 5 spans 10 to 11"),
    "too small": (dict(x=-X, low=0, high=1), "between 0 and 1"),
    "labels missing": (dict(x=X, c=np.zeros(39, int)), r"shape \(39,\) for 40 examples"),
    "labels not whole": (dict(x=X, c=np.full(40, 0.5)), "whole numbers"),
    "negative label": (dict(x=X, c=np.full(40, -1)), "whole numbers from 0"),
    "label without name": (dict(x=X, c=np.full(40, 2), names=("a", "b")), "label 2 has no name"),
    "key of another length": (dict(x=X, key=X[:3]), "key has 3 rows"),
    "empty test": (dict(x=X, test=0.001), "the test split of 40 examples would be empty"),
    "empty valid": (dict(x=X, valid=0.0), "the valid split"),
    "negative": (dict(x=X, test=-0.5), "would be empty"),
    "no train": (dict(x=X, valid=0.5, test=0.5), "left for training"),
    "one example": (dict(x=X[:1]), "would be empty"),
    "duplicates leave too little": (dict(x=np.ones((50, 3))), "of 1 examples would be empty"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_bad_data_gets_one_clear_sentence(case):
    arguments, message = BROKEN[case]
    with pytest.raises(DataError, match=message) as caught:
        Dataset.make("mine", **arguments)
    text = str(caught.value)
    assert text.startswith("mine: ") and text.endswith(".") and "\n" not in text and len(text) < 200


def test_batches_visit_everything_once():
    seen = list(batches(10, 4, np.random.default_rng(0)))
    assert [len(b) for b in seen] == [4, 4, 2]
    assert np.array_equal(np.sort(np.concatenate(seen)), np.arange(10))


def test_split_batches_keep_examples_and_labels_together():
    data = Dataset.make("toy", X, (X[:, 0] // 2).astype(int) % 3)
    seen = 0
    for x, c in data.train.batches(8, np.random.default_rng(0)):
        assert np.array_equal((x[:, 0] // 2) % 3, c)
        seen += len(x)
    assert seen == len(data.train)
    assert all(c is None for _, c in Dataset.make("toy", X).train.batches(8, np.random.default_rng(0)))
