import copy
import random
import shutil
from pathlib import Path
from typing import List

import pytest
from PIL import Image

from fdnm_timm.data import INFRARED, LLCM, VISIBLE, CountWarning, DatasetError, Record, hold_out

pytestmark = pytest.mark.filterwarnings('ignore::fdnm_timm.data.CountWarning')
CAMERAS = {'vis': (1, 2, 3, 4, 5, 6, 7, 8, 9), 'nir': (1, 2, 4, 5, 6, 7, 8, 9)}
WORDS = {VISIBLE: 'vis', INFRARED: 'nir'}
TRAIN = (1, 4, 30)  # persons; labels go by their place
# the images of each test person and camera
TEST = {
    300: {'vis': {1: 3, 3: 5}, 'nir': {1: 2, 8: 4}},
    2: {'vis': {2: 2, 3: 4, 9: 6}, 'nir': {9: 3}},
    41: {'vis': {7: 1}, 'nir': {2: 1, 7: 2}},
}


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (6, 12), (9, 9, 9)).save(file)


def train_lines(word: str) -> List[str]:
    return [
        f'{word}/{person:04d}/{person:04d}_c{camid:02d}_s{n:06d}_f7010_{word}.jpg {label}'
        for label, person in enumerate(TRAIN) for camid in (1, 5) for n in range(2)]


def write_llcm(root: Path) -> Path:
    (root / 'idx').mkdir(parents=True)
    for word, cameras in CAMERAS.items():
        (root / 'idx' / f'train_{word}.txt').write_text('\n'.join(train_lines(word)) + '\n')
        for line in train_lines(word):
            picture(root / line.split()[0])
        for camid in cameras:
            (root / f'test_{word}' / f'cam{camid}').mkdir(parents=True)
        for person, seen in TEST.items():
            for camid, number in seen[word].items():
                for n in range(number, 0, -1):
                    picture(root / f'test_{word}' / f'cam{camid}' / f'{person:04d}' / f'{person:04d}_{n}_{word}.jpg')
    (root / 'idx' / 'test_id.txt').write_text(','.join(map(str, TEST)) + '\n')
    return root


def authors_gallery(root: Path, word: str, trial: int) -> List[Record]:
    """As the data set's process_gallery_llcm draws it, from the global random module."""
    state = random.getstate()
    try:
        random.seed(trial)
        gallery = []
        for person in sorted(f'{person:04d}' for person in TEST):
            for camid in CAMERAS[word]:
                folder = root / f'test_{word}' / f'cam{camid}' / person
                if folder.is_dir():
                    gallery.append((random.choice(sorted(f'{folder}/{p.name}' for p in folder.iterdir())),
                                    int(person), camid))
        return gallery
    finally:
        random.setstate(state)


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return write_llcm(tmp_path_factory.mktemp('data') / 'LLCM')


@pytest.fixture(scope='module')
def dataset(root) -> LLCM:
    return LLCM(root)


@pytest.fixture
def own(tmp_path) -> Path:
    """A copy to spoil."""
    return write_llcm(tmp_path / 'LLCM')


def test_train(dataset, root):
    assert dataset.train_names == [0, 1, 2]
    assert len(dataset.train) == len(set(dataset.train)) == 24
    for path, label, camid in dataset.train:
        word, person, name = Path(path).relative_to(root).parts
        assert TRAIN[label] == int(person) and f'_c{camid:02d}_' in name
        assert WORDS[dataset.modality(path)] == word


def test_test_images(dataset, root):
    expected = {
        (str(path), int(path.parts[-2]), int(path.parts[-3][3:])) for path in root.glob('test_*/cam*/*/*.jpg')}
    assert set(dataset.test) == expected and len(dataset.test) == len(expected) == 33
    for path, _, _ in dataset.test:
        assert f'test_{WORDS[dataset.modality(path)]}' == Path(path).relative_to(root).parts[0]


def test_query_is_every_infrared_test_image(dataset):
    assert [path for path, _, _ in dataset.query] == [
        path for path, _, _ in dataset.test if dataset.modality(path) == INFRARED]
    assert len(dataset.query) == 12
    assert [(pid, camid) for _, pid, camid in dataset.query] == sorted((pid, camid) for _, pid, camid in dataset.query)


def test_default_gallery(dataset, root):
    assert dataset.gallery == dataset.draw_gallery() == dataset.draw_gallery(VISIBLE, 0)
    assert dataset.gallery == authors_gallery(root, 'vis', 0)


@pytest.mark.parametrize('modality', [VISIBLE, INFRARED])
def test_gallery_is_the_authors(dataset, root, modality):
    draws = [dataset.draw_gallery(modality, trial) for trial in range(10)]
    assert draws == [authors_gallery(root, WORDS[modality], trial) for trial in range(10)]
    assert len({str(draw) for draw in draws}) > 5
    places = {(p, camid) for p, seen in TEST.items() for camid in seen[WORDS[modality]]}
    for draw in draws:
        assert {(pid, camid) for _, pid, camid in draw} == places and len(draw) == len(places)
        assert {dataset.modality(path) for path, _, _ in draw} == {modality}


def test_gallery_does_not_depend_on_the_order_of_the_records(dataset):
    other = copy.copy(dataset)
    other.test = dataset.test[::-1]
    assert other.draw_gallery(VISIBLE, 4) == dataset.draw_gallery(VISIBLE, 4)


def test_gallery_leaves_the_global_random_state_alone(dataset):
    state = random.getstate()
    dataset.draw_gallery(INFRARED, 3)
    assert random.getstate() == state


@pytest.mark.parametrize('modality', [2, 'vis', None])
def test_bad_modality(dataset, modality):
    with pytest.raises(ValueError, match=f'modality is {modality!r}'):
        dataset.draw_gallery(modality)


def test_root_is_the_folder_or_its_parent(dataset, root):
    assert LLCM(root.parent).test == dataset.test and LLCM(str(root)).root == root
    with pytest.raises(DatasetError, match='nowhere" does not exist.*"idx"'):
        LLCM(root / 'nowhere')


def test_incomplete_copy_warns_once(root):
    with pytest.warns(CountWarning, match='LLCM: .* has 3 training identities, but 713 are published') as caught:
        LLCM(root)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_counts(dataset):
    assert dataset.counts() == {
        'train ids': 3, 'train images': 24, 'train visible': 12, 'train infrared': 12,
        'test ids': 3, 'test images': 33, 'test visible': 21, 'test infrared': 12}
    assert dataset.published == {'train ids': 713, 'train images': 30921, 'test ids': 351, 'test images': 13909}


def test_hold_out(dataset):
    split = hold_out(dataset, 3)
    assert split.train_names == [0, 1] and {pid for _, pid, _ in split.test} == {2}
    assert {Path(path).parent.name for path, _, _ in split.test} == {'0030'}
    gallery = split.draw_gallery(VISIBLE, 1)
    assert [(pid, camid) for _, pid, camid in gallery] == [(2, 1), (2, 5)]  # no image of the test person 2
    assert {Path(path).parent.name for path, _, _ in gallery} == {'0030'}


@pytest.mark.parametrize(('name', 'camid'), [
    ('vis/0001/0001_c07_s1_f2_vis.jpg', 7), ('train_vis/cam4/0001/0001.jpg', 4), ('vis/0001/0001_c3_1.jpg', 3),
    ('cam08/0001/0001_c02_1.jpg', 8), ('vis/0001/0001.jpg', 0), ('vis/camera/0001_cat.jpg', 0), ('a_c1/x.jpg', 0),
    ('vis/0001/0001_c12_s1.jpg', 0),
])
def test_camera_of_a_training_image(own, name, camid):
    picture(own / name)
    with (own / 'idx' / 'train_vis.txt').open('a') as stream:
        stream.write(f'{name} 0\n')
    records = {path: camid for path, _, camid in LLCM(own).train}
    assert records[str(own / name)] == camid


def test_the_list_tells_the_modality(own):
    name = 'images/0001/a.jpg'
    picture(own / name)
    with (own / 'idx' / 'train_nir.txt').open('a') as stream:
        stream.write(f'{name} 0\n')
    assert LLCM(own).modality(str(own / name)) == INFRARED


def test_lists_written_on_windows(own, dataset):
    for file in (own / 'idx').iterdir():
        file.write_bytes(file.read_bytes().replace(b'/', b'\\').replace(b'\n', b'\r\n'))
    read = LLCM(own)
    assert [Path(path).relative_to(own) for path, _, _ in read.train + read.test] == [
        Path(path).relative_to(dataset.root) for path, _, _ in dataset.train + dataset.test]


def test_other_persons_in_the_test_folders_are_left_out(own, dataset):
    picture(own / 'test_vis' / 'cam1' / '0500' / 'x.jpg')
    (own / 'test_vis' / 'cam1' / '0300' / 'Thumbs.db').touch()
    assert len(LLCM(own).test) == len(dataset.test)


@pytest.mark.parametrize('name', ['train_vis', 'train_nir', 'test_id'])
class TestLists:
    def test_missing(self, own, name):
        (own / 'idx' / f'{name}.txt').unlink()
        with pytest.raises(DatasetError, match=rf'LLCM: the list ".*{name}\.txt" is missing'):
            LLCM(own)

    def test_empty(self, own, name):
        (own / 'idx' / f'{name}.txt').write_text('\n')
        with pytest.raises(DatasetError, match=rf'{name}\.txt" (is empty|holds no identity)'):
            LLCM(own)

    def test_identity_that_is_no_integer(self, own, name):
        file = own / 'idx' / f'{name}.txt'
        file.write_text(file.read_text().replace(' 1\n', ' 1x\n').replace(',2,', ',1x,'))
        with pytest.raises(DatasetError, match=rf"{name}\.txt\", line (1|5).*'1x'"):
            LLCM(own)


@pytest.mark.parametrize('word', ['vis', 'nir'])
def test_training_image_that_is_not_there(own, word):
    shutil.rmtree(own / word / '0004')
    with pytest.raises(DatasetError, match=rf'4 of the 12 images that ".*train_{word}\.txt" names.*{word}/0004/'):
        LLCM(own)


@pytest.mark.parametrize(('word', 'other'), [('vis', 'nir'), ('nir', 'vis')])
def test_training_identity_of_one_modality(own, word, other):
    (own / 'idx' / f'train_{word}.txt').write_text('\n'.join(train_lines(word)[:8]))
    with pytest.raises(DatasetError, match=rf'\[2\] of ".*train_{other}\.txt" have no image in ".*train_{word}\.txt"'):
        LLCM(own)


@pytest.mark.parametrize(('word', 'kind'), [('vis', 'visible'), ('nir', 'infrared')])
def test_test_identity_without_images_or_one_modality(own, word, kind):
    for folder in (own / f'test_{word}').glob('cam*/0041'):
        shutil.rmtree(folder)
    with pytest.raises(DatasetError, match=rf'\[41\] of ".*test_id\.txt" have no {kind} image under ".*test_{word}"'):
        LLCM(own)


def test_listed_test_identity_without_images(own):
    with (own / 'idx' / 'test_id.txt').open('w') as stream:
        stream.write('300,2,41,77\n')
    with pytest.raises(DatasetError, match=r'\[77\].*no visible image'):
        LLCM(own)


@pytest.mark.parametrize('word', ['vis', 'nir'])
def test_trained_test_identity(own, word):
    name = f'{word}/0041/0041_c01_s1_f1_{word}.jpg'
    picture(own / name)
    with (own / 'idx' / f'train_{word}.txt').open('a') as stream:
        stream.write(f'{name} 0\n')
    with pytest.raises(DatasetError, match=rf'"{name}" of ".*train_{word}\.txt", line 13.*test_id\.txt'):
        LLCM(own)


def test_test_image_in_a_training_list(own):
    name = 'test_vis/cam3/0300/0300_1_vis.jpg'
    with (own / 'idx' / 'train_vis.txt').open('a') as stream:
        stream.write(f'{name} 0\n')
    with pytest.raises(DatasetError, match=rf'"{name}" of .*line 13.*test identity'):
        LLCM(own)


def test_near_infrared_images_of_camera_3(own):
    (own / 'test_nir' / 'cam3').mkdir()  # so the archive comes
    assert LLCM(own).query
    (own / 'test_nir' / 'cam3' / '0300').mkdir()
    assert LLCM(own).query
    picture(own / 'test_nir' / 'cam3' / '0300' / 'x.jpg')
    with pytest.raises(DatasetError, match='cam3" holds images, but camera 3 takes no near-infrared'):
        LLCM(own)


@pytest.mark.parametrize('place', ['test_vis/cam3', 'test_vis/cam9', 'test_nir/cam1', 'test_nir/cam8'])
def test_missing_camera_folder(own, place):
    shutil.rmtree(own / place)
    with pytest.raises(DatasetError, match=f'{place}" is missing'):
        LLCM(own)


def test_folder_that_is_no_identity(own):
    (own / 'test_nir' / 'cam8' / '0300').rename(own / 'test_nir' / 'cam8' / '300')
    with pytest.raises(DatasetError, match="cam8/300\" holds images, but '300' is no identity of four digits"):
        LLCM(own)
