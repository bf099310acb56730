"""A mixture of C Bernoulli prototypes for binary data: log p(x) = log Σ_j pi_j Π_d p_jd^x_d (1 - p_jd)^(1 - x_d).

Fitted by expectation-maximisation (Dempster, Laird and Rubin, 1977); the lesson Start here derives it.
"""

import numpy as np


def logsumexp(a):
    """log Σ exp(a) over the last axis, with the largest term taken out first so that nothing overflows."""
    top = a.max(axis=-1, keepdims=True)
    return top[..., 0] + np.log(np.exp(a - top).sum(axis=-1))


def log_joint(x, pi, p):
    """log p(x, j) of binary x (N, D) for weights pi (C,) and prototypes p (C, D); returns (N, C), in nats."""
    return np.log(pi) + x @ np.log(p).T + (1 - x) @ np.log(1 - p).T


def mixture_nll(x, pi, p):
    """-log p(x) of each row of x (N, D), exact, in nats: (N,)."""
    return -logsumexp(log_joint(x, pi, p))


def e_step(x, pi, p):
    """The responsibilities p(j|x) of each prototype for each row of x (N, D): (N, C), rows sum to 1."""
    lj = log_joint(x, pi, p)
    return np.exp(lj - logsumexp(lj)[:, None])


def m_step(x, r, s=0.1):
    """Weights pi (C,) and prototypes p (C, D) that fit x (N, D) best, given responsibilities r (N, C).

    ``s`` is added to every count, as if a few imaginary pixels of each kind had been seen, so that no
    probability becomes 0 or 1.
    """
    count = r.sum(axis=0)  # (C,) how many images each prototype answers for
    pi = (count + s) / (count + s).sum()
    p = (r.T @ x + s) / (count + 2 * s)[:, None]
    return pi, p


def fit_mixture(x, C, rng, steps=100, s=0.1):
    """EM for C prototypes on binary x (N, D), from random responsibilities: returns pi (C,) and p (C, D)."""
    r = rng.dirichlet(np.full(C, 0.1), size=len(x))  # (N, C)
    for _ in range(steps):
        pi, p = m_step(x, r, s)
        r = e_step(x, pi, p)
    return pi, p


def sample_mixture(n, pi, p, rng):
    """Draw n images (n, D): choose a prototype for each with probability pi, then toss a coin for every pixel."""
    j = rng.choice(len(pi), size=n, p=pi)
    return (rng.random((n, p.shape[1])) < p[j]).astype(float)
