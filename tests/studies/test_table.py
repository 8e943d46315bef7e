"""Tables from made-up outcomes, whose figures can be said beforehand."""
import json

import numpy as np
import pytest

from fdnm_timm.saved import Outcomes, write_outcomes
from fdnm_timm.studies import collect, format_study, plan

PIDS = np.repeat(np.arange(20), 3)


def finish(job, first, ap, settings=('all_search_single_shot',), reported_as=('all',), pids=PIDS, **more) -> None:
    job.folder.mkdir(parents=True)
    outcome = Outcomes(pids, first, ap, np.ones_like(ap), **more)
    write_outcomes(job.folder / 'outcomes.npz', {'sysu_mm01': {setting: outcome for setting in settings}})
    (job.folder / 'results.json').write_text(json.dumps({'results': {'sysu_mm01': {
        setting: {'reported_as': protocol} for setting, protocol in zip(settings, reported_as)}}}))


def made_up(tmp_path, dataset='sysu_mm01', rows=('base+local', 'base+local+bn'), hits=(0.5, 0.75), seeds=(0, 1)):
    jobs = plan('table3', dataset, 'anywhere', tmp_path, seeds=seeds, rows=rows)
    for job in jobs:
        rng = np.random.default_rng(job.seed)
        hit = rng.random((2, len(PIDS))) < hits[rows.index(job.row)]
        finish(job, np.where(hit, 0, 4), np.where(hit, 1., .2))
    return jobs


def test_figures_are_means_over_runs_and_trials(tmp_path):
    jobs = made_up(tmp_path)
    result = collect('table3', 'sysu_mm01', jobs)
    for number, row in enumerate(('base+local', 'base+local+bn')):
        expected = []
        for seed in (0, 1):
            hit = np.random.default_rng(seed).random((2, len(PIDS))) < (0.5, 0.75)[number]
            expected.append(100 * hit.mean())
        figure = result.measured[row]['all_search_single_shot']['R1']
        assert figure['runs'] == pytest.approx(expected)
        assert figure['std'] == pytest.approx(np.std(expected, ddof=1))
        ap = result.measured[row]['all_search_single_shot']['mAP']
        assert ap['mean'] == pytest.approx(20 + 0.8 * figure['mean'], abs=1e-4)
        assert figure['low'] < figure['mean'] < figure['high']
    assert [(of['row'], of['to']) for of in result.differences] == [('base+local+bn', 'base+local')]
    difference = result.differences[0]['all_search_single_shot']['R1']
    assert difference['mean'] == pytest.approx(
        result.measured['base+local+bn']['all_search_single_shot']['R1']['mean']
        - result.measured['base+local']['all_search_single_shot']['R1']['mean'])
    assert difference['low'] > 0  # every query of the one is at least as good as the other's: paired


def test_reported_and_measured_stand_in_tables_of_their_own(tmp_path):
    result = collect('table3', 'sysu_mm01', made_up(tmp_path))
    assert result.reported == {'base+local': {'all_search_single_shot': {'R1': 71.9, 'mAP': 68.3}}}
    measured, reported = format_study(result).split('## Reported by the paper')
    assert '71.9' not in measured and '| base+local | 71.9 | 68.3 |' in reported
    assert 'base+local+bn' in measured and 'base+local+bn' not in reported  # the paper has no such row


def test_queries_without_a_match_are_left_out(tmp_path):
    jobs = plan('table3', 'sysu_mm01', 'anywhere', tmp_path, seeds=(0,), rows=['base'])
    first = np.tile(np.where(np.arange(len(PIDS)) % 2, -1, 0), (1, 1))
    finish(jobs[0], first, np.where(first < 0, np.nan, 0.5))
    figures = collect('table3', 'sysu_mm01', jobs).measured['base']['all_search_single_shot']
    assert figures['R1']['mean'] == 100 and figures['mAP']['mean'] == pytest.approx(50)
    assert figures['R1']['std'] is None


def test_splits_have_identities_of_their_own(tmp_path):
    """RegDB numbers the identities of every split from 0: they are not the same people."""
    jobs = plan('table1', 'regdb', 'anywhere', tmp_path, seeds=(0,))
    for job in jobs:
        hit = np.full((1, len(PIDS)), job.split <= 5)
        finish(job, np.where(hit, 0, 4), hit * 1., ('visible_to_infrared',), ('visible_to_infrared',))
    result = collect('table1', 'regdb', jobs)
    figure = result.measured['base+local+agp+anm+cnm']['visible_to_infrared']['R1']
    assert figure['runs'] == [100.] * 5 + [0.] * 5 and figure['mean'] == 50
    assert 30 < figure['low'] < 50 < figure['high'] < 70  # 200 identities; of 20 it would be one number
    assert result.reported['base+local+agp+anm+cnm']['visible_to_infrared']['R1'] == 95.5


def test_rows_of_different_settings_are_refused(tmp_path):
    jobs = plan('table3', 'sysu_mm01', 'anywhere', tmp_path, seeds=(0,), rows=['base', 'local'])
    zeros = np.zeros((1, len(PIDS)))
    finish(jobs[0], zeros.astype(int), zeros, ('a',), (None,))
    finish(jobs[1], zeros.astype(int), zeros, ('b',), (None,))
    with pytest.raises(ValueError, match='different settings'):
        collect('table3', 'sysu_mm01', jobs)


def test_faces_are_verified(tmp_path):
    """Table 5: rank-1 and VR@FAR beside what the paper reports of the same rows."""
    jobs = plan('table5', 'oulu_casia', 'anywhere', tmp_path, seeds=(0, 1), rows=('lightcnn', 'lightcnn+agp+anm+cnm'))
    names = np.array(['VR@FAR=1%', 'VR@FAR=0.1%'])
    for job in jobs:
        rng = np.random.default_rng(job.seed)
        accepted = rng.random((1, 2, len(PIDS))) + 0.1 * (job.row != 'lightcnn')
        first = np.zeros((1, len(PIDS)), dtype=int)
        finish(job, first, first + 1., ('nir_to_vis',), ('nir_to_vis',), verified=names, accepted=accepted)
    result = collect('table5', 'oulu_casia', jobs)
    figures = result.measured['lightcnn']['nir_to_vis']
    assert list(figures) == ['R1', 'VR@FAR=1%', 'VR@FAR=0.1%']
    for place, name in enumerate(names):
        expected = [100 * np.random.default_rng(seed).random((1, 2, len(PIDS)))[0, place].mean() for seed in (0, 1)]
        assert figures[name]['runs'] == pytest.approx(expected, abs=1e-3)
        assert result.differences[0]['nir_to_vis'][name]['mean'] == pytest.approx(10, abs=1e-3)
    assert result.reported['lightcnn']['nir_to_vis'] == {'R1': 100, 'VR@FAR=1%': 97.9, 'VR@FAR=0.1%': 87.0}
    text = format_study(result)
    assert '| lightcnn+agp+anm+cnm | 100.0 | 99.1 | 92.2 |' in text.split('## Reported')[1]
    assert 'mAP' not in text


def test_a_row_is_held_against_each_of_its_controls(tmp_path):
    full = 'base+local+agp+anm+cnm'
    rows = ('base+local+bn', 'base+local+agp+anm', full)
    result = collect('table3', 'sysu_mm01', made_up(tmp_path, rows=rows, hits=(.4, .5, .8)))
    assert [(of['row'], of['to']) for of in result.differences] == [
        ('base+local+agp+anm', 'base+local+bn'), (full, 'base+local+bn'), (full, 'base+local+agp+anm')]
    name, figures = 'all_search_single_shot', result.measured
    for of in result.differences:
        assert of[name]['R1']['mean'] == pytest.approx(
            figures[of['row']][name]['R1']['mean'] - figures[of['to']][name]['R1']['mean'])
    assert f'| {full} | base+local+agp+anm | +' in format_study(result)


def test_differences_are_over_the_seeds_that_both_rows_have(tmp_path):
    rows, name = ('base+local', 'base+local+bn'), 'all_search_single_shot'
    jobs = [job for job in made_up(tmp_path, seeds=(0, 1, 2)) if job.row == rows[0] or job.seed == 1]
    result = collect('table3', 'sysu_mm01', jobs)
    runs = [result.measured[row][name]['R1']['runs'] for row in rows]
    assert [len(of) for of in runs] == [3, 1]
    assert result.differences[0][name]['R1']['mean'] == pytest.approx(runs[1][0] - runs[0][1])
    none_shared = [job for job in jobs if (job.row == rows[0]) != (job.seed == 1)]
    assert collect('table3', 'sysu_mm01', none_shared).differences == []
