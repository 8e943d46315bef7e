"""Training and evaluation inside torchreid's engine; the only place that imports torchreid."""
from .build import build_engine, build_model
from .checkpoint import BEST, LAST, CheckpointError, read_checkpoint
from .datamanager import CrossModalityDataManager
from .datasets import register_datasets
from .engine import FDNMEngine
from .evaluation import RankedLists
from .results import format_results
from .samples import collect_all_samples, collect_samples

__all__ = [
    'BEST', 'LAST', 'CheckpointError', 'CrossModalityDataManager', 'FDNMEngine', 'RankedLists', 'build_engine',
    'build_model', 'collect_all_samples', 'collect_samples', 'format_results', 'read_checkpoint', 'register_datasets',
]

register_datasets()
