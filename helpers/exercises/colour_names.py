"""Exercises of Text, name a colour: a nucleus, a temperature, a control with wrong colours, names read backwards."""

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.data.colours": ("parts", "Words"),
    "helpers.evaluation.naming": ("well_made", "apart"),
}


@exercise(
    why="a symbol stays if the likelier ones have less than top_p together, so the first always does.",
    hints=[
        "Sort from likely to unlikely. How much do the symbols *before* this one have?",
        "Keep a symbol while that is below top_p; put 0 elsewhere, in the original order; divide by the sum.",
        "`already = np.cumsum(p[order]) - p[order]`, and keep `order[already < top_p]`",
    ],
)
def nucleus(p, top_p):
    order = np.argsort(-p, kind="stable")
    already = np.cumsum(p[order]) - p[order]  # what the likelier symbols have
    kept = np.zeros_like(p)
    kept[order[already < top_p]] = p[order[already < top_p]]
    return kept / kept.sum()


FIVE = np.array([0.05, 0.5, 0.03, 0.3, 0.12])  # probabilities of five symbols


def cut(nucleus, top_p):
    """What is left of FIVE, and which symbols stay."""
    found = returns(nucleus(FIVE, top_p), (5,), "one probability for each symbol, in the same order")
    fact = "the symbol that crosses the line belongs to the nucleus, so the likeliest symbol must always stay"
    require(np.isfinite(found), f"at top_p = {top_p} nothing is left: {fact}")
    require(near(found.sum(), 1), "what is left must be divided by its sum: probabilities sum to 1")
    stays = found > 0
    fact = "a symbol that goes is likelier than one that stays: is each still in its old place, the order of p?"
    require(FIVE[stays].min() >= FIVE[~stays].max(initial=0), fact)
    return found, np.nonzero(found)[0].tolist()


@nucleus.fact
def keeps_the_likeliest(nucleus):
    fact = "the likeliest symbol has top_p alone here: it stays, and no other does"
    require(cut(nucleus, 0.3)[1] == [1], fact)


@nucleus.fact
def reaches_top_p(nucleus):
    fact = "0.5 is less than top_p = 0.7, so the next likeliest is needed: the set must *reach* top_p"
    require(cut(nucleus, 0.7)[1] == [1, 3], fact)
    require(cut(nucleus, 0.9)[1] == [1, 3, 4], "0.5 + 0.3 is less than 0.9, with 0.12 it is enough")


@nucleus.fact
def keeps_ratios(nucleus):
    found, _ = cut(nucleus, 0.7)
    require(near(found[1] / found[3], 0.5 / 0.3), "among those that stay, ratios stay")


@nucleus.fact
def keeps_as_few_as_possible(nucleus):
    p = np.array([0.125, 0.5, 0.125, 0.25])
    fact = "0.5 + 0.25 is exactly top_p = 0.75: that is enough, and no symbol more stays"
    require(near(nucleus(p, 0.75), np.array([0, 2, 0, 1]) / 3), fact)
    found = returns(nucleus(np.full(4, 0.25), 0.5), (4,))
    require(near(np.sort(found), [0, 0, 0.5, 0.5]), "of four equal symbols two are enough for 0.5, not all that tie")


@nucleus.fact
def keeps_all_for_top_p_1(nucleus):
    require(near(cut(nucleus, 1.0)[0], FIVE), "with top_p = 1 nothing is cut")


@exercise(
    why="logits are log p but for a constant, so dividing them by the temperature raises p to 1 / temperature.",
    hints=[
        "Take logarithms, divide by the temperature, and come back. What is missing then?",
        "The sum must be 1 again. And subtract the largest logarithm first, or a small temperature gives only zeros.",
        "`a = np.log(p) / temperature`, then `e = np.exp(a - a.max())`, and divide by the sum",
    ],
)
def sharpen(p, temperature):
    with np.errstate(divide="ignore"):  # the logarithm of 0
        a = np.log(p) / temperature
    e = np.exp(a - a.max())
    return e / e.sum()


def warmed(sharpen, temperature, p=FIVE):
    found = returns(sharpen(p, temperature), p.shape, "one probability for each symbol, in the same order")
    require(np.isfinite(found), "the powers of all probabilities become 0 here: work with logarithms less the largest")
    require(near(found.sum(), 1), "after the change, probabilities must sum to 1 again")
    return found


@sharpen.fact
def changes_nothing_at_1(sharpen):
    require(near(warmed(sharpen, 1.0), FIVE), "at a temperature of 1 nothing changes")


@sharpen.fact
def squares_ratios_at_a_half(sharpen):
    found = warmed(sharpen, 0.5)
    fact = "at a temperature of 1/2 a symbol that was twice as probable as another becomes four times as probable"
    require(near(found[1:] / found[:-1], (FIVE[1:] / FIVE[:-1]) ** 2, 1e-6), fact)


@sharpen.fact
def takes_roots_above_1(sharpen):
    found = warmed(sharpen, 3.0)
    fact = "at a temperature of 3 a symbol that was eight times as probable becomes twice as probable"
    require(near(found[1:] / found[:-1], (FIVE[1:] / FIVE[:-1]) ** (1 / 3), 1e-6), fact)


@sharpen.fact
def survives_a_low_temperature(sharpen):
    found = warmed(sharpen, 0.0001)
    require(near(found, FIVE == FIVE.max(), 1e-6), "close to a temperature of 0 only the likeliest symbol is left")


@sharpen.fact
def keeps_the_impossible_impossible(sharpen):
    for temperature in (0.7, 3.0):  # the higher, the more a tiny number in place of 0 becomes
        found = warmed(sharpen, temperature, np.array([0.0, 0.75, 0.25]))
        require(near(found[0], 0), "a symbol of probability 0 keeps it, at any temperature")


@exercise(
    why="a control must break the pairs and nothing else: the same colours, whole, each with a wrong name.",
    hints=[
        "A colour is a row. Does the colleague move rows, or single numbers?",
        "With a random order of the rows some may stay where they are. How do you make sure that none does?",
        "Give each row of a random order the colour of the one before it: `out[order] = c[np.roll(order, 1)]`",
    ],
)
def other_colours(c, rng):
    order = rng.permutation(len(c))
    out = np.empty_like(c)
    out[order] = c[np.roll(order, 1)]
    return out


def mixed(other_colours, n, seed):
    """n different colours, and what is made of them."""
    c = np.random.default_rng(n).random((n, 3))
    return c, returns(other_colours(c, np.random.default_rng(seed)), (n, 3), "a colour for each name")


@other_colours.fact
def keeps_colours_whole(other_colours):
    for n in (2, 3, 8, 40):
        c, found = mixed(other_colours, n, n)
        fact = "a colour is a row of three numbers that stay together: each must be one of those given"
        require((np.abs(found[:, None] - c).max(axis=2) < 1e-6).any(axis=1), fact)


@other_colours.fact
def uses_each_colour_once(other_colours):
    for n in (2, 3, 8, 40):
        c, found = mixed(other_colours, n, n)
        fact = "every colour must turn up once, so that the control has the same colours as the data"
        require((np.abs(found[:, None] - c).max(axis=2) < 1e-6).sum(axis=0) == 1, fact)


@other_colours.fact
def leaves_no_colour_in_its_place(other_colours):
    for seed in range(20):
        c, found = mixed(other_colours, 5, seed)
        fact = "some name kept its own colour: a random order can leave a row where it was"
        require(np.abs(found - c).max(axis=1) > 1e-6, fact)


@other_colours.fact
def draws_it_from_rng(other_colours):
    results = {mixed(other_colours, 8, seed)[1].tobytes() for seed in range(6)}
    require(len(results) > 3, "another rng must give another order: draw it from rng")
    one, again = (mixed(other_colours, 8, 1)[1] for _ in range(2))
    require(near(one, again), "the same seed must give the same order")


@exercise(
    why="the rank says how many colours the model would rather have heard than the right one.",
    hints=[
        "Row i is one name under all colours. Which column is its own colour?",
        "Count in each row how many colours are likelier than the one on the diagonal; the best rank is 1.",
        "`1 + (log_p > np.diag(log_p)[:, None]).sum(axis=1)`",
    ],
)
def own_rank(log_p):
    return 1 + (log_p > np.diag(log_p)[:, None]).sum(axis=1)


def ranked(own_rank, log_p):
    return returns(own_rank(np.array(log_p, float)), (len(log_p),), "one rank for each name")


@own_rank.fact
def is_1_where_the_own_colour_is_best(own_rank):
    fact = "where a name is likeliest under its own colour, the diagonal, its rank is 1"
    require(ranked(own_rank, 5 * np.eye(4) - 9) == 1, fact)


@own_rank.fact
def is_the_last_where_it_is_worst(own_rank):
    fact = "where every other of four colours makes the name likelier, the rank of its own is 4"
    require(ranked(own_rank, -5 * np.eye(4) - 9) == 4, fact)


@own_rank.fact
def compares_within_a_row(own_rank):
    log_p = np.array([[-9.0, -8.8, -8.7], [-30, -20, -25], [-1, -3, -2]])
    fact = "compare the colours of one name, which stand in a row: some names are improbable under every colour"
    require(ranked(own_rank, log_p) == [3, 1, 2], fact)
    require(ranked(own_rank, log_p + [[40], [0], [-40]]) == [3, 1, 2], fact)


@own_rank.fact
def counts_only_more_probable_ones(own_rank):
    fact = "a colour under which the name is only as probable as under its own does not come before it"
    require(ranked(own_rank, [[-2.0, -2, -5], [-4, -3, -3], [-9, -8, -7]]) == 1, fact)
