"""What a forward pass keeps for its backward pass."""
from typing import Any, Callable, Dict, Tuple

import torch

__all__ = ['saved_bytes']


def _is_parameter(tensor: torch.Tensor) -> bool:
    """Whether the tensor is a leaf that learns, or a view of one (a transposed weight, for example)."""
    base = tensor if tensor._base is None else tensor._base
    return base.is_leaf and base.requires_grad


def saved_bytes(function: Callable[..., Any], *inputs: torch.Tensor) -> int:
    """Bytes that autograd keeps alive between `function(*inputs)` and its backward pass.

    Every storage counts once and whole, however many operations keep a view of it. The inputs and the parameters do not
    count: they are there anyway.

    Args:
        function: Called once, gradients on.
        inputs: Its arguments. Those that shall receive a gradient require one.

    Returns:
        Number of bytes, 0 where nothing requires a gradient.
    """
    given = {tensor.untyped_storage().data_ptr() for tensor in inputs}
    # the tensors are held until all are counted: a freed address would be given to the next one
    saved: Dict[int, Tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in given and not _is_parameter(tensor):
            saved[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = function(*inputs)
    total = sum(size for size, _ in saved.values())
    del output  # alive until here, like the graph that it holds
    return total
