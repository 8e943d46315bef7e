"""Embeddings in memory or mapped from files, of which only some are looked at at a time."""
from typing import Iterator, List, NamedTuple, Sequence

import numpy as np

__all__ = ['Block', 'NearUnit', 'Rows', 'as_rows', 'unit_rows_float32']

_MAX_VALUES = 1 << 24  # of a block: 64 MB
# rows whose lengths differ by no more are compared as they are: a model's embeddings are all of one length but for
# rounding, and dividing a large gallery takes longer than comparing it with a single query
_SAME_LENGTH = 1e-5
_SHORT = 1e-6  # near the length below which `metrics` takes rows for zeros


class NearUnit(NamedTuple):
    """Rows that have nearly one length."""
    rows: np.ndarray  # (B, D) float32
    length: float  # the longest row's
    spread: float  # the part of it by which the shortest row is shorter


class Block(NamedTuple):
    """Neighbouring rows."""
    start: int  # number of the first one
    rows: np.ndarray  # (B, D) float32, as they were given
    lengths: np.ndarray  # (B,) float32

    def unit(self) -> np.ndarray:
        """A copy with rows of length 1; a row of zeros stays one, as in `metrics`."""
        return _over(self.rows, self.lengths)

    def near_unit(self) -> NearUnit:
        """The rows themselves where they have nearly one length, else `unit()`."""
        longest, shortest = float(self.lengths.max()), float(self.lengths.min())
        if longest > _SHORT and longest - shortest <= _SAME_LENGTH * longest:
            return NearUnit(self.rows, longest, 1 - shortest / longest)
        return NearUnit(self.unit(), 1., 0.)


def _over(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return rows / np.maximum(lengths, np.float32(1e-12))[:, None]


def _lengths(name: str, rows: np.ndarray, start: int = 0) -> np.ndarray:
    """Of rows whose numbers begin at `start`."""
    lengths = np.sqrt(np.einsum('ij,ij->i', rows, rows))
    bad = np.flatnonzero(~np.isfinite(lengths))
    if len(bad):
        raise ValueError(
            f'Embedding {start + bad[0]} of the {name} (from 0) holds NaN, infinite or huge values: nothing can be '
            f'compared by it.')
    return lengths


def as_rows(name: str, embeddings: np.ndarray) -> np.ndarray:
    """`embeddings` as (N, D) float32, without a copy where they are; raises ValueError for another shape."""
    if embeddings.ndim != 2 or embeddings.shape[1] == 0:
        raise ValueError(f'The {name} have shape {list(embeddings.shape)}, but embeddings (N, D) are expected.')
    return np.ascontiguousarray(embeddings, dtype=np.float32)


def unit_rows_float32(name: str, rows: np.ndarray) -> np.ndarray:
    """A copy with rows of length 1; raises ValueError where one is not finite."""
    return _over(rows, _lengths(name, rows))


class Rows:
    """Arrays of rows, one behind the other; the rows are numbered from 0 through all of them."""

    def __init__(self, arrays: Sequence[np.ndarray], dims: int) -> None:
        """
        Args:
            arrays: Each (N, D) float32; what is mapped from a file stays there.
            dims: D.

        Raises:
            ValueError: An array has other dimensions.
        """
        self.dims = dims
        self.arrays: List[np.ndarray] = []
        self.starts = [0]
        self._lengths: List[np.ndarray] = []  # of each block, once it was looked at
        for array in arrays:
            self.append(array)

    def append(self, array: np.ndarray) -> None:
        """Put more rows (N, D) behind those that are there."""
        if array.ndim != 2 or array.shape[1] != self.dims:
            raise ValueError(f'Embeddings have shape {list(array.shape)}, but (N, {self.dims}) is expected.')
        self.arrays.append(array)
        self.starts.append(self.starts[-1] + len(array))

    def __len__(self) -> int:
        return self.starts[-1]

    @property
    def block_size(self) -> int:
        """Rows of a block, at the most."""
        return max(1, _MAX_VALUES // self.dims)

    def blocks(self) -> Iterator[Block]:
        """All rows in turn; raises ValueError where one is not finite."""
        size = self.block_size
        place = 0
        for array, first in zip(self.arrays, self.starts):
            for begin in range(0, len(array), size):
                rows = array[begin:begin + size]
                if place == len(self._lengths):
                    self._lengths.append(_lengths('gallery', rows, first + begin))
                yield Block(first + begin, rows, self._lengths[place])
                place += 1

    def check(self) -> None:
        """Raise ValueError where a row is not finite."""
        for _ in self.blocks():
            pass

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """Rows by their numbers (...,), as (..., D) float32."""
        flat = numbers.reshape(-1)
        rows = np.empty((len(flat), self.dims), np.float32)
        for array, first in zip(self.arrays, self.starts):
            here = np.flatnonzero((flat >= first) & (flat < first + len(array)))
            here = here[np.argsort(flat[here], kind='stable')]  # a mapped file is read from front to back
            rows[here] = array[flat[here] - first]
        return rows.reshape(*numbers.shape, self.dims)
