"""SYSU-MM01: infrared queries, all-search and indoor-search, single- and multi-shot, ten trials."""
from typing import List

from ..data import SYSUMM01
from .base import Setting, Trial

__all__ = ['sysu_mm01_settings']

SHOTS = {'single': 1, 'multi': 10}


def sysu_mm01_settings(dataset: SYSUMM01, num_trials: int = 10) -> List[Setting]:
    """The settings of the field's tables: all- and indoor-search, with 1 and with 10 images of an identity and camera.

    Queries of camera 3 skip camera 2, and ranks are counted over identities. The galleries are drawn as
    `dataset.gallery_draw` says.
    """
    return [
        Setting(
            f'{mode}_search_{word}_shot',
            [Trial(dataset.query, dataset.draw_gallery(mode, shots, trial)) for trial in range(num_trials)],
            'sysu_mm01', 'identity', {'gallery_draw': dataset.gallery_draw, 'shots': shots},
            reported=mode if shots == 1 else None)
        for word, shots in SHOTS.items() for mode in ('all', 'indoor')
    ]
