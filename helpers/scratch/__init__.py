"""The NumPy half of the series: what Part I builds by hand, kept for later lessons.

A test compares every function here with the one of the same name in its notebook, line by line.
"""

from helpers.scratch.gradcheck import numerical_gradient, relative_error
from helpers.scratch.layers import Linear, Sequential, Tanh, mlp, pack
from helpers.scratch.losses import bernoulli_nll, gaussian_kl, gaussian_nll, sigmoid, softplus
from helpers.scratch.mixture import (
    e_step,
    fit_mixture,
    log_joint,
    logsumexp,
    m_step,
    mixture_nll,
    sample_mixture,
)
from helpers.scratch.optimisers import SGD, Adam
from helpers.scratch.vae import VAE, fit, iwae, sample, terms

__all__ = [
    "SGD", "VAE", "Adam", "Linear", "Sequential", "Tanh", "bernoulli_nll", "e_step", "fit", "fit_mixture",
    "gaussian_kl", "gaussian_nll", "iwae", "log_joint", "logsumexp", "m_step", "mixture_nll", "mlp",
    "numerical_gradient", "pack", "relative_error", "sample", "sample_mixture", "sigmoid", "softplus",
    "terms",
]
