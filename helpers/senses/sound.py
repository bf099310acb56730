"""Sounds, as log-magnitude spectrograms: how they are read, modelled, judged and heard."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from helpers.data import recordings
from helpers.data.dataset import DataError, Dataset
from helpers.models import sounds
from helpers.senses import numbers
from helpers.senses.image import DENSITIES
from helpers.senses.numbers import dimensions, distances, same, start  # noqa: F401 - the same for sounds

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes

SUFFIXES = recordings.SUFFIXES
ONE_FILE = False  # whether a single file can be all of the data
SIZE = "seconds"  # what --size sets
read = recordings.sounds

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
    if chosen["rank"] is None:  # a dictionary for each label: smaller, where there are many, or few examples of each
        each = len(data.rows["train"]) / max(1, len(data.names))
        chosen = chosen | {"rank": int(np.clip(each / 2, 4, 40))}
    return {**chosen, "shared": bool(shared), "frequencies": data.x.shape[1], "frames": data.x.shape[2]}


def networks(plan: dict) -> tuple:
    """Encoder and decoder of a plan."""
    F, T, C, K = plan["frequencies"], plan["frames"], max(1, plan["labels"]), plan["code"]
    encoder = sounds.SpectrogramEncoder(F, T, C, K, hidden=plan["hidden"])
    decoder = sounds.SpectrogramDecoder(K, F, T, C, R=plan["rank"], hidden=plan["hidden"],
                                        average=torch.zeros(C, F, T))
    return numbers.for_labels(encoder, decoder, plan)


def recipe(plan: dict, n: int) -> dict:
    """Arguments for ``training.fit`` for a VAE of n sounds, or of n groups that share a code.

    Numbers of a spectrogram are alike within a neighbourhood, and a Normal for each counts them all as news: beta
    weighs against that, or the codes lie far from where samples are drawn (the lesson on audio). Where a group has
    one code, the encoder sees one or two of its sounds, so that it learns to make do with few.
    """
    few = dict(members=3, seen=2) if plan["shared"] else {}
    return dict(batch_size=8, lr=3e-3, weight_decay=0.01, clip=1.0, warmup=0.03,
                epochs=int(np.clip(4000 / math.ceil(n / 8), 100, 400)), beta=4.0, objective=few)


def baselines(data: Dataset, rows: np.ndarray, plan: dict | None = None, seed: int = 0) -> dict[str, float]:
    """Nats of data.x[rows] by models without a code; see numbers."""
    return numbers.normal_baselines(data, rows)


def present(x: np.ndarray, card: dict) -> np.ndarray:
    """What a model drew, as it is shown: spectrograms (n, F, T)."""
    return x


def waves(spectrograms: np.ndarray, seed: int = 0) -> np.ndarray:
    """Log-magnitude spectrograms (n, F, T) as waves (n, samples), by Griffin-Lim, with their peak at 0.9."""
    from helpers import sound

    x = torch.as_tensor(np.asarray(spectrograms, np.float32))
    generator = torch.Generator().manual_seed(seed)
    return sound.normalise(sound.griffin_lim(x.exp(), (x.shape[2] - 1) * sound.HOP, generator=generator).numpy())


def files(x: np.ndarray, labels: list[str] | None, columns: int | None = None, form: str = "") -> dict[str, bytes]:
    """Samples as files, by what is added to the stem of their names: a sheet, and each as FLAC, or as WAV."""
    import matplotlib

    from helpers import sound

    x, form = np.asarray(x, np.float32), form if form == "wav" else "flac"
    low, high = math.log(1e-3), 0.0
    grey = ((x[:, ::-1] - low) / (high - low)).clip(0, 1)  # low frequencies below
    grey = grey[:, -(grey.shape[1] // 2 * 2) :].reshape(len(x), grey.shape[1] // 2, 2, -1).mean(axis=2)
    found = {".png": numbers.tiles(matplotlib.colormaps["magma"](grey.repeat(4, axis=2))[..., :3], labels, columns, 1)}
    width = max(2, len(str(len(x))))
    for i, wave in enumerate(waves(x), start=1):
        found[f"-{i:0{width}d}.{form}"] = sound.encode(wave, format=form)
    return found


HEIGHT, COLUMNS = 1.3, 8  # inches of an example in a figure, and how many stand side by side at most


def draw(ax: "Axes", x: np.ndarray, label: str | None = None) -> None:
    """Draw one example on an axis."""
    ax.imshow(x, origin="lower", aspect="auto", cmap="magma", vmin=-7, vmax=0)
    if label is not None:
        ax.set_title(label, fontsize=8)


def limits(plan: dict) -> list[str]:
    """What whoever uses a model should know, in sentences."""
    return ["Phases come from Griffin-Lim, and are not learnt.", DENSITIES]
