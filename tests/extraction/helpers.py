"""A small model that embeds, and small images."""
import os
import traceback
from pathlib import Path
from typing import Callable, List, Optional, Sequence

import numpy as np
import timm
import torch
from PIL import Image

import fdnm_timm  # noqa: F401
from fdnm_timm.hub import save_pretrained


def small_model(folder: Path, seed: int = 0, **kwargs) -> Path:
    """A saved model whose embedding has 256 values: two branches' global head, of the first two stages."""
    torch.manual_seed(seed)
    model = timm.create_model(
        'fdnm_resnet18', **{'num_classes': 4, 'num_stages': 2, 'num_parts': 0, 'init': 'paper', **kwargs}).train()
    with torch.no_grad():
        model(torch.randn(8, 3, 32, 16), torch.tensor([0, 1] * 4))  # statistics of its own
    return save_pretrained(model, folder, data_config=dict(input_size=(3, 32, 16), crop_pct=32 / 36))


def write_images(folder: Path, names: Sequence[str], seed: int = 0) -> List[str]:
    """Noise, each image other; returns the paths."""
    generator = np.random.default_rng(seed)
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (40, 20, 3), dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def forked(function: Callable[[], Optional[int]]) -> int:
    """How a child process ended that called it: the number it returned, or less than 0 for a signal."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = function() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
