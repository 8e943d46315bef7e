"""LightCNN-29 as published: the keys and shapes of its checkpoints, and its forward pass written on them.

Nothing here is shared with `fdnm_timm.models.lightcnn`, so that a wrong pooling, width or key cannot be on both sides.
"""
from typing import Dict, Tuple

import torch
import torch.nn.functional as F

WIDTHS = {1: (48, 96), 2: (96, 192), 3: (192, 128), 4: (128, 128)}  # of a group: in, out; block i has i residual units


def published_state(version: int, num_classes: int = 7, grid: int = 8, seed: int = 0) -> Dict[str, torch.Tensor]:
    """Random weights under the published keys, in the published shapes, for images of 16 * grid."""
    generator = torch.Generator().manual_seed(seed)
    state: Dict[str, torch.Tensor] = {}

    def layer(name: str, *shape: int, bias: bool = True) -> None:
        fan_in = torch.Size(shape[1:]).numel()
        state[f'{name}.weight'] = torch.randn(shape, generator=generator) / (2 * fan_in) ** 0.5
        if bias:
            state[f'{name}.bias'] = torch.randn(shape[0], generator=generator) * 0.1

    layer('conv1.filter', 2 * 48, 1, 5, 5)
    for i, (width, out) in WIDTHS.items():
        for j in range(i):
            layer(f'block{i}.{j}.conv1.filter', 2 * width, width, 3, 3)
            layer(f'block{i}.{j}.conv2.filter', 2 * width, width, 3, 3)
        layer(f'group{i}.conv_a.filter', 2 * width, width, 1, 1)
        layer(f'group{i}.conv.filter', 2 * out, width, 3, 3)
    if version == 1:
        layer('fc.filter', 2 * 256, 128 * grid * grid)
    else:
        layer('fc', 256, 128 * grid * grid)
    layer('fc2', num_classes, 256, bias=version == 1)
    return state


def published_forward(
        state: Dict[str, torch.Tensor],
        x: torch.Tensor,
        version: int,
) -> Tuple[torch.Tensor, torch.Tensor]:
    """(logits, embedding) in evaluation."""
    def mfm(name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = state[f'{name}.filter.weight'], state[f'{name}.filter.bias']
        x = F.linear(x, weight, bias) if weight.ndim == 2 else F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        half = x.shape[1] // 2
        return torch.where(x[:, :half] > x[:, half:], x[:, :half], x[:, half:])

    def pool(x: torch.Tensor) -> torch.Tensor:
        if version == 1:
            return F.max_pool2d(x, 2, stride=2, ceil_mode=True)
        return F.max_pool2d(x, 2) + F.avg_pool2d(x, 2)

    x = pool(mfm('conv1', x))
    for i in (1, 2, 3, 4):
        for j in range(i):
            x = mfm(f'block{i}.{j}.conv2', mfm(f'block{i}.{j}.conv1', x)) + x
        x = mfm(f'group{i}.conv', mfm(f'group{i}.conv_a', x))
        if i != 3:
            x = pool(x)
    x = x.reshape(x.shape[0], -1)
    embedding = mfm('fc', x) if version == 1 else F.linear(x, state['fc.weight'], state['fc.bias'])
    return F.linear(embedding, state['fc2.weight'], state.get('fc2.bias')), embedding


def wrap(state: Dict[str, torch.Tensor]) -> dict:
    """As the published files have it: DataParallel's keys, in a dict with the epoch."""
    return {'epoch': 3, 'arch': 'LightCNN', 'state_dict': {f'module.{k}': v for k, v in state.items()}, 'prec1': 90.0}
