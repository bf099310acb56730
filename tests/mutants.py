"""Mutants: wrong versions of a solution, made by machine, that its check must refuse; and styles of it that must pass.

A mutant counts only if it differs from the solution: on the arguments with which the facts call an answer, or on
others of the same kinds, so that a check with narrow inputs cannot hide behind them. One that only ever raises an
error is refused by any check, and does not count.

    python tests/mutants.py [exercise ...]  # the table: counted and refused, and the survivors
"""

import ast
import copy
import importlib
import inspect
import sys
import textwrap
import warnings
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import torch

from helpers import lessons
from helpers.exercises.engine import Exercise
from wrappers import STYLES, wrapped

APART = 1e-3  # results closer than this, in shares of their size, are the same
STOPS = Exception  # in the place of a result
INPUTS = 12  # calls on which a mutant is compared with the solution, and as many perturbed


def exercises() -> dict[tuple[str, str], Exercise]:
    """(lesson, name) -> every exercise."""
    return {
        (lesson, name): value
        for lesson in lessons.LESSONS
        for name, value in vars(importlib.import_module(f"helpers.exercises.{lesson}")).items()
        if isinstance(value, Exercise)
    }


# ---- changes of the source ----

SWAPS = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,), ast.FloorDiv: (ast.Div,),
    ast.Pow: (ast.Mult,), ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
NAMES = {
    "sum": ("mean",), "mean": ("sum",), "max": ("min",), "min": ("max",), "argmax": ("argmin",), "argmin": ("argmax",),
    "std": ("var",), "var": ("std",), "maximum": ("minimum",), "minimum": ("maximum",), "log": ("log2", "log10"),
    "log2": ("log",), "log10": ("log",), "exp": ("exp2",), "ones": ("zeros",), "zeros": ("ones",), "round": ("floor",),
    "any": ("all",), "all": ("any",), "sin": ("cos",), "cos": ("sin",), "ones_like": ("zeros_like",),
    "softplus": ("relu",), "standard_normal": ("random",),
}  # fmt: skip


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of one node."""
    if isinstance(node, (ast.BinOp, ast.BoolOp)):
        for new in SWAPS.get(type(node.op), ()):
            yield _with(node, op=new())
        yield from (node.left, node.right) if isinstance(node, ast.BinOp) else node.values
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.MatMult, ast.Sub, ast.Div)):
            yield _with(node, left=node.right, right=node.left)
    elif isinstance(node, ast.Compare):
        for new in SWAPS.get(type(node.ops[0]), ()):
            yield _with(node, ops=[new(), *node.ops[1:]])
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        for value in (node.value + 1, node.value - 1, 2 * node.value, 0, 1, node.value / 2):
            if value != node.value and (type(value) is type(node.value) or value == int(value)):
                yield ast.Constant(type(node.value)(value))
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Call):
        yield from (_without(node, node.keywords, i, "keywords") for i in range(len(node.keywords)))
        yield from (arg for arg in node.args if not isinstance(arg, (ast.Starred, ast.GeneratorExp)))
        if isinstance(node.func, ast.Attribute):
            yield node.func.value  # a method left out
            for new in NAMES.get(node.func.attr, ()):
                yield _with(node, func=_with(node.func, attr=new))
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield node.value
    elif isinstance(node, ast.Slice):
        yield ast.Slice()
        yield ast.Slice(node.upper, node.lower)
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) == 2:
        yield from (_with(node, elts=[node.elts[i], node.elts[j]]) for i, j in ((1, 0), (0, 0), (1, 1)))


def _with(node, **changes):
    new = copy.copy(node)
    for name, value in changes.items():
        setattr(new, name, value)
    return new


def _without(node, items, i, field):
    return _with(node, **{field: items[:i] + items[i + 1 :]})


def statements(block: list) -> Iterator[list]:
    """A block with one of its statements left out, or one branch taken always."""
    for i, node in enumerate(block):
        if not isinstance(node, (ast.Return, ast.FunctionDef)) and len(block) > 1:
            yield block[:i] + block[i + 1 :]
        if isinstance(node, ast.If):
            yield block[:i] + node.body + block[i + 1 :]
            yield block[:i] + node.orelse + block[i + 1 :]
        elif isinstance(node, ast.AugAssign):
            yield [*block[:i], ast.Assign([_with(node.target, ctx=ast.Store())], node.value), *block[i + 1 :]]


def definition(exercise: Exercise) -> ast.FunctionDef:
    """The solution's syntax tree, without what decorates it."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(exercise.answer))).body
    tree.decorator_list, tree.returns = [], None
    if ast.get_docstring(tree) is not None:
        tree.body = tree.body[1:]
    for arg in ast.walk(tree.args):
        if isinstance(arg, ast.arg):
            arg.annotation = None
    return tree


def rewritten(exercise: Exercise) -> Iterator[tuple[str, Callable]]:
    """(what was changed, the function) for every change of the source."""
    tree = definition(exercise)
    before = ast.unparse(tree)
    seen = {before}
    sites = [(parent, field, i) for parent in ast.walk(tree) for field, value in ast.iter_fields(parent)
             if field not in ("args", "targets", "func", "op", "ops") or isinstance(parent, ast.Call)
             for i in (range(len(value)) if isinstance(value, list) else (None,))]  # fmt: skip
    for parent, field, i in sites:
        old = getattr(parent, field)
        node = old if i is None else old[i]
        changes = [new if i is None else [*old[:i], new, *old[i + 1 :]] for new in replacements(node)]
        if i == 0 and field in ("body", "orelse"):
            changes += statements(old)
        for new in changes:
            setattr(parent, field, new)
            try:
                code = ast.unparse(tree)
                if code not in seen:
                    seen.add(code)
                    yield _difference(before, code), compiled(exercise, code)
            except (SyntaxError, ValueError, AttributeError):
                pass
            setattr(parent, field, old)


def compiled(exercise: Exercise, code: str) -> Callable:
    space = dict(exercise.answer.__globals__)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code, "<mutant>", "exec"), space)
    return space[exercise.answer.__name__]


def _difference(before, after):
    pairs = zip(before.splitlines(), after.splitlines())
    return next((new.strip() for old, new in pairs if old != new), "a statement left out")


# ---- on what a mutant must differ ----


def calls(exercise: Exercise) -> list[tuple]:
    """The arguments with which the facts call an answer, (args, kwargs)."""
    found = []

    def spy(*args, **kwargs):
        found.append(copied((args, kwargs)))
        return exercise.answer(*args, **kwargs)

    assert exercise.verdict(spy).startswith("✓"), exercise.verdict(spy)
    small = [c for c in found if all(_size(a) < 20_000 for a in c[0])] or found[:2]
    chosen = np.unique(np.linspace(0, len(small) - 1, INPUTS).astype(int))
    return [small[i] for i in chosen]


def _size(value):
    return value if isinstance(value, int) else np.size(value) if isinstance(value, np.ndarray) else 1


def perturbed(value, rng: np.random.Generator):
    """Another value of the same kind: signs, zeros, whole numbers, ranges from 0 to 1 and sums of 1 are kept."""
    if isinstance(value, np.random.Generator):
        return np.random.default_rng(rng.integers(2**32))
    if isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter):
        new = torch.from_numpy(np.asarray(perturbed(value.detach().numpy(), rng)))
        return new.requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray) and value.size and value.dtype.kind == "f":
        values = value
        if not (value.ndim > 1 and len({row.tobytes() for row in value}) < len(value)):
            values = rng.permuted(value, axis=0)
        noise = np.exp(0.4 * rng.standard_normal(value.shape))
        if (value >= 0).all() and (value <= 1).all():
            new = values**noise
            one = (np.abs(values.sum(axis=-1, keepdims=True) - 1) < 1e-9) & (values < 1).all(axis=-1, keepdims=True)
            return np.where(one, new / np.where(one, new.sum(axis=-1, keepdims=True), 1), new)
        return values * noise
    if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "iub":
        return rng.permuted(rng.permuted(value, axis=-1), axis=0)
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        return value * np.exp(0.4 * rng.standard_normal(value.shape) + 1j * rng.standard_normal(value.shape))
    if isinstance(value, float):
        noise = np.exp(0.4 * rng.standard_normal())
        return float(value**noise if 0 < value < 1 else value * noise)
    if isinstance(value, list) and value and all(type(v) is int for v in value):
        return [max(1, v + int(rng.integers(-v // 3, v // 3 + 1))) for v in value]
    return value


def others(exercise: Exercise, known: list[tuple]) -> list[tuple]:
    """Calls of the same kinds as the known ones, with other values, on which the solution is finite."""
    rng = np.random.default_rng(zlib.crc32(exercise.name.encode()))
    found = []
    for args, kwargs in known:
        try:
            new = tuple(perturbed(a, rng) for a in copied(args)), kwargs
            result = outcome(exercise.answer, new)
        except Exception:
            continue
        if not stops(result) and all(np.isfinite(r).all() for r in result if isinstance(r, np.ndarray)):
            found.append(new)
    return found


def copied(call: tuple) -> tuple:
    """A deep copy that holds together: an optimiser goes on with the copied model, a generator where it stood."""
    memo = {}
    for arg in call[0] if call and isinstance(call[0], tuple) else call:
        if isinstance(arg, torch.Generator):
            memo[id(arg)] = torch.Generator().set_state(arg.get_state())
    return copy.deepcopy(call, memo)


def flat(value) -> list:
    """A result, or what a call may have changed, as a list of arrays and of other things."""
    if isinstance(value, torch.nn.Module):
        return [leaf for part in value.parameters() for leaf in flat(part)]
    if isinstance(value, (tuple, list)) and not all(isinstance(v, (str, int, float, bool, np.number)) for v in value):
        return [len(value), *(leaf for part in value for leaf in flat(part))]
    if isinstance(value, torch.Tensor):
        return [value.detach().numpy(), value.requires_grad]
    if isinstance(value, (np.ndarray, list, tuple, bool, int, float, complex, np.number, np.bool_)):
        array = np.asarray(value)
        return [array, type(value) is int] if array.dtype.kind in "iubfc" else sorted(map(str, array.ravel()))
    return [str(value)] if isinstance(value, str) or value is None else []


def outcome(function: Callable, call: tuple) -> list:
    """What a call gives and changes; [STOPS, the name of the error] if it stops."""
    args, kwargs = copied(call)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = function(*args, **kwargs)
            return [*flat(result), *(leaf for a in args if isinstance(a, torch.nn.Module) for leaf in flat(a))]
    except Exception as error:
        return [STOPS, type(error).__name__]


def stops(result: list) -> bool:
    return bool(result) and result[0] is STOPS


def same(a: list, b: list) -> bool:
    if len(a) != len(b):
        return False
    for x, y in zip(a, b):
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            if x.shape != y.shape or not np.allclose(x, y, rtol=APART, atol=APART, equal_nan=True):
                return False
        elif type(x) is not type(y) or not np.array_equal(x, y):
            return False
    return True


def differs(mutant: Callable, inputs: list[tuple], truths: list[list]) -> bool:
    """Whether a mutant differs from the solution anywhere, and does more than to stop."""
    found = [outcome(mutant, call) for call in inputs]
    works = any(not stops(f) for f, t in zip(found, truths) if not stops(t))
    return works and not all(map(same, found, truths))


def judged(exercise: Exercise) -> tuple[int, list[str]]:
    """How many mutants count, and what was changed in those that pass the check."""
    known = calls(exercise)
    inputs = known + others(exercise, known)
    truths = [outcome(exercise.answer, call) for call in inputs]
    counted, survivors = 0, []
    for what, mutant in (*rewritten(exercise), *wrapped(exercise.answer, copied(known[0]))):
        if differs(mutant, inputs, truths):
            counted += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if exercise.verdict(mutant).startswith("✓"):
                    survivors.append(what)
    return counted, survivors


def refused_styles(exercise: Exercise) -> list[str]:
    """Right answers in another style that the check refuses: the style, and what the check says.

    A style is right if it gives what the solution gives, to five digits, on all that the facts ask and on the rest.
    """
    known = calls(exercise)
    inputs = known + others(exercise, known)
    refused = []
    for what, style in STYLES.items():
        divides = any(isinstance(node, ast.Div) for node in ast.walk(definition(exercise)))
        if what == "a tiny number in a denominator" and not divides:
            continue
        answer = style(exercise.answer)
        if all(_right(outcome(answer, call), outcome(exercise.answer, call)) for call in inputs):
            verdict = exercise.verdict(answer)
            if not verdict.startswith("✓"):
                refused.append(f"{what}: {verdict}")
    return refused


def _right(found: list, truth: list) -> bool:
    """The same numbers and words, in whatever holds them."""
    if stops(found) or stops(truth):
        return stops(found) and stops(truth)
    (a, words), (b, true_words) = map(_leaves, (found, truth))
    return words == true_words and len(a) == len(b) and np.allclose(a, b, 1e-6, 1e-6)


def _leaves(result):
    arrays = [np.ravel(leaf) for leaf in result if isinstance(leaf, np.ndarray)]
    return np.concatenate(arrays or [[]]), [leaf for leaf in result if isinstance(leaf, str)]


def main() -> None:
    total, refused = 0, 0
    for (lesson, name), exercise in exercises().items():
        if len(sys.argv) > 1 and name not in sys.argv[1:] and lesson not in sys.argv[1:]:
            continue
        counted, survivors = judged(exercise)
        total, refused = total + counted, refused + counted - len(survivors)
        print(f"{lesson:24} {name:24} {counted - len(survivors):4} of {counted:4}  {1 - len(survivors) / counted:6.1%}")
        for what in survivors:
            print(f"      passes: {what}")
        for what in refused_styles(exercise):
            print(f"      right, but refused: {what}")
    print(f"{'all':49} {refused:4} of {total:4}  {refused / total:6.1%}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
