"""Likelihoods and the VAE: distributions that sum to one, gradients, bounds, against NumPy and quadrature."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import distributions as D
from torch import nn
from torch.nn.functional import one_hot

from helpers import scratch as S
from helpers.models import likelihoods as L
from helpers.models.vae import VAE

LEVELS = torch.arange(256.0)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(80)
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# --- whole numbers with a discretised Normal ---------------------------------------------------------


def reference(level, loc, scale, levels=256):
    """log P(level) in float64 by another route: erf around the mean, quadrature of the density in the tail."""
    low = ((level - 0.5) / (levels - 1) - loc) / scale if level > 0 else -math.inf
    high = ((level + 0.5) / (levels - 1) - loc) / scale if level < levels - 1 else math.inf
    if low + high < 0:
        low, high = -high, -low
    if low <= 0:
        return math.log((math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2)
    # log ∫ φ from low to high = log φ(low) + log ∫ exp(-low t - t²/2) dt, where exp(-40) is as good as nothing
    width = min(high - low, 40 / max(low, 1.0))
    t, w = (NODES + 1) * width / 2, WEIGHTS * width / 2
    return -(low**2) / 2 - math.log(2 * math.pi) / 2 + math.log((w * np.exp(-low * t - t**2 / 2)).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 0.05, 1.0, 50.0, 1e4])
@pytest.mark.parametrize("loc", [-5.0, -0.01, 0.0, 0.3, 0.5, 1.0, 7.0])
def test_probabilities_of_all_levels_sum_to_one(loc, scale, dtype):
    p = L.DiscretisedNormal(torch.tensor(loc, dtype=dtype), torch.tensor(scale, dtype=dtype))
    log_p = p.log_prob(LEVELS)
    assert log_p.dtype == dtype and log_p.isfinite().all()
    assert abs(log_p.exp().sum().item() - 1) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype, error", [(torch.float32, 5e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("scale", [1e-5, 1e-3, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("loc", [-3.0, 0.0, 0.4567, 1.0, 2.5])
def test_log_prob_is_accurate_far_into_the_tails(loc, scale, dtype, error):
    loc, scale = torch.tensor(loc, dtype=dtype), torch.tensor(scale, dtype=dtype)
    log_p = L.DiscretisedNormal(loc, scale).log_prob(LEVELS).double().numpy()
    truth = np.array([reference(v, loc.item(), scale.item()) for v in range(256)])
    assert np.all(np.abs(log_p - truth) <= error * np.maximum(1, np.abs(truth)))


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2, 0.3, 3.0])
@pytest.mark.parametrize("loc", [-5.0, 0.0, 0.4567, 1.0, 9.0])
def test_gradients_are_finite_and_the_same_in_single_precision(loc, scale):
    loc, scale = torch.tensor(loc).double(), torch.tensor(scale).double()
    gradients = {}
    for dtype in (torch.float32, torch.float64):
        # float64 gets the rounded numbers, too: the difference is then that of the arithmetic
        leaves = [t.float().to(dtype).repeat(256).requires_grad_() for t in (loc, scale)]
        log_p = L.DiscretisedNormal(*leaves).log_prob(LEVELS)
        gradients[dtype] = torch.stack(torch.autograd.grad(log_p.sum(), leaves)).double()
        assert gradients[dtype].isfinite().all()
    single, double = gradients.values()
    # In units of 1/scale, the natural size of these gradients. Where a bin is many σ wide, what rounding does
    # to an edge that lies at the mean can change a gradient there a lot, but not far from it.
    size = torch.maximum(double.abs(), 1 / scale)
    clear = ((LEVELS / 255 - loc).abs() > 0.003) | (scale > 1e-2)
    assert ((single - double).abs() / size)[:, clear].max() < 1e-3


def test_gradients_against_finite_differences():
    loc, scale = torch.rand(256, generator=seeded()).double(), torch.rand(256, generator=seeded(1)).double() + 0.02
    leaves = (loc.requires_grad_(), scale.requires_grad_())
    assert torch.autograd.gradcheck(lambda m, s: L.DiscretisedNormal(m, s).log_prob(LEVELS), leaves)


def test_gradients_of_log_ndtr_in_the_far_tail():
    x = torch.tensor([-1e6, -1e4, -50.0, -1.0, 0.0, 3.0, 50.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(L.log_ndtr(x).sum(), x)
    z = x.detach().double()
    # φ/Φ, by erfcx, which neither overflows nor vanishes
    truth = math.sqrt(2 / math.pi) / torch.special.erfcx(-z / math.sqrt(2))
    assert torch.allclose(gradient.double(), truth, rtol=1e-5, atol=1e-30)
    assert torch.allclose(L.log_ndtr(z), torch.special.log_ndtr(z), rtol=1e-12, atol=0)


def test_symbols_may_be_whole_numbers_and_half_precision_is_not_enough():
    loc = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    p, value = L.DiscretisedNormal(loc, 0.2), torch.tensor([3, 128, 255])
    assert torch.equal(p.log_prob(value), p.log_prob(value.double()))
    half = L.DiscretisedNormal(loc.bfloat16(), torch.tensor(0.2).bfloat16())
    again = L.DiscretisedNormal(loc.bfloat16().float(), torch.tensor(0.2).bfloat16().float())
    assert torch.equal(half.log_prob(value), again.log_prob(value))


# --- drawing -----------------------------------------------------------------------------------------

N = 40_000
DISTRIBUTIONS = {
    "bernoulli": (lambda: D.Bernoulli(logits=torch.tensor([-2.0, 0.0, 1.5]).expand(N, 3)), (N, 3)),
    "normal": (lambda: D.Normal(torch.tensor([-1.0, 5.0]).expand(N, 2), torch.tensor([0.3, 2.0])), (N, 2)),
    "categorical": (lambda: D.Categorical(logits=torch.tensor([[0.0, 1, 2], [2, 0, -9]]).expand(N, 2, 3)), (N, 2)),
    "discretised": (lambda: L.DiscretisedNormal(torch.tensor([0.1, 0.6]).expand(N, 2), 0.3, levels=8), (N, 2)),
}


def probabilities(p, values):
    """Of each value, for every element of one example: (values, …)."""
    return torch.stack([p.log_prob(torch.full(p.batch_shape, v)).exp()[0] for v in values])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_draws_repeat_and_leave_the_global_generator_alone(name):
    make, shape = DISTRIBUTIONS[name]
    torch.manual_seed(1)
    before = torch.get_rng_state()
    x = L.draw(make(), seeded(3))
    assert x.shape == shape and not x.requires_grad
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(L.draw(make(), seeded(3)), x)
    assert not torch.equal(L.draw(make(), seeded(4)), x)


@pytest.mark.parametrize("name, values", [("bernoulli", 2), ("categorical", 3), ("discretised", 8)])
def test_draws_are_as_frequent_as_their_probabilities(name, values):
    p = DISTRIBUTIONS[name][0]()
    x, values = L.draw(p, seeded()), range(values)
    expected = probabilities(p, [v if name == "categorical" else float(v) for v in values])
    found = torch.stack([(x == v).float().mean(dim=0) for v in values])
    assert torch.allclose(expected.sum(dim=0), torch.ones(()), atol=1e-5)
    assert ((found - expected).abs() <= 5 * (expected * (1 - expected) / N).sqrt() + 1e-6).all()


def test_draws_of_a_normal_have_its_moments():
    p = DISTRIBUTIONS["normal"][0]()
    x = L.draw(p, seeded())
    assert ((x.mean(dim=0) - p.mean[0]).abs() < 5 * p.stddev[0] / math.sqrt(N)).all()
    assert ((x.std(dim=0) / p.stddev[0] - 1).abs() < 5 / math.sqrt(2 * N)).all()


@pytest.mark.parametrize("kind", [D.Bernoulli, D.Categorical, D.Normal, L.DiscretisedNormal])
def test_draws_carry_no_gradient(kind):
    p = torch.zeros(5, 3, requires_grad=True)
    distribution = kind(logits=p) if kind in (D.Bernoulli, D.Categorical) else kind(p, p.exp())
    assert not L.draw(distribution, seeded()).requires_grad


def test_reparameterised_draws_carry_the_gradients_of_location_and_scale():
    loc, scale = torch.randn(4, 3, requires_grad=True), torch.rand(4, 3).add(0.1).requires_grad_()
    z = L.reparameterised(D.Normal(loc, scale), seeded(5))
    noise = torch.randn(4, 3, generator=seeded(5))
    assert torch.equal(z, loc + scale * noise)
    for gradient, truth in zip(torch.autograd.grad(z.sum(), (loc, scale)), (torch.ones(4, 3), noise), strict=True):
        assert torch.equal(gradient, truth)
    mu = torch.zeros(3, requires_grad=True)
    other = D.TransformedDistribution(D.Normal(mu, 1.0), [D.transforms.TanhTransform()])
    assert torch.autograd.grad(L.reparameterised(other).sum(), mu)[0].all()


def test_what_is_expected_of_each_distribution():
    assert torch.equal(L.expected(D.Bernoulli(torch.tensor([0.25]))), torch.tensor([0.25]))
    assert torch.equal(L.expected(D.Normal(torch.tensor([3.0]), 1.0)), torch.tensor([3.0]))
    assert torch.equal(L.expected(D.Categorical(logits=torch.tensor([[0.0, 5, 1]]))), torch.tensor([1]))
    levels = L.expected(L.DiscretisedNormal(torch.tensor([-1.0, 0.5, 2.0]), 0.1))
    assert torch.equal(levels, torch.tensor([0.0, 127.5, 255.0]))


def test_per_example_sums_everything_but_the_first_dimension():
    values = torch.arange(24.0).reshape(2, 3, 4)
    assert torch.equal(L.per_example(values), torch.tensor([66.0, 210.0]))
    assert torch.equal(L.per_example(torch.arange(3.0)), torch.arange(3.0))


# --- toy encoders and decoders -----------------------------------------------------------------------

DIM, CODE, SYMBOLS, CLASSES = 6, 2, 5, 3


class Encoder(nn.Module):
    """A Normal over codes, from any x and, if there is one, a class."""

    def __init__(self, inputs, condition=False):
        super().__init__()
        self.condition = condition
        self.body = nn.Linear(inputs + CLASSES * condition, 2 * CODE)

    def features(self, x, c):
        x = one_hot(x, SYMBOLS).flatten(1) if x.dtype == torch.int64 else x
        x = torch.tanh(x.to(self.body.weight.dtype))  # so that no code lies far out
        return torch.cat([x, one_hot(c, CLASSES).to(x.dtype)], dim=1) if self.condition else x

    def forward(self, x, c):
        mu, logvar = self.body(self.features(x, c)).chunk(2, dim=1)
        return D.Normal(mu, torch.exp(0.5 * logvar))


class Decoder(nn.Module):
    def __init__(self, kind, condition=False):
        super().__init__()
        self.kind, self.condition = kind, condition
        self.body = nn.Sequential(
            nn.Linear(CODE + CLASSES * condition, 8), nn.Tanh(),
            nn.Linear(8, DIM * (SYMBOLS if kind == "categorical" else 1)),
        )
        self.log_scale = nn.Parameter(torch.tensor(-1.0))

    def forward(self, z, c):
        h = self.body(torch.cat([z, one_hot(c, CLASSES).to(z.dtype)], dim=1) if self.condition else z)
        if self.kind == "bernoulli":
            return D.Bernoulli(logits=h)
        if self.kind == "normal":
            return D.Normal(h, self.log_scale.exp())
        if self.kind == "discretised":
            return L.DiscretisedNormal(torch.sigmoid(h), self.log_scale.exp(), levels=SYMBOLS)
        return D.Categorical(logits=h.unflatten(1, (DIM, SYMBOLS)))


class Autoregressive(nn.Module):
    """Each symbol depends on the code, on the class, and on the symbol before."""

    autoregressive = True

    def __init__(self, condition=False):
        super().__init__()
        self.kind, self.condition = "categorical", condition
        self.start = Decoder("categorical", condition)
        self.follow = nn.Embedding(SYMBOLS, SYMBOLS)

    def forward(self, z, c, x):
        logits = self.start(z, c).logits
        shifted = torch.cat([torch.zeros_like(logits[:, :1]), self.follow(x[:, :-1])], dim=1)
        return D.Categorical(logits=logits + shifted)

    def generate(self, z, c, generator=None):
        x = torch.zeros(len(z), DIM, dtype=torch.int64)
        for t in range(DIM):
            x[:, t] = L.draw(D.Categorical(logits=self(z, c, x).logits[:, t]), generator)
        return x


KINDS = ["bernoulli", "normal", "discretised", "categorical", "autoregressive"]


def build(kind, condition=False, seed=0, scale=1.0):
    """A VAE with weights large enough to matter, in float64."""
    torch.manual_seed(seed)
    decoder = Autoregressive(condition) if kind == "autoregressive" else Decoder(kind, condition)
    inputs = DIM * SYMBOLS if decoder.kind == "categorical" else DIM
    model = VAE(Encoder(inputs, condition), decoder, CODE).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * scale * torch.randn_like(p))
    return model


def examples(kind, n=7, seed=1):
    g = seeded(seed)
    c = torch.randint(CLASSES, (n,), generator=g)
    if kind == "normal":
        return torch.randn(n, DIM, dtype=torch.float64, generator=g), c
    if kind in ("categorical", "autoregressive"):
        return torch.randint(SYMBOLS, (n, DIM), generator=g), c
    top = 2 if kind == "bernoulli" else SYMBOLS
    return torch.randint(top, (n, DIM), generator=g).double(), c


both = pytest.mark.parametrize("kind, condition", list(itertools.product(KINDS, [False, True])))


@both
def test_loss_is_the_negative_bound_and_reaches_every_weight(kind, condition):
    model, (x, c) = build(kind, condition), examples(kind)
    torch.manual_seed(4)
    loss, metrics = model.loss((x, c if condition else None))
    nll, kl = model.elbo(x, c if condition else None, generator=seeded(4))
    assert nll.shape == kl.shape == (7,) and (kl > 0).all()
    assert loss.shape == () and abs(loss.item() - (nll + kl).mean().item()) < 1e-12
    assert abs(metrics["nll"] - nll.mean()) < 1e-12 and abs(metrics["kl"] - kl.mean()) < 1e-12
    assert not any(m.requires_grad for m in metrics.values())
    loss.backward()
    for name, p in model.named_parameters():
        used = name != "decoder.log_scale" or kind in ("normal", "discretised")
        used = used and name != "decoder.start.log_scale"
        assert used == (p.grad is not None and bool(p.grad.any())), name


@both
def test_samples_repeat_and_are_of_the_kind_of_the_data(kind, condition):
    model, (x, c) = build(kind, condition), examples(kind)
    c = c if condition else None
    before = torch.get_rng_state()
    a, b, other = (model.sample(7, c, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert a.shape == x.shape and a.dtype == x.dtype and not a.requires_grad
    assert torch.equal(a, b) and not torch.equal(a, other)
    if kind != "normal":
        top = 2 if kind == "bernoulli" else SYMBOLS
        assert (a == a.round()).all() and a.min() >= 0 and a.max() < top
    assert model.reconstruct(x, c).shape == x.shape
    assert model.log_prob(x, c, k=3).shape == (7,)


@pytest.mark.parametrize("kind", KINDS)
def test_the_condition_matters_to_bound_reconstruction_and_sample(kind):
    model, (x, _) = build(kind, condition=True, scale=4), examples(kind, 50)
    zeros, ones = torch.zeros(50, dtype=torch.int64), torch.ones(50, dtype=torch.int64)
    for f in (lambda c: model.elbo(x, c, seeded())[0], lambda c: model.reconstruct(x, c).double(),
              lambda c: model.sample(50, c, seeded()).double()):
        assert not torch.equal(f(zeros), f(ones))
        assert torch.equal(f(zeros), f(zeros))


def test_mean_of_a_sample_is_what_the_decoder_expects():
    model = build("bernoulli", scale=3)
    p = model.sample(5, generator=seeded(), mean=True)
    z = torch.randn(5, CODE, dtype=torch.float64, generator=seeded())
    assert torch.equal(p, model.decoder(z, None).mean)
    p, x = (model.sample(20_000, generator=seeded(2), mean=mean) for mean in (True, False))
    assert (p.mean(dim=0) - x.mean(dim=0)).abs().max() < 5 * 0.5 / math.sqrt(20_000)


def test_generated_symbols_follow_the_decoder_one_after_the_other():
    model = build("autoregressive", scale=3)
    z = torch.zeros(N, CODE, dtype=torch.float64)
    x = model.decoder.generate(z, None, seeded())
    # P(second | first) as the decoder gives it, against how often it came
    for first in range(SYMBOLS):
        chosen = x[x[:, 0] == first]
        p = model.decoder(z[:1], None, chosen[:1]).probs[0, 1]
        found = torch.bincount(chosen[:, 1], minlength=SYMBOLS) / len(chosen)
        assert ((found - p).abs() <= 5 * (p * (1 - p) / len(chosen)).sqrt()).all()


# --- against NumPy -----------------------------------------------------------------------------------


class Mlp(nn.Module):
    """The scratch network, as torch layers with the same weights."""

    def __init__(self, net, answer):
        super().__init__()
        layers = []
        for layer in net.layers:
            if not layer.names:
                layers.append(nn.Tanh())
                continue
            linear = nn.Linear(*layer.W.shape).double()
            linear.weight.data, linear.bias.data = torch.tensor(layer.W.T), torch.tensor(layer.b)
            layers.append(linear)
        self.body, self.answer = nn.Sequential(*layers), answer

    def forward(self, v, c):
        return self.answer(self.body(v))


def halves(h):
    mu, logvar = h.chunk(2, dim=1)
    return D.Normal(mu, torch.exp(0.5 * logvar))


@pytest.fixture
def twins():
    """A NumPy VAE, the same in PyTorch, and binary examples."""
    rng = np.random.default_rng(0)
    ours = S.VAE(DIM, (5, 4), CODE, rng)
    ours.theta += 0.3 * rng.standard_normal(ours.theta.size)
    theirs = VAE(Mlp(ours.encoder, halves), Mlp(ours.decoder, lambda a: D.Bernoulli(logits=a)), CODE).double()
    return ours, theirs, (rng.random((7, DIM)) < 0.5).astype(float)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_bound_and_every_gradient_equal_those_in_numpy(twins, beta):
    ours, theirs, x = twins
    torch.manual_seed(8)
    loss, _ = theirs.loss((torch.tensor(x), None), beta=beta)
    loss.backward()
    nll, kl = theirs.elbo(torch.tensor(x), generator=seeded(8))
    noise = torch.randn(7, CODE, dtype=torch.float64, generator=seeded(8))
    nll_ours, kl_ours = ours.loss_and_grad(x, noise.numpy(), beta)
    assert np.abs(nll.detach().numpy() - nll_ours).max() < 1e-10
    assert np.abs(kl.detach().numpy() - kl_ours).max() < 1e-10
    assert abs(loss.item() - (nll_ours + beta * kl_ours).mean()) < 1e-10
    linear = [layer for net in (theirs.encoder, theirs.decoder) for layer in net.body if isinstance(layer, nn.Linear)]
    layers = [layer for net in (ours.encoder, ours.decoder) for layer in net.layers if layer.names]
    for a, b in zip(linear, layers, strict=True):
        assert np.abs(a.weight.grad.numpy().T - b.dW).max() < 1e-10
        assert np.abs(a.bias.grad.numpy() - b.db).max() < 1e-10


# --- bounds ------------------------------------------------------------------------------------------


@torch.no_grad()
def exact(model, x, c=None, points=161):
    """log p(x|c) by quadrature over the two-dimensional code."""
    side = torch.linspace(-8, 8, points, dtype=torch.float64)
    z = torch.cartesian_prod(side, side)
    log_prior = model.prior.log_prob(z) + 2 * math.log(side[1] - side[0])
    rows = []
    for i in range(len(x)):
        here, label = x[i : i + 1].expand(len(z), -1), None if c is None else c[i : i + 1].expand(len(z))
        rows.append(torch.logsumexp(log_prior + model.decode(z, label, here).log_prob(here).sum(dim=1), dim=0))
    return torch.stack(rows)


@pytest.mark.parametrize("kind, condition", [("bernoulli", False), ("discretised", True), ("autoregressive", True)])
def test_bounds_rise_to_the_truth_that_quadrature_gives(kind, condition):
    model, (x, c) = build(kind, condition), examples(kind, 4)
    c = c if condition else None
    truth = exact(model, x, c)
    assert (truth - exact(model, x, c, points=81)).abs().max() < 1e-6  # converged
    repeat = lambda t, n: None if t is None else t.repeat_interleave(n, dim=0)
    with torch.no_grad():
        nll, kl = model.elbo(repeat(x, 4000), repeat(c, 4000), seeded())
        elbo = -(nll + kl).reshape(4, 4000).mean(dim=1)
        means, errors = [], []
        for k in (1, 5, 50):
            n = 20_000 // k
            bound = model.log_prob(repeat(x, n), repeat(c, n), k=k, generator=seeded(k)).reshape(4, n)
            means.append(bound.mean(dim=1))
            errors.append(bound.std(dim=1) / math.sqrt(n))
        # the mean of 100 weights from k = 200 is that of k = 20,000
        bound = model.log_prob(repeat(x, 100), repeat(c, 100), k=200, generator=seeded(9)).reshape(4, 100)
        tight = torch.logsumexp(bound, dim=1) - math.log(100)
    assert (elbo < truth - 0.01).all()
    assert ((means[0] - elbo).abs() < 6 * errors[0]).all()  # k = 1 is the ELBO
    for lower, higher in itertools.pairwise(means):
        assert lower.mean() < higher.mean()
    assert all((mean < truth + 5 * error).all() for mean, error in zip(means, errors, strict=True))
    assert (means[2] - truth).abs().max() < 0.3 * (elbo - truth).abs().max()
    assert (tight - truth).abs().max() < 0.05


def test_the_bound_is_tight_when_the_encoder_is_right():
    """A linear decoder with Normal noise: posterior and log p(x) are known, so any k gives log p(x) itself."""
    w, sigma = torch.tensor([[1.0, 2.0, -0.5]], dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    variance = 1 / (1 + (w**2).sum() / sigma**2)
    encoder, decoder = nn.Module(), nn.Module()
    encoder.forward = lambda x, c: D.Normal(variance * x @ w.T / sigma**2, variance.sqrt())
    decoder.forward = lambda z, c: D.Normal(z @ w, sigma)
    model = VAE(encoder, decoder, 1).double()
    x = torch.randn(5, 3, dtype=torch.float64, generator=seeded())
    covariance = w.T @ w + sigma**2 * torch.eye(3, dtype=torch.float64)
    truth = D.MultivariateNormal(torch.zeros(3, dtype=torch.float64), covariance).log_prob(x)
    for k in (1, 3):
        assert (model.log_prob(x, k=k, generator=seeded(k)) - truth).abs().max() < 1e-10
    nll, kl = model.elbo(x, generator=seeded(), samples=1000)
    assert (nll + kl + truth).abs().max() < 0.3


# --- arguments of the objective ----------------------------------------------------------------------


def losses(model, batch, **options):
    """The loss and its gradient, with the noise of seed 0."""
    torch.manual_seed(0)
    model.zero_grad()
    loss, metrics = model.loss(batch, **options)
    loss.backward()
    return loss.item(), metrics, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.fixture
def trained():
    return build("bernoulli", scale=2), (examples("bernoulli")[0], None)


def test_beta_weighs_the_kl_and_leaves_the_metrics(trained):
    plain, metrics, _ = losses(*trained)
    for beta in (0.0, 0.25, 4.0):
        loss, same, _ = losses(*trained, beta=beta)
        assert abs(loss - (metrics["nll"] + beta * metrics["kl"]).item()) < 1e-12
        assert same == metrics
    assert abs(plain - (metrics["nll"] + metrics["kl"]).item()) < 1e-12


def test_free_bits_are_free_for_each_number_of_the_code(trained):
    model, batch = trained
    torch.manual_seed(0)
    spent = model.terms(*batch)[1].mean(dim=0).detach()
    low, high = spent.min().item(), spent.max().item()
    assert high > 1.1 * low  # else the middle case below is none
    plain, metrics, gradient = losses(model, batch)
    # all numbers spend more: nothing changes
    loss, _, same = losses(model, batch, free_bits=0.9 * low)
    assert abs(loss - plain) < 1e-12 and torch.allclose(same, gradient, atol=1e-12)
    # none does: the KL is a constant, without a gradient
    _, _, reconstruction = losses(model, batch, beta=0.0)
    loss, reported, without = losses(model, batch, free_bits=1.1 * high)
    assert torch.allclose(without, reconstruction, atol=1e-12) and not torch.allclose(without, gradient, atol=1e-3)
    assert abs(loss - (metrics["nll"] + CODE * 1.1 * high).item()) < 1e-12
    assert reported == metrics  # what is reported is what was spent
    # one of two: that one's price is the floor
    floor = (low + high) / 2
    assert abs(losses(model, batch, free_bits=floor)[0] - (metrics["nll"] + floor + high).item()) < 1e-12


# --- any posterior, any precision --------------------------------------------------------------------


class Shifted(Encoder):
    """The same Normal, written so that no formula for its KL divergence is found."""

    def forward(self, x, c):
        q = super().forward(x, c)
        standard = D.Normal(torch.zeros_like(q.loc), torch.ones_like(q.scale))
        return D.TransformedDistribution(standard, [D.transforms.AffineTransform(q.loc, q.scale)])


def test_a_posterior_without_a_formula_is_estimated_right_on_average():
    model, (x, _) = build("bernoulli", scale=2), examples("bernoulli", 3)
    encoder = Shifted(DIM).double()
    encoder.load_state_dict(model.encoder.state_dict())
    estimated = VAE(encoder, model.decoder, CODE).double()
    with pytest.raises(NotImplementedError):
        D.kl_divergence(encoder(x, None), D.Normal(0.0, 1.0))
    with torch.no_grad():
        truth = model.elbo(x)[1]
        torch.manual_seed(0)
        kl = estimated.elbo(x.repeat(20_000, 1))[1].reshape(20_000, 3)
        one, many = (torch.stack([estimated.elbo(x, samples=n)[1] for _ in range(100)]).std(dim=0) for n in (1, 25))
    assert ((kl.mean(dim=0) - truth).abs() < 5 * kl.std(dim=0) / math.sqrt(20_000)).all()
    assert (many < 0.5 * one).all()  # more samples, less noise in both terms
    loss, metrics = estimated.loss((x, None))
    loss.backward()
    assert metrics["kl"].isfinite() and all(p.grad.any() for p in encoder.parameters())


def test_the_model_moves_to_double_precision_as_a_whole():
    model = build("bernoulli").float()
    x = examples("bernoulli")[0]
    assert model.sample(2).dtype == model.loss((x.float(), None))[0].dtype == torch.float32
    model.double()
    assert model.prior.sample(2).dtype == model.sample(2).dtype == model.loss((x, None))[0].dtype == torch.float64


def test_only_weights_of_encoder_and_decoder_are_saved():
    model = build("bernoulli")
    names = {f"{part}.{name}" for part in ("encoder", "decoder") for name, _ in getattr(model, part).named_parameters()}
    assert set(model.state_dict()) == names
    other = build("bernoulli", seed=1)
    other.load_state_dict(model.state_dict())
    x = examples("bernoulli")[0]
    assert torch.equal(*(m.elbo(x, generator=seeded())[0] for m in (model, other)))
