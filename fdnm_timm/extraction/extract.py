"""Embed many images into one file: in batches, with bounded memory, and from where it was when it is started again."""
import csv
import errno
import glob
import hashlib
import shutil
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from tqdm import tqdm

from ..data import DatasetError
from ..distributed import Processes
from ..files import replacing
from ._stream import FeatureStream
from .embedder import Embedder
from .features import check_suffix, write_stream
from .loading import load_batches
from .shards import Shard, ShardFolder

__all__ = ['ON_ERROR', 'Extracted', 'extract', 'parts_folder']

ON_ERROR = ('skip', 'fail')
_SHARD_BYTES, _SHARD_IMAGES = 1 << 25, 4096  # of a shard, at most


class Extracted(NamedTuple):
    """What an extraction came to."""
    out: Path
    images: int  # embedded
    dims: int
    skipped: int  # could not be read
    errors: Path  # where those are listed, if there are any


def parts_folder(out: Union[str, Path]) -> Path:
    """Where an extraction keeps what it has done so far."""
    return Path(f'{out}.parts')


def extract(
        paths: Sequence[str],
        modality: np.ndarray,
        embedder: Embedder,
        out: Union[str, Path],
        batch_size: int = 64,
        workers: int = 4,
        on_error: str = 'skip',
        errors: Union[str, Path, None] = None,
        shard_images: Optional[int] = None,
        progress: bool = False,
        processes: Optional[Processes] = None,
) -> Extracted:
    """Embed images and write their `Features`, in the order of the paths.

    What is done goes into the folder OUT.parts, from which the same call goes on if this one is killed; the result is
    the same, bit for bit. At the end OUT.parts is gone. Memory holds the paths, the model and one shard.

    Args:
        paths: Of the images, each once.
        modality: Of the images (N,): 0 visible, 1 infrared, -1 unknown.
        embedder: The model.
        out: A .safetensors, .npz or .parquet file, which must not exist.
        batch_size: Images that the model gets at once, >= 1.
        workers: Processes that decode, 0 for none but this.
        on_error: What is done about an image that cannot be read: 'skip' leaves it out and lists it, 'fail' ends.
        errors: The list of these, CSV with 'path' and 'reason'; OUT.errors.csv where None.
        shard_images: Images of a shard, rounded up to whole batches; None for as many as make 32 MB, up to 4,096.
        progress: Show a progress bar.
        processes: Those that share the work, each of which calls this; the main one writes the result.

    Raises:
        FileExistsError: `out` is there already.
        DatasetError: An image cannot be read, with 'fail', or none can.
        ValueError: OUT.parts is of other images or another model, or an argument does not fit.
        FloatingPointError: An embedding holds NaN or infinite values.
        OSError: The disk is full, or what is needed does not fit on it.
    """
    out, processes = Path(out), processes or Processes()
    job = _Job(paths, modality, embedder, out, Path(f'{out}.errors.csv') if errors is None else Path(errors),
               batch_size, workers, on_error)
    _check(job, shard_images)
    shards = ShardFolder(parts_folder(out), len(paths), _shard_size(embedder.dims, batch_size, shard_images))
    with _explained(shards.folder), ExitStack() as stack:
        missing = processes.shard(processes.from_main(lambda: _prepare(job, shards, stack)))
        total = sum(len(shards.rows(number)) for number in missing)
        with tqdm(total=total, unit='img', desc=f'embed into {out.name}',
                  disable=not (progress and processes.is_main)) as bar:
            _make_shards(job, shards, missing, bar)
        processes.gather(torch.zeros(1))  # until all are there
        return processes.from_main(lambda: _finish(job, shards))


class _Job(NamedTuple):
    """What `extract` was asked for."""
    paths: Sequence[str]
    modality: np.ndarray
    embedder: Embedder
    out: Path
    errors: Path
    batch_size: int
    workers: int
    on_error: str


def _check(job: _Job, shard_images: Optional[int]) -> None:
    check_suffix(job.out)
    images, different = len(job.paths), len(set(job.paths))
    if not images or different != images or len(job.modality) != images:
        raise ValueError(
            f'There are {images} paths, {different} of them different, and {len(job.modality)} modalities: give at '
            f'least one image, each once and with its modality.')
    if job.on_error not in ON_ERROR:
        raise ValueError(f'on_error is {job.on_error!r}, but must be one of {", ".join(map(repr, ON_ERROR))}.')
    if job.errors == job.out:
        raise ValueError(f'"{job.out}" cannot hold both the embeddings and the errors: give another --errors.')
    for name, value, least in (
            ('batch_size', job.batch_size, 1), ('workers', job.workers, 0), ('shard_images', shard_images, 1)):
        if value is not None and value < least:
            raise ValueError(f'{name} is {value}, but must be at least {least}.')


def _prepare(job: _Job, shards: ShardFolder, stack: ExitStack) -> List[int]:
    """Open the folder until the stack's end; returns the shards that are to be made."""
    if job.out.exists() and not shards.folder.exists():
        raise FileExistsError(f'"{job.out}" exists already: give another --out, or remove it.')
    stack.enter_context(shards.opened(_manifest(job, shards.size)))
    for leftover in job.out.parent.glob(f'.{glob.escape(job.out.name)}.????????{job.out.suffix}'):
        leftover.unlink()  # of a process that was killed while it merged
    missing = shards.missing(with_errors=job.on_error == 'fail')
    _check_space(shards, len(missing), job.embedder.dims)
    return missing


def _shard_size(dims: int, batch_size: int, images: Optional[int]) -> int:
    """Images of a shard: whole batches."""
    if images is None:
        images = min(_SHARD_IMAGES, max(1, _SHARD_BYTES // (4 * dims)))
        return max(1, images // batch_size) * batch_size
    return -(-images // batch_size) * batch_size


def _manifest(job: _Job, shard_images: int) -> Dict[str, Any]:
    digest = hashlib.sha256(np.ascontiguousarray(job.modality, dtype=np.int8).tobytes())
    for path in job.paths:
        digest.update(path.encode() + b'\0')
    # rounding depends on the batch, and the shard says which images a batch holds
    return {
        **job.embedder.metadata, 'images': len(job.paths), 'list': digest.hexdigest(), 'batch_size': job.batch_size,
        'shard_images': shard_images}


def _check_space(shards: ShardFolder, missing: int, dims: int) -> None:
    whole = 4 * dims * shards.images
    needed, free = whole + whole * missing // len(shards), shutil.disk_usage(shards.folder).free
    if free < needed:
        raise OSError(
            f'{needed / 1e9:.1f} GB are needed beside "{shards.folder}", for the shards and the file that they are '
            f'merged into, but {free / 1e9:.1f} GB are free.')


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Say what a full disk means."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OSError(
            f'{error.strerror}, while "{error.filename or folder}" was written. What was embedded so far is in '
            f'"{folder}": make room, and the same command goes on from there.') from error


def _batches(rows: range, size: int) -> List[List[int]]:
    return [list(rows[start:start + size]) for start in range(0, len(rows), size)]


def _make_shards(job: _Job, shards: ShardFolder, missing: Sequence[int], bar: Any) -> None:
    plan = {number: _batches(shards.rows(number), job.batch_size) for number in missing}
    loaded = load_batches(
        job.paths, job.embedder.transform, [batch for batches in plan.values() for batch in batches], job.workers,
        pin_memory=job.embedder.device.type == 'cuda')
    for number, batches in plan.items():
        rows: List[int] = []
        embeddings = [np.empty((0, job.embedder.dims), np.float32)]
        errors: Dict[int, str] = {}
        for expected in batches:
            batch = next(loaded)
            if batch.errors and job.on_error == 'fail':
                row, reason = next(iter(batch.errors.items()))
                raise DatasetError(
                    f'Cannot read the image "{job.paths[row]}": {reason}. Repair or remove it, or skip such images '
                    f'with --on-error skip.')
            if batch.images is not None:
                embeddings.append(_embed(job, batch.images, batch.rows))
            rows += batch.rows
            errors.update(batch.errors)
            bar.update(len(expected))
        shards.write(number, Shard(np.array(rows, np.int64), np.concatenate(embeddings), errors))


def _embed(job: _Job, images: torch.Tensor, rows: List[int]) -> np.ndarray:
    embeddings = job.embedder.embed(images, job.modality[rows])
    finite = np.isfinite(embeddings).all(axis=1)
    if not finite.all():
        path = job.paths[rows[int(np.flatnonzero(~finite)[0])]]
        raise FloatingPointError(
            f'The embedding of "{path}" holds NaN or infinite values: the weights of "{job.embedder.source}" are '
            f'damaged, or do not bear {job.embedder.precision}.')
    return embeddings


def _finish(job: _Job, shards: ShardFolder) -> Extracted:
    """Merge the shards, of which one at a time is in memory."""
    rows, failed = _outcome(shards)
    if failed or job.errors.exists():  # an older list would be taken for this one's
        _write_errors(job.errors, [(job.paths[row], reason) for row, reason in sorted(failed.items())])
    if not len(rows):
        shards.remove()
        raise DatasetError(
            f'None of the {len(job.paths)} images can be read; "{job.errors}" has the reasons. The first is '
            f'"{job.paths[0]}": {failed[0]}.')
    write_stream(job.out, FeatureStream(
        (len(rows), job.embedder.dims), (shards.read(number).embeddings for number in range(len(shards))),
        [job.paths[row] for row in rows], job.modality[rows].astype(np.int8),
        {**job.embedder.metadata, 'skipped': str(len(failed))}))
    shards.remove()
    return Extracted(job.out, len(rows), job.embedder.dims, len(failed), job.errors)


def _outcome(shards: ShardFolder) -> Tuple[np.ndarray, Dict[int, str]]:
    rows, failed = [], {}
    for number in range(len(shards)):
        of_shard, errors = shards.outcome(number)
        rows.append(of_shard)
        failed.update(errors)
    return np.concatenate(rows), failed


def _write_errors(file: Path, errors: Sequence[Tuple[str, str]]) -> None:
    with replacing(file) as temporary, open(temporary, 'w', encoding='utf-8', newline='') as out:
        writer = csv.writer(out, lineterminator='\n')
        writer.writerow(('path', 'reason'))
        writer.writerows(errors)
