"""Choose and complete: what judges guesses and completions, on cases that are known; and the sweeps of the lesson."""

import itertools
import json

import numpy as np
import pytest
import torch

from helpers.evaluation.two_sample import energy_distance
from helpers.experiments import bayes, few_labels, filling, gap, settings, sweeps
from helpers.scratch import mixture


class TestLabels:
    def test_as_many_of_each_label_are_chosen_and_others_by_each_seed(self):
        y = bayes.real()[0].y
        for n in (10, 50, 250):
            assert (np.bincount(y[bayes.chosen(y, n, 3)]) == n // 10).all()
        assert sorted(bayes.chosen(y, 1250, 0)) == list(range(1250))
        assert set(bayes.chosen(y, 50, 0)) != set(bayes.chosen(y, 50, 1))

    def test_folds_hold_each_label_in_equal_shares(self):
        y = bayes.real()[0].y[bayes.chosen(bayes.real()[0].y, 50, 0)]
        fold = bayes.folds(y)
        assert all((np.bincount(y[fold == k]) == 1).all() for k in range(5))
        assert bayes.folds(np.arange(10)).max() == 0

    def test_guesses_that_are_right_about_themselves_have_the_error_of_the_floor(self):
        """Labels drawn from the probabilities: kills a floor that is 0, or that is drawn from other probabilities."""
        rng = np.random.default_rng(0)
        log_p = bayes.normalised(2 * rng.normal(size=(4000, 10)))
        y = (log_p + rng.gumbel(size=log_p.shape)).argmax(axis=1)
        found = bayes.judge(log_p, y, 0)
        assert found["error"] == pytest.approx(found["floor"], abs=0.015)
        assert found["nats"] == pytest.approx(-(np.exp(log_p) * log_p).sum(axis=1).mean(), abs=0.05)
        assert bayes.judge(3 * log_p, y, 0)["error"] > 0.1

    def test_the_error_is_that_of_the_bins(self):
        sure, right = np.array([0.95, 0.95, 0.55, 0.55]), np.array([1, 0, 1, 1])
        assert bayes.expected_error(sure, right) == pytest.approx((2 * 0.45 + 2 * 0.45) / 4)

    def test_bounds_rise_with_k_and_the_last_is_that_of_all_codes(self):
        log_w = np.random.default_rng(0).normal(size=(3, 256))
        bounds = [bayes.bound(log_w, k) for k in bayes.CODES]
        assert bounds[0] == pytest.approx(log_w.mean(axis=1)) and (np.diff(bounds, axis=0) > 0).all()
        assert bounds[-1] == pytest.approx(np.log(np.exp(log_w).mean(axis=1)))

    def test_pairs_count_what_only_one_gets_right(self):
        a, b = np.log([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]]), np.log([[0.1, 0.9], [0.9, 0.1], [0.7, 0.3]])
        assert bayes.pairs({"a": a, "b": b}, np.array([0, 0, 1])) == {"a > b": pytest.approx(2 / 3), "b > a": 0}


class TestFewLabels:
    def test_a_label_spreads_to_prototypes_that_share_images_and_to_no_others(self):
        r = np.array([[0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
        names = np.zeros((3, 10))
        names[0, 4] = 1.0
        found = few_labels.spread_out(r, names)
        assert found[0, 4] > found[1, 4] > 0.05 and found[2].sum() == 0 and found[:, :4].sum() == 0

    def test_without_a_label_the_bound_is_summed_over_all_of_them(self):
        """With a code that the decoder ignores, bounds are exact: kills a mean over labels, and a lost entropy."""
        torch.manual_seed(0)
        model, x = few_labels.Semi(), (torch.rand(5, 64) < 0.5).float()
        with torch.no_grad():
            model.vae.decoder.net[0].weight[:, : few_labels.CODE] = 0
            last = model.vae.encoder.net[-1]
            last.weight.zero_()
            last.bias.zero_()  # q(z|x, y) is the prior
            each = torch.stack([model.bound(x, torch.full((5,), k), 1.0) for k in range(10)], dim=1)
            model.guess.forward = lambda rows: each
            assert torch.allclose(model.unlabelled(x, 1.0), each.logsumexp(dim=1), atol=1e-4)
            model.guess.forward = lambda rows: torch.zeros(5, 10)
            assert (model.unlabelled(x, 1.0) < each.logsumexp(dim=1)).all()


class TestFillingIn:
    def small(self, monkeypatch):
        """A world of six pixels, half of them known."""
        monkeypatch.setattr(filling, "KNOWN", np.repeat([1.0, 0.0], 3))
        monkeypatch.setattr(filling, "PIXELS", 6)
        monkeypatch.setattr(filling, "DRAWS", 4000)
        p = np.array([[0.9, 0.8, 0.9, 0.1, 0.9, 0.2], [0.1, 0.3, 0.2, 0.8, 0.2, 0.9], [0.7, 0.2, 0.6, 0.5, 0.9, 0.9]])
        fitted = (np.array([0.5, 0.3, 0.2]), p)
        x = np.array([[1.0, 0, 1, 0, 0, 0], [0, 1, 0, 1, 1, 1]])
        return filling.Job(x, x, x, fitted, 0)

    def shares(self, drawn, x):
        """Of each of the eight fillings the share, of the draws for one image."""
        code = drawn.reshape(len(x), -1, 6)[:, :, 3:] @ [4, 2, 1]
        return np.stack([np.bincount(one.astype(int), minlength=8) / len(one) for one in code])

    def counted(self, task):
        images = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
        whole = [np.concatenate([np.tile(x[:3], (8, 1)), images], axis=1) for x in task.digits]
        joint = np.stack([np.exp(-mixture.mixture_nll(one, *task.mixture)) for one in whole])
        return joint / joint.sum(axis=1, keepdims=True)

    def test_exact_draws_are_those_of_a_sum_over_all_images(self, monkeypatch):
        task = self.small(monkeypatch)
        assert self.shares(filling.exact(task, 0), task.digits) == pytest.approx(self.counted(task), abs=0.03)

    def test_the_field_without_known_pixels_draws_the_mixture(self, monkeypatch):
        task = self.small(monkeypatch)
        x = torch.randn(20_000, 6, generator=torch.Generator().manual_seed(0))
        for i in range(100):
            x = x + (filling.expected(x, i / 100, task.mixture) - x) / (1 - i / 100) / 100
        drawn = (x > 0).double().numpy()
        right = mixture.sample_mixture(20_000, *task.mixture, np.random.default_rng(0))
        assert drawn.mean(axis=0) == pytest.approx(right.mean(axis=0), abs=0.02)
        assert np.corrcoef(drawn.T) == pytest.approx(np.corrcoef(right.T), abs=0.04)
        assert energy_distance(drawn[:2000], right[:2000]) < 0.01

    def test_jumps_and_guidance_are_nearer_to_the_conditional_than_replacement(self, monkeypatch):
        task = self.small(monkeypatch)
        truth = self.counted(task)
        apart = {name: np.abs(self.shares(drawn, task.digits) - truth).sum() for name, drawn in
                 {"replaced": filling.replaced(task), "jumps": filling.replaced(task, 3),
                  "guided": filling.guided(task)}.items()}
        assert apart["jumps"] < apart["replaced"] and apart["guided"] < apart["replaced"]

    def test_every_rank_is_as_likely_even_among_equals(self):
        rng = np.random.default_rng(0)
        for most in (2, 50):
            values = rng.integers(0, most, size=(20_000, 4))
            ranks = [filling.rank_of(one[0], one[1:], rng) for one in values]
            assert np.bincount(ranks) / 20_000 == pytest.approx(0.25, abs=0.015)


class TestGaps:
    def test_a_line_goes_between_the_frames_beside_the_gap(self):
        x = np.tile(np.arange(51.0), (1, 2, 1))
        assert gap.line(x, slice(15, 25)).reshape(2, 10)[0] == pytest.approx(np.arange(15, 25))
        assert (gap.line(x, slice(0, 10)) == 10).all()

    def test_only_known_numbers_choose(self):
        shown, x = np.array([[0.0, 5], [1, 0], [3, 3]]), np.array([[1.0, 5]])
        found = gap.chances(x, shown, np.array([True, False]), scale=0.5)
        weight = np.exp(-np.array([1.0, 0, 4]) / 0.5)
        assert found[0] == pytest.approx(weight / weight.sum(), rel=1e-5)


SWEEPS = {"bayes": (settings.BAYES, bayes), "few_labels": (settings.FEW_LABELS, few_labels),
          "filling": (settings.FILLING, filling), "gap": (settings.GAP, gap)}


@pytest.mark.parametrize("name", SWEEPS)
def test_the_file_of_a_sweep_has_every_run(name):
    sweep, module = SWEEPS[name]
    rows = sweeps.load(sweep.file)
    assert not sweeps.failures(rows)
    found = {(str(row["setting"]), row["seed"]) for row in rows}
    assert found == {(str(setting), seed) for setting in module.SETTINGS for seed in sweep.seeds}
    made_by = json.loads(sweep.file.read_text(encoding="utf-8"))["made by"]
    assert made_by == sweeps.fingerprint(module.train_one)


@pytest.mark.parametrize("name, setting", [("bayes", {"labels": 20}), ("few_labels", {"labels": 50})])
def test_a_cheap_row_comes_out_again(name, setting):
    sweep, module = SWEEPS[name]
    again, rows = module.train_one(setting, 2), sweeps.load(sweep.file)
    for figure in again:
        if figure.endswith(("accuracy", "nats")):
            assert again[figure] == pytest.approx(sweeps.figures(rows, setting, figure)[2], abs=0.03), figure


def test_tables_come_out_of_the_files():
    for table in (bayes.table(sweeps.load(settings.BAYES.file)),
                  few_labels.table(sweeps.load(settings.FEW_LABELS.file)),
                  *(filling.table(sweeps.load(settings.FILLING.file), of) for of in filling.PROTOTYPES),
                  gap.table(sweeps.load(settings.GAP.file))):
        assert "nan" not in table and max(map(len, table.splitlines())) <= 120


def test_what_the_lesson_says_of_choosing_stands_in_the_files():
    rows = sweeps.load(settings.BAYES.file)
    for way, rival in (("mixture", "logistic"), ("mixture", "neighbours"), ("masked", "logistic"),
                       ("VAE, k = 256", "logistic")):
        for n in bayes.SIZES if way == "mixture" else bayes.DEEP:
            gain, error = bayes.against(rows, n, way, rival)
            assert abs(gain) < 2 * error
    nats = lambda way, n: sweeps.figures(rows, {"labels": n}, f"{way}, nats")
    others = [way for way in bayes.WAYS if way != "mixture, cooled"]
    assert nats("mixture, cooled", 250).mean() < min(nats(way, 250).mean() for way in others)
    for n, rival in ((20, "logistic"), (50, "logistic"), (100, "logistic"), (1250, "neighbours")):
        apart = nats("mixture, cooled", n) - nats(f"{rival}, cooled", n)
        assert abs(apart.mean()) < 2 * apart.std(ddof=1) / len(apart) ** 0.5
    rows = sweeps.load(settings.FEW_LABELS.file)
    gain, error = bayes.against(rows, 20, "named, spread", "logistic")
    assert gain > 3 * error
    assert nats("named, spread", 100).mean() < nats("spreading", 100).mean()
    assert nats("spreading, cooled", 100).max() < nats("named, spread, cooled", 100).min()
    assert sweeps.figures(rows, {"labels": 20}, "bound, accuracy").mean() < 0.3
    assert sweeps.figures(rows, {"labels": 20}, "bound, with term, accuracy").mean() > 0.55


def test_what_the_lesson_says_of_filling_in_stands_in_the_files():
    rows = sweeps.load(settings.FILLING.file)
    apart = {way: sweeps.figures(rows, {"of": "draws"}, f"{way}, apart").mean() for way in filling.WAYS}
    assert abs(apart["exact"]) < 0.02 < apart["masked"] < apart["jumps"] < apart["replaced"]
    assert apart["guided"] < apart["jumps"]
    assert 0.87 <= sweeps.figures(rows, {"of": "draws"}, "exact, held").mean() <= 0.93
