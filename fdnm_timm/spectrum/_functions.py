"""The public functions: what each is in a script or an exported file, and operators and gradients everywhere else."""
from contextlib import nullcontext
from functools import partial
from typing import Any, Callable, ContextManager, Tuple

import torch

from ..fused import compiling, fused, in_blocks, observed, opaque
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
from ._transforms import (
    inverse_transform,
    inverse_transform_by_matmul,
    inverse_transform_channels,
    transform,
    transform_by_matmul,
    transform_channels,
)

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


def _channels_last(x: torch.Tensor) -> bool:
    """Whether maps (B, C, H, W) are, or are best, in that memory format."""
    if x.ndim != 4:
        return False
    if compiling() and x.device.type == 'cpu':
        return True  # inductor lays a network of convolutions out so, whatever its inputs are
    return not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


def _formatted(maps: torch.Tensor, channels_last: bool) -> torch.Tensor:
    return maps.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _by_channels(x: torch.Tensor, channels_last: bool) -> bool:
    """Whether the spectra of these maps have their channels last too, see `_apart`."""
    return channels_last and x.device.type == 'cpu' and (compiling() or not observed((x,)))


def _apart(spec: torch.Tensor) -> bool:
    """Whether a spectrum has its channels last, and real and imaginary parts apart: memory (B, 2, H, V, C)."""
    return spec.stride(-1) != 1


def _empty(x: torch.Tensor, shape: Tuple[int, ...], order: Tuple[int, ...] = ()) -> torch.Tensor:
    """An empty tensor like x, whose dimensions lie in memory in this order."""
    return torch.empty_permuted(shape, order or tuple(range(len(shape))), dtype=x.dtype, device=x.device)


def _rows(spec: torch.Tensor) -> torch.Tensor:
    """(R, H, V, 2) -> (R, H * V, 2)."""
    return spec.flatten(-3, -2)


def _spectra(rows: torch.Tensor, h: int, v: int) -> torch.Tensor:
    """(..., H * V, 2) -> (..., H, V, 2)."""
    return rows.unflatten(-2, (h, v))


def _like_spectrum(x: torch.Tensor, mirrored: float = 1., apart: bool = False) -> torch.Tensor:
    shape = (*x.shape[:-1], x.shape[-1] // 2 + 1, 2)
    if not apart:
        return _empty(x, shape)
    n = len(shape)
    return _empty(x, shape, (0, n - 1, n - 3, n - 2, *reversed(range(1, n - 3))))


def _like_maps(spec: torch.Tensor, w: int, mirrored: float = 1., channels_last: bool = False) -> torch.Tensor:
    shape = (*spec.shape[:-2], w)
    if not channels_last:
        return _empty(spec, shape)
    n = len(shape)
    return _empty(spec, shape, (*range(2, n - 2), 0, n - 2, n - 1, 1))


@opaque(_like_spectrum)
def _transformed(x: torch.Tensor, mirrored: float = 1., apart: bool = False) -> torch.Tensor:
    if not apart:
        return in_blocks(lambda maps: (transform(maps, mirrored),), (x,), x.ndim - 2, lambda: (_like_spectrum(x),))[0]
    specs = _like_spectrum(x, apart=True)
    for image, spec in zip(x, specs):
        transform_channels(image, mirrored, spec)
    return specs


@opaque(lambda spec, w, mirrored=1.: _like_maps(spec, w, channels_last=_apart(spec)))
def _inverse_transformed(spec: torch.Tensor, w: int, mirrored: float = 1.) -> torch.Tensor:
    maps = _like_maps(spec, w, channels_last=_apart(spec))
    if not _apart(spec):
        return in_blocks(
            lambda rows: (inverse_transform(rows, w, mirrored),), (spec,), spec.ndim - 3, lambda: (maps,))[0]
    for image, out in zip(spec, maps):
        inverse_transform_channels(image, w, mirrored, out)
    return maps


def _transforms(apart: bool) -> Tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]:
    """The transform of maps into spectra like that, and its inverse."""
    if compiling():
        return partial(_transformed, apart=apart), _inverse_transformed
    # gradients are on inside a backward pass that is to be differentiated again
    if apart and not torch.is_grad_enabled():
        return transform_channels, inverse_transform_channels
    return transform, inverse_transform


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


def _amplitude(spec: torch.Tensor) -> torch.Tensor:
    return in_blocks(
        lambda rows: (torch.hypot(*parts(rows)),), (spec,), spec.ndim - 3, lambda: (_empty(spec, spec.shape[:-1]),))[0]


def _amplitude_backward(spec: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    h, v = spec.shape[-3:-1]
    form = _amplitude_backward_form(spec, grad)

    def block(spec: torch.Tensor, grads: torch.Tensor) -> Tuple[torch.Tensor]:
        return _spectra(pack(*form(_rows(spec), grads.flatten(-2)), apart=_apart(spec)), h, v),

    return in_blocks(block, (spec, grad), spec.ndim - 3, lambda: (torch.empty_like(spec),))[0]


class _Amplitude(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, spec: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.save_for_backward(spec)
        return _amplitude(spec)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        spec, = ctx.saved_tensors
        return _amplitude_backward(spec, grad)


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


def _like_analysis(x: torch.Tensor, mean: bool, apart: bool) -> Tuple[torch.Tensor, torch.Tensor]:
    spec = _like_spectrum(x, apart=apart)
    if mean:
        return spec, _empty(x, x.shape[:-2])
    return spec, _empty(x, spec.shape[:-1], (0, 2, 3, 1) if apart else ())


def _analysed(x: torch.Tensor, mean: bool, apart: bool) -> Tuple[torch.Tensor, torch.Tensor]:
    forward, _ = _transforms(apart)

    def block(maps: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        spec = forward(maps)
        amp = torch.hypot(*parts(_rows(spec)))
        return spec, amp.mean(dim=-1) if mean else amp.unflatten(-1, spec.shape[-3:-1])

    spec, amp = in_blocks(block, (x,), x.ndim - 2, lambda: _like_analysis(x, mean, apart))
    return spec, amp


def _analysed_backward(
        spec: torch.Tensor,
        grad_spec: torch.Tensor,
        grad_amp: torch.Tensor,
        w: int,
        channels_last: bool,
) -> torch.Tensor:
    h, v = spec.shape[-3:-1]
    _, inverse = _transforms(_apart(spec))
    form = _amplitude_backward_form(spec, grad_amp)

    def block(spec: torch.Tensor, others: torch.Tensor, grads: torch.Tensor) -> Tuple[torch.Tensor]:
        # one for all bins, or one each
        grads = grads.flatten(-2) if grads.ndim == spec.ndim - 1 else grads.unsqueeze(-1)
        re, im = form(_rows(spec), grads)
        if _apart(spec):
            more_re, more_im = parts(_rows(others))
            total = pack(re + more_re, im + more_im, apart=True)
        else:
            total = pack(re, im) + _rows(others)
        return inverse(_spectra(total, h, v), w, 0.5),

    return in_blocks(
        block, (spec, grad_spec, grad_amp), spec.ndim - 3,
        lambda: (_like_maps(spec, w, channels_last=channels_last),))[0]


class _Analyse(torch.autograd.Function):

    @staticmethod
    def forward(  # type: ignore[override]
            ctx: Any,
            x: torch.Tensor,
            mean: bool,
            channels_last: bool,
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        spec, amp = _analysed(x, mean, _by_channels(x, channels_last))
        ctx.save_for_backward(spec)
        ctx.w, ctx.mean, ctx.channels_last = int(x.shape[-1]), mean, channels_last
        return spec, amp

    @staticmethod
    def backward(  # type: ignore[override]
            ctx: Any,
            grad_spec: torch.Tensor,
            grad_amp: torch.Tensor,
    ) -> Tuple[torch.Tensor, None, None]:
        spec, = ctx.saved_tensors
        if ctx.mean:
            grad_amp = grad_amp * (1 / (spec.shape[-3] * spec.shape[-2]))
        return _analysed_backward(spec, grad_spec, grad_amp, ctx.w, ctx.channels_last), None, None


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
    channels_last = _channels_last(x)
    return _Analyse.apply(_formatted(x.to(_real_dtype(x)), channels_last), mean, channels_last)


def _rotated(
        spec: torch.Tensor,
        strength: torch.Tensor,
        w: int,
        channels_last: bool,
        training: bool,
) -> torch.Tensor:
    h, v = spec.shape[-3:-1]
    _, inverse = _transforms(_apart(spec))
    form = _rotate_form(spec, strength, training=training)

    def block(spec: torch.Tensor, strength: torch.Tensor) -> Tuple[torch.Tensor]:
        return inverse(_spectra(pack(*form(_rows(spec), strength.unsqueeze(-1)), apart=_apart(spec)), h, v), w),

    return in_blocks(
        block, (spec, strength), spec.ndim - 3, lambda: (_like_maps(spec, w, channels_last=channels_last),))[0]


def _rotated_backward(
        spec: torch.Tensor,
        strength: torch.Tensor,
        grad: torch.Tensor,
) -> Tuple[torch.Tensor, torch.Tensor]:
    h, v = spec.shape[-3:-1]
    forward, _ = _transforms(_apart(spec))
    form = _rotate_backward_form(spec, strength)

    def block(spec: torch.Tensor, strength: torch.Tensor, grads: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        re, im, grad_strength = form(_rows(spec), strength.unsqueeze(-1), _rows(forward(grads, 2.)))
        return _spectra(pack(re, im, apart=_apart(spec)), h, v), grad_strength.squeeze(-1)

    grad_spec, grad_strength = in_blocks(
        block, (spec, strength, grad), spec.ndim - 3, lambda: (torch.empty_like(spec), torch.empty_like(strength)))
    return grad_spec, grad_strength


class _RotatePhase(torch.autograd.Function):
    """Only X and S are kept: angles and sines are cheaper to redo than to store."""

    @staticmethod
    def forward(  # type: ignore[override]
            ctx: Any,
            spec: torch.Tensor,
            strength: torch.Tensor,
            w: int,
            channels_last: bool,
    ) -> torch.Tensor:
        ctx.save_for_backward(spec, strength)
        ctx.channels_last = channels_last
        return _formatted(_rotated(spec, strength, w, channels_last, any(ctx.needs_input_grad)), channels_last)

    @staticmethod
    def backward(  # type: ignore[override]
            ctx: Any,
            grad: torch.Tensor,
    ) -> Tuple[torch.Tensor, torch.Tensor, None, None]:
        spec, strength = ctx.saved_tensors
        return (*_rotated_backward(spec, strength, _formatted(grad, ctx.channels_last)), None, None)


def rotate_phase(
        spec: torch.Tensor,
        strength: torch.Tensor,
        like: torch.Tensor,
        exportable: bool = False,
) -> torch.Tensor:
    """Maps whose phases are (1 + S) times as large: `irfft2` of A*exp(j*(1+S)*theta) = X*exp(j*S*theta) (Eq. 5).

    Neither the amplitude nor the polar form is needed, and the gradient is bounded by (1 + S) times the incoming one,
    also where the amplitude goes to 0.

    Args:
        spec: Half spectrum (..., H, W//2+1, 2) that `analyse` gave.
        strength: S (...), one value a map.
        like: The maps (..., H, W) that it is of: for their width and memory format.
        exportable: As for `rfft2`.

    Returns:
        Real maps (..., H, W).
    """
    w = int(like.shape[-1])
    if torch.jit.is_scripting() or exportable and not torch.is_grad_enabled():
        re, im = rotate(_rows(spec), strength.unsqueeze(-1))
        return irfft2(torch.stack((re, im), dim=-1).view_as(spec), w, exportable)
    return _RotatePhase.apply(spec, strength, w, _channels_last(like))


def _modulated(
        weight: torch.Tensor,
        spec: torch.Tensor,
        w: int,
        channels_last: bool,
        training: bool,
) -> Tuple[torch.Tensor, torch.Tensor]:
    """The maps, and the least amplitude that the backward pass divides by, (B, C)."""
    h, v = spec.shape[-3:-1]
    _, inverse = _transforms(_apart(spec))
    form = _modulate_form(weight, spec, training=training)

    def block(weight: torch.Tensor, spec: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        rows = _rows(spec)
        amp = torch.hypot(*parts(rows)).mean(dim=-1)
        return inverse(_spectra(pack(*form(weight.flatten(-2), rows), apart=_apart(spec)), h, v), w), amp

    # each of the K is a batch in one piece
    order = (2, 0, 3, 4, 1) if channels_last else (2, 0, 1, 3, 4)
    maps, amp = in_blocks(
        block, (weight, spec), 2,
        lambda: (_empty(weight, (*weight.shape[:-1], w), order), _empty(spec, spec.shape[:2])))
    least = 1e-3 * amp.mean(dim=1, keepdim=True)
    return maps, least.repeat(1, amp.shape[1])


def _modulated_backward(
        weight: torch.Tensor,
        spec: torch.Tensor,
        least: torch.Tensor,
        grad: torch.Tensor,
) -> Tuple[torch.Tensor, torch.Tensor]:
    h, v = spec.shape[-3:-1]
    forward, _ = _transforms(_apart(spec))
    form = _modulate_backward_form(weight, spec, least)

    def block(
            weight: torch.Tensor,
            spec: torch.Tensor,
            least: torch.Tensor,
            grads: torch.Tensor,
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        re, im, grad_weight = form(weight.flatten(-2), _rows(spec), least.unsqueeze(-1), _rows(forward(grads, 2.)))
        return grad_weight.unflatten(-1, (h, v)), _spectra(pack(re, im, apart=_apart(spec)), h, v)

    grad_weight, grad_spec = in_blocks(
        block, (weight, spec, least, grad), 2, lambda: (torch.empty_like(weight), torch.empty_like(spec)))
    return grad_weight, grad_spec


def _branches_last(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, K, H, W), each of the K batches channels_last."""
    return maps.permute(2, 0, 3, 4, 1).contiguous().permute(1, 4, 0, 2, 3)


class _ModulatePhasor(torch.autograd.Function):

    @staticmethod
    def forward(  # type: ignore[override]
            ctx: Any,
            weight: torch.Tensor,
            spec: torch.Tensor,
            w: int,
            channels_last: bool,
    ) -> torch.Tensor:
        maps, least = _modulated(weight, spec, w, channels_last, any(ctx.needs_input_grad))
        ctx.save_for_backward(weight, spec, least)
        ctx.channels_last = channels_last
        return _branches_last(maps) if channels_last else maps

    @staticmethod
    def backward(  # type: ignore[override]
            ctx: Any,
            grad: torch.Tensor,
    ) -> Tuple[torch.Tensor, torch.Tensor, None, None]:
        weight, spec, least = ctx.saved_tensors
        if ctx.channels_last and compiling():
            grad = _branches_last(grad)  # by whatever computes it, which would have to be copied otherwise
        return (*_modulated_backward(weight, spec, least, grad), None, None)


def modulate_phasor(
        weight: torch.Tensor,
        spec: torch.Tensor,
        like: torch.Tensor,
        exportable: bool = False,
) -> torch.Tensor:
    """Maps of other amplitudes: `irfft2` of N * exp(j*theta), real weights on the unit phasors X/A of a spectrum.

    The forward pass is exact, with exp(j*theta) = 1 where A = 0. The gradient with respect to X grows as 1/A, so in the
    backward pass 1/A is clamped at 1/(1e-3 * mean A), the mean taken over the channels and bins of each image; an image
    that is 0 throughout gets the gradient 0. Where the clamp holds, the gradient is smaller than the true one.

    Args:
        weight: N (B, C, K, H, W//2+1), K of them (ANM's branches) for each map.
        spec: Half spectrum (B, C, H, W//2+1, 2) that `analyse` gave.
        like: The maps (B, C, H, W) that it is of: for their width and memory format.
        exportable: As for `rfft2`.

    Returns:
        K real maps for each, (B, C, K, H, W); each of the K batches channels_last where `like` is.
    """
    w = int(like.shape[-1])
    if torch.jit.is_scripting() or exportable and not torch.is_grad_enabled():
        re, im = modulate(weight.flatten(-2), _rows(spec), exportable)
        maps = torch.stack((re, im), dim=-1).view(weight.shape + (2,))
        return irfft2(maps, w, exportable)
    return _ModulatePhasor.apply(weight, spec, w, _channels_last(like))
