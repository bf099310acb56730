"""An instrument as an SFZ patch with its samples: a folder that samplers open and keyboards play.

SFZ is a text file that says which sound file belongs to which keys. The sounds are added up from harmonics
(helpers.synthesis), so a loop is a whole number of periods, and the same to the last digit each time round.
"""

import itertools
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from helpers import sound, synthesis
from helpers.disk import DiskError, write_new
from helpers.errors import DataError

BEYOND = 6  # semitones that the lowest and the highest sample serve beyond themselves
SUSTAINS = 12.0  # dB a second: what dies more slowly is held as long as the key is
LOOP, LONGEST = 0.3, 4.0  # seconds of a loop, about; of a sample that dies away, at most
FRAME = sound.HOP / sound.SAMPLE_RATE  # seconds
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _-]{0,38}[A-Za-z0-9_-])?")
RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.I)  # names of devices under Windows
FORMATS = ("wav", "flac")


def sfz(
    notes: ArrayLike,
    pitches: Sequence[int],
    folder: str | os.PathLike,
    name: str,
    licence: str = "",
    comment: str = "",
    sustain: bool | None = None,
    release: float = 0.25,
    sample_rate: int = 44_100,
    format: str = "wav",
) -> Path:
    """Write an instrument as ``folder/name.sfz`` with a sound file for each note beside it, and return its path.

    notes: log-magnitudes (N, F, T), as a model decodes them or ``helpers.sound.log_magnitude`` makes them of
    recordings. pitches: (N,), numbered in semitones as in MIDI, 69 for the A of 440 Hz; keys between two of them play
    the nearer one, faster or slower. sustain: whether a note sounds as long as its key is held (its sample ends in a
    loop), or dies away; by default what dies by less than 12 dB a second sustains. release: seconds in which a note
    ends when its key is let go. licence, comment: lines at the head of the patch; nothing, unless you say it.

    The same notes give the same bytes. Raises DataError for notes or a name that cannot be used, and DiskError where a
    file is already, or nothing can be written; then nothing has been.
    """
    x, pitches = _checked(notes, pitches)
    _check_words(name, licence, comment)
    if format not in FORMATS:
        raise DataError(f"{format!r} is no format of samples here; choose one of {', '.join(FORMATS)}.")
    if not (16_000 <= sample_rate <= 96_000 and 0 <= release <= 10):
        raise DataError(f"a rate of {sample_rate:g} Hz and a release of {release:g} s were asked for; take 16000 to "
                        "96000 Hz, and 0 to 10 s.")
    each = [synthesis.read_harmonics(one, synthesis.hertz(pitch)) for one, pitch in zip(x, pitches, strict=True)]
    for amplitudes, pitch in zip(each, pitches, strict=True):
        if not amplitudes.any():
            raise DataError(f"the note of pitch {pitch} is silent; leave it out.")
    decays = [_decay(amplitudes) for amplitudes in each]
    held = bool(np.median(decays) < SUSTAINS) if sustain is None else sustain
    make = _held if held else _dying
    samples = [make(a, pitch, decay, sample_rate) for a, pitch, decay in zip(each, pitches, decays, strict=True)]
    gain = 0.9 / max(np.abs(wave).max() for wave, _ in samples)
    files, regions = {}, []
    for (wave, loop), pitch, (low, high) in zip(samples, pitches, _keys(pitches), strict=True):
        file = f"{name}-{pitch:03d}.{format}"
        files[file] = sound.encode(gain * wave, sample_rate, format)
        mode = f"loop_mode=loop_continuous loop_start={loop[0]} loop_end={loop[1]}" if loop else "loop_mode=no_loop"
        regions.append(f"<region> sample={file}\nlokey={low} hikey={high} pitch_keycenter={pitch}\n{mode}\n")
    head = [line for text in (name, licence, comment) for line in text.splitlines() if line.strip()]
    text = "".join(f"// {line}\n" for line in head)
    text += f"\n<global> ampeg_release={release:g}\n\n" + "\n".join(regions)
    return _write(Path(folder), files, f"{name}.sfz", text)


def _checked(notes, pitches):
    """Notes (N, F, T) and their pitches, in rising order."""
    try:
        x, numbers = np.asarray(notes, float), [int(pitch) for pitch in pitches]
        whole = all(number == pitch for number, pitch in zip(numbers, pitches, strict=True))
    except (TypeError, ValueError):
        raise DataError("notes and pitches must be arrays of numbers: notes (N, F, T), and N whole pitches.") from None
    if x.ndim != 3 or len(x) != len(numbers) or not numbers:
        raise DataError(f"notes have the shape {x.shape}, and {len(numbers)} pitches were given; give notes (N, F, T), "
                        "at least one, and as many pitches.")
    if not whole or len(set(numbers)) < len(numbers) or not 0 <= min(numbers) <= max(numbers) <= 127:
        raise DataError(f"the pitches are {list(pitches)}; give different whole numbers from 0 to 127, as in MIDI.")
    order = np.argsort(numbers)
    return x[order], [numbers[i] for i in order]


def _check_words(name, licence, comment):
    if not isinstance(name, str) or not NAME.fullmatch(name) or RESERVED.fullmatch(name):
        raise DataError(f"{name!r} is no name for an instrument; take 1 to 40 letters A to Z, digits, spaces, - and _, "
                        "a letter or a digit first.")
    for what, text in (("licence", licence), ("comment", comment)):
        if not isinstance(text, str) or any(ord(c) < 32 and c not in "\n\t" for c in text):
            raise DataError(f"{what} is {text!r}; give it as text, without control characters.")


def _keys(pitches):
    """From which key to which each sample serves: no gap between them, none twice."""
    middles = [(low + high) // 2 for low, high in itertools.pairwise(pitches)]
    lows = [max(pitches[0] - BEYOND, 0), *(middle + 1 for middle in middles)]
    return list(zip(lows, [*middles, min(pitches[-1] + BEYOND, 127)], strict=True))


def _level(amplitudes):
    """dB of each frame, from amplitudes (H, T): (T,)."""
    return 10 * np.log10(np.maximum((np.asarray(amplitudes) ** 2).sum(axis=0) / 2, 1e-12))


def _decay(amplitudes):
    """How fast a note dies after its loudest frame, in dB a second."""
    level = _level(amplitudes)
    first = min(int(level.argmax()) + 5, len(level) // 2)
    last = max(len(level) - 7, first + 3)  # the last frames see the end of the recording
    part = level[first:last]
    part = part[part > level.max() - 50] if (part > level.max() - 50).sum() > 2 else part[:3]
    return max(0.0, -float(np.polyfit(np.arange(len(part)) * FRAME, part, 1)[0]))


def _held(amplitudes, pitch, decay, sample_rate):
    """A note that begins as it does and then stays as it is, in a loop: its wave, and first and last sample of that.

    The pitch moves by less than 0.1 cents, so that the loop is a whole number of periods and of samples; it begins
    where all sines are 0.
    """
    f0, frames = synthesis.hertz(pitch), amplitudes.shape[1]
    steady = min(max(int(_level(amplitudes).argmax()) + 10, 20), frames - 8)
    periods = np.arange(math.ceil(0.8 * LOOP * f0), math.ceil(1.2 * LOOP * f0) + 2)
    lengths = np.rint(periods * sample_rate / f0)
    best = np.abs(periods * sample_rate / lengths / f0 - 1).argmin()
    n, length = int(periods[best]), int(lengths[best])
    start = math.ceil(steady * FRAME * sample_rate / length) * length
    a = np.concatenate([amplitudes[:, :steady], amplitudes[:, steady - 2 : steady + 3].mean(axis=1)[:, None]], axis=1)
    once = synthesis.add_sines(a, n * sample_rate / length, start + length, sample_rate=sample_rate)
    wave = np.concatenate([once, once[start : start + 64]])  # players look a little ahead of the loop's end
    return wave, (start, start + length - 1)


def _dying(amplitudes, pitch, decay, sample_rate):
    """A note that dies away, each harmonic after the end of its spectrogram as fast as before."""
    frames = amplitudes.shape[1]
    first, last = frames // 3, max(frames - 7, frames // 3 + 3)
    dB = 20 * np.log10(np.maximum(amplitudes[:, first:last], 1e-9))
    audible = (dB > -100).all(axis=1)
    slope = np.where(audible, np.polyfit(np.arange(last - first) * FRAME, dB.T, 1)[0], -decay)
    slope = np.minimum(slope, -max(decay / 2, 3.0))  # none grows, or outlives the rest by far
    steps = np.arange(1, round(LONGEST / FRAME) - last + 2) * FRAME
    tail = amplitudes[:, last - 3 : last].mean(axis=1)[:, None] * 10 ** (slope[:, None] * (steps + FRAME) / 20)
    a = np.concatenate([amplitudes[:, :last], tail], axis=1)
    level = _level(a)
    heard = int(np.nonzero(level > level.max() - 60)[0][-1]) + 1
    samples = round(heard * FRAME * sample_rate)
    wave = synthesis.add_sines(a, synthesis.hertz(pitch), samples, sample_rate=sample_rate)
    fade = min(sample_rate // 50, samples)
    wave[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return wave, None


def _write(folder, files, patch, text):
    """Write samples, and last the patch that names them, where none of these names is taken."""
    for file in (*files, patch):
        if os.path.lexists(folder / file):
            data = files.get(file, text.encode())
            if not (folder / file).is_file() or (folder / file).read_bytes() != data:
                raise DiskError(f"{folder / file} is there already, and is left as it is; give another name or folder.")
    try:
        for file, data in files.items():
            write_new(folder / file, data)
        write_new(folder / patch, text.encode())
    except OSError as error:
        raise DiskError(f"{folder} cannot be written to ({error.strerror}); choose another folder.") from error
    return folder / patch
