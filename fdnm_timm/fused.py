"""Pointwise functions that run compiled where that pays, and eagerly everywhere else.

A chain of pointwise operations in eager PyTorch reads and writes the whole tensor once an operation; compiled it does
so once. Compiling takes seconds to a minute, once a machine (inductor keeps the result on disk), so by default ('auto')
only large tensors on GPUs are worth it, and only where a compiler is there. The environment variable FDNM_COMPILE sets
another mode: 'always', whatever the size, or 'never'. Results differ between the modes by rounding only.

On the CPU, compiled or not, large tensors are worked off in blocks of rows: what lies between the first operation and
the last then stays in the cache, and no large intermediate result is ever allocated.
"""
import contextlib
import functools
import importlib.util
import os
import shutil
import sys
import warnings
from typing import Any, Callable, Iterator, Optional, Tuple, TypeVar

import torch

__all__ = ['MODES', 'compiler_available', 'compile_mode', 'fused', 'in_blocks', 'opaque']

MODES = ('auto', 'always', 'never')

# where a pass over the tensor is dear enough: 2^23 numbers are 32 MiB in float32, more than a core's caches hold
_LARGE = 1 << 23

_BLOCK = 1 << 17  # numbers a block: half a MiB in float32

Tensors = Tuple[torch.Tensor, ...]
T = TypeVar('T')


def _checked(mode: str, name: str) -> str:
    if mode not in MODES:
        raise ValueError(f'{name} is {mode!r}, but must be one of {", ".join(map(repr, MODES))}.')
    return mode


_mode = _checked(os.environ.get('FDNM_COMPILE') or 'auto', 'The environment variable FDNM_COMPILE')


@contextlib.contextmanager
def compile_mode(mode: str) -> Iterator[None]:
    """Run with another mode than FDNM_COMPILE's.

    Args:
        mode: 'auto', 'always' or 'never'.

    Raises:
        ValueError: For another mode.
    """
    global _mode
    before, _mode = _mode, _checked(mode, 'mode')
    try:
        yield
    finally:
        _mode = before


@functools.cache
def compiler_available(device_type: str) -> bool:
    """Whether what inductor needs for a type of device is installed: a C++ compiler for 'cpu', Triton for 'cuda'."""
    if device_type == 'cpu':
        return shutil.which(os.environ.get('CXX') or ('clang++' if sys.platform == 'darwin' else 'g++')) is not None
    return device_type == 'cuda' and importlib.util.find_spec('triton') is not None


def _pays(tensors: Tensors) -> bool:
    """Whether to compile for these tensors; the answer depends on nothing that changes within a run."""
    if _mode == 'never' or not compiler_available(tensors[0].device.type):
        return False
    # on CPUs, compiling was not measured to gain more than the blocks do
    return _mode == 'always' or tensors[0].device.type == 'cuda' and tensors[0].numel() >= _LARGE


def _plain(tensors: Tensors) -> bool:
    """Whether the functions have to be left as they are: someone looks at every operation."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return True
    # gradients are on inside a backward pass that is to be differentiated again; fake tensors are of another type
    return torch.is_grad_enabled() or not all(type(tensor) is torch.Tensor for tensor in tensors)


def in_blocks(function: Callable[..., Tensors], *tensors: torch.Tensor) -> Tensors:
    """function(*tensors), a block of rows after the other where that pays.

    Args:
        function: Takes tensors of R rows, and returns a tuple of such; no row may depend on another.
        tensors: With R rows each.

    Returns:
        What the function returns.
    """
    first = tensors[0]
    rows = first.shape[0]
    if _plain(tensors) or first.device.type != 'cpu' or first.numel() <= _BLOCK or rows == 1:
        return function(*tensors)
    size = max(1, rows * _BLOCK // first.numel())
    results: Tensors = ()
    for start in range(0, rows, size):
        block = function(*[tensor[start:start + size] for tensor in tensors])
        if not results:
            results = tuple(part.new_empty(rows, *part.shape[1:]) for part in block)
        for result, part in zip(results, block):
            result[start:start + size] = part
    return results


def _exporting() -> bool:
    return getattr(torch.compiler, 'is_exporting', lambda: False)()  # newer torch only


def opaque(shapes_of: Callable[..., Any]) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Keep torch.compile from looking into a function on the CPU.

    Inductor knows no complex numbers, and does not vectorise interleaved ones: what it makes of a spectrum is slower
    than the blocks. An exported program takes the function's operations, since it has to run without this package.

    Args:
        shapes_of: Gets the function's arguments and returns empty tensors like its results, all contiguous.

    Returns:
        A decorator of a function of tensors and numbers, annotated as torch.library.custom_op wants it. It makes new,
        contiguous tensors.
    """
    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        operator = torch.library.custom_op(f'fdnm_timm::{function.__name__.strip("_")}', function, mutates_args=())
        operator.register_fake(shapes_of)

        @functools.wraps(function)
        def call(*args: Any) -> T:
            if torch.compiler.is_compiling() and not _exporting() and args[0].device.type == 'cpu':
                return operator(*args)
            return function(*args)

        return call

    return decorate


def fused(function: Callable[..., Tensors]) -> Callable[..., Callable[..., Tensors]]:
    """Compile a function of tensors, at the first call that is worth it.

    Inside a model that is being compiled, exported or traced it is the plain function. Should compiling fail, a warning
    says why, once, and the plain function serves from then on.

    Args:
        function: Takes tensors and returns a tuple of such.

    Returns:
        A function that gets the tensors to be worked on, and returns the form of `function` to run on blocks of them
        (see `in_blocks`): compiled only with `training=True`, since a few forward passes are not worth the time that
        compiling takes.
    """
    compiled: Optional[Callable[..., Tensors]] = None
    broken = False

    def run(tensors: Tensors) -> Tensors:
        nonlocal compiled
        if compiled is None:
            compiled = torch.compile(function, dynamic=True)
        # sizes, gradients and autocast are all that differs between calls: fixed, so that one compilation serves all
        with torch.autocast(tensors[0].device.type, enabled=False):
            return compiled(*[tensor.detach() for tensor in tensors])

    def attempt(*tensors: torch.Tensor) -> Tensors:
        nonlocal broken
        if broken:
            return function(*tensors)
        try:
            return run(tensors)
        except Exception as error:  # whatever the compiler meets, the plain function can do it
            broken = True
            reason = str(error).strip().partition('\n')[0]
            warnings.warn(
                f'{function.__name__} could not be compiled and runs uncompiled from now on '
                f'({type(error).__name__}: {reason}). FDNM_COMPILE=never turns compiling off.', stacklevel=2)
            return function(*tensors)

    @functools.wraps(function)
    def form(*tensors: torch.Tensor, training: bool = True) -> Callable[..., Tensors]:
        return attempt if training and not _plain(tensors) and _pays(tensors) else function

    return form
