"""Do generated digits teach a reader? One reader, many training sets, tested on real digits only, over five seeds.

data/teaching.json holds its rows; ``python tools/sweep.py`` makes them. The generator is flow matching told the label;
it sees the real examples that the reader sees, and no others, except where it is said to have seen all ("leak").
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from helpers.data import digits
from helpers.experiments import sweeps
from helpers.experiments.alarm import cell
from helpers.experiments.inverse import optimise
from helpers.models.families.matching import FlowMatching
from helpers.models.layers import gelu_mlp

SIZES = (50, 100, 250, 500, 1250)
MADE = 1000  # generated digits, 100 of each label
WAYS = ("real", "generated", "both", "both, filtered", "moved", "both, moved", "leak", "Gaussians", "on generated")
SAYS = {"moved": "real, moved", "leak": "both; the generator saw all", "Gaussians": "both, by one Gaussian a label",
        "on generated": "real, tested on generated"}


def some(data: Any, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n training digits, as many of each label as there are in n / 10 of each: x (n, 64) and labels (n,)."""
    rows = data.rows["train"]
    order = np.random.default_rng(seed).permutation(rows)
    rank = np.zeros(len(order), int)
    for label in range(10):
        here = data.c[order] == label
        rank[here] = np.arange(here.sum())
    chosen = order[np.argsort(rank, kind="stable")][:n]
    return torch.tensor(data.x[chosen]).float(), torch.tensor(data.c[chosen]).long()


def train_generator(x: Tensor, c: Tensor, seed: int, steps: int = 800) -> FlowMatching:
    """Flow matching on images x (N, 64) from 0 to 1, told their labels c (N,)."""
    torch.manual_seed(seed)
    flow = FlowMatching((64,), labels=10, hidden=128, blocks=2, levels=17, drop=0.0)
    optimise(flow, lambda: flow.loss(batch(x, c, 64))[0], steps)
    return flow


@functools.cache
def drawn(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Generated images (1000, 64) and their labels, by a generator that has seen n real examples."""
    flow, labels = train_generator(*some(digits.load(binary=False), n, seed), seed), torch.arange(10).repeat(MADE // 10)
    return flow.sample(MADE, labels, torch.Generator().manual_seed(seed), steps=15), labels


def gaussians(x: Tensor, c: Tensor, labels: Tensor) -> Tensor:
    """Images (M, 64) for labels (M,): one Gaussian for each, with the mean of its images and a covariance that is
    pulled to a multiple of the unit matrix (Ledoit and Wolf, 2004)."""
    from sklearn.covariance import ledoit_wolf

    made, rng = np.zeros((len(labels), x.shape[1])), np.random.default_rng(len(x))
    for label in range(10):
        own, wanted = x[c == label].numpy(), (labels == label).numpy()
        made[wanted] = rng.multivariate_normal(own.mean(axis=0), ledoit_wolf(own)[0], size=int(wanted.sum()))
    return torch.tensor(made).float().clamp(0, 1)


def moved(x: Tensor) -> Tensor:
    """Each image (N, 64) shifted by up to a pixel, turned by up to ten degrees: plain augmentation."""
    angle, shift = (torch.rand(len(x)) - 0.5) * 0.35, (torch.rand(len(x), 2) - 0.5) * 0.5  # half the side is 1
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1).view(-1, 2, 3)
    grid = affine_grid(matrix, [len(x), 1, 8, 8], align_corners=False)
    return grid_sample(x.view(-1, 1, 8, 8), grid, align_corners=False).view(-1, 64)


def batch(x: Tensor, c: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Some rows at random, with repetition."""
    rows = torch.randint(len(x), (size,))
    return x[rows], c[rows]


def train_reader(parts: list[tuple[Tensor, Tensor]], seed: int, change: Callable[[Tensor], Tensor] | None = None,
                 steps: int = 400) -> nn.Module:
    """A classifier of images (N, 64), on as many examples of each part (x, c) in each batch of 128; always as long."""
    torch.manual_seed(seed)
    reader = gelu_mlp([64, 128, 10])

    def loss():
        chosen = [batch(x, c, 128 // len(parts)) for x, c in parts]
        x, c = torch.cat([x for x, _ in chosen]), torch.cat([c for _, c in chosen])
        return cross_entropy(reader(x if change is None else change(x)), c)

    optimise(reader, loss, steps)
    return reader


@torch.no_grad()
def right(reader: nn.Module, x: Tensor, c: Tensor) -> float:
    """The part of images (N, 64) that is read as labelled."""
    return (reader(x).argmax(dim=1) == c).double().mean().item()


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """What readers of each kind of training set get right of the real test digits."""
    start, data = time.process_time(), digits.load(binary=False)
    assert data.c is not None
    real = some(data, setting["n"], seed)
    test = torch.tensor(data.x[data.rows["test"]]).float(), torch.tensor(data.c[data.rows["test"]]).long()
    made = images, labels = drawn(setting["n"], seed)
    plain = train_reader([real], seed)
    with torch.no_grad():
        kept = plain(images).argmax(dim=1) == labels
    result = {
        "real": right(plain, *test),
        "generated": right(train_reader([made], seed), *test),
        "both": right(train_reader([real, made], seed), *test),
        "both, filtered": right(train_reader([real, (images[kept], labels[kept])], seed), *test),
        "moved": right(train_reader([real], seed, moved), *test),
        "both, moved": right(train_reader([real, made], seed, moved), *test),
        "leak": right(train_reader([real, drawn(1250, seed)], seed), *test),
        "Gaussians": right(train_reader([real, (gaussians(*real, labels), labels)], seed), *test),
        "on generated": right(plain, *made),
    }
    return {"seconds": time.process_time() - start} | result


SETTINGS: list[dict] = [{"n": n} for n in SIZES]


def table(rows: list[dict]) -> str:
    """Accuracy in %, on real test digits but for the last line: means over seeds, ± their standard error."""
    lines = [f"{'real examples':<32}" + "".join(f"{n:<13}" for n in SIZES)]
    for way in WAYS:
        cells = (cell(100 * sweeps.figures(rows, {"n": n}, way), 1) for n in SIZES)
        lines.append(f"{SAYS.get(way, way):<32}" + "".join(f"{one:<13}" for one in cells))
    return "\n".join(line.rstrip() for line in lines)


def gains(rows: list[dict], way: str, than: str = "real") -> list[tuple[float, float]]:
    """How many points of accuracy one way gains over another at each size: means of paired differences over seeds, and
    their standard errors."""
    each = [100 * (sweeps.figures(rows, {"n": n}, way) - sweeps.figures(rows, {"n": n}, than)) for n in SIZES]
    return [(float(one.mean()), float(one.std(ddof=1) / len(one) ** 0.5)) for one in each]
