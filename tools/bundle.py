"""Make the bundle, one zip file for a room without a network, in build: what is committed of the project, all packages
for this system and this Python, and the book with its pages that play.

    python tools/bundle.py [FOLDER]     build, when no other is named

Unpacked, it works as a clone does: tools/make_venv.py finds its folder `wheels`, and asks no network. The packages are
kept in build/wheels, so that a second call fetches only what has changed. TORCH_INDEX means what it does there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import make_venv
from helpers.disk import MADE_BY, DiskError, Place, replacing
from make_venv import NAME, some

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
KEPT = BUILD / "wheels"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
COMPUTER = make_venv.computer()
FILE = f"{NAME}-{COMPUTER.replace(' ', '-').lower()}-py{PYTHON.replace('.', '')}.zip"

UNIX = """     make lab      opens the first notebook in JupyterLab
     make test     checks everything: the code, and that every notebook gives what it shows (forty minutes)

   The first one also installs the packages, from the folder wheels into the new folder .venv: a few minutes, once.
   If it finds another Python than {python}, name one: make lab PYTHON=python{python}
   Without make:

     python{python} tools/make_venv.py
     .venv/bin/python tools/lab.py
"""
WINDOWS = r"""     py -{python} tools\make_venv.py
     .venv\Scripts\python tools\lab.py

   The first installs the packages, from the folder wheels into the new folder .venv: a few minutes, once. The second
   opens the first notebook in JupyterLab.
"""
FIRST = """FROM ENCODER TO GENERATOR, for a room without a network

You need {computer} and Python {python}, which this bundle does not hold, and 4 GB on the disk. No connection is needed.

1. Unpack the whole file; do not open what is in it without unpacking. This text lies in the folder that results.

2. Open a terminal in that folder, and type

{commands}
To read without running anything, open build/book/index.html by a double click. Its first page leads to three pages
that play.

If something does not work: {inside} -m helpers preflight
To have a notebook as it was, take it from the bundle again.

README.md says what all this is. Here is what was committed as {commit}.
"""


class BundleError(Exception):
    """A bundle cannot be made. The message says why, and what to do."""


class Source(NamedTuple):
    """What is committed: its files in a folder, those that can be executed, its commit and time, what is left out."""

    folder: Path
    executable: set[str]
    commit: str
    time: tuple[int, ...]
    left: list[str]


def git(*arguments: str) -> bytes:
    """What git prints. Raises BundleError where there is no git, or no clone."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise BundleError("There is no git, and a bundle holds what is committed: install git.") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.decode(errors="replace").strip().splitlines() or ["it failed"])[0]
        raise BundleError(f"{ROOT}: git says `{reason}`; a bundle is made from a clone of the project.") from None


def committed(folder: Path) -> Source:
    """Write what is committed into a folder. Raises BundleError where the project is not a clone."""
    if git("rev-parse", "--show-prefix").strip():
        raise BundleError(f"{ROOT} lies in a repository of something else; a bundle is made from a clone of the "
                          "project.")
    archive = folder.with_suffix(".zip")
    git("archive", "--format=zip", f"--output={archive}", "HEAD")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
        executable = {info.filename for info in packed.infolist() if info.external_attr >> 16 & 0o100 and
                      not info.is_dir()}
    archive.unlink()
    status = [line for line in git("status", "--porcelain", "-z", "--no-renames").decode().split("\0") if line]
    commit, seconds = git("log", "-1", "--format=%h of %cs\n%ct").decode().split("\n")[:2]
    return Source(folder, executable, commit, time.gmtime(int(seconds))[:6], [line[3:] for line in status])


def book(folder: Path) -> None:
    """Make the book of what is committed, in its folder. Raises BundleError."""
    # The modules of that folder before those that are installed, which may have been changed.
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "tools/book.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        raise BundleError("The book cannot be made, for the reason above: without it there is no bundle.")


def requirements(folder: Path) -> list[str]:
    """What tools/make_venv.py installs, and what pip needs to install the project itself."""
    listed = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    project = listed["project"]
    return [*listed["build-system"]["requires"], *project["dependencies"], *project["optional-dependencies"]["test"]]


def fetch(source: Path, kept: Place) -> list[Path]:
    """All packages, each a file, from the folder where they are kept; what is missing there is fetched first.

    Raises BundleError where they cannot be had.
    """
    index = os.environ.get("TORCH_INDEX", "")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check",
           "--constraint", str(source / "constraints.txt")]
    # The same build as here, or gigabytes for graphics cards come along where TORCH_INDEX is forgotten the second time.
    torch = [] if index else [f"torch=={version('torch')}"]
    every = [*pip, *requirements(source), *torch, "--find-links", str(kept.folder), "--wheel-dir"]
    with tempfile.TemporaryDirectory(prefix="wheels-") as folder:
        found, first = Path(folder) / "kept", Path(folder) / "torch"
        # What is kept is enough if nothing has changed, and PyTorch came from the same index.
        enough = kept.made and kept.record.get("index", "") == index and not subprocess.call(
            [*every, str(found), "--no-index"], stderr=subprocess.DEVNULL)
        if not enough:
            print("Fetching the packages (a few minutes the first time)", flush=True)
            found = Path(folder) / "all"
            if index:
                if subprocess.call([*pip, "--no-deps", "--index-url", index, "--wheel-dir", str(first), "torch"]):
                    raise BundleError("PyTorch cannot be had from TORCH_INDEX, for the reason above: correct the "
                                      "address.")
                every[-1:-1] = ["--find-links", str(first)]
            if subprocess.call([*every, str(found)]):
                raise BundleError("The packages cannot be had, for the reason above: call `make bundle` again with a "
                                  "connection, and with TORCH_INDEX if .venv was made with it.")
        wheels = sorted(found.glob("*.whl"))
        kept.remove(*(set(kept.made) - {wheel.name for wheel in wheels}))
        for wheel in wheels:
            if not same(wheel, kept.folder / wheel.name):
                kept.write(wheel.name, wheel.read_bytes())
        kept.note(index=index)
    return [kept.folder / wheel.name for wheel in wheels]


def same(a: Path, b: Path) -> bool:
    """Whether two files hold the same; False where there is no second one."""
    return b.is_file() and make_venv.checksum(a) == make_venv.checksum(b)


def readme(commit: str) -> str:
    """The text to read first."""
    nt = os.name == "nt"
    commands = (WINDOWS if nt else UNIX).format(python=PYTHON)
    return FIRST.format(computer=COMPUTER, python=PYTHON, commands=commands, commit=commit,
                        inside=".venv\\Scripts\\python" if nt else ".venv/bin/python")


def is_ours(file: Path) -> bool:
    """Whether a file is an earlier bundle."""
    try:
        with zipfile.ZipFile(file) as packed:
            return packed.comment == MADE_BY.encode()
    except (OSError, zipfile.BadZipFile):
        return False


def pack(file: Path, source: Source, wheels: list[Path]) -> None:
    """Write the bundle, whole or not at all, in one folder that has its name."""
    top = file.stem

    def put(name: str, data: bytes, mode: int = 0o644, stored: bool = False) -> None:
        info = zipfile.ZipInfo(f"{top}/{name}", source.time)  # of the commit: two calls give the same
        info.create_system, info.external_attr = 3, (0o100000 | mode) << 16  # Unix, where files can be executable
        info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        packed.writestr(info, data)

    with replacing(file) as temporary, zipfile.ZipFile(temporary, "w") as packed:
        packed.comment = MADE_BY.encode()
        put("READ ME FIRST.txt", readme(source.commit).encode())
        for path in sorted(source.folder.rglob("*")):
            name = path.relative_to(source.folder).as_posix()
            if path.is_file() and "__pycache__" not in path.parts:
                put(name, path.read_bytes(), 0o755 if name in source.executable else 0o644)
        for wheel in wheels:  # packed already
            put(f"wheels/{wheel.name}", wheel.read_bytes(), stored=True)
        listed = {"made by": MADE_BY, "python": PYTHON, "computer": COMPUTER,
                  "sha256": {wheel.name: make_venv.checksum(wheel) for wheel in wheels}}
        put(f"wheels/{make_venv.LIST}", (json.dumps(listed, indent=1) + "\n").encode())


def make(folder: Path = BUILD, kept: Path = KEPT) -> Path:
    """Make the bundle in a folder, in place of an earlier one. Raises BundleError or DiskError."""
    file = Path(folder) / FILE
    if os.path.lexists(file) and not is_ours(file):
        raise DiskError(f"{file} is there already, is not a bundle, and is left as it is: move it elsewhere.")
    file.parent.mkdir(parents=True, exist_ok=True)  # before the work: it may fail
    with closing(Place(kept, record="wheels.json").open()) as place, tempfile.TemporaryDirectory() as temporary:
        for part in file.parent.glob(f".{FILE}.*.part"):  # of a call that was killed: nobody else is at work
            part.unlink()
        source = committed(Path(temporary) / "project")
        if source.left:
            print(f"Changed or new, and not in the bundle, which holds what is committed: {some(source.left)}",
                  flush=True)
        wheels = fetch(source.folder, place)
        print("Making the book", flush=True)
        book(source.folder)
        print("Packing", flush=True)
        pack(file, source, wheels)
    print(f"{file}: {file.stat().st_size / 1e6:.0f} MB, for {COMPUTER} and Python {PYTHON}: the project as committed "
          f"({source.commit}), {len(wheels)} packages, the book. In it, READ ME FIRST.txt says how to "
          "begin.")
    return file


if __name__ == "__main__":
    try:
        make(*(Path(folder).resolve() for folder in sys.argv[1:2]))
    except (BundleError, DiskError) as error:
        sys.exit(str(error))
    except OSError as error:  # a full disk, above all
        sys.exit(f"{error.filename or 'A file'}: {error.strerror}; no bundle was written.")
    except KeyboardInterrupt:
        sys.exit("Interrupted: no bundle was written.")
