"""Augmentation of the training images and preprocessing of all, made of torchvision's transforms."""
from typing import Any, List, Sequence

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torchvision import transforms as T

__all__ = ['build_test_transform', 'build_train_transform']


def _resized(height: int, width: int, margin: int, channels: int) -> List[Any]:
    if channels not in (1, 3):
        raise ValueError(f'channels is {channels}, but images are grey (1) or in colour (3).')
    grey = [T.Grayscale()] if channels == 1 else []
    return [*grey, T.Resize((height + margin, width + margin))]


def build_train_transform(
        height: int = 384,
        width: int = 192,
        pad: int = 10,
        flip: float = 0.5,
        grayscale: float = 0.5,
        erasing: float = 0.5,
        margin: int = 0,
        channels: int = 3,
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
        margin: Images are resized to this many pixels more in height and width, of which the crop is taken: faces
            aligned to 144 x 144 give 128 x 128 with 16.
        channels: 3, or 1 for grey images.
        mean: Subtracted from the channels in [0, 1].
        std: Divides the channels.

    Returns:
        A transform of a PIL RGB image to a float tensor (channels, height, width).

    Raises:
        ValueError: Another number of channels.
    """
    steps = _resized(height, width, margin, channels)
    if pad:
        steps.append(T.Pad(pad))
    if pad or margin:
        steps.append(T.RandomCrop((height, width)))
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
        margin: int = 0,
        channels: int = 3,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
) -> T.Compose:
    """Resize, take the centre where there is a margin, and normalise. Arguments as for `build_train_transform`."""
    centre = [T.CenterCrop((height, width))] if margin else []
    return T.Compose([
        *_resized(height, width, margin, channels), *centre, T.ToTensor(), T.Normalize(mean, std)])
