"""What a protocol is made of."""
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple

from ..data import INFRARED, CrossModalityDataset, Record

__all__ = ['Setting', 'Trial', 'both_directions']


class Trial(NamedTuple):
    """One draw of queries and gallery."""
    query: List[Record]
    gallery: List[Record]


class Setting(NamedTuple):
    """One column group of a results table: the mean over its trials.

    The queries of all trials have the same identities in the same order, so that a query's outcomes can be averaged.
    """
    name: str
    trials: List[Trial]
    rule: Optional[str]  # gallery images that a query skips, see `metrics.rank`
    cmc: str  # 'identity' or 'image', see `metrics.rank`
    variant: Mapping[str, Any] = {}  # what else tells this protocol from its relatives; written into the result
    reported: Optional[str] = None  # the paper's name of it, see `reported`
    fars: Tuple[float, ...] = ()  # false accept rates at which pairs are verified, as with faces; see `verification`


def both_directions(dataset: CrossModalityDataset) -> List[Setting]:
    """Infrared to visible and back, all test images of the other modality as gallery; one trial, ranks over images."""
    infrared = [record for record in dataset.test if dataset.modality(record[0]) == INFRARED]
    visible = [record for record in dataset.test if dataset.modality(record[0]) != INFRARED]
    return [
        Setting('infrared_to_visible', [Trial(infrared, visible)], None, 'image'),
        Setting('visible_to_infrared', [Trial(visible, infrared)], None, 'image'),
    ]
