"""Losses on features and labels; they know nothing of models or engines."""
from .center_guided import CenterGuidedNuancesMiningLoss
from .fdnm import FDNMLoss
from .triplet import HardTripletLoss

__all__ = ['CenterGuidedNuancesMiningLoss', 'FDNMLoss', 'HardTripletLoss']
