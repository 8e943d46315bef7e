"""From embeddings to the numbers of a protocol."""
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
import torch

from ..data import Record
from ..metrics import QueryRanks, cosine_distances, rank_queries, retrieve, verification
from ..metrics.distances import PairDistances, pair_distances
from ..protocols import Setting, Trial
from ..saved import Outcomes
from ._torchreid import re_ranking

__all__ = ['RankedLists', 'evaluate_setting', 'metrics_of', 'needed_records']


class RankedLists(NamedTuple):
    """The first places of one setting's first trial, for pictures."""
    query: List[Record]
    gallery: List[Record]
    places: np.ndarray  # (Q, top) gallery indices, -1 where the rule leaves fewer


def needed_records(settings: Sequence[Setting]) -> List[Record]:
    """Every image that any trial needs, once."""
    return list({
        record[0]: record
        for setting in settings for trial in setting.trials for records in trial for record in records
    }.values())


def _labels(records: Sequence[Record]) -> Tuple[np.ndarray, np.ndarray]:
    return np.array([pid for _, pid, _ in records]), np.array([camid for _, _, camid in records])


class _Distances:
    """Cosine distances of a setting, computed once for all trials: they share most of their images."""

    def __init__(self, setting: Setting, rows: Mapping[str, int], features: torch.Tensor) -> None:
        self.features, self.rows = features, rows
        self.places = []
        for part in (0, 1):
            paths = dict.fromkeys(record[0] for trial in setting.trials for record in trial[part])
            self.places.append({path: place for place, path in enumerate(paths)})
        query, gallery = (features[[rows[path] for path in places]] for places in self.places)
        self.matrix = cosine_distances(query, gallery)

    def of(self, trial: Trial) -> torch.Tensor:
        query, gallery = (
            torch.tensor([places[record[0]] for record in records]) for places, records in zip(self.places, trial))
        return self.matrix[query[:, None], gallery[None]]

    def reranked(self, trial: Trial) -> torch.Tensor:
        """By k-reciprocal encoding, with its authors' k1 = 20, k2 = 6 and lambda = 0.3."""
        query, gallery = (self.features[[self.rows[record[0]] for record in records]] for records in trial)
        return torch.as_tensor(re_ranking(
            self.of(trial).numpy(), *(cosine_distances(part, part).numpy() for part in (query, gallery))))


def _summary(ranks: Sequence[int], outcome: QueryRanks) -> Dict[str, float]:
    """In percent, over the queries that have a match."""
    first = outcome.first[outcome.valid]
    return {
        **{f'R{r}': 100 * float(np.mean(first < r)) for r in ranks},
        'mAP': 100 * float(np.mean(outcome.ap[outcome.valid])),
        'mINP': 100 * float(np.mean(outcome.inp[outcome.valid])),
    }


def vr_name(far: float) -> str:
    """What tables call a verification rate: 'VR@FAR=0.1%' for 0.001."""
    return f'VR@FAR={100 * far:g}%'


def metrics_of(result: Mapping[str, Any]) -> List[str]:
    """Names of a result's figures, in the order of a table."""
    return [
        *(name for name in result if name[0] == 'R' and name[1:].isdigit()), 'mAP', 'mINP',
        *(name for name in result if name.startswith('VR@FAR=')),
    ]


class _Verified(NamedTuple):
    """Verification of one trial."""
    figures: Dict[str, Any]  # rates in percent and what they rest on, as JSON values
    warnings: List[str]
    accepted: np.ndarray  # (F, Q) and
    roc: np.ndarray  # (3, P), as in `Outcomes`


def _verify(distmat: torch.Tensor, q_pids: np.ndarray, g_pids: np.ndarray, fars: Sequence[float]) -> _Verified:
    similarity = 1 - distmat
    result = verification(similarity, q_pids, g_pids, fars)
    genuine = torch.from_numpy(q_pids[:, None] == g_pids)
    pairs = genuine.sum(dim=1).numpy()
    accepted = np.stack([
        ((similarity >= threshold) & genuine).sum(dim=1).numpy() for threshold in result.thresholds.values()])
    figures = {
        **{vr_name(far): 100 * vr for far, vr in result.vr.items()},
        'thresholds': {vr_name(far): threshold for far, threshold in result.thresholds.items()},
        'genuine_pairs': result.num_genuine, 'impostor_pairs': result.num_impostor,
    }
    return _Verified(
        figures, result.warnings, np.where(pairs > 0, accepted / pairs[pairs > 0].mean(), np.nan), np.stack(result.roc))


def _together(pairs: Sequence[PairDistances]) -> Tuple[np.ndarray, np.ndarray]:
    """`distances` and `distance_means` of `Outcomes`, of the trials' pairs."""
    counts = np.sum([of_trial.counts for of_trial in pairs], axis=0)
    number = counts.sum(axis=1)
    return counts, np.sum([of_trial.sums for of_trial in pairs], axis=0) / np.where(number, number, np.nan)


def evaluate_setting(
        setting: Setting,
        rows: Mapping[str, int],
        features: torch.Tensor,
        ranks: Sequence[int] = (1, 5, 10, 20),
        rerank: bool = False,
        top: int = 10,
) -> Tuple[Dict[str, Any], Outcomes, RankedLists]:
    """Evaluate one setting.

    Args:
        setting: Queries, galleries and rules.
        rows: Row of each record's path in `features`.
        features: Embeddings (N, D), on the CPU.
        ranks: r of the rank-r accuracies.
        rerank: Re-rank by k-reciprocal encoding.
        top: Places kept for pictures.

    Returns:
        The result as JSON values (R1, ..., mAP, mINP and the VR@FAR of the setting's `fars` in percent, means over the
        trials, 'std', their population standard deviation, 'trials', each one, and what the protocol was); every
        query's outcome; and the first places of the first trial.

    Raises:
        ValueError: No query of a trial has a match.
    """
    distances = _Distances(setting, rows, features)
    trials, outcomes, verified, pairs = [], [], [], []
    for number, trial in enumerate(setting.trials):
        cosine = distances.of(trial)
        distmat = distances.reranked(trial) if rerank else cosine
        (q_pids, q_camids), (g_pids, g_camids) = _labels(trial.query), _labels(trial.gallery)
        labels: Dict[str, Any] = dict(
            q_pids=q_pids, g_pids=g_pids, q_camids=q_camids, g_camids=g_camids, rule=setting.rule)
        outcome = rank_queries(distmat=distmat, cmc=setting.cmc, **labels)
        if not outcome.valid.any():
            raise ValueError(
                f'{setting.name}, trial {number}: none of the {len(q_pids)} queries has a match among the '
                f'{len(g_pids)} gallery images (rule {setting.rule!r}).')
        outcomes.append(outcome)
        pairs.append(pair_distances(distmat=cosine, **labels))
        if setting.fars:
            verified.append(_verify(distmat, q_pids, g_pids, setting.fars))
        trials.append({
            **_summary(ranks, outcome), **(verified[-1].figures if verified else {}),
            'queries': len(q_pids), 'valid_queries': int(outcome.valid.sum()), 'gallery': len(g_pids),
        })
        if number == 0:
            lists = RankedLists(
                trial.query, trial.gallery, retrieve(distmat=distmat, top=top, **labels))
            pids = q_pids
    metrics = metrics_of(trials[0])
    result = {
        **{metric: float(np.mean([t[metric] for t in trials])) for metric in metrics},
        'std': {metric: float(np.std([t[metric] for t in trials])) for metric in metrics},
        'trials': trials,
        **{count: trials[0][count] for count in ('queries', 'valid_queries', 'gallery')},
        'rule': setting.rule, 'cmc': setting.cmc, **setting.variant, 'reranked': rerank,
        'warnings': sorted({warning for of_trial in verified for warning in of_trial.warnings}),
    }
    counts, means = _together(pairs)
    of_queries = Outcomes(pids, *(np.stack([getattr(o, f) for o in outcomes]) for f in ('first', 'ap', 'inp')))
    of_queries = of_queries._replace(distances=counts, distance_means=means)
    if verified:
        of_queries = of_queries._replace(
            verified=np.array([vr_name(far) for far in setting.fars]),
            accepted=np.stack([of_trial.accepted for of_trial in verified]), roc=verified[0].roc)
    return result, of_queries, lists
