"""Building blocks: usable alone, in any network."""
from .frequency import AmplitudeGuidedPhase, AmplitudeNuancesMining
from .head import PartHead
from .stem import MODALITIES, TwoStream

__all__ = ['MODALITIES', 'AmplitudeGuidedPhase', 'AmplitudeNuancesMining', 'PartHead', 'TwoStream']
