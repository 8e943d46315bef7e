import pytest
from matplotlib.lines import Line2D
from PIL import Image

from fdnm_timm.plots import save_figure
from fdnm_timm.plots._figure import _inches, legend_above, metric_name, new_figure, plain_axes, series, wrap

from .print_check import check_print, legend_of


def simple():
    figure = new_figure(3.4, 2)
    axis = figure.subplots()
    plain_axes(axis, 'x', 'y')
    axis.plot([0, 1], **series(0))
    return figure


@pytest.mark.parametrize('suffix, begin', [('png', b'\x89PNG'), ('pdf', b'%PDF'), ('svg', b'<?xml')])
def test_formats_are_whole_and_the_same_each_time(tmp_path, suffix, begin):
    first, second = (save_figure(tmp_path / f'{name}.{suffix}', simple()).read_bytes() for name in 'ab')
    assert first.startswith(begin) and first == second
    assert b'/Type3' not in first
    assert sorted(file.name for file in tmp_path.iterdir()) == [f'a.{suffix}', f'b.{suffix}']


def test_resolution(tmp_path):
    with Image.open(save_figure(tmp_path / 'a.png', simple(), dpi=100)) as image:
        assert image.size == (340, 200)


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match='a.jpg" is no name of a picture: it must end in .png, .pdf, .svg'):
        save_figure(tmp_path / 'a.jpg', simple())
    assert not list(tmp_path.iterdir())


def test_series_differ_in_more_than_their_colour():
    looks = [(str(s['color']), str(s['linestyle'])) for s in map(series, range(12))]
    assert len(set(looks)) == 12 and len({style for _, style in looks[:5]}) == 5


def test_wrap_breaks_after_signs_and_hard_where_there_are_none():
    name = 'indoor_search_single_shot'
    assert wrap(name, 5) == name
    lines = wrap(name, 0.8).split('\n')
    assert ''.join(lines) == name and len(lines) > 1 and all(line.endswith('_') for line in lines[:-1])
    assert all(_inches(line, 7) <= 0.8 for line in lines)
    hard = wrap('x' * 60, 1).split('\n')
    assert ''.join(hard) == 'x' * 60 and all(_inches(line, 7) <= 1 for line in hard)


@pytest.mark.parametrize('names', [
    ['a'], ['a', 'b', 'c'], [f'base+local+agp+anm+cnm, infrared_to_visible, seed {n}' for n in range(5)],
    ['a name of one run that is so long that no column of any journal could hold it in a single line of text', 'b'],
])
def test_legends_lie_above_the_axes(names):
    figure = simple()
    before = figure.axes[0].get_window_extent().height
    legend_above(figure, {name: Line2D([], []) for name in names}, 'sysu_mm01, all_search_single_shot')
    check_print(figure)
    assert figure.axes[0].get_window_extent().height > 0.75 * before  # the figure has grown instead
    assert [''.join(text.split()) for text in legend_of(figure)] == [''.join(name.split()) for name in names]


def test_metric_names():
    assert [metric_name(m) for m in ('R1', 'R20', 'mAP', 'VR@FAR=1%')] == ['Rank-1', 'Rank-20', 'mAP', 'VR@FAR=1%']
