"""A run: from a folder of data to a model in a folder, with what was found, reached and checked beside it.

``fit`` reads data, builds a VAE that suits them, trains it, scores it beside baselines, checks it for copying, draws
samples, and writes all that to RUN: model.json with its weights (safetensors), report.json, samples. A run that was
stopped goes on from its last save. Each step can be called alone, too.
"""

import contextlib
import functools
import io
import json
import math
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import helpers
from helpers import checkpoints, training
from helpers.checkpoints import CheckpointError
from helpers.data import folders
from helpers.data.dataset import DataError, Dataset
from helpers.data.rows import take
from helpers.data.text import END, PAD, Vocabulary, lengths
from helpers.disk import write_bytes, write_text
from helpers.evaluation import bits_per_dimension
from helpers.models.build import assemble, averages, build, plan, value_range
from helpers.models.ngram import NGram

BATCH = 250  # examples that are scored together
MOST_SCORED = 1000  # test examples that are scored, drawn at random where there are more
MOST_NUMBERS = 50_000_000  # of training examples that are counted for the histograms
MOST_COMPARED = 20_000  # training examples that samples are compared with
TEMPERATURE = 0.8  # of texts; 1 is the model's own
SUSPICIOUS = 0.05  # the part of real held-out examples that would be called copies


class RunError(RuntimeError):
    """A run that cannot be opened or continued. The message says what was found, where, and what to do."""


class Samples(NamedTuple):
    """What a model drew: images (n, H, W) or (n, 3, H, W), spectrograms (n, F, T), or a list of texts; their labels.

    ``labels`` are names, one for each sample; None where there are none.
    """

    x: np.ndarray | list[str]
    labels: list[str] | None


# --- data and recipe ---------------------------------------------------------------------------------


def read(path, kind: str = "auto", size: float | None = None, seed: int = 0, **options) -> Dataset:
    """The data at ``path``, as ``folders.load`` reads them.

    size: pixels of a side (images, 28), seconds (sounds, 1), or characters of a piece (running text, 100).
    Raises DataError for data that cannot be used.
    """
    if size is not None:
        known = {"image": "size", "sound": "seconds", "text": "length"}
        found = folders.guess(path)[0] if kind == "auto" else kind
        name = known.get(found, "size")
        options[name] = size if name == "seconds" else int(size)
    return folders.load(path, kind, seed=seed, **options)


def recipe(data: Dataset) -> dict:
    """Arguments for ``training.fit`` that suit the kind of data and how many there are."""
    n = len(data.rows["train"])
    beta = lambda end: training.ramp(until=0.15, end=end)
    if _kind(data) == "text":
        # Without free bits the decoder would do without the code (notebook 08).
        return dict(batch_size=50, lr=5e-3, weight_decay=0.05, clip=1.0, epochs=60, objective=dict(free_bits=0.5))
    if _kind(data) == "sound":
        # Numbers of a spectrogram are alike within a neighbourhood, and a Normal for each counts them all as news:
        # beta weighs against that, or the codes of instruments lie far from where samples are drawn (notebook 07).
        # Where a group has one code, the encoder sees one or two of its sounds, so that it learns to make do with few.
        shared = plan(data)["shared"]
        if shared:
            n = len(np.unique(data.group[data.rows["train"]]))
        objective = dict(beta=beta(4.0)) | (dict(members=3, seen=2) if shared else {})
        return dict(batch_size=8, lr=3e-3, weight_decay=0.01, clip=1.0, warmup=0.03,
                    epochs=int(np.clip(4000 / math.ceil(n / 8), 100, 400)), objective=objective)  # fmt: skip
    size = 32 if n < 1000 else 64
    epochs = int(np.clip(20_000 / math.ceil(n / size), 20, 400))
    return dict(batch_size=size, lr=2e-3, weight_decay=0.01, clip=1.0, warmup=0.05, epochs=epochs,
                objective=dict(beta=beta(1.0)))  # fmt: skip


def data_card(data: Dataset) -> dict:
    """What is in a data set: how much was found, what was left out and why, labels, splits, values, licence."""
    labelled = data.c is not None and data.c.ndim == 1
    card = {
        "name": data.name,
        "kind": _kind(data),
        "source": data.source,
        "examples": len(data),
        "shape": list(data.shape),
        "duplicates removed": data.found - len(data),
        "left out": {"files": len(data.skipped), "first": [list(pair) for pair in data.skipped[:20]]},
        "labels": {},
        "splits": {split: len(rows) for split, rows in data.rows.items()},
        "values": list(value_range(data.x)),
        "notes": [note for note in data.notes if not note.startswith("left out: ")],
        "licence": "unknown",
    }
    if labelled:
        names = data.names or tuple(map(str, range(int(data.c.max()) + 1)))
        card["labels"] = {name: int(n) for name, n in zip(names, np.bincount(data.c, minlength=len(names)))}
    if data.group is not None:
        card["groups"] = {split: len(np.unique(data.group[rows])) for split, rows in data.rows.items()}
    if data.vocabulary is not None:
        card["characters"] = "".join(data.vocabulary.characters)
    return card


def _kind(data):
    return data.kind or ("text" if data.vocabulary is not None else "image")


# --- scores ------------------------------------------------------------------------------------------


def score(model, data: Dataset, k: int = 50, split: str = "test", seed: int = 0) -> dict:
    """The bound on -log p(x|c) from k codes each (IWAE-k), on held-out data, with the baselines beside it.

    nats per example, with the standard error of their mean; bits per dimension, or per character (the end counts).
    Of more than 1,000 examples, 1,000 are drawn. A code that several examples share counts once for all of them.
    """
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    part, each = _held_out(model, data, split, seed)
    bound, elbo = [], []
    model.eval()
    with torch.no_grad():
        for start in range(0, len(part[0]), BATCH):
            x, c = (_tensor(p, slice(start, start + BATCH), device) for p in part)
            bound.append(-model.log_prob(x, c, k, generator).cpu().double())
            nll, kl = model.elbo(x, c, generator)
            elbo.append((nll + kl).cpu().double())
    bound, elbo, n = torch.cat(bound).numpy(), torch.cat(elbo).numpy(), int(each.sum())
    dimensions = _dimensions(data, split, seed, model)
    deviation = np.std(bound - bound.sum() / n * each, ddof=1) if len(bound) > 1 else math.nan
    return {
        "what": f"IWAE-{k}",
        "split": split,
        "examples": n,
        "nats": float(bound.sum() / n),
        "error": float(deviation * math.sqrt(len(bound)) / n),
        "elbo": float(elbo.sum() / n),
        "unit": _unit(data),
        "bits": float(bits_per_dimension(bound.sum() / n, dimensions)),
        "baselines": {
            name: {"nats": nats, "bits": float(bits_per_dimension(nats, dimensions))}
            for name, nats in baselines(data, split, seed, _likelihood(model), getattr(model, "shared", False)).items()
        },
    }


def baselines(data: Dataset, split: str = "test", seed: int = 0, likelihood: str | None = None, whole: bool = False):
    """What models without a code reach on the same examples: {name: nats per example}, lower is better.

    Images of 256 grey levels: uniform; and independent pixels, each a histogram of its label, interpolated with that
    of all labels and of all pixels. Spectrograms, and other images: one Normal for all numbers; and the mean training
    example of the label with one standard deviation. Texts: uniform; and the n-gram that is best in validation.

    likelihood: "levels" or "normal", as the model has it; by default by the range of the values. whole: score all of
    the split, also where it is larger than 1,000.
    """
    rows = data.rows[split] if whole else _rows(data, split, seed)
    x = np.asarray(data.x[rows])
    c = np.zeros(len(x), int) if data.c is None or data.c.ndim > 1 else data.c[rows]
    kind = _kind(data)
    if kind == "text":
        return _text_baselines(data, x)
    train = data.train
    labels = None if data.c is None else train.c
    C = 1 if labels is None else int(data.c.max()) + 1
    if likelihood is None:
        low, high = value_range(train.x)
        likelihood = "levels" if kind == "image" and 0 <= low and high <= 1 else "normal"
    if likelihood == "levels":
        D = math.prod(x.shape[1:])
        few = _some(np.arange(len(train)), max(1000, MOST_NUMBERS // D), np.random.default_rng(seed))
        own = None if labels is None else labels[few]
        return {"uniform": D * math.log(256),
                "independent pixels": float(_histogram_nats(train.x[few], own, x, c, C).mean())}  # fmt: skip
    found = {}
    for name, by in (("one Normal for all", None), ("mean of the label" if labels is not None else "mean", labels)):
        mean, sigma = averages(train.x, by, 1 if by is None else C)
        if name == "one Normal for all":
            sigma = math.sqrt(sigma**2 + float(mean.var()))
            mean = np.full_like(mean, mean.mean())
        squares = np.square(x - mean[c if by is not None else np.zeros(len(x), int)])
        nats = 0.5 * squares / sigma**2 + math.log(sigma) + 0.5 * math.log(2 * math.pi)
        found[name] = float(nats.reshape(len(x), -1).sum(axis=1).mean())
    return found


def _histogram_nats(train, labels, x, c, C):
    """-log p of images x (N, …) of 256 grey levels, when every pixel has a histogram of its own: (N,).

    Histograms are interpolated with more general ones, as n-grams are (helpers.models.ngram).
    """
    grey = lambda part: np.rint(255 * np.asarray(part)).astype(np.uint8).reshape(len(part), -1)
    train, x = grey(train), grey(x)
    pixels, nats = np.arange(train.shape[1]), np.zeros(len(x))

    def counts(rows):
        table = np.zeros((train.shape[1], 256))
        for row in rows:
            table[pixels, row] += 1
        return table

    def mixed(table, general):
        types = (table > 0).sum(axis=-1, keepdims=True)
        return (table + types * general) / np.maximum(table.sum(axis=-1, keepdims=True) + types, 1)

    everything = counts(train)
    pixel = mixed(everything, mixed(everything.sum(axis=0), np.full(256, 1 / 256)))
    for label in range(C):
        here = np.nonzero(c == label)[0]
        if len(here) == 0:
            continue
        own = train if labels is None else train[labels == label]
        p = pixel if labels is None or len(own) == 0 else mixed(counts(own), pixel)
        nats[here] = -np.log(p[pixels, x[here]]).sum(axis=1)
    return nats


def _text_baselines(data, x, orders=6, most=20_000):
    symbols = len(data.vocabulary)
    found = {"uniform": float(lengths(x).mean() * math.log(symbols - 1))}  # padding is never predicted
    counted = NGram(orders, symbols).fit(np.asarray(data.train.x[:most]))
    valid, best = np.asarray(data.valid.x[:300]), None
    for order in range(1, orders + 1):
        model = NGram(order, symbols)
        model.counts = counted.counts  # a shorter history is counted there, too
        nats = -float(model.log_prob(valid).mean())
        if best is None or nats < best[0]:
            best = nats, model
    return found | {f"{best[1].order}-gram": float(-best[1].log_prob(x).mean())}


def _rows(data, split, seed):
    rows = data.rows[split]
    if len(rows) <= MOST_SCORED:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, MOST_SCORED, replace=False))


def _held_out(model, data, split, seed):
    """(x, c) of the examples or sets that are scored, and how many examples each of them is: (N,)."""
    if getattr(model, "shared", False):
        sets = data.sets(split, dense=False)
        return (sets.x, sets.c), (sets.c >= 0).sum(axis=1)
    rows = _rows(data, split, seed)
    c = None if data.c is None else data.c[rows]
    return (np.asarray(data.x[rows]), c), np.ones(len(rows))


def _tensor(array, rows, device):
    if array is None:
        return None
    part = torch.as_tensor(np.array(array[rows])).to(device)
    return part.float() if part.is_floating_point() else part


def _dimensions(data, split, seed, model):
    """Numbers of an example; of texts the symbols, on average, their end included."""
    if _kind(data) == "text":
        return float(lengths(data.x[_rows(data, split, seed)]).mean())
    return math.prod(data.x.shape[1:])


def _unit(data):
    return "bits per character" if _kind(data) == "text" else "bits per dimension"


def _likelihood(model):
    return getattr(model, "plan", {}).get("likelihood")


# --- samples -----------------------------------------------------------------------------------------


def draw(model, n: int, labels: np.ndarray | None = None, generator=None, codes=None, temperature=TEMPERATURE):
    """n examples from codes drawn from the prior, under labels (n,): what the decoder expects, (n, …).

    Of texts symbols (n, T), drawn at a ``temperature``. ``codes`` (n, K) are taken instead of drawn ones.
    """
    device = next(model.parameters()).device
    if codes is None:
        codes = torch.randn(n, model.code, generator=generator)
    z = codes.to(device)
    c = None if labels is None else torch.as_tensor(np.asarray(labels), device=device)
    model.eval()
    with torch.no_grad():
        if getattr(model.decoder, "autoregressive", False):
            if device.type != "cpu" and generator is not None:  # a GPU draws from generators of its own
                generator = torch.Generator(device).manual_seed(int(torch.randint(1 << 62, (), generator=generator)))
            return model.decoder.generate(z, c, generator, temperature=temperature).cpu().numpy()
        if getattr(model, "shared", False):
            return model.expect(z, c[:, None])[:, 0].cpu().numpy()
        return model.expect(z, c).cpu().numpy()


def spread(n: int, labels: int, code: int, generator=None):
    """Codes for n samples, and labels: every code under all the labels in turn, (n, K) and (n,) or None."""
    if not labels:
        return torch.randn(n, code, generator=generator), None
    codes = torch.randn(math.ceil(n / labels), code, generator=generator)
    return codes.repeat_interleave(labels, dim=0)[:n], np.arange(n) % labels


def sheet(samples: Samples, out, kind: str, columns: int | None = None) -> list[Path]:
    """Write samples: images to OUT.png; sounds to OUT.png, their spectrograms, and OUT-01.flac, …; texts to OUT.txt.

    Where every label comes in turn, one code stands below the other, and a row is a label. Returns the files.
    """
    out = Path(out)
    stem = out.with_suffix("") if out.suffix.lower() in (".png", ".flac", ".wav", ".txt") else out
    if kind == "text":
        lines = samples.x if samples.labels is None else [f"{b}\t{a}" for a, b in zip(samples.x, samples.labels)]
        write_text(stem.with_name(stem.name + ".txt"), "\n".join(lines) + "\n")
        return [stem.with_name(stem.name + ".txt")]
    files = [stem.with_name(stem.name + ".png")]
    write_bytes(files[0], _png(samples, kind, columns))
    if kind == "sound":
        form = "wav" if out.suffix.lower() == ".wav" else "flac"
        width = len(str(len(samples.x)))
        from helpers import sound

        for i, wave in enumerate(waves(samples.x), start=1):
            files.append(stem.with_name(f"{stem.name}-{i:0{max(2, width)}d}.{form}"))
            write_bytes(files[-1], sound.encode(wave, format=form))
    return files


def waves(spectrograms, seed: int = 0) -> np.ndarray:
    """Log-magnitude spectrograms (n, F, T) as waves (n, samples), by Griffin-Lim, with their peak at 0.9."""
    from helpers import sound

    x = torch.as_tensor(np.asarray(spectrograms, np.float32))
    generator = torch.Generator().manual_seed(seed)
    return sound.normalise(sound.griffin_lim(x.exp(), (x.shape[2] - 1) * sound.HOP, generator=generator).numpy())


def _png(samples, kind, columns):
    """A sheet of images, or of spectrograms with low frequencies below, as a PNG."""
    from PIL import Image, ImageDraw

    x = np.asarray(samples.x, np.float32)
    names = list(dict.fromkeys(samples.labels)) if samples.labels else []
    rows = len(names) if len(names) > 1 and samples.labels[: len(names)] == names else 0
    if rows and columns is None:  # one row a label
        columns = math.ceil(len(x) / rows)
        order = np.array([[k * rows + r for k in range(columns)] for r in range(rows)])
    else:
        columns = columns or math.ceil(math.sqrt(len(x)))
        rows, order = 0, np.arange(math.ceil(len(x) / columns) * columns).reshape(-1, columns)
    if kind == "sound":
        import matplotlib

        low, high = math.log(1e-3), 0.0
        grey = ((x[:, ::-1] - low) / (high - low)).clip(0, 1)
        grey = grey[:, -(grey.shape[1] // 2 * 2) :].reshape(len(x), grey.shape[1] // 2, 2, -1).mean(axis=2)
        tiles = matplotlib.colormaps["magma"](grey.repeat(4, axis=2))[..., :3]
        scale = 1
    else:
        tiles = x.clip(0, 1) if _unit_range(x) else (x - x.min()) / max(1e-9, float(np.ptp(x)))
        tiles = tiles[..., None].repeat(3, axis=3) if tiles.ndim == 3 else tiles.transpose(0, 2, 3, 1)
        scale = max(1, 84 // max(tiles.shape[1:3]))
        tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    tall, wide = tiles.shape[1:3]
    gap, left = max(2, scale), (8 + 7 * max(map(len, names)) if rows else 0)
    page = Image.new("RGB", (left + columns * (wide + gap) + gap, len(order) * (tall + gap) + gap), "#dfe8f2")
    pen = ImageDraw.Draw(page)
    for r, line in enumerate(order):
        top = gap + r * (tall + gap)
        if rows:
            with contextlib.suppress(UnicodeError):  # Pillow without FreeType writes Latin letters only
                pen.text((4, top + tall // 2 - 6), names[r], fill="black")
        for k, i in enumerate(line):
            if i < len(tiles):
                tile = Image.fromarray(np.rint(255 * tiles[i]).astype(np.uint8))
                page.paste(tile, (left + gap + k * (wide + gap), top))
    file = io.BytesIO()
    page.save(file, format="png", optimize=True)
    return file.getvalue()


def _unit_range(x):
    return x.min() > -0.5 and x.max() < 1.5


# --- copies ------------------------------------------------------------------------------------------


def copies(model, data: Dataset, n: int = 100, seed: int = 0, samples=None) -> dict:
    """Has the model learned examples by heart? How near its samples are to training examples, and how near others are.

    For each of n samples: the distance to the nearest training example over that to the second nearest. Whoever
    copies is far nearer to one than to any other, and the ratio goes to 0; a blurred sample, which is near to many, is
    no copy. Real test examples go through the same. A sample is *suspicious* if its ratio is below that of all but 5%
    of them. Distances are Euclidean, of texts the edits from one to the other (Levenshtein, 1966).

    ``samples`` (n, …) are judged instead of drawn ones. Returns figures and a ``verdict``, one sentence.
    """
    if samples is None:
        labels = None
        if data.c is not None:
            rng = np.random.default_rng(seed)
            labels = data.train.c[rng.integers(len(data.train), size=n)]
            labels = labels if labels.ndim == 1 else labels.astype(np.float32)
        samples = draw(model, n, labels, torch.Generator().manual_seed(seed))
    text = _kind(data) == "text"
    nearest = _nearest_texts if text else _nearest
    long = text and data.x.shape[1] > 64
    rng = np.random.default_rng(seed)
    train = _some(data.train.x, 2000 if long else MOST_COMPARED, rng)
    samples = samples[: 20 if long else len(samples)]
    held_out = _some(data.test.x, len(samples), rng)
    own, theirs = nearest(samples, train), nearest(held_out, train)
    own_ratio, their_ratio = _ratio(own), _ratio(theirs)
    line = np.quantile(their_ratio, SUSPICIOUS)
    suspicious, expected = float((own_ratio < line).mean()), float((their_ratio < line).mean())
    # Two standard errors above the 5% that chance alone would give, and at least two samples.
    most = max(SUSPICIOUS + 2 * math.sqrt(SUSPICIOUS * (1 - SUSPICIOUS) / len(own_ratio)), 1.5 / len(own_ratio))
    same = 0.5 if text else 1e-3 * math.sqrt(math.prod(data.x.shape[1:]))
    exact = int((own[:, 0] < same).sum())
    found = {
        "samples": len(own_ratio),
        "compared with": len(train),
        "exact": exact,
        "nearest": float(np.median(own[:, 0])),
        "nearest, held out": float(np.median(theirs[:, 0])),
        "ratio": float(np.median(own_ratio)),
        "ratio, held out": float(np.median(their_ratio)),
        "suspicious": suspicious,
        "suspicious, held out": expected,
        "copies": bool(suspicious > most or exact > most * len(own_ratio)),
    }
    if exact and (text or found["copies"]):
        found["verdict"] = f"{exact} of {len(own_ratio)} samples are training examples, to the last detail."
    elif found["copies"]:
        found["verdict"] = (f"{suspicious:.0%} of the samples are suspiciously near to one training example, as only "
                            f"{expected:.0%} of real held-out ones are: look before you share the model.")  # fmt: skip
    else:
        found["verdict"] = (f"No sign of copying: {suspicious:.0%} of the samples are as near to a single training "
                            f"example as {expected:.0%} of real held-out ones are.")  # fmt: skip
    return found


def _some(x, most, rng):
    """All rows of x, or so many of them, drawn; still in their file, if that is where they are."""
    return x if len(x) <= most else take(x, np.sort(rng.choice(len(x), most, replace=False)))


def _ratio(distances):
    """Nearest over second nearest, (N,); 0 for what is there itself."""
    return np.where(distances[:, 0] > 0, distances[:, 0] / np.maximum(distances[:, 1], 1e-12), 0.0)


def _nearest(x, train):
    """Euclidean distances to the nearest and the second nearest of train: (N, 2)."""
    x = torch.as_tensor(np.asarray(x, np.float32)).flatten(1)
    best = torch.full((len(x), 2), math.inf)
    for start in range(0, len(train), 2000):
        part = torch.as_tensor(np.asarray(train[start : start + 2000], np.float32)).flatten(1)
        apart = torch.cdist(x, part, compute_mode="donot_use_mm_for_euclid_dist")  # exactly 0 for equals
        best = torch.cat([best, apart], dim=1).topk(2, dim=1, largest=False).values
    return best.numpy().astype(np.float64)


def _nearest_texts(x, train):
    """Edits to the nearest and the second nearest text of train: (N, 2)."""
    size = lengths(train) - 1  # without the end
    found = []
    for row in np.asarray(x):
        row = row[row != PAD]
        row = row[:-1] if len(row) and row[-1] == END else row
        table = np.arange(train.shape[1] + 1)[None].repeat(len(train), axis=0)  # edits from nothing
        for i, symbol in enumerate(row, start=1):
            before, table = table, np.empty_like(table)
            table[:, 0] = i
            change = before[:, :-1] + (train != symbol)
            remove = before[:, 1:] + 1
            best = np.minimum(change, remove)
            for j in range(train.shape[1]):
                table[:, j + 1] = np.minimum(best[:, j], table[:, j] + 1)
        found.append(np.sort(table[np.arange(len(train)), size])[:2])
    return np.array(found, np.float64)


# --- runs --------------------------------------------------------------------------------------------


@dataclass
class Run:
    """A finished run: the model, its card, what was measured, and how training went.

    ``run.sample(9)``, ``run.score()``, ``run.sheet("mine.png")``; ``run.report`` holds all figures.
    """

    path: Path
    model: torch.nn.Module
    card: dict
    report: dict
    history: training.History
    _data: Dataset | None = field(default=None, repr=False)

    @property
    def data_card(self) -> dict:
        """What was found in the data."""
        return self.card["data"]

    @property
    def kind(self) -> str:
        """"image", "sound" or "text"."""
        return self.data_card["kind"]

    @property
    def names(self) -> tuple[str, ...]:
        """The labels."""
        return tuple(self.data_card["labels"])

    @functools.cached_property
    def data(self) -> Dataset:
        """The data, read again from where they were, if they are not in memory. Raises DataError if they changed."""
        if self._data is not None:
            return self._data
        given = self.card["settings"]
        if given["path"] is None:
            raise DataError(f"{self.path}: was made of data in memory, which are not kept; give data=… to score.")
        data = read(given["path"], given["kind"], given["size"], given["seed"], **given["options"])
        if _fingerprint(data) != given["fingerprint"]:
            raise DataError(f"{given['path']}: holds other data than the run {self.path} was made of; give data=….")
        return data

    def sample(self, n: int = 16, label=None, generator=None, temperature: float = TEMPERATURE) -> Samples:
        """n samples, of one label (its name or number), or of all in turn, each code under every label.

        Images and spectrograms are what the decoder expects, without the noise of its likelihood.
        """
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        C = self.model.plan["labels"]
        if label is None:
            codes, c = spread(n, C, self.model.code, generator)
        else:
            c = np.full(n, label_number(label, self.names))
            codes = torch.randn(n, self.model.code, generator=generator)
        x = draw(self.model, n, c, codes=codes, generator=generator, temperature=temperature)
        if self.kind == "text":
            x = Vocabulary(tuple(self.data_card["characters"])).decode(x)
        elif self.kind == "image":
            shape = self.model.plan["shape"]
            x = x.reshape(n, *(shape if shape[0] == 3 else shape[1:]))
        return Samples(x, None if c is None else [self.names[k] for k in c])

    def score(self, k: int = 50, split: str = "test", data: Dataset | None = None) -> dict:
        """The held-out bound beside baselines; see :func:`score`."""
        return score(self.model, self.data if data is None else data, k, split)

    def copies(self, n: int = 100, data: Dataset | None = None) -> dict:
        """The check for copying; see :func:`copies`."""
        return copies(self.model, self.data if data is None else data, n)

    def sheet(self, out, n: int = 16, label=None, generator=None) -> list[Path]:
        """Draw n samples and write them; see :func:`sheet`."""
        return sheet(self.sample(n, label, generator), out, self.kind)

    def describe(self):
        """Print what the run is, what it reached, and its limits."""
        print("\n".join(_lines(self)))


def label_number(label, names) -> int:
    """The number of a label that is given by name, or by number. Raises ValueError, naming those that there are."""
    if not names:
        raise ValueError(f"The model has no labels, and {label!r} was asked for; leave out the label.")
    if label in names:
        return names.index(label)
    if isinstance(label, (int, np.integer)) and not isinstance(label, bool) and 0 <= label < len(names):
        return int(label)
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    raise ValueError(f"There is no label {label!r}; choose among {shown}.")


def fit(
    source,
    out,
    *,
    minutes: float | None = 2.0,
    epochs: int | None = None,
    more: float | None = None,
    kind: str = "auto",
    size: float | None = None,
    seed: int = 0,
    start_from=None,
    device=None,
    options: dict | None = None,
    settings: dict | None = None,
    k: int = 50,
    save_every: float = 5.0,
    quiet: bool | str = False,
    data: Dataset | None = None,
    **choices,
) -> Run:
    """Train a model for the data ``source`` (a path, or a Dataset), and leave it in the folder ``out``.

    minutes: how long training lasts at most; None for the epochs of the recipe. epochs: at most so many.
    more: minutes by which a finished run is trained on, from its weights; the better of both is kept.
    kind, size, options: how a path is read; see :func:`read` (options: such as ``grey=True``).
    start_from: another run, whose weights are taken over wherever names and shapes agree.
    settings: arguments for ``training.fit`` instead of those of :func:`recipe`. choices: for ``models.build``.
    k: codes an example for the held-out bound. save_every: seconds between saves while training. quiet: True for
    nothing at all, "lines" for a bar alone. data: what ``source`` holds, if it has been read already.

    A run that was stopped goes on where it was saved, if it is called with the same arguments; to bit-identical
    weights, if ``minutes`` is None. A finished one is returned as it is.

    Raises DataError (the data), TrainingError (training), RunError (``out`` holds something else).
    """
    out, first = Path(out), int(os.environ.get("RANK", 0)) == 0
    say = (lambda text: None) if quiet or not first else lambda text: print(text, flush=True)
    options, given = dict(options or {}), None if isinstance(source, Dataset) else os.path.abspath(source)
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; give a folder for the run.")
    if data is None:
        data = source if given is None else read(source, kind, size, seed, **options)
    wanted = {
        "path": given, "kind": kind, "size": size, "seed": seed, "options": options, "minutes": minutes,
        "epochs": epochs, "choices": choices, "settings": {name: repr(v) for name, v in (settings or {}).items()},
        "start_from": None if start_from is None else os.path.abspath(start_from), "fingerprint": _fingerprint(data),
    }  # fmt: skip
    record = _record(out, wanted)
    if all(phase["done"] for phase in record["phases"]):
        if more is None:
            say(f"{out} is finished; train on with --more MINUTES (more=…), or choose another folder.")
            return open(out, data)
        record["phases"].append({"minutes": more, "done": False})
    number = len(record["phases"]) - 1
    phase = record["phases"][number]
    with _without_checks():
        torch.manual_seed(seed + 1000 * number)
        model = build(data, **choices)
        if number:
            _read_checkpoint(checkpoints.load_model, out / "model", model)
        elif start_from is not None:
            say(f"{_take_over(start_from, model)} of {len(model.state_dict())} tensors taken over from {start_from}")
        if first:
            write_text(out / "run.json", json.dumps(record, indent=1) + "\n")
        arguments = recipe(data) | (settings or {})
        if epochs is not None:
            arguments["epochs"] = epochs
        model.to(helpers.device(device))
        start = time.perf_counter()
        # Left as it is when stopped by Ctrl-C: the last save is in the folder.
        history = training.fit(
            model, _pair(model, data), minutes=phase["minutes"], seed=seed + number, checkpoint=out / "training",
            save_every=save_every, quiet=quiet, **arguments,
        )  # fmt: skip
        model.to("cpu")
        seconds = float(history["seconds"][-1])
        if number:
            earlier = open(out, data)
            if earlier.report["valid"] <= history["valid"].min():
                say("what was trained on is no better in validation; the earlier weights stay")
                model.load_state_dict(earlier.model.state_dict())
            history = training.History([*earlier.history.rows, *history.rows])
        run = Run(out, model, {}, {}, history, data)
        if first:
            say("scoring, comparing with training examples, drawing samples …")
            _finish(run, wanted, arguments, k, seconds, time.perf_counter() - start)
            phase["done"] = True
            write_text(out / "run.json", json.dumps(record, indent=1) + "\n")
            for file in [out / "training.json", *out.glob("training-*.safetensors")]:
                file.unlink(missing_ok=True)
            if not quiet:
                run.describe()
    return run


def _finish(run, wanted, arguments, k, seconds, wall):
    """Measure, and write everything: the model first, what says that it is there last."""
    model, data, out = run.model, run.data, run.path
    figures = {"score": score(model, data, k), "copies": copies(model, data)}
    card = data_card(data)
    run.card = {
        "model": _sentence(model, card),
        "made_by": "python -m helpers fit (helpers.runs)",
        "data": card,
        "plan": model.plan,
        "settings": wanted,
        "recipe": {name: repr(v) if callable(v) else v for name, v in arguments.items() if name != "objective"}
        | {"objective": {n: f"ramp to {v(1.0):g}" if callable(v) else v for n, v in arguments["objective"].items()}},
        "figures": figures,
        "limits": _limits(data, card, figures, _likelihood(model)),
        "licence": "unknown: that of the data decides",
    }
    run.report = {
        **figures,
        "data": card,
        "valid": float(np.nanmin(run.history["valid"])),
        "epochs": len(run.history),
        "best epoch": run.history.best + 1,
        "seconds of training": round(seconds, 1),
        "seconds in all": round(wall, 1),
        "peak memory, MB": _peak_megabytes(),
        "history": run.history.rows,
    }
    checkpoints.save(out / "model", model.state_dict(), **run.card)
    for old in [*out.glob("samples.*"), *out.glob("samples-*")]:
        old.unlink()
    C = model.plan["labels"]
    most, rows = {"image": (100, 16), "sound": (12, 12), "text": (60, 0)}[run.kind]
    few = 0 < C <= rows  # then a row for each label
    run.sheet(out / "samples", C * (16 if run.kind == "image" else max(1, most // C)) if few else most)
    write_text(out / "report.json", json.dumps(run.report, indent=1) + "\n")


def open(out, data: Dataset | None = None) -> Run:
    """The finished run in the folder ``out``. Raises RunError, in one sentence, if there is none or it is damaged."""
    out = Path(out)
    if not out.is_dir():
        raise RunError(f"{out}: there is no such folder; make a run with python -m helpers fit.")
    if not (out / "model.json").exists():
        if (out / "run.json").exists():
            raise RunError(f"{out}: this run is not finished; give the command that began it again.")
        raise RunError(f"{out}: this folder holds no run; make one with python -m helpers fit.")
    tensors, card = _read_checkpoint(checkpoints.load, out / "model")
    report = _json(out / "report.json")
    try:
        model = assemble(card["plan"])
        labels, kind, names = card["plan"]["labels"], card["data"]["kind"], card["data"]["labels"]
        if kind != card["plan"]["kind"] or labels != len(names):
            raise KeyError("kind")
        history = training.History(report["history"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError):
        message = f"{out}: its card does not say how the model is built; fit it again with this version."
        raise RunError(message) from None
    _read_checkpoint(checkpoints.check_fit, tensors, model, out / "model.json")
    model.load_state_dict(tensors)
    model.eval()
    return Run(out, model, card, report, history, data)


def _read_checkpoint(function, *arguments):
    try:
        return function(*arguments)
    except CheckpointError as error:
        raise RunError(str(error)) from None


def _json(file):
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{file} is missing; give the command that began the run again.") from None
    except (OSError, ValueError, RecursionError):
        raise RunError(f"{file} cannot be read; delete the folder, and fit again.") from None


def _record(out, wanted):
    """What run.json says of this run, or a new record; RunError if it was begun with other arguments."""
    if not (out / "run.json").exists():
        if out.exists() and (out / "model.json").exists():
            raise RunError(f"{out} holds a model, but no run.json; choose another folder.")
        return {"settings": wanted, "phases": [{"minutes": wanted["minutes"], "done": False}]}
    record = _json(out / "run.json")
    try:
        before, phases = record["settings"], record["phases"]
        good = isinstance(before, dict) and phases and all(isinstance(p["done"], bool) for p in phases)
    except (KeyError, TypeError):
        good = False
    if not good:
        raise RunError(f"{out / 'run.json'} is no record of a run; delete the folder, and fit again.")
    now = json.loads(json.dumps(wanted, default=repr))
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        name = changed[0]
        what = "other data" if name == "fingerprint" else f"{name}={before.get(name)!r}, and now {name}={now[name]!r}"
        raise RunError(f"{out} was begun with {what}; use what it was begun with, or another folder.")
    return record


def _fingerprint(data):
    """A short name for the data: equal for equal examples and splits."""
    import hashlib

    digest = hashlib.sha256(repr((data.x.shape, data.names)).encode())
    for i in range(0, len(data.x), 1000):
        digest.update(np.ascontiguousarray(data.x[i : i + 1000]))
    for rows in data.rows.values():
        digest.update(np.ascontiguousarray(rows))
    if data.c is not None:
        digest.update(np.ascontiguousarray(data.c))
    return digest.hexdigest()[:16]


def _pair(model, data):
    """What ``training.fit`` is given: the data set, or its sets where they share codes."""
    return tuple(data.sets(split, dense=False) for split in ("train", "valid")) if model.shared else data


def _take_over(run, model) -> int:
    """Put weights of another run into the model, where names and shapes agree; returns how many tensors."""
    tensors, own = open(run).model.state_dict(), model.state_dict()
    fits = {name: t for name, t in tensors.items() if name in own and own[name].shape == t.shape}
    if not fits:
        raise RunError(f"{run}: none of its weights fits this model; start from a run of the same kind and size.")
    model.load_state_dict(own | fits)
    return len(fits)


@contextlib.contextmanager
def _without_checks():
    """Distributions that do not check themselves: faster, and a NaN is found by fit, which says what to do."""
    before = torch.distributions.Distribution._validate_args
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        torch.distributions.Distribution.set_default_validate_args(before)


def _peak_megabytes():
    with contextlib.suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak / (1e6 if sys.platform == "darwin" else 1e3))
    return None


# --- words -------------------------------------------------------------------------------------------


def _sentence(model, card):
    plan, numbers = model.plan, sum(p.numel() for p in model.parameters())
    told = f", told which of {plan['labels']} labels" if plan["labels"] else ""
    code = f"one code of {plan['code']} for a group" if model.shared else f"a code of {plan['code']}"
    return f"VAE of {plan['kind']}s{told}; {code}; {numbers:,} parameters; learnt from {card['name']}"


def _limits(data, card, figures, likelihood):
    """What whoever uses the model should know, in sentences."""
    best = min(figures["score"]["baselines"].items(), key=lambda item: item[1]["nats"])
    found = [f"Learnt from {card['splits']['train']:,} examples; what is not among them, it cannot draw."]
    if figures["score"]["nats"] > best[1]["nats"]:
        found.append(f"Its held-out bound is worse than the baseline “{best[0]}”: as a likelihood it is no gain.")
    if card["splits"]["test"] < 50:
        found.append(f"Scored on {card['splits']['test']} test examples only: figures are rough.")
    found.append({
        "image": "Samples show what the decoder expects, and so are smoother than real images.",
        "sound": "Phases come from Griffin-Lim, and are not learnt.",
        "text": f"Samples are drawn at temperature {TEMPERATURE}; some may be training lines.",
    }[card["kind"]])  # fmt: skip
    if card["kind"] == "sound" or (card["kind"] == "image" and likelihood != "levels"):
        found.append("Its figures are densities, not probabilities: they can be below 0, and compare only with others "
                     "on the same numbers.")  # fmt: skip
    missing = Counter(data.c[data.rows["train"]].tolist()) if data.names else {}
    few = [name for i, name in enumerate(data.names) if missing[i] < 10]
    if few:
        shown = ", ".join(few[:5]) + (" and others" if len(few) > 5 else "")
        found.append(f"Fewer than 10 training examples each: {shown}.")
    return [*found, figures["copies"]["verdict"]]


def _lines(run):
    """What ``info`` prints."""
    card, found = run.card, run.report["score"]
    rows = [(f"the model ({found['what']}, a bound)", found["nats"], found["bits"])]
    rows += [(name, b["nats"], b["bits"]) for name, b in found["baselines"].items()]
    lines = [
        f"{run.path}: {card['model']}",
        f"trained for {run.report['epochs']} epochs, {run.report['seconds of training']:.0f} seconds; "
        f"the weights of epoch {run.report['best epoch']} were best in validation",
        f"held-out {found['split']} split, {found['examples']} examples, lower is better:",
        f"  {'':<32}{'nats':>10}{found['unit']:>20}",
    ]
    for name, nats, bits in sorted(rows, key=lambda row: -row[1]):
        lines.append(f"  {name:<32}{nats:>10,.1f}{bits:>20.3f}")
    if run.names:
        lines.append(f"labels: {', '.join(run.names[:20])}{' …' if len(run.names) > 20 else ''}")
    return [*lines, "limits:", *(f"  {line}" for line in card["limits"])]
