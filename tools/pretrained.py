"""Train the models that ship in data/pretrained, and write what they reach into their cards: `make pretrained`.

    python tools/pretrained.py               all
    python tools/pretrained.py conv-0        some, by name
"""

import sys

import torch

import helpers
from helpers.experiments import pretrained


def main() -> int:
    helpers.setup(seed=0)
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        pretrained.train(sys.argv[1:])
    except pretrained.RecipeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
