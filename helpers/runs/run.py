"""A run: data, a model trained on them, and all that was measured, in one folder.

``helpers.runs.fitting`` makes it; ``load`` opens it again.
"""

import contextlib
import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from helpers import priors, senses, training
from helpers.build import restore
from helpers.checkpoints import CheckpointError
from helpers.data.dataset import DataError, Dataset
from helpers.models import contract
from helpers.runs import cards, scores, sheets
from helpers.runs.begun import RunError, fingerprint


@dataclass
class Run:
    """A finished run: the model, its card, what was measured, and how training went.

    ``run.sample(9)``, ``run.score()``, ``run.sheet("mine.png")``; ``run.report`` holds all figures.
    """

    path: Path
    model: contract.Model
    card: dict
    report: dict
    history: training.History
    _data: Dataset | None = field(default=None, repr=False)

    @property
    def data_card(self) -> dict:
        """What was found in the data."""
        return self.card["data"]

    @property
    def kind(self) -> str:
        """"image", "sound" or "text"."""
        return self.data_card["kind"]

    @property
    def names(self) -> tuple[str, ...]:
        """The labels."""
        return tuple(self.data_card["labels"])

    @property
    def beta(self) -> float:
        """By what the KL term of a VAE was weighed at the end of training; 1 where the recipe names none."""
        said = self.card.get("recipe", {}).get("objective", {}).get("beta", 1.0)
        return float(str(said).removeprefix("ramp to "))  # as fitting writes a schedule

    @functools.cached_property
    def data(self) -> Dataset:
        """The data, read again from where they were, if they are not in memory. Raises DataError if they changed."""
        if self._data is not None:
            return self._data
        given = self.card["settings"]
        origin = given["origin"]
        if not origin:
            raise DataError(f"{self.path}: was made of data in memory, which are not kept; give data=… to score.")
        options = {name: origin[name] for name in ("kind", "size", "seed")} | origin["options"]
        data = senses.read(origin["path"], leave_out=self.path, **options)
        if fingerprint(data) != given["fingerprint"]:
            raise DataError(f"{origin['path']}: holds other data than the run {self.path} was made of; give data=….")
        return data

    def sample(self, n: int = 16, label: str | int | None = None, generator: torch.Generator | None = None,
               prior: str | None = None, **options: Any) -> sheets.Samples:
        """n samples, of one label (its name or number), or of all in turn, from the same noise under each.

        prior: "normal" draws codes from the standard Normal, whatever the run's prior. options: those of the model,
        such as ``temperature``. Unless they say otherwise, images and spectrograms are what the decoder expects,
        without the noise of its likelihood, and texts are drawn at a temperature of 0.8.
        """
        if prior not in (None, "normal"):
            raise ValueError(f"prior is {prior!r}; say 'normal', or leave it out for the run's own prior.")
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        own = senses.sense(self.kind)
        number = None if label is None else sheets.label_number(label, self.names)
        with priors.plain(self.model) if prior else contextlib.nullcontext():
            x, c = sheets.draw(self.model, n, self.model.plan["labels"], number, generator, **own.SAMPLING | options)
        return sheets.Samples(own.present(x, self.card), None if c is None else [self.names[k] for k in c])

    def score(self, k: int = 50, split: str = "test", data: Dataset | None = None) -> dict:
        """The held-out figure beside baselines; see :func:`helpers.runs.scores.score`."""
        return scores.score(self.model, self.data if data is None else data, k, split)

    def copies(self, n: int = 100, data: Dataset | None = None) -> dict:
        """The check for copying; see :func:`helpers.runs.scores.copies`."""
        return scores.copies(self.model, self.data if data is None else data, n)

    def sheet(self, out: str | Path, n: int = 16, label: str | int | None = None,
              generator: torch.Generator | None = None) -> list[Path]:
        """Draw n samples and write them; see :func:`helpers.runs.sheets.sheet`."""
        return sheets.sheet(self.sample(n, label, generator), out, self.kind, run=self.path)

    def describe(self) -> None:
        """Print what the run is, what it reached, and its limits."""
        print("\n".join(cards.lines(self)))


def load(out: str | Path, data: Dataset | None = None) -> Run:
    """The finished run in the folder ``out``. Raises RunError, in one sentence, if there is none or it is damaged."""
    out = Path(out)
    if not out.is_dir():
        raise RunError(f"{out}: there is no such folder; make a run with python -m helpers fit.")
    if not (out / "model.json").exists():
        if (out / "run.json").exists():
            raise RunError(f"{out}: this run is not finished; give the command that began it again.")
        raise RunError(f"{out}: this folder does not hold a run; make one with python -m helpers fit.")
    try:
        model, card = restore(out / "model")
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
        if card["data"]["kind"] != card["plan"]["kind"] or card["plan"]["labels"] != len(card["data"]["labels"]):
            raise KeyError("kind")
        history = training.History(report["history"], report.get("keeps", "best"))
    except CheckpointError as error:
        raise RunError(str(error)) from None
    except OSError as error:
        raise RunError(f"{out}: its report.json cannot be read ({error.strerror}); copy the whole folder.") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, DataError):
        raise RunError(f"{out}: its card or its report is damaged; copy the folder again, or fit in a new "
                       "one.") from None
    return Run(out, model, card, report, history, data)
