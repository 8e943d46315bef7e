import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdnm_timm.data import CASIANIRVIS2, INFRARED, VISIBLE, BUAAVisNir, OuluCASIA, SyntheticFaces
from fdnm_timm.data.synthetic import draw_face, write_buaa_layout, write_casia_layout, write_oulu_layout
from fdnm_timm.data.synthetic.face_canvas import FacePose, ribbon, smooth
from fdnm_timm.data.synthetic.face_expression import EXPRESSIONS, Expression
from fdnm_timm.data.synthetic.face_inks import draw_inks
from fdnm_timm.data.synthetic.face_looks import draw_face_looks
from fdnm_timm.data.synthetic.faces import _draw_pose, expression_of, paint
from fdnm_timm.metrics import rank

pytestmark = pytest.mark.filterwarnings('ignore::fdnm_timm.data.CountWarning')
SMALL = {'num_train': 3, 'num_test': 2, 'images_per_modality': 4, 'size': 32}
SMALL_CASIA = {**SMALL, 'folds': 3}
FRONTAL = FacePose(yaw=0.0, pitch=0.0, roll=0.0, unit=48.0, x=72.0, y=48.0)
GREY = (0.299, 0.587, 0.114)


def pixels(*args, **kwargs) -> np.ndarray:
    return np.asarray(draw_face(*args, **kwargs)).astype(np.int32)


@pytest.mark.parametrize(('modality', 'mode'), [(VISIBLE, 'RGB'), (INFRARED, 'L')])
@pytest.mark.parametrize('size', [24, 65, 144])
def test_size_and_mode(modality, mode, size):
    image = draw_face(3, modality, 0, size=size)
    assert image.mode == mode and image.size == (size, size)
    assert np.asarray(image).std() > 10


def test_every_argument_counts_and_no_global_state_is_touched():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    base = dict(pid=5, modality=VISIBLE, index=2, seed=3, size=72)
    first = pixels(**base)
    for changed in ({'pid': 6}, {'index': 3}, {'seed': 4}):
        assert np.abs(first - pixels(**{**base, **changed})).mean() > 5, changed
    assert np.abs(first.mean(2) - pixels(**{**base, 'modality': INFRARED})).mean() > 5
    draw_face_looks.cache_clear()
    assert np.array_equal(first, pixels(**base))
    assert np.array_equal(before, np.random.get_state()[1])


def test_the_same_in_another_process():
    code = ('import hashlib\nfrom fdnm_timm.data.synthetic import draw_face\n'
            'print(hashlib.sha256(b"".join(draw_face(p, p % 2, p, size=72).tobytes() for p in range(6))).hexdigest())')
    environment = {**os.environ, 'PYTHONHASHSEED': '7'}
    other = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True, env=environment)
    here = hashlib.sha256(b''.join(draw_face(p, p % 2, p, size=72).tobytes() for p in range(6))).hexdigest()
    assert other.stdout.strip() == here


@pytest.mark.parametrize(('name', 'value'), [('pid', -1), ('index', -1), ('seed', -2), ('size', 23), ('modality', 2)])
def test_arguments_out_of_range(name, value):
    with pytest.raises(ValueError, match=f'{name} is {value}; expected'):
        draw_face(**{'pid': 0, 'modality': 1, 'index': 0, name: value})


def test_both_modalities_share_the_geometry():
    """One pose and expression: what is hair, brow, iris or skin in visible light is the same in the infrared."""
    parts = ('skin', 'brow', 'lash', 'iris', 'lip', 'hair', 'mouth', 'cloth')
    same = {part: [] for part in parts}
    for pid in range(8):
        looks = draw_face_looks(0, pid)
        inks = [draw_inks(looks, infrared, np.random.default_rng(1)) for infrared in (False, True)]
        visible, infrared = (
            np.asarray(paint(looks, FRONTAL, EXPRESSIONS['Fear'], one, 144, np.random.default_rng(2))) for one in inks)
        assert np.array_equal(visible[..., 3], infrared[..., 3])
        assert np.ptp(infrared[..., :3].astype(int), axis=2).max() == 0
        for part in parts:
            tones = [np.atleast_2d(getattr(one, part))[0] for one in inks]
            covered = (visible[..., :3] == tones[0]).all(2)
            same[part].append((infrared[covered][:, :3] == tones[1]).all(1))
    for part, found in same.items():
        found = np.concatenate(found)
        assert found.size > 30 and found.mean() > 0.95, part  # two things may happen to have the same tone


def test_brightness_tells_nothing_across_modalities():
    tones = []
    for pid in range(600):
        looks = draw_face_looks(0, pid)
        tones.append([draw_inks(looks, infrared, np.random.default_rng(pid)) for infrared in (False, True)])
    for part in ('hair', 'brow', 'beard', 'iris', 'frame', 'skin', 'cloth'):
        values = [[getattr(inks, part) for inks in pair] for pair in tones]
        values = np.array(values)[:, :, 0] if part in ('hair', 'beard', 'iris') else np.array(values)
        visible, infrared = values[:, 0] @ GREY, values[:, 1, 0]
        assert np.abs(np.corrcoef(visible, infrared)[0, 1]) < 0.15, part
    skin = np.array([[inks.skin for inks in pair] for pair in tones])
    lip = np.array([[inks.lip[0] for inks in pair] for pair in tones])
    hair = np.array([[inks.hair[0] for inks in pair] for pair in tones])
    assert (skin[:, 0] @ GREY).std() > 3 * skin[:, 1, 0].std()  # skin of any colour is bright
    assert skin[:, 1, 0].min() > 150
    folds = [[np.dot(inks.fold, GREY) / np.dot(inks.skin, GREY) for inks in pair] for pair in tones]
    assert np.all(np.diff(folds) > 0.1)  # shadows in the skin are fainter
    assert np.abs(lip - skin)[:, 1].mean() < 15 and np.abs(lip - skin)[:, 0].mean() > 20
    assert all(pair[1].freckle == pair[1].skin and pair[0].freckle != pair[0].skin for pair in tones)
    darker = (hair @ GREY) < (skin @ GREY)
    assert 0.2 < (darker[:, 0] != darker[:, 1]).mean() < 0.8  # the contrast turns round


def test_raw_pixels_match_weakly():
    pids = np.repeat(np.arange(12), 3)

    def grey(modality: int) -> np.ndarray:
        images = [draw_face(pid + 100, modality, n, size=48).convert('L').crop((3, 3, 45, 45))
                  for pid in range(12) for n in range(3)]
        rows = np.stack([np.asarray(image, dtype=np.float32).ravel() for image in images])
        return rows - rows.mean(1, keepdims=True)

    camids = np.arange(len(pids))
    visible, infrared = grey(VISIBLE), grey(INFRARED)
    across = rank(infrared, visible, pids, pids, camids, camids, cmc='image')
    within = rank(visible, visible, pids, pids, camids, camids, rule='same_camera', cmc='image')
    assert across.cmc[0] < 0.35 and across.cmc[0] < within.cmc[0]  # chance is 0.08


def test_faces_are_aligned():
    """The pupils lie on average at (1/2, 1/3) of the image, as the mouth does at (1/2, 2/3)."""
    eyes, mouth = [], []
    for k in range(60):
        rng = np.random.default_rng(k)
        at = _draw_pose(rng, 144).project(np.array([[0.0, 0.0], [0.0, 1.0]]))
        eyes.append(at[0])
        mouth.append(at[1])
    assert np.allclose(np.mean(eyes, 0), (72, 48), atol=1.5) and np.allclose(np.mean(mouth, 0), (72, 96), atol=2.5)
    assert 1 < np.std(eyes, 0).min() and np.std(mouth, 0).max() < 6
    looks = draw_face_looks(0, 61)
    ink = draw_inks(looks, False, np.random.default_rng(0))
    layer = np.asarray(paint(looks, FRONTAL, Expression(), ink, 144, np.random.default_rng(0)))
    rows, columns = np.nonzero((layer[..., :3] == ink.pupil).all(2))
    assert abs(rows.mean() - 48) < 2 and abs(columns.mean() - 72) < 2 and np.ptp(columns) > 36  # two pupils
    rows, columns = np.nonzero((layer[..., :3] == ink.lip[0]).all(2))
    assert abs(rows.mean() - 99) < 4 and abs(columns.mean() - 72) < 2  # the lower lip, under the mouth's middle


def test_yaw_moves_the_inside_against_the_outline():
    turned = FacePose(yaw=0.3, pitch=0.0, roll=0.0, unit=48.0, x=72.0, y=48.0)
    edges = turned.project(np.array([[-1.1, 0.1], [1.1, 0.1], [0.0, 0.0]]))
    assert edges[:2, 0].mean() < edges[2, 0] - 5  # the nose turns to the right, so the head lies left of the eyes
    assert turned.project(np.array([[0.0, 0.6]]), 0.25)[0, 0] > turned.project(np.array([[0.0, 0.6]]))[0, 0] + 2


def test_curves():
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    curve = smooth(points, 4)
    assert curve.shape == (9, 2) and np.allclose(curve[::4], points)
    assert np.allclose(ribbon(np.array([[0.0, 0.0], [1.0, 0.0]]), 0.5)[:, 1], [0.25, 0.25, -0.25, -0.25])


def test_expressions_come_in_turn():
    assert {expression_of(n) for n in range(6)} == set(EXPRESSIONS)
    assert expression_of(7) == expression_of(1)


def check_images(dataset, size) -> None:
    """Both modalities are there, each as it looks; no two images are equal; test persons are not trained on."""
    records = dataset.train + dataset.test
    assert len({Path(path).read_bytes() for path, _, _ in records}) == len(records)
    for path, _, _ in records:
        with Image.open(path) as image:
            assert image.size == (size, size)
            assert image.mode == ('L' if dataset.modality(path) == INFRARED else 'RGB')
    trained, tested = set(dataset.train_names), {pid for _, pid, _ in dataset.test}
    assert trained.isdisjoint(tested) and trained | tested == set(range(1, 6))


def test_oulu_layout(tmp_path):
    root = write_oulu_layout(tmp_path / 'set', **SMALL)
    dataset = OuluCASIA(root)
    check_images(dataset, 32)
    assert dataset.train_names == [1, 2, 3]
    assert (len(dataset.train), len(dataset.gallery), len(dataset.query)) == (24, 8, 8)
    pattern = r'(VL|NI)/Strong/P00[1-5]/(Anger|Disgust|Fear|Happiness|Sadness|Surprise)/00[1-4]\.jpeg'
    names = [path.relative_to(root).as_posix() for path in root.rglob('*.jpeg')]
    assert len(names) == 40 and all(re.fullmatch(pattern, name) for name in names)
    assert (root / 'protocols' / 'nir_probe.txt').read_text().splitlines()[0] == (
        f'NI/Strong/P004/{expression_of(1)}/001.jpeg 4')
    drawn = pixels(4, INFRARED, 1, size=32)
    probe = np.asarray(dataset.load(dataset.query[0][0])).astype(int)
    assert np.abs(probe[..., 0] - drawn).mean() < 8  # but for the JPEG


def test_buaa_layout(tmp_path):
    root = write_buaa_layout(tmp_path / 'set', **SMALL)
    dataset = BUAAVisNir(root)
    check_images(dataset, 32)
    assert [Path(path).relative_to(root).as_posix() for path, _, _ in dataset.gallery] == ['4/1.bmp', '5/1.bmp']
    assert [Path(path).name for path, _, _ in dataset.query] == [f'{n}.bmp' for n in (2, 4, 6, 8)] * 2
    assert len(list(root.rglob('*.bmp'))) == 40


def test_casia_layout(tmp_path):
    root = write_casia_layout(tmp_path / 'set', **SMALL_CASIA)
    splits = []
    for fold in range(1, 4):
        dataset = CASIANIRVIS2(root, fold)
        check_images(dataset, 32)
        assert (len(dataset.train), len(dataset.gallery), len(dataset.query)) == (24, 2, 8)
        splits.append(tuple(dataset.train_names))
    assert len(set(splits)) > 1
    names = [path.relative_to(root).as_posix() for path in [*root.rglob('*.jpg'), *root.rglob('*.bmp')]]
    assert len(names) == 40
    assert all(re.fullmatch(r's([1-4])/(VIS/0000[1-5]/00\1\.jpg|NIR/0000[1-5]/00\1\.bmp)', name) for name in names)
    with pytest.raises(ValueError, match='folds is 11, but CASIA NIR-VIS 2.0 has at most 10'):
        write_casia_layout(tmp_path / 'other', folds=11)


def test_synthetic_faces(tmp_path):
    dataset = SyntheticFaces(tmp_path / 'set', **SMALL)
    assert dataset.name == 'synthetic_faces' and dataset.published == {}
    assert dataset.counts() == {
        'train ids': 3, 'train images': 24, 'train visible': 12, 'train infrared': 12,
        'test ids': 2, 'test images': 16, 'test visible': 8, 'test infrared': 8}
    again = SyntheticFaces(tmp_path / 'set', **SMALL)
    assert again.train == dataset.train and again.query == dataset.query
    with pytest.raises(FileExistsError, match='choose another folder'):
        SyntheticFaces(tmp_path / 'set', **SMALL, seed=2)
    with pytest.raises(ValueError, match='num_test is 0'):
        SyntheticFaces(tmp_path / 'other', num_test=0)
