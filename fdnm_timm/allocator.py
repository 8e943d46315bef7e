"""Keep the memory of freed tensors, on a CPU with glibc."""
import ctypes
import os
import sys

__all__ = ['keep_freed_memory']

# of <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

_CHOICES = ('GLIBC_TUNABLES', 'MALLOC_MMAP_MAX_', 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_')


def keep_freed_memory() -> bool:
    """Have this process keep the memory that it frees, for what it allocates next.

    glibc gives the memory of every large tensor back to the system at once, which hands the next one out page by page,
    zeroed: in a training step on a CPU that is up to a sixth of the time. PyTorch keeps a GPU's memory by itself. A
    process that has allocated much does not shrink again until it ends.

    Returns:
        Whether it does so now: not without glibc, nor where the environment has chosen otherwise (GLIBC_TUNABLES,
        MALLOC_MMAP_MAX_, MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_).
    """
    if not sys.platform.startswith('linux') or any(name in os.environ for name in _CHOICES):
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
