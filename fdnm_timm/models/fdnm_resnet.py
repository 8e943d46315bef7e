"""FDNM on two-stream ResNets, built from timm's blocks.

Paper: Frequency Domain Nuances Mining for Visible-Infrared Person Re-identification - https://arxiv.org/abs/2401.02162

The two-stream layout (a stem for each modality, shared stages, last stride 1) is that of AGW - https://arxiv.org/abs/2001.04193
"""
from collections import OrderedDict
from typing import Any, Dict, List, Sequence, Tuple, Type, Union

import torch
import torch.nn as nn
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, Bottleneck, make_blocks

from ._checkpoint import check_keys, strip_wrappers
from ._fdnm import FDNM
from ._releases import release_cfgs

__all__ = ['FDNMResNet']


def _stem(in_chans: int, device=None, dtype=None) -> nn.Sequential:
    dd = {'device': device, 'dtype': dtype}
    return nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(in_chans, 64, kernel_size=7, stride=2, padding=3, bias=False, **dd),
        bn1=nn.BatchNorm2d(64, **dd),
        act1=nn.ReLU(inplace=True),
    ))


def _set_stride(block: Union[BasicBlock, Bottleneck], stride: int) -> None:
    """Give a stage's first block another stride. Unlike `output_stride`, this does not dilate what follows."""
    conv = block.conv1 if isinstance(block, BasicBlock) else block.conv2
    conv.stride = (stride, stride)
    if isinstance(block.downsample, nn.Sequential):
        shortcut = block.downsample[0]
        assert isinstance(shortcut, nn.Conv2d)
        shortcut.stride = (stride, stride)
    block.stride = stride


class FDNMResNet(FDNM):
    """FDNM with a ResNet: `stem.visible` and `stem.infrared` (or `stem.shared`) hold conv1 and bn1, `stages.0` to
    `stages.3` layer1 to layer4."""

    def __init__(
            self,
            block: Type[Union[BasicBlock, Bottleneck]],
            layers: Tuple[int, ...],
            num_classes: int = 1000,
            in_chans: int = 3,
            output_stride: int = 32,
            last_stride: int = 1,
            num_stages: int = 4,
            global_pool: str = 'avg',
            drop_rate: float = 0.,
            drop_path_rate: float = 0.,
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
            block: timm's `BasicBlock` or `Bottleneck`.
            layers: Number of blocks in each of the four stages.
            output_stride: As in timm: 32, or 16 or 8 by dilation.
            last_stride: Stride of the last stage, 1 or 2, without dilation.
            num_stages: Number of stages kept, 1 to 4.
            drop_path_rate: Stochastic depth rate.

        The other arguments are those of `FDNM`.
        """
        if last_stride not in (1, 2):
            raise ValueError(f'last_stride is {last_stride}, but must be 1 or 2.')
        if num_stages not in (1, 2, 3, 4):
            raise ValueError(f'num_stages is {num_stages}, but a ResNet has 1 to 4 stages.')
        if output_stride not in (8, 16, 32):
            raise ValueError(f'output_stride is {output_stride}, but must be 8, 16 or 32.')
        self_args = dict(
            num_classes=num_classes, in_chans=in_chans, output_stride=output_stride, last_stride=last_stride,
            num_stages=num_stages, global_pool=global_pool, drop_rate=drop_rate, drop_path_rate=drop_path_rate,
            agp_stages=list(agp_stages), anm=anm, anm_residual=anm_residual, final_norm=final_norm, init=init,
            num_parts=num_parts, global_head=global_head, embedding=embedding, two_stream=two_stream)
        dd = {'device': device, 'dtype': dtype}
        made, feature_info = make_blocks(
            (block,) * num_stages,
            (64, 128, 256, 512)[:num_stages],
            layers[:num_stages],
            64,
            output_stride=output_stride,
            drop_path_rate=drop_path_rate,
            **dd,
        )
        stages: List[nn.Sequential] = [stage for _, stage in made]  # type: ignore[misc]
        if last_stride == 1 and num_stages == 4 and stages[-1][0].stride == 2:
            _set_stride(stages[-1][0], 1)  # type: ignore[arg-type]
            feature_info[-1]['reduction'] //= 2
        super().__init__(
            stem=lambda: _stem(in_chans, **dd),
            pool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            stages=stages,
            feature_info=[
                dict(num_chs=64, reduction=2, module='stem'),
                *[dict(info, module=f'stages.{i}') for i, info in enumerate(feature_info)],
            ],
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
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
        self._constructor_args = self_args
        self._traits = {'first_conv': tuple(f'stem.{name}.conv1' for name, _ in self.stem.named_children())}
        self._init_backbone()

    @torch.jit.ignore
    def _init_backbone(self) -> None:
        for part in (self.stem, self.stages):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
        for module in self.stages.modules():
            if isinstance(module, (BasicBlock, Bottleneck)):
                module.zero_init_last()


def _from_resnet(state_dict: Dict[str, torch.Tensor], stems: Sequence[str]) -> Dict[str, torch.Tensor]:
    """timm's or torchvision's ResNet keys -> ours: conv1 and bn1 go to every stem, the classifier is left behind."""
    out = {}
    for key, value in state_dict.items():
        head, _, rest = key.partition('.')
        if head in ('conv1', 'bn1'):
            for stem in stems:
                out[f'stem.{stem}.{key}'] = value
        elif head.startswith('layer'):
            out[f'stages.{int(head[5:]) - 1}.{rest}'] = value
        elif head != 'fc':
            out[key] = value
    return out


def checkpoint_filter_fn(state_dict: Dict[str, torch.Tensor], model: nn.Module) -> Dict[str, torch.Tensor]:
    """Accept a whole FDNM or a whole ResNet checkpoint, and nothing else.

    timm loads without strictness where the number of classes differs, and then only logs what is missing. The check is
    therefore made here: a ResNet gives the backbone, and whatever a ResNet cannot have is filled from the fresh
    model; of an FDNM checkpoint only the classifier may be absent.

    Raises:
        RuntimeError: The file is neither, or is incomplete; the message lists what is missing or not known.
    """
    state_dict = strip_wrappers(state_dict)
    own = model.state_dict()
    if 'stem.visible.conv1.weight' in state_dict or 'stem.shared.conv1.weight' in state_dict:
        check_keys(state_dict, own, optional=('head.classifier.',), kind='FDNM checkpoint')
        return state_dict
    if 'conv1.weight' not in state_dict or not any(key.startswith('layer1.') for key in state_dict):
        raise RuntimeError(
            f'The file holds neither an FDNM nor a ResNet: it has no "stem.visible.conv1.weight" and no '
            f'"conv1.weight" with "layer1.*". It begins with {sorted(state_dict)[:5]}. Give a checkpoint of '
            f'{type(model).__name__} or of the ResNet it is built on.')
    assert isinstance(model, FDNM)
    mapped = _from_resnet(state_dict, [name for name, _ in model.stem.named_children()])
    kept = len(model.stages)
    mapped = {k: v for k, v in mapped.items() if not k.startswith('stages.') or int(k.split('.')[1]) < kept}
    added = ('.agp.', 'pool.agp.', 'anm.', 'final_norm.', 'head.')
    backbone = {k: v for k, v in own.items() if not any(k.startswith(a) or a in k for a in added)}
    check_keys(mapped, backbone, optional=(), kind='ResNet checkpoint')
    return {**own, **mapped}


def _create_fdnm_resnet(variant: str, pretrained: bool = False, **kwargs: Any) -> FDNMResNet:
    return build_model_with_cfg(
        FDNMResNet, variant, pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg=dict(out_indices=(0, 1, 2, 3, 4), flatten_sequential=True),
        **kwargs,
    )


def _cfg(url: str = '', **kwargs: Any) -> Dict[str, Any]:
    return {
        'url': url, 'num_classes': 1000, 'input_size': (3, 384, 192), 'pool_size': (24, 12),
        'crop_pct': 1., 'crop_mode': 'squash', 'interpolation': 'bilinear',
        'mean': IMAGENET_DEFAULT_MEAN, 'std': IMAGENET_DEFAULT_STD,
        'first_conv': ('stem.visible.conv1', 'stem.infrared.conv1'), 'classifier': 'head.classifier',
        'paper_ids': 'arXiv:2401.02162',
        'paper_name': 'Frequency Domain Nuances Mining for Visible-Infrared Person Re-identification',
        **kwargs,
    }


def _in1k(resnet: str) -> Dict[str, Any]:
    # torchvision's first ImageNet weights, which the field starts from; the backbone only, the heads are fresh
    return _cfg(
        hf_hub_id=f'timm/{resnet}.tv_in1k', license='bsd-3-clause', origin_url='https://github.com/pytorch/vision')


default_cfgs = generate_default_cfgs({
    'fdnm_resnet18.in1k': _in1k('resnet18'),
    'fdnm_resnet34.in1k': _in1k('resnet34'),
    'fdnm_resnet50.in1k': _in1k('resnet50'),
    'fdnm_resnet101.in1k': _in1k('resnet101'),
    **release_cfgs('fdnm_resnet', _cfg),
})


@register_model
def fdnm_resnet18(pretrained: bool = False, **kwargs: Any) -> FDNMResNet:
    """FDNM on a two-stream ResNet-18."""
    model_args: Dict[str, Any] = dict(block=BasicBlock, layers=(2, 2, 2, 2))
    return _create_fdnm_resnet('fdnm_resnet18', pretrained, **dict(model_args, **kwargs))


@register_model
def fdnm_resnet34(pretrained: bool = False, **kwargs: Any) -> FDNMResNet:
    """FDNM on a two-stream ResNet-34."""
    model_args: Dict[str, Any] = dict(block=BasicBlock, layers=(3, 4, 6, 3))
    return _create_fdnm_resnet('fdnm_resnet34', pretrained, **dict(model_args, **kwargs))


@register_model
def fdnm_resnet50(pretrained: bool = False, **kwargs: Any) -> FDNMResNet:
    """FDNM on a two-stream ResNet-50: the paper's model."""
    model_args: Dict[str, Any] = dict(block=Bottleneck, layers=(3, 4, 6, 3))
    return _create_fdnm_resnet('fdnm_resnet50', pretrained, **dict(model_args, **kwargs))


@register_model
def fdnm_resnet101(pretrained: bool = False, **kwargs: Any) -> FDNMResNet:
    """FDNM on a two-stream ResNet-101."""
    model_args: Dict[str, Any] = dict(block=Bottleneck, layers=(3, 4, 23, 3))
    return _create_fdnm_resnet('fdnm_resnet101', pretrained, **dict(model_args, **kwargs))
