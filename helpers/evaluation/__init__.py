"""Judging generative models and their data. Where things are:

    board        held-out likelihoods of every model in the series; bits per dimension
    compare      differences with their errors; a Pareto front
    figures      implied σ and β, active units, Fréchet distance, diversity, errors of completed sets
    two_sample   do two samples come from one distribution? energy distance; a classifier that tells them apart
    intervals    do draws hold what they promise? ranks of the truth, intervals of the right size
    plain        the simplest model, every number by itself, beside which a likelihood says what is odd
    neighbours   the nearest examples, near-duplicates and their groups
    copies       has a model learned training examples by heart?
    labels       wrong labels; precision and recall of a search
    filters      what may come out: no crude names (their list: crude_names), no moved copies; drawing again
    naming       names for a colour: the best of many draws
    privacy      what a model gives away: exposure, membership attacks; the clipped, noisy mean of DP-SGD

What lessons use most can be had from here: ``evaluation.Board``, ``evaluation.nearest``.
"""

from helpers.evaluation.board import BOARD_FILE, Board, bits_per_dimension
from helpers.evaluation.figures import (
    active_units,
    diversity,
    frechet_distance,
    implied_beta,
    implied_sigma,
    set_errors,
)
from helpers.evaluation.neighbours import nearest, nearest_set

__all__ = [
    "BOARD_FILE",
    "Board",
    "active_units",
    "bits_per_dimension",
    "diversity",
    "frechet_distance",
    "implied_beta",
    "implied_sigma",
    "nearest",
    "nearest_set",
    "set_errors",
]
