"""Models on disk: tensors as safetensors, everything else as JSON, both or nothing, and nothing that runs code.

A checkpoint ``path`` is two files: ``path.json``, the card, and the weights file that the card names
together with its SHA-256. The card is replaced last and in one step, so that whatever happens there is
either the old checkpoint or the new one. The card, and a journal while files are written, are the record of
what is ours: nothing else is ever replaced or deleted.
"""

import contextlib
import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes

from helpers.disk import part, write_bytes, write_text

PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib"}


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used. The message says what was found, where, and what to do."""


def save(path: str | Path, tensors: dict, **card: Any) -> Path:
    """Write tensors and card (anything that JSON can hold) as the checkpoint ``path``; returns the card's path.

    Atomic: a process that is killed while saving leaves the previous checkpoint whole. A checkpoint of this name is
    replaced; any other file is left alone, and CheckpointError says which one is in the way.
    """
    path = card_path(path)
    # Copies, since safetensors refuses tensors that share memory, such as tied weights.
    copies = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    data = tensors_to_bytes(copies)
    digest = hashlib.sha256(data).hexdigest()
    weights = path.with_name(f"{path.stem}-{digest[:12]}.safetensors")
    card = {
        **card,
        "weights": {"file": weights.name, "sha256": digest, "tensors": len(tensors), "bytes": len(data)},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    try:  # before any file is touched
        text = json.dumps(card, indent=1, allow_nan=True) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} was not saved: its card holds what JSON cannot ({error}); give numbers, text, lists and dicts."
        ) from None
    earlier, left = _named(path), _left(path)
    _delete(file for file in left if file != earlier)
    if weights != earlier and weights.exists() and weights.read_bytes() != data:
        raise CheckpointError(f"{weights} was not written by save, and is left as it is; choose another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _journal(path).write_text(json.dumps({"weights": weights.name, "pid": os.getpid()}), encoding="utf-8")
        write_bytes(weights, data)
        write_text(path, text)
    except BaseException:
        _delete([_journal(path)] if weights == earlier else [weights, _journal(path)])
        raise
    _delete([_journal(path)] if earlier in (None, weights) else [earlier, _journal(path)])
    return path


def remove(path: str | Path) -> None:
    """Delete the checkpoint ``path``, its card and the weights that the card names; whatever else is there stays."""
    path = card_path(path)
    earlier, left = _named(path), _left(path)
    if earlier is not None:
        _delete([path, earlier])
    _delete([*left, _journal(path)])


def _journal(path):
    """The file that names the weights while they are being written, so that what a killed process left is known."""
    return path.with_name(f".{path.stem}.saving")


def _named(path):
    """The weights of the checkpoint that is there, None if there is none. Raises CheckpointError for another file."""
    if not os.path.lexists(path):
        return None
    try:
        return path.with_name(_weights_name(path, json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, RecursionError, CheckpointError):
        raise CheckpointError(
            f"{path} is not the card of a checkpoint, and is left as it is; choose another name."
        ) from None


def _left(path):
    """What a process left that was killed while it saved, by its journal. Raises CheckpointError for another file."""
    journal = _journal(path)
    if journal.exists() and journal.stat().st_size:  # empty: killed before it could say anything
        try:
            left = json.loads(journal.read_text(encoding="utf-8"))
            weights, pid = path.with_name(_weights_name(path, {"weights": {"file": left["weights"]}})), int(left["pid"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError, CheckpointError):
            raise CheckpointError(f"{journal} is not ours, and is left as it is; move it elsewhere.") from None
        return [weights, part(weights, pid), part(path, pid)]
    return []


def _delete(files):
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()


def _weights_name(path, card) -> str:
    """The weights file that a card names. Raises CheckpointError if it is not a card, or names anything else."""
    try:
        file = card["weights"]["file"]
    except (KeyError, TypeError):
        raise CheckpointError(f"{path} is not the card of a checkpoint: JSON that names its weights.") from None
    if not isinstance(file, str) or Path(file).name != file or "\0" in file or not file.endswith(".safetensors"):
        raise CheckpointError(
            f"{path} names the weights file {file!r}, but only a .safetensors file beside the card may be named; "
            "use a card that save has written."
        )
    return file


def load(path: str | Path) -> tuple[dict, dict]:
    """Read the checkpoint ``path``: (tensors, card). Raises CheckpointError, in one sentence, for anything amiss."""
    path = card_path(path)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        digest = card["weights"]["sha256"]
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint {path}; check the name, or train one first.") from None
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}); check its name and its permissions."
        raise CheckpointError(message) from None
    except (ValueError, KeyError, TypeError, RecursionError):  # not UTF-8, not JSON, or JSON about something else
        raise CheckpointError(f"{path} is not the card of a checkpoint: JSON that names its weights.") from None
    weights = path.with_name(_weights_name(path, card))
    try:
        data = weights.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path} names {weights.name}, which is missing; copy both files together.") from None
    except OSError as error:
        raise CheckpointError(f"{weights} cannot be read ({error.strerror}); check its permissions.") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise CheckpointError(
            f"{weights} is not what was saved: its {len(data)} bytes do not have the fingerprint (SHA-256) that the "
            f"card gives, {card['weights'].get('bytes', '?')} bytes expected; copy it again."
        )
    try:
        return tensors_from_bytes(data), card
    except (SafetensorError, KeyError) as error:  # KeyError: a type of number that torch does not have
        raise CheckpointError(f"{weights} is not a safetensors file ({error}); save the model anew.") from None


def load_model(path: str | Path, model: torch.nn.Module) -> dict:
    """Put the weights of checkpoint ``path`` into ``model``, and return the card.

    Raises CheckpointError when names or shapes do not fit; the model is then left as it was.
    """
    tensors, card = load(path)
    check_fit(tensors, model, path)
    model.load_state_dict(tensors)
    return card


def check_fit(tensors: dict, model: torch.nn.Module, path: str | Path) -> None:
    """Raise CheckpointError unless names and shapes of ``tensors`` are those of the model."""
    own = model.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unknown:
        which = f"it lacks {missing[0]}" if missing else f"the model has no {unknown[0]}"
        raise CheckpointError(
            f"{path} is of another architecture: {which} ({len(missing)} missing, {len(unknown)} unknown tensors); "
            "build the model as its card says."
        )
    for name, tensor in sorted(tensors.items()):  # safetensors gives them in any order
        if tensor.shape != own[name].shape:
            raise CheckpointError(
                f"{path} is of another architecture: {name} has shape {tuple(tensor.shape)} there and "
                f"{tuple(own[name].shape)} in the model; build the model as its card says."
            )


def card_path(path: str | Path) -> Path:
    """Where the card of checkpoint ``path`` is, with or without a suffix."""
    path = Path(path)
    if path.suffix.lower() in PICKLES:
        raise CheckpointError(
            f"{path} has the name of a pickle, and a pickle can run any program when it is opened; use the name "
            f"{path.stem}.json, and files that helpers.checkpoints.save has written."
        )
    if path.suffix == ".json":
        return path
    return path.with_name(path.name.removesuffix(".safetensors") + ".json")
