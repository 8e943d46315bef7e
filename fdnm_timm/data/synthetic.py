"""SyntheticVI: people drawn in visible light and in the near infrared, seen by the six cameras of SYSU-MM01.

A person is a small articulated figure (body, hair, garments, things carried) drawn from ``(seed, pid)``. A camera is a
place (view, background, light, noise) drawn from ``(seed, camid)``. An image adds pose, framing and noise drawn from
``(seed, pid, camid, index)``. A material has a colour and, drawn independently, a reflectance in the near infrared, for
most dyes let it pass: colour says nothing about brightness in the infrared. A dyed pattern vanishes there, a woven one
stays. What both modalities share is the body, the cut and length of the garments, what is worn and carried, and the
woven patterns.

Nothing is downloaded. The bytes depend on the versions of NumPy and Pillow only as far as these change their random
streams, their rasteriser or their JPEG encoder.
"""

import io
import json
import math
import os
import shutil
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple, Union

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

__all__ = ['INFRARED_CAMERAS', 'VISIBLE_CAMERAS', 'draw_person', 'write_sysu_layout']

VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)
FORMAT_VERSION = 1

RGB = Tuple[int, int, int]
Point = Tuple[float, float]
Point3 = Tuple[float, float, float]

_SUPERSAMPLE = 3
_ABSENT = 0.15
_JPEG_QUALITY = 92
# The last entry of each SeedSequence keeps the random streams apart.
_LOOKS, _PLACE, _IMAGE, _PRESENCE = range(4)

_COLOURS: Tuple[RGB, ...] = (
    (28, 28, 32), (34, 36, 46), (62, 64, 70), (120, 122, 126), (172, 172, 170), (226, 226, 222), (238, 236, 226),
    (32, 42, 78), (44, 74, 132), (92, 132, 180), (150, 32, 40), (196, 56, 52), (108, 30, 48), (36, 84, 58),
    (96, 112, 66), (198, 176, 138), (128, 92, 62), (212, 168, 62), (206, 132, 152), (104, 74, 126), (58, 130, 136),
)
_TROUSER_COLOURS: Tuple[RGB, ...] = (
    (26, 26, 30), (40, 44, 60), (48, 66, 104), (88, 112, 150), (70, 70, 74), (128, 126, 122), (176, 160, 128),
    (92, 78, 58), (70, 80, 56), (206, 204, 198), (104, 40, 46),
)
_DOORS: Tuple[RGB, ...] = ((138, 112, 84), (96, 80, 66), (150, 152, 150), (92, 106, 116), (166, 148, 112))
_SKINS: Tuple[RGB, ...] = ((236, 202, 178), (222, 182, 152), (202, 158, 124), (160, 114, 82), (112, 78, 58))
_HAIRS: Tuple[RGB, ...] = ((24, 20, 20), (36, 28, 24), (70, 46, 32), (112, 78, 48), (182, 146, 92), (142, 140, 138))
# Material: lowest and highest reflectance in the near infrared, and how often its pattern is woven, so that it stays.
_MATERIALS: Dict[str, Tuple[float, float, float]] = {
    'cotton': (0.50, 0.95, 0.5),
    'polyester': (0.25, 0.95, 0.8),
    'wool': (0.30, 0.85, 0.9),
    'denim': (0.20, 0.65, 0.4),
    'nylon': (0.10, 0.55, 0.8),
    'leather': (0.05, 0.30, 0.9),
}
_PATTERNS = ('plain', 'plain', 'hoops', 'stripes', 'block', 'yoke', 'logo', 'panel', 'band')


@dataclass(frozen=True)
class _Cloth:
    """A material: what it looks like in either modality, and its pattern."""

    colour: RGB
    second: RGB
    reflectance: float
    second_reflectance: float
    pattern: str = 'plain'

    def ink(self, infrared: bool, second: bool = False) -> RGB:
        if not infrared:
            return self.second if second else self.colour
        grey = round(255 * (self.second_reflectance if second else self.reflectance))
        return grey, grey, grey


@dataclass(frozen=True)
class _Looks:
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
    skin: _Cloth
    hair: _Cloth
    hair_style: str
    upper: _Cloth
    inner: _Cloth
    open_front: bool
    collar: str
    sleeve: float
    hem: float
    flare: float
    lower: _Cloth
    lower_kind: str
    lower_hem: float
    legwear: _Cloth
    shoe: _Cloth
    boot: float
    carried: str
    bag: _Cloth
    bag_size: float
    side: int
    hat: str
    hat_cloth: _Cloth


@dataclass(frozen=True)
class _Camera:
    """One camera: its view, its light and its sensor. Angles are in radians, lengths fractions of the image height."""

    infrared: bool
    indoor: bool
    yaws: Tuple[float, ...]
    yaw_spread: float
    pitch: float
    scale: float
    baseline: float
    gain: float
    gamma: float
    cast: Tuple[float, float, float]
    light_side: float
    noise: float
    stripe: float
    blur: float
    quality: int


_CAMERAS: Dict[int, _Camera] = {
    1: _Camera(False, True, (0.2, 0.9, 2.9), 0.30, 0.16, 0.90, 0.960, 1.04, 1.00, (1.05, 1.00, 0.90), -0.10, 3.0, 0.0,
               0.35, 88),
    2: _Camera(False, True, (-0.5, -1.3, 2.6), 0.30, 0.24, 0.88, 0.955, 0.92, 1.10, (0.96, 1.02, 1.00), 0.12, 4.0, 0.0,
               0.50, 84),
    3: _Camera(True, True, (-0.3, 1.1, 3.1), 0.30, 0.22, 0.90, 0.960, 1.12, 0.92, (1.0, 1.0, 1.0), 0.00, 5.0, 1.5,
               0.50, 84),
    4: _Camera(False, False, (0.0, 1.5, -2.6), 0.30, 0.12, 0.86, 0.950, 1.06, 0.94, (0.98, 1.00, 1.03), 0.18, 2.5, 0.0,
               0.40, 86),
    5: _Camera(False, False, (0.6, -1.5, 3.0), 0.30, 0.18, 0.90, 0.965, 0.92, 1.08, (1.04, 0.99, 0.94), -0.20, 4.0, 0.0,
               0.60, 80),
    6: _Camera(True, False, (0.4, -1.2, 2.7), 0.30, 0.16, 0.88, 0.955, 1.15, 1.00, (1.0, 1.0, 1.0), 0.05, 5.0, 2.0,
               0.60, 80),
}


@dataclass(frozen=True)
class _Pose:
    """Where and how a person stands in one image. `x` and `base` are in pixels of the supersampled layer."""

    yaw: float
    pitch: float
    phase: float
    swing: float
    scale: float
    x: float
    base: float


def _generator(*key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(key))


def _shade(colour: RGB, factor: float) -> RGB:
    r, g, b = (min(255, int(c * factor)) for c in colour)
    return r, g, b


# ---------------------------------------------------------------------------------------------------------------------
# Who: the looks of an identity


def _draw_colour(rng: np.random.Generator, palette: Sequence[RGB], jitter: float = 8) -> RGB:
    base = palette[int(rng.integers(len(palette)))]
    r, g, b = (int(np.clip(c + d, 12, 245)) for c, d in zip(base, rng.normal(0, jitter, 3), strict=True))
    return r, g, b


def _draw_cloth(
        rng: np.random.Generator,
        palette: Sequence[RGB] = _COLOURS,
        materials: Sequence[str] = tuple(_MATERIALS),
        patterns: Sequence[str] = ('plain',),
) -> _Cloth:
    """Draw colour and material independently, so that neither tells the other."""
    colour, second = _draw_colour(rng, palette), _draw_colour(rng, palette)
    if sum(abs(a - b) for a, b in zip(colour, second, strict=True)) < 120:
        second = (232, 230, 224) if sum(colour) < 380 else (34, 36, 44)
    low, high, often = _MATERIALS[materials[int(rng.integers(len(materials)))]]
    reflectance, woven = float(rng.uniform(low, high)), rng.random() < often
    # Light threads among dark ones or the reverse.
    offset = float(rng.uniform(0.30, 0.48)) * (-1 if reflectance > 0.5 else 1)
    return _Cloth(
        colour=colour,
        second=second,
        reflectance=reflectance,
        second_reflectance=reflectance + offset if woven else reflectance,
        pattern=patterns[int(rng.integers(len(patterns)))],
    )


def _pick(rng: np.random.Generator, *options: Tuple[Any, float]) -> Any:
    """One of the `options` (value, weight)."""
    mark = float(rng.random()) * sum(weight for _, weight in options)
    for value, weight in options:
        mark -= weight
        if mark < 0:
            return value
    return options[-1][0]


@lru_cache(maxsize=4096)
def _looks(seed: int, pid: int) -> _Looks:
    rng = _generator(seed, pid, _LOOKS)
    broad, fat = float(rng.normal()), float(np.clip(rng.normal(), -1.5, 2.2))
    leg = float(np.clip(rng.normal(0.475, 0.017), 0.44, 0.515))
    shoulder = float(np.clip(0.122 + 0.008 * broad + 0.003 * fat, 0.10, 0.15))
    skin_tone = _SKINS[int(rng.integers(len(_SKINS)))]
    skin_reflectance = float(rng.uniform(0.66, 0.80))
    hair_tone = _HAIRS[int(rng.integers(len(_HAIRS)))]
    if sum(abs(a - b) for a, b in zip(hair_tone, skin_tone, strict=True)) < 130:
        hair_tone = _HAIRS[0]
    hair_reflectance = float(rng.uniform(0.28, 0.52))
    cut = _pick(rng, ('short', 0.44), ('waist', 0.14), ('thigh', 0.13), ('coat', 0.14), ('dress', 0.15))
    hem = {'short': 0.00, 'waist': 0.035, 'thigh': -0.09, 'coat': -0.19, 'dress': -0.16}[cut]
    lower_kind = 'none' if cut == 'dress' else _pick(
        rng, ('trousers', 0.46), ('wide', 0.16), ('shorts', 0.19), ('skirt', 0.19))
    lower_hem = {'shorts': 0.30, 'skirt': 0.29}.get(lower_kind, 0.06) + float(rng.normal(0, 0.025))
    if lower_kind == 'skirt' and rng.random() < 0.3:
        lower_hem = 0.12
    outer = cut in ('waist', 'coat')
    skin = _Cloth(skin_tone, skin_tone, skin_reflectance, skin_reflectance)
    return _Looks(
        stature=float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.1)),
        shoulder=shoulder,
        waist=shoulder * float(np.clip(0.76 + 0.09 * fat, 0.64, 1.04)),
        hip=shoulder * float(np.clip(0.80 + 0.07 * fat - 0.03 * broad + rng.normal(0, 0.04), 0.68, 1.05)),
        depth=float(np.clip(0.070 + 0.014 * fat, 0.052, 0.106)),
        head=float(np.clip(rng.normal(1.0, 0.05), 0.9, 1.12)),
        leg=leg,
        limb=float(np.clip(1.0 + 0.12 * fat + 0.05 * broad, 0.78, 1.36)),
        swing=float(rng.uniform(0.75, 1.25)),
        skin=skin,
        hair=_Cloth(hair_tone, hair_tone, hair_reflectance, hair_reflectance),
        hair_style=_pick(rng, ('short', 0.40), ('bald', 0.07), ('bob', 0.14), ('long', 0.17), ('tail', 0.12),
                         ('bun', 0.10)),
        upper=_draw_cloth(rng, patterns=_PATTERNS),
        inner=_draw_cloth(rng),
        open_front=bool(outer and rng.random() < 0.55),
        collar=_pick(rng, ('round', 0.45), ('vee', 0.25), ('hood', 0.3 if cut != 'dress' else 0.0)),
        sleeve=1.0 if outer else _pick(rng, (0.0, 0.12 if cut != 'thigh' else 0.0), (0.42, 0.5), (1.0, 0.45)),
        hem=leg + hem + float(rng.normal(0, 0.015)),
        flare=float(rng.uniform(1.15, 1.5)) if cut == 'dress' else float(rng.uniform(1.0, 1.15)),
        lower=_draw_cloth(rng, _TROUSER_COLOURS, patterns=('plain', 'plain', 'side', 'cuff')),
        lower_kind=lower_kind,
        lower_hem=lower_hem,
        legwear=skin if rng.random() < 0.65 else _draw_cloth(rng, _TROUSER_COLOURS),
        shoe=_draw_cloth(rng, materials=('leather', 'nylon', 'polyester', 'cotton')),
        boot=float(rng.uniform(0.13, 0.24)) if rng.random() < 0.22 else 0.0,
        carried=_pick(rng, ('none', 0.22), ('backpack', 0.24), ('shoulder', 0.20), ('handbag', 0.18), ('case', 0.16)),
        bag=_draw_cloth(rng, materials=('leather', 'nylon', 'polyester', 'cotton')),
        bag_size=float(rng.uniform(0.7, 1.35)),
        side=1 if rng.random() < 0.5 else -1,
        hat=_pick(rng, ('none', 0.62), ('cap', 0.15), ('beanie', 0.11), ('brim', 0.12)),
        hat_cloth=_draw_cloth(rng),
    )


# ---------------------------------------------------------------------------------------------------------------------
# The figure


def _capsule(
        a: Point,
        b: Point,
        ra: float,
        rb: float,
        dx: float = 0.0,
        shrink: float = 1.0,
        flat: Tuple[bool, bool] = (False, False),
) -> List[Point]:
    """Outline of a tapered limb, moved by `dx` and thinned by `shrink`, with round or `flat` ends."""
    angle = math.atan2(b[1] - a[1], b[0] - a[0])
    outline = []
    for (x, y), radius, start, cut in ((a, ra, angle + math.pi / 2, flat[0]), (b, rb, angle - math.pi / 2, flat[1])):
        for step in (0, 6) if cut else range(7):
            t = start + math.pi * step / 6
            outline.append((x + radius * (dx + shrink * math.cos(t)), y + radius * shrink * math.sin(t)))
    return outline


@dataclass
class _Shell:
    """A garment round the trunk: rows of ellipses from top to bottom, already projected.

    A point of the cloth is named by its angle round the body (0 in front, positive to the screen's right when seen
    from the front) and by its place between the top row (0) and the bottom row (1).
    """

    y: np.ndarray
    x: np.ndarray
    radius: np.ndarray
    turn: float

    def span(self, centre: float, half: float) -> Tuple[float, float]:
        """The visible part of the angles within `half` of `centre`, as places across the shell; empty when hidden."""
        seen = (centre + self.turn + math.pi) % (2 * math.pi) - math.pi
        low, high = max(seen - half, -math.pi / 2), min(seen + half, math.pi / 2)
        return (math.sin(low), math.sin(high)) if low < high else (0.0, 0.0)

    def patch(self, u0: float, u1: float, v0: float, v1: float) -> List[Point]:
        """Polygon between places `u0` and `u1` across and rows `v0` and `v1`."""
        rows = len(self.y)
        at = np.linspace(v0, v1, max(2, int(rows * (v1 - v0)) + 1)) * (rows - 1)
        grid = np.arange(rows)
        y, x, r = (np.interp(at, grid, values) for values in (self.y, self.x, self.radius))
        left, right = list(zip(x + u0 * r, y, strict=True)), list(zip(x + u1 * r, y, strict=True))
        return [(float(px), float(py)) for px, py in left + right[::-1]]


class _Figure:
    """Draws one person in one pose on a transparent, supersampled layer."""

    def __init__(self, looks: _Looks, pose: _Pose, infrared: bool, size: Tuple[int, int]):
        self.looks, self.pose, self.infrared = looks, pose, infrared
        # RGBX, not RGBA: reduce() then leaves the colours premultiplied, which is what the blending needs.
        self.layer = Image.new('RGBX', size, 0)
        self.pen = ImageDraw.Draw(self.layer)
        self.cos, self.sin = math.cos(pose.yaw), math.sin(pose.yaw)
        self.down, self.tilt = math.cos(pose.pitch), math.sin(pose.pitch)
        self.neck = 0.825
        self.lift = 0.0
        self.legs = {side: self._leg_joints(side) for side in (-1, 1)}
        self.lift = 0.03 - min(joints[2][1] for joints in self.legs.values())
        self.legs = {side: [(x, y + self.lift, z) for x, y, z in joints] for side, joints in self.legs.items()}
        self.arms = {side: self._arm_joints(side) for side in (-1, 1)}

    # Geometry: x to the person's left (the screen's right when frontal), y up, z forward, in body heights.

    def at(self, p: Point3) -> Point:
        x, y, z = p
        depth = z * self.cos - x * self.sin
        s = self.pose.scale
        return self.pose.x + s * (x * self.cos + z * self.sin), self.pose.base - s * (y * self.down - depth * self.tilt)

    def depth(self, p: Point3) -> float:
        return p[2] * self.cos - p[0] * self.sin

    def _leg_joints(self, side: int) -> List[Point3]:
        pose, leg = self.pose, self.looks.leg
        phase = pose.phase + (0.0 if side > 0 else math.pi)
        thigh = pose.swing * math.sin(phase)
        shin = thigh - pose.swing * (0.25 + 1.1 * max(0.0, math.cos(phase)) ** 2)
        x, half = side * self.looks.hip * 0.52, (leg - 0.03) / 2
        hip = (x, leg + 0.02, 0.0)
        knee = (x * 1.02, hip[1] - (half + 0.01) * math.cos(thigh), half * math.sin(thigh))
        ankle = (x * 0.95, knee[1] - half * math.cos(shin), knee[2] + half * math.sin(shin))
        return [hip, knee, ankle]

    def _arm_joints(self, side: int) -> List[Point3]:
        pose = self.pose
        swing = 0.85 * pose.swing * math.sin(pose.phase + (math.pi if side > 0 else 0.0))
        bend = 0.22 + 0.5 * max(0.0, swing)
        if self.looks.carried in ('handbag', 'case') and side == self.looks.side:
            swing, bend = (0.12 * swing, 0.1) if self.looks.carried == 'handbag' else (-0.35, 0.0)
        x = side * (self.looks.shoulder - 0.020)
        out = side * (0.028 + 0.018 * self.looks.limb)
        top = (x, self.neck - 0.046 + self.lift, 0.0)
        elbow = (x + out, top[1] - 0.165 * math.cos(swing), 0.165 * math.sin(swing))
        swing += bend
        hand = (elbow[0] + out * 0.1, elbow[1] - 0.15 * math.cos(swing), elbow[2] + 0.15 * math.sin(swing))
        return [top, elbow, hand]

    def shell(self, rows: Sequence[Tuple[float, float, float]]) -> _Shell:
        """A shell from `rows` of (height, half width, half depth), top to bottom."""
        y, w, d = np.asarray(rows, dtype=np.float64).T
        at = np.linspace(0, len(y) - 1, 4 * len(y))
        y, w, d = (np.interp(at, np.arange(len(y)), values) for values in (y, w, d))
        s, middle = self.pose.scale, len(at) // 3
        return _Shell(
            y=self.pose.base - s * (y + self.lift) * self.down,
            x=np.full(len(at), self.pose.x),
            radius=s * np.hypot(w * self.cos, d * self.sin),
            turn=math.atan2(d[middle] * self.sin, w[middle] * self.cos),
        )

    # Ink

    def polygon(self, points: Sequence[Point], ink: RGB) -> None:
        self.pen.polygon(points, fill=(*ink, 255))

    def ellipse(self, x: float, y: float, rx: float, ry: float, ink: RGB) -> None:
        if rx > 0.3 and ry > 0.3:
            self.pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=(*ink, 255))

    def limb(self, joints: Sequence[Point3], radii: Sequence[float], ink: RGB, cut: str = '') -> None:
        """A chain of tapered segments: first its dark side, then its lit side, so that joints show no seam.

        `cut` names the ends that are cut straight, as a hem is: 'end', or 'both'.
        """
        points, r = [self.at(p) for p in joints], [self.pose.scale * radius for radius in radii]
        last = len(points) - 2
        for tone, dx, shrink in ((0.76, 0.0, 1.0), (1.0, -0.14, 0.82)):
            for i in range(last + 1):
                flat = (cut == 'both' and i == 0, cut != '' and i == last)
                self.polygon(_capsule(points[i], points[i + 1], r[i], r[i + 1], dx, shrink, flat), _shade(ink, tone))

    def cover(
            self,
            shell: _Shell,
            ink: RGB,
            v0: float = 0.0,
            v1: float = 1.0,
            centre: float = 0.0,
            half: float = math.pi,
    ) -> None:
        """Paint part of a shell, with the shading of a cylinder lit from the left."""
        low, high = (-1.0, 1.0) if half >= math.pi else shell.span(centre, half)
        for left, right, tone in ((-1.0, 1.0, 0.74), (-0.93, 0.72, 0.90), (-0.86, 0.38, 1.0)):
            a, b = max(low, left), min(high, right)
            if b - a > 0.01 and v1 > v0:
                self.polygon(shell.patch(a, b, v0, v1), _shade(ink, tone))

    # Parts

    def draw(self) -> Image.Image:
        looks, back = self.looks, self.cos < 0
        ink = looks.upper.ink(self.infrared)
        far, near = sorted((-1, 1), key=lambda side: self.depth((side * 1.0, 0.0, 0.0)) * 10
                           + self.depth(self.legs[side][2]))
        far_arm_hidden = abs(self.sin) > 0.35
        if looks.carried == 'case' and self.depth((looks.side * 0.2, 0, -0.3)) < 0:
            self.case()
        if not back:
            self.backpack()
            self.hair_behind()
        if far_arm_hidden:
            self.arm(far)
        if looks.carried == 'shoulder' and self.depth((looks.side * 1.0, 0, 0)) < -0.35:
            self.shoulder_bag()
        self.leg(far, 0.84)
        self.leg(near, 1.0)
        self.lower_body()
        trunk = self.trunk()
        self.garment(trunk, ink)
        self.straps(trunk)
        if looks.carried == 'shoulder' and self.depth((looks.side * 1.0, 0, 0)) >= -0.35:
            self.shoulder_bag()
        self.head()
        if back:
            self.hair_behind()
            self.backpack()
        if not far_arm_hidden:
            self.arm(far)
        self.arm(near)
        if looks.carried == 'case' and self.depth((looks.side * 0.2, 0, -0.3)) >= 0:
            self.case()
        return self.layer

    def leg(self, side: int, tone: float) -> None:
        looks, joints, k = self.looks, self.legs[side], self.looks.limb
        hip, knee, ankle = joints
        heel = (ankle[0], max(0.016, ankle[1] - 0.018), ankle[2] - 0.012)
        toe = (ankle[0] * 1.25, max(0.012, heel[1] - 0.004 - 0.12 * max(0.0, -0.25 + ankle[1])), ankle[2] + 0.088)
        bare = looks.lower_kind in ('none', 'shorts', 'skirt')
        cloth = looks.legwear if bare else looks.lower
        ink = _shade(cloth.ink(self.infrared), tone)
        shoe = _shade(looks.shoe.ink(self.infrared), tone)
        self.limb([heel, toe], [0.024, 0.019], shoe)
        if bare:
            self.limb(joints, [0.058 * k, 0.038 * k, 0.024], ink)
        else:
            wide = 1.2 if looks.lower_kind == 'wide' else 1.0
            self.limb(joints, [0.064 * k, 0.046 * k * wide, 0.034 * wide ** 1.6], ink, 'end')
            if looks.lower.pattern != 'plain':
                self.leg_pattern(side, tone)
        if looks.boot:
            top = _along(ankle, knee, looks.boot / 0.22)
            self.limb([top, ankle], [0.040 * k, 0.031], shoe, 'both')
        if looks.lower_kind == 'shorts':
            cut = _along(hip, knee, min(1.0, (hip[1] - looks.lower_hem) / (hip[1] - 0.26)))
            self.limb([hip, cut], [0.066 * k, 0.057 * k], _shade(looks.lower.ink(self.infrared), tone),
                      'end')

    def leg_pattern(self, side: int, tone: float) -> None:
        """A stripe along the outer seam, or lower legs of another colour."""
        (hip, knee, ankle), k = self.legs[side], self.looks.limb
        ink = _shade(self.looks.lower.ink(self.infrared, second=True), tone)
        if self.looks.lower.pattern == 'cuff':
            wide = 1.2 if self.looks.lower_kind == 'wide' else 1.0
            self.limb([_along(knee, ankle, 0.4), ankle], [0.042 * k * wide, 0.034 * wide ** 1.6], ink, 'both')
        elif self.depth((side * 1.0, 0, 0)) > -0.4:
            shift = [(p[0] + side * 0.036 * k, p[1], p[2]) for p in (hip, knee, ankle)]
            self.limb(shift, [0.012, 0.011, 0.010], ink)

    def lower_body(self) -> None:
        looks = self.looks
        if looks.lower_kind == 'none':
            return
        ink = looks.lower.ink(self.infrared)
        rows = [(looks.leg + 0.10, looks.waist, looks.depth), (looks.leg + 0.03, looks.hip, looks.depth)]
        if looks.lower_kind == 'skirt':
            stride = 0.35 * self.pose.swing * looks.leg
            rows += [(looks.lower_hem, looks.hip * looks.flare * 1.1, looks.depth * looks.flare + 0.4 * stride)]
        else:
            rows += [(looks.leg - 0.045, looks.hip * 0.92, looks.depth * 0.9)]
        shell = self.shell(rows)
        self.cover(shell, ink)
        if looks.lower_kind == 'skirt' and looks.lower.pattern == 'cuff':
            self.cover(shell, looks.lower.ink(self.infrared, second=True), 0.72, 0.92)

    def trunk(self) -> _Shell:
        looks, n = self.looks, self.neck
        w, d = looks.shoulder, looks.depth
        rows = [
            (n + 0.022, 0.040, 0.040),
            (n - 0.002, w * 0.74, d * 0.72),
            (n - 0.028, w * 0.97, d * 0.90),
            (n - 0.100, w * 0.94, d * 1.05),
            (n - 0.200, (w + looks.waist) / 2 * 0.97, d * 1.02),
            (looks.leg + 0.14, looks.waist, d * 1.02),
            (looks.leg + 0.035, looks.hip * 1.06, d * 1.08),
        ]
        if looks.hem < looks.leg + 0.03:
            grow = 1 + (looks.flare - 1) * min(1.0, (looks.leg + 0.035 - looks.hem) / 0.15)
            rows.append((looks.hem, looks.hip * 1.08 * grow, d * 1.1 * grow))
        else:
            rows[-1] = (looks.hem, looks.hip * 1.03, d * 1.05)
        return self.shell(rows)

    def garment(self, trunk: _Shell, ink: RGB) -> None:
        looks, second = self.looks, self.looks.upper.ink(self.infrared, second=True)
        pattern = looks.upper.pattern
        self.cover(trunk, ink)
        if pattern == 'hoops':
            for v in (0.24, 0.42, 0.60, 0.78):
                self.cover(trunk, second, v, v + 0.08)
        elif pattern == 'stripes':
            for k in range(9):
                self.cover(trunk, second, 0.12, 1.0, k * 2 * math.pi / 9, 0.16)
        elif pattern in ('block', 'yoke', 'band'):
            v0, v1 = {'block': (0.55, 1.0), 'yoke': (0.0, 0.34), 'band': (0.36, 0.54)}[pattern]
            self.cover(trunk, second, v0, v1)
        elif pattern == 'logo':
            self.cover(trunk, second, 0.32, 0.52, 0.0, 0.50)
            self.cover(trunk, second, 0.26, 0.62, math.pi, 0.62)
        elif pattern == 'panel':
            self.cover(trunk, second, 0.1, 1.0, math.pi / 2, 0.42)
            self.cover(trunk, second, 0.1, 1.0, -math.pi / 2, 0.42)
        if looks.open_front:
            self.cover(trunk, looks.inner.ink(self.infrared), 0.06, 1.0, 0.0, 0.36)
        elif looks.sleeve == 1.0 and looks.collar == 'hood':
            self.cover(trunk, _shade(ink, 0.6), 0.1, 1.0, 0.0, 0.05)
        if looks.collar == 'vee' and self.cos > -0.1:
            u = sum(trunk.span(0.0, 0.01)) / 2
            y0, y1, r = trunk.y[0], trunk.y[0] + 0.085 * self.pose.scale, 0.034 * self.pose.scale
            x = self.pose.x + 0.25 * u * r
            skin = _shade(looks.skin.ink(self.infrared), 0.92)
            self.polygon([(x - r * self.cos, y0), (x + r * self.cos, y0), (x + u * r, y1)], skin)

    def arm(self, side: int) -> None:
        looks, k, joints = self.looks, self.looks.limb, self.arms[side]
        top, elbow, hand = joints
        skin = looks.skin.ink(self.infrared)
        cloth = looks.upper.ink(self.infrared)
        second = looks.upper.ink(self.infrared, second=True)
        tip = _along(elbow, hand, 1.2)
        far = self.depth((side * 1.0, 0, 0)) < -0.35
        tone = 0.80 if far else 0.95
        self.limb([hand, tip], [0.018, 0.014], _shade(skin, tone))
        if looks.sleeve < 1:
            self.limb(joints, [0.030 * k, 0.025 * k, 0.017], _shade(skin, tone))
            if looks.sleeve:
                self.limb([top, _along(top, elbow, 0.68)], [0.037 * k, 0.037 * k], _shade(cloth, tone), 'end')
        else:
            self.limb(joints, [0.036 * k, 0.032 * k, 0.025 * k], _shade(cloth, tone), 'end')
            if looks.upper.pattern in ('hoops', 'band', 'block'):
                for a in (0.2, 0.65) if looks.upper.pattern == 'hoops' else (0.4,):
                    self.limb([_along(top, elbow, a), _along(top, elbow, a + 0.2)], [0.035 * k, 0.034 * k],
                              _shade(second, tone), 'both')
        if looks.upper.pattern == 'yoke' and looks.sleeve:
            self.limb([top, _along(top, elbow, 0.3)], [0.037 * k, 0.036 * k], _shade(second, tone), 'end')
        if looks.carried == 'handbag' and side == looks.side:
            self.handbag(tip)

    def head(self) -> None:
        looks, s = self.looks, self.pose.scale
        skin, hair = looks.skin.ink(self.infrared), looks.hair.ink(self.infrared)
        x, y = self.at((0.0, 0.915 + self.lift, 0.012))
        ry = 0.068 * looks.head * s
        rx = ry * (0.76 + 0.14 * abs(self.sin))
        self.limb([(0, self.neck + self.lift - 0.005, 0), (0, 0.875 + self.lift, 0.008)], [0.034, 0.030],
                  _shade(skin, 0.82))
        if looks.collar == 'hood':
            r = self.pose.scale * 0.052
            hood = _shade(looks.upper.ink(self.infrared), 0.86)
            px, py = self.at((0, self.neck + self.lift + 0.012, -0.035))
            self.ellipse(px, py, r * 1.15, r * (0.75 if self.cos < 0 else 0.5), hood)
        bald = looks.hair_style == 'bald'
        scalp = _shade(skin, 0.9) if bald else hair
        if self.cos < -0.45:
            self.ellipse(x, y, rx, ry, scalp)
            if looks.hair_style in ('short', 'bald', 'bun', 'tail'):
                self.ellipse(x, y + 0.72 * ry, rx * 0.62, ry * 0.36, _shade(skin, 0.84))
        else:
            self.face(x, y, rx, ry, skin, scalp)
        self.hat(x, y, rx, ry)

    def face(self, x: float, y: float, rx: float, ry: float, skin: RGB, scalp: RGB) -> None:
        turn = self.sin
        self.ellipse(x, y, rx, ry, _shade(skin, 0.80))
        self.ellipse(x - 0.07 * rx + 0.1 * turn * rx, y + 0.02 * ry, rx * 0.9, ry * 0.96, skin)
        if abs(turn) > 0.5:
            nose = x + math.copysign(rx * 0.97, turn)
            self.ellipse(nose, y + 0.18 * ry, rx * 0.14, ry * 0.10, skin)
        if self.looks.hair_style != 'bald':
            # Crown and back of the head; the fringe rises towards the face.
            outline = []
            for step in range(13):
                t = math.pi + math.pi * step / 12
                outline.append((x + 1.06 * rx * math.cos(t), y + 1.06 * ry * math.sin(t)))
            back = 0.75 if self.looks.hair_style != 'short' else 0.30
            left, right = back * max(0.0, turn), back * max(0.0, -turn)
            edge = [(0.98, right + 0.05), (0.80 - 0.9 * max(0.0, -turn), right + 0.05),
                    (0.55 - 0.5 * max(0.0, -turn), -0.42), (0.0 + 0.3 * turn, -0.50),
                    (-0.55 + 0.5 * max(0.0, turn), -0.42), (-0.80 + 0.9 * max(0.0, turn), left + 0.05),
                    (-0.98, left + 0.05)]
            self.polygon(outline + [(x + u * rx, y + v * ry) for u, v in edge], scalp)
        for angle in (-0.42, 0.42):
            if math.cos(angle + self.pose.yaw) > 0.15:
                px = x + rx * 0.92 * math.sin(angle + self.pose.yaw)
                self.ellipse(px, y + 0.02 * ry, rx * 0.13, ry * 0.07, _shade(skin, 0.36))
                self.ellipse(px, y - 0.15 * ry, rx * 0.20, ry * 0.04, _shade(skin, 0.55))
        if self.cos > 0.2:
            px = x + 0.92 * rx * turn
            self.ellipse(px, y + 0.26 * ry, rx * 0.13, ry * 0.07, _shade(skin, 0.80))
            self.ellipse(px, y + 0.52 * ry, rx * 0.26, ry * 0.05, _shade(skin, 0.62))

    def hair_behind(self) -> None:
        """What hangs behind the head, so drawn before it from the front and after it from the back."""
        style, s = self.looks.hair_style, self.pose.scale
        ink = _shade(self.looks.hair.ink(self.infrared), 0.92)
        if style in ('long', 'bob'):
            low = 0.845 if style == 'bob' else 0.765
            self.limb([(0, 0.925 + self.lift, -0.018), (0, low + self.lift, -0.030)], [0.056, 0.050], ink)
        elif style == 'tail':
            self.limb([(0, 0.93 + self.lift, -0.070), (0, 0.80 + self.lift, -0.085)], [0.022, 0.014], ink)
        elif style == 'bun':
            x, y = self.at((0, 0.955 + self.lift, -0.062))
            self.ellipse(x, y, 0.028 * s, 0.027 * s, ink)

    def hat(self, x: float, y: float, rx: float, ry: float) -> None:
        kind = self.looks.hat
        if kind == 'none':
            return
        ink = self.looks.hat_cloth.ink(self.infrared)
        dome = [(x + 1.12 * rx * math.cos(t), y - 0.22 * ry + 0.98 * ry * math.sin(t))
                for t in np.linspace(math.pi, 2 * math.pi, 13)]
        self.polygon(dome, _shade(ink, 0.84))
        self.polygon([(px - 0.1 * rx * (px > x), py + 0.03 * ry) for px, py in dome], ink)
        if kind == 'cap' and self.cos > -0.6:
            self.ellipse(x + self.sin * rx * 0.95, y - 0.22 * ry, rx * (0.85 - 0.1 * self.cos), ry * 0.13,
                         _shade(ink, 0.7))
        elif kind == 'brim':
            self.ellipse(x, y - 0.24 * ry, rx * 1.75, ry * 0.20, _shade(ink, 0.78))
        elif kind == 'beanie':
            self.polygon([(x - 1.14 * rx, y - 0.42 * ry), (x + 1.14 * rx, y - 0.42 * ry),
                          (x + 1.12 * rx, y - 0.14 * ry), (x - 1.12 * rx, y - 0.14 * ry)], _shade(ink, 0.72))

    # Things carried

    def box(self, centre: Point3, half: Point3, ink: RGB) -> None:
        """An upright bag with rounded corners, its half sizes in (x, y, z)."""
        x, y = self.at(centre)
        w, h = self.pose.scale * math.hypot(half[0] * self.cos, half[2] * self.sin), self.pose.scale * half[1]
        radius = 0.35 * min(w, h)
        for tone, inset, shift in ((0.70, 0.0, 0.0), (1.0, 0.12, -0.06)):
            a, b = w * (1 - inset), h * (1 - inset)
            self.pen.rounded_rectangle((x - a + shift * w, y - b, x + a + shift * w, y + b), radius,
                                       fill=(*_shade(ink, tone), 255))

    def backpack(self) -> None:
        if self.looks.carried != 'backpack':
            return
        looks, k = self.looks, self.looks.bag_size
        ink = looks.bag.ink(self.infrared)
        centre = (0.0, self.neck - 0.145 + self.lift, -looks.depth - 0.045 * k)
        self.box(centre, (0.092 * k, 0.125 * k, 0.055 * k), ink)
        if self.cos < 0:
            pocket = (0.0, centre[1] - 0.045 * k, centre[2])
            self.box(pocket, (0.066 * k, 0.052 * k, 0.03 * k), _shade(ink, 0.86))

    def straps(self, trunk: _Shell) -> None:
        looks = self.looks
        ink = _shade(looks.bag.ink(self.infrared), 0.8)
        if looks.carried == 'backpack':
            for angle in (-0.62, 0.62):
                self.cover(trunk, ink, 0.13, 0.55, angle, 0.13)
        elif looks.carried == 'shoulder':
            # From one shoulder across to the opposite hip, in front and behind alike.
            sign = looks.side * (1 if self.cos >= 0 else -1)
            width = 0.010 * self.pose.scale
            shift = looks.shoulder * self.pose.scale * max(0.15, abs(self.cos))
            low = self.pose.base - self.pose.scale * (looks.leg + 0.06 + self.lift) * self.down
            a, b = (self.pose.x - 0.55 * sign * shift, float(trunk.y[6])), (self.pose.x + 0.85 * sign * shift, low)
            self.polygon(_capsule(a, b, width, width), ink)

    def shoulder_bag(self) -> None:
        looks, k = self.looks, self.looks.bag_size
        centre = (looks.side * (looks.hip + 0.025), looks.leg + 0.01 + self.lift, -0.015)
        self.box(centre, (0.040 * k, 0.062 * k, 0.085 * k), looks.bag.ink(self.infrared))

    def handbag(self, hand: Point3) -> None:
        k, ink = self.looks.bag_size, self.looks.bag.ink(self.infrared)
        centre = (hand[0], hand[1] - 0.105 * k, hand[2])
        for dz in (-0.035, 0.035):
            a, b = self.at(hand), self.at((hand[0], centre[1] + 0.05 * k, hand[2] + dz))
            self.polygon(_capsule(a, b, 0.006 * self.pose.scale, 0.006 * self.pose.scale), _shade(ink, 0.7))
        self.box(centre, (0.040 * k, 0.058 * k, 0.075 * k), ink)

    def case(self) -> None:
        looks, k, ink = self.looks, self.looks.bag_size, self.looks.bag.ink(self.infrared)
        hand = self.arms[looks.side][2]
        centre = (hand[0] + 0.01 * looks.side, 0.04 + 0.125 * k, hand[2] - 0.15)
        top = (centre[0], centre[1] + 0.12 * k, centre[2])
        self.polygon(_capsule(self.at(hand), self.at(top), 0.008 * self.pose.scale, 0.008 * self.pose.scale),
                     _shade(ink, 0.6))
        self.box(centre, (0.085 * k, 0.13 * k, 0.055 * k), ink)
        for dx in (-0.05, 0.05):
            x, y = self.at((centre[0] + dx * k, 0.025, centre[2]))
            self.ellipse(x, y, 0.016 * self.pose.scale, 0.016 * self.pose.scale, _shade(ink, 0.35))


def _along(a: Point3, b: Point3, t: float) -> Point3:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


# ---------------------------------------------------------------------------------------------------------------------
# Where: the background of a camera


def _tone(infrared: bool, colour: RGB, reflectance: float) -> RGB:
    grey = round(255 * reflectance)
    return (grey, grey, grey) if infrared else colour


def _indoor(pen: ImageDraw.ImageDraw, rng: np.random.Generator, w: int, h: int, infrared: bool) -> None:
    level = float(rng.uniform(0.55, 0.68)) * h
    wall = _draw_colour(rng, ((186, 182, 172), (168, 174, 176), (198, 194, 186)), 3)
    floor = _draw_colour(rng, ((136, 126, 116), (118, 120, 122), (150, 140, 126)), 3)
    pen.rectangle((0, 0, w, level), fill=_tone(infrared, wall, float(rng.uniform(0.42, 0.55))))
    ground = _tone(infrared, floor, float(rng.uniform(0.28, 0.42)))
    pen.rectangle((0, level, w, h), fill=ground)
    for _ in range(3):
        x, half = float(rng.uniform(0, w)), float(rng.uniform(0.06, 0.17)) * w
        top = float(rng.uniform(0.05, 0.3)) * h
        bottom = level if rng.random() < 0.5 else top + float(rng.uniform(0.12, 0.25)) * h
        frame = _tone(infrared, _draw_colour(rng, _DOORS), float(rng.uniform(0.15, 0.6)))
        pen.rectangle((x - half, top, x + half, bottom), fill=_shade(frame, 0.7))
        pen.rectangle((x - 0.86 * half, top + 0.03 * h, x + 0.86 * half, bottom), fill=frame)
    pen.rectangle((0, level - 0.02 * h, w, level), fill=_shade(ground, 0.7))
    for k in range(-8, 9):
        pen.line((w / 2 + k * 0.09 * w, level, w / 2 + k * 0.32 * w, h), fill=_shade(ground, 0.86), width=2)
    for k in range(1, 6):
        y = level + (h - level) * (k / 5) ** 1.6
        pen.line((0, y, w, y), fill=_shade(ground, 0.88), width=2)


def _outdoor(pen: ImageDraw.ImageDraw, rng: np.random.Generator, w: int, h: int, infrared: bool) -> None:
    level = float(rng.uniform(0.42, 0.58)) * h
    building = _draw_colour(rng, ((150, 122, 104), (168, 164, 156), (128, 132, 136)), 3)
    wall = _tone(infrared, building, float(rng.uniform(0.25, 0.4)))
    pen.rectangle((0, 0, w, level), fill=wall)
    glass = _tone(infrared, (72, 86, 100), 0.10)
    step = 0.21 * w
    for i in range(6):
        for j in range(4):
            x, y = i * step, (0.04 + 0.13 * j) * h
            if y + 0.08 * h < level:
                pen.rectangle((x, y, x + 0.6 * step, y + 0.085 * h), fill=glass)
                pen.line((x + 0.3 * step, y, x + 0.3 * step, y + 0.085 * h), fill=_shade(wall, 1.1), width=2)
    ground = _tone(infrared, _draw_colour(rng, ((134, 132, 126), (150, 144, 132), (112, 112, 110)), 3), 0.26)
    pen.rectangle((0, level, w, h), fill=ground)
    grass = _tone(infrared, (86, 112, 62), 0.62)
    pen.polygon([(0, level), (w, level), (w, level + 0.05 * h), (0, level + 0.12 * h)], fill=grass)
    for _ in range(2):
        x, r = float(rng.uniform(0, w)), float(rng.uniform(0.16, 0.26)) * w
        trunk = _tone(infrared, (84, 66, 50), 0.3)
        pen.rectangle((x - 0.022 * w, 0.2 * h, x + 0.022 * w, level + 0.07 * h), fill=trunk)
        for _ in range(26):
            dx, dy = rng.normal(0, 0.5, 2)
            leaf = _shade(_tone(infrared, (74, 104, 56), 0.66), float(rng.uniform(0.7, 1.15)))
            q = r * float(rng.uniform(0.2, 0.42))
            cx, cy = x + dx * r, 0.16 * h + dy * r
            pen.ellipse((cx - q, cy - q, cx + q, cy + q), fill=leaf)
    for k in range(1, 7):
        y = level + 0.08 * h + (0.92 * h - level) * (k / 6) ** 1.5
        pen.line((0, y, w, y + 0.03 * h), fill=_shade(ground, 0.88), width=2)


@lru_cache(maxsize=64)
def _background(seed: int, camid: int, height: int, width: int) -> np.ndarray:
    """The place a camera looks at, larger than an image; float32 in [0, 255], (h, w, 3), or (h, w, 1) in infrared."""
    rng, camera = _generator(seed, camid, _PLACE), _CAMERAS[camid]
    h, w = height + height // 4, width + width // 2
    image = Image.new('RGB', (2 * w, 2 * h))
    (_indoor if camera.indoor else _outdoor)(ImageDraw.Draw(image), rng, 2 * w, 2 * h, camera.infrared)
    image = image.reduce(2).filter(ImageFilter.GaussianBlur(0.008 * height))
    pixels: np.ndarray = np.asarray(image, dtype=np.float32)
    speckle = 1 + 0.035 * _resize(rng.standard_normal((h // 2, w // 2), dtype=np.float32), h, w)
    pixels = pixels[..., :1 if camera.infrared else 3] * speckle[..., None]
    pixels.flags.writeable = False
    return pixels


# ---------------------------------------------------------------------------------------------------------------------
# An image


def _resize(values: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))


def _pose(rng: np.random.Generator, looks: _Looks, camera: _Camera, height: int, width: int) -> _Pose:
    walking = rng.random() < 0.8
    scale = camera.scale * looks.stature ** 0.5 * float(rng.uniform(0.94, 1.06))
    return _Pose(
        yaw=camera.yaws[int(rng.integers(len(camera.yaws)))] + float(rng.normal(0, camera.yaw_spread)),
        pitch=camera.pitch + float(rng.normal(0, 0.02)),
        phase=float(rng.uniform(0, 2 * math.pi)),
        swing=looks.swing * float(rng.uniform(0.28, 0.5) if walking else rng.uniform(0.02, 0.1)),
        scale=scale * height * _SUPERSAMPLE,
        x=(0.5 + float(rng.normal(0, 0.035))) * width * _SUPERSAMPLE,
        base=(camera.baseline + float(rng.normal(0, 0.012))) * height * _SUPERSAMPLE,
    )


def _occlude(figure: _Figure, rng: np.random.Generator, height: int, width: int) -> None:
    """Something that stands between camera and person: a post, a bin or box, a bush."""
    h, w = height * _SUPERSAMPLE, width * _SUPERSAMPLE
    ink = _tone(figure.infrared, _draw_colour(rng, _COLOURS), float(rng.uniform(0.1, 0.7)))
    kind, side = int(rng.integers(3)), 1 if rng.random() < 0.5 else -1
    x = figure.pose.x + side * float(rng.uniform(0.08, 0.30)) * w
    if kind == 0:
        half = float(rng.uniform(0.03, 0.07)) * w
        figure.polygon([(x - half, 0), (x + half, 0), (x + half, h), (x - half, h)], _shade(ink, 0.8))
        figure.polygon([(x - half, 0), (x + 0.3 * half, 0), (x + 0.3 * half, h), (x - half, h)], ink)
    elif kind == 1:
        half, top = float(rng.uniform(0.14, 0.26)) * w, float(rng.uniform(0.66, 0.82)) * h
        figure.polygon([(x - half, top), (x + half, top), (x + half, h), (x - half, h)], ink)
        figure.polygon([(x - half, top - 0.02 * h), (x + half, top - 0.02 * h), (x + half, top + 0.01 * h),
                        (x - half, top + 0.01 * h)], _shade(ink, 0.7))
    else:
        leaf = _tone(figure.infrared, (70, 100, 54), 0.62)
        for _ in range(14):
            dx, dy = rng.normal(0, 0.10, 2)
            r = float(rng.uniform(0.05, 0.10)) * w
            figure.ellipse(x + dx * w, (0.90 + 0.5 * dy) * h, r, r, _shade(leaf, float(rng.uniform(0.7, 1.1))))


def _compose(figure: _Figure, place: np.ndarray, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The person before the background, with a ground shadow, the roundness of the body and folds in the cloth."""
    layer = figure.layer.reduce(_SUPERSAMPLE)
    pixels = np.asarray(layer)
    mask = np.asarray(layer.getchannel(3).filter(ImageFilter.GaussianBlur(0.022 * height)), dtype=np.float32) / 255
    alpha = pixels[..., 3:].astype(np.float32) / 255
    person = pixels[..., :place.shape[2]].astype(np.float32)
    # A second copy of the mask moved away from the light darkens one side of whatever is narrow.
    roundness = 0.62 + 0.24 * mask + 0.16 * np.roll(mask, 1 + width // 36, axis=1)
    folds = 1 + 0.045 * _resize(rng.standard_normal((height // 8 + 2, width // 5 + 2), dtype=np.float32), height, width)
    top, left = int(rng.integers(place.shape[0] - height)), int(rng.integers(place.shape[1] - width))
    foot, x = figure.pose.base / _SUPERSAMPLE, figure.pose.x / _SUPERSAMPLE
    across = np.exp(-(((np.arange(width) - x - 0.04 * width) / (0.26 * width)) ** 2))
    down = np.exp(-(((np.arange(height) - foot) / (0.03 * height)) ** 2))
    shadow = 1 - 0.5 * np.outer(down, across).astype(np.float32)
    ground = place[top:top + height, left:left + width] * shadow[..., None]
    return person * (roundness * folds)[..., None] + ground * (1 - alpha)


def _expose(scene: np.ndarray, camera: _Camera, rng: np.random.Generator) -> np.ndarray:
    """Light and sensor: gain, gamma, colour cast or active illumination, then noise; returns uint8."""
    height, width = scene.shape[:2]
    y: np.ndarray = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x: np.ndarray = np.linspace(-1, 1, width, dtype=np.float32)[None]
    light: np.ndarray = 1 + camera.light_side * x + 0.06 * float(rng.normal()) * y
    if camera.infrared:
        cy, cx = rng.normal(0, 0.15, 2)
        light = light * (0.58 + 0.55 * np.exp(-(((y - cy + 0.15) / 0.95) ** 2)) * np.exp(-(((x - cx) / 1.1) ** 2)))
    gain = camera.gain * math.exp(0.10 * float(rng.normal()))
    level = np.clip(scene * (gain * light / 255)[..., None], 0, 1.15)
    level = 255 * level ** (camera.gamma * math.exp(0.05 * float(rng.normal())))
    if not camera.infrared:
        level = level * np.asarray(camera.cast, dtype=np.float32)
    image = Image.fromarray(np.clip(level, 0, 255).astype(np.uint8).squeeze())
    image = image.filter(ImageFilter.GaussianBlur(camera.blur * height / 144 * float(rng.uniform(0.8, 1.5))))
    noisy = np.asarray(image, dtype=np.float32)
    noisy = noisy + camera.noise * float(rng.uniform(0.7, 1.3)) * rng.standard_normal(noisy.shape, dtype=np.float32)
    if camera.stripe:
        noisy = noisy + camera.stripe * rng.standard_normal((height, 1), dtype=np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def draw_person(
        pid: int,
        camid: int,
        index: int,
        seed: int = 0,
        height: int = 144,
        width: int = 72,
) -> Image.Image:
    """Draw one image of a person; the same arguments give the same image.

    Args:
        pid: Identity, 0 or above; together with `seed` it fixes body, garments and things carried.
        camid: Camera, 1 to 6 as in SYSU-MM01: 1, 2, 4 and 5 are visible, 3 and 6 infrared.
        index: Which image of this person by this camera, 0 or above.
        seed: Seed of the whole data set, 0 or above.
        height: Height in pixels, at least 24.
        width: Width in pixels, at least 12.

    Returns:
        An RGB image of `width` by `height` pixels; its three channels are equal where the camera is infrared.

    Raises:
        ValueError: If `camid` is not a camera, or another argument lies below its least value.
    """
    if camid not in _CAMERAS:
        raise ValueError(f'camid is {camid!r}; expected one of the cameras of SYSU-MM01, 1 to 6')
    for name, value, least in (('pid', pid, 0), ('index', index, 0), ('seed', seed, 0), ('height', height, 24),
                               ('width', width, 12)):
        if value < least:
            raise ValueError(f'{name} is {value!r}; expected an integer of at least {least}')
    camera, looks = _CAMERAS[camid], _looks(seed, pid)
    rng = _generator(seed, pid, camid, index, _IMAGE)
    size = (width * _SUPERSAMPLE, height * _SUPERSAMPLE)
    figure = _Figure(looks, _pose(rng, looks, camera, height, width), camera.infrared, size)
    figure.draw()
    if rng.random() < 0.12:
        _occlude(figure, rng, height, width)
    scene = _compose(figure, _background(seed, camid, height, width), rng, height, width)
    buffer = io.BytesIO()
    Image.fromarray(_expose(scene, camera, rng)).save(buffer, 'JPEG', quality=camera.quality)
    buffer.seek(0)
    return Image.open(buffer).convert('RGB')


# ---------------------------------------------------------------------------------------------------------------------
# A data set on disk


def _seen_by(seed: int, pid: int, images_per_camera: int) -> Dict[int, int]:
    """How many images each camera has of a person; as in SYSU-MM01, not everyone passes every camera."""
    rng = _generator(seed, pid, _PRESENCE)
    present = {camid for camid in _CAMERAS if rng.random() >= _ABSENT}
    for group in (VISIBLE_CAMERAS, INFRARED_CAMERAS):
        spare = group[int(rng.integers(len(group)))]
        if not present.intersection(group):
            present.add(spare)
    fewer = rng.integers(images_per_camera // 4 + 1, size=len(_CAMERAS))
    return {camid: images_per_camera - int(fewer[camid - 1]) for camid in sorted(present)}


def _already_written(root: Path, record: Dict[str, Any]) -> bool:
    """True if `root` holds what `record` describes, False if nothing is there; anything else raises."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    note = root / 'synthetic.json'
    if not note.is_file():
        raise FileExistsError(
            f'{root} exists and holds no synthetic.json, so it was not written by write_sysu_layout; '
            'expected a path that does not exist: choose another, or move what is there')
    try:
        found = json.loads(note.read_text(encoding='utf-8'))
    except ValueError:
        found = None
    if found != record:
        raise FileExistsError(
            f'{note} records {found!r}, expected {record!r}: choose another folder, pass the same arguments, '
            'or delete this one to have it drawn again')
    return True


def write_sysu_layout(
        root: Union[str, 'os.PathLike[str]'],
        num_train: int = 100,
        num_val: int = 20,
        num_test: int = 50,
        images_per_camera: int = 8,
        seed: int = 0,
        height: int = 144,
        width: int = 72,
        progress: bool = False,
) -> Path:
    """Write SyntheticVI in the folder layout of SYSU-MM01.

    Written are ``cam{1-6}/{pid:04d}/{n:04d}.jpg``, the lists ``exp/{train,val,test,available}_id.txt`` (line 1:
    identities separated by commas) and ``synthetic.json`` with the arguments. Identities and images count from 1:
    those for training first, then validation, then test. About 15 % of the pairs of identity and camera are absent, but
    each identity has a visible and an infrared camera. The folder appears whole or not at all, and one that already
    holds the same data set is left as it is.

    Args:
        root: Folder to write; it must not exist, be empty, or hold the same data set.
        num_train: Number of identities for training, at least 1.
        num_val: Number of identities for validation, at least 1.
        num_test: Number of identities for test, at least 1.
        images_per_camera: Most images of an identity by a camera, at least 1; some have up to a quarter fewer.
        seed: Seed of the data set, 0 or above.
        height: Height of an image in pixels.
        width: Width of an image in pixels.
        progress: Show a progress bar, which needs tqdm.

    Returns:
        `root` as a path.

    Raises:
        FileExistsError: If `root` holds something else, or a data set of other arguments.
        ValueError: If an argument lies below its least value.
    """
    counts = {'num_train': num_train, 'num_val': num_val, 'num_test': num_test, 'images_per_camera': images_per_camera}
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f'{name} is {value!r}; expected an integer of at least 1')
    arguments = {**counts, 'seed': seed, 'height': height, 'width': width}
    record = {'name': 'SyntheticVI', 'format_version': FORMAT_VERSION, 'arguments': arguments}
    root = Path(root)
    if _already_written(root, record):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = root.with_name(f'.{root.name}.{uuid.uuid4().hex[:12]}.partial')
    try:
        partial.mkdir()
        _write_files(partial, record, progress)
        try:
            os.replace(partial, root)
        except OSError:
            # Another process may have finished the same data set meanwhile.
            if not _already_written(root, record):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def _write_files(folder: Path, record: Dict[str, Any], progress: bool) -> None:
    arguments = record['arguments']
    seed, height, width = arguments['seed'], arguments['height'], arguments['width']
    ends = np.cumsum([arguments['num_train'], arguments['num_val'], arguments['num_test']]).tolist()
    pids: Any = range(1, ends[2] + 1)
    lists = {'train': pids[:ends[0]], 'val': pids[ends[0]:ends[1]], 'test': pids[ends[1]:], 'available': pids}
    if progress:
        from tqdm import tqdm

        pids = tqdm(pids, desc='SyntheticVI', unit='id')
    for pid in pids:
        for camid, number in _seen_by(seed, pid, arguments['images_per_camera']).items():
            place = folder / f'cam{camid}' / f'{pid:04d}'
            place.mkdir(parents=True)
            for n in range(1, number + 1):
                image = draw_person(pid, camid, n, seed=seed, height=height, width=width)
                image.save(place / f'{n:04d}.jpg', quality=_JPEG_QUALITY)
    (folder / 'exp').mkdir()
    for name, members in lists.items():
        text = ','.join(str(pid) for pid in members) + '\n'
        (folder / 'exp' / f'{name}_id.txt').write_text(text, encoding='utf-8')
    (folder / 'synthetic.json').write_text(json.dumps(record, indent=2) + '\n', encoding='utf-8')
