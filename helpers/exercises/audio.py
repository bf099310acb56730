"""Exercises of notebook 07: pitch, phase, decibels, periods, and a prior fitted to codes."""

import numpy as np

from helpers.exercises.engine import Exercise, require

# --- frequency ---------------------------------------------------------------------------------------


def _frequency(pitch):
    return 440.0 * 2.0 ** ((np.asarray(pitch) - 69) / 12)


def _frequency_a4(f):
    require(abs(float(f(69)) - 440) < 1e-9, "pitch 69 is the A above middle C, 440 Hz")


def _frequency_octave(f):
    require(abs(float(f(81)) / float(f(69)) - 2) < 1e-9, "twelve semitones up must double the frequency")
    require(abs(float(f(57)) / float(f(69)) - 0.5) < 1e-9, "twelve semitones down must halve the frequency")


def _frequency_even(f):
    steps = [float(f(p + 1)) / float(f(p)) for p in range(40, 90)]
    require(np.ptp(steps) < 1e-9, "every semitone must multiply by the same ratio, and none by 1")


def _frequency_arrays(f):
    found = np.asarray(f(np.array([57, 69])))
    require(found.shape == (2,), f"two pitches must give two frequencies; yours have shape {found.shape}")


frequency = Exercise(
    "frequency",
    _frequency,
    "an octave doubles, and twelve equal ratios make an octave, so a semitone is the twelfth root of 2.",
    [_frequency_a4, _frequency_octave, _frequency_even, _frequency_arrays],
    [
        "How many semitones is a pitch above 69? How many octaves is that?",
        "n octaves up multiply the frequency by 2 ** n, for fractional n, too.",
        "`440 * 2 ** ((pitch - 69) / 12)`",
    ],
)

# --- with_phases_of ----------------------------------------------------------------------------------


def _with_phases_of(spectrum, magnitude):
    return magnitude * np.exp(1j * np.angle(spectrum))


def _complex(f, spectrum, magnitude):
    out = np.asarray(f(spectrum, magnitude))
    require(out.shape == magnitude.shape, f"the shape must stay {magnitude.shape}; yours is {out.shape}")
    return out


def _spectra():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 4)) + 1j * rng.normal(size=(5, 4)), rng.random((5, 4)) + 0.1


def _phase_magnitudes(f):
    spectrum, magnitude = _spectra()
    out = _complex(f, spectrum, magnitude)
    require(np.abs(np.abs(out) - magnitude) < 1e-6, "the magnitudes must be those asked for")


def _phase_phases(f):
    spectrum, magnitude = _spectra()
    out = _complex(f, spectrum, magnitude)
    require(np.iscomplexobj(out), "a spectrum with phases is complex; yours is real")
    require(np.abs(np.angle(out / spectrum)) < 1e-9, "the phases must be those of the spectrum")


def _phase_zero(f):
    out = _complex(f, np.zeros((2, 2), complex), np.ones((2, 2)))
    require(np.isfinite(out), "where the spectrum is 0 any phase will do, but 0 / 0 is none")


with_phases_of = Exercise(
    "with_phases_of",
    _with_phases_of,
    "exp(i angle) has length 1 and the direction of the spectrum; the magnitude gives it its length.",
    [_phase_magnitudes, _phase_phases, _phase_zero],
    [
        "A complex number is a length times a direction. Keep one from each argument.",
        "The direction is spectrum / |spectrum|, or exp(1j * np.angle(spectrum)), which also works for 0.",
        "`magnitude * np.exp(1j * np.angle(spectrum))`",
    ],
)

# --- log_distance: spot the bug ----------------------------------------------------------------------


def _log_distance(a, b, floor=1e-3):
    difference = 20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))
    return np.sqrt((difference**2).mean(axis=(1, 2)))


def _db(f, a, b):
    out = np.asarray(f(a, b), float)
    require(out.shape == (len(a),), f"{len(a)} spectrograms must get {len(a)} distances; yours have shape {out.shape}")
    return out


def _db_factor(f):
    a = np.random.default_rng(1).random((3, 6, 5)) + 0.1
    require(np.abs(np.stack([_db(f, a, 10 * a), _db(f, 10 * a, a)]) - 20) < 1e-6,
            "magnitudes ten times as large everywhere are 20 dB away, whichever of a and b is louder")  # fmt: skip
    require(np.abs(_db(f, a, 2 * a) - 20 * np.log10(2)) < 1e-6, "magnitudes twice as large everywhere are 6 dB away")


def _db_silence(f):
    a = np.ones((2, 3, 3))
    b = a.copy()
    b[0, 0, 0] = 0
    require(np.isfinite(_db(f, a, b)), "log 0 is minus infinity: set magnitudes below the floor to the floor")
    quiet = np.full((2, 3, 3), 1e-9)
    require(_db(f, quiet, 1e-5 * quiet) < 1e-9, "two magnitudes far below the floor are both silence, not apart")


def _db_root(f):
    a, b = np.ones((1, 1, 4)), np.array([[[1.0, 1.0, 1.0, 10.0]]])
    require(abs(_db(f, a, b)[0] - 10) < 1e-6, "take the root of the mean of the squares, not the mean of the roots")


log_distance = Exercise(
    "log_distance",
    _log_distance,
    "an amplitude ratio r is 20 log10 r dB; 10 log10 is for powers, and the floor must come before the logarithm.",
    [_db_factor, _db_silence, _db_root],
    [
        "Magnitudes are amplitudes. What is the factor in front of log10 for them?",
        "Where does log 0 come from? Apply np.maximum(…, floor) first, to both.",
        "`20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))`, squared, mean over axes 1 and 2, root.",
    ],
)

# --- normalised_difference ---------------------------------------------------------------------------


def _normalised_difference(wave, longest):
    window = len(wave) - longest
    d = np.array([((wave[:window] - wave[lag : lag + window]) ** 2).sum() for lag in range(longest + 1)])
    out = np.ones(longest + 1)
    lags = np.arange(1, longest + 1)
    out[1:] = d[1:] * lags / np.maximum(np.cumsum(d[1:]), 1e-12)
    return out


def _curve(f, wave, longest):
    out = np.asarray(f(wave, longest), float)
    require(out.shape == (longest + 1,), f"lags 0 to {longest} are {longest + 1} numbers; yours have shape {out.shape}")
    return out


def _wave(period, n=600):
    t = np.arange(n)
    return sum(np.sin(2 * np.pi * h * t / period) / h for h in (1, 2, 3))


def _difference_at_zero(f):
    require(abs(_curve(f, _wave(20), 60)[0] - 1) < 1e-9, "at lag 0 the curve is 1 by definition, or it would win")


def _difference_dips(f):
    out = _curve(f, _wave(20), 60)
    require(out[20] < 0.01 and out[40] < 0.01, "shifted by a whole period the wave agrees with itself: a dip to 0")
    require(out[10] > 0.5, "at half a period the wave does not agree with itself, and the curve must stand near 1 or "
            "above; is each difference divided by a mean, not by a sum?")  # fmt: skip


def _difference_scale(f):
    a, b = (_curve(f, k * _wave(23), 50) for k in (1, 30))
    require(np.abs(a - b) < 1e-6, "a louder wave has the same pitch: divide by the mean difference of the smaller lags")


def _difference_mean(f):
    wave = np.random.default_rng(3).normal(size=300)
    out = _curve(f, wave, 40)
    require(np.abs(out - _normalised_difference(wave, 40)) < 1e-6,
            "each difference is divided by the mean of all differences from lag 1 up to its own, over one window "
            "length for all lags")  # fmt: skip


normalised_difference = Exercise(
    "normalised_difference",
    _normalised_difference,
    "dividing by the running mean makes the curve start at 1 and stay near it until the first real period.",
    [_difference_at_zero, _difference_dips, _difference_scale, _difference_mean],
    [
        "First the plain difference: for each lag, the sum of (wave[t] - wave[t + lag])² over len(wave) - longest t's.",
        "The mean of the differences of lags 1 … lag is np.cumsum(d[1:]) / np.arange(1, longest + 1).",
        "`out[1:] = d[1:] * lags / np.cumsum(d[1:])`, and `out[0] = 1`.",
    ],
)

# --- draw_codes: spot the bug ------------------------------------------------------------------------


def _draw_codes(codes, n, rng):
    mean, covariance = codes.mean(axis=0), np.cov(codes.T)
    return mean + rng.standard_normal((n, codes.shape[1])) @ np.linalg.cholesky(covariance).T


def _cloud():
    rng = np.random.default_rng(4)
    mix = np.array([[3.0, 0.0, 0.0], [1.5, 0.5, 0.0], [0.0, -0.3, 0.2]])
    return rng.standard_normal((4000, 3)) @ mix.T + [1.0, -2.0, 0.5]


def _drawn(f):
    codes = _cloud()
    z = np.asarray(f(codes, 50_000, np.random.default_rng(5)), float)
    require(z.shape == (50_000, 3), f"50000 codes of 3 numbers have shape (50000, 3); yours {z.shape}")
    return codes, z


def _codes_new(f):
    codes, z = _drawn(f)
    require(np.isfinite(z), "what is drawn must be finite numbers")
    again = np.asarray(f(codes, 5, np.random.default_rng(6)), float)
    require(np.abs(again - z[:5]).max() > 1e-9, "another generator must give other codes; draw from rng")
    apart = np.abs(z[:5, None] - codes[None]).max(axis=2).min()
    require(apart > 1e-9, "new codes are asked for, not those given")


def _codes_mean(f):
    codes, z = _drawn(f)
    require(np.abs(z.mean(axis=0) - codes.mean(axis=0)) < 0.06, "the mean of what is drawn must be that of the codes")


def _codes_spread(f):
    codes, z = _drawn(f)
    require(np.abs(z.std(axis=0) / codes.std(axis=0) - 1) < 0.03,
            "each number must spread as it does in the codes; noise @ B has the covariance B.T @ B")  # fmt: skip


def _codes_together(f):
    codes, z = _drawn(f)
    require(np.abs(np.corrcoef(z.T) - np.corrcoef(codes.T)) < 0.03, "numbers that go together in the codes must do so")


draw_codes = Exercise(
    "draw_codes",
    _draw_codes,
    "if L Lᵀ is the covariance, L times standard normal noise has it; the covariance itself would have its square.",
    [_codes_new, _codes_mean, _codes_spread, _codes_together],
    [
        "Draw from it and compare the standard deviation of each number with that of the codes.",
        "Noise @ A.T has the covariance A Aᵀ. Which A gives the one wanted?",
        "`np.linalg.cholesky(covariance)` is such an A; mind the `.T`, since codes are rows here.",
    ],
)
