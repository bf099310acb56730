"""Downloads: what arrives is what was published, and whatever goes wrong is said in one sentence and leaves nothing.

No test reaches the internet: each starts a server on this machine, with small files and hashes of its own.
"""

import errno
import functools
import gzip
import hashlib
import http.server
import io
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile
import torch

from helpers.data import DataError, cache, downloads
from helpers.progress import VARIABLE

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent
CALLS = {name: getattr(downloads, name) for name in downloads.SOURCES}
every_set = pytest.mark.parametrize("name", CALLS)


# --- a server, and files for it ------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends ``server.files[path]``: bytes as they are, or whatever a function does with this handler."""

    def do_GET(self):
        self.server.requests.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
        elif callable(content):
            content(self)
        else:
            self.begin(len(content))
            self.wfile.write(content)

    def begin(self, length):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args):  # a client that gives up is what several tests want
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(("127.0.0.1", 0), Handler)
    server.files, server.requests, server.over = {}, [], threading.Event()
    server.base = f"http://127.0.0.1:{server.server_port}/files"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def publish(server, monkeypatch):
    """Put the small files of a set on the server, and their hashes into the list of sources."""

    def publish(name, files=None):
        files = FILES[name]() if files is None else files
        known = {file: (hashlib.sha256(content).hexdigest(), len(content)) for file, content in files.items()}
        monkeypatch.setitem(downloads.SOURCES, name, replace(downloads.SOURCES[name], files=known))
        server.files.update({f"/files/{file}": content for file, content in files.items()})
        return files

    return publish


# Without the time: workers that collect these tests a second apart must give them the same names.
compress = functools.partial(gzip.compress, mtime=0)


def idx(array):
    array = np.asarray(array, np.uint8)
    return compress(bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


def pictures():
    """40 test and 140 training images: two of test are equal, two of training, and one of each."""
    rng = np.random.default_rng(0)
    test, train = (rng.integers(0, 256, (n, 28, 28), np.uint8) for n in (40, 140))
    test[14], train[0], train[10] = test[4], test[0], train[20]
    return test, np.arange(40) % 10, train, np.arange(140) % 10


def mnist_files():
    test, test_labels, train, train_labels = pictures()
    return {
        "train-images-idx3-ubyte.gz": idx(train),
        "train-labels-idx1-ubyte.gz": idx(train_labels),
        "t10k-images-idx3-ubyte.gz": idx(test),
        "t10k-labels-idx1-ubyte.gz": idx(test_labels),
    }


def wav(seed):
    file = io.BytesIO()
    soundfile.write(file, 0.3 * np.sin(np.arange(1600) * (0.1 + 0.01 * seed)), 8000, format="WAV")
    return file.getvalue()


def spoken_files():
    top, speakers = "free-spoken-digit-dataset-1.0.9", ("george", "jackson", "nicolas", "theo", "yweweler")
    members = {f"{top}/README.md": b"read me", f"{top}/recordings/.keep": b""}
    for i, (digit, speaker, take) in enumerate((d, s, t) for d in range(10) for s in speakers for t in range(2)):
        members[f"{top}/recordings/{digit}_{speaker}_{take}.wav"] = wav(i)
    return {"v1.0.9.tar.gz": tar(members)}


def names_files():
    female, male = (f"{a}{b}" for a in ("Al", "Be", "Cor", "Dan") for b in ("a", "ina")), ("Ala", "Bert ", "Cornelius")
    lists = {
        "names/female.txt": "\n".join(female),
        "names/male.txt": "\n".join(male) + "\n\n",
        "names/README": "Credit me",
    }
    return {"names.zip": zipped({name: content.encode() for name, content in lists.items()})}


def shakespeare_files():
    return {"input.txt": "".join(f"Citizen {i}:\nBefore we proceed, hear me say {i}.\n\n" for i in range(60)).encode()}


FILES = {"mnist": mnist_files, "fashion_mnist": mnist_files, "spoken_digits": spoken_files, "names": names_files,
         "shakespeare": shakespeare_files}  # fmt: skip


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name), content)
    return file.getvalue()


def tar(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return compress(file.getvalue())


def everything(folder):
    """All that lies in a folder, hidden files included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) if folder.exists() else []


def refused(call, *parts):
    """What is said when a call is refused: one sentence, with these parts."""
    with pytest.raises(DataError) as caught:
        call()
    said = str(caught.value)
    assert "\n" not in said and said.endswith(".") and not re.search(r"[.!?] [A-Z]", said), said
    for part in parts:
        assert str(part) in said
    return said


# --- the sets ------------------------------------------------------------------------------------------


@every_set
def test_a_set_arrives_says_whose_it_is_and_is_fetched_once(name, server, publish, folder, capsys):
    files = publish(name)
    data = CALLS[name](base=server.base)
    out, err = capsys.readouterr()
    source = downloads.SOURCES[name]
    assert sorted(server.requests) == sorted(f"/files/{file}" for file in files)
    assert out.count(source.licence) == 1 and source.maker in out and out.count("\n") == 1 and err == ""
    assert data.source == source.maker and f"licence: {source.licence}" in data.notes
    assert {file: (folder / name / file).read_bytes() for file in files} == files

    server.requests.clear()
    again = CALLS[name](base=server.base)
    assert server.requests == [] and capsys.readouterr() == ("", "")
    assert np.array_equal(again.x, data.x) and again.notes == data.notes
    assert all(np.array_equal(again.rows[split], data.rows[split]) for split in data.rows)
    rows = np.concatenate(list(data.rows.values()))
    assert sorted(rows) == list(range(len(data))) and all(map(len, data.rows.values()))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_official_test_images_are_the_test_split(name, server, publish):
    publish(name)
    data = CALLS[name](base=server.base)
    test, test_labels, train, train_labels = pictures()
    assert data.x.shape == (180 - 3, 784) and data.x.dtype == np.float32 and data.shape == (28, 28)
    assert data.x.min() == 0 and data.x.max() == 1 and data.found == 180 and len(data.names) == 10

    def images(x):
        return {row.tobytes() for row in np.asarray(np.round(np.reshape(x, (len(x), -1)) * 255), np.uint8)}

    parts = [images(part.x) for part in (data.train, data.valid, data.test)]
    assert parts[2] == images(test / 255) and len(data.test) == 39  # all of them, each once
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(data)
    assert parts[0] | parts[1] == images(train / 255) - parts[2] and 10 <= len(parts[1]) <= 30
    for x, c in zip(np.concatenate([test, train]), np.concatenate([test_labels, train_labels])):
        assert c in data.c[(data.x == x.ravel() / np.float32(255)).all(axis=1)]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("t10k-labels-idx1-ubyte.gz", idx(np.zeros(39)), "40 images and 39 labels"),
        ("train-images-idx3-ubyte.gz", idx(np.zeros((140, 20, 20))), "images of (20, 20) and of (28, 28) pixels"),
        ("train-labels-idx1-ubyte.gz", idx(np.full(140, 10)), "label 10 has no name"),
    ],
)
def test_images_and_labels_that_do_not_belong_together_are_refused(file, content, message, server, publish):
    publish("mnist", {**mnist_files(), file: content})
    refused(lambda: downloads.mnist(base=server.base), message)


def test_whole_speakers_are_held_out(server, publish, folder):
    publish("spoken_digits")
    data = downloads.spoken_digits(base=server.base, seconds=0.5)
    assert data.names == tuple("0123456789") and data.x.shape == (100, 513, 26)
    assert data.group_names == ("george", "jackson", "nicolas", "theo", "yweweler")
    speakers = [set(data.group[rows]) for rows in data.rows.values()]
    assert [len(s) for s in speakers] == [3, 1, 1] and len(set.union(*speakers)) == 5
    assert (folder / "spoken_digits" / "recordings" / "7" / "theo_1.wav").read_bytes() == wav(7 * 10 + 3 * 2 + 1)
    assert not [file for file in everything(folder) if "README" in file or "keep" in file]


def test_a_recording_that_was_damaged_after_unpacking_is_repaired(server, publish, folder):
    publish("spoken_digits")
    data = downloads.spoken_digits(base=server.base, seconds=0.2)
    recording = folder / "spoken_digits" / "recordings" / "7" / "theo_1.wav"
    recording.write_bytes(recording.read_bytes()[:-100] + bytes(100))
    server.requests.clear()
    assert np.array_equal(downloads.spoken_digits(base=server.base, seconds=0.2).x, data.x) and not server.requests


def test_names_and_shakespeare_are_texts(server, publish):
    publish("names")
    publish("shakespeare")
    data = downloads.names(base=server.base)
    texts = data.vocabulary.decode(data.x)
    assert len(texts) == len(set(texts)) == 10 and data.found == 11 and {"Ala", "Bert", "Cornelius"} <= set(texts)
    data = downloads.shakespeare(base=server.base, length=40)
    assert "".join(data.vocabulary.decode(data.x)).startswith("Citizen 0:\nBefore we") and data.x.shape[1] == 41


# --- what can go wrong on the way ------------------------------------------------------------------------


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@every_set
def test_without_a_connection_one_sentence_says_what_to_do(name, server, publish, folder):
    first = next(iter(publish(name)))
    base = f"http://127.0.0.1:{closed_port()}/files"
    refused(lambda: CALLS[name](base=base), f"{first}: cannot be had from {base}/{first}", "there is no connection",
            "nothing in the series needs it", "try again when online", f"into {folder / name} by hand")  # fmt: skip
    assert not [path for path in folder.rglob("*") if path.is_file()]


def answer(code):
    return lambda handler: handler.send_error(code)


def silent(handler):
    handler.server.over.wait(10)


def stalls(handler):
    handler.begin(1000)
    handler.wfile.write(b"x" * 500)
    handler.wfile.flush()
    handler.server.over.wait(10)


def trickles(handler):
    handler.begin(1000)
    while not handler.server.over.wait(0.02):
        handler.wfile.write(b"x")
        handler.wfile.flush()


def breaks(handler):
    handler.begin(1_000_000)
    handler.wfile.write(b"x" * 500)


def breaks_in_chunks(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"1f4\r\n" + b"x" * 500 + b"\r\n")
    handler.close_connection = True


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.over.is_set():
        handler.wfile.write(b"x" * 100_000)


def in_a_circle(handler):
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.end_headers()


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (answer(404), "the server answered 404"),
        (answer(500), "the server answered 500"),
        (silent, "or next to nothing, for 0.3 seconds"),
        (stalls, "or next to nothing, for 0.3 seconds"),
        (trickles, "or next to nothing, for 0.3 seconds"),
        (breaks, "the connection broke off"),
        (breaks_in_chunks, "the connection broke off"),
        (endless, "another file than the one that was published"),
        (in_a_circle, "TooManyRedirects"),
        (b"a page of some hotel, that asks for a password", "another file than the one that was published"),
        (b"", "another file than the one that was published"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_download_that_fails_leaves_nothing_behind(behaviour, message, server, publish, folder):
    publish("shakespeare")
    server.files["/files/input.txt"] = behaviour
    begin = time.monotonic()
    refused(lambda: downloads.shakespeare(base=server.base, timeout=0.3), message, "input.txt", server.base)
    assert time.monotonic() - begin < 5
    assert everything(folder) == ["shakespeare"]

    publish("shakespeare")
    assert len(downloads.shakespeare(base=server.base))  # and the next try is a fresh one


@pytest.mark.parametrize("base", ["ftp://127.0.0.1/files", "nonsense", "http://[", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused(base, publish):
    publish("shakespeare")
    refused(lambda: downloads.shakespeare(base=base), "the address cannot be used", base)


def test_a_connection_that_is_not_safe_is_refused(server, publish, folder):
    publish("shakespeare")
    refused(lambda: downloads.shakespeare(base=server.base.replace("http", "https")), "safe connection", "https://127")
    assert everything(folder) == ["shakespeare"]


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_no_time_at_all_is_refused(timeout, server, publish):
    publish("shakespeare")
    refused(lambda: downloads.shakespeare(base=server.base, timeout=timeout), "above zero")


def test_what_arrived_before_a_failure_is_kept(server, publish, folder):
    files = publish("mnist")
    server.files.pop("/files/t10k-images-idx3-ubyte.gz")
    refused(lambda: downloads.mnist(base=server.base), "t10k-images", "404")
    publish("mnist")
    server.requests.clear()
    downloads.mnist(base=server.base + "/")
    assert server.requests == ["/files/t10k-images-idx3-ubyte.gz", "/files/t10k-labels-idx1-ubyte.gz"]
    assert everything(folder / "mnist") == sorted(files)


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c[:7] + b"!" + c[8:], lambda c: b""])
def test_a_damaged_file_in_the_cache_is_fetched_again(damage, server, publish, folder):
    content = publish("shakespeare")["input.txt"]
    downloads.shakespeare(base=server.base)
    file = folder / "shakespeare" / "input.txt"
    file.write_bytes(damage(content))
    server.requests.clear()
    downloads.shakespeare(base=server.base)
    assert server.requests == ["/files/input.txt"] and file.read_bytes() == content
    assert everything(folder) == ["shakespeare", "shakespeare/input.txt"]


def test_a_damaged_file_is_never_used(server, publish, folder):
    publish("shakespeare")
    downloads.shakespeare(base=server.base)
    (folder / "shakespeare" / "input.txt").write_text("not Shakespeare " * 100)
    refused(lambda: downloads.shakespeare(base=f"http://127.0.0.1:{closed_port()}"), "there is no connection")


def test_a_file_that_was_put_there_by_hand_is_enough(server, publish, folder, capsys):
    content = publish("shakespeare")["input.txt"]
    (folder / "shakespeare").mkdir(parents=True)
    (folder / "shakespeare" / "input.txt").write_bytes(content)
    assert len(downloads.shakespeare(base=f"http://127.0.0.1:{closed_port()}"))
    assert server.requests == [] and capsys.readouterr() == ("", "")


def slowly(content, server):
    def send(handler):
        handler.begin(len(content))
        step = len(content) // 20
        for start in range(0, len(content), step):
            handler.wfile.write(content[start : start + step])
            handler.wfile.flush()
            server.over.wait(0.01)

    return send


def test_several_threads_may_fetch_at_the_same_time(server, publish, folder):
    content = publish("shakespeare")["input.txt"]
    server.files["/files/input.txt"] = slowly(content, server)
    together = threading.Barrier(6)

    def fetch(_):
        together.wait()
        [path] = downloads.fetch("shakespeare", server.base).values()
        return path.read_bytes()

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(fetch, range(6))) == {content}
    assert len(server.requests) > 1  # or they were not there at the same time
    assert everything(folder) == ["shakespeare", "shakespeare/input.txt"]


def test_several_processes_may_fetch_and_unpack_at_the_same_time(server, publish, folder):
    content = publish("spoken_digits")["v1.0.9.tar.gz"]
    server.files["/files/v1.0.9.tar.gz"] = slowly(content, server)
    code = f"""if True:
        from dataclasses import replace
        from pathlib import Path
        from helpers.data import cache, downloads
        cache.FOLDER = Path({str(folder)!r})
        known = {downloads.SOURCES["spoken_digits"].files!r}
        downloads.SOURCES["spoken_digits"] = replace(downloads.SOURCES["spoken_digits"], files=known)
        print("ready", flush=True)
        input()
        for _ in range(2):
            [archive] = downloads.fetch("spoken_digits", {server.base!r}).values()
            downloads.unpack(archive, archive.parent / "recordings", downloads._spoken)
    """
    command = [sys.executable, "-c", code]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    processes = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert len(server.requests) == 2
    found = everything(folder / "spoken_digits")
    assert found[0] == "recordings" and found[-1] == "v1.0.9.tar.gz" and len(found) == 2 + 10 + 100
    server.requests.clear()
    assert len(downloads.spoken_digits(base=server.base, seconds=0.2)) == 100 and not server.requests


def in_the_way(folder):
    folder.write_text("a file where the folder should be")
    return lambda: None


def read_only(folder):
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("for root nothing is read-only")
    folder.mkdir(0o500)
    return lambda: folder.chmod(0o700)


def full(folder):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no file may grow beyond 1,000 bytes
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [(in_the_way, "exists|not a directory"), (read_only, "permission"), (full, "too large")],
)
def test_a_cache_that_cannot_be_written_is_one_sentence(obstacle, reason, server, publish, folder, capsys):
    publish("shakespeare")
    undo = obstacle(folder)
    try:
        said = refused(lambda: downloads.shakespeare(base=server.base), "cannot be", folder, "check")
    finally:
        undo()
    assert re.search(reason, said)
    assert not folder.is_dir() or everything(folder) in ([], ["shakespeare"])


def test_a_full_disk_while_unpacking_leaves_nothing(folder, tmp_path, monkeypatch):
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped({"one.txt": b"1", "two.txt": b"2"}))
    write = Path.write_bytes

    def fails(path, content):
        if path.name == "two.txt":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fails)
    refused(lambda: downloads.unpack(archive, folder / "there"), "cannot be written", "no space left")
    assert everything(folder) == []


@pytest.mark.parametrize("watched", [True, False])
def test_a_bar_only_while_somebody_is_watching(watched, server, publish, monkeypatch, capsys):
    if watched:
        monkeypatch.delenv(VARIABLE, raising=False)
    publish("shakespeare")
    downloads.shakespeare(base=server.base)
    assert ("input.txt" in capsys.readouterr().err) == watched


# --- archives ------------------------------------------------------------------------------------------


def zip_member(name, kind=0):
    member = zipfile.ZipInfo("x")
    member.filename, member.external_attr = name, (kind | 0o644) << 16
    return member


def tar_member(name, kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


OUTSIDE = ["../evil", "a/../../evil", "..", "/evil", "//evil", "C:/evil", "C:evil", "C:\\evil", "\\evil", "..\\evil",
           "a\\..\\..\\evil", "\\\\host\\share\\evil", "evil:stream", "ev\x07il"]  # fmt: skip
ZIPS = {f"zip {name!r}": zipped({"good.txt": b"good", zip_member(name): b"evil"}) for name in OUTSIDE}
ZIPS |= {
    f"zip {what}": zipped({"good.txt": b"good", zip_member("evil", kind): b"/etc/passwd"})
    for what, kind in [("a link", stat.S_IFLNK), ("a device", stat.S_IFBLK), ("a device (pipe)", stat.S_IFIFO)]
}
TARS = {f"tar {name!r}": tar({"good.txt": b"good", tar_member(name): b"evil"}) for name in OUTSIDE}
TARS |= {
    f"tar {what} to {link}": tar({"good.txt": b"good", tar_member("evil", kind, link): b""})
    for what, kind in [("a link", tarfile.SYMTYPE), ("a link (hard)", tarfile.LNKTYPE)]
    for link in ("/etc/passwd", "../../evil", "good.txt")
}
TARS |= {
    f"tar {what}": tar({"good.txt": b"good", tar_member("evil", kind): b""})
    for what, kind in [("a device", tarfile.CHRTYPE), ("a device (block)", tarfile.BLKTYPE), ("a device (pipe)",
                                                                                              tarfile.FIFOTYPE)]
}  # fmt: skip


@pytest.mark.parametrize("what", [*ZIPS, *TARS])
def test_an_archive_that_reaches_out_of_its_folder_is_refused(what, tmp_path):
    archive, folder = tmp_path / "in" / "archive", tmp_path / "in" / "deep" / "out"
    archive.parent.mkdir()
    archive.write_bytes((ZIPS | TARS)[what])
    kind = "a link" if "a link" in what else "a device" if "a device" in what else "leads out of the folder"
    refused(lambda: downloads.unpack(archive, folder), archive, kind, "nothing of it was unpacked")
    assert everything(tmp_path) == ["in", "in/archive"]


@pytest.mark.parametrize("pack", [zipped, tar])
def test_a_good_archive_is_unpacked(pack, tmp_path):
    files = {"a.txt": b"1", "b/c.txt": b"22", "b/d/e.bin": bytes(1000), "empty": b"", "…/ä.txt": b"4"}
    (tmp_path / "archive").write_bytes(pack(files))
    folder = downloads.unpack(tmp_path / "archive", tmp_path / "new" / "out")
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == files
    assert everything(tmp_path / "new") == sorted(["out", "out/b", "out/b/d", "out/…", *(f"out/{f}" for f in files)])


def test_only_what_has_a_place_is_unpacked(tmp_path):
    (tmp_path / "archive").write_bytes(zipped({"top/a.txt": b"1", "top/b.md": b"2"}))
    unpack = downloads.unpack(
        tmp_path / "archive", tmp_path / "out", lambda n: "x/y.txt" if n.endswith("txt") else None
    )
    assert everything(unpack) == ["x", "x/y.txt"]
    refused(lambda: downloads.unpack(tmp_path / "archive", tmp_path / "out", lambda n: "../up"), "is no place in")
    assert everything(tmp_path) == ["archive", "out", "out/x", "out/x/y.txt"]


def test_a_folder_that_holds_the_same_is_left_alone_and_any_other_is_replaced(tmp_path, monkeypatch):
    archive, folder = tmp_path / "archive", tmp_path / "out"
    archive.write_bytes(zipped({"a.txt": b"1", "b.txt": b"2"}))
    downloads.unpack(archive, folder)
    before = folder.stat().st_ino, (folder / "a.txt").stat().st_mtime_ns
    with monkeypatch.context() as unwritable:
        unwritable.setattr(downloads.tempfile, "TemporaryDirectory", None)
        downloads.unpack(archive, folder)
    assert (folder.stat().st_ino, (folder / "a.txt").stat().st_mtime_ns) == before
    for damage in (lambda: (folder / "a.txt").write_bytes(b"9"), lambda: (folder / "a.txt").unlink(),
                   lambda: (folder / "more.txt").write_bytes(b"")):  # fmt: skip
        damage()
        downloads.unpack(archive, folder)
        assert (folder / "a.txt").read_bytes() == b"1" and everything(tmp_path) == [
            "archive",
            "out",
            "out/a.txt",
            "out/b.txt",
        ]


ZEROS = bytes(3_000_000)
LONG = tarfile.TarInfo("x")
LONG.pax_headers = {"comment": "x" * 3_000_000}


def lying():
    """A zip whose list says that a file of 3 MB has 10 bytes."""
    content = zipped({"a.txt": ZEROS})
    return content.replace(struct.pack("<I", len(ZEROS)), struct.pack("<I", 10))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"a.txt": ZEROS}), "more than 1 MB"),
        (zipped({f"{i}.txt": ZEROS[:300_000] for i in range(4)}), "more than 1 MB"),
        (tar({"a.txt": ZEROS}), "more than 1.0512 MB"),
        (tar({f"{i}.txt": ZEROS[:300_000] for i in range(4)}), "more than 1.0512 MB"),
        (tar({f"{i}.txt": ZEROS[:254_000] for i in range(4)}), "more than 1 MB"),
        (compress(ZEROS * 10), "more than 1.0512 MB"),
        (tar({LONG: b""}), "more than 1.0512 MB"),
        (lying(), "is damaged"),
        (zipped({f"{i}.txt": b"" for i in range(51)}), "more than 50 members"),
        (tar({f"{i}.txt": b"" for i in range(51)}), "more than 50 members"),
        (zipped({f"{i}/": b"" for i in range(51)}), "more than 50 members"),
    ],
    ids=[
        "zip",
        "zip, together",
        "tar",
        "tar, together",
        "tar, just over",
        "gzip",
        "header",
        "lying zip",
        "zip, many",
        "tar, many",
        "folders",
    ],
)
def test_an_archive_that_would_fill_the_disk_is_refused(content, message, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(downloads, "MOST_FILES", 50)
    (tmp_path / "archive").write_bytes(content)
    refused(lambda: downloads.unpack(tmp_path / "archive", tmp_path / "out"), tmp_path / "archive", message)
    assert everything(tmp_path) == ["archive"]


def random_files():
    return {f"{i}.bin": np.random.default_rng(i).bytes(700) for i in range(4)}


def twice():
    with pytest.warns(UserWarning, match="Duplicate"):
        return zipped({zip_member("a.txt"): b"1", zip_member("a.txt"): b"2"})


@pytest.mark.parametrize("pack", [zipped, tar])
@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9, 0.999])
def test_an_archive_that_was_cut_short_is_refused(pack, part, tmp_path):
    content = pack(random_files())
    (tmp_path / "archive").write_bytes(content[: int(part * len(content))])
    refused(lambda: downloads.unpack(tmp_path / "archive", tmp_path / "out"), "is damaged or no archive", "delete it")
    assert everything(tmp_path) == ["archive"]


def test_a_tar_that_was_cut_before_it_was_packed_is_refused(tmp_path):
    content = gzip.decompress(tar(random_files()))
    (tmp_path / "archive").write_bytes(compress(content[:1000]))
    refused(lambda: downloads.unpack(tmp_path / "archive", tmp_path / "out"), "is damaged")


@pytest.mark.parametrize("pack", [zipped, tar])
def test_no_flipped_byte_of_an_archive_gets_through(pack, tmp_path):
    """Wherever a byte is changed, the files are those that were packed, or the archive is refused."""
    files = {"a.txt": b"first " * 20, "b.txt": b"second " * 20}
    content = pack(files)
    for place in range(len(content)):
        (tmp_path / "archive").write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            read = downloads.read_archive(tmp_path / "archive")
        except DataError as error:
            assert "\n" not in str(error) and str(error).endswith(".")
        else:
            assert sorted(read.values()) == sorted(files.values()) or set(read.values()) < set(files.values())


def test_a_member_that_comes_twice_is_refused(tmp_path):
    (tmp_path / "archive").write_bytes(twice())
    refused(lambda: downloads.read_archive(tmp_path / "archive"), "'a.txt' twice")


def test_a_compression_without_a_bound_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", "text")
    refused(lambda: downloads.read_archive(tmp_path / "archive"), "a compression other than deflate")


def test_no_archive_at_all_is_refused(tmp_path):
    (tmp_path / "page.html").write_text("<html>Sign in</html>")
    refused(lambda: downloads.unpack(tmp_path / "page.html", tmp_path / "out"), "is damaged or no archive")
    refused(lambda: downloads.unpack(tmp_path / "nowhere.zip", tmp_path / "out"), "nowhere.zip", "is damaged or no")
    assert everything(tmp_path) == ["page.html"]


# --- IDX ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (3, 2), (4, 3, 2), (0, 28, 28)])
def test_idx_gives_back_what_was_written(shape, tmp_path):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (tmp_path / "a.gz").write_bytes(idx(array))
    read = downloads.read_idx(tmp_path / "a.gz", len(shape))
    assert np.array_equal(read, array) and read.dtype == np.uint8 and read.shape == shape


GOOD = gzip.decompress(idx(np.zeros((4, 3, 2))))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(np.zeros((4, 3))), "begins with 00 00 08 02"),
        (compress(b"\0\0\x0d" + GOOD[3:]), "begins with 00 00 0d 03"),
        (compress(b"\1" + GOOD[1:]), "begins with 01 00 08 03"),
        (compress(b"PNG!" + GOOD[4:]), "begins with 50 4e 47 21"),
        (compress(b""), "begins with nothing"),
        (compress(GOOD[:10]), "begins with 00 00 08 03"),
        (compress(GOOD[:-1]), "has 23 values, and its header promises 24"),
        (compress(GOOD + b"\0"), "has 25 values, and its header promises 24"),
        (compress(GOOD[:4] + b"\xff" * 12 + GOOD[16:]), "has 24 values"),
        (idx(np.zeros((4, 3, 2)))[:-9], "is damaged or no gzip file"),
        (idx(np.zeros((4, 3, 2)))[:-4] + b"\1\0\0\0", "is damaged or no gzip file"),
        (GOOD, "is damaged or no gzip file"),
        (b"", "begins with nothing"),
        (compress(GOOD[:16] + bytes(2_000_000)), "holds more than 1 MB"),
    ],
)
def test_a_damaged_idx_file_is_refused(content, message, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "MOST_BYTES", 1_000_000)
    (tmp_path / "a.gz").write_bytes(content)
    refused(lambda: downloads.read_idx(tmp_path / "a.gz", 3), tmp_path / "a.gz", message, "delete it and call again")


def test_what_is_too_large_is_not_unpacked_into_memory(tmp_path):
    (tmp_path / "a.gz").write_bytes(compress(bytes(30_000_000)))
    tracemalloc.start()
    try:
        refused(lambda: downloads.gunzip(tmp_path / "a.gz", most_bytes=1_000_000), "holds more than 1 MB")
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


# --- optional, and honest about it -----------------------------------------------------------------------


def test_no_notebook_needs_a_download():
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(notebook, as_version=4).cells
        assert not [c.source for c in cells if c.cell_type == "code" and "downloads" in c.source], notebook.name


def test_what_fetches_is_imported_when_it_is_needed():
    code = "import sys; from helpers.data import downloads; print({'pooch', 'requests', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"


@every_set
def test_a_source_is_complete_and_on_the_card(name):
    source = downloads.SOURCES[name]
    assert source.base.startswith("https://") and source.maker and source.licence
    for sha256, size in source.files.values():
        assert re.fullmatch("[0-9a-f]{64}", sha256) and 1000 < size < downloads.MOST_BYTES
    card = (ROOT / "data" / "README.md").read_text().split("## Optional downloads")[1].split("\n#")[0]
    [row] = [line for line in card.splitlines() if f"`downloads.{name}()`" in line]
    assert f"{sum(size for _, size in source.files.values()) / 1e6:.2g} MB" in row
