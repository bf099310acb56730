"""Models as pages: one HTML file each, with the weights inside, that computes in the reader's browser.

A page asks for nothing from elsewhere and needs neither Python nor a server. Its networks are a few loops in plain
JavaScript, beside this file; a test holds their numbers against PyTorch's.
"""

from helpers.pages.shipped import PAGES, write

__all__ = ["PAGES", "write"]
