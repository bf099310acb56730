"""Exercises of Audio: pitch, decibels, and a prior fitted to codes."""

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


def drawn(draw_codes, n=20_000, seed=5):
    """400 codes of three numbers, and n that are drawn from them."""
    mix = np.array([[3.0, 0.0, 0.0], [1.5, 0.5, 0.0], [0.0, -0.3, 0.2]])
    codes = np.random.default_rng(4).standard_normal((400, 3)) @ mix.T + [1.0, -2.0, 0.5]
    return codes, returns(draw_codes(codes, n, np.random.default_rng(seed)), (n, 3), f"{n} codes of 3 numbers")


@draw_codes.fact
def draws_new_codes(draw_codes):
    codes, z = drawn(draw_codes)
    require(np.isfinite(z), "what is drawn must be finite numbers")
    _, again = drawn(draw_codes, 5, seed=6)
    require(np.abs(again - z[:5]).max() > 1e-9, "another generator must give other codes; draw from rng")
    apart = np.abs(z[:5, None] - codes[None]).max(axis=2)
    require(apart > 1e-9, "new codes are asked for, not those given")
    apart = np.abs(z[:100, None] - codes[None]).max(axis=2).min(axis=1)
    require(np.median(apart) > 0.02, "new codes are asked for, not those given with a little noise")
    fact = "a generator that begins at the same place must give the same codes: draw from rng, and from nothing else"
    require(near(drawn(draw_codes, 5)[1], drawn(draw_codes, 5)[1]), fact)


@draw_codes.fact
def has_the_mean(draw_codes):
    codes, z = drawn(draw_codes)
    fact = "the mean of what is drawn must be that of the codes"
    require(near(z.mean(axis=0), codes.mean(axis=0), 0.12), fact)


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


@draw_codes.fact
def has_the_bell_curve(draw_codes):
    _, z = drawn(draw_codes)
    fourth = (((z - z.mean(axis=0)) / z.std(axis=0)) ** 4).mean(axis=0)
    require(near(fourth, 3, 0.15), "what is drawn must be Normal: noise of another shape has other tails")
    _, two = drawn(draw_codes, 2)
    require(np.abs(two[0] - two[1]).max() > 1e-9, "every code that is drawn has noise of its own")
