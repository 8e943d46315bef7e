"""Measure in a fresh process, whose memory nothing else has touched."""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Callable, TypeVar

import torch

__all__ = ['in_child', 'peak_memory', 'resident_memory', 'resident_memory_is_known']

T = TypeVar('T')

_STATUS = Path('/proc/self/status')


def in_child(job: Callable[..., T], *args: Any) -> T:
    """What `job(*args)` returns in a new process with as many torch threads; job and arguments can be pickled."""
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, context, torch.set_num_threads, (torch.get_num_threads(),)) as pool:
        return pool.submit(job, *args).result()


def resident_memory_is_known() -> bool:
    """Whether this system tells a process's resident memory (Linux does)."""
    return _STATUS.exists()


def _status(key: str) -> int:
    """Bytes. `resource.getrusage` will not do: a child's peak begins with its parent's there."""
    for line in _STATUS.read_text(encoding='utf-8').splitlines():
        if line.startswith(f'{key}:'):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f'"{_STATUS}" has no {key}.')


def resident_memory() -> int:
    """Resident bytes of this process."""
    return _status('VmRSS')


def peak_memory() -> int:
    """The most resident bytes that this process has had."""
    return _status('VmHWM')
