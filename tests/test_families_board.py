"""The families of the board: masked network, MADE, restricted Boltzmann machine. On images of four pixels everything
can be enumerated: all 16 sum to one, samples come as often as they are probable, gradients are the exact ones; and
for each claim a model with a known mistake is shown to fail it.
"""

import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import linear

import samples as made
from comparing import refused, same, weights
from helpers import runs, senses
from helpers.__main__ import main
from helpers.build import build, plan, restore
from helpers.data import DataError, Dataset
from helpers.models import contract
from helpers.models.families import masked
from helpers.models.families.made import MADE, MaskedLinear
from helpers.models.families.masked import Masked
from helpers.models.families.rbm import RBM
from helpers.training import fit

ALL = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)))  # (16, 4)
LABELS = 2
N = 20_000  # samples that are counted


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def wild(model, seed=0):
    """The model with large random weights, so that no pixel is like another."""
    generator = seeded(seed)
    for p in model.parameters():
        nn.init.normal_(p, std=0.7, generator=generator)
    return model.eval()


def told(make, c):
    """Labels for 16 images, if the model takes any."""
    return torch.full((16,), c) if make is not RBM else None


def tiny(make, **choices):
    sizes = {Masked: dict(labels=LABELS, hidden=16, orders=5), MADE: dict(labels=LABELS, hidden=24),
             RBM: dict(hidden=3)}
    return wild(make((2, 2), **{**next(v for k, v in sizes.items() if issubclass(make, k)), **choices}))


def total(log_p):
    """What all probabilities sum to."""
    return log_p.exp().sum().item()


def apart(x, log_p):
    """Total variation between how often each of the 16 images comes among x (n, 2, 2), and its probability."""
    index = (x.flatten(1) @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    return 0.5 * (torch.bincount(index, minlength=16) / len(x) - log_p.exp()).abs().sum().item()


FLOOR = 0.75 * math.sqrt(16 / N)  # about twice what chance alone makes of 16 equal shares


# --- densities and samples, of all three -----------------------------------------------------------------


@pytest.mark.parametrize("make", [Masked, MADE, RBM])
@pytest.mark.parametrize("c", range(LABELS))
def test_all_images_sum_to_one(make, c):
    model = tiny(make)
    assert model.bound == "exact"
    assert total(model.log_prob(ALL.view(-1, 2, 2), told(make, c))) == pytest.approx(1, abs=1e-5)


class Unmixed(Masked):
    """Forgets to divide by the number of orders."""

    def conditional_log_prob(self, x, known, c=None):
        return super().conditional_log_prob(x, known, c) + math.log(len(self.orders))


class Peeks(Masked):
    """Sees the pixels that it predicts."""

    def features(self, x, known, c=None):
        return super().features(x, torch.ones_like(known), c)


class NotStrict(MADE):
    """Its outputs see the pixel itself."""

    def __init__(self, *arguments, **choices):
        super().__init__(*arguments, **choices)
        units = torch.arange(len(self.last.weight[0])) % 3 + 1
        self.last = MaskedLinear(units, torch.arange(1, 5), strict=False)


class Unnormalised(RBM):
    """Forgets log Z."""

    def log_normaliser(self):
        return torch.zeros(())


class PartOfZ(RBM):
    """Sums over all states but those with all switches on."""

    def states(self):
        return super().states()[:-1]


@pytest.mark.parametrize("mutant", [Unmixed, Peeks, NotStrict, Unnormalised, PartOfZ])
def test_a_mistake_is_seen_in_the_sum(mutant):
    model = tiny(mutant)
    c = None if issubclass(mutant, RBM) else torch.zeros(16, dtype=torch.long)
    assert abs(total(model.log_prob(ALL, c)) - 1) > 0.01


@pytest.mark.parametrize("make", [Masked, MADE, RBM])
def test_samples_come_as_often_as_they_are_probable(make):
    model = tiny(make)
    for c in range(LABELS):
        log_p = model.log_prob(ALL, told(make, c)).detach()
        x = model.sample(N, told(make, c)[:1].expand(N) if make is not RBM else None, seeded(1))
        assert x.shape == (N, 2, 2) and apart(x, log_p) < FLOOR
    if make is not RBM:  # the label counts
        assert apart(x, model.log_prob(ALL, told(make, 0)).detach()) > 2 * FLOOR


@pytest.mark.parametrize("make", [Masked, MADE, RBM])
def test_samples_follow_from_the_generator(make):
    model = tiny(make, **({} if make is RBM else {"labels": 0}))
    draws = [model.sample(50, generator=seeded(n)) for n in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("make", [Masked, MADE, RBM])
def test_a_small_world_is_learned_to_its_entropy(make):
    """Two pairs of pixels, each alike four times in five: 2.39 nats, which no model may undercut (four coins: 2.77)."""
    torch.manual_seed(0)
    alike = (ALL[:, ::2] == ALL[:, 1::2]).sum(dim=1)  # 0, 1 or 2 pairs
    counts = 10 * 4**alike
    p, x = counts / counts.sum(), ALL.repeat_interleave(counts, dim=0)
    choices = {Masked: dict(hidden=32, dropout=0.0), MADE: dict(hidden=32, dropout=0.0), RBM: dict(hidden=4)}
    model = make((4,), **choices[make])
    fit(model, (x, x), epochs=25, batch_size=50, lr=5e-2 if make is RBM else 1e-2, quiet=True)
    entropy = -(p * p.log()).sum().item()
    assert entropy <= -model.log_prob(x).mean().item() < entropy + 0.02


# --- masked --------------------------------------------------------------------------------------------


def nothing(n=16):
    return torch.zeros(n, 4)


def test_every_single_order_sums_to_one():
    each = tiny(Masked).by_order(ALL, nothing(), torch.zeros(16, dtype=torch.long))
    assert each.shape == (16, 5)
    assert torch.allclose(each.exp().sum(dim=0), torch.ones(5), atol=1e-5)


@pytest.mark.parametrize("known", list(itertools.product([0, 1], repeat=4)))
def test_what_is_not_known_sums_to_one_given_what_is(known):
    model, known = tiny(Masked), torch.tensor(known).view(2, 2)
    p = model.conditional_log_prob(ALL.view(-1, 2, 2), known, torch.ones(16, dtype=torch.long)).exp()
    seen = ALL * known.flatten()
    for row in seen.unique(dim=0):
        assert p[(seen == row).all(dim=1)].sum().item() == pytest.approx(1, abs=1e-5)


def test_given_nothing_the_conditional_is_the_likelihood_and_given_all_it_is_one():
    model, c = tiny(Masked), torch.ones(16, dtype=torch.long)
    assert torch.allclose(model.conditional_log_prob(ALL, torch.zeros(4), c), model.log_prob(ALL, c))
    assert torch.allclose(model.conditional_log_prob(ALL, torch.ones(4), c), torch.zeros(16), atol=1e-6)


def test_filled_in_pixels_come_as_often_as_they_are_probable_and_known_ones_stay():
    model, known = tiny(Masked), torch.tensor([[0, 1], [1, 0]])
    x, c = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), torch.ones(1, dtype=torch.long)
    drawn = model.fill_in(x, known, n=N, c=c, generator=seeded(3))[:, 0]
    assert (drawn[:, known == 1] == x[0][known == 1]).all()
    log_p = model.conditional_log_prob(ALL, known, c.expand(16)).detach()
    log_p[(ALL.view(-1, 2, 2)[:, known == 1] != x[0][known == 1]).any(dim=1)] = -math.inf
    assert apart(drawn, log_p) < FLOOR


def test_each_image_may_have_other_known_pixels_and_several_fillings():
    model = tiny(Masked, labels=0)
    x, known = ALL[[5, 10]], torch.tensor([[1, 1, 1, 0], [0, 0, 0, 1]])
    drawn = model.fill_in(x, known, n=3, generator=seeded())
    assert drawn.shape == (3, 2, 4)  # draws, images, and their shape as it was given
    assert ((drawn == x) | (known == 0)).all()
    both = model.conditional_log_prob(x, known)
    for i in range(2):
        assert both[i].item() == pytest.approx(model.conditional_log_prob(x[i : i + 1], known[i]).item(), abs=1e-6)


def test_what_is_hidden_cannot_matter():
    """What stands in a pixel that is to be filled in is never looked at."""
    model, known = tiny(Masked, labels=0), torch.tensor([1, 1, 0, 0])
    a, b = (torch.tensor([[1.0, 0.0, *rest]]) for rest in ([0.0, 0.0], [1.0, math.nan]))
    assert torch.equal(*(model.fill_in(x, known, n=20, generator=seeded()) for x in (a, b)))


def test_a_sample_costs_a_pass_a_pixel(monkeypatch):
    model, passes, features = Masked((8, 8), hidden=8), [], Masked.features
    monkeypatch.setattr(Masked, "features", lambda self, x, *rest: passes.append(len(x)) or features(self, x, *rest))
    model.sample(30)
    assert passes == [30] * 64
    passes.clear()
    model.fill_in(torch.zeros(2, 64), (torch.arange(64) < 50).float(), n=5)
    assert passes == [10] * 14


def all_orders(model, c=None):
    """log p of the 16 images along each of the 24 orders of four pixels: (16, 24)."""
    model.orders = torch.tensor(list(itertools.permutations(range(4))))
    return model.by_order(ALL, nothing(), c).detach()


@torch.no_grad()
def whole_bound(model, monkeypatch):
    """The bound of the 16 images, over every order and every number of hidden pixels: (16,)."""
    orders, hidden = torch.tensor(list(itertools.permutations(range(4)))), torch.arange(1, 5)
    monkeypatch.setattr(masked, "ranks", lambda x, generator: orders.repeat(4, 1))  # (96, 4)
    return torch.stack([model.one_draw(x.expand(96, -1), None, hidden.repeat_interleave(24)).mean() for x in ALL])


def test_the_bound_is_the_mean_over_all_orders_and_below_their_mixture(monkeypatch):
    model = tiny(Masked, labels=0)
    each = all_orders(model)
    assert torch.allclose(whole_bound(model, monkeypatch), each.mean(dim=1), atol=1e-5)
    assert (each.mean(dim=1) < model.log_prob(ALL)).all()


def test_the_loss_and_the_drawn_bound_are_it_on_average():
    model = tiny(Masked, labels=0)
    exact = all_orders(model).mean(dim=1)
    torch.manual_seed(0)
    with torch.no_grad():
        for part in model.train().modules():  # without the noise of dropout
            part.p = 0.0
        losses = torch.stack([model.loss((ALL.view(-1, 2, 2), None))[0] for _ in range(1000)])
        few = torch.stack([model.eval().loss((ALL.view(-1, 2, 2), None))[0] for _ in range(250)])
        drawn = torch.stack([model.bound_on(ALL, k=4) for _ in range(500)])  # (500, 16)
    for found in (losses, few):  # in training and in evaluation
        assert abs(found.mean() + exact.mean()) < 4 * found.std() / math.sqrt(len(found))
    assert few.std() < 0.7 * losses.std()
    assert ((drawn.mean(dim=0) - exact).abs() < 4 * drawn.std(dim=0) / math.sqrt(500)).all()


class Unweighted(Masked):
    """Forgets D / n: counts the hidden pixels alone."""

    def one_draw(self, x, c, hidden, generator=None):
        return super().one_draw(x, c, hidden, generator) * hidden / self.D


class OneTooFew(Masked):
    """Hides a pixel fewer than it weighs by."""

    def one_draw(self, x, c, hidden, generator=None):
        return super().one_draw(x, c, (hidden - 1).clamp(min=1), generator)


@pytest.mark.parametrize("mutant", [Unweighted, OneTooFew])
def test_a_wrong_weight_is_seen_in_the_bound(mutant, monkeypatch):
    model = tiny(mutant, labels=0)
    assert not torch.allclose(whole_bound(model, monkeypatch), all_orders(model).mean(dim=1), atol=0.1)


def test_how_many_are_hidden_is_uniform_and_evenly_spread():
    hidden = masked.spread(64 * 500, 64)
    assert torch.equal(hidden.bincount(minlength=65)[1:], torch.full((64,), 500))
    firsts = torch.stack([masked.spread(10, 4)[0] for _ in range(4000)])  # each by itself, not only all together
    assert (firsts.bincount(minlength=5)[1:] / 4000 - 0.25).abs().max() < 4 * math.sqrt(0.25 * 0.75 / 4000)
    rows = masked.spread(8, 4, generator=seeded(), n=5)
    assert (rows.sort(dim=1).values == torch.tensor([1, 1, 2, 2, 3, 3, 4, 4])).all()


def test_orders_are_the_same_in_every_model_and_permutations():
    torch.manual_seed(1)
    a = Masked((8, 8), orders=7).orders
    torch.manual_seed(2)
    assert torch.equal(a, Masked((64,), hidden=8, orders=7).orders)
    assert torch.equal(a.sort(dim=1).values, torch.arange(64).expand(7, 64)) and len(a.unique(dim=0)) == 7
    torch.manual_seed(3)  # and draw nothing from the numbers that others use
    Masked((8, 8), orders=3)
    left = torch.rand(())
    torch.manual_seed(3)
    Masked((8, 8), orders=9)
    assert torch.equal(left, torch.rand(()))


def test_grey_levels_sum_to_one_and_are_drawn_as_they_are_probable():
    """Two pixels of 256 levels: 65,536 images."""
    model = wild(Masked((2,), hidden=16, levels=256, orders=2))
    levels = torch.arange(256) / 255
    x = torch.cartesian_prod(levels, levels)
    with torch.no_grad():
        p = model.log_prob(x).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-3)
    drawn = model.sample(N, generator=seeded())
    assert torch.equal((drawn * 255).round() / 255, drawn) and 0 <= drawn.min() and drawn.max() <= 1
    for power in (1, 2):
        moment, spread = (p[:, None] * x**power).sum(0), drawn.pow(power).std(0)
        assert (drawn.pow(power).mean(0) - moment).abs().max() < 4 * spread.max() / math.sqrt(N)
    product, found = (p * x[:, 0] * x[:, 1]).sum(), drawn.prod(dim=1)  # the second knows the first
    assert abs(found.mean() - product) < 4 * found.std() / math.sqrt(N)


def test_longer_images_are_scored_by_the_bound():
    model = wild(Masked((11, 10), hidden=8))
    assert model.bound == "ELBO" and Masked((10, 10), hidden=8).bound == "exact"
    x = torch.rand(3, 11, 10, generator=seeded()).round()
    with torch.no_grad():
        a, b, c = (model.log_prob(x, generator=seeded(n)) for n in (1, 1, 2))
        assert torch.equal(a, b) and not torch.equal(a, c)
        assert torch.equal(a, model.bound_on(x, generator=seeded(1)))


# --- MADE ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("D", "hidden", "layers"), [(7, 5, 1), (7, 24, 3), (64, 40, 2), (1, 3, 2)])
def test_no_output_depends_on_its_pixel_or_a_later_one(D, hidden, layers):
    model = wild(MADE((D,), hidden=hidden, layers=layers))
    jacobian = torch.autograd.functional.jacobian(lambda x: model.logits(x)[0], torch.rand(1, D))[:, 0]  # (D, D)
    assert (jacobian.triu() == 0).all()


def test_every_output_depends_on_all_pixels_before_it():
    model = wild(MADE((6,), hidden=60))
    total = sum(torch.autograd.functional.jacobian(lambda x: model.logits(x)[0], torch.rand(1, 6))[:, 0].abs()
                for _ in range(20))
    assert (total[torch.ones(6, 6).tril(-1).bool()] > 0).all()


def test_an_output_that_sees_its_own_pixel_is_found_by_the_gradient():
    model = tiny(NotStrict, labels=0)
    jacobian = torch.autograd.functional.jacobian(lambda x: model.logits(x)[0], torch.rand(1, 4))[:, 0]
    assert (jacobian.triu() != 0).any()


# --- the restricted Boltzmann machine --------------------------------------------------------------------


def by_hand(model):
    """log p of the 16 images, from the energy of all 16 · 8 states of pixels and switches together."""
    h = torch.tensor(list(itertools.product([0.0, 1.0], repeat=model.hidden)))
    minus_energy = (ALL @ model.b)[:, None] + h @ model.c + linear(ALL, model.W) @ h.T  # (16, 8)
    return torch.logsumexp(minus_energy, dim=1) - torch.logsumexp(minus_energy.flatten(), dim=0)


def test_the_likelihood_is_that_of_the_energy():
    model = tiny(RBM)
    assert torch.allclose(model.log_prob(ALL), by_hand(model), atol=1e-5)


def test_the_normaliser_is_the_same_in_blocks(monkeypatch):
    model = tiny(RBM, hidden=6)
    whole = model.log_normaliser()
    monkeypatch.setattr("helpers.models.families.rbm.BLOCK", 5)
    assert model.log_normaliser().item() == pytest.approx(whole.item(), abs=1e-5)


def gradient(loss, model):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [model.W, model.b, model.c])])


def learning(make, data, chains=60_000):
    """The gradient of the loss while training, with chains that follow the model."""
    model = tiny(make, chains=chains, steps=1)
    model.chains = model.sample(chains, generator=seeded(5)).flatten(1)
    torch.manual_seed(0)
    return gradient(model.train().loss((data, None))[0], model), gradient(-model.log_prob(data).mean(), model)


DATA = ALL[[1, 1, 6, 12, 15]]


def test_the_gradient_is_the_exact_one():
    found, exact = learning(RBM, DATA)
    assert torch.allclose(found, exact, atol=4 * 0.5 / math.sqrt(60_000)) and exact.abs().max() > 0.1


class DataAlone(RBM):
    """Forgets the chains."""

    def loss(self, batch):
        return self.free_energy(batch[0].flatten(1)).mean(), {}


class Reversed(RBM):
    """Lowers the energy of what it dreams."""

    def loss(self, batch):
        loss, more = super().loss(batch)
        return -loss, more


class WrongWay(RBM):
    """Draws pixels from switches as if no pixel were likelier than another."""

    def gibbs(self, v, steps, generator=None):
        b, self.b.data = self.b.data, torch.zeros_like(self.b)
        v = super().gibbs(v, steps, generator)
        self.b.data = b
        return v


@pytest.mark.parametrize("mutant", [DataAlone, Reversed, WrongWay])
def test_a_mistake_is_seen_in_the_gradient(mutant):
    found, exact = learning(mutant, DATA)
    assert not torch.allclose(found, exact, atol=0.03)


def test_many_steps_from_noise_come_to_the_distribution():
    model = tiny(RBM)
    log_p = model.log_prob(ALL).detach()
    assert apart(model.sample(N, generator=seeded(), steps=60), log_p) < FLOOR
    assert apart(model.sample(N, generator=seeded(), steps=0), log_p) > 2 * FLOOR


def test_the_chains_go_on_while_training_and_stand_still_in_evaluation():
    model = tiny(RBM, chains=30)
    model.chains.fill_(0.5)
    loss, _ = model.loss((DATA, None))
    assert (model.chains == 0.5).all()
    assert loss.item() == pytest.approx(-model.log_prob(DATA).mean().item())
    model.train().loss((DATA, None))
    first = model.chains.clone()
    assert set(first.unique().tolist()) <= {0.0, 1.0}
    assert "chains" in model.state_dict(), "so that training goes on where it was stopped"
    torch.manual_seed(0)
    model.loss((DATA, None))
    torch.manual_seed(0)
    assert torch.equal(model.chains, model.gibbs(first, model.steps)), "from where they were"


def test_it_starts_from_how_often_each_pixel_is_ink():
    x = ALL.repeat(20, 1).numpy()[:250]
    data = Dataset.make("d", np.column_stack([x, np.random.default_rng(0).random((250, 5)) < 0.3]).astype(float),
                        kind="image")
    model = RBM((9,), hidden=3)
    model.start(data)
    assert torch.allclose(torch.sigmoid(model.b), torch.as_tensor(data.train.x.mean(axis=0)).float(), atol=1e-3)


def test_more_switches_than_can_be_summed_over_are_refused():
    assert RBM((4,), hidden=20).hidden == 20
    with refused(DataError, "hidden is 21"):
        RBM((4,), hidden=21)


# --- a masked network of one's own images ----------------------------------------------------------------

LEAVES, STROKES, VILLAGES = (made.SAMPLES / name for name in ("leaves", "strokes", "villages.txt"))
QUICK = dict(model="masked", epochs=2, k=2, quiet=True, save_every=0.0, hidden=16, orders=2)


def pictures(*shape, n=60, levels=256, dtype=np.float32, **more):
    x = np.random.default_rng(0).integers(0, levels, (n, *shape)) / (levels - 1)
    return Dataset.make("pictures", x.astype(dtype), kind="image", **more)


@pytest.mark.parametrize(("data", "levels"), [
    (lambda: pictures(4, 4, levels=2), 2),
    (lambda: pictures(4, 4, levels=3), 256),
    (lambda: pictures(16), 256),
    (lambda: senses.read(LEAVES, size=8), 256),
    (lambda: Dataset.make("b", (255 * pictures(4, 4, levels=2).x).astype(np.uint8), kind="image"), 2),
    (lambda: Dataset.make("b", 0.5 * pictures(4, 4, levels=2).x, kind="image"), 256),
])  # fmt: skip
def test_the_data_decide_between_black_and_white_and_grey_levels(data, levels):
    assert plan(data(), "masked")["levels"] == levels
    assert build(data(), "masked", hidden=8).levels == levels


@pytest.mark.parametrize(("data", "message"), [
    (lambda: senses.read(STROKES, size=0.25), "masked is for images"),
    (lambda: senses.read(VILLAGES), "hidden cannot be chosen for masked-text"),
    (lambda: senses.read(LEAVES, size=28), "at most 256 numbers"),
    (lambda: Dataset.make("d", 4 * pictures(4, 4).x - 2, kind="image"), "pixels from 0 to 1"),
    (lambda: pictures(4, 4, c=np.random.default_rng(0).random((60, 2))), "2 real numbers"),
])  # fmt: skip
def test_what_it_does_not_suit_is_refused_and_leaves_no_folder(data, message, tmp_path):
    with refused(DataError, message):
        runs.fit(data(), tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_run_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["fit", str(LEAVES), "--out", str(out), "--model", "masked", "--size", "5", "--grey",
                 "--epochs", "2"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and "masked of images, told which of 3 labels; 256 levels; exact" in said.out
    run = runs.load(out)
    assert run.report["score"]["what"] == "exact" and (out / "report.html").exists() and (out / "samples.png").exists()
    assert same(weights(run), weights(restore(out / "model")[0]))
    assert run.sample(5).x.shape == (5, 5, 5) and run.sample(3, label=1).labels == [run.names[1]] * 3
    assert main(["sample", str(out), "-n", "4", "--out", str(tmp_path / "x.png")]) == 0
    assert main(["fit", str(LEAVES), "--out", str(out), "--more", "0.01"]) == 0
    assert len(runs.load(out).history) > 2


def test_in_colour_and_larger_it_is_a_bound(tmp_path):
    run = runs.fit(senses.read(LEAVES, size=7), tmp_path / "run", **QUICK)
    assert run.report["score"]["what"] == "ELBO" and "its figure is a bound" in run.card["model"]
    assert run.sample(2).x.shape == (2, 3, 7, 7)


@pytest.mark.parametrize("calls", [1, 4])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(calls, tmp_path, monkeypatch):
    data, seen, loss = pictures(4, 4, c=np.arange(60) % 3), [], Masked.loss
    whole = runs.fit(data, tmp_path / "a", **QUICK)

    def stops(self, batch):
        seen.append(1)
        if len(seen) > calls:
            raise KeyboardInterrupt
        return loss(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Masked, "loss", stops)
        with pytest.raises(KeyboardInterrupt):
            runs.fit(data, tmp_path / "b", **QUICK)
    assert same(weights(runs.fit(data, tmp_path / "b", **QUICK)), weights(whole))


@pytest.mark.slow
def test_several_processes_train_it(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "helpers",
               "fit", str(LEAVES), "--out", str(tmp_path / "run"), "--model", "masked", "--size", "6", "--grey",
               "--epochs", "2"]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=alone)
    assert done.returncode == 0, done.stderr
    assert runs.load(tmp_path / "run").report["epochs"] == 2


def test_scores_are_the_models_own():
    data = pictures(4, 4, levels=2)
    model = build(data, "masked", hidden=16, orders=3).eval()
    found = contract.log_prob(model, contract.examples(model, data, "test"))
    with torch.no_grad():
        assert np.allclose(found, model.log_prob(torch.as_tensor(data.test.x)).numpy(), atol=1e-5)
    assert runs.score(model, data)["nats"] == pytest.approx(-found.mean())
