"""Features that come block by block, as the formats write them."""
from typing import Iterable, Iterator, List, Mapping, NamedTuple, Tuple

import numpy as np

__all__ = ['FeatureStream', 'contiguous_blocks']


class FeatureStream(NamedTuple):
    """`Features` whose embeddings are made while they are written."""
    shape: Tuple[int, int]  # (N, D)
    blocks: Iterable[np.ndarray]  # each (n, D) float32, N rows together
    paths: List[str]
    modality: np.ndarray  # (N,) int8
    metadata: Mapping[str, str]


def contiguous_blocks(stream: FeatureStream) -> Iterator[np.ndarray]:
    """The blocks, little-endian and contiguous; raises ValueError where they do not make the stream's shape."""
    rows = 0
    for block in stream.blocks:
        if block.ndim != 2 or block.shape[1] != stream.shape[1]:
            raise ValueError(
                f'A block of features has shape {list(block.shape)}, but (n, {stream.shape[1]}) is needed.')
        rows += len(block)
        yield np.ascontiguousarray(block, dtype='<f4')
    if rows != stream.shape[0]:
        raise ValueError(f'The blocks of features have {rows} rows together, but {stream.shape[0]} were announced.')
