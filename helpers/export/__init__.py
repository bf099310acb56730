"""What leaves the notebooks: files that other programs open, written only where nothing is yet."""

from helpers.export.font import font
from helpers.export.sfz import sfz

__all__ = ["font", "sfz"]
