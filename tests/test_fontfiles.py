"""The reader's own fonts: read, held out, and left out with a reason, from real files, sound and broken."""

import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont, newTable
from fontTools.ttLib.tables._f_v_a_r import Axis

from helpers import export
from helpers.data import DataError, cache, fontfiles, glyphs

SHIPPED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
LETTERS = glyphs.CHARACTERS[:52]


def box_font(path, name="Boxes", characters=glyphs.CHARACTERS, outlines="cff", empty="", tall=700, low=0, wide=20):
    """A font whose every letter is a box as wide as its place in the alphabet: with CFF outlines, or TrueType ones."""
    builder = FontBuilder(1000, isTTF=outlines == "glyf")
    names = {ord(k): f"u{ord(k)}" for k in characters}
    drawn = {}
    for point in [0, *names]:
        pen = T2CharStringPen(600, None) if outlines == "cff" else TTGlyphPen(None)
        if chr(point) not in empty:
            across = 100 + wide * (point % 26)
            for k, at in enumerate([(50, low), (50, tall), (50 + across, tall), (50 + across, low)]):
                (pen.lineTo if k else pen.moveTo)(at)
            pen.closePath()
        drawn[names.get(point, ".notdef")] = pen.getCharString() if outlines == "cff" else pen.glyph()
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    if outlines == "cff":
        builder.setupCFF(name.replace(" ", ""), {"FullName": name}, drawn, {})
    else:
        builder.setupGlyf(drawn)
    builder.setupHorizontalMetrics({k: (600, 50) for k in drawn})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": name, "styleName": "Regular", "fullName": name, "psName": "Boxes"},
                           mac=False)
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


def changed(path, source, change):
    font = TTFont(source)
    change(font)
    font.save(path)


def without_unicode(font):
    for table in font["cmap"].tables:
        table.platformID, table.platEncID = 3, 0  # a font of symbols
    font["cmap"].tables = font["cmap"].tables[-1:]


def with_axis(font):
    font["fvar"] = newTable("fvar")
    axis = Axis()
    axis.axisTag, axis.minValue, axis.defaultValue, axis.maxValue, axis.axisNameID = "wght", 100, 400, 900, 1
    font["fvar"].axes, font["fvar"].instances = [axis], []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fonts of all sorts, sound ones in it."""
    here = tmp_path_factory.mktemp("fonts")
    drawn = glyphs.draw_font("DejaVuSerif")
    alphabet = np.stack([drawn[k] for k in glyphs.CHARACTERS]).reshape(62, 28, 2, 28, 2).mean(axis=(2, 4))
    alphabet = np.roll(alphabet.reshape(62, 784) - 0.4, 0, axis=1)  # lighter than any that is built in
    export.font(alphabet + 0.8, here / "a-heavy.ttf", "Heavy Own")
    export.font(np.clip(alphabet + 0.55, -2, 2), here / "b-other.TTF", "Heavy Own")
    box_font(here / "c-boxes.otf")
    box_font(here / "d-nodigits.otf", "No Digits", characters=LETTERS, wide=9)
    (here / "deeper").mkdir()
    box_font(here / "deeper" / "e-true.ttf", "True Boxes", outlines="glyf", wide=14)
    whole = (SHIPPED / "DejaVuSans.ttf").read_bytes()
    (here / "p-cut.ttf").write_bytes(whole[: len(whole) // 3])
    (here / "p-cut-early.ttf").write_bytes(whole[:100])
    rng = np.random.default_rng(0)
    noisy = bytearray((here / "a-heavy.ttf").read_bytes())
    noisy[2000:9000] = rng.integers(0, 256, 7000).astype(np.uint8).tobytes()
    (here / "p-noise.ttf").write_bytes(noisy)
    (here / "q-text.ttf").write_text("This is not a font.\n")
    (here / "r-empty.ttf").write_bytes(b"")
    shutil.copy(SHIPPED / "DejaVuSans.ttf", here / "s-builtin.ttf")
    changed(here / "s-renamed.ttf", SHIPPED / "cmss10.ttf", lambda font: font["name"].setName("Nova", 4, 3, 1, 0x409))
    shutil.copy(here / "c-boxes.otf", here / "t-again.otf")
    box_font(here / "u-noh.otf", "No H", characters=glyphs.CHARACTERS.replace("H", ""))
    box_font(here / "u-greek.otf", "Greek", characters="αβγδ")
    box_font(here / "v-hollow.otf", "Hollow", empty="gQ")
    box_font(here / "v-sunk.otf", "Sunk", tall=-10, low=-700)
    box_font(here / "v-deep.otf", "Deep", low=-600)
    changed(here / "w-symbols.ttf", SHIPPED / "DejaVuSans.ttf", without_unicode)
    changed(here / "x-variable.ttf", SHIPPED / "DejaVuSerif.ttf", with_axis)
    (here / "y-many.ttc").write_bytes(b"ttcf" + bytes(100))
    (here / "y-hidden.ttf").write_bytes(b"ttcf" + bytes(100))
    (here / "z-web.woff2").write_bytes(b"wOF2" + bytes(100))
    (here / ".hidden.ttf").write_bytes(b"")
    (here / "readme.txt").write_text("mine")
    (here / "outside.ttf").symlink_to(SHIPPED / "DejaVuSerif.ttf")
    (here / "dangling.ttf").symlink_to("nowhere.ttf")
    return here


@pytest.fixture(scope="module", autouse=True)
def few_fonts(tmp_path_factory):
    """Three built-in fonts are enough, and a cache of our own."""
    patch = pytest.MonkeyPatch()
    patch.setattr(cache, "FOLDER", tmp_path_factory.mktemp("cache"))
    kept = {"DejaVu Sans", "DejaVu Mono Oblique", "CM Sans"}
    patch.setattr(glyphs, "FONTS", tuple(font for font in glyphs.FONTS if font[0] in kept))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def loaded(folder):
    return glyphs.load(copies=1, fonts=folder, held_out=("c-boxes", "No Digits"))


def test_sound_fonts_join_and_named_ones_are_held_out(loaded):
    names = np.array(loaded.group_names)
    of = {split: set(names[np.unique(loaded.group[loaded.rows[split]])]) for split in ("train", "valid", "test")}
    own = {"Heavy Own", "Heavy Own (b-other.TTF)", "True Boxes"}
    assert of["train"] == {name + more for name in {"DejaVu Sans", *own} for more in ("", " / 1")}
    assert of["valid"] == {"DejaVu Mono Oblique"} and of["test"] == {"CM Sans", "Boxes", "No Digits"}
    assert (loaded.group == list(names).index("Boxes")).sum() == 62
    assert any("No Digits lacks the digits" in note for note in loaded.notes)


REASONS = {
    "p-cut.ttf": "damaged", "p-cut-early.ttf": "damaged", "q-text.ttf": "damaged, or not a font",
    "r-empty.ttf": "an empty file", "t-again.otf": "the same file as c-boxes.otf", "u-noh.otf": "it lacks H",
    "u-greek.otf": "it lacks Latin letters", "v-hollow.otf": "empty where it should draw g Q",
    "v-sunk.otf": "its H does not stand on the line", "w-symbols.ttf": "a font of symbols",
    "x-variable.ttf": "a variable font", "y-many.ttc": "a collection of fonts", "y-hidden.ttf": "a collection of fonts",
    "z-web.woff2": "packed for the web", "p-noise.ttf": "damaged",
}


@pytest.mark.parametrize("name", REASONS)
def test_every_other_file_is_named_with_its_reason(loaded, name):
    notes = [note for note in loaded.notes if note.startswith(f"left out: {name} (")]
    assert len(notes) == 1 and REASONS[name] in notes[0], loaded.notes


@pytest.mark.parametrize(("name", "reason"), [
    ("DejaVu Sans", "the same letters as DejaVu Sans"), ("Nova", "the same letters as CM Sans"), ("Deep", "too large"),
])
def test_fonts_that_cannot_stand_beside_the_others_are_left_out(loaded, name, reason):
    assert any(name in note and reason in note for note in loaded.notes if note.startswith("left out")), loaded.notes


def test_hidden_files_links_and_other_files_are_not_spoken_of(loaded):
    said = " ".join(loaded.notes)
    assert not any(word in said for word in (" .hidden", "readme", "outside"))
    assert "left out: dangling.ttf (cannot be read" in said


def test_the_built_in_part_is_the_same_as_without(loaded):
    plain = glyphs.load(copies=1)
    n = len(plain.x)
    assert np.array_equal(loaded.x[:n], plain.x) and np.array_equal(loaded.c[:n], plain.c)
    assert "yours" not in plain.source and str(plain.source) in loaded.source


def test_the_cache_depends_on_what_the_files_hold(tmp_path):
    box_font(tmp_path / "one.otf")
    first, drawn = glyphs.load(copies=0, fonts=tmp_path), []
    patch = pytest.MonkeyPatch()
    draw = glyphs._draw_all
    patch.setattr(glyphs, "_draw_all", lambda *given: drawn.append(1) or draw(*given))
    try:
        assert np.array_equal(glyphs.load(copies=0, fonts=tmp_path).x, first.x) and not drawn
        assert "Boxes" in glyphs.load(copies=0, fonts=tmp_path, held_out="Boxes").group_names and len(drawn) == 1
        box_font(tmp_path / "one.otf", wide=12)  # the same name, another font
        assert not np.array_equal(glyphs.load(copies=0, fonts=tmp_path).x, first.x) and len(drawn) == 2
    finally:
        patch.undo()


def test_where_nothing_is_usable_it_says_why(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        glyphs.load(fonts=tmp_path / "none")
    with pytest.raises(DataError, match=r"holds no font that can be used\. Put"):
        glyphs.load(fonts=tmp_path)
    (tmp_path / "x.ttf").write_text("not a font")
    with pytest.raises(DataError, match=r"x\.ttf \(damaged, or not a font\)"):
        glyphs.load(fonts=tmp_path)
    shutil.copy(SHIPPED / "DejaVuSans.ttf", tmp_path / "y.ttf")
    with pytest.raises(DataError, match=r"none of your fonts can be used: .*the same letters as DejaVu Sans"):
        glyphs.load(copies=0, fonts=tmp_path)
    box_font(tmp_path / "z.otf")
    with pytest.raises(DataError, match=r"'Nobody' is no usable font of .*Boxes"):
        glyphs.load(fonts=tmp_path, held_out=("Nobody",))


def test_names_are_shown_on_one_line():
    assert fontfiles.printable("a\nb\x00c" + "d" * 90) == "a?b?c" + "d" * 55
