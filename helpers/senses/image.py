"""Images: how they are read, modelled, judged and shown. The other senses have the same names."""

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from helpers.data import files as files_
from helpers.data import pictures, pixels
from helpers.data.dataset import DataError, Dataset, as_floats
from helpers.evaluation.two_sample import energy_distance
from helpers.models import images
from helpers.models.contract import Model
from helpers.senses import numbers
from helpers.senses.numbers import dimensions, distances, same  # noqa: F401 - the same for images

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes

SUFFIXES = pictures.SUFFIXES
SIZE = "size"  # what --size sets: pixels of a side
read = pictures.images
holds_enough = pictures.holds_images  # whether one file can be all of the data

MODEL = "vae"  # in helpers.build.FAMILIES: what is built if nothing is said
CHOICES = dict(code=16, channels=16, hidden=256, convolutional=True, dropout=0.1, likelihood=None, sigma=None)
UNIT = "bits per dimension"
SAMPLING = {"mean": True}  # what the decoder expects, without the noise of its likelihood
PRINTED = False  # whether samples go to the terminal where no file is named
EXACT_COUNTS = False
SHEET = (100, 16)  # samples on a sheet; at most so many labels have a row each
LARGEST = 256  # pixels of a side
COARSE = 12  # pixels of a side, at most, when blurred copies are looked for
TONED = 500  # validation images that the tone is taken from
UNLEARNT = 0.5  # of the squared differences between images: where more are left, means are shown as they are
MOST_NUMBERS = 50_000_000  # of training examples that are counted for the histograms


def plan(data: Dataset, chosen: dict) -> dict:
    """What a VAE of these images needs beside the choices; a "likelihood" of None is decided by the data."""
    shape = data.x.shape[1:]
    seen = shape if len(shape) > 1 else tuple(data.shape)  # rows of pixels know what they are to be shown as
    seen = (1, *seen)[-3:] if len(seen) in (2, 3) else seen
    if len(seen) != 3 or math.prod(seen) != math.prod(shape) or seen[0] not in (1, 3) or min(seen[1:]) < 4:
        raise DataError(f"{data.name}: examples of shape {shape} are not images that a model is built for; give grey "
                        "ones, (N, H, W), or colour, (N, 3, H, W), of at least 4 × 4.")
    if chosen["convolutional"] and max(seen[1:]) > LARGEST:
        raise DataError(f"{data.name}: images of {seen[1]} × {seen[2]} are too large for this model; give a size of at "
                        f"most {LARGEST}, better 64 or less.")
    low, high = numbers.value_range(data.train.x)
    within = 0 <= low and high <= 1
    if chosen["likelihood"] == "levels" and not within:
        raise DataError(f"{data.name}: its values reach from {low:g} to {high:g}, and 256 levels from 0 to 1; rescale "
                        "them, or choose likelihood='normal'.")
    likelihood = chosen["likelihood"] or ("levels" if within else "normal")
    return {**chosen, "likelihood": likelihood, "shape": list(seen), "rows": list(shape), "networks": 3}


def networks(plan: dict) -> tuple:
    """Encoder and decoder of a plan."""
    C, K, options = max(1, plan["labels"]), plan["code"], {"dropout": plan["dropout"]}
    shape = tuple(plan["shape"] if plan["shape"][0] == 3 else plan["shape"][1:])
    levels = {"levels": plan["likelihood"] == "levels", "example": plan["rows"]}
    if plan["convolutional"]:
        options |= {"channels": plan["channels"], "hidden": plan["hidden"]}
        new, toned = plan.get("networks", 1) >= 2, plan.get("networks", 1) >= 3  # else a run of earlier versions
        encoder: nn.Module = images.ImageEncoder(shape, C, K, **options, centred=new)
        decoder: nn.Module = images.ImageDecoder(shape, C, K, **levels, **options, pace=10.0 if new else 1.0,
                                                 toned=toned)
        return numbers.for_labels(encoder, decoder, plan)
    wide, narrow = 2 * plan["hidden"], plan["hidden"]
    encoder = images.PlainImageEncoder(shape, C, K, hidden=(wide, narrow), **options)
    decoder = images.PlainImageDecoder(shape, C, K, hidden=(narrow, wide), **levels, **options)
    return numbers.for_labels(encoder, decoder, plan)


def start(model: Model, data: Dataset, plan: dict, sigma: float | None = None) -> None:
    """Let learning start from the average training example of each label, and from what examples differ from it."""
    numbers.start(model, data, plan, sigma)
    encoder = getattr(model.encoder, "network", model.encoder)
    if isinstance(encoder, images.ImageEncoder):
        encoder.start_from(*numbers.averages(data.train.x, None, 1))


@torch.no_grad()
def finish(model: Model, data: Dataset) -> None:
    """Give the codes of training images mean 0 and deviation 1 in each number, as those that are drawn have; find the
    curve along which means are shown (see :func:`tone`).

    After a short training codes lie farther out, and draws would show the middle of the data alone. Encoder and decoder
    change together: images are rebuilt as before, and the KL term falls.
    """
    encoder, decoder = (getattr(part, "network", part) for part in (model.encoder, model.decoder))
    if not isinstance(encoder, images.ImageEncoder):
        return
    model.eval()
    train, means, squares = data.train, [], []
    for i in range(0, min(len(train), 20 * numbers.BLOCK), numbers.BLOCK):
        part = slice(i, i + numbers.BLOCK)
        c = None if train.c is None else torch.as_tensor(train.c[part])
        q = model.posterior(torch.as_tensor(np.asarray(as_floats(train.x[part]), np.float32)), c)
        means.append(q.mean)
        squares.append(q.mean.square() + q.stddev.square())
    mean = torch.cat(means).mean(dim=0)
    deviation = (torch.cat(squares).mean(dim=0) - mean.square()).sqrt()
    encoder.rescale(mean, deviation)
    decoder.rescale(mean, deviation)
    if decoder.tone is not None:
        decoder.tone.copy_(torch.linspace(0, 1, 256))  # after further training, a new one
        decoder.tone.copy_(torch.as_tensor(tone(model, data)))


def tone(model: Model, data: Dataset) -> np.ndarray:
    """The curve along which means are shown so that levels are as frequent as in real images: (256,), rising.

    What a decoder expects is a mean over sharp images, and has grey where each of them is black or white. The curve
    gives validation images, rebuilt, the histogram of the real ones. It stays straight unless it also makes their
    squares of 3 × 3 pixels more alike, by the energy distance, and unless most of what images differ by is rebuilt:
    contrast shall not stand for what was never learnt.
    """
    straight = np.linspace(0, 1, 256)
    rows = np.random.default_rng(0).permutation(data.rows["valid"])[:TONED]
    x = np.asarray(as_floats(data.x[rows]), np.float32)
    c = None if data.c is None else torch.as_tensor(data.c[rows])
    rebuilt = model.reconstruct(torch.as_tensor(x), c).numpy()
    if np.square(rebuilt - x).sum() > UNLEARNT * np.square(x - x.mean(axis=0)).sum():
        return straight
    part = np.linspace(0, 1, 4001)
    mine, theirs = np.quantile(rebuilt, part), np.quantile(x, part)
    at = np.unique(mine)  # many pixels are just black, or white
    found = np.interp(straight, at, [theirs[mine == level].mean() for level in at])
    shape = tuple(model.plan["shape"])
    mine, theirs = (_squares(images.reshape(-1, *shape)) for images in (rebuilt, x))
    before, after = (energy_distance(squares, theirs) for squares in (mine, np.interp(mine, straight, found)))
    return found if after < before else straight


def _squares(x, n=2000, seed=0):
    """Squares of 3 × 3 pixels of images (N, planes, H, W), drawn at random, the same places each time: (n, …)."""
    rng = np.random.default_rng(seed)
    image, top, left = (rng.integers(size, size=n) for size in (len(x), x.shape[2] - 2, x.shape[3] - 2))
    return np.stack([x[i, :, a : a + 3, b : b + 3].ravel() for i, a, b in zip(image, top, left)])


def recipe(plan: dict, n: int) -> dict:
    """Arguments for ``training.fit`` for a VAE of n training images."""
    size = 32 if n < 1000 else 64
    epochs = int(np.clip(20_000 / math.ceil(n / size), 20, 400))
    lr = 4e-3 if n < 1000 else 2e-3  # few steps are left where there are few images
    return dict(batch_size=size, lr=lr, weight_decay=0.01, clip=1.0, warmup=0.05, epochs=epochs, beta=1.0)


def baselines(data: Dataset, rows: np.ndarray, plan: dict | None = None, seed: int = 0) -> dict[str, float]:
    """Nats of data.x[rows] by models without a code.

    Of 256 grey levels: uniform; and independent pixels, each a histogram of its label, interpolated with that of all
    labels and of all pixels. Of other numbers, and for a plan whose likelihood is "normal": see numbers.
    """
    likelihood = (plan or {}).get("likelihood")
    if likelihood is None:
        low, high = numbers.value_range(data.train.x)
        likelihood = "levels" if 0 <= low and high <= 1 else "normal"
    if likelihood != "levels":
        return numbers.normal_baselines(data, rows)
    train, D = data.train, math.prod(data.x.shape[1:])
    labels = None if data.c is None or data.c.ndim > 1 else data.c
    c = np.zeros(len(rows), int) if labels is None else labels[rows]
    few = np.arange(len(train))
    if len(few) > max(1000, MOST_NUMBERS // D):
        few = np.sort(np.random.default_rng(seed).choice(len(few), max(1000, MOST_NUMBERS // D), replace=False))
    seen = None if labels is None else labels[data.rows["train"][few]]
    nats = histogram_nats(train.x[few], seen, data.x[rows], c)
    return {"uniform": D * math.log(256), "independent pixels": float(nats.mean())}


def histogram_nats(train: np.ndarray, labels: np.ndarray | None, x: np.ndarray, c: np.ndarray) -> np.ndarray:
    """-log p of images x (N, …) of 256 grey levels, when every pixel has a histogram of its own: (N,).

    Histograms are interpolated with more general ones, as n-grams are (helpers.models.ngram).
    """
    train, x = _grey(train), _grey(x)
    pixels, nats = np.arange(train.shape[1]), np.zeros(len(x))

    def counts(images):
        table = np.zeros((train.shape[1], 256))
        for image in images:
            table[pixels, image] += 1
        return table

    def mixed(table, general):
        types = (table > 0).sum(axis=-1, keepdims=True)
        return (table + types * general) / np.maximum(table.sum(axis=-1, keepdims=True) + types, 1)

    everything = counts(train)
    pixel = mixed(everything, mixed(everything.sum(axis=0), np.full(256, 1 / 256)))
    for label in np.unique(c):
        here = np.nonzero(c == label)[0]
        alike = train if labels is None else train[labels == label]
        p = pixel if labels is None or len(alike) == 0 else mixed(counts(alike), pixel)
        nats[here] = -np.log(p[pixels, x[here]]).sum(axis=1)
    return nats


def _grey(x):
    x = np.asarray(x)
    return (x if x.dtype == np.uint8 else np.rint(255 * x).astype(np.uint8)).reshape(len(x), -1)


def coarse(x: np.ndarray) -> np.ndarray:
    """Images (N, …, H, W) of at most 12 pixels a side: means of squares; what a blurred copy has still in common."""
    x = np.asarray(as_floats(np.asarray(x)), np.float32)
    if x.ndim < 3:
        return x  # rows of pixels
    side = math.ceil(max(x.shape[-2:]) / COARSE)
    tall, wide = (-(-n // side) * side for n in x.shape[-2:])
    x = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, tall - x.shape[-2]), (0, wide - x.shape[-1])], mode="edge")
    return x.reshape(*x.shape[:-2], tall // side, side, wide // side, side).mean(axis=(-3, -1))


def present(x: np.ndarray, card: dict) -> np.ndarray:
    """What a model drew, as it is shown: (n, H, W), or (n, 3, H, W)."""
    shape = card["plan"].get("shape", x.shape[1:])
    shape = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
    return x.reshape(len(x), *shape)


def files(x: np.ndarray, labels: list[str] | None, columns: int | None = None, form: str = "") -> dict[str, bytes]:
    """Samples as files, by what is added to the stem of their names: one sheet."""
    pictures = _pictures(x)
    return {".png": numbers.tiles(pictures, labels, columns, scale=max(1, 84 // max(pictures.shape[1:3])))}


def html(x: np.ndarray, says: list[str]) -> list[str]:
    """Examples as pieces of a page, each with what it ``says``, escaped, to those who cannot see it."""
    return [numbers.picture(pixels, line) for pixels, line in zip(_pictures(x), says)]


def _pictures(x):
    x = np.asarray(as_floats(np.asarray(x)), np.float32)
    x = x.clip(0, 1) if x.min() > -0.5 and x.max() < 1.5 else (x - x.min()) / max(1e-9, float(np.ptp(x)))
    return x[..., None].repeat(3, axis=3) if x.ndim == 3 else x.transpose(0, 2, 3, 1)


def items(path: str | Path, card: dict) -> files_.Items:
    """The images of a folder, or the one, as the model of a run takes them. Raises DataError for none."""
    size, grey, square = _format(card)
    found, skipped = files_.judged(path, SUFFIXES, "an image")
    stack = pictures.stack(found, len(found), size, grey, square)
    skipped += [(found[number].place, reason) for number, reason in stack.skipped]
    if not stack.kept:
        raise DataError(f"{skipped[-1][0]}: {skipped[-1][1]}; none of the {len(found):,} images can be used.")
    kept = [found[number] for number in stack.kept]
    return files_.Items(_taken(stack.x, card), [file.place for file in kept], [file.label for file in kept], skipped)


def gap(path: str | Path, card: dict, missing: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """An image of which a part is missing, grey, and what is known of it: (1, …) both, as the model takes them.

    missing: "left", "right", "top" or "bottom" half; or X,Y,W,H, a rectangle in pixels of the file; by default what is
    transparent. Raises ValueError for any other, and DataError for what is not an image.
    """
    size, _, square = _format(card)
    box = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", missing or "")
    halves: dict[str, Any] = {"left": np.s_[:, : size // 2], "right": np.s_[:, size // 2 :],
                              "top": np.s_[: size // 2], "bottom": np.s_[size // 2 :]}
    if missing is not None and missing not in halves and not box:
        raise ValueError(f"--missing is {missing!r}; say left, right, top, bottom, or X,Y,W,H in pixels of the file.")
    if os.path.isdir(path):
        raise DataError(f"{files_.shown(path)}: is a folder; give an image in it, one of them.")
    whole = items(path, card).x
    if missing in halves:
        known = np.ones((size, size), bool)
        known[halves[missing]] = False
    else:
        known = pixels.known(os.path.realpath(path), size, square, tuple(map(int, box.groups())) if box else None)
    known = np.broadcast_to(known, whole.reshape(-1, size, size).shape).reshape(whole.shape)
    grey_there = np.where(known, as_floats(whole), 0.5).astype(np.float32)
    return grey_there, known


def _format(card):
    """The side of a run's images, whether they are grey, and how they became squares."""
    shape, (low, high) = card["data"]["shape"], card["data"]["values"]
    options = card["settings"]["origin"].get("options", {}) if card["settings"]["origin"] else {}
    if len(shape) not in (2, 3) or shape[-1] != shape[-2] or low < 0 or high > 1:
        raise DataError(f"{card['data']['name']}: the run is of images of shape {tuple(shape)}, values from {low:g} to "
                        f"{high:g}, and files become squares with values from 0 to 1; use it from Python.")
    return shape[-1], len(shape) == 2, options.get("square", "pad")


def _taken(x, card):
    """Images of bytes in the shape in which the model takes them; black and white, if it knows nothing else."""
    plan = card["plan"]
    x = x.reshape(len(x), *plan.get("rows", plan.get("shape", x.shape[1:])))
    return np.where(x < 128, np.uint8(0), np.uint8(255)) if plan.get("levels", 256) == 2 else x


HEIGHT, COLUMNS = 1.0, 8  # inches of an example in a figure, and how many stand side by side at most


def draw(ax: "Axes", x: np.ndarray, label: str | None = None) -> None:
    """Draw one example on an axis."""
    x = np.asarray(as_floats(np.asarray(x)))
    colour = x.ndim == 3
    ax.imshow(np.clip(np.moveaxis(x, 0, -1) if colour else x, 0, 1), cmap=None if colour else "gray", vmin=0, vmax=1)
    if label is not None:
        ax.set_title(label, fontsize=8)


def limits(plan: dict) -> list[str]:
    """What whoever uses a model should know, in sentences."""
    found = ["Samples show what the decoder expects, and so are smoother than real images; their levels are brought to "
             "those of real ones."] if "code" in plan else []
    if plan.get("likelihood") == "normal":
        found.append(DENSITIES)
    return found


DENSITIES = ("Its figures are densities, not probabilities: they can be below 0, and compare only with others on the "
             "same numbers.")
