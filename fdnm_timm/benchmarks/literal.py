"""AGP and ANM as their equations are printed, autograd through abs, angle and polar: what ours are measured against.

Paper: FDNM, Eq. 1-6 - https://arxiv.org/abs/2401.02162
"""
from typing import Tuple

import torch

from ..layers import AmplitudeGuidedPhase, AmplitudeNuancesMining
from ..layers.frequency import NuancesBranch

__all__ = ['LiteralAGP', 'LiteralANM']


def _polar(x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Amplitude and phase (Eq. 1-3) of the half spectrum of (B, C, H, W), each (B, C, H, W//2+1)."""
    spec = torch.fft.rfft2(x, norm='ortho')
    return spec.abs(), spec.angle()


def _reconstruct(amplitude: torch.Tensor, phase: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.fft.irfft2(torch.polar(amplitude, phase), s=x.shape[-2:], norm='ortho')


class LiteralAGP(AmplitudeGuidedPhase):
    """`AmplitudeGuidedPhase` in polar form: its constructor, parameters and results, another way to them.

    Takes float32 or float64 maps (B, channels, H, W). Its gradients are autograd's, unprotected where an amplitude
    vanishes.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        amplitude, phase = _polar(x)
        strength = self.guide(amplitude.mean(dim=(-2, -1))).sigmoid()[:, :, None, None]
        return _reconstruct(amplitude, phase + strength * phase, x)


class LiteralANM(AmplitudeNuancesMining):
    """`AmplitudeNuancesMining` in polar form: its constructor, parameters and results, another way to them.

    Takes float32 or float64 maps (B, channels, H, W) of more than one bin. Its gradients are autograd's, without
    the clamp at small amplitudes; where a mined amplitude is negative, `torch.polar`'s own gradient has the wrong sign.
    """

    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        amplitude, phase = _polar(x)
        maps = []
        for branch in self.branches:
            assert isinstance(branch, NuancesBranch)
            mined = branch.norm(branch.conv(amplitude))
            maps.append(_reconstruct(amplitude + mined if self.residual else mined, phase, x))
        first, second = self.bn(torch.cat(maps)).chunk(2)
        return first, second
