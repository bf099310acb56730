"""The one training loop of the PyTorch half: ``fit(model, data, …)``, and what it needs.

``loop`` is the lesson: epochs, steps, validation. ``feeds`` brings batches, ``state`` saves and resumes, ``processes``
lets several processes train together as one.
"""

from helpers.training.feeds import Batch
from helpers.training.history import History, TrainingError
from helpers.training.loop import Settings, fit, ramp

__all__ = ["Batch", "History", "Settings", "TrainingError", "fit", "ramp"]
