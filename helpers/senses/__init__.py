"""What is peculiar to one kind of data: image, sound and text, each a module with the same names.

    SUFFIXES, SIZE, read, holds_enough        which files, and how they become a Dataset
    MODEL                                     the family that is built if nothing is said
    CHOICES, plan, networks                   of a VAE: what it can be told, what the data decide, its networks
    start, recipe                             where learning starts, and arguments for training
    UNIT, dimensions, baselines               what a score is measured in, and what it stands beside
    distances, same, EXACT_COUNTS             when a sample is a copy
    SAMPLING, present, files, SHEET, PRINTED  how samples are drawn, shown and written
    draw, HEIGHT, COLUMNS                     how examples are drawn in a figure
    html                                      how examples stand on a page
    limits                                    what whoever uses a model should know

Where there is need, ``finish`` says what is done with a trained model, and ``coarse`` makes examples so coarse that a
blurred copy is one. With ``items``, files as a finished run takes them, and ``gap``, one of which a part is missing, a
run can be put to work on other files (``runs.work``).

Nothing outside of this folder asks what kind the data are: it asks for the sense, and the sense for the rest. A fourth
sense is one more module, and one more name in ``SENSES``.
"""

import inspect
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.data import files, formats
from helpers.data.dataset import DataError, Dataset
from helpers.data.files import shown
from helpers.senses import image, sound, text

if TYPE_CHECKING:  # slow to import
    from matplotlib.figure import Figure

SENSES: dict[str, ModuleType] = {"image": image, "sound": sound, "text": text}


def sense(kind: str) -> ModuleType:
    """The module for a kind of data; data of no kind are taken as images. Raises DataError for an unknown one."""
    if (kind or "image") not in SENSES:
        raise DataError(f"its kind is {kind!r}, and there are {', '.join(SENSES)}; give kind=… to Dataset.make.")
    return SENSES[kind or "image"]


def read(path: str | Path, kind: str = "auto", size: float | None = None, seed: int = 0,
         leave_out: str | Path | None = None, **options: Any) -> Dataset:
    """The reader's own data: a folder of images, sounds or texts; or one file of text, a stack, a long recording.

    kind: a name in ``SENSES``; "auto" takes what most files in the folder are by their names, and a file for text. The
        other files are left out, and the notes say so.
    size: pixels of a side (images, 28), seconds (sounds, 1), or characters of a piece (running text, 200).
    leave_out: a folder inside that is not looked at. options: those of ``folders.images``, ``sounds`` or ``texts``.

    ``data.origin`` says how it was read. Raises DataError for nothing that can be used, and for an option that this
    kind does not have.
    """
    if kind not in ("auto", *SENSES):
        raise DataError(f"kind is {kind!r}; say {', '.join(map(repr, SENSES))} or 'auto'.")
    note, found = guess(path, leave_out) if kind == "auto" else (None, kind)
    own = sense(found)
    parameters = inspect.signature(own.read).parameters
    given = dict(options)
    if size is not None:
        default = parameters[own.SIZE].default
        given[own.SIZE] = type(default)(size)
    for option in given:
        if option not in list(parameters)[1:]:
            known = ", ".join(name for name in list(parameters)[1:] if name != "leave_out")
            raise DataError(f"{shown(path)}: {option} is not an option for data of kind {found}; it has {known}.")
    if "leave_out" in parameters:
        given["leave_out"] = leave_out
    data = own.read(path, seed=seed, **given)
    origin = {"path": os.path.abspath(path), "kind": kind, "size": size, "seed": seed, "options": options}
    return replace(data, notes=(note, *data.notes) if note else data.notes, origin=origin)


def guess(path: str | Path, leave_out: str | Path | None = None) -> tuple[str | None, str]:
    """What most files of a folder are, by their names, after a note if there are others: (note, kind)."""
    if not os.path.exists(path):
        raise DataError(f"{shown(path)}: there is no such file or folder; check its name.")
    if not os.path.isdir(path):
        files.refuse_unread(path)
        suffix = formats.ending(path)
        for kind, own in SENSES.items():
            if suffix in own.SUFFIXES:
                if own.holds_enough(path):  # a text, a stack of images, a long recording
                    return None, kind
                raise DataError(f"{shown(path)}: is a single {kind}; give the folder of all of them.")
        if formats.is_table_of_numbers(path):
            raise DataError(f"{shown(path)}: is a table of numbers, such as the pixels of images; save each row as an "
                            "image file (PNG) and give the folder, or give the numbers to Dataset.make.")
        return None, "text"  # whatever it is called
    listing = files.find(path, "check its name", leave_out)
    kind_of = {suffix: kind for kind, own in SENSES.items() for suffix in own.SUFFIXES}
    seen = Counter(kind_of[file.suffix] for file in listing.files if file.suffix in kind_of)
    if not seen:
        what = formats.advice(file.suffix for file in listing.files)
        raise DataError(f"{shown(path)}: none of its {len(listing.files):,} files is an image (such as .png), a sound "
                        f"(such as .wav) or a text (.txt){f'; it holds {what}' * bool(what)}; give a folder of one of "
                        f"these{files.left_out(listing)}.")
    # Captions, README and the like are no votes for texts; where that makes it even, they are.
    stems = {file.stem for file in listing.files if file.suffix in kind_of and file.suffix not in formats.TEXTS}
    votes = Counter(kind_of[file.suffix] for file in listing.files
                    if file.suffix in kind_of and not (stems and files.is_aside(file, stems)))
    found = max(SENSES, key=lambda kind: (votes[kind], seen[kind]))
    others = [f"{seen[k]:,} {k} file{'s' * (seen[k] != 1)}" for k in SENSES if k != found and seen[k]]
    note = f"taken as {found}s, like {seen[found]:,} of its files; also seen: {', '.join(others)}" if others else None
    return note, found


def examples(x: Sequence | np.ndarray, kind: str, labels: Sequence[str] | None = None,
             columns: int | None = None) -> "Figure":
    """A figure of examples of any kind: images (N, H, W) or (N, 3, H, W), spectrograms (N, F, T), or texts.

    ``labels`` (N,), names, stand above the examples, or before texts; one that no font can write is "label 3", if it
    is the third that comes.
    """
    import matplotlib.pyplot as plt

    from helpers import plotting

    own = sense(kind)
    names = () if labels is None else tuple(dict.fromkeys(labels))
    written = dict(zip(names, plotting.writable(names)))
    family = plotting.families([*written.values(), *(x if own.PRINTED else ())])
    columns = min(columns or own.COLUMNS, own.COLUMNS, len(x)) if own.PRINTED else min(columns or own.COLUMNS, len(x))
    rows = -(-len(x) // columns)
    height = own.HEIGHT + (0.2 if labels is not None and not own.PRINTED else 0)
    with plt.rc_context({"font.family": family}):
        fig, axes = plt.subplots(rows, columns, figsize=(10, height * rows + 0.1), squeeze=False)
        for i, ax in enumerate(np.ravel(axes)):
            ax.set_axis_off()
            if i < len(x):
                own.draw(ax, x[i], None if labels is None else written[labels[i]])
    return fig
