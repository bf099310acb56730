"""Single notes of synthetic instruments, with known pitch, family and timbre.

An *instrument* is a family and four numbers from 0 to 1: brightness, attack, decay, and a colour that each
family understands in its own way. It plays the 36 semitones from C3 to B5. Whole regions of timbre are held
out: a band of attack for validation, a band of brightness for test.

Every sound is a sum of harmonics below half the sample rate, so that nothing is out of tune and nothing
aliases; sin((h+1)θ) = 2 cos θ sin(hθ) - sin((h-1)θ) makes that fast.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from helpers.data.cache import cached
from helpers.data.dataset import DataError, Dataset

SAMPLE_RATE = 16_000  # Hz
SECONDS = 1.0
PITCHES = tuple(range(48, 84))  # MIDI numbers, C3 to B5; 69 is A4, 440 Hz
FAMILIES = ("plucked", "additive", "FM", "subtractive")
TIMBRE = ("brightness", "attack", "decay", "colour")
NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
VALID_BAND, TEST_BAND = (0.45, 0.6), (0.45, 0.6)  # of attack, of brightness


def frequency(pitch: npt.ArrayLike) -> np.ndarray:
    """Hz of a MIDI pitch, in equal temperament."""
    return 440.0 * 2.0 ** ((np.asarray(pitch) - 69) / 12)


def pitch_name(pitch: int) -> str:
    """The name of a MIDI pitch, such as A4 for 69."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def harmonics(
    f0: float, gains: Callable[[int], float | np.ndarray], n: int, sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """The sum of gains(h) sin(2π h f0 t) over all h below half the sample rate; gains(h) is a number or (n,)."""
    theta = 2 * np.pi * f0 / sample_rate * np.arange(n)
    twice, before, now = 2 * np.cos(theta), np.zeros(n), np.sin(theta)
    wave = np.zeros(n)
    for h in range(1, int(0.5 * sample_rate / f0) + 1):
        wave += gains(h) * now
        before, now = now, twice * now - before
    return wave


def play(
    family: str, timbre: Iterable[float], pitch: int, seconds: float = SECONDS, sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """One note: (samples,), between -0.9 and 0.9, float32. ``timbre`` is (brightness, attack, decay, colour), 0 to 1.

    plucked: modes of a string, plucked at a place between its end and its middle (the colour); high ones die first.
    additive: harmonics with a slope; the colour fades out the even ones, from a reed to a clarinet.
    FM: a carrier whose phase swings at its own frequency, or (colour above a half) at twice that (Chowning, 1973).
    subtractive: a sawtooth behind a low-pass filter that closes; the colour is its resonance.
    """
    bright, attack, decay, colour = (float(np.clip(v, 0, 1)) for v in timbre)
    n, f0 = round(seconds * sample_rate), float(frequency(pitch))
    t = np.arange(n) / sample_rate
    rise = 0.002 * 75.0 ** (attack if family != "plucked" else 0.3 * attack)  # seconds: 2 to 150 ms
    fall = 0.25 * 8.0**decay  # seconds until the note has lost a factor e: 0.25 to 2
    envelope = (1 - np.exp(-t / rise * 3)) * np.exp(-t / fall)
    if family == "plucked":
        place = 0.08 + 0.4 * colour
        # exp(-(a + b h) t), one factor more for each mode
        each = np.exp(-t * (0.1 + 0.9 * (1 - bright)) / fall)
        state = [np.ones(n)]

        def gains(h):
            state[0] = state[0] * each
            return np.sin(np.pi * h * place) / h ** (1.6 - bright) * state[0]
    elif family == "additive":
        slope, even = 2.4 - 1.9 * bright, (1 - colour) ** 1.5

        def gains(h):
            return h**-slope * (1.0 if h % 2 else even)
    elif family == "subtractive":
        cutoff = f0 * 2.0 ** (0.5 + 4 * bright) * (0.4 + 0.6 * np.exp(-2 * t / fall))
        damping = 1.4 - 1.15 * colour

        def gains(h):
            r = (h * f0 / cutoff) ** 2
            return 1 / (h * np.sqrt((1 - r) ** 2 + damping**2 * r))
    elif family == "FM":
        index = (0.3 + 4.0 * bright) * (0.25 + 0.75 * np.exp(-2.5 * t / fall))
        index *= min(1.0, 0.4 * sample_rate / f0 / 10)  # no sidebands beyond half the rate
        theta = 2 * np.pi * f0 * t
        # Modulators at one and at two times the carrier's frequency: all partials are harmonics.
        swing = (1 - colour) * np.sin(theta) + colour * np.sin(2 * theta)
        wave = np.sin(theta + index * swing)
    else:
        raise DataError(f"notes: there is no family {family!r}; choose one of {', '.join(FAMILIES)}.")
    if family != "FM":
        wave = harmonics(f0, gains, n, sample_rate)
    wave = wave * envelope
    wave[-(n // 50) :] *= np.linspace(1, 0, n // 50)  # no click at the end
    return (0.9 * wave / max(np.abs(wave).max(), 1e-9)).astype(np.float32)


def instruments(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n instruments: family numbers (n,), timbres (n, 4), and which split each belongs to (n,), by its region."""
    rng = np.random.default_rng(seed)
    families, timbres = np.arange(n) % len(FAMILIES), rng.random((n, 4))
    tested = (timbres[:, 0] >= TEST_BAND[0]) & (timbres[:, 0] < TEST_BAND[1])
    chosen = (timbres[:, 1] >= VALID_BAND[0]) & (timbres[:, 1] < VALID_BAND[1]) & ~tested
    return families, timbres, np.where(tested, "test", np.where(chosen, "valid", "train"))


def load(n: int = 320, pitches: int = 12, seed: int = 0) -> Dataset:
    """``n`` instruments playing ``pitches`` different ones of the 36 each, as log-magnitude spectrograms.

    x (N, 513, 51): natural logarithm of magnitudes, -6.9 (silence) to 0, float16; labels are the 36 pitches,
    groups the instruments. The instruments themselves: :func:`instruments`. Made on first use, in some ten
    seconds, and kept in ``data/cache``.
    """
    from helpers import sound

    if not (len(FAMILIES) <= n and 1 <= pitches <= len(PITCHES)):
        raise DataError(f"notes: {n} instruments with {pitches} pitches were asked for; take at least "
                        f"{len(FAMILIES)} instruments and 1 to {len(PITCHES)} pitches.")
    families, timbres, splits = instruments(n, seed)

    def make():
        rng = np.random.default_rng(seed + 1)
        labels = np.sort(np.stack([rng.permutation(len(PITCHES))[:pitches] for _ in range(n)]), axis=1)
        x = []
        for family, timbre, chosen in zip(families, timbres, labels):
            waves = np.stack([play(FAMILIES[family], timbre, PITCHES[k]) for k in chosen])
            x.append(sound.log_magnitude(waves).numpy().astype(np.float16))
        return {"x": np.concatenate(x), "labels": labels.ravel(), "groups": np.repeat(np.arange(n), pitches)}

    source = Path(__file__).read_bytes() + Path(sound.__file__).read_bytes()
    stored = cached("notes", f"{n} {pitches} {seed} {np.__version__}".encode() + source, make)
    groups = {split: np.nonzero(splits == split)[0] for split in ("valid", "test")}
    return Dataset.make(
        "notes, log-magnitude spectrograms",
        stored["x"],
        stored["labels"],
        names=tuple(map(pitch_name, PITCHES)),
        valid=groups["valid"],
        test=groups["test"],
        group=stored["groups"],
        group_names=tuple(f"{FAMILIES[f]} {i}" for i, f in enumerate(families)),
        kind="sound",
        source="synthesised on this machine",
    )
