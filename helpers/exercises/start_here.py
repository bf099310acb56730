"""Exercises of notebook 00: scoring and sampling simple models of binary images."""

import itertools

import numpy as np

from helpers.exercises.engine import Exercise, require
from helpers.scratch.mixture import log_joint, logsumexp


def _all_images(D):
    """Every binary image of D pixels: (2^D, D)."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=D)))


# --- uniform_nll -------------------------------------------------------------------------------------


def _uniform_nll(x):
    N, D = x.shape
    return np.full(N, D * np.log(2))


def _one_number_per_image(f):
    nll = np.asarray(f(np.zeros((5, 7))))
    require(nll.shape == (5,), f"for 5 images it must give 5 numbers, shape (5,); yours has shape {nll.shape}")


def _not_negative(f):
    require(
        np.asarray(f(np.ones((3, 6)))) >= 0,
        "a probability is at most 1, so -log of it cannot be negative; look at the sign",
    )


def _uniform_takes_size_from_x(f):
    sizes = [float(np.asarray(f(np.zeros((2, D))))[0]) for D in (2, 5)]
    require(
        sizes[0] != sizes[1],
        "images of 2 and of 5 pixels get the same score; take the number of pixels from x.shape[1]",
    )


def _uniform_sums_to_one(f):
    for D in (3, 6):
        total = np.exp(-np.asarray(f(_all_images(D)))).sum()
        require(
            abs(total - 1) < 1e-9,
            f"the probabilities of all {2**D} images of {D} pixels must sum to 1 (natural logarithm, "
            f"summed over pixels); yours sum to {total:.3g}",
        )


def _uniform_is_blind(f):
    nll = np.asarray(f(_all_images(4)))
    require(np.ptp(nll) < 1e-12, "the uniform model finds every image equally probable; yours has favourites")


uniform_nll = Exercise(
    "uniform_nll",
    _uniform_nll,
    "each of the 2^D images has probability 2^-D, whatever its pixels, and -log 2^-D = D log 2.",
    [_one_number_per_image, _not_negative, _uniform_takes_size_from_x, _uniform_sums_to_one, _uniform_is_blind],
    [
        "How many different images of D binary pixels are there? Each has the same probability.",
        "That probability is 1 / 2^D. Take minus its natural logarithm by hand before you write code.",
        "D log 2, once for each image: `np.full(N, ...)`.",
    ],
)


# --- mix_nll -----------------------------------------------------------------------------------------


def _mix_nll(nll_a, nll_b, w):
    return -np.logaddexp(np.log(w) - nll_a, np.log(1 - w) - nll_b)


def _two_models():
    images = _all_images(3)
    a = _independent_nll(images, np.array([0.9, 0.2, 0.6]))
    b = _independent_nll(images, np.array([0.1, 0.5, 0.3]))
    return a, b


def _mix_shape(f):
    a, b = _two_models()
    out = np.asarray(f(a, b, 0.5))
    require(out.shape == (8,), f"for 8 images it must give 8 numbers, shape (8,); yours has shape {out.shape}")


def _mix_same(f):
    a, _ = _two_models()
    require(np.abs(np.asarray(f(a, a, 0.3)) - a) < 1e-9, "two copies of one model, mixed, must be that model again")


def _mix_weight(f):
    a, b = _two_models()
    require(
        np.abs(np.asarray(f(a, b, 1 - 1e-12)) - a) < 1e-6,
        "with all the weight on model a, the mixture must score as model a does",
    )


def _mix_sums_to_one(f):
    a, b = _two_models()
    for w in (0.5, 0.2, 0.9):
        total = np.exp(-np.asarray(f(a, b, w))).sum()
        require(
            abs(total - 1) < 1e-9,
            f"the probabilities of all 8 images of 3 pixels must sum to 1; yours sum to {total:.3g}. What is mixed "
            "is the two probabilities, not their logarithms",
        )


def _mix_stable(f):
    out = np.asarray(f(np.array([2000.0]), np.array([2010.0]), 0.5))
    require(
        np.isfinite(out),
        "e^-2000 is 0 to the computer, and its logarithm is minus infinity; use log-sum-exp (or np.logaddexp)",
    )


mix_nll = Exercise(
    "mix_nll",
    _mix_nll,
    "probabilities are mixed, w p_a + (1 - w) p_b, and log-sum-exp does that without leaving the logarithms.",
    [_mix_shape, _mix_same, _mix_weight, _mix_sums_to_one, _mix_stable],
    [
        "Forget logarithms for a moment: what probability does an image have if a coin decides which model draws it?",
        "It is w p_a + (1 - w) p_b with p_a = exp(-nll_a). Now take minus the logarithm, without underflow.",
        "`np.logaddexp(s, t)` is log(exp(s) + exp(t)). Here s = log w - nll_a.",
    ],
)


# --- independent_nll: spot the bug -------------------------------------------------------------------


def _independent_nll(x, p):
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)


def _independent_broken(x, p):
    return -(x * np.log(p)).sum(axis=1)


def _independent_sums_to_one(f):
    for p in (np.array([0.2, 0.7, 0.9]), np.array([0.5, 0.05, 0.3, 0.6, 0.8])):
        total = np.exp(-np.asarray(f(_all_images(len(p)), p))).sum()
        require(
            abs(total - 1) < 1e-9,
            f"the probabilities of all {2 ** len(p)} images of {len(p)} pixels must sum to 1 (natural logarithm, "
            f"summed over pixels); yours sum to {total:.3g}",
        )


def _independent_prefers_likely(f):
    p = np.array([0.9, 0.2])
    nll = np.asarray(f(np.array([[1.0, 0.0], [0.0, 1.0]]), p))
    require(nll[0] < nll[1], "an image with ink where p is high must score better (lower) than the opposite")


independent_nll = Exercise(
    "independent_nll",
    _independent_nll,
    "a blank pixel is an event too: it has probability 1 - p, and leaving it out lets an empty image cost nothing.",
    [lambda f: _one_number_per_image(lambda x: f(x, np.full(7, 0.4))),
     _independent_sums_to_one, _independent_prefers_likely],
    [
        "What does the function say about an image without any ink? Can that be right?",
        "A pixel with x = 1 has probability p. What probability has a pixel with x = 0?",
        "Add the missing half: `(1 - x) * np.log(1 - p)`.",
    ],
)  # fmt: skip


# --- complete ----------------------------------------------------------------------------------------


def _complete(x, known, pi, p):
    lj = log_joint(x[:, known], pi, p[:, known])  # (N, C): only what we can see counts
    r = np.exp(lj - logsumexp(lj)[:, None])
    return np.where(known, x, r @ p)  # (N, D)


def _toy():
    pi = np.array([0.7, 0.3])
    p = np.array([[0.9, 0.8, 0.1, 0.2], [0.2, 0.3, 0.95, 0.6]])
    return pi, p


def _complete_shape(f):
    pi, p = _toy()
    out = np.asarray(f(np.ones((3, 4)), np.array([True, True, False, False]), pi, p))
    require(out.shape == (3, 4), f"for 3 images of 4 pixels it must give shape (3, 4); yours has {out.shape}")


def _complete_by_enumeration(f):
    """p(pixel | known pixels) from the table of all images, without responsibilities."""
    pi, p = _toy()
    known = np.array([True, True, False, False])
    images = _all_images(4)
    weight = np.exp(logsumexp(log_joint(images, pi, p)))
    for seen in _all_images(2):
        agrees = (images[:, :2] == seen).all(axis=1)
        truth = weight[agrees] @ images[agrees] / weight[agrees].sum()
        out = np.asarray(f(np.r_[seen, 0, 0][None], known, pi, p))[0]
        require(
            np.abs(out[2:] - truth[2:]) < 1e-9,
            "among all images that agree with the known pixels, weighted by their probability, the hidden "
            "pixels are ink with another probability than yours (did you set hidden pixels to some value? 0 means "
            "blank, not unknown: leave their columns out of x and of p)",
        )


def _complete_ignores_hidden(f):
    pi, p = _toy()
    known = np.array([True, True, False, False])
    a = np.asarray(f(np.array([[1.0, 0, 0, 0]]), known, pi, p))
    b = np.asarray(f(np.array([[1.0, 0, 1, 1]]), known, pi, p))
    require(np.abs(a - b).max() < 1e-12, "the values of hidden pixels must not matter: you may not look at them")


def _complete_keeps_known(f):
    pi, p = _toy()
    out = np.asarray(f(np.array([[1.0, 0, 0, 0]]), np.array([True, True, False, False]), pi, p))
    require(out[0, :2] == [1, 0], "a known pixel is known: return 1 where it is ink and 0 where it is blank")


def _complete_nothing_known(f):
    pi, p = _toy()
    out = np.asarray(f(np.zeros((1, 4)), np.zeros(4, bool), pi, p))
    require(np.abs(out - pi @ p) < 1e-9, "with nothing known, the answer must be the average image, Σ pi_k p_k")


def _complete_stable(f):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.99, (3, 4000))
    out = np.asarray(f((rng.random((2, 4000)) < p[:2]).astype(float), np.arange(4000) < 3900, np.full(3, 1 / 3), p))
    require(
        np.isfinite(out),
        "with thousands of pixels the probabilities underflow to 0 and you divide 0 by 0; stay with logarithms "
        "until after the subtraction",
    )


complete = Exercise(
    "complete",
    _complete,
    "the known pixels tell how responsible each prototype is, and the prototypes, weighted so, fill in the rest.",
    [
        _complete_shape,
        _complete_ignores_hidden,
        _complete_by_enumeration,
        _complete_nothing_known,
        _complete_keeps_known,
        _complete_stable,
    ],
    [
        "Two steps: which prototypes explain the known pixels, and what do those prototypes say about the rest?",
        "The first step is the E step on the columns `x[:, known]` and `p[:, known]`.",
        "With responsibilities r (N, C), the ink probabilities are `r @ p`; `np.where(known, x, ...)` keeps the known.",
    ],
)
