"""One small model with all its knobs: the VAE of the lesson The same VAE in PyTorch, on the binary digits.

The lesson Better, faster turns the knobs, and holds the same code, line for line, without annotations therefore, but
for the optimiser, its schedule and the batches. ``data/sweep.json`` carries the fingerprint of all.

Every setting gets the same number of looks at the validation split and is judged by the same bound with the same
noise, so that two settings differ in nothing but their knobs. ``race`` searches one knob within a given time: seeds
go to the values that can still win (after Maron and Moore, 1994).
"""

import itertools
import math
import time
from collections.abc import Iterable, Iterator
from types import SimpleNamespace

import numpy as np
import torch
from scipy.stats import t as student

from helpers.data import digits
from helpers.evaluation import compare
from helpers.experiments import sweeps
from helpers.models import VAE
from helpers.models.images import MLPDecoder, MLPEncoder

BASE = dict(
    code=10, width=128, depth=2, share=1.0, optimiser="adam", schedule="cosine", lr=3e-3, batch_size=50, steps=1000
)


def build(code, width, depth):
    """An untrained VAE: ``depth`` hidden layers of ``width`` in encoder and decoder."""
    hidden = (width,) * depth
    return VAE(MLPEncoder(64, hidden, code), MLPDecoder(code, hidden, 64), code=code)


def optimiser(name: str, parameters: Iterable[torch.Tensor], lr: float) -> torch.optim.Optimizer:
    """SGD with momentum, Adam, or AdamW with a weight decay of 0.1."""
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=0.9, fused=True)
    if name == "adam":
        return torch.optim.Adam(parameters, lr=lr, fused=True)
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.1, fused=True)


def rate(schedule: str, lr: float, progress: float) -> float:
    """The learning rate at a progress from 0 to 1."""
    return lr if schedule == "constant" else lr * 0.5 * (1 + math.cos(math.pi * progress))


def draw_rows(n: int, batch_size: int) -> Iterator[torch.Tensor]:
    """Row numbers for batches without end: all n in random order, then again in another."""
    waiting = torch.empty(0, dtype=torch.long)
    while True:
        while len(waiting) < batch_size:
            waiting = torch.cat([waiting, torch.randperm(n)])
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


def learn(model, x, valid, s):
    """Train on rows x as the setting ``s`` says, keep the best weights: (negative ELBO on valid, seconds)."""
    opt, rows = optimiser(s.optimiser, model.parameters(), s.lr), draw_rows(len(x), s.batch_size)
    best, weights, start = math.inf, None, time.process_time()
    for step in range(s.steps):
        for group in opt.param_groups:
            group["lr"] = rate(s.schedule, s.lr, step / s.steps)
        loss = sum(model.elbo(x[next(rows)])).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        if (step + 1) * 20 // s.steps > step * 20 // s.steps:  # one more twentieth is done: a look
            with torch.no_grad():
                now = sum(model.elbo(valid, generator=torch.Generator().manual_seed(0), samples=5)).mean().item()
            if not math.isfinite(now):
                raise FloatingPointError(f"the loss is {now} after {step + 1} steps")
            if now < best:
                best, weights = now, {name: w.clone() for name, w in model.state_dict().items()}
    model.load_state_dict(weights)
    return best, time.process_time() - start


def train_one(setting, seed):
    """Train one model: its IWAE-100 bounds in nats per image, and the processor's seconds that training took."""
    torch.set_num_threads(1)  # a process of a sweep starts afresh: say here what matters
    torch.distributions.Distribution.set_default_validate_args(False)
    s, data = SimpleNamespace(**setting), digits.load()
    some = np.random.default_rng(seed).permutation(1250)[: round(1250 * s.share)]
    x, valid, test = (torch.tensor(a, dtype=torch.float32) for a in (data.train.x[some], data.valid.x, data.test.x))
    torch.manual_seed(seed)
    model = build(s.code, s.width, s.depth)
    elbo, seconds = learn(model, x, valid, s)
    found = {"ELBO valid": elbo, "seconds": seconds}
    with torch.no_grad():
        for name, part in (("valid", valid), ("test", test)):
            noise = torch.Generator().manual_seed(1)
            found[name] = -model.log_prob(part, k=100, generator=noise).mean().item()
    return found


def race(start, knob, values, seconds):
    """Train all values of a knob, seed by seed, without those that fall behind; the runs when the time is over.

    They are rows as those of sweeps.run. seconds: of the processor. A round is begun only if there is time for one more
    like the last, and the first in any case. Raises SweepError for a knob that ``start`` lacks.
    """
    racing, runs, end = sweeps.grid(start, **{knob: values}), [], time.process_time() + seconds
    for seed in itertools.count():
        begin = time.process_time()
        runs += sweeps.run(train_one, racing, [seed])
        found = np.array([sweeps.figures(runs, s, "valid") for s in racing])  # (racing, seeds so far)
        leader = found[np.argmin(np.nan_to_num(found.mean(axis=1), nan=np.inf))]
        racing = [s for s, f in zip(racing, found) if may_win(f, leader)]
        now = time.process_time()
        if len(racing) < 2 or now + (now - begin) > end:  # decided, or no time for another round
            return runs


def may_win(found, leader):
    """There are too few seeds to say, or it is no further behind the leader than luck allows.

    found, leader: bounds of the same seeds, (seeds,). The limit is that of Student's t which equal settings pass in 4
    of 100 cases: about three standard errors at five seeds, more where fewer seeds tell the error itself less well.
    """
    if len(found) < 3:
        return True
    difference, error = compare.paired_difference(found, leader)
    return difference <= student.ppf(0.98, len(found) - 1) * error  # False for NaN, a failed run
