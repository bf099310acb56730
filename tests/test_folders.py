"""The reader's own sounds and texts: what is found, what is left out, and the lesson trained on it."""

import ast
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile
import torch

from helpers.data import DataError, folders, notes
from helpers.models import VAE
from helpers.models.text import GRULanguageModel, Transformer
from helpers.training import fit

torch.set_num_threads(1)
NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
LESSON = NOTEBOOKS / "07_audio.ipynb"


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


# --- texts -------------------------------------------------------------------------------------------


def file(tmp_path, content, name="a.txt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


NAMES = [f"{a}{b}" for a in ("al", "be", "cor", "dan") for b in ("a", "ina", "us", "ette", "o")]


def test_lines_are_items_and_duplicates_go(tmp_path, capsys):
    data = folders.texts(file(tmp_path, "\ufeff" + "\n".join([*NAMES, "", "  ala  ", *NAMES[:3]])))
    assert len(data) == 20 and data.found == 24
    assert sorted(data.vocabulary.decode(data.x)) == sorted(NAMES)
    data.describe()
    out = capsys.readouterr().out
    assert "4 duplicates" in out and "1 empty lines left out" in out


def test_no_text_is_in_two_splits_and_the_vocabulary_is_trains(tmp_path):
    data = folders.texts(file(tmp_path, "\n".join(NAMES)))
    parts = [set(data.vocabulary.decode(part.x)) for part in (data.train, data.valid, data.test)]
    assert set(data.vocabulary.characters) == set("".join(parts[0]))
    assert not parts[0] & parts[1] and not parts[0] & parts[2]


def test_running_text_is_cut_into_pieces(tmp_path):
    text = " ".join(f"sentence {i} says something else." for i in range(60))
    data = folders.texts(file(tmp_path, text), length=50)
    pieces = data.vocabulary.decode(data.x)
    assert "".join(pieces) == text and all(len(p) == 50 for p in pieces[:-1])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", {}, "is empty"),
        (b" \n\n ", {}, "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", {}, "is no text"),
        ("Käse\nBrot".encode("latin-1"), {}, "is not UTF-8, as byte 0xe4 in line 1"),
        ("a\nb\nc".encode("utf-16"), {}, "begins like UTF-16"),
        ("x" * 5000, dict(by="lines"), "line 1 has 5,000 characters"),
        ("one\ntwo\nthree", dict(by="lines"), "holds 3 different lines"),
        ("same\n" * 50, dict(by="lines"), "holds 1 different lines"),
        ("short", {}, "holds 1 different pieces"),
        ("a", dict(by="words"), "say 'lines'"),
        ("a", dict(length=1), "at least 2 characters"),
    ],
)
def test_bad_text_files_are_refused_in_one_sentence(tmp_path, content, options, message):
    with pytest.raises(DataError, match=message) as caught:
        folders.texts(file(tmp_path, content), **options)
    assert "\n" not in str(caught.value)


def test_a_text_file_that_is_missing_a_folder_or_huge_is_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"nowhere\.txt: cannot be read"):
        folders.texts(tmp_path / "nowhere.txt")
    with pytest.raises(DataError, match="cannot be read"):
        folders.texts(tmp_path)
    monkeypatch.setattr(folders, "MOST_BYTES", 10)
    with pytest.raises(DataError, match="cut out a part"):
        folders.texts(file(tmp_path, "more than ten bytes"))


@pytest.mark.parametrize("model", ["GRULanguageModel", "Transformer"])
def test_the_lines_of_the_lesson_on_your_own_text_work(tmp_path, monkeypatch, capsys, model):
    """Runs the lines that notebook 08 gives for a reader's own file, with both models, for a shorter time."""
    cells = [c.source for c in nbformat.read(NOTEBOOKS / "08_text.ipynb", as_version=4).cells]
    lines = next(c for c in cells if 'folders.texts("my names.txt")' in c).split("```python\n")[1].split("```")[0]
    assert "minutes=1, epochs=100" in lines and "GRULanguageModel(" in lines
    file(tmp_path, "\n".join(NAMES), "my names.txt")
    monkeypatch.chdir(tmp_path)
    lesson = {"GRULanguageModel": GRULanguageModel, "Transformer": Transformer, "fit": fit}
    exec(lines.replace("minutes=1, epochs=100", "epochs=3").replace("GRULanguageModel", model), lesson)
    assert "20 examples" in capsys.readouterr().out.replace("\n", " ")
    assert isinstance(lesson["model"], lesson[model])
