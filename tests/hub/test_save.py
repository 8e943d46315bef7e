import hashlib
import json

import pytest
import timm
import torch

import fdnm_timm  # noqa: F401
from fdnm_timm.hub import save_pretrained


@pytest.mark.parametrize('kwargs', [
    {},
    dict(agp_stages=(0, 3), num_parts=6, embedding='global', last_stride=2, num_stages=4),
    dict(agp_stages=(), anm=False, final_norm=True, global_head=False, in_chans=1),
    dict(num_classes=0, num_stages=3, anm_residual=False),
])
def test_round_trip_is_exact(tmp_path, kwargs):
    torch.manual_seed(0)
    model = timm.create_model('fdnm_resnet18', **{'num_classes': 5, **kwargs}).train()
    x = torch.randn(4, model.in_chans, 48, 24)
    model(x, torch.tensor([0, 1, 0, 1]))  # running statistics of its own
    model.eval()
    folder = save_pretrained(model, tmp_path / 'hub', data_config=dict(input_size=(model.in_chans, 96, 48)))
    loaded = timm.create_model(f'local-dir:{folder}', pretrained=True).eval()
    with torch.no_grad():
        for modality in ('visible', 'infrared'):
            assert torch.equal(model(x, modality), loaded(x, modality))
            features = model.forward_features(x, modality)
            embedding = model.forward_head(features, pre_logits=True)
            assert torch.equal(embedding, loaded.forward_head(features, pre_logits=True))
    assert loaded.constructor_args == model.constructor_args
    assert tuple(loaded.pretrained_cfg['input_size']) == (model.in_chans, 96, 48)


def test_config_has_every_argument_and_the_hash(tmp_path):
    model = timm.create_model('fdnm_resnet18', num_classes=5)
    folder = save_pretrained(model, tmp_path, details={'dataset': 'none'})
    config = json.loads((folder / 'config.json').read_text())
    assert config['architecture'] == 'fdnm_resnet18'
    assert set(model.constructor_args) <= set(config['model_args'])
    assert config['fdnm']['modality'] == {'visible': 0, 'infrared': 1}
    assert config['fdnm']['sha256']['model.safetensors'] == \
        hashlib.sha256((folder / 'model.safetensors').read_bytes()).hexdigest()
    assert config['fdnm']['dataset'] == 'none'
    assert sorted(p.name for p in folder.iterdir()) == ['config.json', 'model.safetensors']


def test_reset_after_creation_is_recorded(tmp_path):
    model = timm.create_model('fdnm_resnet18', num_classes=5)
    model.reset_classifier(9, 'max')
    loaded = timm.create_model(f'local-dir:{save_pretrained(model, tmp_path)}', pretrained=True)
    assert loaded.num_classes == 9 and loaded.head.pool_type == 'max'


def test_failed_save_leaves_the_old_files(tmp_path):
    model = timm.create_model('fdnm_resnet18', num_classes=5)
    save_pretrained(model, tmp_path)
    old = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(TypeError):
        save_pretrained(model, tmp_path, details={'not': {1, 2}})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == old


def test_more_parts_and_other_classes(tmp_path):
    """A model of more heads than the default is fine-tuned on another number of identities."""
    model = timm.create_model('fdnm_resnet18', num_classes=5, num_parts=7)
    folder = save_pretrained(model, tmp_path)
    loaded = timm.create_model(f'local-dir:{folder}', pretrained=True, num_classes=11)
    assert loaded.get_classifier().weight.shape == (8, 11, 512)
    assert torch.equal(loaded.stages[0][0].conv1.weight, model.stages[0][0].conv1.weight)
