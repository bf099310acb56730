"""What is missing, what is odd, and what it shows: against enumeration of tiny images, a grid of codes, and by
construction. The mutants that each kills are named beside it."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal

from comparing import refused
from helpers import uses
from helpers.build import build
from helpers.data import DataError, Dataset
from helpers.data.text import END, PAD
from helpers.evaluation import intervals
from helpers.evaluation.plain import Plain
from helpers.models import SetVAE, contract
from helpers.models.families.adversarial import GAN
from helpers.models.families.made import MADE
from helpers.models.families.masked import Masked
from helpers.models.families.masked_text import MaskedText
from helpers.models.families.matching import FlowMatching
from helpers.models.families.mixture import BernoulliMixture
from helpers.models.language import Language
from helpers.models.vae import VAE
from helpers.scratch import fit_mixture, mixture_nll

ALL = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6))).view(64, 2, 3)  # every image
KNOWN = torch.tensor([[1, 0, 1], [0, 0, 1]])
seeded = lambda seed=0: torch.Generator().manual_seed(seed)


def mixture(labels=2, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.random((300, 6)) < rng.choice([0.2, 0.8], (300, 1)) * [1, 0.5, 1, 1, 0.3, 1]).astype(np.float32)
    model = BernoulliMixture((2, 3), labels, 3)
    return model.fit(x, rng.integers(labels, size=300) if labels else None)


def masked(labels=2):
    torch.manual_seed(0)
    model = Masked((2, 3), labels, hidden=16, orders=3)
    nn.init.normal_(model.last.weight, std=1.0)
    return model.eval()


def conditional(log_p, x, known):
    """p(image | the known pixels of x), of all 64, from log p of each: (64,)."""
    fits = ((known == 0) | (x == ALL)).flatten(1).all(dim=1)
    return torch.softmax(log_p.masked_fill(~fits, -math.inf), dim=0)


def shares(drawn):
    """How often each of the 64 images comes among drawn (n, 2, 3)."""
    index = (drawn.flatten(1) @ 2.0 ** torch.arange(5, -1, -1)).long()
    return torch.bincount(index, minlength=64) / len(drawn)


# --- the mixture -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [None, 0, 1])
def test_the_mixture_sums_to_one_and_is_that_of_the_lesson(c):
    """Kills: weights that do not sum to one, shares forgotten, labels mixed up, fewer prototypes that keep weight."""
    told = None if c is None else torch.full((64,), c)
    assert mixture().log_prob(ALL, told).exp().sum().item() == pytest.approx(1, abs=1e-5)
    x = (np.random.default_rng(1).random((200, 6)) < 0.4).astype(float)
    pi, p = fit_mixture(x, 3, np.random.default_rng(0))
    own = BernoulliMixture((6,), 0, 3).fit(x).log_prob(torch.as_tensor(x).float()).detach()
    assert own.numpy() == pytest.approx(-mixture_nll(x, pi, p), abs=1e-4)


def test_without_a_label_it_is_the_mixture_over_labels():
    model, c = mixture(), [torch.full((64,), k) for k in (0, 1)]
    both = torch.stack([model.log_prob(ALL, k) for k in c]) + model.log_share[:, None]
    assert torch.allclose(model.log_prob(ALL), both.logsumexp(dim=0), atol=1e-5)


def test_a_label_of_few_images_has_few_prototypes_and_still_sums_to_one():
    model = BernoulliMixture((2, 3), 2, 5).fit(ALL[:9].numpy(), np.array([0] * 8 + [1]))
    assert model.log_prob(ALL, torch.ones(64).long()).exp().sum().item() == pytest.approx(1, abs=1e-4)
    assert torch.isfinite(torch.cat([part.flatten() for part in model.state_dict().values()])).all()


def test_the_mixture_is_a_family_for_black_and_white_alone(tmp_path):
    x = ALL.numpy()
    data = Dataset.make("ink", x, (x.sum(axis=(1, 2)) > 3).astype(int))
    model = build(data, "mixture", components=2)
    assert model.plan["model"] == "mixture" and model.plan["levels"] == 2 and model.score.shape == (2, 2)
    mean = -model.log_prob(torch.as_tensor(data.train.x), torch.as_tensor(data.train.c)).mean()
    assert mean < 6 * math.log(2)  # better than coins: it was fitted before any training
    assert model.sample(5, torch.ones(5).long(), seeded()).shape == (5, 2, 3)
    with refused(DataError, "greys between"):
        build(Dataset.make("grey", np.random.default_rng(0).random((40, 4, 4)).astype(np.float32)), "mixture")


# --- filling in: exact ones, against enumeration ---------------------------------------------------------


@pytest.mark.parametrize("make", [mixture, masked])
@pytest.mark.parametrize("c", [0, 1])
def test_exact_fillings_come_as_often_as_enumeration_says(make, c):
    """Kills: the known part not asked, drawn anew or asked of another label; the missing part of x looked at."""
    model, x, n = make(), ALL[[21, 44]].clone(), 20_000
    told = torch.full((2,), c)
    broken = torch.where(KNOWN == 1, x, torch.nan)
    drawn = model.fill_in(broken, KNOWN, told, n, seeded())
    assert drawn.shape == (n, 2, 2, 3) and model.fills == "exact"
    assert ((drawn == x) | (KNOWN == 0)).all()
    for i in range(2):
        log_p = model.conditional_log_prob(ALL, KNOWN, torch.full((64,), c)).detach()
        fits = ((KNOWN == 0) | (x[i] == ALL)).flatten(1).all(dim=1)
        p = torch.where(fits, log_p.exp(), 0.0)
        assert p.sum().item() == pytest.approx(1, abs=1e-4)
        assert (shares(drawn[:, i]) - p).abs().sum() < 0.04


@pytest.mark.parametrize("c", [None, 1])
def test_the_conditional_of_the_mixture_is_that_of_its_joint(c):
    model = mixture()
    told = None if c is None else torch.full((64,), c)
    log_p = model.log_prob(ALL, told).detach()
    expected = conditional(log_p, ALL[37], KNOWN)
    fits = expected > 0
    found = model.conditional_log_prob(ALL, KNOWN, told).exp()
    assert torch.allclose(found[fits], expected[fits], atol=1e-5)


LETTERS = [3, 4, 5]


def masked_text():
    torch.manual_seed(0)
    model = MaskedText(6, shape=(3,), width=8, layers=1, heads=2).eval()
    nn.init.normal_(model.head.weight, std=1.0)
    return model


def test_a_masked_text_of_known_length_is_filled_in_as_one_pass_says():
    """One missing character has the distribution of one pass of the network; kills a length that is drawn anew."""
    model, x = masked_text(), torch.tensor([[3, 4, END]])
    known = torch.tensor([[True, False, True]])
    drawn = model.fill_in(x, known, n=20_000, generator=seeded())[:, 0]
    assert (drawn[:, [0, 2]] == x[0, [0, 2]]).all() and set(drawn[:, 1].tolist()) <= set(LETTERS)
    assert model.fills == "approximate"  # a beginning's length is not known
    p = model.predict(x, ~known)[0, 1].exp()[LETTERS]
    counted = torch.stack([(drawn[:, 1] == letter).float().mean() for letter in LETTERS])
    assert (counted - p / p.sum()).abs().max() < 0.02


def test_a_beginning_of_unknown_length_leaves_room_for_itself_and_full_ones_stay():
    model = masked_text()
    x = torch.tensor([[3, 4, PAD], [4, PAD, PAD]])
    drawn = model.fill_in(x, x != PAD, n=200, generator=seeded())
    assert (drawn[:, 0, :2] == torch.tensor([3, 4])).all() and (drawn[:, 1, 0] == 4).all()
    assert {(row != PAD).sum().item() for row in drawn[:, 1]} == {2, 3}
    whole = torch.tensor([[3, 4, 5]])
    assert (model.fill_in(whole, whole > 0, n=4) == whole).all()


def language(labels=0):
    rng = np.random.default_rng(0)
    texts = np.array([[3, 4, END, PAD], [3, 5, 3, END], [4, END, PAD, PAD], [3, 3, 4, END]] * 10)
    data = Dataset.make("few", texts, rng.integers(2, size=40) if labels else None, key=np.arange(40)[:, None])
    torch.manual_seed(0)
    model = Language(6, labels, shape=(4,), hidden=8, order=2)
    model.start(data)
    return model.eval()


@pytest.mark.parametrize("labels", [0, 2])
def test_a_language_model_goes_on_as_its_chain_rule_says(labels):
    """Kills: a first symbol that is drawn, histories without the beginning, labels of another row."""
    model, x = language(labels), torch.tensor([[3, 5, PAD, PAD], [4, PAD, PAD, PAD]])
    c = torch.tensor([1, 0]) if labels else None
    drawn = model.fill_in(x, x != PAD, c, 20_000, seeded())
    assert drawn.shape == (20_000, 2, 4) and (drawn[:, 0, :2] == torch.tensor([3, 5])).all()
    logits = model.logits(x, c)
    for row, place in ((0, 2), (1, 1)):
        p = logits[row, place].exp()
        p[[PAD, 2]] = 0
        counted = torch.bincount(drawn[:, row, place], minlength=6) / 20_000
        assert (counted - p / p.sum()).abs().max() < 0.02
    with refused(ValueError, "writes from left to right"):
        model.fill_in(x, torch.tensor([0, 1, 0, 0]), c)


# --- filling in: approximate ones ------------------------------------------------------------------------


class Two(nn.Module):
    """x = (z, z, −z) + noise, or ink with the odds of 3 z."""

    def __init__(self, ink=False):
        super().__init__()
        self.ink, self.w = ink, nn.Parameter(torch.tensor([1.0, 1.0, -1.0]))

    def forward(self, z, c=None):
        shift = 0.0 if c is None else 0.5 * c[:, None].to(z.dtype)
        return Bernoulli(logits=3 * z * self.w) if self.ink else Normal(z * self.w + shift, 0.5)


class Guess(nn.Module):
    """A poor encoder: what it proposes must be judged."""

    def forward(self, x, c=None):
        return Normal(0.4 * x[:, :1], torch.full_like(x[:, :1], 0.8))


GRID = torch.linspace(-6, 6, 4001)[:, None]


def on_the_grid(vae, x, known, T=1.0):
    """Mean and deviation of z given the known numbers of x, and the mean of the missing ones, by a grid of z."""
    p = vae.decode(GRID)
    log_p = (p.log_prob(x.expand(len(GRID), -1)) * known).sum(dim=1) / T - GRID[:, 0] ** 2 / 2
    w = torch.softmax(log_p.double(), dim=0)
    return (w[:, None] * p.mean).sum(dim=0), (w * GRID[:, 0]).sum()


@pytest.mark.parametrize("ink", [False, True])
@pytest.mark.parametrize(("draws", "steps", "T"), [(4000, 0, 1.0), (4000, 0, 3.0), (5, 60, 1.0), (5, 60, 3.0)])
def test_a_vae_fills_in_as_a_grid_of_codes_says(ink, draws, steps, T):
    """Resampling alone with many draws, and steps alone from few. Kills: the missing part of x in the weights, the
    temperature of one part only, steps that are always taken, and those that forget the encoder's density."""
    vae = VAE(Guess(), Two(ink), code=1)
    x, known = torch.tensor([[1.0, math.nan, 0.0]]), torch.tensor([1, 0, 1])
    drawn = vae.fill_in(x, known, n=4000, generator=seeded(), draws=draws, steps=steps, temperature=T)[:, 0]
    clean = torch.where(known == 1, x, 0.0)
    mean, _ = on_the_grid(vae, clean, known, T)
    assert (drawn[:, known == 1] == clean[0, known == 1]).all()
    assert drawn[:, 1].mean().item() == pytest.approx(mean[1].item(), abs=0.06)


def test_a_set_is_filled_in_from_the_members_that_are_known():
    """Kills: a missing member that counts, c = -1 that is drawn, labels of known members for missing ones."""
    vae = SetVAE(Guess(), Two(), code=1)
    x, c = torch.zeros(1, 3, 3), torch.tensor([[0, 1, -1]])
    x[0, 0] = torch.tensor([1.0, 1.0, -1.0])
    drawn = vae.fill_in(x, torch.tensor([1, 0, 0]), c, n=4000, generator=seeded(), draws=4000)
    assert drawn.shape == (4000, 1, 3, 3) and (drawn[:, 0, 0] == x[0, 0]).all() and (drawn[:, 0, 2] == 0).all()
    z = 3 / 0.25 / (1 + 3 / 0.25)  # the mean of the code, given three numbers that say 1
    assert drawn[:, 0, 1].mean(dim=0).tolist() == pytest.approx([z + 0.5, z + 0.5, 0.5 - z], abs=0.06)


def test_flow_matching_fills_in_along_a_perfect_velocity():
    """Data N(0, [[1, .9], [.9, 1]]), whose velocity is known: jumps bring what is missing to what is known, and plain
    replacement falls short. Kills jumps that forget noise, and a known part that is not put back."""
    class Perfect(FlowMatching):
        def velocity(self, x, t, c=None, guidance=0.0):
            cov = torch.tensor([[1.0, 0.9], [0.9, 1.0]])
            there = t**2 * cov + (1 - t) ** 2 * torch.eye(2)
            return x @ torch.linalg.solve(there, t * cov - (1 - t) * torch.eye(2))

    model = Perfect((2,), hidden=4, blocks=1, images=False)
    x, known = torch.tensor([[1.5, 0.0]]), torch.tensor([1, 0])
    found = {jumps: model.fill_in(x, known, n=4000, generator=seeded(), jumps=jumps)[:, 0] for jumps in (1, 20)}
    assert model.fills == "approximate" and all((drawn[:, 0] == 1.5).all() for drawn in found.values())
    wanted = torch.tensor([0.9 * 1.5, math.sqrt(1 - 0.81)])
    off = {jumps: (torch.stack([d[:, 1].mean(), d[:, 1].std()]) - wanted).abs().max() for jumps, d in found.items()}
    assert off[20] < 0.15 < off[1]


# --- one call each ---------------------------------------------------------------------------------------


def test_classify_is_bayes_rule():
    """Kills: a prior that is not asked or not a logarithm, rows that are not normalised, labels in another order."""
    model, prior = mixture(), np.array([0.9, 0.1])
    found = uses.classify(model, ALL.numpy(), prior=prior)
    p = torch.stack([model.log_prob(ALL, torch.full((64,), k)) for k in (0, 1)], dim=1).exp().detach().double().numpy()
    joint = p * prior
    assert np.exp(found.log_posterior) == pytest.approx(joint / joint.sum(axis=1, keepdims=True), abs=1e-5)
    assert found.note == "" and (found.label == joint.argmax(axis=1)).all()
    assert uses.classify(model, ALL.numpy(), labels=[1, 0]).log_posterior[:, ::-1] == pytest.approx(
        uses.classify(model, ALL.numpy()).log_posterior)
    assert uses.log_prob(model, ALL.numpy(), prior=model.log_share.exp().numpy()) == pytest.approx(
        model.log_prob(ALL).detach().numpy(), abs=1e-5)


def test_bounds_say_so_and_what_cannot_says_why():
    vae = VAE(Guess(), Two(), code=1)
    x = np.zeros((3, 3), np.float32)
    assert "bound" in uses.classify(vae, x, labels=2).note
    with refused(ValueError, "told no labels"):
        uses.classify(mixture(0), ALL.numpy())
    with refused(ValueError, "one number of at least 0 for each"):
        uses.classify(mixture(), ALL.numpy(), prior=np.ones(3))
    for call in (uses.classify, uses.log_prob, lambda m, x: uses.oddness(m, x, x)):
        with refused(ValueError, "GAN draws, and cannot say how probable"):
            call(GAN((2, 3), 2), ALL.numpy())
    for model in (GAN((2, 3)), MADE((2, 3))):
        with refused(ValueError, "cannot fill in what is missing"):
            uses.impute(model, ALL.numpy(), KNOWN.numpy())
    with refused(ValueError, "no codes to rebuild"):
        uses.oddness(mixture(), ALL.numpy(), ALL.numpy(), "reconstruction")
    with refused(ValueError, "score is 'smell'"):
        uses.oddness(mixture(), ALL.numpy(), ALL.numpy(), "smell")
    with refused(ValueError, "known has shape"):
        uses.impute(mixture(), ALL.numpy(), np.ones(5), c=np.zeros(64, int))
    with refused(ValueError, "other numbers than 0 and 1"):
        contract.everywhere(torch.full((2, 3), 2), ALL)


def test_impute_gives_draws_intervals_and_a_note():
    found = uses.impute(mixture(), ALL[:5].numpy(), KNOWN.numpy(), n=60, c=np.array([0, 1, 0, 1, 0]))
    assert found.draws.shape == (60, 5, 2, 3) and found.note == ""
    assert found.interval()[0].shape == (5, 2, 3)
    again = uses.impute(mixture(), ALL[:5].numpy(), KNOWN.numpy(), n=60, c=np.array([0, 1, 0, 1, 0]))
    assert (found.draws == again.draws).all()
    rough = uses.impute(VAE(Guess(), Two(), code=1), np.zeros((2, 3), np.float32), np.array([1, 1, 0]), n=3, draws=9)
    assert rough.draws.shape == (3, 2, 3) and "approximately" in rough.note


@pytest.mark.parametrize("n", [1, 5, 20, 100])
@pytest.mark.parametrize("whole", [False, True])
def test_ranks_hold_what_they_promise_for_any_number_of_draws(n, whole):
    """Kills: ranks over n instead of n + 1, ties that all count as below, steps without chance within."""
    rng = np.random.default_rng(n)
    draws, truth = rng.normal(size=(n, 20_000)), rng.normal(size=20_000)
    if whole:
        draws, truth = draws > 1, truth > 1
    u = intervals.ranks(draws, truth)
    assert u.mean() == pytest.approx(0.5, abs=0.01) and u.var() == pytest.approx(1 / 12, abs=0.002)
    assert intervals.inside(draws, truth, 0.9).mean() == pytest.approx(0.9, abs=0.01)


def test_intervals_have_their_size_where_plain_quantiles_are_too_narrow():
    rng = np.random.default_rng(0)
    draws, truth = rng.normal(size=(20, 20_000)), rng.normal(size=20_000)
    low, high = intervals.interval(draws)
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(0.9, abs=0.01)
    plain = np.quantile(draws, [0.05, 0.95], axis=0)
    assert ((plain[0] <= truth) & (truth <= plain[1])).mean() == pytest.approx(0.81, abs=0.015)
    with refused(ValueError, "at least 19 draws"):
        intervals.interval(draws[:18])


# --- oddness ---------------------------------------------------------------------------------------------


class Length(nn.Module):
    """-log p(x) is the first number of x."""

    bound = "exact"

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def log_prob(self, x, c=None, generator=None):
        return -x[:, 0]

    def reconstruct(self, x, c=None):
        return torch.zeros_like(x)


def test_the_alarm_rings_for_a_part_of_usual_ones_for_any_reference():
    """Kills: np.quantile of the reference, which rings more often the fewer there are; a strict order turned round."""
    rng = np.random.default_rng(0)
    for M in (19, 39, 100):
        rings = [(rng.normal(size=50) > uses.threshold(rng.normal(size=M))).mean() for _ in range(4000)]
        assert np.mean(rings) <= 0.053 and (M == 100 or np.mean(rings) == pytest.approx(0.05, abs=0.004))
    assert uses.threshold(np.arange(99.0)) == 94 and uses.threshold(np.arange(18.0)) == math.inf


def test_scores_are_what_they_say():
    reference = np.stack([np.arange(1.0, 100), np.zeros(99)], axis=1).astype(np.float32)
    x = np.array([[200.0, 0], [0.0, 0], [50.0, 0]], np.float32)
    found = uses.oddities(Length(), x, reference, uses.SCORES)
    assert found["nll"].score.tolist() == [200, 0, 50] and found["nll"].rings.tolist() == [True, False, False]
    assert found["nll"].share.tolist() == [0.01, 1.0, 0.51]
    assert found["typicality"].score.tolist() == [150, 50, 0]
    assert found["typicality"].rings.tolist() == [True, True, False]  # what is too probable is odd, too
    assert found["reconstruction"].score.tolist() == [40_000, 0, 2500]
    plain = Plain(reference)
    assert found["ratio"].score == pytest.approx(x[:, 0] + plain.log_prob(x), rel=1e-5)
    assert "as new as the reference" in found["nll"].note
    one = uses.oddness(Length(), x, reference, "typicality")
    assert (one.score == found["typicality"].score).all() and one.threshold == found["typicality"].threshold


def test_a_reference_of_copies_rings_too_often_and_one_of_new_groups_does_not():
    """Fonts: letters of known fonts lie near the training examples, and of new ones farther off."""
    rng = np.random.default_rng(0)
    known, new, reference = (rng.normal(size=(2000, 1)) * s for s in (1.0, 1.5, 1.5))
    nll = lambda x: np.abs(x[:, 0])
    assert (nll(new) > uses.threshold(nll(known))).mean() > 0.12
    assert (nll(new) > uses.threshold(nll(reference))).mean() == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("kind", ["ink", "grey", "real", "text"])
def test_the_plain_model_is_a_distribution(kind):
    """Probabilities of all values sum to one, and padding does not count; kills counts that are not normalised."""
    rng = np.random.default_rng(0)
    if kind == "ink":
        plain = Plain((rng.random((50, 6)) < 0.3).astype(np.float32))
        assert np.exp(plain.log_prob(ALL.flatten(1).numpy())).sum() == pytest.approx(1)
    elif kind == "grey":
        plain = Plain(rng.integers(256, size=(50, 2), dtype=np.uint8))
        pairs = np.array(list(itertools.product(range(256), repeat=2)), np.uint8)
        assert np.exp(plain.log_prob(pairs)).sum() == pytest.approx(1)
    elif kind == "real":
        plain = Plain(rng.normal(3, 2, size=(400, 1)))
        grid = np.linspace(-30, 30, 6001)[:, None]
        assert np.exp(plain.log_prob(grid)).sum() * 0.01 == pytest.approx(1)
    else:
        plain = Plain(np.array([[3, 4, END, PAD], [3, 3, 3, END]]))
        letters = np.arange(5)[:, None] * [1, 0]
        assert np.exp(plain.log_prob(letters)[1:]).sum() <= 1
        assert plain.log_prob(np.array([[3, PAD]])) > plain.log_prob(np.array([[4, PAD]]))
        assert np.isfinite(plain.log_prob(np.array([[99, PAD]]))).all()


def test_long_texts_are_no_odder_than_short_ones():
    model = language()
    x = np.array([[3, 4, END, PAD], [3, 5, 3, END]])
    found = uses.oddness(model, x, x)
    assert found.score == pytest.approx(-contract.log_prob(model, contract.Examples(x, None, np.ones(2))) / [3, 4])
