"""How a run was begun: what its record says, and whether a later call fits it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from helpers import disk
from helpers.data.dataset import Dataset


class RunError(RuntimeError):
    """A run that cannot be opened or continued. The message says what was found, where, and what to do."""


def begun_with(out: str | Path) -> dict:
    """How the run in the folder ``out`` was begun, for what a later call leaves out; an empty dict if there is none."""
    return disk.read_record(Path(out) / "run.json").get("settings", {})


def agreed(out: Path, record: dict, wanted: dict) -> dict:
    """How the run was begun, or is to be begun; RunError if something is given that is not as it was."""
    began = record.get("settings")
    if began is None:
        return dict(wanted)
    try:
        if not all(isinstance(phase["done"], bool) for phase in record["phases"]) or not record["phases"]:
            raise KeyError("phases")
        now = json.loads(json.dumps(wanted, default=repr))
        for name, value in now.pop("choices").items():
            if value is not None and began["choices"].get(name) != value:
                raise _begun(out, name, began["choices"].get(name), value)
        if began["settings"] and now["settings"] is None:  # they may be functions, which no record can hold
            raise _begun(out, "settings", began["settings"], None)
        for name, value in now.items():
            if value is not None and began[name] != value:
                raise _begun(out, name, began[name], value)
    except (KeyError, TypeError, AttributeError):
        raise RunError(f"{out / 'run.json'} does not say how the run was begun; choose another folder.") from None
    return began


def described(settings: Any) -> Any:
    """Settings as a record can hold them, to be compared: numbers, words, and of all else its type."""
    if isinstance(settings, dict):
        return {name: described(value) for name, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [described(value) for value in settings]
    return settings if isinstance(settings, (int, float, str, bool, type(None))) else type(settings).__name__


def _begun(out, name, before, now):
    what = "other data" if name == "fingerprint" else f"{name}={before!r}, and now {name}={now!r}"
    return RunError(f"{out} was begun with {what}; use what it was begun with, or another folder.")


def fingerprint(data: Dataset) -> str:
    """A short name for the data: equal for equal examples and splits."""
    sizes = {split: len(rows) for split, rows in data.rows.items()}
    digest = hashlib.sha256(repr((data.x.shape, data.names, sizes)).encode())
    for i in range(0, len(data.x), 1000):
        digest.update(np.ascontiguousarray(data.x[i : i + 1000]).data)
    for rows in data.rows.values():
        digest.update(np.ascontiguousarray(rows).data)
    if data.c is not None:
        digest.update(np.ascontiguousarray(data.c).data)
    return digest.hexdigest()[:16]
