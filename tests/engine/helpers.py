"""A small engine on a small data set."""
from typing import Any, Optional, Type

import timm
import torch

import fdnm_timm  # noqa: F401
from fdnm_timm.engine import CrossModalityDataManager, FDNMEngine


def small_manager(root: Any, **kwargs: Any) -> CrossModalityDataManager:
    args: dict = dict(sources='sysu_mm01', height=48, width=24, num_ids=4, num_instances=2, workers=0, pad=2)
    return CrossModalityDataManager(root=root, **{**args, **kwargs})


def small_engine(
        manager: CrossModalityDataManager,
        scheduler: bool = True,
        seed: int = 0,
        cls: Type[FDNMEngine] = FDNMEngine,
        dtype: Optional[torch.dtype] = None,
        **kwargs: Any,
) -> FDNMEngine:
    torch.manual_seed(seed)
    model = timm.create_model('fdnm_resnet18', num_classes=manager.num_train_pids, **kwargs.pop('model', {})).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    steps = torch.optim.lr_scheduler.StepLR(optimizer, 1) if scheduler else None
    return cls(manager, model, optimizer, steps, progress=False, **kwargs)
