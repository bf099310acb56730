"""A run in a folder: made, opened, continued, scored beside baselines, checked for copies; never half there."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import uniform_filter

import samples as made
from comparing import contents, refused, same, weights
from helpers import checkpoints, runs, senses
from helpers.build import build, family, plan
from helpers.data import Dataset, text
from helpers.data.dataset import DataError
from helpers.disk import DiskError
from helpers.models.families.masked_text import MaskedText
from helpers.models.families.matching import FlowMatching
from helpers.models.language import Language
from helpers.models.ngram import NGram
from helpers.models.sets import SetVAE
from helpers.models.vae import VAE
from helpers.runs import cards, scores
from helpers.runs.begun import fingerprint
from helpers.senses.image import histogram_nats
from helpers.senses.text import distances as edits_between
from helpers.training import TrainingError
from helpers.training.loop import Training

LEAVES, STROKES, VILLAGES = (made.SAMPLES / name for name in ("leaves", "strokes", "villages.txt"))
QUICK = dict(epochs=2, k=2, quiet=True, save_every=0.0)
SMALL = dict(channels=4, hidden=16, code=3)
WAYS = {
    "images": (LEAVES, None, SMALL),
    "colour, no labels": ("colour", None, SMALL),
    "sounds": (STROKES, 0.25, dict(rank=2, hidden=16, code=2)),
    "sounds, no labels": ("noises", 0.25, dict(rank=2, hidden=16)),
    "texts": (VILLAGES, None, dict(hidden=16, embedding=8)),
    "flow matching": (LEAVES, 12, dict(model="flow-matching", hidden=16, blocks=1)),
    "masked texts": (VILLAGES, None, dict(model="masked", width=8, heads=2, layers=1)),
}
BOUNDS = {"texts": "exact", "flow matching": "dequantised", "masked texts": "ELBO"}


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    """A folder of colour images, and one of sounds, without subfolders."""
    from helpers import sound

    folder = tmp_path_factory.mktemp("unlabelled")
    (folder / "colour").mkdir()
    (folder / "noises").mkdir()
    for i, leaf in enumerate(list(made.leaves(8).values())):
        Image.fromarray(leaf).save(folder / "colour" / f"{i}.png")
    for i, (place, wave) in enumerate(made.strokes().items()):
        if place.startswith("A4"):
            (folder / "noises" / f"{i}.wav").write_bytes(sound.encode(wave / 32767, format="wav"))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, unlabelled):
    """A finished run of each kind, made once."""
    found = {}

    def of(name):
        if name not in found:
            path, size, more = WAYS[name]
            data = senses.read(unlabelled / path if isinstance(path, str) else path, size=size)
            found[name] = runs.fit(data, tmp_path_factory.mktemp("runs") / "run", **QUICK, **more)
        return found[name]

    return of


@pytest.fixture
def copy(finished, tmp_path):
    """A run of images that a test may damage."""
    return shutil.copytree(finished("images").path, tmp_path / "copy")


def begin(name, out):
    """The run of this name, from the beginning, or from where it was stopped."""
    path, size, more = WAYS[name]
    return runs.fit(senses.read(path, size=size), out, **QUICK, **more)


# --- end to end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAYS)
def test_a_run_has_everything_and_can_be_opened(name, finished):
    run = finished(name)
    files = {file.name for file in run.path.iterdir()}
    assert {"model.json", "report.json", "report.html", "run.json"} < files
    assert not [file for file in files if file.startswith((".", "training"))]
    assert any(file.startswith("samples") for file in files)
    again = runs.load(run.path)
    assert same(weights(run), weights(again)) and not again.model.training
    assert again.report == json.loads(json.dumps(run.report)) and len(again.history) == 2
    assert again.card["data"] == json.loads(json.dumps(run.data_card))
    score = again.report["score"]
    assert math.isfinite(score["nats"]) and score["what"] == BOUNDS.get(name, "IWAE-2")
    assert len(score["baselines"]) == 2 + ("sounds" in name)
    assert all(math.isfinite(b["nats"]) for b in score["baselines"].values())
    assert again.report["copies"]["verdict"].endswith(".")
    assert again.data_card["licence"] == "unknown"
    assert any("densities" in line for line in again.card["limits"]) == ("sounds" in name)


@pytest.mark.parametrize("name", WAYS)
def test_samples(name, finished):
    run = finished(name)
    found = run.sample(5)
    assert len(found.x) == 5
    again, other = run.sample(5), run.sample(5, generator=torch.Generator().manual_seed(1))
    np.testing.assert_array_equal(found.x, again.x)
    if "texts" in name:
        assert all(isinstance(line, str) for line in found.x) and found.x != other.x
    else:
        assert found.x.shape[1:] == run.data.x.shape[1:] and np.isfinite(found.x).all()
        assert (found.x != other.x).any()
    if run.names:
        assert found.labels == [run.names[k % len(run.names)] for k in range(5)]
        assert run.sample(2, label=run.names[1]).labels == [run.names[1]] * 2
        assert run.sample(2, label=1).labels == [run.names[1]] * 2
    else:
        assert found.labels is None


def test_labels_in_turn_share_a_code(finished):
    """The first three samples are one code under each label: what label= draws from the same seed first."""
    run = finished("images")
    g = lambda: torch.Generator().manual_seed(4)
    turn = run.sample(3, generator=g())
    for k, name in enumerate(run.names):
        np.testing.assert_allclose(turn.x[k], run.sample(1, name, g()).x[0], atol=1e-6)


@pytest.mark.parametrize("label", ["elm", 3, -1, True])
def test_a_label_that_is_not_there(finished, label):
    with pytest.raises(ValueError, match="choose among maple, oak, willow"):
        finished("images").sample(2, label)


def test_a_label_where_there_are_none(finished):
    with pytest.raises(ValueError, match="has no labels"):
        finished("texts").sample(2, "oak")


def test_data_in_memory(tmp_path):
    data = Dataset.make("mine", np.random.default_rng(0).random((60, 8, 8)), kind="image")
    run = runs.fit(data, tmp_path / "run", **QUICK, **SMALL)
    assert run.data is data
    with pytest.raises(DataError, match="data in memory"):
        runs.load(run.path).data  # noqa: B018
    assert runs.load(run.path).score(k=1, data=data)["examples"] == 9


def test_data_are_read_again_and_must_be_the_same(tmp_path):
    shutil.copytree(LEAVES, tmp_path / "mine")
    runs.fit(senses.read(tmp_path / "mine", size=8), tmp_path / "run", **QUICK, **SMALL)
    run = runs.load(tmp_path / "run")
    assert run.score(k=2)["nats"] == pytest.approx(run.report["score"]["nats"], rel=1e-5)
    (tmp_path / "mine" / "oak" / "00.png").unlink()
    with pytest.raises(DataError, match="holds other data"):
        runs.load(tmp_path / "run").data  # noqa: B018
    with pytest.raises(runs.RunError, match="was begun with other data"):
        runs.fit(senses.read(tmp_path / "mine", size=8), tmp_path / "run", **QUICK, **SMALL)


def test_the_data_card():
    card = runs.data_card(senses.read(LEAVES))
    assert card["labels"] == {"maple": 200, "oak": 200, "willow": 200} and card["kind"] == "image"
    assert card["splits"] == {"train": 428, "valid": 86, "test": 86} and card["shape"] == [3, 28, 28]
    assert card["values"][1] == 1.0 and card["licence"] == "unknown"


def test_the_data_card_names_what_was_left_out(tmp_path):
    shutil.copytree(LEAVES / "oak", tmp_path / "oak")
    (tmp_path / "oak" / "00.png").write_bytes(b"no image")
    shutil.copy(tmp_path / "oak" / "01.png", tmp_path / "oak" / "again.png")
    card = runs.data_card(senses.read(tmp_path))
    reason = "is not an image, whatever its name says, or is cut off"
    assert card["left out"] == {"files": 1, "first": [["oak/00.png", reason]]}
    assert card["duplicates removed"] == 1


def test_the_data_card_has_the_notes_once():
    """What was left out has a place of its own."""
    data = replace(senses.read(LEAVES), notes=("left out: letter.txt: is not an image", "scaled to 28 × 28"))
    assert runs.data_card(data)["notes"] == ["scaled to 28 × 28"]


def test_a_fingerprint_tells_data_apart():
    data = grey(n=1200)
    x, c, rows = data.x.copy(), data.c.copy(), data.rows
    x[1100, 0, 0] += 1 / 255
    c[3] = 1 - c[3]
    others = [replace(data, x=x), replace(data, c=c), replace(data, names=("a", "z")),
              replace(data, rows=rows | {"valid": rows["test"], "test": rows["valid"]})]
    for ends in (40, 50), (30, 50):  # the same numbers in a row, and another boundary between splits
        parts = np.split(np.arange(1200), ends)
        others.append(replace(data, rows=dict(zip(rows, parts))))
    assert fingerprint(replace(data, x=data.x.copy())) == fingerprint(data)
    assert len({fingerprint(d) for d in (data, *others)}) == 7


# --- stopping and going on ---------------------------------------------------------------------------


def stop_after(monkeypatch, calls, error=KeyboardInterrupt):
    """The loss of all models, which breaks at a call."""
    seen, losses = [0], {kind: kind.loss for kind in (VAE, SetVAE, Language, FlowMatching, MaskedText)}

    def broken(self, *arguments, **options):
        seen[0] += 1
        if seen[0] > calls:
            raise error
        return losses[type(self)](self, *arguments, **options)

    for kind in losses:
        monkeypatch.setattr(kind, "loss", broken)


@pytest.mark.parametrize("name", ["images", "sounds", "texts", "flow matching", "masked texts"])
@pytest.mark.parametrize("calls", [0, 3, 10])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(name, calls, finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, calls if name != "sounds" else min(calls, 3))  # it has four
        with pytest.raises(KeyboardInterrupt):
            begin(name, tmp_path / "run")
    assert not (tmp_path / "run" / "model.json").exists()
    with pytest.raises(runs.RunError, match="not finished"):
        runs.load(tmp_path / "run")
    if (tmp_path / "run" / "training.json").exists():
        checkpoints.load(tmp_path / "run" / "training")  # whole
    run = begin(name, tmp_path / "run")
    assert same(weights(run), weights(finished(name)))
    assert run.report["score"] == finished(name).report["score"]


def test_a_run_that_was_stopped_while_it_was_scored_goes_on(finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("helpers.runs.scores.copies", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            begin("images", tmp_path / "run")
    assert same(weights(begin("images", tmp_path / "run")), weights(finished("images")))


def test_a_run_that_was_stopped_while_it_tidied_up_is_finished(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "remove", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            begin("images", tmp_path / "run")
    runs.fit(LEAVES, tmp_path / "run", **{**QUICK, "quiet": False}, **SMALL)
    assert "is finished" in capsys.readouterr().out
    assert not list((tmp_path / "run").glob("training*"))


@pytest.mark.parametrize(("save_every", "saves"), [(0.0, 2), (1e9, 1)])
def test_how_often_a_run_is_saved(tmp_path, monkeypatch, save_every, saves):
    saved, save = [], checkpoints.save
    monkeypatch.setattr(checkpoints, "save", lambda path, *a, **k: saved.append(path.name) or save(path, *a, **k))
    runs.fit(LEAVES, tmp_path / "run", **{**QUICK, "save_every": save_every}, **SMALL)
    assert saved.count("training") == saves


def test_a_finished_run_says_so_and_is_left_as_it_is(copy, capsys):
    before = {file: file.read_bytes() for file in copy.iterdir()}
    run = runs.fit(LEAVES, copy, **{**QUICK, "quiet": False}, **SMALL)
    assert "is finished" in capsys.readouterr().out and len(run.history) == 2
    assert {file: file.read_bytes() for file in copy.iterdir()} == before


@pytest.mark.parametrize(
    ("change", "what"),
    [(dict(seed=1), "seed=0, and now seed=1"), (dict(code=4), "code=3, and now code=4"),
     (dict(epochs=3), "epochs=2, and now epochs=3"), (dict(model="gan"), "model='vae', and now model='gan'"),
     (dict(settings=dict(lr=1e-4)), "settings={}, and now"), (dict(size=14), "other data")],
    ids=str,
)
def test_other_arguments_are_refused_in_one_sentence(copy, change, what):
    given = {**QUICK, **SMALL, **change}
    with pytest.raises(runs.RunError, match=f"was begun with {what}") as caught:
        runs.fit(senses.read(LEAVES, size=given.pop("size", None)), copy, **given)
    assert "\n" not in str(caught.value)


def trained_on(copy, monkeypatch, valid):
    """The run in ``copy``, trained on, with this loss in validation from then on."""
    evaluate = Training.evaluate
    monkeypatch.setattr(Training, "evaluate", lambda self: evaluate(self) | {"loss": valid})
    return runs.fit(LEAVES, copy, more=0.02)


def test_what_is_better_is_kept(finished, copy, monkeypatch):
    before = finished("images")
    run = trained_on(copy, monkeypatch, before.report["valid"] - 1)
    assert not same(weights(run), weights(before)) and same(weights(runs.load(copy)), weights(run))
    assert run.report["valid"] == before.report["valid"] - 1 and run.report["best epoch"] == 3


def test_what_is_no_better_is_not_kept(finished, copy, monkeypatch, capsys):
    before = finished("images")
    run = trained_on(copy, monkeypatch, before.report["valid"] + 1)
    assert "did not help" in capsys.readouterr().out
    networks = lambda run: {name: t for name, t in weights(run).items() if not name.startswith("prior.")}
    assert same(networks(run), networks(before)) and same(weights(runs.load(copy)), weights(run))
    assert run.report["valid"] == before.report["valid"] and run.report["best epoch"] <= 2


def test_epochs_and_seconds_are_counted_on(copy, finished):
    first = finished("images").history
    run = runs.fit(LEAVES, copy, more=0.02, quiet=True)
    assert run.history["epoch"].tolist() == list(range(1, len(run.history) + 1)) and len(run.history) > 2
    assert np.all(np.diff(run.history["seconds"]) > 0) and run.history["seconds"][-1] > first["seconds"][-1]
    assert run.report["seconds of training"] == round(run.history["seconds"][-1], 1)
    assert json.loads((copy / "run.json").read_text())["phases"][1]["done"]


def test_further_training_that_was_killed_at_the_very_end_is_not_counted_twice(copy, monkeypatch):
    from helpers.disk import Place

    note, out = Place.note, copy
    before = len(runs.load(copy).history)

    def killed(self, *names, **values):
        if values.get("phases") and all(phase["done"] for phase in values["phases"]):
            raise KeyboardInterrupt  # all is written, and that it is done is not
        note(self, *names, **values)

    with monkeypatch.context() as patch:
        patch.setattr(Place, "note", killed)
        with pytest.raises(KeyboardInterrupt):
            runs.fit(LEAVES, out, more=0.01, quiet=True)
    measured = runs.load(out)
    run = runs.fit(LEAVES, out, quiet=True)
    assert len(run.history) == len(measured.history) > before and same(weights(run), weights(measured))
    assert all(phase["done"] for phase in json.loads((out / "run.json").read_text())["phases"])
    assert not (out / "training.json").exists()


def test_settings_that_no_record_can_hold_must_be_given_again(tmp_path):
    settings = dict(lr=1e-3, objective=dict(beta=lambda progress: 1.0))
    runs.fit(LEAVES, tmp_path / "run", settings=settings, **QUICK, **SMALL)
    with refused(runs.RunError, "was begun with settings="):
        runs.fit(LEAVES, tmp_path / "run", more=0.01, quiet=True)
    again = dict(lr=1e-3, objective=dict(beta=lambda progress: 1.0))
    assert len(runs.fit(LEAVES, tmp_path / "run", more=0.01, settings=again, quiet=True).history) > 2


def test_what_is_not_given_is_as_the_run_was_begun(copy):
    record = json.loads((copy / "run.json").read_text())
    run = runs.fit(LEAVES, copy, more=0.01, quiet=True)
    after = json.loads((copy / "run.json").read_text())
    assert after["settings"] == record["settings"] and run.model.code == 3


def test_a_stopped_run_goes_on_with_other_minutes_and_moved_data(tmp_path, monkeypatch):
    shutil.copytree(LEAVES, tmp_path / "mine")
    with monkeypatch.context() as patch:
        stop_after(patch, 10)
        with pytest.raises(KeyboardInterrupt):
            runs.fit(tmp_path / "mine", tmp_path / "run", minutes=0.3, save_every=0.0, quiet=True, **SMALL)
    (tmp_path / "mine").rename(tmp_path / "yours")
    run = runs.fit(tmp_path / "yours", tmp_path / "run", minutes=0.01, quiet=True)
    assert len(run.history) >= 1 and run.card["settings"]["origin"]["path"] == str(tmp_path / "yours")


@pytest.mark.parametrize("minutes", [1e-7, 1e-6])
def test_however_little_time_there_is_an_epoch(tmp_path, minutes):
    run = runs.fit(LEAVES, tmp_path / "run", minutes=minutes, quiet=True, **SMALL)
    assert len(run.history) == 1 and math.isfinite(run.report["score"]["nats"])


def test_weights_are_taken_over_where_they_fit(finished, tmp_path):
    start, more = finished("images"), dict(SMALL, start_from=finished("images").path)
    run = runs.fit(LEAVES, tmp_path / "run", settings=dict(lr=1e-30), **{**QUICK, "epochs": 1}, **more)
    networks = lambda run: {n: t for n, t in weights(run).items() if not n.startswith("prior.") and "tone" not in n}
    torch.testing.assert_close(networks(run), networks(start), rtol=1e-6, atol=1e-7)
    with pytest.raises(runs.RunError, match="none of its weights fits"):
        runs.fit(VILLAGES, tmp_path / "other", start_from=start.path, **QUICK)


def test_training_that_breaks_says_so_and_leaves_no_model(tmp_path):
    with pytest.raises(TrainingError, match="smaller learning rate"):
        runs.fit(LEAVES, tmp_path / "run", settings=dict(lr=1e9, clip=None, warmup=0.0), **QUICK, **SMALL)
    assert not (tmp_path / "run" / "model.json").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [(None, "there is no such folder"), ({}, "does not hold a run"), ({"run.json": "{}"}, "is not finished")],
)
def test_folders_that_hold_no_run(tmp_path, files, message):
    folder = tmp_path / "run"
    if files is not None:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
    with pytest.raises(runs.RunError, match=message):
        runs.load(folder)


def damage(file, content):
    file.write_bytes(content)


DAMAGES = {
    "model.json is no JSON": lambda run: damage(run / "model.json", b"{"),
    "model.json is about something else": lambda run: damage(run / "model.json", b"[]"),
    "weights cut off": lambda run: damage(next(run.glob("model-*")), next(run.glob("model-*")).read_bytes()[:999]),
    "weights gone": lambda run: next(run.glob("model-*")).unlink(),
    "report gone": lambda run: (run / "report.json").unlink(),
    "report is no JSON": lambda run: damage(run / "report.json", b"\xff"),
    "no plan": lambda run: changed(run, lambda card: card.pop("plan")),
    "another plan": lambda run: changed(run, lambda card: card["plan"].update(code=9)),
    "a plan of nonsense": lambda run: changed(run, lambda card: card["plan"].update(channels="many")),
    "another kind": lambda run: changed(run, lambda card: card["plan"].update(kind="smell")),
}


def changed(run, change):
    card = json.loads((run / "model.json").read_text())
    change(card)
    (run / "model.json").write_text(json.dumps(card))


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_refused_in_one_sentence(copy, name):
    DAMAGES[name](copy)
    with pytest.raises(runs.RunError) as caught:
        runs.load(copy)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value) and str(copy) in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", '{"settings": 1, "phases": []}', '{"made by": "me", "files": []}'])
def test_a_record_that_is_not_ours_is_refused_and_nothing_is_touched(copy, content):
    (copy / "run.json").write_text(content)
    before = contents(copy)
    with refused(DiskError, "not a record of ours, and nothing in it is touched"):
        runs.fit(LEAVES, copy, **QUICK, **SMALL)
    assert contents(copy) == before


@pytest.mark.parametrize("damaged", [{"settings": 1}, {"settings": {}}, {"phases": []}, {"phases": [1]}, {"phases": 2}])
def test_a_damaged_record_is_refused(copy, damaged):
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(record | damaged))
    with refused(runs.RunError, "does not say how the run was begun"):
        runs.fit(LEAVES, copy, **QUICK, **SMALL)


def test_a_file_where_the_run_should_be(tmp_path):
    (tmp_path / "run").write_text("")
    with refused(DiskError, "is a file"):
        runs.fit(LEAVES, tmp_path / "run", **QUICK)


def test_data_that_cannot_be_used_leave_no_folder(tmp_path):
    (tmp_path / "few").mkdir()
    for i in range(4):
        shutil.copy(LEAVES / "oak" / f"{i:02d}.png", tmp_path / "few")
    with pytest.raises(DataError, match="at least"):
        runs.fit(tmp_path / "few", tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


# --- scores ------------------------------------------------------------------------------------------


def grey(n=42, side=4, labels=2, values=4):
    x = np.random.default_rng(0).integers(0, values, (n, side, side)).astype(np.float32) * 80 / 255
    return Dataset.make("grey", x, np.arange(n) % labels if labels else None, kind="image",
                        names=tuple("abc"[:labels]))


@pytest.mark.parametrize("labels", [0, 2])
def test_the_score_is_the_models_own_bound(labels):
    data = grey(labels=labels)
    model = build(data, **SMALL).eval()
    found = runs.score(model, data, k=7, seed=5)
    g = torch.Generator().manual_seed(5)
    c = None if not labels else torch.as_tensor(data.test.c)
    with torch.no_grad():
        bound = model.log_prob(torch.as_tensor(data.test.x), c, g, k=7)
    assert found["nats"] == pytest.approx(-bound.mean().item(), rel=1e-6)
    assert found["error"] == pytest.approx(bound.double().std().item() / math.sqrt(len(bound)), rel=1e-5)
    assert found["bits"] == pytest.approx(found["nats"] / 16 / math.log(2)) and found["what"] == "IWAE-7"


def test_the_score_of_sets_counts_examples():
    data = senses.read(STROKES, seconds=0.25)
    model = build(data, rank=2, hidden=8, code=2).eval()
    sets = data.sets("test", dense=False)
    with torch.no_grad():
        g = torch.Generator().manual_seed(0)
        bound = model.log_prob(torch.as_tensor(sets.x).float(), torch.as_tensor(sets.c), g, k=3)
    found = runs.score(model, data, k=3)
    n = len(data.test)
    assert found["examples"] == n and found["nats"] == pytest.approx(-bound.sum().item() / n, rel=1e-6)


def test_the_score_of_texts_is_in_bits_per_character():
    data = senses.read(VILLAGES)
    found = runs.score(build(data, hidden=8, embedding=4), data, k=1)
    symbols = text.lengths(data.test.x).sum()
    assert found["bits"] == pytest.approx(found["nats"] * found["examples"] / symbols / math.log(2))


def test_of_more_than_are_scored_some_are_drawn():
    data = grey()
    found = runs.score(build(data, **SMALL), data, k=1, most=4)
    assert found["examples"] == 4
    rows = data.rows["test"]
    drawn = scores.some(rows, 4, np.random.default_rng(0))
    assert found["baselines"]["independent pixels"]["nats"] == pytest.approx(
        histogram_nats(data.train.x, data.train.c, data.x[drawn], data.c[drawn]).mean())
    whole = runs.baselines(data)["independent pixels"]
    alone = histogram_nats(data.train.x, data.train.c, data.x[rows], data.c[rows]).mean()
    assert whole == pytest.approx(alone)


def test_independent_pixels_by_hand():
    """Two pixels, one label: P = (count + types · general) / (n + types), twice over."""
    train = np.array([[[0, 255]], [[0, 51]], [[51, 51]]]) / 255
    x = np.array([[[0, 51]], [[255, 10]]]) / 255
    everything = {0: (2 + 3 / 256) / 9, 51: (3 + 3 / 256) / 9, 255: (1 + 3 / 256) / 9, 10: (3 / 256) / 9}
    first = lambda v: ({0: 2, 51: 1}.get(v, 0) + 2 * everything[v]) / 5
    second = lambda v: ({255: 1, 51: 2}.get(v, 0) + 2 * everything[v]) / 5
    by_hand = [-math.log(first(0) * second(51)), -math.log(first(255) * second(10))]
    np.testing.assert_allclose(histogram_nats(train, None, x, np.zeros(2, int)), by_hand)


def test_independent_pixels_are_a_distribution():
    train = np.random.default_rng(0).integers(0, 256, (9, 1, 1)) / 255
    every = np.arange(256).reshape(-1, 1, 1) / 255
    for labels, c in ((None, np.zeros(256, int)), (np.arange(9) % 2, np.ones(256, int))):
        assert np.exp(-histogram_nats(train, labels, every, c)).sum() == pytest.approx(1)


def test_image_baselines():
    found = runs.baselines(grey())
    assert found["uniform"] == pytest.approx(16 * math.log(256))
    # Four values as likely as each other: no model can know more than that.
    assert 16 * math.log(4) - 1 < found["independent pixels"] < 16 * math.log(4) + 6


def test_baselines_of_numbers_by_hand():
    x = np.random.default_rng(0).normal(0, 1, (70, 3, 5)) + np.repeat([[[0.0]], [[4.0]]], 35, axis=0)
    data = Dataset.make("numbers", x, np.repeat([0, 1], 35), kind="sound")
    found = runs.baselines(data)
    train, test = data.train, data.test
    normal = lambda v, mean, sigma: 0.5 * ((v - mean) / sigma) ** 2 + np.log(sigma * np.sqrt(2 * np.pi))
    by_hand = normal(test.x, train.x.mean(), train.x.std()).sum(axis=(1, 2)).mean()
    assert found["one Normal for all"] == pytest.approx(by_hand, rel=1e-6)
    mean = np.stack([train.x[train.c == k].mean(axis=0) for k in (0, 1)])
    sigma = np.sqrt(np.square(train.x - mean[train.c]).mean())
    by_hand = normal(test.x, mean[test.c], sigma).sum(axis=(1, 2)).mean()
    assert found["mean of the label"] == pytest.approx(by_hand, rel=1e-6)
    assert found["mean of the label"] < found["one Normal for all"]


def test_text_baselines():
    data = senses.read(VILLAGES)
    found = runs.baselines(data)
    symbols = text.lengths(data.test.x)
    assert found["uniform"] == pytest.approx(symbols.mean() * math.log(len(data.vocabulary) - 1))
    [name] = set(found) - {"uniform"}
    order = int(name.removesuffix("-gram"))
    scores = {n: -NGram(n, len(data.vocabulary)).fit(data.train.x).log_prob(data.valid.x).mean() for n in range(1, 7)}
    assert order == min(scores, key=scores.get)
    exact = -NGram(order, len(data.vocabulary)).fit(data.train.x).log_prob(data.test.x).mean()
    assert found[name] == pytest.approx(exact)


# --- copies ------------------------------------------------------------------------------------------


class Copier(torch.nn.Module):
    """A model that answers with training examples, or with noise."""

    bound = None

    def __init__(self, data, honest):
        super().__init__()
        self.train_x, self.honest = torch.as_tensor(data.train.x), honest
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def sample(self, n, c=None, generator=None):
        return torch.rand(n, 5, 5, generator=generator) if self.honest else self.train_x[:n]


@pytest.mark.parametrize("honest", [True, False])
def test_a_models_own_samples_are_judged(honest):
    data = Dataset.make("cloud", np.random.default_rng(0).random((300, 5, 5)).astype(np.float32), kind="image")
    found = runs.copies(Copier(data, honest), data, n=100)
    assert found["copies"] != honest and found["samples"] == 100 and found["compared with"] == len(data.train)


def test_a_copier_that_blurs_is_caught():
    """In pixels a blurred copy is far from its original; made coarse, both, it is near; other leaves are not."""
    data = senses.read(LEAVES, size=48)
    rows = np.random.default_rng(0).choice(len(data.train), 100, replace=False)
    blurred = uniform_filter(data.train.x[rows] / np.float32(255), (1, 1, 5, 5))
    found = runs.copies(None, data, samples=blurred)
    assert found["copies"] and found["suspicious"] < 0.05 and found["suspicious, coarse"] > 0.3
    assert found["verdict"].startswith("Made as coarse as 12 × 12 pixels, ") and "suspiciously" in found["verdict"]
    honest = runs.copies(None, data, samples=data.valid.x / np.float32(255))
    assert not honest["copies"] and honest["suspicious, coarse"] < 0.15


def test_copies_of_texts():
    data = senses.read(VILLAGES)
    learned = runs.copies(None, data, samples=data.train.x[:60])
    assert learned["copies"] and learned["exact"] == 60 and learned["nearest"] == 0
    honest = runs.copies(None, data, samples=data.valid.x[:60])
    assert not honest["copies"] and honest["exact"] == 0
    one = runs.copies(None, data, samples=np.concatenate([data.train.x[:1], data.valid.x[:60]]))
    assert not one["copies"] and "1 of " in one["verdict"] and "to the last detail" in one["verdict"]


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("flaw", "lawn", 2), ("same", "same", 0)],
)
def test_edits_between_texts(a, b, edits):
    vocabulary = text.Vocabulary.fit([a + b + "x"])
    found = edits_between(vocabulary.encode([a], 16), vocabulary.encode([b, "xxxxxxxxxxxx"], 16))
    assert found.tolist() == [[edits, 12]]


def test_the_recipe_suits_the_plan():
    """The caller's choices count: without a shared code, all sounds are counted, and none is a set."""
    data = senses.read(STROKES, seconds=0.25)
    own = family("vae")
    apart, shared = (own.recipe(plan(data, shared=s), n) for s, n in ((False, 36), (True, 12)))
    assert "members" not in apart["objective"] and shared["objective"]["members"] == 3
    assert apart["epochs"] == 400 and own.recipe(plan(data, shared=False), 4000)["epochs"] == 60
    assert shared["objective"]["beta"](0.0) == 0 and shared["objective"]["beta"](1.0) == 10
    small, large = (own.recipe(plan(grey()), n) for n in (30, 3000))
    assert small["batch_size"] < large["batch_size"]


# --- sheets ------------------------------------------------------------------------------------------


def test_a_sheet_has_a_row_for_each_label(tmp_path):
    x = np.stack([np.full((7, 7), k / 10) for k in range(6)])
    [file] = runs.sheet(runs.Samples(x, ["a", "b"] * 3), tmp_path / "sheet.png", "image")
    sheet = np.asarray(Image.open(file).convert("L"), int)
    step = (sheet.shape[0] - 12) // 2 + 12
    grid = sheet[[40, 40 + step]][:, [-40 - 2 * step, -40 - step, -40]]
    np.testing.assert_allclose(grid, np.rint(255 * np.array([[0, 0.2, 0.4], [0.1, 0.3, 0.5]])), atol=1)


def test_sheets_of_sounds_can_be_heard(finished, tmp_path):
    from helpers import sound

    files = finished("sounds").sheet(tmp_path / "x.wav", n=3)
    assert [f.name for f in files] == ["x.png", "x-01.wav", "x-02.wav", "x-03.wav"]
    assert len(sound.load(files[1])) == 12 * sound.HOP


def test_sheets_of_texts(finished, tmp_path):
    [file] = finished("texts").sheet(tmp_path / "names.txt", n=4)
    assert file.read_text(encoding="utf-8").split("\n")[:-1] == finished("texts").sample(4).x


def test_describe(finished, capsys):
    finished("images").describe()
    out = capsys.readouterr().out
    assert "independent pixels" in out and "IWAE-2, a bound" in out and "limits:" in out
    assert "were best in validation" in out


def test_limits_follow_from_the_figures():
    data = grey()

    def said(nats):
        score = {"nats": nats, "baselines": {"uniform": {"nats": 9.0}, "independent pixels": {"nats": 8.0}}}
        figures = {"score": score, "copies": {"verdict": "None are copies."}}
        return cards.limits(data, runs.data_card(data), figures, plan(data))

    assert "worse than the baseline “independent pixels”" in " ".join(said(8.5))
    assert "worse than the baseline" not in " ".join(said(7.5)) and said(7.5)[-1] == "None are copies."
    assert "no likelihood" in " ".join(said(None)) and "6 test examples only" in " ".join(said(7.5))
