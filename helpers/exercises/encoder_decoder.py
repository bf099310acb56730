"""Exercises of notebook 01: affine encoders and decoders."""

import numpy as np

from helpers.exercises.engine import Exercise, require


def _random(seed=0):
    return np.random.default_rng(seed)


# --- numbers_needed ----------------------------------------------------------------------------------


def _numbers_needed(x, fraction):
    s = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    kept = np.cumsum(s**2) / np.sum(s**2)
    return int(np.argmax(kept >= fraction)) + 1


def _cloud(widths, N=400, seed=0):
    """Examples whose principal components have exactly these widths, in a rotated frame, off centre."""
    rng = _random(seed)
    K = len(widths)
    scores = rng.standard_normal((N, K))
    scores = np.linalg.qr(scores - scores.mean(axis=0))[0]  # orthonormal columns of mean zero
    frame = np.linalg.qr(rng.standard_normal((K, K)))[0]
    return scores * np.asarray(widths, float) @ frame + 50


def _needed_whole(f):
    K = f(_cloud([3, 2, 1]), 0.5)
    require(np.ndim(K) == 0 and K == int(K), f"it must be one whole number; yours is {K!r}")


def _needed_centred(f):
    require(
        f(_cloud([2, 2, 2]), 0.9) == 3,
        "three directions of equal width each hold a third of the variation, so 90 per cent takes all three; is the "
        "mean taken out? The cloud need not lie at the origin",
    )


def _needed_squares(f):
    # widths 3 and 1: the first holds 9 / 10 of the squared error, but 3 / 4 of the summed widths
    require(
        f(_cloud([3, 1]), 0.85) == 1,
        "variation is squared error: a direction three times as wide holds nine times as much",
    )


def _needed_smallest(f):
    x = _cloud([4, 3, 2, 1], seed=1)
    for fraction in (0.3, 0.6, 0.85, 0.99):
        K = f(x, fraction)
        s2 = np.array([16, 9, 4, 1]) / 30
        require(s2[: int(K)].sum() >= fraction, "with that many numbers less than the required fraction is kept")
        require(s2[: int(K) - 1].sum() < fraction, "one number fewer would have been enough")


numbers_needed = Exercise(
    "numbers_needed",
    _numbers_needed,
    "the squared singular values are the variation along each direction; count until the sum is large enough.",
    [_needed_whole, _needed_centred, _needed_squares, _needed_smallest],
    [
        "Centre the examples, take the singular values: `np.linalg.svd(x - x.mean(axis=0), compute_uv=False)`.",
        "The K-th square, over the sum of all squares, is the fraction of the variation along direction K.",
        "`np.cumsum` adds them up; the first place where the sum reaches the fraction is at index K - 1.",
    ],
)

# --- repair: spot the bug ----------------------------------------------------------------------------


def _encode(x, W, b):
    return x @ W + b


def _encode_broken(x, W, B):
    return (W.T @ x.T + B).T


def _any_batch_size(f):
    rng = _random(4)
    W, b = rng.random((6, 2)), rng.random(2)
    for N in (1, 3, 8):
        try:
            z = np.asarray(f(rng.random((N, 6)), W, b))
        except ValueError:
            require(False, f"with a bias vector b of shape (2,) it must encode batches of any size; {N} images fail")
        require(z.shape == (N, 2), f"a batch of {N} must get codes of shape ({N}, 2); yours has {z.shape}")


def _order_does_not_matter(f):
    rng = _random(5)
    x, W, b = rng.random((2, 6)), rng.random((6, 2)), np.array([0.0, 100.0])
    z, swapped = np.asarray(f(x, W, b)), np.asarray(f(x[::-1], W, b))
    require(
        z.shape == swapped.shape and np.abs(z[::-1] - swapped).max() < 1e-9,
        "when the images of a batch change places their codes must change places too, and nothing else; here the "
        "bias goes by the place of an image in the batch",
    )


def _bias_reaches_every_image(f):
    rng = _random(6)
    x, W, b = rng.random((5, 6)), rng.random((6, 2)), np.array([10.0, -20.0])
    moved = np.asarray(f(x, W, b)) - np.asarray(f(x, W, np.zeros(2)))
    require(np.abs(moved - b) < 1e-9, "changing b must move every code by exactly that much")


encode = Exercise(
    "encode",
    _encode,
    "transposing back and forth hid that the bias was added along the batch; in rows nothing need be transposed.",
    [_any_batch_size, _order_does_not_matter, _bias_reaches_every_image],
    [
        "Write the shape of every intermediate result beside the code. Which axis counts the images?",
        "`W.T @ x.T` has shape (K, N). The bias is added to its last axis, and that axis is the batch.",
        "Keep examples in rows throughout: `x @ W + b`.",
    ],
)

# --- redecode ----------------------------------------------------------------------------------------


def _redecode(V, u, M):
    return np.linalg.inv(M) @ V, u


def _two(result, what):
    require(isinstance(result, tuple) and len(result) == 2, f"it must return two things, {what}")
    return map(np.asarray, result)


def _problem(seed=7, K=3, D=8):
    rng = _random(seed)
    return (
        rng.standard_normal((K, D)),
        rng.standard_normal(D),
        rng.standard_normal((K, K)),
        rng.standard_normal((20, K)),
    )


def _redecode_shapes(f):
    V, u, M, _ = _problem()
    V2, u2 = _two(f(V, u, M), "V and u")
    require(
        V2.shape == V.shape and u2.shape == u.shape,
        f"the new decoder has the shapes of the old one, {V.shape} and {u.shape}; yours are {V2.shape} and {u2.shape}",
    )


def _redecode_zero(f):
    V, u, M, _ = _problem()
    _, u2 = _two(f(V, u, M), "V and u")
    require(np.abs(u2 - u) < 1e-9, "a code of zeros stays a code of zeros, so its image, the bias, must not change")


def _redecode_rotation(f):
    V, u, M, z = _problem()
    R = np.linalg.qr(M)[0]
    V2, u2 = _two(f(V, u, R), "V and u")
    require(
        np.abs(z @ R @ V2 + u2 - (z @ V + u)) < 1e-9,
        "even for a rotation the new decoder draws other images from the new codes; it must first turn them back",
    )


def _redecode_general(f):
    V, u, M, z = _problem()
    V2, u2 = _two(f(V, u, M), "V and u")
    require(
        np.abs(z @ M @ V2 + u2 - (z @ V + u)) < 1e-9,
        "it is right for rotations and wrong in general; transposing undoes a rotation, and nothing else",
    )


redecode = Exercise(
    "redecode",
    _redecode,
    "z M M⁻¹ V = z V: whatever mixing the codes undergo, a decoder that undoes it draws the same images.",
    [_redecode_shapes, _redecode_zero, _redecode_rotation, _redecode_general],
    [
        "You want z M V' + u' = z V + u for every z. What must M V' be?",
        "M V' = V. Which matrix, put before V, makes that true?",
        "V' is the inverse of M times V, and u stays.",
    ],
)

# --- compose -----------------------------------------------------------------------------------------


def _compose(W1, b1, W2, b2):
    return W1 @ W2, b1 @ W2 + b2


def _compose_agrees(f):
    rng = _random(9)
    for sizes in ((4, 3, 5), (6, 6, 6), (5, 2, 1)):
        a, m, o = sizes
        W1, b1, W2, b2 = rng.random((a, m)), rng.random(m), rng.random((m, o)), rng.random(o)
        W, b = _two(f(W1, b1, W2, b2), "W and b")
        require(b.shape == (o,), f"a bias is a vector, one number for each output: shape ({o},); yours has {b.shape}")
        require(W.shape == (a, o), f"from {a} numbers to {o}, W must have shape ({a}, {o}); yours has {W.shape}")
        zero = np.zeros((1, a))
        require(
            np.abs(zero @ W + b - (b1 @ W2 + b2)) < 1e-9,
            "zeros must come out as they do after both maps; the first bias passes through the second matrix",
        )
        x = rng.standard_normal((7, a))
        require(
            np.abs(x @ W + b - ((x @ W1 + b1) @ W2 + b2)) < 1e-9,
            "one map must give what the two maps give one after the other; look at the order of the product",
        )


compose = Exercise(
    "compose",
    _compose,
    "(x W1 + b1) W2 + b2 = x (W1 W2) + (b1 W2 + b2): two affine maps in a row are one affine map.",
    [_compose_agrees],
    [
        "Write (x W1 + b1) W2 + b2 and multiply out.",
        "Everything that stands beside x is W; everything else is b.",
        "`return W1 @ W2, b1 @ W2 + b2`",
    ],
)
