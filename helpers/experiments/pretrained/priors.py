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
from helpers.evaluation.two_sample import told_by_trees
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
def figures(name: str, vae: Any, prior: FlowPrior) -> dict[str, float]:
    """Draws to which nothing is told, as in the sweep; and mean errors of draws as ordered, in deviations of the
    training traits, where the orders are the traits of new codes."""
    bench, generator = priors.BENCHES[SAYS[name]](), torch.Generator().manual_seed(0)
    z = prior.sample(len(bench.copies.mean), None, generator)
    found = {"trees": told_by_trees(z, bench.copies.drawn(seed=1))} | bench.judge(z, prior)
    orders = traits(name, vae, bench.new.mean)
    z = prior.sample(len(orders), torch.as_tensor(orders).float(), generator, guidance=GUIDANCE)
    errors = np.abs(traits(name, vae, z) - orders).mean(axis=0) / prior.c_deviation.numpy()
    found |= {f"error of {trait}": error for trait, error in zip(TRAITS[name], errors)}
    return {figure: round(float(value), 3) for figure, value in found.items()}


def train(name: str, folder: Path) -> str:
    """Train one prior, and save it with its card; returns what it reached, in words. Its VAE must be there."""
    start, vae = time.perf_counter(), restore(folder / VAES[name])[0].eval()
    bench = priors.BENCHES[SAYS[name]]()
    known, held_out = (with_traits(name, vae, codes) for codes in (bench.train, bench.chosen_by["copies"]))
    prior: Any = fit_prior("flow", None, (known, held_out), steps=STEPS[name], seed=0, **CHOICES[name])
    found = figures(name, vae, prior)
    save(folder, name, prior, found)
    return f"{found}, {time.perf_counter() - start:.0f} s"


def save(folder: Path, name: str, prior: FlowPrior, found: dict[str, float]) -> None:
    """Write the weights of a prior and the card that goes with them."""
    checkpoints.save(
        folder / name,
        prior.state_dict(),
        model=f"prior over the codes of {SAYS[name]}: flow matching, told any of {', '.join(TRAITS[name])}",
        plan=PLANS[name],
        made_by=f"make pretrained ({name})",
        data=f"{name.split('-')[0]}: posteriors of {VAES[name]}; see data/README.md",
        training={"steps": STEPS[name], "seed": 0, "best by": "codes of copies that nobody has seen"},
        figures=found,
        licence="MIT",
        limits="Draws are like the training data, changed copies included; what no training example is like, comes out "
        "badly when it is ordered.",
    )
