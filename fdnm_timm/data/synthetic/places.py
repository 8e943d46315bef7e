"""Where: the cameras with their views, backgrounds, light and noise."""
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .chance import PLACE, generator
from .colours import RGB, draw_colour, shade, tone

__all__ = ['CAMERAS', 'INFRARED_CAMERAS', 'VISIBLE_CAMERAS', 'Camera', 'background', 'expose', 'mottle']

_DOORS: Tuple[RGB, ...] = ((138, 112, 84), (96, 80, 66), (150, 152, 150), (92, 106, 116), (166, 148, 112))
_WALLS: Tuple[RGB, ...] = ((186, 182, 172), (168, 174, 176), (198, 194, 186))
_FLOORS: Tuple[RGB, ...] = ((136, 126, 116), (118, 120, 122), (150, 140, 126))
_BUILDINGS: Tuple[RGB, ...] = ((150, 122, 104), (168, 164, 156), (128, 132, 136))
_PAVEMENTS: Tuple[RGB, ...] = ((134, 132, 126), (150, 144, 132), (112, 112, 110))


@dataclass(frozen=True)
class Camera:
    """One camera: its view, its light and its sensor. Angles are in radians, lengths fractions of the image height."""

    indoor: bool
    yaws: Tuple[float, ...]
    pitch: float
    scale: float
    baseline: float
    gain: float
    gamma: float
    light_side: float
    noise: float
    blur: float
    quality: int
    infrared: bool = False
    cast: Tuple[float, float, float] = (1.0, 1.0, 1.0)
    stripe: float = 0.0


CAMERAS: Dict[int, Camera] = {
    1: Camera(indoor=True, yaws=(0.2, 0.9, 2.9), pitch=0.16, scale=0.90, baseline=0.960, gain=1.04, gamma=1.00,
              light_side=-0.10, noise=3.0, blur=0.35, quality=88, cast=(1.05, 1.00, 0.90)),
    2: Camera(indoor=True, yaws=(-0.5, -1.3, 2.6), pitch=0.24, scale=0.88, baseline=0.955, gain=0.92, gamma=1.10,
              light_side=0.12, noise=4.0, blur=0.50, quality=84, cast=(0.96, 1.02, 1.00)),
    3: Camera(indoor=True, yaws=(-0.3, 1.1, 3.1), pitch=0.22, scale=0.90, baseline=0.960, gain=1.12, gamma=0.92,
              light_side=0.00, noise=5.0, blur=0.50, quality=84, infrared=True, stripe=1.5),
    4: Camera(indoor=False, yaws=(0.0, 1.5, -2.6), pitch=0.12, scale=0.86, baseline=0.950, gain=1.06, gamma=0.94,
              light_side=0.18, noise=2.5, blur=0.40, quality=86, cast=(0.98, 1.00, 1.03)),
    5: Camera(indoor=False, yaws=(0.6, -1.5, 3.0), pitch=0.18, scale=0.90, baseline=0.965, gain=0.92, gamma=1.08,
              light_side=-0.20, noise=4.0, blur=0.60, quality=80, cast=(1.04, 0.99, 0.94)),
    6: Camera(indoor=False, yaws=(0.4, -1.2, 2.7), pitch=0.16, scale=0.88, baseline=0.955, gain=1.15, gamma=1.00,
              light_side=0.05, noise=5.0, blur=0.60, quality=80, infrared=True, stripe=2.0),
}
VISIBLE_CAMERAS = tuple(camid for camid, camera in CAMERAS.items() if not camera.infrared)
INFRARED_CAMERAS = tuple(camid for camid, camera in CAMERAS.items() if camera.infrared)


def _indoor(pen: ImageDraw.ImageDraw, rng: np.random.Generator, w: int, h: int, infrared: bool) -> None:
    level = rng.uniform(0.55, 0.68) * h
    wall, floor = draw_colour(rng, _WALLS, 3), draw_colour(rng, _FLOORS, 3)
    pen.rectangle((0, 0, w, level), fill=tone(infrared, wall, rng.uniform(0.42, 0.55)))
    ground = tone(infrared, floor, rng.uniform(0.28, 0.42))
    pen.rectangle((0, level, w, h), fill=ground)
    for _ in range(3):  # doors, and boards on the wall
        x, half = rng.uniform(0, w), rng.uniform(0.06, 0.17) * w
        top = rng.uniform(0.05, 0.3) * h
        bottom = level if rng.random() < 0.5 else top + rng.uniform(0.12, 0.25) * h
        frame = tone(infrared, draw_colour(rng, _DOORS), rng.uniform(0.15, 0.6))
        pen.rectangle((x - half, top, x + half, bottom), fill=shade(frame, 0.7))
        pen.rectangle((x - 0.86 * half, top + 0.03 * h, x + 0.86 * half, bottom), fill=frame)
    pen.rectangle((0, level - 0.02 * h, w, level), fill=shade(ground, 0.7))
    for k in range(-8, 9):
        pen.line((w / 2 + k * 0.09 * w, level, w / 2 + k * 0.32 * w, h), fill=shade(ground, 0.86), width=2)
    for k in range(1, 6):
        y = level + (h - level) * (k / 5) ** 1.6
        pen.line((0, y, w, y), fill=shade(ground, 0.88), width=2)


def _outdoor(pen: ImageDraw.ImageDraw, rng: np.random.Generator, w: int, h: int, infrared: bool) -> None:
    level = rng.uniform(0.42, 0.58) * h
    _facade(pen, rng, w, h, level, infrared)
    ground = tone(infrared, draw_colour(rng, _PAVEMENTS, 3), 0.26)
    pen.rectangle((0, level, w, h), fill=ground)
    grass = tone(infrared, (86, 112, 62), 0.62)
    pen.polygon([(0, level), (w, level), (w, level + 0.05 * h), (0, level + 0.12 * h)], fill=grass)
    for _ in range(2):
        _tree(pen, rng, w, h, level, infrared)
    for k in range(1, 7):
        y = level + 0.08 * h + (0.92 * h - level) * (k / 6) ** 1.5
        pen.line((0, y, w, y + 0.03 * h), fill=shade(ground, 0.88), width=2)


def _facade(pen: ImageDraw.ImageDraw, rng: np.random.Generator, w: int, h: int, level: float, infrared: bool) -> None:
    wall = tone(infrared, draw_colour(rng, _BUILDINGS, 3), rng.uniform(0.25, 0.4))
    pen.rectangle((0, 0, w, level), fill=wall)
    glass = tone(infrared, (72, 86, 100), 0.10)
    step = 0.21 * w
    for i in range(6):
        for j in range(4):
            x, y = i * step, (0.04 + 0.13 * j) * h
            if y + 0.08 * h < level:
                pen.rectangle((x, y, x + 0.6 * step, y + 0.085 * h), fill=glass)
                pen.line((x + 0.3 * step, y, x + 0.3 * step, y + 0.085 * h), fill=shade(wall, 1.1), width=2)


def _tree(pen: ImageDraw.ImageDraw, rng: np.random.Generator, w: int, h: int, level: float, infrared: bool) -> None:
    x, r = rng.uniform(0, w), rng.uniform(0.16, 0.26) * w
    trunk, leaf = tone(infrared, (84, 66, 50), 0.3), tone(infrared, (74, 104, 56), 0.66)
    pen.rectangle((x - 0.022 * w, 0.2 * h, x + 0.022 * w, level + 0.07 * h), fill=trunk)
    for _ in range(26):
        dx, dy = rng.normal(0, 0.5, 2)
        lit = shade(leaf, rng.uniform(0.7, 1.15))
        q = r * rng.uniform(0.2, 0.42)
        cx, cy = x + dx * r, 0.16 * h + dy * r
        pen.ellipse((cx - q, cy - q, cx + q, cy + q), fill=lit)


def mottle(
        rng: np.random.Generator, strength: float, coarse: Tuple[int, int], height: int, width: int) -> np.ndarray:
    """Factors about 1 of `height` by `width` that vary slowly: noise of the `coarse` size, enlarged."""
    noise = Image.fromarray(rng.standard_normal(coarse, dtype=np.float32))
    return 1 + strength * np.asarray(noise.resize((width, height), Image.Resampling.BILINEAR))


@lru_cache(maxsize=64)
def background(seed: int, camid: int, height: int, width: int) -> np.ndarray:
    """The place a camera looks at, larger than an image; float32 in [0, 255], (h, w, 3), or (h, w, 1) in infrared."""
    rng, camera = generator(seed, camid, PLACE), CAMERAS[camid]
    h, w = height + height // 4, width + width // 2
    image = Image.new('RGB', (2 * w, 2 * h))
    (_indoor if camera.indoor else _outdoor)(ImageDraw.Draw(image), rng, 2 * w, 2 * h, camera.infrared)
    image = image.reduce(2).filter(ImageFilter.GaussianBlur(0.008 * height))
    pixels: np.ndarray = np.asarray(image, dtype=np.float32)[..., :1 if camera.infrared else 3]
    pixels = pixels * mottle(rng, 0.035, (h // 2, w // 2), h, w)[..., None]
    pixels.flags.writeable = False
    return pixels


def expose(scene: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Light and sensor: gain, gamma, colour cast or active illumination, then noise; returns uint8."""
    height, width = scene.shape[:2]
    y: np.ndarray = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x: np.ndarray = np.linspace(-1, 1, width, dtype=np.float32)[None]
    light: np.ndarray = 1 + camera.light_side * x + 0.06 * rng.normal() * y
    if camera.infrared:
        cy, cx = rng.normal(0, 0.15, 2)
        light = light * (0.58 + 0.55 * np.exp(-(((y - cy + 0.15) / 0.95) ** 2)) * np.exp(-(((x - cx) / 1.1) ** 2)))
    gain = camera.gain * math.exp(0.10 * rng.normal())
    level = np.clip(scene * (gain * light / 255)[..., None], 0, 1.15)
    level = 255 * level ** (camera.gamma * math.exp(0.05 * rng.normal()))
    if not camera.infrared:
        level = level * np.asarray(camera.cast, dtype=np.float32)
    image = Image.fromarray(np.clip(level, 0, 255).astype(np.uint8).squeeze())
    image = image.filter(ImageFilter.GaussianBlur(camera.blur * height / 144 * rng.uniform(0.8, 1.5)))
    noisy = np.asarray(image, dtype=np.float32)
    noisy = noisy + camera.noise * rng.uniform(0.7, 1.3) * rng.standard_normal(noisy.shape, dtype=np.float32)
    if camera.stripe:
        noisy = noisy + camera.stripe * rng.standard_normal((height, 1), dtype=np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)
