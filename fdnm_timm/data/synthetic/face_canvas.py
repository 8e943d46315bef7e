"""Projecting the points of a head onto a transparent layer."""
import math
from dataclasses import dataclass
from typing import List, Tuple, Union

import numpy as np
from PIL import Image, ImageDraw

from .colours import RGB

__all__ = ['CIRCLE', 'FaceCanvas', 'FacePose', 'ribbon', 'smooth']

Lift = Union[float, np.ndarray]

CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 20)), np.sin(np.linspace(0, 2 * np.pi, 20))], 1)
_MIRROR: np.ndarray = np.array([-1.0, 1.0])


@dataclass(frozen=True)
class FacePose:
    """How a head is held, and where the crop shows it. Angles are in radians; `unit`, `x` and `y` in pixels."""

    yaw: float
    pitch: float
    roll: float
    unit: float  # from the middle of the eyes to the middle of the mouth
    x: float  # of the middle of the eyes
    y: float

    def project(self, points: np.ndarray, lift: Lift = 0.0) -> np.ndarray:
        """Where points (n, 2) of the face, or points `lift` in front of it, fall in the crop: (n, 2)."""
        x, y = points[:, 0], points[:, 1]
        # an ellipsoid, whose depth is counted from the eyes, since these are what the alignment holds in place
        depth = 0.95 * np.sqrt(np.maximum(0, 1 - (x / 1.2) ** 2 - ((y - 0.35) / 1.75) ** 2)) - 0.93 + lift
        x = x * math.cos(self.yaw) + depth * math.sin(self.yaw)
        y = y * math.cos(self.pitch) - depth * math.sin(self.pitch)
        c, s = self.unit * math.cos(self.roll), self.unit * math.sin(self.roll)
        return np.stack([self.x + c * x - s * y, self.y + s * x + c * y], 1)


def smooth(points: np.ndarray, steps: int = 5) -> np.ndarray:
    """A Catmull-Rom curve through `points` (n, 2), with `steps` pieces from each to the next."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    p0, p1, p2, p3 = (padded[i:len(padded) - 3 + i, None] for i in range(4))
    t = (np.arange(steps) / steps)[:, None]
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])


def ribbon(line: np.ndarray, width: Lift) -> np.ndarray:
    """Outline of a stroke along `line` (n, 2), everywhere as wide as `width` says."""
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    across = along[:, ::-1] * _MIRROR * (0.5 * width / (np.hypot(along[:, 0], along[:, 1]) + 1e-9))[:, None]
    return np.concatenate([line + across, (line - across)[::-1]])


class FaceCanvas:
    """A transparent layer on which shapes given in points of the face are painted in a pose.

    Shapes are collected, for to project all of them at once is much faster than one after the other.
    """

    def __init__(self) -> None:
        self._shapes: List[Tuple[np.ndarray, Lift, RGB]] = []

    def polygon(self, points: np.ndarray, ink: RGB, lift: Lift = 0.0) -> None:
        self._shapes.append((points, lift, ink))

    def pair(self, points: np.ndarray, ink: RGB, lift: Lift = 0.0) -> None:
        """A polygon and its mirror image."""
        self.polygon(points, ink, lift)
        self.polygon(points * _MIRROR, ink, lift)

    def whole(self, right: np.ndarray, ink: RGB) -> None:
        """A symmetric polygon, of which the right half is given."""
        self.polygon(np.concatenate([right, right[::-1] * _MIRROR]), ink)

    def ellipse(self, x: float, y: float, rx: float, ry: float, ink: RGB, lift: float = 0.0) -> None:
        self.polygon(CIRCLE * (rx, ry) + (x, y), ink, lift)

    def band(self, x: np.ndarray, top: np.ndarray, bottom: np.ndarray, ink: RGB, lift: float = 0.0) -> None:
        """What lies between two curves over `x`."""
        self.polygon(np.stack([np.concatenate([x, x[::-1]]), np.concatenate([top, bottom[::-1]])], 1), ink, lift)

    def paint(self, pose: FacePose, size: int) -> Image.Image:
        """All shapes in their order on a layer of `size` by `size` pixels (RGBX, colours premultiplied)."""
        # RGBX, not RGBA: see Canvas
        layer = Image.new('RGBX', (size, size), 0)
        pen = ImageDraw.Draw(layer)
        lengths = [len(points) for points, _, _ in self._shapes]
        lifts = np.concatenate([np.broadcast_to(lift, len(points)) for points, lift, _ in self._shapes])
        flat = pose.project(np.concatenate([points for points, _, _ in self._shapes]), lifts).ravel().tolist()
        at = 0
        for length, (_, _, ink) in zip(lengths, self._shapes, strict=True):
            pen.polygon(flat[at:at + 2 * length], fill=(*ink, 255))
            at += 2 * length
        return layer
