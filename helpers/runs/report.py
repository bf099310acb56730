"""A run as one page, report.html, for whoever opens it by a double click: samples, figures in words, what to do next.

Everything is inside of the page: nothing is loaded from elsewhere, and no script runs. What came from the reader's
data (labels, names of files, texts) is shown as text, whatever it holds.
"""

import os
import re
import shlex
import subprocess
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from helpers import senses
from helpers.data.dataset import DataError
from helpers.runs import codes, curve, playable, scores
from helpers.senses.image import DENSITIES

CSS = Path(__file__).with_name("report.css")
PAPER = CSS.with_name("paper.css")  # the style that all pages share
MOST = 24  # examples of a kind on the page, where there are no labels
MOST_LABELS = 16  # labels that have a row each, as long as there are so few
PAIRS = 3  # suspicious samples that are shown beside the nearest training example
TIE = 0.01  # of the bits of the best baseline: a smaller difference is none
RIVALS = {
    "uniform": "which knows nothing and takes everything for equally likely",
    "independent pixels": "which knows how often each grey level occurs at each pixel, but not how pixels go together",
    "one Normal for all": "which knows only the average and the spread of all numbers",
    "mean": "which knows the average example, and how far examples are from it",
    "mean, by frequency": "which knows the average example, and how far each frequency is from it",
    "mean of the label, by frequency": "which knows the average example of each label, and how far each frequency is "
    "from it",
    "mean of the label": "which knows the average example of each label, and how far examples are from it",
}
SECTIONS = {"samples": "What it makes", "score": "How good it is", "copies": "Does it copy?", "data": "The data",
            "limits": "Limits", "next": "How to go on"}


def page(run: Any, judged: np.ndarray | None = None) -> str:
    """The page of a finished ``Run``, a whole HTML document without lone surrogates.

    judged (n, …): the samples that the check for copies has judged; drawn again if they are not given. Data that can no
    longer be read are left out of the page, which says so.
    """
    try:
        data, missing = run.data, ""
    except DataError as error:
        data, missing = None, str(error)
    card = run.data_card
    body = {
        "samples": _samples(run, data, missing),
        "score": _score(run),
        "copies": _copies(run, data, judged),
        "data": _data(card),
        "limits": _list([_text(line) for line in run.card["limits"] if line != run.report["copies"]["verdict"]]),
        "next": _next(run),
    }
    title = f"A model of {card['name']}"
    links = "".join(f'<li><a href="#{name}">{says}</a></li>' for name, says in SECTIONS.items())
    sections = "".join(f'<section id="{name}"><h2>{SECTIONS[name]}</h2>{content}</section>\n'
                       for name, content in body.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:; \
style-src 'unsafe-inline'">
<title>{_attribute(title)}</title>
<link rel="icon" href="data:,">
<style>
{PAPER.read_text(encoding="utf-8")}{CSS.read_text(encoding="utf-8")}</style>
</head>
<body>
<header><h1>{_text(title)}</h1>
<p class="lead">{_lead(run)}</p>
<nav aria-label="On this page"><ul>{links}</ul></nav></header>
<main>
{sections}</main>
<footer><p>Made by <i>From Encoder to Generator</i>. Nothing on this page is loaded from elsewhere, so it can be read
without a network. It holds real examples of the data and names of files: look before you share it.</p></footer>
</body>
</html>
"""


# --- words -----------------------------------------------------------------------------------------------


def _attribute(text):
    """Text that came from anywhere, safe between tags and in attributes."""
    return escape(str(text).encode("utf-8", "replace").decode())


def _text(text):
    """The same between tags: in any writing, and without an effect on the direction of what stands beside it."""
    return f"<bdi>{_attribute(text)}</bdi>"


def _list(items):
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _lead(run):
    """One sentence: what was learnt from what."""
    card, report = run.data_card, run.report
    labels = f" with {len(run.names)} labels" if run.names else ""
    seconds = report["seconds of training"]
    long = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{max(2, seconds):.0f} seconds"
    return (f"It has looked at {card['splits']['train']:,} {card['kind']}s{labels} for {long}, and makes new ones. "
            "This page shows what it makes, how good it is, and how to go on.")


# --- examples --------------------------------------------------------------------------------------------


def _samples(run, data, missing):
    """Samples of the model and real held-out examples side by side, a row for each label where there are few."""
    own, C, kind = senses.sense(run.kind), len(run.names), run.kind
    rows = 0 < C <= MOST_LABELS
    each = max(1, min(8, min(2 * MOST, own.SHEET[0]) // C)) if rows else 0
    drawn = run.sample(C * each if rows else min(MOST, own.SHEET[0]))
    said = "The first that it drew, not a selection. "
    if data is None:
        said += f"Real {kind}s are not shown: {_text(missing)}"
    else:
        said += f"Beside them are real {kind}s that it was never shown."
    if "prior" in run.report:
        said += f" {_text(codes.in_words(run.report['prior']))}"
    found = [f"<p>{said}</p>"]
    for k in range(C) if rows else [None]:
        mine = [i for i in range(len(drawn.x)) if not rows or i % C == k]
        names = [drawn.labels[i] if drawn.labels else "" for i in mine]
        inner = _shown(own, [drawn.x[i] for i in mine], names, "sample", captions=not rows and C > 0)
        columns = f'<div><h4>Made by the model</h4>{inner}</div>'
        if data is not None:
            x, names = _real(run, data, k, len(mine))
            inner = _shown(own, x, names, "real example", captions=not rows and C > 0)
            columns += f'<div class="real"><h4>Real, never shown to it</h4>{inner}</div>'
        title = f"<h3>{_text(run.names[k])}</h3>" if rows else ""
        found.append(f'<div class="{"label" if rows else "all"}">{title}<div class="beside">{columns}</div></div>')
    return "".join(found)


def _real(run, data, label, n):
    """n held-out examples at random, of one label or of all, and the names of their labels."""
    rows, named = data.rows["test"], data.c is not None and data.c.ndim == 1 and len(run.names) > 0
    if label is not None:
        rows = rows[data.c[rows] == label]
    rows = np.random.default_rng(0).permutation(rows)[:n]
    return _present(run, data.x[rows]), [run.names[data.c[row]] if named else "" for row in rows]


def _present(run, x):
    return senses.sense(run.kind).present(x, run.card) if len(x) else []


def _shown(own, x, names, what, captions=False):
    """Examples as a list, each with a description for those who cannot see it."""
    if len(x) == 0:
        return '<p class="soft">none</p>'
    numbers = [f" {i}" for i in range(1, len(names) + 1)] if len(names) > 1 else [""]
    says = [f"{what}{number}{f', {name}' if name else ''}" for number, name in zip(numbers, names)]
    pieces = own.html(x, [_attribute(line) for line in says])
    notes = [f'<span class="soft">{_text(name)}</span>' if captions else "" for name in names]
    return f'<ul class="shown">{"".join(f"<li>{piece}{note}</li>" for piece, note in zip(pieces, notes))}</ul>'


# --- figures ---------------------------------------------------------------------------------------------


def _score(run):
    score, unit = run.report["score"], _unit(run.report["score"]["unit"])
    rows = [(name, b["bits"], RIVALS.get(name, _counted(name)), "") for name, b in score["baselines"].items()]
    if score["bits"] is not None:
        rows.append(("the model", score["bits"], _what(score["what"]), "ours"))
    own, figures = codes.scored(score, run.report.get("prior", {})), run.report.get("prior", {})
    if own is not None:
        says = (f"about: with codes from the prior that was fitted to them in place of the standard Normal, by "
                f"{figures['gain, examples']} test examples")
        rows.append(("the model with its prior", own[1], says, "ours"))
    rows.sort(key=lambda row: -row[1])
    bars = rows[-1][1] > 0
    cells = "".join(
        f'<tr class="{ours}"><th scope="row">{_text(name)}<span class="soft">{says}</span></th>'
        f'<td class="number">{_number(bits)}</td>'
        + (f'<td class="bar"><div style="width:{100 * bits / rows[0][1]:.0f}%"></div></td>' if bars else "") + "</tr>"
        for name, bits, says, ours in rows
    )
    head = f'<tr><th scope="col">who</th><th scope="col" class="number">{unit}</th>{"<td></td>" * bars}</tr>'
    table = (f"<table><caption>Measured on {score['examples']:,} test examples; lower is better</caption>"
             f"<thead>{head}</thead><tbody>{cells}</tbody></table>")
    return f'<p class="big">{in_words(run)}</p>{table}{curve.drawn(run.history)}'


def in_words(run: Any) -> str:
    """What the score means, for whoever has never heard of it; HTML."""
    score, kind = run.report["score"], run.kind
    name, best = min(score["baselines"].items(), key=lambda item: item[1]["nats"])
    each = _unit(score["unit"]).removeprefix("bits per ")
    if score["bits"] is None:
        return (f"This model draws {kind}s, but cannot say how likely one is. So there is no figure for it: look at "
                "what it makes, and at the check for copies.")
    rival = RIVALS.get(name, _counted(name))
    rival = f"the best simple rival (<b>{_text(name)}</b>{', ' if rival else ''}{rival})"
    mine, theirs = score["bits"], best["bits"]
    saved, kinds = theirs - mine, f"{kind}s" if score["examples"] > 1 else kind
    density = DENSITIES in senses.sense(kind).limits(run.model.plan) or min(mine, theirs) <= 0
    tested = f"{score['examples']:,} test {kinds} that it was never shown"
    if density:
        said = (f"On {tested}, the model reaches <b>{_number(mine)}</b> bits per {each}, and {rival} reaches "
                f"{_number(theirs)}. Lower is better; where 0 lies has no meaning here.")
    else:
        said = (f"To write down one of {tested}, it needs <b>{_number(mine)} bits</b> for each {each}; {rival} needs "
                f"{_number(theirs)}. A bit is the answer to one question of yes or no, so fewer is better.")
    if abs(saved) <= TIE * (1.0 if density else theirs):
        return f"{said} <b>The two are about equal</b>: so far it has learnt little that the rival does not know."
    if saved < 0:
        return (f"{said} <b>So it does worse than the rival</b>: as a description of such {kind}s it is no gain. Its "
                "samples may be worth a look all the same; more examples or more time may help.")
    gain = (f"what really came was {2**saved:,.1f} times as likely for it, in each {each}, as for the rival" if density
            else f"it saves {max(1, round(100 * saved / theirs))}%")
    return (f"{said} <b>So {gain}</b>: it has learnt something about how the parts of such {kind}s go together that "
            "the rival cannot know.")


def _unit(unit):
    return _attribute(unit).replace("dimension", "number")


def _counted(name):
    found = re.match(r"(\d+)-gram", name)
    if not found:
        return ""
    before = int(found[1]) - 1
    if before == 0:
        return "which counts how often each character occurs"
    return f"which counts what comes after each {f'{before} characters' if before > 1 else 'character'}"


def _what(bound):
    return "" if bound == "exact" else f"a bound ({_attribute(bound)}): it may be better than that, and is not worse"


def _number(bits):
    return f"{bits:.2f}".replace("-", "−")


# --- copies ----------------------------------------------------------------------------------------------


def _copies(run, data, judged):
    found = run.report["copies"]
    suspects = found.get("suspects", [])[:PAIRS]
    said = (f'<p class="{"warning" if found["alarm"] else "big"}">{_text(found["verdict"])}</p>'
            f"<p>{found['samples']:,} samples were compared with {found['compared with']:,} training examples. This "
            "check finds copies that are close; it cannot prove that there are none.</p>")
    if not suspects:
        return said
    if data is None:
        return f"{said}<p>The most suspicious samples are not shown, since the data could not be read again.</p>"
    own = senses.sense(run.kind)
    judged = scores.drawn(run.model, data, found["samples"]) if judged is None else judged
    samples = _present(run, judged[[s["sample"] for s in suspects]])
    nearest = _present(run, data.x[[s["train"] for s in suspects]])
    pairs = "".join(
        f'<div class="pair"><div><h4>Sample</h4>{_shown(own, [a], [""], f"suspicious sample {k}")}</div>'
        f'<div class="real"><h4>Nearest in training</h4>{_shown(own, [b], [""], f"nearest training example {k}")}</div>'
        "</div>"
        for k, (a, b) in enumerate(zip(samples, nearest), start=1)
    )
    return f'{said}<h3>The most suspicious samples: are both the same?</h3><div class="pairs">{pairs}</div>'


# --- data, and what to do next ---------------------------------------------------------------------------


def _data(card):
    splits = card["splits"]
    parts = [f"{card['examples']:,} {card['kind']}s are used: {splits['train']:,} to learn from, {splits['valid']:,} "
             f"to choose by, and {splits['test']:,} to test with, which it was never shown."]
    if card["duplicates removed"]:
        parts.append(f"{card['duplicates removed']:,} came twice and were left out.")
    found = [f"<p>{' '.join(parts)}</p>"]
    if card["notes"]:
        found.append(f"<h3>Decided while reading</h3>{_list([_text(note) for note in card['notes']])}")
    left = card["left out"]
    if left["files"]:
        lines = [f"{_text(file)}: {_text(why)}" for file, why in left["first"]]
        if left["files"] > len(lines):
            lines.append(f"and {left['files'] - len(lines):,} more")
        found.append(f"<h3>Left out: {left['files']:,} file{'s' * (left['files'] != 1)}</h3>{_list(lines)}")
    if card["labels"]:
        rows = "".join(f'<tr><th scope="row">{_text(name)}</th><td class="number">{n:,}</td></tr>'
                       for name, n in card["labels"].items())
        table = ('<table><thead><tr><th scope="col">label</th><th scope="col" class="number">examples</th></tr>'
                 f"</thead><tbody>{rows}</tbody></table>")
        many = len(card["labels"]) > MOST_LABELS
        found.append(f"<details><summary>{len(card['labels']):,} labels</summary>{table}</details>" if many else table)
    if card["source"]:
        found.append(f'<p class="soft">Source: {_text(card["source"])}</p>')
    return "".join(found)


def _next(run):
    out, origin = str(run.path), run.card["settings"]["origin"]
    label = [f"--label={run.names[0]}"] if run.names else []
    steps = [("Draw more", ["sample", out, "-n", "9", *label, "--seed", "1"])]
    if playable.what(run.model):
        steps.append(("Make one HTML file of it, which plays in any browser; nothing has to be installed for it",
                      ["page", out, "--out", "model.html"]))
    if origin:
        steps.append(("Train on for five minutes; the better of both is kept",
                      ["fit", origin["path"], "--out", out, "--more", "5"]))
    steps += [("Start from what it knows, with other data of the same kind and size",
               ["fit", "OTHER-DATA", "--out", "NEW-RUN", "--from", out]),
              ("All figures again", ["info", out])]
    lines = "".join(f"<dt>{says}</dt><dd><pre><code>{_attribute(command(*words))}</code></pre></dd>"
                    for says, words in steps)
    return ("<p>Type these in the folder from which the model was made (with <code>.venv/bin/python</code> for "
            f"<code>python</code>, if <code>make</code> has set it up).</p><dl>{lines}</dl>")


def command(*words: str) -> str:
    """A command of ``python -m helpers`` as it is typed, with quotes where the shell of this system needs them."""
    joined = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return joined(["python", "-m", "helpers", *words])
