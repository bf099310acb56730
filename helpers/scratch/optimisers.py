"""Optimisers that change one vector of weights in place, given one vector of gradients of the same shape.

Each agrees step for step with its namesake in ``torch.optim``; the lesson Training derives them.
"""

import numpy as np


class SGD:
    """Gradient descent with momentum: v ← momentum v + grad, then theta ← theta - lr v (Polyak, 1964)."""

    def __init__(self, theta, lr=0.1, momentum=0.0):
        self.lr, self.momentum = lr, momentum
        self.v = np.zeros_like(theta)

    def step(self, theta, grad):
        self.v *= self.momentum
        self.v += grad
        theta -= self.lr * self.v


class Adam:
    """A running mean m of the gradient, divided by the root of a running mean s of its square (v in the paper).

    Both means start at zero and are too small at first; dividing by 1 - beta^t mends that
    (Kingma and Ba, 2015). ``weight_decay`` also shrinks the weights by lr · weight_decay a step
    (AdamW; Loshchilov and Hutter, 2019).
    """

    block = 32768  # numbers worked on at a time: few enough to stay in the processor's cache

    def __init__(self, theta, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.weight_decay, self.t = weight_decay, 0
        self.m, self.s = np.zeros_like(theta), np.zeros_like(theta)
        self.work = np.empty(min(self.block, theta.size), theta.dtype)

    def step(self, theta, grad):
        self.t += 1
        if self.weight_decay:
            theta *= 1 - self.lr * self.weight_decay
        for start in range(0, theta.size, self.block):
            part = slice(start, start + self.block)
            self._step(theta[part], grad[part], self.m[part], self.s[part])

    def _step(self, theta, grad, m, s):
        w = self.work[: theta.size]  # scratch paper: nothing below allocates memory
        m *= self.beta1
        m += np.multiply(grad, 1 - self.beta1, out=w)  # m = β₁ m + (1 - β₁) grad
        s *= self.beta2
        np.square(grad, out=w)
        s += np.multiply(w, 1 - self.beta2, out=w)  # s = β₂ s + (1 - β₂) grad²
        np.sqrt(s, out=w)
        w *= (1 - self.beta2**self.t) ** -0.5
        w += self.eps  # √ŝ + eps
        np.divide(m, w, out=w)
        w *= self.lr / (1 - self.beta1**self.t)  # lr m̂ / (√ŝ + eps)
        theta -= w
