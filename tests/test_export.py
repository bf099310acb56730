"""A typeface as a file: what programs read in it, how it is spaced, that it draws its alphabet, and what is refused."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fontTools.pens.areaPen import AreaPen
from fontTools.ttLib import TTFont

from helpers import disk, export
from helpers.checkpoints import load_model
from helpers.data import DataError, glyphs
from helpers.export import marks, spacing, tracing
from helpers.export.font import build
from helpers.models.images import Reader

TERMS = dict(licence="Made by me; do as you like.", licence_url="https://example.org/terms", designer="Me")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def alphabet(file: str) -> np.ndarray:
    """A font of Matplotlib's as the lesson has it: distances (62, 784)."""
    drawn = glyphs.draw_font(file)
    fine = np.stack([drawn[k] for k in glyphs.CHARACTERS]).reshape(62, 28, 2, 28, 2)
    return fine.mean(axis=(2, 4)).clip(-2, 2).reshape(62, 784)


@pytest.fixture(scope="module")
def serif():
    return alphabet("DejaVuSerif")


@pytest.fixture(scope="module")
def file(serif, tmp_path_factory):
    return export.font(serif, tmp_path_factory.mktemp("fonts") / "own.ttf", "My Own 2", **TERMS)


@pytest.fixture(scope="module")
def opened(file):
    font = TTFont(file, lazy=False)
    font.ensureDecompiled()
    return font


# ---------------------------------------------------------------- the tables


def test_the_file_types_what_it_says(opened):
    typed = {chr(point) for point in opened.getBestCmap()}
    assert typed == {*glyphs.CHARACTERS, *marks.MARKS, " ", "\xa0"}
    assert opened.getGlyphOrder()[:2] == [".notdef", "space"]
    assert {"a", "seven", "quotedblleft", "emdash"} <= set(opened.getGlyphOrder())
    assert all(opened["hmtx"][name][0] > 0 for name in opened.getGlyphOrder())
    needed = "cmap glyf head hhea hmtx loca maxp name OS/2 post GPOS kern gasp".split()
    assert set(needed) <= set(opened.keys())


def test_names_and_terms_are_the_callers(opened, serif):
    names = {number: opened["name"].getDebugName(number) for number in range(20)}
    assert names[1] == names[4] == "My Own 2" and names[2] == "Regular" and names[6] == "MyOwn2-Regular"
    assert names[13] == "Made by me; do as you like." and names[14] == "https://example.org/terms" and names[9] == "Me"
    assert names[5] == "Version 1.000" and opened["OS/2"].fsType == 0
    bare = TTFont(io.BytesIO(build(serif.reshape(62, 28, 28), "Bare", {})))
    assert not any(bare["name"].getDebugName(number) for number in (0, 7, 8, 9, 10, 11, 12, 13, 14))


def test_heights_and_weight_agree_with_the_letters(opened):
    shapes, os2 = opened["glyf"], opened["OS/2"]
    assert os2.sCapHeight == pytest.approx(shapes["H"].yMax, abs=12) and shapes["H"].yMin == pytest.approx(0, abs=8)
    assert os2.sxHeight == pytest.approx(shapes["x"].yMax, abs=15)
    assert os2.usWinAscent >= max(shapes[k].yMax for k in shapes.keys() if shapes[k].numberOfContours)
    assert os2.usWinDescent >= -min(shapes[k].yMin for k in shapes.keys() if shapes[k].numberOfContours)
    assert opened["hhea"].ascent == os2.sTypoAscender and opened["hhea"].descent == os2.sTypoDescender
    assert os2.usWeightClass == 400 and opened["post"].italicAngle == 0


def test_weights_and_slants_are_told_apart():
    found = {name: TTFont(io.BytesIO(build(alphabet(name).reshape(62, 28, 28), "X", {})))
             for name in ("DejaVuSans-Bold", "DejaVuSans-Oblique")}
    assert found["DejaVuSans-Bold"]["OS/2"].usWeightClass >= 700
    assert found["DejaVuSans-Oblique"]["post"].italicAngle == pytest.approx(-11, abs=2)


def test_outlines_run_as_truetype_wants_them(opened):
    """Outer outlines clockwise, holes the other way; so the ink that FreeType fills is what lies between."""
    for name, holes in (("o", 1), ("B", 2), ("I", 0), ("eight", 2), ("i", 0), ("H", 0)):
        glyph = opened["glyf"][name]
        rings, start = [], 0
        for end in glyph.endPtsOfContours:
            rings.append(tracing.area(np.array(glyph.coordinates[start : end + 1])))
            start = end + 1
        assert sum(area > 0 for area in rings) == holes and sum(area < 0 for area in rings) >= 1, name


def test_the_same_alphabet_gives_the_same_bytes_and_leaves_the_file_alone(file, serif):
    before = file.read_bytes()
    again = export.font(serif, file, "My Own 2", **TERMS)
    assert again == file and file.read_bytes() == before
    with pytest.raises(disk.DiskError, match="is left as it is"):
        export.font(serif, file, "Another")
    assert file.read_bytes() == before
    saved = io.BytesIO()
    font = TTFont(file)
    font.save(saved)
    assert TTFont(io.BytesIO(saved.getvalue())).getGlyphOrder() == font.getGlyphOrder()


def test_two_fonts_of_one_name_are_told_apart(serif):
    other = serif.copy()
    other[3] = serif[4]
    made = [TTFont(io.BytesIO(build(x.reshape(62, 28, 28), "Same", {}))) for x in (serif, other)]
    assert made[0]["name"].getDebugName(3) != made[1]["name"].getDebugName(3)


def test_a_code_is_decoded_by_its_model(tmp_path, serif):
    class Model:
        code = 3

        @staticmethod
        def expect(z, c):
            assert z.shape == (1, 3) and len(c) == 62
            return torch.as_tensor(serif, dtype=torch.float32)[None]

    path = export.font([0.0, 1.0, 2.0], tmp_path / "code.ttf", "From a code", model=Model())
    assert TTFont(path)["name"].getDebugName(1) == "From a code"
    with pytest.raises(DataError, match="the code has 2 numbers, and the model's have 3"):
        export.font([0.0, 1.0], tmp_path / "other.ttf", "From a code", model=Model())


# ---------------------------------------------------------------- spacing


def advance(font, text):
    return [font["hmtx"][font.getBestCmap()[ord(k)]] for k in text]


def kern(font, pair):
    names = [font.getBestCmap()[ord(k)] for k in pair]
    return font["kern"].kernTables[0].kernTable.get(tuple(names), 0)


def test_letters_have_their_room_and_pairs_are_kerned_by_rule(opened):
    (n, left), (_, side) = advance(opened, "no")
    right = n - opened["glyf"]["n"].xMax
    assert 5 <= left and abs(right - left) < 45 and 0 < side < 90
    assert kern(opened, "AV") < -40 and kern(opened, "VA") < -40 and kern(opened, "To") < -40
    assert kern(opened, "nn") == kern(opened, "HH") == kern(opened, "20") == 0
    assert kern(opened, "T.") < -40 and abs(kern(opened, "n.")) < 30
    assert all(-130 <= move <= 70 for move in opened["kern"].kernTables[0].kernTable.values())


def test_both_tables_of_kerning_say_the_same(opened):
    table, moves = opened["GPOS"].table, {}
    assert [record.FeatureTag for record in table.FeatureList.FeatureRecord] == ["kern"]
    for lookup in table.LookupList.Lookup:
        for sub in lookup.SubTable:
            sub = getattr(sub, "ExtSubTable", sub)
            for first, pairs in zip(sub.Coverage.glyphs, sub.PairSet):
                moves |= {(first, pair.SecondGlyph): pair.Value1.XAdvance for pair in pairs.PairValueRecord}
    assert moves == opened["kern"].kernTables[0].kernTable


def test_white_is_equal_beside_straight_and_round_letters():
    """The room beside an o is such that its mean white is that of an l."""
    box = np.full((112, 112), -1.0)
    box[18:86, 50:60] = 1
    rows, columns = np.indices(box.shape)
    disc = 20 - np.hypot(rows - 66, columns - 55)
    for field in (box, disc):
        left, right = spacing.edges(field, 4, 0.0)
        begin, end = spacing.bearings(left, right, False, 10.0, 2.0)
        zone = (spacing.ROWS > 0) & (spacing.ROWS < 10)
        near = left[zone].min()
        assert near - begin + np.clip(left[zone] - near, 0, 2.55).mean() == pytest.approx(2.0, abs=1e-6)
        assert end - right[zone].max() == pytest.approx(near - begin, abs=0.3)


# ---------------------------------------------------------------- outlines


def test_a_traced_square_keeps_its_corners_and_a_disc_its_roundness():
    rows, columns = np.indices((28, 28)) + 0.5
    square = 6 - np.maximum(abs(rows - 14), abs(columns - 14))
    (ring,) = tracing.zero_lines(tracing.refine(square.clip(-2, 2)), 4)
    pieces = tracing.trace(ring)
    assert len(pieces) <= 8
    ends = np.array([piece.points[0] for piece in pieces])
    for corner in ((8, 8), (8, 20), (20, 8), (20, 20)):
        assert np.hypot(*(ends - corner).T).min() < 0.15
    places = np.linspace(0, 1, 20)
    drawn = np.concatenate([np.linspace(*p.points, 20) if p.straight else tracing.bernstein(places) @ p.points
                            for p in pieces])
    assert np.abs(np.abs(drawn - 14).max(axis=1) - 6).max() < 0.15
    disc = 6 - np.hypot(rows - 14, columns - 14)
    (ring,) = tracing.zero_lines(tracing.refine(disc.clip(-2, 2)), 4)
    pieces = tracing.trace(ring)
    t = np.linspace(0, 1, 50)
    drawn = np.concatenate([tracing.bernstein(t) @ piece.points for piece in pieces])
    assert len(pieces) <= 8 and not any(piece.straight for piece in pieces)
    assert np.abs(np.hypot(*(drawn - 14).T) - 6).max() < 0.15
    for one, two in zip(pieces, pieces[1:] + pieces[:1]):
        assert np.allclose(one.points[-1], two.points[0])


def test_level_parts_are_moved_onto_one_height_with_what_joins_them():
    corners = np.array([[2.0, 20.1], [8, 20.2], [8, 4.4], [2, 4.3]])
    curve = np.array([corners[1], corners[1] + (1, -5), corners[2] + (1, 5), corners[2]])
    pieces = [tracing.Piece(points) for points in (corners[:2].copy(), curve, corners[2:].copy(), corners[[3, 0]])]
    tracing.align(pieces, [20.0, 4.5, 11.0])
    assert (pieces[0].points[:, 1] == 20).all() and (pieces[2].points[:, 1] == 4.5).all()
    assert np.allclose(pieces[1].points, [[8, 20], [9, 15], [9, 9.5], [8, 4.5]])
    for one, two in zip(pieces, pieces[1:] + pieces[:1]):
        assert np.allclose(one.points[-1], two.points[0])
    tracing.align(pieces, [19.0])  # too far away
    assert (pieces[0].points[:, 1] == 20).all()


def test_holes_run_the_other_way_and_specks_are_left_out():
    rows, columns = np.indices((28, 28)) + 0.5
    away = np.hypot(rows - 14, columns - 14)
    ring = np.minimum(8 - away, away - 4)
    ring = np.maximum(ring, 0.3 - np.hypot(rows - 2.5, columns - 2.5))
    areas = sorted(tracing.area(line) for line in tracing.zero_lines(tracing.refine(ring, smooth=0), 4))
    assert len(areas) == 2 and areas[0] * areas[1] < 0
    assert sorted(map(abs, areas)) == pytest.approx([16 * np.pi, 64 * np.pi], rel=0.03)


@pytest.mark.parametrize("mark", marks.MARKS)
@pytest.mark.parametrize("name", ["thin", "bold slanted"])
def test_marks_are_drawn_inside_the_image_and_stand_where_they_should(mark, name):
    m = {"thin": marks.Measures(1.0, 0.8, 11.0, 0.0, 5.0, 1.4, False),
         "bold slanted": marks.Measures(4.0, 3.0, 13.0, 0.2, 6.0, 4.6, True)}[name]
    ink = marks.draw(mark, m) > 0
    up = glyphs.BASELINE - (np.flatnonzero(ink.any(axis=1)) + 0.5) / marks.TIMES
    assert ink.any() and not ink[[0, -1]].any() and not ink[:, [0, -1]].any()
    lowest, highest = up.min(), up.max()
    if mark in ".:!?":
        assert lowest == pytest.approx(0, abs=0.3)
    elif mark in ",;":
        assert -8 < lowest < -0.5
    elif mark in "'\"\u2018\u2019\u201c\u201d":
        assert lowest > 6 and highest < 19
    elif mark in "-+=\u2013\u2014":
        assert 1 < lowest < highest < 13


# ---------------------------------------------------------------- drawn again


def test_what_is_typed_is_what_the_alphabet_draws(file, serif):
    drawn = glyphs.draw_font(file)
    again = np.stack([drawn[k] for k in glyphs.CHARACTERS]).reshape(62, 28, 2, 28, 2).mean(axis=(2, 4)).reshape(62, 784)
    assert np.abs(glyphs.ink(again) - glyphs.ink(serif)).mean() < 0.01
    reader = Reader(62)
    load_model(disk.PRETRAINED / "glyphs-reader", reader.eval())
    read = [reader.read(torch.as_tensor(glyphs.ink(x)).float()).numpy() == np.arange(62) for x in (serif, again)]
    assert read[1].sum() >= read[0].sum() - 1


def test_matplotlib_sets_a_line_with_it(file, opened):
    import matplotlib.pyplot as plt
    from matplotlib.ft2font import FT2Font

    assert FT2Font(str(file)).family_name == "My Own 2"
    fig = plt.figure(figsize=(6, 1), dpi=100)
    wide = []
    for text in ("nnnn", "AVAV", "A"):
        line = fig.text(0, 0.3, text, font=Path(file), fontsize=30)
        wide.append(line.get_window_extent(fig.canvas.get_renderer()).width)
    fig.canvas.draw()
    assert (np.asarray(fig.canvas.buffer_rgba())[..., 0] < 100).any()
    plt.close(fig)
    (n, _), = advance(opened, "n")
    assert wide[0] == pytest.approx(4 * n * 30 / 1000 * 100 / 72, rel=0.1)


def test_a_browser_sets_a_line_with_it(file, opened):
    if CHROMIUM is None:
        pytest.skip("no Chromium here, in which the font could be opened")
    from playwright.sync_api import sync_playwright

    style = f"@font-face {{ font-family: own; src: url('{file.as_uri()}') }} span {{ font-size: 100px }}"
    page_file = file.with_name("page.html")
    page_file.write_text(f"<style>{style}</style><span id=a style='font-family: own, monospace'>nnAV.</span><br>"
                         "<span id=b style='font-family: monospace'>nnAV.</span>")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))  # OTS says there what it refuses
        page.goto(page_file.as_uri())
        page.evaluate("document.fonts.ready")
        assert page.evaluate("[...document.fonts].map(f => f.status)") == ["loaded"]
        own, other = (page.evaluate(f"document.getElementById('{k}').getBoundingClientRect().width") for k in "ab")
        browser.close()
    moves = kern(opened, "AV") + kern(opened, "V.") + kern(opened, "nA") + kern(opened, "nn")
    assert own == pytest.approx((sum(wide for wide, _ in advance(opened, "nnAV.")) + moves) / 10, abs=1)
    assert abs(own - other) > 5 and said == []


def test_the_sanitiser_of_browsers_accepts_it(file):
    ots = pytest.importorskip("ots", reason="opentype-sanitizer is not installed")
    assert ots.sanitize(str(file), capture_output=True).returncode == 0


# ---------------------------------------------------------------- refusals


def change(x, where, value):
    x = np.array(x)
    x[where] = value
    return x


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda x: x[:61], r"has the shape \(62, 784\), and this one \(61, 784\)"),
        (lambda x: x[0], r"and this one \(784,\)"),
        (lambda x: "alphabet", "give the distances"),
        (lambda x: None, "give the distances"),
        (lambda x: change(x, (3, 5), np.nan), "not finite"),
        (lambda x: change(x, (3, 5), np.inf), "not finite"),
        (lambda x: change(x, 3, -2.0), "there is no ink in D;"),
        (lambda x: change(x, [0, 61], -2.0), "there is no ink in A9;"),
    ],
)
def test_alphabets_that_are_none_are_refused(serif, tmp_path, made, message):
    with pytest.raises(DataError, match=message):
        export.font(made(serif), tmp_path / "x.ttf", "X")
    assert list(tmp_path.iterdir()) == []


BAD_NAMES = ["", " ", "a" * 32, "7th", "Zoë", "a/b", "a\0b", "a\n", "a  b", " a", "(x)", "../x", None]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_programs_would_not_take_are_refused(serif, tmp_path, name):
    with pytest.raises(DataError, match=r"cannot be called|programs cut names"):
        export.font(serif, tmp_path / "x.ttf", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [dict(licence="a\0"), dict(licence_url=3), dict(designer="\x07")])
def test_terms_are_text(serif, tmp_path, other):
    with pytest.raises(DataError, match="give it as text"):
        export.font(serif, tmp_path / "x.ttf", "X", **other)


def test_places_that_cannot_be_written_to_are_said(serif, tmp_path):
    with pytest.raises(DataError, match=r"let it end in \.ttf"):
        export.font(serif, tmp_path / "x.otf", "X")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(disk.DiskError, match="choose another folder"):
        export.font(serif, tmp_path / "file" / "x.ttf", "X")
    (tmp_path / "x.ttf").mkdir()
    with pytest.raises(disk.DiskError, match="is left as it is"):
        export.font(serif, tmp_path / "x.ttf", "X")
    assert (tmp_path / "file").read_text() == "mine"


def test_an_alphabet_of_noise_still_makes_a_font_that_opens(tmp_path):
    """Whatever a model draws, the file is sound: many outlines, broken letters, ink at the edges."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, size=(62, 7, 7)).repeat(4, axis=1).repeat(4, axis=2).reshape(62, 784)
    font = TTFont(export.font(x, tmp_path / "noise.ttf", "Noise"), lazy=False)
    font.ensureDecompiled()
    pen = AreaPen(font.getGlyphSet())
    font.getGlyphSet()["a"].draw(pen)
    assert abs(pen.value) > 0
