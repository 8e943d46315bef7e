"""BUAA-VisNir.

Paper: The BUAA-VisNir Face Database Instructions (Huang, Sun and Wang, Beihang University, 2012)

Layout: {person}/{n}.bmp, of which the lists protocols/{vis_train,nir_train,vis_gallery,nir_probe}.txt choose, one path
a line.
"""
import re
from typing import ClassVar, Dict, Optional

from ._faces import FaceLists
from .base import INFRARED, VISIBLE

__all__ = ['BUAAVisNir']

_NUMBER = re.compile(r'(?:^|/)([0-9]+)\.[^/]*$')
NUM_PAIRED = 26  # papers count 13 pairs, public scripts go up to 28: what all agree on


class BUAAVisNir(FaceLists):
    """BUAA-VisNir: 150 persons, seen in visible and near-infrared light at the same moment.

    The folder tells the person. A folder VIS or NIR above it tells the modality; without one, an odd number up to 26
    is a visible image and an even one a near-infrared image. Higher numbers tell nothing, since the pairs end there.

    As a benchmark of recognition it has 100 test persons, with one visible image of each, such as 17/1.bmp, in the
    gallery, as Wasserstein CNN (https://arxiv.org/abs/1708.02412) describes it. Splits differ in public code, and
    FDNM's paper does not say which it took.
    """
    name = 'buaa_visnir'
    folders = ('BUAA-VisNir', 'BUAA_VisNir', 'BUAAVISNIR', 'buaa_visnir')
    published: ClassVar[Dict[str, int]] = {'test ids': 100, 'test visible': 100}
    tells_modality = re.compile(r'(?<![^/])(VIS|NIR)(?=/)')
    tells_person = re.compile(r'(?:^|/)([0-9]+)/[^/]*$')

    def _modality_in(self, name: str) -> Optional[int]:
        number = _NUMBER.search(name)
        modality = super()._modality_in(name)
        if modality is None and number and 1 <= int(number[1]) <= NUM_PAIRED:
            return VISIBLE if int(number[1]) % 2 else INFRARED
        return modality
