"""Features as safetensors: `embeddings` (N, D), `modality` (N,), and `paths`, UTF-8 with a zero byte after each path.

The library writes a file from tensors that are whole in memory. Its layout is an eight-byte length, a JSON header and
the tensors' bytes, so it is written here row by row, and read by the library.
"""
import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
from safetensors import safe_open

from ._stream import FeatureStream, contiguous_blocks

__all__ = ['check_library', 'read', 'write']

_END = '\0'  # no path holds it


def check_library() -> None:
    """safetensors belongs to the core."""


def write(file: Path, stream: FeatureStream) -> None:
    modality = np.ascontiguousarray(stream.modality, dtype=np.int8).tobytes()
    paths = ''.join(path + _END for path in stream.paths).encode()
    tensors: Dict[str, Any] = {'__metadata__': dict(stream.metadata)}
    place = 0
    # the embeddings come first, so that they are aligned
    for name, dtype, shape, size in (
            ('embeddings', 'F32', stream.shape, 4 * stream.shape[0] * stream.shape[1]),
            ('modality', 'I8', (len(modality),), len(modality)), ('paths', 'U8', (len(paths),), len(paths))):
        tensors[name] = {'dtype': dtype, 'shape': list(shape), 'data_offsets': [place, place + size]}
        place += size
    header = json.dumps(tensors).encode()
    header += b' ' * (-len(header) % 8)
    with open(file, 'wb') as out:
        out.write(len(header).to_bytes(8, 'little') + header)
        for block in contiguous_blocks(stream):
            out.write(block.data)
        out.write(modality)
        out.write(paths)


def read(file: Path) -> Tuple[np.ndarray, List[str], np.ndarray, Dict[str, str]]:
    with safe_open(file, framework='np') as opened:  # checks the layout against the file's size
        modality, paths = opened.get_tensor('modality'), opened.get_tensor('paths')
        metadata = dict(sorted((opened.metadata() or {}).items()))  # the library's order is random
    names = paths.tobytes().decode().split(_END)[:-1]
    return _mapped(file, 'embeddings'), names, modality, metadata


def _mapped(file: Path, name: str) -> np.ndarray:
    """A float32 tensor as an array that reads the file where it is looked at; the library would copy it."""
    with open(file, 'rb') as opened:
        length = int.from_bytes(opened.read(8), 'little')
        tensor = json.loads(opened.read(length))[name]
    if tensor['dtype'] != 'F32':
        raise ValueError(f'"{name}" is {tensor["dtype"]}, not F32')
    shape = tuple(tensor['shape'])
    if not all(shape):  # nothing to map
        return np.empty(shape, np.float32)
    return np.memmap(file, '<f4', 'r', offset=8 + length + tensor['data_offsets'][0], shape=shape)
