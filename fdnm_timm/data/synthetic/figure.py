"""A person in one pose: joints, body, garments, head and things carried."""
import math
from typing import List, Tuple

import numpy as np
from PIL import Image

from .canvas import Canvas, Point3, Pose, Shell, along
from .colours import RGB, shade
from .looks import Cloth, Looks

__all__ = ['Figure']

_NECK = 0.825


class Figure(Canvas):
    """Draws one person in one pose.

    Attributes:
        lift: How far the body is raised so that the lower foot stands on the ground; legs and arms have it already.
        legs: Hip, knee and ankle of each side, 1 for the left.
        arms: Shoulder, elbow and hand of each side.
    """

    def __init__(self, looks: Looks, pose: Pose, infrared: bool, size: Tuple[int, int]) -> None:
        super().__init__(pose, size)
        self.looks, self.infrared = looks, infrared
        legs = {side: self._leg_joints(side) for side in (-1, 1)}
        self.lift = 0.03 - min(ankle[1] for _, _, ankle in legs.values())
        self.legs = {side: [(x, y + self.lift, z) for x, y, z in joints] for side, joints in legs.items()}
        self.arms = {side: self._arm_joints(side) for side in (-1, 1)}

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
        looks, pose = self.looks, self.pose
        swing = 0.85 * pose.swing * math.sin(pose.phase + (math.pi if side > 0 else 0.0))
        bend = 0.22 + 0.5 * max(0.0, swing)
        if side == looks.side and looks.carried == 'handbag':
            swing, bend = 0.12 * swing, 0.1
        elif side == looks.side and looks.carried == 'case':
            swing, bend = -0.35, 0.0
        x = side * (looks.shoulder - 0.020)
        out = side * (0.028 + 0.018 * looks.limb)
        top = (x, _NECK - 0.046 + self.lift, 0.0)
        elbow = (x + out, top[1] - 0.165 * math.cos(swing), 0.165 * math.sin(swing))
        swing += bend
        hand = (elbow[0] + out * 0.1, elbow[1] - 0.15 * math.cos(swing), elbow[2] + 0.15 * math.sin(swing))
        return [top, elbow, hand]

    def ink(self, cloth: Cloth, light: float = 1.0, second: bool = False) -> RGB:
        return shade(cloth.ink(self.infrared, second), light)

    def toward(self, side: int) -> float:
        """1 where this side of the body is turned to the camera, -1 where it is turned away."""
        return -side * self.sin

    # Parts

    def draw(self) -> Image.Image:
        """Draw every part, the far ones first."""
        looks, back = self.looks, self.cos < 0
        far, near = sorted((-1, 1), key=lambda side: 10 * self.toward(side) + self.depth(self.legs[side][2]))
        far_arm_hidden = abs(self.sin) > 0.35
        bag_hidden = self.toward(looks.side) < -0.35
        case_hidden = self.depth((looks.side * 0.2, 0, -0.3)) < 0
        if case_hidden:
            self.case()
        if not back:
            self.backpack()
            self.hair_behind()
        if far_arm_hidden:
            self.arm(far)
        if bag_hidden:
            self.shoulder_bag()
        self.leg(far, 0.84)
        self.leg(near, 1.0)
        self.lower_body()
        self.upper_body()
        if not bag_hidden:
            self.shoulder_bag()
        self.head()
        if back:
            self.hair_behind()
            self.backpack()
        if not far_arm_hidden:
            self.arm(far)
        self.arm(near)
        if not case_hidden:
            self.case()
        return self.layer

    def leg(self, side: int, light: float) -> None:
        looks, joints, k = self.looks, self.legs[side], self.looks.limb
        hip, knee, ankle = joints
        heel = (ankle[0], max(0.016, ankle[1] - 0.018), ankle[2] - 0.012)
        toe = (ankle[0] * 1.25, max(0.012, heel[1] - 0.004 - 0.12 * max(0.0, -0.25 + ankle[1])), ankle[2] + 0.088)
        shoe = self.ink(looks.shoe, light)
        self.limb([heel, toe], [0.024, 0.019], shoe)
        if looks.lower_kind in ('trousers', 'wide'):
            self.trouser_leg(side, light)
        else:
            self.limb(joints, [0.058 * k, 0.038 * k, 0.024], self.ink(looks.legwear, light))
        if looks.boot:
            top = along(ankle, knee, looks.boot / 0.22)
            self.limb([top, ankle], [0.040 * k, 0.031], shoe, 'both')
        if looks.lower_kind == 'shorts':
            cut = along(hip, knee, min(1.0, (hip[1] - looks.lower_hem) / (hip[1] - 0.26)))
            self.limb([hip, cut], [0.066 * k, 0.057 * k], self.ink(looks.lower, light), 'end')

    def trouser_leg(self, side: int, light: float) -> None:
        """A trouser leg, plain, with a stripe along the outer seam or with a lower leg of another colour."""
        looks, joints, k = self.looks, self.legs[side], self.looks.limb
        _, knee, ankle = joints
        wide = 1.2 if looks.lower_kind == 'wide' else 1.0
        end = 0.034 * wide ** 1.6
        self.limb(joints, [0.064 * k, 0.046 * k * wide, end], self.ink(looks.lower, light), 'end')
        second = self.ink(looks.lower, light, second=True)
        if looks.lower.pattern == 'cuff':
            self.limb([along(knee, ankle, 0.4), ankle], [0.042 * k * wide, end], second, 'both')
        elif looks.lower.pattern == 'side' and self.toward(side) > -0.4:
            seam = [(x + side * 0.036 * k, y, z) for x, y, z in joints]
            self.limb(seam, [0.012, 0.011, 0.010], second)

    def lower_body(self) -> None:
        looks = self.looks
        if looks.lower_kind == 'none':
            return
        skirt = looks.lower_kind == 'skirt'
        if skirt:
            stride = 0.35 * self.pose.swing * looks.leg
            hem = (looks.lower_hem, looks.hip * looks.flare * 1.1, looks.depth * looks.flare + 0.4 * stride)
        else:
            hem = (looks.leg - 0.045, looks.hip * 0.92, looks.depth * 0.9)
        waist, hip = (looks.leg + 0.10, looks.waist, looks.depth), (looks.leg + 0.03, looks.hip, looks.depth)
        shell = self.shell([waist, hip, hem], self.lift)
        self.cover(shell, self.ink(looks.lower))
        if skirt and looks.lower.pattern == 'cuff':
            self.cover(shell, self.ink(looks.lower, second=True), 0.72, 0.92)

    def upper_body(self) -> None:
        trunk = self.trunk()
        self.cover(trunk, self.ink(self.looks.upper))
        self.upper_pattern(trunk)
        self.neckline(trunk)
        self.straps(trunk)

    def trunk(self) -> Shell:
        looks, n = self.looks, _NECK
        w, d = looks.shoulder, looks.depth
        rows = [
            (n + 0.022, 0.040, 0.040),
            (n - 0.002, w * 0.74, d * 0.72),
            (n - 0.028, w * 0.97, d * 0.90),
            (n - 0.100, w * 0.94, d * 1.05),
            (n - 0.200, (w + looks.waist) / 2 * 0.97, d * 1.02),
            (looks.leg + 0.14, looks.waist, d * 1.02),
        ]
        if looks.hem < looks.leg + 0.03:
            grow = 1 + (looks.flare - 1) * min(1.0, (looks.leg + 0.035 - looks.hem) / 0.15)
            rows.append((looks.leg + 0.035, looks.hip * 1.06, d * 1.08))
            rows.append((looks.hem, looks.hip * 1.08 * grow, d * 1.1 * grow))
        else:
            rows.append((looks.hem, looks.hip * 1.03, d * 1.05))
        return self.shell(rows, self.lift)

    def upper_pattern(self, trunk: Shell) -> None:
        pattern, second = self.looks.upper.pattern, self.ink(self.looks.upper, second=True)
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

    def neckline(self, trunk: Shell) -> None:
        """The open front or the zip, and the skin that a V-neck shows."""
        looks, pose = self.looks, self.pose
        if looks.open_front:
            self.cover(trunk, self.ink(looks.inner), 0.06, 1.0, 0.0, 0.36)
        elif looks.sleeve == 1.0 and looks.collar == 'hood':
            self.cover(trunk, self.ink(looks.upper, 0.6), 0.1, 1.0, 0.0, 0.05)
        if looks.collar == 'vee' and self.cos > -0.1:
            u, r = sum(trunk.span(0.0, 0.01)) / 2, 0.034 * pose.scale
            x, y = pose.x + 0.25 * u * r, trunk.y[0]
            tip = (x + u * r, y + 0.085 * pose.scale)
            self.polygon([(x - r * self.cos, y), (x + r * self.cos, y), tip], self.ink(looks.skin, 0.92))

    def arm(self, side: int) -> None:
        looks, k, joints = self.looks, self.looks.limb, self.arms[side]
        top, elbow, hand = joints
        tip = along(elbow, hand, 1.2)
        light = 0.80 if self.toward(side) < -0.35 else 0.95
        skin, cloth = self.ink(looks.skin, light), self.ink(looks.upper, light)
        second = self.ink(looks.upper, light, second=True)
        self.limb([hand, tip], [0.018, 0.014], skin)
        if looks.sleeve < 1:
            self.limb(joints, [0.030 * k, 0.025 * k, 0.017], skin)
            if looks.sleeve:
                self.limb([top, along(top, elbow, 0.68)], [0.037 * k, 0.037 * k], cloth, 'end')
        else:
            self.limb(joints, [0.036 * k, 0.032 * k, 0.025 * k], cloth, 'end')
            for a in {'hoops': (0.2, 0.65), 'band': (0.4,), 'block': (0.4,)}.get(looks.upper.pattern, ()):
                band = [along(top, elbow, a), along(top, elbow, a + 0.2)]
                self.limb(band, [0.035 * k, 0.034 * k], second, 'both')
        if looks.upper.pattern == 'yoke' and looks.sleeve:
            self.limb([top, along(top, elbow, 0.3)], [0.037 * k, 0.036 * k], second, 'end')
        if looks.carried == 'handbag' and side == looks.side:
            self.handbag(tip)

    # The head: `x`, `y` are its centre on the layer, `rx`, `ry` its half width and half height there

    def head(self) -> None:
        looks, s = self.looks, self.pose.scale
        x, y = self.at((0.0, 0.915 + self.lift, 0.012))
        ry = 0.068 * looks.head * s
        rx = ry * (0.76 + 0.14 * abs(self.sin))
        neck = [(0, _NECK + self.lift - 0.005, 0), (0, 0.875 + self.lift, 0.008)]
        self.limb(neck, [0.034, 0.030], self.ink(looks.skin, 0.82))
        if looks.collar == 'hood':
            r = s * 0.052
            px, py = self.at((0, _NECK + self.lift + 0.012, -0.035))
            self.ellipse(px, py, r * 1.15, r * (0.75 if self.cos < 0 else 0.5), self.ink(looks.upper, 0.86))
        if self.cos < -0.45:
            scalp = self.ink(looks.skin, 0.9) if looks.hair_style == 'bald' else self.ink(looks.hair)
            self.ellipse(x, y, rx, ry, scalp)
            if looks.hair_style in ('short', 'bald', 'bun', 'tail'):
                self.ellipse(x, y + 0.72 * ry, rx * 0.62, ry * 0.36, self.ink(looks.skin, 0.84))
        else:
            self.face(x, y, rx, ry)
        self.hat(x, y, rx, ry)

    def face(self, x: float, y: float, rx: float, ry: float) -> None:
        turn, skin = self.sin, self.looks.skin
        self.ellipse(x, y, rx, ry, self.ink(skin, 0.80))
        self.ellipse(x - 0.07 * rx + 0.1 * turn * rx, y + 0.02 * ry, rx * 0.9, ry * 0.96, self.ink(skin))
        if abs(turn) > 0.5:
            nose = x + math.copysign(rx * 0.97, turn)
            self.ellipse(nose, y + 0.18 * ry, rx * 0.14, ry * 0.10, self.ink(skin))
        if self.looks.hair_style != 'bald':
            self.hair_before(x, y, rx, ry)
        for angle in (-0.42, 0.42):  # eyes and brows
            if math.cos(angle + self.pose.yaw) > 0.15:
                px = x + rx * 0.92 * math.sin(angle + self.pose.yaw)
                self.ellipse(px, y + 0.02 * ry, rx * 0.13, ry * 0.07, self.ink(skin, 0.36))
                self.ellipse(px, y - 0.15 * ry, rx * 0.20, ry * 0.04, self.ink(skin, 0.55))
        if self.cos > 0.2:  # nose and mouth
            px = x + 0.92 * rx * turn
            self.ellipse(px, y + 0.26 * ry, rx * 0.13, ry * 0.07, self.ink(skin, 0.80))
            self.ellipse(px, y + 0.52 * ry, rx * 0.26, ry * 0.05, self.ink(skin, 0.62))

    def hair_before(self, x: float, y: float, rx: float, ry: float) -> None:
        """Crown and back of the head; the fringe rises towards the face."""
        back = 0.30 if self.looks.hair_style == 'short' else 0.75
        to_right, to_left = max(0.0, self.sin), max(0.0, -self.sin)
        left, right = back * to_right + 0.05, back * to_left + 0.05
        crown = [(1.06 * math.cos(t), 1.06 * math.sin(t)) for t in np.linspace(math.pi, 2 * math.pi, 13)]
        fringe = [(0.98, right), (0.80 - 0.9 * to_left, right), (0.55 - 0.5 * to_left, -0.42), (0.3 * self.sin, -0.50),
                  (-0.55 + 0.5 * to_right, -0.42), (-0.80 + 0.9 * to_right, left), (-0.98, left)]
        self.polygon([(x + u * rx, y + v * ry) for u, v in crown + fringe], self.ink(self.looks.hair))

    def hair_behind(self) -> None:
        """What hangs behind the head, so drawn before it from the front and after it from the back."""
        style, s, ink = self.looks.hair_style, self.pose.scale, self.ink(self.looks.hair, 0.92)
        if style in ('long', 'bob'):
            low = 0.845 if style == 'bob' else 0.765
            self.limb([(0, 0.925 + self.lift, -0.018), (0, low + self.lift, -0.030)], [0.056, 0.050], ink)
        elif style == 'tail':
            self.limb([(0, 0.93 + self.lift, -0.070), (0, 0.80 + self.lift, -0.085)], [0.022, 0.014], ink)
        elif style == 'bun':
            x, y = self.at((0, 0.955 + self.lift, -0.062))
            self.ellipse(x, y, 0.028 * s, 0.027 * s, ink)

    def hat(self, x: float, y: float, rx: float, ry: float) -> None:
        kind, cloth = self.looks.hat, self.looks.hat_cloth
        if kind == 'none':
            return
        dome = [(x + 1.12 * rx * math.cos(t), y - 0.22 * ry + 0.98 * ry * math.sin(t))
                for t in np.linspace(math.pi, 2 * math.pi, 13)]
        self.polygon(dome, self.ink(cloth, 0.84))
        self.polygon([(px - 0.1 * rx * (px > x), py + 0.03 * ry) for px, py in dome], self.ink(cloth))
        if kind == 'cap' and self.cos > -0.6:
            peak = x + self.sin * rx * 0.95
            self.ellipse(peak, y - 0.22 * ry, rx * (0.85 - 0.1 * self.cos), ry * 0.13, self.ink(cloth, 0.7))
        elif kind == 'brim':
            self.ellipse(x, y - 0.24 * ry, rx * 1.75, ry * 0.20, self.ink(cloth, 0.78))
        elif kind == 'beanie':
            edge = ((-1.14, -0.42), (1.14, -0.42), (1.12, -0.14), (-1.12, -0.14))
            self.polygon([(x + u * rx, y + v * ry) for u, v in edge], self.ink(cloth, 0.72))

    # Things carried; each draws nothing where another is carried

    def backpack(self) -> None:
        looks, k = self.looks, self.looks.bag_size
        if looks.carried != 'backpack':
            return
        x, y, z = 0.0, _NECK - 0.145 + self.lift, -looks.depth - 0.045 * k
        self.box((x, y, z), (0.092 * k, 0.125 * k, 0.055 * k), self.ink(looks.bag))
        if self.cos < 0:
            self.box((x, y - 0.045 * k, z), (0.066 * k, 0.052 * k, 0.03 * k), self.ink(looks.bag, 0.86))

    def straps(self, trunk: Shell) -> None:
        looks, pose, ink = self.looks, self.pose, self.ink(self.looks.bag, 0.8)
        if looks.carried == 'backpack':
            for angle in (-0.62, 0.62):
                self.cover(trunk, ink, 0.13, 0.55, angle, 0.13)
        elif looks.carried == 'shoulder':
            # From one shoulder across to the opposite hip, in front and behind alike.
            sign = looks.side * (1 if self.cos >= 0 else -1)
            shift = looks.shoulder * pose.scale * max(0.15, abs(self.cos))
            low = pose.base - pose.scale * (looks.leg + 0.06 + self.lift) * self.down
            shoulder, hip = (pose.x - 0.55 * sign * shift, float(trunk.y[6])), (pose.x + 0.85 * sign * shift, low)
            self.strap(shoulder, hip, 0.010, ink)

    def shoulder_bag(self) -> None:
        looks, k = self.looks, self.looks.bag_size
        if looks.carried != 'shoulder':
            return
        centre = (looks.side * (looks.hip + 0.025), looks.leg + 0.01 + self.lift, -0.015)
        self.box(centre, (0.040 * k, 0.062 * k, 0.085 * k), self.ink(looks.bag))

    def handbag(self, hand: Point3) -> None:
        k, bag = self.looks.bag_size, self.looks.bag
        x, y, z = hand[0], hand[1] - 0.105 * k, hand[2]
        for dz in (-0.035, 0.035):
            self.strap(self.at(hand), self.at((x, y + 0.05 * k, z + dz)), 0.006, self.ink(bag, 0.7))
        self.box((x, y, z), (0.040 * k, 0.058 * k, 0.075 * k), self.ink(bag))

    def case(self) -> None:
        looks, k, r = self.looks, self.looks.bag_size, 0.016 * self.pose.scale
        if looks.carried != 'case':
            return
        hand = self.arms[looks.side][2]
        x, y, z = hand[0] + 0.01 * looks.side, 0.04 + 0.125 * k, hand[2] - 0.15
        self.strap(self.at(hand), self.at((x, y + 0.12 * k, z)), 0.008, self.ink(looks.bag, 0.6))
        self.box((x, y, z), (0.085 * k, 0.13 * k, 0.055 * k), self.ink(looks.bag))
        for dx in (-0.05, 0.05):
            wheel = self.at((x + dx * k, 0.025, z))
            self.ellipse(*wheel, r, r, self.ink(looks.bag, 0.35))
