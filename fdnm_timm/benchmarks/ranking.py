"""`metrics.rank` against a loop over the queries, and the memory that it takes."""
from typing import Any, Dict, Iterator

import numpy as np
import torch

from ..metrics import rank
from .child import peak_memory, resident_memory, resident_memory_is_known
from .loop import rank_in_a_loop
from .rows import Row, row
from .settings import Settings
from .timing import ratios, seconds

__all__ = ['ranking_rows', 'regdb_problem', 'sysu_problem']

_DIM = 16  # of the embeddings whose ranking's memory is measured: little beside the distances


def sysu_problem(queries: int, gallery: int) -> Dict[str, Any]:
    """A trial of SYSU-MM01's size, with random distances: 96 identities, infrared queries, visible gallery."""
    rng = np.random.default_rng(0)
    return dict(
        distmat=rng.random((queries, gallery), dtype=np.float32), rule='sysu_mm01', cmc='identity',
        q_pids=rng.integers(96, size=queries), g_pids=np.arange(gallery) % 96,
        q_camids=rng.choice([3, 6], queries), g_camids=rng.choice([1, 2, 4, 5], gallery))


def regdb_problem(queries: int, gallery: int) -> Dict[str, Any]:
    """A split of RegDB's size: 10 images of each identity on both sides."""
    rng = np.random.default_rng(0)
    return dict(
        distmat=rng.random((queries, gallery), dtype=np.float32), rule=None, cmc='image',
        q_pids=np.arange(queries) // 10, g_pids=np.arange(gallery) // 10,
        q_camids=np.ones(queries, int), g_camids=np.full(gallery, 2))


def _growth(queries: int, gallery: int) -> int:
    """Bytes that a process grows by while it ranks, at the most."""
    generator = torch.Generator().manual_seed(0)
    q_features, g_features = (torch.randn(number, _DIM, generator=generator) for number in (queries, gallery))
    q_pids, g_pids = (torch.arange(number) % (gallery // 5) for number in (queries, gallery))  # five of each identity
    before = resident_memory()
    rank(q_features, g_features, q_pids, g_pids, cmc='image')
    return peak_memory() - before


def _memory(settings: Settings) -> Iterator[Row]:
    queries, gallery = settings.large
    small, large = (settings.apart(_growth, queries, number) for number in (gallery, 2 * gallery))
    yield row('ranking', f'peak memory, {queries:,} x {2 * gallery:,} embeddings', 'MB', [large / 1e6])
    yield row(
        'ranking', f'growth from {gallery:,} to {2 * gallery:,} images over its distances', 'x',
        [max(0, large - small) / (4 * queries * gallery)], bar=0.1)


def ranking_rows(settings: Settings) -> Iterator[Row]:
    """Times, and how memory grows with the gallery: were the matrix held, by all of the added images' distances."""
    for name, problem in (('SYSU-MM01', sysu_problem(*settings.sysu)), ('RegDB', regdb_problem(*settings.regdb))):
        size = ' x '.join(f'{number:,}' for number in problem['distmat'].shape)
        taken = seconds(
            {'loop': lambda p=problem: rank_in_a_loop(**p), 'rank': lambda p=problem: rank(**p)},  # type: ignore[misc]
            settings.repeats, torch.device('cpu'))
        yield row('ranking', f'a loop over the queries, {name} {size}', 's', taken['loop'])
        yield row('ranking', f'metrics.rank, {name} {size}', 's', taken['rank'])
        yield row('ranking', f'metrics.rank over the loop, {name}', 'x', ratios(taken['rank'], taken['loop']), bar=0.05)
    if resident_memory_is_known():
        yield from _memory(settings)
