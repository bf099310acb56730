"""Designers: turn a code or pick a condition, and see (or hear) at once what the model makes of it.

They need a running kernel. Where a notebook is only read, a still picture stands before each of them.
"""

import html
import io
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from helpers import sound
from helpers.data import colours, glyphs
from helpers.data.text import Vocabulary
from helpers.disk import DiskError, write_new
from helpers.models import VAE, SetVAE
from helpers.models.texts import LanguageModel
from helpers.plotting import montage

Directions = Sequence[tuple[str, ArrayLike]]  # a name and a vector (K,) each


def png(grey: ArrayLike) -> bytes:
    """Grey levels (H, W), 0 for paper to 1 for ink, as the bytes of a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray((255 * (1 - np.clip(grey, 0, 1))).round().astype(np.uint8)).save(file, format="png")
    return file.getvalue()


class Explorer:
    """Sliders beside a picture that is drawn anew whenever one of them moves.

    draw: a function whose keyword arguments are the sliders' values; it returns a figure. ranges: for each argument
    (low, high, step, start), or a list of values, which begins with its first. Example::

        Explorer(draw, lr=[0.01, 0.03, 0.1], steps=(1, 40, 1, 10)).show()
    """

    def __init__(self, draw: Callable[..., Figure], **ranges: tuple[float, float, float, float] | list):
        import ipywidgets as widgets

        self.draw = draw
        layout, style = widgets.Layout(width="420px"), {"description_width": "120px"}
        self.sliders = {}
        for name, values in ranges.items():
            common = dict(description=name.replace("_", " "), continuous_update=False, layout=layout, style=style)
            if isinstance(values, list):
                self.sliders[name] = widgets.SelectionSlider(options=values, value=values[0], **common)
            else:
                low, high, step, start = values
                kind = widgets.IntSlider if all(float(v).is_integer() for v in values) else widgets.FloatSlider
                self.sliders[name] = kind(start, min=low, max=high, step=step, **common)
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        for slider in self.sliders.values():
            slider.observe(lambda change: self.redraw(), names="value")
        self.redraw()

    def redraw(self) -> None:
        """Draw for the present values, and close the figure."""
        figure = self.draw(**{name: slider.value for name, slider in self.sliders.items()})
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100)
        plt.close(figure)
        self.picture.value = file.getvalue()

    def show(self) -> Any:
        """The widget, for the end of a cell."""
        import ipywidgets as widgets

        return widgets.VBox([*self.sliders.values(), self.picture])


class Sliders:
    """A code as sliders: one for each of the ``directions``, (name, vector (K,)), from -3 to 3 around ``centre`` (K,).

    A length of 1 along a vector should be one standard deviation of real codes. Subclasses implement
    ``redraw()`` and put what they show into ``self.below``.
    """

    def __init__(self, model: VAE, directions: Directions, centre: ArrayLike | None = None):
        import ipywidgets as widgets

        self.model = model
        self.vectors = torch.stack([torch.as_tensor(v, dtype=torch.float32) for _, v in directions])  # (S, K)
        self.centre = torch.zeros(model.code) if centre is None else torch.as_tensor(centre, dtype=torch.float32)
        layout = widgets.Layout(width="360px")
        self.sliders = [
            widgets.FloatSlider(0, min=-3, max=3, step=0.1, description=name, continuous_update=True, layout=layout)
            for name, _ in directions
        ]
        self.random = widgets.Button(description="surprise me")
        self.reset = widgets.Button(description="back to the middle")
        self.below: list[Any] = []
        self._quiet = False
        for slider in self.sliders:
            slider.observe(lambda change: self._changed(), names="value")
        self.random.on_click(lambda button: self.set(np.random.default_rng().normal(size=len(self.sliders))))
        self.reset.on_click(lambda button: self.set(np.zeros(len(self.sliders))))

    @property
    def code(self) -> torch.Tensor:
        """The code that the sliders stand for: (1, K)."""
        return (self.centre + torch.tensor([s.value for s in self.sliders]) @ self.vectors)[None]

    def set(self, values: Iterable[float]) -> None:
        """Move all sliders, and draw once."""
        self._quiet = True
        for slider, value in zip(self.sliders, values, strict=True):
            slider.value = float(np.clip(value, -3, 3))
        self._quiet = False
        self.redraw()

    def _changed(self):
        if not self._quiet:
            self.redraw()

    def redraw(self) -> None:
        """Show what the code stands for."""
        raise NotImplementedError

    def show(self) -> Any:
        """The widget, for the end of a cell."""
        import ipywidgets as widgets

        half = (len(self.sliders) + 1) // 2
        columns = widgets.HBox([widgets.VBox(self.sliders[:half]), widgets.VBox(self.sliders[half:])])
        return widgets.VBox([columns, widgets.HBox([self.random, self.reset]), *self.below])


class TypefaceDesigner(Sliders):
    """Sliders that redraw an alphabet; a field that sets a word in it; a button that saves both as PNG.

    model: a VAE of fonts, as in the lesson Images: draw a new typeface. directions: (name, vector) each, see
    :class:`Sliders`.
    """

    def __init__(self, model: SetVAE, directions: Directions, centre: ArrayLike | None = None,
                 word: str = "From Encoder to Generator", folder: str | os.PathLike = "."):
        import ipywidgets as widgets

        super().__init__(model, directions, centre)
        self.folder = Path(folder)
        self.sheet, self.line = widgets.Image(format="png"), widgets.Image(format="png")
        self.word = widgets.Text(word, description="set", layout=widgets.Layout(width="360px"))
        self.export, self.said = widgets.Button(description="save as PNG"), widgets.Label()
        self.word.observe(lambda change: self.draw_word(), names="value")
        self.export.on_click(lambda button: self.save())
        self.below = [self.sheet, self.word, self.line, widgets.HBox([self.export, self.said])]
        self.redraw()

    @torch.no_grad()
    def redraw(self) -> None:
        """Decode the code under all characters, and draw them."""
        self.alphabet = self.model.expect(self.code, torch.arange(len(glyphs.CHARACTERS)))[0].numpy()  # (62, 784)
        large = glyphs.enlarge(self.alphabet, times=2)  # (62, 56, 56)
        self.sheet.value = png(montage(large, columns=31, shape=large.shape[1:], gap=0))
        self.draw_word()

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


def spectrogram_png(log_magnitude: ArrayLike, height: int = 260, times: int = 2) -> bytes:
    """Log-magnitudes (frequencies, frames) as the bytes of a PNG, low frequencies at the bottom, loud is bright."""
    import matplotlib.pyplot as plt
    from PIL import Image

    part = np.clip((np.asarray(log_magnitude)[:height][::-1] + 7) / 6.5, 0, 1)
    rgb = (255 * plt.get_cmap("magma")(part)[..., :3]).astype(np.uint8)
    image = Image.fromarray(rgb.repeat(times, axis=0).repeat(2 * times, axis=1))
    file = io.BytesIO()
    image.save(file, format="png")
    return file.getvalue()


class InstrumentDesigner(Sliders):
    """Sliders that redraw the spectrogram of a scale; a button that plays a tune on the instrument.

    model: a VAE of instruments, as in the lesson Audio: play a new instrument. tune: (pitch, beats) each, None for a
    rest; ``first`` is the pitch of label 0.
    """

    def __init__(self, model: SetVAE, directions: Directions, centre: ArrayLike | None = None,
                 tune: Iterable[tuple[int | None, float]] = ((60, 1), (64, 1), (67, 2)), first: int = 48):
        import ipywidgets as widgets

        super().__init__(model, directions, centre)
        self.tune, self.first = list(tune), first
        self.pitches = sorted({p for p, _ in self.tune if p is not None})
        self.picture, self.player = widgets.Image(format="png"), widgets.Box()
        self.button = widgets.Button(description="play the tune")
        self.wave: np.ndarray | None = None  # what was played last
        self.button.on_click(lambda button: self.play())
        self.below = [self.picture, self.button, self.player]
        self.redraw()

    @torch.no_grad()
    def redraw(self) -> None:
        """Decode the code under the pitches of the tune, and draw their spectrograms side by side."""
        labels = torch.tensor([p - self.first for p in self.pitches])
        self.notes = self.model.expect(self.code, labels)[0]  # (pitches, frequencies, frames)
        self.picture.value = spectrogram_png(torch.cat(list(self.notes), dim=1))

    def play(self) -> None:
        """Turn the notes into sound (Griffin-Lim), set the tune, and show a player that starts by itself."""
        import ipywidgets as widgets

        samples = sound.HOP * (self.notes.shape[2] - 1)
        waves = sound.griffin_lim(self.notes.exp(), samples, iterations=16, generator=torch.Generator().manual_seed(0))
        self.wave = wave = sound.melody(dict(zip(self.pitches, waves.numpy())), self.tune)
        data = sound.encode(wave, format="wav")
        self.player.children = [widgets.Audio(value=data, format="wav", autoplay=True, loop=False)]


class ColourNamer:
    """Pick a colour, get names for it, at once; a slider for the temperature, a button for other names.

    model: a model of names that is told a colour in Oklab, as in the lesson Text: name a colour, with the
    ``vocabulary`` of its data. The same colour, temperature and number of the draw give the same names.
    """

    def __init__(self, model: LanguageModel, vocabulary: Vocabulary, colour: str = "#35ad6b", n: int = 5,
                 temperature: float = 0.8):
        import ipywidgets as widgets

        self.model, self.vocabulary, self.n, self.draw = model, vocabulary, n, 0
        self.names: list[str] = []
        self.picker = widgets.ColorPicker(value=colour, description="colour")
        whole = dict(description_width="initial")  # or the label is cut
        self.temperature = widgets.FloatSlider(temperature, min=0.2, max=1.4, step=0.1, description="temperature",
                                               style=whole)
        self.again, self.sheet = widgets.Button(description="other names"), widgets.HTML()
        for control in (self.picker, self.temperature):
            control.observe(lambda change: self.redraw(), names="value")
        self.again.on_click(lambda button: self.next())
        self.redraw()

    def next(self) -> None:
        """Draw other names for the same colour."""
        self.draw += 1
        self.redraw()

    def redraw(self) -> None:
        """Draw ``n`` names for the colour of the picker, and show them on it."""
        from matplotlib.colors import to_hex, to_rgb

        rgb = to_rgb(self.picker.value)
        c = torch.as_tensor(colours.rgb_to_oklab(rgb), dtype=torch.float32)
        generator = torch.Generator().manual_seed(self.draw)
        x = self.model.sample(self.n, c, generator, temperature=self.temperature.value)
        self.names = list(self.vocabulary.decode(x.numpy()))
        paper, ink = to_hex(rgb), "white" if c[0] < 0.65 else "black"
        lines = "".join(f"<div>{html.escape(name) or '(no name)'}</div>" for name in self.names)
        self.sheet.value = (f'<div style="background:{paper}; color:{ink}; width:360px; padding:12px; '
                            f'font-size:18px; line-height:1.5">{lines}</div>')

    def show(self) -> Any:
        """The widget, for the end of a cell."""
        import ipywidgets as widgets

        return widgets.VBox([widgets.HBox([self.picker, self.temperature, self.again]), self.sheet])
