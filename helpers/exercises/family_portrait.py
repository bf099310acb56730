"""Exercises of A family portrait: does it integrate, a coupling layer, the optimal discriminator."""

import numpy as np

from helpers.exercises.engine import exercise, near, parts, require, returns

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.models.families.plane": ("Autoregressive", "VAE", "Flow", "Energy", "GAN", "Denoiser", "Diffusion",
                                      "Field", "Matching"),
}


@exercise(
    why="noise = (x − b) / a shrinks a piece of length dx to dx / a, so the density is divided by every |a|.",
    hints=[
        "Take one dimension, b = 0 and a large a. Is the density of x at 0 then large or small?",
        "The density of x is that of the noise times |d noise / d x|. What is that derivative?",
        "`-np.log(np.abs(a)).sum()`: one minus, the sum over dimensions, and the size of a, which may be negative.",
    ],
)
def affine_log_prob(x, a, b):
    noise = (x - b) / a
    log_normal = -0.5 * (noise**2 + np.log(2 * np.pi)).sum(axis=1)
    return log_normal - np.log(np.abs(a)).sum()


def integral(answer, a, b):
    D = len(a)
    axes = [np.linspace(m - 8 * abs(s), m + 8 * abs(s), 201) for m, s in zip(b, a)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, D)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    return np.exp(returns(answer(x, np.array(a), np.array(b)), (len(x),), "one number for each point")).sum() * cell


@affine_log_prob.fact
def integrates_to_one(affine_log_prob):
    for a, b in (([2.0], [0.0]), ([0.4], [1.0]), ([0.5, 3.0], [0.0, -1.0])):
        found = integral(affine_log_prob, a, b)
        require(near(found, 1, 1e-3), f"with a = {a} the density must integrate to 1; yours gives {found:.4g}")


@affine_log_prob.fact
def mirrors_too(affine_log_prob):
    found = integral(affine_log_prob, [-2.0, 0.7], [0.3, 0.0])
    require(near(found, 1, 1e-3), "a may be negative (x is mirrored), and it must still integrate to 1")


@affine_log_prob.fact
def is_largest_at_b(affine_log_prob):
    x = np.array([[0.3, -1.0], [1.3, -1.0], [0.3, 1.0]])
    found = returns(affine_log_prob(x, np.array([0.5, 2.0]), np.array([0.3, -1.0])), (3,))
    require(near(found[0] - found[1], 2.0), "two standard deviations from b must cost 2 nats: noise is (x − b) / a")
    require(near(found[0] - found[2], 0.5), "one standard deviation from b must cost half a nat")


@exercise(
    why="a never changes, so both directions can ask the network for the same shift and scale.",
    hints=[
        "What does the network get to see in both directions?",
        "Forward: b · exp(log_scale) + shift. Solve for b. The network looks at a each time.",
        "Back: `(b - shift) * np.exp(-log_scale)`, and the log-determinant `-log_scale.sum(axis=1)`.",
    ],
)
def coupling(a, b, network, back=False):
    shift, log_scale = network(a)
    if back:
        return a, (b - shift) * np.exp(-log_scale), -log_scale.sum(axis=1)
    return a, b * np.exp(log_scale) + shift, log_scale.sum(axis=1)


def network(a):
    """Shift and log-scale (N, 3) from a (N, 2): any functions will do."""
    m = np.stack([a[:, 0], a[:, 1] ** 2, np.sin(a[:, 0] * a[:, 1])], axis=1)
    return m - 1, 0.3 * np.cos(2 * m)


def coupled(coupling, a, b, back=False):
    found = parts(coupling(a, b, network, back) if back else coupling(a, b, network), "a", "b", "log_det")
    names = zip(found, ("a", "b", "log_det"), (a.shape, b.shape, (len(a),)))
    for value, name, shape in names:
        require(value.shape == shape, f"{name} must have shape {shape}; yours has {value.shape}")
    return found


@coupling.fact
def keeps_a(coupling):
    a, b = np.random.default_rng(0).normal(size=(6, 2)), np.random.default_rng(1).normal(size=(6, 3))
    for back in (False, True):
        require(near(coupled(coupling, a, b, back)[0], a), "a must come out as it went in, in both directions")


@coupling.fact
def can_be_undone(coupling):
    a, b = np.random.default_rng(2).normal(size=(6, 2)), np.random.default_rng(3).normal(size=(6, 3))
    _, changed, log_det = coupled(coupling, a, b)
    require(np.abs(changed - b).max() > 0.1, "forward, b must change: scaled, then shifted, as the network says")
    _, again, back_log_det = coupled(coupling, a, changed, True)
    require(near(again, b), "back must undo forward: subtract the shift first, then divide by the scale")
    require(near(log_det + back_log_det, 0), "what stretches forward shrinks back: the two log-determinants add to 0")


@coupling.fact
def scales_by_the_exponential(coupling):
    a = np.random.default_rng(4).normal(size=(4, 2))
    shift, log_scale = network(a)
    _, at_zero, _ = coupled(coupling, a, np.zeros((4, 3)))
    require(near(at_zero, shift), "b = 0 must become the shift: the shift is added after scaling")
    _, at_one, _ = coupled(coupling, a, np.ones((4, 3)))
    require(near(at_one - at_zero, np.exp(log_scale)), "forward, b must be multiplied by exp(log_scale)")


@coupling.fact
def says_how_it_stretches(coupling):
    a, b, e = np.random.default_rng(5).normal(size=(4, 2)), np.random.default_rng(6).normal(size=(4, 3)), 0.5
    for back in (False, True):
        log_det = coupled(coupling, a, b, back)[2]
        slopes = [(coupled(coupling, a, b + e * step, back)[1] - coupled(coupling, a, b - e * step, back)[1])[:, d]
                  / (2 * e) for d, step in enumerate(np.eye(3))]
        require(near(np.log(np.abs(slopes)).sum(axis=0), log_det, 1e-4),
                "log_det must be the logarithm of how the layer stretches volumes in the direction asked for: one "
                "number a row, a sum over the columns of b")


@exercise(
    why="among points at x, a share p / (p + q) is real; no answer can do better than the true odds.",
    hints=[
        "Stand at one place x. Of all points that arrive there, how many are real?",
        "p / (p + q). To divide by p: 1 / (1 + q / p), and q / p is exp(log_q − log_p).",
        "`1 / (1 + np.exp(log_q - log_p))`; where both are tiny that is still a number, and p / (p + q) is 0 / 0.",
    ],
)
def optimal_discriminator(log_p, log_q):
    return 1 / (1 + np.exp(log_q - log_p))


@optimal_discriminator.fact
def is_half_where_they_agree(optimal_discriminator):
    log_p = np.array([-1.0, 0.5, -7.0])
    found = returns(optimal_discriminator(log_p, log_p), (3,))
    require(near(found, 0.5), "where both densities are equal nothing can be told: D must be 0.5")


@optimal_discriminator.fact
def is_the_share_of_real_points(optimal_discriminator):
    found = returns(optimal_discriminator(np.log([0.3, 0.1, 0.02]), np.log([0.1, 0.3, 0.08])), (3,))
    require(found[0] > 0.5, "where real points are denser D must be above 0.5: it is the probability of *real*")
    require(near(found, [0.75, 0.25, 0.2]), "D must be the share of real points among all that lie there, p / (p + q)")


@optimal_discriminator.fact
def beats_its_neighbours(optimal_discriminator):
    rng = np.random.default_rng(0)
    p, q = rng.uniform(0.01, 1, (2, 50))
    D = np.clip(returns(optimal_discriminator(np.log(p), np.log(q)), (50,)), 1e-9, 1 - 1e-9)
    loss = lambda D: -(p * np.log(D) + q * np.log(1 - D))
    require((loss(D) <= loss(D * 0.99) + 1e-12) & (loss(D) <= loss(1 - (1 - D) * 0.99) + 1e-12),
            "a little more or a little less must cost more: the derivative of p log D + q log(1 − D) is 0")


@optimal_discriminator.fact
def works_far_away(optimal_discriminator):
    with np.errstate(all="ignore"):
        found = returns(optimal_discriminator(np.array([-900.0, -1000.0]), np.array([-900.0, -1003.0])), (2,))
    require(near(found, [0.5, 1 / (1 + np.exp(-3.0))]),
            "far from all data both densities are 0 in floating point, but their logarithms still say who is denser")
