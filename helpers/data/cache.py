"""Arrays that are made on first use and kept in ``data/cache``: whole or not at all, and made again when damaged."""

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from helpers import disk

FOLDER = disk.CACHE


def cached(name: str, recipe: bytes, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What ``make()`` returns, from the cache if it was made before by the same recipe.

    ``recipe`` is bytes that change whenever the result would: versions, settings, the source of the module.
    A file that cannot be read is moved aside, to a name that ends in ".damaged"; nothing is deleted.
    Where nothing can be written, because the disk is full or read-only, the arrays are made each time.
    """
    file = FOLDER / f"{name}-{hashlib.sha256(recipe).hexdigest()[:12]}.npz"
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error):
        with contextlib.suppress(OSError):
            os.rename(file, disk.free_name(file.with_name(f"{file.name}.damaged")))
    arrays: dict[str, Any] = make()
    if not os.path.lexists(file):  # else it is damaged and cannot be moved, or another process was faster
        with contextlib.suppress(OSError), disk.replacing(file) as temporary, open(temporary, "wb") as out:
            np.savez(out, **arrays)
    return arrays
