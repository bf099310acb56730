"""Letters and digits in the typefaces that ship inside Matplotlib, drawn at 28 × 28 pixels.

Each glyph is kept as a *signed distance field*: for every pixel, how far the outline is away, in pixels,
positive inside the ink (after Green, *Improved alpha-tested magnification for vector textures*, 2007).
``ink`` turns distances into grey; ``enlarge`` sets them larger without jagged edges.

A *font* here is one typeface in one weight and slant. Whole fonts are held out, and each training font
also comes in ``copies`` changed ones (width, slant, weight, contrast, height of the small letters), changed
alike in all their characters, so that each is a consistent font of its own.
"""

import os
import string
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from helpers.data.cache import cached
from helpers.data.dataset import DataError, Dataset

if TYPE_CHECKING:  # slow to import
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")

CHARACTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
SIDE = 28  # pixels
CAPITAL = 17.0  # height of an H, in pixels
BASELINE = 21.5  # where the letters stand, in pixels from the top
REACH = 2.0  # distances are cut off here, in pixels
FINE = 2  # the originals are kept at twice the resolution, so that changed copies stay sharp
SLOPE = 0.9  # grey levels per pixel of distance at the edge, a little softer than a square pixel's

# Where Unicode keeps whole alphabets for mathematics: first capital, first small letter, first digit (or None).
ALPHABETS = {
    "": (0x41, 0x61, 0x30),
    "script": (0x1D49C, 0x1D4B6, None),
    "bold script": (0x1D4D0, 0x1D4EA, None),
    "fraktur": (0x1D504, 0x1D51E, None),
    "bold fraktur": (0x1D56C, 0x1D586, None),
    "double-struck": (0x1D538, 0x1D552, 0x1D7D8),
    "sans": (0x1D5A0, 0x1D5BA, 0x1D7E2),
    "bold sans": (0x1D5D4, 0x1D5EE, 0x1D7EC),
    "italic sans": (0x1D608, 0x1D622, None),
    "bold italic sans": (0x1D63C, 0x1D656, None),
    "typewriter": (0x1D670, 0x1D68A, 0x1D7F6),
}
# Letters that had a place in Unicode before their alphabet did, and are missing there.
OLDER = {
    "script": dict(B=0x212C, E=0x2130, F=0x2131, H=0x210B, I=0x2110, L=0x2112, M=0x2133, R=0x211B,
                   e=0x212F, g=0x210A, o=0x2134),
    "fraktur": dict(C=0x212D, H=0x210C, I=0x2111, R=0x211C, Z=0x2128),
    "double-struck": dict(C=0x2102, H=0x210D, N=0x2115, P=0x2119, Q=0x211A, R=0x211D, Z=0x2124),
}

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


def code_point(character: str, alphabet: str = "") -> int | None:
    """Where a character is found in one of Unicode's alphabets, or None."""
    if character in OLDER.get(alphabet, {}):
        return OLDER[alphabet][character]
    for first, run in zip(ALPHABETS[alphabet], (string.ascii_uppercase, string.ascii_lowercase, string.digits),
                          strict=True):
        if character in run:
            return None if first is None else first + run.index(character)
    return None


def outlines(file: str, alphabet: str = "") -> dict[str, list[np.ndarray]]:
    """The outlines of a font of Matplotlib's: character -> closed polygons (points, 2), y upwards.

    Characters that the font lacks, or holds empty, are left out. Raises OSError when there is no such file.
    """
    import matplotlib
    from matplotlib.font_manager import FontProperties, get_font
    from matplotlib.textpath import TextPath

    path = os.path.join(matplotlib.get_data_path(), "fonts", "ttf", f"{file}.ttf")
    known, properties = get_font(path).get_charmap(), FontProperties(fname=path)
    found = {}
    for character in CHARACTERS:
        point = code_point(character, alphabet)
        if point is None or point not in known:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rings = TextPath((0, 0), chr(point), size=100, prop=properties).to_polygons(closed_only=True)
        polygons = [ring for ring in map(np.asarray, rings) if len(ring) > 2]
        if polygons:
            found[character] = polygons
    return found


def signed_distance(polygons: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance of every point of the grid x (W,), y (H,) to the nearest outline: (H, W), positive inside.

    The outline is taken as points a twentieth of a pixel apart. Inside is where it winds around a point.
    """
    from scipy.spatial import cKDTree

    rings = [p[:-1] if np.array_equal(p[0], p[-1]) else p for p in polygons]  # no point twice
    a, b = np.concatenate(rings), np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])  # edges from a to b
    steps = np.maximum(1, np.ceil(np.hypot(*(b - a).T) / 0.05).astype(int))
    t = np.concatenate([np.arange(n) / n for n in steps])[:, None]
    points = np.repeat(a, steps, axis=0) * (1 - t) + np.repeat(b, steps, axis=0) * t
    grid = np.stack(np.meshgrid(x, y), axis=-1)  # (H, W, 2)
    distance, _ = cKDTree(points).query(grid, distance_upper_bound=3 * REACH)
    # Scanline: each edge that crosses a row changes the winding number of all that lies to its right.
    winding = np.zeros((len(y), len(x) + 1))
    edge, row = np.nonzero((a[:, 1:] <= y) != (b[:, 1:] <= y))
    (ax, ay), (bx, by) = a[edge].T, b[edge].T
    crossing = ax + (y[row] - ay) / (by - ay) * (bx - ax)
    np.add.at(winding, (row, np.searchsorted(x, crossing)), np.sign(by - ay))
    inside = np.cumsum(winding, axis=1)[:, :-1] != 0
    return np.clip(np.where(inside, distance, -distance), -3 * REACH, 3 * REACH)


def draw_font(file: str, alphabet: str = "") -> dict[str, np.ndarray]:
    """Every character of a font as a field of distances (56, 56), in pixels of the 28 × 28 image.

    Capitals are 17 pixels high and all stand on one baseline; each character is centred. A font whose widest
    character would not fit is made narrower as a whole.
    """
    found = outlines(file, alphabet)
    if "H" not in found:
        raise DataError(f"{file} {alphabet}: there is no H to measure the font by; leave this font out.")
    points = {k: np.concatenate(p) for k, p in found.items()}
    high = CAPITAL / points["H"][:, 1].max()
    widest = max(np.ptp(p[:, 0]) for p in points.values()) * high
    wide = high * min(1, (SIDE - 3) / widest)
    centres = (np.arange(SIDE * FINE) + 0.5) / FINE
    fields = {}
    for character, polygons in found.items():
        middle = (points[character][:, 0].min() + points[character][:, 0].max()) / 2
        placed = [(p - (middle, 0)) * (wide, -high) + (SIDE / 2, BASELINE) for p in polygons]
        fields[character] = signed_distance(placed, centres, centres)
    return fields


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


def load(copies: int = 40, form: Literal["distance", "ink"] = "distance") -> Dataset:
    """Every character of every font: x (N, 784), labels (62 characters) and groups (fonts).

    form: "distance" gives signed distances from -2 to 2 pixels; "ink" grey levels from 0 to 1.
    copies: how many changed copies of each training font come with it; of the script, Fraktur and
        double-struck alphabets a quarter as many, since they are each the only one of their kind.

    Drawn on first use, in some ten seconds, and kept in ``data/cache``. Fonts and characters that this version of
    Matplotlib lacks are left out, and the data set's notes say which. Raises DataError if no font is left.
    """
    import matplotlib

    if form not in ("distance", "ink"):
        raise DataError(f"glyphs: form is {form!r}; say 'distance' or 'ink'.")
    recipe = f"{matplotlib.__version__} {copies} {FONTS}".encode() + Path(__file__).read_bytes()
    stored = cached("glyphs", recipe, lambda: _draw_all(copies))
    fields, labels, fonts, names, splits, notes = (stored[part] for part in PARTS)
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
        group=fonts,
        group_names=tuple(names),
        kind="image",
        source="fonts that ship inside Matplotlib: DejaVu, STIX, Computer Modern",
        notes=tuple(notes),
    )


def _draw_all(copies):
    names: list[str] = []
    fields, labels, fonts, splits, notes = [], [], [], [], []
    rng = np.random.default_rng(0)
    for name, file, alphabet, split in FONTS:
        try:
            drawn = draw_font(file, alphabet)
        except (OSError, RuntimeError, DataError) as error:
            notes.append(f"left out: {name} ({error})")
            continue
        here = [k for k, character in enumerate(CHARACTERS) if character in drawn]
        if len(here) < len(CHARACTERS):
            missing = "".join(character for character in CHARACTERS if character not in drawn)
            notes.append(f"{name} lacks {'the digits' if missing == string.digits else missing}")
        fine = np.stack([drawn[CHARACTERS[k]] for k in here])
        versions = [fine.reshape(len(here), SIDE, FINE, SIDE, FINE).mean(axis=(2, 4))]
        if split == "train":
            versions += [vary(fine, rng) for _ in range(copies // 4 if alphabet in ORNAMENTAL else copies)]
        for i, version in enumerate(versions):
            fields.append(np.round(version.clip(-REACH, REACH) * (127 / REACH)).astype(np.int8).reshape(len(here), -1))
            labels += here
            fonts += [len(names)] * len(here)
            names.append(name if i == 0 else f"{name} / {i}")
            splits.append(split)
    if not fields:
        raise DataError("glyphs: none of the fonts was found inside Matplotlib; install Matplotlib again.")
    arrays = np.concatenate(fields), labels, fonts, names, splits, notes
    return dict(zip(PARTS, map(np.array, arrays)))
