"""Exercises of A variational autoencoder in NumPy: its parts, and a walk between codes."""

import numpy as np

from helpers.exercises.engine import exercise, near, parts, require, returns
from helpers.models import codes
from helpers.scratch.gradcheck import numerical_gradient, relative_error
from helpers.scratch.losses import gaussian_kl
from helpers.scratch.mixture import logsumexp

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.scratch": ("gaussian_kl", "VAE", "elbo", "iwae", "sample", "fit"),
}


@exercise(
    why="half of mean squared plus variance minus one minus log-variance, for each number of the code, and independent "
    "numbers add up.",
    hints=[
        "The formula stands above, for a single number of the code.",
        "σ² is exp(logvar), and log σ² is logvar itself.",
        "`0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)`",
    ],
)
def kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


@kl.fact
def gives_one_number_per_row(kl):
    found = kl(np.zeros((5, 3)), np.zeros((5, 3)))
    require(not isinstance(found, tuple), "return the divergence alone, without its gradients")
    returns(found, (5,), "one number for each of 5 rows")


@kl.fact
def is_zero_at_the_prior(kl):
    require(
        near(kl(np.zeros((2, 4)), np.zeros((2, 4))), 0, 1e-12),
        "when the guess is the prior itself (mu = 0, logvar = 0) the divergence must be 0",
    )


@kl.fact
def is_positive_far_from_the_prior(kl):
    # here every plausible slip but a wrong sign gives something positive
    found = returns(kl(np.full((1, 2), 3.0), np.zeros((1, 2))))
    require(found > 0, "a KL divergence is never negative; look at the signs")


@kl.fact
def adds_up_the_numbers_of_a_code(kl):
    mu, logvar = np.random.default_rng(2).standard_normal((2, 6, 4))
    one, three = returns(kl(mu[:, :1], logvar[:, :1])), returns(kl(mu[:, 1:], logvar[:, 1:]))
    require(
        near(kl(mu, logvar), one + three),
        "the numbers of a code are independent, so their divergences add up: sum over K, do not average",
    )


@kl.fact
def is_the_integral(kl):
    z = np.linspace(-30, 30, 60_001)
    log_p = -0.5 * z**2
    for mu, logvar in ((1.5, 0.0), (0.0, 1.2), (-0.7, -2.0)):
        s = np.exp(0.5 * logvar)
        log_q = -0.5 * ((z - mu) / s) ** 2 - np.log(s)
        truth = np.trapezoid(np.exp(log_q) / np.sqrt(2 * np.pi) * (log_q - log_p), z)
        require(
            near(kl(np.array([[mu]]), np.array([[logvar]])), truth, 1e-6),
            "it must equal the integral of q (log q - log p); logvar is the logarithm of the variance, and the "
            "logarithm is the natural one",
        )


@kl.fact
def is_never_negative(kl):
    mu, logvar = np.random.default_rng(1).standard_normal((2, 200, 3))
    require(returns(kl(mu, logvar)) > 0, "a KL divergence is never negative; look at the signs")


@exercise(
    why="noise is multiplied by the standard deviation, and exp(logvar / 2) is the square root of the variance.",
    hints=[
        "A Gaussian with mean mu and standard deviation sigma is mu + sigma times a standard one.",
        "logvar = log σ². What is σ?",
        "`mu + np.exp(0.5 * logvar) * eps`",
    ],
)
def reparameterise(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar) * eps


@reparameterise.fact
def has_the_shape_of_mu(reparameterise):
    returns(reparameterise(np.zeros((4, 3)), np.zeros((4, 3)), np.ones((4, 3))), (4, 3), "as many numbers as mu has")


@reparameterise.fact
def moves_with_the_noise(reparameterise):
    mu, logvar = np.random.default_rng(8).standard_normal((2, 2, 3))
    still = reparameterise(mu, logvar, np.zeros((2, 3)))
    require(near(still, mu, 1e-12), "with noise of zero the draw must be the mean")
    a, b = (returns(reparameterise(mu, np.full((2, 3), 0.4), np.full((2, 3), e))) for e in (1.0, -1.0))
    require(
        near(a + b, 2 * mu, 1e-12) & (a != b),
        "noise and its opposite must give draws on opposite sides of the mean: use eps",
    )


@reparameterise.fact
def has_noise_for_every_number(reparameterise):
    eps = np.zeros((3, 4))
    eps[1, 2] = 1.0
    moved = returns(reparameterise(np.zeros((3, 4)), np.full((3, 4), 0.3), eps)) != 0
    fact = "every number of every code has noise of its own: one entry of eps moves one entry of z"
    require(moved == (eps != 0), fact)


@reparameterise.fact
def has_the_variance(reparameterise):
    eps = np.random.default_rng(3).standard_normal((200_000, 1))
    for logvar in (-2.0, 0.0, 1.5):
        z = returns(reparameterise(np.zeros_like(eps), np.full_like(eps, logvar), eps))
        require(
            near(z.var() / np.exp(logvar), 1, 0.03),
            "the variance of many draws must be exp(logvar); noise is scaled by the standard deviation, its root",
        )


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
def survives_extreme_weights(iwae_from_weights):
    out = returns(iwae_from_weights(np.array([[-2000.0, -2001.0], [900.0, 901.0]])))
    require(np.isfinite(out), "weights like e^-2000 underflow, like e^900 overflow; take out the largest first")
    small, large = (returns(iwae_from_weights(np.array([[top, top - 1]]))) for top in (-2000.0, 0.0))
    require(near(small, large + 2000, 1e-6), "multiplying all weights by e^-2000 must raise the bound by exactly 2000")


@exercise(
    why="z = mu + sigma eps, so dz/dlogvar = eps sigma / 2: how a draw moves when the spread grows depends on which "
    "side of the mean it fell.",
    hints=[
        "Write z as a function of logvar and differentiate it.",
        "When the spread grows, a draw above the mean moves up and one below it moves down. By how much?",
        "d/dlogvar of exp(logvar / 2) · eps is ½ exp(logvar / 2) · eps: the factor `eps` is missing.",
    ],
)
def encoder_gradients(dz, mu, logvar, eps):
    sigma = np.exp(0.5 * logvar)
    dmu = dz + mu
    dlogvar = dz * eps * 0.5 * sigma + 0.5 * (sigma**2 - 1)
    return dmu, dlogvar


def known_loss(seed):
    """A loss with dz known, nll = Σ g·sin(z), plus the KL: the loss, dz, mu, logvar, eps."""
    mu, logvar, eps, g = np.random.default_rng(seed).standard_normal((4, 5, 3))

    def loss():
        z = mu + np.exp(0.5 * logvar) * eps
        return (g * np.sin(z)).sum() + gaussian_kl(mu, logvar)[0].sum()

    dz = g * np.cos(mu + np.exp(0.5 * logvar) * eps)
    return loss, dz, mu, logvar, eps


@encoder_gradients.fact
def has_the_part_of_the_kl(encoder_gradients):
    _, dz, mu, logvar, eps = known_loss(4)
    found = parts(encoder_gradients(np.zeros_like(dz), mu, logvar, eps), "dmu", "dlogvar")
    for name, ours, truth in zip(("dmu", "dlogvar"), found, gaussian_kl(mu, logvar)[1:]):
        fact = f"with dz = 0 only the KL is left, and its part of {name} is wrong"
        require(relative_error(ours, truth) < 1e-9, fact)


@encoder_gradients.fact
def agrees_with_finite_differences(encoder_gradients):
    for seed in (4, 5):
        loss, dz, mu, logvar, eps = known_loss(seed)
        found = parts(encoder_gradients(dz, mu, logvar, eps), "dmu", "dlogvar")
        for name, ours, v in zip(("dmu", "dlogvar"), found, (mu, logvar)):
            require(
                relative_error(ours, numerical_gradient(loss, v)) < 1e-6,
                f"the KL part is right, but finite differences disagree with {name}; how does z move when "
                f"{name[1:]} grows?",
            )


arc = exercise(
    why="sin((1-t) angle) and sin(t angle), over sin(angle), turn one direction into the other at constant speed; the "
    "length is interpolated by itself.",
    hints=[
        "Split each code into its length and its direction (a vector of length 1), and treat the two separately.",
        "Directions u, v with angle φ between them: (sin((1-t)φ) u + sin(tφ) v) / sin φ goes from u to v evenly.",
        "Multiply by (1-t)·r0 + t·r1. If φ is nearly 0, a straight line will do.",
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
        np.ptp(np.diff(norms)) < 1e-9,
        "the distance from the origin must change in equal steps, and on a straight line it dips in the middle; treat "
        "length and direction separately",
    )


@arc.fact
def turns_evenly(arc):
    path = returns(arc(np.array([1.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0]), 10))
    unit = path / np.linalg.norm(path, axis=1, keepdims=True)
    angles = np.arccos(np.clip((unit[1:] * unit[:-1]).sum(axis=1), -1, 1))
    require(np.ptp(angles) < 1e-6, "the direction must turn by the same angle in every step")


@arc.fact
def goes_straight_where_directions_agree(arc):
    a = np.array([3.0, 4.0, 0.0])  # its direction has length exactly 1 in floating point
    require(
        near(arc(a, 2 * a, 5), np.linspace(1, 2, 5)[:, None] * a, 1e-6),
        "when both codes have the same direction the angle is 0; do not divide by its sine",
    )
