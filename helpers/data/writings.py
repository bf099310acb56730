"""The reader's own texts: a file, or a folder of them, becomes a Dataset of symbols."""

import os
import stat
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import psutil

from helpers.data import layouts
from helpers.data.dataset import DataError, Dataset
from helpers.data.encodings import decoded
from helpers.data.files import FEWEST, File, find, finished, labels_of, left_out, shown, split_of

MOST_BYTES = 200_000_000  # of text: several times the works of any writer
SUFFIXES = {".txt", ".text", ".md"}
LONGEST = 1000  # characters of an item
PIECE, LEAST_PIECES = 200, 50  # characters of a piece of running text; fewer where there would be fewer pieces
ROOM = 6  # bytes for each character, as all rows of symbols have the length of the longest ...
FREE = 64_000_000  # ... and bytes that never matter
DESCRIBE = {"readme", "license", "licence", "copying"}  # texts that tell of the others


class Part(NamedTuple):
    """A file that was read: its characters, its label and split if there are any."""

    whole: str
    label: str | None = None
    split: str | None = None


def texts(
    path: str | Path, by: Literal["auto", "lines", "running"] = "auto", length: int = 0, seed: int = 0,
    leave_out: str | Path | None = None, labels: bool | None = None,
) -> Dataset:
    """A text file as rows of symbols, with ``vocabulary`` fitted on the train split (``helpers.data.text``).

    A folder of text files (.txt) counts as one text, file after file: their lines are pooled, and running text is
    cut so that no piece belongs to two files. Files or subfolders named train, valid and test are splits. Subfolders
    are looked into, and are labels if ``labels`` is True.

    by: "lines", one item a line, such as names; "running", a text cut into pieces of ``length`` characters, which
        have no end of their own in the original; "auto" takes lines unless there is a sign of running text
        (``helpers.data.layouts``), and the notes say which.
    length: 0 is 200, or less for a short text. Of lines, spaces at both ends are left out; in running text all stays as
        it is. Empty lines are left out, and equal items but the first; lines of more than 1,000 characters, and those
        that are much longer than all others where there are many, too. The data set's notes say how many.

    What is not UTF-8 is read in the encoding that fits best, and a note says so. Raises DataError, in one sentence, for
    a file that cannot be read, is empty or binary, for endless lines where items were expected, for fewer than 10
    different items, and for more than fits into memory. In a folder, files that cannot be read are left out.
    """
    if by not in ("auto", "lines", "running"):
        raise DataError(f"texts: by is {by!r}; say 'lines', 'running' or 'auto'.")
    if length and length < 2:
        raise DataError(f"texts: length is {length}; give at least 2 characters for a piece.")
    listing, kept = None, []
    if os.path.isdir(path):
        listing, parts, kept, notes = _read_folder(path, leave_out, labels)
        name = listing.name
    else:
        name = shown(os.path.basename(path))
        whole, note = _read_text(Path(path))
        parts, notes = {name: Part(whole)}, [note] if note else []
    by, note = _layout(parts, by)
    notes += [note] if note else []
    items, place, more = _lines(parts, length) if by == "lines" else _pieces(parts, length)
    notes += more
    different = len(set(items))
    if different < FEWEST:
        raise DataError(f"{name}: holds {different} different {'lines' if by == 'lines' else 'pieces'}, and at least "
                        f"{FEWEST} are needed, to train, to choose and to test; add more text{left_out(listing)}.")
    return _made(name, items, place, parts, by, kept, listing, notes, seed)


def _made(name, items, place, parts, by, kept, listing, notes, seed):
    """The data set of items, each of which comes from the file number ``place``."""
    from helpers.data import text

    _check_room(name, items)
    options: dict = {"seed": seed, "notes": notes, "source": name, "ends": by == "lines", "small": True,
                     "longest": max(LONGEST, *map(len, items))}
    if listing is None:
        return text.make(name, items, **options)
    names, c = labels_of(listing, kept)
    options["source"] = listing.source(len(parts), len(names))
    if any(part.split for part in parts.values()):
        options["split"] = np.array([part.split for part in parts.values()])[place]
    if c is not None:
        options["names"] = tuple(map(shown, names))
    return finished(text.make(name, items, None if c is None else c[place], **options), listing)


def _layout(parts, by):
    """ "lines" or "running", and what to say of it."""
    lines = [line for part in parts.values() for line in part.whole.splitlines()]
    many = sum(1 for line in lines if line.strip())
    if by != "auto":
        return by, None
    why = layouts.running(lines)
    if why is None:
        return "lines", f"{many:,} lines taken as a list, one item a line: --text running if they are one running text"
    return "running", (f"{many:,} line{'s' * (many != 1)} taken as running text, since {why}: --text lines for one "
                       "item a line")


def _lines(parts, length):
    """The lines of all files, without spaces at their ends, for each the number of its file, and notes."""
    found = [[line.strip() for line in part.whole.splitlines()] for part in parts.values()]
    total = sum(map(len, found))
    items = [line for lines in found for line in lines if line]
    place = np.repeat(np.arange(len(found), dtype=np.int32), [sum(map(bool, lines)) for lines in found])
    notes = []
    if len(items) < total:
        notes.append(f"{total - len(items):,} empty lines left out")
    size = np.array([len(line) for line in items])
    long = int((size > LONGEST).sum())
    if long:
        k, number = next((k, n) for k, lines in enumerate(found) for n, line in enumerate(lines) if len(line) > LONGEST)
        if long > 0.05 * len(items):
            raise DataError(f"{list(parts)[k]}: line {number + 1} has {len(found[k][number]):,} characters, too many "
                            "for one item; give by='running' (--text running) if it is running text.")
    del found
    most = _bound(size[size <= LONGEST]) if items else LONGEST
    if gone := int((size > most).sum()):
        why = "and each row takes the room of the longest" if gone > long else "too many for one item"
        least = LONGEST if gone == long else most
        notes.append(f"{gone:,} of {len(items):,} lines left out: they have more than {least:,} characters, {why}")
        items, place = [line for line in items if len(line) <= most], place[size <= most]
    if length:
        notes.append(f"--size {length} not used: it is for pieces of running text, and these are lines")
    if table := layouts.table(items[:1000]):
        first, header = table
        if header:
            items, place = items[1:], place[1:]
        notes.append(f"looks like a table of {len(first)} columns ({', '.join(first[:4])}{', …' * (len(first) > 4)}), "
                     f"and each line is learnt whole{', the header left out' * header}: save the column that you mean "
                     "as a text of its own, if only that should be learnt")
    return items, place, notes


def _bound(size):
    """The number of characters above which lines are left out, so that memory grows with the characters.

    Files of a hundred lines or so are never concerned: rows of 64 MB in all are allowed.
    """
    room, sizes = max(FREE, ROOM * int(size.sum())), np.unique(size)
    fits = [s for s in sizes if 2 * (s + 1) * (size <= s).sum() <= room]
    return int(max(fits, default=sizes[0]))


def _pieces(parts, length):
    """Running text cut into pieces, for each the number of its file, and notes."""
    characters = sum(len(part.whole) for part in parts.values())
    length = length or max(20, min(PIECE, characters // LEAST_PIECES))
    items: list[str] = []
    each = []
    for part in parts.values():
        cut = [part.whole[i : i + length] for i in range(0, len(part.whole), length)]
        items += cut
        each.append(len(cut))
    place = np.repeat(np.arange(len(parts), dtype=np.int32), each)
    return items, place, [f"running text of {characters:,} characters, cut into pieces of {length} (--size)"]


def _check_room(name, items):
    """Raise DataError if the rows, and the copies of them that training makes, would not fit into memory."""
    longest = max(map(len, items))
    needed, free = 3 * 2 * len(items) * (longest + 1), psutil.virtual_memory().available
    if needed > free:
        raise DataError(f"{name}: {len(items):,} texts of up to {longest:,} characters need {needed / 1e9:.3g} GB of "
                        f"memory, and {free / 1e9:.3g} GB are free; take some of them out.")


def _read_folder(path, leave_out, labels):
    """The texts of a folder: the listing, parts by where they lie, their files, and notes."""
    listing = find(path, "give a text file, or a folder of them", leave_out)
    files = listing.take(SUFFIXES, "a text", bool(labels))
    if sum(not _describes(file) for file in files):
        listing.skipped += [(file.place, "tells of the other files, by its name") for file in files if _describes(file)]
        files = [file for file in files if not _describes(file)]
    splits = {split_of(file.parts[-1]) for file in files}
    if not any(file.split for file in files) and None not in splits and "train" in splits and len(splits) > 1:
        files = [file._replace(split=split_of(file.parts[-1])) for file in files]
        listing.notes.append(f"split as its files are: {', '.join(file.place for file in files)}")
    parts: dict[str, Part] = {}
    kept, notes, characters = [], [], 0
    for file in files:
        try:
            whole, note = _read_text(Path(file.path))
        except DataError as error:
            name = shown(file.parts[-1])
            listing.skipped.append((file.place, str(error).removeprefix(f"{name}: ").rstrip(".")))
            continue
        parts[file.place] = Part(whole, file.label, file.split)
        kept.append(file)
        notes += [note] if note else []
        characters += len(whole)
        if characters > MOST_BYTES:  # at least a byte each
            raise DataError(f"{shown(path)}: its texts have more than {MOST_BYTES / 1e6:.0f} MB together, the most "
                            "that is read into memory; take some of them out.")
    if not parts:
        raise DataError(f"{shown(path)}: this folder cannot be read as texts: it holds no text file (.txt) that can be "
                        f"used; give a text file, or a folder of them{left_out(listing)}.")
    few = notes if len(notes) <= 3 else [*notes[:3], f"{len(notes) - 3:,} more files are not UTF-8"]
    return listing, parts, kept, few


def whole(path: str | Path) -> str:
    """All characters of a text file. Raises DataError for what cannot be read, is empty or binary."""
    return _read_text(Path(path))[0]


def _describes(file: File) -> bool:
    return file.stem in DESCRIBE


def _read_text(path: Path) -> tuple[str, str | None]:
    """The characters of a file, and a note if it is not UTF-8."""
    name = shown(path.name)
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):  # a pipe would never end
            raise DataError(f"{name}: cannot be read, as it is not a regular file; give a text file in UTF-8.")
        size = state.st_size
        if size > MOST_BYTES:
            raise DataError(f"{name}: has {size / 1e6:,.0f} MB, and at most {MOST_BYTES / 1e6:.0f} are read into "
                            "memory; cut out a part of it.")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror}); check its name and its permissions.") from None
    whole, note = decoded(name, data)
    if not whole.strip():
        raise DataError(f"{name}: is empty; give a file with text in it.")
    return whole, note
