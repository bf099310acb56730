"""Flow matching on the grey digits, trained ten times as long as in the lesson Digits out of noise: copying begins.

The last weights are kept, not those that validation likes best.
"""

import time
from pathlib import Path
from typing import Any

import torch

from helpers import checkpoints
from helpers.evaluation.neighbours import two_nearest
from helpers.experiments import copying
from helpers.models.families.matching import FlowMatching

PLAN: dict[str, Any] = {"model": "flow-matching", "kind": "image", "labels": copying.LABELS, "shape": [copying.PIXELS],
                        "hidden": 256, "dropout": 0.0, "average": 0.995, "levels": copying.LEVELS}
TRAINING: dict[str, Any] = dict(steps=20_000, batch_size=copying.BATCH, lr=copying.RATE, seed=0)


@torch.no_grad()
def figures(model: FlowMatching) -> dict[str, float]:
    """Of 250 samples, the mean distance to the nearest training digit and the share of copies; and of test digits."""
    data = copying.grey()
    drawn = copying.draw(model)
    return {
        "nearest": round(float(two_nearest(drawn, data.train.x)[:, 0].mean()), 3),
        "nearest, test digits": round(float(two_nearest(data.test.x, data.train.x)[:, 0].mean()), 3),
        "copied": round(copying.copied(drawn, data.train.x), 3),
    }


def train(folder: Path) -> str:
    """Train on all training digits, save the model with its card; returns what it reached, in words."""
    data, start = copying.grey(), time.perf_counter()
    c = torch.as_tensor(data.train.c).long()
    model = copying.train(torch.as_tensor(data.train.x).float(), c, TRAINING["steps"], TRAINING["seed"])
    found = figures(model)
    card = dict(
        model="flow matching on the grey digits, told the label, trained until it begins to copy",
        plan=PLAN,
        made_by="make pretrained (flow-digits)",
        data="digits, grey: 1,250 training images; see data/README.md",
        training=TRAINING,
        figures=found,
        licence="MIT",
        limits="Its samples lie nearer to training digits than real digits do: a model to look at, not to use.",
    )
    checkpoints.save(folder / "flow-digits", model.state_dict(), **card)
    return f"{found}, {time.perf_counter() - start:.0f} s"
