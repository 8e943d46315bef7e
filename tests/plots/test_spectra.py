import math

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from fdnm_timm.plots import save_figure
from fdnm_timm.plots.spectra import plot_swap, swap_spectra

SIZES = [(8, 6), (7, 5), (8, 5), (5, 8), (1, 4), (3, 1), (2, 2)]


def pair(height: int = 16, width: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.1, 0.9, (2, height, width))


def whole(images: np.ndarray) -> np.ndarray:
    """The complex spectrum, with frequency 0 at [0, 0]."""
    return np.fft.fft2(images, norm='ortho')


@pytest.mark.parametrize('size', SIZES)
def test_spectra_equal_numpys(size):
    images = pair(*size)
    found = swap_spectra(*images)
    expected = np.fft.fftshift(whole(images), axes=(-2, -1))
    np.testing.assert_allclose(found.images, images)
    np.testing.assert_allclose(found.amplitude, np.abs(expected), atol=1e-12)
    # as angles: pi and -pi are one
    np.testing.assert_allclose(np.exp(1j * found.phase), expected / np.abs(expected), atol=1e-9)
    assert np.abs(found.phase).max() <= math.pi


@pytest.mark.parametrize('size', SIZES)
def test_swapped_images_have_their_own_phase_and_the_others_amplitude(size):
    images = pair(*size)
    before, after = whole(images), whole(swap_spectra(*images).swapped)
    np.testing.assert_allclose(np.abs(after), np.abs(before[::-1]), atol=1e-12)
    np.testing.assert_allclose(after / np.abs(after), before / np.abs(before), atol=1e-9)


@pytest.mark.parametrize('size', SIZES)
def test_swapping_twice_gives_the_images_back(size):
    images = pair(*size)
    np.testing.assert_allclose(swap_spectra(*swap_spectra(*images).swapped).swapped, images, atol=1e-12)


@pytest.mark.parametrize('size', SIZES)
def test_parts_alone(size):
    images = pair(*size)
    found, before = swap_spectra(*images), whole(images)
    np.testing.assert_allclose(whole(found.phase_only), before / np.abs(before), atol=1e-9)
    np.testing.assert_allclose(whole(found.amplitude_only), np.abs(before), atol=1e-12)  # every phase 0


def test_equal_images_and_black_ones():
    image = pair()[0]
    np.testing.assert_allclose(swap_spectra(image, image).swapped[0], image, atol=1e-12)
    black = swap_spectra(np.zeros((4, 4)), np.zeros((4, 4)))
    assert all(np.isfinite(value).all() for value in black) and not black.swapped.any()
    assert plot_swap(np.zeros((4, 4)), np.zeros((4, 4))).axes


def test_images_that_do_not_fit():
    with pytest.raises(ValueError, match=r'\[4, 4\] and \[4, 5\]'):
        swap_spectra(np.zeros((4, 4)), np.zeros((4, 5)))


def drawn(figure, row: int, column: int) -> np.ndarray:
    return np.asarray(figure.axes[6 * row + column].images[0].get_array())


def test_figure_shows_what_was_computed():
    images = pair()
    found, figure = swap_spectra(*images.astype(np.float32)), plot_swap(*images)
    assert len(figure.axes) == 12 + 2  # and two colour bars
    for row in (0, 1):
        np.testing.assert_allclose(drawn(figure, row, 0), found.images[row])
        np.testing.assert_allclose(10 ** drawn(figure, row, 1), found.amplitude[row], rtol=1e-6)
        np.testing.assert_allclose(drawn(figure, row, 2), found.phase[row])
        np.testing.assert_allclose(drawn(figure, row, 3), found.swapped[row])
        np.testing.assert_allclose(drawn(figure, row, 4), found.phase_only[row])
        peak = drawn(figure, row, 5)
        assert np.unravel_index(peak.argmax(), peak.shape) == (8, 6)  # the middle
        assert figure.axes[6 * row + 3].images[0].get_clim() == (0, 1)
        phase = figure.axes[6 * row + 2].images[0]
        assert phase.get_clim() == (-math.pi, math.pi) and phase.get_cmap().name == 'twilight'
    one, other = (figure.axes[6 * row + 1].images[0].get_clim() for row in (0, 1))
    assert one == other  # comparable
    assert [axis.get_xlabel() for axis in figure.axes[-2:]] == ['$\\log_{10}|X|$', 'arg $X$ (rad)']


def test_frequency_zero_lies_at_zero():
    for height, width in ((8, 6), (7, 5)):
        left, right, bottom, top = plot_swap(*pair(height, width)).axes[1].images[0].get_extent()
        # the bin's middle
        assert left + (width // 2 + 0.5) * (right - left) / width == pytest.approx(0)
        assert top + (height // 2 + 0.5) * (bottom - top) / height == pytest.approx(0)
        assert right - left == pytest.approx(1)  # cycles a pixel


def test_all_kinds_of_images():
    grey = (255 * pair()).round().astype(np.uint8)
    expected = drawn(plot_swap(grey[0], grey[1]), 0, 0)
    np.testing.assert_allclose(expected, grey[0] / 255, atol=1e-6)
    colour = np.repeat(grey[0][..., None], 3, axis=2)
    for image in (Image.fromarray(grey[0]), colour, colour / 255, Image.fromarray(colour), (grey[0] / 255)):
        np.testing.assert_allclose(drawn(plot_swap(image, grey[1]), 0, 0), expected, atol=1e-6)


def test_infrared_image_gets_the_visible_ones_size():
    small = np.full((4, 3), 0.25)
    assert drawn(plot_swap(pair()[0], small), 1, 0) == pytest.approx(np.full((16, 12), 0.25))


@pytest.mark.parametrize('image', [
    np.full((4, 4), 4000, dtype=np.uint16), np.full((4, 4), 7.), np.full((4, 4), np.nan), np.zeros((4, 4, 4)),
    np.zeros(4), Image.fromarray(np.full((4, 4), 4000, dtype=np.uint16)), np.zeros((0, 4)),
])
def test_other_values_are_refused(image):
    with pytest.raises(ValueError, match='The infrared image is of type'):
        plot_swap(np.zeros((4, 4)), image)


def test_text_is_readable_in_print_and_nothing_warns(tmp_path, recwarn):
    for size in ((16, 32), (32, 16)):
        figure = plot_swap(*pair(*size))
        assert figure.get_figwidth() == 7
        assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 7
        with Image.open(save_figure(tmp_path / 'swap.png', figure)) as image:
            assert image.width == 1050 and len(image.convert('RGB').getcolors(1 << 20)) > 100
    assert not recwarn.list
