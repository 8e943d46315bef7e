"""Where a trained model comes from, as one word of a command line."""
from pathlib import Path
from typing import Any, Tuple

import timm
import torch

from ..hub import from_pretrained
from ..hub.folder import CONFIG, WEIGHTS, check_folder, read_config, recorded_sha256
from ..models._fdnm import FDNM
from ..models._releases import read_releases

__all__ = ['load_model']

_LOCAL, _HUB = 'local-dir:', 'hf-hub:'
_FORMS = ('"local-dir:FOLDER" of a saved model, "hf-hub:ORGANISATION/NAME" of a published one, or the folder of a run '
          'that `fdnm train` left')


def load_model(source: str, allow_untrained: bool = False) -> Tuple[FDNM, str]:
    """The model of `load_embedder`'s source, and the source in its full form."""
    if source.startswith(_HUB):
        model: Any = from_pretrained(source[len(_HUB):])
    elif source.startswith(_LOCAL):
        model = _from_folder(Path(source[len(_LOCAL):]))
    elif Path(source).is_dir():
        folder = _saved_in(Path(source))
        model, source = _from_folder(folder), f'{_LOCAL}{folder}'
    else:
        model = _by_name(source, allow_untrained)
    if not isinstance(model, FDNM):
        raise ValueError(
            f'The model "{source}" is {type(model).__name__}, which knows no modalities: give {_FORMS}.')
    if not model.head.pool_type:
        raise ValueError(f'The model "{source}" was saved with global_pool="", so it gives maps and no embeddings.')
    return model, source


def _from_folder(folder: Path) -> Any:
    if not folder.is_dir():
        raise FileNotFoundError(f'There is no folder "{folder}" with a model: give {_FORMS}.')
    recorded = (folder / CONFIG).is_file() and recorded_sha256(read_config(folder / CONFIG, f'"{folder}"'), WEIGHTS)
    # plain timm records no sum, and what is missing is for `check_folder` to say
    if recorded is not None or not (folder / WEIGHTS).is_file():
        check_folder(folder)
    return timm.create_model(f'{_LOCAL}{folder}', pretrained=True)


def _saved_in(folder: Path) -> Path:
    """The folder of a run's final model; or `folder`, which holds a model itself."""
    if (folder / CONFIG).is_file():
        return folder
    saved = folder / 'hub'
    if not (saved / CONFIG).is_file():
        raise FileNotFoundError(
            f'"{folder}" holds no model: it has no hub/{CONFIG}, which a finished run has, and no {CONFIG}. Finish the '
            f'run with `fdnm train --resume {folder}`, or give {_FORMS}.')
    return saved


def _by_name(name: str, allow_untrained: bool) -> Any:
    for release in read_releases():
        if release.name == name:
            return from_pretrained(f'{release.repo}@{release.revision}')
    if not timm.is_model(name):
        raise ValueError(f'The model "{name}" is neither a folder nor a name that timm knows: give {_FORMS}.')
    if not allow_untrained:
        raise ValueError(
            f'"{name}" is the name of an architecture without weights that were trained to embed (ImageNet weights '
            f'are of its backbone alone), so its embeddings would mean nothing: give {_FORMS}.')
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # the same weights every time
        return timm.create_model(name, pretrained=False)
