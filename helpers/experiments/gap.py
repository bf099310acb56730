"""A broken letter and a gap in a note: codes from a learned prior, kept by how well they fit what is left.

data/gap.json holds its rows; ``python tools/sweep.py`` makes them. Of letters the lower half is erased; of notes ten of
51 frames, in the middle or at the beginning. Letters are of changed copies of the test fonts, notes of test
instruments.
"""

import functools
import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers import disk
from helpers.build import restore
from helpers.data import glyphs, notes
from helpers.experiments import priors, sweeps
from helpers.experiments.filling import DRAWS, LEAVE, rank_of

LETTERS, COPIES, SIDE = "AGMRaegn", 4, 28
POOL = {"letter": 2500, "note": 800}  # codes from the prior
TEMPERATURES = {"letter": 100.0, "note": 60.0}  # the β that the VAEs were trained with
NAMES = {"letter": ("glyphs-fonts", "glyphs-prior"), "note": ("notes-instruments", "notes-prior")}
PITCHES = (12, 19, 24)  # C4, G4, C5, of those that test instruments have
GAPS = {"middle": slice(15, 25), "beginning": slice(0, 10)}


@functools.cache
def shipped(of: str) -> tuple[Any, Any]:
    """A VAE of sets, and a prior over its codes."""
    vae, prior = (restore(disk.PRETRAINED / name)[0].eval() for name in NAMES[of])
    return vae, prior


@torch.no_grad()
def pool(of: str, label: int, z: Tensor) -> np.ndarray:
    """What codes z (N, K) are decoded to under one label: (N, D)."""
    vae = shipped(of)[0]
    return torch.cat([vae.expect(some, torch.tensor([label])).flatten(1) for some in z.split(500)]).numpy()


def sigma_of(of: str) -> float:
    """The deviation of the decoder's numbers."""
    vae = shipped(of)[0]
    with torch.no_grad():
        return float(vae.decode(torch.zeros(1, vae.code), torch.zeros(1, 1, dtype=torch.long)).stddev.mean())


def chances(x: np.ndarray, shown: np.ndarray, known: np.ndarray, scale: float) -> np.ndarray:
    """How probable each of the draws ``shown`` (M, D) is, given the known numbers of x (N, D): (N, M).

    scale: 2 σ² T.
    """
    apart = torch.cdist(torch.as_tensor(x[:, known]).float(), torch.as_tensor(shown[:, known]).float()).square().numpy()
    weight = np.exp(-(apart - apart.min(axis=1, keepdims=True)) / scale)
    return weight / weight.sum(axis=1, keepdims=True)


def judge(draws: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """Completions (N, DRAWS, H) beside the truth (N, H): ``held``, of the mean of the hidden numbers, by ranks;
    ``error`` of the mean of the draws, and of ``one`` of them: mean absolute differences."""
    ranks = np.array([rank_of(one.mean(), some.mean(axis=1), rng) for one, some in zip(truth, draws)])
    return {"held": ((ranks >= LEAVE) & (ranks <= DRAWS - LEAVE)).mean(),
            "error": np.abs(draws.mean(axis=1) - truth).mean(), "one": np.abs(draws[:, 0] - truth).mean()}


def single(guess: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The error of one completion each, (N, H)."""
    return {"error": np.abs(guess - truth).mean()}


def kept(x: np.ndarray, shown: np.ndarray, known: np.ndarray, of: str, rng: np.random.Generator) -> tuple[Any, Any]:
    """Of draws ``shown`` (M, D) those that fit x (N, D): (N, DRAWS, D); and effective numbers, (N,)."""
    p = chances(x, shown, known, 2 * sigma_of(of) ** 2 * TEMPERATURES[of])
    which = np.stack([rng.choice(len(shown), DRAWS, p=row) for row in p])
    return shown[which], 1 / (p**2).sum(axis=1)


def letters(seed: int) -> dict[str, dict[str, float]]:
    """Letters whose lower half is erased, in ink from 0 to 1."""
    rng, known = np.random.default_rng(seed), np.repeat([True, False], SIDE * SIDE // 2)
    z = shipped("letter")[1].sample(POOL["letter"], generator=torch.Generator().manual_seed(seed))
    x, c = priors.fresh_fonts("test", 40 + seed, COPIES)
    train = glyphs.load().train
    found: dict[str, list] = {"prior": [], "nearest": [], "mean": []}
    for letter in LETTERS:
        k = glyphs.CHARACTERS.index(letter)
        here, others = x[(c == k).any(axis=1), k], np.asarray(train.x)[train.c == k].astype(np.float32)
        truth = glyphs.ink(here)[:, ~known]
        fitting, effective = kept(here, pool("letter", k, z), known, "letter", rng)
        drawn = glyphs.ink(fitting)[:, :, ~known]
        found["prior"].append(judge(drawn, truth, rng) | {"effective": np.median(effective)})
        apart = torch.cdist(torch.as_tensor(here[:, known]), torch.as_tensor(others[:, known])).numpy()
        near = glyphs.ink(others[np.argsort(apart, axis=1)[:, :DRAWS]])[:, :, ~known]
        found["nearest"].append(judge(near, truth, rng) | {"error": single(near[:, 0], truth)["error"]})
        found["mean"].append(single(glyphs.ink(others)[:, ~known].mean(axis=0), truth))
    return {way: {name: float(np.mean([one[name] for one in many])) for name in many[0]} for way, many in found.items()}


def sounds(gap: slice, seed: int) -> dict[str, dict[str, float]]:
    """Notes with a gap, in log-magnitudes."""
    rng, data = np.random.default_rng(seed), notes.load()
    sets, train = data.sets("test"), data.train
    hidden = np.zeros((513, 51), bool)
    hidden[:, gap] = True
    known = ~hidden.ravel()
    z = shipped("note")[1].sample(POOL["note"], generator=torch.Generator().manual_seed(seed))
    found: dict[str, list] = {"prior": [], "corrected": [], "nearest": [], "line": []}
    for pitch in PITCHES:
        x = sets.x[sets.c[:, pitch] >= 0, pitch].astype(np.float32)  # type: ignore[index]  # (N, 513, 51)
        flat, others = x.reshape(len(x), -1), np.asarray(train.x)[train.c == pitch].astype(np.float32)
        fitting, effective = kept(flat, pool("note", pitch, z), known, "note", rng)
        truth, others = flat[:, ~known], others.reshape(len(others), -1)
        found["prior"].append(judge(fitting[:, :, ~known], truth, rng) | {"effective": np.median(effective)})
        mean = fitting.mean(axis=1)
        found["corrected"].append(single(mean[:, ~known] + line((flat - mean).reshape(x.shape), gap), truth))
        apart = torch.cdist(torch.as_tensor(flat[:, known]), torch.as_tensor(others[:, known])).numpy()
        found["nearest"].append(single(others[apart.argmin(axis=1)][:, ~known], truth))
        found["line"].append(single(line(x, gap), truth))
    return {way: {name: float(np.mean([one[name] for one in many])) for name in many[0]} for way, many in found.items()}


def line(x: np.ndarray, gap: slice) -> np.ndarray:
    """Hidden frames of x (N, 513, 51), on a line between the frames beside them, of which one may be missing: (N, H).

    For what a model misses, it is the correction that lets the seams vanish.
    """
    n, after = gap.stop - gap.start, x[:, :, gap.stop]
    before = x[:, :, gap.start - 1] if gap.start else after
    part = np.arange(1, n + 1) / (n + 1)
    return (before[..., None] * (1 - part) + after[..., None] * part).reshape(len(x), -1)


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """What is hidden, by codes from the prior and by rivals; nothing is trained."""
    start = time.process_time()
    found = letters(seed) if setting["of"] == "letter" else sounds(GAPS[setting["gap"]], seed)
    figures = {f"{way}, {name}": value for way, one in found.items() for name, value in one.items()}
    return figures | {"seconds": time.process_time() - start}


SETTINGS: list[dict] = [{"of": "letter"}, *({"of": "note", "gap": gap} for gap in GAPS)]
SEEDS = range(3)


def table(rows: list[dict]) -> str:
    """Errors of all ways, and of the draws how often the interval holds: means and standard errors over seeds."""
    def cell(setting: dict, name: str) -> str:
        found = sweeps.figures(rows, setting, name)
        return f"{found.mean():.3f} ± {found.std(ddof=1) / math.sqrt(len(found)):.3f}"

    ways = {"draws, their mean": "prior", "corrected": "corrected", "nearest": "nearest", "mean or line": ""}
    lines = [f"{'hidden':<22}" + "".join(f"{way:<18}" for way in ways) + f"{'held':<15}effective"]
    for setting in SETTINGS:
        of_letter = setting["of"] == "letter"
        lines.append(f"{'half of a letter' if of_letter else setting['gap'] + ' of a note':<22}")
        for way in ways.values():
            way = way or ("mean" if of_letter else "line")
            lines[-1] += f"{'–' if of_letter and way == 'corrected' else cell(setting, way + ', error'):<18}"
        lines[-1] += f"{cell(setting, 'prior, held'):<15}{sweeps.figures(rows, setting, 'prior, effective').mean():.0f}"
    return "\n".join(lines)
