"""Do two samples come from one distribution? Scores, and what they are for two real samples must stand beside them.

The energy distance (Székely and Rizzo, 2013, *Energy statistics: A class of statistics based on distances*) compares
distances between the samples with those within. The accuracy of a classifier that tells them apart (Lopez-Paz and
Oquab, 2017, *Revisiting Classifier Two-Sample Tests*) is 0.5 where nothing can be told.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist


def energy_distance(a: ArrayLike, b: ArrayLike) -> float:
    """2 E|a − b| − E|a − a'| − E|b − b'| of samples a (N, D) and b (M, D), without bias: about 0 if they are alike.

    In the units of the data. It may come out a little below 0. Pairs of a point with itself do not count; they would
    make samples look the more different, the smaller they are. Raises ValueError for other shapes.
    """
    x, y = _checked(a, b)
    within = [cdist(sample, sample).sum() / (len(sample) * (len(sample) - 1)) for sample in (x, y)]
    return float(2 * cdist(x, y).mean() - sum(within))


def told_apart(a: ArrayLike, b: ArrayLike, seed: int = 0, k: int = 25) -> float:
    """How often a classifier tells samples a (N, D) from b (N, D): the part that is right, of held-out points.

    It looks at the k nearest points of a random half of both samples, and judges the other half. 0.5 is chance. The
    smaller N, the less it can tell: compare only scores of the same N. Raises ValueError unless both have the same
    size, of at least 2 k, and k is odd and at least 3, so that no vote is a tie.
    """
    x, y = _checked(a, b)
    if k < 3 or k % 2 == 0:
        raise ValueError(f"k is {k}; give an odd number of neighbours, at least 3.")
    if len(x) != len(y) or len(x) < 2 * k:
        raise ValueError(f"the samples have {len(x)} and {len(y)} points; give two of the same size, at least {2 * k}.")
    rng, half = np.random.default_rng(seed), len(x) // 2
    x, y = rng.permutation(x), rng.permutation(y)
    tree = cKDTree(np.concatenate([x[:half], y[:half]]))
    from_y = [(tree.query(sample[half:], k)[1] >= half).mean(axis=1) for sample in (x, y)]  # a part of the neighbours
    return float(((from_y[0] < 0.5).mean() + (from_y[1] > 0.5).mean()) / 2)


def told_by_trees(a: ArrayLike, b: ArrayLike, seed: int = 0) -> float:
    """As :func:`told_apart`, by 200 random trees (Geurts, Ernst and Wehenkel, 2006, *Extremely randomized trees*).

    Each fifth of both samples, (N, D) and (M, D), is judged by trees that have not seen it. They find differences that
    few of the D numbers show, where distances see none. Both samples count alike, whatever their sizes, so that 0.5 is
    chance. Raises ValueError for other shapes, and for fewer than 10 points.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    x, y = _checked(a, b)
    if min(len(x), len(y)) < 10:
        raise ValueError(f"the samples have {len(x)} and {len(y)} points; give at least 10 of both.")
    trees = ExtraTreesClassifier(200, min_samples_leaf=3, class_weight="balanced", random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    labels = np.repeat([0, 1], [len(x), len(y)])
    return float(cross_val_score(trees, np.concatenate([x, y]), labels, cv=folds, scoring="balanced_accuracy").mean())


def _checked(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(a, float), np.asarray(b, float)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"found samples of shapes {x.shape} and {y.shape}; give (N, D) and (M, D), at least two each.")
    return x, y
