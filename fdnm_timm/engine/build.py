"""From a configuration to an engine that is ready to run."""
from typing import Any, Callable, Dict, List, Union

import timm
import torch

from ..config import Config, ModelConfig, OptimConfig
from ..data import CrossModalityDataset
from ..losses import FDNMLoss
from .datamanager import CrossModalityDataManager
from .engine import FDNMEngine

__all__ = ['build_engine', 'build_model', 'build_optimizer', 'build_scheduler', 'lr_factor']


def build_model(config: ModelConfig, num_classes: int) -> torch.nn.Module:
    """`timm.create_model` with the configuration's arguments."""
    args: Dict[str, Any] = config.model_dump(exclude={'name', 'pretrained', 'checkpoint'})
    if config.pretrained and config.checkpoint:
        args['pretrained_cfg_overlay'] = dict(file=config.checkpoint)
    return timm.create_model(config.name, pretrained=config.pretrained, num_classes=num_classes, **args)


def build_optimizer(model: torch.nn.Module, config: OptimConfig, pretrained: bool) -> torch.optim.Optimizer:
    """SGD in two groups: the backbone, AGP and ANM included, and the heads (necks and classifiers)."""
    scale = config.backbone_lr_scale
    if scale is None:
        scale = 0.1 if pretrained else 1.0
    heads = [p for name, p in model.named_parameters() if name.startswith('head.')]
    backbone = [p for name, p in model.named_parameters() if not name.startswith('head.')]
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
) -> FDNMEngine:
    """Read the data, create the model, and put both into an engine.

    Args:
        config: The run.
        dataset: A ready-made data set in place of the configuration's.
        progress: Show progress bars.

    Raises:
        DatasetError: The data set is missing or malformed.
        ValueError, TypeError, RuntimeError: The model cannot be created or its checkpoint cannot be loaded.
    """
    data = config.data
    torch.manual_seed(config.train.seed)  # of the fresh weights; batches and augmentation have seeds of their own
    datamanager = CrossModalityDataManager(
        root=data.root, sources=dataset or data.dataset, height=data.height, width=data.width, num_ids=data.num_ids,
        num_instances=data.num_instances, batch_size_test=data.batch_size_test, workers=data.workers, pad=data.pad,
        flip=data.flip, grayscale=data.grayscale, erasing=data.erasing, seed=config.train.seed, held_out=data.hold_out,
        options=data.options, use_gpu=config.train.use_gpu)
    model = build_model(config.model, datamanager.num_train_pids)
    optimizer = build_optimizer(model, config.optim, config.model.pretrained)
    return FDNMEngine(
        datamanager, model, optimizer, build_scheduler(optimizer, config.optim), FDNMLoss(**config.loss.model_dump()),
        use_gpu=config.train.use_gpu, config=config.model_dump(mode='json'), progress=progress,
        amp=config.train.amp == 'bf16', best_by=config.train.best_by)
