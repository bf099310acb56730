"""python -m helpers: what it prints, what it writes, and the exit codes that its help promises."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import samples as made
from helpers import checkpoints, runs, senses
from helpers.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
LEAVES, VILLAGES = made.SAMPLES / "leaves", made.SAMPLES / "villages.txt"
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "HELPERS_PROGRESS": "milestones", "PYTHONPATH": str(ROOT)}


def call(capsys, *arguments):
    """The exit code, and what was printed to stdout and to stderr."""
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "leaves"
    assert main(["fit", str(LEAVES), "--out", str(out), "--size", "8", "--code", "2", "--epochs", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def villages(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "villages"
    assert main(["fit", str(VILLAGES), "--out", str(out), "--epochs", "1"]) == 0
    return out


# --- fit ---------------------------------------------------------------------------------------------


def test_fit_makes_a_run_and_says_what_came_of_it(tmp_path, capsys):
    code, out, err = call(capsys, "fit", LEAVES, "--out", tmp_path / "run", "--size", 8, "--code", 3, "--epochs", 1,
                          "--seed", 4, "--grey")
    assert code == 0 and err == ""
    assert "600 examples of 8 × 8" in out and "epoch 1" in out and "independent pixels" in out
    assert str(tmp_path / "run" / "samples.png") in out
    card = json.loads((tmp_path / "run" / "model.json").read_text())
    assert card["plan"]["code"] == 3 and card["settings"]["seed"] == 4
    assert card["settings"]["origin"]["options"] == {"grey": True}
    assert not [file for file in (tmp_path / "run").iterdir() if file.name.startswith((".", "training"))]


def test_a_finished_run_says_so(leaves, capsys):
    code, out, _ = call(capsys, "fit", LEAVES, "--out", leaves)  # what is not given is as it was
    assert code == 0 and "is finished; train on with --more" in out and "epoch 1" not in out


def test_a_finished_run_is_trained_on(leaves, tmp_path, capsys):
    out = shutil.copytree(leaves, tmp_path / "run")
    code, _, _ = call(capsys, "fit", LEAVES, "--out", out, "--more", 1)
    assert code == 0 and len(runs.load(out).history) == 2


def test_weights_of_another_run(leaves, tmp_path, capsys):
    code, out, _ = call(capsys, "fit", LEAVES, "--out", tmp_path / "run", "--size", 8, "--code", 2, "--epochs", 1,
                        "--from", leaves)
    assert code == 0 and "tensors taken over" in out


# --- sample and info ---------------------------------------------------------------------------------


def test_samples_of_images(leaves, tmp_path, capsys):
    for seed in (1, 1, 2):
        code, out, _ = call(capsys, "sample", leaves, "-n", 4, "--label", "oak", "--seed", seed, "--out",
                            tmp_path / f"{seed}.png")
        assert code == 0 and out.strip() == str(tmp_path / f"{seed}.png")
    assert Image.open(tmp_path / "1.png").size == Image.open(tmp_path / "2.png").size
    assert (tmp_path / "1.png").read_bytes() != (tmp_path / "2.png").read_bytes()


def test_samples_have_a_name_if_none_is_given(leaves, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "sample", leaves, "-n", 3)[1].strip() == "samples.png"


def test_samples_of_texts_are_printed_or_written(villages, tmp_path, capsys):
    code, out, _ = call(capsys, "sample", villages, "-n", 5, "--seed", 3)
    assert code == 0 and len(out.splitlines()) == 5
    call(capsys, "sample", villages, "-n", 5, "--seed", 3, "--out", tmp_path / "names.txt")
    assert (tmp_path / "names.txt").read_text(encoding="utf-8") == out


def test_info(leaves, capsys):
    code, out, _ = call(capsys, "info", leaves)
    assert code == 0 and "VAE of images, told which of 3 labels" in out and "labels: maple, oak, willow" in out


# --- what goes wrong ---------------------------------------------------------------------------------

WRONG = {
    "no command": ([], 2, "required"),
    "another command": (["train"], 2, "invalid choice"),
    "no --out": (["fit", LEAVES], 2, "--out"),
    "no time": (["fit", LEAVES, "--out", "{tmp}/run", "--minutes", "0"], 2, "not a number above 0"),
    "half a code": (["fit", LEAVES, "--out", "{tmp}/run", "--code", "2.5"], 2, "not a whole number above 0"),
    "another kind": (["fit", LEAVES, "--out", "{tmp}/run", "--kind", "smell"], 3, "kind is 'smell'"),
    "another model": (["fit", LEAVES, "--out", "{tmp}/run", "--model", "oracle"], 3, "no family of models 'oracle'"),
    "a GPU that is not there": (["fit", LEAVES, "--out", "{tmp}/run", "--device", "cuda"], 2, "device is 'cuda'"),
    "another device": (["fit", LEAVES, "--out", "{tmp}/run", "--device", "gpu"], 2, "device is 'gpu'"),
    "a seed below 0": (["fit", LEAVES, "--out", "{tmp}/run", "--seed", "-1"], 2, "--seed: '-1' is not a whole number"),
    "too large a seed": (["fit", LEAVES, "--out", "{tmp}/run", "--seed", "9" * 20], 2, "--seed: '99999"),
    "a seed of a sample": (["sample", "{leaves}", "--seed", "-1"], 2, "--seed: '-1' is not a whole number"),
    "a folder of others": (["fit", LEAVES, "--out", made.SAMPLES, "--size", "8"], 5, "holds other files"),
    "no such data": (["fit", "{tmp}/nothing", "--out", "{tmp}/run"], 3, "there is no such file or folder"),
    "an empty folder": (["fit", "{tmp}", "--out", "{tmp}/run"], 3, "none of its 0 files"),
    "data of another kind": (["fit", LEAVES, "--out", "{tmp}/run", "--kind", "sound"], 3, "sounds"),
    "too large": (["fit", LEAVES, "--out", "{tmp}/run", "--size", "300"], 3, "too large"),
    "a file as a run": (["fit", LEAVES, "--out", VILLAGES, "--size", "8"], 5, "is a file; give a folder"),
    "other settings": (["fit", LEAVES, "--out", "{leaves}", "--size", "8", "--epochs", "3"], 5, "was begun with"),
    "from nowhere": (["fit", LEAVES, "--out", "{tmp}/run", "--from", "{tmp}/nothing"], 5, "no such folder"),
    "no run": (["sample", "{tmp}/nothing"], 5, "no such folder"),
    "no run in the folder": (["info", "{tmp}"], 5, "does not hold a run"),
    "no such label": (["sample", "{leaves}", "--label", "elm"], 2, "choose among maple, oak, willow"),
    "nowhere to write": (["sample", "{leaves}", "--out", VILLAGES / "x.png"], 4, "cannot be read or written"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_have_an_exit_code_and_one_sentence(name, tmp_path, leaves, capsys):
    arguments, expected, message = WRONG[name]
    places = {"tmp": tmp_path, "leaves": leaves}
    code, _, err = call(capsys, *(str(a).format(**places) if "{" in str(a) else a for a in arguments))
    assert code == expected, err
    assert message in err and "Traceback" not in err
    if expected != 2 or "label" in name or "device" in name:
        assert err.count("\n") == 1
    assert not (tmp_path / "run" / "model.json").exists() and not list(tmp_path.rglob("*.part"))


def test_training_that_goes_wrong(tmp_path, capsys, monkeypatch):
    recipe = senses.image.recipe
    wild = dict(lr=1e9, clip=None, warmup=0.0)
    monkeypatch.setattr(senses.image, "recipe", lambda plan, n: recipe(plan, n) | wild)
    code, _, err = call(capsys, "fit", LEAVES, "--out", tmp_path / "run", "--size", 8, "--epochs", 3)
    assert code == 4 and "smaller learning rate" in err and err.count("\n") == 1


def test_no_memory(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(senses, "read", lambda *a, **k: bytearray(1 << 62))
    code, _, err = call(capsys, "fit", LEAVES, "--out", tmp_path / "run")
    assert code == 4 and "Not enough memory" in err


def test_a_closed_pipe_is_not_an_error(villages):
    """As in … | head -1: no traceback, no complaint, and the exit code of what is done."""
    command = f"{sys.executable} -m helpers sample {villages} -n 3000; echo code $? >&2"
    done = subprocess.run(["bash", "-c", f"({command}) | head -1"], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout.count("\n") == 1 and done.stderr.strip() == "code 0"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_without_unicode(tmp_path, encoding):
    """Signs become letters that look alike, and all else its number; nothing stops."""
    for start, label in enumerate(("猫", "Ελλάδα", "plain")):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for i in range(start, 30, 3):
            shutil.copy(LEAVES / "oak" / f"{i:02d}.png", tmp_path / "mine" / label)
    command = [sys.executable, "-m", "helpers", "fit", tmp_path / "mine", "--out", tmp_path / "run", "--size", "8",
               "--epochs", "1", "--code", "2"]
    done = subprocess.run(command, env=ENVIRONMENT | {"PYTHONIOENCODING": encoding}, capture_output=True)
    assert done.returncode == 0, done.stderr
    out = done.stdout.decode(encoding)
    assert "\\u732b" in out and "plain" in out and ("8 x 8" in out or "8 × 8" in out)


def test_labels_are_the_same_however_accents_are_stored(tmp_path, capsys):
    """é as one character, or as e and an accent, as macOS has it in names of folders."""
    for label in ("Cafe\u0301", "tea"):
        shutil.copytree(LEAVES / "oak" if label == "tea" else LEAVES / "maple", tmp_path / "mine" / label)
    out = tmp_path / "run"
    assert call(capsys, "fit", tmp_path / "mine", "--out", out, "--size", 8, "--epochs", 1, "--code", 2)[0] == 0
    for label in ("Cafe\u0301", "Caf\u00e9"):
        assert call(capsys, "sample", out, "--label", label, "--out", tmp_path / f"{len(label)}.png")[0] == 0


def test_labels_that_no_font_can_write_have_a_legend(leaves, tmp_path, capsys, monkeypatch):
    from helpers import plotting

    assert "on the sheet" not in call(capsys, "sample", leaves, "--out", tmp_path / "one.png")[1]
    real = plotting.font_for
    monkeypatch.setattr(plotting, "font_for", lambda name: None if "oak" in name else real(name))
    assert "on the sheet, label 2 is oak\n" in call(capsys, "sample", leaves, "--out", tmp_path / "two.png")[1]


def test_choices_of_reading_are_options_and_stay_with_the_run(tmp_path, capsys):
    """Sixty pictures beside twelve in a subfolder: the majority, or what is said; and a run goes on as it was begun."""
    for i, leaf in enumerate(list(made.leaves(24).values())):
        place = tmp_path / "mixed" / ("thumbs/" if i >= 60 else "") / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(leaf).save(place)
    small = ("--epochs", 1, "--size", 8, "--code", 2)
    code, out, _ = call(capsys, "fit", tmp_path / "mixed", "--out", tmp_path / "most", *small)
    assert code == 0 and "60 examples" in out and "--labels yes" in out
    code, out, _ = call(capsys, "fit", tmp_path / "mixed", "--out", tmp_path / "all", "--labels", "no", *small)
    assert code == 0 and "72 examples" in out
    code, out, err = call(capsys, "fit", tmp_path / "mixed", "--out", tmp_path / "all")
    assert code == 0 and "is finished" in out, err
    notes = json.loads((tmp_path / "most" / "model.json").read_text())["data"]["notes"]
    assert any("--labels yes" in note for note in notes), "the card has what was chosen"


def test_texts_are_lines_or_running_as_is_said(tmp_path, capsys):
    out = call(capsys, "fit", VILLAGES, "--out", tmp_path / "run", "--text", "running", "--epochs", 1)[1]
    assert "running text of" in out
    printed = call(capsys, "sample", tmp_path / "run", "-n", 3)[1]
    assert [f"——— {number}" in printed for number in (1, 2, 3, 4)] == [True, True, True, False]
    code, _, err = call(capsys, "fit", LEAVES, "--out", tmp_path / "no", "--text", "lines")
    assert code == 3 and "not an option" in err and not (tmp_path / "no").exists()


def test_a_bug_is_not_hidden(monkeypatch):
    monkeypatch.setattr(runs, "load", lambda path: {}["a bug"])
    with pytest.raises(KeyError):
        main(["info", "x"])


@pytest.mark.parametrize("command", [[], ["fit"], ["sample"], ["info"]])
def test_help_has_an_example_and_the_exit_codes(command, capsys):
    code, out, _ = call(capsys, *command, "--help")
    assert code == 0 and "example: python -m helpers" in out and "130 stopped by Ctrl-C" in out


# --- as a process ------------------------------------------------------------------------------------


def test_help_does_not_wait_for_torch():
    code = ("import sys; from helpers.__main__ import main; assert main(['fit', '--help']) == 0; "
            "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)


def test_exit_codes_reach_the_shell(tmp_path):
    command = [sys.executable, "-m", "helpers", "fit", tmp_path / "nothing", "--out", tmp_path / "run"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 3 and done.stderr.count("\n") == 1 and done.stdout == ""


def saved(out):
    """Whether an epoch has been saved."""
    try:
        return len(checkpoints.load(out / "training")[1]["history"]) > 0
    except checkpoints.CheckpointError:
        return False


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_or_killed_can_go_on(tmp_path, how, code, capsys):
    out = tmp_path / "run"
    arguments = ["fit", str(LEAVES), "--out", str(out), "--size", "8", "--epochs", "100000"]
    # A shell that runs the tests in the background lets its children ignore Ctrl-C.
    script = ("import sys, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
              "from helpers import runs; from helpers.__main__ import main; "
              "runs.fit.__kwdefaults__['save_every'] = 0.0; sys.exit(main(sys.argv[1:]))")
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], env=ENVIRONMENT, text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None and not saved(out):
        time.sleep(0.02)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    if how == signal.SIGINT:
        assert "the same command goes on there" in err and err.count("\n") == 1
    _, card = checkpoints.load(out / "training")
    assert len(card["history"]) >= 1
    code, _, err = call(capsys, "info", out)
    assert code == 5 and "not finished" in err


@pytest.mark.slow
def test_two_processes(tmp_path):
    """Rank 0 alone prints and writes, and what comes out is a run like any other."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "helpers",
               "fit", LEAVES, "--out", tmp_path / "run", "--size", "8", "--epochs", "2"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len([line for line in lines if line.startswith("epoch")]) == 2 and lines.count("limits:") == 1
    assert "Traceback" not in done.stderr
    run = runs.load(tmp_path / "run")
    assert len(run.history) == 2 and run.report["score"]["nats"] < 600
    done = subprocess.run([*command[:-1], "3"], env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and done.stderr.count("was begun with epochs=2") == 1
