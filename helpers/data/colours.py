"""949 names that people gave to colours on their screens, from the survey of XKCD (Munroe, 2010; CC0).

They ship inside Matplotlib. The colour of a name is its condition, in Oklab: a space in which equal
distances look about equally far apart, lightness L from 0 to 1, a from green to red, b from blue to yellow.
"""

import re
import unicodedata

import numpy as np
import numpy.typing as npt

from helpers.data import text
from helpers.data.dataset import DataError, Dataset
from helpers.data.text import END, PAD, SPECIAL, UNKNOWN, Vocabulary

__all__ = ["Vocabulary", "Words", "alike", "load", "normalise", "oklab_to_rgb", "parts", "rgb_to_oklab", "survey"]

# Björn Ottosson (2020), "A perceptual color space for image processing", https://bottosson.github.io/posts/oklab/
# From linear RGB to what the three kinds of cones respond to, and from its cube root to L, a and b.
CONES = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
])
OPPONENTS = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
])


def rgb_to_oklab(rgb: npt.ArrayLike) -> np.ndarray:
    """sRGB (…, 3), each from 0 to 1, to Oklab (…, 3): L from 0 to 1, a and b within about ±0.32."""
    srgb = _three(rgb, "rgb")
    # sRGB stores about the square root of the light; undo that first (IEC 61966-2-1).
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)
    return np.cbrt(light @ CONES.T) @ OPPONENTS.T


def oklab_to_rgb(lab: npt.ArrayLike, clip: bool = True) -> np.ndarray:
    """Oklab (…, 3) to sRGB (…, 3); a colour that no screen can show is clipped to 0 … 1, unless told otherwise."""
    cones = (_three(lab, "lab") @ np.linalg.inv(OPPONENTS).T) ** 3
    light = cones @ np.linalg.inv(CONES).T
    rgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)
    return np.clip(rgb, 0, 1) if clip else rgb


def normalise(name: str) -> str:
    """A name in lower case, without accents, with single spaces: " Café  au LAIT" becomes "cafe au lait"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return " ".join(plain.lower().split())


def alike(name: str) -> str:
    """The letters of a name: equal for "sea green" and "seagreen", "blue green" and "blue/green", "gray" and "grey".

    Names with the same letters go into the same split; else the test would ask for what was learned by heart.
    """
    return re.sub(r"[^a-z]", "", name).replace("gray", "grey")


def parts(name):
    """The words of a name, a list of str; a stroke parts them as a space does, so "blue/green" has two."""
    return name.replace("/", " ").split()


class Words:
    """The words of some names as symbols, as characters are in a Vocabulary: 0 pad, 1 end, 2 unknown, then words.

    Made from names, a list of str. ``encode(names)`` gives rows of whole numbers (N, T), each ended and padded;
    ``decode`` of such rows a list of names, in which an unknown word is left out.
    """

    def __init__(self, names):
        self.words = sorted({word for name in names for word in parts(name)})
        self.number = {word: i for i, word in enumerate(self.words, SPECIAL)}

    def __len__(self):
        return SPECIAL + len(self.words)

    def encode(self, names):
        rows = [[self.number.get(word, UNKNOWN) for word in parts(name)] + [END] for name in names]
        longest = max(map(len, rows))
        return np.array([row + [PAD] * (longest - len(row)) for row in rows])  # (N, T)

    def decode(self, x):
        return [" ".join(self.words[i - SPECIAL] for i in row if i >= SPECIAL) for row in np.asarray(x)]


def survey() -> tuple[list[str], np.ndarray]:
    """All 949 names as normalised text, and their sRGB (949, 3), each from 0 to 1."""
    from matplotlib.colors import XKCD_COLORS, to_rgb  # slow to import, and needed only here

    names = [normalise(name.removeprefix("xkcd:")) for name in XKCD_COLORS]
    return names, np.array([to_rgb(colour) for colour in XKCD_COLORS.values()])


def load(seed: int = 0) -> Dataset:
    """The names as rows of symbols (N, T), conditioned on their colour in Oklab (N, 3).

    ``data.vocabulary`` turns rows into text and back; ``oklab_to_rgb(data.c)`` are the colours for the screen.
    """
    names, rgb = survey()
    return text.make("colour names", names, rgb_to_oklab(rgb), alike=alike, seed=seed,
                     source="the XKCD colour survey (Munroe, 2010; CC0), inside Matplotlib")


def _three(colours, name):
    colours = np.asarray(colours, float)
    if colours.ndim == 0 or colours.shape[-1] != 3:
        raise DataError(f"{name} has shape {colours.shape}; give three numbers for each colour, (…, 3).")
    return colours
