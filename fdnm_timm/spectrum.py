"""Every complex number of the project: the 2-D transform, phase rotation, unit phasors and the exportable DFT.

Paper: FDNM, Eq. 1-3 and 5 - https://arxiv.org/abs/2401.02162

A *spectrum* is a real tensor (..., H, W//2+1, 2): the half spectrum of a real map (..., H, W), orthonormal, with the
real part at [..., 0] and the imaginary part at [..., 1]. Being real, it passes through compilers, scripts and exporters
that know no complex type. `exportable=True` keeps to real operations that every exporter has; the pointwise functions
take notice of it where no gradients are asked for. float32 and float64 are computed as they are, half types in float32.

The pointwise functions have analytic backward passes. Autograd through `abs` and `angle` gives NaN or 0 * inf where the
amplitude is 0, which one dead ReLU channel is enough for; the true gradient of a rotation is bounded there.
"""
import math
from contextlib import nullcontext
from typing import Any, ContextManager, Tuple

import torch

from .fused import fused, in_blocks, opaque

__all__ = ['rfft2', 'irfft2', 'amplitude', 'rotate_phase', 'modulate_phasor']


def _real_dtype(x: torch.Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _no_autocast(x: torch.Tensor) -> ContextManager[Any]:
    """Autocast off; nothing where it is off already, since exporters write every change of it into their graphs."""
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def _dft_angles(n: int, m: int, x: torch.Tensor) -> torch.Tensor:
    """Angles 2*pi*k*l/n of an n-point DFT, (n, m), k = 0..n-1, l = 0..m-1."""
    k = torch.arange(n, device=x.device, dtype=torch.int64).unsqueeze(1)
    m_range = torch.arange(m, device=x.device, dtype=torch.int64).unsqueeze(0)
    # reduced modulo n in integers: large products lose digits in the floating point sine
    return ((k * m_range) % n).to(x.dtype) * (2 * math.pi / n)


def _column_weights(w: int, mirrored: float, own: float, x: torch.Tensor) -> torch.Tensor:
    """(w//2+1,) weights of columns: those that stand for their mirror images too, and DC and Nyquist, which do not."""
    twice = 2 * torch.arange(w // 2 + 1, device=x.device)
    return torch.where((twice == 0) | (twice == w), own, mirrored).to(x.dtype)


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
    weight = _column_weights(w, 2., 1., re)  # DC's and Nyquist's sines are 0: their imaginary parts drop out
    scale = 1 / math.sqrt(h * w)
    return (re @ (cols.cos() * weight).t() - im @ (cols.sin() * weight).t()) * scale


def _transform(x: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(torch.fft.rfft2(x, norm='ortho'))


def _weight_mirrored(spec: torch.Tensor, w: int, weight: float) -> torch.Tensor:
    """The half spectrum (..., w//2+1, 2), changed in place: columns that stand for mirror images too times `weight`."""
    if weight != 1.:
        spec[..., 1:(w + 1) // 2, :].mul_(weight)  # neither DC nor Nyquist
    return spec


def _spectrum_like(x: torch.Tensor, mirrored: float = 1.) -> torch.Tensor:
    return x.new_empty(x.shape[:-1] + (x.shape[-1] // 2 + 1, 2))


@opaque(_spectrum_like)
def _weighted_transform(x: torch.Tensor, mirrored: float = 1.) -> torch.Tensor:
    return _weight_mirrored(_transform(x).contiguous(), int(x.shape[-1]), mirrored)


def _inverse_transform(spec: torch.Tensor, w: int, mirrored: float = 1.) -> torch.Tensor:
    """The real part of the full inverse transform, with the columns that are mirrored weighted by `mirrored`.

    It takes no notice of the imaginary part that is left in the columns DC and Nyquist after the transform along H;
    CUDA's C2R leaves that undefined, so it is set to 0 here.
    """
    cols = torch.fft.ifft(torch.view_as_complex(spec.contiguous()), dim=-2, norm='ortho')
    parts = _weight_mirrored(torch.view_as_real(cols), w, mirrored)
    parts[..., 0, 1] = 0.
    if w % 2 == 0:
        parts[..., w // 2, 1] = 0.
    return torch.fft.irfft(cols, n=w, dim=-1, norm='ortho')


def _maps_like(spec: torch.Tensor, w: int, mirrored: float = 1.) -> torch.Tensor:
    return spec.new_empty(spec.shape[:-2] + (w,))


@opaque(_maps_like)
def _inverse_in_blocks(spec: torch.Tensor, w: int, mirrored: float = 1.) -> torch.Tensor:
    maps, = in_blocks(lambda rows: (_inverse_transform(rows, w, mirrored),), spec.flatten(0, -4))
    return maps.view(spec.shape[:-2] + (w,))


class _Transform(torch.autograd.Function):
    """rfft2 whose backward pass is one half-spectrum inverse; autograd's own pads to the full spectrum."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.w = int(x.shape[-1])
        return _weighted_transform(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return _inverse_in_blocks(grad, ctx.w, 0.5)


class _InverseTransform(torch.autograd.Function):
    """irfft2 whose result is defined for every half spectrum, Hermitian or not, on every device.

    A rotated DC or Nyquist bin that was negative turns complex, see `_inverse_transform`.
    """

    @staticmethod
    def forward(ctx: Any, spec: torch.Tensor, w: int) -> torch.Tensor:  # type: ignore[override]
        ctx.w = w
        return _inverse_in_blocks(spec, w)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Tuple[torch.Tensor, None]:  # type: ignore[override]
        return _weighted_transform(grad, 2.), None


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
    if torch.jit.is_scripting():
        return _rfft2_matmul(x) if exportable else _transform(x)
    if exportable:
        with _no_autocast(x):
            return _rfft2_matmul(x)
    return _Transform.apply(x)


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
        return _irfft2_matmul(spec, w) if exportable else _inverse_transform(spec, w)
    if exportable:
        with _no_autocast(spec):
            return _irfft2_matmul(spec, w)
    return _InverseTransform.apply(spec, w)


def _parts(spec: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary part, copied: atan2 and hypot are vectorised on contiguous memory only."""
    return spec[..., 0].contiguous(), spec[..., 1].contiguous()


def _length(re: torch.Tensor, im: torch.Tensor, exportable: bool = False) -> torch.Tensor:
    """|re + j*im|, not by plain squares, which under- and overflow long before the amplitudes do."""
    if not exportable:
        return torch.hypot(re, im)
    largest = torch.maximum(re.abs(), im.abs())
    unit = torch.where(largest > 0, largest, torch.ones_like(largest))
    re, im = re / unit, im / unit
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


# The pointwise functions, forward and backward. They take spectra as rows (R, L, 2), so that one compiled form serves
# every size, and return real and imaginary parts apart, which vectorise where interleaved ones do not.

def _scale(spec: torch.Tensor, grad: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Backward pass of the amplitude: grad * X/A."""
    re, im = _parts(spec)
    weight = grad * _inverse(torch.hypot(re, im))
    return re * weight, im * weight


def _rotate(spec: torch.Tensor, strength: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    re, im = _parts(spec)
    angle = strength * _phase(re, im)
    cos, sin = angle.cos(), angle.sin()
    return re * cos - im * sin, re * sin + im * cos


def _rotate_backward(
        spec: torch.Tensor,
        strength: torch.Tensor,
        grad: torch.Tensor,
) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    re, im = _parts(spec)
    theta = _phase(re, im)
    angle = strength * theta
    cos, sin = angle.cos(), angle.sin()
    out_re, out_im = _parts(grad)
    g_re = out_re * cos + out_im * sin
    g_im = out_im * cos - out_re * sin
    # how the loss changes when X turns; |turn| <= A*|grad|, and d(theta)/dX has norm 1/A, hence the bound S*|grad|
    turn = re * g_im - im * g_re
    grad_strength = (turn * theta).sum(dim=-1, keepdim=True)
    inverse = _inverse(torch.hypot(re, im))
    pull = strength * turn * inverse
    return g_re - pull * (im * inverse), g_im + pull * (re * inverse), grad_strength


def _unit(re: torch.Tensor, im: torch.Tensor, amp: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """cos(theta) and sin(theta); 1 and 0 where A = 0."""
    inverse = _inverse(amp)
    return torch.where(amp > 0, re * inverse, torch.ones_like(re)), im * inverse


def _modulate(
        weight: torch.Tensor,
        spec: torch.Tensor,
        exportable: bool = False,
) -> Tuple[torch.Tensor, torch.Tensor]:
    re, im = _parts(spec)
    u_re, u_im = _unit(re, im, _length(re, im, exportable))
    return weight * u_re, weight * u_im


def _modulate_backward(
        weight: torch.Tensor,
        spec: torch.Tensor,
        grad: torch.Tensor,
) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    re, im = _parts(spec)
    amp = torch.hypot(re, im)
    u_re, u_im = _unit(re, im, amp)
    g_re, g_im = _parts(grad)
    grad_weight = g_re * u_re + g_im * u_im
    bound = torch.maximum(amp, 1e-3 * amp.mean(dim=-1, keepdim=True))
    turn = (weight * (g_im * u_re - g_re * u_im)).sum(dim=1, keepdim=True) * _inverse(bound)
    return -turn * u_im, turn * u_re, grad_weight


def _finish(re: torch.Tensor, im: torch.Tensor, *others: torch.Tensor) -> Tuple[torch.Tensor, ...]:
    return (torch.view_as_real(torch.complex(re, im)), *others)  # as stack, and faster


_fused_scale = fused(_scale, _finish)
_fused_rotate = fused(_rotate, _finish)
_fused_rotate_backward = fused(_rotate_backward, _finish)
_fused_modulate = fused(_modulate, _finish)
_fused_modulate_backward = fused(_modulate_backward, _finish)


def _map_rows(spec: torch.Tensor) -> torch.Tensor:
    """(..., H, V, 2) -> (R, H * V, 2), a row a map."""
    return spec.flatten(-3, -2).flatten(0, -3)


def _image_rows(weight: torch.Tensor, spec: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """(B, K, C, H, V) -> (B, K, L) and (B, C, H, V, 2) -> (B, 1, L, 2), L = C * H * V."""
    return weight.flatten(2), spec.flatten(1, 3).unsqueeze(1)


def _like_first(first: torch.Tensor, *others: Any) -> torch.Tensor:
    return torch.empty_like(first, memory_format=torch.contiguous_format)


def _like_both(first: torch.Tensor, second: torch.Tensor, *others: Any) -> Tuple[torch.Tensor, torch.Tensor]:
    return _like_first(first), _like_first(second)


@opaque(lambda spec: spec.new_empty(spec.shape[:-1]))
def _amplitude(spec: torch.Tensor) -> torch.Tensor:
    amp, = in_blocks(lambda rows: (torch.hypot(*_parts(rows)),), _map_rows(spec))
    return amp.view(spec.shape[:-1])


@opaque(_like_first)
def _amplitude_backward(spec: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    out, = _fused_scale(_map_rows(spec), grad.flatten(-2).flatten(0, -2))
    return out.view_as(spec)


class _Amplitude(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, spec: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.save_for_backward(spec)
        return _amplitude(spec)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return _amplitude_backward(*ctx.saved_tensors, grad)


def amplitude(spec: torch.Tensor, exportable: bool = False) -> torch.Tensor:
    """Amplitude A = |X| (Eq. 2), with the subgradient 0 where A = 0.

    Args:
        spec: Half spectrum (..., H, V, 2).
        exportable: As for `rfft2`.

    Returns:
        Amplitude (..., H, V), >= 0.
    """
    if torch.jit.is_scripting() or exportable and not torch.is_grad_enabled():
        re, im = _parts(spec)
        return _length(re, im, exportable)
    return _Amplitude.apply(spec)


@opaque(_like_first)
def _rotated(spec: torch.Tensor, strength: torch.Tensor, training: bool) -> torch.Tensor:
    out, = _fused_rotate(_map_rows(spec), strength.flatten().unsqueeze(1), training=training)
    return out.view_as(spec)


@opaque(_like_both)
def _rotated_backward(
        spec: torch.Tensor,
        strength: torch.Tensor,
        grad: torch.Tensor,
) -> Tuple[torch.Tensor, torch.Tensor]:
    rows = strength.flatten().unsqueeze(1)
    out, grad_strength = _fused_rotate_backward(_map_rows(spec), rows, _map_rows(grad))
    return out.view_as(spec), grad_strength.view_as(strength)


class _RotatePhase(torch.autograd.Function):
    """Y = X * exp(j*S*theta). Only X and S are kept: angles and sines are cheaper to redo than to store."""

    @staticmethod
    def forward(ctx: Any, spec: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.save_for_backward(spec, strength)
        return _rotated(spec, strength, any(ctx.needs_input_grad))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        return _rotated_backward(*ctx.saved_tensors, grad)


def rotate_phase(spec: torch.Tensor, strength: torch.Tensor, exportable: bool = False) -> torch.Tensor:
    """Multiply every phase by (1 + S): A*exp(j*(1+S)*theta) = X*exp(j*S*theta) (Eq. 5).

    Neither the amplitude nor the polar form is needed, and the gradient is bounded by (1 + S) times the incoming one,
    also where the amplitude goes to 0.

    Args:
        spec: Half spectrum (..., H, V, 2).
        strength: S (...), one value a map.
        exportable: As for `rfft2`.

    Returns:
        Rotated half spectrum (..., H, V, 2).
    """
    if torch.jit.is_scripting() or exportable and not torch.is_grad_enabled():
        re, im = _rotate(_map_rows(spec), strength.flatten().unsqueeze(1))
        return torch.stack((re, im), dim=-1).view_as(spec)
    return _RotatePhase.apply(spec, strength)


@opaque(lambda weight, spec, training: weight.new_empty(weight.shape + (2,)))
def _modulated(weight: torch.Tensor, spec: torch.Tensor, training: bool) -> torch.Tensor:
    out, = _fused_modulate(*_image_rows(weight, spec), training=training)
    return out.unflatten(2, spec.shape[1:4])


@opaque(_like_both)
def _modulated_backward(
        weight: torch.Tensor,
        spec: torch.Tensor,
        grad: torch.Tensor,
) -> Tuple[torch.Tensor, torch.Tensor]:
    out, grad_weight = _fused_modulate_backward(*_image_rows(weight, spec), grad.flatten(2, 4))
    return grad_weight.view_as(weight), out.view_as(spec)


class _ModulatePhasor(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, spec: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.save_for_backward(weight, spec)
        return _modulated(weight, spec, any(ctx.needs_input_grad))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        return _modulated_backward(*ctx.saved_tensors, grad)


def modulate_phasor(weight: torch.Tensor, spec: torch.Tensor, exportable: bool = False) -> torch.Tensor:
    """N * exp(j*theta): real weights on the unit phasors X/A of a spectrum.

    The forward pass is exact, with exp(j*theta) = 1 where A = 0. The gradient with respect to X grows as 1/A, so in the
    backward pass 1/A is clamped at 1/(1e-3 * mean A), the mean taken over the channels and bins of each image; an image
    that is 0 throughout gets the gradient 0. Where the clamp holds, the gradient is smaller than the true one.

    Args:
        weight: N (B, K, C, H, V), K of them (ANM's branches) for each image.
        spec: Half spectrum (B, C, H, V, 2).
        exportable: As for `rfft2`.

    Returns:
        K half spectra for each image, (B, K, C, H, V, 2).
    """
    if torch.jit.is_scripting() or exportable and not torch.is_grad_enabled():
        rows, phasors = _image_rows(weight, spec)
        re, im = _modulate(rows, phasors, exportable)
        return torch.stack((re, im), dim=-1).unflatten(2, spec.shape[1:4])
    return _ModulatePhasor.apply(weight, spec)
