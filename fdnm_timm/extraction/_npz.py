"""Features as .npz: `embeddings`, `modality`, `paths` (Unicode) and `metadata` (JSON), as `np.load` gives them.

The zip's members are stored as they are, so that the embeddings can be mapped from within it.
"""
import json
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterable, List, Tuple, cast

import numpy as np
from numpy.lib import format as npy

from ._stream import FeatureStream, contiguous_blocks

__all__ = ['check_library', 'read', 'write']

_PATHS = 4096  # paths written at a time
_LOCAL_HEADER = struct.Struct('<26xHH')  # of a zip's member: what stands there before the lengths of name and extra


def check_library() -> None:
    """NumPy belongs to the core."""


def _write_array(
        archive: zipfile.ZipFile,
        name: str,
        dtype: Any,
        shape: Tuple[int, ...],
        blocks: Iterable[np.ndarray],
) -> None:
    info = zipfile.ZipInfo(f'{name}.npy')  # dated 1980: the same features make the same file
    with archive.open(info, 'w', force_zip64=True) as member:
        header = dict(descr=npy.dtype_to_descr(np.dtype(dtype)), fortran_order=False, shape=shape)
        npy.write_array_header_2_0(cast(BinaryIO, member), header)
        for block in blocks:
            if block.size:
                member.write(np.ascontiguousarray(block, dtype=dtype).reshape(-1).view(np.uint8).data)


def write(file: Path, stream: FeatureStream) -> None:
    paths = stream.paths
    text = np.dtype(f'<U{max(map(len, paths), default=1)}')
    metadata = np.array([json.dumps(dict(stream.metadata))])
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_STORED) as archive:
        _write_array(archive, 'embeddings', '<f4', tuple(stream.shape), contiguous_blocks(stream))
        _write_array(archive, 'modality', 'i1', (len(paths),), [stream.modality])
        _write_array(archive, 'paths', text, (len(paths),), (
            np.array(paths[i:i + _PATHS], dtype=text) for i in range(0, len(paths), _PATHS)))
        _write_array(archive, 'metadata', metadata.dtype, (), [metadata])


def read(file: Path) -> Tuple[np.ndarray, List[str], np.ndarray, Dict[str, str]]:
    with np.load(file, allow_pickle=False) as opened:
        paths, modality, metadata = opened['paths'], opened['modality'], json.loads(str(opened['metadata'][()]))
    return _mapped(file, 'embeddings.npy'), paths.tolist(), modality, metadata


def _mapped(file: Path, member: str) -> np.ndarray:
    """A stored member as an array that reads the file where it is looked at."""
    with zipfile.ZipFile(file) as archive:
        info = archive.getinfo(member)
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f'"{member}" is compressed, so it cannot be mapped')
        with archive.open(info) as opened:
            major, minor = npy.read_magic(cast(BinaryIO, opened))
            read_header = npy.read_array_header_1_0 if (major, minor) == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read_header(cast(BinaryIO, opened))
            header = opened.tell()
    if not all(shape):  # nothing to map
        return np.empty(shape, dtype)
    with open(file, 'rb') as raw:
        raw.seek(info.header_offset)
        name, extra = _LOCAL_HEADER.unpack(raw.read(_LOCAL_HEADER.size))
    start = info.header_offset + _LOCAL_HEADER.size + name + extra + header
    return np.memmap(file, dtype, 'r', offset=start, shape=shape, order='F' if fortran else 'C')
