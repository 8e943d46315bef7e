"""A gallery that is searched: in memory, or a folder on disk that grows."""
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Union

import numpy as np

from ..extraction.features import Features
from .approximate import KINDS, Approximate, choose_kind
from .exact import MARGIN, Found, search_all, settle
from .folder import (
    Manifest,
    is_index,
    locked,
    read_manifest,
    read_parts,
    sweep,
    write_part,
    write_structure,
)
from .origin import check_same_model
from .rows import Rows, as_rows, unit_rows_float32
from .threshold import Threshold

__all__ = ['Index']


class Index:
    """Embeddings with their paths, and a way to find the nearest.

    `Index(features)` searches what `read_features` gave, in memory or mapped; `Index.create(folder, features)` makes a
    folder that `Index.open(folder)` opens again and `add` makes larger. 'flat' compares all embeddings, in the order of
    `metrics.retrieve`; 'ivf' and 'hnsw' compare some, which FAISS proposes, and may miss others. The similarity is of
    the embeddings as they were given, whatever the kind.

    Attributes:
        paths: Of the images, in the order of their rows.
        modality: (N,) int8, 0 visible, 1 infrared, -1 unknown.
        metadata: What the features said of their model.
        kind: 'flat', 'ivf' or 'hnsw'.
        folder: Where the index lies, None in memory.
        threshold: Similarity below which nobody is known, None where none was stored.
    """

    def __init__(self, gallery: Features, kind: str = 'auto') -> None:
        """
        Args:
            gallery: Embeddings (N, D) with paths.
            kind: 'flat', 'ivf', 'hnsw', or 'auto': flat up to 2^28 values (500,000 images at 512 dimensions, 13,000 at
                20,480), ivf above.

        Raises:
            ValueError: An empty gallery, another kind, or embeddings that are not finite or fit no paths.
        """
        embeddings = _checked(gallery)
        rows = Rows([embeddings], embeddings.shape[1])
        self.folder: Optional[Path] = None
        self._set(rows, list(gallery.paths), np.asarray(gallery.modality, np.int8), Manifest(
            _known_kind(kind, len(embeddings), rows.dims), rows.dims, len(embeddings), dict(gallery.metadata)))
        self._structure = None if self.kind == 'flat' else Approximate.build(self.kind, rows)

    def _set(self, rows: Rows, paths: List[str], modality: np.ndarray, manifest: Manifest) -> None:
        self._rows = rows
        self.paths = paths
        self.modality = modality
        self._manifest = manifest
        self.kind = manifest.kind
        self.metadata: Mapping[str, str] = manifest.metadata
        self.threshold = None if manifest.threshold is None else Threshold(**manifest.threshold)

    @classmethod
    def create(cls, folder: Union[str, os.PathLike], gallery: Features, kind: str = 'auto') -> 'Index':
        """Make an index on disk, whole or not at all.

        Args:
            folder: Must not exist, or be empty.
            gallery: As for `Index`; a path that stands there again is taken once.
            kind: As for `Index`.

        Raises:
            FileExistsError: Something lies in the folder.
            ValueError: As for `Index`.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = 'an index already: give it as the gallery, and add to it' if is_index(folder) else 'something else'
            raise FileExistsError(f'"{folder}" holds {what}. Give another name, or remove it first.')
        embeddings = _checked(gallery)
        chosen = _new_rows(gallery.paths, {})
        manifest = Manifest(
            _known_kind(kind, len(chosen), embeddings.shape[1]), embeddings.shape[1], metadata=dict(gallery.metadata))
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f'.{folder.name}.'))
        try:
            _write(aside, manifest, embeddings, chosen, gallery)
            rows = Rows(read_parts(aside, manifest)[0], manifest.dims)
            if manifest.kind == 'flat':
                rows.check()
            else:
                write_structure(aside, manifest, Approximate.build(manifest.kind, rows))
            manifest.write(aside)
            umask = os.umask(0)
            os.umask(umask)
            aside.chmod(0o777 & ~umask)  # mkdtemp's folders are private, a plain mkdir's are not
            os.replace(aside, folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Union[str, os.PathLike]) -> 'Index':
        """Open an index on disk. Embeddings are mapped, not read; FAISS' structure is read.

        Raises:
            FileNotFoundError: There is none.
            ValueError: A file is missing, damaged, or of a newer version.
        """
        index = cls.__new__(cls)
        index.folder = Path(folder)
        index._read()
        return index

    def _read(self) -> None:
        assert self.folder is not None
        manifest = read_manifest(self.folder)
        arrays, paths, modality = read_parts(self.folder, manifest)
        self._set(Rows(arrays, manifest.dims), paths, modality, manifest)
        self._structure = None
        if manifest.structure is not None:
            self._structure = Approximate.read(manifest.kind, self.folder / manifest.structure)
            if len(self._structure) != manifest.count:
                raise ValueError(
                    f'"{self.folder / manifest.structure}" holds {len(self._structure)} embeddings, but '
                    f'{manifest.count} are expected: make the index anew.')

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def dims(self) -> int:
        """Dimensions of an embedding."""
        return self._rows.dims

    @property
    def num_bytes(self) -> int:
        """Bytes on disk, 0 in memory."""
        return 0 if self.folder is None else sum(file.stat().st_size for file in self.folder.iterdir())

    def add(self, features: Features) -> int:
        """Add the images whose paths are not there yet. Nothing that is there is built or trained anew.

        Where this ends early, by whatever cause, the index on disk stays as it was.

        Args:
            features: Of the same model.

        Returns:
            How many were added.

        Raises:
            ValueError: Another model, other dimensions, or embeddings that are not finite.
            RuntimeError: The index lies in memory, or another process changes it.
        """
        folder = self._on_disk()
        with locked(folder):
            self._read()  # another process may have changed it since
            self.check_model('The features to add', features)
            embeddings = _checked(features)
            chosen = _new_rows(features.paths, dict.fromkeys(self.paths))
            if not chosen:
                return 0
            sweep(folder, self._manifest)
            try:
                self._add(folder, embeddings, chosen, features)
            finally:
                self._read()  # as it is on disk, also where this failed half way
            sweep(folder, self._manifest)
        return len(chosen)

    def _add(self, folder: Path, embeddings: np.ndarray, chosen: List[int], features: Features) -> None:
        """Write new files, and then the manifest that names them."""
        _write(folder, self._manifest, embeddings, chosen, features)
        rows = Rows(read_parts(folder, self._manifest)[0][-1:], self.dims)
        if self._structure is None:
            rows.check()
        else:
            self._structure.add(rows)
            write_structure(folder, self._manifest, self._structure)
        self._manifest.write(folder)

    def store_threshold(self, threshold: Optional[Threshold]) -> None:
        """Keep a threshold with the index on disk, for all who open it; None removes it."""
        folder = self._on_disk()
        with locked(folder):
            self._read()
            self._manifest.threshold = None if threshold is None else asdict(threshold)
            self._manifest.write(folder)
        self.threshold = threshold

    def _on_disk(self) -> Path:
        if self.folder is None:
            raise RuntimeError('This index lies in memory: make one on disk with Index.create.')
        return self.folder

    def check_model(self, what: str, features: Features) -> None:
        """Refuse features that cannot be compared with the index's; raises ValueError."""
        mine = 'the gallery' if self.folder is None else f'the index "{self.folder}"'
        check_same_model(what, features.metadata, mine, self.metadata)
        if features.embeddings.ndim == 2 and features.embeddings.shape[1] != self.dims:
            raise ValueError(
                f'{what} have {features.embeddings.shape[1]} dimensions, but {mine} has {self.dims}: embed both with '
                f'the same model.')

    def search(self, query: np.ndarray, top: int = 10, effort: Optional[int] = None) -> Found:
        """The nearest images.

        Args:
            query: Embeddings (Q, D).
            top: Number of places.
            effort: Of ivf, cells that are looked into (None: a 32nd of them, at least 8); of hnsw, the length of its
                list while searching (None: 128). More finds more and takes longer.

        Returns:
            Cosine similarities and numbers of rows, each (Q, min(top, N)), nearest first, ties in the order of the
            rows; NaN and -1 where ivf or hnsw found fewer.

        Raises:
            ValueError: Shapes that do not fit, embeddings that are not finite, no place, or an effort of a flat index.
        """
        if top < 1:
            raise ValueError(f'top is {top}, but at least the first place is retrieved.')
        if effort is not None and self._structure is None:
            raise ValueError(f'effort is {effort}, but a flat index always compares everything: leave it out.')
        query = as_rows('queries', query)
        if query.shape[1] != self.dims:
            raise ValueError(f'The queries have {query.shape[1]} dimensions, but the gallery has {self.dims}.')
        unit_query = unit_rows_float32('queries', query)
        top = min(top, len(self))
        if self._structure is None:
            return search_all(query, unit_query, self._rows, top)
        places = self._structure.candidates(unit_query, min(top + MARGIN, len(self)), effort)
        return settle(query, self._rows, places, top)


def _known_kind(kind: str, count: int, dims: int) -> str:
    if kind == 'auto':
        return choose_kind(count, dims)
    if kind not in KINDS:
        raise ValueError(f'kind is {kind!r}, but must be auto or one of {", ".join(KINDS)}.')
    return kind


def _checked(features: Features) -> np.ndarray:
    """The embeddings."""
    embeddings = as_rows('embeddings of the gallery', features.embeddings)
    if len(embeddings) == 0:
        raise ValueError('The gallery is empty: there is nothing to search in.')
    if not len(embeddings) == len(features.paths) == len(features.modality):
        raise ValueError(
            f'There are {len(embeddings)} embeddings, but {len(features.paths)} paths and {len(features.modality)} '
            f'modalities: one of each is expected for an image.')
    return embeddings


def _new_rows(paths: List[str], known: Dict[str, Any]) -> List[int]:
    """Rows whose path is neither known nor in a row before; `known` takes them up."""
    chosen = []
    for row, path in enumerate(paths):
        if path not in known:
            known[path] = None
            chosen.append(row)
    return chosen


def _write(folder: Path, manifest: Manifest, embeddings: np.ndarray, chosen: List[int], features: Features) -> None:
    write_part(
        folder, manifest, embeddings, chosen, [features.paths[row] for row in chosen],
        np.asarray(features.modality)[chosen])
