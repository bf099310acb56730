"""Schedules for a room, with minutes by the rule that the notebooks keep: workshop/schedules.md.

    python tools/workshop.py

The rule: words / 120 + lines of code / 10 + 7 for each exercise, here for the sections that are read. After a change
of a notebook the times change with it.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from helpers.disk import write_text
from helpers.lessons import LESSONS, PATH

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "workshop" / "schedules.md"
ALONE = ("In the literature", "Exercises")  # read at home; and the exercises are counted one by one
HEADING = re.compile(r"^## (.*)$")
EXERCISE = re.compile(r"^(?:### Exercise |\*\*)(\d+)(?:: | · )")
Part = str | int  # the heading of a section, or the number of an exercise


def parts(name: str) -> dict[Part, float]:
    """Minutes of each section of a lesson, "" being what stands before the first, and of each exercise, by number."""
    nb = json.loads((ROOT / "notebooks" / LESSONS[name].file).read_text(encoding="utf-8"))
    found: dict[Part, float] = defaultdict(float)
    section, here = "", ""
    for cell in nb["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            found[here] += sum(bool(line.strip()) for line in source.splitlines()) / 10
            if "exercise" in cell["metadata"].get("tags", []):
                found[here] += 7
                here = section  # what follows an exercise belongs to the section again
            continue
        for line in source.splitlines():
            if heading := HEADING.match(line):
                section = here = heading[1]
            elif exercise := EXERCISE.match(line):
                here = int(exercise[1])
            found[here] += len(line.split()) / 120
    return dict(found)


class Block(NamedTuple):
    """A part of a lesson: the sections that are read (all, or those named, or all but those skipped), the exercises
    that are done in the room, and what to do when time is short: stop after a section, or leave something out.

    play: the section with which the block begins, for so many minutes, whatever the rule says about its few words.
    """

    lesson: str
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    exercises: tuple[int, ...] = ()
    stop: str = ""
    leave: tuple[Part, ...] = ()
    play: tuple[str, int] | None = None


class Other(NamedTuple):
    """What is no lesson: a break, a round of talk."""

    minutes: int
    what: str


def need(block: Block) -> float:
    """Minutes of a block by the rule. Raises ValueError for a section or an exercise that the lesson does not have."""
    found = parts(block.lesson)
    wanted = (*block.only, *block.skip, *block.exercises, *block.leave, *([block.stop] if block.stop else []),
              *([block.play[0]] if block.play else []))
    if lost := [part for part in wanted if part not in found]:
        raise ValueError(f"{block.lesson} has no {lost[0]!r}; it has {', '.join(map(repr, found))}.")
    return sum(found[part] for part in (*read(block), *block.exercises)) + (block.play[1] if block.play else 0)


def read(block: Block, short: bool = False) -> list[str]:
    """The sections that a block reads, in the order of the lesson; with short, those that are left where time is."""
    found: list[str] = [part for part in parts(block.lesson) if isinstance(part, str)]
    found = [part for part in found if part not in (*ALONE, *block.skip) and (not block.only or part in block.only
                                                                             or not part)]
    if not short:
        return found
    first = block.play[0] if block.play else ""
    last = found.index(block.stop) if block.stop else len(found)
    return [part for i, part in enumerate(found) if (i <= last or part == first) and part not in block.leave]


def rounded(minutes: float) -> int:
    """Up to the next five."""
    return 5 * math.ceil(minutes / 5 - 1e-9)


WELCOME = Other(30, "Welcome; `python -m helpers preflight` on every machine; the first cell of *Start here*")
BREAK = Other(20, "Break, questions, and time for whoever is behind")
LUNCH = Other(60, "Lunch")
DATA = Other(45, "Own data: each group gives a folder of its own to `python -m helpers fit`, and reads its report")
SHOW = Other(25, "Round: each group shows its first six samples, not a selection, and says whether it trusts them")
OWN = ("Look", "Build, train", "Sample", "Score", "Has it copied?")
OWN = ("Look", "What must be beaten", "Build, train", "Sample", "Score", "Has it copied?")
START = Block("start_here", skip=("How many prototypes?", "Where this stands among generative models", "The path"),
              exercises=(1, 3), leave=(3,))
CODES = Block("encoder_and_decoder", skip=("Finding good weights without calculus",), exercises=(2, 4), leave=(4,))
VAE = Block("vae_in_numpy", skip=("Taking a place on the board",), stop="A map without holes")
LETTERS = Block("images", skip=("Why distances? What blur is", "Sliders that do what their names say"), exercises=(1,),
                stop="New typefaces", play=("The typeface designer", 10))

SCHEDULES = {
    "Half a day": (
        "For people who know some machine learning and no generative models. They leave with a model of their own.",
        {"Morning": [WELCOME, START._replace(exercises=(1,), leave=("Learning what we cannot see",)), BREAK,
                     Block("vae_in_numpy", only=("The idea", "Three ways to use it", "A map without holes"),
                           leave=("Three ways to use it",)),
                     Block("images", only=("The idea: the code belongs to the font", "New typefaces", "Is it new?",
                                           "The typeface designer"), stop="The idea: the code belongs to the font",
                           play=LETTERS.play), BREAK,
                     Block("your_own_model", only=OWN, stop="Score"), DATA, SHOW]}),
    "One day": (
        "From a coin for each pixel to a typeface, with the reasons, and a model of their own at the end.",
        {"Day": [WELCOME, START, BREAK, CODES, LUNCH, VAE, BREAK,
                 LETTERS, BREAK, Block("your_own_model", only=OWN, stop="Score"), DATA, SHOW]}),
    "Two days": (
        "All steps of the model by hand on the first day; on the second what it makes, what to doubt, and own data.",
        {"First day": [WELCOME, START, BREAK, CODES, LUNCH,
                       Block("losses_and_gradients", exercises=(1, 3), stop="Backpropagation, one layer at a time"),
                       BREAK,
                       Block("training", skip=("All weights in one vector", "How large a batch?"), exercises=(1,),
                             leave=(1,)),
                       BREAK, VAE],
         "Second day": [Block("vae_in_pytorch", only=("A VAE to take away", "The same numbers"), exercises=(1,),
                              leave=(1,)), BREAK, LETTERS, LUNCH,
                        Block("learned_prior", skip=("4 · The bound, too", "6 · One letter, many alphabets"),
                              stop="3 · Before and after"), BREAK,
                        Block("clean_data", skip=("Augment",), exercises=(2,), leave=("What is labelled wrongly",)),
                        BREAK,
                        Block("your_own_model", skip=("Start from a trained model?",), stop="Has it copied?"), DATA,
                        SHOW]}),
}
TERM = ("start_here", "encoder_and_decoder", "losses_and_gradients", "training", "vae_in_numpy", "vae_in_pytorch",
        "what_the_numbers_mean", "images", "letters", "family_portrait", "noise_to_data", "learned_prior",
        "choose_and_complete", "clean_data", "your_own_model")
CHOICES = {"letters": "audio", "learned_prior": "digits_out_of_noise", "family_portrait": "families_on_the_board",
           "choose_and_complete": "warn_teach_measure", "clean_data": "secrets"}


def clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def said(block: Block) -> str:
    """What a block reads, skips and does, in words."""
    found = [f"**{LESSONS[block.lesson].title}**"]
    if block.play:
        found.append(f"begin with *{block.play[0]}*, {block.play[1]} minutes")
    if block.only:
        begun = block.play[:1] if block.play else ()
        found.append("read " + "; ".join(f"*{section}*" for section in block.only if section not in begun))
    if block.skip:
        found.append("without " + "; ".join(f"*{section}*" for section in block.skip))
    if block.exercises:
        found.append(f"exercise{'s' * (len(block.exercises) > 1)} {' and '.join(map(str, block.exercises))}")
    return ". ".join(part[0].upper() + part[1:] for part in found)


def shortened(block: Block) -> str:
    """What to do with a block where time is short."""
    found = [f"*{part}*" if isinstance(part, str) else f"exercise {part}" for part in block.leave]
    left = f"leave out {' and '.join(found)}" if found else ""
    return "; ".join(filter(None, [left, f"stop after *{block.stop}*" if block.stop else ""]))


def table(items: Iterable[Block | Other], now: int = 9 * 60) -> list[str]:
    """The rows of one day, from nine o'clock."""
    lines = ["| from | minutes | what | short of time |", "|---|---:|---|---|"]
    for item in items:
        minutes = item.minutes if isinstance(item, Other) else rounded(need(item))
        what, short = (item.what, "") if isinstance(item, Other) else (said(item), shortened(item))
        lines.append(f"| {clock(now)} | {minutes} | {what} | {short} |")
        now += minutes
    return [*lines, f"| {clock(now)} | | End | |"]


def term() -> list[str]:
    """One lesson a week: minutes in the room without exercises, and at home with all of them."""
    lines = ["| week | in the room | minutes | exercises at home | minutes | instead |",
             "|---:|---|---:|---:|---:|---|"]
    for week, name in enumerate(TERM, 1):
        found = parts(name)
        home = [part for part in found if isinstance(part, int)]
        instead = f"*{LESSONS[CHOICES[name]].title}*" if name in CHOICES else ""
        lines.append(f"| {week} | {LESSONS[name].title} | {rounded(need(Block(name)))} | {len(home)} | "
                     f"{rounded(sum(found[part] for part in home))} | {instead} |")
    return lines


def left_over() -> list[str]:
    """The titles of the lessons that a term has in no week."""
    return [lesson.title for lesson in PATH if lesson.name not in (*TERM, *CHOICES.values())]


def page() -> str:
    """workshop/schedules.md."""
    lines = ["# Schedules", "",
             "Made by `python tools/workshop.py` from the notebooks. Minutes of a lesson are words / 120 + lines of "
             "code / 10 + 7 for each exercise, for the sections that are read, rounded up to five: the speed of an "
             "attentive learner in a second language. Talk is not in them: it has its place in the breaks. When a "
             "block runs over, do what its last column says, and go on with the next.", "",
             "Cells of sections that are not read are run all the same (in JupyterLab: *Run All Above Selected Cell*). "
             "Lists *In the literature* are for home. Start a cell that takes long before you explain it: "
             "[before, during, after](README.md) says which, and has the commands for a room and a letter to the "
             "participants. What goes wrong in each lesson, and what to ask: [notes](notes.md).",
             "", "`make slides` makes one slide of each lesson, with its headline figure and one claim."]
    for name, (who, days) in SCHEDULES.items():
        lines += ["", f"## {name}", "", who]
        for day, items in days.items():
            lines += ["", *([f"### {day}", ""] if len(days) > 1 else []), *table(items)]
    lines += ["", "## A term", "", "A lesson a week, in a session of 90 minutes: the rest of it is for questions and "
              "for the exercises of the week before. *Instead*: another lesson for the same week.", "", *term(), "",
              f"In no week: {' and '.join(f'*{title}*' for title in left_over())}. Each fits into a session of its "
              "own, and suits a project at the end."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_text(FILE, page())
