"""What is asked for, and what comes out: alphabets and instruments with ordered traits, and alphabets that fit one
letter, over five seeds.

data/orders.json holds its rows; ``python tools/sweep.py`` makes them. Orders are the traits of examples that nobody has
seen, as the decoder draws them: some code fulfils each of them. Errors are in standard deviations of the training
traits.
"""

import functools
import time
from typing import Any

import numpy as np
import torch

from helpers import disk
from helpers.build import restore
from helpers.data import glyphs
from helpers.experiments import priors, sweeps
from helpers.experiments.pretrained import priors as shipped
from helpers.priors import fit_prior

OF = {"typefaces": "glyphs-prior", "instruments": "notes-prior"}
WEIGHTS = (0.0, 0.5, 1.0, 2.0)  # of guidance
TIMES = {"typefaces": 1, "instruments": 4}  # draws of each order
LETTERS = "AGMRaegn"  # each is shown alone
DRAWS = (1_000, 4_000, 16_000)  # from the prior, of which those are kept that fit the letter
COPIES = 24  # changed copies of each held-out font
TEMPERATURE = 100.0  # the β of the shipped VAE


class Knobs:
    """Codes changed by straight lines, as the sliders of the lesson Images change them.

    The traits of training codes z (N, K) are fitted as a linear function of z. A draw from one Gaussian is then changed
    by the likeliest change that gives the traits that are ordered.
    """

    def __init__(self, z: np.ndarray, traits: np.ndarray):
        self.mean, self.covariance = z.mean(axis=0), np.cov(z.T)
        self.centre, self.spread = traits.mean(axis=0), traits.std(axis=0)
        self.slope = np.linalg.lstsq(z - self.mean, (traits - self.centre) / self.spread, rcond=None)[0]  # (K, T)
        across = self.covariance @ self.slope
        self.change = across @ np.linalg.inv(self.slope.T @ across)  # (K, T)

    def draw(self, orders: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Codes (N, K) for orders (N, T)."""
        z = rng.multivariate_normal(self.mean, self.covariance, size=len(orders))
        missing = (orders - self.centre) / self.spread - (z - self.mean) @ self.slope
        return z + missing @ self.change.T


@functools.cache
def told(of: str) -> tuple[Any, dict]:
    """The VAE of a kind of data, and the Codes of its bench, told their traits: train, copies and new."""
    name, bench = OF[of], priors.BENCHES[of]()
    vae: Any = restore(disk.PRETRAINED / shipped.VAES[name])[0].eval()
    parts = {"train": bench.train, "copies": bench.chosen_by["copies"], "new": bench.new}
    return vae, {part: shipped.with_traits(name, vae, codes) for part, codes in parts.items()}


def order(of: str, way: str, seed: int) -> dict[str, float]:
    """Errors of orders by one way: "knobs", "nearest", the training example that is most like the order, or "flow"."""
    (vae, codes), name, bench = told(of), OF[of], priors.BENCHES[of]()
    known, wanted = codes["train"].c.numpy(), np.repeat(codes["new"].c.numpy(), TIMES[of], axis=0)
    spread = known.std(axis=0)
    if way == "nearest":
        found = known[(np.abs(known[None] - wanted[:, None]) / spread).mean(axis=2).argmin(axis=1)]
        return errors(name, found, wanted, spread)
    if way == "knobs":
        rng = np.random.default_rng(seed)
        z = torch.as_tensor(Knobs(codes["train"].mean.numpy(), known).draw(wanted, rng)).float()
        return errors(name, shipped.traits(name, vae, z), wanted, spread) | bench.judge(z, None)
    prior: Any = fit_prior("flow", None, (codes["train"], codes["copies"]), steps=shipped.STEPS[name], seed=seed,
                           **shipped.CHOICES[name])
    result: dict[str, float] = {}
    for w in WEIGHTS:
        generator = torch.Generator().manual_seed(seed)
        z = prior.sample(len(wanted), torch.as_tensor(wanted).float(), generator, guidance=w)
        found = errors(name, shipped.traits(name, vae, z), wanted, spread) | bench.judge(z, None)
        result |= {f"{figure}, w = {w:g}": value for figure, value in found.items()}
    return result


def errors(name: str, found: np.ndarray, wanted: np.ndarray, spread: np.ndarray) -> dict[str, float]:
    """Mean absolute errors of traits (N, T), in deviations: of each, and of all."""
    each = np.abs((found - wanted) / spread).mean(axis=0)
    return {"error": each.mean(), **dict(zip(shipped.TRAITS[name], each))}


# --- one letter --------------------------------------------------------------------------------------


@functools.cache
def held_out(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Alphabets of a split with all 62 characters: distances (N, 62, 784), their traits, and the traits of what the
    decoder makes of the means of their posteriors, both (N, 5)."""
    vae, _ = told("typefaces")
    x, c = priors.fresh_fonts(split, 13, COPIES)
    complete = (c >= 0).all(axis=1)
    x, c = x[complete], c[complete]
    names = shipped.TRAITS["glyphs-prior"]
    real = np.array([[glyphs.measure(one)[trait] for trait in names] for one in x])
    return x, real, shipped.traits("glyphs-prior", vae, priors.encoded(vae, x, c).mean)


def letter(prior: str, seed: int) -> dict[str, float]:
    """How often the 90 % intervals of the traits of an alphabet hold, if one letter of it is known.

    Draws from the prior are weighted by exp(log p(letter|z) / T) with T = β, by
    importance resampling (Rubin, 1987). What the decoder itself does to traits is added: the residual of an
    alphabet of the validation fonts. ``effective`` is the median of the effective numbers.
    """
    vae, codes = told("typefaces")
    train, copies = (codes[part]._replace(c=None) for part in ("train", "copies"))
    fitted: Any = fit_prior(prior, None, (train, copies), steps=priors.STEPS["typefaces"], seed=seed)
    z = fitted.sample(DRAWS[-1], generator=torch.Generator().manual_seed(seed))
    which, names = [glyphs.CHARACTERS.index(one) for one in LETTERS], shipped.TRAITS["glyphs-prior"]
    shown, traits = [], []
    for some in z.split(500):
        alphabets = priors.alphabets(vae, some)
        shown.append(alphabets[:, which])
        traits += [[glyphs.measure(one)[trait] for trait in names] for one in alphabets]
    (x, real, _), (_, of_valid, rebuilt) = held_out("test"), held_out("valid")
    result: dict[str, float] = {}
    for draws in DRAWS:
        found = intervals(np.concatenate(shown)[:draws], np.array(traits)[:draws], x[:, which], real,
                          of_valid - rebuilt, sigma_of(vae), codes["train"].c.numpy().std(axis=0),
                          np.random.default_rng(seed))
        result |= {f"{figure}, {draws} draws": value for figure, value in found.items()}
    return result


def intervals(shown: np.ndarray, traits: np.ndarray, x: np.ndarray, real: np.ndarray, residuals: np.ndarray,
              sigma: float, spread: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """Of draws, whose letters are ``shown`` (M, 8, 784) and whose traits are (M, T), those that fit one letter each of
    x (N, 8, 784); how often the middle 90 % of their traits, with residuals (R, T), hold the ``real`` ones (N, T)."""
    hold, width, miss, effective = [], [], [], []
    for k in range(x.shape[1]):
        squared = torch.cdist(torch.as_tensor(x[:, k]).float(), torch.as_tensor(shown[:, k])).square().numpy()  # (N, M)
        log_w = -squared / (2 * sigma**2 * TEMPERATURE)
        weight = np.exp(log_w - log_w.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        effective.append(1 / (weight**2).sum(axis=1))
        for own, truth in zip(weight, real):
            kept = traits[rng.choice(len(traits), 600, p=own)]
            low, high = np.quantile(kept + residuals[rng.integers(len(residuals), size=600)], [0.05, 0.95], axis=0)
            hold.append((low <= truth) & (truth <= high))
            width.append((high - low) / spread)
            miss.append(np.abs(np.median(kept, axis=0) - truth) / spread)
    return {"held": float(np.mean(hold)), "width": float(np.mean(width)), "error": float(np.mean(miss)),
            "effective": float(np.median(np.concatenate(effective)))}


def sigma_of(vae: Any) -> float:
    """The deviation of the decoder's pixels."""
    with torch.no_grad():
        return float(vae.decoder(torch.zeros(1, vae.code), torch.zeros(1, dtype=torch.long)).stddev.mean())


# --- all of them -------------------------------------------------------------------------------------


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """The figures of one setting, with a seed of its own for the prior and for the draws."""
    start, of, way = time.process_time(), setting["of"], setting["way"]
    found = letter(way, seed) if of == "one letter" else order(of, way, seed)
    return {"seconds": time.process_time() - start} | found


SETTINGS: list[dict] = [
    *({"of": of, "way": way} for of in OF for way in ("nearest", "knobs", "flow")),
    *({"of": "one letter", "way": prior} for prior in ("normal", "flow")),
]


def table(rows: list[dict], of: str) -> str:
    """The errors of one kind of orders as a table: means over seeds, and the standard deviation of that of all traits.

    Both are in standard deviations of the training traits. What is "nearest" depends on no seed.
    """
    traits = shipped.TRAITS[OF[of]]
    lines = [f"{'':<18}error        " + "".join(f"{trait:>11}" for trait in traits)]
    for way, told_w in [("nearest", ""), ("knobs", ""), *(("flow", f", w = {w:g}") for w in WEIGHTS)]:
        found = {name: sweeps.figures(rows, {"of": of, "way": way}, name + told_w) for name in ("error", *traits)}
        error = found["error"]
        lines.append(f"{way + told_w:<18}{error.mean():.3f} ± {error.std(ddof=1):.3f}"
                     + "".join(f"{found[trait].mean():11.2f}" for trait in traits))
    return "\n".join(lines)
