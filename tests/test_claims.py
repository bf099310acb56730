"""Every number that a lesson states stands in one of its outputs; and the test of that finds what it is for."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import claims

SERIES = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
PRINTED = "loss 20.63 ± 0.21 after 1,250 images\nK = 8   accuracy 0.986   from -3 to 4"


def lesson(*texts: str, code: str = "lr = 0.05\nax.text(0.77, 3)", far: int = 0):
    """A notebook with texts under a cell that printed PRINTED, ``far`` cells below it, and a last cell."""
    printed = new_code_cell(code, outputs=[new_output("stream", name="stdout", text=PRINTED)])
    picture = new_output("display_data", {"image/png": "", "text/plain": "A curve that ends at 20.6 nats."})
    first = [new_markdown_cell("# Title") for _ in range(3)]
    between = [new_markdown_cell("And on.") for _ in range(far)]
    shown = [new_code_cell("show()", outputs=[picture])]
    last = [new_markdown_cell("The end.")]
    return new_notebook(cells=[*first, printed, *between, *map(new_markdown_cell, texts), *shown, *last])


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)
def test_every_number_in_prose_stands_in_an_output(path):
    assert claims.unbacked(nbformat.read(path, as_version=4)) == []


@pytest.mark.parametrize("text", [
    "It scores 20.63, about 20.6, or 21 nats.",
    "It reads 98.6% of them, or 99 per cent.",
    "From −3 to 4 on 1,250 images, at a learning rate of 0.05.",
    "Others report 17.77 (Someone et al., 2019).",
    "As Someone and Other (2019) found, 17.77 is possible.",
    "In formulas $x_{17} = 3.77$ and in code `17.77` nothing is asked.",
    "See [17 Something](17_something.ipynb). It has letters from A to 9.",
    "## In the literature\n\n- **a term**: 17.77 of it.",
    "**It takes** about 77 minutes; the cells run in about 33 seconds.",
    "1. first\n2. second",
])
def test_a_claim_that_is_backed(text):
    assert claims.unbacked(lesson(text)) == []


@pytest.mark.parametrize(("text", "number"), [
    ("It scores 20.64.", "20.64"),
    ("It scores 20.7.", "20.7"),
    ("It reads 98.5% of them.", "98.5"),
    ("It reads 98.6 of them.", "98.6"),  # not per cent
    ("On 1,251 images.", "1,251"),
    ("On thirty-three images.", "thirty-three"),
    ("Half a dozen of them.", "Half a dozen"),
    ("At 0.77, which only places a text.", "0.77"),
    ("| a table | 17.7 |", "17.7"),
    ("<details><summary>Open</summary>\n\nIt is 17.7.\n\n</details>", "17.7"),
])
def test_a_claim_that_is_not(text, number):
    faults = claims.unbacked(lesson(text))
    assert len(faults) == 1 and f": {number} in " in faults[0]


def test_an_output_far_above_backs_whole_numbers_only():
    assert len(claims.unbacked(lesson("It is 20.63 for 1,250.", far=14))) == 2  # with the picture's description
    assert claims.unbacked(lesson("## Summary\n\nIt is 0.99 of them: 99%.", far=2)) == []


def test_descriptions_of_figures_are_prose():
    nb = lesson("Nothing.")
    nb.cells[-2].outputs[0].data["text/plain"] = "A curve that ends at 20.9 nats."
    assert len(claims.unbacked(nb)) == 1
