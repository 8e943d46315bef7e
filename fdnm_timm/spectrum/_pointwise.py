"""The pointwise functions of spectra and their backward passes, as formulas.

They take spectra as rows (R, L, 2), a row a map, so that one compiled form serves every size, and return real and
imaginary parts apart, which vectorise where interleaved ones do not.
"""
import math
from typing import Tuple

import torch

__all__ = [
    'amplitude_backward', 'length', 'modulate', 'modulate_backward', 'pack', 'parts', 'rotate', 'rotate_backward',
    'unit']


def parts(spec: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary part, copied if interleaved: atan2 and hypot are vectorised on dense memory only."""
    re, im = spec[..., 0], spec[..., 1]
    return (re.contiguous(), im.contiguous()) if spec.stride(-1) == 1 else (re, im)


def pack(re: torch.Tensor, im: torch.Tensor, *, apart: bool = False) -> torch.Tensor:
    """Real and imaginary part (..., L) -> spectrum (..., L, 2).

    With `apart` the 2 lie in memory before L, and the channels last. Then re and im are a block's, (R, L) or (R, K, L),
    or (B, C, L) or (B, C, K, L) while torch.compile is at work.
    """
    if not apart:
        return torch.view_as_real(torch.complex(re, im))  # as stack, and faster
    n, batch = re.ndim, int(torch.compiler.is_compiling())
    order = [*range(batch), n - 1, *reversed(range(batch, n - 1))]
    both = torch.stack((re.permute(order), im.permute(order)), dim=batch)
    order.insert(batch, n)
    return both.permute([order.index(dim) for dim in range(n + 1)])


def length(re: torch.Tensor, im: torch.Tensor, exportable: bool = False) -> torch.Tensor:
    """|re + j*im|, not by plain squares, which under- and overflow long before the amplitudes do."""
    if not exportable:
        return torch.hypot(re, im)
    largest = torch.maximum(re.abs(), im.abs())
    divisor = torch.where(largest > 0, largest, torch.ones_like(largest))
    re, im = re / divisor, im / divisor
    return largest * torch.sqrt(re * re + im * im)


def _phase(re: torch.Tensor, im: torch.Tensor) -> torch.Tensor:
    """theta in [-pi + 1e-5, pi + 1e-5).

    A map with a single active pixel has many bins on the negative real axis, where rounding decides about the sign of
    the imaginary part. (1 + S) * pi and -(1 + S) * pi are far apart, so all of them are given pi, and the FFT and the
    matrix products, processors, and exported files turn them the same way.
    """
    theta = torch.atan2(im, re)
    return torch.where(theta < 1e-5 - math.pi, theta + 2 * math.pi, theta)


def _inverse(amp: torch.Tensor) -> torch.Tensor:
    """1/A, and 0 where A = 0."""
    return torch.where(amp > 0, amp.reciprocal(), torch.zeros_like(amp))


def amplitude_backward(spec: torch.Tensor, grad: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Gradient (R, L), or (R, 1), of the amplitude -> that of the spectrum: grad * X/A."""
    re, im = parts(spec)
    weight = grad * _inverse(torch.hypot(re, im))
    return re * weight, im * weight


def rotate(spec: torch.Tensor, strength: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """X * exp(j*S*theta), S (R, 1)."""
    re, im = parts(spec)
    angle = strength * _phase(re, im)
    cos, sin = angle.cos(), angle.sin()
    return re * cos - im * sin, re * sin + im * cos


def rotate_backward(
        spec: torch.Tensor,
        strength: torch.Tensor,
        grad: torch.Tensor,
) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of X and S."""
    re, im = parts(spec)
    theta = _phase(re, im)
    angle = strength * theta
    cos, sin = angle.cos(), angle.sin()
    out_re, out_im = parts(grad)
    g_re = out_re * cos + out_im * sin
    g_im = out_im * cos - out_re * sin
    # how the loss changes when X turns; |turn| <= A*|grad|, and d(theta)/dX has norm 1/A, hence the bound S*|grad|
    turn = re * g_im - im * g_re
    grad_strength = (turn * theta).sum(dim=-1, keepdim=True)
    inverse = _inverse(torch.hypot(re, im))
    pull = strength * turn * inverse
    return g_re - pull * (im * inverse), g_im + pull * (re * inverse), grad_strength


def unit(re: torch.Tensor, im: torch.Tensor, amp: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """cos(theta) and sin(theta); 1 and 0 where A = 0."""
    inverse = _inverse(amp)
    return torch.where(amp > 0, re * inverse, torch.ones_like(re)), im * inverse


def modulate(
        weight: torch.Tensor,
        spec: torch.Tensor,
        exportable: bool = False,
) -> Tuple[torch.Tensor, torch.Tensor]:
    """N * exp(j*theta) (R, K, L) of N (R, K, L)."""
    re, im = parts(spec.unsqueeze(-3))
    u_re, u_im = unit(re, im, length(re, im, exportable))
    return weight * u_re, weight * u_im


def modulate_backward(
        weight: torch.Tensor,
        spec: torch.Tensor,
        least: torch.Tensor,
        grad: torch.Tensor,
) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of X and N, from that of the result (R, K, L, 2), as if no amplitude were below `least` (R, 1)."""
    re, im = parts(spec.unsqueeze(-3))
    amp = torch.hypot(re, im)
    u_re, u_im = unit(re, im, amp)
    g_re, g_im = parts(grad)
    grad_weight = g_re * u_re + g_im * u_im
    turn = (weight * (g_im * u_re - g_re * u_im)).sum(dim=-2) * _inverse(torch.maximum(amp.squeeze(-2), least))
    return -turn * u_im.squeeze(-2), turn * u_re.squeeze(-2), grad_weight
