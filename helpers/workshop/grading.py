"""Run the notebooks of learners, as saved, and say of each exercise what became of it: ``python -m helpers grade``.

Each notebook runs in a process of its own, a kernel of this environment, in a folder that is thrown away, with a time
limit. What counts is the verdict of an exercise's latest check; nothing that a notebook prints, or has stored as
output, is believed. The results:

    passed          the answer holds every fact
    not attempted   it is the stub, its cell is as in the lesson, or nothing is checked
    refused         it violates a fact, which is said
    error           its code stops, or its check was replaced
    time limit      its cell did not end, or the notebook did not come so far
    solution shown  the answer is the solution of the exercise itself, or its code after solution() was called
    not graded      the file is not there, is damaged, or is no lesson

*Passed* may have a remark: that the code is the same as ours (but for names and comments), or that solution() was
called before. Short code that is the same (one or two statements) proves nothing: often there is no other way to write
it.
"""

import ast
import csv
import io
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from helpers.disk import DATA, ROOT, DiskError, write_new
from helpers.errors import DataError
from helpers.lessons import LESSONS, title

BEGIN = "import helpers.workshop.recording as _recording; _recording.begin({!r}); del _recording"
TAKE = "__import__('sys').modules['_recording'].taken()"
CHECKED = re.compile(r"\.(\w+)\.check\(")


class Row(NamedTuple):
    """One line of the table: whose file, which lesson and exercise, what became of it, and the sentence to that."""

    learner: str
    lesson: str
    exercise: str
    result: str
    says: str = ""


class _Ended(Exception):
    """The kernel is gone, or had to be ended; the message says why."""


class _Stopped(Exception):
    """A cell did not end in time, and was interrupted."""


def grade(path: Path, limit: float = 300.0) -> list[Row]:
    """A row for each exercise of the lesson that a notebook is; or one row that says why there are none.

    limit: seconds for all of the notebook. A cell gets half of what is left of them, so that one that does not end
    leaves time for the others.
    """
    name = str(path)
    try:
        cells = code_cells(Path(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"{type(error).__name__}: {error}".split("\n")[0]
        return [Row(name, "", "", "not graded", f"the file is damaged, or is not a notebook ({said})")]
    lessons = re.findall(r"(?m)^from helpers\.exercises import (\w+)", "\n".join(cells))
    lessons = [lesson for lesson in lessons if lesson in LESSONS]
    if not lessons:
        return [Row(name, "", "", "not graded", "not a lesson: it imports none of the exercises")]
    lesson = lessons[0]
    original = code_cells(ROOT / "notebooks" / LESSONS[lesson].file)
    exercises = list(dict.fromkeys(CHECKED.findall("\n".join(original))))
    results = _run(cells, lesson, exercises, limit)
    asked = set(CHECKED.findall("\n".join(cells)))
    for cell in set(map(_plain, cells)) & set(map(_plain, original)):
        for exercise in CHECKED.findall(cell):
            if results.get(exercise, ("",))[0] in ("refused", "error") and _only(exercise, cells):
                results[exercise] = ("not attempted", "its cell is as in the lesson")
    nothing = {exercise: "" if exercise in asked else "the notebook does not check it" for exercise in exercises}
    return [Row(name, title(lesson), exercise, *results.get(exercise, ("not attempted", nothing[exercise])))
            for exercise in exercises]


def code_cells(path: Path) -> list[str]:
    """The sources of a notebook's code cells. Raises ValueError, KeyError and the like for what is not a notebook."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _plain(cell: str) -> str:
    """A cell without what does not matter: comments, such as calls for hints, and blank lines."""
    return "\n".join(line.rstrip() for line in cell.splitlines() if line.strip() and not line.startswith("#"))


def _only(exercise: str, cells: list[str]) -> bool:
    return sum(exercise in CHECKED.findall(cell) for cell in cells) == 1


def _run(cells: list[str], lesson: str, exercises: list[str], limit: float) -> dict[str, tuple[str, str]]:
    """What became of the exercises that were checked, or should have been."""
    deadline = time.monotonic() + limit
    results: dict[str, tuple[str, str]] = {}
    touched: dict[str, tuple[str, str]] = {}
    left_out: set[int] = set()  # cells that end the kernel: it starts anew, and goes without them
    while True:
        known: dict[str, list[str]] = {}  # what was recorded up to the cell before
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as folder, \
                _Kernel(_copy_of_data(Path(folder))) as kernel:
            try:
                kernel.run(BEGIN.format(lesson), 120)
                deadline += time.monotonic() - began  # the learner's time is that of the learner's cells
            except (_Ended, _Stopped) as why:
                return dict.fromkeys(exercises, ("error", f"Python could not begin: {why}"))
            for i, cell in enumerate(cells):
                if i in left_out or not cell.strip():
                    continue
                here = [exercise for exercise in CHECKED.findall(cell) if exercise in exercises]
                before = dict(results)
                left = deadline - time.monotonic()
                if left < 1:
                    said = f"the notebook did not come so far in {limit:g} seconds"
                    rest = {e for later in cells[i:] for e in CHECKED.findall(later) if e in exercises}
                    return {**results, **{e: ("time limit", said) for e in rest if e not in results}, **touched}
                went_wrong = None
                try:
                    if said := kernel.run(cell, left / 2):
                        went_wrong = ("error", f"its cell stops: {said}")
                    found = json.loads(kernel.ask(TAKE))
                    results |= {name: tuple(now) for name, now in found["found"].items() if known.get(name) != now}
                    known = found["found"]
                    touched = {name: ("error", f"`check` was replaced, in code cell {i + 1}")
                               for name in found["touched"] if name in exercises} | touched
                except _Stopped:
                    went_wrong = ("time limit", f"its cell did not end in {left / 2:.0f} seconds, half of what was "
                                  f"left of {limit:g}")
                except _Ended as why:
                    went_wrong = ("time limit" if "interrupted" in str(why) else "error", f"its cell {why}")
                    left_out.add(i)
                if went_wrong:
                    results |= {e: went_wrong for e in here if results.get(e) == before.get(e)}
                if i in left_out:
                    break
            else:
                return {**results, **touched}


def _copy_of_data(folder: Path) -> Path:
    """A folder for the notebook, with the project's data beside it, as lessons expect; all copies."""
    shutil.copytree(DATA, folder / "data", ignore=shutil.ignore_patterns("cache"))
    (folder / "notebooks").mkdir()
    return folder / "notebooks"


class _Kernel:
    """A kernel of this environment, of which only the replies are read: what cells print is nobody's business."""

    def __init__(self, folder: Path):
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import KernelManager

        # Without folders to look in, "python3" is the Python that runs this.
        self.manager = KernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
        self.folder = folder

    def __enter__(self) -> "_Kernel":
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "HELPERS_PROGRESS": "milestones", "PYTHONPATH": paths}
        environment.pop("HELPERS_RECORD", None)
        self.manager.start_kernel(cwd=str(self.folder), env=environment, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        self.client = self.manager.blocking_client()
        self.client.start_channels(shell=True, iopub=False, stdin=False, hb=False, control=False)
        return self

    def __exit__(self, *error) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code: str, seconds: float) -> str:
        """Run a cell; returns "", or the error that stopped it. Raises _Stopped and _Ended."""
        reply = self._reply(code, seconds)
        if any(payload.get("source") == "ask_exit" for payload in reply.get("payload", [])):
            raise _Ended("ends Python (exit or quit)")
        if reply["status"] == "ok":
            return ""
        return f"{reply.get('ename')}: {reply.get('evalue')}".split("\n")[0]

    def ask(self, expression: str) -> Any:
        """The value of an expression in the kernel."""
        answer = self._reply("", 60, user_expressions={"it": expression}).get("user_expressions", {}).get("it", {})
        if answer.get("status") != "ok":
            raise _Ended("has damaged what records the answers")
        return ast.literal_eval(answer["data"]["text/plain"])

    def _reply(self, code: str, seconds: float, **more) -> dict:
        sent = self.client.execute(code, silent=False, store_history=False, allow_stdin=False, stop_on_error=False,
                                   **more)
        until, interrupted = time.monotonic() + seconds, False
        while True:
            try:
                message = self.client.get_shell_msg(timeout=0.5)
            except queue.Empty:
                if not self.manager.is_alive():
                    raise _Ended("ends Python, or needs more memory than there is") from None
                if time.monotonic() > until:
                    if interrupted:
                        raise _Ended("does not end, and could not be interrupted") from None
                    self.manager.interrupt_kernel()
                    until, interrupted = time.monotonic() + 5, True
                continue
            if message["parent_header"].get("msg_id") == sent:
                if interrupted:
                    raise _Stopped
                return message["content"]


# --- the table -----------------------------------------------------------------------------------------------------


def table(rows: Iterable[Row]) -> str:
    """The rows as CSV, with a heading. What a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows([f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell for cell in row] for row in rows)
    return text.getvalue()


def run(notebooks: list[str], out: str | None = None, limit: float = 300.0) -> None:
    """Grade notebooks one after another, and print the table, or write it to ``out``, where nothing must be yet.

    Raises DiskError for an ``out`` that is there, before anything runs; DataError for notebooks that are not there,
    after the others were graded.
    """
    lost = [file for file in notebooks if not Path(file).is_file()]
    if len(lost) == len(notebooks):
        raise DataError(f"{', '.join(lost)}: there is no such file; nothing was graded.")
    if out is not None and os.path.lexists(out):
        raise DiskError(f"{out} is there already, and is left as it is; give another name, or move it away.")
    rows = []
    for number, file in enumerate(notebooks, start=1):
        mine = [Row(file, "", "", "not graded", "there is no such file")] if file in lost else grade(Path(file), limit)
        rows += mine
        if out is not None:
            passed = sum(row.result == "passed" for row in mine)
            shown = sum(row.result == "solution shown" for row in mine)
            says = f"{passed} of {len(mine)} passed" + (f", {shown} solution shown" if shown else "")
            if mine[0].result == "not graded":
                says = f"not graded: {mine[0].says}"
            print(f"{number} of {len(notebooks)}   {file}   {says}", flush=True)
        else:
            for row in mine:
                says = f"   {row.says}" if row.says else ""
                print(f"{file}   {row.exercise or '-':<24} {row.result:<14}{says}", flush=True)
    if out is not None:
        write_new(Path(out), table(rows).encode("utf-8-sig"))
        print(f"the table: {out}")
    if lost:
        raise DataError(f"{', '.join(lost)}: there is no such file; the others were graded.")
