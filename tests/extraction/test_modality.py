import numpy as np
import pytest

from fdnm_timm.data import INFRARED, SYSUMM01, VISIBLE
from fdnm_timm.extraction.images import Listed
from fdnm_timm.extraction.modality import modalities_of, modality_by_camera, modality_by_folder


@pytest.mark.parametrize('path, expected', [
    ('data/visible/1.jpg', VISIBLE),
    ('data/Thermal/5/1.jpg', INFRARED),
    ('LLCM/test_nir/cam1/1.jpg', INFRARED),
    ('LLCM/test_vis/cam1/1.jpg', VISIBLE),
    ('x/day-RGB/1.jpg', VISIBLE),
    ('rgb-ir/ir/1.jpg', INFRARED),  # the one folder says both, and so nothing
    ('rgb-ir/1.jpg', None),
    ('visible/ir/1.jpg', None),  # they disagree
    ('data/visibly/mirror/1.jpg', None),  # parts of words do not count
    ('data/ir.jpg', None),  # nor does the image's own name
    ('1.jpg', None),
])
def test_by_folder(path, expected):
    assert modality_by_folder(path) == expected


def test_by_camera_agrees_with_the_data_set(sysu_tree):
    dataset = SYSUMM01(sysu_tree)
    paths = [path for path, _, _ in dataset.train + dataset.test]
    assert {modality_by_camera(path) for path in paths} == {VISIBLE, INFRARED}
    assert all(modality_by_camera(path) == dataset.modality(path) for path in paths)
    assert [modality_by_camera(path) for path in ('cam7/0001/1.jpg', 'cam1/1.jpg', '1.jpg')] == [None] * 3


def test_a_list_comes_first_and_the_default_last():
    entries = [Listed('a.jpg', INFRARED), Listed('vis/b.jpg'), Listed('c.jpg'), Listed('d.jpg', -1)]
    found = modalities_of(entries, default=-1)
    assert found.dtype == np.int8 and found.tolist() == [INFRARED, VISIBLE, -1, -1]
    assert modalities_of(entries, modality=INFRARED).tolist() == [INFRARED, INFRARED, INFRARED, -1]


def test_untold_ones_are_listed():
    entries = [Listed(f'{i}.jpg') for i in range(5)] + [Listed('ir/5.jpg')]
    with pytest.raises(ValueError) as caught:
        modalities_of(entries)
    message = str(caught.value)
    assert 'of 5 of 6 images' in message and '"0.jpg", "1.jpg", "2.jpg", ...' in message and '--modality' in message
    with pytest.raises(ValueError, match='cam1 to cam6'):
        modalities_of(entries, layout='sysu_mm01')
