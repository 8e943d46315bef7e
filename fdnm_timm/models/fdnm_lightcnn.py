"""FDNM on LightCNN-29, for faces.

Paper: Frequency Domain Nuances Mining for Visible-Infrared Person Re-identification - https://arxiv.org/abs/2401.02162
Backbone: A Light CNN for Deep Face Representation with Noisy Labels - https://arxiv.org/abs/1511.02683

Of its network for faces the paper says only that LightCNN-29 takes ResNet-50's place. The rest is ours: AGP after
stages 1 and 2 and ANM on the last map, as on the ResNets; the fc is kept, and each branch of ANM goes through it; no
stripes; a stem for each modality.
"""
from typing import Any, Dict, List, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from timm.layers import to_2tuple
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model, register_notrace_module

from ..layers import PartHead
from ._checkpoint import check_keys, strip_wrappers
from ._fdnm import FDNM
from ._releases import release_cfgs
from .lightcnn import (
    EMBEDDING,
    check_map_size,
    from_lightcnn,
    is_lightcnn,
    make_fc,
    make_pool,
    make_stages,
    make_stem,
    map_size,
)

__all__ = ['FDNMLightCNN']


@register_notrace_module  # reason: the size of the map is checked
class FcHead(PartHead):
    """A `PartHead` whose features are LightCNN's fc of a branch's map, (B, branches, heads, 256).

    The global head's is the fc of the whole map, a stripe's the fc of the map that is zero outside of it, so that all
    heads share the published weights and a stripe keeps its place in the face.
    """
    rows: List[Tuple[int, int]]

    def __init__(
            self,
            in_chs: int,
            img_size: Tuple[int, int],
            reduction: int,
            num_classes: int,
            version: int,
            num_parts: int = 0,
            device=None,
            dtype=None,
            **kwargs: Any,
    ) -> None:
        """
        Args:
            in_chs: Channels of one branch's map.
            img_size: Height and width of the images.
            reduction: The map's.
            num_classes: Number of training identities, 0 for no classifier.
            version: LightCNN-29's, 1 or 2.
            num_parts: Number of horizontal stripes, 0 for none.
            kwargs: Those of `PartHead`.
        """
        super().__init__(EMBEDDING, num_classes, num_parts=num_parts, device=device, dtype=dtype, **kwargs)
        self.pool_type = 'fc'
        self.in_chs = in_chs
        self.img_size = img_size
        self.map_size = map_size(version, img_size, reduction)
        height, width = self.map_size
        # adaptive bins, as in torch's adaptive pooling
        self.rows = [(i * height // num_parts, -(-(i + 1) * height // num_parts)) for i in range(num_parts)]
        self.fc = make_fc(version, in_chs * height * width, device=device, dtype=dtype)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, branches * C, H, W) -> features (B, branches, heads, 256), before the neck."""
        check_map_size(x, self.map_size, self.img_size)
        height = self.map_size[0]
        maps = x.reshape(-1, self.in_chs, height, self.map_size[1])
        features = []
        if self.global_head:
            features.append(self.fc(maps.flatten(1)))
        for start, stop in self.rows:
            part = F.pad(maps[:, :, start:stop], (0, 0, start, height - stop))
            features.append(self.fc(part.flatten(1)))
        return torch.stack(features, dim=1).reshape(-1, self.branches, self.heads, self.in_features)


class FDNMLightCNN(FDNM):
    """FDNM with LightCNN-29: `stem.visible` and `stem.infrared` (or `stem.shared`) hold conv1, `stages.0` to `stages.3`
    a block, a group and a pooling each, `head.fc` the fc."""

    def __init__(
            self,
            version: int = 2,
            num_classes: int = 1000,
            in_chans: int = 1,
            img_size: Union[int, Tuple[int, int]] = 128,
            global_pool: str = 'fc',
            drop_rate: float = 0.,
            agp_stages: Sequence[int] = (1, 2),
            anm: bool = True,
            anm_residual: bool = True,
            final_norm: bool = False,
            init: str = 'identity',
            num_parts: int = 0,
            global_head: bool = True,
            embedding: str = 'all',
            two_stream: bool = True,
            device=None,
            dtype=None,
    ) -> None:
        """
        Args:
            version: LightCNN-29's, 1 or 2.
            img_size: Height and width of the images, at least 16; published weights are for 128.
            global_pool: 'fc' keeps LightCNN's fc; 'avg', 'max' and 'avgmax' pool the map in its place, '' returns it.
            num_parts: Number of horizontal stripes.
            two_stream: A stem for each modality; published weights have one stem, which then goes to both.

        The other arguments are those of `FDNM`.
        """
        self_args = dict(
            num_classes=num_classes, in_chans=in_chans, img_size=list(to_2tuple(img_size)), global_pool=global_pool,
            drop_rate=drop_rate, agp_stages=list(agp_stages), anm=anm, anm_residual=anm_residual, final_norm=final_norm,
            init=init, num_parts=num_parts, global_head=global_head, embedding=embedding, two_stream=two_stream)
        dd = {'device': device, 'dtype': dtype}
        stages, feature_info = make_stages(version, **dd)
        super().__init__(
            stem=lambda: make_stem(in_chans, **dd),
            pool=make_pool(version),
            stages=stages,
            feature_info=feature_info,
            num_classes=0,
            in_chans=in_chans,
            global_pool='',  # the head is built below, where it finds the size of the map
            drop_rate=drop_rate,
            agp_stages=agp_stages,
            anm=anm,
            anm_residual=anm_residual,
            final_norm=final_norm,
            init=init,
            num_parts=num_parts,
            global_head=global_head,
            embedding=embedding,
            two_stream=two_stream,
            **dd,
        )
        self.version = version
        self.img_size = to_2tuple(img_size)
        self._build_head(num_classes, global_pool, **dd)
        self._constructor_args = self_args
        self._traits = {'first_conv': tuple(f'stem.{name}.filter' for name, _ in self.stem.named_children())}

    def _make_head(self, chs: int, num_classes: int, global_pool: str, **kwargs: Any) -> PartHead:
        if global_pool != 'fc':
            return super()._make_head(chs, num_classes, global_pool, **kwargs)
        reduction = self.feature_info[len(self.stages)]['reduction']
        return FcHead(chs, self.img_size, reduction, num_classes, self.version, **kwargs)

    def _same_head(self, global_pool: str, other: str) -> bool:
        return super()._same_head(global_pool, other) and (global_pool == 'fc') == (other == 'fc')


def checkpoint_filter_fn(state_dict: Dict[str, torch.Tensor], model: nn.Module) -> Dict[str, torch.Tensor]:
    """Accept a whole FDNM checkpoint or a whole LightCNN-29 of the model's version, and nothing else.

    A LightCNN gives stem, stages and fc, and whatever it cannot have is filled from the fresh model; of an FDNM
    checkpoint only the classifier may be absent.

    Raises:
        RuntimeError: The file is neither, or is incomplete; the message lists what is missing or not known.
    """
    assert isinstance(model, FDNMLightCNN)
    state_dict = strip_wrappers(state_dict)
    own = model.state_dict()
    if 'stem.visible.filter.weight' in state_dict or 'stem.shared.filter.weight' in state_dict:
        check_keys(state_dict, own, optional=('head.classifier.',), kind='FDNM checkpoint')
        return state_dict
    if not is_lightcnn(state_dict):
        raise RuntimeError(
            f'The file holds neither an FDNM nor a LightCNN-29: it has no "stem.visible.filter.weight", no '
            f'"stem.shared.filter.weight" and no "conv1.filter.weight". It begins with {sorted(state_dict)[:5]}. '
            f'Give a checkpoint of FDNMLightCNN or of the LightCNN-29 it is built on.')
    mapped: Dict[str, torch.Tensor] = {}
    for key, value in from_lightcnn(state_dict, model.version, fc=model.head.pool_type == 'fc').items():
        if key.startswith('stem.'):
            for name, _ in model.stem.named_children():
                mapped[key.replace('stem.', f'stem.{name}.')] = value
        elif not key.startswith('head.fc2.'):
            mapped[key] = value
    return {**own, **mapped}


def _create_fdnm_lightcnn(variant: str, pretrained: bool = False, **kwargs: Any) -> FDNMLightCNN:
    return build_model_with_cfg(
        FDNMLightCNN, variant, pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg=dict(out_indices=(0, 1, 2, 3, 4), flatten_sequential=True),
        **kwargs,
    )


def _cfg(url: str = '', **kwargs: Any) -> Dict[str, Any]:
    return {
        'url': url, 'num_classes': 1000, 'input_size': (1, 128, 128), 'pool_size': (8, 8), 'fixed_input_size': True,
        'crop_pct': 128 / 144, 'interpolation': 'bilinear', 'mean': (0.,), 'std': (1.,),
        'first_conv': ('stem.visible.filter', 'stem.infrared.filter'), 'classifier': 'head.classifier',
        'paper_ids': 'arXiv:2401.02162',
        'paper_name': 'Frequency Domain Nuances Mining for Visible-Infrared Person Re-identification',
        **kwargs,
    }


default_cfgs = generate_default_cfgs({
    'fdnm_lightcnn29': _cfg(),
    'fdnm_lightcnn29_v1': _cfg(),
    **release_cfgs('fdnm_lightcnn29', _cfg),
})


@register_model
def fdnm_lightcnn29(pretrained: bool = False, **kwargs: Any) -> FDNMLightCNN:
    """FDNM on a two-stream LightCNN-29 version 2."""
    model_args: Dict[str, Any] = dict(version=2)
    return _create_fdnm_lightcnn('fdnm_lightcnn29', pretrained, **dict(model_args, **kwargs))


@register_model
def fdnm_lightcnn29_v1(pretrained: bool = False, **kwargs: Any) -> FDNMLightCNN:
    """FDNM on a two-stream LightCNN-29 version 1."""
    model_args: Dict[str, Any] = dict(version=1)
    return _create_fdnm_lightcnn('fdnm_lightcnn29_v1', pretrained, **dict(model_args, **kwargs))
