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


@pytest.mark.parametrize(
    ("arguments", "sigma"),
    [
        (dict(recon=0.5, kl=1, D=10), 1.0),  # half the sum of squares is a Gaussian with σ = 1
        (dict(recon=1, kl=1, D=999), np.sqrt(0.5)),
        (dict(recon=1, kl=0.00025, D=64 * 64 * 3, recon_reduction="mean"), 1.2394),  # 12288 · 0.00025 / 2 = 1.536
        (dict(recon=1, kl=1, D=784, recon_reduction="mean"), np.sqrt(392)),
        (dict(recon=1, kl=1, D=784, K=20, recon_reduction="mean", kl_reduction="mean"), np.sqrt(392 / 20)),
        (dict(recon=50, kl=1, D=3), 0.1),
    ],
)
def test_implied_sigma_on_cases_computed_by_hand(arguments, sigma):
    assert evaluation.implied_sigma(**arguments) == pytest.approx(sigma, rel=1e-4)


def test_implied_sigma_gives_back_the_gradient_of_the_loss():
    """The loss and the Gaussian bound with the implied σ are proportional: their gradients for y and mu agree."""
    rng = np.random.default_rng(0)
    x, y, mu = rng.random(12), rng.random(12), rng.standard_normal(3)
    s = evaluation.implied_sigma(2.0, 0.3, D=12, K=3, recon_reduction="mean", kl_reduction="mean")
    loss_y, loss_mu = 2.0 * 2 * (y - x) / 12, 0.3 * mu / 3
    bound_y, bound_mu = (y - x) / s**2, mu
    assert np.allclose(loss_y / bound_y, (loss_mu / bound_mu)[0])


@pytest.mark.parametrize(
    ("arguments", "beta"),
    [
        (dict(recon=1, kl=1, D=64), 1),
        (dict(recon=1, kl=1, D=784, K=200, recon_reduction="mean", kl_reduction="mean"), 3.92),
        (dict(recon=4, kl=1, D=784, recon_reduction="mean"), 196),
    ],
)
def test_implied_beta(arguments, beta):
    assert evaluation.implied_beta(**arguments) == pytest.approx(beta)


@pytest.mark.parametrize("bad", [dict(recon_reduction="batchmean"), dict(recon=0), dict(kl=-1), dict(D=0)])
def test_implied_sigma_refuses_what_has_no_meaning(bad):
    with pytest.raises(ValueError, match=r"say 'sum' or 'mean'|must be positive"):
        evaluation.implied_sigma(**(dict(recon=1, kl=1, D=10) | bad))


def test_active_units():
    rng = np.random.default_rng(0)
    mu = rng.standard_normal((2000, 4)) * [1.0, 0.2, 0.05, 0.0]  # variances 1, 0.04, 0.0025, 0
    assert evaluation.active_units(mu) == 2


def test_frechet_distance_against_formulas():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 6)) @ rng.standard_normal((6, 6))
    assert evaluation.frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert evaluation.frechet_distance(x, x + 2) == pytest.approx(4 * 6, rel=1e-6)  # only the mean has moved
    # a common factor on commuting covariances: trace (A + c²A - 2cA) = (c - 1)² trace A, plus the mean
    trace, mean = np.trace(np.cov(x.T)), np.square(x.mean(axis=0)).sum()
    assert evaluation.frechet_distance(x, 3 * x) == pytest.approx(4 * trace + 4 * mean, rel=1e-6)
    assert evaluation.frechet_distance(x[:, 0:1], 3 * x[:, 0:1]) > 0  # one dimension works too


def test_frechet_distance_of_few_samples_is_not_zero():
    """Theory for n large against the dimension: 2 D / n from the mean, (D² + D) / 2n from the covariance."""
    rng = np.random.default_rng(0)
    for n in (1000, 5000):
        measured = np.mean([evaluation.frechet_distance(*rng.standard_normal((2, n, 64))) for _ in range(3)])
        assert measured == pytest.approx((2 * 64 + (64**2 + 64) / 2) / n, rel=0.1)


def test_nearest_set_looks_at_what_is_shown_and_passes_over_who_lacks_it():
    train = np.array([[[0.0], [9.0]], [[5.0], [0.0]], [[1.0], [0.0]]])
    c = np.array([[0, 1], [0, 1], [-1, 1]])
    x = np.array([[[1.0], [0.0]], [[4.0], [9.0]]])
    assert evaluation.nearest_set(x, c[:2], train, c, [0]).tolist() == [0, 1]  # the third would be nearest to the first
    assert evaluation.nearest_set(x, c[:2], train, c, [1]).tolist() == [1, 0]
    assert evaluation.nearest_set(x, c[:2], train, c, [[0], [1]]).tolist() == [0, 0]


def test_set_errors_leave_out_what_was_shown_or_is_missing():
    x, guess = np.zeros((2, 3, 4)), np.stack([np.full((3, 4), 1.0), np.full((3, 4), 1.0)])
    guess[:, 1] = 5.0
    c = np.array([[0, 1, 2], [0, 1, -1]])
    assert evaluation.set_errors(guess, x, c, [1]).tolist() == [1.0, 1.0]
    assert evaluation.set_errors(guess, x, c, [0]).tolist() == [3.0, 5.0]
    assert evaluation.set_errors(guess, x, c, [0], guess_c=np.array([[0, -1, 2], [0, 1, 2]])).tolist() == [1.0, 5.0]


def test_diversity_is_the_mean_distance_of_different_rows():
    x = np.array([[[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 0.0]]])
    assert evaluation.diversity(x) == pytest.approx((5 + 5 + 0) / 3)
