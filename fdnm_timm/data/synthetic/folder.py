"""A drawn data set on disk: its folder appears whole or not at all, and a note in it says how it was drawn."""
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Tuple, Union

from tqdm import tqdm

from ...files import write_json, write_text

__all__ = ['Root', 'identities', 'write_drawn', 'write_entries', 'write_ids']

Root = Union[str, 'os.PathLike[str]']

_RECORD = 'synthetic.json'


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


def write_drawn(root: Root, record: Dict[str, Any], fill: Callable[[Path], None]) -> Path:
    """Write a data set once.

    Args:
        root: Folder to write; it must not exist, be empty, or hold the same data set, which is then left as it is.
        record: What tells this data set from others: its name and the arguments that it is drawn with.
        fill: Writes the data set into the folder given to it.

    Returns:
        `root` as a path.

    Raises:
        FileExistsError: If `root` holds something else, or a data set of another record.
    """
    root = Path(root)
    if _already_written(root, record):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f'.{root.name}.', ignore_cleanup_errors=True) as temporary:
        whole = Path(temporary) / 'whole'
        whole.mkdir()
        fill(whole)
        write_json(whole / _RECORD, record)
        try:
            os.replace(whole, root)
        except OSError:
            # Another process may have finished the same data set meanwhile.
            if not _already_written(root, record):
                raise
    return root


def identities(pids: Iterable[int], name: str, progress: bool) -> Iterable[int]:
    """The `pids`, with a progress bar where it is wanted."""
    return tqdm(pids, desc=name, unit='id', disable=not progress)


def write_ids(file: Path, pids: Iterable[int]) -> None:
    """Identities, separated by commas."""
    write_text(file, ','.join(map(str, pids)) + '\n')


def write_entries(file: Path, entries: Iterable[Tuple[str, int]]) -> None:
    """Lines 'path identity'."""
    write_text(file, ''.join(f'{name} {label}\n' for name, label in entries))
