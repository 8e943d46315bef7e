"""The contact sheet shows what was found, and where the threshold lies."""
import re
import warnings

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from fdnm_timm.data import DatasetError
from fdnm_timm.search import Answer, Match, Threshold, search
from fdnm_timm.search.picture import plot_answers, save_answers

from .gallery import features, people

IDS = np.arange(24) % 6
INSIDE, OUTSIDE = '#0072b2', '#7f7f7f'


@pytest.fixture(autouse=True)
def _no_warning():
    """Such as of a glyph that the font lacks, or of a layout that does not fit."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Answers to 12 queries, whose images are of different shapes."""
    monkeypatch.chdir(tmp_path)
    for prefix, number in (('g', 24), ('q', 12)):
        (tmp_path / prefix).mkdir()
        for row in range(number):
            size = (20, 40) if row % 5 else (30, 30)
            Image.new('RGB', size, (10 * row, 90, 255 - 10 * row)).save(tmp_path / prefix / f'{row}.png')

    def run(threshold=None, top=5):
        return search(features(people(IDS[:12], seed=1), 'q'), features(people(IDS)), top, threshold)
    return run


def frames(axis):
    return {(to_hex(spine.get_edgecolor()), spine.get_linestyle() == '-') for spine in axis.spines.values()}


def marks(line):
    """Where the threshold's bars stand: the axis and whether behind its image."""
    return [(place, mark.get_xdata()[0] > 1) for place, axis in enumerate(line) for mark in axis.lines]


def grid(figure, columns):
    return np.array(figure.axes).reshape(-1, columns)


def test_without_a_threshold(answers):
    figure = plot_answers(answers())
    lines = grid(figure, 6)
    assert len(lines) == 5  # evenly over all
    found = answers().answers
    assert lines[0][0].get_ylabel() == 'q/0.png' and lines[-1][0].get_ylabel() == 'q/11.png'
    assert [line[0].get_title() for line in lines] == ['query'] * 5
    assert lines[0][1].get_title() == f'1\n{found[0].matches[0].similarity:.3f}'
    assert all(len(frames(axis)) == 1 and next(iter(frames(axis)))[1] for axis in lines.flat)
    assert all(marks(line) == [] for line in lines) and 'threshold' not in figure.get_suptitle()


def test_the_threshold_stands_between(answers):
    value = 0.95
    found = answers(Threshold(value, 'validation', 0.01)).answers
    numbers = [sum(match.similarity >= value for match in answer.matches) for answer in found]
    assert len(set(numbers)) > 1
    figure = plot_answers(answers(Threshold(value, 'validation', 0.01)), rows=range(12))
    for line, number, answer in zip(grid(figure, 6), numbers, found):
        assert marks(line) == [(number, True) if number else (1, False)]
        assert [frames(axis) for axis in line[1:1 + number]] == [{(INSIDE, True)}] * number
        assert [frames(axis) for axis in line[1 + number:]] == [{(OUTSIDE, False)}] * (5 - number)
        assert line[0].get_title() == ('known' if answer.known else 'unknown')
    assert 'threshold 0.950, FAR 0.01 of pairs' in figure.get_suptitle()


@pytest.mark.parametrize('value, place', [(-1, (5, True)), (2, (1, False))])
def test_a_threshold_beyond_all(answers, value, place):
    assert marks(grid(plot_answers(answers(value), [0]), 6)[0]) == [place]


def test_missing_matches_leave_a_gap(answers):
    found = answers(0.1)
    first = found.answers[0]._replace(matches=found.answers[0].matches[:2])
    lines = grid(plot_answers(found._replace(answers=[first, found.answers[1]])), 6)
    assert [axis.axison for axis in lines[0]] == [True] * 3 + [False] * 3 and lines[1][5].axison
    nothing = found._replace(answers=[Answer('q/0.png', [], False)])
    query, place = plot_answers(nothing).axes
    assert query.get_title() == 'unknown' and not place.axison


@pytest.mark.parametrize('suffix', ['png', 'pdf', 'svg'])
def test_saved(answers, tmp_path, suffix):
    file = save_answers(tmp_path / f'sheet.{suffix}', answers(0.5), [0, 1])
    assert file.stat().st_size > 1000
    if suffix == 'png':
        with Image.open(file) as image:
            assert image.size[0] == 1400  # 7 inches


def test_text_can_be_read_in_print(answers):
    figure = plot_answers(answers(0.5, top=10))
    sizes = [text.get_fontsize() for axis in figure.axes for text in (axis.title, axis.yaxis.label) if text.get_text()]
    assert min(sizes) >= 7 and figure.get_size_inches()[0] == 7
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    for line in grid(figure, 11):  # no two neighbours' numbers touch
        boxes = [axis.title.get_window_extent(renderer) for axis in line]
        assert all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:]))


def test_a_missing_image_is_told(answers, tmp_path):
    found = answers()
    first = found.answers[0]._replace(matches=[Match('g/none.png', 0.5)])
    with pytest.raises(DatasetError, match=re.escape('"g/none.png"')):
        plot_answers(found._replace(answers=[first]))
