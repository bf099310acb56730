"""Adapting the generator of fonts to handwriting: the data, the three ways to start, and the file of results."""

import math

import numpy as np
import pytest
import torch

import sweep  # tools/sweep.py
from helpers import adapt, sweeps
from helpers.data import digits, glyphs


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


def test_the_file_has_every_run_and_they_can_be_made_again():
    rows = sweeps.load(sweep.ADAPT_FILE)
    assert not sweeps.failures(rows)
    settings = sweep.adapt_settings()
    assert len(rows) == len(settings) * len(sweep.SEEDS) == 100
    torch.set_num_threads(1)
    cheap = {**adapt.BASE, "how": "from fonts, humbled", "n": 600}
    assert adapt.train_one(cheap, 0)["test"] == pytest.approx(sweeps.figures(rows, cheap)[0], rel=0.05)
