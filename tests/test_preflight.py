"""python -m helpers preflight: each sabotaged environment gives its finding and no other, and a sane one gives none."""

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.provisioning import KernelProvisionerFactory
from packaging.specifiers import SpecifierSet

from helpers.__main__ import main
from helpers.workshop import preflight

ROOT = Path(__file__).resolve().parent.parent
PINNED = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text()))


class Room:
    """A copy of the project, packages by name only, and a computer with nothing wrong: to be sabotaged."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch):
        self.root, self.site, self.patch = root / "project", root / "site", monkeypatch
        shutil.copytree(ROOT / "notebooks", self.root / "notebooks", ignore=shutil.ignore_patterns("images", "sounds"))
        for name in ("helpers", "tools", "data/pretrained", "data/README.md"):
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).symlink_to(ROOT / name)
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root)
        for requirement in self.requirements():
            self.install(requirement, next(v for n, v in PINNED.items() if n.lower() == requirement))
        (self.site / "torch").mkdir()
        (self.site / "torch" / "version.py").write_text("cuda: Optional[str] = None\n")
        for variable in ("JUPYTER_PATH", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            monkeypatch.setattr(preflight, "PORT", probe.getsockname()[1])
        monkeypatch.setattr(preflight, "free_memory", lambda: 8e9)
        self.disk(free=1e11)

    def requirements(self):
        listed = preflight.tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        return [re.match(r"[\w.-]+", line)[0] for line in listed]

    def install(self, name, version):
        """As far as anybody can tell who does not import it."""
        self.remove(name)
        folder = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    def remove(self, name):
        for folder in self.site.glob(f"{name.replace('-', '_')}-*.dist-info"):
            shutil.rmtree(folder)

    def disk(self, free):
        self.patch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(1e12, 1e12 - free, free))

    def kernel(self, *argv):
        """A kernel python3 of somebody else's, which is found first."""
        place = self.site / "jupyter" / "kernels" / "python3"
        place.mkdir(parents=True)
        spec = {"argv": [*argv, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Mine"}
        (place / "kernel.json").write_text(json.dumps(spec | {"language": "python"}))
        self.patch.setenv("JUPYTER_PATH", str(self.site / "jupyter"))

    def notebook(self, kernel, name="03_training.ipynb"):
        file = self.root / "notebooks" / name
        found = json.loads(file.read_text())
        found["metadata"]["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
        file.write_text(json.dumps(found))

    def look(self):
        """Findings by letter, without the real cell."""
        with self.patch.context() as patch:
            patch.setattr(preflight, "real_cell", lambda root: [])
            patch.setattr(sys, "path", [str(self.site)])
            found = {finding.letter: finding for finding in preflight.look(self.root)}
        KernelProvisionerFactory.clear_instance()  # it remembers what it did not find on that path
        return found


@pytest.fixture
def room(tmp_path, monkeypatch):
    return Room(tmp_path, monkeypatch)


def test_nothing_is_found_where_nothing_is_wrong(room):
    assert room.look() == {}


def taken_port(room):
    room.busy = socket.socket()  # kept open as long as the room
    room.busy.bind(("127.0.0.1", preflight.PORT))
    room.busy.listen()


SABOTAGES = {
    "a missing package": (lambda room: room.remove("librosa"), "M", "librosa"),
    "a package that is too old": (lambda room: room.install("numpy", "1.26.4"), "V", "numpy is 1.26.4, and >=2.0"),
    "a package that is too new": (lambda room: room.install("jupyterlab", "5.0.0"), "V", "jupyterlab is 5.0.0"),
    "another version": (lambda room: room.install("scipy", "1.16.0"), "v", "scipy 1.16.0 (1.17.1)"),
    "CUDA without a card": (lambda room: (room.patch.setattr(shutil, "which", lambda name: None),
                                          (room.site / "torch" / "version.py").write_text("cuda = '12.6'\n")),
                            "c", "a build for CUDA 12.6"),
    "a file where a folder belongs": (lambda room: (room.root / "data" / "cache").write_text("mine"), "W", "cache"),
    "a folder that nobody may write to": (lambda room: (room.root / "data/cache").symlink_to("/proc"), "W", "cache"),
    "no temporary folder": (lambda room: room.patch.setattr(tempfile, "tempdir", "/proc"), "T", "temporary folder"),
    "a full disk": (lambda room: room.disk(free=3e8), "S", "300 MB are free"),
    "little memory": (lambda room: room.patch.setattr(preflight, "free_memory", lambda: 2**30), "R", "1.0 GiB"),
    "a taken port": (taken_port, "l", "is taken"),
    "a proxy": (lambda room: room.patch.setenv("http_proxy", "http://proxy.school:8080"), "X", "localhost and 127"),
    "a proxy but for localhost": (lambda room: (room.patch.setenv("http_proxy", "http://proxy.school:8080"),
                                                room.patch.setenv("no_proxy", "localhost")), "X", "would catch 127"),
    "a kernel of another environment": (lambda room: room.kernel("/opt/other/bin/python"), "K", "/opt/other/bin"),
    "no kernel": (lambda room: room.patch.setattr(KernelSpecManager, "get_kernel_spec", no_kernel), "K", "no kernel"),
    "a notebook saved for another kernel": (lambda room: room.notebook("myenv"), "F", "03_training.ipynb (myenv)"),
    "a copy for another kernel": (lambda room: (shutil.copy(ROOT / "notebooks" / "03_training.ipynb", room.root /
                                                            "notebooks" / "mine.ipynb"),
                                                room.notebook("conda", "mine.ipynb")), "F", "mine.ipynb (conda)"),
    "a missing notebook": (lambda room: (room.root / "notebooks" / "07_images.ipynb").unlink(), "I", "07_images.ipynb"),
    "half a notebook": (lambda room: (room.root / "notebooks" / "07_images.ipynb").write_text("{"), "I", "07_images"),
    "an empty file": (lambda room: (room.root / "constraints.txt").write_text(""), "I", "constraints.txt"),
    "no models": (lambda room: (room.root / "data" / "pretrained").unlink(), "I", "data/pretrained"),
}


def no_kernel(manager, name):
    from jupyter_client.kernelspec import NoSuchKernel

    raise NoSuchKernel(name)


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_sabotaged_environment_gives_its_finding_and_no_other(name, room):
    sabotage, letter, found = SABOTAGES[name]
    sabotage(room)
    findings = room.look()
    assert list(findings) == [letter]
    assert found in findings[letter].found
    assert findings[letter].do and letter in preflight.LETTERS


FINE = {
    "a proxy that lets this computer alone": lambda room: (room.patch.setenv("http_proxy", "http://proxy.school:8080"),
                                                           room.patch.setenv("no_proxy", "localhost,127.0.0.1")),
    "CUDA with a card": lambda room: (room.patch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}"),
                                      (room.site / "torch" / "version.py").write_text("cuda = '12.6'\n")),
    "our version, built for processors": lambda room: room.install("torch", "2.13.0+cpu"),
    "a kernel that says no more than python": lambda room: room.kernel("python3"),
    "a kernel of this environment": lambda room: room.kernel(sys.executable),
    "a notebook of ours": lambda room: room.notebook("python3"),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine_is_not_complained_of(name, room):
    FINE[name](room)
    assert room.look() == {}


def test_two_sabotages_are_two_findings(room):
    room.remove("torch"), room.disk(free=0)
    assert set(room.look()) == {"M", "S"}


@pytest.mark.parametrize("bound", [">=2.0", ">=2.6", "<5", ">=1.5.4", ">=43"])
@pytest.mark.parametrize("version", ["1.9", "2", "2.0.0", "2.10.1", "2.6.0+cpu", "5.0", "1.5.4", "43.0.1", "2.6.post1"])
def test_versions_are_compared_as_packaging_does(bound, version):
    assert preflight._holds(version, bound) == SpecifierSet(bound).contains(version, prereleases=True)


def test_memory_is_what_a_container_has():
    assert 1e6 < preflight.free_memory() < 1e14


# --- the code --------------------------------------------------------------------------------------------


def test_every_letter_is_used_and_explained():
    source = (ROOT / "helpers" / "workshop" / "preflight.py").read_text()
    used = set(re.findall(r'Finding\("(\w)"', source)) | set(re.findall(r'\("(\w)", (?:wanted|\[None\])\)', source))
    assert used | {"P"} == set(preflight.LETTERS) and "O" not in used  # no code but OK has an O


def test_a_code_says_what_was_found(capsys):
    assert main(["preflight", "--explain", preflight.code("vMK")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line[0] for line in said[:3]] == ["K", "M", "v"] and said[3].startswith("on ")
    assert preflight.explain(preflight.code("")).startswith("nothing was found\non")


@pytest.mark.parametrize(("given", "letters"), [("kmX-l311", "KMX"), ("KM", "KM"), ("LC-L311", "lc"), ("XXXX", "X"),
                                                ("lck-d312", "lcK"), ("KMv-L311", "KMv"), ("KVl", "KVl")])
def test_codes_are_read_aloud(given, letters):
    lines = preflight.explain(given).splitlines()
    assert [line.split("  ") for line in lines[: len(letters)]] == [[x, preflight.LETTERS[x]] for x in letters]
    assert all(line.startswith("on ") for line in lines[len(letters) :])
    assert preflight.explain("ok-w311") == "nothing was found\non Windows, with Python 3.11"


def test_where_capitals_matter_both_are_said():
    """V and v are the only two."""
    assert {x for x in preflight.LETTERS if x.swapcase() in preflight.LETTERS} == {"V", "v"}
    for given in ("KMV-L311", "kmv-l311"):
        last = preflight.explain(given).splitlines()[2]
        assert preflight.LETTERS["V"] in last and preflight.LETTERS["v"] in last
    with pytest.raises(ValueError, match="Capitals matter only for V and v"):
        preflight.explain("KMQ")


@pytest.mark.parametrize("given", ["", "Q", "KMv-X311", "K M", "OKM"])
def test_what_is_no_code_is_refused(given, capsys):
    assert main(["preflight", "--explain", given]) == 2
    said = capsys.readouterr().err
    assert "is not a code of preflight" in said and said.count("\n") == 1


@pytest.mark.parametrize("command", ["preflight", "grade"])
def test_help_has_an_example_and_the_exit_codes(command, capsys):
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"example: python -m helpers {command}" in said and "6 preflight found something to mend" in said


# --- as a process ----------------------------------------------------------------------------------------


def call(*options, cwd=ROOT, **variables):
    command = [sys.executable, *options, "-m", "helpers", "preflight"]
    done = subprocess.run(command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_without_any_package_there_is_a_sentence():
    code, out, err = call("-S")
    assert (code, err) == (6, "") and "mend M: missing in" in out and "numpy" in out and ": M-" in out.replace("v", "")


def test_only_the_standard_library_is_imported_at_the_top():
    for file in ("workshop/preflight.py", "workshop/__init__.py", "__main__.py", "__init__.py", "disk.py"):
        for node in ast.parse((ROOT / "helpers" / file).read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"helpers"}, file


def test_an_old_python_is_refused_with_a_sentence():
    ast.parse((ROOT / "helpers" / "__init__.py").read_text(), feature_version=(3, 6))
    code = ("import runpy, sys; sys.version_info = (3, 8, 10, 'final', 0); sys.argv[1:] = ['preflight']; "
            "runpy.run_module('helpers', run_name='__main__', alter_sys=True)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "is Python 3.8, and this project needs 3.11 or later" in done.stderr
    printed = done.stderr.split()[-1]
    assert preflight.explain(printed).splitlines()[0] == f"P  {preflight.LETTERS['P']}"


def cell(room, **variables):
    """What the real cell finds in the copied project."""
    for name, value in variables.items():
        room.patch.setenv(name, value)
    return list(preflight.real_cell(room.root))


def test_a_real_cell_runs_and_nothing_is_left(room):
    before = sorted(room.root.rglob("*"))
    assert cell(room, PYTHONPATH=str(ROOT)) == []
    assert sorted(room.root.rglob("*")) == before


def test_another_helpers_before_ours_is_found(room):
    theirs = room.site / "helpers"
    theirs.mkdir()
    (theirs / "__init__.py").write_text("")
    [finding] = cell(room, PYTHONPATH=f"{room.site}{os.pathsep}{ROOT}")
    assert finding.letter == "H" and str(theirs) in finding.found


def test_an_environment_of_another_copy_of_the_project_is_found(room):
    other = room.root.parent / "another-copy"
    (other / "helpers").mkdir(parents=True)
    for name in ("__init__.py", "lessons.py"):
        (other / "helpers" / name).write_text("")
    [finding] = cell(room, PYTHONPATH=str(other))
    assert finding.letter == "H" and finding.do == "take it out of PYTHONPATH"
    assert f"PYTHONPATH leads to the copy of the project in {other}, and not to {room.root}" in finding.found
    room.patch.delenv("PYTHONPATH")
    finding = preflight.another(str(other / "helpers" / "__init__.py"), room.root)
    assert f"{sys.prefix} belongs to the copy of the project in {other}, and not to {room.root}" == finding.found
    assert f"work in {other}, or call `make venv`" in finding.do


def test_a_file_of_that_name_beside_the_notebooks_is_found(room):
    (room.root / "notebooks" / "helpers.py").write_text("def mine(): ...")
    room.patch.delenv("PYTHONPATH", raising=False)  # which would come first
    [finding] = cell(room)
    assert finding.letter == "H" and "helpers.py" in finding.found


def test_a_cell_that_fails_is_found(room):
    """A package that is there by name, and cannot be imported."""
    (room.site / "matplotlib.py").write_text("raise ImportError('DLL load failed')")
    [finding] = cell(room, PYTHONPATH=f"{room.site}{os.pathsep}{ROOT}")
    assert finding.letter == "E" and "ImportError: DLL load failed" in finding.found


def test_a_kernel_that_does_not_start_is_found(room):
    room.kernel(sys.executable, "-c", "raise SystemExit(1)")
    [finding] = cell(room)
    assert finding.letter == "E" and "no cell could be run" in finding.found


def test_a_kernel_elsewhere_is_found_though_its_name_is_plain(room):
    """A launcher that looks like ours, and whose Python is not."""
    room.kernel(sys.executable, "-c", "import sys, runpy; sys.prefix = '/elsewhere'; sys.argv[1:3] = []; "
                "runpy.run_module('ipykernel_launcher', run_name='__main__')")
    found = cell(room, PYTHONPATH=str(ROOT))
    assert [finding.letter for finding in found] == ["K"] and "/elsewhere" in found[0].found
