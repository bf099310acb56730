"""Priors over the codes of the shipped typefaces, instruments and names: what each is worth, over five seeds.

data/priors.json holds its rows; ``python tools/sweep.py`` makes them. What is held out has two meanings here. *Copies*
are codes of changed copies of the training fonts, or of instruments between the training instruments, that nobody has
seen: more of the same. *New* are codes of fonts and of regions of timbre that were kept back as a whole.
"""

import functools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers import disk, evaluation, sound, synthesis
from helpers.build import restore
from helpers.data import Dataset, colours, glyphs, notes
from helpers.data.colours import parts
from helpers.evaluation.two_sample import told_apart, told_by_trees
from helpers.experiments import sweeps
from helpers.models.prior import FlowPrior, Prior
from helpers.models.texts import bits_per_character
from helpers.priors import Codes, fit_prior, posteriors

ALPHABETS, INSTRUMENTS, DRAWN = 256, 400, 400  # alphabets and instruments that are judged; codes drawn, at least
EACH = 24  # changed copies of each held-out font
STEPS = {"typefaces": 1500, "instruments": 1000, "names": 600}
COARSE = 12  # midpoint steps of log p, for a flow
FEW = 200  # codes whose log p is computed
SHOWN = (60, 72)  # two notes of each instrument, as in the lesson Audio


class Bench(NamedTuple):
    """The codes of one kind of data: to learn from, to choose by, to judge by; and what judges codes (N, K)."""

    train: Codes
    chosen_by: dict[str, Codes]  # "copies" and "new": see above
    copies: Codes
    new: Codes
    judge: Callable[[Tensor, Prior | None], dict[str, float]]


# --- typefaces ---------------------------------------------------------------------------------------


def fresh_fonts(split: str, seed: int, each: int | None = None, part: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Fonts of a split in changed copies that nobody has seen: distances (N, 62, 784), labels (N, 62), -1 if missing.

    As many of each as there are in training, originals left out, or one in ``part``; ``each`` says another number.
    """
    rng, x, c = np.random.default_rng(seed), [], []
    for _, file, alphabet, where in glyphs.FONTS:
        if where != split:
            continue
        drawn = glyphs.draw_font(file, alphabet)
        here = [k for k, character in enumerate(glyphs.CHARACTERS) if character in drawn]
        fine = np.stack([drawn[glyphs.CHARACTERS[k]] for k in here])
        for _ in range(each or (10 if alphabet in glyphs.ORNAMENTAL else 40) // part):
            fields, labels = np.zeros((62, 784), np.float32), np.full(62, -1)
            fields[here], labels[here] = glyphs.unbroken(fine, rng).reshape(len(here), -1), here
            x.append(fields)
            c.append(labels)
    return np.stack(x), np.stack(c)


@torch.no_grad()
def encoded(vae: Any, x: np.ndarray, c: np.ndarray) -> Codes:
    """What the encoder says of sets x (N, M, …) with labels c (N, M)."""
    found = [vae.posterior(torch.as_tensor(some).float(), torch.as_tensor(labels))
             for some, labels in ((x[i : i + 50], c[i : i + 50]) for i in range(0, len(x), 50))]
    return Codes(torch.cat([q.mean for q in found]), torch.cat([q.stddev for q in found]))


@torch.no_grad()
def alphabets(vae: Any, z: Tensor) -> np.ndarray:
    """Alphabets decoded from codes z (N, 16): distances (N, 62, 784)."""
    return torch.cat([vae.expect(some, torch.arange(62)) for some in z.float().split(64)]).numpy()


@functools.cache
def typefaces() -> Bench:
    """Fonts: the judges are those of the lesson Images."""
    vae: Any = restore(disk.PRETRAINED / "glyphs-fonts")[0].eval()
    reader: Any = restore(disk.PRETRAINED / "glyphs-reader")[0].eval()
    data: Dataset = glyphs.load()
    train, valid = posteriors(vae, data), posteriors(vae, data, "valid")
    sets = data.sets("train")
    known = glyphs.ink(sets.x[(np.asarray(sets.c) >= 0).all(axis=1)]).reshape(-1, 62 * 784)

    def judge(z: Tensor, prior: Prior | None) -> dict[str, float]:
        x = alphabets(vae, z[:ALPHABETS])
        ink = glyphs.ink(x)
        read = torch.cat([reader.read(torch.as_tensor(one)) for one in ink]).view(len(x), 62)
        near = np.sqrt(evaluation.nearest(ink.reshape(len(x), -1), known)[1])
        return {"recognised": (read == torch.arange(62)).double().mean().item(),
                "diversity": evaluation.diversity(ink), "nearest": near.mean(), "closest": near.min(),
                "broken": glyphs.broken(x).mean()}

    copies, more = (encoded(vae, *fresh_fonts("train", seed)) for seed in (11, 12))
    return Bench(train, {"copies": more, "new": valid}, copies, encoded(vae, *fresh_fonts("test", 13, EACH)), judge)


# --- instruments -------------------------------------------------------------------------------------


def fresh_instruments(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n instruments from outside of the regions held out, 12 notes each: log-magnitudes (n, 12, 513, 51), labels."""
    families, timbres, split = notes.instruments(2 * n, seed)
    rng, x, c = np.random.default_rng(seed), [], []
    for i in np.flatnonzero(split == "train")[:n]:
        chosen = np.sort(rng.permutation(len(notes.PITCHES))[:12])
        waves = np.stack([notes.play(notes.FAMILIES[families[i]], timbres[i], notes.PITCHES[k]) for k in chosen])
        x.append(sound.log_magnitude(waves).numpy().astype(np.float16))
        c.append(chosen)
    return np.stack(x), np.stack(c)


@torch.no_grad()
def two_notes(vae: Any, z: Tensor) -> np.ndarray:
    """Middle C and the C above it, decoded from codes z (N, 8): log-magnitudes (N, 2, 513, 51)."""
    pitches = torch.tensor(SHOWN) - notes.PITCHES[0]
    return torch.cat([vae.expect(some, pitches) for some in z.float().split(50)]).numpy()


def heard(x: np.ndarray) -> np.ndarray:
    """Brightness, attack and decay of middle C, and the loudest log-magnitude, of x (N, 2, 513, 51): (N, 4)."""
    hz = float(notes.frequency(SHOWN[0]))
    return np.array([[*synthesis.measure(one[0], hz).values(), one.max()] for one in x])


@functools.cache
def instruments() -> Bench:
    """Instruments: diversity as in the lesson Audio, and whether what can be heard lies in the range of real ones."""
    vae = restore(disk.PRETRAINED / "notes-instruments")[0].eval()
    data: Dataset = notes.load()
    train, valid, test = (posteriors(vae, data, split) for split in ("train", "valid", "test"))
    known = two_notes(vae, train.mean)
    range_of = heard(known)
    low, high = range_of.min(axis=0), range_of.max(axis=0)

    def judge(z: Tensor, prior: Prior | None) -> dict[str, float]:
        x = two_notes(vae, z[:INSTRUMENTS])
        found = heard(x)
        near = np.sqrt(evaluation.nearest(x.reshape(len(x), -1), known.reshape(len(known), -1))[1])
        return {"diversity": evaluation.diversity(x), "nearest": near.mean(),
                "outside": ((found < low) | (found > high)).any(axis=1).mean()}

    copies, more = (encoded(vae, *fresh_instruments(INSTRUMENTS, seed)) for seed in (21, 22))
    return Bench(train, {"copies": more, "new": valid}, copies, test, judge)


# --- names -------------------------------------------------------------------------------------------


@functools.cache
def names() -> Bench:
    """Names for colours: bits per character of the test names, by the bound with this prior, and what is drawn."""
    vaes: Any = restore(disk.PRETRAINED / "names-vae")[0]
    vae = vaes[0].eval()
    data: Dataset = colours.load()
    splits = {name: (torch.as_tensor(part.x), torch.as_tensor(part.c).float())
              for name, part in (("train", data.train), ("valid", data.valid), ("test", data.test))}
    with torch.no_grad():
        q = {name: vae.posterior(*part) for name, part in splits.items()}
    codes = {name: Codes(one.mean, one.stddev) for name, one in q.items()}
    known = set(data.vocabulary.decode(data.train.x))
    words = {word for name in known for word in parts(name)}
    x, c = splits["test"]

    @torch.no_grad()
    def judge(z: Tensor, prior: Prior | None) -> dict[str, float]:
        colour = c.repeat(math.ceil(len(z) / len(c)), 1)[: len(z)]
        generator = torch.Generator().manual_seed(0)
        drawn = data.vocabulary.decode(vae.decoder.generate(z, colour, generator, temperature=0.7).numpy())
        found = {"unheard": float(np.mean([name not in known for name in drawn])),
                 "distinct": len(set(drawn)) / len(drawn),
                 "of known words": float(np.mean([all(word in words for word in parts(name)) for name in drawn]))}
        return found if prior is None else found | {"bits": bits(vae, prior, x, c)}

    return Bench(codes["train"], {"new": codes["valid"]}, codes["test"], codes["test"], judge)


def bits(vae: Any, prior: Prior, x: Tensor, c: Tensor, k: int = 50) -> float:
    """The importance-weighted bound of texts x (N, T) with another prior, from k codes each: bits per character."""
    vae.prior, vae.k = prior, k
    return bits_per_character(vae.log_prob(x, c, torch.Generator().manual_seed(0)), x)


# --- all of them -------------------------------------------------------------------------------------

BENCHES = {"typefaces": typefaces, "instruments": instruments, "names": names}


def log_p(prior: Prior, z: Tensor) -> Tensor:
    """log p(z) of codes (N, K), in nats: (N,)."""
    return prior.log_prob(z, steps=COARSE) if isinstance(prior, FlowPrior) else prior.log_prob(z)


def nats(prior: Prior, codes: Codes) -> float:
    """The mean of log p(z) over codes drawn from at most 200 posteriors, evenly taken."""
    return float(log_p(prior, codes.drawn(seed=1)[:: math.ceil(len(codes.mean) / FEW)]).mean())


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """Fit one prior over one kind of codes, and judge it.

    ``told`` and ``trees``: how often two classifiers tell drawn codes from those of copies. ``copies`` and ``new``:
    log p of such codes, in nats a code. Else as the bench judges. A setting with the prior "codes" draws codes of
    other copies, as if they came from a prior.
    """
    bench, kind = BENCHES[setting["of"]](), setting["prior"]
    real, generator, prior = bench.copies.drawn(seed=1), torch.Generator().manual_seed(seed), None
    n, start = max(len(real), DRAWN), time.process_time()
    if kind == "codes":
        z = bench.chosen_by.get("copies", bench.train).drawn(seed=seed)
        z = z[torch.randperm(len(z), generator=generator)[:n]]
    else:
        chosen_by = bench.chosen_by[setting.get("chosen by", "new")]
        prior = fit_prior(kind, None, (bench.train, chosen_by), steps=STEPS[setting["of"]], seed=seed)
        z = prior.sample(n, generator=generator)
    found = {"seconds": time.process_time() - start}
    if prior is not None:
        found |= {"copies": nats(prior, bench.copies), "new": nats(prior, bench.new)}
    found |= {"told": told_apart(z[: len(real)], real, seed), "trees": told_by_trees(z[: len(real)], real, seed)}
    return found | bench.judge(z, prior)


SETTINGS: list[dict] = [
    {"of": of, "prior": prior} | ({"chosen by": by} if by else {})
    for of in BENCHES
    for prior, choices in (("codes", [""]), ("normal", [""]), ("gaussian", [""]),
                           ("mixture", ["copies", "new"]), ("flow", ["copies", "new"]))
    for by in choices
    if of != "names" or by != "copies"
]

COLUMNS = {
    "typefaces": {"trees": ".2f", "copies": ".1f", "new": ".1f", "recognised": ".3f", "diversity": ".1f",
                  "nearest": ".1f", "broken": ".3f"},
    "instruments": {"trees": ".2f", "copies": ".1f", "new": ".1f", "diversity": ".0f", "nearest": ".1f",
                    "outside": ".3f"},
    "names": {"trees": ".2f", "copies": ".2f", "bits": ".3f", "unheard": ".2f", "distinct": ".2f"},
}


def table(rows: list[dict], of: str) -> str:
    """The rows of one kind of codes as a table: means and standard deviations over seeds."""
    cells = [["", *COLUMNS[of]]]
    for setting in (setting for setting in SETTINGS if setting["of"] == of):
        cells.append([setting["prior"] + (f", by {setting['chosen by']}" if "chosen by" in setting else "")])
        for name, form in COLUMNS[of].items():
            values = sweeps.figures(rows, setting, name)
            cells[-1].append("–" if np.isnan(values).any() else f"{values.mean():{form}} ± {values.std(ddof=1):{form}}")
    width = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, width)).rstrip() for line in cells)
