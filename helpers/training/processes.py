"""Several processes that train together, as ``torchrun`` starts them; a process alone is a team of one.

PyTorch's DistributedDataParallel averages their gradients; a :class:`Team` keeps the rest in step.
"""

import atexit
import os
import time
from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import distributed as dist

Rows = TypeVar("Rows", torch.Tensor, list)  # numbers of examples


class Team:
    """All processes that train together: how many, which of them this is, and what they must agree on."""

    def __init__(self, world: int = 1, rank: int = 0, device: torch.device | str = "cpu"):
        self.world, self.rank, self.device = world, rank, device

    @classmethod
    def join(cls, device: torch.device | str = "cpu") -> "Team":
        """The team that torchrun has started, or one of this process alone."""
        if not dist.is_available():
            return cls(device=device)
        if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
            atexit.register(_leave)
        return cls(dist.get_world_size(), dist.get_rank(), device) if dist.is_initialized() else cls(device=device)

    @property
    def first(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Go on when all have come as far as this."""
        if self.world > 1:
            dist.barrier()

    def agree(self, value: float) -> float:
        """What process 0 has: all must stop, save and choose together."""
        if self.world == 1:
            return value
        verdict = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(verdict, src=0)
        return verdict.item()

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes."""
        if self.world > 1:
            tensor = tensor.to(self.device)
            dist.all_reduce(tensor)
        return tensor

    def gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """The tensors of all processes."""
        if self.world == 1:
            return [tensor]
        everybody = [torch.empty_like(tensor, device=self.device) for _ in range(self.world)]
        dist.all_gather(everybody, tensor.to(self.device))
        return [t.cpu() for t in everybody]

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give all processes what process 0 has in these tensors."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def share(self, rows: Rows) -> Rows:
        """The part of a batch that this process works on; all of it, if the batch is too small to be shared."""
        return rows if len(rows) < self.world else rows[self.rank :: self.world]

    def weight(self, here: int, whole: int) -> float:
        """The examples here over the average of all processes, for a batch of ``whole`` examples in all.

        DistributedDataParallel averages gradients as if it were 1; a loss times this weight makes up for it.
        """
        return here * self.world / whole if whole >= self.world else 1.0


class Tally:
    """Means over the examples of an epoch, whichever process saw them, whatever the sizes of batches."""

    def __init__(self, team: Team):
        self.team, self.seen = team, 0.0
        self.totals: dict[str, torch.Tensor | float] = {}

    def add(self, figures: dict, count: float) -> None:
        """Figures that are means over ``count`` examples."""
        for name, value in figures.items():
            self.totals[name] = self.totals.get(name, 0.0) + number(value) * count
        self.seen += count

    def means(self) -> dict[str, float]:
        """The means over all examples of all processes."""
        here = torch.tensor([*map(float, self.totals.values()), self.seen], dtype=torch.float64)
        *sums, seen = self.team.sum(here).tolist()
        return {name: total / seen for name, total in zip(self.totals, sums)}


def number(value: torch.Tensor | float) -> torch.Tensor | float:
    """One number to add up: without its history, and not in half precision, which would lose it in the sum."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.device.type == "cpu":
        return value.item()  # adding Python's numbers is faster; on a GPU, asking for one would wait for it
    return value.detach().float() if value.dtype in (torch.bfloat16, torch.float16) else value.detach()


def _leave() -> None:
    """Leave the other processes, unless somebody has done so already."""
    if dist.is_initialized():
        dist.destroy_process_group()
    # gloo's threads may still hold the last tensors; to let go of them after the interpreter has ended is to abort.
    time.sleep(0.1)
