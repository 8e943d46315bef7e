"""Images per second that become embeddings."""
from typing import Any, Callable, Dict, Iterator

import timm
import torch

from ..fused import compile_mode
from .rows import Row, row
from .settings import Settings
from .step import BASE
from .timing import seconds

__all__ = ['embedder', 'inference_rows']


def embedder(model_args: Dict[str, Any], settings: Settings, compiled: bool) -> Callable[[], torch.Tensor]:
    """Embeds one batch of infrared images."""
    torch.manual_seed(0)
    model: Any = timm.create_model(settings.model, num_classes=0, **model_args).to(settings.device).eval()
    images = torch.randn(settings.inference_batch, 3, *settings.image).to(settings.device)
    forward = torch.compile(model) if compiled else model

    @torch.inference_mode()
    def run() -> torch.Tensor:
        with compile_mode('never'):
            return forward(images, 'infrared')

    return run


def inference_rows(settings: Settings) -> Iterator[Row]:
    """FDNM, and the same network without AGP and ANM."""
    forms = {'base': (BASE, False), 'FDNM': ({}, False)}
    if settings.compiled:
        forms.update({'base, compiled': (BASE, True), 'FDNM, compiled': ({}, True)})
    taken = seconds(
        {name: embedder(args, settings, compiled) for name, (args, compiled) in forms.items()}, settings.repeats,
        settings.device)
    size = f'{settings.model} {settings.inference_batch}x3x{settings.image[0]}x{settings.image[1]}'
    for name, values in taken.items():
        yield row('inference', f'{name}, {size}', 'images/s', [settings.inference_batch / value for value in values])
