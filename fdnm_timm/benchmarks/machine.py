"""What the numbers were measured on."""
import platform
from pathlib import Path
from typing import Any, Dict

import torch

from ..engine.environment import describe_environment

__all__ = ['describe_machine']

_CPUINFO = Path('/proc/cpuinfo')


def _cpu_model() -> str:
    """The processor's name, which Python tells on some systems only."""
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text(encoding='utf-8', errors='replace').splitlines():
            key, _, value = line.partition(':')
            if key.strip() == 'model name' and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def describe_machine(device: torch.device) -> Dict[str, Any]:
    """`describe_environment`, and the processor's name."""
    return {**describe_environment(device), 'cpu': _cpu_model()}
