"""The reader's own texts: a file, or a folder of them, becomes a Dataset of symbols."""

import os
import stat
from pathlib import Path
from typing import Literal

from helpers.data.dataset import DataError, Dataset
from helpers.data.files import FEWEST, find, left_out, shown

MOST_BYTES = 200_000_000  # of text: several times the works of any writer
SUFFIXES = {".txt", ".text", ".md"}


def texts(
    path: str | Path, by: Literal["auto", "lines", "running"] = "auto", length: int = 100, seed: int = 0,
    leave_out: str | Path | None = None,
) -> Dataset:
    """A UTF-8 text file as rows of symbols, with ``vocabulary`` fitted on the train split (``helpers.data.text``).

    A folder of text files (.txt) counts as one text, file after file: their lines are pooled, and running text is
    cut so that no piece belongs to two files. Subfolders are looked into, and are not labels.

    by: "lines", one item a line, such as names; "running", a text cut into pieces of ``length`` characters, which
        have no end of their own in the original; "auto" takes lines if no line is longer than 200 characters.
    Empty lines are left out, and equal items but the first; the data set's notes say how many.

    Raises DataError, in one sentence, for a file that cannot be read, is empty, binary, or in another encoding,
    for an endless line where items were expected, and for fewer than 10 different items. In a folder, files that
    cannot be read are left out.
    """
    from helpers.data import text

    if by not in ("auto", "lines", "running"):
        raise DataError(f"texts: by is {by!r}; say 'lines', 'running' or 'auto'.")
    if length < 2:
        raise DataError(f"texts: length is {length}; give at least 2 characters for a piece.")
    listing = None
    if os.path.isdir(path):
        listing, wholes = _read_texts(path, leave_out)
        name, source = listing.name, listing.source(len(wholes))
    else:
        name = source = shown(os.path.basename(path))
        wholes = {name: _read_text(Path(path))}
    lines = {place: [" ".join(line.split()) for line in whole.splitlines()] for place, whole in wholes.items()}
    longest, place = max((max(map(len, found)), place) for place, found in lines.items())
    total = sum(map(len, lines.values()))
    if by == "auto":
        by = "lines" if longest <= 200 and total >= FEWEST else "running"
    notes = []
    if by == "lines":
        if longest > 1000:
            number = 1 + [len(line) for line in lines[place]].index(longest)
            raise DataError(f"{place}: line {number} has {longest:,} characters, too many for one item; give "
                            "by='running' if it is running text.")
        items = [line for found in lines.values() for line in found if line]
        if len(items) < total:
            notes.append(f"{total - len(items):,} empty lines left out")
    else:
        items = [whole[i : i + length] for whole in wholes.values() for i in range(0, len(whole), length)]
        characters = sum(map(len, wholes.values()))
        notes.append(f"running text of {characters:,} characters, cut into pieces of {length}")
    different = len(set(items))
    if different < FEWEST:
        kind = "lines" if by == "lines" else "pieces"
        raise DataError(f"{name}: holds {different} different {kind}, and at least {FEWEST} are needed, to train, to "
                        f"choose and to test; add more text{left_out(listing)}.")
    data = text.make(name, items, seed=seed, source=source, notes=notes)
    return data.without(listing.skipped) if listing else data


def _read_texts(path, leave_out):
    """The text files in a folder, by where they lie; what cannot be read is skipped in the listing."""
    listing = find(path, "give a text file, or a folder of them", leave_out)
    found = {}
    for file in [file for file in listing.files if file.suffix in SUFFIXES]:
        try:
            found[file.place] = _read_text(Path(file.path))
        except DataError as error:
            name = shown(file.parts[-1])
            listing.skipped.append((file.place, str(error).removeprefix(f"{name}: ").rstrip(".")))
        if sum(map(len, found.values())) > MOST_BYTES:  # at least a byte each
            raise DataError(f"{shown(path)}: its texts have more than {MOST_BYTES / 1e6:.0f} MB together, the most "
                            "that is read into memory; take some of them out.")
    others = [file.place for file in listing.files if file.suffix not in SUFFIXES]
    listing.skipped += [(place, "is not a text file that is read here") for place in others]
    if not found:
        raise DataError(f"{shown(path)}: this folder cannot be read as texts: it holds no text file (.txt) that can be "
                        f"used; give a text file, or a folder of them{left_out(listing)}.")
    return listing, found


def _read_text(path) -> str:
    """The characters of a UTF-8 file; a mark at its beginning (BOM) is dropped."""
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
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{name}: begins like UTF-16, not UTF-8; save it as UTF-8.")
    if b"\0" in data:
        raise DataError(f"{name}: is not text: byte {data.index(0) + 1:,} is zero; give a text file in UTF-8.")
    try:
        whole = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{name}: is not UTF-8, as byte {data[error.start]:#04x} in line {line:,} shows (Latin-1, "
                        "perhaps); save it as UTF-8.") from None
    if not whole.strip():
        raise DataError(f"{name}: is empty; give a file with text in it.")
    return whole
