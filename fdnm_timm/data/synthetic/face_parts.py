"""The inside of a face: eyes, brows, nose, mouth, marks and glasses."""
from typing import Iterator, Tuple

import numpy as np

from .colours import RGB
from .face_canvas import CIRCLE, FaceCanvas, ribbon, smooth
from .face_expression import Expression
from .face_inks import Inks
from .face_looks import FaceLooks

__all__ = ['draw_brows', 'draw_eyes', 'draw_glasses', 'draw_marks', 'draw_mouth', 'draw_nose']

_SIDES = (-1, 1)
_ACROSS = np.linspace(-1, 1, 17)
_BOW = 1 - _ACROSS ** 2
# half width, half height, and the power of the superellipse: 2 is an ellipse, more is squarer
_RIMS = {'round': (0.33, 0.31, 2.0), 'square': (0.36, 0.24, 5.0), 'wide': (0.39, 0.27, 3.0)}


def _rings(
        looks: FaceLooks, inks: Inks, x: float, y: float, top: np.ndarray, bottom: np.ndarray,
) -> Iterator[Tuple[np.ndarray, RGB]]:
    """Iris and pupil about (x, y) from the eye's middle, of which the lids cover what lies beyond them."""
    shape = looks.shape
    for radius, ink in ((1.0, inks.iris[1]), (0.80, inks.iris[0]), (0.42, inks.pupil)):
        circle = CIRCLE * (radius * shape['iris_size']) + (x, y)
        at = circle[:, 0] / shape['eye_width']
        circle[:, 1] = np.clip(circle[:, 1], np.interp(at, _ACROSS, top), np.interp(at, _ACROSS, bottom))
        yield circle, ink


def draw_eyes(
        canvas: FaceCanvas, looks: FaceLooks, inks: Inks, expression: Expression, rng: np.random.Generator) -> None:
    """Both eyes look the same way; all else of them is symmetric."""
    shape, u = looks.shape, _ACROSS  # from the inner to the outer corner
    opening = np.clip(1 + 0.45 * expression.eyes + rng.normal(0, 0.06), 0.35, 1.4)
    gaze, gap = rng.normal(0, 0.018), shape['eye_gap']
    width, height = shape['eye_width'], shape['eye_height'] * opening
    tilt = -shape['eye_tilt'] * width * u
    top, bottom = tilt - height * _BOW ** 0.75, tilt + 0.62 * height * (1 - np.abs(u) ** 2.4)
    x = gap + width * u
    for side in _SIDES:
        canvas.band(side * x, top, bottom, inks.white)
        for circle, ink in _rings(looks, inks, side * gaze, -0.12 * height, top, bottom):
            canvas.polygon((circle + (gap, 0)) * (side, 1), ink)
        canvas.ellipse(side * gap + gaze + 0.03, -0.05, 0.018, 0.018, inks.glint)
    canvas.pair(ribbon(np.stack([x, top], 1), 0.022 + 0.02 * (u + 1)), inks.lash)
    canvas.pair(ribbon(np.stack([x, bottom], 1), 0.016), inks.crease)
    canvas.pair(ribbon(np.stack([gap + 1.06 * width * u, top - shape['lid']], 1), 0.022 * (1 - 0.6 * u ** 2)),
                inks.crease)
    if shape['bags'] > 0.35:
        canvas.pair(ribbon(np.stack([x, bottom + 0.05 + 0.04 * _BOW], 1), 0.03 * shape['bags'] * _BOW), inks.fold)


def draw_brows(canvas: FaceCanvas, looks: FaceLooks, inks: Inks, expression: Expression) -> None:
    """Brows, and between them the folds of a frown."""
    shape, v = looks.shape, (_ACROSS + 1) / 2  # from the inner end to the outer one
    inner = shape['eye_gap'] - shape['eye_width'] + 0.02 - shape['brow_inset'] - 0.03 * expression.frown
    x = inner + 2 * shape['brow_length'] * v
    y = (-shape['brow_height'] - 0.07 * expression.brows - shape['brow_tilt'] * (v - 0.5)
         - shape['brow_arch'] * np.sin(np.pi * v ** 1.3) + 0.07 * expression.frown * (1 - v))
    width = shape['brow_thickness'] * np.minimum(1, 0.55 + 2.5 * v) * (1 - v ** 3) + 0.012
    canvas.pair(ribbon(np.stack([x, y], 1), width), inks.brow)
    if shape['frown'] > 0.5 or expression.frown > 0.6:
        canvas.pair(ribbon(np.array([[0.07, -0.34], [0.055, -0.24], [0.075, -0.13]]), 0.02), inks.fold, 0.05)


def draw_nose(canvas: FaceCanvas, looks: FaceLooks, inks: Inks) -> None:
    """Wings, nostrils and what lies under the tip; the rest of a nose is shading."""
    shape = looks.shape
    end, half = shape['nose_length'], shape['nose_width']
    canvas.polygon(ribbon(smooth(np.array([
        [-0.66 * half, end + 0.03], [-0.30 * half, end + 0.035], [0.0, end + 0.07], [0.30 * half, end + 0.035],
        [0.66 * half, end + 0.03]])), 0.035), inks.fold, 0.18)
    wing = smooth(np.array([
        [0.74 * half, end - 0.16], [half, end - 0.07], [0.97 * half, end + 0.02], [0.66 * half, end + 0.035]]))
    canvas.pair(ribbon(wing, np.linspace(0.010, 0.030, len(wing))), inks.crease, 0.12)
    nostril = CIRCLE * (0.22 * half * shape['nostril'] + 0.012, 0.026 * shape['nostril'] + 0.006)
    canvas.pair(nostril + (0.46 * half, end + 0.012), inks.nostril, 0.16)


def draw_mouth(canvas: FaceCanvas, looks: FaceLooks, inks: Inks, expression: Expression) -> None:
    """Lips, what shows between them, the folds about them, and a moustache."""
    shape, u = looks.shape, _ACROSS
    width = shape['mouth_width'] * (1 + 0.22 * expression.smile - 0.18 * expression.opening)
    x, gap, thin = width * u, 0.26 * expression.opening, 1 - 0.25 * max(expression.smile, 0)
    middle = 1.0 + (0.10 * expression.smile + shape['mouth_bend']) * (_BOW - 0.55)
    upper, lower = middle - 0.35 * gap * _BOW, middle + 0.65 * gap * _BOW
    top = upper - shape['lip_upper'] * thin * _BOW ** 0.8 * (1 - shape['cupid'] * np.exp(-((u / 0.16) ** 2)))
    bottom = lower + shape['lip_lower'] * thin * _BOW ** 0.7
    if looks.beard in ('moustache', 'goatee', 'full', 'stubble'):
        canvas.band(1.2 * x, top - 0.14 * _BOW ** 0.5, top + 0.10 * (1 - _BOW), inks.beard[looks.beard == 'stubble'],
                    0.05)
    canvas.band(x, top, upper, inks.lip[1], 0.05)
    canvas.band(x, lower, bottom, inks.lip[0], 0.05)
    if gap > 0.02:
        canvas.band(x, upper, lower, inks.mouth, 0.03)
        canvas.band(0.8 * x, upper, np.minimum(lower, upper + 0.07 * _BOW), inks.teeth, 0.03)
    else:
        canvas.polygon(ribbon(np.stack([x, middle], 1), 0.024 + 0.008 * u ** 2), inks.crease, 0.05)
    canvas.polygon(ribbon(np.stack([0.45 * x, bottom + 0.05], 1), 0.03 * _BOW), inks.fold, 0.05)
    depth = min(1.0, 0.6 * shape['fold'] + 0.5 * max(expression.smile, 0))
    if depth > 0.25:
        line = smooth(np.array([
            [shape['nose_width'] + 0.05, shape['nose_length'] - 0.05],
            [0.4 * shape['nose_width'] + 0.6 * width + 0.12, 0.80], [width + 0.13, 1.02]]))
        canvas.pair(ribbon(line, 0.045 * depth * np.sin(np.linspace(0.3, np.pi, len(line)))), inks.fold, 0.02)


def draw_marks(canvas: FaceCanvas, looks: FaceLooks, inks: Inks) -> None:
    """Freckles, moles and scars."""
    for x, y in looks.freckles:
        canvas.ellipse(x, y, 0.013, 0.013, inks.freckle)
    for mark in looks.marks:
        if mark.kind == 'mole':
            canvas.ellipse(mark.x, mark.y, mark.size, mark.size, inks.mole)
        else:
            reach = 4 * mark.size * np.array([np.cos(mark.angle), np.sin(mark.angle)])
            ends = np.array([[mark.x, mark.y]]) + reach * np.array([[-1], [0], [1]])
            canvas.polygon(ribbon(ends, 0.8 * mark.size), inks.scar)


def draw_glasses(canvas: FaceCanvas, looks: FaceLooks, inks: Inks) -> None:
    """Rims, temples and the bridge between the rims."""
    if looks.glasses == 'none':
        return
    thickness = looks.glasses_thickness
    wide, high, power = _RIMS[looks.glasses]
    wide, high = wide * looks.glasses_size, high * looks.glasses_size
    rim = np.sign(CIRCLE) * np.abs(CIRCLE) ** (2 / power) * (wide, high)
    gap = max(looks.shape['eye_gap'], wide + 0.05)
    canvas.pair(ribbon(rim + (gap, 0.04), thickness), inks.frame, 0.08)
    canvas.pair(ribbon(np.array([[gap + wide, -0.05], [looks.shape['width'], -0.02]]), thickness), inks.frame)
    bridge = gap - wide
    canvas.polygon(ribbon(np.array([[-bridge, 0.0], [0.0, -0.05], [bridge, 0.0]]), thickness), inks.frame, 0.1)
