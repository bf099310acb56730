"""What judges priors, and the priors that ship: traits of notes, the trees that tell samples apart, the sweep."""

import json
import math

import numpy as np
import pytest
import torch

from helpers import disk, sound, synthesis
from helpers.build import restore
from helpers.data import glyphs, notes
from helpers.evaluation.two_sample import told_apart, told_by_trees
from helpers.experiments import orders, priors, settings, sweeps
from helpers.models.prior import StandardNormal
from helpers.priors import Codes

T = np.arange(16_000) / 16_000
HZ = 400.0


def note(amplitudes, rise=0.0, fall=1e9):
    """Log-magnitudes (513, 51) of harmonics that rise and fall exponentially, in seconds."""
    envelope = (1 - np.exp(-T / rise) if rise else np.ones(16_000)) * np.exp(-T / fall)
    wave = sum(a * np.sin(2 * np.pi * h * HZ * T) for h, a in enumerate(amplitudes, 1))
    return sound.log_magnitude(envelope * wave)[0]


class TestTraitsOfNotes:
    def test_brightness_is_in_octaves_above_the_pitch(self):
        assert synthesis.measure(note([0.5]), HZ)["brightness"] == pytest.approx(0, abs=0.02)
        assert synthesis.measure(note([0.2, 0.2, 0.2]), HZ)["brightness"] == pytest.approx(1, abs=0.02)
        assert synthesis.measure(note([0, 0, 0, 0.3]), HZ)["brightness"] == pytest.approx(2, abs=0.02)

    @pytest.mark.parametrize("fall", [0.25, 0.5, 1.0])
    def test_decay_is_the_time_that_loses_a_factor_of_e(self, fall):
        assert synthesis.measure(note([0.3, 0.2], fall=fall), HZ)["decay"] == pytest.approx(math.log2(fall), abs=0.1)

    def test_loudness_changes_nothing(self):
        loud, soft = (synthesis.measure(note([a, a / 2], 0.05, 0.4), HZ) for a in (0.4, 0.2))
        assert loud == pytest.approx(soft, abs=0.05)

    def test_a_slower_attack_is_measured_as_slower(self):
        found = [synthesis.measure(note([0.3], rise=rise), HZ)["attack"] for rise in (0.001, 0.02, 0.05, 0.1)]
        assert np.all(np.diff(found) > 0.5)

    @pytest.mark.parametrize("knob", [0, 1, 2])
    def test_the_knobs_of_the_synthesiser_move_their_traits(self, knob):
        setting = np.full((5, 4), 0.3)
        setting[:, knob] = np.linspace(0.1, 0.9, 5)
        waves = np.stack([notes.play("additive", timbre, 60) for timbre in setting])
        hz = float(notes.frequency(60))
        found = [list(synthesis.measure(x, hz).values())[knob] for x in sound.log_magnitude(waves)]
        assert np.all(np.diff(found) > 0)

    def test_silence_has_finite_traits(self):
        assert np.isfinite(list(synthesis.measure(np.full((513, 51), -6.9), HZ).values())).all()


class TestTrees:
    def test_one_distribution_is_told_by_chance(self):
        assert told_by_trees(*np.random.default_rng(0).standard_normal((2, 600, 8))) == pytest.approx(0.5, abs=0.04)

    def test_a_shift_is_told_nearly_as_well_as_it_can_be(self):
        """Two unit normals, a distance of 2 apart: the best classifier is right with probability 0.841."""
        a, b = np.random.default_rng(0).standard_normal((2, 1500, 2))
        assert told_by_trees(a, b + [2, 0]) == pytest.approx(0.835, abs=0.03)

    def test_they_see_what_distances_do_not(self):
        """One of sixteen numbers is narrow, the others are wide."""
        a, b = 5 * np.random.default_rng(0).standard_normal((2, 600, 16))
        a[:, 3], b[:, 3] = 0.2 * a[:, 3], 0.02 * b[:, 3]
        assert told_by_trees(a, b) > 0.75 > 0.6 > told_apart(a, b)

    def test_unequal_sizes_are_told_by_chance_too(self):
        x = np.random.default_rng(0).standard_normal((1000, 4))
        assert told_by_trees(x[:900], x[900:]) == pytest.approx(0.5, abs=0.06)

    def test_too_few_points_are_refused(self):
        with pytest.raises(ValueError, match="at least 10"):
            told_by_trees(np.zeros((9, 2)), np.zeros((50, 2)))


class TestBenches:
    def test_fresh_fonts_are_changed_copies_of_the_fonts_of_their_split(self):
        x, c = priors.fresh_fonts("test", seed=1, each=2)
        named = [font for font in glyphs.FONTS if font[3] == "test"]
        assert x.shape == (2 * len(named), 62, 784) and c.shape == (2 * len(named), 62)
        assert (x[c < 0] == 0).all() and ((c < 0) | (c == np.arange(62))).all()
        assert np.abs(x[0] - x[1]).max() > 0.5  # two copies of one font differ
        assert np.array_equal(priors.fresh_fonts("test", seed=1, each=2)[0], x)
        assert len(priors.fresh_fonts("test", seed=1, part=20)[0]) == sum(40 // 20 for font in named)  # none ornamental

    def test_fresh_instruments_lie_outside_of_the_regions_held_out(self):
        x, c = priors.fresh_instruments(3, seed=1)
        assert x.shape == (3, 12, 513, 51) and c.shape == (3, 12)
        assert (np.diff(c, axis=1) > 0).all() and np.isfinite(x).all()

    def test_nats_are_those_of_drawn_codes(self):
        """Codes that are all N(1, 2²): the mean of log N(z; 0, 1) is known."""
        codes = Codes(torch.ones(200, 3), torch.full((200, 3), 2.0))
        assert priors.nats(StandardNormal(3), codes) == pytest.approx(3 * (-0.9189 - 5 / 2), abs=1.5)


class TestStraightLines:
    """Knobs in a world where traits really are a linear function of codes."""

    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4))
    z = rng.standard_normal((20_000, 4)) @ root.T + [1.0, 0.0, -2.0, 3.0]
    slope = rng.standard_normal((4, 2))
    knobs = orders.Knobs(z, 5 + z @ slope)

    def test_every_draw_has_the_traits_that_are_ordered(self):
        wanted = np.array([[6.0, 3.0], [4.0, 9.0]])
        found = 5 + self.knobs.draw(wanted, np.random.default_rng(1)) @ self.slope
        assert found == pytest.approx(wanted, abs=1e-6)

    def test_draws_are_those_of_the_gaussian_given_the_traits(self):
        """Its mean and covariance are known: m + S W (W' S W)^-1 (y - W' m), and S - S W (W' S W)^-1 W' S."""
        mean, S, W = self.z.mean(axis=0), np.cov(self.z.T), self.slope
        gain = S @ W @ np.linalg.inv(W.T @ S @ W)
        wanted = np.array([6.0, 3.0])
        found = self.knobs.draw(np.repeat(wanted[None], 20_000, axis=0), np.random.default_rng(1))
        assert found.mean(axis=0) == pytest.approx(mean + gain @ (wanted - 5 - W.T @ mean), abs=0.05)
        assert np.cov(found.T) == pytest.approx(S - gain @ W.T @ S, abs=0.1)


def test_errors_are_in_deviations_of_each_trait():
    came, wanted = np.array([[1.0, 0.0, 0.0], [3.0, 4.0, 0.0]]), np.zeros((2, 3))
    found = orders.errors("notes-prior", came, wanted, spread=np.array([2, 4, 1]))
    assert found == {"error": 0.5, "brightness": 1.0, "attack": 0.5, "decay": 0.0}


class TestIntervals:
    """A world where one number is code, letter and trait: z from N(0, 1), seen with noise, then changed a bit."""

    def found(self, noise=0.5, change=0.0, draws=3000, residuals=None):
        rng = np.random.default_rng(0)
        z, truth = rng.standard_normal((draws, 1)), rng.standard_normal((400, 1))
        x = truth + noise * rng.standard_normal((400, 1))
        real = truth + change * rng.standard_normal((400, 1))
        residuals = change * rng.standard_normal((500, 1)) if residuals is None else residuals
        sigma = noise / orders.TEMPERATURE**0.5
        shown, letter = (part[:, None].astype(np.float32) for part in (z, x))
        return orders.intervals(shown, z, letter, real, residuals, sigma, np.ones(1), rng)

    def test_nine_of_ten_hold_where_the_weights_are_right(self):
        found = self.found()
        assert found["held"] == pytest.approx(0.9, abs=0.04)
        assert found["width"] == pytest.approx(2 * 1.645 * 0.2**0.5, rel=0.05)  # the posterior is N(0.8 x, 0.2)
        assert found["error"] == pytest.approx(0.2**0.5 * (2 / np.pi) ** 0.5, rel=0.1)

    def test_what_the_decoder_changes_must_be_added(self):
        assert self.found(change=0.8)["held"] == pytest.approx(0.9, abs=0.04)
        assert self.found(change=0.8, residuals=np.zeros((1, 1)))["held"] < 0.75

    def test_few_draws_are_too_sure(self):
        assert self.found(draws=5)["held"] < 0.8 and self.found(draws=5)["effective"] < 5
        assert self.found()["effective"] > 500


SWEEPS = [(settings.PRIORS, priors), (settings.ORDERS, orders)]


@pytest.mark.parametrize("sweep, module", SWEEPS, ids=["priors", "orders"])
def test_the_file_of_a_sweep_has_every_run(sweep, module):
    rows = sweeps.load(sweep.file)
    assert not sweeps.failures(rows)
    found = {(str(row["setting"]), row["seed"]) for row in rows}
    assert found == {(str(setting), seed) for setting in module.SETTINGS for seed in settings.SEEDS}
    made_by = json.loads(sweep.file.read_text(encoding="utf-8"))["made by"]
    assert made_by == sweeps.fingerprint(module.train_one)


def test_tables_have_a_line_for_each_setting():
    rows = sweeps.load(settings.PRIORS.file)
    for of in priors.BENCHES:
        lines = priors.table(rows, of).splitlines()
        assert len(lines) == 1 + sum(setting["of"] == of for setting in priors.SETTINGS) and max(map(len, lines)) <= 120
    for of in orders.OF:
        assert len(orders.table(sweeps.load(settings.ORDERS.file), of).splitlines()) == 3 + len(orders.WEIGHTS)


def test_a_row_of_the_priors_comes_out_again():
    setting = {"of": "names", "prior": "gaussian"}
    again, rows = priors.train_one(setting, 3), sweeps.load(settings.PRIORS.file)
    for figure in ("copies", "bits", "trees", "distinct"):
        assert again[figure] == pytest.approx(sweeps.figures(rows, setting, figure)[3], abs=0.02)


def test_what_the_lesson_says_of_orders_stands_in_the_file():
    rows = sweeps.load(settings.ORDERS.file)
    for of in orders.OF:
        flow = sweeps.figures(rows, {"of": of, "way": "flow"}, "error, w = 0.5")
        assert flow.max() < 0.6 * sweeps.figures(rows, {"of": of, "way": "knobs"}, "error").min()
    held = {way: sweeps.figures(rows, {"of": "one letter", "way": way}, "held, 4000 draws")
            for way in ("normal", "flow")}
    assert 0.87 < held["flow"].mean() < 0.93 and held["normal"].max() < 0.87


def test_what_the_lesson_says_of_priors_stands_in_the_file():
    rows = sweeps.load(settings.PRIORS.file)
    for of in ("typefaces", "instruments"):
        flow = {"of": of, "prior": "flow", "chosen by": "copies"}
        told, real = (sweeps.figures(rows, one, "diversity") for one in (flow, {"of": of, "prior": "codes"}))
        assert told.mean() > 0.95 * real.mean() and sweeps.figures(rows, flow, "trees").mean() < 0.6
        assert sweeps.figures(rows, {"of": of, "prior": "normal"}, "trees").min() > 0.9
    flow = {"of": "typefaces", "prior": "flow", "chosen by": "copies"}
    assert sweeps.figures(rows, flow, "recognised").mean() > 0.985


@pytest.mark.skipif(not (disk.PRETRAINED / "glyphs-prior.json").exists(), reason="not trained yet")
class TestShippedPriors:
    def test_a_prior_of_typefaces_draws_what_is_ordered(self):
        vae, prior = (restore(disk.PRETRAINED / name)[0].eval() for name in ("glyphs-fonts", "glyphs-prior"))
        order = torch.full((24, 5), float("nan"))
        order[:12, 0], order[12:, 0] = 0.10, 0.17  # light, bold
        z = prior.sample(24, order, torch.Generator().manual_seed(0), guidance=0.5)
        weight = np.array([glyphs.measure(x)["weight"] for x in priors.alphabets(vae, z)])
        assert np.abs(weight - order[:, 0].numpy()).mean() < 0.02
