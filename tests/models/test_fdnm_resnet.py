import copy

import pytest
import timm
import torch
from safetensors.torch import save_file

import fdnm_timm  # noqa: F401
from fdnm_timm.models import FDNMOutput

MODALITY = torch.tensor([0, 1, 1, 0])


def create(**kwargs):
    torch.manual_seed(0)
    return timm.create_model('fdnm_resnet18', **{'num_classes': 7, **kwargs})


@pytest.fixture
def images():
    return torch.randn(4, 3, 64, 32, generator=torch.Generator().manual_seed(0))


def test_registered_names():
    assert {'fdnm_resnet18', 'fdnm_resnet34', 'fdnm_resnet50', 'fdnm_resnet101'} <= set(timm.list_models('fdnm_*'))


def test_public_shapes():
    with torch.device('meta'):
        model = timm.create_model('fdnm_resnet50', num_classes=395).eval()
        x = torch.randn(2, 3, 384, 192)
        assert model(x, 'visible').shape == (2, 395)
        features = model.forward_features(x, 'infrared')
        assert features.shape == (2, 2 * 2048, 24, 12)
        assert model.head_hidden_size == 2 * 5 * 2048
        assert model.forward_head(features, pre_logits=True).shape == (2, 2 * 5 * 2048)


def test_metric_training_output(images):
    model = create().train()
    assert isinstance(model(images, MODALITY), torch.Tensor)
    model.set_metric_training(True)
    output = model(images, MODALITY)
    assert isinstance(output, FDNMOutput)
    assert output.features.shape == (4, 2, 5, 512) and output.logits.shape == (4, 2, 5, 7)
    assert isinstance(model.eval()(images, MODALITY), torch.Tensor)
    model.train().set_metric_training(False)
    assert isinstance(model(images, MODALITY), torch.Tensor)


def test_logits_are_the_mean_over_branches_and_heads(images):
    model = create(init='paper').train()
    copied = copy.deepcopy(model)
    copied.set_metric_training(True)
    torch.testing.assert_close(model(images, MODALITY), copied(images, MODALITY).logits.mean(dim=(1, 2)))


@pytest.mark.parametrize('modality', [MODALITY, MODALITY.bool()])
def test_each_stem_sees_its_own_images_in_training(images, modality):
    model = create().train()
    alone = copy.deepcopy(model)
    model(images, modality)
    for number, name in enumerate(('visible', 'infrared')):
        stem = getattr(alone.stem, name)
        stem(images[MODALITY == number])
        for key, value in stem.bn1.state_dict().items():
            torch.testing.assert_close(getattr(model.stem, name).bn1.state_dict()[key], value)


def test_split_keeps_the_order_of_the_batch(images):
    stem = create().stem.train()
    for module in stem.modules():  # fixed statistics, so that an image's map does not depend on the others
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    split = stem(images, MODALITY)
    for i, number in enumerate(MODALITY):
        torch.testing.assert_close(split[i], (stem.visible, stem.infrared)[number](images[i:i + 1])[0])


def test_modality_in_evaluation(images):
    model = create().eval()
    with torch.no_grad():
        visible, infrared = model(images, 'visible'), model(images, 'infrared')
        mixed = model(images, MODALITY)
        assert not torch.allclose(visible, infrared)
        torch.testing.assert_close(mixed, torch.where(MODALITY.bool()[:, None], infrared, visible))
        torch.testing.assert_close(
            model.stem(images), (model.stem(images, 'visible') + model.stem(images, 'infrared')) / 2)


@pytest.mark.parametrize('modality', [None, MODALITY, 'visible'])
def test_scripted_gives_the_same(images, modality):
    model = create().eval()
    scripted = torch.jit.script(model)
    with torch.no_grad():
        torch.testing.assert_close(scripted(images, modality), model(images, modality))


@pytest.mark.parametrize('modality, message', [
    ('nir', "'nir'.*'visible', 'infrared'"),
    (torch.tensor([0, 1]), r'shape \[2\].*4 images'),
    (torch.tensor([[0, 1, 0, 1]]), r'shape \[1, 4\]'),
    (torch.tensor([0., 1., 0., 1.]), 'float32'),
    (torch.tensor([0, 1, 2, 1]), 'values from 0 to 2'),
    (3, 'modality is 3'),
])
@pytest.mark.parametrize('training', [True, False])
def test_wrong_modality(images, modality, message, training):
    with pytest.raises(ValueError, match=message):
        create().train(training)(images, modality)


@pytest.mark.parametrize('kwargs, branches, heads', [
    (dict(agp_stages=(), anm=False, num_parts=0), 1, 1),  # "Base." of Table 3
    (dict(agp_stages=(), anm=False, global_head=False), 1, 4),  # "Local"
    (dict(agp_stages=(), anm=False), 1, 5),
    (dict(anm=False), 1, 5),
    (dict(agp_stages=()), 2, 5),
    (dict(agp_stages=(), anm=False, final_norm=True), 1, 5),
    (dict(anm_residual=False), 2, 5),
    (dict(num_parts=6), 2, 7),
    (dict(last_stride=2), 2, 5),
    (dict(num_stages=3), 2, 5),
    *[(dict(agp_stages=(i,)), 2, 5) for i in range(5)],  # Table 4
])
def test_ablations_train(images, kwargs, branches, heads):
    model = create(**kwargs).train()
    model.set_metric_training(True)
    output = model(images, MODALITY)
    assert output.features.shape[1:3] == (branches, heads)
    output.logits.mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    has_agp = [name for name, _ in model.named_modules() if name.endswith('agp')]
    places = kwargs.get('agp_stages', (1, 2))
    assert has_agp == [f'stages.{i - 1}.agp' if i else 'pool.agp' for i in places]
    reduction = model.feature_info[-1]['reduction']
    assert model.forward_features(images).shape[-2:] == (64 // reduction, 32 // reduction)


def test_last_stride_does_not_dilate():
    """last_stride=1 runs layer4's own kernels on a denser grid: every second row and column is the strided result."""
    dense, strided = create(last_stride=1).eval(), create(last_stride=2).eval()
    strided.load_state_dict(dense.state_dict())
    x = torch.randn(1, 256, 8, 4)
    conv_dense, conv_strided = dense.stages[3][0].conv1, strided.stages[3][0].conv1
    assert conv_dense.dilation == (1, 1)
    torch.testing.assert_close(conv_dense(x)[:, :, ::2, ::2], conv_strided(x))
    dilated = create(output_stride=16)
    assert dilated.stages[3][0].conv2.dilation == (2, 2)


@pytest.mark.parametrize('kwargs, message', [
    (dict(agp_stages=(5,)), r'\[5\].*0 .* to 4'),
    (dict(init='zero'), "'zero'"),
    (dict(num_parts=0, global_head=False), 'at least one head'),
    (dict(embedding='local'), "'local'"),
    (dict(embedding='global', global_head=False), 'needs the global head'),
    (dict(last_stride=3), 'last_stride is 3'),
    (dict(num_stages=0), 'num_stages is 0'),
    (dict(final_norm=True), 'control for anm=False'),
    (dict(global_pool='catavgmax', num_classes=0), 'catavgmax'),
])
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        create(**kwargs)


@pytest.mark.parametrize('size', [(1, 1), (33, 17), (64, 1), (5, 90)])
def test_any_image_size(size):
    assert create().eval()(torch.randn(1, 3, *size)).shape == (1, 7)


def test_embedding_is_made_of_unit_vectors(images):
    model = create(num_classes=0).eval()
    vectors = model(images, 'visible').unflatten(1, (10, 512))
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(4, 10))
    small = create(num_classes=0, embedding='global').eval()
    assert small.head_hidden_size == 2 * 512 and small(images).shape == (4, 2 * 512)


def test_first_step_from_identity_is_finite(images):
    """Both branches are equal then, where a plain Euclidean distance has an infinite gradient."""
    from fdnm_timm.losses import FDNMLoss
    model = create().train()
    model.set_metric_training(True)
    output = model(images, MODALITY)
    assert torch.equal(output.features[:, 0], output.features[:, 1])
    loss, parts = FDNMLoss()(output, torch.tensor([0, 0, 1, 1]), MODALITY)
    loss.backward()
    assert 'cnm' in parts
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_reset_classifier(images):
    model = create().double().eval()
    neck = model.head.neck
    model.reset_classifier(3)
    assert model(images.double()).shape == (4, 3) and model.head.neck is neck
    assert model.get_classifier().weight.dtype == torch.float64
    model.reset_classifier(0)
    assert model(images.double()).shape == (4, model.head_hidden_size)
    model.reset_classifier(0, '')
    assert model(images.double()).shape == (4, 1024, 4, 2)
    model.reset_classifier(2, 'max')
    assert model(images.double()).shape == (4, 2) and not model.head.training


def test_forward_intermediates_with_modality(images):
    model = create().eval()
    with torch.no_grad():
        final, stages = model.forward_intermediates(images, modality='infrared')
        torch.testing.assert_close(final, model.forward_features(images, 'infrared'))
        assert [s.shape[1] for s in stages] == [64, 64, 128, 256, 512]
        torch.testing.assert_close(stages[0], model.stem.infrared(images))


def test_gradient_checkpointing_changes_nothing(images):
    grads = []
    for enable in (False, True):
        model = create().train()
        model.set_grad_checkpointing(enable)
        model(images, MODALITY).square().mean().backward()
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(grads[0], grads[1])


# checkpoints


def resnet_file(folder, **changes):
    state = timm.create_model('resnet18').state_dict()
    state = {k: v.contiguous() for k, v in state.items()}
    for key, value in changes.items():
        if value is None:
            state = {k: v for k, v in state.items() if not k.startswith(key.replace('__', '.'))}
    save_file(state, folder / 'model.safetensors')
    return folder / 'model.safetensors', state


@pytest.mark.parametrize('kwargs', [
    {}, dict(in_chans=1), dict(num_classes=0), dict(num_classes=1000), dict(num_stages=3),
    dict(anm=False, final_norm=True),
])
def test_imagenet_backbone_goes_to_both_stems(tmp_path, kwargs):
    file, state = resnet_file(tmp_path)
    model = create(pretrained=True, pretrained_cfg_overlay=dict(file=str(file)), **kwargs)
    assert torch.equal(model.stages[2][1].conv2.weight, state['layer3.1.conv2.weight'])
    stem = model.stem
    assert torch.equal(stem.visible.bn1.running_var, state['bn1.running_var'])
    assert torch.equal(stem.visible.conv1.weight, stem.infrared.conv1.weight)
    expected = state['conv1.weight']
    if kwargs.get('in_chans') == 1:
        expected = expected.sum(dim=1, keepdim=True)
    torch.testing.assert_close(stem.infrared.conv1.weight, expected)
    assert stem.visible.conv1.weight.data_ptr() != stem.infrared.conv1.weight.data_ptr()


@pytest.mark.parametrize('in_chans', [3, 1])
def test_imagenet_backbone_with_one_stem(tmp_path, images, in_chans):
    file, state = resnet_file(tmp_path)
    model = create(
        pretrained=True, pretrained_cfg_overlay=dict(file=str(file)), two_stream=False, in_chans=in_chans).eval()
    expected = state['conv1.weight'] if in_chans == 3 else state['conv1.weight'].sum(dim=1, keepdim=True)
    assert [name for name, _ in model.stem.named_children()] == ['shared']
    torch.testing.assert_close(model.stem.shared.conv1.weight, expected)
    with torch.no_grad():
        outputs = [model(images[:, :in_chans], modality) for modality in (None, 'visible', 'infrared', MODALITY)]
    assert all(torch.equal(output, outputs[0]) for output in outputs)
    torch.save(model.state_dict(), tmp_path / 'model.pth')
    with pytest.raises(RuntimeError, match=r'missing.*not known to the model: stem\.shared'):
        create(in_chans=in_chans, pretrained=True, pretrained_cfg_overlay=dict(
            file=str(tmp_path / 'model.pth'), num_classes=7, input_size=(in_chans, 384, 192)))


def test_incomplete_backbone_is_refused(tmp_path):
    file, _ = resnet_file(tmp_path, layer3=None)
    with pytest.raises(RuntimeError, match='ResNet checkpoint.*missing: stages.2'):
        create(pretrained=True, pretrained_cfg_overlay=dict(file=str(file)))


def test_file_that_is_no_resnet_is_refused(tmp_path):
    save_file({'blocks.0.weight': torch.zeros(2)}, tmp_path / 'model.safetensors')
    with pytest.raises(RuntimeError, match='neither an FDNM nor a ResNet.*blocks.0.weight'):
        create(pretrained=True, pretrained_cfg_overlay=dict(file=str(tmp_path / 'model.safetensors')))


@pytest.mark.parametrize('num_classes', [7, 9])
@pytest.mark.parametrize('wrapped', [False, True])
def test_truncated_fdnm_checkpoint_is_refused(tmp_path, num_classes, wrapped):
    """Also where the number of classes differs and timm loads without strictness."""
    state = {k: v for k, v in create().state_dict().items() if not k.startswith('stages.3.1')}
    if wrapped:
        state = {'state_dict': {f'module.{k}': v for k, v in state.items()}}
    torch.save(state, tmp_path / 'model.pth')
    overlay = dict(file=str(tmp_path / 'model.pth'), num_classes=7)
    with pytest.raises(RuntimeError, match='FDNM checkpoint.*missing: stages.3.1'):
        create(num_classes=num_classes, pretrained=True, pretrained_cfg_overlay=overlay)


def test_cut_off_file_is_refused(tmp_path):
    file, _ = resnet_file(tmp_path)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(Exception, match='(?i)header|incomplete|invalid|offset'):
        create(pretrained=True, pretrained_cfg_overlay=dict(file=str(file)))


def test_checkpoint_of_other_arguments_is_refused(tmp_path):
    torch.save(create(anm=False).state_dict(), tmp_path / 'model.pth')
    with pytest.raises(RuntimeError, match='anm.*other constructor arguments'):
        create(pretrained=True, pretrained_cfg_overlay=dict(file=str(tmp_path / 'model.pth'), num_classes=7))


def test_pretrained_from_the_hub_cache_offline(tmp_path):
    """timm.create_model(..., pretrained=True) finds the ImageNet repository in a cache, in a process of its own."""
    import os
    import subprocess
    import sys

    from ..hub_cache import write_hub_cache
    state = timm.create_model('resnet18').state_dict()
    write_hub_cache(tmp_path, 'timm/resnet18.tv_in1k', state)
    code = (
        'import timm, fdnm_timm\n'
        'm = timm.create_model("fdnm_resnet18", pretrained=True, num_classes=5)\n'
        'assert m.pretrained_cfg["tag"] == "in1k"\n'
        'print(float(m.stem.infrared.conv1.weight.double().sum()))')
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True,
        env={**os.environ, 'HF_HUB_CACHE': str(tmp_path), 'HF_HUB_OFFLINE': '1'})
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) == float(state['conv1.weight'].double().sum())
