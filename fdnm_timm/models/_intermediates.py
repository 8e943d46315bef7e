"""The stages' maps on the way, for models of stem, pooling and stages."""
from typing import List, Sequence, Tuple

import torch
import torch.nn as nn
from timm.models import checkpoint_seq

__all__ = ['run_stages']


def run_stages(
        x: torch.Tensor,
        pool: nn.Module,
        stages: Sequence[nn.Module],
        take_indices: Sequence[int],
        grad_checkpointing: bool = False,
) -> Tuple[torch.Tensor, List[torch.Tensor]]:
    """Run what follows the stem, and keep some of the maps.

    Args:
        x: The stem's map (B, C, H, W).
        pool: Between the stem and the stages.
        stages: Run in order.
        take_indices: What is kept: 0 is the stem's map, i that of stage i - 1.
        grad_checkpointing: Keep only the inputs of a stage's blocks for backward.

    Returns:
        The last stage's map, and the kept ones.
    """
    intermediates = [x] if 0 in take_indices else []
    x = pool(x)
    for i, stage in enumerate(stages):
        x = checkpoint_seq(stage, x) if grad_checkpointing else stage(x)
        if i + 1 in take_indices:
            intermediates.append(x)
    return x, intermediates
