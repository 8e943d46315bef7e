"""Light on a face: the slopes of its surface, shading, and what the camera makes of it."""
import math
from typing import Tuple

import numpy as np
from PIL import Image, ImageFilter

from .face_canvas import FacePose
from .face_head import WIDEST
from .face_looks import FaceLooks

__all__ = ['draw_background', 'expose_face', 'shading']


def _bumps(looks: FaceLooks) -> np.ndarray:
    """Bells that make the surface, rows of (x, y, lift, half width, half height, height)."""
    shape = looks.shape
    gap, end, half = shape['eye_gap'], shape['nose_length'], shape['nose_width']
    right = np.array([
        (gap, 0.0, 0.0, 0.24, 0.15, -0.05),  # socket
        (gap, -shape['brow_height'], 0.0, 0.28, 0.09, 0.03),
        (0.62, 0.52, 0.0, 0.26, 0.26, 0.05 + shape['cheek']),
        (0.78 * half, end - 0.04, 0.1, 0.08, 0.08, 0.035),  # wing of the nose
        (0.75 * shape['width'], 1.05, 0.0, 0.22, 0.30, -0.02),
    ])
    middle = np.array([
        (0.0, 0.45 * end, 0.1, 0.10, 0.26, shape['nose_bridge']),
        (0.0, end - 0.06, 0.25, 0.12, 0.10, 0.09),
        (0.0, 0.82, 0.0, 0.07, 0.09, -0.02),
        (0.0, 1.0, 0.05, 0.30, 0.13, 0.035),  # mouth
        (0.0, 1.22, 0.0, 0.26, 0.06, -0.03),
        (0.0, shape['chin'] - 0.22, 0.0, 0.24, 0.15, 0.07),
        (0.0, shape['chin'] - 0.17, 0.0, 0.035, 0.10, -0.03 * max(0.0, shape['cleft'] - 0.5)),
    ])
    return np.concatenate([middle, right, right * (-1, 1, 1, 1, 1, 1)])


def _slopes(looks: FaceLooks, pose: FacePose, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """How the surface falls to the right and downwards, (size, size) each; 1 is 45 degrees."""
    x, y, lift, wide, high, height = _bumps(looks).T
    at = pose.project(np.stack([x, y], 1), lift)
    place = np.arange(size) + 0.5
    across, down = ((place - at[:, i, None]) / pose.unit for i in (0, 1))
    bell_x, bell_y = np.exp(-0.5 * (across / wide[:, None]) ** 2), np.exp(-0.5 * (down / high[:, None]) ** 2)
    bell_y = bell_y * height[:, None]
    slope_x = np.einsum('ky,kx->yx', bell_y, bell_x * across / wide[:, None] ** 2)
    slope_y = np.einsum('ky,kx->yx', bell_y * down / high[:, None] ** 2, bell_x)
    # the head as a whole is an ellipsoid
    shape = looks.shape
    (cx, cy), = pose.project(np.array([[0.0, WIDEST + 0.15]]), -0.5)
    u = np.clip((place - cx) / (1.08 * shape['width'] * pose.unit), -1, 1)
    v = np.clip((place - cy) / (1.08 * shape['chin'] * pose.unit), -1, 1)
    return slope_x + 1.1 * u * np.abs(u), slope_y + (0.7 * v * np.abs(v))[:, None]


def shading(looks: FaceLooks, pose: FacePose, size: int, infrared: bool, rng: np.random.Generator) -> np.ndarray:
    """Factors by which the light brightens and darkens a face, (size, size) float32, about 1.

    Visible light comes from any side and above. The near infrared's lamp stands beside the camera: what faces it is
    bright, and hardly anything is in the shade.
    """
    slope_x, slope_y = _slopes(looks, pose, size)
    spread = 0.12 if infrared else 0.55
    side, above = rng.normal(0, spread), rng.normal(0.08 if infrared else 0.35, spread / 2)
    ambient = rng.uniform(0.45, 0.6) if infrared else rng.uniform(0.30, 0.6)
    towards = (side * slope_x - above * slope_y + 1) / math.sqrt(side ** 2 + above ** 2 + 1)
    diffuse = np.maximum(0, towards / np.sqrt(slope_x ** 2 + slope_y ** 2 + 1))
    return (ambient + (1.08 - ambient) * diffuse).astype(np.float32)


def draw_background(size: int, infrared: bool, rng: np.random.Generator) -> np.ndarray:
    """Something out of focus, (size, size, 3) or in the infrared (size, size, 1), float32 in [0, 255]."""
    channels = 1 if infrared else 3
    base = rng.uniform(8, 190) if infrared else rng.uniform(20, 235)
    coarse = base + rng.normal(0, 22, (5, 5, 1)) + rng.normal(0, 9, (5, 5, channels)) + rng.normal(0, 12, channels)
    image = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8).squeeze())
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)
    return pixels.reshape(size, size, channels)


def expose_face(scene: np.ndarray, infrared: bool, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast and tint of the light, blur and noise of the camera."""
    size = scene.shape[0]
    gain, gamma = math.exp(rng.normal(0, 0.12)), math.exp(rng.normal(0, 0.18))
    tints = [1.0] if infrared else np.exp(rng.normal(0, 0.05, 3)).tolist()
    if infrared:  # the lamp's cone
        place = np.linspace(-1, 1, size, dtype=np.float32)
        (x, y), reach = rng.normal(0, 0.12, 2), rng.uniform(1.2, 2.0)
        cone = np.exp(-((place - y) / reach) ** 2)[:, None] * np.exp(-((place - x) / reach) ** 2)
        scene = scene * (0.45 + 0.6 * cone)[..., None]
    image = Image.fromarray(np.minimum(scene, 255).astype(np.uint8).squeeze())
    curve = (gain * np.arange(256) / 255) ** gamma
    image = image.point(np.concatenate([np.clip(255 * tint * curve, 0, 255) for tint in tints]).astype(int).tolist())
    image = image.filter(ImageFilter.BoxBlur(rng.uniform(0.1, 0.8) * size / 144))
    noise = rng.uniform(1.5, 5.0) * rng.standard_normal((size, size, 1), dtype=np.float32)
    pixels = np.asarray(image, dtype=np.float32).reshape(scene.shape) + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8).squeeze())
