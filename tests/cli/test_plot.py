import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from fdnm_timm.cli import main
from fdnm_timm.cli._material import labels_of
from fdnm_timm.config import load_config
from fdnm_timm.engine import build_engine
from fdnm_timm.saved import read_outcomes, write_outcomes

from ..hub.small_run import changed_copy, small_run


@pytest.fixture(scope='module')
def run(sysu_tree, tmp_path_factory) -> Path:
    """A finished run; not to be changed."""
    return small_run(sysu_tree)


def changed(run: Path, folder: Path, change=lambda config, settings: None) -> Path:
    return changed_copy(run, folder, change)


def size(path: Path) -> tuple:
    with Image.open(path) as image:
        image.load()
        assert np.ptp(np.asarray(image.convert('L'))) > 200
        return image.size


def test_all_of_one_run(run, tmp_path, capsys):
    """What there is material for, and why the rest is not drawn."""
    copy = changed(run, tmp_path / 'run')
    (copy / 'samples.npz').unlink(missing_ok=True)
    (copy / 'ranked.json').unlink(missing_ok=True)
    assert main(['plot', 'all', str(copy), '--out', str(tmp_path / 'out'), '--dpi', '80']) == 0
    told = capsys.readouterr().out
    assert {file.name for file in (tmp_path / 'out').iterdir()} == {
        'training.png', 'cmc.png', 'distances.png', 'trials.png'}
    assert size(tmp_path / 'out' / 'cmc.png')[0] == 272 and f'{tmp_path / "out" / "cmc.png"} (3.4 x ' in told
    for kind, option, name in (('tsne', '--samples', 'samples.npz'), ('ranked', '--ranked', 'ranked.json')):
        how = f'`fdnm evaluate {copy} {option} {copy / name}` makes it.'
        assert f'No {kind}: The run "{copy}" has no {name}: {how}' in told
    assert 'No roc: ' in told and 'ranks and does not verify' in told


def test_evaluate_makes_what_is_missing(run, tmp_path):
    copy = changed(run, tmp_path / 'run')
    names = {'--samples': 'samples.npz', '--ranked': 'ranked.json', '--outcomes': 'outcomes.npz'}
    options = [part for option, name in names.items() for part in (option, str(copy / name))]
    for name in names.values():
        (copy / name).unlink(missing_ok=True)
    assert main(['evaluate', str(copy), '--quiet', *options]) == 0
    setting = next(iter(next(iter(read_outcomes(copy / 'outcomes.npz').values()))))
    out = tmp_path / 'a.png'
    for kind in ('tsne', 'ranked', 'distances'):
        assert main(['plot', kind, str(copy), '--setting', setting, '--out', str(out), '--dpi', '80']) == 0
        assert size(out)[0] == (272 if kind == 'distances' else 560)


def test_several_runs_are_told_apart(run, tmp_path, capsys):
    def other_seed(config, settings):
        config['train']['seed'] = 4

    def other_weight(config, settings):
        config['loss']['lambda_cnm'] = 0.25

    runs = [str(run), *(
        str(changed(run, tmp_path / name / 'r', change))
        for name, change in (('seed', other_seed), ('weight', other_weight)))]
    for kind in ('training', 'cmc', 'distances', 'trials', 'sweep'):
        out = tmp_path / f'{kind}.svg'
        assert main(['plot', kind, *runs, '--out', str(out), '--metrics', 'R1']) == 0, capsys.readouterr().err
        assert out.read_text().rstrip().endswith('</svg>')
    assert main(['plot', 'sweep', *runs[:2], '--out', str(tmp_path / 'x.png')]) == 2
    assert 'differ in one number' in capsys.readouterr().err
    assert not (tmp_path / 'x.png').exists()


def test_outcomes_file_in_place_of_a_run(run, tmp_path):
    file = tmp_path / 'initial.npz'
    shutil.copy(run / 'outcomes.npz', file)
    assert main(['plot', 'distances', str(file), str(run), '--labels', 'initial', 'trained', '--out',
                 str(tmp_path / 'a.pdf')]) == 0
    assert (tmp_path / 'a.pdf').read_bytes().startswith(b'%PDF')


def test_swap(run, tmp_path, sysu_tree, capsys):
    rng = np.random.default_rng(0)
    for name in ('v.png', 'i.png'):
        Image.fromarray(rng.integers(0, 256, (32, 16), dtype=np.uint8)).save(tmp_path / name)
    out = str(tmp_path / 'swap.png')
    assert main(['plot', 'swap', str(tmp_path / 'v.png'), str(tmp_path / 'i.png'), '--out', out, '--dpi', '80']) == 0
    pair = ['plot', 'swap', '--dataset', 'sysu_mm01', '--root', str(sysu_tree), '--out', out, '--dpi', '80']
    assert main(pair) == 0 and size(tmp_path / 'swap.png')[0] == 560
    capsys.readouterr()
    for args, message in (
            ([*pair, '--identity', '9999'], 'no test identity 9999 with a visible and an infrared image; they go from'),
            (['plot', 'swap', str(tmp_path / 'v.png'), '--out', out], '1 images were given, but swap takes two'),
            (['plot', 'swap', '--dataset', 'sysu_mm01', '--out', out], 'its --root'),
            (['plot', 'swap', str(run / 'config.yaml'), str(tmp_path / 'v.png'), '--out', out], 'config.yaml')):
        assert main(args) == 2
        assert message in capsys.readouterr().err


def test_helpful_errors(run, tmp_path, capsys):
    unfinished = changed(run, tmp_path / 'unfinished')
    (unfinished / 'results.json').unlink()
    (unfinished / 'outcomes.npz').unlink()
    older = changed(run, tmp_path / 'older')
    write_outcomes(older / 'outcomes.npz', {
        target: {name: of._replace(distances=np.zeros((2, 0), dtype=np.int64)) for name, of in settings.items()}
        for target, settings in read_outcomes(run / 'outcomes.npz').items()})
    (tmp_path / 'empty').mkdir()
    out = ['--out', str(tmp_path / 'x.png')]
    for args, message in (
            (['cmc', *out], 'give at least one folder'),
            (['cmc', str(tmp_path / 'none'), *out], 'neither a folder that `fdnm train` left nor a file'),
            (['cmc', str(tmp_path / 'empty'), *out], 'it has no config.yaml'),
            (['training', str(unfinished), *out], f'`fdnm train --resume {unfinished}` finishes it'),
            (['cmc', str(unfinished), *out], f'--outcomes {unfinished / "outcomes.npz"}` makes it'),
            (['distances', str(older), *out], 'older version'),
            (['cmc', str(run), '--setting', 'outdoor', *out], "in the setting 'outdoor', but in "),
            (['cmc', str(run), '--target', 'regdb', *out], "nothing of the target 'regdb', but of "),
            (['cmc', str(run), str(run), *out], 'is there twice'),
            (['cmc', str(run), '--labels', 'a', 'b', *out], 'There are 2 --labels, but 1 runs'),
            (['trials', str(run), '--metrics', 'R3', *out], "no 'R3' in its trials"),
            (['cmc', str(run), '--out', str(tmp_path / 'x.gif')], 'must end in .png, .pdf, .svg'),
            (['all', str(run), str(older), '--out', str(tmp_path)], 'all is drawn of one run, but 2 were given'),
            (['all', str(unfinished), '--out', str(tmp_path)], 'has no results.json')):
        assert main(['plot', *args]) == 2
        assert message in capsys.readouterr().err, args
    assert not (tmp_path / 'x.png').exists()


def test_labels_are_the_parts_that_differ(tmp_path):
    paths = [tmp_path / row / seed for row in ('base', 'full') for seed in ('seed0', 'seed1')]
    assert labels_of(paths[:1]) == ['seed0']
    assert labels_of(paths[:2]) == ['seed0', 'seed1']
    assert labels_of(paths[::2]) == ['base', 'full']
    assert labels_of(paths) == ['base/seed0', 'base/seed1', 'full/seed0', 'full/seed1']
    (tmp_path / 'initial.npz').touch()
    assert labels_of([tmp_path / 'initial.npz', tmp_path / 'full']) == ['initial', 'full']


def test_initial_model_is_the_one_that_the_seed_made(run, tmp_path):
    out = tmp_path / 'initial.json'
    initial = ['evaluate', str(run), '--checkpoint', 'initial', '--quiet', '--out', str(out)]
    assert main(initial) == 0
    found = json.loads(out.read_text())
    assert found['model'] == 'initial'
    config = load_config(run / 'config.yaml')
    engine = build_engine(config, progress=False)
    torch.manual_seed(config.train.seed)
    fresh = timm.create_model(config.model.name, num_classes=engine.datamanager.num_train_pids)
    engine.model.load_state_dict(fresh.state_dict())
    engine.test()
    assert found['results'] == engine.results
    assert found['results'] != json.loads((run / 'results.json').read_text())['results']

    # a run that began with a pretrained backbone has it at the beginning too
    torch.save(timm.create_model('resnet18').state_dict(), tmp_path / 'backbone.pth')
    settings = ['--set', 'model.pretrained=true', '--set', f'model.checkpoint={tmp_path / "backbone.pth"}']
    assert main([*initial, *settings]) == 0
    assert json.loads(out.read_text())['results'] != found['results']
