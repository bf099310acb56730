"""Models of names for colours, as the two lessons on text build them; several seeds share a file."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from helpers import checkpoints
from helpers.build import assemble
from helpers.data import Dataset, Split, colours
from helpers.data.text import UNKNOWN
from helpers.models.contract import Generator, understood
from helpers.models.texts import bits_per_character
from helpers.training import fit

KINDS = {
    "gru": "GRU",
    "gru-colour": "GRU told the colour",
    "gru-shuffled": "GRU told the colour of another name",
    "transformer": "Transformer",
    "transformer-colour": "Transformer told the colour",
    "masked": "masked diffusion, a Transformer that sees both sides",
    "masked-colour": "masked diffusion, a Transformer that sees both sides, told the colour",
    "words": "GRU of whole words",
    "words-colour": "GRU of whole words told the colour",
    "vae": "VAE, one code of 4 a name, decoded by a GRU told its colour, trained with free bits",
    "vae-plain": "VAE, as names-vae but trained without free bits: its code is ignored",
}

# All chosen on the validation names. The colour gets a little noise, or it is learned by heart, and is divided by 0.1,
# or it is hardly used, as the lesson shows.
TOLD: dict[str, Any] = dict(condition=3, spread=0.1, noise=0.03)
GRU = dict(hidden=128, embedding=64)
TRANSFORMER = dict(width=64, layers=2, heads=4)
MASKED = dict(width=64, layers=2, heads=4)
TRAINING: dict[str, dict[str, Any]] = {
    "gru": dict(batch_size=50, clip=1.0, epochs=60, lr=5e-3, weight_decay=0.1),
    "transformer": dict(batch_size=50, clip=1.0, epochs=80, lr=3e-3, weight_decay=0.1, warmup=0.1),
    "masked": dict(batch_size=50, clip=1.0, epochs=300, lr=4e-3, weight_decay=0.02, warmup=0.1),
    "words": dict(batch_size=50, clip=1.0, epochs=60, lr=5e-3, weight_decay=0.1),
    "vae": dict(batch_size=50, clip=1.0, epochs=60, lr=5e-3, weight_decay=0.01),
}
FREE_BITS = 1.0


def plan(kind: str, data: Dataset) -> dict[str, Any]:
    """All models of one kind in a file, one for each seed: five, or a single VAE, or masked model."""
    family = kind.split("-")[0]
    told = {} if kind == family else TOLD
    if family == "words":
        words = words_of(data)
        return {"model": "GRULanguageModel", "copies": 5, "symbols": len(words), **GRU, "dropout": 0.5,
                "longest": words.encode(data.vocabulary.decode(data.train.x)).shape[1], **told}
    symbols, longest = len(data.vocabulary), data.x.shape[1]
    if family == "gru":
        return {"model": "GRULanguageModel", "copies": 5, "symbols": symbols, **GRU, "dropout": 0.4,
                "longest": longest, **told}
    if family == "transformer":
        return {"model": "Transformer", "copies": 5, "symbols": symbols, **TRANSFORMER, "dropout": 0.3,
                "longest": longest, **told}
    if family == "masked":
        return {"model": "masked-text", "copies": 1, "symbols": symbols, "labels": 0, "shape": [longest], **MASKED,
                "dropout": 0.35, **told}
    both = {"symbols": symbols, "K": 4, **GRU, "condition": 3, "spread": 0.1}
    return {
        "model": "VAE",
        "copies": 1,
        "encoder": {"model": "TextEncoder", **both, "dropout": 0.2},
        "decoder": {"model": "TextDecoder", **both, "dropout": 0.4, "longest": longest},
        "code": 4,
    }


def shuffled(split: Split, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x and c of a split, each name with the colour of another."""
    order = np.random.default_rng(seed).permutation(len(split))
    return split.x, np.asarray(split.c)[order]


def words_of(data: Dataset) -> colours.Words:
    """The words of the training names."""
    return colours.Words(data.vocabulary.decode(data.train.x))


def in_words(split: Split, data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the names of a split whose words all occur in training names: x in words, c, and which they are, (N,)."""
    x = words_of(data).encode(data.vocabulary.decode(split.x))
    known = np.flatnonzero((x != UNKNOWN).all(axis=1))
    return x[known], np.asarray(split.c)[known], known


@torch.no_grad()
def figures(models: Iterable[Generator], data: Dataset, of_words: bool = False) -> dict[str, float]:
    """Bits per character, the mean over models and their standard deviation; for the VAE its bound (IWAE-50), for
    masked diffusion its own (ELBO, 50 draws).

    Models ``of_words`` are asked only about names whose words they know; bits are shared among the characters all the
    same.
    """
    found: dict[str, float] = {}
    models = list(models)
    for name, split in (("validation", data.valid), ("test", data.test)):
        seen, told, letters = split.x, np.asarray(split.c), split.x
        if of_words:
            seen, told, known = in_words(split, data)
            letters = split.x[known]
        x, c, bits = torch.as_tensor(seen), torch.as_tensor(told, dtype=torch.float32), []
        for model in models:
            codes = understood(model.log_prob, dict(k=50))  # nothing, where the likelihood is exact
            bound = model.log_prob(x, c, generator=torch.Generator().manual_seed(0), **codes)
            bits.append(bits_per_character(bound, letters))
        found |= {name: round(float(np.mean(bits)), 3), f"{name}, deviation": round(float(np.std(bits)), 3)}
    return found


def train(kind: str, folder: Path) -> str:
    """Train the models of one kind and save them in one file with a card; returns what they reached, in words."""
    data, start = colours.load(), time.perf_counter()
    models: list[Any] = []
    pair: Any = (shuffled(data.train), shuffled(data.valid)) if kind == "gru-shuffled" else data
    if kind.startswith("words"):
        pair = in_words(data.train, data)[:2], in_words(data.valid, data)[:2]
    several = plan(kind, data)
    one = {name: value for name, value in several.items() if name != "copies"}
    recipe = TRAINING[kind.split("-")[0]]
    objective = dict(free_bits=FREE_BITS) if kind == "vae" else {}
    for seed in range(several["copies"]):
        torch.manual_seed(seed)
        models.append(assemble(one))
        fit(models[-1], pair, seed=seed, objective=objective, quiet=True, **recipe)
    of_words = kind.startswith("words")
    found, unit = figures(models, data, of_words), "word" if of_words else "character"
    checkpoints.save(
        folder / f"names-{kind}",
        nn.ModuleList(models).state_dict(),
        model=f"{KINDS[kind]}, of names for colours, {unit} by {unit}; seeds 0 to {len(models) - 1}",
        plan=several,
        made_by=f"make pretrained (names-{kind})",
        data="colours: 679 training names; see data/README.md",
        training=recipe | objective,
        bits_per_character=found,
        licence="MIT",
        limits="Learnt from 679 English names given by visitors of a web site; some names are crude.",
    )
    return f"{found}, {time.perf_counter() - start:.0f} s"
