"""Draw one letter with the mouse, and see the alphabet that a model of fonts makes of it, as in the lesson Images."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from helpers.data import glyphs, handdrawn
from helpers.data.strokes import decoded
from helpers.errors import DataError
from helpers.models import SetVAE
from helpers.plotting import montage
from helpers.widgets.explorer import column, picture, png
from helpers.widgets.typeface import FontSaver


@torch.no_grad()
def alphabet_of(model: SetVAE, letters: Mapping[str, ArrayLike]) -> np.ndarray:
    """The alphabet (62, 784), mended, that a model of fonts makes of some letters: each to its field (784,)."""
    x = torch.as_tensor(np.stack([np.asarray(field, np.float32) for field in letters.values()]))[None]  # (1, M, 784)
    c = torch.tensor([[glyphs.CHARACTERS.index(letter) for letter in letters]])  # (1, M)
    z = model.posterior(x, c).mean  # (1, K)
    return decoded(model, z)


class LetterCanvas:
    """A canvas, a choice of the letter, and below them the alphabet by the mean of the model's posterior.

    model: a VAE of fonts. Letters that were drawn before count, too: one is enough, and more say more. file: a drawing
    to begin with, as in ``data/samples/letters``. The alphabet is saved as a font in ``folder``, on demand.
    """

    def __init__(self, model: SetVAE, file: str | os.PathLike | None = None, folder: str | os.PathLike = "."):
        import ipywidgets as widgets

        from helpers.widgets.canvas import Canvas

        self.model, self.drawn = model, {}
        letter, strokes, pen = handdrawn.load(file) if file is not None else ("R", [], 2.2)
        self.drawn[letter] = [np.asarray(stroke).tolist() for stroke in strokes]
        self.canvas = Canvas(strokes=self.drawn[letter], letter=letter, pen=pen)
        self.letter = widgets.Dropdown(options=list(glyphs.CHARACTERS), value=letter, description="letter")
        self.pen = widgets.FloatSlider(pen, min=1, max=5, step=0.2, description="pen", continuous_update=False)
        self.undo, self.clear = widgets.Button(description="undo stroke"), widgets.Button(description="clear")
        self.sheet, self.said = picture(), widgets.Label()
        self.saver = FontSaver(lambda: self.alphabet, Path(folder), "My letter")
        self.alphabet: np.ndarray | None = None  # (62, 784)
        self.canvas.observe(lambda change: self.changed(), names="strokes")
        self.letter.observe(lambda change: self.choose(), names="value")
        self.pen.observe(lambda change: self.redraw(), names="value")
        self.undo.on_click(lambda button: self.set(self.canvas.strokes[:-1]))
        self.clear.on_click(lambda button: self.set([]))
        self.redraw()

    def set(self, strokes: list) -> None:
        """Put strokes on the canvas, in place of those that are there."""
        self.canvas.strokes = strokes

    def choose(self) -> None:
        """Turn to the letter of the dropdown; what was drawn of it before comes back."""
        letter = self.letter.value
        self.canvas.letter = letter
        self.set(self.drawn.get(letter, []))

    def changed(self) -> None:
        """Take what the canvas shows for the letter of the dropdown."""
        self.drawn[self.letter.value] = self.canvas.strokes
        self.redraw()

    def redraw(self) -> None:
        """Draw the alphabet of all letters that are drawn."""
        self.canvas.pen = self.pen.value
        try:
            fields = {k: handdrawn.field(strokes, self.pen.value, k) for k, strokes in self.drawn.items() if strokes}
        except DataError as error:
            self.said.value = str(error)
            return
        if not fields:
            self.said.value, self.sheet.value, self.alphabet = "Draw the letter between the lines.", b"", None
            return
        self.alphabet = alphabet_of(self.model, fields)
        large = glyphs.enlarge(self.alphabet, times=2)  # (62, 56, 56)
        self.sheet.value = png(np.nan_to_num(montage(large, columns=16, shape=large.shape[1:], gap=0)))
        self.said.value = f"an alphabet from {', '.join(sorted(fields))}"

    def show(self) -> Any:
        """The widget, for the end of a cell."""
        import ipywidgets as widgets

        left = widgets.VBox([self.letter, self.pen, widgets.HBox([self.undo, self.clear]), self.canvas],
                            layout=widgets.Layout(flex="0 0 360px"))
        return column(widgets.HBox([left, widgets.VBox([self.said, self.sheet, self.saver.box])]))
