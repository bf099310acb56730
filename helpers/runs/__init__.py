"""Runs: from a folder of data to a model in a folder, with what was found, reached and checked beside it.

``fitting`` makes them, ``run`` opens them, ``begun`` knows how they were begun; ``codes`` fits and judges the prior of
a model's codes, ``scores`` measures, ``sheets`` draws and writes samples, ``cards`` has the words, ``report`` and
``curve`` make a page of it all; ``work`` completes, classifies and finds odd files by a run.
"""

from helpers.runs.begun import RunError, begun_with
from helpers.runs.cards import data_card
from helpers.runs.fitting import fit
from helpers.runs.run import Run, load
from helpers.runs.scores import baselines, copies, score
from helpers.runs.sheets import Samples, sheet
from helpers.runs.work import classify, complete, odd
from helpers.senses import read

__all__ = [
    "Run", "RunError", "Samples", "baselines", "begun_with", "classify", "complete", "copies", "data_card", "fit",
    "load", "odd", "read", "score", "sheet",
]
