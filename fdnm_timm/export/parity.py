"""Whether a file computes what the model does: on random and on real images, in batches of several sizes."""
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np
import torch
from PIL import Image

from ..data import read_image
from ..data.synthetic import draw_face, draw_person
from .formats import Run

__all__ = ['BATCHES', 'TOLERANCE', 'ParityError', 'check_parity', 'real_images']

TOLERANCE = 1e-4  # of any number of an embedding, whose parts have the length 1
BATCHES = (5, 2, 1)
_MODALITIES = ((0, 1, 0, 1, 1), (1, 0, 1, 0, 0))  # each batch size sees both, also the batch of one


class ParityError(RuntimeError):
    """A file does not compute what its model does."""


def _drawn(channels: int) -> List[Image.Image]:
    """People, or for grey models faces, drawn by the package."""
    if channels == 1:
        return [draw_face(pid, pid % 2, 0).convert('RGB') for pid in range(BATCHES[0])]
    return [draw_person(pid, camid, 0) for pid, camid in enumerate((1, 3, 2, 6, 4))]


def real_images(
        paths: Optional[Sequence[str]],
        transform: Callable[[Any], torch.Tensor],
        channels: int,
) -> torch.Tensor:
    """As many prepared images as the largest batch has, spread over the paths; drawn ones where there are no paths.

    Raises:
        DatasetError: An image cannot be read.
        ValueError: There are no images.
    """
    if paths is None:
        images = _drawn(channels)
    elif not len(paths):
        raise ValueError('There are no images to compare the file and the model on: give others, or none.')
    else:
        images = [read_image(paths[i * len(paths) // BATCHES[0]]) for i in range(BATCHES[0])]
    return torch.stack([transform(image) for image in images])


def random_images(like: torch.Tensor) -> torch.Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0))


def _modalities(modality: str) -> List[Any]:
    return [torch.tensor(values) for values in _MODALITIES] if modality == 'input' else [modality]


def _difference(run: Run, embed: Callable[..., np.ndarray], images: torch.Tensor, modality: Any, what: str) -> float:
    expected = embed(images, modality)
    largest = 0.
    for size in BATCHES:
        inputs = [images[:size].numpy()]
        if isinstance(modality, torch.Tensor):
            inputs.append(modality[:size].numpy())
        got = run(*inputs)
        if got.shape != expected[:size].shape:
            raise ParityError(
                f'On {size} {what} images the file gives embeddings of the shape {got.shape}, but the model of the '
                f'shape {expected[:size].shape}. Nothing was written.')
        difference = float(np.abs(got - expected[:size]).max())
        if not difference <= TOLERANCE:  # NaN is none either
            raise ParityError(
                f'On {size} {what} images the embeddings of the file and of the model differ by up to '
                f'{difference:.2g}, but no more than {TOLERANCE:g} is allowed. Nothing was written. Try another format '
                f'or opset.')
        largest = max(largest, difference)
    return largest


def check_parity(
        run: Run,
        embed: Callable[..., np.ndarray],
        real: torch.Tensor,
        modality: str,
) -> Dict[str, float]:
    """Hold a file against its model on random and real images, in batches of 5, 2 and 1.

    Args:
        run: The file: images (B, C, H, W), and modalities (B,) where `modality` is 'input', to embeddings (B, D).
        embed: The model: images and modality to embeddings.
        real: Prepared images (5, C, H, W).
        modality: 'visible', 'infrared' or 'input'.

    Returns:
        The largest difference of any number, by the kind of the images.

    Raises:
        ParityError: It is larger than 1e-4, or no number.
    """
    return {
        what: max(_difference(run, embed, images, value, what) for value in _modalities(modality))
        for what, images in (('random', random_images(real)), ('real', real))
    }
