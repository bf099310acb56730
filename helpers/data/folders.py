"""The reader's own data: a folder of sounds, or a file of text, becomes the same Dataset as ours.

What could not be used is left out, and the data set's notes say which file and why.
"""

from pathlib import Path

import numpy as np

from helpers.data.dataset import DataError, Dataset

MOST_BYTES = 200_000_000  # of a text file: several times the works of any writer
SOUNDS = {".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff"}


def sounds(path, seconds: float = 1.0, seed: int = 0) -> Dataset:
    """A folder with one subfolder for each label (a pitch, a word) and sound files in them.

    Files of the same name in different subfolders, such as ``A4/violin.wav`` and ``C5/violin.wav``, belong to
    one group (the violin), and whole groups are held out. Each sound becomes a log-magnitude spectrogram, as
    the notes of notebook 07: (513, 1 + 50 · seconds), cut or filled up with silence to ``seconds``.

    Raises DataError when there is no such folder, no label, or fewer than three groups of sounds.
    """
    from helpers import sound

    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; give one with a subfolder of sounds for each label.")
    labels = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    files = [(k, f) for k, label in enumerate(labels) for f in sorted(label.iterdir()) if not f.name.startswith(".")]
    if not files:
        raise DataError(f"{folder}: no files in subfolders were found; make one subfolder for each label, with sounds.")
    waves, c, stems, notes = [], [], [], []
    for k, file in files:
        place = f"{file.parent.name}/{file.name}"
        if file.suffix.lower() not in SOUNDS:
            notes.append(f"left out: {place} is no sound file ({', '.join(sorted(SOUNDS))})")
            continue
        try:
            wave = sound.load(file)
        except DataError as error:
            notes.append(f"left out: {file.parent.name}/{error}")
            continue
        waves.append(sound.fit_length(wave, round(seconds * sound.SAMPLE_RATE)))
        c.append(k)
        stems.append(file.stem)
    names = sorted(set(stems))
    if len(names) < 3:
        reasons = f" The first file left out: {notes[0].removeprefix('left out: ')}" if notes else ""
        raise DataError(f"{folder}: {len(waves)} sounds of {len(names)} groups can be used; at least 3 are needed, "
                        f"one each to train, to choose and to test.{reasons}")  # fmt: skip
    x = np.concatenate([sound.log_magnitude(np.stack(waves[i : i + 64])).numpy() for i in range(0, len(waves), 64)])
    return Dataset.make(
        f"sounds of {folder.name}",
        x.astype(np.float16),
        np.array(c),
        names=tuple(label.name for label in labels),
        group=np.array([names.index(stem) for stem in stems]),
        group_names=tuple(names),
        valid=max(1 / 7, 1.01 / len(names)),
        test=max(1 / 7, 1.01 / len(names)),
        seed=seed,
        source=f"{len(waves)} of {len(files)} files in {len(labels)} subfolders",
        notes=notes,
    )


def texts(path, by: str = "auto", length: int = 100, seed: int = 0) -> Dataset:
    """A UTF-8 text file as rows of symbols, with ``vocabulary`` fitted on the train split (``helpers.data.text``).

    by: "lines", one item a line, such as names; "running", a text cut into pieces of ``length`` characters, which
        have no end of their own in the original; "auto" takes lines if no line is longer than 200 characters.
    Empty lines are left out, and equal items but the first; the data set's notes say how many.

    Raises DataError, in one sentence, for a file that cannot be read, is empty, binary, or in another encoding,
    for an endless line where items were expected, and for fewer than 10 different items.
    """
    from helpers.data import text

    if by not in ("auto", "lines", "running"):
        raise DataError(f"texts: by is {by!r}; say 'lines', 'running' or 'auto'.")
    if length < 2:
        raise DataError(f"texts: length is {length}; give at least 2 characters for a piece.")
    path = Path(path)
    whole = _read_text(path)
    lines = [" ".join(line.split()) for line in whole.splitlines()]
    longest = max(map(len, lines))
    if by == "auto":
        by = "lines" if longest <= 200 and len(lines) >= 10 else "running"
    notes = []
    if by == "lines":
        if longest > 1000:
            number = 1 + [len(line) for line in lines].index(longest)
            raise DataError(f"{path.name}: line {number} has {longest:,} characters, too many for one item; give "
                            "by='running' if it is running text.")  # fmt: skip
        items = [line for line in lines if line]
        if len(items) < len(lines):
            notes.append(f"{len(lines) - len(items):,} empty lines left out")
    else:
        items = [whole[i : i + length] for i in range(0, len(whole), length)]
        notes.append(f"running text of {len(whole):,} characters, cut into pieces of {length}")
    different = len(set(items))
    if different < 10:
        kind = "lines" if by == "lines" else "pieces"
        raise DataError(f"{path.name}: holds {different} different {kind}, and at least 10 are needed, to train, to "
                        "choose and to test; add more text.")  # fmt: skip
    return text.make(path.name, items, seed=seed, source=str(path.name), notes=notes)


def _read_text(path) -> str:
    """The characters of a UTF-8 file; a mark at its beginning (BOM) is dropped."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise DataError(f"{path.name}: has {size / 1e6:,.0f} MB, and at most {MOST_BYTES / 1e6:.0f} are read into "
                            "memory; cut out a part of it.")  # fmt: skip
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror}); check its name and its rights.") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path.name}: begins like UTF-16, not UTF-8; save it as UTF-8.")
    if b"\0" in data:
        raise DataError(f"{path.name}: is no text: byte {data.index(0) + 1:,} is zero; give a text file in UTF-8.")
    try:
        whole = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path.name}: is not UTF-8, as byte {data[error.start]:#04x} in line {line:,} shows (Latin-1, "
                        "perhaps); save it as UTF-8.") from None  # fmt: skip
    if not whole.strip():
        raise DataError(f"{path.name}: is empty; give a file with text in it.")
    return whole
