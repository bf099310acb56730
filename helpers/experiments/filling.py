"""The lower half of a digit is hidden: what may have been there? Draws in several ways beside the exact conditional.

data/filling.json holds its rows; ``python tools/sweep.py`` makes them. Once the digits are draws from a mixture of 20
prototypes, networks learn from such draws, flow matching has the exact field of the mixture, and the exact conditional
is known. Once they are real digits; a mixture of 100 is then a model like the others.
"""

import time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers import training
from helpers.evaluation.two_sample import energy_distance
from helpers.experiments import bayes, sweeps
from helpers.models.families.masked import Masked
from helpers.models.images import MLPDecoder, MLPEncoder
from helpers.models.vae import VAE
from helpers.scratch import mixture

PIXELS, CODE = 64, 16
PROTOTYPES, EM = {"draws": 20, "digits": 100}, 60
LEARNED, JUDGED, DRAWS = 5000, 60, 39  # draws of the mixture to learn from; digits that are completed, draws of each
LEAVE = 2  # ranks at each end that the interval leaves out: 36 of 40 stay, 90 %
SWEEPS, PRIOR_DRAWS = 60, 4000  # of Gibbs; codes that are weighed
STEPS, JUMPS = 40, 3  # of the flow; how often each step is made again
NEAREST = 10  # training digits whose lower halves are copied
KNOWN = np.repeat([1.0, 0.0], PIXELS // 2)


class Job(NamedTuple):
    """What learns from ``train`` (N, 64) completes the ``digits`` (M, 64), told only the known pixels."""

    train: np.ndarray
    valid: np.ndarray
    digits: np.ndarray
    mixture: Any  # weights (C,) and prototypes (C, 64)
    seed: int


def job(of: str, seed: int) -> Job:
    """Draws from a mixture, or real digits; always other draws, but of one mixture."""
    (real, _), (test, _) = bayes.real()
    fitted = mixture.fit_mixture(real, PROTOTYPES[of], np.random.default_rng(0), steps=EM)
    rng = np.random.default_rng([seed, 5])
    if of == "digits":
        order, kept = rng.permutation(len(real)), rng.permutation(len(test))[:JUDGED]
        return Job(real[order[125:]], real[order[:125]], test[kept], fitted, seed)
    drawn = mixture.sample_mixture(LEARNED + 500 + JUDGED, *fitted, rng)  # type: ignore[call-arg]  # a pair
    return Job(drawn[:LEARNED], drawn[LEARNED:-JUDGED], drawn[-JUDGED:], fitted, seed)


def repeated(x: np.ndarray) -> Tensor:
    """Each digit of x (M, 64) as often as it is completed: (M · DRAWS, 64)."""
    return torch.as_tensor(x).float().repeat_interleave(DRAWS, dim=0)


def merged(x: Tensor, drawn: Tensor) -> Tensor:
    """x where it is known, and what was drawn elsewhere, both (N, 64)."""
    known = torch.as_tensor(KNOWN).to(x.dtype)
    return known * x + (1 - known) * drawn


# --- ways ---------------------------------------------------------------------------------------------


def exact(task: Job, seed: int) -> np.ndarray:
    """Draws from the conditional of the mixture: a prototype from p(j|known), then its pixels: (M · DRAWS, 64)."""
    rng, (pi, p) = np.random.default_rng([seed, 6]), task.mixture
    seen = KNOWN == 1
    r = mixture.e_step(task.digits[:, seen], pi, p[:, seen])
    j = np.concatenate([rng.choice(len(pi), size=DRAWS, p=row) for row in r])
    x = np.repeat(task.digits, DRAWS, axis=0)
    return np.where(seen, x, rng.random(x.shape) < p[j])


def copied(task: Job) -> np.ndarray:
    """The lower halves of the training digits whose upper halves are nearest, one of ten at random."""
    rng, seen = np.random.default_rng([task.seed, 7]), KNOWN == 1
    apart = np.abs(task.digits[:, None, seen] - task.train[None][:, :, seen]).sum(axis=2)
    near = np.argsort(apart, axis=1, kind="stable")[:, :NEAREST]
    taken = task.train[rng.permuted(np.repeat(near, DRAWS // NEAREST + 1, axis=1), axis=1)[:, :DRAWS].ravel()]
    return np.where(seen, np.repeat(task.digits, DRAWS, axis=0), taken)


def fitted(model: Any, task: Job, **recipe: Any) -> Any:
    """A model trained on the digits of a job."""
    data = [(torch.as_tensor(x).float(), None) for x in (task.train, task.valid)]
    training.fit(model, data, quiet=True, seed=task.seed, batch_size=100, **recipe)
    return model.eval()


def longer(task: Job, epochs: int) -> int:
    """As many steps as these epochs of draws make."""
    return epochs * LEARNED // len(task.train)


def masked(task: Job) -> np.ndarray:
    """The masked network, told which pixels are known."""
    torch.manual_seed(task.seed)
    model = fitted(Masked((PIXELS,), hidden=192), task, epochs=longer(task, 20), lr=2e-3, weight_decay=0.05)
    generator = torch.Generator().manual_seed(task.seed)
    known = torch.as_tensor(KNOWN).float()
    return model.fill_in(torch.as_tensor(task.digits).float(), known, DRAWS, generator=generator).numpy()


def vae(task: Job) -> VAE:
    """A VAE, told nothing."""
    torch.manual_seed(task.seed)
    model = VAE(MLPEncoder(PIXELS, [192], CODE), MLPDecoder(CODE, [192], PIXELS), CODE)
    return fitted(model, task, epochs=longer(task, 25), lr=3e-3, objective={"beta": training.ramp(until=0.4)})


@torch.no_grad()
def gibbs(model: VAE, task: Job, metropolis: bool) -> np.ndarray:
    """In turns a code of the digit as it stands, and hidden pixels from the code (Rezende et al., 2014).

    ``metropolis``: a code is kept or refused so that the draws are those of the model (Mattei and Frellsen, 2018).
    """
    generator = torch.Generator().manual_seed(task.seed)
    x = repeated(task.digits)
    z, noise = torch.zeros(len(x), CODE), lambda: torch.randn(len(x), CODE, generator=generator)
    x = merged(x, (torch.rand(x.shape, generator=generator) < torch.as_tensor(task.train.mean(axis=0))).float())
    for sweep in range(SWEEPS):
        q = model.posterior(x)
        new = q.mean + q.stddev * noise()
        if metropolis and sweep:
            old_w, new_w = (model.log_likelihood(code, x) + model.prior.log_prob(code) - q.log_prob(code).sum(dim=1)
                            for code in (z, new))
            keep = torch.rand(len(x), generator=generator).log() < new_w - old_w
            new = torch.where(keep[:, None], new, z)
        z = new
        x = merged(x, (torch.rand(x.shape, generator=generator) < model.expect(z)).float())
    return x.numpy()


@torch.no_grad()
def weighed(model: VAE, task: Job) -> tuple[np.ndarray, float]:
    """Codes from the prior, kept by their weights p(known|z), importance resampling; and the effective number."""
    generator = torch.Generator().manual_seed(task.seed)
    z = model.prior.sample(PRIOR_DRAWS, generator=generator)
    p, known = model.expect(z).clamp(1e-6, 1 - 1e-6), torch.as_tensor(KNOWN).float()
    x = torch.as_tensor(task.digits).float()
    weight = torch.softmax((known * x) @ p.log().T + (known * (1 - x)) @ (1 - p).log().T, dim=1)
    kept = torch.multinomial(weight, DRAWS, replacement=True, generator=generator).flatten()
    drawn = (torch.rand(len(kept), PIXELS, generator=generator) < p[kept]).float()
    return merged(repeated(task.digits), drawn).numpy(), float((1 / weight.square().sum(dim=1)).median())


def expected(x: Tensor, t: float, fitted: Any) -> Tensor:
    """The mean of the digit, pixels being -1 or 1, that is under way to x (N, 64) at time t, by the mixture: (N, 64).

    Given the prototype, pixels are independent, and noise is: both posteriors, of prototype and pixel, are known.
    """
    pi, p = (torch.as_tensor(part).float() for part in fitted)
    for_ink = (2 * t / (1 - t) ** 2 * x).clamp(-60, 60)[:, None]  # what each pixel says, log-odds (N, 1, 64)
    log_r = pi.log() + torch.log1p(p * torch.expm1(for_ink)).sum(dim=2)  # (N, C)
    ink = torch.sigmoid(torch.logit(p) + for_ink)  # (N, C, 64)
    return 2 * torch.einsum("nc,ncd->nd", torch.softmax(log_r, dim=1), ink) - 1


def noises(task: Job) -> tuple[Tensor, Tensor, Any]:
    """The digits as -1 and 1, each as often as it is completed; which pixels are known; and a source of noise."""
    generator = torch.Generator().manual_seed(task.seed)
    goal = 2 * repeated(task.digits) - 1
    return goal, torch.as_tensor(KNOWN).float(), lambda: torch.randn(goal.shape, generator=generator)


@torch.no_grad()
def replaced(task: Job, jumps: int = 0) -> np.ndarray:
    """Along the exact field from noise; before each step the known pixels are set to what they would be at that time.

    ``jumps``: after each step noise is added again, as much as it took away, and the step is made again, so often
    (Lugmayr et al., 2022, RePaint).
    """
    goal, _, noise = noises(task)
    now = noise()
    for i in range(STEPS):
        t, later = i / STEPS, (i + 1) / STEPS
        for again in range(jumps + 1):
            now = merged((1 - t) * noise() + t * goal, now)
            after = now + (expected(now, t, task.mixture) - now) / (1 - t) / STEPS
            if again < jumps and i:
                spread = (1 - t) ** 2 - (t / later * (1 - later)) ** 2
                now = t / later * after + spread**0.5 * noise()
        now = after
    return merged((goal + 1) / 2, (now > 0).float()).numpy()


def guided(task: Job) -> np.ndarray:
    """Along the exact field from noise; in each step the digit that is under way is pulled to the known pixels.

    The expected digit misses them by something; its slope says how to move x. (Song, Vahdat, Mardani and Kautz, 2023,
    Pseudoinverse-Guided Diffusion Models; for flows: Pokle et al., 2024.)
    """
    goal, known, noise = noises(task)
    now = noise()
    for i in range(STEPS):
        t = i / STEPS
        now = now.detach().requires_grad_()
        guess = expected(now, t, task.mixture)
        missed = known * (goal - guess).detach()
        pull = torch.autograd.grad((guess * missed).sum(), now)[0]
        strength = (t**2 + (1 - t) ** 2) / max(t * (1 - t), 1 / STEPS)
        now = now.detach() + ((guess.detach() - now.detach()) / (1 - t) + strength * pull) / STEPS
    return merged((goal + 1) / 2, (now > 0).float()).numpy()


# --- what draws are worth ------------------------------------------------------------------------------


def rank_of(truth: float, draws: np.ndarray, rng: np.random.Generator) -> int:
    """How many of the draws (n,) lie below the truth; of those that are equal, a random number: 0 … n."""
    return int((draws < truth).sum() + rng.integers((draws == truth).sum() + 1))


def judge(drawn: np.ndarray, task: Job) -> dict[str, float]:
    """What completions (M · DRAWS, 64) are worth.

    ``apart``: energy distance to as many exact draws, of hidden pixels, the mean over digits. ``held``: how often the
    amount of hidden ink lies in the middle 90 % of that of the draws, by ranks. ``various``: the mean distance of two
    draws of one digit. ``score``: the energy score (Gneiting and Raftery, 2007), the less the better: the mean distance
    to the truth, less half of ``various``. ``seam``: how often neighbours across the border differ.
    """
    rng, M, hidden = np.random.default_rng([task.seed, 8]), len(task.digits), KNOWN == 0
    draws = drawn.reshape(M, DRAWS, PIXELS)[:, :, hidden]
    right = exact(task, task.seed + 100).reshape(M, DRAWS, PIXELS)[:, :, hidden]
    truth = task.digits[:, hidden]
    apart = [energy_distance(a, b) for a, b in zip(draws, right)]
    ranks = np.array([rank_of(one.sum(), some.sum(axis=1), rng) for one, some in zip(truth, draws)])
    pairs = np.abs(draws[:, :, None] - draws[:, None]).sum(axis=3) ** 0.5
    various = pairs.sum(axis=(1, 2)) / (DRAWS * (DRAWS - 1))
    missed = (np.abs(draws - truth[:, None]).sum(axis=2) ** 0.5).mean(axis=1)
    border = np.abs(drawn[:, 24:32] - drawn[:, 32:40]).mean()
    return {"apart": np.mean(apart), "held": ((ranks >= LEAVE) & (ranks <= DRAWS - LEAVE)).mean(),
            "various": various.mean(), "score": (missed - various / 2).mean(), "seam": border}


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """All ways on one kind of digits: what :func:`judge` says of each. ``effective``: of the codes that were weighed,
    the median over digits. Flow matching only where its exact field is known."""
    start, task = time.process_time(), job(setting["of"], seed)
    found = {"exact": exact(task, seed), "copied": copied(task), "masked": masked(task)}
    of_vae = vae(task)
    found |= {"gibbs": gibbs(of_vae, task, False), "metropolis": gibbs(of_vae, task, True)}
    found["weighed"], effective = weighed(of_vae, task)
    if setting["of"] == "draws":
        found |= {"replaced": replaced(task), "jumps": replaced(task, JUMPS), "guided": guided(task)}
    figures = {f"{way}, {name}": value for way, drawn in found.items() for name, value in judge(drawn, task).items()}
    figures["truth, seam"] = np.abs(task.digits[:, 24:32] - task.digits[:, 32:40]).mean()
    return figures | {"effective": effective, "seconds": time.process_time() - start}


SETTINGS: list[dict] = [{"of": "draws"}, {"of": "digits"}]
SEEDS = range(3)
WAYS: dict[str, str] = {
    "exact": "mixture, exact", "masked": "masked network", "weighed": "VAE, weighed", "metropolis": "VAE, Metropolis",
    "gibbs": "VAE, Gibbs", "jumps": "flow, with jumps", "guided": "flow, guided", "replaced": "flow, replaced",
    "copied": "copied halves"}


def table(rows: list[dict], of: str) -> str:
    """The figures of one kind of digits as a table: means and standard errors over seeds."""
    names = {"apart": ".3f", "held": ".3f", "various": ".2f", "score": ".3f", "seam": ".3f"}
    if of == "digits":
        del names["apart"]
    lines = [f"{'':<18}" + "".join(f"{name:<16}" for name in names)]
    for way in WAYS if of == "draws" else [way for way in WAYS if not WAYS[way].startswith("flow")]:
        lines.append(f"{WAYS[way]:<18}")
        for name, form in names.items():
            found = sweeps.figures(rows, {"of": of}, f"{way}, {name}")
            lines[-1] += f"{f'{found.mean():{form}} ± {found.std(ddof=1) / len(found) ** 0.5:.3f}':<16}"
    return "\n".join(line.rstrip() for line in lines)
