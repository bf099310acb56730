"""Flow matching: velocities of known data, densities by quadrature, guidance, the average, and runs of the reader's."""

import math

import numpy as np
import pytest
import torch

from helpers import runs
from helpers.__main__ import main
from helpers.build import build, restore
from helpers.data import DataError, Dataset, digits
from helpers.models import contract
from helpers.models.families.matching import FlowMatching, dequantise, quantise, signs, waves, with_divergence
from helpers.training import fit


def gaussian(model, m, s):
    """Give a model the exact velocity from N(0, I) to N(m, s² I)."""

    def velocity(x, t, c=None, guidance=0.0):
        t = torch.as_tensor(t, dtype=x.dtype).expand(len(x))[:, None]
        return m + (t * s**2 - (1 - t)) / ((1 - t) ** 2 + (t * s) ** 2) * (x - t * m)

    model.velocity = velocity
    return model.eval()


@pytest.mark.parametrize("D", [2, 6])  # exact divergence, and estimated
def test_the_true_velocity_gives_the_true_density_and_its_samples(D):
    m, s = torch.linspace(-1, 1, D), 0.5
    model = gaussian(FlowMatching((D,), images=False), m, s)
    x = m + s * torch.randn(400, D, generator=torch.Generator().manual_seed(0))
    true = torch.distributions.Normal(m, s).log_prob(x).sum(dim=1)
    found = model.log_prob(x, generator=torch.Generator().manual_seed(1), steps=80)
    torch.testing.assert_close(found, true, atol=8e-3, rtol=0)  # here each direction tells the whole trace
    drawn = model.sample(8000, generator=torch.Generator().manual_seed(2))
    assert drawn.mean(dim=0).numpy() == pytest.approx(m.numpy(), abs=0.03)
    assert drawn.std(dim=0).numpy() == pytest.approx(np.full(D, s), rel=0.05)


def trained(**choices):
    torch.manual_seed(0)
    model = FlowMatching((2,), hidden=32, blocks=2, images=False, average=0.95, **choices)
    rng = np.random.default_rng(0)
    c = rng.integers(2, size=600)
    x = np.where(c[:, None] == 0, [[1.5, 0.0]], [[-1.5, 0.5]]) + 0.4 * rng.standard_normal((600, 2))
    labels = c if choices.get("labels") else None
    half = slice(0, 500), slice(500, 600)
    fit(model, tuple((x[part].astype("f4"), None if labels is None else labels[part]) for part in half), epochs=40,
        batch_size=50, lr=4e-3, quiet=True)
    return model.eval()


@pytest.fixture(scope="module")
def conditional():
    return trained(labels=2)


def integral(model, c=None):
    axis = (torch.arange(60) + 0.5) / 60 * 10 - 5
    grid = torch.cartesian_prod(axis, axis)
    told = None if c is None else torch.full((len(grid),), c)
    return float(model.log_prob(grid, told, steps=40).exp().sum()) / 36


def test_the_density_of_a_trained_model_integrates_to_one(conditional):
    for c in (0, 1, None):
        assert integral(conditional, c) == pytest.approx(1, abs=4e-3)
    assert integral(trained()) == pytest.approx(1, abs=4e-3)


def test_labels_are_told(conditional):
    for c, mean in ((0, [1.5, 0.0]), (1, [-1.5, 0.5])):
        x = conditional.sample(500, torch.full((500,), c), torch.Generator().manual_seed(0))
        assert x.mean(dim=0).numpy() == pytest.approx(mean, abs=0.15)
    both = conditional.sample(1000, generator=torch.Generator().manual_seed(0))[:, 0]  # without a label: both
    assert 0.3 < (both > 0).float().mean() < 0.7


def test_guidance_is_what_it_says(conditional):
    x, c = torch.randn(6, 2), torch.zeros(6, dtype=torch.long)
    told, free = conditional.velocity(x, 0.4, c), conditional.velocity(x, 0.4, None)
    torch.testing.assert_close(conditional.velocity(x, 0.4, c, guidance=2.0), 3 * told - 2 * free)
    torch.testing.assert_close(conditional.velocity(x, 0.4, c, guidance=-1.0), free)


def test_the_estimated_divergence_is_right_on_average(conditional):
    x, c = torch.randn(5, 2), torch.tensor([0, 1, 0, 1, 0])
    field, generator = lambda x, t: conditional.velocity(x, t, c), torch.Generator().manual_seed(0)
    _, exact = with_divergence(field, x, 0.6, torch.eye(2))
    found = torch.stack([with_divergence(field, x, 0.6, signs(x, generator))[1] for _ in range(800)])
    error = found.std(dim=0) / math.sqrt(800)
    assert ((found.mean(dim=0) - exact).abs() < 4 * error + 1e-4).all()


def test_the_divergence_is_that_of_differences(conditional):
    x, step = torch.randn(5, 2).double(), 1e-4
    field = lambda x, t: torch.stack([x[:, 0] ** 2 * x[:, 1], torch.sin(x[:, 1]) + t * x[:, 0]], dim=1)
    v, found = with_divergence(field, x, 0.6, torch.eye(2).double())
    slopes = [(field(x + step * e, 0.6) - field(x - step * e, 0.6)) @ e / (2 * step) for e in torch.eye(2).double()]
    torch.testing.assert_close(found, sum(slopes), atol=1e-6, rtol=0)
    torch.testing.assert_close(v, field(x, 0.6))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_levels_survive_noise_and_fill_their_bins(levels):
    x = torch.arange(levels).repeat(4000).double() / (levels - 1)  # in float32, 1 of 100,000 rounds to the next level
    y = dequantise(x, levels, torch.Generator().manual_seed(0))
    torch.testing.assert_close(quantise(y, levels), x)
    assert -1 <= y.min() < -1 + 0.3 / levels and 1 - 0.3 / levels < y.max() <= 1
    assert float(y.mean()) == pytest.approx(0, abs=0.02) and float(y.std()) == pytest.approx(3**-0.5, abs=0.02)
    assert quantise(torch.tensor([-3.0, 3.0]), levels).tolist() == [0, 1]


def test_evaluation_uses_the_average_of_the_weights():
    torch.manual_seed(0)
    model = FlowMatching((2,), hidden=8, blocks=1, images=False, average=0.5)
    with torch.no_grad():
        model.loss((torch.zeros(3, 2), None))
        for weights in model.network.parameters():
            weights += 1
    x = torch.randn(4, 2)
    now, then = model.train().velocity(x, 0.5), model.eval().velocity(x, 0.5)
    assert not torch.allclose(now, then)
    with torch.no_grad():
        model.train().loss((torch.zeros(3, 2), None))
    half = model.average.module.first.weight
    torch.testing.assert_close(half, model.network.first.weight - 0.5)
    assert not any(weights.requires_grad for weights in model.average.parameters())


def test_scores_of_images_bound_those_of_levels():
    """One pixel, black or white with unequal chances: the mean of log density less log 256 is below log P."""
    torch.manual_seed(0)
    model = FlowMatching((1,), hidden=32, blocks=1)
    rng = np.random.default_rng(0)
    x = (rng.random((900, 1)) < 0.7).astype("f4")
    fit(model, (x[:800], x[800:]), epochs=30, batch_size=50, lr=4e-3, quiet=True)
    model.eval()
    levels = torch.arange(256)[:, None] / 255
    with torch.no_grad():
        bound = torch.stack([model.log_prob(levels, generator=torch.Generator().manual_seed(i)) for i in range(20)])
    assert float(bound.mean(dim=0).exp().sum()) <= 1.01
    assert model.bound == "dequantised" and set(model.sample(50).shape) == {50, 1}
    assert 0 <= model.sample(50).min() and model.sample(50).max() <= 1


def test_waves_tell_times_apart():
    t = torch.linspace(0, 1, 101)
    apart = torch.cdist(waves(t), waves(t))
    assert apart[~torch.eye(101, dtype=bool)].min() > 0.02


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = digits.load(binary=False)
    some = Dataset.make("eights", data.x[:400].reshape(-1, 8, 8), data.c[:400])
    return runs.fit(some, tmp_path_factory.mktemp("run") / "out", epochs=3, model="flow-matching")


def test_a_run_of_images_is_scored_drawn_and_opened_again(run):
    assert run.sample(5).x.shape[1:] == (8, 8)
    model, card = restore(run.path / "model")
    assert card["plan"]["model"] == "flow-matching" and model.labels == 10
    x = contract.sample(model, 4, np.array([0, 1, 2, 3]), torch.Generator().manual_seed(0), guidance=1.0)
    assert x.shape == (4, 8, 8) and np.isfinite(x).all()


def test_sounds_and_texts_are_refused_in_one_sentence(tmp_path, capsys):
    (tmp_path / "names.txt").write_text("\n".join(f"name {i}" for i in range(60)))
    out = tmp_path / "out"
    assert main(["fit", str(tmp_path / "names.txt"), "--out", str(out), "--model", "flow-matching"]) != 0
    said = capsys.readouterr().err
    assert "flow-matching is for images" in said and not out.exists()
    with pytest.raises(DataError, match="6,912 numbers"):
        build(Dataset.make("large", np.random.default_rng(0).random((40, 100, 100))), "flow-matching")
