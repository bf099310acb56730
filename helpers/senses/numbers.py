"""What images and sounds have in common: examples that are arrays of real numbers."""

import base64
import io
import math

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
    found = {"one Normal for all": normal_nats(x, mean.mean(), everything)}
    mean, sigma = averages(train.x, None if labels is None else train.c, C)
    return found | {"mean of the label" if labels is not None else "mean": normal_nats(x, mean[c], sigma)}


def normal_nats(x: np.ndarray, mean: np.ndarray | float, sigma: np.ndarray | float) -> float:
    """-log p of an example of x (N, …), on average, by a Normal for each number: (N, …), or the same for many."""
    nats = 0.5 * np.square(x - mean) / np.square(sigma) + np.log(sigma) + 0.5 * math.log(2 * math.pi)
    return float(nats.reshape(len(x), -1).sum(axis=1).mean())


def dimensions(data: Dataset, rows: np.ndarray) -> float:
    """Numbers of an example."""
    return float(math.prod(data.x.shape[1:]))


def distances(a: np.ndarray, b: np.ndarray, alike: np.ndarray | None = None) -> np.ndarray:
    """Euclidean distances of each of a to the nearest and the second nearest of b: (len(a), 2).

    alike (len(b),): clusters of near-duplicates in b; the second nearest is the nearest of another cluster.
    """
    a, b = (np.asarray(as_floats(np.asarray(part)), np.float32).reshape(len(part), -1) for part in (a, b))
    return two_nearest(a, b, alike)


def same(data: Dataset) -> float:
    """The distance below which two examples count as one."""
    return 1e-3 * math.sqrt(math.prod(data.x.shape[1:]))


def picture(pixels: np.ndarray, says: str) -> str:
    """One picture (h, w, 3), 0 to 1, for a page of HTML; ``says``, escaped, is for those who cannot see it.

    A small one is exact and drawn large; a large one has at most 192 pixels a side.
    """
    from PIL import Image

    image, file = Image.fromarray(np.rint(255 * pixels.clip(0, 1)).astype(np.uint8)), io.BytesIO()
    small = max(image.size) <= 64
    if small:
        image.save(file, format="png", optimize=True)
    else:
        image.thumbnail((192, 192))
        image.save(file, format="jpeg", quality=88)
    wide, tall = (max(1, 84 // max(image.size)) * side if small else side for side in image.size)
    data, form = base64.b64encode(file.getvalue()).decode(), "png" if small else "jpeg"
    return (f'<img class="{"pixels" if small else "photo"}" alt="{says}" width="{wide}" height="{tall}" '
            f'src="data:image/{form};base64,{data}">')


def tiles(pictures: np.ndarray, labels: list[str] | None, columns: int | None, scale: int) -> bytes:
    """A sheet of pictures (n, h, w, 3), 0 to 1, as a PNG; where labels come in turn, a row is a label.

    A label that cannot be written here is "label 3" if it is the third; report.html has it in its own writing.
    """
    from PIL import Image, ImageDraw, ImageFont, features

    from helpers import plotting

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
    names = plotting.writable(names, features.check("raqm"))
    fonts = [ImageFont.truetype(plotting.font_for(name) or "", 11) for name in names]
    wide_names = [font.getlength(name) for font, name in zip(fonts, names)]
    gap, left = max(2, scale), (8 + math.ceil(max(wide_names)) if rows else 0)
    page = Image.new("RGB", (left + columns * (wide + gap) + gap, len(order) * (tall + gap) + gap), "#dfe8f2")
    pen = ImageDraw.Draw(page)
    for r, line in enumerate(order):
        top = gap + r * (tall + gap)
        if rows:
            pen.text((4, top + tall // 2 - 6), names[r], fill="black", font=fonts[r])
        for k, i in enumerate(line):
            if i < len(pictures):
                page.paste(Image.fromarray(pictures[i]), (left + gap + k * (wide + gap), top))
    file = io.BytesIO()
    page.save(file, format="png", optimize=True)
    return file.getvalue()
