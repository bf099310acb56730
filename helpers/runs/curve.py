"""The learning curve of a run as a drawing inside of a page (SVG), in the colours of the page."""

import math

import numpy as np

from helpers.training import History

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 92, 12, 40
MOST_POINTS = 300


def drawn(history: History) -> str:
    """Losses of training and validation against the epoch, with a dot at the epoch that was kept; HTML."""
    epochs = history["epoch"].astype(float)
    lines = {"train": history["train"].astype(float), "valid": history["valid"].astype(float)}
    finite = np.concatenate([line[np.isfinite(line)] for line in lines.values()])
    if len(epochs) < 2 or len(finite) == 0:
        return '<p class="soft">It was trained for one epoch only: there is no learning curve.</p>'
    low, high = finite.min(), np.quantile(finite, 0.98)  # the first epochs would flatten all others
    marks = ticks(low, high + (high == low))
    low, high = min(low, marks[0]), max(high, marks[-1])
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    x = lambda epoch: LEFT + (epoch - epochs[0]) / (epochs[-1] - epochs[0]) * (right - LEFT)
    y = lambda loss: bottom - (np.clip(loss, low, high) - low) / (high - low) * (bottom - TOP)

    parts = []
    for mark in marks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>'
                     f'<text x="{LEFT - 8}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:,g}</text>')
    for epoch in {epochs[0], epochs[len(epochs) // 2], epochs[-1]}:
        parts.append(f'<text x="{x(epoch):.1f}" y="{bottom + 18}" text-anchor="middle">{epoch:g}</text>')
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 4}" text-anchor="middle">epoch (once through the '
                 "training data)</text>")
    ends = {}
    step = math.ceil(len(epochs) / MOST_POINTS)
    for name, line in lines.items():
        rows = [i for i in range(len(line)) if (i % step == 0 or i == len(line) - 1) and np.isfinite(line[i])]
        points = " ".join(f"{x(epochs[i]):.1f},{y(line[i]):.1f}" for i in rows)
        parts.append(f'<polyline class="{name}" fill="none" stroke-width="2" points="{points}"/>')
        ends[name] = y(line[rows[-1]]) if rows else bottom
    if abs(ends["train"] - ends["valid"]) < 16:  # their names would lie on each other
        middle, side = (ends["train"] + ends["valid"]) / 2, 8 if ends["train"] > ends["valid"] else -8
        ends = {"train": middle + side, "valid": middle - side}
    for name, says in {"train": "training", "valid": "validation"}.items():
        parts.append(f'<text class="{name}" x="{right + 6}" y="{ends[name] + 4:.1f}">{says}</text>')
    best = history.best
    parts.append(f'<circle cx="{x(epochs[best]):.1f}" cy="{y(lines["valid"][best]):.1f}" r="5"/>')
    first, last = lines["valid"][0], lines["valid"][best]
    alt = (f"Learning curve over {len(epochs)} epochs: the validation loss goes from {first:,.4g} to {last:,.4g} at "
           f"epoch {epochs[best]:g}, whose weights were kept.")
    return (f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{alt}">{"".join(parts)}</svg>'
            "<figcaption>How it learnt: the error on the examples that it learns from, and on others (validation). "
            "Lower is better; the weights at the dot were kept.</figcaption></figure>")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """A few round numbers from low to high."""
    size = 10.0 ** math.floor(math.log10((high - low) / 2))
    step = next(s * size for s in (0.1, 0.2, 0.5, 1, 2, 5, 10) if (high - low) / (s * size) <= most)
    return [round(k * step, 12) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
