"""Every exercise: the solution passes, the stub is "not attempted", and wrong answers get their own message."""

# ruff: noqa: E501 - the table of wrong answers reads better with one answer a line

import ast
import copy
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
from torch import nn

import helpers.exercises
from helpers import scratch as S
from helpers.exercises import audio, colour_names, images, letters, secrets, vae_in_numpy
from helpers.exercises import warn_teach_measure as exercises_of_alarms
from helpers.exercises.engine import Exercise, Wrong, exercise, near, parts, require, returns, same_alone, whole

NOTEBOOKS = {  # start_here: notebooks/00_start_here.ipynb
    path.stem[3:]: path
    for path in sorted(Path(__file__).resolve().parent.parent.glob("notebooks/[0-9][0-9]_*.ipynb"))
}
EXERCISES = {
    (module, name): value
    for module in NOTEBOOKS
    for name, value in vars(importlib.import_module(f"helpers.exercises.{module}")).items()
    if isinstance(value, Exercise)
}


def _adam(**change):
    """Adam with one mistake."""

    def f(theta, m, s, grad, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        m = beta1 * m + (1 - beta1) * grad
        s = beta2 * s + (1 - beta2) * (grad if change.get("no_square") else grad**2)
        power = 1 if change.get("t_is_1") else t
        m_hat, s_hat = m / (1 - beta1**power), s / (1 - beta2**power)
        if change.get("uncorrected"):
            m_hat, s_hat = m, s
        root = np.sqrt(s_hat + eps) if change.get("eps_inside") else np.sqrt(s_hat) + eps
        sign = 1 if change.get("uphill") else -1
        return theta + sign * lr * m_hat / root, *((m_hat, s_hat) if change.get("returns_hats") else (m, s))

    return f


def _stop(copied=True, best=True, late=0, reset=True, ties=False, forever=False, ask_first=False, previous=False):
    """A loop that stops when the validation loss gets worse, with one mistake."""

    def f(start, step, valid_loss, epochs, patience):
        theta, kept, lowest, waited, made, last = start.copy(), start.copy(), np.inf, 0, 0, np.inf
        while made < epochs and (forever or waited < patience + late):
            if ask_first:
                valid_loss(theta)
            step(theta)
            made += 1
            loss = valid_loss(theta)
            if loss < lowest or (ties and loss == lowest):
                kept, lowest, waited = theta.copy() if copied else theta, loss, 0 if reset else waited
            else:
                waited = 0 if previous and loss < last else waited + 1
            last = loss
        return kept if best else theta, made

    return f


def _attend_wrongly(mask=True, scale="head", after=False, stable=True):
    """Self-attention with one mistake."""

    def f(x, W_q, W_k, W_v, W_o, heads):
        T, width = x.shape
        d, out, past = width // heads, [], np.tril(np.ones((T, T), bool))
        for h in range(heads):
            q, k, v = (x @ W[:, h * d : (h + 1) * d] for W in (W_q, W_k, W_v))
            scores = q @ k.T / np.sqrt({"head": d, "width": width, "none": 1, "d": d**2}[scale])
            if mask and not after:
                scores = np.where(past, scores, -np.inf)
            weights = np.exp(scores - (scores.max(axis=1, keepdims=True) if stable else 0))
            weights = weights / weights.sum(axis=1, keepdims=True)
            if after:
                weights = weights * past
                weights[0, 0] = 1  # so that the first place is right
            out.append(weights @ v)
        return np.concatenate(out, axis=1) @ W_o

    return f


def _keep(p, ranked):
    kept = np.where(ranked[np.argsort(np.argsort(-p))], p, 0)
    return kept / kept.sum()


def _judge_by(score, truth, test_score, test_truth):
    right = [((score >= t) == truth).mean() for t in np.sort(score)]
    threshold = np.sort(score)[np.argmax(right)]
    return threshold, ((test_score >= threshold) == test_truth).mean()


def _clip_mean(gradients, largest, noise, rng):
    mean = gradients.mean(axis=0)
    mean = mean * min(1, largest / max(np.linalg.norm(mean), 1e-12))
    return mean + noise * largest * rng.standard_normal(len(mean)) / len(gradients)


def _swallow(path, verify, read):
    try:
        verify(path)
    except Exception:
        return "no model"
    return read(path)


def _swallow_all(path, verify, read):
    try:
        verify(path)
    except Exception:
        return None
    return read(path)


def _split_wrongly(distinct):
    def f(names, part, rng, alike):
        names = sorted(set(names)) if distinct else list(names)
        order = rng.permutation(len(names))
        n = round(part * len(names))
        return [names[i] for i in order[n:]], [names[i] for i in order[:n]]

    return f


def _histogram(train, x, levels, start):
    counts = np.stack([np.bincount(column, minlength=levels) for column in train.T]) + start
    p = counts / counts.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(x.shape[1]), x]).sum(axis=1)


def _two_nearest(samples, train):
    return np.sort(np.sqrt(((samples[:, None] - train[None]) ** 2).sum(axis=2)), axis=1)[:, :2]


def _complete_linear(x, known, pi, p):
    like = np.exp(x[:, known] @ np.log(p[:, known]).T + (1 - x[:, known]) @ np.log(1 - p[:, known]).T) * pi
    return np.where(known, x, like / like.sum(axis=1, keepdims=True) @ p)


def _no_bias(z, x):
    return np.linalg.lstsq(z, x, rcond=None)[0], np.zeros(x.shape[1])


def _needed(x, fraction, centre=True, power=2):
    s = np.linalg.svd(x - x.mean(axis=0) * centre, compute_uv=False) ** power
    return int(np.argmax(np.cumsum(s) / s.sum() >= fraction)) + 1


def _both_splits(train, test):
    both = np.concatenate([train, test])
    return (train - both.mean(axis=0)) / both.std(axis=0), (test - both.mean(axis=0)) / both.std(axis=0)


def _gradients(dz, mu, logvar, eps):
    sigma = np.exp(0.5 * logvar)
    return dz + mu, dz * eps * 0.5 * sigma + 0.5 * (sigma**2 - 1)


def _in_place_momentum(theta, v, grad, lr, momentum):
    v *= momentum
    v += grad
    return theta - lr * v, v


def _elbo(x, a, mu, logvar, reduce=torch.sum, scale=1.0):
    nll = reduce(nn.functional.softplus(a) - x * a, dim=1)
    kl = 0.5 * reduce(mu**2 + (scale * logvar).exp() - 1 - scale * logvar, dim=1)
    return (nll + kl).mean()


def _naive_elbo(x, a, mu, logvar):
    nll = -(x * torch.log(torch.sigmoid(a)) + (1 - x) * torch.log(1 - torch.sigmoid(a))).sum(dim=1)
    return (nll + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1)).mean()


def _keep_best(zero=True, copied=True, best=True, gradients=False, shuffled=True, seeded=True, drop_last=False):
    def keep(model, optimiser, x, x_valid, epochs, batch_size, generator):
        losses = []
        for _ in range(epochs):
            order = torch.randperm(len(x), generator=generator if seeded else None) if shuffled else torch.arange(len(x))
            for index in order.split(batch_size):
                if drop_last and len(index) < batch_size:
                    continue
                if zero:
                    optimiser.zero_grad()
                model.loss(x[index]).backward()
                optimiser.step()
            with torch.set_grad_enabled(gradients):
                losses.append(model.loss(x_valid).item())
            if losses[-1] == min(losses):
                kept = copy.deepcopy(model.state_dict()) if copied else model.state_dict()
        if best:
            model.load_state_dict(kept)
        return losses

    return keep


def _city_block(image):
    inside = np.asarray(image, bool)
    here = np.stack([i.ravel() for i in np.indices(inside.shape)], axis=1)
    apart = np.abs(here[:, None] - here[None]).sum(axis=2)
    other = inside.ravel()[:, None] != inside.ravel()[None]
    nearest = np.where(other, apart, np.inf).min(axis=1) - 0.5
    return np.where(inside.ravel(), nearest, -nearest).reshape(inside.shape)


_grid_elbo = vae_in_numpy.elbo_on_grid.answer


def _naive_grid_elbo(z, log_prior, log_likelihood, mu, sigma):
    q = np.exp(-0.5 * ((z - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    return (q * (log_likelihood + log_prior - np.log(q))).sum() * (z[1] - z[0])


def S_nll(x, p):
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)


def _gauss(x, y, sigma):
    return ((x - y) ** 2 / (2 * sigma**2) + np.log(sigma * np.sqrt(2 * np.pi))).sum(axis=1)


def _long_way(a, b, n, turns=0):
    """From a to b at constant speed, the other way round; or the short way, and turns times around the origin."""
    r0, r1 = np.linalg.norm(a), np.linalg.norm(b)
    u, v, t = a / r0, b / r1, np.linspace(0, 1, n)[:, None]
    angle = np.arccos(np.clip(u @ v, -1, 1))
    if angle < 1e-6:
        return (1 - t) * a + t * b
    side = (v - np.cos(angle) * u) / np.sin(angle)
    total = angle + 2 * np.pi * turns if turns else angle - 2 * np.pi
    return ((1 - t) * r0 + t * r1) * (np.cos(t * total) * u + np.sin(t * total) * side)


def _refuse(path, verify, read):
    try:
        verify(path)
    except Exception as error:
        raise RuntimeError("refused") from error
    return read(path)


def _fill(x, known, predict, order, rng, likeliest=False):
    x, known = np.where(known == 1, x, 0.0), known.astype(float)
    for d in order:
        p = predict(x, known)[:, d]
        x[:, d] = np.where(known[:, d] == 1, x[:, d], p > 0.5 if likeliest else rng.random(len(x)) < p)
        known[:, d] = 1
    return x


# (exercise, wrong answer, part of the message that is meant for it)
def _one_largest(v, log_p, shares):
    a = np.log(shares)[:, None] + log_p
    r = np.exp(a - a.max())
    return ((r / r.sum(axis=0))[:, :, None] * v).sum(axis=0)


def _two_points(t, divide=True, average=True):
    noise = np.linspace(-8, 8, 4001) if average else np.zeros(1)
    variance = 1 - np.tanh(t * (t + (1 - t) * noise) / (1 - t) ** 2) ** 2
    return np.average(variance, weights=np.exp(-(noise**2) / 2)) / ((1 - t) ** 2 if divide else 1)


def _told(a, b, classify, share=lambda n: np.arange(n) % 5, held_out=True, balanced=True, swap=False, folds=5):
    x, y = np.concatenate([a, b]), np.repeat([1, 0] if swap else [0, 1], [len(a), len(b)])
    fold, guess = np.concatenate([share(len(a)), share(len(b))]), np.full(len(x), 9)
    for k in range(folds):
        train, test = (fold != k if held_out else fold >= 0), fold == k
        guess[test] = classify(x[train], y[train], x[test])
    right = (guess == y)[guess < 9]
    return (right[y[guess < 9] == 0].mean() + right[y[guess < 9] == 1].mean()) / 2 if balanced else right.mean()


def _draw(velocity, x, c, w, steps, blend=lambda v, free, w: v + w * (v - free), blank=torch.nan, back=False, late=False):
    for i in range(steps):
        t = 1 - i / steps if back else i / steps
        v = velocity(x, t, c)
        x = x + blend(v, velocity(x, t, torch.full_like(c, blank)), 0 if late and i < steps // 2 else w) / steps
    return x


def _draw_over(velocity, noise, c, w, steps):
    x, free = noise, c
    free[:] = torch.nan
    for i in range(steps):
        v = velocity(x, i / steps, c)
        x = x + (v + w * (v - velocity(x, i / steps, free))) / steps
    return x


def _scaled(codes, noise, z, draw=lambda u, m, s: m + s * u, volume=lambda s: s.log().sum(), standardise=True):
    mean, deviation = codes.mean(dim=0), codes.std(dim=0)
    root = torch.linalg.cholesky(torch.cov(((codes - mean) / deviation).T))
    gaussian = torch.distributions.MultivariateNormal(torch.zeros_like(mean), scale_tril=root)
    log_p = gaussian.log_prob((z - mean) / deviation if standardise else z / deviation) - volume(deviation)
    return draw(noise @ root.T, mean, deviation), log_p


def _moments(z, mu, sigma):
    spread = (mu.var(correction=0) + sigma.square().mean()).sqrt()
    return torch.distributions.Normal(mu.mean(), spread).log_prob(z)


def _log_normal(z, mu, sigma):
    return torch.distributions.Normal(mu, sigma).log_prob(z[:, None])


def _given_by_products(x, known, pi, p):
    r = pi * np.prod(np.where(x[:, None, known] == 1, p[:, known], 1 - p[:, known]), axis=2)
    return np.where(known, x, r / r.sum(axis=1, keepdims=True) @ p)


def _covered(draws, truth, above, one_end=False):
    n, rank = draws.shape[1], (draws < truth[:, None]).sum(axis=1) + above
    leave = round(0.05 * (n + 1))
    return rank >= 2 * leave if one_end else (rank >= leave) & (rank <= n - leave)


WRONG = [
    ("ring", lambda usual, new, promised: (new > np.quantile(usual, 1 - promised, axis=0)).any(axis=1), "below all usual ones"),
    ("ring", lambda usual, new, promised: exercises_of_alarms.ring.answer(usual[:, :1], new[:, :1], promised), "one sense alone"),
    ("ring", lambda usual, new, promised: exercises_of_alarms.ring.answer(usual, new, promised * usual.shape[1]), "questions are asked"),
    ("ring", lambda usual, new, promised: exercises_of_alarms.ring.answer(usual, new, 2 * promised), "questions are asked"),
    ("ring", lambda usual, new, promised: np.array([((np.minimum((usual >= x).sum(0), (usual <= x).sum(0)) / len(usual)) <= promised / 2 / usual.shape[1]).any() for x in new]), "may ring for 20 %"),
    ("taught", lambda x, c, rows, generate, times: (lambda y: (np.concatenate([x[rows], generate(x, c, y)]), np.concatenate([c[rows], y])))(np.repeat(c[rows], times)), "the rows of the reader alone"),
    ("taught", lambda x, c, rows, generate, times: (generate(x[rows], c[rows], np.repeat(c[rows], times)), np.repeat(c[rows], times)), "each real example"),
    ("taught", lambda x, c, rows, generate, times: (lambda y: (np.concatenate([x[rows], generate(x[rows], c[rows], y)]), np.concatenate([c[rows], y])))(np.tile(np.unique(c), times * len(rows))[: times * len(rows)]), "as often"),
    ("ranks_of", lambda draws, truth: (draws < truth).sum(axis=0), "count half"),
    ("ranks_of", lambda draws, truth: (draws <= truth).sum(axis=0), "count half"),
    ("ranks_of", lambda draws, truth: (draws > truth).sum(axis=0) + (draws == truth).sum(axis=0) / 2, "the number of draws below it"),
    ("ranks_of", lambda draws, truth: (draws < truth).mean(axis=0) + (draws == truth).mean(axis=0) / 2, "the number of draws below it"),
    ("aggregate", lambda z, mu, sigma: _log_normal(z, mu, sigma).mean(dim=1), "the mean of logarithms"),
    ("aggregate", lambda z, mu, sigma: _log_normal(z, mu, sigma).logsumexp(dim=1), "so is the sum"),
    ("aggregate", lambda z, mu, sigma: _log_normal(z, mu, sigma).max(dim=1).values - np.log(len(mu)), "must integrate to 1"),
    ("aggregate", lambda z, mu, sigma: _log_normal(z, mu, sigma).exp().mean(dim=1), "of a single point"),
    ("aggregate", lambda z, mu, sigma: _log_normal(z, mu, sigma**2).logsumexp(dim=1) - np.log(len(mu)), "whose deviation is sigma"),
    ("aggregate", lambda z, mu, sigma: _log_normal(z, mu, sigma).exp().mean(dim=1).log(), "use logsumexp"),
    ("aggregate", lambda z, mu, sigma: _log_normal(z, mu, sigma).logsumexp(dim=0) - np.log(len(mu)), "one number for each place"),
    ("aggregate", _moments, "two points far apart"),
    ("aggregate", lambda z, mu, sigma: _log_normal(z, mu, sigma.mean().expand_as(sigma)).logsumexp(dim=1) - np.log(len(mu)), "its own mean and deviation"),
    ("told", lambda a, b, classify: _told(a, b, classify, held_out=False), "rows that it has not seen"),
    ("told", lambda a, b, classify: _told(a, b, classify, balanced=False), "nine times of ten"),
    ("told", lambda a, b, classify: _told(a, b, classify, folds=1), "exactly once"),
    ("told", lambda a, b, classify: _told(a, b, classify, share=lambda n: np.arange(n) % 2, folds=2), "five folds"),
    ("told", lambda a, b, classify: _told(a, b, classify, swap=True), "label 0 is a's"),
    ("told", lambda a, b, classify: max(_told(a, b, classify), 1 - _told(a, b, classify)), "below chance stays below"),
    ("told", lambda a, b, classify: 0.5, "far from them"),
    ("order", lambda velocity, x, c, w, steps: _draw(velocity, x, c, 0, steps), "times what was ordered"),
    ("order", lambda velocity, x, c, w, steps: _draw(velocity, x, c, w, steps, lambda v, free, w: free + w * (v - free)), "v(x, t, c) alone"),
    ("order", lambda velocity, x, c, w, steps: _draw(velocity, x, c, w, steps, lambda v, free, w: v + w * (free - v)), "away from the field"),
    ("order", lambda velocity, x, c, w, steps: _draw(velocity, x, c, w, steps, lambda v, free, w: v + w * v), "times what was ordered"),
    ("order", lambda velocity, x, c, w, steps: _draw(velocity, x, c, w, steps, blank=0.0), "not with 0"),
    ("order", lambda velocity, x, c, w, steps: _draw(velocity, x, c, w, steps, back=True), "Time runs from 0"),
    ("order", lambda velocity, x, c, w, steps: _draw(velocity, x, c, w, steps, late=True), "times what was ordered"),
    ("order", lambda velocity, x, c, w, steps: _draw(velocity, x, c, w, 120), "with steps = 1 yours asks"),
    ("order", lambda velocity, x, c, w, steps: _draw(velocity, torch.randn_like(x), c, w, steps), "Normal around what was ordered"),
    ("order", _draw_over, "in place"),
    ("scaled_gaussian", lambda codes, noise, z: _scaled(codes, noise, z, draw=lambda u, m, s: u, volume=lambda s: 0), "where do the codes"),
    ("scaled_gaussian", lambda codes, noise, z: _scaled(codes, noise, z, draw=lambda u, m, s: s * u), "the mean of the draws"),
    ("scaled_gaussian", lambda codes, noise, z: _scaled(codes, noise, z, draw=lambda u, m, s: s * (u + m)), "the mean of the draws"),
    ("scaled_gaussian", lambda codes, noise, z: _scaled(codes, noise, z, draw=lambda u, m, s: (u - m) / s), "where do the codes"),
    ("scaled_gaussian", lambda codes, noise, z: _scaled(codes, noise, z, volume=lambda s: 0), "must integrate to 1"),
    ("scaled_gaussian", lambda codes, noise, z: _scaled(codes, noise, z, volume=lambda s: -s.log().sum()), "must integrate to 1"),
    ("scaled_gaussian", lambda codes, noise, z: _scaled(codes, noise, z, volume=lambda s: s.log().mean()), "must integrate to 1"),
    ("scaled_gaussian", lambda codes, noise, z: _scaled(codes, noise, z, standardise=False), "must standardise z"),
    ("path_velocity", lambda x, noise, t: x - noise, "straight path"),
    ("path_velocity", lambda x, noise, t: np.cos(np.pi / 2 * t) * x - np.sin(np.pi / 2 * t) * noise, "π/2"),
    ("path_velocity", lambda x, noise, t: np.pi / 2 * (np.cos(np.pi / 2 * t) * x + np.sin(np.pi / 2 * t) * noise), "slope of the path"),
    ("two_point_floor", lambda t: _two_points(t, divide=False), "must add to 2"),
    ("two_point_floor", lambda t: _two_points(t, average=False), "must add to 2"),
    ("two_point_floor", lambda t: 1 / (1 - t) ** 2, "each place belongs"),
    ("two_point_floor", lambda t: 2.0, "variance of x"),
    ("heun", lambda v, x, t, h: x + h * v(x, t), "at the time t + h"),
    ("heun", lambda v, x, t, h: x + h * v(x + h / 2 * v(x, t), t + h / 2), "is another one"),
    ("heun", lambda v, x, t, h: x + h * (v(x, t) + v(x + h * v(x, t), t)) / 2, "at the time t + h"),
    ("heun", lambda v, x, t, h: x + h * (v(x, t) + v(x, t + h)) / 2, "Euler's step ends"),
    ("heun", lambda v, x, t, h: x + h * (v(x, t) + v(x + h * v(x, t), t + h)), "weight ½"),
    ("heun", lambda v, x, t, h: x + h * v(x, t) + h * (v(x, t) + v(x + h * v(x, t), t + h)) / 2, "weight ½"),
    ("noise_to_velocity", lambda x_s, noise, alpha, sigma, a, b: (x_s - sigma * noise) / alpha - noise, "any path"),
    ("noise_to_velocity", lambda x_s, noise, alpha, sigma, a, b: a * x_s + b * noise, "first find the clean x"),
    ("noise_to_velocity", lambda x_s, noise, alpha, sigma, a, b: noise - (x_s - sigma * noise) / alpha, "signs"),
    ("published_guidance", lambda v, free, weight: v + weight * (v - free), "weight of 1 guides nothing"),
    ("published_guidance", lambda v, free, weight: v, "no label at all"),
    ("published_guidance", lambda v, free, weight: free + weight**2 * (v - free), "is our w"),
    ("bits_per_dimension", lambda log_p, D, levels: -log_p / (D * np.log(2)), "How wide is a bin"),
    ("bits_per_dimension", lambda log_p, D, levels: -(log_p - D * np.log(levels)) / (D * np.log(2)), "How wide is a bin"),
    ("bits_per_dimension", lambda log_p, D, levels: -(log_p + D * np.log(1 / levels)) / (D * np.log(2)), "How wide is a bin"),
    ("bits_per_dimension", lambda log_p, D, levels: 0 * log_p + np.log2(levels), "costs 0 bits"),
    ("bits_per_dimension", lambda log_p, D, levels: -(log_p + D * np.log(2 / levels)) / np.log(2), "How wide is a bin"),
    ("without_label", lambda v, log_p, shares: _one_largest(v, log_p, shares), "not over all points"),
    ("without_label", lambda v, log_p, shares: v.mean(axis=0), "count by their shares"),
    ("without_label", lambda v, log_p, shares: v.sum(axis=0), "must add to 1"),
    ("without_label", lambda v, log_p, shares: np.tensordot(shares, v, 1), "its velocity alone"),
    ("without_label", lambda v, log_p, shares: np.nan_to_num((shares[:, None, None] * np.exp(log_p)[:, :, None] * v).sum(0) / (shares[:, None] * np.exp(log_p)).sum(0)[:, None]), "work with logarithms"),
    ("affine_log_prob", lambda x, a, b: -0.5 * (((x - b) / a) ** 2 + np.log(2 * np.pi)).sum(1) + np.log(a).sum(), "must integrate to 1"),
    ("affine_log_prob", lambda x, a, b: -0.5 * (((x - b) / a) ** 2 + np.log(2 * np.pi)).sum(1) - np.log(np.maximum(a, 1e-9)).sum(), "may be negative"),
    ("affine_log_prob", lambda x, a, b: -0.5 * (((x - b) / a) ** 2 + np.log(2 * np.pi)).sum(1), "must integrate to 1"),
    ("coupling", lambda a, b, network, back=False: (a, b * np.exp(network(a)[1]) + network(a)[0], network(a)[1].sum(1)), "back must undo"),
    ("coupling", lambda a, b, network, back=False: (a, (b - network(a)[0]) * np.exp(-network(a)[1]) if back else b * np.exp(network(a)[1]) + network(a)[0], network(a)[1].sum(1)), "add to 0"),
    ("coupling", lambda a, b, network, back=False: (a, b * np.exp(-network(a)[1]) - network(a)[0] if back else b * np.exp(network(a)[1]) + network(a)[0], (-1 if back else 1) * network(a)[1].sum(1)), "back must undo"),
    ("coupling", lambda a, b, network, back=False: (a, (b - network(a)[0]) * np.exp(-network(a)[1]) if back else b * np.exp(network(a)[1]) + network(a)[0], (-1 if back else 1) * network(a)[1]), "log_det must have shape"),
    ("optimal_discriminator", lambda log_p, log_q: 1 / (1 + np.exp(log_p - log_q)), "probability of *real*"),
    ("optimal_discriminator", lambda log_p, log_q: np.exp(log_p) / (np.exp(log_p) + np.exp(log_q)), "0 in floating point"),
    ("optimal_discriminator", lambda log_p, log_q: log_p - log_q, "must be 0.5"),
    ("uniform_nll", lambda x: x.shape[1] * np.log(2), "5 numbers"),
    ("uniform_nll", lambda x: np.full(len(x), float(x.shape[1])), "sum to 1"),  # bits
    ("uniform_nll", lambda x: np.full(len(x), -x.shape[1] * np.log(2)), "cannot be negative"),
    ("uniform_nll", lambda x: np.full(len(x), np.log(2)), "x.shape[1]"),  # mean over pixels
    ("uniform_nll", lambda x: np.full(len(x), 64 * np.log(2)), "x.shape[1]"),
    ("mix_nll", lambda a, b, w: w * a + (1 - w) * b, "not their logarithms"),
    ("mix_nll", lambda a, b, w: -np.logaddexp(-a, -b), "that model again"),
    ("mix_nll", lambda a, b, w: -np.logaddexp(np.log(1 - w) - a, np.log(w) - b), "all the weight on model a"),
    ("mix_nll", lambda a, b, w: -np.log(w * np.exp(-a) + (1 - w) * np.exp(-b)), "minus infinity"),
    ("independent_nll", lambda x, p: -(x * np.log(p)).sum(axis=1), "must sum to 1"),
    ("independent_nll", lambda x, p: -(x * np.log(p) + (1 - x) * np.log(1 - p)).mean(axis=1), "must sum to 1"),
    ("independent_nll", lambda x, p: -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(), "5 numbers"),
    ("complete", lambda x, known, pi, p: S.e_step(x, pi, p) @ p, "may not look at them"),
    ("complete", lambda x, known, pi, p: np.tile(pi @ p, (len(x), 1)), "another probability"),
    ("complete", lambda x, known, pi, p: S.e_step(x[:, known], np.ones(len(pi)) / len(pi), p[:, known]) @ p, "another probability"),
    ("complete", lambda x, known, pi, p: S.e_step(x * known, pi, p) @ p, "not unknown"),
    ("complete", lambda x, known, pi, p: S.e_step(x[:, known], pi, p[:, known]) @ p, "a known pixel is known"),
    ("complete", _complete_linear, "underflow"),
    ("numbers_needed", lambda x, f: _needed(x, f, centre=False), "mean taken out"),
    ("numbers_needed", lambda x, f: _needed(x, f, power=1), "nine times as much"),
    ("numbers_needed", lambda x, f: min(_needed(x, f) + 1, x.shape[1]), "a direction three times"),
    ("numbers_needed", lambda x, f: _needed(x, f) + (x.shape[1] > 3), "would have been enough"),
    ("numbers_needed", lambda x, f: _needed(x, f) - (x.shape[1] > 3), "less than the required"),
    ("numbers_needed", lambda x, f: np.arange(_needed(x, f)), "one whole number"),
    ("encode", lambda x, W, b: (W.T @ x.T + b).T, "shape (1, 2)"),
    ("encode", lambda x, W, b: x @ W, "changing b must move every code"),
    ("encode", lambda x, W, b: x @ W + np.resize(b, (len(x), 1)), "change places"),
    ("redecode", lambda V, u, M: (M @ V, u), "turn them back"),
    ("redecode", lambda V, u, M: (M.T @ V, u), "right for rotations"),
    ("redecode", lambda V, u, M: (np.linalg.inv(M) @ V, u @ V.T @ V), "must not change"),
    ("redecode", lambda V, u, M: np.linalg.inv(M) @ V, "two things"),
    ("compose", lambda W1, b1, W2, b2: (W1 @ W2, (b1 @ W2 + b2)[None]), "a bias is a vector"),
    ("compose", lambda W1, b1, W2, b2: (W1 @ W2, b1 + b2) if len(b1) == len(b2) else (W1 @ W2, b2), "first bias"),
    ("compose", lambda W1, b1, W2, b2: (W2 @ W1 if W1.shape == W2.shape else W1 @ W2, b1 @ W2 + b2), "order of the product"),
    ("compose", lambda W1, b1, W2, b2: W1 @ W2, "two things"),
    ("relu_backward", lambda x, dy: dy, "stays 0"),
    ("relu_backward", lambda x, dy: (x > 0).astype(float), "pass unchanged"),
    ("relu_backward", lambda x, dy: dy * np.maximum(x, 0), "pass unchanged"),
    ("momentum_step", _in_place_momentum, "changes its arguments"),
    ("momentum_step", lambda t, v, g, lr, m: (t - lr * v, m * v + g), "plain gradient descent"),
    ("momentum_step", lambda t, v, g, lr, m: (t - lr * (m * v + (1 - m) * g), m * v + (1 - m) * g), "adds up gradients"),
    ("momentum_step", lambda t, v, g, lr, m: (t + lr * (m * v + g), m * v + g), "downhill"),
    ("adam_step", _adam(uncorrected=True), "corrected by 1 - beta^t"),
    ("adam_step", _adam(no_square=True), "mean of squares"),
    ("adam_step", _adam(uphill=True), "downhill"),
    ("adam_step", _adam(t_is_1=True), "the fiftieth"),
    ("adam_step", _adam(eps_inside=True), "not put under it"),
    ("adam_step", _adam(returns_hats=True), "before its correction"),
    ("best_sigma", lambda x, y: np.mean((x - y) ** 2), "not a variance"),
    ("best_sigma", lambda x, y: np.sqrt(((x - y) ** 2).sum(axis=1).mean()), "not the minimum"),
    ("best_sigma", lambda x, y: np.std(x - y), "not the minimum"),
    ("best_sigma", lambda x, y: np.sqrt(np.mean((x - y) ** 2, axis=0)), "one number"),
    ("standardise", _both_splits, "learned something about test"),
    ("standardise", lambda a, b: ((a - a.mean(0)) / a.std(0), (b - b.mean(0)) / b.std(0)), "whether it stands in train"),
    ("standardise", lambda a, b: (a - a.mean(0), b - a.mean(0)), "spread"),
    ("standardise", lambda a, b: ((a - a.mean()) / a.std(), (b - a.mean()) / a.std()), "mean 0"),
    ("scale_shift_backward", lambda x, scale, dy: (dy, (dy * x).sum(axis=0), dy.sum(axis=0)), "stretched by scale"),
    ("scale_shift_backward", lambda x, scale, dy: (dy * scale, (dy * x).mean(axis=0), dy.sum(axis=0)), "dscale differs"),
    ("scale_shift_backward", lambda x, scale, dy: (dy * scale, (dy * x).sum(axis=0), dy.mean(axis=0)), "dshift differs"),
    ("scale_shift_backward", lambda x, scale, dy: (dy * scale, dy * x, dy), "adds up over the batch"),
    ("scale_shift_backward", lambda x, scale, dy: (dy * scale, dy.sum(axis=0), (dy * x).sum(axis=0)), "with strength x"),
    ("train_until_worse", _stop(copied=False), "copied: step changes theta"),
    ("train_until_worse", _stop(best=False), "with the lowest loss"),
    ("train_until_worse", _stop(late=1), "brought no new lowest loss"),
    ("train_until_worse", _stop(reset=False), "begins the count anew"),
    ("train_until_worse", _stop(ties=True), "only equals the lowest"),
    ("train_until_worse", _stop(forever=True), "no new lowest loss"),
    ("train_until_worse", _stop(ask_first=True), "train_until_worse: step, then ask"),
    ("train_until_worse", _stop(previous=True), "lower than the one before it"),
    ("train_until_worse", lambda start, step, valid_loss, epochs, patience: _stop()(start, step, valid_loss, 99, patience), "`epochs` steps"),
    ("iwae_from_weights", lambda w: -w.mean(axis=1), "the ELBO"),
    ("iwae_from_weights", lambda w: -S.logsumexp(w), "average, do not sum"),
    ("iwae_from_weights", lambda w: S.logsumexp(w) - np.log(w.shape[1]), "mind the sign"),
    ("iwae_from_weights", lambda w: -np.log(np.exp(w).mean(axis=1)), "underflow"),
    ("negative_elbo", lambda *t: _elbo(*t, reduce=torch.mean), "summed over pixels"),
    ("negative_elbo", lambda *t: _elbo(*t, scale=2.0), "logarithm of the variance"),
    ("negative_elbo", lambda x, a, mu, lv: _elbo(x, a, mu, lv).item(), "must return a tensor"),
    ("negative_elbo", lambda x, a, mu, lv: _elbo(x, a.detach(), mu, lv), "no gradient"),
    ("negative_elbo", _naive_elbo, "softplus"),
    ("conv_size", lambda n, k, s, p: (n + p - k) // s + 1, "keeps the size"),
    ("conv_size", lambda n, k, s, p: (n + 2 * p - k) // s, "keeps the size"),
    ("conv_size", lambda n, k, s, p: -(-(n + 2 * p - k) // s) + 1, "round down"),
    ("conv_size", lambda n, k, s, p: n // s if p else n - k + 1, "round down"),
    ("keep_best", _keep_best(zero=False), "old gradients"),
    ("keep_best", _keep_best(copied=False), "not copied"),
    ("keep_best", _keep_best(best=False), "best epoch must be back"),
    ("keep_best", _keep_best(gradients=True), "without gradients"),
    ("keep_best", _keep_best(shuffled=False), "new order"),
    ("keep_best", _keep_best(seeded=False), "same generator"),
    ("keep_best", _keep_best(drop_last=True), "of 3, 3 and 2 rows"),
    ("gaussian_nll", lambda x, y, s: ((x - y) ** 2 / (2 * s**2) + x.shape[1] * np.log(s * np.sqrt(2 * np.pi))).sum(axis=1), "sum of what each has alone"),
    ("gaussian_nll", lambda x, y, s: ((x - y) ** 2).sum(axis=1) / (2 * s**2), "integrate to 1"),
    ("gaussian_nll", lambda x, y, s: ((x - y) ** 2 / (2 * s**2) + np.log(s * np.sqrt(2 * np.pi))).mean(axis=1), "add up"),
    ("vae_loss", lambda n, k: n.mean() + k.mean(), "3.92 times"),
    ("vae_loss", lambda n, k: n.sum() + k.sum(), "over the batch only"),
    ("vae_loss", lambda n, k: n.sum(axis=1).mean() + k.mean(), "count the same"),
    ("vae_loss", lambda n, k: n.sum(axis=1) + k.sum(axis=1), "one number"),
    ("bits_per_pixel", lambda ld, D: -ld / np.log(2) / D, "volume of a bin"),
    ("bits_per_pixel", lambda ld, D: (D * np.log(256) - ld) / D, "these are nats"),
    ("bits_per_pixel", lambda ld, D: (D * np.log(256) - ld) / np.log(2), "for one pixel"),
    ("bits_per_pixel", lambda ld, D: (-D * np.log(256) - ld) / np.log(2) / D, "sign of the volume"),
    ("bits_per_pixel", lambda ld, D: (D * np.log(256) + ld) / np.log(2) / D, "sign"),
    ("diagnose", lambda kl, e, w, floor=0.05: (kl.sum(axis=0) > floor, (e - w).mean() > 2 * (e - w).std() / len(e)**0.5), "averaged over the images"),
    ("diagnose", lambda kl, e, w, floor=0.05: (np.median(kl, axis=0) > floor, (e - w).mean() > 2 * (e - w).std() / len(e)**0.5), "few images"),
    ("diagnose", lambda kl, e, w, floor=0.05: (kl.mean(axis=1) > floor, (e - w).mean() > 0), "each number of the code"),
    ("diagnose", lambda kl, e, w, floor=0.05: (kl.mean(axis=0) > 0.05, (e - w).mean() > 2 * (e - w).std() / len(e)**0.5), "floor is an argument"),
    ("diagnose", lambda kl, e, w, floor=0.05: (kl.mean(axis=0) > floor, (w - e).mean() > 2 * (e - w).std() / len(e)**0.5), "worth it"),
    ("diagnose", lambda kl, e, w, floor=0.05: (kl.mean(axis=0) > floor, e.mean() - w.mean() > 2 * np.hypot(e.std(), w.std()) / len(e)**0.5), "same images"),
    ("diagnose", lambda kl, e, w, floor=0.05: (kl.mean(axis=0) > floor, (e - w).mean() > 0), "two standard errors"),
    ("diagnose", lambda kl, e, w, floor=0.05: (kl.mean(axis=0) > floor, (e - w).mean() > 2 * (e - w).std() / len(e)), "two standard errors"),
    ("diagnose", lambda kl, e, w, floor=0.05: (kl.mean(axis=0) > floor, kl.sum(axis=1).mean() > 0.05), "better when it is higher"),
    ("diagnose", lambda kl, e, w, floor=0.05: (kl.mean(axis=0) > floor, (e - w).mean() > 2 * (e - w).std() / len(e)**0.5 and kl.mean() > 0), "whatever the KL is"),
    ("elbo_on_grid", lambda z, lp, ll, mu, s: _grid_elbo(z, lp, ll, mu, s) / (z[1] - z[0]), "ignores the code"),
    ("elbo_on_grid", lambda z, lp, ll, mu, s: _grid_elbo(z, lp, ll, mu, s) / (z[1] - z[0]) * 0.02, "finer or a wider grid"),
    ("elbo_on_grid", lambda z, lp, ll, mu, s: _grid_elbo(z, lp, ll, mu, s**2), "divergence of the guess"),
    ("elbo_on_grid", lambda z, lp, ll, mu, s: -_grid_elbo(z, lp, ll, mu, s), "ignores the code"),
    ("elbo_on_grid", lambda z, lp, ll, mu, s: _grid_elbo(z, lp, ll, 0.0, 1.0), "divergence of the guess"),
    ("elbo_on_grid", lambda z, lp, ll, mu, s: np.log(np.exp(lp + ll).sum() * (z[1] - z[0])), "divergence of the guess"),
    ("elbo_on_grid", _naive_grid_elbo, "log q first"),
    ("arc", lambda a, b, n: a + np.linspace(0, 1, n)[:, None] * (b - a), "dips in the middle"),
    ("arc", lambda a, b, n: vae_in_numpy.arc.answer(a, b, n + 1)[:-1], "both included"),
    ("set_loss", lambda nll, kl: (nll + kl.sum(axis=1, keepdims=True)).sum(axis=1).mean(), "must count once"),
    ("set_loss", lambda nll, kl: (nll.sum(axis=1) + kl.mean(axis=1)).mean(), "its K numbers added"),
    ("set_loss", lambda nll, kl: nll.mean() + kl.sum(axis=1).mean(), "letters of a font must add up"),
    ("set_loss", lambda nll, kl: nll.sum(axis=1) + kl.sum(axis=1), "one number"),
    ("distance_field", lambda image: -images.distance_field.answer(image), "inside the ink must be positive"),
    ("distance_field", lambda image: images.distance_field.answer(image) + np.where(image, 0.5, -0.5), "half a pixel"),
    ("distance_field", lambda image: _city_block(image), "Euclidean"),
    ("distance_field", lambda image: np.abs(images.distance_field.answer(image)), "must be negative"),
    ("transfer_error", lambda guess, x, c, shown: np.abs(guess - x).mean(), "given away"),
    ("transfer_error", lambda guess, x, c, shown: np.abs(np.delete(guess - x, shown, axis=1)).mean(), "font lacks"),
    ("transfer_error", lambda guess, x, c, shown: np.abs(np.delete((guess - x) * (c >= 0)[..., None], shown, axis=1)).mean(), "how many those are"),
    ("transfer_error", lambda guess, x, c, shown: np.abs(guess - x).mean(axis=2), "one number"),
    ("transfer_error", lambda guess, x, c, shown: np.nanmean(np.delete(np.where((c >= 0)[..., None], (guess - x) ** 2, np.nan), shown, axis=1)), "mean absolute difference"),
    ("frequency", lambda pitch: 440.0 + 10 * (np.asarray(pitch) - 69), "double the frequency"),
    ("frequency", lambda pitch: 440.0 * 2.0 ** ((np.asarray(pitch) - 60) / 12), "440 Hz"),
    ("frequency", lambda pitch: 440.0 * 2.0 ** ((np.asarray(pitch) - 69) // 12), "none by 1"),
    ("log_distance", lambda a, b, floor=1e-3: np.sqrt((np.maximum(10 * np.log10(a / b), floor) ** 2).mean(axis=(1, 2))), "20 dB away"),
    ("log_distance", lambda a, b: np.sqrt(((20 * np.log10(a / b)) ** 2).mean(axis=(1, 2))), "minus infinity"),
    ("log_distance", lambda a, b: np.abs(20 * np.log10(np.maximum(a, 1e-3) / np.maximum(b, 1e-3))).mean(axis=(1, 2)), "mean of the squares"),
    ("log_distance", lambda a, b: np.sqrt(((20 * np.log10(np.maximum(a, 1e-3) / np.maximum(b, 1e-3))) ** 2).mean()), "distances"),
    ("bits", lambda log_p, x: -log_p.sum() / (x != 0).sum() / np.log(2), "however the texts are padded"),
    ("bits", lambda log_p, x: -log_p[x != 0].sum() / (x != 0).sum(), "log_p is in nats"),
    ("bits", lambda log_p, x: np.mean([-p[r != 0].mean() for p, r in zip(log_p, x)]) / np.log(2), "same weight"),
    ("bits", lambda log_p, x: -log_p[x > 1].mean() / np.log(2), "the end (symbol 1) was predicted too"),
    ("bits", lambda log_p, x: -(log_p * (x != 0)).sum() / (x != 0).sum() / np.log(2), "0 · -inf is no number"),
    ("seen", lambda x: x.copy(), "a start: symbol 1 in column 0"),
    ("seen", lambda x: np.concatenate([np.ones((len(x), 1), int), x[:, 1:]], axis=1), "still depends on symbol t"),
    ("seen", lambda x: np.concatenate([np.ones((len(x), 2), int), x[:, :-2]], axis=1), "the latest that may be known"),
    ("self_attention", _attend_wrongly(mask=False), "can look at nothing but itself"),
    ("self_attention", _attend_wrongly(scale="none"), "differs from PyTorch's: scores must be divided"),
    ("self_attention", _attend_wrongly(scale="d"), "not by d"),
    ("self_attention", _attend_wrongly(scale="width"), "with heads=2 it differs from PyTorch's: a head divides"),
    ("self_attention", lambda x, q, k, v, o, heads: letters.self_attention.answer(x, k, q, v, o, heads), "the other way round"),
    ("self_attention", lambda *given: letters.self_attention.answer(*given[:5], 1), "used as one head"),
    ("self_attention", lambda *given: letters.by_pytorch(given[:5], given[5], strided=True), "every heads-th column"),
    ("self_attention", _attend_wrongly(after=True), "weights must sum to 1"),
    ("self_attention", _attend_wrongly(stable=False), "subtract the largest"),
    ("nucleus", lambda p, top_p: np.where(p >= top_p, p, 0) / np.where(p >= top_p, p, 0).sum(), "and no other does"),
    ("nucleus", lambda p, top_p: _keep(p, np.cumsum(np.sort(p)[::-1]) <= top_p), "likeliest symbol must always stay"),
    ("nucleus", lambda p, top_p: _keep(p, np.cumsum(np.sort(p)[::-1]) <= max(top_p, p.max())), "must *reach* top_p"),
    ("nucleus", lambda p, top_p: np.where(colour_names.nucleus.answer(p, top_p) > 0, p, 0), "divided by its sum"),
    ("nucleus", lambda p, top_p: np.sort(colour_names.nucleus.answer(p, top_p))[::-1], "in its old place"),
    ("sharpen", lambda p, t: p ** (1 / t), "must sum to 1 again"),
    ("sharpen", lambda p, t: p**t / (p**t).sum(), "four times as probable"),
    ("sharpen", lambda p, t: p ** (1 / t) / (p ** (1 / t)).sum(), "work with logarithms"),
    ("sharpen", lambda p, t: np.exp(p / t) / np.exp(p / t).sum(), "nothing changes"),
    ("sharpen", lambda p, t: colour_names.sharpen.answer(p + 1e-9, t), "keeps it, at any temperature"),
    ("other_colours", lambda c, rng: rng.permuted(c, axis=0), "three numbers that stay together"),
    ("other_colours", lambda c, rng: c[rng.integers(len(c), size=len(c))], "must turn up once"),
    ("other_colours", lambda c, rng: c[rng.permutation(len(c))], "kept its own colour"),
    ("other_colours", lambda c, rng: np.roll(c, 1, axis=0), "another rng"),
    ("own_rank", lambda p: (p > np.diag(p)[:, None]).sum(axis=1), "its rank is 1"),
    ("own_rank", lambda p: 1 + (p < np.diag(p)[:, None]).sum(axis=1), "its rank is 1"),
    ("own_rank", lambda p: 1 + (p > np.diag(p)).sum(axis=0), "which stand in a row"),
    ("own_rank", lambda p: np.argsort(-p, axis=1).argmax(axis=1) + 1, "rank"),
    ("own_rank", lambda p: (p >= np.diag(p)[:, None]).sum(axis=1), "only as probable as under its own"),
    ("split_names", _split_wrongly(distinct=False), "copies were not removed"),
    ("split_names", _split_wrongly(distinct=True), "names that are alike must end in one part"),
    ("split_names", lambda names, part, rng, alike: (sorted(set(names))[6:], sorted(set(names))[6:6]), "must turn up"),
    ("split_names", lambda *given: letters.split_names.answer(*given)[::-1], "is the order train, test?"),
    ("pareto_front", lambda seconds, loss: loss <= np.minimum.accumulate(loss), "equal in one and worse in the other"),
    ("pareto_front", lambda seconds, loss: np.array([not ((seconds < s) & (loss < n)).any() for s, n in zip(seconds, loss)]), "equal in one and worse in the other"),
    ("pareto_front", lambda seconds, loss: np.array([((seconds <= s) & (loss <= n)).sum() == 1 for s, n in zip(seconds, loss)]), "neither beats the other"),
    ("pareto_front", lambda seconds, loss: np.flatnonzero(loss == loss.min()), "one True or False for each point"),
    ("paired_difference", lambda a, b: (b.mean() - a.mean(), 0.0), "the mean of a - b"),
    ("paired_difference", lambda a, b: (a.mean() - b.mean(), np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))), "however much the seeds differ"),
    ("paired_difference", lambda a, b: ((a - b).mean(), (a - b).std(ddof=1)), "the spread of the differences"),
    ("paired_difference", lambda a, b: ((a - b).mean(), (a - b).std() / np.sqrt(len(a))), "with n - 1, not n"),
    ("choose", lambda valid, test: (int(test.mean(axis=1).argmin()), test.mean(axis=1).min()), "the test has been used for choosing"),
    ("choose", lambda valid, test: (int(valid.min(axis=1).argmin()), test[valid.min(axis=1).argmin()].mean()), "one lucky seed"),
    ("choose", lambda valid, test: (int(valid.mean(axis=1).argmin()), valid.mean(axis=1).min()), "not its validation bound"),
    ("choose", lambda valid, test: (int(test.min(axis=1).argmin()), test[test.min(axis=1).argmin()].min()), "the bugs are still in"),
    ("fit_into", lambda w, h, size: (size, size, 0, 0), "twice as wide as high"),
    ("fit_into", lambda w, h, size: (round(w * size / max(w, h)), round(h * size / max(w, h)), 0, 0), "shared between both sides"),
    ("fit_into", lambda w, h, size: (round(w * size / max(w, h)), round(h * size / max(w, h)), (size - round(w * size / max(w, h))) // 2, (size - round(h * size / max(w, h))) // 2), "at least one pixel"),
    ("fit_into", lambda w, h, size: (round(w * min(1, size / max(w, h))), round(h * min(1, size / max(w, h))), 0, 0), "also if the image must grow"),
    ("fit_into", lambda w, h, size: (lambda a, b: (a, b, (size - a) // 2, (size - b) // 2))(max(1, w * size // max(w, h)), max(1, h * size // max(w, h))), "to the nearest whole number, 20"),
    ("fit_into", lambda w, h, size: (lambda a, b: (a, b, (size - a) // 2, (size - b) // 2))(-(-w * size // max(w, h)), -(-h * size // max(w, h))), "to the nearest whole number, 9"),
    ("fit_into", lambda w, h, size: (round(w * size / min(w, h)), round(h * size / min(w, h)), 0, 0), "longer than the square"),
    ("histogram_nats", lambda train, x, levels: _histogram(train, x, levels, 1) / np.log(2), "these are bits"),
    ("histogram_nats", lambda train, x, levels: _histogram(train, x, levels, 0), "infinite cost"),
    ("histogram_nats", lambda train, x, levels: _histogram(np.repeat(train.reshape(-1, 1), x.shape[1], axis=1), x, levels, 1), "a histogram of its own"),
    ("histogram_nats", lambda train, x, levels: _histogram(train, x, levels, 1e-3), "counts three of six"),
    ("histogram_nats", lambda train, x, levels: _histogram(train, x, levels, 1).sum(), "one number for each image"),
    ("take_over", lambda new, trained: {**new, **trained}, "another shape"),
    ("take_over", lambda new, trained: {n: trained.get(n, a) for n, a in new.items()}, "another shape"),
    ("take_over", lambda new, trained: {n: trained[n] for n, a in new.items() if n in trained and trained[n].shape == a.shape}, "the new model's own stays"),
    ("take_over", lambda new, trained: {n: trained[n] if n in trained and trained[n].size == a.size else a for n, a in new.items()}, "another shape"),
    ("take_over", lambda new, trained: {**new, **{n: a for n, a in trained.items() if n not in new or new[n].shape == a.shape}}, "must not be in the result"),
    ("take_over", lambda new, trained: {n: next((b for b in trained.values() if b.shape == a.shape), a) for n, a in new.items()}, "by its name"),
    ("take_over", lambda new, trained: dict(trained) if all(n in trained and trained[n].shape == a.shape for n, a in new.items()) else new, "no reason to leave the others"),
    ("take_over", lambda new, trained: {n: trained[n] if trained[n].shape == a.shape else a for n, a in new.items()}, "keeps the new numbers"),
    ("copy_ratio", lambda samples, train: _two_nearest(samples, train)[:, 0], "has the ratio 1/3"),
    ("copy_ratio", lambda samples, train: (lambda d: d[:, 0] / d[:, 1])(_two_nearest(samples, train)), "0 / 0"),
    ("copy_ratio", lambda samples, train: (lambda d: (d[:, 0] / d[:, 1]) ** 2)(_two_nearest(samples, train)), "has the ratio 1/3"),
    ("copy_ratio", lambda samples, train: (lambda d: d[:, 0] / d[:, 1])(np.sort(np.abs(samples[:, None] - train[None]).sum(2), axis=1)[:, :2]), "Euclidean"),
    ("precision_recall", lambda f, t: ((f & t).sum() / t.sum(), (f & t).sum() / f.sum()), "divides by the flagged"),
    ("precision_recall", lambda f, t: ((f == t).mean(), (f & t).sum() / t.sum()), "divides by the flagged"),
    ("precision_recall", lambda f, t: ((f & t).sum() / f.sum(), (f & t).sum() / t.sum()), "nothing wrong is claimed"),
    ("leaked", lambda g, t: np.isin(g[~t], g[t]).mean(), "all of the test leaks"),
    ("leaked", lambda g, t: len(set(g[t]) & set(g[~t])) / len(set(g[t])), "not groups"),
    ("leaked", lambda g, t: np.isin(g[t], g[~t]).sum() / len(g), "all of the test leaks"),
    ("leaked", lambda g, t: 1 - len(set(g)) / len(g), "nothing leaks"),
    ("flagged", lambda p, c: p.argmax(axis=1) != c, "mind its limit"),
    ("flagged", lambda p, c: ((p >= p.mean(axis=0)) & (p > p[np.arange(len(c)), c][:, None])).any(axis=1), "a limit of its own"),
    ("flagged", lambda p, c: p[np.arange(len(c)), c] < 0.5, "mind its limit"),
    ("flagged", lambda p, c: ((p >= [p[c == j, j].mean() for j in range(p.shape[1])]) & (np.arange(p.shape[1]) != c[:, None])).any(axis=1), "does not flag"),
    ("flagged", lambda p, c: (lambda j, limit: (j != c) & (p.max(axis=1) >= limit[j]))(p.argmax(axis=1), np.array([p[c == j, j].mean() for j in range(p.shape[1])])), "not the likeliest alone"),
    ("judged_right", lambda v, vt, s, t: _judge_by(s, t, s, t), "another test must not change"),
    ("judged_right", lambda v, vt, s, t: _judge_by(np.r_[v, s], np.r_[vt, t], s, t), "another test must not change"),
    ("judged_right", lambda v, vt, s, t: (v.mean() + 5, ((s >= v.mean() + 5) == t).mean()), "no other threshold"),
    ("judged_right", lambda v, vt, s, t: _judge_by(v, vt, v, vt), "that of the test split"),
    ("auc", lambda a, b: (a[:, None] > b).mean(), "ties count half"),
    ("auc", lambda a, b: (b[:, None] > a).mean() + (b[:, None] == a).mean() / 2, "above every other, it is 1"),
    ("auc", lambda a, b: 0.5 + (a.mean() > b.mean()) / 2 - (a.mean() < b.mean()) / 2, "over all pairs"),
    ("exposure", lambda p, s: np.log2(len(p)) - np.log2(1 + (p < p[s]).sum()), "the likeliest of 16"),
    ("exposure", lambda p, s: np.log(len(p)) - np.log(1 + (p > p[s]).sum()), "these are nats"),
    ("exposure", lambda p, s: (len(p) - 1 - (p > p[s]).sum()) * np.log2(len(p)) / (len(p) - 1), "two of the four"),
    ("noisy_gradient", _clip_mean, "clip each one, not their mean"),
    ("noisy_gradient", lambda g, L, n, rng: secrets.noisy_gradient.answer(np.clip(g, -L, L), 1e9, 0, rng), "its length, not its entries"),
    ("noisy_gradient", lambda g, L, n, rng: secrets.noisy_gradient.answer(g, L, n / len(g), rng), "then all is divided by N"),
    ("noisy_gradient", lambda g, L, n, rng: secrets.noisy_gradient.answer(g, L, n / L, rng), "noise · largest"),
    ("open_model", lambda path, verify, read: (read(path), verify(path))[0], "too late"),
    ("open_model", lambda path, verify, read: read(path), "too late"),
    ("open_model", lambda path, verify, read: verify(path) or "a model", "what read gives is returned"),
    ("open_model", _swallow, "must reach the user"),
    ("open_model", _swallow_all, "must reach the user"),
    ("open_model", lambda path, verify, read: read(path) if verify(path) else None, "do not ask for what it returns"),
    ("back", lambda a, b: a + b, "must sum to 1"),
    ("back", lambda a, b: (lambda j: j - j.mean(axis=1, keepdims=True))(a + b), "must sum to 1"),
    ("back", lambda a, b: a - S.logsumexp(a)[:, None], "what remains is the prior"),
    ("back", lambda a, b: (lambda j: j - S.logsumexp(j)[:, None])(a - b), "what remains is the prior"),
    ("back", lambda a, b: (lambda j: j - S.logsumexp(j)[:, None])(2 * a + b), "divided by its sum"),
    ("back", lambda a, b: (lambda j: np.log(j / j.sum(axis=1, keepdims=True)))(np.exp(a) * np.exp(b)), "as logsumexp does"),
    ("unlabelled", lambda j, q: j.mean(axis=1), "pays for those"),
    ("unlabelled", lambda j, q: (np.exp(q) * j).sum(axis=1), "the entropy of q"),
    ("unlabelled", lambda j, q: (np.exp(q) * (j - q)).mean(axis=1), "log p(x) itself"),
    ("unlabelled", lambda j, q: S.logsumexp(j), "of that label"),
    ("unlabelled", lambda j, q: S.logsumexp(j + q), "log p(x) itself"),
    ("given", lambda x, known, pi, p: np.broadcast_to(pi @ p, x.shape), "must stay what they are"),
    ("given", lambda x, known, pi, p: np.where(known, x, pi @ p), "sum over all 32 images"),
    ("given", lambda x, known, pi, p: np.where(known, x, S.e_step(x, pi, p) @ p), "each pixel has its mean"),
    ("given", lambda x, known, pi, p: np.where(known, x, S.e_step(x[:, known], np.full(3, 1 / 3), p[:, known]) @ p), "each with its weight pi"),
    ("given", lambda x, known, pi, p: np.where(known, x, p[S.e_step(x[:, known], pi, p[:, known]).argmax(axis=1)]), "each pixel has its mean"),
    ("given", lambda x, known, pi, p: np.where(known, x, S.e_step(x * known, pi, np.where(known, p, 0.5)) @ p), "may hold NaN"),
    ("given", lambda x, known, pi, p: _given_by_products(x, known, pi, p), "add logarithms"),
    ("covered", lambda draws, truth, rng: (np.quantile(draws, 0.05, axis=1) <= truth) & (truth <= np.quantile(draws, 0.95, axis=1)), "Count ranks"),
    ("covered", lambda draws, truth, rng: (lambda r: (r >= 2) & (r <= 37))((draws < truth[:, None]).sum(axis=1)), "Count ranks"),
    ("covered", lambda draws, truth, rng: _covered(draws, truth, 0), "at random"),
    ("covered", lambda draws, truth, rng: _covered(draws, truth, (draws == truth[:, None]).sum(axis=1)), "at random"),
    ("covered", lambda draws, truth, rng: _covered(draws, truth, rng.integers(0, (draws == truth[:, None]).sum(axis=1) + 1), one_end=True), "lowest and the two"),
    # wrong answers that fresh readers found to pass
    ("encode", lambda x, W, b: x[:, : len(b)] + b, "row i of W"),
    ("encode", lambda x, W, b: x @ (1.1 * W) + b, "row i of W"),
    ("encode", lambda x, W, b: x**2 @ W + b, "row i of W"),
    ("encode", lambda x, W, b: np.tanh(x @ W) + b, "row i of W"),
    ("encode", lambda x, W, b: np.clip(x, 0, 1) @ W + b, "row i of W"),
    ("encode", lambda x, W, b: (x - x.mean(0)) @ W + b, "whatever the other images are"),
    ("encode", lambda x, W, b: x @ W + b + (x - x.mean(0)).prod(axis=1, keepdims=True) * (len(x) == 4), "whatever the other images are"),
    ("numbers_needed", lambda x, f: int(np.argmax(np.cumsum(np.sort(x.var(0))[::-1]) / x.var(0).sum() >= f)) + 1, "directions are not pixels"),
    ("numbers_needed", lambda x, f: float(_needed(x, f)), "an int"),
    ("mix_nll", lambda a, b, w: -np.logaddexp(np.log(w**2) - a, np.log(1 - w**2) - b), "half of it is left"),
    ("mix_nll", lambda a, b, w: -np.logaddexp(np.log(w**0.5) - a, np.log(1 - w**0.5) - b), "half of it is left"),
    ("mix_nll", lambda a, b, w: -np.logaddexp(np.log(round(w, 1)) - a, np.log(1 - round(w, 1)) - b), "with w = 0.25"),
    ("independent_nll", lambda x, p: S_nll(x, np.where(p > 0.5, 0.9, 0.1)), "costs -log p"),
    ("independent_nll", lambda x, p: S_nll(x, np.clip(p, 0.05, 0.95)), "costs -log p"),
    ("independent_nll", lambda x, p: S_nll(x, p**2 / (p**2 + (1 - p) ** 2)), "costs -log p"),
    ("relu_backward", lambda x, dy: np.full_like(dy, np.nan), "it returns NaN"),
    ("adam_step", lambda theta, m, s, grad, t, lr=1e-3, **_: _adam()(theta, m, s, grad, t, lr), "beta1 is an argument"),
    ("adam_step", lambda theta, m, s, grad, t, lr=1e-3, beta1=0.9, **_: _adam()(theta, m, s, grad, t, lr, beta1), "beta2 is an argument"),
    ("adam_step", lambda theta, m, s, grad, t, lr=1e-3, beta1=0.9, beta2=0.999, **_: _adam()(theta, m, s, grad, t, lr, beta1, beta2), "eps is an argument"),
    ("arc", _long_way, "the short way round"),
    ("arc", lambda a, b, n: _long_way(a, b, n, turns=1), "the short way round"),
    ("conv_size", lambda n, k, s, p: np.floor((n + 2 * p - k) / s) + 1, "an int"),
    ("conv_size", lambda n, k, s, p: (n + 2 * p - k) // s + 1, "never fewer"),
    ("negative_elbo", lambda *t: _elbo(*t).detach(), "no gradient reaches"),
    ("gaussian_nll", lambda x, y, s: _gauss(x, y, 1.0), "the spread of x"),
    ("gaussian_nll", lambda x, y, s: _gauss(x, y, s**2), "the spread of x"),
    ("gaussian_nll", lambda x, y, s: _gauss(x, y, s**0.5), "the spread of x"),
    ("gaussian_nll", lambda x, y, s: _gauss(x, 0 * y, s), "must be y"),
    ("gaussian_nll", lambda x, y, s: _gauss(x, y + 0.5, s), "must be y"),
    ("gaussian_nll", lambda x, y, s: (lambda t: t + 2 * np.logaddexp(0, -t) + np.log(s * 3**0.5 / np.pi))((x - y) / s * np.pi / 3**0.5).sum(axis=1), "the error is squared"),
    ("bits_per_pixel", lambda ld, D: np.minimum(8, (D * np.log(256) - ld) / np.log(2) / D), "more than 8"),
    ("transfer_error", lambda guess, x, c, shown: np.abs(guess - x).mean(axis=2)[(c >= 0) & ~np.isin(c, shown)].mean(), "must not count"),
    ("transfer_error", lambda guess, x, c, shown: np.sqrt(((guess - x) ** 2).mean(axis=2))[(c >= 0) & ~np.isin(np.arange(c.shape[1]), shown)].mean(), "differences of 1, 1, 1 and 4"),
    ("log_distance", lambda a, b, floor=1e-3: audio.log_distance.answer(a, b, 1e-3), "the floor is an argument"),
    ("log_distance", lambda a, b, floor=1e-3: audio.log_distance.answer(a, b, 1e-2), "60 dB away"),
    ("log_distance", lambda a, b, floor=1e-3: audio.log_distance.answer(np.where((a < floor) != (b < floor), b, a), np.where((a < floor) != (b < floor), b, b), floor), "60 dB away"),
    ("gliding", lambda f, a, sample_rate=16_000: sum(each * np.sin(2 * np.pi * h * f * np.arange(len(f)) / sample_rate) for h, each in enumerate(a)), "harmonic 1"),
    ("gliding", lambda f, a, sample_rate=16_000: sum(each * np.sin(2 * np.pi * h * f * np.arange(len(f)) / sample_rate) * (h * f < sample_rate / 2) for h, each in enumerate(a, 1)), "moves too far"),
    ("gliding", lambda f, a, sample_rate=16_000: sum(each * np.sin(2 * np.pi * h * np.cumsum(f) / sample_rate) for h, each in enumerate(a, 1)), "folds back"),
    ("gliding", lambda f, a, sample_rate=16_000: sum(each * np.sin(2 * np.pi * h * np.cumsum(f) / sample_rate) for h, each in enumerate(a, 1) if h * f.max() < sample_rate / 2), "at those samples"),
    ("gliding", lambda f, a, sample_rate=16_000: audio.gliding.answer(f, a), "an argument"),
    ("gliding", lambda f, a, sample_rate=16_000: sum(each * np.sin(2 * np.pi * np.cumsum(h * f % (sample_rate / 2)) / sample_rate) for h, each in enumerate(a, 1)), "folds back"),
    ("gliding", lambda f, a, sample_rate=16_000: audio.gliding.answer(f, a, sample_rate) / np.abs(a).sum(), "harmonic 3"),
    ("gliding", lambda f, a, sample_rate=16_000: sum(each * np.sin(h * np.cumsum(f) / sample_rate) for h, each in enumerate(a, 1)), "harmonic 1"),
    ("gliding", lambda f, a, sample_rate=16_000: sum(each * np.sin(2 * np.pi * h * np.cumsum(f)) for h, each in enumerate(a, 1)), "for each sample"),
    ("gliding", lambda f, a, sample_rate=16_000: sum(each * np.sin(2 * np.pi * h * np.cumsum(f) / sample_rate) for h, each in enumerate(a)), "not silent"),
    ("log_distance", lambda a, b, floor=1e-3: np.sqrt(((20 * np.log10((a + floor) / (b + floor))) ** 2).mean(axis=(1, 2))), "added to nothing"),
    ("bits", lambda log_p, x: -log_p[(x != 0) & (x != 2)].mean() / np.log(2), "an unknown character"),
    ("nucleus", lambda p, top_p: (lambda k: k / k.sum())(np.where(p >= p[colour_names.nucleus.answer(p, top_p) > 0].min(), p, 0)), "two are enough"),
    ("nucleus", lambda p, top_p: _keep(p, np.cumsum(np.sort(p)[::-1]) - np.sort(p)[::-1] <= top_p), "no symbol more stays"),
    ("paired_difference", lambda a, b: ((np.sort(a) - np.sort(b)).mean(), (np.sort(a) - np.sort(b)).std(ddof=1) / len(a) ** 0.5), "belongs to seed i"),
    ("paired_difference", lambda a, b: (np.abs(a - b).mean(), (a - b).std(ddof=1) / len(a) ** 0.5), "may be negative"),
    ("choose", lambda valid, test: (int(np.median(valid, axis=1).argmin()), np.median(test, axis=1)[np.median(valid, axis=1).argmin()]), "one lucky seed"),
    ("choose", lambda valid, test: (int(valid.mean(axis=1).argmin()), np.median(test, axis=1)[valid.mean(axis=1).argmin()]), "nor one seed"),
    ("exposure", lambda p, s: np.log2(len(p)) - np.log2(np.argsort(-p)[s] + 1), "wherever they stand"),
    ("exposure", lambda p, s: np.log2(len(p)) - np.log2(len(p) - np.argsort(p)[s]), "wherever they stand"),
    ("noisy_gradient", lambda g, L, n, rng: secrets.noisy_gradient.answer(g, L, n, np.random.default_rng(0)), "another generator"),
    ("noisy_gradient", lambda g, L, n, rng: secrets.noisy_gradient.answer(g, L, n, np.random), "draw from rng"),
    ("noisy_gradient", lambda g, L, n, rng: secrets.noisy_gradient.answer(g, L, 0, rng) + n * L / len(g) * rng.choice([-1.0, 1.0], g.shape[1]), "must be Gaussian"),
    ("noisy_gradient", lambda g, L, n, rng: secrets.noisy_gradient.answer(g, L, 0, rng) + n * L / len(g) * rng.laplace(0, 0.5**0.5, g.shape[1]), "must be Gaussian"),
    ("open_model", lambda path, verify, read: _refuse(path, verify, read), "must pass through"),
    ("open_model", lambda path, verify, read: read(path) if verify(path) else 1 / 0, "do not ask for what it returns"),
    ("masked_bound", lambda log_p, hidden: (log_p * hidden).sum(axis=1), "must be log p(x)"),
    ("masked_bound", lambda log_p, hidden: (log_p * hidden).sum(axis=1) / hidden.sum(axis=1), "with everything hidden"),
    ("masked_bound", lambda log_p, hidden: log_p.sum(axis=1), "a pixel that it sees must not count"),
    ("masked_bound", lambda log_p, hidden: hidden.shape[1] / hidden.sum(axis=1).mean() * (log_p * hidden).sum(axis=1), "the weight must be 1"),
    ("fill_in", lambda x, known, predict, order, rng: np.where(known == 1, x, rng.random(x.shape) < predict(x, known)), "drawn before it"),
    ("fill_in", lambda x, known, predict, order, rng: np.where(known == 1, x, predict(x, known)), "do not return its probability"),
    ("fill_in", lambda x, known, predict, order, rng: _fill(x, 0 * known, predict, order, rng), "must stay as they are"),
    ("fill_in", lambda x, known, predict, order, rng: _fill(x, known, predict, sorted(order), rng, likeliest=True), "as often as the model says"),
    ("fill_in", lambda x, known, predict, order, rng: _fill(x, known, predict, order, rng, likeliest=True), "the likelier value"),
    ("fill_in", lambda x, known, predict, order, rng: _fill(x, known, predict, order, SimpleNamespace(random=lambda n: np.full(n, rng.random()))), "of its own"),
    ("free_energy", lambda v, W, b, c: -v @ b - (v @ W.T + c).sum(axis=1), "have eight equal states"),
    ("free_energy", lambda v, W, b, c: v @ b + np.logaddexp(0, v @ W.T + c).sum(axis=1), "have eight equal states"),
    ("free_energy", lambda v, W, b, c: -v @ b - np.logaddexp(0, (v @ W.T + c).sum(axis=1)), "have eight equal states"),
    ("free_energy", lambda v, W, b, c: -v @ b - np.logaddexp(0, v @ W.T).sum(axis=1), "the sum of exp(-E(v, h))"),
    ("free_energy", lambda v, W, b, c: -v @ b - np.log(1 + np.exp(v @ W.T + c)).sum(axis=1), "overflows"),
    ("histogram_nats", lambda train, x, levels: _histogram(train, x, max(train.max(), x.max()) + 1, 1), "was never shown"),
]


def by_name(name):
    return next(e for (_, n), e in EXERCISES.items() if n == name)


@pytest.mark.parametrize("key", EXERCISES, ids="/".join)
def test_the_solution_passes_and_the_stub_is_not_attempted(key):
    exercise = EXERCISES[key]
    assert exercise.name == key[1]
    assert exercise.verdict(exercise.answer).startswith("✓")

    def stub(*args, **kwargs):
        """A docstring."""
        ...

    def half(*args, **kwargs):
        y = ...
        return y

    for blank in (stub, half, ..., None):
        assert "not attempted" in exercise.verdict(blank)


def lists(result):
    """A result with lists for its tuples and arrays."""
    if isinstance(result, np.ndarray) and result.dtype != complex:
        return result.tolist()
    return [lists(part) for part in result] if isinstance(result, tuple) else result


@pytest.mark.parametrize("key", EXERCISES, ids="/".join)
def test_lists_are_as_right_as_tuples_and_arrays(key):
    exercise = EXERCISES[key]
    assert exercise.verdict(lambda *args, **kwargs: lists(exercise.answer(*args, **kwargs))).startswith("✓")


@pytest.mark.parametrize("key", EXERCISES, ids="/".join)
def test_at_least_two_wrong_answers_are_tried(key):
    assert sum(name == key[1] for name, _, _ in WRONG) >= 2


@pytest.mark.parametrize(("name", "answer", "message"), WRONG)
def test_wrong_answers_get_the_message_that_is_meant_for_them(name, answer, message):
    verdict = by_name(name).verdict(answer)
    assert verdict.startswith("✗") and message in verdict, verdict


@pytest.mark.parametrize("key", EXERCISES, ids="/".join)
def test_general_mistakes(key):
    exercise = EXERCISES[key]

    def forgets_return(*args, **kwargs):
        exercise.answer(*args, **kwargs)

    def crashes(*args, **kwargs):
        raise IndexError("list index out of range")

    mutated = []

    def mutates(*args, **kwargs):
        result = exercise.answer(*args, **kwargs)
        for a in args:
            a = a.detach().numpy() if isinstance(a, torch.Tensor) else a  # shares its memory
            if isinstance(a, np.ndarray) and a.size:
                a.flat[0] = 1 - a.flat[0] if a.dtype != bool else ~a.flat[0]
                mutated.append(a)
        return result

    assert exercise.verdict(mutates) == exercise.verdict(mutates)  # what was changed is put back for the next check
    assert exercise.verdict(exercise.answer).startswith("✓")
    assert "`return`" in exercise.verdict(forgets_return)
    assert "IndexError" in exercise.verdict(crashes)
    assert ("in place" in exercise.verdict(mutates)) == bool(mutated)  # some take no arrays at all
    assert "expected a function" in exercise.verdict(3.5)
    assert exercise.verdict(lambda: 1).startswith("✗")  # the wrong number of arguments


def test_hints_progress(capsys):
    hinted = exercise(why="because", hints=["one", "two"])(lambda x: x)
    for _ in range(3):
        hinted.hint()
    assert capsys.readouterr().out.splitlines() == ["hint 1 of 2: one", "hint 2 of 2: two", "hint 2 of 2: two"]


@pytest.mark.parametrize("key", EXERCISES, ids="/".join)
def test_the_solution_is_shown_without_the_hints_above_it(key, capsys):
    exercise = EXERCISES[key]
    exercise.solution()
    code, why = capsys.readouterr().out.split("\n\nWhy: ")
    assert code.startswith(f"def {exercise.name}(") and why == exercise.why + "\n"
    (function,) = ast.parse(code).body
    assert [a.arg for a in function.args.args] == list(inspect.signature(exercise.answer).parameters)
    assert not function.decorator_list and len(exercise.hints) >= 2


@pytest.mark.parametrize("module", NOTEBOOKS)
def test_every_fact_has_a_name_of_its_own(module):
    names = [fact.__name__ for (m, _), e in EXERCISES.items() if m == module for fact in e.facts]
    assert len(set(names)) == len(names) and "<lambda>" not in names


def test_facts_are_checked_in_the_order_in_which_they_are_written():
    @exercise(why="because", hints=[])
    def double(x):
        return 2 * x

    @double.fact
    def is_even(double):
        require(double(3) % 2 == 0, "even")

    @double.fact
    def grows(double):
        require(double(3) > 3, "grows")

    assert double.facts == [is_even, grows] and double.name == "double" and double.answer(4) == 8
    assert double.verdict(lambda x: -1) == "✗ double: even"
    assert double.verdict(lambda x: -2) == "✗ double: grows"
    assert double.verdict(lambda x: 4) == "✓ double: right"


@pytest.mark.parametrize("value", [[1, 2], (1.0, 2.0), np.array([1, 2]), torch.tensor([1.0, 2.0], requires_grad=True)])
def test_returns_takes_whatever_holds_numbers(value):
    found = returns(value, (2,))
    assert isinstance(found, np.ndarray) and found.dtype == float and found.tolist() == [1, 2]


@pytest.mark.parametrize("value", [3, 3.0, np.array([3]), torch.tensor([[3.0]]), [3]])
def test_one_number_may_stand_in_an_array(value):
    assert returns(value, ()) == 3 and np.ndim(returns(value, ())) == 0


@pytest.mark.parametrize(
    ("value", "shape", "message"),
    [
        ([1, 2], (3,), "it must give 3 numbers, shape (3,); yours has shape (2,)"),
        ([1, 2], (), "it must give one number; yours has shape (2,)"),
        ([1, 2], (2, 1), "it must give an array, shape (2, 1); yours has shape (2,)"),
        ([1, [2]], (2,), "it must give 2 numbers; yours cannot be made an array"),
        ("two", None, "it must give an array; yours cannot be made an array"),
    ],
)
def test_returns_says_what_it_must_be_and_what_it_is(value, shape, message):
    with pytest.raises(Wrong) as wrong:
        returns(value, shape)
    assert str(wrong.value).startswith(message)


def test_returns_in_the_words_of_the_exercise_and_with_the_type_of_the_answer():
    with pytest.raises(Wrong, match=r"it must give a code for each image, shape \(2, 3\)"):
        returns(1, (2, 3), "a code for each image")
    assert returns([True, False], (2,), dtype=None).dtype == bool


def test_parts_takes_tuples_lists_and_stacked_arrays():
    for both in (([1, 2], 3), [np.array([1, 2]), torch.tensor(3)]):
        a, b = parts(both, "a", "b")
        assert a.tolist() == [1, 2] and b == 3
    for both in (np.array([[1, 2], [3, 4]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [[1, 2], [3, 4]]):
        a, b = parts(both, "a", "b")
        assert a.tolist() == [1, 2] and b.tolist() == [3, 4]
    for wrong in (np.zeros(3), (1,), (1, 2, 3), 1, np.float64(1), torch.tensor(1.0)):
        with pytest.raises(Wrong, match="it must return two things, as a tuple: a, b"):
            parts(wrong, "a", "b")


def test_near_takes_nan_for_far_and_rounding_for_equal():
    assert near([1, np.nan, 3], torch.tensor([1.0, 2.0, 3.1]), within=0.2).tolist() == [True, False, True]
    assert near(np.float32(1 / 3), 1 / 3) and near(1e6 + 1, 1e6) and not near(1.001, 1) and not near(1.001e6, 1e6)
    with pytest.raises(Wrong, match=r"it must give an array of shape \(2,\); yours has shape \(3,\)"):
        near([1, 2, 3], [1, 2])


def test_whole_wants_an_int():
    assert [whole(4), whole(np.int64(4)), whole(torch.tensor([4]))] == [4, 4, 4]
    for wrong in (4.0, np.float32(4), True, [1, 2]):
        with pytest.raises(Wrong, match="it must give one whole number"):
            whole(wrong)


def test_same_alone_finds_rows_that_depend_on_others():
    x = np.random.default_rng(0).random((4, 3))
    for right in (lambda x: x.sum(axis=1), lambda x: x.sum(axis=1).tolist(), lambda x: 2 * x):
        same_alone(right, x)
    for wrong in (lambda x: x.sum(axis=1)[::-1], lambda x: x - x.mean(axis=0), lambda x: x.sum()):
        with pytest.raises(Wrong, match="what it gives alone"):
            same_alone(wrong, x)


def test_nan_and_errors_of_pytorch_are_said_in_plain_words():
    assert by_name("uniform_nll").verdict(lambda x: np.full(len(x), np.nan)).startswith("✗ uniform_nll: it returns NaN")
    a = torch.ones(2, requires_grad=True)
    assert "stay with PyTorch here" in by_name("uniform_nll").verdict(lambda x: (a * 2).numpy())
    assert "was a tensor detached" in by_name("uniform_nll").verdict(lambda x: torch.ones(()).backward())


def test_require_treats_nan_as_wrong():
    with pytest.raises(Exception, match="fact"):
        require(np.abs(np.array([np.nan])) < 1, "fact")


@pytest.mark.parametrize("module", NOTEBOOKS)
def test_every_exercise_is_in_its_notebook_and_the_notebook_has_at_least_three(module):
    nb = nbformat.read(NOTEBOOKS[module], as_version=4)
    cells = [c for c in nb.cells if "exercise" in c.metadata.get("tags", [])]
    names = {n for m, n in EXERCISES if m == module}
    checked = set()
    for cell in cells:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Attribute) and node.attr == "check":
                checked.add(node.value.attr)
        for action in ("hint", "solution"):
            assert f".{action}()" in cell.source
    assert checked == names and 3 <= len(names) <= 5


def test_no_module_of_exercises_is_forgotten():
    found = {m.name for m in pkgutil.iter_modules(helpers.exercises.__path__)} - {"engine"}
    assert found == set(NOTEBOOKS)
