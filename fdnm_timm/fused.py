"""Pointwise functions that run compiled where that pays, and eagerly everywhere else.

A chain of pointwise operations in eager PyTorch reads and writes the whole tensor once an operation; compiled it does
so once. Compiling takes seconds to a minute, once a machine (inductor keeps the result on disk), so by default ('auto')
only large tensors on GPUs are worth it, and only where a compiler is there. The environment variable FDNM_COMPILE sets
another mode: 'always', whatever the size, or 'never'. Results differ between the modes by rounding only.

On the CPU, compiled or not, large tensors are worked off in blocks: what lies between the first operation and the last
then stays in the cache, and no large intermediate result is ever allocated. A network that torch.compile compiles is
another matter: it sees the pointwise work as it is, and fuses it with its own.
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

__all__ = ['MODES', 'compiler_available', 'compile_mode', 'compiling', 'fused', 'in_blocks', 'observed', 'opaque']

MODES = ('auto', 'always', 'never')

# where a pass over the tensor is dear enough: 2^23 numbers are 32 MiB in float32, more than a core's caches hold
_LARGE = 1 << 23

_BLOCK = 1 << 17  # numbers a block: half a MiB in float32
_CHANNELS = 64  # at least so many channels a block where they lie last: small matrix products are slow

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


def observed(tensors: Tensors) -> bool:
    """Whether someone looks at every operation on them: a tracer, or autograd."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return True
    # gradients are on inside a backward pass that is to be differentiated again; fake tensors are of another type
    return torch.is_grad_enabled() or not all(type(tensor) is torch.Tensor for tensor in tensors)


def _dense(x: torch.Tensor) -> torch.Tensor:
    """x without gaps, its dimensions in the order that they have in memory: only such is worked off in vectors."""
    strides = x.stride()
    order = sorted(range(x.ndim), key=lambda dim: -strides[dim])
    return x.permute(order).contiguous().permute([order.index(dim) for dim in range(x.ndim)])


def in_blocks(function: Callable[..., Tensors], tensors: Tensors, lead: int, room: Callable[[], Tensors]) -> Tensors:
    """function(*tensors), a block of maps after the other on the CPU.

    Maps whose channels lie last are taken as they lie, some channels of an image at a time: copying a block to another
    format within the cache costs less than copying it all beforehand.

    Args:
        function: Takes tensors of R maps (R, ...) in any memory format, and returns a tuple of such; no map may depend
            on another. While torch.compile is at work, it gets the tensors as they are.
        tensors: Of as many maps each; their first `lead` dimensions number them.
        lead: 2, (B, C, ...), for maps whose channels may lie last.
        room: Makes empty tensors like the results.

    Returns:
        What the function returns, with those dimensions.
    """
    if compiling():
        return function(*tensors)
    first = tensors[0]
    if observed(tensors) or first.device.type != 'cpu':
        parts = function(*[tensor.flatten(0, lead - 1) for tensor in tensors])
        return tuple(part.unflatten(0, first.shape[:lead]) for part in parts)
    results = room()
    size = max(1, first.shape[:lead].numel() * _BLOCK // max(1, first.numel()))
    together = [*tensors, *results]
    if lead != 2 or all(tensor.stride(0) == tensor.shape[1] * tensor.stride(1) for tensor in together):
        blocks = [tensor.flatten(0, lead - 1).split(size) for tensor in together]
    else:
        size = max(size, _CHANNELS)
        blocks = [[block for image in tensor for block in image.split(size)] for tensor in together]
    with torch.autocast(first.device.type, enabled=False):
        for block in zip(*blocks):
            parts = function(*[_dense(part) for part in block[:len(tensors)]])
            for result, part in zip(block[len(tensors):], parts):
                result.copy_(part)
    return results


def _exporting() -> bool:
    return getattr(torch.compiler, 'is_exporting', lambda: False)()  # newer torch only


def compiling() -> bool:
    """Whether torch.compile is at work, and not an exporter."""
    return torch.compiler.is_compiling() and not _exporting()


def opaque(shapes_of: Callable[..., Any]) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Keep torch.compile from looking into a function on the CPU, where it would lose what the function gains.

    An exported program takes the function's operations, since it has to run without this package.

    Args:
        shapes_of: Gets the function's arguments and returns empty tensors like its results, in their memory formats.

    Returns:
        A decorator of a function of tensors and numbers, annotated as torch.library.custom_op wants it. It makes new
        tensors.
    """
    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        operator = torch.library.custom_op(f'fdnm_timm::{function.__name__.strip("_")}', function, mutates_args=())
        operator.register_fake(shapes_of)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> T:
            if compiling() and args[0].device.type == 'cpu':
                return operator(*args, **kwargs)
            return function(*args, **kwargs)

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
        return attempt if training and not observed(tensors) and _pays(tensors) else function

    return form
