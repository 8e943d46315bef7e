import copy
from pathlib import Path

import pytest

from fdnm_timm.data import INFRARED, LLCM, SYSUMM01, VISIBLE, DatasetError, RegDB, RoadScene, hold_out
from fdnm_timm.data.synthetic import write_llcm_layout, write_regdb_layout

from .test_roadscene import write_pairs
from .test_sysu_mm01 import TEST, write_sysu

pytestmark = pytest.mark.filterwarnings('ignore::fdnm_timm.data.CountWarning')
LISTS = ('train', 'query', 'gallery', 'test', 'train_names')


@pytest.fixture(scope='module')
def sysu(sysu_tree: Path) -> SYSUMM01:
    return SYSUMM01(sysu_tree)  # ten training identities


@pytest.fixture(scope='module')
def roads(tmp_path_factory) -> RoadScene:
    return RoadScene(write_pairs(tmp_path_factory.mktemp('roads') / 'set'))  # six training scenes


@pytest.fixture(scope='module')
def regdb(tmp_path_factory) -> RegDB:
    return RegDB(write_regdb_layout(
        tmp_path_factory.mktemp('regdb') / 'set', num_train=8, num_test=2, images_per_modality=2, trials=1, height=24,
        width=12))


@pytest.fixture(scope='module')
def llcm(tmp_path_factory) -> LLCM:
    return LLCM(write_llcm_layout(
        tmp_path_factory.mktemp('llcm') / 'set', num_train=8, num_test=2, images_per_camera=1, height=24, width=12))


@pytest.fixture(scope='module', params=['sysu', 'roads', 'regdb', 'llcm'])
def dataset(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize('every', [2, 3, 4])
def test_split(dataset, every):
    split = hold_out(dataset, every)
    scenes = sorted({dataset.scene(pid) for pid in dataset.train_names})
    held = {dataset.scene(pid) for _, pid, _ in split.test}
    assert len(held) == len(scenes) // every
    assert held == set(scenes[every - 1::every])
    assert {dataset.scene(pid) for pid in split.train_names} == set(scenes) - held
    assert split.held_out and type(split) is type(dataset)


def test_train_is_relabelled(dataset):
    split = hold_out(dataset, 3)
    assert split.train_names == sorted(split.train_names)
    assert {label for _, label, _ in split.train} == set(range(len(split.train_names)))
    name_of = {path: dataset.train_names[label] for path, label, _ in dataset.train}
    assert all(split.train_names[label] == name_of[path] for path, label, _ in split.train)


def test_nothing_is_lost_and_test_images_are_not_looked_at(dataset):
    split = hold_out(dataset, 3)
    train, test = {path for path, _, _ in split.train}, {path for path, _, _ in split.test}
    assert not train & test
    assert train | test == {path for path, _, _ in dataset.train}
    name_of = {path: dataset.train_names[label] for path, label, _ in dataset.train}
    assert all(name_of[path] == pid for path, pid, _ in split.test)
    assert {(path, camid) for path, _, camid in split.train + split.test} == {
        (path, camid) for path, _, camid in dataset.train}


def test_query_is_infrared_and_gallery_visible(dataset):
    split = hold_out(dataset, 3)
    assert split.query and split.gallery
    assert sorted(split.query + split.gallery) == sorted(split.test)
    assert {split.modality(path) for path, _, _ in split.query} == {INFRARED}
    assert {split.modality(path) for path, _, _ in split.gallery} == {VISIBLE}


def test_original_is_left_alone(dataset):
    before = {name: copy.deepcopy(getattr(dataset, name)) for name in LISTS}
    split = hold_out(dataset, 3)
    split.train.clear()
    split.test.clear()
    split.train_names.clear()
    assert {name: getattr(dataset, name) for name in LISTS} == before
    assert not dataset.held_out and not type(dataset).held_out


def test_same_split_again(dataset):
    one, other = hold_out(dataset, 3), hold_out(dataset, 3)
    assert all(getattr(one, name) == getattr(other, name) for name in LISTS)


def test_held_out_of_what_is_left(sysu):
    """A split can be split again, as nested validation needs it: the names stay the benchmark's."""
    first = hold_out(sysu, 2)
    second = hold_out(first, 2)
    assert set(second.train_names) < set(first.train_names) < set(sysu.train_names)
    assert not {pid for _, pid, _ in second.test} & {pid for _, pid, _ in first.test}


def test_gallery_of_a_held_out_sysu_draws_no_test_identity(tmp_path):
    """What is chosen on the split must not see the test set, whichever way the gallery is asked for."""
    split = hold_out(SYSUMM01(write_sysu(tmp_path / 'set')), 2)
    try:
        gallery = split.draw_gallery()
    except (DatasetError, ValueError):
        return  # to refuse is as good
    assert not {pid for _, pid, _ in gallery} & set(TEST)


def test_gallery_of_a_held_out_llcm_draws_no_test_identity(llcm):
    """Training labels and the test identities' numbers may coincide."""
    split = hold_out(llcm, 2)
    gallery, test = split.draw_gallery(VISIBLE, 3), {path for path, _, _ in llcm.test}
    assert gallery and not {path for path, _, _ in gallery} & test
    assert set(gallery) <= set(split.gallery)


@pytest.mark.parametrize('every', [1, 0, -3])
def test_every_below_two(sysu, every):
    with pytest.raises(ValueError, match=f'every is {every}'):
        hold_out(sysu, every)


def test_too_few_scenes(sysu, roads):
    assert hold_out(sysu, 10).test
    with pytest.raises(ValueError, match='SYSUMM01 has 10 scenes.*11'):
        hold_out(sysu, 11)
    with pytest.raises(ValueError, match='RoadScene has 6 scenes.*7'):
        hold_out(roads, 7)
