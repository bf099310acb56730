"""Exercises of Families on the board: the bound of a masked network, drawing from one, and a free energy."""

import itertools

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns, same_alone

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT: dict[str, tuple[str, ...]] = {}


@exercise(
    why="each of the n hidden pixels is the next one with the same chance, and such a step happens D times an image.",
    hints=[
        "An image costs D steps. You see one of them: the one with n pixels still hidden.",
        "At that step any of the n hidden pixels may come next: take the mean of their log p.",
        "`D / n` times the sum over the hidden pixels, row by row.",
    ],
)
def masked_bound(log_p, hidden):
    D, n = hidden.shape[1], hidden.sum(axis=1)
    return D / n * (log_p * hidden).sum(axis=1)


def all_masks(D):
    return np.array(list(itertools.product([0, 1], repeat=D)))[1:]  # at least one is hidden


@masked_bound.fact
def looks_at_hidden_pixels_only(masked_bound):
    rng = np.random.default_rng(0)
    log_p, hidden = -rng.random((5, 6)), np.tile([1.0, 0, 0, 1, 0, 0], (5, 1))
    found = returns(masked_bound(log_p, hidden), (5,), "one number an image")
    changed = returns(masked_bound(np.where(hidden == 1, log_p, -9.0), hidden), (5,))
    require(near(found, changed), "what the network says of a pixel that it sees must not count")


@masked_bound.fact
def is_right_on_average(masked_bound):
    """For independent pixels every order gives the same log p(x), so the mean over n and masks must be just that."""
    D, rng = 4, np.random.default_rng(1)
    log_p = np.log(rng.uniform(0.2, 0.9, D))
    masks = all_masks(D)
    found = returns(masked_bound(np.tile(log_p, (len(masks), 1)), masks), (len(masks),))
    by_n = [found[masks.sum(axis=1) == n].mean() for n in range(1, D + 1)]
    require(near(by_n[-1], log_p.sum()), "with everything hidden, n = D, the weight must be 1: the sum of all log p")
    require(near(np.mean(by_n), log_p.sum()),
            "averaged over n = 1 … D and over which pixels are hidden, it must be log p(x): may a mask with few hidden "
            "pixels count as much as one with many?")


@masked_bound.fact
def each_row_has_its_own_n(masked_bound):
    rng = np.random.default_rng(2)
    log_p, hidden = -rng.random((6, 5)), all_masks(5)[[0, 4, 9, 14, 25, 30]].astype(float)
    same_alone(masked_bound, log_p, hidden, fact="each image must be weighed by its own number of hidden pixels")


@exercise(
    why="a pixel is drawn given all that is known by then, becomes known itself, and the next one is asked for anew.",
    hints=[
        "What must be asked anew after each pixel, and why?",
        "For d in order: skip it if it is known; ask `predict(x, known)`, draw x[:, d], and set known[:, d] to 1.",
        "`x[:, d] = np.where(known[:, d] == 1, x[:, d], rng.random(len(x)) < predict(x, known)[:, d])`",
    ],
)
def fill_in(x, known, predict, order, rng):
    x, known = np.where(known == 1, x, 0.0), known.astype(float)
    for d in order:
        drawn = rng.random(len(x)) < predict(x, known)[:, d]
        x[:, d] = np.where(known[:, d] == 1, x[:, d], drawn)
        known[:, d] = 1
    return x


# A tiny world of three pixels whose eight images have these probabilities.
WORLD = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
P = np.array([0.3, 0.02, 0.03, 0.15, 0.05, 0.1, 0.05, 0.3])


def perfect(x, known):
    """p(pixel = 1 | known pixels): (N, 3), exact, whatever stands in the unknown ones; of known pixels, nonsense."""
    fits = ((x[:, None] == WORLD) | (known[:, None] == 0)).all(axis=2) * P  # (N, 8)
    return np.where(known == 1, 1 - x, fits @ WORLD / fits.sum(axis=1, keepdims=True).clip(1e-9))


def filled_in(fill_in, x, known, order, predict=perfect, seed=0):
    before = x.copy(), known.copy()
    found = returns(fill_in(x, known, predict, np.array(order), np.random.default_rng(seed)), x.shape,
                    "images of the same shape")
    require(np.isin(found[known == 0], [0, 1]), "every pixel must be 0 or 1: draw it, do not return its probability")
    require((x == before[0]).all() and (known == before[1]).all(), "x and known belong to the caller: change copies")
    return found


def shares(found):
    return (found[:, None] == WORLD).all(axis=2).mean(axis=0)


@fill_in.fact
def keeps_what_is_known(fill_in):
    rng = np.random.default_rng(1)
    x, known = rng.uniform(-2, 2, size=(400, 3)), (rng.random((400, 3)) < 0.5).astype(float)
    found = filled_in(fill_in, x, known, [1, 0, 2], predict=lambda x, known: np.full(x.shape, 0.5))
    require(near(found, x)[known == 1],
            "pixels that are known must stay as they are, whatever the network says of them")


@fill_in.fact
def each_image_has_its_own_chance(fill_in):
    """Twenty pixels of p = 0.7: the likelier value would be ink everywhere, one draw for all would fill columns."""
    x = np.zeros((400, 20))
    found = filled_in(fill_in, x, x, list(range(20)), predict=lambda x, known: np.full(x.shape, 0.7))
    require(not (found == 1).all(), "pixels must be ink as often as the model says: with p = 0.7 draw ink seven times "
                                    "of ten, and not the likelier value each time")
    require((found != found[0]).any(), "each image needs a random number of its own: draw as many as there are images")


@fill_in.fact
def draws_from_the_model(fill_in):
    for order in ([0, 1, 2], [2, 0, 1]):
        found = shares(filled_in(fill_in, np.zeros((6000, 3)), np.zeros((6000, 3)), order))
        require(np.abs(found - P) < 0.03, "with nothing known the images must come as often as the model says: each "
                                          "pixel must be drawn given those drawn before it")


@fill_in.fact
def draws_given_what_is_known(fill_in):
    x, known = np.tile([7.0, 7.0, 1.0], (6000, 1)), np.tile([0, 0, 1], (6000, 1))
    found = shares(filled_in(fill_in, x, known, [0, 1, 2]))
    truth = P * WORLD[:, 2] / (P * WORLD[:, 2]).sum()
    require(np.abs(found - truth) < 0.03, "given the last pixel, the others must follow p(x₁, x₂ | x₃), whatever "
                                          "stands in the unknown pixels before")


@fill_in.fact
def follows_the_order(fill_in):
    asked, order = [], [2, 0, 3, 1]

    def predict(x, known):
        asked.append(known.copy())
        return np.full(x.shape, 0.5)

    filled_in(fill_in, np.zeros((2, 4)), np.zeros((2, 4)), order, predict)
    first = [int(np.argmin([mask[0, d] == 0 for mask in asked] + [False])) for d in order]  # pass that knows it first
    require(first == sorted(first) and len(set(first)) == 4,
            "pixels must become known one by one, in the order that is given")


@fill_in.fact
def chance_comes_from_rng(fill_in):
    x, known = np.zeros((50, 3)), np.zeros((50, 3))
    a, again, b = (filled_in(fill_in, x, known, [0, 1, 2], seed=seed) for seed in (0, 0, 1))
    require((a == again).all() and (a != b).any(),
            "chance must come from rng: the same generator gives the same images, another one others")


@exercise(
    why="given the pixels the switches are independent, so the sum over all their states is a product of small sums.",
    hints=[
        "Write out the sum over h for two switches. Which terms can be taken out of it?",
        "Each switch gives a factor: its two terms, off and on, are 1 and exp(c_j + W_j · v).",
        "`-v @ b` less the sum over the switches of log(1 + exp(`v @ W.T + c`)); `np.logaddexp(0, a)` cannot overflow.",
    ],
)
def free_energy(v, W, b, c):
    return -v @ b - np.logaddexp(0, v @ W.T + c).sum(axis=1)


def machine(hidden, D, seed, scale=1.0):
    """Random v (2^D, D), W (hidden, D), b (D,) and c (hidden,)."""
    rng = np.random.default_rng(seed)
    v = np.array(list(itertools.product([0.0, 1.0], repeat=D)))
    return v, scale * rng.normal(size=(hidden, D)), scale * rng.normal(size=D), scale * rng.normal(size=hidden)


def energies(v, W, b, c):
    """E(v, h) of images v (N, D) with all states of the switches: (N, 2^hidden)."""
    h = np.array(list(itertools.product([0.0, 1.0], repeat=len(c))))
    return -(v @ b)[:, None] - h @ c - v @ W.T @ h.T


@free_energy.fact
def without_weights_and_offsets(free_energy):
    v, W, b, c = machine(3, 4, seed=0)
    found = returns(free_energy(v, 0 * W, b, 0 * c), (16,), "one number an image")
    require(near(found + v @ b, -3 * np.log(2)),
            "three switches that see nothing have eight equal states, and each state counts: with W = 0 and c = 0, "
            "exp(-F) must be 8 exp(b · v)")


@free_energy.fact
def sums_the_switches_out(free_energy):
    for hidden, D in ((1, 3), (3, 4), (5, 2)):
        v, W, b, c = machine(hidden, D, seed=1)
        found = returns(free_energy(v, W, b, c), (len(v),))
        require(near(np.exp(-found), np.exp(-energies(v, W, b, c)).sum(axis=1)),
                "exp(-F(v)) must be the sum of exp(-E(v, h)) over all states h of the switches")


@free_energy.fact
def large_numbers_do_not_overflow(free_energy):
    v, W, b, c = machine(3, 4, seed=2, scale=1000.0)
    found = returns(free_energy(v, W, b, c), (16,))
    require(near(found, energies(v, W, b, c).min(axis=1)),
            "where weights are in the thousands, exp overflows and log(1 + exp(a)) is a: F must still be right")


@free_energy.fact
def each_image_alone(free_energy):
    v, W, b, c = machine(2, 3, seed=3)
    same_alone(free_energy, v, rest=(W, b, c))
