import pytest

from fdnm_timm.config import load_config
from fdnm_timm.studies.sweep import ConfiguredRun, flat_config, group_runs, sweep_runs


def run(name, *settings):
    return ConfiguredRun(name, flat_config(load_config(settings=list(settings))), {})


def names(groups):
    return {key: [run.name for run in runs] for key, runs in groups.items()}


def fig5():
    """The points of Fig. 5, two seeds of the middle."""
    return [
        run('zero', 'loss.lambda_cnm=0', 'loss.cnm_normalize=true'),  # which has no effect there
        *(run(f'w{value}', f'loss.lambda_cnm={value}') for value in (.1, 1.)),
        run('middle0'), run('middle1', 'train.seed=1', 'data.root=elsewhere', 'data.workers=1'),
        *(run(f'm{value}', f'loss.margin_cnm={value}') for value in (.1, .4))]


def test_runs_of_a_sweep_differ_in_one_number_alone():
    found = {key: names(sweep) for key, sweep in sweep_runs(fig5()).items()}
    assert found == {
        'loss.lambda_cnm': {0.: ['zero'], .1: ['w0.1'], 1.: ['w1.0'], .5: ['middle0', 'middle1']},
        'loss.margin_cnm': {.1: ['m0.1'], .2: ['middle0', 'middle1'], .4: ['m0.4']}}


def test_a_run_where_nothing_else_was_swept():
    found = sweep_runs([run('zero', 'loss.lambda_cnm=0', 'loss.margin_cnm=0.4'), run('one')])
    assert {key: names(sweep) for key, sweep in found.items()} == {'loss.lambda_cnm': {0.: ['zero'], .5: ['one']}}


@pytest.mark.parametrize('runs, message', [
    ([run('a'), run('b', 'train.seed=1')], 'differ in none'),
    ([run('a'), run('b', 'model.anm=false')], 'differ in model.anm, .*from a'),
    ([*fig5(), run('odd', 'loss.lambda_cnm=0.3', 'loss.margin_cnm=0.3')], 'alone from odd'),
    ([run('a'), run('b'), run('c', 'optim.lr=1')], '"a" and "b" are runs of one configuration and one seed'),
    ([run('a'), run('b', 'optim.lr=1'), run('c', 'model.init=paper'), run('d', 'model.init=paper', 'optim.lr=1')],
     'optim.lr was swept 2 times, with different values of model.init'),
    ([], 'There is no run'),
])
def test_what_is_no_sweep(runs, message):
    with pytest.raises(ValueError, match=message):
        sweep_runs(runs)


def test_seeds_and_splits_are_one_group():
    runs = [run(f'{split}-{seed}-{anm}', 'data.dataset=regdb', f'data.options.trial={split}', f'train.seed={seed}',
                f'model.anm={anm}') for split in (1, 2) for seed in (0, 1) for anm in ('true', 'false')]
    groups = group_runs(runs)
    assert {len(group) for group in groups.values()} == {4} and len(groups) == 2
    assert next(iter(groups)).startswith('anm=True')
    assert names(group_runs(runs[::2])) == {'fdnm_resnet50': [r.name for r in runs[::2]]}
    with pytest.raises(ValueError, match='give each once'):
        group_runs([*runs, runs[3]._replace(name='again')])
