"""The error that data of any kind raise."""


class DataError(ValueError):
    """Data that cannot be used. The message says what was found, where, and what to do."""
