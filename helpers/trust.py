"""Looking after data and models: suspicious examples, and what a model gives away about its training examples.

Filter: near-duplicates by distance, outliers by held-out likelihood, wrong labels by p(c|x), all against what
other parts of the data say. Protect: exposure (Carlini et al., 2019), membership attacks by the loss (Yeom et al.,
2018) and their AUC with an interval (DeLong et al., 1988), and the clipped, noisy mean of DP-SGD (Abadi et al.,
2016). Notebook 10 builds most of it.
"""

from statistics import NormalDist

import numpy as np
import torch
from scipy.stats import rankdata

from helpers.data.dataset import DataError
from helpers.evaluation import nearest

# --- filter ------------------------------------------------------------------------------------------


def near_duplicates(x, threshold: float, block: int = 512):
    """Pairs of rows of x (N, D) closer than ``threshold``, in Euclidean distance.

    Returns pairs (P, 2) of row numbers, the smaller one first, in order, and their distances (P,). Distances are
    computed ``block`` rows at a time, so that memory grows like N and not like N².
    """
    x = np.asarray(x, float).reshape(len(x), -1)
    lengths = (x**2).sum(axis=1)
    pairs, distances = [], []
    for start in range(0, len(x), block):
        part = slice(start, start + block)
        squared = lengths[part, None] - 2 * x[part] @ x.T + lengths  # (block, N)
        # Rounding is about 1e-16 of the squared lengths; equal rows are 0 apart.
        apart = np.sqrt(np.where(squared < 1e-12 * (lengths[part, None] + lengths), 0, squared.clip(min=0)))
        i, j = np.nonzero(apart < threshold)
        later = j > i + start
        pairs.append(np.stack([i[later] + start, j[later]], axis=1))
        distances.append(apart[i[later], j[later]])
    return np.concatenate(pairs), np.concatenate(distances)


def neighbour_distances(x):
    """The Euclidean distance of each row of x (N, D) to the nearest other row: (N,)."""
    x = np.asarray(x, float).reshape(len(x), -1)
    lengths = (x**2).sum(axis=1)
    squared = lengths[:, None] - 2 * x @ x.T + lengths
    np.fill_diagonal(squared, np.inf)
    return np.sqrt(squared.min(axis=1).clip(min=0))


def groups_of(pairs, n: int):
    """The group (n,) of each of n examples when the pairs (P, 2) must stay together: its smallest member."""
    group = np.arange(n)
    for i, j in np.asarray(pairs, int).reshape(-1, 2):
        a, b = group[i], group[j]
        if a != b:
            group[group == max(a, b)] = min(a, b)
    return group


def cross_fit(score, n, k, rng):
    """A score (n, …) of each of n examples by a model that did not see it.

    ``score(train, held_out)`` gets two arrays of row numbers, fits on the first, and scores the second; the n
    examples are cut into k parts at random. (Chernozhukov et al., 2018, use the name.)
    """
    part, out = rng.permutation(np.arange(n) % k), None
    for f in range(k):
        held_out = np.nonzero(part == f)[0]
        values = np.asarray(score(np.nonzero(part != f)[0], held_out))
        out = np.empty((n, *values.shape[1:])) if out is None else out
        out[held_out] = values
    return out


def suspicious_labels(log_p, c):
    """-log p(c|x) (N,) in nats of the labels c (N,), from log p(x, c) (N, C) up to a constant for each row."""
    log_p, c = np.asarray(log_p, float), np.asarray(c)
    top = log_p.max(axis=1)
    total = top + np.log(np.exp(log_p - top[:, None]).sum(axis=1))
    return total - log_p[np.arange(len(c)), c]


def precision_recall(found, truth):
    """Of those found, how many are true; of the true, how many were found: two parts from 0 to 1.

    found, truth: (N,) of True and False. When nothing is found, precision is 1: nothing is claimed that is wrong.
    """
    found, truth = np.asarray(found, bool), np.asarray(truth, bool)
    if found.shape != truth.shape:
        raise DataError(f"found has shape {found.shape} and truth {truth.shape}; give one of each for every example.")
    if not truth.any():
        raise DataError("none of the examples is true, so that recall has no meaning; give some that are.")
    hits = (found & truth).sum()
    return float(hits / found.sum()) if found.any() else 1.0, float(hits / truth.sum())


def precision_recall_curve(score, truth):
    """Precision and recall (M,) when all above a threshold count as found, for each threshold, the highest first.

    Equal scores are found together. Also returns the thresholds (M,): found are scores at or above them.
    """
    score, truth = np.asarray(score, float), np.asarray(truth, bool)
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # the last of those with equal scores
    hits, count = np.cumsum(truth[order])[last], (np.nonzero(last)[0] + 1)
    return hits / count, hits / truth.sum(), score[order][last]


# --- what a model gives away ------------------------------------------------------------------------


def rank_of(log_p, secret: int) -> float:
    """The rank of one alternative among all by log p (M,), the likeliest has rank 1; ties count half."""
    log_p = np.asarray(log_p, float)
    return float((log_p > log_p[secret]).sum() + ((log_p == log_p[secret]).sum() + 1) / 2)


def exposure(rank, alternatives: int):
    """How many bits a model gives away about a secret: log2(alternatives) - log2(rank) (Carlini et al., 2019).

    ``rank`` from 1 to ``alternatives`` (any shape). A model that never saw the secret gives about 1.4 bits on
    average, since the rank is then uniform; log2(alternatives), when the secret is its first guess.
    """
    rank = np.asarray(rank, float)
    if ((rank < 1) | (rank > alternatives)).any():
        raise DataError(f"ranks go from 1 to the number of alternatives, {alternatives}; found {rank.min():g} to "
                        f"{rank.max():g}.")  # fmt: skip
    return np.log2(alternatives) - np.log2(rank)


def auc(member, other):
    """The probability that a member scores above another, ties counting half: from scores (M,) and (N,).

    The area under the curve of true against false positives is the same number (Mann and Whitney, 1947).
    """
    member, other = np.asarray(member, float), np.asarray(other, float)
    _scores(member, other)
    rank = rankdata(np.concatenate([member, other]))[: len(member)]  # ties share their mean rank
    return float((rank.mean() - (len(member) + 1) / 2) / len(other))


def auc_interval(member, other, level: float = 0.95):
    """The AUC and an interval that covers the true one with about probability ``level``: (auc, low, high).

    By DeLong et al. (1988): the variance of the part of the others that each member beats, and of the part of
    the members that beat each other, both divided by their number. The interval is Normal on the scale of
    log-odds, so that it stays within 0 and 1. Where all pairs agree, that variance is 0 and says nothing; then the
    interval is Clopper and Pearson's for as many agreements as there are examples of the smaller kind.
    """
    member, other = np.asarray(member, float), np.asarray(other, float)
    a = auc(member, other)
    m, n = len(member), len(other)
    if min(m, n) < 2:
        raise DataError(f"an interval needs two scores of each kind; found {m} of members and {n} of others.")
    everyone = rankdata(np.concatenate([member, other]))
    beaten = (everyone[:m] - rankdata(member)) / n  # (M,) the part of the others that each member beats
    beats = 1 - (everyone[m:] - rankdata(other)) / m  # (N,) the part of the members that beat each other
    sd = np.sqrt(beaten.var(ddof=1) / m + beats.var(ddof=1) / n)
    if a in (0.0, 1.0):
        reach = ((1 - level) / 2) ** (1 / min(m, n))
        return (a, reach, 1.0) if a == 1 else (a, 0.0, 1 - reach)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    odds, width = np.log(a / (1 - a)), z * sd / (a * (1 - a))
    return a, *(float(1 / (1 + np.exp(-(odds + sign * width)))) for sign in (-1, 1))


def _scores(member, other):
    for name, scores in (("members", member), ("others", other)):
        if scores.ndim != 1 or len(scores) == 0 or np.isnan(scores).any():
            raise DataError(f"the scores of {name} have shape {scores.shape}{' and hold NaN' * bool(scores.size)}; "
                            "give one number for each, at least one.")  # fmt: skip


def neighbour_ratio(samples, held_out, train):
    """Median distance of samples (N, D) to their nearest training example, over that of held-out examples.

    About 1: samples are as far from the training data as new data is. Far below 1: they are copies. Euclidean.
    """
    apart = [np.median(np.sqrt(nearest(np.asarray(x, float), np.asarray(train, float))[1]))
             for x in (samples, held_out)]  # fmt: skip
    if apart[1] == 0:
        raise DataError("half of the held-out examples are in the training data; remove duplicates before splitting.")
    return float(apart[0] / apart[1])


# --- differential privacy ----------------------------------------------------------------------------


def clip(gradients, largest):
    """Per-example gradients, name -> (N, …), each scaled down to at most the length ``largest`` over all parameters."""
    flat = torch.cat([g.flatten(1) for g in gradients.values()], dim=1)  # (N, parameters)
    factor = (largest / flat.norm(dim=1).clamp(min=1e-12)).clamp(max=1.0)  # (N,)
    return {name: g * factor.view(-1, *[1] * (g.dim() - 1)) for name, g in gradients.items()}


def private_mean(gradients, largest, noise, expected, generator=None):
    """The gradient of DP-SGD from per-example gradients, name -> (N, …): name -> (…).

    Clipped to the length ``largest``, summed, Normal noise of standard deviation noise · largest added, divided by
    the expected size of a batch (not by the real one, which would give away whether somebody is in it).
    """
    total = {name: g.sum(dim=0) for name, g in clip(gradients, largest).items()}
    return {name: (g + noise * largest * torch.randn(g.shape, generator=generator, dtype=g.dtype)) / expected
            for name, g in total.items()}  # fmt: skip
