"""Distances between some test images' features, for pictures of how identities and modalities lie."""
import os
from typing import Dict, Mapping, NamedTuple, Union

import numpy as np

from ._npz import read_arrays, write_arrays

__all__ = ['Samples', 'read_samples', 'write_samples']


class Samples(NamedTuple):
    """Some test images, and how far their features lie from each other.

    n images, ordered by identity and modality. Of the features in its Fig. 2 the paper gives no more than the names:
    what they are here is this package's choice. They are those of the last stage's map x, before ANM and whatever
    stands in its place, with X = rfft2(x): `amplitude` is |X|, and `phase` the unit phasors exp(j * arg X), 1 where
    X = 0. Every bin of the half spectrum counts alike.
    """
    pids: np.ndarray  # (n,)
    camids: np.ndarray  # (n,)
    modality: np.ndarray  # (n,) int8, 0 visible, 1 infrared
    paths: np.ndarray  # (n,) str, relative to the data set's folder where they lie in it
    embedding: np.ndarray  # (n, n) float32, cosine distance of the embeddings, in [0, 2]
    spatial: np.ndarray  # (n, n) float32, Euclidean distance of the maps
    amplitude: np.ndarray  # (n, n) float32, Euclidean distance of the amplitudes
    phase: np.ndarray  # (n, n) float32, root mean square over the bins of the chord |exp(j t1) - exp(j t2)|, in [0, 2]


def write_samples(path: Union[str, os.PathLike], samples: Mapping[str, Samples]) -> None:
    """The samples of [target] as an .npz with keys 'target/field'."""
    write_arrays(path, {
        f'{target}/{field}': value for target, of in samples.items() for field, value in of._asdict().items()})


def read_samples(path: Union[str, os.PathLike]) -> Dict[str, Samples]:
    """What `write_samples` wrote.

    Raises:
        OSError: The file is missing.
        ValueError: It is damaged, or holds something else.
    """
    def parse(arrays: Mapping[str, np.ndarray]) -> Dict[str, Samples]:
        found: Dict[str, Dict[str, np.ndarray]] = {}
        for key, value in arrays.items():
            target, field = key.split('/')
            found.setdefault(target, {})[field] = value
        return {target: Samples(**fields) for target, fields in found.items()}

    return read_arrays(path, parse, 'samples')
