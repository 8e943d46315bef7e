"""A trained model that is ready to embed images, with the preprocessing that its evaluation had."""
import hashlib
import inspect
import json
from functools import cached_property
from typing import Any, Dict, Optional, Sequence, Union

import numpy as np
import torch

from ..data import build_test_transform
from ..models._fdnm import FDNM
from ._names import NUMBERS, UNKNOWN
from .sources import load_model

__all__ = ['PRECISIONS', 'UNKNOWN', 'Embedder', 'load_embedder']

PRECISIONS = {'fp32': None, 'bf16': torch.bfloat16}
_CLASSIFIER = 'head.classifier.'
_NOT_OF_THE_EMBEDDING = ('num_classes', 'drop_rate', 'drop_path_rate', 'init')  # arguments that do not change it
_NAMES = {number: None if name == UNKNOWN else name for name, number in NUMBERS.items()}

Modality = Union[str, int, Sequence[int], np.ndarray, torch.Tensor, None]


class Embedder:
    """A model in evaluation mode, and what turns images into its input and its output into embeddings.

    Attributes:
        model: The model, in eval mode, on `device`.
        source: Where it is from.
        device: Where it computes.
        transform: PIL RGB image -> float tensor (C, H, W), as in the evaluation of the model's training run.
        preprocessing: What `transform` is made of.
        dims: Values of an embedding.
        precision: 'fp32', or 'bf16' for autocast.
        flip: Whether an embedding is the mean of the image's and its mirror image's.
    """

    def __init__(
            self,
            model: FDNM,
            source: str = 'a model',
            device: Union[str, torch.device] = 'cpu',
            precision: str = 'fp32',
            flip: bool = False,
    ) -> None:
        """
        Args:
            model: With `pretrained_cfg`, as timm gives it; it is set to eval mode and moved to the device.
            source: Where it is from, for messages.
            device: Where to compute.
            precision: 'fp32' or 'bf16'.
            flip: Embed mirrored images too.

        Raises:
            ValueError: Another precision, no such device, or preprocessing that the evaluation does not have.
        """
        if precision not in PRECISIONS:
            raise ValueError(f'precision is {precision!r}, but must be one of {", ".join(map(repr, PRECISIONS))}.')
        self.device = _known_device(device)
        self.model: Any = model.eval().to(self.device)
        self.source = source
        self.precision = precision
        self.flip = flip
        self.preprocessing = _preprocessing(model, source)
        self.transform = build_test_transform(**self.preprocessing)
        self.dims: int = model.head_hidden_size

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the weights that an embedding depends on, and of the constructor's arguments where they
        differ from their defaults: the same for a model on the Hub, on disk and in memory. The classifier does not
        count, nor does the preprocessing."""
        digest = hashlib.sha256(json.dumps(_changed_arguments(self.model), sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            if not name.startswith(_CLASSIFIER):
                tensor = tensor.detach().cpu().contiguous()
                digest.update(f'{name} {tensor.dtype} {list(tensor.shape)}\n'.encode())
                digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @property
    def metadata(self) -> Dict[str, str]:
        """What features that this embedder makes say of it; all but 'model' are the same for the same embeddings."""
        return {
            'model': self.source, 'fingerprint': self.fingerprint,
            'preprocessing': json.dumps(self.preprocessing, sort_keys=True), 'precision': self.precision,
            'flip': json.dumps(self.flip)}

    @torch.inference_mode()
    def embed(self, images: torch.Tensor, modality: Modality = UNKNOWN) -> np.ndarray:
        """Embeddings of prepared images; each part has length 1, as the model gives it.

        Args:
            images: (B, C, H, W), of `transform`.
            modality: 'visible', 'infrared' or 'unknown' (or 0, 1 or -1, or None for unknown) of the whole batch, or
                integers (B,), 0 = visible, 1 = infrared, -1 = unknown.

        Returns:
            (B, D) float32.

        Raises:
            ValueError: Another modality, or not one an image.
        """
        numbers = _modality_numbers(modality, len(images))
        out = np.empty((len(images), self.dims), np.float32)
        for number in np.unique(numbers):
            rows = np.flatnonzero(numbers == number)
            chosen = images if len(rows) == len(images) else images[torch.from_numpy(rows)]
            out[rows] = self._embed(chosen.to(self.device, non_blocking=True), _NAMES[int(number)])
        return out

    def _embed(self, images: torch.Tensor, modality: Optional[str]) -> np.ndarray:
        dtype = PRECISIONS[self.precision]
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            features = self._features(images, modality)
            if self.flip:
                features = (features + self._features(images.flip(-1), modality)) / 2
        return features.cpu().numpy()

    def _features(self, images: torch.Tensor, modality: Optional[str]) -> torch.Tensor:
        return self.model.forward_head(self.model.forward_features(images, modality), pre_logits=True).float()


def load_embedder(
        source: str,
        device: Union[str, torch.device] = 'cpu',
        allow_untrained: bool = False,
        precision: str = 'fp32',
        flip: bool = False,
) -> Embedder:
    """Load a trained model, ready to embed.

    Weights whose SHA-256 is recorded are checked against it.

    Args:
        source: 'local-dir:FOLDER' of a model that was saved, 'hf-hub:ORGANISATION/NAME' of one that was published, the
            folder of a finished run, or the name of a release.
        device: As for `Embedder`, as are `precision` and `flip`.
        allow_untrained: Take the name of an architecture too, and draw its weights at random, the same every time.

    Raises:
        FileNotFoundError: There is no such folder, or no model in it.
        HubError: The published model cannot be had.
        ValueError: The source is none of these, the weights are not those that were recorded, or as `Embedder`.
    """
    model, source = load_model(source, allow_untrained)
    return Embedder(model, source, device, precision, flip)


def _known_device(device: Union[str, torch.device]) -> torch.device:
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f'The device "{device}" cannot be used ({reason}): give "cpu", or "cuda" where there is a GPU.') from error
    return found


def _changed_arguments(model: Any) -> Dict[str, Any]:
    """The class and those arguments that change the embedding; defaults are left out, so that an argument that a later
    version adds changes nothing."""
    parameters = inspect.signature(type(model).__init__).parameters
    changed = {'class': type(model).__name__}
    for name, value in model.constructor_args.items():
        default = parameters[name].default
        if name not in _NOT_OF_THE_EMBEDDING and value != (list(default) if isinstance(default, tuple) else default):
            changed[name] = value
    return changed


def _preprocessing(model: Any, source: str) -> Dict[str, Any]:
    """Arguments of `build_test_transform`, from the model's configuration."""
    cfg = model.pretrained_cfg
    if cfg.get('interpolation', 'bilinear') != 'bilinear':
        raise ValueError(
            f'The model "{source}" asks for {cfg["interpolation"]} interpolation, but images are prepared as in '
            f'training, which is bilinear: save it again with interpolation="bilinear".')
    channels, height, width = (int(size) for size in cfg['input_size'])
    if not channels == model.in_chans == len(cfg['mean']) == len(cfg['std']):
        raise ValueError(
            f'The model "{source}" takes {model.in_chans} channels, but its configuration says input_size='
            f'{list(cfg["input_size"])}, mean={list(cfg["mean"])}, std={list(cfg["std"])}: save it again with its own.')
    return dict(
        height=height, width=width, margin=round(height / (cfg.get('crop_pct') or 1.)) - height, channels=channels,
        mean=list(cfg['mean']), std=list(cfg['std']))


def _modality_numbers(modality: Modality, images: int) -> np.ndarray:
    if modality is None or isinstance(modality, str):
        if (modality or UNKNOWN) not in NUMBERS:
            raise ValueError(f'modality is {modality!r}, but must be one of {", ".join(map(repr, NUMBERS))}.')
        return np.full(images, NUMBERS[modality or UNKNOWN])
    numbers = np.asarray(modality.cpu() if isinstance(modality, torch.Tensor) else modality)
    numbers = np.full(images, numbers) if numbers.ndim == 0 else numbers
    if numbers.shape != (images,) or not np.isin(numbers, list(_NAMES)).all():
        raise ValueError(
            f'modality has shape {list(numbers.shape)} and holds {np.unique(numbers)[:5].tolist()}, but {images} '
            f'integers are needed, one an image: 0 (visible), 1 (infrared) or -1 (unknown).')
    return numbers
