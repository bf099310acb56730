"""Run the comparison at the end of notebook 11, and write every run into data/adapt.json: `make sweep`.

    python tools/adapt.py             what is missing in the file; some minutes from nothing
    python tools/adapt.py --again     everything anew
"""

import sys
from pathlib import Path

import torch

import helpers
from helpers import sweeps
from helpers.adapt import BASE, HOW, SIZES, train_one

FILE = Path(__file__).resolve().parent.parent / "data" / "adapt.json"
SEEDS = range(5)


def settings() -> list[dict]:
    """Every way to start, with every number of examples; and two of them where fonts can be of no use."""
    return sweeps.grid(BASE, how=HOW, n=SIZES) + sweeps.grid(BASE, how=[HOW[0], HOW[2]], n=SIZES, shuffled=[True])


def main():
    helpers.setup(seed=0)
    torch.distributions.Distribution.set_default_validate_args(False)
    if "--again" in sys.argv[1:]:
        FILE.unlink(missing_ok=True)
    rows = sweeps.run(train_one, settings(), SEEDS, jobs=1, file=FILE, quiet=False)
    print(f"{len(rows)} runs, {sum(row.get('seconds', 0) for row in rows) / 60:.0f} minutes of training")
    print(*sweeps.failures(rows), sep="\n")


if __name__ == "__main__":
    main()
