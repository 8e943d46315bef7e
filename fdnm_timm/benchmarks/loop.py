"""Ranking query by query, as the AGW family of research scripts goes about it: what `metrics.rank` is timed against.

Its steps are theirs (sort the whole matrix, then for each query: drop, look identities up, divide place by place in
Python); its text is not.
"""
from typing import List

import numpy as np

from ..metrics import RankResult

__all__ = ['rank_in_a_loop']


def rank_in_a_loop(
        distmat: np.ndarray,
        q_pids: np.ndarray,
        g_pids: np.ndarray,
        q_camids: np.ndarray,
        g_camids: np.ndarray,
        rule: str | None = None,
        cmc: str = 'identity',
) -> RankResult:
    """CMC, mAP and mINP of `metrics.rank`, for distances without ties.

    Args:
        distmat: Distances (Q, G).
        q_pids: Identities of the queries (Q,).
        g_pids: Identities of the gallery (G,).
        q_camids: Cameras of the queries (Q,).
        g_camids: Cameras of the gallery (G,).
        rule: 'sysu_mm01' or None.
        cmc: 'identity' or 'image'.

    Returns:
        As `metrics.rank`.
    """
    length = len(np.unique(g_pids)) if cmc == 'identity' else len(g_pids)
    order = np.argsort(distmat, axis=1)
    curves: List[np.ndarray] = []
    precisions, penalties = [], []
    for query in range(len(distmat)):
        ranked = order[query]
        if rule == 'sysu_mm01' and q_camids[query] == 3:
            ranked = ranked[g_camids[ranked] != 2]
        pids = g_pids[ranked]
        matches = pids == q_pids[query]
        if not matches.any():
            continue
        hits = matches
        if cmc == 'identity':
            first = np.unique(pids, return_index=True)[1]
            hits = np.array([pids[place] for place in sorted(first)]) == q_pids[query]
        curve = np.ones(length)
        curve[:len(hits)] = np.minimum(hits.cumsum(), 1)
        curves.append(curve)
        found = matches.cumsum()
        last = np.flatnonzero(matches)[-1]
        penalties.append(found[last] / (last + 1))
        # by a float, as they do: NumPy's integers take several times as long for that as for an int
        precision = np.array([number / (place + 1.) for place, number in enumerate(found)])
        precisions.append((precision * matches).sum() / matches.sum())
    return RankResult(np.mean(curves, axis=0), float(np.mean(precisions)), float(np.mean(penalties)), len(curves))
