"""Pure functions on arrays: no models, no files, no printing."""
from .ranking import RankResult, rank, retrieve

__all__ = ['RankResult', 'rank', 'retrieve']
