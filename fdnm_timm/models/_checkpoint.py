"""What every checkpoint filter needs: unwrap a file's state dict, and insist that it is whole."""
from typing import Any, Dict, Iterable, Sequence

import torch

__all__ = ['check_keys', 'strip_wrappers']


def strip_wrappers(state_dict: Dict[str, Any]) -> Dict[str, torch.Tensor]:
    """Take the tensors out of {'state_dict': ...} or {'model': ...}, and DataParallel's `module.` off the keys."""
    for name in ('state_dict', 'model'):
        if isinstance(state_dict.get(name), dict):
            state_dict = state_dict[name]
    return {key.removeprefix('module.'): value for key, value in state_dict.items()}


def _shorten(keys: Sequence[str], most: int = 8) -> str:
    return ', '.join(keys[:most]) + (f' and {len(keys) - most} more' if len(keys) > most else '')


def check_keys(
        found: Iterable[str],
        expected: Iterable[str],
        optional: Sequence[str],
        kind: str,
        hint: str = '',
) -> None:
    """Raise unless `found` has every expected key and no other.

    Args:
        found: Keys of the checkpoint.
        expected: Keys of the model.
        optional: Beginnings of keys that may be on either side alone.
        kind: What the checkpoint is, for the message.
        hint: A sentence for the end of the message, with a space before it.

    Raises:
        RuntimeError: Lists the keys that are missing or not known.
    """
    def _required(keys: Iterable[str]) -> set:
        # counters that old checkpoints lack and no computation reads
        return {k for k in keys if not k.startswith(tuple(optional)) and not k.endswith('num_batches_tracked')}

    found, expected = _required(found), _required(expected)
    problems = []
    if expected - found:
        missing = sorted(expected - found)
        problems.append(f'{len(missing)} of {len(expected)} keys are missing: {_shorten(missing)}')
    if found - expected:
        unknown = sorted(found - expected)
        problems.append(f'{len(unknown)} keys are not known to the model: {_shorten(unknown)}')
    if problems:
        raise RuntimeError(
            f'The {kind} does not fit the model: {"; ".join(problems)}. Either the file is truncated, or it belongs to '
            f'another model or to other constructor arguments.{hint}')
