"""One image of a face: held somehow, with some expression, in some light, aligned as well as landmarks ever are."""
import numpy as np
from PIL import Image

from ..base import INFRARED, VISIBLE
from .chance import FACE_IMAGE, generator
from .face_canvas import FaceCanvas, FacePose
from .face_expression import EXPRESSIONS, Expression, draw_expression
from .face_head import draw_back, draw_beard, draw_front_hair, draw_head
from .face_inks import Inks, draw_inks
from .face_light import draw_background, expose_face, shading
from .face_looks import FaceLooks, draw_face_looks
from .face_parts import draw_brows, draw_eyes, draw_glasses, draw_marks, draw_mouth, draw_nose
from .image import check_at_least

__all__ = ['draw_face', 'expression_of']

_SUPERSAMPLE = 3
_NAMES = tuple(EXPRESSIONS)


def expression_of(index: int) -> str:
    """Name of the expression that the image of this `index` shows, more or less strongly; all six in turn."""
    return _NAMES[index % len(_NAMES)]


def _draw_pose(rng: np.random.Generator, size: int) -> FacePose:
    yaw, pitch, roll, scale, x, y = rng.standard_normal(6)
    return FacePose(
        yaw=float(np.clip(0.16 * yaw, -0.36, 0.36)),
        pitch=float(np.clip(0.07 * pitch, -0.16, 0.16)),
        roll=0.055 * roll,
        unit=size / 3 * (1 + 0.04 * scale),
        x=size / 2 + 0.016 * size * x,
        y=size / 3 + 0.016 * size * y,
    )


def _magnify(pose: FacePose, factor: int) -> FacePose:
    return FacePose(pose.yaw, pose.pitch, pose.roll, factor * pose.unit, factor * pose.x, factor * pose.y)


def paint(
        looks: FaceLooks,
        pose: FacePose,
        expression: Expression,
        inks: Inks,
        size: int,
        rng: np.random.Generator,
) -> Image.Image:
    """The face without light or background, on a transparent layer (RGBX, colours premultiplied)."""
    canvas = FaceCanvas()
    drop = 0.17 * expression.opening
    draw_back(canvas, looks, inks, rng)
    draw_head(canvas, looks, inks, drop)
    draw_beard(canvas, looks, inks, drop)
    draw_marks(canvas, looks, inks)
    draw_nose(canvas, looks, inks)
    draw_mouth(canvas, looks, inks, expression)
    draw_eyes(canvas, looks, inks, expression, rng)
    draw_brows(canvas, looks, inks, expression)
    draw_front_hair(canvas, looks, inks, rng)
    if rng.random() < 0.75:
        draw_glasses(canvas, looks, inks)
    return canvas.paint(_magnify(pose, _SUPERSAMPLE), size * _SUPERSAMPLE).reduce(_SUPERSAMPLE)


def draw_face(pid: int, modality: int, index: int, seed: int = 0, size: int = 144) -> Image.Image:
    """Draw one image of a face; the same arguments give the same image.

    Faces are aligned as LightCNN's crops: on average the middle of the eyes lies at (1/2, 1/3) and the middle of the
    mouth at (1/2, 2/3) of the image, (72, 48) and (72, 96) where it has 144 pixels.

    Args:
        pid: Identity, 0 or above; together with `seed` it fixes all that belongs to the person.
        modality: 0 = visible, 1 = near infrared.
        index: Which image of this person in this modality, 0 or above; it also tells the expression, see
            `expression_of`.
        seed: Seed of the whole data set, 0 or above.
        size: Width and height in pixels, at least 24.

    Returns:
        An image of `size` by `size` pixels, RGB where it is visible and grey ('L') where it is infrared.

    Raises:
        ValueError: If `modality` is neither 0 nor 1, or another argument lies below its least value.
    """
    if modality not in (VISIBLE, INFRARED):
        raise ValueError(f'modality is {modality!r}; expected 0 (visible) or 1 (near infrared)')
    check_at_least(0, pid=pid, index=index, seed=seed)
    check_at_least(24, size=size)
    infrared = modality == INFRARED
    looks = draw_face_looks(seed, pid)
    rng = generator(seed, pid, modality, index, FACE_IMAGE)
    pose = _draw_pose(rng, size)
    expression = draw_expression(rng, expression_of(index))
    layer = np.asarray(paint(looks, pose, expression, draw_inks(looks, infrared, rng), size, rng), dtype=np.float32)
    light = shading(looks, pose, size, infrared, rng)[..., None]
    ground = draw_background(size, infrared, rng)
    scene = layer[..., :ground.shape[2]] * light + ground * (1 - layer[..., 3:] / 255)
    return expose_face(scene, infrared, rng)
