"""Who is query, who is gallery, how many trials, and how ranks are counted: one small file a benchmark."""
from typing import List

from ..data import SYSUMM01, CrossModalityDataset
from .base import Setting, both_directions
from .sysu_mm01 import sysu_mm01_settings

__all__ = ['Setting', 'both_directions', 'settings_of', 'sysu_mm01_settings']


def settings_of(dataset: CrossModalityDataset) -> List[Setting]:
    """The evaluation settings of a data set; the first is the one that models are chosen by."""
    if isinstance(dataset, SYSUMM01) and not dataset.held_out:
        return sysu_mm01_settings(dataset)
    return both_directions(dataset)
