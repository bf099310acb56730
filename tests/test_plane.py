"""Seven families in the plane: densities integrate to one, draws follow them, and mutants do not get through."""

import json
import math

import numpy as np
import pytest
import torch

from helpers.data import pinwheel
from helpers.evaluation.two_sample import energy_distance, told_apart
from helpers.experiments import portrait, settings, sweeps
from helpers.models.families import plane

FEW = {"autoregressive": dict(epochs=3), "VAE": dict(epochs=6), "flow": dict(epochs=4), "energy": dict(epochs=4),
       "GAN": dict(epochs=2), "diffusion": dict(epochs=8), "flow matching": dict(epochs=10)}


def grid(side, half=5.0):
    axis = (np.arange(side) + 0.5) / side * 2 * half - half
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), (2 * half / side) ** 2


def integral(score, side=150, half=6.0):
    x, cell = grid(side, half)
    return float(torch.exp(score(torch.as_tensor(x).float()).double()).sum()) * cell


@pytest.fixture(scope="module")
def models():
    return {name: portrait.train(name, **changes) for name, changes in FEW.items()}


class TestPinwheel:
    def test_the_density_integrates_to_one_and_each_arm_to_its_weight(self):
        x, cell = grid(600)
        shares = np.exp(pinwheel.log_arms(x)).sum(axis=0) * cell
        np.testing.assert_allclose(shares, pinwheel.WEIGHTS, atol=1e-6)

    def test_points_follow_the_density(self):
        x, cell = grid(600)
        p = np.exp(pinwheel.log_density(x)) * cell
        drawn, arm = pinwheel.draw(40_000, np.random.default_rng(0))
        for power in ((1, 0), (0, 1), (2, 0), (0, 2), (1, 1), (3, 1)):  # a twist the other way has other moments
            moment = drawn[:, 0] ** power[0] * drawn[:, 1] ** power[1]
            true = (x[:, 0] ** power[0] * x[:, 1] ** power[1] * p).sum()
            assert abs(moment.mean() - true) < 4 * moment.std() / 200, power
        found = pinwheel.log_arms(drawn).argmax(axis=1)
        assert (found == arm).mean() > 0.97  # arms overlap a little


@torch.no_grad()
@pytest.mark.parametrize("name", ["autoregressive", "flow", "energy"])
def test_exact_densities_integrate_to_one(models, name):
    side, half = {"energy": (400, 5), "flow": (400, 9), "autoregressive": (800, 20)}[name]  # its tails are the longest
    assert integral(models[name].log_prob, side, half) == pytest.approx(1, abs=1e-3)


@torch.no_grad()
def test_the_density_of_flow_matching_integrates_to_one(models):
    assert integral(models["flow matching"].log_prob, side=90) == pytest.approx(1, abs=4e-3)


@torch.no_grad()
def test_weights_of_the_vae_average_to_a_density(models):
    """The mean of the weights is unbiased for p(x): it integrates to one, while exp(ELBO) stays below."""
    model, generator = models["VAE"], torch.Generator().manual_seed(0)
    assert integral(lambda x: model.log_prob(x, generator=generator), side=100) == pytest.approx(1, abs=0.03)
    torch.manual_seed(0)
    assert integral(lambda x: model.log_weights(x, 100).mean(dim=0), side=100) < 0.97


@torch.no_grad()
def test_a_bound_integrates_to_less_than_one(models):
    """Once its noise is averaged out: exp of a noisy bound is too large on average."""
    model, generator = models["diffusion"], torch.Generator().manual_seed(0)

    def bound(x):
        return torch.stack([model.log_prob(x, generator=generator) for _ in range(20)]).mean(dim=0)

    assert 0.1 < integral(bound, side=40) < 0.97


@torch.no_grad()
@pytest.mark.parametrize("name", ["autoregressive", "VAE", "flow", "flow matching"])
def test_draws_follow_the_score(models, name):
    """Shares of draws in the cells of a coarse grid are those of the density: a sampler of another model fails."""
    model, generator = models[name], torch.Generator().manual_seed(1)
    drawn = model.sample(20_000, generator=generator).numpy()
    bins = np.linspace(-6, 6, 9)
    shares = np.histogram2d(*drawn.T, bins=bins)[0].ravel() / len(drawn)
    x, cell = grid(96, half=6.0)
    p = np.exp(model.log_prob(torch.as_tensor(x).float(), generator=generator).double().numpy()) * cell
    expected = np.histogram2d(*x.T, bins=bins, weights=p)[0].ravel()
    assert np.abs(shares - expected).sum() / 2 < 0.03


@torch.no_grad()
def test_langevin_draws_from_an_energy_that_is_known():
    model = plane.Energy(width=8)
    for weights in model.network.parameters():
        weights.zero_()
    model.energy = lambda x: ((x - torch.tensor([1.0, -0.5])) ** 2 / torch.tensor([0.3, 0.6])).sum(dim=1) / 2
    drawn = model.sample(8000, generator=torch.Generator().manual_seed(0))
    assert drawn.mean(dim=0).numpy() == pytest.approx([1, -0.5], abs=0.08)
    assert drawn.var(dim=0).numpy() == pytest.approx([0.3, 0.6], rel=0.08)
    assert float(model.log_Z(400)) == pytest.approx(math.log(2 * math.pi * math.sqrt(0.3 * 0.6)), abs=2e-3)


@torch.no_grad()
def test_the_flow_undoes_itself(models):
    model = models["flow"]
    torch.manual_seed(3)
    noise = torch.randn(2, 50, 1)
    torch.manual_seed(3)
    back, _ = model.to_noise(model.draw(50))
    torch.testing.assert_close(back.T[:, :, None], noise, atol=1e-4, rtol=1e-4)


def test_the_flow_stretches_as_its_jacobian_says():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    model = plane.Flow(layers=3, width=8)
    torch.set_default_dtype(torch.float32)
    x = torch.tensor([[0.3, -1.2]], dtype=torch.float64)

    jacobian = torch.autograd.functional.jacobian(lambda x: model.to_noise(x)[0][0], x)[:, 0]
    noise = model.to_noise(x)[0]
    expected = -0.5 * (noise**2).sum() - math.log(2 * math.pi) + torch.linalg.slogdet(jacobian)[1]
    torch.testing.assert_close(model.score(x)[0], expected)


@torch.no_grad()
def test_diffusion_with_the_perfect_denoiser_has_nearly_the_right_bound():
    """For N(0, 1.5² I) the best guess is x/(1 + σ²/1.5²): the bound is below log p, and by little."""
    model = plane.Diffusion(T=400, width=4)
    model.clean = lambda x, i: x / (1 + model.sigma[i] ** 2 / 1.5**2)
    x = 1.5 * torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    true = torch.distributions.Normal(0.0, 1.5).log_prob(x).sum(dim=1).mean()
    bound = model.log_prob(x, generator=torch.Generator().manual_seed(1)).mean()
    assert -0.06 < bound - true < 0.01
    drawn = model.sample(8000, generator=torch.Generator().manual_seed(2))
    assert drawn.std(dim=0).numpy() == pytest.approx([1.5, 1.5], rel=0.03)


@torch.no_grad()
def test_matching_with_the_true_velocity_has_the_true_density():
    """From N(0, I) to N(m, s² I) along straight lines the velocity is known, and so is log p."""
    model, m, s = plane.Matching(width=4), torch.tensor([1.0, -2.0]), 0.5

    def velocity(x, t):
        t = torch.as_tensor(t)
        var = (1 - t) ** 2 + (t * s) ** 2
        return m + (t * s**2 - (1 - t)) / var * (x - t * m)

    model.velocity, model.steps = velocity, 60
    x = m + s * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    true = torch.distributions.Normal(m, s).log_prob(x).sum(dim=1)
    torch.testing.assert_close(model.log_prob(x), true, atol=5e-3, rtol=0)
    drawn = model.sample(8000, generator=torch.Generator().manual_seed(2))
    assert drawn.mean(dim=0).numpy() == pytest.approx(m.numpy(), abs=0.03)
    assert drawn.std(dim=0).numpy() == pytest.approx([s, s], rel=0.04)


def test_the_discriminator_pays_log_4_where_nothing_can_be_told():
    model = plane.GAN()
    for weights in model.discriminator.parameters():
        torch.nn.init.zeros_(weights)
    with torch.no_grad():
        loss, _ = model.loss((torch.randn(64, 2), None))
    assert float(loss) == pytest.approx(math.log(4))


def test_each_player_of_the_gan_moves_its_own_weights_only():
    torch.manual_seed(0)
    model = plane.GAN(width=8)
    optimisers = [torch.optim.SGD(part, 0.1) for part in model.parts()]
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    optimisers[1].param_groups[0]["lr"] = 0.0
    model.step((torch.randn(32, 2), None), optimisers)
    moved = {name.split(".")[0] for name, weights in model.named_parameters() if not torch.equal(weights, before[name])}
    assert moved == {"discriminator"}


@pytest.mark.parametrize("name", list(plane.FAMILIES))
def test_draws_and_scores_follow_the_generator_alone(models, name):
    model = models[name]
    state = torch.random.get_rng_state()
    first, second = (model.sample(5, generator=torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, second) and first.shape == (5, 2)
    if model.bound:
        with torch.no_grad():
            scores = [model.log_prob(first.detach(), generator=torch.Generator().manual_seed(4)) for _ in range(2)]
        assert torch.equal(*scores) and scores[0].shape == (5,)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_mixture_is_chosen_by_validation_and_draws_its_density():
    train, valid = portrait.points(1500, 7).numpy(), portrait.points(500, 8).numpy()
    mixture = portrait.Mixture(train, valid, seed=0)
    assert mixture.best.n_components > 4  # four Gaussians are too few for five curved arms
    assert integral(mixture.log_prob, side=200) == pytest.approx(1, abs=1e-3)
    drawn = mixture.sample(4000, generator=torch.Generator().manual_seed(0))
    assert drawn.mean(dim=0).numpy() == pytest.approx(train.mean(axis=0), abs=0.12)


class TestTwoSamples:
    def test_energy_distance_of_two_shifted_normals_is_known(self):
        """In one dimension of unit variance, shifted by m: 2 E|N(m, 2)| − 2 E|N(0, 2)|."""
        rng, m = np.random.default_rng(0), 1.0
        found = [energy_distance(rng.standard_normal((1000, 1)), rng.standard_normal((1000, 1)) + m) for _ in range(40)]
        folded = 2 / math.sqrt(math.pi) * math.exp(-(m**2) / 4) + m * math.erf(m / 2)
        assert np.mean(found) == pytest.approx(2 * folded - 4 / math.sqrt(math.pi), abs=0.03)

    def test_energy_distance_of_small_samples_is_unbiased(self):
        rng = np.random.default_rng(0)
        found = [energy_distance(rng.standard_normal((8, 2)), rng.standard_normal((8, 2))) for _ in range(2000)]
        assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(2000)

    def test_what_cannot_be_told_apart_is_told_by_chance(self):
        rng = np.random.default_rng(0)
        assert told_apart(*rng.standard_normal((2, 4000, 2))) == pytest.approx(0.5, abs=0.03)

    def test_a_shift_is_told_as_well_as_it_can_be(self):
        """Two unit normals, a distance of 2 apart: the best classifier is right with probability Φ(1) = 0.841."""
        a, b = np.random.default_rng(0).standard_normal((2, 4000, 2))
        assert told_apart(a, b + [2, 0]) == pytest.approx(0.841, abs=0.02)

    def test_copies_are_not_told_by_their_place(self):
        a = np.random.default_rng(0).standard_normal((1000, 2))
        assert 0.4 < told_apart(a, a + 1e-9) < 0.6

    @pytest.mark.parametrize(("a", "b"), [(np.zeros((5, 2)), np.zeros((5, 3))), (np.zeros(5), np.zeros(5)),
                                          (np.zeros((1, 2)), np.zeros((1, 2)))])
    def test_shapes_that_do_not_fit_are_refused(self, a, b):
        with pytest.raises(ValueError, match="at least two each"):
            energy_distance(a, b)

    def test_two_sizes_cannot_be_told_apart_by_chance(self):
        with pytest.raises(ValueError, match="same size"):
            told_apart(np.zeros((60, 2)), np.zeros((70, 2)))


@pytest.mark.parametrize("k", [0, 1, 10])
def test_votes_that_may_be_ties_are_refused(k):
    with pytest.raises(ValueError, match="odd number of neighbours"):
        told_apart(np.zeros((60, 2)), np.zeros((60, 2)), k=k)


def test_real_points_are_judged_as_real():
    found = portrait.judge(portrait.points(2000, 99))
    assert found["arms"] < 0.04 and found["poorest"] > 0.7 and abs(found["outside"] - 0.01) < 0.008
    assert abs(found["energy"]) < 0.01 and abs(found["tell"] - 0.5) < 0.05
    worse = portrait.judge(portrait.points(2000, 99) * 1.2)
    assert worse["energy"] > 0.02 and worse["tell"] > 0.55


def test_the_file_of_the_portrait_has_every_run_and_they_can_be_made_again():
    sweep = settings.PORTRAIT
    rows = sweeps.load(sweep.file)
    assert not sweeps.failures(rows)
    assert [(row["setting"], row["seed"]) for row in rows] == [
        (setting, seed) for setting in sweep.settings for seed in sweep.seeds]
    assert json.loads(sweep.file.read_text(encoding="utf-8"))["made by"] == sweeps.fingerprint(portrait.train_one)
    cheap = {"family": "mixture"}
    again = portrait.train_one(cheap, 0)
    assert again["test"] == pytest.approx(sweeps.figures(rows, cheap)[0], abs=0.02)
    said = portrait.table(rows).splitlines()
    assert len(said) == 1 + len(sweep.settings) and f"{sweeps.figures(rows, cheap).mean():.2f} ±" in said[2]
    assert said[-1].startswith("GAN, no penalty") and "–" in said[-1]
    assert again["energy"] == pytest.approx(sweeps.figures(rows, cheap, "energy")[0], abs=2e-3)


def test_points_all_around_the_ring_have_no_arms():
    """Turned by any angle, the shares by sector stay near the weights; what lies in the gaps tells."""
    x = portrait.points(3000, 98).double().numpy()
    turned = pinwheel.turn(x, np.random.default_rng(0).uniform(-np.pi / 5, np.pi / 5, len(x)))
    found = portrait.judge(torch.as_tensor(turned))
    assert found["arms"] < 0.06 and found["outside"] > 0.25 and found["poorest"] < 0.8
