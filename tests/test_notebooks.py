"""Every notebook keeps the rules, and every rule finds the fault that it is for.

That notebooks still print what they print is checked by nbval, in `make test`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import notebook_rules as rules
from helpers.lessons import PATH

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
SERIES = sorted(FOLDER.glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)


def test_there_is_a_first_notebook():
    assert SERIES and SERIES[0].name == PATH[0].file


def test_the_folder_holds_one_series():
    files = [item.name for item in FOLDER.iterdir() if item.is_file()]
    path = [lesson.file for lesson in PATH]
    assert rules.is_the_path([name for name in files if not name.startswith(".")], path) == []


@every_notebook
@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_notebook(path: Path, rule: Callable[[NotebookNode], list[str]]):
    assert rule(nbformat.read(path, as_version=4)) == []


@every_notebook
def test_notebook_in_its_place(path: Path):
    nb = nbformat.read(path, as_version=4)
    assert rules.has_links_that_resolve(nb, path) == []
    assert rules.has_links_to_its_neighbours(nb, path, SERIES) == []
    assert rules.is_small(path) == []


# ---------------------------------------------------------------- the rules themselves

ALT = "A curve that falls from 44 to 20 nats."
PNG = "iVBORw0KGgo="
TERMS = "- **nat**: a unit. (Someone, 1948, *A Title*.)\n- **bit**: another one.\n- **code**: what it is!"


def good() -> NotebookNode:
    """A small notebook that keeps every rule."""
    picture = new_output("display_data", {"image/png": PNG, "text/plain": ALT})
    cells = [
        new_markdown_cell("# A lesson\n\n**It takes** about 5 minutes.\n\n```python\n# not a title\n```"),
        new_code_cell("import helpers\n\nhelpers.setup(seed=0)", execution_count=1),
        new_code_cell("show(figure, alt=text)", execution_count=2, outputs=[picture]),
        new_code_cell(
            "'a;'; print(3 / 4)  # ;",
            execution_count=3,
            outputs=[new_output("stream", name="stdout", text="nats/image: 20.1, see https://a.b/c/d")],
        ),
        new_markdown_cell(f"## In the literature\n\n{TERMS}\n\n## Exercises"),
        new_markdown_cell("![a digit](a.png) [← 00 A](00_a.ipynb) · [02 C →](02_c.ipynb)"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def stream(name: str, text: str) -> NotebookNode:
    return new_output("stream", name=name, text=text)


def display(**data: str) -> NotebookNode:
    return new_output("display_data", {key.replace("_", "/", 1): data[key] for key in data})


def shows(output: NotebookNode) -> Callable[[NotebookNode], None]:
    return lambda nb: nb.cells[1].outputs.append(output)


def says(text: str) -> Callable[[NotebookNode], None]:
    return lambda nb: nb.cells.append(new_markdown_cell(text))


def code(text: str) -> Callable[[NotebookNode], None]:
    return lambda nb: nb.cells[1].update(source=nb.cells[1].source + "\n" + text)


def tagged(tag: str) -> Callable[[NotebookNode], None]:
    return lambda nb: nb.cells[1].metadata.update(tags=[tag])


WIDGET_VIEW = new_output("display_data", {rules.WIDGET: {"model_id": "a"}, "text/plain": "Slider()"})

FAULTS = [
    (rules.is_valid, lambda nb: nb.cells[1].update(execution_count="one")),
    (rules.is_valid, lambda nb: nb.cells[1].update(id=nb.cells[0].id)),
    (rules.is_valid, lambda nb: nb.cells[1].pop("id")),
    (rules.is_executed, lambda nb: nb.cells[1].update(execution_count=7)),
    (rules.is_executed, lambda nb: nb.cells[2].update(execution_count=None)),
    (rules.has_no_empty_cells, says(" ")),
    (rules.has_no_errors, shows(new_output("error", ename="ValueError", evalue="", traceback=[]))),
    (rules.has_no_stderr, shows(stream("stderr", "100%|###|"))),
    (rules.uses_the_python3_kernel, lambda nb: nb.metadata.kernelspec.update(name="mine")),
    (rules.uses_the_python3_kernel, lambda nb: nb.metadata.pop("kernelspec")),
    (rules.has_plain_metadata, lambda nb: nb.metadata.update(widgets={})),
    (rules.has_plain_metadata, lambda nb: nb.metadata.update(jupytext={})),
    (rules.has_plain_metadata, lambda nb: nb.metadata.language_info.update(version="3.11.2")),
    (rules.has_plain_metadata, lambda nb: nb.cells[1].metadata.update(execution={})),
    (rules.has_plain_metadata, lambda nb: nb.cells[0].metadata.update(collapsed=True)),
    (rules.has_known_tags, tagged("nbval-skip")),
    (rules.has_known_tags, tagged("raises-exception")),
    (rules.has_known_tags, code("# NBVAL_IGNORE_OUTPUT")),
    (rules.shows_widgets_only_where_tagged, shows(WIDGET_VIEW)),
    (rules.has_one_title, says("# Another title")),
    (rules.has_one_title, lambda nb: nb.cells.pop(0)),
    (rules.describes_its_pictures, shows(display(image_png=PNG))),
    (rules.describes_its_pictures, shows(display(image_png=PNG, text_plain="Loss"))),
    (rules.describes_its_pictures,
     shows(display(image_png=PNG, text_plain="<Figure size 640x480 with 1 Axes>"))),
    (rules.describes_its_pictures,
     shows(display(**{"image_svg+xml": "<svg/>", "text_plain": ALT}))),
    (rules.describes_its_pictures, shows(display(text_html="<img src='a.png'>"))),
    (rules.describes_its_pictures, says("![](a.png)")),
    (rules.describes_its_pictures, says('<img src="a.png" alt="">')),
    (rules.has_no_trailing_semicolons, code("plot(x);")),
    (rules.has_no_trailing_semicolons, code("plot(x); # quiet\n")),
    (rules.has_no_trailing_semicolons, code("print((1, 2")),
    (rules.prints_nothing_of_this_machine, shows(stream("stdout", "<f at 0x7f00deadbeef>"))),
    (rules.prints_nothing_of_this_machine, shows(stream("stdout", "saved /home/me/model.st"))),
    (rules.prints_nothing_of_this_machine, shows(display(text_plain="PosixPath('/a/b')"))),
    (rules.prints_nothing_of_this_machine, shows(stream("stdout", r"saved C:\me\model.st"))),
    (rules.takes_at_most_80_minutes_and_says_so, lambda nb: nb.cells[0].update(source="# A lesson")),
    (rules.takes_at_most_80_minutes_and_says_so, says("word " * 1200)),
    (rules.takes_at_most_80_minutes_and_says_so, lambda nb: (says("word " * 9600)(nb), nb.cells[0].update(
        source="# A lesson\n\n**It takes** about 85 minutes."))),
    (rules.has_short_cells, code("x = 1\n" * 25)),
    (rules.names_things_as_the_field_does, lambda nb: nb.cells.pop(4)),
    (rules.names_things_as_the_field_does, lambda nb: nb.cells[4].update(
        source="## In the literature\n\n" + TERMS + "\n- *no term*: what.")),
    (rules.names_things_as_the_field_does, lambda nb: nb.cells[4].update(
        source="## In the literature\n\n- **nat**: a.\n- **bit**: b.")),
    (rules.names_lessons_by_title, says("As in notebook 03.")),
    (rules.names_lessons_by_title, code("# from lesson 3")),
    (rules.names_lessons_by_title, code("save('03_map.png')")),
    (rules.begins_with_setup, lambda nb: nb.cells.pop(1)),
]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_rule_accepts_a_good_notebook(rule):
    assert rule(good()) == []


@pytest.mark.parametrize(("rule", "spoil"), FAULTS, ids=lambda value: value.__name__)
def test_rule_finds_its_fault(rule, spoil):
    nb = good()
    spoil(nb)
    assert len(rule(nb)) == 1


def test_every_rule_has_a_fault_to_find():
    assert {rule for rule, _ in FAULTS} == set(rules.RULES)


def test_a_tagged_cell_may_show_a_widget():
    nb = good()
    shows(WIDGET_VIEW)(nb)
    tagged("nbval-ignore-output")(nb)
    assert rules.shows_widgets_only_where_tagged(nb) == []


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("00_a.ipynb", "01_b.ipynb", "02_c.ipynb")]
    for path in [*paths, tmp_path / "a.png"]:
        path.write_text("")
    return paths


def test_links(series: list[Path]):
    assert rules.has_links_that_resolve(good(), series[1]) == []
    for text in ("[x](03_d.ipynb#part)", '<img src="b.png" alt="b">', "![b](../b.png)"):
        nb = good()
        says(text)(nb)
        assert len(rules.has_links_that_resolve(nb, series[1])) == 1


def test_neighbours(series: list[Path]):
    first, middle, last = series
    assert rules.has_links_to_its_neighbours(good(), middle, series) == []
    assert len(rules.has_links_to_its_neighbours(good(), first, series)) == 2
    assert len(rules.has_links_to_its_neighbours(good(), last, series)) == 2
    nb = good()
    says("[← 00 A](00_a.ipynb)")(nb)
    assert len(rules.has_links_to_its_neighbours(nb, middle, series)) == 1
    assert rules.has_links_to_its_neighbours(nb, last, [first, last]) == []


def test_size(tmp_path: Path):
    path = tmp_path / "00_a.ipynb"
    path.write_bytes(b" " * rules.MAX_BYTES)
    assert rules.is_small(path) == []
    path.write_bytes(b" " * (rules.MAX_BYTES + 1))
    assert len(rules.is_small(path)) == 1


def test_series():
    path = ["00_a.ipynb", "02_c.ipynb"]
    assert rules.is_the_path(["02_c.ipynb", "00_a.ipynb"], path) == []
    assert len(rules.is_the_path(["00_a.ipynb"], path)) == 1
    assert len(rules.is_the_path([*path, "Untitled.ipynb"], path)) == 1
    assert len(rules.is_the_path([*path, "00_a.md"], path)) == 1
