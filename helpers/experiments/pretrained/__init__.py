"""The models that ship in data/pretrained: how each is built, trained and judged. `make pretrained` makes all anew.

    digits        VAEs of the binary digits, convolutional and plain, five seeds each
    portrait      the other families on the digits: masked network, MADE, Boltzmann machine, GAN
    flow          flow matching on the grey digits, trained until it copies
    fonts         the VAE of fonts, and the reader that judges its alphabets
    instruments   the VAE of instruments
    names         models of names for colours: five seeds each, two VAEs, two masked models
    priors        flow matching over the codes of fonts and of instruments, told traits

Each has a plan, a dict that ``helpers.build.assemble`` turns into the untrained model. It is on the card as well, so
that ``helpers.build.restore(path)`` opens any of them; and recipes train nothing else than what the plan says.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from helpers import disk
from helpers.experiments.pretrained import digits, flow, fonts, instruments, names, portrait, priors

# By the name of the card. The reader comes before the fonts that it reads, and priors after their VAEs.
RECIPES: dict[str, Callable[[Path], str]] = {
    **{f"digits-{kind}-{seed}": partial(digits.train, kind, seed) for kind in digits.PLANS for seed in digits.SEEDS},
    **{f"{family}-digits": partial(portrait.train, family) for family in portrait.PLANS},
    "flow-digits": flow.train,
    "glyphs-reader": fonts.train_reader,
    "glyphs-fonts": fonts.train,
    "notes-instruments": instruments.train,
    **{f"names-{kind}": partial(names.train, kind) for kind in names.KINDS},
    **{name: partial(priors.train, name) for name in priors.PLANS},
}


class RecipeError(ValueError):
    """A model that there is no recipe for. The message says which there are."""


def train(wanted: Iterable[str] = (), folder: Path = disk.PRETRAINED) -> None:
    """Train models by their names, "digits-conv-0" or "conv-0" for short, all if none is named; save them in folder.

    Raises RecipeError, before anything is trained, for a name that there is not.
    """
    chosen = [name if name in RECIPES else f"digits-{name}" for name in wanted] or list(RECIPES)
    for name in chosen:
        if name not in RECIPES:
            raise RecipeError(f"no model is called {name.removeprefix('digits-')}; choose among {', '.join(RECIPES)}.")
    for name in chosen:
        print(f"{name}: {RECIPES[name](folder)}", flush=True)
