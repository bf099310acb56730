"""Exercises that check themselves. A check tests facts about the answer, never compares it with a hidden copy.

What a reader calls::

    exercises.kl.check(kl)      # says what holds, or which fact is violated; never raises
    exercises.kl.hint()         # one more hint each time
    exercises.kl.solution()     # the code, and one sentence why

How one is written: the solution, and under it what must hold of every right answer, the likeliest slip first::

    @exercise(why="the numbers of a code are independent, so their divergences add up.", hints=["vague", "clear"])
    def kl(mu, logvar):
        return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)

    @kl.fact
    def is_zero_at_the_prior(kl):
        require(near(returns(kl(zeros, zeros), (5,)), 0), "when the guess is the prior the divergence must be 0")
"""

import copy
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class Wrong(Exception):
    """Raised by a fact that does not hold; the message names the fact, never the expected number."""


class NotAttempted(Exception):
    """The answer is still the stub."""


def require(holds: ArrayLike, fact: str) -> None:
    """Raise Wrong with ``fact`` unless ``holds``; NaN counts as not holding."""
    if not np.all(holds):
        raise Wrong(fact)


def returns(value: Any, shape: tuple[int, ...] | None = None, what: str = "", dtype: type | None = float) -> np.ndarray:
    """What an answer returned, an array, a tensor, a list or a number, as a NumPy array.

    shape: what its shape must be, else Wrong; () is one number, in an array or not.
    what: the same in words, for the message. dtype: None leaves the type as it is.
    """
    if not what:
        what = "one number" if shape == () else f"{shape[0]} numbers" if shape and len(shape) == 1 else "an array"
    try:
        found = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, dtype)
    except Exception as error:
        raise Wrong(f"it must give {what}; yours cannot be made an array: {error}") from None
    if shape == () and found.size == 1:
        return found.reshape(())[()]
    if shape is not None and found.shape != shape:
        raise Wrong(f"it must give {what}{f', shape {shape}' if shape else ''}; yours has shape {found.shape}")
    return found


def parts(value: Any, *names: str, dtype: type | None = float) -> list[np.ndarray]:
    """The things that an answer returned together, in a tuple, a list or stacked, each as a NumPy array."""
    stacked = hasattr(value, "shape") and len(value.shape) > 0
    if not (isinstance(value, (tuple, list)) or stacked) or len(value) != len(names):
        number = ("one", "two", "three", "four")[len(names) - 1]
        raise Wrong(f"it must return {number} things, as a tuple: {', '.join(names)}")
    return [returns(part, dtype=dtype) for part in value]


def near(a: Any, b: Any, within: float = 1e-5) -> np.ndarray:
    """Where a and b, arrays, tensors, lists or numbers, are equal but for rounding; nowhere where one is NaN.

    within: how far they may be apart; by a share of b where b is larger than 1. The default lets float32 pass, and a
    tiny number added to a denominator.
    """
    found, truth = returns(a), returns(b)
    try:
        return np.abs(found - truth) < within * np.maximum(1, np.abs(truth))
    except ValueError:
        raise Wrong(f"it must give an array of shape {truth.shape}; yours has shape {found.shape}") from None


def whole(value: Any, what: str = "one whole number") -> int:
    """The int that an answer returned; Wrong if it is none, be it 4.0."""
    found = returns(value, (), what, dtype=None)
    if not np.issubdtype(np.asarray(found).dtype, np.integer):
        raise Wrong(f"it must give {what}, an int; yours is {found!r}")
    return int(found)


def same_alone(answer: Callable, *arrays: np.ndarray, rest: tuple = (), fact: str = "") -> None:
    """Raise Wrong unless every row has the result alone that it has among the others.

    arrays: arguments with N rows each. rest: the arguments after them. fact: the message, where it can be clearer.
    """
    together = returns(answer(*arrays, *rest))
    alone = [returns(answer(*(a[i : i + 1] for a in arrays), *rest)).ravel() for i in range(len(arrays[0]))]
    require(
        np.shape(together)[:1] == (len(alone),) and near(np.concatenate(alone), together.ravel()),
        fact or "each row must give what it gives alone, in its own place; it must not depend on the other rows",
    )


class Exercise:
    """One exercise: a solution, hints, and facts that every right answer satisfies. Made by :func:`exercise`.

    answer: the solution, a function that later cells may use; its name is the exercise's. why: one sentence about it.
    hints: from vague to nearly the answer.
    facts: functions of the learner's answer; each calls it on inputs of its own and ``require``s something.
    """

    def __init__(self, answer: Callable, why: str, hints: list[str]):
        self.name, self.answer, self.why, self.hints = answer.__name__, answer, why, hints
        self.facts: list[Callable] = []
        self._hints_given = 0

    def fact(self, fact: Callable) -> Callable:
        """Add a fact, to be checked after those that were added before; a decorator."""
        self.facts.append(fact)
        return fact

    def check(self, answer: Any) -> None:
        """Print whether the answer is right, or the first fact that it violates. Never raises."""
        print(self.verdict(answer))

    def verdict(self, answer: Any) -> str:
        """What :meth:`check` prints."""
        guarded = None
        try:
            if answer is Ellipsis or answer is None or (callable(answer) and _is_stub(answer)):
                raise NotAttempted
            if not callable(answer):
                raise Wrong(f"expected a function, found {type(answer).__name__}")
            for fact in self.facts:
                guarded = _Guarded(answer, self.name)
                with np.errstate(all="ignore"):
                    fact(guarded)
        except NotAttempted:
            return f"… {self.name}: not attempted yet - replace the `...`"
        except Wrong as wrong:
            nan = "it returns NaN, not a number, where this must hold: " if guarded and guarded.nan else ""
            return f"✗ {self.name}: {nan}{wrong}"
        except Exception as error:  # a mistake in the answer must not stop the notebook
            return f"✗ {self.name}: your code ran into a problem: {type(error).__name__}: {_meaning(error)}"
        return f"✓ {self.name}: right"

    def hint(self) -> None:
        """Print the next hint; after the last, the last again."""
        k = min(self._hints_given, len(self.hints) - 1)
        self._hints_given += 1
        print(f"hint {k + 1} of {len(self.hints)}: {self.hints[k]}")

    def solution(self) -> None:
        """Print the solution, and why it is right."""
        print(f"{self.code()}\n\nWhy: {self.why}")

    def code(self) -> str:
        """The code of the solution, without the decorator, which holds the hints."""
        code = textwrap.dedent(inspect.getsource(self.answer)).rstrip()
        return re.split("^(?=def )", code, maxsplit=1, flags=re.MULTILINE)[-1]


def exercise(why: str, hints: list[str]) -> Callable[[Callable], Exercise]:
    """Make a function, the solution, an :class:`Exercise` of the same name; a decorator."""
    return lambda answer: Exercise(answer, why, hints)


class _Guarded:
    """The learner's function, watched: it must return something, and leave its arguments alone.

    nan: whether it returned NaN at its latest call.
    """

    def __init__(self, answer, name):
        self.answer, self.name, self.nan = answer, name, False

    def __call__(self, *args, **kwargs):
        before = copy.deepcopy((args, kwargs))
        try:
            result = self.answer(*args, **kwargs)
        except Wrong:  # said by a function that the exercise handed to the answer: no error in the code
            raise
        except Exception as error:
            shapes = ", ".join(str(np.shape(a)) for a in args if isinstance(a, np.ndarray))
            with_shapes = f", given arrays of shapes {shapes}" if shapes else ""
            raise Wrong(f"your code stops{with_shapes}: {type(error).__name__}: {_meaning(error)}") from error
        if result is Ellipsis or (isinstance(result, (tuple, list)) and any(r is Ellipsis for r in result)):
            raise NotAttempted
        if not _same(before, (args, kwargs)):
            for old, new in zip(before[0], args):  # so that the next check begins with the arrays as they were
                if isinstance(new, np.ndarray):
                    new[...] = old
            raise Wrong("it changes its arguments in place; work on a copy, or build a new array")
        if result is None:
            raise Wrong("it returns nothing; is the `return` missing?")
        self.nan = _has_nan(result)
        return result


# What errors of other libraries mean here.
TRANSLATED = {
    "Can't call numpy() on Tensor": "a tensor with a gradient cannot become a NumPy array; stay with PyTorch here",
    "does not require grad": "the loss has no gradient; was a tensor detached, or made a number, on the way?",
}


def _meaning(error: Exception) -> str:
    return next((said for part, said in TRANSLATED.items() if part in str(error)), str(error))


def _has_nan(value) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_has_nan, value))
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    kind = getattr(getattr(value, "dtype", None), "kind", "f" if isinstance(value, float) else "")
    return kind in ("f", "c") and bool(np.isnan(value).any())


def _same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if type(a).__module__ == "torch" and hasattr(a, "detach"):  # a tensor, without importing torch for Part I
        return a.shape == b.shape and _same(a.detach().numpy(), b.detach().numpy())
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    return True  # generators and models are meant to change


def _is_stub(function) -> bool:
    """Whether a function's body is nothing but a docstring and `...` (or `pass`)."""
    import dis

    code = getattr(function, "__code__", None)
    if code is None:
        return False
    steps = [i for i in dis.get_instructions(code) if i.opname not in ("RESUME", "NOP", "COPY_FREE_VARS")]
    names = [i.opname for i in steps]
    return names in (["LOAD_CONST", "RETURN_VALUE"], ["RETURN_CONST"]) and steps[0].argval is None
