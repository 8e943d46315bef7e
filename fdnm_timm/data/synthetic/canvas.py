"""Projecting and shading simple bodies (limbs, shells of cloth, boxes) on a transparent layer."""
import math
from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw

from .colours import RGB, shade

__all__ = ['Canvas', 'Point', 'Point3', 'Pose', 'Shell', 'along']

Point = Tuple[float, float]
Point3 = Tuple[float, float, float]


@dataclass(frozen=True)
class Pose:
    """Where and how a person stands in one image. `scale`, `x` and `base` are in pixels of the canvas."""

    yaw: float
    pitch: float
    phase: float
    swing: float
    scale: float
    x: float
    base: float


def along(a: Point3, b: Point3, t: float) -> Point3:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


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
class Shell:
    """A garment round the trunk: rows of ellipses from top to bottom, already projected.

    A point of the cloth is named by its angle round the body (0 in front, positive to the screen's right when seen
    from the front) and by its place between the top row (0) and the bottom row (1).
    """

    y: np.ndarray
    x: float
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
        y, r = (np.interp(at, np.arange(rows), values) for values in (self.y, self.radius))
        left, right = np.stack([self.x + u0 * r, y], 1), np.stack([self.x + u1 * r, y], 1)
        return [(x, y) for x, y in np.concatenate([left, right[::-1]]).tolist()]


class Canvas:
    """A transparent layer, and the pose that says where a point of the person's space falls on it.

    Space has x to the person's left (the screen's right when frontal), y up and z forward, in body heights.
    """

    def __init__(self, pose: Pose, size: Tuple[int, int]) -> None:
        self.pose = pose
        # RGBX, not RGBA: reduce() then leaves the colours premultiplied, which is what the blending needs.
        self.layer = Image.new('RGBX', size, 0)
        self.pen = ImageDraw.Draw(self.layer)
        self.cos, self.sin = math.cos(pose.yaw), math.sin(pose.yaw)
        self.down, self.tilt = math.cos(pose.pitch), math.sin(pose.pitch)

    def depth(self, p: Point3) -> float:
        """How near to the camera a point is."""
        return p[2] * self.cos - p[0] * self.sin

    def at(self, p: Point3) -> Point:
        x, y, z = p
        s = self.pose.scale
        return (self.pose.x + s * (x * self.cos + z * self.sin),
                self.pose.base - s * (y * self.down - self.depth(p) * self.tilt))

    def shell(self, rows: Sequence[Point3], lift: float) -> Shell:
        """A shell from `rows` of (height, half width, half depth), top to bottom, raised by `lift`."""
        y, w, d = np.asarray(rows, dtype=np.float64).T
        at = np.linspace(0, len(y) - 1, 4 * len(y))
        y, w, d = (np.interp(at, np.arange(len(y)), values) for values in (y, w, d))
        s, middle = self.pose.scale, len(at) // 3
        return Shell(
            y=self.pose.base - s * (y + lift) * self.down,
            x=self.pose.x,
            radius=s * np.hypot(w * self.cos, d * self.sin),
            turn=math.atan2(d[middle] * self.sin, w[middle] * self.cos),
        )

    def polygon(self, points: Sequence[Point], ink: RGB) -> None:
        self.pen.polygon(points, fill=(*ink, 255))

    def ellipse(self, x: float, y: float, rx: float, ry: float, ink: RGB) -> None:
        if rx > 0.3 and ry > 0.3:
            self.pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=(*ink, 255))

    def strap(self, a: Point, b: Point, radius: float, ink: RGB) -> None:
        """A band from `a` to `b`, which are points of the layer; `radius` is in body heights."""
        radius *= self.pose.scale
        self.polygon(_capsule(a, b, radius, radius), ink)

    def limb(self, joints: Sequence[Point3], radii: Sequence[float], ink: RGB, cut: str = '') -> None:
        """A chain of tapered segments: first its dark side, then its lit side, so that joints show no seam.

        `cut` names the ends that are cut straight, as a hem is: 'end', or 'both'.
        """
        points, r = [self.at(p) for p in joints], [self.pose.scale * radius for radius in radii]
        last = len(points) - 2
        for light, dx, shrink in ((0.76, 0.0, 1.0), (1.0, -0.14, 0.82)):
            for i in range(last + 1):
                flat = (cut == 'both' and i == 0, cut != '' and i == last)
                self.polygon(_capsule(points[i], points[i + 1], r[i], r[i + 1], dx, shrink, flat), shade(ink, light))

    def cover(
            self,
            shell: Shell,
            ink: RGB,
            v0: float = 0.0,
            v1: float = 1.0,
            centre: float = 0.0,
            half: float = math.pi,
    ) -> None:
        """Paint part of a shell, with the shading of a cylinder lit from the left."""
        low, high = (-1.0, 1.0) if half >= math.pi else shell.span(centre, half)
        for left, right, light in ((-1.0, 1.0, 0.74), (-0.93, 0.72, 0.90), (-0.86, 0.38, 1.0)):
            a, b = max(low, left), min(high, right)
            if b - a > 0.01 and v1 > v0:
                self.polygon(shell.patch(a, b, v0, v1), shade(ink, light))

    def box(self, centre: Point3, half: Point3, ink: RGB) -> None:
        """An upright bag with rounded corners, its half sizes in (x, y, z)."""
        x, y = self.at(centre)
        w, h = self.pose.scale * math.hypot(half[0] * self.cos, half[2] * self.sin), self.pose.scale * half[1]
        radius = 0.35 * min(w, h)
        for light, inset, shift in ((0.70, 0.0, 0.0), (1.0, 0.12, -0.06)):
            a, b = w * (1 - inset), h * (1 - inset)
            self.pen.rounded_rectangle((x - a + shift * w, y - b, x + a + shift * w, y + b), radius,
                                       fill=(*shade(ink, light), 255))
