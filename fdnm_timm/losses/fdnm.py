"""The total loss of FDNM.

Paper: Frequency Domain Nuances Mining for Visible-Infrared Person Re-identification - https://arxiv.org/abs/2401.02162
"""
from typing import Dict, NamedTuple, Tuple

import torch
import torch.nn as nn

from ._distance import check_batch, full_precision
from .center_guided import CenterGuidedNuancesMiningLoss
from .triplet import HardTripletLoss

__all__ = ['FDNMLoss']


class FDNMLoss(nn.Module):
    """L = L_id + lambda_1 * L_tri + lambda_2 * L_cnm (Eq. 9).

    L_id is the cross entropy and L_tri the hardest-in-batch triplet loss, both averaged over branches and heads;
    L_cnm is averaged over the heads, and is left out where the model has one branch only (no ANM) or its weight is 0.

    `loss(output, pids, modality)` takes the model's `FDNMOutput` (features (B, branches, heads, D) before the neck,
    logits (B, branches, heads, num_classes)), identities (B,) in 0..num_classes-1 and modalities (B,), 0 = visible
    and 1 = infrared. It returns the total and a dict of its unweighted parts, 'id', and where their weights are not
    0, 'tri' and 'cnm'. It raises ValueError for labels that do not fit, and FloatingPointError naming the part that
    is not finite.
    """

    def __init__(
            self,
            lambda_tri: float = 1.0,
            lambda_cnm: float = 0.5,
            margin_tri: float = 0.3,
            margin_cnm: float = 0.2,
            cnm_reduction: str = 'mean',
            cnm_normalize: bool = False,
    ) -> None:
        """
        Args:
            lambda_tri: lambda_1.
            lambda_cnm: lambda_2.
            margin_tri: Margin of L_tri.
            margin_cnm: Margin m of L_cnm.
            cnm_reduction: 'mean' or 'sum' over L_cnm's pairs of identities.
            cnm_normalize: Give L_cnm unit vectors. On the features as they are (Eq. 7), its size goes with theirs: from
                scratch it starts several times as large as L_id and shrinks the features before they tell identities
                apart.
        """
        super().__init__()
        self.lambda_tri = lambda_tri
        self.lambda_cnm = lambda_cnm
        self.cnm_normalize = cnm_normalize
        self.triplet = HardTripletLoss(margin_tri)
        self.cnm = CenterGuidedNuancesMiningLoss(margin_cnm, cnm_reduction)

    def forward(
            self,
            output: NamedTuple,
            pids: torch.Tensor,
            modality: torch.Tensor,
    ) -> Tuple[torch.Tensor, Dict[str, torch.Tensor]]:
        features, logits = output
        check_batch(features, pids=pids, modality=modality)
        num_classes = logits.shape[-1]
        if bool(((pids < 0) | (pids >= num_classes)).any()):
            raise ValueError(
                f'pids run from {int(pids.min())} to {int(pids.max())}, but the model has {num_classes} classes: '
                f'relabel the training identities 0..{num_classes - 1}, or give the model more classes.')
        branches, heads = features.shape[1:3]
        parts = {
            'id': nn.functional.cross_entropy(
                full_precision(logits.flatten(0, 2)), pids.repeat_interleave(branches * heads)),
        }
        total = parts['id']
        if self.lambda_tri:
            parts['tri'] = torch.stack([
                self.triplet(features[:, b, h], pids) for b in range(branches) for h in range(heads)]).mean()
            total = total + self.lambda_tri * parts['tri']
        if self.lambda_cnm and branches == 2:
            mined = full_precision(features)
            if self.cnm_normalize:
                mined = nn.functional.normalize(mined, dim=-1)
            parts['cnm'] = torch.stack([
                self.cnm(mined[:, 0, h], mined[:, 1, h], pids, modality) for h in range(heads)]).mean()
            total = total + self.lambda_cnm * parts['cnm']
        if not bool(torch.isfinite(total.detach())):
            bad = [name for name, part in parts.items() if not bool(torch.isfinite(part.detach()))]
            raise FloatingPointError(
                f'The loss is not finite: {", ".join(f"{name} = {float(parts[name].detach())}" for name in bad)}. '
                f'Look for NaN in the '
                f'input images, or lower the learning rate.')
        return total, parts
