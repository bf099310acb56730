"""Any model of ten lines goes everywhere, and a fourth sense is one file: nothing else has to know of them."""

import json
import math
import sys
import types
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch import nn

import samples as made
from comparing import same, weights
from helpers import runs, senses
from helpers.__main__ import main
from helpers.build import FAMILIES, build, family, restore
from helpers.checkpoints import CheckpointError
from helpers.data import DataError, Dataset
from helpers.evaluation import Board
from helpers.models import contract

LEAVES, STROKES, VILLAGES = (made.SAMPLES / name for name in ("leaves", "strokes", "villages.txt"))


class Independent(nn.Module):
    """Ten lines: every pixel is a Normal by itself; the labels are not looked at."""

    bound = "exact"

    def __init__(self, shape):
        super().__init__()
        self.mean, self.log_sigma = nn.Parameter(torch.zeros(*shape)), nn.Parameter(torch.zeros(()))

    def loss(self, batch):
        return -self.log_prob(batch.x).mean(), {}

    def sample(self, n, c=None, generator=None):
        return self.mean + self.log_sigma.exp() * torch.randn(n, *self.mean.shape, generator=generator)

    def log_prob(self, x, c=None, generator=None):
        return torch.distributions.Normal(self.mean, self.log_sigma.exp()).log_prob(x).flatten(1).sum(dim=1)


class Unscored(nn.Module):
    """A model without a likelihood: it moves noise until its mean and spread are those of the data."""

    bound, recipe = None, MappingProxyType({"lr": 0.1, "epochs": 3})

    def __init__(self, shape, labels, width=2):
        super().__init__()
        self.shift, self.scale = nn.Parameter(torch.zeros(max(1, labels), *shape)), nn.Parameter(torch.ones(width))

    def loss(self, batch):
        x = self.sample(len(batch.x), batch.c)
        return (x.mean(dim=0) - batch.x.mean(dim=0)).square().sum(), {"spread": x.std()}

    def sample(self, n, c=None, generator=None, **options):
        z = torch.randn(n, *self.shift.shape[1:], generator=generator)
        return self.shift[torch.zeros(n, dtype=torch.long) if c is None else c] + self.scale.mean() * z

    def log_prob(self, x, c=None, generator=None):
        raise AssertionError("a model without a likelihood is never asked for one")


class Duel(nn.Module):
    """Two networks with an optimiser each, as a GAN has them."""

    bound = None

    def __init__(self, shape):
        super().__init__()
        self.shape, D = tuple(shape), math.prod(shape)
        self.generator, self.critic = nn.Linear(3, D), nn.Linear(D, 1)
        self.register_buffer("steps", torch.zeros(2))

    def parts(self):
        return [self.generator.parameters(), self.critic.parameters()]

    def sample(self, n, c=None, generator=None):
        device = self.steps.device
        return self.generator(torch.randn(n, 3, generator=generator, device=device)).view(n, *self.shape)

    def loss(self, batch):
        return nn.functional.softplus(-self.critic(self.sample(len(batch.x)).flatten(1))).mean(), {}

    def step(self, batch, optimisers):
        fake = self.sample(len(batch.x)).flatten(1)
        judged = [self.critic(x) for x in (batch.x.flatten(1), fake.detach())]
        critic = nn.functional.softplus(-judged[0]).mean() + nn.functional.softplus(judged[1]).mean()
        generator = nn.functional.softplus(-self.critic(fake)).mean()
        for optimiser, loss, part in zip(optimisers, (generator, critic), (0, 1), strict=True):
            optimiser.zero_grad()
            loss.backward(inputs=list(self.parts()[part]))
        for part, optimiser in enumerate(optimisers):
            optimiser.step()
            self.steps[part] += 1
        return generator.detach(), {"critic": critic.detach()}


TOYS = {"independent": Independent, "unscored": Unscored, "duel": Duel}


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    for name, toy in TOYS.items():
        monkeypatch.setitem(FAMILIES, name, toy)


# --- models ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("path", [LEAVES, STROKES], ids=["images", "sounds"])
def test_a_model_of_ten_lines_goes_from_the_command_line_to_a_checked_run(name, path, tmp_path, capsys):
    """fit, the score table, sampling, the check for copies, saving, loading, info, and training on."""
    out, size = tmp_path / "run", "8" if path == LEAVES else "0.25"
    assert main(["fit", str(path), "--out", str(out), "--model", name, "--epochs", "2", "--size", size]) == 0
    said = capsys.readouterr()
    assert (said.err == "" and "No sign of copying" in said.out) or "suspiciously" in said.out
    assert ("no likelihood" in said.out) == (TOYS[name].bound is None)
    run = runs.load(out)
    assert same(weights(run), weights(restore(out / "model")[0]))
    score = run.report["score"]
    assert score["what"] == TOYS[name].bound and (score["nats"] is None) == (TOYS[name].bound is None)
    assert all(math.isfinite(b["nats"]) for b in score["baselines"].values())
    assert run.sample(5).x.shape == (5, *run.data.shape) and run.sample(3, label=0).labels == [run.names[0]] * 3
    assert run.copies(20)["samples"] == 20
    assert main(["sample", str(out), "-n", "4", "--out", str(tmp_path / "x.png")]) == 0
    assert main(["info", str(out)]) == 0 and f"{name} of {run.kind}s" in capsys.readouterr().out
    assert main(["fit", str(path), "--out", str(out), "--more", "0.01"]) == 0
    assert len(runs.load(out).history) > 2


def test_the_score_is_the_models_own(tmp_path):
    data = senses.read(LEAVES, size=8)
    model = build(data, "independent")
    x = torch.as_tensor(data.test.x / np.float32(255))
    expected = -model.log_prob(x).detach().numpy().astype(float)
    found = runs.score(model, data)
    assert found["nats"] == pytest.approx(expected.mean()) and found["what"] == "exact"
    assert found["error"] == pytest.approx(expected.std(ddof=1) / math.sqrt(len(expected)))


@pytest.mark.parametrize(("bound", "label"), [("exact", "exact"), ("IWAE-7", "IWAE-7"), (None, "none")])
def test_any_model_goes_onto_the_board(bound, label, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HELPERS_RECORD", raising=False)
    model = Independent((64,))
    model.bound = bound
    board = Board("mine", tmp_path / "board.json")
    board.enter("toy", model, torch.zeros(250, 64))
    board.show()
    assert f" {label} " in capsys.readouterr().out.splitlines()[-1]
    if bound:
        assert board.nll("toy")[0] == pytest.approx(32 * math.log(2 * math.pi), abs=1e-4)


def test_each_part_has_an_optimiser_of_its_own_and_the_last_epoch_is_kept(tmp_path):
    data = Dataset.make("points", np.random.default_rng(0).normal(size=(70, 4, 4)).astype(np.float32), kind="image")
    run = runs.fit(data, tmp_path / "run", model="duel", epochs=4, quiet=True, save_every=0.0)
    steps = 4 * math.ceil(50 / 64)
    assert run.model.steps.tolist() == [steps, steps]  # every one of them, up to the last
    assert run.history.best == 3 and run.report["best epoch"] == 4 and "critic" in run.history.rows[0]


def test_two_optimisers_go_on_to_the_same_weights(tmp_path, monkeypatch):
    data = Dataset.make("points", np.random.default_rng(0).normal(size=(70, 4, 4)).astype(np.float32), kind="image")
    whole = runs.fit(data, tmp_path / "a", model="duel", epochs=4, quiet=True, save_every=0.0)
    step, calls = Duel.step, []

    def stops(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Duel, "step", stops)
        with pytest.raises(KeyboardInterrupt):
            runs.fit(data, tmp_path / "b", model="duel", epochs=4, quiet=True, save_every=0.0)
    parts = runs.fit(data, tmp_path / "b", quiet=True, save_every=0.0)
    assert same(weights(whole), weights(parts))


def test_choices_of_a_family_are_those_of_its_constructor():
    data = senses.read(LEAVES, size=8, grey=True)
    assert build(data, "unscored", width=5).plan == {
        "model": "unscored", "kind": "image", "labels": 3, "shape": [8, 8], "width": 5}
    with pytest.raises(DataError, match="code cannot be chosen for unscored; choose among width"):
        build(data, "unscored", code=3)
    with pytest.raises(DataError, match="there is no family of models 'oracle'; choose among vae"):
        build(data, "oracle")


@pytest.mark.parametrize(("n", "epochs"), [(64, 400), (6400, 200), (10**6, 20)])
def test_more_examples_are_visited_less_often(n, epochs):
    assert family("independent").recipe({}, n)["epochs"] == epochs


@pytest.mark.parametrize("plan", [None, {}, {"model": "nobody"}, {"model": "VAE"}, {"model": "Reader", "C": "many"}, 3])
def test_a_card_without_a_good_plan_is_refused(plan, tmp_path):
    from helpers import checkpoints

    checkpoints.save(tmp_path / "x", {"w": torch.ones(2)}, **({} if plan is None else {"plan": plan}))
    with pytest.raises(CheckpointError, match="does not say how its model is built") as caught:
        restore(tmp_path / "x")
    assert "\n" not in str(caught.value)


def test_only_what_a_sampler_understands_is_handed_on():
    assert contract.understood(lambda n, c=None: None, {"temperature": 1, "c": 2}) == {"c": 2}
    assert contract.understood(lambda n, **options: None, {"temperature": 1}) == {"temperature": 1}


class Careless(Independent):
    """Gives nonsense while it is being trained, as dropout may."""

    def log_prob(self, x, c=None, generator=None):
        return super().log_prob(x) + (math.nan if self.training else 0)

    def sample(self, n, c=None, generator=None):
        return super().sample(n, c, generator) + (math.nan if self.training else 0)


def test_models_are_scored_and_drawn_from_as_they_are_used():
    data = senses.read(LEAVES, size=8, grey=True)
    found = contract.log_prob(Careless((8, 8)).train(), contract.examples(None, data, "test"))
    assert np.isfinite(found).all()
    assert np.isfinite(contract.sample(Careless((8, 8)).train(), 3)).all()


def test_a_generator_is_handed_on_as_it_is():
    model, g = Independent((8, 8)), lambda: torch.Generator().manual_seed(4)
    np.testing.assert_array_equal(contract.sample(model, 3, generator=g()), model.sample(3, generator=g()).detach())


# --- a fourth sense ----------------------------------------------------------------------------------

POINTS = '''
"""Points of a plane, one a line of a .points file in a folder; the same names as in the other senses."""
import io
import os
import numpy as np
from torch import nn
from helpers.data.dataset import Dataset
from helpers.models.images import MLPEncoder
from helpers.models.layers import mlp, to_normal
from helpers.senses import numbers
from helpers.senses.numbers import dimensions, distances, same, start

SUFFIXES, SIZE = {".points"}, "digits"
CHOICES = dict(code=2, hidden=8, sigma=None)
UNIT, SAMPLING, PRINTED, EXACT_COUNTS, SHEET = "bits per number", {"mean": False}, False, False, (50, 0)
HEIGHT, COLUMNS, MODEL = 1.0, 5, "vae"


def holds_enough(path):
    return False


def read(path, digits=3, seed=0, leave_out=None):
    rows = [np.loadtxt(os.path.join(path, name)) for name in sorted(os.listdir(path)) if name.endswith(".points")]
    return Dataset.make("points", np.concatenate(rows).round(digits).astype(np.float32), kind="point", seed=seed)


class Decoder(nn.Module):
    def __init__(self, K, hidden):
        super().__init__()
        self.net = mlp([K, hidden, 4])

    def forward(self, z, c=None):
        return to_normal(self.net(z))

    def start_from(self, average, sigma):
        self.net[-1].bias.data[:2] = numbers.np.asarray(average)[0].mean() * self.net[-1].bias.data.new_ones(2)


def plan(data, chosen):
    return chosen


def networks(plan):
    return MLPEncoder(2, (plan["hidden"],), plan["code"]), Decoder(plan["code"], plan["hidden"])


def recipe(plan, n):
    return dict(epochs=3, batch_size=16, beta=1.0)


def baselines(data, rows, plan=None, seed=0):
    return numbers.normal_baselines(data, rows)


def present(x, card):
    return x


def files(x, labels, columns=None, form=""):
    file = io.StringIO()
    np.savetxt(file, x)
    return {".points": file.getvalue().encode()}


def draw(ax, x, label=None):
    ax.plot(*x, "o")


def html(x, says):
    return [f'<span title="{line}">{a:.1f} {b:.1f}</span>' for (a, b), line in zip(x, says)]


def limits(plan):
    return ["They lie in a plane."]
'''


@pytest.fixture
def points(monkeypatch):
    module = types.ModuleType("points")
    exec(POINTS, module.__dict__)
    monkeypatch.setitem(sys.modules, "points", module)
    monkeypatch.setitem(senses.SENSES, "point", module)
    return module


def test_a_fourth_sense_is_one_file(points, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    np.savetxt(tmp_path / "mine" / "a.points", np.random.default_rng(0).normal(size=(140, 2)))
    for model in ("vae", "independent"):
        out = tmp_path / model
        arguments = ["--out", str(out), "--model", model, "--epochs", "2", "--size", "2"]
        assert main(["fit", str(tmp_path / "mine"), *arguments]) == 0
        said = capsys.readouterr().out
        assert "They lie in a plane." in said and "bits per number" in said and "one Normal for all" in said
        run = runs.load(out)
        assert run.kind == "point" and run.sample(7).x.shape == (7, 2) and (out / "samples.points").exists()
        assert run.data.origin["size"] == 2 and np.allclose(run.data.x, run.data.x.round(2))
        assert json.loads((out / "model.json").read_text())["data"]["kind"] == "point"
        assert main(["sample", str(out), "--out", str(tmp_path / f"{model}-more")]) == 0
        for more in ("complete", "odd"):  # what it lacks is said
            assert main([more, str(out), str(tmp_path / "mine")]) != 0 and "no items and gap" in capsys.readouterr().err
    figure = senses.examples(run.sample(3).x, "point")
    assert len([ax for ax in figure.axes if ax.lines]) == 3


def test_all_senses_have_the_same_names(points):
    public = lambda module: {name for name in vars(module) if not name.startswith("_")}
    promised = {word.strip(",") for line in senses.__doc__.splitlines() if line.startswith("    ")
                for word in line[4:46].split()}
    assert len(promised) > 20
    for own in senses.SENSES.values():
        assert promised <= public(own), promised - public(own)


def test_data_of_a_kind_that_nobody_knows_are_refused():
    data = Dataset.make("smells", np.random.default_rng(0).random((42, 9)), kind="smell")
    with pytest.raises(DataError, match="smells: its kind is 'smell', and there are image, sound, text"):
        build(data)
