"""What images, sounds and texts are asked, each by the same names."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image

import samples as made
from comparing import refused
from helpers import plotting, senses
from helpers.data import DataError
from helpers.senses import numbers


@pytest.mark.parametrize(
    ("name", "shown"),
    [("oak", "oak"), ("Ελλάδα", "Ελλάδα"), ("عربي", "عربي"), ("Жук", "Жук"), ("Cafe\u0301", "Café"), ("猫", "label 4")],
)
def test_a_sheet_names_each_row_in_letters_that_its_font_has(name, shown, monkeypatch):
    monkeypatch.setattr(plotting, "_fonts", lambda: [font_manager.findfont("DejaVu Sans")])  # as on a bare machine
    assert plotting.writable(["a", "b", "c", name], shaped=True)[3] == shown


def test_names_that_need_shaping_are_numbers_where_nothing_shapes():
    names = ["oak", "عربي", "עברית", "Ελλάδα", "Cafe\u0301", "Жук"]
    assert plotting.writable(names, shaped=False) == ["oak", "label 2", "label 3", "Ελλάδα", "Café", "Жук"]
    assert plotting.writable(names, shaped=True)[1] == "عربي"


@pytest.fixture
def cat_font(tmp_path):
    """A font that has one character, a block for 猫."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    for k, point in enumerate([(0, 0), (0, 900), (900, 900), (900, 0)]):
        (pen.lineTo if k else pen.moveTo)(point)
    pen.closePath()
    glyph, builder = pen.glyph(), FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord("猫"): "cat"})
    builder.setupGlyf({".notdef": glyph, "cat": glyph})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "cat": (1000, 0)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Only Cats", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "cats.ttf")
    return str(tmp_path / "cats.ttf")


def test_a_font_of_the_machine_writes_what_dejavu_lacks(cat_font, tmp_path, monkeypatch, recwarn):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    dejavu = font_manager.findfont("DejaVu Sans")
    monkeypatch.setattr(plotting, "_fonts", lambda: [dejavu, str(tmp_path / "broken.ttf"), cat_font])
    assert plotting.font_for("oak") == dejavu and plotting.font_for("猫") == cat_font
    assert plotting.font_for("oak 猫") is None  # in one font, or not at all
    assert plotting.writable(["猫", "oak 猫"]) == ["猫", "label 2"]
    assert plotting.families(["oak", "猫"]) == [*plt.rcParams["font.family"], "Only Cats"]
    sheet = np.asarray(Image.open(io.BytesIO(numbers.tiles(np.ones((4, 20, 20, 3)), ["猫", "oak"] * 2, None, 1))))
    assert (sheet[5:20, 4:15] < 60).all(axis=2).sum() > 60  # a black block, not the outline of a box
    labels = ["猫", "Ελλάδα", "عربي", "oak 猫"]
    fig = senses.examples(np.zeros((4, 8, 8)), "image", labels)
    fig.canvas.draw()
    plt.close(fig)
    assert [ax.get_title() for ax in fig.axes] == plotting.writable(labels)
    assert not [str(w.message) for w in recwarn if "missing" in str(w.message)]


def test_coloured_and_empty_fonts_are_passed_over(monkeypatch):
    there = ["/f/NotoColorEmoji.ttf", "/f/LastResort.otf", "/f/Zed.ttf", "/f/Adobe-Blank.otf", "/f/Noto Sans CJK.ttc"]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: there)
    plotting._fonts.cache_clear()
    try:
        assert plotting._fonts()[1:] == ["/f/Noto Sans CJK.ttc", "/f/Zed.ttf"]
    finally:
        plotting._fonts.cache_clear()


def test_a_sheet_has_a_row_for_each_label_that_comes_in_turn():
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
    [("leaves", {"size": 9}, (3, 9, 9), "image"), ("strokes", {"size": 0.2}, (513, 11), "sound"),
     ("villages.txt", {}, None, "text"), ("villages.txt", {"size": 7, "by": "running"}, (7,), "text")],
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
