"""The small files that ship: made again they are the same, and every one can be used."""

import numpy as np
import pytest
import soundfile
from PIL import Image

import samples
from helpers import senses
from helpers.data.dataset import Dataset


@pytest.fixture(scope="module")
def folder():
    return samples.SAMPLES


def test_leaves_made_again_are_the_same(folder):
    again = samples.leaves()
    assert sorted(again) == sorted(str(f.relative_to(folder / "leaves")) for f in (folder / "leaves").rglob("*.png"))
    for place, pixels in again.items():
        kept = np.asarray(Image.open(folder / "leaves" / place)).astype(int)
        assert kept.shape == (48, 48, 3)
        # A point at an edge may fall to the other side on another processor.
        assert (np.abs(kept - pixels) > 1).mean() < 0.002 and np.abs(kept - pixels).mean() < 0.1, place


def test_strokes_made_again_are_the_same(folder):
    again = samples.strokes()
    assert sorted(again) == sorted(str(f.relative_to(folder / "strokes")) for f in (folder / "strokes").rglob("*.flac"))
    for place, wave in again.items():
        kept, rate = soundfile.read(folder / "strokes" / place, dtype="int16")
        assert rate == 16_000 and kept.shape == (9600,)
        # A sine may differ in its last bit from one processor to another, and a rounding with it: of twelve bits.
        assert np.abs(kept.astype(int) - wave).max() <= 16, place


def test_villages_made_again_are_the_same(folder):
    names = samples.villages()
    assert (folder / "villages.txt").read_text(encoding="utf-8").splitlines() == names
    assert len(set(names)) == 600


def test_another_seed_gives_others():
    assert samples.villages(20, seed=1) != samples.villages(20)
    assert (samples.leaves(1, seed=1)["oak/00.png"] != samples.leaves(1)["oak/00.png"]).any()


def test_they_are_small(folder):
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 3_000_000


@pytest.mark.parametrize(
    ("name", "options", "shape", "labels"),
    [
        ("leaves", {"size": 48}, (600, 3, 48, 48), ("maple", "oak", "willow")),
        ("strokes", {"seconds": 0.6}, (256, 513, 31), ("A4", "B4", "C4", "C5", "D4", "E4", "F4", "G4")),
        ("villages.txt", {}, (600, 23), ()),
    ],
)
def test_all_of_them_can_be_used(folder, name, options, shape, labels):
    data = senses.read(folder / name, **options)
    assert isinstance(data, Dataset) and data.x.shape == shape and data.found == shape[0]
    assert data.names == labels and data.skipped == ()


def test_strokes_have_the_pitch_that_they_are_kept_under(folder):
    from helpers import sound

    for label, pitch in samples.SCALE.items():
        for family in samples.FAMILIES:
            wave = sound.load(folder / "strokes" / label / f"{family}-0.flac")
            assert abs(sound.cents(sound.pitch(wave[None]), pitch)[0]) < 10, (label, family)


def test_they_can_be_written_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(samples, "leaves", lambda: {"oak/00.png": np.zeros((48, 48, 3), np.uint8)})
    monkeypatch.setattr(samples, "strokes", lambda: {"A4/x.flac": np.ones(9600, np.int16)})
    for _ in range(2):  # once more: they hold what they should
        assert samples.main(tmp_path) == 0
        assert sorted(f.name for f in tmp_path.rglob("*.*")) == ["00.png", "villages.txt", "x.flac"]
        assert "3 files" in capsys.readouterr().out


def test_a_file_with_other_content_is_left_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(samples, "leaves", dict)
    monkeypatch.setattr(samples, "strokes", dict)
    (tmp_path / "villages.txt").write_text("Home\n")
    assert samples.main(tmp_path) == 1
    assert (tmp_path / "villages.txt").read_text() == "Home\n"
    assert capsys.readouterr().err.endswith("is left as it is; give another name, or move it away.\n")
    assert samples.main(tmp_path / "villages.txt") == 1
    assert "cannot be written to" in capsys.readouterr().err
