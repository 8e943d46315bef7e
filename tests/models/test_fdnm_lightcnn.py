import inspect

import pytest
import timm
import torch
import torch.nn.functional as F

import fdnm_timm  # noqa: F401
from fdnm_timm.hub import save_pretrained
from fdnm_timm.losses import FDNMLoss
from fdnm_timm.models import FDNMOutput

from .published import published_forward, wrap

NAMES = {'fdnm_lightcnn29': 2, 'fdnm_lightcnn29_v1': 1}
MODALITY = torch.tensor([0, 1, 1, 0])
both = pytest.mark.parametrize('name', NAMES)


def create(name='fdnm_lightcnn29', **kwargs):
    torch.manual_seed(0)
    return timm.create_model(name, **{'num_classes': 7, 'img_size': 32, **kwargs})


def load(name, file, **kwargs):
    overlay = dict(file=str(file), num_classes=7)
    return create(name, pretrained=True, pretrained_cfg_overlay=overlay, **kwargs)


@pytest.fixture
def images():
    return torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))


@both
def test_public_shapes(name):
    with torch.device('meta'):
        model = timm.create_model(name, num_classes=395).eval()
        x = torch.rand(2, 1, 128, 128)
        assert model(x, 'visible').shape == (2, 395)
        features = model.forward_features(x, 'infrared')
        assert features.shape == (2, 2 * 128, 8, 8)
        assert model.head_hidden_size == 2 * 256
        assert model.forward_head(features, pre_logits=True).shape == (2, 2 * 256)
    assert model.agp_stages == (1, 2)
    assert [model.pool, *model.stages][1].agp.channels == 96 and model.stages[1].agp.channels == 192


@pytest.mark.parametrize('two_stream', [True, False])
@both
def test_starts_as_the_published_network(images, files, name, two_stream):
    """Without AGP, and ANM being the identity, each branch's embedding is that of the published weights."""
    folder, states = files
    model = load(name, folder / f'v{NAMES[name]}.pth.tar', num_classes=0, agp_stages=(), two_stream=two_stream).eval()
    with torch.no_grad():
        expected = F.normalize(published_forward(states[NAMES[name]], images, NAMES[name])[1])
        for modality in ('visible', 'infrared', None, MODALITY):
            found = model(images, modality).unflatten(1, (2, 256))
            torch.testing.assert_close(found[:, 0], expected, rtol=0, atol=1e-5)
            torch.testing.assert_close(found[:, 1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('name, kwargs, branches, heads, width', [
    ('fdnm_lightcnn29', {}, 2, 1, 256),
    ('fdnm_lightcnn29_v1', {}, 2, 1, 256),
    ('fdnm_lightcnn29', dict(agp_stages=(), anm=False), 1, 1, 256),  # LightCNN-29 alone
    ('fdnm_lightcnn29', dict(agp_stages=(), anm=False, final_norm=True), 1, 1, 256),
    ('fdnm_lightcnn29', dict(agp_stages=(0, 3, 4), anm_residual=False, init='paper'), 2, 1, 256),
    ('fdnm_lightcnn29', dict(two_stream=False, in_chans=3), 2, 1, 256),
    ('fdnm_lightcnn29_v1', dict(num_parts=4), 2, 5, 256),
    ('fdnm_lightcnn29', dict(num_parts=4, global_head=False), 2, 4, 256),
    ('fdnm_lightcnn29', dict(global_pool='avg', num_parts=4), 2, 5, 128),
])
def test_trains(images, name, kwargs, branches, heads, width):
    model = create(name, **kwargs).train()
    model.set_metric_training(True)
    x = images.repeat(1, model.in_chans, 1, 1)
    output = model(x, MODALITY)
    assert isinstance(output, FDNMOutput)
    assert output.features.shape == (4, branches, heads, width) and output.logits.shape == (4, branches, heads, 7)
    loss, parts = FDNMLoss()(output, torch.tensor([0, 0, 1, 1]), MODALITY)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    model.eval()
    assert model(x, 'visible').shape == (4, 7) and model(x[:1]).shape == (1, 7)
    assert model.forward_head(model.forward_features(x), True).shape == (4, branches * heads * width)


def test_a_stripe_is_the_fc_of_its_rows():
    """In version 2 the fc is linear: stripes that do not overlap sum up to the whole map."""
    model = create(img_size=64, num_parts=2).double().eval()
    maps = torch.randn(3, 256, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        features = model.head.pool(maps)
        fc = model.head.fc
        for k, branch in enumerate((maps[:, :128], maps[:, 128:])):
            torch.testing.assert_close(features[:, k, 0], fc(branch.flatten(1)))
            lower = branch.clone()
            lower[:, :, :2] = 0
            torch.testing.assert_close(features[:, k, 2], fc(lower.flatten(1)))
        torch.testing.assert_close(features[:, :, 1] + features[:, :, 2] - fc.bias, features[:, :, 0])


@pytest.mark.parametrize('num_parts, rows', [
    (3, [(0, 2), (1, 3), (2, 4)]), (4, [(0, 1), (1, 2), (2, 3), (3, 4)]), (5, [(0, 1), (0, 2), (1, 3), (2, 4), (3, 4)]),
])
def test_stripes_are_adaptive_bins(num_parts, rows):
    model = create(img_size=64, num_parts=num_parts)
    assert model.head.rows == rows
    column = torch.arange(4.).view(1, 1, 4, 1)
    means = torch.stack([column[:, :, a:b].mean() for a, b in rows])
    torch.testing.assert_close(F.adaptive_avg_pool2d(column, (num_parts, 1)).flatten(), means)


# modality


@pytest.mark.parametrize('modality, used', [('visible', {'visible'}), ('infrared', {'infrared'}), (None, {
    'visible', 'infrared'}), (MODALITY.bool(), {'visible', 'infrared'})])
def test_the_stem_of_the_modality_is_used(images, modality, used):
    model = create().train()
    model(images, modality).square().mean().backward()
    found = {name for name, stem in model.stem.named_children() if stem.filter.weight.grad is not None}
    assert found == used


@pytest.mark.parametrize('training', [True, False])
def test_images_keep_their_place(images, training):
    stem = create().stem.train(training)
    mixed = stem(images, MODALITY)
    for i, number in enumerate(MODALITY):
        torch.testing.assert_close(mixed[i], (stem.visible, stem.infrared)[number](images[i:i + 1])[0])


def test_one_stream_ignores_the_modality(images):
    model = create(two_stream=False).eval()
    assert [name for name, _ in model.stem.named_parameters()] == ['shared.filter.weight', 'shared.filter.bias']
    scripted = torch.jit.script(model)
    with torch.no_grad():
        expected = model(images)
        for modality in ('visible', 'infrared', None, MODALITY, MODALITY.bool()):
            assert torch.equal(model(images, modality), expected)
            assert torch.equal(scripted(images, modality), expected)


@pytest.mark.parametrize('modality', ['nir', torch.tensor([0, 1]), torch.tensor([0, 1, 2, 1])])
def test_two_streams_check_the_modality(images, modality):
    with pytest.raises(ValueError, match='modality'):
        create()(images, modality)


@pytest.mark.parametrize('kwargs', [{}, dict(num_parts=3), dict(version=1, global_pool='avg')])
def test_scripted_gives_the_same(images, kwargs):
    model = create(**kwargs).eval()
    scripted = torch.jit.script(model)
    with torch.no_grad():
        for modality in (None, MODALITY, 'infrared'):
            torch.testing.assert_close(scripted(images, modality), model(images, modality))


@both
def test_float64(images, name):
    model = create(name, num_parts=2, num_classes=0).eval()
    with torch.no_grad():
        single = model(images, MODALITY)
        double = model.double()(images.double(), MODALITY)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-5)


def test_forward_intermediates_with_modality(images):
    model = create().eval()
    with torch.no_grad():
        final, stages = model.forward_intermediates(images, modality='infrared')
        torch.testing.assert_close(final, model.forward_features(images, 'infrared'))
        assert [s.shape[1] for s in stages] == [48, 96, 192, 128, 128]
        torch.testing.assert_close(stages[0], model.stem.infrared(images))


def test_gradient_checkpointing_changes_nothing(images):
    grads = []
    for enable in (False, True):
        model = create().train()
        model.set_grad_checkpointing(enable)
        model(images, MODALITY).square().mean().backward()
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(grads[0], grads[1])


def test_reset_classifier(images):
    model = create().double().eval()
    x = images.double()
    fc, neck = model.head.fc, model.head.neck
    model.reset_classifier(3)
    assert model(x).shape == (4, 3) and model.head.fc is fc and model.head.neck is neck
    assert model.get_classifier().weight.dtype == torch.float64
    model.reset_classifier(0, 'fc')
    assert model(x).shape == (4, 2 * 256) and model.head.fc is fc
    model.reset_classifier(2, 'avg')
    assert model(x).shape == (4, 2) and model.head_hidden_size == 2 * 128 and not hasattr(model.head, 'fc')
    model.reset_classifier(0, '')
    assert model(x).shape == (4, 256, 2, 2)
    model.reset_classifier(2, 'fc')
    assert model(x).shape == (4, 2) and model.head_hidden_size == 2 * 256 and not model.head.training


@pytest.mark.parametrize('kwargs, message', [
    (dict(agp_stages=(5,)), r'\[5\].*0 .* to 4'),
    (dict(num_parts=0, global_head=False), 'at least one head'),
    (dict(embedding='global', num_parts=2, global_head=False), 'needs the global head'),
    (dict(final_norm=True), 'control for anm=False'),
    (dict(version=0), 'version is 0'),
    (dict(img_size=8), '16 x 16'),
    (dict(global_pool='catavgmax'), 'catavgmax'),
    (dict(global_pool=''), 'nothing to classify'),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        create(**kwargs)


def test_wrong_image_size(images):
    with pytest.raises(ValueError, match='map is 3 x 3.*made for 2 x 2.*images of 32 x 32'):
        create()(torch.rand(1, 1, 48, 48))
    assert create(global_pool='avg').eval()(torch.rand(1, 1, 48, 52)).shape == (1, 7)


# checkpoints


@pytest.mark.parametrize('name, kwargs', [
    ('fdnm_lightcnn29', {}),
    ('fdnm_lightcnn29_v1', {}),
    ('fdnm_lightcnn29', dict(two_stream=False, num_classes=0)),
    ('fdnm_lightcnn29', dict(in_chans=3, num_classes=9)),
    ('fdnm_lightcnn29_v1', dict(in_chans=3, two_stream=False)),
    ('fdnm_lightcnn29', dict(num_parts=4, agp_stages=(0, 4), anm=False, final_norm=True)),
    ('fdnm_lightcnn29_v1', dict(global_pool='avg')),
    ('fdnm_lightcnn29', dict(global_pool='', num_classes=0)),
])
def test_published_weights_go_to_every_stem(files, name, kwargs):
    folder, states = files
    state = states[NAMES[name]]
    model = load(name, folder / f'v{NAMES[name]}.pth.tar', **kwargs)
    assert torch.equal(model.stages[2].group.conv_a.filter.weight, state['group3.conv_a.filter.weight'])
    assert torch.equal(model.stages[3][3].conv2.filter.bias, state['block4.3.conv2.filter.bias'])
    stems = dict(model.stem.named_children())
    assert set(stems) == ({'visible', 'infrared'} if kwargs.get('two_stream', True) else {'shared'})
    chans = kwargs.get('in_chans', 1)
    for stem in stems.values():
        torch.testing.assert_close(stem.filter.weight, state['conv1.filter.weight'].repeat(1, chans, 1, 1) / chans)
        assert torch.equal(stem.filter.bias, state['conv1.filter.bias'])
    assert len({stem.filter.weight.data_ptr() for stem in stems.values()}) == len(stems)
    if kwargs.get('global_pool', 'fc') == 'fc':
        fc = model.head.fc.filter if NAMES[name] == 1 else model.head.fc
        assert torch.equal(fc.weight, state['fc.filter.weight' if NAMES[name] == 1 else 'fc.weight'])


@both
def test_plain_model_of_this_package_loads(tmp_path, name):
    plain = create(name.removeprefix('fdnm_'), num_classes=3)
    torch.save(plain.state_dict(), tmp_path / 'plain.pth')
    model = load(name, tmp_path / 'plain.pth')
    for key, value in plain.state_dict().items():
        if not key.startswith('head.fc2.'):
            assert torch.equal(model.state_dict()[key.replace('stem.', 'stem.infrared.')], value)


@pytest.mark.parametrize('kwargs', [{}, dict(num_classes=9), dict(global_pool='avg')])
@pytest.mark.parametrize('gone, missing', [
    ('group4', r'missing: group4\.conv\.filter\.bias'),
    ('conv1', r'missing: conv1\.filter\.bias'),
    ('fc.', r'missing: fc\.bias, fc\.weight'),
])
def test_truncated_published_file_is_refused(tmp_path, files, gone, missing, kwargs):
    state = {k: v for k, v in files[1][2].items() if not k.startswith(gone)}
    torch.save(wrap(state), tmp_path / 'model.pth')
    with pytest.raises(RuntimeError, match=f'LightCNN-29 version 2 checkpoint.*{missing}'):
        load('fdnm_lightcnn29', tmp_path / 'model.pth', **kwargs)


@pytest.mark.parametrize('kwargs', [{}, dict(global_pool='avg')])
@both
def test_file_of_the_other_version_is_refused(files, name, kwargs):
    other = 3 - NAMES[name]
    with pytest.raises(RuntimeError, match=f'missing: fc.*Its fc is that of version {other}'):
        load(name, files[0] / f'v{other}.pth.tar', **kwargs)


@pytest.mark.parametrize('num_classes, wrapped', [(7, False), (9, True)])
def test_truncated_fdnm_checkpoint_is_refused(tmp_path, num_classes, wrapped):
    """Also where the number of classes differs and timm loads without strictness."""
    state = {k: v for k, v in create().state_dict().items() if not k.startswith('stages.3.1')}
    torch.save(wrap(state) if wrapped else state, tmp_path / 'model.pth')
    with pytest.raises(RuntimeError, match='FDNM checkpoint.*missing: stages.3.1'):
        load('fdnm_lightcnn29', tmp_path / 'model.pth', num_classes=num_classes)


@pytest.mark.parametrize('made, wanted', [
    (dict(two_stream=False), {}), ({}, dict(two_stream=False)), (dict(global_pool='avg'), {}), (dict(anm=False), {}),
])
def test_checkpoint_of_other_arguments_is_refused(tmp_path, made, wanted):
    torch.save(create(**made).state_dict(), tmp_path / 'model.pth')
    with pytest.raises(RuntimeError, match='missing.*other constructor arguments'):
        load('fdnm_lightcnn29', tmp_path / 'model.pth', **wanted)


def test_other_files_are_refused(tmp_path):
    for name in ('resnet18', 'fdnm_resnet18'):
        torch.save(timm.create_model(name).state_dict(), tmp_path / 'model.pth')
        with pytest.raises(RuntimeError, match='neither an FDNM nor a LightCNN-29'):
            load('fdnm_lightcnn29', tmp_path / 'model.pth')


def test_without_a_file_there_is_no_silent_random_network():
    with pytest.raises(RuntimeError, match='No pretrained weights exist'):
        create(pretrained=True)


@pytest.mark.parametrize('name, kwargs', [
    ('fdnm_lightcnn29', {}),
    ('fdnm_lightcnn29_v1', {}),
    ('fdnm_lightcnn29', dict(two_stream=False, num_parts=3, embedding='global')),
    ('fdnm_lightcnn29', dict(global_pool='avgmax', num_parts=4, in_chans=3, agp_stages=(0, 4))),
    ('fdnm_lightcnn29_v1', dict(num_classes=0, anm=False, agp_stages=(), final_norm=True, img_size=(32, 48))),
])
def test_save_and_load(tmp_path, images, name, kwargs):
    model = create(name, **kwargs).train()
    x = F.interpolate(images, model.img_size).repeat(1, model.in_chans, 1, 1)
    model(x, MODALITY)  # running statistics of its own
    model.eval()
    folder = save_pretrained(model, tmp_path)
    loaded = timm.create_model(f'local-dir:{folder}', pretrained=True).eval()
    assert loaded.constructor_args == model.constructor_args
    with torch.no_grad():
        for modality in ('visible', 'infrared'):
            assert torch.equal(model(x, modality), loaded(x, modality))
            features = model.forward_features(x, modality)
            assert torch.equal(model.forward_head(features, True), loaded.forward_head(features, True))


@pytest.mark.parametrize('name', ['fdnm_lightcnn29', 'fdnm_resnet18'])
def test_every_constructor_argument_is_kept(name):
    with torch.device('meta'):
        model = timm.create_model(name, num_classes=7)
    given_by_the_name = {'version', 'block', 'layers', 'device', 'dtype'}
    assert set(model.constructor_args) == set(inspect.signature(type(model)).parameters) - given_by_the_name


def test_fine_tuning_on_other_identities(tmp_path, images):
    model = create(num_parts=2)
    folder = save_pretrained(model, tmp_path)
    loaded = timm.create_model(f'local-dir:{folder}', pretrained=True, num_classes=11)
    assert loaded.get_classifier().weight.shape == (3, 11, 256)
    assert torch.equal(loaded.head.fc.weight, model.head.fc.weight)
