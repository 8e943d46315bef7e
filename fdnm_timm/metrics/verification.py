"""Verification, one image against one: Rank-1, VR@FAR and the ROC curve, as face recognition reports them."""
import math
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

from ._embeddings import MAX_EMBEDDINGS, as_tensor, cosines, read_embeddings, unit_rows

__all__ = ['ROC', 'VerificationResult', 'verification']

# Bits of a score that the first pass and each later one tell apart. float32 takes two passes, float64 five: the
# embeddings' cosines are float32.
_FIRST_BITS, _LATER_BITS = 20, 12
# FARs of the curve, evenly spaced by their logarithm and by themselves
_NUM_LOG, _NUM_LINEAR = 256, 128
# pairs at a time where chunk_size is None: 40 to 60 bytes each, as much as the counts take
_MAX_PAIRS = 1 << 19
_INTEGERS = {16: torch.int16, 32: torch.int32, 64: torch.int64}


class ROC(NamedTuple):
    """Operating points (P,) float64, FAR and TPR rising, the threshold falling."""
    far: np.ndarray  # accepted impostor pairs / impostor pairs
    tpr: np.ndarray  # accepted genuine pairs / genuine pairs
    threshold: np.ndarray  # similarity at and above which a pair is accepted


class VerificationResult(NamedTuple):
    """Fractions in [0, 1]."""
    rank1: float  # mean over the valid probes
    vr: Dict[float, float]  # FAR target -> verification rate
    thresholds: Dict[float, float]  # FAR target -> similarity at and above which a pair is accepted
    roc: ROC
    num_genuine: int  # pairs of one identity
    num_impostor: int  # pairs of two identities
    n_valid: int  # probes that have a match in the gallery
    warnings: List[str]  # a sentence for each target that so few impostor pairs cannot resolve


class _Pairs(NamedTuple):
    """Checked input on one device."""
    similarity: Optional[torch.Tensor]
    query: Optional[torch.Tensor]
    gallery: Optional[torch.Tensor]  # normalised, float64
    q_pids: torch.Tensor
    g_pids: torch.Tensor
    dtype: torch.dtype  # of the scores
    chunk: int

    def scores(self, start: int) -> torch.Tensor:
        rows = slice(start, start + self.chunk)
        if self.similarity is not None:
            return self.similarity[rows].to(self.dtype)
        assert self.query is not None and self.gallery is not None
        return cosines(self.query[rows], self.gallery)

    def chunks(self) -> Iterator[Tuple[torch.Tensor, torch.Tensor]]:
        """Scores and whether they are genuine, some rows at a time."""
        for start in range(0, len(self.q_pids), self.chunk):
            yield self.scores(start), self.q_pids[start:start + self.chunk, None] == self.g_pids


def _check(similarity: Any, q_pids: Any, g_pids: Any, query: Any, gallery: Any, chunk_size: Optional[int]) -> _Pairs:
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f'chunk_size is {chunk_size}, but at least 1 query is compared at a time.')
    if (similarity is None) == (query is None or gallery is None):
        raise ValueError('Give either similarity, or query and gallery embeddings.')
    if q_pids is None or g_pids is None:
        raise ValueError('q_pids and g_pids are needed: the identities of the queries and of the gallery.')
    if similarity is not None:
        query = gallery = None
        # torch reads lists as float32: thresholds between Python's numbers would be off
        similarity = as_tensor('similarity', similarity if torch.is_tensor(similarity) else np.asarray(similarity))
        if similarity.ndim != 2:
            raise ValueError(f'similarity has shape {list(similarity.shape)}, but (Q, G) is expected.')
        num_query, num_gallery = similarity.shape
        device = similarity.device
        dtype = similarity.dtype if similarity.is_floating_point() else torch.float64
        chunk = _MAX_PAIRS // max(1, num_gallery)
        if similarity.numel() and not bool(torch.isfinite(torch.stack(similarity.aminmax())).all()):
            raise ValueError('similarity holds NaN or infinite values: no threshold can be set by them.')
    else:
        query, gallery = read_embeddings(query, gallery)
        num_query, num_gallery = len(query), len(gallery)
        device, dtype = query.device, torch.float32
        chunk = min(_MAX_PAIRS // max(1, num_gallery), MAX_EMBEDDINGS // max(1, query.shape[1]))
        gallery = unit_rows(gallery.to(device))
    if num_query == 0 or num_gallery == 0:
        raise ValueError(f'There are {num_query} queries and {num_gallery} gallery images: no pairs to verify.')
    q_pids, g_pids = as_tensor('q_pids', q_pids, num_query), as_tensor('g_pids', g_pids, num_gallery)
    chunk = max(1, chunk) if chunk_size is None else chunk_size
    return _Pairs(similarity, query, gallery, q_pids.to(device), g_pids.to(device), dtype, chunk)


def _num_genuine(q_pids: torch.Tensor, g_pids: torch.Tensor) -> int:
    ids, place = torch.unique(torch.cat([q_pids, g_pids]), return_inverse=True)
    of_query, of_gallery = (torch.bincount(p, minlength=len(ids)) for p in place.split([len(q_pids), len(g_pids)]))
    return int((of_query * of_gallery).sum())


def _keys(scores: torch.Tensor) -> torch.Tensor:
    """Integers in the order of the scores; where a score's is k, the next larger number's is k + 1."""
    bits = torch.finfo(scores.dtype).bits
    keys = (scores + 0.0).view(_INTEGERS[bits])  # -0. + 0. = 0.: the two are equal, but not their bits
    return torch.where(keys < 0, keys ^ torch.iinfo(keys.dtype).max, keys)


def _values(keys: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """The scores of keys, in float64."""
    whole = torch.from_numpy(keys).to(_INTEGERS[torch.finfo(dtype).bits])
    return torch.where(whole < 0, whole ^ torch.iinfo(whole.dtype).max, whole).view(dtype).double().numpy()


def _count(counts: torch.Tensor, bins: torch.Tensor, genuine: torch.Tensor) -> None:
    """Add pairs to counts (number of bins * 2), the impostor pairs of a bin before its genuine ones."""
    places = bins.reshape(-1).long().mul_(2).add_(genuine.reshape(-1))
    counts.scatter_add_(0, places, counts.new_ones(()).expand_as(places))


class _Search:
    """For each of some numbers n, the largest impostor score but n: the one that must be rejected where n may pass.

    Each step tells some more bits of the scores' keys, from the counts of the pairs by these bits.
    """

    def __init__(self, above: np.ndarray) -> None:
        self.keys = np.zeros(len(above), dtype=np.int64)  # the bits that are known
        self.left = above.copy()  # how many of the n share the known bits; in the end they are ties
        self.genuine = np.zeros_like(above)  # genuine pairs above all that share the known bits

    def step(self, prefixes: np.ndarray, counts: torch.Tensor, width: int, lowest: int = 0) -> None:
        """Take up counts (len(prefixes) * 2 ** width * 2) of the next `width` bits after the known ones."""
        size = 1 << width
        passed = np.zeros((len(prefixes) * size + 1, 2), dtype=np.int64)  # pairs in the bins before, from the top
        np.cumsum(counts.cpu().numpy().reshape(-1, 2)[::-1], axis=0, out=passed[1:])
        start = (len(prefixes) - 1 - np.searchsorted(prefixes, self.keys)) * size
        place = np.searchsorted(passed[1:, 0], passed[start, 0] + self.left, side='right')
        # a product that comes out differently the second time could lead beyond the bins
        place = np.clip(place, start, start + size - 1)
        self.left -= passed[place, 0] - passed[start, 0]
        self.genuine += passed[place, 1] - passed[start, 1]
        self.keys = self.keys * size + (start + size - 1 - place) + lowest


def _allowed(far: float, num_impostor: int) -> int:
    """The most impostor pairs that may be accepted."""
    number = int(far * num_impostor)
    # the product may round across a whole number
    while number < num_impostor and (number + 1) / num_impostor <= far:
        number += 1
    while number / num_impostor > far:
        number -= 1
    return number


def _spread(num_impostor: int) -> np.ndarray:
    """Numbers of accepted impostor pairs, for the curve."""
    if num_impostor <= _NUM_LOG + _NUM_LINEAR:
        return np.arange(num_impostor)
    last = num_impostor - 1
    return np.concatenate([np.geomspace(1, last, _NUM_LOG), np.linspace(0, last, _NUM_LINEAR)]).astype(np.int64)


def verification(
        similarity: Any = None,
        q_pids: Any = None,
        g_pids: Any = None,
        fars: Sequence[float] = (0.01, 0.001, 0.0001),
        query: Any = None,
        gallery: Any = None,
        chunk_size: Optional[int] = None,
) -> VerificationResult:
    """Verify every pair of a query (probe) and a gallery image by a threshold on their similarity.

    A pair of one identity is genuine, any other an impostor. A threshold accepts the pairs at and above it, so tied
    pairs together; FAR is the accepted part of the impostor pairs, TPR (VR) that of the genuine ones. The threshold
    for a FAR target is the one of the largest TPR whose FAR does not exceed the target: just above the largest
    impostor similarity that must be rejected. No threshold may accept an impostor pair where the target is below
    1 / num_impostor; `warnings` says so.

    All figures are exact, ties included, and need no sorted list of the pairs: the pairs are counted by the leading
    bits of their similarity, and counted again (once for float32 and embeddings, four times for float64) by the next
    bits where a threshold lies. The curve is thinned, never binned: each of its points is exact and has the largest TPR
    for its FAR. With up to 384 impostor pairs it has every such point; with more, those nearest below 256 FARs evenly
    spaced by logarithm and 128 evenly spaced ones, those of the targets, and both ends.

    Args:
        similarity: Similarities (Q, G), larger is closer; where it lies, there the pairs are counted.
        q_pids: Identities of the queries (Q,).
        g_pids: Identities of the gallery (G,).
        fars: FAR targets, in (0, 1].
        query: Query embeddings (Q, D) in place of similarities, as is `gallery`; compared by cosine, computed twice, in
            float64, and rounded to float32, so that equal embeddings tie.
        gallery: Gallery embeddings (G, D).
        chunk_size: Queries compared at a time, which bounds the memory and changes no result; None: as many as keep it
            below 150 MB, besides the gallery's embeddings in float64.

    Returns:
        Rank-1, VR and threshold for each target, the ROC curve, the numbers of pairs, the number of valid queries, and
        warnings. Rank-1 is the part of the valid queries whose most similar gallery image (the first of several) is of
        their identity; a query without a match in the gallery is not valid, but its impostor pairs count.

    Raises:
        ValueError: Shapes that do not fit, NaN or infinite values, a target outside (0, 1], no genuine pair, or no
            impostor pair.

    >>> result = verification([[.9, .3, .2], [.4, .8, .4]], q_pids=[1, 2], g_pids=[1, 2, 1], fars=(0.5, 0.1))
    >>> result.rank1, result.num_genuine, result.num_impostor
    (1.0, 3, 3)
    >>> {far: round(vr, 2) for far, vr in result.vr.items()}
    {0.5: 0.67, 0.1: 0.67}
    >>> result.warnings
    ['FAR 0.1 is below 1 / 3, the smallest that 3 impostor pairs resolve: VR is that of FAR 0.']
    """
    targets = [float(far) for far in fars]
    for far in targets:
        if not 0 < far <= 1:
            raise ValueError(f'fars holds {far}, but a FAR target must lie in (0, 1]: 0.01 stands for 1 %.')
    pairs = _check(similarity, q_pids, g_pids, query, gallery, chunk_size)
    num_pairs = len(pairs.q_pids) * len(pairs.g_pids)
    num_genuine = _num_genuine(pairs.q_pids, pairs.g_pids)
    num_impostor = num_pairs - num_genuine
    if num_genuine == 0:
        raise ValueError(
            f'None of the {num_pairs} pairs is genuine: the identities of the {len(pairs.q_pids)} queries and of the '
            f'{len(pairs.g_pids)} gallery images do not overlap. Check q_pids and g_pids.')
    if num_impostor == 0:
        raise ValueError(
            f'None of the {num_pairs} pairs is an impostor: all images are of one identity, and at least 2 are needed '
            f'for a FAR. Check q_pids and g_pids.')

    device = pairs.q_pids.device
    allowed = {far: _allowed(far, num_impostor) for far in targets}
    numbers = np.unique([*_spread(num_impostor), *(n for n in allowed.values() if n < num_impostor)]).astype(np.int64)
    search = _Search(numbers)
    bits = torch.finfo(pairs.dtype).bits
    first = min(_FIRST_BITS, bits)
    offset = 1 << first - 1  # keys are signed
    shift = bits - first
    counts = torch.zeros(2 << first, dtype=torch.int64, device=device)
    lowest, highest = math.inf, -math.inf
    hits = n_valid = 0
    for scores, genuine in pairs.chunks():
        low, high = scores.aminmax()
        lowest, highest = min(lowest, float(low)), max(highest, float(high))
        hits += int(genuine.gather(1, scores.argmax(dim=1, keepdim=True)).sum())
        n_valid += int(genuine.any(dim=1).sum())
        _count(counts, (_keys(scores) >> shift).long() + offset, genuine)
    search.step(np.zeros(1, dtype=np.int64), counts, first, lowest=-offset)

    # only where a threshold lies the rest of the bits matters
    matters = torch.zeros(1 << first, dtype=torch.bool, device=device)
    matters[torch.from_numpy(search.keys + offset).to(device)] = True
    while shift:
        width = min(_LATER_BITS, shift)
        prefixes = np.unique(search.keys)
        known = torch.from_numpy(prefixes).to(device)
        counts = torch.zeros(len(prefixes) << width + 1, dtype=torch.int64, device=device)
        for scores, genuine in pairs.chunks():
            keys = _keys(scores)
            some = matters[(keys >> bits - first).long() + offset]
            keys, genuine = keys[some].long(), genuine[some]
            prefix = keys >> shift
            slot = torch.searchsorted(known, prefix).clamp_(max=len(known) - 1)
            some = known[slot] == prefix
            bins = (slot << width) + (keys >> shift - width & (1 << width) - 1)
            _count(counts, bins[some], genuine[some])
        search.step(prefixes, counts, width)
        shift -= width

    bottom, top = _keys(torch.tensor([lowest, highest], dtype=pairs.dtype)).tolist()
    # just above the impostor pairs that were searched for, and above all pairs, and all of them
    above = np.concatenate([[top + 1], search.keys + 1, [bottom]])
    accepted = np.concatenate([[0], numbers - search.left, [num_impostor]])
    right = np.concatenate([[0], search.genuine, [num_genuine]])
    values = _values(above, pairs.dtype)
    _, points = np.unique(-above, return_index=True)
    roc = ROC(accepted[points] / num_impostor, right[points] / num_genuine, values[points])
    place = {far: 1 + int(np.searchsorted(numbers, number)) for far, number in allowed.items()}
    return VerificationResult(
        rank1=hits / n_valid,
        vr={far: int(right[place[far]]) / num_genuine for far in targets},
        thresholds={far: float(values[place[far]]) for far in targets},
        roc=roc,
        num_genuine=num_genuine,
        num_impostor=num_impostor,
        n_valid=n_valid,
        warnings=[
            f'FAR {far} is below 1 / {num_impostor}, the smallest that {num_impostor} impostor pairs resolve: VR is '
            f'that of FAR 0.' for far, number in allowed.items() if number == 0],
    )
