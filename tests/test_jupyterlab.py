"""`make lab` in a real browser: a lesson runs, an exercise is answered, every designer redraws, and nothing goes out.

The lab is started in a copy of the project. What has no cell in a lesson that runs at once stands in a notebook that
is written here: the lessons' own cells, verbatim, after what they need.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import pytest
import soundfile
from fontTools.ttLib import TTFont

import lab as tool
from helpers.exercises import start_here
from serving import Reader, printed, running, until

FIRST = "notebooks/00_start_here.ipynb"  # as the README promises, whatever the tool says
DESIGNERS = "notebooks/designers.ipynb"
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "build", "cache", "__pycache__", ".*_cache", ".hypothesis")

# Python runs this at its start: it writes down whom a process looks up or calls, the server and the kernels alike.
WATCH = """
import os, sys

def heard(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        where = arguments[0] if event.startswith("socket.get") else arguments[1]
        with open(os.environ["WATCHED"], "a") as file:
            print(where[0] if isinstance(where, tuple) else where, file=file)

sys.addaudithook(heard)
"""
HERE = {"127.0.0.1", "::1", "localhost", "", "None"}

# What the cells of the designers, found by what they contain, need of their lessons: the shipped models,
# or the designers would have to wait for what the lessons compute first. Any directions do here.
BEFORE = {
    ("07_images", "TypefaceDesigner(", "LetterCanvas("): """
import matplotlib.pyplot as plt
import numpy as np
from helpers import build, widgets
from helpers.build import restore

long = restore("../data/pretrained/glyphs-fonts")[0].eval()
start = np.random.default_rng(1).standard_normal(16)
trait_names, B = widgets.TypefaceDesigner.TRAITS, 2 * np.eye(16)[:, :6]
""",
    ("08_audio", "InstrumentDesigner("): """
long, m = restore("../data/pretrained/notes-instruments")[0].eval(), np.zeros(8)
tune, directions = [(60, 1), (64, 1), (67, 2)], list(zip(("brighter", "slower attack", "longer"), np.eye(8)))
""",
    ("10_colour_names", "ColourNamer("): """
from helpers.data import colours
from helpers.evaluation.naming import Judges, Meaning, Namer
from helpers.widgets.colours import ColourNamer

data = colours.load()
vocabulary, names = data.vocabulary, {"train": data.vocabulary.decode(data.train.x)}
lexicon, meaning = colours.Words(names["train"]), Meaning(names["train"], data.train.c)
shipped = lambda kind: list(restore(f"../data/pretrained/names-{kind}")[0])
told_words, plain_words = shipped("words-colour"), shipped("words")
models = {"GRU": shipped("gru"), "GRU, colour": shipped("gru-colour")}
""",
}
EXPLORER = """
def draw(rate, steps, mu):
    fig, ax = plt.subplots(figsize=(7, 2))
    ax.plot([mu, rate * steps])
    return fig


widgets.Explorer(draw, rate=[0.1, 0.3, 1.0], steps=(1, 40, 1, 10), mu=(-3.0, 3.0, 0.1, 0.5)).show()
"""


class Panel:
    """A designer below its cell, by mouse and keyboard."""

    def __init__(self, reader: Reader, part: str, first: str):
        self.reader, self.page = reader, reader.page
        place = reader.find(part)
        cells = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")
        self.box = cells.nth(place).locator(".jp-OutputArea")
        reader.js("""(place) => { const notebook = jupyterapp.shell.currentWidget.content;
            notebook.activeCellIndex = place; return notebook.scrollToItem(place, "start"); }""", place)
        self.box.locator(".widget-label", has_text=first).first.wait_for()

    def pictures(self) -> list[str]:
        """The pixels of each picture, as they are shown."""
        return self.box.evaluate("""async (box) => Promise.all([...box.querySelectorAll("img.widget-image")].map(
            async (image) => {
                try { await image.decode(); } catch { return ""; }  // empty, or just being replaced
                const canvas = Object.assign(document.createElement("canvas"),
                                             { width: image.naturalWidth, height: image.naturalHeight });
                canvas.getContext("2d").drawImage(image, 0, 0);
                return canvas.toDataURL(); }))""")

    def sounds(self) -> list[str]:
        """What the player plays."""
        return [self.box.evaluate("""async (box) => { const player = box.querySelector("audio");
            return player ? (await (await fetch(player.src)).text()) : ""; }""")]

    def texts(self) -> list[str]:
        """What stands on the sheet of names."""
        return [self.box.locator(".widget-html-content").inner_html()]

    def changes(self, act: Callable[..., None], *given: Any, seen: Callable[[], list[str]] | None = None) -> list[str]:
        """Do something, and wait until all that is seen (every picture) has changed; what is seen then."""
        seen = seen or self.pictures
        before = seen()
        act(*given)

        def other():
            after = seen()
            return after if all(a and a != b for a, b in zip(after, before, strict=True)) else None

        return until(other, f"a change by {act.__name__}{given}")

    def slider(self, name: str):
        label = self.page.get_by_text(name, exact=True)
        return self.box.locator(".widget-slider").filter(has=label)

    def drag(self, name: str, share: float = 0.9) -> None:
        """Move a slider with the mouse to a share of its length."""
        handle, rail = (self.slider(name).locator(part) for part in (".noUi-handle", ".noUi-base"))
        handle.scroll_into_view_if_needed()
        place, line = handle.bounding_box(), rail.bounding_box()
        self.page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        self.page.mouse.down()
        self.page.mouse.move(line["x"] + share * line["width"], line["y"] + line["height"] / 2)
        self.page.mouse.up()

    def press(self, name: str, key: str = "ArrowRight") -> None:
        """Move a slider by a key."""
        self.slider(name).locator(".noUi-handle").press(key)

    def click(self, name: str) -> None:
        self.box.get_by_role("button", name=name, exact=True).click()

    def choose(self, name: str, label: str) -> None:
        self.box.locator(".widget-dropdown").filter(has_text=name).locator("select").select_option(label=label)

    def write(self, name: str, text: str) -> None:
        self.box.locator(".widget-text").filter(has_text=name).locator("input").fill(text)

    def says(self, pattern: str) -> None:
        until(lambda: re.search(pattern, self.box.inner_text()), pattern)


@pytest.fixture(scope="module")
def reader(browser, tmp_path_factory):
    """One who has typed `make lab` in a copy of the project, with settings and workspaces of its own."""
    folder, runtime = tmp_path_factory.mktemp("project") / "copy", tmp_path_factory.mktemp("runtime")
    shutil.copytree(tool.ROOT, folder, ignore=LEFT_OUT)
    (folder / DESIGNERS).write_text(json.dumps(designers()), encoding="utf-8")
    watch = tmp_path_factory.mktemp("watch")
    (watch / "sitecustomize.py").write_text(WATCH)
    options = ["--LabApp.expose_app_in_browser=True", f"--LabApp.workspaces_dir={runtime / 'workspaces'}",
               f"--LabApp.user_settings_dir={runtime / 'settings'}"]
    variables = {"PYTHONPATH": f"{watch}{os.pathsep}{folder}", "WATCHED": str(runtime / "watched")}
    with running(folder, runtime, *options, **variables) as lab:
        found = Reader(browser, lab, folder, runtime / "watched")
        yield found
        found.context.close()


def designers() -> dict:
    """A notebook with the cells of the designers from the lessons, each after what it needs."""
    sources = []
    for (name, *parts), before in BEFORE.items():
        lesson = json.loads((tool.ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
        cells = ["".join(cell["source"]) for cell in lesson["cells"] if cell["cell_type"] == "code"]
        sources += [before, *(next(cell for cell in cells if part in cell) for part in parts)]
    cells = [{"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "execution_count": None, "outputs": [],
              "source": source.strip()} for i, source in enumerate([*sources, EXPLORER])]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


# --- the first lesson ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lesson(reader):
    """The first lesson, run to its end."""
    reader.do("docmanager:open", {"path": FIRST})
    reader.do("notebook:run-all-cells")
    return reader


def test_the_first_lesson_opens_by_itself(reader):
    opened = reader.js("[...jupyterapp.shell.widgets('main')].map((widget) => widget.context?.path)")
    assert opened == [FIRST]
    assert reader.page.get_by_role("heading", name="00 Start here").is_visible()
    assert reader.page.get_by_role("dialog").count() == 0  # nothing asks, nothing has to be clicked away


def test_the_first_lesson_runs_to_its_end(lesson):
    code = lesson.without_errors()
    committed = json.loads((tool.ROOT / FIRST).read_text(encoding="utf-8"))["cells"]
    for cell, known in zip(code, [c for c in committed if c["cell_type"] == "code"], strict=True):
        if "nbval-ignore-output" not in known["metadata"].get("tags", []):
            assert ("image/png" in str(cell["outputs"])) == ("image/png" in str(known["outputs"]))
            assert bool(printed(cell)) == bool(printed(known))


def test_a_wrong_answer_is_told_what_it_violates_and_a_right_one_passes(lesson):
    place = lesson.find("exercises.uniform_nll.check(uniform_nll)")
    assert "not attempted yet" in printed(lesson.cells()[place])
    check = "\n\n\nexercises.uniform_nll.check(uniform_nll)"
    wrong = lesson.answer(place, "def uniform_nll(x):\n    return np.full(len(x), 44.0)" + check)
    assert wrong.startswith("✗ uniform_nll: images of 2 and of 5 pixels get the same score")
    stops = lesson.answer(place, "def uniform_nll(x):\n    return np.full(len(y), 44.0)" + check)
    assert stops.startswith("✗ uniform_nll: your code stops") and "name 'y' is not defined" in stops
    assert lesson.answer(place, start_here.uniform_nll.code() + check) == "✓ uniform_nll: right\n"


def test_the_slider_of_the_first_lesson_redraws(lesson):
    panel = Panel(lesson, "widgets.Explorer(watch", "step")
    first = panel.pictures()
    assert panel.changes(panel.drag, "step") != first
    panel.changes(panel.press, "step", "ArrowLeft")
    panel.changes(panel.press, "step", "Home")
    assert panel.pictures() == first


# --- the designers ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def designed(reader):
    """The notebook with the designers, run to its end."""
    reader.do("docmanager:open", {"path": DESIGNERS})
    reader.ready()
    reader.do("notebook:run-all-cells")
    return reader


def test_the_designers_are_shown(designed):
    designed.without_errors()


def test_typefaces(designed):
    panel = Panel(designed, "TypefaceDesigner(", "weight")
    middle = panel.pictures()
    assert len(middle) == 2 and all(middle)
    for name, share in (("weight", 0.9), ("slant", 0.1), ("serif", 0.8)):
        panel.changes(panel.drag, name, share)
    panel.changes(panel.press, "x-height")
    panel.changes(panel.click, "surprise me")
    panel.choose("weight", "+2, much more")
    panel.changes(panel.click, "draw to order")
    panel.says(r"weight .*\(ordered \+2\.0")
    panel.drag("guidance", 0.5)
    panel.changes(panel.click, "draw to order")
    panel.click("back to the middle")
    until(lambda: panel.pictures() == middle, "the middle")
    alphabet = middle[0]
    panel.write("set", "Another line")
    assert until(lambda: panel.pictures()[1] != middle[1], "another line") and panel.pictures()[0] == alphabet
    panel.click("save as PNG")
    panel.says("saved typeface-1-alphabet.png and typeface-1-word.png")
    assert all((designed.folder / f"notebooks/typeface-1-{part}.png").stat().st_size for part in ("alphabet", "word"))
    panel.write("font", "Drawn by nobody")
    panel.click("save as font")
    panel.says("saved .*Drawn-by-nobody.ttf")
    assert TTFont(designed.folder / "notebooks/Drawn-by-nobody.ttf")["name"].getDebugName(1) == "Drawn by nobody"


def test_a_letter_is_drawn_with_the_mouse(designed):
    panel = Panel(designed, "LetterCanvas(", "letter")
    canvas = panel.box.get_by_role("img", name=re.compile("Canvas to draw the letter R"))

    def stroke():
        canvas.scroll_into_view_if_needed()
        place = canvas.bounding_box()
        designed.page.mouse.move(place["x"] + 60, place["y"] + 60)
        designed.page.mouse.down()
        designed.page.mouse.move(place["x"] + 280, place["y"] + 250, steps=5)
        designed.page.mouse.up()

    [first], ink = panel.pictures(), canvas.evaluate("(canvas) => canvas.toDataURL()")
    panel.changes(stroke)
    assert canvas.evaluate("(canvas) => canvas.toDataURL()") != ink
    panel.click("undo stroke")
    until(lambda: panel.pictures() == [first], "the letter as it was")
    assert canvas.evaluate("(canvas) => canvas.toDataURL()") == ink
    panel.changes(panel.drag, "pen", 0.9)
    panel.choose("letter", "g")
    canvas = panel.box.get_by_role("img", name=re.compile("Canvas to draw the letter g on; 0 strokes"))
    panel.changes(stroke)
    panel.says("an alphabet from R, g")
    panel.click("save as font")
    panel.says("saved .*My-letter.ttf")
    assert TTFont(designed.folder / "notebooks/My-letter.ttf")["name"].getDebugName(1) == "My letter"


def test_instruments(designed):
    panel = Panel(designed, "InstrumentDesigner(", "brighter")
    middle = panel.pictures()
    for name in ("brighter", "slower attack", "longer"):
        panel.changes(panel.drag, name, 0.8)
    panel.changes(panel.click, "surprise me")
    panel.choose("decay", "−1, less")
    panel.changes(panel.click, "draw to order")
    panel.says(r"decay .*\(ordered −1\.0")
    panel.click("back to the middle")
    until(lambda: panel.pictures() == middle, "the middle")
    panel.changes(panel.click, "play the tune", seen=panel.sounds)
    for name in ("vibrato, cents", "glide, seconds"):
        panel.drag(name, 0.9)
        panel.changes(panel.click, "play the tune", seen=panel.sounds)
    assert panel.box.locator("audio").evaluate("async (player) => { player.muted = true; await player.play(); "
                                               "return player.duration; }") > 1
    panel.click("save as SFZ")
    panel.says("saved instrument-1/instrument-1.sfz, with 12 samples")
    folder = designed.folder / "notebooks/instrument-1"
    assert (folder / "instrument-1.sfz").exists()
    assert all(soundfile.info(file).duration > 0.5 for file in folder.glob("*.wav")) and len([*folder.iterdir()]) == 13


def test_colours_are_named(designed):
    panel = Panel(designed, "ColourNamer(", "colour")
    field = panel.box.locator(".widget-colorpicker input[type=text]")

    def write():
        field.press("Control+a")
        field.press_sequentially("#8040c0")
        field.press("Tab")

    assert "background:#8040c0" in panel.changes(write, seen=panel.texts)[0]
    panel.changes(panel.box.locator("input[type=color]").fill, "#ffe080", seen=panel.texts)
    panel.changes(panel.click, "other names", seen=panel.texts)
    panel.changes(panel.drag, "temperature", 0.1, seen=panel.texts)


def test_an_explorer_with_a_list_and_with_broken_numbers(designed):
    panel = Panel(designed, "widgets.Explorer(draw, rate", "rate")
    panel.changes(panel.drag, "rate", 1.0)
    panel.changes(panel.press, "steps")
    panel.changes(panel.drag, "mu", 0.1)


# --- what goes out ---------------------------------------------------------------------------------------


def test_nothing_leaves_this_computer(designed):
    """Neither the pages nor the processes ask another computer, also where one clicks on what might."""
    designed.js("jupyterapp.shell.activateById('extensionmanager.main-view')")
    designed.page.get_by_text("Installed", exact=True).first.wait_for()
    designed.do("launcher:create")
    designed.page.wait_for_timeout(2000)
    schemes = {"data", "blob", "file"}
    addresses = [urlparse(url) for url in designed.asked]
    assert {address.hostname for address in addresses if address.scheme not in schemes} == {"127.0.0.1"}
    assert designed.context.service_workers == [] and any(url.startswith("ws:") for url in designed.asked)
    heard = set(designed.watched.read_text().split())
    assert "127.0.0.1" in heard and heard <= HERE, heard


def test_the_browser_complains_of_nothing(designed):
    assert designed.wrong == []
