"""Exercises of A learned prior: the aggregate posterior, a two-sample score, a guided draw, codes that were scaled."""

import math

import numpy as np
import torch
from torch.distributions import MultivariateNormal, Normal

from helpers.exercises.engine import exercise, near, parts, require, returns, same_alone


@exercise(
    why="q(z) is a mean of densities, not of logarithms; logsumexp adds them where each alone would be 0.",
    hints=[
        "First a table: the log-density of every place under every guess, (M, N).",
        "The mean of N densities is their sum, divided by N. With logarithms: logsumexp, then minus log N.",
        "`Normal(mu, sigma).log_prob(z[:, None])` is the table; `.logsumexp(dim=1)` adds each row.",
    ],
)
def aggregate(z, mu, sigma):
    each = Normal(mu, sigma).log_prob(z[:, None])  # (M, N)
    return each.logsumexp(dim=1) - math.log(len(mu))


def numbers(*values):
    """Tensors of float64."""
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def grid(mu, sigma):
    """Places that leave nothing out: (M,)."""
    return torch.linspace(float((mu - 9 * sigma).min()), float((mu + 9 * sigma).max()), 4001, dtype=torch.float64)


def which_point(aggregate, mu, sigma=1.0):
    """The nats that say which of N points it is: the mean of KL(q(z|x) || q(z)), by a sum over a grid."""
    mu = torch.as_tensor(mu, dtype=torch.float64)
    z, each = grid(mu, sigma * torch.ones_like(mu)), Normal(mu, sigma)
    own, log_q = each.log_prob(z[:, None]), torch.as_tensor(returns(aggregate(z, mu, sigma * torch.ones_like(mu))))
    return float((own.exp() * (own - log_q[:, None])).sum(dim=0).mean() * (z[1] - z[0]))


@aggregate.fact
def is_the_guess_where_there_is_one_point(aggregate):
    z, mu, sigma = numbers([-1.0, 0.5, 2.0, 4.0], [0.5], [2.0])
    found = returns(aggregate(z, mu, sigma), (4,), "one number for each place")
    require(near(found, Normal(mu, sigma).log_prob(z)),
            "of a single point, q(z) is its guess: the log-density of a Normal, whose deviation is sigma")


@aggregate.fact
def is_a_density(aggregate):
    for points in (([0.0, 3.0], [1.0, 0.5]), ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0]), ([-4.0, 0.0, 1.0], [0.3, 1.0, 2.0])):
        mu, sigma = numbers(*points)
        z = grid(mu, sigma)
        found = np.exp(returns(aggregate(z, mu, sigma), (len(z),), "one number for each place")).sum() * (z[1] - z[0])
        require(near(found, 1, 1e-3), f"the density must integrate to 1; yours gives {found:.3g}. "
                f"It is the mean of {len(mu)} densities; the mean of logarithms is something else, and so is the sum")


@aggregate.fact
def says_which_of_two(aggregate):
    require(near(which_point(aggregate, [1.0, 1.0]), 0, 1e-4),
            "where two guesses are equal, so is q(z): no nats are needed to say which point it is")
    require(near(which_point(aggregate, [0.0, 30.0]), math.log(2), 1e-4),
            "for two points far apart it must take log 2 nats to say which point it is: near its own point, q(z) is "
            "half as dense as the guess")
    nats = [which_point(aggregate, [0.0, apart]) for apart in (0.5, 1.0, 2.0, 4.0)]
    require(np.diff([0, *nats, math.log(2)]) > 0, "which of two points it is can never take more than log 2 nats, and "
            "must take the more, the farther they are apart")


@aggregate.fact
def is_a_share_of_the_nearest(aggregate):
    z, mu, sigma = numbers([-50.3, 0.2, 49.0, 52.0], [0.07, 50.0, -50.33], [0.95, 1.84, 0.5])
    own = Normal(mu[[2, 0, 1, 1]], sigma[[2, 0, 1, 1]]).log_prob(z)
    require(near(returns(aggregate(z, mu, sigma), (4,)), own - math.log(3)),
            "of three points far apart, q(z) near one of them is a third of its guess, with its own mean and deviation")


@aggregate.fact
def holds_far_out(aggregate):
    z, mu, sigma = numbers([0.5, 300.0, -300.0], [0.0, 1.0], [1.0, 1.0])
    found = returns(aggregate(z, mu, sigma), (3,))
    truth = Normal(0.0, 1.0).log_prob(torch.tensor([0.5, 299.0, -300.0], dtype=torch.float64))
    truth[1:] -= math.log(2)
    require(near(found, truth), "far out each density is 0 to the computer, and its logarithm is minus infinity: use "
            "logsumexp, over the points, at each place")
    same_alone(aggregate, z, rest=(mu, sigma), fact="each place must have the density that it has alone")


@exercise(
    why="a judge must not have seen what it judges, and each sample counts for half, whatever its size.",
    hints=[
        "Which rows may the classifier see before it judges a row? And what does a judge get who always says `a`?",
        "Divide each sample into five parts. Train on four parts of both, judge the fifth. In the end: which part of "
        "`a` was recognised, which part of `b`?",
        "`(right[y == 0].mean() + right[y == 1].mean()) / 2`, with `right` of the held-out rows of all five folds",
    ],
)
def told(a, b, classify):
    x, y = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    fold = np.concatenate([np.arange(len(a)), np.arange(len(b))]) % 5
    guess = np.empty(len(x))
    for k in range(5):
        test = fold == k
        guess[test] = classify(x[~test], y[~test], x[test])
    return ((guess[y == 0] == 0).mean() + (guess[y == 1] == 1).mean()) / 2


def nearest(x, y, new):
    """The label of the nearest row: it remembers everything, and knows each row that it has seen."""
    apart = ((np.asarray(new)[:, None] - np.asarray(x)[None]) ** 2).sum(axis=2)
    return np.asarray(y)[apart.argmin(axis=1)]


def mean_told(told, N, M, shift=0.0, pairs=30):
    """Of pairs of samples in the plane, of N and of M rows, of which the second is shifted."""
    scores = []
    for seed in range(pairs):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=(N, 2)), rng.normal(size=(M, 2)) + shift
        scores.append(returns(told(a, b, nearest), (), "one number for two samples"))
    return np.mean(scores)


@told.fact
def is_half_for_equal_distributions(told):
    found = mean_told(told, 30, 30)
    require(found < 0.9, f"30 rows against 30 of the same distribution: yours says {found:.2f}. A classifier that "
            "remembers its rows knows them again; it may only judge rows that it has not seen")
    require(abs(found - 0.5) < 0.07, "30 rows against 30 of the same distribution must give about 0.5, chance, on the "
            f"average over many pairs; yours gives {found:.2f}. Do all folds hold both samples, in equal shares?")


@told.fact
def is_half_for_unequal_sizes(told):
    for N, M in ((300, 30), (30, 300)):
        found = mean_told(told, N, M)
        require(abs(found - 0.5) < 0.07, f"{N} rows against {M} of the same distribution must give about 0.5; yours "
                f"gives {found:.2f}. Whoever always guesses the larger sample is right nine times of ten: take the "
                "part that is right of each sample, and then the mean of both")


@told.fact
def tells_what_is_different(told):
    for N, M in ((30, 30), (300, 30)):
        found = mean_told(told, N, M, shift=3.0, pairs=4)
        require(found > 0.9, f"{N} rows against {M} that are far from them: the score must be near 1, and yours is "
                f"{found:.2f}. The classifier must see rows of both samples, with 0 for a and 1 for b")


@told.fact
def counts_both_samples_alike(told):
    a, b = np.zeros((300, 1)), np.arange(1.0, 31)[:, None]
    for one, other, judge in ((a, b, lambda x, y, new: np.asarray(new)[:, 0] % 2),
                              (b, a, lambda x, y, new: 1 - np.asarray(new)[:, 0] % 2)):
        found = returns(told(one, other, judge), ())
        require(near(found, 0.75), "a judge who is right of all rows of one sample, and of half of the other, must get "
                "0.75, whatever the sizes (label 0 is a's, 1 is b's)")
    a, b = np.arange(20.0)[:, None], np.arange(20.0, 40)[:, None]
    for start, score in ((20, 1), (15, 0.875), (0, 0.5)):
        who = f"of {start} of 20 rows of a, and of all 20 of b, must get"
        found = returns(told(a, b, lambda x, y, new, start=start: np.asarray(new)[:, 0] >= start), ())
        require(near(found, score), f"a judge who is right {who} {score}")
        found = returns(told(a, b, lambda x, y, new, start=start: np.asarray(new)[:, 0] < start), ())
        require(near(found, 1 - score), f"a judge who is wrong {who} {1 - score}: below chance stays below")


@told.fact
def judges_each_row_once_unseen(told):
    seen = []

    def spy(x, y, new):
        seen.append([np.asarray(part, float).ravel() for part in (x, y, new)])
        return np.zeros(len(new))

    told(np.arange(25.0)[:, None], np.arange(25.0, 50)[:, None], spy)
    for x, y, new in seen:
        require(not np.intersect1d(x, new).size, "rows that are judged must not be among those that it was trained on")
        require(len(y) == len(x) and (y == (x >= 25)).all(), "each row keeps its label: 0 for those of a, 1 for b")
        require(len(x) == 40 and (y == 1).sum() == 20, "of 25 rows against 25, each of five folds must train on 20 of "
                "both, and judge the rest")
    judged = np.sort(np.concatenate([new for _, _, new in seen]))
    require(len(judged) == 50 and (judged == np.arange(50)).all(), "in five folds each row must be judged exactly once")


@exercise(
    why="the guided field is a velocity like any other, so the draw is the old walk along it.",
    hints=[
        "Without guidance it is the walk that you know, with `c` handed on in each question.",
        "For guidance ask twice at each place: with `c`, and with as many NaN as `c` has numbers.",
        "`free = velocity(x, t, torch.full_like(c, torch.nan))`, and then walk along `v + w * (v - free)`.",
    ],
)
def order(velocity, noise, c, w, steps):
    def guided(x, t):
        v, free = velocity(x, t, c), velocity(x, t, torch.full_like(c, torch.nan))
        return v + w * (v - free)

    x = noise
    for i in range(steps):
        middle = x + guided(x, i / steps) / (2 * steps)
        x = x + guided(middle, (i + 0.5) / steps) / steps
    return x


def exact(wide):
    """The true velocity to codes whose number k is Normal around c_k, 0.5 wide; around 0 and ``wide`` without order."""
    def velocity(x, t, c):
        t = torch.as_tensor(t, dtype=x.dtype)
        t = t[:, None] if t.dim() == 1 else t
        mean, s = c.nan_to_num(0.0), torch.where(c.isnan(), wide, 0.5)
        return mean + (t * s**2 - (1 - t)) / ((1 - t) ** 2 + (t * s) ** 2) * (x - t * mean)

    return velocity


def ordered(order, c, w, wide=0.5, steps=120):
    """What an answer draws for each row of orders c, and the noise that it was given."""
    noise = torch.from_numpy(np.random.default_rng(len(c)).normal(size=np.shape(c)))
    found = order(exact(wide), noise, torch.tensor(c, dtype=torch.float64), w, steps)
    return returns(found, np.shape(c), "a code for each row of noise"), noise.numpy()


ORDERS = [[1.05, -2.25], [3.25, 0.45], [-1.55, 2.0], [0.0, 1.05]]


@order.fact
def draws_what_was_ordered(order):
    found, noise = ordered(order, ORDERS, 0.0)
    require(near(found, ORDERS + 0.5 * noise, 0.03), "with w = 0 the velocity is v(x, t, c) alone: each number of a "
            "code must come out Normal around what was ordered, with the deviation of the target. Time runs from 0, "
            "the noise, to 1")


@order.fact
def guidance_stresses_the_order(order):
    for w in (0.25, 2.0):
        found, noise = ordered(order, ORDERS, w)
        require(near(found, (1 + w) * np.array(ORDERS) + 0.5 * noise, 0.03),
                f"where all targets are equally wide, w = {w} must draw around {1 + w} times what was ordered: "
                "v + w (v − free), away from the field without an order")


@order.fact
def free_is_without_any_order(order):
    found, noise = ordered(order, [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], 1.0, wide=1.5)
    require(near(found, 0.5 * (0.5 / 1.5) * noise, 0.03), "an order of 0 is an order, too: guided away from all codes, "
            "which are wider, its codes must come closer together. Fill the free c with NaN, not with 0")


@order.fact
def leaves_the_unordered_alone(order):
    nan = math.nan
    orders = [[nan, nan], [1.0, nan], [nan, -2.0]]
    for w in (0.0, 3.0):
        found, noise = ordered(order, orders, w, wide=1.5)
        free = np.isnan(orders)
        require(near(found[free], 1.5 * noise[free], 0.03), "a number that was not ordered (NaN) must be drawn as "
                "without an order, whatever w is: there v and free are the same")


@order.fact
def walks_in_so_many_steps(order):
    for steps in (1, 4, 20):
        asked = []

        def even(x, t, c, asked=asked):
            asked.append(float(torch.as_tensor(t, dtype=torch.float64).max()))
            return torch.ones_like(x)

        found = returns(order(even, torch.zeros(2, 3), torch.zeros(2, 1), 1.0, steps), (2, 3))
        require(near(found, 1), f"with the velocity 1 everywhere, {steps} steps must add 1 to the noise: each step is "
                "1 / steps long")
        times = sorted({round(t, 5) for t in asked})  # single precision is welcome
        last = round(1 - 1 / steps, 5)
        require(asked[0] == 0 and last <= times[-1] <= 1 and steps <= len(times) <= 2 * steps + 1,
                "the first step begins at time 0, the last at 1 − 1 / steps; "
                f"with steps = {steps} yours asks at {times}")


@exercise(
    why="whoever scales codes on the way in must undo it on the way out: draws are stretched, densities thinned.",
    hints=[
        "`gaussian` lives in standardised units. In which units must the draws be, and log p?",
        "Solve (z − mean) / deviation for z. And what happens to a density when its space is stretched by 2?",
        "`mean + deviation * drawn`, and log p less `deviation.log().sum()`",
    ],
)
def scaled_gaussian(codes, noise, z):
    mean, deviation = codes.mean(dim=0), codes.std(dim=0)
    standardised = (codes - mean) / deviation
    root = torch.linalg.cholesky(torch.cov(standardised.T))
    gaussian = MultivariateNormal(torch.zeros_like(mean), scale_tril=root)
    log_p = gaussian.log_prob((z - mean) / deviation) - deviation.log().sum()
    return mean + deviation * (noise @ root.T), log_p


def some_codes(N=40):
    """Codes (N, 2): one number is wide, the other narrow, and they go together."""
    x = np.random.default_rng(0).normal(size=(N, 2))
    return torch.from_numpy(np.stack([1.5 + 3 * x[:, 0], -0.4 + 0.06 * x[:, 0] + 0.08 * x[:, 1]], axis=1))


def fair_noise(N=60):
    """Noise (N, 2) whose mean is 0 and whose covariance is the unit matrix, exactly."""
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(N, 2)))
    x = x - x.mean(dim=0)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(x.T)), x.T, upper=False).T


def gave(scaled_gaussian, noise, z):
    drawn, log_p = parts(scaled_gaussian(some_codes(), noise, z), "draws", "log p")
    require(drawn.shape == noise.shape, f"draws must have the shape of the noise, {tuple(noise.shape)}")
    require(log_p.shape == (len(z),), f"log p must be one number for each row of z; yours has shape {log_p.shape}")
    return drawn, log_p


@scaled_gaussian.fact
def draws_have_the_moments_of_the_codes(scaled_gaussian):
    codes = some_codes()
    drawn, _ = gave(scaled_gaussian, fair_noise(), codes[:3])
    require(near(drawn.std(axis=0, ddof=1), codes.std(dim=0), 1e-3), "the deviations of the draws are not those of the "
            "codes (3 and 0.1 here): where do the draws live, and where do the codes?")
    require(near(drawn.mean(axis=0), codes.mean(dim=0), 1e-3), "the mean of the draws must be that of the codes")
    require(near(np.corrcoef(drawn.T), np.corrcoef(codes.numpy().T), 1e-3),
            "the numbers of a draw must go together as those of a code do: `root` mixes them")


@scaled_gaussian.fact
def the_density_integrates_to_one(scaled_gaussian):
    axes = [torch.linspace(*ends, 151, dtype=torch.float64) for ends in ((-25.0, 28.0), (-1.3, 0.5))]
    z = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 2)
    cell = float((axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0]))
    found = np.exp(gave(scaled_gaussian, fair_noise(), z)[1]).sum() * cell
    require(near(found, 1, 0.01), f"the density must integrate to 1 over the codes; yours gives {found:.3g}. Where "
            "space is stretched by a deviation, the density is divided by it")


@scaled_gaussian.fact
def draws_and_density_are_of_one_gaussian(scaled_gaussian):
    codes, noise = some_codes(), fair_noise()
    drawn, _ = gave(scaled_gaussian, noise, codes[:3])
    places, log_p = gave(scaled_gaussian, 0 * noise, torch.from_numpy(drawn))
    costs = 0.5 * (noise.square().sum(dim=1) - noise[0].square().sum())
    require(near(log_p[0] - log_p, costs, 1e-3), "draws from larger noise must be less dense, by half of the noise's "
            "square: log p must standardise z, by the mean and the deviation of the codes")
    require(near(places[0], codes.mean(dim=0), 1e-3), "noise of 0 must become the mean of the codes")
