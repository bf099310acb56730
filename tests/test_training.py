"""The training loop: what it keeps, what it repeats to the bit, how it stops, and how it goes on after a kill."""

import json
import math
import multiprocessing
import os
import random
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from comparing import same, weights
from helpers import checkpoints
from helpers.data import DataError, Dataset
from helpers.models.families.matching import FlowMatching
from helpers.training import History, TrainingError, fit, ramp


class Toy(nn.Module):
    """A small autoencoder that draws noise, drops units out, and notes down how it was called."""

    def __init__(self, noise=0.1, dropout=0.1, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 6))
        self.noise, self.calls = noise, []

    def loss(self, batch, beta=1.0):
        x, c = batch
        self.calls.append(dict(training=self.training, x=x, c=c, beta=beta, grad=torch.is_grad_enabled()))
        y = self.body(x + self.noise * torch.randn_like(x))
        nll, penalty = (y - x).square().sum(dim=1).mean(), y.square().mean()
        return nll + beta * penalty, {"nll": nll.detach(), "penalty": penalty.detach()}

    def seen(self, what, training=True):
        """One entry for each batch of training, or of validation."""
        return [call[what] for call in self.calls if call["training"] == training]


def examples(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, generator=g) @ torch.randn(2, 6, generator=torch.Generator().manual_seed(99))


DATA = examples(40), examples(15, seed=1)


def rows(history):
    """The history without what no two runs share."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]


def train(model=None, data=DATA, **settings):
    model = model or Toy()
    history = fit(model, data, **{"epochs": 4, "batch_size": 16, "quiet": True} | settings)
    return model, history


def noisy_validation(model, valid, **objective):
    """The validation loss as fit has it: with the same noise, and to the bit."""
    torch.manual_seed(0)
    with torch.no_grad():
        return float(model.eval().loss((valid, None), **objective)[0] * len(valid)) / len(valid)


# --- learning, and keeping the best ------------------------------------------------------------------


def test_it_learns_and_reports():
    model, history = train(epochs=40, lr=1e-2)
    assert len(history) == 40 and np.array_equal(history["epoch"], np.arange(1, 41))
    assert history["valid"][-1] < 0.3 * history["valid"][0] and history["train"][-1] < 0.3 * history["train"][0]
    expected = {"epoch", "train", "valid", "nll", "valid nll", "penalty", "valid penalty", "lr", "seconds"}
    assert set(history.rows[0]) == expected
    assert np.allclose(history["valid"], history["valid nll"] + history["valid penalty"], rtol=1e-5)
    assert np.allclose(history["train"], history["nll"] + history["penalty"], rtol=1e-5)
    assert np.all(np.diff(history["seconds"]) > 0)
    assert not model.training


def test_means_over_an_epoch_count_every_example_once():
    model, history = train(Toy(noise=0, dropout=0), lr=0.0, epochs=1)  # 16 + 16 + 8: batches of different size
    torch.manual_seed(0)
    assert [len(x) for x in model.seen("x")] == [16, 16, 8]
    assert abs(history["train"][0] - model.loss((DATA[0], None))[0].item()) < 1e-5


def test_the_weights_of_the_best_epoch_are_kept():
    # On its way from 0 to 9 the model passes 4, and there validation is at its best.
    data = (torch.full((16, 6), 9.0), torch.full((15, 6), 4.0))
    model, history = train(data=data, epochs=60, lr=0.05, schedule="constant")
    assert 0 < history.best < 50
    assert history["valid"][history.best] == history["valid"].min() < 0.9 * history["valid"][-1]
    assert noisy_validation(model, data[1]) == pytest.approx(history["valid"][history.best], rel=1e-6)


def test_validation_uses_the_final_objective_without_gradients_and_unshuffled():
    model, history = train(epochs=5, objective={"beta": ramp(until=0.5, start=0.1, end=2.0)})
    steps = np.arange(15) / 15
    assert np.allclose(model.seen("beta"), np.where(steps < 0.5, 0.1 + 1.9 * steps / 0.5, 2.0))
    assert set(model.seen("beta", training=False)) == {2.0}
    assert not any(model.seen("grad", training=False)) and all(model.seen("grad"))
    assert all(torch.equal(x, DATA[1]) for x in model.seen("x", training=False))
    assert noisy_validation(model, DATA[1], beta=2.0) == pytest.approx(history["valid"].min(), rel=1e-6)


def test_ramp():
    f = ramp(until=0.2, start=1.0, end=3.0)
    assert [f(p) for p in (0.0, 0.1, 0.2, 1.0)] == [1.0, 2.0, 3.0, 3.0]
    assert ramp(until=0.0)(0.0) == 1.0


def test_history_plots_itself_and_survives_being_written(tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    history = train()[1]
    assert len(history.plot().axes[0].lines) == 3
    assert History(json.loads(json.dumps(history.rows))).rows == history.rows


# --- repeating ---------------------------------------------------------------------------------------


def test_a_seed_repeats_everything_whatever_ran_before():
    first, history = train(seed=3)
    train(seed=8)
    torch.manual_seed(12345), torch.rand(7), np.random.seed(5), random.seed(5)  # noqa: NPY002
    again, history_again = train(seed=3)
    assert same(weights(first), weights(again)) and rows(history) == rows(history_again)
    other, _ = train(seed=4)
    assert not same(weights(first), weights(other))
    assert not torch.equal(first.seen("x")[0], other.seen("x")[0])


def test_batches_are_shuffled_anew_and_visit_everything():
    model, _ = train(epochs=2)
    seen = model.seen("x")
    one, two = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert not torch.equal(one, two) and not torch.equal(one, DATA[0])
    for epoch in (one, two):
        assert torch.equal(epoch.sort(dim=0).values, DATA[0].sort(dim=0).values)


def test_validation_leaves_the_noise_of_training_alone():
    # More validation examples draw more numbers; training must not notice.
    few, many = (train(data=(DATA[0], DATA[1][:n]), epochs=1)[0] for n in (2, 15))
    assert same(weights(few), weights(many))


# --- schedule, budget, clipping ----------------------------------------------------------------------

ONE_STEP = {"batch_size": 40, "epochs": 10, "lr": 0.01}  # an epoch is a step: the history shows every rate
COSINE = 0.01 * 0.5 * (1 + np.cos(np.pi * np.arange(10) / 10))
RISE = 0.01 * np.array([0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize(
    "settings, rates",
    [
        ({}, COSINE),
        ({"schedule": "constant"}, np.full(10, 0.01)),
        ({"schedule": "constant", "warmup": 0.4}, np.concatenate([RISE, np.full(6, 0.01)])),
        ({"warmup": 0.4}, np.concatenate([RISE, 0.01 * 0.5 * (1 + np.cos(np.pi * np.arange(6) / 6))])),
    ],
)
def test_learning_rates(settings, rates):
    assert np.allclose(train(**ONE_STEP, **settings)[1]["lr"], rates)


def test_the_learning_rate_moves_within_an_epoch():
    assert np.allclose(train(epochs=1, batch_size=10, lr=1.0)[1]["lr"], 0.5 * (1 + math.cos(math.pi * 0.75)))


@pytest.mark.parametrize("batch_size", [16, 1])
def test_training_ends_when_the_time_is_up(batch_size):
    # More epochs, and with batches of one also a longer epoch, than anybody could wait for.
    data = (DATA[0] if batch_size > 1 else DATA[0][:1].expand(10**7, -1), DATA[1])
    model, history = train(data=data, epochs=10**7, batch_size=batch_size, minutes=0.3 / 60, lr=0.01)
    assert len(history) < 10**6 and len(model.seen("x")) < 10**6
    assert history["lr"][-1] < 0.005  # it followed the clock
    assert noisy_validation(model, DATA[1]) == pytest.approx(history["valid"].min(), rel=1e-6)


@pytest.fixture
def norms(monkeypatch):
    """The norm of the gradient at each step of the optimiser."""
    found, step = [], torch.optim.AdamW.step

    def noted(self, *args, **kwargs):
        found.append(math.sqrt(sum(p.grad.square().sum().item() for g in self.param_groups for p in g["params"])))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    return found


def test_clip_bounds_the_norm_of_the_gradient(norms):
    train()
    free = norms.copy()
    norms.clear()
    limit = float(np.median(free))
    train(clip=limit)
    assert max(free) > 1.05 * limit
    assert max(norms) < limit * (1 + 1e-5) and sum(n > 0.999 * limit for n in norms) > 1
    assert min(norms) < 0.999 * limit  # a smaller one is left as it is


def test_weight_decay_shrinks_weights():
    sizes = [sum(p.square().sum().item() for p in train(weight_decay=w)[0].parameters()) for w in (0.0, 10.0)]
    assert sizes[1] < sizes[0]


# --- data --------------------------------------------------------------------------------------------


def test_augment_sees_training_only_and_has_its_own_generator():
    def augment(x, generator):
        return 100 + torch.rand(x.shape, generator=generator)

    runs = [train(augment=augment, epochs=2)[0] for _ in range(2)]
    assert all((x > 50).all() for x in runs[0].seen("x"))
    assert all(torch.equal(x, DATA[1]) for x in runs[0].seen("x", training=False))
    assert all(torch.equal(a, b) for a, b in zip(runs[0].seen("x"), runs[1].seen("x"), strict=True))
    drawn = torch.cat(runs[0].seen("x"))
    assert len(drawn.unique()) > 0.9 * drawn.numel()  # anew in each batch and epoch


@pytest.mark.parametrize("in_memory", [True, False])
def test_each_example_keeps_its_condition(in_memory):
    c = torch.arange(40)
    x = c[:, None] + torch.zeros(1, 6)
    model, _ = train(data=((x, c), (x[:5], c[:5])), in_memory=in_memory)
    for training in (True, False):
        for x, c in zip(model.seen("x", training), model.seen("c", training), strict=True):
            assert c.dtype == torch.int64 and torch.equal(x[:, 0], c.float())


def test_a_dataset_is_trained_on_its_train_split_only():
    x = np.arange(60.0)[:, None] + np.zeros((1, 6))
    data = Dataset.make("toy", x, np.arange(60) % 3)
    model, _ = train(data=data, epochs=1)
    for split, training in ((data.train, True), (data.valid, False)):
        assert sorted(torch.cat(model.seen("x", training))[:, 0].tolist()) == sorted(split.x[:, 0])
        assert sorted(torch.cat(model.seen("c", training)).tolist()) == sorted(split.c)


class Plain(torch.utils.data.Dataset):
    """A torch dataset that yields x alone."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i]


def mapped(tmp_path, name, array):
    np.save(tmp_path / name, array.numpy())
    return np.load(tmp_path / name, mmap_mode="r")


STREAMS = {
    "arrays": lambda tmp, x, name: x.numpy(),
    "tensors": lambda tmp, x, name: x,
    "memory-mapped": lambda tmp, x, name: mapped(tmp, f"{name}.npy", x),
    "torch dataset": lambda tmp, x, name: Plain(x),
    "torch dataset of arrays": lambda tmp, x, name: Plain(x.numpy()),
    "tensor dataset": lambda tmp, x, name: torch.utils.data.TensorDataset(x),
}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("kind", STREAMS)
def test_streamed_data_gives_the_same_weights_to_the_bit(tmp_path, kind, in_memory):
    reference, history = train()
    data = tuple(STREAMS[kind](tmp_path, x, name) for x, name in zip(DATA, ("train", "valid"), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that of PyTorch about memory that may only be read
        model, again = train(data=data, in_memory=in_memory)
    assert same(weights(reference), weights(model)) and rows(history) == rows(again)


def test_small_data_is_held_in_memory_and_large_data_streamed(monkeypatch):
    made = []
    loader = torch.utils.data.DataLoader
    monkeypatch.setattr(torch.utils.data, "DataLoader", lambda *a, **k: made.append(1) or loader(*a, **k))
    train(epochs=1)
    assert not made
    monkeypatch.setattr("helpers.training.feeds._free_bytes", lambda device: 100)
    train(epochs=1)
    assert len(made) == 2  # train and valid


class Typed(nn.Module):
    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.w, self.types = nn.Parameter(torch.zeros((), dtype=dtype)), set()

    def loss(self, batch):
        self.types.add((batch.x.dtype, None if batch.c is None else batch.c.dtype))
        return (self.w - 1).square(), {}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("x, c, becomes", [
    ("int64", None, ("int64", None)),
    ("int32", "int64", ("int32", "int64")),
    ("uint8", None, ("model", None)),
    ("bool", "bool", ("model", "bool")),
    ("float64", "float64", ("model", "model")),
    ("float16", "float32", ("model", "model")),
])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whole_numbers_stay_whole_and_others_take_the_type_of_the_model(x, c, becomes, dtype, in_memory):
    part = (np.ones((4, 2), dtype=x), None if c is None else np.ones(4, dtype=c))
    model = train(Typed(dtype), (part, part), epochs=1, in_memory=in_memory)[0]
    expected = tuple({"model": dtype, None: None}[t] if t in ("model", None) else getattr(torch, t) for t in becomes)
    assert model.types == {expected}


def test_the_readers_arrays_are_not_changed():
    x = DATA[0].numpy().copy()
    train(data=(x[::-1], x), augment=lambda x, generator: x.mul_(0))  # a view with a negative stride, as well
    assert np.array_equal(x, DATA[0].numpy())


X = DATA[0]
BAD_DATA = {
    "one split": (X, "a Dataset or a pair"),
    "three splits": ((X, X, X), "a Dataset or a pair"),
    "nothing": (None, "a Dataset or a pair"),
    "empty train": ((X[:0], X), "the train split is empty"),
    "empty valid": ((X, (X[:0], None)), "the valid split is empty"),
    "empty stream": ((Plain(X), Plain(X[:0])), "the valid split is empty"),
    "x and c for train and valid": ((X, torch.arange(40)), r"give the splits as \(\(x, c\), \(x_valid, c_valid\)\)"),
    "conditions missing": (((X, torch.arange(7)), X), "the train split has 40 examples and 7 conditions"),
    "no validation": ((X, None), "the valid split is NoneType"),
    "too many parts": ((X, (X, X, X)), "the valid split is tuple"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_refused_in_one_sentence(case):
    data, message = BAD_DATA[case]
    with pytest.raises(DataError, match=message) as caught:
        train(data=data)
    assert str(caught.value).startswith("fit: ") and str(caught.value).endswith(".")
    assert "\n" not in str(caught.value) and ". " not in str(caught.value)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"schedule": "step"}, "schedule is 'step'; say 'cosine' or 'constant'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"minutes": 0}, "minutes is 0"),
        ({"minutes": -1.0}, "minutes is -1.0"),
        ({"warmup": 1.0}, "warmup is 1.0"),
        ({"warmup": -0.1}, "warmup is -0.1"),
        ({"precision": "bf16"}, "precision is 'bf16'; say 'auto'"),
    ],
)
def test_bad_settings_are_refused_before_anything_happens(settings, message):
    model = Toy()
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        train(model, **settings)
    assert same(weights(model), before) and not model.calls


# --- what the reader sees ----------------------------------------------------------------------------


def test_milestones_and_silence(capsys, monkeypatch):
    monkeypatch.setenv("HELPERS_PROGRESS", "milestones")
    history = train(epochs=9, quiet=False)[1]
    out = capsys.readouterr()
    expected = [f"epoch {i + 1}   train {history['train'][i]:.2f}   validation {history['valid'][i]:.2f}"
                for i in (0, 2, 4, 6, 8)]
    assert out.out.splitlines() == expected and out.err == ""
    train(epochs=9, quiet=True)
    assert capsys.readouterr() == ("", "")


# --- precision ---------------------------------------------------------------------------------------


class Cast(Toy):
    """Notes down the types of numbers in which it computes."""

    def __init__(self):
        super().__init__()
        self.types = set()
        self.body.register_forward_hook(lambda module, inputs, output: self.types.add(output.dtype))


@pytest.mark.parametrize("precision, dtype", [("bfloat16", torch.bfloat16), ("float32", torch.float32),
                                              ("auto", torch.float32)])
def test_precision(precision, dtype):
    model, history = train(Cast(), precision=precision, epochs=20, lr=1e-2)
    assert model.types == {dtype}
    assert all(v.dtype == torch.float32 for v in model.state_dict().values())
    assert history["valid"][-1] < 0.5 * history["valid"][0]
    assert abs(history["valid"][0] / train(epochs=20, lr=1e-2)[1]["valid"][0] - 1) < 0.02


class Half(nn.Module):
    """Loss and metric in half precision, which cannot count beyond 256 by ones."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))

    def loss(self, batch):
        return (1 + 0 * self.w).bfloat16(), {"one": torch.ones((), dtype=torch.bfloat16), "two": 2}


def test_sums_over_an_epoch_are_not_taken_in_half_precision():
    x = torch.zeros(1500, 1)
    history = train(Half(), (x, x), epochs=1, batch_size=1)[1]
    assert [history[name][0] for name in ("train", "one", "two", "valid", "valid two")] == [1, 1, 2, 1, 2]


# --- when training cannot go on ----------------------------------------------------------------------


class Breaking(Toy):
    """Breaks at one batch of training, counted from 1, or in one validation."""

    def __init__(self, batch=None, validation=None, how="nan"):
        super().__init__()
        self.batch, self.validation, self.how, self.kept = batch, validation, how, []

    def loss(self, batch, beta=1.0):
        loss, metrics = super().loss(batch, beta)
        if not self.training:
            self.kept.append((loss.item(), weights(self)))
        at = self.batch if self.training else self.validation
        if len(self.seen("x", self.training)) == at:
            if isinstance(self.how, type):
                raise self.how
            loss = loss * float(self.how)
        return loss, metrics


@pytest.mark.parametrize("how, what", [("nan", "is nan"), ("inf", "is inf"), ("1e9", "has grown to")])
def test_a_loss_that_breaks_stops_with_where_and_what_to_try(how, what):
    model = Breaking(batch=8, how=how)  # 3 batches an epoch: the second of the third
    with pytest.raises(TrainingError) as caught:
        train(model, epochs=9, lr=0.02)
    message = str(caught.value)
    for part in (what, "at epoch 3, batch 2", "smaller learning rate (lr=0.02 now)", "clip=1.0", "of epoch 2."):
        assert part in message, message
    assert model.kept[1][0] < model.kept[0][0] and same(weights(model), model.kept[1][1])
    assert not model.training


def test_clip_is_not_suggested_to_those_who_clip():
    with pytest.raises(TrainingError) as caught:
        train(Breaking(batch=2), clip=0.5)
    assert "clip" not in str(caught.value)


@pytest.mark.parametrize("where, message", [({"batch": 3}, "epoch 1, batch 3"),
                                            ({"validation": 1}, "in validation after epoch 1")])
def test_a_loss_that_breaks_in_the_first_epoch_leaves_the_weights_from_before(where, message):
    model = Breaking(**where)
    before = weights(model)
    with pytest.raises(TrainingError, match=f"is nan .*{message}.* weights from before training"):
        train(model, lr=0.5)
    assert same(weights(model), before) and not model.training


def test_divergence_is_noticed():
    model = Toy()
    with pytest.raises(TrainingError, match=r"has grown to .* at epoch \d+, batch \d+; try a smaller learning rate"):
        train(model, epochs=50, lr=1e4, schedule="constant")
    assert all(v.isfinite().all() for v in weights(model).values())


def test_an_interrupted_run_leaves_the_best_weights():
    model = Breaking(batch=10, how=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        train(model)
    best = min(model.kept, key=lambda pair: pair[0])
    assert same(weights(model), best[1]) and not model.training


# --- going back --------------------------------------------------------------------------------------


BREAKS = {"nan": dict(batch=8), "far above": dict(batch=8, how="1e3"), "in validation": dict(validation=3, how="1e3")}


@pytest.mark.parametrize("name", BREAKS)
def test_a_loss_that_breaks_goes_back_to_the_best_weights_and_learns_more_slowly(name, capsys):
    model = Breaking(**BREAKS[name])
    _, history = train(model, epochs=5, retries=3, quiet=False, schedule="constant", lr=0.02)
    assert len(history) == 5 and history["epoch"].tolist() == [1, 2, 3, 4, 5] and history.returns == 1
    assert history["lr"] == pytest.approx([0.02, 0.02, 0.006, 0.006, 0.006])
    said = [line for line in capsys.readouterr().out.splitlines() if "went back" in line]
    assert len(said) == 1 and "epoch 3" in said[0]
    assert "those of epoch 2, and goes on with a learning rate of 0.3 times" in said[0]
    # The same noise, but for what had been drawn until it broke: what comes next starts from the weights of epoch 2.
    assert history["valid"][2] < 1.2 * history["valid"][1] and np.isfinite(history["train"]).all()


def test_what_it_goes_back_to_is_the_best_with_fresh_moments():
    """A step of rate 0 after the break changes nothing, so that the weights are those it went back to."""
    model = Breaking(batch=8)
    still = lambda progress: 0.0 if progress > 0.99 else 1.0
    seen = []
    loss = model.loss

    def watched(batch, beta=1.0):
        if model.training:
            seen.append(weights(model))
        return loss(batch, beta)

    model.loss = watched
    train(model, epochs=3, retries=1, lr=0.02, objective={"beta": still})
    assert same(seen[8], model.kept[1][1])  # the first batch after the one that broke


def test_it_is_said_once_however_often_it_goes_back(capsys):
    class Often(Breaking):
        def loss(self, batch, beta=1.0):
            loss, metrics = super().loss(batch, beta)
            return loss * (float("nan") if self.training and len(self.seen("x")) in (5, 9) else 1.0), metrics

    _, history = train(Often(), epochs=4, retries=2, quiet=False, lr=0.02, schedule="constant")
    assert history.returns == 2 and capsys.readouterr().out.count("went back") == 1
    assert history["lr"][-1] == pytest.approx(0.02 * 0.09)


def test_when_no_retry_is_left_it_stops_as_ever():
    class Always(Breaking):
        def loss(self, batch, beta=1.0):
            loss, metrics = super().loss(batch, beta)
            return loss * (float("nan") if self.training and len(self.seen("x")) > 4 else 1.0), metrics

    model = Always()
    with pytest.raises(TrainingError, match=r"is nan at epoch 2, batch 1; .*lr=0.0018 now.* weights of epoch 1"):
        train(model, retries=2, lr=0.02)
    assert same(weights(model), model.kept[0][1])


def test_without_retries_a_loss_that_is_only_far_above_is_no_error():
    assert len(train(Breaking(batch=8, how="1e3"))[1]) == 4
    _, history = train(Breaking(batch=8, how="1e3"), retries=0)
    assert history.returns == 0


@pytest.mark.parametrize("name", ["everything", "augmented and streamed"])
def test_ordinary_training_with_retries_is_the_same_to_the_bit(name):
    one, two = (train(**RUNS[name], retries=retries) for retries in (0, 5))
    assert same(weights(one[0]), weights(two[0])) and rows(one[1]) == rows(two[1]) and two[1].returns == 0


@pytest.mark.parametrize("batch", [7, 9, 11, 13, 16])
def test_a_run_that_went_back_is_resumed_to_the_same_weights(tmp_path, batch):
    """Broken at batch 8, and stopped before or after that; what counts the batches goes on counting."""

    class Both(Breaking):
        def __init__(self, stop, seen=0):
            super().__init__(batch=8)
            self.stop, self.already = stop, seen

        def seen(self, what, training=True):
            return [None] * (self.already if training else 0) + super().seen(what, training)

        def loss(self, batch, beta=1.0):
            result = super().loss(batch, beta)
            if self.training and len(self.seen("x")) == self.stop:
                raise KeyboardInterrupt
            return result

    settings = dict(epochs=5, retries=2, lr=0.02, checkpoint=tmp_path / "run", data=DATA)
    whole, history = train(Both(None), **settings | {"checkpoint": tmp_path / "whole"})
    assert history.returns == 1
    with pytest.raises(KeyboardInterrupt):
        train(Both(batch), **settings)
    done = len(checkpoints.load(tmp_path / "run")[1]["history"])
    model, again = train(Both(None, 3 * done + 2 * (done > 2)), **settings)
    assert same(weights(model), weights(whole)) and rows(again) == rows(history) and again.returns == 1


def test_only_retries_that_there_are_count_as_a_setting():
    from helpers.training import Settings

    assert "retries" not in Settings().described() and Settings(retries=2).described()["retries"] == 2
    with pytest.raises(ValueError, match="retries is -1"):
        Settings(retries=-1)


def test_a_state_of_an_earlier_version_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(Breaking(batch=5, how=KeyboardInterrupt), checkpoint=tmp_path / "run")
    tensors, card = checkpoints.load(tmp_path / "run")
    checkpoints.save(tmp_path / "run", tensors, **{k: v for k, v in card.items() if k not in ("span", "returns")})
    model, history = train(checkpoint=tmp_path / "run", retries=5)
    assert same(weights(model), weights(train()[0])) and history.returns == 0


# --- going on from a checkpoint ----------------------------------------------------------------------


def jitter(x, generator):
    return x + 0.1 * torch.randn(x.shape, generator=generator)


# Between them, everything that has a state: noise, dropout, order, schedules, Adam, augmentation, streaming.
RUNS = {
    "everything": dict(objective={"beta": ramp(until=0.5)}, clip=2.0, warmup=0.2, lr=1e-2),
    "augmented and streamed": dict(augment=jitter, in_memory=False, seed=5),
    "saved now and then": dict(save_every=0.05, schedule="constant", weight_decay=0.1, batch_size=7, seed=2),
}
PASSING = torch.full((40, 6), 9.0), torch.full((15, 6), 4.0)  # the best epoch comes early
STOPPED = RUNS | {"past its best": dict(data=PASSING, schedule="constant", lr=0.2)}


@pytest.mark.parametrize("name", STOPPED)
@pytest.mark.parametrize("batch", [2, 4, 9, 15])
def test_a_run_interrupted_at_any_batch_goes_on_to_the_same_weights(tmp_path, batch, name):
    settings = STOPPED[name] | {"epochs": 5}
    reference, history = train(**settings)
    assert (history.best < 2) == (name == "past its best")
    with pytest.raises(KeyboardInterrupt):
        train(Breaking(batch=batch, how=KeyboardInterrupt), checkpoint=tmp_path / "run", **settings)
    done = len(checkpoints.load(tmp_path / "run")[1]["history"]) if (tmp_path / "run.json").exists() else 0
    model, again = train(checkpoint=tmp_path / "run", **settings)
    assert same(weights(reference), weights(model)) and rows(history) == rows(again)
    steps = math.ceil(40 / settings.get("batch_size", 16))
    assert len(model.seen("x")) == steps * (5 - done)  # it did go on, and not begin anew
    if not settings.get("save_every"):
        assert done == (batch - 1) // steps


@pytest.mark.parametrize("save_every, saves", [(0.0, 4), (1e9, 1)])
def test_how_often_it_saves(tmp_path, monkeypatch, save_every, saves):
    made, save = [], checkpoints.save
    monkeypatch.setattr(checkpoints, "save", lambda *a, **k: made.append(1) or save(*a, **k))
    train(checkpoint=tmp_path / "run", save_every=save_every)
    assert len(made) == saves
    assert len(checkpoints.load(tmp_path / "run")[1]["history"]) == 4  # the last epoch is never lost
    assert len(list(tmp_path.iterdir())) == 2


def test_a_finished_run_returns_at_once_with_the_same_weights(tmp_path):
    first, history = train(checkpoint=tmp_path / "run")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    again, history_again = train(Toy(seed=9), checkpoint=tmp_path / "run")
    assert again.calls == []
    assert same(weights(first), weights(again)) and history.rows == history_again.rows
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_the_time_before_a_stop_counts(tmp_path):
    """An hour that a stopped run has had is an hour of its minutes, and of the seconds that its history tells."""
    with pytest.raises(KeyboardInterrupt):
        train(Breaking(batch=5, how=KeyboardInterrupt), checkpoint=tmp_path / "run")
    tensors, card = checkpoints.load(tmp_path / "run")
    checkpoints.save(tmp_path / "run", tensors, **card | {"seconds": 3600.0})
    assert len(train(checkpoint=tmp_path / "run", minutes=59)[1]) == 1
    history = train(checkpoint=tmp_path / "run", minutes=1e6)[1]
    assert len(history) == 4 and 3600 < history["seconds"][1] < history["seconds"][3] < 3700


def test_resume_false_begins_anew(tmp_path):
    first, _ = train(checkpoint=tmp_path / "run")
    again, _ = train(checkpoint=tmp_path / "run", resume=False, lr=0.1)
    fresh, _ = train(lr=0.1)
    assert same(weights(again), weights(fresh)) and not same(weights(again), weights(first))
    assert checkpoints.load(tmp_path / "run")[1]["config"]["lr"] == 0.1


CHANGES = {
    "lr": ({"lr": 0.1}, "lr=0.002, and now lr=0.1"),
    "epochs": ({"epochs": 9}, "epochs=4, and now epochs=9"),
    "seed": ({"seed": 3}, "seed=0, and now seed=3"),
    "clip": ({"clip": 1.0}, "clip=None, and now clip=1.0"),
    "objective": ({"objective": {"beta": 2.0}}, "objective={}, and now objective={'beta': 2.0}"),
    "augment": ({"augment": jitter}, "augment=False, and now augment=True"),
    "data": ({"data": (DATA[0][:30], DATA[1])}, "examples=40, and now examples=30"),
    "precision": ({"precision": "bfloat16"}, "precision='auto', and now precision='bfloat16'"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_with_other_settings_is_refused_in_one_sentence(tmp_path, change):
    settings, message = CHANGES[change]
    train(checkpoint=tmp_path / "run")
    model = Toy()
    with pytest.raises(TrainingError) as caught:
        train(model, checkpoint=tmp_path / "run", **settings)
    expected = f"{tmp_path / 'run'} was begun with {message}; use the same settings, another path, or resume=False"
    assert str(caught.value) == f"{expected} to begin anew." and not model.calls


def test_another_type_of_numbers_or_model_is_refused(tmp_path):
    train(checkpoint=tmp_path / "run")
    with pytest.raises(TrainingError, match=r"dtype='torch\.float32', and now dtype='torch\.float64'"):
        train(Toy().double(), checkpoint=tmp_path / "run")
    other = Toy()
    other.body.append(nn.Linear(6, 6))
    before = weights(other)
    with pytest.raises(checkpoints.CheckpointError, match="another architecture"):
        train(other, checkpoint=tmp_path / "run")
    assert same(weights(other), before)


def test_checkpoints_that_hold_no_training_state_are_refused(tmp_path):
    model, _ = train()
    path = checkpoints.save(tmp_path / "model", model.state_dict(), kind="model")
    before = path.read_text()
    with pytest.raises(TrainingError, match="holds a finished model, not a training state; choose another"):
        train(checkpoint=tmp_path / "model")
    assert path.read_text() == before
    for card in (dict(kind="training state"), dict(config={}, history=[], best=0.0, seconds=0.0, first=0.0)):
        checkpoints.save(tmp_path / "model", model.state_dict(), **card)
        with pytest.raises(TrainingError, match="not a training state"):
            train(checkpoint=tmp_path / "model")
    path.write_text("{}")
    with pytest.raises(checkpoints.CheckpointError, match="not the card of a checkpoint"):
        train(checkpoint=tmp_path / "model")


@pytest.mark.parametrize("resume", [True, False])
def test_a_name_that_could_not_be_read_again_is_refused_before_training(tmp_path, resume):
    model = Toy()
    with pytest.raises(checkpoints.CheckpointError, match="pickle"):
        train(model, checkpoint=tmp_path / "run.ckpt", resume=resume)
    assert not model.calls


def test_settings_that_json_cannot_hold_do_no_harm(tmp_path):
    settings = dict(objective={"beta": torch.tensor(0.5)}, lr=np.float32(0.01), checkpoint=tmp_path / "run")
    first, again = train(**settings)[0], train(**settings)[0]
    assert same(weights(first), weights(again)) and not again.calls


# --- real kills --------------------------------------------------------------------------------------

# Long enough for five kills within a tenth of a second each.
KILLED = {name: RUNS[name] | {"epochs": 200 if "save_every" in RUNS[name] else 14} for name in RUNS}


def write_slowly():
    """Make writing a checkpoint take most of the time, so that random kills land in the middle of it."""
    replace = os.replace

    def slow_write(path, data):
        with open(path, "wb") as f:
            f.write(data[: len(data) // 2])
            f.flush()
            time.sleep(0.02)
            f.write(data[len(data) // 2 :])

    def slow_replace(source, target):
        time.sleep(0.01)
        replace(source, target)
        time.sleep(0.01)

    Path.write_bytes, os.replace = slow_write, slow_replace


def run_in_a_process(folder, name, begun):
    write_slowly()
    begun.set()
    model, history = train(checkpoint=folder / "run", **KILLED[name])
    checkpoints.save(folder / "result" / "model", model.state_dict(), history=history.rows)


def files_in(folder):
    return {p.name for p in folder.iterdir()}


def whole(folder):
    """The files of a checkpoint that nobody is writing to, if there is one."""
    card = folder / "run.json"
    return {card.name, json.loads(card.read_text())["weights"]["file"]} if card.exists() else set()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_at_random_moments_ends_with_the_same_weights(tmp_path, monkeypatch, name):
    reference, history = train(**KILLED[name])
    # A server that has imported everything once starts each process in no time.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])  # the first optimiser imports the latter
    kills, while_saving, chance = 0, 0, random.Random(name)
    for attempt in range(6):
        before, begun = files_in(tmp_path), context.Event()
        process = context.Process(target=run_in_a_process, args=(tmp_path, name, begun))
        process.start()
        assert begun.wait(60)
        if attempt % 2 == 1:  # every other time, wait until it has begun to write
            while process.is_alive() and not any(f.endswith(".part") for f in files_in(tmp_path) - before):
                time.sleep(0.001)
        if attempt < 5:
            process.join(chance.uniform(0, 0.03 if attempt % 2 else 0.1))
            process.kill()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -9
        kills += 1
        while_saving += files_in(tmp_path) != whole(tmp_path)  # what a save had begun and not ended
    print(f"\n{name}: {kills} kills, {while_saving} of them while a checkpoint was being written")
    assert kills >= 3 and while_saving >= 1
    tensors, card = checkpoints.load(tmp_path / "result" / "model")
    assert same(weights(reference), tensors) and rows(history) == rows(History(card["history"]))
    assert files_in(tmp_path) == whole(tmp_path) | {"result"}


# --- several processes -------------------------------------------------------------------------------


class Batchwise(Toy):
    """Running means, which every process has its own of."""

    def __init__(self):
        super().__init__()
        self.body.append(nn.BatchNorm1d(6))


class BreaksInOne(Toy):
    """NaN at the fifth batch, in the last process only."""

    def loss(self, batch, beta=1.0):
        loss, metrics = super().loss(batch, beta)
        mine = os.environ["RANK"] == "1" and self.training and len(self.seen("x")) == 5
        return loss * (float("nan") if mine else 1.0), metrics


# 37 examples: batches of odd size, and the last one of 5.
SHARED = {
    "plain": (lambda: Toy(0, 0), dict(epochs=1, batch_size=37)),
    "clipped": (lambda: Toy(0, 0), dict(epochs=1, batch_size=37, clip=0.1)),
    "streamed": (lambda: Toy(0, 0), dict(epochs=1, batch_size=37, in_memory=False)),
    "two epochs": (lambda: Toy(0, 0), dict(epochs=2, batch_size=9, lr=1e-3)),
    "noise": (Toy, dict(epochs=3, batch_size=16, augment=jitter, objective={"beta": ramp()})),
    "batch norm": (Batchwise, dict(epochs=3, batch_size=16, lr=0.05)),
    "by the clock": (Toy, dict(epochs=10**6, batch_size=16, minutes=0.2 / 60)),
    "a batch of one": (lambda: Toy(0, 0), dict(epochs=1, batch_size=36)),
}
ODD = DATA[0][:37], DATA[1]


def one_of_several(folder):
    """What each process of the test below does: every run of SHARED, then runs that stop and go on."""
    rank = int(os.environ["RANK"])

    def note(name, model, history):
        grads = {f"grad.{k}": p.grad for k, p in model.named_parameters()}
        examples = {"examples": torch.tensor([len(x) for x in model.seen("x")[:5]])}
        tensors = weights(model) | grads | examples
        checkpoints.save(folder / f"{name} {rank}", tensors, history=rows(history))

    for name, (make, settings) in SHARED.items():
        note(name, *train(make(), ODD, checkpoint=folder / f"run {name}", **settings))
    whole = train(data=ODD, augment=jitter)
    try:
        train(Breaking(batch=8, how=KeyboardInterrupt), ODD, augment=jitter, checkpoint=folder / "stopped")
    except KeyboardInterrupt:
        note("gone on", *train(data=ODD, augment=jitter, checkpoint=folder / "stopped"))
    note("whole", *whole)
    try:
        train(BreaksInOne(), ODD)
    except TrainingError as error:
        (folder / f"error {rank}").write_text(str(error))
    note("gone back", *train(BreaksInOne(), ODD, retries=1))
    averaged(folder, rank)
    train(data=ODD, epochs=3, quiet=False)


def averaged(folder, rank):
    """Flow matching, which scores by an average of its weights over the steps: at once, and stopped in between."""

    def flow(stop=None, **settings):
        torch.manual_seed(rank)  # first weights are those of process 0
        model, seen = FlowMatching((6,), hidden=8, blocks=1, images=False, average=0.9), []
        loss = model.loss

        def counted(batch):
            seen.append(model.training)
            if sum(seen) == stop:
                raise KeyboardInterrupt
            return loss(batch)

        model.loss = counted
        fit(model, ODD, epochs=4, batch_size=16, lr=1e-2, quiet=True, **settings)
        return weights(model)

    checkpoints.save(folder / f"averaged whole {rank}", flow())
    try:
        flow(stop=8, checkpoint=folder / "averaged")
    except KeyboardInterrupt:
        checkpoints.save(folder / f"averaged gone on {rank}", flow(checkpoint=folder / "averaged"))


@pytest.fixture(scope="module")
def torchrun(tmp_path_factory):
    """The folder to which two processes have written, and what they printed."""
    folder = tmp_path_factory.mktemp("torchrun")
    script = folder / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]\n"
        "import test_training\ntest_training.one_of_several(Path(sys.argv[1]))\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HELPERS_PROGRESS": "milestones"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done


def result(folder, name, rank):
    """Weights, gradients and history of one process."""
    tensors, card = checkpoints.load(folder / f"{name} {rank}")
    grads = {k.removeprefix("grad."): tensors.pop(k) for k in sorted(tensors) if k.startswith("grad.")}
    examples = tensors.pop("examples").tolist()
    return tensors, grads, card["history"], examples


@pytest.mark.parametrize("name", ["plain", "clipped", "streamed", "two epochs", "a batch of one"])
def test_two_processes_have_the_gradient_of_one(torchrun, name):
    make, settings = SHARED[name]
    model, history = train(make(), ODD, **settings)
    for rank in (0, 1):
        tensors, grads, theirs, sizes = result(torchrun[0], name, rank)
        shared = [len(x) for x in model.seen("x")[:5]]
        assert sizes == [(n + 1 - rank) // 2 if n > 1 else 1 for n in shared]  # each did half of the work
        for k, p in model.named_parameters():
            assert (grads[k] - p.grad).abs().max() < 1e-6
            assert p.grad.abs().max() > 1e-3
        for k, v in weights(model).items():
            # Adam divides a gradient by its own size, so that rounding counts for more in weights than in gradients.
            assert (tensors[k] - v).abs().max() < 1e-4
        for ours, row in zip(rows(history), theirs, strict=True):
            assert row == pytest.approx(ours, rel=1e-4)


@pytest.mark.parametrize("name", [*SHARED, "whole", "gone on", "gone back"])
def test_two_processes_agree_to_the_bit(torchrun, name):
    one, two = (result(torchrun[0], name, rank) for rank in (0, 1))
    assert same(one[0], two[0]) and one[2] == two[2]


def test_processes_draw_different_noise(torchrun):
    """Else two processes would see less noise than one, and what is saved for one would do for the other."""
    tensors = checkpoints.load(torchrun[0] / "run noise")[0]
    assert not torch.equal(tensors["random.noise.0"], tensors["random.noise.1"])


def test_two_stopped_processes_go_on_to_the_same_weights(torchrun):
    whole, gone_on = (result(torchrun[0], name, 0) for name in ("whole", "gone on"))
    assert same(whole[0], gone_on[0]) and whole[2] == gone_on[2]


def test_two_processes_agree_on_averaged_weights_and_go_on_with_them(torchrun):
    whole, other = (checkpoints.load(torchrun[0] / f"averaged whole {rank}")[0] for rank in (0, 1))
    on = [checkpoints.load(torchrun[0] / f"averaged gone on {rank}")[0] for rank in (0, 1)]
    assert same(whole, other) and same(whole, on[0]) and same(whole, on[1])
    now, mean = whole["network.first.weight"], whole["average.module.first.weight"]
    assert whole["average.n_averaged"] % 3 == 0 and not torch.allclose(now, mean, atol=1e-4)


def test_trouble_in_one_process_stops_both_with_the_same_words(torchrun):
    one, two = ((torchrun[0] / f"error {rank}").read_text() for rank in (0, 1))
    assert one == two and "is nan at epoch 2, batch 2;" in one


def test_only_one_process_prints_and_nobody_warns(torchrun):
    lines = torchrun[1].stdout.splitlines()
    assert [line.split("   ")[0] for line in lines] == ["epoch 1", "epoch 2", "epoch 3"]
    assert "warn" not in torchrun[1].stderr.lower(), torchrun[1].stderr
