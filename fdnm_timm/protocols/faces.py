"""Faces: near-infrared probes, a visible gallery, one trial; identification and verification."""
from typing import List

from ..data import CrossModalityDataset
from .base import Setting, Trial

__all__ = ['FARS', 'face_settings']

FARS = (0.01, 0.001, 0.0001)  # false accept rates of the field's tables


def face_settings(dataset: CrossModalityDataset) -> List[Setting]:
    """Every probe against the whole gallery; ranks are counted over images.

    Of CASIA NIR-VIS 2.0, it is the data set's own fold. The field's numbers are means over the ten folds, each with a
    model of its own.
    """
    variant = {dataset.splits[0]: getattr(dataset, dataset.splits[0])} if dataset.splits else {}
    trials = [Trial(dataset.query, dataset.gallery)]
    return [Setting('nir_to_vis', trials, None, 'image', variant, reported='nir_to_vis', fars=FARS)]
