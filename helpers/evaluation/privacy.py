"""What a model gives away about its training examples, and how to prevent it.

Exposure (Carlini et al., 2019), membership attacks by the loss (Yeom et al., 2018) and their AUC with an interval
(DeLong et al., 1988), and the clipped, noisy mean of DP-SGD (Abadi et al., 2016). The lesson Models
that keep secrets builds most of it.
"""

import warnings
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import ArrayLike

from helpers.data.dataset import DataError


def rank_of(log_p: ArrayLike, secret: int) -> float:
    """The rank of one alternative among all by log p (M,); the likeliest has rank 1, and ties share their mean rank."""
    log_p = np.asarray(log_p, float)
    return float((log_p > log_p[secret]).sum() + ((log_p == log_p[secret]).sum() + 1) / 2)


def exposure(rank: ArrayLike, alternatives: int) -> np.ndarray:
    """How many bits a model gives away about a secret: log2(alternatives) - log2(rank) (Carlini et al., 2019).

    ``rank`` from 1 to ``alternatives`` (any shape). A model that never saw the secret gives about 1.4 bits on
    average, since the rank is then uniform; log2(alternatives), when the secret is its first guess. Raises DataError
    for ranks that do not exist.
    """
    rank = np.asarray(rank, float)
    if ((rank < 1) | (rank > alternatives)).any():
        raise DataError(
            f"ranks go from 1 to the number of alternatives, {alternatives}; found {rank.min():g} to {rank.max():g}."
        )
    return np.log2(alternatives) - np.log2(rank)


def auc(member: ArrayLike, other: ArrayLike) -> float:
    """The probability that a member scores above another, ties counting half: from scores (M,) and (N,).

    The area under the curve of true against false positives is the same number (Mann and Whitney, 1947). Raises
    DataError unless there is a number for each, and at least one of both kinds.
    """
    from sklearn.metrics import roc_auc_score

    member, other = _scores(member, other)
    return float(roc_auc_score(np.repeat([1, 0], [len(member), len(other)]), np.concatenate([member, other])))


def auc_interval(member: ArrayLike, other: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """The AUC of scores (M,) and (N,), and an interval that covers the true one with about probability ``level``.

    Returns (auc, low, high). By DeLong et al. (1988): the variance of the part of the others that each member beats,
    and of the part of the members that beat each other, both divided by their number. The interval is Normal on the
    scale of log-odds, so that it stays within 0 and 1. Where all pairs agree, that variance is 0 and says nothing;
    then the interval is Clopper and Pearson's for as many agreements as there are examples of the smaller kind.
    Raises DataError as :func:`auc` does, and for fewer than two scores of a kind.
    """
    from scipy.stats import rankdata

    member, other = _scores(member, other)
    m, n = len(member), len(other)
    if min(m, n) < 2:
        raise DataError(f"an interval needs two scores of each kind; found {m} of members and {n} of others.")
    everyone = rankdata(np.concatenate([member, other]))
    beaten = (everyone[:m] - rankdata(member)) / n  # (M,) the part of the others that each member beats
    beats = 1 - (everyone[m:] - rankdata(other)) / m  # (N,) the part of the members that beat each other
    a = float(beaten.mean())  # the AUC
    if a in (0.0, 1.0):
        reach = ((1 - level) / 2) ** (1 / min(m, n))
        return (a, reach, 1.0) if a == 1 else (a, 0.0, 1 - reach)
    sd = np.sqrt(beaten.var(ddof=1) / m + beats.var(ddof=1) / n)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    odds, width = np.log(a / (1 - a)), z * sd / (a * (1 - a))
    low, high = (float(1 / (1 + np.exp(-(odds + sign * width)))) for sign in (-1, 1))
    return a, low, high


def _scores(member, other) -> tuple[np.ndarray, np.ndarray]:
    member, other = np.asarray(member, float), np.asarray(other, float)
    for name, scores in (("members", member), ("others", other)):
        if scores.ndim != 1 or len(scores) == 0 or np.isnan(scores).any():
            raise DataError(
                f"the scores of {name} have shape {scores.shape}{' and hold NaN' * bool(scores.size)}; "
                "give one number for each, at least one."
            )
    return member, other


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
    return {
        name: (g + noise * largest * torch.randn(g.shape, generator=generator, dtype=g.dtype)) / expected
        for name, g in total.items()
    }


def noise_for(epsilon: float, delta: float, steps: int, rate: float) -> float:
    """The noise, as a multiple of the clip, with which DP-SGD keeps (epsilon, delta) over so many steps.

    rate: the probability with which each example enters a batch. The sums are those of Opacus (Yousefpour et al.,
    2021): numerical composition (Gopi et al., 2021), or Rényi's where all examples are in every batch. Raises
    DataError for what no noise could keep.
    """
    if not (epsilon > 0 and 0 < delta < 1 and steps >= 1 and 0 < rate <= 1):
        raise DataError(
            f"found epsilon {epsilon}, delta {delta}, {steps} steps and rate {rate}; give an epsilon above 0, a delta "
            "between 0 and 1, at least one step, and a rate above 0 and up to 1."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Opacus imports, and of first guesses that it replaces
        from opacus.accountants.utils import get_noise_multiplier

        return get_noise_multiplier(
            target_epsilon=epsilon, target_delta=delta, steps=steps, sample_rate=rate,
            accountant="prv" if rate < 1 else "rdp",
        )
