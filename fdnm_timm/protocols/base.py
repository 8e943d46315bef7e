"""What a protocol is made of."""
from typing import List, NamedTuple, Optional

from ..data import INFRARED, CrossModalityDataset, Record

__all__ = ['Setting', 'both_directions']


class Setting(NamedTuple):
    """One column group of a results table: the mean over its trials."""
    name: str
    query: List[Record]
    galleries: List[List[Record]]  # one a trial
    rule: Optional[str]  # gallery images that a query skips, see `metrics.rank`
    cmc: str  # 'identity' or 'image', see `metrics.rank`


def both_directions(dataset: CrossModalityDataset) -> List[Setting]:
    """Infrared to visible and back, all test images of the other modality as gallery; one trial, ranks over images."""
    infrared = [record for record in dataset.test if dataset.modality(record[0]) == INFRARED]
    visible = [record for record in dataset.test if dataset.modality(record[0]) != INFRARED]
    return [
        Setting('infrared_to_visible', infrared, [visible], None, 'image'),
        Setting('visible_to_infrared', visible, [infrared], None, 'image'),
    ]
