"""What the face data sets have in common; what their paths tell is in the tests of each."""
import shutil
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Type

import pytest
from PIL import Image

from fdnm_timm.data import INFRARED, VISIBLE, DatasetError, check_dataset, hold_out
from fdnm_timm.data._faces import FaceLists
from fdnm_timm.data.buaa_visnir import BUAAVisNir
from fdnm_timm.data.casia_nirvis2 import CASIANIRVIS2
from fdnm_timm.data.oulu_casia import OuluCASIA

pytestmark = pytest.mark.filterwarnings('ignore::fdnm_timm.data.CountWarning')
TRAIN, TEST, IMPOSTOR = (41, 3, 9), (12, 40), 7
MODALITIES = {'vis_train': VISIBLE, 'nir_train': INFRARED, 'vis_gallery': VISIBLE, 'nir_probe': INFRARED}


class Style(NamedTuple):
    """How a data set names its images."""
    cls: Type[FaceLists]
    image: Callable[[int, int, int], str]  # of modality, person and number, which counts from 0
    suffix: str = ''  # of the lists' names

    def file(self, root: Path, name: str) -> Path:
        return root / 'protocols' / f'{name}{self.suffix}.txt'

    def images(self, name: str) -> List[str]:
        modality = MODALITIES[name]
        persons = TRAIN if 'train' in name else TEST if name == 'nir_probe' else (*TEST, IMPOSTOR)
        return [self.image(modality, person, n) for person in persons for n in range(1 if 'gallery' in name else 2)]

    def write(self, root: Path) -> Path:
        (root / 'protocols').mkdir(parents=True)
        for name in MODALITIES:
            self.file(root, name).write_text('\n'.join(self.images(name)) + '\n')
            for image in self.images(name):
                picture(root / image)
        return root


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new('L', (9, 9), 77).save(file)


OULU = Style(OuluCASIA, lambda m, person, n: f'{("VL", "NI")[m]}/Strong/P{person:03d}/Anger/{n:03d}.jpeg')
FLAT = Style(OuluCASIA, lambda m, person, n: f'{("VL", "NI")[m]}_Weak_P{person:03d}_Anger_{n:03d}.jpeg')
BUAA = Style(BUAAVisNir, lambda m, person, n: f'{person}/{2 * n + m + 1}.bmp')
SORTED = Style(BUAAVisNir, lambda m, person, n: f'{("VIS", "NIR")[m]}/{person}/{n + 1}.bmp')
CASIA = Style(
    CASIANIRVIS2, lambda m, person, n: f's1/{("VIS", "NIR")[m]}/{person:05d}/{n:03d}.{("jpg", "bmp")[m]}', '_1')
JOINED = Style(CASIANIRVIS2, lambda m, person, n: '{0}/s1_{0}_{1:05d}_{2:03d}.jpg'.format(
    ('VIS', 'NIR')[m], person, n), '_1')
STYLES: Dict[str, Style] = {
    'oulu': OULU, 'oulu_flat': FLAT, 'buaa': BUAA, 'buaa_sorted': SORTED, 'casia': CASIA, 'casia_joined': JOINED}


@pytest.fixture(params=STYLES.values(), ids=STYLES)
def style(request) -> Style:
    return request.param


@pytest.fixture
def own(tmp_path) -> Path:
    """An Oulu-CASIA to spoil."""
    return OULU.write(tmp_path / 'oulu_casia')


def rewrite(root: Path, name: str, change: Callable[[str], str], style: Style = OULU) -> None:
    file = style.file(root, name)
    text = file.read_text()
    assert change(text) != text
    file.write_bytes(change(text).encode())


def names(root: Path, records) -> List[str]:
    return [Path(path).relative_to(root).as_posix() for path, _, _ in records]


def test_records(style, tmp_path):
    root = style.write(tmp_path / style.cls.name)
    dataset = style.cls(root)
    assert names(root, dataset.train) == style.images('vis_train') + style.images('nir_train')
    assert dataset.train_names == sorted(TRAIN)
    assert [label for _, label, _ in dataset.train[:6]] == [2, 2, 0, 0, 1, 1]
    assert names(root, dataset.query) == style.images('nir_probe')
    assert [pid for _, pid, _ in dataset.query] == [12, 12, 40, 40]
    assert names(root, dataset.gallery) == style.images('vis_gallery')
    assert [pid for _, pid, _ in dataset.gallery] == [12, 40, IMPOSTOR]  # one without probes is fine
    assert dataset.test == dataset.query + dataset.gallery
    for part, modality in ((dataset.train[:6], 0), (dataset.train[6:], 1), (dataset.query, 1), (dataset.gallery, 0)):
        assert {(dataset.modality(path), camid) for path, _, camid in part} == {(modality, modality)}
    assert style.cls(root.parent).train == dataset.train
    assert dataset.counts() == {
        'train ids': 3, 'train images': 12, 'train visible': 6, 'train infrared': 6,
        'test ids': 3, 'test images': 7, 'test visible': 3, 'test infrared': 4}


def test_windows_lists(style, tmp_path):
    root = style.write(tmp_path / style.cls.name)
    clean = style.cls(root)
    for name in MODALITIES:
        text = '\n\n'.join(f'./{image}' for image in style.images(name)) + '\n \n'
        style.file(root, name).write_bytes(
            b'\xef\xbb\xbf' + text.replace('/', '\\').replace('\n', '\r\n').encode())
    dataset = style.cls(root)
    assert (dataset.train, dataset.query, dataset.gallery) == (clean.train, clean.query, clean.gallery)


def test_lists_with_identities(style, tmp_path):
    """Identities that count from 0 in both parts do not make the persons the same; further columns do not matter."""
    root = style.write(tmp_path / style.cls.name)
    clean = style.cls(root)
    persons = {'train': TRAIN, 'test': (*TEST, IMPOSTOR)}
    for name in MODALITIES:
        part = persons['train' if 'train' in name else 'test']
        labels = [label for label, _ in enumerate(part) for _ in range(1 if 'gallery' in name else 2)]
        style.file(root, name).write_text('\n'.join(
            f'{image}{separator}{label:03d}{further}' for image, label, separator, further in zip(
                style.images(name), labels, (' ', '\t', ',', ', ', '  ', ' '), ('', ' 1', ',0', ' 012 012', '\t', ''))))
    dataset = style.cls(root)
    assert names(root, dataset.train) == names(root, clean.train) and dataset.train_names == [0, 1, 2]
    assert [label for _, label, _ in dataset.train[:6]] == [0, 0, 1, 1, 2, 2]
    assert [pid for _, pid, _ in dataset.query] == [0, 0, 1, 1] and [pid for _, pid, _ in dataset.gallery] == [0, 1, 2]


def test_paths_that_tell_nothing(tmp_path):
    """The list tells the modality, and the identities must."""
    root = tmp_path / 'set'
    (root / 'protocols').mkdir(parents=True)
    for number, name in enumerate(MODALITIES):
        picture(root / 'my faces' / f'{name}.png')
        OULU.file(root, name).write_text(f'my faces/{name}.png {number // 2}\n')
    dataset = OuluCASIA(root)
    assert [dataset.modality(path) for path, _, _ in dataset.train + dataset.query + dataset.gallery] == [0, 1, 1, 0]
    assert [pid for _, pid, _ in dataset.test] == [1, 1] and dataset.train_names == [0]
    for name in ('vis_gallery', 'nir_probe'):
        rewrite(root, name, lambda text: text.replace(' 1', ' 0'))
    with pytest.raises(DatasetError, match=r'"my faces/vis_gallery\.png" of ".*vis_gallery\.txt", line 1, shows a '
                                           r'person who is trained on: .* with the identity 0 too'):
        OuluCASIA(root)
    OULU.file(root, 'vis_train').write_text('my faces/vis_train.png\n')
    with pytest.raises(DatasetError, match=r'vis_train\.txt", line 1 holds "my faces/vis_train\.png", which does not'):
        OuluCASIA(root)


@pytest.mark.parametrize('there', ['000.jpg', '000.png', '000.bmp', '000.JPEG', '000.Jpg'])
def test_other_suffix_on_disk(own, there):
    folder = own / 'NI' / 'Strong' / 'P012' / 'Anger'
    (folder / '000.jpeg').unlink()
    picture(folder / there)
    (folder / '000.txt').touch()  # no image
    dataset = OuluCASIA(own)
    assert dataset.query[0] == (str(folder / there), 12, INFRARED)
    assert dataset.modality(dataset.query[0][0]) == INFRARED and dataset.load(dataset.query[0][0]).size == (9, 9)


def test_two_suffixes_on_disk(own):
    folder = own / 'NI' / 'Strong' / 'P012' / 'Anger'
    picture(folder / '000.png')
    assert OuluCASIA(own).query[0][0] == str(folder / '000.jpeg')  # as listed
    (folder / '000.jpeg').rename(folder / '000.jpg')
    with pytest.raises(DatasetError, match=r'nir_probe\.txt", line 1 names "NI/.*000\.jpeg".* has 000\.jpg and 000\.p'):
        OuluCASIA(own)


def test_suffix_in_other_letters_in_the_list(own):
    rewrite(own, 'nir_probe', lambda text: text.replace('.jpeg', '.JPG'))
    assert names(own, OuluCASIA(own).query) == OULU.images('nir_probe')


def test_missing_images(own):
    shutil.rmtree(own / 'NI' / 'Strong' / 'P012')
    with pytest.raises(DatasetError, match=r'OuluCASIA: 2 of the 4 images that ".*nir_probe\.txt" names.*P012.*line 1'):
        OuluCASIA(own)


@pytest.mark.parametrize('name', MODALITIES)
class TestLists:
    def test_missing(self, own, name):
        OULU.file(own, name).unlink()
        with pytest.raises(DatasetError, match=rf'OuluCASIA: the list ".*{name}\.txt" is missing'):
            OuluCASIA(own)

    def test_empty(self, own, name):
        OULU.file(own, name).write_text('\r\n \n')
        with pytest.raises(DatasetError, match=rf'{name}\.txt" is empty'):
            OuluCASIA(own)

    @pytest.mark.parametrize('line', ['NI/Strong/P012/Anger', 'path,pid', 'a.bmpx 3', '17'])
    def test_no_image(self, own, name, line):
        rewrite(own, name, lambda text: f'{text}{line}\n')
        number = len(OULU.images(name)) + 1
        with pytest.raises(DatasetError, match=rf"{name}\.txt\", line {number} holds '{line}', but the path of an im"):
            OuluCASIA(own)

    @pytest.mark.parametrize('label', ['one', '-1', '1.5', '²'])
    def test_identity_that_is_no_integer(self, own, name, label):
        rewrite(own, name, lambda text: text.replace('.jpeg', f'.jpeg {label}', 1))
        with pytest.raises(DatasetError, match=rf'{name}\.txt", line 1: the identity of ".*jpeg" is \'{label}\', but'):
            OuluCASIA(own)

    def test_image_of_the_other_modality(self, own, name):
        here, other = ('VL', 'NI') if name.startswith('vis') else ('NI', 'VL')
        rewrite(own, name, lambda text: text.replace(f'{here}/', f'{other}/', 1))
        kinds = ('near-infrared', 'visible') if here == 'VL' else ('visible', 'near-infrared')
        with pytest.raises(DatasetError, match=rf'{name}\.txt", line 1 names "{other}/.*", a {kinds[0]} image, but '
                                               rf'lists {kinds[1]} ones'):
            OuluCASIA(own)

    def test_image_named_twice(self, own, name):
        rewrite(own, name, lambda text: text + text.splitlines()[0].replace('/', '\\').replace('jpeg', 'jpg') + '\n')
        last = len(OULU.images(name)) + 1
        with pytest.raises(DatasetError, match=rf'{name}\.txt", line {last} names ".*jpeg", which ".*{name}\.txt", '
                                               rf'line 1 has named already'):
            OuluCASIA(own)

    def test_image_with_two_identities(self, own, name):
        rewrite(own, name, lambda text: text + text.splitlines()[0] + ' 77\n')
        with pytest.raises(DatasetError, match=rf'{name}\.txt", line \d gives ".*" the identity 77, but line 1 gave'):
            OuluCASIA(own)


def test_image_in_two_lists(tmp_path):
    """Where the paths do not tell the modality, the same image could be probe and gallery."""
    root = tmp_path / 'set'
    (root / 'protocols').mkdir(parents=True)
    for number, name in enumerate(MODALITIES):
        picture(root / f'{name}.png')
        OULU.file(root, name).write_text(f'{name}.png {number // 2}\n')
    rewrite(root, 'nir_probe', lambda text: text + 'vis_gallery.png 1\n')
    with pytest.raises(DatasetError, match=r'nir_probe\.txt", line 2 names ".*vis_gallery\.png", which ".*vis_gallery'):
        OuluCASIA(root)


@pytest.mark.parametrize('name', ['vis_gallery', 'nir_probe'])
def test_person_on_both_sides(style, tmp_path, name):
    root = style.write(tmp_path / style.cls.name)
    image = style.image(MODALITIES[name], TRAIN[1], 5)
    picture(root / image)
    rewrite(root, name, lambda text: f'{text}{image} 500\n', style)
    with pytest.raises(DatasetError, match=rf'"{image}" of ".*{name}.*", line \d, shows a person who is trained on: '
                                           rf'".*_train.*" names ".*", line \d, with the person 3 too'):
        style.cls(root)


@pytest.mark.parametrize(('name', 'other'), [('vis_train', 'nir_train'), ('nir_train', 'vis_train')])
def test_train_identity_of_one_modality(own, name, other):
    rewrite(own, name, lambda text: '\n'.join(line for line in text.splitlines() if 'P009' not in line))
    with pytest.raises(DatasetError, match=rf'identities \[9\] of ".*{other}\.txt" have no image in ".*{name}\.txt"'):
        OuluCASIA(own)


def test_probe_without_gallery(own):
    rewrite(own, 'vis_gallery', lambda text: text.replace(OULU.images('vis_gallery')[1], ''))
    with pytest.raises(DatasetError, match=r'the probe "NI/Strong/P040/.*" of ".*nir_probe\.txt", line 3, has the '
                                           r'identity 40, of whom ".*vis_gallery\.txt" has no image'):
        OuluCASIA(own)


@pytest.mark.parametrize(('name', 'label', 'found'), [
    ('nir_train', '9', r'"VL/Strong/P041/Anger/000\.jpeg" shows the same person, with the identity 41'),
    ('vis_train', '3', r'"VL/Strong/P041/Anger/000\.jpeg" shows the same person, with the identity 3'),
])
def test_contradicting_identities_of_a_person(own, name, label, found):
    rewrite(own, name, lambda text: text.replace('.jpeg', f'.jpeg {label}', 1))
    with pytest.raises(DatasetError, match=rf'{name}\.txt", line \d gives ".*" the identity \d+, but {found}'):
        OuluCASIA(own)


def test_identity_of_two_persons(own):
    rewrite(own, 'vis_gallery', lambda text: text.replace('.jpeg', '.jpeg 40').replace('.jpeg 40', '.jpeg', 2))
    with pytest.raises(DatasetError, match=r'line 3 gives "VL/Strong/P007/.*" the identity 40, but "VL/Strong/P040/.*" '
                                           r'shows another person, with the same identity'):
        OuluCASIA(own)


def test_no_lists(style, tmp_path):
    (tmp_path / style.cls.folders[0]).mkdir()
    with pytest.raises(DatasetError, match=rf'{style.cls.__name__}: ".*" exists, but no "protocols" was found'):
        style.cls(tmp_path)


def test_check(own):
    report = check_dataset(OuluCASIA(own), workers=1)
    assert report.num_opened == 19 and not report.unreadable
    assert report.differing == ['test ids', 'test visible', 'test infrared']
    (own / OULU.images('nir_probe')[0]).write_bytes(b'no image')
    (path, reason), = check_dataset(OuluCASIA(own), workers=1).unreadable
    assert path == str(own / OULU.images('nir_probe')[0]) and 'Cannot read the image' in reason


def test_hold_out(style, tmp_path):
    split = hold_out(style.cls(style.write(tmp_path / style.cls.name)), 3)
    assert split.train_names == [3, 9] and {pid for _, pid, _ in split.test} == {41}
    assert {split.modality(path) for path, _, _ in split.query} == {INFRARED}
    assert {split.modality(path) for path, _, _ in split.gallery} == {VISIBLE}
