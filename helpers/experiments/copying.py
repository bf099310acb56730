"""Does flow matching copy its training digits? By how many there are, how long it trains, and whose digits they are.

data/copying.json holds its rows; ``python tools/sweep.py`` makes them. A sample counts as a copy if its nearest
training digit is less than a third as far as the second nearest (Yoon, Choi, Kwon and Ryu, 2023, Diffusion
Probabilistic Models Generalize when They Fail to Memorize). Two models on disjoint sets of digits: Kadkhodaie, Guth,
Simoncelli and Mallat, 2024, Generalization in Diffusion Models Arises from Geometry-Adaptive Harmonic Representations.
"""

import functools
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.data import digits
from helpers.data.dataset import Dataset
from helpers.evaluation.neighbours import two_nearest
from helpers.models.families.matching import FlowMatching

LABELS, PIXELS, LEVELS = 10, 64, 17
COPY = 1 / 3  # of the distance to the second nearest
RATE, BATCH, DRAWN = 3e-3, 64, 250
SIZES, SHORT = (10, 30, 100, 300, 500, 1000), 500
PAIRED = (10, 100, 500)  # sizes at which a second model learns from as many other digits
BASE: dict[str, Any] = dict(n=1000, steps=2000)
SEEDS = range(3)


@functools.cache
def grey() -> Dataset:
    """The grey digits, read once."""
    return digits.load(binary=False)


def some(n: int, start: int = 0) -> tuple[Tensor, Tensor]:
    """n training digits, as many of each label, from the start-th of each: (n, 64) and labels (n,)."""
    train, each = grey().train, n // LABELS
    assert train.c is not None
    rows = np.concatenate([np.flatnonzero(train.c == k)[start : start + each] for k in range(LABELS)])
    if len(rows) < n:
        raise ValueError(f"there are no {each} digits of each label from number {start} on.")
    return torch.as_tensor(train.x[rows]).float(), torch.as_tensor(train.c[rows]).long()


def train(x: Tensor, c: Tensor, steps: int, seed: int) -> FlowMatching:
    """Flow matching on digits x (n, 64) with labels c (n,), for so many steps; the last weights, not the best.

    By steps of as many digits each, not by epochs as ``training.fit``: 10 digits and 1,000 learn equally long.
    """
    torch.manual_seed(seed)
    model = FlowMatching((PIXELS,), LABELS, hidden=256, dropout=0.0, average=0.995, levels=LEVELS).train()
    optimiser = torch.optim.AdamW(model.network.parameters(), lr=RATE, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.05)
    for _ in range(steps):
        rows = torch.randint(len(x), (BATCH,))
        optimiser.zero_grad()
        model.loss((x[rows], c[rows]))[0].backward()
        torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model.eval()


def draw(model: FlowMatching, seed: int = 0) -> Tensor:
    """Digits (DRAWN, 64), as many of each label, in turns: of all models from the same noise, if the seed is."""
    return model.sample(DRAWN, torch.arange(DRAWN) % LABELS, torch.Generator().manual_seed(seed))


def copied(x: Any, of: Any) -> float:
    """The share of digits x (N, 64) that are copies of digits ``of`` (M, 64)."""
    distances = two_nearest(x, of)
    return float((distances[:, 0] < COPY * distances[:, 1]).mean())


def apart(a: Tensor, b: Tensor, shift: int = 0) -> float:
    """The mean distance of drawn digits a (N, 64) and b (N, 64), b moved on by so many of the same label."""
    return float((a - b.roll(shift * LABELS, 0)).square().sum(dim=1).sqrt().mean())


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """Train on n digits and look for copies. For some n, train on n other digits, too, and once more on the first.

    ``copied``: the share of samples that are copies; ``real``: that of digits nobody trained on. ``nearest``: the mean
    distance of samples to a training digit; ``held out``: that of digits nobody trained on. From the same noise and
    label, the mean distances of samples of two models: of ``other`` digits; of the ``same`` digits, from other first
    weights; and ``chance``, from other noise. ``crossed``: the share of samples of the model of other digits that are
    copies of these.
    """
    n, steps, start = setting["n"], setting["steps"], time.process_time()
    x, c = some(n)
    model = train(x, c, steps, seed)
    seconds = time.process_time() - start
    drawn = draw(model, seed)
    test = grey().test.x
    found = {"copied": copied(drawn, x), "real": copied(test, x), "nearest": float(two_nearest(drawn, x)[:, 0].mean()),
             "held out": float(two_nearest(test, x)[:, 0].mean()), "seconds": seconds}
    if n in PAIRED and steps == BASE["steps"]:
        others = draw(train(*some(n, n // LABELS), steps, seed + 100), seed)
        again = draw(train(x, c, steps, seed + 200), seed)
        found |= {"other": apart(drawn, others), "same": apart(drawn, again),
                  "chance": apart(drawn, others, shift=1), "crossed": copied(others, x)}
    return found


SETTINGS: list[dict] = [BASE | {"n": n} for n in SIZES]
SETTINGS += [BASE | {"n": n, "steps": SHORT} for n in (100, SIZES[-1])]
