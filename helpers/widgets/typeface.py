"""The designer of typefaces, as in the lesson Images."""

import itertools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from helpers import export
from helpers.data import glyphs, strokes
from helpers.disk import DiskError, free_name, write_new
from helpers.errors import DataError
from helpers.models import SetVAE
from helpers.models.prior import Prior
from helpers.plotting import montage
from helpers.widgets.explorer import Directions, Sliders, picture, png


class FontSaver:
    """A field for a name and a button that writes the present alphabet as a font, under a file name not yet taken.

    alphabet: a function that returns it, distances (62, 784), or None where there is nothing to save yet.
    """

    def __init__(self, alphabet: Callable[[], np.ndarray | None], folder: Path, name: str):
        import ipywidgets as widgets

        self.alphabet, self.folder = alphabet, folder
        self.name = widgets.Text(name, description="font", layout=widgets.Layout(width="360px"))
        self.button, self.said = widgets.Button(description="save as font"), widgets.Label()
        self.button.on_click(lambda button: self.save())
        self.box = widgets.VBox([widgets.HBox([self.name, self.button]), self.said])

    def save(self) -> Path | None:
        """Write the font beside the notebook; what came of it stands beside the button."""
        alphabet, name = self.alphabet(), self.name.value.strip()
        if alphabet is None:
            self.said.value = "There is no alphabet yet."
            return None
        stem = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "font"
        try:
            file = export.font(alphabet, free_name(self.folder / f"{stem}.ttf"), name)
        except (DataError, DiskError) as error:
            self.said.value = str(error)
            return None
        self.said.value = f"saved {file.resolve()}; open it to install the typeface"
        return file


class TypefaceDesigner(Sliders):
    """Sliders that redraw an alphabet; a field that sets a word in it; buttons that save it as pictures and as a font.

    model: a VAE of fonts, as in the lesson Images: draw a new typeface. directions: (name, vector) each, see
    :class:`Sliders`, and for prior and traits.
    """

    TRAITS = ("weight", "slant", "width", "x-height", "serif", "contrast")

    def __init__(self, model: SetVAE, directions: Directions, centre: ArrayLike | None = None,
                 word: str = "From Encoder to Generator", folder: str | os.PathLike = ".", prior: Prior | None = None,
                 traits: Sequence[str] | None = None):
        import ipywidgets as widgets

        super().__init__(model, directions, centre, prior, traits)
        self.folder = Path(folder)
        self.sheet, self.line = picture(), picture()
        self.word = widgets.Text(word, description="set", layout=widgets.Layout(width="360px"))
        self.export, self.said = widgets.Button(description="save as PNG"), widgets.Label()
        self.word.observe(lambda change: self.draw_word(), names="value")
        self.export.on_click(lambda button: self.save())
        self.font = FontSaver(lambda: self.alphabet, self.folder, "My typeface")
        self.below = [self.sheet, self.word, self.line, widgets.HBox([self.export, self.said]), self.font.box]
        self.redraw()

    def redraw(self) -> None:
        """Decode the code under all characters, and draw them."""
        self.alphabet = strokes.decoded(self.model, self.code)  # (62, 784)
        large = glyphs.enlarge(self.alphabet, times=2)  # (62, 56, 56)
        self.sheet.value = png(montage(large, columns=31, shape=large.shape[1:], gap=0))
        self.draw_word()

    def measured(self) -> dict[str, float]:
        """The traits of the alphabet that is shown."""
        return glyphs.measure(self.alphabet)

    def draw_word(self) -> None:
        """Set the text of the field in the present alphabet."""
        self.line.value = png(glyphs.set_text(self.alphabet, self.word.value))

    def save(self) -> list[Path]:
        """Write the alphabet and the word as PNG files, beside the notebook, under two names not yet taken."""
        for number in itertools.count(1):
            files = [self.folder / f"typeface-{number}-{part}.png" for part in ("alphabet", "word")]
            if not any(map(os.path.lexists, files)):
                break
        try:
            for file, picture in zip(files, (self.sheet.value, self.line.value), strict=True):
                write_new(file, bytes(picture))
        except DiskError as error:  # somebody was quicker
            self.said.value = str(error)
            return []
        except OSError as error:
            self.said.value = f"{files[0].parent} cannot be written to ({error.strerror}); choose another folder."
            return []
        self.said.value = f"saved {files[0].name} and {files[1].name}"
        return files
