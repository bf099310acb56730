"""The scripts behind `make`: the environment, the saved notebooks, the second processor, what trains for long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import make_venv
import second_processor
import sweep
from helpers.experiments import settings, sweeps

TOOLS = Path(__file__).resolve().parent.parent / "tools"


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, TOOLS / tool, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


# ---------------------------------------------------------------- make_venv.py


def test_what_the_book_needs_is_installed_once(tmp_path: Path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(make_venv, "VENV", tmp_path)
    monkeypatch.setattr(make_venv, "WHEELS", tmp_path / "wheels")
    monkeypatch.setattr(make_venv, "pip", lambda *arguments: asked.append(arguments))
    make_venv.extra("book")
    make_venv.extra("book")
    assert asked == [("--editable", ".[test,book]")]
    monkeypatch.setattr(make_venv, "fingerprint", lambda: "other requirements")
    make_venv.extra("book")
    assert len(asked) == 2

    def fail(*arguments):
        raise subprocess.CalledProcessError(1, arguments)

    monkeypatch.setattr(make_venv, "pip", fail)
    (tmp_path / "ready-book").unlink()
    with pytest.raises(SystemExit, match="not installed"):
        make_venv.extra("book")
    assert not (tmp_path / "ready-book").exists()


# ---------------------------------------------------------------- run_notebooks.py


def write(path: Path, *sources: str) -> Path:
    """An unexecuted notebook, with the marks that editors leave."""
    cells = [new_markdown_cell("# A lesson"), *(new_code_cell(source) for source in sources)]
    cells[0].metadata.update(collapsed=True, tags=["parameters"])
    nb = new_notebook(cells=cells, metadata={"widgets": {}, "language_info": {"name": "python", "version": "3.9"}})
    nbformat.write(nb, path)
    return path


def test_a_notebook_is_executed_and_tidied(tmp_path: Path):
    board = "import os; print(os.environ['HELPERS_RECORD'], os.environ['HELPERS_PROGRESS'])"
    pieces = "for i in range(3):\n    print(i, flush=True)"
    path = write(tmp_path / "00_a.ipynb", board, "", pieces, "import os; os.getcwd()")
    path.chmod(0o640)
    ids = [cell.id for cell in nbformat.read(path, 4).cells]

    first = run("run_notebooks.py", path)
    assert first.returncode == 0, first.stderr
    assert "00_a.ipynb" in first.stdout and "MiB" in first.stdout

    nb = nbformat.read(path, 4)
    assert [cell.id for cell in nb.cells] == ids
    assert [cell.get("execution_count") for cell in nb.cells] == [None, 1, None, 2, 3]
    assert nb.cells[1].outputs[0].text == "1 milestones\n"
    assert [output.text for output in nb.cells[3].outputs] == ["0\n1\n2\n"]
    assert nb.cells[4].outputs[0].data["text/plain"] == repr(str(tmp_path))
    assert nb.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert nb.cells[0].metadata == {"tags": ["parameters"]}
    assert not any(cell.metadata for cell in nb.cells[1:])

    text = path.read_text()
    assert text.endswith("}\n") and json.loads(text)["nbformat_minor"] >= 5
    assert path.stat().st_mode & 0o777 == 0o640
    assert run("run_notebooks.py", path).returncode == 0
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import os; os._exit(1)", "the kernel died"),
        ("assert False", "AssertionError"),
    ],
)
def test_a_failing_notebook_is_left_alone(tmp_path: Path, source: str, reason: str):
    path = write(tmp_path / "00_a.ipynb", "print(1)", source)
    before = path.read_bytes()
    result = run("run_notebooks.py", path)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert f"{path}: code cell 2 failed ({reason}" in last and "nothing was saved" in last
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


CHANGES = {
    "edited": "open('00_a.ipynb', 'a').write(' ')",
    "moved": "import os; os.rename('00_a.ipynb', 'b.ipynb')",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_notebook_that_changes_while_it_runs_is_left_alone(tmp_path: Path, change: str):
    path = write(tmp_path / "00_a.ipynb", "print(1)", CHANGES[change])
    before = path.read_text()
    result = run("run_notebooks.py", path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"{path} was changed while it ran, and is left as it is; run it again."
    [left] = tmp_path.iterdir()
    assert (left.name, left.read_text()) == {"edited": (path.name, before + " "), "moved": ("b.ipynb", before)}[change]


def test_what_is_no_notebook_is_named(tmp_path: Path):
    (tmp_path / "a.ipynb").write_text("{")
    (tmp_path / "c.ipynb").write_bytes(b"\xff")
    reasons = {"a.ipynb": "is not a notebook", "b.ipynb": "cannot be read", "c.ipynb": "is not a notebook"}
    for name, reason in reasons.items():
        result = run("run_notebooks.py", tmp_path / name)
        assert result.returncode == 1
        assert f"{tmp_path / name} {reason}" in result.stderr.splitlines()[-1]


# ---------------------------------------------------------------- second_processor.py

LOOPS = """
import json, numpy, threadpoolctl, torch
print(json.dumps({
    "numpy": numpy.show_config(mode="dicts")["SIMD Extensions"].get("found", []),
    "openblas": [pool["architecture"] for pool in threadpoolctl.threadpool_info()
                 if pool["internal_api"] == "openblas"],
    "torch": torch.backends.cpu.get_cpu_capability(),
    "threads": torch.get_num_threads(),
}))
"""


def test_every_library_chooses_its_plainest_loops():
    result = run("second_processor.py", sys.executable, "-c", LOOPS)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    core = second_processor.environment()["OPENBLAS_CORETYPE"]
    assert found["numpy"] == [] and found["torch"] == "DEFAULT" and found["threads"] == 1
    assert {name.lower() for name in found["openblas"]} <= {core.lower()}


def test_the_second_processor_reports_failure():
    assert run("second_processor.py", sys.executable, "-c", "raise SystemExit(3)").returncode == 3


def test_nothing_that_numpy_found_is_left_on():
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    assert second_processor.environment()["NPY_DISABLE_CPU_FEATURES"].split() == found


# ---------------------------------------------------------------- pretrained.py, sweep.py


def test_a_model_without_a_recipe_is_named():
    result = run("pretrained.py", "cnov-0")
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("no model is called cnov-0; choose among digits-conv-0, ")


def counted(setting: dict, seed: int) -> dict:
    """Stands for a training, and says how often it was called."""
    calls.append((setting["a"], seed))
    return {"test": 1.0}


calls: list[tuple[int, int]] = []


@pytest.fixture
def small_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Four sweeps of one setting each, for those that ship; they touch neither data/ nor how torch is set up."""
    calls.clear()
    monkeypatch.setattr(sweep.helpers, "setup", lambda seed: None)
    monkeypatch.setattr(torch.distributions.Distribution, "set_default_validate_args", lambda value: None)
    files = [tmp_path / "one.json", tmp_path / "two.json", tmp_path / "three.json", tmp_path / "four.json"]
    small = tuple(settings.Sweep(file, counted, [dict(a=a)]) for a, file in enumerate(files))
    monkeypatch.setattr(settings, "SWEEPS", small)
    return files


def test_a_sweep_runs_what_is_missing_and_all_of_it_again_if_told(small_sweeps: list[Path], monkeypatch, capsys):
    for arguments, n in (([], 20), ([], 20), (["--again"], 40)):
        monkeypatch.setattr(sys, "argv", ["sweep.py", *arguments])
        assert sweep.main() == 0 and len(calls) == n
    assert all(len(sweeps.load(file)) == 5 for file in small_sweeps)
    assert "one.json: 5 runs" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--again"]])
def test_a_sweep_leaves_files_alone_that_are_not_its_own(small_sweeps: list[Path], monkeypatch, capsys, arguments):
    small_sweeps[0].write_text('{"mine": 1}')
    monkeypatch.setattr(sys, "argv", ["sweep.py", *arguments])
    assert sweep.main() == 1 and calls == []
    assert "is not a file of sweep results, and is left as it is" in capsys.readouterr().err
    assert small_sweeps[0].read_text() == '{"mine": 1}'


# ---------------------------------------------------------------- make_venv.py


class Project:
    """A project in which environments are made of nothing, and calls are written down."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch):
        self.root, self.calls, self.broken = root, [], False
        for name in make_venv.REQUIREMENTS:
            (root / name).write_text("")
        self.move(root, monkeypatch)
        monkeypatch.setattr(make_venv.subprocess, "check_call", self.check_call)

    def move(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        venv = root / ".venv"
        for name, path in {
            "ROOT": root,
            "VENV": venv,
            "PYTHON": venv / "bin" / "python",
            "STAMP": venv / "ready",
            "WHEELS": root / "wheels",
        }.items():
            monkeypatch.setattr(make_venv, name, path)

    def check_call(self, command: tuple[str, ...], **_: object) -> None:
        if "venv" in command:
            self.calls.append("venv")
            make_venv.STAMP.unlink(missing_ok=True)
            make_venv.VENV.mkdir(exist_ok=True)
            name = command[command.index("--prompt") + 1]
            (make_venv.VENV / "pyvenv.cfg").write_text(f"prompt = '{name}'\n")
            make_venv.PYTHON.parent.mkdir(parents=True, exist_ok=True)
            make_venv.PYTHON.unlink(missing_ok=True)
            make_venv.PYTHON.symlink_to(sys.executable)
        else:
            self.calls.append("torch" if "torch" in command else "all")
            if self.broken:
                raise subprocess.CalledProcessError(1, command)

    def make(self) -> list[str]:
        self.calls = []
        make_venv.main()
        return self.calls


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    return Project(tmp_path, monkeypatch)


def test_the_environment_is_made_once(project: Project):
    assert project.make() == ["venv", "all"]
    assert project.make() == []


@pytest.mark.parametrize("name", make_venv.REQUIREMENTS)
def test_changed_requirements_are_installed(project: Project, name: str):
    project.make()
    (project.root / name).write_text("torch==2.13.0\n")
    assert project.make() == ["all"]
    assert project.make() == []


@pytest.mark.parametrize("file", ["pyvenv.cfg", "bin/python", "letter.txt"])
def test_an_environment_of_the_reader_is_left_as_it_is(project: Project, file: str):
    """.venv is a common name: what `make` has not made is not cleared."""
    theirs = make_venv.VENV / file
    theirs.parent.mkdir(parents=True)
    theirs.write_text("home = /usr/bin\n")
    with pytest.raises(SystemExit, match="was not made by `make`, and is left as it is"):
        project.make()
    assert project.calls == [] and theirs.read_text() == "home = /usr/bin\n"


def test_a_half_made_environment_is_made_again(project: Project):
    project.broken = True
    with pytest.raises(SystemExit, match="not ready"):
        project.make()
    project.broken = False
    assert project.make() == ["venv", "all"]


def test_a_half_updated_environment_is_made_again(project: Project):
    project.make()
    (project.root / "constraints.txt").write_text("torch==2.13.0\n")
    project.broken = True
    with pytest.raises(SystemExit, match="not ready"):
        project.make()
    project.broken = False
    assert project.make() == ["venv", "all"]


def test_an_environment_whose_python_is_gone_is_made_again(project: Project):
    project.make()
    make_venv.PYTHON.unlink()
    make_venv.PYTHON.symlink_to(project.root / "gone")
    assert project.make() == ["venv", "all"]


def test_a_moved_project_is_installed_again(project: Project, monkeypatch: pytest.MonkeyPatch):
    project.make()
    moved = project.root.rename(project.root.with_name("moved"))
    project.move(moved, monkeypatch)
    assert project.make() == ["all"]


def test_pytorch_comes_from_the_index_that_is_named(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCH_INDEX", "file:///somewhere")
    assert project.make() == ["venv", "torch", "all"]


class Windows:
    """The module of Windows that locks files: other processes hold the lock for so many attempts."""

    LK_NBLCK = 2

    def __init__(self, held: int):
        self.held, self.places = held, []

    def locking(self, file: int, mode: int, n: int) -> None:
        self.places.append((os.lseek(file, 0, os.SEEK_CUR), mode, n))
        if len(self.places) <= self.held:
            raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("held", [0, 1, 3])
def test_on_windows_one_waits_for_the_other(project: Project, monkeypatch: pytest.MonkeyPatch, held: int, capsys):
    windows, slept = Windows(held), []
    monkeypatch.setattr(make_venv, "fcntl", None)
    monkeypatch.setattr(make_venv, "msvcrt", windows, raising=False)
    monkeypatch.setattr(make_venv.time, "sleep", slept.append)
    assert project.make() == ["venv", "all"]
    assert windows.places == [(make_venv.BEYOND, 2, 1)] * (held + 1), "never a byte that pip has to read"
    assert ("Waiting for another" in capsys.readouterr().out) == (held > 0) and len(slept) == max(0, held - 1)


def test_on_windows_the_modules_and_the_places_are_others():
    """As far as it can be tried elsewhere: it loads with the module that Windows has, without the one that it lacks."""
    code = ("import subprocess, sys; sys.modules |= {'fcntl': None, 'msvcrt': sys}; import make_venv; "
            "print(make_venv.fcntl)")
    assert subprocess.run([sys.executable, "-c", code], cwd=TOOLS, capture_output=True, text=True).stdout == "None\n"
    assert make_venv.INSIDE["nt"] == "Scripts/python.exe"


def test_an_old_python_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(make_venv.sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"is Python 3\.10, and this project needs 3\.11"):
        project.make()
    assert project.calls == []


def test_an_old_python_can_use_what_a_newer_one_made(project: Project, monkeypatch: pytest.MonkeyPatch):
    project.make()
    monkeypatch.setattr(make_venv.sys, "version_info", (3, 10, 4))
    assert project.make() == []
