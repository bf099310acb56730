"""What every notebook must be, as functions that return the faults they find.

A rule takes a notebook and returns one sentence per fault; an empty list means that it holds.
Rules that need to know where the notebook lies take its path as well.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import nbformat
from nbformat import NotebookNode

TAGS = {
    "nbval-ignore-output",  # timings, sounds and widgets; never to hide a number
    "exercise",  # a stub for the reader to fill in
    "parameters",  # values that the reader is invited to change
}
METADATA = {"kernelspec", "language_info"}
MAX_BYTES = 1_500_000
MAX_MINUTES = 80  # of an attentive reader, exercises included; what is longer is two lessons
MAX_LINES = 25  # of a code cell
WIDGET = "application/vnd.jupyter.widget-view+json"

LINK = re.compile(r"(!?)\[([^\]]*)\]\(\s*<?([^)>\s]+)>?[^)]*\)")
HTML_LINK = re.compile(r"""<(?:a|img)\b[^>]*?\b(?:href|src)\s*=\s*["']([^"']+)["']""", re.I)
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.I)
HTML_ALT = re.compile(r"""\balt\s*=\s*["'][^"']*\w[^"']*["']""", re.I)
FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$|`[^`\n]+`", re.M | re.S)
DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[\w+/=]+")
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b", re.I)
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/+=<])/(?:[\w.+-]+/)+[\w.+-]+|\b[A-Z]:\\\w+")
NBVAL_COMMENT = re.compile(r"^\s*#\s*(NBVAL_\w+|PYTEST_VALIDATE_IGNORE_OUTPUT)", re.M)


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def prose(nb: NotebookNode) -> list[str]:
    """The text of the markdown cells, without the code that they quote."""
    return [FENCE.sub("", cell.source) for cell in nb.cells if cell.cell_type == "markdown"]


def outputs(nb: NotebookNode) -> Iterator[tuple[str, NotebookNode, NotebookNode]]:
    """Every output, after the name and the node of its cell."""
    for number, cell in enumerate(code_cells(nb), 1):
        for output in cell.outputs:
            yield f"code cell {number}", cell, output


def tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def texts(output: NotebookNode) -> list[str]:
    """Everything in an output that is text."""
    data = output.get("data", {})
    return [output.get("text", ""), *(data[mime] for mime in data if mime.startswith("text/"))]


# ---------------------------------------------------------------- of a notebook by itself


def is_valid(nb: NotebookNode) -> list[str]:
    ids = [cell.get("id") for cell in nb.cells]
    if None in ids or len(set(ids)) < len(ids):  # nbformat would repair this silently
        return ["cells without an id, or two with the same one"]
    try:
        nbformat.validate(nb)
    except nbformat.ValidationError as error:
        return [f"not a valid notebook: {error.message}"]
    return []


def is_executed(nb: NotebookNode) -> list[str]:
    """nbval never compares a cell without an execution count, so each must have its own."""
    counts = [cell.execution_count for cell in code_cells(nb) if cell.source.strip()]
    if counts != list(range(1, len(counts) + 1)):
        return [f"not executed once from top to bottom: the counts are {counts}"]
    return []


def has_no_empty_cells(nb: NotebookNode) -> list[str]:
    return [f"cell {i} is empty" for i, cell in enumerate(nb.cells) if not cell.source.strip()]


def has_no_errors(nb: NotebookNode) -> list[str]:
    return [
        f"{where} stopped with {output.ename}"
        for where, _, output in outputs(nb)
        if output.output_type == "error"
    ]


def has_no_stderr(nb: NotebookNode) -> list[str]:
    return [
        f"{where} wrote to stderr: {output.text.strip()[:80]!r}"
        for where, _, output in outputs(nb)
        if output.output_type == "stream" and output.name == "stderr"
    ]


def uses_the_python3_kernel(nb: NotebookNode) -> list[str]:
    kernel = nb.metadata.get("kernelspec", {}).get("name")
    return [] if kernel == "python3" else [f"the kernel is {kernel!r}, not 'python3'"]


def has_plain_metadata(nb: NotebookNode) -> list[str]:
    """No widget state, timings, versions or marks of an editor."""
    faults = [f"metadata holds {key!r}" for key in nb.metadata if key not in METADATA]
    if "version" in nb.metadata.get("language_info", {}):
        faults.append("metadata holds the Python version")
    for i, cell in enumerate(nb.cells):
        faults += [f"cell {i}: metadata holds {key!r}" for key in cell.metadata if key != "tags"]
    return faults


def has_known_tags(nb: NotebookNode) -> list[str]:
    faults = []
    for i, cell in enumerate(nb.cells):
        faults += [f"cell {i}: unknown tag {tag!r}" for tag in sorted(tags(cell) - TAGS)]
        if cell.cell_type == "code" and (comment := NBVAL_COMMENT.search(cell.source)):
            faults.append(f"cell {i}: {comment[1]} is a comment; exempt a cell by tag only")
    return faults


def shows_widgets_only_where_tagged(nb: NotebookNode) -> list[str]:
    return [
        f"{where} shows a widget without the tag nbval-ignore-output"
        for where, cell, output in outputs(nb)
        if WIDGET in output.get("data", {}) and "nbval-ignore-output" not in tags(cell)
    ]


def has_one_title(nb: NotebookNode) -> list[str]:
    titles = [line for text in prose(nb) for line in re.findall(r"^# .+$", text, re.M)]
    return [] if len(titles) == 1 else [f"{len(titles)} titles (lines with one #): {titles}"]


def describes_its_pictures(nb: NotebookNode) -> list[str]:
    """Whoever cannot see a picture gets a sentence, in outputs and in prose."""
    faults = []
    for where, _, output in outputs(nb):
        data = output.get("data", {})
        if "image/svg+xml" in data:
            faults.append(f"{where} shows an SVG, whose text differs from run to run")
        if any(mime.startswith("image/") for mime in data):
            text = data.get("text/plain", "")
            if len(text) < 20 or len(text.split()) < 4 or text.startswith("<"):
                faults.append(f"{where}: a picture's text is {text[:60]!r}, no description")
        faults += [
            f"{where}: no alt text in {tag[:60]!r}"
            for tag in HTML_IMAGE.findall(data.get("text/html", ""))
            if not HTML_ALT.search(tag)
        ]
    for text in prose(nb):
        faults += [
            f"no alt text: ![]({to})"
            for bang, alt, to in LINK.findall(text)
            if bang and not alt.strip()
        ]
        faults += [
            f"no alt text: {tag[:60]}"
            for tag in HTML_IMAGE.findall(text)
            if not HTML_ALT.search(tag)
        ]
    return faults


def has_no_trailing_semicolons(nb: NotebookNode) -> list[str]:
    """In Jupyter a last `;` hides the result, and nbval then sees one output too many."""
    ends = {tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER}
    faults = []
    for number, cell in enumerate(code_cells(nb), 1):
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(cell.source).readline))
        except (tokenize.TokenError, SyntaxError):
            faults.append(f"code cell {number} is not Python")
            continue
        faults += [
            f"code cell {number}: line {token.start[0]} ends with ';'"
            for token, after in pairwise(tokens)
            if token.string == ";" and after.type in ends
        ]
    return faults


def prints_nothing_of_this_machine(nb: NotebookNode) -> list[str]:
    faults = []
    for where, _, output in outputs(nb):
        for text in texts(output):
            text = DATA_URI.sub("", text)
            faults += [f"{where} prints the address {hit}" for hit in ADDRESS.findall(text)]
            faults += [f"{where} prints the path {hit}" for hit in ABSOLUTE_PATH.findall(text)]
    return faults


def minutes(nb: NotebookNode) -> float:
    """How long an attentive reader needs whose mother tongue need not be English: reading, code and exercises."""
    words = sum(len(cell.source.split()) for cell in nb.cells if cell.cell_type == "markdown")
    lines = sum(bool(line.strip()) for cell in code_cells(nb) for line in cell.source.splitlines())
    exercises = sum("exercise" in tags(cell) for cell in code_cells(nb))
    return words / 120 + lines / 10 + 7 * exercises


STATED = re.compile(r"\*\*It takes\*\* about (an hour|\d+ minutes)")


def takes_at_most_80_minutes_and_says_so(nb: NotebookNode) -> list[str]:
    need = minutes(nb)
    faults = [f"it takes {need:.0f} minutes: two lessons, or less"] if need > MAX_MINUTES else []
    found = STATED.search("\n".join(prose(nb)))
    if not found:
        return [*faults, "it does not say how long **It takes**"]
    stated = 60 if found[1] == "an hour" else int(found[1].split()[0])
    if not need - 2.5 <= stated <= need + 7.5:
        faults.append(f"it says {found[1]}, and takes {need:.0f}")
    return faults


def has_short_cells(nb: NotebookNode) -> list[str]:
    lengths = [(number, len(cell.source.splitlines())) for number, cell in enumerate(code_cells(nb), 1)]
    return [f"code cell {number} has {lines} lines" for number, lines in lengths if lines > MAX_LINES]


BOX = re.compile(r"^## In the literature\n+((?:- .*\n?)+)", re.M)
TERM = re.compile(r"^- \*\*[^*]+\*\*: \S.*[.!?)]$")


def names_things_as_the_field_does(nb: NotebookNode) -> list[str]:
    """The box "In the literature": a list of `- **term**: what it is. (Authors, year, *Title*.)`."""
    found = BOX.search("\n\n".join(prose(nb)) + "\n")
    if not found:
        return ["it has no list under ## In the literature"]
    terms = found[1].strip().split("\n")
    faults = [f"{term[:60]!r} is not of the form - **term**: what it is." for term in terms if not TERM.match(term)]
    return faults + (["fewer than three terms In the literature"] if len(terms) < 3 else [])


NUMBERED = re.compile(r"\b(?:notebooks?|lessons?)\s+\d+\b", re.I)


def names_lessons_by_title(nb: NotebookNode) -> list[str]:
    """The number of a lesson is its place in the path, and stands in links and headings only."""
    faults = []
    for i, cell in enumerate(nb.cells):
        text = LINK.sub("", cell.source)
        faults += [f"cell {i}: {hit!r} names a lesson by its number" for hit in NUMBERED.findall(text)]
        faults += [f"cell {i}: {hit!r} names a file by its lesson's number"
                   for hit in re.findall(r"\b\d\d_[a-z]\w+\.\w+", text)]
    return faults


def begins_with_setup(nb: NotebookNode) -> list[str]:
    cells = code_cells(nb)
    if cells and "helpers.setup(" in cells[0].source:
        return []
    return ["the first code cell does not call helpers.setup(...)"]


RULES: list[Callable[[NotebookNode], list[str]]] = [
    is_valid,
    is_executed,
    has_no_empty_cells,
    has_no_errors,
    has_no_stderr,
    uses_the_python3_kernel,
    has_plain_metadata,
    has_known_tags,
    shows_widgets_only_where_tagged,
    has_one_title,
    describes_its_pictures,
    has_no_trailing_semicolons,
    prints_nothing_of_this_machine,
    takes_at_most_80_minutes_and_says_so,
    has_short_cells,
    names_things_as_the_field_does,
    names_lessons_by_title,
    begins_with_setup,
]


# ---------------------------------------------------------------- of a notebook in its place


def has_links_that_resolve(nb: NotebookNode, path: Path) -> list[str]:
    targets = []
    for text in prose(nb):
        targets += [to for _, _, to in LINK.findall(text)] + HTML_LINK.findall(text)
    local = [to for to in targets if not re.match(r"[a-z][a-z0-9+.-]*:|#", to, re.I)]
    return [f"{to} does not exist" for to in local if not (path.parent / to.split("#")[0]).exists()]


def has_links_to_its_neighbours(nb: NotebookNode, path: Path, series: list[Path]) -> list[str]:
    """The last text leads back, `[← 00 Start here](…)`, and on, `[02 Learning →](…)`."""
    place = series.index(path)
    before = {series[place - 1].name} if place > 0 else set()
    after = {series[place + 1].name} if place + 1 < len(series) else set()
    links = LINK.findall(prose(nb)[-1]) if prose(nb) else []
    back = {to for _, text, to in links if "←" in text}
    on = {to for _, text, to in links if "→" in text}
    faults = []
    if back != before:
        faults.append(f"← in the last text cell leads to {back or 'nothing'}, not {before or '∅'}")
    if on != after:
        faults.append(f"→ in the last text cell leads to {on or 'nothing'}, not {after or '∅'}")
    return faults


def is_small(path: Path) -> list[str]:
    size = path.stat().st_size
    return [] if size <= MAX_BYTES else [f"{size / 1e6:.2f} MB, more than {MAX_BYTES / 1e6:.1f}"]


# ---------------------------------------------------------------- of the folder


def is_the_path(names: list[str], path: list[str]) -> list[str]:
    """The notebooks of the path, and nothing beside them: no second copy of a lesson as text."""
    faults = [f"{name} is no lesson of helpers/lessons.py" for name in sorted(set(names) - set(path))]
    return faults + [f"{name} is missing" for name in path if name not in names]
