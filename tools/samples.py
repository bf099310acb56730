"""Make data/samples again: leaves, struck instruments and villages, all invented and drawn by fixed seeds.

`python tools/samples.py` writes 600 images, 256 sounds and 600 names, for trying `python -m helpers fit` and the lesson
Your own model without data of one's own; with a folder after it, into that folder. Every one is given by a few
continuous numbers, so that there is something between any two of them. A file that is there already and holds
anything else is left as it is.
"""

import io
import math
import sys
from pathlib import Path

import numpy as np

from helpers import sound
from helpers.disk import DATA, DiskError, write_new

SAMPLES = DATA / "samples"
SIDE, FINE = 48, 3  # pixels of a side; points a pixel, along each axis
SEASON = np.array([[0.16, 0.42, 0.20], [0.55, 0.66, 0.17], [0.93, 0.74, 0.16], [0.91, 0.46, 0.12], [0.70, 0.13, 0.15]])
STALK, CREAM = np.array([0.29, 0.18, 0.09]), np.array([1.0, 0.93, 0.62])
SECONDS = 0.6
SCALE = {"C4": 261.63, "D4": 293.66, "E4": 329.63, "F4": 349.23, "G4": 392.0, "A4": 440.0, "B4": 493.88, "C5": 523.25}


# --- leaves ------------------------------------------------------------------------------------------


def leaf(kind: str, slant, width, depth, bend, season, turn, light) -> np.ndarray:
    """One leaf in autumn colours on white paper, with its shadow: (48, 48, 3), uint8, red, green and blue.

    slant: radians from upright. width: of the blade, about 1. depth: of lobes or teeth, 0 to 1. bend: of the midrib,
    -1 to 1. season: 0 (green) over gold to 1 (crimson). turn: how much further the margin is. light: 0 to 1.
    """
    points = (np.arange(SIDE * FINE) + 0.5) / FINE - SIDE / 2
    x, y = np.meshgrid(points, -points)  # pixels from the middle, y upwards
    across, along, inside, vein = _blade(kind, *_turned(x, y, slant), width, depth, bend)
    colour = hue(season + turn * (1 - np.clip(1.6 * inside, 0, 1)) - 0.1) * (0.82 + 0.30 * light)
    colour *= (1 - 0.10 * np.clip(across, -1, 1))[..., None]  # light falls from the left
    rib = ((np.abs(across) < np.where(along < 0.95, 0.62, 0.3)) & (inside > 0.05)) | ((vein < 0.55) & (inside > 0.12))
    colour = np.where(rib[..., None], np.clip(0.55 * colour + 0.45 * CREAM, 0, 1), colour)
    below, high, blade, _ = _blade(kind, *_turned(x - 1.3, y + 1.5, slant), width, depth, bend)
    shadow = (blade > 0) | _stalk(below, high)
    page = np.where(shadow[..., None], 0.84, np.ones(3))
    page = np.where(_stalk(across, along)[..., None], 0.35 * hue(season) + STALK, page)
    page = np.where((inside > 0)[..., None], colour, page)
    page = page.reshape(SIDE, FINE, SIDE, FINE, 3).mean(axis=(1, 3))
    return np.rint(255 * np.clip(page, 0, 1)).astype(np.uint8)


def hue(season) -> np.ndarray:
    """The colour of a blade, 0 (green) to 1 (crimson): (…, 3)."""
    place = np.clip(season, 0, 1) * (len(SEASON) - 1)
    return np.stack([np.interp(place, range(len(SEASON)), SEASON[:, k]) for k in range(3)], axis=-1)


def _turned(x, y, slant):
    return x * math.cos(slant) - y * math.sin(slant), x * math.sin(slant) + y * math.cos(slant)


def _stalk(across, along):
    return (np.abs(across) < 0.8) & (along > -0.13) & (along < 0.15)


def _blade(kind, x, y, width, depth, bend):
    """Of each point: pixels from the midrib; the way along it, 0 to 1; how far inside, 0 at the edge; pixels from a
    vein."""
    across = x - bend * 0.32 * SIDE * (y / SIDE) ** 2
    t = (y + 0.36 * SIDE) / (0.76 * SIDE)
    along = np.clip(t, 0, 1)
    if kind == "maple":
        return across, t, *_star(across / width, y + 0.12 * SIDE, depth)
    if kind == "willow":
        half = 0.125 * width * np.sin(np.pi * along**0.9) ** 0.9 * (1 + 0.05 * depth * np.cos(18 * np.pi * along))
        vein = np.abs(np.mod(9 * t - 0.3 * np.abs(across), 1) - 0.5) * 2.4
    else:  # oak
        lobe = 3.7 * along**0.95 - 0.15
        bays = 1 + (0.10 + 0.26 * depth) * np.cos(2 * np.pi * lobe)
        half = 0.27 * width * np.sin(np.pi * along**1.3) ** 0.62 * bays
        vein = np.abs(np.mod(lobe - 0.026 * np.abs(across) + 0.5, 1) - 0.5) * 7.9
    inside = np.where((t > 0) & (t < 1), 1 - np.abs(across) / np.maximum(half * SIDE, 1e-6), -1)
    return across, t, inside, vein


def _star(x, y, depth):
    """The five lobes of a maple, around their middle: how far inside, and pixels from the nearest vein."""
    angle, radius = np.abs(np.arctan2(x, y)), np.hypot(x, y)
    valley = 0.36 - 0.19 * depth
    angles = [0, 0.475, 0.95, 1.45, 1.95, 2.5, np.pi]  # of tips and valleys in turn
    reach = SIDE * np.array([0.50, valley, 0.455, 0.9 * valley, 0.30, 0.17, 0.10])
    place = np.interp(angle, angles, range(7))
    before = np.clip(np.floor(place).astype(int), 0, 5)
    part = place - before
    part = np.where(before % 2 == 0, part**0.7, 1 - (1 - part) ** 0.7)  # sharp at tips
    edge = (reach[before] + (reach[before + 1] - reach[before]) * part) * (1 + 0.05 * np.cos(22 * angle))
    ray = np.where(angle < 0.475, 0.0, np.where(angle < 1.45, 0.95, 1.95))  # the nearest
    return 1 - radius / edge, np.abs(np.sin(angle - ray)) * radius


def leaves(n: int = 200, seed: int = 0) -> dict[str, np.ndarray]:
    """n leaves of each kind, by where they are kept, such as "oak/07.png"."""
    rng, found = np.random.default_rng(seed), {}
    for kind in ("maple", "oak", "willow"):
        for i in range(n):
            slant, width, depth, bend, season, turn, light = rng.random(7)
            found[f"{kind}/{i:02d}.png"] = leaf(kind, 0.5 * (slant - 0.5), 0.8 + 0.35 * width, depth, 2 * bend - 1,
                                                0.1 + 0.75 * season, 0.15 + 0.45 * turn, light)
    return found


# --- struck instruments ------------------------------------------------------------------------------

FAMILIES = {  # bright, ring, hollow, metal, knock: from, to
    "kalimba": ((0.0, 0.6), (0.3, 1.0), (0.0, 0.6), (0.2, 0.9), (0.1, 1.0)),
    "marimba": ((0.0, 0.5), (0.0, 0.6), (0.4, 1.0), (0.0, 0.5), (0.1, 1.0)),
    "musicbox": ((0.3, 1.0), (0.4, 1.0), (0.0, 0.6), (0.4, 1.0), (0.0, 0.4)),
    "steelpan": ((0.3, 1.0), (0.0, 0.8), (0.4, 1.0), (0.2, 1.0), (0.0, 0.8)),
}


def strike(pitch: float, bright, ring, hollow, metal, knock) -> np.ndarray:
    """One stroke on a tuned bar or tongue: (9600,), int16, 0.6 seconds at 16 kHz.

    Ten partials, which die away, and a knock of noise. All from 0 to 1: bright, how strong the upper partials are;
    ring, how long all of it lasts; hollow, how weak the even ones are; metal, how long the upper ones last beside the
    first; knock, how loud the noise is.
    """
    t = np.arange(round(SECONDS * sound.SAMPLE_RATE)) / sound.SAMPLE_RATE
    wave = np.zeros_like(t)
    for n in range(1, 11):
        fall = 0.03 * 20.0**ring / n ** (1.1 - 0.9 * metal)  # seconds until it has lost a factor e
        gain = n ** (-4.0 + 3.6 * bright) * (1 if n % 2 else 1 - 0.97 * hollow)
        wave += gain * np.exp(-t / fall) * np.sin(2 * np.pi * pitch * n * t)
    noise = np.random.default_rng(1).standard_normal(len(t))  # the same hand
    wave = wave * (1 - np.exp(-t / 0.0015)) + 0.8 * knock * noise * np.exp(-t / 0.008)
    wave[-480:] *= np.linspace(1, 0, 480)  # no click at the end
    return np.rint(0.9 * 2047 * wave / np.abs(wave).max()).astype(np.int16) * 16  # twelve bits: small files


def strokes(n: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    """n instruments of each family at the eight pitches of a scale, by where they are kept: "A4/kalimba-3.flac"."""
    rng, found = np.random.default_rng(seed), {}
    for i in range(n):
        for family, ranges in FAMILIES.items():
            numbers = [low + (high - low) * u for (low, high), u in zip(ranges, rng.random(5))]
            for label, pitch in SCALE.items():
                found[f"{label}/{family}-{i}.flac"] = strike(pitch, *numbers)
    return found


# --- villages ----------------------------------------------------------------------------------------

BEGINNINGS = "Alder Amber Ash Barrow Birch Black Bramble Brook Cold Copper Crow Dun Elder Fal Fen Fox Gar Glen Hare "
BEGINNINGS += "Hazel Heron High Holm Iron Kel Lang Lark Lin Long Mar Mill Moss Nether Oak Otter Pen Raven Red Rook "
BEGINNINGS += "Row Sed Silver Stan Star Swan Tarn Thorn Under Wend Whit Win Wolf Wren Yar"
ENDINGS = "bourne bridge bury by combe cote dale den field ford gate ham haven hollow hurst leigh ley low mere mouth "
ENDINGS += "ness pool ridge stead stoke thorpe ton vale wade water well wick wold wood worth"
RIVERS = "Arl Bel Cray Dove Esk Fleet Isk Lune Nidd Ouse Rill Sarn Tew Wyre"


def villages(n: int = 600, seed: int = 0) -> list[str]:
    """n different names of places that are on no map of ours, by a small grammar."""
    rng, found = np.random.default_rng(seed), {}
    pick = lambda words: words.split()[rng.integers(len(words.split()))]
    while len(found) < n:
        name = pick(BEGINNINGS) + pick(ENDINGS)
        chance = rng.random()
        if chance < 0.12:
            name = f"{pick('Great Little Upper Lower Old East West')} {name}"
        elif chance < 0.22:
            name = f"{name}-{pick('on by under')}-{pick(RIVERS)}"
        elif chance < 0.28:
            name = f"{name} {pick('Green Cross End Regis Magna')}"
        found[name] = None
    return list(found)


def files() -> dict[str, bytes]:
    """What every file holds, by where it is kept."""
    from PIL import Image

    found = {}
    for place, pixels in leaves().items():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="png", optimize=True)
        found[f"leaves/{place}"] = file.getvalue()
    for place, wave in strokes().items():
        found[f"strokes/{place}"] = sound.encode(wave / 32767, format="flac")
    found["villages.txt"] = ("\n".join(villages()) + "\n").encode()
    return found


def main(folder: Path = SAMPLES) -> int:
    made = files()
    try:
        for place, data in made.items():
            write_new(folder / place, data)
    except DiskError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{folder} cannot be written to ({error.strerror}); give another folder.", file=sys.stderr)
        return 1
    print(f"{len(made)} files, {sum(map(len, made.values())) / 1000:.0f} kB in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
