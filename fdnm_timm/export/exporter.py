"""From a trained model to one file that runs without this package."""
import json
import os
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple, Union

import torch

from ..data import build_test_transform
from ..extraction.embedder import Embedder
from ..files import replacing, write_json
from ..hub.folder import sha256
from .facts import describe, preprocessing_for
from .formats import FORMATS, Run, format_of
from .network import exportable_network
from .parity import check_parity, real_images

__all__ = ['Exported', 'export_model', 'open_exported']


class Exported(NamedTuple):
    """What an export left."""
    path: Path
    facts_path: Path  # the JSON beside it
    facts: Dict[str, Any]
    parity: Dict[str, float]  # largest difference from the model, on 'random' and on 'real' images


def export_model(
        embedder: Embedder,
        path: Union[str, os.PathLike],
        modality: str,
        format: Optional[str] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        opset: Optional[int] = None,
        images: Optional[Sequence[str]] = None,
) -> Exported:
    """Write a model's embedding to a file, and hold the file against the model before it takes its name.

    The file takes normalised images (B, C, height, width), float32, of any B, and gives embeddings (B, D), float32: one
    vector of length 1 for each branch and head, one behind the other, as the model itself. It carries what is needed to
    prepare images; the same lies beside it in PATH.json, with the file's SHA-256 and the differences that were seen.

    Args:
        embedder: The model, see `extraction.load_embedder`.
        path: The file; its suffix is the format's.
        modality: 'visible' or 'infrared'; or 'input', for a file with a second input 'modality' (B,), int64, 0 =
            visible and 1 = infrared (the file does not check that it holds nothing else).
        format: 'onnx', 'torchscript' or 'pt2'; None for what the suffix tells.
        height: Of the images; None for what the model was trained on.
        width: Of the images; None for what the model was trained on.
        opset: Version of ONNX's operators; None for the exporter's choice.
        images: Files of real images to compare on; None for some that the package draws.

    Raises:
        ValueError: An argument does not fit.
        ImportError: The format needs a library that is not installed.
        ParityError: The file's embeddings are not the model's; no file is left.
        OSError: The file cannot be written.
    """
    path = Path(path)
    name = format_of(path, format)
    if opset is not None and name != 'onnx':
        raise ValueError(f'opset is {opset}, but the format {name} has no operator sets: leave it out.')
    if embedder.flip or embedder.precision != 'fp32':
        raise ValueError(
            f'The embedder has flip={embedder.flip} and precision={embedder.precision!r}, but a file has neither '
            f'mirrored images nor another precision than fp32: load it without them.')
    network = exportable_network(embedder.model, modality)
    form = preprocessing_for(embedder, height, width)
    real = real_images(images, build_test_transform(**form), form['channels'])
    facts = describe(embedder, modality, form)
    example = (real[:2], torch.tensor([0, 1])) if modality == 'input' else (real[:2],)
    facts_path = path.with_name(f'{path.name}.json')
    with replacing(path) as temporary:
        with torch.no_grad():  # the layers' exportable form is that of inference
            try:
                FORMATS[name].write(network, example, temporary, json.dumps(facts), opset)
            except OSError as error:
                raise OSError(
                    f'Cannot write "{path}": {error}. Nothing was left of it, and a file that was there before is '
                    f'untouched. Make room, or give a path on another disk.') from error
        run, _ = FORMATS[name].open(temporary)
        parity = check_parity(run, embedder.embed, real, modality)
        write_json(facts_path, {**facts, 'format': name, 'sha256': sha256(temporary), 'parity': parity})
    return Exported(path, facts_path, facts, parity)


def open_exported(path: Union[str, os.PathLike]) -> Tuple[Run, Dict[str, Any]]:
    """What runs an exported file, and the facts that it carries.

    Args:
        path: The file.

    Returns:
        A function of NumPy arrays, images (B, C, H, W) and where the file takes them modalities (B,), that returns the
        embeddings (B, D); and the facts, see `export_model`.

    Raises:
        ValueError: The suffix is that of no format, or the file carries no facts.
        FileNotFoundError: There is no such file.
        ImportError: The format needs a library that is not installed.
        RuntimeError: The file cannot be loaded.
    """
    path = Path(path)
    name = format_of(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no file "{path}": give one that `fdnm export` wrote.')
    run, facts = FORMATS[name].open(path)
    if not facts:
        raise ValueError(f'"{path}" does not say what it is: give a file that `fdnm export` wrote.')
    return run, json.loads(facts)
