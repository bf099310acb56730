"""What images, sounds and texts are asked, each by the same names."""

import numpy as np
import pytest

import samples as made
from comparing import refused
from helpers import senses
from helpers.data import DataError
from helpers.senses import numbers


@pytest.mark.parametrize(
    ("name", "shown"),
    [("oak", "oak"), ("Ελλάδα", "Ελλάδα"), ("عربي", "عربي"), ("Жук", "Жук"), ("Cafe\u0301", "Café"), ("猫", "label 4")],
)
def test_a_sheet_names_each_row_in_letters_that_its_font_has(name, shown):
    assert numbers._drawable(name, 3) == shown


def test_a_sheet_has_a_row_for_each_label_that_comes_in_turn():
    import io

    from PIL import Image

    pictures = np.zeros((6, 5, 5, 3))
    pictures[1::2] = 1.0
    sheet = np.asarray(Image.open(io.BytesIO(numbers.tiles(pictures, ["a", "b"] * 3, None, 1)))).astype(int)
    rows = sheet[[4, 4 + 7]][:, -4 :: -7][:, :3, 0]
    assert rows.tolist() == [[0, 0, 0], [255, 255, 255]]


def test_bytes_and_numbers_have_the_same_range_and_averages():
    x = np.random.default_rng(0).integers(0, 256, (40, 3, 3)).astype(np.uint8)
    floats = x / np.float32(255)
    assert numbers.value_range(x) == pytest.approx((float(floats.min()), float(floats.max())))
    c = np.arange(40) % 2
    for a, b in zip(numbers.averages(x, c, 2), numbers.averages(floats, c, 2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_samples_and_bytes_are_compared_on_one_scale():
    x = np.random.default_rng(0).integers(0, 256, (9, 4, 4)).astype(np.uint8)
    found = senses.image.distances(x / np.float32(255), x)
    assert (found[:, 0] < 1e-6).all() and (found[:, 1] > 0.1).all()


@pytest.mark.parametrize(
    ("path", "options", "size", "kind"),
    [("leaves", {"size": 9}, (9, 9), "image"), ("strokes", {"size": 0.2}, (513, 11), "sound"),
     ("villages.txt", {}, None, "text"), ("villages.txt", {"size": 7, "by": "running"}, (8,), "text")],
)
def test_data_know_how_they_were_read(path, options, size, kind):
    data = senses.read(made.SAMPLES / path, seed=3, **options)
    assert data.kind == kind and (size is None or data.x.shape[1:] == size)
    origin = data.origin
    again = senses.read(origin["path"], origin["kind"], origin["size"], origin["seed"], **origin["options"])
    np.testing.assert_array_equal(again.x, data.x)
    assert all(np.array_equal(again.rows[split], data.rows[split]) for split in data.rows)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [("leaves", {"kind": "smell"}, "kind is 'smell'; say 'image', 'sound', 'text' or 'auto'"),
     ("leaves", {"by": "lines"}, "by is not an option for data of kind image; it has size, grey, seed, square"),
     ("leaves/oak/00.png", {}, "is a single image; give the folder of all of them"),
     ("nowhere", {}, "there is no such file or folder")],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(path, options, message):
    with refused(DataError, message):
        senses.read(made.SAMPLES / path, **options)
