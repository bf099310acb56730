"""Exercises of notebook 11: images into squares, a rival made of histograms, a leak in scaling, a check for copies."""

import numpy as np

from helpers.exercises.engine import Exercise, require

# --- fit_into ----------------------------------------------------------------------------------------


def _fit_into(width, height, size):
    scale = size / max(width, height)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    return new_width, new_height, (size - new_width) // 2, (size - new_height) // 2


def _box(f, *args):
    found = f(*args)
    require(isinstance(found, (tuple, list)) and len(found) == 4, "it must return four numbers")
    require(all(float(v) == int(v) for v in found), f"pixels are whole numbers; yours are {tuple(found)}")
    return tuple(int(v) for v in found)


def _box_fills(f):
    for width, height in ((100, 50), (50, 100), (30, 30), (10, 7)):
        w, h, _, _ = _box(f, width, height, 28)
        require(max(w, h) == 28, "the longer side must fill the square exactly, also if the image must grow")
        require(min(w, h) <= 28, "no side may be longer than the square")


def _box_shape(f):
    w, h, _, _ = _box(f, 400, 200, 28)
    require((w, h) == (28, 14), "an image twice as wide as high must stay twice as wide as high")


def _box_middle(f):
    require(_box(f, 400, 200, 28)[2:] == (0, 7), "what is left free must be shared between both sides")
    require(_box(f, 28, 13, 28)[3] == 7, "of 15 free rows, 7 lie above and 8 below")


def _box_thin(f):
    _, h, left, top = _box(f, 5000, 3, 28)
    require(h == 1, "an image that is very long must not lose its shorter side: at least one pixel")
    require((left, top) == (0, 13), "the single row that is left lies in the middle, too")


fit_into = Exercise(
    "fit_into",
    _fit_into,
    "one scale for both sides keeps the shape, and the longer side decides which.",
    [_box_fills, _box_shape, _box_middle, _box_thin],
    [
        "Which side decides by how much the image is scaled?",
        "scale = size / max(width, height). Round both sides, and let none of them fall below 1.",
        "`left = (size - new_width) // 2`, and the same for top",
    ],
)

# --- histogram_nats ----------------------------------------------------------------------------------


def _histogram_nats(train, x, levels):
    counts = np.ones((train.shape[1], levels))
    for row in train:
        counts[np.arange(len(row)), row] += 1
    p = counts / counts.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(x.shape[1]), x]).sum(axis=1)


def _nats(f, train, x, levels):
    found = np.asarray(f(train, x, levels), float)
    require(found.shape == (len(x),), f"one number for each image, ({len(x)},); yours have shape {found.shape}")
    return found


def _every_image(levels, D):
    return np.stack(np.meshgrid(*[np.arange(levels)] * D, indexing="ij"), axis=-1).reshape(-1, D)


def _histogram_finite(f):
    train = np.zeros((4, 2), int)
    require(np.isfinite(_nats(f, train, np.array([[2, 1]]), 3)),
            "a level that training never showed has an infinite cost: start every count at one")  # fmt: skip


def _histogram_sums(f):
    train = np.random.default_rng(0).integers(0, 3, size=(7, 2))
    total = np.exp(-_nats(f, train, _every_image(3, 2), 3)).sum()
    require(abs(total - 1) < 1e-9, "the probabilities of all nine images of two pixels must sum to 1")


def _histogram_counts(f):
    train = np.array([[0], [0], [1]])
    found = _nats(f, train, np.array([[0], [1], [2]]), 3)
    require(np.abs(np.exp(-found) - np.array([3, 2, 1]) / 6) < 1e-9,
            "with one added, a level seen twice in three images counts three of six")  # fmt: skip


def _histogram_pixels(f):
    train = np.array([[0, 1], [0, 1], [0, 1], [0, 1]])
    a, b = _nats(f, train, np.array([[0, 1], [1, 0]]), 2)
    require(a < b, "each pixel must have a histogram of its own: here the first is always 0, the second always 1")


histogram_nats = Exercise(
    "histogram_nats",
    _histogram_nats,
    "independent pixels multiply, so their nats add; and with one added to every count nothing is impossible.",
    [_histogram_finite, _histogram_pixels, _histogram_counts, _histogram_sums],
    [
        "Make a table of counts (D, levels), ones to begin with.",
        "counts[np.arange(D), row] += 1 for every training image; divide each row of the table by its sum.",
        "`-np.log(p[np.arange(D), x]).sum(axis=1)`",
    ],
)

# --- scale: spot the leak ----------------------------------------------------------------------------


def _scale(train, test):
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / deviation, (test - mean) / deviation


def _scaled(f, train, test):
    found = f(train, test)
    require(isinstance(found, tuple) and len(found) == 2, "it must return two arrays: train, test")
    a, b = (np.asarray(part, float) for part in found)
    require(a.shape == train.shape and b.shape == test.shape, "the shapes must stay as they are")
    return a, b


def _scale_parts():
    rng = np.random.default_rng(0)
    return rng.normal(3, 2, size=(40, 3)), rng.normal(5, 1, size=(10, 3))


def _scale_train(f):
    a, _ = _scaled(f, *_scale_parts())
    require(np.abs(a.mean(axis=0)) < 1e-9, "each column of the training data must end with mean 0")
    require(np.abs(a.std(axis=0) - 1) < 1e-9, "each column of the training data must end with variance 1")


def _scale_leak(f):
    train, test = _scale_parts()
    a, _ = _scaled(f, train, test)
    b, _ = _scaled(f, train, test + 100)
    require(np.abs(a - b) < 1e-9, "the training data change when the test data do: something of the test leaks in")


def _scale_same(f):
    train, test = _scale_parts()
    _, b = _scaled(f, train, test)
    slope = (test[1] - test[0]) / (b[1] - b[0])
    require(np.abs(slope - train.std(axis=0)) < 1e-9, "train and test must be scaled by the very same numbers")
    _, whole = _scaled(f, train, train)
    require(np.abs(whole - _scaled(f, train, train)[0]) < 1e-9, "equal examples must stay equal in train and in test")


scale = Exercise(
    "scale",
    _scale,
    "mean and deviation are part of the model, so they are fitted on train alone, and used on both.",
    [_scale_train, _scale_leak, _scale_same],
    [
        "Which of the numbers that the function computes know the test data?",
        "Take mean and deviation from train alone. Do not take new ones for test, either.",
        "`mean, deviation = train.mean(axis=0), train.std(axis=0)`",
    ],
)

# --- copy_ratio --------------------------------------------------------------------------------------


def _copy_ratio(samples, train):
    distance = np.sqrt(((samples[:, None] - train[None]) ** 2).sum(axis=2))  # (N, M)
    nearest, second = np.sort(distance, axis=1)[:, :2].T
    return np.where(second > 0, nearest / np.where(second > 0, second, 1), 0.0)


def _ratios(f, samples, train):
    found = np.asarray(f(samples, train), float)
    require(found.shape == (len(samples),), f"one ratio for each sample; yours have shape {found.shape}")
    return found


def _ratio_by_hand(f):
    train = np.array([[0.0, 0.0], [4.0, 0.0], [100.0, 0.0]])
    require(np.abs(_ratios(f, np.array([[1.0, 0.0], [2.0, 0.0]]), train) - np.array([1 / 3, 1])) < 1e-9,
            "a sample 1 away from the nearest and 3 from the second has the ratio 1/3; halfway it is 1")  # fmt: skip


def _ratio_euclid(f):
    train = np.array([[3.0, 4.0], [0.0, 10.0]])
    require(abs(_ratios(f, np.zeros((1, 2)), train)[0] - 0.5) < 1e-9,
            "distances are Euclidean: (3, 4) is 5 away from (0, 0), and (0, 10) is 10")  # fmt: skip


def _ratio_copy(f):
    train = np.random.default_rng(0).random((6, 3))
    require(np.abs(_ratios(f, train[:3], train)) < 1e-6, "an exact copy of one training example has the ratio 0")


def _ratio_twice(f):
    train = np.array([[1.0, 1.0], [1.0, 1.0], [5.0, 5.0]])
    found = _ratios(f, np.array([[1.0, 1.0]]), train)
    require(np.isfinite(found), "0 / 0 is none: a copy of an example that is there twice counts as 0")
    require(found == 0, "a copy of an example that is there twice counts as 0")


copy_ratio = Exercise(
    "copy_ratio",
    _copy_ratio,
    "whoever copies is much nearer to one example than to any other, whatever the scale of the data.",
    [_ratio_by_hand, _ratio_euclid, _ratio_copy, _ratio_twice],
    [
        "All distances at once: samples[:, None] - train[None] has shape (N, M, D).",
        "Sort the distances of each sample, and take the first two. What if both are 0?",
        "`np.sort(distance, axis=1)[:, :2]`",
    ],
)
