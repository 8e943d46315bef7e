"""Center-guided nuances mining loss.

Paper: Frequency Domain Nuances Mining for Visible-Infrared Person Re-identification - https://arxiv.org/abs/2401.02162
"""
import torch
import torch.nn as nn

from ._distance import check_batch, euclidean, full_precision

__all__ = ['CenterGuidedNuancesMiningLoss']


class CenterGuidedNuancesMiningLoss(nn.Module):
    """Center-guided nuances mining loss L_cnm (Eq. 7-8).

    Centres are the means of an identity's features, for each modality (v, i) and branch (1, 2). For c_v1 and every pair
    of identities j != k

        [2 * D(c_v1^j, c_i1^j) - D(c_v1^j, c_v2^j) - D(c_v1^j, c_v1^k) + m]_+

    with D Euclidean: modalities are pulled together, branches and identities pushed apart. The other three terms come
    by exchanging branch and/or modality; the loss is the mean of the four.

    `loss(f1, f2, pids, modality)` takes the branches' features (N, D) each, before the neck, identities (N,) and
    modalities (N,), 0 = visible and 1 = infrared, in any order; it returns a scalar. It raises ValueError where the
    shapes differ, where the batch has fewer than two identities (no negative centre), where an identity lacks a
    modality, and for modalities other than 0 and 1.
    """

    def __init__(self, margin: float = 0.2, reduction: str = 'mean') -> None:
        """
        Args:
            margin: m, in the features' units.
            reduction: Over the pairs j != k, 'mean' or 'sum'. Eq. 7 prints a sum, whose size grows with the square of
                the number of identities and swamps the other losses; the mean keeps its weight independent of the
                batch.
        """
        super().__init__()
        if reduction not in ('mean', 'sum'):
            raise ValueError(f"reduction is {reduction!r}, but must be 'mean' or 'sum'.")
        self.margin = margin
        self.reduction = reduction

    def forward(
            self,
            f1: torch.Tensor,
            f2: torch.Tensor,
            pids: torch.Tensor,
            modality: torch.Tensor,
    ) -> torch.Tensor:
        if f1.ndim != 2 or f1.shape != f2.shape:
            raise ValueError(
                f'f1 has shape {list(f1.shape)} and f2 {list(f2.shape)}, but both must be (N, D), the branches of '
                f'one batch.')
        check_batch(f1, pids=pids, modality=modality)
        if bool(((modality != 0) & (modality != 1)).any()):
            raise ValueError(
                f'modality runs from {int(modality.min())} to {int(modality.max())}, but only 0 (visible) and 1 '
                f'(infrared) are '
                f'modalities.')
        # (modality, branch, P, D)
        centers = self._centers(full_precision(torch.stack((f1, f2))), pids, modality.to(f1.device) > 0)
        across = euclidean(centers, centers.flip(0))
        between = euclidean(centers, centers.flip(1))
        negatives = euclidean(centers.unsqueeze(3), centers.unsqueeze(2))  # (modality, branch, P, P), row j, column k
        hinge = (2 * across - between + self.margin).unsqueeze(-1) - negatives
        num_ids = centers.shape[2]
        other = ~torch.eye(num_ids, dtype=torch.bool, device=hinge.device)
        total = hinge.clamp(min=0)[..., other].sum() / 4
        return total / (num_ids * (num_ids - 1)) if self.reduction == 'mean' else total

    @staticmethod
    def _centers(features: torch.Tensor, pids: torch.Tensor, infrared: torch.Tensor) -> torch.Tensor:
        ids, place = torch.unique(pids, return_inverse=True)
        if len(ids) < 2:
            raise ValueError(
                f'The batch holds one identity ({ids.tolist()}), and so no negative centre: sample at least two.')
        member = torch.stack([
            nn.functional.one_hot(place, len(ids)) * m.unsqueeze(1) for m in (~infrared, infrared)
        ]).to(features)  # (modality, N, P)
        count = member.sum(dim=1)
        if bool((count == 0).any()):
            modality, row = (count == 0).nonzero()[0].tolist()
            raise ValueError(
                f'Identity {int(ids[row])} has no {("visible", "infrared")[modality]} image in the batch, and so no '
                f'centre: '
                f'sample every identity in both modalities.')
        with torch.autocast(features.device.type, enabled=False):
            return torch.einsum('mnp,bnd->mbpd', member / count.unsqueeze(1), features)
