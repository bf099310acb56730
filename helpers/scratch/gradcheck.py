"""Check a gradient written by hand against central differences: (f(entry + h) - f(entry - h)) / 2h for every entry."""

import numpy as np


def numerical_gradient(f, array, h=1e-5):
    """The gradient of f() with respect to a float64 array that f reads; the array is left as it was.

    f takes no argument and returns a number. Two evaluations for each entry: for checking only.
    The error is of order h² from the third derivative, and 1e-16 / h from rounding.
    """
    gradient = np.zeros_like(array)
    for i in np.ndindex(array.shape):
        old = array[i]
        array[i] = old + h
        above = f()
        array[i] = old - h
        below = f()
        array[i] = old
        gradient[i] = (above - below) / (2 * h)
    return gradient


def relative_error(a, b):
    """The largest difference between two arrays, relative to their largest entry."""
    return np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max(), 1e-300)
