"""Make `.venv`, or bring it up to date; do nothing when it is good.

A stamp inside the environment is removed before anything changes and written when all is done, so
an installation that was interrupted is never mistaken for a finished one. The stamp holds the
requirements that the environment was made from, and the place where it was made.

Run it with the Python that the environment shall have: `python3 tools/make_venv.py`, and with `book`
for what the book needs besides. TORCH_INDEX, when set, is the address of a package index from which
PyTorch alone is installed.

In an unpacked bundle (tools/bundle.py) a folder `wheels` lies beside pyproject.toml. All packages come
from it then, without a network, once it has been found to be whole and to fit this Python and this computer.

An old Python must get as far as being refused with a sentence: nothing here needs more than 3.6.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
INSIDE = {"nt": "Scripts/python.exe"}  # where an environment has its Python, by os.name
PYTHON = VENV / INSIDE.get(os.name, "bin/python")
STAMP = VENV / "ready"
NAME = "from-encoder-to-generator"  # in the environment's pyvenv.cfg: by it we know our own
MINIMUM = (3, 11)
REQUIREMENTS = ("pyproject.toml", "constraints.txt")
WHEELS = ROOT / "wheels"  # in a bundle alone: all packages
LIST = "bundle.json"  # among them: for which Python and computer they are, and their checksums
BEYOND = 1 << 30  # a byte far behind the end of a file: what Windows locks, nobody else can read


@contextmanager
def locked() -> "Iterator[None]":
    """Let one process at a time work on the environment: `make lab` beside `make test`, say."""
    with open(ROOT / REQUIREMENTS[0]) as file:  # any file that is always there
        # pip inherits the lock, since it lives on when this process alone is killed; not so on Windows.
        os.set_inheritable(file.fileno(), True)
        try:
            lock(file.fileno())
        except OSError:
            print("Waiting for another `make` that is at work on .venv", flush=True)
            lock(file.fileno(), wait=True)
        yield


def lock(file: int, wait: bool = False) -> None:
    """Lock an open file, given by its number, until it is closed; OSError if another process has it locked."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return
    while True:
        os.lseek(file, BEYOND, os.SEEK_SET)  # where the lock is set
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            return
        except OSError:
            if not wait:
                raise
            time.sleep(1)


def run(*command: str) -> None:
    subprocess.check_call(command, cwd=ROOT, close_fds=False)


def pip(*arguments: str) -> None:
    install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if WHEELS.is_dir():
        install += ["--no-index", "--find-links", str(WHEELS)]
    run(*install, "--constraint", "constraints.txt", *arguments)


def computer() -> str:
    """The system and the processor, such as "Linux x86_64": packages are made for one of each."""
    system = platform.system()
    return f"{'macOS' if system == 'Darwin' else system} {platform.machine()}"


def checksum(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(str(file), "rb") as opened:
        for block in iter(lambda: opened.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def some(names: "list[str]") -> str:
    """The first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_bundle() -> None:
    """In a bundle, end with a sentence unless it fits this Python and this computer, and is whole."""
    if not WHEELS.is_dir():
        return
    elsewhere = f"or, with a connection, move {WHEELS} elsewhere"
    try:
        made = json.loads((WHEELS / LIST).read_text(encoding="utf-8"))
        wheels = sorted(made["sha256"].items())
        python, system = str(made["python"]), str(made["computer"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        sys.exit(f"{WHEELS / LIST} is missing or damaged: unpack the whole bundle again; {elsewhere}.")
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if mine != python:
        sys.exit(
            f"This bundle is for Python {python}, and {sys.executable} is Python {mine}: "
            f"name one, as in `make lab PYTHON=python{python}`; {elsewhere}."
        )
    if computer() != system:
        sys.exit(f"This bundle is for {system}, and this is {computer()}: take the bundle for it; {elsewhere}.")
    lost = [name for name, _ in wheels if not (WHEELS / name).is_file()]
    if lost:
        sys.exit(f"Missing in {WHEELS}: {some(lost)}; unpack the whole bundle again; {elsewhere}.")
    strange = sorted({file.name for file in WHEELS.glob("*.whl")} - {name for name, _ in wheels})
    if strange:
        sys.exit(f"{WHEELS} holds what did not come with the bundle: {some(strange)}; remove it; {elsewhere}.")
    damaged = [name for name, digest in wheels if checksum(WHEELS / name) != digest]
    if damaged:
        sys.exit(f"Damaged in {WHEELS}: {some(damaged)}; unpack the whole bundle again; {elsewhere}.")


def fingerprint() -> str:
    """What a good environment was made from. In a project that moved, it is made again."""
    digest = hashlib.sha256()
    for name in REQUIREMENTS:
        digest.update((ROOT / name).read_bytes())
    return f"{ROOT}\n{digest.hexdigest()}\n"


def starts() -> bool:
    """Whether the environment's Python starts: the one that it was made from may be gone."""
    try:
        return subprocess.call([str(PYTHON), "-c", ""], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def is_good() -> bool:
    return STAMP.exists() and STAMP.read_text(encoding="utf-8") == fingerprint() and starts()


def is_ours() -> bool:
    """Whether what is at .venv may be made anew: nothing, what `make` made, or folders without a file in them."""
    if STAMP.exists() or not os.path.lexists(str(VENV)):
        return True
    try:
        return NAME in (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return not any(files for _, _, files in os.walk(str(VENV)))


def make() -> None:
    if STAMP.exists() and starts():
        config = VENV / "pyvenv.cfg"
        text = config.read_text(encoding="utf-8") if config.exists() else NAME
        if NAME not in text:  # made by an earlier version
            config.write_text(f"{text}prompt = '{NAME}'\n", encoding="utf-8")
        STAMP.unlink()
    else:
        print(f"Making .venv with {sys.executable}", flush=True)
        if not is_ours():
            sys.exit(
                f"{VENV} was not made by `make`, and is left as it is: move it elsewhere, and call `make` again."
            )
        run(sys.executable, "-m", "venv", "--clear", "--prompt", NAME, str(VENV))
    print("Installing the packages (a few minutes the first time)", flush=True)
    index = os.environ.get("TORCH_INDEX")
    if index and not WHEELS.is_dir():
        # Without its dependencies: those come from the usual index, in the versions pinned here.
        pip("--no-deps", "--index-url", index, "torch")
    pip("--editable", ".[test]")
    STAMP.write_text(fingerprint(), encoding="utf-8")


def extra(name: str) -> None:
    """Install one more list of packages from pyproject.toml, if that has not been done."""
    stamp = VENV / f"ready-{name}"
    with locked():
        if stamp.exists() and stamp.read_text() == fingerprint():
            return
        if WHEELS.is_dir():
            sys.exit(
                f"The packages of `{name}` are not in this bundle; what they make is in {ROOT / 'build' / name}. "
                f"With a connection, move {WHEELS} elsewhere, and call `make` again."
            )
        print(f"Installing the packages of `{name}`", flush=True)
        try:
            pip("--editable", f".[test,{name}]")
        except subprocess.CalledProcessError:
            sys.exit(f"The packages of `{name}` are not installed, for the reason above; call `make` again.")
        stamp.write_text(fingerprint())


def main() -> None:
    if is_good():
        return
    check_bundle()
    if sys.version_info < MINIMUM:
        sys.exit(
            f"{sys.executable} is Python {sys.version_info[0]}.{sys.version_info[1]}, and this "
            "project needs 3.11 or later: name one, as in `make lab PYTHON=python3.12`."
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        sys.exit(
            f"{sys.executable} cannot make virtual environments: install its venv module "
            "(on Debian and Ubuntu: apt install python3-venv)."
        )
    with locked():
        if is_good():  # made while we waited
            return
        try:
            make()
        except KeyboardInterrupt:
            sys.exit("Interrupted: .venv is not ready, and the next `make` starts again.")
        except subprocess.CalledProcessError as error:
            sys.exit(
                f"`{' '.join(error.cmd)}` failed, for the reason above: .venv is not ready, "
                "and the next `make` starts again."
            )


if __name__ == "__main__":
    main()
    for name in sys.argv[1:]:
        extra(name)
