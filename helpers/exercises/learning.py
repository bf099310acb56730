"""Exercises of notebook 02: gradients, optimisers, and choosing honestly."""

import numpy as np

from helpers.exercises.engine import Exercise, Wrong, require
from helpers.scratch.losses import gaussian_nll


def _random(seed=0):
    return np.random.default_rng(seed)


# --- relu_backward -----------------------------------------------------------------------------------


def _relu_backward(x, dy):
    return dy * (x > 0)


def _relu_shape(f):
    dx = np.asarray(f(_random().standard_normal((4, 3)), np.ones((4, 3))))
    require(dx.shape == (4, 3), f"dx has the shape of x, here (4, 3); yours has {dx.shape}")


def _relu_blocks(f):
    x = -np.abs(_random(1).standard_normal((5, 4))) - 0.1
    require(f(x, np.ones((5, 4))) == 0, "where x is negative the output stays 0: the gradient is 0 there")


def _relu_passes(f):
    rng = _random(2)
    x, dy = np.abs(rng.standard_normal((5, 4))) + 0.1, rng.standard_normal((5, 4))
    require(np.abs(f(x, dy) - dy) < 1e-12, "where x is positive, y = x: the gradient dy must pass unchanged")


relu_backward = Exercise(
    "relu_backward",
    _relu_backward,
    "the slope is 1 where x is positive and 0 where it is negative, so the chain rule switches dy on or off.",
    [_relu_shape, _relu_blocks, _relu_passes],
    [
        "Draw max(x, 0). What is its slope for x = -3? For x = 3?",
        "By the chain rule dx = dy times the slope, for each number by itself.",
        "`x > 0` is True or False, and counts as 1 or 0 in a product.",
    ],
)

# --- momentum_step -----------------------------------------------------------------------------------


def _momentum_step(theta, v, grad, lr, momentum):
    v = momentum * v + grad
    return theta - lr * v, v


def _tuple(result, n, what):
    require(isinstance(result, tuple) and len(result) == n, f"it must return {n} things: {what}")
    return [np.asarray(r, float) for r in result]


def _momentum_order(f):
    first, second = _tuple(f(np.full(2, 5.0), np.zeros(2), np.zeros(2), 0.1, 0.9), 2, "theta and v")
    require((first == 5) & (second == 0), "with no gradient and no velocity nothing may change: return theta, then v")


def _momentum_none(f):
    theta, grad = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    new, _ = _tuple(f(theta, np.zeros(2), grad, 0.1, 0.0), 2, "theta and v")
    require(np.abs(new - (theta - 0.1 * grad)) < 1e-12, "without momentum it must be plain gradient descent, downhill")


def _momentum_coasts(f):
    theta, v = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    new, after = _tuple(f(theta, v, np.zeros(2), 0.1, 0.5), 2, "theta and v")
    require(np.abs(after - 0.5 * v) < 1e-12, "with zero gradient the velocity must shrink by the factor momentum")
    require(
        np.abs(new - (theta - 0.1 * after)) < 1e-12,
        "with zero gradient theta must keep rolling, by lr times the new velocity",
    )


def _momentum_limit(f):
    theta, v = np.zeros(1), np.zeros(1)
    for _ in range(400):
        theta, v = _tuple(f(theta, v, np.ones(1), 0.1, 0.9), 2, "theta and v")
    require(
        abs(v[0] - 10) < 1e-6,
        "under a constant gradient of 1 the velocity must grow to 1 / (1 - momentum): it adds up gradients, it does "
        "not average them",
    )


momentum_step = Exercise(
    "momentum_step",
    _momentum_step,
    "the velocity is a decaying sum of gradients, and theta moves against the velocity instead of the gradient.",
    [_momentum_order, _momentum_none, _momentum_coasts, _momentum_limit],
    [
        "First the velocity, then the weights. The weights use the *new* velocity.",
        "The velocity is momentum times its old value, plus the gradient.",
        "`v = momentum * v + grad` makes a new array; `v *= momentum` would change the argument.",
    ],
)

# --- adam_step ---------------------------------------------------------------------------------------


def _adam_step(theta, m, v, grad, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return theta - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def _adam_first(f):
    for scale in (1.0, 1e3):
        grad = scale * np.array([1.0, -2.0, 5.0])
        theta, _, _ = _tuple(f(np.zeros(3), np.zeros(3), np.zeros(3), grad, 1, lr=0.01), 3, "theta, m and v")
        require(np.isfinite(theta), "the first step gives NaN or infinity; t counts from 1, and v is a mean of squares")
        require(np.sign(theta) == -np.sign(grad), "the first step must go downhill, against the sign of the gradient")
        require(
            np.abs(np.abs(theta) - 0.01) < 1e-6,
            "the first step must have length lr for every weight, whatever the size of its gradient; is lr used, are "
            "both means corrected by 1 - beta^t, and is v the mean of the squared gradient under a root?",
        )


def _adam_means(f):
    zero, theta = np.zeros(2), np.zeros(2)
    _, m, v = _tuple(f(theta, zero, zero, np.array([2.0, -4.0]), 1), 3, "theta, m and v")
    require(
        np.abs(m - [0.2, -0.4]) < 1e-12,
        "the returned m must be the running mean itself, before its correction, and beta1 belongs to m",
    )
    require(np.abs(v - [0.004, 0.016]) < 1e-12, "the returned v must be the running mean of the square, uncorrected")


def _adam_constant(f):
    theta, m, v = np.zeros(1), np.zeros(1), np.zeros(1)
    for t in range(1, 51):
        before = theta
        theta, m, v = _tuple(f(theta, m, v, np.array([3.0]), t, lr=0.1), 3, "theta, m and v")
    require(
        abs(before[0] - theta[0] - 0.1) < 1e-6,
        "under a constant gradient every step must have length lr, also the fiftieth; does the correction use t?",
    )


def _adam_eps(f):
    theta, _, _ = _tuple(f(np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1), 1), 3, "theta, m and v")
    require(np.isfinite(theta), "with a gradient of zero you divide 0 by 0; eps belongs in the denominator")
    tiny, _, _ = _tuple(f(np.zeros(1), np.zeros(1), np.zeros(1), np.array([1e-8]), 1, lr=1.0), 3, "theta, m and v")
    require(
        abs(tiny[0] + 0.5) < 1e-3,
        "a gradient as small as eps must make half a step: eps is added to the root, not put under it",
    )


adam_step = Exercise(
    "adam_step",
    _adam_step,
    "two running means, each divided by the fraction of weight that it has collected so far.",
    [_adam_first, _adam_means, _adam_constant, _adam_eps],
    [
        "Five lines: m, v, m_hat, v_hat, theta.",
        "After t steps the weights inside m sum to 1 - beta1^t; dividing by that makes it a proper mean.",
        "theta - lr * m_hat / (sqrt(v_hat) + eps); return m and v without the hats.",
    ],
)

# --- best_sigma --------------------------------------------------------------------------------------


def _best_sigma(x, y):
    return np.sqrt(np.mean((x - y) ** 2))


def _sigma_number(f):
    rng = _random(3)
    s = np.asarray(f(rng.random((6, 3)), rng.random((6, 3))))
    require(s.size == 1, f"it must be one number for all examples and all dimensions; yours has shape {s.shape}")


def _sigma_scales(f):
    rng = _random(4)
    x, y = rng.random((10, 4)), rng.random((10, 4))
    require(
        abs(f(3 * x, 3 * y) - 3 * f(x, y)) < 1e-9,
        "when all errors are three times as large, σ must be three times as large: it is a standard deviation, not "
        "a variance",
    )


def _sigma_minimum(f):
    rng = _random(5)
    for D in (1, 7):
        x, y = rng.standard_normal((50, D)), rng.standard_normal((50, D))
        s = float(f(x, y))
        if not s > 0:
            raise Wrong("a standard deviation is positive")
        nll = [gaussian_nll(x, y, k * s)[0].mean() for k in (0.999, 1.0, 1.001)]
        require(
            nll[1] <= min(nll),
            "a slightly larger or smaller σ gives a lower nll, so yours is not the minimum; every one of the N·D "
            "numbers counts, as an error around y, not around the mean",
        )


best_sigma = Exercise(
    "best_sigma",
    _best_sigma,
    "the derivative of error²/2σ² + log σ is zero where σ² is the mean of error²; so squared error, minimised and "
    "then put into the best σ, is a likelihood.",
    [_sigma_number, _sigma_scales, _sigma_minimum],
    [
        "Write the nll of one number as a function of σ and differentiate: the terms are error²/2σ² and log σ.",
        "The derivative is zero when σ² equals the mean of error², over all examples and dimensions.",
        "`np.sqrt(np.mean((x - y) ** 2))`",
    ],
)

# --- standardise: spot the bug -----------------------------------------------------------------------


def _standardise(train, test):
    mean, spread = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / spread, (test - mean) / spread


def _splits(seed=6):
    rng = _random(seed)
    return 3 + 2 * rng.standard_normal((30, 4)), 1 + rng.standard_normal((20, 4))


def _standardise_shapes(f):
    train, test = _splits()
    a, b = _tuple(f(train, test), 2, "train and test")
    require(a.shape == train.shape and b.shape == test.shape, "both splits must keep their shapes")


def _standardise_no_leak(f):
    train, test = _splits()
    a, _ = _tuple(f(train, test), 2, "train and test")
    b, _ = _tuple(f(train, test + 100), 2, "train and test")
    require(
        np.abs(a - b) < 1e-9,
        "the training split comes out differently when the test split changes: it has learned something about test",
    )


def _standardise_train(f):
    a, _ = _tuple(f(*_splits()), 2, "train and test")
    require(np.abs(a.mean(axis=0)) < 1e-9, "every column of the training split must have mean 0")
    require(
        np.abs(a.std(axis=0) - 1) < 1e-9, "every column of the training split must have spread (standard deviation) 1"
    )


def _standardise_same_map(f):
    train, _ = _splits()
    a, b = _tuple(f(train, train[:7].copy()), 2, "train and test")
    require(
        np.abs(a[:7] - b) < 1e-9,
        "an example must come out the same whether it stands in train or in test; with a mean and a spread of its own, "
        "the test split is changed in another way than the model was trained on",
    )


standardise = Exercise(
    "standardise",
    _standardise,
    "whatever is fitted, a mean and a spread included, is fitted on train alone, and then applied to every split.",
    [_standardise_shapes, _standardise_no_leak, _standardise_train, _standardise_same_map],
    [
        "Which split may a model learn from? A mean is learned, too.",
        "Compute the mean and the spread from the training split only.",
        "Use these two numbers of each column for both splits.",
    ],
)
