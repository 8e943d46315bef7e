"""Who: how an identity looks, drawn from the seed."""
from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, Sequence, Tuple

import numpy as np

from .chance import LOOKS, generator, one_of, weighted
from .colours import COLOURS, HAIRS, RGB, SKINS, distance, draw_colour, tone

__all__ = ['Cloth', 'Looks', 'draw_looks']

_TROUSER_COLOURS: Tuple[RGB, ...] = (
    (26, 26, 30), (40, 44, 60), (48, 66, 104), (88, 112, 150), (70, 70, 74), (128, 126, 122), (176, 160, 128),
    (92, 78, 58), (70, 80, 56), (206, 204, 198), (104, 40, 46),
)
# Material: lowest and highest reflectance in the near infrared, and how often its pattern is woven, so that it stays.
_MATERIALS: Dict[str, Tuple[float, float, float]] = {
    'cotton': (0.50, 0.95, 0.5),
    'polyester': (0.25, 0.95, 0.8),
    'wool': (0.30, 0.85, 0.9),
    'denim': (0.20, 0.65, 0.4),
    'nylon': (0.10, 0.55, 0.8),
    'leather': (0.05, 0.30, 0.9),
}
_STURDY_MATERIALS = ('leather', 'nylon', 'polyester', 'cotton')
_PATTERNS = ('plain', 'plain', 'hoops', 'stripes', 'block', 'yoke', 'logo', 'panel', 'band')
_TROUSER_PATTERNS = ('plain', 'plain', 'side', 'cuff')
# How often each kind occurs.
_CUTS = {'short': 0.44, 'waist': 0.14, 'thigh': 0.13, 'coat': 0.14, 'dress': 0.15}
_LOWER_KINDS = {'trousers': 0.46, 'wide': 0.16, 'shorts': 0.19, 'skirt': 0.19}
_HAIR_STYLES = {'short': 0.40, 'bald': 0.07, 'bob': 0.14, 'long': 0.17, 'tail': 0.12, 'bun': 0.10}
_CARRIED = {'none': 0.22, 'backpack': 0.24, 'shoulder': 0.20, 'handbag': 0.18, 'case': 0.16}
_HATS = {'none': 0.62, 'cap': 0.15, 'beanie': 0.11, 'brim': 0.12}
# Where a cut's hem lies relative to the hip.
_HEMS = {'short': 0.00, 'waist': 0.035, 'thigh': -0.09, 'coat': -0.19, 'dress': -0.16}


@dataclass(frozen=True)
class Cloth:
    """A material: what it looks like in either modality, and its pattern."""

    colour: RGB
    second: RGB
    reflectance: float
    second_reflectance: float
    pattern: str = 'plain'

    def ink(self, infrared: bool, second: bool = False) -> RGB:
        if second:
            return tone(infrared, self.second, self.second_reflectance)
        return tone(infrared, self.colour, self.reflectance)


@dataclass(frozen=True)
class Looks:
    """How one identity looks. Lengths are fractions of the body's height; hems are heights above the ground."""

    stature: float
    shoulder: float
    waist: float
    hip: float
    depth: float
    head: float
    leg: float
    limb: float
    swing: float
    skin: Cloth
    hair: Cloth
    hair_style: str
    upper: Cloth
    inner: Cloth
    open_front: bool
    collar: str
    sleeve: float
    hem: float
    flare: float
    lower: Cloth
    lower_kind: str
    lower_hem: float
    legwear: Cloth
    shoe: Cloth
    boot: float
    carried: str
    bag: Cloth
    bag_size: float
    side: int
    hat: str
    hat_cloth: Cloth


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _draw_cloth(
        rng: np.random.Generator,
        palette: Sequence[RGB] = COLOURS,
        materials: Sequence[str] = tuple(_MATERIALS),
        patterns: Sequence[str] = ('plain',),
) -> Cloth:
    """Draw colour and material independently, so that neither tells the other."""
    colour, second = draw_colour(rng, palette), draw_colour(rng, palette)
    if distance(colour, second) < 120:
        second = (232, 230, 224) if sum(colour) < 380 else (34, 36, 44)
    low, high, often = _MATERIALS[one_of(rng, materials)]
    reflectance, woven = rng.uniform(low, high), rng.random() < often
    # Light threads among dark ones or the reverse.
    offset = rng.uniform(0.30, 0.48) * (-1 if reflectance > 0.5 else 1)
    return Cloth(
        colour=colour,
        second=second,
        reflectance=reflectance,
        second_reflectance=reflectance + offset if woven else reflectance,
        pattern=one_of(rng, patterns),
    )


def _draw_skin_and_hair(rng: np.random.Generator) -> Tuple[Cloth, Cloth]:
    skin, skin_reflectance = one_of(rng, SKINS), rng.uniform(0.66, 0.80)
    hair, hair_reflectance = one_of(rng, HAIRS), rng.uniform(0.28, 0.52)
    if distance(hair, skin) < 130:
        hair = HAIRS[0]
    return Cloth(skin, skin, skin_reflectance, skin_reflectance), Cloth(hair, hair, hair_reflectance, hair_reflectance)


def _draw_lower(rng: np.random.Generator, cut: str) -> Tuple[str, float]:
    """What is worn below an upper garment of this cut, and the height of its hem."""
    kind = 'none' if cut == 'dress' else weighted(rng, _LOWER_KINDS)
    hem = {'shorts': 0.30, 'skirt': 0.29}.get(kind, 0.06) + rng.normal(0, 0.025)
    if kind == 'skirt' and rng.random() < 0.3:
        hem = 0.12
    return kind, hem


@lru_cache(maxsize=4096)
def draw_looks(seed: int, pid: int) -> Looks:
    """The looks of one identity. The order of the draws is part of the data set: to change it changes every person."""
    rng = generator(seed, pid, LOOKS)
    broad, fat = rng.normal(), _clip(rng.normal(), -1.5, 2.2)
    leg = _clip(rng.normal(0.475, 0.017), 0.44, 0.515)
    shoulder = _clip(0.122 + 0.008 * broad + 0.003 * fat, 0.10, 0.15)
    skin, hair = _draw_skin_and_hair(rng)
    cut = weighted(rng, _CUTS)
    lower_kind, lower_hem = _draw_lower(rng, cut)
    outer, dress = cut in ('waist', 'coat'), cut == 'dress'
    return Looks(
        stature=_clip(rng.normal(1.0, 0.05), 0.88, 1.1),
        shoulder=shoulder,
        waist=shoulder * _clip(0.76 + 0.09 * fat, 0.64, 1.04),
        hip=shoulder * _clip(0.80 + 0.07 * fat - 0.03 * broad + rng.normal(0, 0.04), 0.68, 1.05),
        depth=_clip(0.070 + 0.014 * fat, 0.052, 0.106),
        head=_clip(rng.normal(1.0, 0.05), 0.9, 1.12),
        leg=leg,
        limb=_clip(1.0 + 0.12 * fat + 0.05 * broad, 0.78, 1.36),
        swing=rng.uniform(0.75, 1.25),
        skin=skin,
        hair=hair,
        hair_style=weighted(rng, _HAIR_STYLES),
        upper=_draw_cloth(rng, patterns=_PATTERNS),
        inner=_draw_cloth(rng),
        open_front=outer and rng.random() < 0.55,
        collar=weighted(rng, {'round': 0.45, 'vee': 0.25, 'hood': 0.0 if dress else 0.3}),
        sleeve=1.0 if outer else weighted(rng, {0.0: 0.0 if cut == 'thigh' else 0.12, 0.42: 0.5, 1.0: 0.45}),
        hem=leg + _HEMS[cut] + rng.normal(0, 0.015),
        flare=rng.uniform(1.15, 1.5) if dress else rng.uniform(1.0, 1.15),
        lower=_draw_cloth(rng, _TROUSER_COLOURS, patterns=_TROUSER_PATTERNS),
        lower_kind=lower_kind,
        lower_hem=lower_hem,
        legwear=skin if rng.random() < 0.65 else _draw_cloth(rng, _TROUSER_COLOURS),
        shoe=_draw_cloth(rng, materials=_STURDY_MATERIALS),
        boot=rng.uniform(0.13, 0.24) if rng.random() < 0.22 else 0.0,
        carried=weighted(rng, _CARRIED),
        bag=_draw_cloth(rng, materials=_STURDY_MATERIALS),
        bag_size=rng.uniform(0.7, 1.35),
        side=1 if rng.random() < 0.5 else -1,
        hat=weighted(rng, _HATS),
        hat_cloth=_draw_cloth(rng),
    )
