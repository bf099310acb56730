"""A sheet of colours with names on them, and a colour picker that names what it picks: Text: name a colour."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from helpers.data import colours
from helpers.evaluation.filters import rude
from helpers.evaluation.naming import Namer
from helpers.widgets.explorer import column


def patches(lab: npt.ArrayLike, names: Sequence[str | Sequence[str]], columns: int = 8, height: float = 0.6,
            below: Sequence[str] = ()) -> Any:
    """A figure with a patch for each of names, in the colours lab (N, 3) of Oklab, of this height in inches.

    On a patch stands one name, broken at its first space, or a list of them; one more may stand below it. A rude name
    is not shown: "(rude)" stands there.
    """
    from matplotlib import pyplot as plt

    lab, rows = np.asarray(lab, float), -(-len(names) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(10, height * rows), layout="none", squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for i, (ax, name) in enumerate(zip(axes.flat, names, strict=False)):
        ax.add_patch(plt.Rectangle((0, 0), 1, 1, color=colours.oklab_to_rgb(lab[i])))
        ink = "white" if lab[i][0] < 0.65 else "black"
        text = _decent(name).replace(" ", "\n", 1) if isinstance(name, str) else "\n".join(map(_decent, name))
        ax.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, color=ink)
        if len(below):
            ax.text(0.5, -0.13, _decent(below[i]), ha="center", va="center", fontsize=8)
    gap, bottom = (0.3, 0.2 / rows) if len(below) else (0.08, 0.01)
    fig.subplots_adjust(wspace=0.04, hspace=gap, left=0.01, right=0.99, top=0.99, bottom=bottom)
    return fig


def _decent(name):
    return "(rude)" if rude(name) else name


class ColourNamer:
    """Pick a colour, get the best names of many draws, at once; a slider for the temperature, a button for others.

    namer: what chooses, as in the lesson Text: name a colour; it lets no rude names pass. The same colour,
    temperature and number of the draw give the same names.
    """

    def __init__(self, namer: Namer, colour: str = "#35ad6b", n: int = 5, temperature: float = 1.0):
        import ipywidgets as widgets

        self.namer, self.n, self.draw = namer, n, 0
        self.names: list[str] = []
        self.picker = widgets.ColorPicker(value=colour, description="colour")
        whole = dict(description_width="initial")  # or the label is cut
        self.temperature = widgets.FloatSlider(temperature, min=0.4, max=1.6, step=0.1, description="temperature",
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
        """Draw many names for the colour of the picker, and show the ``n`` best on it."""
        from matplotlib.colors import to_hex, to_rgb

        rgb = to_rgb(self.picker.value)
        c = torch.as_tensor(colours.rgb_to_oklab(rgb), dtype=torch.float32)
        generator = torch.Generator().manual_seed(self.draw)
        self.names = self.namer(c[None], generator, self.n, temperature=self.temperature.value)[0]
        paper, ink = to_hex(rgb), "white" if c[0] < 0.65 else "black"
        lines = "".join(f"<div>{html.escape(name)}</div>" for name in self.names or ["(no name)"])
        self.sheet.value = (f'<div style="background:{paper}; color:{ink}; width:360px; padding:12px; '
                            f'font-size:18px; line-height:1.5">{lines}</div>')

    def show(self) -> Any:
        """The widget, for the end of a cell."""
        import ipywidgets as widgets

        return column(widgets.HBox([self.picker, self.temperature, self.again]), self.sheet)
