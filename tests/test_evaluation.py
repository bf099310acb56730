"""The board keeps honest books, figures agree with formulas, nearest are nearest, and copies are found."""

import json

import numpy as np
import pytest
import torch

from helpers import disk, evaluation, scratch
from helpers.data import digits
from helpers.data.dataset import DataError
from helpers.disk import RECORD
from helpers.evaluation import BOARD_FILE, Board, neighbours
from helpers.evaluation.compare import paired_difference, pareto_front
from helpers.evaluation.copies import copies

# --- the board ---------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    return tmp_path / "board.json"


def test_a_notebook_sees_the_rows_of_earlier_ones_only(file, monkeypatch):
    monkeypatch.setenv(RECORD, "1")
    nll = np.linspace(1, 2, 250)
    Board("vae_in_numpy", file).add("late", nll, "ELBO")
    Board("encoder_and_decoder", file).add("early", nll, "exact")
    assert [r["model"] for r in Board("training", file).rows] == ["early"]
    assert [r["model"] for r in Board("vae_in_pytorch", file).rows] == ["early", "late"]


def test_recording_replaces_rows_and_happens_only_when_asked(file, monkeypatch):
    monkeypatch.delenv(RECORD, raising=False)
    Board("start_here", file).add("a", np.ones(250), "exact")
    assert not file.exists()
    monkeypatch.setenv(RECORD, "1")
    for value in (1.0, 2.0):  # a second execution of the same notebook
        board = Board("start_here", file)
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
    board = Board("start_here", file)
    with pytest.raises(ValueError, match=message):
        board.add("m", nll, label)
    assert board.rows == []


def test_show_and_compare(file, capsys):
    board = Board("start_here", file)
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


@pytest.mark.parametrize("label", ["exact", "ELBO", "IWAE-7", "density", "dequantised"])
def test_the_labels_that_there_are(file, label):
    board = Board("start_here", file)
    board.add("m", torch.ones(250, requires_grad=True), label)  # tensors will do
    assert board.rows[0]["label"] == label and board.rows[0]["nll"] == [1.0] * 250


class Coins:
    """Binary images with the same probability of ink everywhere: a model as the contract wants it."""

    def __init__(self, bound):
        self.bound, self.logit, self.calls = bound, torch.zeros((), requires_grad=True), []

    def log_prob(self, x, c=None, generator=None):
        self.calls.append((c, generator))
        return -torch.nn.functional.binary_cross_entropy_with_logits(
            self.logit.expand_as(x), x, reduction="none"
        ).sum(dim=1)


def test_any_model_enters_by_its_bound(file):
    board, model, generator = Board("start_here", file), Coins("dequantised"), torch.Generator()
    x, c = torch.zeros(250, 64), torch.arange(250)
    board.enter("coins", model, x, c, generator)
    assert board.nll("coins") == pytest.approx(64 * np.log(2), abs=1e-4)
    assert board.rows[0]["label"] == "dequantised"
    assert model.calls == [(c, generator)]
    with pytest.raises(ValueError, match="250 test images"):
        board.enter("few", model, x[:9])
    with pytest.raises(ValueError, match="the label is 'ELBOW'"):
        board.enter("wrong", Coins("ELBOW"), x)


def test_a_model_without_a_bound_enters_without_a_number(file):
    board, model = Board("start_here", file), Coins(None)
    board.enter("coins", model, torch.zeros(250, 64))
    assert board.rows == [{"model": "coins", "label": "none", "lesson": "start_here", "nll": None}]
    assert model.calls == []


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


def test_write_text_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    disk.write_text(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(disk.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        disk.write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


# --- comparisons and figures --------------------------------------------------------------------------


def test_paired_differences_take_out_what_is_shared():
    luck = 10 * np.random.default_rng(0).standard_normal(50)
    assert paired_difference(luck + 1, luck) == pytest.approx((1, 0), abs=1e-9)
    assert paired_difference([1, -1], [0, 0]) == pytest.approx((0, 1))  # deviation √2, over √2
    for a, b in (([1.0], [2.0]), ([1, 2], [1, 2, 3]), ([[1, 2]], [[1, 2]])):
        with pytest.raises(DataError, match="equal length"):
            paired_difference(a, b)


def test_the_pareto_front_by_its_definition():
    assert pareto_front([1, 2, 3], [5, 6, 4]).tolist() == [True, False, True]
    assert pareto_front([2, 2, 2], [7, 7, 8]).tolist() == [True, True, False]  # equal points do not beat each other
    rng = np.random.default_rng(0)
    seconds, loss = rng.integers(0, 8, (2, 40))
    points = list(zip(seconds, loss))
    beaten = [any(s <= p[0] and n <= p[1] and (s, n) != p for s, n in points) for p in points]
    assert np.array_equal(pareto_front(seconds, loss), ~np.array(beaten))
    with pytest.raises(DataError, match="two numbers for each"):
        pareto_front([1, 2], [1])


def test_bits_per_dimension():
    assert evaluation.bits_per_dimension(64 * np.log(2), 64) == pytest.approx(1)


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


# --- neighbours --------------------------------------------------------------------------------------


def test_nearest_against_the_definition():
    rng = np.random.default_rng(0)
    x, reference = rng.random((6, 5)), rng.random((9, 5))
    squared = ((x[:, None] - reference[None]) ** 2).sum(axis=2)
    row, distance = evaluation.nearest(x, reference)
    assert np.array_equal(row, squared.argmin(axis=1))
    assert np.allclose(distance, squared.min(axis=1))


def test_nearest_set_looks_at_what_is_shown_and_passes_over_what_lacks_it():
    train = np.array([[[0.0], [9.0]], [[5.0], [0.0]], [[1.0], [0.0]]])
    c = np.array([[0, 1], [0, 1], [-1, 1]])
    x = np.array([[[1.0], [0.0]], [[4.0], [9.0]]])
    assert evaluation.nearest_set(x, c[:2], train, c, [0]).tolist() == [0, 1]  # the third would be nearest to the first
    assert evaluation.nearest_set(x, c[:2], train, c, [1]).tolist() == [1, 0]
    assert evaluation.nearest_set(x, c[:2], train, c, [[0], [1]]).tolist() == [0, 0]


def test_of_equally_close_rows_the_first_is_nearest():
    """Binary images are full of ties; the answer must not depend on how a library breaks them."""
    rng = np.random.default_rng(0)
    x, reference = (rng.random((40, 16)) < 0.5) * 1.0, (rng.random((300, 16)) < 0.5) * 1.0
    count = (x[:, None] != reference).sum(axis=2)
    row, differing = evaluation.nearest(x, reference)
    assert np.array_equal(row, count.argmin(axis=1))
    assert np.array_equal(differing, count.min(axis=1))  # whole numbers, exactly


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_two_nearest_are_exact_near_0(kind):
    """Where |x|² - 2 x·y + |y|² is rounding alone: equal rows, and rows a millionth apart, far from the origin."""
    rng = np.random.default_rng(0)
    train = (100 + rng.random((700, 3, 5))).astype(kind)
    x = train[::70].copy()
    train[[1, 71]] = train[[0, 70]]
    train[281] = train[280] + kind(1e-4)
    table = np.sqrt(((x[:, None].astype(float) - train) ** 2).sum(axis=(2, 3)))
    found = neighbours.two_nearest(x, train)
    assert (found[:, 0] == 0).all() and (found[:2, 1] == 0).all() and 0 < found[4, 1] < 1e-3
    assert np.allclose(found, np.sort(table, axis=1)[:, :2], rtol=1e-12, atol=0)


def test_two_nearest_of_many_blocks_and_of_one_example():
    rng = np.random.default_rng(0)
    x, train = rng.random((neighbours.BLOCK + 9, 4)), rng.random((30, 4))
    table = np.sort(np.linalg.norm(x[:, None] - train, axis=2), axis=1)
    assert np.allclose(neighbours.two_nearest(x, train), table[:, :2], rtol=1e-12)
    assert np.isinf(neighbours.two_nearest(x, train[:1])[:, 1]).all()


def test_neighbour_distances():
    x = np.array([[0.0, 0], [3, 4], [3, 5], [10, 10]])
    assert np.allclose(neighbours.neighbour_distances(x), [5, 1, 1, np.hypot(7, 5)])
    assert neighbours.neighbour_distances(np.ones((2, 3))).tolist() == [0, 0]  # another row that is equal
    many = np.random.default_rng(0).random((neighbours.BLOCK + 5, 2))
    apart = np.linalg.norm(many[:, None] - many, axis=2) + np.diag(np.full(len(many), np.inf))
    assert np.allclose(neighbours.neighbour_distances(many), apart.min(axis=1), rtol=1e-12)


@pytest.mark.parametrize("block", [7, 1000])
def test_near_duplicates_are_those_that_were_planted(block):
    rng = np.random.default_rng(0)
    x = rng.random((200, 30))
    x[[17, 60, 199]] = x[3] + 0.01 * rng.standard_normal((3, 30))
    x[100] = x[5]
    pairs, apart = neighbours.near_duplicates(x, 0.2, block=block)
    assert [tuple(p) for p in pairs] == [(3, 17), (3, 60), (3, 199), (5, 100), (17, 60), (17, 199), (60, 199)]
    assert np.allclose(apart, [np.linalg.norm(x[i] - x[j]) for i, j in pairs], rtol=1e-12)
    assert apart[pairs[:, 0] == 5] == 0
    group = neighbours.groups_of(pairs, 200)
    assert set(group[[3, 17, 60, 199]]) == {3} and set(group[[5, 100]]) == {5}
    assert len(set(group)) == 200 - 4


def test_near_duplicates_by_brute_force_and_none_at_all():
    x = np.random.default_rng(1).random((40, 3))
    wanted = [(i, j) for i in range(40) for j in range(i + 1, 40) if np.linalg.norm(x[i] - x[j]) < 0.2]
    pairs, _ = neighbours.near_duplicates(x, 0.2, block=9)
    assert [tuple(p) for p in pairs] == wanted and len(wanted) > 3
    nothing, apart = neighbours.near_duplicates(x, 0.0)
    assert nothing.shape == (0, 2) and len(apart) == 0
    assert np.array_equal(neighbours.groups_of(nothing, 40), np.arange(40))


def test_chains_are_one_group():
    assert neighbours.groups_of([(1, 2), (4, 5), (2, 4)], 6).tolist() == [0, 1, 1, 3, 1, 1]
    assert neighbours.groups_of([(4, 5), (1, 2), (4, 1)], 6).tolist() == [0, 1, 1, 3, 1, 1]


def test_neighbour_ratio():
    rng = np.random.default_rng(0)
    train, held_out, new = rng.standard_normal((3, 400, 5))
    assert neighbours.neighbour_ratio(train[:100], held_out, train) < 1e-6
    assert 0.9 < neighbours.neighbour_ratio(new, held_out, train) < 1.1
    assert neighbours.neighbour_ratio(3 * new, held_out, train) > 1.5
    with pytest.raises(DataError, match="duplicates"):
        neighbours.neighbour_ratio(new, train, train)


# --- copies ------------------------------------------------------------------------------------------

COPIERS = {
    "training examples": (lambda train, rng: train[:100], True, True),
    "with a little noise": (lambda train, rng: train[:100] + rng.normal(0, 0.01, (100, 25)), True, False),
    "one in five": (
        lambda train, rng: np.where(np.arange(100)[:, None] % 5, rng.random((100, 25)), train[:100]), True, True
    ),
    "noise": (lambda train, rng: rng.random((100, 25)), False, False),
    "the mean": (lambda train, rng: train.mean(axis=0) + rng.normal(0, 0.01, (100, 25)), False, False),
    "half-way between two": (lambda train, rng: (train[:100] + train[100:200]) / 2, False, False),
}


@pytest.mark.parametrize("name", COPIERS)
def test_copiers_are_found_and_others_cleared(name):
    answer, guilty, exact = COPIERS[name]
    rng = np.random.default_rng(0)
    train, held_out = rng.random((300, 25)), rng.random((1000, 25))  # many: the line is drawn by the lowest 5% of them
    found = copies(answer(train, rng), train, held_out, neighbours.two_nearest, same=0.005)
    assert found["copies"] == guilty, found
    assert bool(found["exact"]) == exact and found["samples"] == 100 and found["suspicious, held out"] < 0.08
    assert ("No sign" in found["verdict"]) == (not guilty)
    assert ("to the last detail" in found["verdict"]) == exact


def test_the_figures_of_copies_by_hand():
    """Points on a line, with distances that are plain to see."""
    train = np.array([[0.0], [10.0], [20.0]])
    samples, held_out = np.array([[1.0], [4.0], [5.0], [16.0]]), np.array([[2.0], [5.0], [15.0], [16.0]])
    found = copies(samples, train, held_out, neighbours.two_nearest, same=0.5)
    assert found.pop("verdict").startswith("No sign of copying: 25% of the samples")
    suspects = found.pop("suspects")
    assert [(s["sample"], s["train"], s["distance"]) for s in suspects] == [(0, 0, 1), (1, 0, 4), (3, 2, 4), (2, 0, 5)]
    assert [s["ratio"] for s in suspects] == pytest.approx([1 / 9, 4 / 6, 4 / 6, 1])
    assert found == pytest.approx({
        "samples": 4, "compared with": 3, "exact": 0, "nearest": 4.0, "nearest, held out": 4.5,
        "ratio": 4 / 6, "ratio, held out": (4 / 6 + 1) / 2,
        "suspicious": 0.25, "suspicious, held out": 0.25, "copies": False, "nearly equal, held out": 0.0,
        "alarm": False,
    })
    nearer = copies(np.array([[1.0], [1.0], [1.0], [5.0]]), train, held_out, neighbours.two_nearest, same=0.5)
    assert nearer["copies"] and nearer["alarm"] and "75% of the samples are suspiciously near" in nearer["verdict"]
    assert "only 25% of real held-out" in nearer["verdict"]


@pytest.mark.parametrize("many", [69, 70])
def test_how_many_chance_explains_by_hand(many):
    """1,000 samples and as many real examples: 0.05 + 2 √(0.05 · 0.95 · 2 / 1000) is 69.5 of them."""
    real = np.stack([np.arange(1, 1001) / 1000, np.ones(1000)], axis=1)
    samples = np.ones((1000, 2))
    samples[:many, 0] = 0.01
    found = copies(samples, [0], real, lambda a, b: a, same=1e-9)  # they are their own distances
    assert found["suspicious"] == many / 1000 and found["copies"] == (many > 69.5)


def test_one_exact_match_is_chance_unless_it_is_to_be_told():
    rng = np.random.default_rng(1)
    train, held_out, samples = rng.random((300, 4)), rng.random((100, 4)), rng.random((100, 4))
    samples[0] = train[0]
    quiet = copies(samples, train, held_out, neighbours.two_nearest, same=1e-6)
    told = copies(samples, train, held_out, neighbours.two_nearest, same=1e-6, report_exact=True)
    assert not quiet["copies"] and quiet["exact"] == 1 and "No sign" in quiet.pop("verdict")
    assert told.pop("verdict") == "1 of 100 samples are training examples, to the last detail."
    assert told.pop("alarm") and not quiet.pop("alarm") and quiet == told


def drawings(n, qualities, seed):
    """n drawings (n · qualities, 25), each again and again with a little noise; and which one it is."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, 25)).repeat(qualities, axis=0)
    return x + rng.normal(0, 0.01, x.shape), np.arange(n).repeat(qualities)


NEW = {"new ones": False, "training examples": True, "training examples with noise": True}


@pytest.mark.parametrize("different", [2, 5, 20])
@pytest.mark.parametrize("name", NEW)
def test_copies_among_near_duplicates(name, different):
    """12 drawings at 6 qualities: a copy is near to six training examples, and to one thing."""
    train, alike = drawings(12, 6, seed=0)
    held_out, _ = drawings(different, 6, seed=1)  # other drawings, as a split by clusters makes it
    again = train[np.random.default_rng(2).integers(len(train), size=40)]
    samples = {
        "new ones": np.random.default_rng(3).random((40, 25)),
        "training examples": again,
        "training examples with noise": again + np.random.default_rng(4).normal(0, 0.02, again.shape),
    }[name]
    found = copies(samples, train, held_out, neighbours.two_nearest, same=1e-6, alike=alike, different=different)
    assert found["copies"] == NEW[name] and ("No sign" in found["verdict"]) != NEW[name]
    assert found["nearly equal, held out"] == 0


def test_held_out_examples_that_are_nearly_training_examples_are_said():
    x, _ = drawings(12, 6, seed=0)
    order = np.random.default_rng(1).permutation(len(x))
    train, held_out, samples = x[order[:50]], x[order[50:]], np.random.default_rng(2).random((40, 25))
    found = copies(samples, train, held_out, neighbours.two_nearest, same=1e-6)
    assert not found["copies"] and found["nearly equal, held out"] == 1
    assert found["verdict"].startswith("Whether it copies cannot be said: 100% of the real held-out examples")
    mostly_new = np.concatenate([held_out[:5], np.random.default_rng(3).random((45, 25))])
    found = copies(samples, train, mostly_new, neighbours.two_nearest, same=1e-6)
    assert found["nearly equal, held out"] == 0.1
    assert found["verdict"].startswith("No sign of copying: ") and "but 10% of these are nearly" in found["verdict"]


def test_suspects_are_the_lowest_ratios_and_their_nearest_of_many_blocks():
    rng = np.random.default_rng(0)
    train, held_out, samples = rng.random((1000, 4)), rng.random((100, 4)), rng.random((30, 4))
    samples[[7, 21]] = train[[999, 0]] + [[0.0], [1e-4]]
    suspects = copies(samples, train, held_out, neighbours.two_nearest, same=1e-6)["suspects"]
    assert len(suspects) == 5 and [(s["sample"], s["train"]) for s in suspects[:2]] == [(7, 999), (21, 0)]
    rows, squared = neighbours.nearest(samples[[s["sample"] for s in suspects]], train)
    assert [s["train"] for s in suspects] == rows.tolist()
    assert [s["distance"] for s in suspects] == pytest.approx(np.sqrt(squared))
    assert sorted(s["ratio"] for s in suspects) == [s["ratio"] for s in suspects]


def test_the_second_nearest_is_of_another_cluster():
    train = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]])
    x = np.array([[0.0], [9.0]])
    assert neighbours.two_nearest(x, train, [5, 5, 5, 7, 7]).tolist() == [[0, 10], [1, 7]]
    assert neighbours.two_nearest(x, train, [5, 5, 5, 5, 7]).tolist() == [[0, 11], [1, 2]]
    assert np.isinf(neighbours.two_nearest(x, train, [1] * 5)[:, 1]).all()
    rng = np.random.default_rng(0)  # many in the nearest cluster, more than are spared for rounding; several blocks
    x, train, alike = rng.random((1100, 2)), rng.random((300, 2)), rng.integers(0, 3, 300)
    table = np.linalg.norm(x[:, None] - train, axis=2)
    wanted = np.where(alike == alike[table.argmin(axis=1)][:, None], np.inf, table).min(axis=1)
    assert np.allclose(neighbours.two_nearest(x, train, alike), np.stack([table.min(axis=1), wanted], 1), rtol=1e-12)


def test_copies_of_anything_that_has_distances():
    """Numbers in lists, compared by a function of the caller's."""
    distances = lambda a, b: np.array([sorted(abs(x - y) for y in b)[:2] for x in a])
    found = copies([1, 2, 3], [1, 2, 3, 40], [7, 8, 9], distances, same=0.5)
    assert found["copies"] and found["exact"] == 3 and found["nearest, held out"] == 5
    with pytest.raises(DataError, match="found 3 samples, 4 training and 0 held-out"):
        copies([1, 2, 3], [1, 2, 3, 40], [], distances, same=0.5)
