"""Models on disk: tensors as safetensors, everything else as JSON, both or nothing, and nothing that runs code.

A checkpoint ``path`` is two files: ``path.json``, the card, and the weights file that the card names
together with its SHA-256. The card is replaced last and in one step, so that whatever happens there is
either the old checkpoint or the new one.
"""

import contextlib
import glob
import hashlib
import json
import platform
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes

from helpers.disk import write_bytes, write_text

PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib"}


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used. The message says what was found, where, and what to do."""


def save(path, tensors: dict, **card) -> Path:
    """Write tensors and card (anything that JSON can hold) as the checkpoint ``path``; returns the card's path.

    Atomic: a process that is killed while saving leaves the previous checkpoint whole.
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
    write_bytes(weights, data)
    write_text(path, text)
    # What earlier saves left: their weights and, where a process was killed while saving, temporary files.
    stem, digits = glob.escape(path.stem), "[0-9a-f]" * 12
    for pattern in (f"{stem}-{digits}.safetensors", f".{stem}-{digits}.safetensors.*.part", f".{stem}.json.*.part"):
        for old in path.parent.glob(pattern):
            if old != weights:
                with contextlib.suppress(OSError):
                    old.unlink()
    return path


def load(path) -> tuple[dict, dict]:
    """Read the checkpoint ``path``: (tensors, card). Raises CheckpointError, in one sentence, for anything amiss."""
    path = card_path(path)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        file, digest = card["weights"]["file"], card["weights"]["sha256"]
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint {path}; check the name, or train one first.") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check its name and its rights.") from None
    except (ValueError, KeyError, TypeError, RecursionError):  # not UTF-8, not JSON, or JSON about something else
        raise CheckpointError(f"{path} is not the card of a checkpoint: JSON that names its weights.") from None
    if not isinstance(file, str) or Path(file).name != file or "\0" in file or not file.endswith(".safetensors"):
        raise CheckpointError(
            f"{path} names the weights file {file!r}, but only a .safetensors file beside the card may be named; "
            "use a card that save has written."
        )
    weights = path.with_name(file)
    try:
        data = weights.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path} names {weights.name}, which is missing; copy both files together.") from None
    except OSError as error:
        raise CheckpointError(f"{weights} cannot be read ({error.strerror}); check its rights.") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise CheckpointError(
            f"{weights} is not what was saved: its {len(data)} bytes do not have the fingerprint (SHA-256) that the "
            f"card gives, {card['weights'].get('bytes', '?')} bytes expected; copy it again."
        )
    try:
        return tensors_from_bytes(data), card
    except (SafetensorError, KeyError) as error:  # KeyError: a type of number that torch does not have
        raise CheckpointError(f"{weights} is not a safetensors file ({error}); save the model anew.") from None


def load_model(path, model: torch.nn.Module) -> dict:
    """Put the weights of checkpoint ``path`` into ``model``, and return the card.

    Raises CheckpointError when names or shapes do not fit; the model is then left as it was.
    """
    tensors, card = load(path)
    check_fit(tensors, model, path)
    model.load_state_dict(tensors)
    return card


def check_fit(tensors: dict, model: torch.nn.Module, path):
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


def card_path(path) -> Path:
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
