"""Runs: from a folder of data to a model in a folder, with what was found, reached and checked beside it.

``run`` makes and opens them, ``begun`` knows how they were begun; ``scores`` measures, ``sheets`` draws and writes
samples, ``cards`` has the words, ``report`` and ``curve`` make a page of it all.
"""

from helpers.runs.begun import RunError, begun_with
from helpers.runs.cards import data_card
from helpers.runs.run import Run, fit, load
from helpers.runs.scores import baselines, copies, score
from helpers.runs.sheets import Samples, sheet
from helpers.senses import read

__all__ = [
    "Run", "RunError", "Samples", "baselines", "begun_with", "copies", "data_card", "fit", "load", "read", "score",
    "sheet",
]
