"""A visible-infrared pair in the frequency domain (the paper's Fig. 1)."""
from typing import Any, List, NamedTuple, Tuple, Union

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from .. import spectrum
from ._figure import DOUBLE, SMALL, TEXT, new_figure

__all__ = ['SwappedPair', 'plot_swap', 'swap_spectra']

_FLOOR = 1e-4  # amplitudes below are drawn as this: a tenth of what rounding to 8 bits leaves in every bin
_TITLES = ('image', 'amplitude', 'phase', 'own phase,\nother amplitude', 'phase only', 'amplitude only')


class SwappedPair(NamedTuple):
    """A pair's spectra, and what its parts give alone; [0] is of the visible and [1] of the infrared image."""
    images: np.ndarray  # (2, H, W) grey values in [0, 1]
    amplitude: np.ndarray  # (2, H, W) of the orthonormal transform, frequency 0 at [H // 2, W // 2]
    phase: np.ndarray  # (2, H, W) in radians, [-pi, pi], laid out alike
    swapped: np.ndarray  # (2, H, W) own phase with the other image's amplitude
    phase_only: np.ndarray  # (2, H, W) own phase, every amplitude 1
    amplitude_only: np.ndarray  # (2, H, W) own amplitude, every phase 0


def swap_spectra(visible: np.ndarray, infrared: np.ndarray) -> SwappedPair:
    """Take a pair's amplitudes and phases apart, and put them together anew.

    Args:
        visible: Grey values (H, W).
        infrared: Grey values (H, W) of the same scene.

    Raises:
        ValueError: The images are not two-dimensional, or not of one size.
    """
    if visible.ndim != 2 or visible.shape != infrared.shape:
        raise ValueError(
            f'The images have the shapes {list(visible.shape)} and {list(infrared.shape)}, but grey values (H, W) of '
            f'one size are expected.')
    images = torch.from_numpy(np.stack([visible, infrared])).double()
    width = images.shape[-1]
    spec, amplitude = spectrum.analyse(images)
    ones = torch.ones_like(amplitude)
    zero_phase = torch.stack((amplitude, torch.zeros_like(amplitude)), dim=-1)

    def with_own_phase(amplitudes: torch.Tensor) -> np.ndarray:
        # an image a batch entry of one channel
        return spectrum.modulate_phasor(amplitudes[:, None, None], spec[:, None], images[:, None])[:, 0, 0].numpy()

    return SwappedPair(
        images=images.numpy(),
        amplitude=_centred(amplitude.numpy(), width),
        phase=_centred(torch.atan2(spec[..., 1], spec[..., 0]).numpy(), width, mirrored=-1.),
        swapped=with_own_phase(amplitude.flip(0)),
        phase_only=with_own_phase(ones),
        amplitude_only=spectrum.irfft2(zero_phase, width).numpy())


def _centred(half: np.ndarray, width: int, mirrored: float = 1.) -> np.ndarray:
    """The whole spectrum (..., H, W) of a half one (..., H, W // 2 + 1), with frequency 0 in the middle.

    X(-u, -v) is X(u, v) conjugated, so the other half has the same amplitudes and, with `mirrored` = -1, the phases'
    negatives.
    """
    columns = half[..., 1:(width + 1) // 2][..., ::-1]
    rows = np.roll(columns[..., ::-1, :], 1, axis=-2)  # row 0 mirrors itself
    return np.fft.fftshift(np.concatenate([half, mirrored * rows], axis=-1), axes=(-2, -1))


def _grey(image: Union[Image.Image, np.ndarray], name: str) -> Image.Image:
    """One channel of float32 in [0, 1]."""
    if isinstance(image, Image.Image) and image.mode not in ('I', 'F') and not image.mode.startswith('I;'):
        values = np.asarray(image.convert('L'))
    else:
        values = np.asarray(image)
        if values.ndim == 3 and values.shape[2] == 3:
            values = values @ np.array([0.299, 0.587, 0.114]) / (255 if values.dtype == np.uint8 else 1)
    if values.dtype == np.uint8:
        values = values / 255
    if values.ndim != 2 or not values.size or values.dtype.kind != 'f' or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f'The {name} image is of type {values.dtype} and shape {list(values.shape)}, but 8-bit grey or RGB values, '
            f'or floats in [0, 1], are expected. Scale other ones, such as 16-bit thermal values, to these.')
    return Image.fromarray(values.astype(np.float32))


def _stretched(image: np.ndarray) -> Tuple[float, float]:
    """The percentiles that are drawn black and white."""
    low, high = np.percentile(image, (1, 99))
    return float(low), float(high) if high > low else float(low) + 1


def plot_swap(
        visible: Union[Image.Image, np.ndarray],
        infrared: Union[Image.Image, np.ndarray],
) -> Figure:
    """Draw Fig. 1 for a pair of images of the same scene, as nearly aligned as can be.

    Grey values in [0, 1] are transformed; the infrared image is resized to the visible one's size. How each column is
    drawn, the upper row of the visible image and the lower one of the infrared image:

    - image: black is 0, white 1;
    - amplitude: log10 |X| of the orthonormal transform, frequency 0 in the middle, one scale for both images;
    - phase: arg X, with a cyclic colour map;
    - amplitude swapped: the image of its own phase and the other image's amplitude; values outside [0, 1] are clipped;
    - phase only: the image of its own phase where all amplitudes are 1; stretched between its 1st and 99th percentile;
    - amplitude only: the image of its own amplitude where all phases are 0; shifted so that its peak, at pixel 0, lies
      in the middle; log10 of the absolute values, stretched in the same way.

    Args:
        visible: A PIL image, or an array (H, W) or (H, W, 3), uint8 or floating in [0, 1].
        infrared: The same.

    Raises:
        ValueError: An image has other values or another shape.
    """
    images = [_grey(visible, 'visible'), _grey(infrared, 'infrared')]
    images[1] = images[1].resize(images[0].size, Image.Resampling.BILINEAR)
    pair = swap_spectra(*(np.asarray(image) for image in images))
    height, width = pair.images.shape[1:]
    column = (DOUBLE - 0.75) / 6
    figure = new_figure(DOUBLE, 2 * column * height / width + 1.2)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01)
    grid = figure.add_gridspec(3, 6, height_ratios=[1, 1, 0.06 * width / height])
    log = np.log10(np.maximum(pair.amplitude, _FLOOR))
    for row in (0, 1):
        axes = [figure.add_subplot(grid[row, place]) for place in range(6)]
        axes[0].set_ylabel(('visible', 'infrared')[row], fontsize=TEXT)
        _draw(axes[0], pair.images[row], 0, 1)
        mapped = [
            _draw_spectrum(axes[1], log[row], 'viridis', _stretched(log), labels=(row == 1, True)),
            _draw_spectrum(axes[2], pair.phase[row], 'twilight', (-np.pi, np.pi), labels=(row == 1, False))]
        _draw(axes[3], pair.swapped[row], 0, 1)
        _draw(axes[4], pair.phase_only[row], *_stretched(pair.phase_only[row]))
        peak = np.log10(np.maximum(np.abs(np.fft.fftshift(pair.amplitude_only[row])), _FLOOR))
        _draw(axes[5], peak, *_stretched(peak))
        for axis, letter, title in zip(axes if row == 0 else [], 'abcdef', _TITLES):
            axis.set_title(f'({letter}) {title}', fontsize=SMALL, pad=3)
    bars = [figure.colorbar(image, cax=figure.add_subplot(grid[2, 1 + place]), orientation='horizontal')
            for place, image in enumerate(mapped)]
    for bar, label in zip(bars, ('$\\log_{10}|X|$', 'arg $X$ (rad)')):
        bar.set_label(label, fontsize=SMALL, labelpad=1)
        bar.ax.tick_params(labelsize=SMALL, length=2, pad=1)
    bars[1].set_ticks([-np.pi, 0, np.pi], labels=['$-\\pi$', '0', '$\\pi$'])
    return figure


def _draw(axis: Any, image: np.ndarray, low: float, high: float) -> None:
    axis.imshow(image, cmap='gray', vmin=low, vmax=high)
    axis.set_xticks([])
    axis.set_yticks([])


def _draw_spectrum(
        axis: Any,
        values: np.ndarray,
        colours: str,
        limits: Tuple[float, float],
        labels: Tuple[bool, bool],
) -> Any:
    """One with its frequencies, which are named below and at the left by `labels`."""
    height, width = values.shape
    x, y = (_frequencies(size) for size in (width, height))
    mapped = axis.imshow(
        values, cmap=colours, vmin=limits[0], vmax=limits[1], extent=(x[0], x[1], y[1], y[0]), aspect=height / width,
        interpolation='nearest')
    for ticks in (axis.set_xticks, axis.set_yticks):
        ticks([-0.25, 0, 0.25], ['−¼', '0', '¼'])
    axis.tick_params(labelsize=SMALL, length=2, pad=1, labelbottom=labels[0], labelleft=labels[1])
    if labels[0]:
        axis.set_xlabel('cycles/pixel', fontsize=SMALL, labelpad=1)
    return mapped


def _frequencies(size: int) -> List[float]:
    """The outer edges of the first and the last of `size` bins, in cycles a pixel."""
    first = -(size // 2)
    return [(first - 0.5) / size, (first + size - 0.5) / size]
