"""The VAE of fonts, as the lesson Images: draw a new typeface builds it, and the reader that judges its alphabets."""

import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from helpers import checkpoints, evaluation
from helpers.build import assemble, restore
from helpers.data import Dataset, Split, glyphs, strokes
from helpers.models import SetVAE
from helpers.models.images import Reader
from helpers.training import fit, ramp

# First weights are drawn in the order of a plan: of the decoder before the encoder.
PLAN: dict[str, Any] = {
    "model": "SetVAE",
    "decoder": {"model": "ConditionalDecoder", "K": 16, "C": 62, "hidden": [512, 512], "D": 784, "sigma": 0.3},
    "encoder": {"model": "ConditionalEncoder", "D": 784, "C": 62, "hidden": [384, 384], "K": 16},
    "code": 16,
}
READER_PLAN = {"model": "Reader", "C": 62, "channels": 24, "hidden": 128}

# Sampled alphabets should be as legible and as varied as can be: a high β costs likelihood, and gives codes that
# fill the prior, as the lesson shows.
TRAINING: dict[str, Any] = dict(epochs=700, batch_size=48, lr=2e-3, weight_decay=0.01, clip=1.0, warmup=0.03)
OBJECTIVE: dict[str, Any] = dict(beta=100.0, members=8, seen=6)
READER_TRAINING: dict[str, Any] = dict(epochs=3, batch_size=128, lr=2e-3, weight_decay=0.02, warmup=0.1)
ONE_LETTER = [glyphs.CHARACTERS.index(k) for k in "AGMRaegn"]  # shown one at a time


def fonts_vae(average: np.ndarray | torch.Tensor | None = None) -> SetVAE:
    """An untrained VAE of fonts, as `glyphs-fonts` in data/pretrained: one code of 16 for all characters of a font.

    ``average`` is the field of each character (62, 784) from which learning starts.
    """
    model = cast(SetVAE, assemble(PLAN))
    if average is not None:
        model.decoder.start_from(average, PLAN["decoder"]["sigma"])
    return model


@torch.no_grad()
def figures(model: SetVAE, reader: Reader, data: Dataset) -> dict[str, float]:
    """What the card of the fonts' VAE reports; the lesson says what each figure means."""
    every, train = torch.arange(62), data.sets("train")
    generator = torch.Generator().manual_seed(1)
    alphabets = model.sample(256, every, generator=generator, mean=True)
    read = reader.read(glyphs.ink(alphabets).reshape(-1, 784)).reshape(256, 62)
    found = {
        "recognised": (read == every).float().mean().item(),
        "diversity": evaluation.diversity(glyphs.ink(alphabets)),
        "broken": glyphs.broken(alphabets).mean(),
        "broken, mended": glyphs.broken(strokes.mend(alphabets)).mean(),
        "diversity of real fonts": evaluation.diversity(glyphs.ink(originals(train, data))),
    }
    for split in ("valid", "test"):
        sets = data.sets(split)
        x, c = torch.as_tensor(sets.x), torch.as_tensor(sets.c)
        ours, nearest = [], []
        for k in ONE_LETTER:
            guess = model.expect(model.posterior(x[:, [k]], c[:, [k]]).mean, every)
            ours.append(evaluation.set_errors(glyphs.ink(guess.numpy()), glyphs.ink(sets.x), sets.c, [k]))
            row = evaluation.nearest_set(glyphs.ink(sets.x), sets.c, glyphs.ink(train.x), train.c, [k])
            copied = glyphs.ink(train.x[row])
            nearest.append(evaluation.set_errors(copied, glyphs.ink(sets.x), sets.c, [k], train.c[row]))
        found |= {f"{split}, from one letter": np.mean(ours), f"{split}, nearest font": np.mean(nearest)}
    return {name: round(float(value), 4) for name, value in found.items()}


def originals(sets: Split, data: Dataset) -> np.ndarray:
    """The fonts of a split that have all 62 characters and are no changed copies: (N, 62, 784)."""
    real = np.array(["/" not in data.group_names[g] for g in sets.index])
    return sets.x[real & (sets.c >= 0).all(axis=1)]


def train_reader(folder: Path) -> str:
    """Train the classifier of characters that judges what the generator draws; returns what it reached, in words."""
    data = glyphs.load(form="ink", checked=False)
    torch.manual_seed(0)
    reader = cast(Reader, assemble(READER_PLAN))
    fit(reader, data, seed=0, quiet=True, **READER_TRAINING)
    right = read_right(reader, data)
    checkpoints.save(
        folder / "glyphs-reader",
        reader.state_dict(),
        model="convolutional classifier of 62 characters",
        plan=READER_PLAN,
        made_by="make pretrained (glyphs-reader)",
        data="glyphs, ink; see data/README.md",
        training=READER_TRAINING | {"seed": 0},
        right=right,
        licence="MIT",
        limits="Printed characters centred in 28 × 28 pixels; I, l and 1 are often one shape.",
    )
    return str(right)


def read_right(reader: Reader, data: Dataset) -> dict[str, float]:
    """The part of characters, held out as ink, that the reader reads right."""
    splits = {"validation": data.valid, "test": data.test}
    right = {name: reader.read(torch.as_tensor(part.x)).numpy() == part.c for name, part in splits.items()}
    return {name: round(float(found.mean()), 4) for name, found in right.items()}


def train(folder: Path) -> str:
    """Train the fonts' VAE and save it with its card; returns what it reached, in words. The reader must be there."""
    reader, _ = restore(folder / "glyphs-reader")
    data, start = glyphs.load(checked=False), time.perf_counter()  # checked copies made it no better
    part = data.train
    torch.manual_seed(0)
    model = fonts_vae(np.stack([part.x[part.c == k].mean(axis=0) for k in range(62)]))
    objective = OBJECTIVE | {"beta": ramp(end=OBJECTIVE["beta"])}
    fit(model, (data.sets("train"), data.sets("valid")), seed=0, objective=objective, **TRAINING)
    found = figures(model, cast(Reader, reader), glyphs.load())
    save(folder, model, found)
    return f"{found}, {time.perf_counter() - start:.0f} s"


def save(folder: Path, model: SetVAE, found: dict[str, float]) -> None:
    """Write the weights of the fonts' VAE and the card that goes with them."""
    checkpoints.save(
        folder / "glyphs-fonts",
        model.state_dict(),
        model="VAE of fonts: 62 characters as distance fields of 28 × 28, one code of 16 a font, Normal pixels",
        plan=PLAN,
        made_by="make pretrained (glyphs-fonts)",
        data="glyphs, distance, 40 changed copies of each text font; see data/README.md",
        training=TRAINING | OBJECTIVE | {"seed": 0},
        figures=found,
        licence="MIT",
        limits="Learnt from 24 fonts and changed copies of them: Latin letters and digits, no kerning, no accents.",
    )
