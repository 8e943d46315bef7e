"""Images per second that the training loader gives, and the memory that it takes."""
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import torch

from ..data import (
    INFRARED,
    VISIBLE,
    CrossModalityDataset,
    CrossModalityIdentitySampler,
    ImageItems,
    SyntheticVI,
    build_train_transform,
)
from ..data.cache import ImageCache, open_cache
from .child import peak_memory, resident_memory, resident_memory_is_known
from .rows import Row, row
from .settings import Settings
from .timing import ratios, seconds

__all__ = ['DrawnSet', 'loading_rows', 'train_loader']

_NUM_IDS = 6
_MODALITY = {'visible': VISIBLE, 'infrared': INFRARED}


class DrawnSet(CrossModalityDataset):
    """So many files of drawn people: some are drawn, and lie there under many names, as a larger set's would."""
    name = 'benchmark'
    marker = 'visible'

    def __init__(self, root: Path, number: int) -> None:
        """
        Args:
            root: Folder that `draw` left.
            number: Images, at most as many as were drawn.
        """
        super().__init__(root)
        files = sorted(self.root.glob('*/*.jpg'), key=lambda file: file.name)[:number]
        # the number behind the identity's makes neighbours in this order of both modalities and of all identities
        self._set_train([(str(file), int(file.stem.partition('_')[2]), 0) for file in files])
        self.query, self.gallery = [], []

    def modality(self, path: str) -> int:
        return _MODALITY[Path(path).parent.name]

    @classmethod
    def draw(cls, root: Path, number: int) -> None:
        """Draw a few people and copy their pictures until there are `number` files."""
        with tempfile.TemporaryDirectory() as folder:
            people = SyntheticVI(
                Path(folder) / 'people', num_train=_NUM_IDS, num_val=1, num_test=1, images_per_camera=1)
            pools: Dict[str, List[Path]] = {word: [] for word in _MODALITY}
            for path, _, _ in people.train:
                pools['infrared' if people.modality(path) == INFRARED else 'visible'].append(Path(path))
            for word in _MODALITY:
                (root / word).mkdir(parents=True)
            for place in range(number):
                word = ('visible', 'infrared')[place % 2]
                source = pools[word][place // 2 % len(pools[word])]
                shutil.copyfile(source, root / word / f'{place:06d}_{place // 2 % _NUM_IDS}.jpg')


def train_loader(
        dataset: CrossModalityDataset,
        settings: Settings,
        cache: Optional[ImageCache] = None,
) -> torch.utils.data.DataLoader:
    """Batches of 6 identities x (4 + 4) images with every augmentation, as in training."""
    modalities = [dataset.modality(path) for path, _, _ in dataset.train]
    sampler = CrossModalityIdentitySampler(dataset.train, modalities, num_ids=_NUM_IDS, num_instances=4)
    items = ImageItems(dataset.train, dataset, build_train_transform(*settings.image), cache=cache)
    return torch.utils.data.DataLoader(
        items, sampler=sampler, batch_size=sampler.batch_size, num_workers=settings.workers,
        persistent_workers=settings.workers > 0)


def _pass(loader: Any) -> int:
    """Number of images of an epoch."""
    return sum(len(batch['img']) for batch in loader)


def _growth(root: Path, number: int, settings: Settings) -> int:
    """Bytes that a process grows by while it reads `number` images once, at the most."""
    dataset = DrawnSet(root, number)
    before = resident_memory()
    for item in ImageItems(dataset.train, dataset, build_train_transform(*settings.image)):  # type: ignore[attr-defined]
        assert item['img'].shape[1:] == settings.image
    return peak_memory() - before


def _memory(root: Path, settings: Settings) -> Iterator[Row]:
    height, width = settings.image
    held = 3 * height * width * settings.loaded
    small, large = (settings.apart(_growth, root, times * settings.loaded, settings) for times in (1, 2))
    yield row('loading', f'peak growth while {2 * settings.loaded:,} images are read', 'MB', [large / 1e6])
    yield row(
        'loading', f'growth from {settings.loaded:,} to {2 * settings.loaded:,} images over their pixels', 'x',
        [max(0, large - small) / held], bar=0.05)


def loading_rows(settings: Settings) -> Iterator[Row]:
    """Throughput with and without the packed cache, and whether memory grows with the data set: a loader that holds
    its images grows by their pixels."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / 'drawn'
        DrawnSet.draw(root, 2 * settings.loaded)
        dataset = DrawnSet(root, settings.loaded)
        cache = open_cache(Path(folder) / 'cache', dataset, build_train_transform(*settings.image), os.cpu_count() or 1)
        loaders = {'files': train_loader(dataset, settings), 'packed cache': train_loader(dataset, settings, cache)}
        images = len(loaders['files'].sampler)  # type: ignore[arg-type]
        taken = seconds(
            {name: lambda loader=loader: _pass(loader) for name, loader in loaders.items()},  # type: ignore[misc]
            settings.repeats, torch.device('cpu'))
        size = f'{settings.image[0]}x{settings.image[1]}, {settings.workers} workers'
        for name, values in taken.items():
            yield row('loading', f'from {name}, {size}', 'images/s', [images / value for value in values])
        yield row('loading', 'packed cache over files, time', 'x', ratios(taken['packed cache'], taken['files']))
        del loaders
        if resident_memory_is_known():
            yield from _memory(root, settings)
