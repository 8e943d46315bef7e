import json
import os

import numpy as np
import pytest
from PIL import Image

from fdnm_timm.data.synthetic import INFRARED_CAMERAS, VISIBLE_CAMERAS, draw_person, layout, write_sysu_layout
from fdnm_timm.data.synthetic.canvas import Pose
from fdnm_timm.data.synthetic.figure import Figure
from fdnm_timm.data.synthetic.looks import draw_looks
from fdnm_timm.data.synthetic.places import background

CAMERAS = sorted(VISIBLE_CAMERAS + INFRARED_CAMERAS)
SMALL = {'num_train': 3, 'num_val': 1, 'num_test': 2, 'images_per_camera': 4, 'height': 48, 'width': 24}


def pixels(*args, **kwargs) -> np.ndarray:
    return np.asarray(draw_person(*args, **kwargs)).astype(np.int32)


def snapshot(root) -> dict:
    return {path.relative_to(root): path.read_bytes() for path in root.rglob('*') if path.is_file()}


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


def test_same_arguments_redraw_nothing(tmp_path, monkeypatch):
    root = write_sysu_layout(tmp_path / 'a', **SMALL)
    files = snapshot(root)
    assert snapshot(write_sysu_layout(tmp_path / 'b', **SMALL, progress=True)) == files
    monkeypatch.setattr(layout, 'draw_person', lambda *args, **kwargs: pytest.fail('drawn again'))
    assert write_sysu_layout(root, **SMALL) == root
    assert snapshot(root) == files


def test_other_content_is_left_alone(tmp_path):
    root = write_sysu_layout(tmp_path / 'set', **SMALL)
    files = snapshot(root)
    with pytest.raises(FileExistsError, match="'seed': 0.*'seed': 1.*choose another folder"):
        write_sysu_layout(root, **SMALL, seed=1)
    assert snapshot(root) == files

    foreign = tmp_path / 'foreign'
    foreign.mkdir()
    (foreign / 'notes.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='foreign exists and holds no synthetic.json'):
        write_sysu_layout(foreign, **SMALL)
    with pytest.raises(FileExistsError, match='notes.txt exists'):
        write_sysu_layout(foreign / 'notes.txt', **SMALL)
    (foreign / 'synthetic.json').write_text('{')
    with pytest.raises(FileExistsError, match='records None'):
        write_sysu_layout(foreign, **SMALL)
    assert sorted(os.listdir(tmp_path)) == ['foreign', 'set']


def test_empty_folder_is_taken(tmp_path):
    (tmp_path / 'set').mkdir()
    assert (write_sysu_layout(tmp_path / 'set', **SMALL) / 'synthetic.json').is_file()


@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_failure_midway_leaves_nothing(tmp_path, monkeypatch, error):
    drawn = []

    def failing(*args, **kwargs):
        drawn.append(args)
        if len(drawn) > 20:
            raise error('the disk is full')
        return draw_person(*args, **kwargs)

    monkeypatch.setattr(layout, 'draw_person', failing)
    with pytest.raises(error, match='the disk is full'):
        write_sysu_layout(tmp_path / 'set', **SMALL)
    assert len(drawn) == 21 and os.listdir(tmp_path) == []


@pytest.mark.parametrize('name', ['num_train', 'num_val', 'num_test', 'images_per_camera'])
def test_counts_below_one(tmp_path, name):
    with pytest.raises(ValueError, match=f'{name} is 0'):
        write_sysu_layout(tmp_path / 'set', **{**SMALL, name: 0})
    assert os.listdir(tmp_path) == []
