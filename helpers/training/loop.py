"""The training loop: ``fit`` trains a model, and keeps the weights that do best on the validation split.

A model offers ``loss(batch, **objective) -> (loss, metrics)``. One that needs more than one loss, such as a GAN, has
``step(batch, optimisers, **objective) -> (loss, metrics)`` as well, which makes the steps itself, and ``parts()``, the
parameters of each optimiser; there is no best epoch then, and the last one is kept. ``betas`` of a model are AdamW's.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from helpers.progress import Progress
from helpers.training import state
from helpers.training.feeds import Batch, feeds
from helpers.training.history import History, TrainingError
from helpers.training.processes import Tally, Team

SLOWER = 0.3  # by what the learning rate is multiplied when training goes back
FAR = 3.0  # a loss so many times its span above the highest is no chance


def ramp(until: float = 0.15, start: float = 0.0, end: float = 1.0) -> Callable[[float], float]:
    """A schedule for an argument of the objective, such as beta: from start to end over the first part of training."""
    return lambda progress: end if progress >= until else start + (end - start) * progress / until


@dataclass(frozen=True)
class Settings:
    """How to train; :func:`fit` says what each of them means. Raises ValueError for what makes no sense."""

    epochs: int = 100
    minutes: float | None = None
    batch_size: int = 50
    lr: float = 2e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = None
    objective: dict = field(default_factory=dict)
    augment: Callable | None = None
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    retries: int = 0
    save_every: float = 0.0
    quiet: bool = False
    lines: bool = True

    def __post_init__(self):
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule is {self.schedule!r}; say 'cosine' or 'constant'.")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}; say 'auto', 'float32' or 'bfloat16'.")
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs is {self.epochs} and batch_size {self.batch_size}; both must be at least 1.")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes is {self.minutes}; give a time above 0, or None for as long as it takes.")
        if self.retries < 0:
            raise ValueError(f"retries is {self.retries}; give 0 or more.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}; give a part of training, from 0 to less than 1.")

    def rate(self, progress: float) -> float:
        """The learning rate at a progress from 0 to 1."""
        if progress < self.warmup:
            return self.lr * progress / self.warmup
        if self.schedule == "constant":
            return self.lr
        return self.lr * 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))

    def options(self, progress: float) -> dict:
        """The arguments of the objective at a progress from 0 to 1."""
        return {name: value(progress) if callable(value) else value for name, value in self.objective.items()}

    def described(self) -> dict:
        """What must be equal when training goes on, as JSON can hold it."""
        names = ("epochs", "minutes", "batch_size", "lr", "schedule", "warmup", "weight_decay", "clip", "seed",
                 "precision")
        config = {name: getattr(self, name) for name in names}
        config["objective"] = {k: "schedule" if callable(v) else v for k, v in self.objective.items()}
        if self.retries:  # named only where there are some, so that older runs and sweeps keep their fingerprints
            config["retries"] = self.retries
        return config | {"augment": self.augment is not None}


def fit(
    model: nn.Module,
    data: Any,
    *,
    device: torch.device | str | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    in_memory: bool | None = None,
    **settings: Any,
) -> History:
    """Train ``model`` on the train split of ``data``, keep the weights that do best on its validation split.

    data: a Dataset, or a pair (train, valid), each a pair (x, c) or x alone; or two ``torch.utils.data``
        datasets that yield x or (x, c), which are streamed.
    device: where to train; by default where the model is.
    checkpoint: a path. The state is saved there after an epoch, if ``save_every`` seconds (0) have passed since
        the last time. A run that was stopped at any moment goes on from there, to bit-identical weights
        (unless with ``minutes``: how far those reach depends on the machine). resume: False begins anew.
    in_memory: whether to hold the data in memory; by default, if it takes less than half of what is free.

    The settings, with their defaults:

    epochs (100): passes over the training data. With minutes (None), training also ends when the time is up, and
        the learning rate follows whichever is further along.
    batch_size (50): examples a step.
    lr (2e-3), schedule ("cosine"), warmup (0): AdamW's learning rate rises over the first ``warmup`` fraction, then
        stays ("constant") or falls to zero along half a cosine wave ("cosine"). weight_decay (0) is AdamW's.
    clip (None): the largest norm that a gradient may have.
    objective: arguments for ``model.loss``; a callable is asked for its value at each step, with the
        progress from 0 to 1. Validation uses the values at progress 1: one loss for all epochs.
    augment (None): augment(x, generator) draws each training batch anew.
    seed (0): of the order of examples, of noise and dropout.
    precision ("auto"): bfloat16 where a GPU is fast at it, else the model's own; or "float32", "bfloat16".
    retries (0): how often training may go back to the best weights so far, with a lower learning rate, when the
        loss is NaN, infinite or far above all that it was; it says so the first time. History.returns counts them.
    quiet (False): no progress at all. lines (True): five lines that stay, beside the bar.

    Returns the History; the model holds the best weights, in evaluation mode. Raises TrainingError when the
    loss is NaN, infinite or grows without bound, and no retry is left; the model then holds the best weights so far.
    """
    try:
        chosen = Settings(**settings)
    except TypeError as error:
        known = ", ".join(Settings.__dataclass_fields__)
        raise TypeError(f"fit: {str(error).split('__init__() ')[-1]}; the settings are {known}.") from None
    if checkpoint is not None:  # refused before training, not after
        state.check_name(checkpoint)
    training = Training(model, data, chosen, device, in_memory)
    if checkpoint is not None and resume:
        state.resume(checkpoint, training)
    return training.run(checkpoint)


class _Objective(nn.Module):
    """model.loss as a forward pass: that is what DistributedDataParallel wraps."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch, options):
        return self.model.loss(batch, **options)


class Training:
    """One call of fit: what is trained, and how far it is. ``state`` saves it and brings it back."""

    model: Any  # a Module that has what the top of this file says
    net: nn.Module
    first: float | None  # the first loss
    span: list[float]  # the lowest loss of all batches, and the highest of the first epoch
    seen: list[float]  # the lowest and the highest of the latest epoch

    def __init__(self, model: nn.Module, data: Any, settings: Settings, device: torch.device | str | None = None,
                 in_memory: bool | None = None):
        self.model, self.settings = model, settings
        self.device = torch.device(device) if device is not None else next(model.parameters()).device
        self.dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
        model.to(self.device)
        self.team = Team.join(self.device)
        self.train, self.valid = feeds(data, self.device, self.dtype, in_memory)
        self.steps_an_epoch = math.ceil(len(self.train) / settings.batch_size)
        self.many_losses = hasattr(model, "parts")
        self.net = _Objective(model)
        if self.team.world > 1:
            if self.many_losses:
                raise TrainingError("A model with steps of its own is trained by one process; start it without "
                                    "torchrun.")
            self.net = nn.parallel.DistributedDataParallel(self.net)
        self.optimisers = self._optimisers()
        self.order = torch.Generator().manual_seed(settings.seed)  # of examples: the same in all processes
        torch.manual_seed(settings.seed + 1 + self.team.rank)  # noise and dropout: its own in each
        self.history = History(keeps="last" if self.many_losses else "best")
        self.best, self.seconds, self.first, self.span = math.inf, 0.0, None, []
        self.best_weights = _copy(model.state_dict())
        here = {"world": self.team.world, "dtype": str(self.dtype), "examples": len(self.train)}
        self.config = json.loads(json.dumps(settings.described() | here, default=repr))

    # --- the loop ------------------------------------------------------------------------------------

    def run(self, checkpoint: str | Path | None = None) -> History:
        """All epochs that are left; saves the state as the checkpoint, where one is given."""
        settings = self.settings
        self.started, saved, unsaved = time.perf_counter() - self.seconds, time.perf_counter(), False
        show = self.team.first and not settings.quiet
        progress = Progress(settings.epochs, lines=5 if settings.lines else 0, show=show, start=len(self.history))
        try:
            for number in progress:
                if settings.minutes and len(self.history) and self._elapsed() >= 60 * settings.minutes:
                    break
                row = self._row(number, say=show)
                self.seconds = row["seconds"] = self._elapsed()
                self.history.rows.append(row)
                if row["valid"] < self.best or self.many_losses:
                    self.best, self.best_weights = row["valid"], _copy(self.model.state_dict())
                unsaved = True
                if checkpoint is not None and self.team.agree(time.perf_counter() - saved) >= settings.save_every:
                    state.save(checkpoint, self)
                    saved, unsaved = time.perf_counter(), False
                progress.say(f"train {_rounded(row['train'])}   validation {_rounded(row['valid'])}")
            if checkpoint is not None and unsaved:
                state.save(checkpoint, self)
        finally:
            self.model.load_state_dict(self.best_weights)
            self.model.eval()
        return self.history

    def _row(self, number, say):
        """One epoch and its validation. If the loss breaks and a retry is left: back, and the same epoch again."""
        while True:
            try:
                row = self.epoch(number)
                row |= {f"valid {k}" if k != "loss" else "valid": v for k, v in self.evaluate().items()}
                self._check(row["valid"], f"in validation after epoch {number + 1}")
                self.span = [min(self.seen[0], self.span[0]), self.span[1]] if self.span else self.seen
                return row
            except TrainingError as error:
                if self.history.returns == self.settings.retries:
                    raise
                self._go_back(str(error) if say else "")

    def epoch(self, number: int) -> dict:
        """One pass over the training data: a row of means."""
        self.model.train()
        tally, low, high = Tally(self.team), math.inf, -math.inf
        every = 1 if self.device.type == "cpu" else 50  # on a GPU, looking at a number waits for it
        augment = self._augmentation()
        for step, batch in enumerate(self.train.batches(self.settings.batch_size, self.order, self.team)):
            whole = min(self.settings.batch_size, len(self.train) - step * self.settings.batch_size)
            weight = self.team.weight(len(batch.x), whole)
            progress = self._progress(number, step)
            loss, metrics = self.step(augment(batch), progress, weight)
            last = step == self.steps_an_epoch - 1 or progress == 1.0  # 1.0: the time is up
            if step % every == 0 or last:
                value = self._mean(loss.detach(), weight)
                self._check(value, f"at epoch {number + 1}, batch {step + 1}")
                low, high = min(low, value), max(high, value)
            tally.add({"train": loss.detach(), **metrics}, weight * whole / self.team.world)
            if last:
                break
        self.seen = [low, high]
        return {"epoch": number + 1, **tally.means(), "lr": float(self.optimisers[0].param_groups[0]["lr"])}

    def step(self, batch: Batch, progress: float, weight: float = 1.0) -> tuple[torch.Tensor, dict]:
        """One step of the optimiser on one batch; returns the loss and the metrics."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.settings.rate(progress) * SLOWER**self.history.returns
        options = self.settings.options(progress)
        if self.many_losses:
            return self.model.step(batch, self.optimisers, **options)
        with self._autocast():
            loss, metrics = self.net(batch, options)
        [optimiser] = self.optimisers
        optimiser.zero_grad(set_to_none=True)
        (loss if weight == 1 else weight * loss).backward()
        if self.settings.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        optimiser.step()
        return loss, metrics

    @torch.no_grad()
    def evaluate(self) -> dict:
        """Mean loss and metrics over the validation split, always with the same noise."""
        self.model.eval()
        options, tally = self.settings.options(1.0), Tally(Team())  # every process sees all of it
        self.team.broadcast(self.model.buffers())  # running means and the like, which each process has its own of
        with state.fixed_noise(self.device), self._autocast():
            for batch in self.valid.batches(max(1000, self.settings.batch_size)):
                loss, metrics = self.model.loss(batch, **options)
                tally.add({"loss": loss, **metrics}, len(batch.x))
        means = tally.means()
        return means | {"loss": self.team.agree(means["loss"])}  # the same epoch is the best in all processes

    # --- what a step needs ---------------------------------------------------------------------------

    def _optimisers(self):
        """One AdamW for all parameters, or one for each of the model's parts."""
        parts = self.model.parts() if self.many_losses else [self.model.parameters()]
        found = []
        for part in parts:
            parameters = [p for p in part if p.requires_grad]
            fused = all(p.dtype in (torch.float32, torch.float64) for p in parameters)
            betas = getattr(self.model, "betas", (0.9, 0.999))  # a GAN wants less momentum
            found.append(torch.optim.AdamW(parameters, lr=self.settings.lr, betas=betas,
                                           weight_decay=self.settings.weight_decay, fused=fused))
        return found

    def _augmentation(self):
        """What draws batches anew: new in every epoch, so that a state need not hold it; its own in every process."""
        if self.settings.augment is None:
            return lambda batch: batch
        seed = int(torch.randint(1 << 62, (), generator=self.order)) + self.team.rank
        generator = torch.Generator().manual_seed(seed)
        return lambda batch: Batch(self.settings.augment(batch.x, generator), batch.c)

    def _elapsed(self):
        """Seconds of training so far, by the clock of process 0."""
        return self.team.agree(time.perf_counter() - self.started)

    def _progress(self, epoch, step):
        """How far training is, from 0 to 1; by the clock, if that is further along."""
        done, minutes = (epoch + step / self.steps_an_epoch) / self.settings.epochs, self.settings.minutes
        return min(1.0, max(done, self._elapsed() / (60 * minutes))) if minutes else done

    def _mean(self, loss, weight):
        """The loss over the whole batch, of all processes."""
        if self.team.world == 1:
            return loss.item()
        return self.team.sum(weight / self.team.world * loss).item()

    def _autocast(self):
        precision = self.settings.precision
        if precision == "auto":
            fast = self.device.type == "cuda" and torch.cuda.is_bf16_supported() and self.dtype == torch.float32
            precision = "bfloat16" if fast else "float32"
        if precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, precision))

    def _check(self, loss: float, where: str) -> None:
        if self.first is None:
            self.first = abs(loss)
        if math.isfinite(loss) and abs(loss) <= 1e4 * (1 + self.first) and not self._far_above(loss):
            return
        what = f"is {loss}" if not math.isfinite(loss) else f"has grown to {loss:.3g}"
        kept = f"of epoch {self.history.best + 1}" if len(self.history) else "from before training"
        rate = self.settings.lr * SLOWER**self.history.returns
        raise TrainingError(
            f"The loss {what} {where}; try a smaller learning rate (lr={rate:g} now)"
            f"{'' if self.settings.clip else ', or clip=1.0'}, and check the data for extreme values. The model holds "
            f"the weights {kept}."
        )

    def _far_above(self, loss):
        """Whether it is time to go back: a loss above the highest of the first epoch by several times all they span.

        Without a retry it is no reason to give up: a loss in validation also rises when examples are learned by heart.
        """
        if self.many_losses or not self.span or self.history.returns == self.settings.retries:
            return False
        low, high = self.span
        return loss > high + FAR * max(high - low, abs(high), abs(low), 1.0)

    def _go_back(self, why: str) -> None:
        """To the best weights so far, with fresh moments and a lower rate; says ``why``, the first time."""
        if why and not self.history.returns:
            kept = f"those of epoch {self.history.best + 1}" if len(self.history) else "the first ones"
            print(f"{why.split(';')[0]}; training went back to the best weights, {kept}, and goes on with a learning "
                  f"rate of {SLOWER:g} times what it was.", flush=True)
        self.history.returns += 1
        self.model.load_state_dict(self.best_weights)
        self.optimisers = self._optimisers()


def _rounded(loss):
    """A loss for people: two decimals, or three digits where it is in the thousands."""
    if abs(loss) < 1000:
        return f"{loss:.2f}"
    step = 10 ** (math.floor(math.log10(abs(loss))) - 2)
    return f"{round(loss / step) * step:,}"


def _copy(weights):
    return {k: v.detach().clone() for k, v in weights.items()}
