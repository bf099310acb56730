"""The pages that come with the lessons: a designer of typefaces, one of instruments, and a namer of colours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers import disk
from helpers.build import restore
from helpers.data import glyphs, notes
from helpers.experiments import priors
from helpers.experiments.orders import Knobs
from helpers.experiments.pretrained.priors import TRAITS
from helpers.pages import naming
from helpers.pages.document import chosen, document, of_prior, pack
from helpers.widgets import ordering

SHARED = ("numbers.js", "priors.js", "controls.js")
FOOT = """<p>Everything happens in this page: nothing is loaded, and nothing leaves your computer. It is one file;
save it, send it, open it without a network. From the lesson <i>{lesson}</i> of <i>From Encoder to
Generator</i>. {limits}</p>"""
START = {"glyphs-prior": ((0, -0.6, 0, 0, -0.6), 8), "notes-prior": ((0, 0, 0), 0)}  # what a page begins with: an order
KNOBS = ("brighter", "slower attack", "longer")  # as in the lesson: what more of each trait is
WORDS = {"weight": ("lighter", "bolder"), "width": ("narrower", "wider"),
         "x-height": ("lower", "higher"), "brightness": ("darker", "brighter"), "attack": ("faster", "slower"),
         "decay": ("shorter", "longer")}  # what less and more of a trait is, where it is not just that
REACH = (4000, 0.999)  # draws from a prior, and the part of them that are not called far
TUNE = [[60, 1], [64, 1], [67, 1], [72, 2], [None, 1], [71, 1], [67, 1], [64, 1], [65, 1], [62, 1], [60, 3]]
CODES = 800  # codes from which the directions of the knobs are found, as in the lesson


def designer(name: str, vae: Any, prior: Any, traits: np.ndarray, codes: np.ndarray,
             names: list[str], average: str) -> dict[str, Any]:
    """What the page of a designer needs: the networks, and what its knobs and its order form do.

    The knobs are the straight lines of the lessons, fitted to the traits (N, C), as they are named, of codes (N, K).
    average: what 0 means in an order, in words.
    """
    vectors, (order, seed) = Knobs(codes, traits).change.T, START[name]
    told = prior.c_mean + prior.c_deviation * torch.tensor([order])
    centre = prior.sample(1, told, torch.Generator().manual_seed(seed), guidance=ordering.GUIDANCE)[0]
    return {"directions": [[trait, vector.tolist()] for trait, vector in zip(names, vectors)],
            "centre": centre.tolist(), "traits": list(TRAITS[name]), "average": average,
            "choices": [choices(trait) for trait in TRAITS[name]], "reach": reach(prior), "guidance": ordering.GUIDANCE,
            "c_mean": prior.c_mean.tolist(), "c_deviation": prior.c_deviation.tolist(),
            "prior": prior.plan, "packed": pack(chosen(vae.decoder.state_dict(), "", "decoder.") | of_prior(prior))}


def choices(trait: str) -> list[list]:
    """The choices of an order, in words that fit to the trait."""
    less, more = WORDS.get(trait, ("less", "more"))
    words = {"less": less, "more": more}
    return [[" ".join(words.get(word, word) for word in says.split(" ")), value] for says, value in ordering.CHOICES]


def reach(prior: Any) -> dict[str, Any]:
    """How far from their mean a prior's codes lie, each direction counted in its own spread, and what is far."""
    draws, part = REACH
    z = prior.sample(draws, None, torch.Generator().manual_seed(0)).double().numpy()
    root = np.linalg.inv(np.linalg.cholesky(np.cov(z.T)))
    away = np.linalg.norm((z - z.mean(axis=0)) @ root.T, axis=1)
    return {"mean": z.mean(axis=0).tolist(), "root": root.tolist(), "most": float(np.quantile(away, part))}


def typeface() -> str:
    """The designer of typefaces."""
    vae: Any
    prior: Any
    (vae, _), (prior, _) = restore(disk.PRETRAINED / "glyphs-fonts"), restore(disk.PRETRAINED / "glyphs-prior")
    codes = np.random.default_rng(0).standard_normal((CODES, vae.code)).astype(np.float32)
    found = [glyphs.measure(alphabet) for alphabet in priors.alphabets(vae, torch.from_numpy(codes))]
    traits = np.array([list(one.values()) for one in found])
    upright = float(-prior.c_mean[1] / prior.c_deviation[1])
    average = ("0 is the average of all fonts that the model learned from, their slanted copies among them, and that "
               f"average leans: slant 0 is an italic, upright is about {upright:.0f}. Numbers are standard deviations. "
               "Contrast cannot be ordered: what draws was not told it.").replace("-", "−")
    facts = designer("glyphs-prior", vae, prior, traits, codes, list(found[0]), average)
    return document(
        "Typeface designer",
        "A typeface that nobody has drawn: sixteen numbers, which a network turns into 62 letters and digits. Move a "
        "slider, type a text, keep the font.",
        ("designer.html", "typeface.html"), (*SHARED, "glyphs.js", "outlines.js", "truetype.js", "typeface.js"), facts,
        FOOT.format(lesson="Images: draw a new typeface", limits="The model learned from 24 fonts that ship inside "
                    "Matplotlib, and changed copies of them: Latin letters and digits, no accents."))


def instrument() -> str:
    """The designer of instruments."""
    vae: Any
    prior: Any
    (vae, _), (prior, _) = restore(disk.PRETRAINED / "notes-instruments"), restore(disk.PRETRAINED / "notes-prior")
    codes = prior.sample(CODES, None, torch.Generator().manual_seed(0))
    found = priors.heard(priors.two_notes(vae, codes))[:, : len(KNOBS)]
    facts = designer("notes-prior", vae, prior, found, codes.numpy(), list(KNOBS),
                     "0 is the average of the instruments that the model learned from. Numbers are standard "
                     "deviations. Attack is how long a note rises, decay how long it dies away.")
    facts |= {"first": notes.PITCHES[0], "pitches": len(notes.PITCHES), "tune": TUNE}
    return document(
        "Instrument designer",
        "An instrument that nobody built: eight numbers, which a network turns into the sound of 36 keys. Move a "
        "slider, and play.",
        ("designer.html", "instrument.html"), (*SHARED, "harmonics.js", "instrument.js"), facts,
        FOOT.format(lesson="Audio: play a new instrument", limits="The model learned from 230 instruments of four "
                    "families of synthesisers, notes of one second."))


def colours() -> str:
    """The namer of colours."""
    return document(
        "Colour namer",
        "Pick a colour. A network that was told it writes a hundred names; others choose the best, up to five.",
        ("colours.html",), ("numbers.js", "controls.js", "gru.js", "colours.js"), naming.facts(),
        FOOT.format(lesson="Text: name a colour", limits="The networks learned from 679 names that visitors of a web "
                    "site gave (the XKCD colour survey, CC0). A name is made of words in that list, and is not itself "
                    "in it; crude words were left out. Two networks of each kind choose here, in the lesson four or "
                    "five."))


PAGES: dict[str, Callable[[], str]] = {"typeface": typeface, "instrument": instrument, "colours": colours}


def write(folder: Path, names: list[str] | None = None) -> list[Path]:
    """Write the pages, or some of them, into a folder, in place of earlier ones; returns the files.

    Raises DiskError for a folder that holds other files (``disk.Place``).
    """
    names = names or list(PAGES)
    with disk.Place(folder, tuple(f"{name}.html" for name in names), "pages.json") as place:
        return [place.write(f"{name}.html", PAGES[name]().encode("utf-8")) for name in names]
