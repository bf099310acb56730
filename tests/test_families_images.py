"""The families for images of one's own: coupling flow and GAN. A flow of two pixels is integrated on a grid; a GAN has
no density, so its losses are computed by hand, and a small one must learn. For each claim a model with a known mistake
is shown to fail it.
"""

import math
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import samples as made
from comparing import refused, same, weights
from helpers import runs, senses
from helpers.__main__ import main
from helpers.build import build, plan, restore
from helpers.data import DataError, Dataset
from helpers.models.families import adversarial, coupling
from helpers.models.families.adversarial import GAN, energy_distance
from helpers.models.families.coupling import LEVELS, Coupling, CouplingFlow
from helpers.training import Settings, TrainingError, fit
from helpers.training.loop import Training
from helpers.training.processes import Team

LEAVES, STROKES, VILLAGES = (made.SAMPLES / name for name in ("leaves", "strokes", "villages.txt"))
N = 20_000  # samples that are counted


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def wild(D=2, **choices):
    """A flow of D pixels, in float64, with random weights everywhere, so that no pixel is like another."""
    torch.manual_seed(0)
    model = CouplingFlow((D,), **{"hidden": 8, "layers": 4, "labels": 2, **choices}).double().eval()
    for p in model.parameters():
        nn.init.normal_(p, std=0.4 * math.sqrt(2 / D))
    model.mean.normal_()
    model.root.copy_(torch.eye(D) * 1.3 + 0.5 / D * torch.randn(D, D).tril())
    return model


# --- the flow: a density ------------------------------------------------------------------------------------

U = torch.linspace(-24, 24, 401, dtype=torch.float64)  # v = σ(u): close together near 0 and 1, where a density is steep
V, WEIGHT = torch.sigmoid(U), torch.sigmoid(U) * torch.sigmoid(-U) * (U[1] - U[0])
GRID, AREA = torch.cartesian_prod(V, V), torch.cartesian_prod(WEIGHT, WEIGHT).prod(dim=1)


@torch.no_grad()
def on_grid(model, c=0):
    """The density at each point of the grid."""
    return model.density(GRID, torch.full((len(GRID),), c)).exp()


@pytest.mark.parametrize("c", [0, 1])
def test_it_integrates_to_one(c):
    assert (on_grid(wild(), c) * AREA).sum().item() == pytest.approx(1, abs=1e-3)


def test_a_label_changes_the_density():
    assert (AREA * (on_grid(wild(), 0) - on_grid(wild(), 1)).abs()).sum() > 0.05


class WrongSign(Coupling):
    """Adds the log-determinant of the way back."""

    def forward(self, y, told):
        y, log_det = super().forward(y, told)
        return y, -log_det


class NotCounted(Coupling):
    """Forgets that scaling costs."""

    def forward(self, y, told):
        y, log_det = super().forward(y, told)
        return y, 0 * log_det


class HalfCounted(Coupling):
    """Takes a mean where a sum belongs."""

    def forward(self, y, told):
        y, log_det = super().forward(y, told)
        return y, 0.5 * log_det


@pytest.mark.parametrize("mutant", [WrongSign, NotCounted, HalfCounted])
def test_a_wrong_log_determinant_of_a_layer_is_seen_in_the_integral(mutant, monkeypatch):
    monkeypatch.setattr(coupling, "Coupling", mutant)
    assert abs((on_grid(wild()) * AREA).sum().item() - 1) > 0.02


@pytest.mark.parametrize("mistake", [lambda y, log_det: (y, -log_det), lambda y, log_det: (y, 0 * log_det)])
def test_a_wrong_log_determinant_of_the_logit_is_seen_in_the_integral(mistake, monkeypatch):
    to_logits = coupling.to_logits
    monkeypatch.setattr(coupling, "to_logits", lambda v: mistake(*to_logits(v)))
    assert not 0.5 < (on_grid(wild()) * AREA).sum().item() < 2


def test_a_forgotten_first_layer_is_seen_in_the_integral():
    class Forgets(CouplingFlow):
        def forward(self, v, c=None):
            y, log_det = super().forward(v, c)
            return y, log_det + self.root.diagonal().log().sum()

    model = wild()
    model.__class__ = Forgets
    assert abs((on_grid(model) * AREA).sum().item() - 1) > 0.1


@pytest.mark.parametrize("D", [2, 5, 6])
def test_the_log_determinant_is_that_of_the_jacobian(D):
    model, v = wild(D), torch.rand(3, D, generator=seeded(), dtype=torch.float64)
    c = torch.tensor([0, 1, 0])
    _, log_det = model(v, c)
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda x, i=i: model(x[None], c[i : i + 1])[0][0], v[i])
        assert log_det[i].item() == pytest.approx(torch.linalg.slogdet(jacobian).logabsdet.item(), abs=1e-6)


@pytest.mark.parametrize("D", [2, 5, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inverse_leads_back(D, dtype):
    model, v = wild(D).to(dtype), torch.rand(50, D, generator=seeded(), dtype=dtype)
    c = torch.arange(50) % 2
    with torch.no_grad():
        assert (model.inverse(model(v, c)[0], c) - v).abs().max() < 1e-5
        assert (model.inverse(model(v, c)[0], 1 - c) - v).abs().max() > 1e-3, "another label is another way"


def test_it_starts_as_one_normal_and_every_number_is_changed_by_a_pair_of_layers():
    model = CouplingFlow((7,), layers=2)
    v = torch.rand(9, 7, generator=seeded())
    assert torch.allclose(model.eval()(v)[0], coupling.to_logits(v)[0], atol=1e-5)
    changed = [set(layer.order[layer.kept :].tolist()) for layer in model.layers]
    assert changed[0] | changed[1] == set(range(7)) and all(len(part) == 4 for part in changed)


def test_layers_come_in_the_same_order_in_every_model_and_in_pairs():
    torch.manual_seed(1)
    a = CouplingFlow((6,), layers=6, hidden=4)
    torch.manual_seed(2)
    b = CouplingFlow((3, 2), layers=6, hidden=4)
    for one, other in zip(a.layers, b.layers, strict=True):
        assert torch.equal(one.order, other.order)
    for one, other in pairwise(a.layers[:2]):
        assert set(one.order[:3].tolist()) == set(other.order[3:].tolist())


# --- the flow: samples, and what it says of 256 levels ------------------------------------------------------


def test_samples_have_the_moments_of_the_density():
    model = wild()
    p, levels = on_grid(model, 1) * AREA, (LEVELS * GRID).floor() / (LEVELS - 1)
    drawn = model.sample(N, torch.ones(N, dtype=torch.long), seeded())
    assert torch.equal((drawn * 255).round() / 255, drawn) and 0 <= drawn.min() and drawn.max() <= 1
    for f in (lambda x: x[:, 0], lambda x: x[:, 1], lambda x: x[:, 0] ** 2, lambda x: x[:, 1] ** 2,
              lambda x: x[:, 0] * x[:, 1]):
        found = f(drawn)
        assert abs(found.mean() - (p * f(levels)).sum()) < 4 * found.std() / math.sqrt(N) + 1e-3
    assert torch.equal(drawn, model.sample(N, torch.ones(N, dtype=torch.long), seeded()))
    other = model.sample(N, torch.zeros(N, dtype=torch.long), seeded())
    assert (other.mean(dim=0) - drawn.mean(dim=0)).abs().max() > 0.02


def test_a_sample_is_the_level_in_whose_step_the_number_lies():
    model, c = wild(), torch.zeros(500, dtype=torch.long)
    v = model.inverse(torch.randn(500, 2, generator=seeded(), dtype=torch.float64), c)
    level = (model.sample(500, c, seeded()) * (LEVELS - 1)).round()
    assert (level / LEVELS <= v).all() and (v <= (level + 1) / LEVELS).all()


def inside(model, x, points=12):
    """Of images x (N, 2): log P of their levels, and the bound, both by quadrature within the step of each: (N,)."""
    node, weight = (torch.as_tensor(part) for part in np.polynomial.legendre.leggauss(points))
    node, weight = torch.cartesian_prod(*[(node + 1) / 2] * 2), torch.cartesian_prod(*[weight / 2] * 2).prod(dim=1)
    log_p = torch.stack([model.density((image * 255 + node) / LEVELS, torch.zeros(len(node), dtype=torch.long))
                         for image in x])  # (N, points²)
    steps = 2 * math.log(LEVELS)
    return torch.logsumexp(log_p + weight.log(), dim=1) - steps, (log_p * weight).sum(dim=1) - steps


X = torch.tensor([[3, 200], [100, 101], [250, 9], [60, 128], [128, 60]], dtype=torch.float64) / 255
NONE = torch.zeros(len(X), dtype=torch.long)


@torch.no_grad()
def test_the_bound_is_the_mean_over_noise_and_at_most_the_probability_of_the_levels():
    model = wild()
    exact, bound = inside(model, X)
    assert (bound <= exact).all() and (exact - bound).max() > 1e-4 and (exact < 0).all()
    drawn = torch.stack([model.log_prob(X, NONE, seeded(n), k=1) for n in range(400)])
    assert ((drawn.mean(dim=0) - bound).abs() < 4 * drawn.std(dim=0) / 20 + 1e-5).all()
    torch.manual_seed(0)
    losses = torch.stack([model.loss((X, NONE))[0] for _ in range(400)])
    assert losses.mean().item() == pytest.approx(-bound.mean().item(), abs=4 * losses.std().item() / 20)


def test_more_draws_are_a_better_mean():
    model = wild()
    with torch.no_grad():
        one, many = (torch.stack([model.log_prob(X, NONE, seeded(n), k=k) for n in range(50)]) for k in (1, 16))
        assert (many.std(dim=0) < 0.5 * one.std(dim=0)).all()
        assert torch.equal(model.log_prob(X, NONE, seeded(1)), model.log_prob(X, NONE, seeded(1), k=10))
        assert not torch.equal(model.log_prob(X, NONE, seeded(1)), model.log_prob(X, NONE, seeded(2)))


class NoVolume(CouplingFlow):
    """Forgets that a level is a step of width 1/256: reports a density as a probability."""

    def log_prob(self, x, c=None, generator=None, k=None):
        return super().log_prob(x, c, generator, k) + self.D * math.log(LEVELS)


class HalfAStep(CouplingFlow):
    """Its noise covers half of each step, where all of the probability then seems to be."""

    def dequantise(self, x, generator=None):
        return ((x * (LEVELS - 1)).round() + 0.5 * torch.rand(x.shape, generator=generator, dtype=x.dtype)) / LEVELS


class WrongSteps(CouplingFlow):
    """Puts level 255 at 1, and noise beyond it."""

    def dequantise(self, x, generator=None):
        return x + torch.rand(x.shape, generator=generator, dtype=x.dtype) / LEVELS


@torch.no_grad()
@pytest.mark.parametrize("mutant", [NoVolume, HalfAStep, WrongSteps])
def test_a_mistake_is_seen_in_the_bound(mutant):
    model = wild()
    _, bound = inside(model, X)
    model.__class__ = mutant
    drawn = torch.stack([model.log_prob(X, NONE, seeded(n), k=1) for n in range(400)])
    assert ((drawn.mean(dim=0) - bound).abs() > 4 * drawn.std(dim=0) / 20 + 1e-5).any()


def test_it_starts_from_the_normal_of_the_training_images():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(600, 1))
    x = 1 / (1 + np.exp(-(0.5 + 0.3 * shared + 0.2 * rng.normal(size=(600, 3)))))
    data = Dataset.make("d", (255 * x).round().astype(np.uint8), kind="image")
    model = build(data, "flow", hidden=8)
    v = model.dequantise(torch.as_tensor(data.train.x / np.float32(255)), seeded())
    with torch.no_grad():
        z, _ = model.eval()(v)
        plain = CouplingFlow((3,), hidden=8).eval().density(v).mean()
    assert z.mean(dim=0).abs().max() < 0.05 and (torch.cov(z.T) - torch.eye(3)).abs().max() < 0.05
    assert model.density(v).mean() > plain + 1


def test_each_label_starts_from_a_mean_of_its_own():
    c = np.arange(600) % 2
    x = np.clip(np.where(c == 0, 0.3, 0.7)[:, None] + 0.05 * np.random.default_rng(0).normal(size=(600, 3)), 0, 1)
    model = build(Dataset.make("d", (255 * x).round().astype(np.uint8), c, kind="image", names=("a", "b", "none")),
                  "flow", hidden=8).eval()
    assert model.sample(200, torch.zeros(200, dtype=torch.long), seeded()).mean().item() == pytest.approx(0.3, abs=0.02)
    assert model.sample(200, torch.ones(200, dtype=torch.long), seeded()).mean().item() == pytest.approx(0.7, abs=0.02)
    assert torch.sigmoid(model.mean[2]).mean().item() == pytest.approx(0.5, abs=0.05)
    z, _ = model(model.dequantise(torch.as_tensor(x[:100]).float(), seeded()), torch.as_tensor(c[:100]))
    assert z.std().item() == pytest.approx(1, abs=0.15), "the covariance is that around the means"


def test_it_learns_a_shape_that_is_no_normal():
    x = np.random.default_rng(0).random((900, 2))
    x[:, 1] = 0.5 + 0.35 * np.sin(2 * math.pi * x[:, 0]) + 0.02 * (x[:, 1] - 0.5)  # a thin curved band
    data = Dataset.make("d", (255 * x).round().astype(np.uint8), kind="image")
    model = build(data, "flow", hidden=32, layers=4, dropout=0.0)
    valid = torch.as_tensor(data.valid.x / np.float32(255))
    with torch.no_grad():
        before = model.eval().log_prob(valid, generator=seeded()).mean()
    fit(model, data, epochs=15, lr=5e-3, batch_size=64, clip=1.0, quiet=True)
    with torch.no_grad():
        assert model.log_prob(valid, generator=seeded()).mean() > before + 1


# --- the GAN: what each of both learns from -----------------------------------------------------------------


def tiny(**choices):
    torch.manual_seed(0)
    return GAN((2, 2), **{"noise": 3, "hidden": 8, **choices}).double()


class Linear(nn.Module):
    """A critic whose slope is known: D(x) = w · x."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64))

    def forward(self, x, c=None):
        return x.flatten(1) @ self.w


def test_the_loss_of_the_critic_is_that_of_the_paper():
    model = tiny(penalty=3.0)
    model.critic = Linear()
    x, fake = (torch.rand(6, 2, 2, generator=seeded(n), dtype=torch.float64) for n in (0, 1))
    loss, metrics = model.critic_loss(x, fake)
    p = lambda images: torch.sigmoid(images.flatten(1) @ model.critic.w)
    expected = -torch.log(p(x)).mean() - torch.log(1 - p(fake)).mean() + 3 / 2 * (1 + 4 + 0.25)
    assert loss.item() == pytest.approx(expected.item())
    assert metrics["told apart"].item() == pytest.approx(
        ((p(x) > 0.5).double().mean() + (p(fake) < 0.5).double().mean()).item() / 2)
    [gradient] = torch.autograd.grad(loss, model.critic.w)
    more, _ = tiny_with(model, penalty=0.0).critic_loss(x, fake)
    [plain] = torch.autograd.grad(more, model.critic.w)
    assert torch.allclose(gradient - plain, 3 * model.critic.w), "the penalty is learned from"


def tiny_with(model, **changes):
    for name, value in changes.items():
        setattr(model, name, value)
    return model


def test_the_slope_is_that_at_real_images_not_at_made_ones():
    model = tiny()
    x, fake = (torch.rand(5, 2, 2, generator=seeded(n), dtype=torch.float64) for n in (0, 1))
    penalty = lambda a, b: (model.critic_loss(a, b)[0] - tiny_with(model, penalty=0.0).critic_loss(a, b)[0]).item()
    found = [tiny_with(model, penalty=2.0) and penalty(*pair) for pair in ((x, fake), (x, x), (fake, fake))]
    assert found[0] == pytest.approx(found[1]) and found[0] != pytest.approx(found[2])
    step, slopes = 1e-6, []
    for image in x:
        ways = torch.eye(4, dtype=torch.float64).view(4, 2, 2) * step
        slopes.append(((model.critic(image + ways) - model.critic(image - ways)) / (2 * step)).square().sum())
    assert found[0] == pytest.approx(torch.stack(slopes).mean().item(), rel=1e-4)


def gradient_of_generator(make):
    """How strongly the generator is moved in a step, by a critic that is sure that all images are made."""
    torch.manual_seed(0)
    model = make((2, 2), noise=3, hidden=8).double()
    nn.init.constant_(model.critic.odds.bias, -20.0)
    slope = []
    model.generator.first.weight.register_hook(lambda g: slope.append(g.abs().max().item()))
    training = optimisers(model)
    model.step((torch.rand(50, 2, 2, dtype=torch.float64), None), training)
    return slope[0]


def optimisers(model, lr=0.0):
    return [torch.optim.AdamW(part, lr=lr, weight_decay=0.0) for part in model.parts()]


class Saturating(GAN):
    """Lowers log(1 - σ(D)), which is flat where the critic is sure."""

    def step(self, batch, optimisers):
        x, c = batch
        fake = self.generator(self.draw_noise(len(x)), c)
        loss = -nn.functional.softplus(self.critic(fake, c)).mean()
        adversarial.descend(optimisers[0], loss, self.generator)
        return loss.detach(), {}


def test_a_generator_that_is_far_behind_still_learns():
    assert gradient_of_generator(GAN) > 1e-5
    assert gradient_of_generator(Saturating) < 1e-9


@pytest.mark.parametrize("part", [0, 1])
def test_each_optimiser_moves_its_own_network_only(part):
    model = tiny(labels=2)
    before, made = weights(model), optimisers(model)
    made[part].param_groups[0]["lr"] = 0.01
    model.step((torch.rand(8, 2, 2, dtype=torch.float64), torch.arange(8) % 2), made)
    moved = {name.split(".")[0] for name, new in model.state_dict().items() if not torch.equal(new, before[name])}
    assert moved == ({"generator", "average"} if part == 0 else {"critic"})


def test_samples_come_from_the_moving_average():
    model = tiny(average=0.75)
    kept = weights(model.generator)
    for _ in range(3):
        model.step((torch.rand(8, 2, 2, dtype=torch.float64), None), optimisers(model, lr=0.05))
        kept = {name: 0.75 * old + 0.25 * model.generator.state_dict()[name] for name, old in kept.items()}
    for name, value in model.average.state_dict().items():
        assert torch.allclose(value, kept[name])
    z = torch.randn(4, 3, generator=seeded(), dtype=torch.float64)
    assert torch.equal(model.sample(4, generator=seeded()), model.average(z))
    assert not torch.allclose(model.average(z), model.generator(z))


def test_the_energy_distance_is_its_formula_and_without_bias():
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [5.0], [7.0]])
    assert energy_distance(a, b).item() == pytest.approx(2 * 4.5 - 1 - (2 + 4 + 2) / 3)
    alike = torch.stack([energy_distance(*torch.randn(2, 20, 3, generator=seeded(n))) for n in range(300)])
    assert abs(alike.mean()) < 4 * alike.std() / math.sqrt(300)
    apart = torch.stack([energy_distance(torch.randn(20, 3, generator=seeded(n)), 1.5 * torch.randn(
        20, 3, generator=seeded(1000 + n))) for n in range(300)])
    assert apart.mean() > 4 * apart.std() / math.sqrt(300)


# --- the GAN: that it learns --------------------------------------------------------------------------------


def shades(n=400):
    """Four kinds of images of 3 × 3, by two labels: dark ones, black left or right, and light ones likewise."""
    rng = np.random.default_rng(0)
    c, side = rng.integers(0, 2, n), rng.integers(0, 2, n)
    x = np.where(c == 0, 0.25, 0.75)[:, None, None] + rng.uniform(-0.1, 0.1, (n, 3, 3))
    x[np.arange(n), :, 2 * side] += 0.15
    return Dataset.make("shades", x.astype(np.float32), c, kind="image", names=("dark", "light"))


def test_it_learns_all_four_kinds_of_images_and_its_labels():
    data = shades()
    torch.manual_seed(0)
    model = GAN((3, 3), labels=2, noise=4, hidden=64, average=0.98)
    valid = torch.as_tensor(data.valid.x).flatten(1)
    told = torch.as_tensor(data.valid.c)
    before = energy_distance(model.sample(len(told), told, seeded()).flatten(1), valid)
    fit(model, data, epochs=60, batch_size=32, lr=2e-3, quiet=True)
    c = torch.arange(400) % 2
    x = model.sample(400, c, seeded())
    assert energy_distance(model.sample(len(told), told, seeded()).flatten(1), valid) < 0.1 * before
    assert (((x.mean(dim=(1, 2)) > 0.55).long() == c).float().mean()) > 0.97
    left = x[:, :, 0].mean(dim=1) > x[:, :, 2].mean(dim=1)
    for label in (0, 1):
        assert 0.2 < left[c == label].float().mean() < 0.8, "neither kind is lost"


class Blind(adversarial.Critic):
    """Does not look at the label."""

    def forward(self, x, c=None):
        return self.odds(self.net(2 * x.flatten(1) - 1))[:, 0]


@pytest.mark.parametrize("critic", [adversarial.Critic, Blind])
def test_labels_come_in_by_the_critic(critic, monkeypatch):
    """Which label is which kind, a blind one cannot teach: it is the same when the data's labels are exchanged."""
    monkeypatch.setattr(adversarial, "Critic", critic)
    data, asked, followed = shades(), torch.arange(400) % 2, []
    for exchanged in (False, True):
        torch.manual_seed(0)
        model, c = GAN((3, 3), labels=2, noise=4, hidden=64, average=0.98), data.train.c
        fit(model, ((data.train.x, 1 - c if exchanged else c), data.valid), epochs=40, batch_size=32, lr=2e-3,
            quiet=True)
        light = (model.sample(400, asked, seeded()).mean(dim=(1, 2)) > 0.55).long()
        followed.append((light == (1 - asked if exchanged else asked)).float().mean().item())
    assert (min(followed) > 0.95) == (critic is adversarial.Critic), followed


@pytest.mark.parametrize("shape", [(64,), (8, 8), (5, 7), (3, 9, 6), (17, 18), (3, 48, 48), (1, 20, 23), (700,)])
def test_images_of_any_shape_are_drawn_and_judged(shape):
    torch.manual_seed(0)
    model = GAN(shape, labels=3, hidden=16, channels=4)
    c = torch.tensor([0, 1, 2, 2])
    x = model.sample(4, c, seeded())
    assert x.shape == (4, *shape) and 0 <= x.min() and x.max() <= 1
    assert torch.equal(x, model.sample(4, c, seeded())) and not torch.equal(x, model.sample(4, c, seeded(1)))
    assert model.critic(x, c).shape == (4,)
    for output in (model.critic(x, c), model.critic(x, c.flip(0))):
        assert output.isfinite().all()
    assert not torch.equal(model.critic(x, c), model.critic(x, c.flip(0)))


# --- runs of one's own images -------------------------------------------------------------------------------


def quick(model):
    return dict(model=model, epochs=2, quiet=True, save_every=0.0, hidden=16) | ({"k": 2} if model == "flow" else {})


def pictures(*shape, n=60, levels=256, **more):
    x = np.random.default_rng(0).integers(0, levels, (n, *shape)) / (levels - 1)
    return Dataset.make("pictures", x.astype(np.float32), kind="image", **more)


@pytest.mark.parametrize("name", ["flow", "gan"])
@pytest.mark.parametrize(("data", "message"), [
    (lambda: senses.read(STROKES, size=0.25), "is for images"),
    (lambda: senses.read(VILLAGES), "is for images"),
    (lambda: senses.read(LEAVES, size=60), "numbers, and these images"),
    (lambda: Dataset.make("d", 4 * pictures(4, 4).x - 2, kind="image"), "pixels from 0 to 1"),
    (lambda: pictures(4, 4, c=np.random.default_rng(0).random((60, 2))), "2 real numbers"),
])  # fmt: skip
def test_what_they_do_not_suit_is_refused_and_leaves_no_folder(name, data, message, tmp_path):
    with refused(DataError, message) as caught:
        runs.fit(data(), tmp_path / "run", **quick(name))
    assert f"{name} is " in str(caught.value) and not (tmp_path / "run").exists()


def test_black_and_white_suits_a_gan_and_no_flow():
    data = pictures(4, 4, levels=2)
    with refused(DataError, "black and white"):
        plan(data, "flow")
    assert plan(data, "gan")["shape"] == [4, 4]
    assert plan(pictures(4, 4, levels=3), "flow")["shape"] == [4, 4]


@pytest.mark.parametrize(("name", "says"), [("flow", "flow of images, told which of 3 labels; 8 couplings"),
                                            ("gan", "gan of images, told which of 3 labels")])
def test_a_run_from_the_command_line(name, says, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["fit", str(LEAVES), "--out", str(out), "--model", name, "--size", "7", "--epochs", "2"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and says in said.out and ("no likelihood" in said.out) == (name == "gan")
    run = runs.load(out)
    score = run.report["score"]
    assert score["what"] == (None if name == "gan" else "dequantised") and (score["nats"] is None) == (name == "gan")
    assert (out / "report.html").exists() and (out / "samples.png").exists()
    assert same(weights(run), weights(restore(out / "model")[0]))
    assert run.sample(5).x.shape == (5, 3, 7, 7) and run.sample(3, label=1).labels == [run.names[1]] * 3
    assert main(["sample", str(out), "-n", "4", "--out", str(tmp_path / "x.png")]) == 0
    assert main(["fit", str(LEAVES), "--out", str(out), "--more", "0.01"]) == 0
    assert len(runs.load(out).history) > 2


@pytest.mark.parametrize(("name", "method"), [("flow", "loss"), ("gan", "step")])
@pytest.mark.parametrize("calls", [1, 3])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(name, method, calls, tmp_path, monkeypatch):
    data, seen = pictures(4, 4, n=200, c=np.arange(200) % 3), []
    make = {"flow": CouplingFlow, "gan": GAN}[name]
    plain = getattr(make, method)
    whole = runs.fit(data, tmp_path / "a", **quick(name))

    def stops(self, *arguments):
        seen.append(1)
        if len(seen) > calls:
            raise KeyboardInterrupt
        return plain(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(make, method, stops)
        with pytest.raises(KeyboardInterrupt):
            runs.fit(data, tmp_path / "b", **quick(name))
    assert same(weights(runs.fit(data, tmp_path / "b", **quick(name))), weights(whole))


def test_the_last_epoch_of_a_gan_is_kept_and_validation_says_how_far_its_samples_are(tmp_path):
    run = runs.fit(pictures(4, 4), tmp_path / "run", **quick("gan"))
    assert run.history.keeps == "last" and run.report["best epoch"] == 2
    assert {"critic", "told apart", "valid energy distance"} <= set(run.history.rows[0])


def test_a_gan_is_trained_by_one_process(monkeypatch):
    data = pictures(4, 4)
    monkeypatch.setattr(Team, "join", classmethod(lambda cls, device: cls(world=2)))
    with refused(TrainingError, "trained by one process"):
        Training(build(data, "gan", hidden=8), data, Settings(quiet=True))


@pytest.mark.slow
def test_several_processes_train_a_flow(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "helpers",
               "fit", str(LEAVES), "--out", str(tmp_path / "run"), "--model", "flow", "--size", "6", "--grey",
               "--epochs", "2"]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=alone)
    assert done.returncode == 0, done.stderr
    assert runs.load(tmp_path / "run").report["epochs"] == 2
