"""What a model offers, whatever family it is of; training, scores, samples and the board call nothing else.

A model of ten lines will do: a ``torch.nn.Module`` with what :class:`Generator` lists. Register it in
``helpers.build.FAMILIES``, and ``python -m helpers fit --model NAME`` trains, scores, checks and saves it.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from helpers.data.dataset import Dataset, as_floats
from helpers.progress import Progress


class Generator(Protocol):
    """A distribution over data that can be sampled, and scored if ``bound`` says so.

    Optional, for those that have it: ``step(batch, optimisers, **objective) -> (loss, metrics)`` with ``parts()``, for
    training with more than one loss (``helpers.training.loop``); ``encode(x, c)`` and ``decode(z, c)``, for codes;
    ``sets = True``, if an example is a set of members with one code (``helpers.models.sets``).

    And ``fill_in(x, known, c=None, n=1, generator=None, **options) -> draws``, for what is missing: n draws of each
    example, (n, N, …), from p(missing | known, c), in which what is known stands unchanged. ``known`` is 1 or 0 (or
    True or False), of the shape of one example or of x; what x holds in the other places is never looked at. ``fills``
    says what the draws are: "exact", from the conditional distribution of the model itself, or "approximate".
    ``conditional_log_prob(x, known, c)``, log p(missing | known, c), (N,), for those that have it. ``helpers.uses``
    calls these.
    """

    bound: str | None
    """What log_prob is: "exact", "IWAE-50", "ELBO", "density", "dequantised"; None for one without, like a GAN."""

    def loss(self, batch: tuple[Tensor, Tensor | None], **objective: Any) -> tuple[Tensor, dict]:
        """What training minimises, for a batch (x, c), and figures to report: means over the examples, in nats."""

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               **options: Any) -> Tensor:
        """n examples, under conditions c (n,) if there are labels. Options that it does not know, it ignores."""

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x|c) of each example, or a bound on it: (N,), in nats. Never called where ``bound`` is None."""


Model = Any  # a torch.nn.Module with what Generator lists: no type says both at once


class Examples(NamedTuple):
    """What a model is trained on and scored by: x (N, …), c or None, and of how many examples each row is, (N,)."""

    x: np.ndarray
    c: np.ndarray | None
    count: np.ndarray  # type: ignore[assignment]  # hides tuple.count, which nobody asks for here


def examples(model: Model, data: Dataset, split: str, rows: np.ndarray | None = None) -> Examples:
    """One split as the model takes it: examples, or sets of them. ``rows`` are taken instead of all of the split's."""
    if getattr(model, "sets", False):
        sets = data.sets(split, dense=False)
        keep = slice(None) if rows is None else np.isin(sets.index, data.group[rows])  # whole sets
        return Examples(sets.x[keep], sets.c[keep], (sets.c[keep] >= 0).sum(axis=1))
    rows = data.rows[split] if rows is None else rows
    return Examples(data.x[rows], None if data.c is None else data.c[rows], np.ones(len(rows), int))


@torch.no_grad()
def log_prob(model: Model, found: Examples, seed: int = 0, batch_size: int = 250, show: bool = False) -> np.ndarray:
    """log p of each row of ``found``, or the bound that ``model.bound`` names: (N,), in nats. show: with a bar."""
    device, parts = next(model.parameters()).device, []
    generator = torch.Generator(device).manual_seed(seed)
    model.eval()
    for number in Progress(-(-len(found.x) // batch_size), unit="batch", lines=0, show=show):
        start = number * batch_size
        x, c = (tensor(part, slice(start, start + batch_size), device) for part in found[:2])
        parts.append(model.log_prob(x, c, generator=generator).detach().cpu().double())
    return torch.cat(parts).numpy()


@torch.no_grad()
def sample(model: Model, n: int, c: np.ndarray | None = None, generator: torch.Generator | None = None,
           **options: Any) -> np.ndarray:
    """n examples under the conditions c, labels (n,) or real numbers (n, C), if there are any: (n, …)."""
    device = next(model.parameters()).device
    if device.type != "cpu" and generator is not None:  # a GPU draws from generators of its own
        generator = torch.Generator(device).manual_seed(int(torch.randint(1 << 62, (), generator=generator)))
    told, known = tensor(c, device=device), understood(model.sample, options)
    model.eval()
    if getattr(model, "sets", False):  # each a set of one
        told = None if told is None else told[:, None]
        return model.sample(n, told, generator=generator, **known)[:, 0].cpu().numpy()
    return model.sample(n, told, generator=generator, **known).cpu().numpy()


def everywhere(known: Tensor | np.ndarray, x: Tensor) -> Tensor:
    """What is ``known``, 1 or 0, of one example or of all, as True and False in the shape of x (N, …).

    One channel stands for all, as ever with broadcasting. Raises ValueError for other shapes, and for other numbers.
    """
    known = torch.as_tensor(known, device=x.device)
    if not ((known == 0) | (known == 1)).all():
        raise ValueError("known holds other numbers than 0 and 1; give 1 for what is known, and 0 for what is missing.")
    try:
        return (known == 1).expand(x.shape)
    except RuntimeError:
        raise ValueError(f"known has shape {tuple(known.shape)}, and the examples {tuple(x.shape)}; give the shape of "
                         "one example, or of all.") from None


def understood(function: Callable, options: dict) -> dict:
    """Those of the options that a function takes."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind == p.VAR_KEYWORD for p in parameters):
        return options
    return {name: value for name, value in options.items() if name in {p.name for p in parameters}}


def tensor(array: np.ndarray | None, rows: np.ndarray | slice = slice(None),
           device: torch.device | str = "cpu") -> Tensor | None:
    """Rows of an array as a model takes them: bytes as 0 to 1, real numbers as float32, symbols as they are."""
    if array is None:
        return None
    part = torch.as_tensor(np.array(as_floats(array[rows]))).to(device)
    if part.dtype == torch.int16:  # symbols, stored small
        return part.long()
    return part.float() if part.is_floating_point() else part
