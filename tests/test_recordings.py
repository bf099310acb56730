"""The reader's own sounds, as they were meant: channels, silence, long files, names that say nothing."""

import numpy as np
import pytest
import soundfile
import torch

from helpers import build, senses, sound
from helpers.data import DataError, Dataset, recordings
from helpers.models import contract
from helpers.models.sounds import SpectrogramDecoder, SpectrogramEncoder
from helpers.training import fit

RATE = 16_000


def tone(hz=440.0, seconds=0.5, level=0.5, seed=0):
    """A tone that dies away, different for each seed."""
    t = np.arange(round(seconds * RATE)) / RATE
    return level * np.sin(2 * np.pi * (hz + 7 * seed) * t) * np.exp(-(1 + 0.3 * seed) * t)


def noise(n, level, seed=0):
    return level * np.random.default_rng(seed).normal(size=n)


def put(path, wave, rate=RATE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, **options)
    return path


def said(data, text):
    """The one note that has this text in it."""
    [note] = [note for note in data.notes if text in note]
    return note


def loudest(spectrogram):
    """Hz of the strongest frequency."""
    return spectrogram.astype(float).mean(axis=1).argmax() * RATE / sound.N_FFT


# --- channels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("right", [-1.0, -0.95])
def test_of_channels_that_cancel_each_other_out_the_loudest_is_taken(tmp_path, right):
    left = tone(seconds=1.0)
    path = put(tmp_path / "a.wav", np.stack([left, right * left], axis=1))
    found = sound.record(path)
    assert found.one_channel
    np.testing.assert_allclose(np.abs(found.wave), np.abs(sound.normalise(left)), atol=1e-3)


@pytest.mark.parametrize("channels", [2, 8])
def test_other_channels_are_averaged_also_where_only_one_has_sound(tmp_path, channels):
    wave = np.zeros((RATE, channels))
    wave[:, -1] = tone(seconds=1.0)
    assert not sound.record(put(tmp_path / "a.wav", wave)).one_channel
    same = np.stack([tone(seconds=1.0)] * channels, axis=1)
    assert not sound.record(put(tmp_path / "b.wav", same)).one_channel


def test_how_many_have_such_channels_is_said(tmp_path):
    for i in range(4):
        wave = tone(seed=i)
        put(tmp_path / f"{i}.wav", np.stack([wave, wave if i else -wave], axis=1))
    data = recordings.sounds(tmp_path)
    assert said(data, "cancel").startswith("1 of 4 sounds") and data.x.max() > -1
    assert abs(loudest(data.x[0]) - 440) < 16


# --- silence at the beginning ------------------------------------------------------------------------


@pytest.mark.parametrize("floor", [0.0, 0.001, 0.01])
def test_silence_at_the_beginning_ends_shortly_before_the_sound(floor):
    wave = np.concatenate([np.zeros(RATE), tone()])
    silent = sound.onset(wave + noise(len(wave), floor))
    assert RATE - 0.04 * RATE <= silent <= RATE - 0.005 * RATE


BEGINNINGS = {
    "a short pause": lambda: np.concatenate([np.zeros(RATE // 11), tone()]),
    "at once": lambda: tone(),
    "steady noise": lambda: noise(RATE, 0.3),
    "rising noise": lambda: noise(RATE, 0.3) * np.linspace(0.3, 1, RATE),
    "fading in": lambda: np.linspace(0, 1, 2 * RATE) * np.sin(np.arange(2 * RATE) * 0.2),
    "too short to tell": lambda: tone(seconds=0.08),
    "a loud room": lambda: np.concatenate([noise(RATE, 0.15), 0.9 * np.sign(tone())]),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_what_is_no_silence_stays(name):
    assert sound.onset(BEGINNINGS[name]()) == 0


def test_a_slow_attack_after_silence_stays():
    attack = np.linspace(0, 1, RATE) ** 2 * np.sin(np.arange(RATE) * 0.2)
    silent = sound.onset(np.concatenate([np.zeros(RATE), attack]))
    assert 0.9 * RATE <= silent <= 1.02 * RATE  # the first 20 ms of it are below -60 dB


def test_sounds_that_begin_late_are_read_from_where_they_begin_and_the_note_says_so(tmp_path):
    for i in range(5):
        put(tmp_path / f"{i}.wav", np.concatenate([np.zeros(RATE * (3 if i else 0) // 2), tone(seconds=2.0, seed=i)]))
    data = recordings.sounds(tmp_path)
    assert len(data) == 5 and data.x[:, :, 2:6].max(axis=(1, 2)).min() > -1.5  # sound from the beginning
    assert said(data, "silence") == "silence at the beginning of 4 of 5 sounds is cut, 1.5 s on average"
    assert "5 of 5 sounds are longer than 1 s" in said(data, "not used") and "(50%): --size 2" in said(data, "not used")


# --- quiet ones --------------------------------------------------------------------------------------


@pytest.mark.parametrize("peak, subtype, fine", [(3 / 32768, "PCM_16", False), (0.01, "PCM_16", True),
                                                 (3 / 32768, "FLOAT", True), (3 / 32768, "PCM_24", True),
                                                 (0.05, "PCM_U8", False), (0.5, "PCM_U8", True)])
def test_what_is_mostly_rounding_is_refused_and_what_is_only_quiet_is_not(tmp_path, peak, subtype, fine):
    path = put(tmp_path / "a.wav", tone(level=peak), subtype=subtype)
    if fine:
        assert np.abs(sound.load(path)).max() == pytest.approx(0.9, abs=1e-3)
    else:
        with pytest.raises(DataError, match=r"a\.wav: is nearly silent, -\d\d dB at its loudest"):
            sound.load(path)


# --- long ones ---------------------------------------------------------------------------------------


def speech(seconds, seed):
    """Tones of random pitch, one every half a second."""
    rng = np.random.default_rng(seed)
    return np.concatenate([tone(rng.uniform(200, 3000), 0.5, rng.uniform(0.3, 0.8)) for _ in range(2 * seconds)])


def test_long_files_are_cut_into_pieces_and_those_of_one_file_stay_in_one_split(tmp_path):
    for i in range(5):
        put(tmp_path / f"{i}.wav", speech(8, i))
    data = recordings.sounds(tmp_path)
    assert len(data) == 40 and data.source == "5 of 5 files"
    assert data.group.tolist() == [i for i in range(5) for _ in range(8)] and data.group_names == tuple(
        f"{i}.wav" for i in range(5))
    splits = [set(data.group[rows]) for rows in data.rows.values()]
    assert not splits[0] & splits[1] and not splits[0] & splits[2] and not splits[1] & splits[2]
    assert said(data, "pieces") == ("5 long sounds, 40.0 s in all, are cut into 40 pieces of 1 s, and those of one "
                                    "file stay in one split: --size for longer ones")
    whole = sound.load(tmp_path / "3.wav")
    expected = sound.log_magnitude(sound.fit_length(whole[5 * RATE : 6 * RATE + 1], RATE))[0]
    np.testing.assert_allclose(data.x[3 * 8 + 5], expected, atol=5e-3)


@pytest.mark.parametrize("files", [1, 2])
def test_of_one_or_two_long_files_neighbouring_pieces_stay_in_one_split(tmp_path, files):
    for i in range(files):
        put(tmp_path / f"{i}.wav", speech(21, i))
    data = recordings.sounds(tmp_path)
    assert len(data) == 21 * files and "neighbouring pieces stay" in said(data, "pieces")
    for rows in data.rows.values():
        assert len(rows) >= 3
        parts = [set(rows[rows // 21 == i] % 21 // 3) for i in range(files)]
        assert sum(map(len, parts)) * 3 == len(rows)  # whole parts of three pieces each


def test_pieces_have_the_label_of_their_file(tmp_path):
    for label in ("rain", "wind"):
        for i in range(4):
            put(tmp_path / label / f"{label}{i}.wav", speech(5, i + (label == "wind") * 10))
    data = recordings.sounds(tmp_path)
    assert data.c.tolist() == [0] * 20 + [1] * 20 and len(set(data.group)) == 8


def test_one_long_file_among_short_ones_is_read_from_its_beginning(tmp_path):
    for i in range(6):
        put(tmp_path / f"{i}.wav", tone(seed=i, seconds=9 if i == 3 else 0.6))
    data = recordings.sounds(tmp_path)
    assert len(data) == 6 and "1 of 6 sounds are longer than 1 s" in said(data, "not used")


def test_a_file_that_would_not_fit_into_memory_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "LONGEST", 2)
    for i in range(4):
        put(tmp_path / f"{i}.wav", tone(seconds=3 if i == 2 else 0.5, seed=i))
    data = recordings.sounds(tmp_path)
    assert len(data) == 3 and data.skipped[0][0] == "2.wav" and "is 3 seconds long" in data.skipped[0][1]


@pytest.mark.parametrize("rate, antiphase", [(8_000, False), (16_000, True)])
def test_more_than_a_minute_is_read_a_minute_at_a_time(tmp_path, rate, antiphase):
    wave = np.resize(np.sin(2 * np.pi * 500 * np.arange(rate) / rate), 70 * rate) * np.linspace(0.5, 1, 70 * rate)
    two = np.stack([wave, -wave if antiphase else wave], axis=1) * 0.5
    found = sound.record(put(tmp_path / "a.flac", two, rate), max_seconds=100)
    assert len(found.wave) == pytest.approx(70 * RATE, abs=2) and found.one_channel == antiphase
    for second in (1, 59, 60, 68):  # no break where one block ends
        part = found.wave[second * RATE : (second + 1) * RATE]
        assert sound.cents(sound.pitch(part), 500)[0] == pytest.approx(0, abs=2)
        assert np.abs(part).max() == pytest.approx(0.9 * (0.5 + 0.5 * (second + 1) / 70), abs=0.02)
    with pytest.raises(DataError, match="70 seconds long"):
        sound.load(tmp_path / "a.flac")


# --- names and groups --------------------------------------------------------------------------------

NAMES = {"001": False, "12_3": False, "dog-7": False, "REC001": False, "audio_12": False, "Track 03": False,
         "new recording (4)": False, "a1": False, "violin": True, "bell-00": True, "7_anna_32": True, "loud/01": True}


@pytest.mark.parametrize("name", NAMES)
def test_equal_names_form_groups_where_they_say_what_is_meant(tmp_path, name):
    for k, label in enumerate(("cat", "cow", "dog")):
        for i in range(7):
            own = f"{label}-7" if name == "dog-7" else name
            file = f"{label} {i}x.wav" if i else f"{own}.wav"
            put(tmp_path / label / file, tone(seed=7 * k + i))
    data = recordings.sounds(tmp_path)
    together = data.group is not None and len(set(data.group)) < 21
    assert together == NAMES[name]
    if name != "dog-7":  # where the label is in the name, names are not equal
        assert ("--groups no" in said(data, "names): --groups")) == NAMES[name]
        for groups in (True, False):
            data = senses.read(tmp_path, "sound", groups=groups)
            assert (data.group is not None and len(set(data.group)) == 19) == groups
            assert f"--groups {'no' if groups else 'yes'}" in said(data, "names): --groups")
    if data.group is None:  # labels are spread over the splits
        counts = [np.bincount(data.c[rows], minlength=3) for rows in data.rows.values()]
        assert all(np.ptp(count) <= 1 for count in counts), counts


def test_the_readers_own_splits_and_labels_are_kept(tmp_path):
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for k, label in enumerate(("cat", "dog")):
            for i in range(count):
                put(tmp_path / split / label / f"{i:03d}.wav", tone(300 + 900 * k, seed=i + 10 * len(split)))
    data = recordings.sounds(tmp_path)
    assert data.names == ("cat", "dog") and [len(rows) for rows in data.rows.values()] == [8, 4, 4]
    assert np.bincount(data.train.c).tolist() == [4, 4]
    flat = recordings.sounds(tmp_path, labels=False)
    assert flat.c is None and len(flat) == 16


def test_files_that_are_not_read_are_named_with_what_to_do(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(50))
    with pytest.raises(DataError, match=r"5 \.m4a: .*convert them to WAV"):
        recordings.sounds(tmp_path)


def test_many_sounds_show_how_far_reading_is(tmp_path, monkeypatch):
    from helpers import progress

    shown = []
    monkeypatch.setattr(recordings, "MANY", 5)
    monkeypatch.setattr(recordings, "Progress", lambda *a, **k: shown.append(k["show"]) or progress.Progress(*a, **k))
    monkeypatch.setenv(progress.VARIABLE, "milestones")
    for i in range(6):
        put(tmp_path / f"{i}.wav", tone(seed=i))
    recordings.sounds(tmp_path)
    (tmp_path / "5.wav").unlink()
    recordings.sounds(tmp_path)
    assert shown == [True, False]


# --- the model for them ------------------------------------------------------------------------------


def noisy_words(n=60, labels=3):
    """Spectrograms (n, 40, 12): a silent upper half, a noisy lower one, and a burst whose place the label says."""
    rng = np.random.default_rng(0)
    c = np.arange(n) % max(1, labels)
    x = np.full((n, 40, 12), -6.9)
    x[:, :20] = -5 + 0.5 * rng.normal(size=(n, 20, 12))
    for i in range(n):
        length = rng.integers(3, 8)
        x[i, 5 * c[i] : 5 * c[i] + 5, 1 : 1 + length] += 3 + rng.normal()
    return Dataset.make("words", x.astype(np.float16), c if labels else None, kind="sound")


def trained(data, seed=0, **settings):
    torch.manual_seed(seed)
    model = build.build(data)
    recipe = build.family("vae").recipe(model.plan, len(data.train)) | settings
    history = fit(model, (data.train, data.valid), seed=seed, quiet=True, **recipe)
    return model, history


@pytest.mark.parametrize("labels", [3, 0])
def test_a_model_of_recordings_beats_their_mean_and_knows_which_bands_are_silent(labels):
    data = noisy_words(labels=labels)
    model, history = trained(data, epochs=40)
    nats = -contract.log_prob(model, contract.examples(model, data, "test")).mean()
    plain = senses.sound.baselines(data, data.rows["test"])
    assert nats < 0.8 * min(plain.values()) and len(plain) == 3
    assert history["valid"].max() < 2 * abs(history["valid"][0])
    decoder = getattr(model.decoder, "network", model.decoder)
    sigma = decoder.sigma.detach().numpy()
    assert sigma.shape == (40,) and (sigma[20:] < 0.12).all() and (sigma[:15] > 0.3).all()


def test_a_baseline_has_a_deviation_for_each_frequency():
    data = noisy_words()
    rows, train = data.rows["test"], data.train
    mean = np.stack([train.x[train.c == k].astype(float).mean(axis=0) for k in range(3)])
    sigma = np.maximum((train.x - mean[train.c]).std(axis=(0, 2)), np.exp(-2.3))[:, None]
    normal = torch.distributions.Normal(torch.as_tensor(mean[data.c[rows]]), torch.as_tensor(sigma))
    expected = -normal.log_prob(torch.as_tensor(data.x[rows].astype(float))).sum(dim=(1, 2)).mean().item()
    found = senses.sound.baselines(data, rows)
    assert found["mean of the label, by frequency"] == pytest.approx(expected, rel=1e-3)


def test_learning_starts_from_what_each_frequency_is_like():
    data = noisy_words()
    model = build.build(data)
    train = data.train.x.astype(float)
    np.testing.assert_allclose(model.encoder.centre, train.mean(axis=(0, 2)), atol=1e-3)
    np.testing.assert_allclose(model.encoder.scale, np.maximum(train.std(axis=(0, 2)), 0.1), atol=1e-3)
    mean = np.stack([train[data.train.c == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(model.decoder.average.detach(), mean, atol=1e-3)
    spread = (train - mean[data.train.c]).std(axis=(0, 2))
    np.testing.assert_allclose(model.decoder.sigma.detach()[:20], spread[:20], rtol=0.01)
    assert (model.decoder.sigma[20:] < 0.106).all()


def test_a_recording_far_louder_than_all_others_does_not_lead_far_out():
    data = noisy_words()
    model, _ = trained(data, epochs=10)
    x = torch.as_tensor(data.test.x[:1]).float()
    far = model.posterior(torch.cat([x, x + 20, 5 * x]), torch.zeros(3, dtype=torch.long))
    assert far.mean.abs().max() < 30


def test_plans_of_earlier_versions_make_their_own_networks():
    plan = {name: value for name, value in build.build(noisy_words()).plan.items() if name != "networks"}
    model = build.assemble(plan)
    assert isinstance(model.encoder, SpectrogramEncoder) and isinstance(model.decoder, SpectrogramDecoder)


def test_batches_grow_with_the_recordings_and_few_are_seen_often():
    plan = build.build(noisy_words()).plan
    few, many = (senses.sound.recipe(plan, n) for n in (30, 3000))
    assert few["batch_size"] == 8 and many["batch_size"] == 32 and many["lr"] < few["lr"]
    assert few["epochs"] == 400 and 60 <= many["epochs"] < 100


def test_players_are_sound_files_of_each_sample():
    x = sound.log_magnitude(np.stack([tone(), tone(880)])).numpy()
    found = senses.sound.players(x, form="wav")
    assert len(found) == 2 and all(part[:4] == b"RIFF" for part in found)
    assert senses.sound.players(x, form="wav") == found


def test_one_long_recording_may_be_all_there_is(tmp_path):
    """It is cut into pieces, and the splits are parts of it; a short one alone is refused."""
    rng = np.random.default_rng(0)
    for name, seconds in (("long", 40), ("short", 3)):
        soundfile.write(tmp_path / f"{name}.wav", 0.3 * rng.standard_normal(16_000 * seconds), 16_000)
    data = senses.read(tmp_path / "long.wav")
    assert data.kind == "sound" and len(data) == 40 and "cut into 40 pieces" in " ".join(data.notes)
    assert all(len(data.rows[split]) for split in ("train", "valid", "test"))
    assert len(senses.read(tmp_path / "long.wav", "sound", size=2)) == 20
    with pytest.raises(DataError, match="is a single sound; give the folder"):
        senses.read(tmp_path / "short.wav")


def test_a_size_that_was_meant_as_pixels_is_told_to_be_seconds(tmp_path):
    for i in range(5):
        put(tmp_path / f"{i}.wav", tone(seconds=1.0, seed=i))
    note = said(recordings.sounds(tmp_path, seconds=48), "in seconds")
    assert "lasts 48 s, and 5 of 5 sounds are filled up with silence" in note and "--size 1" in note
    assert not [note for note in recordings.sounds(tmp_path, seconds=2).notes if "in seconds" in note]
