"""Validation on training identities, so that nobody has to choose on the test set."""
import copy

from .base import INFRARED, VISIBLE, CrossModalityDataset

__all__ = ['hold_out']


def hold_out(dataset: CrossModalityDataset, every: int = 4) -> CrossModalityDataset:
    """Make a data set whose test identities are held out from the training identities.

    Args:
        dataset: The data set; it is not changed, and its test records are not looked at.
        every: Every so-maniest scene (for most sets, identity) is held out, >= 2.

    Returns:
        A copy that trains on the other identities, relabelled, with the held-out ones' infrared images as queries and
        their visible images as gallery.
    """
    if every < 2:
        raise ValueError(f'every is {every}, but at least 2 is needed to leave identities to train on.')
    names = dataset.train_names
    scenes = sorted({dataset.scene(pid) for pid in names})
    held = set(scenes[every - 1::every])
    if not held:
        raise ValueError(f'{type(dataset).__name__} has {len(scenes)} scenes, too few to hold out every {every}th.')
    records = [(path, names[label], camid) for path, label, camid in dataset.train]
    split = copy.copy(dataset)
    split.test = [record for record in records if dataset.scene(record[1]) in held]
    split._set_train([record for record in records if dataset.scene(record[1]) not in held])
    split.query = [record for record in split.test if dataset.modality(record[0]) == INFRARED]
    split.gallery = [record for record in split.test if dataset.modality(record[0]) == VISIBLE]
    split.held_out = True
    return split
