"""Exercises of Audio: pitch, decibels, and harmonics that glide."""

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns, same_alone


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
    require(np.ptp(hertz[1:] / hertz[:-1]) < 1e-5, "every semitone must multiply by the same ratio, and none by 1")


@frequency.fact
def takes_arrays(frequency):
    returns(frequency(np.array([57, 69])), (2,), "two frequencies for two pitches")


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
            near(returns(log_distance(1e4 * a, 1e4 * b), (3,), "3 distances for 3 spectrograms"), 20, 1e-6),
            "magnitudes ten times as large everywhere are 20 dB away, whichever of a and b is louder",
        )
    fact = "magnitudes twice as large everywhere are 6 dB away"
    require(near(log_distance(1e4 * a, 2e4 * a), 20 * np.log10(2), 1e-6), fact)


@log_distance.fact
def has_a_floor(log_distance):
    a = np.ones((2, 3, 3))
    b = a.copy()
    b[0, 0, 0] = 0
    fact = "log 0 is minus infinity: set magnitudes below the floor to the floor"
    require(np.isfinite(returns(log_distance(a, b))), fact)
    quiet = log_distance(1e-9 * a, 1e-14 * a)
    require(near(quiet, 0), "two magnitudes far below the floor are both silence, not apart")
    fact = "the floor is a lower limit, and is added to nothing: magnitudes above it stay as they are"
    require(near(log_distance(0.04 * a, 0.02 * a), 20 * np.log10(2), 1e-3), fact)


@log_distance.fact
def is_a_root_of_a_mean_of_squares(log_distance):
    distance = log_distance(np.ones((1, 1, 4)), np.array([[[1.0, 1.0, 1.0, 10.0]]]))
    require(near(distance, 10), "take the root of the mean of the squares, not the mean of the roots")


@log_distance.fact
def hears_silence_as_the_floor(log_distance):
    loud, silence = np.ones((1, 2, 2)), np.zeros((1, 2, 2))
    fact = "silence is as loud as the floor, 1e-3 by default: a magnitude of 1 is 60 dB away, whichever is silent"
    require(near(log_distance(loud, silence), 60, 1e-3) & near(log_distance(silence, loud), 60, 1e-3), fact)
    for floor, decibels in ((1e-2, 40), (0.1, 20), (2e-4, 20 * np.log10(5000))):
        fact = f"the floor is an argument: with floor={floor} a magnitude of 1 is {decibels:.0f} dB away from silence"
        require(near(log_distance(loud, silence, floor=floor), decibels, 1e-3), fact)
    silence[0, 0] = 1.0
    fact = "where only one of both is below the floor the difference counts like any other: it is not left out"
    require(near(log_distance(loud, silence), 60 / np.sqrt(2), 1e-3), fact)


@log_distance.fact
def compares_each_spectrogram_with_its_own(log_distance):
    a, b = np.random.default_rng(2).random((2, 4, 3, 5)) + 0.01
    fact = "each spectrogram of a has a distance of its own, to the one in the same place in b"
    same_alone(log_distance, a * np.array([1, 30, 0.2, 5])[:, None, None], b, fact=fact)


@exercise(
    why="with every sample a phase grows by 2π f / sample_rate, whatever f was before: it is a running sum.",
    hints=[
        "What is the number of the first harmonic? What does enumerate count from?",
        "The phase at a sample is that of the sample before, and a little more. How much more, at f Hz? Which function "
        "of NumPy adds up like this?",
        "`theta = 2 * np.pi * np.cumsum(f) / sample_rate`, and harmonic h is `np.sin(h * theta)`, kept only where "
        "`h * f < sample_rate / 2`.",
    ],
)
def gliding(f, a, sample_rate=16_000):
    theta = 2 * np.pi * np.cumsum(f) / sample_rate
    return sum(each * np.sin(h * theta) * (h * f < sample_rate / 2) for h, each in enumerate(a, start=1))


def swings(f, rate, h=1):
    """Harmonic h of a note with pitch f (n,), in the ways in which its phase may be added up from sample to sample."""
    through = np.concatenate([[0], np.cumsum(f)])
    ways = through[1:], through[:-1], through[1:] - f[0], through[1:] - (f + f[0]) / 2, through[1:] - f / 2
    return [np.sin(2 * np.pi * h * way / rate) for way in ways]


def follows(gliding, f, a, rate, fact, h=1, strength=1.0):
    """Require that the note is harmonic h alone, with that strength."""
    x = returns(gliding(f, np.array(a), rate), (len(f),), f"one number for each of {len(f)} samples")
    require(any(near(x, strength * way, 1e-4).all() for way in swings(f, rate, h)), fact)


@gliding.fact
def counts_harmonics_from_1(gliding):
    steady = np.full(800, 220.3)
    fact = "the first strength belongs to harmonic 1, a sine at the pitch itself; it is not silent"
    require(np.abs(returns(gliding(steady, np.array([1.0])))).max() > 1e-3, fact)
    fact = "harmonic 1 of a steady note has f periods a second, so f / sample_rate of a period for each sample"
    follows(gliding, steady, [1.0], 16_000, fact)
    fact = "the third strength belongs to harmonic 3, a sine at three times the pitch"
    follows(gliding, steady, [0.0, 0.0, 0.5], 16_000, fact, 3, 0.5)


@gliding.fact
def adds_phases_up(gliding):
    rising = np.linspace(200, 800, 1_000)
    fact = "where the pitch moves, each sample adds 2π f / sample_rate to the phase; f * t moves too far"
    follows(gliding, rising, [1.0], 16_000, fact)
    follows(gliding, rising[::-1].copy(), [0.0, 1.0], 16_000, fact, 2)
    trembling = 300 * 2 ** (np.sin(np.arange(1_000) / 100) / 12)
    follows(gliding, trembling, [0.7], 16_000, fact, strength=0.7)


@gliding.fact
def takes_the_rate_as_an_argument(gliding):
    fact = "sample_rate is an argument: the same pitch takes more samples for a period at a higher rate"
    for rate in (8_000, 44_100):
        follows(gliding, np.linspace(300, 500, 900), [1.0], rate, fact)


@gliding.fact
def leaves_out_what_folds_back(gliding):
    fact = "a harmonic at more than half the rate folds back and sounds as a wrong tone: leave it out"
    follows(gliding, np.full(200, 3_000.0), [0.0, 0.0, 1.0], 16_000, fact, strength=0.0)
    follows(gliding, np.full(200, 1_500.0), [0.0, 0.0, 1.0], 8_000, fact, strength=0.0)
    fact = "what is below half the rate stays"
    follows(gliding, np.full(200, 2_500.0), [0.0, 0.0, 1.0], 16_000, fact, 3)
    follows(gliding, np.full(200, 5_000.0), [0.0, 0.0, 1.0], 44_100, fact, 3)
    f = np.linspace(1_000, 6_000, 500)
    x = returns(gliding(f, np.array([0.0, 1.0])), (500,))
    fact = "a harmonic is left out at those samples where it is above half the rate, and at no others"
    require(np.abs(x[2 * f > 8_000]).max() < 1e-9, fact)
    require(any(near(x, way * (2 * f < 8_000), 1e-4).all() for way in swings(f, 16_000, 2)), fact)


@gliding.fact
def is_a_sum(gliding):
    f, a = np.linspace(300, 500, 400), np.array([0.6, -0.3, 0.2, 0.05])
    together = returns(gliding(f, a), (400,))
    each = [returns(gliding(f, a * (np.arange(4) == h)), (400,)) for h in range(4)]
    require(near(together, np.sum(each, axis=0)), "the note is the sum of its harmonics, each as strong as a says")
    require(near(gliding(f, 2 * a), 2 * together), "twice the strengths must give twice the wave")
