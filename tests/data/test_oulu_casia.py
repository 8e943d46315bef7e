import pytest

from fdnm_timm.data import INFRARED, VISIBLE, DatasetError
from fdnm_timm.data.oulu_casia import OuluCASIA

from .test_faces import OULU, rewrite


def test_published():
    assert OuluCASIA.published == {'test ids': 20, 'test visible': 20 * 6 * 8, 'test infrared': 20 * 6 * 8}
    assert OuluCASIA.name == 'oulu_casia' and OuluCASIA.splits is None


@pytest.mark.parametrize(('path', 'modality', 'person'), [
    ('NI/Strong/P009/Anger/018.jpeg', INFRARED, 9),
    ('Oulu_CASIA_NIR_VIS/VL/Dark/P080/Fear/000.jpeg', VISIBLE, 80),
    ('NI_Strong_P009_Anger_018.jpeg', INFRARED, 9),
    ('crops/VL_Weak_P123_Sadness_001.jpg', VISIBLE, 123),
    ('VL_and_NI/NI/P001.jpg', INFRARED, 1),  # the last one counts
    ('VLAD/NIGHT/P1x/CAP001/a.jpg', None, None),
    ('9/018.jpeg', None, None),
])
def test_what_a_path_tells(tmp_path, path, modality, person):
    dataset = OuluCASIA(OULU.write(tmp_path / 'set'))
    assert dataset._modality_in(path) == modality and dataset._person_in(path) == person


def test_identities_as_the_paths_write_them(tmp_path):
    """Lists 'path,P012' are about."""
    root = OULU.write(tmp_path / 'set')
    clean = OuluCASIA(root)
    for name in ('nir_probe', 'vis_gallery'):
        rewrite(root, name, lambda text: ''.join(f'{line},{line.split("/")[2]}\n' for line in text.splitlines()))
    assert OuluCASIA(root).test == clean.test
    rewrite(root, 'nir_probe', lambda text: text.replace(',P012', ',Q012', 1))
    with pytest.raises(DatasetError, match=r"nir_probe\.txt\", line 1: the identity of \"NI/.*\" is 'Q012', but must"):
        OuluCASIA(root)
