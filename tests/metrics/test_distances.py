import doctest
import sys

import numpy as np
import pytest

from fdnm_timm.metrics.distances import MAX_DISTANCE, NUM_BINS, pair_distances

EDGES = np.linspace(0, MAX_DISTANCE, NUM_BINS + 1)


@pytest.fixture(scope='module')
def pairs() -> dict:
    rng = np.random.default_rng(0)
    return dict(
        distmat=rng.uniform(0.001, 1.999, (17, 23)), q_pids=rng.integers(0, 4, 17), g_pids=rng.integers(0, 4, 23),
        q_camids=rng.integers(1, 5, 17), g_camids=rng.integers(1, 5, 23))


def kept(pairs: dict, rule) -> np.ndarray:
    q_cams, g_cams = pairs['q_camids'][:, None], pairs['g_camids']
    if rule == 'sysu_mm01':
        return ~((q_cams == 3) & (g_cams == 2))
    if rule == 'same_camera':
        return ~((q_cams == g_cams) & (pairs['q_pids'][:, None] == pairs['g_pids']))
    return np.ones((17, 23), dtype=bool)


@pytest.mark.parametrize('rule', [None, 'sysu_mm01', 'same_camera'])
@pytest.mark.parametrize('chunk_size', [None, 5])
def test_against_numpy(pairs, rule, chunk_size):
    found = pair_distances(**pairs, rule=rule, chunk_size=chunk_size)
    same = pairs['q_pids'][:, None] == pairs['g_pids']
    left = kept(pairs, rule)
    for place, kind in enumerate((same & left, ~same & left)):
        values = pairs['distmat'][kind]
        assert found.counts[place].tolist() == np.histogram(values, EDGES)[0].tolist()
        assert found.sums[place] == pytest.approx(values.sum(), rel=1e-12)
    assert found.counts.sum() == left.sum() and (rule is None) == left.all()


def test_embeddings_and_rounding_beyond_the_ends():
    query = np.array([[1., 0.], [0., -2.]])
    found = pair_distances(query, query, [1, 2], [1, 3])
    assert np.argwhere(found.counts).tolist() == [[0, 0], [1, 0], [1, 100]]
    assert found.counts[1][[0, 100]].tolist() == [1, 2]
    ends = pair_distances(q_pids=[1], g_pids=[1, 1], distmat=[[-1e-7, 2 + 1e-7]])
    assert ends.counts[0][[0, -1]].tolist() == [1, 1]


def test_no_cosine_distances(pairs):
    with pytest.raises(ValueError, match='from 0.* to 19.*cosine distances are expected'):
        pair_distances(**{**pairs, 'distmat': 10 * pairs['distmat']})
    with pytest.raises(ValueError, match='q_pids and g_pids are needed'):
        pair_distances(distmat=pairs['distmat'])


def test_example():
    failed, attempted = doctest.testmod(sys.modules['fdnm_timm.metrics.distances'])
    assert attempted and not failed
