"""Images that are nearly equal: one picture saved twice, scaled, lightened, or taken twice in a row.

Two images are compared after each is brought to mean 0 and length 1, which takes brightness and contrast out. They are
nearly equal if they differ by a small part of what each differs from the mean image: that much separates hardly any two
drawings of the same digit. Where the images of a folder lie far apart, as photographs do, the part is larger, and takes
in what a hand moves between two exposures.

Candidates are the nearest neighbours in a few principal components, where no two images are farther apart than in
full; only candidates are compared in full, so that time and memory grow with the number of images.
"""

from collections.abc import Iterator

import numpy as np

from helpers.data.splits import groups_of

NEAR = 0.12  # of the distance to the mean image; the two nearest of 1,797 digits differ by 0.13
FAR = 0.3  # never more than that
OF_OTHERS = 0.2  # of the distance to the tenth neighbour, where that is more than NEAR
SAME = 0.05  # of an image's own length: nearly equal, however little all the images of a folder differ
LEAST_PIXELS = 64  # smaller images say too little
COMPONENTS, NEIGHBOURS, SAMPLE, OTHERS = 12, 8, 200, 10
SKETCH = 8  # pixels of a side, for the components


def found(x: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Which images are nearly equal, as :func:`clusters` tells it, and a note of how many; (None, "") if none are."""
    number = clusters(x)
    members = np.bincount(number, minlength=len(x))
    many = int((members > 1).sum())
    if many == 0:
        return None, ""
    count = int(members[members > 1].sum())
    return number, f"{count:,} of {len(x):,} images are nearly equal to another ({many:,} group{'s' * (many != 1)})"


def clusters(x: np.ndarray) -> np.ndarray:
    """For each image of x (N, H, W) or (N, 3, H, W) the number of the first image that it is nearly equal to: (N,).

    Images that are equal are that, too. An image that is like no other has its own number.
    """
    own = np.arange(len(x))
    if len(x) < 2 or x[0].size < LEAST_PIXELS:
        return own
    sample = np.sort(np.random.default_rng(0).permutation(len(x))[: 10 * SAMPLE])
    mean = _unit(x[sample[:1]])[0] * 0
    small = np.concatenate([_add(mean, _unit(x[rows]), x.shape) for rows in _blocks(sample, x)])
    mean, centre = mean / len(sample), small.mean(axis=0)
    components = np.linalg.eigh((small - centre).T @ (small - centre))[1][:, -COMPONENTS:]
    some = small[:: max(1, len(small) // SAMPLE)][:SAMPLE]
    points, away = np.empty((len(x), components.shape[1]), np.float32), np.empty(len(x), np.float32)
    nearest = np.empty((len(some), 0), np.float32)
    for rows in _blocks(np.arange(len(x)), x):
        unit = _unit(x[rows])
        away[rows] = np.where(unit.any(axis=1), np.linalg.norm(unit - mean, axis=1), 0)  # of one colour: like nothing
        small = _sketch(unit, x.shape)
        points[rows] = small @ components
        squared = np.square(some).sum(axis=1)[:, None] + np.square(small).sum(axis=1) - 2 * some @ small.T
        nearest = np.partition(np.concatenate([nearest, squared], axis=1), min(OTHERS, nearest.shape[1]))
        nearest = nearest[:, : OTHERS + 1]  # the nearest is itself
    part = NEAR
    if nearest.shape[1] > OTHERS:
        others = np.sqrt(nearest[:, OTHERS].clip(0)) / np.maximum(np.linalg.norm(some - centre, axis=1), 1e-9)
        part = float(np.clip(OF_OTHERS * np.median(others), NEAR, FAR))
    reach = np.where(away > 0, np.maximum(part * away, SAME), 0)
    pairs = _candidates(points, float(reach.max()))
    near = [np.empty((0, 2), int)]
    for rows in _blocks(np.arange(len(pairs)), x):
        i, j = pairs[rows].T
        apart = np.linalg.norm(_unit(x[i]) - _unit(x[j]), axis=1)
        near.append(pairs[rows][apart < np.minimum(reach[i], reach[j])])
    return groups_of(np.concatenate(near), len(x))


def _unit(x):
    """Images as rows (N, D) of mean 0 and length 1; those of one colour are 0."""
    flat = x.reshape(len(x), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    flat[length[:, 0] < np.sqrt(flat.shape[1])] = 0  # less than one grey level around the mean
    return flat / np.maximum(length, 1e-9)


def _sketch(unit, shape):
    """Rows (N, D) of images of ``shape`` as small ones in grey, in which no two are farther apart: (N, d)."""
    height, width = shape[-2:]
    images = unit.reshape(len(unit), -1, height, width)
    down, across = -(-height // SKETCH), -(-width // SKETCH)
    images = images[..., : height // down * down, : width // across * across]
    small = images.reshape(*images.shape[:2], height // down, down, width // across, across).mean(axis=(1, 3, 5))
    return small.reshape(len(unit), -1) * np.sqrt(images.shape[1] * down * across)


def _add(total, unit, shape):
    """Add images (n, D) to their ``total`` (D,), and return them small."""
    total += unit.sum(axis=0)
    return _sketch(unit, shape)


def _candidates(points, reach):
    """Pairs (P, 2) of points (N, k) that are near neighbours, no farther apart than ``reach``: the smaller first."""
    from scipy.spatial import cKDTree

    first = np.unique(points, axis=0, return_index=True, return_inverse=True)
    one, inverse = first[1], first[2].ravel()
    apart, found = cKDTree(points[one]).query(points[one], k=NEIGHBOURS + 1, distance_upper_bound=reach * (1 + 1e-4))
    i, k = np.nonzero(np.isfinite(apart))
    pairs = np.stack([one[i], one[found[i, k]]], axis=1)
    equal = np.stack([one[inverse], np.arange(len(points))], axis=1)  # points that are the same are candidates, too
    pairs = np.sort(np.concatenate([pairs, equal]), axis=1)
    return np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)


def _blocks(rows, x) -> Iterator[np.ndarray]:
    """A few of the rows at a time, so that what is computed from images of x stays small beside them."""
    numbers = min(1 << 22, max(1 << 14, x.size // 64))
    step = max(1, numbers // x[0].size)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
