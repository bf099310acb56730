"""Figures in one style, each with a sentence for those who cannot see it.

The style sheet is ``helpers/style.mplstyle``; ``helpers.setup`` switches it on.
"""

import functools
import io
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager, ft2font
from numpy.typing import ArrayLike

from helpers.disk import IMAGES, MADE_BY, DiskError, recording, write_bytes

NO_FONTS = ("emoji", "lastresort", "adobeblank", "notdef")  # coloured, or with an empty box for every character


def show(fig: plt.Figure, alt: str, save: str | None = None) -> None:
    """Show a figure as a crisp PNG, with ``alt`` as its text for screen readers, and close it.

    The text is stored as the output's plain text, so that a reader without pictures, and a comparison of
    two runs, get a description instead of ``<Figure size …>``. ``save`` names a file in
    ``notebooks/images`` for pictures that other pages show; it is written by ``make notebooks`` alone, and replaces
    nothing but a picture that was saved like this.
    """
    from IPython.display import display

    alt = " ".join(alt.split())
    if len(alt) < 20:
        raise ValueError(f"The alt text {alt!r} is too short; say in a sentence what there is to see.")
    picture = _png(fig)
    if save and recording():
        _save(IMAGES / save, picture)
    width, height = (round(inches * 100) for inches in fig.get_size_inches())
    plt.close(fig)
    display(
        {"image/png": picture, "text/plain": alt},
        metadata={"image/png": {"width": width, "height": height, "alt": alt}},
        raw=True,
    )


def _png(fig) -> bytes:
    """The figure as a PNG of at most 256 colours: enough for what we draw, at less than half the size."""
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    fig.savefig(full, format="png", metadata={"Software": None})
    image = Image.open(full).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def _save(file: Path, picture: bytes):
    """Write a picture with a note of who made it; what has no such note is left alone."""
    from PIL import Image, PngImagePlugin

    if file.exists():
        try:
            with Image.open(file) as before:
                ours = before.info.get("Software") == MADE_BY
        except OSError:
            ours = False
        if not ours:
            raise DiskError(f"{file} was not saved by a notebook, and is left as it is; move it, or use another name.")
    note, marked = PngImagePlugin.PngInfo(), io.BytesIO()
    note.add_text("Software", MADE_BY)
    Image.open(io.BytesIO(picture)).save(marked, format="png", optimize=True, pnginfo=note)
    write_bytes(file, marked.getvalue())


# --- labels in any writing -------------------------------------------------------------------------------


def font_for(text: str) -> str | None:
    """The file of a font on this machine that has all characters of a text, DejaVu Sans if it has; None if none has."""
    return next((font for font in _fonts() if _has(font, text)), None)


def writable(names: Iterable[str], shaped: bool | None = None) -> list[str]:
    """Names as a figure can write them, with characters that are composed; "label 3" for the third if it cannot.

    It cannot where no font has the characters, nor where a script joins or reorders them (Arabic, Hindi, Thai) and
    nothing here does so. shaped: whether something does; by default whether Matplotlib does.
    """
    shaped = hasattr(ft2font, "__libraqm_version__") if shaped is None else shaped
    plain = [unicodedata.normalize("NFC", name) for name in names]
    return [name if font_for(name) and (shaped or not _needs_shaping(name)) else f"label {number}"
            for number, name in enumerate(plain, start=1)]


def families(texts: Iterable[str]) -> list[str]:
    """What ``font.family`` must be for Matplotlib to write these texts: what it is, and other fonts where they lack."""
    found = list(plt.rcParams["font.family"])
    for font in dict.fromkeys(font_for(unicodedata.normalize("NFC", text)) for text in texts):
        if font is not None and font != _fonts()[0]:
            family = ft2font.FT2Font(font).family_name
            if family not in found:
                font_manager.fontManager.addfont(font)
                found.append(family)
    return found


@functools.cache
def _fonts():
    """Files of fonts: DejaVu Sans, which comes with Matplotlib, and those of this machine, plain ones first."""
    first = font_manager.findfont("DejaVu Sans")
    others = [font for font in font_manager.findSystemFonts() if not any(no in _stem(font) for no in NO_FONTS)]
    plain = lambda font: ("sans" not in _stem(font), "regular" not in _stem(font), _stem(font))
    return [first, *sorted(set(others) - {first}, key=plain)]


def _stem(font):
    return Path(font).stem.lower().replace(" ", "").replace("-", "")


@functools.lru_cache(maxsize=4096)
def _has(font, text):
    try:
        letters = ft2font.FT2Font(font)
        return letters.scalable and all(letters.get_char_index(ord(letter)) for letter in text)
    except (OSError, RuntimeError):  # a file that is no font, or a damaged one
        return False


def _needs_shaping(text):
    return any(unicodedata.bidirectional(letter) in ("R", "AL") or unicodedata.combining(letter)
               or unicodedata.category(letter) in ("Mn", "Mc") for letter in text)


def montage(images: ArrayLike, columns: int, shape: tuple[int, int] = (8, 8), gap: int = 1,
            fill: float = np.nan) -> np.ndarray:
    """Arrange images (N, D) of the given shape in one array, row by row, with ``gap`` pixels between them."""
    images = np.asarray(images, float).reshape(-1, *shape)
    rows = -(-len(images) // columns)
    h, w = shape
    sheet = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap), fill)
    for i, image in enumerate(images):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        sheet[top : top + h, left : left + w] = image
    return sheet


def draw_images(ax: plt.Axes, images: ArrayLike, columns: int, shape: tuple[int, int] = (8, 8),
                title: str | None = None, low: float = 0, high: float = 1) -> plt.Axes:
    """Draw images (N, D) on an axis as dark ink on white, ``columns`` in a row, on a pale grid."""
    colours = plt.get_cmap("gray_r").with_extremes(bad="#dfe8f2")
    ax.imshow(montage(images, columns, shape), cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)
    return ax


def image_rows(rows: dict, columns: int, shape: tuple[int, int] = (8, 8), scale: float = 0.55, low: float = 0,
               high: float = 1, lines: int = 1) -> plt.Figure:
    """A figure of labelled rows of images: ``rows`` maps a label to images (at least ``columns``, D).

    With ``lines``, each label has several lines of ``columns`` images; ``scale`` is the width of one in inches.
    """
    label_width = 0.15 + 0.085 * max(map(len, rows))  # inches
    width, height = columns * scale, scale * shape[0] / shape[1] * lines
    fig = plt.figure(figsize=(label_width + width, len(rows) * (height + 0.06)), layout="none")
    for i, (label, images) in enumerate(rows.items()):
        bottom = 1 - (i + 1) / len(rows)
        box = (label_width / (label_width + width), bottom, width / (label_width + width), 0.94 / len(rows))
        ax = draw_images(fig.add_axes(box), images[: columns * lines], columns, shape, low=low, high=high)
        ax.text(-0.08 / width, 0.5, label, transform=ax.transAxes, ha="right", va="center")
    return fig


def curves(history: ArrayLike, labels: Sequence[str] = ("train", "validation"), ylabel: str = "nats per image",
           ax: plt.Axes | None = None, start: int = 1) -> plt.Figure | None:
    """Learning curves: history (epochs, len(labels)) against the epoch, numbered from ``start``."""
    fig = None
    if ax is None:
        fig, ax = plt.subplots(figsize=(6, 3.2))
    history = np.asarray(history)
    epochs = np.arange(start, start + len(history))
    for column, label in zip(history.T, labels, strict=True):
        ax.plot(epochs, column, label=label)
    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.legend()
    return fig


def shapes(blocks: Iterable[tuple[str, str, str, str]], title: str | None = None) -> plt.Figure:
    """Draw arrays as rectangles: blocks are (operator before it, name, rows, columns), all texts.

    Sides are not to scale; equal texts get equal sides, so that one sees which of them must agree.
    """
    sides = {"": 0.15, "1": 0.15, "K": 0.7, "C": 1.0, "N": 1.5, "64": 2.2}  # without a name: one row, of a vector
    fig, ax = plt.subplots(figsize=(8, 2.8))
    x = 0.0
    for i, (operator, name, rows, columns) in enumerate(blocks):
        height, width = sides[rows], sides[columns]
        ax.text(x, 0, operator, ha="center", va="center", fontsize=15)
        x += 0.75
        ax.add_patch(plt.Rectangle((x, -height / 2), width, height, facecolor=f"C{i}", alpha=0.25, edgecolor="k"))
        ax.text(x + width / 2, 0 if height > 0.3 else 0.3, name, ha="center", va="center", fontsize=14)
        ax.text(x + width / 2, -height / 2 - 0.1, columns, ha="center", va="top", color="#444444")
        ax.text(x - 0.08, 0, rows, ha="right", va="center", color="#444444")
        x += width + 0.35
    ax.set(xlim=(0.2, x), ylim=(-1.5, 1.2), aspect="equal")
    ax.set_title(title or "")
    ax.set_axis_off()
    return fig


def code_map(ax: plt.Axes, z: np.ndarray, c: np.ndarray, names: Sequence[str] = "0123456789",
             title: str | None = None) -> plt.Axes:
    """Draw two-dimensional codes z (N, 2) as the characters that they belong to, c (N,), in colour."""
    palette = plt.get_cmap("tab10")
    for k, name in enumerate(names):
        here = z[c == k]
        ax.scatter(here[:, 0], here[:, 1], marker=f"${name}$", s=28, color=palette(k % 10), linewidths=0.3)
    ax.set(xlabel="first number of the code", ylabel="second number", title=title)
    return ax


def history(rows: Any, ax: plt.Axes | None = None, ylabel: str = "nats per example") -> plt.Figure | None:
    """Learning curves of a training History, with a dot at the epoch whose weights were kept."""
    fig = None
    if ax is None:
        fig, ax = plt.subplots(figsize=(6, 3.2))
    epochs = rows["epoch"]
    ax.plot(epochs, rows["train"], label="train")
    ax.plot(epochs, rows["valid"], label="validation")
    ax.plot(epochs[rows.best], rows["valid"][rows.best], "ko", label="kept")
    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.legend()
    return fig
