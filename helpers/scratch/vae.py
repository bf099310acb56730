"""A variational autoencoder in NumPy: Gaussian codes, Bernoulli pixels, and every gradient by hand.

The encoder maps x (N, D) to the mean and log-variance of a Gaussian over codes z (N, K); the decoder maps
z to the logits of D independent pixels. Training maximises the evidence lower bound
log p(x) ≥ E[log p(x|z)] - KL(q(z|x) || p(z)) (Kingma and Welling, 2014; Rezende et al., 2014).
"""

import math

import numpy as np

from helpers.data.dataset import batches
from helpers.progress import Progress
from helpers.scratch.layers import mlp, pack
from helpers.scratch.losses import bernoulli_nll, gaussian_kl, sigmoid
from helpers.scratch.mixture import logsumexp
from helpers.scratch.optimisers import Adam


class VAE:
    """Encoder D → hidden → 2K and decoder K → hidden reversed → D, both with tanh between their layers.

    All weights live in one vector ``theta``, all gradients in ``grad``. The arithmetic is done in
    ``dtype``; examples and noise must have it too. float32 trains twice as fast as float64.
    """

    def __init__(self, D, hidden, K, rng, dtype=np.float64):
        self.K, self.dtype = K, dtype
        self.encoder = mlp([D, *hidden, 2 * K], rng, dtype)
        self.decoder = mlp([K, *reversed(hidden), D], rng, dtype)
        self.theta, self.grad = pack(self.encoder, self.decoder)

    def encode(self, x):
        """Mean and log-variance of q(z|x), each (N, K)."""
        return np.split(self.encoder.forward(x), 2, axis=1)  # mu, logvar: (N, K) each

    def decode(self, z):
        """The logits a (N, D) of p(x|z)."""
        return self.decoder.forward(z)

    def loss_and_grad(self, x, eps, beta=1.0):
        """Both terms of the negative ELBO for each of N examples, and the gradient of their mean in ``grad``.

        x (N, D) is binary, eps (N, K) is standard normal noise. Returns (rec, kl), each (N,), in nats: the
        reconstruction term -log p(x|z), and the divergence from the prior. The gradient is that of
        mean(rec + beta · kl).
        """
        mu, logvar = self.encode(x)
        sigma = np.exp(0.5 * logvar)
        z = mu + sigma * eps
        rec, da = bernoulli_nll(x, self.decode(z))
        kl, dmu_kl, dlogvar_kl = gaussian_kl(mu, logvar)

        share = 1 / len(x)  # of one image in the mean over the batch
        dz = self.decoder.backward(share * da)
        dmu = dz + share * beta * dmu_kl
        dlogvar = dz * eps * (0.5 * sigma) + share * beta * dlogvar_kl
        self.encoder.backward(np.hstack([dmu, dlogvar]), need_dx=False)
        return rec, kl


def terms(model, x, rng, samples=1):
    """The two terms of the negative ELBO, rec and kl, each (N,) in nats; ``samples`` codes for each example."""
    mu, logvar = model.encode(x)
    kl, _, _ = gaussian_kl(mu, logvar)
    rec = np.zeros(len(x))
    for _ in range(samples):
        z = mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape, dtype=model.dtype)
        rec += bernoulli_nll(x, model.decode(z))[0] / samples
    return rec, kl


def iwae(model, x, k, rng):
    """The importance-weighted bound on -log p(x) from k codes for each example: (N,), in nats.

    -log mean of w over k codes, with w = p(x|z) p(z) / q(z|x). It is at most the negative ELBO on average,
    and falls towards -log p(x) as k grows (Burda, Grosse and Salakhutdinov, 2016).
    """
    mu, logvar = model.encode(x)
    log_w = np.empty((len(x), k))
    for i in range(k):
        eps = rng.standard_normal(mu.shape, dtype=model.dtype)
        z = mu + np.exp(0.5 * logvar) * eps
        rec, _ = bernoulli_nll(x, model.decode(z))
        log_ratio = 0.5 * (eps**2 + logvar - z**2).sum(axis=1)  # log p(z) - log q(z|x); the constants cancel
        log_w[:, i] = log_ratio - rec
    return np.log(k) - logsumexp(log_w)


def sample(model, n, rng):
    """n images that nobody drew: codes from the prior, decoded. Returns pixel probabilities (n, D)."""
    z = rng.standard_normal((n, model.K), dtype=model.dtype)
    return sigmoid(model.decode(z))


def fit(model, x, x_valid, rng, epochs=300, batch_size=50, lr=2e-3, beta=1.0, augment=None):
    """Train by Adam, with the learning rate falling to zero along a cosine; keep the best weights.

    ``augment(x, rng)`` may draw each batch anew. After every epoch the negative ELBO on ``x_valid`` is
    estimated, always with the same noise, and the weights that gave the lowest are put back at the end.
    Returns the history, (epochs, 2): train and validation, in nats per example.
    """
    optimiser = Adam(model.theta, lr)
    history, best, best_theta = [], np.inf, model.theta.copy()
    progress = Progress(epochs)
    for epoch in progress:
        total = 0.0
        for step, index in enumerate(batches(len(x), batch_size, rng)):
            done = (epoch + step * batch_size / len(x)) / epochs
            optimiser.lr = lr * 0.5 * (1 + math.cos(math.pi * done))
            xb = x[index] if augment is None else augment(x[index], rng)
            eps = rng.standard_normal((len(xb), model.K), dtype=model.dtype)
            rec, kl = model.loss_and_grad(xb, eps, beta)
            optimiser.step(model.theta, model.grad)
            total += rec.sum() + beta * kl.sum()
        rec, kl = terms(model, x_valid, np.random.default_rng(0))
        history.append((total / len(x), (rec + kl).mean()))
        if history[-1][1] < best:
            best, best_theta = history[-1][1], model.theta.copy()
        progress.say(f"train {history[-1][0]:.2f}   validation {history[-1][1]:.2f}")
    model.theta[:] = best_theta
    return np.array(history)
