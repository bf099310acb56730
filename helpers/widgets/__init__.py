"""Designers: turn a code or pick a condition, and see (or hear) at once what the model makes of it.

They need a running kernel. Where a notebook is only read, a still picture stands before each of them.
"""

from helpers.widgets.colours import ColourNamer
from helpers.widgets.drawing import LetterCanvas, alphabet_of
from helpers.widgets.explorer import Directions, Explorer, Sliders, png
from helpers.widgets.instrument import InstrumentDesigner, spectrogram_png
from helpers.widgets.ordering import OrderForm
from helpers.widgets.typeface import FontSaver, TypefaceDesigner

__all__ = ["ColourNamer", "Directions", "Explorer", "FontSaver", "InstrumentDesigner", "LetterCanvas", "OrderForm",
           "Sliders", "TypefaceDesigner", "alphabet_of", "png", "spectrogram_png"]
