"""FAISS' structures for galleries that are too large to be compared whole: IVF and HNSW."""
import math
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ._faiss import faiss
from .rows import Rows, unit_rows_float32

__all__ = ['KINDS', 'Approximate', 'choose_kind']

KINDS = ('flat', 'ivf', 'hnsw')
# beyond so many values (1 GB) a single query takes too long over all rows; docs/search.md has the times
_MAX_FLAT_VALUES = 1 << 28
_TRAINED_ON = 40  # rows of a cell's training; FAISS warns below 39
_MAX_TRAINING_VALUES = 1 << 27  # 512 MB
_SEED = 0
_LINKS, _BUILDING_EFFORT = 32, 40
_MIN_CELLS, _CELLS_PART = 8, 32  # looked into by default: a 32nd of the cells, but at least 8
_LIST = 128  # hnsw's effort by default


def choose_kind(count: int, dims: int) -> str:
    """'flat' for a gallery (count, dims) of up to 2^28 values, 'ivf' above; 'hnsw' is for who asks for it.

    >>> choose_kind(500_000, 512), choose_kind(1_000_000, 512)
    ('flat', 'ivf')
    """
    return 'flat' if count * dims <= _MAX_FLAT_VALUES else 'ivf'


def _num_cells(count: int, dims: int) -> int:
    """About 4 * sqrt(count), as FAISS advises; so many that each can be trained on enough rows."""
    trainable = min(count, _MAX_TRAINING_VALUES // dims) // _TRAINED_ON
    return max(1, min(round(4 * math.sqrt(count)), trainable))


class Approximate:
    """A FAISS structure that proposes candidates. It holds rows of length 1 as float16, half of the embeddings' size:
    what it proposes is compared anew with the embeddings themselves."""

    def __init__(self, kind: str, structure: Any) -> None:
        self.kind = kind
        self.structure = structure

    @classmethod
    def build(cls, kind: str, rows: Rows) -> 'Approximate':
        """Train on `rows` and take them all up.

        Args:
            kind: 'ivf' or 'hnsw'.
            rows: At least one.
        """
        metric, half = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer.QT_fp16
        if kind == 'ivf':
            cells = _num_cells(len(rows), rows.dims)
            quantizer = faiss.IndexFlatIP(rows.dims)
            structure = faiss.IndexIVFScalarQuantizer(quantizer, rows.dims, cells, half, metric, False)
            structure.cp.spherical = True
            structure.cp.seed = _SEED
            number = min(len(rows), cells * _TRAINED_ON)
        else:
            structure = faiss.IndexHNSWSQ(rows.dims, half, _LINKS, metric)
            structure.hnsw.efConstruction = _BUILDING_EFFORT
            number = 1  # float16 needs no training, but FAISS asks for the call
        chosen = np.random.default_rng(_SEED).choice(len(rows), number, replace=False)
        structure.train(unit_rows_float32('gallery', rows.take(np.sort(chosen))))
        built = cls(kind, structure)
        built.add(rows)
        return built

    @classmethod
    def read(cls, kind: str, file: Path) -> 'Approximate':
        """Read what `write` left.

        Raises:
            ValueError: The file is missing or damaged.
        """
        try:
            return cls(kind, faiss.read_index(str(file)))
        except RuntimeError as error:
            raise ValueError(f'"{file}" is damaged ({error}): make the index anew.') from error

    def write(self, file: Path) -> None:
        faiss.write_index(self.structure, str(file))

    def __len__(self) -> int:
        return self.structure.ntotal

    def add(self, rows: Rows) -> None:
        """Take up more rows, whose numbers go on where the last one's ended; nothing is trained or built anew."""
        for block in rows.blocks():
            self.structure.add(block.unit())

    def candidates(self, unit_query: np.ndarray, number: int, effort: Optional[int] = None) -> np.ndarray:
        """Numbers of near rows (Q, number), -1 where fewer were found.

        Args:
            unit_query: (Q, D) float32, rows of length 1.
            number: How many.
            effort: Cells that are looked into (ivf; None: a 32nd of them, at least 8), or length of the list of the
                nearest while searching (hnsw; None: 128).

        Raises:
            ValueError: An effort below 1.
        """
        if effort is not None and effort < 1:
            raise ValueError(f'effort is {effort}, but at least 1 is needed.')
        if self.kind == 'ivf':
            cells = self.structure.nlist
            effort = max(_MIN_CELLS, cells // _CELLS_PART) if effort is None else effort
            parameters = faiss.SearchParametersIVF(nprobe=min(effort, cells))
        else:
            parameters = faiss.SearchParametersHNSW(efSearch=max(_LIST if effort is None else effort, number))
        return self.structure.search(unit_query, number, params=parameters)[1]
