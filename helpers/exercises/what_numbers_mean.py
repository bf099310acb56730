"""Exercises of notebook 05: weights, constants, bounds and units."""

import numpy as np

from helpers.exercises.engine import Exercise, require


def _random(seed=0):
    return np.random.default_rng(seed)


# --- honest_weight -----------------------------------------------------------------------------------


def _honest_weight(D):
    return 1 / D


def _weight_is_bound(f):
    rng = _random(1)
    for D in (1, 64, 784):
        nll, kl = rng.random((5, D)), rng.random(5)
        w = float(f(D))
        # proportional to the negative ELBO: the ratio of the two terms' weights is 1
        loss = lambda scale: nll.mean() + w * scale * kl.mean()  # noqa: B023
        per_kl = (loss(2.0) - loss(1.0)) / kl.mean()
        require(
            abs(per_kl * D - 1) < 1e-9,
            f"with {D} pixels a nat of KL counts {per_kl * D:.4g} times as much as one of the image; both must "
            "count the same",
        )


honest_weight = Exercise(
    "honest_weight",
    _honest_weight,
    "the mean over pixels divides the nll by D, so the KL must be divided by D as well.",
    [_weight_is_bound],
    [
        "Write the mean over pixels as a sum with a factor. What must the factor of the KL be?",
        "nll / D + w KL is proportional to nll + D w KL. When is D w equal to 1?",
        "`1 / D`",
    ],
)

# --- gaussian_nll: spot the bug ----------------------------------------------------------------------


def _gaussian_nll(x, y, sigma):
    D = x.shape[1]
    return ((x - y) ** 2).sum(axis=1) / (2 * sigma**2) + D * np.log(sigma * np.sqrt(2 * np.pi))


def _gaussian_shape(f):
    nll = np.asarray(f(np.zeros((4, 3)), np.zeros((4, 3)), 1.0))
    require(nll.shape == (4,), f"4 examples must get 4 numbers, shape (4,); yours has shape {nll.shape}")


def _gaussian_integrates(f):
    line = np.linspace(-40, 40, 8001)[:, None]
    for sigma in (0.5, 2.0):
        total = np.trapezoid(np.exp(-np.asarray(f(line, np.zeros_like(line), sigma))), line[:, 0])
        require(abs(total - 1) < 1e-6, f"in one dimension the density must integrate to 1; yours gives {total:.3g}")


def _gaussian_adds(f):
    rng = _random(2)
    x, y = rng.standard_normal((2, 6, 5))
    parts = sum(np.asarray(f(x[:, [d]], y[:, [d]], 0.7)) for d in range(5))
    require(
        np.abs(np.asarray(f(x, y, 0.7)) - parts) < 1e-9,
        "dimensions are independent, so their nll must add up; the constant belongs to each dimension once",
    )


gaussian_nll = Exercise(
    "gaussian_nll",
    _gaussian_nll,
    "the constant log(σ √2π) belongs to each dimension once; multiplied by D and then summed over D it counts D times "
    "too often.",
    [_gaussian_shape, _gaussian_integrates, _gaussian_adds],
    [
        "How often does the constant enter for one example with D dimensions? How often should it?",
        "The sum runs over D terms, and each already contains D times the constant.",
        "Take the constant out of the sum, or drop the factor D.",
    ],
)

# --- normalised_weights: spot the bug ----------------------------------------------------------------


def _normalised_weights(loss):
    e = np.exp(loss.min(axis=1, keepdims=True) - loss)
    return e / e.sum(axis=1, keepdims=True)


def _weights_sum(f):
    w = np.asarray(f(_random(3).standard_normal((4, 6))))
    require(w.shape == (4, 6), f"every code gets a weight: shape (4, 6); yours has {w.shape}")
    require(np.abs(w.sum(axis=1) - 1) < 1e-9, "the weights of an image's codes must sum to 1")


def _weights_order(f):
    w = np.asarray(f(np.array([[1.0, 2.0, 5.0]])))[0]
    require(np.all(np.diff(w) < 0), "the code with the smallest loss must get the largest weight")


def _weights_ratio(f):
    w = np.asarray(f(np.array([[1.0, 1.0 + np.log(4), 3.0]])))[0]
    require(abs(w[0] / w[1] - 4) < 1e-9, "a loss larger by log 4 means a weight four times as small: w = exp(-loss)")


def _weights_stable(f):
    w = np.asarray(f(np.array([[2000.0, 2001.0], [-900.0, -901.0], [0.0, 1000.0]])))
    require(np.isfinite(w), "losses of 2000 or of -900 overflow or underflow; take out the smallest loss first")


normalised_weights = Exercise(
    "normalised_weights",
    _normalised_weights,
    "w = exp(-loss): without the minus sign nearly all the weight goes to the worst code.",
    [_weights_sum, _weights_order, _weights_ratio, _weights_stable],
    [
        "Try it on losses 1, 2 and 5. Which code should count most?",
        "The function takes exp(+loss). The weight is exp(-loss).",
        "For a stable softmax of -loss, subtract the largest value of -loss, which is minus the smallest loss.",
    ],
)

# --- vae_loss: spot the bug --------------------------------------------------------------------------


def _vae_loss(nll_per_pixel, kl_per_number):
    return nll_per_pixel.sum(axis=1).mean() + kl_per_number.sum(axis=1).mean()


def _loss_number(f):
    require(np.ndim(f(np.ones((3, 4)), np.ones((3, 2)))) == 0, "it must be one number for the whole batch")


def _loss_balance(f):
    for D, K in ((784, 200), (10, 2)):
        zero_nll, zero_kl = np.zeros((2, D)), np.zeros((2, K))
        nll, kl = zero_nll.copy(), zero_kl.copy()
        nll[0, 0] = kl[0, 0] = 1.0
        ratio = float(f(zero_nll, kl)) / float(f(nll, zero_kl))
        require(
            abs(ratio - 1) < 1e-9,
            f"with {D} pixels and a code of {K}, a nat of KL counts {ratio:.4g} times as much as a nat of the image; "
            "in the ELBO both count the same",
        )


def _loss_nats(f):
    require(
        abs(f(np.full((5, 7), 2.0), np.full((5, 3), 1.0)) - 17) < 1e-9,
        "it must be in nats per image: sum over pixels and over the code, average over the batch only",
    )


vae_loss = Exercise(
    "vae_loss",
    _vae_loss,
    "sum over dimensions, average over examples; the means over D and K made β = D / K.",
    [_loss_number, _loss_balance, _loss_nats],
    [
        "Which of the two axes counts examples, and which counts dimensions?",
        "A mean over (N, D) divides by N and by D. Only the N is wanted.",
        "`nll.sum(axis=1).mean() + kl.sum(axis=1).mean()`",
    ],
)

# --- bits_per_pixel ----------------------------------------------------------------------------------


def _bits_per_pixel(log_density, D):
    return (D * np.log(256) - log_density) / np.log(2) / D


def _bits_shape(f):
    out = np.asarray(f(np.zeros(4), 10))
    require(out.shape == (4,), f"4 images must get 4 numbers, shape (4,); yours has shape {out.shape}")


def _bits_uniform(f):
    for D in (1, 100):
        require(
            np.abs(np.asarray(f(np.zeros(2), D)) - 8) < 1e-9,
            "a density of 1 everywhere knows nothing about 256 levels and must need exactly 8 bits per pixel; is the "
            "volume of a bin in it, and is it divided by the number of pixels?",
        )


def _bits_half(f):
    D = 12
    out = np.asarray(f(np.array([D * np.log(2)]), D))
    require(
        np.abs(out - 7) < 1e-9,
        "a density twice as high for every pixel must save exactly one bit per pixel; look at the sign and at the unit",
    )


bits_per_pixel = Exercise(
    "bits_per_pixel",
    _bits_per_pixel,
    "log P(x) is at least the log-density plus the log-volume, -D log 256; then nats become bits, per pixel.",
    [_bits_shape, _bits_uniform, _bits_half],
    [
        "The probability of a bin is its density times its volume. What is the volume of 1/256 in D dimensions?",
        "-log P = -log_density + D log 256, in nats.",
        "Divide by log 2 for bits and by D for one pixel.",
    ],
)
