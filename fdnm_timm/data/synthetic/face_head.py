"""The outside of a face: head, neck, ears, hair and beard."""
import numpy as np

from .colours import RGB
from .face_canvas import FaceCanvas, ribbon, smooth
from .face_inks import Inks
from .face_looks import FaceLooks

__all__ = ['WIDEST', 'draw_back', 'draw_beard', 'draw_front_hair', 'draw_head']

WIDEST = 0.10  # where a head is widest, below the eyes
_ACROSS = np.linspace(-1, 1, 41)
_DOWN = np.sin(np.linspace(0, np.pi / 2, 15))  # denser towards the end, where an outline turns
_HANGING = {'bob': 1.25, 'long': 2.4}  # where hair that hangs down ends
_NUM_STRANDS = 16


def _half_width(looks: FaceLooks, y: np.ndarray, chin: float) -> np.ndarray:
    """Half of the head's width at heights `y`."""
    shape = looks.shape
    lower = np.clip((y - WIDEST) / (chin - WIDEST), 0, 1) ** shape['jaw']
    upper = np.clip((WIDEST - y) / (shape['crown'] + WIDEST), 0, 1) ** 2.4
    return shape['width'] * np.where(y > WIDEST, (1 - lower) ** (1 / shape['taper']), np.sqrt(1 - upper))


def draw_back(canvas: FaceCanvas, looks: FaceLooks, inks: Inks, rng: np.random.Generator) -> None:
    """What lies behind the face: the mass of the hair, neck and clothes."""
    shape = looks.shape
    volume, width = shape['hair_volume'], shape['width']
    end = _HANGING.get(looks.hair_length)
    if end is not None:
        half = width + 0.9 * volume + 0.04
        canvas.whole(smooth(np.array([
            [0.0, -shape['crown'] - volume], [0.62 * half, -0.86 * shape['crown'] - volume], [half, -0.45],
            [half + 0.05, 0.4], [half + (0.10 if end < 2 else 0.02), end]])), inks.hair[1])
    canvas.whole(np.array([[0.62, 0.9], [0.60, 1.8], [0.80, 2.2], [1.5, 2.5]]) * (width, 1), inks.fold)
    collar = 2.02 + rng.uniform(-0.06, 0.06)
    canvas.whole(np.array([
        [0.0, collar + 0.22], [0.55, collar], [0.8, collar - 0.02], [2.2, collar + 0.3], [2.2, 3.2]]), inks.cloth)


def draw_head(canvas: FaceCanvas, looks: FaceLooks, inks: Inks, drop: float) -> None:
    """Ears and head; an open mouth drops the chin by `drop`."""
    shape = looks.shape
    size, out, x = shape['ear_size'], shape['ear_out'], shape['width']
    ear = smooth(np.array([
        [-0.08, -0.7], [0.55 * out, -0.85], [out, -0.5], [0.92 * out, 0.1], [0.45 * out, 0.75], [-0.08, 0.95]]))
    canvas.pair(ear * (1, size) + (x, 0.12), inks.skin)
    canvas.pair(ribbon(ear * (0.6, 0.62 * size) + (x, 0.12), 0.03), inks.fold)
    chin = shape['chin'] + drop
    y = np.concatenate([WIDEST - _DOWN[::-1] * (shape['crown'] + WIDEST), WIDEST + _DOWN[1:] * (chin - WIDEST)])
    canvas.whole(np.stack([_half_width(looks, y, chin), y], 1), inks.skin)
    if looks.hair_length == 'buzz':
        _draw_cap(canvas, looks, inks.buzz, 0.0)


def _hairline(looks: FaceLooks) -> np.ndarray:
    """Height of the lower edge of the hair at places across the face, -1 to 1."""
    shape, u = looks.shape, _ACROSS
    top = -shape['hairline']
    if looks.hairline == 'fringe':
        top = -0.50 - 0.25 * (shape['hairline'] - 0.58)
    side = 0.35 if looks.hair_length in _HANGING else -0.05
    y = top + (side - top) * np.abs(u) ** shape['hair_corner']
    if looks.hairline == 'peak':
        y = y + 0.16 * np.exp(-((u / 0.16) ** 2))
    elif looks.hairline == 'receding':
        y = y - 0.26 * np.exp(-(((np.abs(u) - 0.5) / 0.2) ** 2))
    elif looks.hairline == 'part':
        v = (u * looks.side + 1) / 2
        y = y + 0.34 * v * (1 - v ** 4) - 0.08
    return y


def _draw_cap(canvas: FaceCanvas, looks: FaceLooks, ink: RGB, volume: float) -> None:
    """The hair on top, from its edge against the forehead to the crown."""
    shape = looks.shape
    edge = _hairline(looks)
    inner = np.stack([_ACROSS * _half_width(looks, edge, shape['chin']), edge], 1)
    y = np.linspace(edge[-1], -shape['crown'], 12)
    outer = np.stack([_half_width(looks, y, shape['chin']) + volume, y - volume * (y < -0.5)], 1)
    outer[0, 0] -= 0.8 * volume
    canvas.polygon(np.concatenate([inner, outer, outer[::-1] * (-1, 1)]), ink)


def draw_front_hair(canvas: FaceCanvas, looks: FaceLooks, inks: Inks, rng: np.random.Generator) -> None:
    """The hair over the forehead and, where it is long, beside the face; with some strands."""
    if looks.hair_length in ('bald', 'buzz'):
        return
    shape = looks.shape
    _draw_cap(canvas, looks, inks.hair[0], shape['hair_volume'])
    end = _HANGING.get(looks.hair_length)
    if end is not None:
        half = shape['width']
        canvas.pair(smooth(np.array([
            [half + 0.9 * shape['hair_volume'], -0.4], [half - 0.06, -0.3], [half - 0.05, 0.3], [half - 0.02, 0.8],
            [half - 0.05, end], [half + 0.10, end], [half + 0.12, 0.4]])), inks.hair[0])
    # strands run from the crown to just short of the hairline
    u = rng.uniform(-0.85, 0.85, _NUM_STRANDS)
    stop = np.interp(u, _ACROSS, _hairline(looks)) - rng.uniform(0.04, 0.25, _NUM_STRANDS)
    for a, b, y in zip(u.tolist(), (u * shape['width']).tolist(), stop.tolist(), strict=True):
        root = -shape['crown'] - 0.1
        canvas.polygon(np.array([[0.7 * a, root], [0.7 * a + 0.03, root], [b, y]]), inks.hair[1])


def draw_beard(canvas: FaceCanvas, looks: FaceLooks, inks: Inks, drop: float) -> None:
    """What grows below the mouth and on the jaw; the moustache belongs to the mouth."""
    if looks.beard in ('none', 'moustache'):
        return
    shape = looks.shape
    chin, ink = shape['chin'] + drop, inks.beard[looks.beard == 'stubble']
    if looks.beard in ('full', 'stubble'):
        y = 0.35 + _DOWN * (chin - 0.35)
        inner = smooth(np.array([
            [0.86 * shape['width'], 0.35], [0.74 * shape['width'], 0.72], [shape['mouth_width'] + 0.10, 0.82],
            [0.0, 0.80]]))
        canvas.pair(np.concatenate([np.stack([_half_width(looks, y, chin), y], 1), inner[::-1]]), ink)
    else:
        half = 0.9 * shape['mouth_width'] if looks.beard == 'goatee' else 0.22
        top = 1.0 + shape['lip_lower'] + drop + 0.07
        canvas.whole(smooth(np.array([
            [0.0, top], [0.8 * half, top - 0.02], [half, 0.4 * top + 0.6 * chin], [0.0, chin]])), ink)
