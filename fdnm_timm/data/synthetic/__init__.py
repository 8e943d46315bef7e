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
from .image import draw_person
from .layout import write_llcm_layout, write_regdb_layout, write_sysu_layout
from .places import INFRARED_CAMERAS, VISIBLE_CAMERAS

__all__ = [
    'INFRARED_CAMERAS', 'VISIBLE_CAMERAS', 'draw_person', 'write_llcm_layout', 'write_regdb_layout',
    'write_sysu_layout',
]
