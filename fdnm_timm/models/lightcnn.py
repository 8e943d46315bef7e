"""Light CNN: LightCNN-29 for grey images of faces, in both of its published versions.

Paper: A Light CNN for Deep Face Representation with Noisy Labels - https://arxiv.org/abs/1511.02683

Layers, widths and checkpoints are those of the authors' PyTorch models - https://github.com/AlfredXiangWu/LightCNN
"""
from collections import OrderedDict
from typing import Any, Dict, List, Optional, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from timm.layers import get_device_dtype, to_2tuple
from timm.models import (
    build_model_with_cfg,
    checkpoint_seq,
    generate_default_cfgs,
    register_model,
    register_notrace_module,
)
from timm.models._features import feature_take_indices

from ._checkpoint import check_keys, strip_wrappers
from ._intermediates import run_stages

__all__ = ['LightCNN']

EMBEDDING = 256  # width of the fc
_STEM = 48
_STAGES = ((1, 96, True), (2, 192, True), (3, 128, False), (4, 128, True))  # blocks, width, whether pooled


class MaxFeatureMap(nn.Module):
    """A layer of twice the width, whose two halves compete elementwise."""

    def __init__(self, filter: Union[nn.Conv2d, nn.Linear]) -> None:
        """
        Args:
            filter: A layer whose output channels, the second dimension, are halved.
        """
        super().__init__()
        self.filter = filter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.filter(x).chunk(2, dim=1)
        return torch.maximum(first, second)


def _mfm_conv(in_chs: int, out_chs: int, kernel_size: int, device=None, dtype=None) -> MaxFeatureMap:
    return MaxFeatureMap(
        nn.Conv2d(in_chs, 2 * out_chs, kernel_size, padding=kernel_size // 2, device=device, dtype=dtype))


class ResBlock(nn.Module):
    """Two 3x3 layers and the identity, with nothing after the sum."""

    def __init__(self, chs: int, device=None, dtype=None) -> None:
        super().__init__()
        self.conv1 = _mfm_conv(chs, chs, 3, device=device, dtype=dtype)
        self.conv2 = _mfm_conv(chs, chs, 3, device=device, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.conv1(x)) + x


class Group(nn.Module):
    """A 1x1 layer, then the 3x3 one that changes the width."""

    def __init__(self, in_chs: int, out_chs: int, device=None, dtype=None) -> None:
        super().__init__()
        self.conv_a = _mfm_conv(in_chs, in_chs, 1, device=device, dtype=dtype)
        self.conv = _mfm_conv(in_chs, out_chs, 3, device=device, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.conv_a(x))


class MaxAvgPool2d(nn.Module):
    """The sum of the 2x2 maximum and the 2x2 average."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(x, 2) + F.avg_pool2d(x, 2)


def make_stem(in_chans: int, device=None, dtype=None) -> MaxFeatureMap:
    return _mfm_conv(in_chans, _STEM, 5, device=device, dtype=dtype)


def make_pool(version: int) -> nn.Module:
    if version not in (1, 2):
        raise ValueError(f'version is {version}, but LightCNN-29 has the versions 1 and 2.')
    return MaxAvgPool2d() if version == 2 else nn.MaxPool2d(2, ceil_mode=True)


def make_stages(version: int, device=None, dtype=None) -> Tuple[List[nn.Sequential], List[Dict[str, Any]]]:
    """The four stages, each blocks, a group and a pooling (the third has none), and timm's feature info, stem first."""
    dd = {'device': device, 'dtype': dtype}
    stages = []
    feature_info = [dict(num_chs=_STEM, reduction=1, module='stem')]
    prev, reduction = _STEM, 2
    for i, (depth, chs, pooled) in enumerate(_STAGES):
        parts: Dict[str, nn.Module] = OrderedDict((str(j), ResBlock(prev, **dd)) for j in range(depth))
        parts['group'] = Group(prev, chs, **dd)
        if pooled:
            parts['pool'] = make_pool(version)
            reduction *= 2
        stages.append(nn.Sequential(OrderedDict(parts)))
        feature_info.append(dict(num_chs=chs, reduction=reduction, module=f'stages.{i}'))
        prev = chs
    return stages, feature_info


def make_fc(version: int, in_features: int, device=None, dtype=None) -> nn.Module:
    """What makes the embedding of the flattened map: a max-feature-map layer in version 1, a linear in version 2."""
    if version == 1:
        return MaxFeatureMap(nn.Linear(in_features, 2 * EMBEDDING, device=device, dtype=dtype))
    return nn.Linear(in_features, EMBEDDING, device=device, dtype=dtype)


def map_size(version: int, img_size: Tuple[int, int], reduction: int) -> Tuple[int, int]:
    """Height and width of the map that an image has at `reduction`."""
    height, width = img_size
    while reduction > 1:
        # version 1 pools with ceil_mode
        height, width = ((height + 1) // 2, (width + 1) // 2) if version == 1 else (height // 2, width // 2)
        reduction //= 2
    if height < 1 or width < 1:
        raise ValueError(
            f'img_size is {tuple(img_size)}, but the poolings need at least 16 x 16; published weights are for 128 x '
            f'128.')
    return height, width


def check_map_size(x: torch.Tensor, size: Tuple[int, int], img_size: Tuple[int, int]) -> None:
    if x.shape[-2] != size[0] or x.shape[-1] != size[1]:
        raise ValueError(
            f'LightCNN: the map is {x.shape[-2]} x {x.shape[-1]}, but the fc was made for {size[0]} x {size[1]}, which '
            f'images of {img_size[0]} x {img_size[1]} give: resize them, or set img_size.')


@register_notrace_module  # reason: the size of the map is checked
class LightCNNHead(nn.Module):
    """Flatten, fc to 256 (the embedding), dropout, classifier."""

    def __init__(
            self,
            in_chs: int,
            img_size: Tuple[int, int],
            reduction: int,
            num_classes: int,
            version: int = 2,
            pool_type: str = 'fc',
            drop_rate: float = 0.,
            device=None,
            dtype=None,
    ) -> None:
        super().__init__()
        if pool_type not in ('fc', ''):
            raise ValueError(
                f"global_pool is {pool_type!r}, but must be 'fc' or '': the fc of LightCNN-29 reads the whole map.")
        dd = {'device': device, 'dtype': dtype}
        self.version = version
        self.img_size = img_size
        self.map_size = map_size(version, img_size, reduction)
        self.pool_type = pool_type
        self.fc: nn.Module = nn.Identity()
        if pool_type:
            self.fc = make_fc(version, in_chs * self.map_size[0] * self.map_size[1], **dd)
        self.drop = nn.Dropout(drop_rate)
        self.fc2: nn.Module = nn.Identity()
        self.reset(num_classes, **dd)

    def reset(self, num_classes: int, device=None, dtype=None) -> None:
        """Put a fresh classifier for `num_classes` (0: none) in the place of the present one."""
        self.fc2 = nn.Linear(
            EMBEDDING, num_classes, bias=self.version == 1, device=device, dtype=dtype,
        ) if num_classes else nn.Identity()
        self.fc2.train(self.training)

    def forward(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        if not self.pool_type:
            return x
        check_map_size(x, self.map_size, self.img_size)
        x = self.fc(x.flatten(1))
        return x if pre_logits else self.fc2(self.drop(x))


class LightCNN(nn.Module):
    """LightCNN-29: residual max-feature-map stages, then an fc over the whole map, whose 256 numbers are the embedding.

    Version 2 sums maximum and average wherever version 1 pools by maximum, has no max-feature-map on the fc and no bias
    in the classifier. Images are grey, in [0, 1].
    """

    def __init__(
            self,
            version: int = 2,
            num_classes: int = 1000,
            in_chans: int = 1,
            img_size: Union[int, Tuple[int, int]] = 128,
            global_pool: str = 'fc',
            drop_rate: float = 0.5,
            device=None,
            dtype=None,
    ) -> None:
        """
        Args:
            version: 1 or 2.
            num_classes: Number of identities, 0 for none: the model then returns the embedding.
            in_chans: Number of image channels.
            img_size: Height and width of the images, at least 16; published weights are for 128.
            global_pool: 'fc', or '' for no fc and no classifier: the model then returns the map.
            drop_rate: Dropout before the classifier; 0.5 is the published one.
        """
        super().__init__()
        dd = {'device': device, 'dtype': dtype}
        self.version = version
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.img_size = to_2tuple(img_size)
        self.drop_rate = drop_rate
        self.grad_checkpointing = False

        # the order is that of the forward pass, since timm's features_only runs the children one after the other
        self.stem = make_stem(in_chans, **dd)
        self.pool = make_pool(version)
        stages, self.feature_info = make_stages(version, **dd)
        self.stages = nn.Sequential(*stages)
        self._build_head(num_classes, global_pool, **dd)

    def _build_head(self, num_classes: int, global_pool: str, device=None, dtype=None) -> None:
        if num_classes and not global_pool:
            raise ValueError(
                f"global_pool='' leaves nothing to classify, but num_classes is {num_classes}: set it to 0.")
        info = self.feature_info[len(self.stages)]
        self.num_classes = num_classes
        self.head = LightCNNHead(
            info['num_chs'], self.img_size, info['reduction'], num_classes, version=self.version,
            pool_type=global_pool, drop_rate=self.drop_rate, device=device, dtype=dtype)
        self.head.train(self.training)
        self.num_features = info['num_chs']
        self.head_hidden_size = EMBEDDING if global_pool else self.num_features

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> Dict[str, Any]:
        return dict(
            stem=r'^stem',
            blocks=r'^stages\.(\d+)' if coarse else [
                (r'^stages\.(\d+)\.(\d+)', None),
                (r'^stages\.(\d+)\.group', (99999,)),
            ],
        )

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def get_classifier(self) -> nn.Module:
        return self.head.fc2

    def reset_classifier(self, num_classes: int, global_pool: Optional[str] = None) -> None:
        """A fresh classifier; the fc, which makes the embedding, stays.

        Args:
            num_classes: Number of identities, 0 for none: the model then returns the embedding.
            global_pool: '' takes the fc away too and returns the map; 'fc' after it makes a fresh one.
        """
        dd = get_device_dtype(self)
        if global_pool is not None and global_pool != self.head.pool_type:
            self._build_head(num_classes, global_pool, **dd)
            return
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
    ) -> Union[List[torch.Tensor], Tuple[torch.Tensor, List[torch.Tensor]]]:
        """Forward features that returns intermediates.

        Args:
            x: Images (B, in_chans, H, W).
            indices: Take last n stages if int, all if None, select matching indices if sequence. 0 is the stem.
            norm: No effect: there is no norm layer.
            stop_early: Stop iterating over stages when last desired intermediate hit.
            output_fmt: Shape of intermediate feature outputs, 'NCHW' only.
            intermediates_only: Only return intermediate features.

        Returns:
            The final features, as `forward_features` gives them, and the intermediates; or the intermediates only.
        """
        assert output_fmt in ('NCHW',), 'Output shape must be NCHW.'
        take_indices, max_index = feature_take_indices(len(self.feature_info), indices)
        stages = list(self.stages)[:max_index] if stop_early else list(self.stages)
        x, intermediates = run_stages(
            self.stem(x), self.pool, stages, take_indices,
            self.grad_checkpointing and not torch.jit.is_scripting())
        if intermediates_only:
            return intermediates
        return x, intermediates

    def prune_intermediate_layers(
            self,
            indices: Union[int, List[int]] = 1,
            prune_norm: bool = False,
            prune_head: bool = True,
    ) -> List[int]:
        """Prune layers not required for specified intermediates.

        Args:
            indices: Indices of intermediate layers to keep.
            prune_norm: No effect: there is no norm layer.
            prune_head: Whether to prune the fc and the classifier.

        Returns:
            List of indices that were kept.
        """
        take_indices, max_index = feature_take_indices(len(self.feature_info), indices)
        prune_end = max_index < len(self.stages)
        if max_index == 0:
            self.pool = nn.Identity()
        self.stages = self.stages[:max_index]
        if prune_head or prune_end:
            self._build_head(0, '', **get_device_dtype(self))
        return take_indices

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Images (B, in_chans, H, W) -> maps (B, 128, H / 16, W / 16)."""
        x = self.pool(self.stem(x))
        if self.grad_checkpointing and not torch.jit.is_scripting():
            return checkpoint_seq(self.stages, x, flatten=True)
        return self.stages(x)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Maps of `forward_features` -> logits (B, num_classes), or the embedding (B, 256)."""
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))


def _published_keys(version: int) -> Dict[str, str]:
    """Keys of a published checkpoint without its classifier -> keys of `LightCNN`."""
    layers = {'conv1.filter': 'stem.filter'}
    for i, (depth, _, _) in enumerate(_STAGES):
        for j in range(depth):
            for conv in ('conv1', 'conv2'):
                layers[f'block{i + 1}.{j}.{conv}.filter'] = f'stages.{i}.{j}.{conv}.filter'
        for conv in ('conv_a', 'conv'):
            layers[f'group{i + 1}.{conv}.filter'] = f'stages.{i}.group.{conv}.filter'
    fc = 'fc.filter' if version == 1 else 'fc'
    layers[fc] = f'head.{fc}'
    return {f'{old}.{name}': f'{new}.{name}' for old, new in layers.items() for name in ('weight', 'bias')}


def is_lightcnn(state_dict: Dict[str, torch.Tensor]) -> bool:
    """Whether these are the keys of a LightCNN, published or of this package, whole or not."""
    return any(key.startswith(('conv1.filter.', 'group1.', 'fc.filter.', 'stem.filter.')) for key in state_dict)


def from_lightcnn(state_dict: Dict[str, torch.Tensor], version: int, fc: bool = True) -> Dict[str, torch.Tensor]:
    """A whole LightCNN-29 of `version`, published or of this package, in this package's keys.

    Args:
        state_dict: The checkpoint, without wrappers.
        version: 1 or 2, what the model at hand is.
        fc: Whether the fc is needed. It is dropped where it is not.

    Raises:
        RuntimeError: The checkpoint is of the other version or incomplete; the message lists what is missing.
    """
    names = _published_keys(version)
    published = not any(key.startswith('stem.filter.') for key in state_dict)
    head = '' if published else 'head.'
    if not published:
        names = {key: key for key in names.values() if fc or not key.startswith('head.')}
    hint = ''
    if f'{head}fc.filter.weight' in state_dict and version == 2:
        hint = ' Its fc is that of version 1, so it is for lightcnn29_v1 or fdnm_lightcnn29_v1.'
    if f'{head}fc.weight' in state_dict and version == 1:
        hint = ' Its fc is that of version 2, so it is for lightcnn29 or fdnm_lightcnn29.'
    optional = f'{head}fc2.' if published or fc else 'head.'
    check_keys(state_dict, names, (optional,), f'LightCNN-29 version {version} checkpoint', hint)
    out = {}
    for key, value in state_dict.items():
        name = names.get(key, key if key.startswith('head.') else f'head.{key}')  # not named: the classifier
        if fc or not name.startswith('head.'):
            out[name] = value
    return out


def checkpoint_filter_fn(state_dict: Dict[str, torch.Tensor], model: nn.Module) -> Dict[str, torch.Tensor]:
    """Accept a whole LightCNN-29 of the model's version, published or of this package, and nothing else.

    Only the classifier may be absent, or have another number of classes than the model.

    Raises:
        RuntimeError: The file is something else, or is incomplete; the message lists what is missing or not known.
    """
    assert isinstance(model, LightCNN)
    state_dict = strip_wrappers(state_dict)
    if not is_lightcnn(state_dict):
        raise RuntimeError(
            f'The file holds no LightCNN-29: it has no "conv1.filter.weight" (published) and no "stem.filter.weight" '
            f'(saved by this package). It begins with {sorted(state_dict)[:5]}.')
    state_dict = from_lightcnn(state_dict, model.version, fc=bool(model.head.pool_type))
    cfg: Optional[Dict[str, Any]] = getattr(model, 'pretrained_cfg', None)
    if cfg is not None and 'head.fc2.weight' in state_dict:
        # by this number timm keeps or drops the classifier, and the file knows it better than the default does
        cfg['num_classes'] = state_dict['head.fc2.weight'].shape[0]
    return state_dict


def _create_lightcnn(variant: str, pretrained: bool = False, **kwargs: Any) -> LightCNN:
    return build_model_with_cfg(
        LightCNN, variant, pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg=dict(out_indices=(0, 1, 2, 3, 4), flatten_sequential=True),
        **kwargs,
    )


def _cfg(url: str = '', **kwargs: Any) -> Dict[str, Any]:
    return {
        'url': url, 'num_classes': 80013, 'input_size': (1, 128, 128), 'pool_size': (8, 8), 'fixed_input_size': True,
        'crop_pct': 128 / 144, 'interpolation': 'bilinear', 'mean': (0.,), 'std': (1.,),
        'first_conv': 'stem.filter', 'classifier': 'head.fc2',
        'paper_ids': 'arXiv:1511.02683',
        'paper_name': 'A Light CNN for Deep Face Representation with Noisy Labels',
        'origin_url': 'https://github.com/AlfredXiangWu/LightCNN', 'license': 'mit',
        **kwargs,
    }


# the authors publish their weights where no client can fetch them: give the file by pretrained_cfg_overlay
default_cfgs = generate_default_cfgs({
    'lightcnn29': _cfg(),
    'lightcnn29_v1': _cfg(num_classes=79077),
})


@register_model
def lightcnn29(pretrained: bool = False, **kwargs: Any) -> LightCNN:
    """LightCNN-29 version 2: what published weights and other papers call LightCNN-29."""
    model_args: Dict[str, Any] = dict(version=2)
    return _create_lightcnn('lightcnn29', pretrained, **dict(model_args, **kwargs))


@register_model
def lightcnn29_v1(pretrained: bool = False, **kwargs: Any) -> LightCNN:
    """LightCNN-29, the first version."""
    model_args: Dict[str, Any] = dict(version=1)
    return _create_lightcnn('lightcnn29_v1', pretrained, **dict(model_args, **kwargs))
