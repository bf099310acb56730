"""Bring a late learner to any section of a lesson: its earlier cells are run, quietly, as they are committed.

A learner calls ``helpers.catch_up("images", before="…")`` in a cell, and goes on with the section that is named.
Exercises stay the stubs that they are: nothing in a lesson depends on them.
"""

import contextlib
import json
import linecache
import re
import time
from typing import Any

from helpers.disk import ROOT
from helpers.lessons import LESSONS, PATH
from helpers.progress import Progress

NOTEBOOKS = ROOT / "notebooks"


def sections(lesson: str) -> dict[str, list[str]]:
    """The titles of a lesson's sections, in order, each with the code that stands before it, a string for each cell.

    Raises ValueError for a lesson that there is not.
    """
    lesson = named(lesson)
    notebook = json.loads((NOTEBOOKS / LESSONS[lesson].file).read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    code: list[str] = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            code = [*code, source]
        elif cell["cell_type"] == "markdown":
            outside = "".join(source.split("```")[::2])  # what is between fences is code, with comments
            for line in outside.splitlines():
                if line.startswith(("## ", "### ")):
                    found.setdefault(line.lstrip("#").strip(), code)
    return found


def named(lesson: str) -> str:
    """The name of a lesson of which the name, the file, the number and name, or the title is given, or the title's
    first words. Raises ValueError where that fits none, or several.
    """
    plain = lambda text: re.sub(r"[\W_]+", " ", text.lower().removesuffix(".ipynb")).strip()
    wanted = plain(lesson)
    ways = {one.name: [plain(way) for way in (one.name, one.file, one.title, one.heading)] for one in PATH}
    fits = [name for name, own in ways.items() if wanted in own]
    fits = fits or [name for name, own in ways.items() if wanted and own[2].startswith(f"{wanted} ")]
    if len(fits) != 1:
        raise ValueError(f"there is no lesson {lesson!r}; there are {', '.join(LESSONS)}." if not fits else
                         f"several lessons begin with {lesson!r}: {', '.join(fits)}.")
    return fits[0]


def catch_up(lesson: str, before: str, namespace: dict[str, Any]) -> None:
    """Run the code cells that stand before a section, in a namespace; only the progress is printed.

    ``before`` is the section's title, or the beginning of one title alone, in small or capital letters. Raises
    ValueError where it is neither, or the lesson is unknown; RuntimeError if a cell fails.
    """
    from IPython.utils.capture import capture_output  # what is printed, and what is displayed

    lesson = named(lesson)
    all_of_them = sections(lesson)
    wanted = before.strip().lstrip("#").strip().lower()
    fits = [name for name in all_of_them if name.lower() == wanted]
    fits = fits or [name for name in all_of_them if wanted and name.lower().startswith(wanted)]
    if len(fits) != 1:
        listed = "\n    ".join(all_of_them)
        raise ValueError(f"{LESSONS[lesson].title} has {'several sections' if fits else 'no section'} that "
                         f"{'begin' if fits else 'begins'} with {before!r}; there are\n    {listed}")
    cells, start = all_of_them[fits[0]], time.monotonic()
    progress = Progress(len(cells), unit="cell", lines=3)
    for number in progress:
        try:
            with capture_output(), contextlib.chdir(NOTEBOOKS):  # lessons name their data from there
                exec(_compiled(cells[number], f"<{lesson}, code cell {number + 1}>"), namespace)
        except Exception as error:
            raise RuntimeError(f"catching up stopped in code cell {number + 1} of {LESSONS[lesson].title}: "
                               f"{type(error).__name__}: {error}") from error
        progress.say(f"of {len(cells)} before “{fits[0]}”")
    print(f"Caught up in {time.monotonic() - start:.0f} s: go on with “{fits[0]}”.")


def _compiled(source: str, name: str):
    # So that tracebacks, and inspect.getsource, find the lines.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return compile(source, name, "exec")
