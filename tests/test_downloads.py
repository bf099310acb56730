"""Downloads: what arrives is what was published, and whatever goes wrong is said in one sentence and leaves nothing.

No test reaches the internet: each starts a server on this machine, with small files and hashes of its own.
"""

import functools
import gzip
import hashlib
import http.server
import io
import os
import re
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile

from helpers.data import DataError, cache, downloads
from helpers.progress import VARIABLE

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
    """An empty cache, and nobody who watches."""
    monkeypatch.setenv(VARIABLE, "milestones")
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
         "shakespeare": shakespeare_files}


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
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
    assert data.x.shape == (180 - 3, 784) and data.x.dtype == np.uint8 and data.shape == (28, 28)
    assert data.found == 180 and len(data.names) == 10 and data.kind == "image"
    [x] = [x for x, _ in data.test.batches(99, np.random.default_rng(0))]
    assert x.dtype == np.float32 and x.max() == 1

    def images(x):
        return {row.tobytes() for row in x}

    parts = [images(part.x) for part in (data.train, data.valid, data.test)]
    assert parts[2] == images(test) and len(data.test) == 39  # all of them, each once
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(data)
    assert parts[0] | parts[1] == images(train) - parts[2] and 10 <= len(parts[1]) <= 30
    for x, c in zip(np.concatenate([test, train]), np.concatenate([test_labels, train_labels])):
        assert c in data.c[(data.x == x.ravel()).all(axis=1)]


def test_whole_speakers_are_held_out(server, publish, folder):
    publish("spoken_digits")
    data = downloads.spoken_digits(base=server.base, seconds=0.5)
    assert data.names == tuple("0123456789") and data.x.shape == (100, 513, 26)
    assert data.group_names == ("george", "jackson", "nicolas", "theo", "yweweler")
    speakers = [set(data.group[rows]) for rows in data.rows.values()]
    assert [len(s) for s in speakers] == [3, 1, 1] and len(set.union(*speakers)) == 5
    assert (folder / "spoken_digits" / "recordings" / "7" / "theo_1.wav").read_bytes() == wav(7 * 10 + 3 * 2 + 1)
    assert not [file for file in everything(folder) if "README" in file or "keep" in file]


@pytest.mark.parametrize("change", ["another content", "one more", "one less"])
def test_what_lies_among_the_recordings_is_neither_overwritten_nor_deleted(change, server, publish, folder):
    publish("spoken_digits")
    data = downloads.spoken_digits(base=server.base, seconds=0.2)
    recording = folder / "spoken_digits" / "recordings" / "7" / "theo_1.wav"
    whole = recording.read_bytes()
    server.requests.clear()
    if change == "one less":
        recording.unlink()
        assert np.array_equal(downloads.spoken_digits(base=server.base, seconds=0.2).x, data.x) and not server.requests
        assert recording.read_bytes() == whole
        return
    mine = recording if change == "another content" else recording.with_name("my own.wav")
    mine.write_bytes(b"mine")
    before = everything(folder)
    refused(lambda: downloads.spoken_digits(base=server.base, seconds=0.2), mine, "published", "move it away",
            "call again")
    assert mine.read_bytes() == b"mine" and everything(folder) == before


def test_an_archive_leads_nowhere_but_into_its_folder(tmp_path):
    """Whatever the names in it say, and whatever its members are, only recordings are written, under our names."""
    link = tarfile.TarInfo("recordings/2_mallory_0.wav")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    members = {"recordings/1_theo_0.wav": b"1", "../recordings/1_theo_1.wav": b"2", "/x/recordings/1_theo_2.wav": b"3"}
    bad = {"recordings/../evil_0.wav": b"", "recordings/1_theo/../../x_0.wav": b"", "recordings/1_theo_0.wav/x": b"",
           "recordings/1_../evil_0.wav": b"", "recordings/1_theo_0.wav\n": b"", link: b""}
    (tmp_path / "a.tar.gz").write_bytes(tar(members | bad))
    downloads.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert everything(tmp_path) == ["a.tar.gz", "out", "out/1", *(f"out/1/theo_{i}.wav" for i in range(3))]


def test_names_and_shakespeare_are_texts(server, publish):
    publish("names")
    publish("shakespeare")
    data = downloads.names(base=server.base)
    texts = data.vocabulary.decode(data.x)
    assert len(texts) == len(set(texts)) == 10 and data.found == 11 and {"Ala", "Bert", "Cornelius"} <= set(texts)
    data = downloads.shakespeare(base=server.base, length=40)
    assert "".join(data.vocabulary.decode(data.x)).startswith("Citizen 0:\nBefore we") and data.x.shape[1] == 40


# --- what can go wrong on the way ------------------------------------------------------------------------


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@every_set
def test_without_a_connection_one_sentence_says_what_to_do(name, server, publish, folder):
    first = next(iter(publish(name)))
    base = f"http://127.0.0.1:{closed_port()}/files"
    refused(lambda: CALLS[name](base=base), f"{first}: could not be downloaded from {base}/{first}",
            "there is no connection to it", "nothing in the series needs it", "try again when online",
            f"into {folder / name} by hand")
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


def breaks(handler):
    handler.begin(1_000_000)
    handler.wfile.write(b"x" * 500)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (answer(404), "the server answered 404"),
        (answer(500), "the server answered 500"),
        (silent, "the server sent nothing for 0.3 seconds"),
        (stalls, "the server sent nothing for 0.3 seconds"),
        (breaks, "the connection broke off"),
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
def test_a_file_with_the_name_of_one_of_ours_is_neither_used_nor_overwritten(damage, server, publish, folder):
    """It was not made here: what is downloaded gets its name only once its hash is right."""
    content = publish("shakespeare")["input.txt"]
    file = folder / "shakespeare" / "input.txt"
    file.parent.mkdir(parents=True)
    file.write_bytes(damage(content))
    refused(lambda: downloads.shakespeare(base=server.base), file, "was not made by this program",
            "move it away or delete it, and call again")
    assert server.requests == [] and file.read_bytes() == damage(content)
    assert everything(folder) == ["shakespeare", "shakespeare/input.txt"]
    file.rename(file.with_name("mine.txt"))
    assert len(downloads.shakespeare(base=server.base)) and file.read_bytes() == content


def test_a_folder_or_a_link_in_the_place_of_a_file_is_left_as_it_is(server, publish, folder):
    publish("shakespeare")
    file = folder / "shakespeare" / "input.txt"
    file.mkdir(parents=True)
    refused(lambda: downloads.shakespeare(base=server.base), file, "is a directory", "move it away")
    file.rmdir()
    if os.name != "nt":
        file.symlink_to("nowhere")
        refused(lambda: downloads.shakespeare(base=server.base), file, "no such file", "move it away")
        assert file.is_symlink()
    assert server.requests == []


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
            downloads.unpack(archive, archive.parent / "recordings")
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


def test_a_full_disk_while_unpacking_leaves_no_half_a_file(folder, tmp_path, monkeypatch):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(tar({f"recordings/1_theo_{i}.wav": b"1" for i in range(2)}))
    replace = os.replace

    def fails(source, target):
        if str(target).endswith("theo_1.wav"):
            raise OSError(28, "No space left on device")
        return replace(source, target)

    monkeypatch.setattr(os, "replace", fails)
    refused(lambda: downloads.unpack(archive, folder / "there"), "cannot be written", "no space left")
    assert everything(folder) == ["there", "there/1", "there/1/theo_0.wav"]


@pytest.mark.parametrize("watched", [True, False])
def test_a_bar_only_while_somebody_is_watching(watched, server, publish, monkeypatch, capsys):
    if watched:
        monkeypatch.delenv(VARIABLE, raising=False)
    publish("shakespeare")
    downloads.shakespeare(base=server.base)
    assert ("100%" in capsys.readouterr().err) == watched


# --- IDX ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (3, 2), (4, 3, 2), (0, 28, 28)])
def test_idx_gives_back_what_was_written(shape, tmp_path):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (tmp_path / "a.gz").write_bytes(idx(array))
    read = downloads.read_idx(tmp_path / "a.gz", len(shape))
    assert np.array_equal(read, array) and read.dtype == np.uint8 and read.shape == shape


GOOD = gzip.decompress(idx(np.zeros((4, 3, 2))))


@pytest.mark.parametrize(
    "content",
    [idx(np.zeros((4, 3))), compress(b"\0\0\x0d" + GOOD[3:]), compress(b"\1" + GOOD[1:]), compress(b"PNG!" + GOOD[4:]),
     compress(b""), compress(GOOD[:10]), compress(GOOD[:-1]), compress(GOOD + b"\0"),
     compress(GOOD[:4] + b"\xff" * 12 + GOOD[16:])],
)
def test_what_is_not_an_idx_file_is_refused(content, tmp_path):
    (tmp_path / "a.gz").write_bytes(content)
    refused(lambda: downloads.read_idx(tmp_path / "a.gz", 3), tmp_path / "a.gz", "is not an IDX file")


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
        assert re.fullmatch("[0-9a-f]{64}", sha256) and 1000 < size < 100_000_000
    card = (ROOT / "data" / "README.md").read_text().split("## Optional downloads")[1].split("\n#")[0]
    [row] = [line for line in card.splitlines() if f"`downloads.{name}()`" in line]
    assert f"{sum(size for _, size in source.files.values()) / 1e6:.2g} MB" in row
