"""One epoch of the NumPy VAE against the same model, batch and optimiser in PyTorch: one process, one thread.

    make bench

Both loops are as lean as their library allows: data in memory, index batches, fresh noise, float32, Adam
(fused in PyTorch). The two take turns, so that a noisy machine disturbs both alike; what counts is the
ratio of the medians. "published size" is 784 binary pixels with 50,000 images' worth of work scaled down
to 10,000.
"""

import statistics
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

import helpers
from helpers import scratch
from helpers.data import batches, digits

# name: (images, pixels, hidden layers, code, batch size, repetitions, largest allowed ratio)
SIZES = {
    "digits": (1250, 64, (128,), 2, 50, 60, 0.30),
    "digits, two layers": (1250, 64, (128, 128), 10, 50, 40, None),
    "784-400-20": (10_000, 784, (400,), 20, 128, 3, None),
    "784-200-200-50": (10_000, 784, (200, 200), 50, 200, 3, None),
}


class TorchVAE(nn.Module):
    """The model of helpers.scratch.vae, written as one usually does in PyTorch."""

    def __init__(self, D, hidden, K):
        super().__init__()
        self.encoder = self.mlp([D, *hidden, 2 * K])
        self.decoder = self.mlp([K, *reversed(hidden), D])

    @staticmethod
    def mlp(sizes):
        layers = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.Tanh()]
        return nn.Sequential(*layers[:-1])

    def loss(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        nll = binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
        return (nll + kl) / len(x)


def numpy_epoch(model, optimiser, x, batch_size, rng):
    for index in batches(len(x), batch_size, rng):
        eps = rng.standard_normal((len(index), model.K), dtype=model.dtype)
        model.loss_and_grad(x[index], eps)
        optimiser.step(model.theta, model.grad)


def torch_epoch(model, optimiser, x, batch_size):
    order = torch.randperm(len(x))
    for start in range(0, len(x), batch_size):
        optimiser.zero_grad()
        model.loss(x[order[start : start + batch_size]]).backward()
        optimiser.step()


@pytest.mark.parametrize("size", SIZES)
def test_epoch(benchmark, size, capsys):
    n, D, hidden, K, batch_size, repetitions, limit = SIZES[size]
    rng = helpers.setup(seed=0, threads=1)
    x = digits.load().train.x if D == 64 else (rng.random((n, D)) < 0.3)
    x = x.astype(np.float32)
    ours = scratch.VAE(D, hidden, K, rng, np.float32)
    theirs = TorchVAE(D, hidden, K)
    assert ours.theta.size == sum(p.numel() for p in theirs.parameters())
    adam, fused = scratch.Adam(ours.theta), torch.optim.Adam(theirs.parameters(), fused=True)
    x_torch = torch.from_numpy(x)
    torch_seconds = []

    def one_of_torch():  # before each NumPy epoch, outside its time
        start = time.perf_counter()
        torch_epoch(theirs, fused, x_torch, batch_size)
        torch_seconds.append(time.perf_counter() - start)

    benchmark.pedantic(
        numpy_epoch,
        args=(ours, adam, x, batch_size, rng),
        setup=one_of_torch,
        rounds=repetitions,
        warmup_rounds=2,
    )
    numpy_time, torch_time = benchmark.stats.stats.median, statistics.median(torch_seconds[2:])
    ratio = numpy_time / torch_time
    benchmark.extra_info.update(torch_ms=1e3 * torch_time, ratio=ratio)
    with capsys.disabled():
        print(
            f"\n{size:<20} NumPy {1e3 * numpy_time:8.2f} ms   PyTorch {1e3 * torch_time:8.2f} ms   "
            f"NumPy takes {ratio:.2f} of PyTorch's time"
        )
    assert limit is None or ratio <= limit
