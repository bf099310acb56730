"""The reader's own images: what is understood, what is left out with which reason, and how much memory it takes."""

import io
import os
import re
import struct
import sys
import tracemalloc
import warnings
import zlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from PIL import ExifTags, Image, ImageFile
from torch import nn

from helpers.data import DataError, folders, pictures, pixels

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names or files")


def noise(seed, shape=(12, 12)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def fill(folder, n=12, first=0, shape=(12, 12)):
    """n different images in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + n):
        Image.fromarray(noise(i, shape)).save(folder / f"{i:03d}.png")
    return folder


def encoded(image, format="PNG", **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def seen(tmp_path, content, name="one.png", size=8, **options):
    """What becomes of one image file: (C, size, size)."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else encoded(content))
    return next(pixels.read(tmp_path / name, size, **options)).pixels


# --- folders and labels ------------------------------------------------------------------------------


def test_subfolders_are_labels_however_deep(tmp_path, capsys):
    fill(tmp_path / "cats", 8)
    fill(tmp_path / "dogs" / "brown", 4, first=20)
    fill(tmp_path / "dogs" / "white" / "large", 4, first=30)
    data = folders.images(tmp_path, size=12)
    assert (data.kind, data.names, data.x.shape, data.x.dtype) == ("image", ("cats", "dogs"), (16, 12, 12), np.uint8)
    assert np.bincount(data.c).tolist() == [8, 8] and data.notes == () == data.skipped
    assert np.array_equal(data.x[0], noise(0))  # neither scaled nor otherwise changed
    data.describe()
    out = capsys.readouterr().out
    assert "16 of 16 files in 2 subfolders" in out and "values 0 to 1\n" in out
    [x] = [x for x, _ in data.train.batches(99, np.random.default_rng(0))]
    assert x.dtype == np.float32 and x.max() == 1 and {row.tobytes() for row in x} == {
        row.tobytes() for row in data.train.x / np.float32(255)}


def test_without_subfolders_there_is_no_condition(tmp_path):
    data = folders.images(fill(tmp_path))
    assert data.c is None and data.names == () and data.source == "12 of 12 files"


def test_images_beside_the_subfolders_have_no_label_and_are_left_out(tmp_path):
    fill(tmp_path / "cats")
    fill(tmp_path, 1, first=99)
    (tmp_path / "dogs").mkdir()
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "list.csv").write_text("none")
    data = folders.images(tmp_path)
    assert data.names == ("cats",)
    assert dict(data.skipped) == {
        "099.png": "lies beside the subfolders and so has no label; move it into one",
        "birds/list.csv": "is not an image file that is read here",
        "birds/": "holds nothing that can be used, and is not a label",
        "dogs/": "holds nothing that can be used, and is not a label",
    }


def test_one_folder_too_many_around_the_labels_is_noted(tmp_path):
    fill(tmp_path / "archive" / "cats")
    fill(tmp_path / "archive" / "dogs", first=20)
    data = folders.images(tmp_path)
    assert data.names == ("archive",) and "all lie in the subfolder archive" in data.notes[0]


def test_a_label_with_one_example_is_kept_and_the_splits_without_it_named(tmp_path):
    fill(tmp_path / "cats", 20)
    fill(tmp_path / "dogs", 1, first=50)
    data = folders.images(tmp_path)
    assert data.names == ("cats", "dogs")
    assert sum("has no example of dogs" in note for note in data.notes) == 2


def test_hidden_files_are_counted_and_no_more(tmp_path, capsys):
    fill(tmp_path)
    for name in (".DS_Store", "Thumbs.db", "._000.png", "desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    fill(tmp_path / "__MACOSX", 3, first=50)
    data = folders.images(tmp_path)
    assert data.notes == () and data.c is None and data.source == "12 of 12 files, 5 hidden ignored"


def test_equal_images_are_removed_and_counted(tmp_path, capsys):
    fill(tmp_path / "a")
    fill(tmp_path / "b")  # the same again
    data = folders.images(tmp_path)
    assert (data.found, len(data)) == (24, 12)
    data.describe()
    assert "24 found, 12 duplicates" in capsys.readouterr().out


def test_images_of_one_colour_are_images(tmp_path):
    for grey in range(12):
        Image.new("L", (5, 5), 20 * grey).save(tmp_path / f"{grey}.png")
    assert sorted(folders.images(tmp_path, size=2).x[:, 0, 0]) == [20 * grey for grey in range(12)]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing", "there is no such folder"),
        ("a file", "is a file, and a folder is needed"),
        ("empty", "holds 0 different images that can be used, and at least 10"),
        ("only others", r"holds 0 different .* \(left out: 2, as a.txt: is not an image file"),
        ("nine", "holds 9 different"),
        ("ten equal", "holds 1 different"),
        ("broken", r"holds 9 different images .* \(left out: x.png: is empty\)"),
    ],
)
def test_too_little_is_refused_in_one_sentence(tmp_path, case, message):
    path = tmp_path / "mine"
    if case == "a file":
        path.write_text("x")
    elif case != "missing":
        fill(path, 9 if case in ("nine", "broken") else 0)
    if case == "broken":
        (path / "x.png").write_bytes(b"")
    if case == "only others":
        (path / "a.txt").write_text("x")
        (path / "b.txt").write_text("x")
    if case == "ten equal":
        for i in range(10):
            Image.new("L", (4, 4), 7).save(path / f"{i}.png")
    with pytest.raises(DataError, match=message) as caught:
        folders.images(path)
    text = str(caught.value)
    assert str(path) in text and text.endswith(".") and "\n" not in text and ". " not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [(dict(size=0), "size is 0"), (dict(size=2.5), "size is 2.5"), (dict(square="fill"), "say 'pad' or 'crop'")],
)
def test_settings_that_do_not_exist_are_refused(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        folders.images(fill(tmp_path), **options)


# --- what an image can be ------------------------------------------------------------------------------


def test_the_whole_image_is_shown_on_the_colour_of_its_border(tmp_path):
    image = np.full((10, 20), 200, np.uint8)
    image[4:6, 8:12] = 0
    small = seen(tmp_path, Image.fromarray(image), size=20)[0]
    assert (small[:5] == 200).all() and (small[15:] == 200).all() and np.array_equal(small[5:15], image)


def test_or_the_middle_is_cut_out(tmp_path):
    image = noise(0, (10, 20))
    assert np.array_equal(seen(tmp_path, Image.fromarray(image), size=10, square="crop")[0], image[:, 5:15])


@pytest.mark.parametrize("square", ["pad", "crop"])
@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (1, 1), (3, 2), (700, 900)])
def test_any_shape_is_taken(tmp_path, shape, square):
    small = seen(tmp_path, Image.new("RGB", shape, (250, 120, 10)), size=16, square=square)
    assert small.shape == (3, 16, 16) and (small == np.array([250, 120, 10])[:, None, None]).all()


def test_scaling_down_averages_and_does_not_pick(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    assert np.abs(seen(tmp_path, Image.fromarray(stripes), size=8)[0].astype(int) - 127).max() <= 3


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_formats(tmp_path, format):
    image = Image.linear_gradient("L").convert("RGB")
    small = seen(tmp_path, encoded(image, format), name=f"x.{format.lower()}")
    assert small.shape == (3, 8, 8) and (np.diff(small[0, :, 3].astype(int)) > 20).all()


def gradient16(dtype=np.uint16):
    return np.linspace(0, 65535, 64).astype(dtype).reshape(8, 8)


RAMP = np.rint(np.linspace(0, 255, 64)).reshape(8, 8)
TINTED = Image.new("RGB", (8, 8), (200, 100, 50))
KINDS = {  # an image, and what should become of it: grey (8, 8), or a colour
    "16 bits": (lambda: encoded(Image.fromarray(gradient16())), RAMP),
    "16 bits, TIFF": (lambda: encoded(Image.fromarray(gradient16()), "TIFF"), RAMP),
    "32 bits": (lambda: encoded(Image.fromarray(gradient16(np.int32)), "TIFF"), RAMP),
    "real numbers to 1": (lambda: encoded(Image.fromarray((gradient16() / 65535).astype(np.float32)), "TIFF"), RAMP),
    "real numbers to 255": (lambda: encoded(Image.fromarray((gradient16() / 257).astype(np.float32)), "TIFF"), RAMP),
    "real numbers to 65535": (lambda: encoded(Image.fromarray(gradient16(np.float32)), "TIFF"), RAMP),
    "1 bit": (lambda: encoded(Image.fromarray(RAMP.astype(np.uint8)).point(lambda v: 255 * (v > 99), "1")),
              255 * (RAMP > 99)),
    "grey and alpha": (lambda: encoded(Image.merge("LA", [Image.new("L", (8, 8), 40), Image.new("L", (8, 8), 51)])),
                       np.full((8, 8), 255 - 0.2 * 215)),
    "colour and alpha": (lambda: encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), np.full((8, 8), 255)),
    "palette": (lambda: encoded(TINTED.quantize(4)), (200, 100, 50)),
    "palette, transparent": (lambda: encoded(TINTED.quantize(4), transparency=0), (255, 255, 255)),
    "one colour transparent": (lambda: encoded(TINTED, transparency=(200, 100, 50)), (255, 255, 255)),
    "CMYK": (lambda: encoded(TINTED.convert("CMYK"), "JPEG", quality=95), (200, 100, 50)),
    "YCbCr": (lambda: encoded(TINTED.convert("YCbCr"), "JPEG", quality=95), (200, 100, 50)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_pixels(tmp_path, kind):
    content, expected = KINDS[kind]
    small = seen(tmp_path, content()).astype(int)
    expected = np.array(expected)
    expected = expected[:, None, None] if expected.ndim == 1 else expected[None]
    assert np.abs(small - expected).max() <= 2


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_images_are_turned_as_the_camera_noted(tmp_path, turn, format):
    """Stored turned, with the note that turns it back: all eight look the same."""
    upright = np.zeros((16, 8, 3), np.uint8)
    upright[:8, :4] = 255
    turned = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.swapaxes(0, 1),
              6: np.rot90(upright), 7: upright[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(upright, -1)}
    stored = np.ascontiguousarray(turned[turn])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    small = seen(tmp_path, encoded(Image.fromarray(stored), format, exif=exif), size=16)[0] > 127
    assert small[:8, 4:8].all() and small.sum() == 32


@pytest.mark.parametrize("damage", ["another entry", "the beginning"])
def test_a_damaged_note_of_the_camera_does_not_spoil_the_image(tmp_path, damage):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.XResolution] = 6, 72.0
    whole = encoded(Image.fromarray(np.tile(np.array([[0], [255]], np.uint8), (4, 8))).resize((16, 16)), exif=exif)
    chunk = whole.index(b"eXIf")
    broken = bytearray(exif.tobytes().removeprefix(b"Exif\0\0"))
    place = broken.index(bytes([ExifTags.Base.XResolution >> 8, ExifTags.Base.XResolution & 255])) if (
        damage == "another entry") else 0
    broken[place + 2 : place + 4] = b"\x00\x63"  # no such type, or no such form
    length = struct.unpack(">I", whole[chunk - 4 : chunk])[0]
    body = b"eXIf" + bytes(broken)
    whole = whole[: chunk - 4] + struct.pack(">I", len(broken)) + body + struct.pack(">I", zlib.crc32(body)) + (
        whole[chunk + 4 + length + 4 :])
    assert seen(tmp_path, whole, size=16).shape == (3, 16, 16)


def test_an_image_is_turned_even_if_its_note_cannot_be_written_anew(tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = encoded(Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 32).reshape(8, 8)), exif=exif)

    def fails(self, offset=8):
        raise struct.error("required argument is not an integer")

    monkeypatch.setattr(Image.Exif, "tobytes", fails)
    small = seen(tmp_path, stored, size=8)[0]
    assert (small[:, :4] == 255).all() and (small[:, 4:] == 0).all()


def frames(format, n=3):
    images = [Image.fromarray(noise(i)) for i in range(n)]
    return encoded(images[0], format, save_all=True, append_images=images[1:])


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_of_several_frames_the_first_is_taken_and_it_is_noted(tmp_path, format):
    fill(tmp_path, 11, first=50)
    (tmp_path / f"film.{format.lower()}").write_bytes(frames(format))
    data = folders.images(tmp_path, size=12)
    assert data.notes == (f"several frames (3) in film.{format.lower()}: the first was taken",)
    assert np.abs(data.x[-1].astype(int) - noise(0)).max() < (77 if format == "WEBP" else 3)


@pytest.mark.parametrize(
    ("colours", "grey", "shape"),
    [
        ("none", None, (8, 8)),
        ("none", False, (3, 8, 8)),
        ("stored", None, (8, 8)),
        ("one", None, (3, 8, 8)),
        ("one", True, (8, 8)),
    ],
)
def test_colour_if_any_image_is_in_colour(tmp_path, colours, grey, shape):
    fill(tmp_path)
    if colours == "stored":  # grey in three channels, as many scanners write it
        Image.fromarray(noise(70)).convert("RGB").save(tmp_path / "x.jpg")
    if colours == "one":
        TINTED.save(tmp_path / "x.png")
    data = folders.images(tmp_path, size=8, grey=grey)
    assert data.x.shape == (12 + (colours != "none"), *shape) and data.shape == shape
    if colours == "one":
        expected = 0.299 * 200 + 0.587 * 100 + 0.114 * 50 if grey else np.array([200, 100, 50])[:, None, None]
        assert np.abs(data.x[-1] - expected).max() < 1


def test_grey_in_three_channels_is_the_same_grey(tmp_path):
    for kind in ("L", "RGB"):
        for i in range(12):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(noise(i)).convert(kind).save(tmp_path / kind / f"{i}.png")
    assert np.array_equal(folders.images(tmp_path / "L").x, folders.images(tmp_path / "RGB").x)


# --- what is left out ----------------------------------------------------------------------------------


def bomb(width, height):
    """A PNG of a hundred bytes that declares a size; decoding it would fill the memory."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def cut(format, share=0.6, **options):
    whole = encoded(Image.fromarray(noise(99, (64, 64, 3))), format, **options)
    return whole[: int(share * len(whole))]


def flipped():
    whole = bytearray(encoded(Image.fromarray(noise(99, (64, 64, 3)))))
    whole[500:520] = bytes(20)
    return bytes(whole)


def real(values):
    return encoded(Image.fromarray(np.array(values, np.float32)[None]), "TIFF")


BROKEN = {
    "empty": ("x.png", b"", "is empty"),
    "text": ("x.png", b"this is not an image", "is not an image, whatever its name says"),
    "sound": ("x.jpg", b"RIFF\x24\0\0\0WAVEfmt ", "is not an image"),
    "a web page": ("x.gif", b"<!DOCTYPE html><html><body>404</body></html>", "is not an image"),
    "PostScript": ("x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image"),
    "only a header": ("x.png", encoded(TINTED)[:20], "cut off"),
    "PNG cut off": ("x.png", cut("PNG"), "is broken or cut off"),
    "JPEG cut off": ("x.jpg", cut("JPEG"), r"is broken or cut off \(image file is truncated"),
    "JPEG cut off at its end": ("x.jpg", cut("JPEG", 0.98), "is broken or cut off"),
    "GIF cut off": ("x.gif", cut("GIF"), "cut off"),
    "BMP cut off": ("x.bmp", cut("BMP"), "is broken or cut off"),
    "TIFF cut off": ("x.tif", cut("TIFF"), "cut off"),
    "packed TIFF cut off": ("x.tif", cut("TIFF", compression="tiff_lzw"), "cut off"),
    "WebP cut off": ("x.webp", cut("WEBP"), "cut off"),
    "animation cut off": ("x.gif", frames("GIF")[:60], "cut off"),
    "PNG damaged": ("x.png", flipped(), "is broken"),
    "bomb": ("x.png", bomb(65_000, 65_000), "declares more pixels than"),
    "large": ("x.png", bomb(12_600, 12_600), "declares 12,600 × 12,600 pixels"),
    "no pixels": ("x.png", bomb(0, 5), "broken|not an image"),
    "NaN": ("x.tif", real([0, np.nan, 1]), "holds NaN"),
    "another kind": ("x.pdf", b"%PDF-1.4", "is not an image file that is read here"),
    "no ending": ("README", b"text", "is not an image file that is read here"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path, case):
    name, content, reason = BROKEN[case]
    fill(tmp_path / "mine")
    (tmp_path / "mine" / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = folders.images(tmp_path / "mine")
    assert len(data) == 12 and len(data.skipped) == 1
    (file, why), note = data.skipped[0], data.notes[-1]
    assert file == name and re.search(reason, why), why
    assert note.startswith(f"left out: {name}") and note.endswith(why) and "\n" not in note


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    fill(tmp_path)
    for i, size in enumerate((12_600, 65_000)):
        (tmp_path / f"bomb{i}.png").write_bytes(bomb(size, size))
    sizes, load = [], ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: sizes.append(self.size) or load(self))
    assert len(folders.images(tmp_path).skipped) == 2
    assert set(sizes) == {(12, 12)}


def test_a_file_that_may_not_be_read_is_left_out(tmp_path, monkeypatch):
    """Simulated, since an administrator may read everything: first the system says so, then opening fails."""
    fill(tmp_path, 14)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "003" not in str(path) and access(path, mode))

    def opened(path, *rest, **options):
        if "004" in str(path):
            raise PermissionError(13, "Permission denied")
        return open(path, *rest, **options)

    monkeypatch.setattr(pixels, "open", opened, raising=False)
    assert dict(folders.images(tmp_path).skipped) == {
        "003.png": "cannot be read (Permission denied)",
        "004.png": "cannot be read (Permission denied)",
    }


@pytest.mark.parametrize("which", ["subfolder", "folder"])
def test_a_folder_that_may_not_be_opened(tmp_path, monkeypatch, which):
    fill(tmp_path / "cats")
    fill(tmp_path / "dogs", 3, first=20)
    scandir, closed = os.scandir, tmp_path / "dogs" if which == "subfolder" else tmp_path

    def opened(path):
        if os.fspath(path).rstrip("/") == os.path.realpath(closed):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", opened)
    if which == "folder":
        with pytest.raises(DataError, match=r"cannot be opened \(Permission denied\)"):
            folders.images(tmp_path)
        return
    data = folders.images(tmp_path)
    assert len(data) == 12 and data.skipped == (("dogs/", "cannot be opened (Permission denied)"),)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links(tmp_path):
    mine, other = fill(tmp_path / "mine" / "cats").parent, fill(tmp_path / "other", 2, first=40)
    (mine / "cats" / "up").symlink_to("..")
    (mine / "cats" / "self").symlink_to("self")
    (mine / "cats" / "nowhere.png").symlink_to("gone.png")
    (mine / "cats" / "outside.png").symlink_to(other / "040.png")
    (mine / "cats" / "again.png").symlink_to("003.png")
    (mine / "other").symlink_to(other)
    (mine / "top").symlink_to("/")
    (mine / "zcats").symlink_to("cats")
    data = folders.images(mine)
    outside = "is a link that leads outside of the folder; copy what it leads to"
    assert dict(data.skipped) == {
        "cats/nowhere.png": "is a link that leads nowhere",
        "cats/outside.png": outside,
        "cats/self": "is a link that leads nowhere",
        "cats/up": "is a link to a folder that holds this one, and is not followed",
        "other": outside,
        "top": "is a link to a folder that holds this one, and is not followed",
        "zcats": "is a link to another folder in here, whose files are read under their own names",
    }
    assert data.names == ("cats",) and (data.found, len(data)) == (13, 12)  # again.png was followed, and is a copy
    (tmp_path / "link").symlink_to(mine)
    assert len(folders.images(tmp_path / "link")) == 12  # the reader's own word is taken


@linux
def test_pipes_are_not_opened(tmp_path):
    fill(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("pipe.png")
    data = folders.images(tmp_path)  # or it would wait here for ever
    assert dict(data.skipped) == dict.fromkeys(
        ("pipe.png", "link.png"), "is a pipe, a socket or a device, which are not opened"
    )


@linux
def test_names_of_any_bytes_are_read_and_can_be_printed(tmp_path, capsys):
    for i, name in enumerate([b"\xff.png", b"two\nlines.png", "schön.png".encode(), b"\x1b[31m.png"]):
        folder = os.fsencode(tmp_path) + (b"/caf\xe9" if i % 2 else b"/b")
        os.makedirs(folder, exist_ok=True)
        with open(folder + b"/" + name, "wb") as file:
            file.write(encoded(Image.fromarray(noise(i))))
        with open(folder + b"/broken " + name, "wb") as file:
            file.write(b"no")
    fill(tmp_path / "b", 8, first=50)
    data = folders.images(tmp_path)
    assert len(data) == 12 and data.names == ("b", r"caf\xe9")
    data.describe()
    out = capsys.readouterr().out
    out.encode("utf-8")
    for place in (r"b/broken \xff.png", "b/broken schön.png", r"caf\xe9/broken two\nlines.png", r"broken \x1b[31m.png"):
        assert place in out
    with pytest.raises(DataError, match=r"caf\\xe9: holds 2 different") as caught:
        folders.images(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize("broken", [20, 21, 300])
def test_describe_names_the_first_twenty_and_counts_the_rest(tmp_path, capsys, broken):
    fill(tmp_path)
    for i in range(broken):
        (tmp_path / f"broken{i:03d}.png").write_bytes(b"no")
    data = folders.images(tmp_path)
    assert len(data.skipped) == len(data.notes) == broken
    data.describe()
    out = capsys.readouterr().out
    assert out.count("left out: broken") == 20 and "broken019.png" in out and "broken020.png" not in out
    assert ("more, " in out) == (broken > 20)
    if broken == 300:
        assert "left out: 280 more, 300 in all; data.skipped names each with its reason" in out


# --- memory ------------------------------------------------------------------------------------------


GREY, COLOURED = 2 * 12 * 28**2, 2 * 12 * 3 * 28**2  # bytes that twelve images take, twice


@pytest.mark.parametrize(
    ("free", "grey", "fits"),
    [(1, None, 0), (COLOURED - 1, None, 0), (COLOURED, None, 1), (GREY - 1, True, 0), (GREY, True, 1)],
)
def test_images_that_do_not_fit_into_memory_are_refused_before_they_are_read(tmp_path, monkeypatch, free, grey, fits):
    fill(tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    if fits:
        assert len(folders.images(tmp_path, grey=grey)) == 12
        return
    monkeypatch.setattr(pixels, "read", None)
    with pytest.raises(DataError, match=r"12 images of 28 × 28 need .* GB .* give a smaller size, or fewer files"):
        folders.images(tmp_path, grey=grey)


@pytest.mark.parametrize("channels", [1, 3])
def test_reading_takes_little_more_than_the_bytes(tmp_path, channels):
    fill(tmp_path, 40, shape=(64, 64, channels)[: 2 + (channels == 3)])
    folders.images(tmp_path, size=64)  # Pillow's plugins, once
    tracemalloc.start()
    try:
        data = folders.images(tmp_path, size=64)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert data.x.nbytes == 40 * channels * 64**2 and peak < 40 * (3 + (channels == 1)) * 64**2 + 500_000


def test_grey_is_made_as_pillow_does_it():
    x = noise(0, (7, 3, 5, 6))
    expected = [np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L")) for image in x]
    assert np.array_equal(pictures._luma(x), expected)


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Linear(64, 64)

    def loss(self, batch):
        flat = batch.x.flatten(1)
        return (self.net(flat) - flat).square().sum(1).mean() + 0 * batch.c.sum(), {}


def test_training_on_bytes_gives_the_weights_of_numbers_from_0_to_1(tmp_path):
    """What the models see of a folder of images is what they saw when numbers were stored."""
    from helpers.training import fit

    fill(tmp_path / "a", 20)
    fill(tmp_path / "b", 20, first=30)
    data, models = folders.images(tmp_path, size=8), [Linear(), Linear()]
    for model, x in zip(models, (data.x, data.x / np.float32(255)), strict=True):
        fit(model, replace(data, x=x), epochs=3, batch_size=6, quiet=True)
    assert torch.equal(models[0].net.weight, models[1].net.weight)
