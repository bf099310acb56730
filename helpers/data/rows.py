"""Arrays that may be larger than memory: rows of a file that are read when they are asked for."""

import contextlib
import math
import os
from collections.abc import Iterator

import numpy as np

BLOCK = 1 << 24  # bytes that are looked at together


class Rows:
    """Some rows of an array (N, …) that lies in a file. ``rows[i]`` reads them; np.asarray(rows) reads them all."""

    def __init__(self, array, index):
        if isinstance(array, Rows):
            array, index = array.array, array.index[index]
        self.array, self.index = array, np.asarray(index)
        self.shape, self.dtype = (len(self.index), *array.shape[1:]), array.dtype
        self.ndim = len(self.shape)

    def __len__(self):
        return len(self.index)

    def __getitem__(self, rows) -> np.ndarray:
        """Copies of these rows: a number, a slice, or an array of numbers or of truth values."""
        return np.array(self.array[self.index[rows]])

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("Rows lie in a file, and as an array they are a copy.")
        return np.asarray(self[:], dtype)

    def __repr__(self):
        return f"Rows(shape={self.shape}, dtype={self.dtype})"


def in_file(x) -> bool:
    """Whether an array lies in a file rather than in memory."""
    return isinstance(x, (np.memmap, Rows))


def take(x, index):
    """The rows ``index`` of x: a view if x lies in a file, else a copy."""
    return Rows(x, index) if in_file(x) else x[index]


def blocks(x) -> Iterator[np.ndarray]:
    """x (N, …) as flat rows (n, D), a few at a time, so that what is computed from them stays small."""
    size = math.prod(x.shape[1:])
    step = max(1, BLOCK // max(1, size * x.dtype.itemsize))
    for start in range(0, len(x), step):
        block = np.asarray(x[start : start + step])
        yield block.reshape(len(block), size)


def free_bytes() -> int:
    """How much memory is free."""
    with contextlib.suppress(OSError, StopIteration):  # Linux; the figure below leaves out what caches would give back
        with open("/proc/meminfo", encoding="ascii") as lines:
            return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # no such figure on this system
        return 4 << 30
