"""The sweeps that ship: data/sweep.json, for the lesson Better, faster, data/adapt.json, for Your own model,
data/amounts.json, for Text: one letter after another, data/portrait.json, for A family portrait, data/copying.json,
for Digits out of noise, data/priors.json and data/orders.json, for A learned prior, data/bayes.json,
data/few_labels.json, data/filling.json and data/gap.json, for Put it to work: choose and complete, data/alarm.json,
data/teaching.json and data/inverse.json, for Put it to work: warn, teach, measure.

One job at a time runs them, so that no run disturbs the time of another.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from helpers import disk
from helpers.experiments import (
    adapt,
    alarm,
    amounts,
    bayes,
    copying,
    few_labels,
    filling,
    gap,
    inverse,
    knobs,
    orders,
    portrait,
    priors,
    sweeps,
    teaching,
)

SEEDS = range(5)
RATES = [1e-3, 3e-3, 1e-2, 3e-2]  # for Adam and AdamW; SGD gets as many, each about three times as large


class Sweep(NamedTuple):
    """A file of results, and the runs that belong into it."""

    file: Path
    train_one: Callable[[dict, int], dict]
    settings: list[dict]
    seeds: Iterable[int] = SEEDS

    def run(self) -> list[dict]:
        """Run what is missing in the file; returns the rows of all."""
        return sweeps.run(self.train_one, self.settings, self.seeds, jobs=1, file=self.file, quiet=False)


def settings() -> list[dict]:
    """All settings of the knobs; some knobs share some."""
    base = knobs.BASE
    rows = [
        *sweeps.grid(base, code=[2, 5, 10, 20, 40]),
        *sweeps.grid(base, width=[32, 64, 128, 256, 512]),
        *sweeps.grid(base, depth=[1, 2, 3, 4]),
        *sweeps.grid(base, share=[1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0]),
        *sweeps.grid(base, steps=[250, 500, 1000, 2000, 4000]),
        *sweeps.grid(base, optimiser=["adam", "adamw"], schedule=["constant", "cosine"], lr=RATES),
        *sweeps.grid(base, optimiser=["sgd"], schedule=["constant", "cosine"], lr=[3e-3, 1e-2, 3e-2, 1e-1]),
        *sweeps.grid(base, width=[32, 128, 512], lr=RATES),  # do knobs interact?
        *sweeps.grid(base, width=[32], lr=[1e-1]),
        *sweeps.grid(base, batch_size=[200], steps=[250], lr=RATES),
        *sweeps.grid(base, steps=[250, 500, 2000], lr=[1e-2]),
        *sweeps.grid(base, width=[256], lr=[1e-2]),
    ]
    return list({str(row): row for row in rows}.values())


def adapt_settings() -> list[dict]:
    """Every way to start, with every number of examples; two of them where fonts are of no use; new weights longer."""
    ways, sizes = adapt.HOW, adapt.SIZES
    control = sweeps.grid(adapt.BASE, how=[ways[0], ways[2]], n=sizes, shuffled=[True])
    return [*sweeps.grid(adapt.BASE, how=ways, n=sizes), *control, {**adapt.BASE, **adapt.LONGER}]


KNOBS = Sweep(disk.DATA / "sweep.json", knobs.train_one, settings())
ADAPT = Sweep(disk.DATA / "adapt.json", adapt.train_one, adapt_settings())
AMOUNTS = Sweep(disk.DATA / "amounts.json", amounts.train_one, amounts.settings(), amounts.SEEDS)
PORTRAIT = Sweep(disk.DATA / "portrait.json", portrait.train_one, portrait.SETTINGS)
COPYING = Sweep(disk.DATA / "copying.json", copying.train_one, copying.SETTINGS, copying.SEEDS)
PRIORS = Sweep(disk.DATA / "priors.json", priors.train_one, priors.SETTINGS)
ORDERS = Sweep(disk.DATA / "orders.json", orders.train_one, orders.SETTINGS)
BAYES = Sweep(disk.DATA / "bayes.json", bayes.train_one, bayes.SETTINGS, bayes.SEEDS)
FEW_LABELS = Sweep(disk.DATA / "few_labels.json", few_labels.train_one, few_labels.SETTINGS, few_labels.SEEDS)
FILLING = Sweep(disk.DATA / "filling.json", filling.train_one, filling.SETTINGS, filling.SEEDS)
GAP = Sweep(disk.DATA / "gap.json", gap.train_one, gap.SETTINGS, gap.SEEDS)
ALARM = Sweep(disk.DATA / "alarm.json", alarm.train_one, alarm.SETTINGS)
TEACHING = Sweep(disk.DATA / "teaching.json", teaching.train_one, teaching.SETTINGS)
INVERSE = Sweep(disk.DATA / "inverse.json", inverse.train_one, inverse.SETTINGS)
SWEEPS = (KNOBS, ADAPT, AMOUNTS, PORTRAIT, COPYING, PRIORS, ORDERS, BAYES, FEW_LABELS, FILLING, GAP, ALARM, TEACHING,
          INVERSE)
