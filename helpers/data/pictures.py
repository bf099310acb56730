"""Image files of any size and kind as small squares of bytes, one array for all.

Whatever comes, eight bits a channel go on: what is transparent lies on white, 16 bits are divided by 257, a
camera's note on how it was held is obeyed, CMYK and palettes become red, green and blue. Pillow does the reading
and its antialiased Lanczos filter the scaling.
"""

import contextlib
import functools
import hashlib
import os
import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from helpers.data.dataset import DataError, Dataset
from helpers.data.files import FEWEST, File, find, finished, labels_of, left_out, shown, some

# Pillow knows more, such as PostScript, which it hands to another program; no picture is worth that.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "ICO", "TGA")
SUFFIXES = {".png", ".apng", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".pbm", ".pgm",
            ".ppm", ".pnm", ".jp2", ".avif", ".ico", ".tga"}
MOST_PIXELS = 150_000_000  # of one image: more than cameras have; 600 MB while it is read
COLOURLESS = 4  # of 255: red, green and blue that differ by no more are grey that was stored as a JPEG in colour
Square = Literal["pad", "crop"]  # how an image becomes a square, see read


class Stack(NamedTuple):
    """Images as one array, and what became of each file."""

    x: np.ndarray  # (N, size, size), or (N, 3, size, size) in colour: uint8 from 0 to 255
    kept: list[int]  # the files that the rows of x are, by their number
    skipped: list[tuple[int, str]]  # (number, reason)
    several: list[int]  # the files with several frames, of which the first was taken
    different: int  # how many of the images differ from all before


def images(
    path: str | Path, size: int = 28, grey: bool | None = None, seed: int = 0, square: Square = "pad",
    leave_out: str | Path | None = None,
) -> Dataset:
    """A folder of images of any size; its subfolders, if it has any, are the labels.

    x: (N, size, size), grey, or (N, 3, size, size) in colour; bytes from 0 (black) to 255, which become numbers from
    0 to 1 when a batch is made. c: the number of the subfolder, (N,), however deep the image lies in it; without
    subfolders None.

    grey: True makes all images grey, False keeps three channels; None takes colour if any image is in colour.
    square: "pad" fits the whole image into the square and fills the rest with the colour of its border; "crop"
        takes the largest square in the middle.
    leave_out: a folder inside that is not looked at.

    Images with transparency lie on white. Of several frames the first is taken. Equal images are removed.

    Raises DataError when there is no such folder, for fewer than 10 different images that can be used, and for more
    than fit into memory.
    """
    if not (isinstance(size, int) and 1 <= size <= 4096):
        raise DataError(f"images: size is {size!r}; give the pixels of a side, a whole number from 1 to 4096.")
    if square not in ("pad", "crop"):
        raise DataError(f"images: square is {square!r}; say 'pad' or 'crop'.")
    listing = find(path, "give one with images, in one subfolder for each label if they have labels", leave_out)
    candidates = listing.take(SUFFIXES, "an image")
    found = stack(candidates, size, grey, square)
    listing.skipped += [(candidates[number].place, reason) for number, reason in found.skipped]
    if found.different < FEWEST:
        raise DataError(f"{shown(path)}: holds {found.different} different images that can be used, and at least "
                        f"{FEWEST} are needed, to train, to choose and to test; add more{left_out(listing)}.")
    kept = [candidates[number] for number in found.kept]
    labels, c = labels_of(listing, kept)
    notes = []
    if found.several:
        places = [candidates[number].place for number in found.several]
        notes.append(f"several frames in {some(places)}: the first was taken")
    data = Dataset.make(
        f"images of {listing.name}",
        found.x,
        c,
        names=tuple(map(shown, labels)),
        low=0,
        high=1,
        seed=seed,
        source=listing.source(len(kept), len(labels)),
        notes=notes,
        kind="image",
    )
    return finished(data, listing)


def read(path: str | Path, size: int = 28, grey: bool = False, square: Square = "pad") -> tuple[np.ndarray, int]:
    """One image as (3, size, size), or (1, size, size) if grey, uint8; and how many frames the file has.

    square: "pad" shows the whole image, scaled until it fits, and fills the rest with the colour of its border
        (the median); "crop" takes the largest square in the middle.
    Raises DataError with the reason, for what is not an image, is broken or cut off, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with open(path, "rb") as file, Image.open(file, formats=_formats()) as image:
            if image.width * image.height > MOST_PIXELS:  # before it is decoded: a small file can declare any size
                raise DataError(f"declares {image.width:,} × {image.height:,} pixels, and at most {MOST_PIXELS:,} are "
                                "read; scale it down")
            frames = getattr(image, "n_frames", 1)
            image.draft(image.mode, (4 * size, 4 * size))  # large JPEGs are decoded at a fraction of their size
            image.load()
            turn = _turn(image)
            small = _scaled(_plain(image, grey), size, square)
        small = small if turn is None else small.transpose(turn)
        return _padded(np.asarray(small.convert("L" if grey else "RGB")), size), frames
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(f"declares more pixels than the {MOST_PIXELS:,} that are read; scale it down") from None
    except UnidentifiedImageError:
        empty = os.path.getsize(path) == 0
        raise DataError("is empty" if empty else "is not an image, whatever its name says, or is cut off") from None
    except Exception as error:  # a broken file can make a decoder fail in any way, and the others are to be read
        if isinstance(error, OSError) and error.errno:
            raise DataError(f"cannot be read ({error.strerror})") from None
        raise DataError(f"is broken or cut off ({shown(str(error)).rstrip('.') or type(error).__name__})") from None


def stack(files: list[File], size: int, grey: bool | None, square: Square) -> Stack:
    """All images that can be read.

    grey: True for one channel, False for three; None takes three if any image is in colour.
    Raises DataError, before any is read, if they would not fit into the memory that is free.
    """
    channels = 1 if grey else 3
    _check_room(len(files), channels, size)
    x = np.empty((len(files), channels, size, size), np.uint8)  # takes memory as it is filled, row by row
    found, digests, colour = Stack(x, [], [], [], 0), set(), grey is False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF and the like, say neither which file nor what to do
        for number, file in enumerate(files):
            try:
                pixels, frames = read(file.path, size, bool(grey), square)
            except DataError as error:
                found.skipped.append((number, str(error)))
                continue
            x[len(found.kept)] = pixels
            found.kept.append(number)
            if frames > 1:
                found.several.append(number)
            digests.add(hashlib.blake2b(pixels.data, digest_size=16).digest())
            colour = colour or np.ptp(pixels, axis=0).max() > COLOURLESS
    x = x[: len(found.kept)]
    return found._replace(x=x if colour else _luma(x), different=len(digests))


def _check_room(n, channels, size):
    import psutil

    needed = 2 * n * channels * size**2  # all of them, and again for the splits, which are copies
    free = psutil.virtual_memory().available
    if needed > free:
        raise DataError(f"images: {n:,} images of {size} × {size} need {needed / 1e9:.3g} GB of memory, and "
                        f"{free / 1e9:.3g} GB are free; give a smaller size, or fewer files.")


def _luma(x):
    """Images (N, 1 or 3, size, size) in grey: (N, size, size), by ITU-R 601, rounded as Pillow does it."""
    if x.shape[1] == 1:
        return x[:, 0]
    weights = np.array([19595, 38470, 7471], np.uint32)  # of 65536 together: equal channels stay what they are
    out = np.empty((len(x), *x.shape[2:]), np.uint8)
    for image, grey in zip(x, out):  # one at a time, as the sums take four bytes a pixel
        grey[:] = (np.einsum("chw,c->hw", image, weights) + 0x8000) >> 16
    return out


# --- one image ---------------------------------------------------------------------------------------


@functools.cache
def _formats():
    """Those of FORMATS that this version of Pillow has."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _turn(image):
    """How to turn an image upright, as the camera noted it; None for not at all.

    ``ImageOps.exif_transpose`` would do it, before scaling, and fail for notes that cannot be written anew.
    """
    from PIL import ExifTags
    from PIL.Image import Transpose as T

    turns = (T.FLIP_LEFT_RIGHT, T.ROTATE_180, T.FLIP_TOP_BOTTOM, T.TRANSPOSE, T.ROTATE_270, T.TRANSVERSE, T.ROTATE_90)
    with contextlib.suppress(Exception):  # a damaged note turns nothing, and does not spoil the image
        return dict(enumerate(turns, start=2)).get(image.getexif().get(ExifTags.Base.Orientation))


def _plain(image, grey):
    """Eight bits a channel: "L", "RGB", or "RGBA" if anything is transparent."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(image), image.mode))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if grey or image.mode in ("1", "L") else "RGB")


def _eight_bits(values, mode):
    """Grey values of more than eight bits as uint8. What their range means is in no file, and goes by rule."""
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError("holds NaN or infinity")
    if low < 0 or high > 65535:
        raise DataError(f"holds values from {low:g} to {high:g}, and 0 to 65535 are understood; rescale it")
    if mode != "F" or high > 255:
        values = values / np.float32(257)  # 65535 is white
    elif high <= 1:
        values = values * 255
    return np.rint(values).astype(np.uint8)


def _scaled(image, size, square):
    """Scaled to size × size from the middle ("crop"), or as a whole to fit in there ("pad"); on white, if transparent.

    Pillow weighs colours by how opaque they are while it scales "RGBA".
    """
    from PIL import Image

    width, height = image.size
    if square == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        shape, box = (size, size), (left, top, left + side, top + side)
    else:
        scale = size / max(width, height)
        shape, box = (max(1, round(scale * width)), max(1, round(scale * height))), None
    image = image.resize(shape, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def _padded(pixels, size):
    """Pixels (h, w) or (h, w, C) in the middle of a square of their border's median colour: (C, size, size)."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    height, width, channels = pixels.shape
    if (height, width) != (size, size):
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        canvas = np.empty((size, size, channels), np.uint8)
        canvas[:] = np.median(border, axis=0).round()
        top, left = (size - height) // 2, (size - width) // 2
        canvas[top : top + height, left : left + width] = pixels
        pixels = canvas
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
