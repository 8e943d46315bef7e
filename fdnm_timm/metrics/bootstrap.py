"""Intervals of means over queries, by resampling identities.

Queries of one person share their difficulty: resampling single queries would give intervals that are too narrow.
"""
from typing import Any, NamedTuple

import numpy as np
import torch

__all__ = ['Interval', 'bootstrap', 'bootstrap_difference']


class Interval(NamedTuple):
    """In the unit of the values."""
    mean: float  # over the valid queries
    low: float
    high: float


def _per_query(name: str, values: Any, num_query: int) -> np.ndarray:
    """Values (Q,) in float64, averaged over the runs."""
    array = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values, dtype=np.float64)
    if array.ndim not in (1, 2) or array.shape[-1] != num_query or len(array) == 0 < num_query:
        raise ValueError(
            f'{name} has shape {list(array.shape)}, but [{num_query}] or [K, {num_query}] is expected, one value a '
            f'query of pids, or as many for each of K >= 1 runs.')
    if np.isinf(array).any():
        raise ValueError(f'{name} holds infinite values: they have no mean. An invalid query is NaN.')
    return array if array.ndim == 1 else array.mean(axis=0)


def _labels(pids: Any) -> np.ndarray:
    array = np.asarray(pids.detach().cpu() if isinstance(pids, torch.Tensor) else pids)
    if array.ndim != 1:
        raise ValueError(f'pids has shape {list(array.shape)}, but (Q,) is expected, one identity a query.')
    return array


def _interval(values: np.ndarray, pids: np.ndarray, num_samples: int, level: float, seed: int) -> Interval:
    if num_samples < 1:
        raise ValueError(f'num_samples is {num_samples}, but at least 1 sample is drawn; 1000 or more tell something.')
    if not 0 < level < 1:
        raise ValueError(f'level is {level}, but must lie between 0 and 1, such as 0.95.')
    valid = ~np.isnan(values)
    values, pids = values[valid], pids[valid]
    if len(values) == 0:
        raise ValueError(f'None of the {len(valid)} queries has a valid value (all are NaN): there is no mean.')
    ids, place = np.unique(pids, return_inverse=True)
    num_ids = len(ids)
    if num_ids == 1:
        raise ValueError(
            f'All {len(values)} valid queries are of one identity ({ids[0]}), but at least 2 are needed to resample '
            f'identities.')
    # how often each identity is in each sample
    draws = np.random.default_rng(seed).integers(0, num_ids, (num_samples, num_ids))
    draws += num_ids * np.arange(num_samples)[:, None]
    times = np.bincount(draws.ravel(), minlength=num_samples * num_ids).reshape(num_samples, num_ids).astype(np.float64)
    sums, numbers = np.bincount(place, weights=values), np.bincount(place)
    means = (times @ sums) / (times @ numbers)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def bootstrap(
        values: Any,
        pids: Any,
        num_samples: int = 2000,
        level: float = 0.95,
        seed: int = 0,
) -> Interval:
    """Percentile interval of a mean over queries, by the bootstrap over identities.

    Identities, not queries, are drawn with replacement, as many as there are; a sample's value is the mean over all
    queries of the drawn identities. Nothing but `seed` decides the draws.

    Args:
        values: One value a query (Q,), such as `rank_queries(...).ap`; or (K, Q) of K runs or trials of the same
            queries, which are averaged first. A query that is NaN (in any of the runs) is invalid and left out.
        pids: Identities of the queries (Q,).
        num_samples: Number of samples.
        level: Part of the samples' means that lies in the interval, in (0, 1).
        seed: Of the draws.

    Returns:
        The mean over the valid queries, and the interval's ends.

    Raises:
        ValueError: Shapes that do not fit, infinite values, no valid query, a single identity, `level` outside (0, 1),
            or no sample.

    >>> bootstrap([1, 1, 0, 1], pids=[7, 7, 8, 9])
    Interval(mean=0.75, low=0.0, high=1.0)
    """
    pids = _labels(pids)
    return _interval(_per_query('values', values, len(pids)), pids, num_samples, level, seed)


def bootstrap_difference(
        a: Any,
        b: Any,
        pids: Any,
        num_samples: int = 2000,
        level: float = 0.95,
        seed: int = 0,
) -> Interval:
    """Percentile interval of the difference of two means over the same queries: that of `a` less that of `b`.

    Paired: both sides of a sample are of the same draw of identities, as `bootstrap` draws them.

    Args:
        a: As `values` of `bootstrap`.
        b: The same for the other model; the number of runs may be another. A query that is NaN in either is left out
            of both.
        pids: Identities of the queries (Q,).
        num_samples: Number of samples.
        level: Part of the samples' differences that lies in the interval, in (0, 1).
        seed: Of the draws.

    Returns:
        The difference of the means over the queries that are valid in both, and the interval's ends.

    Raises:
        ValueError: As for `bootstrap`.

    >>> bootstrap_difference([.5, .75, .25], [.25, .5, 0], pids=[7, 8, 9])
    Interval(mean=0.25, low=0.25, high=0.25)
    """
    pids = _labels(pids)
    difference = _per_query('a', a, len(pids)) - _per_query('b', b, len(pids))
    return _interval(difference, pids, num_samples, level, seed)
