"""The heads: the whole map and its horizontal stripes, each with a BNNeck and a classifier."""
from typing import Tuple

import torch
import torch.nn as nn
from timm.models import register_notrace_module

__all__ = ['PartHead']


class ParallelClassifier(nn.Module):
    """A bias-free linear classifier for each head: (B, branches, heads, C) -> (B, branches, heads, num_classes)."""

    def __init__(
            self,
            heads: int,
            in_features: int,
            num_classes: int,
            device=None,
            dtype=None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, num_classes, in_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=1e-3)  # small, as is usual after a BNNeck

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum('bkhc,hnc->bkhn', x, self.weight)

    def extra_repr(self) -> str:
        heads, num_classes, in_features = self.weight.shape
        return f'heads={heads}, in_features={in_features}, num_classes={num_classes}'


@register_notrace_module
class BNNeck(nn.BatchNorm1d):
    """Batch norm that scales and does not shift, so that the classifiers' planes go through the origin."""

    def __init__(self, num_features: int, device=None, dtype=None) -> None:
        super().__init__(num_features, device=device, dtype=dtype)
        self.register_parameter('bias', None)

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        nn.init.ones_(self.weight)


class PartHead(nn.Module):
    """Pool the branches' maps globally and in stripes, normalise (BNNeck), embed or classify.

    A head's neck and classifier are shared by the branches and both modalities. The map (B, branches * C, H, W) becomes
    features (B, branches, heads, C): head 0 is the whole map where `global_head` is set, then the stripes from top to
    bottom, by adaptive bins, so that a map of fewer rows than stripes works.
    """

    def __init__(
            self,
            in_features: int,
            num_classes: int,
            branches: int = 2,
            num_parts: int = 4,
            global_head: bool = True,
            embedding: str = 'all',
            pool_type: str = 'avg',
            drop_rate: float = 0.,
            device=None,
            dtype=None,
    ) -> None:
        """
        Args:
            in_features: Channels C of one branch.
            num_classes: Number of training identities, 0 for no classifier.
            branches: Number of branches that are concatenated on the map's channels.
            num_parts: Number of horizontal stripes, 0 for none.
            global_head: Whether the whole map is pooled too.
            embedding: 'all' concatenates every branch's and head's vector, 'global' the branches' global ones only.
            pool_type: 'avg', 'max' or 'avgmax', or '' for no pooling, neck and classifier: the map is passed on.
            drop_rate: Dropout before the classifiers, in [0, 1).
        """
        super().__init__()
        if num_parts < 0 or num_parts + int(global_head) < 1:
            raise ValueError(
                f'num_parts is {num_parts} with global_head={global_head}, but at least one head is needed: '
                f'set global_head=True or num_parts >= 1.')
        if embedding not in ('all', 'global'):
            raise ValueError(f"embedding is {embedding!r}, but must be 'all' or 'global'.")
        if embedding == 'global' and not global_head:
            raise ValueError("embedding='global' needs the global head, but global_head is False.")
        if pool_type not in ('avg', 'max', 'avgmax', ''):
            raise ValueError(f"global_pool is {pool_type!r}, but must be 'avg', 'max', 'avgmax' or ''.")
        if not pool_type and num_classes:
            raise ValueError(
                f"global_pool='' leaves nothing to classify, but num_classes is {num_classes}: set it to 0.")
        self.in_features = in_features
        self.branches = branches
        self.num_parts = num_parts
        self.global_head = global_head
        self.heads = num_parts + int(global_head)
        self.embedding = embedding
        self.pool_type = pool_type
        dd = {'device': device, 'dtype': dtype}
        self.neck: nn.Module = BNNeck(self.heads * in_features, **dd) if pool_type else nn.Identity()
        self.drop = nn.Dropout(drop_rate)
        self.classifier: nn.Module = nn.Identity()
        self.reset(num_classes, **dd)

    def reset(self, num_classes: int, device=None, dtype=None) -> None:
        """Put a fresh classifier for `num_classes` identities (0: none) in the place of the present one."""
        self.num_classes = num_classes
        self.classifier = ParallelClassifier(
            self.heads, self.in_features, num_classes, device=device, dtype=dtype,
        ) if num_classes else nn.Identity()
        self.classifier.train(self.training)

    @property
    def embedding_size(self) -> int:
        return self.branches * self.in_features * (1 if self.embedding == 'global' else self.heads)

    def _pool_rows(self, x: torch.Tensor, rows: int) -> torch.Tensor:
        if self.pool_type == 'max':
            return nn.functional.adaptive_max_pool2d(x, (rows, 1))
        avg = nn.functional.adaptive_avg_pool2d(x, (rows, 1))
        if self.pool_type == 'avgmax':
            return (avg + nn.functional.adaptive_max_pool2d(x, (rows, 1))) / 2
        return avg

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, branches * C, H, W) -> features (B, branches, heads, C), before the neck."""
        pooled = []
        if self.global_head:
            pooled.append(self._pool_rows(x, 1))
        if self.num_parts > 0:
            pooled.append(self._pool_rows(x, self.num_parts))
        x = torch.cat(pooled, dim=2)
        return x.reshape(-1, self.branches, self.in_features, self.heads).transpose(2, 3)

    def normalize(self, features: torch.Tensor) -> torch.Tensor:
        """Features before the neck -> after it, same shape."""
        return self.neck(features.reshape(-1, self.heads * self.in_features)).reshape(
            -1, self.branches, self.heads, self.in_features)

    def embed(self, necked: torch.Tensor) -> torch.Tensor:
        """Features after the neck -> embedding (B, embedding_size): every vector L2-normalised, then concatenated."""
        if self.embedding == 'global':
            necked = necked[:, :, :1]
        return nn.functional.normalize(necked, dim=-1).flatten(1)

    def classify(self, x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """Map -> (features before the neck, logits (B, branches, heads, num_classes))."""
        features = self.pool(x)
        return features, self.classifier(self.drop(self.normalize(features)))

    def forward(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        if not self.pool_type:
            return x
        if pre_logits or not self.num_classes:
            return self.embed(self.normalize(self.pool(x)))
        return self.classify(x)[1].mean(dim=(1, 2))
