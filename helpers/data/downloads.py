"""Larger public data sets, one call each. Optional: no lesson needs them, and no test fetches them.

A set is fetched once, through pooch, checked against the hash that its publishers or TensorFlow Datasets gave
for it, and kept in ``data/cache``. A file that was put there by hand is as good, if its hash is right.
"""

import contextlib
import gzip
import hashlib
import io
import math
import os
import re
import stat
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from helpers.data import cache, folders, text
from helpers.data.dataset import DataError, Dataset
from helpers.progress import VARIABLE

MOST_BYTES = 100_000_000  # unpacked: twice the largest of our files
MOST_FILES = 10_000  # in one archive
SLOWEST = 1_000  # bytes a second, on average: below that, a server is taken to be stuck
PIECE = 1 << 16  # bytes that are read at a time


@dataclass(frozen=True)
class Source:
    """Where a set comes from: the address of its folder, its files with SHA-256 and size in bytes, and whose it is."""

    base: str
    files: dict[str, tuple[str, int]]
    maker: str
    licence: str


# Addresses name a commit or a release where there is one, so that they always mean the same bytes.
SOURCES = {
    "mnist": Source(
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        {  # tensorflow/datasets, url_checksums/mnist.txt; the same files as torchvision's, whose MD5 it gives
            "train-images-idx3-ubyte.gz": (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
            "train-labels-idx1-ubyte.gz": ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
            "t10k-images-idx3-ubyte.gz": (
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
            "t10k-labels-idx1-ubyte.gz": ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
        },
        "Y. LeCun, C. Cortes and C. Burges (1998), from handwriting that NIST collected",
        "Creative Commons BY-SA 3.0",
    ),
    "fashion_mnist": Source(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
        "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion",
        {  # tensorflow/datasets, url_checksums/fashion_mnist.txt
            "train-images-idx3-ubyte.gz": (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
            "train-labels-idx1-ubyte.gz": ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
            "t10k-images-idx3-ubyte.gz": (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
            "t10k-labels-idx1-ubyte.gz": ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
        },
        "H. Xiao, K. Rasul and R. Vollgraf (2017), from Zalando's catalogue",
        "MIT, copyright Zalando SE",
    ),
    "spoken_digits": Source(
        "https://github.com/Jakobovski/free-spoken-digit-dataset/archive",
        {  # tensorflow/datasets, datasets/spoken_digit/checksums.tsv
            "v1.0.9.tar.gz": ("8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0", 11_975_353),
        },
        "Z. Jackson and the speakers of the Free Spoken Digit Dataset, version 1.0.9",
        "Creative Commons BY-SA 4.0",
    ),
    "names": Source(
        "https://raw.githubusercontent.com/nltk/nltk_data/550b6625bcef1f2abff2ff770a5a0d272c9c6b2a/packages/corpora",
        {  # nltk/nltk_data, index.xml at that commit
            "names.zip": ("0eec7e958b34982662b8f05824ae64642dea097b08057ade65c252191c5fe7ca", 21_326),
        },
        "M. Kantrowitz, with additions by B. Ross: the Names Corpus, version 1.3 (1994), as NLTK distributes it",
        "copyrighted; free for any purpose if published work gives credit, and to pass on with its README",
    ),
    "shakespeare": Source(
        "https://raw.githubusercontent.com/karpathy/char-rnn/"
        "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare",
        {  # tensorflow/datasets, url_checksums/tiny_shakespeare.txt
            "input.txt": ("86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", 1_115_394),
        },
        "W. Shakespeare; 40,000 lines chosen by A. Karpathy (2015)",
        "the plays are in the public domain, the file is under MIT",
    ),
}  # fmt: skip

CLOTHES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


def mnist(base: str | None = None, timeout: float = 30.0, seed: int = 0) -> Dataset:
    """70,000 handwritten digits: x (N, 784), grey from 0 to 1, float32; labels 0 to 9.

    The official 10,000 test images are the test split. Of equal images one stays, in test if there is one
    there; about a seventh of the others, class by class, is for validation.

    All the sets here take ``base``, the address of a folder with the same files, such as a mirror in your
    network, and ``timeout``, the seconds for which a server may be silent. They raise DataError, in one
    sentence, if the files cannot be had, and leave nothing half-written behind.
    """
    return _images("mnist", tuple("0123456789"), base, timeout, seed)


def fashion_mnist(base: str | None = None, timeout: float = 30.0, seed: int = 0) -> Dataset:
    """70,000 photographs of clothes, of ten kinds: x (N, 784), grey from 0 to 1, float32. The rest as :func:`mnist`."""
    return _images("fashion_mnist", CLOTHES, base, timeout, seed)


def spoken_digits(base: str | None = None, timeout: float = 30.0, seconds: float = 1.0, seed: int = 0) -> Dataset:
    """2,500 recordings of the digits 0 to 9, spoken 50 times each by five people, through :func:`folders.sounds`.

    x (N, 513, 1 + 50 · seconds), log-magnitude spectrograms, float16. One speaker is held out for validation
    and one for test. The recordings are unpacked in ``data/cache/spoken_digits/recordings``, to listen to.
    """
    [archive] = fetch("spoken_digits", base, timeout).values()
    recordings = unpack(archive, archive.parent / "recordings", _spoken)
    return _signed("spoken_digits", folders.sounds(recordings, seconds, seed, group=_speaker))


def names(base: str | None = None, timeout: float = 30.0, seed: int = 0) -> Dataset:
    """Some 7,600 English first names as rows of symbols (N, T), with ``vocabulary`` (``helpers.data.text``)."""
    [archive] = fetch("names", base, timeout).values()
    lists = [c for name, c in read_archive(archive).items() if PurePosixPath(name).name in ("female.txt", "male.txt")]
    try:
        items = [name.strip() for part in lists for name in part.decode("ascii").splitlines()]
    except UnicodeDecodeError:
        raise DataError(f"{archive.name}: its names are not in ASCII; delete {archive} and call again.") from None
    return _signed("names", text.make("names", [name for name in items if name], seed=seed))


def shakespeare(base: str | None = None, timeout: float = 30.0, length: int = 100, seed: int = 0) -> Dataset:
    """Tiny Shakespeare, 1.1 million characters, cut into pieces of ``length``, through :func:`folders.texts`."""
    [file] = fetch("shakespeare", base, timeout).values()
    return _signed("shakespeare", folders.texts(file, by="running", length=length, seed=seed))


def _signed(name, data, **changes):
    """The data set with the name of its set, who made it, and its licence."""
    source = SOURCES[name]
    return replace(data, name=name.replace("_", " "), source=source.maker,
                   notes=(f"licence: {source.licence}", *data.notes), **changes)  # fmt: skip


def _images(name, class_names, base, timeout, seed):
    paths = fetch(name, base, timeout)
    parts = []
    for part in ("t10k", "train"):  # test comes first: of equal images the first stays
        x = read_idx(paths[f"{part}-images-idx3-ubyte.gz"], 3)
        c = read_idx(paths[f"{part}-labels-idx1-ubyte.gz"], 1)
        if len(x) != len(c):
            raise DataError(f"{name}: the {part} files hold {len(x)} images and {len(c)} labels; delete "
                            f"{cache.FOLDER / name} and call again.")  # fmt: skip
        parts.append((x, c))
    (test, _), (train, _) = parts
    if test.shape[1:] != train.shape[1:]:
        raise DataError(f"{name}: images of {train.shape[1:]} and of {test.shape[1:]} pixels were found; delete "
                        f"{cache.FOLDER / name} and call again.")  # fmt: skip
    raw = np.concatenate([test, train]).reshape(len(test) + len(train), -1)  # (N, 784), 0 to 255
    c = np.concatenate([c for _, c in parts]).astype(np.int64)
    data = Dataset.make(name, raw / np.float32(255), c, key=raw, names=class_names, shape=train.shape[1:],
                        low=0, high=1, seed=seed)  # fmt: skip
    official = np.arange(len({image.tobytes() for image in test}))
    valid = np.setdiff1d(data.rows["valid"], official)
    rest = np.setdiff1d(np.arange(len(data)), np.concatenate([official, valid]))
    return _signed(name, data, rows={"train": rest, "valid": valid, "test": official})


def _spoken(member):
    """Where a recording goes: …/recordings/7_jackson_32.wav to 7/jackson_32.wav; all else is left out."""
    found = re.fullmatch(r"(?:.*/)?recordings/(\d)_([a-z]+_\d+\.wav)", member)
    return f"{found[1]}/{found[2]}" if found else None


def _speaker(stem):
    return stem.split("_")[0]


# --- fetching ------------------------------------------------------------------------------------------


def fetch(name: str, base: str | None = None, timeout: float = 30.0) -> dict[str, Path]:
    """The files of a set, by their names, from ``data/cache/<name>``; what is missing or damaged there is downloaded.

    Every file that is returned has the hash in ``SOURCES``. When something is downloaded, one line says from where,
    whose it is and under which licence. A file appears whole or not at all, also when several processes fetch it.

    Raises DataError, in one sentence, when the server is out of reach, silent for ``timeout`` seconds, or sends
    something else, and when the cache cannot be written.
    """
    source, folder = SOURCES[name], cache.FOLDER / name
    if not timeout > 0:
        raise DataError(f"{name}: timeout is {timeout}; give a number of seconds above zero.")
    base = (base or source.base).rstrip("/")
    paths = {file: folder / file for file in source.files}
    absent = [file for file, path in paths.items() if not _whole(path, source.files[file][0])]
    if absent:
        size = sum(source.files[file][1] for file in absent) / 1e6
        print(f"{name}: fetching {size:.2g} MB, once, from {base}; by {source.maker}; licence: {source.licence}")
    for file in absent:
        _download(f"{base}/{file}", paths[file], *source.files[file], timeout)
    return paths


def _whole(path, sha256):
    """Whether a file is there, with the right hash."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({_why(error)}); check its rights, or delete it.") from None


def _download(url, path, sha256, size, timeout):
    """Bring one file, through pooch: into a temporary file, checked there, and then renamed."""
    import pooch
    import requests
    import urllib3

    pooch.get_logger().setLevel("WARNING")  # what is to be said, fetch has said
    by_hand = f"nothing in the series needs it, so try again when online, or put the file into {path.parent} by hand."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent, downloader=_downloader(size, timeout))
    except requests.HTTPError as error:
        reason = f"the server answered {error.response.status_code}"
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        reason = f"the server sent nothing, or next to nothing, for {timeout:g} seconds"
    except requests.exceptions.SSLError:
        reason = "the server and this machine do not agree on a safe connection, TLS"
    except requests.ConnectionError:
        reason = "there is no connection to the server"
    except urllib3.exceptions.HTTPError:
        reason = "the connection broke off"
    except requests.RequestException as error:
        reason = f"the address cannot be used: {type(error).__name__}"
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({_why(error)}); make room, or check the rights of data/cache; "
                        "nothing in the series needs this file.") from None  # fmt: skip
    except ValueError:  # pooch's word for a wrong hash
        reason = "what came is another file than the one that was published, and was thrown away"
    else:
        return
    raise DataError(f"{path.name}: cannot be had from {url} ({reason}); {by_hand}") from None


def _downloader(size, timeout):
    """What brings the bytes, for pooch. Gives up on a server that stalls, trickles, or sends more than ``size``."""

    def download(url, output, _):
        import requests
        from tqdm.auto import tqdm

        # As it is: a file that the server packs once more on its way would not need less time.
        headers = {"Accept-Encoding": "identity"}
        unwatched = os.environ.get(VARIABLE) == "milestones"
        begin, done = time.monotonic(), 0
        with (
            requests.get(url, stream=True, timeout=timeout, headers=headers) as response,
            open(output, "wb") as file,
            tqdm(total=size, desc=Path(url).name, unit="B", unit_scale=True, leave=False, disable=unwatched) as bar,
        ):
            response.raise_for_status()
            while piece := response.raw.read1(PIECE, decode_content=True):
                file.write(piece)
                bar.update(len(piece))
                done += len(piece)
                if done > size:
                    raise ValueError("longer than it should be")
                if time.monotonic() - begin > timeout + done / SLOWEST:
                    raise requests.Timeout("a trickle")

    return download


def _why(error):
    return (error.strerror or "no permission").lower()


# --- files in formats of others ------------------------------------------------------------------------


def gunzip(path: Path, most_bytes: int | None = None, what: str = "gzip file") -> bytes:
    """What a gzip file holds. Raises DataError if it is damaged, cut short, or holds more than ``most_bytes``."""
    most_bytes = MOST_BYTES if most_bytes is None else most_bytes
    try:
        with gzip.open(path) as file:
            content = file.read(most_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, what, error) from None
    if len(content) > most_bytes:
        raise DataError(f"{path}: holds more than {most_bytes / 1e6:g} MB once unpacked, far more than was expected; "
                        "delete it and call again.")  # fmt: skip
    return content


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The bytes (uint8) in a gzipped IDX file, the format of MNIST, with as many ``dimensions`` as expected.

    Two zeros, 8 for bytes, the number of dimensions, each of them as four bytes with the highest first, and the
    values. Raises DataError if the header says otherwise, or the file has fewer or more values than it says.
    """
    content = gunzip(path)
    start = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) < start:
        raise DataError(f"{path}: begins with {content[:4].hex(' ') or 'nothing'}, and an IDX file of bytes with "
                        f"00 00 08 0{dimensions} and {dimensions} sizes; delete it and call again.")  # fmt: skip
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, offset=4))
    if len(content) - start != math.prod(shape):
        raise DataError(f"{path}: has {len(content) - start:,} values, and its header promises {math.prod(shape):,}; "
                        "delete it and call again.")  # fmt: skip
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_archive(path: Path, most_bytes: int | None = None, most_files: int | None = None) -> dict[str, bytes]:
    """The files in a .zip or .tar.gz, by their names. Everything is checked, and nothing is written.

    Raises DataError, in one sentence, for a damaged archive; for names that lead out of a folder (``..``, absolute,
    with a drive or a backslash); for links and devices; and for more than ``most_files`` files or ``most_bytes``.
    """
    most_bytes = MOST_BYTES if most_bytes is None else most_bytes
    most_files = MOST_FILES if most_files is None else most_files
    read = _zipped if zipfile.is_zipfile(path) else _tarred
    files, total = {}, 0
    try:
        for count, (name, kind, size, content) in enumerate(read(path, most_bytes), start=1):
            total += size
            problem = (
                f"more than {most_files:,} members" if count > most_files
                else f"more than {most_bytes / 1e6:g} MB" if total > most_bytes
                else f"{_shown(name)}, which is {kind}" if kind not in ("a file", "a folder")
                else f"{_shown(name)}, whose name leads out of the folder" if _leads_out(name)
                else f"{_shown(name)} twice" if name in files
                else None
            )  # fmt: skip
            if problem:
                raise DataError(f"{path}: holds {problem}, and so nothing of it was unpacked; delete it, and take the "
                                "archive from its makers.")  # fmt: skip
            if kind == "a file":
                files[name] = content()
    except DataError:
        raise
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error) as error:
        raise _damaged(path, "archive", error) from None
    return files


def _zipped(path, _):
    """Name, kind, size and a way to the content of each member of a .zip, which stops at the size it says."""
    kinds = {0: "a file", stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link"}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            kind = kinds.get(stat.S_IFMT(member.external_attr >> 16), "a device")
            kind = "a folder" if member.is_dir() else kind
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others know no bound
                raise zipfile.BadZipFile("a compression other than deflate")
            # The name as it stands in the file: zipfile cuts names at a zero byte, and turns \ around on Windows.
            yield member.orig_filename, kind, member.file_size, lambda member=member: archive.read(member)


def _tarred(path, most_bytes):
    """The same of a .tar.gz, unpacked to memory first: there a header that lies about its size does no harm."""
    content = gunzip(path, most_bytes + 1024 * MOST_FILES, "archive")  # with the headers
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            kind = ("a file" if member.isreg() else "a folder" if member.isdir()
                    else "a link" if member.issym() or member.islnk() else "a device")  # fmt: skip
            yield member.name, kind, member.size, lambda member=member: archive.extractfile(member).read()


def _leads_out(name):
    """Whether a member's name could mean a place outside the folder, on any system."""
    return (not name or name.startswith("/") or ".." in PurePosixPath(name).parts
            or any(c in "\\:" or ord(c) < 32 for c in name))  # fmt: skip


def _shown(name):
    return repr(name if len(name) <= 60 else name[:60] + "…")


def _damaged(path, what, error):
    reason = str(error).strip(" .").splitlines()
    reason = reason[0] if reason else type(error).__name__
    return DataError(f"{path}: is damaged or no {what} ({reason}); delete it and call again.")


def unpack(archive: Path, folder: Path, place: Callable[[str], str | None] = lambda name: name) -> Path:
    """Unpack a .zip or .tar.gz to ``folder``, which appears whole or not at all, and return it.

    place: where a file of the archive goes in ``folder``; None leaves it out.
    If ``folder`` holds just these files already, nothing is written; else it is replaced.

    Raises DataError as :func:`read_archive` does, and when ``folder`` cannot be written.
    """
    files = {place(name): content for name, content in read_archive(archive).items()}
    files.pop(None, None)
    if bad := next(filter(_leads_out, files), None):
        raise DataError(f"{archive}: {_shown(bad)} is no place in {folder}; give one inside it.")
    try:
        if _holds(folder, files):
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent) as aside:
            whole = Path(aside) / "whole"
            for name, content in files.items():
                (whole / name).parent.mkdir(parents=True, exist_ok=True)
                (whole / name).write_bytes(content)
            whole.mkdir(exist_ok=True)  # if there are no files at all
            _replace(whole, folder, files)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({_why(error)}); make room, or check the rights of data/cache.") \
            from None  # fmt: skip
    return folder


def _replace(new, folder, files):
    try:
        os.replace(new, folder)
    except OSError:  # there is a folder of this name: another process was faster, or it is damaged
        if not _holds(folder, files):
            with contextlib.suppress(FileNotFoundError):
                os.replace(folder, new.parent / "old")
            os.replace(new, folder)


def _holds(folder, files):
    """Whether a folder holds just these files: {place: bytes}."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    return (found.keys() == files.keys()
            and all(found[name].stat().st_size == len(content) and found[name].read_bytes() == content
                    for name, content in files.items()))  # fmt: skip
