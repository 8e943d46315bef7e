"""Nearest rows in the order of `metrics`: candidates from FAISS, whose order and similarities are computed anew.

FAISS sums products in float32 and keeps no order among ties; `metrics` sums in float64, rounds the cosine to float32,
sorts by 1 - cosine and leaves ties in the gallery's order. The two differ by no more than a known bound, so some
candidates more than are asked for nearly always hold what is wanted; where they might not, all rows are compared anew.
"""
from typing import NamedTuple, Tuple

import numpy as np
import torch

from ..metrics import retrieve
from ..metrics._embeddings import cosines, unit_rows
from ._faiss import faiss
from .rows import Rows

__all__ = ['MARGIN', 'Found', 'search_all', 'settle']

MARGIN = 32  # candidates more than are asked for
_MAX_VALUES = 1 << 22  # float64 values of candidates, or similarities, at a time: 32 MB


class Found(NamedTuple):
    """The nearest rows of every query, nearest first."""
    similarity: np.ndarray  # (Q, K) float32, cosines; NaN where there is no row
    places: np.ndarray  # (Q, K) int64, numbers of the rows; -1 where there is none


def _distances(similarity: np.ndarray) -> np.ndarray:
    """What `metrics` sorts by, (Q, K) float32; where there is no row, infinite."""
    return np.where(np.isnan(similarity), np.float32(np.inf), np.float32(1) - similarity)


def _order(similarity: np.ndarray, places: np.ndarray, top: int) -> Found:
    """The first of candidates (Q, K), ties by the rows' numbers."""
    order = np.lexsort((places, _distances(similarity)))[:, :top]
    return Found(np.take_along_axis(similarity, order, 1), np.take_along_axis(places, order, 1))


def settle(query: np.ndarray, rows: Rows, places: np.ndarray, top: int) -> Found:
    """Order candidates by their cosines as `metrics` computes them.

    Args:
        query: Embeddings (Q, D) float32.
        rows: The gallery.
        places: Numbers of candidate rows (Q, K), -1 for none.
        top: Number of places.

    Returns:
        The first min(top, K) candidates.
    """
    similarity = np.empty(places.shape, np.float32)  # whole: small arrays between large ones would keep theirs alive
    size = max(1, _MAX_VALUES // (places.shape[1] * rows.dims))
    for start in range(0, len(query), size):
        some = slice(start, start + size)
        gallery = torch.from_numpy(rows.take(np.maximum(places[some], 0)))
        unit = unit_rows(gallery.flatten(0, 1)).view(gallery.shape)
        own = unit_rows(torch.tensor(query[some]))
        similarity[some] = torch.bmm(unit, own[:, :, None])[:, :, 0].float().numpy()
    similarity[places < 0] = np.nan
    return _order(similarity, places, top)


def _candidates(unit_query: np.ndarray, rows: Rows, number: int) -> Tuple[np.ndarray, np.ndarray, float]:
    """FAISS' nearest rows (Q, number), the least of their cosines (Q,), and how far all cosines may be off."""
    heap = faiss.ResultHeap(len(unit_query), number, keep_max=True)
    spread = 0.
    for block in rows.blocks():
        near = block.near_unit()
        found, places = faiss.knn(
            unit_query, near.rows, min(number, len(near.rows)), metric=faiss.METRIC_INNER_PRODUCT)
        heap.add_result(found / np.float32(near.length), places + block.start)
        spread = max(spread, near.spread)
    heap.finalize()
    # |sum - exact| <= n u / (1 - n u) * sum |q_i g_i| however the n products are summed, and the sum is at most the
    # lengths' product; some more roundings are those of the lengths and the divisions
    rounding = (rows.dims + 16) * 2. ** -24
    return heap.I, heap.D[:, -1], rounding / (1 - rounding) + 2 * spread


def _compare_all(query: np.ndarray, rows: Rows, top: int) -> Found:
    """Nothing but `metrics`, block by block."""
    best = Found(np.empty((len(query), 0), np.float32), np.empty((len(query), 0), np.int64))
    for block in rows.blocks():
        similarity = cosines(torch.tensor(query), unit_rows(torch.tensor(block.rows)))  # copies: files are read-only
        places = retrieve(distmat=1 - similarity, top=top)
        near = similarity.gather(1, torch.from_numpy(places)).numpy()
        best = _order(
            np.concatenate([best.similarity, near], 1), np.concatenate([best.places, places + block.start], 1), top)
    return best


def search_all(query: np.ndarray, unit_query: np.ndarray, rows: Rows, top: int) -> Found:
    """Compare queries with all rows: the order is that of `metrics.retrieve`.

    Args:
        query: Embeddings (Q, D) float32.
        unit_query: The same with rows of length 1.
        rows: The gallery, which is read block by block.
        top: Number of places.

    Returns:
        The first min(top, N) rows of each query.
    """
    top = min(top, len(rows))
    number = min(top + MARGIN, len(rows))
    places, least, error = _candidates(unit_query, rows, number)
    found = settle(query, rows, places, top)
    if number == len(rows):
        return found
    # a row that is no candidate may be as near as this
    outside = np.float32(1) - (least.astype(np.float64) + error).astype(np.float32)
    open_ = np.flatnonzero(_distances(found.similarity)[:, -1] >= outside)
    size = max(1, _MAX_VALUES // rows.block_size)
    for start in range(0, len(open_), size):
        some = open_[start:start + size]
        anew = _compare_all(query[some], rows, top)
        found.similarity[some], found.places[some] = anew.similarity, anew.places
    return found
