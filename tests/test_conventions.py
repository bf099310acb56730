"""Settings from elsewhere in our words: every prediction of a known mixture is its exact field, and round trips end."""

import math

import numpy as np
import pytest

from helpers.evaluation.conventions import CONVENTIONS, OURS, Convention, ddpm

TIMES = {"ours": (0.1, 0.5, 0.9), "rectified flow from data": (0.1, 0.5, 0.9), "ddpm": (1, 250, 1000),
         "cosine, v": (0.05, 0.5, 0.95), "edm": (0.02, 1.0, 80.0), "variance exploding, score": (0.02, 1.0, 50.0)}
ALL = [(name, s) for name, times in TIMES.items() for s in times]
M, S = np.array([[1.0, -2.0], [-1.5, 0.5], [0.0, 2.0]]), np.array([0.3, 0.5, 0.8])
PI = np.array([0.5, 0.3, 0.2])


def exact(y, alpha, sigma):
    """E[x | y], E[ε | y] and the gradient of log p(y) for y = α x + σ ε and x from a mixture of Gaussians."""
    var = (alpha * S) ** 2 + sigma**2  # (3,)
    apart = y[:, None] - alpha * M  # (N, 3, 2)
    log_r = np.log(PI) - (apart**2).sum(axis=2) / (2 * var) - np.log(var)
    r = np.exp(log_r - np.logaddexp.reduce(log_r, axis=1)[:, None])
    x = (r[..., None] * (M + (alpha * S**2 / var)[:, None] * apart)).sum(axis=1)
    noise = (r[..., None] * (sigma / var)[:, None] * apart).sum(axis=1)
    return x, noise, -(r[..., None] * apart / var[:, None]).sum(axis=1)


@pytest.mark.parametrize(("name", "s"), ALL)
def test_every_prediction_of_a_mixture_is_our_exact_velocity(name, s):
    """A wrong sign, σ for σ², or time the other way round gives another field."""
    theirs = CONVENTIONS[name]
    alpha, sigma = (float(part) for part in theirs.mix(s))
    y = np.random.default_rng(0).normal(size=(7, 2)) * (alpha + sigma)
    x, noise, score = exact(y, alpha, sigma)
    said = {"x": x, "noise": noise, "score": score, "v": alpha * noise - sigma * x}
    if theirs.predicts == "velocity":
        slope_alpha, slope_sigma = theirs.slopes(np.asarray(float(s)))
        said["velocity"] = slope_alpha * x + slope_sigma * noise
    ours, velocity, t = theirs.to_ours(y, said[theirs.predicts], s)
    our_x, our_noise, _ = exact(ours, t, 1 - t)
    np.testing.assert_allclose(velocity, our_x - our_noise, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "s"), ALL)
def test_there_and_back_again(name, s):
    theirs, rng = CONVENTIONS[name], np.random.default_rng(1)
    x, prediction = rng.normal(size=(2, 5, 3))
    ours, velocity, t = theirs.to_ours(x, prediction, s)
    again, predicted = theirs.from_ours(ours, velocity, s)
    assert 0 <= t <= 1
    np.testing.assert_allclose(again, x, atol=1e-10)
    np.testing.assert_allclose(predicted, prediction, atol=1e-10)
    assert theirs.guidance_from_ours(theirs.guidance(3.0)) == 3.0 and theirs.guidance(theirs.no_guidance) == 0


def test_ours_is_as_it_is():
    x, v = np.random.default_rng(2).normal(size=(2, 4, 2))
    points, velocity, t = OURS.to_ours(x, v, 0.3)
    assert t == pytest.approx(0.3)
    np.testing.assert_allclose([points, velocity], [x, v], atol=1e-12)


def test_time_runs_from_noise_to_data():
    assert CONVENTIONS["rectified flow from data"].time([0.0, 1.0]) == pytest.approx([1, 0])
    assert CONVENTIONS["cosine, v"].time([0.0, 0.5, 1.0]) == pytest.approx([1, 0.5, 0], abs=1e-12)
    t = CONVENTIONS["ddpm"].time(np.arange(1, 1001))
    assert (np.diff(t) < 0).all() and t[0] > 0.98 and t[-1] < 0.01


def test_guidance_of_both_kinds():
    """Ho and Salimans: (1 + w) ε(c) − w ε: 0 guides nothing; many libraries: ε + s (ε(c) − ε): 1 guides nothing."""
    assert CONVENTIONS["ddpm"].guidance(2.0) == 2.0 and CONVENTIONS["rectified flow from data"].guidance(2.0) == 1.0


@pytest.mark.parametrize("s", [0, 1001, 1.5])
def test_the_first_step_does_not_wrap_around(s):
    with pytest.raises(ValueError, match="whole numbers from 1 to 1000"):
        ddpm().time(s)


def test_what_cannot_be_told_is_said():
    with pytest.raises(ValueError, match="predicts is 'v0'"):
        Convention(np.cos, np.sin, "v0")
    with pytest.raises(ValueError, match="needs slopes"):
        Convention(np.cos, np.sin, "velocity")
    with pytest.raises(ValueError, match="no noise, and no score"):
        CONVENTIONS["variance exploding, score"].matrix(0.0)
    with pytest.raises(ValueError, match="does not tell data and noise apart"):
        CONVENTIONS["edm"].matrix(0.0)
    with pytest.raises(ValueError, match="0 or more"):
        Convention(lambda s: -s, lambda s: s).time(1.0)


def test_the_noise_of_the_cosine_schedule_keeps_the_variance():
    alpha, sigma = CONVENTIONS["cosine, v"].mix(np.linspace(0, 1, 11))
    np.testing.assert_allclose(alpha**2 + sigma**2, 1)
    assert math.isclose(CONVENTIONS["ddpm"].mix(500)[0] ** 2 + CONVENTIONS["ddpm"].mix(500)[1] ** 2, 1)
