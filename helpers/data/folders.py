"""The reader's own data: a folder of sounds becomes the same Dataset as ours.

What could not be used is left out, and the data set's notes say which file and why.
"""

from pathlib import Path

import numpy as np

from helpers.data.dataset import DataError, Dataset

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
