"""Catching up: every section of a lesson can be reached, quietly, and what cannot be is said."""

import contextlib
import json
import os
import re
from pathlib import Path

import matplotlib
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

import helpers
from comparing import contents
from helpers.lessons import LESSONS, PATH
from helpers.workshop import catching_up

matplotlib.use("Agg")
CHEAP = "losses_and_gradients"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A learner's folder that is not the project's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HELPERS_PROGRESS", "milestones")
    return tmp_path


# One of those that the same cells stand before: the list of terms, and the exercises, come after all the code.
SECTIONS = {len(code): section for section, code in catching_up.sections(CHEAP).items()}


@pytest.mark.parametrize("section", SECTIONS.values())
def test_after_catching_up_the_next_cell_runs(section, elsewhere, capsys):
    before = catching_up.sections(CHEAP)[section]
    cells = ["".join(cell["source"]) for cell in
             json.loads((catching_up.NOTEBOOKS / LESSONS[CHEAP].file).read_text(encoding="utf-8"))["cells"]
             if cell["cell_type"] == "code"]
    assert cells[: len(before)] == before
    learner = {"__name__": "__main__"}
    catching_up.catch_up(CHEAP, section, learner)
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].endswith(f"go on with “{section}”.") and len(said.out.splitlines()) <= 4
    assert said.err == "" and contents(elsewhere) == {} and Path.cwd() == elsewhere
    if len(before) < len(cells):
        with contextlib.chdir(catching_up.NOTEBOOKS):
            exec(cells[len(before)], learner)


def test_the_names_come_into_the_callers_namespace(elsewhere, capsys):
    learner = {"__name__": "__main__", "helpers": helpers}
    exec(f"helpers.catch_up({CHEAP!r}, before='in a computer')", learner)  # the beginning of a title is enough
    assert "gaussian_nll" in learner and "Sequential" not in learner
    assert "go on with “In a computer's numbers”" in capsys.readouterr().out


def test_in_a_notebook_neither_figures_nor_prints_of_the_lesson_are_seen(elsewhere):
    call = f"import helpers\nhelpers.catch_up({CHEAP!r}, before='A first walk downhill')"
    notebook = new_notebook(cells=[new_code_cell(call), new_code_cell("print(gaussian_nll.__name__, __name__)")])
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    progress, [learner] = (cell.outputs for cell in notebook.cells)
    assert {(output.output_type, output.name) for output in progress} == {("stream", "stdout")}
    assert "".join(output.text for output in progress).count("\n") <= 4
    assert learner.text == "gaussian_nll __main__\n"


@pytest.mark.parametrize("lesson", [lesson.name for lesson in PATH])
def test_every_lesson_has_sections_with_code_before_them(lesson):
    found = catching_up.sections(lesson)
    lengths = [len(code) for code in found.values()]
    assert len(found) >= 5 and lengths == sorted(lengths) and lengths[-1] > 5
    assert "Summary" in found and any(name.startswith("Exercise") for name in found)
    for code in found["Summary"]:
        assert not code.lstrip().startswith(("%", "!"))  # what only a notebook understands


@pytest.mark.parametrize("lesson", PATH, ids=lambda lesson: lesson.name)
def test_a_lesson_is_called_as_people_see_it(lesson):
    for said in (lesson.name, lesson.file, lesson.file.removesuffix(".ipynb"), lesson.title, lesson.title.upper(),
                 lesson.heading, f" {lesson.name.replace('_', ' ')} "):
        assert catching_up.named(said) == lesson.name


def test_the_first_words_of_a_title_are_enough():
    assert catching_up.named("Images") == "images" and catching_up.named("audio") == "audio"
    with pytest.raises(ValueError, match="several lessons begin with 'Text': letters, colour_names"):
        catching_up.named("Text")
    with pytest.raises(ValueError, match="there is no lesson ''"):
        catching_up.named("")


def test_the_example_in_the_help_is_a_section():
    [(lesson, before)] = re.findall(r'catch_up\("(\w+)", before="([^"]+)"\)', helpers.catch_up.__doc__)
    assert before in catching_up.sections(lesson)


def test_what_there_is_not_is_said_with_what_there_is():
    with pytest.raises(ValueError, match=r"there is no lesson 'images 2'; there are start_here, .*your_own_model\.$"):
        helpers.catch_up("images 2", before="x")
    with pytest.raises(ValueError, match="no section that begins with 'A walk'") as caught:
        helpers.catch_up(CHEAP, before="A walk")
    assert set(catching_up.sections(CHEAP)) <= {line.strip() for line in str(caught.value).splitlines()}
    with pytest.raises(ValueError, match="several sections that begin with 'Exercise'"):
        helpers.catch_up(CHEAP, before="Exercise")
    with pytest.raises(ValueError, match="no section"):
        helpers.catch_up(CHEAP, before="")


def test_a_cell_that_fails_is_named(elsewhere, monkeypatch):
    monkeypatch.setattr(catching_up, "sections", lambda lesson: {"Here": ["a = 1", "b = a / 0"]})
    with pytest.raises(RuntimeError, match="code cell 2 of Losses and gradients: ZeroDivisionError"):
        catching_up.catch_up(CHEAP, "Here", {})
    assert os.getcwd() == str(elsewhere)


def test_headings_in_code_are_not_sections(tmp_path, monkeypatch):
    cells = [{"cell_type": "code", "source": ["a = 1"]}, {"cell_type": "code", "source": ["## not a section"]},
             {"cell_type": "markdown", "source": ["words\n", "\n", "## Yes\n", "```\n", "## no\n", "```\n", "### Too"]}]
    monkeypatch.setattr(catching_up, "NOTEBOOKS", tmp_path)
    (tmp_path / LESSONS[CHEAP].file).write_text(json.dumps({"cells": cells}))
    code = ["a = 1", "## not a section"]
    assert catching_up.sections(CHEAP) == {"Yes": code, "Too": code}
