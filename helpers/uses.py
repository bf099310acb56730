"""What a model of p(x) is good for beside drawing: it classifies, fills in, and rings where something is odd.

Each is one call on any model that offers what it takes (``helpers.models.contract``); for one that does not, ValueError
says in a sentence what it lacks. Arrays go in and come out. The two lessons "Put it to work" measure all of it.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from helpers.data.text import PAD
from helpers.evaluation import intervals
from helpers.evaluation.plain import Plain
from helpers.models import contract

SCORES = ("nll", "typicality", "ratio", "reconstruction")
AS_NEW = ("The alarm rings for so many usual examples only if they are as new as the reference: judge letters of new "
          "fonts, or sounds of new speakers, by a reference of fonts or speakers that the model has not learnt from.")


def labels_of(model: contract.Model) -> int:
    """How many labels a model is told, 0 for none."""
    return int(getattr(model, "plan", {}).get("labels", getattr(model, "labels", 0)))


# --- log p, and labels ---------------------------------------------------------------------------------


class Classified(NamedTuple):
    """log p(label | x), (N, L), in nats, and what to know of it: "" if p(x | label) is exact."""

    log_posterior: np.ndarray
    note: str

    @property
    def label(self) -> np.ndarray:
        """The likeliest label of each example: (N,)."""
        return self.log_posterior.argmax(axis=1)


def classify(model: contract.Model, x: np.ndarray, labels: int | Sequence[int] | None = None,
             prior: np.ndarray | None = None, seed: int = 0) -> Classified:
    """log p(label | x) of examples x (N, …) by Bayes' rule: p(label | x) ∝ p(x | label) p(label).

    labels: how many there are, or which are possible (L,); by default all that the model is told. prior (L,): how
    probable each is, by default all alike. A bound is drawn with the same noise under each label. Raises ValueError for
    a model without labels, and for one without a likelihood.
    """
    joint = log_joint(model, x, labels, prior, seed)
    return Classified(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True), _of_bounds(model))


def log_joint(model: contract.Model, x: np.ndarray, labels: int | Sequence[int] | None = None,
              prior: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """log p(x, label) of examples x (N, …) under each label: (N, L), in nats; arguments as of :func:`classify`."""
    _check_scored(model)
    labels = labels_of(model) if labels is None else labels
    which = list(range(labels)) if isinstance(labels, (int, np.integer)) else list(labels)
    if not which:
        raise ValueError("the model is told no labels, and so cannot classify; fit one on data with labels.")
    p = np.full(len(which), 1 / len(which)) if prior is None else np.asarray(prior, float)
    if p.shape != (len(which),) or (p < 0).any() or not p.sum() > 0:
        raise ValueError(f"prior has shape {p.shape} for {len(which)} labels; give one number of at least 0 for each.")
    found = [_log_prob(model, x, np.full(len(x), k), seed) for k in which]
    with np.errstate(divide="ignore"):
        return np.stack(found, axis=1) + np.log(p / p.sum())


def log_prob(model: contract.Model, x: np.ndarray, c: np.ndarray | None = None, prior: np.ndarray | None = None,
             seed: int = 0) -> np.ndarray:
    """log p(x | c) of examples x (N, …), or its bound: (N,), in nats; without c, log p(x) = log Σ p(x | c) p(c)."""
    _check_scored(model)
    if c is None and labels_of(model):
        return np.logaddexp.reduce(log_joint(model, x, prior=prior, seed=seed), axis=1)
    return _log_prob(model, x, c, seed)


def _log_prob(model, x, c, seed):
    x, c = _sets(model, x, c)
    return contract.log_prob(model, contract.Examples(x, c, np.ones(len(x), int)), seed)


def _sets(model, x, c):
    """Single examples as sets of one, for a model of sets; labels (N,) say that they are single ones."""
    if getattr(model, "sets", False) and c is not None and np.ndim(c) == 1:
        return x[:, None], c[:, None]
    return x, c


def _check_scored(model):
    if model.bound is None:
        raise ValueError(f"{type(model).__name__} draws, and cannot say how probable an example is; choose a model "
                         "with a likelihood, such as vae or masked.")


def _of_bounds(model):
    if model.bound in ("exact", "density"):
        return ""
    return (f"log p is a bound here ({model.bound}), and need not be equally tight under every label: the choice may "
            "lean to labels under which it is tighter.")


# --- filling in ------------------------------------------------------------------------------------------


class Imputed(NamedTuple):
    """Draws of what was missing, (n, N, …), the known part unchanged; what to know of them, "" if they are exact."""

    draws: np.ndarray
    note: str

    def interval(self, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the central interval of each number, (N, …) each; see ``evaluation.intervals.interval``."""
        return intervals.interval(self.draws, level)

    def inside(self, truth: np.ndarray, level: float = 0.9, seed: int = 0) -> np.ndarray:
        """Whether the truth (N, …) lies inside, number by number, by its rank among the draws: right for any n."""
        return intervals.inside(self.draws, truth, level, seed)


def impute(model: contract.Model, x: np.ndarray, known: np.ndarray, n: int = 100, c: np.ndarray | None = None,
           seed: int = 0, **options: Any) -> Imputed:
    """n draws of what is not ``known`` of examples x (N, …), from p(missing | known, c).

    known: 1 or 0, of the shape of one example or of x. c: labels (N,), for a model that is told them. options: those of
    the model's ``fill_in``. Raises ValueError for a model that cannot fill in, or not this.
    """
    if not hasattr(model, "fill_in"):
        raise ValueError(f"{type(model).__name__} cannot fill in what is missing; choose vae, masked, mixture or "
                         "flow-matching, or for beginnings of texts language.")
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    model.eval()
    inner, told = _sets(model, np.asarray(x), c)
    mask, alone = torch.as_tensor(np.array(known)), inner.ndim != np.ndim(x)  # sets of one
    if alone:
        mask = contract.everywhere(mask, torch.empty(np.shape(x)))[:, None]
    examples = torch.as_tensor(contract.tensor(inner, device=device))
    drawn = model.fill_in(examples, mask.to(device), contract.tensor(told, device=device), n=n, generator=generator,
                          **contract.understood(model.fill_in, options)).cpu().numpy()
    exact = getattr(model, "fills", "approximate") == "exact"
    return Imputed(drawn[:, :, 0] if alone else drawn, "" if exact else
                   f"{type(model).__name__} fills in approximately: its draws may be too alike, or too different.")


# --- what is odd -----------------------------------------------------------------------------------------


class Oddness(NamedTuple):
    """How odd each example is, ``score`` (N,), larger is odder, beside a reference of usual ones, (M,).

    rings (N,): above ``threshold``. share (N,): the part of the reference, itself included, that is at least as odd, a
    p-value if it is usual. note: what to know.
    """

    score: np.ndarray
    reference: np.ndarray
    threshold: float
    note: str

    @property
    def rings(self) -> np.ndarray:
        return self.score > self.threshold

    @property
    def share(self) -> np.ndarray:
        return (1 + (self.reference >= self.score[:, None]).sum(axis=1)) / (len(self.reference) + 1)


def oddness(model: contract.Model, x: np.ndarray, reference: np.ndarray, score: str = "nll",
            c: np.ndarray | None = None, reference_c: np.ndarray | None = None, train: np.ndarray | None = None,
            alarm: float = 0.05, prior: np.ndarray | None = None, seed: int = 0) -> Oddness:
    """How odd examples x (N, …) are, beside a ``reference`` (M, …) of usual ones that the model has not learnt from.

    score: what is odd.
        "nll": -log p(x), of texts for each symbol. It fails where what is odd is simpler than what is usual: a model of
            intricate letters finds a blank page more probable than any of them.
        "typicality": how far that is from its mean over the reference, on either side (Nalisnick et al., 2019).
        "ratio": log p(x) by independent numbers, fitted to ``train`` (by default the reference), less log p(x).
        "reconstruction": the squared error of what the model makes of the code of x; of texts, wrong symbols, a part.
    c, reference_c: labels (N,) and (M,); a model that is told labels is asked for log p(x), over all of them, without.
    alarm: of usual examples as new as the reference, at most such a part rings. Raises ValueError for a score that
    there is not, and for a model that does not have it.
    """
    return oddities(model, x, reference, (score,), c, reference_c, train, alarm, prior, seed)[score]


def oddities(model: contract.Model, x: np.ndarray, reference: np.ndarray, scores: Sequence[str] = SCORES[:3],
             c: np.ndarray | None = None, reference_c: np.ndarray | None = None, train: np.ndarray | None = None,
             alarm: float = 0.05, prior: np.ndarray | None = None, seed: int = 0) -> dict[str, Oddness]:
    """Several scores of :func:`oddness` at once, so that log p is computed once for all of them."""
    if not 0 < alarm < 1:
        raise ValueError(f"alarm is {alarm}; give the part of usual examples for which it may ring, such as 0.05.")
    both, found, log_p = ((x, c), (reference, reference_c)), {}, None
    for score in scores:
        if score not in SCORES:
            raise ValueError(f"score is {score!r}; say {', '.join(map(repr, SCORES))}.")
        if score == "reconstruction":
            here, usual = (_error(model, *part) for part in both)
        else:
            log_p = log_p or [-log_prob(model, *part, prior, seed) / _size(part[0]) for part in both]
            here, usual = log_p
        if score == "typicality":
            middle = usual.mean()
            here, usual = abs(here - middle), abs(usual - middle)
        elif score == "ratio":
            plain = Plain(reference if train is None else train)
            here, usual = (nll + plain.log_prob(part) / _size(part) for nll, (part, _) in zip((here, usual), both))
        found[score] = Oddness(here, usual, threshold(usual, alarm), AS_NEW)
    return found


def threshold(usual: np.ndarray, alarm: float = 0.05) -> float:
    """The score above which at most a part ``alarm`` of usual examples lies, from the scores (M,) of others like them.

    A new one is as likely to be any of M + 1 in order: the k-th of the M, k = (1 - alarm) (M + 1), rounded up (Vovk,
    Gammerman and Shafer, 2005, *Algorithmic Learning in a Random World*). Infinite where M is too small.
    """
    k = math.ceil((1 - alarm) * (len(usual) + 1) - 1e-9)
    return float(np.sort(usual)[k - 1]) if k <= len(usual) else math.inf


def _size(x):
    """By what log p is divided: the symbols of each text, (N,); 1 for all else, whose examples are of one size."""
    x = np.asarray(x)
    return np.maximum((x != PAD).sum(axis=1), 1) if x.dtype.kind == "i" and x.ndim == 2 else 1


@torch.no_grad()
def _error(model, x, c):
    """The error of what a model makes of the code of each example: (N,); under the best label where none is given."""
    if not hasattr(model, "reconstruct"):
        raise ValueError(f"{type(model).__name__} has no codes to rebuild examples from; choose another score.")
    if c is None and labels_of(model):
        return np.min([_error(model, x, np.full(len(x), k)) for k in range(labels_of(model))], axis=0)
    device, found = next(model.parameters()).device, []
    model.eval()
    x, c = _sets(model, np.asarray(x), c)
    for start in range(0, len(x), 250):
        part = slice(start, start + 250)
        a, told = torch.as_tensor(contract.tensor(x, part, device)), contract.tensor(c, part, device)
        rebuilt = model.reconstruct(a, told)
        if a.is_floating_point():
            found.append((rebuilt - a).square().flatten(1).sum(dim=1))
        else:
            counts = torch.ne(a, PAD)
            found.append(((rebuilt != a) & counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1))
    return torch.cat(found).cpu().double().numpy()
