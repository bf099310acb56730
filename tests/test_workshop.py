"""The kit for a room: schedules whose minutes follow the notebooks, notes and a slide for every lesson."""

from __future__ import annotations

import json
import re

import nbformat
import pytest

import slides
import workshop
from helpers.__main__ import parser
from helpers.lessons import LESSONS, PATH
from helpers.workshop import catching_up, preflight
from notebook_rules import minutes

ROOT = workshop.ROOT
EVERY = pytest.mark.parametrize("lesson", PATH, ids=lambda lesson: lesson.name)


@EVERY
def test_parts_add_up_to_the_minutes_of_the_rule(lesson):
    nb = nbformat.read(ROOT / "notebooks" / lesson.file, 4)
    found = workshop.parts(lesson.name)
    assert sum(found.values()) == pytest.approx(minutes(nb), abs=0.01)
    exercises = [part for part in found if isinstance(part, int)]
    assert exercises == list(range(1, len(exercises) + 1)) and len(exercises) >= 3
    assert all(found[number] > 7 for number in exercises)


def test_schedules_are_those_of_the_notebooks():
    assert workshop.FILE.read_text(encoding="utf-8") == workshop.page(), "call `python tools/workshop.py`"


def test_what_is_skipped_is_not_counted():
    found = workshop.parts("training")
    whole = workshop.need(workshop.Block("training"))
    assert whole == pytest.approx(sum(v for k, v in found.items() if isinstance(k, str) and k not in workshop.ALONE))
    assert workshop.need(workshop.Block("training", skip=("Adam",))) == pytest.approx(whole - found["Adam"])
    assert workshop.need(workshop.Block("training", exercises=(2,))) == pytest.approx(whole + found[2])
    assert workshop.need(workshop.Block("training", only=("Adam",))) == pytest.approx(found[""] + found["Adam"])
    for wrong in (dict(skip=("No such",)), dict(exercises=(9,)), dict(stop="No such")):
        with pytest.raises(ValueError, match="training has no"):
            workshop.need(workshop.Block("training", **wrong))


def test_days_are_days():
    """Half a day ends before half past one, a day before five; nobody sits for more than two hours on end."""
    for name, (_, days) in workshop.SCHEDULES.items():
        for items in days.values():
            rows = workshop.table(items)
            end = re.findall(r"\d\d:\d\d", rows[-1])[0]
            assert end <= ("13:30" if name == "Half a day" else "17:00")
            sitting = 0
            for item in items:
                own = item.minutes if isinstance(item, workshop.Other) else workshop.rounded(workshop.need(item))
                sitting = 0 if item in (workshop.BREAK, workshop.LUNCH) else sitting + own
                assert sitting <= 120


BLOCKS = [pytest.param(name, block, id=f"{name}: {block.lesson}") for name, (_, days) in workshop.SCHEDULES.items()
          for items in days.values() for block in items if isinstance(block, workshop.Block)]


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_what_to_do_when_time_is_short_saves_time(name, block):
    everything, short = workshop.read(block), workshop.read(block, short=True)
    assert not block.stop or block.stop in everything
    assert all(part in (*everything, *block.exercises) for part in block.leave)
    assert set(short) < set(everything) or set(block.leave) & set(block.exercises)
    found = workshop.parts(block.lesson)
    saved = sum(found[part] for part in {*everything, *block.leave} - set(short))
    assert saved >= 3, "so little is not worth a decision"


def test_what_is_played_with_comes_first_and_has_its_minutes():
    block = workshop.Block("images", only=("New typefaces", "The typeface designer"), stop="New typefaces")
    played = block._replace(play=("The typeface designer", 10))
    assert workshop.need(played) == pytest.approx(workshop.need(block) + 10)
    assert "The typeface designer" in workshop.read(played, short=True)
    assert workshop.said(played).endswith(". Begin with *The typeface designer*, 10 minutes. Read *New typefaces*")


def test_every_lesson_is_in_a_term_or_said_to_be_in_no_week():
    last = workshop.term(), workshop.page().splitlines()[-1]
    for lesson in PATH:
        assert lesson.title in "".join(last[0]) or f"*{lesson.title}*" in last[1]


# ---------------------------------------------------------------- notes and slides


def notes():
    parts = re.split(r"^## (.*)$", (ROOT / "workshop" / "notes.md").read_text(encoding="utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


@EVERY
def test_notes_of_a_lesson(lesson):
    text = notes()[lesson.title]
    assert len(text.split()) >= 130
    assert "**Goes wrong.**" in text and "**Ask.**" in text and text.count("?") >= 2
    assert any(f"*{part}*" in text for part in workshop.parts(lesson.name)), "name a section of the lesson"


# Questions about what a short course does not read; the notes say that they are left out there.
NOT_READ = {("Half a day", "images"): {"First try: a code for each glyph"},
            **{(name, "your_own_model"): {"Start from a trained model?"} for name in workshop.SCHEDULES},
            ("Two days", "vae_in_pytorch"): {"Convolutions"}, ("Two days", "clean_data"): {"Augment"},
            ("Two days", "learned_prior"): {"6 · One letter, many alphabets"}}


def named(lesson, words):
    """The sections of a lesson that stand in italics in some paragraphs of its notes, those that begin with a word."""
    paragraphs = [one for one in notes()[LESSONS[lesson].title].split("\n\n") if one.startswith(words)]
    return {part for part in workshop.parts(lesson) if isinstance(part, str) and part
            and any(re.search(rf"\* ?{re.escape(part)} ?\*", one) for one in paragraphs)}  # or upright, amid italics


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_schedules_read_what_the_notes_speak_of(name, block):
    asked = named(block.lesson, ("**Ask", "**Short", "**Do", "**Exercises"))
    assert asked - set(workshop.read(block)) == NOT_READ.get((name, block.lesson), set())


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_what_a_lesson_closes_with_is_read_when_time_is_short(name, block):
    closing = named(block.lesson, ("**Close", "**Take", "**The round"))
    kept = set(workshop.read(block, short=True))
    assert closing <= kept
    text = notes()[LESSONS[block.lesson].title]
    for sentence in re.findall(r"[Dd]o not skip ([^:.]*)", text):
        assert {part for part in workshop.parts(block.lesson) if f"*{part}*" in sentence} <= kept
    assert "The typeface designer" in kept or block.lesson != "images"


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_notes_say_what_the_schedules_say_about_too_little_time(name, block):
    said = notes()[LESSONS[block.lesson].title]
    short = "".join(re.findall(r"\*\*S(?:hort of time|kip first)\.\*\*.*", said))
    for part in (*block.leave, *([block.stop] if block.stop else [])):
        assert (f"*{part}*" if isinstance(part, str) else "exercise") in short, part


FILES = [ROOT / "workshop" / name for name in ("README.md", "notes.md", "schedules.md", "slides.md")]
MADE = {"build/book/index.html", "my-run/report.html"}  # by the commands that stand beside them


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_that_is_named_is_there(file):
    text = file.read_text(encoding="utf-8")
    found = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", text)) - MADE
    found = {name for name in found if not name.startswith(".venv")}
    assert all((ROOT / name).exists() for name in found), found
    assert all((file.parent / link).exists() for link in re.findall(r"\]\(([^)#:]+)\)", text))
    for folder in re.findall(r"(?:in|from|of) `(data/[\w/]+)`", text):
        assert (ROOT / folder).exists()


def test_commands_for_a_room_are_there():
    text = FILES[0].read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"`make (\w+)`", text))
    assert targets == {"lab", "bundle", "book", "slides", "pages"}
    assert all(re.search(rf"(?m)^{target}:", makefile) for target in targets)
    for command in re.findall(r"-m helpers ([^`]+)`", text):
        parser().parse_args(command.split())
    assert {"preflight", "grade", "fit", "page"} <= set(re.findall(r"-m helpers (\w+)", text))
    assert preflight.explain("KMv-L311") and "helpers.catch_up" in text
    [(lesson, before)] = re.findall(r'catch_up\("(\w+)", before="([^"]+)"\)', text)
    assert before in catching_up.sections(lesson)
    for name in ("notes.md", "schedules.md"):
        assert "](README.md)" in (ROOT / "workshop" / name).read_text(encoding="utf-8")


def test_what_to_start_early_are_sections_with_code_that_trains():
    rows = re.findall(r"(?m)^\| ([^|`]+) \| (\*[^|]*) \|$", FILES[0].read_text(encoding="utf-8"))
    titles = {lesson.title: lesson for lesson in PATH}
    assert len(rows) >= 15
    for title, said in rows:
        code, section = {}, ""
        for cell in nbformat.read(ROOT / "notebooks" / titles[title].file, 4).cells:
            for line in cell.source.splitlines() if cell.cell_type == "markdown" else []:
                section = line[3:].replace("*", "") if line.startswith("## ") else section
            if cell.cell_type == "code":
                code[section] = code.get(section, "") + cell.source
        for part in re.findall(r"\*([^*]+)\*", said):
            assert re.search(r"fit|train|race|sweep", code[part]), part


def test_slides_hold_every_lesson():
    assert slides.claims().keys() >= {lesson.title for lesson in PATH}
    page = slides.page()
    assert page.count("<section") == 1 + len(PATH)
    for lesson in PATH:
        figure = slides.headline(lesson)
        assert (ROOT / "notebooks" / figure.file).exists() and len(figure.alt) >= 20
    assert LESSONS["images"].title in page and "You will make this picture" not in page
    assert f"2 / {1 + len(PATH)}</span>" in page and f"{1 + len(PATH)} / {1 + len(PATH)}</span>" in page
    files = [slides.TITLE[0], *(slides.headline(lesson).file for lesson in PATH)]
    assert len(set(files)) == len(files), "each slide has a picture of its own"


def test_numbers_below_a_picture_are_those_of_its_claim():
    claim, figure = slides.claims()["Encoder and decoder"], slides.headline(LESSONS["encoder_and_decoder"])
    assert "codes of 32 numbers" in figure.below and "Thirty-two numbers" in claim


@EVERY
def test_numbers_of_a_claim_stand_in_its_lesson(lesson):
    claim = slides.claims()[lesson.title]
    nb = json.loads((ROOT / "notebooks" / lesson.file).read_text(encoding="utf-8"))
    text = " ".join("".join(cell["source"]) for cell in nb["cells"])
    assert len(claim.split()) <= 45
    assert all(number in text for number in re.findall(r"\d+", claim))


def test_slides_open_and_turn(tmp_path, browser):
    file = slides.make(tmp_path / "slides")
    page, wrong = browser.new_page(viewport={"width": 1280, "height": 720}), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    page.goto(file.as_uri())
    tall = page.evaluate("[...document.querySelectorAll('section')].filter(s => s.scrollHeight > 725).map(s => s.id)")
    empty = page.evaluate("[...document.images].filter(image => !image.naturalWidth).map(image => image.src)")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    at = page.evaluate("document.querySelector('#start_here').getBoundingClientRect().top")
    sizes = page.evaluate("""[...document.images].map(image => {
      const shown = image.getBoundingClientRect();
      return Math.min(shown.width / image.naturalWidth, shown.height / image.naturalHeight); })""")
    page.keyboard.press("ArrowLeft")
    page.locator("img").first.click()
    large = page.evaluate("document.images[0].getBoundingClientRect().height")
    page.close()
    assert min(sizes) > 0.45 and large == 720  # labels have 22 pixels or so in a file
    assert (wrong, tall, empty) == ([], [], []) and abs(at) < 5
