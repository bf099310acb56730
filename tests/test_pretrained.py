"""The models in data/pretrained are what their cards say, and give what their cards say."""

import json

import pytest
import torch

import pretrained  # tools/pretrained.py
from helpers import checkpoints
from helpers.data import digits

CARDS = sorted(pretrained.PRETRAINED.glob("*.json"))
NAMES = [f"{kind}-{seed}" for kind in pretrained.RECIPES for seed in pretrained.SEEDS]


def test_every_model_that_make_pretrained_makes_is_there_and_no_other():
    assert [card.stem for card in CARDS] == sorted(f"digits-{name}" for name in NAMES)
    weights = sorted(pretrained.PRETRAINED.glob("*.safetensors"))
    assert len(weights) == len(CARDS)
    assert sum(w.stat().st_size for w in weights) < 8e6


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
