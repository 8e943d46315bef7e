import pytest
import torch

from fdnm_timm.data.casia_nirvis2 import CASIANIRVIS2
from fdnm_timm.metrics import rank
from fdnm_timm.protocols.base import Setting, Trial
from fdnm_timm.protocols.faces import FARS, face_settings

from ..data.test_faces import BUAA, CASIA, OULU

pytestmark = pytest.mark.filterwarnings('ignore::fdnm_timm.data.CountWarning')


@pytest.mark.parametrize(('style', 'variant'), [(OULU, {}), (BUAA, {}), (CASIA, {'fold': 1})])
def test_near_infrared_probes_against_the_visible_gallery(tmp_path, style, variant):
    dataset = style.cls(style.write(tmp_path / 'set'))
    assert face_settings(dataset) == [Setting(
        'nir_to_vis', [Trial(dataset.query, dataset.gallery)], None, 'image', variant, reported='nir_to_vis',
        fars=(0.01, 0.001, 0.0001))]
    assert FARS == (0.01, 0.001, 0.0001)


def test_fold_is_written_into_the_variant(tmp_path):
    root = CASIA.write(tmp_path / 'set')
    for file in list((root / 'protocols').iterdir()):
        file.rename(file.with_name(file.name.replace('_1', '_7')))
    assert face_settings(CASIANIRVIS2(root, fold=7))[0].variant == {'fold': 7}


def test_impostors_in_the_gallery_are_ranked(tmp_path):
    query, gallery = face_settings(OULU.cls(OULU.write(tmp_path / 'set')))[0].trials[0]
    q_pids, q_camids = torch.tensor([record[1:] for record in query]).t()
    g_pids, g_camids = torch.tensor([record[1:] for record in gallery]).t()
    distmat = (q_pids[:, None] != g_pids[None]).float()
    distmat[0, -1] = -1  # the first probe is taken for the impostor
    result = rank(None, None, q_pids, g_pids, q_camids, g_camids, rule=None, cmc='image', distmat=distmat)
    assert result.n_valid == 4 and float(result.cmc[0]) == pytest.approx(0.75)
