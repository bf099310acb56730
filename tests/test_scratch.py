"""The NumPy half: gradients, likelihoods, optimisers and samplers against independent ways to know them."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import scratch as S

ALL_IMAGES = np.array(list(itertools.product([0.0, 1.0], repeat=6)))  # (64, 6)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def autograd(f, *arrays):
    """Value of f on float64 torch copies of the arrays, and the gradient for each of them."""
    tensors = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
    value = f(*tensors)
    return value.item(), [g.numpy() for g in torch.autograd.grad(value, tensors)]


# --- losses ------------------------------------------------------------------------------------------


def test_bernoulli_against_finite_differences_and_autograd(rng):
    x, a = (rng.random((5, 4)) < 0.5).astype(float), 3 * rng.standard_normal((5, 4))
    nll, da = S.bernoulli_nll(x, a)
    assert nll.shape == (5,)
    assert S.relative_error(da, S.numerical_gradient(lambda: S.bernoulli_nll(x, a)[0].sum(), a)) < 1e-6
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    value, (gradient,) = autograd(lambda t: bce(t, torch.tensor(x), reduction="sum"), a)
    assert abs(nll.sum() - value) < 1e-10
    assert np.abs(da - gradient).max() < 1e-10


def test_bernoulli_is_a_distribution_and_does_not_overflow(rng):
    a = np.tile(5 * rng.standard_normal(6), (64, 1))
    assert abs(np.exp(-S.bernoulli_nll(ALL_IMAGES, a)[0]).sum() - 1) < 1e-12
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        nll, da = S.bernoulli_nll(np.array([[0.0, 1.0, 1.0]]), np.array([[900.0, 900.0, -900.0]]))
    assert nll[0] == 1800
    assert np.array_equal(da, [[1, 0, -1]])


@given(st.floats(-700, 700))
def test_sigmoid_and_softplus_belong_together(a):
    # softplus(a) - softplus(-a) = a, and sigmoid(a) + sigmoid(-a) = 1
    assert abs(S.softplus(a) - S.softplus(-a) - a) <= 1e-12 * max(1, abs(a))
    assert abs(S.sigmoid(a) + S.sigmoid(-a) - 1) < 1e-15


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_gaussian_nll(rng, sigma):
    x, y = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    nll, dy = S.gaussian_nll(x, y, sigma)
    f = lambda t: -torch.distributions.Normal(t, sigma).log_prob(torch.tensor(x)).sum()
    value, (gradient,) = autograd(f, y)
    assert abs(nll.sum() - value) < 1e-10
    assert np.abs(dy - gradient).max() < 1e-10
    assert S.relative_error(dy, S.numerical_gradient(lambda: S.gaussian_nll(x, y, sigma)[0].sum(), y)) < 1e-6


def test_gaussian_kl_against_autograd_and_quadrature(rng):
    mu, logvar = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    kl, dmu, dlogvar = S.gaussian_kl(mu, logvar)

    def f(m, v):
        q = torch.distributions.Normal(m, torch.exp(0.5 * v))
        return torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum()

    value, gradients = autograd(f, mu, logvar)
    assert abs(kl.sum() - value) < 1e-10
    for ours, theirs, v in ((dmu, gradients[0], mu), (dlogvar, gradients[1], logvar)):
        assert np.abs(ours - theirs).max() < 1e-10
        assert S.relative_error(ours, S.numerical_gradient(lambda: S.gaussian_kl(mu, logvar)[0].sum(), v)) < 1e-6
    z = np.linspace(-25, 25, 50_001)
    s = np.exp(0.5 * logvar[0, 0])
    log_q = -0.5 * ((z - mu[0, 0]) / s) ** 2 - np.log(s * np.sqrt(2 * np.pi))
    log_p = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    integral = np.trapezoid(np.exp(log_q) * (log_q - log_p), z)
    assert abs(S.gaussian_kl(mu[:1, :1], logvar[:1, :1])[0][0] - integral) < 1e-8


# --- layers ------------------------------------------------------------------------------------------


def torch_mlp(net):
    """The same network as torch functions of the same arrays, in the order of net.layers."""

    def forward(x, *weights):
        weights = list(weights)
        for layer in net.layers:
            x = x @ weights.pop(0) + weights.pop(0) if layer.names else torch.tanh(x)
        return x

    return forward


@pytest.mark.parametrize("sizes", [(4, 3), (5, 4, 3), (6, 5, 4, 3)])
def test_network_gradients(rng, sizes):
    net = S.mlp(sizes, rng)
    x, dy = rng.standard_normal((7, sizes[0])), rng.standard_normal((7, sizes[-1]))
    f = lambda: (net.forward(x) * dy).sum()
    f()
    dx = net.backward(dy)
    weights = [(getattr(layer, n), getattr(layer, "d" + n).copy()) for layer in net.layers for n in layer.names]
    _, gradients = autograd(lambda t, *w: (torch_mlp(net)(t, *w) * torch.tensor(dy)).sum(), x, *[w for w, _ in weights])
    for v, ours, theirs in zip([x] + [w for w, _ in weights], [dx] + [g for _, g in weights], gradients, strict=True):
        assert np.abs(ours - theirs).max() < 1e-10
        assert S.relative_error(ours, S.numerical_gradient(f, v)) < 1e-6


def test_need_dx_false_skips_only_the_input_gradient(rng):
    net = S.mlp((4, 3, 2), rng)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    net.forward(x)
    net.backward(dy)
    first = net.layers[0].dW.copy()
    net.layers[0].dW[:] = 0
    assert net.backward(dy, need_dx=False) is None
    assert np.array_equal(net.layers[0].dW, first)


def test_pack_keeps_values_and_gives_views(rng):
    net, other = S.mlp((4, 3, 2), rng), S.mlp((2, 5), rng)
    x = rng.standard_normal((3, 4))
    before = net.forward(x)
    theta, grad = S.pack(net, other)
    assert theta.size == 4 * 3 + 3 + 3 * 2 + 2 + 2 * 5 + 5
    assert np.array_equal(net.forward(x), before)
    net.backward(np.ones((3, 2)))
    assert grad[:12].any() and not grad[23:].any()  # other has seen no gradient yet
    theta[:] = 0
    assert not net.forward(x).any()


# --- optimisers --------------------------------------------------------------------------------------

OPTIMISERS = {
    "sgd": (lambda t: S.SGD(t, lr=0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
    "momentum": (lambda t: S.SGD(t, lr=0.02, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9)),
    "adam": (lambda t: S.Adam(t, lr=0.03), lambda p: torch.optim.Adam(p, lr=0.03)),
    "adam, other betas": (
        lambda t: S.Adam(t, lr=0.01, beta1=0.5, beta2=0.9, eps=1e-4),
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.9), eps=1e-4),
    ),
    "adamw": (
        lambda t: S.Adam(t, lr=0.03, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, lr=0.03, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("block", [7, 32768])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_equal_torch_step_for_step(rng, name, block, monkeypatch):
    monkeypatch.setattr(S.Adam, "block", block)  # 7 does not divide 23: the last piece is short
    theta = rng.standard_normal(23)
    twin = torch.tensor(theta.copy(), requires_grad=True)
    ours, theirs = OPTIMISERS[name][0](theta), OPTIMISERS[name][1]([twin])
    scale = np.exp(rng.standard_normal(23))
    for _ in range(150):
        grad = scale * theta + 0.1 * rng.standard_normal(23)
        twin.grad = torch.tensor(grad)
        ours.step(theta, grad)
        theirs.step()
        assert np.abs(theta - twin.detach().numpy()).max() < 1e-12


# --- mixture -----------------------------------------------------------------------------------------


def test_mixture_is_a_distribution_and_em_improves(rng):
    pi, p = rng.dirichlet(np.ones(3)), rng.uniform(0.05, 0.95, (3, 6))
    assert abs(np.exp(-S.mixture_nll(ALL_IMAGES, pi, p)).sum() - 1) < 1e-12
    x = S.sample_mixture(400, pi, p, rng)
    # With hardly any smoothing, EM never lowers the likelihood of the data that it is fitted to.
    r = rng.dirichlet(np.ones(3), size=len(x))
    scores = []
    for _ in range(30):
        pi, p = S.m_step(x, r, s=1e-6)
        r = S.e_step(x, pi, p)
        assert np.allclose(r.sum(axis=1), 1)
        scores.append(S.mixture_nll(x, pi, p).mean())
    assert np.all(np.diff(scores) < 1e-6)
    assert scores[-1] < scores[0] - 0.01


def test_mixture_sampler_moments(rng):
    pi, p = np.array([0.2, 0.5, 0.3]), rng.uniform(0.05, 0.95, (3, 6))
    x = S.sample_mixture(60_000, pi, p, rng)
    mean = pi @ p
    second = np.einsum("k,ki,kj->ij", pi, p, p)[~np.eye(6, dtype=bool)]
    assert set(np.unique(x)) == {0.0, 1.0}
    assert np.abs(x.mean(axis=0) - mean).max() < 5 * 0.5 / np.sqrt(len(x))
    assert np.abs((x.T @ x / len(x))[~np.eye(6, dtype=bool)] - second).max() < 5 * 0.5 / np.sqrt(len(x))


def test_logsumexp_is_stable():
    a = np.array([[-1000.0, -1001.0], [1000.0, 999.0]])
    assert np.allclose(S.logsumexp(a), np.logaddexp(a[:, 0], a[:, 1]))


# --- the VAE -----------------------------------------------------------------------------------------


@pytest.fixture
def small(rng):
    model = S.VAE(6, (5, 4), 2, rng)
    model.theta += 0.1 * rng.standard_normal(model.theta.size)  # biases away from zero, too
    return model, (rng.random((7, 6)) < 0.5).astype(float), rng.standard_normal((7, 2))


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_vae_gradient_against_finite_differences(small, beta):
    model, x, eps = small

    def loss():
        nll, kl = model.loss_and_grad(x, eps, beta)
        return (nll + beta * kl).mean()

    loss()
    assert S.relative_error(model.grad.copy(), S.numerical_gradient(loss, model.theta)) < 1e-6


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_vae_gradient_against_autograd(small, beta):
    model, x, eps = small
    names = [(layer, n) for net in (model.encoder, model.decoder) for layer in net.layers for n in layer.names]
    split = sum(len(layer.names) for layer in model.encoder.layers)

    def f(*w):
        h = torch_mlp(model.encoder)(torch.tensor(x), *w[:split])
        mu, logvar = h[:, :2], h[:, 2:]
        a = torch_mlp(model.decoder)(mu + torch.exp(0.5 * logvar) * torch.tensor(eps), *w[split:])
        bce = torch.nn.functional.binary_cross_entropy_with_logits(a, torch.tensor(x), reduction="sum")
        kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum()
        return (bce + beta * kl) / len(x)

    value, gradients = autograd(f, *[getattr(layer, n) for layer, n in names])
    nll, kl = model.loss_and_grad(x, eps, beta)
    assert abs((nll + beta * kl).mean() - value) < 1e-10
    for (layer, n), gradient in zip(names, gradients, strict=True):
        assert np.abs(getattr(layer, "d" + n) - gradient).max() < 1e-10


def exact_nll(model, x):
    """-log p(x) by quadrature over a two-dimensional code."""
    side = np.linspace(-8, 8, 401)
    z = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    log_prior = -0.5 * (z**2).sum(axis=1) - np.log(2 * np.pi) + 2 * np.log(side[1] - side[0])
    a = model.decode(z)
    return np.array([-S.logsumexp(log_prior - S.bernoulli_nll(np.tile(row, (len(z), 1)), a)[0]) for row in x])


def test_bounds_against_quadrature(small, rng):
    model, x, _ = small
    truth = exact_nll(model, x)
    nll, kl = S.terms(model, x, rng, samples=3000)
    bounds = [np.mean([S.iwae(model, x, k, rng) for _ in range(3000 // k)], axis=0) for k in (5, 50)]
    tight = S.iwae(model, x, 20_000, rng)
    assert np.all(nll + kl > truth + 1e-3)
    # more codes, a tighter bound, down to the truth
    assert (nll + kl).mean() > bounds[0].mean() > bounds[1].mean() > truth.mean() - 2e-3
    assert np.abs(tight - truth).max() < 0.02


def test_vae_likelihood_sums_to_one(small):
    assert abs(np.exp(-exact_nll(small[0], ALL_IMAGES)).sum() - 1) < 1e-6


def test_sample_matches_the_model(small, rng):
    model = small[0]
    p = S.sample(model, 40_000, rng)
    marginal = np.exp(-exact_nll(model, ALL_IMAGES)) @ ALL_IMAGES
    assert p.shape == (40_000, 6)
    assert np.abs(p.mean(axis=0) - marginal).max() < 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_learns_repeats_and_keeps_the_best(dtype, capsys, monkeypatch):
    monkeypatch.setenv("HELPERS_PROGRESS", "milestones")
    runs = []
    for _ in range(2):
        rng = np.random.default_rng(3)
        x = S.sample_mixture(240, np.ones(2) / 2, np.array([[0.9] * 6, [0.1] * 6]), rng).astype(dtype)
        model = S.VAE(6, (8,), 2, rng, dtype)
        assert model.theta.dtype == dtype
        history = S.fit(model, x[:200], x[200:], rng, epochs=30, batch_size=32)
        runs.append((model, history, x))
    (model, history, x), again = runs[0], runs[1]
    assert np.array_equal(model.theta, again[0].theta) and np.array_equal(history, again[1])
    assert history.shape == (30, 2)
    assert history[-1, 0] < history[0, 0] - 0.3
    kept = np.add(*S.terms(model, x[200:], np.random.default_rng(0))).mean()
    assert kept == pytest.approx(history[:, 1].min(), rel=1e-6)
    assert len(capsys.readouterr().out.splitlines()) == 10  # five lines a run


def test_fit_draws_every_batch_anew(rng):
    seen = []

    def augment(x, rng):
        seen.append(len(x))
        return (rng.random(x.shape) < x).astype(x.dtype)

    grey = rng.random((50, 6))
    S.fit(S.VAE(6, (4,), 2, rng), grey, np.round(grey), rng, epochs=2, batch_size=20, augment=augment)
    assert seen == [20, 20, 10] * 2


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.lists(st.integers(1, 9), max_size=3), st.integers(1, 5), st.integers(1, 6))
def test_vae_is_general_in_its_sizes(D, hidden, K, N):
    rng = np.random.default_rng(0)
    model = S.VAE(D, tuple(hidden), K, rng)
    x = (rng.random((N, D)) < 0.5).astype(float)
    nll, kl = model.loss_and_grad(x, rng.standard_normal((N, K)))
    assert nll.shape == kl.shape == (N,) and np.isfinite(model.grad).all()
    assert S.iwae(model, x, 3, rng).shape == (N,) and S.sample(model, 2, rng).shape == (2, D)
