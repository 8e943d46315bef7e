"""LLCM: both directions, ten trials of one gallery image an identity and camera."""
from typing import List

from ..data import INFRARED, LLCM, VISIBLE
from .base import Setting, Trial

__all__ = ['llcm_settings']


def llcm_settings(dataset: LLCM, num_trials: int = 10) -> List[Setting]:
    """Infrared to visible, visible to infrared, and what the public script computes under the latter's name.

    Gallery images of the query's identity and camera number are skipped, and ranks are counted over identities. In its
    branch for visible to infrared, the script of LLCM's authors ranks *all visible* images for the *drawn infrared*
    ones: queries and gallery are exchanged. FDNM's authors are LLCM's, so the paper's number stands beside that
    setting; the honest direction has none.
    """
    infrared = [record for record in dataset.test if dataset.modality(record[0]) == INFRARED]
    visible = [record for record in dataset.test if dataset.modality(record[0]) == VISIBLE]
    drawn = {
        modality: [dataset.draw_gallery(modality, trial) for trial in range(num_trials)]
        for modality in (VISIBLE, INFRARED)
    }
    rules = ('same_camera', 'identity', {'gallery_draw': 'agw', 'shots': 1})
    return [
        Setting('infrared_to_visible', [Trial(infrared, gallery) for gallery in drawn[VISIBLE]], *rules,
                reported='infrared_to_visible'),
        Setting('visible_to_infrared', [Trial(visible, gallery) for gallery in drawn[INFRARED]], *rules),
        Setting('visible_to_infrared_as_published', [Trial(query, visible) for query in drawn[INFRARED]], *rules,
                reported='visible_to_infrared'),
    ]
