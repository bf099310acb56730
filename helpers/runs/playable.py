"""Which finished runs a page that plays can hold: ``helpers.pages.own`` makes it, the report speaks of it."""

from typing import Any

from helpers.models.images import ImageDecoder, PlainImageDecoder
from helpers.models.language import Language
from helpers.models.layers import Unlabelled
from helpers.models.sounds import SoundDecoder
from helpers.models.vae import VAE


def what(model: Any) -> str:
    """What the page of a model would play: "texts", "images" or "sounds"; nothing where no page can hold it."""
    if isinstance(model, Language):
        return "texts" if model.labels or not model.condition else ""
    if not isinstance(model, VAE):
        return ""
    if isinstance(decoder(model), (ImageDecoder, PlainImageDecoder)):
        return "images"
    return "sounds" if isinstance(decoder(model), SoundDecoder) else ""


def decoder(model: Any) -> Any:
    """The decoder itself, where labels are not told to it."""
    found = model.decoder
    return found.network if isinstance(found, Unlabelled) else found
