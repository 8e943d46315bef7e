"""The transforms themselves, by FFT and by matrix products, forwards and backwards alike; no gradients of their own."""
import functools
import math
from typing import Callable, NamedTuple, Optional, Tuple

import torch

__all__ = [
    'inverse_transform', 'inverse_transform_by_matmul', 'inverse_transform_channels', 'transform',
    'transform_by_matmul', 'transform_channels']


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


def transform_by_matmul(x: torch.Tensor) -> torch.Tensor:
    h, w = int(x.shape[-2]), int(x.shape[-1])
    rows, cols = _dft_angles(h, h, x), _dft_angles(w, w // 2 + 1, x)
    re, im = x @ cols.cos(), -(x @ cols.sin())
    cos, sin = rows.cos(), rows.sin()
    scale = 1 / math.sqrt(h * w)
    return torch.stack((cos @ re + sin @ im, cos @ im - sin @ re), dim=-1) * scale


def inverse_transform_by_matmul(spec: torch.Tensor, w: int) -> torch.Tensor:
    h = int(spec.shape[-3])
    re, im = spec[..., 0], spec[..., 1]
    rows, cols = _dft_angles(h, h, re), _dft_angles(w, w // 2 + 1, re)
    cos, sin = rows.cos(), rows.sin()
    re, im = cos @ re - sin @ im, cos @ im + sin @ re
    weight = _column_weights(w, 2., 1., re)  # DC's and Nyquist's sines are 0: their imaginary parts drop out
    scale = 1 / math.sqrt(h * w)
    return (re @ (cols.cos() * weight).t() - im @ (cols.sin() * weight).t()) * scale


def _weight_mirrored(spec: torch.Tensor, w: int, weight: float) -> torch.Tensor:
    """The half spectrum (..., w//2+1, 2), changed in place: columns that stand for mirror images too times `weight`."""
    if weight != 1.:
        spec[..., 1:(w + 1) // 2, :].mul_(weight)  # neither DC nor Nyquist
    return spec


def transform(x: torch.Tensor, mirrored: float = 1.) -> torch.Tensor:
    """Maps (..., H, W) -> half spectrum, with the columns that stand for mirror images too times `mirrored`."""
    spec = torch.view_as_real(torch.fft.rfft2(x, norm='ortho')).contiguous()
    return _weight_mirrored(spec, int(x.shape[-1]), mirrored)


def inverse_transform(spec: torch.Tensor, w: int, mirrored: float = 1.) -> torch.Tensor:
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


_SMALL = 1 << 13  # pixels a map: where matrix products are faster than FFTs and the copies that these need


class _Matrices(NamedTuple):
    """The orthonormal transforms of an axis each, between real numbers and (real, imaginary) pairs or of pairs."""
    along_w: torch.Tensor  # (2V, W): rows -> all real parts, then all imaginary ones
    along_h: Tuple[torch.Tensor, ...]  # pairs, row by row -> as along_w; of the even and the odd frequencies, or of all


@functools.lru_cache(maxsize=64)
def _matrices(h: int, w: int, dtype: torch.dtype, mirrored: float) -> _Matrices:
    x = torch.empty(0, dtype=torch.float64, device='cpu')
    v, rows, cols = w // 2 + 1, _dft_angles(h, h, x), _dft_angles(w, w // 2 + 1, x)
    cos, sin = rows.cos() / math.sqrt(h), rows.sin() / math.sqrt(h)
    along_h = torch.stack((torch.stack((cos, sin), dim=-1), torch.stack((-sin, cos), dim=-1)))  # 2, H, H, 2
    along_w = torch.stack((cols.cos(), -cols.sin())) * _column_weights(w, mirrored, 1., x) / math.sqrt(w)
    # the sines of DC and Nyquist are 0 but for rounding, which a large imaginary part there would bring out
    along_w[1, :, ::w // 2 if w > 1 and w % 2 == 0 else v] = 0.
    if h % 2 == 0:
        # of a column's lower half, even frequencies see the same waves as of its upper half, odd ones their negatives
        parts = tuple(along_h[:, start::2, :h // 2].reshape(h, h) for start in (0, 1))
    else:
        parts = along_h.view(2 * h, 2 * h),
    return _Matrices(
        along_w.transpose(1, 2).reshape(2 * v, w).to(dtype), tuple(part.to(dtype).contiguous() for part in parts))


def _pixels_to_bins(pixels: torch.Tensor, mirrored: float, out: torch.Tensor) -> None:
    """(H, W, N) -> (2, H, W//2+1, N), contiguous."""
    h, w, n = pixels.shape
    along_w, along_h = _matrices(h, w, pixels.dtype, mirrored)
    pairs = torch.bmm(along_w.expand(h, -1, -1), pixels).view(2 * h, -1)
    if len(along_h) == 2:
        even, odd = out.view(h, 2, -1).unbind(1)
        torch.mm(along_h[0], pairs[:h] + pairs[h:], out=even)
        torch.mm(along_h[1], pairs[:h] - pairs[h:], out=odd)
    else:
        torch.mm(along_h[0], pairs, out=out.view(2 * h, -1))


def _bins_to_pixels(bins: torch.Tensor, mirrored: float, out: torch.Tensor) -> None:
    """(2, H, W//2+1, N) -> (H, W, N), contiguous."""
    h, w, n = out.shape
    along_w, along_h = _matrices(h, w, bins.dtype, 2. * mirrored)
    if len(along_h) == 2:
        even, odd = [part.t() @ half for part, half in zip(along_h, bins.view(h, 2, -1).unbind(1))]
        pairs = even.new_empty(2 * h, even.shape[1])
        torch.add(even, odd, out=pairs[:h])
        torch.sub(even, odd, out=pairs[h:])
    else:
        pairs = along_h[0].t() @ bins.view(2 * h, -1)
    torch.bmm(along_w.t().expand(h, -1, -1), pairs.view(h, -1, n), out=out)


def _products(
        function: Callable[[torch.Tensor, float, torch.Tensor], None],
        x: torch.Tensor,
        mirrored: float,
        out: torch.Tensor,
        dims: int,
) -> None:
    """function(x, mirrored, out), the dimensions of `out` behind the first `dims` as one.

    PyTorch can be told to round products of float32 to bfloat16, which is too coarse here.
    """
    exact = torch.get_float32_matmul_precision() == 'highest' or x.dtype == torch.float64
    direct = exact and out.is_contiguous()
    result = out if direct else torch.empty(out.shape, dtype=x.dtype if exact else torch.float64, device=x.device)
    function(x.contiguous() if exact else x.double().contiguous(), mirrored, result.flatten(dims))
    if not direct:
        out.copy_(result)


def transform_channels(x: torch.Tensor, mirrored: float = 1., out: Optional[torch.Tensor] = None) -> torch.Tensor:
    """As `transform`, of maps (R, ..., H, W) whose R lie last in memory, by matrix products.

    The result's memory format is (2, H, W//2+1, ..., R). A product takes the channels of a pixel together, where an FFT
    would have to gather them, and for the maps of a network it is the faster of the two. It cannot be differentiated.
    """
    h, w, others = int(x.shape[-2]), int(x.shape[-1]), x.shape[:-2][::-1]
    last = list(reversed(range(len(others))))
    if out is None:
        out = x.new_empty(2, h, w // 2 + 1, *others).permute(*reversed(range(3, len(others) + 3)), 1, 2, 0)
    if h * w > _SMALL:
        return out.copy_(transform(x, mirrored))
    pixels = x.permute(-2, -1, *last).reshape(h, w, -1)
    _products(_pixels_to_bins, pixels, mirrored, out.permute(-1, -3, -2, *last), 3)
    return out


def inverse_transform_channels(
        spec: torch.Tensor,
        w: int,
        mirrored: float = 1.,
        out: Optional[torch.Tensor] = None,
) -> torch.Tensor:
    """As `inverse_transform`, of spectra as from `transform_channels`. It cannot be differentiated."""
    h, v, others = int(spec.shape[-3]), int(spec.shape[-2]), spec.shape[:-3][::-1]
    last = list(reversed(range(len(others))))
    if out is None:
        out = spec.new_empty(h, w, *others).permute(*reversed(range(2, len(others) + 2)), 0, 1)
    if h * w > _SMALL:
        return out.copy_(inverse_transform(spec, w, mirrored))
    bins = spec.permute(-1, -3, -2, *last).reshape(2, h, v, -1)
    _products(_bins_to_pixels, bins, mirrored, out.permute(-2, -1, *last), 2)
    return out
