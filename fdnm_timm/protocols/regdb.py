"""RegDB: both directions, on the split that the model was trained on."""
from typing import List

from ..data import RegDB
from .base import Setting, both_directions

__all__ = ['regdb_settings']


def regdb_settings(dataset: RegDB) -> List[Setting]:
    """Visible to infrared and back, all test images of the data set's own split; ranks are counted over images.

    The field's numbers are means over the ten splits, each with a model of its own: a model that has seen one split's
    training identities has seen test identities of the others.
    """
    settings = [
        setting._replace(variant={'trial': dataset.trial}, reported=setting.name)
        for setting in both_directions(dataset)
    ]
    return settings[::-1]  # the field names visible to infrared first
