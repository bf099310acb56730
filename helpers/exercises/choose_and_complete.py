"""Exercises of Put it to work: choose and complete: Bayes' rule, the bound without a label, what is hidden, ranks."""

import itertools

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns, same_alone
from helpers.scratch.mixture import logsumexp


@exercise(
    why="the prior of the labels counts as much as the pixels do, and the sum over labels is log p(x).",
    hints=[
        "Which two logarithms add up to log p(x, y)? And by what must a joint be divided to become p(y | x)?",
        "In logarithms dividing is subtracting: take log p(x) from each row, a sum of probabilities, not of logs.",
        "`joint = log_px + log_prior`, and then `joint - logsumexp(joint)[:, None]`",
    ],
)
def back(log_px, log_prior):
    joint = log_px + log_prior
    return joint - logsumexp(joint)[:, None]


def some_scores(N=6, L=4):
    """log p(x|y), (N, L), and log p(y), (L,), of labels that are not equally likely."""
    rng = np.random.default_rng(0)
    prior = np.array([0.6, 0.25, 0.1, 0.05])[:L]
    return rng.normal(-3, 2, size=(N, L)), np.log(prior / prior.sum())


@back.fact
def gives_probabilities(back):
    log_px, log_prior = some_scores()
    found = returns(back(log_px, log_prior), log_px.shape, "a logarithm for each image and each label")
    require(near(np.exp(found).sum(axis=1), 1), "over the labels, the probabilities of each image must sum to 1")


@back.fact
def falls_back_on_the_prior(back):
    log_prior = some_scores()[1]
    found = returns(back(np.full((3, 4), -7.0), log_prior), (3, 4))
    require(near(found, np.broadcast_to(log_prior, (3, 4))),
            "where an image is equally probable under all labels, what remains is the prior of the labels")


@back.fact
def is_the_rule(back):
    log_px, log_prior = some_scores()
    joint = np.exp(log_px) * np.exp(log_prior)
    found = returns(back(log_px, log_prior), log_px.shape)
    require(near(np.exp(found), joint / joint.sum(axis=1, keepdims=True)),
            "p(y|x) must be p(x|y) p(y), divided by its sum over the labels")


@back.fact
def holds_far_out(back):
    log_px, log_prior = some_scores()
    found = returns(back(log_px - 2000, log_prior), log_px.shape)
    require(near(found, returns(back(log_px, log_prior))), "an image of 64 pixels, or of a million, has tiny "
            "probabilities: exp gives 0 for them. Take the largest out first, as logsumexp does")
    same_alone(back, log_px, rest=(log_prior,), fact="each image must have the labels that it has alone")


@exercise(
    why="the label is not known, so its logarithm is that of a sum over labels; a mean pays for the wrong ones.",
    hints=[
        "With q(y|x), the bound is the mean under q of log p(x, y) less log q(y|x). Where is q in the cell above?",
        "Each label counts with its own q(y|x), not with 1/10; and do not forget the entropy of q.",
        "`(np.exp(log_q) * (log_joint - log_q)).sum(axis=1)`",
    ],
)
def unlabelled(log_joint, log_q):
    return (np.exp(log_q) * (log_joint - log_q)).sum(axis=1)


def guesses_and_joint(N=5, L=4):
    """log p(x, y) and guesses log q(y|x), (N, L) each."""
    rng = np.random.default_rng(1)
    joint, q = rng.normal(-9, 3, size=(N, L)), rng.normal(0, 1.5, size=(N, L))
    return joint, q - logsumexp(q)[:, None]


@unlabelled.fact
def is_exact_for_the_right_guess(unlabelled):
    joint = guesses_and_joint()[0]
    found = returns(unlabelled(joint, joint - logsumexp(joint)[:, None]), (5,), "one number for each image")
    require(near(found, logsumexp(joint)), "if q is p(y|x), the bound must be log p(x) itself: the logarithm of the "
            "sum of p(x, y) over the labels. A mean over labels pays for those that the image does not show; and "
            "without the entropy of q something is missing")


@unlabelled.fact
def is_the_joint_where_the_label_is_sure(unlabelled):
    joint = guesses_and_joint()[0]
    log_q = np.where(np.arange(4) == 2, 0.0, -200.0) * np.ones((5, 1))
    require(near(returns(unlabelled(joint, log_q), (5,)), joint[:, 2]),
            "where q is sure of a label, the bound must be log p(x, y) of that label")


@unlabelled.fact
def loses_what_the_guess_misses(unlabelled):
    joint, log_q = guesses_and_joint()
    posterior = joint - logsumexp(joint)[:, None]
    lost = (np.exp(log_q) * (log_q - posterior)).sum(axis=1)
    require(near(returns(unlabelled(joint, log_q), (5,)), logsumexp(joint) - lost),
            "what the bound lies below log p(x) must be KL(q(y|x) || p(y|x)), and it is never above")
    same_alone(unlabelled, joint, log_q, fact="each image must have the bound that it has alone")


@exercise(
    why="known pixels choose the prototypes, and the prototypes say what the hidden pixels may be.",
    hints=[
        "How probable is each prototype, once some pixels are seen? Only those may count.",
        "Responsibilities from the known pixels: log pi, plus the sum over known pixels. Then a mean of the p's.",
        "`log_r = np.log(pi) + x[:, known] @ np.log(p[:, known]).T + (1 - x[:, known]) @ np.log(1 - p[:, known]).T`",
    ],
)
def given(x, known, pi, p):
    seen, q = x[:, known], p[:, known]
    log_r = np.log(pi) + seen @ np.log(q).T + (1 - seen) @ np.log(1 - q).T
    r = np.exp(log_r - logsumexp(log_r)[:, None])
    return np.where(known, x, r @ p)


def small_mixture():
    """Three prototypes of five pixels, (3,) and (3, 5)."""
    p = np.array([[0.9, 0.8, 0.15, 0.2, 0.7], [0.1, 0.35, 0.9, 0.75, 0.4], [0.5, 0.6, 0.3, 0.95, 0.05]])
    return np.array([0.5, 0.2, 0.3]), p


def by_counting(x, known, pi, p):
    """The same by a sum over all images: p(pixel = 1, known) / p(known)."""
    images = np.array(list(itertools.product((0.0, 1.0), repeat=p.shape[1])))
    joint = (pi * np.prod(np.where(images[:, None] == 1, p, 1 - p), axis=2)).sum(axis=1)
    fits = [(images[:, known] == row[known]).all(axis=1) * joint for row in x]
    return np.array([one @ images / one.sum() for one in fits])


@given.fact
def keeps_what_is_known(given):
    known = np.array([True, False, True, True, False])
    x = np.array([[1.0, 0, 0, 1, 0], [0, 1, 1, 1, 1]])
    found = returns(given(x, known, *small_mixture()), (2, 5), "a probability of ink for each pixel")
    require(near(found[:, known], x[:, known]), "known pixels must stay what they are, 0 or 1")


@given.fact
def is_the_average_where_nothing_is_known(given):
    pi, p = small_mixture()
    found = returns(given(np.zeros((2, 5)), np.zeros(5, bool), pi, p), (2, 5))
    require(near(found, np.broadcast_to(pi @ p, (2, 5))), "where nothing is known, each pixel has its mean over the "
            "prototypes, each with its weight pi")


@given.fact
def is_the_exact_conditional(given):
    rng, (pi, p) = np.random.default_rng(3), small_mixture()
    for known in ([1, 1, 0, 0, 0], [0, 0, 1, 0, 1], [1, 1, 0, 1, 1]):
        seen, x = np.array(known, bool), (rng.random((6, 5)) < 0.5).astype(float)
        found = returns(given(x, seen, pi, p), (6, 5))
        require(near(found, by_counting(x, seen, pi, p)), "the probabilities must be those of a sum over all 32 images "
                "that have the known pixels: weigh the prototypes by pi and by the known pixels, inked or not")


@given.fact
def does_not_look(given):
    known, (pi, p) = np.array([True, True, False, False, True]), small_mixture()
    x = np.array([[1.0, 0, 1, 1, 0], [0, 1, 0, 1, 1]])
    other = returns(given(np.where(known, x, 1 - x), known, pi, p), (2, 5))
    require(near(returns(given(x, known, pi, p)), other), "what stands in the hidden pixels must not matter")
    hidden = returns(given(np.where(known, x, np.nan), known, pi, p), (2, 5))
    require(near(hidden, other), "hidden pixels may hold NaN: leave them out, do not multiply them by 0")


@given.fact
def holds_for_many_pixels(given):
    pi, p = small_mixture()
    x, known = np.tile([1.0, 0, 0, 1, 1], (2, 400)), np.arange(2000) < 1995
    found = returns(given(x, known, pi, np.tile(p, (1, 400))), (2, 2000))
    require(near(found[:, 1995:], np.tile(p[[0]], (2, 1))) | near(found[:, 1995:], np.tile(p[[2]], (2, 1))),
            "of 2,000 pixels the product is 0 to the computer: add logarithms, and take the largest out before exp")
    x = np.array([[1.0, 0, 1, 1, 0], [0, 1, 0, 1, 1]])
    same_alone(lambda rows: given(rows, np.array([True, True, False, False, True]), pi, p), x)


@exercise(
    why="if truth and draws come from one distribution, the truth is as likely to have any rank among them.",
    hints=[
        "How many of the n draws lie below the truth? If all is right, 0, 1, … n are equally likely.",
        "Of the n + 1 ranks leave out a twentieth at each end. Draws that equal the truth: it may stand before, "
        "between or after them, so draw its place among them at random.",
        "`rank = (draws < truth[:, None]).sum(axis=1) + rng.integers(0, (draws == truth[:, None]).sum(axis=1) + 1)`, "
        "and then `leave = round(0.05 * (n + 1))`",
    ],
)
def covered(draws, truth, rng):
    n, truth = draws.shape[1], truth[:, None]
    rank = (draws < truth).sum(axis=1) + rng.integers(0, (draws == truth).sum(axis=1) + 1)
    leave = round(0.05 * (n + 1))
    return (rank >= leave) & (rank <= n - leave)


def part_covered(covered, n, draw, N=20_000):
    """The part of N truths that an answer finds covered, by n draws each from the same distribution."""
    rng = np.random.default_rng(n)
    values = draw(rng, (N, n + 1))
    found = returns(covered(values[:, 1:], values[:, 0], np.random.default_rng(7)), (N,), "true or false for each")
    return np.mean(found)


@covered.fact
def is_nine_of_ten(covered):
    for n in (19, 39, 99):
        part = part_covered(covered, n, lambda rng, shape: rng.normal(size=shape))
        require(abs(part - 0.9) < 0.008, f"with {n} draws from the same distribution as the truth, 90 % of the truths "
                f"must be covered; yours covers {part:.1%}. Count ranks: there are n + 1 of them; leave out a "
                "twentieth at each end")


@covered.fact
def is_nine_of_ten_with_ties(covered):
    for most in (3, 20):
        part = part_covered(covered, 39, lambda rng, shape, most=most: rng.integers(0, most, size=shape).astype(float))
        require(abs(part - 0.9) < 0.008, f"where numbers are whole, from 0 to {most - 1}, many draws equal the "
                f"truth, and 90 % must be covered as before; yours covers {part:.1%}. Place the truth "
                "among its equals at random, before all, after all, or in between")


@covered.fact
def leaves_out_both_ends(covered):
    draws = np.tile(np.arange(1.0, 40), (6, 1))
    truth = np.array([0.5, 1.5, 2.5, 37.5, 38.5, 39.5])
    found = returns(covered(draws, truth, np.random.default_rng(0)), (6,)).astype(bool)
    require((found == [False, False, True, True, False, False]).all(), "of 39 draws, the two lowest and the two "
            "highest ranks must be left out, and no other")


@covered.fact
def looks_at_its_own_draws(covered):
    rng = np.random.default_rng(2)
    centre = 100.0 * np.arange(8)[:, None]
    draws, truth = centre + rng.normal(size=(8, 39)), np.where(np.arange(8) % 3 == 1, 1e4, centre[:, 0])
    found = returns(covered(draws, truth, np.random.default_rng(0)), (8,)).astype(bool)
    require((found == (np.arange(8) % 3 != 1)).all(), "each truth must be looked for among its own draws, in any order")
    shuffled = returns(covered(draws[:, ::-1], truth, np.random.default_rng(0)), (8,)).astype(bool)
    require((found == shuffled).all(), "the order in which the draws come must not matter")
