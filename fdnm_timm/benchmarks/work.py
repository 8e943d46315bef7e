"""What `fdnm benchmark --beside` gives all programs to do."""
from typing import NamedTuple

import torch

from .settings import Settings
from .step import NUM_CLASSES

__all__ = ['JOBS', 'Work', 'work_of']

JOBS = ('step', 'embed', 'trial')


class Work(NamedTuple):
    """The sizes of the jobs, the same for all programs of a comparison.

    Attributes:
        device: 'cpu' or 'cuda:N'.
        threads: Of torch.
        height: Of the images.
        width: Of the images.
        num_ids: Identities of a training batch.
        num_instances: Images of an identity and modality in it.
        num_classes: Training identities.
        images: Infrared images that `embed` embeds at once.
        queries: Of a trial of SYSU-MM01, for `trial`: from embeddings to CMC, mAP and mINP.
        gallery: Of it.
        quick: Whether tiny networks will do.
    """
    device: str
    threads: int
    height: int
    width: int
    num_ids: int
    num_instances: int
    num_classes: int
    images: int
    queries: int
    gallery: int
    quick: bool


def work_of(settings: Settings) -> Work:
    height, width = settings.image
    queries, gallery = settings.sysu
    return Work(
        str(settings.device), torch.get_num_threads(), height, width, settings.num_ids, settings.num_instances,
        NUM_CLASSES, settings.inference_batch, queries, gallery, settings.quick)
