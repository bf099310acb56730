"""Exercises of A variational autoencoder in NumPy: its bounds, and a walk between codes."""

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns, same_alone
from helpers.models import codes
from helpers.scratch.mixture import logsumexp

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.scratch": ("gaussian_kl", "VAE", "terms", "iwae", "sample", "fit"),
}


@exercise(
    why="log of the mean = log-sum-exp minus log k; with a minus in front, since the bound is on -log p(x).",
    hints=[
        "Without worrying about size: minus the log of the mean of exp(log_w) over the k codes.",
        "The log of a sum of exponentials is what `logsumexp` computes; a mean is a sum divided by k.",
        "`np.log(k) - logsumexp(log_w)` with k = log_w.shape[1].",
    ],
)
def iwae_from_weights(log_w):
    return np.log(log_w.shape[1]) - logsumexp(log_w)


@iwae_from_weights.fact
def gives_one_number_per_image(iwae_from_weights):
    returns(iwae_from_weights(np.zeros((4, 6))), (4,), "one number for each of 4 images")


@iwae_from_weights.fact
def of_equal_weights_is_that_weight(iwae_from_weights):
    require(
        near(iwae_from_weights(np.full((3, 50), -7.0)), 7),
        "when all weights are the same, their average is that weight, whatever k is: average, do not sum; and mind "
        "the sign, it is a bound on minus log p(x)",
    )


@iwae_from_weights.fact
def averages_weights_not_their_logarithms(iwae_from_weights):
    require(
        near(np.exp(-returns(iwae_from_weights(np.log([[0.1, 0.3, 0.8]])))), 0.4),
        "it must be minus the log of the average weight (the average of the logs would be the ELBO)",
    )


@iwae_from_weights.fact
def scores_each_image_by_its_own_weights(iwae_from_weights):
    log_w = 9 * np.random.default_rng(4).standard_normal((5, 3)) + np.array([[12.0], [-20.0], [3.0], [0.0], [-6.0]])
    same_alone(iwae_from_weights, log_w, fact="an image has the bound of its own k weights, whatever the others are")
    require(
        near(np.exp(-returns(iwae_from_weights(np.log([[30.0, 10.0]])))), 20),
        "weights may be larger than 1: it is minus the log of the average weight, which is then negative",
    )


@iwae_from_weights.fact
def survives_extreme_weights(iwae_from_weights):
    out = returns(iwae_from_weights(np.array([[-2000.0, -2001.0], [900.0, 901.0]])))
    require(np.isfinite(out), "weights like e^-2000 underflow, like e^900 overflow; take out the largest first")
    small, large = (returns(iwae_from_weights(np.array([[top, top - 1]]))) for top in (-2000.0, 0.0))
    require(near(small, large + 2000, 1e-6), "multiplying all weights by e^-2000 must raise the bound by exactly 2000")


arc = exercise(
    why="sin((1-t) angle) and sin(t angle), over sin(angle), turn one direction into the other at constant speed; the "
    "length is interpolated by itself.",
    hints=[
        "Split each code into its length and its direction (a vector of length 1), and treat the two separately.",
        "The angle φ is `np.arccos(np.clip(d0 @ d1, -1, 1))`; make t a column: `np.linspace(0, 1, n)[:, None]`.",
        "Multiply the directions by (1-t)·r0 + t·r1, r0 and r1 the lengths. If φ is nearly 0, a straight line will do.",
    ],
)(codes.arc)


@arc.fact
def goes_from_start_to_end(arc):
    a, b = np.random.default_rng(6).standard_normal((2, 5))
    path = returns(arc(a, b, 7), (7, 5), "7 codes of 5 numbers")
    require(near(path[[0, -1]], [a, b]), "the walk must begin at start and end at end, both included")


@arc.fact
def changes_length_evenly(arc):
    a, b = np.random.default_rng(7).standard_normal((2, 6))
    norms = np.linalg.norm(returns(arc(a, 3 * b, 9)), axis=1)
    require(
        np.ptp(np.diff(norms)) < 1e-5,
        "the distance from the origin must change in equal steps (on a straight line it dips in the middle, and sines "
        "of codes that still have their lengths change it unevenly); treat length and direction separately",
    )


@arc.fact
def turns_evenly(arc):
    path = returns(arc(np.array([1.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0]), 10))
    unit = path / np.linalg.norm(path, axis=1, keepdims=True)
    angles = np.arccos(np.clip((unit[1:] * unit[:-1]).sum(axis=1), -1, 1))
    require(np.ptp(angles) < 1e-3, "the direction must turn by the same angle in every step")


@arc.fact
def goes_the_short_way(arc):
    rng = np.random.default_rng(8)
    pairs = [*rng.standard_normal((6, 2, 5)), (np.array([2.0, 0.0]), np.array([-3.0, 0.5]))]  # the last nearly opposite
    for a, b in pairs:
        middle = returns(arc(a, b, 3), (3, len(a)))[1]
        a, b, middle = (v / np.linalg.norm(v) for v in (a, b, middle))
        whole, half = (np.arccos(np.clip(a @ v, -1, 1)) for v in (b, middle))
        require(
            near(half, whole / 2, 1e-3) & near(middle, (a + b) / np.linalg.norm(a + b), 1e-3),
            "halfway the direction must have turned by half of the angle between both codes: the short way round, in "
            "the plane of start and end",
        )
    returns(arc(*pairs[0], 23), (23, 5), "23 codes of 5 numbers")


@arc.fact
def goes_straight_where_directions_agree(arc):
    a = np.array([3.0, 4.0, 0.0])  # its direction has length exactly 1 in floating point
    require(
        near(arc(a, 2 * a, 5), np.linspace(1, 2, 5)[:, None] * a, 1e-6),
        "when both codes have the same direction the angle is 0; do not divide by its sine",
    )


@exercise(
    why="the ELBO is the average of log p(x|z) + log p(z) - log q(z) under q, and on a grid an average is a sum of "
    "density times value times step.",
    hints=[
        "The ELBO is the average of the logarithm of a weight, over codes drawn from q. What is that logarithm?",
        "On a grid, an average under q is a sum: `(q * value).sum()` times the step, `z[1] - z[0]`.",
        "log q = -((z - mu) / sigma)² / 2 - log(sigma √(2π)), and q is its exponential; the value to average is "
        "log_likelihood + log_prior - log q.",
    ],
)
def elbo_on_grid(z, log_prior, log_likelihood, mu, sigma):
    log_q = -0.5 * ((z - mu) / sigma) ** 2 - np.log(sigma * np.sqrt(2 * np.pi))
    return (np.exp(log_q) * (log_likelihood + log_prior - log_q)).sum() * (z[1] - z[0])


def small_world(x=(1, 0, 1), low=-9.0, high=11.0, steps=1001, spread=1.0):
    """A grid z (M,), log p(z) for a normal prior of this spread, and log p(x|z) of three pixels."""
    z = np.linspace(low, high, steps)
    a = z[:, None] * np.array([1.5, 1.0, -2.0]) + np.array([0.2, -0.5, 0.4])
    log_prior = -0.5 * (z / spread) ** 2 - np.log(spread * np.sqrt(2 * np.pi))
    return z, log_prior, (np.array(x) * a - np.logaddexp(0, a)).sum(axis=1)


@elbo_on_grid.fact
def gives_one_number(elbo_on_grid):
    returns(elbo_on_grid(*small_world(), 0.2, 0.8), (), "one number, the ELBO of the one image")


@elbo_on_grid.fact
def survives_a_narrow_guess(elbo_on_grid):
    found = returns(elbo_on_grid(*small_world(), 0.5, 0.05), ())
    require(np.isfinite(found), "a narrow guess is 0 almost everywhere; compute log q first, then q from it")


@elbo_on_grid.fact
def costs_nothing_where_the_guess_is_the_prior(elbo_on_grid):
    z, log_prior, _ = small_world()
    flat = np.full(len(z), -3.5)
    found = returns(elbo_on_grid(z, log_prior, flat, 0.0, 1.0), ())
    fact = "a decoder that ignores the code, and the prior as the guess: the ELBO is log p(x|z) itself, with its sign"
    require(near(found, -3.5, 1e-3), fact)


@elbo_on_grid.fact
def does_not_depend_on_the_grid(elbo_on_grid):
    fine, coarse, off = (
        returns(elbo_on_grid(*small_world(low=low, high=high, steps=steps), 0.4, 0.6), ())
        for low, high, steps in ((-10, 10, 2001), (-10, 10, 501), (-7, 12, 1001))
    )
    fact = "on a finer or a wider grid the ELBO must stay the same: multiply by the step, z[1] - z[0]"
    require(near(fine, coarse, 1e-3) & near(fine, off, 1e-3), fact)


@elbo_on_grid.fact
def pays_for_departing_from_the_prior(elbo_on_grid):
    z, log_prior, _ = small_world()
    for mu, sigma in ((1.0, 1.0), (0.0, 0.5), (-0.6, 1.3)):
        found = returns(elbo_on_grid(z, log_prior, np.zeros(len(z)), mu, sigma), ())
        price = 0.5 * (mu**2 + sigma**2 - 1 - np.log(sigma**2))
        fact = "where p(x|z) = 1 for every code, the ELBO is minus the divergence of the guess from the prior"
        require(near(found, -price, 1e-3), fact)


@elbo_on_grid.fact
def takes_the_prior_as_given(elbo_on_grid):
    z, log_prior, _ = small_world(spread=1.7)
    found = returns(elbo_on_grid(z, log_prior, np.zeros(len(z)), 0.0, 1.7), ())
    require(near(found, 0, 1e-3), "the prior may be another than N(0, 1): use log_prior")


@elbo_on_grid.fact
def averages_the_likelihood_under_the_guess(elbo_on_grid):
    z, log_prior, log_likelihood = small_world()
    for mu, sigma in ((0.3, 0.7), (-1.1, 0.4), (0.8, 1.5)):
        told, untold = (returns(elbo_on_grid(z, log_prior, p, mu, sigma), ()) for p in (log_likelihood, 0 * z))
        q = np.exp(-0.5 * ((z - mu) / sigma) ** 2)
        fact = "what the decoder adds must be the average of log p(x|z) over codes drawn from the guess"
        require(near(told - untold, (q * log_likelihood).sum() / q.sum(), 1e-3), fact)


@elbo_on_grid.fact
def is_tight_where_the_guess_is_the_posterior(elbo_on_grid):
    z, log_prior, _ = small_world()
    log_likelihood = -0.5 * (1.2 - z) ** 2 / 0.25  # a Gaussian decoder; its posterior is a Gaussian, too
    log_px = np.log(np.exp(log_prior + log_likelihood).sum() * (z[1] - z[0]))
    mu, sigma = 1.2 / 1.25, np.sqrt(0.2)
    found = returns(elbo_on_grid(z, log_prior, log_likelihood, mu, sigma), ())
    require(near(found, log_px, 1e-3), "where the guess is the posterior itself, the ELBO must equal log p(x)")
