"""The house of helpers: who imports whom, how long a file is, and that one room alone knows the kinds of data.

Each file is read as a syntax tree, so that imports inside of functions and for annotations alone count, too.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
         for file in sorted((ROOT / "helpers").rglob("*.py")) if file != ROOT / "helpers" / "__init__.py"}
TREES = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in FILES.items()}

# From the ground up. A room imports from the floors below and from itself: neither from above, nor from next door.
# helpers/__init__ (setup, device) is the front door, and counts for nothing.
FLOORS = [
    ["disk", "errors", "lessons", "progress"],
    ["sound", "plotting", "checkpoints"],
    ["data"],
    ["synthesis"],
    ["scratch"],
    ["models", "evaluation", "training"],
    ["senses"],
    ["build", "export", "priors", "uses"],
    ["runs", "experiments", "widgets"],
    ["pages"],
    ["exercises"],
    ["workshop"],
    ["__main__"],
]
KINDS = {"image", "sound", "text"}


def imports(tree: ast.Module, known: set[str]) -> set[str]:
    """Which of the known modules a module imports, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are by full name"
            parts = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {module if module in known else node.module for module in parts.values()}
    return found & known


def room(module: str) -> tuple[int, str]:
    """The floor of a module, counted from the ground, and its room."""
    name = module.removeprefix("helpers.")
    rooms = [(floor, room) for floor, rooms in enumerate(FLOORS) for room in rooms
             if name == room or name.startswith(f"{room}.")]
    assert rooms, f"{module} is on no floor; give it one in FLOORS"
    return max(rooms, key=lambda found: len(found[1]))


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first that is found; or none."""
    done, path = set(), []

    def visit(module):
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        path.append(module)
        for other in sorted(graph[module]):
            if found := visit(other):
                return found
        done.add(path.pop())
        return []

    return next((found for module in graph if (found := visit(module))), [])


def not_down(graph: dict[str, set[str]]) -> list[str]:
    """Imports that lead up, or to another room on the same floor."""
    found = []
    for module, others in graph.items():
        for other in sorted(others):
            (here, mine), (there, theirs) = room(module), room(other)
            if mine != theirs and there >= here:
                found.append(f"{module} -> {other}")
    return found


def asks_for_kind(tree: ast.Module) -> list[int]:
    """The lines that compare something with a kind of data, or look one up in a dict of all three."""
    words = lambda nodes: {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            sides += [element for side in sides if isinstance(side, (ast.Tuple, ast.List, ast.Set))
                      for element in side.elts]
            if KINDS & words(sides):
                lines.append(node.lineno)
        elif isinstance(node, ast.MatchValue) and KINDS & words([node.value]):
            lines.append(node.value.lineno)
        elif isinstance(node, ast.Dict) and words(node.keys) >= KINDS:
            lines.append(node.lineno)
    return lines


GRAPH = {module: imports(tree, set(FILES)) for module, tree in TREES.items()}


def test_nothing_imports_in_a_circle():
    assert circle(GRAPH) == []


def test_imports_lead_down():
    assert not_down(GRAPH) == []


def test_every_floor_is_inhabited():
    assert {room(module)[1] for module in FILES} == {name for rooms in FLOORS for name in rooms}


@pytest.mark.parametrize("module", FILES)
def test_files_are_short(module):
    assert len(FILES[module].read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("module", [module for module in FILES if room(module)[1] != "senses"])
def test_the_senses_alone_know_the_kinds(module):
    assert asks_for_kind(TREES[module]) == []


# --- that all of this can fail ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "import helpers.disk",
        "from helpers import disk",
        "from helpers.disk import write_new",
        "def f():\n    from helpers import disk",
        "if TYPE_CHECKING:\n    from helpers.disk import Place",
    ],
)
def test_an_import_is_found(source):
    assert imports(ast.parse(source), {"helpers.disk", "helpers.data"}) == {"helpers.disk"}


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    ("module", "other", "down"),
    [
        ("helpers.data.text", "helpers.data.dataset", True),
        ("helpers.data.text", "helpers.data.files", True),
        ("helpers.runs.run", "helpers.disk", True),
        ("helpers.disk", "helpers.data.dataset", False),
        ("helpers.models.vae", "helpers.training.loop", False),
        ("helpers.sound", "helpers.data.text", False),
        ("helpers.senses.text", "helpers.runs.run", False),
    ],
)
def test_an_import_that_leads_up_or_next_door_is_found(module, other, down):
    assert not_down({module: {other}}) == ([] if down else [f"{module} -> {other}"])


@pytest.mark.parametrize(
    "source",
    [
        'data.kind == "text"',
        'kind != "sound"',
        'kind in ("image", "sound")',
        '"image" == data.kind',
        '{"image": 1.0, "sound": 1.3, "text": 0.3}[kind]',
        'match kind:\n    case "text":\n        pass',
    ],
)
def test_a_question_for_the_kind_is_found(source):
    assert asks_for_kind(ast.parse(source))


@pytest.mark.parametrize("source", ['kind == "mlp"', 'sense(data.kind)', '{"kind": "image"}', 'data.kind or "image"'])
def test_other_questions_are_fine(source):
    assert asks_for_kind(ast.parse(source)) == []
