"""Colours, and what becomes of them in the shade and in the infrared."""
from typing import Sequence, Tuple

import numpy as np

from .chance import one_of

__all__ = ['COLOURS', 'HAIRS', 'RGB', 'SKINS', 'distance', 'draw_colour', 'mix', 'shade', 'tone']

RGB = Tuple[int, int, int]

COLOURS: Tuple[RGB, ...] = (
    (28, 28, 32), (34, 36, 46), (62, 64, 70), (120, 122, 126), (172, 172, 170), (226, 226, 222), (238, 236, 226),
    (32, 42, 78), (44, 74, 132), (92, 132, 180), (150, 32, 40), (196, 56, 52), (108, 30, 48), (36, 84, 58),
    (96, 112, 66), (198, 176, 138), (128, 92, 62), (212, 168, 62), (206, 132, 152), (104, 74, 126), (58, 130, 136),
)
SKINS: Tuple[RGB, ...] = ((236, 202, 178), (222, 182, 152), (202, 158, 124), (160, 114, 82), (112, 78, 58))
HAIRS: Tuple[RGB, ...] = ((24, 20, 20), (36, 28, 24), (70, 46, 32), (112, 78, 48), (182, 146, 92), (142, 140, 138))


def shade(colour: RGB, factor: float) -> RGB:
    r, g, b = (min(255, int(c * factor)) for c in colour)
    return r, g, b


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """`a` with a `share` of `b`, which lies in [0, 1]."""
    x, y, z = (round(p + share * (q - p)) for p, q in zip(a, b, strict=True))
    return x, y, z


def tone(infrared: bool, colour: RGB, reflectance: float) -> RGB:
    """What a camera sees of a surface: its colour, or the grey of its reflectance in the infrared."""
    grey = round(255 * reflectance)
    return (grey, grey, grey) if infrared else colour


def distance(a: RGB, b: RGB) -> int:
    return sum(abs(p - q) for p, q in zip(a, b, strict=True))


def draw_colour(rng: np.random.Generator, palette: Sequence[RGB], jitter: float = 8) -> RGB:
    base = one_of(rng, palette)
    r, g, b = (int(np.clip(c + d, 12, 245)) for c, d in zip(base, rng.normal(0, jitter, 3), strict=True))
    return r, g, b
