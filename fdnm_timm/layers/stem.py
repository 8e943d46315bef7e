"""Two stems, one for each modality, in front of one shared trunk."""
from typing import Optional, Union

import torch
import torch.nn as nn
from timm.models import register_notrace_module

__all__ = ['MODALITIES', 'TwoStream']

MODALITIES = ('visible', 'infrared')  # a modality's number is its place here


@register_notrace_module
class TwoStream(nn.Module):
    """Send each image through the stem of its modality.

    `stem(x, modality)` takes images (B, C, H, W) and returns the stems' maps in the order of the batch. `modality` is

    * 'visible' or 'infrared': the whole batch goes through that stem;
    * an integer or boolean tensor (B,), 0 = visible, 1 = infrared: in training each stem sees its own images only, so
      that its batch norm statistics stay those of its modality; in evaluation both run and `torch.where` selects;
    * None, unknown: both stems run on every image and their maps are averaged, in training and evaluation alike.

    It raises ValueError for another name, another length or type of the tensor, or another value in it.
    """

    def __init__(self, visible: nn.Module, infrared: nn.Module) -> None:
        """
        Args:
            visible: Stem of the visible images.
            infrared: Stem of the infrared images; same output shape.
        """
        super().__init__()
        self.visible = visible
        self.infrared = infrared

    def _check(self, x: torch.Tensor, modality: torch.Tensor) -> None:
        if modality.ndim != 1 or modality.shape[0] != x.shape[0]:
            raise ValueError(
                f'modality has shape {list(modality.shape)}, but the batch has {x.shape[0]} images: '
                f'give one value an image, shape [{x.shape[0]}].')
        if modality.is_floating_point() or modality.is_complex():
            raise ValueError(
                f'modality has type {modality.dtype}, but must be an integer or boolean tensor, '
                f'0 = visible, 1 = infrared.')

    def _check_values(self, modality: torch.Tensor) -> None:
        if modality.dtype != torch.bool and bool(((modality != 0) & (modality != 1)).any()):
            raise ValueError(
                f'modality holds values from {int(modality.min())} to {int(modality.max())}, '
                f'but only 0 (visible) and 1 (infrared) are modalities.')

    def _split(self, x: torch.Tensor, infrared: torch.Tensor) -> torch.Tensor:
        vis_index = torch.nonzero(~infrared).squeeze(1)
        ir_index = torch.nonzero(infrared).squeeze(1)
        if vis_index.shape[0] == 0:
            return self.infrared(x)
        if ir_index.shape[0] == 0:
            return self.visible(x)
        maps = torch.cat((self.visible(x[vis_index]), self.infrared(x[ir_index])))
        return maps[torch.argsort(torch.cat((vis_index, ir_index)))]

    def forward(self, x: torch.Tensor, modality: Optional[Union[str, torch.Tensor]] = None) -> torch.Tensor:
        if modality is None:
            return (self.visible(x) + self.infrared(x)) / 2
        if isinstance(modality, str):
            if modality == 'visible':
                return self.visible(x)
            if modality == 'infrared':
                return self.infrared(x)
            raise ValueError(f"modality is '{modality}', but must be 'visible', 'infrared', a tensor or None.")
        if not isinstance(modality, torch.Tensor):
            raise ValueError(
                f"modality is {modality}, but must be 'visible', 'infrared', an integer or boolean tensor (B,) or "
                f"None.")
        self._check(x, modality)
        infrared = modality.to(x.device) > 0
        if torch.jit.is_scripting() or not torch.compiler.is_compiling():
            self._check_values(modality)  # reads the values, which a compiled graph cannot
        if self.training:
            return self._split(x, infrared)
        return torch.where(infrared.view(-1, 1, 1, 1), self.infrared(x), self.visible(x))
