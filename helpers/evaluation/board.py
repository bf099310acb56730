"""The board: the held-out likelihood of every model in the series, image by image, and what each number is.

Numbers are in nats per image (summed over its pixels) unless a name says bits.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from helpers.disk import DATA, recording, write_text
from helpers.evaluation.compare import paired_difference
from helpers.lessons import place, title

BOARD_FILE = DATA / "board.json"
LABELS = ("exact", "ELBO", "density", "dequantised", "none")  # and IWAE-k


class Board:
    """The table that grows through the series: held-out nats per image on the 250 binary test digits.

    ``Board("training")`` already holds the rows that the lessons before Training measured. A lesson adds its own with
    :meth:`add` or :meth:`enter` and prints the table with :meth:`show`. Rows live in ``data/board.json`` together
    with the value for every single image, so that two models can be compared image by image.

    Each row says what its number is:

    ``exact``        minus the log-probability itself
    ``ELBO``         an upper bound on it
    ``IWAE-k``       a tighter bound, from k codes an image (Burda, Grosse and Salakhutdinov, 2016)
    ``density``      minus the log-density of continuous data, as of a flow; may be below 0
    ``dequantised``  an upper bound on ``exact`` from a density of images with noise added (Theis et al., 2016)
    ``none``         a model that gives no likelihood: a row without a number
    """

    images = 250

    def __init__(self, lesson: str, file: Path = BOARD_FILE):
        self.lesson, self.file = lesson, file
        self.rows = [row for row in self._stored() if place(row["lesson"]) < place(lesson)]

    def add(self, model: str, nll: ArrayLike | None, label: str) -> None:
        """Add a row: ``nll`` (250,) is minus the log-likelihood, or a bound on it, of every test image in nats.

        With the label ``none``, nll is None. Raises ValueError when nll has another shape or is not finite,
        or when there is no such label.
        """
        if label not in LABELS and not label.removeprefix("IWAE-").isdigit():
            raise ValueError(
                f"{model}: the label is {label!r}; say 'exact', 'ELBO', 'IWAE-k' with k a number, 'density', "
                "'dequantised', or 'none'."
            )
        if label == "none":
            if nll is not None:
                raise ValueError(f"{model}: a row labelled 'none' has no likelihood; give nll=None.")
            self._put({"model": model, "label": label, "lesson": self.lesson, "nll": None})
            return
        nll = np.asarray(nll.detach().cpu() if isinstance(nll, torch.Tensor) else nll, float)
        if nll.shape != (self.images,):
            raise ValueError(
                f"{model}: found nll of shape {nll.shape}; give one number for each of the {self.images} test "
                "images, not their mean."
            )
        if not np.isfinite(nll).all():
            raise ValueError(f"{model}: nll holds NaN or infinity; some image has probability 0.")
        self._put({"model": model, "label": label, "lesson": self.lesson, "nll": nll.round(4).tolist()})

    def enter(
        self,
        name: str,
        model: Any,
        x: torch.Tensor,
        c: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Score a model on the test images x (250, …) under conditions c (250, …), and add its row.

        model: anything with ``bound``, which becomes the label, and ``log_prob(x, c, generator)``, nats (250,). It is
        scored as it is: put it in evaluation mode first. Where ``bound`` is None, nothing is computed, and the label
        is ``none``. Raises ValueError as :meth:`add` does.
        """
        if model.bound is None:
            self.add(name, None, "none")
            return
        with torch.no_grad():
            self.add(name, -model.log_prob(x, c, generator=generator), model.bound)

    def _put(self, row):
        self.rows = [r for r in self.rows if r["model"] != row["model"]] + [row]
        if recording():
            self._record()

    def _stored(self):
        """The rows in the file. Raises ValueError for a file that is not a board, which is then never replaced."""
        if not self.file.exists():
            return []
        try:
            rows = json.loads(self.file.read_text(encoding="utf-8"))
            names = {"model", "label", "lesson", "nll"}
            if not isinstance(rows, list) or not all(names <= row.keys() for row in rows):
                raise ValueError
        except (ValueError, AttributeError, RecursionError):
            raise ValueError(f"{self.file} is not a board, and is left as it is; give another file.") from None
        return rows

    def _record(self):
        stored = self._stored()
        mine = [r for r in self.rows if r["lesson"] == self.lesson]
        rows = [r for r in stored if r["lesson"] != self.lesson] + mine
        rows.sort(key=lambda r: place(r["lesson"]))  # stable: a lesson's rows keep their order
        text = "[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n"
        write_text(self.file, text)

    def nll(self, model: str) -> np.ndarray:
        """The numbers (250,) behind one row, in nats. Raises KeyError when there are none."""
        for row in self.rows:
            if row["model"] == model and row["nll"] is not None:
                return np.array(row["nll"])
        raise KeyError(f"No number for {model!r} on the board; there is {', '.join(r['model'] for r in self.rows)}.")

    def show(self) -> None:
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
            print(f"{row['model']:<34}{numbers}   {row['label']:<12}{title(row['lesson'])}")

    def compare(self, a: str, b: str) -> tuple[float, float]:
        """Mean of nll(a) - nll(b) over the same images, and its standard error, in nats. Negative: a is better.

        Images differ far more from each other than two models do on one image; subtracting image by
        image takes that out.
        """
        return paired_difference(self.nll(a), self.nll(b))


def bits_per_dimension(nats: ArrayLike, dimensions: int) -> float | np.ndarray:
    """Nats per example (any shape) as bits per dimension: divided by log 2 and by the number of dimensions."""
    return nats / np.log(2) / dimensions
