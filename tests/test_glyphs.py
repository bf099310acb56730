"""Fonts as distance fields: drawn right, held out whole, cached in one step, and set as text."""

import numpy as np
import pytest

from helpers.data import DataError, cache, glyphs


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(cache, "FOLDER", tmp_path_factory.mktemp("cache"))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def data(own_cache):
    return glyphs.load(copies=4)


def test_distance_to_a_square_and_to_a_ring():
    square = np.array([[4, 4], [10, 4], [10, 10], [4, 10], [4, 4]], float)
    at = np.arange(14) + 0.5
    field = glyphs.signed_distance([square], at, at)
    x, y = np.meshgrid(at, at)
    dx, dy = np.maximum(np.abs(x - 7) - 3, 0), np.maximum(np.abs(y - 7) - 3, 0)
    inside = np.minimum(3 - np.abs(x - 7), 3 - np.abs(y - 7))
    true = np.where(inside > 0, inside, -np.hypot(dx, dy))
    assert np.abs(field - true.clip(-6, 6)).max() < 0.002
    # an inner outline that runs the other way round is a hole
    hole = np.array([[6, 6], [6, 8], [8, 8], [8, 6], [6, 6]], float)
    ring = glyphs.signed_distance([square, hole], at, at)
    assert ring[7, 7] < 0 < ring[5, 5]
    # one that runs the same way round overlaps, and is ink
    assert glyphs.signed_distance([square, hole[::-1]], at, at)[7, 7] > 0


def test_capitals_are_as_high_as_said_and_stand_on_the_line():
    field = glyphs.draw_font("DejaVuSans")["H"]
    rows = np.nonzero((field > 0).any(axis=1))[0] / glyphs.FINE
    assert rows[0] == pytest.approx(glyphs.BASELINE - glyphs.CAPITAL, abs=0.5)
    assert rows[-1] + 1 / glyphs.FINE == pytest.approx(glyphs.BASELINE, abs=0.5)
    columns = np.nonzero((field > 0).any(axis=0))[0]
    assert columns.mean() / glyphs.FINE == pytest.approx(glyphs.SIDE / 2 - 0.25, abs=0.5)


def test_mathematical_alphabets_are_found_in_both_their_places():
    assert glyphs.code_point("A", "fraktur") == 0x1D504 and glyphs.code_point("C", "fraktur") == 0x212D
    assert glyphs.code_point("7") == ord("7") and glyphs.code_point("7", "script") is None
    assert len(glyphs.outlines("STIXGeneral", "script")) == 52


def test_whole_fonts_are_held_out_and_no_copy_of_them_is_trained_on(data):
    names = np.array(data.group_names)
    fonts = {s: set(names[np.unique(data.group[data.rows[s]])]) for s in ("train", "valid", "test")}
    assert len(fonts["valid"]) == 4 and len(fonts["test"]) == 5
    bases = {name.split(" / ")[0] for name in fonts["train"]}
    assert len(bases) == 24 and not bases & (fonts["valid"] | fonts["test"])
    assert sum("/" in n for n in fonts["train"]) == 18 * 4 + 6 * 1
    seen = {x.tobytes() for x in data.train.x}
    assert not any(x.tobytes() in seen for part in (data.valid, data.test) for x in part.x)


def test_labels_sets_and_both_forms_agree(data):
    sets = data.sets("test")
    assert sets.x.shape == (5, 62, 784)
    lacking = [i for i, g in enumerate(sets.index) if data.group_names[g] == "STIX Sans Bold Italic"]
    assert ((sets.c < 0).sum(axis=1) == [10 if i in lacking else 0 for i in range(5)]).all()
    here = sets.c >= 0
    assert (sets.c[here] == np.nonzero(here)[1]).all() and not sets.x[~here].any()
    grey = glyphs.load(copies=4, form="ink")
    assert np.array_equal(grey.x, glyphs.ink(data.x)) and np.array_equal(grey.group, data.group)
    assert 0 <= grey.x.min() and grey.x.max() <= 1 and np.abs(data.x).max() <= glyphs.REACH


def test_copies_are_changed_alike_in_all_characters(data):
    """A slanted copy leans in every letter; weight and slant differ between copies far more than in one."""
    sets = data.sets("train")
    slant = []
    for i, g in enumerate(sets.index):
        if str(data.group_names[g]).startswith("DejaVu Sans / "):
            one = [glyphs.measure(np.where(np.isin(np.arange(62)[:, None], keep), sets.x[i], -2.0))["slant"]
                   for keep in ([7], [8, 37])]
            slant.append(one)
    assert glyphs.measure(sets.x[0])["slant"] == pytest.approx(0, abs=0.02)
    assert np.ptp([s[0] for s in slant]) > 0.05


def test_vary_with_nothing_to_change_keeps_the_font():
    class Still:
        normal = staticmethod(lambda mean=0, sd=1, size=None: 0.0 if size is None else np.zeros(size))
        uniform = staticmethod(lambda low, high: 0.0)
        random = staticmethod(lambda: 1.0)

    fine = np.stack(list(glyphs.draw_font("DejaVuSans").values()))
    kept = glyphs.vary(fine, Still())
    plain = fine.reshape(-1, 28, 2, 28, 2).mean(axis=(2, 4)).clip(-2, 2)
    near = np.abs(plain) < 0.8
    assert np.abs(glyphs.ink(kept) - glyphs.ink(plain))[near].mean() < 0.04


def test_pieces_are_counted_glyph_by_glyph():
    field = np.full((5, 28, 28), -2.0)
    field[1, 5:9, 5:9] = 2  # one block, and beside the next glyph's
    field[2, 0, :] = field[2, 27, :] = 2  # two lines, at the very edges
    field[3, 5, 5] = field[3, 6, 6] = 2  # pixels that touch at a corner
    field[4, 5, 5] = field[4, 7, 7] = 2
    assert glyphs.pieces(field).tolist() == [0, 1, 2, 1, 2]
    assert glyphs.pieces(field.reshape(5, 784)).tolist() == glyphs.pieces(field[None]).tolist()[0]
    faint = np.where(field > 0, -0.1, -2.0)  # grey of 0.41
    assert glyphs.pieces(faint).tolist() == [0, 1, 2, 1, 2] and not glyphs.pieces(faint, 0.5).any()


def test_a_letter_in_two_halves_is_broken_and_an_i_is_not():
    fine = np.stack(list(glyphs.draw_font("DejaVuSans").values()))
    alphabet = glyphs.coarse(fine).reshape(62, 784)
    assert not glyphs.broken(alphabet).any()
    cut = alphabet.reshape(62, 28, 28).copy()
    cut[glyphs.CHARACTERS.index("H"), :, 14] = cut[glyphs.CHARACTERS.index("i"), 18] = -2
    found = glyphs.broken(np.stack([alphabet, cut.reshape(62, 784)]))
    assert found.shape == (2, 62) and [glyphs.CHARACTERS[k] for k in np.nonzero(found[1])[0]] == ["H"]


def test_copies_with_broken_strokes_are_drawn_anew(data):
    fine = np.stack(list(glyphs.draw_font("STIXGeneral").values()))
    careless = [glyphs.vary(fine, np.random.default_rng(seed)) for seed in range(12)]
    assert any(glyphs.broken(copy.reshape(62, 784)).any() for copy in careless)
    kept = [glyphs.unbroken(fine, np.random.default_rng(seed)) for seed in range(12)]
    assert not any(glyphs.broken(copy.reshape(62, 784)).any() for copy in kept)
    assert any(np.array_equal(a, b) for a, b in zip(careless, kept))  # what was whole is kept as it is
    sets = data.sets("train")
    copied = np.array(["/" in str(data.group_names[g]) for g in sets.index]) & (sets.c >= 0).all(axis=1)
    assert glyphs.broken(sets.x[copied]).mean() < 0.005


def test_of_copies_that_all_break_the_one_with_the_fewest_faults_is_kept(monkeypatch):
    fine = np.stack(list(glyphs.draw_font("DejaVuSans").values()))
    copies = iter([3, 1, 2])

    def shattered(fields, rng):
        copy = glyphs.coarse(fields)
        copy[: next(copies), :, ::4] = -2  # so many letters are cut into strips
        return copy

    monkeypatch.setattr(glyphs, "vary", shattered)
    assert (glyphs.pieces(glyphs.unbroken(fine, None, tries=3), 0.5)[:3] > 1).tolist() == [True, False, False]


def test_measure_tells_weight_slant_and_feet(data):
    sets = data.sets("train")
    found = {str(data.group_names[g]): glyphs.measure(x) for g, x in zip(sets.index, sets.x)}
    assert found["DejaVu Sans Bold"]["weight"] > 1.3 * found["DejaVu Sans"]["weight"]
    assert found["DejaVu Sans Oblique"]["slant"] == pytest.approx(np.tan(np.radians(11)), abs=0.03)
    assert found["DejaVu Serif"]["serif"] > found["DejaVu Sans"]["serif"] + 0.2
    assert found["STIX"]["contrast"] > found["DejaVu Sans"]["contrast"] + 0.2


def test_the_cache_gives_the_same_and_survives_damage_and_a_read_only_folder(data, monkeypatch, tmp_path):
    monkeypatch.setattr(glyphs, "FONTS", glyphs.FONTS[:1] + tuple(f for f in glyphs.FONTS if f[3] != "train"))
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    first = glyphs.load(copies=1)
    (file,) = tmp_path.glob("*.npz")
    assert [p.name for p in tmp_path.iterdir()] == [file.name]  # nothing half-written lies about
    assert np.array_equal(glyphs.load(copies=1).x, first.x)
    file.write_bytes(file.read_bytes()[:1000])
    assert np.array_equal(glyphs.load(copies=1).x, first.x)
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "file" / "below")
    (tmp_path / "file").write_text("not a folder")
    assert np.array_equal(glyphs.load(copies=1).x, first.x)


def test_a_missing_font_or_glyph_is_left_out_and_said(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    held_out = tuple(f for f in glyphs.FONTS if f[3] != "train")
    fonts = (glyphs.FONTS[0], ("Gone", "NoSuchFont", "", "train"), ("Script", "STIXGeneral", "script", "train"))
    monkeypatch.setattr(glyphs, "FONTS", fonts + held_out)
    found = glyphs.load(copies=0)
    assert "Gone" not in found.group_names and any("left out: Gone" in note for note in found.notes)
    assert any("Script lacks the digits" in note for note in found.notes)
    monkeypatch.setattr(glyphs, "FONTS", fonts[1:2])
    with pytest.raises(DataError, match="none of the fonts"):
        glyphs.load(copies=0)
    with pytest.raises(DataError, match="'distance' or 'ink'"):
        glyphs.load(form="outline")


def test_enlarging_keeps_the_edge_where_it_is(data):
    x = data.test.x[:20]
    for times in (2, 3):
        large = glyphs.enlarge(x, times)
        assert large.shape == (20, 28 * times, 28 * times)
        small = large.reshape(20, 28, times, 28, times).mean(axis=(2, 4))
        assert np.abs(small - glyphs.ink(x).reshape(20, 28, 28)).mean() < 0.02
        assert ((large > 0.2) & (large < 0.8)).mean() < ((glyphs.ink(x) > 0.2) & (glyphs.ink(x) < 0.8)).mean()


def test_text_is_set_letter_by_letter(data):
    alphabet = data.sets("test").x[0]
    one, two = glyphs.set_text(alphabet, "I"), glyphs.set_text(alphabet, "II")
    assert one.shape[0] == two.shape[0] == 84 and two.shape[1] > one.shape[1]
    assert two.sum() == pytest.approx(2 * one.sum(), rel=1e-6)
    assert glyphs.set_text(alphabet, "").sum() == 0 and glyphs.set_text(alphabet, "é ü").sum() == 0
