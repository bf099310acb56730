"""How much text: counting, a GRU and a Transformer, trained on 1 to 100 times as much text as the names of colours are.

All are trained on parts of the same sentences (``helpers.data.docstrings``), chosen on the same validation sentences
and judged on the same test sentences. ``train_one`` trains one of them for a sweep, ``data/amounts.json``, which the
lesson Text: one letter after another draws.
"""

import math
import time
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.data import docstrings
from helpers.data.dataset import Dataset
from helpers.models.ngram import NGram
from helpers.models.texts import GRULanguageModel, LanguageModel, Transformer, bits_per_character

NAMES = 7486  # symbols, ends included, about as many as the training names of colours have (7,740): once the text
TIMES = (1, 10, 100)
EPOCHS = {1: 200, 10: 20, 100: 2}  # passes over the text, fewer where there is more: about 2,000 steps each
RATES = {"GRU": 1e-2, "Transformer": 8e-3}  # the same for all amounts
DROPOUT = {1: 0.3, 10: 0.1, 100: 0.0}
BATCH, LOOKS = 16, 10  # sentences a step; looks at validation in a training, of which the best is kept
BLOCKS = 10  # of neighbouring test sentences, to see how differences between models vary
KINDS, SEEDS = ("n-gram", "GRU", "Transformer"), range(3)
BASE = dict(kind="n-gram", times=1, dropout=0.0, lr=0.0, epochs=0)


def setting(kind: str, times: int, **other: Any) -> dict:
    """The setting of one kind of model for so many times the text; n-grams have no rate and no epochs."""
    s = BASE | {"kind": kind, "times": times}
    if kind != "n-gram":
        s |= {"dropout": DROPOUT[times], "lr": RATES[kind], "epochs": EPOCHS[times]}
    return s | other


def settings() -> list[dict]:
    """All settings of the sweep: every kind, on every amount of text."""
    return [setting(kind, times) for times in TIMES for kind in KINDS]


@cache
def sentences() -> Dataset:
    """The sentences, read once."""
    return docstrings.load()


def build(kind: str, symbols: int, longest: int, dropout: float) -> LanguageModel:
    """An untrained network with the sizes of the lesson."""
    if kind == "GRU":
        return GRULanguageModel(symbols, hidden=128, embedding=64, dropout=dropout, longest=longest)
    return Transformer(symbols, width=64, layers=2, heads=4, dropout=dropout, longest=longest)


def batches(x: Tensor, rng: np.random.Generator) -> Iterator[Tensor]:
    """One pass over x (N, T) in random order, sentences of about equal length together: then little is padding."""
    length = (x != 0).sum(dim=1).numpy()
    order = np.argsort(length + rng.uniform(0, 4, len(x)))
    some = np.array_split(order, math.ceil(len(x) / BATCH))
    for i in rng.permutation(len(some)):
        yield x[some[i]]


def learn(model: LanguageModel, x: Tensor, valid: Tensor, lr: float, warmup: float, epochs: int, seed: int) -> None:
    """Train on x (N, T) by AdamW, the learning rate falling along a cosine; keep what is best on ``valid``."""
    opt, rng = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.1), np.random.default_rng(seed)
    steps, step, best, weights = epochs * math.ceil(len(x) / BATCH), 0, math.inf, model.state_dict()
    for _ in range(epochs):
        for batch in batches(x, rng):
            done = step / steps
            fall = 0.5 * (1 + math.cos(math.pi * max(0.0, done - warmup) / (1 - warmup)))
            opt.param_groups[0]["lr"] = lr * (done / warmup if done < warmup else fall)
            model.train()
            loss = -model.log_prob(batch).sum() / (batch != 0).sum()  # nats a symbol
            opt.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            step += 1
            if step * LOOKS // steps > (step - 1) * LOOKS // steps:
                now = score(model, valid)
                if now < best:
                    best, weights = now, {name: w.clone() for name, w in model.state_dict().items()}
    model.load_state_dict(weights)
    model.eval()


@torch.no_grad()
def score(model: LanguageModel, x: Tensor) -> float:
    """Bits per character of a network on x (N, T)."""
    return bits_per_character(model.eval().log_prob(x), x)


def train_one(setting: dict, seed: int) -> dict:
    """Bits per character on validation and test after one training, and the processor's seconds that it took.

    The seed chooses the part of the text, the first weights and the order. n-grams: the order that is best on
    validation. Networks: the weights that are best, of ten looks, on 300 of the validation sentences.
    """
    torch.set_num_threads(1)  # a process of a sweep starts afresh: say here what matters
    torch.distributions.Distribution.set_default_validate_args(False)
    s, data = SimpleNamespace(**setting), sentences()
    x = torch.as_tensor(docstrings.part(data, s.times * NAMES, seed))
    valid, test = torch.as_tensor(data.valid.x), torch.as_tensor(data.test.x)
    start = time.process_time()
    model: Any
    found: dict[str, Any] = {}
    if s.kind == "n-gram":
        models = [NGram(order, len(data.vocabulary)).fit(x) for order in range(2, 10)]
        model = min(models, key=lambda model: bits_per_character(model.log_prob(valid), valid))
        found["order"] = model.order
    else:
        torch.manual_seed(seed)
        model = build(s.kind, len(data.vocabulary), x.shape[1], s.dropout)
        warmup = 0.1 if s.kind == "Transformer" else 0.0
        some = valid[np.random.default_rng(0).permutation(len(valid))[:300]]
        learn(model, x, some, s.lr, warmup, s.epochs, seed)
        found["parameters"] = sum(p.numel() for p in model.parameters())
    found["seconds"] = time.process_time() - start
    with torch.no_grad():
        found["valid"] = bits_per_character(model.log_prob(valid), valid)
        log_p = torch.as_tensor(model.log_prob(test))
    found["test"] = bits_per_character(log_p, test)
    for block, rows in enumerate(np.array_split(np.arange(len(test)), BLOCKS)):
        found[f"block {block}"] = bits_per_character(log_p[rows], test[rows])
    return found
