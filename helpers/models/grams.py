"""Which symbols followed which, counted once: a tree of all grams up to a length, in sorted arrays.

A node is a gram; its children are the grams that have one symbol more at the end. A node's key is its parent's number
times V plus its last symbol, and numbers follow keys, so that one sorted array is the whole tree, and looking up a
million places takes seconds. Node 0 is the empty gram: its children, the single symbols, are nodes 0 to V - 1, and
padding, which would be node 0, is never looked up.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers.data.text import END, PAD


class Tree(NamedTuple):
    """M grams: keys (M,), int64, sorted; counts (M,), int32; and what followed each of them (M + 1,), int32: how many
    symbols, and how many different ones. Number M stands for all that was not seen, which nothing follows.
    """

    keys: Tensor
    counts: Tensor
    total: Tensor
    types: Tensor


def count(x: np.ndarray, symbols: int, order: int, most: int | None = None) -> Tree:
    """Count the grams of up to ``order`` symbols in texts x (N, T).

    An end stands before each text; it is never counted itself, only what follows it. ``most``: of more grams than
    this, those longer than three symbols that were seen rarely are forgotten.
    """
    x = np.asarray(x)
    seen = x != PAD
    starts = np.cumsum(seen.sum(axis=1) + 1) - (seen.sum(axis=1) + 1)
    flat = np.full(int(seen.sum()) + len(x), END, np.int64)
    inside = np.ones(len(flat), bool)
    inside[starts] = False
    flat[inside] = x[seen]
    place = np.arange(len(flat)) - np.repeat(starts, seen.sum(axis=1) + 1)  # 0 is the end before the text
    keys = [np.arange(symbols)]
    counts = [np.bincount(flat[place > 0], minlength=symbols)]
    node, known = flat, np.ones(len(flat), bool)
    for length in range(2, order + 1):
        known = np.append(False, known[:-1]) & (place >= length - 1)
        where = np.flatnonzero(known)
        key, number, times = np.unique(node[where - 1] * symbols + flat[where], return_inverse=True, return_counts=True)
        if most is not None and length > 3:
            least, room = 1, most - sum(map(len, keys))
            while (times >= least).sum() > max(0, room) // 2 ** (length < order):  # leave some for longer ones
                least += 1
            keep = times >= least
            known[where[~keep[number]]] = False
            where, number = where[keep[number]], (np.cumsum(keep) - 1)[number[keep[number]]]
            key, times = key[keep], times[keep]
        base = sum(map(len, keys))
        node = node.copy()
        node[where] = base + number
        keys.append(key)
        counts.append(times)
    times_ = np.concatenate(counts).astype(np.int32)
    return _summed(torch.from_numpy(np.concatenate(keys)), torch.from_numpy(times_), symbols)


def _summed(keys, counts, symbols):
    parent, size = torch.div(keys, symbols, rounding_mode="floor"), len(keys) + 1
    total = torch.bincount(parent, weights=counts.double(), minlength=size)
    types = torch.bincount(parent, weights=(counts > 0).double(), minlength=size)
    return Tree(keys, counts, total.int(), types.int())


def _child(keys: Tensor, node: Tensor, symbol: Tensor, symbols: int) -> Tensor:
    """The number of the gram that has one symbol more than ``node``; M, the number of no gram, if it was not seen."""
    wanted = node * symbols + symbol
    found = torch.searchsorted(keys, wanted)
    return torch.where(keys[found.clamp(max=len(keys) - 1)] == wanted, found, len(keys))


def look(tree: Tree, x: Tensor, order: int, symbols: int,
         leave_one_out: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """The n-grams' probabilities of all symbols of texts x (N, T), each from those before it, all orders at once.

    Returns three of shape (N, T, order): the probabilities (Witten and Bell, float64), and how many symbols, and how
    many different ones, followed the history of each order. leave_one_out: the symbol itself is taken out of all
    counts, as it must be where a text that was counted is looked at. Where x is padding, they mean nothing.
    """
    keys, counts, total, types = tree
    x = x.long()
    whole = torch.cat([torch.full_like(x[:, :1], END), x], dim=1)  # (N, T + 1)
    none = torch.full_like(whole[:, :1], len(keys))
    p = torch.full(x.shape, 1 / (symbols - 1), dtype=torch.float64, device=x.device)
    node, history = whole, torch.zeros_like(x)
    counts = torch.cat([counts, counts.new_zeros(1)])
    found = []
    for length in range(1, order + 1):
        if length > 1:
            history = node[:, :-1]
            node = torch.cat([none, _child(keys, history, whole[:, 1:], symbols)], dim=1)
        n, seen, different = counts[node[:, 1:]], total[history], types[history]
        if leave_one_out:
            here = (n > 0).int()
            n, seen, different = n - here, seen - here, different - ((n == 1).int())
        p = torch.where(seen > 0, (different * p + n) / (seen + different).clamp(min=1), p)
        found.append((p, seen, different))
    return _stacked(found, dim=-1)


def following(tree: Tree, history: Tensor, order: int, symbols: int) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`look`, of every symbol that may follow histories (n, H): (n, order, V), and (n, order) twice.

    A history is padded on the left where it is shorter than H.
    """
    keys, counts, total, types = tree
    n, H = history.shape
    p = torch.full((n, symbols), 1 / (symbols - 1), dtype=torch.float64, device=history.device)
    p[:, PAD] = 0
    found = []
    for length in range(order):
        node = torch.zeros(n, dtype=torch.long, device=history.device)
        if length > H:
            node = torch.full_like(node, len(keys))
        for t in range(max(0, H - length), H):
            step = _child(keys, node, history[:, t], symbols)
            node = torch.where((history[:, t] == PAD) | (node == len(keys)), torch.full_like(node, len(keys)), step)
        first, last = (torch.searchsorted(keys, (node + i) * symbols) for i in (0, 1))
        last = torch.where(node == len(keys), first, last)
        many = last - first
        row = torch.repeat_interleave(torch.arange(n, device=history.device), many)
        place = torch.arange(len(row), device=history.device) - torch.repeat_interleave(many.cumsum(0) - many, many)
        which = first[row] + place
        seen = torch.zeros_like(p).index_put((row, keys[which] % symbols), counts[which].double(), accumulate=True)
        all_, different = total[node], types[node]
        mixed = (different[:, None] * p + seen) / (all_ + different).clamp(min=1)[:, None]
        p = torch.where(all_[:, None] > 0, mixed, p)
        found.append((p, all_, different))
    return _stacked(found, dim=1)


def _stacked(found, dim):
    p, seen, different = (torch.stack(part, dim=dim) for part in zip(*found, strict=True))
    return p, seen, different
