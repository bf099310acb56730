"""Exercises of Images: codes of sets, distance fields, and what counts as an error."""

import math

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.models.sets": ("product_of_normals",),
    "helpers.models.images": ("ConditionalDecoder",),
}


@exercise(
    why="log p(x₁ … x_M | z) is a sum over letters, and KL(q(z) || p(z)) is about the one code that they share.",
    hints=[
        "Set all rec to 0. What is left, and does it depend on the number of letters?",
        "`rec + kl.sum(axis=1, keepdims=True)` gives every letter a KL of its own before the sum over letters.",
        "Sum each over its own axis first: `rec.sum(axis=1) + kl.sum(axis=1)`.",
    ],
)
def set_loss(rec, kl):
    return (rec.sum(axis=1) + kl.sum(axis=1)).mean()


@set_loss.fact
def counts_the_kl_once(set_loss):
    kl = np.random.default_rng(2).random((5, 4))
    values = [returns(set_loss(np.zeros((5, M)), kl), ()) for M in (1, 3, 62)]
    require(np.ptp(values) < 1e-5, "the code belongs to the font: its KL must count once, for any number of letters")
    require(
        near(values[0], kl.sum(axis=1).mean()),
        "with all rec 0 the loss must be the mean over fonts of each font's KL, its K numbers added: no other "
        "factor, and no minus",
    )


@set_loss.fact
def adds_up_letters(set_loss):
    rec = np.random.default_rng(3).random((5, 7))
    loss = returns(set_loss(rec, np.zeros((5, 2))), ())
    require(near(loss, rec.sum(axis=1).mean()), "the letters of a font must add up, and fonts be averaged")


@exercise(
    why="the nearest pixel of the other kind lies just beyond the outline, which runs halfway between the two.",
    hints=[
        "For a pixel inside, which pixels can be the nearest outside? Search all of them.",
        "`np.indices(image.shape)` gives coordinates; an array (P, P) of distances between all pairs is small enough.",
        "Mask pairs of the same kind with infinity, take the minimum, subtract a half, give the sign.",
    ],
)
def distance_field(image):
    inside = np.asarray(image, bool)
    y, x = np.indices(inside.shape)
    here = np.stack([y.ravel(), x.ravel()], axis=1)  # (P, 2)
    apart = np.sqrt(((here[:, None] - here[None]) ** 2).sum(axis=2))  # (P, P)
    other = inside.ravel()[:, None] != inside.ravel()[None]
    nearest = np.where(other, apart, np.inf).min(axis=1) - 0.5
    return np.where(inside.ravel(), nearest, -nearest).reshape(inside.shape)


def field_of(distance_field, image):
    return returns(distance_field(image), image.shape, "a distance for every pixel")


@distance_field.fact
def is_measured_from_the_edge(distance_field):
    image = np.zeros((3, 8), bool)
    image[:, 4:] = True
    field = field_of(distance_field, image)
    require(field[:, 4:] > 0, "distances inside the ink must be positive")
    require(field[:, :4] < 0, "distances outside the ink must be negative")
    fact = "the outline runs between two pixels, half a pixel from the centre of each"
    require(near(field[1], np.arange(8) - 3.5), fact)


@distance_field.fact
def is_euclidean(distance_field):
    image = np.zeros((7, 7), bool)
    image[3, 3] = True
    field = field_of(distance_field, image)
    require(near(field[3, 0], -2.5), "three pixels away from a lone dot the outline is two and a half away")
    require(near(field[0, 0], 0.5 - math.sqrt(18)), "diagonals are longer than rows: distances are Euclidean")


@distance_field.fact
def turns_its_sign_with_the_image(distance_field):
    image = np.random.default_rng(4).random((6, 5)) < 0.5
    fact = "exchanging ink and paper must turn the sign"
    require(near(field_of(distance_field, image), -field_of(distance_field, ~image)), fact)


@exercise(
    why="only glyphs that exist and were not shown can tell how well the rest was guessed.",
    hints=[
        "Two kinds of glyphs are counted that should not be. Which of them are too easy?",
        "Make a mask (N, M) of the glyphs that count: those with c >= 0, without the columns `shown`.",
        "`errors[mask].mean()`, with errors (N, M) the mean over pixels.",
    ],
)
def transfer_error(guess, x, c, shown):
    counts = c >= 0  # (N, M)
    counts[:, shown] = False
    return np.abs(guess - x).mean(axis=2)[counts].mean()


def three_fonts(M=6):
    """guess, x (3, M, 10) and c (3, M); the labels are not the columns in which they stand."""
    rng = np.random.default_rng(5)
    return *rng.random((2, 3, M, 10)), np.stack([rng.permutation(M) for _ in range(3)])


@transfer_error.fact
def leaves_out_what_was_shown(transfer_error):
    guess, x, c = three_fonts()
    before = returns(transfer_error(guess, x, c, [1]), ())
    guess[:, 1] += 100
    require(near(transfer_error(guess, x, c, [1]), before), "what was shown must not count: it was given away")


@transfer_error.fact
def leaves_out_what_a_font_lacks(transfer_error):
    guess, x, c = three_fonts()
    c[2, 4] = -1
    before = returns(transfer_error(guess, x, c, [1]), ())
    guess[2, 4] += 100
    require(
        near(transfer_error(guess, x, c, [1]), before),
        "a letter that the font lacks (c is -1) has no truth to be compared with; it must not count",
    )


@transfer_error.fact
def is_an_absolute_difference(transfer_error):
    error = returns(transfer_error(np.full((1, 3, 4), 3.0), np.zeros((1, 3, 4)), np.arange(3)[None], [0]), ())
    fact = "the error is the mean absolute difference: where all pixels are 3 off, it is 3"
    require(near(error, 3), fact)
    for guess, x, error in ((0.5, 2.75, 2.25), (-12.0, 0.5, 12.5), (0.31, 0.02, 0.29)):
        three = [np.full((1, 3, 4), value) for value in (guess, x)]
        require(near(transfer_error(*three, np.arange(3)[None], [0]), error), fact)
    guess, x = np.zeros((2, 1, 2, 4))
    guess[0, 1], x[0, 1] = [1, 2, 0, 0], [0, 1, 1, 4]
    fact = "each pixel has its own truth: differences of 1, 1, 1 and 4 have the mean 1.75, whatever their sign"
    require(near(transfer_error(guess, x, np.array([[1, 0]]), [0]), 1.75), fact)


@transfer_error.fact
def counts_every_glyph_alike(transfer_error):
    # of what counts, the first font has two glyphs, 1 off, and the second has one, 4 off
    guess, c = np.zeros((2, 4, 5)), np.array([[0, 1, 2, -1], [0, 1, -1, -1]])
    guess[0], guess[1] = 1, 4
    fact = "the error is the mean over all glyphs that count; divide by how many those are"
    require(near(transfer_error(guess, np.zeros_like(guess), c, [0]), 2), fact)
    guess, x, c = three_fonts()
    counts = [(i, j) for i in range(3) for j in (0, 2, 3, 5)]
    but = [[column for column in range(6) if column != j] for _, j in counts]
    errors = [returns(transfer_error(guess[[i]], x[[i]], c[[i]], b), ()) for (i, _), b in zip(counts, but)]
    fact = "`shown` are columns, whatever letter stands there; all other glyphs count, letter 0 among them"
    require(near(transfer_error(guess, x, c, [1, 4]), np.mean(errors)), fact)
