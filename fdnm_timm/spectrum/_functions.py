"""The public functions: what each is in a script or an exported file, and operators and gradients everywhere else."""
from contextlib import nullcontext
from typing import Any, ContextManager, Tuple

import torch

from ..fused import fused, in_blocks, opaque
from ._pointwise import (
    amplitude_backward,
    length,
    modulate,
    modulate_backward,
    pack,
    parts,
    rotate,
    rotate_backward,
    unit,
)
from ._transforms import inverse_transform, inverse_transform_by_matmul, transform, transform_by_matmul, weight_mirrored

__all__ = ['amplitude', 'analyse', 'irfft2', 'modulate_phasor', 'phasor', 'rfft2', 'rotate_phase']

_amplitude_backward_form = fused(amplitude_backward)
_rotate_form = fused(rotate)
_rotate_backward_form = fused(rotate_backward)
_modulate_form = fused(modulate)
_modulate_backward_form = fused(modulate_backward)


def _real_dtype(x: torch.Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _no_autocast(x: torch.Tensor) -> ContextManager[Any]:
    """Autocast off; nothing where it is off already, since exporters write every change of it into their graphs."""
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def _rows(spec: torch.Tensor) -> torch.Tensor:
    """(..., H, V, 2) -> (R, H * V, 2), a row a map."""
    return spec.flatten(-3, -2).flatten(0, -3)


def _spectra(rows: torch.Tensor, h: int, v: int) -> torch.Tensor:
    """(..., H * V, 2) -> (..., H, V, 2)."""
    return rows.unflatten(-2, (h, v))


def _like_spectrum(x: torch.Tensor, mirrored: float = 1.) -> torch.Tensor:
    return x.new_empty(x.shape[:-1] + (x.shape[-1] // 2 + 1, 2))


def _like_maps(spec: torch.Tensor, w: int, mirrored: float = 1.) -> torch.Tensor:
    return spec.new_empty(spec.shape[:-2] + (w,))


def _like(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@opaque(_like_spectrum)
def _transformed(x: torch.Tensor, mirrored: float = 1.) -> torch.Tensor:
    w = int(x.shape[-1])
    spec, = in_blocks(lambda maps: (weight_mirrored(transform(maps), w, mirrored),), x.flatten(0, -3))
    return spec.view(x.shape[:-1] + spec.shape[-2:])


@opaque(_like_maps)
def _inverse_transformed(spec: torch.Tensor, w: int, mirrored: float = 1.) -> torch.Tensor:
    maps, = in_blocks(lambda rows: (inverse_transform(rows, w, mirrored),), spec.flatten(0, -4))
    return maps.view(spec.shape[:-2] + (w,))


class _Transform(torch.autograd.Function):
    """rfft2 whose backward pass is one half-spectrum inverse; autograd's own pads to the full spectrum."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.w = int(x.shape[-1])
        return _transformed(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return _inverse_transformed(grad, ctx.w, 0.5)


class _InverseTransform(torch.autograd.Function):
    """irfft2 whose result is defined for every half spectrum, Hermitian or not, on every device.

    A rotated DC or Nyquist bin that was negative turns complex, see `inverse_transform`.
    """

    @staticmethod
    def forward(ctx: Any, spec: torch.Tensor, w: int) -> torch.Tensor:  # type: ignore[override]
        ctx.w = w
        return _inverse_transformed(spec, w)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Tuple[torch.Tensor, None]:  # type: ignore[override]
        return _transformed(grad, 2.), None


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
        return transform_by_matmul(x) if exportable else transform(x)
    if exportable:
        with _no_autocast(x):
            return transform_by_matmul(x)
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
        return inverse_transform_by_matmul(spec, w) if exportable else inverse_transform(spec, w)
    if exportable:
        with _no_autocast(spec):
            return inverse_transform_by_matmul(spec, w)
    return _InverseTransform.apply(spec, w)


@opaque(lambda spec: spec.new_empty(spec.shape[:-1]))
def _amplitude(spec: torch.Tensor) -> torch.Tensor:
    amp, = in_blocks(lambda rows: (torch.hypot(*parts(rows)),), _rows(spec))
    return amp.view(spec.shape[:-1])


@opaque(lambda spec, grad: _like(spec))
def _amplitude_backward(spec: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    rows, grads = _rows(spec), grad.flatten(-2).flatten(0, -2)
    form = _amplitude_backward_form(rows, grads)
    out, = in_blocks(lambda *block: (pack(*form(*block)),), rows, grads)
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
        re, im = parts(spec)
        return length(re, im, exportable)
    return _Amplitude.apply(spec)


def phasor(spec: torch.Tensor) -> torch.Tensor:
    """exp(j*theta) = X/A, and 1 where A = 0. Not to be differentiated: see `modulate_phasor`.

    Args:
        spec: Half spectrum (..., H, V, 2).

    Returns:
        Half spectrum (..., H, V, 2) of amplitude 1.
    """
    re, im = parts(spec)
    return pack(*unit(re, im, length(re, im)))


def _like_analysis(x: torch.Tensor, mean: bool) -> Tuple[torch.Tensor, torch.Tensor]:
    spec = _like_spectrum(x)
    return spec, x.new_empty(x.shape[:-2] if mean else spec.shape[:-1])


@opaque(_like_analysis)
def _analysed(x: torch.Tensor, mean: bool) -> Tuple[torch.Tensor, torch.Tensor]:
    def block(maps: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        spec = transform(maps)
        amp = torch.hypot(*parts(spec))
        return spec, amp.mean(dim=(-2, -1)) if mean else amp

    spec, amp = in_blocks(block, x.flatten(0, -3))
    return spec.view(x.shape[:-1] + spec.shape[-2:]), amp.view(x.shape[:-2] + amp.shape[1:])


@opaque(lambda spec, grad_spec, grad_amp, w: _like_maps(spec, w))
def _analysed_backward(
        spec: torch.Tensor,
        grad_spec: torch.Tensor,
        grad_amp: torch.Tensor,
        w: int,
) -> torch.Tensor:
    h, v = spec.shape[-3:-1]
    rows = _rows(spec)
    grads = grad_amp.reshape(rows.shape[0], -1)  # of every bin, or one for all
    form = _amplitude_backward_form(rows, grads)

    def block(rows: torch.Tensor, others: torch.Tensor, grads: torch.Tensor) -> Tuple[torch.Tensor]:
        total = pack(*form(rows, grads)) + others
        return inverse_transform(_spectra(total, h, v), w, 0.5),

    maps, = in_blocks(block, rows, _rows(grad_spec), grads)
    return maps.view(spec.shape[:-2] + (w,))


class _Analyse(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mean: bool) -> Tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        spec, amp = _analysed(x, mean)
        ctx.save_for_backward(spec)
        ctx.w, ctx.mean = int(x.shape[-1]), mean
        return spec, amp

    @staticmethod
    def backward(  # type: ignore[override]
            ctx: Any,
            grad_spec: torch.Tensor,
            grad_amp: torch.Tensor,
    ) -> Tuple[torch.Tensor, None]:
        spec, = ctx.saved_tensors
        if ctx.mean:
            grad_amp = grad_amp / (spec.shape[-3] * spec.shape[-2])
        return _analysed_backward(spec, grad_spec, grad_amp, ctx.w), None


def analyse(x: torch.Tensor, mean: bool = False, exportable: bool = False) -> Tuple[torch.Tensor, torch.Tensor]:
    """`rfft2` and the `amplitude` of what it gives.

    Args:
        x: As for `rfft2`.
        mean: Only the mean amplitude of each map, over the bins of the half spectrum.
        exportable: As for `rfft2`.

    Returns:
        The half spectrum (..., H, W//2+1, 2), and the amplitude (..., H, W//2+1) or its means (...).
    """
    if torch.jit.is_scripting() or exportable:
        spec = rfft2(x, exportable)
        amp = amplitude(spec, exportable)
        return spec, amp.mean(dim=(-2, -1)) if mean else amp
    return _Analyse.apply(x.to(_real_dtype(x)), mean)


@opaque(lambda spec, strength, w, training: _like_maps(spec, w))
def _rotated(spec: torch.Tensor, strength: torch.Tensor, w: int, training: bool) -> torch.Tensor:
    h, v = spec.shape[-3:-1]
    rows, strengths = _rows(spec), strength.flatten().unsqueeze(1)
    form = _rotate_form(rows, strengths, training=training)
    maps, = in_blocks(
        lambda *block: (inverse_transform(_spectra(pack(*form(*block)), h, v), w),), rows, strengths)
    return maps.view(spec.shape[:-2] + (w,))


@opaque(lambda spec, strength, grad: (_like(spec), _like(strength)))
def _rotated_backward(
        spec: torch.Tensor,
        strength: torch.Tensor,
        grad: torch.Tensor,
) -> Tuple[torch.Tensor, torch.Tensor]:
    w = int(grad.shape[-1])
    rows, strengths, grads = _rows(spec), strength.flatten().unsqueeze(1), grad.flatten(0, -3)
    form = _rotate_backward_form(rows, strengths)

    def block(rows: torch.Tensor, strengths: torch.Tensor, grads: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        re, im, grad_strength = form(rows, strengths, weight_mirrored(transform(grads), w, 2.).flatten(-3, -2))
        return pack(re, im), grad_strength

    out, grad_strength = in_blocks(block, rows, strengths, grads)
    return out.view_as(spec), grad_strength.view_as(strength)


class _RotatePhase(torch.autograd.Function):
    """Only X and S are kept: angles and sines are cheaper to redo than to store."""

    @staticmethod
    def forward(ctx: Any, spec: torch.Tensor, strength: torch.Tensor, w: int) -> torch.Tensor:  # type: ignore[override]
        ctx.save_for_backward(spec, strength)
        return _rotated(spec, strength, w, any(ctx.needs_input_grad))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor, None]:  # type: ignore[override]
        return (*_rotated_backward(*ctx.saved_tensors, grad), None)


def rotate_phase(spec: torch.Tensor, strength: torch.Tensor, w: int, exportable: bool = False) -> torch.Tensor:
    """Maps whose phases are (1 + S) times as large: `irfft2` of A*exp(j*(1+S)*theta) = X*exp(j*S*theta) (Eq. 5).

    Neither the amplitude nor the polar form is needed, and the gradient is bounded by (1 + S) times the incoming one,
    also where the amplitude goes to 0.

    Args:
        spec: Half spectrum (..., H, w//2+1, 2).
        strength: S (...), one value a map.
        w: Width of the maps.
        exportable: As for `rfft2`.

    Returns:
        Real maps (..., H, w).
    """
    if torch.jit.is_scripting() or exportable and not torch.is_grad_enabled():
        re, im = rotate(_rows(spec), strength.flatten().unsqueeze(1))
        return irfft2(torch.stack((re, im), dim=-1).view_as(spec), w, exportable)
    return _RotatePhase.apply(spec, strength, w)


@opaque(lambda weight, spec, w, training: (
    weight.new_empty(weight.shape[:-1] + (w,)), weight.new_empty(spec.shape[0] * spec.shape[1], 1)))
def _modulated(
        weight: torch.Tensor,
        spec: torch.Tensor,
        w: int,
        training: bool,
) -> Tuple[torch.Tensor, torch.Tensor]:
    """The maps, and the least amplitude that the backward pass divides by, (B * C, 1)."""
    b, c, h, v = spec.shape[:-1]
    weights, rows = weight.flatten(-2).flatten(0, 1), _rows(spec)
    form = _modulate_form(weights, rows, training=training)

    def block(weights: torch.Tensor, rows: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        amp = torch.hypot(*parts(rows)).mean(dim=-1)
        return inverse_transform(_spectra(pack(*form(weights, rows)), h, v), w), amp

    maps, amp = in_blocks(block, weights, rows)
    least = 1e-3 * amp.view(b, c).mean(dim=1, keepdim=True)
    return maps.view(weight.shape[:-1] + (w,)), least.expand(b, c).reshape(-1, 1)


@opaque(lambda weight, spec, least, grad: (_like(weight), _like(spec)))
def _modulated_backward(
        weight: torch.Tensor,
        spec: torch.Tensor,
        least: torch.Tensor,
        grad: torch.Tensor,
) -> Tuple[torch.Tensor, torch.Tensor]:
    w = int(grad.shape[-1])
    weights, rows = weight.flatten(-2).flatten(0, 1), _rows(spec)
    form = _modulate_backward_form(weights, rows, least)

    def block(
            weights: torch.Tensor,
            rows: torch.Tensor,
            least: torch.Tensor,
            grads: torch.Tensor,
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        mirrored = weight_mirrored(transform(grads), w, 2.)
        re, im, grad_weight = form(weights, rows, least, mirrored.flatten(-3, -2))
        return grad_weight, pack(re, im)

    grad_weight, out = in_blocks(block, weights, rows, least, grad.flatten(0, 1))
    return grad_weight.view_as(weight), out.view_as(spec)


class _ModulatePhasor(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, spec: torch.Tensor, w: int) -> torch.Tensor:  # type: ignore[override]
        maps, least = _modulated(weight, spec, w, any(ctx.needs_input_grad))
        ctx.save_for_backward(weight, spec, least)
        return maps

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor, None]:  # type: ignore[override]
        return (*_modulated_backward(*ctx.saved_tensors, grad), None)


def modulate_phasor(weight: torch.Tensor, spec: torch.Tensor, w: int, exportable: bool = False) -> torch.Tensor:
    """Maps of other amplitudes: `irfft2` of N * exp(j*theta), real weights on the unit phasors X/A of a spectrum.

    The forward pass is exact, with exp(j*theta) = 1 where A = 0. The gradient with respect to X grows as 1/A, so in the
    backward pass 1/A is clamped at 1/(1e-3 * mean A), the mean taken over the channels and bins of each image; an image
    that is 0 throughout gets the gradient 0. Where the clamp holds, the gradient is smaller than the true one.

    Args:
        weight: N (B, C, K, H, w//2+1), K of them (ANM's branches) for each map.
        spec: Half spectrum (B, C, H, w//2+1, 2).
        w: Width of the maps.
        exportable: As for `rfft2`.

    Returns:
        K real maps for each, (B, C, K, H, w).
    """
    if torch.jit.is_scripting() or exportable and not torch.is_grad_enabled():
        re, im = modulate(weight.flatten(-2).flatten(0, 1), _rows(spec), exportable)
        maps = torch.stack((re, im), dim=-1).view(weight.shape + (2,))
        return irfft2(maps, w, exportable)
    return _ModulatePhasor.apply(weight, spec, w)
