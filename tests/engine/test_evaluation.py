import numpy as np
import pytest
import torch

from fdnm_timm.engine.evaluation import evaluate_setting, metrics_of
from fdnm_timm.metrics import verification
from fdnm_timm.protocols import Setting, Trial

FARS = (0.1, 0.01, 0.0001)


@pytest.fixture(scope='module')
def faces():
    """Probes of 12 people (one of them not enrolled), a gallery with one to three images of each."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((12, 6))
    query = [(f'q{i}', i % 12, 1) for i in range(36)]
    gallery = [(f'g{pid}{n}', pid, 0) for pid in range(11) for n in range(1 + pid % 3)]
    records = [*query, *gallery]
    features = torch.tensor(np.stack([centres[pid] + 0.6 * rng.standard_normal(6) for _, pid, _ in records])).float()
    setting = Setting('nir_to_vis', [Trial(query, gallery), Trial(query, gallery[::-1])], None, 'image', fars=FARS)
    return setting, {record[0]: row for row, record in enumerate(records)}, features


def test_verification_rates_beside_the_ranks(faces):
    setting, rows, features = faces
    result, outcomes, _ = evaluate_setting(setting, rows, features)
    query, gallery = setting.trials[0]
    q_pids, g_pids = ([pid for _, pid, _ in records] for records in (query, gallery))
    expected = verification(
        q_pids=q_pids, g_pids=g_pids, fars=FARS, query=features[:len(query)], gallery=features[len(query):])
    names = ['VR@FAR=10%', 'VR@FAR=1%', 'VR@FAR=0.01%']
    assert metrics_of(result) == ['R1', 'R5', 'R10', 'R20', 'mAP', 'mINP', *names]
    for name, far in zip(names, FARS, strict=True):
        assert result[name] == pytest.approx(100 * expected.vr[far])
        assert result['std'][name] == pytest.approx(0)  # the order of the gallery makes no difference
        assert result['trials'][1]['thresholds'][name] == pytest.approx(expected.thresholds[far])
    assert 0 < result[names[1]] < result[names[0]] < 100
    assert result['R1'] == pytest.approx(100 * expected.rank1)
    assert result['trials'][0]['genuine_pairs'] == expected.num_genuine
    assert result['warnings'] == expected.warnings and len(expected.warnings) == 1
    assert outcomes.verified.tolist() == names
    np.testing.assert_allclose(outcomes.roc, np.stack(expected.roc), atol=1e-6)


def test_accepted_pairs_of_the_queries_have_the_rate_as_their_mean(faces):
    setting, rows, features = faces
    result, outcomes, _ = evaluate_setting(setting, rows, features)
    assert outcomes.accepted.shape == (2, 3, 36)
    absent = outcomes.pids == 11
    assert np.isnan(outcomes.accepted[:, :, absent]).all() and not np.isnan(outcomes.accepted[:, :, ~absent]).any()
    for place, name in enumerate(outcomes.verified):
        assert 100 * np.nanmean(outcomes.accepted[0, place]) == pytest.approx(result[name])


def test_without_fars_nothing_is_verified(faces):
    setting, rows, features = faces
    result, outcomes, _ = evaluate_setting(setting._replace(fars=()), rows, features)
    assert metrics_of(result) == ['R1', 'R5', 'R10', 'R20', 'mAP', 'mINP'] and result['warnings'] == []
    assert outcomes.verified.size == outcomes.accepted.size == outcomes.roc.size == 0


def test_reranked_similarities_are_verified_too(faces):
    setting, rows, features = faces
    plain, reranked = (evaluate_setting(setting, rows, features, rerank=value)[0] for value in (False, True))
    assert plain['trials'][0]['thresholds'] != reranked['trials'][0]['thresholds']
    assert all(0 <= reranked[name] <= 100 for name in metrics_of(reranked))
