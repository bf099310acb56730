"""A model that suits a data set: ``build(data)``, of the family that its sense names, or any other by its name.

What was chosen is a plan, a dict that JSON can hold; ``assemble(plan)`` makes the same networks again, so that a
model on disk can be opened where its data are not: ``restore(path)``.
"""

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from helpers import checkpoints, senses
from helpers.data.dataset import DataError, Dataset
from helpers.models import images, sounds, texts
from helpers.models.contract import Model
from helpers.models.families.adversarial import GAN
from helpers.models.families.coupling import CouplingFlow
from helpers.models.families.made import MADE
from helpers.models.families.masked import Masked
from helpers.models.families.masked_text import MaskedText
from helpers.models.families.matching import FlowMatching
from helpers.models.families.mixture import BernoulliMixture
from helpers.models.families.rbm import RBM
from helpers.models.language import Language
from helpers.models.prior import FlowPrior, Mixture, StandardNormal
from helpers.models.sets import SetVAE
from helpers.models.vae import VAE
from helpers.training import ramp


class VAEs:
    """The family of VAEs: networks by the sense, one code an example, or one for a set of them."""

    def plan(self, data: Dataset, **choices: Any) -> dict:
        """The choices, checked, and what the data decide. Raises DataError."""
        own, what = senses.sense(data.kind), data.kind or "image"
        for name in choices:
            if name not in own.CHOICES:
                raise DataError(f"{data.name}: {name} cannot be chosen for a model of {what}s; choose among "
                                f"{', '.join(own.CHOICES)}.")
        chosen = {**own.CHOICES, **{name: value for name, value in choices.items() if value is not None}}
        _check_choices(data.name, chosen)
        found = own.plan(data, chosen)
        if data.c is not None and data.c.ndim == 2 and "condition" not in found:
            raise DataError(f"{data.name}: its condition is {data.c.shape[1]} real numbers, and models of {what}s are "
                            "built for labels; give whole numbers (N,), or c=None.")
        return found

    def assemble(self, plan: dict) -> VAE:
        """The untrained VAE of a plan."""
        encoder, decoder = senses.sense(plan["kind"]).networks(plan)
        prior: Any = assemble(plan["prior"]) if "prior" in plan else None  # one that was fitted after training
        return (SetVAE if plan.get("shared") else VAE)(encoder, decoder, plan["code"], prior)

    def start(self, model: nn.Module, data: Dataset, plan: dict) -> None:
        """Let learning start from what the data are on average."""
        senses.sense(plan["kind"]).start(model, data, plan, plan.get("sigma"))

    def finish(self, model: nn.Module, data: Dataset) -> None:
        """What a sense does with a trained model before it is judged, if it has anything to do."""
        getattr(senses.sense(data.kind), "finish", lambda model, data: None)(model, data)

    def recipe(self, plan: dict, n: int) -> dict:
        """Arguments for ``training.fit``: the sense's, with a beta that rises over the first part of training."""
        found = dict(senses.sense(plan["kind"]).recipe(plan, n))
        objective = found.pop("objective", {})
        if "beta" in found:
            objective = {"beta": ramp(until=0.15, end=found.pop("beta")), **objective}
        return found | {"objective": objective}

    def says(self, plan: dict) -> str:
        """What it is, in words."""
        code = f"one code of {plan['code']} for a group" if plan.get("shared") else f"a code of {plan['code']}"
        prior = f", drawn from {assemble(plan['prior']).says}" if "prior" in plan else ""
        return f"VAE of {plan['kind']}s{_told(plan)}; {code}{prior}"


class Family:
    """A family whose models are made by one class, from what its constructor asks for by name.

    ``kind``, ``labels`` (how many, or 0), ``shape`` (of an example), ``symbols`` (of a text) and ``condition`` (how
    many real numbers) are facts of the data, and so is what the class's own ``look(data)`` finds, if there is one,
    which raises DataError for data that it cannot handle; all other arguments are choices, with defaults.
    """

    def __init__(self, name: str, make: Callable[..., nn.Module]):
        self.name, self.make = name, make
        self.asks = inspect.signature(make).parameters

    def plan(self, data: Dataset, **choices: Any) -> dict:
        """The facts that the constructor asks for, and the choices. Raises DataError for one that it does not have."""
        seen = self.make.look(data) if hasattr(self.make, "look") else {}
        known = facts(data) | seen
        if "symbols" in self.asks and not known["symbols"]:
            raise DataError(f"{data.name}: {self.name} is for texts, and examples of shape {data.x.shape[1:]} are not "
                            "texts with a vocabulary; make them with helpers.data.text.make or folders.texts.")
        free = [name for name in self.asks if name not in known]
        for name in choices:
            if name not in free:
                raise DataError(f"{data.name}: {name} cannot be chosen for {self.name}; choose among "
                                f"{', '.join(free) or 'nothing'}.")
        defaults = {name: self.asks[name].default for name in free if self.asks[name].default is not inspect._empty}
        given = {name: value for name, value in choices.items() if value is not None}
        _check_choices(data.name, given)
        return {name: known[name] for name in self.asks if name in known} | seen | defaults | given

    def assemble(self, plan: dict) -> nn.Module:
        """The untrained model of a plan."""
        return self.make(**{name: plan[name] for name in self.asks if name in plan})

    def start(self, model: Model, data: Dataset, plan: dict) -> None:
        """As the model's own ``start(data)`` has it, if there is one."""
        if hasattr(model, "start"):
            model.start(data)

    def finish(self, model: Model, data: Dataset) -> None:
        """Nothing is done with a trained model."""

    def recipe(self, plan: dict, n: int) -> dict:
        """Arguments for ``training.fit``: the class's ``recipe``, a dict or recipe(plan, n), over what suits many."""
        epochs = max(20, min(400, 20_000 // math.ceil(n / 64)))
        usual = dict(batch_size=64, lr=2e-3, weight_decay=0.01, clip=1.0, warmup=0.05, epochs=epochs, objective={})
        own = getattr(self.make, "recipe", {})
        return usual | dict(own(plan, n) if callable(own) else own)

    def says(self, plan: dict) -> str:
        """What it is, in words, with what the class's own ``says(plan)`` adds, if there is one."""
        more = f"; {self.make.says(plan)}" if hasattr(self.make, "says") else ""
        return f"{self.name} of {plan['kind']}s{_told(plan)}{more}"


def facts(data: Dataset) -> dict:
    """What a family may ask for: facts of the data."""
    labels = condition = 0
    if data.c is not None and data.c.ndim == 1:
        labels = max(len(data.names), int(data.c.max()) + 1)
    elif data.c is not None:
        condition = data.c.shape[1]
    return {
        "kind": data.kind or "image",
        "labels": labels,
        "shape": list(data.x.shape[1:]),
        "symbols": 0 if data.vocabulary is None else len(data.vocabulary),
        "condition": condition,
    }


# A new family is one line here: a class, or an object like VAEs with the same methods.
FAMILIES: dict[str, Any] = {"vae": VAEs(), "language": Language, "masked": Masked, "flow": CouplingFlow,
                            "gan": GAN, "flow-matching": FlowMatching, "masked-text": MaskedText,
                            "mixture": BernoulliMixture}
OF_TEXTS = {"masked": "masked-text"}  # what a family is where the data have a vocabulary

# What a plan may name beside the families: networks, and models made of them.
PARTS: dict[str, Callable[..., nn.Module]] = {
    part.__name__: part
    for part in (VAE, SetVAE, images.MLPEncoder, images.MLPDecoder, images.ConvEncoder, images.ConvDecoder,
                 images.ConditionalEncoder, images.ConditionalDecoder, images.Reader, sounds.SpectrogramEncoder,
                 sounds.SpectrogramDecoder, texts.GRULanguageModel, texts.Transformer, texts.TextEncoder,
                 texts.TextDecoder, MADE, RBM, StandardNormal, Mixture, FlowPrior)
}


def family(name: str) -> VAEs | Family:
    """The family of this name. Raises DataError, naming those that there are."""
    if name not in FAMILIES:
        raise DataError(f"there is no family of models {name!r}; choose among {', '.join(FAMILIES)}.")
    found = FAMILIES[name]
    made_by_one = inspect.isclass(found) or inspect.isfunction(found)
    return Family(name, found) if made_by_one else found


def build(data: Dataset, model: str | None = None, **choices: Any) -> nn.Module:
    """An untrained model for a data set of images, sounds or texts; conditional, if it has labels.

    model: a name in ``FAMILIES``; by default that of the sense: "language" for texts, else "vae". choices: what the
    family can be told. Of language: ``hidden``, ``embedding``, ``dropout``, and ``order`` of the n-grams. Of VAEs, for
    all: ``code``, how many numbers it has. Images: ``channels``, ``hidden``, ``convolutional``, ``dropout``,
    ``likelihood`` ("levels" or "normal"), ``sigma``, where learning starts. Sounds: ``rank``, spectra a label;
    ``hidden``, ``shared``, ``sigma``. Texts: ``hidden``, ``embedding``, ``dropout``, ``drop_symbols``, ``longest``.
    ``model.plan`` says what was chosen. Draws first weights from torch's random numbers.

    Raises DataError for a choice that there is not, and for data that the family cannot handle.
    """
    chosen = plan(data, model, **choices)
    made = assemble(chosen)
    with torch.no_grad():
        family(chosen["model"]).start(made, data, chosen)
    return made


def plan(data: Dataset, model: str | None = None, **choices: Any) -> dict:
    """What ``build`` would choose, as numbers and words."""
    known = facts(data)
    try:
        name: str = model or senses.sense(data.kind).MODEL
        name = OF_TEXTS.get(name, name) if known["symbols"] else name
        found = family(name).plan(data, **choices)
    except DataError as error:
        start = f"{data.name}: "
        raise DataError(start + str(error).removeprefix(start)) from None
    return {"model": name, "kind": known["kind"], "labels": known["labels"], **found}


def assemble(plan: dict) -> nn.Module:
    """The untrained model of a plan, whose parts may be plans themselves: ``{"model": "VAE", "encoder": {…}, …}``.

    With ``"copies": n`` it is a ModuleList of n such models, also if n is 1.
    """
    name = plan.get("model", "vae")  # runs of earlier versions were all of VAEs, and did not say so
    if "copies" in plan:
        one = {key: value for key, value in plan.items() if key != "copies"}
        made: Model = nn.ModuleList(assemble(one) for _ in range(plan["copies"]))
    elif name in PARTS:  # weights are drawn in the order in which the plan names the parts
        given = {key: assemble(value) if isinstance(value, dict) else value for key, value in plan.items()}
        made = PARTS[name](**{key: value for key, value in given.items() if key != "model"})
    else:
        made = family(name).assemble(plan)
    made.plan = dict(plan)
    return made


def restore(path: str | Path) -> tuple[nn.Module, dict]:
    """The model of a checkpoint whose card has a plan, in evaluation mode, and the card. Raises CheckpointError."""
    tensors, card = checkpoints.load(path)
    try:
        model = assemble(card["plan"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError):
        raise checkpoints.CheckpointError(
            f"{checkpoints.card_path(path)}: this card does not say how its model is built; save the model again with "
            "a plan, or make it anew with this version."
        ) from None
    checkpoints.check_fit(tensors, model, checkpoints.card_path(path))
    model.load_state_dict(tensors)
    return model.eval(), card


def _told(plan):
    return f", told which of {plan['labels']} labels" if plan["labels"] else ""


def _check_choices(name, chosen):
    for key, value in chosen.items():
        whole = key in ("code", "channels", "hidden", "rank", "embedding", "longest", "order")
        if whole and value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise DataError(f"{name}: {key} is {value!r}; give a whole number of at least 1.")
        if key in ("dropout", "drop_symbols") and not 0 <= value < 1:
            raise DataError(f"{name}: {key} is {value!r}; give a part, from 0 to less than 1.")
        if key == "sigma" and value is not None and not 0 < value < math.inf:
            raise DataError(f"{name}: sigma is {value!r}; give a standard deviation above 0.")
        if key == "likelihood" and value not in (None, "levels", "normal"):
            raise DataError(f"{name}: likelihood is {value!r}; say 'levels' (256 grey levels) or 'normal'.")
