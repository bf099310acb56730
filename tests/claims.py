"""Which numbers in the prose of a notebook stand nowhere in what it printed.

A number is backed when an output near it holds it, rounded as written (as a fraction or as a percentage, where the
sentence speaks of per cent), or when the notebook's code sets it: a literal, such as lr=0.01, though not a decimal
that only places something in a figure. "Near" is from twelve cells above to three below; in the first and last cells,
which speak of the whole lesson, any output will do. Whole numbers may stand anywhere, and are looked for in words,
too, from eleven on. What a sentence takes from elsewhere carries its source, "(Carlini et al., 2019)".
Not looked at: code and formulas, links, headings, the minutes that a lesson takes, and "In the literature".
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from nbformat import NotebookNode

NUMBER = re.compile(r"(?<![\w.,^_/-])[−-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?(?![\w^]|[.,]\d)")
TEENS = "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True))
UNITS = {word: i for i, word in enumerate("one two three four five six seven eight nine".split(), 1)}
WORDS = {word: i for i, word in enumerate(TEENS, 11)} | TENS
WORDS |= {f"{ten}-{unit}": a + b for ten, a in TENS.items() for unit, b in UNITS.items()}
WORDS |= {f"{one} hundred": 100 for one in ("a", "one")} | {f"{one} thousand": 1000 for one in ("a", "one")}
WORDS |= {"a dozen": 12, "half a dozen": 6}
WORD = re.compile(rf"\b(?:{'|'.join(sorted(WORDS, key=len, reverse=True))})\b(?!-)", re.I)
SOURCE = re.compile(r"\b(?:1[89]|20)\d\d[a-z]?\)|\b[A-Z]\w+(?: et al\.| and \w+)?,? \(?(?:1[89]|20)\d\d\b")
SKIPPED = [
    re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.M | re.S),  # code
    re.compile(r"`[^`\n]+`"),
    re.compile(r"\$\$.*?\$\$", re.S),  # formulas
    re.compile(r"\$[^$\n]*[A-Za-z\\^=][^$\n]*\$"),
    re.compile(r"\[[^\]]*\]\([^)\s]*\.ipynb[^)]*\)|\]\([^)\s]*\)"),  # links
    re.compile(r"^#+ .*$", re.M),
    re.compile(r"<[^>]+>"),
    re.compile(r"^\d+\. ", re.M),  # numbers of a list
    re.compile(r"\b[Aa] to 9\b|\b0[–-]9\b"),  # names of characters
    re.compile(r"\*\*It takes\*\*.*?minutes"),
    re.compile(r"cells run in.*?(?=[.;(])"),
]
LITERATURE = re.compile(r"^## In the literature$.*?(?=^## |\Z)", re.M | re.S)
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z*(])|\n\n+|\n(?=[-|*\d])")
PER_CENT = re.compile(r"%|per ?cent|percentage", re.I)
DRAWING = {"ax", "axes", "fig", "figure", "plt", "plotting"}
ABOVE, BELOW = 12, 3  # cells


class Claim(NamedTuple):
    """A number in prose: its cell, its sentence, as written, its value, and half a unit of its last digit."""

    cell: int
    sentence: str
    written: str
    value: float
    half: float


def plain(text: str) -> str:
    """Prose without what is not looked at."""
    text = LITERATURE.sub("", text)
    for pattern in SKIPPED:
        text = pattern.sub(" ", text)
    return text


def numbers(text: str, words: bool = False) -> Iterator[tuple[str, float, float]]:
    """The numbers of a text: as written, their value, and half a unit of their last digit."""
    for found in NUMBER.finditer(text):
        digits = found[0].replace(",", "").replace("−", "-")
        mantissa, _, exponent = digits.partition("e")
        yield found[0], float(digits), 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    if words:
        for found in WORD.finditer(text):
            yield found[0], float(WORDS[found[0].lower()]), 0.5


def claims(nb: NotebookNode) -> Iterator[Claim]:
    """Every number that the prose or the description of a figure states."""
    for i, cell in enumerate(nb.cells):
        if cell.cell_type == "markdown":
            texts = [plain(cell.source)]
        else:
            texts = [o.data.get("text/plain", "") for o in cell.outputs if "image/png" in o.get("data", {})]
        for text in texts:
            for sentence in SENTENCE.split(text):
                if not SOURCE.search(sentence):
                    yield from (Claim(i, sentence.strip(), *number) for number in numbers(sentence, words=True))


def printed(nb: NotebookNode) -> list[tuple[int, float]]:
    """Every number that an output holds, with its cell; descriptions of figures apart, which are prose."""
    values = []
    for i, cell in enumerate(nb.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts = [output.get("text", "")] + [data.get(mime, "") for mime in ("text/markdown", "text/html")]
            if not any(mime.startswith("image/") for mime in data):
                texts.append(data.get("text/plain", ""))
            for text in texts:
                text = re.sub(r"[|()\[\]{}=:/×-]|\be(?=-?\d)", lambda m: m[0] if m[0] == "-" else " ", text)
                values += [(i, value) for _, value, _ in numbers(text)]
    return values


def settings(nb: NotebookNode) -> list[float]:
    """Every number that the code sets, decimals in drawings apart."""
    values = []

    def visit(node: ast.AST, drawing: bool) -> None:
        root = node.func if isinstance(node, ast.Call) else None
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        drawing = drawing or (isinstance(root, ast.Name) and root.id in DRAWING)
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and math.isfinite(node.value):
            if not drawing or float(node.value).is_integer():
                values.append(float(node.value))
        for child in ast.iter_child_nodes(node):
            visit(child, drawing)

    for cell in nb.cells:
        if cell.cell_type == "code":
            visit(ast.parse(cell.source), False)
    return values


def unbacked(nb: NotebookNode) -> list[str]:
    """One sentence for each number in the prose that is backed by nothing."""
    found, set_here = printed(nb), settings(nb)

    def is_backed(claim: Claim) -> bool:
        cell = nb.cells[claim.cell]
        whole = claim.cell < 3 or claim.cell >= len(nb.cells) - 1 or "## Summary" in cell.source
        anywhere = whole or claim.half == 0.5
        values = [v for i, v in found if anywhere or claim.cell - ABOVE <= i <= claim.cell + BELOW] + set_here
        scales = (1, 100) if PER_CENT.search(claim.sentence) else (1,)
        slack = claim.half * (1 + 1e-9)
        return any(abs(abs(v) * scale - abs(claim.value)) <= slack for scale in scales for v in values)

    return [
        f"cell {claim.cell}: {claim.written} in {claim.sentence[:150]!r} stands in no output"
        for claim in claims(nb)
        if not is_backed(claim)
    ]
