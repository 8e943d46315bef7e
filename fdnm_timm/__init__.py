"""FDNM for visible-infrared re-identification. `import fdnm_timm` registers its models with timm."""
from . import models as models
from .version import __version__ as __version__
