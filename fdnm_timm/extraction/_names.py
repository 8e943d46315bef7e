"""The modalities' names and their numbers in features."""
from typing import Dict

from ..layers import MODALITIES

__all__ = ['NUMBERS', 'UNKNOWN']

UNKNOWN = 'unknown'
NUMBERS: Dict[str, int] = {**{name: number for number, name in enumerate(MODALITIES)}, UNKNOWN: -1}
