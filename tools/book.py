"""Make the book, a site of static pages in build/book, from the committed notebooks; nothing is executed.

    python tools/book.py [FOLDER]     build/book, when no other is named

First the pages for Sphinx, in a temporary folder: each notebook with its minutes and what one needs, its figures as
files with their descriptions, and the hints and the solution, folded, below each exercise; the board; the glossary from
all lists "In the literature"; the pages that play, as they are. Then Sphinx, for which every warning is an error.
FOLDER must be new, empty, or hold an earlier book; nothing but that book is replaced.
"""

from __future__ import annotations

import base64
import html
import importlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import numpy as np

from helpers.disk import DiskError, Place
from helpers.evaluation import Board, bits_per_dimension
from helpers.lessons import LESSONS, PATH, Lesson
from helpers.pages import shipped
from path import ARROW, LINK

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
SITE = ROOT / "build" / "book"
WIDGET = "application/vnd.jupyter.widget-view+json"
PLAY = {"images": "typeface", "audio": "instrument", "colour_names": "colours"}  # lessons and their pages that play
ROW = re.compile(r"^\| (?:\*\*(?P<part>\w+)\*\* )?\| \[[^]]*\]\(notebooks/\d\d_(?P<name>\w+)\.ipynb\) \| (?P<what>.*?) "
                 r"\| (?P<read>.*?) \| (?P<run>.*?) \| (?P<need>.*?) \|$", re.M)
CHECK = re.compile(r"exercises\.(\w+)\.check\(")
TERM = re.compile(r"^- \*\*(?P<term>.+?)\*\*:? *(?P<text>.*)$", re.M)
LITERATURE = re.compile(r"^## In the literature\s*\n(.*?)(?=^## |\Z)", re.M | re.S)


def facts() -> dict[str, dict[str, str]]:
    """What the table of the README says of each lesson, by name: part, what, read, run and need."""
    found, part = {}, ""
    for row in ROW.finditer((ROOT / "README.md").read_text(encoding="utf-8")):
        part = row["part"] or part
        found[row["name"]] = {**row.groupdict(), "part": part}
    if lost := LESSONS.keys() ^ found.keys():
        raise SystemExit(f"README.md and helpers/lessons.py differ in {', '.join(sorted(lost))}; mend one of them.")
    return found


def linked(text: str, folder: str = "") -> str:
    """Text whose links to notebooks lead to the pages of the book, whose names have no numbers."""
    return LINK.sub(lambda found: f"[{found['text']}]({folder}{found['name']}.ipynb{found['part'] or ''})", text)


def folded(summary: str, text: str) -> str:
    """A part of a page that opens by a click."""
    return f"<details><summary>{html.escape(summary)}</summary>\n\n{text}\n\n</details>\n"


def help_for(lesson: Lesson, name: str) -> dict:
    """A cell with the hints and the solution of one exercise, folded."""
    exercise = getattr(importlib.import_module(f"helpers.exercises.{lesson.name}"), name)
    n = len(exercise.hints)
    parts = [folded(f"{name}: hint {i + 1} of {n}", hint) for i, hint in enumerate(exercise.hints)]
    why = exercise.why[0].upper() + exercise.why[1:]
    parts.append(folded(f"{name}: our solution", f"```python\n{exercise.code()}\n```\n\n{why}"))
    return {"cell_type": "markdown", "id": f"help-{name}"[:64], "metadata": {}, "source": "\n".join(parts)}


def in_html(output: dict, save, play: str = "") -> dict:
    """An output as the book shows it: a picture as a file with its description; a widget as a line of text, with a
    link to the page that plays the same, where there is one.
    """
    data = output.get("data", {})
    if WIDGET in data:
        here = f' The same <a href="../play/{play}.html">plays in your browser</a>.' if play else ""
        shown = f'<p class="widget">Here the notebook has something to move or to draw on.{here}</p>'
    elif "image/png" in data:
        size = output["metadata"].get("image/png", {})
        alt = html.escape(size.get("alt") or "".join(data["text/plain"]), quote=True)
        file = f"../{save(base64.b64decode(data['image/png']))}"
        shown = (f'<a class="whole" href="{file}"><img class="figure" src="{file}" alt="{alt}" '
                 f'width="{size["width"]}" height="{size["height"]}" loading="lazy"></a>')  # a phone shows it larger
    else:
        return output
    return {**output, "data": {"text/html": shown}, "metadata": {}}


def lesson_page(lesson: Lesson, fact: dict[str, str], figures: Path) -> str:
    """The notebook of a lesson as a page, its file for Sphinx; its figures are written into a folder."""
    nb = json.loads((NOTEBOOKS / lesson.file).read_text(encoding="utf-8"))

    def save(png: bytes) -> str:
        name = f"{lesson.name}_{len(list(figures.glob(lesson.name + '_*'))) + 1:02d}.png"
        (figures / name).write_bytes(png)
        return f"figures/{name}"

    cells, play = [], PLAY.get(lesson.name, "")
    for cell in nb["cells"]:
        source = "".join(cell["source"])
        cell["metadata"] = {}
        if cell["cell_type"] == "markdown":
            cell["source"] = linked(ARROW.sub("", source) if cell is nb["cells"][-1] else source)
        else:
            widget = any(WIDGET in output.get("data", {}) for output in cell["outputs"])
            cell["outputs"] = [in_html(output, save, play) for output in cell["outputs"]]
            play = "" if widget else play  # the first widget of these lessons is the one that has a page
        cells.append(cell)
        if cell["cell_type"] == "code" and (name := CHECK.search(source)):
            cells.append(help_for(lesson, name[1]))
    title, rest = cells[0]["source"].split("\n", 1)
    cells[0]["source"] = (
        f"{title}\n\n:::{{container}} facts\n**Part {fact['part']}** · {fact['read']} to read and try · "
        f"the cells run in {fact['run']}\n\n**You need** {fact['need']}\n\n**To run and change it:** "
        f"`notebooks/{lesson.file}` in the project; `make lab` opens them\n:::\n{rest}")
    nb["cells"] = cells
    nb["metadata"].pop("widgets", None)
    return json.dumps(nb, ensure_ascii=False)


def board_page() -> str:
    """All rows of the board, best last."""
    board = Board("after all lessons")
    lines = ["# The board", "", f"Nats per image on the same {board.images} held-out digits, binary, 8 × 8; lower is "
             "better. Every row says what its number is: *exact*, or a bound (*ELBO*, *IWAE-k*, *dequantised*). A "
             "model with a bound is at least as good as its number.", "",
             "| model | nats | what it is | ± s.e. | bits/pixel | from |", "|---|---:|---|---:|---:|---|"]
    for row in sorted(board.rows, key=lambda row: -np.inf if row["nll"] is None else -np.mean(row["nll"])):
        nats, others = "–", "– | –"
        if row["nll"] is not None:
            nll = np.array(row["nll"])
            mean, error = nll.mean(), nll.std(ddof=1) / np.sqrt(len(nll))
            nats, others = f"{mean:.2f}", f"{error:.2f} | {bits_per_dimension(mean, 64):.3f}"
        lesson = LESSONS[row["lesson"]]
        of = f"[{lesson.title}](lessons/{lesson.name}.ipynb)"
        lines.append(f"| {row['model']} | {nats} | {row['label']} | {others} | {of} |")
    return "\n".join(lines) + "\n"


def terms() -> dict[str, list[tuple[str, Lesson]]]:
    """What the lists "In the literature" say of each term, with the lesson that says it, in the order of the path."""
    found: dict[str, list[tuple[str, Lesson]]] = {}
    for lesson in PATH:
        nb = json.loads((NOTEBOOKS / lesson.file).read_text(encoding="utf-8"))
        for cell in nb["cells"]:
            text = "".join(cell["source"]) if cell["cell_type"] == "markdown" else ""
            for box in LITERATURE.findall(text):
                for item in TERM.finditer(box):
                    found.setdefault(item["term"].strip(), []).append((item["text"], lesson))
    return found


def letter(term: str) -> str:
    """The letter under which a term stands: the first one of a-z, Greek letters by their names."""
    plain = unicodedata.normalize("NFKD", term.replace("β", "beta").replace("ε", "epsilon")).casefold()
    return re.sub("[^a-z]", "", plain)


def glossary_page() -> str:
    """The terms in alphabetical order, each with what every lesson says of it."""
    lines = ["# Glossary", "", "The words of the field, from the lists “In the literature” of all lessons."]
    initial = ""
    for term, items in sorted(terms().items(), key=lambda item: letter(item[0])):
        if letter(term)[0] != initial:
            initial = letter(term)[0]
            lines += ["", f"## {initial.upper()}"]
        lines += ["", term]
        for text, lesson in items:
            text = linked(text, "lessons/")
            lines.append(f": {text} — [{lesson.title}](lessons/{lesson.name}.ipynb)\n")
    return "\n".join(lines) + "\n"


def index_page(table: dict[str, dict[str, str]]) -> str:
    """book/index.md with the table of lessons, and the contents for Sphinx, by parts."""
    rows = []
    for part in dict.fromkeys(fact["part"] for fact in table.values()):
        rows += ["", f"### Part {part}", ""]
        rows += [f"- [{one.title}](lessons/{one.name}.ipynb) ({table[one.name]['read']}): {table[one.name]['what']}"
                 for one in PATH if table[one.name]["part"] == part]
    contents = []
    for part in dict.fromkeys(fact["part"] for fact in table.values()):
        names = "\n".join(f"lessons/{one.name}" for one in PATH if table[one.name]["part"] == part)
        contents.append(f"```{{toctree}}\n:hidden:\n:caption: Part {part}\n\n{names}\n```")
    contents.append("```{toctree}\n:hidden:\n:caption: To look up\n\nboard\nglossary\n```")
    text = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    return text.replace("<!-- lessons -->", "\n".join(rows)).replace("<!-- contents -->", "\n\n".join(contents))


def write_pages(pages: Path) -> None:
    """All pages for Sphinx, in a new folder."""
    lessons, figures = pages / "lessons", pages / "extra" / "figures"
    for folder in ("images", "sounds"):
        shutil.copytree(NOTEBOOKS / folder, lessons / folder)
    figures.mkdir(parents=True)
    (pages / "extra" / "play").mkdir()
    for name, page in shipped.PAGES.items():
        (pages / "extra" / "play" / f"{name}.html").write_text(page(), encoding="utf-8")
    table = facts()
    for lesson in PATH:
        page = lesson_page(lesson, table[lesson.name], figures)
        (lessons / f"{lesson.name}.ipynb").write_text(page, encoding="utf-8")
    for name, text in {"index": index_page(table), "board": board_page(), "glossary": glossary_page()}.items():
        (pages / f"{name}.md").write_text(text, encoding="utf-8")


def make(site: Path = SITE) -> int:
    """Make the site, and put it into a folder, in place of the one that an earlier call made there; 0 if it is good.

    Raises DiskError for a folder with files of others, and leaves them as they are.
    """
    with Place(site, record="book.json") as place, tempfile.TemporaryDirectory(prefix="book-") as folder:
        pages, made = Path(folder) / "pages", Path(folder) / "made"
        write_pages(pages)
        options = ["-q", "-W", "--keep-going", "-j", "2", "-c", str(ROOT / "book"), "-d", str(Path(folder) / "trees"),
                   "-D", f"html_extra_path={pages / 'extra'}"]
        if failed := subprocess.call([sys.executable, "-m", "sphinx", "-b", "html", *options, str(pages), str(made)]):
            return failed
        place.remove(*place.made)
        for file in made.rglob("*"):
            if file.is_file():
                place.write(file.relative_to(made).as_posix(), file.read_bytes())
    return 0


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else SITE
    try:
        failed = make(folder)
    except DiskError as error:
        sys.exit(str(error))
    if not failed:
        print(f"The book is made: open {folder / 'index.html'} in a browser.")
    sys.exit(failed)
