"""The one training loop of the PyTorch half: ``fit(model, data, …)``.

It trains anything with ``loss(batch, **objective) -> (loss, metrics)``. Data small enough stays in memory
as tensors and is visited by batches of row numbers, which is several times faster than a DataLoader; data
that is larger is streamed. Under ``torchrun`` the same loop runs in several processes (DistributedDataParallel).
"""

import atexit
import contextlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import distributed as dist
from torch import nn

from helpers import checkpoints
from helpers.data.dataset import DataError, Dataset
from helpers.data.rows import Rows, free_bytes
from helpers.progress import Progress


class TrainingError(RuntimeError):
    """Training cannot go on. The message says where it stopped and what to try."""


class Batch(NamedTuple):
    """Examples x (N, …) and their condition c (N, …) or None."""

    x: torch.Tensor
    c: torch.Tensor | None = None


@dataclass
class History:
    """One row for each epoch: train and valid loss, every metric of both, seconds since the start, learning rate."""

    rows: list[dict] = field(default_factory=list)

    def __getitem__(self, name) -> np.ndarray:
        """One column, such as ``history["valid"]``: (epochs,)."""
        return np.array([row[name] for row in self.rows])

    def __len__(self):
        return len(self.rows)

    @property
    def best(self) -> int:
        """The epoch (from 0) with the lowest validation loss: its weights are the ones that were kept."""
        return int(np.nanargmin(self["valid"]))

    def plot(self, ax=None, **labels):
        """Learning curves of train and validation, with a dot at the epoch that was kept."""
        from helpers import plotting

        return plotting.history(self, ax=ax, **labels)


def ramp(until: float = 0.15, start: float = 0.0, end: float = 1.0) -> Callable[[float], float]:
    """A schedule for an argument of the objective, such as beta: from start to end over the first part of training."""
    return lambda progress: end if progress >= until else start + (end - start) * progress / until


def fit(
    model: nn.Module,
    data,
    *,
    epochs: int = 100,
    minutes: float | None = None,
    batch_size: int = 50,
    lr: float = 2e-3,
    schedule: str = "cosine",
    warmup: float = 0.0,
    weight_decay: float = 0.0,
    clip: float | None = None,
    objective: dict | None = None,
    augment: Callable | None = None,
    seed: int = 0,
    device=None,
    precision: str = "auto",
    checkpoint=None,
    save_every: float = 0.0,
    resume: bool = True,
    in_memory: bool | None = None,
    quiet: bool | str = False,
) -> History:
    """Train ``model`` on the train split of ``data``, keep the weights that do best on its validation split.

    data: a Dataset, or a pair (train, valid), each a pair (x, c) or x alone; or two ``torch.utils.data``
        datasets that yield x or (x, c), which are streamed.
    epochs: visits of every training example. With ``minutes`` training also ends when the time is up, and
        the learning rate follows whichever is further along.
    lr, schedule, warmup: AdamW's learning rate rises over the first ``warmup`` fraction, then stays
        ("constant") or falls to zero along half a cosine wave ("cosine").
    clip: the largest norm that a gradient may have.
    objective: arguments for ``model.loss``; a callable is asked for its value at each step, with the
        progress from 0 to 1. Validation uses the values at progress 1: one loss for all epochs.
    augment: augment(x, generator) draws each training batch anew.
    precision: "auto" is bfloat16 where a GPU is fast at it, else the model's own; or "float32", "bfloat16".
    checkpoint: a path. The state is saved there after an epoch, if ``save_every`` seconds have passed since
        the last time. A run that was stopped at any moment goes on from there, to bit-identical weights
        (unless with ``minutes``: how far those reach depends on the machine).
    quiet: True for no progress at all; "lines" for a bar, but no lines that stay.
    in_memory: whether to hold the data in memory; by default, if it takes less than half of what is free, and
        is not in a file because it was larger than memory (a Dataset of Rows).

    Returns the History; the model holds the best weights, in evaluation mode. Raises TrainingError when the
    loss is NaN, infinite or grows without bound; the model then holds the best weights up to there.
    """
    run = _Run(
        epochs=epochs, minutes=minutes, batch_size=batch_size, lr=lr, schedule=schedule, warmup=warmup,
        weight_decay=weight_decay, clip=clip, objective=objective or {}, augment=augment, seed=seed,
        precision=precision, save_every=save_every, quiet=quiet,
    )  # fmt: skip
    return run.fit(model, data, device, checkpoint, resume, in_memory)


class _Objective(nn.Module):
    """model.loss as a forward pass: that is what DistributedDataParallel wraps."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch, options):
        return self.model.loss(batch, **options)


class _Run:
    """One call of fit: the settings, and the state that a checkpoint holds."""

    def __init__(self, **settings):
        self.__dict__.update(settings)
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule is {self.schedule!r}; say 'cosine' or 'constant'.")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}; say 'auto', 'float32' or 'bfloat16'.")
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs is {self.epochs} and batch_size {self.batch_size}; both must be at least 1.")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes is {self.minutes}; give a time above 0, or None for as long as it takes.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}; give a part of training, from 0 to less than 1.")
        self.world, self.rank = _processes()

    # --- the loop ------------------------------------------------------------------------------------

    def fit(self, model, data, device, checkpoint, resume, in_memory):
        self.model = model
        self.device = torch.device(device) if device is not None else next(model.parameters()).device
        self.dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
        model.to(self.device)
        if checkpoint is not None:
            checkpoints.card_path(checkpoint)  # a name that cannot be used is refused before training, not after
        train, valid = _feeds(data, self.device, self.dtype, in_memory)
        self.steps_an_epoch = math.ceil(len(train) / self.batch_size)
        self.net = _Objective(model)
        if self.world > 1:
            self.net = nn.parallel.DistributedDataParallel(self.net)
        self.optimiser = self._optimiser()
        self.order = torch.Generator().manual_seed(self.seed)  # the order of examples: the same in all processes
        torch.manual_seed(self.seed + 1 + self.rank)  # noise and dropout: its own in each
        self.history, self.best, self.seconds, self.first = History(), math.inf, 0.0, None
        self.best_weights = _copy(model.state_dict())
        self.config = self._config(len(train))
        if checkpoint is not None and resume:
            self._resume(checkpoint)
        self.started, saved, unsaved = time.perf_counter() - self.seconds, time.perf_counter(), False
        show, lines = self.rank == 0 and self.quiet is not True, 0 if self.quiet == "lines" else 5
        progress = Progress(self.epochs, lines=lines, show=show, start=len(self.history))
        try:
            for epoch in progress:
                if self.minutes and self._elapsed() >= 60 * self.minutes:
                    break
                row = self._epoch(epoch, train)
                row |= {f"valid {k}" if k != "loss" else "valid": v for k, v in self._evaluate(valid).items()}
                self._check(row["valid"], f"in validation after epoch {epoch + 1}")
                self.seconds = row["seconds"] = self._elapsed()
                self.history.rows.append(row)
                if row["valid"] < self.best:
                    self.best, self.best_weights = row["valid"], _copy(model.state_dict())
                unsaved = checkpoint is not None
                if unsaved and self._agreed(time.perf_counter() - saved) >= self.save_every:
                    self._save(checkpoint)
                    saved, unsaved = time.perf_counter(), False
                progress.say(f"train {_rounded(row['train'])}   validation {_rounded(row['valid'])}")
            if unsaved:
                self._save(checkpoint)
        finally:
            model.load_state_dict(self.best_weights)
            model.eval()
        return self.history

    def _epoch(self, epoch, train):
        self.model.train()
        totals, seen = {}, 0
        check_every = 1 if self.device.type == "cpu" else 50  # on a GPU, looking at a number waits for it
        if self.augment is not None:
            # New in every epoch, so that a checkpoint need not hold it, and different in every process.
            seed = int(torch.randint(1 << 62, (), generator=self.order)) + self.rank
            self.augmenting = torch.Generator().manual_seed(seed)
        for step, batch in enumerate(train.batches(self.batch_size, self.order, self.rank, self.world)):
            whole = min(self.batch_size, len(train) - step * self.batch_size)  # the batch of all processes together
            share = len(batch.x) * self.world / whole if whole >= self.world else 1.0
            counted = share * whole / self.world  # the examples here; a part of them, if all processes have the same
            done = self._done(epoch, step)
            loss, metrics = self._step(batch, done, share)
            value = loss.detach()
            last = step == self.steps_an_epoch - 1 or done == 1.0  # 1.0: the time is up
            if step % check_every == 0 or last:
                whole_loss = value if self.world == 1 else self._sum(share / self.world * value)
                self._check(whole_loss.item(), f"at epoch {epoch + 1}, batch {step + 1}")
            for name, v in (("train", value), *metrics.items()):
                totals[name] = totals.get(name, 0.0) + _number(v) * counted
            seen += counted
            if last:
                break
        *sums, seen = self._sum(torch.tensor([*map(float, totals.values()), seen], dtype=torch.float64)).tolist()
        row = {name: total / seen for name, total in zip(totals, sums)}
        return {"epoch": epoch + 1, **row, "lr": float(self.optimiser.param_groups[0]["lr"])}

    def _done(self, epoch, step):
        """How far training is, from 0 to 1; by the clock, if that is further along."""
        done = (epoch + step / self.steps_an_epoch) / self.epochs
        return min(1.0, max(done, self._elapsed() / (60 * self.minutes))) if self.minutes else done

    def _step(self, batch, done, share=1.0):
        """One step of the optimiser on one batch; returns the loss and the metrics.

        ``share``: the number of examples here over the average of all processes. DistributedDataParallel
        averages gradients as if it were 1.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(done)
        if self.augment is not None:
            batch = Batch(self.augment(batch.x, self.augmenting), batch.c)
        with self._autocast():
            loss, metrics = self.net(batch, self._options(done))
        self.optimiser.zero_grad(set_to_none=True)
        (loss if share == 1 else share * loss).backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimiser.step()
        return loss, metrics

    @torch.no_grad()
    def _evaluate(self, valid):
        """Mean loss and metrics over the validation split, always with the same noise."""
        self.model.eval()
        options, totals, seen = self._options(1.0), {}, 0
        if self.world > 1:
            for buffer in self.model.buffers():  # running means and the like, which each process has its own of
                dist.broadcast(buffer, src=0)
        with _fixed_noise(self.device), self._autocast():
            for batch in valid.batches(max(1000, self.batch_size)):
                loss, metrics = self.model.loss(batch, **options)
                for name, v in (("loss", loss), *metrics.items()):
                    totals[name] = totals.get(name, 0.0) + _number(v) * len(batch.x)
                seen += len(batch.x)
        means = {name: float(total) / seen for name, total in totals.items()}
        return means | {"loss": self._agreed(means["loss"])}  # the same epoch is the best in all processes

    # --- settings ------------------------------------------------------------------------------------

    def _rate(self, done):
        if done < self.warmup:
            return self.lr * done / self.warmup
        if self.schedule == "constant":
            return self.lr
        return self.lr * 0.5 * (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup)))

    def _options(self, done):
        return {name: value(done) if callable(value) else value for name, value in self.objective.items()}

    def _optimiser(self):
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        fused = all(p.dtype in (torch.float32, torch.float64) for p in parameters)
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay, fused=fused)

    def _autocast(self):
        precision = self.precision
        if precision == "auto":
            fast = self.device.type == "cuda" and torch.cuda.is_bf16_supported() and self.dtype == torch.float32
            precision = "bfloat16" if fast else "float32"
        if precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, precision))

    def _check(self, loss, where):
        if self.first is None:
            self.first = abs(loss)
        if math.isfinite(loss) and abs(loss) <= 1e4 * (1 + self.first):
            return
        what = f"is {loss}" if not math.isfinite(loss) else f"has grown to {loss:.3g}"
        kept = f"of epoch {self.history.best + 1}" if len(self.history) else "from before training"
        raise TrainingError(
            f"The loss {what} {where}; try a smaller learning rate (lr={self.lr:g} now)"
            f"{'' if self.clip else ', or clip=1.0'}, and check the data for extreme values. The model holds the "
            f"weights {kept}."
        )

    # --- checkpoints ---------------------------------------------------------------------------------

    def _config(self, n):
        names = ("epochs", "minutes", "batch_size", "lr", "schedule", "warmup", "weight_decay", "clip", "seed",
                 "precision", "world")  # fmt: skip
        config = {name: getattr(self, name) for name in names} | {"dtype": str(self.dtype)}
        config["objective"] = {k: "schedule" if callable(v) else v for k, v in self.objective.items()}
        return json.loads(json.dumps(config | {"examples": n, "augment": self.augment is not None}, default=repr))

    def _save(self, path):
        noise = {name: self._gathered(get()) for name, (get, _) in _noise_sources(self.device).items()}
        if self.rank != 0:
            return
        state = self.optimiser.state_dict()["state"]
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best_weights.items()}
        tensors |= {f"optimiser.{i}.{k}": torch.as_tensor(v) for i, s in state.items() for k, v in s.items()}
        tensors |= {f"random.{name}.{rank}": s for name, states in noise.items() for rank, s in enumerate(states)}
        tensors["random.order"] = self.order.get_state()
        checkpoints.save(
            path, tensors, kind="training state", config=self.config, history=self.history.rows, best=self.best,
            seconds=self.seconds, first=self.first,
        )  # fmt: skip

    def _resume(self, path):
        if not self._agreed(checkpoints.card_path(path).exists()):
            return
        tensors, card = checkpoints.load(path)
        if card.get("kind") != "training state" or not {"config", "history", "best", "seconds", "first"} <= card.keys():
            raise TrainingError(f"{path} holds a finished model, not a training state; choose another checkpoint path.")
        changed = [k for k in self.config if self.config[k] != card["config"].get(k)]
        if changed:
            k = changed[0]
            raise TrainingError(
                f"{path} was begun with {k}={card['config'].get(k)!r}, and now {k}={self.config[k]!r}; use the same "
                "settings, another path, or resume=False to begin anew."
            )
        part = lambda name: {k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)}
        checkpoints.check_fit(part("model."), self.model, path)
        self.model.load_state_dict(part("model."))
        self.best_weights, self.best, self.first = part("best."), card["best"], card["first"]
        state = {}
        for name, v in part("optimiser.").items():
            index, key = name.split(".")
            state.setdefault(int(index), {})[key] = v
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})
        self.order.set_state(tensors["random.order"])
        for name, (_, set_state) in _noise_sources(self.device).items():
            if f"random.{name}.{self.rank}" in tensors:  # not there if the run was begun on another kind of device
                set_state(tensors[f"random.{name}.{self.rank}"])
        self.history, self.seconds = History(card["history"]), card["seconds"]

    # --- several processes -----------------------------------------------------------------------------

    def _elapsed(self):
        """Seconds of training so far, by the clock of process 0."""
        return self._agreed(time.perf_counter() - self.started)

    def _agreed(self, value):
        """What process 0 has: all must stop, save and choose together."""
        if self.world == 1:
            return value
        verdict = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(verdict, src=0)
        return verdict.item()

    def _sum(self, tensor):
        """The sum over all processes."""
        if self.world > 1:
            tensor = tensor.to(self.device)
            dist.all_reduce(tensor)
        return tensor

    def _gathered(self, state):
        """The tensors of all processes, in a list."""
        if self.world == 1:
            return [state]
        everybody = [torch.empty_like(state, device=self.device) for _ in range(self.world)]
        dist.all_gather(everybody, state.to(self.device))
        return [s.cpu() for s in everybody]


def _noise_sources(device):
    """Where random numbers for noise and dropout come from: for each generator, how to get and set its state."""
    sources = {"noise": (torch.get_rng_state, torch.set_rng_state)}
    if device.type == "cuda":
        get, put = torch.cuda.get_rng_state, torch.cuda.set_rng_state
        sources["cuda"] = (lambda: get(device), lambda state: put(state, device))
    if device.type == "mps":
        sources["mps"] = (torch.mps.get_rng_state, torch.mps.set_rng_state)
    return sources


@contextlib.contextmanager
def _fixed_noise(device):
    """The same random numbers each time, and afterwards as if nothing had been drawn."""
    before = [(put, get()) for get, put in _noise_sources(device).values()]
    torch.manual_seed(0)
    try:
        yield
    finally:
        for put, state in before:
            put(state)


# --- data --------------------------------------------------------------------------------------------


class _Memory:
    """Examples as tensors, visited by row numbers."""

    def __init__(self, x, c):
        self.x, self.c = x, c

    def __len__(self):
        return len(self.x)

    def _take(self, index):
        return Batch(self.x[index], None if self.c is None else self.c[index])

    def batches(self, size, order=None, rank=0, world=1):
        """In order, or shuffled by the generator ``order``; process ``rank`` takes its share of every batch."""
        if order is None:
            for start in range(0, len(self), size):
                yield self._take(slice(start, start + size))
            return
        rows = torch.randperm(len(self), generator=order).to(self.x.device)
        for start in range(0, len(self), size):
            yield self._take(_share(rows[start : start + size], rank, world))


class _Stream:
    """A torch dataset too large for memory, read through a DataLoader."""

    def __init__(self, dataset, device, dtype):
        self.dataset, self.device, self.dtype = dataset, device, dtype

    def __len__(self):
        return len(self.dataset)

    def batches(self, size, order=None, rank=0, world=1):
        rows = range(len(self)) if order is None else torch.randperm(len(self), generator=order).tolist()
        groups = [rows[start : start + size] for start in range(0, len(self), size)]
        if order is not None:
            groups = [_share(torch.as_tensor(g), rank, world).tolist() for g in groups]
        # With a generator of its own, the loader takes no random number from the model's noise.
        loader = torch.utils.data.DataLoader(self.dataset, batch_sampler=groups, generator=torch.Generator())
        for item in loader:
            x, c = (*item, None)[:2] if isinstance(item, (tuple, list)) else (item, None)
            yield Batch(_floating(x, self.dtype).to(self.device), _condition(c, self.dtype, self.device))


class _Rows(torch.utils.data.Dataset):
    """Arrays, memory-mapped ones included, as a torch dataset."""

    def __init__(self, x, c):
        self.x, self.c = x, c

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        x, c = (part if part is None else _tensor(part[i]) for part in (self.x, self.c))
        return x if c is None else (x, c)


def _share(rows, rank, world):
    """The part of a batch that one process works on; all of it, if it is too small to be shared."""
    return rows if len(rows) < world else rows[rank::world]


def _feeds(data, device, dtype, in_memory):
    """The train and validation splits of ``data``, ready to be visited."""
    pair = (data.train, data.valid) if isinstance(data, Dataset) else data
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise DataError("fit: expected a Dataset or a pair (train, valid); the test split stays out of training.")
    feeds, dims = [], []
    for part, name in zip(pair, ("train", "valid"), strict=True):
        if isinstance(part, torch.utils.data.Dataset):
            feed = _Stream(part, device, dtype)
        else:
            x, c = _examples(part, name)
            dims.append(len(x.shape))
            bytes_needed = math.prod(x.shape) * torch.empty((), dtype=dtype).element_size()
            small = bytes_needed < 0.5 * _free_bytes(device) and not isinstance(x, Rows)
            held = in_memory if in_memory is not None else small
            if held:
                x = _floating(_tensor(x), dtype).to(device)
                feed = _Memory(x, None if c is None else _condition(_tensor(c), dtype, device))
            else:
                feed = _Stream(_Rows(x, c), device, dtype)
        if len(feed) == 0:
            raise DataError(f"fit: the {name} split is empty; give it at least one example.")
        feeds.append(feed)
    if len(set(dims)) == 2:
        raise DataError(
            f"fit: train examples have {dims[0]} dimensions and valid examples {dims[1]}; give the splits as "
            "((x, c), (x_valid, c_valid))."
        )
    return feeds


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


def _tensor(array):
    """As a tensor, of the same memory where that can be."""
    array = np.asarray(array) if isinstance(array, Rows) else array
    if isinstance(array, np.ndarray):
        # PyTorch has neither negative strides nor memory that may only be read.
        array = np.ascontiguousarray(array) if array.flags.writeable else np.array(array)
    return torch.as_tensor(array)


def _floating(x, dtype):
    """Numbers in the model's type; whole numbers, which stand for symbols, stay whole."""
    return x if x.dtype in (torch.int32, torch.int64) else x.to(dtype)


def _condition(c, dtype, device):
    """Real numbers in the model's type; labels stay as they are."""
    return None if c is None else (c.to(dtype) if c.is_floating_point() else c).to(device)


def _number(value):
    """One number to add up: without its history, and not in half precision, which would lose it in the sum."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.device.type == "cpu":
        return value.item()  # adding Python's numbers is faster; on a GPU, asking for one would wait for it
    return value.detach().float() if value.dtype in (torch.bfloat16, torch.float16) else value.detach()


def _rounded(loss):
    """A loss for people: two decimals, or three digits where it is in the thousands."""
    if abs(loss) < 1000:
        return f"{loss:.2f}"
    step = 10 ** (math.floor(math.log10(abs(loss))) - 2)
    return f"{round(loss / step) * step:,}"


def _free_bytes(device):
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_bytes()


def _copy(state):
    return {k: v.detach().clone() for k, v in state.items()}


def _processes():
    """How many processes train together, and which one this is; joins them if torchrun has started several."""
    if not dist.is_available():
        return 1, 0
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(_leave)
    return (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)


def _leave():
    """Part from the other processes, unless somebody has done so already."""
    if dist.is_initialized():
        dist.destroy_process_group()
    # gloo's threads may still hold the last tensors; to let go of them after the interpreter has ended is to abort.
    time.sleep(0.1)
