"""Embeddings of many images in one file: safetensors, npz or parquet, by the file's suffix."""
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple, Union

import numpy as np

from ..files import replacing
from . import _npz, _parquet, _safetensors
from ._stream import FeatureStream

__all__ = ['SUFFIXES', 'Features', 'check_suffix', 'read_features', 'write_features', 'write_stream']

_BLOCK = 1 << 24  # bytes written at a time
_FORMATS: Dict[str, Any] = {'.safetensors': _safetensors, '.npz': _npz, '.parquet': _parquet}
SUFFIXES = tuple(_FORMATS)


class Features(NamedTuple):
    """Embeddings and what they are of, row by row."""
    embeddings: np.ndarray  # (N, D) float32
    paths: List[str]
    modality: np.ndarray  # (N,) int8: 0 visible, 1 infrared, -1 unknown
    metadata: Dict[str, str]  # of the model: 'model', 'fingerprint', 'preprocessing', ...


def check_suffix(path: Union[str, os.PathLike]) -> None:
    """Raise ValueError where a file's name does not end in one of `SUFFIXES`, and ImportError where its library is
    missing."""
    _format_of(Path(path))


def _format_of(path: Path) -> Any:
    if path.suffix not in _FORMATS:
        raise ValueError(
            f'"{path}" ends in "{path.suffix}", but features are kept in files that end in {", ".join(SUFFIXES)}.')
    found = _FORMATS[path.suffix]
    found.check_library()
    return found


def read_features(path: Union[str, os.PathLike]) -> Features:
    """Read what `write_features` wrote.

    The embeddings of .safetensors and .npz are mapped from the file, read-only, and take memory only where they are
    looked at; those of .parquet are read into memory.

    Args:
        path: A .safetensors, .npz or .parquet file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or holds no features.
        ImportError: .parquet, without pyarrow.
    """
    path = Path(path)
    read = _format_of(path).read
    if not path.is_file():
        raise FileNotFoundError(f'There is no file "{path}" of features: write it with `fdnm extract --out {path}`.')
    try:
        features = Features(*read(path))
        _check(features)
    except OSError:
        raise
    except Exception as error:  # each library has errors of its own for a damaged file
        raise ValueError(
            f'"{path}" cannot be read as features ({type(error).__name__}: {error}): it is damaged, or is not what '
            f'`fdnm extract` writes. Extract the features again.') from error
    return features


def write_features(path: Union[str, os.PathLike], features: Features) -> None:
    """Write features whole or not at all, in the format of the name's suffix.

    Args:
        path: A name that ends in .safetensors, .npz or .parquet.
        features: Embeddings (N, D) float32, N paths and modalities; `metadata` is text by text.

    Raises:
        ValueError: Another suffix, parts of different lengths or types, or a path that is no Unicode.
        ImportError: .parquet, without pyarrow.
        OSError: The file cannot be written.
    """
    _check(features)
    write_stream(path, FeatureStream(
        features.embeddings.shape, _blocks(features.embeddings), features.paths, features.modality, features.metadata))


def write_stream(path: Union[str, os.PathLike], stream: FeatureStream) -> None:
    """`write_features` of embeddings that come block by block, of which one at a time is in memory.

    Raises:
        ValueError: The blocks have fewer or more rows than the stream's shape says; and as `write_features`.
    """
    path = Path(path)
    write = _format_of(path).write
    with replacing(path) as temporary:
        write(temporary, stream)


def _blocks(embeddings: np.ndarray) -> Iterator[np.ndarray]:
    rows = max(1, _BLOCK // max(1, 4 * embeddings.shape[1]))
    for start in range(0, len(embeddings), rows):
        yield embeddings[start:start + rows]


def _check(features: Features) -> None:
    """Raise ValueError where the parts do not fit each other."""
    embeddings, paths, modality, metadata = features
    expected: Tuple[Tuple[bool, str, str], ...] = (
        (embeddings.ndim == 2 and embeddings.dtype == np.float32,
         f'embeddings are {embeddings.dtype} of shape {list(embeddings.shape)}', 'float32 of shape (N, D)'),
        (len(paths) == len(embeddings), f'there are {len(paths)} paths', f'{len(embeddings)}, one an embedding'),
        (modality.shape == (len(embeddings),) and modality.dtype == np.int8,
         f'modality is {modality.dtype} of shape {list(modality.shape)}', f'int8 of shape ({len(embeddings)},)'),
        (bool(np.isin(modality, (-1, 0, 1)).all()), 'modality holds other values',
         '0 (visible), 1 (infrared) and -1 (unknown)'),
        (all(isinstance(part, str) for item in metadata.items() for part in item), 'metadata holds other than text',
         'text by text'),
    )
    for fits, found, wanted in expected:
        if not fits:
            raise ValueError(f'These are no features: {found}, but {wanted} expected.')
