"""One code for a whole set: letters of a font, notes of an instrument."""

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from helpers.models.images import ConditionalDecoder, ConditionalEncoder
from helpers.models.sets import SetVAE, draw_members, product_of_normals

SIGMA = 0.5
W = torch.tensor([0.7, -1.3, 2.0, 0.4], dtype=torch.float64)  # x of label c is W[c] z + noise


class RightEncoder(nn.Module):
    """What one member says of z, exactly: p(x|z, c) as a function of z is Normal(x / w, σ / |w|)."""

    def forward(self, x, c):
        return Normal(x / W[c][:, None], (SIGMA / W[c].abs())[:, None])


class LineDecoder(nn.Module):
    def forward(self, z, c):
        return Normal(z * W[c][:, None], SIGMA)


@pytest.fixture
def linear():
    return SetVAE(RightEncoder(), LineDecoder(), code=1).double()


def a_batch():
    x = torch.randn(5, 4, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    c = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [0, -1, 2, -1], [-1, -1, -1, 1], [2, 2, 2, -1]])
    return x, c


def marginal(x, c):
    """log p of the members that are there, by integrating z out: jointly Normal, covariance w wᵀ + σ²."""
    here = c >= 0
    w = W[c[here]]
    return MultivariateNormal(torch.zeros(len(w)).double(), w[:, None] * w + SIGMA**2 * torch.eye(len(w))).log_prob(
        x[here, 0]
    )


def test_product_is_the_one_on_a_grid():
    torch.manual_seed(0)
    mu, sigma = torch.randn(3, 4, 2).double(), torch.rand(3, 4, 2).double() + 0.3
    here = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1], [0, 0, 0, 0]]).bool()
    q = product_of_normals(mu, sigma, here)
    z = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    for n in range(3):
        for k in range(2):
            log_p = -z.square() / 2 + sum(
                Normal(mu[n, m, k], sigma[n, m, k]).log_prob(z) for m in range(4) if here[n, m]
            )
            p = torch.softmax(log_p, 0)
            mean = p @ z
            assert q.loc[n, k] == pytest.approx(mean.item(), abs=1e-7)
            assert q.scale[n, k] == pytest.approx((p @ (z - mean) ** 2).sqrt().item(), abs=1e-7)


def test_with_the_right_encoder_one_code_gives_the_exact_marginal_likelihood(linear):
    x, c = a_batch()
    exact = torch.stack([marginal(xs, cs) for xs, cs in zip(x, c)])
    for k in (1, 7):
        assert torch.allclose(linear.log_prob(x, c, k=k), exact, atol=1e-10)
    nll, kl = linear.elbo(x, c, samples=20_000)
    assert torch.allclose(-(nll + kl), exact, atol=0.05)


def test_missing_members_count_for_nothing(linear):
    x, c = a_batch()
    changed = x.clone()
    changed[c < 0] = 1e6
    assert torch.equal(linear.log_prob(x, c, torch.Generator().manual_seed(1), k=3),
                       linear.log_prob(changed, c, torch.Generator().manual_seed(1), k=3))
    assert torch.equal(linear.posterior(x, c).mean, linear.posterior(changed, c).mean)


def test_the_order_of_members_does_not_matter(linear):
    x, c = a_batch()
    order = [2, 0, 3, 1]
    a, b = linear.posterior(x, c), linear.posterior(x[:, order], c[:, order])
    assert torch.allclose(a.mean, b.mean) and torch.allclose(a.stddev, b.stddev)


def test_the_kl_counts_once_whatever_the_number_of_members(linear):
    x, c = torch.zeros(1, 4, 1).double(), torch.tensor([[0, 1, 2, 3]])
    _, metrics = linear.loss((x, c))
    q = linear.posterior(x, c)
    once = torch.distributions.kl_divergence(q, Normal(torch.zeros(1).double(), 1.0)).sum()
    assert metrics["kl"] == pytest.approx(once.item())


def test_a_few_members_stand_for_all_without_bias(linear):
    x, c = a_batch()
    torch.manual_seed(0)
    q = linear.posterior(x, c)

    def mean_nll(members, draws=4000):
        total = torch.zeros(len(x)).double()
        present = (c >= 0).sum(1)
        for _ in range(draws):
            xs, cs = draw_members(x, c, members)
            total += linear.terms(xs, cs, q=q)[0] * present / (cs >= 0).sum(1)
        return total / draws

    whole = torch.stack([linear.terms(x, c, q=q)[0] for _ in range(4000)]).mean(0)
    assert torch.allclose(mean_nll(2), whole, rtol=0.08)


def test_members_are_drawn_from_those_that_are_there_and_never_twice():
    c = torch.tensor([[0, -1, 2, 3, -1], [-1, 1, -1, -1, -1]])
    x = torch.arange(5.0).expand(2, 5)[..., None]
    seen = set()
    for _ in range(200):
        xs, cs = draw_members(x, c, 3)
        assert cs[0].tolist() == xs[0, :, 0].tolist()  # an example goes with its label
        assert sorted(cs[0].tolist()) == [0, 2, 3] and sorted(cs[1].tolist()) == [-1, -1, 1]
        seen.add(tuple(cs[0].tolist()))
    assert len(seen) == 6  # every order
    assert draw_members(x, c, 99)[0].shape == (2, 5, 1)


def test_the_encoder_sees_no_more_members_than_it_may(linear):
    shapes = []
    encoder = linear.encoder.forward
    linear.encoder.forward = lambda x, c: shapes.append(len(x)) or encoder(x, c)
    x, c = a_batch()
    for _ in range(60):
        linear.loss((x[:2], c[:2]), seen=3)
    assert {n // 2 for n in shapes} == {1, 2, 3}


def test_shapes_of_samples_reconstructions_and_expectations():
    torch.manual_seed(0)
    model = SetVAE(ConditionalEncoder(6, 4, (8,), 3), ConditionalDecoder(3, 4, (8, 8), 6), code=3)
    x, c = torch.rand(5, 4, 6), torch.arange(4).expand(5, -1)
    assert model.reconstruct(x, c).shape == (5, 4, 6)
    assert model.expect(torch.zeros(2, 3), torch.arange(4)).shape == (2, 4, 6)
    drawn = model.sample(7, torch.arange(4), generator=torch.Generator().manual_seed(1), mean=True)
    again = model.sample(7, torch.arange(4), generator=torch.Generator().manual_seed(1), mean=True)
    assert drawn.shape == (7, 4, 6) and torch.equal(drawn, again)
    # each member is decoded from the set's code under its own label
    z = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(drawn[3, 2], model.decoder(z[[3]], torch.tensor([2])).mean[0])
    loss, _ = model.loss((x, c), members=2, seen=2)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_decoder_that_starts_from_averages_gives_them_back():
    average = torch.rand(4, 6)
    decoder = ConditionalDecoder(3, 4, (8, 8), 6, average, sigma=0.2)
    for p in decoder.net.parameters():
        nn.init.zeros_(p)
    p = decoder(torch.randn(4, 3), torch.arange(4))
    assert torch.allclose(p.mean, average) and p.stddev.flatten()[0].item() == pytest.approx(0.2)
