"""The bundle: what it holds, what is refused, and that it works where there is no network at all.

The whole test makes the bundle of what is committed, unpacks it, and follows its README with the network cut off. It
took five minutes on two cores that others used as well (200 s of computing), and takes 4 GB on the disk, which it gives
back. Changes that are not committed are not in it.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename

import bundle
import make_venv
from comparing import contents
from helpers.disk import MADE_BY, DiskError, Place
from test_environment import pinned
from test_tools import Project

ROOT = Path(__file__).resolve().parent.parent
WHEELS = {"numpy-2.4.6-py3-none-any.whl": b"numbers", "torch-2.13.0-py3-none-any.whl": b"tensors" * 100}


# ---------------------------------------------------------------- make_venv.py in an unpacked bundle


def describe(folder: Path, **changed: object) -> None:
    """Write the list of a bundle for this computer, or with something else in it."""
    sums = {name: make_venv.hashlib.sha256(data).hexdigest() for name, data in WHEELS.items()}
    made = {"python": f"{sys.version_info[0]}.{sys.version_info[1]}", "computer": make_venv.computer(), "sha256": sums}
    (folder / make_venv.LIST).write_text(json.dumps(made | changed))


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("TORCH_INDEX", "file:///not-asked")
    project = Project(tmp_path, monkeypatch)
    make_venv.WHEELS.mkdir()
    for name, data in WHEELS.items():
        (make_venv.WHEELS / name).write_bytes(data)
    describe(make_venv.WHEELS)
    return project


def test_all_packages_come_from_the_bundle(unpacked: Project, monkeypatch: pytest.MonkeyPatch):
    commands = []

    def check_call(command, **options):
        commands.append(command)
        unpacked.check_call(command, **options)

    monkeypatch.setattr(make_venv.subprocess, "check_call", check_call)
    assert unpacked.make() == ["venv", "all"]
    line = " ".join(commands[-1])
    assert f"--no-index --find-links {make_venv.WHEELS}" in line and "not-asked" not in line
    assert unpacked.make() == []


def test_what_was_installed_works_without_the_packages(unpacked: Project):
    unpacked.make()
    shutil.rmtree(make_venv.WHEELS)
    assert unpacked.make() == []


def cut(name: str):
    return lambda wheels: (wheels / name).write_bytes(WHEELS[name][:-1])


NUMPY, TORCH = WHEELS
REFUSED = {
    "another Python": (lambda wheels: describe(wheels, python="3.99"),
                       r"is for Python 3\.99, and \S+ is Python 3\.\d+: name one, as in `make lab PYTHON=python3\.99`"),
    "another computer": (lambda wheels: describe(wheels, computer="Plan9 vax"), "is for Plan9 vax, and this is "),
    "no list": (lambda wheels: (wheels / make_venv.LIST).unlink(), "bundle.json is missing or damaged: unpack"),
    "half a list": (lambda wheels: (wheels / make_venv.LIST).write_text('{"python": '), "bundle.json is missing or "),
    "an empty list": (lambda wheels: (wheels / make_venv.LIST).write_text("[]"), "bundle.json is missing or damaged"),
    "a list of lists": (lambda wheels: describe(wheels, sha256=[1]), "bundle.json is missing or damaged"),
    "a wheel missing": (lambda wheels: (wheels / TORCH).unlink(), f"Missing in .*: {TORCH}; unpack the whole"),
    "a wheel cut off": (cut(TORCH), f"Damaged in .*: {TORCH}; unpack the whole bundle again"),
    "a wheel changed": (lambda wheels: (wheels / NUMPY).write_bytes(b"numberz"), f"Damaged in .*: {NUMPY}; unpack"),
    "two damaged": (lambda wheels: (cut(NUMPY)(wheels), cut(TORCH)(wheels)), f"Damaged in .*: {NUMPY}, {TORCH}; "),
    "one too many": (lambda wheels: (wheels / "torch-9-py3-none-any.whl").touch(), "what did not come .*: torch-9-py3"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_a_bundle_that_does_not_fit_is_refused_before_anything_is_made(unpacked: Project, change: str):
    damage, sentence = REFUSED[change]
    damage(make_venv.WHEELS)
    with pytest.raises(SystemExit, match=sentence) as refused:
        unpacked.make()
    assert "with a connection, move" in str(refused.value) and "\n" not in str(refused.value)
    assert unpacked.calls == [] and not make_venv.VENV.exists()


@pytest.mark.parametrize("version", [(3, 6, 9), (3, 10, 4), (3, 99, 0)])
def test_the_python_of_the_bundle_is_asked_for(unpacked: Project, monkeypatch: pytest.MonkeyPatch, version):
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    monkeypatch.setattr(make_venv.sys, "version_info", version)
    with pytest.raises(SystemExit, match=rf"for Python {ours}, .* is Python {version[0]}\.{version[1]}: name one"):
        unpacked.make()


def test_what_is_not_in_the_bundle_is_named(unpacked: Project):
    with pytest.raises(SystemExit, match=r"packages of `book` are not in this bundle; what they make is in \S+book"):
        make_venv.extra("book")
    assert unpacked.calls == []


def test_an_old_python_understands_the_script():
    ast.parse((ROOT / "tools" / "make_venv.py").read_text(encoding="utf-8"), feature_version=(3, 6))


# ---------------------------------------------------------------- bundle.py, with a small project and small packages


def git(folder: Path, *arguments: str) -> None:
    person = ["-c", "user.name=A", "-c", "user.email=a@example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *person, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with what it should hold, and with what should stay where it is; its packages are made of nothing."""
    if not shutil.which("git"):
        pytest.skip("there is no git here, with which a bundle is made")
    root = tmp_path / "clone"
    for name, text in {".gitignore": "build/\n.venv/\n", "pyproject.toml": "", "notebooks/a.ipynb": "{}",
                       ".ci/run": "#!/bin/sh\n", "notes ü.txt": "committed"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init")
    git(root, "add", "-A")
    git(root, "update-index", "--chmod=+x", ".ci/run")
    (root / ".ci" / "run").chmod(0o755)
    git(root, "commit", "-m", "first")
    for name in (".venv/secret", "build/mine.txt", "my-run/report.html"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("private")

    def fetch(source: Path, kept: Place) -> list[Path]:
        return [kept.write(name, data) for name, data in WHEELS.items()]

    def book(folder: Path) -> None:
        for name in ("build/book/index.html", "helpers/__pycache__/a.pyc"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("made")

    for name, value in {"ROOT": root, "fetch": fetch, "book": book}.items():
        monkeypatch.setattr(bundle, name, value)
    return root


def made(clone: Path) -> Path:
    return bundle.make(clone / "build", clone / "build" / "wheels")


def inside(file: Path) -> dict[str, zipfile.ZipInfo]:
    """The files of a bundle, by their names in its one folder."""
    with zipfile.ZipFile(file) as packed:
        assert packed.testzip() is None
        assert {info.filename.split("/")[0] for info in packed.infolist()} == {file.stem}
        assert len(set(packed.namelist())) == len(packed.namelist())
        return {info.filename.split("/", 1)[1]: info for info in packed.infolist()}


def test_it_holds_what_is_committed_and_nothing_private(clone: Path, capsys):
    (clone / "notes ü.txt").write_text("not committed")
    found = inside(file := made(clone))
    assert next(iter(found)) == "READ ME FIRST.txt"
    assert found.keys() == {
        "READ ME FIRST.txt", ".gitignore", "pyproject.toml", "notebooks/a.ipynb", ".ci/run", "notes ü.txt",
        "build/book/index.html", "wheels/bundle.json", *(f"wheels/{name}" for name in WHEELS)}
    with zipfile.ZipFile(file) as packed:
        assert packed.read(found["notes ü.txt"]) == b"committed"
        listed = json.loads(packed.read(found["wheels/bundle.json"]))
        first = packed.read(found["READ ME FIRST.txt"]).decode()
    assert {name for name, info in found.items() if info.external_attr >> 16 & 0o111} == {".ci/run"}
    assert all(info.external_attr >> 16 & 0o600 == 0o600 for info in found.values())
    printed = capsys.readouterr().out
    assert "Changed or new, and not in the bundle, which holds what is committed: notes ü.txt, my-run/\n" in printed
    assert f"{file}: 0 MB, for {make_venv.computer()} and Python" in printed and "2 packages" in printed
    assert "make lab" in first and listed["computer"] in first and f"python{listed['python']}" in first

    # What is written is what make_venv.py reads.
    assert {name: make_venv.hashlib.sha256(data).hexdigest() for name, data in WHEELS.items()} == listed["sha256"]


def test_two_calls_give_the_same_file(clone: Path):
    first = made(clone).read_bytes()
    assert made(clone).read_bytes() == first
    assert contents(clone / "build").keys() == {bundle.FILE, "mine.txt", "wheels/wheels.json",
                                                *(f"wheels/{name}" for name in WHEELS)}


def test_what_it_made_is_installed(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = made(clone)
    with zipfile.ZipFile(file) as packed:
        packed.extractall(tmp_path)
    (tmp_path / file.stem / "constraints.txt").touch()
    assert Project(tmp_path / file.stem, monkeypatch).make() == ["venv", "all"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["Ctrl-C", "full"])
def test_an_interruption_leaves_the_earlier_bundle(clone: Path, monkeypatch: pytest.MonkeyPatch, error):
    made(clone)
    before = contents(clone)

    class Full(zipfile.ZipFile):
        def writestr(self, info, *arguments, **options):
            if "wheels" in info.filename:
                raise error
            super().writestr(info, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(bundle.zipfile, "ZipFile", Full)
        with pytest.raises(type(error)):
            made(clone)
    assert contents(clone) == before
    (clone / "build" / f".{bundle.FILE}.4711.part").write_text("of a call that was killed")
    made(clone)
    assert contents(clone) == before


@pytest.mark.parametrize("theirs", [b"mine", b"a zip file"])
def test_a_file_of_others_is_left_as_it_is(clone: Path, theirs: bytes):
    file = clone / "build" / bundle.FILE
    if theirs == b"a zip file":
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("mine", "mine")
    else:
        file.write_bytes(theirs)
    before = contents(clone)
    with pytest.raises(DiskError, match="is not a bundle, and is left as it is"):
        made(clone)
    assert contents(clone) == before
    file.unlink()
    (clone / "build" / "wheels").mkdir()
    (clone / "build" / "wheels" / NUMPY).write_text("mine")
    before = contents(clone)
    with pytest.raises(DiskError, match="nothing in it is touched"):
        made(clone)
    assert contents(clone) == before


def test_one_makes_it_at_a_time(clone: Path):
    with Place(clone / "build" / "wheels", record="wheels.json"), pytest.raises(DiskError, match="another process"):
        made(clone)


def test_what_is_no_clone_is_refused(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(bundle, "ROOT", clone / "notebooks")
    with pytest.raises(bundle.BundleError, match="lies in a repository of something else"):
        made(clone)
    monkeypatch.setattr(bundle, "ROOT", tmp_path)
    with pytest.raises(bundle.BundleError, match=r"git says `.*`; a bundle is made from a clone of the project"):
        made(clone)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(bundle.BundleError, match=r"There is no git, .*: install git"):
        made(clone)
    assert not (clone / "build" / bundle.FILE).exists()


def test_a_place_that_cannot_be_written_is_named_at_once(tmp_path: Path):
    (tmp_path / "file").touch()
    command = [sys.executable, ROOT / "tools" / "bundle.py", tmp_path / "file" / "folder"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith(str(tmp_path / "file"))
    assert done.stderr.endswith("no bundle was written.\n") and done.stderr.count("\n") == 1


def test_the_text_to_read_first_fits_the_system(monkeypatch: pytest.MonkeyPatch):
    unix = bundle.readme("abc of today")
    with monkeypatch.context() as patch:
        patch.setattr(bundle.os, "name", "nt")
        windows = bundle.readme("abc of today")
    assert "make lab" in unix and "make lab" not in windows and f"py -{bundle.PYTHON} tools\\make_venv.py" in windows
    for text in (unix, windows):
        assert "helpers preflight" in text and "abc of today" in text and "{" not in text
        assert max(map(len, text.splitlines())) <= 120


# ---------------------------------------------------------------- the packages


class Pip:
    """Stands for pip: it finds what the network has, and with --no-index what lies in the folder that it is told."""

    def __init__(self, kept: Path, monkeypatch: pytest.MonkeyPatch):
        self.kept, self.calls, self.network, self.fails = kept, [], {"a-1.whl", "torch-1.whl"}, ""
        monkeypatch.setattr(bundle.subprocess, "call", self.call)

    def call(self, command: list[str], stderr: object = None) -> int:
        offline, index = "--no-index" in command, "--index-url" in command
        self.calls.append("kept" if offline else "torch" if index else "all")
        if self.fails == self.calls[-1] or (offline and not self.network <= set(os.listdir(self.kept))):
            return 1
        assert offline or index or bool(os.environ.get("TORCH_INDEX")) == (command.count("--find-links") == 2)
        assert index or {"pytest>=8", "setuptools>=77", "numpy"} <= set(command)
        assert index or any(word.startswith("torch==") for word in command) != bool(os.environ.get("TORCH_INDEX"))
        folder = Path(command[command.index("--wheel-dir") + 1])
        folder.mkdir()
        for name in self.network if not index else {"torch-1.whl"}:
            (folder / name).write_text(name)
        return 0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\n[project]\ndependencies = ["numpy"]\n'
        '[project.optional-dependencies]\ntest = ["pytest>=8"]\nbook = ["sphinx"]\n')
    return tmp_path


def fetched(pip: Pip, source: Path) -> list[str]:
    """The names of the packages; which calls of pip it took is in `pip.calls`."""
    pip.calls = []
    with Place(pip.kept, record="wheels.json") as kept:
        wheels = bundle.fetch(source, kept)
    assert all(wheel.read_text() == wheel.name for wheel in wheels)
    assert contents(pip.kept).keys() == {"wheels.json", *(wheel.name for wheel in wheels)}  # and nothing old
    return [wheel.name for wheel in wheels]


def test_packages_are_fetched_once_and_old_ones_go(source: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    pip = Pip(source / "kept", monkeypatch)
    assert fetched(pip, source) == ["a-1.whl", "torch-1.whl"] and pip.calls == ["all"]
    assert fetched(pip, source) == ["a-1.whl", "torch-1.whl"] and pip.calls == ["kept"]
    pip.network = {"a-2.whl", "torch-1.whl"}
    assert fetched(pip, source) == ["a-2.whl", "torch-1.whl"] and pip.calls == ["kept", "all"]
    (pip.kept / "a-2.whl").write_text("cut off")
    assert fetched(pip, source) == ["a-2.whl", "torch-1.whl"]


def test_pytorch_comes_from_the_index_that_is_named(source: Path, monkeypatch: pytest.MonkeyPatch):
    pip = Pip(source / "kept", monkeypatch)
    for index, calls in {"": ["all"], "file:///a": ["torch", "all"], "file:///b": ["torch", "all"]}.items():
        monkeypatch.setenv("TORCH_INDEX", index)
        fetched(pip, source)
        assert pip.calls == calls
        fetched(pip, source)
        assert pip.calls == ["kept"]


@pytest.mark.parametrize(("fails", "sentence"), [("all", "cannot be had, .* again with a connection"),
                                                 ("torch", "cannot be had from TORCH_INDEX, .*: correct the address")])
def test_packages_that_cannot_be_had_are_no_bundle(source: Path, monkeypatch: pytest.MonkeyPatch, fails, sentence):
    monkeypatch.setenv("TORCH_INDEX", "file:///a")
    pip = Pip(source / "kept", monkeypatch)
    pip.fails = fails
    with pytest.raises(bundle.BundleError, match=sentence):
        fetched(pip, source)
    pip.fails = ""
    assert fetched(pip, source) == ["a-1.whl", "torch-1.whl"]


# ---------------------------------------------------------------- the whole, without a network

# In a network namespace of its own a process has no way out. Jupyter speaks to its kernels by the loopback, which is
# switched on. The port is open on this computer, and would be found if we were not cut off.
CUT_OFF = """
import fcntl, os, socket, struct, sys
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, struct.pack("16sH14x", b"lo", 1))
for kind, address in ((socket.SOCK_STREAM, ("127.0.0.1", int(sys.argv[1]))), (socket.SOCK_DGRAM, ("192.0.2.1", 9))):
    try:
        socket.socket(socket.AF_INET, kind).connect(address)
    except OSError:
        continue
    sys.exit("there is a network")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Room:
    """The unpacked bundle in a room without a network, for somebody who has never used pip."""

    def __init__(self, folder: Path, home: Path, unshare: list[str], port: int):
        self.folder = folder
        self.command = [*unshare, sys.executable, "-c", CUT_OFF, str(port)]
        # PIP_CONFIG_FILE: nothing that pip is told on this computer holds, such as a folder with PyTorch in it.
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PIP_CONFIG_FILE": os.devnull,
                            "PIP_NO_CACHE_DIR": "1", "LANG": "C.UTF-8",
                            "PIP_COMPILE": "0"}  # what is not imported here need not be compiled: half a minute

    def run(self, *command: str) -> str:
        """What a command prints; the test fails where the command does."""
        done = subprocess.run([*self.command, *command], cwd=self.folder, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800)
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout

    def python(self, *arguments: str) -> str:
        return self.run(".venv/bin/python", *arguments)


def namespace() -> list[str] | None:
    """The command that cuts a process off from the network, as root or as somebody; None where there is none."""
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        try:
            done = subprocess.run([*command, sys.executable, "-c", CUT_OFF, "9", "true"], capture_output=True)
        except FileNotFoundError:
            return None
        if done.returncode == 0:
            return command
    return None


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory):
    if not (unshare := namespace()):
        pytest.skip("no network namespace can be made here (`unshare -rn`), in which there would be no network")
    if not shutil.which("make"):
        pytest.skip("there is no make here")
    if lost := [name for name in ("sphinx", "myst_nb", "furo", "latex2mathml") if not find_spec(name)]:
        pytest.skip(f"{', '.join(lost)} not installed; `make book` installs what the book needs")
    folder = tmp_path_factory.mktemp("room")
    done = subprocess.run([sys.executable, ROOT / "tools" / "bundle.py", folder], capture_output=True, text=True)
    for reason in ("a bundle is made from a clone", "holds what is committed: install git", "packages cannot be had"):
        if done.returncode and reason in done.stderr:
            pytest.skip(f"no bundle can be made here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    [file] = folder.iterdir()
    with zipfile.ZipFile(file) as packed:
        packed.extractall(folder)
    file.unlink()
    (home := folder / "home").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()  # so here it is open
        room = Room(folder / file.stem, home, unshare, port)
        room.said = room.run("make", "venv", f"PYTHON={sys._base_executable}")
        yield room
    shutil.rmtree(folder)


@pytest.mark.slow
def test_the_environment_is_made_without_a_network(room: Room):
    assert "Making .venv" in room.said and "WARNING" not in room.said
    assert room.run("make", "venv") == ""
    assert list((room.folder.parent / "home").rglob("*.whl")) == []


@pytest.mark.slow
def test_the_packages_are_the_pinned_ones_and_no_others(room: Room):
    listed = json.loads((room.folder / "wheels" / "bundle.json").read_text())["sha256"]
    wheels = [parse_wheel_filename(name)[:2] for name in listed]
    pins = pinned()
    wrong = [(name, str(version)) for name, version in wheels if pins[name].public != version.public]
    assert wrong == [] and len({name for name, _ in wheels}) == len(wheels)
    assert {"torch", "setuptools", "jupyterlab", "pytest"} <= {canonicalize_name(name) for name, _ in wheels}


@pytest.mark.slow
def test_nothing_private_came_along(room: Room):
    tracked = subprocess.run(["git", "ls-tree", "-r", "-z", "--name-only", "HEAD"], cwd=ROOT, capture_output=True)
    names = set(tracked.stdout.decode().strip("\0").split("\0"))
    found = {file.relative_to(room.folder).as_posix() for file in room.folder.rglob("*") if file.is_file()}
    ours = (".venv/", "build/book/", "wheels/", "READ ME FIRST.txt", "from_encoder_to_generator.egg-")
    assert [name for name in sorted(found - names) if not name.startswith(ours) and "__pycache__" not in name] == []
    assert names <= found
    book = room.folder / "build" / "book"
    assert (book / "index.html").exists() and len(list((book / "play").glob("*.html"))) == 3
    assert MADE_BY in (book / "book.json").read_text()


@pytest.mark.slow
def test_preflight_is_content(room: Room):
    said = room.python("-m", "helpers", "preflight")
    assert "OK-L" in said, said


@pytest.mark.slow
def test_the_lab_opens_and_a_notebook_gives_what_it_shows(room: Room):
    room.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_lab.py", "tests/test_environment.py")
    said = room.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env",
                       "--nbval-sanitize-with=tests/nbval.cfg", "notebooks/00_start_here.ipynb")
    assert "passed" in said
