"""The prior of a run's codes: which is tried, how it is chosen and measured, that a stop changes nothing, old runs."""

import json
import math
import shutil

import numpy as np
import pytest
import torch

import samples as made
from comparing import refused, same, weights
from helpers import checkpoints, priors, runs, senses
from helpers.__main__ import PRIORS, main
from helpers.build import build, plan
from helpers.data import Dataset
from helpers.data.dataset import DataError
from helpers.models.prior import FlowPrior, Mixture, StandardNormal
from helpers.runs import cards, codes

LEAVES, VILLAGES = made.SAMPLES / "leaves", made.SAMPLES / "villages.txt"
QUICK = dict(k=2, quiet=True, save_every=0.0, channels=4, hidden=16, code=3)


@pytest.fixture(scope="module")
def data():
    return senses.read(LEAVES, size=8)


@pytest.fixture(scope="module")
def flow(data, tmp_path_factory):
    """A run with flow matching, made once."""
    return runs.fit(data, tmp_path_factory.mktemp("flow") / "run", epochs=6, prior="flow", **QUICK)


def sized(n):
    rng = np.random.default_rng(0)
    return Dataset.make("some", rng.random((n, 4, 4)).astype("f4"), kind="image")


@pytest.mark.parametrize(
    ("n", "kinds"),
    [(40, ("normal",)), (200, ("normal", "mixture")), (1000, ("mixture", "flow")), (6000, ("flow",))],
)
def test_which_priors_are_tried_depends_on_how_many_codes_there_are(n, kinds):
    data = sized(n)
    found = codes.Fitting(build(data, code=16), data, None, 10.0)
    assert found.kinds == kinds
    assert codes.Fitting(build(data, code=16), data, "gaussian", 10.0).kinds == ("gaussian",)
    left = {("normal",): 0.0, ("normal", "mixture"): codes.SHORT}.get(kinds, codes.PART)
    assert found.minutes == pytest.approx(10 * (1 - left))
    assert found.seconds == pytest.approx(600 * left * (1 - codes.MEASURED))
    assert codes.Fitting(build(data, code=16), data, None, None).minutes is None


def test_a_run_draws_from_its_prior_and_the_old_way(flow):
    assert isinstance(flow.model.prior, FlowPrior) and flow.model.prior.labels == 3
    g = lambda: torch.Generator().manual_seed(0)
    own, plain = flow.sample(6, generator=g()).x, flow.sample(6, generator=g(), prior="normal").x
    assert (own != plain).any()
    again = runs.load(flow.path)
    np.testing.assert_allclose(again.sample(6, generator=g()).x, own, atol=1e-6)
    with priors.plain(again.model):
        np.testing.assert_allclose(again.sample(6, generator=g()).x, plain, atol=1e-6)
    assert isinstance(again.model.prior, FlowPrior)
    with pytest.raises(ValueError, match="'normal'"):
        flow.sample(2, prior="flow")


def test_what_the_prior_is_worth_is_measured_and_said(flow):
    found = flow.report["prior"]
    assert found["kind"] == "FlowPrior" and found["error"] > 0 and found["gain, examples"] == codes.GAIN[0]
    assert found["tried"] == {found["says"]: found["density"]}
    assert found["density"] > found["density, normal"] - 1
    assert all(0.2 < rate <= 1 for rate in found["told apart"].values())
    assert flow.card["figures"]["prior"] == found and "flow matching" in flow.card["model"]
    said = "codes of training examples: flow matching over the codes, told which of 3 labels."
    assert said in "\n".join(cards.lines(flow)) and said in (flow.path / "report.html").read_text()
    more = "likelier" if found["gain"] > 0 else "less likely"
    assert f"{more} under the prior than under the standard Normal by {abs(found['gain']):.1f}" in codes.in_words(found)


def test_both_scores_are_reported(flow):
    """That under the standard Normal, and about that under the prior, in nats and in bits."""
    score, figures = flow.report["score"], flow.report["prior"]
    nats, bits = codes.scored(score, figures)
    assert nats == pytest.approx(score["nats"] - figures["gain"])
    assert bits / nats == pytest.approx(score["bits"] / score["nats"])
    [line] = [line for line in cards.lines(flow) if "its prior (about)" in line]
    assert f"{nats:,.1f}" in line and f"{bits:.3f}" in line
    page = (flow.path / "report.html").read_text()
    assert "the model with its prior" in page and f"{bits:.2f}</td>" in page.replace("−", "-")
    assert codes.scored({**score, "nats": None}, figures) is None
    assert codes.scored(score, {"kind": "StandardNormal"}) is None


def test_the_gain_is_that_of_the_bounds(data):
    """Under a prior that is the standard Normal by another name, nothing; under one that is far off, what it costs."""
    model = build(data, code=3, channels=4, hidden=16).eval()
    priors.replace(model, Mixture(3, 1))
    found = codes.measure(model, data)
    assert found["gain"] == pytest.approx(0, abs=1e-4) and found["error"] < 1e-4
    model.prior.mean += 3.0
    far = codes.measure(model, data)
    assert far["gain"] < -5 and far["told apart"]["prior"] > 0.9 > far["told apart"]["normal"]


def test_the_score_does_not_depend_on_the_prior(flow, data):
    """So it can be compared with that of earlier runs, and exact flow matching is spared."""
    with priors.plain(flow.model):
        plain = runs.score(flow.model, data, k=2)
    assert flow.score(k=2) == plain and flow.report["score"]["nats"] == pytest.approx(plain["nats"], rel=1e-5)


def test_the_better_one_in_validation_is_taken(data, tmp_path, monkeypatch):
    for best in (Mixture, FlowPrior):
        monkeypatch.setattr(priors, "density", lambda prior, *rest, best=best: float(isinstance(prior, best)))
        run = runs.fit(data, tmp_path / best.__name__, epochs=1, **QUICK)
        assert type(run.model.prior) is best and len(run.report["prior"]["tried"]) == 2
    assert isinstance(runs.fit(data, tmp_path / "none", epochs=1, prior="normal", **QUICK).model.prior, StandardNormal)


@pytest.mark.parametrize("calls", [0, 3, 40])
def test_a_run_that_was_stopped_in_its_prior_goes_on_to_the_same_weights(calls, data, flow, tmp_path, monkeypatch):
    loss, seen = FlowPrior.loss, [0]

    def broken(self, batch):
        seen[0] += 1
        if seen[0] > calls:
            raise KeyboardInterrupt
        return loss(self, batch)

    again = lambda: runs.fit(data, tmp_path / "run", epochs=6, prior="flow", **QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(FlowPrior, "loss", broken)
        with pytest.raises(KeyboardInterrupt):
            again()
    assert (tmp_path / "run" / "training.json").exists() and not (tmp_path / "run" / "model.json").exists()
    assert (tmp_path / "run" / "prior.json").exists() == (calls == 40)
    run = again()
    assert same(weights(run), weights(flow))
    assert not list((tmp_path / "run").glob("*prior*")) and not list((tmp_path / "run").glob("training*"))


def test_after_a_stop_in_its_prior_the_rest_is_not_trained_again_unless_there_are_more_minutes(
        data, tmp_path, monkeypatch):
    fit = lambda minutes: runs.fit(data, tmp_path / "run", minutes=minutes, prior="flow", **QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(FlowPrior, "loss", lambda self, batch: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                fit(0.05)
            _, card = checkpoints.load(tmp_path / "run" / "training")
            epochs = len(card["history"])
        assert json.loads((tmp_path / "run" / "run.json").read_text())["phases"][0]["trained"]["minutes"] == 0.05
    with monkeypatch.context() as patch:
        patch.setattr(FlowPrior, "loss", lambda self, batch: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(0.05)
        assert len(checkpoints.load(tmp_path / "run" / "training")[1]["history"]) == epochs
    assert len(fit(0.12).history) > epochs


def test_after_more_minutes_an_earlier_prior_stays_if_it_is_better(data, flow, tmp_path, monkeypatch):
    shutil.copytree(flow.path, tmp_path / "run")
    density = priors.density
    first = flow.model.prior.mean
    monkeypatch.setattr(priors, "density", lambda prior, codes: -math.inf if isinstance(
        prior, FlowPrior) and not torch.equal(prior.mean, first) else density(prior, codes))
    fitted = []
    fit_prior = priors.fit_prior
    monkeypatch.setattr(priors, "fit_prior", lambda *a, **k: fitted.append(k["start"]) or fit_prior(*a, **k))
    run = runs.fit(data, tmp_path / "run", more=0.02, quiet=True)
    assert same(run.model.prior.state_dict(), flow.model.prior.state_dict())
    assert len(fitted) == 1 and same(fitted[0].state_dict(), flow.model.prior.state_dict())
    assert runs.load(tmp_path / "run").report["phases"] == 2


def test_a_run_of_earlier_versions_opens_and_goes_on(data, tmp_path):
    """Without a prior in its plan, its record or its report, and without the curve of tones."""
    run = runs.fit(data, tmp_path / "run", epochs=1, prior="normal", **QUICK)
    tensors, card = checkpoints.load(run.path / "model")
    card["plan"] = {k: v for k, v in card["plan"].items() if k != "prior"} | {"networks": 2}
    tensors = {name: t for name, t in tensors.items() if "tone" not in name}
    checkpoints.save(run.path / "model", tensors, **{k: v for k, v in card.items() if k not in ("weights", "versions")})
    for file, names in (("report.json", ["prior"]), ("run.json", [])):
        found = json.loads((run.path / file).read_text())
        for name in names:
            found.pop(name)
        for phase in found.get("phases", []) if file == "run.json" else []:
            phase.pop("prior"), phase.pop("trained")
        (run.path / file).write_text(json.dumps(found))
    old = runs.load(run.path)
    assert isinstance(old.model.prior, StandardNormal) and old.sample(2).x.shape[0] == 2
    old.describe()
    on = runs.fit(data, tmp_path / "run", more=0.01, quiet=True)
    assert not isinstance(on.model.prior, StandardNormal) and on.report["phases"] == 2
    assert "decoder.tone" not in on.model.state_dict()


def test_priors_that_there_are_not_are_refused_in_one_sentence(data, tmp_path):
    for choice, message in ((dict(prior="vamp"), "there is no prior 'vamp'"),
                            (dict(prior="flow", model="gan"), "gan has no codes")):
        with refused(DataError, message):
            runs.fit(data, tmp_path / "run", epochs=1, quiet=True, **choice)
    assert not (tmp_path / "run").exists()
    with refused(DataError, "language has no codes"):
        runs.fit(VILLAGES, tmp_path / "run", epochs=1, quiet=True, prior="flow")


def test_texts_and_sounds_with_codes_have_priors_too(tmp_path):
    run = runs.fit(VILLAGES, tmp_path / "texts", epochs=1, k=2, quiet=True, model="vae", hidden=16, embedding=8)
    assert run.report["prior"]["says"] and len(run.sample(3).x) == 3
    sounds = senses.read(made.SAMPLES / "strokes", size=0.25)
    run = runs.fit(sounds, tmp_path / "sounds", epochs=1, k=2, quiet=True, rank=2, hidden=16, code=2, prior="gaussian")
    assert run.model.prior.plan["components"] == 1 and len(run.sample(2).x) == 2
    assert plan(sounds, code=2)["shared"] == run.model.plan["shared"]


def test_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "run"
    given = ["fit", str(LEAVES), "--size", "8", "--out", str(out), "--epochs", "1", "--code", "3", "--prior", "mixture"]
    assert main(given) == 0
    assert "Each sample starts from a code" in capsys.readouterr().out
    assert isinstance(runs.load(out).model.prior, Mixture)
    for name, more in (("own", []), ("plain", ["--prior", "normal"])):
        assert main(["sample", str(out), "-n", "4", "--out", str(tmp_path / name), *more]) == 0
    assert (tmp_path / "own.png").read_bytes() != (tmp_path / "plain.png").read_bytes()
    assert main([*given[:-1], "vamp"]) == 2 and PRIORS == priors.KINDS
