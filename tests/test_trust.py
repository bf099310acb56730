"""Wrong labels and what a model gives away: compared with brute force, enumeration, simulation, and Opacus."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from helpers.data.dataset import DataError
from helpers.evaluation import labels, privacy

# --- labels ------------------------------------------------------------------------------------------


def test_cross_fit_never_judges_what_was_seen():
    seen = []

    def score(train, held_out):
        assert not set(train) & set(held_out) and len(train) + len(held_out) == 23
        seen.extend(held_out)
        return np.stack([held_out, -held_out], axis=1)

    out = labels.cross_fit(score, 23, 5, np.random.default_rng(0))
    assert sorted(seen) == list(range(23))
    assert np.array_equal(out, np.stack([np.arange(23), -np.arange(23)], axis=1))


def test_suspicious_labels_are_those_with_small_posterior():
    p = np.array([[0.7, 0.2, 0.1], [0.01, 0.98, 0.01]])
    log_p = np.log(p) + np.array([[-1000.0], [50.0]])  # a constant for each row does not matter
    assert np.allclose(labels.suspicious_labels(log_p, [1, 1]), -np.log([0.2, 0.98]))


def test_precision_and_recall_by_hand():
    assert labels.precision_recall([1, 1, 1, 0, 0], [1, 0, 0, 1, 0]) == (1 / 3, 1 / 2)
    assert labels.precision_recall([0, 0], [1, 0]) == (1.0, 0.0)
    with pytest.raises(DataError, match="recall has no meaning"):
        labels.precision_recall([1, 0], [0, 0])
    with pytest.raises(DataError, match="shape"):
        labels.precision_recall([1, 0, 1], [1, 0])


def test_the_curve_counts_at_every_threshold():
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.2
    score = np.round(truth + rng.standard_normal(300), 1)  # with ties
    precision, recall, threshold = labels.precision_recall_curve(score, truth)
    assert threshold.tolist() == sorted(set(score), reverse=True)
    for p, r, t in zip(precision, recall, threshold, strict=True):
        assert labels.precision_recall(score >= t, truth) == pytest.approx((p, r))
    with pytest.raises(DataError, match="recall has no meaning"):
        labels.precision_recall_curve([0.1, 0.2], [0, 0])
    with pytest.raises(DataError, match="shape"):
        labels.precision_recall_curve([0.1, 0.2], [0, 1, 1])


# --- exposure ----------------------------------------------------------------------------------------


def test_exposure_of_a_model_with_known_probabilities():
    """Codes of three letters, each drawn independently: all 64 are enumerated, ranked, and known."""
    p = np.array([0.5, 0.25, 0.15, 0.1])
    log_p = np.log(np.einsum("a,b,c->abc", p, p, p)).ravel()
    assert privacy.exposure(privacy.rank_of(log_p, 0), 64) == 6  # aaa is likeliest: all six bits
    assert privacy.exposure(privacy.rank_of(log_p, 63), 64) == 0  # ddd is last
    aab = privacy.rank_of(log_p, 1)
    assert aab == 3  # it shares ranks 2 to 4 with aba and baa
    assert privacy.exposure(aab, 64) == pytest.approx(6 - math.log2(3))


def test_a_model_that_never_saw_the_secret_exposes_1_44_bits_on_average():
    rank = np.arange(1, 2**16 + 1)
    assert privacy.exposure(rank, 2**16).mean() == pytest.approx(1 / math.log(2), abs=1e-3)


@pytest.mark.parametrize("rank", [0, 65])
def test_exposure_refuses_ranks_that_do_not_exist(rank):
    with pytest.raises(DataError, match="ranks go from 1"):
        privacy.exposure(rank, 64)


# --- AUC ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_the_share_of_pairs(ties):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.6, 1, 70), rng.normal(0, 1, 40)
    if ties:
        a, b = a.round(), b.round()
    pairs = [(s > t) + (s == t) / 2 for s in a for t in b]
    assert privacy.auc(a, b) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert privacy.auc_interval(a, b)[0] == pytest.approx(privacy.auc(a, b), abs=1e-12)
    assert privacy.auc(a, b) + privacy.auc(b, a) == pytest.approx(1)


def test_the_intervals_variance_is_delongs():
    """By the definition: placements counted pair by pair."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.5, 1, 30).round(1), rng.normal(0, 1, 50).round(1)
    table = (a[:, None] > b) + (a[:, None] == b) / 2
    sd = math.sqrt(table.mean(axis=1).var(ddof=1) / 30 + table.mean(axis=0).var(ddof=1) / 50)
    area, low, high = privacy.auc_interval(a, b)
    odds = lambda p: math.log(p / (1 - p))
    assert odds(high) - odds(low) == pytest.approx(2 * 1.959964 * sd / (area * (1 - area)), rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
def test_the_interval_covers(shift):
    """2,000 experiments with 60 members and 40 others: the true AUC is known for Normals of equal width."""
    rng = np.random.default_rng(0)
    truth = 0.5 * (1 + math.erf(shift / 2))  # P(difference of two Normals > 0), with variance 2
    found = [privacy.auc_interval(rng.normal(shift, 1, 60), rng.normal(0, 1, 40)) for _ in range(2000)]
    covered = np.mean([low <= truth <= high for _, low, high in found])
    assert 0.93 < covered < 0.97
    assert abs(np.mean([area for area, *_ in found]) - truth) < 0.005


def test_the_interval_of_a_perfect_separation_is_not_a_point():
    area, low, high = privacy.auc_interval(np.arange(30) + 100.0, np.arange(20.0))
    assert area == 1 and 0.5 < low < 1 and low < high <= 1
    area, low, high = privacy.auc_interval(np.arange(20.0), np.arange(30) + 100.0)
    assert area == 0 and 0 <= low < high < 0.5


@pytest.mark.parametrize(("member", "other"), [([], [1.0]), ([1.0], []), ([np.nan, 1], [0.0, 1]), ([[1.0]], [0.0])])
def test_auc_refuses_what_are_not_scores(member, other):
    with pytest.raises(DataError, match="one number for each"):
        privacy.auc(member, other)


def test_an_interval_needs_two_of_each():
    with pytest.raises(DataError, match="two scores of each"):
        privacy.auc_interval([1.0], [0.0, 2.0])


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
    ours = privacy.private_mean(by_vmap(net, x, c), largest, 0.0, expected=16)
    for name in total:
        assert torch.allclose(ours[name], total[name] / 16, rtol=0, atol=1e-12)


def test_a_gradient_of_zero_stays():
    still = privacy.clip({"w": torch.zeros(3, 2, 2)}, 1.0)
    assert torch.equal(still["w"], torch.zeros(3, 2, 2))


def test_the_noise_has_the_moments_that_were_asked_for():
    flat = {"w": torch.zeros(4, 100, 200, dtype=torch.float64), "b": torch.zeros(4, 5000, dtype=torch.float64)}
    found = privacy.private_mean(flat, 3.0, 2.0, expected=10, generator=torch.Generator().manual_seed(0))
    noise = torch.cat([g.flatten() for g in found.values()]) * 10
    assert len(noise) == 25_000
    assert abs(noise.mean()) < 4 * 6 / math.sqrt(25_000)
    assert noise.std().item() == pytest.approx(6, rel=0.02)
    assert (noise**4).mean().item() / 6**4 == pytest.approx(3, rel=0.1)  # Normal, not only of that width
    again = privacy.private_mean(flat, 3.0, 2.0, expected=10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found["w"], again["w"])


def test_opacus_makes_the_same_step(net):
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    x, c = batch()
    twin = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    twin.load_state_dict(net.state_dict())
    theirs = GradSampleModule(twin)
    optimiser = DPOptimizer(
        torch.optim.SGD(twin.parameters(), lr=1.0), noise_multiplier=0.0, max_grad_norm=0.8, expected_batch_size=16
    )
    nn.functional.cross_entropy(theirs(x.requires_grad_()), c).backward()
    optimiser.step()
    ours = privacy.private_mean(by_vmap(net, x.detach(), c), 0.8, 0.0, expected=16)
    for (name, before), after in zip(net.named_parameters(), twin.parameters()):
        assert torch.allclose(before - after, ours[name], rtol=0, atol=1e-6)  # Opacus adds 1e-6 to each length


# --- accounting --------------------------------------------------------------------------------------


def test_noise_for_one_step_is_what_the_exact_formula_of_the_gaussian_asks_for():
    """δ(ε) of one Gaussian step on everybody (Balle and Wang, 2018), at the noise that Rényi's sums find enough."""
    phi = lambda t: 0.5 * math.erfc(-t / math.sqrt(2))
    for epsilon in (1.0, 4.0):
        sigma = privacy.noise_for(epsilon, 1e-5, steps=1, rate=1.0)
        enough, less = (phi(0.5 / s - epsilon * s) - math.exp(epsilon) * phi(-0.5 / s - epsilon * s)
                        for s in (sigma, 0.7 * sigma))
        assert enough < 1e-5 < less  # and not far too much


def test_more_steps_more_often_seen_and_less_to_spend_need_more_noise():
    base = privacy.noise_for(4.0, 1e-4, steps=100, rate=0.1)
    assert privacy.noise_for(4.0, 1e-4, steps=400, rate=0.1) > base
    assert privacy.noise_for(4.0, 1e-4, steps=100, rate=0.3) > base
    assert privacy.noise_for(1.0, 1e-4, steps=100, rate=0.1) > base


@pytest.mark.parametrize("wrong", [(0, 1e-5, 1, 1.0), (1, 0, 1, 1.0), (1, 1e-5, 0, 1.0), (1, 1e-5, 1, 1.5)])
def test_noise_for_refuses_what_cannot_be(wrong):
    with pytest.raises(DataError, match="give an epsilon above 0"):
        privacy.noise_for(*wrong)
