"""Exercises of notebook 08: bits for each character, what a model may see, attention, a nucleus, a split that leaks."""

import math

import numpy as np

from helpers.data.colours import alike as letters
from helpers.exercises.engine import Exercise, require

# --- bits --------------------------------------------------------------------------------------------


def _bits(log_p, x):
    return -log_p[x != 0].sum() / (x != 0).sum() / np.log(2)


def _bits_of(f, log_p, x):
    found = np.asarray(f(log_p, x), float)
    require(found.size == 1, f"all texts together have one number; yours has shape {found.shape}")
    return float(found)


def _bits_coins(f):
    x = np.array([[5, 6, 7, 1], [8, 9, 4, 1]])
    require(abs(_bits_of(f, np.full((2, 4), math.log(0.5)), x) - 1) < 1e-9,
            "if every symbol, ends included, had probability 1/2, each costs one bit (log_p is in nats)")  # fmt: skip


def _bits_padding(f):
    x = np.array([[5, 6, 1, 0, 0, 0], [5, 6, 7, 8, 9, 1]])
    log_p = np.full(x.shape, math.log(0.25))
    require(abs(_bits_of(f, log_p, x) - 2) < 1e-9,
            "with probability 1/4 for every symbol each costs two bits, however the texts are padded")  # fmt: skip
    other = np.where(x == 0, -50.0, log_p)
    require(abs(_bits_of(f, other, x) - 2) < 1e-9, "what a model says about padding (symbol 0) must not count")


def _bits_lengths(f):
    x = np.array([[5, 1, 0, 0], [5, 6, 7, 1]])
    log_p = np.log(np.array([[0.5, 0.5, 1, 1], [0.125] * 4]))
    require(abs(_bits_of(f, log_p, x) - (2 * 1 + 4 * 3) / 6) < 1e-9,
            "every symbol has the same weight: divide all bits by all symbols, not text by text")  # fmt: skip


bits = Exercise(
    "bits",
    _bits,
    "a nat is 1 / ln 2 bits, symbol 0 is padding, and a mean of means would weigh short texts more.",
    [_bits_coins, _bits_padding, _bits_lengths],
    [
        "Which entries of log_p belong to a symbol, and which to padding?",
        "Sum over x != 0, divide by how many there are, and turn nats into bits. The end (symbol 1) counts.",
        "`-log_p[x != 0].sum() / (x != 0).sum() / np.log(2)`",
    ],
)

# --- seen: spot the bug ------------------------------------------------------------------------------


def _seen(x):
    return np.concatenate([np.ones((len(x), 1), x.dtype), x[:, :-1]], axis=1)


def _seen_rows():
    return np.array([[5, 6, 7, 1, 0], [9, 8, 1, 0, 0]])


def _seen_shape(f):
    found = np.asarray(f(_seen_rows()))
    require(found.shape == (2, 5), f"the shape must stay (2, 5); yours is {found.shape}")
    require(found[:, 0] == 1, "before its first symbol a text shows nothing but a start: symbol 1 in column 0")


def _seen_past(f):
    x = _seen_rows()
    found = np.asarray(f(x))
    require(found[:, 1:] == x[:, :-1], "column t must hold symbol t - 1, the latest that may be known")


def _seen_future(f):
    x = _seen_rows()
    before = np.asarray(f(x))
    for t in range(5):
        changed = x.copy()
        changed[:, t] = 4
        require(np.asarray(f(changed))[:, : t + 1] == before[:, : t + 1],
                "column t still depends on symbol t, which is the one to be predicted")  # fmt: skip


seen = Exercise(
    "seen",
    _seen,
    "the model predicts column t of x from columns 0 to t of what it sees, so the text must come one place late.",
    [_seen_shape, _seen_future, _seen_past],
    [
        "Which symbol is predicted in column 0? What may be known at that moment?",
        "Shift everything one column to the right. The last symbol drops out, and 1 comes in.",
        "`np.concatenate([np.ones((len(x), 1), x.dtype), x[:, :-1]], axis=1)`",
    ],
)

# --- self_attention ----------------------------------------------------------------------------------


def _self_attention(x, W_q, W_k, W_v, W_o, heads):
    T, width = x.shape
    d = width // heads
    out = []
    for h in range(heads):
        part = slice(h * d, (h + 1) * d)
        q, k, v = (x @ W[:, part] for W in (W_q, W_k, W_v))  # (T, d) each
        scores = q @ k.T / np.sqrt(d)  # (T, T)
        scores = np.where(np.tril(np.ones((T, T), bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        out.append(weights / weights.sum(axis=1, keepdims=True) @ v)
    return np.concatenate(out, axis=1) @ W_o


def _attention_case(scale=1.0, T=5):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(T, 8))
    return [x, *(scale * rng.normal(size=(8, 8)) / np.sqrt(8) for _ in range(4))]


def _attend(f, case, heads):
    found = np.asarray(f(*case, heads), float)
    require(found.shape == case[0].shape, f"what comes out has the shape of x, {case[0].shape}; yours {found.shape}")
    return found


def _attention_first(f):
    x, _, _, W_v, W_o = case = _attention_case()
    require(np.abs(_attend(f, case, 2)[0] - x[0] @ W_v @ W_o) < 1e-9,
            "the first place can look at nothing but itself: its row is x[0] @ W_v @ W_o")  # fmt: skip


def _attention_causal(f):
    case = _attention_case()
    changed = [case[0].copy(), *case[1:]]
    changed[0][3:] += 1
    require(np.abs(_attend(f, case, 2)[:3] - _attend(f, changed, 2)[:3]) < 1e-9,
            "a change in later places must not be felt before them: mask the future, before the softmax")  # fmt: skip


def _attention_average(f):
    x, W_q, _, W_v, W_o = _attention_case()
    found = _attend(f, [x, np.zeros_like(W_q), np.zeros_like(W_q), W_v, W_o], 2)
    wanted = np.cumsum(x @ W_v @ W_o, axis=0) / np.arange(1, 6)[:, None]
    require(np.abs(found - wanted) < 1e-9,
            "if all scores are 0, a place averages all values up to its own: weights must sum to 1")  # fmt: skip


def _attention_torch(f):
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    for heads in (1, 2, 4):
        x, W_q, W_k, W_v, W_o = case = _attention_case(2.0)
        q, k, v = (torch.from_numpy((x @ W).reshape(5, heads, -1).swapaxes(0, 1).copy()) for W in (W_q, W_k, W_v))
        theirs = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(0, 1).reshape(5, 8).numpy() @ W_o
        require(np.abs(_attend(f, case, heads) - theirs) < 1e-8,
                f"with heads={heads} it differs from PyTorch's: each head has d = width / heads columns of its own "
                "of q, k and v, and divides its scores by √d")  # fmt: skip


def _attention_large(f):
    require(np.isfinite(_attend(f, _attention_case(60.0), 2)),
            "large scores overflow in exp: subtract the largest of each row first")  # fmt: skip


self_attention = Exercise(
    "self_attention",
    _self_attention,
    "each head compares its own columns of q and k, the future has weight exp(-inf) = 0, and W_o mixes the heads.",
    [_attention_first, _attention_average, _attention_causal, _attention_torch, _attention_large],
    [
        "Start with heads=1: three products, scores, mask, softmax, average, one product more.",
        "Head h owns the columns h·d to (h+1)·d of W_q, W_k and W_v. Put what the heads found side by side.",
        "`scores = np.where(np.tril(np.ones((T, T), bool)), q @ k.T / np.sqrt(d), -np.inf)` for each head",
    ],
)

# --- nucleus -----------------------------------------------------------------------------------------


def _nucleus(p, top_p):
    order = np.argsort(-p, kind="stable")
    already = np.cumsum(p[order]) - p[order]  # what the likelier symbols have
    kept = np.zeros_like(p)
    kept[order[already < top_p]] = p[order[already < top_p]]
    return kept / kept.sum()


P = np.array([0.05, 0.5, 0.03, 0.3, 0.12])


def _cut(f, p, top_p):
    found = np.asarray(f(p, top_p), float)
    require(found.shape == p.shape, f"one probability for each symbol, in the same order: {p.shape}, not {found.shape}")
    require(np.isfinite(found), "something is divided by 0: the likeliest symbol must always stay")
    require(abs(found.sum() - 1) < 1e-9, "what is left must be divided by its sum: probabilities sum to 1")
    return found


def _nucleus_best(f):
    require(np.nonzero(_cut(f, P, 0.3))[0].tolist() == [1],
            "the likeliest symbol has top_p alone here: it stays, and no other does")  # fmt: skip


def _nucleus_set(f):
    require(np.nonzero(_cut(f, P, 0.7))[0].tolist() == [1, 3],
            "0.5 is less than top_p = 0.7, so the next likeliest is needed: the set must *reach* top_p")  # fmt: skip
    require(np.nonzero(_cut(f, P, 0.9))[0].tolist() == [1, 3, 4], "0.5 + 0.3 is less than 0.9, with 0.12 it is enough")


def _nucleus_ratio(f):
    found = _cut(f, P, 0.7)
    require(abs(found[1] / found[3] - 0.5 / 0.3) < 1e-9, "among those that stay, ratios stay")


def _nucleus_all(f):
    require(np.abs(_cut(f, P, 1.0) - P) < 1e-9, "with top_p = 1 nothing is cut")


nucleus = Exercise(
    "nucleus",
    _nucleus,
    "a symbol stays if the likelier ones have less than top_p together, so the first always does.",
    [_nucleus_best, _nucleus_set, _nucleus_ratio, _nucleus_all],
    [
        "Sort from likely to unlikely. How much do the symbols *before* this one have?",
        "Keep a symbol while that is below top_p; put 0 elsewhere, in the original order; divide by the sum.",
        "`already = np.cumsum(p[order]) - p[order]`, and keep `order[already < top_p]`",
    ],
)

# --- split_names: spot the leak ----------------------------------------------------------------------


def _split_names(names, part, rng, alike):
    groups = {}
    for name in names:
        groups.setdefault(alike(name), [])
        if name not in groups[alike(name)]:
            groups[alike(name)].append(name)
    keys = rng.permutation(sorted(groups))
    n = round(part * len(keys))
    test, train = ([name for key in some for name in groups[key]] for some in (keys[:n], keys[n:]))
    return train, test


def _names():
    names = [f"{a} {b}" for a in ("light", "dark", "sea", "mud") for b in ("green", "blue", "grey", "pink", "teal")]
    return names + ["lightgreen", "sea-blue", "dark gray"] + names[:8] + ["mud pink"]


def _divided(f, seed):
    found = f(_names(), 0.3, np.random.default_rng(seed), letters)
    require(isinstance(found, tuple) and len(found) == 2, "it must return two lists: train, test")
    return [list(map(str, part)) for part in found]


def _leak_equal(f):
    for seed in range(5):
        train, test = _divided(f, seed)
        both = sorted(set(train) & set(test))
        require(not both, f"{both[0]!r} is in train and in test: copies were not removed before the split"
                if both else "")  # fmt: skip


def _leak_alike(f):
    for seed in range(5):
        train, test = _divided(f, seed)
        known = {letters(name): name for name in train}
        twins = [(name, known[letters(name)]) for name in test if letters(name) in known]
        pair = "the test has {!r} and train {!r}: names that are alike must end in one part"
        require(not twins, pair.format(*twins[0]) if twins else "")


def _leak_all(f):
    for seed in range(3):
        train, test = _divided(f, seed)
        require(sorted(train + test) == sorted(set(_names())), "every different name must turn up, and only once")


def _leak_size(f):
    sizes = [len(_divided(f, seed)[1]) for seed in range(5)]
    require(4 <= min(sizes) and max(sizes) <= 10, "about part × (number of different names) belong to the test")


def _leak_random(f):
    tests = {tuple(sorted(_divided(f, seed)[1])) for seed in range(5)}
    require(len(tests) > 1, "another seed must give another split")


split_names = Exercise(
    "split_names",
    _split_names,
    "what is alike must share its fate, so the lot is drawn for groups and not for names.",
    [_leak_equal, _leak_alike, _leak_all, _leak_size, _leak_random],
    [
        "What happens to the two copies of a name when the list is shuffled and cut?",
        "Collect names by alike(name) in a dictionary first. Shuffle its keys, and cut there.",
        "`keys = rng.permutation(sorted(groups))`, the first round(part * len(keys)) of them are the test",
    ],
)
