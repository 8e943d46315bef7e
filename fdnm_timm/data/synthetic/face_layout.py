"""SyntheticFaces in the folder layouts of Oulu-CASIA NIR-VIS, BUAA-VisNir and CASIA NIR-VIS 2.0.

Persons and images count from 1. The lists ``protocols/{vis_train,nir_train,vis_gallery,nir_probe}.txt`` have lines
'path pid'; persons to train on and persons to test on are different ones. Every writer leaves ``synthetic.json`` with
its arguments; the folder appears whole or not at all, and one that already holds the same data set is left as it is.
"""
from pathlib import Path
from typing import Callable, Dict, Sequence, Tuple

import numpy as np

from ..base import INFRARED, VISIBLE
from .chance import SPLIT, generator
from .faces import draw_face, expression_of
from .folder import Root, identities, write_drawn, write_entries
from .image import check_at_least

__all__ = ['FACES_FORMAT_VERSION', 'write_buaa_layout', 'write_casia_layout', 'write_oulu_layout']

FACES_FORMAT_VERSION = 1
_NAME = 'SyntheticFaces'
_JPEG_QUALITY = 92
_MODALITIES = (('vis', VISIBLE), ('nir', INFRARED))
_SESSIONS = 4  # of CASIA NIR-VIS 2.0
_FOLDS = 10  # of the same

Split = Tuple[str, Sequence[int], Sequence[int]]  # end of the lists' names, persons to train on, persons to test on


def _write(
        root: Root,
        layout: str,
        counts: Dict[str, int],
        look: Dict[str, int],
        name: Callable[[int, int, int], str],
        splits: Sequence[Split],
        gallery: int,
        progress: bool,
) -> Path:
    """Write the images that `name` (modality, pid, n) names, and the lists of the `splits`.

    The gallery has the first `gallery` visible images of a person.
    """
    check_at_least(1, **counts)
    images = range(1, counts['images_per_modality'] + 1)
    pids = range(1, counts['num_train'] + counts['num_test'] + 1)

    def write_list(file: Path, modality: int, members: Sequence[int], numbers: Sequence[int]) -> None:
        write_entries(file, [(name(modality, pid, n), pid) for pid in members for n in numbers])

    def fill(folder: Path) -> None:
        for pid in identities(pids, _NAME, progress):
            for _, modality in _MODALITIES:
                for n in images:
                    file = folder / name(modality, pid, n)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    draw_face(pid, modality, n, **look).save(file, quality=_JPEG_QUALITY)
        for suffix, train, test in splits:
            for word, modality in _MODALITIES:
                write_list(folder / 'protocols' / f'{word}_train{suffix}.txt', modality, train, images)
            write_list(folder / 'protocols' / f'vis_gallery{suffix}.txt', VISIBLE, test, images[:gallery])
            write_list(folder / 'protocols' / f'nir_probe{suffix}.txt', INFRARED, test, images)

    record = {
        'name': _NAME, 'format_version': FACES_FORMAT_VERSION, 'layout': layout, 'arguments': {**counts, **look}}
    return write_drawn(root, record, fill)


def _one_split(num_train: int, num_test: int) -> Sequence[Split]:
    pids = range(1, num_train + num_test + 1)
    return [('', pids[:num_train], pids[num_train:])]


def write_oulu_layout(
        root: Root,
        num_train: int = 100,
        num_test: int = 50,
        images_per_modality: int = 12,
        seed: int = 0,
        size: int = 144,
        progress: bool = False,
) -> Path:
    """Write SyntheticFaces in the folder layout of Oulu-CASIA NIR-VIS.

    Written are ``{VL,NI}/Strong/P{pid:03d}/{expression}/{n:03d}.jpeg`` and the lists. The first persons are trained on.
    The gallery has all visible images of the others.

    Args:
        root: Folder to write; it must not exist, be empty, or hold the same data set.
        num_train: Number of identities for training, at least 1.
        num_test: Number of identities for test, at least 1.
        images_per_modality: Images of an identity in each modality, at least 1.
        seed: Seed of the data set, 0 or above.
        size: Width and height of an image in pixels.
        progress: Show a progress bar.

    Returns:
        `root` as a path.

    Raises:
        FileExistsError: If `root` holds something else, or a data set of other arguments.
        ValueError: If an argument lies below its least value.
    """
    def name(modality: int, pid: int, n: int) -> str:
        return f'{("VL", "NI")[modality]}/Strong/P{pid:03d}/{expression_of(n)}/{n:03d}.jpeg'

    counts = {'num_train': num_train, 'num_test': num_test, 'images_per_modality': images_per_modality}
    return _write(root, 'oulu_casia', counts, {'seed': seed, 'size': size}, name, _one_split(num_train, num_test),
                  images_per_modality, progress)


def write_buaa_layout(
        root: Root,
        num_train: int = 50,
        num_test: int = 100,
        images_per_modality: int = 9,
        seed: int = 0,
        size: int = 144,
        progress: bool = False,
) -> Path:
    """Write SyntheticFaces in the folder layout of BUAA-VisNir.

    Written are ``{pid}/{n}.bmp``, visible where n is odd and near infrared where it is even, and the lists. The first
    persons are trained on. The gallery has one visible image of each of the others. Arguments as for
    `write_oulu_layout`.
    """
    def name(modality: int, pid: int, n: int) -> str:
        return f'{pid}/{2 * n - 1 + modality}.bmp'

    counts = {'num_train': num_train, 'num_test': num_test, 'images_per_modality': images_per_modality}
    return _write(root, 'buaa_visnir', counts, {'seed': seed, 'size': size}, name, _one_split(num_train, num_test), 1,
                  progress)


def write_casia_layout(
        root: Root,
        num_train: int = 60,
        num_test: int = 60,
        images_per_modality: int = 8,
        folds: int = 10,
        seed: int = 0,
        size: int = 144,
        progress: bool = False,
) -> Path:
    """Write SyntheticFaces in the folder layout of CASIA NIR-VIS 2.0.

    Written are ``s{session}/VIS/{pid:05d}/{n:03d}.jpg``, ``s{session}/NIR/{pid:05d}/{n:03d}.bmp`` and the lists of each
    fold, ``protocols/{vis_train,nir_train,vis_gallery,nir_probe}_{fold}.txt``. Each fold splits the same persons anew
    at random. The gallery has one visible image of each person to test on. What is not listed here is as for
    `write_oulu_layout`.

    Args:
        folds: Number of folds, 1 to 10.

    Raises:
        ValueError: If `folds` is above 10.
    """
    if folds > _FOLDS:
        raise ValueError(f'folds is {folds}, but CASIA NIR-VIS 2.0 has at most {_FOLDS} folds.')

    def name(modality: int, pid: int, n: int) -> str:
        session = 1 + (n - 1) * _SESSIONS // images_per_modality
        return f's{session}/{("VIS", "NIR")[modality]}/{pid:05d}/{n:03d}.{("jpg", "bmp")[modality]}'

    counts = {
        'num_train': num_train, 'num_test': num_test, 'images_per_modality': images_per_modality, 'folds': folds}
    splits = []
    for fold in range(1, folds + 1):
        order = generator(seed, fold, SPLIT).permutation(np.arange(1, num_train + num_test + 1)).tolist()
        splits.append((f'_{fold}', sorted(order[:num_train]), sorted(order[num_train:])))
    return _write(root, 'casia_nirvis2', counts, {'seed': seed, 'size': size}, name, splits, 1, progress)
