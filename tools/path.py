"""Bring file names, titles and links into accord with the path in helpers/lessons.py.

    python tools/path.py            rename notebooks, rewrite titles and links
    python tools/path.py --check    only say what would change; the exit status is 1 if anything would

A notebook's file is NN_name.ipynb and its title "# NN Title"; a link to it is [NN Title](NN_name.ipynb), with an arrow
at the end of each notebook to the lessons before and after. Nothing else in a notebook is touched, outputs included.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from helpers.disk import write_text
from helpers.lessons import LESSONS, PATH, Lesson

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "data/README.md")
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<folder>[\w./-]*?)\d\d_(?P<name>[a-z0-9_]+)\.ipynb(?P<part>#[^)\s]*)?\)")
HEADING = re.compile(r"^# (\d\d )?.*$", re.M)
NUMBERED = re.compile(r"^(?P<before>← )?\d\d .*?(?P<after> →)?$")
ARROW = re.compile(r"\[(← [^\]]*|[^\]]* →)\]\([^)]*\)( · )?")


def relinked(text: str) -> str:
    """Text in which every link to a lesson has its number, and every text that is number and title is the right one."""

    def link(found: re.Match[str]) -> str:
        lesson = LESSONS.get(found["name"])
        if lesson is None:
            return found[0]
        shown = found["text"]
        if numbered := NUMBERED.match(shown):
            shown = f"{numbered['before'] or ''}{lesson.heading}{numbered['after'] or ''}"
        return f"[{shown}]({found['folder']}{lesson.file}{found['part'] or ''})"

    return LINK.sub(link, text)


def arrows(lesson: Lesson) -> str:
    """The links to the lessons before and after."""
    i = PATH.index(lesson)
    links = [f"[← {one.heading}]({one.file})" for one in PATH[max(0, i - 1) : i]]
    links += [f"[{one.heading} →]({one.file})" for one in PATH[i + 1 : i + 2]]
    return " · ".join(links)


def renumbered(notebook: str, lesson: Lesson) -> str:
    """The text of a notebook's file with the title, the links and the arrows that its place in the path asks for."""
    nb = json.loads(notebook)
    markdown = [cell for cell in nb["cells"] if cell["cell_type"] == "markdown"]
    for cell in markdown:
        source = "".join(cell["source"])
        changed = relinked(source)
        if cell is markdown[0]:
            changed = HEADING.sub(f"# {lesson.heading}", changed, count=1)
        if cell is markdown[-1]:
            changed = f"{ARROW.sub('', changed).rstrip()}\n\n{arrows(lesson)}".lstrip()
        if changed != source:
            cell["source"] = changed.splitlines(keepends=True)
    return json.dumps(nb, indent=1, ensure_ascii=False) + "\n"


def misplaced(root: Path = ROOT) -> list[tuple[Path, Path, str]]:
    """What must change: (file as it is, file as it should be, its text as it should be), for notebooks and pages.

    Raises ValueError for a lesson without a notebook, or with two, for a notebook without a lesson, and where a file
    stands in the way: nothing is overwritten.
    """
    paths = sorted((root / "notebooks").glob("[0-9][0-9]_*"))
    found = {path.stem[3:]: path for path in paths if path.suffix == ".ipynb"}
    if odd := [path.name for path in paths if path not in found.values()]:
        raise ValueError(f"notebooks/ holds {', '.join(odd)} beside the notebooks of the path; move it away.")
    if lost := found.keys() ^ LESSONS.keys():
        raise ValueError(f"helpers/lessons.py and notebooks/ differ in {', '.join(sorted(lost))}; mend one of them.")
    files = [(path, path.with_name(LESSONS[name].file), LESSONS[name]) for name, path in found.items()]
    texts = [(old, new, renumbered(old.read_text(encoding="utf-8"), lesson)) for old, new, lesson in files]
    pages = [root / page for page in PAGES if (root / page).exists()]
    texts += [(page, page, relinked(page.read_text(encoding="utf-8"))) for page in pages]
    return [(old, new, text) for old, new, text in texts if old != new or text != old.read_text(encoding="utf-8")]


def main() -> int:
    """Rename and rewrite, or only say so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args().check
    try:
        changes = misplaced()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    aside = []  # a number may be another file's now: first all step aside
    for old, new, _ in changes:
        print(old.relative_to(ROOT), *(["->", new.name] if old != new else []))
        if not check and old != new:
            aside.append((old.rename(old.with_suffix(".moving")), new))
    for moving, new in aside:
        moving.rename(new)
    for _, new, text in changes:
        if not check:
            write_text(new, text)
    return 1 if check and changes else 0


if __name__ == "__main__":
    sys.exit(main())
