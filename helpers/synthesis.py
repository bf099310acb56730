"""Sound from harmonics: where the pitch is known, phases need not be guessed, sines are added.

x(t) = Σ_h a_h(t) sin(2π h ∫f dt): the amplitudes a_h are read off a spectrogram at the multiples of the pitch, the
frequency f is for the player to choose (McAulay and Quatieri, 1986; Serra and Smith, 1990, for sounds of any kind).
"""

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from helpers import sound
from helpers.data.notes import frequency
from helpers.errors import DataError
from helpers.sound import HOP, N_FFT, SAMPLE_RATE

SHARPEN = 20  # rounds
ONSET = 0.005  # seconds in which a note rises at the least; a frame of 20 ms does not see it


def lobe(bins: npt.ArrayLike) -> np.ndarray:
    """The main lobe of a Hann window: the magnitude of a sine of amplitude 1, so many ``bins`` off its frequency."""
    d = np.abs(np.asarray(bins, float))
    near = np.abs(d - 1) < 1e-6  # sinc(d) / (1 - d²) is 0 / 0 there, and tends to 1/2
    return np.where(near, 0.5, np.sinc(d) / np.where(near, 1, 1 - d**2))


def read_harmonics(log_magnitude: npt.ArrayLike, f0: float, sharpen: int = SHARPEN) -> np.ndarray:
    """How strong each harmonic of a note is at each frame: (H, T), harmonics 1 to H, all those below half the rate.

    log_magnitude (F, T): natural logarithms, as :func:`helpers.sound.log_magnitude` makes them, of one note whose pitch
    is ``f0`` in Hz. The magnitude of the nearest bin is read, and divided by what the window's lobe leaves of a sine
    that lies beside it; what lies at the floor counts as silence. A frame is a mean over a window, which blurs how a
    note begins; ``sharpen`` rounds of Richardson (1972) and Lucy (1974) undo most of that. Raises DataError for other
    shapes, for what is not finite, and for an f0 whose harmonics are less than four bins apart.
    """
    x = np.asarray(log_magnitude, float)
    bins = N_FFT / SAMPLE_RATE  # for each Hz
    if x.ndim != 2 or len(x) != N_FFT // 2 + 1 or x.shape[1] < 2:
        raise DataError(f"a spectrogram of {N_FFT // 2 + 1} frequencies is needed, (F, T), and this one is {x.shape}; "
                        "take helpers.sound.log_magnitude(wave)[0].")
    if not np.isfinite(x).all():
        raise DataError("the spectrogram holds numbers that are not finite (NaN or infinity); no sound comes of it.")
    if not 4 / bins <= f0 < SAMPLE_RATE / 2:
        raise DataError(f"the pitch is {f0:g} Hz; harmonics can be told apart from {4 / bins:g} Hz on, and "
                        f"{SAMPLE_RATE / 2:g} Hz is the highest frequency here.")
    places = np.arange(1, math.ceil(SAMPLE_RATE / 2 / f0)) * f0 * bins
    nearest = np.rint(places).astype(int)
    magnitude = sound.magnitudes(np.minimum(x[nearest], 3)).numpy().astype(float)
    read = magnitude / lobe(nearest - places)[:, None]  # (H, T)
    blur = _blur(x.shape[1], N_FFT, HOP)
    found = read / blur.sum(axis=1)
    for _ in range(sharpen):
        ratio = read / np.maximum(found @ blur.T, 1e-12)
        found = found * (ratio @ blur) / blur.sum(axis=0)
    return found


@functools.cache
def _blur(frames, n_fft, hop_length):
    """What frames see of amplitudes a that run straight from frame to frame, and are 0 outside: (T, T), for blur a."""
    window = np.hanning(n_fft + 1)[:-1]
    t = np.arange(-(n_fft // 2), n_fft // 2)[None] + hop_length * np.arange(frames)[:, None]  # (T, n_fft), in samples
    inside = (t >= 0) & (t <= hop_length * (frames - 1))
    hats = np.clip(1 - np.abs(t[:, :, None] / hop_length - np.arange(frames)), 0, None)
    return np.einsum("tn,tnk->tk", window * inside, hats) / window.sum()


def add_sines(
    amplitudes: npt.ArrayLike,
    frequency: npt.ArrayLike,
    samples: int,
    times: npt.ArrayLike | None = None,
    sample_rate: int = SAMPLE_RATE,
    onset: float = ONSET,
) -> np.ndarray:
    """The sum of harmonics with these amplitudes (H, T) at these ``times`` (T,) in seconds: (samples,), float32.

    frequency: Hz of the first harmonic, a number or a curve (samples,). Amplitudes run straight between the times, by
    default those of frames; phases run on without a break, from 0. What lies above half the rate is left out, with a
    fade just below it. The beginning is multiplied by 1 - exp(-3 t / onset).
    """
    a = np.asarray(amplitudes, float)
    times = np.arange(a.shape[1]) * HOP / SAMPLE_RATE if times is None else np.asarray(times, float)
    f = np.broadcast_to(np.asarray(frequency, float), (samples,))
    theta = 2 * np.pi / sample_rate * np.concatenate([[0], np.cumsum(f[:-1])])
    at = np.interp(np.arange(samples) / sample_rate, times, np.arange(len(times)))
    left = np.minimum(at.astype(int), max(len(times) - 2, 0))
    part = at - left
    twice, before, now, wave = 2 * np.cos(theta), np.zeros(samples), np.sin(theta), np.zeros(samples)
    highest = f.max()
    for h, strength in enumerate(a, start=1):  # sin((h+1)θ) = 2 cos θ sin(hθ) - sin((h-1)θ)
        if h * f.min() >= sample_rate / 2:
            break
        if strength.any():
            step = np.diff(strength, append=strength[-1])
            each = strength[left] + part * step[left]
            if h * highest > 0.47 * sample_rate:
                each = each * np.clip((0.5 - h * f / sample_rate) / 0.03, 0, 1)
            wave += each * now
        before, now = now, twice * now - before
    if onset > 0:
        wave *= -np.expm1(-3 * np.arange(samples) / sample_rate / onset)
    return wave.astype(np.float32)


def add_harmonics(
    log_magnitude: npt.ArrayLike,
    f0: npt.ArrayLike,
    samples: int | None = None,
    frequency: npt.ArrayLike | None = None,
    sharpen: int = SHARPEN,
) -> np.ndarray:
    """Notes from log-magnitudes (N, F, T) whose pitch is known, f0 in Hz, a number or (N,): waves (N, samples).

    Additive synthesis: read the amplitude of each harmonic (:func:`read_harmonics`), and add sines (:func:`add_sines`).
    ``samples`` is how long: a longer note is stretched after its first fifth of a second. ``frequency`` is what is
    played, by default what was read: a number, or a curve (samples,) that glides or trembles. At 16 kHz.
    """
    x = np.asarray(log_magnitude)
    if x.ndim != 3:
        raise DataError(f"notes are (N, frequencies, frames), and these are {x.shape}.")
    usual = HOP * (x.shape[2] - 1)
    samples = usual if samples is None else samples
    times = stretched(x.shape[2], samples / SAMPLE_RATE) if samples > usual else None
    waves = []
    for one, pitch in zip(x, np.broadcast_to(np.asarray(f0, float), len(x)), strict=True):
        play = pitch if frequency is None else frequency
        waves.append(add_sines(read_harmonics(one, pitch, sharpen), play, samples, times))
    return np.stack(waves)


def stretched(frames: int, seconds: float, begin: float = 0.2) -> np.ndarray:
    """When each frame is played (T,) so that a note lasts ``seconds``: the first ``begin`` as ever, the rest slower."""
    t = np.arange(frames) * HOP / SAMPLE_RATE
    return np.where(t < begin, t, begin + (t - begin) * (seconds - begin) / (t[-1] - begin))


def curve(
    hertz: float,
    samples: int,
    vibrato: float = 0.0,
    glide: float = 0.0,
    start: float | None = None,
    rate: float = 5.5,
    sample_rate: int = SAMPLE_RATE,
) -> np.ndarray:
    """A frequency that moves, (samples,), in Hz, around ``hertz``: for :func:`add_harmonics`.

    vibrato: how far it trembles to either side, in cents, ``rate`` times a second, growing over the first 0.3 s.
    glide: how many seconds it takes to come from the frequency ``start`` (of the note before).
    """
    t = np.arange(samples) / sample_rate
    cents = vibrato * np.minimum(t / 0.3, 1) * np.sin(2 * np.pi * rate * t)
    if start is not None and glide > 0:
        cents = cents + 1200 * math.log2(start / hertz) * np.exp(-4 * t / glide)
    return hertz * 2 ** (cents / 1200)


def play(
    notes: Mapping[int, npt.ArrayLike],
    tune: Sequence[tuple[int | None, float]],
    beat: float = 0.3,
    vibrato: float = 0.0,
    glide: float = 0.0,
) -> np.ndarray:
    """A tune from harmonics: (samples,), at 16 kHz.

    notes: log-magnitudes (F, T) for each pitch (69 for the A of 440 Hz), all those of the ``tune``, which lists
    (pitch, beats) each, None for a rest. ``vibrato`` and ``glide`` as in :func:`curve`; a note glides from the
    one before.
    """
    harmonics = {pitch: read_harmonics(notes[pitch], hertz(pitch)) for pitch in {p for p, _ in tune if p is not None}}
    waves, before = {}, None
    for place, (pitch, beats) in enumerate(tune):
        if pitch is not None:
            a, samples = harmonics[pitch], round((beats * beat + 0.15) * SAMPLE_RATE)
            longer = samples > HOP * (a.shape[1] - 1)
            times = stretched(a.shape[1], samples / SAMPLE_RATE) if longer else None
            waves[place] = add_sines(a, curve(hertz(pitch), samples, vibrato, glide, before), samples, times)
            before = hertz(pitch)
    places = [(place if pitch is not None else None, beats) for place, (pitch, beats) in enumerate(tune)]
    return sound.melody(waves, places, beat)


def hertz(pitch: float) -> float:
    """The frequency of one MIDI pitch, 440 for 69."""
    return float(frequency(pitch))


def measure(log_magnitude: npt.ArrayLike, f0: float) -> dict[str, float]:
    """What a note sounds like, in numbers, from log-magnitudes (513, T) and its pitch in Hz.

    brightness: octaves from the pitch up to the mean harmonic, each counted by its amplitude. attack: milliseconds of
    rise, as log2 of 1 more: of how much a frame lacks to the peak, until nine tenths of it are reached. decay: log2 of
    the seconds in which the note then loses a factor of e. Raises DataError as :func:`read_harmonics` does.
    """
    a = read_harmonics(log_magnitude, f0, sharpen=0)
    a = np.where(a < 2 * sound.FLOOR, 0, a)[:, : -(N_FFT // HOP // 2 + 2)]  # (H, T), without the fade at the end
    loud = np.sqrt(np.square(a).sum(axis=0))  # (T,)
    peak = max(loud.max(), sound.FLOOR)
    top = int((loud >= 0.9 * peak).argmax())
    h, strength = np.arange(1, len(a) + 1), a.sum(axis=1)
    rise = 1000 * HOP / SAMPLE_RATE * (1 - loud[: top + 1] / peak).sum()
    dB = 20 * np.log10(np.maximum(loud[top:], 2 * sound.FLOOR))
    dB = dB[: max(8, int((dB > dB[0] - 50).sum()))]
    slope = np.polyfit(np.arange(len(dB)) * HOP / SAMPLE_RATE, dB, 1)[0] if len(dB) > 1 else 0.0  # dB a second
    return {
        "brightness": float(np.log2(max(strength @ h / max(strength.sum(), sound.FLOOR), 1))),
        "attack": float(np.log2(1 + rise)),
        "decay": float(np.log2(20 / np.log(10) / max(-slope, 1.0))),
    }
