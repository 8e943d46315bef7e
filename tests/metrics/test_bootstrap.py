import numpy as np
import pytest
import torch

from fdnm_timm.metrics import Interval, bootstrap, bootstrap_difference, rank_queries
from tests import reference


def queries(seed: int = 0, identities: int = 9, effect: float = 1.0, noise: float = 1.0):
    """Values with a share that an identity's queries have in common; identities have 1 to 7 queries, mixed."""
    rng = np.random.default_rng(seed)
    pids = rng.permutation(np.repeat(rng.permutation(identities) * 13 + 5, rng.integers(1, 8, identities)))
    shared = dict(zip(np.unique(pids), rng.normal(0, effect, identities), strict=True))
    return np.array([shared[pid] for pid in pids]) + rng.normal(0, noise, len(pids)), pids


def draws(num_samples: int, identities: int, seed: int):
    return np.random.default_rng(seed).integers(0, identities, (num_samples, identities)).tolist()


# ------------------------------------------------------------------------------- agreement with loops

@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('level', [0.5, 0.95])
@pytest.mark.parametrize('num_samples', [1, 2, 200])
def test_equals_loops_over_the_same_draws(seed, level, num_samples):
    values, pids = queries(seed)
    values[[1, 4]] = np.nan
    left = ~np.isnan(values)
    got = bootstrap(values, pids, num_samples, level, seed)
    assert isinstance(got, Interval) and all(type(value) is float for value in got)
    assert got.mean == pytest.approx(values[left].mean(), abs=1e-12)
    expected = reference.bootstrap(
        values.tolist(), pids.tolist(), draws(num_samples, len(set(pids[left])), seed), level)
    assert got[1:] == pytest.approx(expected, abs=1e-12)


def test_identities_are_weighed_by_their_queries():
    # samples are (a, a), (a, b), (b, b): means 0, 3/4, 1, never 1/2
    values, pids = [0, 1, 1, 1], [4, 9, 9, 9]
    assert bootstrap(values, pids, 3000).mean == 0.75
    drawn = [bootstrap(values, pids, 1, seed=seed).low for seed in range(200)]
    assert set(drawn) == {0, 0.75, 1}
    assert drawn.count(0.75) == pytest.approx(100, abs=30)


def test_runs_are_averaged_first():
    values, pids = queries()
    runs = np.stack([values, values + 3, 2 * values])
    assert bootstrap(runs, pids) == pytest.approx(bootstrap(runs.mean(axis=0), pids), abs=1e-12)
    assert bootstrap(values[None], pids) == bootstrap(values, pids)
    runs[1, 3] = np.nan  # invalid in one run: left out of all
    keep = np.arange(len(pids)) != 3
    assert bootstrap(runs, pids) == bootstrap(runs[:, keep], pids[keep])


def test_invalid_queries_are_left_out():
    values, pids = queries()
    gone = pids == pids[0]
    values[gone] = np.nan  # a whole identity is never drawn
    assert bootstrap(values, pids) == bootstrap(values[~gone], pids[~gone])


def test_draws_depend_on_the_seed_only():
    values, pids = queries()
    np.random.seed(3)
    first = bootstrap(values, pids)
    np.random.seed(4)
    state = np.random.get_state()[1].copy()
    assert bootstrap(values, pids, seed=0) == first != bootstrap(values, pids, seed=1)
    assert (np.random.get_state()[1] == state).all()


def test_inputs():
    values, pids = queries()
    expected = bootstrap(values, pids)
    copies = values.copy(), pids.copy()
    assert bootstrap(values.tolist(), pids.tolist()) == expected
    assert bootstrap(torch.from_numpy(values).requires_grad_(), torch.from_numpy(pids)) == expected
    assert bootstrap(values, [f'person {pid:04d}' for pid in pids]) == expected
    correct = values > 0
    assert bootstrap(correct, pids) == bootstrap(correct.astype(float), pids)
    assert bootstrap(values.astype(np.float32), pids) == pytest.approx(expected, abs=1e-6)
    np.testing.assert_array_equal(values, copies[0])
    np.testing.assert_array_equal(pids, copies[1])


def test_of_a_ranking():
    rng = np.random.default_rng(0)
    q_pids, g_pids = np.repeat(np.arange(6), 4), np.arange(5)
    ranks = rank_queries(q_pids=q_pids, g_pids=g_pids, distmat=rng.random((24, 5)))
    got = bootstrap(ranks.ap, q_pids)
    assert got.mean == pytest.approx(ranks.ap[:20].mean()) and 0 < got.low < got.mean < got.high < 1


# ------------------------------------------------------------------------------- what an interval means

def test_level():
    values, pids = queries()
    narrow, wide = bootstrap(values, pids, level=0.5), bootstrap(values, pids, level=0.99)
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_coverage_with_identity_effects():
    covered = {'identities': 0, 'queries': 0}
    for seed in range(300):
        values, pids = queries(seed, identities=40)
        for name, groups in (('identities', pids), ('queries', np.arange(len(pids)))):
            interval = bootstrap(values, groups, 400, seed=seed)
            covered[name] += interval.low <= 0 <= interval.high
    assert 0.90 <= covered['identities'] / 300 <= 0.98
    # what it is for: single queries, taken for independent, promise too much
    assert covered['queries'] / 300 < 0.85


# ------------------------------------------------------------------------------- differences

def test_difference_is_paired():
    a, pids = queries(1)
    b = 0.9 * a + np.random.default_rng(5).normal(0.2, 0.1, len(a))
    difference = bootstrap_difference(a, b, pids)
    assert difference.mean == pytest.approx(a.mean() - b.mean(), abs=1e-12)
    assert difference == pytest.approx(bootstrap(a - b, pids), abs=1e-12)
    one, other = bootstrap(a, pids), bootstrap(b, pids)
    independent = np.hypot(one.high - one.low, other.high - other.low)
    assert difference.high - difference.low < 0.5 * independent
    back = bootstrap_difference(b, a, pids)
    assert back == pytest.approx((-difference.mean, -difference.high, -difference.low), abs=1e-12)


def test_difference_uses_the_draws_of_the_means():
    a, pids = queries(1)
    b, _ = queries(1, noise=2)
    for seed in range(5):
        one, other = (bootstrap(v, pids, 1, seed=seed).low for v in (a, b))
        assert bootstrap_difference(a, b, pids, 1, seed=seed).low == pytest.approx(one - other, abs=1e-12)


def test_difference_leaves_out_what_is_invalid_in_either():
    a, pids = queries(1)
    b = a[::-1].copy()
    a[2], b[5] = np.nan, np.nan
    keep = np.ones(len(a), dtype=bool)
    keep[[2, 5]] = False
    assert bootstrap_difference(a, b, pids) == bootstrap_difference(a[keep], b[keep], pids[keep])


def test_difference_of_runs():
    a, pids = queries(1)
    a, b = np.stack([a, a + 1, a + 5]), np.stack([a, 2 * a])
    assert bootstrap_difference(a, b, pids) == pytest.approx(
        bootstrap(a.mean(axis=0) - b.mean(axis=0), pids), abs=1e-12)


def test_no_difference():
    a, pids = queries(1)
    assert bootstrap_difference(a, a, pids) == (0, 0, 0)


# ------------------------------------------------------------------------------- errors

@pytest.mark.parametrize('shape', [(7,), (9,), (8, 1), (2, 7), (0, 8), (1, 2, 8), ()], ids=str)
def test_shapes(shape):
    values, pids = np.zeros(shape), np.arange(8)
    with pytest.raises(ValueError, match='values has shape.* but \\[8\\] or \\[K, 8\\] is expected'):
        bootstrap(values, pids)
    with pytest.raises(ValueError, match='a has shape'):
        bootstrap_difference(values, np.zeros(8), pids)
    with pytest.raises(ValueError, match='b has shape'):
        bootstrap_difference(np.zeros(8), values, pids)


def test_shape_of_pids():
    with pytest.raises(ValueError, match='pids has shape \\[2, 4\\]'):
        bootstrap(np.zeros(8), np.zeros((2, 4)))


def test_single_identity():
    with pytest.raises(ValueError, match='one identity \\(7\\)'):
        bootstrap([1, 2, 3], [7, 7, 7])
    with pytest.raises(ValueError, match='2 valid queries are of one identity'):
        bootstrap([1, 2, np.nan], [7, 7, 8])
    with pytest.raises(ValueError, match='one identity'):
        bootstrap_difference([1, np.nan], [1, 1], [7, 8])


@pytest.mark.parametrize('level', [0, 1, -0.5, 95, float('nan')])
def test_level_outside(level):
    for function, values in ((bootstrap, ([1, 2],)), (bootstrap_difference, ([1, 2], [1, 2]))):
        with pytest.raises(ValueError, match='level is'):
            function(*values, [1, 2], level=level)


def test_nothing_valid():
    with pytest.raises(ValueError, match='None of the 2 queries has a valid value'):
        bootstrap([np.nan, np.nan], [1, 2])
    with pytest.raises(ValueError, match='None of the 2'):
        bootstrap_difference([np.nan, 1], [1, np.nan], [1, 2])
    with pytest.raises(ValueError, match='None of the 0 queries'):
        bootstrap([], [])


def test_infinite_values():
    with pytest.raises(ValueError, match='values holds infinite'):
        bootstrap([1, np.inf], [1, 2])
    with pytest.raises(ValueError, match='b holds infinite'):
        bootstrap_difference([1, 2], [1, -np.inf], [1, 2])


def test_no_sample():
    with pytest.raises(ValueError, match='num_samples is 0'):
        bootstrap([1, 2], [1, 2], num_samples=0)
