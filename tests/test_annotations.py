"""Every public parameter of helpers says what it takes, and every function that gives something says what.

Left out are the functions and classes that a lesson shows: they are compared with it, syntax tree by syntax tree, and a
lesson has no annotations. ``mypy`` (make test) reads whether what is said is true.
"""

import ast
import importlib
from pathlib import Path

import pytest

from helpers.experiments import settings

ROOT = Path(__file__).resolve().parent.parent
EXERCISES = ROOT / "helpers" / "exercises"
FILES = [file for file in sorted((ROOT / "helpers").rglob("*.py"))
         if file.parent != EXERCISES or file.name in ("__init__.py", "engine.py")]


def shown() -> set[tuple[str, str]]:
    """(module, name) of what lessons show, by the modules of exercises beside them; and what a sweep's file knows."""
    found = {(sweep.train_one.__module__, sweep.train_one.__name__) for sweep in (settings.KNOBS, settings.ADAPT)}
    for lesson in EXERCISES.glob("*.py"):
        taught = getattr(importlib.import_module(f"helpers.exercises.{lesson.stem}"), "TAUGHT", {})
        for module, names in taught.items():
            objects = [getattr(importlib.import_module(module), name) for name in names]
            found |= {(thing.__module__, thing.__name__) for thing in objects}
    return found


def missing(source: str, left_out: set[str] = frozenset()) -> list[str]:
    """What lacks an annotation in a module: "line: function(parameter)", or "line: function ->" for what it returns."""
    found = []

    def read(body, owner=None):
        for node in body:
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or (owner is None and node.name in left_out):
                continue
            if isinstance(node, ast.ClassDef):
                if not node.name.startswith("_"):
                    read(node.body, owner=node.name)
            elif not node.name.startswith("_") or node.name in ("__init__", "__call__"):
                name = node.name if owner is None else f"{owner}.{node.name}"
                found.extend(f"{node.lineno}: {name}({p})" for p in parameters(node, owner))
                if node.returns is None and gives(node):
                    found.append(f"{node.lineno}: {name} ->")

    read(ast.parse(source).body)
    return found


def parameters(node: ast.FunctionDef, owner: str | None) -> list[str]:
    """The names of a function's parameters that have no annotation, self and cls apart."""
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args]
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
    named = named if owner is None or static else named[1:]
    named += [*arguments.kwonlyargs, *(a for a in (arguments.vararg, arguments.kwarg) if a is not None)]
    return [argument.arg for argument in named if argument.annotation is None]


def gives(node: ast.AST) -> bool:
    """Whether a function returns or yields something, functions inside of it apart."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(child, (ast.Yield, ast.YieldFrom)) or (isinstance(child, ast.Return) and child.value is not None):
            return True
        if gives(child):
            return True
    return False


SHOWN = shown()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT / "helpers")))
def test_public_parameters_are_annotated(file):
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    assert missing(file.read_text(encoding="utf-8"), {name for where, name in SHOWN if where == module}) == []


def test_what_lessons_show_is_left_out_and_little_else():
    modules = {module for module, _ in SHOWN}
    assert ("helpers.models.layers", "mlp") in SHOWN and ("helpers.experiments.adapt", "train_one") in SHOWN
    assert not modules & {"helpers.models.vae", "helpers.training.loop", "helpers.runs.run"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(x): pass", ["1: f(x)"]),
        ("def f(x: int, *rest, y=1, **more) -> None: pass", ["1: f(y)", "1: f(rest)", "1: f(more)"]),
        ("def f(x: int): return x", ["1: f ->"]),
        ("def f():\n    if 1:\n        yield 2", ["1: f ->"]),
        ("class A:\n    def __init__(self, x): pass\n    def f(self, y): pass", ["2: A.__init__(x)", "3: A.f(y)"]),
        ("class A:\n    @staticmethod\n    def f(x): pass", ["3: A.f(x)"]),
        ("class A:\n    @classmethod\n    def f(cls, x: int) -> 'A': return cls()", []),
        ("def f(x: int):\n    def inner(y): return y\n    print(inner(x))", []),
        ("def _f(x): return x\nclass _A:\n    def f(self, x): pass", []),
    ],
)
def test_a_missing_annotation_is_found(source, found):
    assert missing(source) == found


def test_only_what_is_named_is_left_out():
    source = "def f(x): pass\nclass A:\n    def g(self, y): pass\n    def f(self, z): pass"
    assert missing(source, {"f"}) == ["3: A.g(y)", "4: A.f(z)"]
    assert missing(source, {"A"}) == ["1: f(x)"]
