"""Many trainings that differ in a few settings: which to run, running them side by side, and keeping the results.

A sweep is a list of settings times a list of seeds. Each training is independent of all others, so they run in
any order, in as many processes as wanted, on one computer or on several (joblib.Parallel), to the same figures.
"""

import ast
import hashlib
import inspect
import itertools
import json
import math
import os
import textwrap
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from helpers.disk import write_text
from helpers.progress import Progress


class SweepError(RuntimeError):
    """A sweep that cannot be run or read. The message says what was found, where, and what to do."""


def grid(base: dict, **knobs: Iterable) -> list[dict]:
    """Settings like ``base``, but for the knobs: one setting for each combination of their values.

    One knob gives as many settings as it has values; several give the product. Raises SweepError for a knob
    that base lacks, which is nearly always a misspelling.
    """
    for name in knobs:
        if name not in base:
            raise SweepError(f"There is no knob {name!r}; base has {', '.join(base)}.")
    return [{**base, **dict(zip(knobs, values))} for values in itertools.product(*knobs.values())]


def run(
    train_one: Callable[[dict, int], dict],
    settings: list[dict],
    seeds: Iterable[int],
    jobs: int = 1,
    backend: str | None = None,
    file: str | os.PathLike | None = None,
    quiet: bool = True,
) -> list[dict]:
    """Call ``train_one(setting, seed)`` for every setting and every seed, ``jobs`` at a time; returns the rows.

    A row is ``{"setting", "seed", "figures", "seconds"}``, with the dict of numbers that train_one returned.
    The seconds are those of the call, or a figure of that name if train_one measures its own. If it raised, the
    row has ``"failed"``, the reason, in place of both; the other runs go on. Rows come in the order of settings
    and seeds, whatever the order in which they were done. Settings that occur twice are run once.

    backend: joblib's; by default processes on this computer, or what ``joblib.parallel_config`` says.
    file: a JSON file that is replaced, in one step, after each run. Rows found in it are not run again, unless
        they failed; so a sweep that was stopped goes on. Any other file is left as it is, and so are results of
        another train_one: SweepError.
    """
    seeds = list(seeds)
    wanted = {_key(setting, seed): (setting, seed) for setting in settings for seed in seeds}
    place = {seed: i for i, seed in enumerate(seeds)}
    made_by, done = fingerprint(train_one), {}
    if file is not None and os.path.lexists(file):
        stored = _read(file)
        if stored["made by"] != made_by:
            raise SweepError(
                f"{file} holds results of another version of {train_one.__name__}, and is left as it is; give another "
                "name, or move it away."
            )
        done = {_key(row["setting"], row["seed"]): row for row in stored["rows"]}
    missing = [task for key, task in wanted.items() if "figures" not in done.get(key, {})]
    missing.sort(key=lambda task: place[task[1]])  # seed by seed, so that half a sweep has all settings
    tasks = (delayed(_one)(train_one, setting, seed) for setting, seed in missing)
    results = Parallel(n_jobs=jobs, backend=backend, return_as="generator_unordered")(tasks) if missing else []
    for row, _ in zip(results, Progress(len(missing), unit="run", lines=0, show=not quiet)):
        done[_key(row["setting"], row["seed"])] = row
        if file is not None:
            _write(file, made_by, done.values())
    rows = [done[key] for key in wanted]
    if file is not None and missing:  # in order, now that all is done; rows of other settings stay
        _write(file, made_by, [*rows, *(row for key, row in done.items() if key not in wanted)])
    return rows


def _one(train_one, setting, seed):
    """One row: what came out, or why nothing did."""
    start = time.perf_counter()
    row = {"setting": setting, "seed": seed}
    try:
        figures = {name: float(value) for name, value in train_one(dict(setting), seed).items()}
    except Exception as error:  # one bad setting must not cost the others
        return row | {"failed": f"{type(error).__name__}: {error}"}
    seconds = figures.pop("seconds", time.perf_counter() - start)
    return row | {"figures": {name: round(value, 4) for name, value in figures.items()}, "seconds": round(seconds, 3)}


def load(file: str | os.PathLike) -> list[dict]:
    """The rows that :func:`run` has written to a file. Raises SweepError if there are none."""
    return _read(file)["rows"]


def remove(file: str | os.PathLike) -> None:
    """Delete a file that :func:`run` has written, if there is one. Raises SweepError for any other."""
    if os.path.lexists(file):
        _read(file)
        Path(file).unlink()


def failures(rows: Iterable[dict]) -> list[str]:
    """A sentence for each run that failed: which, and why."""
    return [f"{row['setting']}, seed {row['seed']}: {row['failed']}" for row in rows if "failed" in row]


def figures(rows: Iterable[dict], setting: dict, name: str = "test") -> np.ndarray:
    """One figure (or "seconds") of one setting, in the order of seeds: (seeds,). A failed run counts as NaN.

    Two such arrays of equal seeds may be subtracted seed by seed. Raises SweepError if no row has the setting.
    """
    found = sorted((row for row in rows if row["setting"] == setting), key=lambda row: row["seed"])
    if not found:
        raise SweepError(f"No run has the setting {setting}; see which settings the rows have.")
    return np.array([row.get("figures", {}).get(name, row.get(name, math.nan)) for row in found], float)


def fingerprint(function: Callable) -> str:
    """Twelve characters that change when the code of a function does, or that of one it calls in its module.

    Comments, docstrings, annotations of functions and layout do not count.
    """
    code = []
    for part in _with_helpers(function, {}).values():
        tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
            if isinstance(node, ast.FunctionDef):
                node.returns = None
            elif isinstance(node, ast.arg):
                node.annotation = None
        code.append(ast.unparse(tree))
    return hashlib.sha256("\n".join(sorted(code)).encode()).hexdigest()[:12]


def _with_helpers(function, found):
    """The function and the functions of its module that it calls, directly or not, by name."""
    if function.__name__ not in found:
        found[function.__name__] = function
        for other in inspect.getclosurevars(function).globals.values():
            if inspect.isfunction(other) and other.__module__ == function.__module__:
                _with_helpers(other, found)
    return found


def _key(setting, seed):
    """The same text for the same run, whatever the order of its knobs."""
    return json.dumps([setting, seed], sort_keys=True)


def _read(file):
    try:
        stored = json.loads(Path(file).read_text(encoding="utf-8"))
        ours = isinstance(stored["made by"], str) and all(
            isinstance(row["setting"], dict) and "seed" in row and ("figures" in row or "failed" in row)
            for row in stored["rows"]
        )
    except OSError as error:
        raise SweepError(f"{file} cannot be read ({error.strerror}); check its name, or run the sweep.") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise SweepError(f"{file} is not a file of sweep results, and is left as it is; give another name.")
    return stored


def _write(file, made_by, rows):
    """One row a line, so that a comparison of two versions shows which runs changed."""
    lines = ",\n".join(json.dumps(row) for row in rows)
    write_text(Path(file), f'{{"made by": {json.dumps(made_by)}, "rows": [\n{lines}\n]}}\n')
