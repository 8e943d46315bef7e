"""From a configuration to an engine that is ready to run."""
import difflib
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import timm
import torch
from timm.models import PretrainedCfg

from ..config import Config, ModelConfig, OptimConfig
from ..data import CrossModalityDataset
from ..distributed import Processes
from ..losses import FDNMLoss
from .datamanager import CrossModalityDataManager
from .engine import FDNMEngine

__all__ = ['build_engine', 'build_model', 'build_optimizer', 'build_scheduler', 'lr_factor']

_HEADS = ('head.neck.', 'head.classifier.')


def _pretrained_cfg(name: str) -> PretrainedCfg:
    cfg = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if cfg is None:
        near = difflib.get_close_matches(name, timm.list_models('fdnm_*'), n=1)
        raise ValueError(
            f'model.name is {name!r}, which timm does not know{f": did you mean {near[0]!r}?" if near else "."} '
            f'Models that can be trained are {", ".join(timm.list_models("fdnm_*"))}.')
    return cfg


def build_model(
        config: ModelConfig,
        num_classes: int,
        img_size: Optional[Tuple[int, int]] = None,
) -> torch.nn.Module:
    """`timm.create_model` with the configuration's arguments.

    Args:
        config: The model. What is None in it is left to the model's own default.
        num_classes: Number of training identities.
        img_size: Height and width of the images, for models that are made for one size.

    Raises:
        ValueError, TypeError, RuntimeError: The model is not known, does not take an argument, or its checkpoint cannot
            be loaded.
    """
    args: Dict[str, Any] = config.model_dump(exclude={'name', 'pretrained', 'checkpoint'}, exclude_none=True)
    if img_size is not None and _pretrained_cfg(config.name).fixed_input_size:
        args['img_size'] = img_size
    if config.pretrained and config.checkpoint:
        args['pretrained_cfg_overlay'] = dict(file=config.checkpoint)
    elif config.pretrained and not _pretrained_cfg(config.name).has_weights:
        raise ValueError(
            f'model.pretrained is true, but no weights of {config.name} can be fetched: set model.checkpoint to the '
            f'file of its backbone (docs/faces.md names the published ones), or model.pretrained=false.')
    return timm.create_model(config.name, pretrained=config.pretrained, num_classes=num_classes, **args)


def build_optimizer(model: torch.nn.Module, config: OptimConfig, pretrained: bool) -> torch.optim.Optimizer:
    """SGD in two groups: the backbone, with AGP, ANM and LightCNN's fc, and the heads (necks and classifiers)."""
    scale = config.backbone_lr_scale
    if scale is None:
        scale = 0.1 if pretrained else 1.0
    heads = [p for name, p in model.named_parameters() if name.startswith(_HEADS)]
    backbone = [p for name, p in model.named_parameters() if not name.startswith(_HEADS)]
    groups: List[Dict[str, Any]] = [
        {'params': backbone, 'lr': config.lr * scale, 'name': 'backbone'},
        {'params': heads, 'lr': config.lr, 'name': 'heads'},
    ]
    return torch.optim.SGD(
        groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, weight_decay=config.weight_decay)


def lr_factor(config: OptimConfig) -> Callable[[int], float]:
    """Learning rate of an epoch (from 0) over that of the configuration: a linear rise, then steps."""
    def factor(epoch: int) -> float:
        rise = min(1., (epoch + 1) / config.warmup_epochs) if config.warmup_epochs else 1.
        return rise * config.gamma ** sum(epoch >= milestone for milestone in config.milestones)
    return factor


def build_scheduler(optimizer: torch.optim.Optimizer, config: OptimConfig) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lr_factor(config))


def build_engine(
        config: Config,
        dataset: Union[str, CrossModalityDataset, None] = None,
        progress: bool = True,
        processes: Optional[Processes] = None,
        training: bool = True,
) -> FDNMEngine:
    """Read the data, create the model, and put both into an engine.

    Args:
        config: The run.
        dataset: A ready-made data set in place of the configuration's.
        progress: Show progress bars.
        processes: Those that train or evaluate together; None for one alone.
        training: Whether the processes are to share the training batches too.

    Raises:
        DatasetError: The data set is missing or malformed.
        ValueError, TypeError, RuntimeError: The model cannot be created or its checkpoint cannot be loaded; a batch
            cannot be shared by so many processes.
    """
    processes = processes or Processes()
    with processes.main_first():  # a data set that is drawn, weights that are fetched
        return _build_engine(config, dataset, progress, processes, processes if training else Processes())


def _build_engine(
        config: Config,
        dataset: Union[str, CrossModalityDataset, None],
        progress: bool,
        processes: Processes,
        sharing: Processes,
) -> FDNMEngine:
    data, train, cfg = config.data, config.train, _pretrained_cfg(config.model.name)
    torch.manual_seed(train.seed)  # of the fresh weights; batches and augmentation have seeds of their own
    datamanager = CrossModalityDataManager(
        root=data.root, sources=dataset or data.dataset, height=data.height, width=data.width, num_ids=data.num_ids,
        num_instances=data.num_instances, batch_size_test=data.batch_size_test, workers=data.workers, pad=data.pad,
        margin=data.margin, flip=data.flip, grayscale=data.grayscale, erasing=data.erasing,
        channels=cfg.input_size[0], mean=cfg.mean, std=cfg.std, seed=train.seed, held_out=data.hold_out,
        options=data.options, use_gpu=train.use_gpu, cache=data.cache, progress=progress, rank=sharing.rank,
        num_replicas=sharing.size)
    model: Any = build_model(config.model, datamanager.num_train_pids, (data.height, data.width))
    model.set_grad_checkpointing(train.grad_checkpointing)
    optimizer = build_optimizer(model, config.optim, config.model.pretrained)
    return FDNMEngine(
        datamanager, model, optimizer, build_scheduler(optimizer, config.optim), FDNMLoss(**config.loss.model_dump()),
        use_gpu=train.use_gpu, config=config.model_dump(mode='json'), progress=progress, amp=train.amp,
        best_by=train.best_by, accumulate=train.accumulate, compile=train.compile, channels_last=train.channels_last,
        sync_bn=train.sync_bn, processes=processes)
