import random
import re
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
import pytest
import scipy.io
from PIL import Image

from fdnm_timm.data import INFRARED, SYSUMM01, VISIBLE, CountWarning, DatasetError, Record, SyntheticVI, hold_out

pytestmark = pytest.mark.filterwarnings('ignore::fdnm_timm.data.CountWarning')

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


def write_orders(root: Path, change: Optional[Dict[Any, Any]] = None, form: str = 'column') -> Dict[Any, np.ndarray]:
    """exp/rand_perm_cam.mat for the images of `root`; `change` replaces entries (pid, camid)."""
    rng, cells, orders = np.random.default_rng(0), np.empty((6, 1), object), {}
    for camid in ALL_CAMERAS:
        of_camera = np.empty((150 if camid < 4 else 200, 1), object)
        for pid in range(1, len(of_camera) + 1):
            number = len(list((root / f'cam{camid}' / f'{pid:04d}').glob('*')))
            order = np.array([rng.permutation(number) + 1 for _ in range(10)], np.uint8).reshape(10, number)
            orders[pid, camid] = of_camera[pid - 1, 0] = (change or {}).get((pid, camid), order)
        cells[camid - 1, 0] = of_camera.T if form == 'row' else of_camera
    scipy.io.savemat(root / 'exp' / 'rand_perm_cam.mat', {'rand_perm_cam': cells.T if form == 'row' else cells})
    return orders


def official_gallery(root: Path, orders, cameras: Sequence[int], trial: int, shots: int) -> List[Record]:
    return [
        (str(root / f'cam{camid}' / f'{pid:04d}' / f'{n:04d}.jpg'), pid, camid)
        for camid in cameras for pid in sorted(TEST) for n in orders[pid, camid][trial, :shots]]


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


def test_folder_that_is_no_identity(tmp_path):
    root = write_sysu(tmp_path / 'set')
    (root / 'cam2' / '0031').rename(root / 'cam2' / '31')
    with pytest.raises(DatasetError, match="cam2/31\" holds images, but '31' is no identity of four digits"):
        SYSUMM01(root)


def test_incomplete_copy_warns_once(root):
    with pytest.warns(CountWarning, match='SYSUMM01: .* has 4 training identities, but 395 are published') as caught:
        SYSUMM01(root)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_synthetic_set_neither_warns_nor_has_published_counts(sysu_tree, recwarn):
    record = dict(num_train=8, num_val=2, num_test=6, images_per_camera=3, height=48, width=24)
    dataset = SyntheticVI(sysu_tree, **record)
    assert not [warning for warning in recwarn if issubclass(warning.category, CountWarning)]
    assert SyntheticVI.published == {} and dataset.counts()['train ids'] == 10


def test_counts(dataset):
    """Of camera 3's queries those of 5 and 31 have a match in camera 1, and so have 140's; all of camera 6's have."""
    test = sum(sum(seen.values()) for seen in TEST_SEEN.values())
    assert dataset.counts() == {
        'train ids': 4, 'train images': 48, 'train visible': 32, 'train infrared': 16,
        'test ids': 3, 'test images': test, 'test visible': test - 17, 'test infrared': 17, 'queries': 17,
        'gallery, all, 1 shot': 10, 'gallery, all, 10 shots': 9 + 7 + 10 + 6 + 10 + 3 + 8 + 2 + 10 + 10,
        'gallery, indoor, 1 shot': 5, 'gallery, indoor, 10 shots': 9 + 7 + 10 + 2 + 10,
        'indoor queries with a match': 17}


@pytest.mark.parametrize(('cameras', 'matched'), [({1: 1, 2: 1}, 9), ({1: 1}, 9), ({2: 1}, 5), ({4: 1}, 0)])
def test_indoor_match_of_a_camera_3_query_is_not_in_camera_2(tmp_path, cameras, matched):
    root = write_sysu(tmp_path / 'set', test=(5,), seen={5: {3: 4, 6: 5, **cameras}})
    assert SYSUMM01(root).counts()['indoor queries with a match'] == matched


@pytest.fixture(scope='module')
def own(tmp_path_factory) -> Path:
    """For the tests that write a rand_perm_cam.mat."""
    return write_sysu(tmp_path_factory.mktemp('official') / 'SYSU-MM01')


class TestOfficialDraw:
    @pytest.mark.parametrize('form', ['column', 'row'])
    @pytest.mark.parametrize(('mode', 'cameras'), [('all', (1, 2, 4, 5)), ('indoor', (1, 2))])
    def test_follows_the_file(self, own, form, mode, cameras):
        orders = write_orders(own, form=form)
        dataset = SYSUMM01(own, gallery_draw='official')
        assert dataset.gallery_draw == 'official'
        assert dataset.gallery == official_gallery(own, orders, (1, 2, 4, 5), 0, 1)
        for shots in (1, 3, 10, 50):
            for trial in range(10):
                gallery = dataset.draw_gallery(mode, shots, trial)
                assert gallery == official_gallery(own, orders, cameras, trial, shots)
                assert len(gallery) == sum(
                    min(shots, seen.get(camid, 0)) for seen in TEST_SEEN.values() for camid in cameras)

    def test_everything_else_is_as_with_agw(self, own):
        write_orders(own)
        official, agw = SYSUMM01(own, gallery_draw='official'), SYSUMM01(own)
        assert agw.gallery_draw == 'agw' and agw.gallery == agw_gallery(own, (1, 2, 4, 5), 0) != official.gallery
        assert (official.train, official.test, official.query) == (agw.train, agw.test, agw.query)

    def test_held_out(self, own):
        write_orders(own)
        split = hold_out(SYSUMM01(own, gallery_draw='official'), 2)
        assert {pid for _, pid, _ in split.draw_gallery()} == {7, 20}

    def test_missing_file(self, tmp_path):
        root = write_sysu(tmp_path / 'set')
        with pytest.raises(DatasetError) as caught:
            SYSUMM01(root, gallery_draw='official')
        for part in (str(root / 'exp' / 'rand_perm_cam.mat'), 'is missing', 'wuancong/SYSU-MM01',
                     'evaluation/data_split/rand_perm_cam.mat', 'gallery_draw="agw"'):
            assert part in str(caught.value)
        assert SYSUMM01(root).gallery

    @pytest.mark.parametrize('trial', [-1, 10])
    def test_trial_outside_0_to_9(self, own, trial):
        write_orders(own)
        with pytest.raises(ValueError, match=f'trial is {trial}, but the official draw has the trials 0 to 9'):
            SYSUMM01(own, gallery_draw='official').draw_gallery(trial=trial)

    @pytest.mark.parametrize(('wrong', 'near'), [('offical', 'official'), ('AGW', 'agw'), ('random', None), (1, None)])
    def test_unknown_draw(self, own, wrong, near):
        suggestion = re.escape(f': did you mean {near!r}?') if near else r'\.'
        with pytest.raises(ValueError, match=rf"gallery_draw is {wrong!r}{suggestion} Known are 'agw', 'official'"):
            SYSUMM01(own, gallery_draw=wrong)

    @pytest.mark.parametrize('number', [0, 8, 12])
    def test_other_images_than_the_file_orders(self, own, number):
        order = np.array([np.arange(number) + 1] * 10, np.uint8).reshape(10, number)
        write_orders(own, {(31, 1): order})
        with pytest.raises(DatasetError, match=rf'orders {number} images of identity 31 in camera 1, but 9 are under'):
            SYSUMM01(own, gallery_draw='official')

    def test_ordered_images_that_are_not_there(self, own):
        write_orders(own, {(140, 4): np.ones((10, 1), np.uint8)})
        with pytest.raises(DatasetError, match='orders 1 images of identity 140 in camera 4, but 0 are under'):
            SYSUMM01(own, gallery_draw='official')

    def test_identity_beyond_the_file(self, tmp_path):
        root = write_sysu(tmp_path / 'set', test=(31, 160), seen={160: {1: 2, 3: 1}})
        write_orders(root)
        with pytest.raises(DatasetError, match='orders 0 images of identity 160 in camera 1, but 2 are under'):
            SYSUMM01(root, gallery_draw='official')

    @pytest.mark.parametrize('order', [
        np.tile(np.arange(9), (10, 1)), np.tile(np.arange(9) + 2, (10, 1)), np.ones((10, 9)),
        np.tile(np.arange(9) + 1, (3, 1)),
    ])
    def test_entry_that_is_no_order(self, own, order):
        write_orders(own, {(31, 1): order})
        with pytest.raises(DatasetError, match='identity 31 in camera 1 in ".*rand_perm_cam.mat" is not 10 rows'):
            SYSUMM01(own, gallery_draw='official')

    @pytest.mark.parametrize('content', ['no mat file', 'other variable', 'no cells', 'flat cells'])
    def test_malformed_file(self, own, content):
        file = own / 'exp' / 'rand_perm_cam.mat'
        if content == 'no mat file':
            file.write_bytes(b'nothing of the kind')
        elif content == 'flat cells':
            cells = np.empty((6, 1), object)
            cells[:, 0] = [np.ones((10, 3))] * 6
            scipy.io.savemat(file, {'rand_perm_cam': cells})
        else:
            scipy.io.savemat(file, {'rand_perm' if content == 'other variable' else 'rand_perm_cam': np.ones((6, 2))})
        with pytest.raises(DatasetError, match=r'rand_perm_cam\.mat"'):
            SYSUMM01(own, gallery_draw='official')
        assert SYSUMM01(own).gallery  # who does not need it does not read it
