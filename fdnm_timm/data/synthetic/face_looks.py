"""Who: how the face of an identity looks, drawn from the seed.

Lengths are in distances from the middle of the eyes to the middle of the mouth, which aligned crops make equal for all.
"""
from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, Tuple

import numpy as np

from .chance import FACE, generator, one_of, weighted
from .colours import HAIRS, RGB, SKINS, draw_colour, mix

__all__ = ['FaceLooks', 'Mark', 'Stuff', 'draw_face_looks']

# A person is a point in this box.
_RANGES: Dict[str, Tuple[float, float]] = {
    'width': (0.92, 1.14),  # half of the head's, at its widest
    'chin': (1.50, 1.84),  # its height below the eyes
    'jaw': (1.7, 3.6),  # 2 an ellipse, more is squarer
    'taper': (1.45, 2.1),
    'crown': (1.15, 1.50),
    'eye_gap': (0.42, 0.56),  # half of the distance between the eyes
    'eye_width': (0.175, 0.245),
    'eye_height': (0.075, 0.135),
    'eye_tilt': (-0.10, 0.30),
    'lid': (0.02, 0.075),
    'iris_size': (0.085, 0.105),
    'brow_height': (0.23, 0.42),
    'brow_thickness': (0.03, 0.105),
    'brow_arch': (0.0, 0.11),
    'brow_tilt': (-0.08, 0.08),
    'brow_length': (0.24, 0.36),
    'brow_inset': (0.00, 0.10),  # how far it reaches beyond the eye's inner corner
    'nose_length': (0.50, 0.70),
    'nose_width': (0.17, 0.31),
    'nose_bridge': (0.06, 0.15),
    'nostril': (0.5, 1.0),
    'mouth_width': (0.29, 0.46),
    'lip_upper': (0.045, 0.115),
    'lip_lower': (0.065, 0.155),
    'cupid': (0.0, 0.55),
    'mouth_bend': (-0.05, 0.05),
    'ear_size': (0.26, 0.42),
    'ear_out': (0.04, 0.20),
    'hairline': (0.58, 0.92),  # its height above the eyes
    'hair_corner': (2.2, 7.0),  # 2 a round hairline, more is squarer
    'hair_volume': (0.06, 0.22),
    'cheek': (-0.03, 0.07),
    'fold': (0.0, 1.0),  # how deep the lines beside the mouth are
    'frown': (0.0, 1.0),
    'bags': (0.0, 1.0),
    'cleft': (0.0, 1.0),
}
_HAIR_LENGTHS = {'bald': 0.06, 'buzz': 0.16, 'short': 0.40, 'bob': 0.15, 'long': 0.23}
_HAIRLINES = {'round': 0.26, 'peak': 0.16, 'receding': 0.18, 'fringe': 0.20, 'part': 0.20}
_BEARDS = {'none': 0.66, 'stubble': 0.12, 'full': 0.06, 'goatee': 0.05, 'moustache': 0.07, 'chin': 0.04}
_GLASSES = {'none': 0.76, 'round': 0.08, 'square': 0.10, 'wide': 0.06}
_IRISES: Tuple[RGB, ...] = ((58, 38, 26), (84, 56, 36), (120, 92, 52), (84, 110, 72), (92, 124, 158), (120, 132, 142))
_LIPS: Tuple[RGB, ...] = ((196, 92, 92), (150, 62, 66), (206, 120, 112), (170, 40, 60))
_FRAMES: Tuple[RGB, ...] = ((24, 24, 26), (70, 48, 36), (150, 140, 120), (186, 190, 194), (120, 30, 36), (40, 60, 110))


@dataclass(frozen=True)
class Stuff:
    """A material: its colour, and its reflectance in the near infrared, which the colour does not tell."""

    colour: RGB
    reflectance: float


@dataclass(frozen=True)
class Mark:
    """A mole or a scar."""

    kind: str
    x: float
    y: float
    size: float
    angle: float


@dataclass(frozen=True)
class FaceLooks:
    """How one face looks. `shape` has the lengths and shares listed in this module; `side` is 1 or -1."""

    shape: Dict[str, float]
    hair_length: str
    hairline: str
    side: int
    beard: str
    glasses: str
    glasses_size: float
    glasses_thickness: float
    marks: Tuple[Mark, ...]
    freckles: Tuple[Tuple[float, float], ...]
    skin: Stuff
    lip: Stuff
    hair: Stuff
    brow: Stuff
    beard_hair: Stuff
    iris: Stuff
    frame: Stuff


def _draw_marks(rng: np.random.Generator) -> Tuple[Mark, ...]:
    marks = []
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.55, 0.30, 0.12, 0.03]))):
        kind = weighted(rng, {'mole': 0.75, 'scar': 0.25})
        x, y = rng.uniform(-0.75, 0.75), rng.uniform(0.25, 1.35)
        if abs(x) < 0.36:  # not on the nose or the mouth
            x += 0.36 if x > 0 else -0.36
        marks.append(Mark(kind, x, y, rng.uniform(0.024, 0.042), rng.uniform(0, np.pi)))
    return tuple(marks)


def _draw_freckles(rng: np.random.Generator) -> Tuple[Tuple[float, float], ...]:
    number = int(rng.integers(20, 50)) if rng.random() < 0.15 else 0
    return tuple(zip(rng.normal(0, 0.42, number).tolist(), rng.normal(0.42, 0.13, number).tolist(), strict=True))


def _draw_skin(rng: np.random.Generator) -> RGB:
    at = rng.uniform(0, len(SKINS) - 1.001)
    return mix(SKINS[int(at)], SKINS[int(at) + 1], at % 1)


@lru_cache(maxsize=4096)
def draw_face_looks(seed: int, pid: int) -> FaceLooks:
    """The looks of one face. The order of the draws is part of the data set: to change it changes every face."""
    rng = generator(seed, pid, FACE)
    shape = {name: rng.uniform(low, high) for name, (low, high) in _RANGES.items()}
    skin, hair = _draw_skin(rng), draw_colour(rng, HAIRS)
    hair_length = weighted(rng, _HAIR_LENGTHS)
    return FaceLooks(
        shape=shape,
        hair_length=hair_length,
        hairline=weighted(rng, _HAIRLINES),
        side=1 if rng.random() < 0.5 else -1,
        beard=weighted(rng, _BEARDS),
        glasses=weighted(rng, _GLASSES),
        glasses_size=rng.uniform(0.85, 1.2),
        glasses_thickness=rng.uniform(0.025, 0.06),
        marks=_draw_marks(rng),
        freckles=_draw_freckles(rng),
        skin=Stuff(skin, rng.uniform(0.62, 0.72)),
        lip=Stuff(mix(skin, one_of(rng, _LIPS), rng.uniform(0.3, 0.75)), rng.uniform(0.86, 0.98)),
        hair=Stuff(hair, rng.uniform(0.12, 0.95)),
        brow=Stuff(mix(hair, (30, 24, 22), rng.uniform(0.1, 0.8)), rng.uniform(0.20, 0.50)),
        beard_hair=Stuff(mix(hair, (40, 32, 28), rng.uniform(0, 0.6)), rng.uniform(0.20, 0.52)),
        iris=Stuff(draw_colour(rng, _IRISES), rng.uniform(0.22, 0.50)),
        frame=Stuff(one_of(rng, _FRAMES), rng.uniform(0.06, 0.85)),
    )
