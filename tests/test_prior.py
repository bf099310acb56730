"""Priors over codes: densities by quadrature, moments of samples, orders, and the bound of a VAE with a new prior."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from comparing import same
from helpers import checkpoints
from helpers.build import restore
from helpers.data import digits
from helpers.disk import PRETRAINED
from helpers.models.prior import FlowPrior, Mixture, StandardNormal, best_mixture
from helpers.models.sets import SetVAE
from helpers.models.vae import VAE
from helpers.priors import Codes, density, fit_prior, plain, posteriors, replace

CENTRES = torch.tensor([[4.0, 1.0], [-2.0, -1.0]])
SPREAD = torch.tensor([0.5, 0.2])  # of numbers of a code around the centre of its label: far from 1, and unequal


def codes(n, seed=0, labels=True):
    """Two heaps, one a label; the first is three times as frequent."""
    g = torch.Generator().manual_seed(seed)
    c = (torch.rand(n, generator=g) < 0.25).long()
    sigma = SPREAD / math.sqrt(2)  # half of the variance is that of posteriors
    mean = CENTRES[c] + sigma * torch.randn(n, 2, generator=g)
    return Codes(mean, sigma.expand(n, 2).clone(), c if labels else None)


@pytest.fixture(scope="module")
def flow():
    return fit_prior("flow", data=(codes(800), codes(200, 1)), steps=700, hidden=48, blocks=2, average=0.95)


def mixture(labels=2):
    z = codes(2000)
    return Mixture(2, 2, labels).fit(z.drawn(), z.told())


def integral(prior, c=None, **options):
    """Of the density over a plane, by squares of 0.1."""
    grid = torch.cartesian_prod(torch.arange(-9, 13, 0.1), torch.arange(-5, 5, 0.1))
    told = None if c is None else torch.full((len(grid),), c)
    return float(prior.log_prob(grid, told, **options).exp().sum()) * 0.1**2


def test_densities_integrate_to_one(flow):
    z = codes(2000).drawn()
    for prior in (StandardNormal(2), Mixture(2, 1).fit(z), mixture(0)):
        assert integral(prior) == pytest.approx(1, abs=3e-3)
    for c in (0, 1, None):
        assert integral(mixture(), c) == pytest.approx(1, abs=3e-3)
    for c in (0, None):
        assert integral(flow, c, steps=20) == pytest.approx(1, abs=0.02)


def test_densities_are_near_the_true_one(flow):
    """Held-out codes, in nats: at best their entropy, under a Gaussian for both heaps far more."""
    held_out = codes(400, 2)
    truth = float(Normal(CENTRES[held_out.c], SPREAD).log_prob(held_out.drawn()).sum(dim=1).mean())
    assert truth - 0.15 < density(flow, held_out) < truth + 0.15
    assert truth - 0.1 < density(mixture(), held_out) < truth + 0.1
    one = fit_prior("gaussian", data=(codes(800), codes(200, 1)))
    assert density(one, held_out) < truth - 1
    assert density(StandardNormal(2), held_out) < truth - 5


def test_samples_lie_where_codes_lie(flow):
    for prior in (flow, mixture()):
        for k in (0, 1):
            z = prior.sample(2000, torch.full((2000,), k), torch.Generator().manual_seed(0))
            assert z.mean(dim=0).numpy() == pytest.approx(CENTRES[k].numpy(), abs=0.06)
            assert z.std(dim=0).numpy() == pytest.approx(SPREAD.numpy(), rel=0.15 if prior is not flow else 0.4)
        z = prior.sample(2000, generator=torch.Generator().manual_seed(0))
        assert 0.17 < (z[:, 0] < 1).float().mean() < 0.33  # without a label: as often as they came
    z = Mixture(2, 1).fit(codes(4000).drawn()).sample(20_000, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(np.cov(z.T), np.cov(codes(4000).drawn().T), atol=0.15)


def test_without_a_label_a_mixture_is_the_mean_over_labels():
    prior, z = mixture(), codes(50, 3).drawn()
    parts = [prior.log_prob(z, torch.full((50,), k)) + prior.log_share[k] for k in (0, 1)]
    torch.testing.assert_close(prior.log_prob(z), torch.stack(parts).logsumexp(dim=0))
    assert prior.log_share.exp().tolist() == pytest.approx([0.75, 0.25], abs=0.03)


def test_the_density_of_a_mixture_is_that_of_its_gaussians():
    prior, z = mixture(0), codes(20, 4).drawn()
    parts = [MultivariateNormal(prior.mean[0, j], scale_tril=prior.root[0, j]).log_prob(z) + prior.log_weight[0, j]
             for j in (0, 1)]
    torch.testing.assert_close(prior.log_prob(z), torch.stack(parts).logsumexp(dim=0))


def test_held_out_codes_choose_the_mixture():
    z, held_out = codes(600), codes(300, 1)
    found = best_mixture(z.drawn(), z.c, held_out.drawn(), held_out.c, labels=2)
    assert (found.labels, found.components) == (2, 1)
    found = best_mixture(z.drawn(), None, held_out.drawn(), None)
    assert (found.labels, found.components) == (0, 2)
    few = codes(6)
    assert best_mixture(few.drawn(), few.c, held_out.drawn(), held_out.c, labels=2).components == 1
    again = [fit_prior("mixture", data=(z, held_out)).state_dict() for _ in range(2)]
    assert same(*again)


def test_codes_are_drawn_anew_from_posteriors():
    """Means alone would give half of the variance."""
    z = codes(3000)
    prior = FlowPrior(2, labels=2)
    prior.start_from(torch.cat([z.mean, z.deviation], dim=1))
    np.testing.assert_allclose(prior.deviation, z.drawn().std(dim=0), rtol=0.03)
    batch = torch.cat([z.mean, z.deviation], dim=1)[:5], z.c[:5]
    seen = []
    prior.flow.loss = lambda batch: (seen.append(batch[0]) or torch.zeros(()), {})
    for _ in range(2000):
        prior.loss(batch)
    drawn = torch.stack(seen) * prior.deviation + prior.mean
    np.testing.assert_allclose(drawn.std(dim=0), z.deviation[:5], rtol=0.08)
    np.testing.assert_allclose(drawn.mean(dim=0), z.mean[:5], atol=0.05)


def test_the_estimated_density_is_right_on_average(flow):
    z, c = CENTRES + 0.1, torch.tensor([0, 1])
    exact = flow.log_prob(z, c, steps=20)
    g = torch.Generator().manual_seed(0)
    found = torch.stack([flow.log_prob(z, c, exact=False, steps=20, generator=g) for _ in range(150)])
    assert (found.std(dim=0) > 0).any()
    assert ((found.mean(dim=0) - exact).abs() < 4 * found.std(dim=0) / math.sqrt(150) + 1e-3).all()


# --- orders ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ordered():
    """Codes whose numbers are two traits, in units far from 1, with a little noise."""

    def some(n, seed):
        g = torch.Generator().manual_seed(seed)
        traits = torch.randn(n, 2, generator=g) * torch.tensor([1.0, 50.0]) + torch.tensor([0.0, 300.0])
        mean = (traits - torch.tensor([0.0, 300.0])) / torch.tensor([1.0, 50.0])
        return Codes(mean, torch.full((n, 2), 0.2), traits)

    return fit_prior("flow", data=(some(1500, 0), some(300, 1)), steps=900, hidden=64, blocks=2, average=0.98)


def test_traits_are_ordered_together_or_alone(ordered):
    g = lambda: torch.Generator().manual_seed(0)
    order = lambda *traits: torch.tensor([traits]).repeat(600, 1)
    z = ordered.sample(600, order(1.5, 250.0), g())
    assert z.mean(dim=0).tolist() == pytest.approx([1.5, -1.0], abs=0.15) and (z.std(dim=0) < 0.45).all()
    z = ordered.sample(600, order(math.nan, 250.0), g())  # the first is free
    assert z.mean(dim=0).tolist() == pytest.approx([0.0, -1.0], abs=0.2)
    assert 0.75 < z[:, 0].std() < 1.25 and z[:, 1].std() < 0.45
    free = ordered.sample(600, None, g())
    torch.testing.assert_close(free, ordered.sample(600, order(math.nan, math.nan), g()))
    assert (free.std(dim=0) > 0.75).all()


def test_a_missing_trait_is_told_apart_from_an_average_one(ordered):
    z = torch.zeros(1, 2)
    average, missing = torch.tensor([[0.0, 300.0]]), torch.tensor([[math.nan, math.nan]])
    assert ordered.log_prob(z, average) > ordered.log_prob(z, missing) + 1


def test_guidance_is_passed_through(flow):
    c, g = torch.zeros(400, dtype=torch.long), lambda: torch.Generator().manual_seed(0)
    plain, strong = flow.sample(400, c, g()), flow.sample(400, c, g(), guidance=2.0)
    assert not torch.equal(plain, strong)
    torch.testing.assert_close(plain, flow.sample(400, c, g(), guidance=0.0))


# --- in a VAE ----------------------------------------------------------------------------------------

W = torch.tensor([[1.0, 0.5], [-0.3, 2.0], [0.8, -1.0]], dtype=torch.float64)  # x = W z + noise
SIGMA = 0.6


class Line(nn.Module):
    """Decoder of the linear model."""

    def forward(self, z, c=None):
        return Normal(z @ W.T, SIGMA)


class Guess(nn.Module):
    """An encoder that is about right under the standard Normal: its means, and too wide."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, x, c=None):
        A = torch.linalg.inv(torch.eye(2).double() + W.T @ W / SIGMA**2) @ W.T / SIGMA**2
        return Normal(x @ A.T, self.scale.expand(len(x), 2))


@pytest.fixture
def linear():
    return VAE(Guess(), Line(), code=2).double()


def other_prior():
    prior = Mixture(2, 1).double()
    prior.mean.copy_(torch.tensor([0.7, -0.4]).expand(1, 1, 2))
    prior.root.copy_(torch.tensor([[0.8, 0.0], [0.3, 0.5]]).expand(1, 1, 2, 2))
    return prior


@torch.no_grad()
def test_the_bound_holds_under_a_prior_that_replaced_the_first(linear):
    x = 1.5 * torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for prior in (StandardNormal(2).double(), other_prior()):
        linear.prior = prior
        m, S = (torch.zeros(2), torch.eye(2)) if isinstance(prior, StandardNormal) else (
            prior.mean[0, 0], prior.root[0, 0] @ prior.root[0, 0].T)
        m, S = m.double(), S.double()
        truth = MultivariateNormal(W @ m, W @ S @ W.T + SIGMA**2 * torch.eye(3).double()).log_prob(x)
        g = torch.Generator().manual_seed(1)
        bound = {k: torch.stack([linear.log_prob(x, generator=g, k=k) for _ in range(2000 // k)]).mean(dim=0)
                 for k in (1, 20, 400)}
        assert (bound[1] < truth).all() and (bound[1].mean() < bound[20].mean() < truth.mean())
        torch.testing.assert_close(bound[400], truth, atol=0.1, rtol=0)
        nll, kl = linear.elbo(x, generator=g, samples=2000)
        torch.testing.assert_close(-nll - kl, bound[1], atol=0.25, rtol=0)


@torch.no_grad()
def test_samples_come_from_the_prior_or_the_old_way(linear):
    linear.prior = other_prior()
    g = lambda: torch.Generator().manual_seed(0)
    x = linear.sample(20_000, generator=g())
    S = linear.prior.root[0, 0] @ linear.prior.root[0, 0].T
    np.testing.assert_allclose(x.mean(dim=0), W @ linear.prior.mean[0, 0], atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), (W @ S @ W.T).numpy() + SIGMA**2 * np.eye(3), atol=0.12)
    own = linear.prior
    with plain(linear):
        old = linear.sample(20_000, generator=g())
    assert linear.prior is own
    np.testing.assert_allclose(np.cov(old.T), (W @ W.T).numpy() + SIGMA**2 * np.eye(3), atol=0.2)
    torch.testing.assert_close(old, VAE(Guess(), Line(), code=2).double().sample(20_000, generator=g()))


@pytest.mark.parametrize("kind", ["normal", "gaussian", "mixture", "flow"])
def test_a_prior_is_saved_with_its_model(kind, tmp_path):
    vae, _ = restore(PRETRAINED / "digits-conv-0")
    data = digits.load()
    found = [posteriors(vae, data, split) for split in ("train", "valid")]
    replace(vae, fit_prior(kind, data=found, steps=20, **({"hidden": 16, "blocks": 1} if kind == "flow" else {})))
    checkpoints.save(tmp_path / "model", vae.state_dict(), plan=vae.plan)
    again, _ = restore(tmp_path / "model")
    assert same(vae.state_dict(), again.state_dict()) and type(again.prior) is type(vae.prior)
    x, g = torch.as_tensor(data.x[:3]).float(), lambda: torch.Generator().manual_seed(0)
    torch.testing.assert_close(vae.sample(4, generator=g()), again.sample(4, generator=g()))
    with torch.no_grad():
        torch.testing.assert_close(vae.log_prob(x, generator=g(), k=2), again.log_prob(x, generator=g(), k=2))
    before, _ = restore(PRETRAINED / "digits-conv-0")  # as it was saved, before there were priors
    assert isinstance(before.prior, StandardNormal) and same(before.state_dict(), checkpoints.load(
        PRETRAINED / "digits-conv-0")[0])


def test_the_prior_of_a_set_is_told_nothing_of_its_members():
    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(()))

        def forward(self, z, c=None):
            return Normal(self.w * z, 1.0)

    vae = SetVAE(One(), One(), code=2)
    vae.prior = mixture()  # has a mixture for each label, of codes and not of members
    c = torch.tensor([[0, 1, 1], [1, 0, -1]])
    assert vae.sample(2, c).shape == (2, 3, 2)
    assert vae.log_prob(torch.zeros(2, 3, 2), c, k=2).shape == (2,)


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="'flow'"):
        fit_prior("vamp", data=(codes(20), codes(20)))
