"""Ranking metrics of re-identification: CMC, mAP and mINP, as the field's reference codes define them."""
import math
from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

import numpy as np
import torch

from ._embeddings import MAX_EMBEDDINGS, as_tensor, cosines, read_embeddings, unit_rows

__all__ = ['RULES', 'QueryRanks', 'RankResult', 'rank', 'rank_queries', 'retrieve']

RULES = (None, 'same_camera', 'sysu_mm01')
_CMC = ('identity', 'image')
# what is held at a time where chunk_size is None: distances, with what is made of them 20 to 40 bytes each, and the
# queries' embeddings; larger chunks are no faster, and smaller ones cost the embeddings' product
_MAX_DISTANCES = 1 << 20


class RankResult(NamedTuple):
    """Fractions in [0, 1], means over the valid queries."""
    cmc: np.ndarray  # (R,), cmc[r - 1] is the rank-r accuracy, R = number of gallery images or identities
    mAP: float
    mINP: float
    n_valid: int  # queries that have a match in the gallery


class QueryRanks(NamedTuple):
    """One entry a query, in the queries' order."""
    first: np.ndarray  # (Q,) int64, place of the first match as `cmc` counts it, from 0; -1 where invalid
    ap: np.ndarray  # (Q,) float64, average precision; NaN where invalid
    inp: np.ndarray  # (Q,) float64, inverse negative penalty; NaN where invalid
    valid: np.ndarray  # (Q,) bool, whether the rule leaves a match in the gallery


class _Task(NamedTuple):
    """Checked input on one device."""
    num_query: int
    num_gallery: int
    distmat: Optional[torch.Tensor]
    query: Optional[torch.Tensor]
    gallery: Optional[torch.Tensor]  # normalised, float64
    q_pids: Optional[torch.Tensor]
    g_pids: Optional[torch.Tensor]
    q_camids: Optional[torch.Tensor]
    g_camids: Optional[torch.Tensor]
    rule: Optional[str]
    device: torch.device
    chunk: int

    def distances(self, rows: torch.Tensor) -> torch.Tensor:
        """Distances (len(rows), G)."""
        if self.distmat is not None:
            dist = self.distmat[rows]
            if not dist.is_floating_point():
                return dist.long()
            return dist if dist.dtype == torch.float64 else dist.float()
        assert self.query is not None and self.gallery is not None
        return cosines(self.query[rows], self.gallery).neg_().add_(1)

    def skipped(self, rows: torch.Tensor) -> Optional[torch.Tensor]:
        """Gallery images that the rule takes away from these queries, (len(rows), G), or None for none."""
        if self.rule is None:
            return None
        assert self.q_camids is not None and self.g_camids is not None
        q_camids = self.q_camids[rows, None]
        if self.rule == 'same_camera':
            assert self.q_pids is not None and self.g_pids is not None
            return (q_camids == self.g_camids) & (self.q_pids[rows, None] == self.g_pids)
        # SYSU-MM01's cameras 2 and 3 look at the same place
        return (q_camids == 3) & (self.g_camids == 2)

    def chunks(self, rows: torch.Tensor) -> Iterator[Tuple[torch.Tensor, torch.Tensor, Optional[torch.Tensor]]]:
        """Rows, their distances and what they skip, some at a time."""
        for start in range(0, len(rows), self.chunk):
            chunk = rows[start:start + self.chunk]
            yield chunk, self.distances(chunk), self.skipped(chunk)


def _check(
        query: Any,
        gallery: Any,
        q_pids: Any,
        g_pids: Any,
        q_camids: Any,
        g_camids: Any,
        rule: Optional[str],
        distmat: Any,
        chunk_size: Optional[int],
) -> _Task:
    if rule not in RULES:
        raise ValueError(f'rule is {rule!r}, but must be one of {", ".join(map(repr, RULES))}.')
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f'chunk_size is {chunk_size}, but at least 1 query is ranked at a time.')
    if (distmat is None) == (query is None or gallery is None):
        raise ValueError('Give either query and gallery embeddings, or distmat.')
    if distmat is not None:
        query = gallery = None
        distmat = as_tensor('distmat', distmat)
        if distmat.ndim != 2:
            raise ValueError(f'distmat has shape {list(distmat.shape)}, but (Q, G) is expected.')
        num_query, num_gallery = distmat.shape
        device = distmat.device
        chunk = _MAX_DISTANCES // max(1, num_gallery)
        if distmat.numel() and distmat.is_floating_point() and bool(torch.isnan(distmat.amax())):
            raise ValueError('distmat holds NaN: nothing can be ranked by it.')
    else:
        query, gallery = read_embeddings(query, gallery)
        num_query, num_gallery = len(query), len(gallery)
        device = query.device
        chunk = min(_MAX_DISTANCES // max(1, num_gallery), MAX_EMBEDDINGS // max(1, query.shape[1]))
        gallery = unit_rows(gallery.to(device))
    if num_query == 0 or num_gallery == 0:
        raise ValueError(f'There are {num_query} queries and {num_gallery} gallery images: nothing to rank.')
    labels: Dict[str, Optional[torch.Tensor]] = {}
    for name, value, length in (
            ('q_pids', q_pids, num_query), ('g_pids', g_pids, num_gallery),
            ('q_camids', q_camids, num_query), ('g_camids', g_camids, num_gallery),
    ):
        by_camera = name.endswith('camids')
        if by_camera and rule is not None and value is None:
            raise ValueError(f'rule {rule!r} goes by cameras: q_camids and g_camids are needed.')
        # cameras are not looked at without a rule
        needless = value is None or by_camera and rule is None
        labels[name] = None if needless else as_tensor(name, value, length).to(device)
    chunk = max(1, chunk) if chunk_size is None else chunk_size
    return _Task(num_query, num_gallery, distmat, query, gallery, rule=rule, device=device, chunk=chunk, **labels)


def _earlier(dist: torch.Tensor, value: torch.Tensor, column: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Images (Q, G) that come before the image in `column` (Q, 1), at distance `value` (Q, 1), in a stable order."""
    return (dist == value).logical_and_(columns < column).logical_or_(dist < value)


def _places_by_counting(
        dist: torch.Tensor,
        kept: Optional[torch.Tensor],
        match: torch.Tensor,
        columns: torch.Tensor,
) -> torch.Tensor:
    """Places (Q, M), from 0, of the images in columns `match` (Q, M): so many kept ones come earlier."""
    places = torch.empty_like(match)
    values = dist.gather(1, match)
    for slot in range(match.shape[1]):
        part = slice(slot, slot + 1)
        earlier = _earlier(dist, values[:, part], match[:, part], columns)
        if kept is not None:
            earlier &= kept
        places[:, slot] = earlier.sum(dim=1, dtype=torch.int32)
    return places


def _places_by_sorting(dist: torch.Tensor, kept: Optional[torch.Tensor], match: torch.Tensor) -> torch.Tensor:
    """The same; the time does not depend on M."""
    order = torch.sort(dist, dim=1, stable=True).indices
    if kept is None:
        places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    else:
        places = kept.gather(1, order).cumsum(dim=1).sub_(1)
    return torch.empty_like(order).scatter_(1, order, places).gather(1, match)


def _rank(task: _Task, cmc: str) -> Tuple[QueryRanks, int]:
    """Every query's ranks, and the length of their CMC."""
    assert task.q_pids is not None and task.g_pids is not None
    device = task.device
    g_pids, q_pids = torch.cat([task.g_pids, task.q_pids]).split([task.num_gallery, task.num_query])  # of one type
    ids, g_ids, counts = torch.unique(g_pids, return_inverse=True, return_counts=True)
    q_ids = torch.searchsorted(ids, q_pids).clamp_(max=len(ids) - 1)
    starts = counts.cumsum(0) - counts
    by_identity = torch.sort(g_ids, stable=True).indices
    # queries with as many matches are ranked together, so that few slots are empty
    num_matches, rows = torch.sort(counts[q_ids] * (ids[q_ids] == q_pids), stable=True)
    rows = rows[num_matches > 0]
    columns = torch.arange(task.num_gallery, dtype=torch.int32, device=device)

    first = torch.full((task.num_query,), -1, device=device)
    ap = torch.full((task.num_query,), math.nan, dtype=torch.float64, device=device)
    inp = ap.clone()
    for chunk, dist, skipped in task.chunks(rows):
        own = q_ids[chunk]
        slots = torch.arange(int(counts[own[-1]]), device=device)
        match = by_identity[starts[own, None] + torch.minimum(slots, counts[own, None] - 1)]
        found = slots < counts[own, None]
        kept = None
        if skipped is not None:
            kept = skipped.logical_not_()
            found &= kept.gather(1, match)
            usable = found.any(dim=1)
            if not usable.all():
                chunk, dist, kept, match, found = (value[usable] for value in (chunk, dist, kept, match, found))
        # counting takes 2 ns an image and match, sorting 5.5 ns an image and doubling of the gallery (float32 and
        # float64 on one CPU thread, galleries of 301 to 100,000)
        if len(slots) <= 2.7 * math.log2(task.num_gallery):
            places = _places_by_counting(dist, kept, match, columns)
        else:
            places = _places_by_sorting(dist, kept, match)
        places, slot = places.masked_fill_(~found, task.num_gallery).sort(dim=1)
        num = found.sum(dim=1, keepdim=True)
        # summed one after another: the same digits whatever the number of empty slots
        precision = ((slots + 1).double() / (places + 1)).masked_fill_(slots >= num, 0).cumsum(dim=1)
        ap[chunk] = precision[:, -1] / num[:, 0]
        inp[chunk] = (num.double() / (places.gather(1, num - 1) + 1))[:, 0]
        if cmc == 'image':
            first[chunk] = places[:, 0]
            continue
        # the identities that appear before the query's own
        column = match.gather(1, slot[:, :1])
        earlier = _earlier(dist, dist.gather(1, column), column, columns)
        if kept is not None:
            earlier &= kept
        seen = torch.zeros(len(chunk), len(ids), dtype=torch.uint8, device=device)
        seen.scatter_reduce_(1, g_ids.expand_as(earlier), earlier.view(torch.uint8), 'amax')
        first[chunk] = seen.sum(dim=1)
    ranks = QueryRanks(first.cpu().numpy(), ap.cpu().numpy(), inp.cpu().numpy(), (first >= 0).cpu().numpy())
    return ranks, len(ids) if cmc == 'identity' else task.num_gallery


def _ranks(
        query: Any,
        gallery: Any,
        q_pids: Any,
        g_pids: Any,
        q_camids: Any,
        g_camids: Any,
        rule: Optional[str],
        cmc: str,
        distmat: Any,
        chunk_size: Optional[int],
) -> Tuple[QueryRanks, int]:
    if cmc not in _CMC:
        raise ValueError(f'cmc is {cmc!r}, but must be one of {", ".join(map(repr, _CMC))}.')
    if q_pids is None or g_pids is None:
        raise ValueError('q_pids and g_pids are needed: the identities of the queries and of the gallery.')
    task = _check(query, gallery, q_pids, g_pids, q_camids, g_camids, rule, distmat, chunk_size)
    return _rank(task, cmc)


def rank_queries(
        query: Any = None,
        gallery: Any = None,
        q_pids: Any = None,
        g_pids: Any = None,
        q_camids: Any = None,
        g_camids: Any = None,
        rule: Optional[str] = None,
        cmc: str = 'identity',
        distmat: Any = None,
        chunk_size: Optional[int] = None,
) -> QueryRanks:
    """Rank a gallery for every query, and give every query's own values: what `rank` averages.

    Args:
        query: As for `rank`, as are all arguments.
        gallery: As for `rank`.
        q_pids: As for `rank`.
        g_pids: As for `rank`.
        q_camids: As for `rank`.
        g_camids: As for `rank`.
        rule: As for `rank`.
        cmc: As for `rank`.
        distmat: As for `rank`.
        chunk_size: As for `rank`.

    Returns:
        The first match's place (from 0), AP and INP of every query, and whether it is valid. A query without a match
        in the gallery, after the rule, is not; there need not be any valid one.

    Raises:
        ValueError: Shapes that do not fit, an unknown rule, NaN, an empty gallery, or no query.

    >>> ranks = rank_queries(q_pids=[1, 2, 5], g_pids=[2, 1, 1], distmat=[[.3, .1, .5], [.2, .4, .6], [.1, .2, .3]])
    >>> ranks.first.tolist(), ranks.valid.tolist()
    ([0, 0, -1], [True, True, False])
    >>> ranks.ap.round(2).tolist()
    [0.83, 1.0, nan]
    """
    return _ranks(query, gallery, q_pids, g_pids, q_camids, g_camids, rule, cmc, distmat, chunk_size)[0]


def rank(
        query: Any = None,
        gallery: Any = None,
        q_pids: Any = None,
        g_pids: Any = None,
        q_camids: Any = None,
        g_camids: Any = None,
        rule: Optional[str] = None,
        cmc: str = 'identity',
        distmat: Any = None,
        chunk_size: Optional[int] = None,
) -> RankResult:
    """Rank a gallery for every query.

    Args:
        query: Query embeddings (Q, D); compared by cosine, computed in float64 and rounded to float32, so that equal
            embeddings tie.
        gallery: Gallery embeddings (G, D).
        q_pids: Identities of the queries (Q,).
        g_pids: Identities of the gallery (G,).
        q_camids: Cameras of the queries (Q,); needed where there is a rule.
        g_camids: Cameras of the gallery (G,).
        rule: Gallery images that a query skips. 'sysu_mm01': camera-3 queries skip camera 2; 'same_camera': images of
            the query's identity from the query's camera (LLCM, Market-1501); None: none (RegDB).
        cmc: 'identity' counts the identities in order of their first appearance (SYSU-MM01, LLCM), 'image' counts
            images (RegDB, Market-1501).
        distmat: Distances (Q, G) in place of embeddings, smaller is closer; where it lies, there the ranking runs.
        chunk_size: Queries ranked at a time, which bounds the memory and changes no result; None: as many as keep it
            to about 100 MB, besides the gallery's embeddings in float64.

    Returns:
        CMC, mAP, mINP and the number of valid queries. A query without a match in the gallery, after the rule, is
        left out of every mean. Ties keep the gallery's order.

    Raises:
        ValueError: Shapes that do not fit, an unknown rule, NaN, an empty gallery, or no query with a match.

    >>> rank(q_pids=[1, 2], g_pids=[2, 1, 1], distmat=[[.3, .1, .5], [.2, .4, .6]])
    RankResult(cmc=array([1., 1.]), mAP=0.9166666666666666, mINP=0.8333333333333333, n_valid=2)
    """
    ranks, length = _ranks(query, gallery, q_pids, g_pids, q_camids, g_camids, rule, cmc, distmat, chunk_size)
    n_valid = int(ranks.valid.sum())
    if n_valid == 0:
        raise ValueError(
            f'None of the {len(ranks.valid)} queries has a match among the {len(as_tensor("g_pids", g_pids))} gallery '
            f'images (rule {rule!r}): the identities of the two do not overlap.')
    curve = np.bincount(ranks.first[ranks.valid], minlength=length).cumsum() / n_valid
    return RankResult(curve, float(ranks.ap[ranks.valid].mean()), float(ranks.inp[ranks.valid].mean()), n_valid)


def _nearest(dist: torch.Tensor, skipped: Optional[torch.Tensor], top: int) -> torch.Tensor:
    """Columns of the `top` smallest distances, ties in the columns' order, what is skipped behind everything as -1."""
    def order(dist: torch.Tensor, skipped: Optional[torch.Tensor], columns: torch.Tensor) -> torch.Tensor:
        nearest = torch.sort(dist, dim=1, stable=True).indices
        columns = columns.expand_as(nearest).gather(1, nearest)
        if skipped is None:
            return columns[:, :top]
        # infinite distances are as far as what is skipped: skipped ones go behind them
        behind, nearest = torch.sort(skipped.gather(1, nearest).to(torch.uint8), dim=1, stable=True)
        return columns.gather(1, nearest).masked_fill_(behind.bool(), -1)[:, :top]

    if skipped is not None:
        far = torch.inf if dist.is_floating_point() else torch.iinfo(dist.dtype).max
        dist = dist.masked_fill(skipped, far)
    columns = torch.arange(dist.shape[1], device=dist.device)
    if top >= dist.shape[1]:
        return order(dist, skipped, columns[None])
    values, some = dist.topk(top + 1, dim=1, largest=False)
    clear = values[:, top - 1] < values[:, top]
    # which of several images at the last place's distance topk takes is not said: those rows are sorted
    some = some[:, :top].sort(dim=1).values
    nearest = order(dist.gather(1, some), None if skipped is None else skipped.gather(1, some), some)
    if not clear.all():
        nearest[~clear] = order(dist[~clear], None if skipped is None else skipped[~clear], columns[None])
    return nearest


def retrieve(
        query: Any = None,
        gallery: Any = None,
        q_pids: Any = None,
        g_pids: Any = None,
        q_camids: Any = None,
        g_camids: Any = None,
        rule: Optional[str] = None,
        top: int = 10,
        distmat: Any = None,
        chunk_size: Optional[int] = None,
) -> np.ndarray:
    """The nearest gallery images of every query, after the rule, as `rank` orders them.

    Args:
        query: As for `rank`.
        gallery: As for `rank`.
        q_pids: As for `rank`; needed where there is a rule, as are the next three.
        g_pids: As for `rank`.
        q_camids: As for `rank`.
        g_camids: As for `rank`.
        rule: As for `rank`.
        top: Number of places.
        distmat: As for `rank`.
        chunk_size: As for `rank`.

    Returns:
        Gallery indices (Q, min(top, G)), int64, -1 where the rule leaves fewer.

    Raises:
        ValueError: Shapes that do not fit, an unknown rule, NaN, an empty gallery, no query, or no place.

    >>> retrieve(distmat=[[.3, .1, .5], [.2, .4, .2]], top=2).tolist()
    [[1, 0], [0, 2]]
    """
    if top < 1:
        raise ValueError(f'top is {top}, but at least the first place is retrieved.')
    if rule == 'same_camera' and (q_pids is None or g_pids is None):
        raise ValueError(f'rule {rule!r} goes by identities: q_pids and g_pids are needed.')
    task = _check(query, gallery, q_pids, g_pids, q_camids, g_camids, rule, distmat, chunk_size)
    rows = torch.arange(task.num_query, device=task.device)
    return torch.cat([_nearest(dist, skipped, top) for _, dist, skipped in task.chunks(rows)]).cpu().numpy()
