"""A canvas in the browser, drawn on with mouse, finger or pen; its strokes arrive in Python when the pen is lifted."""

from pathlib import Path

import anywidget
import traitlets

from helpers.data.handdrawn import X_HEIGHT
from helpers.data.outlines import BASELINE, CAPITAL


class Canvas(anywidget.AnyWidget):
    """strokes: lists of [x, y] in pixels of the 28 × 28 image; pen: its width in them; times: their size on screen."""

    _esm = Path(__file__).with_name("canvas.js").read_text(encoding="utf-8")
    strokes: traitlets.List = traitlets.List().tag(sync=True)
    pen = traitlets.Float(2.2).tag(sync=True)
    letter = traitlets.Unicode("R").tag(sync=True)
    times = traitlets.Int(12).tag(sync=True)
    guides = traitlets.List([["capitals", BASELINE - CAPITAL], ["small letters", BASELINE - X_HEIGHT],
                             ["line", BASELINE]]).tag(sync=True)
