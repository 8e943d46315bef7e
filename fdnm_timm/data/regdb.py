"""RegDB.

Paper: Person Recognition System Based on a Combination of Body Images from Visible Light and Thermal Cameras - https://www.mdpi.com/1424-8220/17/3/605

Layout: idx/{train,test}_{visible,thermal}_{1..10}.txt with lines 'Visible/285/name.bmp 0', and the images they name.
"""
import os
from typing import ClassVar, Dict, List, Optional, Sequence, Tuple, Union

from ._lists import EntryList, check_same_pids, locate, person_of, read_entries
from .base import INFRARED, VISIBLE, CrossModalityDataset, DatasetError, Record

__all__ = ['RegDB']

NUM_TRIALS = 10
_WORDS = ('visible', 'thermal')  # by modality


class RegDB(CrossModalityDataset):
    """RegDB: 412 persons, 10 visible (camid 1) and 10 thermal (camid 2) images of each, split in halves ten times.

    `query` holds the visible and `gallery` the thermal test images. Training and test labels both count from 0, but
    stand for different persons.

    Attributes:
        trial: Number of the split, 1 to 10. A model of a trial is evaluated on the same trial.
    """
    name = 'regdb'
    folders = ('RegDB', 'regdb')
    marker = 'idx'
    splits: ClassVar[Optional[Tuple[str, Sequence[int]]]] = ('trial', range(1, NUM_TRIALS + 1))
    published: ClassVar[Dict[str, int]] = {
        'train ids': 206, 'train visible': 2060, 'train infrared': 2060,
        'test ids': 206, 'test visible': 2060, 'test infrared': 2060,
    }

    def __init__(self, root: Union[str, os.PathLike], trial: int = 1) -> None:
        """
        Args:
            root: The data set's folder or its parent.
            trial: Number of the split, 1 to 10.

        Raises:
            DatasetError: There is no such folder, or what lies in it is malformed.
            ValueError: `trial` is no number of a split.
        """
        if not isinstance(trial, int) or not 1 <= trial <= NUM_TRIALS:
            raise ValueError(f'trial is {trial!r}, but RegDB has the splits 1 to {NUM_TRIALS}.')
        super().__init__(root)
        self.trial = trial
        self._modality: Dict[str, int] = {}
        train, test = self._read('train'), self._read('test')
        self._check_apart(train, test)
        train_records, test_records = self._records(train), self._records(test)
        self._set_train(train_records[VISIBLE] + train_records[INFRARED])
        self.query, self.gallery = test_records[VISIBLE], test_records[INFRARED]
        self.test = self.query + self.gallery
        self._warn_of_train_ids()

    def modality(self, path: str) -> int:
        return self._modality[path]

    def _read(self, part: str) -> List[EntryList]:
        """The visible and the thermal list."""
        owner = type(self).__name__
        lists = []
        for word, other in (_WORDS, _WORDS[::-1]):
            file = self.root / 'idx' / f'{part}_{word}_{self.trial}.txt'
            entries = read_entries(owner, file)
            for entry in entries:
                if entry.name.partition('/')[0].lower() == other:
                    raise DatasetError(
                        f'{owner}: "{file}", line {entry.line} names "{entry.name}", a {other} image, but lists '
                        f'{word} ones.')
            lists.append((file, entries))
        check_same_pids(owner, *lists)
        return lists

    def _check_apart(self, train: Sequence[EntryList], test: Sequence[EntryList]) -> None:
        """The labels of both parts count from 0, so it is the images and the persons' folders that tell an overlap."""
        trained = {entry.name: file for file, entries in train for entry in entries}
        person_trained = {person_of(name): name for name in trained}
        person_trained.pop(None, None)
        for file, entries in test:
            for entry in entries:
                same = entry.name if entry.name in trained else person_trained.get(person_of(entry.name))
                if same is not None:
                    raise DatasetError(
                        f'{type(self).__name__}: "{entry.name}" of "{file}", line {entry.line}, shows a person who is '
                        f'trained on: "{trained[same]}" names "{same}". Correct the lists.')

    def _records(self, lists: Sequence[EntryList]) -> List[List[Record]]:
        records = []
        for modality, (file, entries) in enumerate(lists):
            paths = locate(type(self).__name__, self.root, file, entries)
            self._modality.update(dict.fromkeys(paths, modality))
            records.append([(path, entry.pid, modality + 1) for path, entry in zip(paths, entries)])
        return records
