import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from fdnm_timm.data import INFRARED, LLCM, SYSUMM01, RegDB, SyntheticVI
from fdnm_timm.data.synthetic import (
    INFRARED_CAMERAS,
    VISIBLE_CAMERAS,
    draw_person,
    layout,
    write_llcm_layout,
    write_regdb_layout,
    write_sysu_layout,
)
from fdnm_timm.data.synthetic.canvas import Pose
from fdnm_timm.data.synthetic.figure import Figure
from fdnm_timm.data.synthetic.looks import draw_looks
from fdnm_timm.data.synthetic.places import background

pytestmark = pytest.mark.filterwarnings('ignore::fdnm_timm.data.CountWarning')
CAMERAS = sorted(VISIBLE_CAMERAS + INFRARED_CAMERAS)
SMALL = {'num_train': 3, 'num_val': 1, 'num_test': 2, 'images_per_camera': 4, 'height': 48, 'width': 24}

SMALL_REGDB = {'num_train': 4, 'num_test': 3, 'images_per_modality': 2, 'trials': 10, 'height': 32, 'width': 16}
SMALL_LLCM = {'num_train': 5, 'num_test': 4, 'images_per_camera': 4, 'height': 32, 'width': 16}


def pixels(*args, **kwargs) -> np.ndarray:
    return np.asarray(draw_person(*args, **kwargs)).astype(np.int32)


@pytest.mark.parametrize('camid', CAMERAS)
def test_size_mode_and_grey(camid):
    image = draw_person(3, camid, 0, height=80, width=41)
    assert image.mode == 'RGB' and image.size == (41, 80)
    array = np.asarray(image).astype(int)
    spread = np.ptp(array, axis=2)
    assert (spread.max() == 0) == (camid in INFRARED_CAMERAS)
    assert array.std() > 10
    assert draw_person(3, camid, 0).size == (72, 144)


def test_deterministic_in_every_argument_and_without_global_state():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    base = dict(pid=5, camid=1, index=2, seed=3, height=72, width=36)
    first = pixels(**base)
    # In a fresh process nothing is cached.
    draw_looks.cache_clear()
    background.cache_clear()
    assert np.array_equal(first, pixels(**base))
    for changed in ({'pid': 6}, {'camid': 2}, {'index': 3}, {'seed': 4}):
        assert np.abs(first - pixels(**{**base, **changed})).mean() > 2, changed
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize('camid', [0, 7, -1])
def test_unknown_camera(camid):
    with pytest.raises(ValueError, match=rf'camid is {camid}.*1 to 6'):
        draw_person(0, camid, 0)


@pytest.mark.parametrize(
    ('name', 'value'), [('pid', -1), ('index', -1), ('seed', -2), ('height', 4), ('width', 0)])
def test_least_values(name, value):
    with pytest.raises(ValueError, match=f'{name} is {value}'):
        draw_person(**{'pid': 0, 'camid': 1, 'index': 0, name: value})


def test_any_size_pose_and_identity_draws():
    for k in range(60):
        height, width = ((24, 12), (56, 64), (97, 33))[k % 3]
        image = draw_person(10_000 + k, CAMERAS[k % 6], k, seed=k, height=height, width=width)
        assert image.size == (width, height)


def test_colour_does_not_tell_infrared_brightness():
    looks = [draw_looks(0, pid) for pid in range(800)]
    for part in ('upper', 'lower', 'bag', 'shoe'):
        cloths = [getattr(one, part) for one in looks]
        grey = np.array([np.dot(cloth.ink(False), (0.299, 0.587, 0.114)) for cloth in cloths])
        near = np.array([cloth.ink(True)[0] for cloth in cloths])
        assert np.abs(np.corrcoef(grey, near)[0, 1]) < 0.1, part
        assert near.std() > 30 and grey.std() > 30, part
    for cloth in (one.upper for one in looks):
        assert 0 <= cloth.reflectance <= 1 and 0 <= cloth.second_reflectance <= 1
        assert len(set(cloth.ink(True))) == 1


def test_some_patterns_vanish_in_the_infrared_and_some_stay():
    cloths = [draw_looks(0, pid).upper for pid in range(300)]
    stays = [cloth.ink(True) != cloth.ink(True, second=True) for cloth in cloths]
    assert 0.2 < np.mean(stays) < 0.9
    assert all(cloth.ink(False) != cloth.ink(False, second=True) for cloth in cloths)


def test_both_modalities_share_the_silhouette():
    """One pose, two identities: the figure covers the same pixels whatever light it is drawn in."""
    pose = Pose(yaw=0.3, pitch=0.15, phase=1.0, swing=0.4, scale=380.0, x=108.0, base=415.0)

    def mask(pid: int, infrared: bool) -> np.ndarray:
        figure = Figure(draw_looks(0, pid), pose, infrared, (216, 432))
        return np.asarray(figure.draw())[..., 3] > 0

    for pid in range(8):
        assert np.array_equal(mask(pid, False), mask(pid, True))
        assert (mask(pid, False) != mask(pid + 1, True)).mean() > 0.005
        assert 0.08 < mask(pid, False).mean() < 0.6


def test_raw_pixels_do_not_match_across_modalities():
    pids = range(25)

    def grey(camid: int) -> np.ndarray:
        rows = np.stack([np.asarray(draw_person(pid, camid, 0, height=48, width=24).convert('L'), dtype=float).ravel()
                         for pid in pids])
        return rows - rows.mean(0)

    hits = []
    for infrared in INFRARED_CAMERAS:
        for visible in VISIBLE_CAMERAS:
            q, g = grey(infrared), grey(visible)
            distance = (q ** 2).sum(1)[:, None] + (g ** 2).sum(1)[None] - 2 * q @ g.T
            hits.append(distance.argmin(1) == np.arange(len(q)))
    assert np.mean(hits) < 0.2  # chance is 0.04


def test_layout(tmp_path):
    root = write_sysu_layout(tmp_path / 'new' / 'set', **SMALL)
    assert root == tmp_path / 'new' / 'set'
    assert os.listdir(root.parent) == ['set']
    assert sorted(os.listdir(root)) == [*(f'cam{c}' for c in CAMERAS), 'exp', 'synthetic.json']
    ids = {name: [int(pid) for pid in (root / 'exp' / f'{name}_id.txt').read_text().splitlines()[0].split(',')]
           for name in ('train', 'val', 'test', 'available')}
    assert ids == {'train': [1, 2, 3], 'val': [4], 'test': [5, 6], 'available': [1, 2, 3, 4, 5, 6]}
    for pid in ids['available']:
        seen = {c for c in CAMERAS if (root / f'cam{c}' / f'{pid:04d}').is_dir()}
        assert seen & set(VISIBLE_CAMERAS) and seen & set(INFRARED_CAMERAS)
        for camid in seen:
            names = sorted(os.listdir(root / f'cam{camid}' / f'{pid:04d}'))
            assert names == [f'{n:04d}.jpg' for n in range(1, len(names) + 1)]
            assert 3 <= len(names) <= 4
            with Image.open(root / f'cam{camid}' / f'{pid:04d}' / names[0]) as image:
                assert image.format == 'JPEG' and image.mode == 'RGB' and image.size == (24, 48)
                drawn = pixels(pid, camid, 1, height=48, width=24)
                assert np.abs(np.asarray(image).astype(int) - drawn).mean() < 8
                if camid in INFRARED_CAMERAS:
                    assert np.ptp(np.asarray(image).astype(int), axis=2).max() == 0
    record = json.loads((root / 'synthetic.json').read_text())
    assert record['arguments'] == {**SMALL, 'seed': 0} and record['format_version'] == layout.FORMAT_VERSION


def test_presence():
    seen = [layout.seen_by(0, pid, 8) for pid in range(600)]
    assert 0.80 < np.mean([len(one) for one in seen]) / 6 < 0.90
    assert all(set(one) & set(VISIBLE_CAMERAS) and set(one) & set(INFRARED_CAMERAS) for one in seen)
    assert {n for one in seen for n in one.values()} == {6, 7, 8}
    assert set(layout.seen_by(0, 1, 1).values()) == {1}


def test_sysu_layout_with_the_official_draw(tmp_path):
    root = write_sysu_layout(tmp_path / 'set', **SMALL)
    header = (root / 'exp' / 'rand_perm_cam.mat').read_bytes()[:116]
    assert header == b'MATLAB 5.0 MAT-file'.ljust(116)  # without the time of day: the same arguments, the same bytes
    cells = loadmat(root / 'exp' / 'rand_perm_cam.mat')['rand_perm_cam']
    orders = {(camid, pid): cells[camid - 1, 0][pid - 1, 0] for camid in CAMERAS for pid in range(1, 7)}
    for (camid, pid), order in orders.items():
        files = list((root / f'cam{camid}' / f'{pid:04d}').glob('*.jpg'))
        assert order.shape == (10, len(files))
        assert all(sorted(row) == list(range(1, len(files) + 1)) for row in order.tolist())
    assert len({str(order.tolist()) for order in orders.values() if order.size}) > 15
    assert all(len({str(row) for row in order.tolist()}) > 2 for order in orders.values() if order.shape[1] > 2)
    dataset = SYSUMM01(root, gallery_draw='official')
    assert SyntheticVI(root, **SMALL, gallery_draw='official').gallery == dataset.gallery
    assert [(int(Path(path).stem), pid, camid) for path, pid, camid in dataset.draw_gallery('indoor', 2, 7)] == [
        (n, pid, camid) for camid in (1, 2) for pid in (5, 6) for n in orders[camid, pid][7, :2]]


def test_regdb_layout(tmp_path):
    root = write_regdb_layout(tmp_path / 'set', **SMALL_REGDB)
    assert sorted(os.listdir(root)) == ['Thermal', 'Visible', 'idx', 'synthetic.json']
    assert len(list((root / 'idx').iterdir())) == 40
    assert (root / 'idx' / 'train_visible_1.txt').read_text().startswith('Visible/')
    assert {path.name for path in (root / 'Thermal').iterdir()} == {str(pid) for pid in range(1, 8)}
    splits = []
    for trial in range(1, 11):
        dataset = RegDB(root, trial)
        assert dataset.counts() == {
            'train ids': 4, 'train images': 16, 'train visible': 8, 'train infrared': 8,
            'test ids': 3, 'test images': 12, 'test visible': 6, 'test infrared': 6}
        person = {path: int(Path(path).parent.name) for path, _, _ in dataset.train + dataset.test}
        persons = {(part, pid): {person[path] for path, other, _ in records if other == pid}
                   for part, records in (('train', dataset.train), ('test', dataset.test)) for _, pid, _ in records}
        assert all(len(one) == 1 for one in persons.values())  # a label is one person, in both modalities
        assert set.union(*persons.values()) == set(range(1, 8))
        splits.append(str(sorted(person[path] for path, _, _ in dataset.train)))
    assert len(set(splits)) > 5
    image = dataset.load(dataset.query[0][0])
    assert image.size == (16, 32) and Path(dataset.query[0][0]).suffix == '.bmp'
    grey = [np.ptp(np.asarray(dataset.load(path)).astype(int), axis=2).max() == 0 for path, _, _ in dataset.test]
    assert grey == [dataset.modality(path) == INFRARED for path, _, _ in dataset.test]
    with pytest.raises(ValueError, match='trials is 11'):
        write_regdb_layout(tmp_path / 'other', **{**SMALL_REGDB, 'trials': 11})


def test_llcm_layout(tmp_path):
    root = write_llcm_layout(tmp_path / 'set', **SMALL_LLCM)
    assert sorted(os.listdir(root)) == ['idx', 'nir', 'synthetic.json', 'test_nir', 'test_vis', 'vis']
    assert sorted(os.listdir(root / 'test_vis')) == [f'cam{n}' for n in range(1, 10)]
    assert sorted(os.listdir(root / 'test_nir')) == [f'cam{n}' for n in range(1, 10) if n != 3]
    assert (root / 'idx' / 'test_id.txt').read_text() == '6,7,8,9\n'
    dataset = LLCM(root)
    assert dataset.train_names == [0, 1, 2, 3, 4] and {pid for _, pid, _ in dataset.test} == {6, 7, 8, 9}
    files = {str(path) for path in root.rglob('*.jpg')}
    assert {path for path, _, _ in dataset.train + dataset.test} == files
    for path, label, camid in dataset.train:
        assert Path(path).name.startswith(f'{label + 1:04d}_c{camid:02d}_')
    cameras = [{camid for path, _, camid in dataset.train + dataset.test if dataset.modality(path) == modality}
               for modality in (0, 1)]
    assert cameras[0] == set(range(1, 10)) and cameras[1] == set(range(1, 10)) - {3}
    for path in list(files)[::7]:
        grey = np.ptp(np.asarray(dataset.load(path)).astype(int), axis=2).max() == 0
        assert grey == (dataset.modality(path) == INFRARED)
    assert len({Path(path).read_bytes() for path in files}) == len(files)  # numbers that share a camera, not an image
