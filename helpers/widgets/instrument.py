"""The designer of instruments, as in the lesson Audio."""

import io
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from helpers import export, sound, synthesis
from helpers.disk import DiskError
from helpers.errors import DataError
from helpers.models import SetVAE
from helpers.models.prior import Prior
from helpers.widgets.explorer import Directions, Sliders, picture

MIDDLE_C = 60  # the note whose traits are measured, as for the shipped prior


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
    """Sliders that redraw the spectrogram of a scale; vibrato and glide; buttons that play a tune, and save a patch.

    model: a VAE of instruments, as in the lesson Audio: play a new instrument. tune: (pitch, beats) each, None for a
    rest; ``first`` is the pitch of label 0. The patch, see :func:`helpers.export.sfz`, goes into a new folder in
    ``folder``. prior and traits: see :class:`Sliders`.
    """

    TRAITS = ("brightness", "attack", "decay")

    def __init__(self, model: SetVAE, directions: Directions, centre: ArrayLike | None = None,
                 tune: Iterable[tuple[int | None, float]] = ((60, 1), (64, 1), (67, 2)), first: int = 48,
                 folder: str | os.PathLike = ".", prior: Prior | None = None, traits: Sequence[str] | None = None):
        import ipywidgets as widgets

        super().__init__(model, directions, centre, prior, traits)
        self.tune, self.first, self.folder = list(tune), first, Path(folder)
        self.pitches = sorted({p for p, _ in self.tune if p is not None})
        self.picture, self.player = picture(), widgets.Box()
        layout, style = widgets.Layout(width="360px"), {"description_width": "120px"}
        common = dict(layout=layout, style=style, continuous_update=False)
        self.vibrato = widgets.FloatSlider(0, min=0, max=60, step=5, description="vibrato, cents", **common)
        self.glide = widgets.FloatSlider(0, min=0, max=0.5, step=0.05, description="glide, seconds", **common)
        self.button = widgets.Button(description="play the tune")
        self.save_button, self.said = widgets.Button(description="save as SFZ"), widgets.Label()
        self.wave: np.ndarray | None = None  # what was played last
        self.button.on_click(lambda button: self.play())
        self.save_button.on_click(lambda button: self.save())
        self.below = [self.picture, widgets.HBox([self.vibrato, self.glide]),
                      widgets.HBox([self.button, self.save_button, self.said]), self.player]
        self.redraw()

    @torch.no_grad()
    def decode(self, pitches: Iterable[int]) -> torch.Tensor:
        """Log-magnitudes of the present instrument under pitches: (pitches, frequencies, frames)."""
        return self.model.expect(self.code, torch.tensor([p - self.first for p in pitches]))[0]

    def redraw(self) -> None:
        """Decode the code under the pitches of the tune, and draw their spectrograms side by side."""
        self.notes = self.decode(self.pitches)  # (pitches, frequencies, frames)
        self.picture.value = spectrogram_png(torch.cat(list(self.notes), dim=1))

    def measured(self) -> dict[str, float]:
        """The traits of the instrument's middle C."""
        return synthesis.measure(self.decode([MIDDLE_C])[0], synthesis.hertz(MIDDLE_C))

    def play(self) -> None:
        """Add up the harmonics of the notes, set the tune, and show a player that starts by itself."""
        import ipywidgets as widgets

        notes = dict(zip(self.pitches, self.notes.numpy(), strict=True))
        self.wave = synthesis.play(notes, self.tune, vibrato=self.vibrato.value, glide=self.glide.value)
        data = sound.encode(self.wave, format="wav")
        self.player.children = [widgets.Audio(value=data, format="wav", autoplay=True, loop=False)]

    def save(self) -> Path | None:
        """Write the instrument as an SFZ patch into a folder of its own, beside the notebook; where it lies is said."""
        pitches = range(self.first, self.first + self.model.decoder.average.shape[0], 3)
        names = (f"instrument-{number}" for number in itertools.count(1))
        name = next(name for name in names if not os.path.lexists(self.folder / name))
        try:
            file = export.sfz(self.decode(pitches), pitches, self.folder / name, name)
        except (DiskError, DataError) as error:
            self.said.value = str(error)
            return None
        self.said.value = f"saved {name}/{file.name}, with {len(pitches)} samples"
        return file
