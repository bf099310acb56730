"""VAEs of the binary digits, as the lesson The same VAE in PyTorch builds them: with convolutions, or as in NumPy."""

import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from helpers import checkpoints, scratch
from helpers.build import assemble
from helpers.data import digits
from helpers.models import VAE
from helpers.training import fit

SEEDS = range(5)

PLANS: dict[str, dict[str, Any]] = {
    "conv": {
        "model": "VAE",
        "encoder": {"model": "ConvEncoder", "K": 10, "channels": 32, "hidden": 128},
        "decoder": {"model": "ConvDecoder", "K": 10, "channels": 32, "hidden": 128},
        "code": 10,
    },
    "mlp": {
        "model": "VAE",
        "encoder": {"model": "MLPEncoder", "D": 64, "hidden": [128, 128], "K": 10},
        "decoder": {"model": "MLPDecoder", "K": 10, "hidden": [128, 128], "D": 64},
        "code": 10,
    },
}

# Each chosen on the validation split; "mlp" is the model and the training of the lesson A variational autoencoder in
# NumPy, first weights included.
TRAINING: dict[str, dict[str, Any]] = {
    "conv": dict(epochs=220, batch_size=100, lr=7e-3, weight_decay=0.1),
    "mlp": dict(epochs=500, batch_size=50, lr=3e-3),
}


def start_as_in_numpy(model: nn.Module, seed: int) -> None:
    """Give the Linear layers the first weights of the NumPy model: variance 1 / n_in, three times PyTorch's."""
    ours = scratch.VAE(64, (128, 128), 10, np.random.default_rng(seed))
    from_numpy = [layer for net in (ours.encoder, ours.decoder) for layer in net.layers if layer.names]
    for a, b in zip(from_numpy, (m for m in model.modules() if isinstance(m, nn.Linear)), strict=True):
        b.weight.data = torch.tensor(a.W.T.copy(), dtype=torch.float32)
        b.bias.data = torch.tensor(a.b, dtype=torch.float32)


@torch.no_grad()
def figures(model: VAE, x: np.ndarray) -> dict[str, float]:
    """Negative ELBO and IWAE-200 of the rows of x, in nats per image, always with the same noise."""
    rows = torch.as_tensor(x, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    nll, kl = model.elbo(rows, generator=generator, samples=100)
    bound = -model.log_prob(rows, k=200, generator=generator)
    return {"negative ELBO": round((nll + kl).mean().item(), 3), "IWAE-200": round(bound.mean().item(), 3)}


def train(kind: str, seed: int, folder: Path) -> str:
    """Train one model, "conv" or "mlp", and save it with its card; returns what it reached, in words."""
    data, grey = digits.load(), digits.load(binary=False)
    torch.manual_seed(seed)
    model = cast(VAE, assemble(PLANS[kind]))
    if kind == "mlp":
        start_as_in_numpy(model, seed)
    start = time.perf_counter()
    jitter = lambda x, generator: digits.threshold_jitter(x, generator, width=0.15)
    history = fit(model, (grey.train, data.valid), augment=jitter, seed=seed, quiet=True, **TRAINING[kind])
    card = dict(
        model=f"VAE on the binary digits: {kind}, code of 10, Bernoulli pixels",
        plan=PLANS[kind],
        made_by=f"make pretrained ({kind}-{seed})",
        data="digits, binary: 1,250 training images, thresholds jittered by 0.15; see data/README.md",
        training=TRAINING[kind] | {"seed": seed, "best epoch": history.best + 1},
        test=figures(model, data.test.x),
        validation=figures(model, data.valid.x),
        licence="MIT",
        limits="Eight by eight pixels, thirteen hands; for learning about models, not for reading digits.",
    )
    checkpoints.save(folder / f"digits-{kind}-{seed}", model.state_dict(), **card)
    return f"test {card['test']}, validation {card['validation']}, {time.perf_counter() - start:.0f} s"
