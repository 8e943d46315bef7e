"""Model definitions. Importing this package registers them with timm."""
from . import fdnm_lightcnn, fdnm_resnet, lightcnn
from ._fdnm import FDNM, FDNMOutput
from .fdnm_lightcnn import *  # noqa: F403 - the entrypoints, as timm's own models package exports them
from .fdnm_resnet import *  # noqa: F403
from .lightcnn import *  # noqa: F403

__all__ = ['FDNM', 'FDNMOutput', *fdnm_lightcnn.__all__, *fdnm_resnet.__all__, *lightcnn.__all__]
