"""The models in data/pretrained are what their cards say, and give what their cards say."""

import json

import pytest
import torch

import pretrained  # tools/pretrained.py
from helpers import checkpoints
from helpers.data import colours, digits, glyphs, notes
from helpers.models.images import Reader, fonts_vae

CARDS = sorted(pretrained.PRETRAINED.glob("*.json"))
NAMES = [f"{kind}-{seed}" for kind in pretrained.RECIPES for seed in pretrained.SEEDS]


def test_every_model_that_make_pretrained_makes_is_there_and_no_other():
    assert sorted(card.stem for card in CARDS) == sorted([f"digits-{name}" for name in NAMES] + list(pretrained.OTHERS))
    weights = sorted(pretrained.PRETRAINED.glob("*.safetensors"))
    assert len(weights) == len(CARDS)
    assert sum(w.stat().st_size for w in weights if w.name.startswith("digits")) < 8e6
    assert all(w.stat().st_size < 8e6 for w in weights)  # each generator


@pytest.mark.parametrize("name", NAMES)
def test_the_figures_of_the_card_are_those_of_the_weights(name):
    torch.set_num_threads(1)
    kind, seed = name.split("-")
    model = pretrained.build(kind)
    card = checkpoints.load_model(pretrained.PRETRAINED / f"digits-{name}", model)
    assert card["training"] == pretrained.RECIPES[kind] | {
        "seed": int(seed),
        "best epoch": card["training"]["best epoch"],
    }
    data = digits.load()
    for split, x in (("test", data.test.x), ("validation", data.valid.x)):
        assert pretrained.figures(model, x) == pytest.approx(card[split], abs=0.005)
    for field in ("data", "made_by", "licence", "limits"):
        assert json.dumps(card[field])


@pytest.mark.parametrize("name", list(pretrained.OTHERS))
def test_every_card_says_what_a_user_must_know(name):
    card = checkpoints.load(pretrained.PRETRAINED / name)[1]
    for field in ("model", "data", "made_by", "training", "licence", "limits"):
        assert card[field]


@pytest.fixture(scope="module")
def reader():
    model = Reader(62)
    return model, checkpoints.load_model(pretrained.PRETRAINED / "glyphs-reader", model.eval())


def test_the_reader_reads_as_well_as_its_card_says(reader):
    model, card = reader
    data = glyphs.load(form="ink")
    for name, part in (("validation", data.valid), ("test", data.test)):
        right = (model.read(torch.as_tensor(part.x)).numpy() == part.c).mean()
        assert right == pytest.approx(card["right"][name], abs=0.004)


def test_the_fonts_are_what_their_card_says(reader):
    model = fonts_vae()
    card = checkpoints.load_model(pretrained.PRETRAINED / "glyphs-fonts", model.eval())
    found = pretrained.glyph_figures(model, reader[0], glyphs.load())
    assert found.keys() == card["figures"].keys()
    for name, value in found.items():
        assert value == pytest.approx(card["figures"][name], rel=0.01), name
    assert found["recognised"] > 0.98
    for split in ("valid", "test"):
        assert found[f"{split}, from one letter"] < found[f"{split}, nearest font"]


def test_the_instruments_are_what_their_card_says():
    model = pretrained.build_notes()
    card = checkpoints.load_model(pretrained.PRETRAINED / "notes-instruments", model.eval())
    found = pretrained.note_figures(model, notes.load())
    assert found.keys() == card["figures"].keys()
    for name, value in found.items():
        assert value == pytest.approx(card["figures"][name], rel=0.01), name
    for split in ("valid", "test"):
        assert found[f"{split}, from one note"] < 0.6 * found[f"{split}, mean spectrogram"]


@pytest.mark.parametrize("kind", pretrained.NAME_MODELS)
def test_the_names_are_what_their_card_says(kind):
    card = checkpoints.load(pretrained.PRETRAINED / f"names-{kind}")[1]
    found = pretrained.name_figures(pretrained.load_names(kind), colours.load())
    assert found.keys() == card["bits_per_character"].keys()
    for name, value in found.items():
        assert value == pytest.approx(card["bits_per_character"][name], abs=0.002), name
