"""Priors over codes as objects: what a VAE's codes are drawn from, and scored by, in place of the standard Normal.

The bound on log p(x) = log ∫ p(x|z) p(z) dz holds for any p(z), and is tightest where p(z) is the mean of all
posteriors, q(z) = E[q(z|x)] (Hoffman and Johnson, 2016, ELBO surgery; Tomczak and Welling, 2018, VAE with a VampPrior).
Here p(z) is fitted to codes of a trained VAE: by one Gaussian, by a mixture of them, or by flow matching.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from helpers.models.families.matching import FlowMatching, log_density, signs

COMPONENTS = (1, 2, 5, 10, 20, 40)  # of a mixture, to choose from
LEAST_VARIANCE = 1e-3  # of that of all codes, for a Gaussian in any direction: it may not close in on a few codes


class Prior(nn.Module):
    """A distribution over codes: ``log_prob(z, c)`` of codes (N, K) is (N,), in nats; ``sample(n, c)`` is (n, K).

    c: labels (N,), or real numbers (N, C), for a prior that was fitted with some; without it, a prior over all codes.
    ``plan`` says how it is built, for a checkpoint; ``says`` what it is. Options that a prior does not know, it
    ignores.
    """

    plan: dict
    says: str

    def log_prob(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """log p(z|c): (N,), in nats."""
        raise NotImplementedError

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               **options: Any) -> Tensor:
        """n codes: (n, K)."""
        raise NotImplementedError


class StandardNormal(Prior):
    """N(0, I): what a VAE is trained with."""

    zero: Tensor

    def __init__(self, K: int):
        super().__init__()
        self.K, self.says = K, "the standard Normal"
        self.plan = {"model": "StandardNormal", "K": K}
        self.register_buffer("zero", torch.zeros(()), persistent=False)  # moves with the model, and has its type

    def log_prob(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=1)

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               **options: Any) -> Tensor:
        return torch.randn(n, self.K, dtype=self.zero.dtype, device=self.zero.device, generator=generator)


class Mixture(Prior):
    """Gaussians with full covariances: log p(z|c) = log Σ_j w_cj N(z; m_cj, L_cj L_cjᵀ), one mixture a label.

    labels: 0 for one mixture, whatever the label. Without a label all mixtures count, as often as labels came.
    """

    log_share: Tensor
    log_weight: Tensor
    mean: Tensor
    root: Tensor

    def __init__(self, K: int, components: int, labels: int = 0):
        super().__init__()
        self.K, self.components, self.labels, C = K, components, labels, max(1, labels)
        self.plan = {"model": "Mixture", "K": K, "components": components, "labels": labels}
        own = " for each label" if labels else ""
        self.says = f"a mixture of {components} Gaussians{own}" if components > 1 else f"one Gaussian{own}"
        self.register_buffer("log_share", torch.full((C,), -math.log(C)))  # of each label
        self.register_buffer("log_weight", torch.full((C, components), -math.log(components)))
        self.register_buffer("mean", torch.zeros(C, components, K))
        self.register_buffer("root", torch.eye(K).repeat(C, components, 1, 1))  # L, lower triangular

    def log_prob(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        if self.labels and c is not None:
            parts = z.new_empty(len(z), self.components)
            for k in c.unique():  # only the Gaussians of its own label are asked
                parts[c == k] = self.log_weight[k] + self._gaussians(z[c == k], int(k))
            return parts.logsumexp(dim=1)
        found = [self.log_share[k] + (self.log_weight[k] + self._gaussians(z, k)).logsumexp(dim=1)
                 for k in range(len(self.mean))]
        return torch.stack(found).logsumexp(dim=0)

    def _gaussians(self, z, k):
        """log N(z; m, L Lᵀ) of each Gaussian of label k: (N, components)."""
        away = (z - self.mean[k][:, None]).transpose(1, 2)  # (components, K, N)
        u = torch.linalg.solve_triangular(self.root[k], away, upper=False)
        volume = self.root[k].diagonal(dim1=1, dim2=2).log().sum(dim=1)
        return -0.5 * (u.square() + math.log(2 * math.pi)).sum(dim=1).T - volume

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               **options: Any) -> Tensor:
        shares = self.log_share.exp().expand(n, -1)
        if not self.labels or c is None:
            c = torch.multinomial(shares, 1, generator=generator)[:, 0]
        j = torch.multinomial(self.log_weight[c].exp(), 1, generator=generator)[:, 0]
        noise = torch.randn(n, self.K, dtype=self.mean.dtype, device=self.mean.device, generator=generator)
        return self.mean[c, j] + (self.root[c, j] @ noise[:, :, None])[:, :, 0]

    def fit(self, z: Tensor, c: Tensor | None = None, seed: int = 0) -> "Mixture":
        """By expectation-maximisation (Dempster, Laird and Rubin, 1977) on codes z (N, K) of labels c (N,)."""
        least = LEAST_VARIANCE * float(z.var(dim=0).mean())
        for k in range(max(1, self.labels)):
            own = z if not self.labels or c is None else z[c == k]
            own = own if len(own) > self.components else z  # too few of this label: as all are
            weight, mean, covariance = gaussians(own.double().cpu().numpy(), self.components, least, seed)
            self.log_share[k] = math.log(max(1, len(own)) / len(z))
            self.log_weight[k] = torch.as_tensor(weight).log()
            self.mean[k] = torch.as_tensor(mean)
            self.root[k] = torch.as_tensor(np.linalg.cholesky(covariance))
        self.log_share -= self.log_share.logsumexp(dim=0)
        return self


def gaussians(z: np.ndarray, components: int, least: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    """A mixture of Gaussians for z (N, K): weights (J,), means (J, K) and covariances (J, K, K).

    least: what is added to all variances.
    """
    from sklearn.mixture import GaussianMixture

    if components == 1:
        covariance = np.cov(z.T).reshape(z.shape[1], -1) + least * np.eye(z.shape[1])
        return np.ones(1), z.mean(axis=0)[None], covariance[None]
    found = GaussianMixture(components, reg_covar=least, random_state=seed).fit(z)
    return found.weights_, found.means_, found.covariances_


class FlowPrior(Prior):
    """Flow matching over standardised codes, (z - mean) / deviation; told labels, or ``condition`` real numbers.

    ``loss``, for training, takes codes (N, K), or means and deviations of their posteriors, (N, 2 K), from which codes
    are drawn anew each time. Real numbers are standardised as well; one that is NaN is not told, so that one trait can
    be ordered alone.
    """

    mean: Tensor
    deviation: Tensor
    c_mean: Tensor
    c_deviation: Tensor

    def __init__(self, K: int, labels: int = 0, condition: int = 0, hidden: int = 256, blocks: int = 3,
                 dropout: float = 0.0, drop: float = 0.1, average: float = 0.99):
        super().__init__()
        self.K, self.labels, self.condition = K, labels, condition
        self.plan = {"model": "FlowPrior", "K": K, "labels": labels, "condition": condition, "hidden": hidden,
                     "blocks": blocks, "dropout": dropout, "drop": drop, "average": average}
        told = f", told which of {labels} labels" if labels else f", told {condition} numbers" if condition else ""
        self.says = f"flow matching over the codes{told}"
        self.flow = FlowMatching((K,), labels, hidden, blocks, dropout, drop, average, images=False,
                                 condition=condition)
        self.register_buffer("mean", torch.zeros(K))
        self.register_buffer("deviation", torch.ones(K))
        self.register_buffer("c_mean", torch.zeros(condition))
        self.register_buffer("c_deviation", torch.ones(condition))

    @torch.no_grad()
    def start_from(self, z: Tensor, c: Tensor | None = None) -> None:
        """The mean and the deviation of codes z (N, K), or of posteriors (N, 2 K), and of real numbers c (N, C)."""
        mu, sigma = z[:, : self.K], z[:, self.K :]
        self.mean.copy_(mu.mean(dim=0))
        variance = mu.var(dim=0) + (sigma.square().mean(dim=0) if sigma.shape[1] else 0)
        self.deviation.copy_(variance.sqrt().clamp(min=1e-6))
        if self.condition and c is not None:
            self.c_mean.copy_(c.nanmean(dim=0))
            self.c_deviation.copy_((c - self.c_mean).square().nanmean(dim=0).sqrt().clamp(min=1e-6))

    def _told(self, c):
        if c is None or not (self.labels or self.condition):
            return None
        return (c - self.c_mean) / self.c_deviation if self.condition else c

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """The squared error of the velocity; see :class:`FlowMatching`."""
        z, c = batch
        if z.shape[1] == 2 * self.K:
            mu, sigma = z.chunk(2, dim=1)
            z = mu + sigma * torch.randn_like(mu)
        return self.flow.loss(((z - self.mean) / self.deviation, self._told(c)))

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None, steps: int = 30,
               guidance: float = 0.0, **options: Any) -> Tensor:
        """n codes by so many midpoint steps; guidance w > 0 stresses what c says (see ``FlowMatching.velocity``)."""
        return self.mean + self.deviation * self.flow.sample(n, self._told(c), generator, steps, guidance)

    def log_prob(self, z: Tensor, c: Tensor | None = None, exact: bool = True, steps: int = 30,
                 generator: torch.Generator | None = None) -> Tensor:
        """log p(z|c): (N,), in nats, without gradients.

        exact: the divergence of the velocity is computed, in K passes a step. Else it is estimated from one direction,
        right on average; in a bound of several codes such noise counts as likelihood, and the bound may be broken.
        """
        x, c = (z - self.mean) / self.deviation, self._told(c)
        units = list(torch.eye(self.K, dtype=x.dtype, device=x.device))
        directions = (lambda x: units) if exact else (lambda x: signs(x, generator))
        inside = log_density(lambda x, t: self.flow.velocity(x, t, c), x, steps, directions)
        return inside - self.deviation.log().sum()


def best_mixture(z: Tensor, c: Tensor | None, valid: Tensor, c_valid: Tensor | None, labels: int = 0,
                 components: Iterable[int] = COMPONENTS, seed: int = 0) -> Mixture:
    """The mixture for codes z (N, K) under which held-out codes ``valid`` (M, K) are the likeliest.

    How many Gaussians it has is tried out, and, where there are labels c (N,), whether each label has its own. More of
    them must help by more than chance would, a standard error; they are tried as long as they do.
    """
    best = Mixture(z.shape[1], 1).to(z.device, z.dtype).fit(z)
    known = best.log_prob(valid, c_valid)
    for own in sorted({0, labels}):
        smallest = len(z) if not own or c is None else int(c.bincount(minlength=labels).min())
        for J in components:
            if J * (z.shape[1] + 1) > smallest:  # fewer codes than numbers of a mean and a variance
                break
            found = Mixture(z.shape[1], J, own).to(z.device, z.dtype).fit(z, c, seed)
            log_p = found.log_prob(valid, c_valid)
            gain = log_p - known
            if gain.mean() > gain.std() / math.sqrt(len(gain)):
                best, known = found, log_p
            elif J > 2:  # the second may do nothing where the fifth helps
                break
    return best
