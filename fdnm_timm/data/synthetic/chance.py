"""Random streams, one for each kind of thing drawn, and choices from them."""
from typing import Mapping, Sequence, TypeVar

import numpy as np

__all__ = [
    'FACE', 'FACE_IMAGE', 'IMAGE', 'LOOKS', 'ORDER', 'PLACE', 'PRESENCE', 'SPLIT', 'generator', 'one_of', 'weighted',
]

T = TypeVar('T')

# The last entry of a stream's key keeps the streams apart.
LOOKS, PLACE, IMAGE, PRESENCE, ORDER, SPLIT, FACE, FACE_IMAGE = range(8)


def generator(*key: int) -> np.random.Generator:
    """The random stream named by `key`."""
    return np.random.default_rng(key)


def one_of(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the `options`, all equally likely."""
    return options[int(rng.integers(len(options)))]


def weighted(rng: np.random.Generator, weights: Mapping[T, float]) -> T:
    """One of the keys, as likely as its weight says."""
    mark = rng.random() * sum(weights.values())
    for option, weight in weights.items():
        mark -= weight
        if mark < 0:
            return option
    return option  # rounding left a rest
