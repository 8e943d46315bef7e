import json

import numpy as np
import pytest

from fdnm_timm.cli import main
from fdnm_timm.config import load_config


def test_train_then_evaluate(sysu_tree, tmp_path, capsys):
    """Evaluating a run's saved model gives the run's own numbers, and a second run does not write over the first."""
    run = tmp_path / 'run'
    settings = [
        'model.name=fdnm_resnet18', 'model.pretrained=false', 'data.height=48', 'data.width=24', 'data.num_ids=4',
        'data.num_instances=2', 'data.workers=0', 'data.pad=0', 'train.epochs=1',
    ]
    train = ['train', '--dataset', 'sysu_mm01', '--root', str(sysu_tree), '--save-dir', str(run), '--quiet']
    for setting in settings:
        train += ['--set', setting]
    assert main(train) == 0
    trained = json.loads((run / 'results.json').read_text())['results']
    assert {'config.yaml', 'environment.json', 'hub', 'model', 'training.png'} <= {p.name for p in run.iterdir()}
    assert (run / 'ranked_all_search_single_shot.png').stat().st_size > 10_000

    out, outcomes = tmp_path / 'evaluated.json', tmp_path / 'outcomes.npz'
    assert main(['evaluate', str(run), '--quiet', '--out', str(out), '--outcomes', str(outcomes)]) == 0
    evaluated = json.loads(out.read_text())['results']
    with np.load(outcomes) as mine, np.load(run / 'outcomes.npz') as its:
        assert set(mine.files) == set(its.files)
        for key in mine.files:
            np.testing.assert_array_equal(mine[key], its[key])
    for setting, result in trained['sysu_mm01'].items():
        assert evaluated['sysu_mm01'][setting]['mAP'] == pytest.approx(result['mAP'], abs=1e-9)
        assert evaluated['sysu_mm01'][setting]['trials'] == result['trials']

    capsys.readouterr()
    assert main(train) == 2
    assert 'holds a run already' in capsys.readouterr().err

    assert main(['evaluate', str(run), '--quiet', '--out', str(out), '--checkpoint', 'best', '--flip']) == 0
    flipped = json.loads(out.read_text())
    assert flipped['model'] == str(run / 'model' / 'model-best.pth.tar')
    result = flipped['results']['sysu_mm01']['all_search_single_shot']
    assert result['flipped'] is True and result['mAP'] != trained['sysu_mm01']['all_search_single_shot']['mAP']
    assert main(['evaluate', str(run), '--checkpoint', 'last', '--model', 'hf-hub:a/b']) == 2
    assert 'either --model or --checkpoint' in capsys.readouterr().err
    assert main(['evaluate', str(run), '--checkpoint', str(tmp_path / 'none')]) == 2
    assert 'There is no checkpoint' in capsys.readouterr().err


def test_chosen_on_held_out_identities_then_tested_once(sysu_tree, tmp_path, capsys):
    """The way that docs/training.md gives."""
    run, out = tmp_path / 'run', tmp_path / 'tested.json'
    settings = ['model.name=fdnm_resnet18', 'model.pretrained=false', 'data.height=32', 'data.width=16',
                'data.num_ids=3', 'data.num_instances=2', 'data.workers=0', 'train.epochs=2', 'train.eval_freq=1',
                'train.best_by=mAP', 'data.hold_out=4']
    args = [part for setting in settings for part in ('--set', setting)]
    assert main(['train', '--row', 'base+local', '--dataset', 'sysu_mm01', '--root', str(sysu_tree), '--save-dir',
                 str(run), '--quiet', *args]) == 0
    saved = json.loads((run / 'results.json').read_text())
    assert saved['best']['metric'] == 'mAP' and saved['best']['epoch'] in (1, 2)
    assert set(saved['results']['sysu_mm01']) == {'infrared_to_visible', 'visible_to_infrared'}
    assert load_config(run / 'config.yaml').model.anm is False  # what the row sets
    assert main(['evaluate', str(run), '--quiet', '--checkpoint', 'best', '--set', 'data.hold_out=0', '--out',
                 str(out)]) == 0
    tested = json.loads(out.read_text())['results']['sysu_mm01']
    assert tested['all_search_single_shot']['reported'] == {'R1': 77.8, 'R10': 97.8, 'R20': 99.6, 'mAP': 75.1}
    assert '| reported (arXiv 2401.02162)' in capsys.readouterr().out
