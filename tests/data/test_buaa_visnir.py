import pytest

from fdnm_timm.data import INFRARED, VISIBLE, DatasetError
from fdnm_timm.data.buaa_visnir import BUAAVisNir

from .test_faces import BUAA, picture, rewrite


def test_published():
    assert BUAAVisNir.published == {'test ids': 100, 'test visible': 100}
    assert BUAAVisNir.name == 'buaa_visnir' and BUAAVisNir.splits is None


@pytest.mark.parametrize(('path', 'modality', 'person'), [
    ('17/1.bmp', VISIBLE, 17), ('17/2.bmp', INFRARED, 17), ('017/025.bmp', VISIBLE, 17), ('17/26.bmp', INFRARED, 17),
    ('17/27.bmp', None, 17), ('17/28.bmp', None, 17), ('17/40.bmp', None, 17), ('17/0.bmp', None, 17),
    ('BUAA_NIR_VIS/17/2.bmp', INFRARED, 17),
    ('VIS/17/2.bmp', VISIBLE, 17), ('NIR/17/1.bmp', INFRARED, 17), ('VIS/NIR/17/1.bmp', INFRARED, 17),
    ('17/1_NIR.bmp', None, 17), ('crops/a1.bmp', None, None), ('1.bmp', VISIBLE, None),
])
def test_what_a_path_tells(tmp_path, path, modality, person):
    dataset = BUAAVisNir(BUAA.write(tmp_path / 'set'))
    assert dataset._modality_in(path) == modality and dataset._person_in(path) == person


@pytest.mark.parametrize(('name', 'image', 'kinds'), [
    ('vis_gallery', '12/2.bmp', 'a near-infrared image, but lists visible ones'),
    ('nir_probe', '12/1.bmp', 'a visible image, but lists near-infrared ones'),
])
def test_parity(tmp_path, name, image, kinds):
    root = BUAA.write(tmp_path / 'set')
    rewrite(root, name, lambda text: f'{text}{image}\n', BUAA)
    with pytest.raises(DatasetError, match=rf'BUAAVisNir: ".*{name}\.txt", line \d names "{image}", {kinds}'):
        BUAAVisNir(root)


def test_images_beyond_the_pairs_are_what_the_list_says(tmp_path):
    root = BUAA.write(tmp_path / 'set')
    picture(root / '12' / '38.bmp')
    rewrite(root, 'vis_gallery', lambda text: f'{text}12/38.bmp\n', BUAA)
    dataset = BUAAVisNir(root)
    assert dataset.gallery[-1] == (str(root / '12' / '38.bmp'), 12, VISIBLE)
    assert dataset.modality(dataset.gallery[-1][0]) == VISIBLE
