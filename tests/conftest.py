"""What tests share: one thread, ways to compare, and no figure that another test has left open."""

import sys

import pytest
import torch

import chromium


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """One thread: as the lessons have it, and faster where several tests share two cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_figures_of_others():
    """Every test begins without open figures, whatever ran before it in the same process."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="module")
def browser():
    """A real browser; without one the test is skipped."""
    with chromium.browser() as found:
        yield found
