"""What stands beside a learner's notebook while it is graded: what each exercise's check was given, and its verdict.

It runs in the kernel of that notebook, so it can be fooled by who wants to; it says so where `check` was replaced, and
takes nothing from what is printed. It is no examination.
"""

import functools
import importlib
import json
import sys
from typing import Any

from helpers.exercises.engine import Exercise

_ours = {name: getattr(Exercise, name) for name in ("check", "verdict", "fact", "hint", "solution", "code", "__init__")}
_lesson: dict[str, Any] = {}  # module, and of each exercise its answer and facts, as they were
_found: dict[str, tuple[str, str]] = {}
_shown: set[str] = set()  # the exercises whose solution the notebook has asked for


def begin(lesson: str) -> None:
    """Record from now on what the exercises of a lesson are given; ``lesson`` names their module."""
    module = importlib.import_module(f"helpers.exercises.{lesson}")
    kept = {name: (ex, ex.answer, tuple(ex.facts)) for name, ex in vars(module).items() if isinstance(ex, Exercise)}
    _lesson.update(module=module, kept=kept)
    for name, ours in {"check": _check, "code": _code}.items():
        setattr(Exercise, name, ours)


def _check(exercise: Exercise, answer: Any) -> None:
    said = _ours["verdict"](exercise, answer)
    print(said)
    mark, _, sentence = said.partition(f" {exercise.name}: ")
    if mark == "✓":
        result = ("solution shown", "") if is_solution(exercise, answer) else ("passed", "")
    elif mark == "…":
        result = ("not attempted", "")
    else:
        stops = sentence.startswith(("your code stops", "your code ran into"))
        result = ("error" if stops else "refused", sentence)
    _found[exercise.name] = result


def _code(exercise: Exercise) -> str:  # which `solution` prints
    _shown.add(exercise.name)
    return _ours["code"](exercise)


def is_solution(exercise: Exercise, answer: Any) -> bool:
    """Whether an answer is the solution itself, calls it, or is its code word for word after it was printed."""
    while isinstance(answer, functools.partial) or hasattr(answer, "__wrapped__"):
        answer = answer.func if isinstance(answer, functools.partial) else answer.__wrapped__
    ours, theirs = exercise.answer.__code__, getattr(answer, "__code__", None)
    if answer is exercise.answer or theirs is ours:
        return True
    if theirs is None:
        return False
    held = [cell.cell_contents for cell in getattr(answer, "__closure__", None) or () if _filled(cell)]
    held += [answer.__globals__.get(name) for name in theirs.co_names]
    copied = (theirs.co_code, theirs.co_names) == (ours.co_code, ours.co_names) and exercise.name in _shown
    asks = "answer" in theirs.co_names and exercise.name in theirs.co_names
    return copied or asks or any(thing is exercise.answer for thing in held)


def _filled(cell) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def taken() -> str:
    """What was found so far, and which exercises can no longer be trusted, as JSON."""
    module, kept = _lesson["module"], _lesson["kept"]
    as_begun = {**_ours, "check": _check, "code": _code}
    touched = [ex.name for name, (ex, *rest) in kept.items() if [ex.answer, tuple(ex.facts)] != rest
               or set(vars(ex)) & set(as_begun) or getattr(module, name, None) is not ex]
    if any(getattr(Exercise, name, None) is not ours for name, ours in as_begun.items()):
        touched = [ex.name for ex, _, _ in kept.values()]
    return json.dumps({"found": _found, "touched": touched})


# The module that recorded, whatever a learner has done to sys.modules since.
sys.modules.setdefault("_recording", sys.modules[__name__])
