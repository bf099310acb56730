"""SFZ patches: read by a strict parser, and played by sfizz where it is installed."""

import hashlib
import math
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from helpers import export, sound, synthesis
from helpers.data import DataError, notes
from helpers.disk import DiskError

PITCHES = (57, 60, 64)
SINGING, PLUCKED = ("additive", (0.6, 0.25, 0.9, 0.4)), ("plucked", (0.6, 0.25, 0.4, 0.4))


def spectra(kind, pitches=PITCHES):
    return sound.log_magnitude(np.stack([notes.play(*kind, p) for p in pitches])).numpy()


WHOLE = {"lokey", "hikey", "pitch_keycenter", "loop_start", "loop_end"}
OPCODES = {"<global>": {"ampeg_release"}, "<region>": WHOLE | {"sample", "loop_mode"}}


def parse(path: Path) -> list[dict]:
    """The regions of an SFZ file, with what <global> says, every opcode known and every value in its range."""
    text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("//"))
    found, common = [], {}
    parts = re.split(r"(<\w+>)", text)
    assert not parts[0].strip(), "something stands before the first header"
    for header, body in zip(parts[1::2], parts[2::2], strict=True):
        pairs = re.findall(r"(\w+)=(.*?)(?=\s+\w+=|\s*$)", body, re.S)
        assert re.sub(r"\s", "", body) == re.sub(r"\s", "", "".join(f"{k}={v}" for k, v in pairs)), body
        opcodes = dict(pairs)
        assert len(opcodes) == len(pairs) and set(opcodes) <= OPCODES[header], opcodes
        values = {k: int(v) if k in WHOLE else v for k, v in opcodes.items()}
        if header == "<global>":
            common = values
        else:
            found.append(common | values)
    for region in found:
        assert 0 <= region["lokey"] <= region["pitch_keycenter"] <= region["hikey"] <= 127
        file = path.parent / region["sample"]
        assert file.is_file() and file.parent == path.parent
        region["wave"], region["rate"] = soundfile.read(file)
        assert region["wave"].ndim == 1 and np.abs(region["wave"]).max() < 1
        assert region["loop_mode"] in ("no_loop", "loop_continuous")
        assert ("loop_start" in region) == ("loop_end" in region) == (region["loop_mode"] == "loop_continuous")
        if "loop_end" in region:
            assert 0 <= region["loop_start"] < region["loop_end"] < len(region["wave"])
    keys = [key for region in found for key in range(region["lokey"], region["hikey"] + 1)]
    assert keys == list(range(keys[0], keys[-1] + 1)), "a gap, or a key twice"
    return found


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patches")
    return {name: export.sfz(spectra(kind), PITCHES, folder / name, name, licence="CC0 1.0", comment="drawn\nby a test")
            for name, kind in (("singing", SINGING), ("plucked", PLUCKED))}


def test_a_patch_is_read_by_a_strict_parser(patches):
    for path in patches.values():
        regions = parse(path)
        assert [r["pitch_keycenter"] for r in regions] == list(PITCHES)
        assert (regions[0]["lokey"], regions[-1]["hikey"]) == (51, 70) and regions[0]["rate"] == 44_100
        assert regions[0]["ampeg_release"] == "0.25"
        assert set(os.listdir(path.parent)) == {path.name, *(r["sample"] for r in regions)}
    assert patches["singing"].read_text().startswith("// singing\n// CC0 1.0\n// drawn\n// by a test\n")


@pytest.mark.parametrize("fault", ["lokey=60", "loop_end=99999999", "volume=3 volume=4", "sample=../x.wav", "cutoff=1"])
def test_the_parser_is_strict(patches, tmp_path, fault):
    for file in patches["singing"].parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "singing.sfz"
    name = fault.split("=")[0]
    text, n = re.subn(rf"{name}=\S+", fault, path.read_text())
    path.write_text(text if n else text + fault + "\n")
    with pytest.raises((AssertionError, KeyError)):
        parse(path)


def test_what_sustains_loops_over_whole_periods(patches):
    for region in parse(patches["singing"]):
        wave, start, end = region["wave"], region["loop_start"], region["loop_end"]
        length, f0 = end + 1 - start, synthesis.hertz(region["pitch_keycenter"])
        assert 0.2 < length / 44_100 < 0.45
        periods = length * f0 / 44_100
        assert abs(sound.cents(round(periods), periods)) < 0.1
        after = wave[end + 1 :]
        assert len(after) == 64 and np.abs(after - wave[start : start + 64]).max() <= 1 / 32768  # goes on as it began
        assert abs(wave[start]) < 1e-3 and abs(wave[end + 1]) < 1e-3  # where the wave is 0


def test_what_dies_has_no_loop_and_ends_in_silence(patches):
    for region in parse(patches["plucked"]):
        wave = region["wave"]
        loud = [10 * math.log10((part**2).mean() + 1e-12) for part in np.array_split(wave, 20)]
        assert region["loop_mode"] == "no_loop" and loud[-1] < max(loud) - 45 and len(wave) > 44_100
        f0 = synthesis.hertz(region["pitch_keycenter"])
        assert abs(sound.cents(sound.pitch(wave[None, :44_100], 44_100)[0], f0)) < 1


def test_whether_it_sustains_can_be_said_and_samples_may_be_flac(tmp_path):
    path = export.sfz(spectra(PLUCKED), PITCHES, tmp_path, "drone", sustain=True, format="flac", sample_rate=16_000)
    regions = parse(path)
    assert all(r["loop_mode"] == "loop_continuous" and r["rate"] == 16_000 for r in regions)
    assert regions[0]["sample"] == "drone-057.flac"
    one = export.sfz(spectra(SINGING, (60,)), [60], tmp_path, "one", sustain=False)
    assert parse(one)[0]["loop_mode"] == "no_loop" and parse(one)[0]["lokey"] == 54


def test_the_same_notes_give_the_same_bytes_in_any_order(tmp_path):
    x = spectra(SINGING)
    marks = []
    for folder, order in (("a", [0, 1, 2]), ("b", [2, 0, 1])):
        export.sfz(x[order], [PITCHES[i] for i in order], tmp_path / folder, "same")
        marks.append([hashlib.sha256(file.read_bytes()).digest() for file in sorted((tmp_path / folder).iterdir())])
    assert marks[0] == marks[1]
    export.sfz(x, PITCHES, tmp_path / "a", "same")  # nothing would change: no complaint


def test_nothing_of_anybodys_is_overwritten_and_nothing_is_written_by_halves(tmp_path):
    (tmp_path / "mine-064.wav").write_text("a recording of mine")
    with pytest.raises(DiskError, match=r"mine-064\.wav is there already"):
        export.sfz(spectra(SINGING), PITCHES, tmp_path, "mine")
    assert os.listdir(tmp_path) == ["mine-064.wav"] and (tmp_path / "mine-064.wav").read_text() == "a recording of mine"
    (tmp_path / "mine.sfz").symlink_to(tmp_path / "nowhere")
    (tmp_path / "mine-064.wav").unlink()
    with pytest.raises(DiskError, match=r"mine\.sfz is there already"):
        export.sfz(spectra(SINGING), PITCHES, tmp_path, "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="choose another"):
        export.sfz(spectra(SINGING), PITCHES, tmp_path / "file", "mine")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a\\b", "con", "COM1", "a\nb", "-a", "a#b", "$a", "x" * 41, "ü",
                                  "a.b", "a ", 7])
def test_odd_names_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="no name for an instrument") as caught:
        export.sfz(spectra(SINGING, (60,)), [60], tmp_path, name)
    assert "\n" not in str(caught.value) and not os.listdir(tmp_path)


@pytest.mark.parametrize(("change", "message"), [
    (dict(notes=np.zeros((513, 51))), r"shape \(513, 51\)"),
    (dict(pitches=[60]), "1 pitches were given"),
    (dict(pitches=[57, 57, 64]), "different whole numbers"),
    (dict(pitches=[57, 60.5, 64]), "different whole numbers"),
    (dict(pitches=[57, 60, 128]), "from 0 to 127"),
    (dict(pitches=["a", "b", "c"]), "arrays of numbers"),
    (dict(notes=np.full((3, 513, 51), np.nan)), "not finite"),
    (dict(notes=np.full((3, 513, 51), -7.0)), "silent"),
    (dict(pitches=[20, 60, 64]), "25.9565 Hz"),
    (dict(format="exe"), "no format"),
    (dict(release=-1), "release of -1"),
    (dict(sample_rate=100), "rate of 100"),
    (dict(licence="a\0b"), "control characters"),
    (dict(comment=None), "comment is None"),
])
def test_what_cannot_be_used_is_refused_in_one_sentence(tmp_path, change, message):
    given = dict(notes=spectra(SINGING), pitches=PITCHES, folder=tmp_path / "new", name="x") | change
    with pytest.raises(DataError, match=message) as caught:
        export.sfz(**given)
    assert "\n" not in str(caught.value) and not (tmp_path / "new").exists()


# --- a player ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def player():
    """A function that plays a key of a patch for some seconds, by sfizz: (samples,), at 44.1 kHz."""
    sfizz = pytest.importorskip("pysfizz.synth", reason="no sfizz here, a player of SFZ files: pip install pysfizz")

    def play(path, key, held, rendered):
        synth = sfizz.Synth(44_100, 256)
        assert synth.load_sfz_file(str(path))
        synth.render_note(key, 100, 0.05, 0.6)  # sfizz reads its files in the background, and begins with this
        time.sleep(0.3)
        return synth.render_note(key, 100, held, rendered)[0].astype(float)

    return play


@pytest.mark.parametrize("key", [51, 57, 60, 62, 64, 70])
@pytest.mark.parametrize("name", ["singing", "plucked"])
def test_a_player_plays_every_key_in_tune(patches, player, name, key):
    wave = player(patches[name], key, 1.5, 1.6)
    assert abs(sound.cents(sound.pitch(wave[None, 4_410:44_100], 44_100), synthesis.hertz(key))[0]) < 1


@pytest.mark.parametrize("key", [57, 60, 64, 66])
def test_a_held_key_sounds_for_four_seconds_without_a_click(patches, player, key):
    wave = player(patches["singing"], key, 4.0, 5.0)
    part = wave[44_100 : int(3.9 * 44_100)]  # of the loop alone
    window = np.hanning(4_410) / np.hanning(4_410).sum()
    level = 10 * np.log10(np.convolve(part**2, window, "valid")[::441])
    assert np.ptp(level) < 0.2, "the level moves"
    # A click is a broad band of frequencies for a moment: what lies between the harmonics would rise with it.
    f0 = synthesis.hertz(key)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    hertz = np.fft.rfftfreq(len(part), 1 / 44_100)
    off = np.abs(hertz / f0 - np.rint(hertz / f0)) * f0 > 20
    assert spectrum[off].max() < 1e-3 * spectrum.max()
    assert np.abs(wave[int(4.6 * 44_100) :]).max() < 1e-3 * np.abs(wave).max(), "it does not end when the key is let go"
