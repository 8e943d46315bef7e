import base64
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from fdnm_timm.plots._figure import new_figure
from fdnm_timm.report.pictures import picture_of, stored_picture


def decoded(uri: str) -> tuple:
    kind, _, content = uri.partition(';base64,')
    return kind, base64.b64decode(content, validate=True)


def figure_of(points: int):
    figure = new_figure(2, 1)
    figure.subplots().scatter(*np.random.default_rng(0).random((2, points)), c=np.arange(points))
    return figure


def test_few_lines_are_drawn_and_many_are_pixels():
    picture = picture_of(figure_of(10), 'in words', 'under it')
    kind, content = decoded(picture.uri)
    assert kind == 'data:image/svg+xml' and ElementTree.fromstring(content).tag.endswith('svg')
    assert b'<text' not in content  # outlines: no font is needed
    assert picture_of(figure_of(10), 'in words', 'under it') == picture  # the same bytes
    assert (picture.width, picture.height, picture.alt, picture.caption) == (250, 125, 'in words', 'under it')
    kind, content = decoded(picture_of(figure_of(3000), '', '').uri)
    with Image.open(io.BytesIO(content)) as image:
        assert kind == 'data:image/png' and image.format == 'PNG' and image.size == (500, 250)


def test_stored_pictures_keep_their_size_and_take_the_smaller_format(tmp_path):
    rng = np.random.default_rng(0)
    noisy = Image.fromarray(rng.integers(0, 256, (80, 120), dtype=np.uint8)).convert('RGB')
    noisy.save(tmp_path / 'noisy.png', dpi=(200, 200))
    picture = stored_picture(tmp_path / 'noisy.png', '', '')
    kind, content = decoded(picture.uri)
    with Image.open(io.BytesIO(content)) as image:
        assert kind == 'data:image/webp' and image.size == (120, 80)
        assert np.abs(np.asarray(image.convert('RGB'), float) - np.asarray(noisy, float)).mean() < 6
    assert (picture.width, picture.height) == (75, 50)
    Image.new('RGB', (4, 4)).save(tmp_path / 'tiny.png')
    kind, content = decoded(stored_picture(tmp_path / 'tiny.png', '', '').uri)
    assert (kind == 'data:image/png') == (content == (tmp_path / 'tiny.png').read_bytes())


def test_a_broken_picture_is_named(tmp_path):
    (tmp_path / 'ranked.png').write_bytes(b'\x89PNG nothing')
    with pytest.raises(ValueError, match='ranked.png" cannot be read'):
        stored_picture(tmp_path / 'ranked.png', '', '')
