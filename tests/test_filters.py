"""What may come out: crude names, disguised and harmless; moved copies; drawing again."""

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.data import colours
from helpers.data.dataset import DataError
from helpers.evaluation import crude_names, labels, neighbours
from helpers.evaluation.filters import LOOKALIKES, moved, redraw, rude, spelled

WORDS = crude_names.words(crude_names.WHOLE) + crude_names.words(crude_names.ANYWHERE)


@pytest.mark.parametrize("word", crude_names.words(crude_names.WHOLE))
def test_a_listed_word_is_found_in_every_disguise(word):
    for name in (word, word.upper(), f"very {word} green", word[0] * 3 + word[1:], word + word[-1] * 3, f"{word}brown",
                 f"brown{word}", f"{word}ish", " ".join(word), ".".join(word), f"dark/{word}", f"{word}2", f"{word}!"):
        assert rude(name), name
    starred = word[0] + "*" + word[2:]
    assert rude(starred) or word[1] == word[2], starred  # a star is one letter
    for letter, others in LOOKALIKES.items():
        for other in others[1:]:
            assert rude(f"dark {word.replace(letter, other)}")


@given(st.sampled_from(WORDS), st.lists(st.integers(1, 4), min_size=14, max_size=14), st.randoms())
@settings(max_examples=100, deadline=None)
def test_letters_may_be_repeated_and_look_alike(word, times, random):
    disguised = "".join(
        random.choice(LOOKALIKES.get(letter, letter)) * n for letter, n in zip(word, times, strict=False))
    assert rude(disguised)
    assert re.fullmatch(spelled(word), disguised)


def test_harmless_words_that_hold_crude_ones_pass():
    for name in ("grass green", "peacock", "cocktail", "poodle", "spoon", "assam tea", "scunthorpe", "shiitake",
                 "cumin", "titanium", "class", "pen is blue", "push it", "butter", "as is", "snow", "a", "", "42"):
        assert not rude(name), name


def test_the_survey_and_the_examples_that_the_lesson_counts():
    names, _ = colours.survey()
    refused = [name for name in names if rude(name)]
    assert len(refused) == 28
    assert not any(rude(name) for name in names if re.search("grass|blood|bile|peacock|ugly|nasty", name))
    examples = crude_names.examples()
    assert min(map(len, examples.values())) >= 25
    assert len(set(sum(examples.values(), []))) == sum(map(len, examples.values()))  # noqa: RUF017 - four short lists
    found = np.array([rude(name) for group in examples.values() for name in group])
    truth = np.array([group != "harmless" for group, names in examples.items() for _ in names])
    precision, recall = labels.precision_recall(found, truth)
    assert precision > 0.95 and recall > 0.7
    assert all(map(rude, examples["as people write them"]))


@pytest.mark.parametrize("name", ["poo" * 60 + "x", "a s " * 300, "p" * 500, "brown" * 80, "💩", "\0"])
def test_no_name_takes_long_or_raises(name):
    start = time.perf_counter()
    rude(name)
    assert time.perf_counter() - start < 10  # a pattern that backtracks would take years


def test_moved_images_are_at_every_place_and_mirrored():
    image = np.zeros((1, 64))
    image[0, 9], image[0, 10] = 1, 0.5  # row 1, columns 1 and 2
    found = moved(image)
    assert found.shape == (18, 64)
    assert neighbours.nearest(image, found)[1] == 0
    for shift in (-9, -8, -7, -1, 1, 7, 8, 9):
        assert (found == np.roll(image, shift)).all(axis=1).any()
    assert (found == image.reshape(1, 8, 8)[:, :, ::-1].reshape(1, 64)).all(axis=1).any()
    assert moved(np.ones((3, 25)), reach=2).shape == (3 * 50, 25)
    two = moved(np.stack([np.ones(64), np.zeros(64)]))
    assert set(two.sum(axis=1)) == {0.0, 64.0, 56.0, 49.0}


def test_redraw_gives_the_first_allowed_ones_and_counts():
    rng = np.random.default_rng(0)
    kept, drawn = redraw(lambda n: rng.integers(0, 10, n).tolist(), lambda number: number < 8, 5000)
    assert len(kept) == 5000 and max(kept) < 8
    assert 5000 / drawn == pytest.approx(0.8, abs=0.02)
    counts = np.bincount(kept, minlength=8)  # what is allowed keeps its proportions
    assert counts.min() > 625 - 5 * 25 and counts.max() < 625 + 5 * 25
    numbers = iter(range(100))
    assert redraw(lambda n: [next(numbers) for _ in range(n)], lambda number: number % 2, 3) == ([1, 3, 5], 6)
    assert redraw(lambda n: [], lambda number: True, 0) == ([], 0)
    with pytest.raises(DataError, match="only 0 were allowed"):
        redraw(lambda n: [1] * n, lambda number: False, 3)
