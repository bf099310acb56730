"""Exercises of Digits out of noise: the other guidance, bits per dimension, a velocity without a label."""

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns, same_alone

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.models.families.matching": ("waves", "Block", "Velocity", "dequantise", "quantise", "squared_error",
                                         "follow", "with_divergence", "signs", "log_density"),
}


@exercise(
    why="in the published convention 1 guides nothing, so the weight counts from the field without a label.",
    hints=[
        "Which weight must give v itself, in the published convention? What does your colleague's code give there?",
        "Their weight is 1 + w. Our formula is v + w (v − free).",
        "`free + weight * (v - free)`, which is `v + (weight - 1) * (v - free)`",
    ],
)
def published_guidance(v, free, weight):
    return free + weight * (v - free)


@published_guidance.fact
def one_guides_nothing(published_guidance):
    v, free = np.random.default_rng(0).normal(size=(2, 5, 3))
    found = returns(published_guidance(v, free, 1.0), (5, 3), "one velocity for each point")
    require(near(found, v), "in the published convention a weight of 1 guides nothing: it must give v, told the label")


@published_guidance.fact
def zero_forgets_the_label(published_guidance):
    v, free = np.random.default_rng(1).normal(size=(2, 5, 3))
    require(near(returns(published_guidance(v, free, 0.0), (5, 3)), free),
            "a published weight of 0 tells no label at all: it must give the velocity without one")


@published_guidance.fact
def is_ours_less_one(published_guidance):
    v, free = np.random.default_rng(2).normal(size=(2, 4, 2))
    for weight in (1.5, 3.0, 7.5):
        w = weight - 1
        require(near(returns(published_guidance(v, free, weight), (4, 2)), v + w * (v - free)),
                f"a published weight of {weight} is our w = {w}: v + w (v − free)")


@exercise(
    why="a bin is 2 / levels wide, so each dimension adds log(2 / levels) to log p before it is a bound on log P.",
    hints=[
        "What does a density that is the same everywhere from −1 to 1 cost, in bits per dimension? All levels are "
        "equally probable then.",
        "The probability of a bin is about density × width. How wide is a bin, when `levels` of them fill −1 to 1?",
        "`-(log_p + D * np.log(2 / levels)) / (D * np.log(2))`",
    ],
)
def bits_per_dimension(log_p, D, levels):
    return -(log_p + D * np.log(2 / levels)) / (D * np.log(2))


@bits_per_dimension.fact
def even_chances_cost_log2_of_the_levels(bits_per_dimension):
    for D, levels in ((64, 17), (12, 256), (5, 2)):
        log_p = np.full(3, -D * np.log(2.0))  # a density of 1/2 in each dimension
        found = returns(bits_per_dimension(log_p, D, levels), (3,), "one number for each image")
        require(near(found, np.log2(levels)),
                f"a density of 1/2 everywhere from −1 to 1 makes all {levels} levels equally probable: that costs "
                "log2(levels) bits per dimension. How wide is a bin, in each of the D dimensions?")


@bits_per_dimension.fact
def a_sure_level_costs_nothing(bits_per_dimension):
    D, levels = 10, 17
    log_p = np.full(2, D * np.log(levels / 2))  # all of it in one bin, evenly
    require(near(returns(bits_per_dimension(log_p, D, levels), (2,)), 0),
            "where the density lies in one bin alone, evenly, the level is sure and costs 0 bits")


@bits_per_dimension.fact
def counts_bits_of_one_dimension(bits_per_dimension):
    log_p = np.array([-30.0, -10.0, 25.0])
    found = returns(bits_per_dimension(log_p, 20, 17), (3,))
    require(near(found[0] - found[1], 20 / (20 * np.log(2))),
            "a nat is 1 / ln 2 bits, shared by D dimensions; and a higher density must cost fewer bits")
    same_alone(bits_per_dimension, log_p, rest=(20, 17), fact="each image must be scored by itself")


@exercise(
    why="the mean velocity of all paths is the mean over labels, weighted by how probable each label is at that place.",
    hints=[
        "At one place and time, paths of all labels pass. How probable is label k there? Use Bayes.",
        "The weights are shares × p(x | k), made to add to 1 over k. With logarithms: subtract the largest first.",
        "`a = np.log(shares)[:, None] + log_p; r = np.exp(a - a.max(axis=0)); r /= r.sum(axis=0)`, and then the sum "
        "of `r[:, :, None] * v` over the labels.",
    ],
)
def without_label(v, log_p, shares):
    a = np.log(shares)[:, None] + log_p
    r = np.exp(a - a.max(axis=0))
    return ((r / r.sum(axis=0))[:, :, None] * v).sum(axis=0)


def fields(seed, K=3, N=6, D=2):
    """Velocities (K, N, D), log-densities (K, N) and shares (K,) that add to 1."""
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.2, 1, K)
    return rng.normal(size=(K, N, D)), rng.normal(size=(K, N)), shares / shares.sum()


@without_label.fact
def where_labels_agree(without_label):
    v, log_p, shares = fields(0)
    v[:] = v[0]
    found = returns(without_label(v, log_p, shares), (6, 2), "one velocity for each point")
    require(near(found, v[0]), "where all labels say the same velocity, so must the field without a label: the weights "
            "must add to 1 over the labels, at each point")


@without_label.fact
def where_densities_agree(without_label):
    v, log_p, shares = fields(1)
    found = returns(without_label(v, 0 * log_p - 3, shares), (6, 2))
    require(near(found, np.tensordot(shares, v, 1)),
            "where all labels are equally dense, they count by their shares: a label that is more frequent counts more")


@without_label.fact
def where_one_label_is_far_denser(without_label):
    v, log_p, shares = fields(2)
    log_p[1] += 200.0
    require(near(returns(without_label(v, log_p, shares), (6, 2)), v[1]),
            "where one label is far denser than the others, its velocity alone must be left")
    log_p -= 5000.0
    require(near(returns(without_label(v, log_p, shares), (6, 2)), v[1]),
            "far from all data every density is 0 to the computer: work with logarithms, and subtract the largest")
    v, log_p, shares = fields(3)
    log_p[:, ::2] -= 3000.0
    require(near(returns(without_label(v, log_p, shares), (6, 2)), without_label_by_rows(v, log_p, shares)),
            "some points may be near the data and others far away: subtract the largest over the labels at each point, "
            "not over all points")


def without_label_by_rows(v, log_p, shares):
    """The same, point by point, with densities that are moved into the range of the computer first."""
    rows = []
    for n in range(v.shape[1]):
        weights = shares * np.exp(log_p[:, n] - log_p[0, n])
        rows.append((weights[:, None] * v[:, n]).sum(axis=0) / weights.sum())
    return np.array(rows)


@without_label.fact
def is_the_field_of_the_mixture(without_label):
    """Gaussians of one width on a line: their own velocities, and that of all of them, which is known."""
    m, shares, s, t = np.array([-1.0, 0.5, 2.0]), np.array([0.5, 0.3, 0.2]), 0.4, 0.6
    x, variance = np.linspace(-2, 2, 9), (1 - t) ** 2 + (t * s) ** 2
    off = x - t * m[:, None]  # (K, N)
    v, p = m[:, None] + (t * s**2 - (1 - t)) / variance * off, np.exp(-(off**2) / (2 * variance))
    truth = (shares[:, None] * p * v).sum(axis=0) / (shares[:, None] * p).sum(axis=0)
    found = returns(without_label(v[:, :, None], np.log(p), shares), (9, 1))
    require(near(found[:, 0], truth), "of three Gaussians on a line, it must be the mean velocity of all paths that "
            "pass: weigh each label by shares × p(x | label)")
