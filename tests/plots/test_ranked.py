from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.text import Text
from PIL import Image

from fdnm_timm.data import SYSUMM01
from fdnm_timm.plots import plot_ranked, save_ranked
from fdnm_timm.plots.ranked import RIGHT, WRONG
from fdnm_timm.saved import RankedQuery, load_image, ranked_queries


class Lists(NamedTuple):
    query: list
    gallery: list
    places: np.ndarray


@pytest.fixture(scope='module')
def dataset(sysu_tree: Path) -> SYSUMM01:
    return SYSUMM01(sysu_tree)


@pytest.fixture(scope='module')
def lists(dataset) -> Lists:
    """Queries of three identities, with a right place, a wrong one, and in part none."""
    query = list({pid: record for record in dataset.query for pid in [record[1]]}.values())[:3]
    gallery = dataset.gallery
    pids = np.array([pid for _, pid, _ in gallery])
    places = []
    for _, pid, _ in query:
        right, wrong = np.flatnonzero(pids == pid), np.flatnonzero(pids != pid)
        places.append([wrong[0], right[0], -1])
    places[1] = [places[1][1], places[1][0], places[1][0]]
    return Lists(query, gallery, np.array(places))


@pytest.fixture(scope='module')
def queries(lists, dataset) -> list:
    return ranked_queries(lists, dataset)


@pytest.fixture(scope='module')
def load(dataset):
    return partial(load_image, dataset)


def colours(axis) -> set:
    return {spine.get_edgecolor() for spine in axis.spines.values() if spine.get_visible()}


def grid(figure, places: int = 3) -> np.ndarray:
    return np.array(figure.axes).reshape(-1, 1 + places)


def test_one_axis_a_place(queries, load):
    figure = plot_ranked(queries, load, title='trial 0')
    assert len(figure.axes) == 3 * (1 + 3)
    assert figure.get_suptitle() == 'trial 0'


def test_frames_tell_right_from_wrong(queries, load):
    for line, (query, places) in zip(grid(plot_ranked(queries, load)), queries, strict=True):
        assert not colours(line[0]) & {to_rgba(RIGHT), to_rgba(WRONG)}
        for axis, place in zip(line[1:], places, strict=False):
            right = place[1] == query[1]
            assert colours(axis) == {to_rgba(RIGHT if right else WRONG)}
            # for eyes to which both are one colour
            assert ('✓' in axis.get_title(), '✗' in axis.get_title()) == (right, not right)
            assert f'cam {place[2]} ' in axis.get_title()
            styles = {spine.get_linestyle() for spine in axis.spines.values()}
            assert (styles == {'-'}) == right


def test_what_the_rule_leaves_out_stays_empty(queries, load):
    axes = grid(plot_ranked(queries, load))
    assert [[bool(axis.images) for axis in line] for line in axes] == [
        [True, True, True, False], [True, True, True, True], [True, True, True, False]]
    assert not axes[0][3].get_title() and not colours(axes[0][3])


def test_images_are_the_records_own(queries, lists, load, dataset):
    line = grid(plot_ranked(queries, load))[1]
    for axis, path in zip(line, [lists.query[1][0], *(lists.gallery[p][0] for p in lists.places[1])], strict=True):
        assert np.array_equal(axis.images[0].get_array(), np.asarray(dataset.load(path)))
    assert line[0].get_ylabel() == f'id {lists.query[1][1]}'


def test_drawn_queries_are_of_different_identities_over_all(lists, load):
    path, _, camid = lists.query[0]
    many = [RankedQuery((path, number // 2, camid + number % 2), []) for number in range(40)]
    labels = [axis.get_ylabel() for axis in plot_ranked(many, load, number=4).axes if axis.images]
    assert labels == ['id 0', 'id 6', 'id 13', 'id 19']


def test_a_page_has_room_for_it(lists, load):
    path, _, camid = lists.query[0]
    for runs in (1, 2, 7):
        lists_of_run = [RankedQuery((path, number, camid), [(path, 0, 1)] * 10) for number in range(30)]
        figure = plot_ranked({f'run {n}': lists_of_run for n in range(runs)}, load, title='many')
        assert figure.get_figwidth() == pytest.approx(7)
        drawn = [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel().startswith('id')]
        assert len(drawn) == {1: 5, 2: 2, 7: 1}[runs] and (figure.get_figheight() < 9 or runs == 7)


def test_no_more_than_ten_places(lists, load):
    figure = plot_ranked([RankedQuery(lists.query[0], [lists.gallery[0]] * 20)], load)
    assert len(figure.axes) == 11 and figure.get_figwidth() == pytest.approx(7)


def test_runs_stand_above_one_another_for_the_queries_that_both_have(queries, lists, load):
    other = [RankedQuery(query, places[::-1]) for query, places in queries[1:]]
    figure = plot_ranked({'base': queries, 'FDNM': other}, load)
    axes = np.array(figure.axes).reshape(2, 1 + 2 * 3)  # the query once, and both runs' places
    assert [line[0].get_ylabel() for line in axes] == [f'id {query[1]}' for query, _ in queries[1:]]
    for line, (_, places), (_, reversed_) in zip(axes, queries[1:], other, strict=True):
        assert line[1].get_ylabel() == 'base' and line[4].get_ylabel() == 'FDNM'
        for axis, place in zip([*line[1:4], *line[4:]], [*places, None][:3] + [*reversed_, None][:3], strict=True):
            assert bool(axis.images) == (place is not None)
            if place is not None:
                assert np.array_equal(axis.images[0].get_array(), np.asarray(load(place[0])))


def test_nothing_to_draw(queries, load):
    other = [RankedQuery(('cam3/0000/0001.jpg', 0, 3), [])]
    for ranked in ([], {}, {'a': queries, 'b': other}):
        with pytest.raises(ValueError, match='no query to draw'):
            plot_ranked(ranked, load)


def test_text_is_readable_in_print(queries, load):
    figure = plot_ranked({'a run with a name so long that it must be broken': queries}, load, title='title')
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 7
    assert any('\n' in axis.get_ylabel() for axis in figure.axes)


def test_save_ranked(dataset, lists, tmp_path):
    path = save_ranked(tmp_path / 'deep' / 'ranked.png', lists, dataset, title='all_search')
    with Image.open(path) as image:
        image.load()
        assert image.format == 'PNG' and image.width > 600
        found = {tuple(pixel) for pixel in np.asarray(image.convert('RGB')).reshape(-1, 3)[::3]}
    assert {tuple(round(255 * c) for c in to_rgba(colour)[:3]) for colour in (RIGHT, WRONG)} <= found
    assert [file.name for file in path.parent.iterdir()] == ['ranked.png']
