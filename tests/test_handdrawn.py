"""A letter drawn by hand: its field, what the reader takes it for, and the canvas that it is drawn on."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import disk
from helpers.checkpoints import load_model
from helpers.data import DataError, glyphs, handdrawn
from helpers.models import SetVAE
from helpers.models.images import ConditionalDecoder, ConditionalEncoder, Reader
from helpers.widgets import LetterCanvas

SHIPPED = disk.DATA / "samples" / "letters"
STEM = [[14, 6], [14, 20]]


def image(strokes, pen=2.0, letter=None):
    return handdrawn.field(strokes, pen, letter).reshape(28, 28)


def test_a_stroke_is_as_thick_as_its_pen():
    field = image([STEM], pen=3.0)
    x, y = np.meshgrid(np.arange(28) + 0.5, np.arange(28) + 0.5)
    true = 1.5 - np.hypot(x - 14, y - np.clip(y, 6, 20))
    assert np.abs(field - true.clip(-2, 2)).max() < 0.13  # the mean of four finer pixels
    assert glyphs.ink(field)[13].sum() == pytest.approx(3.0, abs=0.1)


def test_letters_are_centred_and_capitals_put_on_the_line():
    small = [[[3, 4], [3, 9]], [[3, 4], [6, 4]]]  # far too small, in a corner
    ink = image(small, letter="F") > 0
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert rows[0] == pytest.approx(glyphs.BASELINE - glyphs.CAPITAL, abs=0.6)
    assert rows[-1] + 1 == pytest.approx(glyphs.BASELINE, abs=0.6)
    assert columns[[0, -1]].mean() == pytest.approx(13.5, abs=0.6)
    low = [[[2, 12], [8, 20]], [[8, 12], [2, 20]]]
    kept = np.flatnonzero((image(low, letter="x") > 0).any(axis=1))  # a small letter stays beside its lines
    assert kept[0] == pytest.approx(11.5, abs=0.6) and kept[-1] == pytest.approx(20, abs=0.6)


def test_what_would_not_fit_is_made_smaller():
    ink = image([[[-20, 10], [60, 10]], [[20, 2], [20, 25]]], letter="T") > 0
    assert ink.any() and not ink[:, [0, -1]].any()


def test_a_dot_and_empty_strokes_and_two_points_at_one_place():
    dot = image([[[14, 14]], [], [[14, 14], [14, 14]]])
    assert dot.max() > 0.2 and (dot > 0).sum() <= 5


@pytest.mark.parametrize(
    ("strokes", "given", "message"),
    [
        ([], {}, "nothing is drawn yet"),
        ([[]], {}, "nothing is drawn yet"),
        ("abc", {}, "a list of strokes"),
        (None, {}, "a list of strokes"),
        ([[1, 2, 3]], {}, "a list of strokes"),
        ([[[1, 2, 3]]], {}, "a list of strokes"),
        ([[[1, np.nan]]], {}, "a list of strokes"),
        ([[[1, 1e9]]], {}, "a list of strokes"),
        ([[[1, 1]] * 20_001], {}, "more than 20,000 points"),
        ([STEM], dict(pen=0.1), "the pen is 0.1 pixels wide"),
        ([STEM], dict(letter="é"), "none of the 62"),
        ([STEM], dict(letter="ab"), "none of the 62"),
        ([STEM], dict(letter=""), "none of the 62"),
    ],
)
def test_what_is_no_drawing_is_refused(strokes, given, message):
    with pytest.raises(DataError, match=message):
        handdrawn.field(strokes, **given)


@pytest.mark.parametrize("name", ["R", "a"])
def test_shipped_drawings_are_read_as_what_they_are(name):
    letter, strokes, pen = handdrawn.load(SHIPPED / f"{name}.json")
    field = handdrawn.field(strokes, pen, letter)
    reader = Reader(62)
    load_model(disk.PRETRAINED / "glyphs-reader", reader.eval())
    read = reader.read(torch.as_tensor(glyphs.ink(field))[None].float())
    assert glyphs.CHARACTERS[int(read[0])] == letter == name
    assert sum(map(len, strokes)) > 50


@pytest.mark.parametrize("text", ["", "[1, 2]", "{}", '{"letter": "R", "pen": 2, "strokes": 3}', "[" * 100_000,
                                  '{"letter": "R", "pen": null, "strokes": []}'])
def test_files_that_hold_no_drawing_are_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match="is no drawing"):
        handdrawn.load(tmp_path / "x.json")
    with pytest.raises(DataError, match="cannot be read"):
        handdrawn.load(tmp_path / "none.json")


@pytest.fixture
def canvas(tmp_path):
    torch.manual_seed(0)
    average = torch.rand(62, 784) * 4 - 2
    model = SetVAE(ConditionalEncoder(784, 62, (8,), 4), ConditionalDecoder(4, 62, (8, 8), 784, average), 4)
    return LetterCanvas(model, SHIPPED / "R.json", folder=tmp_path)


def pixels(widget):
    return np.asarray(Image.open(io.BytesIO(bytes(widget.value))))


def test_strokes_that_arrive_redraw_the_alphabet(canvas):
    assert canvas.letter.value == "R" and canvas.said.value == "an alphabet from R"
    before, first = pixels(canvas.sheet), canvas.alphabet
    assert first.shape == (62, 784) and before.shape == (4 * 56, 16 * 56)
    canvas.canvas.strokes = [STEM]  # as the browser sends them
    assert (canvas.alphabet != first).any() and (pixels(canvas.sheet) != before).any()
    canvas.pen.value = 4.0
    assert canvas.canvas.pen == 4.0


def test_letters_drawn_before_count_and_come_back(canvas):
    drawn = list(canvas.canvas.strokes)
    canvas.letter.value = "a"
    assert canvas.canvas.strokes == [] and canvas.canvas.letter == "a" and canvas.said.value == "an alphabet from R"
    alone = canvas.alphabet
    canvas.set([STEM])
    assert canvas.said.value == "an alphabet from R, a" and (canvas.alphabet != alone).any()
    canvas.letter.value = "R"
    assert canvas.canvas.strokes == drawn and canvas.drawn["a"] == [STEM]


def test_undo_and_clear(canvas):
    n = len(canvas.canvas.strokes)
    canvas.undo.click()
    assert len(canvas.canvas.strokes) == n - 1
    canvas.clear.click()
    assert canvas.canvas.strokes == [] and "Draw the letter" in canvas.said.value and canvas.alphabet is None
    assert canvas.saver.save() is None and "no alphabet yet" in canvas.saver.said.value
    canvas.undo.click()  # nothing left
    assert canvas.canvas.strokes == []


def test_what_the_browser_sends_is_not_trusted(canvas):
    canvas.canvas.strokes = [[[1, 2, 3]]]
    assert "a list of strokes" in canvas.said.value


def test_the_canvas_carries_its_script_and_its_lines(canvas):
    state = canvas.canvas.get_state()
    assert "pointerdown" in state["_esm"] and json.dumps(state["strokes"]) and state["guides"][-1] == ["line", 21.5]
    assert canvas.show().children[0].children[0].children[-1] is canvas.canvas
