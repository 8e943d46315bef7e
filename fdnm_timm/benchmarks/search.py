"""Search in a large gallery: time, size, memory, and what the approximate kinds miss."""
import tempfile
import time
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

import numpy as np
import torch

from ..extraction.features import Features
from ..search import Index
from ..search._faiss import faiss
from .child import peak_memory, resident_memory, resident_memory_is_known
from .rows import Row, row
from .settings import Settings
from .timing import seconds

__all__ = ['Measured', 'draw_gallery', 'draw_queries', 'measure', 'search_rows']

_TOP = 10
_IMAGES = 10  # of a person
_PEOPLE = 1000  # drawn at a time


class Measured(NamedTuple):
    """What one kind of index took."""
    build: float  # seconds
    size: int  # bytes on disk
    together: List[float]  # seconds for all queries in one call
    alone: List[float]  # seconds for one query
    memory: int  # bytes that opening and searching grew a fresh process by, at the most
    places: np.ndarray  # (Q, 10)


def _embeddings(people: np.ndarray, images: int, dims: int, seed: int) -> np.ndarray:
    """Unit rows: a person's direction, and as much noise; cosines of 0.5 within a person, and near 0 between two."""
    rows = np.empty((len(people) * images, dims), np.float32)
    for place, person in enumerate(people):
        centre = np.random.default_rng([0, person]).standard_normal(dims, np.float32)
        noise = np.random.default_rng([seed, person]).standard_normal((images, dims), np.float32)
        rows[place * images:(place + 1) * images] = centre + noise
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def draw_gallery(file: Path, count: int, dims: int) -> None:
    """Write embeddings (count, dims) of people with ten images each, some at a time."""
    rows = np.lib.format.open_memmap(file, 'w+', np.float32, (count, dims))
    for start in range(0, count, _PEOPLE * _IMAGES):
        number = min(_PEOPLE * _IMAGES, count - start)
        people = np.arange(start // _IMAGES, (start + number - 1) // _IMAGES + 1)
        rows[start:start + number] = _embeddings(people, _IMAGES, dims, 1)[:number]
    rows.flush()


def draw_queries(number: int, count: int, dims: int) -> np.ndarray:
    """One more image (number, dims) of each of some people of `draw_gallery`."""
    people = np.random.default_rng(0).choice(max(1, count // _IMAGES), number, replace=number > count // _IMAGES)
    return _embeddings(people, 1, dims, 2)


def _features(file: Path) -> Features:
    rows = np.load(file, mmap_mode='r')
    return Features(rows, [f'{row:08d}.jpg' for row in range(len(rows))], np.zeros(len(rows), np.int8), {})


def _build(file: Path, folder: Path, kind: str) -> Tuple[float, int]:
    faiss.omp_set_num_threads(torch.get_num_threads())  # it does not go by torch's number
    start = time.perf_counter()
    index = Index.create(folder, _features(file), kind)
    return time.perf_counter() - start, index.num_bytes


def _search(folder: Path, query: np.ndarray, repeats: int) -> Tuple[List[float], List[float], int, np.ndarray]:
    faiss.omp_set_num_threads(torch.get_num_threads())
    before = resident_memory() if resident_memory_is_known() else 0
    index = Index.open(folder)
    places = index.search(query, _TOP).places  # and the files are in the system's cache
    taken = seconds({
        'together': lambda: index.search(query, _TOP), 'alone': lambda: index.search(query[:1], _TOP),
    }, repeats, torch.device('cpu'), warmup=0)
    grown = peak_memory() - before if resident_memory_is_known() else 0
    return taken['together'], taken['alone'], grown, places


def measure(settings: Settings, file: Path, query: np.ndarray, kind: str) -> Measured:
    """Build an index of the embeddings in `file` and search it, each in a fresh process."""
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        build, size = settings.apart(_build, file, Path(folder) / 'index', kind)
        together, alone, memory, places = settings.apart(_search, Path(folder) / 'index', query, settings.repeats)
    return Measured(build, size, together, alone, memory, places)


def _rows_of(name: str, found: Measured, exact: np.ndarray) -> Iterator[Row]:
    queries = len(exact)
    yield row('search', f'{name}: build', 's', [found.build])
    yield row('search', f'{name}: on disk', 'MB', [found.size / 1e6])
    yield row('search', f'{name}: a query of {queries:,} at once', 's', [value / queries for value in found.together])
    yield row('search', f'{name}: a query alone', 's', found.alone)
    if resident_memory_is_known():
        yield row('search', f'{name}: peak memory', 'MB', [found.memory / 1e6])
    hits = [len(np.intersect1d(a[a >= 0], b)) / len(b) for a, b in zip(found.places, exact)]
    yield row('search', f'{name}: of the exact first {_TOP}, found', 'x', [float(np.mean(hits))])
    same = found.places[:, 0] // _IMAGES == exact[:, 0] // _IMAGES
    yield row('search', f'{name}: queries whose first is of the same person', 'x', [float(np.mean(same))])


def search_rows(settings: Settings) -> Iterator[Row]:
    """Each gallery with its kinds of index, the first of which is exact."""
    for count, dims, kinds in settings.search:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / 'gallery.npy'
            draw_gallery(file, count, dims)
            query = draw_queries(settings.search_queries, count, dims)
            exact = None
            for kind in kinds:
                found = measure(settings, file, query, kind)
                exact = found.places if exact is None else exact
                yield from _rows_of(f'{kind}, {count:,} x {dims:,}', found, exact)
