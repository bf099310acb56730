"""Priors over the codes of the shipped typefaces and instruments, told measured traits, or some of them, or none.

What can be ordered: weight, slant, width, x-height and serifs of an alphabet; brightness, attack and decay of a note.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers import checkpoints
from helpers.build import restore
from helpers.data import glyphs
from helpers.experiments import priors
from helpers.models.prior import FlowPrior
from helpers.priors import Codes, fit_prior

TRAITS = {
    "glyphs-prior": ("weight", "slant", "width", "x-height", "serif"),
    "notes-prior": ("brightness", "attack", "decay"),
}
VAES = {"glyphs-prior": "glyphs-fonts", "notes-prior": "notes-instruments"}
CHOICES: dict[str, dict[str, Any]] = {"glyphs-prior": {"hidden": 192}, "notes-prior": {"hidden": 128}}
PLANS = {name: FlowPrior(K, condition=len(TRAITS[name]), **CHOICES[name]).plan
         for name, K in (("glyphs-prior", 16), ("notes-prior", 8))}
STEPS = {"glyphs-prior": 2000, "notes-prior": 1500}
SAYS = {"glyphs-prior": "typefaces", "notes-prior": "instruments"}
GUIDANCE = 0.5  # for orders: errors are smallest there, and draws remain legible


def traits(name: str, vae: Any, z: Tensor) -> np.ndarray:
    """What is measured on what codes z (N, K) are decoded to: (N, traits)."""
    if name == "glyphs-prior":
        found = [glyphs.measure(alphabet) for alphabet in priors.alphabets(vae, z)]
    else:
        found = [dict(zip(TRAITS[name], one)) for one in priors.heard(priors.two_notes(vae, z))]
    return np.array([[one[trait] for trait in TRAITS[name]] for one in found])


def with_traits(name: str, vae: Any, codes: Codes) -> Codes:
    """The same codes, told the traits of what their means are decoded to."""
    return codes._replace(c=torch.as_tensor(traits(name, vae, codes.mean)).float())


@torch.no_grad()
def figures(name: str, vae: Any, prior: FlowPrior, train: Codes, new: Codes) -> dict[str, float]:
    """Mean errors of draws as ordered, in deviations of the training traits, for the traits of ``new`` codes."""
    deviation, generator = train.c.std(dim=0).numpy(), torch.Generator().manual_seed(0)  # type: ignore[union-attr]
    z = prior.sample(len(new.mean), new.c, generator, guidance=GUIDANCE)
    errors = np.abs(traits(name, vae, z) - new.c.numpy()).mean(axis=0) / deviation  # type: ignore[union-attr]
    return {f"error of {trait}": round(float(error), 3) for trait, error in zip(TRAITS[name], errors)}


def train(name: str, folder: Path) -> str:
    """Train one prior, and save it with its card; returns what it reached, in words. Its VAE must be there."""
    start, vae = time.perf_counter(), restore(folder / VAES[name])[0].eval()
    bench = priors.BENCHES[SAYS[name]]()
    known, held, new = (with_traits(name, vae, codes) for codes in (bench.train, bench.chosen_by["copies"], bench.new))
    prior: Any = fit_prior("flow", None, (known, held), steps=STEPS[name], seed=0, **CHOICES[name])
    found = figures(name, vae, prior, known, new)
    checkpoints.save(
        folder / name,
        prior.state_dict(),
        model=f"prior over the codes of {SAYS[name]}: flow matching, told any of {', '.join(TRAITS[name])}",
        plan=PLANS[name],
        made_by=f"make pretrained ({name})",
        data=f"{'glyphs' if name == 'glyphs-prior' else 'notes'}: posteriors of {VAES[name]}; see data/README.md",
        training={"steps": STEPS[name], "seed": 0, "best by": "codes of copies that nobody has seen"},
        figures=found,
        licence="MIT",
        limits="Draws are like the training data, copies included; it knows no other families.",
    )
    return f"{found}, {time.perf_counter() - start:.0f} s"
