"""Run the sweeps of notebooks 09 and 11, and write every run into data/sweep.json and data/adapt.json: `make sweep`.

    python tools/sweep.py             what is missing in the files; half an hour from nothing
    python tools/sweep.py --again     everything anew

One job, so that no run disturbs the time of another.
"""

import sys
from pathlib import Path

import torch

import helpers
from helpers import adapt, sweeps
from helpers.knobs import BASE, train_one

FILE = Path(__file__).resolve().parent.parent / "data" / "sweep.json"
ADAPT_FILE = FILE.with_name("adapt.json")
SEEDS = range(5)
RATES = [1e-3, 3e-3, 1e-2, 3e-2]  # for Adam and AdamW; SGD gets as many, each about three times as large


def settings() -> list[dict]:
    """All settings of the sweep; some knobs share some."""
    rows = [
        *sweeps.grid(BASE, code=[2, 5, 10, 20, 40]),
        *sweeps.grid(BASE, width=[32, 64, 128, 256, 512]),
        *sweeps.grid(BASE, depth=[1, 2, 3, 4]),
        *sweeps.grid(BASE, share=[1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0]),
        *sweeps.grid(BASE, steps=[250, 500, 1000, 2000, 4000]),
        *sweeps.grid(BASE, optimiser=["adam", "adamw"], schedule=["constant", "cosine"], lr=RATES),
        *sweeps.grid(BASE, optimiser=["sgd"], schedule=["constant", "cosine"], lr=[3e-3, 1e-2, 3e-2, 1e-1]),
        *sweeps.grid(BASE, width=[32, 128, 512], lr=RATES),  # do knobs interact?
        *sweeps.grid(BASE, width=[32], lr=[1e-1]),
        *sweeps.grid(BASE, batch_size=[200], steps=[250], lr=RATES),
        *sweeps.grid(BASE, steps=[250, 500, 2000], lr=[1e-2]),
        *sweeps.grid(BASE, width=[256], lr=[1e-2]),
    ]
    return list({str(row): row for row in rows}.values())


def adapt_settings() -> list[dict]:
    """Every way to start, with every number of examples; and two of them where fonts can be of no use."""
    ways, sizes = adapt.HOW, adapt.SIZES
    return sweeps.grid(adapt.BASE, how=ways, n=sizes) + sweeps.grid(
        adapt.BASE, how=[ways[0], ways[2]], n=sizes, shuffled=[True]
    )


def main():
    helpers.setup(seed=0)
    torch.distributions.Distribution.set_default_validate_args(False)
    for file, one, todo in ((FILE, train_one, settings()), (ADAPT_FILE, adapt.train_one, adapt_settings())):
        if "--again" in sys.argv[1:]:
            file.unlink(missing_ok=True)
        rows = sweeps.run(one, todo, SEEDS, jobs=1, file=file, quiet=False)
        seconds = sum(row.get("seconds", 0) for row in rows)
        print(f"{file.name}: {len(rows)} runs, {seconds / 60:.0f} minutes of training")
        print(*sweeps.failures(rows), sep="\n")


if __name__ == "__main__":
    main()
