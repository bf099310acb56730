"""Where things are, and how files are written: whole or not at all, and never over a file that is not ours.

A :class:`Place` is a folder that one writer keeps. Its record, a JSON file in it, names every file that the writer
made there; those alone are ever replaced or deleted, and a second writer is refused while the first is at work.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
CACHE = DATA / "cache"  # downloaded or rendered here, and made again when missing
PRETRAINED = DATA / "pretrained"
IMAGES = ROOT / "notebooks" / "images"
RECORD = "HELPERS_RECORD"  # set only by `make notebooks`: rows of the board and pictures may be written
MADE_BY = "From Encoder to Generator"  # marks the files by which we know our own work


class DiskError(RuntimeError):
    """A place that must not, or cannot, be written to. The message says what was found, where, and what to do."""


def recording() -> bool:
    """Whether notebooks may write rows of the board and pictures for other pages."""
    return bool(os.environ.get(RECORD))


def part(path: Path, pid: int) -> Path:
    """Where process ``pid`` writes what shall become ``path``."""
    return path.with_name(f".{path.name}.{pid}.part")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``; when the block ends well, what was written there takes its place in one step.

    After an error ``path`` is as it was, and the temporary file is gone.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = part(path, os.getpid())
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or nothing. It replaces what is there: for paths that are known to be ours."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing, in UTF-8; see :func:`write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_new(path: Path, data: bytes) -> None:
    """Write a whole file where there is none. Raises DiskError if there is one, unless it holds just these bytes."""
    path = Path(path)
    if _taken(path):
        with contextlib.suppress(OSError):
            if path.read_bytes() == data:
                return
        raise DiskError(f"{path} is there already, and is left as it is; give another name, or move it away.")
    write_bytes(path, data)


def free_name(path: Path) -> Path:
    """``path`` if nothing is there; else the same with -2, -3, … before its suffix, the first that is free."""
    path, number, free = Path(path), 1, Path(path)
    while _taken(free):
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _taken(path: Path) -> bool:
    return os.path.lexists(path)  # a link that leads nowhere takes a name, too


class Place:
    """A folder that one writer keeps: ``Place(folder).open()``, or as a context manager, ``with Place(folder):``.

    It may be new, empty, or hold the record of an earlier ``Place``; any other folder is refused, and so is one in
    which another process is writing. ``names`` are the files that the writer will make; if one of them is there and is
    not in the record, it is somebody's own, and the folder is refused as well.
    """

    def __init__(self, folder: Path, names: tuple[str, ...] = (), record: str = "run.json"):
        self.folder, self.names, self.file = Path(folder), names, Path(folder) / record
        self.record: dict = {}
        self._lock: Any = None  # a FileLock, while the folder is ours

    def __enter__(self) -> "Place":
        return self.open()

    def __exit__(self, *error) -> None:
        self.close()

    def open(self) -> "Place":
        """Check that the folder may be written to, make it if need be, and lock it. Raises DiskError."""
        from filelock import FileLock, Timeout

        self.check()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / f".{self.file.name}.lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            self._lock = None
            raise DiskError(f"{self.folder}: another process is writing there; wait for it, or choose another "
                            "folder.") from None
        try:
            self.check()  # once more, now that nobody else can change it
        except DiskError:
            self.close()
            raise
        # What a writer that was killed left half-written.
        for file in (*self._unborn(), *(part(self.folder / name, self.record.get("pid", 0)) for name in self.made)):
            file.unlink(missing_ok=True)
        return self

    def close(self) -> None:
        """Let the next writer in."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # while it is held: whoever opened the old file looks for a new one
                os.unlink(self._lock.lock_file)
            self._lock.release()
            self._lock = None

    def check(self) -> None:
        """Raise DiskError unless the folder is new, empty, or ours."""
        if _taken(self.folder) and not self.folder.is_dir():
            raise DiskError(f"{self.folder} is a file; give a folder.")
        found = set(os.listdir(self.folder)) if self.folder.is_dir() else set()
        found -= {".DS_Store", f".{self.file.name}.lock", *(file.name for file in self._unborn())}
        self.record = read_record(self.file) if found else {}
        if found and not self.record:
            what = f"a {self.file.name} that is not a record of ours" if self.file.name in found else "other files"
            raise DiskError(f"{self.folder} holds {what}, and nothing in it is touched; give a folder that is new or "
                            "empty.")
        foreign = sorted(name for name in found & set(self.names) if name not in self.made)
        if foreign:
            raise DiskError(f"{self.folder / foreign[0]} was not made by this program, and is left as it is; move it "
                            "elsewhere, or choose another folder.")

    def _unborn(self):
        """Records of ours that never got their name, since their writer was killed."""
        parts = self.folder.glob(f".{self.file.name}.*.part") if self.folder.is_dir() else ()
        return [file for file in parts if read_record(file)]

    @property
    def made(self) -> list[str]:
        """The names of the files that the record lists."""
        return self.record.get("files", [])

    def note(self, *names: str, **values: Any) -> None:
        """Put names of files, and other values, into the record; names are noted before the files are made."""
        made = [*self.made, *(name for name in names if name not in self.made)]
        self.record = {"made by": MADE_BY, **self.record, **values, "files": made, "pid": os.getpid()}
        write_text(self.file, json.dumps(self.record, indent=1) + "\n")

    def write(self, name: str, data: bytes) -> Path:
        """Write one file of the folder, its name into the record first. Raises DiskError if it is somebody's own."""
        path = self.folder / name
        if _taken(path) and name not in self.made:
            raise DiskError(f"{path} was not made by this program, and is left as it is; move it elsewhere.")
        self.note(name)
        write_bytes(path, data)
        return path

    def remove(self, *names: str) -> None:
        """Delete files, those alone that the record lists."""
        gone = [name for name in names if name in self.made]
        for name in gone:
            with contextlib.suppress(FileNotFoundError):
                (self.folder / name).unlink()
        self.record = {**self.record, "files": [name for name in self.made if name not in gone]}
        self.note()


def read_record(file: Path) -> dict:
    """What the record of a :class:`Place` says; an empty dict if there is none, or it is not ours."""
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    ours = isinstance(found, dict) and found.get("made by") == MADE_BY and isinstance(found.get("files"), list)
    return found if ours and all(isinstance(name, str) for name in found["files"]) else {}
