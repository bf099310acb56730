"""All training digits, few of them labelled: models of p(x) that use the others, against classifiers, over 8 seeds.

data/few_labels.json holds its rows; ``python tools/sweep.py`` makes them. The temperature of the prototypes (of five),
the kernel of label spreading (of ten; Zhou et al., 2004, Learning with Local and Global Consistency) and the
temperatures of the answers of both (of 19) were chosen once, with 20 labels, by the validation digits. The bound for
images without a label: Kingma, Rezende, Mohamed and Welling, 2014, Semi-supervised Learning with Deep Generative
Models.
"""

import math
import time
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from helpers.experiments import bayes, sweeps
from helpers.experiments.bayes import LABELS, PIXELS, ToldDecoder, normalised
from helpers.models.images import ConditionalEncoder
from helpers.models.layers import gelu_mlp
from helpers.models.vae import VAE
from helpers.scratch import mixture

SIZES, DEEP = (10, 20, 50, 100, 250), (20, 100)
SEEDS = range(8)
PROTOTYPES, EM = 100, 40
TEMPERATURE = 2.0  # of the responsibilities that carry labels from prototype to prototype
ROUNDS, KEPT = 30, 0.2  # of that; and how much of its own label a prototype keeps in each
KERNEL: dict[str, Any] = {"kernel": "rbf", "gamma": 1.0, "alpha": 0.8}
COOL = {"spreading": 0.6, "named, spread": 1.3}  # temperatures of the answers
CODE, STEPS, UNLABELLED, WITH = 16, 600, 50, 20  # images in a step: without labels, with labels
ALPHA = 5.0  # nats of the classification term, times its mean, for each image with a label


# --- prototypes without labels, named afterwards ------------------------------------------------------


def shares(x: np.ndarray, fitted: Any, temperature: float = 1.0) -> np.ndarray:
    """Responsibilities of prototypes for images x (N, 64), from log p(x, j) / temperature: (N, J)."""
    return np.exp(normalised(mixture.log_joint(x, *fitted) / temperature))


def named(r: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How much of each label each prototype has, from responsibilities r (n, J) of images with labels y: (J, 10)."""
    return r.T @ np.eye(LABELS)[y]


def spread_out(r: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Names (J, 10), handed on between prototypes that answer for the same images, of r (N, J): (J, 10).

    A walk from a prototype to one of its images, and from there to one of the image's prototypes. This is label
    spreading between prototypes, instead of images.
    """
    walk, found = (r / r.sum(axis=0)).T @ r, names
    for _ in range(ROUNDS):
        found = (1 - KEPT) * walk @ found + KEPT * names
    return found


def typical(x: np.ndarray, fitted: Any) -> np.ndarray:
    """For each prototype the row of the image x (N, 64) that it makes most probable, of those it answers for: (J,)."""
    joint = mixture.log_joint(x, *fitted)
    return (joint - mixture.logsumexp(joint)[:, None] + 0.1 * joint).argmax(axis=0)


def by_prototypes(part: Any, rows: np.ndarray, test: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """log p(y|x) of test images by prototypes of all images of ``part``, of which ``rows`` have labels.

    "asked" has as many prototypes as there are labels, and asks for that of the most typical image of each.
    """
    fitted, found = mixture.fit_mixture(part.x, PROTOTYPES, np.random.default_rng(seed), steps=EM), {}
    r = shares(part.x, fitted)
    found["named"] = np.log(shares(test, fitted) @ named(r[rows], part.y[rows]) + 1e-6)
    r = shares(part.x, fitted, TEMPERATURE)
    names = spread_out(r, named(r[rows], part.y[rows]))
    found["named, spread"] = np.log(shares(test, fitted, TEMPERATURE) @ names + 1e-6)
    if len(rows) <= PROTOTYPES:
        fitted = mixture.fit_mixture(part.x, len(rows), np.random.default_rng(seed), steps=EM)
        asked = typical(part.x, fitted)
        found["asked"] = np.log(shares(test, fitted) @ np.eye(LABELS)[part.y[asked]] + 1e-6)
    return found


# --- rivals ------------------------------------------------------------------------------------------


def spreading(part: Any, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
    """log p(y|x) of test images by label spreading over all images of ``part``, of which ``rows`` have labels."""
    from sklearn.semi_supervised import LabelSpreading

    y = np.full(len(part.y), -1)
    y[rows] = part.y[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rounds that did not converge; images that are like no other
        found = LabelSpreading(max_iter=50, **KERNEL).fit(part.x, y).predict_proba(test)
    return np.log(np.nan_to_num(found) + 1e-6)


# --- the semi-supervised bound -----------------------------------------------------------------------


class Semi(nn.Module):
    """A VAE told the label, and q(y|x), which guesses it where it is not known."""

    def __init__(self) -> None:
        super().__init__()
        encoder = ConditionalEncoder(PIXELS, LABELS, [128], CODE)
        self.vae = VAE(encoder, ToldDecoder(CODE, LABELS, 128, PIXELS), CODE)
        self.guess = gelu_mlp([PIXELS, 128, LABELS])

    def bound(self, x: Tensor, y: Tensor, beta: float) -> Tensor:
        """The bound on log p(x, y) of images x (N, 64) with labels y (N,): (N,), in nats; labels are equally likely."""
        nll, kl = self.vae.terms(x, y)
        return -nll - beta * kl.sum(dim=1) - math.log(LABELS)

    def unlabelled(self, x: Tensor, beta: float) -> Tensor:
        """The bound on log p(x), summed exactly over the labels: Σ_y q(y|x) (bound(x, y) - log q(y|x)): (N,)."""
        log_q = torch.log_softmax(self.guess(x), dim=1)
        y = torch.arange(LABELS).repeat(len(x))
        each = self.bound(x.repeat_interleave(LABELS, dim=0), y, beta).view(-1, LABELS)
        return (log_q.exp() * (each - log_q)).sum(dim=1)


def semi(part: Any, rows: np.ndarray, seed: int, alpha: float) -> Semi:
    """Trained on all images of ``part``, of which ``rows`` have labels, with alpha times the classification term."""
    torch.manual_seed(seed)
    x, y, labelled = torch.as_tensor(part.x).float(), torch.as_tensor(part.y), torch.as_tensor(rows)
    model = Semi()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=STEPS, pct_start=0.1)
    for step in range(STEPS):
        beta = min(1.0, step / (0.4 * STEPS))
        few, many = labelled[torch.randint(len(labelled), (WITH,))], torch.randint(len(x), (UNLABELLED,))
        loss = -model.unlabelled(x[many], beta).mean() - model.bound(x[few], y[few], beta).mean() * len(rows) / len(x)
        if alpha:
            loss = loss + alpha * cross_entropy(model.guess(x[few]), y[few])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def guessed(model: Semi, x: np.ndarray) -> np.ndarray:
    """log q(y|x) of images x (N, 64): (N, 10)."""
    return torch.log_softmax(model.guess(torch.as_tensor(x).float()), dim=1).double().numpy()


# --- all of them -------------------------------------------------------------------------------------


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """All ways with so many labels: what ``bayes.judge`` and ``bayes.pairs`` say.

    Two semi-supervised bounds, with the classification term and without, and beside them the same network q(y|x)
    trained on the labels alone.
    """
    start, n = time.process_time(), setting["labels"]
    part, test = bayes.real()
    rows = bayes.chosen(part.y, n, seed)
    own = bayes.Part(part.x[rows], part.y[rows])
    penalty = bayes.crossed(bayes.logistic, list(bayes.PENALTIES), own, bayes.nats)[0]
    found = {"logistic": bayes.logistic(own, penalty)(test.x), "spreading": spreading(part, rows, test.x)}
    found |= by_prototypes(part, rows, test.x, seed)
    found |= {f"{way}, cooled": normalised(found[way]) / T for way, T in COOL.items()}
    if n in DEEP:
        found["bound"] = guessed(semi(part, rows, seed, 0.0), test.x)
        found["bound, with term"] = guessed(semi(part, rows, seed, ALPHA), test.x)
    figures = {f"{way}, {name}": value
               for way, one in found.items() for name, value in bayes.judge(one, test.y, seed).items()}
    return figures | bayes.pairs(found, test.y) | {"seconds": time.process_time() - start}


SETTINGS: list[dict] = [{"labels": n} for n in SIZES]
WAYS: dict[str, str] = {
    "logistic": "logistic regression", "spreading": "label spreading", "spreading, cooled": "label spreading, cooled",
    "named": "prototypes, named", "named, spread": "… and names spread", "named, spread, cooled": "… and cooled",
    "asked": "labels asked for", "bound": "bound, without term", "bound, with term": "bound, with term"}


def table(rows: list[dict], name: str = "accuracy") -> str:
    """One figure of all ways by the number of labels: means and standard errors over seeds; cooling turns no answer."""
    lines = [f"{'':<25}" + "".join(f"{n:>15}" for n in SIZES)]
    for way, title in WAYS.items():
        if name == "accuracy" and way.endswith("cooled"):
            continue
        lines.append(f"{title:<25}")
        for n in SIZES:
            found = sweeps.figures(rows, {"labels": n}, f"{way}, {name}")
            error = found.std(ddof=1) / math.sqrt(len(found))
            lines[-1] += f"{'–' if np.isnan(found).any() else f'{found.mean():.3f} ± {error:.3f}':>15}"
    return "\n".join(line.rstrip() for line in lines)
