"""A run in a folder: made, opened, continued, scored beside baselines, checked for copies; never half there."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import samples as made
from helpers import checkpoints, runs
from helpers.data import Dataset, folders, text
from helpers.data.dataset import DataError
from helpers.models import build
from helpers.models.ngram import NGram
from helpers.models.vae import VAE
from helpers.training import TrainingError

RNG = np.random.default_rng(0)
LEAVES, STROKES, VILLAGES = (made.SAMPLES / name for name in ("leaves", "strokes", "villages.txt"))
QUICK = dict(minutes=None, epochs=2, k=2, quiet=True, save_every=0.0)
SMALL = dict(channels=4, hidden=16, code=3)
WAYS = {
    "images": (LEAVES, SMALL),
    "colour, no labels": ("colour", SMALL),
    "sounds": (STROKES, dict(size=0.25, rank=2, hidden=16, code=2)),
    "sounds, no labels": ("noises", dict(rank=2, hidden=16, size=0.25)),
    "texts": (VILLAGES, dict(hidden=16, embedding=8)),
}


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    """A folder of colour images, and one of sounds, without subfolders."""
    from helpers import sound

    folder = tmp_path_factory.mktemp("unlabelled")
    (folder / "colour").mkdir()
    (folder / "noises").mkdir()
    for i, leaf in enumerate(list(made.leaves(8).values())):
        tinted = np.stack([leaf, 255 - leaf // 2, leaf // 2 + i], axis=2)
        Image.fromarray(tinted).save(folder / "colour" / f"{i}.png")
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
            path, more = WAYS[name]
            path = unlabelled / path if isinstance(path, str) else path
            found[name] = runs.fit(path, tmp_path_factory.mktemp("runs") / "run", **QUICK, **more)
        return found[name]

    return of


@pytest.fixture
def copy(finished, tmp_path):
    """A run of images that a test may damage."""
    return shutil.copytree(finished("images").path, tmp_path / "copy")


def weights(run):
    return {name: tensor.clone() for name, tensor in run.model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- end to end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAYS)
def test_a_run_has_everything_and_can_be_opened(name, finished):
    run = finished(name)
    files = {file.name for file in run.path.iterdir()}
    assert {"model.json", "report.json", "run.json"} < files
    assert not [file for file in files if file.startswith((".", "training"))]
    assert any(file.startswith("samples") for file in files)
    again = runs.open(run.path)
    assert same(weights(run), weights(again)) and not again.model.training
    assert again.report == json.loads(json.dumps(run.report)) and len(again.history) == 2
    assert again.card["data"] == json.loads(json.dumps(run.data_card))
    score = again.report["score"]
    assert math.isfinite(score["nats"]) and score["nats"] <= score["elbo"] + 3 * abs(score["error"]) + 1
    assert len(score["baselines"]) == 2 and all(math.isfinite(b["nats"]) for b in score["baselines"].values())
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
    if name == "texts":
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
    data = folders.load(LEAVES, size=8)
    run = runs.fit(data, tmp_path / "run", **QUICK, **SMALL)
    assert run.data is data
    with pytest.raises(DataError, match="data in memory"):
        runs.open(run.path).data  # noqa: B018
    assert runs.open(run.path).score(k=1, data=data)["examples"] == 34


def test_data_are_read_again_and_must_be_the_same(tmp_path):
    shutil.copytree(LEAVES, tmp_path / "mine")
    runs.fit(tmp_path / "mine", tmp_path / "run", size=8, **QUICK, **SMALL)
    run = runs.open(tmp_path / "run")
    assert run.score(k=2)["nats"] == pytest.approx(run.report["score"]["nats"], rel=1e-5)
    (tmp_path / "mine" / "oak" / "00.png").unlink()
    with pytest.raises(DataError, match="holds other data"):
        runs.open(tmp_path / "run").data  # noqa: B018
    with pytest.raises(runs.RunError, match="was begun with other data"):
        runs.fit(tmp_path / "mine", tmp_path / "run", size=8, **QUICK, **SMALL)


def test_the_data_card():
    card = runs.data_card(folders.load(LEAVES))
    assert card["labels"] == {"maple": 80, "oak": 80, "willow": 80} and card["kind"] == "image"
    assert card["splits"] == {"train": 172, "valid": 34, "test": 34} and card["shape"] == [28, 28]
    assert card["values"][1] == 1.0 and card["licence"] == "unknown"


def test_the_data_card_names_what_was_left_out(tmp_path):
    shutil.copytree(LEAVES / "oak", tmp_path / "oak")
    (tmp_path / "oak" / "00.png").write_bytes(b"no image")
    shutil.copy(tmp_path / "oak" / "01.png", tmp_path / "oak" / "again.png")
    card = runs.data_card(folders.load(tmp_path))
    reason = "is no image, whatever its name says, or is cut off"
    assert card["left out"] == {"files": 1, "first": [["oak/00.png", reason]]}
    assert card["duplicates removed"] == 1


# --- stopping and going on ---------------------------------------------------------------------------


def stop_after(monkeypatch, calls, error=KeyboardInterrupt):
    """VAE.loss, which breaks at a call."""
    loss, seen = VAE.loss, [0]

    def broken(self, *arguments, **options):
        seen[0] += 1
        if seen[0] > calls:
            raise error
        return loss(self, *arguments, **options)

    monkeypatch.setattr(VAE, "loss", broken)


@pytest.mark.parametrize("name", ["images", "sounds", "texts"])
@pytest.mark.parametrize("calls", [0, 3, 10])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(name, calls, finished, tmp_path, monkeypatch):
    path, more = WAYS[name]
    with monkeypatch.context() as patch:
        stop_after(patch, calls if name != "sounds" else min(calls, 3))  # it has four
        with pytest.raises(KeyboardInterrupt):
            runs.fit(path, tmp_path / "run", **QUICK, **more)
    assert not (tmp_path / "run" / "model.json").exists()
    with pytest.raises(runs.RunError, match="not finished"):
        runs.open(tmp_path / "run")
    if (tmp_path / "run" / "training.json").exists():
        checkpoints.load(tmp_path / "run" / "training")  # whole
    run = runs.fit(path, tmp_path / "run", **QUICK, **more)
    assert same(weights(run), weights(finished(name)))
    assert run.report["score"] == finished(name).report["score"]


def test_a_run_that_was_stopped_while_it_was_scored_goes_on(finished, tmp_path, monkeypatch):
    path, more = WAYS["images"]
    with monkeypatch.context() as patch:
        patch.setattr(runs, "copies", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            runs.fit(path, tmp_path / "run", **QUICK, **more)
    assert same(weights(runs.fit(path, tmp_path / "run", **QUICK, **more)), weights(finished("images")))


def test_a_finished_run_says_so_and_is_left_as_it_is(copy, capsys):
    before = {file: file.read_bytes() for file in copy.iterdir()}
    run = runs.fit(LEAVES, copy, **{**QUICK, "quiet": False}, **SMALL)
    assert "is finished" in capsys.readouterr().out and len(run.history) == 2
    assert {file: file.read_bytes() for file in copy.iterdir()} == before


@pytest.mark.parametrize(
    "change", [dict(seed=1), dict(code=4), dict(epochs=3), dict(size=14), dict(settings=dict(lr=1e-4))], ids=str
)
def test_other_arguments_are_refused_in_one_sentence(copy, change):
    with pytest.raises(runs.RunError, match=f"was begun with ({next(iter(change))}|choices|other data)") as caught:
        runs.fit(LEAVES, copy, **{**QUICK, **SMALL, **change})
    assert "\n" not in str(caught.value)


def test_a_finished_run_can_be_trained_on(copy, finished):
    run = runs.fit(LEAVES, copy, more=0.02, **QUICK, **SMALL)
    assert len(run.history) > 2
    assert run.report["valid"] <= finished("images").report["valid"]
    assert json.loads((copy / "run.json").read_text())["phases"][1]["done"]
    assert same(weights(runs.open(copy)), weights(run))


def test_what_is_no_better_is_not_kept(copy, finished):
    """A learning rate of 0 changes nothing, and the weights stay to the bit."""
    record = json.loads((copy / "run.json").read_text())
    record["settings"]["settings"] = {"lr": "1e-30"}
    (copy / "run.json").write_text(json.dumps(record))
    run = runs.fit(LEAVES, copy, more=0.01, settings=dict(lr=1e-30), **QUICK, **SMALL)
    torch.testing.assert_close(weights(run), weights(finished("images")), rtol=1e-6, atol=1e-7)


def test_weights_are_taken_over_where_they_fit(finished, tmp_path):
    start, more = finished("images"), dict(SMALL, start_from=finished("images").path)
    run = runs.fit(LEAVES, tmp_path / "run", settings=dict(lr=1e-30), **{**QUICK, "epochs": 1}, **more)
    torch.testing.assert_close(weights(run), weights(start), rtol=1e-6, atol=1e-7)
    with pytest.raises(runs.RunError, match="none of its weights fits"):
        runs.fit(VILLAGES, tmp_path / "other", start_from=start.path, **QUICK)


def test_training_that_breaks_says_so_and_leaves_no_model(tmp_path):
    with pytest.raises(TrainingError, match="smaller learning rate"):
        runs.fit(LEAVES, tmp_path / "run", settings=dict(lr=1e9, clip=None, warmup=0.0), **QUICK, **SMALL)
    assert not (tmp_path / "run" / "model.json").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [(None, "there is no such folder"), ({}, "holds no run"), ({"run.json": "{}"}, "is not finished")],
)
def test_folders_that_hold_no_run(tmp_path, files, message):
    folder = tmp_path / "run"
    if files is not None:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
    with pytest.raises(runs.RunError, match=message):
        runs.open(folder)


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
        runs.open(copy)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value) and str(copy) in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", '{"settings": 1, "phases": []}', '{"settings": {}, "phases": [1]}'])
def test_a_damaged_record_is_refused(copy, content):
    (copy / "run.json").write_text(content)
    with pytest.raises(runs.RunError, match=r"run\.json"):
        runs.fit(LEAVES, copy, **QUICK, **SMALL)


def test_a_file_where_the_run_should_be(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(runs.RunError, match="is a file"):
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
    x = RNG.integers(0, values, (n, side, side)).astype(np.float32) * 80 / 255
    return Dataset.make("grey", x, np.arange(n) % labels if labels else None, kind="image",
                        names=tuple("abc"[:labels]))  # fmt: skip


@pytest.mark.parametrize("labels", [0, 2])
def test_the_score_is_the_models_own_bound(labels):
    data = grey(labels=labels)
    model = build(data, **SMALL).eval()
    found = runs.score(model, data, k=7, seed=5)
    g = torch.Generator().manual_seed(5)
    c = None if not labels else torch.as_tensor(data.test.c)
    with torch.no_grad():
        bound = model.log_prob(torch.as_tensor(data.test.x), c, 7, g)
    assert found["nats"] == pytest.approx(-bound.mean().item(), rel=1e-6)
    assert found["error"] == pytest.approx(bound.double().std().item() / math.sqrt(len(bound)), rel=1e-5)
    assert found["bits"] == pytest.approx(found["nats"] / 16 / math.log(2)) and found["what"] == "IWAE-7"


def test_the_score_of_sets_counts_examples():
    data = folders.load(STROKES, seconds=0.1)
    model = build(data, rank=2, hidden=8, code=2).eval()
    sets = data.sets("test", dense=False)
    with torch.no_grad():
        bound = model.log_prob(torch.as_tensor(sets.x).float(), torch.as_tensor(sets.c), 3,
                               torch.Generator().manual_seed(0))  # fmt: skip
    found = runs.score(model, data, k=3)
    assert found["examples"] == 6 and found["nats"] == pytest.approx(-bound.sum().item() / 6, rel=1e-6)


def test_the_score_of_texts_is_in_bits_per_character():
    data = folders.load(VILLAGES)
    found = runs.score(build(data, hidden=8, embedding=4), data, k=1)
    symbols = text.lengths(data.test.x).sum()
    assert found["bits"] == pytest.approx(found["nats"] * found["examples"] / symbols / math.log(2))


def test_more_than_a_thousand_examples_are_drawn_from(monkeypatch):
    monkeypatch.setattr(runs, "MOST_SCORED", 4)
    data = grey()
    found = runs.score(build(data, **SMALL), data, k=1)
    assert found["examples"] == 4
    rows = runs._rows(data, "test", 0)
    whole = runs.baselines(data)["independent pixels"]
    alone = runs._histogram_nats(data.train.x, data.train.c, data.x[rows], data.c[rows], 2).mean()
    assert whole == pytest.approx(alone)


def test_independent_pixels_by_hand():
    """Two pixels, one label: P = (count + types · general) / (n + types), twice over."""
    train = np.array([[[0, 255]], [[0, 51]], [[51, 51]]]) / 255
    x = np.array([[[0, 51]], [[255, 10]]]) / 255
    everything = {0: (2 + 3 / 256) / 9, 51: (3 + 3 / 256) / 9, 255: (1 + 3 / 256) / 9, 10: (3 / 256) / 9}
    first = lambda v: ({0: 2, 51: 1}.get(v, 0) + 2 * everything[v]) / 5
    second = lambda v: ({255: 1, 51: 2}.get(v, 0) + 2 * everything[v]) / 5
    by_hand = [-math.log(first(0) * second(51)), -math.log(first(255) * second(10))]
    np.testing.assert_allclose(runs._histogram_nats(train, None, x, np.zeros(2, int), 1), by_hand)


def test_independent_pixels_are_a_distribution():
    train = RNG.integers(0, 256, (9, 1, 1)) / 255
    every = np.arange(256).reshape(-1, 1, 1) / 255
    for labels, c in ((None, np.zeros(256, int)), (np.arange(9) % 2, np.ones(256, int))):
        assert np.exp(-runs._histogram_nats(train, labels, every, c, 2)).sum() == pytest.approx(1)


def test_image_baselines():
    found = runs.baselines(grey())
    assert found["uniform"] == pytest.approx(16 * math.log(256))
    # Four values as likely as each other: no model can know more than that.
    assert 16 * math.log(4) - 1 < found["independent pixels"] < 16 * math.log(4) + 6


def test_baselines_of_numbers_by_hand():
    x = RNG.normal(0, 1, (70, 3, 5)) + np.repeat([[[0.0]], [[4.0]]], 35, axis=0)
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
    data = folders.load(VILLAGES)
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


class Fake(torch.nn.Module):
    """A model that answers with whatever it is given."""

    code, shared, decoder = 2, False, None

    def __init__(self, answer):
        super().__init__()
        self.answer, self.weight = answer, torch.nn.Parameter(torch.zeros(()))

    def expect(self, z, c=None):
        return torch.as_tensor(self.answer(len(z))).float()


@pytest.fixture(scope="module")
def cloud():
    return Dataset.make("cloud", RNG.random((300, 5, 5)).astype(np.float32), kind="image")


COPIERS = {
    "training examples": (lambda data, n: data.train.x[:n], True, True),
    "with a little noise": (lambda data, n: data.train.x[:n] + RNG.normal(0, 0.01, (n, 5, 5)), True, False),
    "one in five": (lambda data, n: np.where(np.arange(n)[:, None, None] % 5, RNG.random((n, 5, 5)), data.train.x[:n]),
                    True, True),
    "noise": (lambda data, n: RNG.random((n, 5, 5)), False, False),
    "the mean": (lambda data, n: data.train.x.mean(axis=0) + RNG.normal(0, 0.01, (n, 5, 5)), False, False),
    "half-way between two": (lambda data, n: (data.train.x[:n] + data.train.x[n : 2 * n]) / 2, False, False),
}  # fmt: skip


@pytest.mark.parametrize("name", COPIERS)
def test_copiers_are_found_and_others_cleared(cloud, name):
    answer, guilty, exact = COPIERS[name]
    found = runs.copies(Fake(lambda n: answer(cloud, n)), cloud, n=100)
    assert found["copies"] == guilty, found
    assert bool(found["exact"]) == exact and found["samples"] == 100 and found["suspicious, held out"] < 0.08
    assert ("No sign" in found["verdict"]) == (not guilty)


def test_copies_of_texts():
    data = folders.load(VILLAGES)
    learned = runs.copies(None, data, samples=data.train.x[:60])
    assert learned["copies"] and learned["exact"] == 60 and learned["nearest"] == 0
    honest = runs.copies(None, data, samples=data.valid.x[:60])
    assert not honest["copies"] and honest["exact"] == 0


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("flaw", "lawn", 2), ("same", "same", 0)],
)
def test_edits_between_texts(a, b, edits):
    train = text.Vocabulary.fit([a + b + "x"]).encode([b or "x" * 0, "xxxxxxxxxxxx"], 16)
    x = text.Vocabulary.fit([a + b + "x"]).encode([a], 16)
    assert runs._nearest_texts(x, train)[0, 0] == edits


def test_the_recipe_suits_the_kind():
    small, large = grey(), grey(n=3000, side=6)
    assert runs.recipe(small)["batch_size"] < runs.recipe(large)["batch_size"]
    assert runs.recipe(folders.load(VILLAGES))["objective"]["free_bits"] > 0
    beta = runs.recipe(folders.load(STROKES))["objective"]["beta"]
    assert beta(0.0) == 0 and beta(1.0) > 1


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
