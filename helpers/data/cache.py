"""Arrays that are made on first use and kept in ``data/cache``: whole or not at all, and made again when damaged."""

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent.parent / "data" / "cache"


def cached(name: str, recipe, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What ``make()`` returns, from the cache if it was made before by the same recipe.

    ``recipe`` is bytes that change whenever the result would: versions, settings, the source of the module.
    Where nothing can be written, because the disk is full or read-only, the arrays are made each time.
    """
    file = FOLDER / f"{name}-{hashlib.sha256(recipe).hexdigest()[:12]}.npz"
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # not there, or damaged
        with np.load(file, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    arrays = make()
    with contextlib.suppress(OSError):
        FOLDER.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.stem}.{os.getpid()}.part.npz")
        try:
            np.savez(temporary, **arrays)
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
    return arrays
