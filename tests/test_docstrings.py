"""Sentences of documentation, read from installed packages, and the sweep over how much of them there is."""

import json

import numpy as np
import pytest

from helpers.data import DataError, docstrings
from helpers.experiments import amounts, settings, sweeps

CODE = '''
class One:
    """Hold one thing (or two)."""

    def two(self):
        r"""Return twice
        the thing.

        More."""


def three():
    """Compute `x` + 1 for all."""


def four():
    """Short."""


NO = """Not a docstring of anything."""
'''


@pytest.mark.parametrize("docstring, expected", [
    ("Return the sum. Of all.", "return the sum"),
    ("\n    A title over\n    two lines.\n\n    More text.", "a title over two lines"),
    ("No full stop\n\n    Parameters", "no full stop"),
])
def test_the_first_sentence_is_on_one_line_and_small(docstring, expected):
    assert docstrings.first(docstring) == expected


def test_docstrings_are_read_as_text_from_files_but_for_tests(tmp_path, monkeypatch):
    package = tmp_path / "some_package"
    (package / "tests").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('this must not run')\n", encoding="utf-8")
    (package / "code.py").write_text(CODE, encoding="utf-8")
    (package / "tests" / "test_code.py").write_text('def test():\n    """Test that all is well."""\n', encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert docstrings.sentences(["some_package"]) == ["hold one thing (or two)", "return twice the thing"]


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(DataError, match="package no_such_package is not installed"):
        docstrings.sentences(["no_such_package"])


def test_near_alike_sentences_are_one_group_by_their_beginning_or_their_end():
    lines = ["compute the mean of the given array", "compute the mean of the given tensor", "return the largest thing",
             "a beta continuous random variable", "a chi continuous random variable"]
    group = docstrings.alike(lines)
    assert group[0] == group[1] and group[3] == group[4] and len(set(group)) == 3


def test_splits_share_no_sentence_and_no_group():
    data = docstrings.load(("numpy", "PIL"))
    lines = data.vocabulary.decode(data.x)
    assert len(set(lines)) == len(lines) > 800
    group = docstrings.alike(sorted(lines))
    where = dict(zip(sorted(lines), group, strict=True))
    parts = [{where[lines[i]] for i in data.rows[part]} for part in ("train", "valid", "test")]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]


def test_a_larger_part_holds_the_smaller_and_too_much_is_refused():
    data = docstrings.load(("numpy", "PIL"))
    small, large = docstrings.part(data, 1000), docstrings.part(data, 5000)
    assert 1000 <= (small != 0).sum() < 1000 + data.x.shape[1] and np.array_equal(large[: len(small)], small)
    assert not np.array_equal(docstrings.part(data, 1000, seed=1), small)
    with pytest.raises(DataError, match="10,000,000 are asked for"):
        docstrings.part(data, 10_000_000)


def test_the_file_of_amounts_has_every_run_and_they_can_be_made_again():
    sweep = settings.AMOUNTS
    rows = sweeps.load(sweep.file)
    assert not sweeps.failures(rows)
    assert [(row["setting"], row["seed"]) for row in rows] == [
        (setting, seed) for setting in sweep.settings for seed in sweep.seeds]
    assert json.loads(sweep.file.read_text(encoding="utf-8"))["made by"] == sweeps.fingerprint(amounts.train_one)
    cheap = amounts.setting("n-gram", 10)
    assert amounts.train_one(cheap, 0)["test"] == pytest.approx(sweeps.figures(rows, cheap)[0], rel=0.05)


def test_batches_hold_every_sentence_once_and_little_padding():
    import torch

    x = torch.tensor([[3] * n + [0] * (64 - n) for n in range(1, 65)])
    found = list(amounts.batches(x, np.random.default_rng(0)))
    assert sorted((row != 0).sum().item() for batch in found for row in batch) == list(range(1, 65))
    lengths = [(batch != 0).sum(dim=1) for batch in found]
    assert max(int(size.max() - size.min()) for size in lengths) < 30
