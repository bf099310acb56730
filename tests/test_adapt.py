"""Adapting the generator of fonts to handwriting: the data, the three ways to start, and the file of results."""

import json
import math

import numpy as np
import pytest
import torch

from helpers.data import digits, glyphs
from helpers.experiments import adapt, settings, sweeps
from helpers.experiments.pretrained.fonts import fonts_vae
from helpers.models import SetVAE
from helpers.models.images import ConditionalDecoder, ConditionalEncoder


@pytest.fixture(scope="module")
def hands():
    return digits.fields()


def test_digits_as_distances_are_the_same_digits_in_the_same_splits(hands):
    grey = digits.load(binary=False)
    assert hands.x.shape == (1750, 784) and hands.x.dtype == np.float32
    assert np.abs(hands.x).max() <= glyphs.REACH
    assert all(np.array_equal(hands.rows[split], grey.rows[split]) for split in grey.rows)
    ink = glyphs.ink(hands.x).reshape(-1, 28, 28)
    assert ink[:, :3].max() == 0 and ink[:, :, :3].max() == 0  # a margin, as around glyphs
    # Scaled down again, there is ink where there was ink.
    small = ink[:, 4:24, 4:24].reshape(-1, 10, 2, 10, 2).mean(axis=(2, 4))
    assert np.corrcoef(small.mean(axis=(1, 2)), grey.x.mean(axis=1))[0, 1] > 0.7


def test_a_mean_for_each_label_and_the_mean_of_all_for_the_others(hands):
    x, c = adapt.sets(hands.train, np.arange(40))
    assert x.shape == (40, 1, 784) and c.shape == (40, 1) and set(c[:, 0].tolist()) <= set(range(52, 62))
    mean = adapt.average(x, c)
    label = int(c[0, 0])
    assert torch.allclose(mean[label], x[c == label].mean(dim=0)) and torch.allclose(mean[0], x.mean(dim=(0, 1)))


def test_the_three_starts_differ_as_they_say(hands):
    x, c = adapt.sets(hands.train, np.arange(40))
    torch.manual_seed(0)
    new, sure, humble = (adapt.start(how, x, c, 0.6) for how in adapt.HOW)
    assert new.decoder.log_sigma.item() == humble.decoder.log_sigma.item() == pytest.approx(math.log(0.6))
    assert sure.decoder.log_sigma.item() < math.log(0.6)
    assert torch.equal(sure.decoder.code.weight, humble.decoder.code.weight)
    assert not torch.equal(new.decoder.code.weight, humble.decoder.code.weight)


def test_the_same_seed_gives_the_first_weights_that_it_always_gave():
    """The decoder's are drawn first; the averages that learning starts from take no random numbers."""
    average = np.random.default_rng(0).random((62, 784))
    torch.manual_seed(1)
    decoder = ConditionalDecoder(16, 62, (512, 512), 784, average, sigma=0.3)
    by_hand = SetVAE(ConditionalEncoder(784, 62, (384, 384), 16), decoder, code=16).state_dict()
    torch.manual_seed(1)
    found = fonts_vae(average).state_dict()
    assert found.keys() == by_hand.keys() and all(torch.equal(found[name], by_hand[name]) for name in found)


def test_the_file_has_every_run_and_they_can_be_made_again():
    sweep = settings.ADAPT
    rows = sweeps.load(sweep.file)
    assert not sweeps.failures(rows)
    wanted = [(setting, seed) for setting in settings.adapt_settings() for seed in settings.SEEDS]
    assert [(row["setting"], row["seed"]) for row in rows] == wanted and len(rows) == 80
    assert json.loads(sweep.file.read_text(encoding="utf-8"))["made by"] == sweeps.fingerprint(adapt.train_one)
    assert sweep.train_one is adapt.train_one and sweep.settings == settings.adapt_settings()
    cheap = {**adapt.BASE, "how": "from fonts, humbled", "n": 600}
    assert adapt.train_one(cheap, 0)["test"] == pytest.approx(sweeps.figures(rows, cheap)[0], rel=0.05)
