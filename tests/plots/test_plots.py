import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image

from fdnm_timm.data import SYSUMM01
from fdnm_timm.plots import plot_ranked, plot_training, save_ranked
from fdnm_timm.plots._figure import save_figure
from fdnm_timm.plots.ranked import RIGHT, WRONG

HISTORY = [
    {'epoch': n, 'lr': 0.1, 'loss': 5. - n, 'loss_id': 3. - n, 'loss_tri': 1., 'loss_cnm': 0.5, 'accuracy': 0.2 * n}
    for n in (1, 2, 3)
]


class Lists(NamedTuple):
    query: list
    gallery: list
    places: np.ndarray


@pytest.fixture(scope='module')
def dataset(sysu_tree: Path) -> SYSUMM01:
    return SYSUMM01(sysu_tree)


@pytest.fixture(scope='module')
def lists(dataset) -> Lists:
    """Queries with a right place, a wrong one, and none."""
    query, gallery = dataset.query[:3], dataset.gallery
    pids = np.array([pid for _, pid, _ in gallery])
    places = []
    for _, pid, _ in query:
        right, wrong = np.flatnonzero(pids == pid), np.flatnonzero(pids != pid)
        places.append([wrong[0], right[0], -1])
    places[1] = [places[1][1], places[1][0], places[1][0]]
    return Lists(query, gallery, np.array(places))


@pytest.fixture(autouse=True)
def _no_warning():
    """Such as of a glyph that the font lacks, or of a layout that does not fit."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def colours(axis) -> set:
    return {spine.get_edgecolor() for spine in axis.spines.values()}


def test_one_axis_a_place(dataset, lists):
    figure = plot_ranked(dataset, *lists, rows=[0, 1, 2], title='trial 0')
    assert len(figure.axes) == 3 * (1 + 3)
    assert figure.get_suptitle() == 'trial 0'


def test_frames_tell_right_from_wrong(dataset, lists):
    axes = np.array(plot_ranked(dataset, *lists, rows=[2, 1, 0]).axes).reshape(3, 4)
    for line, row in enumerate((2, 1, 0)):
        assert not colours(axes[line][0]) & {to_rgba(RIGHT), to_rgba(WRONG)}
        for axis, place in zip(axes[line][1:], lists.places[row], strict=True):
            if place < 0:
                continue
            right = lists.gallery[place][1] == lists.query[row][1]
            assert colours(axis) == {to_rgba(RIGHT if right else WRONG)}
            # for eyes to which both are one colour
            assert ('✓' in axis.get_title(), '✗' in axis.get_title()) == (right, not right)
            styles = {spine.get_linestyle() for spine in axis.spines.values()}
            assert (styles == {'-'}) == right


def test_places_of_minus_one_are_left_empty(dataset, lists):
    axes = np.array(plot_ranked(dataset, *lists, rows=[0, 1]).axes).reshape(2, 4)
    drawn = [[bool(axis.images) for axis in line] for line in axes]
    assert drawn == [[True, True, True, False], [True, True, True, True]]
    assert not axes[0][3].axison and not axes[0][3].get_title()


def test_images_are_the_records_own(dataset, lists):
    axes = plot_ranked(dataset, *lists, rows=[1]).axes
    for axis, path in zip(axes, [lists.query[1][0], *(lists.gallery[p][0] for p in lists.places[1])], strict=True):
        assert np.array_equal(axis.images[0].get_array(), np.asarray(dataset.load(path)))
    assert axes[0].get_ylabel() == f'id {lists.query[1][1]}'


def test_rows_by_default_are_different_identities(dataset):
    query = dataset.query
    ids = list(dict.fromkeys(pid for _, pid, _ in query))
    places = np.zeros((len(query), 1), dtype=int)
    figure = plot_ranked(dataset, query, dataset.gallery, places)
    assert [axis.get_ylabel() for axis in figure.axes[::2]] == [f'id {pid}' for pid in ids]
    many = [(path, number, camid) for number, (path, _, camid) in enumerate(query * 2)][:20]
    figure = plot_ranked(dataset, many, dataset.gallery, places[:1].repeat(len(many), axis=0))
    labels = [axis.get_ylabel() for axis in figure.axes[::2]]
    assert len(set(labels)) == 8 and labels[0] == 'id 0' and labels[-1] == f'id {len(many) - 1}'


def test_save_ranked(dataset, lists, tmp_path):
    path = save_ranked(tmp_path / 'deep' / 'ranked.png', lists, dataset, title='all_search')
    with Image.open(path) as image:
        image.load()
        assert image.format == 'PNG' and image.width > 300 and image.height > 150
        colours = {tuple(pixel) for pixel in np.asarray(image.convert('RGB')).reshape(-1, 3)[::3]}
    assert {tuple(round(255 * c) for c in to_rgba(colour)[:3]) for colour in (RIGHT, WRONG)} <= colours
    assert [file.name for file in path.parent.iterdir()] == ['ranked.png']


def test_plot_training(tmp_path):
    left, right = plot_training(HISTORY).axes
    assert [line.get_ydata().tolist() for line in left.lines] == [
        [entry[key] for entry in HISTORY] for key in ('loss', 'loss_id', 'loss_tri', 'loss_cnm')]
    assert all(line.get_xdata().tolist() == [1, 2, 3] for line in (*left.lines, *right.lines))
    assert right.lines[0].get_ydata().tolist() == pytest.approx([20, 40, 60])  # in percent
    assert len(left.get_legend().get_texts()) == 4
    assert len({line.get_color() for line in left.lines}) == len({line.get_linestyle() for line in left.lines}) == 4


def test_plot_training_of_an_ablation():
    history = [{key: value for key, value in entry.items() if key != 'loss_cnm'} for entry in HISTORY[:1]]
    left, _ = plot_training(history).axes
    assert len(left.lines) == 3


def test_save_training(tmp_path):
    path = save_figure(tmp_path / 'training.png', plot_training(HISTORY), dpi=100)
    with Image.open(path) as image:
        image.load()
        assert image.size == (700, 280)
        assert np.ptp(np.asarray(image.convert('L'))) > 200
    assert [file.name for file in tmp_path.iterdir()] == ['training.png']


def test_no_pyplot_state(dataset, lists):
    import matplotlib.pyplot as plt
    before = plt.get_fignums()
    plot_training(HISTORY)
    plot_ranked(dataset, *lists, rows=[0])
    assert plt.get_fignums() == before
