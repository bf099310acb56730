"""Exercises of Text, one letter after another: bits a symbol, what may be seen, attention, a split that leaks."""

import math

import numpy as np

from helpers.data.colours import alike as letters
from helpers.exercises.engine import Wrong, exercise, near, parts, require, returns
from helpers.models.ngram import NGram
from helpers.models.texts import bits_per_character

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.models.texts": ("attention_weights", "attention", "causal", "Block"),
}


@exercise(
    why="a nat is 1 / ln 2 bits, symbol 0 is padding, and a mean of means would weigh short texts more.",
    hints=[
        "Which entries of log_p belong to a symbol, and which to padding?",
        "Sum over x != 0, divide by how many there are, and turn nats into bits. The end (symbol 1) counts.",
        "`-log_p[x != 0].sum() / (x != 0).sum() / np.log(2)`",
    ],
)
def bits(log_p, x):
    return -log_p[x != 0].sum() / (x != 0).sum() / np.log(2)


@bits.fact
def of_coins_is_one(bits):
    found = returns(bits(np.full((2, 4), math.log(0.5)), np.array([[5, 6, 7, 1], [8, 9, 4, 1]])), ())
    fact = "if every symbol, ends included, had probability 1/2, each costs one bit (log_p is in nats)"
    require(near(found, 1), fact)


@bits.fact
def ignores_padding(bits):
    x = np.array([[5, 6, 1, 0, 0, 0], [5, 6, 7, 8, 9, 1]])
    log_p = np.full(x.shape, math.log(0.25))
    fact = "with probability 1/4 for every symbol each costs two bits, however the texts are padded"
    require(near(bits(log_p, x), 2), fact)
    other = np.where(x == 0, -50.0, log_p)
    require(near(bits(other, x), 2), "what a model says about padding (symbol 0) must not count")
    fact = "padding can have log p = -inf: leave it out, do not multiply by 0, since 0 · -inf is no number"
    require(near(bits(np.where(x == 0, -np.inf, log_p), x), 2), fact)


@bits.fact
def counts_the_end(bits):
    log_p = np.log([[0.5, 0.5, 0.5, 0.125], [0.5, 0.5, 0.5, 0.125]])
    fact = "the end (symbol 1) was predicted too: its bits count, and it is one more symbol to divide by"
    require(near(bits(log_p, np.array([[5, 6, 7, 1], [8, 9, 4, 1]])), (3 * 1 + 3) / 4), fact)


@bits.fact
def weighs_symbols_alike(bits):
    log_p = np.log([[0.5, 0.5, 1, 1], [0.125] * 4])
    require(
        near(bits(log_p, np.array([[5, 1, 0, 0], [5, 6, 7, 1]])), (2 * 1 + 4 * 3) / 6),
        "every symbol has the same weight: divide all bits by all symbols, not text by text",
    )


@bits.fact
def counts_unknown_symbols(bits):
    log_p = np.log([[0.5, 0.001, 0.5, 0.25], [0.5, 0.5, 0.9, 0.9]])
    fact = "only symbol 0 is padding: an unknown character (2) was predicted, and counts, as the end (1) does"
    found = bits(log_p, np.array([[5, 2, 6, 1], [7, 1, 0, 0]]))
    require(near(found, (1 + np.log2(1000) + 1 + 2 + 1 + 1) / 6), fact)
    found = bits(np.full((1, 3), -9.0), np.array([[4, 2, 1]]))
    require(near(found, 9 / np.log(2)), "nats become bits by one factor, however large they are")


@exercise(
    why="the model predicts column t of x from columns 0 to t of what it sees, so the text must come one place late.",
    hints=[
        "Which symbol is predicted in column 0? What may be known at that moment?",
        "Shift everything one column to the right. The last symbol drops out, and 1 comes in.",
        "`np.concatenate([np.ones((len(x), 1), x.dtype), x[:, :-1]], axis=1)`",
    ],
)
def seen(x):
    return np.concatenate([np.ones((len(x), 1), x.dtype), x[:, :-1]], axis=1)


TWO_TEXTS = np.array([[5, 6, 7, 1, 0], [9, 8, 1, 0, 0]])


@seen.fact
def begins_with_a_start(seen):
    found = returns(seen(TWO_TEXTS), (2, 5), "as many symbols as before")
    require(found[:, 0] == 1, "before its first symbol a text shows nothing but a start: symbol 1 in column 0")


@seen.fact
def hides_the_future(seen):
    before = returns(seen(TWO_TEXTS))
    for t in range(5):
        changed = TWO_TEXTS.copy()
        changed[:, t] = 4
        require(
            returns(seen(changed))[:, : t + 1] == before[:, : t + 1],
            "column t still depends on symbol t, which is the one to be predicted",
        )


@seen.fact
def shows_the_past(seen):
    fact = "column t must hold symbol t - 1, the latest that may be known"
    require(returns(seen(TWO_TEXTS))[:, 1:] == TWO_TEXTS[:, :-1], fact)


@exercise(
    why="each head compares its own columns of q and k, the future has weight exp(-inf) = 0, and W_o mixes the heads.",
    hints=[
        "Start with heads=1: three products, scores, mask, softmax, average, one product more.",
        "Head i owns the columns i·d to (i+1)·d of W_q, W_k and W_v. Put what the heads found side by side.",
        "`scores = np.where(np.tril(np.ones((T, T), bool)), q @ k.T / np.sqrt(d), -np.inf)` for each head",
    ],
)
def self_attention(x, W_q, W_k, W_v, W_o, heads):
    T, width = x.shape
    d = width // heads
    out = []
    for i in range(heads):
        part = slice(i * d, (i + 1) * d)
        q, k, v = (x @ W[:, part] for W in (W_q, W_k, W_v))  # (T, d) each
        scores = q @ k.T / np.sqrt(d)  # (T, T)
        scores = np.where(np.tril(np.ones((T, T), bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        out.append(weights / weights.sum(axis=1, keepdims=True) @ v)
    return np.concatenate(out, axis=1) @ W_o


def five_places(scale=1.0):
    """x (5, 8) and the four matrices (8, 8)."""
    rng = np.random.default_rng(3)
    return [rng.normal(size=(5, 8)), *(scale * rng.normal(size=(8, 8)) / np.sqrt(8) for _ in range(4))]


def attended(self_attention, *case, heads=2):
    return returns(self_attention(*case, heads), (5, 8), "what has the shape of x")


@self_attention.fact
def shows_the_first_place_itself(self_attention):
    x, _, _, W_v, W_o = case = five_places()
    require(
        near(attended(self_attention, *case)[0], x[0] @ W_v @ W_o),
        "the first place can look at nothing but itself: its row is x[0] @ W_v @ W_o",
    )


@self_attention.fact
def averages_where_scores_are_equal(self_attention):
    x, W_q, _, W_v, W_o = five_places()
    require(
        near(
            attended(self_attention, x, 0 * W_q, 0 * W_q, W_v, W_o),
            np.cumsum(x @ W_v @ W_o, axis=0) / np.arange(1, 6)[:, None],
        ),
        "if all scores are 0, a place averages all values up to its own: weights must sum to 1",
    )


@self_attention.fact
def is_causal(self_attention):
    x, *matrices = five_places()
    changed = x + (np.arange(5) >= 3)[:, None]
    before, after = (attended(self_attention, some, *matrices)[:3] for some in (x, changed))
    fact = "a change in later places must not be felt before them: mask the future, before the softmax"
    require(near(before, after), fact)


def by_pytorch(case, heads, scale=None, exchanged=False, strided=False):
    """What PyTorch's attention makes of the five places, right or with a slip."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    x, W_q, W_k, W_v, W_o = case
    shape, head = ((5, -1, heads), 2) if strided else ((5, heads, -1), 1)
    q, k, v = (torch.from_numpy(np.moveaxis((x @ W).reshape(shape), head, 0).copy()) for W in (W_q, W_k, W_v))
    q, k = (k, q) if exchanged else (q, k)
    found = scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale).numpy()  # (heads, 5, d)
    return np.moveaxis(found, 0, head).reshape(5, 8) @ W_o


@self_attention.fact
def agrees_with_pytorch(self_attention):
    case = five_places(2.0)
    for heads in (1, 2, 4):
        d, found = 8 // heads, attended(self_attention, *case, heads=heads)
        if near(found, by_pytorch(case, heads)).all():
            continue
        slips = {
            "scores must be divided by √d": dict(scale=1.0),
            "scores are divided by √d, not by d": dict(scale=1 / d),
            "a head divides by the root of its own d = width / heads, not of the whole width": dict(scale=8**-0.5),
            "a place asks by its row of q, and row t of the scores holds its products with all k; yours has q and k "
            "the other way round": dict(exchanged=True),
            "a head's columns are neighbours, i·d to (i+1)·d; yours takes every heads-th column": dict(strided=True),
        }
        for slip, how in slips.items():
            require(not near(found, by_pytorch(case, heads, **how)).all(), f"with heads={heads} it differs from "
                    f"PyTorch's: {slip}")
        one = np.allclose(found, by_pytorch(case, 1), atol=1e-5)
        raise Wrong(f"with heads={heads} it differs from PyTorch's: " + (
            "all columns are used as one head; each head has its own weights" if one else
            "each head has d = width / heads columns of its own of q, k and v, and divides its scores by √d"))


@self_attention.fact
def survives_large_scores(self_attention):
    found = attended(self_attention, *five_places(60.0))
    require(np.isfinite(found), "large scores overflow in exp: subtract the largest of each row first")


@exercise(
    why="what is alike must share its fate, so the lot is drawn for groups and not for names.",
    hints=[
        "What happens to the two copies of a name when the list is shuffled and cut?",
        "Collect names by alike(name) in a dictionary first. Shuffle its keys, and cut there.",
        "`keys = rng.permutation(sorted(groups))`, the first round(part * len(keys)) of them are the test",
    ],
)
def split_names(names, part, rng, alike):
    groups = {}
    for name in names:
        groups.setdefault(alike(name), [])
        if name not in groups[alike(name)]:
            groups[alike(name)].append(name)
    keys = rng.permutation(sorted(groups))
    n = round(part * len(keys))
    test, train = ([name for key in some for name in groups[key]] for some in (keys[:n], keys[n:]))
    return train, test


def six_gram_bits(split, names, vocabulary, seeds=5):
    """Test bits per character of a 6-gram, trained and tested on what ``split`` makes of names: one for each seed."""
    found = []
    for seed in range(seeds):
        train, test = split(names, 0.2, np.random.default_rng(seed), letters)
        x, held = (vocabulary.encode(part, quiet=True) for part in (train, sorted(set(test))))
        found.append(bits_per_character(NGram(6, len(vocabulary)).fit(x).log_prob(held), held))
    return found


NAMES = [f"{a} {b}" for a in ("light", "dark", "sea", "mud") for b in ("green", "blue", "grey", "pink", "teal")]
NAMES += ["lightgreen", "sea-blue", "dark gray", *NAMES[:8], "mud pink"]


def divided(split_names, seeds=5, part=0.3, first=0):
    """The lists train and test that each seed gives."""
    for seed in range(first, first + seeds):
        both = parts(split_names(list(NAMES), part, np.random.default_rng(seed), letters), "train", "test", dtype=None)
        yield [list(map(str, part)) for part in both]


@split_names.fact
def puts_no_name_in_both(split_names):
    for train, test in divided(split_names):
        for name in sorted(set(train) & set(test)):
            raise Wrong(f"{name!r} is in train and in test: copies were not removed before the split")


@split_names.fact
def keeps_alike_names_together(split_names):
    for train, test in divided(split_names):
        known = {letters(name): name for name in train}
        for name in test:
            twin = known.get(letters(name))
            fact = f"the test has {name!r} and train {twin!r}: names that are alike must end in one part"
            require(twin is None, fact)


@split_names.fact
def loses_no_name(split_names):
    for train, test in divided(split_names, 3):
        fact = "every different name must turn up, and only once"
        require(sorted(train + test) == sorted(set(NAMES)), fact)


@split_names.fact
def gives_the_test_its_part(split_names):
    for share in (0.3, 0.6, 0.1):
        sizes = [len(test) for _, test in divided(split_names, 30, share)]
        swapped = near(np.mean(sizes) / len(set(NAMES)), 1 - share, 0.08)
        require(not swapped, "the parts are of the right sizes, but is the order train, test?")
        fact = f"with part={share} about {share:.0%} of the names belong to the test, taking one seed with another"
        require(near(np.mean(sizes) / len(set(NAMES)), share, 0.08), fact)  # wide enough for a coin for each group


@split_names.fact
def draws_from_rng(split_names):
    tests = [sorted(test) for _, test in divided(split_names)]
    require(len(set(map(tuple, tests))) > 1, "another seed must give another split")
    again = [sorted(test) for _, test in divided(split_names)]
    require(tests == again, "the same seed must give the same split: draw from rng, and from nothing else")
