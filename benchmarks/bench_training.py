"""``fit`` against a bare loop and against loops in the usual tutorial style: one process, one thread.

    make bench

A 784-400-20-400-784 Bernoulli VAE on 60,000 synthetic binary images, batches of 128, Adam. Tutorials read
their images one by one from a dataset of pictures, through a transform to tensors ("tutorial"), or, more
rarely, from a TensorDataset ("tensors"); both through a DataLoader with its default workers, with a
``.item()`` for every batch. All take turns, so that a noisy machine disturbs all alike; what counts is the
ratio of the medians.
"""

import statistics
import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.distributions import Bernoulli, Normal
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Dataset, TensorDataset

import helpers
from helpers.models import VAE
from helpers.training import fit

N, D, HIDDEN, K, BATCH, ROUNDS = 60_000, 784, 400, 20, 128, 3


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(D, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2 * K))

    def forward(self, x, c=None):
        mu, logvar = self.net(x).chunk(2, dim=1)
        return Normal(mu, torch.exp(0.5 * logvar), validate_args=False)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(K, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, D))

    def forward(self, z, c=None):
        return Bernoulli(logits=self.net(z), validate_args=False)


class Pictures(Dataset):
    """Images as files of pictures give them: 8-bit, turned into a float tensor one by one when they are asked for."""

    def __init__(self, x):
        self.pictures = [Image.fromarray(a) for a in (255 * x).to(torch.uint8).reshape(-1, 28, 28).numpy()]

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, i):
        array = np.array(self.pictures[i], copy=True)
        return torch.from_numpy(array).view(1, 28, 28).permute(0, 1, 2).contiguous().float().div(255), 0


def plain_loss(model, x):
    """The negative ELBO without distribution objects, as bare loops have it."""
    mu, logvar = model.encoder.net(x).chunk(2, dim=1)
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    nll = binary_cross_entropy_with_logits(model.decoder.net(z), x, reduction="sum")
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
    return (nll + kl) / len(x)


def bare_epoch(model, optimiser, x):
    order = torch.randperm(len(x))
    for start in range(0, len(x), BATCH):
        optimiser.zero_grad()
        plain_loss(model, x[order[start : start + BATCH]]).backward()
        optimiser.step()


def tutorial_epoch(model, optimiser, loader):
    total = 0.0
    for x, *_ in loader:
        optimiser.zero_grad()
        loss = plain_loss(model, x.reshape(-1, D))
        loss.backward()
        optimiser.step()
        total += loss.item()
    return total / len(loader)


def seconds(f, *args, **kwargs):
    start = time.perf_counter()
    f(*args, **kwargs)
    return time.perf_counter() - start


def test_fit_against_bare_and_tutorial_loops(benchmark, capsys):
    helpers.setup(seed=0, threads=1)
    x = (torch.rand(N, D) < 0.13).float()
    valid = x[:BATCH]
    models = [VAE(Encoder(), Decoder(), K) for _ in range(4)]
    fused = torch.optim.Adam(models[1].parameters(), fused=True)
    default = [torch.optim.Adam(model.parameters()) for model in models[2:]]
    loaders = [DataLoader(data, batch_size=BATCH, shuffle=True) for data in (Pictures(x), TensorDataset(x))]
    times = {"bare": [], "tutorial": [], "tensors": []}

    def others():
        times["bare"].append(seconds(bare_epoch, models[1], fused, x))
        for name, model, optimiser, loader in zip(("tutorial", "tensors"), models[2:], default, loaders, strict=True):
            times[name].append(seconds(tutorial_epoch, model, optimiser, loader))

    benchmark.pedantic(
        fit,
        args=(models[0], (x, valid)),
        kwargs=dict(epochs=1, batch_size=BATCH, quiet=True),
        setup=others,
        rounds=ROUNDS,
        warmup_rounds=1,
    )
    ours = benchmark.stats.stats.median
    medians = {name: statistics.median(t[1:]) for name, t in times.items()}
    benchmark.extra_info.update(medians)
    with capsys.disabled():
        print(f"\nan epoch of {N:,} images: fit {ours:.2f} s")
        for name, median in medians.items():
            print(f"{name:>30} {median:.2f} s; fit takes {ours / median:.2f} of its time")
    assert ours <= 1.05 * medians["bare"]
    assert ours <= 0.5 * medians["tutorial"]
