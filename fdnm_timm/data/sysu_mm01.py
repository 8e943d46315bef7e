"""SYSU-MM01.

Paper: RGB-Infrared Cross-Modality Person Re-Identification - https://openaccess.thecvf.com/content_iccv_2017/html/Wu_RGB-Infrared_Cross-Modality_Person_ICCV_2017_paper.html

Layout: cam{1-6}/{pid:04d}/{n:04d}.jpg, and exp/{train,val,test}_id.txt (or .mat) with the identities of each split.
"""
import os
import random
from pathlib import Path
from typing import ClassVar, Dict, List, Sequence, Tuple, Union

from .base import IMAGE_SUFFIXES, INFRARED, VISIBLE, CrossModalityDataset, DatasetError, Record

__all__ = ['SYSUMM01']

VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)
GALLERY_CAMERAS = {'all': (1, 2, 4, 5), 'indoor': (1, 2)}


class SYSUMM01(CrossModalityDataset):
    """SYSU-MM01: cameras 1, 2, 4, 5 are visible, 3 and 6 infrared; 395 training and 96 test identities.

    `query` holds every infrared test image; `gallery` is that of all-search, single-shot, trial 0. `draw_gallery` gives
    the others.
    """
    name = 'sysu_mm01'
    folders: ClassVar[Sequence[str]] = ('SYSU-MM01', 'sysu_mm01', 'SYSU_MM01', 'sysu')
    marker = 'exp'

    def __init__(self, root: Union[str, os.PathLike]) -> None:
        super().__init__(root)
        self._images = self._list_images()
        train, val, test = self._splits()
        overlap = (train | val) & test
        if overlap:
            raise DatasetError(
                f'{type(self).__name__}: identities {sorted(overlap)[:10]} are both in the training and the test '
                f'list of '
                f'"{self.root / "exp"}".')
        self._set_train(self._records(sorted(train | val)))
        self.test = self._records(sorted(test))
        for word, cameras in (('visible', VISIBLE_CAMERAS), ('infrared', INFRARED_CAMERAS)):
            if not any(camid in cameras for _, _, camid in self.test):
                raise DatasetError(f'{type(self).__name__}: no test identity of "{self.root}" has a {word} image.')
        self.query = [record for record in self.test if record[2] in INFRARED_CAMERAS]
        self.gallery = self.draw_gallery('all', 1, 0)

    def modality(self, path: str) -> int:
        return INFRARED if int(Path(path).parts[-3][3:]) in INFRARED_CAMERAS else VISIBLE

    def draw_gallery(self, mode: str = 'all', shots: int = 1, trial: int = 0) -> List[Record]:
        """Draw a trial's gallery as the AGW family's code does, so that its numbers can be compared.

        Args:
            mode: 'all' (cameras 1, 2, 4, 5) or 'indoor' (1, 2).
            shots: Images of each identity and camera, 1 or more; fewer where there are fewer.
            trial: Number of the trial, >= 0.

        Returns:
            Visible records, `random.Random(trial)` choosing over sorted names, identities outside and cameras inside.
        """
        if mode not in GALLERY_CAMERAS:
            raise ValueError(f'mode is {mode!r}, but must be one of {", ".join(map(repr, GALLERY_CAMERAS))}.')
        if shots < 1:
            raise ValueError(f'shots is {shots}, but a gallery needs at least 1 image of an identity and camera.')
        rng = random.Random(trial)
        gallery: List[Record] = []
        for pid in sorted({pid for _, pid, _ in self.test}):
            for camid in GALLERY_CAMERAS[mode]:
                names = self._images.get((pid, camid))
                if names:
                    drawn = [rng.choice(names)] if shots == 1 else rng.sample(names, min(shots, len(names)))
                    gallery.extend((self._path(pid, camid, name), pid, camid) for name in drawn)
        return gallery

    def _path(self, pid: int, camid: int, name: str) -> str:
        return str(self.root / f'cam{camid}' / f'{pid:04d}' / name)

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
            for entry in os.scandir(folder):
                if entry.name.isdigit() and entry.is_dir():
                    names = sorted(n for n in os.listdir(entry.path) if n.lower().endswith(IMAGE_SUFFIXES))
                    if names:
                        images[int(entry.name), camid] = names
        return images

    def _splits(self) -> Tuple[set, set, set]:
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

    def _read_ids(self, name: str) -> set:
        text_file, mat_file = self.root / 'exp' / f'{name}.txt', self.root / 'exp' / f'{name}.mat'
        if text_file.exists():
            try:
                lines = text_file.read_text(encoding='utf-8').splitlines()
            except UnicodeDecodeError as error:
                raise DatasetError(f'{type(self).__name__}: "{text_file}" is not text: {error}.') from error
            entries = [entry.strip() for entry in lines[0].split(',')] if lines else []
            entries = [entry for entry in entries if entry]
            for entry in entries:
                if not (entry.isascii() and entry.isdecimal()):
                    raise DatasetError(
                        f'{type(self).__name__}: "{text_file}", line 1 holds {entry!r}, but identities are integers '
                        f'separated by commas.')
            file, ids = text_file, {int(entry) for entry in entries}
        elif mat_file.exists():
            file, ids = mat_file, self._read_mat(mat_file)
        else:
            raise DatasetError(f'{type(self).__name__}: neither "{text_file}" nor "{mat_file}" exists.')
        if not ids:
            raise DatasetError(f'{type(self).__name__}: "{file}" holds no identity.')
        return ids

    def _read_mat(self, file: Path) -> set:
        from scipy.io import loadmat
        try:
            values = loadmat(str(file))['id'].reshape(-1).tolist()
        except KeyError:
            raise DatasetError(f'{type(self).__name__}: "{file}" has no variable "id".') from None
        except Exception as error:  # scipy raises many kinds for a damaged file
            raise DatasetError(f'{type(self).__name__}: "{file}" cannot be read as a MATLAB file: {error}.') from error
        for value in values:
            if value != int(value):
                raise DatasetError(f'{type(self).__name__}: "{file}" holds {value}, but identities are integers.')
        return {int(value) for value in values}
