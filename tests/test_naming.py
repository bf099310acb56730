"""Names chosen among many draws: what may be shown, what is worth most, and that the best differ."""

import numpy as np
import pytest
import torch

from helpers import disk
from helpers.build import restore
from helpers.data import colours
from helpers.data.colours import Words, alike, parts
from helpers.data.text import END, PAD, UNKNOWN
from helpers.evaluation.filters import rude
from helpers.evaluation.naming import Judges, Namer, apart, well_made

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
    return Namer(told[0], words, [Judges(words.encode, told[1:], plain), letters], known)


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
    assert namer.worth(names, c) == pytest.approx(np.mean(by_hand, axis=0), abs=1e-4)


def test_where_nothing_may_be_shown_nothing_is(data, namer):
    class Mute:
        def sample(self, n, c, generator, temperature):
            return torch.full((n, 3), END)

    mute = Namer(Mute(), namer.words, namer.judges, ["sea green"])
    assert mute(torch.zeros(2, 3), torch.Generator(), draws=4) == [[], []]
