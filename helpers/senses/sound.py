"""Sounds, as log-magnitude spectrograms: how they are read, modelled, judged and heard."""

import base64
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from helpers.data import files as files_
from helpers.data import recordings
from helpers.data.dataset import DataError, Dataset
from helpers.models import sounds
from helpers.models.contract import Model
from helpers.senses import numbers
from helpers.senses.image import DENSITIES
from helpers.senses.numbers import dimensions, distances, same  # noqa: F401 - the same for sounds

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes

SUFFIXES = recordings.SUFFIXES
SIZE = "seconds"  # what --size sets
read = recordings.sounds
holds_enough = recordings.holds_sounds  # whether one file can be all of the data

MODEL = "vae"  # in helpers.build.FAMILIES: what is built if nothing is said
CHOICES = dict(code=8, rank=None, hidden=256, shared=None, sigma=None)
UNIT = "bits per dimension"
SAMPLING = {"mean": True}  # what the decoder expects, without the noise of its likelihood
PRINTED = False  # whether samples go to the terminal where no file is named
EXACT_COUNTS = False
SHEET = (12, 12)  # samples on a sheet; at most so many labels have a row each


def plan(data: Dataset, chosen: dict) -> dict:
    """What a VAE of these sounds needs beside the choices: a rank, and whether groups share a code."""
    if data.x.ndim != 3:
        raise DataError(f"{data.name}: examples of shape {data.x.shape[1:]} are not spectrograms; give log-magnitudes "
                        "(N, frequencies, frames), as folders.sounds makes them.")
    possible = several = False
    if data.c is not None and data.group is not None:
        groups = len(np.unique(data.group))
        possible = groups < len(data.group)
        several = possible and len({*zip(data.group.tolist(), data.c.tolist())}) > groups
    if chosen["shared"] and not possible:
        raise DataError(f"{data.name}: a shared code needs labels, and groups of several sounds; leave out shared.")
    shared = several if chosen["shared"] is None else bool(chosen["shared"])
    if chosen["rank"] is None:  # fewer spectra where there are few examples
        n = len(data.rows["train"])
        chosen = chosen | {"rank": int(np.clip(max(n / max(1, len(data.names)) / 2, n / 50), 4, 40))}
    return {**chosen, "shared": bool(shared), "frequencies": data.x.shape[1], "frames": data.x.shape[2], "networks": 2}


def networks(plan: dict) -> tuple:
    """Encoder and decoder of a plan."""
    F, T, C, K = plan["frequencies"], plan["frames"], max(1, plan["labels"]), plan["code"]
    encoder: nn.Module
    decoder: nn.Module
    if plan.get("networks") == 2:
        encoder = sounds.SoundEncoder(F, T, C, K, hidden=plan["hidden"])
        decoder = sounds.SoundDecoder(K, F, T, C, R=plan["rank"], hidden=plan["hidden"])
    else:  # runs of earlier versions
        encoder = sounds.SpectrogramEncoder(F, T, C, K, hidden=plan["hidden"])
        decoder = sounds.SpectrogramDecoder(K, F, T, C, R=plan["rank"], hidden=plan["hidden"],
                                            average=torch.zeros(C, F, T))
    return numbers.for_labels(encoder, decoder, plan)


def start(model: Model, data: Dataset, plan: dict, sigma: float | None = None) -> None:
    """Let learning start from the average training example of each label, and from what each frequency differs."""
    encoder, decoder = (getattr(part, "network", part) for part in (model.encoder, model.decoder))
    train = data.train
    average, _ = numbers.averages(train.x, train.c, max(1, plan["labels"]))
    centre, spread = _bands(train.x, np.broadcast_to(0.0, (1, 1, 1)), np.zeros(len(train), int))
    encoder.start_from(centre, spread)
    _, spread = _bands(train.x, average, _labels(train.c, len(train)))
    decoder.start_from(average, np.maximum(spread, 0.02), spread if sigma is None else np.full(len(spread), sigma))


def _bands(x, average, c):
    """By what x (N, F, T) differ from average (C, F, T): mean and standard deviation of each frequency, (F,)."""
    total = squares = np.zeros(x.shape[1])
    for i in range(0, len(x), 100):
        rest = np.asarray(x[i : i + 100], np.float32) - average[c[i : i + 100]]
        total = total + rest.sum(axis=(0, 2), dtype=float)
        squares = squares + np.square(rest).sum(axis=(0, 2), dtype=float)
    n = len(x) * x.shape[2]
    return total / n, np.sqrt(np.maximum(squares / n - np.square(total / n), 0))


def recipe(plan: dict, n: int) -> dict:
    """Arguments for ``training.fit`` for a VAE of n sounds, or of n groups that share a code.

    Numbers of a spectrogram are alike within a neighbourhood, and a Normal for each counts them all as news: beta
    weighs against that, or the codes lie far from where samples are drawn (the lesson on audio). Where a group has
    one code, the encoder sees one or two of its sounds, so that it learns to make do with few.
    """
    few = dict(members=3, seen=2) if plan["shared"] else {}
    size = int(np.clip(n // 64, 8, 32))
    return dict(batch_size=size, lr=3e-3 if size < 16 else 2e-3, weight_decay=0.01, clip=1.0, warmup=0.03,
                epochs=int(np.clip(4000 / math.ceil(n / size), 60, 400)), beta=10.0, objective=few)


def baselines(data: Dataset, rows: np.ndarray, plan: dict | None = None, seed: int = 0) -> dict[str, float]:
    """Nats of data.x[rows] by models without a code: see numbers; and by one with a deviation for each frequency."""
    found, train = numbers.normal_baselines(data, rows), data.train
    labels = 1 if data.c is None else int(data.c.max()) + 1
    average, c = numbers.averages(train.x, train.c, labels)[0], _labels(train.c, len(train))
    sigma = np.maximum(_bands(train.x, average, c)[1], math.exp(sounds.SoundDecoder.LEAST))[:, None]
    own = _labels(None if data.c is None else data.c[rows], len(rows))
    nats = numbers.normal_nats(data.x[rows], average[own], sigma)
    return found | {f"{list(found)[-1]}, by frequency": nats}


def _labels(c, n):
    """The label of each example, (n,): 0 where there are none."""
    return np.zeros(n, int) if c is None else c


def present(x: np.ndarray, card: dict) -> np.ndarray:
    """What a model drew, as it is shown: spectrograms (n, F, T)."""
    return x


def waves(spectrograms: np.ndarray, seed: int = 0) -> np.ndarray:
    """Log-magnitude spectrograms (n, F, T) as waves (n, samples), by Griffin-Lim, with their peak at 0.9."""
    from helpers import sound

    x = torch.as_tensor(np.asarray(spectrograms, np.float32))
    generator = torch.Generator().manual_seed(seed)
    samples = (x.shape[2] - 1) * sound.HOP
    return sound.normalise(sound.griffin_lim(sound.magnitudes(x), samples, generator=generator).numpy())


def players(x: np.ndarray, seed: int = 0, form: str = "mp3") -> list[bytes]:
    """Log-magnitude spectrograms (n, F, T) as sound files, each the bytes of an "mp3" (small), "wav" or "flac"."""
    from helpers import sound

    return [sound.encode(wave, format=form) for wave in waves(x, seed)]


def files(x: np.ndarray, labels: list[str] | None, columns: int | None = None, form: str = "") -> dict[str, bytes]:
    """Samples as files, by what is added to the stem of their names: a sheet, and each as FLAC, or as WAV."""
    from helpers import sound

    x, form = np.asarray(x, np.float32), form if form == "wav" else "flac"
    found = {".png": numbers.tiles(_pictures(x), labels, columns, 1)}
    width = max(2, len(str(len(x))))
    for i, wave in enumerate(waves(x), start=1):
        found[f"-{i:0{width}d}.{form}"] = sound.encode(wave, format=form)
    return found


def html(x: np.ndarray, says: list[str]) -> list[str]:
    """Examples as pieces of a page: spectrograms with a player below, each with what it ``says``, escaped, beside it.

    Of long ones only the first five seconds can be heard. Frequencies are drawn as they are heard, by octaves.
    """
    from helpers import sound

    x = np.asarray(x, np.float32)
    x = x[..., : 1 + HEARD * sound.SAMPLE_RATE // sound.HOP]
    octaves = np.geomspace(2, x.shape[1] - 1, 256).astype(int)
    heard = [base64.b64encode(sound.encode(wave)).decode() for wave in waves(x)]
    return [f'<div class="sound">{numbers.picture(pixels, f"spectrogram of {line}")}<audio controls preload="metadata" '
            f'aria-label="{line}" src="data:audio/mpeg;base64,{data}"></audio></div>'
            for pixels, line, data in zip(_pictures(x[:, octaves]), says, heard)]


def items(path: str | Path, card: dict) -> files_.Items:
    """The sounds of a folder, or the one, as the model of a run takes them. Raises DataError for none."""
    from helpers import sound

    _, frames = card["data"]["shape"]
    found, skipped = files_.judged(path, SUFFIXES, "a sound")
    x, kept, broken = recordings.spectrograms(found, (frames - 1) * sound.HOP)
    return files_.Items(x, [file.place for file in kept], [file.label for file in kept], skipped + broken)


def gap(path: str | Path, card: dict, missing: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A sound of which a part is missing, silent, and what is known of it: (1, F, T) both.

    missing: FROM-TO, in seconds after the silence that it begins with. Raises ValueError for any other.
    """
    from helpers import sound

    found = re.fullmatch(r"(\d*\.?\d+)-(\d*\.?\d+)", missing or "")
    if not found or float(found[1]) >= float(found[2]):
        raise ValueError(f"--missing is {missing!r}; say from when to when, in seconds, such as 0.2-0.5.")
    x = items(path, card).x
    if len(x) > 1:
        raise DataError(f"{files_.shown(path)}: is a folder of {len(x):,} sounds; give one of them.")
    start, stop = (round(float(part) * sound.SAMPLE_RATE / sound.HOP) for part in found.groups())
    known = np.ones(x.shape, bool)
    known[..., start:stop] = False
    return np.where(known, x, x.min()).astype(np.float32), known


def _pictures(x):
    import matplotlib

    low, high = math.log(1e-3), 0.0
    grey = ((x[:, ::-1] - low) / (high - low)).clip(0, 1)  # low frequencies below
    grey = grey[:, -(grey.shape[1] // 2 * 2) :].reshape(len(x), grey.shape[1] // 2, 2, -1).mean(axis=2)
    return matplotlib.colormaps["magma"](grey.repeat(4, axis=2))[..., :3]


HEARD = 5  # seconds on a page
HEIGHT, COLUMNS = 1.3, 8  # inches of an example in a figure, and how many stand side by side at most


def draw(ax: "Axes", x: np.ndarray, label: str | None = None) -> None:
    """Draw one example on an axis."""
    ax.imshow(x, origin="lower", aspect="auto", cmap="magma", vmin=-7, vmax=0)
    if label is not None:
        ax.set_title(label, fontsize=8)


def limits(plan: dict) -> list[str]:
    """What whoever uses a model should know, in sentences."""
    return ["Phases come from Griffin-Lim, and are not learnt.", DENSITIES]
