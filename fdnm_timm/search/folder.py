"""An index on disk: a folder of files that are never changed, and a small one that says which of them count.

    index.json           kind, dimensions, count, model, threshold, and the names of the others
    part-N-*.npy         embeddings (n, D) float32 as they were given, a part for each time that some were added
    part-N-*.json        their paths and modalities
    structure-N-*.faiss  FAISS' structure, where the kind has one

What is added is written beside what is there; then index.json takes the place of the old one. A crash before that
leaves the old index, and files that the next addition removes.
"""
import contextlib
import json
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from filelock import FileLock, Timeout

from ..files import replacing, write_json, write_text
from .approximate import Approximate

__all__ = ['Manifest', 'is_index', 'locked', 'read_manifest', 'read_parts', 'sweep', 'write_part', 'write_structure']

MANIFEST = 'index.json'
_LOCK = '.lock'
_FORMAT = 1  # to be raised where the layout changes
_CHUNK = 1 << 24  # values written at a time


@dataclass
class Manifest:
    """index.json."""
    kind: str
    dims: int
    count: int = 0
    metadata: Dict[str, str] = field(default_factory=dict)  # of the features: which model, which preprocessing
    parts: List[str] = field(default_factory=list)
    structure: Optional[str] = None
    threshold: Optional[Dict[str, Any]] = None
    format: int = _FORMAT

    def write(self, folder: Path) -> None:
        write_json(folder / MANIFEST, asdict(self))


def is_index(path: Path) -> bool:
    """Whether `path` is an index's folder."""
    return (path / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Read index.json.

    Raises:
        FileNotFoundError: The folder holds no index.
        ValueError: index.json is damaged, or of a newer version of this package.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise FileNotFoundError(
            f'"{folder}" holds no index: there is no "{MANIFEST}" in it. Make one with '
            f'`fdnm search --gallery IMAGES_OR_FEATURES --save "{folder}"`.')
    try:
        value = json.loads(file.read_text(encoding='utf-8'))
        found = value.get('format')
        manifest = Manifest(**value) if found == _FORMAT else None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f'"{file}" is damaged ({error}): make the index anew.') from error
    if manifest is None:
        raise ValueError(f'"{file}" has format {found!r}, but this version of fdnm_timm reads {_FORMAT}: make it anew.')
    return manifest


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the right to change an index; the system ends it with the process.

    Raises:
        RuntimeError: Another process holds it.
    """
    try:
        with FileLock(folder / _LOCK, timeout=0):
            yield
    except Timeout as error:
        raise RuntimeError(f'Another process changes the index "{folder}": wait until it has ended.') from error


def _new_name(manifest: Manifest, word: str) -> str:
    """Of a file that is not there yet: readers that have the old ones open keep them."""
    return f'{word}-{len(manifest.parts)}-{uuid.uuid4().hex[:8]}'


def write_part(folder: Path, manifest: Manifest, embeddings: np.ndarray, rows: Sequence[int], paths: Sequence[str],
               modality: np.ndarray) -> None:
    """Write some rows of `embeddings` and note them in the manifest, which is not written.

    Args:
        folder: The index.
        manifest: Its, which is changed.
        embeddings: (N, D) float32; some rows are read at a time.
        rows: Numbers (n,) of the rows to write, rising.
        paths: Their paths (n,).
        modality: Their modalities (n,).
    """
    name = _new_name(manifest, 'part')
    with replacing(folder / f'{name}.npy') as temporary, open(temporary, 'wb') as file:
        header = {'descr': '<f4', 'fortran_order': False, 'shape': (len(rows), manifest.dims)}
        np.lib.format.write_array_header_1_0(file, header)
        size = max(1, _CHUNK // manifest.dims)
        for start in range(0, len(rows), size):
            np.ascontiguousarray(embeddings[np.asarray(rows[start:start + size])], dtype='<f4').tofile(file)
        file.flush()
    write_text(folder / f'{name}.json', json.dumps({'paths': list(paths), 'modality': modality.tolist()}))
    manifest.parts.append(name)
    manifest.count += len(rows)


def write_structure(folder: Path, manifest: Manifest, structure: Approximate) -> None:
    """Write FAISS' structure and note it in the manifest, which is not written."""
    name = f'{_new_name(manifest, "structure")}.faiss'
    with replacing(folder / name) as temporary:
        structure.write(temporary)
    manifest.structure = name


def read_parts(folder: Path, manifest: Manifest) -> Tuple[List[np.ndarray], List[str], np.ndarray]:
    """Embeddings, mapped and not read, paths and modalities.

    Raises:
        ValueError: A part is missing or damaged.
    """
    arrays: List[np.ndarray] = []
    paths: List[str] = []
    modality: List[int] = []
    for name in manifest.parts:
        try:
            arrays.append(np.load(folder / f'{name}.npy', mmap_mode='r', allow_pickle=False))
            labels = json.loads((folder / f'{name}.json').read_text(encoding='utf-8'))
            paths += labels['paths']
            modality += labels['modality']
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f'"{folder / name}" is damaged ({error}): make the index anew.') from error
    if not manifest.count == sum(map(len, arrays)) == len(paths) == len(modality):
        raise ValueError(
            f'"{folder}" holds {sum(map(len, arrays))} embeddings and {len(paths)} paths, but {manifest.count} of each '
            f'are expected: make the index anew.')
    return arrays, paths, np.asarray(modality, np.int8)


def sweep(folder: Path, manifest: Manifest) -> None:
    """Remove what an addition that ended early left, and what the manifest no longer names."""
    kept = {MANIFEST, _LOCK, manifest.structure}
    kept |= {f'{name}{suffix}' for name in manifest.parts for suffix in ('.npy', '.json')}
    for file in folder.iterdir():
        if file.name not in kept and file.name.lstrip('.').startswith(('part-', 'structure-', MANIFEST)):
            file.unlink(missing_ok=True)
