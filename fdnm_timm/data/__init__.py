"""Data sets as lists of (path, pid, camid) with each image's modality, identity batches, and transforms."""
import difflib
from typing import Any, Dict, Type

from ._faces import FaceLists
from .base import INFRARED, VISIBLE, CountWarning, CrossModalityDataset, DatasetError, Record, read_image
from .buaa_visnir import BUAAVisNir
from .casia_nirvis2 import CASIANIRVIS2
from .check import CheckReport, check_dataset
from .holdout import hold_out
from .images import ImageItems
from .llcm import LLCM
from .oulu_casia import OuluCASIA
from .regdb import RegDB
from .roadscene import RoadScene
from .sampler import CrossModalityIdentitySampler
from .synthetic_faces import SyntheticFaces
from .synthetic_vi import SyntheticVI
from .sysu_mm01 import SYSUMM01
from .transforms import build_test_transform, build_train_transform

__all__ = [
    'CASIANIRVIS2', 'DATASETS', 'INFRARED', 'LLCM', 'SYSUMM01', 'VISIBLE', 'BUAAVisNir', 'CheckReport',
    'CountWarning', 'CrossModalityDataset', 'CrossModalityIdentitySampler', 'DatasetError', 'FaceLists',
    'ImageItems', 'OuluCASIA', 'Record', 'RegDB', 'RoadScene', 'SyntheticFaces', 'SyntheticVI',
    'build_test_transform', 'build_train_transform', 'check_dataset', 'create_dataset', 'hold_out', 'read_image',
    'register_dataset',
]

DATASETS: Dict[str, Type[CrossModalityDataset]] = {}


def register_dataset(cls: Type[CrossModalityDataset]) -> Type[CrossModalityDataset]:
    """Make a data set known by its `name`; usable as a decorator. Raises ValueError where the name is taken."""
    if not cls.name or DATASETS.get(cls.name, cls) is not cls:
        raise ValueError(f'The data set name {cls.name!r} of {cls.__name__} is empty or taken.')
    DATASETS[cls.name] = cls
    return cls


for _cls in (
        SYSUMM01, RegDB, LLCM, OuluCASIA, BUAAVisNir, CASIANIRVIS2, RoadScene, SyntheticVI, SyntheticFaces):
    register_dataset(_cls)


def create_dataset(name: str, root: Any, **kwargs: Any) -> CrossModalityDataset:
    """Read a data set by its name. Raises ValueError for an unknown name, with the nearest known one."""
    if name not in DATASETS:
        near = difflib.get_close_matches(name.lower().replace('-', '_'), DATASETS, n=1)
        raise ValueError(
            f'There is no data set {name!r}{f": did you mean {near[0]!r}?" if near else "."} '
            f'Known are {", ".join(sorted(DATASETS))}.')
    return DATASETS[name](root, **kwargs)
