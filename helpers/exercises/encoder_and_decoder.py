"""Exercises of Encoder and decoder: affine maps to codes and back."""

import numpy as np

from helpers.exercises.engine import Wrong, exercise, near, parts, require, returns, same_alone, whole


@exercise(
    why="the squared singular values are the variation along each direction; count until the sum is large enough.",
    hints=[
        "Centre the examples, take the singular values: `np.linalg.svd(x - x.mean(axis=0), compute_uv=False)`.",
        "The K-th square, over the sum of all squares, is the fraction of the variation along direction K.",
        "`np.cumsum` adds them up; the first place where the sum reaches the fraction is at index K - 1.",
    ],
)
def numbers_needed(x, fraction):
    s = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    kept = np.cumsum(s**2) / np.sum(s**2)
    return int(np.argmax(kept >= fraction)) + 1


def cloud(widths, N=400, seed=0, slanted=False):
    """Examples whose principal components have exactly these widths, in a rotated frame, off centre."""
    rng = np.random.default_rng(seed)
    K = len(widths)
    scores = rng.standard_normal((N, K))
    scores = np.linalg.qr(scores - scores.mean(axis=0))[0]  # orthonormal columns of mean zero
    frame = np.linalg.qr(rng.standard_normal((K, K)))[0]
    if slanted:  # 4 numbers; every pixel varies by the same amount, so that pixels cannot stand for directions
        plane = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
        frame = np.kron(plane, plane)
    return scores * np.asarray(widths, float) @ frame + 50


@numbers_needed.fact
def is_a_whole_number(numbers_needed):
    whole(numbers_needed(cloud([3, 2, 1]), 0.95), "one whole number")


@numbers_needed.fact
def takes_the_mean_out(numbers_needed):
    found = int(numbers_needed(cloud([2, 2, 2]), 0.9))
    fact = "three directions of equal width each hold a third of the variation, so 90 per cent takes all three"
    if found == 1:  # all is far from the origin in one direction, that of the mean
        fact += "; is the mean taken out? The cloud need not lie at the origin"
    if found == 2:
        fact += "; two hold only 67 per cent (an index begins at 0, a number of directions at 1)"
    require(found == 3, fact)


@numbers_needed.fact
def counts_squares(numbers_needed):
    # widths 3 and 1: the first holds 9 / 10 of the squared error, but 3 / 4 of the summed widths
    fact = "variation is squared error: a direction three times as wide holds nine times as much"
    require(numbers_needed(cloud([3, 1]), 0.85) == 1, fact)


@numbers_needed.fact
def is_enough_and_no_more(numbers_needed):
    x, share = cloud([4, 3, 2, 1], seed=1), np.array([16, 9, 4, 1]) / 30
    for fraction in (0.3, 0.6, 0.85, 0.99):
        K = int(numbers_needed(x, fraction))
        require(share[:K].sum() >= fraction, "with that many numbers less than the required fraction is kept")
        require(share[: K - 1].sum() < fraction, "one number fewer would have been enough")


@numbers_needed.fact
def finds_slanted_directions(numbers_needed):
    fact = "where the cloud is a slanted line one number is enough: directions are not pixels; find them by an SVD"
    require(numbers_needed(cloud([5, 0.1, 0.1, 0.1], slanted=True), 0.9) == 1, fact)
    fact = "a cloud keeps its variation when it is turned, and needs as many numbers as before"
    require(numbers_needed(cloud([4, 3, 2, 1], seed=1, slanted=True), 0.75) == 2, fact)


@exercise(
    why="transposing back and forth hid that the bias was added along the batch; in rows nothing need be transposed.",
    hints=[
        "Write the shape of every intermediate result beside the code. Which axis counts the images?",
        "`W.T @ x.T` has shape (K, N). The bias is added to its last axis, and that axis is the batch.",
        "Keep examples in rows throughout: `x @ W + b`.",
    ],
)
def encode(x, W, b):
    return x @ W + b


@encode.fact
def takes_any_batch(encode):
    rng = np.random.default_rng(4)
    W, b = rng.random((6, 2)), rng.random(2)
    for N in (1, 3, 8):
        shape = returns(encode(rng.random((N, 6)), W, b)).shape
        require(shape == (N, 2), f"a batch of {N} must get codes of shape ({N}, 2); yours has {shape}")


@encode.fact
def ignores_the_place_in_the_batch(encode):
    rng = np.random.default_rng(5)
    x, W, b = rng.random((2, 6)), rng.random((6, 2)), np.array([0.0, 100.0])
    require(
        near(returns(encode(x, W, b))[::-1], encode(x[::-1], W, b)),
        "when the images of a batch change places their codes must change places too, and nothing else; here the "
        "bias goes by the place of an image in the batch",
    )


@encode.fact
def gives_each_image_its_own_code(encode):
    rng = np.random.default_rng(10)
    same_alone(
        encode, rng.random((4, 6)), rest=(rng.random((6, 2)), rng.random(2)),
        fact="an image must have the same code alone as in a batch, whatever the other images are",
    )  # fmt: skip


@encode.fact
def moves_every_code_by_the_bias(encode):
    rng = np.random.default_rng(6)
    x, W, b = rng.random((5, 6)), rng.random((6, 2)), np.array([10.0, -20.0])
    moved = returns(encode(x, W, b)) - returns(encode(x, W, np.zeros(2)))
    require(near(moved, b), "changing b must move every code by exactly that much")


@encode.fact
def picks_rows_of_w(encode):
    W, b = np.random.default_rng(8).standard_normal((2, 5, 3))
    b = b[0]
    for ink in (1.0, -2.5, 0.3):
        require(
            near(encode(ink * np.eye(5), W, b), ink * W + b),
            "an image whose only ink is in pixel i has the code row i of W, times that ink, plus b",
        )
    for x in np.random.default_rng(9).standard_normal((3, 1, 5)):
        require(
            near(encode(x, W, 0 * b)[0], returns(encode(x.T * np.eye(5), W, 0 * b)).sum(axis=0)),
            "the parts that the pixels of an image have in its code add up: nothing is squared, bent or cut off",
        )


@exercise(
    why="z M M⁻¹ V = z V: whatever mixing the codes undergo, a decoder that undoes it draws the same images.",
    hints=[
        "You want z M V' + u' = z V + u for every z. What must M V' be?",
        "M V' = V. Which matrix, put before V, makes that true?",
        "V' is the inverse of M times V, and u stays.",
    ],
)
def redecode(V, u, M):
    return np.linalg.inv(M) @ V, u


def decoder(K=3, D=8):
    """V (K, D) and u (D,) of a decoder, a matrix M (K, K), and codes z (20, K)."""
    rng = np.random.default_rng(7)
    return [rng.standard_normal(shape) for shape in ((K, D), D, (K, K), (20, K))]


@redecode.fact
def keeps_the_shapes(redecode):
    V, u, M, _ = decoder()
    try:
        new = redecode(V, u, M)
    except Wrong as stops:
        if not any(said in str(stops) for said in ("matmul", "not aligned")):
            raise
        raise Wrong(
            f"sides that touch must agree: V has shape {V.shape}, M and its inverse {M.shape}, so they fit only on the "
            f"left of V, and never beside u, which has {u.shape}"
        ) from None
    V2, u2 = parts(new, "V", "u")
    require(
        V2.shape == V.shape and u2.shape == u.shape,
        f"the new decoder has the shapes of the old one, {V.shape} and {u.shape}; yours are {V2.shape} and {u2.shape}",
    )


@redecode.fact
def keeps_the_bias(redecode):
    V, u, M, _ = decoder()
    _, u2 = parts(redecode(V, u, M), "V", "u")
    require(near(u2, u), "a code of zeros stays a code of zeros, so its image, the bias, must not change")


@redecode.fact
def undoes_rotations(redecode):
    V, u, M, z = decoder()
    R = np.linalg.qr(M)[0]
    V2, u2 = parts(redecode(V, u, R), "V", "u")
    require(
        near(z @ R @ V2 + u2, z @ V + u),
        "even for a rotation the new decoder draws other images from the new codes; it must first turn them back",
    )


@redecode.fact
def undoes_every_matrix(redecode):
    V, u, M, z = decoder()
    V2, u2 = parts(redecode(V, u, M), "V", "u")
    require(
        near(z @ M @ V2 + u2, z @ V + u),
        "it is right for rotations and wrong in general; transposing undoes a rotation, and nothing else",
    )


@exercise(
    why="(x W1 + b1) W2 + b2 = x (W1 W2) + (b1 W2 + b2): two affine maps in a row are one affine map.",
    hints=[
        "Write (x W1 + b1) W2 + b2 and multiply out.",
        "Everything that stands beside x is W; everything else is b.",
        "`return W1 @ W2, b1 @ W2 + b2`",
    ],
)
def compose(W1, b1, W2, b2):
    return W1 @ W2, b1 @ W2 + b2


@compose.fact
def is_one_map_after_the_other(compose):
    rng = np.random.default_rng(9)
    for a, m, o in ((4, 3, 5), (6, 6, 6), (5, 2, 1)):
        W1, b1, W2, b2 = rng.random((a, m)), rng.random(m), rng.random((m, o)), rng.random(o)
        W, b = parts(compose(W1, b1, W2, b2), "W", "b")
        require(b.shape == (o,), f"a bias is a vector, one number for each output: shape ({o},); yours has {b.shape}")
        require(W.shape == (a, o), f"from {a} numbers to {o}, W must have shape ({a}, {o}); yours has {W.shape}")
        require(
            near(np.zeros((1, a)) @ W + b, b1 @ W2 + b2),
            "zeros must come out as they do after both maps; the first bias passes through the second matrix",
        )
        x = rng.standard_normal((7, a))
        require(
            near(x @ W + b, (x @ W1 + b1) @ W2 + b2),
            "one map must give what the two maps give one after the other; look at the order of the product",
        )
