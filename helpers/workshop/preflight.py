"""A look at this computer before a course: what is wrong, in words, what to do, and a short code for the instructor.

``python -m helpers preflight``. Nothing but the standard library is imported before it is known to be there. The code
has a letter for each finding, a capital where something must be mended and a small one for a remark, then the system
and its Python: ``KMv-L311`` is a kernel of another environment, a missing package and other versions than ours, on
Linux, in Python 3.11. ``python -m helpers preflight --explain KMv-L311`` says so.
"""

import ast
import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from helpers.disk import ROOT
from helpers.lessons import PATH

LETTERS = {
    "P": "Python is older than 3.11", "I": "files of the project are missing, or damaged",
    "M": "a package is missing", "V": "a package is too old (or too new)",
    "v": "other versions of packages than the reference: last digits may differ",
    "c": "PyTorch for CUDA, without a graphics card for it: it works, and takes gigabytes",
    "W": "the project's folder cannot be written to", "T": "the temporary folder cannot be written to",
    "S": "the disk is full, or nearly", "R": "too little memory is free",
    "l": "JupyterLab's usual port is taken: it takes the next",
    "X": "a proxy would catch the address of JupyterLab", "K": "notebooks would run in another environment",
    "F": "a notebook is saved for another kernel", "H": "another `helpers` would be imported instead of ours",
    "E": "the first cell of the first lesson fails",
}
SYSTEMS = {"L": "Linux", "D": "macOS", "W": "Windows"}
PORT = 8888
SPACE, TEMPORARY, MEMORY = 1e9, 2e8, 2 * 2**30  # bytes that should be free
SECONDS = 45  # for the real cell
AGAIN = "call `make venv` (without make: python tools/make_venv.py)"


class Finding(NamedTuple):
    """One thing that is not as it should be: the letter of the code, what was found, and what to do."""

    letter: str
    found: str
    do: str


def code(letters: Iterable[str]) -> str:
    """What an instructor reads: the letters of the findings, or OK, then the system and the version of Python."""
    return f"{''.join(sorted(letters)) or 'OK'}-{sys.platform[0].upper()}{sys.version_info[0]}{sys.version_info[1]}"


def explain(given: str) -> str:
    """What a code says, a line for each letter. Codes are read aloud, so small and capital letters count as one, but
    for those that are in LETTERS as both. Raises ValueError where it is not a code.
    """
    form = re.fullmatch(r"([A-Za-z]+)(?:-([LDWldw])(\d)(\d+))?", given.strip())
    good = form is not None and form[1].upper() == "OK"
    letters, told = {}, form[1] if form and not good else ""
    for letter in told:
        letter = letter if letter in LETTERS else letter.swapcase()
        letters[letter] = LETTERS.get(letter)
        if letter.swapcase() in LETTERS and (told.isupper() or told.islower()):  # said without capitals, perhaps
            letters[letter] = f"{LETTERS[letter]} (if it was a {'small' if letter.isupper() else 'capital'} " \
                              f"{letter.swapcase()}: {LETTERS[letter.swapcase()]})"
    unknown = [letter.swapcase() for letter, says in letters.items() if says is None]
    if form is None or unknown:
        what = f"{unknown[0]!r} is not one of its letters" if unknown else "it looks like KMv-L311, or OK-L311"
        raise ValueError(f"{given!r} is not a code of preflight: {what}. (Capitals matter only for V and v.)")
    lines = ["nothing was found"] if good else [f"{letter}  {says}" for letter, says in letters.items()]
    return "\n".join(lines + ([f"on {SYSTEMS[form[2].upper()]}, with Python {form[3]}.{form[4]}"] if form[2] else []))


# --- one function for each question; what it yields is what it found -----------------------------------------------


def complete(root: Path) -> Iterator[Finding]:
    """Whether the project is all there, and its notebooks can be read and ask for our kernel."""
    names = ["pyproject.toml", "constraints.txt", "tools/make_venv.py", "data/README.md", "data/pretrained",
             *(f"notebooks/{lesson.file}" for lesson in PATH)]
    gone = [name for name in names if not (root / name).exists() or not _size(root / name)]
    foreign = []
    for file in sorted((root / "notebooks").glob("*.ipynb")):
        try:
            spec = json.loads(file.read_text(encoding="utf-8"))["metadata"].get("kernelspec", {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            gone += [] if f"notebooks/{file.name}" in gone else [f"notebooks/{file.name}"]
            continue
        if spec.get("name", "python3") != "python3":
            foreign.append(f"{file.name} ({spec['name']})")
    if gone:
        yield Finding("I", f"missing in {root}, or damaged: {_some(gone)}", "copy or clone the whole project again, or "
                      "`git restore` these files")
    if foreign:
        yield Finding("F", f"saved for another kernel than python3: {_some(foreign)}", "open it, and choose Kernel, "
                      "Change Kernel, Python 3; or `git restore notebooks`, which discards your changes")


def packages(root: Path) -> Iterator[Finding]:
    """Whether all packages are there, new enough, and as the reference has them; and which PyTorch it is."""
    try:
        listed = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
        pinned = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", (root / "constraints.txt").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError):
        return  # said by `complete`
    pinned = {_plain(name): version for name, version in pinned.items()}
    missing, wrong, other = [], [], []
    for requirement in listed:
        [(name, bounds)] = re.findall(r"^([\w.-]+)(.*)$", requirement)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        pin = pinned.get(_plain(name), version)
        if not all(_holds(version, bound) for bound in bounds.split(",")):
            wrong.append(f"{name} is {version}, and {bounds} is needed")
        elif version.split("+")[0] != pin:
            other.append(f"{name} {version} ({pin})")
    if missing:
        mine = root / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        yield Finding("M", f"missing in {sys.prefix}: {_some(missing)}", f"call {mine} -m helpers preflight"
                      if mine.exists() and Path(sys.prefix) != root / ".venv" else AGAIN)
    if wrong:
        yield Finding("V", "; ".join(wrong), AGAIN)
    if other:
        yield Finding("v", f"other versions than in constraints.txt (in brackets): {_some(other)}", "nothing must be "
                      f"done; printed numbers may differ in the last digit. To have ours, {AGAIN}")
    cuda = _cuda()
    if cuda and not (shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0")):
        yield Finding("c", f"PyTorch is a build for CUDA {cuda}, and there is no graphics card for it", "nothing must "
                      "be done; the README (Start) says how to install the build for processors, which is far smaller")


def places(root: Path) -> Iterator[Finding]:
    """Whether there is room, on the disk and in memory, and files can be written."""
    cache = root / "data" / "cache"
    wanted = [root, root / "notebooks", cache if os.path.lexists(cache) else root / "data"]
    for letter, folders in (("W", wanted), ("T", [None])):
        for folder in folders:
            try:
                with tempfile.TemporaryFile(dir=folder) as file:
                    file.write(b"x")
            except OSError as error:
                yield Finding(letter, f"{folder or 'the temporary folder'} cannot be written to ({error.strerror})",
                              "move what is in the way, or copy the project to a folder of your own, such as your home"
                              if folder else "set TMPDIR (on Windows TEMP) to a folder that you may write to")
                break
    for place, least in ((str(root), SPACE), (_temporary(), TEMPORARY)):
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(place).free
            if free < least:
                yield Finding("S", f"{free / 1e6:.0f} MB are free where {place} is, and {least / 1e6:.0f} are needed",
                              "delete what you no longer need, or move the project to another disk")
                break
    memory = free_memory()
    if memory is not None and memory < MEMORY:
        yield Finding("R", f"{memory / 2**30:.1f} GiB of memory are free, and a lesson takes up to 2", "close other "
                      "programs and other notebooks (Kernel, Shut Down)")


def network(root: Path) -> Iterator[Finding]:
    """Whether the browser will find JupyterLab on this computer."""
    with socket.socket() as probe:
        if os.name != "nt":  # else a port counts as taken for a minute after it was left
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            yield Finding("l", f"port {PORT} is taken, by another JupyterLab perhaps", "nothing must be done: "
                          "JupyterLab takes the next; read the address that it prints")
    proxies = {kind: address for kind, address in urllib.request.getproxies().items() if kind in ("http", "all")}
    caught = [host for host in ("localhost", "127.0.0.1") if not urllib.request.proxy_bypass(host)]
    if proxies and caught:
        yield Finding("X", f"a proxy ({next(iter(proxies))}_proxy) would catch {' and '.join(caught)}",
                      "set NO_PROXY=localhost,127.0.0.1 (and no_proxy), and start again")


def kernel(root: Path) -> Iterator[Finding]:
    """Whether the kernel named python3 is of this environment."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return  # said by `packages`
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        yield Finding("K", "there is no kernel python3", AGAIN)
        return
    first = spec.argv[0] if spec.argv else ""
    # Jupyter itself puts this Python where a kernel says no more than "python".
    if not re.fullmatch(r"python(3(\.\d+)?)?", first) and not _neighbours(first, sys.executable):
        yield Finding("K", f"the kernel python3 in {spec.resource_dir} starts {first}, not {sys.executable}",
                      "remove that folder, or unset JUPYTER_PATH if it leads there; or start JupyterLab by `make lab`")


def real_cell(root: Path) -> Iterator[Finding]:
    """Whether the first cell of the first lesson runs, in a kernel, and which environment and `helpers` it finds."""
    from jupyter_client.manager import start_new_kernel

    deadline = time.monotonic() + SECONDS
    lesson = json.loads((root / "notebooks" / PATH[0].file).read_text(encoding="utf-8"))
    cell = next("".join(cell["source"]) for cell in lesson["cells"] if cell["cell_type"] == "code")
    manager = None
    try:
        manager, client = start_new_kernel(kernel_name="python3", startup_timeout=SECONDS, cwd=str(root / "notebooks"),
                                           stderr=subprocess.DEVNULL)
        ask = lambda text, **more: client.execute_interactive(
            text, allow_stdin=False, output_hook=lambda message: None, timeout=max(1, deadline - time.monotonic()),
            **more)["content"]
        found = ask("import sys", user_expressions={"prefix": "sys.prefix", "helpers": WHERE})["user_expressions"]
        prefix, helpers = (ast.literal_eval(found[key]["data"]["text/plain"]) for key in ("prefix", "helpers"))
        ours = root / "helpers" / "__init__.py"
        if Path(prefix) != Path(sys.prefix):
            yield Finding("K", f"notebooks run in {prefix}, and not in {sys.prefix}", "start JupyterLab by `make lab`")
        elif helpers == "":
            yield Finding("H", f"{sys.prefix} does not know this project", AGAIN)
        elif not os.path.exists(helpers) or not ours.samefile(helpers):
            yield another(helpers, root)
        else:
            done = ask(cell)
            if done["status"] != "ok":
                said = f"{done.get('ename')}: {done.get('evalue')}".split("\n")[0]
                yield Finding("E", f"the first cell of {PATH[0].title} fails ({said})", f"{AGAIN}; if that does not "
                              "help, delete .venv first")
    except Exception as error:
        said = str(error).split("\n")[0]
        yield Finding("E", f"no cell could be run ({type(error).__name__}: {said})", f"{AGAIN}; if that does not "
                      "help, delete .venv first")
    finally:
        if manager is not None:
            manager.shutdown_kernel(now=True)


def another(found: str, root: Path) -> Finding:
    """What to say where `helpers` is found that are not ours: those of another copy of the project, or something else
    of that name.
    """
    file, theirs = Path(found), Path(found).parent.parent
    if file.name != "__init__.py" or not file.with_name("lessons.py").exists():
        return Finding("H", f"notebooks import `helpers` from {found}, and not from {root / 'helpers'}",
                       "rename that file or folder, or take it out of PYTHONPATH")
    if str(theirs) in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        return Finding("H", f"PYTHONPATH leads to the copy of the project in {theirs}, and not to {root}",
                       "take it out of PYTHONPATH")
    return Finding("H", f"{sys.prefix} belongs to the copy of the project in {theirs}, and not to {root}",
                   f"work in {theirs}, or {AGAIN} in {root}, which makes an environment of its own there")


# Where a kernel finds `helpers`; "" if nowhere.
WHERE = ("(lambda s: '' if s is None else s.origin or str(list(s.submodule_search_locations)[0]))"
         "(__import__('importlib.util').util.find_spec('helpers'))")


def look(root: Path = ROOT) -> list[Finding]:
    """All findings, in order; the real cell is run only if nothing else would make it fail."""
    found = [finding for check in (complete, packages, places, network, kernel) for finding in check(root)]
    if not {f.letter for f in found} & set("IMVTK"):
        found += real_cell(root)
    return found


def run(explained: str | None = None) -> bool:
    """Print what is found, what to do, and the code; or what a code says. Returns whether all is well."""
    if explained is not None:
        print(explain(explained))
        return True
    print("Looking at this computer (about ten seconds) …", flush=True)
    start, found = time.monotonic(), look()
    for finding in found:
        kind = "mend" if finding.letter.isupper() else "note"
        print(f"\n{kind} {finding.letter}: {finding.found}.\n   To do: {finding.do}.")
    good = not any(finding.letter.isupper() for finding in found)
    last = "All is well" if good else "Mend what is said above, and call this again"
    print(f"\n{last} ({time.monotonic() - start:.0f} s). Code for the instructor: {code(f.letter for f in found)}")
    return good


# --- small things --------------------------------------------------------------------------------------------------


def free_memory() -> float | None:
    """Bytes of memory that are free, in a container of the container's share; None where nobody says."""
    found: list[float] = []
    with contextlib.suppress(ImportError):
        import psutil

        found.append(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        reclaimed = re.search(r"(?m)^inactive_file (\d+)", (group / "memory.stat").read_text())
        used = int((group / "memory.current").read_text()) - int(reclaimed[1] if reclaimed else 0)
        found.append(int((group / "memory.max").read_text()) - used)
    return min(found, default=None)


def _cuda() -> str | None:
    """For which CUDA PyTorch was built, read from its file, since importing it takes seconds; None for none."""
    try:
        file: Any = importlib.metadata.distribution("torch").locate_file("torch/version.py")
        found = re.search(r"(?m)^cuda\b.*?=\s*'([^']+)'", Path(file).read_text(encoding="utf-8"))
    except (importlib.metadata.PackageNotFoundError, OSError):
        return None
    return found[1] if found else None


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # none can be written to, which `places` has said
        return os.curdir


def _holds(version: str, bound: str) -> bool:
    """Whether a version keeps one bound, such as ">=2.0" or "<5"; by numbers alone, since packaging may be missing."""
    numbers = lambda text: [int(n) for n in re.findall(r"^\d+(?:\.\d+)*", text)[0].split(".")]
    [(relation, least)] = re.findall(r"^(>=|<)(.*)$", bound)
    here, there = numbers(version), numbers(least)
    width = max(len(here), len(there))
    here, there = (n + [0] * (width - len(n)) for n in (here, there))
    return here >= there if relation == ">=" else here < there


def _neighbours(one: str, other: str) -> bool:
    """Whether two Pythons lie in one folder; the files themselves are links to one that several environments share."""
    return Path(one).parent.resolve() == Path(other).parent.resolve()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _size(path: Path) -> int:
    return path.stat().st_size


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
