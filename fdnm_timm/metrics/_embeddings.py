"""Input as tensors, and cosines that do not depend on how they are computed."""
from typing import Any, Optional, Tuple

import numpy as np
import torch

__all__ = ['MAX_EMBEDDINGS', 'as_tensor', 'cosine_distances', 'cosines', 'read_embeddings', 'unit_rows']

# values of the queries' embeddings that are in float64 at a time
MAX_EMBEDDINGS = 1 << 23


def as_tensor(name: str, value: Any, length: Optional[int] = None) -> torch.Tensor:
    """`value` as a tensor; raises ValueError where it is not (length,)."""
    if isinstance(value, np.ndarray) and any(stride < 0 for stride in value.strides):
        value = np.ascontiguousarray(value)  # torch takes no negative strides
    tensor = torch.as_tensor(value).detach()
    if length is not None and tuple(tensor.shape) != (length,):
        raise ValueError(f'{name} has shape {list(tensor.shape)}, but [{length}] is expected, one value an image.')
    return tensor


def read_embeddings(query: Any, gallery: Any) -> Tuple[torch.Tensor, torch.Tensor]:
    """Both as tensors (Q, D) and (G, D); raises ValueError where they do not fit or are not finite."""
    query, gallery = as_tensor('query', query), as_tensor('gallery', gallery)
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise ValueError(
            f'query has shape {list(query.shape)} and gallery {list(gallery.shape)}, but (Q, D) and (G, D) are '
            f'expected.')
    for name, value in (('query', query), ('gallery', gallery)):
        # the extremes of values with a NaN are NaN, and take no memory
        if value.numel() and not bool(torch.isfinite(torch.stack(value.aminmax())).all()):
            raise ValueError(f'{name} holds NaN or infinite embeddings: nothing can be compared by them.')
    return query, gallery


def unit_rows(embeddings: torch.Tensor) -> torch.Tensor:
    """Rows of length 1 in float64."""
    # a single copy, changed in place: for a large gallery a second one would be the peak of the memory
    rows = embeddings.to(torch.float64, copy=True)
    return rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min_(1e-12))


def cosines(query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """Cosines (Q, G) in float32, of embeddings (Q, D) with unit rows (G, D)."""
    # float32 takes away the last digits, where equal embeddings differ by the product's blocking
    return (unit_rows(query) @ gallery.t()).float()


def cosine_distances(query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """1 - cosine (Q, G) in float32, of embeddings (Q, D) and (G, D), on their device: those that `rank` goes by.

    >>> cosine_distances(torch.tensor([[2., 0.]]), torch.tensor([[1., 0.], [0., 3.], [-1., 0.]]))
    tensor([[0., 1., 2.]])
    """
    gallery = unit_rows(gallery)
    parts = query.split(max(1, MAX_EMBEDDINGS // max(1, query.shape[1])))
    return torch.cat([cosines(part, gallery) for part in parts]).neg_().add_(1)
