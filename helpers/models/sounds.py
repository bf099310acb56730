"""Encoders and decoders for spectrograms: networks only, for use in a VAE.

Spectrograms are natural logarithms of magnitudes, (N, F, T): F frequencies, T frames. Those of the lesson on audio are
for single notes, whose label is the pitch; a reader's recordings, of whatever, have their own.
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


class SoundEncoder(nn.Module):
    """x (N, F, T) and a label c (N,) of C to a Normal distribution over codes (N, K), for recordings of any kind.

    As :class:`SpectrogramEncoder`, but it sees how far a number is from the average of its frequency, in deviations,
    and brings what it makes of all frames to one scale: no recording, however loud, leads to a code far out.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, F: int, T: int, C: int, K: int, frame: int = 32, hidden: int = 256):
        super().__init__()
        self.labels = C
        self.register_buffer("centre", torch.zeros(F))
        self.register_buffer("scale", torch.ones(F))
        self.frame = nn.Linear(F, frame)
        self.norm = nn.LayerNorm(frame * T)
        self.net = gelu_mlp([frame * T + C, hidden, hidden, 2 * K])

    def forward(self, x: Tensor, c: Tensor) -> Normal:
        h = nn.functional.gelu(self.frame((x.transpose(1, 2) - self.centre) / self.scale))  # (N, T, frame)
        return to_normal(self.net(torch.cat([self.norm(h.flatten(1)), one_hot(c, self.labels).to(x.dtype)], dim=1)))

    @torch.no_grad()
    def start_from(self, centre: ArrayLike, scale: ArrayLike) -> None:
        """The average of each frequency, and its standard deviation: (F,)."""
        self.centre.copy_(torch.as_tensor(centre))
        self.scale.copy_(torch.as_tensor(scale).clamp(min=0.1))  # a band that is silent tells nothing


class SoundDecoder(nn.Module):
    """z (N, K) and a label c (N,) of C to Normal log-magnitudes (N, F, T), for recordings of any kind.

    As :class:`SpectrogramDecoder`, the average spectrogram of the label, and R spectra with gains that the code says.
    The spectra are common to all labels, with a difference for each, and come in deviations of their frequency; the
    standard deviation is learned for each frequency, for recordings have noisy bands and bands without any sound.
    """

    LEAST = -2.3  # log of the smallest standard deviation: 0.1, or 0.9 dB, which nobody hears
    spread: Tensor

    def __init__(self, K: int, F: int, T: int, C: int, R: int = 40, hidden: int = 256):
        super().__init__()
        self.R, self.T = R, T
        self.code, self.label = nn.Linear(K, hidden), nn.Embedding(C, hidden)
        self.gains = nn.Sequential(nn.GELU(), gelu_mlp([hidden, hidden, R * T]))
        self.spectra = nn.Parameter(torch.randn(R, F) / math.sqrt(R))
        self.own = nn.Parameter(torch.zeros(C, R, F))
        self.average = nn.Parameter(torch.zeros(C, F, T))
        self.register_buffer("spread", torch.ones(F))
        self.raw_sigma = nn.Parameter(torch.zeros(F))

    @property
    def sigma(self) -> Tensor:
        """The standard deviation of each frequency, (F,)."""
        return torch.exp(self.LEAST + nn.functional.softplus(self.raw_sigma))

    def forward(self, z: Tensor, c: Tensor) -> Normal:
        gains = self.gains(self.code(z) + self.label(c)).view(-1, self.R, self.T)  # (N, R, T)
        spectra = self.spread * (self.spectra + self.own[c])  # (N, R, F)
        return Normal(self.average[c] + spectra.transpose(1, 2) @ gains, self.sigma[:, None])

    @torch.no_grad()
    def start_from(self, average: ArrayLike, spread: ArrayLike, sigma: ArrayLike) -> None:
        """The average spectrogram of each label (C, F, T); by how much numbers of each frequency differ from it, (F,);
        and the standard deviations that learning starts from, (F,) or one.
        """
        self.average.copy_(torch.as_tensor(average))
        self.spread.copy_(torch.as_tensor(spread))
        above = (torch.as_tensor(sigma).float().log() - self.LEAST).clamp(min=0.05)
        self.raw_sigma.copy_(above.expm1().log())  # softplus backwards
