"""The family portrait: seven families and a Gaussian mixture on one target, one budget, over five seeds.

data/portrait.json holds its rows; ``python tools/sweep.py`` makes them. Of each family, six settings were tried with
one seed and judged by validation (nats; energy distance for the GAN), each for four to five CPU seconds of training.
"""

import functools
import time
from typing import Any

import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from helpers.data import pinwheel
from helpers.evaluation.two_sample import energy_distance, told_apart
from helpers.experiments import sweeps
from helpers.models.families import plane
from helpers.training import fit, ramp

N, VALID = 5000, 1000  # points for training and for tests; for validation
PARTS = (4, 8, 16, 32, 64)  # of the mixture: the best by validation is taken
USUAL: dict[str, Any] = dict(batch_size=128, warmup=0.1, clip=5.0)
RECIPES: dict[str, dict] = {
    "autoregressive": USUAL | dict(lr=4e-3, epochs=40),
    "VAE": USUAL | dict(lr=6e-3, epochs=50, objective={"beta": ramp(until=0.6)}),
    "flow": USUAL | dict(lr=3e-3, epochs=28),
    "energy": USUAL | dict(lr=8e-3, epochs=28, objective={"side": 32}),
    "GAN": USUAL | dict(lr=3e-3, epochs=45),
    "diffusion": USUAL | dict(lr=6e-3, epochs=120),
    "flow matching": USUAL | dict(lr=8e-3, epochs=130),
}# What a family may be left without, and the changes of its recipe that do so.
WITHOUT: dict[Any, dict] = {"warm-up": {"objective": {}}, "penalty": {"choices": {"penalty": 0.0}}}


class Mixture(plane.Planar):
    """A mixture of Gaussians, fitted by EM (scikit-learn): the rival. As many as validation likes best."""

    bound = "exact"

    def __init__(self, train: np.ndarray, valid: np.ndarray, seed: int):
        super().__init__()
        fitted = [GaussianMixture(parts, random_state=seed).fit(train) for parts in PARTS]
        self.best = max(fitted, key=lambda mixture: mixture.score(valid))

    def score(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.best.score_samples(x.numpy()))

    def draw(self, n: int) -> torch.Tensor:
        self.best.random_state = int(torch.randint(1 << 31, ()))
        return torch.as_tensor(self.best.sample(n)[0]).float()


def points(n: int, *key: int) -> torch.Tensor:
    """n points of the target (n, 2), other ones for every key."""
    return torch.as_tensor(pinwheel.draw(n, np.random.default_rng(key))[0]).float()


def train(name: str, seed: int = 0, **changes: Any) -> plane.Planar:
    """A trained model of a family, or the "mixture". changes: of its recipe, or "choices" of its constructor."""
    data = points(N, seed, 0), points(VALID, seed, 1)
    if name == "mixture":
        return Mixture(data[0].numpy(), data[1].numpy(), seed)
    torch.manual_seed(seed)
    model = plane.FAMILIES[name](**changes.pop("choices", {}))
    fit(model, data, quiet=True, seed=seed, **RECIPES[name] | changes)
    return model.eval()


@functools.cache
def edge() -> float:
    """log p of the target that 99 of 100 of its points exceed: outside, there are no arms."""
    return float(np.quantile(pinwheel.log_density(pinwheel.draw(200_000, np.random.default_rng(0))[0]), 0.01))


@torch.no_grad()
def judge(x: torch.Tensor, seed: int = 0) -> dict[str, float]:
    """What can be said of samples x (N, 2), beside as many real points.

    ``outside``: the share of points where the density is lower than at all but one in a hundred real ones. ``arms``:
    total variation between the shares of the arms, each point counted for its most probable one, and their weights:
    half the sum of the differences. ``poorest``: the least share of an arm over its weight, of points not outside.
    ``energy`` distance, and the accuracy of a classifier that has to ``tell`` them from real ones.
    """
    real, drawn = points(len(x), seed, 2).double().numpy(), x.double().numpy()
    log_arms = pinwheel.log_arms(drawn)
    arm, inside = log_arms.argmax(axis=1), np.logaddexp.reduce(log_arms, axis=1) >= edge()
    shares, dense = (np.bincount(arm[keep], minlength=5) / len(x) for keep in (slice(None), inside))
    return {
        "outside": 1 - inside.mean(),
        "arms": np.abs(shares - pinwheel.WEIGHTS).sum() / 2,
        "poorest": (dense / pinwheel.WEIGHTS).min(),
        "energy": energy_distance(drawn, real),
        "tell": told_apart(drawn, real, seed),
    }


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """Train one family, and judge it: nats of ``test`` points, the scores of ``judge``, and the times.

    A setting may leave out what a family needs: ``"without": "warm-up"``, beta is 1 from the start; ``"penalty"``, the
    slope of the discriminator is free.
    """
    if setting["family"] == "real":  # as if real points had been drawn by a model
        return judge(points(N, seed, 3), seed)
    start = time.process_time()
    model = train(setting["family"], seed, **WITHOUT.get(setting.get("without"), {}))
    seconds = time.process_time() - start
    generator, found = torch.Generator().manual_seed(seed), {}
    with torch.no_grad():
        if model.bound:
            found["test"] = -float(model.log_prob(points(N, seed, 2), generator=generator).mean())
        start = time.process_time()
        model.sample(1000, generator=generator)
        found["drawing"] = time.process_time() - start
        return found | judge(model.sample(N, generator=generator), seed) | {"seconds": seconds}


SETTINGS: list[dict] = [{"family": name} for name in ("real", "mixture", *plane.FAMILIES)]
SETTINGS += [{"family": "VAE", "without": "warm-up"}, {"family": "GAN", "without": "penalty"}]


def table(rows: list[dict]) -> str:
    """The rows of the sweep as a table: means and standard deviations over seeds; of ``poorest`` the least."""
    columns = (("test", "nats", 1, ".2f", 13), ("outside", "outside", 1, ".3f", 15), ("arms", "arms", 1, ".3f", 15),
               ("energy", "apart", 1000, ".1f", 13), ("tell", "told", 1, ".3f", 15))
    lines = [f"{'':<18}" + "".join(f"{title:<{width}}" for _, title, _, _, width in columns)
             + "poorest   train   draw 1,000"]
    for setting in SETTINGS:
        line = f"{setting['family'] + (', no ' + setting['without'] if 'without' in setting else ''):<18}"
        for name, _, scale, form, width in columns:
            values = scale * sweeps.figures(rows, setting, name)
            text = "–" if np.isnan(values).any() else f"{values.mean():{form}} ± {values.std(ddof=1):{form}}"
            line += f"{text:<{width}}"
        line += f"{sweeps.figures(rows, setting, 'poorest').min():5.2f}"
        if setting["family"] != "real":
            seconds, drawing = (sweeps.figures(rows, setting, name).mean() for name in ("seconds", "drawing"))
            line += f"{seconds:8.1f} s {drawing:10.3f} s"
        lines.append(line)
    return "\n".join(lines)
