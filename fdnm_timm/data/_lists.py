"""Reading the lists and folders that benchmarks come with; a mistake is reported with its file, line and reason.

`owner` is the data set's class name, with which each message begins.
"""
import os
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from .base import IMAGE_SUFFIXES, DatasetError

__all__ = [
    'Entry', 'EntryList', 'check_same_pids', 'list_identities', 'load_mat', 'locate', 'person_of', 'read_entries',
    'read_ids', 'read_mat_ids',
]


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


def read_entries(owner: str, file: Path) -> List[Entry]:
    """Lines 'path identity'; backslashes and blank lines are tolerated."""
    entries = []
    pids: Dict[str, Tuple[int, int]] = {}
    for number, text in enumerate(_read_lines(owner, file), 1):
        fields = text.rsplit(None, 1)
        if not fields:
            continue
        if len(fields) == 1:
            raise DatasetError(
                f'{owner}: "{file}", line {number} holds {text.strip()!r}, but a path and an identity are expected, '
                f'separated by a blank.')
        name, label = fields[0].strip().replace('\\', '/'), fields[1]
        if not _is_pid(label):
            raise DatasetError(
                f'{owner}: "{file}", line {number}: the identity of "{name}" is {label!r}, but must be an integer.')
        name = name[2:] if name.startswith('./') else name.lstrip('/')
        entry = Entry(number, name, int(label))
        line, pid = pids.setdefault(name, (number, entry.pid))
        if pid != entry.pid:
            raise DatasetError(
                f'{owner}: "{file}", line {number} gives "{name}" the identity {entry.pid}, but line {line} gave it '
                f'{pid}.')
        entries.append(entry)
    if not entries:
        raise DatasetError(f'{owner}: the list "{file}" is empty: lines "path identity" are expected.')
    return entries


def person_of(name: str) -> Optional[int]:
    """Number of the person in whose folder a listed image lies, None where the folder's name is no number."""
    folder = name.rpartition('/')[0].rpartition('/')[2]
    return int(folder) if _is_pid(folder) else None


def locate(owner: str, root: Path, file: Path, entries: Sequence[Entry]) -> List[str]:
    """The full path of every entry, after a look that all are there."""
    present: Dict[str, Set[str]] = {}
    paths, missing = [], []
    prefix = f'{root}{os.sep}'
    for entry in entries:
        path = prefix + entry.name.replace('/', os.sep)
        folder, _, name = path.rpartition(os.sep)
        if folder not in present:  # one pass over a folder is cheaper than a look at each of its files
            try:
                present[folder] = set(os.listdir(folder))
            except OSError:
                present[folder] = set()
        if name not in present[folder]:
            missing.append(entry)
        paths.append(path)
    if missing:
        shown = ', '.join(f'"{entry.name}" (line {entry.line})' for entry in missing[:3])
        raise DatasetError(
            f'{owner}: {len(missing)} of the {len(entries)} images that "{file}" names are not under "{root}": '
            f'{shown}{", ..." if len(missing) > 3 else ""}. Complete the images or correct the list.')
    return paths


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
