"""Exercises of Your own model: images into squares, a rival of histograms, weights taken over, a check for copies."""

import numpy as np

from helpers.exercises.engine import Wrong, exercise, near, require, returns

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.experiments.adapt": ("sets", "average", "start"),
}


@exercise(
    why="one scale for both sides keeps the shape, and the longer side decides which.",
    hints=[
        "Which side decides by how much the image is scaled?",
        "scale = size / max(width, height). Round both sides, and let none of them fall below 1.",
        "`left = (size - new_width) // 2`, and the same for top",
    ],
)
def fit_into(width, height, size):
    scale = size / max(width, height)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    return new_width, new_height, (size - new_width) // 2, (size - new_height) // 2


def box(fit_into, width, height, size=28):
    """Width, height, left and top in a square of ``size``."""
    found = returns(fit_into(width, height, size), (4,), "four numbers")
    require(found == found.round(), f"pixels are whole numbers; yours are {found.tolist()}")
    return found.astype(int).tolist()


@fit_into.fact
def fills_the_square(fit_into):
    for width, height in ((100, 50), (50, 100), (30, 30), (10, 7)):
        w, h, _, _ = box(fit_into, width, height)
        require(max(w, h) <= 28, "no side may be longer than the square: the longer one decides how much is scaled")
        grow = ", also if the image must grow" if max(width, height) < 28 else ""
        require(max(w, h) == 28, f"the longer side must fill the square exactly{grow}")


@fit_into.fact
def keeps_the_shape(fit_into):
    require(box(fit_into, 400, 200)[:2] == [28, 14], "an image twice as wide as high must stay twice as wide as high")
    for width, height, exact, nearest in ((10, 7, 19.6, 20), (100, 33, 9.24, 9)):
        _, h, _, _ = box(fit_into, width, height)
        fact = f"a side of {exact:g} pixels is rounded to the nearest whole number, {nearest}"
        require(h == nearest, f"{fact}; yours is {h} ({width} x {height} in a square of 28)")


@fit_into.fact
def lies_in_the_middle(fit_into):
    require(box(fit_into, 400, 200)[2:] == [0, 7], "what is left free must be shared between both sides")
    require(box(fit_into, 28, 13)[3] == 7, "of 15 free rows, 7 lie above and 8 below")
    require(box(fit_into, 200, 400)[2:] == [7, 0], "what is left free beside a high image is shared between both sides")
    require(box(fit_into, 4, 28)[2:] == [12, 0], "of 24 free columns, 12 lie on either side")
    for width, height, size in ((11, 7, 64), (3, 8, 32), (640, 480, 100)):
        w, h, left, top = box(fit_into, width, height, size)
        fact = f"{width} x {height} in a square of {size}: the longer side fills it, the shorter is in proportion"
        require(max(w, h) == size and abs(w * height - h * width) <= max(width, height) / 2, fact)
        even = 0 <= size - w - 2 * left <= 1 and 0 <= size - h - 2 * top <= 1
        require(even, "on both sides must lie equally many free pixels")


@fit_into.fact
def leaves_at_least_a_pixel(fit_into):
    _, h, left, top = box(fit_into, 5000, 3)
    require(h == 1, "an image that is very long must not lose its shorter side: at least one pixel")
    require((left, top) == (0, 13), "the single row that is left lies in the middle, too")


@exercise(
    why="independent pixels multiply, so their nats add; and with one added to every count nothing is impossible.",
    hints=[
        "Make a table of counts (D, levels), ones to begin with.",
        "counts[np.arange(D), row] += 1 for every training image; divide each row of the table by its sum.",
        "`-np.log(p[np.arange(D), x]).sum(axis=1)`",
    ],
)
def histogram_nats(train, x, levels):
    counts = np.ones((train.shape[1], levels))
    for row in train:
        counts[np.arange(len(row)), row] += 1
    p = counts / counts.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(x.shape[1]), x]).sum(axis=1)


def nats(histogram_nats, train, x, levels):
    return returns(histogram_nats(np.array(train), np.array(x), levels), (len(x),), "one number for each image")


@histogram_nats.fact
def expects_unseen_levels(histogram_nats):
    fact = "a level that training never showed has an infinite cost: start every count at one"
    require(np.isfinite(nats(histogram_nats, np.zeros((4, 2), int), [[2, 1]], 3)), fact)


@histogram_nats.fact
def has_a_histogram_for_every_pixel(histogram_nats):
    likely, unlikely = nats(histogram_nats, [[0, 1]] * 4, [[0, 1], [1, 0]], 2)
    fact = "each pixel must have a histogram of its own: here the first is always 0, the second always 1"
    require(likely < unlikely, fact)


@histogram_nats.fact
def begins_counting_at_one(histogram_nats):
    found = nats(histogram_nats, [[0], [0], [1]], [[0], [1], [2]], 3)
    fact = "with one added, a level seen twice in three images counts three of six"
    bits = near(2.0**-found, np.array([3, 2, 1]) / 6).all()
    require(not bits, "these are bits; for nats take np.log, not np.log2")
    require(near(np.exp(-found), np.array([3, 2, 1]) / 6), fact)


@histogram_nats.fact
def knows_how_many_levels_there_are(histogram_nats):
    found = nats(histogram_nats, [[0], [2], [2]], [[2], [0], [1]], 4)
    fact = "with levels=4 a level seen twice in three images counts three of seven, though level 3 was never shown"
    require(near(np.exp(-found), np.array([3, 2, 1]) / 7), fact)
    train = [[0, 2, 1], [0, 1, 1], [3, 2, 0], [0, 2, 1]]
    found = nats(histogram_nats, train, [[3, 1, 0], [0, 2, 1]], 4)
    fact = "the nats of an image are the sum over its pixels, each by the histogram of its own column"
    require(near(found, -np.log([2 * 2 * 2 / 8**3, 4 * 4 * 4 / 8**3])), fact)


@histogram_nats.fact
def sums_to_one(histogram_nats):
    train = np.random.default_rng(0).integers(0, 3, size=(7, 2))
    total = np.exp(-nats(histogram_nats, train, [[a, b] for a in range(3) for b in range(3)], 3)).sum()
    require(near(total, 1), "the probabilities of all nine images of two pixels must sum to 1")


@exercise(
    why="what fits is taken from the trained model; what does not fit starts anew, and the networks stay as they are.",
    hints=[
        "`{**new, **trained}` has every name of both. Which names may the result have?",
        "Go through `new.items()`, and decide for each name: is it in trained, and is the shape there the same?",
        "`trained[name] if name in trained and trained[name].shape == array.shape else array`",
    ],
)
def take_over(new, trained):
    return {
        name: trained[name] if name in trained and trained[name].shape == array.shape else array
        for name, array in new.items()
    }


def taken(take_over, new, trained):
    """What take_over returns of dicts of lists, as a dict of arrays."""
    as_arrays = lambda weights: {name: np.array(numbers, float) for name, numbers in weights.items()}
    try:
        found = take_over(as_arrays(new), as_arrays(trained))
    except Wrong as wrong:
        fact = "is not in both models: a name that the trained model lacks keeps the new numbers"
        require(not isinstance(wrong.__cause__, KeyError), f"your code stops, since {wrong.__cause__} {fact}")
        raise
    require(isinstance(found, dict), f"it must give a dict of arrays, by name; yours is a {type(found).__name__}")
    return {name: returns(array) for name, array in found.items()}


@take_over.fact
def takes_what_fits(take_over):
    found = taken(take_over, {"W": [[0, 0], [0, 0]], "b": [0, 0]}, {"b": [5, 6], "W": [[1, 2], [3, 4]]})
    fact = "where name and shape agree, the numbers are those of the trained model"
    require({"W", "b"} == set(found), "every name of the new model must be in the result")
    require(found["W"].shape == (2, 2) and near(found["W"], [[1, 2], [3, 4]]), fact)
    require(found["b"].shape == (2,) and near(found["b"], [5, 6]), fact)


@take_over.fact
def keeps_what_does_not_fit(take_over):
    new, trained = {"W": [[1, 2, 3], [4, 5, 6]], "b": [7]}, {"W": [[9, 9], [9, 9], [9, 9]], "b": [9, 9]}
    found = taken(take_over, new, trained)
    fact = "an array of another shape cannot be used: the new model's own stays, also if as many numbers are there"
    require("W" in found and found["W"].shape == (2, 3) and near(found["W"], new["W"]), fact)
    require("b" in found and found["b"].shape == (1,) and near(found["b"], [7]), fact)


@take_over.fact
def has_the_names_of_the_new_model(take_over):
    found = taken(take_over, {"W": [[1, 2]], "average": [3, 4]}, {"W": [[5, 6]], "mean": [8, 8], "old": [1]})
    require("average" in found, "a name that the trained model lacks keeps the new numbers; it must not be lost")
    require(set(found) == {"W", "average"}, "a name that the new model does not have must not be in the result")
    require(near(found["average"], [3, 4]), "an array is taken by its name, not because its shape fits")
    require(near(found["W"], [[5, 6]]), "one name that does not fit is no reason to leave the others")


@take_over.fact
def looks_at_each_name_alone(take_over):
    new = {"a": [0, 0], "b": [0, 0, 0], "c": [0, 0], "d": 0}
    found = taken(take_over, new, {"c": [1, 2], "b": [3, 4], "a": [5, 6], "d": 7})
    fact = "every name decides for itself, in whatever order the two models have them"
    wanted = {"a": [5, 6], "b": [0, 0, 0], "c": [1, 2], "d": 7}
    require(set(found) == set(wanted), fact)
    for name, numbers in wanted.items():
        require(np.shape(found[name]) == np.shape(numbers) and near(found[name], numbers), fact)
    none = taken(take_over, new, {})
    require(set(none) == set(new) and near(none["a"], 0), "of a model without weights nothing is taken")


@exercise(
    why="whoever copies is much nearer to one example than to any other, whatever the scale of the data.",
    hints=[
        "All distances at once: samples[:, None] - train[None] has shape (N, M, D).",
        "Sort the distances of each sample, and take the first two. What if both are 0?",
        "`np.sort(distance, axis=1)[:, :2]`",
    ],
)
def copy_ratio(samples, train):
    distance = np.sqrt(((samples[:, None] - train[None]) ** 2).sum(axis=2))  # (N, M)
    nearest, second = np.sort(distance, axis=1)[:, :2].T
    return np.where(second > 0, nearest / np.where(second > 0, second, 1), 0.0)


def ratios(copy_ratio, samples, train):
    samples, train = np.array(samples, float), np.array(train, float)
    return returns(copy_ratio(samples, train), (len(samples),), "one ratio for each sample")


@copy_ratio.fact
def divides_nearest_by_second(copy_ratio):
    found = ratios(copy_ratio, [[1, 0], [2, 0]], [[0, 0], [4, 0], [100, 0]])
    fact = "a sample 1 away from the nearest and 3 from the second has the ratio 1/3; halfway it is 1"
    require(near(found, [1 / 3, 1]), fact)
    found = ratios(copy_ratio, [[0.2, 0], [0.05, 0], [0.4, 0]], [[0, 0], [0.5, 0]])
    require(near(found, [2 / 3, 1 / 9, 1 / 4]), "the ratio has no scale: 0.05 away and 0.45 away is 1/9")


@copy_ratio.fact
def is_euclidean(copy_ratio):
    fact = "distances are Euclidean: (3, 4) is 5 away from (0, 0), and (0, 10) is 10"
    require(near(ratios(copy_ratio, [[0, 0]], [[3, 4], [0, 10]]), 0.5), fact)


@copy_ratio.fact
def of_a_copy_is_0(copy_ratio):
    train = np.random.default_rng(0).random((6, 3))
    fact = "an exact copy of one training example has the ratio 0"
    require(near(ratios(copy_ratio, train[:3], train), 0, 1e-6), fact)


@copy_ratio.fact
def of_a_copy_of_twins_is_0(copy_ratio):
    found = ratios(copy_ratio, [[1, 1]], [[1, 1], [1, 1], [5, 5]])
    require(np.isfinite(found), "0 / 0 gives nan: where both distances are 0, the ratio must be 0")
    require(found == 0, "a copy of an example that is there twice counts as 0")
