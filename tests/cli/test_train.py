import json

import pytest

from fdnm_timm.cli import main


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

    out = tmp_path / 'evaluated.json'
    assert main(['evaluate', str(run), '--quiet', '--out', str(out)]) == 0
    evaluated = json.loads(out.read_text())['results']
    for setting, result in trained['sysu_mm01'].items():
        assert evaluated['sysu_mm01'][setting]['mAP'] == pytest.approx(result['mAP'], abs=1e-9)
        assert evaluated['sysu_mm01'][setting]['trials'] == result['trials']

    capsys.readouterr()
    assert main(train) == 2
    assert 'holds a run already' in capsys.readouterr().err
