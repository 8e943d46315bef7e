"""The transforms themselves, by FFT and by matrix products, forwards and backwards alike; no gradients of their own."""
import math

import torch

__all__ = ['transform', 'transform_by_matmul', 'inverse_transform', 'inverse_transform_by_matmul', 'weight_mirrored']


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


def transform(x: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(torch.fft.rfft2(x, norm='ortho')).contiguous()


def weight_mirrored(spec: torch.Tensor, w: int, weight: float) -> torch.Tensor:
    """The half spectrum (..., w//2+1, 2), changed in place: columns that stand for mirror images too times `weight`."""
    if weight != 1.:
        spec[..., 1:(w + 1) // 2, :].mul_(weight)  # neither DC nor Nyquist
    return spec


def inverse_transform(spec: torch.Tensor, w: int, mirrored: float = 1.) -> torch.Tensor:
    """The real part of the full inverse transform, with the columns that are mirrored weighted by `mirrored`.

    It takes no notice of the imaginary part that is left in the columns DC and Nyquist after the transform along H;
    CUDA's C2R leaves that undefined, so it is set to 0 here.
    """
    cols = torch.fft.ifft(torch.view_as_complex(spec.contiguous()), dim=-2, norm='ortho')
    parts = weight_mirrored(torch.view_as_real(cols), w, mirrored)
    parts[..., 0, 1] = 0.
    if w % 2 == 0:
        parts[..., w // 2, 1] = 0.
    return torch.fft.irfft(cols, n=w, dim=-1, norm='ortho')
