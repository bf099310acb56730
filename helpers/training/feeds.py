"""Where batches come from: tensors in memory, visited by row numbers, or a torch dataset that is streamed.

In memory is several times faster than a DataLoader. Images stay bytes, a quarter of the room, until a batch is made.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from numpy.typing import ArrayLike

from helpers.data.dataset import DataError, Dataset
from helpers.training.processes import Team

WHOLE = (torch.int16, torch.int32, torch.int64)  # whole numbers stand for symbols, and stay whole


class Batch(NamedTuple):
    """Examples x (N, …) and their condition c (N, …) or None."""

    x: torch.Tensor
    c: torch.Tensor | None = None


class Memory:
    """Examples as tensors: bytes as they are, other numbers in the model's type."""

    def __init__(self, x: torch.Tensor, c: torch.Tensor | None, device: torch.device | str, dtype: torch.dtype):
        x = x if x.dtype in (torch.uint8, torch.int16) else floating(x, dtype)
        self.x, self.c, self.dtype = x.to(device), None if c is None else condition(c, dtype, device), dtype

    def __len__(self):
        return len(self.x)

    def _take(self, index):
        # index_select copies the same rows as x[index], several times faster.
        x = self.x[index] if isinstance(index, slice) else self.x.index_select(0, index)
        return Batch(floating(x, self.dtype), None if self.c is None else self.c[index])

    def batches(self, size: int, order: torch.Generator | None = None, team: Team | None = None) -> Iterator[Batch]:
        """In order, or shuffled by the generator ``order``; each process of a team takes its share of every batch."""
        if order is None:
            for start in range(0, len(self), size):
                yield self._take(slice(start, start + size))
            return
        rows = torch.randperm(len(self), generator=order).to(self.x.device)
        for start in range(0, len(self), size):
            batch = rows[start : start + size]
            yield self._take(batch if team is None else team.share(batch))


class Stream:
    """A torch dataset too large for memory, read through a DataLoader."""

    def __init__(self, dataset: torch.utils.data.Dataset, device: torch.device | str, dtype: torch.dtype):
        self.dataset: Any = dataset  # one that knows its length, which not all do
        self.device, self.dtype = device, dtype

    def __len__(self):
        return len(self.dataset)

    def batches(self, size: int, order: torch.Generator | None = None, team: Team | None = None) -> Iterator[Batch]:
        """As :meth:`Memory.batches`."""
        rows = list(range(len(self))) if order is None else torch.randperm(len(self), generator=order).tolist()
        groups = [rows[start : start + size] for start in range(0, len(self), size)]
        groups = groups if team is None else [team.share(group) for group in groups]
        # With a generator of its own, the loader takes no random number from the model's noise.
        loader = torch.utils.data.DataLoader(self.dataset, batch_sampler=groups, generator=torch.Generator())
        for item in loader:
            x, c = (*item, None)[:2] if isinstance(item, (tuple, list)) else (item, None)
            c = None if c is None else condition(c, self.dtype, self.device)
            yield Batch(floating(x, self.dtype).to(self.device), c)


class Rows(torch.utils.data.Dataset):
    """Arrays, memory-mapped ones included, as a torch dataset."""

    def __init__(self, x: np.ndarray, c: np.ndarray | None):
        self.x, self.c = x, c

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        x, c = (part if part is None else tensor(part[i]) for part in (self.x, self.c))
        return x if c is None else (x, c)


def feeds(data: Any, device: torch.device, dtype: torch.dtype, in_memory: bool | None = None) -> list[Memory | Stream]:
    """The train and validation splits of ``data``, ready to be visited; ``data`` as for ``fit``. Raises DataError."""
    pair = (data.train, data.valid) if isinstance(data, Dataset) else data
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise DataError("fit: expected a Dataset or a pair (train, valid); the test split stays out of training.")
    found: list[Memory | Stream] = []
    dims = []
    for split, name in zip(pair, ("train", "valid"), strict=True):
        if isinstance(split, torch.utils.data.Dataset):
            feed: Memory | Stream = Stream(split, device, dtype)
        else:
            x, c = _examples(split, name)
            dims.append(len(x.shape))
            held = math.prod(x.shape) * _bytes_each(x, dtype) < 0.5 * _free_bytes(device)
            if held if in_memory is None else in_memory:
                feed = Memory(tensor(x), None if c is None else tensor(c), device, dtype)
            else:
                feed = Stream(Rows(x, c), device, dtype)
        if len(feed) == 0:
            raise DataError(f"fit: the {name} split is empty; give it at least one example.")
        found.append(feed)
    if len(set(dims)) == 2:
        raise DataError(
            f"fit: train examples have {dims[0]} dimensions and valid examples {dims[1]}; give the splits as "
            "((x, c), (x_valid, c_valid))."
        )
    return found


def _examples(part, name):
    """x and c of one split."""
    if hasattr(part, "x"):
        part = (part.x, part.c)
    x, c = (*part, None)[:2] if isinstance(part, (tuple, list)) and len(part) in (1, 2) else (part, None)
    if not hasattr(x, "shape"):
        raise DataError(f"fit: the {name} split is {type(x).__name__}; give arrays or tensors, as x or (x, c).")
    if c is not None and len(c) != len(x):
        raise DataError(f"fit: the {name} split has {len(x)} examples and {len(c)} conditions; give one for each.")
    return x, c


def tensor(array: ArrayLike) -> torch.Tensor:
    """As a tensor, of the same memory where that can be."""
    if isinstance(array, np.ndarray):
        # PyTorch has neither negative strides nor memory that may only be read.
        array = np.ascontiguousarray(array) if array.flags.writeable else np.array(array)
    return torch.as_tensor(array)


def floating(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Examples as a model takes them: bytes as 0 to 1, symbols as they are, all other numbers in its type."""
    if x.dtype == torch.uint8:
        return x.to(dtype) / 255
    if x.dtype == torch.int16:  # takes less room in memory, and is no index
        return x.long()
    return x if x.dtype in WHOLE else x.to(dtype)


def condition(c: torch.Tensor, dtype: torch.dtype, device: torch.device | str) -> torch.Tensor:
    """Real numbers in the model's type; labels stay as they are."""
    return (c.to(dtype) if c.is_floating_point() else c).to(device)


def _bytes_each(x, dtype):
    """Bytes that one number takes while it is held."""
    if x.dtype in (torch.uint8, np.uint8):
        return 1
    if x.dtype in (torch.int16, np.int16):
        return 2
    return torch.empty((), dtype=dtype).element_size()


def _free_bytes(device):
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
