"""The plain model of text: exact probabilities, honest counts while it trains, never worse than counting."""

import itertools
import json
import math
import random

import numpy as np
import pytest
import torch

from helpers import training
from helpers.build import assemble, build, family
from helpers.data import text
from helpers.data.text import END, PAD, UNKNOWN
from helpers.models import contract, grams
from helpers.models.ngram import NGram
from helpers.senses import text as sense

WORDS = ["ab", "abc", "b", "abab", "cab", "a", "bca", "ccab", "acb", "ba", "aab", "cc", "bb", "abba"]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scattered(model):
    """Weights far from even, so that a mistake shows."""
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return model.double().eval()


def words(c=None):
    return text.make("words", WORDS, c)


def all_texts(longest, symbols):
    inner = [s for s in range(symbols) if s not in (PAD, END)]
    ended = [[*s, END] for n in range(longest) for s in itertools.product(inner, repeat=n)]
    x = [*ended, *itertools.product(inner, repeat=longest)]
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in x])


CONDITIONS = {"nothing": None, "labels": np.arange(len(WORDS)) % 3,
              "numbers": np.random.default_rng(0).normal(0, 3, (len(WORDS), 2)).astype(np.float32)}


@pytest.mark.parametrize("told", CONDITIONS)
def test_the_probabilities_of_all_texts_sum_to_one(told):
    data = words(CONDITIONS[told])
    model = scattered(build(data, hidden=8, embedding=5, order=3))
    x = all_texts(4, len(data.vocabulary))
    c = None if data.c is None else torch.as_tensor(data.c[:1]).expand(len(x), *data.c.shape[1:])
    c = c.double() if told == "numbers" else c
    assert model.log_prob(x, c).exp().sum().item() == pytest.approx(1, abs=1e-9)
    if told != "nothing":
        other = torch.as_tensor(data.c[1:2]).expand(len(x), *data.c.shape[1:])
        other = other.double() if told == "numbers" else other
        assert (model.log_prob(x, c) - model.log_prob(x, other)).abs().max() > 1e-3


def test_step_by_step_gives_the_same_as_all_at_once():
    data = words()
    model, x = scattered(build(data, hidden=8, order=4)), torch.as_tensor(data.x)
    log_p = model.logits(x)  # (N, T, V)
    by_steps = log_p.gather(2, x[..., None])[..., 0].masked_fill(x == PAD, 0).sum(dim=1)
    assert torch.allclose(by_steps, model.log_prob(x), atol=1e-9)
    drawn = [model.sample(40, generator=torch.Generator().manual_seed(1), longest=6, cache=k) for k in (True, False)]
    assert torch.equal(*drawn) and not (drawn[0] == UNKNOWN).any()
    padded = torch.nn.functional.pad(x, (0, 5))
    assert torch.allclose(model.log_prob(padded), model.log_prob(x), atol=1e-12)


def test_scores_do_not_depend_on_how_many_are_scored_together(monkeypatch):
    from helpers.models import language

    data = words()
    model, x = scattered(build(data)), torch.as_tensor(data.x)
    whole = model.log_prob(x)
    monkeypatch.setattr(language, "LOOK", 7)
    monkeypatch.setattr(language, "ROOM", 2 * len(data.vocabulary))
    assert torch.allclose(model.log_prob(x), whole, atol=1e-12)


def test_all_orders_are_those_of_single_ngrams():
    data = words()
    V = len(data.vocabulary)
    found = NGram(4, V).fit(data.x).log_probs(data.x[:5])
    alone = [NGram(order, V).fit(data.x).log_prob(data.x[:5]) for order in (1, 2, 3, 4)]
    np.testing.assert_allclose(found, np.stack(alone, axis=1), rtol=1e-12)
    twice = NGram(3, V).fit(data.x[:6]).fit(np.pad(data.x[6:], ((0, 0), (0, 3))))
    np.testing.assert_allclose(twice.log_prob(data.x), NGram(3, V).fit(data.x).log_prob(data.x), rtol=1e-12)
    counts = NGram(2, V).fit(np.array([[3, 4, END]])).counts
    assert counts == {(): {3: 1, 4: 1, END: 1}, (END,): {3: 1}, (3,): {4: 1}, (4,): {END: 1}}


def test_leaving_one_out_is_counting_without_it():
    """Of texts in which no symbol stands twice after the same history, each is as if it had not been counted."""
    x, V = np.array([[3, 4, END], [5, 6, END], [3, 7, END]]), 8
    left = grams.look(grams.count(x, V, 1), torch.as_tensor(x), 1, V, leave_one_out=True)[0][..., 0]
    for row, t in np.ndindex(3, 3):
        others = np.delete(x.ravel(), 3 * row + t)
        n, types = (others == x[row, t]).sum(), len(set(others))
        assert left[row, t].item() == pytest.approx((n + types / (V - 1)) / (8 + types))
    tree = grams.count(x, V, 2)
    p, seen, _ = grams.look(tree, torch.as_tensor(x), 2, V, leave_one_out=True)
    assert seen[0, 0, 1] == 2 and seen[1, 1, 1] == 0 and p[1, 1, 1] == p[1, 1, 0]  # a history of this text alone


def test_rare_long_grams_are_forgotten_where_there_are_too_many():
    x = np.random.default_rng(0).integers(3, 9, (200, 30))
    few, all_ = grams.count(x, 9, 6, most=2000), grams.count(x, 9, 6)
    assert len(few.keys) <= 2000 < len(all_.keys)
    for tree in (few, all_):
        p = grams.following(tree, torch.as_tensor(x[:20, :5]), 6, 9)[0]
        assert torch.allclose(p.sum(dim=-1), torch.ones(()).double())
    short = [grams.look(tree, torch.as_tensor(x[:9]), 6, 9)[0][..., :3] for tree in (few, all_)]
    assert torch.equal(*short)


def test_a_model_on_disk_holds_its_counts():
    data = words()
    model = build(data)
    again = assemble(json.loads(json.dumps(model.plan)))
    again.load_state_dict(model.state_dict())
    x = torch.as_tensor(data.x)
    assert torch.equal(model.eval().log_prob(x), again.eval().log_prob(x))


def sentences(n, seed=0):
    """A grammar: what comes last depends on what came first, further back than an n-gram looks."""
    r = random.Random(seed)
    return [r.choice("xy") + " ".join(r.choices(["lo", "mira", "tu"], k=4)) + str(r.random())[2:8] for _ in range(n)]


def far():
    """The first symbol comes again at the end: no n-gram sees that far."""
    return text.make("far", [s + s[0] * 3 for s in sentences(1500)], small=True)


def bits(model, data):
    nats = -contract.log_prob(model, contract.examples(model, data, "test")).mean()
    return nats / sense.dimensions(data, data.rows["test"]) / math.log(2)


@pytest.mark.parametrize("data", [
    pytest.param(lambda: text.make("digits", [str(random.Random(k).random()) for k in range(400)]), id="digits"),
    pytest.param(lambda: text.make("few", [w + v for w in WORDS[:4] for v in WORDS[:4]]), id="few"),
    pytest.param(far, id="far"),
])
def test_it_never_loses_to_counting(data):
    data = data()
    torch.manual_seed(0)
    model = build(data, hidden=32)
    recipe = family("language").recipe(model.plan, len(data.rows["train"]))
    training.fit(model, data, quiet=True, **recipe | {"epochs": 4})
    plain = sense.baselines(data, data.rows["test"])
    best = plain[max(set(plain) - {"uniform"})] / sense.dimensions(data, data.rows["test"]) / math.log(2)
    assert bits(model, data) < best + 0.01
    if data.name == "far":
        assert data.x.dtype == np.int16


def test_the_recipe_suits_short_and_long_rows_and_many_characters():
    recipe = lambda T, V: family("language").recipe({"shape": [T], "symbols": V, "kind": "text"}, 10_000)["batch_size"]
    assert recipe(14, 60) == 64 and recipe(200, 60) == 32 and recipe(200, 3000) == 13 and recipe(1001, 9000) == 8


def test_samples_come_from_the_generator_and_the_label():
    data = words(np.arange(len(WORDS)) % 3)
    model = scattered(build(data, hidden=8))
    draw = lambda c, seed: model.sample(20, c, torch.Generator().manual_seed(seed))
    ones = torch.ones(20, dtype=torch.long)
    assert draw(ones, 0).shape == (20, data.x.shape[1])
    assert torch.equal(draw(ones, 0), draw(ones, 0)) and not torch.equal(draw(ones, 0), draw(ones, 1))
    assert not torch.equal(draw(ones, 0), draw(0 * ones, 0))


def test_the_network_learns_to_guess_on_its_own_too():
    """What is reported is the mixture, as in validation; the gradient is that of the mixture and of the network."""
    data = words()
    model = scattered(build(data, hidden=8, embedding=5, order=3, dropout=0.0)).train()
    batch = (torch.as_tensor(data.x), None)
    loss, _ = model.loss(batch)
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    mixed = -model.log_prob(*batch).mean()
    assert loss.item() == pytest.approx(mixed.item(), rel=1e-12)
    h, here = model._run(model._seen(batch[0]), model.begin(len(WORDS))[:2])[0], batch[0] != PAD
    alone = torch.nn.functional.cross_entropy(model._scores(h)[here], batch[0][here].long(), reduction="sum")
    (mixed + alone / len(WORDS)).backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(found[name], p.grad, atol=1e-12, rtol=1e-9)
