"""Exercises of Learning: gradients, optimisers, and choosing honestly."""

import numpy as np

from helpers.exercises.engine import exercise, near, parts, require, returns
from helpers.scratch.losses import gaussian_nll

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.scratch": (
        "gaussian_nll", "sigmoid", "softplus", "bernoulli_nll", "numerical_gradient", "relative_error", "Linear",
        "Tanh", "Sequential", "mlp", "pack", "SGD", "Adam",
    ),
}


@exercise(
    why="the slope is 1 where x is positive and 0 where it is negative, so the chain rule switches dy on or off.",
    hints=[
        "Draw max(x, 0). What is its slope for x = -3? For x = 3?",
        "By the chain rule dx = dy times the slope, for each number by itself.",
        "`x > 0` is True or False, and counts as 1 or 0 in a product.",
    ],
)
def relu_backward(x, dy):
    return dy * (x > 0)


@relu_backward.fact
def has_the_shape_of_x(relu_backward):
    x = np.random.default_rng(0).standard_normal((4, 3))
    returns(relu_backward(x, np.ones((4, 3))), (4, 3), "a gradient for each number of x")


@relu_backward.fact
def is_zero_where_x_is_negative(relu_backward):
    x = -np.abs(np.random.default_rng(1).standard_normal((5, 4))) - 0.1
    dx = returns(relu_backward(x, np.ones((5, 4))))
    require(dx == 0, "where x is negative the output stays 0: the gradient is 0 there")


@relu_backward.fact
def is_dy_where_x_is_positive(relu_backward):
    rng = np.random.default_rng(2)
    x, dy = np.abs(rng.standard_normal((5, 4))) + 0.1, rng.standard_normal((5, 4))
    fact = "where x is positive, y = x: the gradient dy must pass unchanged"
    require(near(relu_backward(x, dy), dy, 1e-12), fact)


@exercise(
    why="the velocity is a decaying sum of gradients, and theta moves against the velocity instead of the gradient.",
    hints=[
        "First the velocity, then the weights. The weights use the *new* velocity.",
        "The velocity is momentum times its old value, plus the gradient.",
        "`v = momentum * v + grad` makes a new array; `v *= momentum` would change the argument.",
    ],
)
def momentum_step(theta, v, grad, lr, momentum):
    v = momentum * v + grad
    return theta - lr * v, v


def theta_and_v(result):
    return parts(result, "theta", "v")


@momentum_step.fact
def rests_without_gradient_and_velocity(momentum_step):
    theta, v = theta_and_v(momentum_step(np.full(2, 5.0), np.zeros(2), np.zeros(2), 0.1, 0.9))
    require((theta == 5) & (v == 0), "with no gradient and no velocity nothing may change: return theta, then v")


@momentum_step.fact
def is_gradient_descent_without_momentum(momentum_step):
    theta, grad = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    new, _ = theta_and_v(momentum_step(theta, np.zeros(2), grad, 0.1, 0.0))
    require(near(new, theta - 0.1 * grad, 1e-12), "without momentum it must be plain gradient descent, downhill")


@momentum_step.fact
def rolls_on_without_gradient(momentum_step):
    theta, v = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    new, after = theta_and_v(momentum_step(theta, v, np.zeros(2), 0.1, 0.5))
    require(near(after, 0.5 * v, 1e-12), "with zero gradient the velocity must shrink by the factor momentum")
    fact = "with zero gradient theta must keep rolling, by lr times the new velocity"
    require(near(new, theta - 0.1 * after, 1e-12), fact)


@momentum_step.fact
def adds_up_gradients(momentum_step):
    theta, v = np.zeros(1), np.zeros(1)
    for _ in range(400):
        theta, v = theta_and_v(momentum_step(theta, v, np.ones(1), 0.1, 0.9))
    require(
        near(v, 10, 1e-6),
        "under a constant gradient of 1 the velocity must grow to 1 / (1 - momentum): it adds up gradients, it does "
        "not average them",
    )


@exercise(
    why="two running means, each divided by the fraction of weight that it has collected so far.",
    hints=[
        "Five lines: m, v, m_hat, v_hat, theta.",
        "After t steps the weights inside m sum to 1 - beta1^t; dividing by that makes it a proper mean.",
        "theta - lr * m_hat / (sqrt(v_hat) + eps); return m and v without the hats.",
    ],
)
def adam_step(theta, m, v, grad, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return theta - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def first_step(adam_step, grad, **settings):
    """theta, m and v after the first step from zeros."""
    theta, m, v = np.zeros((3, len(grad)))
    return parts(adam_step(theta, m, v, np.array(grad), 1, **settings), "theta", "m", "v")


@adam_step.fact
def begins_with_a_step_of_length_lr(adam_step):
    for scale in (1.0, 1e3):
        grad = scale * np.array([1.0, -2.0, 5.0])
        theta, _, _ = first_step(adam_step, grad, lr=0.01)
        require(np.isfinite(theta), "the first step gives NaN or infinity; t counts from 1, and v is a mean of squares")
        require(np.sign(theta) == -np.sign(grad), "the first step must go downhill, against the sign of the gradient")
        require(
            near(np.abs(theta), 0.01, 1e-6),
            "the first step must have length lr for every weight, whatever the size of its gradient; is lr used, are "
            "both means corrected by 1 - beta^t, and is v the mean of the squared gradient under a root?",
        )


@adam_step.fact
def returns_uncorrected_means(adam_step):
    _, m, v = first_step(adam_step, [2.0, -4.0])
    require(
        near(m, [0.2, -0.4], 1e-12),
        "the returned m must be the running mean itself, before its correction, and beta1 belongs to m",
    )
    require(near(v, [0.004, 0.016], 1e-12), "the returned v must be the running mean of the square, uncorrected")


@adam_step.fact
def keeps_its_pace_under_a_constant_gradient(adam_step):
    theta, m, v = np.zeros((3, 1))
    for t in range(1, 51):
        before = theta
        theta, m, v = parts(adam_step(theta, m, v, np.array([3.0]), t, lr=0.1), "theta", "m", "v")
    require(
        near(before - theta, 0.1, 1e-6),
        "under a constant gradient every step must have length lr, also the fiftieth; does the correction use t?",
    )


@adam_step.fact
def has_eps_beside_the_root(adam_step):
    theta, _, _ = first_step(adam_step, [0.0])
    require(np.isfinite(theta), "with a gradient of zero you divide 0 by 0; eps belongs in the denominator")
    theta, _, _ = first_step(adam_step, [1e-8], lr=1.0)
    fact = "a gradient as small as eps must make half a step: eps is added to the root, not put under it"
    require(near(theta, -0.5, 1e-3), fact)


@exercise(
    why="the derivative of error²/2σ² + log σ is zero where σ² is the mean of error²; so squared error, minimised and "
    "then put into the best σ, is a likelihood.",
    hints=[
        "Write the nll of one number as a function of σ and differentiate: the terms are error²/2σ² and log σ.",
        "The derivative is zero when σ² equals the mean of error², over all examples and dimensions.",
        "`np.sqrt(np.mean((x - y) ** 2))`",
    ],
)
def best_sigma(x, y):
    return np.sqrt(np.mean((x - y) ** 2))


@best_sigma.fact
def is_one_number(best_sigma):
    x, y = np.random.default_rng(3).random((2, 6, 3))
    returns(best_sigma(x, y), (), "one number for all examples and all dimensions")


@best_sigma.fact
def grows_with_the_errors(best_sigma):
    x, y = np.random.default_rng(4).random((2, 10, 4))
    require(
        near(best_sigma(3 * x, 3 * y), 3 * returns(best_sigma(x, y))),
        "when all errors are three times as large, σ must be three times as large: it is a standard deviation, not "
        "a variance",
    )


@best_sigma.fact
def is_the_minimum(best_sigma):
    rng = np.random.default_rng(5)
    for D in (1, 7):
        x, y = rng.standard_normal((2, 50, D))
        sigma = returns(best_sigma(x, y), ())
        require(sigma > 0, "a standard deviation is positive")
        nll = [gaussian_nll(x, y, k * sigma)[0].mean() for k in (0.999, 1.0, 1.001)]
        require(
            nll[1] <= min(nll),
            "a slightly larger or smaller σ gives a lower nll, so yours is not the minimum; every one of the N·D "
            "numbers counts, as an error around y, not around the mean",
        )


@exercise(
    why="whatever is fitted, a mean and a spread included, is fitted on train alone, and then applied to every split.",
    hints=[
        "Which split may a model learn from? A mean is learned, too.",
        "Compute the mean and the spread from the training split only.",
        "Use these two numbers of each column for both splits.",
    ],
)
def standardise(train, test):
    mean, spread = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / spread, (test - mean) / spread


def is_fitted_on_train(scaled, **wording):
    """Add the facts of scaling both splits by what train says: in the order of ``wording``, each with its message."""
    rng = np.random.default_rng(6)
    train, test = 3 + 2 * rng.standard_normal((30, 4)), 1 + rng.standard_normal((20, 4))

    def ours(answer, train=train, test=test):
        a, b = parts(answer(train, test), "train", "test")
        require(a.shape == train.shape and b.shape == test.shape, "both splits must keep their shapes")
        return a, b

    def has_mean_0(answer):
        require(near(ours(answer)[0].mean(axis=0), 0), wording["has_mean_0"])

    def has_spread_1(answer):
        require(near(ours(answer)[0].std(axis=0), 1), wording["has_spread_1"])

    def learns_nothing_about_test(answer):
        require(near(ours(answer)[0], ours(answer, test=test + 100)[0]), wording["learns_nothing_about_test"])

    def treats_both_alike(answer):
        a, b = ours(answer, test=train[:7].copy())
        require(near(a[:7], b), wording["treats_both_alike"])

    facts = {fact.__name__: fact for fact in (has_mean_0, has_spread_1, learns_nothing_about_test, treats_both_alike)}
    for name in wording:
        scaled.fact(facts[name])


is_fitted_on_train(
    standardise,
    learns_nothing_about_test="the training split comes out differently when the test split changes: it has learned "
    "something about test",
    has_mean_0="every column of the training split must have mean 0",
    has_spread_1="every column of the training split must have spread (standard deviation) 1",
    treats_both_alike="an example must come out the same whether it stands in train or in test; with a mean and a "
    "spread of its own, the test split is changed in another way than the model was trained on",
)
