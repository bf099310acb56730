"""Models that write: exact probabilities, no look ahead, padding that counts for nothing, honest samplers."""

import itertools
import math
import time

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from helpers.data import DataError
from helpers.data.text import END, PAD, UNKNOWN, Vocabulary
from helpers.models import VAE
from helpers.models import texts as T
from helpers.models.ngram import NGram
from helpers.training import fit

V = 6  # pad, end, unknown, a, b, c
WORDS = Vocabulary(("a", "b", "c"))
TEXTS = ["ab", "abc", "b", "abab", "cab", "a"]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As in the notebooks: where models are this small, a second thread only waits for the first."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def rows(*texts, length=None):
    return torch.as_tensor(WORDS.encode(texts or TEXTS, length))


def gru(condition=0, **options):
    torch.manual_seed(0)
    return T.GRULanguageModel(V, hidden=12, embedding=8, condition=condition, longest=8, **options).double()


def transformer(condition=0, **options):
    torch.manual_seed(0)
    options = {"width": 16, "layers": 2, "heads": 2, "longest": 16} | options
    model = T.Transformer(V, condition=condition, **options).double()
    for p in model.parameters():  # far from even, so that a mistake shows
        torch.nn.init.normal_(p, std=0.3)
    return model


MAKERS = pytest.mark.parametrize("make", [gru, transformer])


def colours(n, C=3):
    return torch.randn(n, C, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def all_texts(longest):
    """Every text that ends within ``longest`` symbols, and every one that has not ended by then."""
    inner = [s for s in range(V) if s not in (PAD, END)]
    ended = [[*s, END] for n in range(longest) for s in itertools.product(inner, repeat=n)]
    x = [*ended, *itertools.product(inner, repeat=longest)]
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in x])


# --- networks ------------------------------------------------------------------------------------------


@MAKERS
@pytest.mark.parametrize("condition", [0, 3])
def test_the_probabilities_of_all_texts_sum_to_one(make, condition):
    x = all_texts(4)
    c = colours(1).expand(len(x), -1) if condition else None
    assert make(condition).log_prob(x, c).exp().sum().item() == pytest.approx(1, abs=1e-12)


@MAKERS
def test_more_padding_changes_nothing(make):
    model, c = make(3), colours(6)
    short, long = rows(), rows(length=15)
    assert torch.allclose(model.log_prob(short, c), model.log_prob(long, c), atol=1e-12)
    one_by_one = [model.log_prob(rows(text), c[[n]])[0] for n, text in enumerate(TEXTS)]
    assert torch.allclose(model.log_prob(long, c), torch.stack(one_by_one), atol=1e-12)
    (a, told), (b, again) = model.loss((short, c)), model.loss((long, c))
    assert a.item() == pytest.approx(b.item())
    assert told["bits per character"].item() == pytest.approx(again["bits per character"].item())


@MAKERS
def test_a_later_symbol_does_not_change_earlier_predictions(make):
    model, c = make(3).eval(), colours(1)
    x = rows("abcabc")
    logits = model.logits(x, c)
    for t in range(x.shape[1]):
        changed = x.clone()
        changed[0, t] = UNKNOWN
        different = (model.logits(changed, c) - logits).abs().amax(dim=2)[0]  # (T,)
        assert not different[: t + 1].any()  # symbol t is predicted before it is seen
        assert t == x.shape[1] - 1 or (different[t + 1 :] > 1e-9).all()


@MAKERS
def test_loss_is_nats_per_example_and_bits_count_ends_but_no_padding(make):
    model, x = make(), rows(length=9)
    loss, metrics = model.loss((x, None))
    assert loss.item() == pytest.approx(-model.log_prob(x).mean().item())
    symbols = sum(len(text) + 1 for text in TEXTS)
    assert metrics["bits per character"].item() == pytest.approx(6 * loss.item() / symbols / math.log(2))
    # An even choice among the five symbols that can follow costs log2(5) bits each.
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    assert model.loss((x, None))[1]["bits per character"].item() == pytest.approx(math.log2(5))


@MAKERS
def test_step_by_step_gives_the_logits_of_the_whole(make):
    model, x, c = make(3).eval(), rows(length=8), colours(6)
    state, symbol, steps = model.begin(6, c), torch.full((6,), END), []
    for t in range(8):
        logits, state = model.step(symbol, state)
        steps.append(logits)
        symbol = x[:, t]
    assert torch.allclose(torch.stack(steps, dim=1), model.logits(x, c), atol=1e-12)


@MAKERS
def test_the_condition_matters_and_is_checked(make):
    model, x, c = make(3), rows(), colours(6)
    assert (model.log_prob(x, c) - model.log_prob(x, c.flip(0))).abs().max() > 1e-3
    for wrong in (None, c[:, :2], c[:3], torch.ones(6, 3, dtype=torch.long)):
        with pytest.raises(ValueError, match=r"should be real numbers of shape \(6, 3\)"):
            model.log_prob(x, wrong)
    # A model without a condition has nothing to do with the one that a data set offers.
    assert torch.equal(make().log_prob(x, c), make().log_prob(x))


@MAKERS
def test_samples_are_as_frequent_as_they_are_probable(make):
    model, longest, n = make(3).eval(), 2, 20_000
    x = all_texts(longest)
    x = x[(x != UNKNOWN).all(dim=1)]
    c = colours(1)[0]
    for temperature, top_p in ((1.0, 1.0), (0.6, 1.0), (1.3, 0.7)):
        p = torch.ones(len(x), dtype=torch.float64)  # by the choices that the sampler has, in their order
        logits = model.logits(x, c.expand(len(x), -1))
        logits[..., [PAD, UNKNOWN]] = -math.inf
        for t in range(longest):
            chosen = T.probabilities(logits[:, t], temperature, top_p).gather(1, x[:, [t]])[:, 0]
            p = torch.where(x[:, t] == PAD, p, p * chosen)
        assert p.sum().item() == pytest.approx(1)
        drawn = model.sample(n, c, torch.Generator().manual_seed(0), temperature, top_p, longest)
        assert drawn.shape == (n, longest) and drawn.dtype == torch.int64
        seen = (drawn[:, None] == x[None]).all(dim=2)  # (n, texts)
        assert seen.any(dim=1).all()
        assert ((seen.double().mean(dim=0) - p).abs() <= 4.5 * (p * (1 - p) / n).sqrt() + 1e-12).all()


@MAKERS
def test_samples_come_from_the_generator_and_end_in_padding(make):
    model = make().eval()
    a, b = (model.sample(50, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    other = model.sample(50, generator=torch.Generator().manual_seed(4))
    assert torch.equal(a, b) and not torch.equal(a, other)
    after = (a == END).cumsum(dim=1) - (a == END).long() > 0
    assert (a[after] == PAD).all() and (a[~after] != PAD).all() and not (a == UNKNOWN).any()
    greedy = [model.sample(3, generator=torch.Generator().manual_seed(s), temperature=0) for s in (0, 1)]
    assert torch.equal(*greedy)
    with pytest.raises(ValueError, match="temperature is -1"):
        model.sample(1, temperature=-1)


@MAKERS
def test_with_and_without_cache_the_samples_are_the_same(make):
    model, c = make(3).eval(), colours(40)
    a, b = (model.sample(40, c, torch.Generator().manual_seed(1), longest=8, cache=cache) for cache in (True, False))
    assert torch.equal(a, b)


def test_the_cache_is_faster():
    model = T.Transformer(30, width=64, layers=2, longest=96).eval()
    torch.nn.init.constant_(model.head.bias[END], -100.0)  # no text ends early

    def seconds(cache):
        start = time.perf_counter()
        model.sample(20, generator=torch.Generator().manual_seed(0), cache=cache)
        return time.perf_counter() - start

    seconds(True)
    assert min(seconds(True) for _ in range(2)) < 0.8 * min(seconds(False) for _ in range(2))


@MAKERS
def test_noise_dropout_and_dropped_symbols_are_for_training_only(make):
    model, x, c = make(3, dropout=0.3, noise=0.5, drop_symbols=0.3), rows(), colours(6)
    assert (model.train().log_prob(x, c) != model.log_prob(x, c)).any()
    model.eval()
    assert torch.equal(model.log_prob(x, c), model.log_prob(x, c))


def test_dropped_symbols_are_as_many_as_said_and_never_the_start():
    model, x = gru(drop_symbols=0.25).train(), torch.full((4000, 5), 3)
    seen = model._seen(x)
    assert (seen[:, 0] == END).all()
    assert (seen[:, 1:] == UNKNOWN).double().mean().item() == pytest.approx(0.25, abs=0.02)
    assert ((seen == T.before(x)) | (seen == UNKNOWN)).all()
    assert torch.equal(model.eval()._seen(x), T.before(x))


@MAKERS
def test_the_spread_of_a_condition_is_divided_out(make):
    x, c = rows(), colours(6)
    assert torch.allclose(make(3, spread=0.1).log_prob(x, 0.1 * c), make(3).log_prob(x, c), atol=1e-12)


def test_half_precision_costs_no_digits_of_a_likelihood():
    logits = torch.randn(2, 5, V, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    p = T.Text(logits)
    assert p.logits.dtype == torch.float32 and torch.equal(p.logits, T.Text(logits.float()).logits)
    x = rows("ab", "c", length=5)
    assert torch.equal(p.log_prob(x), p.log_prob(x.int()))


@MAKERS
def test_fit_learns_what_a_condition_says(make):
    """The colour decides between two texts: without it, one bit a text is lost; with it, hardly anything."""
    which = torch.arange(200) % 2
    x = rows(*("ab" if w else "ca" for w in which.tolist()))
    c = which[:, None].float()
    told, untold = make(1).float(), make().float()
    for model in (told, untold):
        history = fit(model, ((x, c), (x, c)), epochs=30, lr=2e-2, quiet=True)
        assert "valid bits per character" in history.rows[0]
    assert -untold.log_prob(x, c).mean().item() / math.log(2) == pytest.approx(1, abs=0.1)
    assert -told.log_prob(x, c).mean().item() / math.log(2) < 0.2
    drawn = told.sample(2, torch.tensor([[0.0], [1.0]]), torch.Generator().manual_seed(0), temperature=0)
    assert WORDS.decode(drawn) == ["ca", "ab"]


# --- attention -----------------------------------------------------------------------------------------


def test_attention_is_that_of_pytorch():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 7, 5, dtype=torch.float64).unbind(0)
    mask = torch.rand(7, 7) < 0.5
    mask.fill_diagonal_(True)
    for m in (None, mask, T.causal(7, 7)):
        assert torch.allclose(T.attention(q, k, v, m), scaled_dot_product_attention(q, k, v, m), atol=1e-12)
    causal = scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(T.attention(q, k, v, T.causal(7, 7)), causal, atol=1e-12)
    some = T.attention(q[..., -2:, :], k, v, T.causal(2, 7))  # the last two places ask
    assert torch.allclose(some, causal[..., -2:, :], atol=1e-12)


def test_attention_maps_are_weights_over_what_came_before():
    model, x = transformer().eval(), rows("abcab", "ba")
    maps = model.attention_maps(x)
    assert maps.shape == (2, 2, 2, 6, 6)
    assert torch.allclose(maps.sum(dim=-1), torch.ones(()).double()) and not maps.triu(1).any()


def test_a_text_longer_than_the_places_is_refused():
    with pytest.raises(ValueError, match="knows 16 places; build it with longest=17"):
        transformer().log_prob(rows("a" * 16))
    with pytest.raises(ValueError, match="heads can share"):
        T.Transformer(V, width=10, heads=4)


# --- temperature and nucleus ---------------------------------------------------------------------------


def test_temperature_and_nucleus_by_hand():
    p = torch.tensor([0.1, 0.4, 0.2, 0.3])
    for cut, by_hand in {
        1.0: [0.1, 0.4, 0.2, 0.3],
        0.95: [0.1, 0.4, 0.2, 0.3],
        0.8: [0, 4 / 9, 2 / 9, 3 / 9],
        0.69: [0, 4 / 7, 0, 3 / 7],
        0.3: [0, 1, 0, 0],
    }.items():
        assert T.probabilities(p.log(), top_p=cut).tolist() == pytest.approx(by_hand, abs=1e-6)
    squared = [1 / 30, 16 / 30, 4 / 30, 9 / 30]
    assert T.probabilities(p.log(), 0.5).tolist() == pytest.approx(squared, abs=1e-6)
    assert T.probabilities(p.log(), 0.5, 0.8).tolist() == pytest.approx([0, 16 / 25, 0, 9 / 25], abs=1e-6)
    assert T.probabilities(p.log(), 0).tolist() == [0, 1, 0, 0]
    for wrong in (dict(temperature=-0.1), dict(temperature=math.nan), dict(top_p=0), dict(top_p=1.1)):
        with pytest.raises(ValueError, match=r"(temperature|top_p) is"):
            T.probabilities(p.log(), **wrong)


# --- n-grams -------------------------------------------------------------------------------------------


def test_witten_bell_by_hand():
    """From "ab" and "a": order 1 counts a 2, b 1, end 2; after a come b 1 and end 1; before a stands a start."""
    model = NGram(2, V).fit(rows("ab", "a"))
    a, b, c = 3, 4, 5
    one = {s: (n + 3 / 5) / 8 for s, n in {a: 2, b: 1, END: 2, c: 0, UNKNOWN: 0}.items()}  # 5 seen, of 3 types
    assert {s: model.probabilities()[s] for s in one} == pytest.approx(one)
    after_a = {s: ((s in (b, END)) + 2 * one[s]) / 4 for s in one}
    assert {s: model.probabilities([b, a])[s] for s in one} == pytest.approx(after_a)
    first = {s: (2 * (s == a) + one[s]) / 3 for s in one}
    assert {s: model.probabilities([END])[s] for s in one} == pytest.approx(first)
    assert {s: model.probabilities([c])[s] for s in one} == pytest.approx(one)  # never seen: as without a history
    by_hand = math.log(first[a]) + math.log(after_a[b]) + math.log((1 + one[END]) / 2)
    assert model.log_prob(rows("ab", length=9)) == pytest.approx([by_hand])
    bits = T.bits_per_character(model.log_prob(rows("ab", length=9)), rows("ab", length=9))
    assert bits == pytest.approx(-by_hand / 3 / math.log(2))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_ngram_probabilities_sum_to_one(order):
    model = NGram(order, V).fit(rows())
    for history in itertools.product((END, UNKNOWN, 3, 4, 5), repeat=3):
        p = model.probabilities(history)
        assert p.sum() == pytest.approx(1) and p[PAD] == 0 and (np.delete(p, PAD) > 0).all()
    assert np.exp(model.log_prob(all_texts(4))).sum() == pytest.approx(1)
    assert model.log_prob(rows(length=12)) == pytest.approx(model.log_prob(rows()))


def test_what_was_handed_out_does_not_change_the_ngram():
    model = NGram(3, V).fit(rows())
    model.probabilities([3])[:] = 0
    assert model.probabilities([3]).sum() == pytest.approx(1)


def test_ngram_samples_are_as_frequent_as_they_are_probable():
    model, n = NGram(3, V).fit(rows()), 4000
    x = all_texts(2)
    x = x[(x != UNKNOWN).all(dim=1)].tolist()
    drawn = model.sample(n, np.random.default_rng(0), longest=2).tolist()
    for row in x:
        p, history = 1.0, [END]
        for symbol in row:
            if symbol != PAD:
                q = model.probabilities(history)
                p, history = p * q[symbol] / (1 - q[UNKNOWN]), [*history, symbol]
        assert abs(drawn.count(row) / n - p) <= 4.5 * math.sqrt(p * (1 - p) / n)
    assert all(row in x for row in drawn)
    greedy = model.sample(2, np.random.default_rng(0), temperature=0, longest=5)
    assert (greedy[0] == greedy[1]).all()


def test_ngrams_refuse_what_they_cannot_count():
    with pytest.raises(DataError, match="give texts as symbols"):
        NGram(2, V).fit(np.zeros((0, 4), int))
    with pytest.raises(ValueError, match="order is 0"):
        NGram(0, V)


# --- in a VAE ------------------------------------------------------------------------------------------


@pytest.fixture
def vae():
    torch.manual_seed(0)
    encoder = T.TextEncoder(V, K=2, hidden=8, embedding=4, condition=3)
    return VAE(encoder, T.TextDecoder(V, K=2, hidden=8, embedding=4, condition=3, longest=8), code=2).double()


def test_the_decoder_of_a_vae_is_a_distribution_over_texts(vae):
    x, z = all_texts(3), torch.randn(1, 2).double()
    c = colours(1).expand(len(x), -1)
    assert vae.log_likelihood(z.expand(len(x), -1), x, c).exp().sum().item() == pytest.approx(1)
    log_p = vae.decode(z, colours(1), rows("ab", length=7)).log_prob(rows("ab", length=7))
    assert log_p.shape == (1, 7) and (log_p[0, :3] < 0).all() and not log_p[0, 3:].any()
    with pytest.raises(ValueError, match="beyond the 3"):
        vae.decode(z, colours(1), rows("ab")).log_prob(rows("abc"))


def test_padding_means_nothing_to_a_vae(vae):
    c, draw = colours(6), lambda: torch.Generator().manual_seed(0)
    short, long = rows(), rows(length=14)
    assert torch.allclose(vae.posterior(short, c).mean, vae.posterior(long, c).mean, atol=1e-12)
    for a, b in zip(vae.elbo(short, c, draw()), vae.elbo(long, c, draw())):
        assert torch.allclose(a, b, atol=1e-12)
    alone = vae.posterior(rows("b"), c[[2]]).mean
    assert torch.allclose(vae.posterior(short, c).mean[[2]], alone, atol=1e-12)


def test_a_vae_of_texts_is_trained_sampled_and_bounded(vae):
    x, c = rows(), colours(6)
    fit(vae, ((x, c), (x, c)), epochs=3, quiet=True)
    drawn = vae.sample(5, c[:5], torch.Generator().manual_seed(0))
    assert drawn.shape == (5, 8) and torch.equal(drawn, vae.sample(5, c[:5], torch.Generator().manual_seed(0)))
    with torch.no_grad():
        bound = vae.log_prob(x, c, k=200)
        nll, kl = vae.elbo(x, c, samples=50)
    assert (bound > -(nll + kl) - 0.2).all() and vae.reconstruct(x, c).shape == x.shape
    greedy = vae.decoder.generate(vae.posterior(x, c).mean, c, temperature=0)
    assert greedy.shape == (6, 8)
    loss, _ = vae.train().loss((x, c))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in vae.parameters())
