"""The prior over a run's codes: fitted when the rest is trained, chosen by held-out codes, and measured.

Beside it stands the standard Normal, which the rest was trained with, by the same measures.
"""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers import priors
from helpers.build import VAEs, family
from helpers.data.dataset import DataError, Dataset
from helpers.evaluation.two_sample import told_apart
from helpers.models import contract
from helpers.models.likelihoods import per_example, reparameterised
from helpers.models.prior import FlowPrior, Prior, StandardNormal
from helpers.training.processes import Team

PART = 0.25  # of the minutes of training, for flow matching
SHORT = 0.04  # of them, for anything else
MEASURED = 0.1  # of both, for measuring what it is worth
MANY, LARGE = 300, 3_000  # codes from which on flow matching is tried, and from which on nothing else is
STEPS = (50, 3_000)  # of flow matching where no clock ends it: two for each of the rest, within these
COMPARED = 500  # codes that a classifier must tell from held-out ones, at most; it needs 60
GAIN = (50, 10)  # test examples, and codes of each, by which the likelihood under both priors is compared
TIME = 0.02  # of the time, at most, for that


def check(data: Dataset, model: str, prior: str | None) -> None:
    """Raise DataError, in one sentence, for a prior that there is not, or that a model of this family does not have."""
    if prior is None:
        return
    if prior not in priors.KINDS:
        raise DataError(f"{data.name}: there is no prior {prior!r}; choose among {', '.join(priors.KINDS)}.")
    if not isinstance(family(model), VAEs):
        raise DataError(f"{data.name}: a model of the family {model} has no codes, and so no prior over them; leave "
                        "the prior out, or choose the model vae.")


class Fitting:
    """Which priors are tried for a model, and how long: ``minutes`` are left for training the rest."""

    def __init__(self, model: contract.Model, data: Dataset, wanted: str | None, minutes: float | None):
        self.model, self.data, self.minutes, self.seconds = model, data, minutes, 0.0
        self.kinds: tuple[str, ...] = ()
        if not hasattr(model, "prior"):
            return
        self.n = len(contract.examples(model, data, "train").x)
        if wanted is not None:
            self.kinds = (wanted,)
        else:
            some = ("normal", "mixture") if self.n < MANY else ("mixture", "flow") if self.n < LARGE else ("flow",)
            self.kinds = some if self.n > 2 * model.code else ("normal",)
        if minutes is not None and self.kinds != ("normal",):
            part = PART if "flow" in self.kinds else SHORT
            self.minutes, self.seconds = (1 - part) * minutes, 60 * (part - MEASURED * part) * minutes

    def run(self, epochs: int, checkpoint: Path, team: Team, earlier: Prior | None = None, seed: int = 0,
            save_every: float = 5.0, device: Any = None) -> dict | None:
        """Fit them to the codes of the trained model, and put the best into it; what each reached, None without codes.

        epochs: of the rest; how long flow matching takes where no clock says it. checkpoint: where that goes on after a
        stop. earlier: a prior for which the better one may be left, and from whose weights flow matching starts.
        """
        if not self.kinds:
            return None
        begin = time.perf_counter()
        train, valid = (priors.posteriors(self.model, self.data, split) for split in ("train", "valid"))
        labels = 0 if train.c is None else self.model.plan["labels"]
        steps = int(np.clip(2 * epochs * math.ceil(self.n / 64), *STEPS))
        found = [] if earlier is None or isinstance(earlier, StandardNormal) else [earlier]
        for kind in self.kinds:
            seconds = None
            if self.minutes is not None:  # a mixture takes what it takes, and flow matching the rest
                seconds = max(0.5 * self.seconds, self.seconds - (time.perf_counter() - begin))
            found.append(priors.fit_prior(kind, data=(train, valid), labels=labels, steps=steps, seconds=seconds,
                                          seed=seed, start=earlier, checkpoint=checkpoint, save_every=save_every,
                                          device=device))
        densities = [priors.density(prior, valid) for prior in found]
        best = found[int(team.agree(int(np.argmax(densities))))]
        team.broadcast(best.state_dict().values())
        priors.replace(self.model, best)
        self.model.eval()
        normal = priors.density(StandardNormal(train.mean.shape[1]), valid)
        return {"says": best.says, "density": max(densities), "density, normal": normal,
                "tried": {prior.says: value for prior, value in zip(found, densities)}}


@torch.no_grad()
def measure(model: contract.Model, data: Dataset, seconds: float | None = None, seed: int = 0) -> dict:
    """What a model's own prior is worth beside the standard Normal, on test examples.

    "told apart": how often a classifier is right about which codes were drawn and which are those of test examples, for
    codes of the prior, of the standard Normal, and of training examples; 0.5 is chance, None if there are too few.
    "gain": by how many nats an example is likelier, with its standard error ("error"), by the bounds of few codes.
    seconds: how long the whole run lasts.
    """
    plain = StandardNormal(model.code)
    if isinstance(model.prior, StandardNormal):
        return {"kind": "StandardNormal"}
    train, test = (priors.posteriors(model, data, split, most=2 * COMPARED) for split in ("train", "test"))
    rng = np.random.default_rng(seed)
    n = min(COMPARED, len(test.mean), len(train.mean)) // 2 * 2
    apart = None
    if n >= 60:
        rows, others = rng.permutation(len(test.mean))[:n], rng.permutation(len(train.mean))[:n]
        g = torch.Generator().manual_seed(seed)
        told = None if test.c is None else test.c[rows]
        drawn = {"prior": model.prior.sample(n, told, g), "normal": plain.sample(n, None, g),
                 "training": train.drawn()[others]}
        k = min(25, n // 4 // 2 * 2 + 1)
        apart = {name: told_apart(z, test.drawn(1, seed + 1)[rows], k=k) for name, z in drawn.items()}
    gain, error, examples = _gain(model, data, plain, TIME * seconds if seconds else math.inf, seed)
    return {"kind": type(model.prior).__name__, "told apart": apart, "gain": gain, "error": error,
            "gain, examples": examples, "gain, codes": GAIN[1]}


def _gain(model, data, plain, seconds, seed):
    """The bound under the model's prior less that under ``plain``, by the same codes: mean, error, and of how many."""
    found = contract.examples(model, data, "test")
    order = np.random.default_rng(seed).permutation(len(found.x))[: GAIN[0]]
    torch.manual_seed(seed)
    coarse = {"steps": priors.COARSE} if isinstance(model.prior, FlowPrior) else {}
    gains: list[float] = []
    begin = time.perf_counter()
    for i in range(0, len(order), 5):
        if gains and time.perf_counter() - begin > seconds:
            break
        x, c = (contract.tensor(part, order[i : i + 5]) for part in found[:2])
        q, told = model.posterior(x, c), model.told(c)
        both = []
        for _ in range(GAIN[1]):
            z = reparameterised(q)
            rest = model.log_likelihood(z, x, c) - per_example(q.log_prob(z))
            both.append(torch.stack([rest + model.prior.log_prob(z, told, **coarse), rest + plain.log_prob(z)]))
        own, normal = torch.stack(both).logsumexp(dim=0)
        gains += ((own - normal) / torch.as_tensor(found.count[order[i : i + 5]])).tolist()
    return float(np.mean(gains)), float(np.std(gains, ddof=1) / math.sqrt(len(gains))), len(gains)


def scored(score: dict, figures: dict) -> tuple[float, float] | None:
    """About what a run's score would be under its own prior, by the gain of a few test examples: nats, and bits.

    None where there is no likelihood, or the prior is the standard Normal.
    """
    if not score["nats"] or "gain" not in figures:
        return None
    nats = score["nats"] - figures["gain"]
    return nats, score["bits"] * nats / score["nats"]


def in_words(figures: dict) -> str:
    """What the prior is, and what it is worth, in sentences for whoever has never heard of it."""
    if figures.get("kind", "StandardNormal") == "StandardNormal":
        return "Each sample starts from a code, a few numbers drawn from the standard Normal."
    apart, gain = figures["told apart"], figures["gain"]
    said = ["Each sample starts from a code, a few numbers drawn from a prior that was fitted to the codes of "
            f"training examples: {figures['says']}."]
    if apart is not None:
        said.append("A classifier that has to tell codes of held-out examples from drawn ones is right in "
                    f"{apart['prior']:.0%} of cases (50% is chance). Without that prior, with codes from the standard "
                    f"Normal, it is right in {apart['normal']:.0%}; with codes of training examples in "
                    f"{apart['training']:.0%}.")
    more = "likelier" if gain > 0 else "less likely"
    said.append(f"A test example is {more} under the prior than under the standard Normal by {abs(gain):.1f} ± "
                f"{figures['error']:.1f} nats (one nat: 2.7 times).")
    return " ".join(said)
