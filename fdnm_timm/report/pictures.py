"""Pictures inside the page: data URIs, in the smallest format that is still sharp."""
import base64
import io
from pathlib import Path
from typing import Any, Dict

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from .blocks import Picture

__all__ = ['picture_of', 'stored_picture']

# CSS pixels to an inch of print: somewhat enlarged, since pages are read from farther away than paper
_CSS_DPI = 125
_LARGE = 100_000  # bytes of an SVG, below which a sharp PNG is hardly smaller
_SCREEN_DPI = 2 * _CSS_DPI  # many screens have two pixels to a CSS pixel


def _uri(kind: str, content: bytes) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'


def _webp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, 'webp', quality=90, method=4)
    return buffer.getvalue()


def _saved(figure: Figure, kind: str, metadata: Dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    # text as outlines: the reader's machine need not have the font
    with rc_context({'svg.fonttype': 'path', 'svg.hashsalt': 'fdnm'}):
        figure.savefig(buffer, format=kind, dpi=_SCREEN_DPI, facecolor='white', metadata=metadata)
    return buffer.getvalue()


def picture_of(figure: Figure, alt: str, caption: str) -> Picture:
    """A figure, as SVG or, where that is large and PNG smaller, as PNG; the same bytes each time."""
    contents = {'svg+xml': _saved(figure, 'svg', {'Date': None})}
    if len(contents['svg+xml']) > _LARGE:
        contents['png'] = _saved(figure, 'png', {'Software': None})
    name = min(contents, key=lambda kind: len(contents[kind]))
    width, height = figure.get_size_inches()
    return Picture(_uri(name, contents[name]), round(_CSS_DPI * width), round(_CSS_DPI * height), alt, caption)


def stored_picture(path: Path, alt: str, caption: str) -> Picture:
    """A picture that lies in the run's folder, as it is or, where that is smaller, as WebP of high quality.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        with Image.open(path) as image:
            image.load()
    except OSError as error:
        raise ValueError(f'"{path}" cannot be read: {error}. Remove it, or restore it.') from error
    contents = {(image.format or '').lower(): path.read_bytes(), 'webp': _webp(image.convert('RGB'))}
    kind = min(contents, key=lambda kind: len(contents[kind]))
    scale = _CSS_DPI / image.info.get('dpi', (_CSS_DPI,))[0]
    return Picture(_uri(kind, contents[kind]), round(scale * image.width), round(scale * image.height), alt, caption)
