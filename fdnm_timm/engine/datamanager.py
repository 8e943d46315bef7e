"""Loaders for cross-modality training and evaluation, as a torchreid data manager."""
import contextlib
import io
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from ..data import (
    CrossModalityDataset,
    CrossModalityIdentitySampler,
    ImageItems,
    Record,
    build_test_transform,
    build_train_transform,
    create_dataset,
    hold_out,
)
from ..data.cache import ImageCache, open_cache
from ..protocols import Setting, settings_of
from ._torchreid import DataManager

__all__ = ['CrossModalityDataManager']


class _Combined(torch.utils.data.ConcatDataset):
    """Several sources' items behind each other, each with its modality and with the camera number of its benchmark."""

    def __getitem__(self, key: Any) -> Dict[str, Any]:
        place, seed = key if isinstance(key, tuple) else (key, None)
        for part in self.datasets:
            assert isinstance(part, ImageItems)
            if place < len(part):
                return part[(place, seed) if seed is not None else place]
            place -= len(part)
        raise IndexError(key)


class CrossModalityDataManager(DataManager):
    """Data manager whose training batches hold P identities x (K visible + K infrared) images.

    As with torchreid's own, `train_loader` and `test_loader[name]['query' | 'gallery']` are loaders of items {'img',
    'pid', 'camid', 'impath', ' ''dsetid'}; here they carry 'modality' too. `settings[name]` lists the evaluation
    settings of a target, and `loader_of` makes a loader of any of its records.
    """
    data_type = 'image'

    def __init__(
            self,
            root: str = '',
            sources: Union[str, CrossModalityDataset, Sequence[Union[str, CrossModalityDataset]], None] = None,
            targets: Union[str, CrossModalityDataset, Sequence[Union[str, CrossModalityDataset]], None] = None,
            height: int = 384,
            width: int = 192,
            num_ids: int = 6,
            num_instances: int = 4,
            batch_size_test: int = 64,
            workers: int = 4,
            pad: int = 10,
            flip: float = 0.5,
            grayscale: float = 0.5,
            erasing: float = 0.5,
            margin: int = 0,
            channels: int = 3,
            mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
            std: Sequence[float] = IMAGENET_DEFAULT_STD,
            seed: int = 0,
            held_out: int = 0,
            options: Optional[Dict[str, Any]] = None,
            use_gpu: bool = True,
            rank: int = 0,
            num_replicas: int = 1,
            cache: Optional[str] = None,
            progress: bool = False,
    ) -> None:
        """
        Args:
            root: Folder of the data sets or their parent.
            sources: Data sets to train on, by name or ready-made.
            targets: Data sets to evaluate on; the sources where not given.
            height: Image height in pixels.
            width: Image width in pixels.
            num_ids: Identities P of a batch.
            num_instances: Images K of an identity and modality in a batch.
            batch_size_test: Images of an evaluation batch.
            workers: Loader processes, 0 for none.
            pad: Black margin in pixels of the random crop.
            flip: Probability of a flip.
            grayscale: Probability that a training image loses its colours.
            erasing: Probability that a rectangle is erased.
            margin: As for `build_train_transform`, as are the following three.
            channels: 3 or 1, of the model's images.
            mean: Subtracted from the channels.
            std: Divides the channels.
            seed: Of the batches and the augmentation.
            held_out: Evaluate on every so-maniest training scene, held out; 0 evaluates on the test set.
            options: Further arguments of the data sets' classes.
            use_gpu: Pin memory for a GPU, where there is one.
            rank: Number of this process among those that share each training batch, from 0.
            num_replicas: Number of these processes.
            cache: Folder for packed caches of the resized images, see `data.cache.open_cache`; None for none.
            progress: Show a progress bar while a cache is built.

        Raises:
            DatasetError: A data set is missing or malformed.
            ValueError: An unknown data set.
            OSError: A cache cannot be written.
        """
        # torchreid announces transforms of its own, which are replaced below
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(
                sources=self._names(sources), targets=self._names(targets), height=height, width=width, use_gpu=use_gpu)
        self.workers = workers
        self.seed = seed
        self.batch_size_test = batch_size_test
        form: Dict[str, Any] = dict(height=height, width=width, margin=margin, channels=channels, mean=mean, std=std)
        self.transform_tr = build_train_transform(pad=pad, flip=flip, grayscale=grayscale, erasing=erasing, **form)
        self.transform_te = build_test_transform(**form)

        ready = {d.name: d for d in [*self._list(sources), *self._list(targets)] if isinstance(d, CrossModalityDataset)}
        self.datasets: Dict[str, CrossModalityDataset] = {}
        for name in dict.fromkeys([*self.sources, *self.targets]):
            dataset = ready[name] if name in ready else create_dataset(name, root, **(options or {}))
            self.datasets[name] = hold_out(dataset, held_out) if held_out else dataset
        self.caches: Dict[str, ImageCache] = {}
        if cache is not None:
            for name, dataset in self.datasets.items():
                self.caches[name] = open_cache(cache, dataset, self.transform_te, max(1, workers), progress)

        self.train_loader = self._train_loader(
            num_ids=num_ids, num_instances=num_instances, seed=seed, rank=rank, num_replicas=num_replicas)
        self.settings: Dict[str, List[Setting]] = {name: settings_of(self.datasets[name]) for name in self.targets}
        self.test_loader, self.test_dataset = {}, {}
        for name in self.targets:
            parts = {'query': self.datasets[name].query, 'gallery': self.datasets[name].gallery}
            self.test_dataset[name] = parts
            self.test_loader[name] = {part: self.loader_of(name, records) for part, records in parts.items()}

    @staticmethod
    def _list(given: Any) -> List[Any]:
        return [] if given is None else [given] if isinstance(given, (str, CrossModalityDataset)) else list(given)

    @classmethod
    def _names(cls, given: Any) -> Optional[List[str]]:
        return [d if isinstance(d, str) else d.name for d in cls._list(given)] or None

    def _train_loader(self, **sampling: int) -> torch.utils.data.DataLoader:
        records: List[Record] = []
        modalities: List[int] = []
        names: List[int] = []
        items = []
        for dsetid, name in enumerate(self.sources):
            dataset = self.datasets[name]
            own = [(path, pid + len(names), camid) for path, pid, camid in dataset.train]
            items.append(ImageItems(own, dataset, self.transform_tr, dsetid, self.caches.get(name)))
            records += own
            modalities += [dataset.modality(path) for path, _, _ in own]
            names += dataset.train_names
        self._num_train_pids = len(names)
        self._num_train_cams = len({camid for _, _, camid in records})
        self.train_names = names
        self.sampler = CrossModalityIdentitySampler(records, modalities, names=names, **sampling)
        return torch.utils.data.DataLoader(
            _Combined(items), batch_size=self.sampler.batch_size, sampler=self.sampler, num_workers=self.workers,
            persistent_workers=self.workers > 0, pin_memory=self.use_gpu, drop_last=True)

    def loader_of(self, name: str, records: Sequence[Record]) -> torch.utils.data.DataLoader:
        """A loader of a target's records, in their order, with the test transform."""
        return torch.utils.data.DataLoader(
            ImageItems(list(records), self.datasets[name], self.transform_te, cache=self.caches.get(name)),
            batch_size=self.batch_size_test, num_workers=self.workers, pin_memory=self.use_gpu)

    def fetch_test_loaders(self, name: str) -> Tuple[List[Record], List[Record]]:
        return self.test_dataset[name]['query'], self.test_dataset[name]['gallery']
