"""Sweeps: the same rows however they are run, none lost, none run twice, and each failure told."""

import json
import math
import os
import signal
import subprocess
import sys

import joblib
import pytest
import torch

from helpers.experiments import copying, knobs, sweeps
from helpers.experiments import settings as shipped
from helpers.experiments.knobs import BASE, build, draw_rows, learn, rate, train_one

CHEAP = BASE | dict(steps=40, width=16)


def square(setting, seed):
    """Stands for a training: quick, and different for every run."""
    return {"test": setting["a"] ** 2 + seed, "valid": 1.0}


def moody(setting, seed):
    """Fails for some settings."""
    if setting["a"] < 0:
        raise ValueError(f"a is {setting['a']}")
    return {"test": float(setting["a"])}


def timed(setting, seed):
    return {"test": 1.0, "seconds": 12.5}


def recorded(setting, seed):
    """Leaves a line for every call in the file that the setting names."""
    with open(setting["log"], "a") as log:
        log.write(f"{setting['a']} {seed}\n")
    if setting["a"] == 99:
        raise KeyboardInterrupt
    return {"test": setting["a"]}


def bare(rows):
    """Rows without their seconds, which no two runs share."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


# --- grid --------------------------------------------------------------------------------------------


def test_grid_turns_the_knobs_and_nothing_else():
    base = dict(a=1, b=2)
    assert sweeps.grid(base) == [base]
    assert sweeps.grid(base, a=[1, 5]) == [dict(a=1, b=2), dict(a=5, b=2)]
    both = sweeps.grid(base, a=[1, 5], b=[7, 8, 9])
    assert len(both) == 6 and {(s["a"], s["b"]) for s in both} == {(a, b) for a in (1, 5) for b in (7, 8, 9)}
    assert base == dict(a=1, b=2)
    with pytest.raises(sweeps.SweepError, match="no knob 'c'; base has a, b"):
        sweeps.grid(base, c=[1])


# --- run ---------------------------------------------------------------------------------------------


def test_rows_come_in_the_order_of_settings_and_seeds():
    settings = sweeps.grid(dict(a=0), a=[3, 1, 2])
    rows = sweeps.run(square, settings, [4, 0])
    assert [(row["setting"]["a"], row["seed"]) for row in rows] == [(a, s) for a in (3, 1, 2) for s in (4, 0)]
    assert [row["figures"]["test"] for row in rows] == [a * a + s for a in (3, 1, 2) for s in (4, 0)]
    assert all(row["seconds"] >= 0 for row in rows)


def test_order_does_not_matter():
    settings = sweeps.grid(CHEAP, code=[2, 4])
    forth = sweeps.run(train_one, settings, [0, 1])
    torch.randn(17)  # nor what the process has done before
    back = sweeps.run(train_one, settings[::-1], [1, 0])
    key = lambda row: (row["setting"]["code"], row["seed"])
    assert bare(sorted(forth, key=key)) == bare(sorted(back, key=key))


def test_two_jobs_give_exactly_what_one_gives():
    settings = sweeps.grid(CHEAP, optimiser=["sgd", "adam"])
    one = sweeps.run(train_one, settings, [0, 1], jobs=1)
    two = sweeps.run(train_one, settings, [0, 1], jobs=2)
    assert bare(one) == bare(two)
    assert len({row["figures"]["test"] for row in one}) == 4


def test_equal_settings_are_run_once(tmp_path):
    log = tmp_path / "log"
    rows = sweeps.run(recorded, [dict(a=1, log=str(log)), dict(log=str(log), a=1)], [0])
    assert len(rows) == 1 and log.read_text() == "1 0\n"


def test_a_figure_called_seconds_takes_the_place_of_the_measured_one():
    [row] = sweeps.run(timed, [dict(a=1)], [0])
    assert row["seconds"] == 12.5 and row["figures"] == {"test": 1.0}


def test_one_failure_costs_no_other_run_and_says_why():
    rows = sweeps.run(moody, sweeps.grid(dict(a=0), a=[1, -2, 3]), [0, 1], jobs=2, backend="threading")
    assert [row.get("figures", {}).get("test") for row in rows] == [1, 1, None, None, 3, 3]
    assert all(row["failed"] == "ValueError: a is -2" and "seconds" not in row for row in rows[2:4])
    assert sweeps.failures(rows)[0] == "{'a': -2}, seed 0: ValueError: a is -2"
    assert len(sweeps.failures(rows)) == 2


def test_a_training_that_diverges_is_a_failure():
    setting = CHEAP | dict(optimiser="sgd", lr=1e3)
    [row] = sweeps.run(train_one, [setting], [0])
    assert "FloatingPointError: the loss is " in row["failed"]


# --- the file ----------------------------------------------------------------------------------------


def test_what_is_in_the_file_is_not_run_again(tmp_path):
    log, file = tmp_path / "log", tmp_path / "results.json"
    base = dict(a=0, log=str(log))
    sweeps.run(recorded, sweeps.grid(base, a=[1, 2]), [0], file=file)
    rows = sweeps.run(recorded, sweeps.grid(base, a=[3, 2]), [0, 1], file=file)
    assert sorted(log.read_text().split("\n")[:-1]) == ["1 0", "2 0", "2 1", "3 0", "3 1"]
    assert [row["setting"]["a"] for row in rows] == [3, 3, 2, 2]
    assert len(sweeps.load(file)) == 5  # the row of a = 1 stays


def test_an_interrupted_sweep_goes_on(tmp_path):
    log, file = tmp_path / "log", tmp_path / "results.json"
    base = dict(a=0, log=str(log))
    with pytest.raises(KeyboardInterrupt):
        sweeps.run(recorded, sweeps.grid(base, a=[1, 99, 2]), [0], file=file)
    assert [row["setting"]["a"] for row in sweeps.load(file)] == [1]
    sweeps.run(recorded, sweeps.grid(base, a=[1, 2]), [0], file=file)
    assert log.read_text().count("1 0") == 1


def test_a_killed_sweep_leaves_a_whole_file(tmp_path):
    file = tmp_path / "results.json"
    script = tmp_path / "endless.py"
    script.write_text(
        "from helpers.experiments import sweeps\n"
        "def count(setting, seed):\n    print(seed, flush=True)\n    return {'n': seed}\n"
        f"sweeps.run(count, [dict(a=1)], range(20000), file={str(file)!r})\n"
    )
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, env=os.environ | paths, stdout=subprocess.PIPE, text=True) as process:
        begun = [process.stdout.readline() for _ in range(20)]  # the twentieth run begins: 19 are written, or nearly
        process.send_signal(signal.SIGKILL)
    assert begun[-1] == "19\n"
    rows = sweeps.load(file)
    assert len(rows) > 10 and [row["figures"]["n"] for row in rows] == list(range(len(rows)))


def test_a_failed_run_is_tried_again(tmp_path):
    file = tmp_path / "results.json"
    rows = sweeps.run(moody, [dict(a=-1)], [0], file=file)
    assert "failed" in rows[0] and "failed" in sweeps.load(file)[0]
    text = file.read_text().replace(sweeps.fingerprint(moody), sweeps.fingerprint(square))
    file.write_text(text)
    assert sweeps.run(square, [dict(a=-1)], [0], file=file)[0]["figures"]["test"] == 1
    assert len(sweeps.load(file)) == 1


def test_results_of_other_code_are_refused(tmp_path):
    file = tmp_path / "results.json"
    sweeps.run(moody, [dict(a=1)], [0], file=file)
    before = file.read_bytes()
    with pytest.raises(sweeps.SweepError, match="another version of square, and is left as it is; give another name"):
        sweeps.run(square, [dict(a=1)], [0], file=file)
    assert file.read_bytes() == before


NOT_OURS = ["", "{", "[]", '{"rows": [{"a": 1}], "made by": "x"}', '{"rows": []}', '{"rows": [], "made by": 3}',
            '{"rows": [{"setting": {}, "seed": 0}], "made by": "x"}', "\udcff"]


@pytest.mark.parametrize("text", NOT_OURS)
@pytest.mark.parametrize("do", [lambda f: sweeps.run(square, [dict(a=1)], [0], file=f), sweeps.remove, sweeps.load])
def test_a_file_that_is_none_of_ours_is_left_as_it_is(tmp_path, text, do):
    file = tmp_path / "results.json"
    before = text.encode("utf-8", "surrogateescape")
    file.write_bytes(before)
    message = r"results\.json is not a file of sweep results, and is left as it is; give another name\.$"
    with pytest.raises(sweeps.SweepError, match=message):
        do(file)
    assert file.read_bytes() == before


def test_a_link_that_leads_nowhere_is_not_replaced(tmp_path):
    file = tmp_path / "results.json"
    file.symlink_to(tmp_path / "elsewhere.json")
    for do in (lambda: sweeps.run(square, [dict(a=1)], [0], file=file), lambda: sweeps.remove(file)):
        with pytest.raises(sweeps.SweepError, match="cannot be read"):
            do()
    assert file.is_symlink()


def test_our_own_file_can_be_removed(tmp_path):
    file = tmp_path / "results.json"
    sweeps.remove(file)  # there is none, and nothing to do
    sweeps.run(moody, [dict(a=1), dict(a=-1)], [0], file=file)
    sweeps.remove(file)
    assert not list(tmp_path.iterdir())


def test_a_missing_file():
    with pytest.raises(sweeps.SweepError, match=r"nowhere\.json cannot be read"):
        sweeps.load("nowhere.json")


def test_the_fingerprint_sees_code_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    body = "def g({x}):\n    {doc}return x {op} 1\n\n\ndef f(setting, seed):\n    return g(seed)  # {note}\n"
    variants = [("+", "", "a", "x"), ("+", "'doc'\n    ", "b", "x"), ("+", "", "a", "x: int"), ("-", "", "a", "x")]
    prints = []
    for i, (op, doc, note, x) in enumerate(variants):
        (tmp_path / f"variant{i}.py").write_text(body.format(op=op, doc=doc, note=note, x=x))
        prints.append(sweeps.fingerprint(__import__(f"variant{i}").f))
    assert prints[0] == prints[1] == prints[2] != prints[3]


# --- reading -----------------------------------------------------------------------------------------


def test_figures_are_in_the_order_of_seeds_and_failures_are_nan():
    rows = sweeps.run(square, [dict(a=2)], [3, 1])
    assert sweeps.figures(rows, dict(a=2)).tolist() == [5, 7]
    assert sweeps.figures(rows, dict(a=2), "seconds").shape == (2,)
    failed = sweeps.run(moody, [dict(a=-2)], [0])
    assert sweeps.figures(failed, dict(a=-2)).shape == (1,) and not sweeps.figures(failed, dict(a=-2)) > 0
    with pytest.raises(sweeps.SweepError, match="No run has the setting"):
        sweeps.figures(rows, dict(a=3))


# --- the knobs ---------------------------------------------------------------------------------------


def test_batches_visit_every_row_equally_often():
    rows = draw_rows(30, 12)
    seen = torch.cat([next(rows) for _ in range(5)])
    assert torch.bincount(seen, minlength=30).tolist() == [2] * 30
    assert len(next(draw_rows(5, 12))) == 12  # batches may be larger than the data


def test_schedules():
    assert rate("constant", 0.1, 0.7) == 0.1
    assert rate("cosine", 0.1, 0.0) == 0.1 and rate("cosine", 0.1, 0.5) == pytest.approx(0.05)
    assert rate("cosine", 0.1, 1.0) == pytest.approx(0)


@pytest.mark.parametrize("steps", [20, 30, 110])
def test_every_setting_gets_twenty_looks_at_validation(steps, monkeypatch):
    model, looks = build(2, 8, 1), []
    elbo = model.elbo

    def counted(x, *args, **kwargs):
        looks.extend([1] * ("samples" in kwargs))
        return elbo(x, *args, **kwargs)

    monkeypatch.setattr(model, "elbo", counted)
    x = (torch.rand(40, 64) < 0.5).float()
    settings = type("S", (), BASE | dict(steps=steps, batch_size=8))
    learn(model, x, x[:10], settings)
    assert len(looks) == 20


# --- on a cluster ------------------------------------------------------------------------------------


def test_the_same_sweep_on_a_cluster(tmp_path):
    """One changed line, and exactly the same rows. The cluster: two processes that talk over loopback alone."""
    distributed = pytest.importorskip("distributed")
    settings = sweeps.grid(CHEAP, code=[2, 4]) + [CHEAP | dict(optimiser="sgd", lr=1e3)]
    here = sweeps.run(train_one, settings, [0, 1])
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, local_directory=str(tmp_path)
    )
    with cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        there = sweeps.run(train_one, settings, [0, 1], jobs=-1, file=tmp_path / "results.json")
    assert bare(here) == bare(there)
    assert bare(sweeps.load(tmp_path / "results.json")) == bare(here)
    assert len(sweeps.failures(there)) == 2


# --- what ships --------------------------------------------------------------------------------------


def test_the_shipped_file_has_every_run_of_the_recipe_and_no_other():
    sweep = shipped.KNOBS
    rows = sweeps.load(sweep.file)
    wanted = [(setting, seed) for setting in shipped.settings() for seed in shipped.SEEDS]
    assert [(row["setting"], row["seed"]) for row in rows] == wanted
    assert json.loads(sweep.file.read_text(encoding="utf-8"))["made by"] == sweeps.fingerprint(train_one)
    assert sweep.train_one is train_one and sweep.settings == shipped.settings()
    assert all("figures" in row or row["setting"]["optimiser"] == "sgd" for row in rows)  # only SGD diverges


@pytest.mark.parametrize("seed", [0, 3])
def test_a_shipped_row_can_be_computed_again(seed):
    setting = BASE | dict(batch_size=200, steps=250, lr=1e-2)
    [row] = [r for r in sweeps.load(shipped.KNOBS.file) if (r["setting"], r["seed"]) == (setting, seed)]
    found = train_one(row["setting"], seed)
    assert row["figures"] == pytest.approx({k: v for k, v in found.items() if k != "seconds"}, abs=0.15)


def test_the_file_of_copying_has_every_run_and_they_can_be_made_again():
    sweep = shipped.COPYING
    rows = sweeps.load(sweep.file)
    assert not sweeps.failures(rows)
    wanted = [(setting, seed) for setting in sweep.settings for seed in sweep.seeds]
    assert [(row["setting"], row["seed"]) for row in rows] == wanted
    assert json.loads(sweep.file.read_text(encoding="utf-8"))["made by"] == sweeps.fingerprint(copying.train_one)
    cheap = {"n": 100, "steps": copying.SHORT}
    again = copying.train_one(cheap, 0)
    for name, within in (("copied", 0.02), ("nearest", 0.05), ("held out", 1e-3)):
        assert again[name] == pytest.approx(sweeps.figures(rows, cheap, name)[0], abs=within)


def test_copies_are_counted_and_halves_have_no_digit_in_common():
    x, c = copying.some(100)
    other, _ = copying.some(100, 10)
    assert torch.bincount(c).tolist() == [10] * 10 and torch.cdist(x, other).min() > 0
    assert copying.copied(x, x) == 1 and copying.copied(other, x) < 0.05
    assert copying.copied(0.99 * x + 0.01 * x.roll(1, 0), x) == 1
    assert copying.copied((x + x.roll(1, 0)) / 2, x) < 0.05  # between two digits: a copy of neither
    with pytest.raises(ValueError, match="no 100 digits of each label from number 50 on"):
        copying.some(1000, 50)


def test_distances_of_one_label_are_not_those_of_others():
    a = torch.arange(copying.DRAWN).float()[:, None] % copying.LABELS * torch.ones(1, 64)
    assert copying.apart(a, a) == 0 and copying.apart(a, a, shift=1) == 0
    assert copying.apart(a, a + 1) == pytest.approx(8)


# --- race --------------------------------------------------------------------------------------------


class Course:
    """Stands for train_one and for the clock: a training takes two seconds; its bound is a, cut off, plus luck."""

    def __init__(self, monkeypatch):
        self.now, self.ran = 0.0, []
        monkeypatch.setattr(knobs.time, "process_time", lambda: self.now)
        monkeypatch.setattr(knobs, "train_one", self.train_one)
        monkeypatch.setattr(sweeps, "fingerprint", lambda function: "of a test")

    def train_one(self, setting, seed):
        self.now += 2
        self.ran.append((setting["a"], seed))
        if setting["a"] == "diverges":
            raise FloatingPointError("the loss is nan")
        return {"valid": int(setting["a"]) + 0.3 * ((7 * seed + int(10 * setting["a"])) % 5), "test": 0.0}


def test_a_race_drops_what_is_behind_from_the_third_seed_on(monkeypatch):
    course = Course(monkeypatch)
    rows = knobs.race(dict(a=0, b=1), "a", [3, 1, 2], 1000)
    assert course.ran == [(a, seed) for seed in range(3) for a in (3, 1, 2)]  # decided after three seeds
    assert [(row["setting"]["a"], row["seed"]) for row in rows] == course.ran


def test_a_race_of_equals_ends_with_the_time_and_begins_no_round_that_it_cannot_end(monkeypatch):
    course = Course(monkeypatch)
    knobs.race(dict(a=0), "a", [1, 1.1], 17)  # rounds of four seconds
    assert len(course.ran) == 8 and course.now == 16


def test_a_race_has_one_round_whatever_the_time(monkeypatch):
    course = Course(monkeypatch)
    assert len(knobs.race(dict(a=0), "a", [1, 2], 0)) == 2 and course.now == 4


def test_in_a_race_a_failed_run_never_leads(monkeypatch):
    course = Course(monkeypatch)
    rows = knobs.race(dict(a=0), "a", ["diverges", 5], 1000)
    assert len(sweeps.failures(rows)) == 3 and course.ran[-1] == (5, 2)
    assert len(knobs.race(dict(a=0), "a", ["diverges"], 1000)) == 1
    with pytest.raises(sweeps.SweepError, match="no knob 'lr'"):
        knobs.race(dict(a=0), "lr", [1], 1)


def test_equals_leave_a_race_as_seldom_with_three_seeds_as_with_five():
    rng = torch.Generator().manual_seed(0)
    for n in (3, 5, 8):
        luck = torch.randn(4000, n, generator=rng).numpy()
        left = sum(not knobs.may_win(differences, 0 * differences) for differences in luck) / len(luck)
        assert 0.013 < left < 0.027  # 2 of 100: the 4 of both sides, of which the worse one leaves
    assert knobs.may_win([3.0, 5.0], [1.0, 1.0]) and not knobs.may_win([3.0, math.nan, 3.1], [4.0, 4.0, 4.0])
