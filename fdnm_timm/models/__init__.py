"""Model definitions. Importing this package registers them with timm."""
from . import fdnm_resnet
from ._fdnm import FDNM, FDNMOutput
from .fdnm_resnet import *  # noqa: F403 - the entrypoints, as timm's own models package exports them

__all__ = ['FDNM', 'FDNMOutput', *fdnm_resnet.__all__]
