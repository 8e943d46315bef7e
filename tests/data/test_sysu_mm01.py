import random
import re
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
import pytest
import scipy.io
from PIL import Image

from fdnm_timm.data import INFRARED, SYSUMM01, VISIBLE, DatasetError, Record, SyntheticVI

ALL_CAMERAS = (1, 2, 3, 4, 5, 6)
TRAIN, VAL, TEST = (20, 3, 7), (12,), (31, 5, 140)
# the images of each test identity and camera; 5 is not seen by camera 2, nor 140 by 4 and 6
TEST_SEEN = {
    31: {1: 9, 2: 7, 3: 4, 4: 12, 5: 6, 6: 3},
    5: {1: 11, 3: 2, 4: 3, 5: 8, 6: 5},
    140: {1: 2, 2: 10, 3: 3, 5: 13},
}


def write_images(root: Path, pid: int, cameras: Dict[int, int]) -> None:
    for camid, number in cameras.items():
        folder = root / f'cam{camid}' / f'{pid:04d}'
        folder.mkdir(parents=True, exist_ok=True)
        for n in range(number, 0, -1):  # not in the order of their names
            Image.new('RGB', (6, 12), (pid % 256, 40 * camid, n)).save(folder / f'{n:04d}.jpg')


def write_ids(root: Path, name: str, ids: Union[str, Sequence[int], None]) -> None:
    (root / 'exp').mkdir(exist_ok=True)
    if ids is not None:
        (root / 'exp' / f'{name}_id.txt').write_text(ids if isinstance(ids, str) else ','.join(map(str, ids)) + '\n')


def write_sysu(
        root: Path,
        train: Any = TRAIN,
        val: Any = VAL,
        test: Any = TEST,
        seen: Optional[Dict[int, Dict[int, int]]] = None,
) -> Path:
    """A tree in SYSU-MM01's layout; every camera sees training identities twice, unless `seen` says otherwise."""
    for camid in ALL_CAMERAS:
        (root / f'cam{camid}').mkdir(parents=True)
    twice = dict.fromkeys(ALL_CAMERAS, 2)
    for pid, cameras in {**dict.fromkeys(TRAIN + VAL, twice), **TEST_SEEN, **(seen or {})}.items():
        write_images(root, pid, cameras)
    for name, ids in (('train', train), ('val', val), ('test', test)):
        write_ids(root, name, ids)
    return root


def agw_gallery(root: Path, cameras: Sequence[int], trial: int, shots: int = 1) -> List[Record]:
    """The gallery as the AGW family's process_gallery_sysu draws it, from the global random module."""
    state = random.getstate()
    try:
        random.seed(trial)
        gallery = []
        for pid in sorted(f'{pid:04d}' for pid in TEST):
            for camid in cameras:
                folder = root / f'cam{camid}' / pid
                if folder.is_dir():
                    files = sorted(f'{folder}/{file.name}' for file in folder.iterdir())
                    drawn = [random.choice(files)] if shots == 1 else random.sample(files, min(shots, len(files)))
                    gallery += [(file, int(pid), camid) for file in drawn]
        return gallery
    finally:
        random.setstate(state)


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return write_sysu(tmp_path_factory.mktemp('sysu') / 'SYSU-MM01')


@pytest.fixture(scope='module')
def dataset(root) -> SYSUMM01:
    return SYSUMM01(root)


def test_train_is_train_and_val_relabelled(dataset, root):
    assert dataset.train_names == [3, 7, 12, 20]
    assert len(dataset.train) == 4 * 6 * 2
    for path, label, camid in dataset.train:
        parts = Path(path).relative_to(root).parts
        assert parts[:2] == (f'cam{camid}', f'{dataset.train_names[label]:04d}')
        assert Path(path).is_file()
    assert {label for _, label, _ in dataset.train} == {0, 1, 2, 3}
    assert len(set(dataset.train)) == len(dataset.train)


def test_query_is_every_infrared_test_image(dataset, root):
    expected = {
        (str(path), int(path.parts[-2]), camid)
        for camid in (3, 6) for path in (root / f'cam{camid}').glob('*/*.jpg') if int(path.parts[-2]) in TEST
    }
    assert len(dataset.query) == len(expected) == 4 + 3 + 2 + 5 + 3
    assert set(dataset.query) == expected
    assert len(dataset.test) == sum(sum(cameras.values()) for cameras in TEST_SEEN.values())
    assert set(dataset.query) < set(dataset.test)


def test_modality_goes_by_the_camera(dataset):
    for path, _, camid in dataset.train + dataset.test:
        assert dataset.modality(path) == (INFRARED if camid in (3, 6) else VISIBLE)


def test_root_is_the_folder_or_its_parent(dataset, root):
    parent = SYSUMM01(root.parent)
    assert parent.train == dataset.train and parent.query == dataset.query
    assert SYSUMM01(str(root)).root == root


def test_load(dataset):
    image = dataset.load(dataset.query[0][0])
    assert image.mode == 'RGB' and image.size == (6, 12)


def test_default_gallery(dataset, root):
    assert dataset.gallery == dataset.draw_gallery('all', 1, 0) == agw_gallery(root, (1, 2, 4, 5), 0)
    assert len(dataset.gallery) == 4 + 3 + 3  # one image of an identity and camera


@pytest.mark.parametrize(('mode', 'cameras'), [('all', (1, 2, 4, 5)), ('indoor', (1, 2))])
@pytest.mark.parametrize('shots', [1, 3, 10])
def test_gallery_is_the_agw_familys(dataset, root, mode, cameras, shots):
    draws = [dataset.draw_gallery(mode, shots, trial) for trial in range(10)]
    assert draws == [agw_gallery(root, cameras, trial, shots) for trial in range(10)]
    assert len({str(draw) for draw in draws}) > 5
    for draw in draws:
        assert len(set(draw)) == len(draw)
        assert {camid for _, _, camid in draw} == set(cameras)
        assert len(draw) == sum(min(shots, seen.get(camid, 0)) for seen in TEST_SEEN.values() for camid in cameras)


def test_gallery_leaves_the_global_random_state_alone(dataset):
    random.seed(11)
    state = random.getstate()
    one = dataset.draw_gallery(trial=4), dataset.draw_gallery(shots=3, trial=4)
    assert random.getstate() == state
    random.seed(12)
    assert (dataset.draw_gallery(trial=4), dataset.draw_gallery(shots=3, trial=4)) == one


def test_bad_gallery_arguments(dataset):
    with pytest.raises(ValueError, match="mode is 'outdoor'.*'all', 'indoor'"):
        dataset.draw_gallery('outdoor')
    with pytest.raises(ValueError, match='shots is 0'):
        dataset.draw_gallery(shots=0)


def test_derived_val_list(tmp_path):
    """Without a val list, its identities are those of no other list that both kinds of camera saw."""
    extra = {50: {1: 2, 3: 1}, 51: {1: 2, 2: 1, 4: 3}, 52: {3: 1, 6: 2}, 53: {5: 1, 6: 1}}
    dataset = SYSUMM01(write_sysu(tmp_path / 'set', val=None, seen=extra))
    assert dataset.train_names == sorted((*TRAIN, *VAL, 50, 53))
    assert {pid for _, pid, _ in dataset.test} == set(TEST)


def test_val_list_is_followed_where_there_is_one(tmp_path):
    root = write_sysu(tmp_path / 'set', seen={50: {1: 2, 3: 1}})
    assert SYSUMM01(root).train_names == sorted(TRAIN + VAL)


def test_mat_lists(dataset, tmp_path):
    root = write_sysu(tmp_path / 'set', train=None, val=None, test=None)
    for name, ids in (('train', TRAIN), ('val', VAL), ('test', TEST)):
        scipy.io.savemat(root / 'exp' / f'{name}_id.mat', {'id': np.array([ids], dtype=np.uint16)})
    read = SYSUMM01(root)
    assert read.train_names == dataset.train_names
    assert [Path(r[0]).relative_to(root) for r in read.query] == [
        Path(r[0]).relative_to(dataset.root) for r in dataset.query]


def test_blanks_and_a_last_comma_in_a_list(tmp_path):
    root = write_sysu(tmp_path / 'set', train=' 3, 7 ,0020,\n')
    assert SYSUMM01(root).train_names == sorted(TRAIN + VAL)


def test_synthetic_set_is_read_by_the_same_code(tmp_path):
    root = tmp_path / 's'
    dataset = SyntheticVI(root, num_train=4, num_val=2, num_test=3, images_per_camera=2, height=48, width=24)
    assert dataset.train_names == [1, 2, 3, 4, 5, 6]
    assert {pid for _, pid, _ in dataset.test} == {7, 8, 9}
    files = {str(path) for path in root.glob('cam*/*/*.jpg')}
    assert {path for path, _, _ in dataset.train + dataset.test} == files
    assert {path for path, _, _ in dataset.query} == {
        path for path in files if Path(path).parts[-3] in ('cam3', 'cam6') and int(Path(path).parts[-2]) >= 7}
    assert SYSUMM01(root).query == dataset.query


@pytest.mark.parametrize('name', ['train', 'val', 'test'])
@pytest.mark.parametrize(('text', 'found'), [
    ('3,x7,20\n', "'x7'"), ('3,7.5\n', "'7.5'"), ('-3,7\n', "'-3'"), ('3 7 20\n', "'3 7 20'"),
])
def test_non_integer_identity(tmp_path, name, text, found):
    root = write_sysu(tmp_path / 'set')
    (root / 'exp' / f'{name}_id.txt').write_text(text, encoding='utf-8')
    with pytest.raises(DatasetError, match=rf'{name}_id\.txt.*line 1.*{re.escape(found)}'):
        SYSUMM01(root)


def test_digit_that_is_no_integer(tmp_path):
    root = write_sysu(tmp_path / 'set')
    (root / 'exp' / 'train_id.txt').write_text('3,²\n', encoding='utf-8')
    with pytest.raises(DatasetError, match=r'train_id\.txt.*²'):
        SYSUMM01(root)


@pytest.mark.parametrize('name', ['train', 'val', 'test'])
@pytest.mark.parametrize('text', ['', '\n', ' , \n'])
def test_empty_list(tmp_path, name, text):
    root = write_sysu(tmp_path / 'set', **{name: text})
    with pytest.raises(DatasetError, match=rf'{name}_id\.txt" holds no identity'):
        SYSUMM01(root)


@pytest.mark.parametrize('name', ['train', 'test'])
def test_missing_list(tmp_path, name):
    root = write_sysu(tmp_path / 'set', **{name: None})
    with pytest.raises(DatasetError, match=rf'{name}_id\.txt.*{name}_id\.mat'):
        SYSUMM01(root)


def test_list_that_is_no_text(tmp_path):
    root = write_sysu(tmp_path / 'set')
    (root / 'exp' / 'test_id.txt').write_bytes(b'\xff\xfe3\x00,\x007\x00')
    with pytest.raises(DatasetError, match=r'test_id\.txt'):
        SYSUMM01(root)


@pytest.mark.parametrize('content', ['other variable', 'no mat file', 'empty', 'fractions'])
def test_malformed_mat_list(tmp_path, content):
    root = write_sysu(tmp_path / 'set', test=None)
    file = root / 'exp' / 'test_id.mat'
    if content == 'no mat file':
        file.write_bytes(b'not a MATLAB file')
    else:
        ids = {'empty': np.zeros((1, 0)), 'fractions': np.array([[31.5, 5, 140]])}.get(content, np.array([TEST]))
        scipy.io.savemat(file, {'ids' if content == 'other variable' else 'id': ids})
    with pytest.raises(DatasetError, match=r'test_id\.mat'):
        SYSUMM01(root)


@pytest.mark.parametrize('name', ['train', 'val'])
def test_overlap_of_train_and_test(tmp_path, name):
    ids = {'train': TRAIN, 'val': VAL}[name] + (31,)
    root = write_sysu(tmp_path / 'set', **{name: ids})
    with pytest.raises(DatasetError, match=r'\[31\].*training and the test list.*exp'):
        SYSUMM01(root)


@pytest.mark.parametrize(('name', 'ids'), [('train', TRAIN), ('val', VAL), ('test', TEST)])
def test_listed_identity_without_any_image(tmp_path, name, ids):
    root = write_sysu(tmp_path / 'set', **{name: (*ids, 77)})
    with pytest.raises(DatasetError, match=r'\[77\].*no image'):
        SYSUMM01(root)
    (root / 'cam1' / '0077').mkdir()  # a folder without images makes no difference
    with pytest.raises(DatasetError, match=r'\[77\].*no image'):
        SYSUMM01(root)


@pytest.mark.parametrize(('cameras', 'word'), [((1, 2, 4, 5), 'infrared'), ((3, 6), 'visible')])
def test_training_identity_without_one_modality(tmp_path, cameras, word):
    root = write_sysu(tmp_path / 'set', train=(*TRAIN, 60), seen={60: dict.fromkeys(cameras, 1)})
    with pytest.raises(DatasetError, match=rf'\[60\].*no {word} image'):
        SYSUMM01(root)


@pytest.mark.parametrize(('cameras', 'word'), [((3, 6), 'infrared'), ((1, 2, 4, 5), 'visible')])
def test_test_list_without_one_modality(tmp_path, cameras, word):
    root = write_sysu(tmp_path / 'set')
    for camid in cameras:
        for pid in TEST:
            shutil.rmtree(root / f'cam{camid}' / f'{pid:04d}', ignore_errors=True)
    with pytest.raises(DatasetError, match=f'no test identity.*{word}'):
        SYSUMM01(root)


@pytest.mark.parametrize('camid', ALL_CAMERAS)
def test_missing_camera_folder(tmp_path, camid):
    root = write_sysu(tmp_path / 'set')
    shutil.rmtree(root / f'cam{camid}')
    with pytest.raises(DatasetError, match=f'cam{camid}" is missing'):
        SYSUMM01(root)


def test_missing_root(tmp_path):
    with pytest.raises(DatasetError, match='nowhere" does not exist.*"exp"'):
        SYSUMM01(tmp_path / 'nowhere')
    with pytest.raises(DatasetError, match=f'{tmp_path.name}" exists, but no "exp"'):
        SYSUMM01(tmp_path)


def test_foreign_files_are_no_images(tmp_path, dataset):
    root = write_sysu(tmp_path / 'SYSU-MM01')
    for place in ('cam1/0003/Thumbs.db', 'cam3/0031/notes.txt', 'cam2/readme.txt'):
        (root / place).write_text('no image')
    (root / 'cam4' / '.cache').mkdir()
    read = SYSUMM01(root)
    assert len(read.train) == len(dataset.train) and len(read.test) == len(dataset.test)
