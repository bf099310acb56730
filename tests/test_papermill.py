"""Your own model, run by papermill on each kind of data: one cell of parameters is all that changes."""

from pathlib import Path

import nbformat
import papermill
import pytest

from helpers.lessons import LESSONS

NOTEBOOK = Path(__file__).resolve().parent.parent / "notebooks" / LESSONS["your_own_model"].file
SAMPLES = NOTEBOOK.parent.parent / "data" / "samples"
EPOCHS = {"leaves": 4, "strokes": 10, "villages.txt": 4}
SIZES = {"leaves": 24, "strokes": 0.5}


def as_far_as(heading, place):
    """A copy of the notebook without the cells from this heading on: they are about our samples."""
    nb = nbformat.read(NOTEBOOK, as_version=4)
    end = next(i for i, cell in enumerate(nb.cells) if cell.cell_type == "markdown" and heading in cell.source)
    nb.cells = nb.cells[:end]
    nbformat.write(nb, place)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("name", EPOCHS)
def test_the_path_from_data_to_a_checked_model(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HELPERS_PROGRESS", "milestones")
    source = as_far_as("## Three senses, the same calls", tmp_path / "11.ipynb")
    parameters = dict(path=str(SAMPLES / name), epochs=EPOCHS[name], size=SIZES.get(name), out=str(tmp_path / "run"))
    nb = papermill.execute_notebook(source, tmp_path / "mine.ipynb", parameters, cwd=NOTEBOOK.parent, log_output=False,
                                    progress_bar=False, kernel_name="python3")
    injected = [cell for cell in nb.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert len(injected) == 1 and name in injected[0].source
    printed = "".join(o.get("text", "") for cell in nb.cells for o in cell.get("outputs", []))
    for said in ("nats an example", "our samples:", "a planted copier:", "the same samples: True"):
        assert said in printed
    assert (tmp_path / "run" / "report.json").exists() and (tmp_path / "run" / "model.json").exists()
