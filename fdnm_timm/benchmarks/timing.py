"""Seconds of functions that are called in turn, so that a machine that drifts hits all of them alike."""
import time
from typing import Any, Callable, Dict, List, Mapping, Sequence

import torch

__all__ = ['finish', 'ratios', 'seconds']


def finish(device: torch.device) -> None:
    """Wait for a GPU's work."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def seconds(
        functions: Mapping[str, Callable[[], Any]],
        repeats: int,
        device: torch.device,
        warmup: int = 1,
) -> Dict[str, List[float]]:
    """Time each function `repeats` times.

    Args:
        functions: What to time, by name.
        repeats: Number of rounds; every second one goes through the functions backwards.
        device: A GPU's work is waited for.
        warmup: Calls of each function before the rounds: compilation, allocation and caches.

    Returns:
        Seconds of every call, by name, in the rounds' order.
    """
    for function in functions.values():
        for _ in range(warmup):
            function()
    taken: Dict[str, List[float]] = {name: [] for name in functions}
    for turn in range(repeats):
        for name in list(functions)[::-1 if turn % 2 else 1]:
            finish(device)
            start = time.perf_counter()
            functions[name]()
            finish(device)
            taken[name].append(time.perf_counter() - start)
    return taken


def ratios(over: Sequence[float], under: Sequence[float]) -> List[float]:
    """Of the calls of the same round."""
    return [a / b for a, b in zip(over, under)]
