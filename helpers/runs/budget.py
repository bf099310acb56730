"""How the minutes of a run are shared out: ``--minutes`` is the whole time, from reading the data to the report.

Training gets what is left when everything else has its part. How long that takes, a look at a few examples says; where
it would be more than a fifth of the time, fewer examples are scored and compared.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from helpers import senses
from helpers.data.dataset import Dataset
from helpers.models import contract
from helpers.training.feeds import Batch

FEW = 16  # examples that are looked at to learn how long one takes
PART = 0.2  # of the time, at most, for all that comes after training
VALIDATION = 0.05  # of the time, at most, for one look at the validation split
PAGES = 2.0  # seconds for sheets, sounds and the report
LEAST = {"validated": 100, "scored": 30, "held_out": 30, "samples": 20, "compared": 500}
MOST_NUMBERS = 200_000_000  # of training examples that samples are compared with: more would not fit into memory


@dataclass(frozen=True)
class Sizes:
    """How many examples are looked at; each is drawn at random where there are more."""

    validated: int = 2000  # of the validation split, after each epoch
    scored: int = 1000  # of the test split
    samples: int = 100  # that are compared with training examples
    held_out: int = 1000  # that are compared with training examples
    compared: int = 20_000  # training examples

    def within(self, data: Dataset) -> "Sizes":
        """No more than there are, and no more training examples than memory holds."""
        there = {split: len(rows) for split, rows in data.rows.items()}
        most = max(LEAST["compared"], MOST_NUMBERS // int(np.prod(data.x.shape[1:])))
        return Sizes(min(self.validated, there["valid"]), min(self.scored, there["test"]), self.samples,
                     min(self.held_out, there["test"]), min(self.compared, there["train"], most))


def shared_out(model: contract.Model, data: Dataset, k: int | None, seconds: float) -> tuple[Sizes, float]:
    """What can be looked at in a run of so many seconds, and the seconds to keep for what comes after training."""
    full, sets = Sizes().within(data), getattr(model, "sets", False)
    validate, score, draw, compare = _each(model, data, k)
    after = score * full.scored + draw * full.samples * 2 + compare * (full.samples + full.held_out) * full.compared
    pages = PAGES + 2 * draw * FEW  # a sheet of texts takes hardly longer than a few of them
    part = min(1.0, max(0.0, PART * seconds - pages) / max(after, 1e-9))
    wanted = {name: full_size * part for name, full_size in asdict(full).items()}
    wanted["compared"] = full.compared  # all of them, for fewer samples: a copy should not be missed
    wanted["validated"] = full.validated if sets else VALIDATION * seconds / max(validate, 1e-9)
    sizes = Sizes(**{name: int(max(LEAST[name], value)) for name, value in wanted.items()}).within(data)
    last_look = validate * (len(data.rows["valid"]) if sets else sizes.validated)
    return sizes, part * after + pages + last_look


def _each(model: contract.Model, data: Dataset, k: int | None) -> tuple[float, ...]:
    """Seconds for one example: to validate, to score, to draw, and to compare with one training example."""
    own, few = senses.sense(data.kind), slice(0, FEW)
    rows = None if getattr(model, "sets", False) else data.rows["valid"][few]
    found = contract.examples(model, data, "valid", rows)
    found = contract.Examples(found.x[few], None if found.c is None else found.c[few], found.count[few])
    if k is not None and hasattr(model, "k"):
        model.k = k
    device = next(model.parameters()).device
    batch = Batch(torch.as_tensor(contract.tensor(found.x, device=device)), contract.tensor(found.c, device=device))
    told = None if data.c is None else data.c[data.rows["train"][few]]
    n, train = min(FEW, len(data.rows["train"])), data.x[data.rows["train"][:1000]]

    def validate():
        with torch.no_grad():
            model.loss(batch)

    model.eval()
    return (
        _seconds(validate) / found.count.sum(),
        _seconds(lambda: contract.log_prob(model, found)) / found.count.sum() if model.bound is not None else 0.0,
        _seconds(lambda: contract.sample(model, n, told, None, **own.SAMPLING)) / n,
        _seconds(lambda: own.distances(train[:n], train)) / n / len(train),
    )


def _seconds(call: Callable) -> float:
    """The faster of two calls: the first also imports, and makes room."""
    found = []
    for _ in range(2):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)
