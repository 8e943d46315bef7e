"""Which images are meant: a folder, a glob, a list file, or one image."""
import glob
import os
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from ..data.base import IMAGE_SUFFIXES
from ._names import NUMBERS

__all__ = ['Listed', 'list_entries', 'list_images']


class Listed(NamedTuple):
    """An image, and the modality that a list file gives it."""
    path: str
    modality: Optional[int] = None  # 0 visible, 1 infrared, -1 unknown, None where nothing is said


def list_images(source: str) -> List[str]:
    """Paths of the images that `source` stands for, each once.

    Args:
        source: A folder, of which all images count, also those in its subfolders, sorted by path; a glob such as
            'data/**/*.jpg', whose images are sorted too; an image; or any other file, which is read as a list with a
            path in each line, relative to the list's own folder, and keeps its order. Hidden files do not count.

    Returns:
        The paths; those of a list may be missing.

    Raises:
        FileNotFoundError: There is no such file or folder, or no image in it.
        ValueError: A list file is no text, says two things of an image, or names no modality; or a path is no Unicode.
    """
    return [entry.path for entry in list_entries(source)]


def list_entries(source: str) -> List[Listed]:
    """As `list_images`, with the modalities of a list file whose lines go on with a tab and 'visible', 'infrared' or
    'unknown'."""
    if os.path.isdir(source):
        paths, looked_for = sorted(_in_folder(source)), f'{_suffixes()} in the folder "{source}" and its subfolders'
    elif os.path.isfile(source) and not _is_image(source):
        entries = _read_list(source)
        if not entries:
            raise FileNotFoundError(f'The list "{source}" is empty: give it a path in each line.')
        return entries
    elif os.path.isfile(source):
        return [Listed(_checked(source))]
    elif glob.has_magic(source):
        found = glob.iglob(source, recursive=True)
        paths = sorted({path for path in found if _is_image(path) and os.path.isfile(path)})
        looked_for = f'{_suffixes()} that match "{source}"'
    else:
        raise FileNotFoundError(
            f'There is no "{source}": give a folder, a glob in quotes, a list file or an image.')
    if not paths:
        raise FileNotFoundError(f'No images were found: looked for {looked_for}.')
    return [Listed(_checked(path)) for path in paths]


def _suffixes() -> str:
    return 'files that end in ' + ', '.join(IMAGE_SUFFIXES)


def _is_image(path: str) -> bool:
    name = os.path.basename(path)
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith('.')


def _in_folder(folder: str) -> Iterator[str]:
    seen: Set[Tuple[int, int]] = set()  # links may lead round in a circle
    for root, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith('.'))  # the same walk every time
        for name in names:
            if _is_image(name):
                yield os.path.join(root, name)


def _checked(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(f'The path {path!r} is no Unicode, so results could not name it: rename it.') from None
    return path


def _read_list(file: str) -> List[Listed]:
    try:
        lines = Path(file).read_text(encoding='utf-8-sig').split('\n')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'"{file}" is neither an image ({", ".join(IMAGE_SUFFIXES)}) nor a list of paths in UTF-8: '
            f'{error}.') from None
    folder = os.path.dirname(file)
    entries: Dict[str, Listed] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        entry = _read_line(line, folder, f'"{file}", line {number}')
        known = entries.setdefault(entry.path, entry)
        if known != entry:
            raise ValueError(f'"{file}", line {number}: "{entry.path}" has another modality in a line before.')
    return list(entries.values())


def _read_line(line: str, folder: str, where: str) -> Listed:
    name, tab, word = line.partition('\t')
    if '\0' in line:
        raise ValueError(f'{where} holds a zero byte, which no path has: is the file a list?')
    path = _checked(os.path.join(folder, name.strip()))
    if not tab:
        return Listed(path)
    if word.strip() not in NUMBERS:
        raise ValueError(
            f'{where}: after the tab stands {word.strip()!r}, but one of {", ".join(map(repr, NUMBERS))} is expected.')
    return Listed(path, NUMBERS[word.strip()])
