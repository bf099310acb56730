"""A folder of images of any size and kind as small squares of bytes, one array for all.

How one file is read: helpers.data.pixels. What holds for all of them is decided here: in colour or not, which value is
white, what shows through, and which are nearly equal.
"""

import bisect
import hashlib
import itertools
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL

from helpers.data import cache, duplicates, formats, pixels
from helpers.data.dataset import DataError, Dataset, fingerprints
from helpers.data.files import FEWEST, File, find, finished, labels_of, left_out, shown, single, some, splits_of
from helpers.data.pixels import Look, Square
from helpers.progress import Progress

SUFFIXES = formats.IMAGES
COLOURLESS = 4  # of 255: red, green and blue that differ by no more are grey that was stored as a JPEG in colour
NEARLY_BLACK = 32  # of 255: where no image is lighter
MANY = 2000  # files whose reading takes a while: it shows its progress, and what was read is kept


class Stack(NamedTuple):
    """Images as one array, and what became of each file."""

    x: np.ndarray  # (N, size, size), or (N, 3, size, size) in colour: uint8 from 0 to 255
    kept: list[int]  # the files that the rows of x are, by their number
    skipped: list[tuple[int, str]]  # (number, reason)
    notes: list[str]  # what was decided for all


def images(
    path: str | Path, size: int = 28, grey: bool | None = None, seed: int = 0, square: Square = "pad",
    leave_out: str | Path | None = None, labels: bool | None = None,
) -> Dataset:
    """A folder of images of any size; its subfolders, if most images lie in some, are the labels.

    x: (N, size, size), grey, or (N, 3, size, size) in colour; bytes from 0 (black) to 255, which become numbers from
    0 to 1 when a batch is made. c: the number of the subfolder, (N,), however deep the image lies in it; without
    subfolders None. Subfolders train, valid and test are the splits (``Listing.take``).

    grey: True makes all images grey, False keeps three channels; None takes colour if any image is in colour.
    square: "pad" fits the whole image into the square and fills the rest with the colour of its border; "crop"
        takes the largest square in the middle.
    leave_out: a folder inside that is not looked at.
    labels: whether subfolders are labels; None decides by where most images lie.

    Of several frames the first that is not blank is taken; but where a file, or the few files of a folder, hold at
    least 10 frames, these are the images. One file may be given for a folder. Equal images are removed, and nearly
    equal ones stay in one split. More than 2,000 files are read once, and then from data/cache while they are the same.

    Raises DataError when there is no such folder, for fewer than 10 different images that can be used, and for more
    than fit into memory.
    """
    if not (isinstance(size, int) and 1 <= size <= 4096):
        raise DataError(f"images: size is {size!r}; give the pixels of a side, a whole number from 1 to 4096.")
    if square not in ("pad", "crop"):
        raise DataError(f"images: square is {square!r}; say 'pad' or 'crop'.")
    advice = "give one with images, in one subfolder for each label if they have labels"
    listing = single(path) if holds_images(path) else find(path, advice, leave_out)
    candidates = listing.take(SUFFIXES, "an image", labels)
    frames = [pixels.frames_in(file.path) for file in candidates] if len(candidates) < FEWEST else []
    every = sum(frames) >= FEWEST and max(frames) > 1
    rows = sum(frames) if every else len(candidates)
    _check_room(rows, 1 if grey else 3, size)
    found = _kept(candidates, (size, grey, square, every),
                  lambda: stack(candidates, rows, size, grey, square, every))
    listing.skipped += [(candidates[number].place, reason) for number, reason in found.skipped]
    different = len(set(fingerprints(found.x)))
    if different < FEWEST:
        seen = formats.advice(file.suffix for file in listing.files if file.suffix not in SUFFIXES)
        seen = f"; it holds {seen}" if seen and not candidates else ""
        raise DataError(f"{shown(path)}: holds {different} different images that can be used, and at least "
                        f"{FEWEST} are needed, to train, to choose and to test; add more{seen}{left_out(listing)}.")
    kept = [candidates[number] for number in found.kept]
    names, c = labels_of(listing, kept)
    alike, note = duplicates.found(found.x)
    split = splits_of(kept)
    apart = alike is not None and len(np.unique(alike)) >= 3  # else there is nothing to tell apart
    if alike is not None:
        found.notes.append(note + (", and most are: test examples have doubles in train, and the figures say little"
                                   if not apart else ", each kept in one split" if split is None else ""))
    data = Dataset.make(
        f"images of {listing.name}",
        found.x,
        c,
        names=tuple(map(shown, names)),
        low=0,
        high=1,
        seed=seed,
        source=listing.source(len(set(found.kept)), len(names)),
        notes=found.notes,
        kind="image",
        alike=alike if apart else None,
        split=split,
    )
    return finished(data, listing)


def holds_images(path: str | Path) -> bool:
    """Whether this is one file with enough frames to be all images: a stack, or an animation."""
    return os.path.isfile(path) and formats.ending(path) in SUFFIXES and pixels.frames_in(path) >= FEWEST


def stack(files: Sequence[File], rows: int, size: int, grey: bool | None, square: Square, every: bool = False) -> Stack:
    """All images that can be read, at most ``rows`` of them; with ``every``, all frames of each file.

    grey: True for one channel, False for three; None takes three if any image is in colour.
    """
    x = np.empty((rows, 1 if grey else 3, size, size), np.uint8)  # takes memory as it is filled, row by row
    looks: list[Look] = []
    kept: list[int] = []
    skipped = []

    def look(number, **decided):
        return pixels.read(files[number].path, size, bool(grey), square, every, **decided)

    progress = Progress(len(files), unit="image", show=len(files) > MANY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF and the like, say neither which file nor what to do
        for number in progress:
            try:
                for seen in itertools.islice(look(number), rows - len(kept)):
                    x[len(kept)] = seen.pixels
                    kept.append(number)
                    looks.append(seen._replace(pixels=None))
            except DataError as error:
                skipped.append((number, str(error)))
            progress.say("read")
        # What is decided for all is known now; those that were read otherwise are read again.
        scale = pixels.common_scale([seen.deep for seen in looks if seen.deep])
        background = pixels.common_background([seen.light for seen in looks if seen.light is not None])
        again = [row for row, seen in enumerate(looks) if (seen.deep and pixels.common_scale([seen.deep]) != scale)
                 or (seen.light is not None and background != pixels.WHITE)]
        for number in sorted({kept[row] for row in again}):
            start = bisect.bisect_left(kept, number)
            for row, seen in enumerate(look(number, scale=scale, background=background), start):
                x[row] = seen.pixels
    x = x[: len(kept)]
    x = x if grey is False or _coloured(x) else _luma(x)
    return Stack(x, kept, skipped, _notes(files, kept, looks, scale, background, every, x))


def _notes(files, kept, looks, scale, background, every, x):
    """What was decided for all images, a line each."""
    notes = []
    several = {kept[row]: seen.frames for row, seen in enumerate(looks) if seen.frames > 1}
    places = some([files[number].place for number in several])
    if several and every:
        notes.append(f"{len(kept):,} frames of {places} are the images")
    elif several:
        few, most = min(several.values()), max(several.values())
        which = "the first that is not blank was taken" if any(seen.frame for seen in looks) else "the first was taken"
        notes.append(f"several frames ({few}{f' to {most}' * (most > few)}) in {places}: {which}")
    deep = [seen.deep for seen in looks if seen.deep]
    usual = pixels.Scale(0, 65535), *([pixels.Scale(0, 1), pixels.Scale(0, 255)] if any(d.real for d in deep) else [])
    if scale and scale not in usual:
        low, high = min(d.low for d in deep), max(d.high for d in deep)
        low, high, black, white = (f"{v:,.0f}" if v == round(v) else f"{v:.3g}" for v in (low, high, *scale))
        notes.append(f"{len(deep):,} images of more than 8 bits, with values from {low} to {high}: in all of them "
                     f"{black} is black and {white} is white")
    clear = sum(seen.light is not None for seen in looks)
    if background == pixels.BLACK:
        notes.append(f"{clear:,} images are transparent, and light where they are not: they lie on black")
    elif background == pixels.GREY:
        notes.append(f"{clear:,} images are transparent, some light and some dark where they are not: they lie on grey")
    if len(x) and x.max() < NEARLY_BLACK:
        notes.append(f"all images are nearly black, with values up to {x.max()} of 255; rescale them if they should "
                     "not be")
    return notes


def _kept(files, options, make):
    """What ``make()`` returns, from the cache if many files have been read before, and are the same."""
    if len(files) <= MANY:
        return make()
    recipe = hashlib.sha256(repr((options, PIL.__version__, *map(_source, (pixels, sys.modules[__name__])))).encode())
    for file in files:
        state = os.stat(file.path)
        recipe.update(f"{file.path!r} {state.st_size} {state.st_mtime_ns}\n".encode())

    def arrays():
        found = make()
        rest = json.dumps([found.skipped, found.notes]).encode()
        return {"x": found.x, "kept": np.array(found.kept), "rest": np.frombuffer(rest, np.uint8)}

    stored = cache.recent("pictures", recipe.digest(), arrays)
    skipped, notes = json.loads(stored["rest"].tobytes())
    return Stack(stored["x"], stored["kept"].tolist(), [tuple(pair) for pair in skipped], notes)


def _source(module):
    return Path(module.__file__).read_bytes()


def _check_room(n, channels, size):
    import psutil

    needed = 2 * n * channels * size**2  # all of them, and again for the splits, which are copies
    free = psutil.virtual_memory().available
    if needed > free:
        raise DataError(f"images: {n:,} images of {size} × {size} need {needed / 1e9:.3g} GB of memory, and "
                        f"{free / 1e9:.3g} GB are free; give a smaller size, or fewer files.")


def _coloured(x):
    """Whether any of the images (N, C, size, size) is in colour."""
    return x.shape[1] == 3 and any(np.ptp(image, axis=0).max() > COLOURLESS for image in x)


def _luma(x):
    """Images (N, 1 or 3, size, size) in grey: (N, size, size), by ITU-R 601, rounded as Pillow does it."""
    if x.shape[1] == 1:
        return x[:, 0]
    weights = np.array([19595, 38470, 7471], np.uint32)  # of 65536 together: equal channels stay what they are
    out = np.empty((len(x), *x.shape[2:]), np.uint8)
    for image, grey in zip(x, out):  # one at a time, as the sums take four bytes a pixel
        grey[:] = (np.einsum("chw,c->hw", image, weights) + 0x8000) >> 16
    return out
