"""SYSU-MM01: infrared queries, all-search and indoor-search, single-shot, ten trials."""
from typing import List

from ..data import SYSUMM01
from .base import Setting

__all__ = ['sysu_mm01_settings']


def sysu_mm01_settings(dataset: SYSUMM01, num_trials: int = 10) -> List[Setting]:
    """The settings of the field's tables.

    Queries of camera 3 skip camera 2, and ranks are counted over identities. The galleries are drawn as the AGW
    family's code draws them.
    """
    return [
        Setting(
            f'{mode}_search_single_shot', dataset.query,
            [dataset.draw_gallery(mode, 1, trial) for trial in range(num_trials)], 'sysu_mm01', 'identity')
        for mode in ('all', 'indoor')
    ]
