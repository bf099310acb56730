"""The models of the binary digits that the lesson Families on the board opens: one of each family but the VAE.

Each learns from images whose threshold is jittered, as the VAEs do, but for the GAN, which learns from the grey ones.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers import checkpoints
from helpers.build import assemble
from helpers.data import digits
from helpers.evaluation.two_sample import energy_distance
from helpers.training import fit

IMAGES: dict[str, Any] = {"kind": "image", "labels": 0, "shape": [64]}
PLANS: dict[str, dict[str, Any]] = {
    "masked": {"model": "masked", **IMAGES, "levels": 2, "hidden": 384, "blocks": 2, "dropout": 0.1, "orders": 32},
    "made": {"model": "MADE", "shape": [64], "hidden": 512, "layers": 2, "dropout": 0.3},
    "rbm": {"model": "RBM", "shape": [64], "hidden": 18, "chains": 100, "steps": 5},
    "gan": {"model": "gan", **IMAGES, "noise": 32, "hidden": 256, "channels": 16, "penalty": 1.0, "average": 0.995},
}

# Chosen on the validation split, as were the plans.
TRAINING: dict[str, dict[str, Any]] = {
    "masked": dict(epochs=600, batch_size=100, lr=1e-3, weight_decay=0.05, clip=1.0, warmup=0.05),
    "made": dict(epochs=300, batch_size=100, lr=3e-3, weight_decay=0.1, clip=1.0, warmup=0.05),
    "rbm": dict(epochs=250, batch_size=100, lr=3e-2, weight_decay=0.01),
    "gan": dict(epochs=200, batch_size=64, lr=2e-3),
}

SAYS = {
    "masked": "masked network of the binary digits, a mixture over 32 orders of the pixels",
    "made": "MADE of the binary digits, pixel by pixel as one reads",
    "rbm": "restricted Boltzmann machine of the binary digits, 18 switches",
    "gan": "GAN of the digits; its images are grey, and become binary at one half",
}

INK = "binary: 1,250 training images, thresholds jittered by 0.15"
SEES = dict.fromkeys(PLANS, INK) | {"gan": "grey: 1,250 training images"}


@torch.no_grad()
def figures(model: Any, x: np.ndarray) -> dict[str, float]:
    """What a model reaches on the rows of x (N, 64), binary: -log p, exact, in nats per image; of the masked network
    also minus the bound, from 100 draws an image. Of a GAN: the energy distance from 1,000 samples, times 1,000."""
    rows, generator = torch.as_tensor(x, dtype=torch.float32), torch.Generator().manual_seed(0)
    if model.bound is None:
        samples = model.sample(1000, generator=generator) >= 0.5
        return {"energy distance, 1000 times": round(1000 * energy_distance(samples, rows), 1)}
    found = {"exact": round(-model.log_prob(rows).mean().item(), 3)}
    if hasattr(model, "bound_on"):
        found["bound"] = round(-model.bound_on(rows, generator=generator, k=100).mean().item(), 3)
    return found


def train(family: str, folder: Path) -> str:
    """Train "masked", "made", "rbm" or "gan", save it with its card; returns what it reached, in words."""
    data, grey, start = digits.load(), digits.load(binary=False), time.perf_counter()
    torch.manual_seed(0)
    model: Any = assemble(PLANS[family])
    if hasattr(model, "start"):
        model.start(data)
    history = fit(model, (grey.train.x, grey.valid.x) if family == "gan" else (grey.train.x, data.valid.x), quiet=True,
                  augment=None if family == "gan" else jitter, **TRAINING[family])
    card = dict(
        model=SAYS[family],
        plan=PLANS[family],
        made_by=f"make pretrained ({family}-digits)",
        data=f"digits, {SEES[family]}; see data/README.md",
        training=TRAINING[family] | {"seed": 0, "best epoch": history.best + 1},
        test=figures(model, data.test.x),
        validation=figures(model, data.valid.x),
        licence="MIT",
        limits="Eight by eight pixels, thirteen hands; for learning about models, not for reading digits.",
    )
    checkpoints.save(folder / f"{family}-digits", model.state_dict(), **card)
    return f"test {card['test']}, validation {card['validation']}, {time.perf_counter() - start:.0f} s"


def jitter(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Grey images (N, 64) made binary at thresholds of their own, near one half."""
    return digits.threshold_jitter(x, generator, width=0.15)
