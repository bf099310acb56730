"""The board keeps honest books, and nearest neighbours are nearest."""

import json

import numpy as np
import pytest

from helpers import evaluation, scratch
from helpers.data import digits
from helpers.evaluation import BOARD_FILE, RECORD, Board


@pytest.fixture
def file(tmp_path):
    return tmp_path / "board.json"


def test_a_notebook_sees_the_rows_of_earlier_ones_only(file, monkeypatch):
    monkeypatch.setenv(RECORD, "1")
    nll = np.linspace(1, 2, 250)
    Board("03", file).add("late", nll, "ELBO")
    Board("01", file).add("early", nll, "exact")
    assert [r["model"] for r in Board("02", file).rows] == ["early"]
    assert [r["model"] for r in Board("04", file).rows] == ["early", "late"]


def test_recording_replaces_rows_and_happens_only_when_asked(file, monkeypatch):
    monkeypatch.delenv(RECORD, raising=False)
    Board("00", file).add("a", np.ones(250), "exact")
    assert not file.exists()
    monkeypatch.setenv(RECORD, "1")
    for value in (1.0, 2.0):  # a second execution of the same notebook
        board = Board("00", file)
        board.add("a", np.full(250, value), "exact")
        board.add("b", np.full(250, value), "IWAE-500")
    stored = json.loads(file.read_text())
    assert [(r["model"], r["nll"][0]) for r in stored] == [("a", 2.0), ("b", 2.0)]
    assert list(file.parent.iterdir()) == [file]  # no temporary file is left


@pytest.mark.parametrize(
    ("nll", "label", "message"),
    [
        (17.3, "exact", "one number for each of the 250"),
        (np.ones(249), "exact", "250"),
        (np.where(np.arange(250) == 3, np.inf, 1.0), "ELBO", "probability 0"),
        (np.ones(250), "nll", "the label is 'nll'"),
        (np.ones(250), "IWAE-many", "IWAE"),
        (np.ones(250), "none", "has no likelihood"),
        (None, "exact", "shape"),
    ],
)
def test_the_board_refuses_what_it_cannot_stand_for(file, nll, label, message):
    board = Board("00", file)
    with pytest.raises(ValueError, match=message):
        board.add("m", nll, label)
    assert board.rows == []


def test_show_and_compare(file, capsys):
    board = Board("00", file)
    rng = np.random.default_rng(0)
    difficulty = 20 + 5 * rng.standard_normal(250)
    board.add("good", difficulty - 1 + 0.1 * rng.standard_normal(250), "exact")
    board.add("bad", difficulty, "ELBO")
    board.add("silent", None, "none")
    board.show()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["silent", "bad", "good"]
    assert f"{difficulty.mean():.2f}" in lines[3] and "ELBO" in lines[3]
    mean, error = board.compare("good", "bad")
    assert abs(mean + 1) < 0.05 and error < 0.02  # image by image, difficulty cancels
    with pytest.raises(KeyError, match="'silent'"):
        board.nll("silent")


def test_the_committed_board_is_what_the_models_give():
    """Recompute the rows that take no training; the others are compared by nbval when 03 is executed."""
    rows = {r["model"]: r for r in json.loads(BOARD_FILE.read_text(encoding="utf-8"))}
    data = digits.load()
    assert np.allclose(rows["uniform"]["nll"], 64 * np.log(2), atol=1e-4)
    p = (data.train.x.sum(axis=0) + 1) / (len(data.train) + 2)
    independent = scratch.mixture_nll(data.test.x, np.ones(1), p[None])
    assert np.allclose(rows["independent pixels"]["nll"], independent, atol=1e-4)
    for C, model in ((10, "mixture of 10"), (100, "mixture of 100")):
        again = scratch.mixture_nll(data.test.x, *scratch.fit_mixture(data.train.x, C, np.random.default_rng(7)))
        assert abs(np.mean(rows[model]["nll"]) - again.mean()) < 0.7  # EM from another start
    assert {r["label"] for r in rows.values()} <= {"exact", "ELBO", "IWAE-500", "none"}


def test_nearest_against_the_definition():
    rng = np.random.default_rng(0)
    x, reference = rng.random((6, 5)), rng.random((9, 5))
    squared = ((x[:, None] - reference[None]) ** 2).sum(axis=2)
    row, distance = evaluation.nearest(x, reference)
    assert np.array_equal(row, squared.argmin(axis=1))
    assert np.allclose(distance, squared.min(axis=1))


def test_bits_per_dimension():
    assert evaluation.bits_per_dimension(64 * np.log(2), 64) == pytest.approx(1)


def test_write_text_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    evaluation.write_text(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(evaluation.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        evaluation.write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
