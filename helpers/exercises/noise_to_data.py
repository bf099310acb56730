"""Exercises of From noise to data: the velocity of a path, a floor by hand, Heun's rule, noise to velocity."""

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns


@exercise(
    why="the path is a sum of two parts, and only its weights, sine and cosine, change with time.",
    hints=[
        "Velocity is the derivative of x_t by t; x and ε do not change on the way.",
        "The derivative of sin(a t) is a cos(a t), that of cos(a t) is −a sin(a t). Here a is π/2.",
        "`np.pi / 2 * (np.cos(np.pi / 2 * t) * x - np.sin(np.pi / 2 * t) * noise)`",
    ],
)
def path_velocity(x, noise, t):
    angle = np.pi / 2 * t
    return np.pi / 2 * (np.cos(angle) * x - np.sin(angle) * noise)


def curved(x, noise, t):
    return np.sin(np.pi / 2 * t) * x + np.cos(np.pi / 2 * t) * noise


@path_velocity.fact
def starts_toward_the_data(path_velocity):
    x, noise = np.random.default_rng(0).normal(size=(2, 5, 3))
    found = returns(path_velocity(x, noise, 0.0), (5, 3), "one velocity for each point")
    require(not near(found, x - noise).all(), "x − ε is the velocity of the straight path; this one is curved")
    require(near(found, np.pi / 2 * x), "at time 0 the cosine is flat, so the path begins in the direction of x, with "
            "the slope of the sine, π/2")


@path_velocity.fact
def is_the_slope_of_the_path(path_velocity):
    x, noise = np.random.default_rng(1).normal(size=(2, 4, 2))
    for t in (0.2, 0.5, 0.9):
        slope = (curved(x, noise, t + 1e-5) - curved(x, noise, t - 1e-5)) / 2e-5
        require(near(returns(path_velocity(x, noise, t), (4, 2)), slope, 1e-6),
                f"at t = {t} it must be the slope of the path: (x_t a moment later − a moment before) / time between")


@exercise(
    why="given x_t, only x is open: its variance is 1 − tanh², and x − ε is x divided by 1 − t, plus a constant.",
    hints=[
        "At one x_t, what is the variance of x? Its square is always 1, and its mean is given in the cell.",
        "Var(x | x_t) = 1 − tanh²(…). Divide by (1 − t)², as x − ε = (x − x_t) / (1 − t). Then average over x_t.",
        "By symmetry take x = 1: x_t = t + (1 − t) ε. Average over many ε, or over a grid of them with Normal weights.",
    ],
)
def two_point_floor(t):
    noise = np.linspace(-8, 8, 4001)
    weights = np.exp(-(noise**2) / 2)
    x_t = t + (1 - t) * noise  # of paths to x = 1; those to −1 are their mirror image
    variance = 1 - np.tanh(t * x_t / (1 - t) ** 2) ** 2
    return (weights * variance).sum() / weights.sum() / (1 - t) ** 2


@two_point_floor.fact
def is_the_variance_of_the_data_at_first(two_point_floor):
    found = returns(two_point_floor(0.0), ())
    require(near(found, 1, 0.01), "at time 0 the place is noise and tells nothing of x, so the floor is the variance "
            "of x; and x is −1 or +1")


@two_point_floor.fact
def vanishes_at_the_end(two_point_floor):
    found = returns(two_point_floor(0.9), ())
    require(near(found, 0, 0.01), "near the data each place belongs to one point: at t = 0.9 nothing is left open")


@two_point_floor.fact
def is_what_the_mean_velocity_leaves(two_point_floor):
    x_t = np.linspace(-10, 10, 40001)
    for t in (0.2, 0.4, 0.5, 0.65):
        p = sum(np.exp(-((x_t - end * t) ** 2) / 2 / (1 - t) ** 2) for end in (-1, 1))
        v = (np.tanh(t * x_t / (1 - t) ** 2) - x_t) / (1 - t)
        found = returns(two_point_floor(t), ())
        require(near(found + (p * v**2).sum() / p.sum(), 2, 0.01),
                f"at t = {t} the floor and the mean of v² must add to 2, the mean of (x − ε)²: average over x_t, and "
                "mind how x − ε depends on x")


@exercise(
    why="the mean of the slopes at both ends is right to second order: the error falls as h², not as h.",
    hints=[
        "There are two questions: `v(x, t)`, and one at the place that Euler's step reaches. At what time is that?",
        "`first = v(x, t)`; `second = v(x + h * first, t + h)`.",
        "`x + h * (first + second) / 2`: the step starts from x again.",
    ],
)
def heun(v, x, t, h):
    first = v(x, t)
    second = v(x + h * first, t + h)
    return x + h * (first + second) / 2


@heun.fact
def is_exact_for_what_grows_evenly(heun):
    x = np.random.default_rng(0).normal(size=(4, 2))
    found = returns(heun(lambda x, t: np.full_like(x, 2 * t), x, 0.5, 0.2), (4, 2), "one place for each point")
    require(not near(found, x + 0.2 * 1.0).all(), "both answers count, and the second is asked at the time t + h")
    require(near(found, x + 0.7**2 - 0.5**2), "with the velocity 2t, a step from t = 0.5 to 0.7 must add 0.7² − 0.5² "
            "to x, once: the second question is asked at the time t + h, and both answers have the weight ½")


@heun.fact
def starts_again(heun):
    x = np.ones((3, 2))
    found = returns(heun(lambda x, t: x, x, 0.0, 0.1), (3, 2))
    require(near(found, 1 + 0.1 + 0.1**2 / 2), "with v = x a step h from 1 must give 1 + h + h²/2: the second question "
            "is asked where Euler's step ends, and then the step starts from x again")


@heun.fact
def takes_the_mean_of_both_ends(heun):
    x = np.array([[0.3, 1.0]])
    found = returns(heun(lambda x, t: x**2 + t**2, x, 0.4, 0.3), (1, 2))
    ends = x**2 + 0.4**2, (x + 0.3 * (x**2 + 0.4**2)) ** 2 + 0.7**2
    require(near((found - x) / 0.3, (ends[0] + ends[1]) / 2),
            "with v = x² + t² the step must be h times the mean of v at x and t, and of v where Euler's step ends, at "
            "the time t + h; the midpoint rule, which asks in the middle, is another one")


@heun.fact
def is_of_second_order(heun):
    def off(steps):
        x = np.ones((1, 1))
        for i in range(steps):
            x = returns(heun(lambda x, t: np.cos(3 * t) * x, x, i / steps, 1 / steps), (1, 1))
        return abs(x.item() - np.exp(np.sin(3) / 3))

    require(off(20) > 3.3 * off(40), "twice as many steps must make the error about four times smaller")


@exercise(
    why="the guess of the noise fixes the guess of x, and the velocity of the path is α′ x + σ′ ε.",
    hints=[
        "What clean point x̂ do the place and ε̂ imply? Solve place = α x̂ + σ ε̂.",
        "x̂ = (place − σ ε̂) / α. Now take the derivative of α(τ) x̂ + σ(τ) ε̂ by τ.",
        "`alpha_slope * (place - sigma * noise) / alpha + sigma_slope * noise`",
    ],
)
def noise_to_velocity(place, noise, alpha, sigma, alpha_slope, sigma_slope):
    clean = (place - sigma * noise) / alpha
    return alpha_slope * clean + sigma_slope * noise


@noise_to_velocity.fact
def gives_ours(noise_to_velocity):
    x, noise = np.random.default_rng(0).normal(size=(2, 5, 2))
    found = returns(noise_to_velocity(0.3 * x + 0.7 * noise, noise, 0.3, 0.7, 1.0, -1.0), (5, 2), "one for each point")
    require(not near(found, noise - x).all(), "it points from the data to the noise: look at the signs of the slopes")
    require(near(found, x - noise), "on the straight path, α = t and σ = 1 − t with the slopes 1 and −1, it must give "
            "x − ε: first find the clean x from the place and ε")


@noise_to_velocity.fact
def follows_any_path(noise_to_velocity):
    x, noise = np.random.default_rng(1).normal(size=(2, 4, 3))
    alpha, sigma = lambda s: np.exp(-s), lambda s: 2 * s**2
    for s in (0.4, 1.0):
        place = alpha(s) * x + sigma(s) * noise
        found = returns(noise_to_velocity(place, noise, alpha(s), sigma(s), -np.exp(-s), 4 * s), (4, 3))
        require(near(found, -np.exp(-s) * x + 4 * s * noise, 1e-6),
                "on any path it must be the slope of α times x, plus the slope of σ times ε")
