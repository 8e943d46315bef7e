"""What became of every query of an evaluation."""
import os
from typing import Dict, List, Mapping, NamedTuple, Union

import numpy as np

from ._npz import read_arrays, write_arrays

__all__ = ['Outcomes', 'read_outcomes', 'write_outcomes']

# 32 bits hold every other value
_WIDE = ('distances', 'distance_means')
_NARROW = {'i': np.int32, 'f': np.float32}


class Outcomes(NamedTuple):
    """What became of every query of a setting, for intervals, paired comparisons and figures.

    T trials, Q queries, F false accept rates.
    """
    pids: np.ndarray  # (Q,)
    first: np.ndarray  # (T, Q) place of the first match from 0, -1 without a match
    ap: np.ndarray  # (T, Q) average precision, NaN without a match
    inp: np.ndarray  # (T, Q) inverse negative penalty, NaN without a match
    verified: np.ndarray = np.empty(0, dtype=str)  # (F,) names such as 'VR@FAR=1%'
    # (T, F, Q) accepted genuine pairs of a query over the mean number of genuine pairs, so that their mean is VR; NaN
    # without a match
    accepted: np.ndarray = np.empty((0, 0, 0))
    roc: np.ndarray = np.empty((3, 0))  # (3, P) FAR, TPR and threshold of the first trial
    # (2, B) pairs of a query and a gallery image that the rule leaves, over all trials, by cosine distance: those of
    # one identity, then those of two; B = metrics.distances.NUM_BINS, or 0 where they were not counted
    distances: np.ndarray = np.zeros((2, 0), dtype=np.int64)
    distance_means: np.ndarray = np.full(2, np.nan)  # (2,) of the same pairs; NaN where there are none

    @property
    def fars(self) -> List[float]:
        """The false accept rates of `verified`, as fractions."""
        return [float(name.removeprefix('VR@FAR=').removesuffix('%')) / 100 for name in self.verified.tolist()]

    def values(self, metric: str) -> np.ndarray:
        """(T, Q) in percent, NaN without a match.

        Args:
            metric: 'R1' and any other rank, 'mAP', 'mINP', or one of `verified`.

        Raises:
            ValueError: There is no such metric here.
        """
        if metric in ('mAP', 'mINP'):
            return 100 * (self.ap if metric == 'mAP' else self.inp)
        if metric in self.verified.tolist():
            return 100 * self.accepted[:, self.verified.tolist().index(metric)]
        if metric[:1] == 'R' and metric[1:].isdecimal():
            return np.where(self.first >= 0, 100. * (self.first < int(metric[1:])), np.nan)
        raise ValueError(
            f'The outcomes tell nothing of {metric!r}, only of R1, R2, ..., mAP, mINP'
            f'{"".join(", " + name for name in self.verified.tolist())}.')

    def per_trial(self, metric: str) -> np.ndarray:
        """(T,) in percent: each trial's figure, the mean over its queries that have a match. Raises as `values`."""
        return _mean(self.values(metric), axis=1)

    def per_query(self, metric: str) -> np.ndarray:
        """(Q,) in percent: the mean over the trials in which the query has a match, else NaN. Raises as `values`."""
        return _mean(self.values(metric), axis=0)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Over what is not NaN; NaN where nothing is."""
    valid = ~np.isnan(values)
    count = valid.sum(axis=axis)
    return np.where(valid, values, 0).sum(axis=axis) / np.where(count, count, np.nan)


def write_outcomes(path: Union[str, os.PathLike], outcomes: Mapping[str, Mapping[str, Outcomes]]) -> None:
    """Every query's outcome, of [target][setting], as an .npz with keys 'target/setting/field'."""
    write_arrays(path, {
        f'{target}/{setting}/{field}': value if field in _WIDE else value.astype(
            _NARROW.get(value.dtype.kind, value.dtype))
        for target, settings in outcomes.items() for setting, outcome in settings.items()
        for field, value in outcome._asdict().items()})


def read_outcomes(path: Union[str, os.PathLike]) -> Dict[str, Dict[str, Outcomes]]:
    """What `write_outcomes` wrote; what an older version did not write keeps its default.

    Raises:
        OSError: The file is missing.
        ValueError: It is damaged, or holds something else.
    """
    def parse(arrays: Mapping[str, np.ndarray]) -> Dict[str, Dict[str, Outcomes]]:
        found: Dict[str, Dict[str, Dict[str, np.ndarray]]] = {}
        for key, value in arrays.items():
            target, setting, field = key.split('/')
            found.setdefault(target, {}).setdefault(setting, {})[field] = value
        return {t: {s: Outcomes(**fields) for s, fields in settings.items()} for t, settings in found.items()}

    return read_arrays(path, parse, 'outcomes')
