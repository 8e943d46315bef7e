"""`fdnm reproduce` on a tiny set: real runs of one epoch."""
import json
import shutil

import pytest

from fdnm_timm.cli import main
from fdnm_timm.engine import FDNMEngine
from fdnm_timm.studies import plan, run_jobs

from ..data.test_roadscene import write_pairs

TINY = ['model.name=fdnm_resnet18', 'model.pretrained=false', 'data.height=32', 'data.width=16', 'data.workers=0',
        'data.num_ids=3', 'data.num_instances=2', 'train.epochs=1']
ROWS = ['base+local', 'base+local+bn']


@pytest.fixture(scope='module')
def roads(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp('roads') / 'roadscene')


def command(roads, out, *more) -> list:
    return ['reproduce', 'table3', '--dataset', 'roadscene', '--root', str(roads), '--out', str(out), '--quiet',
            '--rows', *ROWS, '--seeds', '0', '1', *(part for s in TINY for part in ('--set', s)), *more]


@pytest.fixture(scope='module')
def done(roads, tmp_path_factory):
    out = tmp_path_factory.mktemp('runs')
    assert main(command(roads, out)) == 0
    return out


def test_table_has_every_row_with_its_spread(done, roads, capsys):
    assert main(command(roads, done)) == 0  # nothing is left to run
    text = capsys.readouterr().out
    assert 'running' not in text
    assert (done / 'roadscene' / 'table3.md').read_text().strip() in text
    assert 'The paper (arXiv 2401.02162) reports nothing on roadscene' in text
    found = json.loads((done / 'roadscene' / 'table3.json').read_text())
    assert list(found['measured']) == ROWS and found['reported'] == {}
    for row in ROWS:
        runs = [json.loads((done / 'roadscene' / row / f'seed{seed}' / 'results.json').read_text()) for seed in (0, 1)]
        for setting in ('infrared_to_visible', 'visible_to_infrared'):
            for metric in ('R1', 'mAP'):
                figure = found['measured'][row][setting][metric]
                expected = [run['results']['roadscene'][setting][metric] for run in runs]
                assert figure['runs'] == pytest.approx(expected, abs=1e-4)
                assert figure['low'] <= figure['mean'] + 1e-9 and figure['high'] >= figure['mean'] - 1e-9
    assert [(of['row'], of['to']) for of in found['differences']] == [(ROWS[1], ROWS[0])]
    for metric in ('R1', 'mAP'):
        a, b = (found['measured'][row]['infrared_to_visible'][metric]['mean'] for row in (ROWS[1], ROWS[0]))
        assert found['differences'][0]['infrared_to_visible'][metric]['mean'] == pytest.approx(a - b, abs=1e-3)


def test_goes_on_where_it_stopped(done, roads, tmp_path, monkeypatch, capsys):
    out = shutil.copytree(done, tmp_path / 'out')
    shutil.rmtree(out / 'roadscene' / 'base+local' / 'seed1')  # never begun
    (out / 'roadscene' / 'base+local+bn' / 'seed0' / 'results.json').unlink()  # broken off
    trained = []
    train = FDNMEngine.train
    monkeypatch.setattr(FDNMEngine, 'train', lambda self, **kwargs: trained.append(1) or train(self, **kwargs))
    assert main(command(roads, out, '--dry-run')) == 0
    states = {line.split()[-1].split('roadscene/')[1]: line.rsplit(None, 1)[0] for line in
              capsys.readouterr().out.splitlines()}
    assert states.pop('base+local/seed1').strip() == 'to do'
    assert states.pop('base+local+bn/seed0').strip() == 'begun'
    assert {state.strip() for state in states.values()} == {'finished'}
    assert main(command(roads, out)) == 0
    assert len(trained) == 1  # the one that was broken off had its only epoch behind it
    text = capsys.readouterr().out
    assert f'running {out}/roadscene/base+local/seed1' in text
    assert f'continuing {out}/roadscene/base+local+bn/seed0' in text
    assert (out / 'roadscene' / 'table3.json').read_bytes() == (done / 'roadscene' / 'table3.json').read_bytes()


def test_runs_of_another_configuration_are_not_mixed_in(done, roads, tmp_path, capsys):
    assert main(command(roads, done, '--set', 'optim.lr=0.5')) == 2
    err = capsys.readouterr().err
    assert 'holds a run of another configuration: optim.lr = 0.1, not 0.5' in err


def test_what_has_no_effect_on_a_row_does_not_matter(done, roads, tmp_path, capsys):
    assert main(command(roads, done, '--set', 'loss.margin_cnm=0.7')) == 0  # neither row has L_cnm
    assert 'running' not in capsys.readouterr().out
    full = 'base+local+agp+anm+cnm'
    job, = plan('table3', 'roadscene', str(roads), tmp_path, seeds=(0,), rows=[full])
    job.folder.mkdir(parents=True)
    (job.folder / 'config.yaml').write_text(job.config.to_yaml())
    job, = plan('table3', 'roadscene', str(roads), tmp_path, seeds=(0,), rows=[full], settings=['loss.margin_cnm=0.7'])
    with pytest.raises(ValueError, match='loss.margin_cnm = 0.2, not 0.7'):
        run_jobs([job])


def test_table_of_what_is_finished(done, roads, tmp_path, capsys):
    out = shutil.copytree(done, tmp_path / 'out')
    shutil.rmtree(out / 'roadscene' / 'base+local+bn')
    assert main(command(roads, out, '--table-only')) == 0
    found = json.loads((out / 'roadscene' / 'table3.json').read_text())
    assert list(found['measured']) == [ROWS[0]] and found['differences'] == []
    assert main(command(roads, tmp_path / 'empty', '--table-only')) == 2
    assert 'No run of table3 is finished' in capsys.readouterr().err


def test_unknown_rows_and_studies(roads, tmp_path):
    with pytest.raises(ValueError, match="table3 has no row 'lambda_cnm=0.1'"):
        plan('table3', 'roadscene', str(roads), tmp_path, rows=['lambda_cnm=0.1'])
    with pytest.raises(ValueError, match='There is no study'):
        plan('table9', 'roadscene', str(roads), tmp_path)
    with pytest.raises(ValueError, match='No seed'):
        plan('table3', 'roadscene', str(roads), tmp_path, seeds=())


def test_regdb_has_a_run_for_every_split(tmp_path):
    jobs = plan('table1', 'regdb', 'anywhere', tmp_path, seeds=(0, 5))
    assert [job.config.data.options['trial'] for job in jobs] == [*range(1, 11)] * 2
    assert len({job.folder for job in jobs}) == 20
    assert jobs[12].folder == tmp_path / 'regdb' / 'base+local+agp+anm+cnm' / 'split3-seed5'


def test_studies_share_their_runs(tmp_path):
    third, fourth = (
        {job.folder: job.config for job in plan(study, 'sysu_mm01', 'anywhere', tmp_path)}
        for study in ('table3', 'table4'))
    shared = set(third) & set(fourth)
    assert len(shared) == 3 and all(third[folder] == fourth[folder] for folder in shared)
