"""What the face data sets share: four lists of images, from which everything comes."""
import os
import re
from typing import ClassVar, Dict, List, Optional, Sequence, Tuple, Union

from ._lists import Entry, EntryList, check_same_pids, locate, read_images
from .base import INFRARED, VISIBLE, CrossModalityDataset, DatasetError, Record

__all__ = ['FaceLists']

_TRAIN, _TEST = ('vis_train', 'nir_train'), ('vis_gallery', 'nir_probe')  # by modality
_WORDS = ('visible', 'near-infrared')


class FaceLists(CrossModalityDataset):
    """Base of the face data sets.

    `query` holds the near-infrared probes, `gallery` the visible images of the gallery. The sets do not number their
    cameras, so a camid is the modality: 0 visible, 1 near infrared. Where a path does not tell its modality, it is the
    one that the list's name says.

    Lists of public code differ in their splits and in their identities, which are the persons' numbers in some and
    count from 0 in others. So training and test persons are told apart by the paths where all of them tell the person,
    else by the lists' identities.
    """
    marker = 'protocols'
    words: ClassVar[Dict[str, int]] = {'VIS': VISIBLE, 'NIR': INFRARED}
    tells_modality: ClassVar[re.Pattern]  # of a listed path; the last match's group is one of the words
    tells_person: ClassVar[re.Pattern]  # of a listed path, or of an identity that is no integer

    def __init__(self, root: Union[str, os.PathLike]) -> None:
        """
        Args:
            root: The data set's folder or its parent.

        Raises:
            DatasetError: There is no such folder, or what lies in it is malformed.
        """
        super().__init__(root)
        self._modality: Dict[str, int] = {}
        train, test = self._read(_TRAIN), self._read(_TEST)
        for lists in (train, test):
            self._check_identities(lists)
        check_same_pids(type(self).__name__, *train)
        self._check_apart(train, test)
        self._check_probes(*test)
        records = self._records([*train, *test])
        self._set_train(records[0] + records[1])
        self.gallery, self.query = records[2:]
        self.test = self.query + self.gallery

    def modality(self, path: str) -> int:
        return self._modality[path]

    def _list_name(self, name: str) -> str:
        """The file of 'vis_train', 'nir_train', 'vis_gallery' or 'nir_probe'."""
        return f'{name}.txt'

    def _modality_in(self, name: str) -> Optional[int]:
        """The modality that a listed path tells."""
        found = self.tells_modality.findall(name)
        return self.words[found[-1]] if found else None

    def _person_in(self, name: str) -> Optional[int]:
        """The person whom a listed path tells."""
        match = self.tells_person.search(name)
        return int(match[1]) if match else None

    def _read(self, names: Tuple[str, str]) -> List[EntryList]:
        """The visible and the near-infrared list."""
        owner = type(self).__name__
        lists = []
        for modality, name in enumerate(names):
            file = self.root / self.marker / self._list_name(name)
            entries = read_images(owner, file, self._person_in)
            for entry in entries:
                if self._modality_in(entry.name) == 1 - modality:
                    raise DatasetError(
                        f'{owner}: "{file}", line {entry.line} names "{entry.name}", a {_WORDS[1 - modality]} image, '
                        f'but lists {_WORDS[modality]} ones. Correct the list.')
            lists.append((file, entries))
        return lists

    def _check_identities(self, lists: Sequence[EntryList]) -> None:
        """Where the paths tell the persons, a person must have one identity, and an identity one person."""
        pids: Dict[int, Entry] = {}  # the first entry of each person
        persons: Dict[int, Entry] = {}  # and of each identity
        for file, entries in lists:
            for entry in entries:
                person = self._person_in(entry.name)
                if person is None:
                    continue
                first, other = pids.setdefault(person, entry), persons.setdefault(entry.pid, entry)
                if first.pid != entry.pid:
                    found = f'"{first.name}" shows the same person, with the identity {first.pid}'
                elif self._person_in(other.name) != person:
                    found = f'"{other.name}" shows another person, with the same identity'
                else:
                    continue
                raise DatasetError(
                    f'{type(self).__name__}: "{file}", line {entry.line} gives "{entry.name}" the identity '
                    f'{entry.pid}, but {found}. Correct the lists.')

    def _check_apart(self, train: Sequence[EntryList], test: Sequence[EntryList]) -> None:
        told = all(self._person_in(entry.name) is not None for _, entries in (*train, *test) for entry in entries)

        def identity(entry: Entry) -> Optional[int]:
            return self._person_in(entry.name) if told else entry.pid

        trained = {identity(entry): (file, entry) for file, entries in train for entry in entries}
        for file, entries in test:
            for entry in entries:
                if identity(entry) in trained:
                    other, same = trained[identity(entry)]
                    raise DatasetError(
                        f'{type(self).__name__}: "{entry.name}" of "{file}", line {entry.line}, shows a person who is '
                        f'trained on: "{other}" names "{same.name}", line {same.line}, with the '
                        f'{"person" if told else "identity"} {identity(entry)} too. Correct the lists.')

    def _check_probes(self, gallery: EntryList, probes: EntryList) -> None:
        known = {entry.pid for entry in gallery[1]}
        for entry in probes[1]:
            if entry.pid not in known:
                raise DatasetError(
                    f'{type(self).__name__}: the probe "{entry.name}" of "{probes[0]}", line {entry.line}, has the '
                    f'identity {entry.pid}, of whom "{gallery[0]}" has no image. Complete the gallery, or take the '
                    f'probe out.')

    def _records(self, lists: Sequence[EntryList]) -> List[List[Record]]:
        owner = type(self).__name__
        seen: Dict[str, Tuple[str, int]] = {}
        records = []
        for modality, (file, entries) in zip((VISIBLE, INFRARED) * 2, lists):
            paths = locate(owner, self.root, file, entries, any_suffix=True)
            for path, entry in zip(paths, entries):
                if path in seen:
                    other, line = seen[path]
                    raise DatasetError(
                        f'{owner}: "{file}", line {entry.line} names "{path}", which "{other}", line {line} has named '
                        f'already. An image can stand in one line only: correct the lists.')
                seen[path] = (str(file), entry.line)
            self._modality.update(dict.fromkeys(paths, modality))
            records.append([(path, entry.pid, modality) for path, entry in zip(paths, entries)])
        return records
