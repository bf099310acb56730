"""From printed type to handwriting: a generator of fonts, adapted to the digits of thirteen hands.

The question is when it pays to start from a trained model rather than from scratch. Both are trained alike, on the
same few digits; ``adapted`` trains one of them, and ``train_one`` judges it, for a sweep. The lesson Your own model
shows the same code, line for line but for annotations, and ``data/adapt.json`` carries its fingerprint.
"""

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from helpers import checkpoints, disk
from helpers.data import Dataset, digits, glyphs
from helpers.experiments.pretrained.fonts import fonts_vae
from helpers.models import SetVAE
from helpers.training import fit, ramp

PRETRAINED = disk.PRETRAINED / "glyphs-fonts"
FIRST = glyphs.CHARACTERS.index("0")  # the label of the digit 0 among the 62 characters
SIZES = (20, 200, 600)  # labelled digits to learn from
HOW = ("from scratch", "from fonts, as they are", "from fonts, humbled")
fields = functools.cache(digits.fields)
BASE = dict(how=HOW[0], n=SIZES[0], steps=400, lr=2e-3, beta=1.0, sigma=0.6, shuffled=False)
LONGER = dict(n=SIZES[-1], steps=1200)  # new weights have more to learn: would they catch up?


def sets(part, rows=slice(None)):
    """Rows of a split of digits as sets of one: x (N, 1, 784), labels c (N, 1) among the 62 characters."""
    x, c = torch.as_tensor(part.x[rows]), torch.as_tensor(part.c[rows] + FIRST)
    return x[:, None], c[:, None]


def average(x, c):
    """The mean field of each label (62, 784); of all, for a label that is missing."""
    mean = x.mean(dim=(0, 1)).repeat(len(glyphs.CHARACTERS), 1)
    for label in c.unique():
        mean[label] = x[c == label].mean(dim=0)
    return mean


def start(how, x, c, sigma):
    """A VAE to be trained on x and c: new, or the generator of fonts that ships."""
    if how == "from scratch":
        model = fonts_vae(average(x, c))
    else:
        model = fonts_vae()
        checkpoints.load_model(PRETRAINED, model)
    if how != "from fonts, as they are":
        model.decoder.log_sigma.data.fill_(math.log(sigma))
    return model


def hands(shuffled: bool) -> Dataset:
    """Digits as distances; with ``shuffled``, pixels stand in another order, the same for all images."""
    data = fields()
    if not shuffled:
        return data
    order = np.random.default_rng(99).permutation(data.x.shape[1])
    return replace(data, x=data.x[:, order])  # as much to learn, and nothing like a letter


def adapted(setting: dict[str, Any], seed: int) -> SetVAE:
    """A model trained one way on n digits, drawn with this seed."""
    data, n = hands(setting["shuffled"]), setting["n"]
    rows = np.random.default_rng(seed).permutation(len(data.train))[:n]
    held = max(n // 6, 3)  # of these n, to choose the epoch by
    x, c = sets(data.train, rows)
    torch.manual_seed(seed)
    model = start(setting["how"], x[held:], c[held:], setting["sigma"])
    epochs = math.ceil(setting["steps"] / math.ceil((n - held) / 16))
    fit(model, ((x[held:], c[held:]), (x[:held], c[:held])), epochs=epochs, batch_size=16, lr=setting["lr"],
        weight_decay=0.01, clip=1.0, warmup=0.05, seed=seed, quiet=True,
        objective=dict(beta=ramp(end=setting["beta"]), members=1, seen=1))
    return model.eval()


def train_one(setting: dict[str, Any], seed: int) -> dict[str, float]:
    """Test bound (IWAE-10, nats a digit) after training one way on n digits, drawn with this seed.

    With ``shuffled``, pixels stand in another order, the same for all images: a control, unlike anything printed.
    """
    return {"test": bound(adapted(setting, seed), hands(setting["shuffled"]))}


def bound(model: SetVAE, data: Dataset) -> float:
    """The bound of 10 codes on held-out digits, in nats a digit."""
    x, c = sets(data.test)
    with torch.no_grad():
        return -model.log_prob(x, c, k=10, generator=torch.Generator().manual_seed(0)).mean().item()
