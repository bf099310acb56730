"""A folder of the reader's own sounds: what is found, what is left out, and the lesson trained on it."""

import ast
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile
import torch

from helpers.data import DataError, folders, notes
from helpers.models import VAE
from helpers.training import fit

torch.set_num_threads(1)
LESSON = Path(__file__).resolve().parent.parent / "notebooks" / "07_audio.ipynb"


@pytest.fixture
def recordings(tmp_path):
    """Eight instruments playing three pitches, as WAV files of several rates, lengths and numbers of channels."""
    rng = np.random.default_rng(0)
    for k, pitch in enumerate((57, 64, 69)):
        (tmp_path / notes.pitch_name(pitch)).mkdir()
        for i in range(8):
            rate = (16_000, 44_100)[i % 2]
            wave = notes.play(notes.FAMILIES[i % 4], rng.random(4), pitch, seconds=(0.7, 1.4)[k % 2], sample_rate=rate)
            wave = np.stack([wave, 0.5 * wave], axis=1) if i == 3 else wave
            soundfile.write(tmp_path / notes.pitch_name(pitch) / f"instrument {i}.wav", wave, rate)
    return tmp_path


def test_labels_are_subfolders_and_groups_are_names(recordings):
    data = folders.sounds(recordings)
    assert data.names == ("A3", "A4", "E4") and len(data.group_names) == 8 and len(data) == 24
    assert data.x.shape == (24, 513, 51)
    groups = [set(data.group[rows]) for rows in data.rows.values()]
    assert sum(map(len, groups)) == 8 and not set.intersection(*groups)


def test_what_cannot_be_used_is_left_out_and_named(recordings, capsys):
    (recordings / "A3" / "broken.wav").write_bytes(b"RIFF....")
    (recordings / "A3" / "notes.txt").write_text("mine")
    soundfile.write(recordings / "A4" / "silent.flac", np.zeros(16_000), 16_000)
    (recordings / "A4" / ".hidden").write_text("")
    data = folders.sounds(recordings)
    assert len(data) == 24 and len(data.notes) == 3
    data.describe()
    out = capsys.readouterr().out
    for part in ("A3/broken.wav: cannot be read", "A3/notes.txt is no sound file", "A4/silent.flac: is silent"):
        assert part in out
    assert "24 of 27 files in 3 subfolders" in out


@pytest.mark.parametrize("case", ["missing", "empty", "few"])
def test_a_folder_without_enough_sounds_is_refused(tmp_path, case):
    if case == "few":
        (tmp_path / "A4").mkdir()
        soundfile.write(tmp_path / "A4" / "one.wav", notes.play("FM", (0, 0, 0, 0), 69), 16_000)
        (tmp_path / "A4" / "two.wav").write_text("no")
    message = {"missing": "no such folder", "empty": "no files in subfolders", "few": "at least 3 .*two.wav"}[case]
    with pytest.raises(DataError, match=message) as caught:
        folders.sounds(tmp_path / "nowhere" if case == "missing" else tmp_path)
    assert "\n" not in str(caught.value)


def test_the_lesson_trains_on_recordings_after_changing_one_line(recordings):
    """Runs the cells of notebook 07 that set the data up and build the model, on a folder instead of our notes."""
    cells = [c.source for c in nbformat.read(LESSON, as_version=4).cells if c.cell_type == "code"]
    first = next(c for c in cells if "data = notes.load()" in c)
    lesson = {}
    first = first.replace("data = notes.load()", "from helpers.data import folders\ndata = folders.sounds(FOLDER)")
    exec(first.replace("FOLDER", repr(str(recordings))), lesson)
    building = next(c for c in cells if "def build(" in c)
    wanted = (ast.FunctionDef, ast.Assign)
    tree = ast.parse(building)
    end = next(i for i, n in enumerate(tree.body) if isinstance(n, ast.FunctionDef) and n.name == "build") + 1
    assert all(isinstance(n, wanted) for n in tree.body[:end])
    exec(compile(ast.Module(tree.body[:end], []), "07", "exec"), lesson)
    model = lesson["build"](R=4)
    assert isinstance(model, VAE)
    history = fit(model, (lesson["train"], lesson["valid"]), epochs=12, batch_size=4, lr=3e-3, quiet=True,
                  objective=dict(members=2, seen=2))  # fmt: skip
    assert history["train"][-1] < history["train"][0] - 1000
    played = model.sample(2, torch.arange(3), generator=torch.Generator().manual_seed(0), mean=True)
    assert played.shape == (2, 3, 513, 51) and played.isfinite().all()
