"""The data sets of the series. Each module has a ``load`` that returns a :class:`Dataset`."""

from helpers.data.dataset import DataError, Dataset, Split, batches

__all__ = ["DataError", "Dataset", "Split", "batches"]
