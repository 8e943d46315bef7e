"""Reading the lists and folders that benchmarks come with; a mistake is reported with its file, line and reason.

`owner` is the data set's class name, with which each message begins.
"""
import os
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from .base import IMAGE_SUFFIXES, DatasetError

__all__ = [
    'Entry', 'EntryList', 'check_same_pids', 'list_identities', 'load_mat', 'locate', 'person_of', 'read_entries',
    'read_ids', 'read_images', 'read_mat_ids',
]

_SUFFIXES = '|'.join(map(re.escape, IMAGE_SUFFIXES))
_IMAGE = re.compile(rf'(.+?(?:{_SUFFIXES}))(?:[\s,]+([^\s,]*).*)?', re.IGNORECASE)  # the path may hold blanks


class Entry(NamedTuple):
    """A line of an image list."""
    line: int
    name: str  # relative to the data set's folder, with forward slashes
    pid: int


EntryList = Tuple[Path, List[Entry]]  # an image list and its file


def _read_lines(owner: str, file: Path) -> List[str]:
    try:
        return file.read_text(encoding='utf-8-sig').splitlines()
    except FileNotFoundError:
        raise DatasetError(f'{owner}: the list "{file}" is missing.') from None
    except UnicodeDecodeError as error:
        raise DatasetError(f'{owner}: "{file}" is not text: {error}.') from error
    except OSError as error:
        raise DatasetError(f'{owner}: "{file}" cannot be read: {error}.') from error


def _is_pid(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def read_ids(owner: str, file: Path) -> Set[int]:
    """Identities of line 1, separated by commas."""
    lines = _read_lines(owner, file)
    entries = [entry.strip() for entry in lines[0].split(',')] if lines else []
    entries = [entry for entry in entries if entry]
    for entry in entries:
        if not _is_pid(entry):
            raise DatasetError(
                f'{owner}: "{file}", line 1 holds {entry!r}, but identities are integers separated by commas.')
    if not entries:
        raise DatasetError(f'{owner}: "{file}" holds no identity.')
    return {int(entry) for entry in entries}


def _relative(path: str) -> str:
    name = path.strip().replace('\\', '/')
    return name[2:] if name.startswith('./') else name.lstrip('/')


def _gather(owner: str, file: Path, form: str, parse: Callable[[str], Tuple[str, int]]) -> List[Entry]:
    """The lines' entries; `parse` gives a line's path and identity, or raises ValueError with what is wrong."""
    entries = []
    pids: Dict[str, Tuple[int, int]] = {}
    for number, text in enumerate(_read_lines(owner, file), 1):
        if not text.strip():
            continue
        try:
            path, pid = parse(text.strip())
        except ValueError as error:
            raise DatasetError(f'{owner}: "{file}", line {number}{error}') from None
        entry = Entry(number, _relative(path), pid)
        line, first = pids.setdefault(entry.name, (number, pid))
        if first != pid:
            raise DatasetError(
                f'{owner}: "{file}", line {number} gives "{entry.name}" the identity {pid}, but line {line} gave it '
                f'{first}.')
        entries.append(entry)
    if not entries:
        raise DatasetError(f'{owner}: the list "{file}" is empty: lines "{form}" are expected.')
    return entries


def _no_identity(path: str, label: str) -> ValueError:
    return ValueError(f': the identity of "{_relative(path)}" is {label!r}, but must be an integer.')


def read_entries(owner: str, file: Path) -> List[Entry]:
    """Lines 'path identity'; backslashes and blank lines are tolerated."""

    def parse(text: str) -> Tuple[str, int]:
        path, *label = text.rsplit(None, 1)
        if not label:
            raise ValueError(f' holds {text!r}, but a path and an identity are expected, separated by a blank.')
        if not _is_pid(label[0]):
            raise _no_identity(path, label[0])
        return path, int(label[0])

    return _gather(owner, file, 'path identity', parse)


def read_images(owner: str, file: Path, person: Callable[[str], Optional[int]]) -> List[Entry]:
    """Lines 'path', 'path identity' or 'path,identity'; further columns are not looked at.

    Args:
        owner: Name of the data set's class.
        file: The list. What `read_entries` tolerates is tolerated.
        person: The person whom a path, or an identity that is no integer, tells; None where it tells none.

    Returns:
        The entries. A line without an identity has the person's number.

    Raises:
        DatasetError: The list is missing or empty, or a line holds no image's path, an identity that is no integer, or
            none though its path does not tell the person.
    """

    def parse(text: str) -> Tuple[str, int]:
        match = _IMAGE.fullmatch(text)
        if not match:
            raise ValueError(
                f' holds {text!r}, but the path of an image ({", ".join(IMAGE_SUFFIXES)}) is expected, and behind it, '
                f'separated by a blank or a comma, its identity.')
        path, label = match[1], match[2] or ''
        if _is_pid(label):
            return path, int(label)
        pid = person(label or _relative(path))
        if pid is not None:
            return path, pid
        if label:
            raise _no_identity(path, label)
        raise ValueError(
            f' holds "{path}", which does not tell whom it shows. Write the identity, an integer, behind it.')

    return _gather(owner, file, 'path identity', parse)


def person_of(name: str) -> Optional[int]:
    """Number of the person in whose folder a listed image lies, None where the folder's name is no number."""
    folder = name.rpartition('/')[0].rpartition('/')[2]
    return int(folder) if _is_pid(folder) else None


def locate(
        owner: str,
        root: Path,
        file: Path,
        entries: Sequence[Entry],
        any_suffix: bool = False,
) -> List[str]:
    """The full path of every entry, after a look that all are there.

    With `any_suffix`, an image that is there under another image's suffix, or in other letters of it, is taken.
    """
    listings: Dict[str, Dict[str, List[str]]] = {}  # the names of each stem, of each folder
    paths, missing = [], []
    prefix = f'{root}{os.sep}'
    for entry in entries:
        folder, _, name = f'{prefix}{entry.name.replace("/", os.sep)}'.rpartition(os.sep)
        if folder not in listings:  # one pass over a folder is cheaper than a look at each of its files
            listings[folder] = _list_stems(folder)
        there = listings[folder].get(os.path.splitext(name)[0], [])
        if name not in there and any_suffix:
            alike = sorted(other for other in there if other.lower().endswith(IMAGE_SUFFIXES))
            if len(alike) > 1:
                raise DatasetError(
                    f'{owner}: "{file}", line {entry.line} names "{entry.name}", which is not under "{root}", but its '
                    f'folder has {" and ".join(alike)}. Name the right one, or remove the others.')
            name, = alike or [name]
        if name not in there:
            missing.append(entry)
        paths.append(f'{folder}{os.sep}{name}')
    if missing:
        shown = ', '.join(f'"{entry.name}" (line {entry.line})' for entry in missing[:3])
        raise DatasetError(
            f'{owner}: {len(missing)} of the {len(entries)} images that "{file}" names are not under "{root}": '
            f'{shown}{", ..." if len(missing) > 3 else ""}. Complete the images or correct the list.')
    return paths


def _list_stems(folder: str) -> Dict[str, List[str]]:
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    stems: Dict[str, List[str]] = {}
    for name in names:
        stems.setdefault(os.path.splitext(name)[0], []).append(name)
    return stems


def check_same_pids(owner: str, visible: EntryList, infrared: EntryList) -> None:
    """Raise DatasetError where the list of one modality has an identity that the other modality's list lacks."""
    for (file, entries), (other, others) in ((visible, infrared), (infrared, visible)):
        alone = {entry.pid for entry in entries} - {entry.pid for entry in others}
        if alone:
            raise DatasetError(
                f'{owner}: identities {sorted(alone)[:10]} of "{file}" have no image in "{other}". Both modalities '
                f'are needed: complete or remove them.')


def list_identities(owner: str, folder: Path) -> Dict[int, List[str]]:
    """Sorted image names of each identity's folder '{pid:04d}'."""
    names: Dict[int, List[str]] = {}
    for entry in os.scandir(folder):
        if entry.name.startswith('.') or not entry.is_dir():
            continue
        found = sorted(name for name in os.listdir(entry.path) if name.lower().endswith(IMAGE_SUFFIXES))
        if not found:
            continue
        if not _is_pid(entry.name) or len(entry.name) != 4:
            raise DatasetError(
                f'{owner}: the folder "{entry.path}" holds images, but {entry.name!r} is no identity of four digits. '
                f'Rename or remove it.')
        names[int(entry.name)] = found
    return names


def load_mat(owner: str, file: Path, variable: str) -> Any:
    """A variable of a MATLAB file."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise DatasetError(
            f'{owner}: reading "{file}" needs scipy: pip install "fdnm_timm[train]".') from error
    try:
        return loadmat(str(file))[variable]
    except KeyError:
        raise DatasetError(f'{owner}: "{file}" has no variable "{variable}".') from None
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise DatasetError(f'{owner}: "{file}" cannot be read as a MATLAB file: {error}.') from error


def read_mat_ids(owner: str, file: Path) -> Set[int]:
    """Identities of a MATLAB file's variable 'id'."""
    values = load_mat(owner, file, 'id').reshape(-1).tolist()
    for value in values:
        if value != int(value):
            raise DatasetError(f'{owner}: "{file}" holds {value}, but identities are integers.')
    if not values:
        raise DatasetError(f'{owner}: "{file}" holds no identity.')
    return {int(value) for value in values}
