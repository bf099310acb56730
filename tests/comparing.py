"""Ways to compare that several test modules share."""

import contextlib

import pytest
import torch


def weights(model) -> dict:
    """A copy of a model's weights, or of those of a run."""
    model = getattr(model, "model", model)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a, b) -> bool:
    """Whether two dicts of tensors are equal to the bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@contextlib.contextmanager
def refused(error, message):
    """What is inside must be refused, in one sentence."""
    with pytest.raises(error, match=message) as caught:
        yield caught
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value), str(caught.value)


def contents(folder) -> dict:
    """Every file below a folder, hidden ones included, and what is in it."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
