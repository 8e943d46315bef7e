"""The data sets under their names in torchreid's own registry, for its `ImageDataManager` and whatever builds on it."""
import copy
from typing import Any, Dict, Optional, Type

from ..data import DATASETS, CrossModalityDataset
from ._torchreid import ImageDataset, register_image_dataset

__all__ = ['register_datasets']


class TorchreidDataset(ImageDataset):
    """A data set of this package as torchreid's `ImageDataset`; items carry 'modality' too.

    Sources can be added up. torchreid shifts their camera numbers then, so the modality is asked of the data set that
    an image comes from.
    """
    source_cls: Type[CrossModalityDataset]

    def __init__(self, root: str = '', **kwargs: Any) -> None:
        self.sources: Dict[str, CrossModalityDataset] = {}
        source = self.source_cls(root)
        for path, _, _ in [*source.train, *source.query, *source.gallery]:
            self.sources[path] = source
        super().__init__(source.train, source.query, source.gallery, **kwargs)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        path, pid, camid, dsetid = self.data[index]
        source = self.sources[path]
        # not torchreid's read_image, which tries a corrupt file for ever
        image = source.load(path)
        if self.transform is not None:
            image = self._transform_image(self.transform, self.k_tfm, image)
        return {
            'img': image, 'pid': pid, 'camid': camid, 'impath': path, 'dsetid': dsetid,
            'modality': source.modality(path),
        }

    def __add__(self, other: Any) -> 'TorchreidDataset':
        if not isinstance(other, TorchreidDataset):
            raise TypeError(
                f'{type(self).__name__} cannot be combined with {type(other).__name__}, whose images have no modality.')
        total = copy.copy(self)
        plain = super().__add__(other)
        total.train, total.sources = plain.train, {**self.sources, **other.sources}
        total.num_train_pids, total.num_train_cams = plain.num_train_pids, plain.num_train_cams
        total.num_datasets = plain.num_datasets
        total.data = {'train': total.train, 'query': total.query, 'gallery': total.gallery}[total.mode]
        return total

    def show_summary(self) -> None:
        print(f'=> Loaded {self.source_cls.__name__}\n{self!r}')


_registered: Dict[str, Optional[type]] = {}


def register_datasets() -> None:
    """Register every data set that torchreid does not know yet."""
    for name, cls in DATASETS.items():
        if name not in _registered:
            adapter = type(cls.__name__, (TorchreidDataset,), {'source_cls': cls, '__doc__': cls.__doc__})
            register_image_dataset(name, adapter)
            _registered[name] = adapter
