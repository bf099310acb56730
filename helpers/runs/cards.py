"""What is said of data, of a model, and of a run: cards that JSON can hold, and sentences."""

from collections import Counter
from typing import Any

import numpy as np

from helpers import senses
from helpers.build import family
from helpers.data.dataset import Dataset
from helpers.models.contract import Model
from helpers.runs import codes
from helpers.senses.numbers import value_range


def data_card(data: Dataset) -> dict:
    """What is in a data set: how much was found, what was left out and why, labels, splits, values, licence."""
    card = {
        "name": data.name,
        "kind": data.kind or "image",
        "source": data.source,
        "examples": len(data),
        "shape": list(data.shape),
        "duplicates removed": data.found - len(data),
        "left out": {"files": len(data.skipped), "first": [list(pair) for pair in data.skipped[:20]]},
        "labels": {},
        "splits": {split: len(rows) for split, rows in data.rows.items()},
        "values": list(value_range(data.x)),
        "notes": [note for note in data.notes if not note.startswith("left out: ")],
        "licence": "unknown",
    }
    if data.c is not None and data.c.ndim == 1:
        names = data.names or tuple(map(str, range(int(data.c.max()) + 1)))
        card["labels"] = {name: int(n) for name, n in zip(names, np.bincount(data.c, minlength=len(names)))}
    if data.group is not None:
        card["groups"] = {split: len(np.unique(data.group[rows])) for split, rows in data.rows.items()}
    if data.vocabulary is not None:
        card["characters"] = "".join(data.vocabulary.characters)
    return card


def sentence(model: Model, card: dict) -> str:
    """What a model is, from its plan and the card of its data."""
    plan, numbers = model.plan, sum(p.numel() for p in model.parameters())
    return f"{family(plan['model']).says(plan)}; {numbers:,} parameters; learnt from {card['name']}"


def limits(data: Dataset, card: dict, figures: dict, plan: dict) -> list[str]:
    """What whoever uses the model should know, in sentences."""
    score = figures["score"]
    name, best = min(score["baselines"].items(), key=lambda item: item[1]["nats"])
    found = [f"Learnt from {card['splits']['train']:,} examples; it cannot draw anything else."]
    if score["nats"] is None:
        found.append("It has no likelihood: how probable an example is, it cannot say.")
    elif score["nats"] > best["nats"]:
        found.append(f"Its held-out figure is worse than the baseline “{name}”: as a likelihood it is no gain.")
    if card["splits"]["test"] < 50:
        found.append(f"Scored on {card['splits']['test']} test examples only: figures are rough.")
    found += senses.sense(card["kind"]).limits(plan)
    counts: Counter[int] = Counter()
    if data.c is not None and data.names:
        counts.update(data.c[data.rows["train"]].tolist())
    few = [name for i, name in enumerate(data.names) if counts[i] < 10]
    if few:
        shown = ", ".join(few[:5]) + (" and others" if len(few) > 5 else "")
        found.append(f"Fewer than 10 training examples each: {shown}.")
    return [*found, figures["copies"]["verdict"]]


def lines(run: Any) -> list[str]:
    """What ``info`` prints of a ``Run``."""
    card, report, score = run.card, run.report, run.report["score"]
    rows = [(name, b["nats"], b["bits"]) for name, b in score["baselines"].items()]
    if score["nats"] is not None:
        kind = "exact" if score["what"] == "exact" else f"{score['what']}, a bound"
        rows.append((f"the model ({kind})", score["nats"], score["bits"]))
    own = codes.scored(score, report.get("prior", {}))
    if own is not None:
        rows.append(("the model, its prior (about)", *own))
    found = [
        f"{run.path}: {card['model']}",
        f"trained for {report['epochs']} epochs, {report['seconds of training']:.0f} seconds; "
        f"the weights of epoch {report['best epoch']} were {report.get('kept', 'best in validation')}",
        f"held-out {score['split']} split, {score['examples']} examples, lower is better:",
        f"  {'':<32}{'nats':>10}{score['unit']:>20}",
    ]
    for name, nats, bits in sorted(rows, key=lambda row: -row[1]):
        found.append(f"  {name:<32}{nats:>10,.1f}{bits:>20.3f}")
    if score["nats"] is None:
        found.append(f"  {'the model (no likelihood)':<32}{'–':>10}{'–':>20}")
    if "prior" in report:
        found.append(codes.in_words(report["prior"]))
    if run.names:
        found.append(f"labels: {', '.join(run.names[:20])}{' …' if len(run.names) > 20 else ''}")
    return [*found, "limits:", *(f"  {line}" for line in card["limits"])]
