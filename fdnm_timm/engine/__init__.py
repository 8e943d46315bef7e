"""Training and evaluation inside torchreid's engine; the only place that imports torchreid."""
from .build import build_engine, build_model
from .datamanager import CrossModalityDataManager
from .datasets import register_datasets
from .engine import FDNMEngine, RankedLists, format_results

__all__ = [
    'CrossModalityDataManager', 'FDNMEngine', 'RankedLists', 'build_engine', 'build_model', 'format_results',
    'register_datasets',
]

register_datasets()
