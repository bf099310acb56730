"""complete, odd and classify: a finished run at work on files, of all three senses, and what goes wrong with them."""

import json
import os
import shutil

import numpy as np
import pytest
import soundfile
from PIL import Image

import samples as made
from helpers import runs, uses
from helpers.__main__ import SCORES, main
from helpers.data import Dataset
from helpers.senses import sound, text

LEAVES, STROKES, VILLAGES = (made.SAMPLES / name for name in ("leaves", "strokes", "villages.txt"))
OAK = LEAVES / "oak" / "15.png"


def call(capsys, *arguments):
    """The exit code, and what was printed to stdout and to stderr."""
    capsys.readouterr()  # what was said before
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(scope="module")
def made_runs(tmp_path_factory):
    """A run of each sense, and some more, each made once."""
    place, found = tmp_path_factory.mktemp("runs"), {}
    wanted = {
        "leaves": [LEAVES, "--size", 8, "--code", 2], "strokes": [STROKES, "--size", 0.25], "villages": [VILLAGES],
        "masked text": [VILLAGES, "--model", "masked"], "gan": [LEAVES, "--size", 8, "--model", "gan"],
        "plain": [LEAVES, "--size", 8, "--labels", "no", "--code", 2],
    }

    def of(name):
        if name not in found:
            out = place / name
            path, *rest = wanted[name]
            assert main(["fit", str(path), "--out", str(out), "--epochs", "1", *map(str, rest)]) == 0
            found[name] = out
        return found[name]

    return of


@pytest.fixture
def half(tmp_path):
    """An oak whose right half is transparent."""
    pixels = np.array(Image.open(OAK).convert("RGBA"))
    pixels[:, 24:, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "half.png")
    return tmp_path / "half.png"


# --- complete --------------------------------------------------------------------------------------------


def test_an_image_is_completed_where_it_is_transparent(made_runs, half, tmp_path, capsys):
    code, out, err = call(capsys, "complete", made_runs("leaves"), half, "-n", 3, "--label", "oak", "--out",
                          tmp_path / "whole.png")
    assert code == 0 and "approximately" in err
    assert out.splitlines() == [str(tmp_path / "whole.png"), "in this order: what is known, oak, oak, oak"]
    assert Image.open(tmp_path / "whole.png").size[0] > 0


@pytest.mark.parametrize(("missing", "gone"), [
    ("left", np.s_[:, :4]), ("right", np.s_[:, 4:]), ("top", np.s_[:4]), ("bottom", np.s_[4:]),
    ("0,0,12,48", np.s_[:, :2]), ("24,36,24,12", np.s_[6:, 4:]), (None, np.s_[:, 4:])])
def test_what_is_missing_is_where_it_was_said_and_the_rest_stays(missing, gone, made_runs, half):
    """Rectangles are in pixels of the file, which has 48 × 48 where the run has 8 × 8."""
    run = runs.load(made_runs("leaves"))
    done = runs.complete(run, half if missing is None else OAK, n=4, missing=missing)
    given, drawn = done.samples.x[0], done.samples.x[1:]
    assert drawn.shape == (4, 3, 8, 8) and done.says[1:] == ["maple", "oak", "willow", "maple"]
    hole = np.zeros((8, 8), bool)
    hole[gone] = True
    grey = (given == 0.5).all(axis=0)
    assert grey[gone].all() and (grey & ~hole).sum() <= 8  # an edge may be between pixels
    assert all((one[:, ~grey] == given[:, ~grey]).all() for one in drawn)
    assert len({one.tobytes() for one in drawn}) > 1


def test_a_sound_is_completed_in_time(made_runs, tmp_path, capsys):
    file = next((STROKES / "D4").iterdir()) if (STROKES / "D4").exists() else next(STROKES.rglob("*.flac"))
    code, out, err = call(capsys, "complete", made_runs("strokes"), file, "-n", 2, "--missing", "0.1-0.2",
                          "--out", tmp_path / "whole.png")
    assert code == 0, err
    assert len(list(tmp_path.glob("whole-0*.flac"))) == 3 and "what is known" in out
    run = runs.load(made_runs("strokes"))
    done = runs.complete(run, file, n=1, missing="0.1-0.2")
    given, drawn = done.samples.x
    assert (given[:, :5] == drawn[:, :5]).all() and (given[:, 10:] == drawn[:, 10:]).all()
    assert (given[:, 5:10] != drawn[:, 5:10]).any()


@pytest.mark.parametrize("name", ["villages", "masked text"])
def test_beginnings_of_texts_are_completed(name, made_runs, tmp_path, capsys):
    (tmp_path / "begun").write_text("Ober\nKlein\n", encoding="utf-8")
    code, out, _ = call(capsys, "complete", made_runs(name), tmp_path / "begun", "-n", 3, "--seed", 2)
    lines = out.splitlines()
    assert code == 0 and len(lines) == 6
    assert all(line.startswith("Ober") for line in lines[:3]) and all(line.startswith("Klein") for line in lines[3:])


def test_gaps_of_texts_are_for_masked_models(made_runs, tmp_path, capsys):
    (tmp_path / "gap.txt").write_text("Ober_au\n", encoding="utf-8")
    code, out, _ = call(capsys, "complete", made_runs("masked text"), tmp_path / "gap.txt", "-n", 4, "--missing", "_")
    assert code == 0 and all(len(line) == 7 and line[:4] + line[5:] == "Oberau" for line in out.splitlines())
    code, _, err = call(capsys, "complete", made_runs("villages"), tmp_path / "gap.txt", "--missing", "_")
    assert code == 2 and "writes from left to right" in err and err.count("\n") == 1


def test_spaces_may_be_what_is_missing_and_padding_never_is(made_runs, tmp_path):
    """Kills texts that are filled up with spaces before gaps are looked for."""
    run = runs.load(made_runs("masked text"))
    (tmp_path / "gap.txt").write_text("Ober au\nKlein\n", encoding="utf-8")
    x, known = text.gap(tmp_path / "gap.txt", run.card, " ")
    assert np.argwhere(~known).tolist() == [[0, 4]] and x.shape == known.shape


def test_a_likelihood_weighs_in_completing_as_it_did_in_training(made_runs):
    """Codes of a VAE trained with a beta of 10 are kept by p(known|z)^(1/10); kills a temperature of 1 for all."""
    assert runs.load(made_runs("leaves")).beta == runs.load(made_runs("villages")).beta == 1
    run, file = runs.load(made_runs("strokes")), next(STROKES.rglob("*.flac"))
    assert run.beta == 10
    run.card["recipe"]["objective"]["beta"] = 2.5  # one that was given instead of the recipe's
    x, known = sound.gap(file, run.card, "0.1-0.2")
    c = np.zeros(1, int)
    drawn = {T: uses.impute(run.model, x, known, 3, c, temperature=T, mean=True).draws[:, 0] for T in (1, 2.5)}
    done = runs.complete(run, file, n=3, label=0, missing="0.1-0.2").samples.x[1:]
    assert (done == drawn[2.5]).all() and (done != drawn[1]).any()


# --- odd, classify ---------------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path):
    """A folder of leaves, noise, an empty page, a broken file, and a name that is not ASCII."""
    folder = tmp_path / "mixed"
    (folder / "oak").mkdir(parents=True)
    (folder / "elm").mkdir()
    for number in (11, 12, 13):
        shutil.copy(LEAVES / "oak" / f"{number}.png", folder / "oak")
    shutil.copy(LEAVES / "oak" / "14.png", folder / "elm" / "Ulme-größer.png")
    noise = np.random.default_rng(0).integers(256, size=(48, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    Image.new("RGB", (30, 50), "white").save(folder / "blank.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n")
    (folder / "notes.txt").write_text("mine")
    return folder


def test_odd_ranks_what_it_can_read_and_warns(made_runs, mixed, capsys):
    before = sorted(mixed.rglob("*"))
    code, out, err = call(capsys, "odd", made_runs("leaves"), mixed)
    lines = out.splitlines()
    assert code == 0 and err == "" and sorted(mixed.rglob("*")) == before
    assert lines[0].startswith("6 of them, beside 8") and "typicality" in lines[1] and "ratio" in lines[1]
    assert lines[2].endswith("rings noise.png") and any("Ulme-größer.png" in line for line in lines[3:8])
    assert "may be found more probable than any of them" in out and "as new as the reference" in out
    assert "left out: broken.png" in out and "left out: notes.txt is not an image" in out


@pytest.mark.parametrize("by", ["typicality", "ratio", "reconstruction"])
def test_odd_ranks_by_another_score(by, made_runs, mixed, capsys):
    code, out, _ = call(capsys, "odd", made_runs("leaves"), mixed, "--by", by)
    assert code == 0 and out.splitlines()[1].split()[0] == by
    shares = [float(line.split()[0]) for line in out.splitlines()[2:8]]
    assert shares == sorted(shares)


def test_the_scores_that_odd_offers_are_those_that_there_are():
    assert SCORES == uses.SCORES


def test_odd_sounds_and_texts(made_runs, tmp_path, capsys):
    code, out, _ = call(capsys, "odd", made_runs("strokes"), STROKES)
    assert code == 0 and "learnt from most of these very files" in out
    (tmp_path / "few.txt").write_text("Oberau\nxqxqxqxq\n" + "a" * 500 + "\n", encoding="utf-8")
    code, out, _ = call(capsys, "odd", made_runs("villages"), tmp_path / "few.txt")
    lines = out.splitlines()
    assert code == 0 and "line 2: xqxq" in lines[2] and "line 1: Oberau" in lines[3]
    assert "left out: few.txt, line 3: has 500 characters" in out


def test_classify_says_labels_and_how_many_are_right(made_runs, mixed, capsys):
    code, out, _ = call(capsys, "classify", made_runs("leaves"), mixed)
    lines = out.splitlines()
    assert code == 0 and len([line for line in lines if "\t" in line]) == 6
    right = next(line for line in lines if line.startswith("right: "))
    assert " of 3, " in right  # those in elm, and beside the subfolders, are not counted
    assert "no labels of this run, whose files are not counted: elm" in out and "bound here" in out
    code, out, _ = call(capsys, "classify", made_runs("strokes"), STROKES)
    assert code == 0 and "right: " in out


def test_one_file_is_judged_too(made_runs, capsys):
    assert call(capsys, "classify", made_runs("leaves"), OAK)[1].splitlines()[0].endswith("15.png")


# --- what goes wrong -------------------------------------------------------------------------------------

WRONG = {
    "no run": (["odd", "{tmp}/nothing", LEAVES], 5, "no such folder"),
    "no file": (["complete", "{leaves}", "{tmp}/nothing.png"], 3, "no such folder"),
    "no folder": (["classify", "{leaves}", "{tmp}/nothing"], 3, "no such folder"),
    "an empty folder": (["odd", "{leaves}", "{tmp}/empty"], 3, "none of its 0 files is an image"),
    "another kind": (["odd", "{leaves}", STROKES], 3, "files is an image, as those of this run are"),
    "texts for sounds": (["classify", "{strokes}", VILLAGES], 3, "is a sound"),
    "all damaged": (["odd", "{leaves}", "{tmp}/broken"], 3, "none of the 1 images can be used"),
    "a damaged image": (["complete", "{leaves}", "{tmp}/broken/a.png", "--missing", "left"], 3, "none of the 1 images"),
    "a damaged sound": (["complete", "{strokes}", "{tmp}/a.wav", "--missing", "0-0.1"], 3, "none of the 1 sounds"),
    "nothing missing": (["complete", "{leaves}", OAK], 2, "nothing is missing"),
    "an empty gap": (["complete", "{leaves}", OAK, "--missing", "90,90,5,5"], 2, "nothing is missing"),
    "nothing known": (["complete", "{leaves}", OAK, "--missing", "0,0,48,48"], 2, "nothing is known"),
    "no such part": (["complete", "{leaves}", OAK, "--missing", "middle"], 2, "say left, right, top, bottom, or"),
    "no time": (["complete", "{strokes}", "{sound}", "--missing", "left"], 2, "from when to when"),
    "time turned round": (["complete", "{strokes}", "{sound}", "--missing", "0.2-0.1"], 2, "from when to when"),
    "two characters": (["complete", "{masked text}", VILLAGES, "--missing", "__"], 2, "the one character"),
    "a folder of one": (["complete", "{leaves}", "{tmp}/broken"], 3, "give an image in it"),
    "a gap far away": (["complete", "{leaves}", OAK, "--missing", f"{'9' * 30},0,5,5"], 2, "nothing is missing"),
    "a folder": (["complete", "{leaves}", LEAVES / "oak", "--missing", "left"], 3, "one of them"),
    "no labels": (["classify", "{plain}", LEAVES], 2, "had no labels"),
    "no such label": (["complete", "{leaves}", OAK, "--missing", "left", "--label", "elm"], 2, "choose among maple"),
    "a label without labels": (["complete", "{plain}", OAK, "--missing", "left", "--label", "oak"], 2, "no labels"),
    "no likelihood, odd": (["odd", "{gan}", LEAVES / "oak"], 2, "cannot say how probable"),
    "no likelihood, classify": (["classify", "{gan}", LEAVES / "oak"], 2, "cannot say how probable"),
    "no filling in": (["complete", "{gan}", OAK, "--missing", "left"], 2, "cannot fill in what is missing"),
    "no codes": (["odd", "{villages}", VILLAGES, "--by", "reconstruction"], 2, "no codes to rebuild"),
    "nowhere to write": (["complete", "{leaves}", OAK, "--missing", "left", "--out", VILLAGES / "x.png"], 4, "cannot"),
    "somebody's file": (["complete", "{leaves}", OAK, "--missing", "left", "--out", "{tmp}/mine.png"], 5, "left as it"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_have_an_exit_code_and_one_sentence(name, tmp_path, made_runs, capsys):
    arguments, expected, message = WRONG[name]
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    for file in ("broken/a.png", "a.wav", "mine.png"):
        (tmp_path / file).write_bytes(b"mine")
    places = {"tmp": tmp_path, "sound": next(STROKES.rglob("*.flac"))}

    def filled(argument):
        text = str(argument)
        for run in ("leaves", "strokes", "masked text", "villages", "plain", "gan"):
            if text == f"{{{run}}}":
                return made_runs(run)
        return text.format(**places) if "{" in text else text

    given = [filled(a) for a in arguments]
    capsys.readouterr()
    code, _, err = call(capsys, *given)
    assert code == expected, err
    assert message in err and err.count("\n") == 1 and "Traceback" not in err
    assert (tmp_path / "mine.png").read_bytes() == b"mine" and not list(tmp_path.rglob("*.part"))


def test_data_that_are_gone_and_runs_of_other_shapes(made_runs, tmp_path, capsys):
    run = runs.load(made_runs("leaves"))
    run.card["settings"]["origin"]["path"] = str(tmp_path / "gone")
    with pytest.raises(ValueError, match="no such file or folder"):
        runs.odd(run, LEAVES / "oak")
    data = Dataset.make("wide", np.random.default_rng(0).random((42, 4, 8)).astype(np.float32), kind="image")
    wide = runs.fit(data, tmp_path / "wide", epochs=1, k=1, quiet=True, hidden=8, channels=2)
    with pytest.raises(ValueError, match="files become squares"):
        runs.odd(wide, LEAVES / "oak")
    wide.model.plan["condition"] = 3
    for work in (runs.odd, runs.complete):
        with pytest.raises(ValueError, match="told real numbers of each example"):
            work(wide, OAK)


def test_a_run_of_black_and_white_takes_files_so(tmp_path, capsys):
    for number, x in enumerate((np.random.default_rng(0).random((60, 6, 6)) < 0.3) * np.uint8(255)):
        (tmp_path / "ink" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(tmp_path / "ink" / "ab"[number % 2] / f"{number}.png")
    out = tmp_path / "run"
    assert main(["fit", str(tmp_path / "ink"), "--out", str(out), "--size", "6", "--epochs", "1", "--model",
                 "mixture"]) == 0
    assert json.loads((out / "model.json").read_text())["plan"]["model"] == "mixture"
    Image.fromarray(np.full((6, 6), 200, np.uint8)).save(tmp_path / "grey.png")
    done = runs.complete(runs.load(out), tmp_path / "grey.png", n=2, missing="top")
    assert set(np.unique(done.samples.x[1:])) <= {0.0, 1.0} and done.note == ""
    code, printed, _ = call(capsys, "classify", out, tmp_path / "ink")
    assert code == 0 and "bound" not in printed


def test_an_image_on_its_side_is_completed_as_it_is_seen(made_runs, tmp_path):
    """A camera's note that turns it: the rectangle is meant for what one sees; kills a mask that is not turned."""
    image = Image.open(OAK).convert("RGB").crop((0, 0, 48, 24))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    done = runs.complete(runs.load(made_runs("leaves")), tmp_path / "turned.jpg", n=1, missing="0,0,24,24")
    grey = (done.samples.x[0] == 0.5).all(axis=0)
    assert grey[:4].sum() >= 8 and not grey[5:].any()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="for root nothing is unreadable")
def test_files_that_may_not_be_read_are_listed(made_runs, mixed, capsys):
    (mixed / "noise.png").chmod(0)
    assert "left out: noise.png" in call(capsys, "odd", made_runs("leaves"), mixed)[1]


def test_a_short_sound_is_filled_up_and_judged(made_runs, tmp_path, capsys):
    soundfile.write(tmp_path / "ü.wav", np.sin(np.arange(800) / 5) * 0.5, 16_000)
    code, out, _ = call(capsys, "odd", made_runs("strokes"), tmp_path / "ü.wav")
    assert code == 0 and "ü.wav" in out
