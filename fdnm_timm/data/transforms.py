"""Augmentation of the training images and preprocessing of all, made of torchvision's transforms."""
from typing import Sequence

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torchvision import transforms as T

__all__ = ['build_test_transform', 'build_train_transform']


def build_train_transform(
        height: int = 384,
        width: int = 192,
        pad: int = 10,
        flip: float = 0.5,
        grayscale: float = 0.5,
        erasing: float = 0.5,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
) -> T.Compose:
    """Random crop, flip, grayscale and erasing, as the paper's section 4.2 names them.

    Args:
        height: Of the result, in pixels.
        width: Of the result, in pixels.
        pad: Black margin in pixels from which the crop is taken, 0 for none.
        flip: Probability of a horizontal flip.
        grayscale: Probability that the colours go, which brings visible images nearer to infrared ones.
        erasing: Probability that a rectangle is erased.
        mean: Subtracted from the channels in [0, 1].
        std: Divides the channels.

    Returns:
        A transform of a PIL RGB image to a float tensor (3, height, width).
    """
    steps = [T.Resize((height, width))]
    if pad:
        steps += [T.Pad(pad), T.RandomCrop((height, width))]
    steps += [
        T.RandomHorizontalFlip(flip),
        T.RandomGrayscale(grayscale),
        T.ToTensor(),
        T.Normalize(mean, std),
        T.RandomErasing(erasing),  # of normalised images, so that what is erased gets the mean colour
    ]
    return T.Compose(steps)


def build_test_transform(
        height: int = 384,
        width: int = 192,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
) -> T.Compose:
    """Resize and normalise. Arguments as for `build_train_transform`."""
    return T.Compose([T.Resize((height, width)), T.ToTensor(), T.Normalize(mean, std)])
