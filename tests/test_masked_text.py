"""Masked diffusion of texts: bounds and mixtures by enumeration, drawing by moments, and runs of the reader's own."""

import itertools
import json
import math

import numpy as np
import pytest
import torch

from helpers import runs
from helpers.__main__ import main
from helpers.build import assemble, build, family, restore
from helpers.data import DataError, Dataset, text
from helpers.data.text import END, PAD, UNKNOWN
from helpers.models import contract
from helpers.models.families.masked_text import MASK, MaskedText, ranked, shares
from helpers.training import fit

WORDS = ["ab", "abc", "b", "aab", "ca", "a", "bca", "ccb", "acb", "ba", "aab", "cc", "bb", "abb"]
CONDITIONS = {"nothing": None, "labels": np.arange(len(WORDS)) % 3,
              "numbers": np.random.default_rng(0).normal(0, 3, (len(WORDS), 2)).astype(np.float32)}


def scattered(told="nothing", **choices):
    """Data, and a model of them whose weights are far from even, so that a mistake shows."""
    data = text.make("words", WORDS, CONDITIONS[told])
    torch.manual_seed(0)
    model = build(data, "masked", width=8, heads=2, layers=1, **choices)
    for name, p in model.named_parameters():
        torch.nn.init.normal_(p, std=0.3 if name.startswith("length") else 1.0)
    return data, model.double().eval()


def everything(T, symbols):
    """All texts of at most T characters: with an end if they are shorter."""
    inner = [s for s in range(symbols) if s not in (PAD, END)]
    found = [row for n in range(T + 1) for row in itertools.product(inner, repeat=n)]
    return torch.tensor([[*row, END, *[PAD] * T][:T] for row in found])


def told_all(data, row, n):
    c = None if data.c is None else torch.as_tensor(data.c[row : row + 1]).expand(n, *data.c.shape[1:])
    return c.double() if c is not None and c.is_floating_point() else c


@torch.no_grad()
def bound_by_hand(model, x, c=None):
    """The mean of log p over all orders of the characters, order by order, for each text of x (N, T): (N,)."""
    told = model._told(c, len(x))
    found = torch.full((len(x),), torch.nan, dtype=torch.float64)
    m = ((x != PAD) & (x != END)).sum(dim=1)
    for size in m.unique().tolist():
        rows = m == size  # of these the characters stand at 0 … size - 1
        some, mine, total = x[rows], None if told is None else told[rows], []
        for order in itertools.permutations(range(size)):
            log_p = model.lengths(len(some), mine)[:, size]
            for i, t in enumerate(order):
                hidden = torch.zeros(some.shape, dtype=bool)
                hidden[:, list(order[i:])] = True
                log_p = log_p + model.predict(some, hidden, mine)[:, t].gather(1, some[:, t, None])[:, 0]
            total.append(log_p)
        found[rows] = torch.stack(total).mean(dim=0)
    return found


@pytest.mark.parametrize("told", CONDITIONS)
def test_the_probabilities_of_all_texts_sum_to_one_along_orders_and_the_bound_is_below(told):
    data, model = scattered(told)
    x = everything(4, len(data.vocabulary))
    assert model.T == 4 and len(x) == sum(4**n for n in range(5))
    c = told_all(data, 0, len(x))
    along = model.by_order(x, c, orders=3)
    assert along.exp().sum(dim=0).tolist() == pytest.approx([1, 1, 1], abs=1e-9)
    assert not torch.allclose(along[:, 0], along[:, 1])
    bound = bound_by_hand(model, x, c)
    assert 0.4 < bound.exp().sum() < 1 - 1e-5  # Jensen: orders do not agree
    if told != "nothing":
        other = told_all(data, 1, len(x))
        assert (model.by_order(x, other, orders=3) - along).abs().max() > 1e-2
        assert (model.by_order(x[:1], other[:1]) - model.by_order(x[:1], c[:1])).abs().max() > 1e-2  # of no character
    with torch.no_grad():
        drawn = torch.stack([model.log_prob(x, c, torch.Generator().manual_seed(i), k=10) for i in range(20)])
    error = drawn.std(dim=0) / math.sqrt(20)
    z = (drawn.mean(dim=0) - bound) / (error + 1e-9)
    assert z.abs().max() < 6 and abs(z.mean()) < 0.3  # unbiased, for texts of every length
    short = (x[:, 1] == END) & (x[:, 0] > END)
    assert drawn[:, short].std(dim=0).max() < 1e-9  # one character: nothing is left to chance


def test_padding_takes_no_part_and_the_length_does():
    _, model = scattered()
    x = torch.tensor([[3, 4, 5, END], [5, END, PAD, PAD]])
    with torch.no_grad():
        draw = lambda x: model.log_prob(x, None, torch.Generator().manual_seed(0), k=300)
        logits = model.predict(x[1:], x[1:] == 5)[0, 0]
        assert float(draw(x[1:])) == pytest.approx(float(model.lengths(1)[0, 1] + logits[5]), abs=1e-9)
        assert torch.allclose(draw(torch.nn.functional.pad(x, (0, 5))), draw(x))
        before = draw(x)
        model.length.bias[1] += 1.0  # likelier to be short
        change = draw(x) - before
    assert change[1] > 0.05 and change[0] < -0.05


def test_the_draws_for_a_text_have_shares_that_are_spread_evenly(monkeypatch):
    data, model = scattered()
    seen, one_draw = [], model.one_draw
    monkeypatch.setattr(model, "one_draw", lambda x, c, share, g=None: seen.append(share) or one_draw(x, c, share, g))
    x = torch.as_tensor(data.x)
    with torch.no_grad():
        model.log_prob(x, k=10)
    assert (torch.stack(seen).sort(dim=0).values * 10).long().T.tolist() == [list(range(10))] * len(x)
    found = shares(3, 10, x.device, torch.Generator().manual_seed(0))
    assert len({tuple(row) for row in found.argsort(dim=1).tolist()}) == 3  # not in one order for all
    del seen[:]
    model.train().loss((x, None))  # one draw a text, spread over the batch
    assert (seen[0].sort().values * len(x)).long().tolist() == list(range(len(x)))


def test_a_hidden_character_is_not_seen_and_a_known_one_is():
    _, model = scattered()
    x, other = torch.tensor([[3, 4, 5, END]]), torch.tensor([[3, 5, 5, END]])
    hidden = torch.tensor([[False, True, False, False]])
    assert torch.equal(model.predict(x, hidden), model.predict(other, hidden))
    none = torch.zeros_like(hidden)
    assert not torch.allclose(model.predict(x, none), model.predict(other, none))
    later = torch.tensor([[3, 4, 4, END]])  # what comes later is looked at
    assert not torch.allclose(model.predict(x, hidden)[0, 1], model.predict(later, hidden)[0, 1])


def test_what_is_drawn_has_the_probabilities_of_all_orders():
    data, model = scattered()
    x = everything(4, len(data.vocabulary))
    n = 20_000
    drawn = model.sample(n, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (n, 4) and not (drawn == MASK).any()
    m = (drawn >= 3).sum(dim=1)
    p = model.lengths(1).exp()[0].detach().numpy()
    assert np.bincount(m, minlength=5) / n == pytest.approx(p, abs=0.015)
    # Texts of two characters, none unknown: the mean over both orders.
    pairs = x[((x > UNKNOWN).sum(dim=1) == 2) & (x != UNKNOWN).all(dim=1)]
    with torch.no_grad():
        expected = []
        for row in pairs[:, :2]:
            full, total = torch.cat([row, torch.tensor([END])])[None], 0.0
            for first, then in ((0, 1), (1, 0)):
                hide = torch.tensor([[True, True, False]])
                a = without_unknown(model.predict(full, hide)[0, first])[row[first]]
                hide = hide.clone()
                hide[0, first] = False
                total += 0.5 * a * without_unknown(model.predict(full, hide)[0, then])[row[then]]
            expected.append(float(total))
    assert sum(expected) == pytest.approx(1, abs=1e-9)
    of_two = drawn[m == 2]
    found = [float((of_two == row).all(dim=1).double().mean()) for row in pairs]
    assert np.abs(np.array(found) - expected).max() < 5 * math.sqrt(0.25 / len(of_two))


def without_unknown(log_p):
    p = log_p.exp()
    p[UNKNOWN] = 0
    return p / p.sum()


def test_steps_show_several_at_once_and_a_film_shows_them_all():
    _, model = scattered()
    draw = lambda seed=0, **options: model.sample(30, None, torch.Generator().manual_seed(seed), **options)
    assert torch.equal(draw(), draw()) and not torch.equal(draw(), draw(1))
    film = list(model.unmask(30, None, torch.Generator().manual_seed(0)))
    assert torch.equal(film[-1], draw()) and (film[0][film[0] >= 2] == MASK).all()
    hidden = torch.stack([(x == MASK).sum(dim=1) for x in film])  # (frames, n)
    assert ((hidden[:-1] - hidden[1:]) == (hidden[:-1] > 0).long()).all()  # one a step, each frame a copy
    assert all(torch.equal(a[a != MASK], b[a != MASK]) for a, b in itertools.pairwise(film))
    for steps in (1, 2, 9):
        few = list(model.unmask(30, None, torch.Generator().manual_seed(0), steps=steps))
        assert len(few) - 1 <= steps and not (few[-1] == MASK).any()
        assert all((a != b).any() for a, b in itertools.pairwise(few))
    at_once = list(model.unmask(30, None, torch.Generator().manual_seed(0), steps=2))
    assert len(at_once) == 3 and 0 < (at_once[1] == MASK).sum() < (at_once[0] == MASK).sum()
    with pytest.raises(ValueError, match="steps is 0; give 1 or more"):
        draw(steps=0)


def test_each_text_is_shown_in_a_random_order_of_its_own():
    _, model = scattered()
    first = list(model.unmask(2000, None, torch.Generator().manual_seed(0)))[1]
    long = first[(first >= 2).sum(dim=1) == 3]
    shown = (long[:, :3] != MASK).double().mean(dim=0)  # which of three is the first
    assert len(long) > 100 and shown.numpy() == pytest.approx(np.full(3, 1 / 3), abs=0.15)


def test_a_condition_is_measured_in_its_spread_and_gets_noise_in_training_alone():
    data, model = scattered("numbers", noise=0.5)
    assert model.spread == pytest.approx(float(data.train.c.std(axis=0).mean()), abs=1e-5)
    c = torch.as_tensor(data.c[:5]).double()
    torch.testing.assert_close(model._told(c, 5), c / model.spread)
    blurred = torch.stack([model.train()._told(c, 5) for _ in range(400)])
    assert float((model.spread * blurred - c).std()) == pytest.approx(0.5, rel=0.1)


def test_temperature_and_nucleus_are_the_usual_ones():
    _, model = scattered()
    x = model.sample(200, None, torch.Generator().manual_seed(0), temperature=0)
    lone = (x[:, 0] >= 3) & (x[:, 1] == END)  # of one character: the likeliest
    one = model.predict(torch.tensor([[3, END]]), torch.tensor([[True, False]]))[0, 0]
    one[UNKNOWN] = -math.inf
    assert lone.any() and (x[lone, 0] == one.argmax()).all()
    with pytest.raises(ValueError, match="top_p is 0"):
        model.sample(3, top_p=0)


def test_ranks_count_characters_alone():
    m, rank = ranked(torch.tensor([[3, UNKNOWN, 4, END, PAD]]), torch.tensor([[0.9, 0.1, 0.5, 0.0, 0.2]]))
    assert m.tolist() == [3] and rank.tolist() == [[2, 0, 1, 5, 5]]


def test_it_learns_and_starts_from_the_lengths():
    rng = np.random.default_rng(0)
    words = sorted({"".join(rng.choice(list("abcd"), 3)) + "xy" * int(rng.integers(1, 3)) for _ in range(80)})
    data = text.make("words", words)
    torch.manual_seed(0)
    model = build(data, "masked", width=32, layers=1)
    share = model.lengths(1).exp()[0]
    assert share[5] + share[7] > 0.85 and share[6] > 0
    before = model.eval().log_prob(torch.as_tensor(data.test.x), generator=torch.Generator().manual_seed(0))
    history = fit(model, data, epochs=30, batch_size=20, lr=5e-3, quiet=True)
    after = model.log_prob(torch.as_tensor(data.test.x), generator=torch.Generator().manual_seed(0))
    assert after.mean() > before.mean() + 4 and "bits per character" in history.rows[0]
    drawn = data.vocabulary.decode(model.sample(50, generator=torch.Generator().manual_seed(0)))
    assert np.mean([name.endswith("xy") for name in drawn]) > 0.8


def test_a_condition_that_does_not_fit_is_refused_in_one_sentence():
    _, model = scattered("numbers")
    with pytest.raises(ValueError, match=r"real numbers of shape \(4, 2\), and is nothing"):
        model.sample(4)
    with pytest.raises(ValueError, match="the heads can share"):
        MaskedText(9, width=10, heads=4)


# --- through the contract ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    for label, ending in (("hills", "berg"), ("rivers", "au")):
        (folder / "data" / label).mkdir(parents=True)
        names = [a + b + ending for a in ("gold", "stein", "hirsch", "linden", "ross", "birken") for b in
                 ("", "en", "er", "ing", "ele", "s")]
        (folder / "data" / label / "names.txt").write_text("\n".join(names))
    return folder


def test_a_run_of_texts_is_scored_drawn_and_opened_again(tmp_path):
    data = text.make("words", WORDS + [a + b for a in WORDS[:6] for b in ("ada", "bub", "cac", "bad")])
    run = runs.fit(data, tmp_path / "out", epochs=2, model="masked", quiet=True, k=3)
    assert run.model.plan["model"] == "masked-text" and run.report["score"]["what"] == "ELBO"
    assert run.report["score"]["unit"] == "bits per character" and run.report["copies"]["verdict"]
    model, _ = restore(run.path / "model")
    x = torch.as_tensor(data.test.x)
    assert torch.equal(*(m.log_prob(x, None, torch.Generator().manual_seed(0), k=2) for m in (model, run.model)))
    assert len(run.sample(5).x) == 5 and "bound" in (run.path / "report.html").read_text().lower()
    assert "masked-text of texts" in run.card["model"]


def test_a_command_line_makes_a_run_with_labels(labelled, capsys):
    out = labelled / "out"
    given = ["fit", str(labelled / "data"), "--labels", "yes", "--out", str(out), "--epochs", "2", "--model", "masked"]
    assert main(given) == 0
    assert main(["sample", str(out), "-n", "4", "--label", "rivers"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("rivers\t")


def test_images_are_refused_by_the_family_of_texts():
    images = Dataset.make("grey", np.random.default_rng(0).random((40, 8, 8)))
    with pytest.raises(DataError, match="masked-text is for texts"):
        build(images, "masked-text")
    assert build(images, "masked").plan["model"] == "masked"


def test_a_plan_rebuilds_the_model_and_the_recipe_suits_long_rows():
    data, model = scattered("numbers")
    again = assemble(json.loads(json.dumps(model.plan)))
    assert again.spread == model.spread != 1
    recipe = lambda T: family("masked-text").recipe({"shape": [T], "symbols": 60, "kind": "text"}, 10_000)
    assert recipe(14)["batch_size"] > recipe(1000)["batch_size"] >= 8
    x = contract.sample(model.float(), 3, np.zeros((3, 2), "f4"), torch.Generator().manual_seed(0), steps=2)
    assert x.shape == (3, data.x.shape[1])
