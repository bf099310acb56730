"""What images and sounds have in common: examples that are arrays of real numbers."""

import functools
import io
import math
import unicodedata

import numpy as np
from torch import nn

from helpers.data.dataset import Dataset, as_floats
from helpers.evaluation.neighbours import two_nearest
from helpers.models.contract import Model
from helpers.models.layers import Unlabelled

FEWEST_FOR_MEAN = 5  # training examples of a label from which its own average is taken
BLOCK = 1000  # examples that are looked at together, so that what is computed from them stays small


def value_range(x: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest number in x (N, …), bytes being 0 to 1."""
    low, high = as_floats(np.array([x.min(), x.max()]))
    return float(low), float(high)


def averages(x: np.ndarray, c: np.ndarray | None, C: int) -> tuple[np.ndarray, float]:
    """The mean of the examples of each label, (C, …), and the standard deviation of numbers around them.

    A label of fewer than five examples has the mean of all.
    """
    c = np.zeros(len(x), int) if c is None else np.asarray(c)
    total, squares = np.zeros((C, *x.shape[1:])), 0.0
    for i in range(0, len(x), BLOCK):
        part = np.asarray(as_floats(x[i : i + BLOCK]), np.float64)
        np.add.at(total, c[i : i + BLOCK], part)
        squares += float(np.square(part).sum())
    counts = np.bincount(c, minlength=C)
    mean = total / np.maximum(counts, 1).reshape(-1, *[1] * (x.ndim - 1))
    explained = float((counts * np.square(mean).reshape(C, -1).sum(axis=1)).sum())
    mean[counts < FEWEST_FOR_MEAN] = total.sum(axis=0) / len(x)
    return mean, math.sqrt(max(0.0, (squares - explained) / (len(x) * math.prod(x.shape[1:]))))


def for_labels(encoder: nn.Module, decoder: nn.Module, plan: dict) -> tuple:
    """Encoder and decoder as they are, or as they are used where there are no labels."""
    return (encoder, decoder) if plan["labels"] else (Unlabelled(encoder), Unlabelled(decoder))


def start(model: Model, data: Dataset, plan: dict, sigma: float | None = None) -> None:
    """Let learning start from the average training example of each label, and from what examples differ from it."""
    average, spread = averages(data.train.x, data.train.c, max(1, plan["labels"]))
    # Far too large, and the code is given up at once; far too small, and it is all that counts.
    model.decoder.start_from(average, sigma or max(spread, 0.02))


def normal_baselines(data: Dataset, rows: np.ndarray) -> dict[str, float]:
    """Nats of data.x[rows] by one Normal for all numbers, and by the mean training example with one deviation."""
    train, x = data.train, as_floats(data.x[rows])
    labels = None if data.c is None or data.c.ndim > 1 else data.c
    c = np.zeros(len(x), int) if labels is None else labels[rows]
    C = 1 if labels is None else int(labels.max()) + 1
    mean, sigma = averages(train.x, None, 1)
    everything = math.sqrt(sigma**2 + float(mean.var()))
    found = {"one Normal for all": _normal_nats(x, mean.mean(), everything)}
    mean, sigma = averages(train.x, None if labels is None else train.c, C)
    return found | {"mean of the label" if labels is not None else "mean": _normal_nats(x, mean[c], sigma)}


def _normal_nats(x, mean, sigma):
    nats = 0.5 * np.square(x - mean) / sigma**2 + math.log(sigma) + 0.5 * math.log(2 * math.pi)
    return float(nats.reshape(len(x), -1).sum(axis=1).mean())


def dimensions(data: Dataset, rows: np.ndarray) -> float:
    """Numbers of an example."""
    return float(math.prod(data.x.shape[1:]))


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances of each of a to the nearest and the second nearest of b: (len(a), 2)."""
    a, b = (np.asarray(as_floats(np.asarray(part)), np.float32).reshape(len(part), -1) for part in (a, b))
    return two_nearest(a, b)


def same(data: Dataset) -> float:
    """The distance below which two examples count as one."""
    return 1e-3 * math.sqrt(math.prod(data.x.shape[1:]))


def tiles(pictures: np.ndarray, labels: list[str] | None, columns: int | None, scale: int) -> bytes:
    """A sheet of pictures (n, h, w, 3), 0 to 1, as a PNG; where labels come in turn, a row is a label."""
    from PIL import Image, ImageDraw

    names = list(dict.fromkeys(labels)) if labels else []
    rows = len(names) if labels and len(names) > 1 and labels[: len(names)] == names else 0
    if rows and columns is None:  # one row a label
        columns = math.ceil(len(pictures) / rows)
        order = np.array([[k * rows + r for k in range(columns)] for r in range(rows)])
    else:
        columns = columns or math.ceil(math.sqrt(len(pictures)))
        rows, order = 0, np.arange(math.ceil(len(pictures) / columns) * columns).reshape(-1, columns)
    pictures = np.rint(255 * pictures.repeat(scale, axis=1).repeat(scale, axis=2)).astype(np.uint8)
    tall, wide = pictures.shape[1:3]
    font, names = _font(), [_drawable(name, number) for number, name in enumerate(names)]
    gap, left = max(2, scale), (8 + math.ceil(max(map(font.getlength, names))) if rows else 0)
    page = Image.new("RGB", (left + columns * (wide + gap) + gap, len(order) * (tall + gap) + gap), "#dfe8f2")
    pen = ImageDraw.Draw(page)
    for r, line in enumerate(order):
        top = gap + r * (tall + gap)
        if rows:
            pen.text((4, top + tall // 2 - 6), names[r], fill="black", font=font)
        for k, i in enumerate(line):
            if i < len(pictures):
                page.paste(Image.fromarray(pictures[i]), (left + gap + k * (wide + gap), top))
    file = io.BytesIO()
    page.save(file, format="png", optimize=True)
    return file.getvalue()


@functools.cache
def _font():
    """DejaVu Sans, which comes with Matplotlib: Latin, Greek, Cyrillic, Arabic letters."""
    from matplotlib import font_manager
    from PIL import ImageFont

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 11)


def _drawable(name: str, number: int) -> str:
    """A label as the font can write it; its number, counted from 1, if it has other letters."""
    name = unicodedata.normalize("NFC", name)
    return name if all(ord(letter) in _letters(_font().path) for letter in name) else f"label {number + 1}"


@functools.cache
def _letters(path):
    from fontTools.ttLib import TTFont

    return frozenset(TTFont(path).getBestCmap())
