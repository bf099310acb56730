"""Texts, as rows of symbols: how they are read, modelled, judged and printed."""

import math
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from scipy.sparse import csr_matrix

from helpers.data import files as files_
from helpers.data import formats, writings
from helpers.data.dataset import DataError, Dataset
from helpers.data.text import END, PAD, Vocabulary, lengths
from helpers.models import texts
from helpers.models.contract import Model
from helpers.models.layers import Labelled
from helpers.models.ngram import NGram

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes

SUFFIXES = writings.SUFFIXES
SIZE = "length"  # what --size sets: characters of a piece
read = writings.texts
holds_enough = os.path.isfile  # whether one file can be all of the data

MODEL = "language"  # in helpers.build.FAMILIES: what is built if nothing is said
CHOICES = dict(code=4, hidden=128, embedding=64, dropout=0.4, drop_symbols=0.0, longest=None)
UNIT = "bits per character"
SAMPLING = {"temperature": 0.8}  # 1 is the model's own
PRINTED = True  # whether samples go to the terminal where no file is named
EXACT_COUNTS = True  # a training line among the samples is said, even where chance would explain it
SHEET = (60, 0)
VALIDATED = 2000  # texts by which the order of the n-gram is chosen
LOOKED_AT, LONG = 200, 64  # texts that a longer one than that is compared with


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


def baselines(data: Dataset, rows: np.ndarray, plan: dict | None = None, seed: int = 0,
              orders: int = 6) -> dict[str, float]:
    """Nats of data.x[rows] by a uniform model, and by the n-gram that is best in validation."""
    x, symbols = data.x[rows], len(data.vocabulary)
    counted = NGram(orders, symbols).fit(data.x[data.rows["train"]])
    best = int(counted.log_probs(data.x[data.rows["valid"][:VALIDATED]]).mean(axis=0).argmax())
    return {
        "uniform": float(lengths(x).mean() * math.log(symbols - 1)),  # padding is never predicted
        f"{best + 1}-gram": float(-counted.log_probs(x)[:, best].mean()),
    }


def dimensions(data: Dataset, rows: np.ndarray) -> float:
    """Symbols of a text, on average, their end included."""
    return float(lengths(data.x[rows]).mean())


def distances(a: np.ndarray, b: np.ndarray, alike: np.ndarray | None = None) -> np.ndarray:
    """Edits (Levenshtein, 1966) from each of a to the nearest and the second nearest of b: (len(a), 2).

    Of long texts, where most of the time would be spent on what has nothing in common, only the 200 of b are looked at
    that share the most fours of symbols. alike (len(b),): numbers of clusters; the second is then of another cluster.
    """
    here, there = ([_symbols(row) for row in part] for part in (a, b))
    few = _sharing(a, b) if len(b) > LOOKED_AT and np.median(lengths(b)) > LONG else None
    found = np.full((len(a), 2), np.inf)
    for i, one in enumerate(here):
        rows = np.arange(len(b)) if few is None else few[i]
        edits = cdist([one], [there[row] for row in rows], scorer=Levenshtein.distance)[0].astype(float)
        first = edits.argmin()
        found[i, 0] = edits[first]
        edits[first if alike is None else alike[rows] == alike[rows[first]]] = np.inf
        found[i, 1] = edits.min()
    return found


def _sharing(a, b):
    """For each of a, the rows of b that share the most fours of symbols: (len(a), LOOKED_AT)."""
    theirs, found = _fours(b).T.tocsr(), []
    for start in range(0, len(a), 50):
        shared = (_fours(a[start : start + 50]) @ theirs).toarray()
        found.append(np.argpartition(-shared, LOOKED_AT, axis=1)[:, :LOOKED_AT])
    return np.concatenate(found)


def _fours(x):
    """Which fours of symbols the texts x (N, T) hold, by a hash: a sparse matrix (N, 2^18)."""
    x = x.astype(np.int64)
    code = sum(x[:, k : x.shape[1] - 3 + k] * m for k, m in enumerate((1, 10_007, 40_014_007, 7_777_777_777)))
    row, place = np.nonzero(x[:, 3:] != PAD)
    held = csr_matrix((np.ones(len(row), np.int32), (row, code[row, place] % (1 << 18))), (len(x), 1 << 18))
    held.data[:] = 1
    return held


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
    """Samples as files, by what is added to the stem of their names: one file, with what ``lines`` has."""
    return {".txt": ("\n".join(lines(x, labels)) + "\n").encode()}


def lines(x: list[str], labels: list[str] | None) -> list[str]:
    """Samples as they are printed, each after its label: one a line, or numbered, if they have more."""
    if any("\n" in text for text in x):
        return [f"——— {n}{'' if labels is None else ' ' + labels[n - 1]} ———\n{text}"
                for n, text in enumerate(x, start=1)]
    return list(x) if labels is None else [f"{label}\t{text}" for text, label in zip(x, labels)]


def html(x: list[str], says: list[str]) -> list[str]:
    """Examples as pieces of a page, each with what it ``says``, escaped, to those who hear the page read."""
    long = " long" if any(len(text) > 80 or "\n" in text for text in x) else ""
    return [f'<div class="text{long}" dir="auto" role="group" aria-label="{line}">{escape(text)}</div>'
            for text, line in zip(x, says)]


def items(path: str | Path, card: dict) -> files_.Items:
    """The texts of a file, or of a folder, as the model of a run takes them: lines, or pieces of running text.

    Each is called by its file, its number and how it begins. Raises DataError for none.
    """
    texts, *about = _texts(path, card)
    return files_.Items(_encoded(texts, card), *about)


def _running(card):
    """Whether a run is of pieces of running text, which have no end."""
    return any(note.startswith("running text of") for note in card["data"]["notes"])


def _texts(path, card):
    """What :func:`items` returns, with the texts as they stand in the file in place of x."""
    length, running = card["data"]["shape"][0], _running(card)
    own = {formats.ending(path)} if os.path.isfile(path) else set()  # one text, whatever it is called
    found, skipped = files_.judged(path, SUFFIXES | own, "a text")
    texts, names, folders = [], [], []
    for file in found:
        try:
            whole = writings.whole(file.path)
        except DataError as error:
            skipped.append((file.place, str(error).removeprefix(f"{files_.shown(file.parts[-1])}: ").rstrip(".")))
            continue
        parts = [whole[i : i + length] for i in range(0, len(whole), length)] if running else whole.splitlines()
        for number, text in enumerate(parts, start=1):
            text, name = text if running else text.strip(), f"{file.place}, {'piece' if running else 'line'} {number}"
            if len(text) > length - (not running):
                skipped.append((name, f"has {len(text):,} characters, and those of the run at most {length:,}"))
            elif text:
                texts.append(text)
                names.append(f"{name}: {files_.shown(text[:30])}")
                folders.append(file.label)
    if not texts:
        place, reason = skipped[-1] if skipped else (files_.shown(path), "holds no text")
        raise DataError(f"{place}: {reason}; none of the texts can be used.")
    return texts, names, folders, skipped


def _encoded(texts, card):
    """Texts as the model of a run takes them: (N, T)."""
    length = card["data"]["shape"][0]
    x = Vocabulary(tuple(card["data"]["characters"])).encode(texts, length + 1, quiet=True)[:, :length]
    return np.where(x == END, PAD, x) if _running(card) else x


def gap(path: str | Path, card: dict, missing: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Texts of which a part is missing, and what is known of them: (N, T) both.

    Each line is the beginning of a text; or, with ``missing``, a character that stands for each one that is missing,
    such as _, a whole text with gaps. Raises ValueError for any other.
    """
    texts = _texts(path, card)[0]
    x = _encoded(texts, card)
    if missing is None:
        x = np.where(x == END, PAD, x)
        return x, x != PAD
    if len(missing) != 1:
        raise ValueError(f"--missing is {missing!r}; give the one character that stands for a missing one, such as _.")
    known = np.ones(x.shape, bool)
    for row, text in zip(known, texts):
        row[: len(text)] = [mark != missing for mark in text]
    return x, known


HEIGHT, COLUMNS = 0.3, 4  # inches of an example in a figure, and how many stand side by side at most


def draw(ax: "Axes", x: str, label: str | None = None) -> None:
    """Write one example on an axis."""
    ax.text(0, 0.5, ("" if label is None else f"{label}: ") + " ".join(x.split())[:40], va="center", fontsize=10)


def limits(plan: dict) -> list[str]:
    """What whoever uses a model should know, in sentences."""
    return [f"Samples are drawn at temperature {SAMPLING['temperature']}; some may be training lines."]
