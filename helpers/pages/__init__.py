"""Models as pages: one HTML file each, with the weights inside, that computes in the reader's browser.

A page asks for nothing from elsewhere and needs neither Python nor a server. Its networks are a few loops in plain
JavaScript, beside this file; a test holds their numbers against PyTorch's.
"""

from pathlib import Path
from typing import Any

from helpers.pages import own

__all__ = ["of_run", "own"]


def of_run(run: Any, out: str | Path) -> Path:
    """Write the page of the reader's own finished ``Run``; see :func:`helpers.pages.own.write`."""
    return own.write(run, out)
