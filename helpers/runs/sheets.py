"""Samples of a run, and the files that show them."""

import contextlib
import hashlib
import json
import os
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from helpers import senses
from helpers.disk import MADE_BY, DiskError, read_record, write_bytes, write_new, write_text
from helpers.models import contract

DRAWN = ".drawn.json"  # in the folder of a run: what `sample` has written, and where
ENDINGS = (".png", ".flac", ".wav", ".txt")


class Samples(NamedTuple):
    """What a model drew: images (n, H, W) or (n, 3, H, W), spectrograms (n, F, T), or a list of texts; their labels.

    ``labels`` are names, one for each sample; None where there are none.
    """

    x: np.ndarray | list[str]
    labels: list[str] | None


def draw(model: contract.Model, n: int, labels: int = 0, label: int | None = None,
         generator: torch.Generator | None = None, **options: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """n examples of one label, or of all ``labels`` in turn, with the same noise under each: (n, …), (n,) or None.

    So a model with codes draws each code under every label; or codes that the same noise becomes under each, if its
    prior is told labels.
    """
    if label is not None or not labels:
        c = None if label is None else np.full(n, label)
        return contract.sample(model, n, c, generator, **options), c
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    state, each = generator.get_state(), -(-n // labels)
    columns = []
    for k in range(labels):
        generator.set_state(state)
        columns.append(contract.sample(model, each, np.full(each, k), generator, **options))
    return np.stack(columns, axis=1).reshape(each * labels, *columns[0].shape[1:])[:n], np.arange(n) % labels


def label_number(label: str | int, names: tuple[str, ...]) -> int:
    """The number of a label that is given by name, or by number. Raises ValueError, naming those that there are."""
    if not names:
        raise ValueError(f"The model has no labels, and {label!r} was asked for; leave out the label.")
    if isinstance(label, str):
        plain = [unicodedata.normalize("NFC", name) for name in names]  # é may be one character, or e and an accent
        if unicodedata.normalize("NFC", label) in plain:
            return plain.index(unicodedata.normalize("NFC", label))
    elif isinstance(label, (int, np.integer)) and not isinstance(label, bool) and 0 <= label < len(names):
        return int(label)
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    raise ValueError(f"There is no label {label!r}; choose among {shown}.")


def sheet(samples: Samples, out: str | Path, kind: str, columns: int | None = None,
          run: Path | None = None) -> list[Path]:
    """Write samples: images to OUT.png; sounds to OUT.png, their spectrograms, and OUT-01.flac, …; texts to OUT.txt.

    Where every label comes in turn, one code stands below the other, and a row is a label. A file that is there
    already is left alone, and DiskError says so; but what was written for the same ``run``, a folder, is replaced.
    Returns the files.
    """
    out = Path(out)
    stem = out.with_suffix("") if out.suffix.lower() in ENDINGS else out
    made = senses.sense(kind).files(samples.x, samples.labels, columns, out.suffix.lower().lstrip("."))
    return put({stem.with_name(stem.name + ending): data for ending, data in made.items()}, run)


def put(files: dict[Path, bytes], run: Path | None = None) -> list[Path]:
    """Write files, all or, if another file is in the way of one, none; returns them.

    A file that is there already is left alone, and DiskError says so; but what was written for the same ``run``, a
    folder, is replaced. So is a link left alone, wherever it leads.
    """
    drawn = {} if run is None else _drawn(run)
    for file, data in files.items():  # all are looked at before one is written
        if file.is_dir():
            raise DiskError(f"{file} is a folder; give the name of a file.")
        if os.path.lexists(file) and _found(file) not in (_digest(data), drawn.get(_place(file))):
            raise DiskError(f"{file} is there already, and is left as it is; give another name, or move it away.")
    if run is not None:
        _note(run, drawn | {_place(file): _digest(data) for file, data in files.items()})
    for file, data in files.items():
        (write_bytes if _place(file) in drawn else write_new)(file, data)
    return list(files)


def _place(file):
    """Where a file is, whatever leads to its folder; what a link leads to is another file."""
    return str(file.parent.resolve() / file.name)


def _found(file):
    """The SHA-256 of what is in a file; "" for a link, and for what is no file."""
    return _digest(file.read_bytes()) if file.is_file() and not file.is_symlink() else ""


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def _drawn(run):
    """What was written for a run: the place of each file, and the SHA-256 of what was in it."""
    return read_record(run / DRAWN).get("drawn", {})


def _note(run, drawn):
    with contextlib.suppress(OSError):  # a run that may not be written to: then nothing is ever replaced
        if not (run / DRAWN).exists() or read_record(run / DRAWN):
            write_text(run / DRAWN, json.dumps({"made by": MADE_BY, "files": [], "drawn": drawn}, indent=1) + "\n")
