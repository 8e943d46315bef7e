"""What has to be known of an exported file: whose weights, which images, and what comes out."""
from typing import Any, Dict, Optional

from ..extraction.embedder import Embedder
from ..layers import MODALITIES
from ..version import __version__

__all__ = ['describe', 'preprocessing_for']


def preprocessing_for(embedder: Embedder, height: Optional[int] = None, width: Optional[int] = None) -> Dict[str, Any]:
    """Arguments of `data.build_test_transform`: the embedder's, with another size where that is asked for.

    Raises:
        ValueError: The model is made for one size and asked for another, or the size is none.
    """
    form = dict(embedder.preprocessing)
    own = form['height'], form['width']
    size = own[0] if height is None else height, own[1] if width is None else width
    if min(size) < 1:
        raise ValueError(f'The images are to have {size[0]} x {size[1]} pixels, but at least 1 x 1 is needed.')
    if embedder.model.pretrained_cfg.get('fixed_input_size') and size != own:
        raise ValueError(
            f'"{embedder.source}" was made for images of {own[0]} x {own[1]} pixels (height x width) and takes no '
            f'others, but {size[0]} x {size[1]} is asked for: leave --height and --width out.')
    return {**form, 'height': size[0], 'width': size[1]}


def describe(embedder: Embedder, modality: str, form: Dict[str, Any]) -> Dict[str, Any]:
    """JSON values that go into the file and beside it.

    Args:
        embedder: Whose model is exported.
        modality: 'visible', 'infrared' or 'input'.
        form: What `preprocessing_for` gave.

    Returns:
        The facts. 'preprocessing' has, in this order: an RGB image is converted to Pillow's `mode`, resized to `resize`
        [height, width], bilinear, its centre of `crop` [height, width] cut out, divided by 255, `mean` subtracted, and
        divided by `std`.
    """
    height, width, margin, channels = (form[key] for key in ('height', 'width', 'margin', 'channels'))
    inputs: Dict[str, Any] = {'images': {'type': 'float32', 'shape': ['batch', channels, height, width]}}
    if modality == 'input':
        inputs['modality'] = {
            'type': 'int64', 'shape': ['batch'], 'values': {name: number for number, name in enumerate(MODALITIES)}}
    return {
        'fdnm_timm': __version__,
        'architecture': embedder.model.pretrained_cfg['architecture'],
        'source': embedder.source,
        'fingerprint': embedder.fingerprint,
        'modality': modality,
        'inputs': inputs,
        'outputs': {'embedding': {'type': 'float32', 'shape': ['batch', embedder.dims]}},
        'preprocessing': {
            'mode': 'L' if channels == 1 else 'RGB',
            'resize': [height + margin, width + margin],
            'interpolation': 'bilinear',
            'crop': [height, width],
            'mean': form['mean'],
            'std': form['std'],
        },
    }
