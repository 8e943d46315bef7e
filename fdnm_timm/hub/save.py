"""Write a model as timm and the Hub read it."""
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional, Union

import torch
from timm.models import save_for_hf

from ..layers import MODALITIES
from ..version import __version__
from .folder import CONFIG, WEIGHTS, sha256

__all__ = ['save_pretrained']

_OF_THE_SOURCE = ('tag', 'license', 'origin_url')  # of the weights that a model started from, not of this one's


def save_pretrained(
        model: torch.nn.Module,
        folder: Union[str, os.PathLike],
        data_config: Optional[Dict[str, Any]] = None,
        details: Optional[Dict[str, Any]] = None,
) -> Path:
    """Write model.safetensors and config.json, which `timm.create_model('local-dir:FOLDER', pretrained=True)` loads.

    timm records the arguments that were given to `create_model`; here every constructor argument is ("model_args"), so
    that a later change of a default cannot change the model. "pretrained_cfg" has the preprocessing: input_size (C, H,
    W), mean, std, interpolation, crop_pct and crop_mode. "fdnm" has the modalities' numbers, the SHA-256 of the
    weights, the version of this package, and `details`.

    Args:
        model: A model of this package.
        folder: Where to write; its files are replaced all at once, other files in it stay.
        data_config: The preprocessing where it differs from the model's own, such as `dict(input_size=(3, 96, 48))`.
        details: Further JSON values for config.json, such as results.

    Returns:
        The folder.

    Raises:
        ValueError: A key of `details` is one of those that are written anyway.
        TypeError: A value of `details` is no JSON.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder, prefix='.saving-'))
    try:
        save_for_hf(
            model, str(staging), model_args=getattr(model, 'constructor_args', {}), safe_serialization=True,
            data_config=data_config)
        weights, config = staging / WEIGHTS, staging / CONFIG
        values = json.loads(config.read_text())
        for key in _OF_THE_SOURCE:
            values['pretrained_cfg'].pop(key, None)
        own = {
            'version': __version__,
            'modality': {name: number for number, name in enumerate(MODALITIES)},
            'sha256': {weights.name: sha256(weights)},
        }
        taken = sorted(own.keys() & (details or {}).keys())
        if taken:
            raise ValueError(f'details holds {taken}, which save_pretrained writes itself: give them other names.')
        values['fdnm'] = {**own, **(details or {})}
        config.write_text(json.dumps(values, indent=2) + '\n')
        for file in (weights, config):
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(staging)
    return folder
