"""What lies in a folder of the reader's: every file that can be opened, and the reason why anything else cannot.

Nothing outside of the folder is read: links to files inside are followed, links that lead out of it are not. A
folder is read once, under its own name, so that links can make no loop. Only regular files are opened, so that
nothing waits for a pipe. A subfolder that holds a run of ours is no data, whatever pictures lie in it.
"""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import disk
from helpers.data.dataset import DataError

FEWEST = 10  # different images or texts: some to train, some to choose and some to test
# What systems put into folders unasked, beside the names that begin with a dot.
HIDDEN = {"thumbs.db", "desktop.ini", "__macosx"}


class File(NamedTuple):
    """A file that can be opened: its path, and the names of the folders down to it and of itself."""

    path: str
    parts: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it lies in the folder, fit to be printed."""
        return shown("/".join(self.parts))

    @property
    def label(self) -> str | None:
        """The subfolder that it lies in, however deep; None if it lies in none."""
        return self.parts[0] if len(self.parts) > 1 else None

    @property
    def suffix(self) -> str:
        """The end of its name, such as ".png", in small letters."""
        return os.path.splitext(self.parts[-1])[1].lower()


@dataclass
class Listing:
    """What was found: files in the order of their names, and for all that is left out, where it lies and why."""

    root: str
    files: list[File] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (place, reason)
    labels: list[str] = field(default_factory=list)  # the subfolders of the folder itself
    hidden: int = 0

    @property
    def name(self) -> str:
        """The folder's own name, fit to be printed."""
        return shown(os.path.basename(self.root) or self.root)

    def take(self, suffixes: Collection[str], what: str) -> list[File]:
        """The files whose names end in one of ``suffixes``; the others are skipped, as not ``what`` ("an image").

        As soon as one of them lies in a subfolder, subfolders are labels, and those that lie in none have none.
        """
        fits = [file for file in self.files if file.suffix in suffixes]
        labelled = any(file.label is not None for file in fits)
        for file in self.files:
            if file.suffix not in suffixes:
                self.skipped.append((file.place, f"is not {what} file that is read here"))
            elif labelled and file.label is None:
                self.skipped.append((file.place, "lies beside the subfolders and so has no label; move it into one"))
        return [file for file in fits if not labelled or file.label is not None]

    def empty_labels(self, used: Collection[str]) -> None:
        """Skip the subfolders that hold nothing among ``used``, the labels of what could be used."""
        gone = [shown(label) + "/" for label in sorted(set(self.labels) - set(used))] if used else []
        said = {place for place, _ in self.skipped}
        self.skipped += [(p, "holds nothing that can be used, and is not a label") for p in gone if p not in said]

    def source(self, used: int, labels: int = 0) -> str:
        """How many files are used, of how many."""
        total = used + len({place for place, _ in self.skipped if not place.endswith("/")})
        inside = f" in {labels} subfolder{'s' * (labels != 1)}" if labels else ""
        ignored = f", {self.hidden:,} hidden ignored" if self.hidden else ""
        return f"{used:,} of {total:,} files{inside}{ignored}"


def shown(name: str | bytes | os.PathLike) -> str:
    """A file's name fit to be printed: what is not UTF-8, or moves the cursor, is written as an escape."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def find(path: str | Path, advice: str, leave_out: str | Path | None = None) -> Listing:
    """All files in the folder ``path`` and its subfolders. Raises DataError, ending in ``advice``, for no folder.

    A subfolder that holds a run of ours is skipped; the folder ``leave_out`` is passed over without a word.
    """
    if not os.path.isdir(path):
        what = "is a file, and a folder is needed" if os.path.exists(path) else "there is no such folder"
        raise DataError(f"{shown(path)}: {what}; {advice}.")
    listing = Listing(os.path.realpath(path))
    unwanted = None if leave_out is None else os.path.realpath(leave_out)
    to_do: list[tuple[str, ...]] = [()]
    while to_do:
        parts = to_do.pop()
        try:
            with os.scandir(os.path.join(listing.root, *parts)) as entries:
                found = list(entries)
        except OSError as error:
            if not parts:
                raise DataError(f"{shown(path)}: cannot be opened ({error.strerror}); check its permissions.") from None
            listing.skipped.append((shown("/".join(parts)) + "/", f"cannot be opened ({error.strerror})"))
            continue
        for entry in found:
            here = (*parts, entry.name)
            place = shown("/".join(here))
            if entry.name.startswith(".") or entry.name.lower() in HIDDEN:
                listing.hidden += 1
            elif entry.is_dir(follow_symlinks=False) and not _is_link(entry):
                if entry.path == unwanted:
                    continue
                if _is_run(entry.path):
                    listing.skipped.append((place + "/", "holds a run of this program, and is not read"))
                else:
                    to_do.append(here)
            elif reason := _reason_against(entry, listing.root):
                listing.skipped.append((place, reason))
            else:
                listing.files.append(File(entry.path, here))
        if not parts:
            listing.labels = [parts[0] for parts in to_do]
    listing.files.sort(key=lambda file: file.parts)
    listing.skipped.sort()
    return listing


def _is_run(folder):
    record = Path(folder, "run.json")
    return record.is_file() and bool(disk.read_record(record))  # a pipe of that name would never end


def _is_link(entry):
    junction = getattr(os.path, "isjunction", None)  # Windows has a second kind of link; Python knows it since 3.12
    return entry.is_symlink() or bool(junction and junction(entry.path))


def _reason_against(entry, root):
    """Why what a folder holds is not opened; None if it is a regular file in the folder, or a link to one."""
    try:
        mode = os.stat(entry.path).st_mode
    except OSError as error:
        return "is a link that leads nowhere" if entry.is_symlink() else f"cannot be read ({error.strerror})"
    if _is_link(entry) and not os.path.realpath(entry.path).startswith(os.path.join(root, "")):
        inside = root.startswith(os.path.join(os.path.realpath(entry.path), ""))
        if inside or os.path.realpath(entry.path) == root:
            return "is a link to a folder that holds this one, and is not followed"
        return "is a link that leads outside of the folder; copy what it leads to"
    if stat.S_ISDIR(mode):
        return "is a link to another folder in here, whose files are read under their own names"
    if not stat.S_ISREG(mode):
        return "is a pipe, a socket or a device, which are not opened"
    if not os.access(entry.path, os.R_OK):
        return "cannot be read (Permission denied)"
    return None


def labels_of(listing, kept):
    """The subfolders that the files kept lie in, and for each file the number of its own: (N,); or () and None."""
    labels = sorted({file.label for file in kept if file.label is not None})
    listing.empty_labels(labels)
    number = {label: k for k, label in enumerate(labels)}
    return labels, np.array([number[file.label] for file in kept]) if labels else None


def finished(data, listing):
    """The data set, with what was left out, and which labels have too few examples."""
    notes = list(data.notes)
    if len(data.names) == 1 and any(len(file.parts) > 2 for file in listing.files):
        notes.append(f"all lie in the subfolder {data.names[0]}: give that one, if its own subfolders are the labels")
    if data.names:
        present = {split: set(data.c[rows].tolist()) for split, rows in data.rows.items()}
        for split in ("train", "valid", "test"):
            missing = [name for k, name in enumerate(data.names) if k not in present[split]]
            if missing:
                notes.append(f"{split} has no example of {some(missing)}")
    return replace(data, notes=tuple(notes)).without(listing.skipped)


def some(names, most=5):
    """A few names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def left_out(listing: Listing | None) -> str:
    """What was left out, at the end of a message of too little data."""
    if listing is None or not listing.skipped:
        return ""
    (file, reason), count = listing.skipped[0], len(listing.skipped)
    return f" (left out: {file}: {reason})" if count == 1 else f" (left out: {count:,}, as {file}: {reason})"
