"""Ranking metrics of re-identification: CMC, mAP and mINP, as the field's reference codes define them."""
from typing import Any, NamedTuple, Optional

import numpy as np
import torch

__all__ = ['RULES', 'RankResult', 'rank', 'retrieve']

RULES = (None, 'same_camera', 'sysu_mm01')
_CMC = ('identity', 'image')


class RankResult(NamedTuple):
    """Fractions in [0, 1], means over the valid queries."""
    cmc: np.ndarray  # (R,), cmc[r - 1] is the rank-r accuracy, R = number of gallery images or identities
    mAP: float
    mINP: float
    n_valid: int  # queries that have a match in the gallery


def _tensor(name: str, value: Any, length: Optional[int] = None) -> torch.Tensor:
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value)  # torch takes no negative strides
    tensor = torch.as_tensor(value)
    if length is not None and tuple(tensor.shape) != (length,):
        raise ValueError(f'{name} has shape {list(tensor.shape)}, but [{length}] is expected, one value an image.')
    return tensor


def _skipped(
        rule: Optional[str],
        q_pids: torch.Tensor,
        g_pids: torch.Tensor,
        q_camids: Optional[torch.Tensor],
        g_camids: Optional[torch.Tensor],
) -> Optional[torch.Tensor]:
    """Gallery images that a query takes no notice of, (Q, G), or None for none."""
    if rule is None:
        return None
    assert q_camids is not None and g_camids is not None
    if rule == 'same_camera':
        return (q_pids[:, None] == g_pids[None]) & (q_camids[:, None] == g_camids[None])
    # SYSU-MM01's cameras 2 and 3 look at the same place
    return (q_camids[:, None] == 3) & (g_camids[None] == 2)


def _chunk_ranks(
        distmat: torch.Tensor,
        match: torch.Tensor,
        skipped: Optional[torch.Tensor],
        g_place: torch.Tensor,
        cmc: str,
        num_ids: int,
) -> Any:
    """First match's rank (0-based), AP and INP of the queries of one chunk that have a match."""
    if skipped is not None:
        match = match & ~skipped
    valid = match.any(dim=1)
    distmat, match = distmat[valid], match[valid]
    keep = None if skipped is None else ~skipped[valid]
    # stable, so that ties keep the gallery's order on every machine
    order = torch.sort(distmat, dim=1, stable=True).indices
    hits = match.gather(1, order)
    kept = torch.ones_like(hits) if keep is None else keep.gather(1, order)
    position = kept.cumsum(dim=1)  # 1-based rank among the images that count
    found = hits.cumsum(dim=1)
    num_matches = found[:, -1]
    ap = (torch.where(hits, found.double() / position, 0.)).sum(dim=1) / num_matches
    last = torch.where(hits, position, 0).amax(dim=1)
    inp = num_matches.double() / last
    first = hits.to(torch.uint8).argmax(dim=1)
    if cmc == 'image':
        return position.gather(1, first[:, None]).squeeze(1) - 1, ap, inp
    # the number of identities that appear before the query's own: those whose first counted image comes earlier
    column = torch.arange(order.shape[1], device=order.device).expand_as(order)
    column = torch.where(kept, column, order.shape[1])
    first_seen = torch.full((order.shape[0], num_ids), order.shape[1], dtype=column.dtype, device=order.device)
    first_seen.scatter_reduce_(1, g_place[order], column, reduce='amin')
    return (first_seen < first[:, None]).sum(dim=1), ap, inp


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
        chunk_size: int = 1024,
) -> RankResult:
    """Rank a gallery for every query.

    Args:
        query: Query embeddings (Q, D); compared by cosine.
        gallery: Gallery embeddings (G, D).
        q_pids: Identities of the queries (Q,).
        g_pids: Identities of the gallery (G,).
        q_camids: Cameras of the queries (Q,); needed where there is a rule.
        g_camids: Cameras of the gallery (G,).
        rule: Gallery images that a query skips. 'sysu_mm01': camera-3 queries skip camera 2; 'same_camera': images of
            the query's identity from the query's camera (LLCM, Market-1501); None: none (RegDB).
        cmc: 'identity' counts the identities in order of their first appearance (SYSU-MM01, LLCM), 'image' counts
            images (RegDB, Market-1501).
        distmat: Distances (Q, G) in place of embeddings, smaller is closer.
        chunk_size: Queries ranked at a time, which bounds the memory.

    Returns:
        CMC, mAP, mINP and the number of valid queries. A query without a match in the gallery, after the rule, is
        left out of every mean. Ties keep the gallery's order.

    Raises:
        ValueError: Shapes that do not fit, an unknown rule, NaN, an empty gallery, or no query with a match.

    >>> rank(q_pids=[1, 2], g_pids=[2, 1, 1], distmat=[[.3, .1, .5], [.2, .4, .6]])
    RankResult(cmc=array([1., 1.]), mAP=0.9166666666666666, mINP=0.8333333333333333, n_valid=2)
    """
    if rule not in RULES:
        raise ValueError(f'rule is {rule!r}, but must be one of {", ".join(map(repr, RULES))}.')
    if cmc not in _CMC:
        raise ValueError(f'cmc is {cmc!r}, but must be one of {", ".join(map(repr, _CMC))}.')
    if chunk_size < 1:
        raise ValueError(f'chunk_size is {chunk_size}, but at least 1 query is ranked at a time.')
    if q_pids is None or g_pids is None:
        raise ValueError('q_pids and g_pids are needed: the identities of the queries and of the gallery.')
    if (distmat is None) == (query is None or gallery is None):
        raise ValueError('Give either query and gallery embeddings, or distmat.')
    if distmat is not None:
        distmat = _tensor('distmat', distmat)
        if distmat.ndim != 2:
            raise ValueError(f'distmat has shape {list(distmat.shape)}, but (Q, G) is expected.')
        num_query, num_gallery = distmat.shape
        device = distmat.device
        if distmat.is_floating_point() and bool(torch.isnan(distmat).any()):
            raise ValueError('distmat holds NaN: nothing can be ranked by it.')
    else:
        query, gallery = _tensor('query', query), _tensor('gallery', gallery)
        if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
            raise ValueError(
                f'query has shape {list(query.shape)} and gallery {list(gallery.shape)}, but (Q, D) and (G, D) are '
                f'expected.')
        for name, value in (('query', query), ('gallery', gallery)):
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f'{name} holds NaN or infinite embeddings: nothing can be ranked by them.')
        num_query, num_gallery = len(query), len(gallery)
        device = query.device
        query = torch.nn.functional.normalize(query.double(), dim=1)
        gallery = torch.nn.functional.normalize(gallery.double(), dim=1).to(device)
    if num_query == 0 or num_gallery == 0:
        raise ValueError(f'There are {num_query} queries and {num_gallery} gallery images: nothing to rank.')
    q_pids = _tensor('q_pids', q_pids, num_query).to(device)
    g_pids = _tensor('g_pids', g_pids, num_gallery).to(device)
    if rule is not None:
        if q_camids is None or g_camids is None:
            raise ValueError(f'rule {rule!r} goes by cameras: q_camids and g_camids are needed.')
        q_camids = _tensor('q_camids', q_camids, num_query).to(device)
        g_camids = _tensor('g_camids', g_camids, num_gallery).to(device)
    ids, g_place = torch.unique(g_pids, return_inverse=True)

    firsts, aps, inps = [], [], []
    for start in range(0, num_query, chunk_size):
        part = slice(start, start + chunk_size)
        # rounded to float32, which takes away the last digits, where equal embeddings differ by the product's blocking
        dist = distmat[part] if distmat is not None else (1 - query[part] @ gallery.t()).float()
        match = q_pids[part, None] == g_pids[None]
        skipped = _skipped(rule, q_pids[part], g_pids, None if rule is None else q_camids[part], g_camids)
        first, ap, inp = _chunk_ranks(dist, match, skipped, g_place, cmc, len(ids))
        firsts.append(first)
        aps.append(ap)
        inps.append(inp)
    first, ap, inp = torch.cat(firsts).cpu(), torch.cat(aps).cpu(), torch.cat(inps).cpu()
    n_valid = len(first)
    if n_valid == 0:
        raise ValueError(
            f'None of the {num_query} queries has a match among the {num_gallery} gallery images (rule {rule!r}): '
            f'the identities of the two do not overlap.')
    length = len(ids) if cmc == 'identity' else num_gallery
    curve = torch.bincount(first, minlength=length).double().cumsum(0) / n_valid
    return RankResult(curve.numpy(), float(ap.mean()), float(inp.mean()), n_valid)


def retrieve(
        distmat: Any,
        q_pids: Any = None,
        g_pids: Any = None,
        q_camids: Any = None,
        g_camids: Any = None,
        rule: Optional[str] = None,
        top: int = 10,
) -> np.ndarray:
    """The nearest gallery images of every query, after the rule, as `rank` orders them.

    Args:
        distmat: Distances (Q, G), smaller is closer.
        q_pids: As for `rank`; needed where there is a rule, as are the next three.
        g_pids: As for `rank`.
        q_camids: As for `rank`.
        g_camids: As for `rank`.
        rule: As for `rank`.
        top: Number of places.

    Returns:
        Gallery indices (Q, min(top, G)), -1 where the rule leaves fewer.
    """
    dist = _tensor('distmat', distmat).double()
    if rule is not None:
        labels = [torch.as_tensor(label) for label in (q_pids, g_pids, q_camids, g_camids)]
        skipped = _skipped(rule, *labels)
        assert skipped is not None
        dist = dist.masked_fill(skipped, torch.inf)
    values, order = torch.sort(dist, dim=1, stable=True)
    return order[:, :top].masked_fill(torch.isinf(values[:, :top]), -1).numpy()
