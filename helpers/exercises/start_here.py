"""Exercises of Start here: scoring and sampling simple models of binary images."""

import itertools

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns, same_alone
from helpers.scratch.mixture import log_joint, logsumexp

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.scratch": ("logsumexp", "log_joint", "mixture_nll", "e_step", "m_step", "fit_mixture", "sample_mixture"),
}


def all_images(D):
    """Every binary image of D pixels: (2^D, D)."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=D)))


def sums_to_one(nll, D, hint=""):
    """Whether a model of all images of D pixels, given by their nll (2^D,), is one."""
    total = np.exp(-returns(nll)).sum()
    require(
        near(total, 1),
        f"the probabilities of all {2**D} images of {D} pixels must sum to 1{hint}; yours sum to {total:.3g}",
    )


@exercise(
    why="each of the 2^D images has probability 2^-D, whatever its pixels, and -log 2^-D = D log 2.",
    hints=[
        "How many different images of D binary pixels are there? Each has the same probability.",
        "That probability is 1 / 2^D. Take minus its natural logarithm by hand before you write code.",
        "D log 2, once for each image: `np.full(N, ...)`.",
    ],
)
def uniform_nll(x):
    N, D = x.shape
    return np.full(N, D * np.log(2))


@uniform_nll.fact
def gives_one_number_per_image(uniform_nll):
    returns(uniform_nll(np.zeros((5, 7))), (5,), "5 numbers for 5 images")


@uniform_nll.fact
def is_not_negative(uniform_nll):
    nll = returns(uniform_nll(np.ones((3, 6))))
    require(nll >= 0, "a probability is at most 1, so -log of it cannot be negative; look at the sign")


@uniform_nll.fact
def takes_the_size_from_x(uniform_nll):
    two, five = (returns(uniform_nll(np.zeros((2, D))))[0] for D in (2, 5))
    require(two != five, "images of 2 and of 5 pixels get the same score; take the number of pixels from x.shape[1]")


@uniform_nll.fact
def is_a_model_of_all_images(uniform_nll):
    for D in (3, 6):
        sums_to_one(uniform_nll(all_images(D)), D, " (natural logarithm, summed over pixels)")


@uniform_nll.fact
def has_no_favourites(uniform_nll):
    nll = returns(uniform_nll(all_images(4)))
    require(np.ptp(nll) < 1e-5, "the uniform model finds every image equally probable; yours has favourites")


@exercise(
    why="probabilities are mixed, w p_a + (1 - w) p_b, and log-sum-exp does that without leaving the logarithms.",
    hints=[
        "Forget logarithms for a moment: what probability does an image have if a coin decides which model draws it?",
        "It is w p_a + (1 - w) p_b with p_a = exp(-nll_a). Now take minus the logarithm, without underflow.",
        "`np.logaddexp(s, t)` is log(exp(s) + exp(t)). Here s = log w - nll_a.",
    ],
)
def mix_nll(nll_a, nll_b, w):
    return -np.logaddexp(np.log(w) - nll_a, np.log(1 - w) - nll_b)


def two_models():
    """What two models say about all images of three pixels."""
    images = all_images(3)
    return [independent_nll.answer(images, np.array(p)) for p in ([0.9, 0.2, 0.6], [0.1, 0.5, 0.3])]


@mix_nll.fact
def scores_every_image(mix_nll):
    returns(mix_nll(*two_models(), 0.5), (8,), "8 numbers for 8 images")


@mix_nll.fact
def of_one_model_with_itself_is_that_model(mix_nll):
    a, _ = two_models()
    require(near(mix_nll(a, a, 0.3), a), "two copies of one model, mixed, must be that model again")


@mix_nll.fact
def with_all_the_weight_on_a_is_a(mix_nll):
    a, b = two_models()
    require(
        near(mix_nll(a, b, 1 - 1e-12), a, 1e-6),
        "with all the weight on model a, the mixture must score as model a does",
    )


@mix_nll.fact
def mixes_probabilities(mix_nll):
    for w in (0.5, 0.2, 0.9):
        nll = mix_nll(*two_models(), w)
        sums_to_one(nll, 3, " (what is mixed is the two probabilities, not their logarithms)")


@mix_nll.fact
def weighs_by_w(mix_nll):
    for w, share in ((0.5, "half"), (0.25, "a quarter"), (0.06, "a small part")):
        require(
            near(mix_nll(np.array([0.0, 900.0]), np.array([900.0, 0.0]), w), [-np.log(w), -np.log(1 - w)]),
            f"an image that is certain for model a and impossible for b has the probability w; with w = {w} {share} "
            "of it is left, and 1 - w where it is the other way round",
        )
    nll = np.array([3.0, 40.0, 12.0])
    require(near(mix_nll(nll, nll, 0.3), nll), "two copies of one model, mixed, must be that model again")


@mix_nll.fact
def survives_tiny_probabilities(mix_nll):
    require(
        np.isfinite(returns(mix_nll(np.array([2000.0]), np.array([2010.0]), 0.5))),
        "e^-2000 is 0 to the computer, and its logarithm is minus infinity; use log-sum-exp (or np.logaddexp)",
    )


@exercise(
    why="a blank pixel is an event too: it has probability 1 - p, and leaving it out lets an empty image cost nothing.",
    hints=[
        "What does the function say about an image without any ink? Can that be right?",
        "A pixel with x = 1 has probability p. What probability has a pixel with x = 0?",
        "Add the missing half: `(1 - x) * np.log(1 - p)`.",
    ],
)
def independent_nll(x, p):
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)


@independent_nll.fact
def adds_up_the_pixels_of_each_image(independent_nll):
    returns(independent_nll(np.zeros((5, 7)), np.full(7, 0.4)), (5,), "5 numbers for 5 images")


@independent_nll.fact
def counts_blank_pixels(independent_nll):
    for p in (np.array([0.2, 0.7, 0.9]), np.array([0.5, 0.05, 0.3, 0.6, 0.8])):
        nll = independent_nll(all_images(len(p)), p)
        sums_to_one(nll, len(p), " (natural logarithm, summed over pixels)")


@independent_nll.fact
def costs_the_logarithm(independent_nll):
    for p in (0.25, 0.01, 0.7):
        require(
            near(independent_nll(np.array([[1.0], [0.0]]), np.array([p])), [-np.log(p), -np.log(1 - p)]),
            f"with a single pixel of p = {p}, ink has probability p and costs -log p, blank costs -log(1 - p)",
        )
    x = all_images(4)[[9, 2, 15, 0, 4]]
    same_alone(independent_nll, x, rest=(np.array([0.2, 0.7, 0.9, 0.4]),))


@independent_nll.fact
def prefers_likely_images(independent_nll):
    likely, unlikely = returns(independent_nll(np.eye(2), np.array([0.9, 0.2])))
    require(likely < unlikely, "an image with ink where p is high must score better (lower) than the opposite")


@exercise(
    why="the known pixels tell how responsible each prototype is, and the prototypes, weighted so, fill in the rest.",
    hints=[
        "Two steps: which prototypes explain the known pixels, and what do those prototypes say about the rest?",
        "The first step is the E step on the columns `x[:, known]` and `p[:, known]`.",
        "With responsibilities r (N, C), the ink probabilities are `r @ p`; `np.where(known, x, ...)` keeps the known.",
    ],
)
def complete(x, known, pi, p):
    lj = log_joint(x[:, known], pi, p[:, known])  # (N, C): only what we can see counts
    r = np.exp(lj - logsumexp(lj)[:, None])
    return np.where(known, x, r @ p)  # (N, D)


PI = np.array([0.7, 0.3])
PROTOTYPES = np.array([[0.9, 0.8, 0.1, 0.2], [0.2, 0.3, 0.95, 0.6]])
LEFT = np.array([True, True, False, False])  # the pixels that are known


@complete.fact
def gives_whole_images(complete):
    returns(complete(np.ones((3, 4)), LEFT, PI, PROTOTYPES), (3, 4), "3 images of 4 pixels")


@complete.fact
def does_not_look_at_hidden_pixels(complete):
    a, b = (complete(np.array([[1.0, 0, hidden, hidden]]), LEFT, PI, PROTOTYPES) for hidden in (0, 1))
    require(near(a, b), "the values of hidden pixels must not matter: you may not look at them")


@complete.fact
def agrees_with_the_table_of_all_images(complete):
    """p(pixel | known pixels) from all images, without responsibilities."""
    images = all_images(4)
    weight = np.exp(logsumexp(log_joint(images, PI, PROTOTYPES)))
    for seen in all_images(2):
        agrees = (images[:, :2] == seen).all(axis=1)
        truth = weight[agrees] @ images[agrees] / weight[agrees].sum()
        out = returns(complete(np.r_[seen, 0, 0][None], LEFT, PI, PROTOTYPES))[0]
        fact = (
            "among all images that agree with the known pixels, weighted by their probability, the hidden pixels "
            "are ink with another probability than yours"
        )
        for value in (0, 0.5, 1):  # the likeliest slip: hidden pixels set to a value, and looked at
            lj = log_joint(np.r_[seen, value, value][None], PI, PROTOTYPES)
            slip = np.exp(lj - logsumexp(lj)) @ PROTOTYPES
            if near(out[2:], slip[0, 2:]).all() and not near(out[2:], truth[2:]).all():
                meaning = "0 means blank, not unknown" if value == 0 else "they are unknown"
                fact += f" (did you set hidden pixels to {value}? {meaning}: leave their columns out of x and of p)"
        likeliest = log_joint(seen[None], PI, PROTOTYPES[:, :2]).argmax()
        if near(out[2:], PROTOTYPES[likeliest, 2:]).all() and not near(out[2:], truth[2:]).all():
            fact += " (one prototype is not enough: let each count by its responsibility)"
        require(near(out[2:], truth[2:]), fact)


@complete.fact
def with_nothing_known_is_the_average_image(complete):
    out = complete(np.zeros((1, 4)), np.zeros(4, bool), PI, PROTOTYPES)
    require(near(out, PI @ PROTOTYPES), "with nothing known, the answer must be the average image, Σ pi_k p_k")


@complete.fact
def keeps_known_pixels(complete):
    out = returns(complete(np.array([[1.0, 0, 0, 0]]), LEFT, PI, PROTOTYPES))
    require(near(out[0, :2], [1, 0]), "a known pixel is known: return 1 where it is ink and 0 where it is blank")


@complete.fact
def completes_each_image_by_its_own_pixels(complete):
    fact = "an image is completed by its own known pixels, whatever the other images are"
    x = np.array([[1.0, 0, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]])
    same_alone(lambda x: complete(x, LEFT, PI, PROTOTYPES), x, fact=fact)


@complete.fact
def survives_thousands_of_pixels(complete):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.99, (3, 4000))
    x = (rng.random((2, 4000)) < p[:2]).astype(float)
    require(
        np.isfinite(returns(complete(x, np.arange(4000) < 3900, np.full(3, 1 / 3), p))),
        "with thousands of pixels the probabilities underflow to 0 and you divide 0 by 0; stay with logarithms "
        "until after the subtraction",
    )
