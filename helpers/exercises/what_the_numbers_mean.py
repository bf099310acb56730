"""Exercises of What the numbers mean: weights, constants, units, and codes that are not used."""

import numpy as np

from helpers.exercises.engine import exercise, near, parts, require, returns, same_alone


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
def has_mean_y_and_spread_sigma(gaussian_nll):
    x = np.linspace(-40, 40, 8001)[:, None]
    for y, sigma in ((1.5, 0.5), (-2.0, 1.7), (0.25, 0.08)):
        p = np.exp(-returns(gaussian_nll(x, np.full_like(x, y), sigma)))
        p /= p.sum()
        mean = p @ x[:, 0]
        require(near(mean, y, 1e-3), "the mean of x under this density must be y: the errors are x - y")
        spread = np.sqrt(p @ (x[:, 0] - mean) ** 2)
        require(near(spread, sigma, 1e-3), "the spread of x under this density must be sigma: a standard deviation")
        at = y + sigma * np.array([[0.0], [1.0], [3.0]])
        peak, one, three = returns(gaussian_nll(at, np.full_like(at, y), sigma))
        require(
            near(one - peak, 0.5) & near(three - peak, 4.5),
            "a Gaussian costs 1/2 more one sigma away from y, and 9/2 more three sigmas away: the error is squared",
        )
    same_alone(gaussian_nll, *np.random.default_rng(1).standard_normal((2, 4, 3)), rest=(0.9,))


@gaussian_nll.fact
def adds_up_dimensions(gaussian_nll):
    x, y = np.random.default_rng(2).standard_normal((2, 6, 5))
    require(
        near(gaussian_nll(x, y, 0.7), sum(returns(gaussian_nll(x[:, [d]], y[:, [d]], 0.7)) for d in range(5))),
        "dimensions are independent, so their nll must add up: that of 5 dimensions is the sum of what each has alone",
    )


@exercise(
    why="sum over dimensions, average over examples; the means over D and K made β = D / K.",
    hints=[
        "Which of the two axes counts examples, and which counts dimensions?",
        "A mean over (N, D) divides by N and by D. Only the N is wanted.",
        "`rec_per_pixel.sum(axis=1).mean() + kl_per_number.sum(axis=1).mean()`",
    ],
)
def vae_loss(rec_per_pixel, kl_per_number):
    return rec_per_pixel.sum(axis=1).mean() + kl_per_number.sum(axis=1).mean()


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
        found = returns(bits_per_pixel(np.zeros(2), D))
        slips = {
            0: "is the volume of a bin in it?",
            -8: "look at the sign of the volume: -log P is positive",
            8 * np.log(2): "these are nats; a bit has log 2 of them",
            8 * D: "it must be for one pixel, not for all of them",
        }
        slip = next((slip for wrong, slip in slips.items() if near(found, wrong).all()), "check volume, unit and D")
        require(
            near(found, 8),
            f"a density of 1 everywhere knows nothing about 256 levels and must need exactly 8 bits per pixel; {slip}",
        )


@bits_per_pixel.fact
def saves_a_bit_for_twice_the_density(bits_per_pixel):
    require(
        near(bits_per_pixel(np.array([12 * np.log(2)]), 12), 7),
        "a density twice as high for every pixel must save exactly one bit per pixel; look at the sign and at the unit",
    )


@bits_per_pixel.fact
def may_be_any_number(bits_per_pixel):
    found = bits_per_pixel(np.log(2) * np.array([-50.0, 12.5, 3.0]), 10)
    fact = "a density half as high for every pixel costs a bit more, also more than 8; and bits are not rounded"
    require(near(found, [13, 6.75, 7.7]), fact)


@exercise(
    why="a number of the code is used if it carries nats on average; a code is worth its price if the bound with it is "
    "better, image by image, by more than chance explains.",
    hints=[
        "The first answer needs `kl` only, the second needs the two bounds only. Which axis counts images?",
        "Average `kl` over the images and compare with `floor`. Take the difference of the two bounds image by image: "
        "what are its mean and the standard error of that mean?",
        "`gain = elbo - elbo_without`; its standard error is `gain.std(ddof=1) / np.sqrt(len(gain))`.",
    ],
)
def diagnose(kl, elbo, elbo_without, floor=0.05):
    gain = elbo - elbo_without
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    return kl.mean(axis=0) > floor, gain.mean() > 2 * error


def _used(diagnose, kl, **options):
    bounds = np.linspace(-21, -19, len(kl))
    used, _ = parts(diagnose(np.array(kl, float), bounds, bounds - 1, **options), "used", "worth", dtype=None)
    return list(map(bool, returns(used, (len(kl[0]),), "one answer for each number of the code")))


def _worth(diagnose, gain, kl=0.3):
    """The verdict on a code that gains so much for each image; images themselves differ far more."""
    without = -20 + 5 * np.sin(np.arange(len(gain)))
    _, worth = parts(diagnose(np.full((len(gain), 2), kl), without + gain, without), "used", "worth", dtype=None)
    return bool(returns(worth, (), "one yes or no"))


@diagnose.fact
def looks_at_the_average_over_images(diagnose):
    rare = np.zeros((40, 3))
    rare[5, 0], rare[:, 2] = 20.0, 0.04  # half a nat on average; always there, and nearly nothing
    require(
        _used(diagnose, rare) == [True, False, False],
        "a number of the code is used if its KL, averaged over the images, is above the floor; one that a few images "
        "need a lot is used, and one that carries next to nothing for every image is not",
    )


@diagnose.fact
def takes_the_floor_that_it_is_given(diagnose):
    kl = np.tile([0.01, 0.1, 1.0], (6, 1))
    found = [_used(diagnose, kl, floor=floor) for floor in (0.001, 0.05, 0.5, 2.0)]
    require([sum(used) for used in found] == [3, 2, 1, 0], "the floor is an argument, in nats for each number; use it")


@diagnose.fact
def wants_a_better_bound(diagnose):
    wobble = 0.1 * np.cos(3 * np.arange(50))
    require(_worth(diagnose, 3 + wobble), "an ELBO that rises for every image means that the code is worth its price")
    require(not _worth(diagnose, wobble - 3), "an ELBO is better when it is higher; here the code makes it worse")


@diagnose.fact
def subtracts_image_by_image(diagnose):
    require(
        _worth(diagnose, 0.2 + 0.1 * np.cos(3 * np.arange(50))),
        "the two bounds belong to the same images: subtract first, then ask how much the differences vary; the images "
        "themselves vary far more",
    )


@diagnose.fact
def asks_for_two_standard_errors(diagnose):
    for n in (20, 80):
        wobble = np.where(np.arange(n) % 2, 3.0, -3.0)  # mean 0; the standard error of its mean is about 3 / √n
        for far, worth in ((1.7, False), (2.3, True)):
            require(
                _worth(diagnose, wobble + 3 * far / np.sqrt(n)) == worth,
                "a mean gain below two standard errors is a tie, above it is a gain; the standard error of a mean is "
                "the standard deviation divided by the root of the number of images",
            )


@diagnose.fact
def judges_the_code_by_its_bound(diagnose):
    gain = np.linspace(0.9, 1.1, 30)
    require(
        _worth(diagnose, gain, kl=0.0) and not _worth(diagnose, -gain, kl=5.0),
        "whether the code is worth its price is said by the bounds, whatever the KL is",
    )
