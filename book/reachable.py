"""Corrections to the theme's pages, found by axe-core.

What scrolls sideways (code, what it printed, wide tables) can be reached by the keyboard; the captions in the sidebar
are headings with a level; the two sidebars have names.
"""

from pathlib import Path

CHANGES = {
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    'class="caption" role="heading"': 'class="caption" role="heading" aria-level="2"',
    '<aside class="sidebar-drawer"': '<aside class="sidebar-drawer" aria-label="Lessons"',
    '<aside class="toc-drawer"': '<aside class="toc-drawer" aria-label="On this page"',
}


def correct(app, error):
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for old, new in CHANGES.items():
            text = text.replace(old, new)
        page.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("build-finished", correct)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
