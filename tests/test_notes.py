"""Synthetic notes: in tune, without aliases, different in timbre, and held out by whole regions."""

import numpy as np
import pytest

from helpers import sound
from helpers.data import DataError, cache, notes


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "FOLDER", tmp_path_factory.mktemp("cache"))
        yield notes.load(n=60, pitches=3)


def test_pitches_have_their_frequencies_and_names():
    assert notes.frequency(69) == 440 and notes.frequency(57) == 220
    assert [notes.pitch_name(p) for p in (48, 69, 70, 83)] == ["C3", "A4", "A♯4", "B5"]


def test_harmonics_are_the_sum_of_sines():
    t = np.arange(4000) / 16_000
    true = sum(np.sin(2 * np.pi * h * 700 * t) / h for h in range(1, 12))
    assert np.abs(notes.harmonics(700.0, lambda h: 1 / h, 4000) - true).max() < 1e-9


@pytest.mark.parametrize("family", notes.FAMILIES)
def test_nothing_but_harmonics_sounds(family):
    """Aliases and clicks would lie between the harmonics."""
    wave = notes.play(family, (0.9, 0.3, 0.9, 0.6), 76)
    spectrum = np.abs(np.fft.rfft(wave[2000:14_000] * np.hanning(12_000))) ** 2
    hertz = np.fft.rfftfreq(12_000, 1 / 16_000)
    f0 = notes.frequency(76)
    off = np.abs(hertz / f0 - np.round(hertz / f0)) * f0 > 12
    assert spectrum[off].sum() < 1e-4 * spectrum.sum()


@pytest.mark.parametrize("family", notes.FAMILIES)
def test_the_parameters_do_what_their_names_say(family):
    base = dict(zip(notes.TIMBRE, (0.5, 0.3, 0.5, 0.3)))

    def spectrum(**change):
        wave = notes.play(family, tuple((base | change).values()), 60)
        return np.exp(sound.log_magnitude(wave)[0].numpy())

    def centroid(s):
        s = s.mean(axis=1) - sound.FLOOR
        return (s * np.arange(513)).sum() / s.sum()

    def loud(s):
        return np.sqrt((s**2).sum(axis=0))

    assert centroid(spectrum(brightness=0.9)) > 1.1 * centroid(spectrum(brightness=0.1))
    dying = [loud(spectrum(decay=d)) for d in (0.1, 0.9)]
    assert dying[0][40] / dying[0].max() < 0.5 * dying[1][40] / dying[1].max()
    assert loud(spectrum(attack=1.0)).argmax() >= loud(spectrum(attack=0.0)).argmax()
    assert np.abs(np.log(spectrum(colour=0.9)) - np.log(spectrum(colour=0.1))).mean() > 0.03


def test_notes_repeat_and_stay_below_full_scale():
    one, two = (notes.play("FM", (0.3, 0.4, 0.5, 0.6), 60) for _ in range(2))
    assert np.array_equal(one, two) and np.abs(one).max() == pytest.approx(0.9, abs=1e-3)
    assert one.shape == (16_000,) and one.dtype == np.float32
    with pytest.raises(DataError, match="no family 'harp'"):
        notes.play("harp", (0, 0, 0, 0), 60)


def test_whole_regions_of_timbre_are_held_out(data):
    families, timbres, splits = notes.instruments(60)
    for split in ("train", "valid", "test"):
        assert (splits[data.group[data.rows[split]]] == split).all()
    bright, attack = timbres[data.group[data.rows["train"]]][:, :2].T
    assert not ((bright >= 0.45) & (bright < 0.6)).any() and not ((attack >= 0.45) & (attack < 0.6)).any()
    assert ((timbres[splits == "test", 0] >= 0.45) & (timbres[splits == "test", 0] < 0.6)).all()
    assert {notes.FAMILIES[f] for f in families} == set(notes.FAMILIES)


def test_spectrograms_belong_to_their_labels(data):
    families, timbres, _ = notes.instruments(60)
    for i in (0, 77, 150):
        wave = notes.play(notes.FAMILIES[families[data.group[i]]], timbres[data.group[i]], notes.PITCHES[data.c[i]])
        assert np.abs(sound.log_magnitude(wave)[0].numpy() - data.x[i]).max() < 0.01
    assert data.x.shape == (180, 513, 51)
    assert data.sets("train", dense=False).x.shape[1] == 3


def test_the_order_for_too_little_is_refused():
    with pytest.raises(DataError, match="2 instruments with 12 pitches"):
        notes.load(n=2)
    with pytest.raises(DataError, match="1 to 36 pitches"):
        notes.load(pitches=40)
