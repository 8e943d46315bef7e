"""What a folder in the Hub's format holds: config.json, and weights with the SHA-256 that it records."""
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Dict, Optional, Union

from timm.models import is_model, model_entrypoint

__all__ = [
    'CARD', 'CONFIG', 'PICKLE', 'PICKLE_SUFFIXES', 'WEIGHTS', 'check_folder', 'git_sha1', 'read_config',
    'recorded_sha256', 'sha256',
]

CONFIG, WEIGHTS, PICKLE = 'config.json', 'model.safetensors', 'pytorch_model.bin'  # timm's names
CARD = 'README.md'  # the Hub's
PICKLE_SUFFIXES = ('.bin', '.ckpt', '.pickle', '.pkl', '.pt', '.pth')


def sha256(path: Union[str, os.PathLike]) -> str:
    """SHA-256 of a file, in hex; the file is read piece by piece."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def git_sha1(content: bytes) -> str:
    """The name that git, and so the Hub, gives to a small file's content."""
    return hashlib.sha1(b'blob %d\0' % len(content) + content, usedforsecurity=False).hexdigest()


def read_config(path: Path, name: str) -> Dict[str, Any]:
    """Read config.json and check that it describes a model of this package.

    Args:
        path: The file.
        name: Whose it is, for the message.

    Returns:
        Its content.

    Raises:
        ValueError: It is no JSON object, names no architecture of this package, or a part has the wrong type.
    """
    begin = f'The config.json of {name}'
    try:
        config = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{begin} is no JSON ({error}); publish it again.') from error
    if not isinstance(config, dict):
        raise ValueError(f'{begin} holds a {type(config).__name__}, not an object; publish it again.')
    architecture = config.get('architecture')
    if not isinstance(architecture, str):
        raise ValueError(f'{begin} has no "architecture", so it is not known which model to build: is it a timm model?')
    if not is_model(architecture):
        raise ValueError(
            f'{begin} asks for the architecture "{architecture}", which this timm and this fdnm_timm do not have: '
            f'upgrade fdnm_timm, or import the package that registers it and load it with timm.create_model.')
    if model_entrypoint(architecture).__module__.partition('.')[0] != __name__.partition('.')[0]:
        raise ValueError(
            f'{begin} asks for the architecture "{architecture}", which is not of fdnm_timm: load it with '
            f'timm.create_model.')
    if not isinstance(config.get('pretrained_cfg'), dict):
        raise ValueError(f'{begin} has no "pretrained_cfg", so the preprocessing is unknown; publish it again.')
    own = config.get('fdnm', {})
    for part in (config.get('model_args', {}), own, own.get('sha256', {}) if isinstance(own, dict) else {}):
        if not isinstance(part, dict):
            raise ValueError(f'{begin} holds {part!r} where an object belongs; publish it again.')
    if config['pretrained_cfg'].get('custom_load'):
        raise ValueError(f'{begin} sets "custom_load", with which timm would leave the weights random: do not use it.')
    return config


def recorded_sha256(config: Dict[str, Any], filename: str) -> Optional[str]:
    """What `save_pretrained` recorded for a file; None where plain timm wrote the config."""
    return config.get('fdnm', {}).get('sha256', {}).get(filename)


def check_folder(folder: Union[str, os.PathLike]) -> Dict[str, Any]:
    """Check a folder that `save_pretrained` left: whole, and its weights those that config.json records.

    Args:
        folder: The folder.

    Returns:
        The content of config.json.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: config.json is damaged, or the weights do not have the SHA-256 that it records.
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f'"{folder}" has no {name}. Give a folder that `save_pretrained` wrote, such as hub/ of a run.')
    config = read_config(folder / CONFIG, f'"{folder}"')
    expected, found = recorded_sha256(config, WEIGHTS), sha256(folder / WEIGHTS)
    if expected != found:
        raise ValueError(
            f'"{folder / WEIGHTS}" has the SHA-256 {found}, but config.json records {expected}: one of the two was '
            f'changed since. Save the model again with `save_pretrained`.')
    return config
