"""Larger public data sets, one call each. Optional: no lesson needs them, and no test fetches them.

A set is fetched once, through pooch, checked against the hash that its publishers or TensorFlow Datasets gave
for it, and kept in ``data/cache``. A file that was put there by hand is as good, if its hash is right.
"""

import gzip
import hashlib
import math
import os
import re
import tarfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from helpers import disk
from helpers.data import cache, files, folders, text
from helpers.data.dataset import DataError, Dataset
from helpers.progress import VARIABLE


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
        # tensorflow/datasets, url_checksums/mnist.txt; the same files as torchvision's, whose MD5 it gives
        {"train-images-idx3-ubyte.gz": ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
         "train-labels-idx1-ubyte.gz": ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
         "t10k-images-idx3-ubyte.gz": ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
         "t10k-labels-idx1-ubyte.gz": ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542)},
        "Y. LeCun, C. Cortes and C. Burges (1998), from handwriting that NIST collected",
        "Creative Commons BY-SA 3.0"),
    "fashion_mnist": Source(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
        "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion",
        # tensorflow/datasets, url_checksums/fashion_mnist.txt
        {"train-images-idx3-ubyte.gz": ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
         "train-labels-idx1-ubyte.gz": ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
         "t10k-images-idx3-ubyte.gz": ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
         "t10k-labels-idx1-ubyte.gz": ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148)},
        "H. Xiao, K. Rasul and R. Vollgraf (2017), from Zalando's catalogue",
        "MIT, copyright Zalando SE"),
    "spoken_digits": Source(
        "https://github.com/Jakobovski/free-spoken-digit-dataset/archive",
        # tensorflow/datasets, datasets/spoken_digit/checksums.tsv
        {"v1.0.9.tar.gz": ("8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0", 11_975_353)},
        "Z. Jackson and the speakers of the Free Spoken Digit Dataset, version 1.0.9",
        "Creative Commons BY-SA 4.0"),
    "names": Source(
        "https://raw.githubusercontent.com/nltk/nltk_data/550b6625bcef1f2abff2ff770a5a0d272c9c6b2a/packages/corpora",
        # nltk/nltk_data, index.xml at that commit
        {"names.zip": ("0eec7e958b34982662b8f05824ae64642dea097b08057ade65c252191c5fe7ca", 21_326)},
        "M. Kantrowitz, with additions by B. Ross: the Names Corpus, version 1.3 (1994), as NLTK distributes it",
        "copyrighted; free for any purpose if published work gives credit, and to pass on with its README"),
    "shakespeare": Source(
        "https://raw.githubusercontent.com/karpathy/char-rnn/"
        "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare",
        # tensorflow/datasets, url_checksums/tiny_shakespeare.txt
        {"input.txt": ("86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", 1_115_394)},
        "W. Shakespeare; 40,000 lines chosen by A. Karpathy (2015)",
        "the plays are in the public domain, the file is under MIT"),
}


def mnist(base: str | None = None, timeout: float = 30.0, seed: int = 0) -> Dataset:
    """70,000 handwritten digits: x (N, 784), grey levels as bytes; labels 0 to 9.

    The official 10,000 test images are the test split. Of equal images one stays, in test if there is one
    there; about a seventh of the others, class by class, is for validation.

    All the sets here take ``base``, the address of a folder with the same files, such as a mirror in your network,
    and ``timeout``, the seconds for which a server may be silent. They raise DataError as :func:`fetch` does.
    """
    return _images("mnist", tuple("0123456789"), base, timeout, seed)


def fashion_mnist(base: str | None = None, timeout: float = 30.0, seed: int = 0) -> Dataset:
    """70,000 photographs of clothes, of ten kinds: x (N, 784), grey levels as bytes. The rest as :func:`mnist`."""
    clothes = "T-shirt trousers pullover dress coat sandal shirt sneaker bag boot"
    return _images("fashion_mnist", tuple(clothes.split()), base, timeout, seed)


def spoken_digits(base: str | None = None, timeout: float = 30.0, seconds: float = 1.0, seed: int = 0) -> Dataset:
    """2,500 recordings of the digits 0 to 9, spoken 50 times each by five people, through :func:`folders.sounds`.

    x (N, 513, 1 + 50 · seconds), log-magnitude spectrograms, float16. One speaker is held out for validation
    and one for test. The recordings are unpacked in ``data/cache/spoken_digits/recordings``, to listen to.
    """
    [archive] = fetch("spoken_digits", base, timeout).values()
    recordings = unpack(archive, archive.parent / "recordings")
    return _signed("spoken_digits", folders.sounds(recordings, seconds, seed, group=lambda stem: stem.split("_")[0]))


def names(base: str | None = None, timeout: float = 30.0, seed: int = 0) -> Dataset:
    """Some 7,600 English first names as rows of symbols (N, T), with ``vocabulary`` (``helpers.data.text``)."""
    [archive] = fetch("names", base, timeout).values()
    with zipfile.ZipFile(archive) as members:
        lists = [members.read(member).decode() for member in members.namelist() if member.endswith("male.txt")]
    items = [name.strip() for part in lists for name in part.splitlines() if name.strip()]
    return _signed("names", text.make("names", items, seed=seed))


def shakespeare(base: str | None = None, timeout: float = 30.0, length: int = 100, seed: int = 0) -> Dataset:
    """Tiny Shakespeare, 1.1 million characters, cut into pieces of ``length``, through :func:`folders.texts`."""
    [file] = fetch("shakespeare", base, timeout).values()
    return _signed("shakespeare", folders.texts(file, by="running", length=length, seed=seed))


def _signed(name, data, **changes):
    """The data set with the name of its set, who made it, and its licence."""
    source = SOURCES[name]
    notes = (f"licence: {source.licence}", *data.notes)
    return replace(data, name=name.replace("_", " "), source=source.maker, notes=notes, **changes)


def _images(name, class_names, base, timeout, seed):
    paths = fetch(name, base, timeout)
    parts = ("t10k", "train")  # test comes first: of equal images the first stays
    test, train = (read_idx(paths[f"{part}-images-idx3-ubyte.gz"], 3) for part in parts)
    c = np.concatenate([read_idx(paths[f"{part}-labels-idx1-ubyte.gz"], 1) for part in parts]).astype(np.int64)
    x = np.concatenate([test, train])
    data = Dataset.make(name, x.reshape(len(x), -1), c, names=class_names, shape=x.shape[1:], seed=seed, kind="image")
    official = np.arange(len({image.tobytes() for image in test}))
    valid = np.setdiff1d(data.rows["valid"], official)
    rest = np.setdiff1d(np.arange(len(data)), np.concatenate([official, valid]))
    return _signed(name, data, rows={"train": rest, "valid": valid, "test": official})


def fetch(name: str, base: str | None = None, timeout: float = 30.0) -> dict[str, Path]:
    """The files of a set, by their names, from ``data/cache/<name>``; what is missing there is downloaded.

    When something is downloaded, one line says from where, whose it is and under which licence. A file appears whole
    or not at all, also when several processes fetch it. Raises DataError, in one sentence, when the server is out of
    reach, silent for ``timeout`` seconds, or sends something else; when the cache cannot be written; and for a file
    there with another hash than in ``SOURCES``: it was not made here, where a file gets its name only once its hash
    is known to be right, and it is never replaced.
    """
    source, folder = SOURCES[name], cache.FOLDER / name
    if not timeout > 0:
        raise DataError(f"{name}: timeout is {timeout}; give a number of seconds above zero.")
    base = (base or source.base).rstrip("/")
    paths = {file: folder / file for file in source.files}
    absent = [file for file, path in paths.items() if not _is_there(path, source.files[file][0])]
    if absent:
        size = sum(source.files[file][1] for file in absent) / 1e6
        print(f"{name}: fetching {size:.2g} MB, once, from {base}; by {source.maker}; licence: {source.licence}")
    for file in absent:
        _download(f"{base}/{file}", paths[file], source.files[file][0], timeout)
    return paths


def _is_there(path, sha256):
    """Whether a file is there, with the right hash; one with another is refused."""
    if not os.path.lexists(path):
        return False
    try:
        right = hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({_why(error)}); check its permissions, or move it away.") from None
    if not right:
        raise DataError(f"{path}: is not the file that was published under this name, and was not made by this "
                        "program; move it away or delete it, and call again.")
    return True


def _download(url, path, sha256, timeout):
    """Bring one file, through pooch: into a temporary file, checked there, and then renamed."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")  # what is to be said, fetch has said
    downloader = pooch.HTTPDownloader(os.environ.get(VARIABLE) != "milestones", chunk_size=1 << 16, timeout=timeout)
    try:
        pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent, downloader=downloader)
        return
    except requests.HTTPError as error:
        reason = f"the server answered {error.response.status_code if error.response is not None else error}"
    except requests.exceptions.SSLError:
        reason = "the server and this machine do not agree on a safe connection, TLS"
    except (requests.Timeout, requests.ConnectionError) as error:
        silent = isinstance(error, requests.Timeout) or "Read timed out" in str(error)
        reason = f"the server sent nothing for {timeout:g} seconds" if silent else "there is no connection to it"
    except requests.exceptions.ChunkedEncodingError:
        reason = "the connection broke off"
    except requests.RequestException as error:
        reason = f"the address cannot be used: {type(error).__name__}"
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({_why(error)}); make room, or check the permissions of "
                        "data/cache; nothing in the series needs this file.") from None
    except ValueError:  # pooch's word for a wrong hash
        reason = "what came is another file than the one that was published, and was thrown away"
    raise DataError(f"{path.name}: could not be downloaded from {url} ({reason}); nothing in the series needs it, so "
                    f"try again when online, or put the file into {path.parent} by hand.")


def _why(error):
    return (error.strerror or "no permission").lower()


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The bytes (uint8) in a gzipped IDX file, the format of MNIST; DataError if it has not so many ``dimensions``.

    Two zeros, 8 for bytes, the number of dimensions, each as four bytes with the highest first, and the values.
    """
    with gzip.open(path) as file:
        content = file.read()
    start = 4 + 4 * dimensions
    shape = [int(n) for n in np.frombuffer(content[4:start].ljust(start - 4, b"\0"), ">u4")]
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) - start != math.prod(shape):
        raise DataError(f"{path}: is not an IDX file of bytes with {dimensions} dimensions.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def unpack(archive: Path, folder: Path) -> Path:
    """The recordings in a .tar.gz, as <digit>/<speaker>_<number>.wav in ``folder``, which is returned.

    What is there stays as it is, what is missing is written, and no name in the archive leads anywhere else. Raises
    DataError for a file there with other content, or with a name that is not one of these.
    """
    places = set()
    try:
        with tarfile.open(archive) as members:
            for member in members:
                found = re.fullmatch(r"(?:.*/)?recordings/(\d)_([a-z]+_\d+\.wav)", member.name, re.ASCII)
                if found and member.isreg() and (content := members.extractfile(member)):
                    places.add(place := f"{found[1]}/{found[2]}")
                    disk.write_new(folder / place, content.read())
    except disk.DiskError:
        raise DataError(f"{folder / place}: is not the recording that was published under this name; move it away or "
                        "delete it, and call again.") from None
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({_why(error)}); make room, or check the permissions of "
                        "data/cache.") from None
    if others := [file.path for file in files.find(folder, "delete it").files if file.place not in places]:
        raise DataError(f"{files.shown(others[0])}: is not one of the recordings that were published; move it away, "
                        "and call again.")
    return folder
