from pathlib import Path

import pytest

from fdnm_timm.data import INFRARED, VISIBLE, CountWarning, DatasetError
from fdnm_timm.data.casia_nirvis2 import CASIANIRVIS2

from .test_faces import CASIA, MODALITIES, TEST, TRAIN

pytestmark = pytest.mark.filterwarnings('ignore::fdnm_timm.data.CountWarning')


@pytest.fixture
def root(tmp_path) -> Path:
    return CASIA.write(tmp_path / 'NIR-VIS-2.0')


def test_published():
    assert CASIANIRVIS2.published == {'train ids': 357, 'test ids': 358, 'test visible': 358}
    assert CASIANIRVIS2.name == 'casia_nirvis2'
    name, folds = CASIANIRVIS2.splits
    assert name == 'fold' and list(folds) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def test_incomplete_copy_warns_once(root):
    with pytest.warns(CountWarning, match='has 3 training identities, but 357 are published') as caught:
        CASIANIRVIS2(root)
    assert len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.parametrize(('path', 'modality', 'person'), [
    ('s1/VIS/00112/001.jpg', VISIBLE, 112), ('s3/NIR/20012/001.bmp', INFRARED, 20012),
    ('CASIA_NIR_VIS/s1/VIS/00112/001.jpg', VISIBLE, 112), ('NIR-VIS-2.0/s4/NIR/30001/001.bmp', INFRARED, 30001),
    ('s2/NIR_128x128/10012/001.bmp', INFRARED, 10012), ('s2/VIS_crop/10012/001.bmp', VISIBLE, 10012),
    ('s1_VIS_00001_001.jpg', VISIBLE, 1), ('NIR/s1_NIR_00001_001.jpg', INFRARED, 1),
    ('NIR-VIS-2.0/a/001.jpg', None, None), ('s1/VISIT/000112/001.jpg', None, None),
])
def test_what_a_path_tells(root, path, modality, person):
    dataset = CASIANIRVIS2(root)
    assert dataset._modality_in(path) == modality and dataset._person_in(path) == person


def test_fold(root):
    for name in MODALITIES:
        other = {'vis_train': 'vis_gallery', 'nir_train': 'nir_probe', 'vis_gallery': 'vis_train',
                 'nir_probe': 'nir_train'}[name]
        lines = [image for image in CASIA.images(other) if '00007' not in image]  # who has no near-infrared image
        (root / 'protocols' / f'{name}_10.txt').write_text('\n'.join(lines))
    first, last = CASIANIRVIS2(root), CASIANIRVIS2(root, fold=10)
    assert (first.fold, last.fold) == (1, 10)
    assert first.train_names == sorted(TRAIN) and last.train_names == sorted(TEST)
    assert {pid for _, pid, _ in last.query} == set(TRAIN)
    with pytest.raises(DatasetError, match=r'vis_train_4\.txt" is missing'):
        CASIANIRVIS2(root, fold=4)


@pytest.mark.parametrize('fold', [0, 11, -1, '1', 1.0, True, None])
def test_fold_outside_1_to_10(root, fold):
    with pytest.raises(ValueError, match=f'fold is {fold!r}, but CASIA NIR-VIS 2.0 has the folds 1 to 10'):
        CASIANIRVIS2(root, fold=fold)
