"""The page in a real browser."""

import numpy as np
import pytest
from PIL import Image

from .browser import Listener, browse, measure, needs_browser

pytestmark = needs_browser


@pytest.fixture(scope='module')
def on_a_telephone(html, tmp_path_factory) -> dict:
    assert 'google' not in html  # whose name the listener does not keep
    with Listener() as listener:
        found = measure(html, tmp_path_factory.mktemp('browser'), 400, proxy=listener.address)
    return {**found, 'asked': listener.asked}


def test_every_picture_is_decoded_and_nothing_is_asked_for(html, on_a_telephone):
    assert len(on_a_telephone['images']) == html.count('<img') > 3
    assert all(width > 100 for width in on_a_telephone['images'])
    assert not on_a_telephone['refused'] and not on_a_telephone['loaded'] and not on_a_telephone['asked']


def test_headings_stand_there_and_numbers_are_right_aligned(on_a_telephone):
    assert {'What was run', 'Results', 'Training', 'Configuration', 'Limits'} <= set(on_a_telephone['headings'])
    assert set(on_a_telephone['fonts']) == {'right'}


def test_no_sideways_scrolling_on_a_telephone(on_a_telephone):
    assert on_a_telephone['width'] == 400 and on_a_telephone['scroll'] <= 400


def test_the_policy_keeps_the_page_from_the_network(html, tmp_path):
    spy = '<img src="http://outside.example/spy.png" alt="">'
    with Listener() as listener:
        found = measure(html.replace('<main>', f'{spy}<main>'), tmp_path, 800, proxy=listener.address)
        assert listener.asked == [] and found['refused'] == ['http://outside.example/spy.png']
        open_page = tmp_path / 'open.html'  # the listener would have heard it
        open_page.write_text(f'<!DOCTYPE html><title>open</title>{spy}', encoding='utf-8')
        browse(open_page, '--dump-dom', proxy=listener.address)
        assert listener.asked == ['http://outside.example/spy.png']


def test_dark_mode_and_a_window_full_of_page(html, tmp_path):
    page, shot = tmp_path / 'page.html', tmp_path / 'page.png'
    page.write_text(html, encoding='utf-8')
    browse(page, f'--screenshot={shot}', '--window-size=1200,1600', '--hide-scrollbars')
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert('L'))
    assert pixels.shape == (1600, 1200)
    assert (pixels[:, :60] > 250).all()  # the margin beside the text
    assert 0.01 < (pixels[:, 90:1110] < 128).mean() < 0.5
    dark = measure(html, tmp_path, 800, '--blink-settings=preferredColorScheme=0')
    assert dark['background'] == 'rgb(22, 24, 28)'
