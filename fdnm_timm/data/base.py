"""What every cross-modality data set has: lists of records, each image's modality, and a way to load it."""
import os
import warnings
from pathlib import Path
from typing import ClassVar, Dict, List, Optional, Sequence, Tuple, Union

from PIL import Image

__all__ = [
    'IMAGE_SUFFIXES', 'INFRARED', 'VISIBLE', 'CountWarning', 'CrossModalityDataset', 'DatasetError', 'Record',
    'read_image',
]

VISIBLE, INFRARED = 0, 1
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')
Record = Tuple[str, int, int]  # (path, pid, camid), as in torchreid


class DatasetError(RuntimeError):
    """A data set on disk is missing or malformed; the message names the file and the reason."""


class CountWarning(UserWarning):
    """A data set on disk is not as large as the published one."""


def read_image(path: str) -> Image.Image:
    """Open an image file as RGB.

    Raises:
        DatasetError: The file is missing or cannot be decoded, with its name.
    """
    try:
        with Image.open(path) as image:
            return image.convert('RGB')
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f'Cannot read the image "{path}": {error}. Repair or remove it.') from error


class CrossModalityDataset:
    """Base of the data sets.

    Attributes:
        train: Training records; pids are 0..num_train_pids-1, as classifiers and torchreid need them.
        query: Query records of the default setting, with the benchmark's own pids.
        gallery: Gallery records of the default setting.
        test: All test records, of both modalities, which the protocols choose from.
        train_names: The benchmark's pid of each training label.

    A record's camid is the number that the benchmark gives the camera. It does not always tell the modality: that is
    `modality(path)`.
    """
    name: ClassVar[str] = ''
    folders: ClassVar[Sequence[str]] = ()  # names of the data set's folder inside `root`
    marker: ClassVar[str] = ''  # what lies in the data set's folder
    published: ClassVar[Dict[str, int]] = {}  # what `counts` gives for the whole data set
    # of a data set that is split several times, with a model for each: the constructor's argument, and its values
    splits: ClassVar[Optional[Tuple[str, Sequence[int]]]] = None

    train: List[Record]
    query: List[Record]
    gallery: List[Record]
    test: List[Record]
    train_names: List[int]
    held_out = False  # the test identities are a split of the training ones, see `hold_out`

    def __init__(self, root: Union[str, os.PathLike]) -> None:
        """
        Args:
            root: The data set's folder or its parent.

        Raises:
            DatasetError: There is no such folder, or what lies in it is malformed.
        """
        self.root = self._find_root(Path(root))
        self.test = []

    @classmethod
    def _find_root(cls, root: Path) -> Path:
        candidates = [root, *[root / folder for folder in cls.folders]]
        for candidate in candidates:
            if (candidate / cls.marker).exists() and candidate.is_dir():
                return candidate
        state = 'exists, but' if root.is_dir() else 'does not exist:'
        raise DatasetError(
            f'{cls.__name__}: "{root}" {state} no "{cls.marker}" was found in it or in its subfolders '
            f'{", ".join(cls.folders)}. Give the data set\'s folder or its parent as root.')

    def modality(self, path: str) -> int:
        """VISIBLE or INFRARED, of a record's path."""
        raise NotImplementedError

    def load(self, path: str) -> Image.Image:
        """The RGB image that a record's path stands for."""
        return read_image(path)

    def scene(self, pid: int) -> int:
        """Identities of the same scene are held out together; by default each is its own."""
        return pid

    def counts(self) -> Dict[str, int]:
        """How many identities and images there are; `published` has some of the same keys."""
        counts = {}
        for part, records in (('train', self.train), ('test', self.test)):
            infrared = sum(self.modality(path) == INFRARED for path, _, _ in records)
            counts[f'{part} ids'] = len({pid for _, pid, _ in records})
            counts[f'{part} images'] = len(records)
            counts[f'{part} visible'] = len(records) - infrared
            counts[f'{part} infrared'] = infrared
        return counts

    def _warn_of_train_ids(self) -> None:
        """For the end of a constructor: models trained on a part of a benchmark are not to be compared by accident."""
        expected, found = self.published.get('train ids'), len(self.train_names)
        if expected is not None and found != expected:
            warnings.warn(
                f'{type(self).__name__}: "{self.root}" has {found} training identities, but {expected} are published: '
                f'it is no complete copy. `fdnm data check` compares all counts.', CountWarning, stacklevel=3)

    def _set_train(self, records: Sequence[Record]) -> None:
        """Relabel, and insist that every training identity was seen in both modalities."""
        names = sorted({pid for _, pid, _ in records})
        label = {pid: i for i, pid in enumerate(names)}
        self.train_names = names
        self.train = [(path, label[pid], camid) for path, pid, camid in records]
        seen: List[set] = [set(), set()]
        for path, pid, _ in records:
            seen[self.modality(path)].add(pid)
        for modality, word in ((VISIBLE, 'visible'), (INFRARED, 'infrared')):
            missing = sorted(set(names) - seen[modality])
            if missing:
                raise DatasetError(
                    f'{type(self).__name__}: training identities {missing[:10]} of "{self.root}" have no {word} image. '
                    f'Both modalities are needed: complete or remove them.')
        if not names:
            raise DatasetError(f'{type(self).__name__}: "{self.root}" holds no training image.')
