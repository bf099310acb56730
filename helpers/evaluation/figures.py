"""Figures that say what a loss stands for, how much of a code is used, and how samples differ from data.

The σ and β that weights imply (the lesson What the numbers mean), active units (Burda, Grosse and Salakhutdinov,
2016), the Fréchet distance (Dowson and Landau, 1982), diversity, and errors of completed sets.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Reduction = Literal["sum", "mean"]


def implied_sigma(
    recon: float,
    kl: float,
    *,
    D: int,
    K: int = 1,
    recon_reduction: Reduction = "sum",
    kl_reduction: Reduction = "sum",
) -> float:
    """The σ of the Gaussian decoder that the loss ``recon · squared error + kl · KL`` stands for.

    ``recon_reduction`` and ``kl_reduction`` say whether the code sums over the D numbers of an example and
    the K numbers of a code, or takes their mean. The loss is proportional to squared error / 2σ² + KL, the
    negative ELBO of a Gaussian with this σ, in the units of the data. Raises ValueError for other words, and for
    weights or sizes that are not positive.
    """
    r, k = _weights(recon, kl, D, K, recon_reduction, kl_reduction)
    return float(np.sqrt(k / (2 * r)))


def implied_beta(
    recon: float,
    kl: float,
    *,
    D: int,
    K: int = 1,
    recon_reduction: Reduction = "sum",
    kl_reduction: Reduction = "sum",
) -> float:
    """The β that the loss ``recon · nll + kl · KL`` stands for, when nll is a negative log-likelihood in nats.

    The loss is proportional to nll + β KL, both summed over their dimensions; 1 is the ELBO. Reductions and errors
    as in :func:`implied_sigma`.
    """
    r, k = _weights(recon, kl, D, K, recon_reduction, kl_reduction)
    return float(k / r)


def _weights(recon, kl, D, K, recon_reduction, kl_reduction):
    for name, reduction in (("recon_reduction", recon_reduction), ("kl_reduction", kl_reduction)):
        if reduction not in ("sum", "mean"):
            raise ValueError(f"{name} is {reduction!r}; say 'sum' or 'mean', over the dimensions of one example.")
    if recon <= 0 or kl <= 0 or D < 1 or K < 1:
        raise ValueError(f"weights must be positive and sizes at least 1; found recon={recon}, kl={kl}, D={D}, K={K}.")
    return recon / (D if recon_reduction == "mean" else 1), kl / (K if kl_reduction == "mean" else 1)


def active_units(mu: ArrayLike, threshold: float = 0.01) -> int:
    """How many numbers of the code follow the data: those whose mean mu (N, K) varies by more than threshold.

    Variance over the data, as in Burda, Grosse and Salakhutdinov (2016).
    """
    return int((np.asarray(mu).var(axis=0) > threshold).sum())


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Squared Fréchet distance between Gaussians fitted to two samples a (N, D) and b (M, D).

    |mean difference|² + trace(A + B - 2 (A B)^½) (Dowson and Landau, 1982). For few samples it is far from
    zero even when both come from the same distribution; show that floor beside it.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    A, B = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    # The eigenvalues of A B are those of a product of covariances: real, and not below 0 but for rounding.
    root = np.sqrt(np.linalg.eigvals(A @ B).real.clip(min=0)).sum()
    return float(np.square(a.mean(axis=0) - b.mean(axis=0)).sum() + np.trace(A) + np.trace(B) - 2 * root)


def diversity(x: ArrayLike) -> float:
    """The mean Euclidean distance between two different rows of x (N, …)."""
    from scipy.spatial.distance import pdist

    x = np.asarray(x, float)
    return float(pdist(x.reshape(len(x), -1)).mean())


def set_errors(
    guess: np.ndarray,
    x: np.ndarray,
    c: np.ndarray,
    shown: ArrayLike,
    guess_c: np.ndarray | None = None,
) -> np.ndarray:
    """The mean absolute difference of ``guess`` (N, M, D) and the sets x (N, M, D), but for what was ``shown``: (N,).

    c (N, M) holds the members' labels, -1 for those that are missing. Members that are missing in x, or in the guess
    (guess_c is -1), do not count. shown: columns, the same for all sets (S,), or for each (N, S).
    """
    counts = (c >= 0) if guess_c is None else (c >= 0) & (guess_c >= 0)
    np.put_along_axis(counts, np.broadcast_to(shown, (len(x), np.shape(shown)[-1])), False, axis=1)
    return (np.abs(guess - x).mean(axis=2) * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
