"""The Dataset and the digits: what comes in is checked, what comes out is disjoint and balanced."""

import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.data import DataError, Dataset, batches, cache, dataset, digits
from helpers.data.dataset import as_floats


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


def grouped(n_groups=6, labels=4, **options):
    rng = np.random.default_rng(0)
    group, c = np.repeat(np.arange(n_groups), labels), np.tile(np.arange(labels), n_groups)
    return Dataset.make("sets", rng.random((len(c), 3)), c, group=group, **options)


def test_whole_groups_are_held_out():
    for data in (grouped(), grouped(valid=[4], test=[0, 5])):
        groups = {split: set(data.group[rows].tolist()) for split, rows in data.rows.items()}
        assert sum(map(len, groups.values())) == 6 == len(set.union(*groups.values()))
        assert sorted(np.concatenate(list(data.rows.values()))) == list(range(24))
    assert groups == {"train": {1, 2, 3}, "valid": {4}, "test": {0, 5}}


def test_sets_have_a_row_for_each_group_and_a_column_for_each_label():
    data = grouped(valid=[4], test=[0, 5], names=("a", "b", "c", "d", "e"))
    sets = data.sets("train")
    assert sets.x.shape == (3, 5, 3) and sets.index.tolist() == [1, 2, 3]
    assert (sets.c == [0, 1, 2, 3, -1]).all() and not sets.x[:, 4].any()
    assert np.array_equal(sets.x[1, 2], data.x[(data.group == 2) & (data.c == 2)][0])


def test_sets_need_not_have_a_column_for_each_label():
    rng = np.random.default_rng(1)
    group, c = np.array([0, 2, 1, 2, 0, 2, 3, 1]), np.array([7, 1, 3, 9, 2, 4, 5, 3])
    data = Dataset.make("some", rng.random((8, 2)), c, group=group, valid=[1], test=[3])
    sets = data.sets("train", dense=False)
    assert sets.c.tolist() == [[7, 2, -1], [1, 9, 4]] and sets.index.tolist() == [0, 2]
    assert np.array_equal(sets.x[1, 1], data.x[3]) and not sets.x[0, 2].any()
    assert data.sets("valid", dense=False).c.tolist() == [[3, 3]]


def test_of_two_examples_of_one_label_the_first_is_in_the_set():
    x = np.array([[1.0], [2.0], [3.0], [4.0]])
    data = Dataset.make("twice", x, [0, 0, 0, 0], group=[0, 0, 1, 2], valid=[1], test=[2])
    assert data.sets("train").x.tolist() == [[[1.0]]]


def test_equal_examples_of_a_group_stay_if_their_labels_differ():
    x = np.array([[1.0], [1.0], [2.0], [1.0], [5.0]])
    data = Dataset.make("I and l", x, [0, 1, 0, 0, 1], group=[0, 0, 1, 2, 2], valid=[1], test=[2])
    assert (data.found, len(data)) == (5, 4)  # the fourth equals the first in both
    assert data.sets("test").c.tolist() == [[-1, 1]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(valid=[9], test=[0]), "group 9 cannot be held out for valid"),
        (dict(valid=[0], test=[0]), "group 0 cannot be held out for valid"),
        (dict(valid=[1, 2, 3], test=[0, 4, 5]), "no group is left"),
        (dict(valid=0.01), "valid split of 6 groups would be empty"),
        (dict(group_names=("a",)), "group 5 has no name"),
    ],
)
def test_groups_that_cannot_be_split_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        grouped(**options)
    with pytest.raises(DataError, match="group has shape"):
        Dataset.make("short", np.ones((3, 2)), [0, 1, 2], group=[0])
    with pytest.raises(DataError, match="need a group"):
        digits.load().sets("train")


def test_groups_are_described(capsys):
    grouped(group_names=tuple("uvwxyz"), valid=[4], test=[0, 5]).describe()
    out = capsys.readouterr().out
    assert "test        8 examples in    2 groups: u, z" in out


# --- bytes ---------------------------------------------------------------------------------------------


def test_only_bytes_are_grey_levels():
    x = np.arange(256, dtype=np.uint8).reshape(4, 64)
    floats = as_floats(x)
    assert floats.dtype == np.float32 and floats[0, 0] == 0 and floats[-1, -1] == 1
    assert np.array_equal(np.round(255 * floats), x) and np.array_equal(floats, x / np.float32(255))
    for dtype in (np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64, bool):
        other = np.ones((2, 3), dtype)
        assert as_floats(other) is other


def test_a_data_set_of_bytes_stays_one_until_a_batch_is_made(capsys):
    x = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 5), np.uint8)
    x[:4, 0, 0, 0] = 0, 255, 0, 255
    data = Dataset.make("bytes", x, np.arange(40) % 2, low=0, high=1, kind="image")
    same = Dataset.make("bytes", x / np.float32(255), np.arange(40) % 2, low=0, high=1, kind="image")
    for split in ("train", "valid", "test"):
        part, other = getattr(data, split), getattr(same, split)
        assert part.x.dtype == np.uint8 and np.array_equal(part.index, other.index)
        both = [list(p.batches(7, np.random.default_rng(1))) for p in (part, other)]
        for (a, c), (b, d) in zip(*both, strict=True):
            assert a.dtype == np.float32 and np.array_equal(a, b) and np.array_equal(c, d)
    data.describe()
    out = capsys.readouterr().out
    same.describe()
    assert "40 examples of 3 × 5 × 5, values 0 to 1\n" in out and capsys.readouterr().out == out


def test_duplicates_among_bytes_are_those_among_numbers():
    x = np.random.default_rng(0).integers(0, 2, (300, 2, 4), np.uint8)
    data, same = Dataset.make("bytes", x), Dataset.make("bytes", x / np.float32(255))
    assert len(data) < data.found == 300
    assert np.array_equal(as_floats(data.x), same.x) and np.array_equal(data.test.index, same.test.index)


def test_sets_of_bytes_are_bytes():
    x = np.random.default_rng(0).integers(1, 256, (12, 5), np.uint8)
    data = Dataset.make("sets", x, np.tile([0, 1], 6), group=np.repeat(np.arange(6), 2))
    assert data.sets("train").x.dtype == np.uint8 and set(data.sets("train").x.ravel()) <= set(x.ravel())


def test_a_data_set_may_know_how_it_was_read():
    data = Dataset.make("toy", X)
    assert data.origin == {} and data.kind == "" and Dataset.make("toy", X).origin is not data.origin


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_checking_and_splitting_take_little_memory(monkeypatch, dtype):
    """A block at a time; what is left when duplicates are removed is the one copy."""
    monkeypatch.setattr(dataset, "BLOCK", 1 << 16)
    x = np.random.default_rng(0).integers(0, 2, (500, 5000)).astype(dtype)
    for copy in (False, True):
        if copy:
            x[7] = x[3]
        tracemalloc.start()
        try:
            data = Dataset.make("large", x, low=0, high=1)
            data.describe()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(data) == 500 - copy and peak < (0.2 + copy) * x.nbytes


@pytest.mark.parametrize(
    ("spoil", "message"), [(np.nan, "hold NaN or infinity, the first in row 5"), (3.0, "row 5 spans 0 to 3")]
)
def test_bad_rows_are_found_in_whichever_block_they_are(monkeypatch, spoil, message):
    monkeypatch.setattr(dataset, "BLOCK", 32)
    x = np.zeros((10, 2, 3))
    x[5, 1, 2] = spoil
    with pytest.raises(DataError, match=message):
        Dataset.make("bad", x, low=0, high=1)


# --- the cache -------------------------------------------------------------------------------------------


def made(calls):
    return lambda: calls.append(1) or {"a": np.arange(1000), "b": np.ones((2, 3))}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "cache")
    return tmp_path / "cache"


def test_arrays_are_made_once_for_each_recipe(folder):
    calls = []
    for recipe in (b"one", b"one", b"two", b"one"):
        assert {key: value.shape for key, value in cache.cached("x", recipe, made(calls)).items()} == {
            "a": (1000,), "b": (2, 3)}
    assert len(calls) == 2 == len(list(folder.iterdir()))


@pytest.mark.parametrize("damage", [
    lambda c: b"", lambda c: b"my own notes", lambda c: c[: len(c) // 2], lambda c: c[:80] + b"!!!!" + c[84:],
    lambda c: c[:300] + bytes(300) + c[600:]])
def test_a_damaged_file_is_moved_aside_and_made_again(folder, damage):
    calls = []
    cache.cached("x", b"", made(calls))
    [file] = folder.iterdir()
    bad = [damage(file.read_bytes()), b"damaged once more"]
    for content in bad:
        file.write_bytes(content)
        assert cache.cached("x", b"", made(calls))["a"][-1] == 999
    assert len(calls) == 3 and cache.cached("x", b"", made(calls)) and len(calls) == 3  # the new one is good
    aside = [folder / f"{file.name}{end}.damaged" for end in ("", "-2")]
    assert [path.read_bytes() for path in aside] == bad and set(folder.iterdir()) == {file, *aside}


def test_what_cannot_be_moved_aside_is_not_overwritten(folder, monkeypatch):
    cache.cached("x", b"", made([]))
    [file] = folder.iterdir()
    file.write_bytes(b"mine")

    def fails(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", fails)
    assert cache.cached("x", b"", made([]))["a"][-1] == 999
    assert file.read_bytes() == b"mine" and list(folder.iterdir()) == [file]


@pytest.mark.parametrize("obstacle", ["a file", "a full disk"])
def test_where_nothing_can_be_written_arrays_are_made_each_time(folder, monkeypatch, obstacle):
    calls = []
    if obstacle == "a file":
        folder.write_text("in the way")
    else:
        def full(out, **arrays):
            out.write(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(np, "savez", full)
    for _ in range(2):
        assert cache.cached("x", b"", made(calls))["a"][-1] == 999
    assert len(calls) == 2 and (folder.is_file() or not list(folder.iterdir()))
