import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from fdnm_timm.data import SYSUMM01, RoadScene
from fdnm_timm.saved.ranked import (
    RankedQuery,
    load_image,
    ranked_queries,
    read_ranked,
    relative_path,
    spread,
    write_ranked,
)


class Lists(NamedTuple):
    query: list
    gallery: list
    places: np.ndarray


def lists_of(dataset: SYSUMM01, number: int = 5) -> Lists:
    query, gallery = dataset.query[:number], dataset.gallery
    places = np.arange(3) + np.arange(len(query))[:, None]
    places[0, 1:] = -1
    return Lists(query, gallery, places)


@pytest.fixture(scope='module')
def dataset(sysu_tree) -> SYSUMM01:
    return SYSUMM01(sysu_tree)


def test_queries_keep_their_order_and_what_was_found(dataset):
    lists = lists_of(dataset)
    queries = ranked_queries(lists, dataset)
    assert [query[1:] for query, _ in queries] == [record[1:] for record in lists.query]
    assert [len(places) for _, places in queries] == [1, 3, 3, 3, 3]
    for (_, places), row in zip(queries[1:], lists.places[1:], strict=True):
        assert [place[1:] for place in places] == [lists.gallery[i][1:] for i in row]
    for query, places in queries:
        for path, _, _ in (query, *places):
            assert path.startswith('cam') and (dataset.root / path).exists()


def test_of_many_queries_some_of_different_identities_are_kept(dataset):
    pids = np.arange(300) // 3
    query = [(str(dataset.root / f'cam3/{pid}/{n}.jpg'), pid, 3) for n, pid in enumerate(pids)]
    lists = Lists(query, dataset.gallery, np.zeros((300, 2), dtype=int))
    queries = ranked_queries(lists, dataset)
    kept = [query[1] for query, _ in queries]
    assert len(kept) == 64 == len(set(kept)) and kept[0] == 0 and kept[-1] == 99
    assert len(ranked_queries(lists, dataset, number=300)) == 300


def test_spread():
    assert spread([7, 7, 5, 5, 9], 8) == [0, 2, 4]
    assert spread(list(range(11)), 3) == [0, 5, 10]
    assert spread([4, 4], 1) == [0]


def test_round_trip(dataset, tmp_path):
    ranked = {'sysu_mm01': {'all': ranked_queries(lists_of(dataset), dataset), 'indoor': []}, 'other': {}}
    write_ranked(tmp_path / 'ranked.json', ranked)
    assert read_ranked(tmp_path / 'ranked.json') == ranked
    saved = json.loads((tmp_path / 'ranked.json').read_text())['sysu_mm01']['all'][0]
    assert set(saved) == {'path', 'pid', 'camid', 'places'} and set(saved['places'][0]) == {'path', 'pid', 'camid'}


def test_a_moved_data_set_loads_the_same_images(dataset, sysu_tree, tmp_path):
    moved = SYSUMM01(shutil.copytree(sysu_tree, tmp_path / 'elsewhere'))
    path = relative_path(dataset.query[0][0], dataset.root)
    assert np.array_equal(load_image(moved, path), dataset.load(dataset.query[0][0]))


def test_paths_outside_of_the_data_set_stay_absolute(dataset, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert relative_path('elsewhere/a.jpg', dataset.root) == str(tmp_path / 'elsewhere' / 'a.jpg')
    outside = tmp_path / 'a.jpg'
    shutil.copy(dataset.query[0][0], outside)
    assert np.array_equal(load_image(dataset, relative_path('a.jpg', dataset.root)), dataset.load(str(outside)))


def test_paths_that_stand_for_a_part_of_a_picture(tmp_path):
    rng = np.random.default_rng(0)
    from PIL import Image
    for folder in ('crop_LR_visible', 'cropinfrared'):
        (tmp_path / folder).mkdir()
        for n in range(3):
            Image.fromarray(rng.integers(0, 256, (60, 120, 3), dtype=np.uint8)).save(tmp_path / folder / f'{n}.png')
    dataset = RoadScene(tmp_path)
    path = dataset.query[5][0]
    short = relative_path(path, dataset.root)
    assert short.startswith('cropinfrared/') and '#window=' in short
    assert np.array_equal(load_image(dataset, short), dataset.load(path))


@pytest.mark.parametrize('text', ['', '[]', '{"a": 3}', '{"a": {"b": [{"path": "x"}]}}', '{"a": {"b": [3]}}', '{"a'])
def test_damaged(tmp_path, text):
    file = tmp_path / 'ranked.json'
    file.write_text(text)
    with pytest.raises(ValueError, match='is damaged, or holds no ranked lists'):
        read_ranked(file)


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_ranked(Path(tmp_path / 'none.json'))


def test_records_are_plain_values(dataset, tmp_path):
    """As datasets that number by NumPy would have it."""
    path, pid, camid = dataset.query[0]
    lists = Lists([(path, np.int64(pid), np.int32(camid))], dataset.gallery, np.array([[0]]))
    write_ranked(tmp_path / 'r.json', {'a': {'b': ranked_queries(lists, dataset)}})
    (found,) = read_ranked(tmp_path / 'r.json')['a']['b']
    assert isinstance(found, RankedQuery) and found.query[1:] == (pid, camid)
