"""Triplet loss with the hardest examples of the batch.

Paper: In Defense of the Triplet Loss for Person Re-Identification - https://arxiv.org/abs/1703.07737
"""
import torch
import torch.nn as nn

from ._distance import check_batch, euclidean, full_precision

__all__ = ['HardTripletLoss']


class HardTripletLoss(nn.Module):
    """Mean over anchors of [D(farthest of the same identity) - D(nearest of another) + margin]_+, D Euclidean.

    `loss(features, pids)` takes features (N, D) and identities (N,), of both modalities together, and returns a
    scalar. It raises ValueError where the lengths differ or the batch has fewer than two identities.
    """

    def __init__(self, margin: float = 0.3) -> None:
        """
        Args:
            margin: In the features' units.
        """
        super().__init__()
        self.margin = margin

    def forward(self, features: torch.Tensor, pids: torch.Tensor) -> torch.Tensor:
        if features.ndim != 2:
            raise ValueError(f'features have shape {list(features.shape)}, but must be (N, D).')
        check_batch(features, pids=pids)
        same = pids.unsqueeze(0) == pids.unsqueeze(1)
        if bool(same.all()):
            raise ValueError(
                f'The batch holds one identity ({pids[:1].tolist()}), and so no negative: sample at least two.')
        features = full_precision(features)
        # not by the quadratic form |a|^2 + |b|^2 - 2ab, which far from the origin cancels and picks wrong pairs
        dist = torch.cdist(features.detach(), features.detach(), compute_mode='donot_use_mm_for_euclid_dist')
        positive = dist.masked_fill(~same, -torch.inf).argmax(dim=1)
        negative = dist.masked_fill(same, torch.inf).argmin(dim=1)
        gap = euclidean(features, features[positive]) - euclidean(features, features[negative])
        return (gap + self.margin).clamp(min=0).mean()
