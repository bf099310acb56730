"""The sweeps of Put it to work: warn, teach, measure: alarms, teachers, and a posterior with a known answer."""

import json

import numpy as np
import pytest
import torch

from helpers.experiments import alarm, inverse, settings, sweeps, teaching

SWEEPS = [(settings.ALARM, alarm), (settings.TEACHING, teaching), (settings.INVERSE, inverse)]


@pytest.mark.parametrize("sweep, module", SWEEPS, ids=["alarm", "teaching", "inverse"])
def test_the_file_of_a_sweep_has_every_run(sweep, module):
    rows = sweeps.load(sweep.file)
    assert not sweeps.failures(rows)
    found = {(str(row["setting"]), row["seed"]) for row in rows}
    assert found >= {(str(setting), seed) for setting in module.SETTINGS for seed in settings.SEEDS}
    made_by = json.loads(sweep.file.read_text(encoding="utf-8"))["made by"]
    assert made_by == sweeps.fingerprint(module.train_one)


def test_tables_come_out_of_the_files():
    rows = sweeps.load(settings.ALARM.file)
    for setting in alarm.SETTINGS:
        assert len(alarm.table(rows, setting).splitlines()) == 1 + len(alarm.SCORES)
    assert len(alarm.promises(rows, alarm.SETTINGS[1]).splitlines()) == 2 + len(alarm.SCORES)
    assert len(teaching.table(sweeps.load(settings.TEACHING.file)).splitlines()) == 1 + len(teaching.WAYS)
    assert len(inverse.table(sweeps.load(settings.INVERSE.file)).splitlines()) == 1 + len(inverse.WAYS)


class TestAlarm:
    def test_a_row_comes_out_again(self):
        setting, rows = alarm.SETTINGS[0], sweeps.load(settings.ALARM.file)
        again = alarm.train_one(setting, 2)
        for figure in ("-log p, mirrored", "two-sided, blank", "neighbour, mirrored", "isolation, mirrored"):
            assert again[figure] == pytest.approx(sweeps.figures(rows, setting, figure)[2], abs=0.02)

    @pytest.mark.parametrize("n, place", [(19, 19), (99, 95), (399, 380), (10, 10)])
    def test_the_threshold_is_the_score_of_its_rank(self, n, place):
        """Kills: a quantile without the new example, (1 - promised) N."""
        assert alarm.threshold(np.random.default_rng(0).permutation(n) + 1.0) == place

    def test_a_threshold_keeps_its_promise_for_the_same_source(self):
        rng = np.random.default_rng(0)
        rings = [(rng.normal(size=50) > alarm.threshold(rng.normal(size=59), 0.1)).mean() for _ in range(400)]
        assert np.mean(rings) == pytest.approx(0.1, abs=0.012)

    def test_the_length_of_an_outline_is_exact(self):
        x = np.zeros((2, 14, 14), np.float32)
        x[0, 3:6, 4:9] = 1  # a rectangle of 3 by 5: outline 16
        assert alarm.outline(x.reshape(2, 196)).tolist() == [16, 0]

    def test_grey_is_the_mean_of_four_pixels(self):
        fields = np.full((1, 28, 28), -2.0)
        fields[0, 0, 0] = 2.0
        assert alarm.halved(fields)[0, :2].tolist() == [0.25, 0]


class TestTeaching:
    def test_examples_are_training_examples_in_equal_shares(self):
        data = teaching.digits.load(binary=False)
        x, c = teaching.some(data, 50, seed=3)
        assert torch.bincount(c).tolist() == [5] * 10
        train = torch.tensor(data.x[data.rows["train"]]).float()
        assert (torch.cdist(x, train).min(dim=1).values < 1e-3).all() and len(torch.unique(x, dim=0)) == 50
        assert torch.equal(teaching.some(data, 100, seed=3)[0][:50], x)  # more examples hold the fewer

    def test_gaussians_have_the_means_of_their_labels(self):
        x, c = teaching.some(teaching.digits.load(binary=False), 1250, seed=0)
        made = teaching.gaussians(x, c, torch.arange(10).repeat(300))
        for label in (0, 7):
            assert made[label::10].mean(dim=0) == pytest.approx(x[c == label].mean(dim=0), abs=0.08)

    def test_moving_keeps_most_of_the_ink(self):
        torch.manual_seed(0)
        x, _ = teaching.some(teaching.digits.load(binary=False), 100, seed=0)
        moved = teaching.moved(x)
        assert moved.shape == x.shape and (moved - x).abs().max() > 0.3
        assert moved.sum() / x.sum() == pytest.approx(0.93, abs=0.1)

    def test_gains_are_paired(self):
        rows = [{"setting": {"n": n}, "seed": s, "figures": {"real": 0.5 + 0.1 * s, "both": 0.51 + 0.1 * s}}
                for n in teaching.SIZES for s in range(3)]
        assert all(mean == pytest.approx(1) and error == pytest.approx(0, abs=1e-9)
                   for mean, error in teaching.gains(rows, "both"))


class TestInverse:
    def test_ranks_and_unevenness(self):
        draws = np.arange(9.0)[:, None, None] + np.zeros((9, 1, 2))
        assert inverse.ranks(draws, np.array([[2.5, 100.0]])).tolist() == [[3, 9]]
        assert inverse.unevenness(np.arange(100), 99) == 0
        assert inverse.unevenness(np.zeros(100, int), 99) == pytest.approx(100)  # (90² + 9 · 10²) / 10 / 9

    def test_right_draws_hold_and_are_even(self):
        rng = np.random.default_rng(0)
        found = inverse.judged(rng.random((99, 4000, 4)), rng.random((4000, 4)))
        assert found["held"] == pytest.approx(0.89, abs=0.01) and found["uneven"] < 2
        assert found["crps"] == pytest.approx(1 / 6, abs=0.005)  # of an even guess and truth: 1/3 − 1/6
        narrow = inverse.judged(0.5 + 0.2 * (rng.random((99, 4000, 4)) - 0.5), rng.random((4000, 4)))
        assert narrow["held"] < 0.3 and narrow["uneven"] > 20

    def test_spectra_add_up(self):
        rng = np.random.default_rng(0)
        a, b = rng.standard_normal((2, 3, inverse.SAMPLES)).astype(np.float32)
        assert (inverse.spectra(a) + inverse.spectra(b) - inverse.spectra(a + b)).abs().max() < 1e-5

    def test_the_posterior_of_the_twin_is_exact(self):
        """Against importance weights: the mean of the prior's draws, weighed by the likelihood."""
        world, gain, covariance = inverse.twin(1)
        z, clean = world.z["train"], world.clean["train"]
        A = torch.linalg.lstsq(z, clean).solution.T.double()  # clean = z A'
        exact = torch.linalg.inv(torch.eye(4).double() + A.T @ A / 0.49)
        assert covariance.numpy() == pytest.approx(exact.numpy(), abs=1e-4)
        assert gain.numpy() == pytest.approx((exact @ A.T / 0.49).numpy(), abs=1e-4)

    def test_what_the_lesson_says_stands_in_the_file(self):
        rows = sweeps.load(settings.INVERSE.file)
        flow, twin = {"of": "notes", "way": "flow"}, inverse.SETTINGS[-1]
        assert 0.87 < sweeps.figures(rows, flow, "held").mean() < 0.93
        assert sweeps.figures(rows, twin, "told").max() < 0.6 and sweeps.figures(rows, twin, "kl").max() < 0.25
        for rival in ("regression", "nearest", "prior"):
            assert (sweeps.figures(rows, flow, "crps") < sweeps.figures(rows, {**flow, "way": rival}, "crps")).all()
