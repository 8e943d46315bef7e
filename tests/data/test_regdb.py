import shutil
from pathlib import Path
from typing import List

import pytest
from PIL import Image

from fdnm_timm.data import INFRARED, VISIBLE, CountWarning, DatasetError, RegDB, hold_out

pytestmark = pytest.mark.filterwarnings('ignore::fdnm_timm.data.CountWarning')
WORDS = ('visible', 'thermal')
# persons of trial 1; labels go by their place
TRAIN, TEST = (285, 6, 41), (7, 300)
SPLITS = {1: (TRAIN, TEST), 10: (TEST, TRAIN)}


def image(word: str, person: int, n: int) -> str:
    return f'{word.capitalize()}/{person}/male_{word[0]}_{n:05d}_{person}.bmp'


def list_of(part: str, word: str, trial: int = 1) -> str:
    return f'idx/{part}_{word}_{trial}.txt'


def lines(word: str, persons, images: int = 2) -> List[str]:
    return [f'{image(word, person, n)} {label}' for label, person in enumerate(persons) for n in range(images)]


def write_regdb(root: Path) -> Path:
    (root / 'idx').mkdir(parents=True)
    for trial, parts in SPLITS.items():
        for part, persons in zip(('train', 'test'), parts):
            for word in WORDS:
                (root / list_of(part, word, trial)).write_text('\n'.join(lines(word, persons)) + '\n')
                for line in lines(word, persons):
                    file = root / line.split()[0]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    Image.new('RGB', (6, 12), (9, 9, 9)).save(file)
    return root


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return write_regdb(tmp_path_factory.mktemp('data') / 'RegDB')


@pytest.fixture(scope='module')
def dataset(root) -> RegDB:
    return RegDB(root)


@pytest.fixture
def own(tmp_path) -> Path:
    """A copy to spoil."""
    return write_regdb(tmp_path / 'RegDB')


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_records(dataset, root):
    expected = {
        (str(root / image(word, person, n)), label, camid)
        for camid, word in enumerate(WORDS, 1) for label, person in enumerate(TRAIN) for n in range(2)}
    assert set(dataset.train) == expected and len(dataset.train) == len(expected) == 12
    assert dataset.train_names == [0, 1, 2]
    assert [record for record in dataset.train if record[1] == 1] == [
        (str(root / image(word, 6, n)), 1, camid) for camid, word in enumerate(WORDS, 1) for n in range(2)]


def test_query_is_visible_and_gallery_thermal(dataset, root):
    assert dataset.query == [
        (str(root / image('visible', person, n)), label, 1) for label, person in enumerate(TEST) for n in range(2)]
    assert dataset.gallery == [
        (str(root / image('thermal', person, n)), label, 2) for label, person in enumerate(TEST) for n in range(2)]
    assert sorted(dataset.test) == sorted(dataset.query + dataset.gallery)


def test_modality(dataset):
    for path, _, camid in dataset.train + dataset.test:
        assert dataset.modality(path) == (INFRARED if '/Thermal/' in Path(path).as_posix() else VISIBLE)
        assert dataset.modality(path) == camid - 1


def test_trial(dataset, root):
    other = RegDB(root, trial=10)
    assert (dataset.trial, other.trial) == (1, 10)
    assert {path for path, _, _ in other.train} == {path for path, _, _ in dataset.test}
    with pytest.raises(DatasetError, match=r'train_visible_4\.txt" is missing'):
        RegDB(root, trial=4)


@pytest.mark.parametrize('trial', [0, 11, -1, '1', 1.5, None])
def test_trial_outside_1_to_10(root, trial):
    with pytest.raises(ValueError, match=f'trial is {trial!r}, but RegDB has the splits 1 to 10'):
        RegDB(root, trial=trial)


def test_root_is_the_folder_or_its_parent(dataset, root):
    assert RegDB(root.parent).train == dataset.train and RegDB(str(root)).root == root
    with pytest.raises(DatasetError, match='nowhere" does not exist.*"idx"'):
        RegDB(root / 'nowhere')


def test_images_load(dataset):
    assert dataset.load(dataset.query[0][0]).size == (6, 12)


def test_incomplete_copy_warns_once(root, recwarn):
    with pytest.warns(CountWarning, match='RegDB: .* has 3 training identities, but 206 are published') as caught:
        RegDB(root)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_counts(dataset):
    assert dataset.counts() == {
        'train ids': 3, 'train images': 12, 'train visible': 6, 'train infrared': 6,
        'test ids': 2, 'test images': 8, 'test visible': 4, 'test infrared': 4}
    assert dataset.published == {
        'train ids': 206, 'train visible': 2060, 'train infrared': 2060,
        'test ids': 206, 'test visible': 2060, 'test infrared': 2060}


def test_hold_out(dataset):
    split = hold_out(dataset, 3)
    assert split.train_names == [0, 1] and {pid for _, pid, _ in split.test} == {2}
    assert {Path(path).parent.name for path, _, _ in split.test} == {str(TRAIN[2])}
    assert {split.modality(path) for path, _, _ in split.query} == {INFRARED}
    assert {split.modality(path) for path, _, _ in split.gallery} == {VISIBLE}


def test_lists_written_on_windows(own, dataset):
    for file in (own / 'idx').iterdir():
        file.write_bytes(file.read_bytes().replace(b'/', b'\\').replace(b'\n', b'\r\n'))
    assert [Path(path).relative_to(own) for path, _, _ in RegDB(own).train] == [
        Path(path).relative_to(dataset.root) for path, _, _ in dataset.train]


@pytest.mark.parametrize('part', ['train', 'test'])
@pytest.mark.parametrize('word', WORDS)
class TestLists:
    def test_missing(self, own, part, word):
        (own / list_of(part, word)).unlink()
        with pytest.raises(DatasetError, match=rf'RegDB: the list ".*{part}_{word}_1\.txt" is missing'):
            RegDB(own)

    def test_empty(self, own, part, word):
        (own / list_of(part, word)).write_text('\n')
        with pytest.raises(DatasetError, match=rf'{part}_{word}_1\.txt" is empty'):
            RegDB(own)

    def test_identity_that_is_no_integer(self, own, part, word):
        replace(own / list_of(part, word), ' 1\n', ' one\n')
        with pytest.raises(DatasetError, match=rf"{part}_{word}_1\.txt\", line 3: .*'one'"):
            RegDB(own)

    def test_line_without_identity(self, own, part, word):
        replace(own / list_of(part, word), '.bmp 1\n', '.bmp\n')
        with pytest.raises(DatasetError, match=rf'{part}_{word}_1\.txt", line 3 holds'):
            RegDB(own)

    def test_image_that_is_not_there(self, own, part, word):
        person = {'train': TRAIN, 'test': TEST}[part][1]
        shutil.rmtree(own / word.capitalize() / str(person))
        with pytest.raises(DatasetError, match=rf'2 of the \d images that ".*{part}_{word}_1\.txt" names.*/{person}/'):
            RegDB(own)

    def test_identity_of_one_modality(self, own, part, word):
        persons = {'train': TRAIN, 'test': TEST}[part]
        label = len(persons) - 1
        kept = [line for line in lines(word, persons) if not line.endswith(f' {label}')]
        (own / list_of(part, word)).write_text('\n'.join(kept))
        other = WORDS[1 - WORDS.index(word)]
        with pytest.raises(
                DatasetError, match=rf'\[{label}\] of ".*{part}_{other}_1\.txt".*no image in ".*{part}_{word}_1\.txt"'):
            RegDB(own)

    def test_image_of_the_other_modality(self, own, part, word):
        other = WORDS[1 - WORDS.index(word)]
        replace(own / list_of(part, word), f'{word.capitalize()}/', f'{other.capitalize()}/')
        with pytest.raises(DatasetError, match=rf'{part}_{word}_1\.txt", line 1 names ".*", a {other} image'):
            RegDB(own)


def test_test_image_that_is_trained_on(own):
    for word in WORDS:
        with (own / list_of('test', word)).open('a') as stream:
            stream.write(f'{image(word, TRAIN[1], 1)} 2\n')
    with pytest.raises(DatasetError, match=r'"Visible/6/.*00001.*test_visible_1\.txt", line 5.*train_visible_1\.txt"'):
        RegDB(own)


@pytest.mark.parametrize('word', WORDS)
def test_person_on_both_sides(own, word):
    """Other images of a person in training, under another label: seen by the folders."""
    file = own / image(word, TRAIN[0], 77)
    Image.new('RGB', (6, 12)).save(file)
    replace(own / list_of('test', word), image(word, TEST[1], 0), image(word, TRAIN[0], 77))
    with pytest.raises(DatasetError, match=rf'/285/.*00077.*test_{word}_1\.txt", line 3, .* is trained on'):
        RegDB(own)


def test_folders_that_are_no_persons_tell_no_overlap(tmp_path):
    (tmp_path / 'idx').mkdir()
    for word in WORDS:
        folder = tmp_path / word.capitalize()
        folder.mkdir()
        for n, part in enumerate(('train', 'test')):
            Image.new('RGB', (6, 12)).save(folder / f'{n}.bmp')
            (tmp_path / list_of(part, word)).write_text(f'{word.capitalize()}/{n}.bmp 0\n')
    assert len(RegDB(tmp_path).test) == 2
