"""Layers with a forward and a backward pass written by hand, and the one vector that holds their weights.

A layer maps a batch (N, n_in) to a batch (N, n_out). ``backward`` takes dL/dy, stores dL/d(weights) and
returns dL/dx: the chain rule, one layer at a time (Rumelhart, Hinton and Williams, 1986).
The lesson Losses and gradients derives every line. What is added here is for speed: gradients are written into
arrays that exist (``out=``, so that ``pack`` can lay them end to end), a network's first layer may skip dL/dx
(``need_dx=False``), and the numbers may be float32 (``dtype``). A test shows that both give the same numbers.
"""

from itertools import pairwise

import numpy as np


class Linear:
    """y = x W + b, with x (N, n_in), W (n_in, n_out), b (n_out,) and y (N, n_out).

    W starts with variance 1 / n_in, so that y varies about as much as x (LeCun et al., 1998); b starts at 0.
    """

    names = ("W", "b")

    def __init__(self, n_in, n_out, rng, dtype=np.float64):
        self.W = (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(dtype)
        self.b = np.zeros(n_out, dtype)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        y = x @ self.W  # (N, n_out)
        y += self.b
        return y

    def backward(self, dy, need_dx=True):
        np.matmul(self.x.T, dy, out=self.dW)  # (n_in, n_out)
        dy.sum(axis=0, out=self.db)  # (n_out,)
        return dy @ self.W.T if need_dx else None  # (N, n_in)


class Tanh:
    """y = tanh(x), element by element; dy/dx = 1 - y²."""

    names = ()

    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy, need_dx=True):
        return dy * (1 - self.y**2)


class Sequential:
    """Layers in a row: forward from first to last, backward from last to first."""

    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy, need_dx=True):
        for layer in reversed(self.layers):
            dy = layer.backward(dy, need_dx or layer is not self.layers[0])  # only the first may skip it
        return dy


def mlp(sizes, rng, dtype=np.float64):
    """A multilayer perceptron: Linear layers of the given sizes with Tanh between them, none at the end."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [Linear(n_in, n_out, rng, dtype), Tanh()]
    return Sequential(*layers[:-1])


def pack(*networks):
    """Lay all weights of the networks end to end in one vector theta, and all gradients in one vector grad.

    Every layer keeps working on its own slice, as a view: when an optimiser changes theta in place, the
    layers change with it. Returns (theta, grad), both of shape (P,).
    """
    slots = [(layer, name) for net in networks for layer in net.layers for name in layer.names]
    theta = np.concatenate([getattr(layer, name).ravel() for layer, name in slots])
    grad, start = np.zeros_like(theta), 0
    for layer, name in slots:
        old = getattr(layer, name)
        here = slice(start, start + old.size)
        setattr(layer, name, theta[here].reshape(old.shape))
        setattr(layer, "d" + name, grad[here].reshape(old.shape))
        start = here.stop
    return theta, grad
