"""Make a run: ``fit`` trains a model for data, fits the prior of its codes, measures, and writes all of it.

It goes on where it was stopped. The folder is a ``disk.Place``: run.json names every file in it that is ours.
"""

import contextlib
import json
import math
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import helpers
from helpers import checkpoints, disk, senses, training
from helpers.build import assemble, build, family, plan
from helpers.data.dataset import Dataset
from helpers.models import contract
from helpers.runs import budget, cards, codes, report, scores
from helpers.runs.begun import RunError, agreed, described, fingerprint
from helpers.runs.run import Run, load
from helpers.training.processes import Team

MINUTES = 2.0  # how long all of it lasts if nothing is said
RETRIES = 5  # how often training goes back to good weights and on at a lower rate, before it gives up
STATES = ("training", "prior")  # checkpoints of the two trainings, while they last
NAMES = ("model.json", *(f"{name}.json" for name in STATES), "report.json", "report.html")
SHEETS = re.compile(r"samples(-\d+)?\.(png|txt|flac|wav)")


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
    prior: str | None = None,
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
    prior: what codes are drawn from, for a model that has codes: "normal", the standard Normal; "gaussian", "mixture"
        or "flow", which are fitted to codes when the rest is trained. By default what suits them, by held-out codes.
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
    last = phases[-1].get("prior")
    if all(phase["done"] for phase in phases):
        if more is None:
            say(f"{out} is finished; train on with --more MINUTES (more=…), or choose another folder.")
            if team.first and any(f"{name}.json" in place.made for name in STATES):  # it was killed while it tidied up
                with contextlib.suppress(disk.DiskError), place:
                    _tidy(place)
            return load(out, data)
        phases = [*phases, {"minutes": more, "done": False}]
    elif minutes is not None:
        phases[-1]["minutes"] = None if math.isinf(minutes) else minutes
    phases[-1]["prior"] = prior or last
    codes.check(data, began["model"], prior)
    plan(data, began["model"], **began["choices"])  # what cannot be built leaves no folder
    chosen = helpers.device(device)
    with place if team.first else contextlib.nullcontext():
        if team.first:
            _no_other_samples(place)
            place.note(*(f"{name}.json" for name in STATES), settings=began, phases=phases)
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
            earlier = load(out, self.data) if number else None
            if earlier is None:
                model = build(self.data, began["model"], **began["choices"])
            else:  # the same networks, though this version would build others
                known = {name: value for name, value in earlier.model.plan.items() if name != "prior"}
                model = assemble({"model": began["model"], **known})
                if earlier.report.get("phases", 1) > number:  # killed when all was written but that it is done
                    self._done()
                    return earlier
                _put(earlier, model)
            if earlier is None and began["start_from"] is not None:
                self.say(_take_over(began["start_from"], model))
            arguments = self._arguments(model)
            sizes, plain, minutes = self._shared_out(model.to(device))
            fitting = codes.Fitting(model, self.data, self.phases[-1]["prior"], minutes)
            # Left as it is when stopped by Ctrl-C: the last save is in the folder.
            history = training.fit(
                model, self._splits(model, sizes), minutes=self._until(fitting), seed=began["seed"] + number,
                retries=RETRIES, checkpoint=out / "training", save_every=self.save_every, **progress, **arguments,
            )
            self._trained(history)
            family(began["model"]).finish(model.to("cpu"), self.data)
            if earlier is not None:
                history = self._better(earlier, model, history)
            if fitting.kinds not in ((), ("normal",)) and not progress["quiet"]:
                self.say("fitting the prior of its codes …")
            before = None if earlier is None else getattr(earlier.model, "prior", None)
            found = fitting.run(len(history), out / "prior", self.team, before, began["seed"] + number,
                                self.save_every, device)
            run = Run(out, model, {}, {} if found is None else {"prior": found}, history, self.data)
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

    def _until(self, fitting):
        """Minutes for the first training: none are left where it was done before a stop, within the same minutes."""
        before = self.phases[-1].get("trained")
        if before is None:
            return fitting.minutes
        if before["minutes"] == self.phases[-1]["minutes"]:
            return before["seconds"] / 60 if fitting.minutes is not None else None
        self.phases[-1].pop("trained")
        if self.team.first:
            checkpoints.remove(self.place.folder / "prior")  # of codes that will change
        self.team.wait()
        return fitting.minutes

    def _trained(self, history):
        """Note that the first training is done, so that what is stopped later does not do it again."""
        if self.team.first:
            self.phases[-1]["trained"] = {"minutes": self.phases[-1]["minutes"], "seconds": history["seconds"][-1]}
            self.place.note(phases=self.phases)

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
            _put(earlier, model)
        return earlier.history.followed_by(history)

    def _finish(self, run, arguments, sizes, plain, show):
        """Measure, and write everything: the model first, what says that it is done last."""
        model, data, place = run.model, run.data, self.place
        judged = scores.drawn(model, data, sizes.samples)
        figures = {"score": scores.score(model, data, self.k, most=sizes.scored, show=show, plain=plain),
                   "copies": scores.copies(model, data, samples=judged, sizes=sizes)}
        if "prior" in run.report:
            minutes = self.phases[-1]["minutes"]
            figures["prior"] = run.report["prior"] | codes.measure(model, data, minutes and 60 * minutes)
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
    """Delete the training states of a run that is done."""
    for name in STATES:
        checkpoints.remove(place.folder / name)
        place.remove(f"{name}.json")


def _no_other_samples(place):
    """Raise DiskError if a file would be in the way of the samples at the end."""
    for file in sorted(place.folder.iterdir()):
        if SHEETS.fullmatch(file.name) and file.name not in place.made:
            raise disk.DiskError(f"{file} was not made by this run, and is left as it is; move it elsewhere, or choose "
                                 "another folder.")


def _put(earlier, model):
    """Give a model the weights of an earlier run of the same plan, all but those of its prior, which comes later."""
    own = {name: t for name, t in earlier.model.state_dict().items() if not name.startswith("prior.")}
    model.load_state_dict(own)


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
