"""The order form of the designers: what is ordered of a learned prior, and whether it came.

A prior p(z|c) that was told measured traits c draws codes for an order. A trait that may be anything is NaN in c.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from helpers.errors import DataError
from helpers.models.prior import FlowPrior, Prior

CHOICES = (("any", None), ("−2, much less", -2.0), ("−1, less", -1.0), ("0, average", 0.0), ("+1, more", 1.0),
           ("+2, much more", 2.0))  # in deviations of the examples that the prior learned from
GUIDANCE = 0.5  # how much an order is stressed; at much more, errors grow again
MISSED = 0.5  # deviations between what was ordered and what came


def check(prior: Prior, K: int, traits: Sequence[str], known: Sequence[str]) -> None:
    """Raise DataError, in one sentence, for a prior of codes other than (K,), or traits that do not fit to it."""
    if prior.K != K:
        raise DataError(f"the prior draws codes of {prior.K} numbers, and this model's have {K}; give the prior that "
                        "was fitted to its codes.")
    told = getattr(prior, "condition", 0)
    if len(traits) != told or not set(traits) <= set(known):
        raise DataError(f"the prior was told {told} traits, and these are named: {', '.join(traits) or 'none'}; name "
                        f"them in the order of its columns, each one of {', '.join(known)}.")


class OrderForm:
    """A choice for each trait, guidance, and a button that draws a code to order; below, what was ordered and came.

    traits: the names of the columns that the prior is told. place: what is done with a code (K,) that was drawn.
    measure: a function that returns the traits of what is shown, {name: value}.
    """

    def __init__(self, prior: FlowPrior, traits: Sequence[str], place: Callable[[Tensor], None],
                 measure: Callable[[], dict[str, float]]):
        import ipywidgets as widgets

        self.prior, self.traits, self.place, self.measure = prior, list(traits), place, measure
        self.ordered: list[float] | None = None  # in deviations, NaN for any; None where no draw is shown
        layout = widgets.Layout(width="250px")
        self.choices = [widgets.Dropdown(options=CHOICES, description=name, layout=layout) for name in traits]
        self.guidance = widgets.FloatSlider(GUIDANCE, min=0, max=4, step=0.5, description="guidance",
                                            layout=widgets.Layout(width="360px"))
        self.button, self.said = widgets.Button(description="draw to order"), widgets.HTML()
        self.button.on_click(lambda button: self.draw([choice.value for choice in self.choices]))
        half = (len(traits) + 1) // 2
        rows = [widgets.HBox(self.choices[:half]), widgets.HBox(self.choices[half:])]
        head = widgets.HTML("Or order one: what it should measure, in deviations from the average. Guidance of 0.5 to "
                            "1 comes best; with much more, many overshoot.")
        self.box = widgets.VBox([head, *rows, widgets.HBox([self.guidance, self.button]), self.said])

    def draw(self, order: Sequence[float | None]) -> None:
        """Place a code for an order: for each trait deviations from the mean, or None for any."""
        self.ordered = [math.nan if value is None else value for value in order]
        c = self.prior.c_mean + self.prior.c_deviation * torch.tensor([self.ordered]).to(self.prior.c_mean)
        self.place(self.prior.sample(1, c, fresh(), guidance=self.guidance.value)[0])

    def forget(self) -> None:
        """What is shown was not drawn."""
        self.ordered = None

    def tell(self) -> None:
        """Say what is measured on what is shown, and what of it was ordered."""
        if self.ordered is None:
            self.said.value = ""
            return
        try:
            measured = self.measure()
        except DataError as error:
            self.said.value = f"What came cannot be measured: {error}"
            return
        c = torch.tensor([measured[name] for name in self.traits]).to(self.prior.c_mean)
        came = ((c - self.prior.c_mean) / self.prior.c_deviation).tolist()
        parts = [f"{name} {signed(value)}{against(order, value)}"
                 for name, value, order in zip(self.traits, came, self.ordered, strict=True)]
        self.said.value = f"Measured, in deviations from the mean: {', '.join(parts)}."


def against(order: float, value: float) -> str:
    """What was ordered where something else may have come; nothing for "any"."""
    if math.isnan(order):
        return ""
    return f" (ordered {signed(order)}{': missed' if abs(value - order) > MISSED else ''})"


def signed(value: float) -> str:
    """A number with its sign and one digit behind the point."""
    return f"{round(value, 1) + 0:+.1f}".replace("-", "−")


def fresh() -> torch.Generator:
    """Random numbers that nobody has seeded, and that leave those of the notebook alone."""
    generator: Any = torch.Generator()
    generator.seed()
    return generator
