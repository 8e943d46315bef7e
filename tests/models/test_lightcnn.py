import pytest
import timm
import torch
from safetensors.torch import save_file

import fdnm_timm  # noqa: F401
from fdnm_timm.hub import save_pretrained

from .published import published_forward, published_state, wrap

NAMES = {'lightcnn29': 2, 'lightcnn29_v1': 1}
both = pytest.mark.parametrize('name', NAMES)


def create(name='lightcnn29', **kwargs):
    torch.manual_seed(0)
    return timm.create_model(name, **{'num_classes': 7, 'img_size': 32, **kwargs})


def load(name, file, **kwargs):
    return create(name, pretrained=True, pretrained_cfg_overlay=dict(file=str(file)), **kwargs)


def images(size=32, chans=1):
    return torch.rand(3, chans, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('name, params, classifier', [
    ('lightcnn29', 10_475_872, 80013 * 256),
    ('lightcnn29_v1', 12_573_280, 79077 * 257),
])
def test_parameters(name, params, classifier):
    with torch.device('meta'):
        for num_classes, expected in ((0, params), (None, params + classifier)):
            kwargs = {} if num_classes is None else {'num_classes': num_classes}
            assert sum(p.numel() for p in timm.create_model(name, **kwargs).parameters()) == expected


@both
def test_default_cfg(name):
    cfg = timm.get_pretrained_cfg(name)
    assert cfg.input_size == (1, 128, 128) and cfg.fixed_input_size and cfg.mean == (0.,) and cfg.std == (1.,)
    data = timm.data.resolve_model_data_config(create(name, img_size=128))
    transform = timm.data.create_transform(**data)
    from PIL import Image
    pixels = transform(Image.new('L', (128, 128), 255))
    assert pixels.shape == (1, 128, 128) and pixels.min() == pixels.max() == 1


@both
def test_parity_with_the_published_network(name, tmp_path):
    state = published_state(NAMES[name])
    torch.save(wrap(state), tmp_path / 'published.pth.tar')
    model = load(name, tmp_path / 'published.pth.tar', img_size=128).eval()
    x = images(128)
    with torch.no_grad():
        logits, embedding = published_forward(state, x, NAMES[name])
        torch.testing.assert_close(model(x), logits, rtol=0, atol=1e-6)
        torch.testing.assert_close(model.forward_head(model.forward_features(x), True), embedding, rtol=0, atol=1e-6)
    assert logits.std(dim=0).min() > 1e-3  # the comparison sees the image


@both
def test_parity_in_float64(name, files):
    state = {k: v.double() for k, v in files[1][NAMES[name]].items()}
    model = load(name, files[0] / f'v{NAMES[name]}.pth.tar').double().eval()
    with torch.no_grad():
        logits = published_forward(state, images().double(), NAMES[name])[0]
        torch.testing.assert_close(model(images().double()), logits, rtol=0, atol=1e-13)


@pytest.mark.parametrize('name, size', [('lightcnn29', (2, 3)), ('lightcnn29_v1', (3, 4))])
def test_odd_sizes_pool_as_published(name, size):
    model = create(name, img_size=(41, 52), num_classes=0).eval()
    x = torch.rand(1, 1, 41, 52)
    assert model.forward_features(x).shape == (1, 128, *size) and model(x).shape == (1, 256)


@both
def test_dropout_is_before_the_classifier(name):
    model = create(name).train()
    features = model.forward_features(images())
    assert model.drop_rate == 0.5
    assert torch.equal(model.forward_head(features, True), model.forward_head(features, True))
    assert not torch.equal(model.forward_head(features), model.forward_head(features))


@both
@pytest.mark.parametrize('num_classes', [7, 5, 0])
def test_published_file_loads(name, files, num_classes):
    folder, states = files
    state = states[NAMES[name]]
    model = load(name, folder / f'v{NAMES[name]}.pth.tar', num_classes=num_classes).eval()
    assert torch.equal(model.stages[3][2].conv1.filter.bias, state['block4.2.conv1.filter.bias'])
    with torch.no_grad():
        logits, embedding = published_forward(state, images(), NAMES[name])
        found = model(images())
        if num_classes == 7:
            torch.testing.assert_close(found, logits, rtol=0, atol=1e-6)
        elif num_classes == 0:
            torch.testing.assert_close(found, embedding, rtol=0, atol=1e-6)
        else:
            assert found.shape == (3, 5)
    assert model.pretrained_cfg['num_classes'] == 7


@both
def test_published_file_with_three_channels(name, files):
    """A grey image as RGB gives what the grey one gives."""
    folder, states = files
    model = load(name, folder / f'v{NAMES[name]}.pth.tar', in_chans=3, num_classes=0).eval()
    with torch.no_grad():
        _, embedding = published_forward(states[NAMES[name]], images(), NAMES[name])
        torch.testing.assert_close(model(images().repeat(1, 3, 1, 1)), embedding, rtol=0, atol=1e-5)


def test_published_file_as_backbone(files):
    folder, states = files
    model = load('lightcnn29', folder / 'v2.pth.tar', features_only=True).eval()
    maps = model(images())
    assert [m.shape[1:] for m in maps] == [(48, 32, 32), (96, 8, 8), (192, 4, 4), (128, 4, 4), (128, 2, 2)]
    assert model.feature_info.reduction() == [1, 4, 8, 8, 16]
    headless = load('lightcnn29', folder / 'v2.pth.tar', global_pool='', num_classes=0).eval()
    torch.testing.assert_close(headless(images()), maps[-1])


def test_without_a_file_there_is_no_silent_random_network():
    with pytest.raises(RuntimeError, match='No pretrained weights exist'):
        create(pretrained=True)


@pytest.mark.parametrize('num_classes', [7, 5])
@pytest.mark.parametrize('name, gone, missing', [
    ('lightcnn29', 'group4', r'missing: group4\.conv\.filter\.bias'),
    ('lightcnn29', 'block3.1', r'missing: block3\.1\.conv1'),
    ('lightcnn29', 'conv1', r'missing: conv1\.filter\.bias, conv1\.filter\.weight'),
    ('lightcnn29', 'fc.', r'missing: fc\.bias, fc\.weight'),
    ('lightcnn29_v1', 'fc.', r'missing: fc\.filter\.bias'),
])
def test_truncated_file_is_refused(tmp_path, files, name, gone, missing, num_classes):
    state = {k: v for k, v in files[1][NAMES[name]].items() if not k.startswith(gone)}
    torch.save(wrap(state), tmp_path / 'model.pth.tar')
    with pytest.raises(RuntimeError, match=f'LightCNN-29 version {NAMES[name]} checkpoint.*{missing}'):
        load(name, tmp_path / 'model.pth.tar', num_classes=num_classes)


def test_file_without_its_classifier(tmp_path, files):
    """Good for an embedding; not for the logits of the published identities."""
    save_file({k: v for k, v in files[1][2].items() if not k.startswith('fc2.')}, tmp_path / 'model.safetensors')
    load('lightcnn29', tmp_path / 'model.safetensors', num_classes=0)
    with pytest.raises(RuntimeError, match=r'Missing key.*head\.fc2\.weight'):
        load('lightcnn29', tmp_path / 'model.safetensors', num_classes=80013)


@pytest.mark.parametrize('name, other, message', [
    ('lightcnn29', 1, r'missing: fc\.bias, fc\.weight.*not known.*fc\.filter\.bias.*lightcnn29_v1'),
    ('lightcnn29_v1', 2, r'missing: fc\.filter\.bias.*not known.*fc\.weight.*version 2.* lightcnn29 '),
])
def test_file_of_the_other_version_is_refused(files, name, other, message):
    with pytest.raises(RuntimeError, match=message):
        load(name, files[0] / f'v{other}.pth.tar')
    with pytest.raises(RuntimeError, match=message):
        load(name, files[0] / f'v{other}.pth.tar', global_pool='', num_classes=0)


def test_other_files_are_refused(tmp_path, files):
    torch.save(timm.create_model('resnet18').state_dict(), tmp_path / 'resnet.pth')
    with pytest.raises(RuntimeError, match=r'no LightCNN-29.*bn1\.bias'):
        load('lightcnn29', tmp_path / 'resnet.pth')
    lightcnn9 = {'features.0.filter.weight': torch.zeros(96, 1, 5, 5), 'fc1.filter.weight': torch.zeros(512, 8192)}
    torch.save(wrap(lightcnn9), tmp_path / 'lightcnn9.pth')
    with pytest.raises(RuntimeError, match=r'no LightCNN-29.*fc1\.filter\.weight'):
        load('lightcnn29', tmp_path / 'lightcnn9.pth')
    torch.save({**files[1][2], 'group5.conv.filter.weight': torch.zeros(1)}, tmp_path / 'more.pth')
    with pytest.raises(RuntimeError, match=r'not known to the model: group5'):
        load('lightcnn29', tmp_path / 'more.pth')
    with pytest.raises(RuntimeError, match=r'size mismatch for head\.fc\.weight'):
        load('lightcnn29', files[0] / 'v2.pth.tar', img_size=64)


@both
@pytest.mark.parametrize('kwargs', [{}, dict(num_classes=0), dict(num_classes=0, global_pool=''), dict(in_chans=3)])
def test_save_and_load(tmp_path, name, kwargs):
    model = create(name, **kwargs).eval()
    folder = save_pretrained(model, tmp_path)
    loaded = timm.create_model(f'local-dir:{folder}', pretrained=True).eval()
    x = images(chans=kwargs.get('in_chans', 1))
    with torch.no_grad():
        assert torch.equal(model(x), loaded(x))


@pytest.mark.parametrize('kwargs, message', [
    (dict(version=3), 'version is 3'),
    (dict(img_size=15), r'img_size is \(15, 15\).*16 x 16'),
    (dict(global_pool='avg'), "'avg'.*'fc' or ''"),
    (dict(global_pool=''), 'nothing to classify.*7'),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        create(**kwargs)


@both
def test_wrong_image_size(name):
    with pytest.raises(ValueError, match='map is 3 x 3.*made for 2 x 2.*images of 32 x 32'):
        create(name)(images(48))


@both
def test_reset_classifier(name):
    model = create(name).double().eval()
    fc, x = model.head.fc, images().double()
    model.reset_classifier(3)
    assert model(x).shape == (3, 3) and model.head.fc is fc and model.get_classifier().weight.dtype == torch.float64
    assert (model.get_classifier().bias is None) == (name == 'lightcnn29')
    model.reset_classifier(0)
    assert model(x).shape == (3, 256) and model.head_hidden_size == 256
    model.reset_classifier(0, '')
    assert model(x).shape == (3, 128, 2, 2) and model.head_hidden_size == 128
    model.reset_classifier(4, 'fc')
    assert model(x).shape == (3, 4) and not model.head.training


def test_gradient_checkpointing_changes_nothing():
    grads = []
    for enable in (False, True):
        model = create(drop_rate=0.).train()
        model.set_grad_checkpointing(enable)
        model(images()).square().mean().backward()
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(grads[0], grads[1])


def test_layers_are_grouped_in_order():
    from timm.models import group_parameters
    model = create()
    layers = group_parameters(model, model.group_matcher(), reverse=True)
    names = ['stem.filter.weight', 'stages.0.0.conv1.filter.weight', 'stages.1.0.conv1.filter.weight',
             'stages.1.1.conv1.filter.weight', 'stages.3.3.conv2.filter.bias', 'head.fc.weight']
    assert [layers[name] for name in names] == [0, 1, 2, 3, 10, 11]
    assert layers['stages.1.group.conv_a.filter.bias'] == 3  # with the block before it
