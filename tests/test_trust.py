"""Filtering and auditing: compared with brute force, enumeration, simulation, and Opacus."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_curve, roc_auc_score
from torch import nn
from torch.func import functional_call, grad, vmap

from helpers import trust
from helpers.data.dataset import DataError

torch.set_num_threads(1)


# --- filter ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [7, 1000])
def test_near_duplicates_are_those_that_were_planted(block):
    rng = np.random.default_rng(0)
    x = rng.random((200, 30))
    x[[17, 60, 199]] = x[3] + 0.01 * rng.standard_normal((3, 30))
    x[100] = x[5]
    pairs, apart = trust.near_duplicates(x, 0.2, block=block)
    assert {tuple(p) for p in pairs} == {(3, 17), (3, 60), (3, 199), (5, 100), (17, 60), (17, 199), (60, 199)}
    assert np.allclose(apart, [np.linalg.norm(x[i] - x[j]) for i, j in pairs], atol=1e-7)
    assert apart[pairs[:, 0] == 5] == 0
    group = trust.groups_of(pairs, 200)
    assert set(group[[3, 17, 60, 199]]) == {3} and set(group[[5, 100]]) == {5}
    assert len(set(group)) == 200 - 4


def test_near_duplicates_by_brute_force_and_none_at_all():
    x = np.random.default_rng(1).random((40, 3))
    wanted = [(i, j) for i in range(40) for j in range(i + 1, 40) if np.linalg.norm(x[i] - x[j]) < 0.2]
    pairs, _ = trust.near_duplicates(x, 0.2, block=9)
    assert [tuple(p) for p in pairs] == wanted and len(wanted) > 3
    nothing, apart = trust.near_duplicates(x, 0.0)
    assert nothing.shape == (0, 2) and len(apart) == 0
    assert np.array_equal(trust.groups_of(nothing, 40), np.arange(40))


def test_chains_are_one_group():
    assert trust.groups_of([(1, 2), (4, 5), (2, 4)], 6).tolist() == [0, 1, 1, 3, 1, 1]
    assert trust.groups_of([(4, 5), (1, 2), (4, 1)], 6).tolist() == [0, 1, 1, 3, 1, 1]


def test_neighbour_distances():
    x = np.array([[0.0, 0], [3, 4], [3, 5], [10, 10]])
    assert np.allclose(trust.neighbour_distances(x), [5, 1, 1, np.hypot(7, 5)])


def test_cross_fit_never_judges_what_was_seen():
    seen = []

    def score(train, held_out):
        assert not set(train) & set(held_out) and len(train) + len(held_out) == 23
        seen.extend(held_out)
        return np.stack([held_out, -held_out], axis=1)

    out = trust.cross_fit(score, 23, 5, np.random.default_rng(0))
    assert sorted(seen) == list(range(23))
    assert np.array_equal(out, np.stack([np.arange(23), -np.arange(23)], axis=1))


def test_suspicious_labels_are_those_with_small_posterior():
    p = np.array([[0.7, 0.2, 0.1], [0.01, 0.98, 0.01]])
    log_p = np.log(p) + np.array([[-1000.0], [50.0]])  # a constant for each row is no matter
    assert np.allclose(trust.suspicious_labels(log_p, [1, 1]), -np.log([0.2, 0.98]))


def test_precision_and_recall_by_hand():
    assert trust.precision_recall([1, 1, 1, 0, 0], [1, 0, 0, 1, 0]) == (1 / 3, 1 / 2)
    assert trust.precision_recall([0, 0], [1, 0]) == (1.0, 0.0)
    with pytest.raises(DataError, match="recall has no meaning"):
        trust.precision_recall([1, 0], [0, 0])
    with pytest.raises(DataError, match="shape"):
        trust.precision_recall([1, 0, 1], [1, 0])


def test_precision_recall_curve_is_scikit_learns():
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.2
    score = np.round(truth + rng.standard_normal(300), 1)  # with ties
    precision, recall, threshold = trust.precision_recall_curve(score, truth)
    theirs = precision_recall_curve(truth, score)
    for ours, other in zip((precision, recall, threshold), theirs, strict=True):
        assert np.allclose(ours, other[:-1][::-1] if len(other) > len(ours) else other[::-1])
    for p, r, t in zip(precision[::9], recall[::9], threshold[::9]):
        assert trust.precision_recall(score >= t, truth) == pytest.approx((p, r))


# --- exposure ----------------------------------------------------------------------------------------


def test_exposure_of_a_model_with_known_probabilities():
    """Codes of three letters, each drawn independently: all 64 are enumerated, ranked, and known."""
    p = np.array([0.5, 0.25, 0.15, 0.1])
    log_p = np.log(np.einsum("a,b,c->abc", p, p, p)).ravel()
    assert trust.exposure(trust.rank_of(log_p, 0), 64) == 6  # aaa is likeliest: all six bits
    assert trust.exposure(trust.rank_of(log_p, 63), 64) == 0  # ddd is last
    aab = trust.rank_of(log_p, 1)
    assert aab == 3  # it shares ranks 2 to 4 with aba and baa
    assert trust.exposure(aab, 64) == pytest.approx(6 - math.log2(3))


def test_a_model_that_never_saw_the_secret_exposes_1_44_bits_on_average():
    rank = np.arange(1, 2**16 + 1)
    assert trust.exposure(rank, 2**16).mean() == pytest.approx(1 / math.log(2), abs=1e-3)


@pytest.mark.parametrize("rank", [0, 65])
def test_exposure_refuses_ranks_that_do_not_exist(rank):
    with pytest.raises(DataError, match="ranks go from 1"):
        trust.exposure(rank, 64)


# --- AUC ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_the_share_of_pairs(ties):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 1, 70), rng.normal(0, 1, 40)
    if ties:
        a, b = a.round(), b.round()
    pairs = [(s > t) + (s == t) / 2 for s in a for t in b]
    assert trust.auc(a, b) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert trust.auc(a, b) == pytest.approx(roc_auc_score(np.r_[np.ones(70), np.zeros(40)], np.r_[a, b]), abs=1e-12)
    assert trust.auc(a, b) + trust.auc(b, a) == pytest.approx(1)


def test_the_intervals_variance_is_delongs():
    """By the definition: placements counted pair by pair."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.5, 1, 30).round(1), rng.normal(0, 1, 50).round(1)
    table = (a[:, None] > b) + (a[:, None] == b) / 2
    sd = math.sqrt(table.mean(axis=1).var(ddof=1) / 30 + table.mean(axis=0).var(ddof=1) / 50)
    area, low, high = trust.auc_interval(a, b)
    odds = lambda p: math.log(p / (1 - p))
    assert odds(high) - odds(low) == pytest.approx(2 * 1.959964 * sd / (area * (1 - area)), rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
def test_the_interval_covers(shift):
    """2,000 experiments with 60 members and 40 others: the true AUC is known for Normals of equal width."""
    rng = np.random.default_rng(0)
    truth = 0.5 * (1 + math.erf(shift / 2))  # P(difference of two Normals > 0), with variance 2
    found = [trust.auc_interval(rng.normal(shift, 1, 60), rng.normal(0, 1, 40)) for _ in range(2000)]
    covered = np.mean([low <= truth <= high for _, low, high in found])
    assert 0.93 < covered < 0.97
    assert abs(np.mean([area for area, *_ in found]) - truth) < 0.005


def test_the_interval_of_a_perfect_separation_is_not_a_point():
    area, low, high = trust.auc_interval(np.arange(30) + 100.0, np.arange(20.0))
    assert area == 1 and 0.5 < low < 1 and low < high <= 1
    area, low, high = trust.auc_interval(np.arange(20.0), np.arange(30) + 100.0)
    assert area == 0 and 0 <= low < high < 0.5


@pytest.mark.parametrize(("member", "other"), [([], [1.0]), ([1.0], []), ([np.nan, 1], [0.0, 1]), ([[1.0]], [0.0])])
def test_auc_refuses_what_are_no_scores(member, other):
    with pytest.raises(DataError, match="one number for each"):
        trust.auc(member, other)


def test_an_interval_needs_two_of_each():
    with pytest.raises(DataError, match="two scores of each"):
        trust.auc_interval([1.0], [0.0, 2.0])


# --- copies ------------------------------------------------------------------------------------------


def test_neighbour_ratio():
    rng = np.random.default_rng(0)
    train, held_out, new = rng.standard_normal((3, 400, 5))
    assert trust.neighbour_ratio(train[:100], held_out, train) < 1e-6
    assert 0.9 < trust.neighbour_ratio(new, held_out, train) < 1.1
    assert trust.neighbour_ratio(3 * new, held_out, train) > 1.5
    with pytest.raises(DataError, match="duplicates"):
        trust.neighbour_ratio(new, train, train)


# --- DP-SGD ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def batch(n=20):
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, 6, generator=g, dtype=torch.float64), torch.randint(3, (n,), generator=g)


def by_vmap(net, x, c):
    weights = {name: p.detach() for name, p in net.named_parameters()}
    loss = lambda w, x, c: nn.functional.cross_entropy(functional_call(net, w, (x[None],)), c[None])
    return vmap(grad(loss), in_dims=(None, 0, 0))(weights, x, c)


def test_each_gradient_is_clipped_as_a_loop_does(net):
    x, c = batch()
    largest, total = 1.2, {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    lengths = []
    for one, label in zip(x, c):
        net.zero_grad()
        nn.functional.cross_entropy(net(one[None]), label[None]).backward()
        lengths.append(math.sqrt(sum((p.grad**2).sum().item() for p in net.parameters())))
        for name, p in net.named_parameters():
            total[name] += p.grad * min(1, largest / lengths[-1])
    assert min(lengths) < largest < max(lengths)  # some are clipped, some are not
    ours = trust.private_mean(by_vmap(net, x, c), largest, 0.0, expected=16)
    for name in total:
        assert torch.allclose(ours[name], total[name] / 16, rtol=0, atol=1e-12)


def test_a_gradient_of_zero_stays():
    still = trust.clip({"w": torch.zeros(3, 2, 2)}, 1.0)
    assert torch.equal(still["w"], torch.zeros(3, 2, 2))


def test_the_noise_has_the_moments_that_were_asked_for():
    flat = {"w": torch.zeros(4, 100, 200, dtype=torch.float64), "b": torch.zeros(4, 5000, dtype=torch.float64)}
    found = trust.private_mean(flat, 3.0, 2.0, expected=10, generator=torch.Generator().manual_seed(0))
    noise = torch.cat([g.flatten() for g in found.values()]) * 10
    assert len(noise) == 25_000
    assert abs(noise.mean()) < 4 * 6 / math.sqrt(25_000)
    assert noise.std().item() == pytest.approx(6, rel=0.02)
    assert (noise**4).mean().item() / 6**4 == pytest.approx(3, rel=0.1)  # Normal, not only of that width
    again = trust.private_mean(flat, 3.0, 2.0, expected=10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found["w"], again["w"])


def test_opacus_makes_the_same_step(net):
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    x, c = batch()
    twin = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    twin.load_state_dict(net.state_dict())
    theirs = GradSampleModule(twin)
    optimiser = DPOptimizer(torch.optim.SGD(twin.parameters(), lr=1.0), noise_multiplier=0.0, max_grad_norm=0.8,
                            expected_batch_size=16)  # fmt: skip
    nn.functional.cross_entropy(theirs(x.requires_grad_()), c).backward()
    optimiser.step()
    ours = trust.private_mean(by_vmap(net, x.detach(), c), 0.8, 0.0, expected=16)
    for (name, before), after in zip(net.named_parameters(), twin.parameters()):
        assert torch.allclose(before - after, ours[name], rtol=0, atol=1e-6)  # Opacus adds 1e-6 to each length
