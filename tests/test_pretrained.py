"""The models in data/pretrained open by their cards alone, are what these say, and give what these say."""

import json
import shutil

import pytest
import torch

from helpers import checkpoints, disk
from helpers.build import restore
from helpers.data import colours, glyphs, notes
from helpers.data import digits as handwriting
from helpers.experiments import pretrained
from helpers.experiments.pretrained import digits, flow, fonts, instruments, names, portrait, priors

CARDS = sorted(disk.PRETRAINED.glob("*.json"))
DIGITS = [name for name in pretrained.RECIPES if name.startswith("digits-")]


def test_every_model_that_has_a_recipe_is_there_and_no_other():
    assert sorted(card.stem for card in CARDS) == sorted(pretrained.RECIPES) and len(DIGITS) == 10
    weights = sorted(disk.PRETRAINED.glob("*.safetensors"))
    assert len(weights) == len(CARDS)
    assert sum(w.stat().st_size for w in weights if w.name.startswith("digits")) < 8e6
    assert all(w.stat().st_size < 8e6 for w in weights)  # each generator


# --- cards -------------------------------------------------------------------------------------------


def plan_of(name):
    """The plan by which a recipe builds its models."""
    if name.startswith("digits-"):
        return digits.PLANS[name.split("-")[1]]
    if name.startswith("names-"):
        return names.plan(name.removeprefix("names-"), colours.load())
    if name == "flow-digits":
        return flow.PLAN
    if name.endswith("-digits"):
        return portrait.PLANS[name.removesuffix("-digits")]
    if name.endswith("-prior"):
        return priors.PLANS[name]
    return {"glyphs-reader": fonts.READER_PLAN, "glyphs-fonts": fonts.PLAN, "notes-instruments": instruments.PLAN}[name]


@pytest.mark.parametrize("name", pretrained.RECIPES)
def test_a_card_says_what_a_user_must_know_and_opens_its_model(name):
    model, card = restore(disk.PRETRAINED / name)
    for field in ("model", "plan", "data", "made_by", "training", "licence", "limits"):
        assert card[field]
    assert card["plan"] == plan_of(name) == model.plan
    assert json.dumps(card["plan"]) == json.dumps(plan_of(name))  # in the same order: first weights depend on it
    assert not any(part.training for part in model.modules())
    tensors, _ = checkpoints.load(disk.PRETRAINED / name)
    assert all(torch.equal(tensors[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", DIGITS)
def test_the_figures_of_the_card_are_those_of_the_weights(name):
    model, card = restore(disk.PRETRAINED / name)
    kind, seed = name.split("-")[1:]
    best = card["training"]["best epoch"]
    assert card["training"] == digits.TRAINING[kind] | {"seed": int(seed), "best epoch": best}
    data = handwriting.load()
    for split, x in (("test", data.test.x), ("validation", data.valid.x)):
        assert digits.figures(model, x) == pytest.approx(card[split], abs=0.005)


@pytest.mark.parametrize("family", portrait.PLANS)
def test_a_family_on_the_board_is_what_its_card_says(family):
    model, card = restore(disk.PRETRAINED / f"{family}-digits")
    assert card["training"] == portrait.TRAINING[family] | {"seed": 0, "best epoch": card["training"]["best epoch"]}
    data = handwriting.load()
    for split, x in (("test", data.test.x), ("validation", data.valid.x)):
        assert portrait.figures(model, x) == pytest.approx(card[split], abs=0.005)
    if family == "gan":
        assert model.bound is None and card["test"]["energy distance, 1000 times"] < 10
    else:
        assert model.bound == "exact" and card["test"]["exact"] < {"masked": 16.5, "made": 17, "rbm": 19}[family]
    if family == "masked":
        assert card["test"]["exact"] < card["test"]["bound"], "a mixture is more probable than the mean over orders"


def test_the_flow_that_copies_is_what_its_card_says():
    model, card = restore(disk.PRETRAINED / "flow-digits")
    found = flow.figures(model)
    assert card["training"] == flow.TRAINING and found == pytest.approx(card["figures"], abs=0.02)
    assert found["nearest"] < 0.9 * found["nearest, test digits"]


def test_the_recipe_of_the_flow_makes_such_a_model(tmp_path, monkeypatch):
    monkeypatch.setitem(flow.TRAINING, "steps", 3)
    pretrained.train(["flow-digits"], tmp_path)
    (model, card), (shipped, theirs) = restore(tmp_path / "flow-digits"), restore(disk.PRETRAINED / "flow-digits")
    assert model.state_dict().keys() == shipped.state_dict().keys()
    assert card["plan"] == theirs["plan"] and card["training"] == theirs["training"] | {"steps": 3}


def test_the_reader_reads_as_well_as_its_card_says():
    reader, card = restore(disk.PRETRAINED / "glyphs-reader")
    assert fonts.read_right(reader, glyphs.load(form="ink")) == pytest.approx(card["right"], abs=0.004)


def test_the_fonts_are_what_their_card_says():
    model, card = restore(disk.PRETRAINED / "glyphs-fonts")
    reader, _ = restore(disk.PRETRAINED / "glyphs-reader")
    found = fonts.figures(model, reader, glyphs.load())
    assert found == pytest.approx(card["figures"], rel=0.01)
    assert found["recognised"] > 0.98
    for split in ("valid", "test"):
        assert found[f"{split}, from one letter"] < found[f"{split}, nearest font"]


def test_the_instruments_are_what_their_card_says():
    model, card = restore(disk.PRETRAINED / "notes-instruments")
    found = instruments.figures(model, notes.load())
    assert found == pytest.approx(card["figures"], rel=0.01)
    for split in ("valid", "test"):
        assert found[f"{split}, from one note"] < 0.6 * found[f"{split}, mean spectrogram"]


@pytest.mark.parametrize("kind", names.KINDS)
def test_the_names_are_what_their_card_says(kind):
    models, card = restore(disk.PRETRAINED / f"names-{kind}")
    assert isinstance(models, torch.nn.ModuleList)
    assert len(models) == (1 if kind.startswith(("vae", "masked")) else 5)
    found = names.figures(models, colours.load(), of_words=kind.startswith("words"))
    assert found == pytest.approx(card["bits_per_character"], abs=0.002)


# --- recipes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits-conv-1", "digits-mlp-0", "masked-digits", "made-digits", "rbm-digits",
                                  "gan-digits", "glyphs-fonts", "notes-instruments", "names-gru",
                                  "names-transformer-colour", "names-words-colour", "names-vae-plain",
                                  "names-masked-colour"])
def test_a_recipe_makes_the_checkpoint_that_ships_but_for_its_length(name, tmp_path, monkeypatch, capsys):
    sense, kind = name.split("-")[:2]
    modules = {"digits": digits, "glyphs": fonts, "notes": instruments, "names": names}
    training = modules.get(sense, portrait).TRAINING
    monkeypatch.setitem(training.get(kind, training.get(sense, training)), "epochs", 1)
    if name == "glyphs-fonts":  # its recipe needs the reader
        for file in disk.PRETRAINED.glob("glyphs-reader*"):
            shutil.copy(file, tmp_path)
    pretrained.train([name.removeprefix("digits-")], tmp_path)
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{name}: ")
    model, card = restore(tmp_path / name)
    shipped, theirs = restore(disk.PRETRAINED / name)
    assert model.state_dict().keys() == shipped.state_dict().keys()
    assert list(card) == list(theirs)
    same = ("model", "plan", "made_by", "data", "licence", "limits")
    assert {field: card[field] for field in same} == {field: theirs[field] for field in same}
    assert card["training"].keys() == theirs["training"].keys() and card["training"]["epochs"] == 1


def test_a_name_without_a_recipe_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(pretrained.RecipeError, match="no model is called cnov-0; choose among digits-conv-0, "):
        pretrained.train(["conv-0", "cnov-0"], tmp_path)
    assert not list(tmp_path.iterdir())
