"""Sliders beside what they change: any figure (Explorer), or what a model makes of a code (Sliders)."""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from helpers.models import VAE
from helpers.models.prior import FlowPrior, Prior
from helpers.widgets import ordering

Directions = Sequence[tuple[str, ArrayLike]]  # a name and a vector (K,) each


def png(grey: ArrayLike) -> bytes:
    """Grey levels (H, W), 0 for paper to 1 for ink, as the bytes of a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray((255 * (1 - np.clip(grey, 0, 1))).round().astype(np.uint8)).save(file, format="png")
    return file.getvalue()


def picture() -> Any:
    """A widget for a picture, as large as it is; a box would stretch it, a short word into a large one."""
    import ipywidgets as widgets

    return widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))


def column(*children: Any) -> Any:
    """Widgets below each other, for the end of a cell. Where no kernel runs yet, a sentence stands in their place."""
    import ipywidgets as widgets

    class Column(widgets.VBox):
        def __repr__(self) -> str:  # the text that a notebook keeps of it
            return "Run this cell: here comes something to move or to draw on."

    return Column(children)


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
        self.picture = picture()
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
        return column(*self.sliders.values(), self.picture)


class Sliders:
    """A code as sliders: one for each of the ``directions``, (name, vector (K,)), from -3 to 3 around ``centre`` (K,).

    A length of 1 along a vector should be one standard deviation of real codes. Subclasses implement ``redraw()`` and
    ``measured()``, and put what they show into ``self.below``.

    prior: what "surprise me" draws a code from; sliders then go on from it. If it was told ``traits``, there is a form
    that orders some; they are the first of ``TRAITS`` unless they are named. Without a prior, sliders move at random.
    """

    TRAITS: tuple[str, ...] = ()  # what is measured

    def __init__(self, model: VAE, directions: Directions, centre: ArrayLike | None = None, prior: Prior | None = None,
                 traits: Sequence[str] | None = None):
        import ipywidgets as widgets

        self.model, self.prior = model, prior
        self.vectors = torch.stack([torch.as_tensor(v, dtype=torch.float32) for _, v in directions])  # (S, K)
        self.centre = torch.zeros(model.code) if centre is None else torch.as_tensor(centre, dtype=torch.float32)
        self.start = self.centre  # where the sliders start from: the middle, or a draw
        common = dict(min=-3, max=3, step=0.1, continuous_update=True, layout=widgets.Layout(width="360px"),
                      style={"description_width": "100px"})  # or longer names are cut
        self.sliders = [widgets.FloatSlider(0, description=name, **common) for name, _ in directions]
        self.random = widgets.Button(description="surprise me")
        self.reset = widgets.Button(description="back to the middle")
        self.below: list[Any] = []
        self._quiet = False
        for slider in self.sliders:
            slider.observe(lambda change: self._changed(), names="value")
        self.random.on_click(lambda button: self.surprise())
        self.reset.on_click(lambda button: self.back())
        self.form: ordering.OrderForm | None = None
        if prior is not None:
            traits = self.TRAITS[: getattr(prior, "condition", 0)] if traits is None else traits
            ordering.check(prior, model.code, traits, self.TRAITS)
            if isinstance(prior, FlowPrior) and traits:
                self.form = ordering.OrderForm(prior, traits, self.place, self.measured)

    @property
    def code(self) -> torch.Tensor:
        """The code that the sliders stand for: (1, K)."""
        return (self.start + torch.tensor([s.value for s in self.sliders]) @ self.vectors)[None]

    def set(self, values: Iterable[float]) -> None:
        """Move all sliders, and draw once."""
        self._quiet = True
        for slider, value in zip(self.sliders, values, strict=True):
            slider.value = float(np.clip(value, -3, 3))
        self._quiet = False
        self._changed()

    def place(self, code: torch.Tensor) -> None:
        """Show a code (K,), with all sliders in their middle."""
        self.start = code
        self.set(np.zeros(len(self.sliders)))

    def surprise(self) -> None:
        """A code from the prior, to which nothing is told; without one, sliders at random."""
        if self.form is not None:
            self.form.draw([None] * len(self.form.traits))
        elif self.prior is not None:
            self.place(self.prior.sample(1, None, ordering.fresh())[0])
        else:
            self.set(np.random.default_rng().normal(size=len(self.sliders)))

    def back(self) -> None:
        """The middle again."""
        if self.form is not None:
            self.form.forget()
        self.place(self.centre)

    def _changed(self):
        if not self._quiet:
            self.redraw()
            if self.form is not None:
                self.form.tell()

    def redraw(self) -> None:
        """Show what the code stands for."""
        raise NotImplementedError

    def measured(self) -> dict[str, float]:
        """The ``TRAITS`` of what is shown."""
        raise NotImplementedError

    def show(self) -> Any:
        """The widget, for the end of a cell."""
        import ipywidgets as widgets

        half = (len(self.sliders) + 1) // 2
        columns = widgets.HBox([widgets.VBox(self.sliders[:half]), widgets.VBox(self.sliders[half:])])
        form = [] if self.form is None else [self.form.box]
        return column(columns, widgets.HBox([self.random, self.reset]), *form, *self.below)
