"""What a model reaches on held-out data, beside models without a code; and whether it has learned examples by heart."""

import math

import numpy as np
import torch

from helpers import senses
from helpers.data.dataset import Dataset
from helpers.evaluation import bits_per_dimension
from helpers.evaluation.copies import copies as judge
from helpers.models import contract

MOST_SCORED = 1000  # test examples that are scored, drawn at random where there are more
MOST_COMPARED = 20_000  # training examples that samples are compared with


def score(model: contract.Model, data: Dataset, k: int | None = None, split: str = "test", seed: int = 0) -> dict:
    """-log p(x|c) on held-out data, or the bound on it that the model has, with the baselines beside it.

    nats per example, with the standard error of their mean; bits per dimension, or per character (the end counts).
    Of more than 1,000 examples, 1,000 are drawn. A code that several examples share counts once for all of them. A
    model without a likelihood has None for all its figures. k: codes an example, for bounds that draw codes.
    """
    if k is not None and hasattr(model, "k"):
        model.k = k
    own, rows = senses.sense(data.kind), scored_rows(data, split, seed, all_of_them=getattr(model, "sets", False))
    dimensions = own.dimensions(data, rows)
    bits = lambda nats: None if nats is None else float(bits_per_dimension(nats, dimensions))
    nats = error = None
    if model.bound is not None:
        found = contract.examples(model, data, split, rows)
        nll, n = -contract.log_prob(model, found, seed), int(found.count.sum())
        nats = float(nll.sum() / n)
        deviation = np.std(nll - nats * found.count, ddof=1) if len(nll) > 1 else math.nan
        error = float(deviation * math.sqrt(len(nll)) / n)
    plain = own.baselines(data, rows, getattr(model, "plan", None), seed)
    return {
        "what": model.bound,
        "split": split,
        "examples": len(rows),
        "nats": nats,
        "error": error,
        "unit": own.UNIT,
        "bits": bits(nats),
        "baselines": {name: {"nats": value, "bits": bits(value)} for name, value in plain.items()},
    }


def baselines(data: Dataset, split: str = "test", seed: int = 0, plan: dict | None = None) -> dict[str, float]:
    """What models without a code reach on the examples that are scored: {name: nats per example}, lower is better.

    Which they are, the senses say; ``plan`` is that of a model to stand beside.
    """
    return senses.sense(data.kind).baselines(data, scored_rows(data, split, seed), plan, seed)


def copies(model: contract.Model, data: Dataset, n: int = 100, seed: int = 0,
           samples: np.ndarray | None = None) -> dict:
    """Has the model learned examples by heart? See ``helpers.evaluation.copies``, which judges n samples.

    ``samples`` (n, …) are judged instead of drawn ones.
    """
    own, rng = senses.sense(data.kind), np.random.default_rng(seed)
    if samples is None:
        samples = _as_trained(model, data, n, seed)
    train = some(data.train.x, MOST_COMPARED, rng)
    held_out = some(data.test.x, MOST_SCORED, rng)
    return judge(samples, train, held_out, own.distances, own.same(data), report_exact=own.EXACT_COUNTS)


def _as_trained(model, data, n, seed):
    """n samples, under conditions that are as frequent as in training."""
    c = None if data.c is None else data.train.c[np.random.default_rng(seed).integers(len(data.train), size=n)]
    generator = torch.Generator().manual_seed(seed)
    return contract.sample(model, n, c, generator, **senses.sense(data.kind).SAMPLING)


def scored_rows(data: Dataset, split: str, seed: int = 0, all_of_them: bool = False) -> np.ndarray:
    """The rows of a split that are scored: all, or 1,000 drawn at random."""
    rows = data.rows[split]
    return rows if all_of_them else some(rows, MOST_SCORED, np.random.default_rng(seed))


def some(x: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """All rows of x, or ``most`` of them, drawn at random, in their order."""
    return x if len(x) <= most else x[np.sort(rng.choice(len(x), most, replace=False))]
