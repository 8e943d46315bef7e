"""The examples run as they stand."""
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Callable, Mapping, Optional

import pytest
import timm
import torch

import fdnm_timm  # noqa: F401
from fdnm_timm.data import read_image
from fdnm_timm.data.synthetic import draw_person
from fdnm_timm.extraction import load_embedder
from fdnm_timm.hub import save_pretrained

from .hub.client import environment
from .hub.server import Hub

EXAMPLES = Path(__file__).parents[1] / 'examples'


def run_example(name: str, *args: str, env: Optional[Mapping[str, str]] = None) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *args], capture_output=True, text=True, timeout=300,
        env={**(env or os.environ), 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def run_here(monkeypatch, capsys) -> Callable[..., str]:
    """As `run_example`, in this process: importing torch takes longer than these examples."""
    def run(name: str, *args: str) -> str:
        monkeypatch.setattr(sys, 'argv', [name, *args])
        runpy.run_path(str(EXAMPLES / name), run_name='__main__')
        return capsys.readouterr().out
    return run


@pytest.fixture(scope='module')
def saved(tmp_path_factory) -> Path:
    """A small model in the Hub's format."""
    torch.manual_seed(0)
    model = timm.create_model('fdnm_resnet18', num_classes=4, num_stages=2)
    return save_pretrained(
        model, tmp_path_factory.mktemp('saved'), data_config=dict(input_size=(3, 48, 24), crop_pct=1.))


def test_pretraining_makes_weights_that_fdnm_starts_from(tmp_path):
    out = tmp_path / 'lightcnn29.safetensors'
    printed = run_example(
        'pretrain_lightcnn.py', '--out', str(out), '--root', str(tmp_path / 'faces'), '--num-ids', '3', '--img-size',
        '32', '--epochs', '1', '--batch-size', '6')
    assert 'epoch 1: loss' in printed and str(out) in printed
    overlay = dict(pretrained_cfg_overlay=dict(file=str(out)))
    plain = timm.create_model('lightcnn29', pretrained=True, num_classes=3, img_size=32, **overlay).eval()
    model = timm.create_model('fdnm_lightcnn29', pretrained=True, num_classes=9, img_size=32, **overlay)
    torch.testing.assert_close(model.head.fc.weight, plain.head.fc.weight)
    torch.testing.assert_close(model.stem.infrared.filter.weight, plain.stem.filter.weight)


def test_embed_and_compare_draws_its_own_images(tmp_path):
    lines = run_example('embed_and_compare.py').splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == ['the same', 'another']
    assert all(-1 <= float(line.split()[0]) <= 1 for line in lines)


def test_embed_and_compare_of_given_images(saved, tmp_path, run_here):
    for name, pid, camid in (('visible', 0, 1), ('first', 0, 3), ('second', 1, 3)):
        draw_person(pid, camid, 0).save(tmp_path / f'{name}.png')
    images = [str(tmp_path / f'{name}.png') for name in ('visible', 'first', 'second')]
    lines = run_here('embed_and_compare.py', *images, '--model', str(saved)).splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == images[1:]
    embedder = load_embedder(str(saved))
    x = torch.stack([embedder.transform(read_image(path)) for path in images])
    embeddings = torch.from_numpy(embedder.embed(x, [0, 1, 1]))
    cosines = torch.nn.functional.cosine_similarity(embeddings[:1], embeddings[1:])
    assert [float(line.split()[0]) for line in lines] == pytest.approx(cosines.tolist(), abs=1e-4)


def test_agp_in_another_network_learns(run_here):
    printed = run_here('agp_in_another_network.py', '--people', '4', '--steps', '8', '--height', '48')
    first, last = (float(loss) for loss in re.findall(r'loss ([\d.]+)', printed))
    assert last < first


def results_of(run: Path) -> dict:
    (settings,) = json.loads((run / 'results.json').read_text())['results'].values()
    return settings


def test_train_in_torchreid(tmp_path):
    printed = run_example(
        'train_in_torchreid.py', '--root', str(tmp_path / 'people'), '--out', str(tmp_path / 'run'), '--num-train', '8',
        '--epochs', '1', '--height', '48')
    assert 'all_search_single_shot' in printed
    assert set(results_of(tmp_path / 'run')) == {
        f'{mode}_search_{shots}_shot' for mode in ('all', 'indoor') for shots in ('single', 'multi')}


def test_custom_dataset(tmp_path):
    run_example(
        'custom_dataset.py', str(tmp_path / 'mine'), '--people', '12', '--epochs', '1', '--height', '48', '--out',
        str(tmp_path / 'run'))
    assert (tmp_path / 'mine' / 'infrared' / '11' / '6_1.jpg').exists()
    assert list(results_of(tmp_path / 'run')) == ['infrared_to_visible', 'visible_to_infrared']


def test_finetune_from_hub(saved, sysu_tree, tmp_path):
    with Hub(tmp_path / 'hub') as hub:
        hub.storage.create('org/people')
        hub.storage.commit('org/people', {file.name: file.read_bytes() for file in saved.iterdir()}, 'model')
        run_example(
            'finetune_from_hub.py', 'org/people', '--dataset', 'sysu_mm01', '--root', str(sysu_tree), '--epochs', '1',
            '--out', str(tmp_path / 'run'), env=environment(hub.url, tmp_path / 'home'))
    assert any(request.path.endswith('model.safetensors') for request in hub.requests)
    before, after = (load_embedder(str(folder)) for folder in (saved, tmp_path / 'run'))
    assert after.preprocessing == before.preprocessing and after.model.num_classes == 10
    assert after.fingerprint != before.fingerprint and results_of(tmp_path / 'run')


def test_onnx_dft_nodes_and_products_are_fourier_transforms(run_here):
    printed = run_here('onnx_dft.py', '--shape', '2', '3', '6', '5', '--repeats', '1')
    errors = [float(error) for error in re.findall(r'largest error (\S+)', printed)]
    assert len(errors) == 2 and max(errors) < 1e-5


def test_every_example_is_in_the_table():
    table = (EXAMPLES / 'README.md').read_text()
    assert sorted(re.findall(r'\]\((\w+\.py)\)', table)) == sorted(file.name for file in EXAMPLES.glob('*.py'))
