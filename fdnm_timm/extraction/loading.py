"""Images decoded and prepared in batches by worker processes; what cannot be read comes with its reason."""
import os
import signal
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch

from ..data import read_image

__all__ = ['Batch', 'default_workers', 'load_batches']


def default_workers() -> int:
    """Loader processes where nobody says how many: the CPU cores that this process may use, at most 4."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return min(4, cores)


class Batch(NamedTuple):
    """What became of the images of a batch."""
    rows: List[int]  # numbers of those that could be read
    images: Optional[torch.Tensor]  # (len(rows), C, H, W), None where there are none
    errors: Dict[int, str]  # the others' reasons


class _Items(torch.utils.data.Dataset):
    """Prepared images by their number, or the reason why there is none."""

    def __init__(self, paths: Sequence[str], transform: Callable[[Any], torch.Tensor]) -> None:
        self.paths = paths
        self.transform = transform

    def __getitem__(self, row: int) -> Tuple[int, Union[torch.Tensor, str]]:
        try:
            return row, self.transform(read_image(self.paths[row]))
        except Exception as error:  # a decoder may raise anything, and one bad image is no reason to stop
            return row, str(error.__cause__ or error) or type(error).__name__


def _collate(items: Sequence[Tuple[int, Union[torch.Tensor, str]]]) -> Batch:
    images = {row: item for row, item in items if isinstance(item, torch.Tensor)}
    errors = {row: item for row, item in items if isinstance(item, str)}
    return Batch(list(images), torch.stack(list(images.values())) if images else None, errors)


def _leave_interrupts(worker: int) -> None:
    """Ctrl-C reaches all processes; the main one answers, and ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def load_batches(
        paths: Sequence[str],
        transform: Callable[[Any], torch.Tensor],
        batches: Sequence[List[int]],
        workers: int = 4,
        pin_memory: bool = False,
) -> Iterator[Batch]:
    """The batches in order.

    Args:
        paths: Of the images.
        transform: PIL RGB image -> tensor (C, H, W), of one size for all.
        batches: Numbers of the images of each batch.
        workers: Processes that decode, 0 for none but this.
        pin_memory: Whether the batches go to a GPU.
    """
    return iter(torch.utils.data.DataLoader(
        _Items(paths, transform), batch_sampler=batches, num_workers=workers, collate_fn=_collate,
        pin_memory=pin_memory, worker_init_fn=_leave_interrupts if workers else None))
