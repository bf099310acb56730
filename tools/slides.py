"""Make the slides, a page that opens from the disk, in build/slides: one for each lesson.

A slide is the title, the headline figure of the notebook with its description and what the notebook says below it,
and the claim in workshop/slides.md, where another figure of the notebooks may stand as well. Arrow keys, Page Up and
Page Down go on and back; a click makes a figure as large as the window.

    python tools/slides.py [FOLDER]     build/slides, when no other is named

FOLDER must be new, empty, or hold earlier slides; nothing but those is replaced.
"""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from helpers.disk import DiskError, Place
from helpers.lessons import PATH, Lesson

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "slides"
FIGURE = re.compile(r"!\[(?P<alt>[^\]]+)\]\((?:\.\./notebooks/)?(?P<file>images/[\w.]+)\)(?:\n\n(?P<below>\*.+))?")
STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #111; --weak: #555; }
@media (prefers-color-scheme: dark) { :root { --back: #111; --text: #eee; --weak: #aaa; } }
html { scroll-snap-type: y mandatory; background: var(--back); color: var(--text); font-family: sans-serif; }
body { margin: 0; }
section { box-sizing: border-box; height: 100vh; padding: 2vh 3vw; scroll-snap-align: start; position: relative;
  display: grid; grid-template: auto minmax(0, 1fr) auto / 100%; justify-items: center; text-align: center; }
h1, h2 { font-size: clamp(1.4rem, 3vw, 2.4rem); margin: 0 0 1vh; }
img { width: 100%; height: 100%; object-fit: contain; background: #fff; cursor: zoom-in; }
.tall { grid-template: 1fr auto auto 1fr / 60% 37%; column-gap: 3%; }
.tall img { grid-area: 1 / 1 / 5 / 2; height: 96vh; }
.tall .below { font-size: 1.1rem; }
.tall h2 { grid-area: 2 / 2; } .tall div { grid-area: 3 / 2; }
.large { position: fixed; inset: 0; z-index: 1; width: 100vw; height: 100vh !important; cursor: zoom-out; }
.number { position: absolute; right: 1vw; bottom: 1vh; color: var(--weak); font-size: 0.9rem; }
.claim { font-size: clamp(1.1rem, 2.4vw, 1.8rem); max-width: 60ch; margin: 0.6em auto; }
.below { color: var(--weak); font-size: 0.9rem; max-width: 100ch; margin: 0 auto; }
"""
SCRIPT = """
const slides = [...document.querySelectorAll("section")];
document.querySelectorAll("img").forEach((img) => img.onclick = () => img.classList.toggle("large"));
document.addEventListener("keydown", (event) => {
  const step = {ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1}[event.key];
  if (!step) return;
  event.preventDefault();
  document.querySelectorAll(".large").forEach((img) => img.classList.remove("large"));
  const now = slides.findIndex((one) => one.getBoundingClientRect().bottom > innerHeight / 2);
  slides[Math.min(slides.length - 1, Math.max(0, now + step))].scrollIntoView();
});
"""


TITLE = ("images/poster.png", "One line of text with punctuation, set in four new typefaces, one below the other")


class Headline(NamedTuple):
    """A figure in a notebook's opening: its file in notebooks/, its description, and the text below it or ""."""

    file: str
    alt: str
    below: str


def headline(lesson: Lesson) -> Headline:
    """The figure that workshop/slides.md names, else the first of the lesson's opening. Raises ValueError where there
    is none.
    """
    if own := FIGURE.search(_parts().get(lesson.title, "")):
        return Headline(own["file"], own["alt"], (own["below"] or "").strip("*"))
    nb = json.loads((ROOT / "notebooks" / lesson.file).read_text(encoding="utf-8"))
    found = FIGURE.search("".join(nb["cells"][0]["source"]))
    if not found:
        raise ValueError(f"{lesson.file} opens without a figure; put one, with a description, into its first cell.")
    below = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", found["below"] or "").replace("*", "")
    return Headline(found["file"], found["alt"], below)


def claims() -> dict[str, str]:
    """The claims in workshop/slides.md, by the title of their lesson."""
    return {title: " ".join(FIGURE.sub("", text).split()) for title, text in _parts().items()}


def _parts() -> dict[str, str]:
    found = re.split(r"^## (.*)$", (ROOT / "workshop" / "slides.md").read_text(encoding="utf-8"), flags=re.M)[1:]
    return dict(zip(found[::2], found[1::2]))


def tall(file: str) -> bool:
    """Whether a figure is so tall that its text stands beside it, where its labels can then be read."""
    with Image.open(ROOT / "notebooks" / file) as image:
        return image.width < 1.3 * image.height


def page() -> str:
    """The page of all slides."""
    slides = [f'<section><h1>From Encoder to Generator</h1><img src="{TITLE[0]}" alt="{TITLE[1]}">'
              '<div><p class="claim">Build a generative model with your own '
              'hands, first in NumPy, and make it draw what nobody has drawn.</p><p class="below">Set in typefaces '
              "that nobody drew. Arrow keys: on and back; a click on a figure: as large as the window.</p></div>"
              "</section>"]
    said = claims()
    for number, lesson in enumerate(PATH, start=2):
        figure = headline(lesson)
        shape = ' class="tall"' if tall(figure.file) else ""
        slides.append(
            f'<section id="{lesson.name}"{shape}><h2>{html.escape(lesson.title)}</h2>'
            f'<img src="{figure.file}" alt="{html.escape(figure.alt)}"><div>'
            f'<p class="claim">{html.escape(said.get(lesson.title, ""))}</p>'
            f'<p class="below">{html.escape(figure.below)}</p></div>'
            f'<span class="number">{number} / {len(PATH) + 1}</span></section>')
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>From Encoder to Generator: slides'
            '</title><meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>{STYLE}</style></head>\n<body><main>\n" + "\n".join(slides) +
            f"\n</main><script>{SCRIPT}</script></body></html>\n")


def make(site: Path = SITE) -> Path:
    """Write the page and its figures into a folder, in place of what an earlier call made there; returns the page.

    Raises DiskError for a folder with files of others, and leaves them as they are.
    """
    with Place(site, record="slides.json") as place:
        place.remove(*place.made)
        for file in dict.fromkeys([TITLE[0], *(headline(lesson).file for lesson in PATH)]):
            place.write(file, (ROOT / "notebooks" / file).read_bytes())
        return place.write("index.html", page().encode("utf-8"))


if __name__ == "__main__":
    try:
        print("The slides are made: open", make(*(Path(folder) for folder in sys.argv[1:2])), "in a browser.")
    except DiskError as error:
        sys.exit(str(error))
