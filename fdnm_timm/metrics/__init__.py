"""Pure functions on arrays: no models, no files, no printing."""
from ._embeddings import cosine_distances
from .bootstrap import Interval, bootstrap, bootstrap_difference
from .distances import PairDistances, pair_distances
from .ranking import QueryRanks, RankResult, rank, rank_queries, retrieve
from .verification import ROC, VerificationResult, verification

__all__ = [
    'ROC', 'Interval', 'PairDistances', 'QueryRanks', 'RankResult', 'VerificationResult', 'bootstrap',
    'bootstrap_difference', 'cosine_distances', 'pair_distances', 'rank', 'rank_queries', 'retrieve', 'verification',
]
