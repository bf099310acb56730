"""Do draws hold what they promise? Ranks of the truth among draws, and intervals of the right size.

If the truth is a draw like the others, its rank among n of them is any of 0 … n with equal chances (Cook, Gelman and
Rubin, 2006, *Validation of Software for Bayesian Models Using Posterior Quantiles*; Talts et al., 2018, *Validating
Bayesian Inference Algorithms with Simulation-Based Calibration*). Quantiles of few draws lie too far inside: between
the 5th and the 95th percentile of 20 draws, as ``np.quantile`` takes them, lie 81 % of truths, and not 90 %.
"""

import numpy as np
from numpy.typing import ArrayLike


def ranks(draws: ArrayLike, truth: ArrayLike, seed: int = 0) -> np.ndarray:
    """The place of truth (…) among draws (n, …), as a number from 0 to 1, in the shape of truth.

    Uniform, whatever n is, if the truth is a draw like the others: equal ones are put into order by chance, and so is
    the place within the step from one draw to the next. Raises ValueError for shapes that do not fit.
    """
    draws, truth = np.asarray(draws), np.asarray(truth)
    if draws.shape[1:] != truth.shape or len(draws) == 0:
        raise ValueError(f"the draws have shape {draws.shape} and the truth {truth.shape}; give draws (n, …) of "
                         "what is (…), at least one.")
    rng = np.random.default_rng(seed)
    below, equal = (draws < truth).sum(axis=0), (draws == truth).sum(axis=0)
    return (below + rng.integers(equal + 1) + rng.random(truth.shape)) / (len(draws) + 1)


def inside(draws: ArrayLike, truth: ArrayLike, level: float = 0.9, seed: int = 0) -> np.ndarray:
    """Whether truth (…) lies in the middle ``level`` of draws (n, …), by its rank: True with just that chance if the
    truth is a draw like the others, for every n, and for whole numbers, too."""
    return np.abs(ranks(draws, truth, seed) - 0.5) <= level / 2


def interval(draws: ArrayLike, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the central interval of draws (n, …): two arrays (…).

    The k-th of n draws counts as the quantile k / (n + 1) (Weibull, 1939), so that the truth lies within with the
    chance ``level`` if it is a number without gaps. Raises ValueError for too few draws, which have no such interval.
    """
    draws = np.asarray(draws)
    least = int(np.ceil(2 / (1 - level) - 1 - 1e-9))
    if len(draws) < least:
        raise ValueError(f"an interval that holds {level:.0%} needs at least {least} draws, and there are "
                         f"{len(draws)}; draw more, or ask for the rank of the truth.")
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
    return low, high
