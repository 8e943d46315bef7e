"""What a run ran on, for whoever compares its numbers."""
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Dict

import torch

__all__ = ['describe_environment']


def describe_environment(device: torch.device, processes: int = 1) -> Dict[str, Any]:
    """Versions and hardware as plain JSON values; no names of machines, users or folders."""
    versions = {}
    for package in ('fdnm_timm', 'torch', 'torchvision', 'timm', 'torchreid', 'numpy', 'pillow'):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = 'not installed'
    return {
        'versions': versions,
        'python': platform.python_version(),
        'platform': platform.platform(terse=True),
        'device': torch.cuda.get_device_name(device) if device.type == 'cuda' else platform.processor() or 'cpu',
        'cpu_cores': os.cpu_count(),
        'threads': torch.get_num_threads(),
        'processes': processes,
    }
