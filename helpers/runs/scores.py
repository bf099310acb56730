"""What a model reaches on held-out data, beside models without a code; and whether it has learned examples by heart."""

import math

import numpy as np
import torch

from helpers import priors, senses
from helpers.data.dataset import Dataset
from helpers.evaluation import bits_per_dimension
from helpers.evaluation.copies import copies as judge
from helpers.models import contract
from helpers.runs.budget import Sizes

SIZES = Sizes()


def score(model: contract.Model, data: Dataset, k: int | None = None, split: str = "test", seed: int = 0,
          most: int = SIZES.scored, show: bool = False, plain: dict[str, float] | None = None) -> dict:
    """-log p(x|c) on held-out data, or the bound on it that the model has, with the baselines beside it.

    Of a model with codes it is the bound under the standard Normal that it was trained with, whatever prior it has now;
    what another is worth, ``codes.measure`` says.

    nats per example, with the standard error of their mean; bits per dimension, or per character (the end counts).
    Of more than ``most`` examples, so many are drawn. A code that several examples share counts once for all of them. A
    model without a likelihood has None for all its figures. k: codes an example, for bounds that draw codes. show:
    with a bar while it lasts. plain: the baselines, if they are known already.
    """
    if k is not None and hasattr(model, "k"):
        model.k = k
    own, rows = senses.sense(data.kind), scored_rows(model, data, split, seed, most)
    dimensions = own.dimensions(data, rows)
    bits = lambda nats: None if nats is None else float(bits_per_dimension(nats, dimensions))
    nats = error = None
    if model.bound is not None:
        found = contract.examples(model, data, split, rows)
        with priors.plain(model):
            nll, n = -contract.log_prob(model, found, seed, show=show), int(found.count.sum())
        nats = float(nll.sum() / n)
        deviation = np.std(nll - nats * found.count, ddof=1) if len(nll) > 1 else math.nan
        error = float(deviation * math.sqrt(len(nll)) / n)
    plain = own.baselines(data, rows, getattr(model, "plan", None), seed) if plain is None else plain
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
    rows = some(data.rows[split], SIZES.scored, np.random.default_rng(seed))
    return senses.sense(data.kind).baselines(data, rows, plan, seed)


def copies(model: contract.Model, data: Dataset, n: int = SIZES.samples, seed: int = 0,
           samples: np.ndarray | None = None, sizes: Sizes = SIZES) -> dict:
    """Has the model learned examples by heart? See ``helpers.evaluation.copies``, which judges n samples.

    ``samples`` (n, …) are judged instead of drawn ones. Images are judged twice, the second time made coarse, since a
    blurred copy is a copy. Of "suspects", the most suspicious samples, "train" is the row
    of the nearest training example in ``data.x``.
    """
    own, rng, sizes = senses.sense(data.kind), np.random.default_rng(seed), sizes.within(data)
    if samples is None:
        samples = drawn(model, data, n, seed)
    rows = some(data.rows["train"], sizes.compared, rng)
    held_out = some(data.rows["test"], sizes.held_out, rng)
    alike, known = data.alike, {}
    if alike is not None:
        known = {"alike": alike[rows], "different": len(set(alike[held_out]))}
    figures = judge(samples, data.x[rows], data.x[held_out], own.distances, own.same(data),
                    report_exact=own.EXACT_COUNTS, **known)
    if hasattr(own, "coarse"):
        few = own.coarse(samples[:1])
        again = judge(own.coarse(samples), own.coarse(data.x[rows]), own.coarse(data.x[held_out]), own.distances,
                      1e-3 * math.sqrt(few.size), **known)
        figures |= {"suspicious, coarse": again["suspicious"], "suspicious, coarse, held out":
                    again["suspicious, held out"]}
        if again["copies"] and not figures["copies"]:
            shape = " × ".join(map(str, few.shape[-2:]))
            figures |= {name: again[name] for name in ("copies", "alarm", "suspects")}
            figures["verdict"] = f"Made as coarse as {shape} pixels, {again['verdict']}"
    suspects = [{**suspect, "train": int(rows[suspect["train"]])} for suspect in figures["suspects"]]
    return {**figures, "suspects": suspects}


def drawn(model: contract.Model, data: Dataset, n: int = SIZES.samples, seed: int = 0) -> np.ndarray:
    """n samples, under conditions that are as frequent as in training: those that :func:`copies` judges."""
    train = data.rows["train"]
    c = None if data.c is None else data.c[train[np.random.default_rng(seed).integers(len(train), size=n)]]
    generator = torch.Generator().manual_seed(seed)
    return contract.sample(model, n, c, generator, **senses.sense(data.kind).SAMPLING)


def scored_rows(model: contract.Model, data: Dataset, split: str = "test", seed: int = 0,
                most: int = SIZES.scored) -> np.ndarray:
    """The rows of a split that are scored: all, or ``most`` drawn at random; whole sets of them, of two at least."""
    rows = data.rows[split]
    if not getattr(model, "sets", False) or data.group is None:
        return some(rows, most, np.random.default_rng(seed))
    groups = np.unique(data.group[rows])
    kept = some(groups, max(2, round(most * len(groups) / len(rows))), np.random.default_rng(seed))
    return rows[np.isin(data.group[rows], kept)]


def some(x: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """All rows of x, or ``most`` of them, drawn at random, in their order."""
    return x if len(x) <= most else x[np.sort(rng.choice(len(x), most, replace=False))]
