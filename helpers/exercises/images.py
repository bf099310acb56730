"""Exercises of notebook 06: codes of sets, distance fields, grey levels, walks."""

import math

import numpy as np

from helpers.exercises.engine import Exercise, require

# --- product -----------------------------------------------------------------------------------------


def _product(mu, sigma):
    precision = 1 / sigma**2  # (M, K)
    total = 1 + precision.sum(axis=0)
    return (precision * mu).sum(axis=0) / total, 1 / np.sqrt(total)


def _pair(f, mu, sigma):
    result = f(mu, sigma)
    require(isinstance(result, tuple) and len(result) == 2, "return a pair: the mean and the deviation")
    mean, deviation = (np.asarray(part, float) for part in result)
    K = mu.shape[1]
    require(mean.shape == deviation.shape == (K,), f"a set of letters has one code: two vectors of {K} numbers; "
            f"yours have the shapes {mean.shape} and {deviation.shape}")  # fmt: skip
    return mean, deviation


def _product_of_none(f):
    mean, deviation = _pair(f, np.zeros((0, 3)), np.ones((0, 3)))
    require(np.abs(mean) < 1e-9, "with no letter at all the code must be as the prior has it: mean 0")
    require(np.abs(deviation - 1) < 1e-9, "with no letter at all the code must be as the prior has it: deviation 1")


def _product_sure(f):
    mean, _ = _pair(f, np.array([[3.0], [-1.0]]), np.array([[1e-4], [1.0]]))
    require(np.abs(mean - 3) < 1e-3, "a letter that is certain must decide; weigh means by precision, 1 / sigma²")


def _product_on_a_grid(f):
    rng = np.random.default_rng(1)
    mu, sigma = rng.normal(size=(4, 1)), rng.uniform(0.5, 2, size=(4, 1))
    z = np.linspace(-8, 8, 20001)
    p = np.exp(-0.5 * z**2 - 0.5 * (((z - mu) / sigma) ** 2).sum(axis=0))
    p /= p.sum()
    mean, deviation = _pair(f, mu, sigma)
    require(np.abs(mean - p @ z) < 1e-6, "multiplied out on a grid, prior times letters has another mean")
    spread = math.sqrt(p @ (z - p @ z) ** 2)
    require(np.abs(deviation - spread) < 1e-6, "multiplied out on a grid, prior times letters has another deviation")


product = Exercise(
    "product",
    _product,
    "exponents of Normals add up, so precisions do; the prior is one more factor, with mean 0 and precision 1.",
    [_product_of_none, _product_sure, _product_on_a_grid],
    [
        "The logarithm of a Normal density is a parabola. What is the sum of parabolas?",
        "Add the precisions 1 / sigma², the prior's 1 included. The mean is the average weighed by precision.",
        "`total = 1 + (1 / sigma**2).sum(axis=0)`, mean `(mu / sigma**2).sum(axis=0) / total`.",
    ],
)

# --- set_loss: spot the bug --------------------------------------------------------------------------


def _set_loss(nll, kl):
    return (nll.sum(axis=1) + kl.sum(axis=1)).mean()


def _one(f, *arguments):
    value = np.asarray(f(*arguments), float)
    require(value.shape == (), f"a loss is one number; yours has shape {value.shape}")
    return float(value)


def _kl_once(f):
    kl = np.random.default_rng(2).random((5, 4))
    values = [_one(f, np.zeros((5, M)), kl) for M in (1, 3, 62)]
    require(np.ptp(values) < 1e-9, "the code belongs to the font: its KL must count once, for any number of letters")
    require(abs(values[0] - kl.sum(axis=1).mean()) < 1e-9,
            "with all nll 0 the loss must be the mean over fonts of each font's KL, its K numbers added: no other "
            "factor, and no minus")  # fmt: skip


def _letters_add(f):
    nll = np.random.default_rng(3).random((5, 7))
    value = _one(f, nll, np.zeros((5, 2)))
    require(abs(value - nll.sum(axis=1).mean()) < 1e-9, "the letters of a font must add up, and fonts be averaged")


set_loss = Exercise(
    "set_loss",
    _set_loss,
    "log p(x₁ … x_M | z) is a sum over letters, and KL(q(z) || p(z)) is about the one code that they share.",
    [_kl_once, _letters_add],
    [
        "Set all nll to 0. What is left, and does it depend on the number of letters?",
        "`nll + kl.sum(axis=1, keepdims=True)` gives every letter a KL of its own before the sum over letters.",
        "Sum each over its own axis first: `nll.sum(axis=1) + kl.sum(axis=1)`.",
    ],
)

# --- distance_field ----------------------------------------------------------------------------------


def _distance_field(image):
    inside = np.asarray(image, bool)
    y, x = np.indices(inside.shape)
    here = np.stack([y.ravel(), x.ravel()], axis=1)  # (P, 2)
    apart = np.sqrt(((here[:, None] - here[None]) ** 2).sum(axis=2))  # (P, P)
    other = inside.ravel()[:, None] != inside.ravel()[None]
    nearest = np.where(other, apart, np.inf).min(axis=1) - 0.5
    return np.where(inside.ravel(), nearest, -nearest).reshape(inside.shape)


def _field(f, image):
    field = np.asarray(f(image), float)
    require(field.shape == image.shape, f"every pixel gets a distance: shape {image.shape}; yours is {field.shape}")
    return field


def _edge(f):
    image = np.zeros((3, 8), bool)
    image[:, 4:] = True
    field = _field(f, image)
    require(field[:, 4:] > 0, "distances inside the ink must be positive")
    require(field[:, :4] < 0, "distances outside the ink must be negative")
    require(np.abs(field[1] - (np.arange(8) - 3.5)) < 1e-9,
            "the outline runs between two pixels, half a pixel from the centre of each")  # fmt: skip


def _dot(f):
    image = np.zeros((7, 7), bool)
    image[3, 3] = True
    field = _field(f, image)
    require(abs(field[3, 0] + 2.5) < 1e-9, "three pixels away from a lone dot the outline is two and a half away")
    require(abs(field[0, 0] + (math.sqrt(18) - 0.5)) < 1e-9, "diagonals are longer than rows: distances are Euclidean")


def _inverse(f):
    image = np.random.default_rng(4).random((6, 5)) < 0.5
    require(np.abs(_field(f, image) + _field(f, ~image)) < 1e-9, "exchanging ink and paper must turn the sign")


distance_field = Exercise(
    "distance_field",
    _distance_field,
    "the nearest pixel of the other kind lies just beyond the outline, which runs halfway between the two.",
    [_edge, _dot, _inverse],
    [
        "For a pixel inside, which pixels can be the nearest outside? Search all of them.",
        "`np.indices(image.shape)` gives coordinates; an array (P, P) of distances between all pairs is small enough.",
        "Mask pairs of the same kind with infinity, take the minimum, subtract a half, give the sign.",
    ],
)

# --- level_probability -------------------------------------------------------------------------------


def phi(t):
    """The distribution function of the standard Normal, for numbers and arrays."""
    return 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(np.asarray(t) / math.sqrt(2)))


def _level_probability(level, mu, sigma):
    above = np.where(level == 255, np.inf, ((level + 0.5) / 255 - mu) / sigma)
    below = np.where(level == 0, -np.inf, ((level - 0.5) / 255 - mu) / sigma)
    return phi(above) - phi(below)


LEVELS = np.arange(256)


def _probabilities(f, mu, sigma):
    p = np.asarray(f(LEVELS, mu, sigma), float)
    require(p.shape == (256,), f"256 levels must get 256 probabilities; yours have shape {p.shape}")
    return p


def _levels_middle(f):
    p = _probabilities(f, 0.5, 0.05)
    require((p >= 0) & (p <= 1), "a probability lies between 0 and 1")
    k = 127
    true = float(phi((127.5 / 255 - 0.5) / 0.05) - phi((126.5 / 255 - 0.5) / 0.05))
    require(abs(p[k] - true) < 1e-9, "a level has the mass of its bin, half a step to either side; steps are 1/255")


def _levels_ends(f):
    p = _probabilities(f, -0.5, 0.1)
    require(p[0] > 0.999, "a mean far below 0 must make level 0 certain: the first bin takes all that lies below")
    p = _probabilities(f, 1.5, 0.1)
    require(p[255] > 0.999, "a mean far above 1 must make level 255 certain: the last bin takes all that lies above")


def _levels_sum(f):
    for mu, sigma in ((0.0, 0.2), (0.5, 2.0), (1.2, 0.05)):
        total = _probabilities(f, mu, sigma).sum()
        require(abs(total - 1) < 1e-9, f"256 levels must sum to 1; for mu={mu}, sigma={sigma} they give {total:.3f}")


level_probability = Exercise(
    "level_probability",
    _level_probability,
    "each level takes the mass of its bin, and the two ends take the tails, so that nothing of the Normal is lost.",
    [_levels_middle, _levels_ends, _levels_sum],
    [
        "Level k stands at k/255, and its bin reaches half a step, 0.5/255, to either side.",
        "The mass of a bin is Φ(upper) - Φ(lower), with edges measured in sigmas from mu.",
        "Set the lower edge of level 0 to minus infinity and the upper edge of level 255 to infinity (np.where).",
    ],
)

# --- transfer_error: spot the bug --------------------------------------------------------------------


def _transfer_error(guess, x, c, shown):
    counts = c >= 0  # (N, M)
    counts[:, shown] = False
    return np.abs(guess - x).mean(axis=2)[counts].mean()


def _a_test(M=6):
    rng = np.random.default_rng(5)
    guess, x = rng.random((2, 3, M, 10))
    return guess, x, np.tile(np.arange(M), (3, 1))


def _shown_left_out(f):
    guess, x, c = _a_test()
    before = _one(f, guess, x, c.copy(), [1])
    guess[:, 1] += 100
    require(abs(_one(f, guess, x, c.copy(), [1]) - before) < 1e-9, "what was shown must not count: it was given away")


def _missing_left_out(f):
    guess, x, c = _a_test()
    c[2, 4] = -1
    before = _one(f, guess, x, c.copy(), [1])
    guess[2, 4] += 100
    require(abs(_one(f, guess, x, c.copy(), [1]) - before) < 1e-9,
            "a letter that the font lacks (c is -1) has no truth to be compared with; it must not count")  # fmt: skip


def _not_squared(f):
    guess, x, c = np.full((1, 3, 4), 3.0), np.zeros((1, 3, 4)), np.arange(3)[None]
    value = _one(f, guess, x, c, [0])
    require(abs(value - 3) < 1e-9, "the error is the mean absolute difference: where all pixels are 3 off, it is 3")


def _each_letter_alike(f):
    guess, x, c = _a_test()
    c[0, 2:] = -1  # this font has two letters
    value = _one(f, guess, x, c.copy(), [0])
    errors = np.abs(guess - x).mean(axis=2)
    true = np.mean([errors[n, m] for n in range(3) for m in range(1, 6) if c[n, m] >= 0])
    require(abs(value - true) < 1e-9, "the error is the mean over all glyphs that count; divide by how many those are")


transfer_error = Exercise(
    "transfer_error",
    _transfer_error,
    "only glyphs that exist and were not shown can tell how well the rest was guessed.",
    [_shown_left_out, _missing_left_out, _not_squared, _each_letter_alike],
    [
        "Two kinds of glyphs are counted that should not be. Which of them are too easy?",
        "Make a mask (N, M) of the glyphs that count: those with c >= 0, without the columns `shown`.",
        "`errors[mask].mean()`, with errors (N, M) the mean over pixels.",
    ],
)
