"""A run's configuration: typed, complete, and strict about names and values."""
import difflib
from pathlib import Path
from typing import Annotated, Any, Dict, List, Literal, Optional, Sequence, Tuple, Union, get_args

try:
    import yaml
    from pydantic import BaseModel, ConfigDict, Field, ValidationError
except ImportError as error:
    raise ImportError(
        f'{error}. Training needs it: pip install "fdnm_timm[train,plots]".') from error

__all__ = [
    'Config', 'ConfigError', 'DataConfig', 'LossConfig', 'ModelConfig', 'OptimConfig', 'TrainConfig', 'load_config',
    'recipe_path',
]

RECIPES = Path(__file__).parent / 'configs'


class ConfigError(ValueError):
    """A configuration has an unknown key or a bad value; the message names the key and the nearest valid one."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra='forbid', validate_assignment=True, protected_namespaces=(), allow_inf_nan=False)


class ModelConfig(_Section):
    """What `timm.create_model` gets; the ablations of Tables 3 and 4 are made here."""
    name: str = Field('fdnm_resnet50', description='a model of `timm.list_models("fdnm_*")`')
    pretrained: bool = Field(True, description='start from the ImageNet backbone')
    checkpoint: Optional[str] = Field(None, description='a local file with that backbone, in place of the Hub')
    agp_stages: Tuple[int, ...] = Field((1, 2), description='stages after which AGP sits, 0 = after the stem')
    anm: bool = True
    anm_residual: bool = True
    final_norm: bool = Field(False, description='without ANM, its BatchNorm2d alone: the control')
    init: Literal['identity', 'paper'] = 'identity'
    global_head: bool = True
    embedding: Literal['all', 'global'] = 'all'
    drop_rate: float = Field(0., ge=0, lt=1)
    two_stream: bool = Field(True, description='a stem for each modality; false: one for both')
    # null: the model's own default; not every model has each of them
    num_parts: Optional[int] = Field(None, ge=0, description='stripes; 4 on the ResNets, 0 on LightCNN')
    global_pool: Optional[str] = Field(None, description="avg on the ResNets; LightCNN's own is fc")
    last_stride: Optional[Literal[1, 2]] = Field(None, description='of the ResNets: 1')
    num_stages: Optional[int] = Field(None, ge=1, le=4, description='of the ResNets: 4')
    drop_path_rate: Optional[float] = Field(None, ge=0, lt=1, description='of the ResNets: 0')


class DataConfig(_Section):
    """Which images, and what is done to them."""
    dataset: str = 'sysu_mm01'
    root: str = '.'
    options: Dict[str, Any] = Field(default_factory=dict, description="further arguments of the data set's class")
    hold_out: Literal[0] | Annotated[int, Field(ge=2)] = Field(
        0, description='evaluate on every so-maniest training scene, held out; 0: on the test set')
    height: int = Field(384, ge=8)
    width: int = Field(192, ge=8)
    margin: int = Field(
        0, ge=0, description='images come larger by that much; training takes a random crop, evaluation the centre')
    num_ids: int = Field(6, ge=2, description='identities of a batch')
    num_instances: int = Field(4, ge=1, description='images of an identity and modality in a batch')
    batch_size_test: int = Field(64, ge=1)
    workers: int = Field(4, ge=0)
    cache: Optional[str] = Field(None, description='folder for packed caches of the resized images; null: none')
    pad: int = Field(10, ge=0)
    flip: float = Field(0.5, ge=0, le=1)
    grayscale: float = Field(0.5, ge=0, le=1)
    erasing: float = Field(0.5, ge=0, le=1)


class LossConfig(_Section):
    """Eq. 9."""
    lambda_tri: float = Field(1.0, ge=0)
    lambda_cnm: float = Field(0.5, ge=0)
    margin_tri: float = Field(0.3, ge=0)
    margin_cnm: float = Field(0.2, ge=0)
    cnm_reduction: Literal['mean', 'sum'] = 'mean'
    cnm_normalize: bool = Field(False, description='L_cnm on unit vectors, whose size does not depend on training')


class OptimConfig(_Section):
    """SGD and its schedule, section 4.2."""
    lr: float = Field(0.1, gt=0)
    warmup_epochs: int = Field(10, ge=0, description='lr * (epoch + 1) / warmup_epochs until then')
    milestones: Tuple[int, ...] = Field((20, 80, 120), description='epochs from which lr is multiplied by gamma')
    gamma: float = Field(0.1, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(5e-4, ge=0)
    backbone_lr_scale: Optional[float] = Field(
        None, ge=0, description='of everything but the heads; null: 0.1 from pretrained weights, 1.0 from scratch')


class TrainConfig(_Section):
    """How long, and what is looked at on the way."""
    epochs: int = Field(150, ge=0)
    eval_freq: int = Field(-1, description='epochs between evaluations, -1: at the end only')
    best_by: Literal['R1', 'R5', 'R10', 'R20', 'mAP', 'mINP', 'VR@FAR=1%', 'VR@FAR=0.1%', 'VR@FAR=0.01%'] = Field(
        'R1', description='metric of the first setting that tells the best checkpoint')
    seed: int = Field(0, ge=0)
    amp: Literal['none', 'bf16', 'fp16'] = Field(
        'none', description='train under autocast; spectra and losses stay in float32. fp16 needs a GPU')
    accumulate: int = Field(1, ge=1, description='batches of an optimizer step; each stays whole')
    grad_checkpointing: bool = Field(False, description='compute the stages again in backward, for less memory')
    channels_last: bool = Field(False, description='memory format of images and maps; faster on GPUs')
    compile: Union[bool, str] = Field(False, description='torch.compile in training: true or the name of a backend')
    use_gpu: bool = True
    # of no effect where one process trains alone
    sync_bn: Optional[bool] = Field(
        None, description='batch norms see the whole batch; null: where every process has a GPU')
    timeout: float = Field(1800., gt=0, description='seconds that a process waits for another')


class Config(_Section):
    """A whole run. Its YAML file beside the results makes the same run again."""
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode='json'), sort_keys=False)


def recipe_path(dataset: str) -> Optional[Path]:
    """The recipe that the package ships for a data set, None where it ships none."""
    path = RECIPES / f'{dataset}.yaml'
    return path if path.exists() else None


def _nearest(word: str, words: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(word), words, n=1)
    return f'did you mean "{near[0]}"? ' if near else ''


def _explain(error: Any) -> str:
    key = '.'.join(map(str, error['loc']))
    section: Any = Config
    for name in error['loc'][:-1]:
        section = getattr(section, 'model_fields', {}).get(name)
        section = section.annotation if section is not None else None
    if error['type'] == 'extra_forbidden' and hasattr(section, 'model_fields'):
        known = list(section.model_fields)
        return f'"{key}" is not a key: {_nearest(error["loc"][-1], known)}Known here: {", ".join(known)}.'
    choices: List[str] = []
    if error['type'] == 'literal_error' and hasattr(section, 'model_fields'):
        choices = [str(c) for c in get_args(section.model_fields[error['loc'][-1]].annotation)]
    near = _nearest(error['input'], choices) if choices else ''
    return f'"{key}" is {error["input"]!r}: {error["msg"]}. {near}'.rstrip()


def _merge(base: Dict[str, Any], over: Dict[str, Any]) -> Dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merge(out[key], value) if both else value
    return out


def _from_file(path: Union[str, Path]) -> Dict[str, Any]:
    try:
        values = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f'Cannot read the config "{path}": {reason}.') from error
    except yaml.YAMLError as error:
        raise ConfigError(f'The config "{path}" is not YAML: {error}') from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f'The config "{path}" holds {type(values).__name__}, but sections such as "model:" are expected.')
    return values


def _from_setting(setting: str) -> Dict[str, Any]:
    key, equals, text = setting.partition('=')
    if not equals or not key.strip():
        raise ConfigError(f'The setting {setting!r} is not of the form section.key=value, such as optim.lr=0.05.')
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f'The value of the setting {setting!r} is not YAML: {error}') from error
    out: Any = value
    for name in reversed(key.strip().split('.')):
        out = {name: out}
    return out


def load_config(
        path: Optional[Union[str, Path]] = None,
        settings: Sequence[str] = (),
        base: Optional[Dict[str, Any]] = None,
        over: Optional[Dict[str, Any]] = None,
) -> Config:
    """Read a config file and change single keys.

    Args:
        path: YAML file, None for the defaults, which are the paper's.
        settings: 'section.key=value', with the value in YAML, in order.
        base: Values under the file's.
        over: Values over the file's and under the settings'.

    Raises:
        ConfigError: The file cannot be read, a key is not known or a value does not fit; every fault is listed.
    """
    values = dict(base or {})
    if path is not None:
        values = _merge(values, _from_file(path))
    values = _merge(values, over or {})
    for setting in settings:
        values = _merge(values, _from_setting(setting))
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        where = f' in "{path}" or the settings' if path else ''
        raise ConfigError(f'The configuration does not fit{where}:\n' + '\n'.join(
            f'  {_explain(e)}' for e in error.errors())) from None
