"""Oulu-CASIA NIR-VIS.

Paper: Facial expression recognition from near-infrared videos - https://doi.org/10.1016/j.imavis.2011.07.002

Layout: {VL,NI}/{Strong,Weak,Dark}/P{001-080}/{expression}/{n:03d}.jpeg, of which the lists
protocols/{vis_train,nir_train,vis_gallery,nir_probe}.txt choose, one path a line.
"""
import re
from typing import ClassVar, Dict

from ._faces import FaceLists
from .base import INFRARED, VISIBLE

__all__ = ['OuluCASIA']


class OuluCASIA(FaceLists):
    """Oulu-CASIA NIR-VIS: 80 persons, six expressions, each seen in visible (VL) and near-infrared light (NI).

    The path tells modality and person. As a benchmark of recognition it has 20 test persons, with 8 images an
    expression and modality: 960 visible ones in the gallery and 960 near-infrared probes, as Wasserstein CNN
    (https://arxiv.org/abs/1708.02412) describes it. Which persons and images these are differs in public code, and
    FDNM's paper does not say which it took.
    """
    name = 'oulu_casia'
    folders = ('Oulu_CASIA_NIR_VIS', 'Oulu-CASIA', 'Oulu_CASIA', 'oulu_casia')
    published: ClassVar[Dict[str, int]] = {'test ids': 20, 'test visible': 960, 'test infrared': 960}
    words: ClassVar[Dict[str, int]] = {'VL': VISIBLE, 'NI': INFRARED}
    # folders, or parts of a flattened name, such as NI_Strong_P009_Anger_018.jpeg
    tells_modality = re.compile(r'(?<![^/_])(VL|NI)(?=[/_])')
    tells_person = re.compile(r'(?<![^/_])P([0-9]+)(?![^/_.])')
