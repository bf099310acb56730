"""Exercises of Losses and gradients: derivatives by hand, each checked by what must hold of it."""

import numpy as np

from helpers.exercises.engine import exercise, near, parts, require, returns
from helpers.scratch.gradcheck import numerical_gradient
from helpers.scratch.losses import gaussian_nll

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.scratch": (
        "gaussian_nll", "sigmoid", "softplus", "bernoulli_nll", "numerical_gradient", "relative_error", "Linear",
        "Tanh", "Sequential", "mlp",
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
    require(near(relu_backward(x, dy), dy), fact)


@relu_backward.fact
def treats_each_number_by_itself(relu_backward):
    x, dy = np.random.default_rng(3).standard_normal((2, 6, 4))
    x[0, 0], x[1, 1] = 0.02, -0.02
    dx = returns(relu_backward(x, dy), x.shape)
    fact = "each number of x decides about its own dy, whatever its neighbours are: passed where x > 0, else 0"
    require(near(dx[x > 0], dy[x > 0]) & True, fact)
    require(near(dx[x < 0], 0), fact)


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
    why="each entry of scale touches its number of every example, with strength x, so its gradient adds up over the "
    "batch; shift does so with strength 1; and x passes dy on, stretched by scale.",
    hints=[
        "x[n, d] touches y[n, d] only. scale[d] and shift[d] touch column d of every example.",
        "What touches every example gets a sum over the batch: axis 0.",
        "`dy * scale`, `(dy * x).sum(axis=0)`, `dy.sum(axis=0)`",
    ],
)
def scale_shift_backward(x, scale, dy):
    return dy * scale, (dy * x).sum(axis=0), dy.sum(axis=0)


def three_gradients(scale_shift_backward, x, scale, dy):
    """dx, dscale and dshift, of the shapes that they must have."""
    dx, dscale, dshift = parts(scale_shift_backward(x, scale, dy), "dx", "dscale", "dshift")
    require(dx.shape == x.shape, "dx has the shape of x: a gradient for each number of each example")
    fact = "has one gradient for each of the D numbers: what touches every example adds up over the batch"
    require(dscale.shape == scale.shape, f"dscale {fact}")
    require(dshift.shape == scale.shape, f"dshift {fact}")
    return dx, dscale, dshift


@scale_shift_backward.fact
def agrees_with_central_differences(scale_shift_backward):
    rng = np.random.default_rng(6)
    x, dy = rng.standard_normal((2, 5, 4))
    scale, shift = rng.standard_normal((2, 4))
    wanted = (
        ("dx", x, "y = scale · x + shift, so x passes dy on, stretched by scale"),
        ("dscale", scale, "scale[d] touches column d of every example, with strength x[n, d]: a sum, not a mean"),
        ("dshift", shift, "shift[d] touches column d of every example, with strength 1: a sum, not a mean"),
    )
    for (name, array, fact), ours in zip(wanted, three_gradients(scale_shift_backward, x, scale, dy)):
        truth = numerical_gradient(lambda: ((scale * x + shift) * dy).sum(), array)
        require(near(ours, truth, 1e-6), f"{name} differs from central differences; {fact}")


@scale_shift_backward.fact
def holds_for_a_batch_of_one(scale_shift_backward):
    x, scale, dy = np.array([[2.0, -1.0]]), np.array([0.5, 3.0]), np.array([[1.0, 4.0]])
    dx, dscale, dshift = three_gradients(scale_shift_backward, x, scale, dy)
    fact = "in a batch of one, dx is dy · scale, dscale is dy · x, and dshift is dy"
    require(near(dx, dy * scale) & near(dscale, (dy * x)[0]) & near(dshift, dy[0]), fact)
