"""A run: data, a model trained on them, and all that was measured, in one folder.

``fit`` makes it, and goes on where it was stopped; ``load`` opens it again. The folder is a ``disk.Place``: run.json
names every file in it that is ours.
"""

import contextlib
import functools
import json
import math
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import helpers
from helpers import checkpoints, disk, senses, training
from helpers.build import build, family, plan, restore
from helpers.checkpoints import CheckpointError
from helpers.data.dataset import DataError, Dataset
from helpers.models import contract
from helpers.runs import budget, cards, report, scores, sheets
from helpers.runs.begun import RunError, agreed, described, fingerprint
from helpers.training.processes import Team

MINUTES = 2.0  # how long all of it lasts if nothing is said
RETRIES = 5  # how often training goes back to good weights and on at a lower rate, before it gives up
NAMES = ("model.json", "training.json", "report.json", "report.html")
SHEETS = re.compile(r"samples(-\d+)?\.(png|txt|flac|wav)")


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
               **options: Any) -> sheets.Samples:
        """n samples, of one label (its name or number), or of all in turn, each code under every label.

        options: those of the model, such as ``temperature``. Unless they say otherwise, images and spectrograms are
        what the decoder expects, without the noise of its likelihood, and texts are drawn at a temperature of 0.8.
        """
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        own = senses.sense(self.kind)
        number = None if label is None else sheets.label_number(label, self.names)
        x, c = sheets.draw(self.model, n, self.model.plan["labels"], number, generator, **{**own.SAMPLING, **options})
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


def fit(
    data: Dataset | str | Path,
    out: str | Path,
    *,
    minutes: float | None = None,
    epochs: int | None = None,
    more: float | None = None,
    model: str | None = None,
    seed: int | None = None,
    start_from: str | Path | None = None,
    device: str | None = None,
    settings: dict | None = None,
    k: int = 50,
    save_every: float = 5.0,
    quiet: bool = False,
    lines: bool = True,
    since: float | None = None,
    **choices: Any,
) -> Run:
    """Train a model for ``data`` (a Dataset, or the path of one), and leave it in the folder ``out``.

    minutes: how long all of it lasts, reading and scoring included; by default 2, or as long as it takes if ``epochs``
        says how many. since: when they began, as ``time.perf_counter`` counts; by default now.
    more: minutes in which a finished run is trained on, from its weights; the better of both is kept.
    model: a name in ``helpers.build.FAMILIES``; by default what suits the data: "language" for texts, else "vae".
        choices: what it can be told; see ``helpers.build.build``.
    seed: of first weights and noise; by default that with which the data were split.
    start_from: another run, whose weights are taken over wherever names and shapes agree.
    settings: arguments for ``training.fit`` that replace those of the recipe.
    k: codes an example for the held-out bound. save_every: seconds between saves while training. quiet: nothing is
    printed. lines: False leaves only the bar.

    Where training goes wrong, it goes back to the last good weights, and on at a lower rate.

    ``out`` is new, empty, or holds a run. One that was stopped goes on where it was saved, to bit-identical weights if
    no clock ends it; one that is finished is returned as it is. What is not given is as the run was begun; what is
    given must be as it was, but for the minutes. The data may have moved: their contents decide.

    Raises DataError (the data), TrainingError (training), DiskError (``out`` holds something else, or another process
    writes there), RunError (it was begun otherwise).
    """
    out, team = Path(out), Team.join()
    since = time.perf_counter() if since is None else since
    data = data if isinstance(data, Dataset) else senses.read(data, leave_out=out)
    place = disk.Place(out, NAMES)
    if team.first:
        place.check()
    team.wait()  # before anything is written, so that all read the same record
    place.record = disk.read_record(place.file)
    wanted = {"model": model, "seed": seed, "epochs": epochs, "choices": choices,
              "settings": None if settings is None else described(settings),
              "start_from": None if start_from is None else str(Path(start_from).resolve())}
    began = agreed(out, place.record, {**wanted, "fingerprint": fingerprint(data)})
    began |= {"origin": json.loads(json.dumps(data.origin, default=repr)), "settings": began["settings"] or {},
              "model": began["model"] or senses.sense(data.kind).MODEL,
              "seed": data.origin.get("seed", 0) if began["seed"] is None else began["seed"]}
    say = (lambda text: None) if quiet or not team.first else lambda text: print(text, flush=True)
    phases = place.record.get("phases", [{"minutes": MINUTES if epochs is None else None, "done": False}])
    if all(phase["done"] for phase in phases):
        if more is None:
            say(f"{out} is finished; train on with --more MINUTES (more=…), or choose another folder.")
            if team.first and "training.json" in place.made:  # it was killed while it tidied up
                with contextlib.suppress(disk.DiskError), place:
                    _tidy(place)
            return load(out, data)
        phases = [*phases, {"minutes": more, "done": False}]
    elif minutes is not None:
        phases[-1]["minutes"] = None if math.isinf(minutes) else minutes
    plan(data, began["model"], **began["choices"])  # what cannot be built leaves no folder
    chosen = helpers.device(device)
    with place if team.first else contextlib.nullcontext():
        if team.first:
            _no_other_samples(place)
            place.note("training.json", settings=began, phases=phases)
        team.wait()
        return _Fit(place, data, began, phases, settings or {}, k, save_every, since, team, say).run(
            chosen, quiet=quiet, lines=lines)


@dataclass
class _Fit:
    """One call of fit, once it is known what is to be done."""

    place: disk.Place
    data: Dataset
    began: dict
    phases: list[dict]
    settings: dict
    k: int
    save_every: float
    since: float
    team: Team
    say: Callable[[str], None]

    def run(self, device, **progress) -> Run:
        """Train the last phase, measure, and write everything."""
        out, began, number = self.place.folder, self.began, len(self.phases) - 1
        with _without_checks():
            torch.manual_seed(began["seed"] + 1000 * number)
            model = build(self.data, began["model"], **began["choices"])
            if number:
                earlier = load(out, self.data)
                if earlier.report.get("phases", 1) > number:  # killed when all was written but that it is done
                    self._done()
                    return earlier
                model.load_state_dict(earlier.model.state_dict())
            elif began["start_from"] is not None:
                self.say(_take_over(began["start_from"], model))
            arguments = self._arguments(model)
            sizes, plain, minutes = self._shared_out(model.to(device))
            # Left as it is when stopped by Ctrl-C: the last save is in the folder.
            history = training.fit(
                model, self._splits(model, sizes), minutes=minutes, seed=began["seed"] + number, retries=RETRIES,
                checkpoint=out / "training", save_every=self.save_every, **progress, **arguments,
            )
            model.to("cpu")
            family(began["model"]).finish(model, self.data)
            if number:
                history = self._better(earlier, model, history)
            run = Run(out, model, {}, {}, history, self.data)
            if self.team.first:
                self.say(f"scoring {sizes.scored:,} test examples, comparing {sizes.samples} samples with "
                         f"{sizes.compared:,} training examples, drawing samples …")
                self._finish(run, arguments, sizes, plain, show=not progress["quiet"])
                if not progress["quiet"]:
                    run.describe()
        return run

    def _arguments(self, model):
        """For training.fit: the recipe of the family, and what the caller says otherwise."""
        plan = model.plan
        n = len(contract.examples(model, self.data, "train").x)
        found = family(plan["model"]).recipe(plan, n) | self.settings
        return found if self.began["epochs"] is None else found | {"epochs": self.began["epochs"]}

    def _shared_out(self, model):
        """How much is looked at, the baselines, and the minutes for training alone; all processes get the same."""
        minutes, agree = self.phases[-1]["minutes"], self.team.agree
        if minutes is None:
            return budget.Sizes().within(self.data), None, None
        sizes, after = budget.shared_out(model, self.data, self.k, 60 * minutes)
        sizes = budget.Sizes(**{name: int(agree(n)) for name, n in self.phases[-1].get("sizes", asdict(sizes)).items()})
        if self.team.first:  # one that is stopped goes on with the same
            self.phases[-1]["sizes"] = asdict(sizes)
            self.place.note(phases=self.phases)
        rows = scores.scored_rows(model, self.data, most=sizes.scored)
        plain = senses.sense(self.data.kind).baselines(self.data, rows, model.plan)  # now: it may take a while
        gone = time.perf_counter() - self.since
        return sizes, plain, agree(max(0.05 * minutes, minutes - (gone + after) / 60))

    def _splits(self, model, sizes):
        """Training examples, and those of the validation split that are looked at after each epoch."""
        rows = None
        if not getattr(model, "sets", False):
            rows = scores.some(self.data.rows["valid"], sizes.validated, np.random.default_rng(0))
        return (contract.examples(model, self.data, "train")[:2],
                contract.examples(model, self.data, "valid", rows)[:2])

    def _better(self, earlier, model, history):
        """After further training: the weights that are better in validation, and one history of both."""
        if history.keeps == "best" and earlier.report["valid"] <= history["valid"].min():
            self.say("further training did not help in validation; the earlier weights stay")
            model.load_state_dict(earlier.model.state_dict())
        return earlier.history.followed_by(history)

    def _finish(self, run, arguments, sizes, plain, show):
        """Measure, and write everything: the model first, what says that it is done last."""
        model, data, place = run.model, run.data, self.place
        judged = scores.drawn(model, data, sizes.samples)
        figures = {"score": scores.score(model, data, self.k, most=sizes.scored, show=show, plain=plain),
                   "copies": scores.copies(model, data, samples=judged, sizes=sizes)}
        card = cards.data_card(data)
        objective = {n: f"ramp to {v(1.0):g}" if callable(v) else v for n, v in arguments["objective"].items()}
        run.card = {
            "model": cards.sentence(model, card),
            "made_by": "python -m helpers fit (helpers.runs)",
            "data": card,
            "plan": model.plan,
            "settings": self.began,
            "recipe": {name: repr(v) if callable(v) else v for name, v in arguments.items()} | {"objective": objective},
            "figures": figures,
            "limits": cards.limits(data, card, figures, model.plan),
            "licence": "unknown: that of the data decides",
        }
        run.report = {
            **figures,
            "data": card,
            "valid": float(run.history["valid"][run.history.best]),
            "epochs": len(run.history),
            "best epoch": run.history.best + 1,
            "kept": "best in validation" if run.history.keeps == "best" else "the last, and were kept",
            "keeps": run.history.keeps,
            "phases": len(self.phases),
            "returns to good weights": run.history.returns,
            "seconds of training": round(float(run.history["seconds"][-1]), 1),
            "seconds in all": round(time.perf_counter() - self.since, 1),
            "peak memory, MB": _peak_megabytes(),
            "history": run.history.rows,
        }
        place.note("model.json")
        checkpoints.save(place.folder / "model", model.state_dict(), **run.card)
        place.remove(*(name for name in place.made if SHEETS.fullmatch(name)))
        own, C = senses.sense(run.kind), model.plan["labels"]
        most, rows = own.SHEET
        few = 0 < C <= rows  # then a row for each label
        samples = run.sample(C * max(1, min(16, most // C)) if few else most)
        for ending, content in own.files(samples.x, samples.labels).items():
            place.write(f"samples{ending}", content)
        place.write("report.html", report.page(run, judged).encode())
        place.write("report.json", (json.dumps(run.report, indent=1) + "\n").encode())
        self._done()

    def _done(self):
        """What says that the phase is done, last of all."""
        if self.team.first:
            self.phases[-1]["done"] = True
            self.place.note(phases=self.phases)
            _tidy(self.place)


def _tidy(place):
    """Delete the training state of a run that is done."""
    checkpoints.remove(place.folder / "training")
    place.remove("training.json")


def _no_other_samples(place):
    """Raise DiskError if a file would be in the way of the samples at the end."""
    for file in sorted(place.folder.iterdir()):
        if SHEETS.fullmatch(file.name) and file.name not in place.made:
            raise disk.DiskError(f"{file} was not made by this run, and is left as it is; move it elsewhere, or choose "
                                 "another folder.")


def _take_over(run, model):
    """Put weights of another run into the model, where names and shapes agree; returns what to say of it."""
    tensors, before = load(run).model.state_dict(), model.state_dict()
    fits = {name: t for name, t in tensors.items() if name in before and before[name].shape == t.shape}
    if not fits:
        raise RunError(f"{run}: none of its weights fits this model; start from a run of the same kind and size.")
    model.load_state_dict(before | fits)
    return f"{len(fits)} of {len(before)} tensors taken over from {run}"


@contextlib.contextmanager
def _without_checks():
    """Distributions that do not check themselves: faster, and a NaN is found by fit, which says what to do."""
    before = torch.distributions.Distribution._validate_args
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        torch.distributions.Distribution.set_default_validate_args(before)


def _peak_megabytes():
    with contextlib.suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak / (1e6 if sys.platform == "darwin" else 1e3))
    return None
