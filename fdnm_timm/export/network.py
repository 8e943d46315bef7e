"""The network that goes into a file: from images, and the modality where it is asked for, to embeddings."""
import copy

import torch
import torch.nn as nn

from ..layers import MODALITIES, AmplitudeGuidedPhase, AmplitudeNuancesMining, TwoStream
from ..models._fdnm import FDNM, OneStream

__all__ = ['CHOICES', 'EmbeddingNetwork', 'EitherEmbeddingNetwork', 'exportable_network']

CHOICES = (*MODALITIES, 'input')


class EmbeddingNetwork(nn.Module):
    """Images (B, C, H, W), all of the modality whose stem is left in the model -> embeddings (B, D)."""

    def __init__(self, model: FDNM) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model.forward_head(self.model.forward_features(images), pre_logits=True)


class EitherEmbeddingNetwork(nn.Module):
    """Images (B, C, H, W) and their modalities (B,), int64, 0 = visible, 1 = infrared -> embeddings (B, D)."""

    def __init__(self, model: FDNM) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor, modality: torch.Tensor) -> torch.Tensor:
        return self.model.forward_head(self.model.forward_features(images, modality), pre_logits=True)


def exportable_network(model: nn.Module, modality: str) -> nn.Module:
    """A copy of a model, of operations that exporters have, and of no more than its embedding needs.

    AGP and ANM use matrix products in place of the FFT, as under timm's `set_exportable(True)`. The classifier goes,
    and so does the other modality's stem where the modality is fixed.

    Args:
        model: A model of this package.
        modality: 'visible' or 'infrared' for a network of images; 'input' for one of images and modalities.

    Returns:
        The network, in eval mode and on the CPU.

    Raises:
        ValueError: Another modality, or 'input' of a model that has one stem for both.
        TypeError: The model is no FDNM.
    """
    if modality not in CHOICES:
        raise ValueError(f'modality is {modality!r}, but must be one of {", ".join(map(repr, CHOICES))}.')
    if not isinstance(model, FDNM):
        raise TypeError(
            f'The model is of the class {type(model).__name__}, but only FDNM models are exported here: torch.onnx and '
            f'torch.export take others.')
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    model.reset_classifier(0)
    model.set_grad_checkpointing(False)
    for module in model.modules():
        if isinstance(module, (AmplitudeGuidedPhase, AmplitudeNuancesMining)):
            module.exportable = True  # type: ignore[misc]  # final once it is scripted
    stem = model.stem
    if modality != 'input':
        if isinstance(stem, TwoStream):
            model.stem = OneStream(stem.visible if modality == MODALITIES[0] else stem.infrared)
        return EmbeddingNetwork(model).eval()
    if not isinstance(stem, TwoStream):
        raise ValueError(
            "modality is 'input', but the model has one stem for both modalities (two_stream=False): export it as "
            "'visible', which embeds infrared images just as well.")
    return EitherEmbeddingNetwork(model).eval()
