"""Who is query, who is gallery, how many trials, and how ranks are counted: one small file a benchmark."""
from typing import List

from ..data import LLCM, SYSUMM01, CrossModalityDataset, FaceLists, RegDB
from .base import Setting, Trial, both_directions
from .faces import face_settings
from .llcm import llcm_settings
from .regdb import regdb_settings
from .sysu_mm01 import sysu_mm01_settings

__all__ = [
    'Setting', 'Trial', 'both_directions', 'face_settings', 'llcm_settings', 'regdb_settings', 'settings_of',
    'sysu_mm01_settings',
]


def settings_of(dataset: CrossModalityDataset) -> List[Setting]:
    """The evaluation settings of a data set; the first is the one that models are chosen by."""
    if dataset.held_out:
        return both_directions(dataset)
    if isinstance(dataset, SYSUMM01):
        return sysu_mm01_settings(dataset)
    if isinstance(dataset, RegDB):
        return regdb_settings(dataset)
    if isinstance(dataset, LLCM):
        return llcm_settings(dataset)
    if isinstance(dataset, FaceLists):
        return face_settings(dataset)
    return both_directions(dataset)
