"""Exercises of Put it to work: warn, teach, measure: an alarm that keeps its promise, a training set without a leak,
ranks of the truth."""

import numpy as np

from helpers.exercises.engine import exercise, near, parts, require, returns, same_alone


@exercise(
    why="of N usual examples and a new one of the same kind, each is as likely as any other to be the outermost.",
    hints=[
        "Each sense can be too high or too low: that is 2 S questions, and the promise is shared among them.",
        "For one question: how many usual scores are at least as far out? Count the new one, too: (k + 1) / (N + 1).",
        "Put `usual` and `-usual` side by side, (N, 2 S), `new` likewise; ring if any part is ≤ promised / 2 S.",
    ],
)
def ring(usual, new, promised):
    known, asked = np.concatenate([usual, -usual], axis=1), np.concatenate([new, -new], axis=1)
    further = (known[None] >= asked[:, None]).sum(axis=1)  # (M, 2 S)
    part = (further + 1) / (len(usual) + 1)
    return (part <= promised / known.shape[1]).any(axis=1)


def rings(ring, usual, new, promised):
    """What an answer says, as 0 or 1 for each new example."""
    usual, new = np.asarray(usual, float), np.asarray(new, float)
    return returns(ring(usual, new, promised), (len(new),), "True or False for each new example")


@ring.fact
def rings_for_what_is_too_low(ring):
    usual = np.arange(99.0)[:, None]
    found = rings(ring, usual, [[-5.0], [50.0], [200.0]], 0.1)
    require(found[2] == 1, "it must ring for a score above all usual ones")
    require(found[0] == 1, "it must ring for a score below all usual ones, too: a blank page is more probable than any "
            "letter")
    require(found[1] == 0, "it must not ring for a score in the middle of the usual ones")


@ring.fact
def rings_if_any_sense_does(ring):
    usual = np.stack([np.arange(99.0), np.arange(99.0) * 7 % 99], axis=1)
    found = rings(ring, usual, [[50.0, 50.0], [50.0, -9.0], [50.0, 300.0], [300.0, 50.0], [-9.0, 50.0]], 0.1)
    require(found[0] == 0, "it must not ring for scores in the middle of the usual ones, in all senses")
    require(found[1:], "it must ring if one sense alone is too high or too low: −log p may be usual where ink is not")


@ring.fact
def shares_the_promise(ring):
    for senses, promised in ((1, 0.1), (1, 0.2), (2, 0.2), (4, 0.2)):
        usual = np.repeat(np.arange(199.0)[:, None], senses, axis=1)
        most = round(200 * promised / (2 * senses))  # the rank that may ring
        for side in (1, -1):
            places = 198 - np.arange(12.0) + 0.5 if side > 0 else np.arange(12.0) - 0.5
            new = np.full((12, senses), 99.0)
            new[:, -1] = places  # k of the usual lie further out
            found = rings(ring, usual, new, promised)
            wanted = np.arange(12) + 1 <= most
            require(found == wanted, f"with {senses} sense{'s' * (senses > 1)} and the promise {promised:g}, "
                    f"{2 * senses} questions are asked: each may ring for {promised:g} / {2 * senses} of the usual, "
                    "counting the new one among them, (k + 1) / (N + 1)")


@ring.fact
def keeps_its_promise(ring):
    rng = np.random.default_rng(0)
    for N in (19, 40, 400):
        often = np.mean([rings(ring, rng.normal(size=(N, 2)), rng.normal(size=(20, 2)), 0.2) for _ in range(150)])
        require(often < 0.225, f"of {N} usual examples and new ones of the same kind, it may ring for 20 % of the new; "
                f"yours rings for {100 * often:.0f} %")


@ring.fact
def few_examples_cannot_promise_much(ring):
    found = rings(ring, [[1.0], [2.0], [3.0]], [[100.0], [-100.0]], 0.05)
    require(found == 0, "of three usual examples and a new one, each is the largest in a quarter of the cases: with "
            "the promise 0.05 it may never ring")


@ring.fact
def ties_are_usual(ring):
    usual = np.repeat([[3.0, 0.0]], 99, axis=0)
    require(rings(ring, usual, [[3.0, 0.0]], 0.1) == 0, "a score that is equal to usual ones is usual: count those "
            "that are at least as far out")


@ring.fact
def judges_each_alone(ring):
    rng = np.random.default_rng(1)
    usual, new = rng.normal(size=(60, 3)), 2 * rng.normal(size=(8, 3))
    same_alone(lambda new: np.asarray(rings(ring, usual, new, 0.3)), new,
               fact="each new example must be judged by the usual ones alone, in its own place")


@exercise(
    why="a generator that has seen more than the reader carries it in; then the rival had less.",
    hints=[
        "Who may see which rows? Everything that is not in `rows` stays unseen, for the generator, too.",
        "Ask for as many images of each label as the reader has, `times` over: the labels of the rows, repeated.",
        "`generate(x[rows], c[rows], labels)`, and then real and made ones, one below the other, each with its labels.",
    ],
)
def taught(x, c, rows, generate, times):
    labels = np.repeat(c[rows], times)
    made = generate(x[rows], c[rows], labels)
    return np.concatenate([x[rows], made]), np.concatenate([c[rows], labels])


def lesson_of(taught, rows, times, N=12):
    """What an answer makes of N images whose number tells who they are, and what its generator was told."""
    x = np.stack([np.arange(N, dtype=float), np.zeros(N)], axis=1)
    c, asked = np.arange(N) * 5 % 4, []

    def generate(seen, labels_seen, labels):
        seen, labels_seen, labels = returns(seen), returns(labels_seen), returns(labels)
        asked.append((seen, labels_seen, labels))
        return np.stack([100 + labels, 1 + np.arange(len(labels), dtype=float)], axis=1)

    images, labels = parts(taught(x, c, np.asarray(rows), generate, times), "images", "labels")
    require(len(images) == len(labels), "there must be one label for each image")
    return x, c, images, labels, asked


CHOSEN = (([7, 2, 11, 4, 0], 1), ([3, 10], 3), ([5, 1, 8], 2), ([6], 1))


@taught.fact
def the_generator_sees_the_rows_alone(taught):
    for rows, times in CHOSEN:
        _, c, _, _, asked = lesson_of(taught, rows, times)
        require(len(asked) >= 1, "generated images come from `generate`; yours never calls it")
        for seen, labels_seen, _ in asked:
            require(seen.ndim == 2 and np.isin(seen[:, 0], rows), "the generator may be trained on the rows of the "
                    "reader alone: with more it hands on what the reader must not know")
            require(len(seen) == len(rows) and len(np.unique(seen[:, 0])) == len(rows),
                    "the generator must see all rows of the reader, each once")
            require(len(labels_seen) == len(seen) and labels_seen == c[seen[:, 0].astype(int)],
                    "the generator must be told the label of each image that it sees")


@taught.fact
def real_ones_stay(taught):
    for rows, times in CHOSEN:
        _, c, images, labels, _ = lesson_of(taught, rows, times)
        real = images[:, 0] < 100
        require(np.sort(images[real, 0]).tolist() == sorted(rows), "each real example of the rows must be there once, "
                "and no other")
        require(labels[real] == c[images[real, 0].astype(int)], "a real image keeps its label")


@taught.fact
def made_ones_in_equal_shares(taught):
    for rows, times in CHOSEN:
        _, c, images, labels, _ = lesson_of(taught, rows, times)
        made = images[:, 0] >= 100
        require(made.sum() == times * len(rows), "there must be `times` generated images for each real one")
        require(labels[made] == images[made, 0] - 100, "a generated image has the label that it was made for")
        require(np.sort(labels[made]).tolist() == sorted(np.repeat(c[rows], times).tolist()),
                "generated images must have the labels of the rows, each `times` as often: else the reader learns "
                "other shares of the labels")


@exercise(
    why="if the truth is like one more draw, each place among the draws is equally likely.",
    hints=[
        "For one number of one note: how many of its L draws are smaller than the truth?",
        "Draws that are equal to the truth are neither below nor above: count half of them.",
        "`(draws < truth)` has the shape (L, N, K); add it up over the draws, axis 0, and half of `(draws == truth)`.",
    ],
)
def ranks_of(draws, truth):
    return (draws < truth).sum(axis=0) + (draws == truth).sum(axis=0) / 2


def ranked(ranks_of, draws, truth):
    """What an answer gives for draws (L, N, K) and truths (N, K)."""
    draws, truth = np.asarray(draws, float), np.asarray(truth, float)
    return returns(ranks_of(draws, truth), truth.shape, "one rank for each number of each note, (N, K)")


@ranks_of.fact
def counts_draws_below(ranks_of):
    draws = np.arange(9.0)[:, None, None] + np.zeros((9, 1, 2))
    found = ranked(ranks_of, draws, [[2.5, 6.5]])
    require(near(found, [[3, 7]]), "of draws 0 to 8, three lie below 2.5, and seven below 6.5: the rank of the truth "
            "is the number of draws below it")


@ranks_of.fact
def goes_from_zero_to_all(ranks_of):
    draws = np.random.default_rng(0).random((7, 3, 2))
    require(near(ranked(ranks_of, draws, np.full((3, 2), -1.0)), 0), "a truth below all draws must have the rank 0")
    require(near(ranked(ranks_of, draws, np.full((3, 2), 2.0)), 7), "a truth above all L draws must have the rank L")


@ranks_of.fact
def ties_count_half(ranks_of):
    draws = np.array([1.0, 2.0, 2.0, 2.0, 5.0, 1.0])[:, None, None]
    for truth, rank in ((2.0, 3.5), (1.0, 1.0), (5.0, 5.5), (3.0, 5.0)):
        require(near(ranked(ranks_of, draws, [[truth]]), rank), "draws that are equal to the truth count half")


@ranks_of.fact
def order_of_draws_is_nothing(ranks_of):
    rng = np.random.default_rng(1)
    draws, truth = rng.integers(4, size=(11, 5, 3)), rng.integers(4, size=(5, 3))
    require(near(ranked(ranks_of, draws, truth), ranked(ranks_of, draws[::-1], truth)),
            "the order of the draws must not matter")
    require(near(ranked(ranks_of, draws, truth) + ranked(ranks_of, -draws, -truth), 11),
            "turned upside down, rank r must become L − r")


@ranks_of.fact
def each_number_by_its_own_draws(ranks_of):
    rng = np.random.default_rng(2)
    for L, N, K in ((6, 4, 3), (4, 4, 4), (3, 3, 2)):
        draws, truth = rng.random((L, N, K)), rng.random((N, K))
        found = ranked(ranks_of, draws, truth)
        each = [[sum(draws[i, n, k] < truth[n, k] for i in range(L)) for k in range(K)] for n in range(N)]
        require(near(found, each), "each number of each note is compared with its own draws, along the first axis")
