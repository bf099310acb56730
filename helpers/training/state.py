"""The state of a training on disk: all that it takes to go on from there to bit-identical weights.

Weights now and the best so far, the optimisers' moments, the states of all random numbers, and the history.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from helpers import checkpoints
from helpers.training.history import History, TrainingError

KIND = "training state"
FREE = ("minutes", "retries")  # what may be another when training goes on


def save(path: str | Path, training: Any) -> None:
    """Save the state of a ``loop.Training`` as the checkpoint ``path``; all processes must call it."""
    noise = {name: training.team.gather(get()) for name, (get, _) in noise_sources(training.device).items()}
    if not training.team.first:
        return
    tensors = {f"model.{k}": v for k, v in training.model.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in training.best_weights.items()}
    for number, optimiser in enumerate(training.optimisers):
        state = optimiser.state_dict()["state"]
        tensors |= {f"optimiser.{number}.{i}.{k}": torch.as_tensor(v) for i, s in state.items() for k, v in s.items()}
    tensors |= {f"random.{name}.{rank}": s for name, states in noise.items() for rank, s in enumerate(states)}
    tensors["random.order"] = training.order.get_state()
    checkpoints.save(
        path, tensors, kind=KIND, config=training.config, history=training.history.rows, best=training.best,
        seconds=training.seconds, first=training.first, span=training.span, returns=training.history.returns,
    )


def check_name(path: str | Path) -> None:
    """Raise TrainingError if ``path`` is a checkpoint of something else, which a state would replace."""
    file = checkpoints.card_path(path)  # refuses a name that cannot be used
    if file.exists():
        _, card = checkpoints.load(path)
        if card.get("kind") != KIND or not {"config", "history", "best", "seconds", "first"} <= card.keys():
            raise TrainingError(f"{path} holds a finished model, not a training state; choose another checkpoint path.")


def resume(path: str | Path, training: Any) -> None:
    """Put a saved state into a ``loop.Training``, if there is one. Raises TrainingError, CheckpointError."""
    if not training.team.agree(checkpoints.card_path(path).exists()):
        return
    tensors, card = checkpoints.load(path)
    changed = [k for k, v in training.config.items() if v != card["config"].get(k) and k not in FREE]
    if changed:
        k = changed[0]
        raise TrainingError(
            f"{path} was begun with {k}={card['config'].get(k)!r}, and now {k}={training.config[k]!r}; use the same "
            "settings, another path, or resume=False to begin anew."
        )
    part = lambda name: {k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)}
    checkpoints.check_fit(part("model."), training.model, path)
    training.model.load_state_dict(part("model."))
    training.best_weights, training.best, training.first = part("best."), card["best"], card["first"]
    for number, optimiser in enumerate(training.optimisers):
        state: dict = {}
        for name, v in part(f"optimiser.{number}.").items():
            index, key = name.split(".")
            state.setdefault(int(index), {})[key] = v
        optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
    training.order.set_state(tensors["random.order"])
    for name, (_, put) in noise_sources(training.device).items():
        if f"random.{name}.{training.team.rank}" in tensors:  # not if it was begun on another kind of device
            put(tensors[f"random.{name}.{training.team.rank}"])
    training.history = History(card["history"], training.history.keeps, card.get("returns", 0))
    training.span = card.get("span", [])  # states of earlier versions have neither
    training.seconds = card["seconds"]


def noise_sources(device: torch.device) -> dict:
    """Where random numbers for noise and dropout come from: for each generator, how to get and set its state."""
    sources: dict[str, tuple[Callable, Callable]] = {"noise": (torch.get_rng_state, torch.set_rng_state)}
    if device.type == "cuda":
        get, put = torch.cuda.get_rng_state, torch.cuda.set_rng_state
        sources["cuda"] = (lambda: get(device), lambda state: put(state, device))
    if device.type == "mps":
        sources["mps"] = (torch.mps.get_rng_state, torch.mps.set_rng_state)
    return sources


@contextlib.contextmanager
def fixed_noise(device: torch.device) -> Iterator[None]:
    """The same random numbers each time, and afterwards as if nothing had been drawn."""
    before = [(put, get()) for get, put in noise_sources(device).values()]
    torch.manual_seed(0)
    try:
        yield
    finally:
        for put, state in before:
            put(state)
