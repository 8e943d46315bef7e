"""Arrays by name in one compressed file."""
import os
from typing import Any, Callable, Dict, Mapping, TypeVar, Union

import numpy as np

from ..files import replacing

__all__ = ['read_arrays', 'write_arrays']

T = TypeVar('T')


def write_arrays(path: Union[str, os.PathLike], arrays: Mapping[str, Any]) -> None:
    with replacing(path) as temporary, open(temporary, 'wb') as file:
        np.savez_compressed(file, **arrays)


def read_arrays(path: Union[str, os.PathLike], parse: Callable[[Dict[str, np.ndarray]], T], what: str) -> T:
    """What `parse` makes of the arrays.

    Args:
        path: An .npz file.
        parse: Raises whatever it likes where they are not what it expects.
        what: What the file should hold, and the option of `fdnm evaluate` that writes it.

    Raises:
        OSError: The file is missing.
        ValueError: It is damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return parse({key: file[key] for key in file.files})
    except OSError:
        raise
    except Exception as error:  # NumPy's, zipfile's and zlib's, as the damage has it
        raise ValueError(
            f'"{path}" is damaged, or holds no {what}: {error}. Make it again with '
            f'`fdnm evaluate RUN --{what} {path}`.') from error
