"""FDNM around any staged backbone: a stem for each modality, AGP between the stages, ANM after them, part heads.

Paper: Frequency Domain Nuances Mining for Visible-Infrared Person Re-identification - https://arxiv.org/abs/2401.02162
"""
from collections import OrderedDict
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
from timm.layers import get_device_dtype
from timm.models import checkpoint_seq
from timm.models._features import feature_take_indices

from ..layers import AmplitudeGuidedPhase, AmplitudeNuancesMining, PartHead, TwoStream
from ._intermediates import run_stages

__all__ = ['FDNM', 'FDNMOutput']


class FDNMOutput(NamedTuple):
    """What a model in metric training returns: everything that the losses of Eq. 9 need."""
    features: torch.Tensor  # (B, branches, heads, C), pooled, before the neck
    logits: torch.Tensor  # (B, branches, heads, num_classes)


class OneStream(nn.Module):
    """One stem for both modalities: `TwoStream`'s place and signature, with the modality ignored."""

    def __init__(self, shared: nn.Module) -> None:
        """
        Args:
            shared: Stem of all images.
        """
        super().__init__()
        self.shared = shared

    def forward(self, x: torch.Tensor, modality: Optional[Union[str, torch.Tensor]] = None) -> torch.Tensor:
        return self.shared(x)


class FDNM(nn.Module):
    """Frequency domain nuances mining.

    A subclass hands over what its backbone consists of; the method is the same for all: stem of the image's modality ->
    pool -> stages with `AmplitudeGuidedPhase` after those in `agp_stages` -> `AmplitudeNuancesMining` -> `PartHead`.

    `model(x, modality)` returns logits (B, num_classes), the mean over branches and heads, or the embedding where
    num_classes is 0; see `layers.TwoStream` for what `modality` may be, and what it raises. With `two_stream=False` one
    stem, `stem.shared`, serves both modalities, and `modality` is accepted and ignored.

    A subclass keeps its constructor's arguments in `_constructor_args`, and can have another head by `_make_head`.
    """
    metric_training: bool

    def __init__(
            self,
            stem: Callable[[], nn.Module],
            pool: nn.Module,
            stages: Sequence[nn.Sequential],
            feature_info: List[Dict[str, Any]],
            num_classes: int = 1000,
            in_chans: int = 3,
            global_pool: str = 'avg',
            drop_rate: float = 0.,
            agp_stages: Sequence[int] = (1, 2),
            anm: bool = True,
            anm_residual: bool = True,
            final_norm: bool = False,
            init: str = 'identity',
            num_parts: int = 4,
            global_head: bool = True,
            embedding: str = 'all',
            two_stream: bool = True,
            device=None,
            dtype=None,
    ) -> None:
        """
        Args:
            stem: Makes one stem.
            pool: What follows the stems, shared.
            stages: The shared stages.
            feature_info: Channels and reduction after the stem and after every stage.
            num_classes: Number of training identities, 0 for none.
            in_chans: Number of image channels.
            global_pool: 'avg', 'max' or 'avgmax', for all heads; '' returns the map.
            drop_rate: Dropout before the classifiers.
            agp_stages: Stages after which AGP sits, 0 = after the stem's pooling (Table 4).
            anm: Whether ANM follows the last stage (Table 3).
            anm_residual: Add the amplitude to what ANM's branches make of it.
            final_norm: Without ANM, put a BatchNorm2d in its place: the control that tells ANM from its batch norm.
            init: 'identity' or 'paper', how AGP and ANM start.
            num_parts: Number of horizontal stripes, 0 for none ("Base." of Table 3).
            global_head: Whether the whole map is pooled too (False: "Local" of Table 3).
            embedding: 'all' heads make the embedding, or the 'global' ones only.
            two_stream: A stem for each modality; False: one for both.
        """
        super().__init__()
        wrong = [i for i in agp_stages if i not in range(len(stages) + 1)]
        if wrong:
            raise ValueError(
                f'agp_stages holds {wrong}, but this model has the places 0 (after the pooling) to {len(stages)} '
                f'(after the last stage).')
        if final_norm and anm:
            raise ValueError('final_norm=True is the control for anm=False: ANM has a batch norm of its own.')
        dd = {'device': device, 'dtype': dtype}
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.metric_training = False
        self.feature_info = feature_info
        self.agp_stages = tuple(sorted(set(agp_stages)))
        self._constructor_args: Dict[str, Any] = {}
        self._head_args: Dict[str, Any] = dict(
            num_parts=num_parts, global_head=global_head, embedding=embedding, drop_rate=drop_rate)

        def _with_agp(index: int, stage: nn.Sequential) -> nn.Sequential:
            parts = OrderedDict(stage.named_children())
            if index in self.agp_stages:
                parts['agp'] = AmplitudeGuidedPhase(feature_info[index]['num_chs'], init=init, **dd)
            return nn.Sequential(parts)

        # the order is that of the forward pass, since timm's features_only runs the children one after the other
        self.stem = TwoStream(stem(), stem()) if two_stream else OneStream(stem())
        self.pool = _with_agp(0, nn.Sequential(OrderedDict(pool=pool)))
        self.stages = nn.Sequential(*[_with_agp(i + 1, stage) for i, stage in enumerate(stages)])
        chs = feature_info[-1]['num_chs']
        self.final_norm = nn.BatchNorm2d(chs, **dd) if final_norm else nn.Identity()
        self.anm = AmplitudeNuancesMining(chs, residual=anm_residual, init=init, **dd) if anm else None
        self._build_head(num_classes, global_pool, **dd)

    @property
    @torch.jit.unused
    def constructor_args(self) -> Dict[str, Any]:
        """Every argument that makes this model again, as JSON values; what was reset since is up to date."""
        return {**self._constructor_args, 'num_classes': self.num_classes, 'global_pool': self.head.pool_type}

    def _make_head(self, chs: int, num_classes: int, global_pool: str, **kwargs: Any) -> PartHead:
        return PartHead(chs, num_classes, pool_type=global_pool, **kwargs)

    def _same_head(self, global_pool: str, other: str) -> bool:
        """Whether a head for one pooling can go over to the other."""
        return bool(global_pool) == bool(other)

    def _build_head(self, num_classes: int, global_pool: str, device=None, dtype=None) -> None:
        branches = 1 if self.anm is None else 2
        chs = self.feature_info[len(self.stages)]['num_chs']
        self.num_classes = num_classes
        self.head = self._make_head(
            chs, num_classes, global_pool, branches=branches, **self._head_args, device=device, dtype=dtype)
        self.head.train(self.training)
        self.num_features = branches * chs
        self.head_hidden_size = self.head.embedding_size if global_pool else self.num_features

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> Dict[str, Any]:
        return dict(
            stem=r'^stem|^pool',
            blocks=r'^stages\.(\d+)' if coarse else [
                (r'^stages\.(\d+)\.(\d+)', None),
                (r'^stages\.(\d+)\.\D', (99999,)),  # goes with the block before it
                (r'^final_norm|^anm', (99999,)),
            ],
        )

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def set_metric_training(self, enable: bool = True) -> None:
        """While training, return `FDNMOutput` in place of the logits. In evaluation nothing changes."""
        self.metric_training = enable

    @torch.jit.ignore
    def get_classifier(self) -> nn.Module:
        return self.head.classifier

    def reset_classifier(self, num_classes: int, global_pool: Optional[str] = None) -> None:
        """A fresh classifier; the neck, which the embedding needs, stays.

        Args:
            num_classes: Number of identities, 0 for none: the model then returns the embedding.
            global_pool: Another pooling, None keeps the present one. '' takes the neck away too and returns the map;
                coming back from '' makes a fresh neck.
        """
        dd = get_device_dtype(self)
        if global_pool is not None and not self._same_head(global_pool, self.head.pool_type):
            self._build_head(num_classes, global_pool, **dd)
            return
        if global_pool is not None:
            self.head.pool_type = global_pool
        self.num_classes = num_classes
        self.head.reset(num_classes, **dd)

    def forward_intermediates(
            self,
            x: torch.Tensor,
            indices: Optional[Union[int, List[int]]] = None,
            norm: bool = False,
            stop_early: bool = False,
            output_fmt: str = 'NCHW',
            intermediates_only: bool = False,
            modality: Optional[Union[str, torch.Tensor]] = None,
    ) -> Union[List[torch.Tensor], Tuple[torch.Tensor, List[torch.Tensor]]]:
        """Forward features that returns intermediates.

        Args:
            x: Images (B, in_chans, H, W).
            indices: Take last n stages if int, all if None, select matching indices if sequence. 0 is the stem.
            norm: No effect: the stages end in an activation or in AGP. ANM belongs to the final features.
            stop_early: Stop iterating over stages when last desired intermediate hit.
            output_fmt: Shape of intermediate feature outputs, 'NCHW' only.
            intermediates_only: Only return intermediate features.
            modality: As for `forward`.

        Returns:
            The final features, as `forward_features` gives them, and the intermediates; or the intermediates only.
        """
        assert output_fmt in ('NCHW',), 'Output shape must be NCHW.'
        take_indices, max_index = feature_take_indices(len(self.feature_info), indices)
        stages = list(self.stages)[:max_index] if stop_early else list(self.stages)
        x, intermediates = run_stages(
            self.stem(x, modality), self.pool, stages, take_indices,
            self.grad_checkpointing and not torch.jit.is_scripting())
        if intermediates_only:
            return intermediates
        return (self._mine(x) if len(stages) == len(self.stages) else x), intermediates

    def prune_intermediate_layers(
            self,
            indices: Union[int, List[int]] = 1,
            prune_norm: bool = False,
            prune_head: bool = True,
    ) -> List[int]:
        """Prune layers not required for specified intermediates.

        Args:
            indices: Indices of intermediate layers to keep.
            prune_norm: Whether to prune what follows the last stage, ANM or its control.
            prune_head: Whether to prune the heads.

        Returns:
            List of indices that were kept.
        """
        take_indices, max_index = feature_take_indices(len(self.feature_info), indices)
        prune_end = max_index < len(self.stages)
        if max_index == 0:
            self.pool = nn.Sequential()
        self.stages = self.stages[:max_index]
        if prune_end or prune_norm:
            self.anm = None
            self.final_norm = nn.Identity()
        if prune_head or prune_end or prune_norm:
            self._build_head(0, '', **get_device_dtype(self))
        return take_indices

    def _mine(self, x: torch.Tensor) -> torch.Tensor:
        x = self.final_norm(x)
        if self.anm is not None:
            x = torch.cat(self.anm(x), dim=1)
        return x

    def _forward_shared(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(x)
        if self.grad_checkpointing and not torch.jit.is_scripting():
            x = checkpoint_seq(self.stages, x, flatten=True)
        else:
            x = self.stages(x)
        return self._mine(x)

    def forward_features(
            self,
            x: torch.Tensor,
            modality: Optional[Union[str, torch.Tensor]] = None,
    ) -> torch.Tensor:
        """Images (B, in_chans, H, W) -> the branches' maps, concatenated on channels: (B, 2C, H', W'); (B, C, H', W')
        without ANM."""
        return self._forward_shared(self.stem(x, modality))

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Maps of `forward_features` -> logits (B, num_classes), or the embedding (B, head_hidden_size)."""
        return self.head(x, pre_logits=pre_logits)

    def forward(
            self,
            x: torch.Tensor,
            modality: Optional[Union[str, torch.Tensor]] = None,
    ) -> torch.Tensor:
        # as forward_features does; from here, all that follows the stems' graph break compiles as one graph
        x = self._forward_shared(self.stem(x, modality))
        if not torch.jit.is_scripting() and self.metric_training and self.training:
            return FDNMOutput(*self.head.classify(x))  # type: ignore[return-value]
        return self.forward_head(x)
