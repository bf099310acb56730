"""Classify by Bayes' rule, p(y|x) ∝ p(x|y) p(y), with three models of p(x|y), against classifiers: by labels, 8 seeds.

data/bayes.json holds its rows; ``python tools/sweep.py`` makes them. A run draws so many labelled digits, as many of
each kind, and chooses everything within them: by cross-validation, or, for the networks, by a fifth that is held out.
All are then judged by the same 250 test digits.
"""

import functools
import math
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli
from torch.nn.functional import one_hot

from helpers import training
from helpers.data import digits
from helpers.experiments import sweeps
from helpers.models.families.masked import Masked
from helpers.models.images import ConditionalEncoder
from helpers.models.layers import gelu_mlp
from helpers.models.vae import VAE
from helpers.scratch import mixture

LABELS, PIXELS, CODE = 10, 64, 16
SIZES = (10, 20, 50, 100, 250, 1250)
DEEP = (50, 250, 1250)  # labels for which networks are trained
SEEDS = range(8)
PROTOTYPES, IMAGINARY = (1, 2, 3, 5), (0.1, 0.5)  # a class; imaginary pixels: chosen by cross-validation
NEIGHBOURS, PENALTIES = (1, 3, 5, 9), (1.0, 0.01, 0.1, 10.0, 100.0)
TEMPERATURES = np.exp(np.linspace(-1.5, 3, 19))
CODES = (1, 4, 16, 64, 256)  # codes a bound; 1 is the ELBO, averaged over 256 draws
ORDERS = 2  # of the pixels, that the masked network mixes


class Part(NamedTuple):
    """Binary digits (N, 64) and their labels (N,)."""

    x: np.ndarray
    y: np.ndarray


@functools.cache
def real() -> tuple[Part, Part]:
    """The training and the test digits."""
    data = digits.load()
    return Part(data.train.x, np.asarray(data.train.c)), Part(data.test.x, np.asarray(data.test.c))


def chosen(y: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Rows of n examples of labels y (N,), in random order, as many of each label as there are: (n,)."""
    rng = np.random.default_rng([seed, 17])
    order = rng.permutation(len(y))
    turn = np.empty(len(y))
    for k in range(LABELS):
        own = y[order] == k
        turn[own] = np.arange(own.sum())
    return order[np.argsort(turn, kind="stable")][:n]


def folds(y: np.ndarray) -> np.ndarray:
    """Which of at most five folds each example belongs to, each label spread over all of them: (n,)."""
    many, fold = min(5, int(np.bincount(y, minlength=LABELS).min())), np.empty(len(y), int)
    for k in range(LABELS):
        fold[y == k] = np.arange((y == k).sum()) % many
    return fold


def normalised(log_p: np.ndarray) -> np.ndarray:
    """Logarithms (N, 10) less what makes the probabilities of each row sum to 1."""
    return log_p - mixture.logsumexp(log_p)[:, None]


def nats(log_p: np.ndarray, y: np.ndarray) -> float:
    """The mean of -log p(y|x), from normalised logarithms (N, 10)."""
    return float(-log_p[np.arange(len(y)), y].mean())


def mistakes(log_p: np.ndarray, y: np.ndarray) -> float:
    """How many of the guesses are wrong; where two choices make as many, fewer nats decide."""
    return float((log_p.argmax(axis=1) != y).sum() + 1e-3 * nats(log_p, y))


def expected_error(sure: np.ndarray, right: np.ndarray) -> float:
    """The calibration error of the largest probabilities (N,): in ten equal bins, the mean of |sure - right|."""
    bins = np.minimum((10 * sure).astype(int), 9)
    sums = [np.bincount(bins, part, minlength=10) for part in (sure, right)]
    return float(np.abs(sums[0] - sums[1]).sum() / len(sure))


def judge(log_p: np.ndarray, y: np.ndarray, seed: int) -> dict[str, float]:
    """What guesses are worth, from log p(y|x), (N, 10), not necessarily normalised.

    ``floor``: the calibration error, were the probabilities right: the mean of 50 draws of labels from them.
    """
    log_p, rng = normalised(log_p), np.random.default_rng([seed, 3])
    sure, right = np.exp(log_p.max(axis=1)), log_p.argmax(axis=1) == y
    floor = np.mean([expected_error(sure, rng.random(len(y)) < sure) for _ in range(50)])
    return {"accuracy": right.mean(), "nats": nats(log_p, y), "error": expected_error(sure, right), "floor": floor}


# --- rivals ------------------------------------------------------------------------------------------


def crossed(fit: Any, choices: list, part: Part, by: Any) -> tuple[Any, np.ndarray]:
    """The choice that is best ``by`` nats or mistakes when each fold is judged by the others, and its log p, (n, 10).

    ``fit(part, choice)`` returns a function of x. With a single example of a label nothing can be held out: the
    choice is the first, and log p is empty.
    """
    fold = folds(part.y)
    if fold.max() == 0:
        return choices[0], np.empty((0, LABELS))
    best, least, kept = choices[0], math.inf, np.empty((0, LABELS))
    for choice in choices:
        log_p = np.empty((len(part.y), LABELS))
        for k in range(fold.max() + 1):
            out = fold == k
            log_p[out] = normalised(fit(Part(part.x[~out], part.y[~out]), choice)(part.x[out]))
        if by(log_p, part.y) < least:
            best, least, kept = choice, by(log_p, part.y), log_p
    return best, kept


def logistic(part: Part, penalty: float) -> Any:
    """Logistic regression with 1 / (2 penalty) times the squared weights."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=penalty, max_iter=1000).fit(part.x, part.y).predict_log_proba


def neighbours(part: Part, k: int) -> Any:
    """The share of each label among the k nearest; a tenth of a neighbour more for each, so that none is impossible."""
    def log_p(x: np.ndarray) -> np.ndarray:
        apart = x.sum(axis=1)[:, None] + part.x.sum(axis=1) - 2 * x @ part.x.T
        near = np.argsort(apart, axis=1, kind="stable")[:, : min(k, len(part.y))]
        return np.log(np.eye(LABELS)[part.y[near]].sum(axis=1) + 0.1)

    return log_p


# --- three models of p(x|y) --------------------------------------------------------------------------


def log_share(y: np.ndarray) -> np.ndarray:
    """log p(y), from counts, one more for each label: (10,)."""
    count = np.bincount(y, minlength=LABELS) + 1
    return np.log(count / count.sum())


def prototypes(part: Part, choice: tuple[int, float]) -> Any:
    """A mixture of prototypes for each label; returns log p(x, y) as a function of x."""
    fitted = [mixture.fit_mixture(part.x[part.y == k], min(choice[0], (part.y == k).sum()), np.random.default_rng(k),
                                  steps=30, s=choice[1]) for k in range(LABELS)]
    prior = log_share(part.y)
    return lambda x: prior - np.stack([mixture.mixture_nll(x, *one) for one in fitted], axis=1)


class ToldDecoder(nn.Module):
    """A code z (N, K) and a label c (N,) to Bernoulli pixels (N, D)."""

    def __init__(self, K: int, labels: int, hidden: int, D: int):
        super().__init__()
        self.labels, self.net = labels, gelu_mlp([K + labels, hidden, D])

    def forward(self, z: Tensor, c: Tensor) -> Bernoulli:
        return Bernoulli(logits=self.net(torch.cat([z, one_hot(c, self.labels).to(z.dtype)], dim=1)))


def trained(model: Any, part: Part, seed: int, **recipe: Any) -> Any:
    """A network trained on four fifths of the labelled digits; the fifth says when it was best."""
    out = folds(part.y) == 0
    x, y = torch.as_tensor(part.x).float(), torch.as_tensor(part.y)
    training.fit(model, ((x[~out], y[~out]), (x[out], y[out])), quiet=True, seed=seed, **recipe)
    return model.eval()


def told_vae(part: Part, seed: int) -> VAE:
    """A VAE told the label."""
    torch.manual_seed(seed)
    encoder = ConditionalEncoder(PIXELS, LABELS, [128], CODE)
    return trained(VAE(encoder, ToldDecoder(CODE, LABELS, 128, PIXELS), CODE), part, seed,
                   epochs=80 if len(part.y) > 1000 else 200, batch_size=50, lr=3e-3, weight_decay=0.01,
                   objective={"beta": training.ramp(until=0.4)})


def told_masked(part: Part, seed: int) -> Masked:
    """A masked network told the label."""
    torch.manual_seed(seed)
    return trained(Masked((PIXELS,), LABELS, hidden=128, orders=ORDERS), part, seed,
                   epochs=60 if len(part.y) > 1000 else 120, batch_size=50, lr=2e-3, weight_decay=0.05)


@torch.no_grad()
def for_each_label(score: Any, x: np.ndarray) -> np.ndarray:
    """score(x, c) with every label c, side by side: (N, 10)."""
    rows = torch.as_tensor(x).float()
    return np.stack([score(rows, torch.full((len(x),), k)).numpy() for k in range(LABELS)], axis=1).astype(float)


def weights(vae: VAE, generator: torch.Generator) -> Any:
    """log p(x, z|y) - log q(z|x, y) of codes drawn from q, as many as the best bound takes: (N, 256)."""
    def log_w(x: Tensor, c: Tensor) -> Tensor:
        q = vae.posterior(x, c)
        found = []
        for _ in range(CODES[-1]):
            z = q.mean + q.stddev * torch.randn(q.mean.shape, generator=generator)
            found.append(vae.log_likelihood(z, x, c) + vae.prior.log_prob(z) - q.log_prob(z).sum(dim=1))
        return torch.stack(found, dim=1)

    return log_w


def bound(log_w: np.ndarray, k: int) -> np.ndarray:
    """The importance-weighted bound with k codes, averaged over all groups of k of the logarithms (…, M): (…)."""
    groups = log_w.reshape(*log_w.shape[:-1], -1, k)
    return (mixture.logsumexp(groups) - math.log(k)).mean(axis=-1)


# --- all of them -------------------------------------------------------------------------------------


def guesses(n: int, seed: int, deep: bool) -> dict[str, np.ndarray]:
    """log p(y|x) of the test digits by each way, up to what normalises it: (250, 10) each."""
    everything, test = real()
    rows = chosen(everything.y, n, seed)
    part, found = Part(everything.x[rows], everything.y[rows]), {}
    choices = [(1, 0.5), *((J, s) for J in PROTOTYPES for s in IMAGINARY)]
    for way, fit, possible, by in (("logistic", logistic, list(PENALTIES), nats),
                                   ("neighbours", neighbours, list(NEIGHBOURS), mistakes),
                                   ("mixture", prototypes, choices, mistakes)):
        choice, held_out = crossed(fit, possible, part, by)
        found[way] = fit(part, choice)(test.x)
        if len(held_out):
            nats_at = [nats(normalised(held_out / T), part.y) for T in TEMPERATURES]
            found[f"{way}, cooled"] = normalised(found[way]) / TEMPERATURES[np.argmin(nats_at)]
    if deep:
        masked, vae = told_masked(part, seed), told_vae(part, seed)
        found["masked"] = log_share(part.y) + for_each_label(masked.log_prob, test.x)
        log_w = for_each_label(weights(vae, torch.Generator().manual_seed(seed)), test.x)  # (250, 10, 256)
        found["VAE, one draw"] = log_share(part.y) + log_w[:, :, 0]
        for k in CODES:
            found[f"VAE, k = {k}"] = log_share(part.y) + bound(log_w, k)
    return found


def pairs(log_p: dict[str, np.ndarray], y: np.ndarray) -> dict[str, float]:
    """Of two ways, the share of examples that only the first gets right, and that only the second does."""
    right = {way: one.argmax(axis=1) == y for way, one in log_p.items()}
    return {f"{a} > {b}": (right[a] & ~right[b]).mean() for a in right for b in right if a != b}


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """All ways with so many labels: what :func:`judge` says of each, and what :func:`pairs` says of each two.

    ``changed``: the share of digits that the ELBO names otherwise than the bound with the most codes; ``changed by
    one``: the same for the ELBO from a single draw.
    """
    start, test = time.process_time(), real()[1]
    found = guesses(setting["labels"], seed, setting["labels"] in DEEP)
    figures = {f"{way}, {name}": value
               for way, one in found.items() for name, value in judge(one, test.y, seed).items()}
    if setting["labels"] in DEEP:
        last = found[f"VAE, k = {CODES[-1]}"].argmax(axis=1)
        for name, way in (("changed", "VAE, k = 1"), ("changed by one", "VAE, one draw")):
            figures[name] = (found[way].argmax(axis=1) != last).mean()
    return figures | pairs(found, test.y) | {"seconds": time.process_time() - start}


SETTINGS: list[dict] = [{"labels": n} for n in SIZES]
WAYS: tuple[str, ...] = ("logistic", "logistic, cooled", "neighbours", "neighbours, cooled", "mixture",
                         "mixture, cooled", "masked", "VAE, one draw",
                         *(f"VAE, k = {k}" for k in CODES))


def interval(rows: list[dict], n: int, way: str, name: str) -> tuple[float, float]:
    """The mean of a figure over seeds, and its standard error over seeds; NaN where it was not run."""
    found = sweeps.figures(rows, {"labels": n}, f"{way}, {name}")
    return found.mean(), found.std(ddof=1) / math.sqrt(len(found))


def against(rows: list[dict], n: int, way: str, rival: str) -> tuple[float, float]:
    """How much more often a way is right than a rival, and the standard error, over seeds and over test digits.

    For any sweep whose runs hold what :func:`pairs` says.
    """
    more, fewer = (sweeps.figures(rows, {"labels": n}, f"{a} > {b}") for a, b in ((way, rival), (rival, way)))
    gain = more - fewer
    digits_ = ((more + fewer).mean() - gain.mean() ** 2) / len(real()[1].y)
    return gain.mean(), math.sqrt(gain.var(ddof=1) / len(gain) + digits_)


def table(rows: list[dict], name: str = "accuracy", form: str = ".3f") -> str:
    """One figure of all ways by the number of labels: means and standard errors over seeds; cooling turns no answer."""
    lines = [f"{'':<19}" + "".join(f"{n:>15,}" for n in SIZES)]
    for way in (way for way in WAYS if name != "accuracy" or not way.endswith("cooled")):
        lines.append(f"{way:<19}")
        for n in SIZES:
            mean, error = interval(rows, n, way, name)
            lines[-1] += f"{'–' if math.isnan(mean) else f'{mean:{form}} ± {error:{form}}':>15}"
    return "\n".join(line.rstrip() for line in lines)
