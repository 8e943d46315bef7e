"""RoadScene: an open benchmark made of aligned visible and thermal street pictures.

Paper: U2Fusion: A Unified Unsupervised Image Fusion Network (which published the pictures) - https://github.com/hanna-xu/RoadScene

The pictures were made for image fusion. Here an identity is a place in a picture: a pair gives up to three 2:1
windows, and each window four jittered views in each modality. Anyone may download the pictures; no licence is stated,
so none is redistributed.
"""
import os
import zlib
from functools import lru_cache
from pathlib import Path
from typing import List, Tuple, Union
from urllib.parse import parse_qs

import numpy as np
from PIL import Image

from .base import IMAGE_SUFFIXES, INFRARED, VISIBLE, CrossModalityDataset, DatasetError, Record, read_image

__all__ = ['RoadScene']

NUM_VIEWS = 4
WINDOW_HEIGHT = 0.75  # of the picture's
JITTER = 0.12  # of the window's size, in place and in scale
_FOLDERS = {VISIBLE: 'crop_LR_visible', INFRARED: 'cropinfrared'}


def _windows(width: int, height: int) -> List[Tuple[float, float, float, float]]:
    """Up to three windows (x, y, w, h) that do not overlap: left, centre and right, in this order."""
    h = WINDOW_HEIGHT * height
    w = h / 2
    y = (height - h) / 2
    places = {3: (0., (width - w) / 2, width - w), 2: (0., width - w), 1: ((width - w) / 2,)}
    return [(x, y, w, h) for x in places[max(1, min(3, int(width // w)))]]


def _size(path: Path) -> Tuple[int, int]:
    try:
        with Image.open(path) as image:  # reads the header only
            return image.size
    except OSError as error:
        raise DatasetError(f'RoadScene: cannot read the picture "{path}": {error}. Repair or remove it.') from error


@lru_cache(maxsize=512)  # the whole set decoded is some 100 MB, and each picture serves 12 records
def _decode(path: str, changed: Tuple[int, int]) -> Image.Image:
    return read_image(path)


def _read(path: str) -> Image.Image:
    """The decoded picture, from memory unless the file has changed."""
    try:
        status = os.stat(path)
    except OSError:
        return read_image(path)  # which says what is wrong
    return _decode(path, (status.st_mtime_ns, status.st_size))


class RoadScene(CrossModalityDataset):
    """Windows of aligned visible and thermal pictures; camid 1 is the visible and 2 the infrared camera.

    Test identities come from every third pair by sorted name. A record's path is the picture's with '#window=W&view=V'
    behind it: `load` cuts the view out, the same one every time. `query` holds the infrared and `gallery` the visible
    views.
    """
    name = 'roadscene'
    folders = ('roadscene', 'RoadScene')
    marker = 'crop_LR_visible'

    def __init__(self, root: Union[str, os.PathLike]) -> None:
        super().__init__(root)
        pairs = self._pairs()
        train: List[Record] = []
        for number, (visible, infrared) in enumerate(pairs):
            size = _size(visible)
            if _size(infrared) != size:
                raise DatasetError(
                    f'RoadScene: "{visible}" has {size[0]}x{size[1]} pixels, but its partner "{infrared}" has not: '
                    f'aligned pictures are of one size.')
            for window in range(len(_windows(*size))):
                pid = number * 3 + window
                records = [
                    (f'{path}#window={window}&view={view}', pid, camid)
                    for camid, path in ((1, visible), (2, infrared)) for view in range(NUM_VIEWS)
                ]
                (self.test if number % 3 == 2 else train).extend(records)
        self._set_train(train)
        self.query = [record for record in self.test if record[2] == 2]
        self.gallery = [record for record in self.test if record[2] == 1]
        if not self.test:
            raise DatasetError(f'RoadScene: "{self.root}" holds {len(pairs)} pairs, but at least 3 are needed.')

    def _pairs(self) -> List[Tuple[Path, Path]]:
        names = []
        for folder in _FOLDERS.values():
            path = self.root / folder
            files = {p.stem: p for p in sorted(path.glob('*')) if p.suffix.lower() in IMAGE_SUFFIXES}
            if not files:
                raise DatasetError(f'RoadScene: "{path}" is missing or holds no picture.')
            names.append(files)
        visible, infrared = names
        alone = sorted(set(visible) ^ set(infrared))
        if alone:
            raise DatasetError(
                f'RoadScene: {len(alone)} pictures of "{self.root}" have no partner of the same name in the other '
                f'folder: {", ".join(alone[:5])}.')
        return [(visible[stem], infrared[stem]) for stem in sorted(visible)]

    def modality(self, path: str) -> int:
        return INFRARED if Path(path.rpartition('#')[0]).parent.name == _FOLDERS[INFRARED] else VISIBLE

    def scene(self, pid: int) -> int:
        return pid // 3

    def load(self, path: str) -> Image.Image:
        file, _, fragment = path.rpartition('#')
        image = _read(file)
        query = parse_qs(fragment)
        window, view = int(query['window'][0]), int(query['view'][0])
        x, y, w, h = _windows(*image.size)[window]
        key = f'{Path(file).stem}|{window}|{self.modality(path)}|{view}'
        dx, dy, ds = np.random.default_rng(zlib.crc32(key.encode())).uniform(-JITTER, JITTER, size=3)
        x, y, scale = x + w / 2 + dx * w, y + h / 2 + dy * h, 1 + ds
        w, h = min(w * scale, image.width), min(h * scale, image.height)
        left = min(max(x - w / 2, 0), image.width - w)
        top = min(max(y - h / 2, 0), image.height - h)
        return image.crop((round(left), round(top), round(left + w), round(top + h)))
