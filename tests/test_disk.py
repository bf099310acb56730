"""Nothing of the reader's is ever lost: every writer of the project, in a folder full of other people's files.

Each writer runs once in an empty folder, to see which names it uses. Then somebody else's files have those names, and
the writer must leave every one of them as it is, byte for byte, whether it says so or takes other names; also if it is
killed at any step.
"""

import ast
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import run_notebooks
import samples as made
import slides
from comparing import contents, refused
from helpers import checkpoints, disk, plotting, runs, senses, training
from helpers.__main__ import main
from helpers.build import assemble
from helpers.checkpoints import signing
from helpers.data import Dataset, cache
from helpers.evaluation import Board
from helpers.experiments import sweeps
from helpers.pages import shipped

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parent.parent
QUICK = dict(epochs=1, k=1, quiet=True, save_every=0.0)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
MINE = [b"mine", b"", b"{}", b'{"settings": {}, "phases": [{"done": false}], "weights": {"file": "a.txt"}}']

# --- writers: what each does in a folder -------------------------------------------------------------


def tiny(kind="image"):
    rng = np.random.default_rng(0)
    if kind == "text":
        return senses.text.read(made.SAMPLES / "villages.txt")
    shape = (4, 4) if kind == "image" else (513, 3)
    return Dataset.make(kind, rng.random((42, *shape)).astype(np.float32), kind=kind)


def run_of(kind, home):
    """A finished run elsewhere, made once."""
    out = home / f"run-{kind}"
    if not out.exists():
        choices = dict(hidden=8) if kind != "image" else dict(hidden=8, channels=2)
        runs.fit(tiny(kind), out, **QUICK, **choices)
    return runs.load(out)


def fit(kind):
    choices = dict(hidden=8) if kind != "image" else dict(hidden=8, channels=2)
    return lambda folder, home: runs.fit(tiny(kind), folder, **QUICK, **choices)


def draw(kind):
    return lambda folder, home: run_of(kind, home).sheet(folder / "samples", n=3)


def from_the_command_line(folder, home):
    run = run_of("image", home)
    assert main(["sample", str(run.path), "-n", "3", "--out", str(folder / "samples.png")]) in (0, 5)


def completed(folder, home):
    run = run_of("text", home)
    (home / "begun.txt").write_text("Ober\n")
    assert main(["complete", str(run.path), str(home / "begun.txt"), "--out", str(folder / "whole.txt")]) in (0, 5)


def paged(folder, home):
    run = run_of("text", home)
    assert main(["page", str(run.path), "--out", str(folder / "mine.html")]) in (0, 5)


def shipped_pages(folder, home):
    shipped.write(folder, ["colours"])


def signature(folder, home):
    if not any(folder.glob("m-*.safetensors")):
        checkpoints.save(folder / "m", {"w": torch.ones(2)})
    signing.sign(folder / "m", KEY)


def resumable(folder, home):
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    part = {"model": "MLPDecoder", "K": 2, "hidden": [], "D": 2}
    model = assemble({"model": "VAE", "code": 2, "encoder": {"model": "MLPEncoder", "D": 2, "hidden": [], "K": 2},
                      "decoder": part})
    training.fit(model, ((x > 0).float(), (x > 0).float()), epochs=2, quiet=True, checkpoint=folder / "state")


def board(folder, home):
    os.environ[disk.RECORD] = "1"
    try:
        Board("mine", folder / "board.json").add("toy", np.ones(250), "exact")
    finally:
        del os.environ[disk.RECORD]


def picture(folder, home):
    before, plotting.IMAGES, os.environ[disk.RECORD] = plotting.IMAGES, folder, "1"
    try:
        plotting.show(plt.figure(figsize=(1, 1)), alt="An empty figure, which is enough here.", save="figure.png")
    finally:
        plotting.IMAGES = before
        del os.environ[disk.RECORD]


def cached(folder, home):
    before, cache.FOLDER = cache.FOLDER, folder
    try:
        cache.cached("numbers", b"recipe", lambda: {"x": np.ones(3)})
    finally:
        cache.FOLDER = before


def typeface(folder, home):
    from helpers.widgets import TypefaceDesigner

    encoder = {"model": "ConditionalEncoder", "D": 784, "C": 62, "hidden": [4], "K": 2}
    decoder = {"model": "ConditionalDecoder", "K": 2, "C": 62, "hidden": [4], "D": 784}
    model = assemble({"model": "SetVAE", "code": 2, "encoder": encoder, "decoder": decoder})
    TypefaceDesigner(model, [("one", torch.tensor([1.0, 0.0]))], folder=folder).save()


def instrument(folder, home):
    from helpers import export

    notes = np.log(np.maximum(np.random.default_rng(0).random((2, 513, 51)) * 0.1, 1e-3))
    export.sfz(notes, [60, 67], folder, "mine", sample_rate=16_000)


def heard(folder, home):
    from helpers import sound

    before, sound.SOUNDS, os.environ[disk.RECORD] = sound.SOUNDS, folder, "1"
    try:
        sound.show(np.sin(np.arange(1600)), "a sine, which is enough here", save="sine.mp3")
    finally:
        sound.SOUNDS = before
        del os.environ[disk.RECORD]


def typeface_file(folder, home):
    from helpers import export
    from helpers.data import glyphs

    drawn = glyphs.draw_font("DejaVuSans")
    alphabet = np.stack([drawn[k][::2, ::2].reshape(-1) for k in glyphs.CHARACTERS])
    export.font(alphabet, folder / "own.ttf", "Own")


def square(setting, seed):
    return {"test": setting["x"] ** 2 + seed}


def our_samples(folder, home):
    files, few = made.files, dict(list(made.files().items())[::40]) if not SAMPLES else SAMPLES
    SAMPLES.update(few)
    made.files = lambda: few
    try:
        made.main(folder)
    finally:
        made.files = files


SAMPLES: dict = {}


def notebook(folder, home):
    """`make notebooks` replaces a notebook that it executed, and no other file; nor one that changed meanwhile."""
    path = folder / "00_x.ipynb"
    if not path.exists():
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]), path)
    run_notebooks.run(path)


WRITERS = {
    "fit, images": fit("image"),
    "fit, sounds": fit("sound"),
    "fit, texts": fit("text"),
    "samples of images": draw("image"),
    "samples of sounds": draw("sound"),
    "samples of texts": draw("text"),
    "sample": from_the_command_line,
    "complete": completed,
    "page": paged,
    "shipped pages": shipped_pages,
    "a checkpoint": lambda folder, home: checkpoints.save(folder / "m", {"w": torch.ones(2)}),
    "a checkpoint removed": lambda folder, home: checkpoints.remove(folder / "m"),
    "a signature": signature,
    "a training state": resumable,
    "a sweep": lambda folder, home: sweeps.run(square, [{"x": 2}], [0], file=folder / "sweep.json"),
    "a sweep removed": lambda folder, home: sweeps.remove(folder / "sweep.json"),
    "the board": board,
    "a figure": picture,
    "the cache": cached,
    "a typeface": typeface,
    "a font": typeface_file,
    "our samples": our_samples,
    "an instrument": instrument,
    "a sound": heard,
    "a notebook": notebook,
    "the slides": lambda folder, home: slides.make(folder),
}
# Modules that write, and which of the above walks there; downloads have a server, and a test in test_downloads.py.
WALKED = {
    "helpers/runs/fitting.py": "fit, images", "helpers/runs/sheets.py": "sample",
    "helpers/checkpoints/store.py": "a checkpoint",
    "helpers/checkpoints/signing.py": "a signature", "helpers/experiments/sweeps.py": "a sweep",
    "helpers/evaluation/board.py": "the board", "helpers/plotting.py": "a figure", "helpers/data/cache.py": "the cache",
    "helpers/export/sfz.py": "an instrument", "helpers/sound.py": "a sound",
    "helpers/export/font.py": "a font", "helpers/widgets/typeface.py": "a typeface",
    "helpers/data/downloads.py": "test_downloads.py",
    "helpers/workshop/grading.py": "test_grading.py: a table goes only where nothing is",
    "tools/samples.py": "our samples",
    "tools/run_notebooks.py": "a notebook", "helpers/disk.py": "all of them",
    "tools/path.py": "test_path.py: nothing is overwritten",
    "tools/book.py": "test_book.py: a folder of others", "tools/slides.py": "the slides",
    "tools/workshop.py": "workshop/schedules.md alone, which it has made",
    "tools/bundle.py": "test_bundle.py: a file of others is left as it is",
    "tools/make_venv.py": "test_tools.py: .venv is replaced only if make has made it",
}
WRITES = {"write_bytes", "write_text", "write_new", "replacing", "unlink", "rename", "replace_with", "rmtree", "remove",
          "savez", "save_checkpoint", "note"}


def test_every_module_that_writes_is_walked():
    found = set()
    for file in [*ROOT.glob("helpers/**/*.py"), *ROOT.glob("tools/*.py")]:
        for node in (n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            modes = {a.value for a in node.args if isinstance(a, ast.Constant)}
            opened = name == "open" and modes & {"w", "wb", "a"}
            if opened or (name in WRITES and not (name == "remove" and not isinstance(node.func, ast.Attribute))):
                found.add(file.relative_to(ROOT).as_posix())
    assert found - {"tools/sweep.py"} <= WALKED.keys(), found - WALKED.keys()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def quietly(write, folder, home):
    """Run a writer, which may refuse in a sentence; whatever it raises, what counts is what is there afterwards."""
    try:
        write(folder, home)
    except Exception as error:
        assert not isinstance(error, (AssertionError, NameError, AttributeError)), error
        assert ("\n" not in str(error) and not error.args) or str(error)


@pytest.fixture(scope="module")
def names(home, tmp_path_factory):
    """The names that a writer uses in an empty folder, found once."""
    found = {}

    def of(name):
        if name not in found:
            folder = tmp_path_factory.mktemp("empty")
            before = "a " + name.split()[1] if name.endswith("removed") else name
            WRITERS[before](folder, home)
            found[name] = list(contents(folder))
        return found[name]

    return of


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("content", MINE, ids=lambda content: content[:6].decode())
def test_files_of_others_are_left_as_they_are(name, content, home, names, tmp_path):
    """All of the writer's names at once, then each by itself: the others might be written before it is looked at."""
    taken = names(name)
    if name == "a notebook":
        taken = [file for file in taken if not file.endswith(".ipynb")]  # which is executed, as it is asked to be
    for number, files in enumerate([taken, *([file] for file in taken[:: max(1, len(taken) // 8)])]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for file in [*files, "samples-2025/photo.jpg", "letter.txt"]:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        before = contents(folder)
        quietly(WRITERS[name], folder, home)
        quietly(WRITERS[name], folder, home)
        after = contents(folder)
        damaged = {f for f in before if after.get(f) != before[f]}
        if name == "the cache":  # moved aside, since it cannot be used
            damaged = {f for f in damaged if after.get(f + ".damaged") != before[f]}
        assert not damaged


@pytest.mark.parametrize("name", ["fit, images", "samples of sounds", "a checkpoint", "a sweep", "the cache"])
def test_a_killed_writer_has_not_touched_them_and_the_next_one_goes_on(name, home, names, tmp_path):
    run_of("sound", home)  # made by now
    others = {"letter.txt": b"mine", "model-0123456789ab.safetensors": b"mine", "samples-7.csv": b"mine",
              "training-0123456789ab.safetensors": b"mine", ".x.part": b"mine"}
    seen, whole = set(), set(names(name))
    for delay in range(1, 90, 3 if name.startswith("fit") else 1):
        folder = tmp_path / "place"
        folder.mkdir(exist_ok=True)
        arguments = (WRITERS[name], folder, home, delay)
        process = multiprocessing.get_context("fork").Process(target=killed_at, args=arguments)
        process.start()
        process.join()
        if name != "fit, images" or not seen:
            for file, content in others.items():
                if not name.startswith("fit") or (folder / "run.json").exists():
                    (folder / file).write_bytes(content)
                    seen.add(file)
        found = contents(folder)
        assert all(found.get(file) == others[file] for file in seen)
        if process.exitcode == 0:
            break
    assert process.exitcode == 0 and delay > 1
    left, recorded = set(found) - {*others, ".run.json.lock"}, name in ("fit, images", "a checkpoint")
    parts = {file for file in left if file.startswith(".") and file.endswith(".part")}
    assert left - parts == whole and (not parts or not recorded), left ^ whole


def killed_at(write, folder, home, step):
    """Run a writer, and kill the process at its step-th replacing, deleting or renaming of a file."""
    calls = [0]

    def counted(function):
        def f(*arguments, **options):
            calls[0] += 1
            if calls[0] == step:
                os.kill(os.getpid(), 9)
            return function(*arguments, **options)

        return f

    os.replace, os.unlink, Path.unlink = counted(os.replace), counted(os.unlink), counted(Path.unlink)
    write(folder, home)


# --- the folder of a run -----------------------------------------------------------------------------


def test_a_folder_of_recordings_given_as_data_and_as_out(tmp_path):
    """Twelve recordings named like our samples are data and --out at once: refused, and all twelve are there."""
    from helpers import sound

    mine = tmp_path / "mine"
    mine.mkdir()
    for i, (_, wave) in zip(range(12), made.strokes().items()):
        (mine / f"samples-{i + 1:02d}.wav").write_bytes(sound.encode(wave / 32767, format="wav"))
    before = contents(mine)
    assert main(["fit", str(mine), "--out", str(mine), "--minutes", "0.01"]) == 5
    assert contents(mine) == before


@pytest.mark.parametrize("name", ["samples.png", "samples-01.flac", "samples-7.txt", "model.json", "training.json"])
def test_a_file_put_into_a_run_is_in_the_way_before_training_not_after(name, tmp_path, capsys):
    out = shutil.copytree(run_of("image", tmp_path).path, tmp_path / "mine")
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(record | {"files": [f for f in record["files"] if f != name]}))
    (out / name).write_bytes(b"mine")
    before = contents(out)
    with refused(disk.DiskError, "is left as it is"):
        runs.fit(tiny(), out, more=0.01, quiet=True)
    assert contents(out) == before and "epoch" not in capsys.readouterr().out


def test_training_on_replaces_its_own_files_alone(tmp_path):
    out = shutil.copytree(run_of("image", tmp_path).path, tmp_path / "mine")
    for name in ("samples.csv", "samples-2025.png", "model-0123456789ab.safetensors", "notes.txt"):
        (out / name).write_bytes(b"mine")
    with pytest.raises(disk.DiskError, match="samples-2025"):
        runs.fit(tiny(), out, more=0.01, quiet=True)
    (out / "samples-2025.png").rename(out / "holiday-2025.png")
    runs.fit(tiny(), out, more=0.01, quiet=True)
    found = contents(out)
    assert {n for n, c in found.items() if c == b"mine"} == {
        "samples.csv", "holiday-2025.png", "model-0123456789ab.safetensors", "notes.txt"}
    made_by_us = set(json.loads(found["run.json"])["files"])
    assert made_by_us == {"model.json", "report.json", "report.html", "samples.png"} and made_by_us <= found.keys()


def test_two_runs_in_one_folder(tmp_path):
    """The second is refused while the first lives; the first ends as if nothing had been."""
    command = [sys.executable, "-m", "helpers", "fit", made.SAMPLES / "leaves", "--out", tmp_path / "run",
               "--size", "8", "--epochs", "40"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HELPERS_PROGRESS": "milestones", "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while first.poll() is None and not (tmp_path / "run" / "run.json").exists():
        time.sleep(0.02)
    second = subprocess.run(command, env=environment, capture_output=True, text=True)
    out, err = first.communicate(timeout=120)
    assert first.returncode == 0 and err == "" and "samples:" in out
    assert second.returncode == 5 and "another process is writing there" in second.stderr
    assert second.stderr.count("\n") == 1 and len(runs.load(tmp_path / "run").history) == 40


def test_a_run_inside_its_data_is_not_read(tmp_path):
    """fit P --out P/run, twice over, with another run beside: neither becomes a label, nor hides the images."""
    mine = shutil.copytree(made.SAMPLES / "leaves" / "oak", tmp_path / "mine")
    for out in ("run", "run", "run2"):
        code = main(["fit", str(mine), "--out", str(mine / out), "--size", "8", "--epochs", "1", "--code", "2"])
        assert code == 0
    run = runs.load(mine / "run2")
    assert run.data_card["examples"] == 200 and not run.names and run.data_card["left out"]["files"] == 1
    assert main(["fit", str(mine), "--out", str(mine / "run"), "--more", "0.005"]) == 0


@pytest.mark.parametrize("change", [b"drawn over", None])
def test_sample_replaces_what_it_drew_unless_somebody_changed_it(change, tmp_path, capsys):
    run, out = run_of("image", tmp_path).path, tmp_path / "x.png"
    draw = lambda seed: main(["sample", str(run), "-n", "3", "--seed", str(seed), "--out", str(out)])
    assert draw(1) == 0
    first = out.read_bytes()
    if change is None:
        assert draw(2) == 0 and out.read_bytes() != first and draw(1) == 0 and out.read_bytes() == first
    else:
        out.write_bytes(change)
        assert draw(2) == 5 and "is left as it is" in capsys.readouterr().err and out.read_bytes() == change


def test_a_run_that_may_not_be_written_to_is_drawn_from_all_the_same(tmp_path, monkeypatch):
    run = run_of("image", tmp_path)

    def read_only(path, text):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("helpers.runs.sheets.write_text", read_only)
    [file] = run.sheet(tmp_path / "x.png", n=2)
    run.sheet(file, n=2)  # the same once more does no harm
    with refused(disk.DiskError, "is left as it is"):
        run.sheet(file, n=3)


# --- files -------------------------------------------------------------------------------------------


def test_whole_or_not_at_all(tmp_path):
    file = tmp_path / "deep" / "x.txt"
    disk.write_text(file, "old")
    with pytest.raises(ZeroDivisionError), disk.replacing(file) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert contents(tmp_path) == {"deep/x.txt": b"old"}


def test_write_new_and_free_names(tmp_path):
    file = tmp_path / "x.txt"
    disk.write_new(file, b"one")
    disk.write_new(file, b"one")
    with refused(disk.DiskError, "is there already"):
        disk.write_new(file, b"two")
    assert disk.free_name(file) == tmp_path / "x-2.txt"
    (tmp_path / "x-2.txt").symlink_to("nowhere")
    assert disk.free_name(file) == tmp_path / "x-3.txt" and disk.free_name(tmp_path / "y") == tmp_path / "y"
    with refused(disk.DiskError, "is there already"):
        disk.write_new(tmp_path / "x-2.txt", b"through a link")
    assert not (tmp_path / "nowhere").exists()


def test_a_place_may_lie_deep(tmp_path):
    with disk.Place(tmp_path / "a" / "b") as place:
        place.write("x.txt", b"x")
    assert (tmp_path / "a" / "b" / "x.txt").read_bytes() == b"x"


def test_a_place_keeps_names_and_forgets_what_it_removes(tmp_path):
    with disk.Place(tmp_path / "a", ("x",)) as place:
        place.write("x", b"1")
        place.note(colour="red")
        with refused(disk.DiskError, "another process is writing there"):
            disk.Place(tmp_path / "a").open()
    again = disk.Place(tmp_path / "a", ("x",)).open()
    assert again.made == ["x"] and again.record["colour"] == "red"
    (tmp_path / "a" / "y").write_text("mine")
    again.remove("x", "y")
    again.close()
    assert set(contents(tmp_path / "a")) == {"run.json", "y"}


@pytest.mark.parametrize("found", [[], {"made by": disk.MADE_BY}, {"made by": disk.MADE_BY, "files": [1]},
                                   {"made by": "others", "files": []}])
def test_records_of_others(tmp_path, found):
    (tmp_path / "run.json").write_text(json.dumps(found))
    assert disk.read_record(tmp_path / "run.json") == {}
    with refused(disk.DiskError, "not a record of ours"):
        disk.Place(tmp_path).open()
    assert set(contents(tmp_path)) == {"run.json"}
