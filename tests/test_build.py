"""build: a VAE for any data set of the reader's, every choice open, and one sentence for what cannot be."""

import json
from typing import ClassVar

import numpy as np
import pytest
import torch

from helpers import senses
from helpers.build import assemble, build
from helpers.data import Dataset, text
from helpers.data.dataset import DataError
from helpers.models import VAE, DiscretisedNormal, SetVAE
from helpers.models.likelihoods import GreyLevels, expected
from helpers.senses import SENSES
from helpers.senses.numbers import averages

WORDS = [f"{a}{b}{c}" for a in ("ab", "cd", "ef") for b in "aeiou" for c in ("", "x", "yz", " o")]


def noise(*shape):
    return np.random.default_rng(0).random(shape)


def pictures(shape=(16, 16), labels=3, n=42, low=0.0, high=1.0, **more):
    x = np.rint(255 * noise(n, *shape)).astype(np.float32) / 255 * (high - low) + low
    return Dataset.make("pictures", x, np.arange(n) % labels if labels else None, kind="image",
                        names=tuple("abcdefgh"[:labels]), **more)


def noises(labels=3, groups=None, n=42):
    x = np.random.default_rng(0).normal(-4, 1, (n, 33, 5)).astype(np.float16)
    return Dataset.make("noises", x, np.arange(n) % labels if labels else None, kind="sound",
                        names=tuple("abcdefgh"[:labels]), group=groups, valid=0.2, test=0.2)


def words(c=None):
    return text.make("words", WORDS, c)


DATA = {
    "grey": lambda: pictures(),
    "grey, no labels": lambda: pictures(labels=0),
    "grey, one label": lambda: pictures(labels=1),
    "colour": lambda: pictures((3, 16, 16)),
    "colour, no labels": lambda: pictures((3, 20, 20), labels=0),
    "odd size": lambda: pictures((17, 17)),
    "oblong": lambda: pictures((12, 21)),
    "tiny": lambda: pictures((4, 5)),
    "large": lambda: pictures((64, 64), n=21),
    "rows of pixels": lambda: pictures_in_rows(),
    "distances": lambda: pictures(low=-2.0, high=2.0),
    "sounds": lambda: noises(),
    "sounds, no labels": lambda: noises(labels=0, groups=np.arange(42)),
    "sounds, shared": lambda: noises(groups=np.arange(42) // 3),
    "sounds, groups of one": lambda: noises(groups=np.arange(42)),
    "texts": lambda: words(),
    "texts, labels": lambda: words(np.arange(len(WORDS)) % 3),
    "texts, real numbers": lambda: words(noise(len(WORDS), 2).astype(np.float32)),
}


def pictures_in_rows():
    x = np.rint(255 * noise(42, 192)).astype(np.float32) / 255
    return Dataset.make("rows", x, np.arange(42) % 3, shape=(12, 16), kind="image")


def batch(data, model, n=6):
    part = data.sets("train", dense=False) if isinstance(model, SetVAE) else data.train
    x = torch.as_tensor(part.x[:n])
    c = None if part.c is None else torch.as_tensor(part.c[:n])
    x = x.float() if x.is_floating_point() else x
    return x, c if c is None or not c.is_floating_point() else c.float()


@pytest.mark.parametrize("name", DATA)
def test_it_fits_the_data(name):
    """A finite bound, gradients for every weight, samples in the shape of the data, likelihoods for each example."""
    torch.manual_seed(0)
    data = DATA[name]()
    model = build(data, "vae")
    assert isinstance(model, VAE)
    assert model.plan["labels"] == (int(data.c.max()) + 1 if data.c is not None and data.c.ndim == 1 else 0)
    x, c = batch(data, model)
    loss, metrics = model.loss((x, c))
    loss.backward()
    assert loss.isfinite() and metrics["kl"] >= 0
    silent = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert silent == []
    with torch.no_grad():
        bound = model.log_prob(x, c, k=2)
    assert bound.shape == (len(x),) and bound.isfinite().all()
    if model.plan["kind"] != "text":
        assert bound.dtype == torch.float32
        drawn = model.sample(len(x), c.clamp(min=0) if isinstance(model, SetVAE) else c)
        assert drawn.shape == x.shape
        assert model.sample(len(x), c.clamp(min=0) if isinstance(model, SetVAE) else c, mean=True).shape == x.shape
    else:
        drawn = model.sample(len(x), c)
        assert drawn.shape == (len(x), data.x.shape[1]) and drawn.max() < len(data.vocabulary)


@pytest.mark.parametrize("name", DATA)
def test_its_plan_makes_the_same_networks_without_the_data(name):
    data = DATA[name]()
    torch.manual_seed(0)
    model = build(data, "vae")
    again = assemble(json.loads(json.dumps(model.plan)))
    again.load_state_dict(model.state_dict())
    x, c = batch(data, model)
    model.eval(), again.eval()
    with torch.no_grad():
        scores = [m.log_prob(x, c, torch.Generator().manual_seed(1), k=2) for m in (model, again)]
    torch.testing.assert_close(*scores, rtol=0, atol=0)


OVERRIDES = [
    ("grey", dict(code=3), lambda m: m.code == 3 and decoded(m).loc.shape == (1, 16, 16)),
    ("grey", dict(channels=5), lambda m: m.encoder.convolutions[0].out_channels == 5),
    ("grey", dict(hidden=7), lambda m: m.decoder.code.out_features == 7 == m.encoder.all.out_features),
    ("grey", dict(convolutional=False), lambda m: not any(isinstance(k, torch.nn.Conv2d) for k in m.modules())),
    ("colour", dict(convolutional=False, hidden=9), lambda m: m.decoder.plain.code.out_features == 9),
    ("grey, no labels", dict(convolutional=False), lambda m: m.sample(2).shape == (2, 16, 16)),
    ("grey", dict(dropout=0.25), lambda m: {k.p for k in m.modules() if isinstance(k, torch.nn.Dropout)} == {0.25}),
    ("grey", dict(likelihood="normal"), lambda m: isinstance(decoded(m), torch.distributions.Normal)),
    ("grey", dict(likelihood="levels"), lambda m: isinstance(decoded(m), GreyLevels)),
    ("grey", dict(sigma=0.125), lambda m: abs(decoded(m).scale.flatten()[0].item() - 0.125) < 1e-6),
    ("sounds", dict(code=2, rank=3), lambda m: m.decoder.R == 3 and m.code == 2),
    ("sounds", dict(hidden=11), lambda m: m.decoder.code.out_features == 11),
    ("sounds", dict(sigma=0.5), lambda m: (m.decoder.sigma - 0.5).abs().max().item() < 1e-6),
    ("sounds, shared", dict(), lambda m: isinstance(m, SetVAE)),
    ("sounds, shared", dict(shared=False), lambda m: not isinstance(m, SetVAE)),
    ("sounds, groups of one", dict(), lambda m: not isinstance(m, SetVAE)),
    ("texts", dict(code=2, hidden=10, embedding=6), lambda m: m.decoder.language.gru.hidden_size == 10),
    ("texts", dict(dropout=0.1, drop_symbols=0.2), lambda m: m.decoder.language.drop_symbols == 0.2),
    ("texts", dict(longest=4), lambda m: m.sample(3).shape == (3, 4)),
]


def decoded(model):
    return model.decode(torch.zeros(1, model.code), torch.zeros(1, dtype=torch.long))


@pytest.mark.parametrize(("name", "choices", "holds"), OVERRIDES, ids=lambda v: str(v) if isinstance(v, dict) else None)
def test_every_choice_can_be_overridden(name, choices, holds):
    model = build(DATA[name](), "vae", **choices)
    assert holds(model)
    assert all(model.plan[key] == value for key, value in choices.items())


def test_every_choice_is_tested():
    tested = {(DATA[name]().kind, key) for name, choices, _ in OVERRIDES for key in choices}
    assert tested == {(kind, key) for kind, own in SENSES.items() for key in own.CHOICES}


REFUSED = {
    "unknown": ("grey", dict(beta=4), "beta cannot be chosen for a model of images; choose among code, channels"),
    "of another kind": ("texts", dict(channels=4), "channels cannot be chosen for a model of texts"),
    "code": ("grey", dict(code=0), "code is 0; give a whole number"),
    "half": ("sounds", dict(rank=2.5), "rank is 2.5"),
    "dropout": ("texts", dict(dropout=1.0), "dropout is 1.0; give a part"),
    "sigma": ("grey", dict(sigma=-1.0), "sigma is -1.0"),
    "likelihood": ("grey", dict(likelihood="bernoulli"), "say 'levels'"),
    "levels of distances": ("distances", dict(likelihood="levels"), "reach from -2 to 2"),
    "shared": ("sounds, no labels", dict(shared=True), "a shared code needs labels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_chosen_is_refused_in_one_sentence(case):
    name, choices, message = REFUSED[case]
    with pytest.raises(DataError, match=message) as caught:
        build(DATA[name](), "vae", **choices)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: Dataset.make("t", noise(42, 9), kind="table"), "its kind is 'table'"),
        (lambda: Dataset.make("t", noise(42, 7, 5, 5), kind="image"), "are not images"),
        (lambda: Dataset.make("t", noise(42, 2, 2), kind="image"), "at least 4 × 4"),
        (lambda: Dataset.make("t", noise(20, 8, 300), kind="image"), "too large"),
        (lambda: Dataset.make("t", noise(42, 9), kind="sound"), "not spectrograms"),
        (lambda: Dataset.make("t", noise(42, 9), kind="text"), "not texts with a vocabulary"),
        (lambda: Dataset.make("t", noise(42, 8, 8), noise(42, 2), kind="image"), "2 real numbers"),
    ],
)
def test_data_that_it_cannot_handle_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        build(data(), "vae")


@pytest.mark.parametrize(("name", "family"), [("grey", "vae"), ("sounds", "vae"), ("texts", "language")])
def test_each_sense_has_a_family_that_is_built_if_nothing_is_said(name, family):
    assert build(DATA[name]()).plan["model"] == family


def test_language_is_for_texts_alone():
    with pytest.raises(DataError, match="language is for texts"):
        build(DATA["grey"](), "language")
    with pytest.raises(DataError, match=r"not texts with a vocabulary"):
        build(Dataset.make("t", noise(42, 9), kind="text"))
    with pytest.raises(DataError, match="order is 0"):
        build(DATA["texts"](), order=0)


def test_learning_starts_from_the_average_of_each_label():
    data = pictures()
    model = build(data)
    mean = np.stack([data.train.x[data.train.c == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(model.decoder.average.detach(), mean, atol=1e-6)
    sigma = np.sqrt(np.square(data.train.x - mean[data.train.c]).mean())
    assert (10 * model.decoder.log_sigma).exp().item() == pytest.approx(sigma, rel=1e-5)
    np.testing.assert_allclose(model.encoder.centre[0], data.train.x.mean(axis=0), atol=1e-6)
    assert model.encoder.scale.item() == pytest.approx((data.train.x - data.train.x.mean(axis=0)).std(), rel=1e-5)


def test_codes_of_data_are_given_the_spread_of_the_prior():
    """Images are rebuilt as before; on average over training images, codes have mean 0 and deviation 1."""
    data = pictures()
    torch.manual_seed(0)
    model = build(data, code=3).eval()
    with torch.no_grad():
        model.encoder.net[-1].bias += torch.tensor([2.0, 0.0, -1.0, 0.0, 1.0, 0.0])
    x, c = torch.as_tensor(data.train.x).float(), torch.as_tensor(data.train.c)
    before = model.reconstruct(x, c)
    senses.image.finish(model, data)
    assert torch.allclose(model.reconstruct(x, c), before, atol=1e-4)
    with torch.no_grad():
        q = model.posterior(x, c)
    assert q.mean.mean(dim=0).abs().max() < 1e-4
    assert torch.allclose(q.mean.var(dim=0, unbiased=False) + q.stddev.square().mean(dim=0), torch.ones(3), atol=1e-3)


def test_plans_of_earlier_versions_make_their_own_networks():
    plan = {name: value for name, value in build(pictures()).plan.items() if name != "networks"}
    first, second, third = (set(assemble({**plan, **more}).state_dict()) for more in
                            ({}, {"networks": 2}, {"networks": 3}))
    assert first == second - {"encoder.centre", "encoder.scale"} and second == third - {"decoder.tone"}
    assert third == set(build(pictures()).state_dict())


def test_a_rare_label_has_the_average_of_all():
    x, c = noise(12, 3), np.array([0] * 10 + [1] * 2)
    mean, _ = averages(x, c, 3)
    np.testing.assert_allclose(mean[0], x[:10].mean(axis=0))
    np.testing.assert_allclose(mean[1:], [x.mean(axis=0)] * 2)


# --- grey levels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loc", "scale"), [(0.3, 0.05), (-2.0, 0.3), (1.4, 0.01), (0.5, 9.0)])
def test_probabilities_of_all_grey_levels_sum_to_one(loc, scale):
    values = torch.arange(256, dtype=torch.float64) / 255
    p = GreyLevels(torch.full((256,), loc, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64))
    assert p.log_prob(values).exp().sum().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("scale", [0.01, 0.2, 3.0])
def test_grey_levels_agree_with_the_discretised_normal(scale):
    value = torch.as_tensor(np.rint(255 * noise(500)) / 255)
    value[:50], value[50:100] = 0.0, 1.0
    loc = torch.as_tensor(np.random.default_rng(1).normal(0.5, 0.7, 500)).requires_grad_()
    sigma = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
    ours, theirs = GreyLevels(loc, sigma).log_prob(value), DiscretisedNormal(loc, sigma).log_prob((255 * value).round())
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    gradients = [torch.autograd.grad(p.sum(), (loc, sigma)) for p in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-8)


def test_gradients_hold_in_the_far_tail():
    loc = torch.tensor([-50.0, 0.5, 60.0], requires_grad=True)
    p = GreyLevels(loc, torch.tensor(0.01)).log_prob(torch.tensor([1.0, 0.5, 0.0]))
    p.sum().backward()
    assert p.isfinite().all() and loc.grad.isfinite().all()
    assert loc.grad[0] > 1e4 and loc.grad[2] < -1e4


def test_draws_are_grey_levels_around_the_mean():
    p = GreyLevels(torch.full((20_000,), 0.4), torch.tensor(0.1))
    drawn = p.sample_with(torch.Generator().manual_seed(0))
    assert torch.equal((drawn * 255).round() / 255, drawn) and drawn.min() >= 0 and drawn.max() <= 1
    assert drawn.mean().item() == pytest.approx(0.4, abs=0.004) and drawn.std().item() == pytest.approx(0.1, abs=0.004)
    assert GreyLevels(torch.tensor([-1.0, 2.0]), 0.1).mean.tolist() == [0.0, 1.0]


def test_means_are_shown_along_a_curve():
    tone, loc = torch.linspace(0, 1, 256) ** 2, torch.tensor([-1.0, 0.0, 100.5 / 255, 1.0, 2.0])
    p = GreyLevels(loc, 0.1, tone=tone)
    assert expected(p).tolist() == pytest.approx([0.0, 0.0, float(tone[100] + tone[101]) / 2, 1.0, 1.0])
    assert torch.equal(p.mean, loc.clamp(0, 1)) and torch.equal(expected(GreyLevels(loc, 0.1)), p.mean)
    torch.testing.assert_close(p.log_prob(tone[:5]), GreyLevels(loc, 0.1).log_prob(tone[:5]))


def edges(n=300):
    """Half black, half white, the edge somewhere in the middle, and one grey pixel at it."""
    rng = np.random.default_rng(0)
    place = rng.uniform(2, 6, n)
    return ((place[:, None, None] - np.arange(8)[:, None]).clip(0, 1) * np.ones(8)).astype("f4")


class Blurred(torch.nn.Module):
    """Shows images as a decoder does that does not know the edge to the pixel."""

    plan: ClassVar = {"shape": [1, 8, 8]}

    def reconstruct(self, x, c):
        x = torch.nn.functional.pad(x[:, None], (0, 0, 1, 1), mode="replicate")[:, 0]
        return (x[:, :-2] + x[:, 1:-1] + x[:, 2:]) / 3


class Right(Blurred):
    def reconstruct(self, x, c):
        return x


def test_the_tone_gives_back_the_levels_of_real_images():
    data = Dataset.make("edges", edges())
    curve = senses.image.tone(Blurred(), data)
    assert (np.diff(curve) >= 0).all() and curve[0] == pytest.approx(0, abs=0.05) and curve[-1] > 0.95
    x = torch.as_tensor(edges())
    grey = lambda x: float(((x > 0.2) & (x < 0.8)).float().mean())
    shown = expected(GreyLevels(Blurred().reconstruct(x, None), 0.1, tone=torch.as_tensor(curve).float()))
    assert grey(Blurred().reconstruct(x, None)) > 1.5 * grey(x) and grey(shown) < 1.25 * grey(x)
    np.testing.assert_allclose(senses.image.tone(Right(), data), np.linspace(0, 1, 256), atol=0.01)


def test_contrast_does_not_stand_for_what_was_not_learnt():
    class Unlearnt(Blurred):
        def reconstruct(self, x, c):
            return 0.5 + 0.2 * (x - 0.5)

    data = Dataset.make("edges", edges())
    np.testing.assert_array_equal(senses.image.tone(Unlearnt(), data), np.linspace(0, 1, 256))


def test_a_finished_model_shows_its_tone_and_scores_as_before():
    data = pictures()
    model = build(data, code=3, channels=4, hidden=16).eval()
    assert torch.equal(model.decoder.tone, torch.linspace(0, 1, 256))
    senses.image.finish(model, data)
    before = model.decoder.tone.clone()
    senses.image.finish(model, data)  # as after further training: the tone begins anew
    torch.testing.assert_close(model.decoder.tone, before)
