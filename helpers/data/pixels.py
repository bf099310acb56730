"""One image file as a small square of bytes.

Whatever comes, eight bits a channel go on. What lies in files of more bits, or of real numbers, and what shows through
where an image is transparent, is decided for a whole folder (:func:`common_scale`, :func:`common_background`): a rule
for each file would make the same grey mean different things. Pillow does the reading, and its antialiased Lanczos
filter the scaling.
"""

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from helpers.data.files import shown
from helpers.errors import DataError

# Pillow knows more, such as PostScript, which it hands to another program; no picture is worth that.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "ICO", "TGA")
MOST_PIXELS = 150_000_000  # of one image: more than cameras have; 600 MB while it is read
MOST_FRAMES = 100  # of an animation that are looked at for one that is not blank
BLANK = 4  # of 255: a frame whose pixels differ by no more holds nothing
LIGHT, DARK = 192, 64  # of 255: what is opaque is light above, dark below, and has contrast with any ground between
RARE = 0.05  # the part of the transparent images that does not decide about their background
WHITE, GREY, BLACK = 255, 128, 0
Square = Literal["pad", "crop"]  # how an image becomes a square, see read


class Scale(NamedTuple):
    """Which values are black and white."""

    black: float
    white: float


class Deep(NamedTuple):
    """The values of an image of more than eight bits: lowest, highest, and whether they are real numbers."""

    low: float
    high: float
    real: bool


class Look(NamedTuple):
    """A frame of an image file, small."""

    pixels: np.ndarray  # (C, size, size) uint8
    frame: int = 0  # which one it is,
    frames: int = 1  # of how many
    deep: Deep | None = None  # None for eight bits
    light: float | None = None  # 0 to 255: how light it is where it is opaque; None where nothing is transparent


def read(path: str | os.PathLike, size: int = 28, grey: bool = False, square: Square = "pad", every: bool = False,
         scale: Scale | None = None, background: int = WHITE) -> Iterator[Look]:
    """An image as (3, size, size), or (1, size, size) if grey; of several frames the first that is not blank.

    square: "pad" shows the whole image, scaled until it fits, and fills the rest with the colour of its border
        (the median); "crop" takes the largest square in the middle.
    every: all frames, one after the other.
    scale: what is black and white where there are more than eight bits; None goes by this one image.
    background: the grey, from 0 to 255, on which it lies where it is transparent.
    Raises DataError with the reason, for what is not an image, is broken or cut off, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with open(path, "rb") as file, Image.open(file, formats=_formats()) as image:
            if image.width * image.height > MOST_PIXELS:  # before it is decoded: a small file can declare any size
                raise DataError(f"declares {image.width:,} × {image.height:,} pixels, and at most {MOST_PIXELS:,} are "
                                "read; scale it down")
            frames = count(image)
            image.draft(image.mode, (4 * size, 4 * size))  # large JPEGs are decoded at a fraction of their size
            first = None
            for frame in range(frames if every else min(frames, MOST_FRAMES)):
                if frame:
                    image.seek(frame)
                image.load()
                look = _look(image, size, grey, square, scale, background)._replace(frame=frame, frames=frames)
                if every:
                    yield look
                    continue
                first = first or look
                if frames == 1 or np.ptp(look.pixels.reshape(len(look.pixels), -1), axis=1).max() > BLANK:
                    first = look
                    break
            if first is not None:
                yield first
    except (DataError, GeneratorExit):
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


def frames_in(path: str | os.PathLike) -> int:
    """How many frames an image file has; 0 if it cannot be opened."""
    from PIL import Image

    with contextlib.suppress(Exception), open(path, "rb") as file, Image.open(file, formats=_formats()) as image:
        return count(image)
    return 0


def count(image: Any) -> int:
    """The frames of an open image. What telephones add to a photograph, such as its depth, is no frame of it."""
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def common_scale(seen: Sequence[Deep]) -> Scale | None:
    """What is black and white in all these images. What their range means is in no file, and goes by rule.

    Whole numbers from 0 come from sensors of 8 to 16 bits: white is the highest that the fewest such bits can hold,
    4,095 for 12. Real numbers from 0 to 1, or to 255, mean just that. For all others, and for those that take up less
    than a quarter of that range, the lowest value is black and the highest white. None for no images.
    """
    if not seen:
        return None
    low, high = min(one.low for one in seen), max(one.high for one in seen)
    white = high
    if any(one.real for one in seen):
        white = 1.0 if high <= 1 else 255.0 if high <= 255 else high
    elif 0 <= low and high <= 65535:
        white = 2.0 ** max(8, int(high).bit_length()) - 1
    if 0 <= low and (high - low >= white / 4 or low == high):
        return Scale(0.0, white)
    return Scale(low, high)


def common_background(seen: Sequence[float]) -> int:
    """The grey on which all transparent images lie, by how light each is where it is opaque (0 to 255).

    White, as on paper; black where they are light, and grey if some are light and some are dark.
    """
    light, dark = sum(one > LIGHT for one in seen), sum(one < DARK for one in seen)
    if light <= RARE * len(seen):
        return WHITE
    return GREY if dark > RARE * len(seen) else BLACK


@functools.cache
def _formats():
    """Those of FORMATS that this version of Pillow has."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _look(image, size, grey, square, scale, background):
    """The frame that is loaded, as a Look."""
    turn = _turn(image)
    plain, deep = _plain(image, grey, scale)
    small, light = _scaled(plain, size, square), None
    small = small if turn is None else small.transpose(turn)
    if small.mode == "RGBA":
        light, small = _laid(small, background)
    return Look(_padded(np.asarray(small.convert("L" if grey else "RGB")), size), deep=deep, light=light)


def _turn(image):
    """How to turn an image upright, as the camera noted it; None for not at all.

    ``ImageOps.exif_transpose`` would do it, before scaling, and fail for notes that cannot be written anew.
    """
    from PIL import ExifTags
    from PIL.Image import Transpose as T

    turns = (T.FLIP_LEFT_RIGHT, T.ROTATE_180, T.FLIP_TOP_BOTTOM, T.TRANSPOSE, T.ROTATE_270, T.TRANSVERSE, T.ROTATE_90)
    with contextlib.suppress(Exception):  # a damaged note turns nothing, and does not spoil the image
        return dict(enumerate(turns, start=2)).get(image.getexif().get(ExifTags.Base.Orientation))


def _plain(image, grey, scale):
    """Eight bits a channel: "L", "RGB", or "RGBA" if anything is transparent; and what there was in more bits."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DataError("holds NaN or infinity")
        deep = Deep(low, high, image.mode == "F")
        return Image.fromarray(_eight_bits(values, scale or common_scale([deep]))), deep
    if image.has_transparency_data:
        return image.convert("RGBA"), None
    return image.convert("L" if grey or image.mode in ("1", "L") else "RGB"), None


def _eight_bits(values, scale):
    """Values of any range as uint8, where scale.black becomes 0 and scale.white 255."""
    step = np.float32(255 / max(scale.white - scale.black, 1e-30))
    parts = (values.astype(np.float32) - np.float32(scale.black)) * step
    return np.rint(parts.clip(0, 255)).astype(np.uint8)


def _laid(image, background):
    """How light an "RGBA" image is where it is opaque, or None if it all is; and the image on its background."""
    from PIL import Image

    alpha = np.asarray(image)[..., 3].astype(float)
    light = None
    if alpha.min() < 250 and alpha.max() > 0:
        light = float((np.asarray(image.convert("RGB").convert("L")) * alpha).sum() / alpha.sum())
    ground = Image.new("RGBA", image.size, (background, background, background, 255))
    return light, Image.alpha_composite(ground, image)


def _scaled(image, size, square):
    """Scaled to size × size from the middle ("crop"), or as a whole to fit in there ("pad").

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
    return image.resize(shape, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


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


def known(path: str | os.PathLike, size: int, square: Square = "pad", box: Sequence[int] | None = None) -> np.ndarray:
    """Which pixels of :func:`read`'s square are known: (size, size) of True and False.

    Missing is what is transparent, even in part; with ``box``, x, y, width and height in pixels of the image as it is
    seen, what lies in there instead. Raises DataError as :func:`read` does.
    """
    from PIL import Image

    next(read(path, size, square=square))  # whatever is wrong with it, is said there
    with open(path, "rb") as file, Image.open(file, formats=_formats()) as image:
        image.load()
        turn = _turn(image)
        if box is None:
            clear = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
            mask = Image.new("L", image.size, 255) if clear is None else clear
            mask = mask if turn is None else mask.transpose(turn)
        else:
            upright = image if turn is None else image.transpose(turn)
            mask = Image.new("L", upright.size, 255)
            x, y, width, height = box
            right, bottom = min(x + width, mask.width), min(y + height, mask.height)
            if x < right and y < bottom:
                mask.paste(0, (x, y, right, bottom))
    small = np.asarray(_scaled(mask, size, square))
    whole = np.full((size, size), 255, np.uint8)
    top, left = (size - small.shape[0]) // 2, (size - small.shape[1]) // 2
    whole[top : top + small.shape[0], left : left + small.shape[1]] = small
    return whole >= 250
