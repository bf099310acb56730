"""A page of the reader's own finished run: the model in one HTML file, to send to a friend.

It holds the weights that draw, and the labels: no example, no name of a file, no encoder.
"""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from helpers.disk import DiskError
from helpers.errors import DataError
from helpers.models.images import ImageDecoder
from helpers.models.sets import SetVAE
from helpers.pages.document import document, of_prior, pack
from helpers.runs import playable, sheets
from helpers.senses import sense, text

FOOT = """<p>Everything happens in this page: nothing is loaded, and nothing leaves your computer. It is one file; send
it, open it without a network. It holds the model and its labels, and no example of the data; {limits} Made with <i>From
Encoder to Generator</i>.</p>"""
COPIES = "but a model can give away what it has learned from, so ask those whose data they are before you share it."
PIECES = ("but the pieces of up to {order} characters that its n-grams count are pieces of the texts it learned from, "
          "so look before you share it.")
BASE = ("numbers.js", "priors.js", "controls.js")


def page(run: Any) -> str:
    """The page of a finished ``Run``, a whole HTML document. Raises DataError for a model that no page can hold yet."""
    makers = {"texts": _texts, "images": _images, "sounds": _sounds}
    if found := playable.what(run.model):
        return makers[found](run, run.model)
    raise DataError(f"{run.path}: a page can play a VAE of images or of sounds, and a language model, and this run is "
                    f"{run.card['model']}; fit one with --model vae, or for texts with --model language, or send "
                    "samples instead (python -m helpers sample).")


def write(run: Any, out: str | Path) -> Path:
    """Write the page of a run; returns its path. Replaces only what was written for the same run.

    Raises DataError for a model that no page can hold, and DiskError where another file is in the way.
    """
    path = Path(out)
    if not path.name.strip("."):
        raise DiskError(f"{str(out)!r} is no name of a file; give one, such as model.html.")
    path = path if path.suffix.lower() in (".html", ".htm") else path.with_name(path.name + ".html")
    return sheets.put({path: page(run).encode("utf-8")}, run.path)[0]


def _title(run):
    return f"A model of {run.data_card['name']}"


def _lead(run, does):
    told = f", told which of {len(run.names)} labels" if run.names else ""
    return f"{does}{told}. {copied(run)}"


def copied(run: Any) -> str:
    """What the run's report found of copies, in one sentence that can stand without it."""
    found, what, words = run.report["copies"], f"{run.kind}s", sense(run.kind).EXACT_COUNTS
    if found["exact"] and found["alarm"]:
        least = "at least " if found["compared with"] < run.data_card["splits"]["train"] else ""
        same = "is word for word" if words else "is, to the last detail,"
        same = same if found["exact"] == 1 else same.replace("is", "are", 1)
        says = f"{least}{found['exact']} of {found['samples']} of its {what} {same} in what it learned from."
        return says[0].upper() + says[1:]
    if found["alarm"]:
        return f"A check for copies says: {found['verdict']}"
    none = "none was word for word in what it learned from" if words else "it found no sign of copying"
    return f"A check compared {found['samples']} of its {what} with what it learned from: {none}."


def _with_codes(run, model):
    """The decoder, and facts and tensors that pages of models with codes share: the prior, whether it has labels."""
    decoder = playable.decoder(model)
    facts = {"labels": list(run.names), "shared": isinstance(model, SetVAE), "prior": model.prior.plan}
    return decoder, facts, decoder.state_dict() | of_prior(model.prior)


def _images(run, model):
    decoder, facts, tensors = _with_codes(run, model)
    shape = (1, *decoder.shape)[-3:] if len(decoder.shape) > 1 else (1, *run.card["plan"]["shape"][-2:])
    prefix = "" if isinstance(decoder, ImageDecoder) else "plain."
    inner = decoder if isinstance(decoder, ImageDecoder) else decoder.plain
    average = "average" if prefix == "" else "plain.average.weight"
    facts |= {"code": f"{prefix}code", "label": f"{prefix}label", "average": average, "levels": decoder.levels,
              "shape": list(shape), "steps": steps(inner.net, f"{prefix}net"), "packed": pack(tensors)}
    return document(_title(run), _lead(run, "Images that a network draws"), ("own_images.html",),
                    (*BASE, "images.js", "own_images.js"), facts, FOOT.format(limits=COPIES))


def _sounds(run, model):
    decoder, facts, tensors = _with_codes(run, model)
    _, frequencies, frames = decoder.average.shape
    facts |= {"F": frequencies, "T": frames, "packed": pack(tensors)}
    return document(_title(run), _lead(run, "Sounds that a network makes"), ("own_sounds.html",),
                    (*BASE, "harmonics.js", "phases.js", "own_sounds.js"), facts, FOOT.format(limits=COPIES))


def _texts(run, model):
    tables = ("keys", "counts", "total", "types")
    tensors = {name: value for name, value in model.state_dict().items() if name not in tables}
    keys, counts = model.keys.numpy(), model.counts.numpy()
    numbers = np.concatenate([np.diff(keys, prepend=0), counts])
    facts = {"labels": list(run.names), "characters": list(run.data_card["characters"]), "longest": model.longest,
             "order": model.order, "temperature": text.SAMPLING["temperature"], "plan": {"spread": model.spread},
             "grams": {"grams": len(keys), "bytes": base64.b64encode(short(numbers)).decode("ascii")},
             "packed": pack(tensors)}
    return document(_title(run), _lead(run, "Texts that a network writes"), ("own_texts.html",),
                    ("numbers.js", "controls.js", "gru.js", "language.js", "own_texts.js"), facts,
                    FOOT.format(limits=PIECES.format(order=model.order)))


def steps(net: nn.Module, name: str) -> list[list]:
    """A network of layers in a row as a list: what each is, and its name or its shape. Raises DataError for others."""
    found: list[list] = []
    for key, part in net.named_children():
        here = f"{name}.{key}"
        if isinstance(part, nn.Sequential):
            found += steps(part, here)
        elif isinstance(part, nn.Linear):
            found.append(["linear", here])
        elif isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3) and part.padding == (1, 1):
            found.append(["conv", here])
        elif isinstance(part, nn.GELU):
            found.append(["gelu", None])
        elif isinstance(part, nn.Unflatten):
            found.append(["shape", list(part.unflattened_size)])
        elif isinstance(part, nn.PixelShuffle) and part.upscale_factor == 2:
            found.append(["shuffle", None])
        elif not isinstance(part, nn.Dropout):  # which does nothing once training is over
            raise DataError(f"a page has no {type(part).__name__}, which {here} is; add it to images.js.")
    return found


def short(numbers: np.ndarray) -> bytes:
    """Whole numbers from 0 on, each in as few bytes as it needs: seven bits a byte, the lowest first; 128 is added to
    all but the last (LEB128).
    """
    found = bytearray()
    for number in numbers.tolist():
        while number >= 128:
            found.append(number & 127 | 128)
            number >>= 7
        found.append(number)
    return bytes(found)
