"""Make data/samples again: leaves, struck instruments and villages, all invented and drawn by fixed seeds.

`python tools/samples.py` writes 240 images, 48 sounds and 600 names, for trying `python -m helpers fit` and the lesson
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
SIDE, FINE = 28, 6  # pixels of a side; points a pixel, along each axis
SECONDS = 0.5
PITCHES = {"A3": 220.0, "E4": 329.63, "A4": 440.0}  # Hz


# --- leaves ------------------------------------------------------------------------------------------


def leaf(kind: str, slant, width, depth, bend, vein, shade) -> np.ndarray:
    """One leaf, dark on white paper: (28, 28), uint8.

    slant: radians from upright. width: of the blade, about 1. depth: of lobes or teeth, 0 to 1. bend: of the midrib.
    vein: thickness of the veins, in pixels. shade: grey of the blade, 0 (black) to 1.
    """
    points = (np.arange(SIDE * FINE) + 0.5) / FINE - SIDE / 2
    x, y = np.meshgrid(points, -points)  # pixels from the middle, y upwards
    x, y = x * math.cos(slant) - y * math.sin(slant), x * math.sin(slant) + y * math.cos(slant)
    t = (y + 9) / 20  # along the midrib: 0 where the stalk ends, 1 at the tip
    u = x - bend * 8 * (t - 0.3) ** 2  # across it
    along = np.clip(t, 0, 1)
    if kind == "willow":
        half = 4.2 * width * np.sin(np.pi * along) ** (1 + 0.5 * depth)
        side = np.abs(np.mod(t * 7 - np.abs(u) * 0.30, 1) - 0.5) / 7 * 20
    elif kind == "oak":
        lobes = 1 + (0.15 + 0.35 * depth) * np.cos(2 * np.pi * (3.6 * along - 0.1))
        half = 6.6 * width * np.sin(np.pi * along**1.25) ** 0.7 * lobes
        side = np.abs(np.mod(3.6 * t - 0.1 - np.abs(u) * 0.12 + 0.5, 1) - 0.5) / 3.6 * 20
    elif kind == "maple":
        centre = t - 0.32
        angle, radius = np.arctan2(u / width, 20 * centre), np.hypot(u / width, 20 * centre)
        star = np.abs(np.cos(2.5 * angle)) ** (0.35 + 1.1 * depth)
        reach = 12.5 * (0.42 + 0.58 * star) * (0.62 + 0.38 * np.cos(angle / 2) ** 2)
        inside = radius < reach
        ray = np.round(angle / (0.4 * np.pi)) * 0.4 * np.pi  # the nearest of five
        side = np.abs(np.sin(angle - ray)) * radius
        veins = (side < vein / 2) & (radius < 0.8 * reach)
    if kind != "maple":
        inside = (np.abs(u) < half) & (t > 0) & (t < 1)
        veins = ((np.abs(u) < vein / 2) & (t < 0.9)) | ((side < vein / 3) & (np.abs(u) < 0.7 * half))
    stalk = (np.abs(u) < 0.6) & (t > -0.22) & (t < (0.32 if kind == "maple" else 0.05))
    paper = np.where(stalk, 0.6 * shade, 1.0)
    grey = np.where(inside, np.where(veins, 0.5 + 0.5 * shade, shade), paper)
    grey = grey.reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))
    return np.rint(255 * grey).astype(np.uint8)


def leaves(n: int = 80, seed: int = 0) -> dict[str, np.ndarray]:
    """n leaves of each kind, by where they are kept, such as "oak/07.png"."""
    rng, found = np.random.default_rng(seed), {}
    for kind in ("maple", "oak", "willow"):
        for i in range(n):
            slant, width, depth, bend, vein, shade = rng.random(6)
            found[f"{kind}/{i:02d}.png"] = leaf(kind, 0.9 * (slant - 0.5), 0.75 + 0.45 * width, depth, 2 * bend - 1,
                                                0.7 + 0.9 * vein, 0.15 + 0.4 * shade)
    return found


# --- struck instruments ------------------------------------------------------------------------------


def strike(pitch: float, bright, ring, hollow, knock) -> np.ndarray:
    """One stroke on a bar, a bell or a skin: (8000,), int16, half a second at 16 kHz.

    Ten partials, a little wider apart than those of a string, which die away the sooner the higher they are, and a
    knock of noise. All from 0 to 1: bright, how strong the upper partials are; ring, how long all of it lasts;
    hollow, how weak the even ones are; knock, how loud the noise is.
    """
    t = np.arange(round(SECONDS * sound.SAMPLE_RATE)) / sound.SAMPLE_RATE
    wave = np.zeros_like(t)
    for k in range(1, 11):
        fall = 0.03 * 12.0**ring / k ** (1 - 0.5 * bright)  # seconds until it has lost a factor e
        gain = k ** (-2.5 + 2.0 * bright) * (1 if k % 2 else 1 - 0.95 * hollow)
        wave += gain * np.exp(-t / fall) * np.sin(2 * np.pi * pitch * k**1.08 * t)
    noise = np.random.default_rng(1).random(len(t)) - 0.5  # the same hand
    wave = wave * (1 - np.exp(-t / 0.0008)) + 2.5 * knock * noise * np.exp(-t / (0.004 + 0.02 * knock))
    wave[-320:] *= np.linspace(1, 0, 320)  # no click at the end
    return np.rint(0.9 * 32767 * wave / np.abs(wave).max()).astype(np.int16)


def strokes(seed: int = 0) -> dict[str, np.ndarray]:
    """Sixteen instruments at three pitches, by where they are kept, such as "A4/bell-03.flac"."""
    rng, found = np.random.default_rng(seed), {}
    for i in range(16):
        family = ("bell", "marimba", "drum")[i % 3]
        bright, ring, hollow, knock = rng.random(4)
        numbers = {
            "bell": (0.4 + 0.6 * bright, 0.65 + 0.35 * ring, hollow, 0.2 * knock),
            "marimba": (0.5 * bright, 0.35 + 0.4 * ring, hollow, 0.1 + 0.3 * knock),
            "drum": (0.2 + 0.5 * bright, 0.35 * ring, hollow, 0.5 + 0.5 * knock),
        }[family]
        for label, pitch in PITCHES.items():
            found[f"{label}/{family}-{i:02d}.flac"] = strike(pitch, *numbers)
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
