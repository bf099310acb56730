"""The kit for a room: schedules whose minutes follow the notebooks, notes and a slide for every lesson."""

from __future__ import annotations

import json
import re

import nbformat
import pytest

import slides
import workshop
from helpers.lessons import LESSONS, PATH
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


def test_a_block_stops_where_it_reads():
    for _, days in workshop.SCHEDULES.values():
        for block in (item for items in days.values() for item in items if isinstance(item, workshop.Block)):
            assert block.stop and block.stop not in block.skip and (not block.only or block.stop in block.only)


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


def test_slides_hold_every_lesson():
    assert slides.claims().keys() >= {lesson.title for lesson in PATH}
    page = slides.page()
    assert page.count("<section") == 1 + len(PATH)
    for lesson in PATH:
        figure = slides.headline(lesson)
        assert (ROOT / "notebooks" / figure.file).exists() and len(figure.alt) >= 20
    assert LESSONS["images"].title in page


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
    page.close()
    assert (wrong, tall, empty) == ([], [], []) and abs(at) < 5
