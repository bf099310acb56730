"""What a lesson builds and what later lessons import are the same code, and give the same numbers.

For every function and class that a notebook builds and ``helpers`` keeps, the two syntax trees must be
equal, docstrings apart.
"""

import ast
import importlib
import inspect
import math
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from helpers import scratch
from helpers.models import VAE, images

NOTEBOOKS = {path.stem.split("_", 1)[1]: path for path in
             (Path(__file__).resolve().parent.parent / "notebooks").glob("[0-9][0-9]_*.ipynb")}
# lesson -> module -> names, as each module of exercises says beside its lesson
TAUGHT = {lesson: getattr(importlib.import_module(f"helpers.exercises.{lesson}"), "TAUGHT", {}) for lesson in NOTEBOOKS}
PAIRS = [(lesson, module, name) for lesson, kept in TAUGHT.items() for module, names in kept.items() for name in names]

# Written for the reader in the lesson and for speed in helpers; compared by their numbers below.
SAME_NUMBERS = {"Adam", "Linear", "Tanh", "Sequential", "mlp"}


def source(lesson):
    nb = nbformat.read(NOTEBOOKS[lesson], as_version=4)
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "code")


def definitions(code):
    return {n.name: n for n in ast.parse(code).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}


def bare(node):
    """The tree of a definition without its docstrings, as text."""
    for part in ast.walk(node):
        if isinstance(part, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(part) is not None:
            part.body = part.body[1:] or [ast.Pass()]
    return ast.dump(node)


@pytest.mark.parametrize(("lesson", "module", "name"), PAIRS)
def test_lesson_and_helpers_are_the_same_code(lesson, module, name):
    found = definitions(source(lesson))
    assert name in found
    if name not in SAME_NUMBERS:
        kept = inspect.getsource(getattr(importlib.import_module(module), name))
        ours = next(iter(definitions(kept).values()))
        assert bare(found[name]) == bare(ours), f"{name} differs between {lesson} and {module}"


def test_everything_in_scratch_is_taught():
    assert set(scratch.__all__) == {name for _, module, name in PAIRS if module == "helpers.scratch"}


def test_the_comparison_can_fail():
    one, other = (definitions(f"def f(x):\n    'doc'\n    return x {op} 1")["f"] for op in "+-")
    same = definitions("def f(x):\n    return x + 1")["f"]
    assert bare(one) == bare(same) != bare(other)


def test_lesson_and_helpers_give_the_same_numbers(monkeypatch):
    """Run the definitions of Part I as a reader would, train with both, and compare every bit."""
    monkeypatch.setenv("HELPERS_PROGRESS", "milestones")
    lesson = {"np": np, "math": math, "pairwise": pairwise} | {
        name: getattr(scratch.vae, name) for name in ("batches", "Progress", "logsumexp")
    } | {name: getattr(scratch, name) for name in SAME_NUMBERS}
    for notebook in ("losses_and_gradients", "training", "vae_in_numpy"):
        for name, node in definitions(source(notebook)).items():
            if name in {n for lesson, _, n in PAIRS if lesson == notebook} - SAME_NUMBERS:
                exec(compile(ast.Module([node], []), notebook, "exec"), lesson)
    results = []
    for code in (lesson, vars(scratch)):
        rng = np.random.default_rng(5)
        x = (rng.random((60, 9)) < 0.4).astype(float)
        model = code["VAE"](9, (7,), 3, rng)
        history = code["fit"](model, x[:40], x[40:], rng, epochs=4, batch_size=16)
        results.append((history, model.theta, code["iwae"](model, x, 5, rng), code["sample"](model, 3, rng)))
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a, b)


def test_the_lessons_adam_takes_the_same_steps():
    lesson = {"np": np}
    exec(compile(ast.Module([definitions(source("training"))["Adam"]], []), "training", "exec"), lesson)
    rng = np.random.default_rng(6)
    theta = rng.standard_normal(50)
    twin = theta.copy()
    ours, theirs = scratch.Adam(theta, lr=0.02), lesson["Adam"](twin, lr=0.02)
    for _ in range(150):
        grad = theta + 0.3 * rng.standard_normal(50)
        ours.step(theta, grad)
        theirs.step(twin, grad)
        assert np.abs(theta - twin).max() < 1e-12


def test_the_lessons_layers_give_the_same_gradients():
    lesson, plain = {"np": np, "pairwise": pairwise}, ("Linear", "Tanh", "Sequential", "mlp")
    for name, node in definitions(source("losses_and_gradients")).items():
        if name in plain:
            exec(compile(ast.Module([node], []), name, "exec"), lesson)
    results = []
    for mlp in (scratch.mlp, lesson["mlp"]):
        rng = np.random.default_rng(7)
        net = mlp([5, 4, 6, 3], rng)
        y = net.forward(rng.standard_normal((8, 5)))
        dx = net.backward(rng.standard_normal((8, 3)))
        linear = [layer for layer in net.layers if hasattr(layer, "W")]
        results.append([y, dx, *(array for one in linear for array in (one.W, one.b, one.dW, one.db))])
    assert len(results[0]) == len(results[1]) == 14
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-12


def test_the_lessons_small_vae_is_the_vae_of_helpers():
    lesson = {"torch": torch, "nn": torch.nn, "Normal": Normal, "kl_divergence": kl_divergence}
    exec(compile(ast.Module([definitions(source("vae_in_pytorch"))["SmallVAE"]], []), "04", "exec"), lesson)
    torch.manual_seed(0)
    encoder, decoder = images.MLPEncoder(6, (5,), 2).double(), images.MLPDecoder(2, (5,), 6).double()
    x = (torch.rand(7, 6, dtype=torch.float64) < 0.5).double()
    eps = torch.randn(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    ours = lesson["SmallVAE"](encoder, decoder).elbo(x, eps)
    theirs = VAE(encoder, decoder, code=2).double().elbo(x, generator=torch.Generator().manual_seed(3))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-12)
