"""Amplitude guided phase (AGP) and amplitude nuances mining (ANM).

Paper: Frequency Domain Nuances Mining for Visible-Infrared Person Re-identification - https://arxiv.org/abs/2401.02162
"""
from typing import List, Tuple

import torch
import torch.nn as nn
from timm.layers import is_exportable
from timm.models import register_notrace_module

from .. import spectrum

__all__ = ['AmplitudeGuidedPhase', 'AmplitudeNuancesMining']


def _check(name: str, channels: int, init: str) -> None:
    if channels < 1:
        raise ValueError(f'{name}: channels is {channels}, but a feature map has at least 1.')
    if init not in ('identity', 'paper'):
        raise ValueError(f"{name}: init is {init!r}, but must be 'identity' or 'paper'.")


def _channels_last(x: torch.Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _pointwise_conv(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A 1x1 convolution without bias; what is channels_last is one matrix already.

    oneDNN's backward pass of ANM's convolution in that format takes two and a half times as long as the products.
    """
    if not _channels_last(x):
        return nn.functional.conv2d(x, weight)
    return nn.functional.linear(x.permute(0, 2, 3, 1), weight.flatten(1)).permute(0, 3, 1, 2)


def _instance_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    """As PyTorch's, which would copy what is channels_last to planes."""
    if not _channels_last(x):
        return nn.functional.instance_norm(x, weight=weight, bias=bias, eps=eps)
    var, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return (x - mean) * ((var + eps).rsqrt() * weight.view(1, -1, 1, 1)) + bias.view(1, -1, 1, 1)


@register_notrace_module
class AmplitudeGuidedPhase(nn.Module):
    """Amplitude guided phase (Eq. 4-5): a gate made from the mean amplitudes multiplies the phases by (1 + S).

    S = sigmoid(guide(mean amplitude)), y = irfft2(A * exp(j * (1 + S) * theta)). The paper's K concatenated 1x1
    convolutions C -> C/K, all on the same input, are one C -> C: K is no degree of freedom, and there is no argument
    for it. Gradients are bounded everywhere, dead channels included.

    `AmplitudeGuidedPhase(channels)(x)` takes maps (B, channels, H, W) of any size, H, W >= 1, and returns the same
    shape and type; half types are computed in float32. It raises ValueError where the number of channels differs.
    """
    exportable: torch.jit.Final[bool]

    def __init__(
            self,
            channels: int,
            init: str = 'identity',
            device=None,
            dtype=None,
    ) -> None:
        """
        Args:
            channels: Number of channels C of the maps.
            init: 'identity' starts with S = 0.018, which moves a map by less than 5 %; 'paper' starts with S = 0.5 or
                so, as a plain convolution does, which scrambles what a pretrained backbone has learnt.
        """
        super().__init__()
        _check('AmplitudeGuidedPhase', channels, init)
        self.channels = channels
        self.init = init
        self.exportable = is_exportable()
        self.guide = nn.Linear(channels, channels, device=device, dtype=dtype)
        self.init_weights()

    @torch.jit.ignore
    def init_weights(self) -> None:
        self.guide.reset_parameters()
        if self.init == 'identity':
            nn.init.normal_(self.guide.weight, std=1e-3)
            nn.init.constant_(self.guide.bias, -4.)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(
                f'AmplitudeGuidedPhase: the input has shape {x.shape}, but maps (B, {self.channels}, H, W) are '
                f'expected.')
        spec, mean = spectrum.analyse(x, mean=True, exportable=self.exportable)
        strength = self.guide(mean.to(self.guide.weight.dtype)).to(spec.dtype).sigmoid()
        return spectrum.rotate_phase(spec, strength, x, self.exportable).to(x.dtype)

    def extra_repr(self) -> str:
        return f'{self.channels}, init={self.init!r}'


class NuancesBranch(nn.Module):
    """One of ANM's 1x1 convolutional blocks: a convolution over amplitudes, then instance norm."""

    def __init__(
            self,
            channels: int,
            device=None,
            dtype=None,
    ) -> None:
        super().__init__()
        # no bias: the instance norm takes any constant away
        self.conv = nn.Conv2d(channels, channels, 1, bias=False, device=device, dtype=dtype)
        self.norm = nn.InstanceNorm2d(channels, affine=True, device=device, dtype=dtype)


@register_notrace_module
class AmplitudeNuancesMining(nn.Module):
    """Amplitude nuances mining (Eq. 6): two branches that change a map's amplitudes and keep its phases.

    A_k = A + IN_k(conv_k(A)), f_k = BN(irfft2(A_k * exp(j * theta))), k = 1, 2. One BN serves both branches in one
    call, so its statistics are joint. exp(j * theta) is X/A, exact in the forward pass and 1 where A = 0. Its
    gradient grows as 1/A: in the backward pass 1/A is clamped at 1/(1e-3 * mean A), see `spectrum.modulate_phasor`. A
    map of one bin has no variance; instance norm gives its bias there.

    `AmplitudeNuancesMining(channels)(x)` takes maps (B, channels, H, W) of any size and returns the pair (f_1, f_2),
    each of x's shape and type. It raises ValueError where the number of channels differs.
    """
    exportable: torch.jit.Final[bool]
    residual: torch.jit.Final[bool]

    def __init__(
            self,
            channels: int,
            residual: bool = True,
            init: str = 'identity',
            device=None,
            dtype=None,
    ) -> None:
        """
        Args:
            channels: Number of channels C of the maps.
            residual: Add the amplitude itself to what a branch makes of it. The paper calls the blocks Res_1 and Res_2
                and prints no sum; without it (False) only the normalised amplitudes are left.
            init: 'identity' starts the instance norms' weights at 0, so that both branches are BN(x); 'paper' starts
                them at 1, which adds noise as large as the features. Without `residual` there is no identity to start
                from, and the weights start at 1 in either case.
        """
        super().__init__()
        _check('AmplitudeNuancesMining', channels, init)
        self.channels = channels
        self.residual = residual
        self.init = init
        self.exportable = is_exportable()
        self.branches = nn.ModuleList([NuancesBranch(channels, device=device, dtype=dtype) for _ in range(2)])
        self.bn = nn.BatchNorm2d(channels, device=device, dtype=dtype)
        self.init_weights()

    @torch.jit.ignore
    def init_weights(self) -> None:
        for branch in self.branches:
            nn.init.kaiming_normal_(branch.conv.weight, mode='fan_out', nonlinearity='relu')
            branch.norm.reset_parameters()
            if self.init == 'identity' and self.residual:
                nn.init.zeros_(branch.norm.weight)
        self.bn.reset_parameters()

    def _nuances(self, amp: torch.Tensor) -> torch.Tensor:
        """IN_k(conv_k(A)) of both branches, (B, C, 2, H, V), by one convolution and one normalisation."""
        convs: List[torch.Tensor] = []
        weights: List[torch.Tensor] = []
        biases: List[torch.Tensor] = []
        eps = 1e-5
        for branch in self.branches:
            convs.append(branch.conv.weight)
            weights.append(branch.norm.weight)
            biases.append(branch.norm.bias)
            eps = branch.norm.eps
        weight = torch.cat(weights).to(amp.dtype)
        bias = torch.cat(biases).to(amp.dtype)
        kernel = torch.cat(convs)
        if amp.shape[-2] * amp.shape[-1] > 1:
            x = _pointwise_conv(amp.to(kernel.dtype), kernel).to(amp.dtype)
            x = _instance_norm(x, weight, bias, eps)
        else:
            # 0 * weight keeps every parameter in the graph, as the normalised value 0 would
            zero = 0. * (weight + kernel.sum(dim=(1, 2, 3)).to(amp.dtype))
            x = (zero + bias).view(1, -1, 1, 1).expand(amp.shape[0], -1, -1, -1)
        return x.unflatten(1, (2, self.channels)).transpose(1, 2)

    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(
                f'AmplitudeNuancesMining: the input has shape {x.shape}, '
                f'but maps (B, {self.channels}, H, W) are expected.')
        spec, amp = spectrum.analyse(x, exportable=self.exportable)
        maps = spectrum.modulate_phasor(self._nuances(amp), spec, x, self.exportable)
        if self.residual:
            # irfft2(A * exp(j*theta)) is x itself
            maps = maps + x.to(maps.dtype).unsqueeze(2)
        # the branches as one batch, which has their joint statistics
        maps = self.bn(maps.to(x.dtype).movedim(2, 0).flatten(0, 1)).unflatten(0, (2, x.shape[0]))
        return maps[0], maps[1]

    def extra_repr(self) -> str:
        return f'{self.channels}, residual={self.residual}, init={self.init!r}'
