"""Models on disk: tensors as safetensors, everything else as JSON; ``signing`` vouches for both."""

from helpers.checkpoints.store import PICKLES, CheckpointError, card_path, check_fit, load, load_model, remove, save

__all__ = ["PICKLES", "CheckpointError", "card_path", "check_fit", "load", "load_model", "remove", "save"]
