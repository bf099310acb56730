"""Judging generative models: the board of held-out likelihoods, bits per dimension, nearest neighbours.

Everything is in nats per example (summed over dimensions, averaged over examples) unless its name says bits.
"""

import json
from pathlib import Path

import numpy as np

from helpers.disk import DATA, recording, write_text

BOARD_FILE = DATA / "board.json"


class Board:
    """The table that grows through the series: held-out nats per image on the 250 binary test digits.

    ``Board("03")`` already holds the rows that notebooks 00 to 02 measured. A notebook adds its own with
    :meth:`add` and prints the table with :meth:`show`. Rows live in ``data/board.json`` together with the
    value for every single image, so that two models can be compared image by image.

    Each row says what its number is: ``exact`` (the likelihood itself), ``ELBO`` (an upper bound on the
    negative log-likelihood) or ``IWAE-k`` (a tighter bound, from k codes an image). A model that gives no
    likelihood at all gets a row without a number, labelled ``none``.
    """

    images = 250

    def __init__(self, notebook: str, file: Path = BOARD_FILE):
        self.notebook, self.file = notebook, file
        stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        self.rows = [row for row in stored if row["notebook"] < notebook]

    def add(self, model: str, nll, label: str):
        """Add a row: ``nll`` (250,) is minus the log-likelihood, or a bound on it, of every test image in nats.

        With the label ``none``, nll is None. Raises ValueError when nll has another shape or is not finite,
        or when there is no such label.
        """
        if label not in ("exact", "ELBO", "none") and not label.removeprefix("IWAE-").isdigit():
            raise ValueError(f"{model}: the label is {label!r}; say 'exact', 'ELBO', 'IWAE-k' with k a number, "
                             "or 'none'.")  # fmt: skip
        if label == "none":
            if nll is not None:
                raise ValueError(f"{model}: a row labelled 'none' has no likelihood; give nll=None.")
            self._put({"model": model, "label": label, "notebook": self.notebook, "nll": None})
            return
        nll = np.asarray(nll, float)
        if nll.shape != (self.images,):
            raise ValueError(f"{model}: found nll of shape {nll.shape}; give one number for each of the "
                             f"{self.images} test images, not their mean.")  # fmt: skip
        if not np.isfinite(nll).all():
            raise ValueError(f"{model}: nll holds NaN or infinity; some image has probability 0.")
        self._put({"model": model, "label": label, "notebook": self.notebook, "nll": nll.round(4).tolist()})

    def _put(self, row):
        self.rows = [r for r in self.rows if r["model"] != row["model"]] + [row]
        if recording():
            self._record()

    def _record(self):
        stored = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else []
        mine = [r for r in self.rows if r["notebook"] == self.notebook]
        rows = [r for r in stored if r["notebook"] != self.notebook] + mine
        rows.sort(key=lambda r: r["notebook"])  # stable: a notebook's rows keep their order
        text = "[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n"
        write_text(self.file, text)

    def nll(self, model: str) -> np.ndarray:
        """The numbers (250,) behind one row."""
        for row in self.rows:
            if row["model"] == model and row["nll"] is not None:
                return np.array(row["nll"])
        raise KeyError(f"No number for {model!r} on the board; there is {', '.join(r['model'] for r in self.rows)}.")

    def show(self):
        """Print the table, best row last."""
        print(f"THE BOARD   nats per image, {self.images} held-out binary digits, lower is better")
        print(f"{'model':<34}{'nats':>6}{'± s.e.':>8}{'bits/pixel':>12}   {'what it is':<12}from")
        for row in sorted(self.rows, key=lambda r: -np.inf if r["nll"] is None else -np.mean(r["nll"])):
            if row["nll"] is None:
                numbers = f"{'–':>6}{'–':>8}{'–':>12}"
            else:
                nll = np.array(row["nll"])
                error = nll.std(ddof=1) / np.sqrt(len(nll))
                numbers = f"{nll.mean():>6.2f}{error:>8.2f}{bits_per_dimension(nll.mean(), 64):>12.3f}"
            print(f"{row['model']:<34}{numbers}   {row['label']:<12}{row['notebook']}")

    def compare(self, a: str, b: str):
        """Mean of nll(a) - nll(b) over the same images, and its standard error, in nats.

        Images differ far more from each other than two models do on one image; subtracting image by
        image takes that out. Negative: a is better.
        """
        difference = self.nll(a) - self.nll(b)
        return difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))


def bits_per_dimension(nats, dimensions):
    """Nats per example as bits per dimension: divided by log 2 and by the number of dimensions."""
    return nats / np.log(2) / dimensions


def implied_sigma(recon, kl, *, D, K=1, recon_reduction="sum", kl_reduction="sum"):
    """The σ of the Gaussian decoder that the loss ``recon · squared error + kl · KL`` stands for.

    ``recon_reduction`` and ``kl_reduction`` say whether the code sums over the D numbers of an example and
    the K numbers of a code, or takes their mean. The loss is proportional to squared error / 2σ² + KL, the
    negative ELBO of a Gaussian with this σ, in the units of the data.
    """
    r, k = _weights(recon, kl, D, K, recon_reduction, kl_reduction)
    return float(np.sqrt(k / (2 * r)))


def implied_beta(recon, kl, *, D, K=1, recon_reduction="sum", kl_reduction="sum"):
    """The β that the loss ``recon · nll + kl · KL`` stands for, when nll is a negative log-likelihood in nats.

    The loss is proportional to nll + β KL, both summed over their dimensions; 1 is the ELBO. Reductions as
    in :func:`implied_sigma`.
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


def active_units(mu, threshold=0.01):
    """How many numbers of the code follow the data: those whose mean mu (N, K) varies by more than threshold.

    Variance over the data, as in Burda, Grosse and Salakhutdinov (2016).
    """
    return int((np.asarray(mu).var(axis=0) > threshold).sum())


def frechet_distance(a, b):
    """Squared Fréchet distance between Gaussians fitted to two samples a (N, D) and b (M, D).

    |mean difference|² + trace(A + B - 2 (A B)^½) (Dowson and Landau, 1982). For few samples it is far from
    zero even when both come from the same distribution; show that floor beside it.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    A, B = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    # The eigenvalues of A B are those of a product of covariances: real, and not below 0 but for rounding.
    root = np.sqrt(np.linalg.eigvals(A @ B).real.clip(min=0)).sum()
    return float(np.square(a.mean(axis=0) - b.mean(axis=0)).sum() + np.trace(A) + np.trace(B) - 2 * root)


def nearest(x, reference):
    """The closest row of ``reference`` (M, D) for each row of x (N, D): row numbers (N,) and squared distances (N,).

    For binary images the squared distance counts the pixels that differ.
    """
    lengths = np.einsum("md,md->m", reference, reference)  # without a copy of the reference
    squared = (x**2).sum(axis=1)[:, None] - 2 * (x @ reference.T) + lengths  # (N, M)
    row = squared.argmin(axis=1)
    return row, np.maximum(squared[np.arange(len(x)), row], 0)


def nearest_set(x, c, train_x, train_c, shown):
    """For each set of x (N, M, D), the training set that its members ``shown`` resemble most: row numbers (N,).

    shown: columns, the same for all sets (S,), or for each (N, S). Training sets that lack one of them are
    passed over. What counts is the mean absolute difference.
    """
    rows = []
    for one, labels in zip(x, np.broadcast_to(shown, (len(x), np.shape(shown)[-1]))):
        distance = np.abs(train_x[:, labels] - one[labels]).mean(axis=(1, 2))  # (training sets,)
        distance[(train_c[:, labels] < 0).any(axis=1)] = np.inf
        rows.append(int(distance.argmin()))
    return np.array(rows)


def set_errors(guess, x, c, shown, guess_c=None):
    """The mean absolute difference of ``guess`` (N, M, D) and the sets x (N, M, D), but for what was ``shown``: (N,).

    Members that are missing in x, or in the guess (guess_c is -1), do not count. shown as in :func:`nearest_set`.
    """
    counts = (c >= 0) if guess_c is None else (c >= 0) & (guess_c >= 0)
    np.put_along_axis(counts, np.broadcast_to(shown, (len(x), np.shape(shown)[-1])), False, axis=1)
    return (np.abs(guess - x).mean(axis=2) * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)


def diversity(x) -> float:
    """The mean Euclidean distance between two different rows of x (N, …)."""
    from scipy.spatial.distance import pdist

    return float(pdist(np.asarray(x, float).reshape(len(x), -1)).mean())
