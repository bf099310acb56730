"""What tests share: one thread, and ways to compare."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """One thread: as the lessons have it, and faster where several tests share two cores."""
    torch.set_num_threads(1)
