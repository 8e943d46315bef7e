"""Training and evaluation inside torchreid's engine; the only place that imports torchreid."""
from .build import build_engine, build_model
from .checkpoint import BEST, LAST, CheckpointError, read_checkpoint
from .datamanager import CrossModalityDataManager
from .datasets import register_datasets
from .engine import FDNMEngine
from .evaluation import Outcomes, RankedLists
from .results import format_results, read_outcomes, write_outcomes

__all__ = [
    'BEST', 'LAST', 'CheckpointError', 'CrossModalityDataManager', 'FDNMEngine', 'Outcomes', 'RankedLists',
    'build_engine', 'build_model', 'format_results', 'read_checkpoint', 'read_outcomes', 'register_datasets',
    'write_outcomes',
]

register_datasets()
