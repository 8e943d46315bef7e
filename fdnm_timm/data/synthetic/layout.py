"""A data set on disk, in the folder layout of a real one; the folder appears whole or not at all."""
import json
import os
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any, Callable, Dict, Union

from tqdm import tqdm

from ...files import write_json, write_text
from .chance import PRESENCE, generator, one_of
from .image import check_at_least, draw_person
from .places import CAMERAS, INFRARED_CAMERAS, VISIBLE_CAMERAS

__all__ = ['FORMAT_VERSION', 'seen_by', 'write_sysu_layout']

FORMAT_VERSION = 1
_RECORD = 'synthetic.json'
_ABSENT = 0.15
_JPEG_QUALITY = 92


def seen_by(seed: int, pid: int, images_per_camera: int) -> Dict[int, int]:
    """How many images each camera has of a person; as in SYSU-MM01, not everyone passes every camera."""
    rng = generator(seed, pid, PRESENCE)
    present = {camid for camid in CAMERAS if rng.random() >= _ABSENT}
    for group in (VISIBLE_CAMERAS, INFRARED_CAMERAS):
        spare = one_of(rng, group)
        if not present.intersection(group):
            present.add(spare)
    fewer = rng.integers(images_per_camera // 4 + 1, size=len(CAMERAS))
    return {camid: images_per_camera - int(fewer[camid - 1]) for camid in sorted(present)}


def _already_written(root: Path, record: Dict[str, Any]) -> bool:
    """True if `root` holds what `record` describes, False if nothing is there; anything else raises."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    note = root / _RECORD
    if not note.is_file():
        raise FileExistsError(
            f'{root} exists and holds no {_RECORD}, so nothing was drawn there; '
            'expected a path that does not exist: choose another, or move what is there')
    try:
        found = json.loads(note.read_text(encoding='utf-8'))
    except ValueError:
        found = None
    if found != record:
        raise FileExistsError(
            f'{note} records {found!r}, expected {record!r}: choose another folder, pass the same arguments, '
            'or delete this one to have it drawn again')
    return True


def _write_once(root: Path, record: Dict[str, Any], write: Callable[[Path], None]) -> None:
    """Have `write` fill a folder that then becomes `root`, unless `root` holds what `record` describes already."""
    if _already_written(root, record):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f'.{root.name}.', ignore_cleanup_errors=True) as temporary:
        whole = Path(temporary) / 'whole'
        whole.mkdir()
        write(whole)
        write_json(whole / _RECORD, record)
        try:
            os.replace(whole, root)
        except OSError:
            # Another process may have finished the same data set meanwhile.
            if not _already_written(root, record):
                raise


def write_sysu_layout(
        root: Union[str, 'os.PathLike[str]'],
        num_train: int = 100,
        num_val: int = 20,
        num_test: int = 50,
        images_per_camera: int = 8,
        seed: int = 0,
        height: int = 144,
        width: int = 72,
        progress: bool = False,
) -> Path:
    """Write SyntheticVI in the folder layout of SYSU-MM01.

    Written are ``cam{1-6}/{pid:04d}/{n:04d}.jpg``, the lists ``exp/{train,val,test,available}_id.txt`` (line 1:
    identities separated by commas) and ``synthetic.json`` with the arguments. Identities and images count from 1:
    those for training first, then validation, then test. About 15 % of the pairs of identity and camera are absent, but
    each identity has a visible and an infrared camera. The folder appears whole or not at all, and one that already
    holds the same data set is left as it is.

    Args:
        root: Folder to write; it must not exist, be empty, or hold the same data set.
        num_train: Number of identities for training, at least 1.
        num_val: Number of identities for validation, at least 1.
        num_test: Number of identities for test, at least 1.
        images_per_camera: Most images of an identity by a camera, at least 1; some have up to a quarter fewer.
        seed: Seed of the data set, 0 or above.
        height: Height of an image in pixels.
        width: Width of an image in pixels.
        progress: Show a progress bar.

    Returns:
        `root` as a path.

    Raises:
        FileExistsError: If `root` holds something else, or a data set of other arguments.
        ValueError: If an argument lies below its least value.
    """
    counts = {'num_train': num_train, 'num_val': num_val, 'num_test': num_test, 'images_per_camera': images_per_camera}
    check_at_least(1, **counts)
    arguments = {**counts, 'seed': seed, 'height': height, 'width': width}
    record = {'name': 'SyntheticVI', 'format_version': FORMAT_VERSION, 'arguments': arguments}

    def write(folder: Path) -> None:
        train, val, test = accumulate((num_train, num_val, num_test))
        pids = range(1, test + 1)
        for pid in tqdm(pids, desc='SyntheticVI', unit='id', disable=not progress):
            for camid, number in seen_by(seed, pid, images_per_camera).items():
                place = folder / f'cam{camid}' / f'{pid:04d}'
                place.mkdir(parents=True)
                for n in range(1, number + 1):
                    image = draw_person(pid, camid, n, seed=seed, height=height, width=width)
                    image.save(place / f'{n:04d}.jpg', quality=_JPEG_QUALITY)
        lists = {'train': pids[:train], 'val': pids[train:val], 'test': pids[val:], 'available': pids}
        for name, members in lists.items():
            write_text(folder / 'exp' / f'{name}_id.txt', ','.join(map(str, members)) + '\n')

    root = Path(root)
    _write_once(root, record, write)
    return root
