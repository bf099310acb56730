"""python -m helpers grade: what learners' notebooks, good, bad and hostile, are said to be."""

import csv
import importlib
import json
from pathlib import Path

import pytest

from helpers.__main__ import main
from helpers.exercises import losses_and_gradients, start_here
from helpers.exercises.engine import Exercise
from helpers.lessons import LESSONS, PATH
from helpers.workshop import grading, recording

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "import numpy as np\nfrom helpers.exercises import losses_and_gradients as exercises"
RELU = "def relu_backward(x, dy):\n    return (x > 0) * dy\nexercises.relu_backward.check(relu_backward)"
SIGMA = "def best_sigma(x, y):\n    return ((x - y) ** 2).mean() ** 0.5\nexercises.best_sigma.check(best_sigma)"
STUB = "def best_sigma(x, y):\n    ...\nexercises.best_sigma.check(best_sigma)"


def notebook(path, *cells, begin=BEGIN):
    """A learner's notebook, with the marks and outputs that were saved in it."""
    shown = {"output_type": "stream", "name": "stdout", "text": ["✓ scale_shift_backward: right"]}
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True), "metadata": {}, "outputs": [shown],
             "execution_count": 7} for cell in (begin, *cells)]
    cells = [{"cell_type": "markdown", "source": "# Mine", "metadata": {}}, *code]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}), encoding="utf-8")
    return path


def results(path, limit=120.0):
    """Result and sentence of each exercise."""
    return {row.exercise: (row.result, row.says) for row in grading.grade(path, limit)}


def test_what_is_right_wrong_and_left_out(tmp_path):
    wrong = "def best_sigma(x, y):\n    return np.mean((x - y) ** 2)\nexercises.best_sigma.check(best_sigma)"
    path = notebook(tmp_path / "anna.ipynb", "print('✓ best_sigma: right')", RELU, wrong)
    before, found = path.read_bytes(), results(path)
    assert found["relu_backward"] == ("passed", "")
    assert found["best_sigma"][0] == "refused" and len(found["best_sigma"][1]) > 20
    assert found["scale_shift_backward"] == ("not attempted", "the notebook does not check it")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_what_stops_is_an_error_and_the_rest_counts(tmp_path):
    raises = "def relu_backward(x, dy):\n    return dyy\nexercises.relu_backward.check(relu_backward)"
    syntax = "def best_sigma(x, y)\n    return 1\nexercises.best_sigma.check(best_sigma)"
    name = "exercises.scale_shift_backward.check(scale_and_shift)"
    found = results(notebook(tmp_path / "a.ipynb", "1 / 0", raises, syntax, name))
    assert {result for result, _ in found.values()} == {"error"}
    assert "NameError: name 'dyy'" in found["relu_backward"][1]
    assert "SyntaxError" in found["best_sigma"][1] and "NameError" in found["scale_shift_backward"][1]


def test_the_latest_check_counts(tmp_path):
    found = results(notebook(tmp_path / "a.ipynb", STUB, SIGMA, RELU, RELU.replace("> 0", "< 0")))
    assert found["best_sigma"] == ("passed", "") and found["relu_backward"][0] == "refused"


SOLUTIONS = {
    "itself": "exercises.relu_backward.check(exercises.relu_backward.answer)",
    "under another name": "mine = exercises.relu_backward.answer\nexercises.relu_backward.check(mine)",
    "called": "def mine(x, dy):\n    return exercises.relu_backward.answer(x, dy)\nexercises.relu_backward.check(mine)",
    "kept": "a = exercises.relu_backward.answer\nexercises.relu_backward.check(lambda x, dy: a(x, dy))",
    "wrapped": "from functools import partial\n"
               "exercises.relu_backward.check(partial(exercises.relu_backward.answer))",
}


def test_a_solution_is_never_the_learners(tmp_path):
    """All ways in one notebook, and in each the latest check is that of the exercise that is looked at."""
    for name, cell in SOLUTIONS.items():
        space = {}
        exec(BEGIN, space)
        exec(cell.rsplit("exercises.relu_backward.check(", 1)[0], space)
        answer = eval(cell.rsplit("exercises.relu_backward.check(", 1)[1][:-1], space)
        assert recording.is_solution(losses_and_gradients.relu_backward, answer), name
    found = results(notebook(tmp_path / "a.ipynb", SOLUTIONS["under another name"]))
    assert found["relu_backward"] == ("solution shown", "it is the solution itself, or calls it")


LINE = "def mine(a, b, p):  # other names\n    \"\"\"And words.\"\"\"\n" \
       "    return -np.logaddexp(np.log(p) - a, np.log(1 - p) - b)\nexercises.mix_nll.check(mine)"
LONG = start_here.complete.code() + "\nexercises.complete.check(complete)"
SHOW = "exercises.{}.solution()"


def both(tmp_path, *cells):
    """Of mix_nll, which has one statement, and of complete, which has three."""
    begin = "import numpy as np\nfrom helpers.exercises import start_here as exercises\n" \
            "from helpers.exercises.start_here import log_joint, logsumexp"
    found = results(notebook(tmp_path / "a.ipynb", *cells, begin=begin))
    return found["mix_nll"], found["complete"]


def test_the_code_of_the_solution_is_remarked_and_no_accusation(tmp_path):
    """There are not many ways to write one line."""
    assert both(tmp_path, LINE, LONG) == (
        ("passed", "the same code as ours, which says little where an answer is so short"),
        ("passed", "the same code as ours"))


def test_the_code_of_a_solution_that_was_called_before_is_not_the_learners(tmp_path):
    shown = [SHOW.format("mix_nll"), SHOW.format("complete")]
    says = ("solution shown", "solution() was called before, and the code is the same")
    assert both(tmp_path, *shown, LINE, LONG) == (says, says)
    anew = LINE.replace("np.log(1 - p)", "np.log1p(-p)")  # looked at, and written anew
    assert both(tmp_path, *shown, anew)[0] == ("passed", "solution() was called before; the code is not ours")


def test_a_solution_that_is_called_below_the_check(tmp_path):
    """Where the lesson has that line: it may have been read before the answer was written, or after."""
    cells = [f"{LINE}\n{SHOW.format('mix_nll')}", LONG, SHOW.format("complete")]
    one, long = both(tmp_path, *cells)
    assert one[0] == "passed" and one[1].endswith("is so short; solution() is called after the check")
    assert long == ("solution shown", "the same code as ours, and solution() is called after the check")
    assert both(tmp_path, *cells, "exercises.complete.check(lambda *given: given)")[1][0] == "refused"
    anew = LINE.replace("np.log(1 - p)", "np.log1p(-p)")
    assert both(tmp_path, f"{anew}\n{SHOW.format('mix_nll')}")[0] == ("passed", "")


@pytest.mark.parametrize("lesson", [lesson.name for lesson in PATH])
def test_every_solution_is_known_again_and_no_other(lesson):
    own = [e for e in vars(importlib.import_module(f"helpers.exercises.{lesson}")).values() if isinstance(e, Exercise)]
    for ex in own:
        assert recording.same_code(ex, ex.answer) >= 1
        assert [e.name for e in own if recording.same_code(e, ex.answer)] == [ex.name]


def test_a_loop_without_end_costs_its_own_exercise(tmp_path):
    loop = "def relu_backward(x, dy):\n    while True: pass\nexercises.relu_backward.check(relu_backward)"
    found = results(notebook(tmp_path / "a.ipynb", loop, SIGMA), limit=8)
    assert found["relu_backward"][0] == "time limit" and "half of what was left of 8" in found["relu_backward"][1]
    assert found["best_sigma"] == ("passed", "")


def test_a_loop_that_cannot_be_interrupted_is_left_out(tmp_path):
    loop = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass\n" \
           "exercises.relu_backward.check(1)"
    found = results(notebook(tmp_path / "a.ipynb", loop, SIGMA), limit=16)
    assert found["relu_backward"] == ("time limit", "its cell does not end, and could not be interrupted")
    assert found["best_sigma"] == ("passed", "")


def test_the_time_of_a_notebook_is_limited(tmp_path):
    found = results(notebook(tmp_path / "a.ipynb", RELU, *["while True: pass"] * 5, SIGMA), limit=6)
    assert found["relu_backward"] == ("passed", "")
    assert found["best_sigma"] == ("time limit", "the notebook did not come so far in 6 seconds")


@pytest.mark.parametrize("end", ["exit()", "import os; os._exit(0)", "import sys; sys.exit()"])
def test_a_cell_that_ends_python_costs_its_own_exercise(tmp_path, end):
    cell = f"{end}\nexercises.relu_backward.check(relu_backward)"
    found = results(notebook(tmp_path / "a.ipynb", "import sys", cell, SIGMA))
    assert found["relu_backward"][0] in ("error", "not attempted") and found["best_sigma"] == ("passed", "")
    if "exit()" not in end or "sys" not in end:
        assert "ends Python" in found["relu_backward"][1]


FOOLED = {
    "of an exercise": "exercises.relu_backward.check = lambda answer: print('✓ relu_backward: right')",
    "of all": "type(exercises.relu_backward).check = lambda self, answer: print('✓')",
    "the verdict": "exercises.relu_backward.verdict = lambda answer: '✓ relu_backward: right'",
    "the facts": "exercises.relu_backward.facts.clear()",
    "the exercise": "class Mine:\n    check = print\nexercises.relu_backward = Mine",
    "the answer": "exercises.relu_backward.answer = None",
}


@pytest.mark.parametrize("name", FOOLED)
def test_a_check_that_was_replaced_is_said(tmp_path, name):
    wrong = "exercises.relu_backward.check(lambda x, dy: dy)"
    found = results(notebook(tmp_path / "a.ipynb", SIGMA, FOOLED[name], wrong))
    assert found["relu_backward"] == ("error", "`check` was replaced, in code cell 3")
    assert found["best_sigma"][0] == ("error" if name == "of all" else "passed")


def test_damaged_records_are_said(tmp_path):
    found = results(notebook(tmp_path / "a.ipynb", "import sys; del sys.modules['_recording']\n" + RELU))
    assert found["relu_backward"] == ("error", "its cell has damaged what records the answers")


DAMAGED = {"half a file": '{"cells": [', "no cells": "{}", "a list": "[1]", "an old format": '{"worksheets": []}',
           "nothing": "", "cells that are none": '{"cells": [1]}'}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_said(tmp_path, name):
    (tmp_path / "a.ipynb").write_text(DAMAGED[name])
    [row] = grading.grade(tmp_path / "a.ipynb")
    assert row.result == "not graded" and "damaged, or is not a notebook" in row.says and "\n" not in row.says


@pytest.mark.parametrize("begin", ["", "from helpers.exercises import engine", "from helpers.exercises import x"])
def test_what_is_not_a_lesson_is_said(tmp_path, begin):
    [row] = grading.grade(notebook(tmp_path / "a.ipynb", begin=begin))
    assert row.result == "not graded" and row.says.startswith("not a lesson")


def test_a_cell_of_the_lesson_as_it_is_was_not_attempted(tmp_path):
    """Also where it holds code, with a mistake that is to be found."""
    lesson = ROOT / "notebooks" / LESSONS["encoder_and_decoder"].file
    cells = [cell for cell in grading.code_cells(lesson) if ".check(" in cell]
    begin = "import numpy as np\nfrom helpers.exercises import encoder_and_decoder as exercises"
    found = results(notebook(tmp_path / "a.ipynb", *cells, begin=begin))
    assert len(found) == len(cells) and {result for result, _ in found.values()} == {"not attempted"}
    assert "its cell is as in the lesson" in {says for _, says in found.values()}


@pytest.mark.parametrize("lesson", [lesson for lesson in PATH if (ROOT / "notebooks" / lesson.file).exists()])
def test_every_lesson_is_known_with_all_its_exercises(lesson, monkeypatch):
    monkeypatch.setattr(grading, "_run", lambda cells, name, exercises, limit: {})
    module = importlib.import_module(f"helpers.exercises.{lesson.name}")
    rows = grading.grade(ROOT / "notebooks" / lesson.file)
    assert {row.exercise for row in rows} == {e.name for e in vars(module).values() if isinstance(e, Exercise)}
    assert {(row.lesson, row.result) for row in rows} == {(lesson.title, "not attempted")}


@pytest.mark.slow
def test_a_lesson_with_answers_in_it(tmp_path):
    """The real one, from its first cell to its last, with one stub filled in and another deleted."""
    path = ROOT / "notebooks" / LESSONS["losses_and_gradients"].file
    found = json.loads(path.read_text(encoding="utf-8"))
    for cell in found["cells"]:
        source = "".join(cell["source"])
        if "relu_backward.check(" in source:
            cell["source"] = source.replace("    ...", "    return dy * (x > 0)")
        if "best_sigma.check(" in source:
            cell["source"] = ""
    mine = tmp_path / "mine.ipynb"
    mine.write_text(json.dumps(found), encoding="utf-8")
    rows = grading.grade(mine)
    assert [(row.exercise, row.result) for row in rows] == [
        ("relu_backward", "passed"), ("best_sigma", "not attempted"), ("scale_shift_backward", "not attempted")]
    assert {row.lesson for row in rows} == {"Losses and gradients"}


# --- the command -----------------------------------------------------------------------------------------


def test_a_table_goes_only_where_nothing_is(tmp_path, capsys, monkeypatch):
    good, bad, out = notebook(tmp_path / "=good.ipynb", RELU), tmp_path / "bad.ipynb", tmp_path / "table.csv"
    bad.write_text("{")
    monkeypatch.chdir(tmp_path)
    assert main(["grade", good.name, str(bad), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "1 of 2   =good.ipynb   1 of 3 passed\n" in said
    assert "2 of 2   " in said and "not graded: the file is damaged" in said and "0 of 1" not in said
    rows = list(csv.reader(out.read_text(encoding="utf-8-sig").splitlines()))
    assert rows[0] == ["learner", "lesson", "exercise", "result", "says"]
    assert rows[1] == ["'=good.ipynb", "Losses and gradients", "relu_backward", "passed", ""]
    assert len(rows) == 5 and rows[4][3] == "not graded"
    before = out.read_bytes()
    assert main(["grade", str(good), "--out", str(out)]) == 5
    assert "is left as it is" in capsys.readouterr().err and out.read_bytes() == before


def test_the_table_is_printed_where_no_file_is_given(tmp_path, capsys):
    path = notebook(tmp_path / "a.ipynb", RELU, STUB)
    assert main(["grade", str(path), "--limit", "60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "relu_backward" in lines[0] and lines[0].split()[-1] == "passed"


def test_a_file_that_is_not_there_is_said(tmp_path, capsys):
    assert main(["grade", str(tmp_path / "none.ipynb")]) == 3
    assert "there is no such file; nothing was graded" in capsys.readouterr().err


def test_the_others_are_graded_where_a_file_is_not_there(tmp_path, capsys):
    good, out = notebook(tmp_path / "good.ipynb", RELU), tmp_path / "table.csv"
    assert main(["grade", str(tmp_path / "none.ipynb"), str(good), "--out", str(out)]) == 3
    said = capsys.readouterr()
    assert "none.ipynb: there is no such file; the others were graded." in said.err
    assert "1 of 3 passed" in said.out and "not graded: there is no such file" in said.out
    rows = list(csv.reader(out.read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == 5 and rows[1][3:] == ["not graded", "there is no such file"] and rows[2][3] == "passed"


def test_help_says_what_results_mean_and_how_long_a_class_takes(capsys):
    assert main(["grade", "--help"]) == 0
    said = capsys.readouterr().out
    assert "a class of 30" in said and "two statements that are the same prove nothing" in said
