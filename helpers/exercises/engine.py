"""Exercises that check themselves. A check tests facts about the answer, never compares it with a hidden copy.

exercises.kl.check(kl)      # says what holds, or which fact is violated; never raises
exercises.kl.hint()         # one more hint each time
exercises.kl.solution()     # the code, and one sentence why
"""

import copy
import inspect
import textwrap
from collections.abc import Callable

import numpy as np


class Wrong(Exception):
    """Raised by a fact that does not hold; the message names the fact, never the expected number."""


class NotAttempted(Exception):
    """The answer is still the stub."""


def require(holds, fact: str):
    """Raise Wrong with ``fact`` unless ``holds``; NaN counts as not holding."""
    if not np.all(holds):
        raise Wrong(fact)


class Exercise:
    """One exercise: facts that a right answer satisfies, hints, and a solution.

    answer: the solution, a function that later cells may use. why: one sentence about it.
    facts: functions of the learner's answer; each calls it on inputs of its own and ``require``s something.
    hints: from vague to nearly the answer.
    """

    def __init__(self, name: str, answer: Callable, why: str, facts: list[Callable], hints: list[str]):
        self.name, self.answer, self.why = name, answer, why
        self.facts, self.hints = facts, hints
        self._hints_given = 0

    def check(self, answer):
        """Print whether the answer is right, or the first fact that it violates. Never raises."""
        print(self.verdict(answer))

    def verdict(self, answer) -> str:
        """What :meth:`check` prints."""
        try:
            if answer is Ellipsis or answer is None or (callable(answer) and _is_stub(answer)):
                raise NotAttempted
            if not callable(answer):
                raise Wrong(f"expected a function, found {type(answer).__name__}")
            for fact in self.facts:
                with np.errstate(all="ignore"):
                    fact(_Guarded(answer, self.name))
        except NotAttempted:
            return f"… {self.name}: not attempted yet - replace the `...`"
        except Wrong as wrong:
            return f"✗ {self.name}: {wrong}"
        except Exception as error:  # a mistake in the answer must not stop the notebook
            return f"✗ {self.name}: your code ran into a problem: {type(error).__name__}: {error}"
        return f"✓ {self.name}: right"

    def hint(self):
        """Print the next hint; after the last, the last again."""
        k = min(self._hints_given, len(self.hints) - 1)
        self._hints_given += 1
        print(f"hint {k + 1} of {len(self.hints)}: {self.hints[k]}")

    def solution(self):
        """Print the solution, and why it is right."""
        code = textwrap.dedent(inspect.getsource(self.answer)).rstrip()
        print(code.replace(f"def {self.answer.__name__}", f"def {self.name}", 1))
        print(f"\nWhy: {self.why}")


class _Guarded:
    """The learner's function, watched: it must return something, and leave its arguments alone."""

    def __init__(self, answer, name):
        self.answer, self.name = answer, name

    def __call__(self, *args, **kwargs):
        before = copy.deepcopy((args, kwargs))
        try:
            result = self.answer(*args, **kwargs)
        except Exception as error:
            shapes = ", ".join(str(np.shape(a)) for a in args if isinstance(a, np.ndarray))
            with_shapes = f", given arrays of shapes {shapes}" if shapes else ""
            raise Wrong(f"your code stops{with_shapes}: {type(error).__name__}: {error}") from error
        if result is Ellipsis or (isinstance(result, tuple) and any(r is Ellipsis for r in result)):
            raise NotAttempted
        if not _same(before, (args, kwargs)):
            raise Wrong("it changes its arguments in place; work on a copy, or build a new array")
        if result is None:
            raise Wrong("it returns nothing; is the `return` missing?")
        return result


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
