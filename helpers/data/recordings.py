"""The reader's own sounds: a folder of recordings becomes a Dataset of spectrograms."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from helpers.data.dataset import DataError, Dataset
from helpers.data.files import find, finished, labels_of, left_out, shown

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff"}


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
    listing = find(path, "give one with a subfolder of sounds for each label", leave_out)
    candidates = listing.take(SUFFIXES, "a sound")
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
    labels, c = labels_of(listing, kept)
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
    return finished(data, listing)


def _spectrograms(waves):
    from helpers import sound

    return sound.log_magnitude(np.stack(waves)).numpy().astype(np.float16)
