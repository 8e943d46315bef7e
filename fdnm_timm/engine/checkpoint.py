"""Checkpoints on disk: written whole, and read back with a sentence where that fails."""
import shutil
from pathlib import Path
from typing import Any, Dict, Mapping

import torch

from ..files import replacing

__all__ = ['BEST', 'LAST', 'CheckpointError', 'load_into', 'read_checkpoint', 'require_space', 'write_checkpoint']

LAST, BEST = 'model-last.pth.tar', 'model-best.pth.tar'


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged or of another model; the message names the file."""


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` to `path` whole; where that fails, OSError, and what was there before stays."""
    try:
        with replacing(path) as temporary:
            torch.save(dict(state), temporary)
    except (OSError, RuntimeError) as error:  # of a full disk, torch makes a RuntimeError
        raise OSError(
            f'Cannot write the checkpoint "{path}": {error}. The file that was there before, if any, is untouched. '
            f'Make room (or see to the permissions) and resume the run.') from error


def read_checkpoint(path: Path) -> Dict[str, Any]:
    """The dictionary that `write_checkpoint` or torchreid wrote; no code of the file is run.

    Raises:
        CheckpointError: The file is missing, damaged or not such a dictionary.
    """
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f'There is no checkpoint "{path}".') from None
    except Exception as error:  # torch, pickle and zipfile raise many kinds for a damaged file
        raise CheckpointError(
            f'The checkpoint "{path}" cannot be read: {str(error).splitlines()[0]} It is damaged, or no checkpoint; '
            f'remove it to begin again, or take another.') from error
    if not isinstance(state, dict) or 'state_dict' not in state:
        raise CheckpointError(
            f'"{path}" holds {type(state).__name__}, but a dictionary with "state_dict", as torchreid and '
            f'`fdnm train` write it, is expected.')
    return state


def load_into(path: Path, state: Mapping[str, Any], **parts: Any) -> None:
    """Give each part (model=, optimizer=, scheduler=, scaler=; None is passed over) its state.

    Raises:
        CheckpointError: A part's state is missing or does not fit.
    """
    for name, part in parts.items():
        if part is None:
            continue
        key = 'state_dict' if name == 'model' else name
        if key not in state:
            raise CheckpointError(f'The checkpoint "{path}" holds no "{key}": it cannot be continued from.')
        try:
            part.load_state_dict(state[key])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f'The checkpoint "{path}" does not fit the {name}: {error}. Continue with the configuration that it '
                f'was made with.') from error


def require_space(folder: Path, needed: int) -> None:
    """Raise OSError where `needed` bytes do not fit on the disk of `folder`, before hours are spent."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise OSError(
            f'"{folder}" has {free / 2 ** 20:.0f} MiB free, but this run\'s checkpoints and model need about '
            f'{needed / 2 ** 20:.0f} MiB. Make room, or give a folder on another disk.')
