"""Sound as numbers: spectrograms, Griffin-Lim, pitch, reading files, playing in a notebook.

Waveforms are mono float32 from -1 to 1, one per row: (N, samples). Spectrograms are (N, frequencies, frames).
"""

import base64
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from helpers.disk import MADE_BY, ROOT, DiskError, recording, write_bytes
from helpers.errors import DataError

SAMPLE_RATE = 16_000  # Hz
N_FFT, HOP = 1024, 320  # samples: windows of 64 ms, one every 20 ms
SOUNDS = ROOT / "notebooks" / "sounds"  # for other pages; written by `make notebooks`
FLOOR = 1e-3  # magnitudes below this, 60 dB under a full sine, count as silence
MIN_SECONDS, MAX_SECONDS = 0.05, 60.0
QUIET = 1e-5  # a peak below this is silence
# The smallest difference that a kind of file can hold; a sound of fewer steps than these is mostly rounding.
STEPS = {"PCM_S8": 2**-7, "PCM_U8": 2**-7, "PCM_16": 2**-15, "PCM_24": 2**-23, "ULAW": 2**-12, "ALAW": 2**-12}
LEAST_STEPS = 16

Array = npt.ArrayLike | torch.Tensor


def _rows(wave: Array) -> torch.Tensor:
    wave = torch.as_tensor(np.asarray(wave) if not isinstance(wave, torch.Tensor) else wave, dtype=torch.float32)
    return wave[None] if wave.dim() == 1 else wave


def stft(wave: Array, n_fft: int = N_FFT, hop_length: int = HOP) -> torch.Tensor:
    """The short-time Fourier transform of waves (N, samples): complex (N, n_fft/2 + 1, 1 + samples // hop_length).

    Hann windows, centred on multiples of hop_length. Scaled so that a sine of amplitude 1 has magnitude 1.
    """
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(_rows(wave), n_fft, hop_length, window=window, center=True, pad_mode="constant",
                          return_complex=True)
    return spectrum * (2 / window.sum())


def istft(spectrum: torch.Tensor, samples: int, n_fft: int = N_FFT, hop_length: int = HOP) -> torch.Tensor:
    """The wave (N, samples) whose transform is nearest to ``spectrum`` in squared error (Griffin and Lim, 1984)."""
    window = torch.hann_window(n_fft)
    return torch.istft(spectrum * (window.sum() / 2), n_fft, hop_length, window=window, center=True, length=samples)


def log_magnitude(wave: Array, n_fft: int = N_FFT, hop_length: int = HOP) -> torch.Tensor:
    """Natural logarithm of magnitudes, floored at 60 dB below a full sine: (N, frequencies, frames), -6.9 to 0."""
    return stft(wave, n_fft, hop_length).abs().clamp(min=FLOOR).log()


def magnitudes(log_magnitude: Array) -> torch.Tensor:
    """Magnitudes from logarithms, where what lies at the floor is silence; taken as sound, it would hiss."""
    x = torch.as_tensor(log_magnitude, dtype=torch.float32)
    return torch.where(x > math.log(FLOOR) + 0.1, x.exp(), 0.0)


def mel_filters(n_mels: int = 64, sample_rate: int = SAMPLE_RATE, n_fft: int = N_FFT) -> torch.Tensor:
    """Triangular filters (n_mels, n_fft/2 + 1), evenly spaced in mel (Slaney's scale), from librosa."""
    import librosa  # slow to import

    return torch.as_tensor(librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels))


def griffin_lim(
    magnitude: Array,
    samples: int,
    iterations: int = 32,
    momentum: float = 0.99,
    n_fft: int = N_FFT,
    hop_length: int = HOP,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """A wave (N, samples) whose magnitudes come close to ``magnitude`` (N, frequencies, frames), from random phases.

    Back and forth between the phases of a real wave and the magnitudes asked for (Griffin and Lim, 1984), with
    momentum (Perraudin, Balazs and Søndergaard, 2013), all waves of a batch at once.
    """
    magnitude = torch.as_tensor(magnitude, dtype=torch.float32)
    angle = 2 * math.pi * torch.rand(magnitude.shape, generator=generator)
    waves = []
    for mag, phase in zip(magnitude.split(8), torch.polar(torch.ones_like(magnitude), angle).split(8)):
        before = torch.zeros_like(phase)  # eight at a time: more would not fit into the processor's cache
        for _ in range(iterations):
            rebuilt = stft(istft(mag * phase, samples, n_fft, hop_length), n_fft, hop_length)
            phase = rebuilt - momentum / (1 + momentum) * before
            phase = phase / phase.abs().clamp(min=1e-16)
            before = rebuilt
        waves.append(istft(mag * phase, samples, n_fft, hop_length))
    return torch.cat(waves)


def spectral_convergence(wave: Array, magnitude: Array, n_fft: int = N_FFT, hop_length: int = HOP) -> torch.Tensor:
    """How far the magnitudes of waves are from those asked for: (N,), the norm of the difference over the norm."""
    magnitude = torch.as_tensor(magnitude, dtype=torch.float32)
    difference = stft(wave, n_fft, hop_length).abs() - magnitude
    return difference.flatten(1).norm(dim=1) / magnitude.flatten(1).norm(dim=1)


def log_spectral_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> np.ndarray:
    """Root mean square difference of log-magnitudes (N, frequencies, frames), in dB: (N,)."""
    difference = np.asarray(a, np.float32) - np.asarray(b, np.float32)
    return 20 / math.log(10) * np.sqrt((difference.reshape(len(difference), -1) ** 2).mean(axis=1))


def pitch(wave: Array, sample_rate: int = SAMPLE_RATE, low: float = 100.0, high: float = 1200.0) -> np.ndarray:
    """The fundamental frequency of notes (N, samples), in Hz: (N,); NaN where there is silence or no period.

    YIN (de Cheveigné and Kawahara, 2002): the difference of the wave and itself, shifted, divided by its running
    mean; the first deep dip is the period, refined by the dip at its largest multiple and a parabola. The median
    over frames of 64 ms is taken.
    """
    return np.concatenate([_pitch(part, sample_rate, low, high) for part in _rows(wave).double().split(16)])


def _pitch(wave, sample_rate, low, high):
    frame = 1024 * sample_rate // SAMPLE_RATE
    longest, shortest = int(sample_rate / low) + 2, int(sample_rate / high)
    if wave.shape[1] < frame + longest:
        wave = torch.nn.functional.pad(wave, (0, frame + longest - wave.shape[1]))
    frames = wave.unfold(1, frame + longest, frame // 2)  # (N, F, frame + longest)
    # Σ (x[t] - x[t + lag])² over a window, as energy + energy - 2 × correlation, by FFT
    size = 2 ** math.ceil(math.log2(2 * frame + longest))
    first = torch.fft.rfft(frames[..., :frame], size)
    correlation = torch.fft.irfft(torch.fft.rfft(frames, size) * first.conj(), size)[..., : longest + 1]
    power = torch.nn.functional.pad(frames.square().cumsum(dim=2), (1, 0))
    energy = power[..., frame:][..., : longest + 1] - power[..., : longest + 1]
    difference = (energy[..., :1] + energy - 2 * correlation).clamp(min=0)
    lags = torch.arange(1, longest + 1)
    normal = difference[..., 1:] * lags / difference[..., 1:].cumsum(dim=2).clamp(min=1e-12)
    normal = torch.nn.functional.pad(normal, (1, 0), value=1.0)  # (N, F, longest + 1): index is the lag
    d = normal[..., shortest:longest].numpy()
    dip = (d < np.roll(d, 1, axis=2)) & (d <= np.roll(d, -1, axis=2)) & (d < 0.15)
    dip[..., 0] = dip[..., -1] = False
    lag = np.where(dip.any(axis=2), dip.argmax(axis=2), 0) + shortest
    n, f = np.indices(lag.shape)
    # A dip many periods away lies at a multiple of the period, and divides the error of its place by as much.
    many = np.maximum(1, (longest - 3) // (lag + 1))
    far = np.clip(np.rint(many * _dip(difference, n, f, lag)).astype(int), 1, longest - 1)
    near = np.stack([difference.numpy()[n, f, np.clip(far + s, 1, longest - 1)] for s in (-1, 0, 1)])
    refined = _dip(difference, n, f, far + near.argmin(axis=0) - 1) / many
    loud = frames.square().mean(dim=2).numpy()
    heard = dip.any(axis=2) & (loud > 1e-2 * loud.max(axis=1, keepdims=True)) & (loud > 1e-8)
    hz = np.where(heard, sample_rate / refined, np.nan)
    found = np.full(len(hz), np.nan)
    for i, row in enumerate(hz):
        if np.isfinite(row).any():
            found[i] = np.nanmedian(row)
    return found


def _dip(curve, n, f, lag):
    """Where a parabola through the values of curve (N, F, lags) at lag - 1, lag and lag + 1 is lowest."""
    lag = np.clip(lag, 1, curve.shape[2] - 2)
    left, here, right = (curve.numpy()[n, f, lag + s] for s in (-1, 0, 1))
    bend = left - 2 * here + right
    return lag + np.where(bend > 1e-12, 0.5 * (left - right) / np.where(bend > 1e-12, bend, 1), 0).clip(-1, 1)


def envelope(wave: Array, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """How far waves (N, samples) swing, in dB under 1: the furthest point of every 20 ms, (N, moments)."""
    rows, size = _rows(wave).abs().numpy(), sample_rate // 50
    rows = rows[:, : rows.shape[1] // size * size].reshape(len(rows), -1, size)
    return 20 * np.log10(np.maximum(rows.max(axis=2), 1e-6))


def cents(f: npt.ArrayLike, reference: npt.ArrayLike) -> np.ndarray:
    """The interval from ``reference`` to ``f``, in hundredths of a semitone."""
    return 1200 * np.log2(np.asarray(f) / np.asarray(reference))


def normalise(wave: npt.ArrayLike, peak: float = 0.9) -> np.ndarray:
    """The wave with its highest point at ``peak``, or as it is if it is silent; nothing is clipped."""
    wave = np.asarray(wave, np.float32)
    top = np.abs(wave).max(axis=-1, keepdims=True)
    return np.where(top > 1e-6, peak * wave / np.maximum(top, 1e-6), wave)


class Recording(NamedTuple):
    """A file as it was read: its wave (samples,), and whether one channel was taken, for together they cancel out."""

    wave: np.ndarray
    one_channel: bool


def load(
    path: str | Path,
    sample_rate: int = SAMPLE_RATE,
    min_seconds: float = MIN_SECONDS,
    max_seconds: float = MAX_SECONDS,
) -> np.ndarray:
    """Read a sound file (WAV, FLAC, OGG, MP3) as mono at ``sample_rate``: (samples,), float32, peak at 0.9.

    Channels are averaged, or the loudest is taken where their average is far quieter; other rates are resampled (soxr).
    Raises DataError, in one sentence, for what cannot be read, is empty, too short, too long, silent, so quiet that it
    is rounding noise, or holds NaN.
    """
    return record(path, sample_rate, min_seconds, max_seconds).wave


def record(
    path: str | Path,
    sample_rate: int = SAMPLE_RATE,
    min_seconds: float = MIN_SECONDS,
    max_seconds: float = MAX_SECONDS,
) -> Recording:
    """As :func:`load`, and how it was read. Of files of over a minute, a minute is held at its own rate at a time."""
    import soundfile

    path = Path(path)
    try:
        # As bytes, since a name need not be UTF-8; Windows has names of characters.
        with soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path)) as file:
            rate, seconds, step = file.samplerate, file.frames / max(file.samplerate, 1), STEPS.get(file.subtype, 0)
            if file.frames == 0:
                raise DataError(f"{path.name}: holds no sound at all (0 samples); leave the file out.")
            if seconds > max_seconds:  # before it is read
                raise DataError(f"{path.name}: is {seconds:.0f} seconds long, and more than {max_seconds:g} were not "
                                "expected; cut it into single notes or phrases.")
            if seconds <= MAX_SECONDS:
                channels = file.read(dtype="float32", always_2d=True)
                loudest = _loudest(np.square(channels, dtype=float).sum(axis=0), _power(channels))
                wave = _mono(channels, loudest)
            else:
                wave, loudest = _long(file, sample_rate)
                rate = sample_rate
    except (soundfile.LibsndfileError, RuntimeError, OSError, TypeError) as error:
        reason = str(error).rstrip(".").split(": ")[-1]
        message = f"{path.name}: cannot be read as sound ({reason}); give a whole WAV, FLAC or OGG file."
        raise DataError(message) from None
    top = float(np.abs(wave).max())
    if QUIET < top < LEAST_STEPS * step:
        raise DataError(f"{path.name}: is nearly silent, {20 * math.log10(top):.0f} dB at its loudest, and would be "
                        "noise of rounding if made loud; record it louder, or leave it out.")
    return Recording(prepare(wave, rate, path.name, sample_rate, min_seconds), loudest is not None)


def _power(channels):
    """The power of the average of the channels (n, channels), summed over time."""
    return float(np.square(channels.mean(axis=1), dtype=float).sum())


def _loudest(each, together):
    """The number of the loudest channel, from the power of each (channels,), if their average is far quieter than it.

    By 20 dB; and by more than an average that has one channel with sound, and others without.
    """
    far = min(0.1, 0.5 / len(each))
    return int(each.argmax()) if together < far**2 * each.max() else None


def _mono(channels, loudest):
    return channels.mean(axis=1) if loudest is None else channels[:, loudest]


def _long(file, sample_rate):
    """A long file as mono at sample_rate, and which channel was taken, if one was; in two passes."""
    import soxr

    each, together, size = 0, 0.0, 60 * file.samplerate
    for block in file.blocks(size, dtype="float32", always_2d=True):
        each, together = each + np.square(block, dtype=float).sum(axis=0), together + _power(block)
    loudest = _loudest(each, together)
    file.seek(0)
    stream, parts = soxr.ResampleStream(file.samplerate, sample_rate, 1, dtype="float32"), []
    for block in file.blocks(size, dtype="float32", always_2d=True):
        parts.append(stream.resample_chunk(np.ascontiguousarray(_mono(block, loudest))))
    parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts), loudest


def onset(wave: npt.ArrayLike, sample_rate: int = SAMPLE_RATE) -> int:
    """How many samples of silence a wave (samples,) begins with, less 20 ms; 0 for less than a tenth of a second.

    Sound is what is less than 45 dB below the loudest frame of 10 ms and twice as strong as the first 50 ms, whose
    noise may be up to 26 dB below it. From there it goes back to where the sound begins to rise.
    """
    wave, size = np.asarray(wave, np.float32), sample_rate // 100
    if len(wave) < 10 * size:
        return 0
    level = np.sqrt(np.square(wave[: len(wave) // size * size].reshape(-1, size)).mean(axis=1))
    top, noise = level.max(), np.median(level[:5])
    first = int((level > min(max(0.0056 * top, 2 * noise), 0.1 * top)).argmax())
    while first > 0 and level[first - 1] > max(1.3 * noise, 1e-3 * top):
        first -= 1
    silent = (first - 2) * size
    return silent if silent >= sample_rate // 10 else 0


def prepare(
    wave: npt.ArrayLike,
    rate: int,
    name: str = "sound",
    sample_rate: int = SAMPLE_RATE,
    min_seconds: float = MIN_SECONDS,
) -> np.ndarray:
    """Check a mono wave (samples,) at ``rate``, resample it to ``sample_rate`` and set its peak to 0.9."""
    import soxr

    wave = np.asarray(wave, np.float32)
    if not np.isfinite(wave).all():
        raise DataError(f"{name}: {(~np.isfinite(wave)).sum()} of {len(wave)} samples are NaN or infinite; record or "
                        "convert it again.")
    if len(wave) < min_seconds * rate:
        raise DataError(f"{name}: lasts {len(wave) / rate:.3f} seconds, and at least {min_seconds:g} are needed; leave "
                        "it out.")
    if np.abs(wave).max() < QUIET:
        raise DataError(f"{name}: is silent from beginning to end; leave it out.")
    if rate != sample_rate:
        wave = soxr.resample(wave, rate, sample_rate)
    return normalise(wave)


def fit_length(wave: npt.ArrayLike, samples: int, fade: int = 320) -> np.ndarray:
    """The wave cut to ``samples``, with a short fade, or filled up with silence."""
    wave = np.asarray(wave, np.float32)
    if len(wave) >= samples:
        wave = wave[:samples].copy()
        wave[-fade:] *= np.linspace(1, 0, min(fade, samples), dtype=np.float32)
        return wave
    return np.pad(wave, (0, samples - len(wave)))


def encode(wave: npt.ArrayLike, sample_rate: int = SAMPLE_RATE, format: str = "mp3", comment: str = "") -> bytes:
    """The wave (samples,) as the bytes of a sound file: "mp3" (small), "wav" or "flac" (exact)."""
    import soundfile

    bytes_ = io.BytesIO()
    with soundfile.SoundFile(bytes_, "w", sample_rate, 1, format=format.upper()) as file:
        if comment:
            file.comment = comment
        file.write(np.clip(wave, -1, 1))
    return bytes_.getvalue()


def show(
    wave: npt.ArrayLike,
    label: str,
    sample_rate: int = SAMPLE_RATE,
    format: str = "mp3",
    save: str | None = None,
) -> None:
    """Show a player for the wave in a notebook. ``label`` says what there is to hear, also where sound is stripped.

    ``save`` names a file in ``notebooks/sounds`` for other pages; it is written by ``make notebooks`` alone, and
    replaces nothing but a sound that was saved like this.
    """
    from IPython.display import display

    if save and recording():
        _save(SOUNDS / save, encode(np.asarray(wave), sample_rate, Path(save).suffix[1:], MADE_BY))
    data = base64.b64encode(encode(np.asarray(wave), sample_rate, format)).decode()
    kind = {"mp3": "mpeg"}.get(format, format)
    html = f'{label}<br><audio controls aria-label="{label}" src="data:audio/{kind};base64,{data}"></audio>'
    display({"text/html": html, "text/plain": f"sound: {label}"}, raw=True)


def _save(file: Path, data: bytes):
    """Write a sound that says in its comment who made it; what does not say so is left alone."""
    import soundfile

    if os.path.lexists(file):
        try:
            with soundfile.SoundFile(file) as before:
                ours = before.comment == MADE_BY
        except (soundfile.LibsndfileError, OSError):
            ours = False
        if not ours:
            raise DiskError(f"{file} was not saved by a notebook, and is left as it is; move it, or use another name.")
    write_bytes(file, data)


def melody(
    notes: Mapping[int, np.ndarray],
    tune: Sequence[tuple[int | None, float]],
    beat: float = 0.3,
    sample_rate: int = SAMPLE_RATE,
) -> np.ndarray:
    """Notes laid out in time: ``notes`` maps a pitch to its wave, ``tune`` lists (pitch, beats); None is a rest."""
    starts = np.cumsum([0] + [beats for _, beats in tune]) * beat * sample_rate
    longest = max(len(w) for w in notes.values())
    out = np.zeros(int(starts[-1]) + longest, np.float32)
    for (pitch_, beats), start in zip(tune, starts):
        if pitch_ is None:
            continue
        wave = fit_length(notes[pitch_], min(longest, int((beats * beat + 0.15) * sample_rate)))
        out[int(start) : int(start) + len(wave)] += wave
    return normalise(out)
