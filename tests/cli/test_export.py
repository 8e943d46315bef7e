"""`fdnm export`."""
import json
import re

import pytest

from fdnm_timm.cli import main
from fdnm_timm.data.synthetic import draw_person
from fdnm_timm.export import open_exported
from fdnm_timm.hub import save_pretrained

from ..export.conftest import make_embedder


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    model = make_embedder(num_stages=1, agp_stages=(1,)).model
    return save_pretrained(model, tmp_path_factory.mktemp('saved'), data_config=dict(input_size=(3, 26, 12)))


def test_export(saved, tmp_path, capsys):
    for number in range(2):
        draw_person(number, 3, 0).save(tmp_path / f'{number}.png')
    out = tmp_path / 'deep' / 'model.pt'
    assert main(['export', '--model', f'local-dir:{saved}', '--modality', 'infrared', '--out', str(out), '--images',
                 str(tmp_path), '--width', '14', '--time']) == 0
    printed = capsys.readouterr().out
    number = r'\d\.\de-0\d'
    assert str(out) in printed and re.search(f'from the model: {number} on random images, {number} on real', printed)
    assert len(re.findall(r'Images/s in batches of [18], \d threads: [\d.]+ torch, [\d.]+ file\.', printed)) == 2
    _, facts = open_exported(out)
    assert facts['source'] == f'local-dir:{saved}' and facts['inputs']['images']['shape'] == ['batch', 3, 26, 14]
    assert json.loads((tmp_path / 'deep' / 'model.pt.json').read_text())['modality'] == 'infrared'


@pytest.mark.parametrize('arguments, message', [
    (['--model', 'fdnm_resnet18', '--out', 'model.pt'], 'without weights that were trained'),
    (['--model', 'SAVED', '--out', 'model.pt', '--format', 'onnx'], 'a file of the format onnx ends in ".onnx"'),
    (['--model', 'SAVED', '--out', 'model.pt', '--images', 'nowhere'], 'There is no "nowhere"'),
])
def test_mistakes(saved, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    arguments = [f'local-dir:{saved}' if argument == 'SAVED' else argument for argument in arguments]
    assert main(['export', '--modality', 'visible', *arguments]) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_modality_has_no_default(saved, capsys):
    with pytest.raises(SystemExit):
        main(['export', '--model', f'local-dir:{saved}', '--out', 'model.pt'])
    assert '--modality' in capsys.readouterr().err
