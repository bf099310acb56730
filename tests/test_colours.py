"""Colour names, Oklab and the vocabulary: what comes in is checked, and nothing leaks from test to train."""

from collections import Counter

import numpy as np
import pytest

from helpers.data import DataError, Dataset, colours, text
from helpers.data.colours import Vocabulary, alike, normalise, oklab_to_rgb, rgb_to_oklab
from helpers.data.text import END, PAD, UNKNOWN


@pytest.fixture(scope="module")
def data():
    return colours.load()


def in_words(data, split):
    return data.vocabulary.decode(getattr(data, split).x)


def test_all_949_names_are_there_once(data):
    names = [name for split in ("train", "valid", "test") for name in in_words(data, split)]
    assert len(data) == 949 == len(set(names)) and sorted(names) == sorted(colours.survey()[0])
    assert data.x.shape == (949, 27) and data.x.dtype == np.int64 and data.c.shape == (949, 3)
    assert {"blue", "robin's egg blue", "light greenish blue"} <= set(names)
    assert all(name == normalise(name) and name.isascii() for name in names)
    assert max(map(len, names)) == 26


def test_names_alike_are_never_on_both_sides(data):
    kinds = [{alike(name) for name in in_words(data, split)} for split in ("train", "valid", "test")]
    assert sum(map(len, kinds)) == len(set.union(*kinds))
    assert alike("blue/green") == alike("blue green") == alike("bluegreen") != alike("green blue")
    assert alike("gray") == alike("grey")
    assert 125 < len(data.test) < 150 and 125 < len(data.valid) < 150


def test_the_colour_goes_with_its_name(data):
    names, rgb = colours.survey()
    for split in ("train", "test"):
        part = getattr(data, split)
        for name, lab in zip(data.vocabulary.decode(part.x), part.c):
            assert np.allclose(oklab_to_rgb(lab), rgb[names.index(name)], atol=1e-7)


def test_the_same_seed_gives_the_same_split(data):
    assert np.array_equal(colours.load().test.index, data.test.index)
    assert not np.array_equal(colours.load(seed=1).test.index, data.test.index)


def test_oklab_of_known_colours():
    known = {  # Ottosson's own implementation, in double precision
        (1, 1, 1): (1, 0, 0),
        (0, 0, 0): (0, 0, 0),
        (1, 0, 0): (0.627955, 0.224863, 0.125846),
        (0, 1, 0): (0.866440, -0.233888, 0.179498),
        (0, 0, 1): (0.452014, -0.032457, -0.311528),
    }
    assert np.allclose(rgb_to_oklab(list(known)), list(known.values()), atol=2e-6)
    greys = rgb_to_oklab(np.linspace(0, 1, 11)[:, None].repeat(3, axis=1))
    assert np.abs(greys[:, 1:]).max() < 1e-6 and (np.diff(greys[:, 0]) > 0).all()


def test_oklab_there_and_back():
    rgb = np.random.default_rng(0).random((5, 200, 3))
    assert np.allclose(oklab_to_rgb(rgb_to_oklab(rgb), clip=False), rgb, atol=1e-7)
    lab = np.random.default_rng(1).normal([0.6, 0, 0], 0.3, (500, 3))
    shown = oklab_to_rgb(lab)
    assert shown.min() >= 0 and shown.max() <= 1 and (oklab_to_rgb(lab, clip=False) > 1).any()
    with pytest.raises(DataError, match="three numbers"):
        rgb_to_oklab([0.5, 0.5])


def test_normalise():
    assert normalise("  Café\tau  LAIT ") == "cafe au lait"


# --- vocabulary ----------------------------------------------------------------------------------------


def test_encode_ends_and_pads_and_decode_undoes_it():
    vocabulary = Vocabulary.fit(["ab", "c"])
    x = vocabulary.encode(["abc", "", "b"], length=6)
    assert x.tolist() == [[3, 4, 5, END, PAD, PAD], [END, PAD, PAD, PAD, PAD, PAD], [4, END, PAD, PAD, PAD, PAD]]
    assert x.dtype == np.int64 and vocabulary.encode(["abc", "b"]).shape == (2, 4)
    assert vocabulary.decode(x) == ["abc", "", "b"] and vocabulary.decode(x[0]) == "abc"
    assert vocabulary.decode(np.array([3, 4])) == "ab"  # a text that was cut off has no end
    assert len(vocabulary) == 6 == len(vocabulary.names()) and text.lengths(x).tolist() == [4, 1, 2]


def test_the_vocabulary_is_that_of_train(data):
    assert set("".join(in_words(data, "train"))) == set(data.vocabulary.characters)


def test_unknown_characters_are_counted_and_said(capsys):
    vocabulary = Vocabulary.fit(["ab"])
    x = vocabulary.encode(["aéb", "éß"])
    assert x.tolist() == [[3, UNKNOWN, 4, END], [UNKNOWN, UNKNOWN, END, PAD]]
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "3 characters are not in the vocabulary" in out and "'é' (2×), 'ß' (1×)" in out
    assert vocabulary.decode(x) == ["a�b", "��"] and vocabulary.unknown(["aéb"]) == Counter("é")
    vocabulary.encode(["é"], quiet=True)
    vocabulary.encode(["ab"])
    assert capsys.readouterr().out == ""
    vocabulary.encode(["0123456789"])
    assert "and 5 others" in capsys.readouterr().out


def test_a_character_that_only_test_has_is_said_by_describe(capsys):
    texts = [f"a{'b' * n}" for n in range(30)]
    data = text.make("mine", texts)
    row = data.test.index[0]
    texts[row] = texts[row] + "é"
    data = text.make("mine", texts)
    assert "é" not in data.vocabulary.characters
    data.describe()
    assert "test: 1 character is not in the vocabulary and counts as unknown: 'é' (1×)" in capsys.readouterr().out


NAMES = [f"name {n}" for n in range(30)]
BROKEN = {
    "none": (lambda: Vocabulary.fit([]), "found no texts"),
    "none to encode": (lambda: Vocabulary.fit(["a"]).encode([]), "found no texts"),
    "one text": (lambda: Vocabulary.fit(["a"]).encode("abc"), "found one text, not several"),
    "too long": (lambda: Vocabulary.fit(["a"]).encode(["a", "aaa"], 3), "text 1 has 3 characters"),
    "no data": (lambda: text.make("mine", []), "mine: found no texts"),
    "numbers": (lambda: text.make("mine", ["a", 3]), "item 1 is of type int"),
    "an empty text": (lambda: text.make("mine", ["a", "", ""]), "2 of 3 texts are empty, the first in row 1"),
    "an endless text": (lambda: text.make("mine", ["a" * 5000, "b"]), "text 0 has 5,000 characters"),
    "too few": (lambda: text.make("mine", ["a", "b"]), "would be empty"),
    "all equal": (lambda: text.make("mine", ["a"] * 50), "would be empty"),
    "condition too short": (lambda: text.make("mine", NAMES, np.ones((3, 2))), r"c has shape \(3, 2\)"),
    "condition NaN": (lambda: text.make("mine", NAMES, np.full((30, 2), np.nan)), "condition of 30 of 30 examples"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_used_gets_one_clear_sentence(case):
    make, message = BROKEN[case]
    with pytest.raises(DataError, match=message) as caught:
        make()
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value) and len(str(caught.value)) < 200


# --- data sets of texts --------------------------------------------------------------------------------


def test_equal_texts_are_removed_before_the_split():
    rng = np.random.default_rng(0)
    texts = [NAMES[i] for i in rng.integers(0, 30, 200)]
    data = text.make("mine", texts, rng.random((200, 2)))
    names = [name for split in ("train", "valid", "test") for name in in_words(data, split)]
    assert data.found == 200 and len(names) == len(set(names)) == len(set(texts))
    for row, c in zip(data.vocabulary.decode(data.x), data.c):
        assert names.count(row) == 1 and c.shape == (2,)


def test_a_real_condition_is_kept_and_described(capsys):
    c = np.random.default_rng(0).random((40, 2))
    data = Dataset.make("toy", np.arange(80.0).reshape(40, 2), c)
    assert np.array_equal(data.test.c, c[data.test.index])
    data.describe()
    out = capsys.readouterr().out
    assert "condition: 2 real numbers each" in out and "test          6" in out
    with pytest.raises(DataError, match="names are for labels"):
        Dataset.make("toy", np.arange(80.0).reshape(40, 2), c, names=("a",))
    with pytest.raises(DataError, match="need a group and a label"):
        Dataset.make("toy", np.arange(80.0).reshape(40, 2), c, group=np.arange(40) // 4).sets("train")


def test_colours_are_described(data, capsys):
    data.describe()
    out = capsys.readouterr().out
    for part in ("949 examples", "3 real numbers", "3 to 26 characters", "29 characters of train", "XKCD", "CC0"):
        assert part in out
