"""Exercises of Better, faster: a Pareto front, a difference paired by seed, and a comparison that is not fair."""

import numpy as np

from helpers.evaluation import compare
from helpers.exercises.engine import exercise, near, require, returns

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.experiments.knobs": ("build", "learn", "train_one", "race", "may_win"),
}

pareto_front = exercise(
    why="a point is beaten by one that is at least as good in both and better in at least one.",
    hints=[
        "Say in words when point i beats point j. Both conditions of a tie matter.",
        "Compare all with all: seconds[:, None] <= seconds is an (N, N) table.",
        "`~(faster & better & strictly).any(axis=0)`, strictly meaning < in at least one of the two",
    ],
)(compare.pareto_front)


def on_the_front(pareto_front, seconds, loss):
    found = pareto_front(np.array(seconds, float), np.array(loss, float))
    found = returns(found, (len(seconds),), "one True or False for each point", dtype=None)
    require(found.dtype == bool, "give True and False, not numbers")
    return found.tolist()


@pareto_front.fact
def leaves_out_the_slower_and_worse(pareto_front):
    fact = "a point that is slower and worse than another is not on the front; the others are"
    require(on_the_front(pareto_front, [1, 2, 3], [5, 6, 4]) == [True, False, True], fact)


@pareto_front.fact
def keeps_equal_points(pareto_front):
    require(on_the_front(pareto_front, [3], [2]) == [True], "a point alone is on the front: nothing beats it")
    fact = "of two equal points neither beats the other"
    require(on_the_front(pareto_front, [2, 2], [7, 7]) == [True, True], fact)


@pareto_front.fact
def leaves_out_what_ties_in_one(pareto_front):
    fact = "equal in one and worse in the other is beaten, too"
    require(on_the_front(pareto_front, [1, 1, 2], [5, 6, 5]) == [True, False, False], fact)


@pareto_front.fact
def is_what_nothing_beats(pareto_front):
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = list(zip(*rng.integers(0, 8, (2, 30)).tolist()))
        for (s, n), stays in zip(points, on_the_front(pareto_front, *zip(*points))):
            require(
                stays != any(a <= s and b <= n and (a, b) != (s, n) for a, b in points),
                "a point is on the front exactly if no other is as good in both and better in one; the order of the "
                "points must not matter",
            )


paired_difference = exercise(
    why="subtracting seed by seed takes out what the seeds share; the error of a mean of n is sd / √n.",
    hints=[
        "Subtract first; look at the spread afterwards.",
        "The standard deviation of n differences needs ddof=1, and their mean is √n times as sure.",
        "`d = a - b`, then `d.mean(), d.std(ddof=1) / np.sqrt(len(d))`",
    ],
)(compare.paired_difference)


def mean_and_error(paired_difference, a, b):
    what = "two numbers: the mean difference, its standard error"
    return returns(paired_difference(np.array(a, float), np.array(b, float)), (2,), what)


@paired_difference.fact
def begins_with_the_mean(paired_difference):
    mean, _ = mean_and_error(paired_difference, [3, 5, 10], [1, 2, 3])
    require(near(mean, 4), "the first number is the mean of a - b")
    mean, _ = mean_and_error(paired_difference, [0.5, 1, 0.25], [1, 0, 5.5])
    require(near(mean, -4.75 / 3), "the first number is the mean of a - b, which may be negative and need not be whole")


@paired_difference.fact
def takes_out_what_seeds_share(paired_difference):
    luck = np.random.default_rng(0).normal(size=6) * 10
    _, error = mean_and_error(paired_difference, luck + 1, luck)
    require(error < 1e-5, "if a is b + 1 for every seed, the difference is certain, however much the seeds differ")


@paired_difference.fact
def is_the_error_of_a_mean(paired_difference):
    error = mean_and_error(paired_difference, [1, -1], [0, 0])[1]
    fact = "that is the spread of the differences; the error of their mean is smaller, by √n"
    require(not near(error, np.sqrt(2)), fact)
    fact = "two differences, +1 and -1: their deviation (with n - 1, not n) is √2, the error of their mean 1"
    require(near(error, 1), fact)
    one, four = (mean_and_error(paired_difference, [1, 2, 3, 5] * n, [0, 0, 0, 1] * n)[1] for n in (1, 4))
    require(0.4 < four / one < 0.5, "four times as many seeds roughly halve the error: divide by √n")


@paired_difference.fact
def keeps_the_pairs(paired_difference):
    _, error = mean_and_error(paired_difference, [0, 1], [1, 0])
    fact = "seed i of a belongs to seed i of b: 0, 1 against 1, 0 differ by -1 and 1, and that is far from certain"
    require(near(error, 1), fact)
    _, error = mean_and_error(paired_difference, [0, 8.25], [0.5, -4.75])
    require(near(error, 6.75), "the error of a mean of two differences, -0.5 and 13, is half of what lies between them")


@exercise(
    why="what chose cannot judge: validation chooses, the test is looked at once, and lucky seeds count for neither.",
    hints=[
        "Which of the two splits may have a say in the choice?",
        "There are two mistakes here: the split that chooses, and a minimum over seeds, which stands twice.",
        "`best = int(valid.mean(axis=1).argmin())`, and `test[best].mean()`",
    ],
)
def choose(valid, test):
    best = int(valid.mean(axis=1).argmin())
    return best, test[best].mean()


# setting 3 has the luckiest seed, setting 1 the lowest median, setting 2 the lowest mean, and setting 3 wins the test
VALID = np.array([[3.0, 5.0, 5.3], [3.5, 3.7, 9.0], [4.0, 4.2, 4.1], [6.0, 2.9, 8.0]])
TEST = np.array([[9.3, 9.1, 9.5], [8.0, 6.0, 7.0], [12.0, 7.1, 8.2], [4.0, 2.0, 3.0]])


def chosen(choose, test=TEST):
    return returns(choose(VALID.copy(), test.copy()), (2,), "two numbers: the setting's number, its test bound")


@choose.fact
def is_no_longer_as_found(choose):
    number, bound = chosen(choose)
    fact = "the bugs are still in: on a sweep where setting 2 is worth 9.1, it answers that setting 3 is worth 2.0"
    require((number, bound) != (3, 2.0), fact)


@choose.fact
def does_not_choose_by_the_test(choose):
    require(
        chosen(choose)[0] == chosen(choose, TEST[::-1])[0],
        "the choice changes when the test bounds do: then the test has been used for choosing",
    )


@choose.fact
def chooses_by_the_mean(choose):
    fact = "choose the setting with the lowest *mean* over seeds; one lucky seed is no better setting"
    require(chosen(choose)[0] == 2, fact)


@choose.fact
def reports_the_test(choose):
    fact = "report the mean test bound of the chosen setting: not its validation bound, nor one seed"
    require(near(chosen(choose)[1], 9.1), fact)
    moved = TEST.copy()
    moved[2] = [0.21, 0.43, 0.17]
    require(near(chosen(choose, moved)[1], 0.27), fact)
