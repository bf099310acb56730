"""Image files of any size and kind as small squares of numbers, one array for all, in memory or in a file.

Whatever comes, eight bits a channel go on: what is transparent lies on white, 16 bits are divided by 257, a
camera's note on how it was held is obeyed, CMYK and palettes become red, green and blue. Pillow does the reading
and its antialiased Lanczos filter the scaling.
"""

import functools
import hashlib
import io
import json
import os
import tempfile
import warnings
from typing import NamedTuple

import numpy as np

from helpers.data.dataset import DataError
from helpers.data.files import File, shown
from helpers.data.rows import BLOCK

# Pillow knows more, such as PostScript, which it hands to another program; no picture is worth that.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "ICO", "TGA")
SUFFIXES = {".png", ".apng", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".pbm", ".pgm",
            ".ppm", ".pnm", ".jp2", ".avif", ".ico", ".tga"}  # fmt: skip
MOST_PIXELS = 150_000_000  # of one image: more than cameras have; 600 MB while it is read
COLOURLESS = 4  # of 255: red, green and blue that differ by no more are grey that was stored as a JPEG in colour
ORIENTATION = 0x0112  # the number of this note in EXIF


class Stack(NamedTuple):
    """Images as one array, and what became of each file."""

    x: np.ndarray  # (N, size, size), or (N, 3, size, size) in colour: float32 from 0 to 1
    kept: list[int]  # the files that the rows of x are, by their number
    skipped: list[tuple[int, str]]  # (number, reason)
    several: list[int]  # the files with several frames, of which the first was taken
    different: int  # how many of the images differ from all before


def read(path, size: int = 28, grey: bool = False, square: str = "pad") -> tuple[np.ndarray, int]:
    """One image as (3, size, size), or (1, size, size) if grey, uint8; and how many frames the file has.

    square: "pad" shows the whole image, scaled until it fits, and fills the rest with the colour of its border
        (the median); "crop" takes the largest square in the middle.
    Raises DataError with the reason, for what is no image, is broken or cut off, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with open(path, "rb") as file, Image.open(file, formats=_formats()) as image:
            if image.width * image.height > MOST_PIXELS:  # before it is decoded: a small file can declare any size
                raise DataError(f"declares {image.width:,} × {image.height:,} pixels, and at most {MOST_PIXELS:,} are "
                                "read; scale it down")  # fmt: skip
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
        raise DataError("is empty" if empty else "is no image, whatever its name says, or is cut off") from None
    except Exception as error:  # a broken file can make a decoder fail in any way, and the others are to be read
        if getattr(error, "errno", None):
            raise DataError(f"cannot be read ({error.strerror})") from None
        raise DataError(f"is broken or cut off ({shown(str(error)).rstrip('.') or type(error).__name__})") from None


def stack(files: list[File], size: int, grey: bool | None, square: str, folder=None) -> Stack:
    """All images that can be read; in memory, or with ``folder`` in a memory-mapped file there.

    grey: True for one channel, False for three; None takes three if any image is in colour.
    """
    if folder is None:
        with io.BytesIO() as small:
            found, colour = _collect(files, size, grey, square, small)
            x = np.empty(_shape(found, size, colour), np.float32)
            done = 0
            for block in _floats(small, size, grey, colour):
                x[done : done + len(block)] = block
                done += len(block)
        return found._replace(x=x)
    file = os.path.join(folder, f"images-{_fingerprint(files, size, grey, square)}.npy")
    return _stored(file) or _store(file, files, size, grey, square)


def _collect(files, size, grey, square, out):
    """Write the pixels of each image to the file object ``out``; returns the Stack without x, and if it has colour."""
    found, digests, colour = Stack(None, [], [], [], 0), set(), grey is False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF and the like, say neither which file nor what to do
        for number, file in enumerate(files):
            try:
                pixels, frames = read(file.path, size, bool(grey), square)
            except DataError as error:
                found.skipped.append((number, str(error)))
                continue
            out.write(pixels)
            found.kept.append(number)
            if frames > 1:
                found.several.append(number)
            digests.add(hashlib.blake2b(pixels, digest_size=16).digest())
            colour = colour or np.ptp(pixels, axis=0).max() > COLOURLESS
    return found._replace(different=len(digests)), bool(colour)


def _shape(found, size, colour):
    return (len(found.kept), 3, size, size) if colour else (len(found.kept), size, size)


def _floats(small, size, grey, colour):
    """The pixels in a file object of uint8, from its beginning, as float32 from 0 to 1, a few images at a time."""
    channels = 1 if grey else 3
    each = channels * size * size
    small.seek(0)
    while data := small.read(max(1, BLOCK // (4 * each)) * each):
        pixels = np.frombuffer(data, np.uint8).reshape(-1, channels, size, size)
        if channels == 3 and not colour:
            # Luma by ITU-R 601, rounded as Pillow does it: equal channels stay what they are.
            weights = np.array([19595, 38470, 7471], np.uint32)
            pixels = ((np.einsum("nchw,c->nhw", pixels, weights) + 0x8000) >> 16)[:, None]
        pixels = pixels if colour else pixels[:, 0]
        yield pixels / np.float32(255)


# --- larger than memory ------------------------------------------------------------------------------


def _fingerprint(files, size, grey, square):
    """Changes whenever a file or a setting does, or the code: names, sizes and times of change stand for contents."""
    import PIL

    known = hashlib.sha256(f"{size} {grey} {square} {PIL.__version__}".encode())
    with open(__file__, "rb") as source:
        known.update(source.read())
    for file in files:
        state = os.stat(file.path)
        known.update(os.fsencode(file.path) + f"\0{state.st_size} {state.st_mtime_ns}\0".encode())
    return known.hexdigest()[:16]


def _stored(file):
    """The Stack that was stored before; None if there is none, or it is damaged."""
    try:
        with open(f"{file}.json", encoding="utf-8") as card:
            found = Stack(None, **json.load(card))
        x = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, TypeError, EOFError):
        return None
    return found._replace(x=x) if len(x) == len(found.kept) else None


def _store(file, files, size, grey, square):
    """Make the file of numbers, whole or not at all, and beside it what became of each image."""
    part = f"{file}.{os.getpid()}.part"
    try:
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with tempfile.TemporaryFile(dir=os.path.dirname(file)) as small:
            found, colour = _collect(files, size, grey, square, small)
            if not found.kept:
                return found._replace(x=np.empty(_shape(found, size, colour), np.float32))
            with open(part, "wb") as out:  # not through a memory map: on a full disk, that would end the program
                header = {"descr": "<f4", "fortran_order": False, "shape": _shape(found, size, colour)}
                np.lib.format.write_array_header_1_0(out, header)
                for block in _floats(small, size, grey, colour):
                    out.write(np.ascontiguousarray(block, "<f4"))
        card = {name: value for name, value in found._asdict().items() if name != "x"}
        with open(f"{part}.json", "w", encoding="utf-8") as out:
            json.dump(card, out)
        os.replace(f"{part}.json", f"{file}.json")
        os.replace(part, file)  # last: with it, all is there
    except OSError as error:
        wanted = len(files) * (1 if grey else 3) * size**2 * 5 / 1e9
        message = (f"{os.path.dirname(file)}: {len(files):,} images of {size} × {size} cannot be kept here "
                   f"({error.strerror}); make room for {wanted:.1f} GB, or give a smaller size.")  # fmt: skip
        raise DataError(message) from None
    finally:
        for left in (part, f"{part}.json"):
            if os.path.exists(left):
                os.unlink(left)
    return found._replace(x=np.load(file, mmap_mode="r", allow_pickle=False))


# --- one image ---------------------------------------------------------------------------------------


@functools.cache
def _formats():
    """Those of FORMATS that this version of Pillow has."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _turn(image):
    """How to turn an image upright, as the camera noted it; None for not at all."""
    from PIL.Image import Transpose

    t = Transpose
    turns = {2: t.FLIP_LEFT_RIGHT, 3: t.ROTATE_180, 4: t.FLIP_TOP_BOTTOM, 5: t.TRANSPOSE, 6: t.ROTATE_270,
             7: t.TRANSVERSE, 8: t.ROTATE_90}  # fmt: skip
    return turns.get(image.getexif().get(ORIENTATION))


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
