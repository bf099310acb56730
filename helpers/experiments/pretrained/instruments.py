"""The VAE of instruments, as the lesson Audio: play a new instrument builds it."""

import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from helpers import checkpoints, sound
from helpers.build import assemble
from helpers.data import Dataset, notes
from helpers.models import SetVAE
from helpers.training import fit, ramp

# First weights are drawn in the order of a plan: of the decoder before the encoder.
PLAN: dict[str, Any] = {
    "model": "SetVAE",
    "decoder": {"model": "SpectrogramDecoder", "K": 8, "F": 513, "T": 51, "C": 36, "R": 40, "hidden": 256,
                "sigma": 0.35},
    "encoder": {"model": "SpectrogramEncoder", "F": 513, "T": 51, "C": 36, "K": 8, "frame": 32, "hidden": 256,
                "offset": -6.9},
    "code": 8,
}
TRAINING: dict[str, Any] = dict(epochs=150, batch_size=8, lr=3e-3, weight_decay=0.01, clip=1.0, warmup=0.03)
OBJECTIVE: dict[str, Any] = dict(beta=60.0, members=4, seen=3)
SHOWN = 5  # the note from which all others are guessed


def instruments_vae(average: np.ndarray | None = None) -> SetVAE:
    """An untrained VAE of instruments: one code of 8 for all notes of an instrument.

    ``average`` is the spectrum of each pitch (36, 513) from which learning starts.
    """
    model = cast(SetVAE, assemble(PLAN))
    if average is not None:
        model.decoder.start_from(average, PLAN["decoder"]["sigma"])
    return model


@torch.no_grad()
def figures(model: SetVAE, data: Dataset) -> dict[str, float]:
    """What the card of the instruments' VAE reports, log-spectral distances in dB; the lesson says what they mean."""
    average, found = average_spectrograms(data), {}
    for split in ("valid", "test"):
        sets = data.sets(split, dense=False)
        x, c = torch.as_tensor(sets.x).float(), torch.as_tensor(sets.c)
        guess = model.expect(model.posterior(x[:, [SHOWN]], c[:, [SHOWN]]).mean, c)
        rest = [k for k in range(x.shape[1]) if k != SHOWN]
        found[f"{split}, rebuilt"] = distance(model.reconstruct(x, c), x)
        found[f"{split}, from one note"] = distance(guess[:, rest], x[:, rest])
        found[f"{split}, mean spectrogram"] = distance(average[sets.c[:, rest]], x[:, rest])
    return {name: round(float(value), 3) for name, value in found.items()}


def distance(a: np.ndarray | torch.Tensor, b: np.ndarray | torch.Tensor) -> float:
    """The mean log-spectral distance in dB of sets of spectrograms (N, M, F, T)."""
    one, other = (torch.as_tensor(s).flatten(0, 1) for s in (a, b))
    return float(sound.log_spectral_distance(one, other).mean())


def average_spectrograms(data: Dataset) -> np.ndarray:
    """The mean training spectrogram of each pitch: (36, 513, 51)."""
    sets = data.sets("train", dense=False)
    return np.stack([sets.x[sets.c == k].mean(axis=0, dtype=np.float32) for k in range(36)])


def train(folder: Path) -> str:
    """Train the instruments' VAE and save it with its card; returns what it reached, in words."""
    data, start = notes.load(), time.perf_counter()
    pair = tuple(data.sets(split, dense=False) for split in ("train", "valid"))
    torch.manual_seed(0)
    model = instruments_vae(average_spectrograms(data).mean(axis=2))
    fit(model, pair, seed=0, objective=OBJECTIVE | {"beta": ramp(end=OBJECTIVE["beta"])}, **TRAINING)
    found = figures(model, data)
    checkpoints.save(
        folder / "notes-instruments",
        model.state_dict(),
        model="VAE of instruments: log-magnitude spectrograms of 513 × 51 at 36 pitches, one code of 8 an instrument",
        plan=PLAN,
        made_by="make pretrained (notes-instruments)",
        data="notes: 230 training instruments; see data/README.md",
        training=TRAINING | OBJECTIVE | {"seed": 0},
        figures=found,
        licence="MIT",
        limits="Learnt from four families of synthetic sounds of one second, C3 to B5; phases come from Griffin-Lim.",
    )
    return f"{found}, {time.perf_counter() - start:.0f} s"
