"""LLCM.

Paper: Diverse Embedding Expansion Network and Low-Light Cross-Modality Benchmark for Visible-Infrared Person
Re-identification - https://arxiv.org/abs/2303.14481

Layout: idx/train_{vis,nir}.txt with lines 'path label' and the images they name, idx/test_id.txt (line 1, separated by
commas), and test_vis/cam{1-9}/{pid:04d}/* and test_nir/cam{1,2,4-9}/{pid:04d}/* with the test images.
"""
import os
import random
import re
from typing import ClassVar, Dict, List, Sequence, Set, Tuple, Union

from ._lists import EntryList, check_same_pids, list_identities, locate, person_of, read_entries, read_ids
from .base import INFRARED, VISIBLE, CrossModalityDataset, DatasetError, Record

__all__ = ['LLCM']

VISIBLE_CAMERAS = (1, 2, 3, 4, 5, 6, 7, 8, 9)
INFRARED_CAMERAS = (1, 2, 4, 5, 6, 7, 8, 9)
_CAMERAS = (VISIBLE_CAMERAS, INFRARED_CAMERAS)  # by modality
_WORDS = ('vis', 'nir')
_CAMERA_FOLDER, _CAMERA_IN_NAME = re.compile(r'(?:^|/)cam0*(\d)/'), re.compile(r'_c(?:am)?0*(\d)(?!\d)')


def _camera(name: str) -> int:
    """Camera of a listed image: of its folder, such as cam4, or its name, such as 0001_c04_s185535_f7010_nir.jpg."""
    match = _CAMERA_FOLDER.search(name) or _CAMERA_IN_NAME.search(name.rpartition('/')[2])
    return int(match[1]) if match else 0


class LLCM(CrossModalityDataset):
    """LLCM: 713 training and 351 test identities; cameras 1 to 9 see visible light and all but 3 near infrared too.

    `query` holds every infrared test image; `gallery` is the visible one of trial 0. `draw_gallery` gives the others.
    A camera number does not tell the modality. It is 0 where a training image's path has none.

    The paper counts 46,767 images in all, 30,921 of them for training and 13,909 for test, which does not add up:
    15,846 would be left.
    """
    name = 'llcm'
    folders = ('LLCM', 'llcm')
    marker = 'idx'
    published: ClassVar[Dict[str, int]] = {
        'train ids': 713, 'train images': 30921, 'test ids': 351, 'test images': 13909,
    }

    def __init__(self, root: Union[str, os.PathLike]) -> None:
        super().__init__(root)
        self._modality: Dict[str, int] = {}
        owner = type(self).__name__
        lists = []
        for word in _WORDS:
            file = self.root / 'idx' / f'train_{word}.txt'
            lists.append((file, read_entries(owner, file)))
        check_same_pids(owner, *lists)
        test_file = self.root / 'idx' / 'test_id.txt'
        pids = read_ids(owner, test_file)
        self._check_apart(lists, pids)
        train: List[Record] = []
        for modality, (file, entries) in enumerate(lists):
            paths = locate(owner, self.root, file, entries)
            self._modality.update(dict.fromkeys(paths, modality))
            train += [(path, entry.pid, _camera(entry.name)) for path, entry in zip(paths, entries)]
        self._set_train(train)
        for modality, word in ((VISIBLE, 'visible'), (INFRARED, 'infrared')):
            records = self._test_records(modality, pids)
            absent = sorted(pids - {pid for _, pid, _ in records})
            if absent:
                raise DatasetError(
                    f'{owner}: identities {absent[:10]} of "{test_file}" have no {word} image under '
                    f'"{self.root / f"test_{_WORDS[modality]}"}". Complete the images, or take them out of the list.')
            self._modality.update(dict.fromkeys((path for path, _, _ in records), modality))
            self.test += records
        self.query = [record for record in self.test if self._modality[record[0]] == INFRARED]
        self.gallery = self.draw_gallery(VISIBLE, 0)
        self._warn_of_train_ids()

    def modality(self, path: str) -> int:
        return self._modality[path]

    def draw_gallery(self, modality: int = VISIBLE, trial: int = 0) -> List[Record]:
        """Draw a trial's gallery as the data set's code does, so that its numbers can be compared.

        Args:
            modality: VISIBLE or INFRARED.
            trial: Number of the trial, >= 0.

        Returns:
            One record of each identity and camera, `random.Random(trial)` choosing over sorted names, identities
            outside and cameras inside.
        """
        if modality not in (VISIBLE, INFRARED):
            raise ValueError(f'modality is {modality!r}, but must be {VISIBLE} (visible) or {INFRARED} (infrared).')
        places: Dict[Tuple[int, int], List[str]] = {}
        for path, pid, camid in self.test:
            if self._modality[path] == modality:
                places.setdefault((pid, camid), []).append(path)
        rng = random.Random(trial)
        return [(rng.choice(sorted(places[place])), *place) for place in sorted(places)]

    def _check_apart(self, train: Sequence[EntryList], test: Set[int]) -> None:
        for file, entries in train:
            for entry in entries:
                if person_of(entry.name) in test:
                    raise DatasetError(
                        f'{type(self).__name__}: "{entry.name}" of "{file}", line {entry.line}, is a training image of '
                        f'a test identity of "{self.root / "idx" / "test_id.txt"}". Correct the lists.')

    def _test_records(self, modality: int, pids: Set[int]) -> List[Record]:
        owner = type(self).__name__
        folder = self.root / f'test_{_WORDS[modality]}'
        records = []
        for camid in VISIBLE_CAMERAS:
            place = folder / f'cam{camid}'
            if camid not in _CAMERAS[modality]:
                # the authors' archive has an empty folder
                if place.is_dir() and list_identities(owner, place):
                    raise DatasetError(
                        f'{owner}: "{place}" holds images, but camera {camid} takes no near-infrared ones. Look where '
                        f'they belong, and move or remove them.')
                continue
            if not place.is_dir():
                needed = ', '.join(f'cam{number}' for number in _CAMERAS[modality])
                raise DatasetError(f'{owner}: the folder "{place}" is missing: all of {needed} are needed.')
            prefix = f'{place}{os.sep}'
            records += [
                (f'{prefix}{pid:04d}{os.sep}{name}', pid, camid)
                for pid, names in list_identities(owner, place).items() if pid in pids for name in names
            ]
        # identities outside and cameras inside, as the authors' code lists them
        return sorted(records, key=lambda record: (record[1], record[2], record[0]))
