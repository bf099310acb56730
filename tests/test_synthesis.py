"""Sound from harmonics: what is known comes back, in strength, pitch and length, and nothing clicks."""

import numpy as np
import pytest
import torch

from helpers import sound, synthesis
from helpers.data import DataError, notes

T = np.arange(16_000) / 16_000


def summed(f0, amplitudes):
    """A note of constant harmonics."""
    return sum(a * np.sin(2 * np.pi * h * f0 * T) for h, a in enumerate(amplitudes, start=1))


def test_the_envelope_is_how_far_a_wave_swings():
    found = sound.envelope(np.stack([np.sin(2 * np.pi * 400 * T), -0.1 * np.sin(2 * np.pi * 400 * T)]))
    assert found.shape == (2, 50) and np.abs(found - [[0], [-20]]).max() < 0.1


def test_the_lobe_is_that_of_the_window():
    off = np.array([0.0, 0.3, 0.5, 1.0, 1.4])
    for d in off:
        wave = np.sin(2 * np.pi * (100 + d) * 16_000 / 1024 * T)
        assert sound.stft(wave).abs()[0, 100, 20].item() == pytest.approx(synthesis.lobe(d), abs=2e-3)
    assert synthesis.lobe(0) == 1 and synthesis.lobe(1) == 0.5 and synthesis.lobe(2) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("f0", [130.8, 261.63, 447.3, 987.8])
def test_a_known_sum_of_harmonics_comes_back(f0):
    amplitudes = np.array([0.3, 0.0, 0.1, 0.05, 0.02])
    wave = summed(f0, amplitudes)
    read = synthesis.read_harmonics(sound.log_magnitude(wave)[0], f0)
    assert read.shape == (int(np.ceil(8000 / f0)) - 1, 51)
    assert np.abs(read[:5, 5:-5] - amplitudes[:, None]).max() < 0.002 and read[5:, 5:-5].max() < 0.002
    again = synthesis.add_harmonics(sound.log_magnitude(wave), f0)[0]
    assert np.abs(again - wave)[2_000:14_000].max() < 0.02  # even the wave: all phases are 0
    assert abs(sound.cents(sound.pitch(again), f0)[0]) < 0.3


def test_notes_come_back_better_than_by_griffin_lim():
    timbres = ((0.6, 0.2, 0.7, 0.4), (0.3, 0.7, 0.3, 0.8))
    played = [(family, timbre, p) for family in notes.FAMILIES for timbre in timbres for p in (50, 62, 76)]
    real, f0 = np.stack([notes.play(*note) for note in played]), notes.frequency([note[2] for note in played])
    x = sound.log_magnitude(real)
    ours = synthesis.add_harmonics(x, f0)
    theirs = sound.griffin_lim(sound.magnitudes(x), 16_000, generator=torch.Generator().manual_seed(0)).numpy()
    true = sound.envelope(real)
    heard = true > true.max(axis=1, keepdims=True) - 40
    error = [np.abs(sound.envelope(wave) - true)[heard].mean() for wave in (ours, theirs)]
    assert error[0] < 0.6 and error[0] < error[1] / 2
    assert np.median(np.abs(sound.cents(sound.pitch(ours), f0))) < 0.1
    assert sound.log_spectral_distance(sound.log_magnitude(ours), x).mean() < 0.75
    soft = synthesis.add_harmonics(x, f0, sharpen=0)
    distance = [sound.log_spectral_distance(sound.log_magnitude(wave), x).mean() for wave in (ours, soft)]
    assert distance[0] < distance[1]  # sharpening mends how a note begins


def test_the_floor_is_silence():
    x = sound.log_magnitude(0.5 * np.sin(2 * np.pi * 440 * T))
    assert (sound.magnitudes(x) == 0).float().mean() > 0.9 and sound.magnitudes(x).max() == x.exp().max()


def test_nothing_clicks_from_frame_to_frame():
    amplitudes = np.random.default_rng(0).random((4, 51)) * 0.1
    wave = synthesis.add_sines(amplitudes, 300.0, 16_000)
    assert wave[0] == 0
    step = np.abs(np.diff(wave, 2))  # a jump would stand out from what sines of these frequencies can do
    assert step.max() < 0.4 * (2 * np.pi * np.arange(1, 5) * 300 / 16_000) ** 2 @ np.ones(4) * 1.1


def test_what_lies_above_half_the_rate_is_left_out():
    wave = synthesis.add_sines(np.ones((30, 51)) * 0.01, 1000.0, 16_000)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(16_000)))
    off = np.abs(np.arange(8001) / 1000 - np.rint(np.arange(8001) / 1000)) > 0.01
    assert spectrum[off].max() < 1e-3 * spectrum.max() and spectrum[7900:].max() < 1e-3 * spectrum.max()
    rising = synthesis.add_sines(np.full((8, 51), 0.1), np.linspace(500, 1500, 16_000), 16_000)
    late = np.abs(np.fft.rfft(rising[-1600:] * np.hanning(1600)))  # harmonic 8 would alias to 4 kHz
    assert np.isfinite(rising).all() and np.argsort(late)[-1] * 10 < 8_000


def test_a_note_can_be_longer_and_at_another_pitch():
    x = sound.log_magnitude(notes.play("additive", (0.5, 0.2, 0.9, 0.3), 60))
    long = synthesis.add_harmonics(x, notes.frequency(60), samples=40_000, frequency=notes.frequency(64))
    assert long.shape == (1, 40_000)
    assert abs(sound.cents(sound.pitch(long), notes.frequency(64))[0]) < 0.5
    short = synthesis.add_harmonics(x, notes.frequency(60))
    assert np.abs(sound.envelope(long)[:, 1:8] - sound.envelope(short)[:, 1:8]).max() < 1  # it begins as ever
    assert sound.envelope(long)[0, 90] > sound.envelope(short)[0, 30] - 6  # and is still there


def test_vibrato_and_glide_move_the_pitch_as_told():
    f = synthesis.curve(440.0, 32_000, vibrato=30, rate=5)
    cents = sound.cents(f, 440)
    assert cents.max() == pytest.approx(30, abs=0.1) and cents.min() == pytest.approx(-30, abs=0.1)
    assert (np.diff((cents > 0).astype(int)) == 1).sum() == pytest.approx(10, abs=1)  # in two seconds, five each
    glide = sound.cents(synthesis.curve(440.0, 32_000, glide=0.2, start=220.0), 440)
    assert glide[0] == pytest.approx(-1200) and abs(glide[-1]) < 1 and (np.diff(glide) >= 0).all()
    assert (synthesis.curve(300.0, 10) == 300).all()


def test_a_tune_is_played_in_tune():
    x = {p: sound.log_magnitude(notes.play("FM", (0.5, 0.1, 0.9, 0.3), p))[0].numpy() for p in (60, 67)}
    wave = synthesis.play(x, [(60, 2), (None, 1), (67, 5)], beat=0.3, vibrato=10, glide=0.1)
    assert np.abs(wave).max() == pytest.approx(0.9)
    assert abs(sound.cents(sound.pitch(wave[None, :9_000]), notes.frequency(60))[0]) < 8
    assert abs(sound.cents(sound.pitch(wave[None, 20_000:36_000]), notes.frequency(67))[0]) < 8
    assert synthesis.hertz(69) == 440 and synthesis.hertz(57) == 220


@pytest.mark.parametrize(("x", "f0", "message"), [
    (np.zeros((100, 51)), 440, "513 frequencies is needed"),
    (np.zeros((2, 513, 51)), 440, "513 frequencies is needed"),
    (np.full((513, 51), np.nan), 440, "not finite"),
    (np.zeros((513, 51)), 30, "30 Hz"),
    (np.zeros((513, 51)), 9000, "9000 Hz"),
])
def test_what_cannot_be_read_is_refused_in_one_sentence(x, f0, message):
    with pytest.raises(DataError, match=message) as caught:
        synthesis.read_harmonics(x, f0)
    assert "\n" not in str(caught.value)


def test_silence_stays_silent():
    quiet = synthesis.add_harmonics(sound.log_magnitude(np.zeros((2, 16_000))), [220, 440])
    assert quiet.shape == (2, 16_000) and not quiet.any()
    with pytest.raises(DataError, match="N, frequencies, frames"):
        synthesis.add_harmonics(np.zeros((513, 51)), 440)
