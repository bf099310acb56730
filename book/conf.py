"""How Sphinx makes the book, of the pages that tools/book.py writes; that also says where their figures are."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

project = "From Encoder to Generator"
author = "the authors of the series"
language = "en"
extensions = ["myst_nb", "mathml", "reachable"]
exclude_patterns = ["extra"]

nb_execution_mode = "off"  # the committed outputs are the book's
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
nitpicky = True

html_theme = "furo"  # light and dark by the reader's system or a button, and no request to other computers
html_title = project
html_static_path = [str(HERE / "static")]
html_css_files = ["book.css"]
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_math_renderer = "mathml"
