"""How a text is meant: a list, one item a line, or running text, whose lines belong together."""

import csv
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from helpers.data.files import FEWEST

LONG = 300  # characters: a post has 280, a paragraph that was written as one line has more
MOST_LOOKED_AT = 20_000  # lines: a choice need not read all
ENDED = re.compile(r"""[.!?…。！？][)\]"'’”»」』]*$""")
GOES_ON = re.compile(r"""[,;:，；：、—-]["'’”»]*$""")


def running(lines: Sequence[str]) -> str | None:
    """Why these lines, blank ones included, are running text, in words; None if they are a list.

    Lines are a list unless there is a sign of running text: fewer than 10 lines, many long ones, lines broken at a
    margin, sentences that go on in the next line, stanzas, or indentation.
    """
    if sum(1 for line in lines if line.strip()) < FEWEST:
        return f"it has fewer than {FEWEST} lines"
    lines = [line.rstrip() for line in lines[:MOST_LOOKED_AT]]
    full = [line for line in lines if line]
    size = np.array([len(line) for line in full])
    if (size > LONG).mean() > 0.1 or (size[size > LONG].sum() > 0.5 * size.sum() and (size > LONG).sum() >= FEWEST):
        return f"{(size > LONG).mean():.0%} of its lines have more than {LONG} characters"
    if table(full):
        return None
    indented = np.mean([line[0] in " \t" and line[:2] != " " + line[1:2].strip() for line in full])
    if 0.15 < indented < 0.9:
        return f"{indented:.0%} of its lines are indented"
    pairs = [(a.strip(), b.strip()) for a, b in pairwise(lines) if a and b]
    words = np.mean([_words(line) for line in full])
    if words < 3 or len(pairs) < FEWEST:
        return None
    margin = np.quantile(size, 0.99)
    broken = np.mean([len(a) + 1 + _first(b) > margin and len(a) > 0.6 * margin for a, b in pairs])
    if words >= 4 and margin >= 30 and broken > 0.6:
        return f"its lines are broken at a margin of {margin:.0f} characters"
    ended = [bool(ENDED.search(a)) for a, _ in pairs]
    small = [b[0].islower() for _, b in pairs]
    after = [np.mean([s for s, e in zip(small, ended) if e == which] or [False]) for which in (False, True)]
    commas = np.mean([bool(GOES_ON.search(a)) for a, _ in pairs])
    if (after[0] - after[1] > 0.3 and np.mean(ended) > 0.02) or (commas > 0.15 and np.mean(ended) > 0.05):
        return "its sentences go on from line to line"
    groups = [len(group.split("\n")) for group in re.split(r"\n{2,}", "\n".join(lines).strip("\n"))]
    if len(groups) >= 3 and np.median(groups) >= 2 and len(groups) > 0.02 * len(full):
        return "its lines stand in groups, parted by blank lines"
    return None


def _words(line):
    """Words of a line; where a language has no spaces, two characters count as one."""
    return max(len(line.split()), sum(c > "⺀" for c in line) / 2)


def _first(line):
    """Characters of the first word."""
    return 1 if line[0] > "⺀" else len(line.split(None, 1)[0])


def table(lines: Sequence[str]) -> tuple[list[str], bool] | None:
    """The first row of a table, and whether it is a header, where nearly all lines have equally many cells.

    Cells are parted by tabs, semicolons or bars, two of them at least, or by commas, three of them, as sentences have
    commas, too.
    """
    some = [line for line in lines[:1000] if line.strip()]
    for mark, least in (("\t", 2), (";", 2), ("|", 2), (",", 3)):
        if sum(mark in line for line in some) < 0.95 * len(some):
            continue
        rows = list(csv.reader(some, delimiter=mark))
        width = int(np.median([len(row) for row in rows])) if rows else 0
        if width >= least and np.mean([len(row) == width for row in rows]) > 0.95 and len(rows[0]) == width:
            first, rest = [cell.strip() for cell in rows[0]], [row for row in rows[1:] if len(row) == width]
            numbers = [np.mean([_number(row[k]) for row in rest]) > 0.8 for k in range(width)]
            header = all(first) and len(set(first)) == width and not any(map(_number, first)) and any(numbers)
            return first, header
    return None


def _number(cell):
    return bool(re.fullmatch(r"[-+]?[\d.,:/\s-]*\d[\d.,:/\s%-]*", cell.strip()))
