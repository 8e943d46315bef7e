"""SYSU-MM01.

Paper: RGB-Infrared Cross-Modality Person Re-Identification - https://openaccess.thecvf.com/content_iccv_2017/html/Wu_RGB-Infrared_Cross-Modality_Person_ICCV_2017_paper.html

Layout: cam{1-6}/{pid:04d}/{n:04d}.jpg, and exp/{train,val,test}_id.txt (or .mat) with the identities of each split.
For the official gallery draw, exp/rand_perm_cam.mat of the authors' evaluation code.
"""
import difflib
import os
import random
from typing import Any, ClassVar, Dict, List, Optional, Sequence, Set, Tuple, Union

import numpy as np

from ._lists import list_identities, load_mat, read_ids, read_mat_ids
from .base import INFRARED, VISIBLE, CrossModalityDataset, DatasetError, Record

__all__ = ['SYSUMM01']

VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)
GALLERY_CAMERAS = {'all': (1, 2, 4, 5), 'indoor': (1, 2)}
GALLERY_DRAWS = ('agw', 'official')
NUM_TRIALS = 10  # of the official draw
_INFRARED_FOLDERS = tuple(f'cam{camid}' for camid in INFRARED_CAMERAS)


class SYSUMM01(CrossModalityDataset):
    """SYSU-MM01: cameras 1, 2, 4, 5 are visible, 3 and 6 infrared; 395 training and 96 test identities.

    `query` holds every infrared test image; `gallery` is that of all-search, single-shot, trial 0. `draw_gallery` gives
    the others.
    """
    name = 'sysu_mm01'
    folders: ClassVar[Sequence[str]] = ('SYSU-MM01', 'sysu_mm01', 'SYSU_MM01', 'sysu')
    marker = 'exp'
    published: ClassVar[Dict[str, int]] = {
        'train ids': 395, 'train visible': 22258, 'train infrared': 11909, 'test ids': 96, 'queries': 3803,
        'gallery, all, 1 shot': 301, 'gallery, all, 10 shots': 3010,
        'gallery, indoor, 1 shot': 112, 'gallery, indoor, 10 shots': 1120, 'indoor queries with a match': 2208,
    }

    def __init__(self, root: Union[str, os.PathLike], gallery_draw: str = 'agw') -> None:
        """
        Args:
            root: The data set's folder or its parent.
            gallery_draw: 'agw' draws galleries as the AGW family's code does, 'official' as the authors' evaluation
                code does, from exp/rand_perm_cam.mat.

        Raises:
            DatasetError: There is no such folder, or what lies in it is malformed.
            ValueError: `gallery_draw` is neither.
        """
        if gallery_draw not in GALLERY_DRAWS:
            near = difflib.get_close_matches(str(gallery_draw).lower(), GALLERY_DRAWS, n=1)
            raise ValueError(
                f'gallery_draw is {gallery_draw!r}{f": did you mean {near[0]!r}?" if near else "."} '
                f'Known are {", ".join(map(repr, GALLERY_DRAWS))}.')
        super().__init__(root)
        self.gallery_draw = gallery_draw
        self._cells: Optional[List[List[Any]]] = None
        self._images = self._list_images()
        train, val, test = self._splits()
        overlap = (train | val) & test
        if overlap:
            raise DatasetError(
                f'{type(self).__name__}: identities {sorted(overlap)[:10]} are both in the training and the test '
                f'list of "{self.root / "exp"}".')
        self._set_train(self._records(sorted(train | val)))
        self.test = self._records(sorted(test))
        for word, cameras in (('visible', VISIBLE_CAMERAS), ('infrared', INFRARED_CAMERAS)):
            if not any(camid in cameras for _, _, camid in self.test):
                raise DatasetError(f'{type(self).__name__}: no test identity of "{self.root}" has a {word} image.')
        self.query = [record for record in self.test if record[2] in INFRARED_CAMERAS]
        if gallery_draw == 'official':
            for pid in sorted(test):
                for camid in VISIBLE_CAMERAS:
                    self._permutation(pid, camid)
        self.gallery = self.draw_gallery('all', 1, 0)
        self._warn_of_train_ids()

    def modality(self, path: str) -> int:
        return INFRARED if path.rsplit(os.sep, 3)[-3] in _INFRARED_FOLDERS else VISIBLE

    def counts(self) -> Dict[str, int]:
        counts = super().counts()
        counts['queries'] = len(self.query)
        for mode in GALLERY_CAMERAS:
            for shots, word in ((1, '1 shot'), (10, '10 shots')):
                counts[f'gallery, {mode}, {word}'] = len(self.draw_gallery(mode, shots))
        # camera 3 stands where camera 2 does: its queries skip that camera
        indoor = {3: (1,), 6: (1, 2)}
        seen = {(pid, camid) for _, pid, camid in self.test}
        counts['indoor queries with a match'] = sum(
            any((pid, other) in seen for other in indoor[camid]) for _, pid, camid in self.query)
        return counts

    def draw_gallery(self, mode: str = 'all', shots: int = 1, trial: int = 0) -> List[Record]:
        """Draw a trial's gallery, in the way that `gallery_draw` names, so that numbers can be compared.

        Args:
            mode: 'all' (cameras 1, 2, 4, 5) or 'indoor' (1, 2).
            shots: Images of each identity and camera, 1 or more; fewer where there are fewer.
            trial: Number of the trial, >= 0; 0 to 9 for the official draw.

        Returns:
            Visible records. For 'agw', `random.Random(trial)` choosing over sorted names, identities outside and
            cameras inside. For 'official', the first `shots` of the trial's row of rand_perm_cam.mat, cameras outside
            and identities inside.

        Raises:
            ValueError: An argument is none of those named.
        """
        if mode not in GALLERY_CAMERAS:
            raise ValueError(f'mode is {mode!r}, but must be one of {", ".join(map(repr, GALLERY_CAMERAS))}.')
        if shots < 1:
            raise ValueError(f'shots is {shots}, but a gallery needs at least 1 image of an identity and camera.')
        pids, cameras = sorted({pid for _, pid, _ in self.test}), GALLERY_CAMERAS[mode]
        if self.gallery_draw == 'official':
            return self._draw_official(pids, cameras, shots, trial)
        rng = random.Random(trial)
        gallery: List[Record] = []
        for pid in pids:
            for camid in cameras:
                names = self._images.get((pid, camid))
                if names:
                    drawn = [rng.choice(names)] if shots == 1 else rng.sample(names, min(shots, len(names)))
                    gallery.extend((self._path(pid, camid, name), pid, camid) for name in drawn)
        return gallery

    def _draw_official(self, pids: Sequence[int], cameras: Sequence[int], shots: int, trial: int) -> List[Record]:
        if not 0 <= trial < NUM_TRIALS:
            raise ValueError(
                f'trial is {trial}, but the official draw has the trials 0 to {NUM_TRIALS - 1}. '
                f'gallery_draw="agw" has any number.')
        gallery: List[Record] = []
        for camid in cameras:
            for pid in pids:
                names = self._images.get((pid, camid))
                if names:
                    numbers = self._permutation(pid, camid)[trial, :shots].tolist()
                    gallery.extend((self._path(pid, camid, names[int(n) - 1]), pid, camid) for n in numbers)
        return gallery

    def _permutation(self, pid: int, camid: int) -> np.ndarray:
        """The official order (trials, images) of an identity's images, which count from 1."""
        owner, file = type(self).__name__, self.root / 'exp' / 'rand_perm_cam.mat'
        if self._cells is None:
            if not file.exists():
                raise DatasetError(
                    f'{owner}: the official gallery draw needs "{file}", which is missing. It comes with the data '
                    f'set\'s evaluation code: evaluation/data_split/rand_perm_cam.mat of '
                    f'https://github.com/wuancong/SYSU-MM01. Or choose gallery_draw="agw".')
            cells = load_mat(owner, file, 'rand_perm_cam')
            if cells.dtype != object or cells.size != 6 or any(cell.dtype != object for cell in cells.flat):
                raise DatasetError(
                    f'{owner}: "rand_perm_cam" of "{file}" is no cell array of 6 cameras with a cell array of '
                    f'identities each.')
            self._cells = [list(cell.flat) for cell in cells.flat]
        of_camera, found = self._cells[camid - 1], len(self._images.get((pid, camid), ()))
        order = of_camera[pid - 1] if 0 < pid <= len(of_camera) else np.empty((NUM_TRIALS, 0), np.uint8)
        listed = order.shape[1] if order.ndim == 2 and order.size else 0
        if listed != found:
            raise DatasetError(
                f'{owner}: "{file}" orders {listed} images of identity {pid} in camera {camid}, but {found} are '
                f'under "{self.root / f"cam{camid}"}". The official draw needs exactly the official images.')
        if found and (len(order) != NUM_TRIALS or (np.sort(order) != np.arange(1, found + 1)).any()):
            raise DatasetError(
                f'{owner}: the entry of identity {pid} in camera {camid} in "{file}" is not {NUM_TRIALS} rows, each '
                f'with the numbers 1 to {found} in some order.')
        return order

    def _path(self, pid: int, camid: int, name: str) -> str:
        return os.path.join(self.root, f'cam{camid}', f'{pid:04d}', name)

    def _records(self, pids: Sequence[int]) -> List[Record]:
        return [
            (self._path(pid, camid, name), pid, camid)
            for pid in pids for camid in range(1, 7) for name in self._images.get((pid, camid), ())
        ]

    def _list_images(self) -> Dict[Tuple[int, int], List[str]]:
        images = {}
        for camid in range(1, 7):
            folder = self.root / f'cam{camid}'
            if not folder.is_dir():
                raise DatasetError(
                    f'{type(self).__name__}: the folder "{folder}" is missing: all of cam1 to cam6 are needed.')
            for pid, names in list_identities(type(self).__name__, folder).items():
                images[pid, camid] = names
        return images

    def _splits(self) -> Tuple[Set[int], Set[int], Set[int]]:
        train, test = self._read_ids('train_id'), self._read_ids('test_id')
        folder = self.root / 'exp'
        if any((folder / f'val_id{suffix}').exists() for suffix in ('.txt', '.mat')):
            val = self._read_ids('val_id')
        else:
            # the official archive has no such list: val's are those outside the others that both kinds of camera saw
            visible = {pid for pid, camid in self._images if camid in VISIBLE_CAMERAS}
            infrared = {pid for pid, camid in self._images if camid in INFRARED_CAMERAS}
            val = (visible & infrared) - train - test
        for name, ids in (('train_id', train | val), ('test_id', test)):
            absent = sorted(pid for pid in ids if not any((pid, camid) in self._images for camid in range(1, 7)))
            if absent:
                raise DatasetError(
                    f'{type(self).__name__}: identities {absent[:10]} of "{folder}" ({name}) have no image under '
                    f'"{self.root}". Complete the images, or take them out of the list.')
        return train, val, test

    def _read_ids(self, name: str) -> Set[int]:
        owner = type(self).__name__
        text_file, mat_file = self.root / 'exp' / f'{name}.txt', self.root / 'exp' / f'{name}.mat'
        if text_file.exists():
            return read_ids(owner, text_file)
        if mat_file.exists():
            return read_mat_ids(owner, mat_file)
        raise DatasetError(f'{owner}: neither "{text_file}" nor "{mat_file}" exists.')
