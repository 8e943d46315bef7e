"""A packed cache: a data set's decoded and resized images in one file, which all loader processes map into memory.

The file is a safetensors one: the tensor `images` (N, H, W) or (N, H, W, C), uint8, and in the metadata what it was
made of. What is random in a transform comes after the resize, so items are the same, bit for bit, as without the cache.
"""
import hashlib
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import PIL
from filelock import FileLock, Timeout
from PIL import Image, features
from safetensors import SafetensorError, safe_open
from torchvision import transforms as T
from tqdm import tqdm

from ..files import replacing
from ..version import __version__
from .base import CrossModalityDataset, DatasetError

__all__ = ['ImageCache', 'open_cache', 'split_transform']

_FORMAT = 1  # to be raised where the file's layout changes
_CHUNK = 128  # images decoded at a time, which bounds the memory of building
_FIXED = (T.Grayscale, T.Resize)  # steps of a transform that are the same every time

Source = Tuple[int, int]  # size in bytes and modification time in ns of a record's file


def split_transform(transform: Any) -> Tuple[List[Any], List[Any]]:
    """Split a transform into what is cached and the rest.

    Args:
        transform: A torchvision `Compose` that begins as those of `build_train_transform` and `build_test_transform`:
            grey or not, then a resize to a fixed height and width.

    Returns:
        The steps up to and with the resize, and those behind it.

    Raises:
        ValueError: The transform begins otherwise.
    """
    steps = list(getattr(transform, 'transforms', ()))
    length = 0
    while length < len(steps) and isinstance(steps[length], _FIXED):
        length += 1
    resize = steps[length - 1] if length else None
    if not isinstance(resize, T.Resize) or not isinstance(resize.size, Sequence) or len(resize.size) != 2:
        raise ValueError(
            f'The transform begins with {steps[0] if steps else transform!r}, but only images that a transform first '
            f'resizes to a fixed (height, width) can be cached.')
    return steps[:length], steps[length:]


class ImageCache:
    """A data set's images as they are after the resize; made by `open_cache`.

    `load(path)` takes a record's path, as the data set's own `load` does. A cache can be forked and pickled: every
    process maps the same file, whose pages the system holds once and gives up when memory is short. What is mapped
    stays as it is, also where another process puts a new cache in the file's place.
    """

    def __init__(self, file: Path, root: Path, form: Sequence[Any]) -> None:
        """
        Args:
            file: The safetensors file.
            root: The data set's folder, below which names count.
            form: Steps of a transform that the images have behind them.

        Raises:
            OSError, SafetensorError, KeyError, ValueError: The file is missing, damaged or of another kind.
        """
        self.file = file
        self.root = root
        self.form = list(form)
        text = self._map()
        self.digest = _digest(text)
        self.manifest: Dict[str, Any] = json.loads(text)
        self.places = {name: place for place, name in enumerate(self.manifest['names'])}

    def _map(self) -> str:
        """Map the file's images; returns its manifest."""
        opened = safe_open(self.file, framework='np')
        self._images = opened.get_slice('images')
        return (opened.metadata() or {})['manifest']

    def __len__(self) -> int:
        return len(self.places)

    def __getstate__(self) -> Dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != '_images'}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)
        if _digest(self._map()) != self.digest:
            raise DatasetError(
                f'The cache "{self.file}" was made anew while it was in use, because the images or their form '
                f'changed: start again.')

    def holds(self, needed: Dict[str, Source]) -> bool:
        """Whether it was made of the sources `needed`, by record's name, as they are now."""
        made = {'format': _FORMAT, 'form': repr(self.form), 'makers': _makers()}
        if any(self.manifest.get(key) != value for key, value in made.items()):
            return False
        places, sources = self.places, self.manifest['sources']
        return all(name in places and tuple(sources[places[name]]) == source for name, source in needed.items())

    def load(self, path: str) -> Image.Image:
        """The resized image of a record's path. Raises DatasetError where the cache does not hold it."""
        place = self.places.get(_name(path, self.root))
        if place is None:
            raise DatasetError(
                f'"{path}" is not in the cache "{self.file}", which holds the {len(self)} images of "{self.root}" '
                f'that were recorded when it was opened: open a cache for the data set that has it.')
        return Image.fromarray(self._images[place])

    def rest_of(self, transform: Any) -> T.Compose:
        """What of a transform is left to do. Raises ValueError where it does not begin as the cached images did."""
        form, rest = split_transform(transform)
        if repr(form) != repr(self.form):
            raise ValueError(
                f'The transform begins with {form}, but the images in "{self.file}" were made by {self.form}: open '
                f'a cache of that form.')
        return T.Compose(rest)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _name(path: str, root: Path) -> str:
    """A record's name in the cache: its path below the data set's folder."""
    return path.removeprefix(f'{root}{os.sep}')


def _sources(paths: Sequence[str], root: Path) -> Dict[str, Source]:
    """What each record's file is like now, by the record's name."""
    stats: Dict[str, Source] = {}
    sources = {}
    for path in paths:
        # RoadScene's records have a window's number behind the file's name
        file = path if os.path.exists(path) else path.rpartition('#')[0]
        if file not in stats:
            try:
                stat = os.stat(file)
            except OSError as error:
                raise DatasetError(
                    f'Cannot cache the image "{path}": {error.strerror}. Repair or remove it.') from error
            stats[file] = stat.st_size, stat.st_mtime_ns
        sources[_name(path, root)] = stats[file]
    return sources


def _makers() -> List[str]:
    """What may decode or resize to other pixels in another version."""
    return [f'fdnm_timm {__version__}', f'Pillow {PIL.__version__}', f'jpeg {features.version("jpg")}']


def _read(file: Path, root: Path, form: Sequence[Any], needed: Dict[str, Source]) -> Optional[ImageCache]:
    """The cache in `file`, None where there is none or where it is of another state of the sources."""
    try:
        cache = ImageCache(file, root, form)
    except (OSError, SafetensorError, KeyError, ValueError):  # missing, damaged or of another kind: to be built
        return None
    return cache if cache.holds(needed) else None


def _header(shape: Sequence[int], manifest: Dict[str, Any]) -> bytes:
    """Of a safetensors file that holds the one tensor `images`."""
    tensor = {'dtype': 'U8', 'shape': list(shape), 'data_offsets': [0, int(np.prod(shape))]}
    header = json.dumps({'__metadata__': {'manifest': json.dumps(manifest)}, 'images': tensor}).encode()
    header += b' ' * (-len(header) % 8)
    return len(header).to_bytes(8, 'little') + header


def _decoded(
        paths: Sequence[str],
        load: Callable[[str], np.ndarray],
        threads: int,
        bar: Any,
) -> Iterator[np.ndarray]:
    """The images in order, a few at a time; PIL decodes and resizes without Python's lock."""
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(paths), _CHUNK):
            for image in pool.map(load, paths[start:start + _CHUNK]):
                yield image
                bar.update()


def _build(
        file: Path,
        dataset: CrossModalityDataset,
        form: Sequence[Any],
        paths: Sequence[str],
        sources: Dict[str, Source],
        threads: int,
        progress: bool,
) -> None:
    apply = T.Compose(form)

    def load(path: str) -> np.ndarray:
        return np.array(apply(dataset.load(path)))

    shape = (len(paths), *load(paths[0]).shape)
    manifest = {
        'format': _FORMAT, 'dataset': dataset.name, 'form': repr(form), 'makers': _makers(), 'names': list(sources),
        'sources': list(sources.values())}
    for leftover in file.parent.glob(f'.{file.name}.*'):  # of a process that was killed: whoever builds holds the lock
        leftover.unlink(missing_ok=True)
    header = _header(shape, manifest)
    needed, free = len(header) + int(np.prod(shape)), shutil.disk_usage(file.parent).free
    if free < needed:
        raise OSError(f'{needed / 2 ** 20:.0f} MiB are needed, but {free / 2 ** 20:.0f} MiB are free')
    with replacing(file) as temporary, tqdm(
            total=len(paths), desc=f'cache {dataset.name}', unit='img', disable=not progress) as bar:
        with open(temporary, 'wb') as out:
            out.write(header)
            for image in _decoded(paths, load, threads, bar):
                out.write(image.tobytes())


@contextmanager
def _locked(file: Path, progress: bool) -> Iterator[None]:
    """One process builds, the others wait for it. The system lets go of the lock of a process that dies."""
    lock = FileLock(file.with_suffix('.lock'))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress:
            print(f'Another process builds "{file}": waiting for it ...', file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def open_cache(
        folder: Union[str, os.PathLike],
        dataset: CrossModalityDataset,
        transform: Any,
        threads: int = 1,
        progress: bool = False,
) -> ImageCache:
    """Open the cache of a data set's images, and build it first where it is missing or the images have changed.

    A data set's images are those of its training and test records. A cache is good where it holds every one of them,
    with the file's size and modification time as they are now, and was made in the same form by the same version of
    this package and of Pillow; else it is made anew and takes the old one's place whole. A process that has the old
    one open goes on with it.

    Args:
        folder: Where caches lie; made where it does not exist.
        dataset: The data set.
        transform: The items' transform: its first steps, up to the resize, are cached (see `split_transform`).
        threads: Threads that decode while building, >= 1.
        progress: Show a progress bar while building.

    Returns:
        The cache; N * height * width * channels bytes on the disk.

    Raises:
        ValueError: The transform does not begin with a resize, or there are no threads.
        DatasetError: An image is missing or cannot be decoded, with its name.
        OSError: The cache cannot be written: no room, no permission. Nothing half done is left.
    """
    if threads < 1:
        raise ValueError(f'threads is {threads}, but at least 1 must decode.')
    form, _ = split_transform(transform)
    parts = (dataset.train, dataset.test, dataset.query, dataset.gallery)
    paths = list(dict.fromkeys(path for records in parts for path, _, _ in records))
    if not paths:
        raise DatasetError(f'{type(dataset).__name__}: "{dataset.root}" has no images to cache.')
    sources = _sources(paths, dataset.root)
    digest = _digest(json.dumps([os.path.realpath(dataset.root), repr(form)]))
    height, width = form[-1].size
    file = Path(folder) / f'{dataset.name}-{height}x{width}-{digest}.safetensors'
    cache = _read(file, dataset.root, form, sources)
    if cache is not None:
        return cache
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(file, progress):
            cache = _read(file, dataset.root, form, sources)  # another process may have built it meanwhile
            if cache is None:
                _build(file, dataset, form, paths, sources, threads, progress)
                cache = _read(file, dataset.root, form, sources)
    except OSError as error:
        raise OSError(
            f'Cannot write the cache "{file}": {error}. Make room there, see to the permissions, or give another '
            f'folder as data.cache; without it, images are decoded anew in every epoch.') from error
    assert cache is not None
    return cache
