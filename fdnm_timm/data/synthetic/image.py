"""One image: a person posed before a camera's place, perhaps behind something, in that camera's light."""
import io
import math

import numpy as np
from PIL import Image, ImageFilter

from .canvas import Canvas, Pose
from .chance import IMAGE, generator, one_of
from .colours import COLOURS, RGB, draw_colour, shade, tone
from .figure import Figure
from .looks import Looks, draw_looks
from .places import CAMERAS, Camera, background, expose, mottle

__all__ = ['check_at_least', 'draw_person']

_SUPERSAMPLE = 3
_YAW_SPREAD = 0.30


def _draw_pose(rng: np.random.Generator, looks: Looks, camera: Camera, height: int, width: int) -> Pose:
    walking = rng.random() < 0.8
    scale = camera.scale * looks.stature ** 0.5 * rng.uniform(0.94, 1.06)
    return Pose(
        yaw=one_of(rng, camera.yaws) + rng.normal(0, _YAW_SPREAD),
        pitch=camera.pitch + rng.normal(0, 0.02),
        phase=rng.uniform(0, 2 * math.pi),
        swing=looks.swing * (rng.uniform(0.28, 0.5) if walking else rng.uniform(0.02, 0.1)),
        scale=scale * height * _SUPERSAMPLE,
        x=(0.5 + rng.normal(0, 0.035)) * width * _SUPERSAMPLE,
        base=(camera.baseline + rng.normal(0, 0.012)) * height * _SUPERSAMPLE,
    )


def _occlude(canvas: Canvas, rng: np.random.Generator, infrared: bool) -> None:
    """Something that stands between camera and person: a post, a bin or box, a bush."""
    w, h = canvas.layer.size

    def block(left: float, top: float, right: float, bottom: float, fill: RGB) -> None:
        canvas.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    ink = tone(infrared, draw_colour(rng, COLOURS), rng.uniform(0.1, 0.7))
    kind, side = int(rng.integers(3)), 1 if rng.random() < 0.5 else -1
    x = canvas.pose.x + side * rng.uniform(0.08, 0.30) * w
    if kind == 0:
        half = rng.uniform(0.03, 0.07) * w
        block(x - half, 0, x + half, h, shade(ink, 0.8))
        block(x - half, 0, x + 0.3 * half, h, ink)
    elif kind == 1:
        half, top = rng.uniform(0.14, 0.26) * w, rng.uniform(0.66, 0.82) * h
        block(x - half, top, x + half, h, ink)
        block(x - half, top - 0.02 * h, x + half, top + 0.01 * h, shade(ink, 0.7))
    else:
        leaf = tone(infrared, (70, 100, 54), 0.62)
        for _ in range(14):
            dx, dy = rng.normal(0, 0.10, 2)
            r = rng.uniform(0.05, 0.10) * w
            canvas.ellipse(x + dx * w, (0.90 + 0.5 * dy) * h, r, r, shade(leaf, rng.uniform(0.7, 1.1)))


def _compose(canvas: Canvas, place: np.ndarray, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The person before the background, with a ground shadow, the roundness of the body and folds in the cloth."""
    layer = canvas.layer.reduce(_SUPERSAMPLE)
    pixels = np.asarray(layer, dtype=np.float32)
    mask = np.asarray(layer.getchannel(3).filter(ImageFilter.GaussianBlur(0.022 * height)), dtype=np.float32) / 255
    # A second copy of the mask moved away from the light darkens one side of whatever is narrow.
    roundness = 0.62 + 0.24 * mask + 0.16 * np.roll(mask, 1 + width // 36, axis=1)
    folds = mottle(rng, 0.045, (height // 8 + 2, width // 5 + 2), height, width)
    top, left = int(rng.integers(place.shape[0] - height)), int(rng.integers(place.shape[1] - width))
    foot, x = canvas.pose.base / _SUPERSAMPLE, canvas.pose.x / _SUPERSAMPLE
    across = np.exp(-(((np.arange(width) - x - 0.04 * width) / (0.26 * width)) ** 2))
    down = np.exp(-(((np.arange(height) - foot) / (0.03 * height)) ** 2))
    shadow = 1 - 0.5 * np.outer(down, across).astype(np.float32)
    ground = place[top:top + height, left:left + width] * shadow[..., None]
    return pixels[..., :place.shape[2]] * (roundness * folds)[..., None] + ground * (1 - pixels[..., 3:] / 255)


def check_at_least(least: int, **values: int) -> None:
    """Raise ValueError for the first of the named values that lies below `least`."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f'{name} is {value!r}; expected an integer of at least {least}')


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
    if camid not in CAMERAS:
        raise ValueError(f'camid is {camid!r}; expected one of the cameras of SYSU-MM01, 1 to 6')
    check_at_least(0, pid=pid, index=index, seed=seed)
    check_at_least(24, height=height)
    check_at_least(12, width=width)
    camera, looks = CAMERAS[camid], draw_looks(seed, pid)
    rng = generator(seed, pid, camid, index, IMAGE)
    pose = _draw_pose(rng, looks, camera, height, width)
    figure = Figure(looks, pose, camera.infrared, (width * _SUPERSAMPLE, height * _SUPERSAMPLE))
    figure.draw()
    if rng.random() < 0.12:
        _occlude(figure, rng, camera.infrared)
    scene = _compose(figure, background(seed, camid, height, width), rng, height, width)
    # The camera compresses what it saw.
    buffer = io.BytesIO()
    Image.fromarray(expose(scene, camera, rng)).save(buffer, 'JPEG', quality=camera.quality)
    return Image.open(buffer).convert('RGB')
