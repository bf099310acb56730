"""The reader's own data: a folder of images or sounds, or texts, becomes the same Dataset as ours.

``helpers.senses.read`` works out what it is. What could not be used is left out, and the data set's notes say which
file and why (``data.skipped`` has the same for programs). ``helpers.data.files`` says what is looked at in a folder.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from helpers.data import files, pictures
from helpers.data.dataset import DataError, Dataset
from helpers.data.files import shown

MOST_BYTES = 200_000_000  # of text: several times the works of any writer
FEWEST = 10  # different images or texts: some to train, some to choose and some to test
IMAGES = pictures.SUFFIXES
SOUNDS = {".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff"}
TEXTS = {".txt", ".text", ".md"}


def images(
    path: str | Path, size: int = 28, grey: bool | None = None, seed: int = 0, square: pictures.Square = "pad",
    leave_out: str | Path | None = None,
) -> Dataset:
    """A folder of images of any size; its subfolders, if it has any, are the labels.

    x: (N, size, size), grey, or (N, 3, size, size) in colour; bytes from 0 (black) to 255, which become numbers from
    0 to 1 when a batch is made. c: the number of the subfolder, (N,), however deep the image lies in it; without
    subfolders None.

    grey: True makes all images grey, False keeps three channels; None takes colour if any image is in colour.
    square: "pad" fits the whole image into the square and fills the rest with the colour of its border; "crop"
        takes the largest square in the middle.
    leave_out: a folder inside that is not looked at.

    Images with transparency lie on white. Of several frames the first is taken. Equal images are removed.

    Raises DataError when there is no such folder, for fewer than 10 different images that can be used, and for more
    than fit into memory.
    """
    if not (isinstance(size, int) and 1 <= size <= 4096):
        raise DataError(f"images: size is {size!r}; give the pixels of a side, a whole number from 1 to 4096.")
    if square not in ("pad", "crop"):
        raise DataError(f"images: square is {square!r}; say 'pad' or 'crop'.")
    listing = files.find(path, "give one with images, in one subfolder for each label if they have labels", leave_out)
    candidates = listing.take(IMAGES, "an image")
    found = pictures.stack(candidates, size, grey, square)
    listing.skipped += [(candidates[number].place, reason) for number, reason in found.skipped]
    if found.different < FEWEST:
        raise DataError(f"{shown(path)}: holds {found.different} different images that can be used, and at least "
                        f"{FEWEST} are needed, to train, to choose and to test; add more{left_out(listing)}.")
    kept = [candidates[number] for number in found.kept]
    labels, c = _labels(listing, kept)
    notes = []
    if found.several:
        places = [candidates[number].place for number in found.several]
        notes.append(f"several frames in {_some(places)}: the first was taken")
    data = Dataset.make(
        f"images of {listing.name}",
        found.x,
        c,
        names=tuple(map(shown, labels)),
        low=0,
        high=1,
        seed=seed,
        source=listing.source(len(kept), len(labels)),
        notes=notes,
        kind="image",
    )
    return _finished(data, listing)


def sounds(
    path: str | Path, seconds: float = 1.0, seed: int = 0, group: Callable[[str], str] | None = None,
    leave_out: str | Path | None = None,
) -> Dataset:
    """A folder with one subfolder for each label (a pitch, a word) and sound files in them; or sounds alone.

    Files of the same name in different subfolders, such as ``A4/violin.wav`` and ``C5/violin.wav``, belong to
    one group (the violin), and whole groups are held out; deeper folders are part of that name. Without subfolders
    there is no label, and every name is a group of its own. ``group`` may say otherwise: it is given that name,
    without its ending, and returns the name of its group, such as the speaker. Each sound becomes a log-magnitude
    spectrogram, as the notes of the lesson on audio: (513, 1 + 50 · seconds), mono at 16 kHz, cut or filled up with
    silence to ``seconds``.

    Raises DataError when there is no such folder, and for fewer than three groups of sounds.
    """
    from helpers import sound

    if not 0 < seconds <= sound.MAX_SECONDS:
        raise DataError(f"sounds: seconds is {seconds!r}; give a time above 0, and at most {sound.MAX_SECONDS:g}.")
    listing = files.find(path, "give one with a subfolder of sounds for each label", leave_out)
    candidates = listing.take(SOUNDS, "a sound")
    if not candidates:
        raise DataError(f"{shown(path)}: no files in subfolders were found that are sounds, and none beside them; make "
                        f"one subfolder for each label, with sounds{left_out(listing)}.")
    x, kept, waves = [], [], []
    for file in candidates:
        try:
            wave = sound.load(file.path)
        except DataError as error:
            name = file.parts[-1]
            listing.skipped.append((file.place, shown(str(error).removeprefix(f"{name}: ").rstrip("."))))
            continue
        waves.append(sound.fit_length(wave, round(seconds * sound.SAMPLE_RATE)))
        kept.append(file)
        if len(waves) == 64:  # as spectrograms in half precision, which take less
            x.append(_spectrograms(waves))
            waves = []
    x += [_spectrograms(waves)] if waves else []
    stems = [os.path.splitext("/".join(file.parts[len(file.parts) > 1 :]))[0] for file in kept]
    stems = [group(stem) for stem in stems] if group else stems
    groups = sorted(set(stems))
    if len(groups) < 3:
        raise DataError(f"{shown(path)}: {len(kept)} sounds of {len(groups)} groups can be used, and at least 3 are "
                        f"needed, one each to train, to choose and to test{left_out(listing)}.")
    labels, c = _labels(listing, kept)
    number = {stem: k for k, stem in enumerate(groups)}
    data = Dataset.make(
        f"sounds of {listing.name}",
        np.concatenate(x),
        c,
        names=tuple(map(shown, labels)),
        group=np.array([number[stem] for stem in stems]),
        group_names=tuple(map(shown, groups)),
        valid=max(1 / 7, 1.01 / len(groups)),
        test=max(1 / 7, 1.01 / len(groups)),
        seed=seed,
        source=listing.source(len(kept), len(labels)),
        kind="sound",
    )
    return _finished(data, listing)


def _spectrograms(waves):
    from helpers import sound

    return sound.log_magnitude(np.stack(waves)).numpy().astype(np.float16)


def _labels(listing, kept):
    """The subfolders that the files kept lie in, and for each file the number of its own: (N,); or () and None."""
    labels = sorted({file.label for file in kept if file.label is not None})
    listing.empty_labels(labels)
    number = {label: k for k, label in enumerate(labels)}
    return labels, np.array([number[file.label] for file in kept]) if labels else None


def _finished(data, listing):
    """The data set, with what was left out, and which labels have too few examples."""
    notes = list(data.notes)
    if len(data.names) == 1 and any(len(file.parts) > 2 for file in listing.files):
        notes.append(f"all lie in the subfolder {data.names[0]}: give that one, if its own subfolders are the labels")
    if data.names:
        present = {split: set(data.c[rows].tolist()) for split, rows in data.rows.items()}
        for split in ("train", "valid", "test"):
            missing = [name for k, name in enumerate(data.names) if k not in present[split]]
            if missing:
                notes.append(f"{split} has no example of {_some(missing)}")
    return replace(data, notes=tuple(notes)).without(listing.skipped)


def _some(names, most=5):
    """A few names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def left_out(listing: files.Listing | None) -> str:
    """What was left out, at the end of a message of too little data."""
    if listing is None or not listing.skipped:
        return ""
    (file, reason), count = listing.skipped[0], len(listing.skipped)
    return f" (left out: {file}: {reason})" if count == 1 else f" (left out: {count:,}, as {file}: {reason})"


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
    listing = files.find(path, "give a text file, or a folder of them", leave_out)
    found = {}
    for file in [file for file in listing.files if file.suffix in TEXTS]:
        try:
            found[file.place] = _read_text(Path(file.path))
        except DataError as error:
            name = shown(file.parts[-1])
            listing.skipped.append((file.place, str(error).removeprefix(f"{name}: ").rstrip(".")))
        if sum(map(len, found.values())) > MOST_BYTES:  # at least a byte each
            raise DataError(f"{shown(path)}: its texts have more than {MOST_BYTES / 1e6:.0f} MB together, the most "
                            "that is read into memory; take some of them out.")
    others = [file.place for file in listing.files if file.suffix not in TEXTS]
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
