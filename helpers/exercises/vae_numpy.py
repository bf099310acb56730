"""Exercises of notebook 03: the parts of a variational autoencoder."""

import numpy as np

from helpers.exercises.engine import Exercise, require
from helpers.scratch.gradcheck import numerical_gradient, relative_error
from helpers.scratch.losses import gaussian_kl
from helpers.scratch.mixture import logsumexp


def _random(seed=0):
    return np.random.default_rng(seed)


# --- kl ----------------------------------------------------------------------------------------------


def _kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


def _kl_shape(f):
    kl = f(np.zeros((5, 3)), np.zeros((5, 3)))
    require(not isinstance(kl, tuple), "return the divergence alone, without its gradients")
    kl = np.asarray(kl)
    require(kl.shape == (5,), f"it must give one number for each of 5 rows, shape (5,); yours has shape {kl.shape}")


def _kl_zero(f):
    require(
        np.abs(f(np.zeros((2, 4)), np.zeros((2, 4)))) < 1e-12,
        "when the guess is the prior itself (mu = 0, logvar = 0) the divergence must be 0",
    )


def _kl_sign(f):
    # far from the prior every plausible slip but a wrong sign gives something positive
    require(
        np.asarray(f(np.full((1, 2), 3.0), np.zeros((1, 2)))) > 0,
        "a KL divergence is never negative; look at the signs",
    )


def _kl_positive(f):
    rng = _random(1)
    mu, logvar = rng.standard_normal((200, 3)), rng.standard_normal((200, 3))
    require(np.asarray(f(mu, logvar)) > 0, "a KL divergence is never negative; look at the signs")


def _kl_sums(f):
    rng = _random(2)
    mu, logvar = rng.standard_normal((6, 4)), rng.standard_normal((6, 4))
    parts = np.asarray(f(mu[:, :1], logvar[:, :1])) + np.asarray(f(mu[:, 1:], logvar[:, 1:]))
    require(
        np.abs(np.asarray(f(mu, logvar)) - parts) < 1e-9,
        "the numbers of a code are independent, so their divergences add up: sum over K, do not average",
    )


def _kl_quadrature(f):
    z = np.linspace(-30, 30, 60_001)
    log_p = -0.5 * z**2
    for mu, logvar in ((1.5, 0.0), (0.0, 1.2), (-0.7, -2.0)):
        s = np.exp(0.5 * logvar)
        log_q = -0.5 * ((z - mu) / s) ** 2 - np.log(s)
        q = np.exp(log_q) / np.sqrt(2 * np.pi)
        truth = np.trapezoid(q * (log_q - log_p), z)
        require(
            np.abs(np.asarray(f(np.array([[mu]]), np.array([[logvar]])))[0] - truth) < 1e-6,
            "it must equal the integral of q (log q - log p); logvar is the logarithm of the variance, and the "
            "logarithm is the natural one",
        )


kl = Exercise(
    "kl",
    _kl,
    "half of mean squared plus variance minus one minus log-variance, for each number of the code, and independent "
    "numbers add up.",
    [_kl_shape, _kl_zero, _kl_sign, _kl_sums, _kl_quadrature, _kl_positive],
    [
        "The formula stands above, for a single number of the code.",
        "σ² is exp(logvar), and log σ² is logvar itself.",
        "`0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)`",
    ],
)

# --- reparameterise ----------------------------------------------------------------------------------


def _reparameterise(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar) * eps


def _draw_shape(f):
    z = np.asarray(f(np.zeros((4, 3)), np.zeros((4, 3)), np.ones((4, 3))))
    require(z.shape == (4, 3), f"z has the shape of mu, here (4, 3); yours has {z.shape}")


def _draw_uses_noise(f):
    rng = _random(8)
    mu, logvar = rng.standard_normal((2, 2, 3))
    require(np.abs(f(mu, logvar, np.zeros((2, 3))) - mu) < 1e-12, "with noise of zero the draw must be the mean")
    a, b = (np.asarray(f(mu, np.full((2, 3), 0.4), e * np.ones((2, 3)))) for e in (1.0, -1.0))
    require(
        (np.abs(a + b - 2 * mu) < 1e-12) & (a != b),
        "noise and its opposite must give draws on opposite sides of the mean: use eps",
    )


def _draw_own_noise(f):
    eps = np.zeros((3, 4))
    eps[1, 2] = 1.0
    moved = np.asarray(f(np.zeros((3, 4)), np.full((3, 4), 0.3), eps)) != 0
    require(
        moved == (eps != 0), "every number of every code has noise of its own: one entry of eps moves one entry of z"
    )


def _draw_variance(f):
    eps = _random(3).standard_normal((200_000, 1))
    for logvar in (-2.0, 0.0, 1.5):
        z = np.asarray(f(np.zeros_like(eps), np.full_like(eps, logvar), eps))
        require(
            abs(z.var() / np.exp(logvar) - 1) < 0.03,
            "the variance of many draws must be exp(logvar); noise is scaled by the standard deviation, its root",
        )


reparameterise = Exercise(
    "reparameterise",
    _reparameterise,
    "noise is multiplied by the standard deviation, and exp(logvar / 2) is the square root of the variance.",
    [_draw_shape, _draw_uses_noise, _draw_own_noise, _draw_variance],
    [
        "A Gaussian with mean mu and standard deviation sigma is mu + sigma times a standard one.",
        "logvar = log σ². What is σ?",
        "`mu + np.exp(0.5 * logvar) * eps`",
    ],
)

# --- iwae_from_weights -------------------------------------------------------------------------------


def _iwae_from_weights(log_w):
    return np.log(log_w.shape[1]) - logsumexp(log_w)


def _iwae_shape(f):
    out = np.asarray(f(np.zeros((4, 6))))
    require(out.shape == (4,), f"it must give one number for each of 4 images, shape (4,); yours has {out.shape}")


def _iwae_equal(f):
    require(
        np.abs(np.asarray(f(np.full((3, 50), -7.0))) - 7.0) < 1e-9,
        "when all weights are the same, their average is that weight, whatever k is: average, do not sum; and mind "
        "the sign, it is a bound on minus log p(x)",
    )


def _iwae_average(f):
    w = np.array([[0.1, 0.3, 0.8]])
    require(
        np.abs(np.exp(-np.asarray(f(np.log(w)))) - 0.4) < 1e-9,
        "it must be minus the log of the average weight (the average of the logs would be the ELBO)",
    )


def _iwae_stable(f):
    out = np.asarray(f(np.array([[-2000.0, -2001.0], [900.0, 901.0]])))
    require(np.isfinite(out), "weights like e^-2000 underflow, like e^900 overflow; take out the largest first")
    require(
        np.abs(np.asarray(f(np.array([[-2000.0, -2001.0]]))) - np.asarray(f(np.array([[0.0, -1.0]]))) - 2000) < 1e-6,
        "multiplying all weights by e^-2000 must raise the bound by exactly 2000",
    )


iwae_from_weights = Exercise(
    "iwae_from_weights",
    _iwae_from_weights,
    "log of the mean = log-sum-exp minus log k; with a minus in front, since the bound is on -log p(x).",
    [_iwae_shape, _iwae_equal, _iwae_average, _iwae_stable],
    [
        "Without worrying about size: minus the log of the mean of exp(log_w) over the k codes.",
        "The log of a sum of exponentials is what `logsumexp` computes; a mean is a sum divided by k.",
        "`np.log(k) - logsumexp(log_w)` with k = log_w.shape[1].",
    ],
)

# --- encoder_gradients: spot the bug -----------------------------------------------------------------


def _encoder_gradients(dz, mu, logvar, eps):
    sigma = np.exp(0.5 * logvar)
    dmu = dz + mu
    dlogvar = dz * eps * 0.5 * sigma + 0.5 * (sigma**2 - 1)
    return dmu, dlogvar


def _gradient_problem(seed):
    """A loss with dz known: nll = Σ g·sin(z), plus the KL."""
    rng = _random(seed)
    mu, logvar, eps, g = rng.standard_normal((4, 5, 3))

    def loss():
        z = mu + np.exp(0.5 * logvar) * eps
        return (g * np.sin(z)).sum() + gaussian_kl(mu, logvar)[0].sum()

    dz = g * np.cos(mu + np.exp(0.5 * logvar) * eps)
    return loss, dz, mu, logvar, eps


def _encoder_kl_part(f):
    _, _, mu, logvar, eps = _gradient_problem(4)
    result = f(np.zeros_like(mu), mu, logvar, eps)
    require(isinstance(result, tuple) and len(result) == 2, "it must return two things, dmu and dlogvar")
    _, dmu, dlogvar = gaussian_kl(mu, logvar)
    require(
        relative_error(np.asarray(result[0]), dmu) < 1e-9,
        "with dz = 0 only the KL is left, and its part of dmu is wrong",
    )
    require(
        relative_error(np.asarray(result[1]), dlogvar) < 1e-9,
        "with dz = 0 only the KL is left, and its part of dlogvar is wrong",
    )


def _encoder_differences(f):
    for seed in (4, 5):
        loss, dz, mu, logvar, eps = _gradient_problem(seed)
        dmu, dlogvar = f(dz, mu, logvar, eps)
        for name, ours, v in (("dmu", dmu, mu), ("dlogvar", dlogvar, logvar)):
            require(
                relative_error(np.asarray(ours), numerical_gradient(loss, v)) < 1e-6,
                f"the KL part is right, but finite differences disagree with {name}; how does z move when "
                f"{name[1:]} grows?",
            )


encoder_gradients = Exercise(
    "encoder_gradients",
    _encoder_gradients,
    "z = mu + sigma eps, so dz/dlogvar = eps sigma / 2: how a draw moves when the spread grows depends on which side "
    "of the mean it fell.",
    [_encoder_kl_part, _encoder_differences],
    [
        "Write z as a function of logvar and differentiate it.",
        "When the spread grows, a draw above the mean moves up and one below it moves down. By how much?",
        "d/dlogvar of exp(logvar / 2) · eps is ½ exp(logvar / 2) · eps: the factor `eps` is missing.",
    ],
)

# --- arc ---------------------------------------------------------------------------------------------


def _arc(start, end, n):
    r0, r1 = np.linalg.norm(start), np.linalg.norm(end)
    u, v = start / r0, end / r1
    angle = np.arccos(np.clip(u @ v, -1, 1))
    t = np.linspace(0, 1, n)[:, None]
    if angle < 1e-6:  # the same direction: only the length changes
        return (1 - t) * start + t * end
    direction = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    return ((1 - t) * r0 + t * r1) * direction


def _arc_ends(f):
    rng = _random(6)
    a, b = rng.standard_normal((2, 5))
    path = np.asarray(f(a, b, 7))
    require(path.shape == (7, 5), f"7 codes of 5 numbers have shape (7, 5); yours has {path.shape}")
    require(np.abs(path[[0, -1]] - [a, b]).max() < 1e-9, "the walk must begin at start and end at end, both included")


def _arc_length(f):
    rng = _random(7)
    a, b = rng.standard_normal((2, 6))
    norms = np.linalg.norm(np.asarray(f(a, 3 * b, 9)), axis=1)
    require(
        np.ptp(np.diff(norms)) < 1e-9,
        "the distance from the origin must change in equal steps, and on a straight line it dips in the middle; treat "
        "length and direction separately",
    )


def _arc_angle(f):
    a, b = np.array([1.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0])
    path = np.asarray(f(a, b, 10))
    unit = path / np.linalg.norm(path, axis=1, keepdims=True)
    angles = np.arccos(np.clip((unit[1:] * unit[:-1]).sum(axis=1), -1, 1))
    require(np.ptp(angles) < 1e-6, "the direction must turn by the same angle in every step")


def _arc_same(f):
    a = np.array([3.0, 4.0, 0.0])  # its direction has length exactly 1 in floating point
    path = np.asarray(f(a, 2 * a, 5))
    require(
        np.isfinite(path).all() and np.abs(path - np.linspace(1, 2, 5)[:, None] * a).max() < 1e-6,
        "when both codes have the same direction the angle is 0; do not divide by its sine",
    )


arc = Exercise(
    "arc",
    _arc,
    "sin((1-t) angle) and sin(t angle), over sin(angle), turn one direction into the other at constant speed; the "
    "length is interpolated by itself.",
    [_arc_ends, _arc_length, _arc_angle, _arc_same],
    [
        "Split each code into its length and its direction (a vector of length 1), and treat the two separately.",
        "Directions u, v with angle φ between them: (sin((1-t)φ) u + sin(tφ) v) / sin φ goes from u to v evenly.",
        "Multiply by (1-t)·r0 + t·r1. If φ is nearly 0, a straight line will do.",
    ],
)
