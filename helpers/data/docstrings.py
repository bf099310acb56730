"""Sentences of documentation: the first of every docstring in packages that are installed with this one.

"compute the median along the specified axis": short lines that many people wrote, ten times and a hundred times the
text of the names of colours, with nothing to download. Other versions of the packages give other sentences: with those
of constraints.txt, the same on every computer.
"""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from helpers.data.dataset import DataError, Dataset
from helpers.data.splits import groups_of
from helpers.data.text import make

PACKAGES = ("numpy", "scipy", "matplotlib", "torch", "sklearn", "sympy", "networkx", "PIL", "IPython", "fontTools",
            "librosa", "numba", "jedi", "traitlets", "jupyter_server", "jupyterlab", "nbconvert", "joblib", "tornado",
            "opacus", "cryptography")
SHORTEST, LONGEST = 12, 64  # characters
DOCSTRING = re.compile(r':[ \t]*\n\s*[rR]?"""(.+?)"""', re.DOTALL)  # what follows the line of a def or a class
PLAIN = re.compile(r"[a-z][a-z ,'()0-9-]*[a-z)]")  # no code, no links, no formulas
ALIKE = 20  # equal letters at the beginning, or at the end, that make two sentences near alike


def sentences(packages: Sequence[str] = PACKAGES) -> list[str]:
    """The first sentence of every docstring, in small letters and without its full stop; each once, sorted.

    What has formulas, code or other alphabets in it is left out, and what is shorter than 12 or longer than 64
    characters. Files are read as text, and nothing of the packages is run. Tests of the packages are left out.
    """
    found: set[str] = set()
    for package in packages:
        for file in sorted(_folder(package).rglob("*.py")):
            if not {"test", "tests", "testing"} & set(file.parts):
                found.update(map(first, DOCSTRING.findall(file.read_text(encoding="utf-8", errors="replace"))))
    return sorted(line for line in found
                  if SHORTEST <= len(line) <= LONGEST and " " in line and PLAIN.fullmatch(line))


def first(docstring: str) -> str:
    """The first sentence of a docstring, on one line, in small letters, without its full stop."""
    paragraph = " ".join(re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0].split())
    return re.split(r"(?<=[.!?])\s", paragraph, maxsplit=1)[0].lower().rstrip(".")


def alike(lines: Sequence[str]) -> np.ndarray:
    """The group (N,) of each sentence: those that begin, or end, with the same 20 letters belong together."""
    letters = [re.sub("[^a-z]", "", line) for line in lines]
    known: dict[tuple, int] = {}
    pairs = [(i, known.setdefault((at, part), i)) for i, text in enumerate(letters)
             for at, part in enumerate((text[:ALIKE], text[-ALIKE:]))]
    return groups_of(np.array(pairs), len(lines))


def load(packages: Sequence[str] = PACKAGES, seed: int = 0) -> Dataset:
    """The sentences as rows of symbols: about a twentieth each for validation and test, whole groups of near-alike.

    Raises DataError, in one sentence, where a package is not installed.
    """
    lines = sentences(packages)
    group = dict(zip(lines, map(str, alike(lines))))
    return make("sentences of documentation", lines, alike=group.__getitem__, valid=1 / 20, test=1 / 20, seed=seed,
                source="first sentences of docstrings of installed packages: " + ", ".join(packages))


def part(data: Dataset, characters: int, seed: int = 0) -> np.ndarray:
    """Training rows (n, T) that have about so many symbols together, ends included; a larger part holds the smaller."""
    x = data.train.x[np.random.default_rng(seed).permutation(len(data.train.x))]
    total = np.cumsum((x != 0).sum(axis=1))
    if characters > total[-1]:
        raise DataError(f"{data.name}: the train split has {total[-1]:,} symbols, and {characters:,} are asked for.")
    return x[: int(np.searchsorted(total, characters)) + 1]


def _folder(package):
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"the package {package} is not installed, and its sentences are asked for; run `make venv`.")
    return Path(next(iter(spec.submodule_search_locations)))
