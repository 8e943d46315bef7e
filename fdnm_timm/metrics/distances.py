"""How far apart queries and gallery lie: pairs of one identity against pairs of two (the paper's Fig. 6 a-e)."""
from typing import Any, NamedTuple, Optional

import numpy as np
import torch

from .ranking import _check

__all__ = ['MAX_DISTANCE', 'NUM_BINS', 'PairDistances', 'pair_distances']

NUM_BINS, MAX_DISTANCE = 200, 2.  # of a cosine distance, 1 - cosine
# float32's rounding may lead so far beyond the ends
_ROUNDING = 1e-5


class PairDistances(NamedTuple):
    """Of the pairs of one identity, and after them of those of two."""
    counts: np.ndarray  # (2, NUM_BINS) int64, pairs by distance, in bins of equal width from 0 to MAX_DISTANCE
    sums: np.ndarray  # (2,) float64, sums of the distances, so that their means do not depend on the bins


def pair_distances(
        query: Any = None,
        gallery: Any = None,
        q_pids: Any = None,
        g_pids: Any = None,
        q_camids: Any = None,
        g_camids: Any = None,
        rule: Optional[str] = None,
        distmat: Any = None,
        chunk_size: Optional[int] = None,
) -> PairDistances:
    """Count the pairs of a query and a gallery image by their cosine distance.

    Args:
        query: As for `rank`, as are all arguments.
        gallery: As for `rank`.
        q_pids: As for `rank`.
        g_pids: As for `rank`.
        q_camids: As for `rank`.
        g_camids: As for `rank`.
        rule: As for `rank`; a pair that it removes is not counted.
        distmat: Cosine distances (Q, G) in place of embeddings.
        chunk_size: As for `rank`.

    Returns:
        Counts and sums.

    Raises:
        ValueError: Shapes that do not fit, an unknown rule, NaN, an empty gallery, no query, or distances that are not
            in [0, 2].

    >>> pairs = pair_distances(q_pids=[1, 2], g_pids=[1, 2], distmat=[[.25, 1.], [.5, .75]])
    >>> pairs.counts.sum(axis=1).tolist(), pairs.sums.tolist()
    ([2, 2], [1.0, 1.5])
    """
    if q_pids is None or g_pids is None:
        raise ValueError('q_pids and g_pids are needed: the identities of the queries and of the gallery.')
    task = _check(query, gallery, q_pids, g_pids, q_camids, g_camids, rule, distmat, chunk_size)
    assert task.q_pids is not None and task.g_pids is not None
    # a third row takes what the rule removes: cheaper than to pick out the rest
    counts = torch.zeros(3 * NUM_BINS, dtype=torch.int64, device=task.device)
    sums = np.zeros(2)
    for rows, dist, skipped in task.chunks(torch.arange(task.num_query, device=task.device)):
        low, high = (float(value) for value in dist.aminmax())
        if not -_ROUNDING <= low <= high <= MAX_DISTANCE + _ROUNDING:
            raise ValueError(
                f'There are distances from {low:.4g} to {high:.4g}, but cosine distances are expected, from 0 to '
                f'{MAX_DISTANCE:g}.')
        same = task.q_pids[rows, None] == task.g_pids
        kind = (~same).long()
        if skipped is not None:
            kind.masked_fill_(skipped, 2)
            same &= ~skipped
        bins = (dist * (NUM_BINS / MAX_DISTANCE)).long().clamp_(0, NUM_BINS - 1).add_(kind, alpha=NUM_BINS)
        counts += torch.bincount(bins.flatten(), minlength=3 * NUM_BINS)
        if skipped is not None:
            dist = dist.masked_fill(skipped, 0)
        of_same = float(dist[same].sum(dtype=torch.float64))
        sums += (of_same, float(dist.sum(dtype=torch.float64)) - of_same)
    return PairDistances(counts.reshape(3, NUM_BINS)[:2].cpu().numpy(), sums)
