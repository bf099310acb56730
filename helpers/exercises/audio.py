"""Exercises of Audio: pitch, phase, decibels, periods, and a prior fitted to codes."""

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns


@exercise(
    why="an octave doubles, and twelve equal ratios make an octave, so a semitone is the twelfth root of 2.",
    hints=[
        "How many semitones is a pitch above 69? How many octaves is that?",
        "n octaves up multiply the frequency by 2 ** n, for fractional n, too.",
        "`440 * 2 ** ((pitch - 69) / 12)`",
    ],
)
def frequency(pitch):
    return 440.0 * 2.0 ** ((np.asarray(pitch) - 69) / 12)


@frequency.fact
def of_pitch_69_is_440(frequency):
    require(near(frequency(69), 440), "pitch 69 is the A above middle C, 440 Hz")


@frequency.fact
def doubles_in_an_octave(frequency):
    low, middle, high = (returns(frequency(pitch), ()) for pitch in (57, 69, 81))
    require(near(high / middle, 2), "twelve semitones up must double the frequency")
    require(near(low / middle, 0.5), "twelve semitones down must halve the frequency")


@frequency.fact
def grows_by_the_same_ratio(frequency):
    hertz = np.array([returns(frequency(pitch), ()) for pitch in range(40, 91)])
    require(np.ptp(hertz[1:] / hertz[:-1]) < 1e-9, "every semitone must multiply by the same ratio, and none by 1")


@frequency.fact
def takes_arrays(frequency):
    returns(frequency(np.array([57, 69])), (2,), "two frequencies for two pitches")


@exercise(
    why="exp(i angle) has length 1 and the direction of the spectrum; the magnitude gives it its length.",
    hints=[
        "A complex number is a length times a direction. Keep one from each argument.",
        "The direction is spectrum / |spectrum|, or exp(1j * np.angle(spectrum)), which also works for 0.",
        "`magnitude * np.exp(1j * np.angle(spectrum))`",
    ],
)
def with_phases_of(spectrum, magnitude):
    return magnitude * np.exp(1j * np.angle(spectrum))


def both_of(with_phases_of):
    """A spectrum, a magnitude, and what the answer makes of both."""
    rng = np.random.default_rng(0)
    spectrum, magnitude = rng.normal(size=(5, 4)) + 1j * rng.normal(size=(5, 4)), rng.random((5, 4)) + 0.1
    return spectrum, magnitude, returns(with_phases_of(spectrum, magnitude), (5, 4), dtype=None)


@with_phases_of.fact
def has_the_magnitudes(with_phases_of):
    _, magnitude, out = both_of(with_phases_of)
    require(near(np.abs(out), magnitude, 1e-6), "the magnitudes must be those asked for")


@with_phases_of.fact
def has_the_phases(with_phases_of):
    spectrum, _, out = both_of(with_phases_of)
    require(np.iscomplexobj(out), "a spectrum with phases is complex; yours is real")
    require(near(np.angle(out / spectrum), 0), "the phases must be those of the spectrum")


@with_phases_of.fact
def takes_zeros(with_phases_of):
    out = returns(with_phases_of(np.zeros((2, 2), complex), np.ones((2, 2))), (2, 2), dtype=None)
    require(np.isfinite(out), "where the spectrum is 0 any phase will do, but 0 / 0 is none")


@exercise(
    why="an amplitude ratio r is 20 log10 r dB; 10 log10 is for powers, and the floor must come before the logarithm.",
    hints=[
        "Magnitudes are amplitudes. What is the factor in front of log10 for them?",
        "Where does log 0 come from? Apply np.maximum(…, floor) first, to both.",
        "`20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))`, squared, mean over axes 1 and 2, root.",
    ],
)
def log_distance(a, b, floor=1e-3):
    difference = 20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))
    return np.sqrt((difference**2).mean(axis=(1, 2)))


@log_distance.fact
def counts_decibels_of_amplitudes(log_distance):
    a = np.random.default_rng(1).random((3, 6, 5)) + 0.1
    for b in (10 * a, a / 10):
        require(
            near(returns(log_distance(a, b), (3,), "3 distances for 3 spectrograms"), 20, 1e-6),
            "magnitudes ten times as large everywhere are 20 dB away, whichever of a and b is louder",
        )
    require(near(log_distance(a, 2 * a), 20 * np.log10(2), 1e-6), "magnitudes twice as large everywhere are 6 dB away")


@log_distance.fact
def has_a_floor(log_distance):
    a = np.ones((2, 3, 3))
    b = a.copy()
    b[0, 0, 0] = 0
    fact = "log 0 is minus infinity: set magnitudes below the floor to the floor"
    require(np.isfinite(returns(log_distance(a, b))), fact)
    quiet = log_distance(1e-9 * a, 1e-14 * a)
    require(near(quiet, 0), "two magnitudes far below the floor are both silence, not apart")


@log_distance.fact
def is_a_root_of_a_mean_of_squares(log_distance):
    distance = log_distance(np.ones((1, 1, 4)), np.array([[[1.0, 1.0, 1.0, 10.0]]]))
    require(near(distance, 10, 1e-6), "take the root of the mean of the squares, not the mean of the roots")


@exercise(
    why="dividing by the running mean makes the curve start at 1 and stay near it until the first real period.",
    hints=[
        "First the plain difference: for each lag, the sum of (wave[t] - wave[t + lag])² over len(wave) - longest t's.",
        "The mean of the differences of lags 1 … lag is np.cumsum(d[1:]) / np.arange(1, longest + 1).",
        "`out[1:] = d[1:] * lags / np.cumsum(d[1:])`, and `out[0] = 1`.",
    ],
)
def normalised_difference(wave, longest):
    window = len(wave) - longest
    d = np.array([((wave[:window] - wave[lag : lag + window]) ** 2).sum() for lag in range(longest + 1)])
    out = np.ones(longest + 1)
    lags = np.arange(1, longest + 1)
    out[1:] = d[1:] * lags / np.maximum(np.cumsum(d[1:]), 1e-12)
    return out


def curve(normalised_difference, wave, longest):
    what = f"{longest + 1} numbers for lags 0 to {longest}"
    return returns(normalised_difference(wave, longest), (longest + 1,), what)


def tone(period, n=600):
    t = np.arange(n)
    return sum(np.sin(2 * np.pi * h * t / period) / h for h in (1, 2, 3))


@normalised_difference.fact
def begins_at_1(normalised_difference):
    found = curve(normalised_difference, tone(20), 60)[0]
    require(near(found, 1), "at lag 0 the curve is 1 by definition, or it would win")


@normalised_difference.fact
def dips_at_the_period(normalised_difference):
    out = curve(normalised_difference, tone(20), 60)
    require(out[[20, 40]] < 0.01, "shifted by a whole period the wave agrees with itself: a dip to 0")
    require(
        out[10] > 0.5,
        "at half a period the wave does not agree with itself, and the curve must stand near 1 or above; is each "
        "difference divided by a mean, not by a sum?",
    )


@normalised_difference.fact
def ignores_loudness(normalised_difference):
    soft, loud = (curve(normalised_difference, k * tone(23), 50) for k in (1, 30))
    fact = "a louder wave has the same pitch: divide by the mean difference of the smaller lags"
    require(near(soft, loud, 1e-6), fact)


RUNNING_MEAN = (
    "each difference is divided by the mean of all differences from lag 1 up to its own, over one window "
    "length for all lags"
)


@normalised_difference.fact
def ignores_larger_lags(normalised_difference):
    wave = np.random.default_rng(3).normal(size=300)
    more, fewer = curve(normalised_difference, wave, 40), curve(normalised_difference, wave[:-20], 20)
    require(near(more[:21], fewer, 1e-6), RUNNING_MEAN)  # both have a window of 260


@normalised_difference.fact
def agrees_with_a_wave_of_six_numbers(normalised_difference):
    # the window is 0, 1, 3; shifted by one it meets 1, 3, 0: 1 + 4 + 9 = 14; by two 11, by three 5
    out = curve(normalised_difference, np.array([0.0, 1.0, 3.0, 0.0, 2.0, 1.0]), 3)
    require(near(out, [1, 14 / 14, 11 / ((14 + 11) / 2), 5 / ((14 + 11 + 5) / 3)]), RUNNING_MEAN)


@exercise(
    why="if L Lᵀ is the covariance, L times standard normal noise has it; the covariance itself would have its square.",
    hints=[
        "Draw from it and compare the standard deviation of each number with that of the codes.",
        "Noise @ A.T has the covariance A Aᵀ. Which A gives the one wanted?",
        "`np.linalg.cholesky(covariance)` is such an A; mind the `.T`, since codes are rows here.",
    ],
)
def draw_codes(codes, n, rng):
    mean, covariance = codes.mean(axis=0), np.cov(codes.T)
    return mean + rng.standard_normal((n, codes.shape[1])) @ np.linalg.cholesky(covariance).T


def drawn(draw_codes, n=50_000, seed=5):
    """4,000 codes of three numbers, and n that are drawn from them."""
    mix = np.array([[3.0, 0.0, 0.0], [1.5, 0.5, 0.0], [0.0, -0.3, 0.2]])
    codes = np.random.default_rng(4).standard_normal((4000, 3)) @ mix.T + [1.0, -2.0, 0.5]
    return codes, returns(draw_codes(codes, n, np.random.default_rng(seed)), (n, 3), f"{n} codes of 3 numbers")


@draw_codes.fact
def draws_new_codes(draw_codes):
    codes, z = drawn(draw_codes)
    require(np.isfinite(z), "what is drawn must be finite numbers")
    _, again = drawn(draw_codes, 5, seed=6)
    require(np.abs(again - z[:5]).max() > 1e-9, "another generator must give other codes; draw from rng")
    apart = np.abs(z[:5, None] - codes[None]).max(axis=2)
    require(apart > 1e-9, "new codes are asked for, not those given")


@draw_codes.fact
def has_the_mean(draw_codes):
    codes, z = drawn(draw_codes)
    fact = "the mean of what is drawn must be that of the codes"
    require(near(z.mean(axis=0), codes.mean(axis=0), 0.06), fact)


@draw_codes.fact
def has_the_spread(draw_codes):
    codes, z = drawn(draw_codes)
    require(
        near(z.std(axis=0) / codes.std(axis=0), 1, 0.03),
        "each number must spread as it does in the codes; noise @ B has the covariance B.T @ B",
    )


@draw_codes.fact
def has_the_correlations(draw_codes):
    codes, z = drawn(draw_codes)
    fact = "numbers that go together in the codes must do so"
    require(near(np.corrcoef(z.T), np.corrcoef(codes.T), 0.03), fact)
