"""The PyTorch half of the series: networks and the one class that turns an encoder and a decoder into a model."""

from helpers.models.build import build
from helpers.models.likelihoods import DiscretisedNormal
from helpers.models.vae import VAE

__all__ = ["VAE", "DiscretisedNormal", "build"]
