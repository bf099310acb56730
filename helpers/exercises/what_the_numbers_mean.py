"""Exercises of What the numbers mean: weights, constants, bounds and units."""

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns


@exercise(
    why="the mean over pixels divides the nll by D, so the KL must be divided by D as well.",
    hints=[
        "Write the mean over pixels as a sum with a factor. What must the factor of the KL be?",
        "nll / D + w KL is proportional to nll + D w KL. When is D w equal to 1?",
        "`1 / D`",
    ],
)
def honest_weight(D):
    return 1 / D


@honest_weight.fact
def counts_nats_alike(honest_weight):
    for D in (1, 64, 784):
        # in mean over pixels + w KL, a nat of the image is divided by D, and a nat of KL is multiplied by w
        ratio = returns(honest_weight(D), ()) * D
        require(
            near(ratio, 1),
            f"with {D} pixels a nat of KL counts {ratio:.4g} times as much as one of the image; both must count the "
            "same",
        )


@exercise(
    why="the constant log(σ √2π) belongs to each dimension once; multiplied by D and then summed over D it counts D "
    "times too often.",
    hints=[
        "How often does the constant enter for one example with D dimensions? How often should it?",
        "The sum runs over D terms, and each already contains D times the constant.",
        "Take the constant out of the sum, or drop the factor D.",
    ],
)
def gaussian_nll(x, y, sigma):
    D = x.shape[1]
    return ((x - y) ** 2).sum(axis=1) / (2 * sigma**2) + D * np.log(sigma * np.sqrt(2 * np.pi))


@gaussian_nll.fact
def gives_one_number_per_example(gaussian_nll):
    returns(gaussian_nll(np.zeros((4, 3)), np.zeros((4, 3)), 1.0), (4,), "4 numbers for 4 examples")


@gaussian_nll.fact
def is_a_density(gaussian_nll):
    line = np.linspace(-40, 40, 8001)[:, None]
    for sigma in (0.5, 2.0):
        total = np.trapezoid(np.exp(-returns(gaussian_nll(line, np.zeros_like(line), sigma))), line[:, 0])
        require(near(total, 1, 1e-6), f"in one dimension the density must integrate to 1; yours gives {total:.3g}")


@gaussian_nll.fact
def adds_up_dimensions(gaussian_nll):
    x, y = np.random.default_rng(2).standard_normal((2, 6, 5))
    require(
        near(gaussian_nll(x, y, 0.7), sum(returns(gaussian_nll(x[:, [d]], y[:, [d]], 0.7)) for d in range(5))),
        "dimensions are independent, so their nll must add up; the constant belongs to each dimension once",
    )


@exercise(
    why="w = exp(-loss): without the minus sign nearly all the weight goes to the worst code.",
    hints=[
        "Try it on losses 1, 2 and 5. Which code should count most?",
        "The function takes exp(+loss). The weight is exp(-loss).",
        "For a stable softmax of -loss, subtract the largest value of -loss, which is minus the smallest loss.",
    ],
)
def normalised_weights(loss):
    e = np.exp(loss.min(axis=1, keepdims=True) - loss)
    return e / e.sum(axis=1, keepdims=True)


@normalised_weights.fact
def sums_to_one(normalised_weights):
    loss = np.random.default_rng(3).standard_normal((4, 6))
    w = returns(normalised_weights(loss), (4, 6), "a weight for every code")
    require(near(w.sum(axis=1), 1), "the weights of an image's codes must sum to 1")


@normalised_weights.fact
def prefers_small_losses(normalised_weights):
    w = returns(normalised_weights(np.array([[1.0, 2.0, 5.0]])))[0]
    require(np.diff(w) < 0, "the code with the smallest loss must get the largest weight")


@normalised_weights.fact
def is_the_exponential(normalised_weights):
    w = returns(normalised_weights(np.array([[1.0, 1.0 + np.log(4), 3.0]])))[0]
    require(near(w[0] / w[1], 4), "a loss larger by log 4 means a weight four times as small: w = exp(-loss)")


@normalised_weights.fact
def survives_extreme_losses(normalised_weights):
    w = returns(normalised_weights(np.array([[2000.0, 2001.0], [-900.0, -901.0], [0.0, 1000.0]])))
    require(np.isfinite(w), "losses of 2000 or of -900 overflow or underflow; take out the smallest loss first")


@exercise(
    why="sum over dimensions, average over examples; the means over D and K made β = D / K.",
    hints=[
        "Which of the two axes counts examples, and which counts dimensions?",
        "A mean over (N, D) divides by N and by D. Only the N is wanted.",
        "`nll.sum(axis=1).mean() + kl.sum(axis=1).mean()`",
    ],
)
def vae_loss(nll_per_pixel, kl_per_number):
    return nll_per_pixel.sum(axis=1).mean() + kl_per_number.sum(axis=1).mean()


@vae_loss.fact
def is_one_number(vae_loss):
    returns(vae_loss(np.ones((3, 4)), np.ones((3, 2))), (), "one number for the whole batch")


@vae_loss.fact
def counts_both_terms_alike(vae_loss):
    for D, K in ((784, 200), (10, 2)):
        zero_nll, zero_kl = np.zeros((2, D)), np.zeros((2, K))
        nll, kl = zero_nll.copy(), zero_kl.copy()
        nll[0, 0] = kl[0, 0] = 1.0
        ratio = returns(vae_loss(zero_nll, kl), ()) / returns(vae_loss(nll, zero_kl), ())
        require(
            near(ratio, 1),
            f"with {D} pixels and a code of {K}, a nat of KL counts {ratio:.4g} times as much as a nat of the image; "
            "in the ELBO both count the same",
        )


@vae_loss.fact
def is_in_nats_per_image(vae_loss):
    require(
        near(vae_loss(np.full((5, 7), 2.0), np.full((5, 3), 1.0)), 17),
        "it must be in nats per image: sum over pixels and over the code, average over the batch only",
    )


@exercise(
    why="log P(x) is at least the log-density plus the log-volume, -D log 256; then nats become bits, per pixel.",
    hints=[
        "The probability of a bin is its density times its volume. What is the volume of 1/256 in D dimensions?",
        "-log P = -log_density + D log 256, in nats.",
        "Divide by log 2 for bits and by D for one pixel.",
    ],
)
def bits_per_pixel(log_density, D):
    return (D * np.log(256) - log_density) / np.log(2) / D


@bits_per_pixel.fact
def gives_one_number_per_image(bits_per_pixel):
    returns(bits_per_pixel(np.zeros(4), 10), (4,), "4 numbers for 4 images")


@bits_per_pixel.fact
def of_a_flat_density_is_eight(bits_per_pixel):
    for D in (1, 100):
        require(
            near(bits_per_pixel(np.zeros(2), D), 8),
            "a density of 1 everywhere knows nothing about 256 levels and must need exactly 8 bits per pixel; is the "
            "volume of a bin in it, and is it divided by the number of pixels?",
        )


@bits_per_pixel.fact
def saves_a_bit_for_twice_the_density(bits_per_pixel):
    require(
        near(bits_per_pixel(np.array([12 * np.log(2)]), 12), 7),
        "a density twice as high for every pixel must save exactly one bit per pixel; look at the sign and at the unit",
    )
