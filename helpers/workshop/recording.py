"""What stands beside a learner's notebook while it is graded: what each exercise's check was given, and its verdict.

It runs in the kernel of that notebook, so it can be fooled by who wants to; it says so where `check` was replaced, and
takes nothing from what is printed. It is no examination.
"""

import ast
import functools
import importlib
import inspect
import json
import sys
import textwrap
from typing import Any

from helpers.exercises.engine import Exercise

_ours = {name: getattr(Exercise, name) for name in ("check", "verdict", "fact", "hint", "solution", "code", "__init__")}
SHORT = 2  # statements, with which two people may well write the same
_lesson: dict[str, Any] = {}  # module, and of each exercise its answer and facts, as they were
_found: dict[str, tuple[str, str]] = {}
_shown: set[str] = set()  # the exercises whose solution the notebook has asked for
_alike: dict[str, int] = {}  # the exercises that passed with our code, and how many statements that has


def begin(lesson: str) -> None:
    """Record from now on what the exercises of a lesson are given; ``lesson`` names their module."""
    module = importlib.import_module(f"helpers.exercises.{lesson}")
    kept = {name: (ex, ex.answer, tuple(ex.facts)) for name, ex in vars(module).items() if isinstance(ex, Exercise)}
    _lesson.update(module=module, kept=kept)
    for name, ours in {"check": _check, "code": _code}.items():
        setattr(Exercise, name, ours)


def _check(exercise: Exercise, answer: Any) -> None:
    _alike.pop(exercise.name, None)
    said = _ours["verdict"](exercise, answer)
    print(said)
    mark, _, sentence = said.partition(f" {exercise.name}: ")
    if mark == "✓":
        result = _passed(exercise, answer)
    elif mark == "…":
        result = ("not attempted", "")
    else:
        stops = sentence.startswith(("your code stops", "your code ran into"))
        result = ("error" if stops else "refused", sentence)
    _found[exercise.name] = result


def _passed(exercise: Exercise, answer: Any) -> tuple[str, str]:
    """What becomes of an answer that holds every fact, at the moment of its check."""
    name, shown = exercise.name, exercise.name in _shown
    if is_solution(exercise, answer):
        return "solution shown", "it is the solution itself, or calls it"
    steps = same_code(exercise, answer)
    if not steps:
        return "passed", "solution() was called before; the code is not ours" if shown else ""
    if shown:
        return "solution shown", "solution() was called before, and the code is the same"
    _alike[name] = steps
    little = ", which says little where an answer is so short" if steps <= SHORT else ""
    return "passed", f"the same code as ours{little}"


def _after(name: str, result: tuple[str, str]) -> tuple[str, str]:
    """The result of an exercise with what was called after its check.

    A solution that is called below the check, where the lesson's cell has it, may have been read before or after the
    answer was written: that proves nothing where there are not many ways to write it.
    """
    if name not in _alike or name not in _shown:
        return result
    if _alike[name] <= SHORT:
        return "passed", ("the same code as ours, which says little where an answer is so short; solution() is called "
                          "after the check")
    return "solution shown", "the same code as ours, and solution() is called after the check"


def _code(exercise: Exercise) -> str:  # which `solution` prints
    _shown.add(exercise.name)
    return _ours["code"](exercise)


def is_solution(exercise: Exercise, answer: Any) -> bool:
    """Whether an answer is the solution itself, or calls it."""
    while isinstance(answer, functools.partial) or hasattr(answer, "__wrapped__"):
        answer = answer.func if isinstance(answer, functools.partial) else answer.__wrapped__
    ours, theirs = exercise.answer.__code__, getattr(answer, "__code__", None)
    if answer is exercise.answer or theirs is ours:
        return True
    if theirs is None:
        return False
    held = [cell.cell_contents for cell in getattr(answer, "__closure__", None) or () if _filled(cell)]
    held += [answer.__globals__.get(name) for name in theirs.co_names]
    asks = "answer" in theirs.co_names and exercise.name in theirs.co_names
    return asks or any(thing is exercise.answer for thing in held)


def same_code(exercise: Exercise, answer: Any) -> int:
    """How many statements the answer has, if its code is that of the solution; 0 if it is not, or cannot be read.

    Comments, docstrings, types and the names of arguments and variables do not count.
    """
    try:
        theirs, ours = (_steps(inspect.getsource(one)) for one in (answer, exercise.answer))
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError):
        return 0
    return len(ours) if ours and theirs == ours else 0


class _Renamed(ast.NodeTransformer):
    """Arguments, and names that are assigned, become a0, a1, … in their order; types are left out."""

    def __init__(self, tree: ast.AST):
        own = [node.arg if isinstance(node, ast.arg) else node.id for node in ast.walk(tree)
               if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))]
        self.names = {name: f"a{i}" for i, name in enumerate(dict.fromkeys(own))}

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self.names[node.arg])

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)


def _steps(source: str) -> list[str]:
    """The statements of the first function in a source, in a form in which names and comments do not count."""
    tree = ast.parse(textwrap.dedent(source))
    function = next((node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))), None)
    if function is None:
        return []
    body = function.body if isinstance(function, ast.FunctionDef) else [ast.Return(function.body)]
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):  # a docstring
        body = body[1:]
    renamed = _Renamed(ast.Module([ast.Expr(ast.Lambda(function.args, ast.Constant(0))), *body], []))
    return [ast.dump(renamed.visit(step)) for step in body]


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
    found = {name: _after(name, result) for name, result in _found.items()}
    return json.dumps({"found": found, "touched": touched})


# The module that recorded, whatever a learner has done to sys.modules since.
sys.modules.setdefault("_recording", sys.modules[__name__])
