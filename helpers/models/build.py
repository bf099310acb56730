"""A VAE that suits a data set: ``build(data)`` for images, sounds or texts, with labels or without.

What was chosen is a plan, a dict that JSON can hold; ``assemble(plan)`` makes the same networks again, so that a
model on disk can be opened where its data are not. Every choice can be overridden.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn.functional import one_hot

from helpers.data.dataset import DataError
from helpers.data.rows import blocks
from helpers.models import audio, images, text
from helpers.models.vae import VAE

# For each kind what can be overridden, and what is taken if it is not; None means that the data decide.
CHOICES = {
    "image": dict(code=16, channels=16, hidden=256, convolutional=True, dropout=0.1, likelihood=None, sigma=None),
    "sound": dict(code=8, rank=None, hidden=256, shared=None, sigma=None),
    "text": dict(code=4, hidden=128, embedding=64, dropout=0.4, drop_symbols=0.0, longest=None),
}
FEWEST_FOR_MEAN = 5  # training examples of a label from which its own average is taken


class Unlabelled(nn.Module):
    """A network that asks for a label, for data that have none: the label is always 0."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, c=None):
        return self.network(x, torch.zeros(len(x), dtype=torch.long, device=x.device))

    @property
    def log_sigma(self):
        return self.network.log_sigma


class Labelled(nn.Module):
    """A network of texts, whose condition is real numbers, for labels c (N,) of C: each is one of C numbers."""

    def __init__(self, network, C):
        super().__init__()
        self.network, self.labels = network, C
        self.autoregressive = getattr(network, "autoregressive", False)

    def forward(self, x, c, *seen):
        return self.network(x, one_hot(c, self.labels).float(), *seen)

    def generate(self, z, c=None, generator=None, **options):
        return self.network.generate(z, one_hot(c, self.labels).to(z.dtype), generator, **options)


def build(data, **overrides) -> VAE:
    """An untrained VAE for a Dataset of images, sounds or texts; conditional, if it has labels.

    Images (N, H, W), (N, 3, H, W) or rows of pixels: convolutions; the likelihood is a Normal with one learned
    standard deviation, in 256 bins if the values lie between 0 and 1. Sounds, spectrograms (N, F, T): a dictionary of
    spectra; if groups have several labels each, a group has one code. Texts: recurrent networks.

    overrides, for all: ``code``, how many numbers it has. Images: ``channels``, ``hidden``, ``convolutional``,
    ``dropout``, ``likelihood`` ("levels" or "normal"), ``sigma``, where learning starts. Sounds: ``rank``, spectra a
    label; ``hidden``, ``shared``, ``sigma``. Texts: ``hidden``, ``embedding``, ``dropout``, ``drop_symbols``,
    ``longest``. ``model.plan`` says what was chosen. Draws first weights from torch's random numbers.

    Raises DataError for an override that this kind does not have, and for data that it cannot handle.
    """
    chosen = plan(data, **overrides)
    model = assemble(chosen)
    if chosen["kind"] != "text":
        _start(model, data, overrides.get("sigma"))
    return model


def plan(data, **overrides) -> dict:
    """What ``build`` would choose for a Dataset, as numbers and words."""
    kind = data.kind or ("text" if data.vocabulary is not None else "image")
    if kind not in CHOICES:
        raise DataError(f"{data.name}: its kind is {kind!r}, and models are built for {', '.join(CHOICES)}; "
                        "give kind=… to Dataset.make.")  # fmt: skip
    known = CHOICES[kind]
    for name in overrides:
        if name not in known:
            raise DataError(f"{data.name}: {name} cannot be chosen for a model of {kind}s; choose among "
                            f"{', '.join(known)}.")  # fmt: skip
    chosen = {**known, **{name: value for name, value in overrides.items() if value is not None}}
    _check_choices(data.name, chosen)
    labelled = data.c is not None and data.c.ndim == 1
    if data.c is not None and not labelled and kind != "text":
        raise DataError(f"{data.name}: its condition is {data.c.shape[1]} real numbers, and models of {kind}s are "
                        "built for labels; give whole numbers (N,), or c=None.")  # fmt: skip
    labels = max(len(data.names), int(data.c.max()) + 1) if labelled else 0
    return {"kind": kind, "labels": labels} | {"image": _images, "sound": _sounds, "text": _texts}[kind](data, chosen)


def _check_choices(name, chosen):
    for key, value in chosen.items():
        whole = key in ("code", "channels", "hidden", "rank", "embedding", "longest")
        if whole and value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise DataError(f"{name}: {key} is {value!r}; give a whole number of at least 1.")
        if key in ("dropout", "drop_symbols") and not 0 <= value < 1:
            raise DataError(f"{name}: {key} is {value!r}; give a part, from 0 to less than 1.")
        if key == "sigma" and value is not None and not 0 < value < math.inf:
            raise DataError(f"{name}: sigma is {value!r}; give a standard deviation above 0.")
        if key == "likelihood" and value not in (None, "levels", "normal"):
            raise DataError(f"{name}: likelihood is {value!r}; say 'levels' (256 grey levels) or 'normal'.")


def _images(data, chosen):
    shape = data.x.shape[1:]
    seen = shape if len(shape) > 1 else tuple(data.shape)  # rows of pixels know what they are to be shown as
    seen = (1, *seen)[-3:] if len(seen) in (2, 3) else seen
    if len(seen) != 3 or math.prod(seen) != math.prod(shape) or seen[0] not in (1, 3) or min(seen[1:]) < 4:
        raise DataError(f"{data.name}: examples of shape {shape} are no images that a model is built for; give grey "
                        "ones, (N, H, W), or colour, (N, 3, H, W), of at least 4 × 4.")  # fmt: skip
    if chosen["convolutional"] and max(seen[1:]) > 256:
        raise DataError(f"{data.name}: images of {seen[1]} × {seen[2]} are too large for this model; give a size of at "
                        "most 256, better 64 or less.")  # fmt: skip
    low, high = value_range(data.train.x)
    within = 0 <= low and high <= 1
    if chosen["likelihood"] == "levels" and not within:
        raise DataError(f"{data.name}: its values reach from {low:g} to {high:g}, and 256 levels from 0 to 1; rescale "
                        "them, or choose likelihood='normal'.")  # fmt: skip
    likelihood = chosen["likelihood"] or ("levels" if within else "normal")
    return {**chosen, "likelihood": likelihood, "shape": list(seen), "rows": list(shape)}


def value_range(x) -> tuple[float, float]:
    """The smallest and the largest number in x (N, …), which may lie in a file."""
    ends = [(float(block.min()), float(block.max())) for block in blocks(x)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _sounds(data, chosen):
    if data.x.ndim != 3:
        raise DataError(f"{data.name}: examples of shape {data.x.shape[1:]} are no spectrograms; give log-magnitudes "
                        "(N, frequencies, frames), as folders.sounds makes them.")  # fmt: skip
    labelled = data.c is not None
    possible = labelled and data.group is not None and len(np.unique(data.group)) < len(data.group)
    several = possible and len({*zip(data.group.tolist(), data.c.tolist())}) > len(np.unique(data.group))
    if chosen["shared"] and not possible:
        raise DataError(f"{data.name}: a shared code needs labels, and groups of several sounds; leave out shared.")
    shared = several if chosen["shared"] is None else bool(chosen["shared"])
    if chosen["rank"] is None:  # a dictionary for each label: smaller, where there are many, or few examples of each
        each = len(data.rows["train"]) / max(1, len(data.names))
        chosen = chosen | {"rank": int(np.clip(each / 2, 4, 40))}
    return {**chosen, "shared": bool(shared), "frequencies": data.x.shape[1], "frames": data.x.shape[2]}


def _texts(data, chosen):
    if data.vocabulary is None or data.x.ndim != 2 or not np.issubdtype(data.x.dtype, np.integer):
        raise DataError(f"{data.name}: examples of shape {data.x.shape[1:]} are no texts with a vocabulary; make them "
                        "with helpers.data.text.make or folders.texts.")  # fmt: skip
    real = data.c is not None and data.c.ndim == 2
    longest = data.x.shape[1] if chosen["longest"] is None else chosen["longest"]
    more = {"condition": data.c.shape[1] if real else 0, "spread": 1.0}
    if real:
        more["spread"] = round(max(1e-6, float(data.train.c.std(axis=0).mean())), 6)
    return {**chosen, "longest": longest, "symbols": len(data.vocabulary), **more}


def assemble(plan: dict) -> VAE:
    """The untrained VAE of a plan."""
    model = {"image": _image_vae, "sound": _sound_vae, "text": _text_vae}[plan["kind"]](plan)
    model.plan = dict(plan)
    return model


def _image_vae(plan):
    C, K, options = max(1, plan["labels"]), plan["code"], {"dropout": plan["dropout"]}
    shape = tuple(plan["shape"] if plan["shape"][0] == 3 else plan["shape"][1:])
    if plan["convolutional"]:
        options |= {"channels": plan["channels"], "hidden": plan["hidden"]}
        encoder, decoder = images.ImageEncoder, images.ImageDecoder
    else:
        encoder, decoder = images.PlainImageEncoder, images.PlainImageDecoder
        options["hidden"] = (2 * plan["hidden"], plan["hidden"])
    encoder = encoder(shape, C, K, **options)
    if not plan["convolutional"]:
        options["hidden"] = options["hidden"][::-1]
    decoder = decoder(shape, C, K, levels=plan["likelihood"] == "levels", rows=plan["rows"], **options)
    return _vae(encoder, decoder, plan)


def _sound_vae(plan):
    F, T, C, K = plan["frequencies"], plan["frames"], max(1, plan["labels"]), plan["code"]
    encoder = audio.SpectrogramEncoder(F, T, C, K, hidden=plan["hidden"])
    decoder = audio.SpectrogramDecoder(K, F, T, C, R=plan["rank"], hidden=plan["hidden"], average=torch.zeros(C, F, T))
    return _vae(encoder, decoder, plan, plan["shared"])


def _vae(encoder, decoder, plan, shared=False):
    if not plan["labels"]:
        encoder, decoder = Unlabelled(encoder), Unlabelled(decoder)
    return VAE(encoder, decoder, plan["code"], shared)


def _text_vae(plan):
    C = plan["labels"] or plan["condition"]
    sizes = {"hidden": plan["hidden"], "embedding": plan["embedding"], "condition": C, "spread": plan["spread"]}
    encoder = text.TextEncoder(plan["symbols"], plan["code"], dropout=plan["dropout"] / 2, **sizes)
    decoder = text.TextDecoder(plan["symbols"], plan["code"], dropout=plan["dropout"], longest=plan["longest"],
                               drop_symbols=plan["drop_symbols"], **sizes)  # fmt: skip
    if plan["labels"]:
        encoder, decoder = Labelled(encoder, C), Labelled(decoder, C)
    return VAE(encoder, decoder, plan["code"])


@torch.no_grad()
def _start(model, data, sigma):
    """Let learning start from the average training example of each label, and from what examples differ from it."""
    decoder = model.decoder.network if isinstance(model.decoder, Unlabelled) else model.decoder
    decoder = getattr(decoder, "rows", decoder) if isinstance(decoder, images.PlainImageDecoder) else decoder
    average, spread = averages(data.train.x, data.train.c, max(1, model.plan["labels"]))
    own = decoder.average.weight if isinstance(decoder.average, nn.Embedding) else decoder.average
    own.copy_(torch.as_tensor(average).float().reshape(own.shape))
    # Far too large, and the code is given up at once; far too small, and it is all that counts.
    decoder.log_sigma.fill_(math.log(sigma or max(spread, 0.02)))


def averages(x, c, C: int) -> tuple[np.ndarray, float]:
    """The mean of the examples of each label, (C, …), and the standard deviation of numbers around them.

    x (N, …) may be Rows of a file. A label of fewer than five examples has the mean of all.
    """
    c = np.zeros(len(x), int) if c is None else np.asarray(c)
    total, squares = np.zeros((C, *x.shape[1:])), 0.0
    for i in range(0, len(x), 1000):
        part = np.asarray(x[i : i + 1000], np.float64)
        np.add.at(total, c[i : i + 1000], part)
        squares += float(np.square(part).sum())
    counts = np.bincount(c, minlength=C)
    mean = total / np.maximum(counts, 1).reshape(-1, *[1] * (x.ndim - 1))
    explained = float((counts * np.square(mean).reshape(C, -1).sum(axis=1)).sum())
    mean[counts < FEWEST_FOR_MEAN] = total.sum(axis=0) / len(x)
    return mean, math.sqrt(max(0.0, (squares - explained) / (len(x) * math.prod(x.shape[1:]))))
