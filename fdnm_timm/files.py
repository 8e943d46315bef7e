"""Files are written whole: under a temporary name beside the target, then renamed over it."""
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Union

__all__ = ['replacing', 'write_json', 'write_text']


@contextmanager
def replacing(path: Union[str, os.PathLike]) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the place of `path` at the end, or vanishes where the block fails."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, 'rb+') as file:
            os.fsync(file.fileno())  # the name must not reach the disk before the bytes
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's files are private, a plain open's are not
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Union[str, os.PathLike], text: str) -> None:
    """Write `text` to `path`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def write_json(path: Union[str, os.PathLike], value: Any) -> None:
    """Write `value` as indented JSON to `path`."""
    write_text(path, json.dumps(value, indent=2) + '\n')
