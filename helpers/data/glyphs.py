"""Letters and digits in the typefaces that ship inside Matplotlib, drawn at 28 × 28 pixels.

Each glyph is kept as a *signed distance field*: for every pixel, how far the outline is away, in pixels,
positive inside the ink (after Green, *Improved alpha-tested magnification for vector textures*, 2007).
``ink`` turns distances into grey; ``enlarge`` sets them larger without jagged edges.

A *font* here is one typeface in one weight and slant. Whole fonts are held out, and each training font
also comes in ``copies`` changed ones (width, slant, weight, contrast, height of the small letters), changed
alike in all their characters, so that each is a consistent font of its own. Copies with broken strokes are not kept.
"""

import os
import string
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from helpers.data import fontfiles
from helpers.data.cache import cached, recent
from helpers.data.dataset import DataError, Dataset
from helpers.data.outlines import (
    BASELINE,
    CAPITAL,
    CHARACTERS,
    FINE,
    REACH,
    SIDE,
    code_point,
    draw_font,
    outlines,
    signed_distance,
)

__all__ = ["BASELINE", "CAPITAL", "CHARACTERS", "FINE", "FONTS", "REACH", "SIDE", "broken", "code_point", "draw_font",
           "enlarge", "ink", "load", "measure", "outlines", "pieces", "set_text", "signed_distance", "unbroken", "vary"]

if TYPE_CHECKING:  # slow to import
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")

SLOPE = 0.9  # grey levels per pixel of distance at the edge, a little softer than a square pixel's

ORNAMENTAL = {"script", "bold script", "fraktur", "bold fraktur", "double-struck"}
PARTS = ("fields", "labels", "fonts", "names", "splits", "notes")

# (name, file, alphabet, split). Whole fonts are held out: four for choosing, five for reporting.
FONTS = (
    ("DejaVu Sans", "DejaVuSans", "", "train"),
    ("DejaVu Sans Bold", "DejaVuSans-Bold", "", "train"),
    ("DejaVu Sans Oblique", "DejaVuSans-Oblique", "", "train"),
    ("DejaVu Sans Bold Oblique", "DejaVuSans-BoldOblique", "", "train"),
    ("DejaVu Sans double-struck", "DejaVuSans", "double-struck", "train"),
    ("DejaVu Mono", "DejaVuSansMono", "", "train"),
    ("DejaVu Mono Bold", "DejaVuSansMono-Bold", "", "train"),
    ("DejaVu Mono Oblique", "DejaVuSansMono-Oblique", "", "valid"),
    ("DejaVu Mono Bold Oblique", "DejaVuSansMono-BoldOblique", "", "train"),
    ("DejaVu Serif", "DejaVuSerif", "", "train"),
    ("DejaVu Serif Bold", "DejaVuSerif-Bold", "", "test"),
    ("DejaVu Serif Italic", "DejaVuSerif-Italic", "", "valid"),
    ("DejaVu Serif Bold Italic", "DejaVuSerif-BoldItalic", "", "train"),
    ("STIX", "STIXGeneral", "", "train"),
    ("STIX Bold", "STIXGeneralBol", "", "train"),
    ("STIX Italic", "STIXGeneralItalic", "", "test"),
    ("STIX Bold Italic", "STIXGeneralBolIta", "", "train"),
    ("STIX Sans", "STIXGeneral", "sans", "train"),
    ("STIX Sans Bold", "STIXGeneral", "bold sans", "valid"),
    ("STIX Sans Italic", "STIXGeneral", "italic sans", "train"),
    ("STIX Sans Bold Italic", "STIXGeneral", "bold italic sans", "test"),
    ("STIX Typewriter", "STIXGeneral", "typewriter", "train"),
    ("STIX double-struck", "STIXGeneral", "double-struck", "train"),
    ("STIX Script", "STIXGeneral", "script", "train"),
    ("STIX Script Bold", "STIXGeneral", "bold script", "train"),
    ("STIX Fraktur", "STIXGeneral", "fraktur", "train"),
    ("STIX Fraktur Bold", "STIXGeneral", "bold fraktur", "train"),
    ("CM Roman", "cmr10", "", "train"),
    ("CM Bold", "cmb10", "", "valid"),
    ("CM Italic", "cmti10", "", "train"),
    ("CM Math Italic", "cmmi10", "", "train"),
    ("CM Sans", "cmss10", "", "test"),
    ("CM Typewriter", "cmtt10", "", "test"),
)


def vary(fields: npt.ArrayLike, rng: np.random.Generator) -> np.ndarray:
    """A changed copy of a font, fields (M, 56, 56) to (M, 28, 28): the same change for every character.

    Width, slant, height of the small letters, and the weight of upright and of level strokes.
    """
    import torch
    from torch.nn.functional import grid_sample

    fields = torch.as_tensor(np.asarray(fields), dtype=torch.float32)
    wide, tall = np.exp(rng.normal(0, 0.1)), rng.uniform(-0.7, 0.7)
    slant = rng.uniform(-0.1, 0.3) if rng.random() < 0.7 else 0.0
    stem = fields.flatten(1).amax(dim=1).median().item()  # half the thickness of a stroke, in pixels
    hairline = -max(0.0, stem - 0.5)  # no stroke may lose more, or it would vanish
    upright, level = np.clip(rng.normal(0.1, 0.3) + rng.normal(0, 0.12, size=2), hairline, 0.9)
    y, x = torch.meshgrid(*2 * [torch.arange(SIDE) + 0.5], indexing="ij")
    up = BASELINE - y
    bend = tall * torch.sin(torch.pi * (up / CAPITAL).clamp(0, 1))  # the baseline and the capitals' top stay
    for _ in range(20):  # narrower, until every character fits
        source_x = (x - SIDE / 2 - slant * (up - CAPITAL / 2)) / wide + SIDE / 2
        grid = torch.stack([source_x, y - bend], dim=-1) / SIDE * 2 - 1
        field = grid_sample(fields[:, None], grid.expand(len(fields), -1, -1, -1), mode="bicubic",
                            padding_mode="border", align_corners=False)[:, 0]
        # A stretched field holds no distances any more, until it is divided by its slope. The slope also
        # points across the nearest stroke, and so tells how much weight to add.
        down, right = torch.gradient(field, dim=(1, 2))
        steep = torch.sqrt(down**2 + right**2 + 1e-6)
        share = (right / steep) ** 2  # 1 beside an upright stroke, 0 beside a level one
        field = field / steep.clamp(0.7, 1.4) + upright * share + level * (1 - share)
        if max(field[:, [0, -1]].max(), field[:, :, [0, -1]].max()) < 0:
            break
        wide *= 0.96
    return field.clamp(-REACH, REACH).numpy()


def unbroken(fields: npt.ArrayLike, rng: np.random.Generator, tries: int = 100) -> np.ndarray:
    """A changed copy of a font, as by :func:`vary`, in which no character falls into more pieces than in the original.

    Copies that are too light for their thin strokes are thrown away: strokes of the copy must hang together even where
    only what is darker than 0.5 counts as ink. Of ``tries`` copies, if none does, the one with the fewest broken
    characters is returned.
    """
    fields = np.asarray(fields)
    before = np.maximum(pieces(coarse(fields)), 1)
    best, fewest = vary(fields, rng), np.inf
    for attempt in range(tries):
        copy = vary(fields, rng) if attempt else best
        faults = (np.maximum(pieces(copy), pieces(copy, 0.5)) > before).sum()
        if faults < fewest:
            best, fewest = copy, faults
        if not fewest:
            break
    return best


def coarse(fields: npt.ArrayLike) -> np.ndarray:
    """Fields of twice the resolution (M, 56, 56) at that of the data, (M, 28, 28), cut off at REACH."""
    blocks = np.asarray(fields).reshape(-1, SIDE, FINE, SIDE, FINE)
    return blocks.mean(axis=(2, 4)).clip(-REACH, REACH)


def pieces(distance: npt.ArrayLike, darker: float = 0.3) -> np.ndarray:
    """Into how many pieces the ink of each glyph falls: distances (…, 784) or (…, 28, 28) to whole numbers (…).

    Ink is what has a grey level above ``darker``; pixels that share a side or a corner hang together.
    """
    from scipy.ndimage import label

    field = np.asarray(distance)
    front = field.shape[:-1] if field.shape[-1] == SIDE**2 else field.shape[:-2]
    within = np.zeros((3, 3, 3))
    within[1] = 1  # neighbours in the same glyph, and none in the next
    last = label(ink(field).reshape(-1, SIDE, SIDE) > darker, within)[0].max(axis=(1, 2))
    return np.diff(np.maximum.accumulate(last), prepend=0).reshape(front)  # they are numbered glyph after glyph


def broken(alphabets: npt.ArrayLike) -> np.ndarray:
    """Which characters of alphabets (…, 62, 784) of distances fall into several pieces: (…, 62), never i or j."""
    return (pieces(alphabets) > 1) & ~np.isin(list(CHARACTERS), ["i", "j"])


def ink(distance: Array) -> Array:
    """Grey levels, 0 for paper to 1 for ink, from distances in pixels; arrays or tensors of any shape."""
    return (SLOPE * distance + 0.5).clip(0, 1)


def enlarge(distance: "npt.ArrayLike | torch.Tensor", times: int = 3) -> np.ndarray:
    """Distances (…, 784) or (…, 28, 28) as grey levels at ``times`` the resolution: (…, 28 times, 28 times).

    The distances are interpolated, not the grey levels, and so the edge stays as sharp as before.
    """
    import torch
    from torch.nn.functional import interpolate

    field = torch.as_tensor(np.asarray(distance), dtype=torch.float32)
    front = field.shape[:-1] if field.shape[-1] == SIDE**2 else field.shape[:-2]
    field = interpolate(field.reshape(-1, 1, SIDE, SIDE), scale_factor=times, mode="bicubic", align_corners=False)
    return ink(times * field).reshape(*front, SIDE * times, SIDE * times).numpy()


def set_text(
    alphabet: "npt.ArrayLike | torch.Tensor", text: str, times: int = 3, spacing: float = 1.5
) -> np.ndarray:
    """Text set in an alphabet (62, 784) of distances: grey levels, one line high.

    Characters stand ``spacing`` pixels apart, ink to ink; anything but the 62 becomes a space.
    """
    pieces, gap = [], np.zeros((SIDE * times, round(spacing * times)))
    space = np.zeros((SIDE * times, 6 * times))
    large = enlarge(alphabet, times)
    for character in text:
        if character not in CHARACTERS:
            pieces.append(space)
            continue
        glyph = large[CHARACTERS.index(character)]
        columns = np.nonzero((glyph > 0.3).any(axis=0))[0]
        if len(columns):  # nothing, if the alphabet lacks it
            pieces += [glyph[:, columns[0] : columns[-1] + 1], gap]
    return np.concatenate([space, *pieces, space], axis=1)


def measure(alphabet: npt.ArrayLike) -> dict[str, float]:
    """What an alphabet (62, 784) of distances looks like, in numbers.

    weight: the part of all pixels that is ink. slant: how far strokes lean to the right, as a tangent.
    width: of H and n, in pixels, ink to ink. x-height: of x and z, in pixels. serif: how much wider letters
    are at the foot than above it. contrast: upright strokes of an o over its level ones.
    """
    grey = dict(zip(CHARACTERS, ink(np.asarray(alphabet, float)).reshape(-1, SIDE, SIDE)))
    rows = np.arange(SIDE) + 0.5
    foot, middle = int(BASELINE - 1), int(BASELINE - 5)

    def lean(image):
        share = image / max(image.sum(), 1e-6)
        x, y = share.sum(axis=0) @ rows, share.sum(axis=1) @ rows
        return -(share * np.outer(rows - y, rows - x)).sum() / max((share.sum(axis=1) * (rows - y) ** 2).sum(), 1e-6)

    def extent(image, axis):
        return (image.max(axis=axis) > 0.5).sum()

    o, halfway, centre = grey["o"], int(BASELINE - 6), SIDE // 2 - 1
    across, level = o[halfway : halfway + 2].sum(axis=1).mean(), o[:, centre : centre + 2].sum(axis=0).mean()
    return {
        "weight": float(np.mean([image.mean() for image in grey.values()])),
        "slant": float(np.mean([lean(grey[k]) for k in "HIl"])),
        "width": float(np.mean([extent(grey[k], 0) for k in "Hn"])),
        "x-height": float(np.mean([BASELINE - rows[np.argmax(grey[k].max(axis=1) > 0.5)] for k in "xz"])),
        "serif": float(np.mean([grey[k][foot].sum() / max(grey[k][middle].sum(), 0.5) for k in "hnmr"])),
        "contrast": float(across / max(level, 0.5)),
    }


def load(copies: int = 40, form: Literal["distance", "ink"] = "distance", fonts: str | os.PathLike | None = None,
         held_out: Sequence[str] = (), checked: bool = True) -> Dataset:
    """Every character of every font: x (N, 784), labels (62 characters) and groups (fonts).

    form: "distance" gives signed distances from -2 to 2 pixels; "ink" grey levels from 0 to 1.
    copies: how many changed copies of each training font come with it; of the script, Fraktur and
        double-struck alphabets a quarter as many, since they are each the only one of their kind.
    fonts: a folder of TTF and OTF files of yours. They join the training, and come in changed copies, too; those
        that ``held_out`` names, by the font's name or its file's, are for the test instead. What cannot be used is
        left out, and the data set's notes say why.
    checked: whether copies with broken strokes are thrown away (:func:`unbroken`). The shipped model of fonts learned
        from copies that were not checked; three trainings on checked ones were no better (data/README.md).

    Drawn on first use, in some ten seconds, and kept in ``data/cache``. Fonts and characters that this version of
    Matplotlib lacks are left out, and the data set's notes say which. Raises DataError if no font is left, or if
    none of yours can be used.
    """
    import matplotlib

    if form not in ("distance", "ink"):
        raise DataError(f"glyphs: form is {form!r}; say 'distance' or 'ink'.")
    recipe = f"{matplotlib.__version__} {copies} {checked} {FONTS}".encode()
    recipe += Path(__file__).read_bytes() + Path(__file__).with_name("outlines.py").read_bytes()
    if fonts is None:
        stored = cached("glyphs", recipe, lambda: _draw_all(copies, checked=checked))
    else:
        own, said, digest = fontfiles.read(fonts, held_out)
        recipe += Path(fontfiles.__file__).read_bytes() + digest
        stored = recent("glyphs-own", recipe, lambda: _draw_all(copies, own, said, checked))
    fields, labels, font_of, names, splits, notes = (stored[part] for part in PARTS)
    x = fields.astype(np.float32) * (REACH / 127)
    groups = {split: np.nonzero(splits == split)[0] for split in ("train", "valid", "test")}
    return Dataset.make(
        f"glyphs, {form}",
        x if form == "distance" else ink(x),
        labels,
        names=tuple(CHARACTERS),
        shape=(SIDE, SIDE),
        valid=groups["valid"],
        test=groups["test"],
        group=font_of,
        group_names=tuple(names),
        kind="image",
        source="fonts that ship inside Matplotlib: DejaVu, STIX, Computer Modern"
        + (f"; and {fontfiles.printable(str(fonts))}" if fonts is not None else ""),
        notes=tuple(notes),
    )


def _draw_all(copies, own=(), said=(), checked=True):
    names: list[str] = []
    fields, labels, fonts, splits, notes = [], [], [], [], [*said]
    originals: dict[str, dict[str, np.ndarray]] = {}
    rng, used = np.random.default_rng(0), 0  # how many of the reader's own
    for name, file, alphabet, split in (*FONTS, *own):
        name = f"{name} (yours)" if name in originals else name
        try:
            drawn = draw_font(file, alphabet)
            if isinstance(file, Path) and (reason := fontfiles.trouble(drawn, originals)):
                raise DataError(reason)
            originals[name], used = drawn, used + isinstance(file, Path)
        except (OSError, RuntimeError, DataError) as error:
            notes.append(f"left out: {name} ({error})")
            continue
        here = [k for k, character in enumerate(CHARACTERS) if character in drawn]
        if len(here) < len(CHARACTERS):
            missing = "".join(character for character in CHARACTERS if character not in drawn)
            notes.append(f"{name} lacks {'the digits' if missing == string.digits else missing}")
        fine = np.stack([drawn[CHARACTERS[k]] for k in here])
        versions = [coarse(fine)]
        if split == "train":
            many = copies // 4 if alphabet in ORNAMENTAL else copies
            versions += [(unbroken if checked else vary)(fine, rng) for _ in range(many)]
        for i, version in enumerate(versions):
            fields.append(np.round(version * (127 / REACH)).astype(np.int8).reshape(len(here), -1))
            labels += here
            fonts += [len(names)] * len(here)
            names.append(name if i == 0 else f"{name} / {i}")
            splits.append(split)
    if own and not used:
        raise DataError(f"glyphs: none of your fonts can be used: {'; '.join(notes[-4:])}.")
    if not fields:
        raise DataError("glyphs: none of the fonts was found inside Matplotlib; install Matplotlib again.")
    arrays = np.concatenate(fields), labels, fonts, names, splits, notes
    return dict(zip(PARTS, map(np.array, arrays)))
