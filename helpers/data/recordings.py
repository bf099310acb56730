"""The reader's own sounds: a folder of recordings becomes a Dataset of spectrograms.

Silence at the beginning is cut; long recordings are cut into pieces; names in several subfolders form groups. A note
tells each such choice, and which option would change it.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from helpers.data import formats
from helpers.data.dataset import DataError, Dataset
from helpers.data.files import File, find, finished, labels_of, left_out, shown, single, splits_of
from helpers.progress import Progress

SUFFIXES = formats.SOUNDS
LONGEST = 7200  # seconds of a file: what fits into memory
LEAST_SECONDS = 10.0  # of a file that is all there is
LONG_EXAMPLE = 10.0  # seconds of an example from which on it is said that a size is in seconds
LONG = 3  # times what is used of each: files are cut into pieces from there on
LOOKED_AT = 25  # files that say how long all are
FEWEST = 3  # groups: one each to train, to choose and to test
PARTS = 7  # of fewer files than groups are needed
MANY = 500  # files from which on progress is shown
# Words that recorders and people put before a number: they name no thing that two recordings could have in common.
SAYS_NOTHING = set("aud audio ch channel chunk clip cut dictaphone dr dvr file item klang memo new note ogg part piece "
                   "ptt rec record recorded recorder recording recordings sample segment snd sound sounds take track "
                   "unknown untitled utt utterance voice wav wave whatsapp zoom copy copie kopie mono stereo".split())


def sounds(
    path: str | Path, seconds: float = 1.0, seed: int = 0, group: Callable[[str], str] | None = None,
    leave_out: str | Path | None = None, labels: bool | None = None, groups: bool | None = None,
) -> Dataset:
    """A folder with one subfolder for each label (a pitch, a word) and sound files in them; or sounds alone.

    Files of the same name in different subfolders, such as ``A4/violin.wav`` and ``C5/violin.wav``, belong to
    one group (the violin), and whole groups are held out; deeper folders are part of that name. Names that are only
    numbers, or the label, or what a recorder writes ("REC001"), form no groups. groups: True lets all equal names form
    groups, False none. ``group`` may say otherwise: it is given the name, without its ending, and returns the name of
    its group, such as the speaker. labels: True takes subfolders as labels, False does not, None as most files lie.

    Each sound becomes a log-magnitude spectrogram, as the notes of the lesson on audio: (513, 1 + 50 · seconds), mono
    at 16 kHz, without the silence that it begins with, cut or filled up with silence to ``seconds``. Where half of the
    files are more than three times as long, or fewer than three long ones are all there is, they are cut into pieces:
    those of a file stay in one split, or those of a part of it, where there are fewer than three files.

    One file of at least ten seconds may be given for a folder. Raises DataError when there is no such folder, and for
    fewer than three groups of sounds.
    """
    from helpers import sound

    if not 0 < seconds <= sound.MAX_SECONDS:
        raise DataError(f"sounds: seconds is {seconds!r}; give a time above 0, and at most {sound.MAX_SECONDS:g}.")
    advice = "give one with a subfolder of sounds for each label"
    listing = single(path) if holds_sounds(path) else find(path, advice, leave_out)
    candidates = listing.take(SUFFIXES, "a sound", labels)
    if not candidates:
        seen = formats.advice(file.suffix for file in listing.files)
        raise DataError(f"{shown(path)}: no files in subfolders were found that are sounds, and none beside them"
                        f"{f'; it holds {seen}' if seen else ''}{left_out(listing)}.")
    pieces = _are_long(candidates, seconds)
    read = _Read(round(seconds * sound.SAMPLE_RATE), pieces)
    for number in Progress(len(candidates), unit="sound", lines=0, show=len(candidates) > MANY):
        file = candidates[number]
        try:
            read.add(file)
        except DataError as error:
            reason = str(error).removeprefix(f"{file.parts[-1]}: ").rstrip(".")
            listing.skipped.append((file.place, shown(reason)))
    kept = [file for file, count in zip(read.files, read.counts) for _ in range(count)]
    if pieces:
        keys, notes = _files_or_parts(read), []
    else:
        keys, notes = _keys(read.files, group, groups)
    names = sorted(set(keys))
    if len(names) < FEWEST:
        raise DataError(f"{shown(path)}: {len(read.files)} sounds of {len(names)} groups can be used, and at least "
                        f"{FEWEST} are needed, one each to train, to choose and to test{left_out(listing)}.")
    label_names, c = labels_of(listing, kept)
    # Where each is a group of its own, labels can be spread evenly over the splits.
    grouped = c is None or len(names) < len(keys)
    number_of = {key: k for k, key in enumerate(names)}
    data = Dataset.make(
        f"sounds of {listing.name}",
        read.finish(),
        c,
        names=tuple(map(shown, label_names)),
        group=np.array([number_of[key] for key in keys]) if grouped else None,
        group_names=tuple(map(shown, names)) if grouped else (),
        valid=max(1 / 7, 1.01 / len(names)),
        test=max(1 / 7, 1.01 / len(names)),
        seed=seed,
        source=listing.source(len(read.files), len(label_names)),
        notes=[*read.notes(seconds), *notes],
        kind="sound",
        split=splits_of(kept),
    )
    return finished(data, listing)


def holds_sounds(path: str | Path) -> bool:
    """Whether this is one file that is long enough to be cut into pieces: ten seconds at least."""
    import soundfile

    if not os.path.isfile(path) or formats.ending(path) not in SUFFIXES:
        return False
    try:
        return soundfile.info(path if os.name == "nt" else os.fsencode(path)).duration >= LEAST_SECONDS
    except (soundfile.LibsndfileError, RuntimeError, OSError, TypeError):
        return False


def spectrograms(files: list[File], samples: int) -> tuple[np.ndarray, list[File], list[tuple[str, str]]]:
    """Sound files as :func:`sounds` has them, each cut or filled up to so many samples at 16 kHz: x (N, 513, frames),
    those that could be read, and (place, reason) for the others. Raises DataError if none can be read."""
    read, skipped = _Read(samples, pieces=False), []
    for file in files:
        try:
            read.add(file)
        except DataError as error:
            skipped.append((file.place, shown(str(error).removeprefix(f"{file.parts[-1]}: ").rstrip("."))))
    if not read.files:
        place, reason = skipped[0]
        raise DataError(f"{place}: {reason}; none of the {len(files):,} sounds can be used.")
    return read.finish(), read.files, skipped


class _Read:
    """Spectrograms of what was read so far, and what was done to it."""

    def __init__(self, window: int, pieces: bool):
        self.window, self.pieces = window, pieces
        self.files: list[File] = []  # what could be read
        self.counts: list[int] = []  # how many examples each has become
        self.lengths: list[float] = []  # seconds of sound
        self.late: list[float] = []  # seconds of silence that were cut
        self.one_channel = 0
        self.waves: list[np.ndarray] = []
        self.x: list[np.ndarray] = []

    def add(self, file):
        """Read one file. Raises DataError."""
        from helpers import sound

        found = sound.record(file.path, max_seconds=LONGEST)
        silent = sound.onset(found.wave)
        wave = found.wave[silent:]
        self.one_channel += found.one_channel
        self.late += [silent / sound.SAMPLE_RATE] if silent else []
        self.lengths.append(len(wave) / sound.SAMPLE_RATE)
        # The rest of a long recording is left over, unless it is most of a piece.
        count = max(1, round(len(wave) / self.window - 0.25)) if self.pieces else 1
        for k in range(count):
            self.waves.append(sound.fit_length(wave[k * self.window : (k + 1) * self.window + 1], self.window))
            if len(self.waves) == 64:  # as spectrograms in half precision, which take less
                self._transform()
        self.files.append(file)
        self.counts.append(count)

    def _transform(self):
        from helpers import sound

        self.x.append(sound.log_magnitude(np.stack(self.waves)).numpy().astype(np.float16))
        self.waves = []

    def finish(self) -> np.ndarray:
        """All spectrograms, (N, frequencies, frames)."""
        if self.waves:
            self._transform()
        return np.concatenate(self.x)

    def notes(self, seconds: float) -> list[str]:
        """What was chosen for the reader, a line each."""
        found, n = [], len(self.files)
        if self.one_channel:
            found.append(f"{self.one_channel:,} of {n:,} sounds have channels that cancel each other out, and their "
                         "loudest channel is taken")
        if self.late:
            found.append(f"silence at the beginning of {len(self.late):,} of {n:,} sounds is cut, "
                         f"{np.mean(self.late):.1f} s on average")
        lengths = np.array(self.lengths)
        if seconds > LONG_EXAMPLE:
            short = (lengths < 0.5 * seconds).sum()
            filled = f", and {short:,} of {n:,} sounds are filled up with silence, by half or more" if short else ""
            found.append(f"the size of sounds is in seconds, and an example lasts {seconds:g} s{filled}: --size 1 for "
                         "notes or words")
        if self.pieces:
            stay = "neighbouring pieces" if n < FEWEST else "those of one file"
            found.append(f"{n:,} long sounds, {_span(lengths.sum())} in all, are cut into {sum(self.counts):,} pieces "
                         f"of {seconds:g} s, and {stay} stay in one split: --size for longer ones")
        elif (longer := lengths > seconds + 0.05).any():
            used = np.minimum(lengths, seconds).sum() / lengths.sum()
            size = min(60.0, float(np.ceil(2 * np.percentile(lengths, 95)) / 2))
            found.append(f"{longer.sum():,} of {n:,} sounds are longer than {seconds:g} s, and what comes later is not "
                         f"used, {_span(lengths.sum() - np.minimum(lengths, seconds).sum())} of {_span(lengths.sum())} "
                         f"({1 - used:.0%}): --size {size:g} to use more")
        return found


def _span(seconds):
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _are_long(candidates, seconds):
    """Whether files are so long, or so few and long, that they are cut into pieces; some of them tell."""
    from helpers import sound

    step = -(-len(candidates) // LOOKED_AT)
    lengths = []
    for file in candidates[::step]:
        try:
            wave = sound.record(file.path, max_seconds=LONGEST).wave
        except DataError:
            continue
        lengths.append((len(wave) - sound.onset(wave)) / sound.SAMPLE_RATE)
    few = len(lengths) < FEWEST and step == 1
    return bool(lengths) and (max(lengths) if few else float(np.median(lengths))) > LONG * seconds


def _files_or_parts(read):
    """The group of each piece: its file; or the part of the file, where there are too few files."""
    parts = PARTS if len(read.files) < FEWEST else 1
    keys = []
    for file, count in zip(read.files, read.counts):
        name = "/".join(file.parts)
        keys += [name if parts == 1 else f"{name}, part {k * parts // count + 1}" for k in range(count)]
    return keys


def _keys(files, group, groups):
    """The group of each file by its name, and what is to be said of that."""
    stems = [os.path.splitext("/".join(_below(file)))[0] for file in files]
    if group:
        return [group(stem) for stem in stems], []
    own = [os.path.splitext("/".join(file.parts))[0] for file in files]
    equal = {stem for stem, count in Counter(stems).items() if count > 1}
    if not equal or all(file.label is None for file in files):
        return (own if groups is False else stems), []
    if groups is None:
        keys = [stem if _says_something(stem, file.label) else mine for stem, file, mine in zip(stems, files, own)]
    else:
        keys = stems if groups else own
    apart = sorted({stem for stem, key in zip(stems, keys) if stem in equal and stem != key})
    together = sorted(equal - set(apart))
    notes = []
    if together:
        notes.append(f"sounds of the same name in several subfolders belong together, as {shown(together[0])} "
                     f"({len(together):,} names): --groups no if they do not")
    if apart:
        why = "" if groups is False else " say nothing but a number, and"
        notes.append(f"equal names in several subfolders{why} form no groups, as {shown(apart[0])} ({len(apart):,} "
                     "names): --groups yes if they belong together")
    return keys, notes


def _below(file):
    """The names of the folders below the label, and of the file."""
    parts = list(file.parts)
    if file.label in parts[:-1]:
        return parts[parts.index(file.label) + 1 :]
    return parts


def _says_something(stem, label):
    """Whether a name has a word that is neither the label, nor what recorders write, nor a single letter."""
    words = lambda text: set(re.findall(r"[^\W\d_]+", text.casefold()))
    return any(len(word) > 1 for word in words(stem) - words(label or "") - SAYS_NOTHING)
