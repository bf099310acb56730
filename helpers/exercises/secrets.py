"""Exercises of Models that keep secrets: AUC, exposure, clipping, what comes first."""

import numpy as np

from helpers.exercises.engine import Wrong, exercise, near, require, returns

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.evaluation.filters": ("moved",),
    "helpers.evaluation.privacy": ("clip", "private_mean"),
}


@exercise(
    why="comparing every member with every other is the definition itself.",
    hints=[
        "`member[:, None] > other` is a table of all comparisons.",
        "Its mean counts ties as losses. Add half of the mean of `member[:, None] == other`.",
    ],
)
def auc(member, other):
    above = member[:, None] > other
    ties = member[:, None] == other
    return (above + 0.5 * ties).mean()


def area(auc, member, other):
    return returns(auc(np.array(member, float), np.array(other, float)), (), "one number for two lists of scores")


@auc.fact
def is_1_above_and_0_below(auc):
    require(near(area(auc, [3, 4], [1, 2, 0]), 1), "if every member scores above every other, it is 1")
    require(near(area(auc, [1, 2], [3, 4, 5]), 0), "if every member scores below, it is 0")


@auc.fact
def counts_ties_half(auc):
    require(near(area(auc, [1, 1], [1, 1, 1]), 0.5), "if all score the same, it is guessing: ties count half")


@auc.fact
def counts_pairs(auc):
    require(
        near(area(auc, [1.0, 2.5, 4.0], [0.0, 2.5, 3.0, 5.0]), (1 + 1.5 + 3) / 12),
        "count over all pairs of a member and another: above 1, equal 1/2, below 0; take the mean",
    )


@auc.fact
def depends_on_order_alone(auc):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 1, 30), rng.normal(0, 1, 50)
    fact = "only the order of scores counts: stretching them must change nothing"
    require(near(area(auc, a, b), area(auc, np.exp(3 * a), np.exp(3 * b))), fact)


@exercise(
    why="the rank says how many guesses an attacker needs, and its logarithm how many bits are still missing.",
    hints=[
        "How many alternatives are likelier than the secret? Its rank is one more.",
        "`np.log2(len(log_p)) - np.log2(rank)`",
    ],
)
def exposure(log_p, secret):
    rank = 1 + np.sum(log_p > log_p[secret])
    return np.log2(len(log_p)) - np.log2(rank)


def bits_out(exposure, secret):
    """The exposure of one of 16 alternatives, each likelier than the one before."""
    return returns(exposure(np.log(np.arange(1, 17) / 136), secret), (), "one number for one secret")


@exposure.fact
def of_the_likeliest_is_all(exposure):
    found = bits_out(exposure, 15)
    require(not near(found, 4 * np.log(2)), "these are nats; for bits take np.log2, so that log2(16) = 4")
    require(near(found, 4), "the likeliest of 16 has rank 1: log2(16) = 4 bits are out")


@exposure.fact
def of_the_least_likely_is_nothing(exposure):
    require(near(bits_out(exposure, 0), 0), "the least likely of all has the last rank: nothing is out")


@exposure.fact
def goes_by_the_logarithm_of_the_rank(exposure):
    require(near(bits_out(exposure, 12), 2), "with rank 4 of 16, two of the four bits are out")


@exposure.fact
def counts_the_likelier_ones(exposure):
    p = np.array([0.3, 0.1, 0.4, 0.2])
    ranks = np.array([2, 4, 1, 3])
    found = [returns(exposure(np.log(p), secret), ()) for secret in range(4)]
    fact = "the rank of a secret is one more than the number of likelier alternatives, wherever they stand"
    require(near(found, np.log2(4 / ranks)), fact)


@exercise(
    why="the noise hides one example only if no example can be longer than the limit.",
    hints=[
        "Give one example an enormous gradient. How far does the result move?",
        "Lengths of the rows, `np.linalg.norm(gradients, axis=1, keepdims=True)`; scale each row; then sum.",
        "`clipped = gradients * np.minimum(1, largest / np.maximum(lengths, 1e-12))`",
    ],
)
def noisy_gradient(gradients, largest, noise, rng):
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    clipped = gradients * np.minimum(1, largest / np.maximum(lengths, 1e-12))
    total = clipped.sum(axis=0) + noise * largest * rng.standard_normal(gradients.shape[1])
    return total / len(gradients)


SHORT = 0.01 * np.random.default_rng(1).standard_normal((8, 5))  # eight gradients, far below the limit of 1


def noised(noisy_gradient, gradients, largest=1.0, noise=0.0, seed=3):
    found = noisy_gradient(gradients.copy(), largest, noise, np.random.default_rng(seed))
    return returns(found, gradients.shape[1:], "one gradient")


@noisy_gradient.fact
def leaves_short_gradients_alone(noisy_gradient):
    fact = "gradients shorter than the limit are left alone: without noise it is their mean"
    require(near(noised(noisy_gradient, SHORT), SHORT.mean(axis=0)), fact)


@noisy_gradient.fact
def clips_each_example(noisy_gradient):
    loud = SHORT.copy()
    loud[3] = 1000.0
    found = noised(noisy_gradient, loud)
    fact = "a huge gradient still moves the result too far: clip its length, not its entries"
    require(not np.all(near(found, np.clip(loud, -1, 1).mean(axis=0))), fact)
    moved = np.linalg.norm(found - noised(noisy_gradient, SHORT))
    fact = "a huge gradient moves the result too far: clip each one, not their mean"
    require(moved <= (1 + np.linalg.norm(SHORT[3])) / 8 + 1e-9, fact)


@noisy_gradient.fact
def keeps_directions(noisy_gradient):
    for largest in (2.0, 0.25):
        found = noised(noisy_gradient, np.array([[3.0, 4.0], [0.0, 0.0], [-30.0, 40.0], [0.0, 0.5]]), largest)
        fact = "a long gradient keeps its direction, and is scaled to the length `largest`"
        require(near(found, np.array([0.0, 1.6 * largest + min(0.5, largest)]) / 4), fact)


@noisy_gradient.fact
def adds_noise_to_the_sum(noisy_gradient):
    for largest, noise in ((1.0, 2.0), (3.0, 0.55)):
        deviation = noised(noisy_gradient, np.zeros((10, 20_000)), largest, noise).std() * 10
        fact = "noise on the sum has the standard deviation noise · largest; then all is divided by N"
        require(near(deviation / (noise * largest), 1, 0.05), fact)


@noisy_gradient.fact
def draws_its_noise_from_rng(noisy_gradient):
    one, same, other = (noised(noisy_gradient, SHORT, noise=1.0, seed=seed) for seed in (3, 3, 4))
    require(near(one, same), "a generator that begins at the same place must give the same noise: draw from rng")
    fact = "another generator must give other noise: whoever knows the seed can subtract the noise, so draw from rng"
    require(np.abs(one - other).max() > 1e-9, fact)
    rng = np.random.default_rng(5)
    first, second = (returns(noisy_gradient(SHORT.copy(), 1.0, 1.0, rng)) for _ in range(2))
    require(
        np.abs(first - second).max() > 1e-9, "every step must have new noise, drawn from the generator that is given"
    )
    z = noised(noisy_gradient, np.zeros((2, 20_000)), noise=1.0)
    fact = "the noise must be Gaussian: privacy is computed from its tails, other noise has others"
    require(near(((z / z.std()) ** 4).mean(), 3, 0.1), fact)


@exercise(
    why="opening is the dangerous part, so it comes second; and an error that is caught is an error that nobody sees.",
    hints=[
        "What may have happened by the time that the warning is printed?",
        "Verify first, and let its error pass. Only then read.",
    ],
)
def open_model(path, verify, read):
    verify(path)
    return read(path)


def opened(open_model, fits):
    """The calls that it makes, and what comes of it."""
    calls = []

    def verify(path):
        calls.append("verify")
        if not fits:
            raise PermissionError("the signature does not fit")

    def read(path):
        calls.append("read")
        return f"model in {path}"

    try:
        return calls, open_model("a.json", verify, read)
    except Wrong as wrong:
        if isinstance(wrong.__cause__, PermissionError):
            return calls, "refused"
        if "verify" not in calls or (fits and "read" in calls):
            raise
        return calls, "another error" if wrong.__cause__ is not None else "nothing"


@open_model.fact
def refuses_what_does_not_fit(open_model):
    calls, result = opened(open_model, fits=False)
    fact = "the error of verify must pass through: raise none of your own, and catch none"
    require(result != "another error", fact)
    require("read" not in calls, "a file whose signature does not fit was opened: for a pickle that is too late")
    require(result == "refused", "the error of verify must reach the user, and no model may be returned")


@open_model.fact
def reads_what_fits(open_model):
    calls, result = opened(open_model, fits=True)
    require("verify" in calls, "the signature was never verified")
    fact = "verify returns nothing when all is well, and raises when not: do not ask for what it returns"
    require(result not in ("another error", "nothing"), fact)
    require(
        calls.index("verify") < len(calls) - 1 and result == "model in a.json",
        "a file that fits is read after it was verified, and what read gives is returned",
    )
