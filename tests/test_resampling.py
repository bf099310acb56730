"""Codes given an example, by importance resampling: against a posterior that is known."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal

from helpers.models import SetVAE
from helpers.models.resampling import answers
from helpers.models.vae import VAE


class Linear(nn.Module):
    """x = z + noise of deviation σ."""

    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma

    def forward(self, z, c=None):
        return Normal(z, self.sigma)


def known(x, temperature, sigma=0.5):
    """Mean and deviation of p(z|x) ∝ N(z; 0, 1) N(x; z, σ²)^(1/T)."""
    precision = 1 + 1 / (temperature * sigma**2)
    return x / (temperature * sigma**2) / precision, precision**-0.5


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_codes_have_the_mean_and_the_deviation_of_the_posterior(temperature):
    vae, g = VAE(nn.Identity(), Linear(0.5), code=1), torch.Generator().manual_seed(0)
    z = torch.randn(20_000, 1, generator=g)
    found = answers(vae, z, torch.tensor([[1.0]]), n=20_000, temperature=temperature, generator=g)
    mean, deviation = known(1.0, temperature)
    assert found.z.shape == (20_000, 1)
    assert found.z.mean().item() == pytest.approx(mean, abs=0.03)
    assert found.z.std().item() == pytest.approx(deviation, abs=0.03)


def test_the_effective_number_counts_equal_weights_as_they_are():
    vae = VAE(nn.Identity(), Linear(0.5), code=1)
    z = torch.ones(70, 1)
    assert answers(vae, z, torch.zeros(1, 1), batch=30).effective == pytest.approx(70)
    z[0] = 0.0  # the only one that fits
    assert answers(vae, z, torch.zeros(1, 1), temperature=0.01).effective == pytest.approx(1, abs=0.01)


def test_two_members_of_a_set_count_twice():
    vae, g = SetVAE(nn.Identity(), Linear(0.5), code=1), torch.Generator().manual_seed(0)
    z = torch.randn(20_000, 1, generator=g)
    one, two = (answers(vae, z, torch.ones(1, m, 1), torch.zeros(1, m).long(), 20_000, 1.0, g).z.std().item()
                for m in (1, 2))
    assert [one, two] == pytest.approx([5**-0.5, 9**-0.5], abs=0.03)


def test_the_generator_decides_and_bad_temperatures_are_refused():
    vae, z = VAE(nn.Identity(), Linear(0.5), code=1), torch.linspace(-2, 2, 100)[:, None]
    first, again, other = (answers(vae, z, torch.zeros(1, 1), generator=torch.Generator().manual_seed(s)).z.numpy()
                           for s in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    with pytest.raises(ValueError, match="above 0"):
        answers(vae, z, torch.zeros(1, 1), temperature=0.0)
