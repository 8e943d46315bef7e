"""Slow, literal transcriptions of the equations of FDNM (arXiv 2401.02162, section 3) and of the re-id metrics.

Nothing here is shared with the implementation: the spectra are full ones (`fft2`), the reconstructions polar, and the
sums are Python loops, so that a mistake in a half spectrum, a weighting or a mask cannot appear on both sides.
"""
import math
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

Tensor = torch.Tensor


# ----------------------------------------------------------------------------------------------- layers, Eq. 1-6

def polar(image: Tensor) -> Tuple[Tensor, Tensor]:
    """Amplitude and phase (Eq. 2, 3) of the full orthonormal spectrum (Eq. 1) of one (H, W) map."""
    spectrum = torch.fft.fft2(image, norm='ortho')
    return spectrum.abs(), spectrum.angle()


def from_polar(amplitude: Tensor, phase: Tensor) -> Tensor:
    """The real part of the inverse transform of amplitude * exp(j * phase), both of the full spectrum."""
    spectrum = amplitude * torch.exp(1j * phase.to(torch.complex128))
    return torch.fft.ifft2(spectrum, norm='ortho').real


def hermitian_extension(half: Tensor, width: int) -> Tensor:
    """The (H, W) even amplitude A(-u, -v) = A(u, v) of a half spectrum (H, W//2 + 1)."""
    height, columns = half.shape
    assert columns == width // 2 + 1
    full = torch.zeros(height, width, dtype=half.dtype)
    for u in range(height):
        for v in range(width):
            full[u, v] = half[u, v] if v < columns else half[(-u) % height, width - v]
    return full


def agp_gate(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """S (B, C) of Eq. 4: the mean of A runs over the half spectrum (the paper's C x H1 x W1)."""
    batch, channels, _, width = x.shape
    gate = torch.zeros(batch, channels, dtype=torch.float64)
    for b in range(batch):
        means = [polar(x[b, c])[0][:, :width // 2 + 1].mean() for c in range(channels)]
        for c in range(channels):
            logit = bias[c] + sum(weight[c, k] * means[k] for k in range(channels))
            gate[b, c] = 1 / (1 + torch.exp(-logit))
    return gate


def agp(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Eq. 4-5 for x (B, C, H, W), weight (C, C), bias (C,), all float64."""
    gate = agp_gate(x, weight, bias)
    y = torch.zeros_like(x)
    for b in range(x.shape[0]):
        for c in range(x.shape[1]):
            amplitude, phase = polar(x[b, c])
            y[b, c] = from_polar(amplitude, gate[b, c] * phase + phase)
    return y


def anm_branch(
        x: Tensor,
        conv_weight: Tensor,
        conv_bias: Optional[Tensor],
        norm_weight: Tensor,
        norm_bias: Tensor,
        eps: float,
        residual: bool = True,
) -> Tensor:
    """One branch of Eq. 6, back in the spatial domain and before the batch norm; conv_weight is (C, C)."""
    batch, channels, height, width = x.shape
    columns = width // 2 + 1
    y = torch.zeros_like(x)
    for b in range(batch):
        amplitudes, phases = [], []
        for c in range(channels):
            amplitude, phase = polar(x[b, c])
            # exp(j * 0) = 1 where there is no phase; `angle` may answer pi for a negative zero
            phases.append(torch.where(amplitude == 0, torch.zeros_like(phase), phase))
            amplitudes.append(amplitude[:, :columns])
        for c in range(channels):
            mixed = torch.zeros(height, columns, dtype=torch.float64)
            for k in range(channels):
                mixed = mixed + conv_weight[c, k] * amplitudes[k]
            if conv_bias is not None:
                mixed = mixed + conv_bias[c]
            if mixed.numel() == 1:
                normed = torch.full_like(mixed, float(norm_bias[c]))  # one bin has no variance: the bias remains
            else:
                mean = mixed.mean()
                var = ((mixed - mean) ** 2).mean()
                normed = (mixed - mean) / torch.sqrt(var + eps) * norm_weight[c] + norm_bias[c]
            new = amplitudes[c] + normed if residual else normed
            y[b, c] = from_polar(hermitian_extension(new, width), phases[c])
    return y


def batch_norm(
        maps: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        running_mean: Optional[Tensor] = None,
        running_var: Optional[Tensor] = None,
) -> Tensor:
    """Batch norm of (N, C, H, W): with the batch's own statistics unless running ones are given."""
    y = torch.zeros_like(maps)
    for c in range(maps.shape[1]):
        if running_mean is None:
            mean = maps[:, c].mean()
            var = ((maps[:, c] - mean) ** 2).mean()
        else:
            mean, var = running_mean[c], running_var[c]
        y[:, c] = (maps[:, c] - mean) / torch.sqrt(var + eps) * weight[c] + bias[c]
    return y


def anm(module: torch.nn.Module, x: Tensor, residual: bool = True) -> Tuple[Tensor, Tensor]:
    """Section 3.4 with the parameters of `module` (its public attributes only), in the mode that `module` is in."""
    channels = x.shape[1]
    outs = []
    for branch in module.branches:
        conv, norm = branch.conv, branch.norm
        outs.append(anm_branch(
            x,
            conv.weight.detach().double().reshape(channels, channels),
            None if conv.bias is None else conv.bias.detach().double(),
            norm.weight.detach().double(),
            norm.bias.detach().double(),
            norm.eps,
            residual,
        ))
    assert len(outs) == 2
    bn = module.bn
    running = () if module.training else (bn.running_mean.double(), bn.running_var.double())
    joint = batch_norm(torch.cat(outs), bn.weight.detach().double(), bn.bias.detach().double(), bn.eps, *running)
    return joint[:x.shape[0]], joint[x.shape[0]:]


# ----------------------------------------------------------------------------------------------- losses, Eq. 7-9

def euclidean(a: Sequence[float], b: Sequence[float]) -> float:
    return math.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))


def centres(f: Tensor, pids: Sequence[int], modality: Sequence[int], which: int) -> dict:
    """pid -> mean of its features of modality `which`, as a list of floats."""
    out = {}
    for pid in sorted(set(int(p) for p in pids)):
        rows = [f[n].tolist() for n in range(len(pids)) if int(pids[n]) == pid and int(modality[n]) == which]
        out[pid] = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return out


def cnm_terms(
        f1: Tensor,
        f2: Tensor,
        pids: Sequence[int],
        modality: Sequence[int],
        margin: float = 0.2,
        reduction: str = 'mean',
) -> List[float]:
    """Eq. 7 for c_v1, c_v2, c_i1, c_i2: 'sum' as printed, 'mean' that sum over the number of pairs j != k."""
    v, i = 0, 1
    c = {(m, b): centres(f, pids, modality, m) for m in (v, i) for b, f in ((1, f1), (2, f2))}
    ids = sorted(c[v, 1])
    terms = []
    for m, b in ((v, 1), (v, 2), (i, 1), (i, 2)):
        own, other_modality, other_branch = c[m, b], c[1 - m, b], c[m, 3 - b]
        total, pairs = 0.0, 0
        for j in ids:
            for k in ids:
                if j == k:
                    continue
                value = (
                    2 * euclidean(own[j], other_modality[j])
                    - euclidean(own[j], other_branch[j])
                    - euclidean(own[j], own[k])
                    + margin
                )
                total += max(value, 0.0)
                pairs += 1
        terms.append(total if reduction == 'sum' else total / pairs)
    return terms


def cnm(f1, f2, pids, modality, margin: float = 0.2, reduction: str = 'mean') -> float:
    """Eq. 8."""
    return sum(cnm_terms(f1, f2, pids, modality, margin, reduction)) / 4


def hard_triplet(features: Tensor, pids: Sequence[int], margin: float = 0.3) -> float:
    """Hardest positive and hardest negative of every anchor in the batch, hinge, mean over the anchors."""
    n = len(pids)
    rows = [features[a].tolist() for a in range(n)]
    total = 0.0
    for a in range(n):
        farthest = max(euclidean(rows[a], rows[b]) for b in range(n) if int(pids[b]) == int(pids[a]))
        nearest = min(euclidean(rows[a], rows[b]) for b in range(n) if int(pids[b]) != int(pids[a]))
        total += max(farthest - nearest + margin, 0.0)
    return total / n


def cross_entropy(logits: Tensor, pids: Sequence[int]) -> float:
    total = 0.0
    for n in range(len(pids)):
        row = logits[n].tolist()
        top = max(row)
        total += top + math.log(sum(math.exp(value - top) for value in row)) - row[int(pids[n])]
    return total / len(pids)


def fdnm_parts(
        features: Tensor,
        logits: Tensor,
        pids: Sequence[int],
        modality: Sequence[int],
        margin_tri: float = 0.3,
        margin_cnm: float = 0.2,
        cnm_reduction: str = 'mean',
) -> dict:
    """The three parts of Eq. 9, unweighted; features and logits are (B, branches, heads, .)."""
    _, branches, heads, _ = features.shape
    id_, tri = 0.0, 0.0
    for b in range(branches):
        for h in range(heads):
            id_ += cross_entropy(logits[:, b, h], pids) / (branches * heads)
            tri += hard_triplet(features[:, b, h], pids, margin_tri) / (branches * heads)
    parts = {'id': id_, 'tri': tri, 'cnm': 0.0}
    if branches == 2:
        for h in range(heads):
            parts['cnm'] += cnm(features[:, 0, h], features[:, 1, h], pids, modality, margin_cnm, cnm_reduction) / heads
    return parts


# ----------------------------------------------------------------------------------------------- metrics

class Ranking(NamedTuple):
    cmc: np.ndarray
    mAP: float
    mINP: float
    n_valid: int


class QueryRanking(NamedTuple):
    """Of one query; None where there is no match."""
    first: Optional[int]
    ap: Optional[float]
    inp: Optional[float]


def ranking_of(
        q: int,
        distmat: np.ndarray,
        q_pids: Sequence[int],
        g_pids: Sequence[int],
        q_camids: Optional[Sequence[int]] = None,
        g_camids: Optional[Sequence[int]] = None,
        rule: Optional[str] = None,
) -> List[int]:
    """Gallery indices in the order of query q: sort, remove what the rule removes."""
    ranking = []
    # `sorted` is stable: equal distances keep the gallery's order
    for g in sorted(range(distmat.shape[1]), key=lambda g: distmat[q, g]):
        if rule == 'same_camera' and g_pids[g] == q_pids[q] and g_camids[g] == q_camids[q]:
            continue
        if rule == 'sysu_mm01' and q_camids[q] == 3 and g_camids[g] == 2:
            continue
        ranking.append(g)
    return ranking


def rank_queries(
        distmat: np.ndarray,
        q_pids: Sequence[int],
        g_pids: Sequence[int],
        q_camids: Optional[Sequence[int]] = None,
        g_camids: Optional[Sequence[int]] = None,
        rule: Optional[str] = None,
        cmc: str = 'identity',
) -> List[QueryRanking]:
    """One query at a time: walk down its list. `first` counts from 1."""
    out = []
    for q in range(distmat.shape[0]):
        ranking = [g_pids[g] for g in ranking_of(q, distmat, q_pids, g_pids, q_camids, g_camids, rule)]
        if q_pids[q] not in ranking:
            out.append(QueryRanking(None, None, None))
            continue

        matches, average, last = 0, 0.0, 0
        for position, pid in enumerate(ranking, 1):
            if pid == q_pids[q]:
                matches += 1
                average += matches / position
                last = position

        if cmc == 'identity':
            shown = []
            for pid in ranking:
                if pid not in shown:
                    shown.append(pid)
        else:
            shown = ranking
        out.append(QueryRanking(shown.index(q_pids[q]) + 1, average / matches, matches / last))
    return out


def rank(distmat: np.ndarray, *args, **kwargs) -> Ranking:
    """The means over the queries that have a match; arguments of `rank_queries`. CMC has one entry a gallery item."""
    queries = [one for one in rank_queries(distmat, *args, **kwargs) if one.first is not None]
    if not queries:
        raise ValueError('no query has a match')
    curve = [0.0] * distmat.shape[1]
    for one in queries:
        for r in range(1, len(curve) + 1):
            if r >= one.first:
                curve[r - 1] += 1
    valid = len(queries)
    return Ranking(
        np.array(curve) / valid, sum(one.ap for one in queries) / valid, sum(one.inp for one in queries) / valid, valid)


def sysu_mm01_official(
        distmat: np.ndarray,
        probe_ids: Sequence[int],
        gallery_ids: Sequence[int],
        probe_cams: Sequence[int],
        gallery_cams: Sequence[int],
) -> Tuple[np.ndarray, float]:
    """CMC and mAP as SYSU-MM01's own MATLAB code defines them (ranks counted from 1, as there).

    A camera stands for its place, and cameras 2 and 3 look at the same one; a probe's gallery is the other places'.
    """
    places = {1: 1, 2: 2, 3: 2, 4: 4, 5: 5, 6: 6}
    num_ids = len(set(gallery_ids))
    hits, num_probes, precisions = [0] * num_ids, 0, []
    for p in range(len(probe_ids)):
        other = [g for g in range(len(gallery_ids)) if places[gallery_cams[g]] != places[probe_cams[p]]]
        order = np.argsort([distmat[p, g] for g in other], kind='stable')
        labels = [gallery_ids[other[o]] for o in order]
        if labels.count(probe_ids[p]) == 0:
            continue
        num_probes += 1
        # unique(labels, 'stable')
        hits[list(dict.fromkeys(labels)).index(probe_ids[p])] += 1
        true_ranks = [r for r, label in enumerate(labels, 1) if label == probe_ids[p]]
        precisions.append(sum(i / r for i, r in enumerate(true_ranks, 1)) / len(true_ranks))
    return np.cumsum(hits) / num_probes, sum(precisions) / num_probes


def agw_family(
        distmat: np.ndarray,
        q_pids: np.ndarray,
        g_pids: np.ndarray,
        q_camids: Optional[np.ndarray],
        g_camids: Optional[np.ndarray],
        benchmark: str,
        max_rank: int = 20,
) -> Ranking:
    """The evaluation loops of the AGW family of codes, by cumulated matches; 'sysu', 'llcm' or 'regdb'.

    Their identity curve sums over all queries, those without a match too (which add zeros), and divides by the number
    of the others. It is as long as the shortest query's list of identities, at most `max_rank`.
    """
    indices = np.argsort(distmat, axis=1, kind='stable')
    curves, identity_curves, precisions, penalties = [], [], [], []
    for q in range(len(q_pids)):
        order = indices[q]
        if benchmark == 'sysu':
            remove = (q_camids[q] == 3) & (g_camids[order] == 2)
        elif benchmark == 'llcm':
            remove = (g_pids[order] == q_pids[q]) & (g_camids[order] == q_camids[q])
        else:
            remove = np.zeros(len(order), dtype=bool)
        labels = g_pids[order][~remove]
        first_places = np.unique(labels, return_index=True)[1]
        identity_curves.append((labels[np.sort(first_places)] == q_pids[q]).astype(np.int32).cumsum()[:max_rank])
        matches = (labels == q_pids[q]).astype(np.int32)
        if not np.any(matches):
            continue
        cumulated = matches.cumsum()
        last = np.max(np.where(matches == 1))
        penalties.append(cumulated[last] / (last + 1.0))
        curves.append(np.minimum(cumulated, 1)[:max_rank])
        precisions.append((cumulated / (np.arange(len(matches)) + 1.0) * matches).sum() / matches.sum())
    valid = len(precisions)
    chosen = curves if benchmark == 'regdb' else identity_curves
    length = min(map(len, chosen))
    return Ranking(
        np.sum([c[:length] for c in chosen], axis=0) / valid, float(np.mean(precisions)), float(np.mean(penalties)),
        valid)


def bootstrap(
        values: Sequence[float],
        pids: Sequence[int],
        draws: Sequence[Sequence[int]],
        level: float,
) -> Tuple[float, float]:
    """Percentile interval over samples; a sample's draws are indices into the sorted identities of valid queries."""
    rows = [q for q in range(len(pids)) if not math.isnan(values[q])]
    ids = sorted({pids[q] for q in rows})
    means = []
    for sample in draws:
        drawn = [values[q] for place in sample for q in rows if pids[q] == ids[place]]
        means.append(sum(drawn) / len(drawn))
    means.sort()

    def percentile(part: float) -> float:
        at = part * (len(means) - 1)
        low = math.floor(at)
        high = min(low + 1, len(means) - 1)
        return means[low] + (at - low) * (means[high] - means[low])

    return percentile((1 - level) / 2), percentile((1 + level) / 2)
