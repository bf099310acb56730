"""The reader's own sounds and texts: what is found, what is left out, and the lesson trained on it.

Images: test_pictures.py.
"""

import ast
import json
import os
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from helpers import disk, senses
from helpers.data import DataError, files, folders, notes, writings
from helpers.lessons import LESSONS
from helpers.models import VAE
from helpers.models.texts import GRULanguageModel, Transformer
from helpers.training import fit

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
LESSON = NOTEBOOKS / LESSONS["audio"].file


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
    assert len(data) == 24 and sum(note.startswith("left out: ") for note in data.notes) == 3
    data.describe()
    out = capsys.readouterr().out
    for part in ("A3/broken.wav: cannot be read", "A3/notes.txt is not a sound file", "A4/silent.flac: is silent"):
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
    """Runs the cells of Audio that set the data up and build the model, on a folder instead of our notes."""
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
                  objective=dict(members=2, seen=2))
    assert history["train"][-1] < history["train"][0] - 1000
    played = model.sample(2, torch.arange(3), generator=torch.Generator().manual_seed(0), mean=True)
    assert played.shape == (2, 3, 513, 51) and played.isfinite().all()


def note(path, i=0, pitch=69, rate=16_000, seconds=0.3, channels=1):
    """A sound file of one note, different for each i."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(i)
    wave = notes.play(notes.FAMILIES[i % 4], rng.random(4), pitch, seconds=seconds, sample_rate=rate)
    wave = np.stack([wave / (k + 1) for k in range(channels)], axis=1)
    with open(path, "wb") as file:
        soundfile.write(file, wave, rate, format="WAV")


def test_sounds_without_subfolders_have_no_label_and_are_groups_of_their_own(tmp_path):
    for i in range(7):
        note(tmp_path / f"{i}.wav", i)
    data = folders.sounds(tmp_path, seconds=0.4)
    assert data.c is None and data.names == () and data.kind == "sound" and data.x.shape == (7, 513, 21)
    assert data.group_names == tuple("0123456") and data.group.tolist() == list(range(7))
    assert [len(rows) for rows in data.rows.values()] == [5, 1, 1] and data.source == "7 of 7 files"


def test_deeper_folders_of_sounds_are_part_of_the_name_and_sounds_beside_the_labels_are_left_out(tmp_path):
    for label in ("A4", "C5"):
        for i, name in enumerate(("loud/violin", "soft/violin", "flute")):
            note(tmp_path / label / f"{name}.wav", i, 69 if label == "A4" else 72)
    note(tmp_path / "loose.wav", 9)
    data = folders.sounds(tmp_path)
    assert data.group_names == ("flute", "loud/violin", "soft/violin") and data.names == ("A4", "C5")
    assert [file for file, _ in data.skipped] == ["loose.wav"]
    assert any("has no label" in note for note in data.notes)


@pytest.mark.parametrize("rate", [7_999, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_number_of_channels_is_the_same_note(tmp_path, rate, channels):
    for i in range(3):
        note(tmp_path / f"{i}.wav", i, 57, rate, 0.5, channels)
    data = folders.sounds(tmp_path, seconds=0.5)
    loudest = data.x.astype(float).mean(axis=2).argmax(axis=1) * 16_000 / 1024
    assert (np.abs(loudest / 220 - np.rint(loudest / 220)) < 0.08).all() and (loudest > 200).all()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names or files")
def test_links_pipes_and_names_of_any_bytes_among_sounds(tmp_path, capsys):
    mine = tmp_path / "mine"
    for i in range(4):
        note(mine / "A4" / f"{i}.wav", i)
    for label in (b"A4", b"C5"):
        note(Path(os.fsdecode(os.fsencode(mine) + b"/" + label + b"/violin\xff.wav")), 5, 69 if label == b"A4" else 72)
    Path(os.fsdecode(os.fsencode(mine) + b"/A4/broken\n\xff.wav")).write_bytes(b"no")
    note(tmp_path / "outside.wav", 6)
    (mine / "A4" / "nowhere.wav").symlink_to("gone.wav")
    (mine / "A4" / "loop").symlink_to("..")
    (mine / "A4" / "out.wav").symlink_to(tmp_path / "outside.wav")
    os.mkfifo(mine / "A4" / "pipe.wav")
    data = folders.sounds(mine)
    assert len(data) == 6 and r"violin\xff" in data.group_names
    reasons = {r"A4/broken\n\xff.wav": "cannot be read as sound", "A4/nowhere.wav": "leads nowhere",
               "A4/loop": "holds this one", "A4/out.wav": "outside of the folder", "A4/pipe.wav": "a pipe"}
    assert {file for file, _ in data.skipped} == set(reasons)
    assert all(reasons[file] in reason for file, reason in data.skipped)
    data.describe()
    capsys.readouterr().out.encode("utf-8")


def test_a_sound_that_may_not_be_read_is_left_out(recordings, monkeypatch):
    """Simulated, since an administrator may read everything."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "A3/instrument 1" not in str(path) and access(path, mode))
    data = folders.sounds(recordings)
    assert data.skipped == (("A3/instrument 1.wav", "cannot be read (Permission denied)"),) and len(data) == 23


SPOILT = {
    "empty": (b"", "cannot be read as sound"),
    "text": (b"no sound at all", "cannot be read as sound"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(40), "cannot be read as sound"),
    "no samples": (np.zeros(0), "holds no sound"),
    "too short": (np.ones(100), "lasts 0.006 seconds"),
    "silent": (np.zeros(16_000), "is silent"),
    "NaN": (np.where(np.arange(9000) == 7, np.nan, 0.5), "are NaN or infinite"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_sound_that_cannot_be_used_is_left_out_with_its_reason(tmp_path, case):
    content, reason = SPOILT[case]
    for i in range(3):
        note(tmp_path / "A4" / f"{i}.wav", i)
    if isinstance(content, bytes):
        (tmp_path / "A4" / "x.wav").write_bytes(content)
    else:
        soundfile.write(tmp_path / "A4" / "x.wav", content, 16_000, subtype="FLOAT")
    data = folders.sounds(tmp_path)
    assert len(data) == 3 and [file for file, _ in data.skipped] == ["A4/x.wav"]
    assert reason in data.skipped[0][1] and data.notes[-1] == f"left out: A4/x.wav: {data.skipped[0][1]}"


@pytest.mark.parametrize("seconds", [0, -1, 1000, float("nan")])
def test_sounds_of_no_length_are_refused(recordings, seconds):
    with pytest.raises(DataError, match="give a time above 0"):
        folders.sounds(recordings, seconds=seconds)


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
        (b"\x89PNG\r\n\x1a\n\0\0", {}, "is not text"),
        (b"\x89PNG\r\n\x1a\n\1\2\3\xff", {}, "is not UTF-8, as byte 0x89 in line 1"),
        (b"\xff\xfea", {}, "begins like UTF-16"),
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
    monkeypatch.setattr(writings, "MOST_BYTES", 10)
    with pytest.raises(DataError, match="cut out a part"):
        folders.texts(file(tmp_path, "more than ten bytes"))


@pytest.mark.parametrize("model", ["GRULanguageModel", "Transformer"])
def test_the_lines_of_the_lesson_on_your_own_text_work(tmp_path, monkeypatch, capsys, model):
    """Runs the lines that the lesson on letters gives for a reader's own file, with both models, for a shorter time."""
    cells = [c.source for c in nbformat.read(NOTEBOOKS / LESSONS["letters"].file, as_version=4).cells]
    lines = next(c for c in cells if 'folders.texts("my names.txt")' in c).split("```python\n")[1].split("```")[0]
    assert "minutes=1, epochs=100" in lines and "GRULanguageModel(" in lines
    file(tmp_path, "\n".join(NAMES), "my names.txt")
    monkeypatch.chdir(tmp_path)
    lesson = {"GRULanguageModel": GRULanguageModel, "Transformer": Transformer, "fit": fit}
    exec(lines.replace("minutes=1, epochs=100", "epochs=3").replace("GRULanguageModel", model), lesson)
    assert "20 examples" in capsys.readouterr().out.replace("\n", " ")
    assert isinstance(lesson["model"], lesson[model])


# --- folders of texts ----------------------------------------------------------------------------------


def test_the_lines_of_a_folder_are_pooled(tmp_path):
    (tmp_path / "more").mkdir()
    file(tmp_path, "\n".join(NAMES[:12]), "a.txt")
    file(tmp_path / "more", "\n".join(["", *NAMES[8:]]), "b.md")
    data = folders.texts(tmp_path)
    assert sorted(data.vocabulary.decode(data.x)) == sorted(NAMES) and data.c is None and data.kind == "text"
    assert data.found == 24 and "1 empty lines left out" in data.notes and data.source == "2 of 2 files"


def test_no_piece_of_running_text_belongs_to_two_files(tmp_path):
    wholes = ["".join(chr(97 + (i * k) % 26) for i in range(260)) for k in (1, 3, 5)]
    for name, whole in zip("abc", wholes):
        file(tmp_path, whole, f"{name}.txt")
    data = folders.texts(tmp_path, length=30)
    assert all(any(piece in whole for whole in wholes) for piece in data.vocabulary.decode(data.x))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.txt", b"", "is empty"),
        ("x.txt", b"\x89PNG\r\n\1\2\3\xff", "is not UTF-8"),
        ("x.txt", b"a\0b", "is not text"),
        ("x.txt", b"\xff\xfea", "begins like UTF-16"),
        ("x.txt", b"a" * 1001, "at most 0 are read into memory"),
        ("x.pdf", b"%PDF", "is not a text file that is read here"),
    ],
)
def test_a_text_that_cannot_be_used_is_left_out_of_the_folder(tmp_path, monkeypatch, name, content, reason):
    monkeypatch.setattr(writings, "MOST_BYTES", 1000)
    file(tmp_path, "\n".join(NAMES))
    file(tmp_path, content, name)
    data = folders.texts(tmp_path)
    assert len(data) == 20 and len(data.skipped) == 1
    assert re.search(reason, data.skipped[0][1]) and data.notes[-1].startswith(f"left out: {name}")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names or files")
def test_links_pipes_and_names_of_any_bytes_among_texts(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    Path(os.fsdecode(os.fsencode(mine) + b"/\xff.txt")).write_text("\n".join(NAMES))
    (mine / "loop").symlink_to(".")
    (mine / "out.txt").symlink_to(file(tmp_path, "secret"))
    os.mkfifo(mine / "pipe.txt")
    data = folders.texts(mine)
    assert len(data) == 20 and [place for place, _ in data.skipped] == ["loop", "out.txt", "pipe.txt"]
    alone = folders.texts(os.fsdecode(os.fsencode(mine) + b"/\xff.txt"))
    assert alone.name == r"\xff.txt"
    with pytest.raises(DataError, match="not a regular file"):
        folders.texts(mine / "pipe.txt")  # or it would wait here for ever


@pytest.mark.parametrize("case", ["nothing", "all broken", "few", "too much", "long line"])
def test_folders_of_too_little_or_too_much_text_are_refused(tmp_path, monkeypatch, case):
    message = {"nothing": "holds no text file", "all broken": "a.txt: is empty", "few": "holds 3 different lines",
               "too much": "more than 0 MB together", "long line": r"b\.txt: line 2 has 1,500 char"}[case]
    options = {} if case in ("nothing", "all broken") else dict(by="lines")
    if case != "nothing":
        file(tmp_path, "" if case == "all broken" else "x\ny\nz")
    if case == "too much":
        file(tmp_path, "x\ny\nz", "b.txt")
        monkeypatch.setattr(writings, "MOST_BYTES", 6)
    if case == "long line":
        file(tmp_path, "short\n" + 1500 * "x", "b.txt")
    with pytest.raises(DataError, match=message) as caught:
        folders.texts(tmp_path, **options)
    assert "\n" not in str(caught.value)


# --- whatever it is --------------------------------------------------------------------------------------


def put(folder, images=0, sounds=0, texts=0):
    folder.mkdir(exist_ok=True)
    for i in range(images):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)).save(folder / f"{i}.png")
    for i in range(sounds):
        note(folder / f"{i}.wav", i)
    for i in range(texts):
        file(folder, "\n".join(NAMES), f"{i}.txt")
    return folder


@pytest.mark.parametrize(
    ("seen", "kind", "others"),
    [
        (dict(images=12), "image", None),
        (dict(sounds=4), "sound", None),
        (dict(texts=2), "text", None),
        (dict(images=12, sounds=3, texts=1), "image", "3 sound files, 1 text file"),
        (dict(images=2, sounds=5), "sound", "2 image files"),
        (dict(sounds=1, texts=2), "text", "1 sound file"),
        (dict(images=10, sounds=10), "image", "10 sound files"),
    ],
)
def test_load_takes_what_most_files_are(tmp_path, seen, kind, others):
    data = senses.read(put(tmp_path / "mine", **seen))
    assert data.kind == kind
    if others:
        assert data.notes[0].startswith(f"taken as {kind}s") and data.notes[0].endswith(f"also seen: {others}")
    assert len(data.skipped) == sum(seen.values()) - seen[f"{kind}s"]


def test_load_is_told_the_kind_and_hands_options_on(tmp_path):
    put(tmp_path, images=12, sounds=10)
    assert senses.read(tmp_path, kind="sound", seconds=0.5).x.shape == (10, 513, 26)
    assert senses.read(tmp_path, size=5).x.shape == (12, 5, 5)
    assert senses.read(file(tmp_path, "\n".join(NAMES))).kind == "text"


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("nowhere", {}, "there is no such file or folder"),
        ("empty", {}, r"none of its 0 files is an image \(such as .png\), a sound .* or a text"),
        ("others", {}, "none of its 1 files"),
        ("mine/0.png", {}, "is a single image; give the folder"),
        ("mine/0.wav", {}, "is a single sound; give the folder"),
        ("mine", dict(kind="video"), "say 'image', 'sound', 'text' or 'auto'"),
        ("mine", dict(seconds=1), "seconds is not an option for data of kind image; it has size, grey, seed"),
        ("mine", dict(kind="text"), "cannot be read as texts: it holds no text file"),
        ("mine/0.png", dict(kind="image"), "is a file, and a folder is needed"),
    ],
)
def test_what_load_cannot_take_is_refused_in_one_sentence(tmp_path, path, options, message):
    put(tmp_path / "mine", images=10, sounds=3)
    (tmp_path / "empty").mkdir()
    (tmp_path / "others").mkdir()
    file(tmp_path / "others", "x", "x.pdf")
    with pytest.raises(DataError, match=message) as caught:
        senses.read(tmp_path / path, **options)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def run_of_ours(folder, **record):
    """A folder that holds a run: its record, and pictures that look like data."""
    put(folder, images=2)
    record = {"made by": disk.MADE_BY, "files": ["samples.png"], **record}
    (folder / "run.json").write_text(json.dumps(record))


@pytest.mark.parametrize("labelled", [False, True])
def test_a_run_among_the_data_is_not_data(tmp_path, labelled):
    """Else its pictures would be examples, and its name a label, as soon as a run lies where its data do."""
    put(tmp_path / "a" if labelled else tmp_path, images=12)
    alone = folders.images(tmp_path)
    run_of_ours(tmp_path / "run")
    run_of_ours(tmp_path / "a" / "deeper" if labelled else tmp_path / "run 2")
    data = folders.images(tmp_path)
    assert np.array_equal(data.x, alone.x) and data.names == alone.names == (("a",) if labelled else ())
    places = ["a/deeper/", "run/"] if labelled else ["run 2/", "run/"]
    assert data.skipped == tuple((place, "holds a run of this program, and is not read") for place in places)
    assert data.source == alone.source


@pytest.mark.parametrize("record", [{"made by": "somebody else"}, {"files": "samples.png"}, "not JSON"])
def test_a_file_that_is_only_named_as_our_record_makes_no_run(tmp_path, record):
    put(tmp_path / "a", images=10)
    run_of_ours(tmp_path / "b", **(record if isinstance(record, dict) else {}))
    if record == "not JSON":
        (tmp_path / "b" / "run.json").write_text(record)
    listing = files.find(tmp_path, "give one")
    assert sorted(listing.labels) == ["a", "b"] and len(listing.files) == 13


def test_a_folder_that_holds_a_run_itself_is_read_if_it_is_asked_for(tmp_path):
    run_of_ours(tmp_path)
    assert len(files.find(tmp_path, "give one").files) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such files")
def test_a_pipe_named_as_our_record_is_not_waited_for(tmp_path):
    put(tmp_path / "a", images=2)
    os.mkfifo(tmp_path / "a" / "run.json")
    assert len(files.find(tmp_path, "give one").files) == 2


@pytest.mark.parametrize("where", ["out", "a/out"])
def test_the_folder_that_results_go_to_is_left_out_without_a_word(tmp_path, where):
    put(tmp_path / "a", images=2)
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    for fill in (put, run_of_ours):
        fill(tmp_path / where)
        listing = files.find(tmp_path, "give one", leave_out=tmp_path / "link" / where)
        assert listing.labels == ["a"] and len(listing.files) == 2
        assert [place for place, _ in listing.skipped] == ["link"]
    assert len(files.find(tmp_path, "give one", leave_out=tmp_path).files) == 2  # its own folder is read
    assert len(files.find(tmp_path, "give one", leave_out=tmp_path / "none yet").files) == 2


def test_our_own_data_sets_say_what_they_are():
    from helpers.data import colours, digits

    assert (digits.load().kind, colours.load().kind) == ("image", "text")
