"""Models that write: a recurrent network and a small Transformer, each predicting one symbol after the other.

A text is a row of symbols (``helpers.data.text``): characters, an end, padding. By the chain rule,
log p(x|c) = Σ_t log p(x_t | x_<t, c), a sum of exact terms; padding takes no part in it. The condition c is a
vector of real numbers: a colour, a code, or both. An end stands before the first symbol.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.distributions import Categorical, Normal
from torch.nn.functional import pad, softmax

from helpers.data.text import END, PAD, UNKNOWN
from helpers.models.layers import to_normal


class Text(Categorical):
    """One distribution over symbols for each place of a text, from logits (N, T, V); padding is certain.

    log_prob of x (N, T) is 0 where x is padding. x may be longer than T, if only padding is beyond.
    """

    def __init__(self, logits: Tensor):
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # half precision would cost digits
        super().__init__(logits=without(logits, PAD), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of each symbol, in nats, in the shape of value; 0 at padding."""
        T = self.logits.shape[-2]
        seen = value[..., :T].long()
        if value.shape[-1] > T and (value[..., T:] != PAD).any():
            raise ValueError(f"the text has symbols beyond the {T} that were predicted.")
        log_p = self.logits.gather(-1, seen[..., None])[..., 0].masked_fill(seen == PAD, 0.0)
        return pad(log_p, (0, value.shape[-1] - T))


def without(logits: Tensor, symbol: int) -> Tensor:
    """Logits (…, V) that give one symbol the probability 0."""
    logits = logits.clone()
    logits[..., symbol] = -math.inf
    return logits


def trim(x: Tensor) -> Tensor:
    """Rows of symbols (N, T) without the columns at the right in which all are padding; one column stays."""
    used = (x != PAD).any(dim=0).nonzero()
    return x[:, : int(used[-1]) + 1 if len(used) else 1]


def before(x: Tensor) -> Tensor:
    """What a model may look at when it predicts x (N, T): an end, then all symbols but the last."""
    return pad(x[:, :-1], (1, 0), value=END)


def bits_per_character(log_prob: ArrayLike, x: ArrayLike) -> float:
    """log p in nats of texts x (N, T), (N,), as bits for each of their characters; ends count, padding does not."""
    log_prob, x = torch.as_tensor(log_prob), torch.as_tensor(x)
    return -log_prob.detach().cpu().double().sum().item() / (x != PAD).sum().item() / math.log(2)


def probabilities(logits: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
    """What to draw the next symbol from: logits (…, V) to probabilities (…, V).

    Logits are divided by the temperature: below 1 the likely becomes likelier, at 0 certain. Then all is cut
    to the nucleus, the smallest set of the likeliest symbols that has ``top_p`` together (Holtzman et al., 2020).
    """
    check_choice(temperature, top_p)
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(-1, keepdim=True), 1.0)
    p = softmax(logits / temperature, dim=-1)
    if top_p == 1:
        return p
    ranked, order = p.sort(dim=-1, descending=True, stable=True)
    # What the likelier symbols have already, so that the likeliest of all stays. Not cumsum: on a GPU it is not
    # deterministic, and therefore refused.
    already = ranked @ torch.ones(p.shape[-1], p.shape[-1], dtype=p.dtype, device=p.device).triu(1)
    ranked = ranked.masked_fill(already >= top_p, 0.0)
    return torch.zeros_like(p).scatter(-1, order, ranked / ranked.sum(dim=-1, keepdim=True))


def check_choice(temperature: float, top_p: float) -> None:
    """Refuse a temperature below 0 and a nucleus that is empty or more than everything."""
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}; give 0 for the likeliest symbol, 1 for the model's own.")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; give a probability above 0, and 1 for no cut.")


class LanguageModel(nn.Module):
    """What all models of text share: the loss, exact likelihoods, and drawing symbol after symbol.

    A model offers ``logits(x, c)`` (N, T, V) for all places at once, ``begin(n, c)``, its state before the first
    symbol, and ``step(symbol, state)``, the logits (n, V) for the next one, and the next state.

    ``symbols`` is V, the length of the vocabulary; ``condition`` how many real numbers c has, 0 for none;
    ``longest`` the length at which drawing stops. ``spread`` is about how much the numbers of c vary: they are
    divided by it, so that they weigh as much as a symbol's embedding from the start.

    Against learning by heart, in training only: ``dropout``; ``noise``, the standard deviation of Normal noise on
    c; ``drop_symbols``, the part of the symbols looked at that are made unknown (word dropout: Bowman et al., 2016).
    """

    def __init__(self, symbols: int, condition: int = 0, longest: int = 64, spread: float = 1.0, noise: float = 0.0,
                 drop_symbols: float = 0.0):
        super().__init__()
        self.symbols, self.condition, self.longest = symbols, condition, longest
        self.spread, self.noise, self.drop_symbols = spread, noise, drop_symbols

    bound = "exact"
    logits: Callable[..., Tensor]  # these three are each model's own
    begin: Callable[..., tuple]
    step: Callable[..., tuple[Tensor, tuple]]

    def predict(self, x: Tensor, c: Tensor | None = None) -> Text:
        """p(x_t | x_<t, c) for every t: the distributions from which each symbol of x (N, T) was to be guessed."""
        return Text(self.logits(trim(x), c))

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x|c) of each text of x (N, T), its end included and padding not: (N,), in nats; exact."""
        return self.predict(x, c).log_prob(x).sum(dim=1)

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """-log p(x|c) in nats per example, and in bits per character."""
        x, c = batch
        nats = -self.log_prob(x, c)
        # Stays a tensor: on a GPU, asking for a number at each step would wait for it.
        return nats.mean(), {"bits per character": nats.detach().sum() / (x != PAD).sum() / math.log(2)}

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               temperature: float = 1.0, top_p: float = 1.0, longest: int | None = None, cache: bool = True,
               start: Tensor | None = None) -> Tensor:
        """n texts (n, longest) of symbols, under conditions c, (n, C) or (C,) for all; unknown is never drawn.

        start (n, S): symbols that they begin with; from its first padding on, a text is drawn.

        ``temperature`` and ``top_p`` as in :func:`probabilities`. A text that reaches ``longest`` has no end.
        Without ``cache`` the whole text is read anew for each symbol: slower, to the same effect.
        """
        check_choice(temperature, top_p)
        longest = self.longest if longest is None else longest
        if c is not None and c.dim() == 1:
            c = c.expand(n, -1)
        state = self.begin(n, c)  # refuses a condition that does not fit
        device = next(self.parameters()).device
        symbol = torch.full((n,), END, device=device)
        x, going = torch.full((n, longest), PAD, device=device), torch.ones(n, dtype=torch.bool, device=device)
        for t in range(longest):
            if cache:
                logits, state = self.step(symbol, state)
            else:  # the last column is still padding, and nothing looks at it
                logits = self.logits(x[:, : t + 1], c)[:, -1]
            p = probabilities(without(without(logits, PAD), UNKNOWN), temperature, top_p)
            symbol = torch.multinomial(p, 1, generator=generator)[:, 0]
            if start is not None and t < start.shape[1]:
                symbol = torch.where(start[:, t] == PAD, symbol, start[:, t])
            x[:, t] = symbol.masked_fill(~going, PAD)
            going &= symbol != END
            if not going.any():
                break
        return x

    def _seen(self, x):
        """The symbols looked at, (N, T): an end, then x without its last; in training, with some made unknown."""
        x = before(x)
        if self.training and self.drop_symbols:
            drop = torch.rand(x.shape, device=x.device) < self.drop_symbols
            drop[:, 0] = False  # that a text begins is no secret
            x = x.masked_fill(drop, UNKNOWN)
        return x

    def _conditioned(self, n, c):
        """c as it enters the network, (n, C), or None; refused in a sentence if it is not what the model expects."""
        if not self.condition:
            return None  # so that one line of code serves models with and without
        if c is None or c.shape != (n, self.condition) or not c.is_floating_point():
            found = "nothing" if c is None else f"{c.dtype} of shape {tuple(c.shape)}"
            raise ValueError(f"the condition should be real numbers of shape ({n}, {self.condition}), and is {found}.")
        if self.training and self.noise:
            c = c + self.noise * torch.randn_like(c)
        return c / self.spread


class GRULanguageModel(LanguageModel):
    """A gated recurrent unit: all that was read is one vector h (Cho et al., 2014), which every symbol changes.

    The condition is mapped linearly twice: to the first h, and to what is added to every symbol's embedding.
    """

    def __init__(self, symbols: int, hidden: int = 128, embedding: int = 64, condition: int = 0, dropout: float = 0.0,
                 longest: int = 64, spread: float = 1.0, noise: float = 0.0, drop_symbols: float = 0.0):
        super().__init__(symbols, condition, longest, spread, noise, drop_symbols)
        self.embedding = nn.Embedding(symbols, embedding)
        self.gru = nn.GRU(embedding, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, symbols)
        if condition:
            self.to_state, self.to_input = nn.Linear(condition, hidden), nn.Linear(condition, embedding)

    def begin(self, n: int, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The state before the first symbol: h (1, n, hidden), and what the condition adds to inputs, (n, 1, E)."""
        c = self._conditioned(n, c)
        if c is None:
            weight = self.head.weight
            return weight.new_zeros(1, n, self.gru.hidden_size), weight.new_zeros(n, 1, self.gru.input_size)
        return torch.tanh(self.to_state(c))[None], self.to_input(c)[:, None]

    def step(self, symbol: Tensor, state: tuple) -> tuple[Tensor, tuple]:
        """The logits (n, V) of what follows symbol (n,), and the next state."""
        logits, h = self._run(symbol[:, None], state)
        return logits[:, 0], (h, state[1])

    def logits(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The logits (N, T, V) of all symbols of x (N, T), each from those before it."""
        return self._run(self._seen(x), self.begin(len(x), c))[0]

    def _run(self, seen, state):
        h, added = state
        out, h = self.gru(self.dropout(self.embedding(seen) + added), h)  # (N, T, hidden)
        return self.head(self.dropout(out)), h


def attention_weights(q, k, mask=None):
    """How much each place attends to each other: softmax(q kᵀ / √d), (…, T, S); rows sum to 1.

    q (…, T, d) asks, k (…, S, d) is asked; where mask (T, S) is False, nobody looks.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (…, T, S)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return softmax(scores, dim=-1)


def attention(q, k, v, mask=None):
    """Averages of v (…, S, d), one for each place of q (…, T, d), weighed by how well its k fits q (Vaswani, 2017)."""
    return attention_weights(q, k, mask) @ v


def causal(T, S, device=None):
    """Which of S places the last T of them may look at: themselves and all before, (T, S) of True and False."""
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


class Block(nn.Module):
    """One layer of a Transformer: look around, then think. Each adds to what comes in, after a LayerNorm (pre-norm)."""

    def __init__(self, width, heads, dropout=0.0):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def split(self, h):
        """Queries, keys and values of h (N, T, width): each (N, heads, T, width / heads)."""
        qkv = self.qkv(self.norm_1(h)).unflatten(-1, (3, self.heads, -1))  # (N, T, 3, heads, d)
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, h, past=None):
        """h (N, T, width) to the same; ``past`` are keys and values of earlier places, and come back with the new."""
        q, k, v = self.split(h)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        look = attention(q, k, v, causal(q.shape[2], k.shape[2], h.device))
        h = h + self.dropout(self.out(look.transpose(1, 2).flatten(2)))
        return h + self.dropout(self.think(self.norm_2(h))), (k, v)


class Transformer(LanguageModel):
    """A decoder-only Transformer: every place attends to all places before it (Vaswani et al., 2017; GPT).

    Places are told apart by learned embeddings, so that texts have at most ``longest`` symbols, end included.
    The condition is mapped linearly to what is added to every symbol's embedding.
    """

    blocks: Any  # a ModuleList of Block

    def __init__(self, symbols: int, width: int = 64, layers: int = 2, heads: int = 4, condition: int = 0,
                 dropout: float = 0.0, longest: int = 64, spread: float = 1.0, noise: float = 0.0,
                 drop_symbols: float = 0.0):
        super().__init__(symbols, condition, longest, spread, noise, drop_symbols)
        if width % heads:
            raise ValueError(f"width is {width} and heads {heads}; choose a width that the heads can share.")
        self.embedding, self.place = nn.Embedding(symbols, width), nn.Embedding(longest, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, symbols)
        self.dropout = nn.Dropout(dropout)
        for table in (self.embedding, self.place):
            nn.init.normal_(table.weight, std=0.1)  # not 1: what the blocks add should count from the start
        if condition:
            self.to_input = nn.Linear(condition, width)

    def logits(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The logits (N, T, V) of all symbols of x (N, T), each from those before it."""
        return self._run(self._seen(x), self._added(len(x), c))[0]

    def begin(self, n: int, c: Tensor | None = None) -> tuple:
        """The state before the first symbol: what the condition adds, (n, 1, width), and an empty cache."""
        return self._added(n, c), None

    def step(self, symbol: Tensor, state: tuple) -> tuple[Tensor, tuple]:
        """The logits (n, V) of what follows symbol (n,), from the cache of keys and values, and the next state."""
        logits, cache = self._run(symbol[:, None], *state)
        return logits[:, 0], (state[0], cache)

    @torch.no_grad()
    def attention_maps(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Who looks at whom while x (N, T) is predicted: (N, layers, heads, T, T).

        Row t is the prediction of symbol t; column s is what it looks at, symbol s - 1; column 0 is the start.
        """
        h, maps = self._enter(self._seen(x), self._added(len(x), c)), []
        for block in self.blocks:
            q, k, _ = block.split(h)
            maps.append(attention_weights(q, k, causal(x.shape[1], x.shape[1], h.device)))
            h, _ = block(h)
        return torch.stack(maps, dim=1)

    def _added(self, n, c):
        c = self._conditioned(n, c)
        return 0.0 if c is None else self.to_input(c)[:, None]

    def _enter(self, seen, added, start=0):
        stop = start + seen.shape[1]
        if stop > self.longest:
            raise ValueError(f"the text has {stop} symbols, and this Transformer knows {self.longest} places; build it "
                             f"with longest={stop} or more.")
        place = self.place(torch.arange(start, stop, device=seen.device))
        return self.dropout(self.embedding(seen) + place + added)

    def _run(self, seen, added, cache=None):
        """Logits for what follows the symbols seen (N, T), and the cache: keys and values of every layer."""
        h = self._enter(seen, added, 0 if cache is None else cache[0][0].shape[2])  # (N, T, width)
        filled = []
        for layer, block in enumerate(self.blocks):
            h, past = block(h, None if cache is None else cache[layer])
            filled.append(past)
        return self.head(self.norm(h)), filled


class TextEncoder(nn.Module):
    """x (N, T), and c (N, C) if ``condition`` is C, to a Normal distribution over codes (N, K), for use in a VAE.

    A recurrent network reads the text; the code is told the average of its states, padding left out.
    """

    def __init__(self, symbols: int, K: int, hidden: int = 128, embedding: int = 64, condition: int = 0,
                 dropout: float = 0.0, spread: float = 1.0):
        super().__init__()
        self.condition, self.spread = condition, spread
        self.embedding = nn.Embedding(symbols, embedding)
        self.gru = nn.GRU(embedding, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden + condition, 2 * K)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Normal:
        x = trim(x)
        here = (x != PAD)[..., None]  # (N, T, 1)
        h = self.gru(self.dropout(self.embedding(x)))[0]  # (N, T, hidden)
        h = (h * here).sum(dim=1) / here.sum(dim=1).clamp(min=1)
        if self.condition:
            h = torch.cat([h, c / self.spread], dim=1)
        return to_normal(self.head(self.dropout(h)))


class TextDecoder(nn.Module):
    """z (N, K), and c (N, C) if ``condition`` is C, to a distribution over texts: a GRU told both at every symbol.

    It looks at the part of x before each symbol, so that it can do without the code, and often does (posterior
    collapse: Bowman et al., 2016). ``drop_symbols`` makes it rely less on what it has read.

    Told the text as it goes along, it reconstructs almost anything: what a code says shows only in ``generate``,
    with temperature 0 for the likeliest symbol at each place.
    """

    autoregressive = True

    def __init__(self, symbols: int, K: int, hidden: int = 128, embedding: int = 64, condition: int = 0,
                 dropout: float = 0.0, longest: int = 64, spread: float = 1.0, drop_symbols: float = 0.0):
        super().__init__()
        self.condition, self.spread = condition, spread
        self.language = GRULanguageModel(symbols, hidden, embedding, K + condition, dropout, longest,
                                         drop_symbols=drop_symbols)

    def forward(self, z: Tensor, c: Tensor | None, x: Tensor) -> Text:
        return self.language.predict(x, self._told(z, c))

    def generate(self, z: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None,
                 temperature: float = 1.0, top_p: float = 1.0, longest: int | None = None) -> Tensor:
        """One text for each code z (N, K), symbol after symbol: (N, longest)."""
        return self.language.sample(len(z), self._told(z, c), generator, temperature, top_p, longest)

    def _told(self, z, c):
        return torch.cat([z, c / self.spread], dim=1) if self.condition else z
