"""The plain model of text: a recurrent network and n-grams guess the next symbol together.

Each order of n-gram has a guess, counted once (``helpers.models.grams``); the network has another. Their mixture

    p(x_t | x_<t) = Σ_k w_k p_k(x_t | x_<t),    w = softmax(A h_t + B f_t + b)

is weighed by the network's state h_t and by f_t, how often the history of each order was seen: so it is learned where
counting is enough. While training, a symbol is taken out of all counts before it is guessed (leave one out), or the
n-grams would seem to know everything. And the network learns to guess on its own, as well as in the mixture, or it
would learn only what counting leaves to it, and be of little use where a text is new.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, log_softmax, one_hot

from helpers.data.dataset import Dataset
from helpers.data.text import END, PAD
from helpers.models.contract import everywhere
from helpers.models.grams import Tree, count, following, look
from helpers.models.texts import LanguageModel, trim

MOST = 1_000_000  # grams that are kept: 20 MB
LOOK = 50_000  # symbols that are scored together
ROOM = 8_000_000  # probabilities that are held together
NETWORK = 0.03  # the weight of the network before it has learned anything


class Language(LanguageModel):
    """A GRU mixed with n-grams up to ``order`` symbols; told a label or real numbers, if there are any.

    ``shape`` is (T,), the length of the rows that it is trained on, at which drawing stops. ``start`` counts the
    n-grams, and puts into ``self.plan``, if there is one, how many they are (``grams``) and how much the numbers of the
    condition vary (``spread``).
    """

    fills = "exact"
    keys: Tensor
    counts: Tensor
    total: Tensor
    types: Tensor
    plan: Any

    def __init__(self, symbols: int, labels: int = 0, condition: int = 0, shape: tuple[int, ...] | list[int] = (64,),
                 hidden: int = 128, embedding: int = 64, dropout: float = 0.3, order: int = 6, grams: int = 0,
                 spread: float = 1.0):
        super().__init__(symbols, labels or condition, shape[0], spread)
        self.labels, self.order = labels, order
        self.embedding = nn.Embedding(symbols, embedding)
        self.gru = nn.GRU(embedding, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, symbols)
        self.weigh, self.weigh_seen = nn.Linear(hidden, order + 1), nn.Linear(2 * order, order + 1, bias=False)
        for part in (self.weigh.weight, self.weigh.bias, self.weigh_seen.weight):
            nn.init.zeros_(part)
        if self.condition:
            self.to_state, self.to_input = nn.Linear(self.condition, hidden), nn.Linear(self.condition, embedding)
        size = max(grams, symbols)
        self.register_buffer("keys", torch.arange(size))
        self.register_buffer("counts", torch.zeros(size, dtype=torch.int32))
        self.register_buffer("total", torch.zeros(size + 1, dtype=torch.int32))
        self.register_buffer("types", torch.zeros(size + 1, dtype=torch.int32))

    @staticmethod
    def recipe(plan: dict, n: int) -> dict:
        """Arguments for ``training.fit``: about 6,400 symbols a step, fewer where there are many characters."""
        at_once = min(6400, ROOM // plan["symbols"])
        batch = max(8, min(64, at_once // plan["shape"][0]))
        return dict(batch_size=batch, lr=3e-3, warmup=0.02, epochs=max(20, min(400, 40_000 // math.ceil(n / batch))))

    @torch.no_grad()
    def start(self, data: Dataset) -> None:
        """Count the n-grams of the train split, and weigh their orders by how well they do where one is left out."""
        x = data.train.x
        self.keys, self.counts, self.total, self.types = count(x, self.symbols, self.order, MOST)
        some = torch.from_numpy(x[:: max(1, x.size // 200_000)]).long()
        p = self._look(some, leave_one_out=True)[0][some != PAD]  # (places, order)
        weights = torch.full((self.order,), 1 / self.order, dtype=p.dtype)
        for _ in range(30):  # expectation maximisation
            weights = (p * weights / (p @ weights)[:, None]).mean(dim=0)
        weights = torch.cat([(1 - NETWORK) * weights.clamp(min=1e-3), weights.new_tensor([NETWORK])])
        self.weigh.bias.copy_(weights.log())
        if self.condition and not self.labels:
            self.spread = round(max(1e-6, float(data.train.c.std(axis=0).mean())), 6)
        if hasattr(self, "plan"):
            self.plan |= {"grams": len(self.keys), "spread": self.spread}

    def log_prob(self, x: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x|c) of each text of x (N, T), its end included and padding not: (N,), in nats; exact."""
        c, x = self._told(c), trim(x)
        rows = max(1, LOOK // x.shape[1])
        if not self.training and len(x) > rows:  # memory should not grow with the batch
            parts = (None,) * len(x) if c is None else c.split(rows)
            return torch.cat([self.log_prob(a, b) for a, b in zip(x.split(rows), parts)])
        return self._guesses(x, c)[0]

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> tuple[Tensor, dict]:
        """-log p(x|c) in nats per example, whose gradient is also that of the network alone; and bits per character."""
        x = trim(batch[0])
        if not self.training:
            return super().loss(batch)
        mixed, alone = (-log_p for log_p in self._guesses(x, self._told(batch[1])))
        bits = mixed.detach().sum() / (x != PAD).sum() / math.log(2)
        return (mixed + alone - alone.detach()).mean(), {"bits per character": bits}

    def _guesses(self, x, c):
        """log p of each text of x (N, T), by the mixture and by the network alone: both (N,)."""
        here = x != PAD  # (N, T)
        h = self._run(self._seen(x), self.begin(len(x), c)[:2])[0][here]  # (M, hidden), of M symbols that count
        p, seen, types = (part[here] for part in self._look(x, leave_one_out=self.training))  # (M, order)
        guessed = torch.cat([-cross_entropy(self._scores(a), b, reduction="none") for a, b in zip(
            h.split(ROOM // self.symbols), x[here].split(ROOM // self.symbols))])
        parts = torch.cat([p.to(h.dtype).log(), guessed[:, None]], dim=1)
        mixed = torch.logsumexp(self._weights(h, seen, types) + parts, dim=1)
        return tuple(mixed.new_zeros(x.shape).index_put((here,), log_p).sum(dim=1) for log_p in (mixed, guessed))

    def logits(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """log p of every symbol at all places of x (N, T), each from those before it: (N, T, V)."""
        state, symbol, found = self.begin(len(x), self._told(c)), torch.full_like(x[:, 0], END), []
        for t in range(x.shape[1]):
            log_p, state = self.step(symbol, state)
            found.append(log_p)
            symbol = x[:, t]
        return torch.stack(found, dim=1)

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None,
               temperature: float = 1.0, top_p: float = 1.0, longest: int | None = None, cache: bool = True,
               start: Tensor | None = None) -> Tensor:
        """n texts, as all models of text draw them; c may also be labels (n,)."""
        return super().sample(n, self._told(c), generator, temperature, top_p, longest, cache, start)

    def fill_in(self, x: Tensor, known: Tensor, c: Tensor | None = None, n: int = 1,
                generator: torch.Generator | None = None, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """n texts that go on after the beginning of each of x (N, T) (``models.contract``): (n, N, T), exact.

        Raises ValueError unless what is ``known`` of each text is its beginning.
        """
        known = everywhere(known, x)
        if (known[:, 1:] & ~known[:, :-1]).any():
            raise ValueError("a language model writes from left to right, and what comes before a known symbol is "
                             "missing; give beginnings, or use a masked model of texts.")
        start = x.masked_fill(~known, PAD).repeat(n, 1)
        told = None if c is None else c.repeat(n, *[1] * (c.dim() - 1))
        drawn = self.sample(len(start), told, generator, temperature, top_p, x.shape[1], start=start)
        return drawn.view(n, *x.shape)

    def begin(self, n: int, c: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The state before the first symbol: h, what the condition adds to inputs, and the history, (n, order - 1)."""
        weight, c = self.head.weight, self._conditioned(n, c)
        history = torch.full((n, self.order - 1), PAD, device=weight.device)
        if c is None:
            return weight.new_zeros(1, n, self.gru.hidden_size), weight.new_zeros(n, 1, self.gru.input_size), history
        return torch.tanh(self.to_state(c))[None], self.to_input(c)[:, None], history

    def step(self, symbol: Tensor, state: tuple) -> tuple[Tensor, tuple]:
        """log p (n, V) of what follows symbol (n,), and the next state."""
        h, added, history = state
        history = torch.cat([history, symbol[:, None]], dim=1)[:, 1:]
        out, h = self._run(symbol[:, None], (h, added))
        p, seen, types = following(self._tree(), history, self.order, self.symbols)
        parts = torch.cat([p.to(out.dtype).log(), log_softmax(self._scores(out), dim=-1)], dim=1)  # (n, order + 1, V)
        weights = self._weights(out[:, 0], seen, types)
        return torch.logsumexp(weights[..., None] + parts, dim=1), (h, added, history)

    def _run(self, seen, state):
        h, added = state
        out, h = self.gru(self.dropout(self.embedding(seen) + added), h)
        return self.dropout(out), h  # (N, T, hidden)

    def _scores(self, h):
        """The network's logits (…, V); padding is never predicted."""
        bias = self.head.bias.masked_fill(torch.arange(self.symbols, device=h.device) == PAD, -math.inf)
        return linear(h, self.head.weight, bias)

    def _look(self, x, leave_one_out):
        return look(self._tree(), x, self.order, self.symbols, leave_one_out)

    def _tree(self):
        return Tree(self.keys, self.counts, self.total, self.types)

    def _weights(self, h, seen, types):
        """The log of the weights of all orders and of the network: (…, order + 1)."""
        f = torch.cat([torch.log1p(seen.to(h.dtype)), torch.log1p(types.to(h.dtype))], dim=-1)
        return log_softmax(self.weigh(h) + self.weigh_seen(f), dim=-1)

    def _told(self, c):
        """Labels (N,) as real numbers, one for each label; all else as it is."""
        if not self.labels or c is None or c.dim() != 1:
            return c
        return one_hot(c, self.labels).to(self.head.weight.dtype)
