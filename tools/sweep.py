"""Run the sweeps that ship, each run into its file in data/: `make sweep`.

    python tools/sweep.py             what is missing in the files; two hours from nothing
    python tools/sweep.py --again     everything anew
"""

import sys

import torch

import helpers
from helpers.experiments import settings, sweeps


def main() -> int:
    helpers.setup(seed=0)
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        for sweep in settings.SWEEPS:
            if "--again" in sys.argv[1:]:
                sweeps.remove(sweep.file)
            rows = sweep.run()
            seconds = sum(row.get("seconds", 0) for row in rows)
            print(f"{sweep.file.name}: {len(rows)} runs, {seconds / 60:.0f} minutes of training")
            print("\n".join(sweeps.failures(rows)))
    except sweeps.SweepError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
