"""Features as parquet: the columns `path`, `modality` and `embedding` (a list of D floats), a few rows a group."""
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from ._stream import FeatureStream, contiguous_blocks

__all__ = ['check_library', 'read', 'write']


def check_library() -> None:
    """Raise ImportError, with what to install, where pyarrow is missing."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'{error}. Parquet files need pyarrow: pip install "fdnm_timm[extract]"; or give a name that ends in '
            f'.safetensors.') from error


def _schema(dims: int, metadata: Any) -> Any:
    import pyarrow as pa
    return pa.schema(
        [('path', pa.string()), ('modality', pa.int8()), ('embedding', pa.list_(pa.float32(), dims))],
        metadata={str(key): str(value) for key, value in metadata.items()})


def write(file: Path, stream: FeatureStream) -> None:
    import pyarrow as pa
    from pyarrow import parquet
    dims, start = stream.shape[1], 0
    schema = _schema(dims, stream.metadata)
    # embeddings of which no two are alike: neither a dictionary nor a codec makes them smaller
    with parquet.ParquetWriter(file, schema, compression='none', use_dictionary=False) as out:
        for block in contiguous_blocks(stream):
            stop = start + len(block)
            out.write_table(pa.table([
                pa.array(stream.paths[start:stop], pa.string()), pa.array(stream.modality[start:stop], pa.int8()),
                pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), dims)], schema=schema))
            start = stop


def read(file: Path) -> Tuple[np.ndarray, List[str], np.ndarray, Dict[str, str]]:
    from pyarrow import parquet
    with parquet.ParquetFile(file) as opened:
        schema, rows = opened.schema_arrow, opened.metadata.num_rows
        embeddings = np.empty((rows, schema.field('embedding').type.list_size), np.float32)
        modality = np.empty(rows, np.int8)
        paths: List[str] = []
        for number in range(opened.num_row_groups):
            group = opened.read_row_group(number)
            start, stop = len(paths), len(paths) + len(group)
            for chunk in group.column('embedding').chunks:
                embeddings[start:start + len(chunk)] = chunk.flatten().to_numpy().reshape(len(chunk), -1)
                start += len(chunk)
            modality[stop - len(group):stop] = group.column('modality').to_numpy()
            paths += group.column('path').to_pylist()
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    return embeddings, paths, modality, {k: v for k, v in metadata.items() if not k.startswith('ARROW:')}
