"""Encoders and decoders for spectrograms of single notes: networks only, for use in a VAE.

Spectrograms are natural logarithms of magnitudes, (N, F, T): F frequencies, T frames. The label is the pitch.
"""

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import one_hot

from helpers.models.layers import gelu_mlp, to_normal


class SpectrogramEncoder(nn.Module):
    """x (N, F, T) and its pitch c (N,) of C to a Normal distribution over codes (N, K).

    Each frame becomes a few numbers, by the same map; all frames together, and the pitch, become the code.
    """

    def __init__(self, F: int, T: int, C: int, K: int, frame: int = 32, hidden: int = 256, offset: float = -6.9):
        super().__init__()
        self.labels, self.offset = C, offset
        self.frame = nn.Linear(F, frame)
        self.net = gelu_mlp([frame * T + C, hidden, hidden, 2 * K])

    def forward(self, x: Tensor, c: Tensor) -> Normal:
        h = nn.functional.gelu(self.frame(x.transpose(1, 2) - self.offset))  # (N, T, frame)
        h = torch.cat([h.flatten(1), one_hot(c, self.labels).to(x.dtype)], dim=1)
        return to_normal(self.net(h))


class SpectrogramDecoder(nn.Module):
    """z (N, K) and a pitch c (N,) of C to Normal log-magnitudes (N, F, T), with one learned standard deviation.

    Every pitch has R spectra of its own, a dictionary (C, R, F). What the code says is how strong each of them
    is at each moment: gains (N, R, T). The spectrogram is their product, plus the pitch's average spectrogram.
    So the place of the harmonics is learned once for each pitch, and the code need only shape them.
    ``average`` is (C, F), the same at all times, or (C, F, T), where sounds begin and die away alike.
    """

    def __init__(self, K: int, F: int, T: int, C: int, R: int = 16, hidden: int = 256, average: ArrayLike | None = None,
                 sigma: float = 1.0):
        super().__init__()
        self.R, self.T = R, T
        self.code, self.label = nn.Linear(K, hidden), nn.Embedding(C, hidden)
        self.gains = nn.Sequential(nn.GELU(), gelu_mlp([hidden, hidden, R * T]))
        self.spectra = nn.Parameter(torch.randn(C, R, F) / math.sqrt(R))
        self.average = nn.Parameter(torch.zeros(C, F) if average is None else torch.as_tensor(average).float())
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)))

    def forward(self, z: Tensor, c: Tensor) -> Normal:
        gains = self.gains(self.code(z) + self.label(c)).view(-1, self.R, self.T)  # (N, R, T)
        average = self.average[c] if self.average.dim() == 3 else self.average[c][:, :, None]
        mean = average + self.spectra[c].transpose(1, 2) @ gains  # (N, F, T)
        return Normal(mean, torch.exp(self.log_sigma.clamp(min=-3.0)))

    @torch.no_grad()
    def start_from(self, average: ArrayLike, sigma: float) -> None:
        """Let learning start from the average spectrogram of each label, and from a sigma."""
        self.average.copy_(torch.as_tensor(average).float().reshape(self.average.shape))
        self.log_sigma.fill_(math.log(sigma))
