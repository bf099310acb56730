"""Names chosen among many draws: what may be shown, what is worth most, and that the best differ."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from helpers import disk
from helpers.build import restore
from helpers.data import colours
from helpers.data.colours import Words, alike, parts
from helpers.data.text import END, PAD, UNKNOWN
from helpers.evaluation.filters import rude
from helpers.evaluation.naming import Judges, Meaning, Namer, apart, well_made
from helpers.widgets.colours import patches

FIRST, LAST = {"dark", "sea", "blue"}, {"blue", "green", "sea"}


@pytest.fixture(scope="module")
def data():
    return colours.load()


@pytest.fixture(scope="module")
def namer(data):
    known = data.vocabulary.decode(data.train.x)
    words = Words(known)
    told, plain = (list(restore(disk.PRETRAINED / f"names-{kind}")[0]) for kind in ("words-colour", "words"))
    letters = Judges(data.vocabulary.encode, *(list(restore(disk.PRETRAINED / f"names-{kind}")[0])[:2]
                                               for kind in ("gru-colour", "gru")))
    return Namer(told[0], words, [Judges(words.encode, told[1:], plain), letters], known,
                 Meaning(known, data.train.c))


def test_words_are_numbers_and_back():
    words = Words(["sea green", "blue/green", "dark sea blue"])
    assert words.words == ["blue", "dark", "green", "sea"] and len(words) == 7
    x = words.encode(["sea", "dark blue/green", "pale sea"])
    assert x.tolist() == [[6, END, PAD, PAD], [4, 3, 5, END], [UNKNOWN, 6, END, PAD]]
    assert words.decode(words.encode(["dark sea blue", "sea green"])) == ["dark sea blue", "sea green"]
    assert words.decode(words.encode(["blue/green", "pale sea"])) == ["blue green", "sea"]
    assert parts("blue/green sea") == ["blue", "green", "sea"] and parts("") == []


@pytest.mark.parametrize(("name", "fine"), [
    ("dark sea green", True), ("sea", True), ("dark blue", True), ("", False), ("dark", False), ("green sea", False),
    ("sea sea", False), ("blue bluish", False), ("dark sea dark blue", False), ("pale blue", False),
])
def test_a_name_is_put_together_as_people_do(name, fine):
    assert well_made(name, FIRST, LAST) is fine


def test_the_best_names_differ():
    names, worth = ["dark sea", "dark blue", "pale sky", "hot mud"], [3.0, 2.9, 2.6, 0.0]
    assert apart(names, worth, 3) == [0, 2, 1]
    assert apart(names, worth, 3, price=0.0) == [0, 1, 2]
    assert apart(names, worth, 9, price=10.0) == [0, 2, 3, 1]
    assert apart([], [], 3) == [] and apart(names, worth, 0) == []
    assert apart(["darkish sea", "dark mud", "hot ice"], [3.0, 2.9, 2.6], 2) == [0, 2]  # "dark" begins as "darkish"


def test_what_is_shown_is_new_well_made_and_not_rude(data, namer):
    c = torch.as_tensor(data.valid.c[:20], dtype=torch.float32)
    found = namer(c, torch.Generator().manual_seed(3), draws=60)
    shown = [name for row in found for name in row]
    known = {alike(name) for name in data.vocabulary.decode(data.train.x)}
    assert len(found) == 20 and all(2 <= len(row) == len(set(row)) <= 5 for row in found)
    assert not any(alike(name) in known or rude(name) for name in shown)
    assert all(well_made(name, namer.first, namer.last) for name in shown)
    assert found == namer(c, torch.Generator().manual_seed(3), draws=60)
    assert found != namer(c, torch.Generator().manual_seed(4), draws=60)
    assert not namer.may("") and not namer.may("sea green") and namer.may("dark pumpkin")


def test_the_names_of_the_right_colour_are_worth_more(data, namer):
    c = torch.as_tensor(data.valid.c[:40], dtype=torch.float32)
    names = [row[0] for row in namer(c, torch.Generator().manual_seed(0), n=1, draws=60)]
    assert (namer.worth(names, c) > namer.worth(names, c.roll(7, dims=0))).mean() > 0.85
    by_hand = []
    for encode, told, plain in namer.judges:
        x = torch.as_tensor(encode(names))
        with torch.no_grad():
            by_hand.append(np.mean([m.log_prob(x, c).numpy() for m in told], axis=0)
                           - 0.7 * np.mean([m.log_prob(x).numpy() for m in plain], axis=0))
    meant = namer.meaning.log_density(names, c.numpy())
    assert namer.worth(names, c) == pytest.approx(np.mean(by_hand, axis=0) + meant, abs=1e-4)
    without = Namer(namer.writer, namer.words, namer.judges, ["sea green"])
    assert without.worth(names, c) == pytest.approx(np.mean(by_hand, axis=0), abs=1e-4)


def test_words_mean_colours(data):
    rng = np.random.default_rng(0)
    words, bring = list("abcd"), np.eye(4)[:, :3] - 0.5
    pairs = [(i, j) for i in range(4) for j in range(4)] * 40
    c = np.array([bring[i] + 2 * bring[j] for i, j in pairs]) + rng.normal(scale=(0.1, 0.2, 0.3), size=(640, 3))
    meaning = Meaning([f"{words[i]} {words[j]}".replace(" ", "/" if i else " ") for i, j in pairs], c)
    assert meaning(["a b", "b/a", "d d"]) == pytest.approx(
        np.array([bring[0] + 2 * bring[1], bring[1] + 2 * bring[0], 3 * bring[3]]), abs=0.1)
    assert np.diag(np.linalg.inv(meaning.precision)) ** 0.5 == pytest.approx([0.1, 0.2, 0.3], rel=0.15)
    middle = meaning(["a b"])
    aside = middle + np.array([[0, 0.4, 0]])
    assert meaning.log_density(["a b"], middle) == pytest.approx(0)
    assert meaning.log_density(["a b"], aside) == pytest.approx(-2, rel=0.3)
    real = Meaning(data.vocabulary.decode(data.train.x), data.train.c)
    valid = data.vocabulary.decode(data.valid.x)
    assert np.linalg.norm(real(valid) - data.valid.c, axis=1).mean() < 0.13
    assert real(["", "no such word"]).shape == (2, 3)


def test_where_nothing_may_be_shown_nothing_is(data, namer):
    class Mute:
        def sample(self, n, c, generator, temperature):
            return torch.full((n, 3), END)

    mute = Namer(Mute(), namer.words, namer.judges, ["sea green"])
    assert mute(torch.zeros(2, 3), torch.Generator(), draws=4) == [[], []]


def test_patches_show_names_on_their_colours_and_no_rude_one():
    lab = colours.rgb_to_oklab([[1, 1, 1], [0, 0, 0], [1, 0, 0]])
    fig = patches(lab, ["pale sea green", "poo", ["red", "crap brown"]], columns=2, below=["a", "b", "shit"])
    on = [[text.get_text() for text in ax.texts] for ax in fig.axes]
    assert on == [["pale\nsea green", "a"], ["(rude)", "b"], ["red\n(rude)", "(rude)"], []]
    assert [ax.texts[0].get_color() for ax in fig.axes[:2]] == ["black", "white"]
    assert [ax.patches[0].get_facecolor()[:3] for ax in fig.axes[:3]] == [
        pytest.approx(rgb, abs=1e-4) for rgb in ([1, 1, 1], [0, 0, 0], [1, 0, 0])]
    plt.close(fig)
