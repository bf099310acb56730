"""What lies in a folder of the reader's: every file that can be opened, and the reason why anything else cannot.

Nothing outside of the folder is read: links to files inside are followed, links that lead out of it are not. A
folder is read once, under its own name, so that links can make no loop. Only regular files are opened, so that
nothing waits for a pipe. A subfolder that holds a run of ours is no data, whatever pictures lie in it.

What is not said is decided by most of the files: whether subfolders are labels, and whether they are splits that
somebody has made (train, valid, test). A note tells each such choice, and which option would change it.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import disk
from helpers.data import formats
from helpers.data.dataset import DataError, Dataset

FEWEST = 10  # different images or texts: some to train, some to choose and some to test
# What systems, storage boxes and programs put into folders unasked, beside the names that begin with a dot.
HIDDEN = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini", "zbthumbnail.info", "__macosx", "@eadir",
          "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "$recycle.bin", "recycler", "found.000",
          "system volume information", "lost+found", "network trash folder", "temporary items", "__pycache__"}
# Texts that tell of the other files, and so are not what the folder is about.
ASIDE = {"readme", "license", "licence", "copying", "changes", "changelog", "authors", "citation", "notice", "credits",
         "attribution", "contributing", "makefile", "classes", "labels", "metadata", "annotations", "captions",
         "index", "list", "filelist", "description", "info", "about", "todo", "notes", "train", "valid", "val", "test",
         "requirements", "obj", "names"}
SPLITS = {"train": "train", "training": "train", "trainset": "train", "trainingset": "train", "val": "valid",
          "valid": "valid", "validation": "valid", "dev": "valid", "devel": "valid", "valset": "valid",
          "devset": "valid", "test": "test", "testing": "test", "testset": "test"}
FEW = 3  # files of one ending that is not read are named; more are counted


class File(NamedTuple):
    """A file that can be opened: its path, and the names of the folders down to it and of itself."""

    path: str
    parts: tuple[str, ...]
    suffix: str = ""  # the end of its name, such as ".png", or of the name that its content calls for
    label: str | None = None  # what Listing.take found: the subfolder that it lies in, however deep
    split: str | None = None  # and the split that somebody has put it into

    @property
    def place(self) -> str:
        """Where it lies in the folder, fit to be printed."""
        return shown("/".join(self.parts))

    @property
    def stem(self) -> str:
        """Its name without the ending, in small letters."""
        return os.path.splitext(self.parts[-1])[0].lower()


class Items(NamedTuple):
    """Examples for a model that is there already: x (N, …), what to call each, the subfolder that each lies in, or
    None, and (place, reason) for all that could not be used."""

    x: np.ndarray
    names: list[str]
    folders: list[str | None]
    skipped: list[tuple[str, str]]


@dataclass
class Listing:
    """What was found: files in the order of their names, and for all that is left out, where it lies and why."""

    root: str
    files: list[File] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (place, reason)
    labels: list[str] = field(default_factory=list)  # the subfolders of the folder itself
    hidden: int = 0
    passed: list[tuple[str, str]] = field(default_factory=list)  # (place, reason): left out too, one note for many
    notes: list[str] = field(default_factory=list)  # what was chosen for the reader

    @property
    def name(self) -> str:
        """The folder's own name, fit to be printed."""
        return shown(os.path.basename(self.root) or self.root)

    def take(self, suffixes: Collection[str], what: str, labels: bool | None = None) -> list[File]:
        """The files that end in one of ``suffixes``, with label and split; others are skipped, as not ``what``.

        what: one of them, such as "an image". labels: True takes subfolders as labels, and leaves out what lies beside
        them; False takes all files without labels; None does what fits most of the files.

        Subfolders named train, valid and test (train and another one at least, and no others) are splits, and the
        labels are their subfolders; or each label has such subfolders. Raises DataError for labels=True without
        subfolders.
        """
        name = what.split()[-1]
        fits = [file for file in self.files if file.suffix in suffixes]
        self._pass_over([file for file in self.files if file.suffix not in suffixes], fits, what)
        found, top, way = _split(fits)
        if way:
            self.labels = []
            self._leave(found, fits, f"lies beside the folders of the splits ({way}); move it into one", name)
        inside = [file for file in found if len(file.parts) > top]
        if labels and not inside:
            raise DataError(f"{shown(self.root)}: has no subfolders with {name}s to take as labels; leave --labels "
                            "out, or move the files into one subfolder for each label.")
        inside = [file._replace(label=file.label or file.parts[top - 1]) for file in inside]
        if labels is None:  # one folder in each split, such as train/images, tells nothing apart
            alone = bool(way) and len({file.label for file in inside}) == 1
            labels, free = len(inside) >= max(1, len(found) - len(inside)) and not alone, not alone
        else:
            free = False
        if labels:
            self._leave(inside, found, "lies beside the subfolders and so has no label; move it into one", name,
                        ": --labels no takes all without labels")
            found = inside
        elif free:
            beside = [file for file in found if len(file.parts) <= top]
            self._leave(beside, found, "lies in a subfolder, and most lie in none", name,
                        ": --labels yes takes subfolders as labels, --labels no takes all without labels")
            found = beside
        elif inside:
            found = [file._replace(label=None) for file in found]
            self.notes.append(f"{len(inside):,} of {len(found):,} {name}s lie in subfolders, which are not taken as "
                              "labels")
        if way:
            counts = Counter(file.split for file in found)
            parts = ", ".join(f"{split} {counts[split]:,}" for split in ("train", "valid", "test") if counts[split])
            missing = [split for split in ("valid", "test") if not counts[split]]
            more = f"; {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} taken from train" * bool(missing)
            self.notes.append(f"split as its folders are ({way}): {parts}{more}")
        return found

    def _leave(self, kept, of, reason, name, option=""):
        """Pass over the files ``of`` which are not among ``kept``, with one note of how many they are."""
        here = {file.parts for file in kept}
        gone = [file for file in of if file.parts not in here]
        self.passed += [(file.place, reason) for file in gone]
        if gone:
            count = f"{len(kept):,} {name}s are used, {len(gone):,} left out"
            self.notes.append(f"{count}, as {gone[0].place} {reason}{option}")

    def _pass_over(self, others, fits, what):
        """Skip files that are not read: each is named, or they are counted where many have the same ending."""
        stems, reason = {file.stem for file in fits}, f"is not {what} file that is read here"
        aside = [file.parts for file in others if is_aside(file, stems)]
        kinds = {file.parts: file.suffix for file in others} | dict.fromkeys(aside, "aside")
        counts = Counter(kinds.values())
        for file in others:
            if counts[kinds[file.parts]] > FEW:
                self.passed.append((file.place, reason))
            else:
                known = formats.advice([file.suffix]).partition(": ")[2]
                self.skipped.append((file.place, reason + (f" ({known})" if known else "")))
        many = {suffix: count for suffix, count in sorted(counts.items()) if count > FEW}
        if "aside" in many:
            self.notes.append(f"{many.pop('aside'):,} texts beside them (captions, README and the like) are not read")
        self.notes += [f"not read here: {formats.advice([suffix] * count)}" for suffix, count in many.items()]

    def empty_labels(self, used: Collection[str]) -> None:
        """Skip the subfolders that hold nothing among ``used``, the labels of what could be used."""
        gone = [shown(label) + "/" for label in sorted(set(self.labels) - set(used))] if used else []
        said = {place for place, _ in self.skipped}
        self.skipped += [(p, "holds nothing that can be used, and is not a label") for p in gone if p not in said]

    def source(self, used: int, labels: int = 0) -> str:
        """How many files are used, of how many."""
        total = used + len({place for place, _ in self.skipped + self.passed if not place.endswith("/")})
        inside = f" in {labels} subfolder{'s' * (labels != 1)}" if labels else ""
        ignored = f", {self.hidden:,} hidden ignored" if self.hidden else ""
        return f"{used:,} of {total:,} files{inside}{ignored}"


def shown(name: str | bytes | os.PathLike) -> str:
    """A file's name fit to be printed: what is not UTF-8, or moves the cursor, is written as an escape."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def split_of(name: str) -> str | None:
    """The split that a file or folder is named after, "train", "valid" or "test", as "Val" or "test_set.txt"; or None.

    A file's name is given with its ending.
    """
    words = [word for word in re.split(r"[^a-z]+", os.path.splitext(name)[0].lower()) if word]
    words = [word for word in words if word not in ("set", "data", "split", "images", "imgs", "audio", "texts")]
    return SPLITS.get(words[0]) if len(words) == 1 else None


def _split(fits):
    """Files with the split and the label that folders give them, where labels begin, and the folders' names.

    (files, top, way): ``parts[top - 1]`` is a label where there are more than ``top`` parts; way is "" and top 1 where
    there are no splits.
    """
    top = 1
    while True:
        folders = {file.parts[top - 1] for file in fits if len(file.parts) > top}
        if _are_splits(folders):
            found = [file._replace(split=split_of(file.parts[top - 1])) for file in fits if len(file.parts) > top]
            break
        below = {file.parts[top] for file in fits if len(file.parts) > top + 1}
        if len(folders) > 1 and _are_splits(below):
            found = [file._replace(label=file.parts[top - 1], split=split_of(file.parts[top]))
                     for file in fits if len(file.parts) > top + 1]
            break
        if len(folders) != 1:
            return fits, 1, ""
        top += 1
    if 2 * len(found) <= len(fits):
        return fits, 1, ""
    way = ", ".join(sorted(map(shown, folders if found[0].label is None else below)))
    return found, top + 1, way


def _are_splits(names):
    splits = {split_of(name) for name in names}
    return None not in splits and "train" in splits and len(splits) > 1


def is_aside(file: File, stems: Collection[str]) -> bool:
    """Whether a text goes with other files: named as one of them (``stems``), or README, LICENSE and the like."""
    if file.suffix not in formats.TEXTS:
        return False
    words = re.split(r"[^a-z]+", file.stem)
    named = file.stem in stems or os.path.splitext(file.stem)[0] in stems
    return named or words[0] in ASIDE or "".join(words) in ASIDE


def find(path: str | Path, advice: str, leave_out: str | Path | None = None) -> Listing:
    """All files in the folder ``path`` and its subfolders. Raises DataError, ending in ``advice``, for no folder.

    A subfolder that holds a run of ours is skipped; the folder ``leave_out`` is passed over without a word.
    """
    if not os.path.isdir(path):
        if os.path.isfile(path):
            refuse_unread(path)
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
            if entry.name.startswith((".", "~$")) or entry.name.lower() in HIDDEN:
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
                listing.files.append(File(entry.path, here, formats.ending(entry.path)))
        if not parts:
            listing.labels = [parts[0] for parts in to_do]
    listing.files.sort(key=lambda file: file.parts)
    listing.skipped.sort()
    return listing


def single(path: str | Path) -> Listing:
    """One file, as if it were a folder that holds it alone."""
    root = os.path.realpath(path)
    return Listing(root, [File(root, (os.path.basename(root),), formats.ending(path))])


def judged(path: str | Path, suffixes: Collection[str], what: str) -> tuple[list[File], list[tuple[str, str]]]:
    """The files of a folder, or the one file, that are ``what``, such as "an image"; and (place, reason) for others.

    ``label`` of each is the subfolder that it lies in. Raises DataError for nothing that could be read.
    """
    listing = single(path) if os.path.isfile(path) else find(path, f"give {what}, or a folder of them")
    fits = [file._replace(label=file.parts[-2] if len(file.parts) > 1 else None) for file in listing.files
            if file.suffix in suffixes]
    others = [(file.place, f"is not {what} file that is read here") for file in listing.files
              if file.suffix not in suffixes]
    if not fits:
        raise DataError(f"{shown(path)}: none of its {len(listing.files):,} files is {what}, as those of this run are; "
                        f"give {what}, or a folder of them.")
    return fits, listing.skipped + others


def refuse_unread(path: str | Path) -> None:
    """Raises DataError for a file that is an archive, a film, or the like: what it is, and what to do."""
    suffix = formats.ending(path)
    known = formats.CONVERT.get(formats.content(path)) or formats.CONVERT.get(suffix)
    if known and suffix not in formats.IMAGES:
        raise DataError(f"{shown(path)}: is of a kind that is not read here, {known.what}; {known.do}.")


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


def labels_of(listing: Listing, kept: Sequence[File]) -> tuple[list[str], np.ndarray | None]:
    """The subfolders that the files kept lie in, and for each file the number of its own: (N,); or () and None."""
    labels = sorted({file.label for file in kept if file.label is not None})
    listing.empty_labels(labels)
    number: dict[str | None, int] = {label: k for k, label in enumerate(labels)}
    return labels, np.array([number[file.label] for file in kept]) if labels else None


def splits_of(kept: Sequence[File]) -> np.ndarray | None:
    """The split that each file was put into by somebody, (N,) of "train", "valid" and "test"; None if there is none."""
    return np.array([file.split for file in kept]) if kept and kept[0].split is not None else None


def finished(data: Dataset, listing: Listing) -> Dataset:
    """The data set, with what was chosen and left out, and which labels have too few examples."""
    notes = [*listing.notes, *data.notes]
    if len(data.names) == 1 and listing.labels and any(len(file.parts) > 2 for file in listing.files):
        notes.append(f"all lie in the subfolder {data.names[0]}: give that one, if its own subfolders are the labels")
    if data.names and data.c is not None:
        c = data.c
        present = {split: set(c[rows].tolist()) for split, rows in data.rows.items()}
        for split in ("train", "valid", "test"):
            missing = [name for k, name in enumerate(data.names) if k not in present[split]]
            if missing:
                notes.append(f"{split} has no example of {some(missing)}")
    return replace(data, notes=tuple(notes), skipped=tuple(listing.passed)).without(listing.skipped)


def some(names: Sequence[str], most: int = 5) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def left_out(listing: Listing | None) -> str:
    """What was left out, at the end of a message of too little data."""
    gone = [] if listing is None else listing.skipped + listing.passed
    if not gone:
        return ""
    (file, reason), count = gone[0], len(gone)
    return f" (left out: {file}: {reason})" if count == 1 else f" (left out: {count:,}, as {file}: {reason})"
