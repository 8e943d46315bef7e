"""Write a model as timm and the Hub read it."""
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional, Union

import torch
from timm.models import save_for_hf

from ..layers import MODALITIES

__all__ = ['save_pretrained']


def save_pretrained(
        model: torch.nn.Module,
        folder: Union[str, os.PathLike],
        data_config: Optional[Dict[str, Any]] = None,
        details: Optional[Dict[str, Any]] = None,
) -> Path:
    """Write model.safetensors and config.json, which `timm.create_model('local-dir:FOLDER', pretrained=True)` loads.

    timm records the arguments that were given to `create_model`; here every constructor argument is, so that a later
    change of a default cannot change the model.

    Args:
        model: A model of this package.
        folder: Where to write; its files are replaced all at once, other files in it stay.
        data_config: The preprocessing where it differs from the model's own, such as `dict(input_size=(3, 96, 48))`.
        details: Further JSON values for config.json, such as results.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder, prefix='.saving-'))
    try:
        save_for_hf(
            model, str(staging), model_args=getattr(model, 'constructor_args', {}), safe_serialization=True,
            data_config=data_config)
        weights, config = staging / 'model.safetensors', staging / 'config.json'
        values = json.loads(config.read_text())
        values['fdnm'] = {
            'modality': {name: number for number, name in enumerate(MODALITIES)},
            'sha256': {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()},
            **(details or {}),
        }
        config.write_text(json.dumps(values, indent=2) + '\n')
        for file in (weights, config):
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(staging)
    return folder
