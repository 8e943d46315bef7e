"""Records as items that a loader can batch."""
from typing import Any, Callable, Dict, Optional, Sequence, Union

import torch

from .base import CrossModalityDataset, Record
from .cache import ImageCache
from .sampler import SampleKey

__all__ = ['ImageItems']


class ImageItems(torch.utils.data.Dataset):
    """Items {'img', 'pid', 'camid', 'impath', 'dsetid', 'modality'}: torchreid's, and the modality.

    An index is a place in the records, or a `SampleKey` that brings the seed of its augmentation along.
    """

    def __init__(
            self,
            records: Sequence[Record],
            dataset: CrossModalityDataset,
            transform: Optional[Callable[[Any], Any]] = None,
            dsetid: int = 0,
            cache: Optional[ImageCache] = None,
    ) -> None:
        """
        Args:
            records: What the items are made of.
            dataset: Tells how to load a path and which modality it has.
            transform: Applied to the PIL image.
            dsetid: Number of the data set where several are combined.
            cache: Holds the resized images, so that the transform's first steps are left out; the items are the same.

        Raises:
            ValueError: The transform does not begin as the cached images did.
        """
        self.records = records
        self.dataset = dataset
        self.transform = transform if cache is None else cache.rest_of(transform)
        self.dsetid = dsetid
        self.cache = cache

    def __len__(self) -> int:
        return len(self.records)

    def _transformed(self, path: str, seed: Optional[int]) -> Any:
        image = self.dataset.load(path) if self.cache is None else self.cache.load(path)
        if self.transform is None:
            return image
        if seed is None:
            return self.transform(image)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self.transform(image)

    def __getitem__(self, key: Union[int, SampleKey]) -> Dict[str, Any]:
        place, seed = key if isinstance(key, tuple) else (key, None)
        path, pid, camid = self.records[place]
        return {
            'img': self._transformed(path, seed),
            'pid': pid,
            'camid': camid,
            'impath': path,
            'dsetid': self.dsetid,
            'modality': self.dataset.modality(path),
        }
