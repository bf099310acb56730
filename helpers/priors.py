"""Fit a prior over the codes of a trained VAE: ``vae.prior = fit_prior("flow", vae, data)``.

Codes are drawn from their posteriors, anew in every epoch, since the bound asks for the mean of all posteriors and not
for that of their means (``helpers.models.prior``). What is chosen, is chosen by held-out codes.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers import training
from helpers.data.dataset import Dataset
from helpers.models import contract
from helpers.models.prior import FlowPrior, Mixture, Prior, StandardNormal, best_mixture

KINDS = ("normal", "gaussian", "mixture", "flow")
MOST = 5_000  # codes that a mixture is fitted to
HELD_OUT = 200  # codes that priors are compared by
COARSE = 12  # midpoint steps of the densities that priors are compared by
BATCH = 250  # examples that are encoded together
LONG = 200  # seconds from which on a wider network has had its steps
ROWS = 2_000  # codes, at least, that validation looks at after each epoch: those that there are, drawn several times


class Codes(NamedTuple):
    """Posteriors of examples: means and deviations (N, K), and their labels (N,) or traits (N, C), or None."""

    mean: Tensor
    deviation: Tensor
    c: Tensor | None = None

    def drawn(self, times: int = 1, seed: int = 0) -> Tensor:
        """``times`` codes from each: (times · N, K)."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(times, *self.mean.shape, generator=generator).to(self.mean)
        return (self.mean + self.deviation * noise).flatten(0, 1)

    def told(self, times: int = 1) -> Tensor | None:
        """The conditions of codes that are ``drawn``."""
        return None if self.c is None else self.c.repeat(times, *[1] * (self.c.dim() - 1))


@torch.no_grad()
def posteriors(vae: Any, data: Dataset, split: str = "train", traits: Any = None, most: int | None = None) -> Codes:
    """What the encoder says of each example of a split, or of each set of them, on the CPU; of ``most`` at random.

    traits (N, C): real numbers that a prior shall be told, one row for each; NaN where one is not known. Without them,
    labels are told, unless examples are sets.
    """
    found, device = contract.examples(vae, data, split), next(vae.parameters()).device
    if most is not None and most < len(found.x):
        few = np.sort(np.random.default_rng(0).permutation(len(found.x))[:most])
        found = contract.Examples(*(None if part is None else part[few] for part in found))  # type: ignore[arg-type]
    vae.eval()
    parts = []
    for i in range(0, len(found.x), BATCH):
        x, c = (contract.tensor(part, slice(i, i + BATCH), device) for part in found[:2])
        q = vae.posterior(x, c)
        parts.append((q.mean.cpu(), q.stddev.cpu()))
    mean, deviation = (torch.cat(part) for part in zip(*parts, strict=True))
    c = vae.told(None if found.c is None else torch.as_tensor(found.c)) if traits is None else torch.as_tensor(traits)
    return Codes(mean, deviation, c.to(mean.dtype) if c is not None and c.is_floating_point() else c)


def fit_prior(kind: str, vae: Any = None, data: Dataset | tuple[Codes, Codes] | None = None, *,
              labels: int | None = None, steps: int = 2_000, seconds: float | None = None, seed: int = 0,
              quiet: bool = True, start: Prior | None = None, checkpoint: str | Path | None = None,
              save_every: float = 5.0, device: torch.device | str | None = None, **choices: Any) -> Prior:
    """A prior of this kind, fitted to the codes of ``data`` under ``vae``: "normal", "gaussian", "mixture" or "flow".

    data: a Dataset; or the Codes of training and of validation, from :func:`posteriors`, and then no vae is needed.
    labels: how many there are; by default as many as come. For "flow" only: steps, or seconds, of training;
    ``choices``, such as ``hidden`` (see ``FlowPrior``); ``start``, a prior whose weights are the first if it was built
    alike; ``checkpoint``, where a training that was stopped goes on; the device. The number of Gaussians of a mixture,
    and the best weights of a flow, are chosen by the codes of validation.

    Returns the prior, in evaluation mode; put it in its place with ``vae.prior = …``, or :func:`replace`, after which
    the plan of the VAE names it as well.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no prior of the kind {kind!r}; say {', '.join(map(repr, KINDS))}.")
    if isinstance(data, Dataset):
        train, valid = posteriors(vae, data), posteriors(vae, data, "valid")
    else:
        train, valid = data  # type: ignore[misc]
    K = train.mean.shape[1]
    condition = train.c.shape[1] if train.c is not None and train.c.dim() == 2 else 0
    if labels is None:
        labels = 0 if train.c is None or condition else int(train.c.max()) + 1
    if kind == "normal":
        return StandardNormal(K).eval()
    if kind in ("gaussian", "mixture"):
        return _gaussians(kind, train, valid, labels, seed)
    n = len(train.mean)
    torch.manual_seed(seed)
    prior = FlowPrior(K, labels, condition, **{"hidden": 256 if n < 5000 or (seconds or 0) < LONG else 384, **choices})
    if start is not None and start.plan == prior.plan:
        prior.load_state_dict(start.state_dict())
    z = torch.cat([train.mean, train.deviation], dim=1)
    prior.start_from(z, train.c)
    batch_size = 64 if n < 2000 else 256
    times = math.ceil(ROWS / len(valid.mean))
    held_out = torch.cat([valid.mean, valid.deviation], dim=1).repeat(times, 1)
    epochs = 1_000_000 if seconds is not None else math.ceil(steps / math.ceil(n / batch_size))
    training.fit(prior, ((z, train.c), (held_out, valid.told(times))), epochs=epochs, batch_size=batch_size, lr=1.5e-3,
                 weight_decay=0.01, clip=1.0, warmup=0.05, seed=seed, quiet=quiet, lines=False, retries=3,
                 minutes=None if seconds is None else seconds / 60, checkpoint=checkpoint, save_every=save_every,
                 device=device)
    return prior.to("cpu").eval()


def _gaussians(kind: str, train: Codes, valid: Codes, labels: int, seed: int) -> Mixture:
    """One Gaussian, or a mixture of as many as held-out codes want; told labels, but no real numbers."""
    order = torch.randperm(len(train.mean), generator=torch.Generator().manual_seed(seed))[:MOST]
    few = Codes(train.mean[order], train.deviation[order], None if train.c is None else train.c[order])
    times = max(1, min(5, MOST // len(few.mean)))
    z, c = few.drawn(times, seed), few.told(times) if labels else None
    if kind == "gaussian":
        return Mixture(z.shape[1], 1).fit(z).eval()
    held_out, told = valid.drawn(5, seed + 1), valid.told(5) if labels else None
    return best_mixture(z, c, held_out, told, labels, seed=seed).eval()


def density(prior: Prior, codes: Codes, seed: int = 0) -> float:
    """The mean of log p(z|c) of at most 200 codes, drawn from their posteriors: nats a code, higher is better."""
    order = torch.randperm(len(codes.mean), generator=torch.Generator().manual_seed(seed))[:HELD_OUT]
    z, c = codes.drawn(1, seed)[order], None if codes.c is None else codes.c[order]
    coarse = {"steps": COARSE} if isinstance(prior, FlowPrior) else {}
    return float(prior.log_prob(z, c, **coarse).mean())


def replace(vae: Any, prior: Prior) -> None:
    """Put a prior in the place of the VAE's own, and its plan into that of the VAE, so that both are saved."""
    like = next(vae.parameters())
    vae.prior = prior.to(like.device, like.dtype)
    if hasattr(vae, "plan"):
        vae.plan = {**vae.plan, "prior": prior.plan}


@contextlib.contextmanager
def plain(model: Any) -> Iterator[None]:
    """A model with codes has the standard Normal for a prior, inside; any other is as it is."""
    own = getattr(model, "prior", None)
    if own is None:
        yield
        return
    like = next(model.parameters())
    model.prior = StandardNormal(model.code).to(like.device, like.dtype)
    try:
        yield
    finally:
        model.prior = own
