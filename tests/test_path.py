"""The path: one list knows the numbers; titles, files and links follow it."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import pytest

import notebook_rules as rules
from helpers import lessons
from helpers.lessons import PATH, Lesson, place

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("path_tool", ROOT / "tools" / "path.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


def test_files_titles_and_links_follow_the_path():
    assert [str(old.name) for old, _, _ in tool.misplaced()] == [], "run python tools/path.py"


def test_numbers_rise_and_names_differ():
    assert [lesson.number for lesson in PATH] == sorted({lesson.number for lesson in PATH})
    assert len({lesson.name for lesson in PATH}) == len({lesson.title for lesson in PATH}) == len(PATH)
    assert place(PATH[3].name) == 3 and place("mine") == len(PATH)


def test_the_readme_lists_every_lesson_with_the_minutes_that_it_states():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for lesson in PATH:
        link = f"| [{lesson.heading}](notebooks/{lesson.file}) |"
        row = next((line for line in readme.splitlines() if link in line), "")
        text = "\n".join(rules.prose(nbformat.read(ROOT / "notebooks" / lesson.file, as_version=4)))
        assert f"| {rules.STATED.search(text)[1].replace('minutes', 'min')} |" in row, lesson.heading


def test_the_first_lesson_lists_all_the_others():
    text = "\n".join(rules.prose(nbformat.read(ROOT / "notebooks" / PATH[0].file, as_version=4)))
    assert re.findall(r"^- \[.*?\]\((\d\d_\w+\.ipynb)\)", text, re.M) == [lesson.file for lesson in PATH[1:]]


def page(title, *texts):
    cells = [{"cell_type": "markdown", "source": text.splitlines(keepends=True)} for text in (title, *texts)]
    return json.dumps({"cells": [*cells[:1], {"cell_type": "code", "source": ["# 09 x"], "outputs": [1]}, *cells[1:]]})


@pytest.fixture
def series(tmp_path, monkeypatch):
    """Three notebooks whose list was turned around and moved on, and a page that links to them."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    told = "See [the end](02_c.ipynb#part).\n\n[01 B →](01_b.ipynb)"
    (folder / "00_a.ipynb").write_text(page("# 00 Old\n\nText", told))
    (folder / "01_b.ipynb").write_text(page("# 01 B", "By hand\n\n[← 00 A](00_a.ipynb) · [02 C →](02_c.ipynb)"))
    (folder / "02_c.ipynb").write_text(page("# 02 C", "The end.\n\n[← 01 B](01_b.ipynb)"))
    (tmp_path / "README.md").write_text("[02 C](notebooks/02_c.ipynb), [no lesson](notebooks/03_d.ipynb), 02 C")
    path = (Lesson(0, "c", "C"), Lesson(1, "a", "A"), Lesson(5, "b", "B"))
    for module in (tool, lessons):
        monkeypatch.setattr(module, "PATH", path)
        monkeypatch.setattr(module, "LESSONS", {lesson.name: lesson for lesson in path})
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool.misplaced, "__defaults__", (tmp_path,))
    return folder


def texts(file):
    return ["".join(cell["source"]) for cell in json.loads(file.read_text())["cells"]]


def test_a_new_order_renames_and_relinks(series, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["path.py"])
    assert tool.main() == 0
    assert sorted(file.name for file in series.iterdir()) == ["00_c.ipynb", "01_a.ipynb", "05_b.ipynb"]
    first, middle, last = texts(series / "00_c.ipynb"), texts(series / "01_a.ipynb"), texts(series / "05_b.ipynb")
    assert first == ["# 00 C", "# 09 x", "The end.\n\n[01 A →](01_a.ipynb)"]
    assert middle[0] == "# 01 A\n\nText"
    assert middle[2] == "See [the end](00_c.ipynb#part).\n\n[← 00 C](00_c.ipynb) · [05 B →](05_b.ipynb)"
    assert last[2] == "By hand\n\n[← 01 A](01_a.ipynb)"
    readme = (series.parent / "README.md").read_text()
    assert readme == "[00 C](notebooks/00_c.ipynb), [no lesson](notebooks/03_d.ipynb), 02 C"
    capsys.readouterr()
    assert tool.main() == 0 and capsys.readouterr().out == ""  # nothing is left to do


def test_a_check_changes_nothing(series, monkeypatch, capsys):
    before = {file: file.read_text() for file in series.iterdir()}
    monkeypatch.setattr("sys.argv", ["path.py", "--check"])
    assert tool.main() == 1 and "02_c.ipynb -> 00_c.ipynb" in capsys.readouterr().out
    assert {file: file.read_text() for file in series.iterdir()} == before


@pytest.mark.parametrize("name", ["03_c.ipynb", "02_c.moving", "01_a.md"])
def test_nothing_is_overwritten(series, monkeypatch, capsys, name):
    """A second notebook of a lesson, what an interrupted run left, or a file of the reader's: nothing is touched."""
    (series / name).write_text((series / "02_c.ipynb").read_text())
    before = {file: file.read_text() for file in series.iterdir()}
    monkeypatch.setattr("sys.argv", ["path.py"])
    assert tool.main() == 1 and "move it away" in capsys.readouterr().err
    assert {file: file.read_text() for file in series.iterdir()} == before


def test_a_lesson_without_a_notebook_is_named(series, monkeypatch, capsys):
    (series / "01_b.ipynb").unlink()
    monkeypatch.setattr("sys.argv", ["path.py"])
    assert tool.main() == 1 and "differ in b" in capsys.readouterr().err
