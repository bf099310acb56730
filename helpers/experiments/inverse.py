"""Which settings of a synthesiser made this note? A flow told the spectrogram, its rivals, and a twin whose
posterior is known, over five seeds.

data/inverse.json holds its rows; ``python tools/sweep.py`` makes them. The instrument is the plucked string of
helpers.data.notes with four knobs from 0 to 1, drawn evenly; it plays one pitch, and the recording is noisy. Knobs u
are taken as z = Φ⁻¹(u), which turns the even prior into the standard Normal: where a note tells nothing, noise need
not move.
"""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtr, ndtri
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from helpers import sound
from helpers.data import notes
from helpers.evaluation import intervals
from helpers.evaluation.two_sample import told_by_trees
from helpers.experiments import sweeps
from helpers.experiments.alarm import cell
from helpers.models.families.matching import FREQUENCIES, follow, log_density, waves
from helpers.models.layers import gelu_mlp

KNOBS, PITCH, SAMPLES = 4, 60, 10_240  # middle C, 0.64 seconds
NOISE = 0.3  # the noise's deviation, where the note's peak is 0.9
HARMONICS, FRAMES = 12, 10
DRAWS = 99  # from each posterior; ranks are then 0 to 99
FEW = 4  # examples of the twin whose posteriors are compared
PARTS = {"train": 3000, "valid": 400, "test": 500}


class World(NamedTuple):
    """A simulator: settings z (N, 4) and what they make before the noise (N, …), by part; ``hear`` adds noise, anew in
    each call, and gives features (N, C)."""

    z: dict[str, Tensor]
    clean: dict[str, Tensor]
    hear: Callable[[Tensor], Tensor]


def spectra(waves: np.ndarray) -> Tensor:
    """The Fourier transform of waves (N, samples) at 12 harmonics and 10 times, windows side by side: complex
    (N, 12, 10). It is linear: that of note and noise is the sum of both."""
    f0 = float(notes.frequency(PITCH))
    bins = np.rint(np.arange(1, HARMONICS + 1) * f0 * sound.N_FFT / sound.SAMPLE_RATE).astype(int)
    return torch.cat([sound.stft(some, hop_length=sound.N_FFT)[:, bins, :FRAMES]
                      for some in torch.as_tensor(waves).split(500)])


def play(z: np.ndarray) -> np.ndarray:
    """Notes with knobs Φ(z), z (N, 4): waves (N, samples)."""
    return np.stack([notes.play("plucked", u, PITCH, SAMPLES / sound.SAMPLE_RATE) for u in ndtr(z)])


@functools.cache
def strings(seed: int) -> World:
    """Notes of a plucked string in noise; features are standardised log-magnitudes (N, 120)."""
    rng, z, clean = np.random.default_rng(seed), {}, {}
    for part, n in PARTS.items():
        drawn = ndtri(rng.uniform(1e-3, 1 - 1e-3, size=(n, KNOBS)))
        z[part], clean[part] = torch.tensor(drawn).float(), spectra(play(drawn))
    noises = spectra(NOISE * rng.standard_normal((2000, SAMPLES)).astype(np.float32))
    loud = (clean["train"][:2000] + noises).abs().clamp(min=sound.FLOOR).log().flatten(1)
    mean, deviation = loud.mean(dim=0), loud.std(dim=0)

    def hear(clean):
        noisy = clean + noises[torch.randint(len(noises), (len(clean),))]
        return (noisy.abs().clamp(min=sound.FLOOR).log().flatten(1) - mean) / deviation

    return World(z, clean, hear)


@functools.cache
def twin(seed: int) -> tuple[World, Tensor, Tensor]:
    """The same task where all is linear and Gaussian: features c = A z + noise, eight numbers. The world, and the exact
    posterior N(gain c, covariance): gain (4, 8) and covariance (4, 4)."""
    rng = np.random.default_rng(100 + seed)
    A = rng.standard_normal((8, KNOBS)) * [1.0, 0.7, 0.4, 0.1]  # the last is hardly heard
    covariance = np.linalg.inv(np.eye(KNOBS) + A.T @ A / 0.7**2)
    z = {part: torch.tensor(rng.standard_normal((n, KNOBS))).float() for part, n in PARTS.items()}
    clean = {part: some @ torch.tensor(A.T).float() for part, some in z.items()}
    world = World(z, clean, lambda clean: clean + 0.7 * torch.randn_like(clean))
    return world, torch.tensor(covariance @ A.T / 0.7**2).float(), torch.tensor(covariance).float()


class ToldVelocity(nn.Module):
    """The velocity at z (N, 4) and times t (N,), told features c (N, C): (N, 4). ``listen`` sums up what is heard."""

    def __init__(self, C: int, width: int = 128):
        super().__init__()
        self.listen = gelu_mlp([C, width, width])
        self.net = gelu_mlp([KNOBS + 2 * FREQUENCIES + width, width, width, KNOBS])

    def forward(self, z: Tensor, t: Tensor, heard: Tensor) -> Tensor:
        return self.net(torch.cat([z, waves(t), heard], dim=1))


def optimise(network: nn.Module, loss: Callable[[], Tensor], steps: int, lr: float = 2e-3) -> None:
    """AdamW, whose step rises and falls again, on a loss that draws its own batch."""
    optimiser = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps, pct_start=0.05)
    for _ in range(steps):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
    network.eval()


def train_flow(world: World, seed: int, steps: int = 6000, batch: int = 256) -> ToldVelocity:
    """Conditional flow matching: on straight ways from noise to settings, the squared error of the velocity."""
    torch.manual_seed(seed)
    z, clean = world.z["train"], world.clean["train"]
    flow = ToldVelocity(world.hear(clean[:1]).shape[1])

    def loss():
        rows = torch.randint(len(z), (batch,))
        noise, t = torch.randn(batch, KNOBS), torch.rand(batch)
        here = (1 - t[:, None]) * noise + t[:, None] * z[rows]
        velocity = flow(here, t, flow.listen(world.hear(clean[rows])))
        return ((velocity - (z[rows] - noise)) ** 2).sum(dim=1).mean()

    optimise(flow, loss, steps)
    return flow


def told(flow: ToldVelocity, c: Tensor, times: int) -> Callable[[Tensor, float], Tensor]:
    """The velocity for ``times`` draws of each row of features c (N, C), as a function of z (times · N, 4) and t."""
    heard = flow.listen(c).detach().repeat(times, 1)
    return lambda z, t: flow(z, z.new_full((len(z),), t), heard)


@torch.no_grad()
def draw(flow: ToldVelocity, c: Tensor, draws: int, seed: int, steps: int = 12) -> Tensor:
    """Draws from the posterior of each row of features c (N, C): (draws, N, 4)."""
    noise = torch.randn(draws * len(c), KNOBS, generator=torch.Generator().manual_seed(1000 + seed))
    return follow(told(flow, c, draws), noise, steps).view(draws, len(c), KNOBS)


def regression(world: World, c: Tensor, seed: int, draws: int, steps: int = 6000) -> Tensor:
    """The rival: a network that guesses the mean, and one Gaussian of its errors on validation notes: (draws, N, 4)."""
    torch.manual_seed(seed)
    z, clean = world.z["train"], world.clean["train"]
    net = gelu_mlp([c.shape[1], 128, 128, KNOBS])

    def loss():
        rows = torch.randint(len(z), (256,))
        return ((net(world.hear(clean[rows])) - z[rows]) ** 2).sum(dim=1).mean()

    optimise(net, loss, steps)
    with torch.no_grad():
        errors = world.z["valid"] - net(world.hear(world.clean["valid"]))
        return net(c) + torch.randn(draws, len(c), KNOBS) @ torch.linalg.cholesky(torch.cov(errors.T)).T


def ranks(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How many of the draws (L, N, K) lie below the truth (N, K): 0 to L (Talts et al., 2018)."""
    return (draws < truth).sum(axis=0)


def unevenness(rank: np.ndarray, L: int, bins: int = 10) -> float:
    """χ² of ranks (N,), 0 to L, in bins of equal width, over its degrees of freedom: about 1 if they are even."""
    count = np.bincount(rank * bins // (L + 1), minlength=bins)
    expected = len(rank) / bins
    return float(((count - expected) ** 2 / expected).sum() / (bins - 1))


def judged(draws: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Figures of draws u (L, N, 4) for the true knobs (N, 4): of each knob and on their mean.

    held: how many 90 % intervals hold the truth, by its rank among the draws; width of these; error of the median;
    crps: E|u − truth| less E|u − u'| / 2, lower is better (Gneiting and Raftery, 2007); uneven: χ² of ranks over its
    degrees of freedom.
    """
    low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
    L = len(draws)
    order = np.sort(draws, axis=0)
    spread = np.einsum("l,lnk->nk", 2 * np.arange(1, L + 1) - L - 1, order) / (L * (L - 1))  # E|u − u'| / 2
    each = {"held": intervals.inside(draws, truth), "width": high - low, "error": np.abs(middle - truth),
            "crps": np.abs(draws - truth).mean(axis=0) - spread}
    found = {f"{name}, {knob}": float(values[:, k].mean())
             for name, values in each.items() for k, knob in enumerate(notes.TIMBRE)}
    rank = ranks(draws, truth)
    found |= {f"uneven, {knob}": unevenness(rank[:, k], L) for k, knob in enumerate(notes.TIMBRE)}
    return found | {name: float(np.mean([found[f"{name}, {knob}"] for knob in notes.TIMBRE]))
                    for name in (*each, "uneven")}


def measure(way: str, seed: int) -> dict[str, float]:
    """The figures of one way to answer, on test notes, in knobs from 0 to 1."""
    world = strings(seed)
    torch.manual_seed(seed)
    c, truth = world.hear(world.clean["test"]), ndtr(world.z["test"].numpy())
    if way == "flow":
        found = draw(train_flow(world, seed), c, DRAWS, seed)
    elif way == "regression":
        found = regression(world, c, seed, DRAWS)
    elif way == "nearest":
        known = world.hear(world.clean["train"])
        found = world.z["train"][torch.cdist(c, known).argmin(dim=1)].expand(DRAWS, -1, -1)
    else:
        found = torch.randn(DRAWS, *truth.shape)
    return judged(ndtr(found.numpy()), truth)


def known(seed: int) -> dict[str, float]:
    """On the twin, for a few test examples: how well 500 draws are told from 500 of the exact posterior, beside two
    samples of the exact one, and the KL from the exact posterior to the flow in nats."""
    world, gain, covariance = twin(seed)
    flow = train_flow(world, seed)
    c = world.hear(world.clean["test"])
    exact, n = MultivariateNormal(c[:FEW] @ gain.T, covariance), 500
    draws, right, again = draw(flow, c[:FEW], n, seed), exact.sample((n,)), exact.sample((n,))
    apart, same = ([told_by_trees(sample[:, i], right[:, i]) for i in range(FEW)] for sample in (draws, again))
    log_q = log_density(told(flow, c[:FEW], n), right.view(-1, KNOBS), 12, lambda z: list(torch.eye(KNOBS)))
    kl = exact.log_prob(right).flatten() - log_q
    figures = judged(draw(flow, c, DRAWS, seed).numpy(), world.z["test"].numpy())
    return {"told": float(np.mean(apart)), "told, exact": float(np.mean(same)), "kl": float(kl.mean()),
            "held": figures["held"], "uneven": figures["uneven"]}


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """The figures of one setting."""
    start, of = time.process_time(), setting["of"]
    found = known(seed) if of == "twin" else measure(setting["way"], seed)
    return {"seconds": time.process_time() - start} | found


WAYS = ("flow", "regression", "nearest", "prior")
SETTINGS: list[dict] = [*({"of": "notes", "way": way} for way in WAYS), {"of": "twin", "way": "flow"}]


def table(rows: list[dict]) -> str:
    """Figures of each way on test notes: means over seeds, ± their standard error."""
    columns = {"held": 3, "width": 3, "error": 3, "crps": 4, "uneven": 1}
    lines = [f"{'':<12}" + "".join(f"{name:<18}" for name in columns)]
    for way in WAYS:
        cells = (cell(sweeps.figures(rows, {"of": "notes", "way": way}, name), digits)
                 for name, digits in columns.items())
        lines.append(f"{way:<12}" + "".join(f"{one:<18}" for one in cells))
    return "\n".join(line.rstrip() for line in lines)


def by_knob(rows: list[dict], name: str = "width", way: str = "flow", digits: int = 2) -> dict[str, str]:
    """One figure of each knob, in words."""
    return {knob: cell(sweeps.figures(rows, {"of": "notes", "way": way}, f"{name}, {knob}"), digits)
            for knob in notes.TIMBRE}
