"""The pages that come with the lessons: a designer of typefaces, one of instruments, and a namer of colours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers import disk
from helpers.build import restore
from helpers.data import glyphs, notes
from helpers.experiments import priors
from helpers.experiments.pretrained.priors import TRAITS
from helpers.pages import naming
from helpers.pages.document import HERE, chosen, document, pack
from helpers.widgets import ordering

SHARED = ("numbers.js", "priors.js", "controls.js")
FOOT = """<p>Everything happens in this page: nothing is loaded, and nothing leaves your computer. It is one file;
save it, send it, open it without a network. From the lesson <i>{lesson}</i> of <i>From Encoder to
Generator</i>. {limits}</p>"""
START = {"glyphs-prior": ((0, -0.6, 0, 0, -0.6), 8), "notes-prior": ((0, 0, 0), 0)}  # what a page begins with: an order
KNOBS = ("brighter", "slower attack", "longer")  # as in the lesson: what more of each trait is
TUNE = [[60, 1], [64, 1], [67, 1], [72, 2], [None, 1], [71, 1], [67, 1], [64, 1], [65, 1], [62, 1], [60, 3]]
CODES = 800  # codes from which the directions of the knobs are found, as in the lesson


def directions(measured: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """For each trait (N, C) of codes (N, K) the likeliest step that adds one deviation to it, none to the others.

    By least squares, as in Audio, where a step counts by how far codes vary its way: B = S W (Wᵀ S W)⁻¹, (C, K).
    """
    y, S = (measured - measured.mean(axis=0)) / measured.std(axis=0), np.cov(codes.T)
    W = np.linalg.lstsq(codes - codes.mean(axis=0), y, rcond=None)[0]  # (K, C)
    return (S @ W @ np.linalg.inv(W.T @ S @ W)).T


def flow(prior: Any) -> dict[str, Tensor]:
    """What a page needs of a learned prior: the averaged weights, and the scale of codes."""
    state = prior.state_dict()
    return {name: tensor for name, tensor in state.items() if name.startswith("flow.average.module.")} | {
        name: state[name] for name in ("mean", "deviation")}


def designer(name: str, prior: Any, traits: np.ndarray, codes: np.ndarray, names: list[str]) -> dict[str, Any]:
    """What the knobs and the order form of a page need to know."""
    vectors, (order, seed) = directions(traits, codes), START[name]
    told = prior.c_mean + prior.c_deviation * torch.tensor([order])
    centre = prior.sample(1, told, torch.Generator().manual_seed(seed), guidance=ordering.GUIDANCE)[0]
    return {"directions": [[trait, vector.tolist()] for trait, vector in zip(names, vectors)],
            "centre": centre.tolist(), "traits": list(TRAITS[name]), "choices": [list(c) for c in ordering.CHOICES],
            "guidance": ordering.GUIDANCE, "c_mean": prior.c_mean.tolist(), "c_deviation": prior.c_deviation.tolist(),
            "prior": prior.plan}


def typeface() -> str:
    """The designer of typefaces."""
    vae: Any
    prior: Any
    (vae, _), (prior, _) = restore(disk.PRETRAINED / "glyphs-fonts"), restore(disk.PRETRAINED / "glyphs-prior")
    codes = np.random.default_rng(0).standard_normal((CODES, vae.code)).astype(np.float32)
    found = [glyphs.measure(alphabet) for alphabet in priors.alphabets(vae, torch.from_numpy(codes))]
    facts = designer("glyphs-prior", prior, np.array([list(one.values()) for one in found]), codes, list(found[0]))
    decoder = chosen(vae.decoder.state_dict(), "", "decoder.")
    facts["packed"] = pack(decoder | chosen(flow(prior), "", "prior."))
    return document(
        "Typeface designer",
        "A typeface that nobody has drawn: sixteen numbers, which a network turns into 62 letters and digits. Move a "
        "slider, type a text, keep the font.",
        (HERE / "typeface.html").read_text(encoding="utf-8"),
        (*SHARED, "glyphs.js", "outlines.js", "truetype.js", "typeface.js"), facts,
        FOOT.format(lesson="Images: draw a new typeface", limits="The model learned from 24 fonts that ship inside "
                    "Matplotlib, and changed copies of them: Latin letters and digits, no accents."))


def instrument() -> str:
    """The designer of instruments."""
    vae: Any
    prior: Any
    (vae, _), (prior, _) = restore(disk.PRETRAINED / "notes-instruments"), restore(disk.PRETRAINED / "notes-prior")
    codes = prior.sample(CODES, None, torch.Generator().manual_seed(0))
    found = priors.heard(priors.two_notes(vae, codes))[:, : len(KNOBS)]
    facts = designer("notes-prior", prior, found, codes.numpy(), list(KNOBS))
    decoder = chosen(vae.decoder.state_dict(), "", "decoder.")
    facts |= {"first": notes.PITCHES[0], "pitches": len(notes.PITCHES), "tune": TUNE,
              "packed": pack(decoder | chosen(flow(prior), "", "prior."))}
    return document(
        "Instrument designer",
        "An instrument that nobody built: eight numbers, which a network turns into the sound of 36 keys. Move a "
        "slider, and play.",
        (HERE / "instrument.html").read_text(encoding="utf-8"),
        (*SHARED, "harmonics.js", "instrument.js"), facts,
        FOOT.format(lesson="Audio: play a new instrument", limits="The model learned from 230 instruments of four "
                    "families of synthesisers, notes of one second."))


def colours() -> str:
    """The namer of colours."""
    return document(
        "Colour namer",
        "Pick a colour. A network that was told it writes a hundred names; others choose the five best.",
        (HERE / "colours.html").read_text(encoding="utf-8"),
        ("numbers.js", "controls.js", "gru.js", "colours.js"), naming.facts(),
        FOOT.format(lesson="Text: name a colour", limits="The networks learned from 679 names that visitors of a web "
                    "site gave (the XKCD colour survey, CC0). A name is made of words in that list, and is not itself "
                    "in it; crude words were left out. Two networks of each kind choose here, in the lesson four or "
                    "five."))


PAGES: dict[str, Callable[[], str]] = {"typeface": typeface, "instrument": instrument, "colours": colours}


def write(folder: Path, names: list[str] | None = None) -> list[Path]:
    """Write the pages, or some of them, into a folder, in place of earlier ones; returns the files."""
    files = []
    for name in names or list(PAGES):
        file = Path(folder) / f"{name}.html"
        disk.write_text(file, PAGES[name]())
        files.append(file)
    return files
