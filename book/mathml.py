"""Mathematics as MathML, which browsers draw by themselves: no script, no network, and screen readers read it."""

import re

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

# A function's name stands a little apart from its argument, unless that begins with a bracket.
NAME = re.compile(r"(<mi>(?:log|ln|exp|sin|cos|max|min|det)</mi>)(?=<m[ins])")


def mathml(latex, display):
    """LaTeX as MathML; it may stand in the line, or be a "block"."""
    return NAME.sub(r'\1<mspace width="0.17em"/>', convert(latex, display=display))


def inline(writer, node):
    writer.body.append(mathml(node.astext(), "inline"))
    raise SkipNode


def block(writer, node):
    writer.body.append(f'<div class="math" tabindex="0">{mathml(node.astext(), "block")}</div>')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
