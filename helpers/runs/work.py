"""A finished run at work on other files: it completes what is broken off, finds what is odd, and says what it shows.

What is computed is in ``helpers.uses``; here files become what the model takes, and figures become lines to print.
"""

import os
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import senses, uses
from helpers.data.files import Items, shown
from helpers.runs.run import Run
from helpers.runs.scores import some
from helpers.runs.sheets import Samples, label_number

CODES = 20  # an example for a bound that draws codes: with more, a folder would take long
REFERENCE = 300  # held-out examples that files are compared with
WARNING = ("Improbable is not the same as odd: what is simpler than all examples, such as an empty page, may be found "
           "more probable than any of them. Look at the other columns, too: each says how many of 100 usual examples "
           "are at least as odd by that measure; typicality is far from the usual log p on either side, ratio compares "
           "with a model of single pixels, numbers or letters. No measure finds everything. Up to {alarm:.0%} of usual "
           "files ring; " + uses.AS_NEW[0].lower() + uses.AS_NEW[1:])


class Completed(NamedTuple):
    """Samples, the first of them what was given if that can be shown; what each is; and a note, "" if all is exact."""

    samples: Samples
    says: list[str]
    note: str


def complete(run: Run, path: str | Path, n: int = 8, label: str | int | None = None, missing: str | None = None,
             seed: int = 0) -> Completed:
    """n ways to complete what is missing in a file, of one label, or of all labels in turn.

    missing: what, as the sense of the data has it (``gap``). Raises ValueError for nothing missing, for nothing known,
    and for a model that cannot; DataError for a file that cannot be used.
    """
    own = _sense(run)
    x, known = own.gap(path, run.card, missing)
    if known.all():
        raise ValueError(f"{shown(path)}: nothing is missing; make a part transparent, or say which with --missing.")
    if not known.any():
        raise ValueError(f"{shown(path)}: nothing is known, and all of it would be drawn; use sample for that.")
    labels = run.model.plan["labels"]
    ways: list = [label_number(label, run.names)] if label is not None else list(range(labels)) or [None]
    names = ["" if way is None else run.names[way] for way in ways] * n
    options = {"temperature": run.beta} | own.SAMPLING  # models.resampling: beta weighs a likelihood like T
    found: list = [None] * n
    for k, way in enumerate(ways[:n]):
        c = None if way is None else np.full(len(x), way)
        done = uses.impute(run.model, x, known, len(found[k :: len(ways)]), c, seed, **options)
        found[k :: len(ways)] = done.draws
    names, note = names[:n], done.note
    drawn = np.stack(found, axis=1)  # (N, n, …): all ways of one text stand together
    drawn = drawn.reshape(-1, *drawn.shape[2:])
    if own.PRINTED:
        named = names * len(x) if names[0] else None
        return Completed(Samples(own.present(drawn, run.card), named), names, note)
    return Completed(Samples(own.present(np.concatenate([x, drawn]), run.card), None), ["what is known", *names], note)


class Judged(NamedTuple):
    """What was found of files: lines to print, and (place, reason) for those that could not be read."""

    lines: list[str]
    skipped: list[tuple[str, str]]


def odd(run: Run, path: str | Path, by: str = "nll", alarm: float = 0.05, seed: int = 0) -> Judged:
    """The files of a folder, the oddest first, by one score of ``uses.oddness``, with the others beside it.

    They are compared with examples of the validation split, which are read again; raises DataError if they are gone or
    have changed, and ValueError for a model that cannot say what is probable.
    """
    items, data = _read(run, path), run.data
    rows = some(data.rows["valid"], REFERENCE, np.random.default_rng(seed))
    possible = uses.SCORES if hasattr(run.model, "reconstruct") else uses.SCORES[:3]
    scores = [by, *(score for score in possible if score != by)]
    found = uses.oddities(run.model, items.x, data.x[rows], scores, train=data.train.x, alarm=alarm, seed=seed,
                          prior=_shares(run))
    order = np.argsort(-found[by].score, kind="stable")
    titles = {"nll": "-log p", **{score: score for score in scores[1:]}, by: "-log p" if by == "nll" else by}
    lines = [f"{len(items.names):,} of them, beside {len(rows):,} held-out examples: so many of 100 are as odd:",
             "  ".join(f"{titles[score]:>14}" for score in scores) + "        file"]
    for i in order:
        parts = "  ".join(f"{100 * found[score].share[i]:>14.1f}" for score in scores)
        lines.append(f"{parts}  {'rings' if found[by].rings[i] else '':<5} {items.names[i]}")
    lines.append(f"{int(found[by].rings.sum()):,} of {len(items.names):,} ring, by {titles[by]}.")
    lines += _learnt(run, path)
    if not np.isfinite(found[by].threshold):
        lines.append(f"With {len(rows)} held-out examples no alarm for {alarm:.0%} can be set, so that none rings.")
    return Judged([*lines, WARNING.format(alarm=alarm)], items.skipped)


def classify(run: Run, path: str | Path, seed: int = 0) -> Judged:
    """The label of each file of a folder, with its probability; and how many are right, if subfolders are labels."""
    if not run.names:
        raise ValueError(f"{run.path}: its data had no labels, so that it cannot classify; fit one on a folder with a "
                         "subfolder for each label.")
    items = _read(run, path)
    found = uses.classify(run.model, items.x, prior=_shares(run), seed=seed)
    p, plain = np.exp(found.log_posterior), {_plain(name): k for k, name in enumerate(run.names)}
    lines = []
    for name, row in zip(items.names, p):
        first, *rest = np.argsort(-row, kind="stable")[:2]
        second = f"; {run.names[rest[0]]} {row[rest[0]]:.2f}" if rest and row[rest[0]] >= 0.005 else ""
        lines.append(f"{run.names[first]} {row[first]:.2f}{second}\t{name}")
    truth = np.array([plain.get(_plain(folder), -1) if folder else -1 for folder in items.folders])
    here, right = truth >= 0, found.label == truth
    if here.any():
        lines.append(f"right: {int(right.sum()):,} of {int(here.sum()):,}, {right.sum() / here.sum():.2f} (± "
                     f"{np.sqrt(right[here].var() / here.sum()):.2f}), by the names of the subfolders")
    unknown = sorted({shown(folder) for folder in items.folders if folder and _plain(folder) not in plain})
    if unknown:
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        lines.append(f"subfolders that are no labels of this run, whose files are not counted: "
                     f"{', '.join(unknown[:10])}{more}; its labels are {', '.join(run.names[:20])}")
    return Judged([*lines, *_learnt(run, path), *([found.note] if found.note else [])], items.skipped)


def _learnt(run, path):
    """What to say of the folder that the run was fitted on."""
    place = (run.card["settings"]["origin"] or {}).get("path", "")
    if place and os.path.realpath(place) == os.path.realpath(path):
        return ["The run has learnt from most of these very files: such figures are too good."]
    return []


def _read(run: Run, path: str | Path) -> Items:
    if run.model.bound is not None and hasattr(run.model, "k"):
        run.model.k = CODES
    return _sense(run).items(path, run.card)


def _sense(run):
    own = senses.sense(run.kind)
    if not hasattr(own, "gap"):
        raise ValueError(f"{run.path}: files of kind {run.kind} can be learnt from, and no more yet; their sense has "
                         "no items and gap.")
    if run.model.plan.get("condition") and not run.names:
        raise ValueError(f"{run.path}: the model is told real numbers of each example, which no file has; use it from "
                         "Python.")
    return own


def _shares(run):
    """How frequent each label was, or None: (L,)."""
    return np.array(list(run.data_card["labels"].values()), float) if run.names else None


def _plain(name):
    return unicodedata.normalize("NFC", shown(name))
