"""What `fdnm benchmark` measures: one small file a benchmark, each a generator of rows."""
import dataclasses
from typing import Callable, Dict, Iterator, Optional, Sequence

from .beside import beside_rows
from .inference import inference_rows
from .layers import agp_rows, anm_rows
from .loading import loading_rows
from .ranking import ranking_rows
from .rows import Row
from .settings import Settings, settings_for
from .step import step_rows

__all__ = ['BENCHMARKS', 'Row', 'Settings', 'run_benchmarks', 'settings_for']


def _search_rows(settings: Settings) -> Iterator[Row]:
    from .search import search_rows  # FAISS, which the other benchmarks do without
    yield from search_rows(settings)


BENCHMARKS: Dict[str, Callable[[Settings], Iterator[Row]]] = {
    'agp': agp_rows,
    'anm': anm_rows,
    'step': step_rows,
    'inference': inference_rows,
    'loading': loading_rows,
    'ranking': ranking_rows,
    'search': _search_rows,
    'beside': beside_rows,
}


def run_benchmarks(settings: Settings, only: Optional[Sequence[str]] = None) -> Iterator[Row]:
    """Run benchmarks one after the other.

    Args:
        settings: Shapes and conditions.
        only: Names of `BENCHMARKS`; None for all.

    Returns:
        The rows as they come. With `settings.quick` they have no bars.

    Raises:
        ValueError: An unknown name.
    """
    unknown = sorted(set(only or ()) - BENCHMARKS.keys())
    if unknown:
        raise ValueError(f'There is no benchmark {unknown}: known are {", ".join(BENCHMARKS)}.')
    for name, rows in BENCHMARKS.items():
        if only is None or name in only:
            for row in rows(settings):
                yield dataclasses.replace(row, bar=None) if settings.quick else row
