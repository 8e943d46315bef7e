from pathlib import Path

import pytest
import torch
import yaml

import fdnm_timm
from fdnm_timm.config import Config, ConfigError, load_config, recipe_path
from fdnm_timm.engine.build import build_model, build_optimizer, build_scheduler, lr_factor

RECIPES = sorted((Path(fdnm_timm.__file__).parent / 'configs').glob('*.yaml'))


def write(folder: Path, text: str) -> Path:
    path = folder / 'my.yaml'
    path.write_text(text, encoding='utf-8')
    return path


def fault(*args, **kwargs) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(*args, **kwargs)
    return str(caught.value)


def test_defaults_are_the_papers():
    config = load_config()
    assert config == Config()
    assert config.model.name == 'fdnm_resnet50' and config.model.pretrained
    assert config.model.agp_stages == (1, 2) and config.model.anm and config.model.global_head
    model = build_model(config.model.model_copy(update={'name': 'fdnm_resnet18', 'pretrained': False}), 4)
    args = model.constructor_args
    assert (args['num_parts'], args['last_stride'], args['num_stages'], args['drop_path_rate']) == (4, 1, 4, 0)
    assert (config.data.height, config.data.width) == (384, 192)
    assert (config.data.num_ids, config.data.num_instances) == (6, 4)
    assert (config.loss.lambda_tri, config.loss.lambda_cnm, config.loss.margin_cnm) == (1.0, 0.5, 0.2)
    assert (config.optim.lr, config.optim.momentum) == (0.1, 0.9)
    assert (config.optim.warmup_epochs, config.optim.milestones, config.optim.gamma) == (10, (20, 80, 120), 0.1)
    assert config.train.epochs == 150


def test_defaults_where_the_paper_is_silent():
    """The table of the design's section 2."""
    config = load_config()
    assert config.model.init == 'identity' and config.model.anm_residual and config.model.embedding == 'all'
    assert config.loss.cnm_reduction == 'mean' and config.loss.margin_tri == 0.3
    assert config.optim.nesterov and config.optim.weight_decay == 5e-4 and config.optim.backbone_lr_scale is None
    assert config.data.pad == 10 and config.data.grayscale == 0.5


def test_learning_rate_of_every_epoch():
    optim = Config().optim
    factor = lr_factor(optim)
    rates = [optim.lr * factor(epoch) for epoch in range(150)]
    assert rates[:10] == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1])
    assert rates[10:20] == pytest.approx([0.1] * 10)
    assert rates[20:80] == pytest.approx([0.01] * 60)
    assert rates[80:120] == pytest.approx([0.001] * 40)
    assert rates[120:] == pytest.approx([0.0001] * 30)


def test_learning_rate_without_warm_up():
    factor = lr_factor(load_config(settings=['optim.warmup_epochs=0', 'optim.milestones=[2]', 'optim.gamma=0.5']).optim)
    assert [factor(epoch) for epoch in range(4)] == [1, 1, 0.5, 0.5]


@pytest.mark.parametrize(('pretrained', 'scale', 'expected'), [(True, None, 0.1), (False, None, 1), (True, 0.3, 0.3)])
def test_learning_rate_of_the_backbone(pretrained, scale, expected):
    model = torch.nn.ModuleDict({'stage1': torch.nn.Linear(2, 2), 'head': torch.nn.ModuleDict({
        name: torch.nn.Linear(2, 2) for name in ('fc', 'neck', 'classifier')})})
    optim = load_config(base={'optim': {'backbone_lr_scale': scale}}).optim
    optimizer = build_optimizer(model, optim, pretrained)
    scheduler = build_scheduler(optimizer, optim)
    rate = {id(p): group['lr'] for group in optimizer.param_groups for p in group['params']}
    assert len(rate) == 8
    for name, p in model.named_parameters():  # LightCNN's fc is the backbone's, and pretrained with it
        fresh = name.startswith(('head.neck', 'head.classifier'))
        assert rate[id(p)] == pytest.approx(0.01 * (1 if fresh else expected)), name
    optimizer.step()
    scheduler.step()
    assert [group['lr'] for group in optimizer.param_groups] == pytest.approx([0.02 * expected, 0.02])
    assert all(group['momentum'] == 0.9 and group['nesterov'] and group['weight_decay'] == 5e-4
               for group in optimizer.param_groups)


def test_yaml_round_trip(tmp_path):
    config = load_config(settings=[
        'model.agp_stages=[0, 3]', 'model.checkpoint=weights.safetensors', 'data.options={num_train: 5}',
        'optim.lr=0.05', 'optim.milestones=[]', 'optim.backbone_lr_scale=0.2', 'train.seed=7', 'data.root="a: b #c"'])
    assert config != Config()
    again = load_config(write(tmp_path, config.to_yaml()))
    assert again == config and again.to_yaml() == config.to_yaml()
    assert load_config(write(tmp_path, Config().to_yaml())) == Config()
    assert yaml.safe_load(config.to_yaml())['model']['agp_stages'] == [0, 3]


def test_file_then_settings_in_order(tmp_path):
    path = write(tmp_path, 'optim:\n  lr: 0.2\n  momentum: 0.8\ntrain:\n  epochs: 3\n')
    config = load_config(path, ['optim.lr=0.3', ' optim.lr =0.4'], base={'train': {'epochs': 9, 'seed': 4}})
    assert (config.optim.lr, config.optim.momentum, config.train.epochs, config.train.seed) == (0.4, 0.8, 3, 4)
    assert config.optim.milestones == (20, 80, 120)  # what is not named stays


@pytest.mark.parametrize(('text', 'value'), [('5e-4', 5e-4), ('1e-3', 1e-3), ('0.001', 0.001)])
def test_numbers_as_people_write_them(tmp_path, text, value):
    """YAML 1.1 reads 5e-4 as a string; nobody means one."""
    assert load_config(settings=[f'optim.weight_decay={text}']).optim.weight_decay == value
    assert load_config(write(tmp_path, f'optim:\n  weight_decay: {text}\n')).optim.weight_decay == value


@pytest.mark.parametrize('recipe', RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_load(recipe):
    config = load_config(recipe)
    assert config.data.dataset == recipe.stem
    assert recipe_path(recipe.stem) == recipe


def test_there_are_recipes():
    assert {'roadscene', 'synthetic_vi'} <= {path.stem for path in RECIPES}
    assert recipe_path('no_such_set') is None


def test_empty_file_is_the_defaults(tmp_path):
    assert load_config(write(tmp_path, '')) == load_config(write(tmp_path, '# nothing\n')) == Config()


@pytest.mark.parametrize(('key', 'near'), [
    ('modle.name', 'model'), ('trian.epochs', 'train'), ('optim.lrr', 'lr'), ('optim.weightdecay', 'weight_decay'),
    ('loss.lamda_cnm', 'lambda_cnm'), ('data.num_instance', 'num_instances'), ('model.agp_stage', 'agp_stages'),
])
def test_unknown_key(tmp_path, key, near):
    section, name = key.split('.')
    wrong = section if section in ('modle', 'trian') else key
    for message in (
            fault(settings=[f'{key}=1']), fault(write(tmp_path, f'{section}:\n  {name}: 1\n')),
            fault(base={section: {name: 1}})):
        assert f'"{wrong}" is not a key' in message
        assert f'did you mean "{near}"' in message
    assert 'my.yaml' in fault(tmp_path / 'my.yaml')


def test_unknown_key_at_the_top_of_a_setting():
    assert 'did you mean "train"' in fault(settings=['trian=1'])


def test_unknown_key_unlike_any_lists_the_known():
    message = fault(settings=['train.zzz=1'])
    assert '"train.zzz" is not a key' in message and 'did you mean' not in message
    assert all(name in message for name in ('epochs', 'eval_freq', 'seed', 'use_gpu'))


@pytest.mark.parametrize(('key', 'value', 'near'), [
    ('model.init', 'identiy', 'identity'), ('model.embedding', 'globl', 'global'),
    ('loss.cnm_reduction', 'means', 'mean'),
])
def test_bad_literal(key, value, near):
    message = fault(settings=[f'{key}={value}'])
    assert f'"{key}" is \'{value}\'' in message and f'did you mean "{near}"' in message


@pytest.mark.parametrize('setting', [
    'optim.lr=0', 'optim.lr=-0.1', 'optim.momentum=1', 'optim.momentum=-0.1', 'data.num_ids=1', 'data.num_instances=0',
    'data.flip=1.5', 'data.erasing=-0.1', 'loss.lambda_cnm=-1', 'train.epochs=-1', 'train.seed=-1',
    'model.num_stages=5', 'model.num_stages=0', 'model.num_parts=-1', 'model.last_stride=3', 'model.drop_rate=1',
    'data.hold_out=-2', 'data.workers=-1', 'data.height=0', 'train.epochs=many', 'train.epochs=1.5',
    'model.anm=perhaps', 'optim.lr=null', 'optim.milestones=[1, x]', 'data.options=3', 'model=3', 'model.name.deeper=1',
    'optim.lr=.nan', 'optim.lr=.inf', 'loss.margin_cnm=.nan',
])
def test_value_that_does_not_fit(setting):
    key = setting.partition('=')[0]
    message = fault(settings=[setting])
    assert f'"{key.removesuffix(".deeper")}' in message


def test_every_fault_is_listed(tmp_path):
    path = write(tmp_path, 'optim:\n  lr: -1\n  lrr: 2\nmodle:\n  name: x\nmodel:\n  init: papr\n')
    message = fault(path, ['train.epochs=-3'])
    for part in ('"optim.lr"', '"optim.lrr"', '"modle"', '"model.init"', '"train.epochs"', 'my.yaml'):
        assert part in message
    assert len(message.splitlines()) == 6


@pytest.mark.parametrize('text', ['optim: [1,\n', 'optim:\n\tlr: 1\n', 'a: b: c\n', '"open\n'])
def test_bad_yaml(tmp_path, text):
    message = fault(write(tmp_path, text))
    assert 'my.yaml' in message and 'not YAML' in message


@pytest.mark.parametrize(('text', 'kind'), [('- 1\n- 2\n', 'list'), ('just words\n', 'str'), ('3\n', 'int')])
def test_file_that_is_no_mapping(tmp_path, text, kind):
    message = fault(write(tmp_path, text))
    assert 'my.yaml' in message and kind in message and 'model:' in message


def test_file_that_is_no_text(tmp_path):
    path = tmp_path / 'my.yaml'
    path.write_bytes('data:\n  root: Bücher\n'.encode('latin-1'))
    assert 'my.yaml' in fault(path)


def test_file_that_cannot_be_read(tmp_path):
    assert 'nowhere.yaml": No such file' in fault(tmp_path / 'nowhere.yaml')
    assert str(tmp_path) in fault(tmp_path)


@pytest.mark.parametrize('setting', ['optim.lr', 'optim.lr 0.1', '=3', ' =3', ''])
def test_setting_without_a_key_or_value(setting):
    message = fault(settings=[setting])
    assert repr(setting) in message and 'section.key=value' in message


def test_setting_whose_value_is_no_yaml():
    assert "'optim.milestones=[1'" in fault(settings=['optim.milestones=[1'])


def test_setting_may_hold_an_equals_sign():
    assert load_config(settings=['data.root=/data/a=b']).data.root == '/data/a=b'


def test_assignment_is_checked():
    config = Config()
    with pytest.raises(ValueError):
        config.optim.lr = -1
    with pytest.raises(ValueError):
        config.optim.lrr = 1


def test_a_model_of_one_size_is_made_for_the_images():
    config = load_config(settings=['model.name=fdnm_lightcnn29', 'model.pretrained=false', 'model.agp_stages=[]']).model
    args = build_model(config, 3, (48, 64)).constructor_args
    assert args['img_size'] == [48, 64] and args['num_parts'] == 0 and args['global_pool'] == 'fc'
    assert build_model(config, 3).constructor_args['img_size'] == [128, 128]


def test_an_argument_that_the_model_lacks_is_refused():
    config = load_config(settings=['model.name=fdnm_lightcnn29', 'model.pretrained=false', 'model.last_stride=2']).model
    with pytest.raises(TypeError, match='last_stride'):
        build_model(config, 3)


def test_pretrained_without_weights_names_the_key_to_set():
    config = load_config(settings=['model.name=fdnm_lightcnn29']).model
    with pytest.raises(ValueError, match=r'model\.checkpoint'):
        build_model(config, 3)


def test_unknown_model_is_named_with_the_nearest():
    config = load_config(settings=['model.name=fdnm_resnet500']).model
    with pytest.raises(ValueError, match='did you mean "fdnm_resnet50"|did you mean \'fdnm_resnet50\''):
        build_model(config, 3)
