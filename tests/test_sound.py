"""Spectrograms, Griffin-Lim, pitch and sound files, against formulas, against librosa, and with broken files."""

import io
import time

import numpy as np
import pytest
import soundfile
import torch

from helpers import sound
from helpers.data import DataError, notes

T = np.arange(16_000) / 16_000


@pytest.fixture(scope="module")
def waves():
    """Eight notes: four families, two pitches."""
    timbre = (0.6, 0.2, 0.7, 0.4)
    return np.stack([notes.play(family, timbre, p) for family in notes.FAMILIES for p in (52, 71)])


def test_a_sine_of_amplitude_one_has_magnitude_one():
    for bin_ in (20, 100):
        magnitude = sound.stft(np.sin(2 * np.pi * bin_ * 16_000 / 1024 * T)).abs()[0, :, 10]
        assert magnitude.argmax() == bin_ and magnitude[bin_] == pytest.approx(1, abs=1e-4)
    assert sound.log_magnitude(np.zeros(16_000)).max() == pytest.approx(np.log(sound.FLOOR))
    assert sound.log_magnitude(np.zeros((3, 16_000))).shape == (3, 513, 51)


def test_transform_and_inverse_give_the_wave_back(waves):
    again = sound.istft(sound.stft(waves), 16_000)
    assert np.abs(again.numpy() - waves).max() < 1e-4


def test_stft_is_librosas(waves):
    import librosa

    theirs = librosa.stft(waves[0], n_fft=1024, hop_length=320, pad_mode="constant") * (2 / 512)
    assert np.abs(sound.stft(waves[0])[0].numpy() - theirs).max() < 1e-4


def test_mel_filters_cover_the_range_and_find_a_sine():
    filters = sound.mel_filters(40)
    assert filters.shape == (40, 513) and (filters >= 0).all()
    low, high = ((filters @ sound.stft(np.sin(2 * np.pi * f * T)).abs()[0, :, 10]).argmax() for f in (300, 3000))
    assert low < high


def test_griffin_lim_converges_as_well_as_librosas(waves):
    import librosa

    magnitude = sound.stft(waves).abs()
    ours = sound.griffin_lim(magnitude, 16_000, generator=torch.Generator().manual_seed(0))
    theirs = [librosa.griffinlim(m, n_iter=32, hop_length=320, n_fft=1024, length=16_000, pad_mode="constant",
                                 random_state=0) for m in magnitude.numpy()]
    error = sound.spectral_convergence(ours, magnitude).mean().item()
    reference = sound.spectral_convergence(np.stack(theirs) * 256, magnitude).mean().item()
    assert reference < 0.15 and error < 1.1 * reference
    few = sound.griffin_lim(magnitude, 16_000, iterations=2, generator=torch.Generator().manual_seed(0))
    assert sound.spectral_convergence(few, magnitude).mean() > 1.5 * error


def test_griffin_lim_repeats_with_its_generator(waves):
    magnitude = sound.stft(waves[:2]).abs()
    a, b = (sound.griffin_lim(magnitude, 16_000, 3, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(a, b) and a.shape == (2, 16_000)


@pytest.mark.parametrize("family", notes.FAMILIES)
def test_pitch_of_every_family_is_right_within_five_cents(family):
    pitches = range(48, 84, 7)
    for timbre in ((0.2, 0.1, 0.9, 0.2), (0.9, 0.6, 0.3, 0.8)):
        waves = np.stack([notes.play(family, timbre, p) for p in pitches])
        error = sound.cents(sound.pitch(waves), notes.frequency(np.array(pitches)))
        assert np.abs(error).max() < 5


def test_pitch_agrees_with_librosas_yin(waves):
    import librosa

    theirs = [np.median(librosa.yin(w[1600:12_000], fmin=100, fmax=1200, sr=16_000)) for w in waves]
    assert np.abs(sound.cents(sound.pitch(waves), theirs)).max() < 12


def test_pitch_of_silence_and_of_noise_is_nan():
    noise = np.random.default_rng(0).normal(size=16_000) * 0.1
    assert np.isnan(sound.pitch(np.stack([np.zeros(16_000), noise]))).all()
    assert np.isnan(sound.pitch(np.zeros(100)))


def test_log_spectral_distance_is_in_decibels():
    a = np.zeros((2, 513, 4))
    assert sound.log_spectral_distance(a, a + np.log(10) / 20) == pytest.approx([1, 1], rel=1e-5)


def test_normalising_never_clips_and_leaves_silence():
    assert np.abs(sound.normalise(np.array([0.1, -3.0]))).max() == pytest.approx(0.9)
    assert not sound.normalise(np.zeros(5)).any()


# --- files -------------------------------------------------------------------------------------------


def written(path, wave, rate=16_000, **options):
    soundfile.write(path, wave, rate, **options)
    return path


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_formats_are_read(tmp_path, suffix):
    wave = 0.4 * np.sin(2 * np.pi * 440 * T)
    loaded = sound.load(written(tmp_path / f"a{suffix}", wave))
    assert loaded.dtype == np.float32 and abs(len(loaded) - 16_000) < 1200
    assert sound.cents(sound.pitch(loaded), 440) == pytest.approx(0, abs=3)
    assert np.abs(loaded).max() == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000, 12_345])
def test_other_rates_are_resampled_in_tune(tmp_path, rate):
    t = np.arange(rate) / rate
    loaded = sound.load(written(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 330 * t), rate))
    assert len(loaded) == pytest.approx(16_000, abs=2)
    assert sound.cents(sound.pitch(loaded), 330) == pytest.approx(0, abs=3)


def test_channels_are_averaged(tmp_path):
    eight = np.zeros((16_000, 8))
    eight[:, 3] = np.sin(2 * np.pi * 220 * T) * 0.5
    loaded = sound.load(written(tmp_path / "a.wav", eight))
    assert loaded.shape == (16_000,) and sound.cents(sound.pitch(loaded), 220) == pytest.approx(0, abs=3)


def test_a_short_sound_is_filled_up_and_a_long_one_cut():
    half = np.ones(8_000, np.float32)
    assert sound.fit_length(half, 16_000).sum() == 8_000 and len(sound.fit_length(half, 16_000)) == 16_000
    cut = sound.fit_length(half, 1_000)
    assert len(cut) == 1_000 and cut[-1] == 0 and cut[0] == 1


def bad_files(folder):
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is not a sound")
    whole = io.BytesIO()
    soundfile.write(whole, np.sin(2 * np.pi * 440 * T), 16_000, format="FLAC")
    (folder / "broken.flac").write_bytes(whole.getvalue()[:200])
    written(folder / "no_samples.wav", np.zeros(0))
    written(folder / "silence.wav", np.zeros(16_000))
    written(folder / "nan.wav", np.full(16_000, np.nan), subtype="FLOAT")
    written(folder / "click.wav", np.ones(50))
    written(folder / "ten_minutes.wav", np.zeros(600 * 1000), 1000)
    (folder / "folder.wav").mkdir()
    return {
        "empty.wav": "cannot be read as sound", "text.wav": "cannot be read as sound",
        "broken.flac": r"broken\.flac: ", "no_samples.wav": "no sound at all", "silence.wav": "silent",
        "nan.wav": "NaN or infinite", "click.wav": "lasts 0.003 seconds", "ten_minutes.wav": "600 seconds long",
        "missing.wav": "cannot be read", "folder.wav": "cannot be read",
    }


def test_bad_files_are_refused_in_one_clear_sentence(tmp_path):
    for name, message in bad_files(tmp_path).items():
        with pytest.raises(DataError, match=message) as caught:
            sound.load(tmp_path / name)
        text = str(caught.value)
        assert text.startswith(name) and "\n" not in text and len(text) < 200, text


def test_ten_minutes_are_refused_before_they_are_read(tmp_path):
    path = written(tmp_path / "long.wav", np.zeros(16_000 * 600, np.int16))
    start = time.perf_counter()
    with pytest.raises(DataError, match="600 seconds"):
        sound.load(path)
    assert time.perf_counter() - start < 0.5


# --- in a notebook -----------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["mp3", "wav", "flac"])
def test_sounds_are_encoded_and_can_be_read_again(tmp_path, waves, format):
    (tmp_path / f"a.{format}").write_bytes(sound.encode(waves[0], format=format))
    again = sound.load(tmp_path / f"a.{format}")
    assert sound.cents(sound.pitch(again), sound.pitch(waves[:1]))[0] == pytest.approx(0, abs=5)


def test_a_player_says_what_there_is_to_hear(waves, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    sound.show(waves[0], "an E, plucked")
    assert shown[0]["text/plain"] == "sound: an E, plucked" and 'aria-label="an E, plucked"' in shown[0]["text/html"]
    assert len(shown[0]["text/html"]) < 20_000  # a second of mp3


def test_a_melody_places_every_note():
    tune = [(60, 1), (None, 1), (64, 2)]
    out = sound.melody({60: np.ones(4_000), 64: np.ones(4_000)}, tune, beat=0.5)
    assert out[100] > 0 and out[12_000] == 0 and out[16_100] > 0
    assert np.abs(out).max() == pytest.approx(0.9)
