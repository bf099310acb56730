"""Data sets larger than memory: what lies in a file stays there, and training on it changes nothing."""

import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn

from helpers.data import Dataset, rows
from helpers.data.rows import Rows, blocks, in_file, take
from helpers.training import fit

torch.set_num_threads(1)


def in_a_file(path, x):
    np.save(path, x)
    return np.load(path, mmap_mode="r")


@pytest.fixture
def x(tmp_path):
    return in_a_file(tmp_path / "x.npy", np.arange(60, dtype=np.float32).reshape(10, 2, 3))


class Linear(nn.Module):
    """The squared error of predicting each pixel from all: enough to have weights."""

    def __init__(self, size):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Linear(size, size)

    def loss(self, batch):
        flat = batch.x.flatten(1)
        return (self.net(flat) - flat).square().sum(1).mean(), {}


class Mean(nn.Module):
    """One weight, so that next to the data nothing takes memory."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(()))

    def loss(self, batch):
        return (batch.x - self.mean).square().mean(), {}


def test_rows_read_what_indexing_would(x):
    view, whole = Rows(x, [7, 2, 5, 2]), np.asarray(x)[[7, 2, 5, 2]]
    assert (view.shape, view.dtype, view.ndim, len(view)) == ((4, 2, 3), np.float32, 3, 4)
    for index in (1, -1, slice(1, 3), np.array([3, 0]), np.array([True, False, True, False]), slice(None)):
        assert np.array_equal(view[index], whole[index]) and type(view[index]) is np.ndarray
    assert np.array_equal(np.asarray(view), whole) and np.asarray(view, np.float64).dtype == np.float64
    assert "(4, 2, 3)" in repr(view)
    with pytest.raises(IndexError):
        view[4]
    with pytest.raises(ValueError, match="are a copy"):
        np.array(view, copy=False)


def test_what_is_read_can_be_written_to_and_the_file_stays(x):
    row = Rows(x, [3])[0]
    row += 1
    assert np.array_equal(x[3], row - 1)


def test_rows_of_rows_are_rows_of_the_file(x):
    again = take(Rows(x, [7, 2, 5]), np.array([2, 0]))
    assert again.array is x and again.index.tolist() == [5, 7]


def test_only_what_lies_in_a_file_becomes_a_view(x):
    assert in_file(x) and in_file(Rows(x, [0])) and not in_file(np.asarray(x))
    assert type(take(np.asarray(x), [1])) is np.ndarray and isinstance(take(x, [1]), Rows)


@pytest.mark.parametrize("block", [1, 50, 1 << 20])
@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 2, 3), (7, 0)])
def test_blocks_are_all_rows_in_order(monkeypatch, block, shape):
    monkeypatch.setattr(rows, "BLOCK", block)
    x = np.random.default_rng(0).random(shape)
    found = list(blocks(x))
    assert np.array_equal(np.concatenate(found), x.reshape(7, int(np.prod(shape[1:]))))
    assert block > 1 or shape == (7, 0) or len(found) == 7


@pytest.mark.parametrize("copies", [1, 3])
def test_a_data_set_in_a_file_is_the_one_in_memory(tmp_path, capsys, copies):
    x = np.tile(np.random.default_rng(0).random((40, 4, 4), np.float32), (copies, 1, 1))
    c = np.arange(len(x)) % 40 % 3
    held, streamed = Dataset.make("held", x, c), Dataset.make("held", in_a_file(tmp_path / "x.npy", x), c)
    assert isinstance(streamed.x, np.memmap if copies == 1 else Rows) and len(streamed) == 40
    for split in ("train", "valid", "test"):
        a, b = getattr(held, split), getattr(streamed, split)
        assert isinstance(b.x, Rows) and np.array_equal(a.x, b.x) and np.array_equal(a.c, b.c)
    held.describe()
    said = capsys.readouterr().out
    streamed.describe()
    assert capsys.readouterr().out == said
    batches = [list(data.train.batches(7, np.random.default_rng(1))) for data in (held, streamed)]
    assert all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(*batches, strict=True))


def test_sets_of_a_data_set_in_a_file(tmp_path):
    x, c, group = np.random.default_rng(0).random((12, 5)), np.tile([0, 1], 6), np.repeat(np.arange(6), 2)
    held = Dataset.make("sets", x, c, group=group)
    streamed = Dataset.make("sets", in_a_file(tmp_path / "x.npy", x), c, group=group)
    assert np.array_equal(held.sets("train").x, streamed.sets("train").x)


@pytest.mark.parametrize("in_memory", [None, True, False])
def test_training_on_it_gives_the_same_weights_to_the_bit(tmp_path, monkeypatch, in_memory):
    x = np.random.default_rng(0).random((60, 4, 4), np.float32)
    options = dict(epochs=3, batch_size=8, quiet=True)
    fit(model := Linear(16), Dataset.make("held", x), **options)
    made, loader = [], torch.utils.data.DataLoader
    monkeypatch.setattr(torch.utils.data, "DataLoader", lambda *a, **k: made.append(1) or loader(*a, **k))
    streamed = Dataset.make("streamed", in_a_file(tmp_path / "x.npy", x))
    fit(again := Linear(16), streamed, **options, in_memory=in_memory)
    assert bool(made) == (in_memory is not True)  # by default, it is streamed
    for name, weights in model.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name]), name


@pytest.mark.parametrize("in_a_map", [True, False])
def test_the_whole_is_never_in_memory(tmp_path, monkeypatch, in_a_map, capsys):
    """NumPy's memory is traced; what is mapped does not count. The other way round shows that the trace sees it."""
    monkeypatch.setattr(rows, "BLOCK", 1 << 18)
    x = np.random.default_rng(0).random((400, 100, 50), np.float32)
    x[7] = x[3]  # with a duplicate to remove
    mapped, size = in_a_file(tmp_path / "x.npy", x), x.nbytes
    del x
    tracemalloc.start()
    try:
        data = Dataset.make("large", mapped if in_a_map else np.array(mapped))
        data.describe()
        fit(Mean(), data, epochs=1, batch_size=10, quiet=True, in_memory=not in_a_map)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(data) == 399
    assert peak < size / 2 if in_a_map else peak > size


@pytest.mark.parametrize(
    ("spoil", "message"), [(np.nan, "hold NaN or infinity, the first in row 5"), (3.0, "row 5 spans 0 to 3")]
)
def test_bad_rows_are_found_in_whichever_block_they_are(tmp_path, monkeypatch, spoil, message):
    monkeypatch.setattr(rows, "BLOCK", 32)
    x = np.zeros((10, 2, 3))
    x[5, 1, 2] = spoil
    with pytest.raises(ValueError, match=message):
        Dataset.make("bad", in_a_file(tmp_path / "x.npy", x), low=0, high=1)
