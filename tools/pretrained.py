"""Train the models that ship in data/pretrained, and write what they reach into their cards: `make pretrained`.

    python tools/pretrained.py               all
    python tools/pretrained.py conv-0        some, by name
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

import helpers
from helpers import checkpoints, scratch
from helpers.data import digits
from helpers.models import VAE
from helpers.models.images import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from helpers.training import fit

PRETRAINED = Path(__file__).resolve().parent.parent / "data" / "pretrained"
SEEDS = range(5)

# Each chosen on the validation split; "mlp" is the model and the training of notebook 03, first weights included.
RECIPES = {
    "conv": dict(epochs=220, batch_size=100, lr=7e-3, weight_decay=0.1),
    "mlp": dict(epochs=500, batch_size=50, lr=3e-3),
}


def build(kind: str) -> VAE:
    """An untrained VAE for the binary digits: "conv" or "mlp", with a code of 10."""
    if kind == "conv":
        return VAE(ConvEncoder(10), ConvDecoder(10), code=10)
    return VAE(MLPEncoder(64, (128, 128), 10), MLPDecoder(10, (128, 128), 64), code=10)


def start_as_in_notebook_03(model: VAE, seed: int):
    """Give the Linear layers the first weights of the NumPy model: variance 1 / n_in, three times PyTorch's."""
    ours = scratch.VAE(64, (128, 128), 10, np.random.default_rng(seed))
    from_numpy = [layer for net in (ours.encoder, ours.decoder) for layer in net.layers if layer.names]
    for a, b in zip(from_numpy, (m for m in model.modules() if isinstance(m, torch.nn.Linear)), strict=True):
        b.weight.data = torch.tensor(a.W.T.copy(), dtype=torch.float32)
        b.bias.data = torch.tensor(a.b, dtype=torch.float32)


@torch.no_grad()
def figures(model: VAE, x) -> dict[str, float]:
    """Negative ELBO and IWAE-200 of the rows of x, in nats per image, always with the same noise."""
    x = torch.as_tensor(x, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    nll, kl = model.elbo(x, generator=generator, samples=100)
    bound = -model.log_prob(x, k=200, generator=generator)
    return {"negative ELBO": round((nll + kl).mean().item(), 3), "IWAE-200": round(bound.mean().item(), 3)}


def train(name: str):
    """Train one model and save it with its card."""
    kind, seed = name.split("-")
    data, grey = digits.load(), digits.load(binary=False)
    torch.manual_seed(int(seed))
    model = build(kind)
    if kind == "mlp":
        start_as_in_notebook_03(model, int(seed))
    start = time.perf_counter()
    jitter = lambda x, generator: digits.threshold_jitter(x, generator, width=0.15)
    history = fit(model, (grey.train, data.valid), augment=jitter, seed=int(seed), quiet=True, **RECIPES[kind])
    card = dict(
        model=f"VAE on the binary digits: {kind}, code of 10, Bernoulli pixels",
        made_by=f"make pretrained ({name})",
        data="digits, binary: 1,250 training images, thresholds jittered by 0.15; see data/README.md",
        training=RECIPES[kind] | {"seed": int(seed), "best epoch": history.best + 1},
        test=figures(model, data.test.x),
        validation=figures(model, data.valid.x),
        licence="MIT",
        limits="Eight by eight pixels, thirteen hands; for learning about models, not for reading digits.",
    )
    checkpoints.save(PRETRAINED / f"digits-{name}", model.state_dict(), **card)
    seconds = time.perf_counter() - start
    print(f"{name}: test {card['test']}, validation {card['validation']}, {seconds:.0f} s", flush=True)


def main():
    names = sys.argv[1:] or [f"{kind}-{seed}" for kind in RECIPES for seed in SEEDS]
    helpers.setup(seed=0)
    torch.distributions.Distribution.set_default_validate_args(False)
    for name in names:
        train(name)


if __name__ == "__main__":
    main()
