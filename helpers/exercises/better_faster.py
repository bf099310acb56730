"""Exercises of notebook 09: a Pareto front, paired differences, warm-up, two comparisons that are not fair."""

import math

import numpy as np

from helpers.exercises.engine import Exercise, require

# --- pareto_front ------------------------------------------------------------------------------------


def _pareto_front(seconds, loss):
    faster = seconds[:, None] <= seconds  # (N, N): row i is at least as fast as column j
    better = loss[:, None] <= loss
    strictly = (seconds[:, None] < seconds) | (loss[:, None] < loss)
    return ~(faster & better & strictly).any(axis=0)


def _front(f, seconds, loss):
    found = np.asarray(f(np.array(seconds, float), np.array(loss, float)))
    require(found.shape == (len(seconds),), f"one True or False for each point, ({len(seconds)},); yours {found.shape}")
    require(found.dtype == bool, "give True and False, not numbers")
    return found


def _front_simple(f):
    require(_front(f, [1, 2, 3], [5, 6, 4]).tolist() == [True, False, True],
            "a point that is slower and worse than another is not on the front; the others are")  # fmt: skip


def _front_single(f):
    require(_front(f, [3], [2]).tolist() == [True], "a point alone is on the front: nothing beats it")
    require(_front(f, [2, 2], [7, 7]).tolist() == [True, True], "of two equal points neither beats the other")


def _front_ties(f):
    require(_front(f, [1, 1, 2], [5, 6, 5]).tolist() == [True, False, False],
            "equal in one and worse in the other is beaten, too")  # fmt: skip


def _front_random(f):
    rng = np.random.default_rng(0)
    for _ in range(20):
        seconds, loss = rng.integers(0, 8, 30), rng.integers(0, 8, 30)
        found = _front(f, seconds, loss)
        for i in range(30):
            beaten = any(s <= seconds[i] and n <= loss[i] and (s, n) != (seconds[i], loss[i])
                         for s, n in zip(seconds, loss))  # fmt: skip
            require(found[i] != beaten, "a point is on the front exactly if no other is as good in both and better in "
                                        "one; the order of the points must not matter")  # fmt: skip


pareto_front = Exercise(
    "pareto_front",
    _pareto_front,
    "a point is beaten by one that is at least as good in both and better in at least one.",
    [_front_simple, _front_single, _front_ties, _front_random],
    [
        "Say in words when point i beats point j. Both conditions of a tie matter.",
        "Compare all with all: seconds[:, None] <= seconds is an (N, N) table.",
        "`~(faster & better & strictly).any(axis=0)`, strictly meaning < in at least one of the two",
    ],
)

# --- paired_difference -------------------------------------------------------------------------------


def _paired_difference(a, b):
    d = a - b
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))


def _pair(f, a, b):
    found = f(np.array(a, float), np.array(b, float))
    require(isinstance(found, tuple) and len(found) == 2, "return two numbers: the mean difference, its standard error")
    return float(found[0]), float(found[1])


def _pair_mean(f):
    require(abs(_pair(f, [3, 5, 10], [1, 2, 3])[0] - 4) < 1e-9, "the first number is the mean of a - b")


def _pair_shared(f):
    luck = np.random.default_rng(0).normal(size=6) * 10
    require(_pair(f, luck + 1, luck)[1] < 1e-9,
            "if a is b + 1 for every seed, the difference is certain, however much the seeds differ")  # fmt: skip


def _pair_error(f):
    require(abs(_pair(f, [1, -1], [0, 0])[1] - 1) < 1e-9,
            "two differences, +1 and -1: their deviation (with n - 1) is √2, the error of their mean 1")  # fmt: skip
    one = _pair(f, [1, 2, 3, 5], [0, 0, 0, 1])[1]
    four = _pair(f, [1, 2, 3, 5] * 4, [0, 0, 0, 1] * 4)[1]
    require(0.4 < four / one < 0.5, "four times as many seeds roughly halve the error: divide by √n")


paired_difference = Exercise(
    "paired_difference",
    _paired_difference,
    "subtracting seed by seed takes out what the seeds share; the error of a mean of n is sd / √n.",
    [_pair_mean, _pair_shared, _pair_error],
    [
        "Subtract first; look at the spread afterwards.",
        "The standard deviation of n differences needs ddof=1, and their mean is √n times as sure.",
        "`d = a - b`, then `d.mean(), d.std(ddof=1) / np.sqrt(len(d))`",
    ],
)

# --- warm_cosine -------------------------------------------------------------------------------------


def _warm_cosine(step, steps, lr, warmup):
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def _rates(f, steps, lr, warmup):
    return np.array([float(f(step, steps, lr, warmup)) for step in range(steps)])


def _warm_rise(f):
    found = _rates(f, 100, 0.8, 4)
    require(np.abs(found[:4] - [0.2, 0.4, 0.6, 0.8]) < 1e-9,
            "with warmup=4 the first four rates are a quarter, a half, three quarters and all of lr")  # fmt: skip


def _warm_half(f):
    require(abs(float(f(55, 100, 2.0, 10)) - 1) < 1e-9,
            "halfway between the end of the warm-up and the end of training the rate is lr / 2")  # fmt: skip


def _warm_fall(f):
    found = _rates(f, 200, 1.0, 20)
    require(np.diff(found[20:]) < 0, "after the warm-up the rate falls at every step")
    require(found[-1] < 1e-3, "and ends near 0")


def _warm_none(f):
    found = _rates(f, 50, 0.3, 0)
    require(abs(found[0] - 0.3) < 1e-9, "without a warm-up (warmup=0) it begins at lr")
    require(np.abs(found - 0.15 * (1 + np.cos(np.pi * np.arange(50) / 50))) < 1e-9, "and is half a cosine wave")


warm_cosine = Exercise(
    "warm_cosine",
    _warm_cosine,
    "a straight line up to lr, then half a cosine wave over the steps that are left.",
    [_warm_rise, _warm_half, _warm_fall, _warm_none],
    [
        "Two cases: step < warmup, and the rest. In the second, how far is training, from 0 to 1?",
        "Of the steps after the warm-up, (step - warmup) / (steps - warmup) are done.",
        "`lr * 0.5 * (1 + math.cos(math.pi * done))`, and before that `lr * (step + 1) / warmup`",
    ],
)

# --- choose: spot the bug ----------------------------------------------------------------------------


def _choose(valid, test):
    best = int(valid.mean(axis=1).argmin())
    return best, test[best].mean()


def _chosen(f, valid, test):
    found = f(np.array(valid, float), np.array(test, float))
    require(isinstance(found, tuple) and len(found) == 2, "return two things: the setting's number, its test figure")
    return int(found[0]), float(found[1])


VALID, TEST = [[3.0, 5.0], [3.5, 3.7], [6.0, 2.9]], [[9.0, 9.0], [8.0, 6.0], [4.0, 2.0]]


def _choose_valid(f):
    require(_chosen(f, VALID, TEST)[0] == _chosen(f, VALID, TEST[::-1])[0],
            "the choice changes when the test figures do: then the test has been used for choosing")  # fmt: skip


def _choose_mean(f):
    require(_chosen(f, VALID, TEST)[0] == 1,
            "choose the setting with the lowest *mean* over seeds; one lucky seed is no better setting")  # fmt: skip


def _choose_reported(f):
    require(abs(_chosen(f, VALID, TEST)[1] - 7) < 1e-9,
            "report the mean test figure of the chosen setting: not its validation figure, nor one seed")  # fmt: skip


choose = Exercise(
    "choose",
    _choose,
    "what chose cannot judge: validation chooses, the test is looked at once, and lucky seeds count for neither.",
    [_choose_valid, _choose_mean, _choose_reported],
    [
        "Which of the two splits may have a say in the choice?",
        "There are two mistakes here: the split, and a minimum over seeds.",
        "`best = int(valid.mean(axis=1).argmin())`, and `test[best].mean()`",
    ],
)

# --- epochs_for: spot the bug ------------------------------------------------------------------------


def _epochs_for(sizes, batch_size, steps):
    return [steps * batch_size / n for n in sizes]


def _planned(f, sizes, batch_size, steps):
    found = np.asarray(f(sizes, batch_size, steps), float)
    require(found.shape == (len(sizes),), "one number of epochs for each size")
    return found


def _epochs_steps(f):
    sizes = [100, 400, 1600]
    steps = _planned(f, sizes, 20, 800) * np.array(sizes) / 20
    require(np.abs(steps - steps[0]) < 1e-6,
            "the runs do not take equally many steps of the optimiser: the largest set gets more training")  # fmt: skip


def _epochs_count(f):
    require(abs(_planned(f, [500], 50, 200)[0] - 20) < 1e-9,
            "200 steps of 50 are 10,000 images, so each of 500 is seen 20 times")  # fmt: skip
    require(abs(_planned(f, [1000], 10, 250)[0] - 2.5) < 1e-9, "an epoch may be unfinished: 250 steps of 10 see 1,000 "
                                                                "images two and a half times")  # fmt: skip


epochs_for = Exercise(
    "epochs_for",
    _epochs_for,
    "a run of `steps` sees steps · batch_size images, each of n of them steps · batch_size / n times.",
    [_epochs_steps, _epochs_count],
    [
        "How many steps does one epoch have, for the smallest and for the largest set?",
        "All must see equally many images: steps · batch_size of them.",
        "`[steps * batch_size / n for n in sizes]`",
    ],
)
