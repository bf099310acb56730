"""The PyTorch half of the series: what a model offers (``contract``), the VAE, its likelihoods, and networks."""

from helpers.models.likelihoods import DiscretisedNormal
from helpers.models.sets import SetVAE
from helpers.models.vae import VAE

__all__ = ["VAE", "DiscretisedNormal", "SetVAE"]
