"""What most files of a folder are decides: labels, splits, kinds; and what cannot be read is named with what to do."""

import gzip
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from comparing import refused
from helpers import senses
from helpers.data import DataError, files, folders, formats


def put(root, names, content=None):
    """Files in a folder; images differ from each other, by far."""
    for k, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(k) if content is None else content)
    return root


def png(seed, format="PNG"):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)).save(out, format)
    return out.getvalue()


def many(folder, n, first=0, end=".png"):
    return [f"{folder}{'/' * bool(folder)}{first + i:03d}{end}" for i in range(n)]


def taken(root, labels=None):
    """What is taken of a folder: where it lies -> (label, split); and the listing."""
    listing = files.find(root, "give one")
    return {"/".join(f.parts): (f.label, f.split) for f in listing.take({".png"}, "an image", labels)}, listing


# --- labels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beside", "inside", "labels", "used", "names"),
    [
        (60, 12, None, 60, ()),
        (12, 60, None, 60, ("thumbs",)),
        (11, 11, None, 11, ("thumbs",)),
        (60, 12, True, 12, ("thumbs",)),
        (12, 60, False, 72, ()),
        (60, 12, False, 72, ()),
    ],
)
def test_most_images_decide_whether_subfolders_are_labels(tmp_path, beside, inside, labels, used, names):
    put(tmp_path, many("", beside) + many("thumbs", inside, 100))
    data = folders.images(tmp_path, size=8, labels=labels)
    assert (len(data), data.names, len(data.skipped)) == (used, names, 72 - used if beside != 11 else 11)
    assert data.source.startswith(f"{used} of {beside + inside} files") and len(data.notes) == 1
    option = "--labels" if labels is None else "labels"
    assert option in data.notes[0] and not data.notes[0].startswith("left out: ")


def test_what_a_choice_leaves_out_is_said_in_one_line_that_names_the_option(tmp_path, capsys):
    put(tmp_path, many("", 60) + many("small", 5, 100) + many("old/deep", 7, 200))
    data = senses.read(tmp_path, size=8)
    data.describe()
    out = capsys.readouterr().out
    assert "60 images are used, 12 left out, as old/deep/200.png lies in a subfolder" in out
    assert "--labels yes takes subfolders as labels" in out and out.count("left out") == 1


def test_subfolders_that_are_asked_for_must_be_there(tmp_path):
    with refused(DataError, "has no subfolders with images to take as labels"):
        folders.images(put(tmp_path, many("", 12)), labels=True)


@pytest.mark.parametrize("name", [
    "@eaDir", "__MACOSX", ".ipynb_checkpoints", "__pycache__", "$RECYCLE.BIN", "System Volume Information",
    "lost+found", "#recycle", ".Trashes", ".thumbnails", "@Recycle"])
def test_folders_of_systems_are_neither_labels_nor_data(tmp_path, name):
    put(tmp_path, many("", 12) + many(name, 40, 100) + many(f"{name}/deeper", 3, 200))
    found, listing = taken(tmp_path)
    assert len(found) == 12 and set(found.values()) == {(None, None)} and listing.hidden == 1 and not listing.notes


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", "._000.png", ".DS_Store", "~$000.png"])
def test_files_of_systems_are_not_data(tmp_path, name):
    found, listing = taken(put(tmp_path, [*many("", 3), name]))
    assert len(found) == 3 and listing.hidden == 1 and not listing.skipped + listing.passed


# --- data that are split already -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("Training", "train"), ("VAL", "valid"), ("valid", "valid"), ("validation", "valid"),
     ("dev", "valid"), ("test", "test"), ("Testing", "test"), ("test_set", "test"), ("train2017", "train"),
     ("train.txt", "train"), ("valid.txt", "valid"), ("train-images", "train"),
     ("trainer", None), ("cats", None), ("contest", None), ("train test", None), ("", None), ("set", None)],
)
def test_names_of_splits(name, split):
    assert files.split_of(name) == split


def test_the_folders_of_splits_are_the_splits_and_those_inside_the_labels(tmp_path):
    for k, split in enumerate(("train", "val", "test")):
        for j, label in enumerate(("cat", "dog")):
            put(tmp_path, many(f"{split}/{label}", 0))
            for i in range((8, 3, 4)[k]):
                put(tmp_path, [f"{split}/{label}/{i}.png"], png(100 * k + 10 * j + i))
    data = folders.images(tmp_path, size=8)
    assert data.names == ("cat", "dog") and [len(rows) for rows in data.rows.values()] == [16, 6, 8]
    first = {split: {row.tobytes() for row in getattr(data, split).x} for split in data.rows}
    for k, split in enumerate(("train", "valid", "test")):
        assert np.asarray(Image.open(io.BytesIO(png(100 * k)))).tobytes() in first[split]
    assert data.notes == ("split as its folders are (test, train, val): train 16, valid 6, test 8",)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train/a/1.png", "test/a/2.png", "test/b/3.png"],  # the plain case
         {"train/a/1.png": ("a", "train"), "test/a/2.png": ("a", "test"), "test/b/3.png": ("b", "test")}),
        (["Training/a/x/1.png", "Validation/b/2.png"],  # any case, however deep
         {"Training/a/x/1.png": ("a", "train"), "Validation/b/2.png": ("b", "valid")}),
        (["a/train/1.png", "b/train/2.png", "a/test/3.png"],  # the other way round
         {"a/train/1.png": ("a", "train"), "b/train/2.png": ("b", "train"), "a/test/3.png": ("a", "test")}),
        (["all/train/a/1.png", "all/test/b/2.png"],  # one folder around it all
         {"all/train/a/1.png": ("a", "train"), "all/test/b/2.png": ("b", "test")}),
        (["train/1.png", "test/2.png"], {"train/1.png": (None, "train"), "test/2.png": (None, "test")}),
        (["train/images/1.png", "valid/images/2.png"],  # a folder that tells nothing apart
         {"train/images/1.png": (None, "train"), "valid/images/2.png": (None, "valid")}),
        (["train/a/1.png", "train/b/2.png", "test/a/3.png", "stray.png"],  # a stray file
         {"train/a/1.png": ("a", "train"), "train/b/2.png": ("b", "train"), "test/a/3.png": ("a", "test")}),
        (["train/1.png", "bus/2.png"], {"train/1.png": ("train", None), "bus/2.png": ("bus", None)}),  # no splits
        (["val/1.png", "test/2.png"], {"val/1.png": ("val", None), "test/2.png": ("test", None)}),
        (["train/1.png", "test/2.png", "bus/3.png"],
         {"train/1.png": ("train", None), "test/2.png": ("test", None), "bus/3.png": ("bus", None)}),
    ],
)
def test_ways_to_split(tmp_path, names, expected):
    assert taken(put(tmp_path, names))[0] == expected


def test_labels_may_be_switched_off_and_splits_stay(tmp_path):
    found, _ = taken(put(tmp_path, ["train/a/1.png", "test/b/2.png"]), labels=False)
    assert found == {"train/a/1.png": (None, "train"), "test/b/2.png": (None, "test")}


def test_a_missing_split_is_taken_from_train_and_equal_images_stay_in_test(tmp_path):
    put(tmp_path, many("train/a", 21) + many("train/b", 21, 21))
    put(tmp_path, many("test/a", 10), png(500))
    for i in range(10):
        put(tmp_path, [f"test/b/{i:03d}.png"], png(i if i < 3 else 600 + i))  # three of train
    data = folders.images(tmp_path, size=8)
    assert [len(data.rows[split]) for split in ("train", "valid", "test")] == [33, 6, 11]
    assert "valid is taken from train" in " ".join(data.notes)
    assert "3 examples equal one of a later split" in " ".join(data.notes)
    seen = {split: {row.tobytes() for row in getattr(data, split).x} for split in data.rows}
    assert not seen["test"] & (seen["train"] | seen["valid"])


# --- kinds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [
    many("", 30, end=".txt"), many("captions", 30, end=".txt"), many("", 30, end=".png.txt"),
    ["README.md", "LICENSE.txt", "licence.txt", "COPYING.md", "CHANGES.md", "classes.txt", "labels.txt",
     "metadata.txt", "read-me.txt", "README_first.txt"]])
def test_captions_and_readme_are_no_votes_for_texts(tmp_path, texts):
    n = 30 if len(texts) == 30 else 12
    put(tmp_path, many("", n))
    put(tmp_path, texts, b"some words")
    put(tmp_path, many("", 1, 900, ".md"), b"more")
    data = senses.read(tmp_path, size=8)
    assert data.kind == "image" and len(data) == n
    assert sum("captions, README and the like" in note for note in data.notes) == 1
    assert len(data.notes) <= 3


def test_texts_with_few_images_among_them_are_texts(tmp_path):
    put(tmp_path, many("", 3))
    put(tmp_path, many("", 40, end=".txt"), "\n".join(f"item {i * i}" for i in range(40)).encode())
    assert senses.guess(tmp_path)[1] == "text"


def test_files_without_or_with_another_ending_are_known_by_their_content(tmp_path):
    for i, name in enumerate(["one", "two.dat", "three.jpeg_large", "four"] + [f"x{i}" for i in range(8)]):
        put(tmp_path, [name], png(i, ("PNG", "JPEG", "GIF", "WEBP")[i % 4]))
    data = senses.read(tmp_path, size=8)
    assert data.kind == "image" and len(data) == 12 and not data.skipped


@pytest.mark.parametrize(
    ("content", "ending"),
    [(b"RIFF\x24\0\0\0WAVEfmt ", ".wav"), (b"fLaC\0", ".flac"), (b"OggS\0\2", ".ogg"),
     (b"OggS\0\2....OpusHead", ".opus"),
     (b"\0\0\0\x18ftypheic", ".heic"), (b"\0\0\0\x20ftypM4A ", ".m4a"), (b"\0\0\0\x18ftypmp42", ".mp4"),
     (bytes(128) + b"DICM", ".dcm"), (b"%PDF-1.7", ".pdf"), (b"plain words\n", ".txt"), ("å".encode(), ".txt"),
     (b"\x93NUMPY\1\0", ".npy"), (b"7z\xbc\xaf\x27\x1c", ".7z"), (b"Rar!\x1a\7", ".rar"), (b"BM, a text", ".txt"),
     (b"\0\1\2\3", ""), (b"", ""), (b"\xff\0\xff\0", "")],
)
def test_content_tells_the_ending(tmp_path, content, ending):
    (tmp_path / "nameless").write_bytes(content)
    assert formats.ending(tmp_path / "nameless") == ending


# --- what cannot be read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "parts"),
    [(".heic", ["12 .heic", "telephone", "export them as JPEG"]), (".m4a", ["12 .m4a", "convert them to WAV"]),
     (".HEIC", ["12 .heic"]), (".dcm", ["DICOM", "PNG of 16 bits"]), (".mp4", ["12 .mp4", "films", "ffmpeg"]),
     (".cr2", ["raw files of a camera"]), (".psd", ["drawing program"]), (".svg", ["SVG", "export them as PNG"]),
     (".docx", ["word processor", "plain text"]), (".epub", ["electronic books"]), (".pdf", ["PDF"]),
     (".opus", ["convert them to WAV"]), (".zip", ["an archive", "unpack"]), (".xyz", ["12 .xyz"])],
)
@pytest.mark.parametrize("kind", ["auto", "image"])
def test_a_folder_of_what_is_not_read_names_it_and_says_what_to_do(tmp_path, ending, parts, kind):
    put(tmp_path, many("", 12, end=ending), b"\0\1\2")
    with pytest.raises(DataError) as caught:
        senses.read(tmp_path, kind=kind)
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert "\n" not in message and message.endswith(".") and ". " not in message


def test_in_a_mixed_folder_those_that_are_not_read_are_left_out_with_the_same_advice(tmp_path):
    put(tmp_path, many("", 12))
    put(tmp_path, many("", 5, end=".heic"), b"\0\1\2")
    put(tmp_path, ["page.pdf"], b"%PDF")
    data = senses.read(tmp_path, size=8)
    assert len(data) == 12 and len(data.skipped) == 6
    assert "not read here: 5 .heic: photographs of a telephone (HEIC); export them as JPEG or PNG" in data.notes
    assert data.notes[-1].startswith("left out: page.pdf") and "save their text as plain text" in data.notes[-1]


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("0.png"), png(0))  # without the time, which names of tests must not have
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("photos.zip", zipped(), "an archive; unpack it and give the folder"),
        ("photos", zipped(), "an archive; unpack it"),
        ("photos.txt", zipped(), "an archive; unpack it"),
        ("sounds.tar.gz", gzip.compress(b"x", mtime=0), "an archive; unpack it"),
        ("sounds.tar", bytes(257) + b"ustar", "an archive; unpack it"),
        ("images.npy", b"\x93NUMPY\1\0", "arrays of a program; save each example as a file"),
        ("film.mp4", b"\0\0\0\x18ftypmp42", "films; take single pictures out of them"),
        ("mnist.csv", b"label,p,p\n" + b",".join([b"7"] * 785) + b"\n", "is a table of numbers"),
        ("book.docx", b"PK\3\4....word/document.xml", "documents of a word processor"),
    ],
)
def test_one_file_that_is_not_read_is_said_to_be_what_it_is(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with refused(DataError, message):
        senses.read(tmp_path / name)
