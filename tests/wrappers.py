"""Mutants that need no source, made by changing what a solution is given or what it gives; and styles of right answers.

Kept apart from ``mutants``, which changes the source, counts, and prints the table.
"""

import inspect
from collections.abc import Callable, Iterator

import numpy as np
import torch

SHAPES = {  # changes of an array, a result or an argument
    "negative": lambda a: -a,
    "absolute": np.abs,
    "reversed along the first axis": lambda a: a[::-1].copy(),
    "reversed along the last axis": lambda a: a[..., ::-1].copy(),
    "rolled along the first axis": lambda a: np.roll(a, 1, axis=0),
    "sorted along the first axis": lambda a: np.sort(a, axis=0),
    "sorted along the last axis": lambda a: np.sort(a, axis=-1),
    "transposed": lambda a: a.T if a.ndim == 2 and a.shape[0] == a.shape[1] else None,
    "the first row for all": lambda a: np.broadcast_to(a[:1], a.shape).copy(),
    "the mean of the batch for all": lambda a: np.broadcast_to(a.mean(axis=0), a.shape).copy(),
    "the mean of each row": lambda a: np.broadcast_to(a.mean(axis=-1, keepdims=True), a.shape).copy(),
    "without the mean of the batch": lambda a: a - a.mean(axis=0),
}
NUMBERS = {  # changes of an array or of a number
    "ignored: 0": lambda a: 0 * a,
    "ignored: 1": lambda a: 0 * a + 1,
    "squared": lambda a: a * a,
    "rooted": lambda a: np.sign(a) * np.sqrt(np.abs(a)),
    "doubled": lambda a: 2 * a,
    "a tenth more": lambda a: 1.1 * a,
    "half more": lambda a: a + 0.5,
    "one more": lambda a: a + 1,
    "rounded": np.round,
    "rounded to a digit": lambda a: np.round(a, 1),
    "its sign": np.sign,
    "clipped to -1, 1": lambda a: np.clip(a, -1, 1),
    "clipped to 0.05, 0.95": lambda a: np.clip(a, 0.05, 0.95),
    "at most 8": lambda a: np.minimum(a, 8),
    "at least 0": lambda a: np.maximum(a, 0),
    "as an exponential": np.exp,
    "as a tanh": np.tanh,
}


def _changed(value, change, numbers):
    """The value after a change; None where the change is not for such a value."""
    if isinstance(value, torch.nn.Module) or isinstance(value, (str, bool, type(None))):
        return None
    if isinstance(value, torch.Tensor):
        if value.requires_grad and not value.is_leaf:
            return _tensor(value, change) if numbers else None
        new = _changed(value.detach().numpy(), change, numbers)
        return None if new is None else torch.as_tensor(np.asarray(new)).requires_grad_(value.requires_grad)
    if isinstance(value, (int, float, np.number)):
        new = change(value) if numbers else None
        if isinstance(value, int) and new is not None and abs(new) > 10 * abs(value) + 10:
            return None  # an array of so many numbers would fill the memory
        return new if new is None or not isinstance(value, int) or new != int(new) else int(new)
    if isinstance(value, list) and value and all(isinstance(v, (int, float)) for v in value):
        new = change(np.array(value))
        return None if new is None else np.asarray(new).tolist()
    if isinstance(value, list):
        return value[::-1] if change is SHAPES["reversed along the first axis"] else None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "ifcub" or (not numbers and value.ndim == 0):
        return None
    if value.size == 0:
        return None
    if value.dtype.kind == "b":
        new = change(value.astype(float))
        return None if new is None else np.asarray(new) > 0.5
    return change(value)


def _tensor(value, change):
    try:
        new = change(value)
        return new if isinstance(new, torch.Tensor) else None
    except TypeError:
        return None


class Unchanged(Exception):
    """The change does not apply."""


def _of_argument(answer, name, change, numbers):
    signature = inspect.signature(answer)

    def mutant(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        new = _changed(bound.arguments[name], change, numbers)
        if new is None:
            raise Unchanged
        bound.arguments[name] = new
        return answer(*bound.args, **bound.kwargs)

    return mutant


def _of_result(answer, place, change, numbers):
    def mutant(*args, **kwargs):
        result = answer(*args, **kwargs)
        if place is None:
            new = _changed(result, change, numbers)
            if new is None:
                raise Unchanged
            return new
        new = _changed(result[place], change, numbers)
        if new is None:
            raise Unchanged
        return (*result[:place], new, *result[place + 1 :])

    return mutant


def _frozen(answer, name, value):
    """An argument that always has the same value."""
    return _of_argument(answer, name, lambda _: value, True) if np.ndim(value) == 0 else None


def _given(answer, name, other):
    """One argument in the place of another."""
    signature = inspect.signature(answer)

    def mutant(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        bound.arguments[name] = bound.arguments[other]
        return answer(*bound.args, **bound.kwargs)

    return mutant


class _Other:
    """A generator whose noise has the right mean and spread, and another distribution."""

    def __init__(self, rng, noise):
        self._rng, self._noise = rng, noise

    def standard_normal(self, size=None, **_):
        return self._noise(self._rng, size)

    normal = standard_normal

    def __getattr__(self, name):
        return getattr(self._rng, name)


NOISES = {
    "signs": lambda rng, size: rng.choice([-1.0, 1.0], size),
    "uniform noise": lambda rng, size: rng.uniform(-np.sqrt(3), np.sqrt(3), size),
    "Laplace noise": lambda rng, size: rng.laplace(0, np.sqrt(0.5), size),
    "one noise for all rows": lambda rng, size: np.broadcast_to(rng.standard_normal(np.atleast_1d(size)[-1:]), size),
}


def _generators(answer, name) -> Iterator[tuple[str, Callable]]:
    goes_on = np.random.default_rng(8)
    rngs = {"rng ignored: a fixed seed": lambda _: np.random.default_rng(0),
            "rng ignored: the global generator": lambda _: np.random.RandomState(7),
            "rng ignored: a generator that goes on": lambda _: goes_on}  # fmt: skip
    for what, new in rngs.items():
        yield what, _of_object(answer, name, new)
    for what, noise in NOISES.items():
        yield what, _of_object(answer, name, lambda rng, noise=noise: _Other(rng, noise))


def _of_object(answer, name, change):
    signature = inspect.signature(answer)

    def mutant(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.arguments[name] = change(bound.arguments[name])
        return answer(*bound.args, **bound.kwargs)

    return mutant


def wrapped(answer: Callable, call: tuple) -> Iterator[tuple[str, Callable]]:
    """(what was changed, the function) for every change of an argument or of the result."""
    changes = [(what, change, False) for what, change in SHAPES.items()]
    changes += [(what, change, True) for what, change in NUMBERS.items()]
    args, kwargs = call
    bound = inspect.signature(answer).bind(*args, **kwargs)
    bound.apply_defaults()
    kind = {name: (type(value), np.ndim(value) if isinstance(value, np.ndarray) else 0)
            for name, value in bound.arguments.items()}  # fmt: skip
    for name, value in bound.arguments.items():
        if isinstance(value, np.random.Generator):
            yield from _generators(answer, name)
        for what, change, numbers in changes:
            yield f"{name}: {what}", _of_argument(answer, name, change, numbers)
        if isinstance(value, (int, float)):
            yield f"{name}: always {value}", _frozen(answer, name, value)
        for other in bound.arguments:
            if other != name and kind[other] == kind[name] and kind[name][0] in (np.ndarray, float, int, torch.Tensor):
                yield f"{name}: {other} in its place", _given(answer, name, other)
    try:
        result = answer(*args, **kwargs)
    except Exception:
        return
    for place in range(len(result)) if isinstance(result, tuple) else (None,):
        for what, change, numbers in changes:
            yield f"result {place or ''}: {what}", _of_result(answer, place, change, numbers)
    if type(result) is int:
        yield "result: a float", lambda *a, **k: float(answer(*a, **k))


# ---- right answers in another style ----


def _each(result, change):
    if isinstance(result, tuple):
        return tuple(_each(part, change) for part in result)
    return change(result)


def _is_real(value, kinds="f"):
    return isinstance(value, (np.ndarray, np.floating)) and value.dtype.kind in kinds


def _float32(value):
    return np.float32(value) if _is_real(value) or isinstance(value, float) else value


def _list(value):
    return value.tolist() if _is_real(value, "fiub") else value


def _torch(value):
    return torch.from_numpy(np.array(value)) if _is_real(value, "fcib") else value


def _zero_d(value):
    return np.array(value) if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) else value


def _shrunk(value):
    """What a tiny number in a denominator makes of a quotient."""
    return value / (1 + 1e-8) if _is_real(value) else value


def _listed(result):
    return list(result) if isinstance(result, tuple) else result


def _stacked(result):
    alike = isinstance(result, tuple) and all(_is_real(np.asarray(part), "fi") for part in result)
    return np.array(result, float) if alike and len({np.shape(part) for part in result}) == 1 else result


def _by_rows(answer):
    """Every row by itself, where several arguments have as many rows as the first."""

    def loop(*args, **kwargs):
        N = len(args[0])
        rows = [isinstance(a, np.ndarray) and a.ndim > 1 and len(a) == N for a in args]
        one = [answer(*(a[i : i + 1] if split else a for a, split in zip(args, rows)), **kwargs) for i in range(N)]
        if isinstance(one[0], tuple):
            return tuple(np.concatenate(parts) for parts in zip(*one))
        return np.concatenate(one)

    return loop


STYLES = {
    "a list for an array": lambda f: lambda *a, **k: _each(f(*a, **k), _list),
    "a list for a tuple": lambda f: lambda *a, **k: _listed(f(*a, **k)),
    "lists in a list": lambda f: lambda *a, **k: _listed(_each(f(*a, **k), _list)),
    "stacked": lambda f: lambda *a, **k: _stacked(f(*a, **k)),
    "float32": lambda f: lambda *a, **k: _each(f(*a, **k), _float32),
    "PyTorch": lambda f: lambda *a, **k: _each(f(*a, **k), _torch),
    "a number in an array": lambda f: lambda *a, **k: _each(f(*a, **k), _zero_d),
    "a loop over rows": _by_rows,
    "a tiny number in a denominator": lambda f: lambda *a, **k: _each(f(*a, **k), _shrunk),
}
