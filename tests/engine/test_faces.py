"""Faces from a LightCNN-29's weights to verified pairs, through the same engine."""
import json

import pytest
import timm
import torch
from safetensors.torch import save_file

from fdnm_timm.config import load_config, recipe_path
from fdnm_timm.data import SyntheticFaces
from fdnm_timm.engine import build_engine
from fdnm_timm.runs import train_run
from fdnm_timm.saved import read_outcomes


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('faces') / 'synthetic_faces'
    SyntheticFaces(folder, num_train=4, num_test=3, images_per_modality=3, size=36)
    return folder


@pytest.fixture(scope='module')
def config(root, tmp_path_factory):
    """Oulu-CASIA's recipe on small drawn faces, from a plain LightCNN-29's weights."""
    torch.manual_seed(0)
    weights = tmp_path_factory.mktemp('weights') / 'lightcnn29.safetensors'
    save_file(timm.create_model('lightcnn29', num_classes=7, img_size=32).state_dict(), weights)
    return load_config(recipe_path('oulu_casia'), [
        'data.dataset=synthetic_faces', f'data.root={root}', 'data.height=32', 'data.width=32', 'data.margin=4',
        'data.options={num_train: 4, num_test: 3, images_per_modality: 3, size: 36}', 'data.num_ids=2',
        'data.num_instances=2', 'data.workers=0', f'model.checkpoint={weights}', 'train.epochs=1'])


def test_a_run_from_the_weights_to_verified_pairs(config, tmp_path):
    engine = train_run(config, tmp_path / 'run', progress=False)
    result = json.loads((tmp_path / 'run' / 'results.json').read_text())['results']['synthetic_faces']['nir_to_vis']
    assert {'R1', 'mAP', 'VR@FAR=1%', 'VR@FAR=0.1%', 'VR@FAR=0.01%'} <= result.keys()
    assert result['trials'][0]['genuine_pairs'] == 3 * 9 and result['trials'][0]['impostor_pairs'] == 81 - 27
    assert len(result['warnings']) == 3  # 54 impostor pairs resolve none of the rates
    outcomes = read_outcomes(tmp_path / 'run' / 'outcomes.npz')['synthetic_faces']['nir_to_vis']
    assert outcomes.accepted.shape == (1, 3, 9) and outcomes.roc[0, 0] == 0 and outcomes.roc[1, -1] == 1
    hub = json.loads((tmp_path / 'run' / 'hub' / 'config.json').read_text())
    assert hub['pretrained_cfg']['input_size'] == [1, 32, 32] and hub['pretrained_cfg']['crop_pct'] == 32 / 36
    again = timm.create_model(f'local-dir:{tmp_path / "run" / "hub"}', pretrained=True).eval()
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(again(images, 'infrared'), engine.model.eval()(images, 'infrared'))


def test_both_stems_start_from_the_one(config):
    engine = build_engine(config, progress=False)
    stem = engine.model.stem
    torch.testing.assert_close(stem.visible.filter.weight, stem.infrared.filter.weight)
    groups = {id(p): group['name'] for group in engine.optimizer.param_groups for p in group['params']}
    assert groups[id(engine.model.head.fc.weight)] == 'backbone'
    assert groups[id(engine.model.head.neck.weight)] == groups[id(engine.model.head.classifier.weight)] == 'heads'


def test_images_are_grey_in_0_1(config):
    engine = build_engine(config, progress=False)
    for loader in (engine.datamanager.train_loader, engine.datamanager.test_loader['synthetic_faces']['query']):
        images = next(iter(loader))['img']
        assert images.shape[1:] == (1, 32, 32) and 0 <= images.min() < 0.3 < 0.6 < images.max() <= 1


@pytest.mark.parametrize('recipe', ['oulu_casia', 'buaa_visnir', 'casia_nirvis2', 'synthetic_faces'])
def test_face_recipes_go_through_the_same_engine(recipe):
    config = load_config(recipe_path(recipe))
    assert config.data.dataset == recipe and config.model.name == 'fdnm_lightcnn29'
    assert config.data.height == config.data.width and config.data.margin == config.data.height // 8
