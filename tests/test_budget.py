"""The minutes of a run are all of it: what is looked at, and what is left for training."""

import time
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

import samples as made
from helpers import runs, senses, training
from helpers.build import FAMILIES, build
from helpers.data import Dataset
from helpers.models import contract
from helpers.runs import budget

LEAVES = made.SAMPLES / "leaves"


class Slow(nn.Module):
    """Every example that is scored takes ``wait`` seconds; and it is known how many were."""

    bound, wait = "exact", 0.0

    def __init__(self, shape):
        super().__init__()
        self.mean, self.scored = nn.Parameter(torch.zeros(*shape)), 0

    def loss(self, batch):
        return (batch[0] - self.mean).square().mean(), {}

    def sample(self, n, c=None, generator=None):
        return self.mean + torch.randn(n, *self.mean.shape, generator=generator)

    def log_prob(self, x, c=None, generator=None):
        time.sleep(self.wait * len(x))
        self.scored += len(x)
        return -(x - self.mean).square().flatten(1).sum(dim=1)


def many(n=2100):
    x = np.random.default_rng(0).random((n, 4, 4)).astype(np.float32)
    return Dataset.make("noise", x, kind="image")


def test_with_time_to_spare_all_that_there_is_is_looked_at():
    data = many()
    sizes, after = budget.shared_out(Slow((4, 4)), data, None, 3600.0)
    assert asdict(sizes) == {"validated": 300, "scored": 300, "samples": 100, "held_out": 300, "compared": 1500}
    assert budget.PAGES < after < budget.PART * 3600


def test_where_scoring_is_slow_fewer_are_scored_and_a_fifth_of_the_time_is_kept():
    model = Slow((4, 4))
    model.wait = 0.02  # six seconds for all
    sizes, after = budget.shared_out(model, many(), None, 20.0)
    assert 30 <= sizes.scored < 150 and sizes.compared == 1500
    assert after < budget.PART * 20 + 0.5
    sizes, _ = budget.shared_out(model, many(), None, 1.0)
    assert (sizes.scored, sizes.samples, sizes.held_out) == (30, 20, 30), "never fewer than these"


def test_large_examples_are_compared_with_as_many_as_memory_holds():
    x = np.zeros((3000, 1), np.uint8)
    data = Dataset.make("wide", np.arange(3000).reshape(-1, 1) % 251 + x, key=np.arange(3000), kind="image")
    wide = np.broadcast_to(np.uint8(0), (3000, 3, 300, 300))
    object.__setattr__(data, "x", wide)
    assert budget.Sizes().within(data).compared == budget.MOST_NUMBERS // (3 * 300 * 300)


def run(tmp_path, monkeypatch, **options):
    """The minutes that training got, and the run."""
    seen = {}

    def fit(model, data, minutes, **settings):
        seen.update(minutes=minutes, valid=len(data[1][0]), retries=settings["retries"])
        return real(model, data, minutes=minutes, **{**settings, "epochs": 1})

    real = training.fit
    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setitem(FAMILIES, "slow", Slow)
    found = runs.fit(LEAVES, tmp_path / "run", model="slow", quiet=True, **options)
    return seen, found


def test_training_gets_what_is_left(tmp_path, monkeypatch):
    seen, found = run(tmp_path, monkeypatch, minutes=1.0, since=time.perf_counter() - 20)
    assert 0.2 < seen["minutes"] < 40 / 60 - budget.PAGES / 60, "twenty seconds are gone, and the report takes some"
    assert found.report["seconds in all"] > 20
    assert seen["retries"] > 0


def test_when_the_time_is_up_already_training_gets_a_little(tmp_path, monkeypatch):
    seen, _ = run(tmp_path, monkeypatch, minutes=0.5, since=time.perf_counter() - 600)
    assert seen["minutes"] == pytest.approx(0.05 * 0.5)


def test_without_a_clock_nothing_is_left_out(tmp_path, monkeypatch):
    seen, found = run(tmp_path, monkeypatch, epochs=1)
    assert seen["minutes"] is None and found.report["score"]["examples"] == 86


def test_a_run_that_goes_on_looks_at_as_many_as_before(tmp_path, monkeypatch):
    data = many()
    monkeypatch.setattr(Slow, "wait", 0.01)
    monkeypatch.setitem(FAMILIES, "slow", Slow)
    stop = lambda *args, **kwargs: (_ for _ in ()).throw(KeyboardInterrupt)
    with monkeypatch.context() as stopped:
        stopped.setattr(training, "fit", stop)
        with pytest.raises(KeyboardInterrupt):
            runs.fit(data, tmp_path / "run", model="slow", minutes=0.2, quiet=True)
    monkeypatch.setattr(Slow, "wait", 0.0)
    found = runs.fit(data, tmp_path / "run", minutes=0.05, quiet=True)
    assert found.report["score"]["examples"] < 100, "as was decided when it was slow"


def test_of_sets_some_are_scored_and_each_whole(tmp_path):
    """Sounds of one name share a code: a set is scored as a whole, and no more sets than there is time for."""
    data = senses.read(made.SAMPLES / "strokes", size=0.5)
    model = build(data, rank=2, hidden=8, code=2).eval()
    assert model.sets
    data = replace(data, rows={**data.rows, "test": data.rows["train"], "train": data.rows["test"]})
    found = runs.score(model, data, k=1, most=24)
    assert found["examples"] == 24, "three instruments, at eight pitches each"
    rows = [row for row in data.rows["test"] if data.group[row] == data.group[data.rows["test"][0]]]
    one = contract.examples(model, data, "test", np.array(rows[:1]))
    assert one.count.tolist() == [8] and len(one.x) == 1
    assert runs.score(model, data, k=1)["examples"] == 176
    sizes, _ = budget.shared_out(model, data, 1, 3600.0)
    assert sizes.scored == 176
