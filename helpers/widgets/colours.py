"""A colour picker that names what it picks, as in the lesson Text: name a colour."""

import html
from typing import Any

import torch

from helpers.data import colours
from helpers.evaluation.naming import Namer


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

        return widgets.VBox([widgets.HBox([self.picker, self.temperature, self.again]), self.sheet])
