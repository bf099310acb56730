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
UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)
SLOTS = 4  # results of one kind that are kept for readers' own data
MOST_BYTES = 2_000_000_000  # of one such result; a larger one is made each time


def cached(name: str, recipe: bytes, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What ``make()`` returns, from the cache if it was made before by the same recipe.

    ``recipe`` is bytes that change whenever the result would: versions, settings, the source of the module.
    A file that cannot be read is moved aside, to a name that ends in ".damaged"; nothing is deleted.
    Where nothing can be written, because the disk is full or read-only, the arrays are made each time.
    """
    file = FOLDER / f"{name}-{hashlib.sha256(recipe).hexdigest()[:12]}.npz"
    stored = _stored(file)
    if stored is not None:
        return stored
    arrays: dict[str, Any] = make()
    if not os.path.lexists(file):  # else it is damaged and cannot be moved, or another process was faster
        with contextlib.suppress(OSError), disk.replacing(file) as temporary, open(temporary, "wb") as out:
            np.savez(out, **arrays)
    return arrays


def recent(name: str, recipe: bytes, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """As :func:`cached`, for what readers bring: of each ``name`` the last 4 results are kept, and no more.

    The oldest file makes room for a new one, so that the cache does not grow with every folder that is ever read. A
    file of such a name that was not written here stays as it is.
    """
    ours = []
    for file in (FOLDER / f"{name}-{slot}.npz" for slot in range(SLOTS)):
        stored = _stored(file, only="recipe")
        if not os.path.lexists(file) or (stored is not None and "recipe" in stored):
            ours.append(file)
        if stored is not None and "recipe" in stored and stored["recipe"].tobytes() == recipe:
            found = _stored(file)
            if found is not None:
                with contextlib.suppress(OSError):
                    os.utime(file)  # used now, and so the last to make room
                return {key: array for key, array in found.items() if key != "recipe"}
    arrays: dict[str, Any] = make()
    if ours and sum(array.nbytes for array in arrays.values()) <= MOST_BYTES:
        oldest = min(ours, key=lambda file: file.stat().st_mtime if file.exists() else 0)
        with contextlib.suppress(OSError), disk.replacing(oldest) as temporary, open(temporary, "wb") as out:
            np.savez(out, recipe=np.frombuffer(recipe, np.uint8), **arrays)
    return arrays


def _stored(file, only=None):
    """The arrays of a file, or one of them; None if there is none. What cannot be read is moved aside."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files if only in (None, key)}
    except FileNotFoundError:
        pass
    except UNREADABLE:
        with contextlib.suppress(OSError):
            os.rename(file, disk.free_name(file.with_name(f"{file.name}.damaged")))
    return None
