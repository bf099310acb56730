"""Reusable code of *From Encoder to Generator*. Where things are, from the ground up:

    disk          where things are; whole files or none; a folder whose record names what was made there
    lessons       the path: numbers, names and titles of the lessons
    data          the data sets, and the reader's own files, each a Dataset with train, validation and test splits
    sound, plotting, progress   spectrograms, pitch and playing; figures with alt text; a bar, or a few lines
    synthesis     sound from harmonics, where the pitch is known
    scratch       an encoder, a decoder, a VAE and its training in NumPy, as Part I builds them
    checkpoints   models on disk, as safetensors with a card; signatures
    models        in PyTorch: what a model offers (contract), the VAE, sets, likelihoods, networks; other families
    evaluation    the board, figures, neighbours, copies, wrong labels, privacy
    training      fit, the one training loop
    senses        image, sound, text: what is peculiar to each, under the same names
    build         a model for a data set, by the name of its family; models that open themselves
    uses          what a model is good for beside drawing: classify, impute, oddness
    export        files for other programs: a typeface as TTF, an instrument as SFZ
    runs          from a folder of data to a model in a folder, and that model at work: python -m helpers fit | …
    experiments   many trainings side by side, and the recipes of all that ships in data/
    pages         models as HTML files that compute in a browser: make pages, python -m helpers page
    widgets, exercises          designers; the exercises of every lesson: check, hint, solution
    workshop      for the room: python -m helpers preflight | grade; helpers.catch_up
"""

import os
import random
import sys
from typing import TYPE_CHECKING

if sys.version_info < (3, 11):  # noqa: UP036 - an old Python gets as far as this sentence: no newer syntax in this file
    sys.exit(f"{sys.executable} is Python {sys.version_info[0]}.{sys.version_info[1]}, and this project needs 3.11 or "
             "later: install one, and call `make lab PYTHON=python3.12`, say. Code for the instructor: "
             f"P-{sys.platform[0].upper()}{sys.version_info[0]}{sys.version_info[1]}")

if TYPE_CHECKING:  # slow to import
    import numpy as np
    import torch

__all__ = ["catch_up", "device", "setup"]
__version__ = "0.1.0"


def setup(seed: int = 0, threads: int | None = 1) -> "np.random.Generator":
    """Make a notebook repeatable, and return the NumPy generator that it draws from.

    Seeds Python, NumPy and PyTorch; asks PyTorch for deterministic algorithms; limits linear algebra to
    ``threads`` threads (one is fastest for models as small as ours, and gives the same sums every time;
    None leaves the number alone); switches on the series' plot style.
    """
    import matplotlib.pyplot as plt
    import numpy as np
    import threadpoolctl
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that still read the global state
    torch.manual_seed(seed)
    # cuBLAS needs this to be deterministic, and reads it once, when a GPU is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    if threads is not None:
        torch.set_num_threads(threads)
        threadpoolctl.threadpool_limits(threads)
    plt.style.use("helpers.style")
    return np.random.default_rng(seed)


def device(name: str | None = None) -> "torch.device":
    """The torch device to compute on: ``name`` if given, else a GPU when there is one, else the CPU.

    Raises ValueError for a name that PyTorch does not know, and for a GPU that is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name is None:
        name = next((kind for kind, found in there.items() if found), "cpu")
    try:
        found = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device is {name!r}; give cpu, cuda (a GPU) or mps.") from None
    if not there.get(found.type, True):
        raise ValueError(f"device is {name!r}, and PyTorch finds no such GPU here; give cpu, or leave device out.")
    return found


def catch_up(lesson: str, before: str) -> None:
    """Run the cells of a lesson that stand before one of its sections, quietly, in the namespace of the caller.

    In a notebook: ``helpers.catch_up("images", before="New typefaces")``; then go on from there.
    ``lesson`` is the name of its file, with or without the number, or its title; ``before`` the title of the
    section, or the beginning of one. Raises ValueError for
    those that there are not, with a list of those that there are.
    """
    from helpers.workshop import catching_up

    catching_up.catch_up(lesson, before, sys._getframe(1).f_globals)
