"""SyntheticVI in the folder layouts of SYSU-MM01, RegDB and LLCM.

Every writer leaves ``synthetic.json`` with its arguments; the folder appears whole or not at all, and one that already
holds the same data set is left as it is.
"""
import io
from itertools import accumulate
from pathlib import Path
from typing import Any, Callable, Dict, Sequence, Tuple, TypeVar

import numpy as np

from .chance import ORDER, PRESENCE, SPLIT, generator, one_of
from .folder import Root, identities, write_drawn, write_entries, write_ids
from .image import check_at_least, draw_person
from .places import CAMERAS, INFRARED_CAMERAS, VISIBLE_CAMERAS

__all__ = ['FORMAT_VERSION', 'seen_by', 'write_llcm_layout', 'write_regdb_layout', 'write_sysu_layout']

FORMAT_VERSION = 1
_NAME = 'SyntheticVI'
_ABSENT = 0.15
_ABSENT_IN_LLCM = 0.6  # so that a person has some 40 images at 8 a camera
_JPEG_QUALITY = 92
_TRIALS = 10  # of the official gallery draw, and the most splits of RegDB
# LLCM's numbers, each with the drawn camera that stands behind it; 3 has no near-infrared side
_LLCM_CAMERAS = {
    'vis': {number: VISIBLE_CAMERAS[number % len(VISIBLE_CAMERAS)] for number in range(1, 10)},
    'nir': {number: INFRARED_CAMERAS[number % len(INFRARED_CAMERAS)] for number in range(1, 10) if number != 3},
}

Place = TypeVar('Place', int, Tuple[str, int])
Save = Callable[[Path, int, int, int], None]  # file, pid, camid, index


def _presence(
        seed: int, pid: int, groups: Sequence[Sequence[Place]], images: int, absent: float) -> Dict[Place, int]:
    """How many images each place has of a person, of whom at least one place in every group has some."""
    rng = generator(seed, pid, PRESENCE)
    places = sorted(place for group in groups for place in group)
    present = {place for place in places if rng.random() >= absent}
    for group in groups:
        spare = one_of(rng, group)
        if not present.intersection(group):
            present.add(spare)
    fewer = rng.integers(images // 4 + 1, size=len(places))
    return {place: images - int(less) for place, less in zip(places, fewer) if place in present}


def seen_by(seed: int, pid: int, images_per_camera: int) -> Dict[int, int]:
    """How many images each camera has of a person; as in SYSU-MM01, not everyone passes every camera."""
    return _presence(seed, pid, (VISIBLE_CAMERAS, INFRARED_CAMERAS), images_per_camera, _ABSENT)


def _write(
        root: Root,
        layout: str,
        counts: Dict[str, int],
        look: Dict[str, int],
        fill: Callable[[Path, Save], None],
) -> Path:
    """Have `fill` write a data set into a folder, with a function that draws and saves an image."""
    check_at_least(1, **counts)
    record: Dict[str, Any] = {'name': _NAME, 'format_version': FORMAT_VERSION, 'arguments': {**counts, **look}}
    if layout != 'sysu_mm01':  # which had no other beside it at first
        record['layout'] = layout

    def save(file: Path, pid: int, camid: int, index: int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        draw_person(pid, camid, index, **look).save(file, quality=_JPEG_QUALITY)

    return write_drawn(root, record, lambda folder: fill(folder, save))


def _write_permutations(file: Path, seed: int, numbers: Dict[Tuple[int, int], int], num_ids: int) -> None:
    """SYSU-MM01's rand_perm_cam.mat for the `numbers` of images of each camera and identity."""
    from scipy.io import savemat
    cameras = np.empty((len(CAMERAS), 1), object)
    for camid in CAMERAS:
        cells = np.empty((num_ids, 1), object)
        for pid in range(1, num_ids + 1):
            images = numbers.get((camid, pid), 0)
            rng = generator(seed, pid, camid, ORDER)
            orders = [rng.permutation(images) + 1 for _ in range(_TRIALS)]
            cells[pid - 1, 0] = np.array(orders, np.uint16).reshape(_TRIALS, images)
        cameras[camid - 1, 0] = cells
    buffer = io.BytesIO()
    savemat(buffer, {'rand_perm_cam': cameras})
    # the first 116 bytes are free text, which scipy fills with the time of day
    file.write_bytes(b'MATLAB 5.0 MAT-file'.ljust(116) + buffer.getvalue()[116:])


def write_sysu_layout(
        root: Root,
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
    identities separated by commas) and ``exp/rand_perm_cam.mat`` for the official gallery draw. Identities and images
    count from 1: those for training first, then validation, then test. About 15 % of the pairs of identity and camera
    are absent, but each identity has a visible and an infrared camera.

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
    def fill(folder: Path, save: Save) -> None:
        train, val, test = accumulate((num_train, num_val, num_test))
        pids = range(1, test + 1)
        numbers: Dict[Tuple[int, int], int] = {}
        for pid in identities(pids, _NAME, progress):
            for camid, number in seen_by(seed, pid, images_per_camera).items():
                numbers[camid, pid] = number
                for n in range(1, number + 1):
                    save(folder / f'cam{camid}' / f'{pid:04d}' / f'{n:04d}.jpg', pid, camid, n)
        lists = {'train': pids[:train], 'val': pids[train:val], 'test': pids[val:], 'available': pids}
        for name, members in lists.items():
            write_ids(folder / 'exp' / f'{name}_id.txt', members)
        _write_permutations(folder / 'exp' / 'rand_perm_cam.mat', seed, numbers, len(pids))

    counts = {'num_train': num_train, 'num_val': num_val, 'num_test': num_test, 'images_per_camera': images_per_camera}
    return _write(root, 'sysu_mm01', counts, {'seed': seed, 'height': height, 'width': width}, fill)


def write_regdb_layout(
        root: Root,
        num_train: int = 50,
        num_test: int = 50,
        images_per_modality: int = 10,
        trials: int = 10,
        seed: int = 0,
        height: int = 144,
        width: int = 72,
        progress: bool = False,
) -> Path:
    """Write SyntheticVI in the folder layout of RegDB.

    Written are ``{Visible,Thermal}/{pid}/*.bmp`` and the lists ``idx/{train,test}_{visible,thermal}_{trial}.txt``. One
    visible and one infrared camera see everybody. Each trial splits the same persons anew at random, and labels both
    parts from 0. What is not listed here is as for `write_sysu_layout`.

    Args:
        images_per_modality: Images of an identity in each modality, at least 1.
        trials: Number of splits, 1 to 10.

    Raises:
        ValueError: If `trials` is above 10.
    """
    if trials > _TRIALS:
        raise ValueError(f'trials is {trials}, but RegDB has at most {_TRIALS} splits.')
    modalities = (('visible', 'v', VISIBLE_CAMERAS[-1]), ('thermal', 't', INFRARED_CAMERAS[-1]))

    def name(word: str, letter: str, pid: int, n: int) -> str:
        return f'{word.capitalize()}/{pid}/person_{letter}_{n:05d}_{pid}.bmp'

    def fill(folder: Path, save: Save) -> None:
        pids = np.arange(1, num_train + num_test + 1)
        images = range(1, images_per_modality + 1)
        for pid in identities(pids.tolist(), _NAME, progress):
            for word, letter, camid in modalities:
                for n in images:
                    save(folder / name(word, letter, pid, n), pid, camid, n)
        for trial in range(1, trials + 1):
            order = generator(seed, trial, SPLIT).permutation(pids)
            for part, members in (('train', order[:num_train]), ('test', order[num_train:])):
                for word, letter, _ in modalities:
                    write_entries(folder / 'idx' / f'{part}_{word}_{trial}.txt', [
                        (name(word, letter, pid, n), label)
                        for label, pid in enumerate(sorted(members.tolist())) for n in images])

    counts = {
        'num_train': num_train, 'num_test': num_test, 'images_per_modality': images_per_modality, 'trials': trials}
    return _write(root, 'regdb', counts, {'seed': seed, 'height': height, 'width': width}, fill)


def write_llcm_layout(
        root: Root,
        num_train: int = 60,
        num_test: int = 30,
        images_per_camera: int = 6,
        seed: int = 0,
        height: int = 144,
        width: int = 72,
        progress: bool = False,
) -> Path:
    """Write SyntheticVI in the folder layout of LLCM.

    Written are ``idx/train_{vis,nir}.txt`` and the images they name, ``idx/test_id.txt`` and
    ``test_{vis,nir}/cam{1-9}/{pid:04d}/*.jpg``. Camera numbers 1 to 9 take visible and, but for 3, near-infrared
    images. Behind them stand the six cameras of SyntheticVI. A person passes about 40 % of them, but one of each
    modality at least. Arguments as for `write_sysu_layout`; a camera here is a number and a modality.
    """
    groups = [[(word, number) for number in numbers] for word, numbers in _LLCM_CAMERAS.items()]

    def fill(folder: Path, save: Save) -> None:
        pids = range(1, num_train + num_test + 1)
        entries: Dict[str, list] = {word: [] for word in _LLCM_CAMERAS}
        for pid in identities(pids, _NAME, progress):
            for (word, number), images in _presence(seed, pid, groups, images_per_camera, _ABSENT_IN_LLCM).items():
                place = f'test_{word}/cam{number}/{pid:04d}' if pid > num_train else f'{word}/{pid:04d}'
                for n in range(1, images + 1):
                    name = f'{place}/{pid:04d}_c{number:02d}_s{n:06d}_f{n:04d}_{word}.jpg'
                    # numbers that share a drawn camera take other images of it
                    save(folder / name, pid, _LLCM_CAMERAS[word][number], number * images_per_camera + n)
                    if pid <= num_train:
                        entries[word].append((name, pid - 1))
        for word, numbers in _LLCM_CAMERAS.items():
            for number in numbers:
                (folder / f'test_{word}' / f'cam{number}').mkdir(parents=True, exist_ok=True)
            write_entries(folder / 'idx' / f'train_{word}.txt', entries[word])
        write_ids(folder / 'idx' / 'test_id.txt', pids[num_train:])

    counts = {'num_train': num_train, 'num_test': num_test, 'images_per_camera': images_per_camera}
    return _write(root, 'llcm', counts, {'seed': seed, 'height': height, 'width': width}, fill)
