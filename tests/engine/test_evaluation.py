import numpy as np
import pytest
import torch

from fdnm_timm.engine.evaluation import evaluate_setting, metrics_of
from fdnm_timm.metrics import cosine_distances, verification
from fdnm_timm.metrics.distances import MAX_DISTANCE, NUM_BINS
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


def test_figures_of_trials_and_queries_are_those_of_the_result(faces):
    setting, rows, features = faces
    setting = setting._replace(trials=[setting.trials[0], setting.trials[0]._replace(
        gallery=setting.trials[0].gallery[:-6])])  # in which some queries have no match
    result, outcomes, _ = evaluate_setting(setting, rows, features)
    for metric in metrics_of(result):
        np.testing.assert_allclose(outcomes.per_trial(metric), [trial[metric] for trial in result['trials']])
        values = outcomes.values(metric)
        some = np.flatnonzero(np.isnan(values[1]) & ~np.isnan(values[0]))
        assert len(some)
        np.testing.assert_array_equal(outcomes.per_query(metric)[some], values[0][some])
        both = ~np.isnan(values).any(axis=0)
        np.testing.assert_allclose(outcomes.per_query(metric)[both], values[:, both].mean(axis=0))
        assert np.isnan(outcomes.per_query(metric)[outcomes.pids == 11]).all()
    assert outcomes.fars == pytest.approx(FARS)
    with pytest.raises(ValueError, match="nothing of 'VR@FAR=2%'.*VR@FAR=10%"):
        outcomes.values('VR@FAR=2%')


@pytest.mark.parametrize('rerank', [False, True])
def test_distances_of_all_trials_by_the_rule(faces, rerank):
    """Those of the embeddings, re-ranked or not."""
    setting, rows, features = faces
    cams = [3, 3, 1]
    query, gallery = setting.trials[0]
    query = [(path, pid, cams[n % 3]) for n, (path, pid, _) in enumerate(query)]
    gallery = [(path, pid, 2 - pid % 2) for path, pid, _ in gallery]
    setting = setting._replace(
        trials=[setting.trials[0]._replace(query=query, gallery=part) for part in (gallery, gallery[:20])],
        rule='sysu_mm01', fars=())
    _, outcomes, _ = evaluate_setting(setting, rows, features, rerank=rerank)
    counts, values = np.zeros((2, NUM_BINS)), [[], []]
    for trial in setting.trials:
        q, g = ([rows[path] for path, _, _ in part] for part in trial)
        distances = cosine_distances(features[q], features[g]).numpy()
        for i, (_, pid, camid) in enumerate(trial.query):
            for j, (_, other, its) in enumerate(trial.gallery):
                if not (camid == 3 and its == 2):
                    values[pid != other].append(distances[i, j])
    for place in (0, 1):
        counts[place] = np.histogram(values[place], NUM_BINS, (0, MAX_DISTANCE))[0]
    assert outcomes.distances.dtype == np.int64
    np.testing.assert_array_equal(outcomes.distances, counts)
    np.testing.assert_allclose(outcomes.distance_means, [np.mean(v, dtype=np.float64) for v in values], rtol=1e-7)
    assert outcomes.distance_means[0] < outcomes.distance_means[1]
