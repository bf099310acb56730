"""What a training leaves behind: one row of figures for each epoch."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class TrainingError(RuntimeError):
    """Training cannot go on. The message says where it stopped and what to try."""


@dataclass
class History:
    """One row for each epoch: train and valid loss, every metric of both, seconds since the start, learning rate."""

    rows: list[dict] = field(default_factory=list)
    keeps: Literal["best", "last"] = "best"  # whose weights were kept; the last, where no loss says which is best
    returns: int = 0  # how often training went back to earlier weights; the epochs that failed have no row

    def __getitem__(self, name: str) -> np.ndarray:
        """One column, such as ``history["valid"]``: (epochs,)."""
        return np.array([row[name] for row in self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def best(self) -> int:
        """The epoch (from 0) whose weights were kept: the one with the lowest validation loss."""
        return len(self) - 1 if self.keeps == "last" else int(np.nanargmin(self["valid"]))

    def followed_by(self, later: "History") -> "History":
        """This history and a later one in one piece: epochs and seconds are counted on."""
        epochs, seconds = (self.rows[-1][name] if self.rows else 0 for name in ("epoch", "seconds"))
        more = [row | {"epoch": row["epoch"] + epochs, "seconds": row["seconds"] + seconds} for row in later.rows]
        return History([*self.rows, *more], self.keeps, self.returns + later.returns)

    def plot(self, ax: "Axes | None" = None, **labels: str) -> "Figure | None":
        """Learning curves of train and validation, with a dot at the epoch that was kept."""
        from helpers import plotting

        return plotting.history(self, ax=ax, **labels)
