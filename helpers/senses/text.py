"""Texts, as rows of symbols: how they are read, modelled, judged and printed."""

import math
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from helpers.data import writings
from helpers.data.dataset import DataError, Dataset
from helpers.data.text import END, PAD, Vocabulary, lengths
from helpers.models import texts
from helpers.models.contract import Model
from helpers.models.layers import Labelled
from helpers.models.ngram import NGram

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes

SUFFIXES = writings.SUFFIXES
ONE_FILE = True  # whether a single file can be all of the data
SIZE = "length"  # what --size sets: characters of a piece
read = writings.texts

CHOICES = dict(code=4, hidden=128, embedding=64, dropout=0.4, drop_symbols=0.0, longest=None)
UNIT = "bits per character"
SAMPLING = {"temperature": 0.8}  # 1 is the model's own
PRINTED = True  # whether samples go to the terminal where no file is named
EXACT_COUNTS = True  # a training line among the samples is said, even where chance would explain it
SHEET = (60, 0)


def plan(data: Dataset, chosen: dict) -> dict:
    """What a VAE of these texts needs beside the choices: how many symbols, and what the condition is."""
    if data.vocabulary is None or data.x.ndim != 2 or not np.issubdtype(data.x.dtype, np.integer):
        raise DataError(f"{data.name}: examples of shape {data.x.shape[1:]} are not texts with a vocabulary; make them "
                        "with helpers.data.text.make or folders.texts.")
    longest = data.x.shape[1] if chosen["longest"] is None else chosen["longest"]
    more = {"condition": 0, "spread": 1.0}
    if data.c is not None and data.c.ndim == 2:  # real numbers
        spread = float(data.c[data.rows["train"]].std(axis=0).mean())
        more = {"condition": data.c.shape[1], "spread": round(max(1e-6, spread), 6)}
    return {**chosen, "longest": longest, "symbols": len(data.vocabulary), **more}


def networks(plan: dict) -> tuple:
    """Encoder and decoder of a plan."""
    C = plan["labels"] or plan["condition"]
    sizes = {"hidden": plan["hidden"], "embedding": plan["embedding"], "condition": C, "spread": plan["spread"]}
    encoder = texts.TextEncoder(plan["symbols"], plan["code"], dropout=plan["dropout"] / 2, **sizes)
    decoder = texts.TextDecoder(plan["symbols"], plan["code"], dropout=plan["dropout"], longest=plan["longest"],
                                drop_symbols=plan["drop_symbols"], **sizes)
    return (Labelled(encoder, C), Labelled(decoder, C)) if plan["labels"] else (encoder, decoder)


def start(model: Model, data: Dataset, plan: dict, sigma: float | None = None) -> None:
    """Learning starts from random weights."""


def recipe(plan: dict, n: int) -> dict:
    """Arguments for ``training.fit``; without free bits the decoder would do without the code."""
    return dict(batch_size=50, lr=5e-3, weight_decay=0.05, clip=1.0, epochs=60, objective=dict(free_bits=0.5))


def baselines(data: Dataset, rows: np.ndarray, plan: dict | None = None, seed: int = 0, orders: int = 6,
              most: int = 20_000) -> dict[str, float]:
    """Nats of data.x[rows] by a uniform model, and by the n-gram that is best in validation."""
    x, symbols = data.x[rows], len(data.vocabulary)
    found = {"uniform": float(lengths(x).mean() * math.log(symbols - 1))}  # padding is never predicted
    counted = NGram(orders, symbols).fit(data.train.x[:most])
    valid, best = data.valid.x[:300], (math.inf, counted)
    for order in range(1, orders + 1):
        model = NGram(order, symbols)
        model.counts = counted.counts  # a shorter history is counted there, too
        best = min(best, (-float(model.log_prob(valid).mean()), model), key=lambda pair: pair[0])
    return found | {f"{best[1].order}-gram": float(-best[1].log_prob(x).mean())}


def dimensions(data: Dataset, rows: np.ndarray) -> float:
    """Symbols of a text, on average, their end included."""
    return float(lengths(data.x[rows]).mean())


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Edits (Levenshtein, 1966) from each of a to the nearest and the second nearest of b: (len(a), 2)."""
    here, there = ([_symbols(row) for row in part] for part in (a, b))
    found = [np.sort(cdist([one], there, scorer=Levenshtein.distance)[0])[:2] for one in here]
    return np.array(found, np.float64)


def _symbols(row):
    """The symbols of a text as characters, without its end."""
    row = row[row != PAD]
    return "".join(map(chr, row[:-1] if len(row) and row[-1] == END else row))


def same(data: Dataset) -> float:
    """The distance below which two texts count as one."""
    return 0.5


def present(x: np.ndarray, card: dict) -> list[str]:
    """What a model drew, as it is shown: texts."""
    return list(Vocabulary(tuple(card["data"]["characters"])).decode(x))


def files(x: list[str], labels: list[str] | None, columns: int | None = None, form: str = "") -> dict[str, bytes]:
    """Samples as files, by what is added to the stem of their names: one file, a text on each line."""
    return {".txt": ("\n".join(lines(x, labels)) + "\n").encode()}


def lines(x: list[str], labels: list[str] | None) -> list[str]:
    """Samples as they are printed, each after its label."""
    return list(x) if labels is None else [f"{label}\t{text}" for text, label in zip(x, labels)]


HEIGHT, COLUMNS = 0.3, 4  # inches of an example in a figure, and how many stand side by side at most


def draw(ax: "Axes", x: str, label: str | None = None) -> None:
    """Write one example on an axis."""
    ax.text(0, 0.5, ("" if label is None else f"{label}: ") + x[:40], va="center", fontsize=10)


def limits(plan: dict) -> list[str]:
    """What whoever uses a model should know, in sentences."""
    return [f"Samples are drawn at temperature {SAMPLING['temperature']}; some may be training lines."]
