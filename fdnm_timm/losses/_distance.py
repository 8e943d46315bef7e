"""Euclidean distances that can be trained through 0."""
import torch

__all__ = ['check_batch', 'euclidean', 'full_precision']


def euclidean(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Distances over the last dimension of broadcast a - b, with the subgradient 0 where they are 0.

    At the first step from identity initialisation both of ANM's branches are equal, and the plain root's gradient there
    is infinite.
    """
    square = (a - b).square().sum(dim=-1)
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, torch.ones_like(square)).sqrt(), square)


def full_precision(x: torch.Tensor) -> torch.Tensor:
    """Half types as float32; differences of features lose too many digits in them."""
    return x.float() if x.dtype.itemsize < 4 else x


def check_batch(features: torch.Tensor, **labels: torch.Tensor) -> None:
    """Raise ValueError unless every label tensor has one value for each row of `features`."""
    for name, label in labels.items():
        if label.ndim != 1 or label.shape[0] != features.shape[0]:
            raise ValueError(
                f'{name} has shape {list(label.shape)}, but the batch has {features.shape[0]} images: '
                f'give one value an image, shape [{features.shape[0]}].')
