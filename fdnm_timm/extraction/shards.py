"""What an extraction has done so far: a folder of shards, each whole or absent, and a manifest that says of what."""
import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..files import replacing, write_json

__all__ = ['Shard', 'ShardFolder']

_MANIFEST, _LOCK = 'manifest.json', 'lock'
_FREE = ('model',)  # of the manifest: may change, since the same model can be elsewhere


class Shard(NamedTuple):
    """Embeddings of some of the images."""
    rows: np.ndarray  # (n,) int64, numbers of the images that could be read
    embeddings: np.ndarray  # (n, D) float32
    errors: Dict[int, str]  # reasons of those that could not, by number


class ShardFolder:
    """Shards of one extraction, numbered from 0; each holds `size` neighbouring images, the last one the rest."""

    def __init__(self, folder: Path, images: int, size: int) -> None:
        """
        Args:
            folder: Where they lie.
            images: Number of images in all.
            size: Images of a shard.
        """
        self.folder = folder
        self.images = images
        self.size = size

    def __len__(self) -> int:
        return -(-self.images // self.size)

    def rows(self, number: int) -> range:
        """Numbers of the images of a shard."""
        return range(number * self.size, min((number + 1) * self.size, self.images))

    @contextmanager
    def opened(self, manifest: Dict[str, Any]) -> Iterator[None]:
        """Begin or continue an extraction, alone.

        Args:
            manifest: JSON values of all that decides about the embeddings.

        Raises:
            ValueError: The folder holds another extraction, or something else.
            RuntimeError: Another process works in the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RuntimeError(
                f'Another process works in "{self.folder}": wait for it, or give another --out.') from None
        try:
            self._begin(manifest)
            yield
        finally:
            lock.release()

    def _begin(self, manifest: Dict[str, Any]) -> None:
        file = self.folder / _MANIFEST
        if file.exists():
            self._check(json.loads(file.read_text(encoding='utf-8')), json.loads(json.dumps(manifest)))
        elif any(path.name != _LOCK for path in self.folder.glob('[!.]*')):
            raise ValueError(
                f'The folder "{self.folder}" is not of an extraction: it has no {_MANIFEST}. Give another --out, or '
                f'remove it.')
        else:
            write_json(file, manifest)
        for leftover in self.folder.glob('.*.safetensors'):  # of a process that was killed while it wrote
            leftover.unlink()

    def _check(self, found: Dict[str, Any], wanted: Dict[str, Any]) -> None:
        differing = [key for key in wanted.keys() | found.keys()
                     if key not in _FREE and found.get(key) != wanted.get(key)]
        if differing:
            parts = '; '.join(f'{key} was {found.get(key)} and is {wanted.get(key)}' for key in sorted(differing))
            raise ValueError(
                f'"{self.folder}" holds the beginnings of another extraction ({parts}). Results of different models, '
                f'images or batches are not mixed: give what was given then, another --out, or remove that folder.')

    def _path(self, number: int) -> Path:
        return self.folder / f'{number:06d}.safetensors'

    def write(self, number: int, shard: Shard) -> None:
        """Keep a shard, whole or not at all."""
        errors = json.dumps({str(row): reason for row, reason in shard.errors.items()})
        with replacing(self._path(number)) as temporary:
            temporary.write_bytes(save({'rows': shard.rows, 'embeddings': shard.embeddings}, {'errors': errors}))

    def read(self, number: int) -> Shard:
        """A shard. Raises ValueError where it is damaged."""
        rows, errors = self.outcome(number)
        with self._opened(number) as file:
            return Shard(rows, file.get_tensor('embeddings'), errors)

    def outcome(self, number: int) -> Tuple[np.ndarray, Dict[int, str]]:
        """Rows and errors of a shard, without its embeddings."""
        with self._opened(number) as file:
            errors = json.loads(file.metadata()['errors'])
            return file.get_tensor('rows'), {int(row): reason for row, reason in errors.items()}

    def _opened(self, number: int) -> Any:
        try:
            return safe_open(self._path(number), framework='np')
        except SafetensorError as error:
            raise ValueError(
                f'"{self._path(number)}" is damaged ({error}): remove it, and the same command makes it '
                f'again.') from error

    def missing(self, with_errors: bool = False) -> List[int]:
        """Numbers of the shards that are to be made; `with_errors`, also of those that lack an image."""
        return [number for number in range(len(self))
                if not self._path(number).exists() or with_errors and self.outcome(number)[1]]

    def remove(self) -> None:
        shutil.rmtree(self.folder)
