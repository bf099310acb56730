"""The parts of a page put together: weights in half precision, data that no name can break out of, one script."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.disk import MADE_BY
from helpers.models.prior import FlowPrior
from helpers.runs.report import PAPER

HERE = Path(__file__).parent


def pack(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tensors as names and shapes, and all their numbers in half precision, in base64.

    Numbers beyond what half precision holds, 65,504, become that.
    """
    most = torch.finfo(torch.float16).max
    halves = [tensor.detach().cpu().float().clamp(-most, most).half().numpy().ravel() for tensor in tensors.values()]
    data = np.concatenate([np.empty(0, np.float16), *halves]).astype("<f2").tobytes()
    return {"tensors": [[name, list(tensor.shape)] for name, tensor in tensors.items()],
            "halves": base64.b64encode(data).decode("ascii")}


def chosen(tensors: Mapping[str, Tensor], prefix: str, under: str = "") -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, under names that begin with ``under`` instead."""
    return {under + name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def of_prior(prior: Any) -> dict[str, Tensor]:
    """The tensors of a prior that a page needs, under "prior.": of a flow its averaged weights, and how codes scale."""
    state = prior.state_dict()
    if isinstance(prior, FlowPrior):
        scale = {name: state[name] for name in ("mean", "deviation")}
        state = scale | {name: value for name, value in state.items() if name.startswith("flow.average.module.")}
    return chosen(state, "", "prior.")


def embedded(facts: Any) -> str:
    """Facts as JSON that can stand inside a script element: nothing in it ends the element, or begins a comment."""
    text = json.dumps(facts, ensure_ascii=True, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def document(title: str, lead: str, body: Iterable[str], scripts: Iterable[str], facts: Any, foot: str) -> str:
    """A whole HTML document. title, lead: texts; foot: HTML; body, scripts: names of files beside this one, in order.

    The browser is told to run this one script, and to load nothing.
    """
    parts, script = ("\n".join((HERE / name).read_text(encoding="utf-8") for name in names)
                     for names in (body, scripts))
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode("ascii")
    title = escape(clean(title))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: blob:; media-src data: blob:; \
style-src 'unsafe-inline'; script-src 'sha256-{digest}'">
<meta name="generator" content="{MADE_BY}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{PAPER.read_text(encoding="utf-8")}{(HERE / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header><h1><bdi>{title}</bdi></h1>
<p class="lead">{escape(clean(lead))}</p></header>
<noscript><p><strong>This page computes in your browser, and JavaScript is switched off. Allow it for this file, and
open the page again.</strong></p></noscript>
<main class="desk">
{parts}</main>
<footer>{foot}</footer>
<script type="application/json" id="data">{embedded(facts)}</script>
<script>
{script}</script>
</body>
</html>
"""


def clean(text: str) -> str:
    """A text without lone surrogates, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
