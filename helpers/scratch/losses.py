"""Losses as negative log-likelihoods, each with its gradient, in nats per example: summed over dimensions.

Losses and gradients derives the Bernoulli and the Gaussian likelihood, the lesson on the VAE the KL divergence.
"""

import numpy as np


def sigmoid(a):
    """1 / (1 + exp(-a)), element by element. Written with tanh it cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def softplus(a):
    """log(1 + exp(a)), element by element. The exponential is taken of negative numbers only."""
    return np.log(1 + np.exp(-np.abs(a))) + np.maximum(a, 0)


def bernoulli_nll(x, a):
    """-log p(x) of binary x (N, D) under independent Bernoulli variables with logits a (N, D).

    Returns (nll, da): nll (N,) in nats, summed over the D dimensions, and its gradient da (N, D).
    With p = sigmoid(a), each dimension costs softplus(a) - x a, and its gradient is p - x.
    """
    nll = (softplus(a) - x * a).sum(axis=1)
    return nll, sigmoid(a) - x


def gaussian_nll(x, y, sigma=1.0):
    """-log p(x) of x (N, D) under independent Gaussians with means y (N, D) and one standard deviation sigma.

    Returns (nll, dy): nll (N,) in nats, summed over the D dimensions, and its gradient dy (N, D).
    Up to a constant that y cannot change, it is the squared error divided by 2σ².
    """
    error = (y - x) / sigma
    constant = x.shape[1] * np.log(sigma * np.sqrt(2 * np.pi))
    return 0.5 * np.square(error).sum(axis=1) + constant, error / sigma


def gaussian_kl(mu, logvar):
    """KL( N(mu, exp(logvar)) || N(0, 1) ) for mu and logvar of shape (N, K).

    Returns (kl, dmu, dlogvar): kl (N,) in nats, summed over the K dimensions, and its gradients (N, K)
    (Kingma and Welling, 2014, appendix B).
    """
    var = np.exp(logvar)
    kl = 0.5 * (np.square(mu) + var - 1 - logvar).sum(axis=1)
    return kl, mu, 0.5 * (var - 1)
