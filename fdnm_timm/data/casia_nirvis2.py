"""CASIA NIR-VIS 2.0.

Paper: The CASIA NIR-VIS 2.0 Face Database - https://doi.org/10.1109/CVPRW.2013.59

Layout: s{1-4}/{VIS,NIR}/{pid:05d}/{n:03d}.{jpg,bmp} and the data set's own lists
protocols/{vis_train,nir_train,vis_gallery,nir_probe}_{1..10}.txt, one path a line.
"""
import os
import re
from typing import ClassVar, Dict, Optional, Sequence, Tuple, Union

from ._faces import FaceLists

__all__ = ['CASIANIRVIS2']

NUM_FOLDS = 10


class CASIANIRVIS2(FaceLists):
    """CASIA NIR-VIS 2.0: 725 persons of four recording sessions, in ten folds (the data set's View 2).

    The path tells modality and person. A fold's gallery has one visible image of each of 358 persons, and 357 others
    are trained on: the counts of the documentation and the tests of bob.db.cbsr_nir_vis_2, a package that reads the
    same lists.

    Attributes:
        fold: Number of the fold, 1 to 10. A model of a fold is evaluated on the same fold.
    """
    name = 'casia_nirvis2'
    folders = ('NIR-VIS-2.0', 'CASIA NIR-VIS 2.0', 'CASIA-NIR-VIS-2.0', 'casia_nirvis2')
    splits: ClassVar[Optional[Tuple[str, Sequence[int]]]] = ('fold', range(1, NUM_FOLDS + 1))
    published: ClassVar[Dict[str, int]] = {'train ids': 357, 'test ids': 358, 'test visible': 358}
    # folders such as VIS or VIS_128x128, or parts of a flattened name, such as s1_VIS_00001_001.jpg
    tells_modality = re.compile(r'(?<![^/_])(VIS|NIR)(?=[/_])')
    tells_person = re.compile(r'(?<![^/_])([0-9]{5})(?![^/_.])')

    def __init__(self, root: Union[str, os.PathLike], fold: int = 1) -> None:
        """
        Args:
            root: The data set's folder or its parent.
            fold: Number of the fold, 1 to 10.

        Raises:
            DatasetError: There is no such folder, or what lies in it is malformed.
            ValueError: `fold` is no number of a fold.
        """
        if type(fold) is not int or not 1 <= fold <= NUM_FOLDS:
            raise ValueError(f'fold is {fold!r}, but CASIA NIR-VIS 2.0 has the folds 1 to {NUM_FOLDS}.')
        self.fold = fold
        super().__init__(root)
        self._warn_of_train_ids()

    def _list_name(self, name: str) -> str:
        return f'{name}_{self.fold}.txt'
