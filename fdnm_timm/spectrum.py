"""Every complex number of the project: the 2-D transform, phase rotation, unit phasors and the exportable DFT.

Paper: FDNM, Eq. 1-3 and 5 - https://arxiv.org/abs/2401.02162

A *spectrum* is a real tensor (..., H, W//2+1, 2): the half spectrum of a real map (..., H, W), orthonormal, with the
real part at [..., 0] and the imaginary part at [..., 1]. Being real, it passes through compilers, scripts and exporters
that know no complex type. float32 and float64 are computed as they are, half types in float32.

The pointwise functions have analytic backward passes. Autograd through `abs` and `angle` gives NaN or 0 * inf where the
amplitude is 0, which one dead ReLU channel is enough for; the true gradient of a rotation is bounded there.
"""
import math
from typing import Any, Tuple

import torch

__all__ = ['rfft2', 'irfft2', 'amplitude', 'rotate_phase', 'modulate_phasor']


def _real_dtype(x: torch.Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _dft_angles(n: int, m: int, x: torch.Tensor) -> torch.Tensor:
    """Angles 2*pi*k*l/n of an n-point DFT, (n, m), k = 0..n-1, l = 0..m-1."""
    k = torch.arange(n, device=x.device, dtype=torch.int64).unsqueeze(1)
    m_range = torch.arange(m, device=x.device, dtype=torch.int64).unsqueeze(0)
    # reduced modulo n in integers: large products lose digits in the floating point sine
    return ((k * m_range) % n).to(x.dtype) * (2 * math.pi / n)


def _rfft2_matmul(x: torch.Tensor) -> torch.Tensor:
    h, w = int(x.shape[-2]), int(x.shape[-1])
    rows, cols = _dft_angles(h, h, x), _dft_angles(w, w // 2 + 1, x)
    re, im = x @ cols.cos(), -(x @ cols.sin())
    cos, sin = rows.cos(), rows.sin()
    scale = 1 / math.sqrt(h * w)
    return torch.stack((cos @ re + sin @ im, cos @ im - sin @ re), dim=-1) * scale


def _irfft2_matmul(spec: torch.Tensor, w: int) -> torch.Tensor:
    h = int(spec.shape[-3])
    re, im = spec[..., 0], spec[..., 1]
    rows, cols = _dft_angles(h, h, re), _dft_angles(w, w // 2 + 1, re)
    cos, sin = rows.cos(), rows.sin()
    re, im = cos @ re - sin @ im, cos @ im + sin @ re
    # a column stands for itself and its mirror image, except DC and Nyquist, whose sines are 0: their imaginary
    # parts drop out here by themselves
    weight = torch.full((w // 2 + 1,), 2., dtype=re.dtype, device=re.device)
    weight[0] = 1.
    if w % 2 == 0:
        weight[-1] = 1.
    scale = 1 / math.sqrt(h * w)
    return (re @ (cols.cos() * weight).t() - im @ (cols.sin() * weight).t()) * scale


class _InverseTransform(torch.autograd.Function):
    """irfft2 whose result is defined for every half spectrum, Hermitian or not, on every device.

    A rotated DC or Nyquist bin that was negative turns complex. The real part of the full inverse transform takes no
    notice of the imaginary part that is left in those columns after the transform along H; CUDA's C2R leaves it
    undefined, so it is set to 0 here.
    """

    @staticmethod
    def forward(ctx: Any, spec: torch.Tensor, w: int) -> torch.Tensor:  # type: ignore[override]
        ctx.w = w
        cols = torch.fft.ifft(torch.view_as_complex(spec.contiguous()), dim=-2, norm='ortho')
        imag = torch.view_as_real(cols)[..., 1]
        imag[..., 0] = 0
        if w % 2 == 0:
            imag[..., -1] = 0
        return torch.fft.irfft(cols, n=w, dim=-1, norm='ortho')

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Tuple[torch.Tensor, None]:  # type: ignore[override]
        spec = torch.view_as_real(torch.fft.rfft2(grad, norm='ortho'))
        last = (ctx.w + 1) // 2  # columns 1..last-1 stand for their mirror images too
        if last > 1:
            spec[..., 1:last, :] *= 2
        return spec, None


def rfft2(x: torch.Tensor, exportable: bool = False) -> torch.Tensor:
    """Orthonormal 2-D transform of real maps (Eq. 1).

    Args:
        x: Real maps (..., H, W) of any floating type and H, W >= 1.
        exportable: Use two matrix products in place of the FFT, which exporters (ONNX, Core ML) have no or a slow
            operator for. Equal to the FFT to rounding.

    Returns:
        The half spectrum (..., H, W//2+1, 2), float64 for float64 maps, else float32.
    """
    x = x.to(_real_dtype(x))
    if exportable:
        if torch.jit.is_scripting():
            return _rfft2_matmul(x)
        with torch.autocast(x.device.type, enabled=False):
            return _rfft2_matmul(x)
    return torch.view_as_real(torch.fft.rfft2(x, norm='ortho'))


def irfft2(spec: torch.Tensor, w: int, exportable: bool = False) -> torch.Tensor:
    """Inverse of `rfft2`: the real part of the full orthonormal inverse transform.

    Args:
        spec: Half spectrum (..., H, w//2+1, 2).
        w: Width of the maps, which the half spectrum does not tell.
        exportable: As for `rfft2`.

    Returns:
        Real maps (..., H, w).
    """
    if torch.jit.is_scripting():
        if exportable:
            return _irfft2_matmul(spec, w)
        return torch.fft.irfft2(
            torch.view_as_complex(spec.contiguous()), s=[int(spec.shape[-3]), w], norm='ortho')
    if exportable:
        with torch.autocast(spec.device.type, enabled=False):
            return _irfft2_matmul(spec, w)
    return _InverseTransform.apply(spec, w)


def _parts(spec: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary part, copied: atan2 and hypot are vectorised on contiguous memory only."""
    return spec[..., 0].contiguous(), spec[..., 1].contiguous()


def _join(re: torch.Tensor, im: torch.Tensor) -> torch.Tensor:
    if torch.jit.is_scripting():
        return torch.stack((re, im), dim=-1)
    return torch.view_as_real(torch.complex(re, im))  # as stack, and faster


def _inverse(amp: torch.Tensor) -> torch.Tensor:
    """1/A, and 0 where A = 0."""
    return torch.where(amp > 0, amp.reciprocal(), torch.zeros_like(amp))


class _Amplitude(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, spec: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.save_for_backward(spec)
        return torch.hypot(*_parts(spec))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        spec, = ctx.saved_tensors
        re, im = _parts(spec)
        weight = grad * _inverse(torch.hypot(re, im))
        return _join(re * weight, im * weight)


def amplitude(spec: torch.Tensor) -> torch.Tensor:
    """Amplitude A = |X| (Eq. 2), with the subgradient 0 where A = 0.

    Args:
        spec: Half spectrum (..., H, V, 2).

    Returns:
        Amplitude (..., H, V), >= 0.
    """
    if torch.jit.is_scripting():
        re, im = _parts(spec)
        return torch.hypot(re, im)  # not by squares, which under- and overflow long before the amplitudes do
    return _Amplitude.apply(spec)


def _rotate(spec: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    re, im = _parts(spec)
    angle = strength * torch.atan2(im, re)
    cos, sin = angle.cos(), angle.sin()
    return _join(re * cos - im * sin, re * sin + im * cos)


class _RotatePhase(torch.autograd.Function):
    """Y = X * exp(j*S*theta). Only X and S are kept: angles and sines are cheaper to redo than to store."""

    @staticmethod
    def forward(ctx: Any, spec: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.save_for_backward(spec, strength)
        return _rotate(spec, strength)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        spec, strength = ctx.saved_tensors
        re, im = _parts(spec)
        theta = torch.atan2(im, re)
        angle = strength * theta
        cos, sin = angle.cos(), angle.sin()
        out_re, out_im = _parts(grad)
        g_re = out_re * cos + out_im * sin
        g_im = out_im * cos - out_re * sin
        # how the loss changes when X turns; |turn| <= A*|grad|, and d(theta)/dX has norm 1/A, hence the bound S*|grad|
        turn = re * g_im - im * g_re
        grad_strength = (turn * theta).sum_to_size(strength.shape)
        inverse = _inverse(torch.hypot(re, im))
        pull = strength * turn * inverse
        return _join(g_re - pull * (im * inverse), g_im + pull * (re * inverse)), grad_strength


def rotate_phase(spec: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Multiply every phase by (1 + S): A*exp(j*(1+S)*theta) = X*exp(j*S*theta) (Eq. 5).

    Neither the amplitude nor the polar form is needed, and the gradient is bounded by (1 + S) times the incoming one,
    also where the amplitude goes to 0.

    Args:
        spec: Half spectrum (..., H, V, 2).
        strength: S, broadcastable to (..., H, V).

    Returns:
        Rotated half spectrum (..., H, V, 2).
    """
    if torch.jit.is_scripting():
        return _rotate(spec, strength)
    return _RotatePhase.apply(spec, strength)


def _unit(re: torch.Tensor, im: torch.Tensor, amp: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """cos(theta) and sin(theta); 1 and 0 where A = 0."""
    inverse = _inverse(amp)
    return torch.where(amp > 0, re * inverse, torch.ones_like(re)), im * inverse


def _modulate(weight: torch.Tensor, spec: torch.Tensor) -> torch.Tensor:
    re, im = _parts(spec)
    u_re, u_im = _unit(re, im, torch.hypot(re, im))
    return _join(weight * u_re, weight * u_im)


class _ModulatePhasor(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, spec: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.save_for_backward(weight, spec)
        return _modulate(weight, spec)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        weight, spec = ctx.saved_tensors
        re, im = _parts(spec)
        amp = torch.hypot(re, im)
        u_re, u_im = _unit(re, im, amp)
        g_re, g_im = _parts(grad)
        grad_weight = (g_re * u_re + g_im * u_im).sum_to_size(weight.shape)
        bound = torch.maximum(amp, 1e-3 * amp.mean(dim=(-3, -2, -1), keepdim=True))
        turn = (weight * (g_im * u_re - g_re * u_im)).sum_to_size(amp.shape) * _inverse(bound)
        return grad_weight, _join(-turn * u_im, turn * u_re)


def modulate_phasor(weight: torch.Tensor, spec: torch.Tensor) -> torch.Tensor:
    """N * exp(j*theta): real weights on the unit phasors X/A of a spectrum.

    The forward pass is exact, with exp(j*theta) = 1 where A = 0. The gradient with respect to X grows as 1/A, so in the
    backward pass 1/A is clamped at 1/(1e-3 * mean A), the mean taken over the channels and bins of each image; an image
    that is 0 throughout gets the gradient 0. Where the clamp holds, the gradient is smaller than the true one.

    Args:
        weight: N, broadcastable to and with (..., C, H, V); leading dimensions of its own (branches) are allowed.
        spec: Half spectrum (..., C, H, V, 2).

    Returns:
        Half spectrum of the broadcast shape, (..., C, H, V, 2).
    """
    if torch.jit.is_scripting():
        return _modulate(weight, spec)
    return _ModulatePhasor.apply(weight, spec)
